"The dataset browser and its catalogue without a browser: rows, counts, problems and overlaps beside plain counting; and the table of the page beside the library"
import json, os, shutil
from collections import Counter
from inspect import signature
from pathlib import Path
import numpy as np, pytest, torch
from test_explore import HOSTILE, needs_node, node
from audiossl.audio import example, load_audio, save_audio, to_int16
from audiossl.datasets import Entry, FileDataset, Store, get_dataset, prepare_store, task, verify_store
from audiossl.datasets.catalogue import Catalogue, catalogue_of, overlaps, problem_of, prove_sounds
from audiossl.explore.base import picture_hash
from audiossl.explore.dataset import DatasetBrowser, columns_of, lengths_of, plot_dataset, rows_of
from audiossl.manifest import StoreWriter
from audiossl.shards import Shard
from audiossl.standins import standin_names, write_standin

FILTERS = dict(text='', split='', label='', fold=0, shortest=0., longest=1e9, overlap=(), sort='', descending=False)

def mess(root):
    "A folder with three files that are no sounds and two sounds under two names, one of them in two splits"
    for k,(split,name,clip) in enumerate([('train','animal','cat'), ('train','animal','dog'), ('train','music','flute'), ('train','music','piano'), ('valid','animal','bird'), ('valid','music','kick'), ('test','animal','cat'), ('test','music','guitar')]):
        (root/split/name).mkdir(parents=True, exist_ok=True); shutil.copy(example(clip), root/split/name/f'{k}.ogg')
    shutil.copy(example('flute'), root/'train/music/again.ogg')
    (root/'train/animal/empty.wav').touch(); (root/'valid/music/text.wav').write_text('hello'); (root/'test/animal/half.ogg').write_bytes(example('dog').read_bytes()[:3000])
    return root

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return mess(tmp_path_factory.mktemp('browse')/'mess')

@pytest.fixture(scope='module')
def store(folder):
    "The same as a store, with its report"
    prepare_store('audiofolder', folder, folder.parent/'store', processes=0, on_bad='skip', max_bad=.5)
    return folder.parent/'store'

@pytest.fixture(scope='module')
def octaves(): return catalogue_of('minisounds_octave')

# ---- (a) counts ----------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('name', ['minisounds', 'minisounds_tags', 'minisounds_family_unseen'])
def test_counts_equal_those_of_a_task(name):
    t = task(name); c = catalogue_of(name)
    want = Counter(t.classes[k] for y in t.labels for k in (np.flatnonzero(y) if t.multi_label else [int(y)]))
    assert c.counts()==want and len(c)==len(t) and list(c.keys)==list(t.files)
    assert sum(columns_of(c, 10)['counts'])==sum(want.values()) and torch.equal(c.wave(3), t.wave(3))

@pytest.mark.parametrize('name', standin_names())
def test_every_dataset_by_its_name(name, tmp_path):
    "counts, keys and durations beside the dataset's own entries; the sounds are the dataset's"
    c = catalogue_of(name, write_standin(name, tmp_path/name)); info = get_dataset(name)
    more = {'missing': 'skip'} if 'missing' in signature(info.creator).parameters else {}
    sets = [info.creator(tmp_path/name, split=s, **more) for s in ('train','valid','test')]
    entries = [e for d in sets for e in d.entries]
    assert c.keys==[e.key for e in entries] and c.problems==[problem_of(k, 'missing', f'{k}: named in the tables, and there is no file of it') for d in sets for k in getattr(d, 'missing', ())]
    own = lambda e: tuple(e.labels) or tuple(dict.fromkeys(v[0] for v in e.events))
    assert c.counts()==Counter(c.classes[k] for e in entries for k in own(e))
    for i in (0, len(c)-1):
        wave = c.wave(i); assert abs(len(wave)/16_000-c.seconds[i])<.001 and len(c.wave(i, .2))<=3200
    e = entries[0]; assert torch.equal(c.wave(0), load_audio(e.path, offset=e.offset, duration=e.duration))

def test_a_store_and_its_folder_agree(folder, store):
    a,b = catalogue_of(folder),catalogue_of(store)
    assert a.counts()==b.counts()==Counter(animal=4, music=5) and dict(zip(a.keys, a.seconds))==pytest.approx(dict(zip(b.keys, b.seconds)), abs=1e-4)
    assert Counter(b.splits)==Store(store).splits and b.python==f'Store({str(store)!r})'
    assert catalogue_of(Store(store)).keys==b.keys==catalogue_of('audiofolder', store).keys
    assert (b.wave(0)-load_audio(folder/b.keys[0])).abs().max()<=2**-15

# ---- (b) the page's table is the library's -------------------------------------------------------------------------------------------------

@needs_node
def test_the_page_filters_and_counts_as_the_library_does(tmp_path, octaves, folder):
    r,asked = np.random.default_rng(0),[]
    for cat in (octaves, catalogue_of(folder)):
        data = columns_of(cat, 10**6); cases = []
        for _ in range(120):
            pick = lambda k, values: values[r.integers(len(values))] if r.random()<.35 else FILTERS[k]
            s = dict(text=pick('text', ['ogg','KEYS',' 1','xyz','.']), split=pick('split', ['train','valid','test']), label=pick('label', list(cat.classes)), fold=int(pick('fold', [1,2,5])), shortest=float(pick('shortest', [.3,1.])),
                     longest=float(pick('longest', [.5,1.5])), overlap=list(pick('overlap', [('sound','split','train','test'), ('source','split','test','test'), ('source','split','train','train'), ('sound','fold','1','2')])),
                     sort=pick('sort', ['key','label','split','fold','seconds','rate']), descending=bool(r.random()<.5))
            cases.append(s)
        got = node(tmp_path, 'dataset.js', 'cases.map(s => { const rows = listedRows(d, s), counts = countClasses(d, rows), lengths = countLengths(d, rows); return [rows, counts, lengths, DatasetBrowser.prototype.hash({counts, lengths, rows})] })',
                   cases=cases, d=data)
        for s,(rows,counts,lengths,hash_) in zip(cases, got):
            want = rows_of(cat, **s); n = cat.counts(want)
            assert rows==want, s
            assert counts==[n[k] for k in cat.classes] and lengths==lengths_of(cat, want).tolist()
            assert hash_==picture_hash(np.concatenate([counts, lengths, rows]).astype(np.float32))
        assert 5<sum(bool(g[0]) for g in got)

def test_picture_is_what_the_window_counts(octaves):
    w = DatasetBrowser(octaves, label='4', sort='seconds'); n = octaves.counts(w.rows())
    assert w.picture()[:8].tolist()==[n[k] for k in octaves.classes] and w.picture()[8:32].sum()==len(w.rows()) and w.picture()[32:].tolist()==w.rows()
    w.update(label='', text='keys'); assert {octaves.keys[i].split('/')[1] for i in w.rows()}=={'keys'}
    assert sum(p.get_width() for p in w.plot()[0].patches)==len(w.rows())

def test_two_axes_of_ones_own(octaves):
    import matplotlib.pyplot as plt
    fig,mine = plt.subplots(1, 2); got = plot_dataset(octaves, mine, most=3)
    assert got is mine and len({p.get_y() for p in mine[0].patches})==3; plt.close(fig)

# ---- (d) problems --------------------------------------------------------------------------------------------------------------------------

def test_each_skipped_input_is_a_problem(folder, store):
    report = json.loads((store/'report.json').read_text()); got = catalogue_of(store).problems
    assert len(got)==len(report['skips'])==3 and [p['file'] for p in got]==[s['source'] for s in report['skips']]
    for p,s in zip(got, report['skips']):
        assert p['reason'].startswith(f'{s["reason"]}: ') and len(p['fix'])>8 and str(folder) not in ' '.join(p.values()) and p['fix'].split(': ')[-1].lower() in s['message'].lower()
    assert {p['file'] for p in catalogue_of(folder).problems}=={'train/animal/empty.wav','valid/music/text.wav','test/animal/half.ogg'}

@pytest.mark.parametrize('report', [None, 'no json', '[]', '{"skips": 3}', '{"skips": []}'])
def test_without_a_report_the_manifest_knows(store, tmp_path, report):
    shutil.copytree(store, tmp_path/'s'); (tmp_path/'s/report.json').unlink()
    if report: (tmp_path/'s/report.json').write_text(report)
    got = catalogue_of(tmp_path/'s').problems
    assert {(p['file'], p['reason']) for p in got}=={('train/animal/empty.wav','empty'), ('valid/music/text.wav','not_audio'), ('test/animal/half.ogg','truncated')} and all(p['fix'] for p in got)

def test_an_unreadable_file_in_the_middle(tmp_path):
    "of a dataset of files: the others are there, its line is among the problems"
    paths = [example(n) for n in ('cat','dog')]; bad = tmp_path/'bad.wav'; bad.write_text('no')
    ds = FileDataset([Entry('a', paths[0], (0,)), Entry('b', bad, (0,)), Entry('c', tmp_path/'gone.wav', (0,)), Entry('d', paths[1], (0,))], ['x'])
    c = catalogue_of(ds)
    assert c.keys==['a','d'] and [p['reason'].split(':')[0] for p in c.problems]==['not_audio','missing'] and torch.equal(c.wave(1), load_audio(paths[1]))

# ---- (e) what the parts share --------------------------------------------------------------------------------------------------------------

def brute(cat, what, by):
    of,part = (cat.marks if what=='sound' else cat.sources),cat.parts(by); names = overlaps(cat, what, by)[0]
    return [[sum(any(j!=i and of[j]==of[i]!='' and part[j]==b for j in range(len(cat))) for i in range(len(cat)) if part[i]==a) for b in names] for a in names]

def test_overlaps_beside_plain_counting(folder, store, octaves, tmp_path):
    us8k = catalogue_of('us8k', write_standin('us8k', tmp_path/'u', clips=3), group=lambda k: k.split('-')[-1])    # on purpose: a group that every fold has
    for cat in (catalogue_of(folder), catalogue_of(store), octaves, us8k):
        for what in ('sound','source'):
            for by in ('split','fold'): assert overlaps(cat, what, by)[1].tolist()==brute(cat, what, by), (cat, what, by)
    assert overlaps(us8k, 'source', 'fold')[1].min()>0 and overlaps(us8k, 'sound', 'fold')[0]==[str(k) for k in range(1, 11)]
    for c in (catalogue_of(folder), catalogue_of(store)): assert overlaps(c)[1].tolist()==[[2,0,1],[0,0,0],[1,0,0]]

def test_groups_by_a_pattern(octaves):
    by = lambda g: catalogue_of(octaves, group=g).sources
    assert by(r'audio/(\w+)/')[0]==octaves.keys[0].split('/')[1] and by(r'\d{3}')[0]==octaves.keys[0][-7:-4] and set(by('never'))=={''}
    assert catalogue_of(octaves, group='x').python=="'minisounds_octave', group='x'" and octaves.python=="'minisounds_octave'"

def test_only_files_of_one_length_are_read(folder, monkeypatch):
    read = []; was = Path.read_bytes
    monkeypatch.setattr(Path, 'read_bytes', lambda p: read.append(p.name) or was(p))
    catalogue_of(folder); assert sorted(p for p in read if p.endswith('.ogg'))==sorted(['0.ogg','6.ogg','2.ogg','again.ogg'])

# ---- (g) checksums -------------------------------------------------------------------------------------------------------------------------

def test_state_of_the_checksums(store, tmp_path):
    shutil.copytree(store, tmp_path/'s'); good = catalogue_of(tmp_path/'s'); later = catalogue_of(tmp_path/'s', verify=False)
    assert verify_store(tmp_path/'s') and good.state.startswith('every byte as it was written') and 'as it is read' in later.state
    e = Store(tmp_path/'s').meta['shards'][0]; shard = tmp_path/'s'/e['file']; raw = bytearray(shard.read_bytes()); raw[int(Shard(shard, e).start[1])+50] ^= 4; shard.write_bytes(raw)
    bad = catalogue_of(tmp_path/'s'); assert bad.state.startswith('1 fault in') and len(bad.problems)==4 and bad.keys[1] in bad.problems[-1]['reason'] and str(tmp_path) not in str(bad.problems)
    assert len(prove_sounds(bad).problems)==4                                        # asked again: not twice
    with pytest.raises(ValueError, match='is damaged'): bad.wave(1)
    bad.wave(0); w = DatasetBrowser(bad); said = []; w.send = lambda m, b=None: said.append(m)
    w._answer(None, dict(row=1, version=1), []); assert 'is damaged' in said[0]['error'] and '\n' not in said[0]['error']

# ---- bad input -----------------------------------------------------------------------------------------------------------------------------

def test_bad_input_is_one_sentence_and_the_dataset_stays(octaves, store, tmp_path):
    w = DatasetBrowser(octaves); was = w.data; (tmp_path/'empty').mkdir()
    with StoreWriter(tmp_path/'none', 'none', ['a']) as s: s.finish()
    shutil.copytree(store, tmp_path/'damaged'); (tmp_path/'damaged/manifest.json').write_text('{}')
    shutil.copytree(store, tmp_path/'lost'); next((tmp_path/'lost').glob('*.arrow')).unlink()
    with StoreWriter(tmp_path/'half', 'half', ['a']) as s: pass
    (tmp_path/'a.wav').write_text('text')
    for bad,says in [(tmp_path/'empty', 'neither a store nor a folder of sounds'), (str(tmp_path/'nowhere'), 'no such folder'), (tmp_path/'a.wav', 'no such folder'), (tmp_path/'none', 'no sound in it'), (FileDataset([]), 'no sound in it'),
                     (FileDataset([Entry('a', tmp_path/'a.wav')]), '1 input left out, the first is'), (tmp_path/'damaged', 'damaged'), (tmp_path/'lost', 'cannot be read'), (tmp_path/'half', 'not finished'),
                     ('us8q', "did you mean 'us8k'"), ('us8k', 'data_path is needed'), (3, 'int: a store'), (None, 'NoneType: a store')]:
        w.show(bad); assert says in w.error and '\n' not in w.error, (bad, w.error)
        assert w.data is was and w.cat is octaves
    w.show(octaves); assert w.error=='' and w.data['version']==2
    empty = DatasetBrowser(tmp_path/'empty'); assert empty.cat is None and 'no sound file' in empty.error and 'Dataset browser' in empty.page() and 'neither' in repr(empty)
    with pytest.raises(TypeError, match='has no setting nonsense'): DatasetBrowser(octaves, nonsense=1)

def test_hostile_names_are_text(tmp_path):
    ds = FileDataset([Entry(k, example('kick'), (i,)) for i,k in enumerate(HOSTILE)], HOSTILE); w = DatasetBrowser(ds); page = w.page()
    assert list(w.data['keys'])==HOSTILE and '<img' not in page and page.count('</script>')==1 and w.render_static().count('<')==2
    with_names = tmp_path/'<b>x'; with_names.mkdir(); shutil.copy(example('kick'), with_names/'\u202egnp.wav'); (with_names/'<i onerror=1>.wav').write_text('x'); (with_names/'a\nb.wav').touch()
    c = catalogue_of(with_names); assert len(c.problems)==2 and all(o.isprintable() for p in c.problems for o in p.values())
    assert '<b>' not in DatasetBrowser(c).page()

def test_no_path_in_a_saved_page(store): assert str(store.parent) not in DatasetBrowser(store).page()

# ---- size and what is sent -----------------------------------------------------------------------------------------------------------------

def many(n):
    c = catalogue_of('minisounds_octave'); rep = lambda x: [x[i%len(c)] for i in range(n)]
    return Catalogue('many', [f'{i}/{k}' for i,k in enumerate(rep(c.keys))], rep(c.labels), rep(c.splits), rep(c.folds), rep(c.seconds), rep(c.rates), rep(c.sources), list(range(n)), c.classes, lambda i, most=None: c.wave(i%len(c), most))

def test_saved_size_and_long_tables():
    assert len(DatasetBrowser(many(2000)).render_static())<1_000_000
    w = DatasetBrowser(many(50_000)); assert len(w.data['keys'])==20_000 and sum(w.data['counts'])==50_000 and 'first 20,000 of 50,000' in w.data['note']
    assert len(w.render_static())<1_000_000

def test_no_sound_is_decoded_before_it_is_wanted(octaves):
    from dataclasses import replace
    asked = []; w = DatasetBrowser(replace(octaves, wave=lambda i, most=None: asked.append(i) or octaves.wave(i, most)))
    assert asked==[] and w.fetched==[] and len(w.samples)==0
    sent = []; w.send = lambda m, b=None: sent.append((m, b))
    w._answer(None, dict(row=7, version=1), []); w._answer(None, dict(row=9, version=0), []); w._answer(None, dict(row=10**6, version=1), [])
    assert w.fetched==[7] and len(sent)==2 and np.array_equal(np.frombuffer(sent[0][1][0], '<f4'), octaves.wave(7).numpy()) and 'error' in sent[1][0]

def test_long_sounds_are_cut(tmp_path):
    save_audio(tmp_path/'long.wav', torch.rand(16_000*40)-.5); w = DatasetBrowser(tmp_path, max_seconds=2.); sent = []; w.send = lambda m, b=None: sent.append(b)
    w._answer(None, dict(row=0, version=1), []); assert len(sent[0][0])==4*32_000 and w.cat.seconds==[40.]
