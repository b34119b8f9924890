// Panels over one time axis, with the sound: click to seek, drag to select and loop, a cursor that follows, and the same by keys.
import { el } from './explorer.js';
import { Player } from './player.js';
import { number } from './panel.js';

export class Timeline {
  constructor(explorer, parent, readout = () => '') {   // readout(seconds, panel, value): what to say about a place
    this.ex = explorer; this.panels = []; this.readout = readout; this.view = [0, 1]; this.cursor = 0; this.chosen = null; this.seconds = 1;
    this.player = new Player(explorer.root, (t, on) => { this.cursor = t; this.sync(on); });
    explorer.ends.push(() => { this.player.stop(); this.player.unload(); });
    this.row = el('div', {className: 'ax-transport', role: 'group', 'aria-label': 'Player'}); parent.append(this.row);
    this.playing = explorer.button(this.row, 'Play', () => this.player.playing ? this.player.stop() : this.player.play(), {dataset: {key: 'play'}, className: 'ax-play'});
    this.place = el('input', {type: 'range', min: 0, max: 1, step: .01, value: 0, 'aria-label': 'Position', dataset: {key: 'position'}});
    this.place.addEventListener('input', () => { this.player.seek(+this.place.value); this.tell(); });
    this.clock = el('span', {className: 'ax-clock', dataset: {testid: 'clock'}});
    this.row.append(this.place, this.clock);
    explorer.button(this.row, 'Loop from', () => this.choose([this.cursor, this.chosen ? Math.max(this.chosen[1], this.cursor + .02) : this.seconds]), {title: 'begin of the loop: here'});
    explorer.button(this.row, 'to', () => this.choose([this.chosen && this.chosen[0] < this.cursor ? this.chosen[0] : 0, this.cursor]), {title: 'end of the loop: here'});
    explorer.button(this.row, 'Zoom in', () => this.zoom(this.chosen ?? [this.cursor - (this.view[1] - this.view[0]) / 4, this.cursor + (this.view[1] - this.view[0]) / 4]), {dataset: {key: 'zoom'}});
    explorer.button(this.row, 'Whole clip', () => { this.choose(null); this.zoom([0, this.seconds]); }, {dataset: {key: 'whole'}});
  }
  load(wave, sr, name, seconds = wave.length / sr) {
    this.player.load(wave, sr, name);
    if (seconds !== this.seconds || this.name !== name) { this.seconds = seconds; this.name = name; this.view = [0, seconds]; this.choose(null); this.cursor = 0; }
    this.place.max = seconds; this.sync(this.player.playing);
  }
  zoom([a, b]) {
    const wide = Math.min(this.seconds, Math.max(.05, b - a)), from = Math.max(0, Math.min(this.seconds - wide, a));
    this.view = [from, from + wide]; this.ex.schedule();
  }
  choose(span) { this.chosen = span; this.player.loop = span; this.ex.root.dataset.loop = span ? span.map(v => v.toFixed(3)).join() : ''; this.over(); }
  attach(panel) {
    this.panels.push(panel);
    const box = panel.box, time = e => Math.max(0, Math.min(this.seconds, panel.at(e.clientX - box.getBoundingClientRect().left, 0)[0]));
    let from = null;
    box.addEventListener('pointerdown', e => { if (e.button === 0) { from = [e.clientX, time(e)]; box.setPointerCapture(e.pointerId); e.preventDefault(); } });
    box.addEventListener('pointermove', e => {
      const r = box.getBoundingClientRect();
      this.hover = [panel, ...panel.at(e.clientX - r.left, e.clientY - r.top)];
      if (from && Math.abs(e.clientX - from[0]) > 4) this.choose([from[1], time(e)].sort((a, b) => a - b));
      else this.over();
      this.ex.say(this.readout(time(e), panel, this.hover[2]));
    });
    box.addEventListener('pointerup', e => {
      if (!from) return;
      if (Math.abs(e.clientX - from[0]) > 4) this.player.seek(this.chosen[0]); else { this.choose(null); this.player.seek(from[1]); }
      from = null;
    });
    box.addEventListener('pointerleave', () => { this.hover = null; this.over(); });
    return panel;
  }
  tell() { const text = this.readout(this.cursor, null, null); this.place.setAttribute('aria-valuetext', text || `${number(this.cursor)} s`); this.ex.say(text); }
  sync(on) {
    this.playing.textContent = on ? 'Stop' : 'Play';
    this.place.value = this.cursor; this.clock.textContent = `${number(this.cursor)} / ${number(this.seconds)} s`;
    this.ex.root.dataset.cursor = this.cursor.toFixed(4);
    if (document.activeElement !== this.place) this.place.setAttribute('aria-valuetext', `${number(this.cursor)} s`);
    this.over();
  }
  over() {                                              // what moves
    const ink = this.ex.ink;
    if (!ink) return;
    for (const p of this.panels) {
      if (!p.v) continue;
      p.clear();
      if (this.chosen) p.span(this.chosen, ink.select);
      p.mark(this.cursor, ink.cursor, 2);
      if (this.hover) p.mark(this.hover[1], ink.soft, .75);
    }
  }
}
