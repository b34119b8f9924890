// From scores to events, counts and curves, in the page: what audiossl.downstream.decoding and audiossl.downstream.psds compute, step by step.
// Times are whole microseconds from the beginning of a clip; an event is [onset, offset]; the true events of a class are in order and do not overlap.

export function medianFilter(x, size) {                 // x: numbers of a class, frame by frame; size: odd; both ends mirrored
  const n = x.length, h = size >> 1;
  if (!h || !n) return x;
  const mirrored = i => { const t = (i % (2 * n) + 2 * n) % (2 * n); return x[t < n ? t : 2 * n - 1 - t]; };
  const near = Float64Array.from({length: 2 * h + 1}, (_, i) => mirrored(i - h)).sort(), out = new Float64Array(n);
  const place = v => { let a = 0, b = near.length; while (a < b) { const m = a + b >> 1; if (near[m] < v) a = m + 1; else b = m; } return a; };
  for (let i = 0; i < n; i++) {
    out[i] = near[h];
    const gone = mirrored(i - h), come = mirrored(i + h + 1);
    if (gone === come) continue;
    const at = place(gone);
    near.copyWithin(at, at + 1);                        // one out: its place is at the end now
    let a = 0, b = near.length - 1;
    while (a < b) { const m = a + b >> 1; if (near[m] < come) a = m + 1; else b = m; }
    near.copyWithin(a + 1, a, near.length - 1); near[a] = come;
  }
  return out;
}

export function runsAbove(x, frames, threshold, edges, length) { // events in the first `frames` of x; edges: where frames begin
  const out = [];
  for (let k = 0; k < frames; k++) {
    if (!(x[k] > threshold)) continue;
    const a = k;
    while (k < frames && x[k] > threshold) k++;
    out.push([Math.min(edges[a], length), Math.min(edges[k], length)]);
  }
  return out;
}

const shared = (a, b) => Math.min(a[1], b[1]) - Math.max(a[0], b[0]);
const enough = (part, whole, share) => part >= share * whole - .5;  // exactly the share is enough

// Both ways of matching give {found: [bool], missed: [bool]}: is a detection right, is a true event missed?
export function matchEnds(found, real, {onset = 2e5, offset = 2e5, share = .2} = {}) { // by onset and offset; as many pairs as can be
  const fits = real.map(g => found.flatMap((d, i) => Math.abs(d[0] - g[0]) <= onset + .5 && Math.abs(d[1] - g[1]) <= Math.max(offset, share * (g[1] - g[0])) + .5 ? [i] : []));
  const owner = Array(found.length).fill(-1), has = Array(real.length).fill(false);
  const pair = (g, seen) => fits[g].some(d => {
    if (seen.has(d)) return false;
    seen.add(d);
    if (owner[d] >= 0 && !pair(owner[d], seen)) return false;
    owner[d] = g; return true;
  });
  real.forEach((_, g) => { has[g] = pair(g, new Set()); });
  return {found: owner.map(g => g >= 0), missed: has.map(o => !o)};
}

export function matchShares(found, real, {dtc = .5, gtc = .5} = {}) { // by the time they share
  const own = (d, list) => list.reduce((s, g) => s + Math.max(0, shared(d, g)), 0);
  const right = found.map(d => enough(own(d, real), d[1] - d[0], dtc)), good = found.filter((_, i) => right[i]);
  return {found: right, missed: real.map(g => !enough(own(g, good), g[1] - g[0], gtc))};
}

export function crossings(wrong, others, cttc) {        // how many of the detections that are not accepted lie on another class's true events
  return wrong.filter(d => { const w = others.map(g => Math.max(0, shared(d, g))).reduce((a, b) => a + b, 0); return w > 0 && enough(w, d[1] - d[0], cttc); }).length;
}

export function operatingPoint(tp, fp, cross, {real, seconds, realSeconds}, alphaCross) { // of each class: false alarms an hour with the cost of cross triggers, share found
  const some = real.map((n, c) => n ? c : -1).filter(c => c >= 0), others = Math.max(some.length - 1, 1);
  return some.map(c => ({c, x: 3600 * fp[c] / seconds + (alphaCross ? some.reduce((s, k) => s + (k === c ? 0 : cross[c][k] * 3600 * alphaCross / others / realSeconds[k]), 0) : 0), y: tp[c] / real[c]}));
}

const average = v => v.reduce((a, b) => a + b, 0) / v.length;
export function together(shares, alphaSpread) {         // one number for all classes: their mean, less so many standard deviations, never below 0
  const m = average(shares);
  return Math.max(0, m - alphaSpread * Math.sqrt(average(shares.map(v => (v - m) ** 2))));
}

export function psdCurve(curves, alphaSpread, most) {   // curves: [{x, y}] of each class, where it rises and to what; {x, y} of all together, and the area below it
  const x = [...new Set([0, ...curves.flatMap(o => o.x.filter(v => v <= most))])].sort((a, b) => a - b), at = curves.map(() => 0);
  const y = x.map(v => together(curves.map((o, i) => { while (at[i] < o.x.length && o.x[at[i]] <= v) at[i]++; return at[i] ? o.y[at[i] - 1] : 0; }), alphaSpread));
  return {x, y, area: y.reduce((s, v, i) => s + v * ((i + 1 < x.length ? x[i + 1] : most) - x[i]), 0) / most};
}
