// Curves of a training: unpacked, smoothed, searched, scaled.
import assert from 'node:assert/strict';
import test from 'node:test';
import { brief, logTicks, nearest, reach, smooth, unpack } from '../../audiossl/explore/js/curves.js';

test('bytes become curves, with means only where there are more rows than points', () => {
  const all = Float32Array.of(1, 2, .5, .25, 10, 20, 3, 4, 15, 3.5), runs = [{signs: [['loss', 2, 0]]}, {signs: [['lr', 2, 1]]}];
  const [a, b] = unpack(new DataView(all.buffer), runs);
  assert.deepEqual([[...a.loss.x], [...a.loss.y], a.loss.mx === a.loss.x], [[1, 2], [.5, .25], true]);
  assert.deepEqual([[...b.lr.x], [...b.lr.y], [...b.lr.mx], [...b.lr.my]], [[10, 20], [3, 4], [15], [3.5]]);
});
test('a view with an offset is read from there', () => {
  const all = Float32Array.of(9, 1, 2);
  assert.deepEqual([...unpack(new DataView(all.buffer, 4), [{signs: [['loss', 1, 0]]}])[0].loss.y], [2]);
});
test('smoothing keeps a level, halves a jump after its own length, and 0 changes nothing', () => {
  const x = Float32Array.from({length: 50}, (_, i) => i), flat = x.map(() => 3), jump = x.map(v => (v < 25 ? 0 : 1));
  assert.deepEqual([...smooth(x, flat, 10)], [...flat]);
  assert.equal(smooth(x, jump, 0), jump);
  const s = smooth(x, jump, 10);
  assert.equal(s[24], 0); assert.ok(Math.abs(s[25] - 1 / 11) < 1e-6); assert.ok(s[49] > .9 && s[49] < 1);
  assert.deepEqual([...smooth(new Float32Array(0), new Float32Array(0), 5)], []);
});
test('a row twice as far away counts for twice the steps', () => {
  const two = smooth(Float32Array.of(0, 2), Float32Array.of(0, 1), 2);
  assert.equal(two[1], .5);
});
test('the nearest row', () => {
  const x = Float32Array.of(10, 20, 40);
  assert.deepEqual([0, 14, 16, 29, 31, 99].map(v => nearest(x, v)), [0, 0, 1, 1, 2, 2]);
  assert.equal(nearest(new Float32Array(0), 3), -1);
});
test('the reach of an axis leaves room, starts at 0 where that is near, and holds what must be seen', () => {
  const c = {x: Float32Array.of(1, 2, 3), y: Float32Array.of(.2, 1, 9)};
  assert.deepEqual(reach([c], [1, 2], false).map(v => +v.toFixed(3)), [0, 1.048]);
  const [lo, hi] = reach([{...c, y: Float32Array.of(8, 9, 10)}], [1, 3], false); assert.ok(lo > 7 && lo < 8 && hi > 10);
  assert.ok(reach([c], [1, 2], false, [2])[1] > 2);
  assert.deepEqual(reach([], [0, 1], false), [0, 1]); assert.deepEqual(reach([], [0, 1], true), [.1, 1]);
  assert.ok(reach([{...c, y: Float32Array.of(0, 1, 10)}], [1, 3], true)[0] > .5);
  assert.ok(reach([{...c, y: Float32Array.of(NaN, Infinity, 1)}], [1, 3], false)[1] < 2);
});
test('ticks of a log scale are round and few', () => {
  assert.deepEqual(logTicks(.09, 11), [.1, .3, 1, 3, 10]);
  assert.ok(logTicks(1e-7, 1).length <= 9); assert.ok(logTicks(.2, .3).length >= 2);
});
test('numbers are brief', () => {
  assert.deepEqual([0, .00012345, 1.23456, 123.456, 1234567, NaN, -2, .99961].map(brief), ['0', '1.2e\u22124', '1.23', '123', '1.2e6', '\u2013', '\u22122', '0.9996']);
});
