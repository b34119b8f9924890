import assert from 'node:assert/strict';
import test from 'node:test';
import { logMixupExp, resizeCrop, trace } from '../../audiossl/explore/js/views.js';

const settings = {step: 3, seed: 0, method: 'frame', seconds: .5, aug_tea: false, crop: true, mixup: true, warp: true, edits: {}};
const sounds = [300, 700, 1100].map((hz, k) => ({name: `s${k}`, wave: Float32Array.from({length: 12000 + 100 * k}, (_, i) => .3 * Math.sin(2 * Math.PI * hz * i / 16000))}));
const picture = (rows, T, f) => ({rows, T, data: Float32Array.from({length: rows * T}, (_, i) => f(Math.floor(i / T), i % T))});

test('mixing adds what the logarithms stand for', () => {
  const a = picture(1, 3, () => Math.log(2)), b = picture(1, 5, (r, t) => Math.log(t + 1));
  assert.deepEqual([...logMixupExp(a, b, .5, 1).data].map(v => +Math.exp(v).toFixed(4)), [2, 2.5, 3]);
  assert.deepEqual([...logMixupExp(b, a, .5, 2).data].map(v => +Math.exp(v).toFixed(4)), [1, 2, 2.5, 3, 3.5]);
});
test('a rectangle that is the whole canvas changes nothing', () => {
  const x = picture(64, 7, (r, t) => Math.sin(r + t));
  resizeCrop(x, {i: 0, j: 0, h: 64, w: 7}, 1).data.forEach((v, i) => assert.ok(Math.abs(v - x.data[i]) < 1e-6));
});
test('the same seed twice gives the same views, another one others', () => {
  const a = trace(sounds, {...settings, method: 'clip'}), b = trace(sounds, {...settings, method: 'clip'}), c = trace(sounds, {...settings, method: 'clip', seed: 1});
  for (const k of [0, 1]) { assert.deepEqual(a.views[k].picture.data, b.views[k].picture.data); assert.notDeepEqual(a.views[k].picture.data, c.views[k].picture.data); }
});
test('a card that is off gives its input back', () => {
  const t = trace(sounds, {...settings, mixup: false, warp: false});
  assert.equal(t.views[1].picture, t.views[1].input);
  assert.equal(trace(sounds, {...settings, crop: false}).views[1].picture.T, 1 + Math.floor(12000 / 160));
});
test('the bank holds the samples before, the partner is one of them', () => {
  for (const step of [0, 1, 5]) {
    const v = trace(sounds, {...settings, step}).views[1];
    assert.equal(v.bank.length, step);
    assert.equal(v.partner === null, step === 0);
  }
});
test('numbers set by hand are used', () => {
  const d = trace(sounds, {...settings, edits: {weight2: .9, partner2: 0, h2: 30, i2: 3}}).views[1].cards;
  assert.deepEqual([d.mixup.drawn.weight, d.mixup.drawn.partner, d.warp.drawn.h, d.warp.drawn.i], [.9, 0, 30, 3]);
});
