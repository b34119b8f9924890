// MaskExplorer: what the teacher sees, what the student sees, and how far what was asked for is from what is hidden.
import { toImage } from './colours.js';
import { Explorer, el, sounds } from './explorer.js';
import { DEFAULTS, crc32, hzRow, logMel } from './frontend.js';
import { drawMask, runLengths, share } from './masks.js';
import { Panel, number } from './panel.js';
import { rng } from './rng.js';
import { Timeline } from './timeline.js';

const SHAPES = {frame: {high: 64, wide: 4}, patch: {high: 16, wide: 16}};
const percent = v => `${number(100 * v, 1)} %`;

class MaskExplorer extends Explorer {
  constructor(context) {
    super(context, {testid: 'mask', title: 'Mask explorer', tries: [
      'Single tokens against spans: listen to what is left of each. Which holes can you fill in your head?',
      'Ask for 65 % and read what is hidden. Then tick "no overlap" and watch the two histograms.',
      'Make the span 25 tokens, one second. What would a student have to know to fill that?']});
    this.load();
    const head = this.group('Sound');
    this.menu = this.select(head, 'sound', {label: 'Sound', options: this.names});
    this.select(head, 'listen', {label: 'Play', options: [['left', 'what is left'], ['all', 'everything']]});
    const box = this.group('Mask');
    this.select(box, 'kind', {label: 'Kind', options: [['block', 'spans of one length'], ['uniform', 'spans of random length'], ['random', 'single tokens']]});
    this.slider(box, 'ratio', {label: 'Asked for', min: 0, max: 1, step: .01, write: v => percent(v)});
    const spans = this.group('Spans');
    this.slider(spans, 'span', {label: 'span', unit: 'tokens', min: 1, max: 30});
    this.slider(spans, 'min_span', {label: 'min_span', unit: 'tokens', min: 0, max: 20});
    this.free = this.check(spans, 'no_overlap', 'no overlap (exact share)');
    const more = this.group('Draw');
    this.select(more, 'tokens', {label: 'Tokens', options: [['frame', 'frames: 64 \u00d7 4'], ['patch', 'patches: 16 \u00d7 16']]});
    this.slider(more, 'seed', {label: 'Seed', min: 0, max: 200});
    this.slider(more, 'rolls', {label: 'Masks drawn', values: [50, 100, 300, 1000]});
    this.facts = el('div', {className: 'ax-facts', dataset: {testid: 'facts'}});
    this.row = el('div', {className: 'ax-row'}); this.stage.append(this.facts, this.row);
    this.line = new Timeline(this, this.stage, (t, panel) => this.place(t, panel));
    for (const k of ['teacher', 'student']) {
      const column = el('div', {className: 'ax-column'}, el('div', {className: 'ax-caption'}, k === 'teacher' ? 'What the teacher sees' : 'What the student sees'));
      this.row.append(column);
      this[k] = this.line.attach(new Panel(column, {height: 200, right: 14, testid: k}));
    }
    const lower = el('div', {className: 'ax-row'}); this.stage.append(lower);
    for (const [k, text] of [['rows', 'The next 24 masks'], ['runs', 'Length of the holes'], ['shares', 'Share that is hidden']]) {
      const column = el('div', {className: 'ax-column'}, el('div', {className: 'ax-caption'}, text));
      lower.append(column);
      this[k] = new Panel(column, {height: 140, right: 14, testid: k});
    }
    this.button(this.actions, 'Re-roll', () => this.set('seed', (this.get('seed') + 1) % 201), {dataset: {key: 'roll'}});
    this.standard();
    this.listen('samples', () => { this.load(); this.mel = null; this.schedule(); });
  }
  load() { this.sounds = sounds(this.model); this.menu?.fill(this.names); }
  get names() { return this.sounds.map(s => [s.name, s.name]); }

  compute() {
    const s = this.settings, sound = this.sounds.find(o => o.name === s.sound) ?? this.sounds[0];
    if (!sound) throw Error('There is no sound to show.');
    if (this.mel?.sound !== sound) this.mel = {sound, ...logMel(sound.wave)};
    const {high, wide} = SHAPES[s.tokens], across = 64 / high, P = across * Math.floor(this.mel.T / wide);
    if (P < 1) throw Error(`${sound.name}: ${this.mel.T} frames are less than one token of ${wide}.`);
    const draw = rng(s.seed), first = drawMask(P, s, draw), masks = [first.mask];
    while (masks.length < s.rolls) masks.push(drawMask(P, s, draw).mask);
    return {settings: s, sound, mel: this.mel, P, across, high, wide, ...first, masks, runs: masks.flatMap(runLengths), shares: masks.map(share)};
  }
  hash({mask}) { return crc32(Float32Array.from(mask)); }

  silent({mask, P, across, wide, sound}) {              // the wave without its hidden tokens: a time is silent if all tokens of it are hidden
    const x = sound.wave.slice(), hop = DEFAULTS.hop_length;
    for (let t = 0; t < P / across; t++) {
      if (mask.subarray(t * across, (t + 1) * across).every(Boolean)) x.fill(0, Math.max(0, (t * wide - .5) * hop), Math.min(x.length, ((t + 1) * wide - .5) * hop));
    }
    return x;
  }
  draw(shown) {
    const {settings: s, sound, mel, P, mask, spans, masks, runs, shares, across} = shown, ink = this.ink, seconds = sound.wave.length / sound.sr;
    const heard = [sound.name, s.listen, this.hash(shown), s.tokens].join();
    if (this.heard !== heard) { this.heard = heard; this.line.load(s.listen === 'all' ? sound.wave : this.silent(shown), sound.sr, sound.name); }
    let lo = Infinity, hi = -Infinity;
    for (const v of mel.data) { if (v < lo) lo = v; if (v > hi) hi = v; }
    mel.image ??= toImage(mel, 'magma', lo, hi);
    const step = DEFAULTS.hop_length / sound.sr, hidden = share(mask);
    for (const k of ['teacher', 'student']) {
      const p = Object.assign(this[k], {ink, x: this.line.view, y: [-.5, 63.5]}).start();
      p.image(mel.image, [-.5 * step, (mel.T - .5) * step], [-.5, 63.5]);
      if (k === 'student') this.veil(p, shown, step);
      p.frame(); p.axisX('s'); p.axisY('kHz', [250, 500, 1000, 2000, 4000].map(f => [hzRow(f), String(f / 1000)]));
    }
    this.teacher.label(`All ${mel.T} frames of ${sound.name}, ${number(seconds)} s`);
    this.student.label(`The same with ${percent(hidden)} of ${P} tokens hidden, in ${runLengths(mask).length} holes`);
    this.drawRows(shown); this.drawHistograms(shown);
    const mine = runLengths(mask), mean = mine.length ? mine.reduce((a, b) => a + b) / mine.length : 0, token = shown.wide * step * 1000;
    this.facts.replaceChildren(...[['asked for', percent(s.ratio)], ['hidden', percent(hidden)], ['tokens', `${mask.reduce((a, b) => a + b, 0)} of ${P}`], ['holes', `${mine.length}`],
      ['mean hole', across === 1 ? `${number(mean, 1)} tokens, ${number(mean * token, 0)} ms` : `${number(mean, 1)} tokens`]].map(([k, v]) => el('span', {}, `${k} `, el('b', {dataset: {fact: k}}, v))));
    this.root.dataset.share = hidden; this.root.dataset.shares = (shares.reduce((a, b) => a + b) / shares.length).toFixed(5);
    this.free.disabled = s.kind !== 'block';
    const thrown = spans?.lengths.reduce((a, b) => a + b, 0), inside = mask.reduce((a, b) => a + b, 0);
    this.note.textContent = [sound.note, spans ? `${spans.starts.length} spans hold ${thrown} tokens, but ${inside} are hidden: ${thrown - inside} lie under two spans or beyond the end. `
      + 'Nothing keeps spans apart, so less than asked for is hidden.'
      : `${s.kind === 'block' ? 'Spans that do not overlap' : 'Each token on its own'}: ${inside} tokens, the share that was asked for.`].filter(Boolean).join(' ');
    this.line.over();
  }
  veil(p, {mask, P, across, high, wide, settings}, step) {
    p.inside(g => {
      g.fillStyle = this.ink.veil;
      for (let i = 0; i < P; i++) if (mask[i]) {
        const t = Math.floor(i / across), r = i % across, x0 = p.px((t * wide - .5) * step), x1 = p.px(((t + 1) * wide - .5) * step), y0 = p.py((r + 1) * high - .5), y1 = p.py(r * high - .5);
        g.fillRect(x0, y0, x1 - x0 + .5, y1 - y0 + (r ? .5 : 0));
      }
    });
  }
  drawRows({masks, P}) {
    const n = Math.min(24, masks.length), p = Object.assign(this.rows, {ink: this.ink, x: [0, P], y: [0, n]}).start();
    p.inside(g => {
      g.fillStyle = this.ink.accent;
      for (let r = 0; r < n; r++) {
        let from = -1;
        for (let i = 0; i <= P; i++) {
          if (masks[r][i] && from < 0) from = i;
          if (!masks[r][i] && from >= 0) { g.fillRect(p.px(from), p.py(n - r), p.px(i) - p.px(from), p.h / n - 1); from = -1; }
        }
      }
    });
    p.frame(); p.axisX('token'); p.axisY('mask', [[n - .5, '1'], [.5, String(n)]]);
    p.label(`${n} masks drawn one after the other, hidden tokens in colour`);
  }
  drawHistograms({runs, shares, settings: s, span}) {
    const most = runs.reduce((a, b) => Math.max(a, b), 8), top = Math.min(60, most), counts = Array(top + 1).fill(0);
    for (const r of runs) counts[Math.min(top, r)]++;
    let p = Object.assign(this.runs, {ink: this.ink, x: [.5, top + .5], y: [0, Math.max(1, ...counts) * 1.08]}).start();
    p.bars(counts.map((c, i) => [i - .42, i + .42, c]), this.ink.accent); p.frame(); p.axisX('tokens'); p.axisY('holes', [0, Math.max(...counts)]);
    p.label(`${runs.length.toLocaleString('en-US')} holes, from ${runs.reduce((a, b) => Math.min(a, b), most)} to ${most} tokens long`);
    const bins = Array(50).fill(0);
    for (const v of shares) bins[Math.min(49, Math.floor(v * 50 + 1e-9))]++;
    p = Object.assign(this.shares, {ink: this.ink, x: [0, 1], y: [0, Math.max(...bins) * 1.08]}).start();
    p.bars(bins.map((c, i) => [i / 50, (i + .9) / 50, c]), this.ink.accent); p.frame(); p.axisX('%', [0, .25, .5, .75, 1], v => String(100 * v)); p.axisY('masks', [0, Math.max(...bins)]);
    p.mark(s.ratio, this.ink.cursor, 2);
    const mean = shares.reduce((a, b) => a + b) / shares.length;
    p.label(`Hidden share of ${shares.length} masks: ${percent(mean)} on average, ${percent(s.ratio)} was asked for (the line)`);
  }
  place(t, panel) {
    const s = this.shown;
    if (!s) return '';
    const col = Math.min(s.P / s.across - 1, Math.floor((t * s.sound.sr / DEFAULTS.hop_length + .5) / s.wide)), own = s.mask.subarray(col * s.across, (col + 1) * s.across), n = own.reduce((a, b) => a + b, 0);
    return `t ${number(t, 3)} s   ${s.across === 1 ? `token ${col}: ${n ? 'hidden' : 'visible'}` : `column ${col}: ${n} of ${s.across} patches hidden`}`;
  }
  code() {
    const s = this.settings, P = this.shown?.P, rest = `rng=np.random.default_rng(${s.seed}))`, name = s.kind === 'random' ? 'random_mask' : s.kind === 'block' && s.no_overlap ? 'exact_mask' : 'block_mask';
    const args = name === 'random_mask' ? '' : `span=${s.span}, `, kind = s.kind === 'uniform' ? `kind='uniform', min_span=${s.min_span}, ` : '';
    return `import numpy as np\nfrom audiossl.transforms.mask import ${name}\nmask = ${name}(${P}, ratio=${s.ratio}, ${args}${kind}${rest}`;
  }
}

function render(context) { const window = new MaskExplorer(context); return () => window.end(); }
export default { render };
