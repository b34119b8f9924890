"Stores under faults: every damage is found, a writer may die anywhere, readers of all kinds see the same"
import errno, gc, json, multiprocessing, os, resource, shutil, signal, subprocess, sys, threading, time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np, pyarrow as pa, pytest, torch
from torch.utils.data import DataLoader
from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest
from audiossl.audio import AudioError, example, examples, load_audio, save_audio, to_int16
from audiossl.datasets.registry import FileDataset, take_split
from audiossl.datasets.store import Store, StoreDataset, StoreView, verify_store
from audiossl.manifest import StoreWriter, _signed, is_store, read_manifest
from audiossl.shards import SCHEMA, Shard, ShardWriter, StoreError, write_sealed

CLASSES = ('a','b','c')
def waves(n=24, seed=0, longest=3_000):
    rng = np.random.default_rng(seed)
    return {f'{seed}/clip {i}': rng.integers(-2**15, 2**15, int(rng.integers(1, longest))).astype(np.int16) for i in range(n)}

def write(folder, sounds=None, shards=4, seed=0, inputs=None, **kw):
    "A store of `shards` shards in two splits; goes on with one that was begun"
    sounds,kw = waves(seed=seed) if sounds is None else sounds, dict(classes=CLASSES, multi_label=True, kind='events')|kw
    keys = list(sounds)
    with StoreWriter(folder, 'toy', inputs=inputs or dict(seed=seed), **kw) as w:
        for k in range(shards):
            split,number = ('train',k) if k<shards-1 else ('test',0)
            if w.complete or f'{split}-{number:05}.arrow' in w.sealed: continue
            with w.shard(split, number) as s:
                for i in range(k, len(keys), shards):
                    s.add(keys[i], sounds[keys[i]], frames=None if w.encoding=='int16' else 7, labels=[i%3] if i%4 else [], events=[(i%3, .1, .1+i)]*(i%3),
                          fold=i%5, source=f'ü/{i}.wav', source_bytes=i)
                if k==1: s.skip('broken.wav', 'nan', 'broken.wav: NaN', 7)
        return w.finish()

@pytest.fixture
def store(tmp_path): write(tmp_path/'s'); return Store(tmp_path/'s')

def files(folder): return {str(o.relative_to(folder)): o.read_bytes() for o in Path(folder).rglob('*') if o.is_file()}
def one_line(e, *words):
    line = str(e.value)
    assert '\n' not in line and len(line)<400 and all(w in line for w in words), line
    return line

# ---- what was written is read

def test_random_access_int16(tmp_path):
    sounds = waves(60, longest=50_000)|{'long': np.arange(2**22).astype(np.int16), 'one': np.array([-2**15], np.int16)}
    write(tmp_path/'s', sounds)
    for verify in (True, False):
        s = Store(tmp_path/'s', verify)
        assert len(s)==62 and sum(s.splits.values())==62
        for i in np.random.default_rng(0).integers(0, 62, 300):
            x,r = s.wave(i),s.record(int(i))
            assert x.dtype==np.int16 and x.flags.owndata and x.flags.writeable and x.flags.c_contiguous and np.array_equal(x, sounds[r['key']])
            assert s.raw(i)==x.tobytes() and r['checksum']==xxh3_64_intdigest(x) and r['frames']==len(x)
    keys = list(sounds)
    for n,key in enumerate(keys):
        r = s.record(s.index_of(key))
        assert (r['labels'], r['events'], r['fold'], r['source'], r['source_bytes'], r['sr'], r['encoding'])==([n%3] if n%4 else [],
            [dict(label=n%3, onset=.1, offset=.1+n)]*(n%3), n%5, f'ü/{n}.wav', n, 16_000, 'int16')
    for bad in (-1, 62, 10**9):
        with pytest.raises(IndexError): s.wave(bad)

def test_stored_files(tmp_path):
    "encoding 'bytes': the content of the file comes back, and decodes to what the file would"
    data = {}
    for n,name in enumerate(examples()):
        ext = ('.wav','.flac','.ogg','.mp3','.opus')[n%5]
        save_audio(tmp_path/f'x{ext}', load_audio(example(name)), 16_000)
        data[name] = (tmp_path/f'x{ext}').read_bytes()
    data['bad'] = b'<html>404</html>'
    write(tmp_path/'s', data, encoding='bytes')
    s = Store(tmp_path/'s')
    for name,b in data.items():
        i = s.index_of(name)
        assert s.raw(i)==b
        (tmp_path/'y').write_bytes(b)
        if name!='bad': assert np.array_equal(s.wave(i), to_int16(load_audio(tmp_path/'y')).numpy())
    with pytest.raises(AudioError, match="record 'bad': not a sound file") as e: s.wave(s.index_of('bad'))
    assert e.value.reason=='not_audio' and verify_store(tmp_path/'s')

def test_views_and_columns(store):
    keys = store.column('key').to_pylist()
    assert keys==[store.record(i)['key'] for i in range(len(store))] and len(set(keys))==24
    test = store.split('test')
    assert [e.key for e in test]==keys[-len(test):]==[test[i].key for i in range(len(test))] and store.splits=={'train':18, 'test':6}
    v = StoreView(store, np.array([5,1,1]))
    assert v.column('key').to_pylist()==[keys[5],keys[1],keys[1]] and [e.events for e in v]==[v[i].events for i in range(3)]
    with pytest.raises(ValueError, match="split='dev': train, test"): store.split('dev')
    with pytest.raises(StoreError, match='no record') as e: store.index_of('nobody')
    assert e.value.reason=='missing'

def test_the_same_inputs_give_the_same_bytes(tmp_path):
    write(tmp_path/'a'); write(tmp_path/'b')
    assert files(tmp_path/'a')==files(tmp_path/'b')
    text = ''.join(o.read_text() for o in (tmp_path/'a').glob('*.json'))
    assert str(tmp_path) not in text and os.uname().nodename not in text and '"skipped": 1' in text

def test_items_are_those_of_files(tmp_path):
    "a dataset of files, and the same in a store: items, splits, folds"
    from audiossl.datasets.registry import Entry
    entries = []
    for i in range(20):
        x = torch.randn(400+i, generator=torch.Generator().manual_seed(i)).clamp(-3,3)/4
        save_audio(tmp_path/f'{i}.wav', x)
        entries.append(Entry(f'k{i}', tmp_path/f'{i}.wav', (i%3,), split=('train','valid','test')[i%3], fold=i%5+1))
    def prepare(name, split_of, folds):
        with StoreWriter(tmp_path/name, 'x', CLASSES) as w:
            for split in ('train','valid','test'):
                with w.shard(split, 0) as s:
                    for e in entries:
                        if split_of(e)==split: s.add(e.key, to_int16(load_audio(e.path)).numpy(), labels=e.labels, fold=e.fold if folds else 0)
            w.finish()
    prepare('splits', lambda e: e.split, False); prepare('folds', lambda e: 'train', True)
    def same(store, entries):
        ours,files = sorted([(k,y,x.tolist()) for x,y,k in store]),sorted([(k,y,x.tolist()) for x,y,k in FileDataset(entries, CLASSES, return_key=True)])
        return ours==files and len(ours)>0 and sorted(store.keys)==sorted(e.key for e in entries)
    for valid in ('own','test'):
        for split in ('train','valid','test'):
            assert same(StoreDataset(tmp_path/'splits', split, return_key=True, valid=valid), take_split(entries, split, valid=valid))
            for fold in (1, 5):
                assert same(StoreDataset(tmp_path/'folds', split, return_key=True, valid=valid, fold=fold), take_split(entries, split, fold, 5, valid))
    for bad in (dict(split='dev'), dict(valid='no'), dict(fold=2), dict(fold=0)):
        with pytest.raises(ValueError, match='allowed'): StoreDataset(tmp_path/'splits', **bad)

# ---- damage at rest

def damages(folder, other, rng):
    "300 of them: (what, function that does it)"
    names = sorted(o.name for o in folder.iterdir()); arrows = [n for n in names if n.endswith('.arrow')]
    manifest = read_manifest(folder); ranges = {e['file']:e['audio'] for e in manifest['shards']}
    def flip(name, where):
        b = bytearray((folder/name).read_bytes())
        inside = [i for a,n in ranges.get(name, []) for i in (a, a+n-1)]
        at = {'any': lambda: rng.integers(len(b)), 'frame': lambda: rng.choice([*range(inside[0]), *range(inside[1]+1, len(b))]),
              'edge': lambda: rng.choice(inside)}[where]()
        b[at] ^= 1<<rng.integers(8) if rng.random()<.5 else rng.integers(1,256)
        (folder/name).write_bytes(b)
    def cut(name): b = (folder/name).read_bytes(); (folder/name).write_bytes(b[:rng.integers(len(b))])
    def swap(a, b): x,y = (folder/a).read_bytes(),(folder/b).read_bytes(); (folder/a).write_bytes(y); (folder/b).write_bytes(x)
    def foreign(name): shutil.copy(other/name, folder/name)
    def zero(name):
        b = bytearray((folder/name).read_bytes()); at = int(rng.integers(max(1, len(b)-4096))); n = len(b[at:at+4096])
        if any(b[at:at+n]): b[at:at+n] = bytes(n); (folder/name).write_bytes(b)
        else: cut(name)
    def replaced(name): (folder/name).write_bytes([b'', b'<html>404</html>', bytes(len((folder/name).read_bytes())), b'ARROW1\0\0'*99][rng.integers(4)])
    def longer(name): (folder/name).write_bytes((folder/name).read_bytes()+bytes(int(rng.integers(1,99))))
    def records(name):                                   # the sounds of two records of one length, which keep their checksums, change places
        a,n = ranges[name][0]; b = bytearray((folder/name).read_bytes()); h = n//4*2
        b[a:a+h],b[a+h:a+2*h] = b[a+h:a+2*h],b[a:a+h]; (folder/name).write_bytes(b)
    pick = lambda of: str(rng.choice(of))
    todo = [('flip', lambda w=w: flip(pick(arrows), w)) for w in ('any',)*45+('frame',)*45+('edge',)*20] + [('flip', lambda: flip('manifest.json', 'any'))]*20
    todo += [('cut', lambda: cut(pick(arrows)))]*60 + [('cut', lambda: cut('manifest.json'))]*20
    todo += [('swapped', lambda: swap(*map(str, rng.choice(arrows, 2, replace=False))))]*25 + [('swapped', lambda: foreign(pick(names)))]*20
    todo += [('swapped', lambda f=f: f(pick(arrows))) for f in (zero, replaced, longer, records) for _ in range(10)]
    todo += [('swapped', lambda: (folder/pick(names)).unlink())]*5
    assert len(todo)==300-60+60 and Counter(k for k,_ in todo)==dict(flip=130, cut=80, swapped=90)
    return todo

def trial(folder, other):
    "Do each, ask the verifier and a reader, and mend it; run in a process of its own, so that a crash is seen"
    folder,other = Path(folder),Path(other)
    good,truth = files(folder),Store(folder)
    truth = {truth.record(i)['key']: truth.wave(i) for i in range(len(truth))}
    found = Counter()
    for n,(kind,do) in enumerate(damages(folder, other, np.random.default_rng(0))):
        do()
        assert files(folder)!=good, n
        report = verify_store(folder)
        seen,wrong = 0,0
        try:
            s = Store(folder)
            for i in range(len(s)):
                try: x,key = s.wave(i),s.record(i)['key']
                except StoreError as e: seen += 1; assert '\n' not in str(e)
                else: wrong += not (key in truth and np.array_equal(x, truth[key]))
        except StoreError as e: seen = 1; assert '\n' not in str(e)
        found[kind] += bool(not report and report.problems and seen and not wrong)
        for o in folder.iterdir(): o.unlink()
        for name,b in good.items(): (folder/name).write_bytes(b)
    assert verify_store(folder)
    print(json.dumps(found))

def test_every_damage_is_found(tmp_path, capsys):
    "T7"
    write(tmp_path/'s'); write(tmp_path/'other', waves(seed=1)); 
    r = run(f'import test_store as t; t.trial({str(tmp_path/"s")!r}, {str(tmp_path/"other")!r})')
    assert r.returncode==0, r.stderr
    found = json.loads(r.stdout)
    with capsys.disabled(): print(f'\ndamages found: {sum(found.values())} of 300 ({", ".join(f"{n} {k}" for k,n in found.items())}); crashes of the reader: 0')
    assert found==dict(flip=130, cut=80, swapped=90)

def run(code, **kw):
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env, **kw)

def test_changes_while_a_store_is_open(tmp_path):
    "T8: cut, removed, replaced under the eyes of a reader: one line, no signal; and what is mapped stays"
    write(tmp_path/'s')
    r = run(f"""
import os, shutil
from pathlib import Path
from audiossl.datasets.store import *
from audiossl.shards import StoreError
p = Path({str(tmp_path/'s')!r})
s = Store(p); x = s.wave(0).tolist(); f = p/'train-00000.arrow'; good = f.read_bytes()
def read():
    try: return s.wave(0).tolist()==x
    except StoreError as e: return e.reason
os.truncate(f, 100); print(read())
f.unlink(); print(read())
f.write_bytes(good); print(read())
(p/'new').write_bytes(bytes(len(good))); os.replace(p/'new', f); print(read())
print(Store(p, verify=False).meta['name'])
""")
    assert r.returncode==0, (r.returncode, r.stderr)
    out = r.stdout.split()
    assert out[:2]==['damaged','damaged'] and out[3] in ('True','damaged') and out[4]=='toy'      # the map of a cut file is gone for good

# ---- who may read, and what

def test_wrong_folders_and_versions(tmp_path, store):
    f = store.folder
    for bad,reason,*words in ((tmp_path/'no','missing','no store'), (tmp_path,'missing','no store','manifest.json'), (f/'manifest.json','missing')):
        with pytest.raises(StoreError) as e: Store(bad)
        assert e.value.reason==reason; one_line(e, str(bad), *words)
        assert not is_store(bad) and not verify_store(bad) and verify_store(bad).problems
    assert is_store(f) and not is_store(None)
    good = read_manifest(f); good.pop('checksum')
    def manifest(**change): (f/'manifest.json').write_bytes(_signed({k:v for k,v in (good|change).items() if v is not None}))
    for change,reason,*words in ((dict(version=2),'version','version 2','version 1'), (dict(format='other'),'damaged'), (dict(version='1'),'version')):
        manifest(**change)
        with pytest.raises(StoreError) as e: Store(f)
        assert e.value.reason==reason; one_line(e, str(f), *words)
    for text in (b'', b'{}', b'[]', b'null', b'3', b'['*100_000, b'\xff\xfe', (b'{"format": "audiossl-store", "version": 1}')):
        (f/'manifest.json').write_bytes(text)
        with pytest.raises(StoreError, match='damaged'): Store(f)
    for name in ('../s/train-00000.arrow', '/etc/passwd', 'a/b-00000.arrow', 'train-00000.arrow\n'):   # well signed, and out of the folder
        manifest(shards=[dict(good['shards'][0], file=name), *good['shards'][1:]])
        with pytest.raises(StoreError, match='no name of a shard'): Store(f).wave(0)

def test_a_well_signed_shard_may_still_lie(tmp_path, store):
    "offsets that lead out of the file, other columns, no table at all: refused before they are used"
    batch = pa.RecordBatch.from_pylist([dict(key='a', audio=b'1234', encoding='int16', sr=1, frames=2, labels=[], events=[], fold=0, source='', source_bytes=0, checksum=1)], SCHEMA)
    def arrow(schema):
        with pa.OSFile(str(tmp_path/'x'), 'wb') as o:
            with pa.ipc.new_file(o, schema) as w: w.write_batch(pa.RecordBatch.from_arrays([batch[n] for n in schema.names], schema=schema))
        return (tmp_path/'x').read_bytes()
    good,at = arrow(SCHEMA),np.array([0,4]).tobytes()
    assert good.count(at)==1
    def shard(data): (tmp_path/'x').write_bytes(data); return Shard(tmp_path/'x', dict(bytes=len(data), audio=[], frame=xxh3_64_hexdigest(data)))
    assert shard(good).raw(0, verify=False).tobytes()==b'1234'
    far = [good.replace(at, np.array(o).tobytes()) for o in ([0,10**12], [0,-4], [10**12,10**12], [-10**6,4], [4,0])]
    for data in (*far, arrow(pa.schema([('key',pa.string())])), b'hello', b'', good[:-1], good[8:]):
        with pytest.raises(StoreError, match='not a shard'): shard(data)

def test_reading_writes_nothing(store):
    for o in (*store.folder.iterdir(), store.folder): o.chmod(o.stat().st_mode & 0o555)
    before = {o: (o.stat().st_mtime_ns, o.stat().st_ctime_ns) for o in (store.folder, *store.folder.iterdir())}
    s = Store(store.folder)
    for i in range(len(s)): s.wave(i); s.record(i)
    assert verify_store(s.folder) and len(StoreDataset(s))
    assert {o: (o.stat().st_mtime_ns, o.stat().st_ctime_ns) for o in (store.folder, *store.folder.iterdir())}==before

class Sums(torch.utils.data.Dataset):
    def __init__(self, store): self.store = store
    def __len__(self): return len(self.store)
    def __getitem__(self, i): return self.store.record(i)['key'],xxh3_64_intdigest(self.store.wave(i)),os.getpid()
def as_it_is(batch): return batch

@pytest.mark.parametrize('method', ['fork', 'forkserver', 'spawn'])
@pytest.mark.parametrize('workers', [1, 2, pytest.param(4, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)])
def test_readers_of_all_kinds(tmp_path, method, workers, capsys):
    "T9: three epochs by workers that were given an open store: each record once in each, with the right sound, and no handle more"
    write(tmp_path/'s', waves(200, longest=2_000), shards=8)
    s = Store(tmp_path/'s')
    want = Counter((s.record(i)['key'], xxh3_64_intdigest(s.wave(i))) for i in range(len(s)))          # open in the parent first
    before = len(os.listdir('/proc/self/fd'))
    loader = DataLoader(Sums(s), 10, shuffle=True, num_workers=workers, multiprocessing_context=method, persistent_workers=True, collate_fn=as_it_is)
    for _ in range(3):
        rows = [r for b in loader for r in b]
        assert Counter(r[:2] for r in rows)==want and os.getpid() not in {r[2] for r in rows} and len({r[2] for r in rows})==workers
    del loader; gc.collect()
    end = time.monotonic()+10                                                                          # the workers go in their own time
    while (now := len(os.listdir('/proc/self/fd')))>before+8 and time.monotonic()<end: time.sleep(.05)
    assert now<=before+8                                                                               # what multiprocessing itself keeps

def test_threads_and_many_processes_at_once(tmp_path):
    write(tmp_path/'s', waves(100), shards=5)
    s = Store(tmp_path/'s'); want = [s.wave(i).tolist() for i in range(100)]
    s = Store(tmp_path/'s')
    with ThreadPoolExecutor(8) as t: assert all(t.map(lambda i: s.wave(i%100).tolist()==want[i%100], range(2_000)))
    code = f'import sys\nfrom audiossl.datasets.store import Store\ns = Store({str(tmp_path/"s")!r})\nprint(sum(int(s.wave(i%100).sum()) for i in range(1000)))'
    ps = [subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {int(p.communicate()[0]) for p in ps}=={10*sum(map(sum, want))}

def test_more_shards_than_files_may_be_open(tmp_path):
    write(tmp_path/'s', waves(90, longest=50), shards=90)
    r = run(f"""
import resource; from audiossl.datasets.store import *
s = Store({str(tmp_path/'s')!r}); resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
print(sum(len(s.wave(i)) for i in range(90)))""")
    assert int(r.stdout)==sum(map(len, waves(90, longest=50).values())), r.stderr

# ---- writing under faults

@pytest.mark.parametrize('change,word', [(dict(key=''),'empty'), (dict(key='a\udcff'),'UTF-8'), (dict(key=3),'UTF-8'), (dict(key='k'),'second one'), (dict(source='\ud800'),'UTF-8'),
    (dict(audio=np.zeros(0, np.int16)),'empty'), (dict(audio=np.zeros(3)),'int16'), (dict(audio=np.zeros((2,3), np.int16)),'int16'), (dict(audio=[1,2]),'int16'),
    (dict(labels=[3]),'outside the 3 classes'), (dict(labels=[-1]),'label -1'), (dict(events=[(9,0,1)]),'label 9'), (dict(events=[(0,2,1)]),'event from 2'),
    (dict(events=[(0,float('nan'),1)]),'event'), (dict(events=[(0,0,float('inf'))]),'event')])
def test_bad_records(tmp_path, change, word):
    good = dict(key='new', audio=np.arange(5, dtype=np.int16), labels=[2])
    with ShardWriter(tmp_path/'a.arrow', n_classes=3) as w:
        w.add('k', good['audio'])
        with pytest.raises(StoreError) as e: w.add(**good|change)
        assert e.value.reason=='record'; one_line(e, 'a.arrow', word)
        w.add(**good)
    assert Shard(tmp_path/'a.arrow', w.entry).table['key'].to_pylist()==['k','new'] and os.listdir(tmp_path)==['a.arrow']

def test_a_key_in_two_shards(tmp_path):
    with StoreWriter(tmp_path/'s', 'x') as w:
        for k in range(2):
            with w.shard('train', k) as s: s.add('same', np.ones(3, np.int16))
        with pytest.raises(StoreError, match='a key is there twice'): w.finish()
    assert not (tmp_path/'s/manifest.json').exists()

def test_bad_calls(tmp_path):
    with pytest.raises(ValueError, match="'int16' or 'bytes'"): StoreWriter(tmp_path/'s', 'x', encoding='flac')
    with pytest.raises(ValueError, match="split 'a/b'"): StoreWriter(tmp_path/'s', 'x', splits=('a/b',))
    with StoreWriter(tmp_path/'s', 'x') as w:
        with pytest.raises(ValueError, match="split='dev': one of train, valid, test"):
            with w.shard('dev', 0): pass
    (tmp_path/'file').write_text('')
    for f in (tmp_path/'file', tmp_path/'file/s', Path('/proc/no')):
        with pytest.raises(StoreError) as e:
            with StoreWriter(f, 'x'): pass
        one_line(e, str(f))

def test_a_folder_of_something_else(tmp_path, store):
    for kw in (dict(inputs=dict(seed=1)), dict(classes=('x',)), dict(kind='tags'), dict(multi_label=False), dict(encoding='bytes')):
        with pytest.raises(StoreError, match='other inputs') as e: write(store.folder, **kw)
        assert e.value.reason=='foreign'; one_line(e, str(store.folder))
    (tmp_path/'photos').mkdir(); (tmp_path/'photos/cat.jpg').write_text('')
    before = files(store.folder)
    with pytest.raises(StoreError, match='no store at all'): write(tmp_path/'photos')
    assert files(tmp_path/'photos')=={'cat.jpg': b''} and files(store.folder)==before
    write(store.folder); assert files(store.folder)==before                        # the same once more: nothing to do
    with pytest.raises(KeyboardInterrupt):
        with StoreWriter(tmp_path/'begun', 'toy', CLASSES, True, 'events', inputs=dict(seed=0)): raise KeyboardInterrupt
    with pytest.raises(StoreError, match='other inputs'): write(tmp_path/'begun', inputs=dict(seed=2))
    with pytest.raises(StoreError, match='not finished') as e: Store(tmp_path/'begun')
    assert e.value.reason=='unfinished' and is_store(tmp_path/'begun')
    write(tmp_path/'begun'); assert files(tmp_path/'begun')==before

def test_one_writer_at_a_time(tmp_path):
    code = f"""
import sys; from audiossl.manifest import StoreWriter
with StoreWriter({str(tmp_path/'s')!r}, 'toy', ('a','b','c'), True, 'events', inputs=dict(seed=0)): print('in', flush=True); input()"""
    p = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline()=='in\n'
    with pytest.raises(StoreError) as e: write(tmp_path/'s')
    assert e.value.reason=='busy'; one_line(e, f'process {p.pid} on ', str(tmp_path/'s'))
    p.kill(); p.communicate()
    write(tmp_path/'s')                                                               # the dead hold nothing
    assert verify_store(tmp_path/'s')

def test_what_a_kill_left_is_cleaned(tmp_path, store):
    good = files(store.folder)
    (store.folder/'.train-00000.arrow.part').write_bytes(b'half'); (store.folder/'notes.txt').write_text('mine')
    (store.folder/'journal').mkdir(); (store.folder/'journal/plan.json').write_text('')
    r = verify_store(store.folder)
    assert r and r.orphans==['.train-00000.arrow.part', 'journal/plan.json', 'notes.txt'] and (store.folder/'journal').exists()
    r = verify_store(store.folder, clean=True)
    assert r and r.orphans==['notes.txt'] and files(store.folder)==good|{'notes.txt': b'mine'} and not (store.folder/'journal').exists()

LIMITED = """
import resource, sys; import test_store as t; from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
try: t.write(Path(sys.argv[1])); print('written')
except t.StoreError as e: print(e.reason, str(e))
"""
def test_a_full_disk(tmp_path, capsys):
    "T6: no file may grow beyond so many bytes, at 10 sizes: one line, nothing half-written; with room it goes on and ends in the same bytes"
    write(tmp_path/'clean'); good = files(tmp_path/'clean')
    largest,survived = max(map(len, good.values())),0
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    for k,n in enumerate(np.linspace(0, largest-1, 10).astype(int)):
        f = tmp_path/f's{k}'
        r = subprocess.run([sys.executable, '-c', LIMITED, f, str(n)], capture_output=True, text=True, env=env)
        out = r.stdout.strip()
        assert r.returncode==0 and '\n' not in out and out.startswith('full ') and 'MB are free' in out and 'Make room' in out, (n, out, r.stderr)
        left = files(f)
        assert not (f/'manifest.json').exists() and not [o for o in left if o.endswith('.part')], left.keys()
        assert all(left[o]==good[o] for o in left if o.endswith('.arrow'))
        write(f); assert files(f)==good
        survived += 1
    with capsys.disabled(): print(f'\nfull disk: survived {survived} of 10')

def test_a_disk_that_is_really_full(tmp_path):
    (tmp_path/'small').mkdir()
    m = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', tmp_path/'small'], capture_output=True, text=True)
    if m.returncode: pytest.skip(f'no small disk can be mounted here: {m.stderr.strip().splitlines()[-1]}')
    try:
        with pytest.raises(StoreError) as e: write(tmp_path/'small/s', waves(200))
        assert e.value.reason=='full'; one_line(e, 'No space left', '0 MB are free')
        assert not [o for o in files(tmp_path/'small') if o.endswith(('.part','manifest.json'))]
    finally: subprocess.run(['umount', tmp_path/'small'], check=True)

KILLS = """
import builtins, fcntl, io, os, sys; import test_store as t; from pathlib import Path
folder, how, k, count = Path(sys.argv[1]), sys.argv[2], 0, 0
def tick(f=None, data=None):
    global count; count += 1
    if count==k:
        if data is not None: fcntl.fcntl(f, fcntl.F_SETFL, 0); io.FileIO.write(f, bytes(data)[:len(data)//2])        # torn, which O_DIRECT would refuse
        if how=='kill': os._exit(9)
        raise OSError(28, 'No space left on device')
class File(io.FileIO):
    def write(self, b): tick(self, b); return super().write(b)
real = builtins.open
def patched(name, mode='r', *a, **kw): return File(name, 'w') if mode=='wb' else real(name, mode, *a, **kw)
fsync,replace,unlink = os.fsync,os.replace,Path.unlink
import audiossl.shards, audiossl.manifest
audiossl.shards.open = patched; audiossl.shards._block = 1024                   # many writes: many places to die at
os.fsync = lambda fd: (tick(), fsync(fd))[1]
os.replace = lambda a,b: (tick(), replace(a, b))[1]
while True:                                     # die at the first, the second, ... of all calls that change the disk
    k += 1; f = folder/str(k); pid = os.fork()
    if pid==0:
        try: t.write(f, t.waves(8), shards=3); code = 0
        except t.StoreError as e: code = 9 if e.reason in ('full','readonly') and chr(10) not in str(e) else 8
        except BaseException as e: print(repr(e), file=sys.stderr); code = 7
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code==0: break
    if code!=9: sys.exit(f'{how} {k}: exit code {code}')
print(k-1)
"""
@pytest.mark.parametrize('how', ['kill', 'full'])
def test_dying_at_every_write_fsync_and_rename(tmp_path, how, capsys):
    write(tmp_path/'clean', waves(8), shards=3); good = files(tmp_path/'clean')
    (tmp_path/'f').mkdir()
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    r = subprocess.run([sys.executable, '-c', KILLS, tmp_path/'f', how], capture_output=True, text=True, env=env)
    assert r.returncode==0, r.stderr
    n = int(r.stdout)
    for k in range(1, n+1):
        f = tmp_path/f'f/{k}'
        if (f/'manifest.json').exists(): assert (f/'manifest.json').read_bytes()==good['manifest.json']
        elif f.exists():
            with pytest.raises(StoreError): Store(f)
        write(f, waves(8), shards=3)
        assert files(f)==good and verify_store(f), k
    with capsys.disabled(): print(f'\n{how} at each of {n} writes, fsyncs and renames: {n} of {n} go on to the same bytes')
    assert n>40

def test_what_is_sealed_is_not_made_again(tmp_path):
    made = []
    class Once(dict):
        def __getitem__(self, k): made.append(k); return super().__getitem__(k)
    sounds = Once(waves(9))
    keys = list(sounds)
    with pytest.raises(StoreError): write(tmp_path/'s', Once(waves(9))|{keys[5]: np.zeros(3)}, shards=3)      # the third shard has a bad record
    made.clear(); write(tmp_path/'s', sounds, shards=3)
    assert made==keys[2::3]
    with pytest.raises(StoreError): write(tmp_path/'t', Once(waves(9))|{keys[5]: np.zeros(3)}, shards=3)
    p = tmp_path/'t/train-00000.arrow'; p.write_bytes(p.read_bytes()[:-8])                                 # a sealed one that was damaged since
    made.clear(); write(tmp_path/'t', sounds, shards=3)
    assert made==keys[0::3]+keys[2::3] and verify_store(tmp_path/'t')

# ---- other programs

def test_pyarrow_reads_the_shards(store):
    t = pa.concat_tables(pa.ipc.open_file(o).read_all() for o in sorted(store.folder.glob('*.arrow')))
    assert t.schema.equals(SCHEMA, check_metadata=True) and sorted(t['key'].to_pylist())==sorted(waves())
    with pa.memory_map(str(store.folder/'test-00000.arrow')) as f: row = pa.ipc.open_file(f).get_batch(0).slice(1, 1).to_pylist()[0]
    assert np.frombuffer(row['audio'], '<i2').tolist()==waves()[row['key']].tolist()

def test_hugging_face_datasets_reads_the_shards(tmp_path, monkeypatch):
    pytest.importorskip('datasets', reason="Hugging Face datasets is not installed ('pip install datasets' to run this)")
    monkeypatch.setenv('HF_HOME', str(tmp_path/'hf')); monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    from datasets import load_dataset
    from datasets.distributed import split_dataset_by_node
    write(tmp_path/'s', shards=5)
    s = Store(tmp_path/'s'); keys = s.column('key').to_pylist(); n = s.splits['train']
    data = dict(data_files={k: str(tmp_path/f's/{k}-*.arrow') for k in s.splits}, cache_dir=str(tmp_path/'cache'))
    whole = load_dataset('arrow', **data)
    assert whole['train']['key'][:]==keys[:n] and whole['test']['key'][:]==keys[n:]
    stream = load_dataset('arrow', split='train', streaming=True, **data)
    rows = list(stream)
    assert [r['key'] for r in rows]==keys[:n] and all(np.array_equal(np.frombuffer(r['audio'], '<i2'), s.wave(i)) for i,r in enumerate(rows))
    nodes = [[r['key'] for r in split_dataset_by_node(stream, k, 2)] for k in range(2)]
    assert sorted(nodes[0]+nodes[1])==sorted(keys[:n]) and len(nodes[0])==len(nodes[1])
