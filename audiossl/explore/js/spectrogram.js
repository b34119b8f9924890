// SpectrogramExplorer: every number of the front end on a slider, the sound under the cursor, two settings side by side.
import { COLOUR_MAPS, toImage } from './colours.js';
import { Explorer, el, sounds } from './explorer.js';
import { crc32, decibel, hzRow, linearPower, melFilters, melPower, minMax, power, rowHz } from './frontend.js';
import { Panel, number } from './panel.js';
import { clipped } from './player.js';
import { Timeline } from './timeline.js';

const UNITS = {normalised: 'level', decibel: 'dB', power: 'power'};

class SpectrogramExplorer extends Explorer {
  constructor(context) {
    super(context, {testid: 'spectrogram', title: 'Spectrogram explorer', tries: [
      'Choose the sound "two tones" and make the window 5 ms, then 30 ms: one line becomes two. Then the two clicks: what was gained in frequency is lost in time.',
      'Look at power, then at decibel: the ear hears ratios. Lower top_db to 30 and see what a model would never get to know.',
      'Press "Keep as A", change hop_length to 640, and count with the patch grid how many tokens a second has left.']});
    this.load();
    const head = this.group('Sound');
    this.menu = this.select(head, 'sound', {label: 'Sound', options: this.names});
    this.slider(head, 'gain_db', {label: 'Gain', unit: 'dB', min: -40, max: 40, step: 1});
    const box = this.group('Fourier window'), powers = [128, 256, 512, 1024, 2048, 4096], sizes = [40, 80, 128, 160, 256, 320, 480, 512, 640, 800, 1024, 1280, 2048, 4096];
    this.slider(box, 'n_fft', {label: 'n_fft', unit: 'points', values: powers});
    this.slider(box, 'win_length', {label: 'win_length', unit: 'ms', values: sizes, write: v => `${v}, ${number(v / 16, v % 16 ? 1 : 0)}`});
    this.slider(box, 'hop_length', {label: 'hop_length', unit: 'ms', values: [40, 80, 160, 320, 640, 1280], write: v => `${v}, ${number(v / 16, v % 16 ? 1 : 0)}`});
    const mel = this.group('Mel bins');
    this.slider(mel, 'n_mels', {label: 'n_mels', unit: 'bins', values: [8, 16, 24, 32, 40, 64, 80, 96, 128]});
    this.slider(mel, 'f_min', {label: 'f_min', unit: 'Hz', min: 0, max: 1000, step: 10});
    this.slider(mel, 'f_max', {label: 'f_max', unit: 'Hz', min: 1200, max: 8000, step: 100});
    const level = this.group('Level');
    this.slider(level, 'top_db', {label: 'top_db', unit: 'dB', min: 10, max: 120, step: 5});
    this.slider(level, 'min', {label: 'min becomes \u22121', unit: 'dB', min: -120, max: 0, step: .5, write: v => number(v, 1)});
    this.slider(level, 'max', {label: 'max becomes 1', unit: 'dB', min: 1, max: 100, step: .5, write: v => number(v, 1)});
    const view = this.group('View');
    this.select(view, 'stage', {label: 'Stage', options: [['normalised', 'normalised: what a model sees'], ['decibel', 'decibel'], ['power', 'power']]});
    this.select(view, 'scale', {label: 'Frequencies', options: [['mel', 'mel bins'], ['linear', 'all Fourier bins']]});
    this.select(view, 'colours', {label: 'Colours', options: COLOUR_MAPS.map(c => [c, c])});
    this.slider(view, 'range_db', {label: 'Colour range', unit: 'dB', min: 10, max: 130, step: 5});
    this.check(view, 'grid', 'patch grid (64 \u00d7 4)');
    this.facts = el('div', {className: 'ax-facts', dataset: {testid: 'facts'}});
    this.stage.append(this.facts);
    this.line = new Timeline(this, this.stage, (t, panel, y) => this.place(t, panel, y));
    this.row = el('div', {className: 'ax-row'}); this.stage.insertBefore(this.row, this.line.row);
    this.columns = {};
    this.column('B');
    this.keep = this.button(this.actions, 'Keep as A', () => this.keepA(), {dataset: {key: 'keep'}});
    this.standard();
    this.listen('samples', () => { this.load(); this.spec = null; this.schedule(); });
  }
  set(key, value, since) {                              // a window fits into its transform: the other one gives way
    if (key === 'n_fft' && value < this.get('win_length')) this.settings = {...this.settings, win_length: value};
    if (key === 'win_length' && value > this.get('n_fft')) this.settings = {...this.settings, n_fft: 2 ** Math.ceil(Math.log2(value))};
    super.set(key, value, since); this.show();
  }
  load() { this.sounds = sounds(this.model); this.menu?.fill(this.names); }
  get names() { return this.sounds.map(s => [s.name, s.name]); }
  get sound() { return this.sounds.find(s => s.name === this.get('sound')) ?? this.sounds[0]; }

  column(name) {                                        // a wave above a picture
    const box = el('div', {className: 'ax-column', dataset: {column: name}}), cap = el('div', {className: 'ax-caption'});
    box.append(cap); this.row.prepend(box);
    const wave = this.line.attach(new Panel(box, {height: 74, bottom: 12, testid: `wave-${name}`}));
    const picture = this.line.attach(new Panel(box, {height: 240, testid: `picture-${name}`}));
    this.columns[name] = {box, cap, wave, picture};
  }
  keepA() {
    if (this.A) { this.columns.A.box.remove(); this.line.panels = this.line.panels.filter(p => ![this.columns.A.wave, this.columns.A.picture].includes(p)); delete this.columns.A; this.A = null; }
    else { this.A = {...this.shown}; this.column('A'); }
    this.keep.textContent = this.A ? 'Drop A' : 'Keep as A';
    this.schedule();
  }

  compute() {
    const s = this.settings, sound = this.sound, all = JSON.stringify({...s, colours: 0, range_db: 0, grid: 0});
    if (!sound) throw Error('There is no sound to show.');
    if (this.shown?.all === all && this.shown.sound === sound) return Object.assign(this.shown, {settings: s});     // only the look has changed
    const bands = s.scale === 'mel' ? melFilters(s) : null, key = [sound.name, s.n_fft, s.win_length, s.hop_length].join();
    if (this.spec?.key !== key) this.spec = {key, ...power(sound.wave, s, this.spec?.data)};      // the costly step, kept while it can be
    const {bins, T} = this.spec, gain = 10 ** (s.gain_db / 10), shown = {settings: s, sound, T, all};
    let x = bands ? melPower(this.spec, bands) : linearPower(this.spec);
    if (gain !== 1) for (let i = 0; i < x.data.length; i++) x.data[i] *= gain;
    if (s.stage !== 'power') x = decibel(x, s.top_db);
    if (s.stage === 'normalised') x = minMax(x, s.min, s.max);
    let lo = Infinity, hi = -Infinity, at = 0;
    for (let i = 0; i < x.data.length; i++) { const v = x.data[i]; if (v > hi) { hi = v; at = i; } if (v < lo) lo = v; }
    return {...shown, picture: x, bins, lo, hi, peak: {t: at % T * s.hop_length / sound.sr, row: Math.floor(at / T)}};
  }
  hash(shown) { return shown.crc ??= crc32(shown.picture.data); }

  draw(shown) {
    const {sound, settings: s} = shown, louder = this.loud?.key === `${sound.name},${s.gain_db}` ? null : Float32Array.from(sound.wave, v => v * 10 ** (s.gain_db / 20));
    if (louder) {
      this.loud = {key: `${sound.name},${s.gain_db}`, wave: louder, clipped: clipped(louder)};
      this.line.load(louder, sound.sr, sound.name);
    }
    for (const [name, shownHere] of Object.entries({A: this.A, B: shown})) if (this.columns[name] && shownHere) this.drawColumn(this.columns[name], name, shownHere);
    const bin = sound.sr / s.n_fft;
    this.facts.replaceChildren(...[['\u0394f', `${number(bin)} Hz`, 'from one Fourier bin to the next'], ['\u0394t', `${number(1000 * s.hop_length / sound.sr, 1)} ms`, 'from one frame to the next'],
      ['window', `${number(1000 * s.win_length / sound.sr, 1)} ms`, 'two events closer than this share a frame'],
      ['resolves', `${number(2 * sound.sr / s.win_length, 0)} Hz`, 'two tones closer than this are one line'],
      ['picture', `${shown.picture.rows} \u00d7 ${shown.T}`, 'rows and frames'], ['token', `${number(4000 * s.hop_length / sound.sr, 0)} ms`, 'four frames']]
      .map(([k, v, title]) => el('span', {title}, `${k} `, el('b', {dataset: {fact: k}}, v))));
    this.root.dataset.hashA = this.A ? crc32(this.A.picture.data) : '';
    this.note.textContent = [sound.note, this.loud.clipped ? `${this.loud.clipped.toLocaleString('en-US')} samples are above full scale and clip in the player.` : ''].filter(Boolean).join(' ');
    this.line.over();
  }
  colourRange({settings: s, lo, hi}) {                  // of the picture's colours
    const span = s.range_db * (s.stage === 'normalised' ? 2 / (s.max - s.min) : 1);
    return s.stage === 'power' ? [0, hi || 1] : [Math.max(lo, hi - span) === hi ? hi - span : Math.max(lo, hi - span), hi];
  }
  drawColumn({box, cap, wave, picture}, name, shown) {
    const {settings: s, sound, T} = shown, ink = this.ink, step = s.hop_length / sound.sr, seconds = sound.wave.length / sound.sr;
    cap.hidden = !this.A;
    cap.textContent = name === 'A' ? `A: ${this.summary(s)}` : 'B: now';
    const most = Math.max(1e-4, this.peak(sound) * 10 ** (s.gain_db / 20));
    Object.assign(wave, {ink, x: this.line.view, y: [-1.05 * most, 1.05 * most]});
    wave.start().wave(this.scaled(sound, s.gain_db), sound.sr, ink.accent); wave.frame(); wave.axisX('');
    wave.axisY('', [[-most, number(-most, most < .1 ? 3 : 1)], [0, '0'], [most, number(most, most < .1 ? 3 : 1)]]);
    wave.label(`Wave of ${sound.name}, ${number(seconds)} s, peak ${number(most, 3)}`);
    const [lo, hi] = this.colourRange(shown), rows = shown.picture.rows;
    Object.assign(picture, {ink, x: this.line.view, y: [-.5, rows - .5]});
    picture.start();
    const key = [lo, hi, s.colours].join();
    if (shown.image?.key !== key) shown.image = {key, canvas: toImage(shown.picture, s.colours, lo, hi)};
    picture.image(shown.image.canvas, [-.5 * step, (T - .5) * step], [-.5, rows - .5]);
    if (s.grid) this.drawGrid(picture, shown, step);
    picture.frame(); picture.axisX('s'); picture.axisY('kHz', this.hertz(s, sound.sr)); picture.bar(s.colours, lo, hi, UNITS[s.stage]);
    picture.shown = shown;
    const p = shown.peak;
    picture.label(`${s.scale === 'mel' ? 'Mel spectrogram' : 'Spectrogram'} of ${sound.name}, ${number(seconds)} s: ${rows} rows from ${number(rowHz(0, s) / 1000)} to `
      + `${number(rowHz(rows - 1, s) / 1000)} kHz, loudest at ${number(rowHz(p.row, s) / 1000)} kHz and ${number(p.t)} s with ${this.level(shown.hi, s)}`);
  }
  scaled(sound, gain_db) { return gain_db === this.settings.gain_db ? this.loud.wave : sound.wave; }
  peak(sound) { return sound.peak ??= sound.wave.reduce((m, v) => Math.max(m, Math.abs(v)), 0); }
  summary(s) { return `n_fft ${s.n_fft}, window ${s.win_length}, hop ${s.hop_length}, ${s.scale === 'mel' ? `${s.n_mels} mels` : 'linear'}, ${s.stage}`; }
  hertz(s, sample_rate) {
    const list = s.scale === 'linear' ? [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000] : [125, 250, 500, 1000, 2000, 4000, 8000];
    return list.filter(f => f <= sample_rate / 2 && (s.scale === 'linear' || f > s.f_min && f < s.f_max)).map(f => [hzRow(f, s), String(f / 1000)]);
  }
  drawGrid(panel, {picture, settings: s}, step) {
    panel.inside(g => {
      g.strokeStyle = 'rgba(255,255,255,.55)'; g.lineWidth = 1; g.beginPath();
      const wide = 4 * step, upright = x => { g.moveTo(x, panel.top); g.lineTo(x, panel.top + panel.h); }, level = y => { g.moveTo(panel.left, y); g.lineTo(panel.left + panel.w, y); };
      if (panel.px(wide) - panel.px(0) >= 3) for (let t = Math.max(0, Math.floor(panel.x[0] / wide)); t * wide < panel.x[1]; t++) upright(Math.round(panel.px(t * wide - .5 * step)) + .5);
      for (let r = 64; r < picture.rows; r += 64) level(Math.round(panel.py(r - .5)) + .5);
      g.stroke();
    });
  }
  level(v, s) { return s.stage === 'normalised' ? `level ${number(v)} (${number((v + 1) / 2 * (s.max - s.min) + s.min, 1)} dB)` : s.stage === 'decibel' ? `${number(v, 1)} dB` : `power ${v.toPrecision(3)}`; }
  place(t, panel, y) {                                  // the read-out at a time: at a height if the pointer is there, else at the loudest row
    const shown = panel?.shown ?? this.shown;
    if (!shown) return '';
    const {picture, settings: s, sound, T} = shown, col = Math.max(0, Math.min(T - 1, Math.round(t * sound.sr / s.hop_length)));
    if (panel && !panel.shown) return `t ${number(t, 3)} s   amplitude ${number(this.loud.wave[Math.min(this.loud.wave.length - 1, Math.round(t * sound.sr))] ?? 0, 3)}`;
    let row = Math.max(0, Math.min(picture.rows - 1, Math.round(y)));
    if (!panel) { row = 0; for (let r = 1; r < picture.rows; r++) if (picture.data[r * T + col] > picture.data[row * T + col]) row = r; }
    return `t ${number(t, 3)} s   f ${number(rowHz(row, s) / 1000)} kHz   ${this.level(picture.data[row * T + col], s)}   row ${row}   frame ${col}   token ${Math.floor(col / 4)}`;
  }

  code() {
    const s = this.settings, d = this.defaults, args = ['n_fft', 'win_length', 'hop_length', 'f_min', 'f_max', 'n_mels', 'top_db'].filter(k => s[k] !== d[k]).map(k => `${k}=${s[k]}`);
    const gain = s.gain_db ? ` * 10**(${s.gain_db}/20)` : '', first = `from audiossl.audio import example, load_audio\nwave = ${this.sound.python}${gain}\n`;
    const span = s.min !== d.min || s.max !== d.max ? [`min=${s.min}, max=${s.max}`] : [];
    if (s.scale === 'linear') return `${first}from audiossl.explore.spectrogram import picture_of\npicture = picture_of(wave, ${[...args, ...span, `stage='${s.stage}'`, `scale='linear'`].join(', ')})`;
    const front = a => `from audiossl.transforms.logmel import LogMel\npicture = LogMel(${a.join(', ')})`;
    if (s.stage === 'power') return `${first}${front(args)}.power(wave)`;
    const minmax = s.stage === 'decibel' ? ['minmax=None'] : span.length ? [`minmax=(${s.min}, ${s.max})`] : [];
    return `${first}${front([...args, ...minmax])}(wave)`;
  }
}

function render(context) {
  const window = new SpectrogramExplorer(context);
  return () => window.end();
}
export default { render };
