// numpy's random generator, so that a seed means the same in the browser and in Python: `rng(7)` draws what `np.random.default_rng(7)` draws.
// PCG64 (O'Neill 2014) seeded by numpy's SeedSequence; only the draws that the package uses are here.

const M128 = (1n << 128n) - 1n, M64 = (1n << 64n) - 1n, MULT = 0x2360ED051FC65DA44385DF649FCCF645n;

function words(entropy) {                               // whole numbers -> 32-bit words, least first, as numpy splits them
  return [entropy].flat().flatMap(n => {
    if (!(Number.isInteger(n) && n >= 0)) throw Error(`seed ${n}: whole numbers from 0 on`);
    const res = [];
    do { res.push(n % 2 ** 32); n = Math.floor(n / 2 ** 32); } while (n > 0);
    return res;
  });
}

function seedState(entropy) {                           // 8 words from a SeedSequence
  let hash = 0x43b0d7e5;
  const hashmix = v => { v ^= hash; hash = Math.imul(hash, 0x931e8875); v = Math.imul(v, hash); return (v ^ v >>> 16) >>> 0; };
  const mix = (x, y) => { const r = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y) | 0; return (r ^ r >>> 16) >>> 0; };
  const e = words(entropy), pool = [0, 1, 2, 3].map(i => hashmix(e[i] ?? 0));
  for (let s = 0; s < 4; s++) for (let d = 0; d < 4; d++) if (s !== d) pool[d] = mix(pool[d], hashmix(pool[s]));
  for (const w of e.slice(4)) for (let d = 0; d < 4; d++) pool[d] = mix(pool[d], hashmix(w));
  hash = 0x8b51f9dd;
  return Array.from({length: 8}, (_, i) => {
    let v = pool[i % 4] ^ hash;
    hash = Math.imul(hash, 0x58f38ded); v = Math.imul(v, hash);
    return (v ^ v >>> 16) >>> 0;
  });
}

export function rng(seed) {                             // seed: a whole number or a list of them
  const s = seedState(seed).map(BigInt), pair = i => s[i] | s[i + 1] << 32n;
  const inc = ((pair(4) << 64n | pair(6)) << 1n | 1n) & M128;
  let state = (inc + (pair(0) << 64n | pair(2))) & M128, kept = null;
  const step = () => { state = (state * MULT + inc) & M128; };
  step();
  const next64 = () => {
    step();
    const hi = state >> 64n, x = hi ^ (state & M64), turn = hi >> 58n;
    return (x >> turn | x << (64n - turn)) & M64;
  };
  const next32 = () => {                                // a draw of 64 bits serves twice, low half first
    if (kept !== null) { const k = kept; kept = null; return k; }
    const x = next64();
    kept = Number(x >> 32n);
    return Number(x & 0xffffffffn);
  };
  const below = n => {                                  // whole number, 0 to n-1 (Lemire's way)
    if (n < 1 || n > 2 ** 21) throw Error(`a draw among ${n}: 1 to ${2 ** 21}`);
    if (n === 1) return 0;
    let m = next32() * n;
    for (const least = (2 ** 32 - n) % n; m % 2 ** 32 < least;) m = next32() * n;
    return Math.floor(m / 2 ** 32);
  };
  const within = n => {                                 // the same by trial, as numpy's `shuffle` does it
    const bits = 2 ** (32 - Math.clz32(n - 1)) - 1;
    for (;;) { const v = (next32() & bits) >>> 0; if (v < n) return v; }
  };
  const shuffle = (a, draw) => {
    for (let i = a.length - 1; i > 0; i--) { const j = draw(i + 1); [a[i], a[j]] = [a[j], a[i]]; }
    return a;
  };
  return {
    random: () => Number(next64() >> 11n) / 2 ** 53,
    integers: (low, high) => low + below(high - low),
    permutation: n => shuffle(Array.from({length: n}, (_, i) => i), within),
    choice(n, k) {                                      // k different ones of n (Floyd's way, then shuffled)
      const res = new Set();
      for (let j = n - k; j < n; j++) { const v = below(j + 1); res.add(res.has(v) ? j : v); }
      return shuffle([...res], below);
    },
  };
}
