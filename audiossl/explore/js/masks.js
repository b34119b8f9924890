// Masks as `audiossl.transforms.mask` draws them: with the same generator the same mask, token by token. A mask is a Uint8Array, 1 is hidden.

function check(n_tokens, ratio) {
  if (!(n_tokens >= 1)) throw Error(`n_tokens=${n_tokens}: at least 1`);
  if (!(ratio >= 0 && ratio <= 1)) throw Error(`ratio=${ratio}: a share of 0 to 1`);
}
const even = x => { const r = Math.round(x); return Math.abs(x % 1) === .5 && r % 2 ? r - 1 : r; }; // Python's round: halves go to the even number

export function randomMask(n_tokens, ratio, rng) {
  check(n_tokens, ratio);
  return Uint8Array.from(rng.permutation(n_tokens), v => +(v < n_tokens * ratio));
}

export function drawSpans(n_tokens, ratio, span, kind, min_span, rng) {
  check(n_tokens, ratio);
  if (span < 1 || !(min_span >= 0 && min_span <= 2 * span)) throw Error(`span=${span}, min_span=${min_span}: span >= 1 and 0 <= min_span <= ${2 * span}`);
  const n = Math.max(2, Math.floor(ratio * n_tokens / span + rng.random()));
  if (n_tokens <= n) throw Error(`n_tokens=${n_tokens}: ${n} spans need at least ${n + 1} tokens`);
  const lengths = Array.from({length: n}, () => kind === 'static' ? span : rng.integers(min_span, 2 * span + 1));
  if (!lengths.some(Boolean)) lengths[0] = Math.min(span, n_tokens - 1);
  const shortest = Math.min(...lengths, n_tokens - n - 1);
  return {starts: rng.choice(n_tokens - shortest, n), lengths};
}

export function coverSpans(n_tokens, {starts, lengths}) {
  const mask = new Uint8Array(n_tokens);
  starts.forEach((s, i) => mask.fill(1, s, Math.min(n_tokens, s + lengths[i])));
  return mask;
}

export function exactMask(n_tokens, ratio, span, rng) {
  check(n_tokens, ratio);
  const hidden = even(ratio * n_tokens);
  if (span < 1) throw Error(`span=${span}: at least 1`);
  if (hidden > 0 && hidden < span) throw Error(`ratio=${ratio} of ${n_tokens} tokens hides ${hidden}, less than one span of ${span}`);
  const n = Math.max(1, Math.floor(hidden / span));
  const spread = rest => { const res = Array(n).fill(0); for (let i = 0; i < rest; i++) res[rng.integers(0, n)]++; return res; };
  const runs = hidden ? spread(hidden - n * span).map(v => v + span) : Array(n).fill(0), gaps = spread(n_tokens - hidden), ring = new Uint8Array(n_tokens), turned = new Uint8Array(n_tokens);
  runs.reduce((at, r, i) => { ring.fill(1, at, at + r); return at + r + gaps[i]; }, 0);
  const turn = rng.integers(0, n_tokens);
  for (let i = 0; i < n_tokens; i++) turned[(i + turn) % n_tokens] = ring[i];
  return turned;
}

export function drawMask(n_tokens, {kind, ratio, span, min_span, no_overlap}, rng) { // {mask, spans or null}
  if (kind === 'random') return {mask: randomMask(n_tokens, ratio, rng), spans: null};
  if (kind === 'block' && no_overlap) return {mask: exactMask(n_tokens, ratio, span, rng), spans: null};
  const spans = drawSpans(n_tokens, ratio, span, kind === 'block' ? 'static' : 'uniform', min_span, rng);
  return {mask: coverSpans(n_tokens, spans), spans};
}

export function runLengths(mask) {
  const res = [];
  let run = 0;
  for (const v of [...mask, 0]) if (v) run++; else if (run) { res.push(run); run = 0; }
  return res;
}
export const share = mask => mask.reduce((s, v) => s + v, 0) / mask.length;
