// What needs no page to be tested of the modules that draw and play.
import assert from 'node:assert/strict';
import test from 'node:test';
import { colourMap } from '../../audiossl/explore/js/colours.js';
import { Both, staticModel, sounds } from '../../audiossl/explore/js/explorer.js';
import { niceTicks } from '../../audiossl/explore/js/panel.js';
import { clipped, rms, wavBytes } from '../../audiossl/explore/js/player.js';

test('ticks are round numbers inside the range', () => {
  assert.deepEqual(niceTicks(0, 2.8, 6), [0, .5, 1, 1.5, 2, 2.5]);
  assert.deepEqual(niceTicks(-80, 0, 4), [-80, -60, -40, -20, 0]);
});
test('a colour map runs from its first stop to its last', () => {
  const m = new Uint8Array(colourMap('magma').buffer);
  assert.deepEqual([...m.slice(0, 4)], [0, 0, 4, 255]); assert.deepEqual([...m.slice(-4)], [252, 253, 191, 255]);
});
test('a wave becomes a WAV file; what is above 1 is cut off and counted', () => {
  const bytes = new DataView(wavBytes(Float32Array.of(0, .5, 2, -2), 16000));
  assert.equal(String.fromCharCode(...new Uint8Array(bytes.buffer, 0, 4)), 'RIFF');
  assert.deepEqual([0, 1, 2, 3].map(i => bytes.getInt16(44 + 2 * i, true)), [0, 16384, 32767, -32768]);
  assert.equal(bytes.getUint32(24, true), 16000);
  assert.equal(clipped(Float32Array.of(.4, .6, -.6), 2), 2); assert.ok(Math.abs(rms(Float32Array.of(3, -3)) - 3) < 1e-6);
});
test('a model without a kernel keeps values and tells who listens', () => {
  const m = staticModel({a: 1, samples: {base64: btoa('\x00\x40\x00\xc0')}, sounds: [{name: 'x', n: 2, sr: 16000, scale: 1 / 32768}]});
  let heard = 0;
  const f = () => heard++;
  m.on('change:a', f); m.set('a', 2); m.off('change:a', f); m.set('a', 3);
  assert.equal(heard, 1); assert.equal(m.get('a'), 3);
  assert.deepEqual([...sounds(m)[0].wave], [.5, -.5]);
});
test('a setting changed here and one changed in Python both stay', () => {
  const b = new Both('a', {x: 1, y: 1});
  b.note({x: 2, y: 1}); assert.deepEqual(b.merge({x: 1, y: 5}), {x: 2, y: 5});            // before Python has heard of it
  assert.deepEqual(b.changes(), {by: 'a', values: {x: [1, 2]}});
  assert.deepEqual(b.merge({x: 1, y: 6}), {x: 2, y: 6});                                  // said while ours was on its way
  assert.deepEqual(b.merge({x: 2, y: 6}, ['a', 1]), {x: 2, y: 6}); assert.deepEqual(b.changes().values, {});
});
test('of two changes of a setting the later one stays', () => {
  const b = new Both('a', {x: 1});
  b.note({x: 2}); assert.deepEqual(b.merge({x: 5}), {x: 5}); assert.deepEqual(b.changes().values, {});   // Python's, before ours was sent
  b.note({x: 3}); b.changes(); assert.deepEqual(b.merge({x: 7}), {x: 3});                 // they cross: Python hears ours last
  assert.deepEqual(b.merge({x: 3}, ['a', 2]), {x: 3}); assert.deepEqual(b.merge({x: 8}, ['a', 2]), {x: 8});
});
test('what Python repeats does not undo what came after it', () => {
  const b = new Both('a', {x: 1});
  b.note({x: 2}); b.changes(); b.note({x: 3});
  assert.deepEqual(b.merge({x: 2}, ['a', 1]), {x: 3}); assert.deepEqual(b.changes().values, {x: [2, 3]});
  assert.deepEqual(b.merge({x: 2}, ['another page', 9]), {x: 3}); assert.deepEqual(b.merge({x: 3}, ['a', 2]), {x: 3}); assert.deepEqual(b.changes().values, {});
});
