import assert from 'node:assert/strict';
import test from 'node:test';
import { crc32, decibel, fft, hann, hzRow, logMel, melFilters, power, rowHz } from '../../audiossl/explore/js/frontend.js';
import { unmel } from '../../audiossl/explore/js/unmel.js';

const tone = (hz, n = 16000, a = .5) => Float32Array.from({length: n}, (_, i) => a * Math.sin(2 * Math.PI * hz * i / 16000));
const close = (a, b, eps = 1e-9) => assert.ok(Math.abs(a - b) <= eps, `${a} is not ${b}`);

test('the transform is the sum that defines it', () => {
  const n = 16, re = Float64Array.from({length: n}, (_, i) => Math.sin(i * i)), im = Float64Array.from({length: n}, (_, i) => Math.cos(3 * i)), a = re.slice(), b = im.slice();
  fft(a, b);
  for (let k = 0; k < n; k++) {
    let x = 0, y = 0;
    for (let i = 0; i < n; i++) { const w = -2 * Math.PI * k * i / n; x += re[i] * Math.cos(w) - im[i] * Math.sin(w); y += re[i] * Math.sin(w) + im[i] * Math.cos(w); }
    close(a[k], x); close(b[k], y);
  }
});
test('a length that is no power of two is refused', () => assert.throws(() => fft(new Float64Array(12), new Float64Array(12)), /power of two/));

test('frames: one on every hop, the first on sample 0; odd and even numbers of them', () => {
  for (const n of [1, 513, 1600, 1760, 16000]) assert.equal(power(tone(440, n), {n_fft: 1024, win_length: 1024, hop_length: 160}).T, 1 + Math.floor(Math.max(n, 513) / 160));
});
test('a tone has the power of its window in its bin', () => {
  const {data, bins} = power(tone(1000), {n_fft: 1024, win_length: 1024, hop_length: 160}), mid = data.subarray(50 * bins, 51 * bins);
  close(mid[64], (.5 * hann(1024).reduce((a, b) => a + b) / 2) ** 2, 1e-3);
  assert.equal(mid.indexOf(Math.max(...mid)), 64);
});
test('1 kHz is found at 1 kHz', () => {
  const m = logMel(tone(1000)), col = Array.from({length: 64}, (_, r) => m.data[r * m.T + 50]), top = col.indexOf(Math.max(...col));
  assert.ok(Math.abs(top - hzRow(1000)) <= 1);
  close(rowHz(hzRow(1234)), 1234, 1e-6); close(rowHz(hzRow(500, {scale: 'linear'}), {scale: 'linear'}), 500, 1e-9);
});
test('the floor is top_db below the loudest, for each clip', () => {
  const {data} = decibel({rows: 1, T: 3, data: Float32Array.of(1, 1e-5, 0)}, 30);
  assert.deepEqual([...data], [0, -30, -30]);
  assert.deepEqual([...decibel({rows: 1, T: 2, data: Float32Array.of(1, 0)}, null).data], [0, -100]);
});
test('settings that cannot be are refused in the words of the library', () => {
  assert.throws(() => melFilters({n_fft: 256, n_mels: 128, f_min: 60, f_max: 7800}), /triangles fall between two bins of n_fft=256/);
  assert.throws(() => melFilters({n_fft: 1024, n_mels: 64, f_min: 900, f_max: 800}), /0 <= f_min < f_max <= 8000/);
  assert.throws(() => logMel(tone(440), {win_length: 2048}), /win_length=2048: 1 to n_fft=1024/);
});
test('the checksum is the one of zip files', () => assert.equal(crc32(new TextEncoder().encode('123456789')), 'cbf43926'));
test('a sound made of a picture gives about that picture', () => {
  const m = logMel(tone(1000, 8000)), x = unmel(m), again = logMel(x);
  assert.equal(x.length, (m.T - 1) * 160);
  const col = Array.from({length: 64}, (_, r) => again.data[r * again.T + 25]);
  assert.ok(Math.abs(col.indexOf(Math.max(...col)) - hzRow(1000)) <= 1);
  assert.throws(() => unmel({rows: 64, T: 3, data: new Float32Array(192)}), /at least 4/);
});
