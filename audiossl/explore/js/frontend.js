// The front end of the models, in the browser: what `audiossl.transforms.logmel.LogMel` computes, step by step, under the same names.
// Pictures are {rows, T, data}: data is a Float32Array of rows*T values, row after row, row 0 the lowest frequency.

const tables = new Map();
function table(n) {                                     // turns and the order of a Fourier transform of n points, made once
  if (!tables.has(n)) {
    if (n < 2 || n & n - 1) throw Error(`a Fourier transform of ${n} points: a power of two is needed here`);
    const cos = new Float64Array(n), sin = new Float64Array(n), order = new Uint32Array(n), bits = Math.log2(n);
    for (let half = 1; half < n; half *= 2) for (let k = 0; k < half; k++) { cos[half + k] = Math.cos(Math.PI * k / half); sin[half + k] = -Math.sin(Math.PI * k / half); }
    for (let i = 0; i < n; i++) for (let b = 0; b < bits; b++) if (i >> b & 1) order[i] |= 1 << bits - 1 - b;
    tables.set(n, {cos, sin, order});
  }
  return tables.get(n);
}

export function fft(re, im) {                           // in place, both Float64Array of n = a power of two
  const {order} = table(re.length);
  for (let i = 0; i < re.length; i++) {
    const j = order[i];
    if (j > i) { let x = re[i]; re[i] = re[j]; re[j] = x; x = im[i]; im[i] = im[j]; im[j] = x; }
  }
  rounds(re, im);
}

function rounds(re, im) {                               // the transform of values that are in the table's order already
  const n = re.length, {cos, sin} = table(n);
  let half = 1;
  if (Math.log2(n) & 1) {                               // an odd number of rounds: the first one, which has nothing to turn, alone
    for (let i = 0; i < n; i += 2) {
      const j = i + 1, x = re[j], y = im[j];
      re[j] = re[i] - x; im[j] = im[i] - y; re[i] += x; im[i] += y;
    }
    half = 2;
  }
  for (; half < n; half *= 4) {                         // two rounds at once, of `half` and of 2*half: every value is fetched and stored once for both
    for (let start = 0; start < n; start += 4 * half) {
      for (let k = 0, i0 = start, i1 = start + half, i2 = i1 + half, i3 = i2 + half; k < half; k++, i0++, i1++, i2++, i3++) {
        const c = cos[half + k], s = sin[half + k], C = cos[2 * half + k], S = sin[2 * half + k];
        const x1 = re[i1] * c - im[i1] * s, y1 = re[i1] * s + im[i1] * c, x3 = re[i3] * c - im[i3] * s, y3 = re[i3] * s + im[i3] * c;
        const ax = re[i0] + x1, ay = im[i0] + y1, bx = re[i0] - x1, by = im[i0] - y1, u = re[i2] + x3, v = im[i2] + y3, p = re[i2] - x3, q = im[i2] - y3;
        const ux = u * C - v * S, uy = u * S + v * C, px = p * S + q * C, py = q * S - p * C;      // the second turn is the first one's, a quarter further
        re[i0] = ax + ux; im[i0] = ay + uy; re[i2] = ax - ux; im[i2] = ay - uy;
        re[i1] = bx + px; im[i1] = by + py; re[i3] = bx - px; im[i3] = by - py;
      }
    }
  }
}

export function hann(n) { return Float64Array.from({length: n}, (_, i) => .5 - .5 * Math.cos(2 * Math.PI * i / n)); }

export function windowOf({n_fft, win_length}) {         // a Hann window of win_length, centred in n_fft points
  if (!(win_length > 0 && win_length <= n_fft)) throw Error(`win_length=${win_length}: 1 to n_fft=${n_fft} samples`);
  const w = new Float64Array(n_fft);
  w.set(hann(win_length), n_fft - win_length >> 1);
  return w;
}

export function framed(wave, n_fft, hop_length) {       // the wave, mirrored at both ends, and how many frames it has
  const half = n_fft / 2, N = Math.max(wave.length, half + 1), x = new Float64Array(N + n_fft);
  x.set(wave, half);                                    // a shorter wave is filled up with zeros
  for (let i = 0; i < half; i++) { x[half - 1 - i] = x[half + 1 + i]; x[half + N + i] = x[half + N - 2 - i]; }
  return {x, T: 1 + Math.floor(N / hop_length)};
}

export function power(wave, {n_fft, win_length, hop_length}, old = null) { // {bins, T, data: T*bins, frame after frame}; `old`: values that are not needed any more, whose memory is taken again where it fits
  if (!(hop_length >= 1)) throw Error(`hop_length=${hop_length}: at least 1 sample`);
  const {x, T} = framed(wave, n_fft, hop_length), w = windowOf({n_fft, win_length}), bins = n_fft / 2 + 1;
  const data = old?.length === T * bins ? old : new Float64Array(T * bins), re = new Float64Array(n_fft), im = new Float64Array(n_fft), {order} = table(n_fft);
  for (let t = 0; t < T; t += 2) {                      // two frames are one complex transform
    const a = t * hop_length, b = t + 1 < T ? a + hop_length : a;
    for (let i = 0; i < n_fft; i++) { const j = order[i]; re[i] = x[a + j] * w[j]; im[i] = x[b + j] * w[j]; }
    rounds(re, im);
    for (let k = 0; k < bins; k++) {
      const j = (n_fft - k) % n_fft, p = re[k] + re[j], q = im[k] - im[j], r = im[k] + im[j], s = re[j] - re[k];
      data[t * bins + k] = (p * p + q * q) / 4;
      if (t + 1 < T) data[(t + 1) * bins + k] = (r * r + s * s) / 4;
    }
  }
  return {bins, T, data};
}

export const hzToMel = f => 2595 * Math.log10(1 + f / 700), melToHz = m => 700 * (10 ** (m / 2595) - 1);

export function melFilters({n_fft, n_mels, f_min, f_max, sample_rate = 16000}) { // a list of {first, weight}: bins first, first+1, ...
  if (!(n_mels >= 1)) throw Error(`n_mels=${n_mels}: at least 1 triangle`);
  if (!(0 <= f_min && f_min < f_max && f_max <= sample_rate / 2)) throw Error(`f_min=${f_min}, f_max=${f_max}: 0 <= f_min < f_max <= ${sample_rate / 2} Hz is needed`);
  const lo = hzToMel(f_min), hi = hzToMel(f_max), peak = i => melToHz(lo + (hi - lo) * i / (n_mels + 1)), step = sample_rate / n_fft;
  const bands = Array.from({length: n_mels}, (_, m) => {
    const [a, b, c] = [peak(m), peak(m + 1), peak(m + 2)], first = Math.max(0, Math.ceil(a / step)), last = Math.min(n_fft / 2, Math.floor(c / step));
    const weight = Float64Array.from({length: Math.max(0, last - first + 1)}, (_, i) => Math.max(0, Math.min(((first + i) * step - a) / (b - a), (c - (first + i) * step) / (c - b))));
    return {first, weight};
  });
  const empty = bands.filter(b => !b.weight.some(v => v > 1e-9)).length;
  if (empty) throw Error(`n_mels=${n_mels}: ${empty} triangles fall between two bins of n_fft=${n_fft}; take fewer triangles or a longer n_fft`);
  return bands;
}

export function melPower({bins, T, data}, bands) {
  const res = new Float32Array(bands.length * T);
  bands.forEach(({first, weight}, m) => {
    for (let t = 0; t < T; t++) {
      let sum = 0;
      for (let i = 0, at = t * bins + first; i < weight.length; i++) sum += weight[i] * data[at + i];
      res[m * T + t] = sum;
    }
  });
  return {rows: bands.length, T, data: res};
}

export function linearPower({bins, T, data}) {          // the same without mel bands: a row for each Fourier bin
  const res = new Float32Array(bins * T);
  for (let t = 0; t < T; t++) for (let k = 0; k < bins; k++) res[k * T + t] = data[t * bins + k];
  return {rows: bins, T, data: res};
}

export function decibel({rows, T, data}, top_db = 80) { // top_db null: no floor
  const res = new Float32Array(data.length);
  let most = -Infinity;
  for (let i = 0; i < data.length; i++) { res[i] = 10 * Math.log10(Math.max(data[i], 1e-10)); if (res[i] > most) most = res[i]; }
  if (top_db !== null) for (let i = 0; i < res.length; i++) if (res[i] < most - top_db) res[i] = most - top_db;
  return {rows, T, data: res};
}

export function minMax({rows, T, data}, lo, hi) {
  const res = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) res[i] = (data[i] - lo) / (hi - lo) * 2 - 1;
  return {rows, T, data: res};
}

export const DEFAULTS = {n_fft: 1024, win_length: 1024, hop_length: 160, f_min: 60, f_max: 7800, n_mels: 64, top_db: 80, minmax: [-79.6482, 50.6842]};

export function logMel(wave, settings = {}) {           // all of it: (N,) samples -> normalised picture
  const s = {...DEFAULTS, ...settings}, dB = decibel(melPower(power(wave, s), melFilters(s)), s.top_db);
  return s.minmax === null ? dB : minMax(dB, ...s.minmax);
}

export function rowHz(row, {scale = 'mel', n_mels = 64, f_min = 60, f_max = 7800, n_fft = 1024, sample_rate = 16000} = {}) { // centre of a row, Hz
  if (scale === 'linear') return row * sample_rate / n_fft;
  return melToHz(hzToMel(f_min) + (hzToMel(f_max) - hzToMel(f_min)) * (row + 1) / (n_mels + 1));
}

export function hzRow(hz, {scale = 'mel', n_mels = 64, f_min = 60, f_max = 7800, n_fft = 1024, sample_rate = 16000} = {}) { // and back, a fraction
  if (scale === 'linear') return hz * n_fft / sample_rate;
  return (hzToMel(hz) - hzToMel(f_min)) / (hzToMel(f_max) - hzToMel(f_min)) * (n_mels + 1) - 1;
}

const crcTable = Uint32Array.from({length: 256}, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ n >>> 1 : n >>> 1; return n >>> 0; });
export function crc32(array) {                          // of a typed array's bytes: the same number as Python's zlib.crc32, eight hex digits
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let c = ~0;
  for (let i = 0; i < bytes.length; i++) c = crcTable[(c ^ bytes[i]) & 255] ^ c >>> 8;
  return (~c >>> 0).toString(16).padStart(8, '0');
}
