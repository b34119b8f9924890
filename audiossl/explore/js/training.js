// TrainingMonitor: the vital signs of a run and a verdict on them. Curves come thinned from the kernel, which the page asks once a second for
// more; smoothing, scales, zoom and the read-out are the page's.
import { brief, logTicks, nearest, reach, smooth, unpack } from './curves.js';
import { Explorer, el } from './explorer.js';
import { crc32 } from './frontend.js';
import { Panel, niceTicks } from './panel.js';

const SIGNS = {loss: 'loss', std_student: 'student', std_teacher: 'teacher', lr: 'learning rate', wd: 'weight decay', ema: 'EMA', clips_per_s: 'clips/s'};
const PANELS = [['loss', 'Loss', ['loss'], 190], ['spread', 'Spread of the outputs: student solid, teacher dashed', ['std_student', 'std_teacher'], 190],
  ['lr', 'Learning rate', ['lr'], 112], ['wd', 'Weight decay', ['wd'], 112], ['ema', 'EMA momentum', ['ema'], 112], ['clips_per_s', 'Clips per second', ['clips_per_s'], 112]];
const MEASURED = ['loss', 'std_student', 'std_teacher', 'clips_per_s']; // what is smoothed; schedules are exact
const STATES = {healthy: '\u2713 Healthy', collapsing: '\u2717 Collapsing', stalled: '\u25cb Stalled', NaN: '\u2717 Not a number', waiting: '\u2026 Nothing to judge yet'};
const LIVE = {kernel: 'runs in this kernel', file: 'log file, followed', ended: 'has ended', rows: 'rows in memory'};
const GONE = 'The kernel is busy or gone; the last picture is kept.';
const grouped = v => v.toLocaleString('en-US');

class TrainingMonitor extends Explorer {
  constructor(context) {
    super(context, {testid: 'training', title: 'Training monitor', tries: [
      'Cover the right picture and choose the better run by its loss. Then look at the spread: which one still tells sounds apart?',
      'Move over the curves, or move the step by arrow keys: at which step could you have known? Compare with the step that the verdict names.',
      'Smooth over 20 steps, tick the log scale, drag over a stretch to zoom in. Does the loss still fall at the end, or does the learning rate end it?']});
    const box = this.group('Curves');
    this.slider(box, 'smooth', {label: 'Smooth over', unit: 'steps', values: [0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000]});
    this.check(box, 'log', 'log scale for loss and learning rate');
    this.runBox = this.group('Runs');
    this.cards = el('div', {className: 'ax-verdicts'}); this.told = el('div', {className: 'ax-unseen', role: 'status'}); // said aloud when a verdict changes, not at each step
    this.stage.append(this.cards, this.told);
    this.panels = {};
    const rows = [el('div', {className: 'ax-row'}), el('div', {className: 'ax-row'})];
    PANELS.forEach(([id, title, keys, height], i) => {
      const column = el('div', {className: 'ax-column'}, el('div', {className: 'ax-caption'}, title));
      rows[i < 2 ? 0 : 1].append(column);
      this.panels[id] = this.attach(Object.assign(new Panel(column, {height, right: 12, bottom: i < 2 ? 30 : 24, testid: id}), {keys, title: title.split(':')[0]}));
    });
    this.walk = el('div', {className: 'ax-transport', role: 'group', 'aria-label': 'Steps'});
    this.stage.append(...rows, this.walk);
    this.place = el('input', {type: 'range', min: 0, max: 1, step: 1, 'aria-label': 'Step', dataset: {key: 'position'}});
    this.place.addEventListener('input', () => { this.cursor = +this.place.value; this.over(); });
    this.clock = el('span', {className: 'ax-clock', dataset: {testid: 'clock'}});
    this.walk.append(this.place, this.clock);
    for (const [key, text, f] of [['zoom', 'Zoom in', () => this.zoom(.5)], ['out', 'Zoom out', () => this.zoom(2)], ['whole', 'Whole run', () => this.look(null)]]) this.button(this.walk, text, f, {dataset: {key}});
    this.table = el('table', {className: 'ax-values', dataset: {testid: 'values'}}); this.stage.append(this.table);
    this.stopper = this.button(this.actions, 'Stop run', () => this.stopRun(), {dataset: {key: 'stop'}});
    this.standard();
    this.listen('data', () => { this.heard(); this.schedule(); });
    const told = m => { this.heard(); if (m?.says) this.note.textContent = m.says; };
    this.model.on('msg:custom', told); this.ends.push(() => this.model.off('msg:custom', told));
    const beat = this.model.isStatic ? null : setInterval(() => this.poll(), 1000);
    this.ends.push(() => clearInterval(beat));
  }

  // --- a run that goes on: the page asks, and goes on asking when it was answered; a window that is closed asks no more
  poll() {
    if (!(this.model.get('data') ?? {}).follow) return;
    if (!this.asking) { this.asking = performance.now(); this.ask({poll: true}); }
    else if (performance.now() - this.asking > 15000) this.failed('kernel', GONE);
  }
  ask(what) { try { this.model.send(what); } catch { this.failed('kernel', GONE); } } // a model whose kernel is gone throws
  heard() { this.asking = 0; this.failed('kernel', ''); }
  stopRun() {
    if (this.model.isStatic) { this.note.textContent = 'There is no kernel here, and so no run to stop: nothing was written.'; return; }
    this.ask({stop: this.shown?.runs[0]?.info.name ?? ''});
  }

  compute() {
    const d = this.model.get('data') ?? {}, view = this.model.get('curves'), s = this.settings, infos = d.runs ?? [];
    if (this.got?.d !== d) this.got = {d, curves: view ? unpack(view, infos) : infos.map(() => ({}))};
    const at = name => infos.findIndex(r => r.name === name), a = Math.max(0, at(s.first)), b = s.second === '' ? (infos.length > 1 ? (a === 1 ? 0 : 1) : -1) : s.second === false ? -1 : at(s.second);
    const runs = [a, b].filter((i, k) => i >= 0 && infos[i] && !(k && i === a)).map(i => ({info: infos[i], curves: this.smoothed(this.got.curves[i], s.smooth)}));
    const all = runs.flatMap(r => Object.values(r.curves)), first = all.reduce((v, c) => Math.min(v, c.x[0] ?? v), Infinity), last = all.reduce((v, c) => Math.max(v, c.x.at(-1) ?? v), -Infinity);
    const whole = first < last ? [first, last] : first === last ? [first - .5, first + .5] : [0, 1];
    const span = s.view?.length === 2 && s.view[1] > s.view[0] ? [Math.max(whole[0], s.view[0]), Math.min(whole[1], s.view[1])] : whole;
    return {d, settings: s, infos, runs, whole, span: span[1] > span[0] ? span : whole};
  }
  smoothed(curves, steps) {                             // sx, sy: what is drawn in full colour
    return Object.fromEntries(Object.entries(curves).map(([k, c]) => [k, {...c, ...(steps && MEASURED.includes(k) ? {sx: c.mx, sy: smooth(c.mx, c.my, steps)} : {sx: c.x, sy: c.y})}]));
  }
  hash({runs}) {
    const parts = runs.flatMap(r => r.info.signs.map(([k]) => r.curves[k]?.sy ?? [])), res = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const p of parts) { res.set(p, at); at += p.length; }
    return crc32(res);
  }

  // --- drawing
  draw(shown) {
    const {runs, span, settings: s, d, infos} = shown, names = infos.map(r => r.name).join('\u0000');
    if (this.named !== names) { this.named = names; this.choices(infos); }
    this.drawCards(runs);
    for (const p of Object.values(this.panels)) this.drawPanel(p, shown);
    Object.assign(this.place, {min: Math.floor(span[0]), max: Math.ceil(span[1])});
    this.drawTable(runs);
    this.root.dataset.verdict = runs.map(r => r.info.verdict.state).join(); this.root.dataset.points = Math.max(0, ...runs.flatMap(r => r.info.signs.map(([, n, m]) => n + m)));
    this.root.dataset.rows = runs[0]?.info.rows ?? 0; this.root.dataset.span = span.join();
    const about = [infos.length ? '' : d.hint, runs.some(r => r.info.thinned) && `Of more than ${grouped(d.most)} rows the lowest and the highest of each stretch are drawn; zoom in to see all.`,
      ...runs.map(r => r.info.note), this.model.isStatic ? 'Without a kernel: what was logged until this page was made.' : ''].filter(Boolean).join(' ');
    if (this.about !== about) this.note.textContent = this.about = about;
    this.stopper.disabled = !infos.length;
    this.over();
  }
  choices(infos) {
    this.runBox.replaceChildren(this.runBox.firstChild);
    this.select(this.runBox, 'first', {label: 'A', options: infos.length ? infos.map((r, i) => [i ? r.name : '', r.name]) : [['', 'none']]});
    const rest = infos.filter((r, i) => i !== 1).map(r => [r.name, r.name]);
    this.select(this.runBox, 'second', {label: 'B', options: infos.length > 1 ? [['', infos[1].name], [false, 'none'], ...rest] : [['', 'none']]});
  }
  colour(k) { return k ? this.ink.cursor : this.ink.accent; }
  drawCards(runs) {
    const key = JSON.stringify([runs.map(r => r.info), this.dark]);
    if (this.carded === key) return;
    this.carded = key;
    this.cards.replaceChildren(...runs.map(({info: r}, k) => {
      const mark = el('span', {className: 'ax-runmark'});
      mark.style.background = this.colour(k);
      return el('div', {className: 'ax-verdict', dataset: {verdict: r.verdict.state, run: 'AB'[k]}},
        el('div', {className: 'ax-who'}, mark, `${'AB'[k]}: `, el('span', {dataset: {fact: `${'AB'[k]} name`}}, r.name)), el('b', {dataset: {fact: `${'AB'[k]} verdict`}}, STATES[r.verdict.state]),
        el('span', {dataset: {fact: `${'AB'[k]} why`}}, ` ${r.verdict.why}`),
        el('div', {className: 'ax-rule'}, `rule: ${r.verdict.rule} \u00b7 step ${grouped(r.step)}${r.steps ? ` of ${grouped(r.steps)}` : ''} \u00b7 ${LIVE[r.live]}`));
    }));
    const said = runs.map(({info: r}) => `${r.name}: ${STATES[r.verdict.state]}`).join('; ');
    if (this.told.textContent !== said) this.told.textContent = said;
  }
  drawPanel(p, {runs, span, settings: s, d}) {
    const log = s.log && (p.keys[0] === 'loss' || p.keys[0] === 'lr'), spread = p.keys.length > 1, full = d.width ? d.width ** -.5 : 0, lines = spread && full ? [0, d.floor * full, full, 1.1 * full] : [];
    const curves = runs.flatMap(r => p.keys.map(k => r.curves[k]).filter(Boolean)), [lo, hi] = reach(curves, span, log, lines), at = log ? Math.log10 : v => v;
    Object.assign(p, {ink: this.ink, x: span, y: [at(lo), at(hi)]}).start();
    for (const v of lines.slice(1, 3)) this.level(p, v);
    runs.forEach((r, k) => p.keys.forEach((key, j) => {
      const c = r.curves[key];
      if (!c) return;
      if (c.sy !== c.y) this.line(p, c.x, c.y, at, this.colour(k), 1, [], .28);
      this.line(p, c.sx, c.sy, at, this.colour(k), 1.8, j ? [5, 3] : []);
    }));
    for (const v of lines.slice(1, 3)) this.level(p, v, v === full ? `1/\u221a${d.width}` : `${d.floor}/\u221a${d.width}: lowest of a teacher`);
    p.frame(); p.axisX(p.h > 100 ? 'step' : '', niceTicks(...span, Math.max(2, p.w / 90)), grouped);
    p.axisY('', log ? logTicks(lo, hi).map(v => [Math.log10(v), brief(v)]) : niceTicks(lo, hi, p.h / 36), brief);
    if (!curves.length) { Object.assign(p.g, {fillStyle: this.ink.soft, textAlign: 'center', textBaseline: 'middle'}); p.g.fillText(runs.length ? 'not in this log' : 'no run', p.left + p.w / 2, p.top + p.h / 2); }
    const ends = ({y}) => (y?.length ? `${brief(y[0])} at first, ${brief(y.at(-1))} at last` : '');
    const said = runs.flatMap((r, k) => p.keys.filter(key => r.curves[key]?.y.length).map(key => `${'AB'[k]} ${r.info.name}, ${SIGNS[key]}: ${ends(r.curves[key])}`));
    p.label(`${p.title} over steps ${grouped(Math.round(span[0]))} to ${grouped(Math.round(span[1]))}. ${said.join('; ') || '0 values'}${lines.length ? `; 1/\u221ad is ${brief(full)}` : ''}`);
    const bad = runs.map(r => r.info.verdict).filter(v => p.h > 100 && ['collapsing', 'NaN'].includes(v.state));
    for (const v of bad) p.inside(g => { g.fillStyle = this.ink.hot; g.globalAlpha = .75; g.fillRect(p.px(v.step) - .75, p.top, 1.5, p.h); });
  }
  line(p, x, y, at, colour, width, dash, alpha = 1) {   // a gap where a value is missing or cannot be drawn; a dot where there is only one
    p.inside(g => {
      Object.assign(g, {strokeStyle: colour, fillStyle: colour, lineWidth: width, globalAlpha: alpha, lineJoin: 'round'}); g.setLineDash(dash); g.beginPath();
      let on = false;
      for (let i = 0; i < x.length; i++) {
        const v = at(y[i]);
        if (!Number.isFinite(v)) { on = false; continue; }
        if (on) g.lineTo(p.px(x[i]), p.py(v)); else g.moveTo(p.px(x[i]), p.py(v));
        on = true;
      }
      g.stroke(); g.setLineDash([]);
      if (x.length < 40) for (let i = 0; i < x.length; i++) { const v = at(y[i]); if (Number.isFinite(v)) g.fillRect(p.px(x[i]) - 1.5, p.py(v) - 1.5, 3, 3); }
    });
  }
  level(p, v, text) {                                   // a dotted line below the curves; with `text`: its name above them
    p.inside(g => {
      const y = p.py(v), wide = text ? g.measureText(text).width : 0;
      Object.assign(g, {strokeStyle: this.ink.soft, lineWidth: 1, textAlign: 'right', textBaseline: 'bottom'});
      if (!text) { g.setLineDash([2, 3]); g.beginPath(); g.moveTo(p.left, y); g.lineTo(p.left + p.w, y); g.stroke(); g.setLineDash([]); return; }
      Object.assign(g, {fillStyle: this.ink.back, globalAlpha: .8}); g.fillRect(p.left + p.w - wide - 7, y - 15, wide + 6, 14);
      Object.assign(g, {fillStyle: this.ink.soft, globalAlpha: 1}); g.fillText(text, p.left + p.w - 4, y - 2);
    });
  }
  drawTable(runs) {
    const head = el('tr', {}, ...['run', 'step', ...Object.values(SIGNS)].map(t => el('th', {scope: 'col'}, t)));
    this.cells = runs.map((r, k) => Object.fromEntries(['step', ...Object.keys(SIGNS)].map(key => [key, el('td', {dataset: {fact: `${'AB'[k]} ${key}`}})])));
    this.table.replaceChildren(head, ...this.cells.map((cells, k) => el('tr', {}, el('th', {scope: 'row'}, 'AB'[k]), ...Object.values(cells))));
  }

  // --- what moves: the line at a step, the stretch that is dragged over, the values there
  attach(panel) {
    const box = panel.box, step = e => Math.round(Math.max(panel.x[0], Math.min(panel.x[1], panel.at(e.clientX - box.getBoundingClientRect().left, 0)[0])));
    let from = null;
    box.addEventListener('pointerdown', e => { if (e.button === 0) { from = [e.clientX, step(e)]; box.setPointerCapture(e.pointerId); e.preventDefault(); } });
    box.addEventListener('pointermove', e => { this.cursor = step(e); this.drag = from && Math.abs(e.clientX - from[0]) > 4 ? [from[1], this.cursor].sort((a, b) => a - b) : null; this.over(); });
    box.addEventListener('pointerup', () => { const d = this.drag; from = this.drag = null; if (d && d[1] > d[0]) this.look(d); else this.over(); });
    box.addEventListener('pointerleave', () => { if (!from) { this.cursor = null; this.over(); } });
    box.addEventListener('dblclick', () => this.look(null));
    return panel;
  }
  look(span) { this.set('view', span ? span.map(Math.round) : []); }
  zoom(by) {
    const {span: [a, b], whole} = this.shown, mid = this.cursor ?? (a + b) / 2, wide = Math.max(4, (b - a) * by);
    if (wide >= whole[1] - whole[0]) { this.look(null); return; }
    const from = Math.max(whole[0], Math.min(whole[1] - wide, mid - wide / 2));
    this.look([from, from + wide]);
  }
  over() {
    if (!this.shown || !this.ink) return;
    const {runs, span} = this.shown, at = this.cursor ?? span[1];
    for (const p of Object.values(this.panels)) if (p.v) {
      p.clear();
      if (this.drag) p.span(this.drag, this.ink.select);
      if (this.cursor !== null && this.cursor !== undefined) p.mark(this.cursor, this.ink.soft, 1);
    }
    const said = runs.map((r, k) => {
      const values = Object.entries(this.cells[k]).map(([key, cell]) => {
        const c = r.curves[key === 'step' ? r.info.signs[0]?.[0] : key], i = c ? nearest(c.x, at) : -1, text = i < 0 ? '\u2013' : key === 'step' ? grouped(c.x[i]) : brief(c.y[i]);
        if (cell.textContent !== text) cell.textContent = text;
        return key === 'step' || i < 0 ? '' : `${SIGNS[key]} ${text}`;
      });
      return `${'AB'[k]}: ${values.filter(Boolean).join(', ')}`;
    });
    this.place.value = at; this.place.setAttribute('aria-valuetext', `step ${grouped(Math.round(at))}. ${said.join('; ')}`);
    this.clock.textContent = `step ${grouped(Math.round(at))}`;
    this.say(this.drag ? `steps ${grouped(this.drag[0])} to ${grouped(this.drag[1])}: let go to zoom in` : 'drag over a stretch to zoom in, double click for the whole run');
  }
  code() {
    const s = this.settings, runs = this.shown?.runs ?? [], changed = ['smooth', 'log', 'width'].filter(k => s[k] !== this.defaults[k]);
    const more = changed.map(k => `, ${k}=${s[k] === true ? 'True' : s[k]}`).join('');
    const view = s.view?.length === 2 ? `, view=(${s.view.join(', ')})` : '';
    return `from audiossl.explore import plot_training\naxes = plot_training({${runs.map(r => `${JSON.stringify(r.info.name)}: ${r.info.python}`).join(', ')}}${more}${view})`;
  }
}

function render(context) { const window = new TrainingMonitor(context); return () => window.end(); }
export default { render };
