// Two views of a clip, as `audiossl.transforms.views` makes them: the same draws in the same order, so the same seed gives the same views.
import { DEFAULTS, logMel } from './frontend.js';
import { drawMask } from './masks.js';
import { rng } from './rng.js';

const EPS = 1.1920929e-7, RATIO = .4, F = 64;           // float32's step at 1; largest weight of the background; mel bins

export function logMixupExp(a, b, alpha, start = 0) {   // add what the logarithms stand for; keeps the length of a
  const res = new Float32Array(a.data.length), n = Math.min(a.T, b.T), fromA = a.T <= b.T ? 0 : start, fromB = a.T <= b.T ? start : 0;
  for (let r = 0; r < a.rows; r++) for (let t = 0; t < a.T; t++) {
    const e = Math.exp(a.data[r * a.T + t]), i = t - fromA;
    res[r * a.T + t] = Math.log(i >= 0 && i < n ? alpha * e + (1 - alpha) * Math.exp(b.data[r * b.T + fromB + i]) + EPS : e + EPS);
  }
  return {rows: a.rows, T: a.T, data: res};
}

function taps(n_in, n_out) {                            // bicubic, corners aligned: for each new row four old ones and their weights
  const near = x => (1.25 * x - 2.25) * x * x + 1, far = x => ((-.75 * x + 3.75) * x - 6) * x + 3;
  return Array.from({length: n_out}, (_, o) => {
    const place = n_out > 1 ? o * (n_in - 1) / (n_out - 1) : 0, left = Math.floor(place), t = place - left;
    return [far(t + 1), near(t), near(1 - t), far(2 - t)].map((w, i) => [Math.max(0, Math.min(n_in - 1, left - 1 + i)), w]);
  });
}

export function resizeCrop(x, {i, j, h, w}, scale) {    // paste on a canvas of zeros, `scale` times as long, cut a rectangle, stretch it to the old size
  const {rows, T, data} = x, H = rows, W = Math.floor(T * scale), top = H - rows >> 1, left = W - T >> 1;
  const at = (r, t) => { r += i - top; t += j - left; return r >= 0 && r < rows && t >= 0 && t < T ? data[r * T + t] : 0; };
  const half = new Float64Array(h * T), res = new Float32Array(rows * T);
  taps(w, T).forEach((tap, t) => { for (let r = 0; r < h; r++) { let s = 0; for (const [k, v] of tap) s += v * at(r, k); half[r * T + t] = s; } });
  taps(h, rows).forEach((tap, r) => { for (let t = 0; t < T; t++) { let s = 0; for (const [k, v] of tap) s += v * half[k * T + t]; res[r * T + t] = s; } });
  return {rows, T, data: res};
}

export function cut(wave, start, size) { const res = new Float32Array(size); res.set(wave.subarray(start, start + size)); return res; }

const pictures = new Map();
function pictureOf(sound, start, size) {                // of a crop; those already made are kept
  const key = [sound.name, sound.wave.length, start, size].join();
  if (!pictures.has(key)) { if (pictures.size > 300) pictures.clear(); pictures.set(key, {...logMel(cut(sound.wave, start, size)), sound, start, size}); }
  return pictures.get(key);
}

const drawCrop = (n, size, draw) => n > size ? draw.integers(0, n - size + 1) : 0;
function drawCrops({method, seconds}, n, draw) {        // first samples of the crops: one for frames, two for clips
  const size = Math.floor(seconds * 16000);
  if (method === 'frame') return {size, starts: [drawCrop(n, size, draw)]};
  return {size, starts: [0, 1].map(() => { draw.random(); return drawCrop(n, size, draw); })};
}
function drawWarp(T, method, scale, draw) {
  const H = F, W = Math.floor(T * scale), [lo, hi] = method === 'frame' ? [1, 1] : [.6, 1.5];
  const a = draw.random(), b = draw.random();
  const h = Math.min(Math.max(Math.floor((.6 + (1.5 - .6) * a) * F), 1), H), w = Math.min(Math.max(Math.floor((lo + (hi - lo) * b) * T), 1), W);
  return {i: H > h ? draw.integers(0, H - h + 1) : 0, j: W > w ? draw.integers(0, W - w + 1) : 0, h, w, H, W};
}

export function trace(sounds, s) {                      // s: step, seed, method, seconds, aug_tea, crop, mixup, warp, edits
  const seen = i => sounds[i % sounds.length], scale = s.method === 'frame' ? 1 : 1.5, edits = s.edits ?? {};
  const bank = k => Array.from({length: s.step}, (_, i) => { // what view k remembers: the crops of the steps before
    const c = drawCrops(s, seen(i).wave.length, rng([s.seed, i]));
    return pictureOf(seen(i), c.starts[Math.min(k, c.starts.length - 1)], c.size);
  });
  const draw = rng([s.seed, s.step]), sound = seen(s.step), N = sound.wave.length, c = drawCrops(s, N, draw);
  const views = [0, 1].map(k => {
    const drawn = Math.max(0, Math.min(Math.max(0, N - c.size), edits[`crop${k + 1}`] ?? edits[s.method === 'frame' ? 'crop1' : ''] ?? c.starts[Math.min(k, c.starts.length - 1)]));
    const input = s.crop ? pictureOf(sound, drawn, c.size) : pictureOf(sound, 0, N);
    return {input, start: s.crop ? drawn : 0, size: s.crop ? c.size : N, cards: {}, picture: input, on: s.method === 'clip' || k === 1 || s.aug_tea};
  });
  if (s.method === 'frame') drawMask(Math.floor((1 + Math.floor(c.size / 160)) / 4), {kind: 'block', ratio: .65, span: 5, min_span: 2}, draw); // its draws come before the others
  views.forEach((v, k) => {
    if (!v.on) return;
    const own = name => edits[`${name}${k + 1}`], memory = bank(k), T = v.input.T;
    const m = {weight: RATIO * draw.random(), partner: memory.length ? draw.integers(0, memory.length) : null, start: 0};
    const room = m.partner === null ? 0 : Math.abs(T - memory[m.partner].T);
    if (room) m.start = draw.integers(0, room);
    m.weight = own('weight') ?? m.weight;
    if (memory.length) { m.partner = Math.min(memory.length - 1, own('partner') ?? m.partner); m.start = Math.min(m.start, Math.abs(T - memory[m.partner].T)); }
    v.bank = memory; v.partner = m.partner === null ? null : memory[m.partner];
    v.cards.mixup = {drawn: m, input: v.picture};
    if (s.mixup && v.partner) v.picture = logMixupExp(v.picture, v.partner, 1 - m.weight, m.start);
    v.cards.mixup.output = v.picture;
    const w = drawWarp(T, s.method, scale, draw);
    w.h = Math.min(w.H, own('h') ?? w.h); w.w = Math.min(w.W, own('w') ?? w.w);
    w.i = Math.min(w.H - w.h, own('i') ?? w.i); w.j = Math.min(w.W - w.w, own('j') ?? w.j);
    v.cards.warp = {drawn: w, input: v.picture};
    if (s.warp) v.picture = resizeCrop(v.picture, w, scale);
    v.cards.warp.output = v.picture;
  });
  return {sound, views, step: s.step, whole: pictureOf(sound, 0, N), hop: DEFAULTS.hop_length};
}
