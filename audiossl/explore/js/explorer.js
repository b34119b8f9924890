// What every window shares: controls by mouse and keys, one paint for many events, an error line, Copy as Python, light and dark, and the
// data-* attributes of the root: rev (paints so far), ms (from the last input to its paint), hash (of what is drawn), state (idle, busy, error),
// unheard (settings changed here of which Python has not said that it heard).
// `model` is anywidget's, or `staticModel` where there is no kernel.

export function el(tag, props = {}, ...children) {      // an element; text is always text, never markup
  const res = document.createElement(tag);
  for (const [k, v] of Object.entries(props)) {
    if (k === 'dataset') Object.assign(res.dataset, v);
    else if (k.startsWith('on')) res.addEventListener(k.slice(2), v);
    else if (k in res && k !== 'list') res[k] = v;
    else res.setAttribute(k, v);
  }
  res.append(...children);
  return res;
}

let count = 0;                                          // for ids: no two windows of a page share one, each has a module of its own
const page = Math.random().toString(36).slice(2, 8), newId = () => `ax-${page}-${++count}`;

// Settings are changed here and in Python. Each stands for itself: a change of one never undoes another. Of two changes of the same one the
// later stays; where they cross on the way, the page's does, which Python hears last. For that a change has a number, until Python says that
// it has heard it.
export class Both {
  constructor(by, settings) { this.by = by; this.seen = this.theirs = settings; this.mine = {}; this.told = {}; this.count = 0; }
  same(a, b) { return JSON.stringify(a) === JSON.stringify(b); }
  note(settings) {                                      // changed here
    for (const [k, value] of Object.entries(settings)) if (!this.same(value, this.seen[k])) this.mine[k] = {n: ++this.count, value, sent: false};
    this.seen = settings;
  }
  changes() {                                           // what Python is to hear: name -> [number, value]
    for (const [k, m] of Object.entries(this.mine)) { m.sent = true; this.told[k] = m.value; }
    return {by: this.by, values: Object.fromEntries(Object.entries(this.mine).map(([k, m]) => [k, [m.n, m.value]]))};
  }
  merge(theirs, [by, last] = []) {                      // `theirs`: said by Python when it had heard change `last` of the page `by`
    for (const [k, m] of Object.entries(this.mine)) {
      const later = !m.sent && !this.same(theirs[k], this.theirs[k]) && !this.same(theirs[k], this.told[k]);
      if (later || by === this.by && m.n <= last) delete this.mine[k];
    }
    this.theirs = theirs;
    return this.seen = {...theirs, ...Object.fromEntries(Object.entries(this.mine).map(([k, m]) => [k, m.value]))};
  }
}

export class Explorer {
  constructor({model, el: parent}, {testid, title, tries = [], height}) {
    this.model = model; this.rev = 0; this.fields = {}; this.faults = {}; this.ends = [];
    this.defaults = model.get('defaults') ?? {}; this.settings = {...this.defaults, ...model.get('settings')};
    this.both = new Both(newId(), this.settings);
    this.root = el('section', {className: 'ax', 'data-lm-suppress-shortcuts': 'true', dataset: {testid, rev: 0, ms: '', hash: '', state: 'busy'}, 'aria-label': title, role: 'group'});
    this.actions = el('div', {className: 'ax-actions'});
    this.stage = el('div', {className: 'ax-stage'});
    this.read = el('div', {className: 'ax-read', dataset: {testid: 'readout'}}, '\u00a0');
    this.panel = el('div', {className: 'ax-controls'});
    this.fault = el('div', {className: 'ax-error', role: 'alert', dataset: {testid: 'error'}, hidden: true});
    this.note = el('div', {className: 'ax-note', dataset: {testid: 'note'}, role: 'status'});
    this.python = el('pre', {className: 'ax-code', dataset: {testid: 'code'}, tabIndex: 0, hidden: true, 'aria-label': 'Python code for this picture'});
    const hints = tries.length ? [el('details', {className: 'ax-try'}, el('summary', {}, 'What to try'), el('ol', {}, ...tries.map(t => el('li', {}, t))))] : [];
    this.root.append(el('div', {className: 'ax-head'}, el('div', {className: 'ax-title'}, title), this.actions), ...hints, this.fault, this.stage, this.read, this.panel, this.note, this.python);
    this.root.addEventListener('keydown', e => e.stopPropagation());          // keys inside are the window's: a notebook around it has plans with arrows
    parent.append(this.root);
    this.themed();
    for (const k of ['settings', 'heard']) this.listen(k, () => this.adopt(model.get('settings')));
    this.listen('error', () => { this.failed('python', model.get('error')); });
    this.failed('python', model.get('error') ?? '');
    const resized = new ResizeObserver(() => { if (this.root.clientWidth !== this.wide) this.schedule(); });
    resized.observe(this.root); this.ends.push(() => resized.disconnect());
  }
  // --- what a window adds: compute() gives what is to be drawn, draw(shown) draws it, code() is the Python for it
  compute() { return null; }
  draw() {}
  code() { return ''; }
  hash() { return ''; }

  // --- talking to Python
  listen(key, f) { this.model.on(`change:${key}`, f); this.ends.push(() => this.model.off(`change:${key}`, f)); }
  adopt(settings) {                                     // settings that came from Python
    const next = this.both.merge({...this.defaults, ...settings}, this.model.get('heard')); this.waits();
    if (Object.keys({...next, ...this.settings}).every(k => JSON.stringify(next[k]) === JSON.stringify(this.settings[k]))) return;
    this.settings = next; this.show(); this.schedule();
  }
  waits() { this.root.dataset.unheard = this.model.isStatic ? 0 : Object.keys(this.both.mine).length; }
  get(key) { return this.settings[key]; }
  set(key, value, since = performance.now()) {
    this.settings = {...this.settings, [key]: value}; this.both.note(this.settings); this.waits();
    this.show(key); clearTimeout(this.saving);
    const save = () => { this.saving = null; this.model.set('changes', this.both.changes()); this.model.save_changes(); };
    if (this.asks?.includes(key) && !this.model.isStatic) this.request(since, save);
    else { this.schedule(since); this.saving = setTimeout(save, 120); }
  }
  // a window whose numbers come from the kernel names the settings that ask for them in `asks`, and calls `answered` when they are there:
  // one question is on its way at a time, the next one holds the latest settings
  request(since, save) {
    this.root.dataset.state = 'busy';
    if (this.asked) { this.again = {since, save}; return; }
    const patience = setTimeout(() => this.failed('kernel', 'The kernel does not answer; the last picture is kept.'), 15000);
    this.asked = {patience, since}; this.again = null;
    this.model.set('ask', (this.model.get('ask') ?? 0) + 1); save();
  }
  answered() {
    const since = this.asked?.since ?? performance.now();
    clearTimeout(this.asked?.patience); this.asked = null; this.failed('kernel', '');
    if (this.again) this.request(this.again.since, this.again.save);
    this.schedule(since);
  }
  show(key = null) { for (const [k, f] of Object.entries(this.fields)) if (key === null || k === key) f(this.settings[k]); }
  reset() {
    const keep = Object.fromEntries(Object.entries(this.settings).filter(([k]) => !(k in this.defaults)));
    this.settings = {...keep, ...this.defaults}; this.show(); this.set(Object.keys(this.defaults)[0], Object.values(this.defaults)[0]);
  }

  // --- painting: however many events come, one paint for each frame of the screen, with the latest values
  schedule(since = performance.now()) {
    this.since ??= since; this.root.dataset.state = 'busy';
    this.due ??= requestAnimationFrame(() => this.paint());
  }
  paint() {
    this.due = null; this.wide = this.root.clientWidth;
    if (this.ended) return;
    if (!this.wide) { setTimeout(() => { if (this.root.clientWidth && !this.wide) this.schedule(); }, 100); return; }   // not on the screen: painted when it comes back, be it for a moment only
    const since = this.since; this.since = null; this.ink = this.inks();
    try { this.shown = this.compute() ?? this.shown; this.failed('paint', ''); }
    catch (e) { this.failed('paint', e.message); }
    try { if (this.shown) this.draw(this.shown); }      // after an error: the last good picture
    catch (e) { this.failed('paint', e.message); }
    if (!this.python.hidden) this.python.textContent = this.code();
    setTimeout(() => {                                  // after the screen has it
      if (this.ended) return;
      this.rev += 1;
      Object.assign(this.root.dataset, {ms: (performance.now() - since).toFixed(1), hash: this.shown ? this.hash(this.shown) : '', rev: this.rev});
      if (!this.due && !this.asked) this.root.dataset.state = this.fault.hidden ? 'idle' : 'error';
    });
  }
  failed(who, text) {
    this.faults[who] = text || '';
    const all = Object.values(this.faults).filter(Boolean).join(' ');
    if (this.fault.textContent !== all) this.fault.textContent = all;
    this.fault.hidden = !all;
    this.root.dataset.state = all ? 'error' : this.due || this.asked ? 'busy' : 'idle';
  }
  say(text) { if (this.read.textContent !== text) this.read.textContent = text || '\u00a0'; }

  // --- controls
  group(name, parent = this.panel) {
    const box = el('div', {role: 'group', className: 'ax-group', 'aria-label': name}, el('div', {className: 'ax-legend'}, name));
    parent.append(box);
    return box;
  }
  slider(parent, key, {label, unit = '', min = 0, max = 1, step = 1, values = null, write = v => String(v)}) { // `values`: a list to choose from
    const id = newId(), out = el('output', {htmlFor: id}), text = v => unit ? `${write(v)} ${unit}` : write(v);
    const input = el('input', {type: 'range', id, dataset: {key}, min: values ? 0 : min, max: values ? values.length - 1 : max, step: values ? 1 : step});
    const value = () => values ? values[+input.value] : +input.value;
    input.addEventListener('input', e => this.set(key, value(), Math.min(performance.now(), e.timeStamp)));
    this.fields[key] = v => {
      input.value = values ? Math.max(0, values.indexOf(v)) : v;
      out.textContent = text(v); input.setAttribute('aria-valuetext', `${label} ${text(v)}`);
    };
    if (this.settings[key] !== undefined) this.fields[key](this.settings[key]);
    parent.append(el('div', {className: 'ax-field'}, el('label', {htmlFor: id}, label), out, input));
    return input;
  }
  select(parent, key, {label, options}) {               // options: [[value, text], ...]; `fill` of what is returned takes others
    const id = newId(), input = el('select', {id, dataset: {key}});
    const fill = next => { options = next; input.replaceChildren(...options.map(([, text], i) => el('option', {value: i}, text))); };
    input.addEventListener('change', () => this.set(key, options[+input.value][0]));
    this.fields[key] = v => { input.value = Math.max(0, options.findIndex(o => o[0] === v)); };
    input.fill = next => { fill(next); this.fields[key](this.settings[key]); };
    input.fill(options);
    parent.append(el('div', {className: 'ax-field'}, el('label', {htmlFor: id}, label), input));
    return input;
  }
  check(parent, key, label) {
    const id = newId(), input = el('input', {type: 'checkbox', id, dataset: {key}});
    input.addEventListener('change', () => this.set(key, input.checked));
    this.fields[key] = v => { input.checked = v; };
    this.fields[key](this.settings[key]);
    parent.append(el('div', {className: 'ax-check'}, input, el('label', {htmlFor: id}, label)));
    return input;
  }
  button(parent, label, action, props = {}) {
    const b = el('button', {type: 'button', ...props}, label);
    b.addEventListener('click', async e => { try { await action(e); } catch (err) { this.failed('action', err.message); } });
    parent.append(b);
    return b;
  }
  standard() {                                          // the buttons that every window has
    this.button(this.actions, 'Reset', () => this.reset(), {dataset: {key: 'reset'}});
    const copy = this.button(this.actions, 'Copy as Python', async () => {
      this.python.textContent = this.code(); this.python.hidden = false;
      let done = true;
      try { await navigator.clipboard.writeText(this.python.textContent); } catch { done = false; }
      copy.textContent = done ? 'Copied' : 'Below, to be copied';
      setTimeout(() => { copy.textContent = 'Copy as Python'; }, 1500);
    }, {dataset: {key: 'python'}});
    this.schedule();
  }

  // --- light and dark
  themed() {
    const look = () => {
      const lab = document.body?.dataset.jpThemeLight, theme = document.documentElement.dataset.theme;
      this.dark = lab ? lab === 'false' : theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
      this.root.classList.toggle('ax-dark', this.dark); this.schedule();
    };
    const media = matchMedia('(prefers-color-scheme: dark)'), seen = new MutationObserver(look);
    media.addEventListener('change', look);
    for (const o of [document.body, document.documentElement]) if (o) seen.observe(o, {attributes: true, attributeFilter: ['data-jp-theme-light', 'data-theme']});
    this.ends.push(() => { media.removeEventListener('change', look); seen.disconnect(); });
    look();
  }
  inks() {
    const s = getComputedStyle(this.root), v = k => s.getPropertyValue(`--ax-${k}`).trim();
    return {text: v('text'), soft: v('soft'), line: v('line'), accent: v('accent'), cursor: v('cursor'), select: v('select'), back: v('back'), veil: v('veil'), hot: v('hot')};
  }
  end() { this.ended = true; cancelAnimationFrame(this.due); clearTimeout(this.saving); clearTimeout(this.asked?.patience); this.ends.forEach(f => f()); this.root.remove(); }
}

export function sounds(model) {                         // [{name, sr, wave: Float32Array, python, note}, ...] from the bytes that Python sent
  const view = model.get('samples'), meta = model.get('sounds') ?? [];
  if (!view) return [];
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  let at = 0;
  return meta.map(m => {
    const wave = m.scale ? Float32Array.from(new Int16Array(bytes, at, m.n), v => v * m.scale) : new Float32Array(bytes, at, m.n);
    at += m.n * (m.scale ? 2 : 4); at += -at & 3;
    return {...m, wave};
  });
}

export function staticModel(state) {                    // stands in for the kernel: holds the values, answers nothing
  const heard = {}, value = k => { const v = state[k]; return v?.base64 === undefined ? v : new DataView(Uint8Array.from(atob(v.base64), c => c.charCodeAt(0)).buffer); };
  return {
    get: value, save_changes() {}, send() {}, isStatic: true,
    set(k, v) { state[k] = v; (heard[`change:${k}`] ?? []).forEach(f => f()); },
    on(k, f) { (heard[k] ??= []).push(f); },
    off(k, f) { heard[k] = (heard[k] ?? []).filter(o => o !== f); },
  };
}
