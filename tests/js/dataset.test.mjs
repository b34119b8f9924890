// The table of a dataset: filters, order, counts, what parts share; and which rows of a table are in the page.
import assert from 'node:assert/strict';
import test from 'node:test';
import { BINS, binOf, countClasses, countLengths, listedRows, verdict } from '../../audiossl/explore/js/rows.js';
import { ROW, inSight, moved } from '../../audiossl/explore/js/table.js';

const d = {classes: ['cat', 'dog'], keys: ['b/Cat 1.wav', 'a/dog.wav', 'c/both.wav', 'd/copy.wav', 'e/\u{1F3BA}.wav'], labels: [[0], [1], [0, 1], [0], []], split: ['train', 'train', 'valid', 'test', 'test'], fold: [1, 2, 1, 2, 0],
  seconds: [1, 2, 4, 1, null], rate: [16000, 44100, 16000, 16000, 0], source: ['', 'tape 7', '', '', ''], mark: [0, 1, 2, 0, 3], recording: [0, 1, 1, 2, -1], top: 4, overlaps: []};
const all = {text: '', split: '', label: '', fold: 0, shortest: 0, longest: 1e9, overlap: [], sort: '', descending: false};
const list = s => listedRows(d, {...all, ...s});

test('every filter keeps what it says, together and alone', () => {
  assert.deepEqual(list({}), [0, 1, 2, 3, 4]);
  assert.deepEqual(list({text: ' CAT '}), [0, 2, 3]); assert.deepEqual(list({text: 'tape'}), [1]); assert.deepEqual(list({text: '\u{1F3BA}'}), [4]);
  assert.deepEqual(list({label: 'cat'}), [0, 2, 3]); assert.deepEqual(list({label: 'cow'}), []);
  assert.deepEqual(list({split: 'train'}), [0, 1]); assert.deepEqual(list({fold: 2, label: 'cat'}), [3]);
  assert.deepEqual(list({shortest: 1.5}), [1, 2, 4]);                         // what is not known is never filtered out
  assert.deepEqual(list({longest: 1}), [0, 3, 4]);
});
test('order is stable both ways; what is not known comes first', () => {
  assert.deepEqual(list({sort: 'seconds'}), [4, 0, 3, 1, 2]); assert.deepEqual(list({sort: 'seconds', descending: true}), [2, 1, 0, 3, 4]);
  assert.deepEqual(list({sort: 'key'}), [1, 0, 2, 3, 4]); assert.deepEqual(list({sort: 'label'}), [4, 0, 3, 2, 1]);
  assert.throws(() => list({sort: 'loudness'}), /loudness/);
});
test('what two parts share, twins beside each other', () => {
  assert.deepEqual(list({overlap: ['sound', 'split', 'train', 'test']}), [0, 3]);
  assert.deepEqual(list({overlap: ['source', 'split', 'train', 'valid']}), [1, 2]);
  assert.deepEqual(list({overlap: ['source', 'split', 'test', 'test']}), []);
  assert.deepEqual(list({overlap: ['sound', 'fold', '1', '2']}), [0, 3]);
});
test('counts and durations', () => {
  assert.deepEqual(countClasses(d, [0, 1, 2, 3, 4]), [3, 2]);
  const n = countLengths(d, [0, 1, 2, 3, 4]);
  assert.equal(n.reduce((a, b) => a + b), 4); assert.equal(n[BINS - 1], 1); assert.equal(n[6], 2); assert.equal(binOf(4, 4), BINS - 1);
});
test('the verdict is a sentence about what should not be', () => {
  const m = (what, by, parts, matrix) => ({what, by, parts, matrix});
  assert.match(verdict({overlaps: []}), /one part only/);
  assert.equal(verdict({overlaps: [m('sound', 'split', ['train', 'test'], [[4, 0], [0, 0]])]}), 'No sound is in two parts.');
  assert.match(verdict({overlaps: [m('sound', 'split', ['train', 'test'], [[0, 3], [2, 0]])]}), /^2 sounds of test are in train too\./);
  assert.match(verdict({overlaps: [m('source', 'fold', ['1', '2'], [[9, 1], [1, 9]])]}), /1 come from a recording/);
  assert.match(verdict({overlaps: [m('source', 'fold', ['1', '2'], [[9, 0], [0, 9]])]}), /none is in two parts\.$/);
});
test('only the rows in sight are drawn', () => {
  assert.deepEqual(inSight(0, 280, 2000), [0, 13]); assert.deepEqual(inSight(ROW * 100, 280, 2000), [97, 113]);
  assert.deepEqual(inSight(ROW * 100, 280, 5), [5, 5]); assert.deepEqual(inSight(0, 280, 0), [0, 0]);
});
test('keys lead to a row of the table or nowhere', () => {
  assert.equal(moved('ArrowDown', 0, 5, 8), 1); assert.equal(moved('ArrowUp', 0, 5, 8), 0); assert.equal(moved('PageDown', 1, 5, 8), 4); assert.equal(moved('End', -1, 5, 8), 4);
  assert.equal(moved('x', 0, 5, 8), null); assert.equal(moved('ArrowDown', -1, 0, 8), null);
});
test('a filter over 50,000 rows takes less than 100 ms', () => {
  const n = 50000, big = {...d, keys: Array.from({length: n}, (_, i) => `k${i}`), labels: Array.from({length: n}, (_, i) => [i % 2]), source: Array(n).fill(''), hay: undefined};
  for (const k of ['split', 'fold', 'seconds', 'rate', 'mark', 'recording']) big[k] = Array.from({length: n}, (_, i) => d[k][i % 5]);
  listedRows(big, {...all, text: 'k1'});
  const since = performance.now();
  listedRows(big, {...all, text: 'k49', label: 'dog'});
  assert.ok(performance.now() - since < 100);
});
