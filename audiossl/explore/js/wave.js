// The smallest window: a wave that can be heard. A pattern for windows of your own: controls in the constructor, then compute, draw, hash and code.
import { Explorer, sounds } from './explorer.js';
import { crc32 } from './frontend.js';
import { Panel, number } from './panel.js';
import { Timeline } from './timeline.js';

class WaveExplorer extends Explorer {
  constructor(context) {
    super(context, {testid: 'wave', title: 'Wave explorer', tries: [
      'Press Play, then drag over the part you want to hear again and again.',
      'Zoom in until you can count the periods: how many in 10 ms?',
      'Turn the gain up until the player clips.']});
    this.load();
    this.listen('samples', () => { this.load(); this.schedule(); });
    this.line = new Timeline(this, this.stage, t => `t ${number(t, 3)} s   amplitude ${number(this.shown.wave[Math.round(t * this.shown.sound.sr)] ?? 0, 3)}`);
    this.panel_ = this.line.attach(new Panel(this.stage, {height: 150, testid: 'picture'}));
    const box = this.group('Sound');
    this.menu = this.select(box, 'sound', {label: 'Sound', options: this.names});
    this.slider(box, 'gain_db', {label: 'Gain', unit: 'dB', min: -40, max: 40});
    this.standard();
  }
  load() { this.sounds = sounds(this.model); this.menu?.fill(this.names); }
  get names() { return this.sounds.map(s => [s.name, s.name]); }
  compute() {
    const sound = this.sounds.find(s => s.name === this.get('sound')) ?? this.sounds[0];
    if (!sound) throw Error('There is no sound to show.');
    return {sound, wave: sound.wave.map(v => v * 10 ** (this.get('gain_db') / 20))};
  }
  draw({sound, wave}) {
    this.line.load(wave, sound.sr, sound.name);
    const p = Object.assign(this.panel_, {ink: this.ink, x: this.line.view, y: [-1, 1]}).start();
    p.wave(wave, sound.sr, this.ink.accent); p.frame(); p.axisX('s'); p.axisY('amplitude');
    p.label(`Wave of ${sound.name}, ${number(wave.length / sound.sr)} s, gain ${this.get('gain_db')} dB`);
    this.note.textContent = sound.note;
    this.line.over();
  }
  hash({wave}) { return crc32(wave); }
  code() { return `from audiossl.audio import example, load_audio\nfrom audiossl.plot import plot_wave\nplot_wave(${this.shown.sound.python} * 10**(${this.get('gain_db')}/20))`; }
}

function render(context) { const window = new WaveExplorer(context); return () => window.end(); }
export default { render };
