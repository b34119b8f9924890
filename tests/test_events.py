"Labels with a beginning and an end: the matrix against golden figures, the readers on stand-ins and on recorded lines of the published tables"
import math, os, random, re
from pathlib import Path
import numpy as np, pytest, torch
from audiossl.audio import audio_info, load_audio, save_audio
from audiossl.datasets.events import (DESED_CLASSES, KINDS, EventDataset, as_strong, collate_events, common_labels, desed, event_dataset, keep_common, read_events,
                                      read_weak, strong_tables, write_events)
from audiossl.datasets.registry import Entry, FileDataset, get_dataset
from audiossl.standins import write_standin
from audiossl.transforms.frame_labels import ManyHot, crop_events, find_runs, merge_events
from audiossl.transforms.views import EvalView

GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN_SED', Path(__file__).parent/'data'/'golden'))

# --- the matrix

@pytest.mark.parametrize('digits', [None, 6], ids=['as the reference','rounded'])
@pytest.mark.parametrize('name,pooling', [('strong_40ms',4), ('strong_160ms',16)])
def test_golden_matrix(name, pooling, digits):
    want,table = np.load(GOLDEN/'many_hot.npz')[name], read_events(GOLDEN/'ground_truth.tsv')
    code = ManyHot(DESED_CLASSES, net_pooling=pooling, digits=digits)
    got = np.stack([code.encode_strong(e) for e in table.values()])
    assert got.shape==want.shape and got.shape[1]==code.n_frames and np.array_equal(got, want)

def test_golden_tags():
    want,weak = np.load(GOLDEN/'many_hot.npz')['weak'], read_weak(GOLDEN/'weak.tsv')
    table,code = read_events(GOLDEN/'ground_truth.tsv'), ManyHot(DESED_CLASSES)
    assert np.array_equal(np.stack([code.encode_weak(weak.get(c, ())) for c in table]), want)
    assert [c for c,e in table.items() if not e]==['clip_09.wav'] and np.array_equal(want, np.stack([code.encode_strong(e).max(0) for e in table.values()]))

def test_against_exact_fractions():
    "Floor and ceiling of times in ms, by whole numbers"
    code,rng = ManyHot(['a']), random.Random(0)
    for _ in range(2000):
        a,b = sorted(rng.sample(range(10_001), 2))
        y = np.flatnonzero(code.encode_strong([('a', a/1000, b/1000)])[:,0])
        assert (y[0], y[-1])==(a//40, -(-b//40)-1), (a,b)

def test_known_early_frames():
    first = lambda t, digits: int(np.flatnonzero(ManyHot(['a'], digits=digits).encode_strong([('a', t, 10.)])[:,0])[0])
    assert [(first(t, 6), first(t, None)) for t in (8.04, 8.12, 1.)]==[(201,200), (203,202), (25,25)]

def test_end_of_coarse_matrix():
    code = ManyHot(['a'], net_pooling=16)
    assert code.n_frames==62 and code.encode_strong([('a', 9.93, 10.)]).sum()==0 and code.encode_strong([('a', 9.9, 10.)]).sum()==1

def test_decode_undoes_encode():
    rng = np.random.default_rng(0)
    for _ in range(50):
        y = (rng.random((250,4))<.1).astype(np.float32)
        code = ManyHot('abcd')
        assert np.array_equal(code.encode_strong(code.decode_strong(y)), y)
    assert code.decode_strong(np.zeros((250,4)))==[] and find_runs(np.ones((3,1)))==[(0,0,3)]

@pytest.mark.parametrize('event,what', [(('a',-1,2), 'from -1 to 2 s'), (('a',2,2), 'from 2 to 2 s'), (('a',3,2), 'end after'), (('a',math.nan,2), 'from nan'), (('b',0,1), "'b'"), ((7,0,1), '7')])
def test_no_event(event, what):
    with pytest.raises(ValueError, match=what): ManyHot(['a']).encode_strong([event])

def test_merge_is_the_union():
    rng = random.Random(1)
    for _ in range(200):
        events = [(rng.choice('ab'), a:=rng.randrange(100), a+rng.randrange(1, 20)) for _ in range(rng.randrange(12))]
        got = merge_events(events)
        for l in 'ab':
            cover = lambda es: {t for k,a,b in es if k==l for t in range(a, b)}
            assert cover(events)==cover(got)
            mine = sorted(e for e in got if e[0]==l)
            assert all(p[2]<q[1] for p,q in zip(mine, mine[1:]))
        assert got==sorted(got, key=lambda e: e[1:2]+e[:0]) and got==merge_events(events[::-1])

# --- tables

RECORDED = { # header and a line of the published tables
    'DESED strong': ('filename\tonset\toffset\tevent_label', 'Y00pbt6aJV8Y_350.000_360.000.wav\t0.000\t9.971\tVacuum_cleaner'),
    'DESED weak': ('filename\tevent_labels', 'Y-5LvG8AKM3g_30.000_40.000.wav\tSpeech,Dishes'),
    'AudioSet strong': ('segment_id\tstart_time_seconds\tend_time_seconds\tlabel', 's9d-2nhuJCQ_30000\t2.627\t7.237\t/m/053hz1')}

def test_recorded_lines(tmp_path):
    for name,(head,line) in RECORDED.items():
        (tmp_path/'t.tsv').write_text(f'{head}\n{line}\n')
        if 'weak' in name: assert read_weak(tmp_path/'t.tsv')=={'Y-5LvG8AKM3g_30.000_40.000.wav': ('Speech','Dishes')}
        else:
            (clip,[(label,a,b)]), = read_events(tmp_path/'t.tsv', head.split('\t')).items()
            assert [clip,a,b,label]==[f(v) for f,v in zip((str,float,float,str), line.split('\t'))]

def test_standins_have_the_published_headers(tmp_path):
    a,b = write_standin('desed', tmp_path/'a'), write_standin('as_strong', tmp_path/'b')
    first = lambda p: p.read_text().splitlines()[0]
    assert {first(p) for p in (a/'metadata').rglob('*.tsv')}=={RECORDED['DESED strong'][0], RECORDED['DESED weak'][0], 'filename\tduration'}
    assert {first(p) for p in (b/'meta').rglob('*.tsv')}=={RECORDED['AudioSet strong'][0]}
    assert all(re.fullmatch(r'.+_\d+\.wav', p.name) for p in (b/'data').rglob('*.wav'))

@pytest.mark.parametrize('text,what', [
    ('filename\tonset\toffset\n', "column 'event_label' is missing"), ('', "column 'filename' is missing; there are none"),
    ('filename\tonset\toffset\tevent_label\na\tx\t1\tDog\n', "row 1, a: onset 'x'"), ('filename\tonset\toffset\tevent_label\na\t1\t1\tDog\n', 'from 1.0 to 1.0 s'),
    ('filename\tonset\toffset\tevent_label\na\t0\t1\t\n', "'' from 0.0"), ('filename\tonset\toffset\tevent_label\nb\t0\t1\tDog\na\tnan\t1\tDog\n', 'row 2, a')])
def test_bad_tables(text, what, tmp_path):
    (tmp_path/'t.tsv').write_text(text)
    with pytest.raises(ValueError, match=what) as e: read_events(tmp_path/'t.tsv')
    assert 't.tsv' in str(e.value) and '\n' not in str(e.value)
    with pytest.raises(FileNotFoundError, match='no.tsv'): read_events(tmp_path/'no.tsv')

def test_tables_that_are_not_text(tmp_path):
    for read,head in ((read_events, 'filename\tonset\toffset\tevent_label'), (read_weak, 'filename\tevent_labels')):
        (tmp_path/'t.tsv').write_bytes(f'{head}\n'.encode()+b'caf\xe9.wav\tDog\n')
        with pytest.raises(ValueError, match='t.tsv: line 2 is not UTF-8; save the table as UTF-8'): read(tmp_path/'t.tsv')

def test_write_and_read(tmp_path):
    table = read_events(GOLDEN/'ground_truth.tsv')
    write_events(tmp_path/'t.tsv', table)
    assert read_events(tmp_path/'t.tsv')==table

# --- DESED

@pytest.fixture(scope='module')
def home(tmp_path_factory): return write_standin('desed', tmp_path_factory.mktemp('d')/'desed')
@pytest.fixture(scope='module')
def strong(tmp_path_factory): return write_standin('as_strong', tmp_path_factory.mktemp('s')/'as_strong')
def keys(ds):
    assert ds.keys==[ds.about(i)[0] for i in range(len(ds))] and ds.num_folds==1
    return set(ds.keys)

def test_desed_parts(home):
    train,valid,test = (desed(home, s) for s in ('train','valid','test'))
    assert not keys(train)&keys(valid) and not (keys(train)|keys(valid))&keys(test)
    part = lambda ds: {k.split('/')[0] for k in keys(ds)}
    assert (part(train), part(valid), part(test))==({'synthetic','weak'}, {'synthetic_validation','weak'}, {'validation'})
    assert keys(desed(home, 'valid', valid='test'))==keys(test) and keys(desed(home, 'train', valid='test'))==keys(train)|keys(valid)
    assert {KINDS[k] for k in desed(home, parts=('unlabelled',)).kinds}=={'unlabelled'}
    assert get_dataset('dcase').creator is get_dataset('desed').creator and get_dataset('dcase').classes==DESED_CLASSES

def test_weak_split_is_the_papers(tmp_path):
    "Which 1,420 of 1,578: recorded from pandas 3.1.1, DataFrame.sample(frac=.9, random_state=42)"
    from numpy.random import RandomState
    kept = RandomState(42).permutation(1578)[:1420]
    assert kept[:8].tolist()==[1239,813,1174,534,514,1526,522,274] and kept.sum()==1120979
    names = [f'Y{i:04d}.wav' for i in range(1578)]
    (tmp_path/'audio'/'train'/'weak').mkdir(parents=True); (tmp_path/'metadata'/'train').mkdir(parents=True)
    for n in names: (tmp_path/'audio'/'train'/'weak'/n).touch()
    (tmp_path/'metadata'/'train'/'weak.tsv').write_text('filename\tevent_labels\n'+''.join(f'{n}\tDog\n' for n in names))
    assert keys(desed(tmp_path, parts=('weak',)))=={f'weak/{names[i]}' for i in kept}
    assert len(desed(tmp_path, 'valid', parts=('weak',)))==158

def test_desed_items(home):
    ds = desed(home, 'test', transform=EvalView(10))
    table = read_events(home/'metadata'/'validation'/'validation.tsv')
    for i in range(len(ds)):
        item = ds[i]
        (mel,n),y = item[:2]
        assert mel.shape==(1,64,1001) and n==1001 and y.shape==(10,250) and y.dtype==torch.float32 and item.kind==0
        want = ManyHot(DESED_CLASSES).encode_strong(table[Path(item.key).name])
        assert np.array_equal(y.numpy().T, want) and torch.equal(item.weak, y.amax(-1))
        assert item.seconds==pytest.approx(min(10, audio_info(ds.entries[i].path).seconds), abs=1e-4)
    assert any(not e for e in table.values()) and any(ds[i].seconds<10 for i in range(len(ds)))

def test_tags_are_told_from_events(home):
    ds = desed(home)
    for i in range(len(ds)):
        item = ds[i]
        assert (item.labels.sum()==0)==(KINDS[item.kind]=='weak') and item.weak.sum()>0
    table = read_weak(home/'metadata'/'train'/'weak.tsv')
    i = int(np.flatnonzero(ds.kinds==1)[0])
    assert set(ManyHot(DESED_CLASSES).decode_weak(ds[i].weak))==set(table[Path(ds[i].key).name])

def test_16k_folders_are_preferred(home, tmp_path):
    import shutil
    root = shutil.copytree(home, tmp_path/'d')
    folder = root/'audio'/'validation'/'validation'
    folder.rename(folder.with_name('validation_16k'))
    assert len(desed(root, 'test'))==len(desed(home, 'test')) and all('_16k' in str(e.path) for e in desed(root, 'test').entries)
    shutil.rmtree(folder.with_name('validation_16k'))
    with pytest.raises(FileNotFoundError, match='validation: no such folder, nor validation_16k'): desed(root, 'test')

def test_what_is_missing_is_told(home, tmp_path):
    import shutil
    root = shutil.copytree(home, tmp_path/'d')
    gone = sorted((root/'audio'/'train'/'weak').glob('*.wav'))
    gone[0].unlink()
    assert desed(root).missing==[f'weak/{gone[0].name}'] or desed(root, 'valid').missing==[f'weak/{gone[0].name}']
    for p in gone[1:]: p.unlink()
    with pytest.raises(FileNotFoundError, match='none of the 5 clips of weak.tsv is there'): desed(root)
    t = root/'metadata'/'validation'/'validation.tsv'
    t.write_text(t.read_text()+f'{next((root/"audio"/"validation"/"validation").iterdir()).name}\t0\t1\tCow\n')
    with pytest.raises(ValueError, match="label 'Cow', not one of DESED"): desed(root, 'test')
    with pytest.raises(ValueError, match="'weka' is none of"): desed(root, parts=('weka',))
    with pytest.raises(ValueError, match="split='dev'"): desed(root, 'dev')

def test_crops(tmp_path):
    "A ramp tells where it was cut; its events are cut alike"
    n = 24*16000
    save_audio(tmp_path/'long.wav', torch.linspace(0, .9, n)); save_audio(tmp_path/'short.wav', torch.full((16000,), .5))
    clips = FileDataset([Entry('long.wav', tmp_path/'long.wav', events=((0, 4., 20.),)), Entry('short.wav', tmp_path/'short.wav', events=((0, .5, 1.),))], ['a'], True)
    start = event_dataset(clips, 'test')
    assert torch.equal(start[0].x, load_audio(tmp_path/'long.wav')[None,:160000]) and start[0].labels[0].argmax()==100
    starts = set()
    for k in range(20):
        item = event_dataset(clips, 'train', rng=np.random.default_rng(k))[0]
        at = item.x[0,0].item()/.9*24
        starts.add(round(at, 2))
        want = np.zeros(250); want[max(0, math.floor((4-at)/.04+1e-2)):math.ceil((20-at)/.04-1e-2)] = 1
        assert np.abs(item.labels[0].numpy()-want).sum()<=2 and item.seconds==pytest.approx(10, abs=1e-3)
    assert len(starts)>15
    item = start[1]
    assert item.seconds==1 and item.x.shape==(1,160000) and item.x[0,16000:].abs().max()==0 and item.labels.sum()==13
    assert crop_events([('a',4.,20.)], 5., 10.)==[('a',0.,10.)]
    with pytest.raises(ValueError, match="crop='middle'"): event_dataset(clips, crop='middle')

def test_collate(home):
    ds = desed(home, transform=lambda w: w[...,:100])
    b = collate_events([ds[i] for i in range(3)])
    (x,n),y = b[:2]
    assert x.shape==(3,1,100) and n.tolist()==[100]*3 and y.shape==(3,10,250) and b.kind.dtype==torch.int64 and len(b.key)==3 and b.weak.shape==(3,10)

def test_no_row_leads_out(home, tmp_path):
    import shutil
    root = shutil.copytree(home, tmp_path/'d')
    t = root/'metadata'/'validation'/'validation.tsv'
    names = {p.name for p in (root/'audio'/'validation'/'validation').iterdir()}
    t.write_text(t.read_text()+f'../validation/{min(names)}\t0\t1\tDog\n/etc/{min(names)}\t0\t1\tDog\n')
    ds = desed(root, 'test')
    assert len(ds)==len(names) and ds.missing==[f'validation/../validation/{min(names)}', f'validation//etc/{min(names)}']

# --- AudioSet with events

def test_strong_tables(strong):
    labels,tables = strong_tables(strong)
    cols = RECORDED['AudioSet strong'][0].split('\t')
    source = {s: read_events(strong/'meta'/'source'/f'audioset_{s}_strong.tsv', cols) for s in ('train','eval')}
    seen = {s:{e[0] for es in t.values() for e in es} for s,t in source.items()}
    assert labels==tuple(sorted(seen['train']&seen['eval'])) and seen['train']!=seen['eval']
    for s in source: assert set(tables[s])=={c for c,es in source[s].items() if all(e[0] in labels for e in es)} and len(tables[s])<len(source[s])
    ds,valid,test = (as_strong(strong, s) for s in ('train','valid','test'))
    assert ds.classes==valid.classes==test.classes==labels
    assert keys(ds)|keys(valid)=={f'{c}.wav' for c in tables['train']} and not keys(ds)&keys(valid) and len(valid)>0
    assert keys(as_strong(strong, 'valid', valid='test'))==keys(test)

def test_labels_do_not_depend_on_what_was_fetched(strong, tmp_path):
    import shutil
    root = shutil.copytree(strong, tmp_path/'s')
    for p in sorted((root/'data'/'train').glob('*.wav'))[1:]: p.unlink()
    ds = as_strong(root)
    assert ds.classes==as_strong(strong).classes and len(ds.missing)>0

def test_a_given_list_of_labels_is_kept_to(strong, tmp_path):
    import shutil
    root = shutil.copytree(strong, tmp_path/'s')
    labels = list(strong_tables(root)[0])[::-1]
    (root/'meta'/'common_labels.txt').write_text('\n'.join(labels)+'\n')
    assert list(as_strong(root).classes)==labels

def test_common_rules():
    a,b = dict(x=[('p',0,1)], y=[('q',0,1),('p',1,2)]), dict(z=[('p',0,1)], w=[('r',0,1)])
    assert common_labels(a, b)==('p',) and keep_common(a, ('p',))=={'x':[('p',0,1)]} and a['y']
