// The table of a dataset as plain arrays: which rows are listed, in which order, and what they add up to. The same rules as `rows_of` in Python.

export const BINS = 24;                                 // of the histogram of durations

export const classesOf = (d, i) => d.labels[i].map(c => d.classes[c]);
const hay = d => d.hay ??= d.keys.map((k, i) => `${k}\n${classesOf(d, i).join(' ')}\n${d.source[i] || k}`.toLowerCase());
export const partOf = (d, by, i) => by === 'split' ? d.split[i] : d.fold[i] ? String(d.fold[i]) : '';
export const lengthOf = (d, i) => d.seconds[i] ?? -1;   // -1: not known
export const binOf = (seconds, top) => Math.min(BINS - 1, Math.floor(seconds / top * BINS));

function column(d, sort) {
  const all = {key: d.keys, label: d.keys.map((k, i) => classesOf(d, i).join(' ')), split: d.split, fold: d.fold, seconds: d.keys.map((k, i) => lengthOf(d, i)), rate: d.rate};
  if (!all[sort]) throw Error(`sort='${sort}': ${Object.keys(all).join(', ')} or nothing`);
  return all[sort];
}

function pairs(d, [what, by, a, b]) {                   // is row i one of those that the parts a and b share?
  const of = what === 'sound' ? d.mark : d.recording, n = {};
  of.forEach((o, i) => { const p = partOf(d, by, i); (n[o] ??= {})[p] = (n[o][p] ?? 0) + 1; });
  return {of, has: i => { const p = partOf(d, by, i), m = n[of[i]]; return of[i] >= 0 && (p === a || p === b) && (a === b ? m[a] > 1 : m[a] > 0 && m[b] > 0); }};
}

export function listedRows(d, s) {                      // numbers of rows, in the order of the table
  const text = s.text.trim().toLowerCase(), label = s.label ? d.classes.indexOf(s.label) : -1, shared = s.overlap?.length ? pairs(d, s.overlap) : null, res = [];
  for (let i = 0; i < d.keys.length; i++) {
    const t = lengthOf(d, i);
    if ((!s.split || d.split[i] === s.split) && (!s.label || d.labels[i].includes(label)) && (!s.fold || d.fold[i] === s.fold) && (t < 0 || s.shortest <= t && t <= s.longest)
      && (!text || hay(d)[i].includes(text)) && (!shared || shared.has(i))) res.push(i);
  }
  if (shared) res.sort((i, j) => shared.of[i] - shared.of[j] || i - j);
  if (s.sort) {
    const c = column(d, s.sort), way = s.descending ? -1 : 1, was = new Map(res.map((r, i) => [r, i]));
    res.sort((i, j) => (c[i] < c[j] ? -way : c[i] > c[j] ? way : was.get(i) - was.get(j)));
  }
  return res;
}

export function countClasses(d, rows) {                 // sounds of each class
  const res = new Array(d.classes.length).fill(0);
  for (const i of rows) for (const c of d.labels[i]) res[c]++;
  return res;
}

export function countLengths(d, rows) {
  const res = new Array(BINS).fill(0);
  for (const i of rows) if (d.seconds[i] !== null) res[binOf(d.seconds[i], d.top)]++;
  return res;
}

export function verdict(d) {                            // one sentence about what the parts share
  const off = (o, f) => o.matrix.flatMap((row, a) => row.flatMap((n, b) => n && a !== b && f(a, b) ? [[n, o.parts[a], o.parts[b]]] : []));
  const same = d.overlaps.filter(o => o.what === 'sound'), bad = same.flatMap(o => off(o, (a, b) => a > b).map(([n, a, b]) => o.by === 'split'
    ? `${n} ${n === 1 ? 'sound' : 'sounds'} of ${a} ${n === 1 ? 'is' : 'are'} in ${b} too` : `folds ${b} and ${a} share ${n}`));
  const known = d.overlaps.filter(o => o.what === 'source'), from = known.reduce((m, o) => m + off(o, (a, b) => a > b).reduce((k, [n]) => k + n, 0), 0);
  if (!d.overlaps.length) return 'There is one part only, so nothing can be in two of them.';
  return (bad.length ? `${bad.slice(0, 4).join('; ')}${bad.length > 4 ? `; and ${bad.length - 4} more pairs` : ''}.` : 'No sound is in two parts.')
    + (from ? ` ${from.toLocaleString('en-US')} come from a recording that another part has, too.` : known.length ? ' By what is known of recordings, none is in two parts.' : '');
}
