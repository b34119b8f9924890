// EventViewer: scores, truth, threshold and filter of a detector, the errors that they make, and what those cost, with the sound of each.
import { MARKS, toImage } from './colours.js';
import { crossings, matchEnds, matchShares, medianFilter, operatingPoint, psdCurve, runsAbove, together } from './detect.js';
import { ERRORS_LOOK } from './errors.js';
import { Explorer, el, sounds } from './explorer.js';
import { crc32, hzRow, logMel, rowHz } from './frontend.js';
import { Panel, number } from './panel.js';
import { Timeline } from './timeline.js';

const KINDS = {right: 'right', false: 'false alarm', missed: 'missed'}, DASHES = [[], [6, 3], [2, 2]], ROOM = 12, LISTED = 60;
const SCENARIOS = {psds1: {name: 'PSDS1', dtc: .7, gtc: .7, cttc: .3, alphaCross: 0, alphaSpread: 1}, psds2: {name: 'PSDS2', dtc: .1, gtc: .1, cttc: .3, alphaCross: .5, alphaSpread: 1}};
const COLUMNS = [['time', 'at'], ['kind', 'error'], ['class', 'class'], ['clip', 'clip'], ['length', 'length'], ['score', 'score']];

function hatch(g, x, y, w, h, colour, down) {           // an outline with lines across: an error, told apart without colours
  g.save(); g.beginPath(); g.rect(x, y, w, h); g.clip(); g.strokeStyle = colour; g.lineWidth = 1.5;
  g.beginPath();
  for (let i = Math.floor(x / 6) * 6 - h; i < x + w + h; i += 6) { g.moveTo(i, down ? y : y + h); g.lineTo(i + h, down ? y + h : y); }
  g.stroke(); g.lineWidth = 2; g.strokeRect(x + .75, y + .75, Math.max(.5, w - 1.5), h - 1.5); g.restore();
}

export class Judge {                                    // all clips at any threshold and filter; what does not change is kept
  constructor(data, view) {
    const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength), all = data.single ? new Float32Array(bytes) : new Float64Array(bytes), C = data.classes.length;
    let at = 0;
    Object.assign(this, {data, C, kept: new Map()});
    this.clips = data.clips.map((clip, i) => {
      const columns = data.classes.map((_, c) => Float64Array.from({length: clip.T}, (_, t) => all[at + t * C + c]));
      at += clip.T * C;
      return {...clip, i, columns, refs: columns.map(() => []), points: data.points.filter(p => p[0] === i)};
    });
    for (const [i, c, on, off] of data.refs) this.clips[i].refs[c].push([on, off]);
    this.real = data.classes.map((_, c) => data.refs.filter(r => r[1] === c).length);
  }
  filtered(i, c, size) {
    const key = `${i},${c},${size}`;
    if (!this.kept.has(key)) { if (this.kept.size > 20000) this.kept.clear(); this.kept.set(key, medianFilter(this.clips[i].columns[c], size)); }
    return this.kept.get(key);
  }
  found(i, c, size, threshold) { const clip = this.clips[i]; return runsAbove(this.filtered(i, c, size), clip.frames, threshold, this.data.edges, clip.length); }
  at({threshold, sizes, matching, scenario}) {          // events with their fate, counts of each class, the point on the curves
    const C = this.C, s = SCENARIOS[scenario], zeros = () => Array(C).fill(0), tp = zeros(), fp = zeros(), fn = zeros(), hit = zeros(), wrong = zeros(), cross = Array.from({length: C}, zeros), events = [];
    for (const clip of this.clips) for (let c = 0; c < C; c++) {
      const found = this.found(clip.i, c, sizes[c], threshold), refs = clip.refs[c];
      if (!found.length && !refs.length) continue;
      const m = (matching === 'collar' ? matchEnds : matchShares)(found, refs), own = matchShares(found, refs, s), bad = found.filter((_, k) => !own.found[k]);
      found.forEach(([on, off], k) => { events.push({clip: clip.i, c, on, off, kind: m.found[k] ? 'right' : 'false', real: false}); if (!m.found[k]) fp[c]++; });
      refs.forEach(([on, off], k) => { events.push({clip: clip.i, c, on, off, kind: m.missed[k] ? 'missed' : 'right', real: true}); if (m.missed[k]) fn[c]++; else tp[c]++; });
      hit[c] += own.missed.filter(o => !o).length; wrong[c] += bad.length;
      if (s.alphaCross && bad.length) for (let k = 0; k < C; k++) if (k !== c && clip.refs[k].length) cross[c][k] += crossings(bad, clip.refs[k], s.cttc);
    }
    const points = operatingPoint(hit, wrong, cross, {real: this.real, seconds: this.data.seconds, realSeconds: this.data.refSeconds}, s.alphaCross);
    const all = points.length ? {x: points.reduce((a, p) => a + p.x, 0) / points.length, y: together(points.map(p => p.y), s.alphaSpread)} : null;
    return {events, tp, fp, fn, points, all};
  }
  curve(scenario, sizes, most) {                        // of the classes that occur, each with its own filter, and of all together
    const rows = this.data.curves[scenario], classes = this.real.flatMap((n, c) => n ? [c] : []);
    if (!rows.length) return null;
    const curves = classes.map(c => { const [x, y] = rows[this.data.windows.indexOf(sizes[c])][c]; return {c, x, y: y.map(v => v / this.real[c])}; });
    return {curves, all: psdCurve(curves, SCENARIOS[scenario].alphaSpread, most)};
  }
}

class EventViewer extends Explorer {
  constructor(context) {
    super(context, {testid: 'events', title: 'Event viewer', tries: [
      'Move the threshold from 0.2 to 0.8: false alarms become missed events. Where on the curve is the point then?',
      'Set the median filter to 9 frames. Which errors are gone, and which are new?',
      'Sort the errors by class, go through them by arrow keys and Enter, and listen: what do the false alarms of a class have in common?']});
    this.root.prepend(el('style', {}, ERRORS_LOOK));
    this.box = this.group('Clip'); this.cut = this.group('Decoding'); this.judging = this.group('Errors'); this.cost = this.group('Curve');
    this.panel.classList.add('ax-even'); this.stage.before(this.panel);       // above the pictures: a threshold is moved with an eye on them
    this.legend = el('div', {className: 'ax-key'}, ...[['right', 'true, found'], ['missed', 'true, missed'], ['found', 'detected, right'], ['false', 'detected, false alarm']]
      .map(([k, text]) => el('span', {}, el('i', {className: `ax-swatch ax-${k}`, 'aria-hidden': 'true'}), text)), el('span', {}, 'upper row of a class: truth; lower row: detections'));
    this.facts = el('div', {className: 'ax-facts', dataset: {testid: 'facts'}});
    this.upper = el('div', {}); this.stage.append(this.facts, this.legend, this.upper);
    this.line = new Timeline(this, this.stage, (t, panel, y) => this.place(t, panel, y));
    const make = (height, testid, more = {}) => this.line.attach(new Panel(this.upper, {height, testid, left: 104, ...more}));
    this.bars = make(100, 'bars', {bottom: 8}); this.mel = make(150, 'mel', {bottom: 8}); this.curves = make(170, 'scores');
    this.level = el('div', {className: 'ax-level', 'aria-hidden': 'true'}, el('span')); this.curves.box.append(this.level);
    this.bars.box.addEventListener('click', e => this.pick(e));
    const curve = el('div', {className: 'ax-column'}, el('div', {className: 'ax-caption'}, 'PSD-ROC: what the threshold costs')), tables = el('div', {className: 'ax-column'});
    this.roc = new Panel(curve, {height: 300, testid: 'roc', right: 14, left: 50});
    this.tallies = el('div', {className: 'ax-scroll', tabIndex: 0, role: 'region', 'aria-label': 'Counts of each class', dataset: {testid: 'counts'}, style: 'max-height: 130px'});
    this.listed = el('div', {className: 'ax-scroll', tabIndex: 0, role: 'region', 'aria-label': 'Errors', dataset: {testid: 'errors'}, style: 'max-height: 190px'});
    tables.append(el('div', {className: 'ax-head2'}, 'Counts'), this.tallies, el('div', {className: 'ax-head2'}, 'Errors: Enter plays one with half a second around it'), this.listed);
    this.row = el('div', {className: 'ax-row'}, curve, tables); this.stage.append(this.row);
    this.listed.addEventListener('keydown', e => this.walk(e));
    this.slider(this.cut, 'threshold', {label: 'Threshold', step: .01, write: v => number(v)});
    this.load();
    this.select(this.judging, 'matching', {label: 'An event is right', options: [['collar', 'if its ends are, \u00b1200 ms'], ['intersection', 'if it shares half its time']]});
    this.select(this.cost, 'scenario', {label: 'Scenario', options: [['psds1', 'PSDS1: when'], ['psds2', 'PSDS2: which class']]});
    this.slider(this.cost, 'e_max', {label: 'Up to', unit: 'false alarms/h', values: [100, 200, 500, 1000, 2000], write: v => v.toLocaleString('en-US')});
    this.select(this.judging, 'errors', {label: 'Listed', options: [['all', 'of all clips'], ['clip', 'of this clip']]});
    this.standard();
    this.listen('samples', () => { this.load(); this.schedule(); });
    this.listen('data', () => { this.load(); this.schedule(); });
  }
  load() {                                              // what came from Python, and the controls that depend on it
    const d = this.model.get('data') ?? {}, view = this.model.get('raw');
    this.sounds = sounds(this.model); this.version = (this.version ?? 0) + 1;
    this.judge = d.clips?.length && view?.byteLength === d.clips.reduce((n, o) => n + o.T, 0) * d.classes.length * (d.single ? 4 : 8) ? new Judge(d, view) : null;
    const key = JSON.stringify([d.clips?.map(o => o.name), d.classes, d.windows]);
    if (key === this.known) return;
    this.known = key;
    this.box.replaceChildren(this.box.firstChild);
    this.select(this.box, 'sound', {label: 'Clip', options: (d.clips ?? []).map(o => [o.name, o.name])});
    this.select(this.box, 'cls', {label: 'Class', options: [['', 'all classes'], ...(d.classes ?? []).map(c => [c, c])]});
    this.lengths ??= el('div', {}); this.cut.append(this.lengths); this.lengths.replaceChildren();
    const frames = v => `${v} ${v > 1 ? 'frames' : 'frame'}`;
    this.slider(this.lengths, 'window', {label: 'Median filter', values: d.windows ?? [1], write: frames});
    const own = this.slider(this.lengths, 'own', {label: 'of this class', values: [0, ...d.windows ?? []], write: v => v ? frames(v) : 'the same'}), f = this.fields.own;
    this.fields.own = () => { const c = this.get('cls'); own.disabled = !c; f(c ? this.get('windows')[c] ?? 0 : 0); };
    this.fields.own();
  }
  show(key = null) { super.show(key); if (key !== null && key !== 'own') this.fields.own?.(); }
  set(key, value, since) {
    if (key !== 'own') return super.set(key, value, since);
    const {[this.get('cls')]: _, ...windows} = this.get('windows');
    super.set('windows', value ? {...windows, [this.get('cls')]: value} : windows, since);
  }

  compute() {
    const {judge, settings: s} = this;
    if (!judge) throw Error('There is nothing to show.');
    const d = judge.data, clip = judge.clips.find(o => o.name === s.sound) ?? judge.clips[0], sizes = d.classes.map(c => s.windows[c] ?? s.window);
    const odd = sizes.find(w => !d.windows.includes(w));
    if (odd) throw Error(`A filter of ${odd} frames: its curve is not in this page.`);
    const res = judge.at({...s, sizes}), only = d.classes.indexOf(s.cls), filtered = d.classes.map((_, c) => judge.filtered(clip.i, c, sizes[c])), margins = new Float32Array(clip.T * judge.C);
    filtered.forEach((x, c) => x.forEach((v, t) => { margins[t * judge.C + c] = v - s.threshold; }));
    const errors = res.events.filter(e => e.kind !== 'right' && (only < 0 || e.c === only) && (s.errors === 'all' || e.clip === clip.i));
    for (const e of errors) { const [a, b] = this.framesOf(e), x = judge.filtered(e.clip, e.c, sizes[e.c]); e.score = 0; for (let k = a; k < b; k++) e.score = k === a ? x[k] : Math.max(e.score, x[k]); }
    const by = {class: e => d.classes[e.c], clip: e => e.clip, time: e => e.on, kind: e => e.kind, length: e => e.off - e.on, score: e => e.score}[s.sort] ?? (e => e.clip), sign = s.down ? -1 : 1;
    errors.sort((a, b) => { const x = by(a), y = by(b); return (x < y ? -1 : x > y ? 1 : 0) * sign || a.clip - b.clip || a.on - b.on || a.c - b.c; });
    const inside = res.events.filter(e => e.clip === clip.i), loud = c => filtered[c].reduce((m, v) => Math.max(m, v), -Infinity);
    let rows = only >= 0 ? [only] : d.classes.map((_, c) => c);
    if (rows.length > ROOM) rows = rows.map(c => [inside.filter(e => e.c === c).length ? 1 : 0, loud(c), c]).sort((a, b) => b[0] - a[0] || b[1] - a[1]).slice(0, ROOM).map(r => r[2]).sort((a, b) => a - b);
    const sound = this.sounds.find(o => o.name === clip.name);
    if (sound && sound.wave.length && this.seen !== sound.wave) { this.seen = sound.wave; this.picture = logMel(sound.wave); }
    return {...res, judge, d, clip, sizes, filtered, margins, errors, inside, rows, sound, curve: judge.curve(s.scenario, sizes, s.e_max), picture: sound ? this.picture : null};
  }
  framesOf({on, off, clip}) {
    const {edges} = this.judge.data, last = this.judge.clips[clip].frames - 1, at = t => { const k = edges.findIndex(e => e > t); return Math.max(0, Math.min(last, k < 0 ? last : k - 1)); };
    return [at(on), at(off - 1) + 1];
  }
  hash({margins}) { return crc32(margins); }

  draw(shown) {
    const {clip, d, sound, rows, inside} = shown, ink = this.ink, seconds = clip.length / 1e6, wave = sound?.wave ?? (clip.silence ??= new Float32Array(Math.max(1, Math.round(seconds * 16000))));
    if (this.loaded !== wave) { this.loaded = wave; this.line.load(wave, 16000, clip.name, seconds); }
    this.playing(sound);
    this.drawBars(shown, ink); this.drawMel(shown, ink); this.drawScores(shown, ink); this.drawCurve(shown, ink); this.drawCounts(shown); this.drawErrors(shown);
    const sum = v => v.reduce((a, b) => a + b, 0), s = this.settings, name = SCENARIOS[s.scenario].name, {area} = shown.curve?.all ?? {};
    const facts = [[name, area === undefined ? 'none' : number(area, 3)], ['mean F1', number(this.meanF1(shown), 3)], ['right', sum(shown.tp)], ['false alarms', sum(shown.fp)], ['missed', sum(shown.fn)],
      ['at this threshold', shown.all ? `${number(shown.all.x, 0)} false alarms/h, ${number(shown.all.y, 2)} found` : 'no true event']];
    if (this.factsOf !== name) { this.factsOf = name; this.facts.replaceChildren(...facts.map(([k]) => el('span', {}, `${k} `, el('b', {dataset: {fact: k}})))); }
    this.write(this.facts.querySelectorAll('b'), facts.map(o => String(o[1])));
    Object.assign(this.root.dataset, {counts: JSON.stringify([shown.tp, shown.fp, shown.fn]), point: JSON.stringify(shown.all), psds: area ?? ''});
    const silent = d.clips.length - this.sounds.length, off = inside.length ? '' : 'Nothing is true or detected in this clip.';
    const flat = d.points.length ? `${d.points.length} true ${d.points.length > 1 ? 'events have' : 'event has'} no length and cannot be found: not counted.` : '';
    this.note.textContent = [d.note, sound?.note, off, flat, d.refs.length ? '' : 'There is no true event: no PSDS.', rows.length < this.judge.C && !s.cls ? `${rows.length} of ${this.judge.C} classes are drawn.` : '',
      silent > 0 && this.sounds.length ? `${silent} of ${d.clips.length} clips are without sound here; they count all the same.` : ''].filter(Boolean).join(' ');
    this.line.over();
    if (this.waiting) { const e = this.waiting; this.waiting = null; this.around(e).catch(err => this.failed('action', err.message)); }
  }
  inks() { const s = getComputedStyle(this.root); return {...super.inks(), missed: s.getPropertyValue('--ax-missed').trim(), found: s.getPropertyValue('--ax-found').trim()}; }
  fresh(panel, ...key) {                                // a picture that would be the same is not drawn again
    const now = JSON.stringify([key, this.version, this.line.view, this.wide, this.dark, globalThis.devicePixelRatio]), is = panel.drawn !== now;
    panel.drawn = now;
    return is;
  }
  playing(sound) { for (const b of this.line.row.querySelectorAll('[data-key="play"]')) b.disabled = !sound; }
  meanF1({tp, fp, judge}) { const some = tp.flatMap((n, c) => judge.real[c] + fp[c] + n ? [2 * n / (judge.real[c] + fp[c] + n)] : []); return some.length ? some.reduce((a, b) => a + b, 0) / some.length : 0; }
  names(p, rows, classes) {                             // of the rows, with the line that a class has in the other pictures
    const g = p.g;
    rows.forEach((c, r) => {
      const y = p.py(r + .5);
      g.fillStyle = this.ink.text; g.textAlign = 'right'; g.textBaseline = 'middle';
      let text = classes[c];
      if (g.measureText(text).width > p.left - 40) { while (text.length > 1 && g.measureText(`${text}\u2026`).width > p.left - 40) text = [...text].slice(0, -1).join(''); text += '\u2026'; }
      g.fillText(text, p.left - 30, y);
      this.stroke(g, c, 2); g.beginPath(); g.moveTo(p.left - 25, y); g.lineTo(p.left - 6, y); g.stroke(); g.setLineDash([]);
    });
  }
  stroke(g, c, width) { g.strokeStyle = MARKS[c % 7]; g.lineWidth = width; g.setLineDash(DASHES[Math.floor(c / 7) % 3]); }
  drawBars({clip, d, rows, inside}, ink) {
    if (!this.fresh(this.bars, clip.i, rows, inside)) return;
    const p = this.bars, high = rows.length > 6 ? 26 : 34;
    p.height = p.top + p.bottom + high * rows.length; p.box.style.height = `${p.height}px`;
    Object.assign(p, {ink, x: this.line.view, y: [rows.length, 0]}).start();
    p.inside(g => {
      g.fillStyle = ink.line; for (let r = 1; r < rows.length; r++) g.fillRect(p.left, p.py(r) - .25, p.w, .5);
      for (const e of inside) {
        const r = rows.indexOf(e.c), x = p.px(e.on / 1e6), w = Math.max(3, p.px(e.off / 1e6) - x), y = p.py(r + (e.real ? .08 : .54)), h = high * .38;
        if (r < 0) continue;
        if (e.kind === 'right') { g.fillStyle = e.real ? ink.accent : ink.found; g.fillRect(x, y, w, h); } else hatch(g, x, y, w, h, e.real ? ink.missed : ink.cursor, e.real);
      }
      for (const [, c, t] of clip.points) {
        const r = rows.indexOf(c), x = p.px(t / 1e6), y = p.py(r + .27);
        if (r >= 0) { g.strokeStyle = ink.text; g.lineWidth = 1.5; g.beginPath(); g.moveTo(x, y - 5); g.lineTo(x + 5, y); g.lineTo(x, y + 5); g.lineTo(x - 5, y); g.closePath(); g.stroke(); }
      }
    });
    p.frame(); p.axisX(''); this.names(p, rows, d.classes);
    const of = (real, kind) => inside.filter(e => e.real === real && e.kind === kind).length;
    p.label(`Events of ${clip.name}, ${number(clip.length / 1e6)} s: ${of(true, 'right')} true ones found, ${of(true, 'missed')} missed, ${of(false, 'false')} false alarms`);
  }
  drawMel({clip, sound, picture: m}, ink) {
    if (!this.fresh(this.mel, clip.i)) return;
    const p = Object.assign(this.mel, {ink, x: this.line.view, y: [-.5, 63.5]}).start();
    if (!m) {
      this.empty(p, 'there is no sound of this clip');
      p.frame(); p.axisX(''); p.label(`${clip.name}, ${number(clip.length / 1e6)} s: no sound`); return;
    }
    if (!m.image) { m.lo = m.data.reduce((a, b) => Math.min(a, b), Infinity); m.hi = m.data.reduce((a, b) => Math.max(a, b), -Infinity); m.image = toImage(m, 'magma', m.lo, m.hi); }
    p.image(m.image, [-.005, m.T * .01 - .005], [-.5, 63.5]);
    p.frame(); p.axisX(''); p.axisY('kHz', [250, 500, 1000, 2000, 4000].map(f => [hzRow(f), String(f / 1000)])); p.bar('magma', m.lo, m.hi, 'level');
    p.label(`Mel spectrogram of ${sound.name}, ${number(sound.wave.length / sound.sr)} s`);
  }
  empty(p, text) { Object.assign(p.g, {fillStyle: this.ink.soft, textAlign: 'center', textBaseline: 'middle'}); p.g.fillText(text, p.left + p.w / 2, p.top + p.h / 2); }
  drawScores({clip, d, rows, filtered, judge, sizes}, ink) {
    const t = this.settings.threshold, every = rows.flatMap(c => [...filtered[c]]), lo = every.reduce((a, b) => Math.min(a, b), 0), hi = every.reduce((a, b) => Math.max(a, b), 1), room = (hi - lo) * .04;
    const p = Object.assign(this.curves, {ink, x: this.line.view, y: [lo - room, hi + room]});
    if (this.fresh(p, clip.i, rows, sizes)) {
      const curve = (g, x) => { g.beginPath(); x.forEach((v, k) => g.lineTo(p.px((k + .5) * d.frame), p.py(v))); g.stroke(); };
      p.start().inside(g => {
        g.lineJoin = 'round';
        if (rows.length === 1) { g.globalAlpha = .35; this.stroke(g, rows[0], 1); curve(g, judge.clips[clip.i].columns[rows[0]]); g.globalAlpha = 1; }
        for (const c of rows) { this.stroke(g, c, rows.length === 1 ? 2.5 : 1.75); curve(g, filtered[c]); }
        g.setLineDash([]);
      });
      p.frame(); p.axisX('s'); p.axisY('score');
    }
    const y = p.py(t), seen = y >= p.top && y <= p.top + p.h;  // the threshold lies above the picture, which need not be drawn again for it
    Object.assign(this.level.style, {left: `${p.left}px`, width: `${p.w}px`, top: `${y.toFixed(2)}px`, display: seen ? '' : 'none'}); this.level.firstChild.textContent = `\u25c2 ${number(t)}`;
    p.label(`Scores of ${rows.length > 1 ? `${rows.length} classes` : d.classes[rows[0]]} in ${clip.name}, threshold ${number(t)}: `
      + rows.slice(0, 6).map(c => `${d.classes[c]} up to ${number(filtered[c].reduce((a, b) => Math.max(a, b), -Infinity))}`).join(', '));
  }
  drawCurve({curve, points, all, d, sizes}, ink) {
    if (!this.fresh(this.roc, points, all, sizes, ['e_max', 'cls', 'scenario', 'threshold'].map(k => this.get(k)))) return;
    const most = this.get('e_max'), only = d.classes.indexOf(this.get('cls')), name = SCENARIOS[this.get('scenario')].name, p = Object.assign(this.roc, {ink, x: [0, most], y: [-.02, 1.02]}).start();
    const steps = ({x, y}, g) => {
      let v = 0;
      g.beginPath(); x.forEach((e, i) => { if (e > most) return; g.lineTo(p.px(e), p.py(v)); g.lineTo(p.px(e), p.py(y[i])); v = y[i]; }); g.lineTo(p.px(most), p.py(v)); g.stroke();
    };
    const dot = (g, {x, y}, r) => { g.beginPath(); g.arc(Math.min(p.px(x), p.left + p.w), p.py(y), r, 0, 7); };
    p.frame(); p.axisX('false alarms/h'); p.axisY('share found', [0, .2, .4, .6, .8, 1]);
    if (!curve) { this.empty(p, 'no true event, no curve'); p.label('No curve: there are 0 true events'); return; }
    const g = p.g;
    for (const o of curve.curves) if (only < 0 ? curve.curves.length <= ROOM : o.c === only) { this.stroke(g, o.c, 1.25); steps({x: [0, ...o.x], y: [0, ...o.y]}, g); g.setLineDash([]); }
    g.strokeStyle = ink.text; g.lineWidth = 2.5; steps(curve.all, g);
    for (const o of points) if (only < 0 ? points.length <= ROOM : o.c === only) { g.fillStyle = MARKS[o.c % 7]; dot(g, o, 4); g.fill(); }
    g.fillStyle = ink.back; g.strokeStyle = ink.cursor; g.lineWidth = 3; dot(g, all, 6.5); g.fill(); g.stroke();
    Object.assign(g, {fillStyle: ink.text, textAlign: 'right', textBaseline: 'bottom', font: '600 12px system-ui, sans-serif'});
    g.fillText(`${name} ${number(curve.all.area, 3)}`, p.left + p.w - 8, p.top + p.h - 8);
    const at = `${number(all.x, 0)} false alarms/h and ${number(all.y, 2)} found`;
    p.label(`${name} is ${number(curve.all.area, 3)} up to ${most} false alarms an hour; at threshold ${number(this.get('threshold'))}: ${at}${all.x > most ? ', which is beyond the right edge' : ''}`);
  }
  table(head, body, more = '') { return el('table', {className: `ax-rows ${more}`}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...body)); }
  drawCounts({tp, fp, fn, judge, d, rows}) {
    const f1 = (a, b, n) => n + b + a ? number(2 * a / (n + b + a)) : '\u2013', sum = v => v.reduce((a, b) => a + b, 0), whole = rows.length === judge.C, head = ['class', 'true', 'right', 'false', 'missed', 'F1'];
    const lines = rows.map(c => [judge.real[c], tp[c], fp[c], fn[c], f1(tp[c], fp[c], judge.real[c])]), key = JSON.stringify([rows, d.classes]);
    if (whole) lines.push([sum(judge.real), sum(tp), sum(fp), sum(fn), f1(sum(tp), sum(fp), sum(judge.real))]);
    if (this.tallied !== key) {
      this.tallied = key;
      const body = lines.map((v, i) => el('tr', {className: i < rows.length ? '' : 'ax-sum'}, el('th', {scope: 'row'}, i < rows.length ? d.classes[rows[i]] : 'all'), ...v.map(() => el('td'))));
      this.tallies.replaceChildren(this.table(head.map(o => el('th', {scope: 'col'}, o)), body));
    }
    this.write(this.tallies.querySelectorAll('td'), lines.flat().map(String));
  }
  write(places, texts) { places.forEach((o, i) => { if (o.textContent !== texts[i]) o.textContent = texts[i]; }); }
  drawErrors({errors, d}) {
    const s = this.settings, keyOf = e => [e.clip, e.c, e.on, e.off, e.kind].join(), key = JSON.stringify([errors.map(keyOf), errors.map(e => e.score), s.sort, s.down]);
    if (this.listedOf !== this.judge) { this.listedOf = this.judge; this.lines = new Map(); this.listing = ''; }
    if (key !== this.listing) {
      this.listing = key;
      const focus = document.activeElement, had = this.listed.contains(focus) ? [focus.dataset.error, focus.dataset.key, this.buttons.indexOf(focus)] : null;
      const head = COLUMNS.map(([k, text]) => {
        const b = el('button', {type: 'button', dataset: {key: `sort-${k}`}}, `${text}${s.sort === k ? s.down ? ' \u25bc' : ' \u25b2' : ''}`);
        b.addEventListener('click', () => { const down = s.sort === k && !this.get('down'); this.settings = {...this.settings, down}; this.set('sort', k); });
        return el('th', {scope: 'col', 'aria-sort': s.sort === k ? s.down ? 'descending' : 'ascending' : 'none'}, b);
      });
      const old = this.lines ?? new Map();                // rows that stay are not made again
      this.buttons = []; this.lines = new Map();
      const body = errors.slice(0, LISTED).map(e => {
        const id = `${keyOf(e)},${e.score}`, line = old.get(id);
        if (line) { this.lines.set(id, line); this.buttons.push(line.firstChild.firstChild); return line; }
        const at = number(e.on / 1e6), long = number((e.off - e.on) / 1e6), kind = KINDS[e.kind], name = d.clips[e.clip].name, cls = d.classes[e.c];
        const b = el('button', {type: 'button', tabIndex: -1, dataset: {error: keyOf(e)}, 'aria-label': `Play at ${at} s: ${kind}, ${cls}, in ${name}, ${long} s long, score ${number(e.score)}`}, `\u25b6 ${at} s`);
        this.buttons.push(b);
        const made = el('tr', {onclick: () => this.hear(e)}, ...[b, kind, cls, name, `${long} s`, number(e.score)].map(o => el('td', {}, o)));
        this.lines.set(id, made);
        return made;
      });
      const left = errors.length - LISTED, more = left > 0 ? `and ${left.toLocaleString('en-US')} more: choose a class or a clip` : errors.length ? '' : 'no errors';
      if (this.sorted !== `${s.sort},${s.down}`) { this.sorted = `${s.sort},${s.down}`; this.listed.replaceChildren(this.table(head, [], 'ax-words'), el('div', {className: 'ax-more'})); }
      const rows = this.listed.querySelector('tbody'), stay = new Set(body);
      for (const o of [...rows.children]) if (!stay.has(o)) o.remove();
      body.forEach((o, i) => { if (rows.children[i] !== o) rows.insertBefore(o, rows.children[i] ?? null); });
      Object.assign(this.listed.lastChild, {textContent: more, hidden: !more});
      this.rove(this.buttons.find(b => b.dataset.error === (had?.[0] ?? this.heard)) ?? this.buttons[Math.min(Math.max(0, had?.[2] ?? 0), this.buttons.length - 1)]);
      if (had) (had[1] ? this.listed.querySelector(`[data-key="${had[1]}"]`) : this.buttons.find(b => b.tabIndex === 0))?.focus({preventScroll: true});
    }
    for (const b of this.buttons) b.closest('tr').setAttribute('aria-current', b.dataset.error === this.heard ? 'true' : 'false');
  }
  rove(button) { for (const b of this.buttons) b.tabIndex = b === button ? 0 : -1; }
  walk(e) {                                             // up and down the list of errors
    const at = this.buttons.indexOf(document.activeElement), to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.buttons.length - 1}[e.key];
    if (at < 0 || to === undefined) return;
    e.preventDefault();
    const b = this.buttons[Math.max(0, Math.min(this.buttons.length - 1, to))];
    this.rove(b); b.focus();
  }
  hear(error) {                                         // the error and half a second on both sides, in its clip
    this.heard = [error.clip, error.c, error.on, error.off, error.kind].join();
    const name = this.judge.clips[error.clip].name, b = this.buttons.find(o => o.dataset.error === this.heard);
    if (b) this.rove(b);
    if (name === this.shown.clip.name) { this.schedule(); return this.around(error).catch(err => this.failed('action', err.message)); }
    this.waiting = error; this.set('sound', name);
  }
  async around({on, off}) {
    const [a, b] = [Math.max(0, on / 1e6 - .5), Math.min(this.line.seconds, off / 1e6 + .5)];
    this.line.choose([a, b]); this.root.dataset.played = `${a.toFixed(3)},${b.toFixed(3)}`;
    if (!this.shown.sound) { this.say('There is no sound of this clip.'); return; }
    await this.line.player.play(a);
  }
  pick(e) {                                             // a click on a bar that is an error
    if (this.line.chosen || !this.shown) return;
    const p = this.bars, r = p.box.getBoundingClientRect(), [t, y] = p.at(e.clientX - r.left, e.clientY - r.top), c = this.shown.rows[Math.floor(y)], near = 3 * (p.x[1] - p.x[0]) / p.w;
    const hit = this.shown.inside.find(o => o.c === c && o.real === y % 1 < .5 && o.on / 1e6 - near <= t && t <= o.off / 1e6 + near);
    if (hit && hit.kind !== 'right') return this.hear(hit);
  }
  place(t, panel, y) {
    const s = this.shown;
    if (!s) return '';
    const k = Math.max(0, Math.min(s.clip.frames - 1, Math.floor(t / s.d.frame + 1e-9))), us = t * 1e6, has = (c, real) => s.inside.some(e => e.c === c && e.real === real && e.on <= us && us < e.off);
    const m = s.picture, pointed = panel === this.bars ? [s.rows[Math.max(0, Math.min(s.rows.length - 1, Math.floor(y)))]] : [...s.rows].sort((a, b) => s.filtered[b][k] - s.filtered[a][k]).slice(0, 4);
    const fate = c => { const o = [has(c, true) ? 'true' : '', has(c, false) ? 'detected' : ''].filter(Boolean).join(', '); return o && ` (${o})`; };
    const words = pointed.map(c => `${s.d.classes[c]} ${number(s.filtered[c][k])}${fate(c)}`), row = Math.max(0, Math.min(63, Math.round(y)));
    const level = panel === this.mel && m ? `f ${number(rowHz(row) / 1000)} kHz   level ${number(m.data[row * m.T + Math.min(m.T - 1, Math.round(t * 100))])}   ` : '';
    return `t ${number(t, 3)} s   frame ${k}   ${level}${words.join('   ')}`;
  }
  code() {
    const s = this.settings, {d, sizes} = this.shown, same = sizes.every(w => w === sizes[0]), text = v => JSON.stringify(v), score = s.matching === 'collar' ? 'event_f1' : 'intersection_f1';
    const name = SCENARIOS[s.scenario].name, first = d.made ? 'given = made_scenes()\n' : '# given: dict(scores=, truth=, durations=, classes=), what the window was made of\n';
    return `from audiossl.downstream.psds import ${name}, ${score}, psds_score\nfrom audiossl.explore.events import exam_of, ${d.made ? 'made_scenes, ' : ''}plot_scores\n${first}`
      + `exam = exam_of(**{k: v for k,v in given.items() if k != 'sounds'}, window=${same ? sizes[0] : `[${sizes.join(', ')}]`})\n`
      + `counts = ${score}(exam, ${s.threshold})  # .tp, .fp, .n_ref of each class\npsds = psds_score(exam, ${name}._replace(e_max=${s.e_max}.))\n`
      + `scores = exam.scores[${text(this.shown.clip.name)}]\nplot_scores(scores, exam.classes, ${s.threshold}, events=given['truth'][${text(this.shown.clip.name)}])`;
  }
}

function render(context) { const window = new EventViewer(context); return () => window.end(); }
export default { render };
