import assert from 'node:assert/strict';
import test from 'node:test';
import { FORMS, Grid, beside, between, bounds, ease, fitted, inLoop, lassoed, mixed, packed, paintPoints, rgb, sprite } from '../../audiossl/explore/js/points.js';
import { rng } from '../../audiossl/explore/js/rng.js';

const some = (n, seed = 0) => { const r = rng(seed); return Float32Array.from({length: 2 * n}, () => r.random() * 4 - 2); };
const all = n => new Uint8Array(n).fill(1);

test('marks of eight forms differ, fit their square and have about the same area', () => {
  const covers = FORMS.map((_, i) => sprite(i, 8));
  assert.equal(new Set(covers.map(s => s.cover.join())).size, 8);
  for (const {size, cover} of covers) {
    const area = cover.reduce((a, b) => a + b) / 256;
    assert.ok(area > 70 && area < 230, `${area}`);
    for (let i = 0; i < size; i++) assert.ok(cover[i] < 256 && cover[i * size] < 256);                // nothing is cut off hard
  }
  assert.equal(sprite(0, 8).cover[Math.floor(sprite(0, 8).cover.length / 2)], 256);
  assert.deepEqual(sprite(9, 5).cover, sprite(1, 5).cover);
});
test('colours are packed as bytes R, G, B, A', () => {
  assert.deepEqual([...new Uint8Array(Uint32Array.of(packed(rgb('#0072B2'))).buffer)], [0, 0x72, 0xB2, 255]);
  assert.deepEqual(mixed([0, 0, 0], [100, 200, 50], .5), [50, 100, 25]);
});
test('points land where they belong; hidden ones and those outside leave no trace', () => {
  const wide = 40, high = 30, out = new Uint32Array(wide * high).fill(packed([255, 255, 255])), at = Float32Array.of(0, 0, 1, .5, 50, 50, -.5, -.5);
  const place = {x: -2, y: 1.5, scale: 10}, red = packed([255, 0, 0]);
  paintPoints({out, wide, high}, at, Uint32Array.of(0, 1, 2, 3), Uint8Array.of(1, 1, 1, 0), new Uint16Array(4), [sprite(0, 2)], [red], place);
  assert.equal(out[15 * wide + 20], red); assert.equal(out[10 * wide + 30], red);
  assert.equal(out[20 * wide + 15], packed([255, 255, 255]));
  assert.ok(out.every(v => v >>> 24 === 255));
  const edge = out[15 * wide + 22];
  assert.ok(edge === red || (edge & 255) === 255 && (edge >> 8 & 255) < 255);                         // an edge is a mixture of red and white
});
test('a point at the rim is painted as far as it is inside', () => {
  const out = new Uint32Array(100).fill(packed([0, 0, 0]));
  paintPoints({out, wide: 10, high: 10}, Float32Array.of(0, 0, 1, 1, 0, 1), Uint32Array.of(0, 1, 2), all(3), new Uint16Array(3), [sprite(1, 4)], [packed([9, 9, 9])], {x: 0, y: 1, scale: 10});
  assert.equal(out[0], packed([9, 9, 9])); assert.equal(out[9], packed([9, 9, 9])); assert.equal(out[90], packed([9, 9, 9])); assert.equal(out[44], packed([0, 0, 0]));
});
test('the grid finds what asking all of them finds', () => {
  const n = 3000, at = some(n), shown = all(n), r = rng(7);
  for (let i = 0; i < n; i += 3) shown[i] = 0;
  const grid = new Grid(at, shown);
  for (let k = 0; k < 400; k++) {
    const x = r.random() * 5 - 2.5, y = r.random() * 5 - 2.5, reach = .02 + r.random() * .2;
    let best = -1, far = reach * reach;
    for (let i = 0; i < n; i++) { const d = (at[2 * i] - x) ** 2 + (at[2 * i + 1] - y) ** 2; if (shown[i] && d <= far) { far = d; best = i; } }
    assert.equal(grid.nearest(x, y, reach), best);
  }
});
test('a grid of points at one place, or of none, still answers', () => {
  assert.equal(new Grid(new Float32Array(20), all(10)).nearest(0, 0, .1) >= 0, true);
  assert.equal(new Grid(new Float32Array(20), new Uint8Array(10)).nearest(0, 0, 1), -1);
  assert.deepEqual(bounds(new Float32Array(4), new Uint8Array(2)), [-1, 1, -1, 1]);
  assert.ok(Number.isFinite(fitted(new Float32Array(4), all(2), 300, 200).scale));
});
test('a loop holds what is inside, a bent one too', () => {
  const bent = [[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]];
  assert.equal(inLoop(1, 1, bent), true); assert.equal(inLoop(2, 3, bent), false); assert.equal(inLoop(9, 1, bent), false); assert.equal(inLoop(1, 1, []), false);
  assert.deepEqual(lassoed(Float32Array.of(1, 1, 2, 3, 3, .5, 1, 1), Uint8Array.of(1, 1, 1, 0), bent), [0, 2]);
});
test('keys go to the next point in their direction', () => {
  const at = Float32Array.of(0, 0, 1, .1, 3, 0, 0, 2, -1, -1);
  assert.equal(beside(at, all(5), 0, 1, 0), 1); assert.equal(beside(at, all(5), 1, 1, 0), 2); assert.equal(beside(at, all(5), 0, 0, 1), 3);
  assert.equal(beside(at, all(5), 2, 1, 0), -1); assert.equal(beside(at, Uint8Array.of(1, 0, 1, 1, 1), 0, 1, 0), 2);
});
test('all points fit into the picture, at one scale', () => {
  const at = some(500), {cx, cy, scale} = fitted(at, all(500), 400, 300);
  for (let i = 0; i < 500; i++) { assert.ok(Math.abs((at[2 * i] - cx) * scale) <= 200 - 25); assert.ok(Math.abs((at[2 * i + 1] - cy) * scale) <= 150 - 25); }
});
test('a move begins at its begin and ends at its end', () => {
  assert.equal(ease(0), 0); assert.equal(ease(1), 1);
  assert.deepEqual([...between(Float32Array.of(0, 2), Float32Array.of(4, 4), .25, new Float32Array(2))], [1, 2.5]);
});
test('fifty thousand points are painted in a fraction of a second', () => {
  const n = 50_000, at = some(n), out = new Uint32Array(800 * 500), order = Uint32Array.from({length: n}, (_, i) => i), kinds = Uint16Array.from(order, i => i % 28);
  const sprites = Array.from({length: 28}, (_, i) => sprite(i, 2)), colours = sprites.map((_, i) => packed([i * 9, 100, 200])), ms = [];
  for (let k = 0; k < 12; k++) { const t = performance.now(); out.fill(0); paintPoints({out, wide: 800, high: 500}, at, order, all(n), kinds, sprites, colours, {x: -2, y: 2, scale: 125}); ms.push(performance.now() - t); }
  assert.ok(ms.sort((a, b) => a - b)[5] < 400, `${ms}`);
});
