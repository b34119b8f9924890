// Numbers that numpy's default_rng gives (numpy 2, PCG64).
import assert from 'node:assert/strict';
import test from 'node:test';
import { rng } from '../../audiossl/explore/js/rng.js';

const many = (n, f) => Array.from({length: n}, f);

test('the same seed draws what numpy draws', () => {
  const r = rng(7);
  assert.equal(r.random(), 0.625095466604667);
  assert.deepEqual(many(5, () => r.integers(0, 10)), [6, 8, 5, 7, 8]);
  assert.equal(r.integers(0, 10), 2);
  assert.equal(r.random(), 0.30016628491122543);
  assert.deepEqual(r.choice(20, 5), [14, 0, 16, 4, 9]);
  assert.deepEqual(r.permutation(8), [3, 1, 4, 6, 5, 2, 0, 7]);
  assert.deepEqual(many(4, () => r.integers(3, 11)), [6, 7, 7, 7]);
  assert.equal(r.random() < 1, true);
});

test('a list of seeds is one seed', () => {
  const r = rng([3, 4]);
  assert.equal(r.random(), 0.8983874397838618);
  assert.equal(r.integers(0, 1), 0);                    // takes nothing from the stream
  assert.equal(r.random(), 0.45577517933777767);
});

test('a seed is a whole number from 0 on', () => { for (const bad of [-1, .5, NaN]) assert.throws(() => rng(bad), /whole numbers/); });
test('a draw among none or too many is refused', () => { for (const n of [0, 2 ** 22]) assert.throws(() => rng(0).integers(0, n), /a draw among/); });
