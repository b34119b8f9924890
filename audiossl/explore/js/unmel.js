// A wave that gives about a picture: `audiossl.transforms.logmel.unmel`. Mel bands are spread over the Fourier bins, then a phase is searched.
import { DEFAULTS, fft, framed, melFilters, windowOf } from './frontend.js';

function spread({rows, T, data}, bands, bins) {         // power in each Fourier bin (T*bins) whose mel bands are `data`
  const total = new Float64Array(bins), res = new Float64Array(T * bins), back = new Float64Array(T * bins);
  bands.forEach(({first, weight}) => weight.forEach((w, i) => total[first + i] += w));
  const add = (to, value) => bands.forEach(({first, weight}, m) => {
    for (let t = 0; t < T; t++) { const v = value(m, t); for (let i = 0, at = t * bins + first; i < weight.length; i++) to[at + i] += weight[i] * v; }
  });
  add(res, (m, t) => data[m * T + t]);
  for (let round = 0; round < 20; round++) {
    back.fill(0);
    add(back, (m, t) => {
      const {first, weight} = bands[m];
      let sum = 1e-10;
      for (let i = 0, at = t * bins + first; i < weight.length; i++) sum += weight[i] * res[at + i];
      return data[m * T + t] / sum;
    });
    for (let t = 0, at = 0; t < T; t++) for (let k = 0; k < bins; k++, at++) res[at] *= back[at] / (total[k] + 1e-10);
  }
  return res;
}

function toWave(re, im, T, {n_fft, hop_length}, w) {    // overlap and add; re, im: T*bins
  const bins = n_fft / 2 + 1, N = (T - 1) * hop_length, sum = new Float64Array(N + n_fft), norm = new Float64Array(N + n_fft);
  const a = new Float64Array(n_fft), b = new Float64Array(n_fft);
  for (let t = 0; t < T; t += 2) {                      // two real frames from one complex transform; the inverse is a forward one with ends swapped
    const two = t + 1 < T, p = t * bins, q = p + bins;
    for (let k = 0; k < bins; k++) {
      const edge = k === 0 || k === n_fft / 2, x = re[p + k], y = edge ? 0 : im[p + k], u = two ? re[q + k] : 0, v = two && !edge ? im[q + k] : 0;
      a[k] = x - v; b[k] = y + u;
      if (!edge) { a[n_fft - k] = x + v; b[n_fft - k] = u - y; }
    }
    fft(b, a);                                          // swapped parts: an inverse transform, but for 1/n
    for (let i = 0, at = t * hop_length; i < n_fft; i++) { sum[at + i] += a[i] / n_fft * w[i]; norm[at + i] += w[i] * w[i]; }
    if (two) for (let i = 0, at = (t + 1) * hop_length; i < n_fft; i++) { sum[at + i] += b[i] / n_fft * w[i]; norm[at + i] += w[i] * w[i]; }
  }
  return Float32Array.from({length: N}, (_, i) => sum[i + n_fft / 2] / Math.max(norm[i + n_fft / 2], 1e-11));
}

function toSpectrum(wave, {n_fft, hop_length}, w, T) {  // {re, im}: T*bins
  const {x} = framed(wave, n_fft, hop_length), bins = n_fft / 2 + 1, re = new Float64Array(T * bins), im = new Float64Array(T * bins);
  const a = new Float64Array(n_fft), b = new Float64Array(n_fft);
  for (let t = 0; t < T; t += 2) {
    const at = t * hop_length, next = t + 1 < T ? at + hop_length : at;
    for (let i = 0; i < n_fft; i++) { a[i] = x[at + i] * w[i]; b[i] = x[next + i] * w[i]; }
    fft(a, b);
    for (let k = 0; k < bins; k++) {
      const j = (n_fft - k) % n_fft;
      re[t * bins + k] = (a[k] + a[j]) / 2; im[t * bins + k] = (b[k] - b[j]) / 2;
      if (t + 1 < T) { re[(t + 1) * bins + k] = (b[k] + b[j]) / 2; im[(t + 1) * bins + k] = (a[j] - a[k]) / 2; }
    }
  }
  return {re, im};
}

export function unmel(mel, settings = {}, rounds = 8) { // mel: a normalised picture {rows, T, data} -> Float32Array of (T-1)*hop samples
  const s = {...DEFAULTS, ...settings}, {rows, T} = mel, bins = s.n_fft / 2 + 1, [lo, hi] = s.minmax ?? [-1, 1];
  if (T < 4) throw Error(`a picture of ${T} frames: at least 4 are needed to make a sound of it`);
  const target = mel.data.map(v => 10 ** (((v + 1) / 2 * (hi - lo) + lo) / 10)), w = windowOf(s);
  const mag = spread({rows, T, data: target}, melFilters(s), bins).map(Math.sqrt), n = T * bins;
  const re = new Float64Array(n), im = new Float64Array(n);
  for (let t = 0; t < T; t++) for (let k = 0; k < bins; k++) { // each bin hums on at its own pitch, from a scattered start
    const turn = (k * s.hop_length * t / s.n_fft + k * k * (Math.sqrt(5) - 1) / 2) % 1 * 2 * Math.PI, i = t * bins + k;
    re[i] = mag[i] * Math.cos(turn); im[i] = mag[i] * Math.sin(turn);
  }
  let last = null;
  for (let round = 0; round < rounds; round++) {
    const fit = toSpectrum(toWave(re, im, T, s, w), s, w, T), push = last ? .99 : 0;
    for (let i = 0; i < n; i++) {
      const x = fit.re[i] + (push && push * (fit.re[i] - last.re[i])), y = fit.im[i] + (push && push * (fit.im[i] - last.im[i])), size = Math.sqrt(x * x + y * y) + 1e-10;
      re[i] = mag[i] * x / size; im[i] = mag[i] * y / size;
    }
    last = fit;
  }
  return toWave(re, im, T, s, w);
}
