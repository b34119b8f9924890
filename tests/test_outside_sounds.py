"""Sounds from outside: lists and patches that lie, tasks that do not leak, and the tool's one-line errors."""
import json, os, struct, subprocess, sys
import numpy as np, pytest, soundfile as sf, torch
from audiossl.audio import AudioError
from audiossl.checkpoint import create_model, save_pretrained
from audiossl.datasets.minisounds import metadata, read_clip
from audiossl.downstream.outside import COPY, MOST, SOURCES, drum_kind, likeness, outside_tasks, read_patch
from support import ROOT

sys.path.insert(0, str(ROOT/'tools'))
import outside_sounds

def patch(samples, sr=22050, mode=1):
    body = b''.join(struct.pack('<7sBIIIHIIIhB18xB40x', b'x', 0, len(x), 0, len(x), sr, 0, 0, 440_000, 0, 7, mode)+x for x in samples)
    return b'GF1PATCH110\0'.ljust(129, b'\0')+bytes(22)+b'\1'+bytes(40)+struct.pack('<BBIB40x', 0, 0, len(body), len(samples))+body

def note(seed=0, n=4000): return (np.random.default_rng(seed).standard_normal(n)*3000).astype('<i2').tobytes()

# ---- names and patches -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('name,kind', [('Kick (Tama Superstar 22")', 'kick'), ('c3 - bass drum 1', 'kick'), ('VariBreaks Hat 1 Op', 'open_hat'), ('hhclosed_04', 'closed_hat'),
    ('closehihat3', 'closed_hat'), ('openhat2', 'open_hat'), ('OHH_1', 'open_hat'), ('floortom_01', 'tom'), ('stick-rim-9', 'rim'), ('Hi-Hat Open (Paiste edge 14")', 'open_hat'),
    ('misc_Cowbell', 'cowbell'), ('Cow Bell', 'cowbell'), ('CajonSlaps-Hard', 'hand_drum'), ('jsnare_03', 'snare'), ('HandClap', 'clap'), ('PaisteRideFlink-Soft', 'ride'),
    ('SnareOffRim-3', ''), ('CrashRide18Bow-2', ''), ('RideBell-1', ''), ('Hi Hat Free', ''), ('Pedal HH', ''), ('Tambourine', ''), ('Tombourine', ''), ('beats_06-38', ''), ('', '')])
def test_drum_kind(name, kind): assert drum_kind(name)==kind

@pytest.mark.parametrize('mode,dtype,zero', [(0, 'i1', 0), (1, '<i2', 0), (2, 'u1', 2**7), (3, '<u2', 2**15)])
def test_patch_encodings(tmp_path, mode, dtype, zero):
    x = np.array([zero, zero+100, zero-100, zero+1]*50).astype(dtype)
    (tmp_path/'a.pat').write_bytes(patch([x.tobytes()], mode=mode))
    s, = read_patch(tmp_path/'a.pat')
    assert torch.allclose(s.wave, torch.from_numpy(x.astype(np.float32)-zero)/(2**15 if mode&1 else 2**7)) and s.loop is None and s.sustain() is s.wave
    (tmp_path/'a.pat').write_bytes(patch([x.tobytes()], mode=mode|16))
    assert torch.equal(read_patch(tmp_path/'a.pat')[0].wave, s.wave.flip(0))

def test_patch_loops_hold_a_note(tmp_path):
    for mode,turn in ((5, 0), (13, 1)): # round and round, or there and back
        (tmp_path/'a.pat').write_bytes(patch([note()], mode=mode))
        s, = read_patch(tmp_path/'a.pat'); y = s.sustain(.5)
        assert len(y)==11025 and s.loop==(0, 4000, bool(turn))
        assert torch.equal(y[4000:8000], s.wave.flip(0) if turn else s.wave)

def test_any_damage_is_one_line_or_a_patch(tmp_path):
    "No cut and no changed byte gives another error than the reader's own, or takes memory that the file does not have"
    good,p = patch([note(1, 300), note(2, 200)]),tmp_path/'broken.pat'
    rng = np.random.default_rng(0)
    trials = [good[:n] for n in range(0, len(good), 7)]+[good+b'x', b'', b'RIFF'+good]
    for _ in range(300):
        b = bytearray(good); b[rng.integers(0, 340)] = rng.integers(0, 256); trials.append(bytes(b))
    for t in trials:
        p.write_bytes(t)
        try: assert sum(len(s.wave) for s in read_patch(p))<=len(t)
        except AudioError as e: assert str(p) in str(e) and '\n' not in str(e) and e.path==p
    with pytest.raises(AudioError, match='no such file'): read_patch(tmp_path/'none.pat')
    with open(p, 'wb') as f: f.truncate(2**26+1)
    with pytest.raises(AudioError, match='more than 64 MB'): read_patch(p)

# ---- tasks -------------------------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def drums(tmp_path_factory):
    "A folder with four kits of noise bursts, one of them an AIFF, and traps"
    root = tmp_path_factory.mktemp('outside'); kits = root/'hydrogen-drumkits'/SOURCES['hydrogen-drumkits']
    for i in range(4):
        (kit := kits/f'kit{i}').mkdir(parents=True); entries = []
        for k,word in enumerate(['Kick', 'Snare', 'Clap']):
            for n in range(3):
                x = np.random.default_rng([i, k, n]).standard_normal(8000)*np.exp(-np.arange(8000)/(500+800*k))*.1
                sf.write(kit/(f := f'{word}_{n}.{"aiff" if n==0 else "wav"}'), x, 44100); entries.append((word, f))
        if i==0: entries += [('Snare', 'Kick_0.aiff'), ('Kick', '../kit1/Kick_1.wav'), ('Kick', '/etc/passwd'), ('Kick', 'lost.wav'), ('Kick', 'Kick_text.wav'), ('Kick', 'Kick_mute.wav')]
        (kit/'drumkit.xml').write_text('<d xmlns="http://k"><author>Maker%d of drums</author>'%i+''.join(f'<instrument><name>{w}</name><layer><filename>{f}</filename></layer></instrument>' for w,f in entries)+'</d>')
    (kits/'kit0/Kick_text.wav').write_text('no sound'); sf.write(kits/'kit0/Kick_mute.wav', np.zeros(8000), 16000)
    sf.write(kits/'kit3/Kick_1.wav', .3*read_clip(next(r['file'] for r in metadata() if r['label']=='kick')).numpy(), 16000) # a bundled clip
    sf.write(kits/'kit2/Clap_1.wav', sf.read(kits/'kit1/Clap_1.wav')[0]*.5, 44100) # the same in two kits
    return root

def test_tasks_do_not_leak(drums):
    tasks = outside_tasks(drums); t, = tasks
    assert tasks.missing==tuple(p for p in SOURCES if p!='hydrogen-drumkits') and 'missing: freepats' in repr(tasks)
    assert t.name=='outside_drums' and t.classes==('clap', 'kick', 'snare') and len(t)==34<=MOST and t.source=='hydrogen-drumkits'
    assert set(t.groups)=={f'maker{i}' for i in range(4)}
    assert t.left_out=={'unreadable': 1, 'silent or below 50 ms': 1, 'copy of a bundled clip': 1, 'copy in another group': 1}
    assert not any(f.endswith(('kit3/Kick_1.wav', 'kit2/Clap_1.wav', 'Kick_text.wav', 'passwd')) for f in t.files) and any(f.endswith('.aiff') for f in t.files)
    assert all(t.classes[y] in f.lower() for f,y in zip(t.files, t.labels)) and len(set(t.files))==len(t)
    assert sorted(i for _,test in t.splits() for i in test)==list(range(len(t)))
    for train,test in t.splits(): assert len(test) and not set(t.groups[train])&set(t.groups[test])
    assert all(abs(float(w.abs().max())-.7)<1e-3 and len(w)<=48_000 for w in t.waves())
    w = t.wave(0); w.zero_(); assert t.wave(0).abs().max()>.5 # a copy, yours to change
    again, = outside_tasks(drums)
    assert again.files==t.files and (again.folds==t.folds).all() and all(map(torch.equal, again.waves(), t.waves()))

def test_packages_of_the_bundled_sounds_are_refused(drums, monkeypatch):
    used = {r['package'].split()[0] for r in metadata()}
    assert not used&SOURCES.keys() and {'fluid-soundfont-gm', 'festvox-ru', 'asterisk-core-sounds-it-g722'}<=used
    monkeypatch.setitem(SOURCES, 'fluid-soundfont-gm', 'usr/share/sounds/sf2')
    with pytest.raises(ValueError, match='fluid-soundfont-gm: bundled'): outside_tasks(drums)
    with pytest.raises(SystemExit, match='fluid-soundfont-gm: among the bundled'): outside_sounds.fetch(drums)

@pytest.mark.parametrize('text,fault', [('<a><b></a>', 'no readable XML'), ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 'defines entities')])
def test_a_broken_list_is_one_line(tmp_path, text, fault):
    (kit := tmp_path/'hydrogen-drumkits'/SOURCES['hydrogen-drumkits']/'kit').mkdir(parents=True)
    (kit/'drumkit.xml').write_text(text)
    with pytest.raises(ValueError, match=f'drumkit.xml: .*{fault}') as e: outside_tasks(tmp_path)
    assert '\n' not in str(e.value)

def test_letters_vowels_and_languages(tmp_path):
    "Latin letters by language; vowels where the spelling tells them; every text in one fold"
    rng,alphabet = np.random.default_rng(0),'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
    for lang in 'cs de es hu it lt nds pt_BR en'.split():
        (home := tmp_path/'klettres-data'/SOURCES['klettres-data']/lang).mkdir(parents=True); (home/'alpha').mkdir(); (home/'syllab').mkdir()
        texts = [*((c, 'alpha') for c in alphabet+'ÁÖ'), ('BO', 'syllab'), ('AU', 'syllab'), ('LÄ', 'syllab')]
        for k,(_,where) in enumerate(texts): sf.write(home/where/f'{k}.ogg', rng.standard_normal(9000)*.1, 16000)
        (home/'sounds.xml').write_text('<k>'+''.join(f'<sound name="{c}" file="{lang}/{w}/{k}.ogg"/>' for k,(c,w) in enumerate(texts))+'</k>', encoding='utf-8')
    tasks = {t.name: t for t in outside_tasks(tmp_path)}
    letter,vowel,language = (tasks[f'outside_{k}'] for k in ('letter', 'vowel', 'language'))
    assert letter.classes==tuple(alphabet) and set(letter.groups)=={'cs', 'de', 'es', 'hu', 'it', 'lt', 'nds', 'pt_BR'} # English names its letters otherwise
    assert vowel.classes==tuple('aeiou') and np.bincount(vowel.labels).tolist()==[16, 8, 8, 16, 8] # A and Á, O and BO; AU and LÄ tell no one vowel
    assert len(language.classes)==9 and len(language)==270 and len(set(language.groups))==30
    for t in tasks.values():
        for train,test in t.splits(): assert not set(t.groups[train])&set(t.groups[test])

def test_likeness_finds_copies_only():
    g = np.random.default_rng(0); a,b = (torch.from_numpy(g.standard_normal(9000).astype(np.float32)) for _ in range(2))
    a[:],b[:] = a*torch.linspace(1, 0, 9000),b*torch.linspace(1, 0, 9000)
    r,who = likeness([-.01*torch.nn.functional.pad(a, (500, 90)), b[:4000], torch.zeros(100)], [b, a])
    assert r[0]>.99 and who[0]==1 and who[1]==0 and r[1]>COPY and r[2]<1e-6
    r,who = likeness([a], [a, b], np.array([[False, False]]))
    assert r[0]==0 and who[0]==-1

# ---- the tool ----------------------------------------------------------------------------------------------------------------------------

def tool(*args, path=None, cwd=None):
    env = os.environ|dict(PATH=path) if path is not None else os.environ
    return subprocess.run([sys.executable, str(ROOT/'tools/outside_sounds.py'), *map(str, args)], capture_output=True, text=True, env=env, cwd=cwd)

def one_line(r): return r.returncode==1 and r.stderr.startswith('outside_sounds: ') and r.stderr.count('\n')==1

def script(folder, name, text): folder.mkdir(exist_ok=True); (folder/name).write_text('#!/bin/sh\n'+text); (folder/name).chmod(0o755)

def test_fetch(tmp_path):
    "With stand-ins for Debian's commands: nothing is downloaded"
    r = tool('fetch', tmp_path/'f', path=str(tmp_path)); assert one_line(r) and 'apt-get and dpkg-deb not found' in r.stderr
    b = tmp_path/'bin'; path = f'{b}:/usr/bin:/bin'
    script(b, 'apt-get', 'echo "E: Unable to locate package $2" >&2; exit 100'); script(b, 'dpkg-deb', 'exit 1')
    r = tool('fetch', tmp_path/'f', path=path); assert one_line(r) and 'Unable to locate package hydrogen-drumkits' in r.stderr
    script(b, 'apt-get', 'echo deb > "$2_1.0_all.deb"')
    r = tool('fetch', tmp_path/'f', path=path); assert one_line(r) and 'dpkg-deb -x' in r.stderr
    assert not (tmp_path/'f/hydrogen-drumkits').exists()
    cases = ' '.join(f'*/{p}_*) at={at};;' for p,at in SOURCES.items())
    script(b, 'dpkg-deb', f"""case "$1" in
-x) case "$2" in {cases} esac; p=$(basename "$2" | sed s/_.*//); mkdir -p "$3/$at" "$3/usr/share/doc/$p"; printf 'Files: *\\nLicense: CC0\\n\\nFiles: debian/*\\nLicense: GPL-3\\n' > "$3/usr/share/doc/$p/copyright";;
-f) [ "$3" = Version ] && echo 1.0 || echo http://x;; esac""")
    r = tool('fetch', tmp_path/'f', path=path); assert r.returncode==0, r.stderr
    about = json.loads((tmp_path/'f/sources.json').read_text())
    assert about.keys()==SOURCES.keys() and all((tmp_path/'f'/p/at).is_dir() for p,at in SOURCES.items())
    assert about['freepats']['version']=='1.0' and about['freepats']['licences']==['CC0'] and 'freepats 1.0: CC0' in r.stdout

def test_licences():
    assert outside_sounds.licences('under the terms of the GNU General Public License, version 2 or any later version. As a special exception, ...')==['GPL-2+', 'with an exception for compositions']
    assert outside_sounds.licences('no word')==['see the copyright file']

def test_evaluate(drums, tmp_path):
    "Weights in a folder, then none at all: the same random twins, the next look"
    save_pretrained(create_model('atst_frame_tiny'), tmp_path/'m')
    looks = []
    for args,reps in ((('--model', tmp_path/'m'), {'model', 'random', 'log-mel'}), (('--model', 'atst_frame_tiny', '--untrained'), {'random', 'log-mel'})):
        r = tool('evaluate', drums, *args, '--seeds', 1, '--twins', 2, '--out', tmp_path/'r.json')
        assert r.returncode==0, r.stderr
        out = json.loads((tmp_path/'r.json').read_text()); looks.append(out)
        assert 'missing: freepats' in r.stdout and out['missing'][0]=='freepats' and out['tasks']['outside_drums']['clips']==34
        for p in ('linear', 'kNN'):
            s = out['probes'][p]['scores']['outside_drums']
            assert s.keys()==reps and all(0<=m<=1 and e>=0 for m,e in s.values())
            assert set(out['probes'][p]['differences'])=={f'{x} - {y}' for x,y in (('model', 'random'), ('model', 'log-mel'), ('random', 'log-mel')) if x in reps}
    assert [o['look'] for o in looks]==[1, 2] and len((drums/'looks.jsonl').read_text().splitlines())==2
    assert len({str(o['probes']['linear']['scores']['outside_drums']['random']) for o in looks})==1

@pytest.mark.parametrize('args,fault', [(('none', '--model', 'atst_frame_tiny', '--untrained'), 'no package in it'), (('none', '--model', 'atst_frame_huge', '--untrained'), 'there are'),
    (('none', '--model', 'no/file.ckpt'), 'no/file'), (('none', '--model', 'atst_frame_tiny', '--seeds', 0), '--seeds 0'), (('none', '--model', 'x', '--out', 'lost/r.json'), 'no such folder')])
def test_evaluate_errors(args, fault, tmp_path):
    r = tool('evaluate', *args, cwd=tmp_path)
    assert one_line(r) and fault in r.stderr, r.stderr
