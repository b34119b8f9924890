// Many points on a plane: marks that differ in colour and shape, painted straight into pixels; who is near, who is inside a loop, who is next by keys.
// Places are one Float32Array x0, y0, x1, y1, ...; `shown` is a Uint8Array of 0 and 1, a value for each point.

const up = (x, y) => y <= .72 && y >= -1 && Math.abs(x) <= (y + 1) * .58, plus = (x, y) => Math.min(Math.abs(x), Math.abs(y)) <= .32 && Math.max(Math.abs(x), Math.abs(y)) <= 1;
function star(x, y) {                                   // five rays: the tenth of it that the point falls into, a triangle
  const turn = Math.atan2(x, -y), fifth = 2 * Math.PI / 5, a = Math.abs(turn - fifth * Math.round(turn / fifth)), r = Math.hypot(x, y) / 1.15;
  const bx = .44 * Math.cos(fifth / 2), by = .44 * Math.sin(fifth / 2);
  return (bx - 1) * r * Math.sin(a) - by * (r * Math.cos(a) - 1) >= 0;
}
export const FORMS = [['circle', (x, y) => x * x + y * y <= .81], ['square', (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= .78], ['triangle', up], ['diamond', (x, y) => Math.abs(x) + Math.abs(y) <= 1.1],
  ['triangle down', (x, y) => up(x, -y)], ['plus', plus], ['cross', (x, y) => plus((x + y) * Math.SQRT1_2, (x - y) * Math.SQRT1_2)], ['star', star]];

export function sprite(form, radius) {                  // how much of each pixel a mark covers, 0...256
  const half = Math.ceil(radius * 1.15), size = 2 * half + 1, cover = new Uint16Array(size * size), test = FORMS[form % FORMS.length][1], fine = 4;
  for (let i = 0; i < cover.length; i++) {
    let n = 0;
    for (let k = 0; k < fine * fine; k++) {
      const x = (i % size) - half - .5 + (k % fine + .5) / fine, y = Math.floor(i / size) - half - .5 + (Math.floor(k / fine) + .5) / fine;
      if (test(x / radius, y / radius)) n++;
    }
    cover[i] = n * 256 / (fine * fine);
  }
  return {half, size, cover};
}

export function rgb(hex) { const v = parseInt(hex.slice(1), 16); return [v >> 16 & 255, v >> 8 & 255, v & 255]; }
export const packed = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
export function mixed(a, b, share) { return a.map((v, i) => Math.round(v + (b[i] - v) * share)); }

const over = (under, rb, g, a) => (255 << 24 | ((under & 0xff00ff) * (256 - a) + rb * a >>> 8 & 0xff00ff) | ((under >>> 8 & 0xff) * (256 - a) + g * a >>> 8) << 8) >>> 0;

export function paintPoints({out, wide, high}, at, order, shown, kinds, sprites, colours, place) { // out: Uint32Array of wide*high pixels; place: {x, y, scale}, x and y of the upper left corner
  const {x: x0, y: y0, scale} = place, dots = sprites.map(({size, cover}) => { // of each form the pixels it touches: how far from its corner, in the picture
    const used = [...cover.keys()].filter(k => cover[k]);
    return {far: Int32Array.from(used, k => Math.floor(k / size) * wide + k % size), part: Uint16Array.from(used, k => cover[k])};
  });
  for (let o = 0; o < order.length; o++) {
    const i = order[o];
    if (!shown[i]) continue;
    const kind = kinds[i], {half, size, cover} = sprites[kind], colour = colours[kind], rb = colour & 0xff00ff, g = colour >>> 8 & 0xff;
    const left = Math.round((at[2 * i] - x0) * scale) - half, top = Math.round((y0 - at[2 * i + 1]) * scale) - half;
    if (left >= wide || top >= high || left + size <= 0 || top + size <= 0) continue;
    if (left >= 0 && top >= 0 && left + size <= wide && top + size <= high) {
      const {far, part} = dots[kind], from = top * wide + left;
      for (let k = 0; k < far.length; k++) { const to = from + far[k], a = part[k]; out[to] = a === 256 ? colour : over(out[to], rb, g, a); }
    } else {
      for (let r = Math.max(0, -top); r < Math.min(size, high - top); r++) for (let c = Math.max(0, -left); c < Math.min(size, wide - left); c++) {
        const a = cover[r * size + c], to = (top + r) * wide + left + c;
        if (a) out[to] = over(out[to], rb, g, a);
      }
    }
  }
}

export class Grid {                                     // points sorted into square cells, to find the nearest without asking all
  constructor(at, shown) {
    this.at = at; this.shown = shown;
    const n = shown.length;
    let [x0, x1, y0, y1] = bounds(at, shown);
    this.side = Math.max(1, Math.min(512, Math.round(Math.sqrt(n / 2)))); this.x0 = x0; this.y0 = y0;
    this.cell = Math.max(x1 - x0, y1 - y0, 1e-9) / this.side * 1.000001;
    const where = new Uint32Array(n), count = this.count = new Uint32Array(this.side * this.side + 1);
    for (let i = 0; i < n; i++) if (shown[i]) { where[i] = this.index(at[2 * i], at[2 * i + 1]); count[where[i] + 1]++; }
    for (let k = 1; k < count.length; k++) count[k] += count[k - 1];
    const next = count.slice(); this.order = new Uint32Array(n);
    for (let i = 0; i < n; i++) if (shown[i]) this.order[next[where[i]]++] = i;
  }
  column(v, from) { return Math.max(0, Math.min(this.side - 1, Math.floor((v - from) / this.cell))); }
  index(x, y) { return this.column(y, this.y0) * this.side + this.column(x, this.x0); }
  nearest(x, y, reach) {                                // number of the nearest shown point that is not further than `reach`, or -1
    let best = -1, far = reach * reach;
    const c0 = this.column(x - reach, this.x0), c1 = this.column(x + reach, this.x0), r0 = this.column(y - reach, this.y0), r1 = this.column(y + reach, this.y0);
    for (let r = r0; r <= r1; r++) for (let c = c0; c <= c1; c++) {
      for (let k = this.count[r * this.side + c]; k < this.count[r * this.side + c + 1]; k++) {
        const i = this.order[k], d = (this.at[2 * i] - x) ** 2 + (this.at[2 * i + 1] - y) ** 2;
        if (d <= far) { far = d; best = i; }
      }
    }
    return best;
  }
}

export function bounds(at, shown) {                     // [least x, most x, least y, most y] of the points shown; of none: a square around 0
  let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
  for (let i = 0; i < shown.length; i++) {
    if (!shown[i]) continue;
    const x = at[2 * i], y = at[2 * i + 1];
    if (x < x0) x0 = x; if (x > x1) x1 = x; if (y < y0) y0 = y; if (y > y1) y1 = y;
  }
  return x0 > x1 ? [-1, 1, -1, 1] : [x0, x1, y0, y1];
}
export function fitted(at, shown, wide, high, margin = 26) { // {cx, cy, scale}: all points in a box of wide x high pixels, one scale for both directions
  const [x0, x1, y0, y1] = bounds(at, shown), scale = Math.min((wide - 2 * margin) / Math.max(x1 - x0, 1e-6), (high - 2 * margin) / Math.max(y1 - y0, 1e-6));
  return {cx: (x0 + x1) / 2, cy: (y0 + y1) / 2, scale: Math.max(1e-6, Math.min(scale, 1e6))};
}

export function inLoop(x, y, loop) {                    // is a point inside a closed line [[x, y], ...]? Even and odd crossings
  let odd = false;
  for (let i = 0, j = loop.length - 1; i < loop.length; j = i++) {
    const [xi, yi] = loop[i], [xj, yj] = loop[j];
    if (yi > y !== yj > y && x < (xj - xi) * (y - yi) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}
export function lassoed(at, shown, loop) {              // numbers of the shown points inside the line
  const res = [];
  for (let i = 0; i < shown.length; i++) if (shown[i] && inLoop(at[2 * i], at[2 * i + 1], loop)) res.push(i);
  return res;
}

export function beside(at, shown, from, dx, dy) {       // the next point in a direction: within 45 degrees of it, near and not far off the line; or -1
  let best = -1, least = Infinity;
  for (let i = 0; i < shown.length; i++) {
    if (!shown[i] || i === from) continue;
    const x = at[2 * i] - at[2 * from], y = at[2 * i + 1] - at[2 * from + 1], along = x * dx + y * dy, off = Math.abs(x * dy - y * dx);
    if (along > 0 && off <= along && along + 2 * off < least) { least = along + 2 * off; best = i; }
  }
  return best;
}

export const ease = t => t * t * (3 - 2 * t);
export function between(from, to, t, out) { for (let i = 0; i < to.length; i++) out[i] = from[i] + (to[i] - from[i]) * t; return out; }
