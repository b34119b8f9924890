// Sound in the page: a wave becomes a WAV file in memory, played by an ordinary audio element. Nothing starts by itself; one plays at a time.

export function wavBytes(wave, sr) {                    // 16 bits, mono; what is above 1 is cut off
  const out = new DataView(new ArrayBuffer(44 + 2 * wave.length)), text = (at, s) => [...s].forEach((c, i) => out.setUint8(at + i, c.charCodeAt(0)));
  text(0, 'RIFF'); out.setUint32(4, 36 + 2 * wave.length, true); text(8, 'WAVEfmt '); out.setUint32(16, 16, true); out.setUint16(20, 1, true); out.setUint16(22, 1, true);
  out.setUint32(24, sr, true); out.setUint32(28, 2 * sr, true); out.setUint16(32, 2, true); out.setUint16(34, 16, true); text(36, 'data'); out.setUint32(40, 2 * wave.length, true);
  for (let i = 0; i < wave.length; i++) out.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(wave[i] * 32768))), true);
  return out.buffer;
}

export const clipped = (wave, gain = 1) => { let n = 0; for (const v of wave) if (Math.abs(v * gain) > 1) n++; return n; };
export const rms = wave => Math.sqrt(wave.reduce((s, v) => s + v * v, 0) / Math.max(1, wave.length));

export class Player {
  constructor(parent, ontick) {                         // ontick(seconds, playing): about sixty times a second while it plays, and when it stops
    this.audio = document.createElement('audio'); this.audio.preload = 'auto'; parent.append(this.audio);
    this.ontick = ontick; this.loop = null;
    this.audio.addEventListener('ended', () => { if (this.loop) this.play(this.loop[0]); else this.stop(); });
  }
  load(wave, sr, name = '') {
    const on = this.playing, time = this.audio.currentTime;
    this.unload();
    this.url = URL.createObjectURL(new Blob([wavBytes(wave, sr)], {type: 'audio/wav'}));
    this.audio.src = this.url; this.audio.dataset.name = name; this.seconds = wave.length / sr;
    if (time && time < this.seconds) this.audio.currentTime = time;
    if (on) this.play();
  }
  get playing() { return !this.audio.paused; }
  get time() { return this.audio.currentTime; }
  seek(t) { this.audio.currentTime = Math.max(0, Math.min(this.seconds ?? 0, t)); this.ontick?.(this.time, this.playing); }
  async play(from = null) {
    if (globalThis.audiosslPlays !== this) globalThis.audiosslPlays?.stop();
    globalThis.audiosslPlays = this;
    if (from !== null) this.seek(from);
    else if (this.loop && (this.time < this.loop[0] || this.time >= this.loop[1])) this.seek(this.loop[0]);
    else if (this.time >= (this.seconds ?? 0) - .005) this.seek(0);
    await this.audio.play();
    cancelAnimationFrame(this.frame);
    const tick = () => {
      if (!this.playing) return;
      if (this.loop && this.time >= this.loop[1]) this.audio.currentTime = this.loop[0];
      this.ontick?.(this.time, true);
      this.frame = requestAnimationFrame(tick);
    };
    tick();
  }
  stop() { this.audio.pause(); cancelAnimationFrame(this.frame); this.ontick?.(this.time, false); }
  unload() { this.audio.pause(); if (this.url) URL.revokeObjectURL(this.url); this.url = null; }
}
