// Colour maps: 17 stops of each, with straight lines between them. All but the last run from dark to light evenly; the last is for differences.
const STOPS = {
  magma: '0000040a08221d114736106b51127c6a1c818326819c2e7fb73779d0416fe75263f56b5cfc8961fea772fec488fde2a3fcfdbf',
  viridis: '44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725',
  grey: '000000101010202020303030404040505050606060707070808080909090a0a0a0b0b0b0c0c0c0d0d0d0e0e0e0f0f0f0ffffff',
  difference: '0530611752902a71b23f8ec06bacd19bc9e0c2ddece0ecf3f7f6f6fbe5d8fbccb4f5aa89e48066d05548ba2832930e2667001f',
};
export const COLOUR_MAPS = ['magma', 'viridis', 'grey'];
export const MARKS = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#6E6E6E']; // Okabe and Ito's, told apart by all eyes

const made = new Map();
export function colourMap(name) {                       // 256 colours as Uint32Array, ready for an ImageData (bytes R, G, B, A)
  if (!made.has(name)) {
    const stop = i => [0, 2, 4].map(j => parseInt(STOPS[name].slice(6 * i + j, 6 * i + j + 2), 16)), res = new Uint8Array(1024);
    for (let i = 0; i < 256; i++) {
      const x = i / 255 * 16, k = Math.min(15, Math.floor(x)), a = stop(k), b = stop(k + 1);
      res.set([0, 1, 2].map(j => Math.round(a[j] + (x - k) * (b[j] - a[j]))), 4 * i); res[4 * i + 3] = 255;
    }
    made.set(name, new Uint32Array(res.buffer));
  }
  return made.get(name);
}

export function toImage({rows, T, data}, name, lo, hi) { // a canvas of T x rows pixels, row 0 at the bottom; a very long picture: the highest of a few columns
  const every = Math.ceil(T / 8000), wide = Math.ceil(T / every), canvas = document.createElement('canvas');
  canvas.width = wide; canvas.height = rows;
  const g = canvas.getContext('2d'), image = g.createImageData(wide, rows), out = new Uint32Array(image.data.buffer), map = colourMap(name), k = 256 / (hi - lo || 1);
  for (let r = 0; r < rows; r++) {
    const from = r * T, to = (rows - 1 - r) * wide;
    for (let x = 0; x < wide; x++) {
      let v = data[from + x * every];
      for (let i = 1; i < every && x * every + i < T; i++) v = Math.max(v, data[from + x * every + i]);
      v = (v - lo) * k;
      out[to + x] = map[v > 0 ? v < 255 ? v | 0 : 255 : 0];
    }
  }
  g.putImageData(image, 0, 0);
  return canvas;
}
