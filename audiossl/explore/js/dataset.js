// DatasetBrowser: the sounds of a dataset as a table that can be heard; what was left out of it; what its splits share.
import { toImage } from './colours.js';
import { Explorer, el, sounds } from './explorer.js';
import { crc32, hzRow, logMel } from './frontend.js';
import { LOOK } from './look.js';
import { Panel, number } from './panel.js';
import { clipped } from './player.js';
import { BINS, binOf, classesOf, countClasses, countLengths, lengthOf, listedRows, verdict } from './rows.js';
import { Table } from './table.js';
import { Timeline } from './timeline.js';

const many = v => v.toLocaleString('en-US'), ANY = 1e9, TABS = [['sounds', 'Sounds'], ['problems', 'Problems'], ['overlaps', 'Overlaps']];

class DatasetBrowser extends Explorer {
  constructor(context) {
    super(context, {testid: 'dataset', title: 'Dataset browser', tries: [
      'Choose a row, then listen through: arrow keys move, space plays. Ten sounds of a class tell more than its name.',
      'Sort by seconds, look at both ends; or drag over the histogram to keep only the shortest.',
      'Open Overlaps and click on a number that should be zero: the table has the pairs, one below the other.']});
    this.held = new Map(); this.toPlay = null; this.root.prepend(el('style', {}, LOOK));
    this.facts = el('div', {className: 'ax-facts ax-flush', dataset: {testid: 'facts'}}); this.stage.append(this.facts);
    this.tabs = el('div', {className: 'ax-tabs', role: 'tablist', 'aria-label': 'Views'}); this.stage.append(this.tabs);
    this.views = {}; this.knobs = {};
    for (const [k, text] of TABS) {
      this.views[k] = el('div', {role: 'tabpanel', 'aria-label': text, dataset: {testid: `view-${k}`}}); this.stage.append(this.views[k]);
      this.knobs[k] = this.button(this.tabs, text, () => this.set('tab', k), {role: 'tab', dataset: {key: `tab-${k}`}});
    }
    this.tabs.addEventListener('keydown', e => {
      const at = TABS.findIndex(([k]) => k === this.get('tab')), to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: 2}[e.key];
      if (to !== undefined) { const [k] = TABS[(to + 3) % 3]; this.set('tab', k); this.knobs[k].focus(); }
    });
    this.makeSounds(this.views.sounds); this.makeProblems(this.views.problems); this.makeOverlaps(this.views.overlaps);
    this.standard(); this.adopted();
    this.listen('data', () => this.adopted());
    const heard = (said, buffers) => this.heard(said, buffers);
    this.model.on('msg:custom', heard); this.ends.push(() => this.model.off('msg:custom', heard));
  }
  makeSounds(view) {
    const row = el('div', {className: 'ax-row'}), left = el('div', {className: 'ax-column'}, el('div', {className: 'ax-caption ax-flush'}, 'Sounds of each class: click to filter')),
      right = el('div', {className: 'ax-column'}, el('div', {className: 'ax-caption'}, 'Durations: drag to filter'));
    row.append(left, right); view.append(row);
    this.bars = el('div', {className: 'ax-bars', role: 'listbox', tabIndex: 0, 'aria-label': 'Classes', dataset: {testid: 'bars', key: 'bars'}}); left.append(this.bars);
    this.bars.addEventListener('click', e => { const o = e.target.closest('[role=option]'); if (o) this.pickClass(+o.dataset.c); });
    this.bars.addEventListener('keydown', e => this.barKey(e));
    this.lengths = new Panel(right, {height: 150, right: 14, testid: 'lengths'});
    this.dragLengths(this.lengths.box);
    const find = el('div', {className: 'ax-controls'}); view.append(find);
    const a = this.group('Find', find), b = this.group('Part', find), c = this.group('Duration', find), d = this.group('Listen through', find);
    this.textField(a); this.labelField(a);
    this.split = this.listField(b, 'split', 'Split', 'all splits'); this.fold = this.listField(b, 'fold', 'Fold', 'all folds');
    this.ends_ = {shortest: this.slider(c, 'shortest', {label: 'Shortest', unit: 's', write: v => number(v)}),
      longest: this.slider(c, 'longest', {label: 'Longest', write: v => this.d && v >= this.d.top ? 'any' : `${number(v)} s`})};
    this.check(d, 'through', 'play each sound that is chosen');
    this.button(d, 'Clear filters', () => this.clear(), {dataset: {key: 'clear'}});
    this.shownOf = el('div', {className: 'ax-listed', role: 'status', dataset: {testid: 'listed'}}); view.append(this.shownOf);
    this.table = new Table(view, {label: 'Sounds: arrow keys move, space plays', testid: 'table', height: 300, columns: [
      {key: 'play', label: '', wide: '26px', sorts: false}, {key: 'key', label: 'key', wide: 'minmax(120px, 3fr)'}, {key: 'label', label: 'class', wide: 'minmax(80px, 1.6fr)'},
      {key: 'split', label: 'split', wide: '66px'}, {key: 'fold', label: 'fold', wide: '52px', right: true}, {key: 'seconds', label: 'seconds', wide: '76px', right: true},
      {key: 'rate', label: 'Hz', wide: '66px', right: true}, {key: 'twin', label: 'equals', wide: 'minmax(60px, 1.2fr)', sorts: false}],
      cell: (i, k) => this.cell(this.shown.rows[i], k), onsort: k => this.sortBy(k),
      onmove: (i, how, e) => this.go(this.shown.rows[i], how === 'click' ? e.target.closest('.ax-go') !== null || e.detail > 1 : false),
      onkey: e => { if (e.key === ' ' || e.key === 'Enter') { e.preventDefault(); this.toggle(e.key === 'Enter'); } }});
    this.about = el('div', {className: 'ax-caption ax-about', dataset: {testid: 'about'}}); view.append(this.about);
    this.line = new Timeline(this, view, t => this.shown?.sound ? `t ${number(t, 3)} s   ${this.shown.sound.name}` : '');
    this.picture = new Panel(view, {height: 130, testid: 'picture'});
    view.insertBefore(this.picture.box, this.line.row); this.line.attach(this.picture);
    this.line.player.audio.addEventListener('ended', () => { if (this.get('through')) this.step(1, true); });
  }
  textField(parent) {
    const input = el('input', {type: 'search', dataset: {key: 'text'}, placeholder: 'part of a key or class', autocomplete: 'off', spellcheck: false, 'aria-label': 'Search'});
    input.addEventListener('input', e => this.set('text', input.value, Math.min(performance.now(), e.timeStamp)));
    this.fields.text = v => { if (input.value !== v) input.value = v; };
    this.fields.text(this.settings.text ?? ''); parent.append(el('div', {className: 'ax-field ax-whole'}, input));
  }
  listField(parent, key, label, any) {                  // a choice whose items come with the data
    const input = el('select', {dataset: {key}, 'aria-label': label});
    input.addEventListener('change', () => this.set(key, input.selectedOptions[0].value_));
    this.fields[key] = v => { const i = [...input.options].findIndex(o => o.value_ === v); if (input.options.length) input.selectedIndex = Math.max(0, i); };
    parent.append(el('div', {className: 'ax-field ax-whole'}, input));
    const option = (v, text) => Object.assign(el('option', {}, text), {value_: v});
    return {fill: values => {
      input.replaceChildren(option(this.defaults[key], any), ...values.map(v => option(v, key === 'fold' ? `fold ${v}` : v)));
      input.disabled = !values.length; this.fields[key](this.settings[key]);
    }};
  }
  labelField(parent) { this.label = this.listField(parent, 'label', 'Class', 'all classes'); }
  makeProblems(view) {
    this.said = el('p', {className: 'ax-said', dataset: {testid: 'problems-said'}}); view.append(this.said);
    this.problems = new Table(view, {label: 'Inputs that were left out', testid: 'problems', height: 420, columns: [
      {key: 'file', label: 'file', wide: 'minmax(120px, 2fr)'}, {key: 'reason', label: 'reason', wide: 'minmax(120px, 2fr)'}, {key: 'fix', label: 'what to do', wide: 'minmax(120px, 2fr)'}],
      cell: (i, k) => this.d.problems[i][k], onmove: i => { this.problems.fill(this.d.problems.length, i); this.say(['file', 'reason', 'fix'].map(k => this.d.problems[i][k]).join('   ')); }});
    this.proof = el('div', {className: 'ax-listen ax-flush ax-proof'}); view.append(this.proof);
    this.verify = this.button(this.proof, 'Compare every byte', () => this.ask({verify: true}, Infinity), {dataset: {key: 'verify'}});
    this.state = el('span', {dataset: {testid: 'state'}}); this.proof.append(this.state);
  }
  makeOverlaps(view) {
    this.verdict = el('p', {className: 'ax-said', dataset: {testid: 'verdict'}}); this.matrices = el('div', {className: 'ax-row ax-wrap'}); view.append(this.verdict, this.matrices);
  }

  // --- data from Python
  adopted() {
    const d = this.model.get('data');
    if (!d?.keys) return;
    if (this.d?.version !== d.version) {
      this.held.clear(); this.line?.player.stop(); this.toPlay = null;
      clearTimeout(this.asked?.patience); this.asked = this.next = null;
      if (this.model.isStatic) for (const s of sounds(this.model)) this.held.set(s.row, s);
    }
    this.d = {...d};
    this.label.fill(d.classes); this.split.fill([...new Set(d.split)].filter(Boolean)); this.fold.fill([...new Set(d.fold)].filter(Boolean).sort((a, b) => a - b));
    for (const k of ['shortest', 'longest']) { Object.assign(this.ends_[k], {min: 0, max: d.top, step: d.top / BINS}); this.fields[k](this.get(k)); }
    this.twins = {};
    d.mark.forEach((m, i) => (this.twins[m] ??= []).push(i));
    this.order = d.classes.map((_, c) => c).sort((a, b) => d.counts[b] - d.counts[a] || a - b); this.most = d.counts[this.order[0]] || 1; this.bar = 0;
    this.bars.replaceChildren(...this.order.map(c => el('div', {role: 'option', id: `${this.table.id}-c${c}`, className: 'ax-bar', 'aria-selected': 'false', dataset: {c}},
      el('span', {className: 'ax-bar-name', title: d.classes[c]}, d.classes[c]), el('span', {className: 'ax-bar-track'}, el('i', {className: 'ax-bar-all'}), el('i', {className: 'ax-bar-own'})),
      el('span', {className: 'ax-bar-count'}))));
    for (const o of this.bars.children) o.querySelector('.ax-bar-all').style.width = `${100 * d.counts[o.dataset.c] / this.most}%`;
    this.matrices.replaceChildren(...d.overlaps.map(o => this.matrix(o)));
    this.schedule();
  }
  ask(what, patience = 15000, since = performance.now()) { // one question at a time; the latest of the others waits
    if (this.model.isStatic) throw Error('Without a kernel only the sounds in the page can be heard; run the notebook for the others.');
    if (this.asked) { this.next = {what, patience, since}; return; }
    this.root.dataset.state = 'busy';
    const lost = () => { this.asked = null; this.failed('kernel', 'The kernel does not answer; the last picture is kept.'); };
    this.asked = {since, what, patience: patience < Infinity ? setTimeout(lost, patience) : null};
    this.model.send({...what, version: this.d.version});
  }
  heard(said, buffers) {
    if (said.version !== this.d?.version) return;
    const since = this.asked?.since, row = said.row, mine = this.asked?.what.row === row;
    this.failed('sound', said.error ?? '');
    if (said.error) { this.lost = row; if (this.toPlay === row) this.toPlay = null; }
    if (!said.error && !said.verify) {
      const b = buffers[0], bytes = b.buffer ? b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength) : b;
      this.held.set(row, {row, name: this.d.keys[row], sr: 16000, wave: new Float32Array(bytes)});
      while (this.held.size > 24) this.held.delete(this.held.keys().next().value);
    }
    if (mine || said.verify) { clearTimeout(this.asked?.patience); this.asked = null; this.failed('kernel', ''); }
    const next = this.next; this.next = null;
    if (next && !(next.what.row !== undefined && this.held.has(next.what.row))) this.ask(next.what, next.patience, next.since);
    this.schedule(since);
  }

  // --- choosing and listening
  go(row, play = false) {
    const was = this.get('row');
    this.failed('sound', ''); this.lost = null;
    this.toPlay = play || this.get('through') ? row : null;
    if (row !== was) this.line.player.stop();
    this.set('row', row); this.fetch(row);
  }
  fetch(row, since) {
    if (!this.held.has(row) && this.lost !== row && this.asked?.what.row !== row && !this.model.isStatic) this.ask({row}, 15000, since);
  }
  step(by, play) { const {rows} = this.shown, at = rows.indexOf(this.get('row')) + by; if (at >= 0 && at < rows.length) this.go(rows[at], play); }
  toggle(again) {
    if (this.line.player.playing && !again) return this.line.player.stop();
    const {rows = []} = this.shown ?? {}, row = rows.includes(this.get('row')) ? this.get('row') : -1; // the chosen one, painted or not
    if (row < 0) return rows.length ? this.go(rows[0], true) : undefined;
    this.toPlay = row;
    this.lost = null;
    if (this.held.has(row)) this.schedule();
    else if (this.model.isStatic) this.failed('sound', 'This page holds a few sounds only; run the notebook for the others.');
    else this.fetch(row);
  }
  sortBy(key) {                                         // up, down, as it was
    const same = this.get('sort') === key, down = this.get('descending');
    this.settings = {...this.settings, descending: same && !down};
    this.set('sort', same && down ? '' : key);
  }
  pickClass(c) { this.bar = this.order.indexOf(c); const name = this.d.classes[c]; this.set('label', this.get('label') === name ? '' : name); }
  barKey(e) {
    const n = this.d?.classes.length ?? 0, to = {ArrowDown: this.bar + 1, ArrowUp: this.bar - 1, Home: 0, End: n - 1}[e.key];
    if (to !== undefined && n) { e.preventDefault(); this.bar = Math.max(0, Math.min(n - 1, to)); this.markBar(); this.bars.children[this.bar].scrollIntoView({block: 'nearest'}); }
    else if ((e.key === ' ' || e.key === 'Enter') && n) { e.preventDefault(); this.pickClass(this.order[this.bar]); }
  }
  markBar() {
    if (this.order.length) this.bars.setAttribute('aria-activedescendant', `${this.table.id}-c${this.order[this.bar]}`);
    [...this.bars.children].forEach((o, i) => o.classList.toggle('ax-at', i === this.bar));
  }
  clear() {
    const keep = ['row', 'tab', 'through', 'sort', 'descending'];
    this.settings = {...this.settings, ...Object.fromEntries(Object.entries(this.defaults).filter(([k]) => !keep.includes(k)))};
    this.show(); this.set('text', '');
  }
  dragLengths(box) {
    let from = null;
    const bin = e => { const r = box.getBoundingClientRect(); return Math.max(0, Math.min(BINS - 1, Math.floor(this.lengths.at(e.clientX - r.left, 0)[0] / this.d.top * BINS))); };
    const keep = (a, b) => {
      const [lo, hi] = [Math.min(a, b), Math.max(a, b)].map(k => k * this.d.top / BINS), step = this.d.top / BINS;
      this.settings = {...this.settings, shortest: lo}; this.set('longest', Math.max(a, b) === BINS - 1 ? ANY : hi + step); this.show();
    };
    box.addEventListener('pointerdown', e => { if (e.button === 0 && this.d) { from = bin(e); box.setPointerCapture(e.pointerId); e.preventDefault(); } });
    box.addEventListener('pointermove', e => { if (from !== null) keep(from, bin(e)); });
    box.addEventListener('pointerup', e => { if (from !== null) { keep(from, bin(e)); from = null; } });
  }

  // --- painting
  compute() {
    const d = this.d, s = this.settings;
    if (!d) { if (this.model.get('error')) return null; throw Error('There is no dataset to show.'); }
    const rows = listedRows(d, s), counts = countClasses(d, rows), lengths = countLengths(d, rows), row = rows.includes(s.row) ? s.row : -1;
    if (row >= 0 && s.tab === 'sounds') this.fetch(row, this.since ?? undefined);
    const sound = row >= 0 ? this.held.get(row) : null;
    if (sound) sound.mel ??= logMel(sound.wave);
    return {d, settings: s, rows, counts, lengths, row, sound: sound ?? ((row < 0 || !this.model.isStatic) && this.shown?.d.version === d.version ? this.shown.sound : null)};
  }
  hash({counts, lengths, rows}) { return crc32(Float32Array.from([...counts, ...lengths, ...rows])); }

  draw(shown) {
    const {d, settings: s, rows} = shown;
    for (const [k] of TABS) { this.views[k].hidden = s.tab !== k; this.knobs[k].setAttribute('aria-selected', String(s.tab === k)); }
    if (this.told !== d) { this.told = d; this.drawFacts(d); }
    if (s.tab === 'sounds') this.drawSounds(shown);
    if (s.tab === 'problems') this.drawProblems(d);
    if (s.tab === 'overlaps') this.verdict.textContent = verdict(d);
    this.root.dataset.listed = rows.length;
  }
  drawFacts(d) {
    const leaks = d.overlaps.filter(o => o.what === 'sound').reduce((n, o) => n + o.matrix.reduce((m, r, a) => m + r.reduce((k, v, b) => k + (a > b ? v : 0), 0), 0), 0);
    this.knobs.problems.textContent = d.left_out ? `Problems (${many(d.left_out)})` : 'Problems';
    this.knobs.overlaps.textContent = leaks ? `Overlaps (${many(leaks)})` : 'Overlaps';
    const rates = d.rates.filter(([r]) => r).map(([r, n]) => d.rates.length > 1 ? `${many(r)} Hz \u00d7 ${many(n)}` : `${many(r)} Hz`).slice(0, 5).join(', ');
    const facts = [['dataset', d.name], ['sounds', many(d.total)], ['classes', many(d.classes.length)], ['in all', d.hours >= 1 ? `${number(d.hours, 1)} h` : `${number(60 * d.hours, 1)} min`],
      ['rates', rates], ['left out', many(d.left_out)], ['in two parts', many(leaks)], ['checksums', d.state || 'none: files, not a store']];
    this.facts.replaceChildren(...facts.filter(([, v]) => v).map(([k, v]) => el('span', {}, `${k} `, el('b', {dataset: {fact: k}}, v))));
    this.note.textContent = [d.note, this.model.isStatic ? 'Without a kernel: the page holds the columns of the table and a few sounds.' : ''].filter(Boolean).join(' ');
  }
  drawSounds(shown) {
    const {d, settings: s, rows, counts, row, sound} = shown;
    this.drawLengths(shown);                            // first what asks for the size of its place, then what changes the page
    if (sound && sound !== this.line.sound) { this.line.sound = sound; this.line.load(sound.wave, sound.sr, `${d.version} ${sound.row}`); }
    const now = [d, sound, sound ? row === sound.row : row, this.wide, this.dark, ...this.line.view];
    if (!this.was || now.some((v, i) => v !== this.was[i])) { this.drawMel(shown); this.was = now; }
    if (sound && this.toPlay === sound.row && row === sound.row) { this.toPlay = null; this.line.player.play(0).catch(e => this.failed('action', e.message)); }
    this.line.over();
    for (const o of this.bars.children) {
      const c = +o.dataset.c, text = counts[c] === d.counts[c] ? many(counts[c]) : `${many(counts[c])} of ${many(d.counts[c])}`, chosen = String(s.label === d.classes[c]);
      if (o.lastChild.textContent !== text) { o.lastChild.textContent = text; o.children[1].lastChild.style.width = `${100 * counts[c] / this.most}%`; }
      if (o.getAttribute('aria-selected') !== chosen) o.setAttribute('aria-selected', chosen);
    }
    this.markBar();
    const pair = s.overlap?.length ? `: what ${s.overlap[2] === s.overlap[3] ? `${s.overlap[2]} has twice` : `${s.overlap[2]} and ${s.overlap[3]} share`}` : '';
    const few = rows.length < d.keys.length, said = `${many(rows.length)}${few ? ` of ${many(d.total)}` : ''} sounds${pair}${rows.length ? '' : '; clear the filters to see all'}`;
    if (this.shownOf.textContent !== said) this.shownOf.textContent = said;
    const {sort, descending} = s, filters = Object.entries(s).filter(([k]) => !['row', 'tab', 'through'].includes(k));
    this.table.fill(rows.length, rows.indexOf(row), {sort, descending, list: JSON.stringify([d.version, filters])});
  }
  drawLengths({d, rows, lengths}) {
    const {ink} = this, step = d.top / BINS, high = Math.max(1, ...d.lengths), p = Object.assign(this.lengths, {ink, x: [0, d.top], y: [0, high * 1.06]}).start();
    p.bars(d.lengths.map((n, i) => [(i + .06) * step, (i + .94) * step, n]), ink.line); p.bars(lengths.map((n, i) => [(i + .06) * step, (i + .94) * step, n]), ink.accent);
    p.frame(); p.axisX('s'); p.axisY('sounds', [0, high]);
    const held = rows.map(i => lengthOf(d, i)).filter(v => v >= 0).sort((a, b) => a - b);
    p.label(held.length ? `Durations of ${many(held.length)} sounds, from ${number(held[0])} to ${number(held.at(-1))} s` : 'Durations: 0 sounds are listed');
  }
  drawMel({d, sound, row}) {
    const p = Object.assign(this.picture, {ink: this.ink, x: this.line.view, y: [-.5, 63.5]}).start();
    if (!sound) {
      p.frame(); p.label(row < 0 ? 'No sound is chosen: 0 frames' : `The sound of row ${row} is not here`);
      this.about.textContent = row < 0 ? '' : `${d.keys[row]}: ${this.model.isStatic ? 'not in this page; run the notebook to hear it' : 'on its way'}`;
      return;
    }
    const {mel} = sound, top = 20 * Math.log10(sound.wave.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-9)), over = clipped(sound.wave);
    if (!mel.image) {
      let lo = Infinity, hi = -Infinity;
      for (const v of mel.data) { if (v < lo) lo = v; if (v > hi) hi = v; }
      Object.assign(mel, {image: toImage(mel, 'magma', lo, hi), lo, hi});
    }
    p.image(mel.image, [-.005, mel.T * .01 - .005], [-.5, 63.5]); p.frame(); p.axisX('s');
    p.axisY('kHz', [250, 500, 1000, 2000, 4000].map(f => [hzRow(f), String(f / 1000)])); p.bar('magma', mel.lo, mel.hi, 'level');
    const all = lengthOf(d, sound.row), seconds = sound.wave.length / sound.sr;
    const span = all > seconds + .05 ? `the first ${number(seconds)} of ${number(all)} s` : `${number(seconds)} s`;
    this.about.textContent = [sound.name, classesOf(d, sound.row).join(', '), span, `peak ${number(top, 1)} dB`, over ? `${many(over)} samples clip` : ''].filter(Boolean).join('  \u00b7  ');
    p.label(`Mel spectrogram of ${sound.name}, ${number(seconds)} s`);
  }
  cell(i, k) {
    const d = this.d;
    if (k === 'play') return el('span', {className: 'ax-go', title: 'play'}, '\u25b6');
    if (k === 'label') return classesOf(d, i).join(', ');
    if (k === 'split') return d.split[i];
    if (k === 'fold') return d.fold[i] ? String(d.fold[i]) : '';
    if (k === 'seconds') return d.seconds[i] === null ? '?' : number(d.seconds[i]);
    if (k === 'rate') return d.rate[i] ? many(d.rate[i]) : '?';
    if (k === 'twin') { const other = this.twins[d.mark[i]].filter(j => j !== i); return other.length ? `= ${d.split[other[0]] ? `${d.split[other[0]]}: ` : ''}${d.keys[other[0]]}` : ''; }
    return d.keys[i];
  }
  drawProblems(d) {
    const hidden = d.left_out - d.problems.length;
    const said = `${many(d.left_out)} ${d.left_out === 1 ? 'problem' : 'problems'}: the file, what is wrong, what to do${hidden ? `; the first ${many(d.problems.length)} are listed` : ''}.`;
    this.said.textContent = d.left_out ? said : 'No problems: nothing was left out.';
    this.problems.grid.hidden = !d.left_out;
    if (d.left_out) this.problems.fill(d.problems.length, Math.min(this.problems.at, d.problems.length - 1));
    this.verify.hidden = !d.store || !!this.model.isStatic; this.state.textContent = d.state ? `Checksums: ${d.state}.` : 'These are files, not a store: there are no checksums to compare.';
  }
  matrix(o) {
    const name = o.by === 'split' ? 'splits' : 'folds', text = `${o.what === 'sound' ? 'Equal sounds' : 'Sounds of one recording'} in two ${name}`;
    const head = el('tr', {}, el('td', {}), ...o.parts.map(p => el('th', {scope: 'col'}, p)));
    const body = o.parts.map((a, i) => el('tr', {}, el('th', {scope: 'row'}, a), ...o.parts.map((b, j) => {
      const n = o.matrix[i][j];
      if (!n || i === j && o.what === 'source') return el('td', {className: i === j ? 'ax-own' : ''}, many(n));
      const say = i === j ? `${n} sounds are in ${a} twice or more` : `${n} of ${a} are in ${b} too`, td = el('td', {className: i === j ? 'ax-own' : 'ax-leak'});
      const open = () => { this.clear(); this.settings = {...this.settings, overlap: [o.what, o.by, a, b]}; this.set('tab', 'sounds'); };
      this.button(td, many(n), open, {'aria-label': say, title: say, dataset: {key: `overlap-${o.what}-${o.by}-${a}-${b}`}});
      return td;
    })));
    return el('div', {className: 'ax-matrix', dataset: {testid: `matrix-${o.what}-${o.by}`}}, el('table', {}, el('caption', {}, text), el('thead', {}, head), el('tbody', {}, ...body)));
  }
  code() {
    const s = this.settings, d = this.d, q = v => v === true ? 'True' : v === false ? 'False' : Array.isArray(v) ? `(${v.map(q).join(', ')})` : typeof v === 'string' ? JSON.stringify(v) : String(v);
    const args = Object.entries(this.defaults).filter(([k, v]) => !['row', 'tab', 'through'].includes(k) && JSON.stringify(v) !== JSON.stringify(s[k])).map(([k]) => `, ${k}=${q(s[k])}`).join('');
    const store = /^Store\(/.test(d?.python ?? '') ? 'from audiossl.datasets.store import Store\n' : '';
    return `${store}from audiossl.explore.dataset import catalogue_of, rows_of\ncat = catalogue_of(${d?.python ?? ''})\nrows = rows_of(cat${args})\nwave = cat.wave(${this.shown?.row ?? 0})`;
  }
}

function render(context) { const window = new DatasetBrowser(context); return () => window.end(); }
export default { render };
