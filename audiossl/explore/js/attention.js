// AttentionExplorer: which token looks at which, in every head of every layer, with the sound. The weights come from the kernel; a page
// without one holds those of one clip.
import { toImage } from './colours.js';
import { Explorer, el, sounds } from './explorer.js';
import { crc32, hzRow, logMel } from './frontend.js';
import { Panel, number } from './panel.js';
import { Timeline } from './timeline.js';

class AttentionExplorer extends Explorer {
  constructor(context) {
    super(context, {testid: 'attention', title: 'Attention explorer', tries: [
      'Click on a token in the lower picture: you hear it, and the bars above show where it looks. Does it look at sounds like its own?',
      'Go through the heads. A head with low entropy looks at few tokens; which ones?',
      'Switch to rollout: all layers multiplied. What is left of the heads?']});
    this.asks = ['sound', 'model', 'layer', 'head', 'rollout'];
    this.load();
    const box = this.group('Clip and model'), where = this.group('Head');
    this.menu = this.select(box, 'sound', {label: 'Sound', options: this.names});
    this.select(box, 'model', {label: 'Weights', options: (this.model.get('data').models ?? ['']).map((m, i) => [i ? m : '', m])});
    this.slider(where, 'layer', {label: 'Layer', max: 0, write: v => String(v + 1)}); this.slider(where, 'head', {label: 'Head', max: 0, write: v => String(v + 1)});
    this.check(where, 'rollout', 'rollout up to this layer');
    const token = this.group('Token');
    this.slider(token, 'query', {label: 'Looking', max: 0, write: v => `token ${v}, ${number(v * .04)} s`});
    this.slider(token, 'context', {label: 'Sound around it', unit: 'ms', values: [0, 40, 80, 160, 320]});
    this.button(token, 'Play token', () => this.playToken(), {dataset: {key: 'token'}});
    this.facts = el('div', {className: 'ax-facts', dataset: {testid: 'facts'}});
    this.upper = el('div', {}); this.row = el('div', {className: 'ax-row'});
    this.stage.append(this.facts, this.upper);
    this.line = new Timeline(this, this.stage, t => this.place(t));
    this.stage.append(this.row);
    this.bars = this.line.attach(new Panel(this.upper, {height: 80, bottom: 10, testid: 'bars'}));
    this.picture = this.line.attach(new Panel(this.upper, {height: 170, testid: 'picture'}));
    const column = (text, testid, height) => { const c = el('div', {className: 'ax-column'}, el('div', {className: 'ax-caption'}, text)); this.row.append(c); return new Panel(c, {height, testid}); };
    this.map = column('This head: rows look, columns are looked at', 'map', 330); this.grid = column('All heads: a row for each layer; click to choose', 'grid', 330);
    this.pick(this.map, (x, y) => { this.set('query', Math.max(0, Math.min(this.P - 1, Math.floor(y / .04)))); this.playToken(); });
    this.pick(this.grid, (x, y) => { const d = this.model.get('data'); this.set('layer', Math.max(0, Math.min(d.layers - 1, Math.floor(y)))); this.set('head', Math.max(0, Math.min(d.heads - 1, Math.floor(x)))); });
    this.picture.box.addEventListener('pointerup', () => setTimeout(() => { if (!this.line.chosen) this.set('query', Math.max(0, Math.min(this.P - 1, Math.floor(this.line.cursor / .04)))); }));
    this.standard();
    this.listen('samples', () => { this.load(); this.mel = null; this.schedule(); });
    this.listen('data', () => this.answered());
  }
  load() { this.sounds = sounds(this.model); this.menu?.fill(this.names); }
  get names() { return this.sounds.map(s => [s.name, s.name]); }
  pick(panel, f) {
    panel.box.addEventListener('click', e => { const r = panel.box.getBoundingClientRect(), [x, y] = panel.at(e.clientX - r.left, e.clientY - r.top); if (x >= panel.x[0] && x <= panel.x[1]) f(x, y); });
  }
  playToken() {
    const around = this.get('context') / 1000, t = this.get('query') * .04;
    this.line.choose([Math.max(0, t - around - .005), Math.min(this.line.seconds, t + .035 + around)]);
    return this.line.player.play(this.line.chosen[0]);
  }

  compute() {
    const d = this.model.get('data'), s = this.settings, sound = this.sounds.find(o => o.name === d.sound && o.wave.length === d.samples);
    if (!this.sounds.length) throw Error('There is no sound to show.');
    if (!sound) return null;                            // the weights of this sound are on their way, or cannot be had
    const view = this.model.get('map');
    if (!d.P || !view?.byteLength) return null;
    const all = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)), n = d.P * d.P;
    const layer = Math.min(d.layers - 1, s.layer), head = Math.min(d.heads - 1, s.head);
    const at = this.model.isStatic ? (s.rollout ? d.layers * d.heads + layer : layer * d.heads + head) * n : 0; // a page has all of them, one after the other
    if (this.mel?.sound !== sound) this.mel = {sound, ...logMel(sound.wave)};
    this.P = d.P;
    return {d, sound, mel: this.mel, layer: this.model.isStatic ? layer : d.layer, head: this.model.isStatic ? head : d.head, rollout: this.model.isStatic ? s.rollout : d.rollout,
      weights: all.subarray(at, at + n), query: Math.min(d.P - 1, s.query), thumbs: Uint8Array.from(atob(d.thumbs), c => c.charCodeAt(0))};
  }
  hash({weights}) { return crc32(weights.slice()); }

  draw(shown) {
    const {d, sound, mel, weights, query, layer, head, rollout} = shown, ink = this.ink, {P} = d, seconds = sound.wave.length / sound.sr, row = weights.subarray(query * P, (query + 1) * P);
    for (const [key, most] of [['layer', d.layers - 1], ['head', d.heads - 1], ['query', P - 1]]) { this.root.querySelector(`[data-key="${key}"]`).max = most; this.fields[key](Math.min(most, this.get(key))); }
    this.line.load(sound.wave, sound.sr, sound.name);
    const top = row.reduce((a, b) => Math.max(a, b), 0), best = row.indexOf(top), name = rollout ? `rollout up to layer ${layer + 1}` : `layer ${layer + 1}, head ${head + 1}`;
    let p = Object.assign(this.bars, {ink, x: this.line.view, y: [0, top * 1.05 || 1]}).start();
    p.bars(Array.from(row, (v, i) => [i * .04 - .005, i * .04 + .034, v]), ink.accent); p.frame(); p.axisX(''); p.axisY('weight', [[0, '0'], [top, top.toFixed(3)]]);
    p.span([query * .04 - .005, query * .04 + .035], ink.select);
    p.label(`Where token ${query} at ${number(query * .04)} s looks, ${name}: most at ${number(best * .04)} s with weight ${number(top, 3)}`);
    let lo = Infinity, hi = -Infinity;
    for (const v of mel.data) { if (v < lo) lo = v; if (v > hi) hi = v; }
    mel.image ??= toImage(mel, 'magma', lo, hi);
    p = Object.assign(this.picture, {ink, x: this.line.view, y: [-.5, 63.5]}).start();
    p.image(mel.image, [-.005, mel.T * .01 - .005], [-.5, 63.5]);
    p.inside(g => { g.strokeStyle = '#fff'; g.lineWidth = 2; g.strokeRect(p.px(query * .04 - .005), p.top + 1, p.px(.04) - p.px(0), p.h - 2); });
    p.frame(); p.axisX('s'); p.axisY('kHz', [250, 500, 1000, 2000, 4000].map(f => [hzRow(f), String(f / 1000)])); p.bar('magma', lo, hi, 'level');
    p.label(`Mel spectrogram of ${sound.name}, ${number(seconds)} s; token ${query} is marked`);
    const flipped = {rows: P, T: P, data: new Float32Array(P * P)};                     // the first row on top
    for (let r = 0; r < P; r++) flipped.data.set(weights.subarray(r * P, (r + 1) * P), (P - 1 - r) * P);
    const most = weights.reduce((a, b) => Math.max(a, b), 0);
    p = Object.assign(this.map, {ink, x: [0, P * .04], y: [P * .04, 0]}).start();
    p.image(toImage(flipped, 'magma', 0, most), [0, P * .04], [P * .04, 0]);
    p.inside(g => { g.strokeStyle = '#fff'; g.lineWidth = 1; g.strokeRect(p.left, p.py(query * .04), p.w, p.py((query + 1) * .04) - p.py(query * .04)); });
    p.frame(); p.axisX('s'); p.axisY('s'); p.bar('magma', 0, most, 'weight'); p.label(`Attention of ${name}: ${P} by ${P} weights, the largest ${number(most, 3)}`);
    p = Object.assign(this.grid, {ink, x: [0, d.heads], y: [d.layers, 0]}).start();
    const size = d.thumb, cell = size * size;
    for (let l = 0; l < d.layers; l++) for (let h = 0; h < d.heads; h++) {
      const data = Float32Array.from(shown.thumbs.subarray((l * d.heads + h) * cell, (l * d.heads + h + 1) * cell)), up = new Float32Array(cell);
      for (let r = 0; r < size; r++) up.set(data.subarray(r * size, (r + 1) * size), (size - 1 - r) * size);
      p.image(toImage({rows: size, T: size, data: up}, 'magma', 0, 255), [h + .04, h + .96], [l + .96, l + .04]);
      if (d.heads * d.layers <= 40) { this.tag(p, h, l, `${number(d.entropy[l][h], 1)} bit`); }
    }
    p.inside(g => { g.strokeStyle = ink.cursor; g.lineWidth = 3; g.strokeRect(p.px(head + .02), p.py(layer + .02), p.px(.96) - p.px(0), p.py(.96) - p.py(0)); });
    p.axisX('head', Array.from({length: d.heads}, (_, i) => i + .5), v => String(v + .5)); p.axisY('layer', Array.from({length: d.layers}, (_, i) => [i + .5, String(i + 1)]));
    p.label(`${d.layers} layers of ${d.heads} heads; ${name} is chosen, its entropy is ${number(d.entropy[layer][head])} bit of ${number(Math.log2(P))}`);
    const sum = row.reduce((a, b) => a + b, 0);
    this.facts.replaceChildren(...[['entropy', `${number(d.entropy[layer][head])} of ${number(Math.log2(P))} bit`], ['row sums to', sum.toFixed(4)], ['looks most at', `${number(best * .04)} s`],
      ['inspected and fused differ by', d.fused.toExponential(1)]].map(([k, v]) => el('span', {}, `${k} `, el('b', {dataset: {fact: k}}, v))));
    this.note.textContent = [sound.note, this.model.isStatic ? 'Without a kernel: the weights of one clip are in the page.' : ''].filter(Boolean).join(' ');
    this.line.over();
  }
  tag(p, h, l, text) {
    const x = p.px(h + .06), y = p.py(l + .06);
    Object.assign(p.g, {fillStyle: 'rgba(0,0,0,.65)', textAlign: 'left', textBaseline: 'top'}); p.g.fillRect(x, y, p.g.measureText(text).width + 8, 15);
    p.g.fillStyle = '#fff'; p.g.fillText(text, x + 4, y + 2);
  }
  place(t) {
    const s = this.shown;
    if (!s) return '';
    const col = Math.max(0, Math.min(s.d.P - 1, Math.floor((t + .005) / .04)));
    return `t ${number(t, 3)} s   token ${col}   token ${s.query} looks at it with weight ${number(s.weights[s.query * s.d.P + col], 4)}`;
  }
  code() {
    const s = this.settings, d = this.model.get('data'), sound = this.sounds.find(o => o.name === d.sound) ?? this.sounds[0];
    const map = s.rollout ? `rollout(maps)[${s.layer}]` : `maps[${s.layer}, ${s.head}]`;
    return `from audiossl.audio import example, load_audio\nfrom audiossl.explore.attention import attention_maps, rollout\nfrom audiossl.transforms.logmel import LogMel\n`
      + `mel = LogMel()(${sound.python})\nmaps = attention_maps(encoder, mel)  # encoder: ${d.model}\nmap = ${map}`;
  }
}

function render(context) { const window = new AttentionExplorer(context); return () => window.end(); }
export default { render };
