// EmbeddingMap: clips as points that are heard. Maps, labels and neighbours come from the kernel as bytes; moving from one map to the next, the legend,
// the loop and the search for the point under the pointer happen here. A sound is asked for when it is wanted; a page without a kernel holds some.
import { MARKS } from './colours.js';
import { Explorer, el } from './explorer.js';
import { crc32 } from './frontend.js';
import { Panel, number } from './panel.js';
import { Player } from './player.js';
import { FORMS, Grid, beside, between, ease, fitted, lassoed, mixed, packed, paintPoints, rgb, sprite } from './points.js';

const bytesOf = view => view ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : new ArrayBuffer(0);
const percent = v => v === null || v === undefined ? 'not known' : `${number(100 * v, 1)} %`;
const short = name => { const last = String(name).split('/').pop() || String(name); return last.length > 40 ? `${last.slice(0, 38)}…` : last; };
const arrows = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};

class ClipPlayer extends Player {                       // plays files, not waves
  hold({bytes, type, seconds}) { this.unload(); this.url = URL.createObjectURL(new Blob([bytes], {type})); this.audio.src = this.url; this.seconds = seconds ?? Infinity; }
}

class EmbeddingMap extends Explorer {
  constructor(context) {
    super(context, {testid: 'embedding', title: 'Embedding map', tries: [
      'Move the pointer over a cluster and listen. Then find a point among strangers: why is it there? Lines lead to its nearest in all dimensions, not on the page.',
      'Move the slider "Representation". Points keep their identity, and the map lies as well on the first as it can: what moves, has moved. Does the accuracy say what you see?',
      'Choose t-SNE and change the seed. What stays, is in the data; what changes, is in the drawing.']});
    this.names = ['']; this.keys = []; this.labels = []; this.clips = new Map(); this.at = -1;
    const top = this.group('Representation', this.stage), view = this.group('Map'), tell = this.group('Neighbours'), hand = this.group('Pointer and sound'), chosen = this.group('Selection');
    this.space = this.slider(top, 'space', {label: 'Clips as seen by', values: this.names, write: v => short(v || this.names[0])});
    this.select(view, 'method', {label: 'Projection', options: ['PCA', 't-SNE', 'UMAP'].map(m => [m, m])});
    this.slider(view, 'seed', {label: 'Seed', max: 20}); this.slider(view, 'perplexity', {label: 'Perplexity', min: 2, max: 100});
    this.slider(tell, 'k', {label: 'Neighbours that vote', min: 1, max: 10}); this.check(tell, 'lines', 'lines to the nearest, dashed to other labels');
    this.nearest = el('div', {className: 'ax-list', dataset: {testid: 'nearest'}, role: 'group', 'aria-label': 'Nearest to the point'});
    const buttons = parent => { const b = el('div', {className: 'ax-actions ax-below'}); parent.append(b); return b; }, sound = buttons(hand), marks = buttons(chosen);
    this.check(hand, 'hover', 'play under the pointer'); this.select(hand, 'drag', {label: 'Dragging', options: [['move', 'moves the map'], ['loop', 'draws a loop to select']]});
    this.button(sound, 'Play', () => this.player.playing ? this.player.stop() : this.listenTo(this.at), {dataset: {key: 'play'}, className: 'ax-play'});
    for (const [text, key, f] of [['Zoom in', 'in', () => this.zoom(1.5)], ['Zoom out', 'out', () => this.zoom(1 / 1.5)], ['Whole map', 'whole', () => this.home()]]) this.button(sound, text, f, {dataset: {key}});
    this.count = el('div', {dataset: {testid: 'count'}, role: 'status'}); chosen.insertBefore(this.count, marks);
    for (const [text, key, f] of [['This point', 'this', () => this.toggle(this.at)], ['All of its label', 'label', () => this.pickAll(i => this.kinds[i] === this.kinds[this.at])],
      ['All in view', 'view', () => this.pickAll(i => this.inView(i))], ['Nothing', 'none', () => this.pick([])]]) this.button(marks, text, f, {dataset: {key}});
    this.facts = el('div', {className: 'ax-facts', dataset: {testid: 'facts'}});
    this.legend = el('div', {className: 'ax-legend-list', role: 'group', 'aria-label': 'Labels: press to hide or show', dataset: {testid: 'legend'}});
    const row = el('div', {className: 'ax-row'}), side = el('div', {className: 'ax-side'}, this.legend, this.nearest);
    this.box = el('div', {className: 'ax-column ax-map', tabIndex: 0, role: 'application', dataset: {key: 'map'},
      'aria-label': 'Map. Arrows go from point to point, Page Up and Page Down through all in their order, Enter plays, Space selects, plus and minus zoom, Home shows all, Escape ends the selection.'});
    row.append(this.box, side); this.stage.append(this.facts, row); this.facts.style.paddingLeft = '4px';
    this.picture = new Panel(this.box, {height: 460, left: 1, right: 1, top: 1, bottom: 1, testid: 'picture'});
    this.player = new ClipPlayer(this.root, (t, on) => { this.root.querySelector('[data-key="play"]').textContent = on ? 'Stop' : 'Play'; });
    this.ends.push(() => { this.player.stop(); this.player.unload(); clearTimeout(this.dwell); clearTimeout(this.patience); });
    if (this.model.isStatic) for (const key of ['method', 'seed', 'perplexity', 'k']) this.root.querySelector(`[data-key="${key}"]`).disabled = true;
    this.hands(); this.load(); this.standard();
    this.listen('data', () => { this.load(); this.answered(); });
    this.listen('picked', () => this.adoptPicked());
    const heard = (message, buffers) => this.heard(message, buffers);
    this.model.on('msg:custom', heard); this.ends.push(() => this.model.off('msg:custom', heard));
  }
  get asks() { return this.get('method') === 'PCA' ? ['method', 'k'] : ['method', 'k', 'space', 'seed', 'perplexity']; }

  load() {                                              // what the kernel sent: other clips, or other maps of the same ones
    const d = this.model.get('data') ?? {};
    if (!d.n) return;
    if (d.batch !== this.batch) {
      this.batch = d.batch; this.keys = (this.model.get('sounds') ?? []).map(s => s.name); this.labels = d.labels; this.kinds = new Uint16Array(bytesOf(this.model.get('kinds')));
      this.near = new Uint16Array(bytesOf(this.model.get('near'))); this.clips.clear(); this.at = -1; this.target = null; this.zoomed = null; this.grid = null; this.now = null;
      this.names.splice(0, this.names.length, ...d.spaces); this.space.max = d.spaces.length - 1; this.show('space');
      this.chosen = new Uint8Array(d.n); this.all = new Uint8Array(d.n).fill(1); this.order = Uint32Array.from({length: d.n}, (_, i) => i); this.sizes = null; this.hiddenWas = null;
      const mp3 = bytesOf(this.model.get('mp3'));
      for (const [i, from, length] of this.model.get('clips') ?? []) this.clips.set(i, {bytes: mp3.slice(from, from + length), type: 'audio/mpeg'});
      this.adoptPicked(false); this.entries();
    }
    const all = new Float32Array(bytesOf(this.model.get('points')));
    this.maps = Object.fromEntries(d.known.map((s, k) => [s, all.subarray(2 * d.n * k, 2 * d.n * (k + 1))])); this.hashes = {}; this.d = d;
  }
  get spaceName() { return this.names.includes(this.get('space')) ? this.get('space') : this.names[0]; }

  // --- the picture
  compute() {
    const d = this.d, name = this.spaceName;
    if (!d || !this.maps[name]) {
      if (this.model.isStatic && d) throw Error(`This page holds the ${d.method} map of ${d.known.join(', ')} only.`);
      return null;
    }
    const hidden = this.get('hidden') ?? [];
    if (this.hiddenWas !== JSON.stringify(hidden)) {
      this.hiddenWas = JSON.stringify(hidden); this.visible = Uint8Array.from(this.kinds, k => hidden.includes(this.labels[k]) ? 0 : 1); this.grid = null;
      if (this.at >= 0 && !this.visible[this.at]) this.at = -1;
    }
    return {d, name, to: this.maps[name]};
  }
  hash({name, to}) { return this.hashes[name] ??= crc32(to); }

  move(to) {                                            // from the map that is shown to the next one, each point on its way
    if (this.target === to) return;
    const still = !this.now || this.now.length !== to.length || matchMedia('(prefers-reduced-motion: reduce)').matches, time = performance.now();
    this.way = still ? null : {from: this.now.slice(), begin: time, span: this.way ? 100 : 600, eye: this.eye};
    this.target = to; this.grid = null;
    if (still) this.now = to.slice();
  }
  step() {
    const p = this.picture, goal = this.zoomed ?? fitted(this.target, this.all, p.w, p.h);
    if (!this.way) { this.eye = goal; return; }
    const t = Math.min(1, (performance.now() - this.way.begin) / this.way.span), e = ease(t), from = this.way.eye ?? goal;
    between(this.way.from, this.target, e, this.now); this.grid = null;
    this.eye = {cx: from.cx + (goal.cx - from.cx) * e, cy: from.cy + (goal.cy - from.cy) * e, scale: from.scale * (goal.scale / from.scale) ** e};
    if (t < 1) this.schedule(); else this.way = null;
  }
  draw({d, name, to}) {
    const p = Object.assign(this.picture, {ink: this.ink}).start(), ratio = p.canvas.width / Math.max(1, p.wide);
    this.move(to); this.step();
    const {cx, cy, scale} = this.eye, wide = Math.max(1, Math.round(p.w * ratio)), high = Math.round(p.h * ratio);
    p.x = [cx - p.w / 2 / scale, cx + p.w / 2 / scale]; p.y = [cy - p.h / 2 / scale, cy + p.h / 2 / scale];
    const look = [ratio, this.ink.back, d.n].join();
    if (this.sizes !== look) this.marks(look, ratio, d.n);
    if (this.image?.width !== wide || this.image.height !== high) { this.image = new ImageData(wide, high); this.pixels = new Uint32Array(this.image.data.buffer); }
    this.pixels.fill(packed(rgb(this.ink.back)));
    const place = {x: p.x[0], y: p.y[1], scale: scale * ratio}, paint = (colours, which) => paintPoints({out: this.pixels, wide, high}, this.now, this.order, which, this.kinds, this.sprites, colours, place);
    if (this.some) { paint(this.pale, this.visible); paint(this.strong, this.chosen.map((v, i) => v & this.visible[i])); } else paint(this.strong, this.visible);
    p.g.putImageData(this.image, Math.round(p.left * ratio), Math.round(p.top * ratio));
    p.frame(); this.over();
    if (this.told !== this.state({d, name})) this.tell({d, name});
  }
  marks(look, ratio, n) {
    const radius = n <= 400 ? 5 : n <= 2500 ? 4 : n <= 12000 ? 2.6 : 1.7, back = rgb(this.ink.back), lift = this.dark ? c => mixed(c, [255, 255, 255], .22) : c => c;
    const colours = this.labels.map((_, i) => lift(rgb(MARKS[i % MARKS.length])));
    this.sizes = look; this.radius = radius; this.sprites = this.labels.map((_, i) => sprite(i, radius * ratio)); this.strong = colours.map(packed); this.pale = colours.map(c => packed(mixed(c, back, .72)));
    this.colours = colours; this.entries();
  }
  state({d, name}) { return [d.count, name, this.hiddenWas, this.get('k'), this.some].join('|'); }
  tell({d, name}) {                                     // numbers beside the picture
    this.told = this.state({d, name});
    const f = d.facts[name], shown = this.visible.reduce((a, b) => a + b, 0), share = f.share;
    const facts = [['points', `${shown.toLocaleString('en-US')} of ${d.n.toLocaleString('en-US')}`], ['numbers each', f.wide.toLocaleString('en-US')],
      share ? ['PCA keeps', `${percent(share[0] + share[1])} of the variance (${number(100 * share[0], 1)} + ${number(100 * share[1], 1)})`] : [`${d.method} seed`, String(d.seed)]];
    if (share) facts.push(['seed', `${d.seed} (PCA needs none)`]); else facts.push(['perplexity', String(d.perplexity)]);
    if (f.knn === null) facts.push(['nearest neighbours', 'need labels']);
    else facts.push([`nearest ${d.k} are right`, percent(f.knn)], [`nearest ${d.k} on this map`, percent(f.flat)], ['asked', d.folds ? `in ${d.folds} ${d.folds > 1 ? 'folds' : 'fold'}` : 'each among all others']);
    this.facts.replaceChildren(...facts.map(([k, v]) => el('span', {}, `${k} `, el('b', {dataset: {fact: k}}, v))));
    Object.assign(this.root.dataset, {shown, knn: f.knn ?? '', flat: f.flat ?? '', space: name, method: d.method});
    const right = f.knn === null ? '' : `; the nearest ${d.k} are right for ${percent(f.knn)}, on the map for ${percent(f.flat)}`;
    this.picture.label(`${d.method} map of ${name}: ${shown} of ${d.n} points of ${this.labels.length} labels${right}; ${this.some} selected`);
    this.count.textContent = `${this.some} of ${d.n} selected`;
    for (const b of this.legend.querySelectorAll('button')) b.setAttribute('aria-pressed', String(!(this.get('hidden') ?? []).includes(this.labels[+b.dataset.kind])));
    const quiet = this.model.isStatic ? `Without a kernel: ${this.clips.size} of the ${d.n} sounds are in the page, marked by a dot; other projections need a kernel.` : d.sound ? '' : 'These points have no sounds.';
    this.note.textContent = [quiet, d.n > 4000 ? 'The accuracy is that of 4,000 points.' : ''].filter(Boolean).join(' ');
    this.listNear();
  }
  entries() {                                           // the legend: form and colour, label, how many
    const many = new Uint32Array(this.labels.length);
    for (const k of this.kinds) many[k]++;
    this.legend.replaceChildren(...this.labels.map((name, i) => {
      const mark = el('canvas', {width: 26, height: 26, 'aria-hidden': 'true', className: 'ax-mark'}), form = sprite(i, 9), g = mark.getContext('2d');
      const image = g.createImageData(form.size, form.size), c = this.colours?.[i] ?? rgb(MARKS[i % MARKS.length]);
      for (let k = 0; k < form.cover.length; k++) image.data.set([...c, Math.min(255, form.cover[k])], 4 * k);
      g.putImageData(image, 13 - form.half, 13 - form.half);
      const hint = `${FORMS[i % FORMS.length][0]}; press to hide or show, with Shift to show alone`;
      return el('button', {type: 'button', dataset: {kind: i}, 'aria-pressed': String(!(this.get('hidden') ?? []).includes(name)), title: hint, onclick: e => this.filter(name, e.shiftKey)},
        mark, el('span', {className: 'ax-name'}, name), el('span', {className: 'ax-many'}, String(many[i])));
    }));
  }
  filter(name, alone) {
    const hidden = this.get('hidden') ?? [], only = this.labels.filter(o => o !== name);
    this.set('hidden', alone ? (hidden.length === only.length && !hidden.includes(name) ? [] : only) : hidden.includes(name) ? hidden.filter(o => o !== name) : [...hidden, name]);
  }

  // --- what lies above the picture: the point in question, its neighbours, the loop
  over() {
    const p = this.picture, ink = this.ink, i = this.at;
    if (!p.v || !this.now) return;
    p.clear();
    p.inside(g => {
      const spot = j => [p.px(this.now[2 * j]), p.py(this.now[2 * j + 1])];
      if (this.model.isStatic) { g.fillStyle = ink.back; for (const j of this.clips.keys()) if (this.visible[j]) { const [x, y] = spot(j); g.beginPath(); g.arc(x, y, 1.5, 0, 7); g.fill(); } }
      if (i >= 0) {
        const [x, y] = spot(i);
        if (this.get('lines')) for (const j of this.neighbours(i)) {
          const [u, v] = spot(j), same = this.kinds[j] === this.kinds[i];
          g.strokeStyle = same ? ink.accent : ink.cursor; g.setLineDash(same ? [] : [4, 3]); g.lineWidth = 1.5; g.beginPath(); g.moveTo(x, y); g.lineTo(u, v); g.stroke();
        }
        g.setLineDash([]); g.strokeStyle = ink.text; g.lineWidth = 2; g.beginPath(); g.arc(x, y, this.radius + 4, 0, 7); g.stroke();
      }
      if (this.loop) { g.fillStyle = ink.select; g.strokeStyle = ink.accent; g.lineWidth = 1.5; g.beginPath(); this.loop.forEach(([a, b]) => g.lineTo(p.px(a), p.py(b))); g.closePath(); g.fill(); g.stroke(); }
    }, p.v);
  }
  neighbours(i) {                                       // numbers of the k nearest in all dimensions
    const {d} = this, k = this.names.indexOf(this.spaceName);
    return d.near ? this.near.subarray((k * d.n + i) * d.near, (k * d.n + i) * d.near + Math.min(d.k, d.near)) : [];
  }
  describe(i) { return `${this.keys[i]}   ${this.labels[this.kinds[i]]}`; }
  go(i, name = true) {                                  // to a point
    if (i === this.at) return;
    this.at = i; this.over(); this.listNear();
    if (name && i >= 0) this.say(this.describe(i));
  }
  listNear() {
    const i = this.at, near = i >= 0 && this.d ? [...this.neighbours(i)] : [], same = near.filter(j => this.kinds[j] === this.kinds[i]).length;
    this.root.dataset.at = i;
    this.nearest.replaceChildren(el('div', {className: 'ax-soft'}, i < 0 ? 'Point at a clip to see its nearest.' : near.length ? `${same} of ${near.length} have its label` : 'Too many points for a list.'),
      ...near.map(j => el('button', {type: 'button', onclick: () => this.listenTo(j, performance.now(), false), title: this.describe(j)}, `${this.kinds[j] === this.kinds[i] ? '=' : '\u2260'} ${short(this.keys[j])}`)));
  }

  // --- sound
  async listenTo(i, since = performance.now(), move = true) {
    if (!(i >= 0)) { this.say('No point is chosen: point at one, or go there by arrows.'); return; }
    if (move) this.go(i);
    this.wanted = {i, since}; clearTimeout(this.patience);
    const clip = this.clips.get(i);
    if (clip) { await this.start(i, clip); return; }
    if (this.model.isStatic || !this.d?.sound) { this.player.stop(); this.say(`${this.describe(i)}   (${this.model.isStatic ? 'its sound is not in this page' : 'no sound'})`); return; }
    this.patience = setTimeout(() => this.failed('sound', 'The kernel does not answer: no sound.'), 5000);
    try { this.model.send({hear: i}); } catch { /* said when patience ends */ }
  }
  heard(message, buffers) {
    if (message.heard === undefined || message.batch !== this.batch) return;
    clearTimeout(this.patience); this.failed('sound', message.error ?? '');
    if (message.error) return;
    if (this.clips.size >= 80) this.clips.delete(this.clips.keys().next().value);
    const clip = {bytes: bytesOf(buffers[0]), type: 'audio/wav', seconds: message.seconds};
    this.clips.set(message.heard, clip);
    if (this.wanted?.i === message.heard) this.start(message.heard, clip);
  }
  async start(i, clip) {
    const {since} = this.wanted;
    this.player.hold(clip);
    try { await this.player.play(0); }
    catch (e) {
      if (e.name === 'NotAllowedError') this.say('Click on the map once; then the browser lets it play.');
      else if (e.name !== 'AbortError') this.failed('sound', `${this.keys[i]}: ${e.message}`);
      return;
    }
    Object.assign(this.root.dataset, {played: i, playMs: Math.round(performance.now() - since)});
  }

  // --- selection
  adoptPicked(again = true) {
    this.chosen?.fill(0);
    for (const i of this.model.get('picked') ?? []) this.chosen[i] = 1;
    this.some = this.chosen ? this.chosen.reduce((a, b) => a + b, 0) : 0; this.root.dataset.selected = this.some;
    if (again) this.schedule();
  }
  pick(list) { this.model.set('picked', Array.from(list)); this.model.save_changes(); if (!this.model.isStatic) this.adoptPicked(); }
  pickAll(test) { if (this.visible) this.pick([...this.order].filter(i => this.visible[i] && test(i))); }
  toggle(i) { if (i >= 0) this.pick([...this.order].filter(j => j === i ? !this.chosen[j] : this.chosen[j])); }
  inView(i) { const p = this.picture, x = this.now[2 * i], y = this.now[2 * i + 1]; return x >= p.x[0] && x <= p.x[1] && y >= p.y[0] && y <= p.y[1]; }

  // --- hands and keys
  home() { this.zoomed = null; this.schedule(); }
  zoom(by, [x, y] = [this.eye.cx, this.eye.cy]) {
    const {cx, cy, scale} = this.eye, next = Math.max(1, Math.min(1e6, scale * by)), k = scale / next;
    this.zoomed = {cx: x + (cx - x) * k, cy: y + (cy - y) * k, scale: next}; this.schedule();
  }
  pan(dx, dy) { const {cx, cy, scale} = this.eye; this.zoomed = {cx: cx - dx / scale, cy: cy + dy / scale, scale}; this.eye = this.zoomed; this.schedule(); }
  reset() { this.home(); super.reset(); }
  under(e) {                                            // the point under the pointer, or -1
    const p = this.picture, r = p.box.getBoundingClientRect(), [x, y] = p.at(e.clientX - r.left, e.clientY - r.top);
    if (!this.now || this.way) return {x, y, i: -1};
    this.grid ??= new Grid(this.now, this.visible);
    return {x, y, i: this.grid.nearest(x, y, 14 / this.eye.scale)};
  }
  hands() {
    const box = this.picture.box;
    let from = null;
    box.style.touchAction = 'none';
    box.addEventListener('pointerdown', e => {
      if (e.button !== 0 || !this.eye) return;
      const {x, y, i} = this.under(e);
      from = {px: e.clientX, py: e.clientY, lastX: e.clientX, lastY: e.clientY, i, loop: (this.get('drag') === 'loop') !== e.shiftKey, moved: false, begin: [x, y]};
      box.setPointerCapture(e.pointerId);
    });
    box.addEventListener('pointermove', e => {
      if (from) {
        from.moved ||= Math.hypot(e.clientX - from.px, e.clientY - from.py) > 4;
        if (!from.moved) return;
        if (from.loop) { const {x, y} = this.under(e); (this.loop ??= [from.begin]).push([x, y]); this.over(); }
        else { this.pan(e.clientX - from.lastX, e.clientY - from.lastY); from.lastX = e.clientX; from.lastY = e.clientY; }
        return;
      }
      const {i} = this.under(e), since = Math.min(performance.now(), e.timeStamp);
      if (i < 0) { clearTimeout(this.dwell); this.inside = -1; return; }
      if (i === this.inside) return;
      this.inside = i; this.go(i); clearTimeout(this.dwell);
      if (this.get('hover')) this.dwell = setTimeout(() => this.listenTo(i, since), 25);
    });
    const up = e => {
      if (!from) return;
      if (this.loop) { this.pick(lassoed(this.now, this.visible, this.loop)); this.loop = null; this.over(); }
      else if (!from.moved && e.type === 'pointerup' && from.i >= 0) { if (e.ctrlKey || e.metaKey) this.toggle(from.i); else this.listenTo(from.i); }
      from = null;
    };
    box.addEventListener('pointerup', up); box.addEventListener('pointercancel', up);
    box.addEventListener('pointerleave', () => { clearTimeout(this.dwell); this.inside = -1; });
    box.addEventListener('wheel', e => {                // only where it was asked for: otherwise the page scrolls
      if (!this.eye || !(e.ctrlKey || e.metaKey || this.box.contains(document.activeElement))) return;
      e.preventDefault(); const {x, y} = this.under(e); this.zoom(Math.exp(-Math.max(-100, Math.min(100, e.deltaY)) * .003), [x, y]);
    }, {passive: false});
    this.box.addEventListener('keydown', e => {
      if (!this.now || e.target !== this.box) return;
      const way = arrows[e.key], done = () => e.preventDefault();
      if (way && e.shiftKey) { this.pan(-40 * way[0], 40 * way[1]); done(); }
      else if (way || e.key === 'PageDown' || e.key === 'PageUp') {
        const back = this.at < 0 ? this.visible.length - 1 : this.at - 1;
        const i = way && this.at >= 0 ? beside(this.now, this.visible, this.at, ...way) : e.key === 'PageUp' ? this.visible.lastIndexOf(1, back) : this.visible.indexOf(1, this.at + 1);
        if (i >= 0) { this.go(i); if (!this.inView(i)) { this.zoomed = {...this.eye, cx: this.now[2 * i], cy: this.now[2 * i + 1]}; this.schedule(); } }
        done();
      } else if (e.key === 'Enter') { this.listenTo(this.at, Math.min(performance.now(), e.timeStamp)); done(); }
      else if (e.key === ' ') { this.toggle(this.at); done(); }
      else if (e.key === '+' || e.key === '=') { this.zoom(1.3); done(); }
      else if (e.key === '-') { this.zoom(1 / 1.3); done(); }
      else if (e.key === 'Home') { this.home(); done(); }
      else if (e.key === 'Escape') { this.pick([]); done(); }
    });
  }
  code() {
    const d = this.d ?? {}, text = v => JSON.stringify(String(v)).replace(/[\u007f-\uffff]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`), task = d.python;
    return `from audiossl.explore.embedding import plot_embedding\nfrom audiossl.explore.flatmap import coordinates${/representations/.test(task) ? ', representations' : ''}\n`
      + (task || '# embeddings: dict name -> (n, D) array; labels: n texts\n')
      + `xy, share = coordinates(embeddings, ${text(this.spaceName)}, ${text(d.method)}, seed=${d.seed}, perplexity=${d.perplexity})\nplot_embedding(xy, labels)`;
  }
}

function render(context) { const window = new EmbeddingMap(context); return () => window.end(); }
export default { render };
