// AugmentationLab: a clip, two views of it, every number that was drawn on a slider, and each view to be heard.
import { toImage } from './colours.js';
import { Explorer, el, sounds } from './explorer.js';
import { crc32, hzRow } from './frontend.js';
import { Panel, number } from './panel.js';
import { Player, clipped, rms } from './player.js';
import { unmel } from './unmel.js';
import { cut, trace } from './views.js';

class AugmentationLab extends Explorer {
  constructor(context) {
    super(context, {testid: 'augment', title: 'Augmentation lab', tries: [
      'Press "Next sound" a few times: the memory bank grows, and from the second sound on there is somebody in the background. Listen: can you tell who?',
      'Pull the weight of the background up to 1. At which weight would you give the clip another name?',
      'Switch all cards off but one, and look at the difference: what exactly did it change?']});
    this.load();
    this.row = el('div', {className: 'ax-row'}); this.stage.append(this.row);
    this.views = ['original', 'view 1', 'view 2'].map((name, k) => {
      const listen = el('div', {className: 'ax-listen'}), column = el('div', {className: 'ax-column'}), cap = el('div', {className: 'ax-caption'});
      column.append(cap); this.row.append(column);
      const panel = new Panel(column, {height: 210, left: 44, right: 52, testid: name.replace(' ', '-')});
      column.append(listen);
      const view = {name, cap, panel, button: this.button(listen, 'Listen', () => this.listenTo(name), {dataset: {key: `listen-${k}`}, 'aria-label': `Listen to ${name}`})};
      listen.append(view.said = el('span', {className: 'ax-clock'}));
      panel.box.addEventListener('pointermove', e => { const r = panel.box.getBoundingClientRect(); this.say(this.place(k, ...panel.at(e.clientX - r.left, e.clientY - r.top))); });
      panel.box.addEventListener('click', e => { const r = panel.box.getBoundingClientRect(); this.listenTo(name, Math.max(0, panel.at(e.clientX - r.left, 0)[0])); });
      return view;
    });
    this.sheetBox = el('div', {}); this.stage.append(this.sheetBox);
    this.player = new Player(this.root, (t, on) => this.follow(t, on));
    this.ends.push(() => { this.player.stop(); this.player.unload(); });
    const box = this.group('Clip');
    this.select(box, 'method', {label: 'Method', options: [['frame', 'ATST-Frame'], ['clip', 'ATST-Clip']]});
    this.slider(box, 'step', {label: 'Sample', min: 0, max: 60});
    this.slider(box, 'seed', {label: 'Seed', min: 0, max: 999});
    this.slider(box, 'seconds', {label: 'Length of the crop', unit: 's', values: [.5, 1, 1.5, 2, 3, 4, 6, 10]});
    this.check(box, 'aug_tea', 'augment view 1 too');
    const cards = this.group('Cards');
    for (const [k, label] of [['crop', 'crop'], ['mixup', 'mix with the memory bank'], ['warp', 'resize crop']]) this.check(cards, k, label);
    this.check(cards, 'difference', 'show the difference'); this.check(cards, 'sheet', 'show 20 rolls of view 2');
    this.bank = el('div', {className: 'ax-note', dataset: {testid: 'bank'}}); cards.append(this.bank);
    this.partner = this.button(cards, 'Play partner', () => this.listenTo('partner'), {dataset: {key: 'partner'}});
    for (const k of [1, 2]) {
      const g = this.group(`View ${k}: drawn`);
      g.dataset.view = k;
      this.slider(g, `edit.crop${k}`, {label: 'crop from', unit: 's', max: 1, step: 160, write: v => number(v / 16000)});
      this.slider(g, `edit.weight${k}`, {label: 'background', max: 1, step: .001, write: v => number(v, 3)});
      this.slider(g, `edit.partner${k}`, {label: 'partner', write: v => v === null ? 'none yet' : `${v}: ${this.shown?.views[k - 1].bank?.[v]?.sound.name ?? ''}`});
      for (const [name, label] of [['h', 'rows kept'], ['i', 'from row'], ['w', 'frames kept'], ['j', 'from frame']]) this.slider(g, `edit.${name}${k}`, {label, write: v => String(v)});
    }
    this.button(this.actions, 'Next sound', () => this.set('step', Math.min(60, this.get('step') + 1)), {dataset: {key: 'next'}});
    this.button(this.actions, 'Re-roll', () => this.set('seed', (this.get('seed') + 1) % 1000), {dataset: {key: 'roll'}});
    this.standard();
    this.listen('samples', () => { this.load(); this.schedule(); });
  }
  load() { this.sounds = sounds(this.model); this.heard = new Map(); }
  set(key, value, since) {                              // a drawn number set by hand holds until something is drawn anew
    if (key.startsWith('edit.')) { this.settings = {...this.settings, edits: {...this.settings.edits, [key.slice(5)]: value}}; super.set('edits', this.settings.edits, since); return; }
    if (['step', 'seed', 'method', 'seconds', 'crop'].includes(key)) this.settings = {...this.settings, edits: {}};
    super.set(key, value, since);
  }
  show(key = null) { for (const [k, f] of Object.entries(this.fields)) if ((key === null || k === key) && !k.startsWith('edit.')) f(this.settings[k]); }

  compute() {
    if (!this.sounds.length) throw Error('There is no sound to show.');
    const t = trace(this.sounds, this.settings), s = this.settings;
    if (s.sheet) t.sheet = Array.from({length: 20}, (_, i) => trace(this.sounds, {...s, edits: {}, seed: s.seed + i}).views[1].picture);
    return {...t, settings: s, hashes: t.views.map(v => crc32(v.picture.data)), original: crc32(t.whole.data)};
  }
  hash({original, hashes}) { return [original, ...hashes].join('-'); }

  draw(shown) {
    const {sound, views, whole, settings: s, hashes} = shown, ink = this.ink, step = shown.hop / sound.sr, colours = [ink.cursor, ink.accent];
    let lo = Infinity, hi = -Infinity;
    for (const v of whole.data) { if (v < lo) lo = v; if (v > hi) hi = v; }
    this.views.forEach(({panel, cap, button, said, name}, k) => {
      const view = views[k - 1], picture = k ? view.picture : whole, seconds = (picture.T - 1) * step, diff = k && s.difference;
      let x = picture, range = [lo, hi], map = 'magma';
      if (diff) {
        x = {...picture, data: picture.data.map((v, i) => v - view.input.data[i])}; map = 'difference';
        const most = Math.max(.05, x.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0)); range = [-most, most];
      }
      Object.assign(panel, {ink, x: [0, Math.max(seconds, .01)], y: [-.5, 63.5]}).start();
      panel.image(toImage(x, map, ...range), [-.5 * step, (x.T - .5) * step], [-.5, 63.5]);
      panel.frame(); panel.axisX('s'); panel.axisY('kHz', [250, 500, 1000, 2000, 4000].map(f => [hzRow(f), String(f / 1000)])); panel.bar(map, ...range, diff ? 'change' : 'level');
      if (!k && s.crop) views.slice(0, s.method === 'frame' ? 1 : 2).forEach((v, n) => {
        const a = v.start / sound.sr, b = Math.min(seconds, (v.start + v.size) / sound.sr), y = panel.top + 3 + 6 * n;
        panel.g.fillStyle = colours[n]; panel.g.fillRect(panel.px(a), y, panel.px(b) - panel.px(a), 4);
      });
      const role = k === 1 ? ', the teacher\u2019s' : ', the student\u2019s', mixed = k && view.partner && s.mixup;
      const what = !k ? `${sound.name}, the whole clip` : `${name}${role}${view.on ? '' : ': as it is'}${mixed ? ` + ${view.partner.sound.name}` : ''}${diff ? ' (difference to its crop)' : ''}`;
      cap.textContent = what; said.textContent = k ? 'estimated from mel' : 'the recording'; button.disabled = picture.T < 4;
      const behind = mixed ? `, with ${view.partner.sound.name} at ${number(view.cards.mixup.drawn.weight, 3)} in the background` : '';
      panel.label(`${what}: 64 mel bins, ${picture.T} frames, ${number(seconds)} s${behind}`);
    });
    this.drawSheet(shown, lo, hi);
    const own = views.find(v => v.bank), partner = views[1].partner ?? views[0].partner;
    this.bank.textContent = `Memory bank: ${own.bank.length} of 2,000 pictures${partner ? `; partner: ${partner.sound.name}` : ''}.`; this.partner.disabled = !partner;
    const drawn = {};
    views.forEach((v, k) => {
      const w = v.cards.warp?.drawn, m = v.cards.mixup?.drawn, n = k + 1, own = v.on ? {weight: m.weight, partner: m.partner, h: w.h, i: w.i, w: w.w, j: w.j} : {};
      const values = Object.fromEntries(Object.entries({crop: v.start, ...own}).map(([name, value]) => [name + n, value]));
      const most = {crop: Math.max(0, sound.wave.length - v.size), weight: 1, partner: Math.max(0, (v.bank?.length ?? 1) - 1), h: w?.H, w: w?.W, i: w ? w.H - w.h : 0, j: w ? w.W - w.w : 0};
      const least = {h: 1, w: 1}, wide = s.warp && s.method === 'clip';
      const flat = {crop: s.crop && !(s.method === 'frame' && k), weight: s.mixup && v.partner, partner: s.mixup && v.partner, h: s.warp, i: s.warp, w: wide, j: wide};
      for (const name of Object.keys(flat)) {
        const key = `edit.${name}${n}`, input = this.root.querySelector(`[data-key="${key}"]`), field = input.parentElement, value = values[name + n];
        input.disabled = !flat[name] || !(name === 'crop' || v.on) || most[name] === 0; input.min = least[name] ?? 0; input.max = most[name] ?? 1;
        this.fields[key](value ?? (name === 'partner' ? null : 0)); field.classList.toggle('ax-edited', s.edits?.[name + n] !== undefined); field.classList.toggle('ax-off', input.disabled);
      }
      Object.assign(drawn, values);
    });
    const d = this.root.dataset;
    Object.assign(d, {hashOriginal: shown.original, hash1: hashes[0], hash2: hashes[1], bank: own.bank.length, partner: partner?.sound.name ?? '', drawn: JSON.stringify(drawn),
      cards: JSON.stringify(views.map(v => Object.fromEntries(Object.entries(v.cards).map(([k, c]) => [k, [crc32(c.input.data), crc32(c.output.data)]]))))});
    this.note.textContent = [sound.note, Object.keys(s.edits ?? {}).length ? 'Numbers set by hand are marked; they hold until something is drawn anew.' : ''].filter(Boolean).join(' ');
  }
  drawSheet({sheet, settings: s}, lo, hi) {
    this.sheetBox.hidden = !sheet;
    if (!sheet) return;
    if (!this.thumbs) {
      this.sheetBox.append(el('div', {className: 'ax-caption'}, 'View 2, twenty seeds from this one on'));
      this.thumbs = new Panel(this.sheetBox, {height: 250, left: 44, right: 52, top: 2, bottom: 2, testid: 'sheet'});
    }
    const p = Object.assign(this.thumbs, {ink: this.ink, x: [0, 5], y: [0, 4]}).start();
    sheet.forEach((x, i) => { const c = i % 5, r = 3 - Math.floor(i / 5); p.image(toImage(x, 'magma', lo, hi), [c + .015, c + .985], [r + .03, r + .97]); });
    p.label(`View 2 for the seeds ${s.seed} to ${s.seed + 19}`);
    this.root.dataset.sheet = crc32(Uint32Array.from(sheet, x => parseInt(crc32(x.data), 16)));
  }

  waveOf(name) {                                        // {wave, estimated}
    const {sound, views} = this.shown;
    if (name === 'original') return sound.wave;
    if (name === 'partner') { const p = views[1].partner ?? views[0].partner; return cut(p.sound.wave, p.start, Math.min(p.size, p.sound.wave.length - p.start)); }
    const view = views[name === 'view 1' ? 0 : 1], key = crc32(view.picture.data);
    if (!this.heard.has(key)) {
      if (this.heard.size > 40) this.heard.clear();
      const x = unmel(view.picture, {}, 12), want = rms(sound.wave.subarray(view.start, view.start + view.size)), have = rms(x);
      this.heard.set(key, have ? x.map(v => v * want / have) : x);                                  // as loud as its crop
    }
    return this.heard.get(key);
  }
  async listenTo(name, from = null) {
    if (this.player.playing && this.root.dataset.source === name && from === null) { this.player.stop(); return; }
    const since = performance.now(), wave = this.waveOf(name);
    this.root.dataset.source = name; this.root.dataset.rms = rms(wave).toPrecision(6); this.root.dataset.samples = wave.length;
    this.player.stop(); this.player.load(wave, 16000, name); this.player.audio.currentTime = 0;
    await this.player.play(from ?? 0);
    this.root.dataset.listenMs = (performance.now() - since).toFixed(0);
    const n = clipped(wave);
    this.say(`${name}${name.startsWith('view') ? ' (estimated from mel)' : ''}: ${number(wave.length / 16000)} s, gain 0 dB, ${n ? `${n.toLocaleString('en-US')} samples clip` : 'nothing clips'}`);
  }
  follow(t, on) {
    this.root.dataset.cursor = t.toFixed(4);
    this.views.forEach(({panel, name, button}) => {
      if (!panel.v) return;
      panel.clear();
      const mine = this.root.dataset.source === name;
      if (mine) panel.mark(t, this.ink.cursor, 2);
      button.textContent = mine && on ? 'Stop' : 'Listen';
    });
  }
  place(k, t, y) {
    const {views, whole, hop} = this.shown ?? {}, x = k ? views?.[k - 1].picture : whole;
    if (!x) return '';
    const col = Math.max(0, Math.min(x.T - 1, Math.round(t * 16000 / hop))), row = Math.max(0, Math.min(63, Math.round(y)));
    return `${this.views[k].name}   t ${number(Math.max(0, t), 3)} s   row ${row}   frame ${col}   level ${number(x.data[row * x.T + col])}`;
  }
  code() {
    const s = this.settings, d = {step: 0, seed: 0, method: 'frame', seconds: 2, aug_tea: false, crop: true, mixup: true, warp: true};   // of `trace`
    const write = v => v === true ? 'True' : v === false ? 'False' : typeof v === 'string' ? `'${v}'` : v, args = Object.keys(d).filter(k => s[k] !== d[k]).map(k => `${k}=${write(s[k])}`);
    if (Object.keys(s.edits ?? {}).length) args.push(`edits={${Object.entries(s.edits).map(([k, v]) => `'${k}': ${v}`).join(', ')}}`);
    const waves = this.sounds.map(o => o.python).join(', ');
    return `from audiossl.audio import example, load_audio\nfrom audiossl.explore.augment import trace\nwaves = [${waves}]\nt = trace(${['waves', ...args].join(', ')})\nview1, view2 = t.views`;
  }
}

function render(context) { const window = new AugmentationLab(context); return () => window.end(); }
export default { render };
