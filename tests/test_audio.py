"Files a page cannot show: every format at every rate, crops against slices, and each way in which a file can be bad"
import os, struct, subprocess, sys
from collections import Counter
from pathlib import Path
import numpy as np, pytest, soundfile as sf, torch
from audiossl.audio import (AudioError, EXTENSIONS, MissingAudio, SAMPLE_RATE, audio_info, data_path, example, examples, find_audio, load_audio,
    resample, save_audio, to_int16, to_mono)
from audiossl.isolate import Decoders, Fault

LOSSLESS = ('.wav', '.flac')

def sweep(seconds=2., sr=SAMPLE_RATE, top=3_000):
    t = torch.arange(round(seconds*sr))/sr
    return (.5*torch.sin(torch.pi*top/seconds*t**2)).float()

def refused(path, reason, *words):
    "The error of `load_audio(path)`: of this kind, one line, with the path and what to do"
    with pytest.raises(AudioError) as e: load_audio(path)
    line = str(e.value)
    assert e.value.reason==reason, line
    assert line.startswith(f'{path}: ') and '\n' not in line and len(line)<len(str(path))+200 and all(o in line for o in words), line
    return e.value

# ---- round trips

@pytest.mark.parametrize('ext', EXTENSIONS)
@pytest.mark.parametrize('sr', (8_000, 16_000, 24_000, 48_000))
def test_round_trip(tmp_path, ext, sr):
    x,p = sweep(sr=sr),tmp_path/f'a{ext}'
    save_audio(p, x, sr)
    info = audio_info(p)
    assert (info.sr, info.channels, info.frames, info.seconds)==(sr, 1, len(x), len(x)/sr)
    y = load_audio(p, sr)
    assert y.dtype==torch.float32 and y.shape==x.shape and y.is_contiguous()
    error = float((y-x).norm()/x.norm())
    assert error<{'.ogg':.05, '.mp3':.02, '.opus':.35}.get(ext, 1e-4), error   # Opus bends phases where it codes speech

@pytest.mark.parametrize('subtype,step', [('PCM_U8',2**-7), ('PCM_16',2**-15), ('PCM_24',2**-23), ('PCM_32',2**-24),
                                          ('FLOAT',0), ('DOUBLE',0), ('ULAW',.02)])
def test_wav_codings(tmp_path, subtype, step):
    x = sweep()
    sf.write(tmp_path/'a.wav', x, SAMPLE_RATE, subtype=subtype)
    assert (load_audio(tmp_path/'a.wav')-x).abs().max()<=1.01*step
    sf.write(tmp_path/'x.wav', torch.stack([x,x], 1), SAMPLE_RATE, subtype=subtype, format='WAVEX')   # the extensible header
    assert (load_audio(tmp_path/'x.wav')-x).abs().max()<=1.01*step

def test_a_peak_above_one_survives_as_float_only(tmp_path):
    save_audio(tmp_path/'a.wav', 3*sweep(), subtype='FLOAT')
    assert torch.equal(load_audio(tmp_path/'a.wav'), 3*sweep())
    for ext in EXTENSIONS:
        with pytest.raises(AudioError, match='its peak is 1.50'): save_audio(tmp_path/f'b{ext}', 3*sweep())
    assert [o.name for o in tmp_path.iterdir()]==['a.wav']

def test_channels(tmp_path):
    x = torch.stack([sweep(top=500*(i+1)) for i in range(6)])
    save_audio(tmp_path/'six.wav', x, subtype='FLOAT')
    assert audio_info(tmp_path/'six.wav').channels==6
    assert torch.allclose(load_audio(tmp_path/'six.wav'), x.mean(0), atol=1e-6)
    assert torch.equal(to_mono(x[:1]), x[0])
    with pytest.raises(ValueError, match=r'\(2, 6, 10\)'): to_mono(torch.zeros(2, 6, 10))

def test_long_vorbis_does_not_overflow_the_encoder(tmp_path):
    x = sweep(300)
    save_audio(tmp_path/'a.ogg', x)
    assert audio_info(tmp_path/'a.ogg').frames==len(x)

def test_numpy_and_gradients_are_saved_too(tmp_path):
    save_audio(tmp_path/'a.wav', np.zeros(10))
    save_audio(tmp_path/'b.wav', torch.zeros(10, requires_grad=True))
    assert (tmp_path/'a.wav').read_bytes()==(tmp_path/'b.wav').read_bytes()

# ---- rates

@pytest.mark.parametrize('sr', (8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 47_952, 48_000, 96_000, 192_000))
def test_resample_keeps_length_pitch_and_level(sr):
    n = sr//3+7
    x = .5*torch.sin(2*torch.pi*1000*torch.arange(n)/sr)
    y = resample(x, sr)
    assert len(y)==-(-n*SAMPLE_RATE//sr)
    want = .5*torch.sin(2*torch.pi*1000*torch.arange(len(y))/SAMPLE_RATE)
    assert (y-want)[100:-100].abs().max()<.01
    assert torch.allclose(resample(torch.stack([x,x]), sr)[1], y, atol=1e-6)

@pytest.mark.parametrize('sr', (0, -1, 999, 768_001, 2**31-1, 16_000.5, 44_101))
def test_rates_that_are_refused(sr, tmp_path):
    for a,b in ((sr,16_000), (16_000,sr)):
        with pytest.raises(AudioError) as e: resample(torch.zeros(10), a, b)
        assert e.value.reason=='rate'
    save_audio(tmp_path/'a.wav', torch.zeros(10))
    with pytest.raises(AudioError): load_audio(tmp_path/'a.wav', sr)

def test_absurd_rates_of_files_name_the_file(tmp_path):
    for sr in (1, 44_101, 2**31-1):
        sf.write(tmp_path/'a.wav', sweep(), sr)
        refused(tmp_path/'a.wav', 'rate', f'{sr:,}')

# ---- crops

@pytest.mark.parametrize('ext,sr', [*((o,16_000) for o in EXTENSIONS), ('.wav',8_000), ('.wav',11_025), ('.flac',22_050), ('.mp3',44_100),
                                    ('.ogg',44_100), ('.wav',32_000), ('.opus',48_000), ('.wav',96_000), ('.flac',47_952), ('.wav',24_000)])
def test_a_crop_is_the_slice_of_the_whole(tmp_path, ext, sr):
    p = tmp_path/f'a{ext}'
    save_audio(p, torch.stack([sweep(3, sr), .1*torch.randn(3*sr, generator=torch.Generator().manual_seed(0)).clamp(-3,3)]), sr)
    whole = load_audio(p)
    gen = np.random.default_rng(0)
    for offset,duration in [(0,None), (0,.1), (1.25,None), (2.9,5.), (0.,3.), (2.99,1/160), *gen.uniform((0,.01), (2.5,1.), (8,2))]:
        part = load_audio(p, offset=offset, duration=duration)
        first = round(offset*SAMPLE_RATE)
        want = whole[first:] if duration is None else whole[first:first+round(duration*SAMPLE_RATE)]
        assert part.shape==want.shape and (part-want).abs().max()<2e-6, (offset, duration)

def test_a_crop_decodes_only_itself(tmp_path, monkeypatch):
    save_audio(tmp_path/'a.flac', sweep(20, 44_100), 44_100)
    read,asked = sf.SoundFile.read,[]
    monkeypatch.setattr(sf.SoundFile, 'read', lambda self, n, *a, **k: asked.append(n) or read(self, n, *a, **k))
    load_audio(tmp_path/'a.flac', offset=10, duration=1)
    assert 44_100<=sum(asked)<45_500

@pytest.mark.parametrize('ext,sr', [('.ogg',16_000), ('.mp3',16_000), ('.mp3',44_100), ('.opus',16_000), ('.flac',16_000)])
def test_crops_of_restless_noise(tmp_path, ext, sr):
    "where MP3 frames borrow bits of frames before them, and the last page of an Ogg file is cut"
    gen = np.random.default_rng(0)
    x = np.repeat(gen.random(80), 4000)*gen.normal(0, .2, 320_000).clip(-4,4)
    for extra in (0, 1, 4_321):
        save_audio(tmp_path/f'a{ext}', np.append(x, np.zeros(extra)), sr)
        whole = load_audio(tmp_path/f'a{ext}', sr)
        for first in (*gen.integers(0, len(whole)-600, 25).tolist(), *range(len(whole)-20_000, len(whole)-500, 1_500)):
            part = load_audio(tmp_path/f'a{ext}', sr, first/sr, 500/sr)
            assert (part-whole[first:first+500]).abs().max()<2e-6, first

@pytest.mark.parametrize('offset,duration', [(-.1,None), (2.,None), (9.,1.), (0.,0.), (1.,-1.), (1.,1e-6)])
def test_crops_outside(tmp_path, offset, duration):
    save_audio(tmp_path/'a.wav', sweep())
    with pytest.raises(AudioError, match='outside its 2.00 s') as e: load_audio(tmp_path/'a.wav', offset=offset, duration=duration)
    assert e.value.reason=='range'

# ---- bad files

def test_missing_folder_and_pipe(tmp_path):
    assert isinstance(refused(tmp_path/'no.wav', 'missing', 'no such file'), FileNotFoundError)
    with pytest.raises(FileNotFoundError): find_audio(tmp_path/'no')
    refused(tmp_path, 'directory', 'find_audio')
    (tmp_path/'link.wav').symlink_to(tmp_path/'gone.wav')
    refused(tmp_path/'link.wav', 'missing')
    os.mkfifo(tmp_path/'pipe.wav')
    refused(tmp_path/'pipe.wav', 'not_audio', 'not a regular file')    # and does not wait for a writer

@pytest.mark.parametrize('ext', EXTENSIONS)
def test_empty(tmp_path, ext):
    (tmp_path/f'a{ext}').touch()
    refused(tmp_path/f'a{ext}', 'empty', '0 bytes')

def test_no_samples(tmp_path):
    sf.write(tmp_path/'a.wav', np.zeros(0), SAMPLE_RATE)
    refused(tmp_path/'a.wav', 'empty', '0 samples')
    sf.write(tmp_path/'a.flac', np.zeros(0), SAMPLE_RATE)                # libsndfile writes nothing then
    refused(tmp_path/'a.flac', 'empty', '0 bytes')
    sf.write(tmp_path/'one.wav', np.full(1, .5), SAMPLE_RATE)
    assert load_audio(tmp_path/'one.wav').tolist()==[.5]               # one sample is a sound

@pytest.mark.parametrize('content', [b'<!DOCTYPE html><title>404</title>', b'hello', b'\0'*5_000, b'\xff\xfet\0e\0x\0t\0', b'PK\3\4'+b'z'*99,
    b'RIFF\x24\0\0\0AVI LIST', b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n', b'\xff', b'ID3',
    b'ID3\3\0\0\0\0\0\x0aTIT2', b'fLaC', b'.snd\0\0\0\x18'])
def test_not_audio(tmp_path, content):
    for ext in EXTENSIONS:
        (tmp_path/f'a{ext}').write_bytes(content)
        refused(tmp_path/f'a{ext}', 'not_audio')

def test_the_content_decides_not_the_name(tmp_path):
    save_audio(tmp_path/'a.flac', sweep())
    os.rename(tmp_path/'a.flac', tmp_path/'a.wav')
    assert audio_info(tmp_path/'a.wav').format=='FLAC' and len(load_audio(tmp_path/'a.wav'))==2*SAMPLE_RATE

def wav(data, claims=None, code=1, order='fmt data', block=2):
    "A WAV by hand, whose data chunk claims another size"
    parts = dict(fmt=b'fmt '+struct.pack('<IHHIIHH', 16, code, 1, SAMPLE_RATE, SAMPLE_RATE*block, block, 8*block),
        junk=b'LIST'+struct.pack('<I', 3)+b'abc\0', data=b'data'+struct.pack('<I', len(data) if claims is None else claims)+data)
    body = b'WAVE'+b''.join(parts[o] for o in order.split())
    return b'RIFF'+struct.pack('<I', len(body))+body

SAMPLES = (20_000*sweep(.1)).short().numpy().tobytes()

def test_wav_headers(tmp_path):
    p = tmp_path/'a.wav'
    for order in ('fmt data', 'junk fmt data', 'fmt junk data junk'):
        p.write_bytes(wav(SAMPLES, order=order))
        assert len(load_audio(p))==1_600
    for claims in (3_202, 2**31, 2**32-1):                              # one sample more, 2 GiB, 4 GiB
        p.write_bytes(wav(SAMPLES, claims))
        refused(p, 'truncated', 'only 1,600', f'of {claims//2:,} samples')
    p.write_bytes(wav(SAMPLES, 0))
    refused(p, 'empty')
    p.write_bytes(wav(SAMPLES, order='fmt'))
    refused(p, 'truncated', 'no chunk of samples')
    for code in (2, 0x11, 0x55, 0x31):                                  # ADPCM, MP3, GSM in a WAV
        p.write_bytes(wav(SAMPLES, code=code))
        refused(p, 'codec', str(code), 'PCM')

def test_over_4_gib_is_judged_by_its_long_size(tmp_path):
    x = sweep()
    sf.write(tmp_path/'a.wav', x, SAMPLE_RATE, format='RF64')
    d = (tmp_path/'a.wav').read_bytes()
    if d[:4]==b'RIFF': pytest.skip('this libsndfile writes short RF64 files as RIFF')
    assert load_audio(tmp_path/'a.wav').shape==x.shape
    (tmp_path/'a.wav').write_bytes(d[:-100])
    refused(tmp_path/'a.wav', 'truncated', 'only 31,950 of 32,000')

@pytest.mark.parametrize('ext', EXTENSIONS)
def test_no_cut_goes_unseen(tmp_path, ext):
    save_audio(tmp_path/f'a{ext}', sweep(4))
    d = (tmp_path/f'a{ext}').read_bytes()
    for share in (.02, .1, .25, .4, .5, .6, .75, .9, .99):
        (tmp_path/f'cut{ext}').write_bytes(d[:int(share*len(d))])
        with pytest.raises(AudioError) as e: load_audio(tmp_path/f'cut{ext}')
        assert e.value.reason in ('truncated','not_audio') and 'cut' in str(e.value), share
    for n in (1, 3, 7, 12, 20, 40):
        (tmp_path/f'cut{ext}').write_bytes(d[:n])
        with pytest.raises(AudioError): load_audio(tmp_path/f'cut{ext}')

def test_a_cut_flac_still_gives_what_comes_before_the_cut(tmp_path):
    save_audio(tmp_path/'a.flac', torch.randn(20*SAMPLE_RATE, generator=torch.Generator().manual_seed(0)).clamp(-4,4)/4)
    d = (tmp_path/'a.flac').read_bytes()
    (tmp_path/'cut.flac').write_bytes(d[:len(d)//2])
    assert torch.equal(load_audio(tmp_path/'cut.flac', offset=2, duration=3), load_audio(tmp_path/'a.flac', offset=2, duration=3))
    refused(tmp_path/'cut.flac', 'truncated', 'breaks off', 'of 20.0 s')

def test_a_flac_without_a_length(tmp_path):
    save_audio(tmp_path/'a.flac', sweep())
    d = bytearray((tmp_path/'a.flac').read_bytes())
    d[21] &= 0xF0; d[22:26] = bytes(4)
    (tmp_path/'a.flac').write_bytes(d)
    refused(tmp_path/'a.flac', 'truncated', 'length')

def mp3_frames(d):
    "Where the frames of an MPEG-1 or 2 layer III stream begin"
    at,pos = [],0
    while pos+4<=len(d):
        assert d[pos]==255
        one = d[pos+1]>>3&1
        kbps = ((32,40,48,56,64,80,96,112,128,160,192,224,256,320) if one else (8,16,24,32,40,48,56,64,80,96,112,128,144,160))[(d[pos+2]>>4)-1]
        at.append(pos)
        pos += (144_000 if one else 72_000)*kbps//((44_100,48_000,32_000)[d[pos+2]>>2&3]//(1 if one else 2))+(d[pos+2]>>1&1)
    return at

@pytest.mark.parametrize('sr', (16_000, 44_100))
def test_mp3_without_its_first_frame(tmp_path, sr):
    p,x = tmp_path/'a.mp3',sweep(3, sr)
    for mode,tagged in (('CONSTANT',b''), ('CONSTANT',b'ID3\3\0\0\0\0\1\x10'+bytes(144)), ('VARIABLE',b'')):
        sf.write(p, x, sr, bitrate_mode=mode, compression_level=.4)
        assert audio_info(p).frames==len(x)
        d = p.read_bytes()
        p.write_bytes(tagged+d[mp3_frames(d)[1]:])
        if mode=='VARIABLE': refused(p, 'truncated', 'bit rate varies')
        else: assert abs(load_audio(p, sr).shape[0]-len(x))<4*1152          # without the tag the padding of the encoder is sound too

def test_bad_numbers(tmp_path):
    for bad in (float('nan'), float('inf'), -float('inf')):
        x = sweep(); x[[5,700]] = bad
        sf.write(tmp_path/'a.wav', x, SAMPLE_RATE, subtype='FLOAT')
        refused(tmp_path/'a.wav', 'nan', '2 of 32,000')
        assert len(load_audio(tmp_path/'a.wav', offset=1))==SAMPLE_RATE      # the sound part of it can be used
        with pytest.raises(AudioError, match='2 samples are NaN'): save_audio(tmp_path/'b.wav', x)

@pytest.mark.parametrize('ext', EXTENSIONS)
def test_flipped_bytes_never_end_in_anything_but_an_audio_error(tmp_path, ext):
    save_audio(tmp_path/f'a{ext}', sweep(.5))
    d,gen,p = (tmp_path/f'a{ext}').read_bytes(),np.random.default_rng(0),tmp_path/f'b{ext}'
    for _ in range(60):
        b = bytearray(d)
        for i in gen.integers(0, gen.choice([60, len(d)]), 3): b[i] = gen.integers(256)
        p.write_bytes(b)
        try: wave = load_audio(p)
        except AudioError: continue
        assert wave.ndim==1 and wave.isfinite().all()

# ---- bad files by the dozen, decoded as in a preparation: in a process of its own, 5 s and 512 MB a file

def wav_head(data=SAMPLES, channels=1, sr=SAMPLE_RATE, bits=16, claims=None):
    block = channels*bits//8
    fmt = struct.pack('<HHIIHH', 1, channels, sr, sr*block&0xFFFFFFFF, block&0xFFFF, bits)
    return b'RIFF'+struct.pack('<I', 36+len(data))+b'WAVEfmt '+struct.pack('<I', 16)+fmt+b'data'+struct.pack('<I', len(data) if claims is None else claims)+data

def by_hand(folder):
    "Files with what shall come of each: the code of a fault, several that may be, or the wave with the error it may have"
    x,todo = sweep(1),{}
    def put(name, content, want): (folder/name).write_bytes(content); todo[name] = want
    def sound(name, wave, want=None, sr=SAMPLE_RATE, eps=1/2**15, **kw):
        sf.write(folder/name, wave.T if wave.ndim==2 else wave, sr, **kw)
        todo[name] = ((wave if wave.ndim==1 else wave.mean(0)).clamp(-1, 1-2**-15), eps) if want is None else want
    for ext in EXTENSIONS: put(f'empty{ext}', b'', 'empty')
    for ext in ('.wav','.flac','.mp3','.ogg'):                                         # cut at ten points each
        save_audio(folder/f'a{ext}', x); d = (folder/f'a{ext}').read_bytes(); (folder/f'a{ext}').unlink()
        for k in range(1, 10): put(f'cut{k}{ext}', d[:len(d)*k//10], ('truncated','not_audio'))
        put(f'cut10{ext}', d[:-2], ('truncated','not_audio') if ext!='.mp3' else None)  # the last two bytes of an MP3 may be filling
        put(f'head{ext}', d[:44 if ext=='.wav' else 60], ('truncated','not_audio'))
        todo[f'named{ext}.txt.mp3'] = (x, .02 if ext=='.mp3' else .1 if ext=='.ogg' else 1/2**15); (folder/f'named{ext}.txt.mp3').write_bytes(d)
    put('none.wav', wav_head(b''), 'empty')
    put('page.wav', b'<!DOCTYPE html><title>404</title>', 'not_audio'); put('json.mp3', b'{"error": "quota"}', 'not_audio')
    put('lfs.flac', b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n', 'not_audio')
    put('picture.ogg', b'\x89PNG\r\n\x1a\n'+bytes(99), 'not_audio'); put('archive.opus', b'PK\3\4'+bytes(99), 'not_audio'); put('zeros.wav', bytes(5_000), 'not_audio')
    sf.write(folder/'other.aiff', x, SAMPLE_RATE); todo['other.aiff'] = 'not_audio'
    (folder/'folder.wav').mkdir(); todo['folder.wav'] = 'directory'
    os.mkfifo(folder/'pipe.wav'); todo['pipe.wav'] = 'not_audio'
    todo['missing.wav'] = 'missing'; (folder/'dangling.wav').symlink_to(folder/'gone'); todo['dangling.wav'] = 'missing'
    for name,v in dict(nan=np.nan, inf=np.inf, minus_inf=-np.inf).items(): y = x.clone(); y[5] = v; sound(f'{name}.wav', y, 'nan', subtype='FLOAT')
    sound('denormal.wav', torch.full((99,), 1e-40), subtype='FLOAT'); sound('silence.wav', torch.zeros(9_999)); sound('dc.wav', torch.full((9_999,), .5))
    sound('clipped.wav', (9*x).clamp(-1, 1-2**-15)); sound('loud.wav', 3*x, subtype='FLOAT'); sound('one.wav', torch.tensor([.25]))
    for sub,eps in dict(PCM_U8=1/2**7, PCM_24=1/2**15, PCM_32=1/2**15, DOUBLE=1/2**15, ULAW=.02).items(): sound(f'{sub}.wav', x, subtype=sub, eps=eps)
    for c in (2, 6): sound(f'{c}.wav', torch.stack([x*i/c for i in range(c)]), eps=2/2**15)
    put('65535.wav', wav_head(bytes(131_070), 65_535), 'not_audio'); put('0.wav', wav_head(channels=0), ('not_audio','empty'))
    for sr in (8_000, 44_100, 48_000, 96_000):
        t = torch.arange(sr)/sr; want = .5*torch.sin(2*torch.pi*500*torch.arange(SAMPLE_RATE)/SAMPLE_RATE)
        sound(f'{sr}.flac', .5*torch.sin(2*torch.pi*500*t), (want, .06), sr=sr)                       # the filter's edge
    for sr in (0, 1, 2**31-1, 2**32-1): put(f'rate{sr}.wav', wav_head(sr=sr), ('rate','not_audio'))
    for n in (3_202, 2**31, 2**32-1): put(f'lies{n}.wav', wav_head(claims=n), 'truncated')
    put('ima.wav', wav(SAMPLES, code=0x11), 'codec'); put('gsm.wav', wav(SAMPLES, code=0x31), 'codec')
    sf.write(folder/'vbr.mp3', x, SAMPLE_RATE, bitrate_mode='VARIABLE'); todo['vbr.mp3'] = (x, .05)
    sf.write(folder/'two_hours.flac', np.zeros(2*3600*8_000, np.int16), 8_000); todo['two_hours.flac'] = 'long'
    sf.write(folder/'bomb.flac', np.zeros(4*10**7, np.int16), 8_000); todo['bomb.flac'] = 'long'
    assert (folder/'bomb.flac').stat().st_size*1_000<4*10**7*4
    return todo

def test_hand_made_files(tmp_path, capsys):
    "T1"
    todo,right,wrong = by_hand(tmp_path),Counter(),[]
    with Decoders(seconds=5, megabytes=512, max_seconds=3_600) as d:
        for (p,*_),got in d.imap((tmp_path/name, SAMPLE_RATE, 0., None) for name in todo):
            want = todo[p.name]
            if isinstance(got, Fault): ok = got.reason==want or isinstance(want, tuple) and got.reason in want or want is None
            else: ok = want is None or isinstance(want, tuple) and not isinstance(want[0], str) and len(got.wave)==len(want[0]) and np.abs(got.wave/2**15-want[0].numpy()).max()<=want[1]
            right['refused' if isinstance(got, Fault) else 'converted'] += ok
            if isinstance(got, Fault): assert got.message.startswith(f'{p}: ') and '\n' not in got.message, got
            if not ok: wrong.append((p.name, got.reason if isinstance(got, Fault) else len(got.wave)))
    with capsys.disabled(): print(f'\nfiles by hand: {right.total()} of {len(todo)} right ({", ".join(f"{n} {k}" for k,n in right.items())})')
    assert not wrong and len(todo)>=60

def seeds():
    "Eight sounds as the bytes of files"
    import io
    x,out = load_audio(example('speech_it'))[:SAMPLE_RATE],{}
    for name,format,subtype in (('wav','WAV','PCM_16'), ('wav24','WAVEX','PCM_24'), ('wavf','WAV','FLOAT'), ('flac','FLAC','PCM_16'), ('ogg','OGG','VORBIS'),
                                ('opus','OGG','OPUS'), ('mp3','MP3',None), ('mp3v','MP3',None)):
        sf.write(f := io.BytesIO(), x.numpy(), SAMPLE_RATE, subtype=subtype, format=format, **(dict(bitrate_mode='VARIABLE') if name=='mp3v' else {}))
        out[name] = f.getvalue()
    return out

def mutate(seeds, rng):
    "(name of the seed, what was done, bytes)"
    name = str(rng.choice(list(seeds))); d = bytearray(seeds[name]); kind = str(rng.choice(['flip_head','flip','cut','splice','number']))
    if kind=='flip_head':
        for i in rng.integers(0, 64, rng.integers(1, 5)): d[i] ^= 1<<rng.integers(8)
    elif kind=='flip':
        for i in rng.integers(0, len(d), rng.integers(1, 30)): d[i] = rng.integers(256)
    elif kind=='cut': d = d[:rng.integers(len(d)-1)]
    elif kind=='splice':
        o = seeds[str(rng.choice(list(seeds)))]; a,b = sorted(rng.integers(0, len(d), 2)); c,e = sorted(rng.integers(0, len(o), 2))
        d[a:b] = o[c:e]
    else: i = int(rng.integers(0, 80)); d[i:i+4] = struct.pack('<I', int(rng.choice([0, 1, 2**31-1, 2**31, 2**32-1, 2**16])))    # a size or a rate
    return name,kind,bytes(d)

@pytest.mark.parametrize('n', [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_generated_files(tmp_path, capsys, n):
    "T2: no crash, no hang over 5 s, no more than 512 MB, and no cut WAV or FLAC taken for whole"
    rng,base,came,unseen = np.random.default_rng(n),seeds(),Counter(),[]
    made = [mutate(base, rng) for _ in range(n)]
    def ask():
        for i,(_,_,d) in enumerate(made): (tmp_path/f'{i}').write_bytes(d); yield tmp_path/f'{i}', SAMPLE_RATE, 0., None
    with Decoders(seconds=5, megabytes=512, max_seconds=3_600) as d:
        for (name,kind,_),((p,*_),got) in zip(made, d.imap(ask())):
            came[got.reason if isinstance(got, Fault) else 'a sound'] += 1
            if isinstance(got, Fault): assert got.message.startswith(f'{p}: ') and '\n' not in got.message, got
            if kind=='cut' and name.startswith(('wav','flac')) and not isinstance(got, Fault): unseen.append((name, p.name))
            p.unlink()
    bad = {k: came[k] for k in ('crash','hang','memory','error') if came[k]}
    with capsys.disabled(): print(f'\nfiles generated: {n-sum(bad.values())} of {n} judged ({", ".join(f"{n} {k}" for k,n in came.most_common())}); cuts unseen: {len(unseen)}')
    assert not bad and not unseen and came.total()==n

def test_an_error_comes_through_a_worker():
    from torch.utils.data import DataLoader
    class Files(torch.utils.data.Dataset):
        def __len__(self): return 1
        def __getitem__(self, i): return load_audio('/no/such/file.wav')
    with pytest.raises(MissingAudio, match='no such file'): next(iter(DataLoader(Files(), num_workers=1)))
    import pickle
    e = pickle.loads(pickle.dumps(AudioError('a.wav: bad', 'nan', Path('a.wav'))))
    assert (str(e), e.reason, e.path)==('a.wav: bad', 'nan', Path('a.wav'))

# ---- a cap on length

def test_no_more_is_decoded_than_allowed(tmp_path):
    sf.write(tmp_path/'a.flac', np.zeros(100*8_000, np.int16), 8_000)
    assert len(load_audio(tmp_path/'a.flac', max_seconds=100))==len(load_audio(tmp_path/'a.flac', max_seconds=None))==100*SAMPLE_RATE
    for ask in (lambda: load_audio(tmp_path/'a.flac', max_seconds=99.9), lambda: load_audio(tmp_path/'a.flac', offset=1, max_seconds=98), lambda: audio_info(tmp_path/'a.flac', 99)):
        with pytest.raises(AudioError, match='max_seconds=.* is allowed') as e: ask()
        assert e.value.reason=='long' and str(e.value).startswith(f'{tmp_path}/a.flac: ')
    assert len(load_audio(tmp_path/'a.flac', offset=90, duration=2, max_seconds=3))==2*SAMPLE_RATE and audio_info(tmp_path/'a.flac', 100).seconds==100

def test_a_lying_length_is_not_reserved(tmp_path):
    "a FLAC whose header claims 2**36 samples, 50 days, is refused before memory is asked for; allowed, it is truncated"
    save_audio(tmp_path/'a.flac', sweep()); d = bytearray((tmp_path/'a.flac').read_bytes())
    d[21] |= 15; d[22:26] = b'\xff'*4; (tmp_path/'a.flac').write_bytes(d)
    refused(tmp_path/'a.flac', 'long', 'max_seconds')
    with pytest.raises(AudioError) as e: load_audio(tmp_path/'a.flac', max_seconds=None)
    assert e.value.reason=='truncated'

def test_to_int16():
    x = torch.tensor([-2, -1, -.5/2**15, .49/2**15, .51/2**15, .5, 1, 9.])
    assert to_int16(x).tolist()==[-2**15, -2**15, 0, 0, 1, 2**14, 2**15-1, 2**15-1] and to_int16(x).dtype==torch.int16

# ---- writing

def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    save_audio(tmp_path/'a.opus', sweep())
    old = (tmp_path/'a.opus').read_bytes()
    for bad in (dict(sr=44_100), dict(subtype='PCM_16'), dict(sr=44_100, subtype='NONSENSE')):
        with pytest.raises(AudioError) as e: save_audio(tmp_path/'a.opus', sweep(), **bad)
        assert e.value.reason=='codec' and str(tmp_path/'a.opus') in str(e.value)
    assert [o.name for o in tmp_path.iterdir()]==['a.opus'] and (tmp_path/'a.opus').read_bytes()==old
    for name,reason in (('a.txt','codec'), ('a','codec'), ('no/a.wav','missing')):
        with pytest.raises(AudioError) as e: save_audio(tmp_path/name, sweep())
        assert e.value.reason==reason
    for wave in (torch.zeros(0), torch.zeros(1, 2, 3), torch.tensor(1.)):
        with pytest.raises(ValueError, match='wave must be'): save_audio(tmp_path/'b.wav', wave)

def test_find_audio(tmp_path):
    for name in ('b.wav', 'a.FLAC', 'sub/c.mp3', 'd.txt', '._b.wav', 'sub/e.opus', 'f.wav/g.ogg'):
        (tmp_path/name).parent.mkdir(exist_ok=True); (tmp_path/name).touch()
    assert [str(o.relative_to(tmp_path)) for o in find_audio(tmp_path)]==['a.FLAC', 'b.wav', 'f.wav/g.ogg', 'sub/c.mp3', 'sub/e.opus']

# ---- what is bundled, and what is imported

def test_every_bundled_clip_is_sound():
    clips = find_audio(data_path())
    assert len(clips)==1_025
    for p in clips:
        i = audio_info(p)
        assert (i.sr, i.channels, i.format)==(SAMPLE_RATE, 1, 'OGG') and .02<i.seconds<10, i

def test_examples_are_of_their_label():
    assert len(examples())>=8
    for name,label in examples().items():
        assert example(name).parent.name==label
        assert .9<=audio_info(example(name)).seconds<=(6 if name=='speech_ru' else 3), name

def test_plot_needs_only_numpy_and_matplotlib():
    code = "import sys, audiossl.plot; print([o for o in ('torch','torchaudio','soundfile','IPython','pytorch_lightning') if o in sys.modules])"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout=='[]\n'
