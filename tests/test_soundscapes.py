"Soundscapes: labels exact to the sample, rules kept, sources apart, the same bytes after a kill, read as DESED and from a store; and one line for each mistake"
import hashlib, json, os, shutil, signal, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np, pytest, torch
from audiossl.audio import audio_info, data_path, load_audio, save_audio
from audiossl.datasets.events import KINDS, desed, read_events, read_weak
from audiossl.datasets.minisounds import metadata
from audiossl.datasets.soundscapes import bundled_bank, folder_bank, read_soundscapes, synth_bank, write_soundscapes
from audiossl.scenes import SIDES, Placed, Rules, Source, draw_scene, make_bank, mix_scene, scene_events, trim_silence

FEW = dict(strong=8, weak=10, valid=4, test=4)

@pytest.fixture(scope='module')
def bank(): return synth_bank(per_class=5)

@pytest.fixture(scope='module')
def root(bank, tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')/'root'
    write_soundscapes(bank, folder, **FEW, empty=.3, short=.5)
    return folder

def hashes(folder): return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(folder).rglob('*')) if p.is_file()}

# --- scenes

def test_labels_are_exact(bank):
    rng,seen = np.random.default_rng(0), 0
    for split in SIDES:
        for _ in range(15):
            s = draw_scene(bank, split, rng=rng)
            gain = np.abs(mix_scene(bank, s)).max()
            if gain>=.989: continue                             # scaled as a whole: the difference is not of the events alone
            left,inside = np.abs(mix_scene(bank, s)-mix_scene(bank, s._replace(events=()))), np.zeros(s.ms*16, bool)
            for _,a,b in scene_events(bank, s):
                inside[(i:=round(a*16000)):(j:=round(b*16000))] = True
                assert left[i:i+16].max()>0 and left[j-16:j].max()>0
                seen += 1
            assert len(left)==s.ms*16 and not left[~inside].any()
    assert seen>50

def test_rules_hold(bank):
    rng,rules = np.random.default_rng(1), Rules(most=12, snr_db=(6.,30.))
    scenes = [draw_scene(bank, 'train', rules, rng) for _ in range(400)]
    for s in scenes:
        n = np.zeros(s.ms, int)
        for e in s.events: n[e.onset_ms:e.onset_ms+e.ms] += 1
        assert n.max(initial=0)<=3 and all(0<=e.onset_ms and e.onset_ms+e.ms<=s.ms and 6<=e.snr_db<=30 for e in s.events)
        for c in range(len(bank.classes)):
            mine = sorted((e.onset_ms, e.onset_ms+e.ms) for e in s.events if e.label==c)
            assert all(b[0]-a[1]>=150 for a,b in zip(mine, mine[1:]))
    counts = np.bincount([e.label for s in scenes for e in s.events], minlength=10)
    assert counts.min()>.5*counts.mean() and abs(np.mean([not s.events for s in scenes])-.05)<.03
    assert max(len(s.events) for s in scenes)>6 and {s.background for s in scenes}=={0,1}

def test_loudness_is_as_drawn(bank):
    s = draw_scene(bank, 'train', Rules(empty=0.), np.random.default_rng(3))
    c,k = 0,0
    wave = bank.sounds['train'][c][k].wave
    s = s._replace(events=(Placed(c, k, 1000, len(wave)//16, 1, 17.),), ms=10_000, level_db=-50.)
    event = (mix_scene(bank, s)-mix_scene(bank, s._replace(events=())))[16_000:][:len(wave)]
    noise = mix_scene(bank, s._replace(events=()), Rules(noise_db=-200.))
    level = lambda x: 10*np.log10(np.mean(np.square(x, dtype=np.float64)))
    assert abs(level(noise)+50)<.01 and abs(level(event)-level(noise)-17)<.05

def test_repeats_are_one_event(bank):
    x = np.sin(np.arange(1600)).astype(np.float32)
    rows = [(s, 'a', s, x) for s in SIDES]
    own = make_bank('one', rows, bank.backgrounds, ['a'])
    s = draw_scene(own, 'train', Rules(empty=0., short=0., most=1, repeats=(3,3)), np.random.default_rng(0))
    e = s.events[0]
    assert (e.repeats, e.ms)==(3, 3*len(own.sounds['train'][0][0].wave)//16+2*50)
    left = np.abs(mix_scene(own, s)-mix_scene(own, s._replace(events=())))[e.onset_ms*16:(e.onset_ms+e.ms)*16]
    n = len(own.sounds['train'][0][0].wave)
    assert left[n-9:n].max()>0 and not left[n:n+800].any() and left[n+800:n+809].max()>0       # the gap is a gap

def test_trim():
    x = np.zeros(16000, np.float32); x[3001:5000] = .5
    assert len(trim_silence(x))==1984 and trim_silence(x)[0]==.5                       # 1999 samples: 124 whole ms
    assert len(trim_silence(np.zeros(100)))==0 and len(trim_silence([]))==0
    long = trim_silence(np.ones(16000*8, np.float32)); assert len(long)==96_000 and long[-1]==0 and long[-400]==1

@pytest.mark.parametrize('kw,said', [(dict(snr_db=(30,6)), 'snr_db'), (dict(most=0), 'most=0'), (dict(empty=1.5), 'empty=1.5'), (dict(seconds=4.), 'seconds=4'), (dict(short_s=(6.,12.)), 'short_s')])
def test_bad_rules(kw, said):
    with pytest.raises(ValueError, match=said): Rules(**kw)

# --- banks

def test_bundled_sources_are_apart():
    b,group = bundled_bank(), {r['file']: (r['group'], r['split']) for r in metadata()}
    of = {s: {group[x.name] for some in (*b.sounds[s], b.backgrounds[s]) for x in some} for s in SIDES}
    assert {split for _,split in of['test']}=={'test'} and all({split for _,split in of[s]}=={s} for s in SIDES)
    assert not {g for g,_ in of['test']} & {g for s in ('train','valid') for g,_ in of[s]}
    assert all(len(some)>=3 for s in SIDES for some in b.sounds[s])

def test_synth_bank_is_a_function_of_its_seed(bank):
    assert bank.mark()==synth_bank(per_class=5).mark()!=synth_bank(1, per_class=5).mark()
    waves = [x.wave.tobytes() for s in SIDES for some in bank.sounds[s] for x in some]
    assert len(set(waves))==len(waves)
    with pytest.raises(ValueError, match='per_class=2'): synth_bank(per_class=2)

@pytest.fixture
def mine(tmp_path):
    for label,n in (('kick',6), ('flute',6)):
        (tmp_path/'mine'/label).mkdir(parents=True)
        for p in sorted((data_path()/'audio'/label).glob('*.ogg'))[:n]: shutil.copy(p, tmp_path/'mine'/label)
    return tmp_path/'mine'

def test_folder(mine):
    b = folder_bank(mine)
    assert b.classes==('flute','kick') and all(x.name.startswith('noise') for s in SIDES for x in b.backgrounds[s])
    names = [x.name for s in SIDES for some in b.sounds[s] for x in some]
    assert len(names)==len(set(names))==12
    few = folder_bank(mine, most=1); assert all(len(some)==1 for s in SIDES for some in few.sounds[s])
    rows = ['file,label,split']+[f'{p.relative_to(mine)},{p.parent.name},{SIDES[i%3]}' for i,p in enumerate(sorted(mine.rglob('*.ogg')))]
    (mine/'labels.csv').write_text('\n'.join(rows)+'\n')
    got = {x.name: s for s in SIDES for some in folder_bank(mine).sounds[s] for x in some}
    assert all(got[r.split(',')[0]]==r.split(',')[2] for r in rows[1:])

def test_folder_faults(mine, tmp_path):
    (mine/'a,b').mkdir(); shutil.copy(next(mine.rglob('*.ogg')), mine/'a,b'/'x.ogg')
    with pytest.raises(ValueError, match="named 'a,b'"): folder_bank(mine)
    shutil.move(mine/'a,b', mine/'silent'); (mine/'silent'/'x.ogg').unlink()
    for i in range(5): save_audio(mine/'silent'/f'{i}.wav', torch.zeros(16000))
    with pytest.raises(ValueError, match="no sound of 'silent' in the part for"): folder_bank(mine)
    shutil.move(mine/'silent', mine/'background'); [p.unlink() for p in sorted((mine/'background').iterdir())[1:]]
    with pytest.raises(ValueError, match='no background in the part for'): folder_bank(mine)
    with pytest.raises((ValueError,FileNotFoundError), match='nowhere'): folder_bank(tmp_path/'nowhere')

# --- on disk

def test_read_as_desed(root, bank):
    for split,n in (('train',8+9), ('valid',4+1), ('test',4)):
        ds = desed(root, split)
        assert ds.classes==bank.classes and len(ds)==n==len(read_soundscapes(root, split)) and not ds.missing
    assert set(KINDS[k] for k in desed(root).kinds)=={'strong','weak'}
    test,table = desed(root, 'test'), read_events(root/'metadata/validation/validation.tsv')
    lengths = dict(l.split('\t') for l in (root/'metadata/validation/validation_durations.tsv').read_text().splitlines()[1:])
    for i in range(4):
        item = test[i]; name = item.key.split('/')[1]
        assert np.array_equal(item.labels.numpy().T, test.encoder.encode_strong(table[name]))
        assert float(lengths[name])==audio_info(test.entries[i].path).seconds==pytest.approx(item.seconds)
    every = {**read_events(root/'metadata/train/synthetic21_train/soundscapes.tsv'), **table}
    assert any(not e for e in every.values()) and any(e for e in every.values()) and all(read_weak(root/'metadata/train/weak.tsv').values())
    assert min(map(float, lengths.values()))<10 or min(audio_info(p).seconds for p in root.rglob('*.wav'))<10

def test_more_scenes_begin_with_the_same(root, bank, tmp_path):
    write_soundscapes(bank, tmp_path/'more', **dict(FEW, strong=11), empty=.3, short=.5)
    a,b = hashes(root),hashes(tmp_path/'more')
    wavs = [k for k in a if k.endswith('.wav')]
    assert all(a[k]==b[k] for k in wavs) and len([k for k in b if k.endswith('.wav')])==len(wavs)+3

def test_goes_on(root, bank, tmp_path):
    shutil.copytree(root, tmp_path/'half'); half = tmp_path/'half'
    wavs = sorted(half.rglob('*.wav'))
    for p in wavs[::2]: p.unlink()
    wavs[1].write_bytes(wavs[1].read_bytes()[:-2]); (half/'metadata/classes.txt').unlink()
    report = write_soundscapes(bank, half, **FEW, empty=.3, short=.5)
    assert report['already']==len(wavs)-len(wavs[::2])-1 and hashes(half)==hashes(root)

def test_killed(tmp_path):
    code = "from audiossl.datasets.soundscapes import *; write_soundscapes(synth_bank(per_class=5), {!r}, strong=60, weak=5, valid=5, test=5)"
    p = subprocess.Popen([sys.executable, '-c', code.format(str(tmp_path/'a'))], env=dict(os.environ, OMP_NUM_THREADS='1'))
    stop = time.monotonic()+120
    while len(list(tmp_path.rglob('*.wav')))<10 and time.monotonic()<stop and p.poll() is None: time.sleep(.005)
    p.send_signal(signal.SIGKILL); p.wait()
    assert p.returncode==-9 and 10<=len(list((tmp_path/'a').rglob('*.wav')))<75
    kw = dict(strong=60, weak=5, valid=5, test=5)
    report = write_soundscapes(synth_bank(per_class=5), tmp_path/'a', **kw)
    assert report['already']>=9 and report['already']+report['written']==75
    write_soundscapes(synth_bank(per_class=5), tmp_path/'b', **kw)
    assert {k:v for k,v in hashes(tmp_path/'a').items() if '.part' not in k}==hashes(tmp_path/'b')

def test_other_settings_are_refused(root, bank, mine, tmp_path):
    with pytest.raises(ValueError, match='other settings, strong 8, not 9'): write_soundscapes(bank, root, **dict(FEW, strong=9), empty=.3, short=.5)
    changed = replace(bank, sounds={**bank.sounds, 'test': [[Source(x.name, x.wave*.5) for x in some] for some in bank.sounds['test']]})
    with pytest.raises(ValueError, match='other settings, sounds'): write_soundscapes(changed, root, **FEW, empty=.3, short=.5)
    before = hashes(mine)
    with pytest.raises(ValueError, match='holds other files'): write_soundscapes(bank, mine, **FEW)
    assert hashes(mine)==before
    (tmp_path/'bad/metadata').mkdir(parents=True); (tmp_path/'bad/metadata/soundscapes.json').write_text('{')
    with pytest.raises(ValueError, match='damaged'): write_soundscapes(bank, tmp_path/'bad', **FEW)

@pytest.mark.parametrize('kw,said', [(dict(strong=0), 'strong=0'), (dict(test='x'), "test=x"), (dict(snr=3), 'no such setting'), (dict(snr_db=6), 'two numbers'), (dict(empty='half'), 'a number')])
def test_bad_words(bank, tmp_path, kw, said):
    with pytest.raises(ValueError, match=said): write_soundscapes(bank, tmp_path/'x', **{**FEW, **kw})
    assert not (tmp_path/'x').exists()

# --- the command

def test_command(typed, mine, tmp_path):
    few = [w for k,v in FEW.items() for w in ('--option', f'{k}={v}')]
    assert typed('prepare', 'soundscapes', mine, tmp_path/'s', *few, '--dry-run')[0]==0 and not (tmp_path/'s').exists()
    code,out,err = typed('prepare', 'soundscapes', mine, tmp_path/'s', *few, '--option', 'snr_db=[6,30]'); assert (code,err)==(0,[]) and '26 scenes' in ' '.join(out)
    assert json.loads((tmp_path/'s/metadata/soundscapes.json').read_text())['snr_db']==[6,30]
    assert typed('prepare', 'desed', tmp_path/'s', tmp_path/'store', '--processes', '0')[0]==0
    a,b = read_soundscapes(tmp_path/'s', 'test'),desed(tmp_path/'store', 'test')
    assert a.classes==b.classes and all(torch.equal(x.labels, y.labels) and torch.equal(x.x, y.x) for x,y in zip((a[i] for i in range(4)), (b[i] for i in range(4))))
    for words,said in (((mine, tmp_path/'s', *few), 'other settings, snr_db'), ((mine, tmp_path/'t', '--processes', '2'), '--processes: soundscapes is made here'),
                       ((mine, tmp_path/'t', '--option', 'loud=1'), 'loud=1: no such setting'), (('nowhere', tmp_path/'t'), 'nowhere')):
        code,_,err = typed('prepare', 'soundscapes', *words)
        assert code==1 and len(err)==1 and said in err[0], err
