// One picture with axes: a canvas for what stays, a second one above it for what moves (cursor, selection, pointer).
import { colourMap } from './colours.js';

export function niceTicks(lo, hi, about = 6) {          // round numbers between lo and hi
  if (hi < lo) [lo, hi] = [hi, lo];
  const raw = (hi - lo) / about, ten = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(k => k * ten).find(s => s >= raw * .999);
  const res = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++) res.push(+(i * step).toPrecision(12));
  return res;
}

export const number = (v, digits = 2) => v.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits}).replace('-', '\u2212');
const plain = v => String(+v.toPrecision(6)).replace('-', '\u2212');

export class Panel {
  constructor(parent, {height = 200, left = 54, right = 62, top = 8, bottom = 30, testid = 'panel', ink}) {
    Object.assign(this, {height, left, right, top, bottom, ink, x: [0, 1], y: [0, 1]});
    this.box = document.createElement('div');
    this.box.className = 'ax-panel'; this.box.dataset.testid = testid; this.box.style.height = `${height}px`;
    this.canvas = document.createElement('canvas'); this.canvas.setAttribute('role', 'img'); this.canvas.setAttribute('aria-label', 'nothing is drawn yet');
    this.veil = document.createElement('canvas'); this.veil.setAttribute('aria-hidden', 'true'); this.veil.className = 'ax-veil';
    this.box.append(this.canvas, this.veil); parent.append(this.box);
  }
  start() {                                             // fit the canvases to the page, clear them
    const wide = this.box.clientWidth, ratio = globalThis.devicePixelRatio || 1;
    for (const c of [this.canvas, this.veil]) {
      const w = Math.max(1, Math.round(wide * ratio)), h = Math.round(this.height * ratio);
      if (c.width !== w || c.height !== h) { c.width = w; c.height = h; }
    }
    this.wide = wide; this.w = Math.max(10, wide - this.left - this.right); this.h = this.height - this.top - this.bottom;
    this.g = this.canvas.getContext('2d'); this.v = this.veil.getContext('2d');
    for (const g of [this.g, this.v]) { g.setTransform(ratio, 0, 0, ratio, 0, 0); g.clearRect(0, 0, wide, this.height); g.font = '11px system-ui, sans-serif'; }
    return this;
  }
  px(t) { return this.left + (t - this.x[0]) / (this.x[1] - this.x[0]) * this.w; }
  py(v) { return this.top + this.h - (v - this.y[0]) / (this.y[1] - this.y[0]) * this.h; }
  at(px, py) { return [this.x[0] + (px - this.left) / this.w * (this.x[1] - this.x[0]), this.y[0] + (this.top + this.h - py) / this.h * (this.y[1] - this.y[0])]; }
  inside(f, g = this.g) { g.save(); g.beginPath(); g.rect(this.left, this.top, this.w, this.h); g.clip(); f(g); g.restore(); }
  image(canvas, [x0, x1], [y0, y1], alpha = 1) {        // place a picture by the values at its edges
    this.inside(g => {
      g.imageSmoothingEnabled = false; g.globalAlpha = alpha;
      g.drawImage(canvas, this.px(x0), this.py(y1), this.px(x1) - this.px(x0), this.py(y0) - this.py(y1));
    });
  }
  label(text) { this.canvas.setAttribute('aria-label', text); }
  frame() { this.g.strokeStyle = this.ink.line; this.g.lineWidth = 1; this.g.strokeRect(this.left - .5, this.top - .5, this.w + 1, this.h + 1); }
  axisX(name, ticks = niceTicks(...this.x, Math.max(2, this.w / 90)), write = plain) {
    const g = this.g, y = this.top + this.h;
    g.fillStyle = this.ink.text; g.strokeStyle = this.ink.line; g.textAlign = 'center'; g.textBaseline = 'top';
    const at = ticks.map(t => this.px(t));
    const room = name ? this.wide - 12 - g.measureText(name).width : Infinity;
    ticks.forEach((t, i) => {
      const text = write(t);
      g.beginPath(); g.moveTo(at[i], y); g.lineTo(at[i], y + 4); g.stroke();
      if (this.bottom > 14 && at[i] + g.measureText(text).width / 2 < room) g.fillText(text, at[i], y + 6);
    });
    if (name && this.bottom > 14) { g.textAlign = 'right'; g.fillStyle = this.ink.soft; g.fillText(name, this.wide - 6, y + 6); }
    this.canvas.dataset.xticks = JSON.stringify(at.map(v => +v.toFixed(2)));
  }
  axisY(name, ticks = niceTicks(...this.y, this.h / 36), write = plain) { // ticks: numbers, or pairs [value, text]
    const g = this.g;
    g.fillStyle = this.ink.text; g.strokeStyle = this.ink.line; g.textAlign = 'right'; g.textBaseline = 'middle';
    let last = Infinity;
    for (const o of ticks) {
      const [v, text] = Array.isArray(o) ? o : [o, write(o)], y = this.py(v);
      g.beginPath(); g.moveTo(this.left - 4, y); g.lineTo(this.left, y); g.stroke();
      if (Math.abs(last - y) > 11) { g.fillText(text, this.left - 7, y); last = y; }
    }
    g.save(); g.translate(9, this.top + this.h / 2); g.rotate(-Math.PI / 2); g.textAlign = 'center'; g.fillStyle = this.ink.soft; g.fillText(name, 0, 0); g.restore();
  }
  bar(map, lo, hi, unit) {                              // what the colours mean
    const g = this.g, x = this.left + this.w + 8, wide = 10, colours = new Uint8Array(colourMap(map).buffer);
    for (let i = 0; i < this.h; i++) {
      const k = 4 * Math.min(255, Math.floor((1 - (i + .5) / this.h) * 256));
      g.fillStyle = `rgb(${colours[k]},${colours[k + 1]},${colours[k + 2]})`; g.fillRect(x, this.top + i, wide, 1.5);
    }
    g.fillStyle = this.ink.text; g.textAlign = 'left'; g.textBaseline = 'middle';
    for (const v of niceTicks(lo, hi, 4)) {
      const y = this.top + this.h - (v - lo) / (hi - lo || 1) * this.h;
      if (y > this.top + 14) g.fillText(plain(v), x + wide + 4, y);
    }
    g.fillStyle = this.ink.soft; g.fillText(unit, x + wide + 4, this.top + 5);
    this.canvas.dataset.bar = JSON.stringify([lo, hi, unit]);
  }
  wave(samples, sr, colour) {                           // lowest and highest sample of each pixel
    const {left, w} = this, mid = this.py(0);
    this.inside(g => {
      g.fillStyle = colour;
      for (let i = 0; i < w; i++) {
        const a = Math.max(0, Math.floor(this.at(left + i, 0)[0] * sr)), b = Math.min(samples.length, Math.max(a + 1, Math.ceil(this.at(left + i + 1, 0)[0] * sr)));
        if (a >= samples.length) break;
        let lo = Infinity, hi = -Infinity;
        for (let k = a; k < b; k++) { const v = samples[k]; if (v < lo) lo = v; if (v > hi) hi = v; }
        const top = this.py(hi), end = this.py(lo);
        g.fillRect(left + i, top, 1, Math.max(1, end - top));
      }
      g.fillRect(left, mid - .25, w, .5);
    });
  }
  bars(list, colour) {                                  // [[from, to, value], ...] from 0 up
    this.inside(g => { g.fillStyle = colour; for (const [a, b, v] of list) if (v) g.fillRect(this.px(a), this.py(v), Math.max(1, this.px(b) - this.px(a)), this.py(0) - this.py(v)); });
  }
  clear() { this.v.clearRect(0, 0, this.wide, this.height); }
  mark(t, colour, width = 1.5) {                        // a line at time t, above the picture
    if (t < this.x[0] || t > this.x[1]) return;
    this.v.fillStyle = colour; this.v.fillRect(this.px(t) - width / 2, this.top, width, this.h);
  }
  span([a, b], colour) { this.inside(g => { g.fillStyle = colour; g.fillRect(this.px(a), this.top, this.px(b) - this.px(a), this.h); }, this.v); }
}
