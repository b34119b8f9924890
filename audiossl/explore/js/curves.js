// Curves of a training: unpacked from bytes, smoothed, searched. The sums are those of the library, number by number.

export function unpack(view, runs) {                    // runs: [{signs: [[key, points, means], ...]}, ...] in the order of the bytes; each curve is {x, y, mx, my}
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength), take = n => { const res = new Float32Array(bytes, at, n); at += 4 * n; return res; };
  let at = 0;
  return runs.map(r => Object.fromEntries(r.signs.map(([key, n, m]) => {
    const x = take(n), y = take(n);
    return [key, m ? {x, y, mx: take(m), my: take(m)} : {x, y, mx: x, my: y}];
  })));
}

export function smooth(x, y, steps) {                   // running mean that forgets over so many steps; 0: as it is
  if (!steps || !y.length) return y;
  const res = new Float32Array(y.length);
  let s = y[0];
  for (let i = 0; i < y.length; i++) {
    const d = i ? x[i] - x[i - 1] : 0;
    s += (y[i] - s) * (d / (steps + d)); res[i] = s;
  }
  return res;
}

export function nearest(x, at) {                        // index of the entry of a rising list that is next to `at`; -1 of an empty one
  let lo = 0, hi = x.length - 1;
  while (lo < hi) { const mid = (lo + hi) >> 1; if (x[mid] < at) lo = mid + 1; else hi = mid; }
  return lo > 0 && at - x[lo - 1] <= x[lo] - at ? lo - 1 : hi < 0 ? -1 : lo;
}

export function reach(curves, [from, to], log, also = []) { // lowest and highest value between two steps, and a little room; `also`: values that are to be seen in any case
  let lo = Infinity, hi = -Infinity;
  const see = v => { if (Number.isFinite(v) && (!log || v > 0)) { if (v < lo) lo = v; if (v > hi) hi = v; } };
  for (const {x, y} of curves) for (let i = 0; i < x.length; i++) if (x[i] >= from && x[i] <= to) see(y[i]);
  also.forEach(see);
  if (lo > hi) return log ? [.1, 1] : [0, 1];
  if (log) { const room = Math.max(1.05, (hi / lo) ** .06); return [lo / room, hi * room]; }
  const room = (hi - lo) * .06 || Math.abs(hi) * .1 || .5;
  return [lo >= 0 && lo < .3 * hi ? 0 : lo - room, hi + room];
}

export function logTicks(lo, hi) {                      // round numbers between two positive ones, at most nine
  const res = [], wide = Math.log10(hi / lo), of = wide > 3 ? [1] : wide > 1.2 ? [1, 3] : wide > .5 ? [1, 2, 3, 5] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8];
  for (let e = Math.floor(Math.log10(lo)); e <= Math.ceil(Math.log10(hi)); e++) for (const k of of) { const v = k * 10 ** e; if (v >= lo && v <= hi) res.push(+v.toPrecision(3)); }
  const every = Math.ceil(res.length / 9);
  return res.filter((_, i) => i % every === 0);
}

export function brief(v) {                              // a number in at most seven signs
  if (v === null || v === undefined || Number.isNaN(v)) return '\u2013';
  const a = Math.abs(v), text = a === 0 ? '0' : a >= 1e5 || a < 1e-3 ? v.toExponential(1).replace('e+', 'e') : a >= 100 ? v.toFixed(0) : String(+v.toPrecision(a >= 1 ? 3 : 4));
  return text.replace(/-/g, '\u2212');
}
