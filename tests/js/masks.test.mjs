import assert from 'node:assert/strict';
import test from 'node:test';
import { coverSpans, drawMask, exactMask, randomMask, runLengths, share } from '../../audiossl/explore/js/masks.js';
import { rng } from '../../audiossl/explore/js/rng.js';

const base = {kind: 'block', ratio: .65, span: 5, min_span: 2, no_overlap: false};

test('runs are counted from left to right', () => {
  assert.deepEqual(runLengths(Uint8Array.of(1, 1, 0, 1, 0, 0, 1)), [2, 1, 1]);
  assert.deepEqual(runLengths(new Uint8Array(4)), []);
});
test('spans cover what lies under at least one of them', () => assert.deepEqual([...coverSpans(6, {starts: [1, 2, 5], lengths: [2, 2, 9]})], [0, 1, 1, 1, 0, 1]));
test('spans overlap, so less is hidden than was asked for', () => {
  const r = rng(0), masks = Array.from({length: 300}, () => drawMask(250, base, r).mask), mean = masks.reduce((s, m) => s + share(m), 0) / 300;
  assert.ok(Math.abs(mean - .503) < .006, `${mean}`);
  assert.ok(Math.min(...masks.flatMap(runLengths)) >= 5);
});
test('without overlap the share is exact', () => {
  const r = rng(1);
  for (let i = 0; i < 50; i++) assert.equal(drawMask(250, {...base, no_overlap: true}, r).mask.reduce((a, b) => a + b), 162);   // 162.5, to the even number
  assert.equal(share(exactMask(10, 0, 5, r)), 0); assert.equal(share(exactMask(10, 1, 5, r)), 1);
});
test('single tokens are counted up', () => assert.equal(randomMask(250, .65, rng(0)).reduce((a, b) => a + b), 163));
test('requests that cannot be met are refused in the words of the library', () => {
  assert.throws(() => drawMask(2, base, rng(0)), /2 spans need at least 3 tokens/);
  assert.throws(() => exactMask(6, .65, 5, rng(0)), /less than one span of 5/);
  assert.throws(() => drawMask(250, {...base, ratio: 65}, rng(0)), /ratio=65/);
  assert.throws(() => drawMask(250, {...base, kind: 'uniform', min_span: 11}, rng(0)), /0 <= min_span <= 10/);
});
test('a thousand masks take less than a second', () => {
  const since = performance.now(), r = rng(5);
  for (let i = 0; i < 1000; i++) drawMask(250, base, r);
  assert.ok(performance.now() - since < 1000);
});
