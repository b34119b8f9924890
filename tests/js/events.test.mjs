import assert from 'node:assert/strict';
import test from 'node:test';
import { crossings, matchEnds, matchShares, medianFilter, operatingPoint, psdCurve, runsAbove, together } from '../../audiossl/explore/js/detect.js';

const s = 1e6;                                          // a second
const plain = (x, size) => {                            // the median by sorting each neighbourhood
  const n = x.length, h = size >> 1, at = i => { const t = (i % (2 * n) + 2 * n) % (2 * n); return x[t < n ? t : 2 * n - 1 - t]; };
  return x.map((_, i) => Array.from({length: size}, (_, k) => at(i + k - h)).sort((a, b) => a - b)[h]);
};

test('a median filter is the middle of each neighbourhood, for every length and size', () => {
  let seed = 1;
  const random = () => (seed = seed * 48271 % 2147483647) / 2147483647;
  for (const n of [1, 2, 5, 40]) for (const size of [1, 3, 7, 15, 61]) {
    const x = Array.from({length: n}, () => Math.round(random() * 20) / 20);
    assert.deepEqual([...medianFilter(Float64Array.from(x), size)], plain(x, size), `${n} frames, ${size}`);
  }
  assert.equal(medianFilter(new Float64Array(0), 7).length, 0);
});
test('an event is where the score is above, not at, the threshold; the last one ends with its clip', () => {
  const edges = [0, 4, 8, 12, 16, 20].map(v => v * 1e4);
  assert.deepEqual(runsAbove([.6, .5, .7, .8, .1], 5, .5, edges, 2e5), [[0, 4e4], [8e4, 16e4]]);
  assert.deepEqual(runsAbove([0, 0, 0, 0, 1], 5, .5, edges, 17e4), [[16e4, 17e4]]);
  assert.deepEqual(runsAbove([1, 1, 1, 1, 1], 3, .5, edges, 2e5), [[0, 12e4]]);
  assert.deepEqual(runsAbove([], 0, .5, edges, 0), []);
});
test('ends match within their collars, and as many pairs are made as can be', () => {
  assert.deepEqual(matchEnds([[1 * s, 1.96 * s]], [[.85 * s, 1.9 * s]]), {found: [true], missed: [false]});
  assert.deepEqual(matchEnds([[1 * s, 1.96 * s]], [[.75 * s, 1.9 * s]]), {found: [false], missed: [true]});
  assert.deepEqual(matchEnds([[1 * s, 1.12 * s], [1.16 * s, 1.28 * s]], [[.8 * s, 1 * s], [1 * s, 1.12 * s]]), {found: [true, true], missed: [false, false]});
  assert.deepEqual(matchEnds([[0, 9 * s]], [[0, 10 * s]]).missed, [false]);             // 20 % of a long event may be missing
  assert.deepEqual(matchEnds([], []), {found: [], missed: []});
});
test('shares: exactly enough is enough, and only accepted detections cover', () => {
  assert.deepEqual(matchShares([[0, 2 * s]], [[1 * s, 3 * s]]), {found: [true], missed: [false]});
  assert.deepEqual(matchShares([[0, 1.99 * s]], [[1 * s, 3 * s]]), {found: [false], missed: [true]});
  assert.deepEqual(matchShares([[0, 1 * s], [2 * s, 3 * s]], [[0, 3 * s]]), {found: [true, true], missed: [false]});
});
test('a false alarm on another class is a cross trigger', () => {
  assert.equal(crossings([[0, 1 * s], [5 * s, 6 * s]], [[.7 * s, 2 * s]], .3), 1);
  assert.equal(crossings([[0, 1 * s]], [[.71 * s, 2 * s]], .3), 0);
  const about = {real: [2, 4, 0], seconds: 3600, realSeconds: [10, 20, 0]}, cross = [[0, 1, 0], [0, 0, 0], [0, 0, 0]];
  assert.deepEqual(operatingPoint([1, 4, 0], [3, 0, 9], cross, about, 0), [{c: 0, x: 3, y: .5}, {c: 1, x: 0, y: 1}]);
  assert.deepEqual(operatingPoint([1, 4, 0], [3, 0, 9], cross, about, .5)[0], {c: 0, x: 3 + 90, y: .5});
});
test('curves of classes become one, and an area', () => {
  const a = {x: [0, 50], y: [.5, 1]}, b = {x: [25], y: [1]};
  assert.deepEqual(psdCurve([a, b], 0, 100), {x: [0, 25, 50], y: [.25, .75, 1], area: .25 * .25 + .25 * .75 + .5});
  assert.deepEqual(psdCurve([a, b], 1, 100).y, [0, .5, 1]);
  assert.equal(psdCurve([a], 0, 40).area, .5);
  assert.equal(psdCurve([{x: [], y: []}], 1, 100).area, 0);
  assert.equal(together([1, 0], 2), 0);
});
