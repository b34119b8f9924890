"Tar shards and the old LMDB layout: what comes in is what was there, and what is crafted neither writes, nor runs, nor crashes"
import io, json, os, tarfile, time
from pathlib import Path
import numpy as np, pytest, soundfile as sf
from audiossl.datasets.oldlmdb import OldDatabase, OldFormatError, read_pair
from audiossl.datasets.prepare import prepare_store
from audiossl.datasets.registry import get_dataset
from audiossl.datasets.store import Store
from audiossl.datasets.tarshards import TarError, list_tar, read_tar, write_tars

def tone(i, n=1600): return (8000*np.sin(np.arange(n)*(.02+.01*i))).astype(np.int16)
def wav(i): sf.write(b := io.BytesIO(), tone(i), 16000, format='WAV'); return b.getvalue()
def make_tar(path, *members, **kw):
    with tarfile.open(path, 'w', **kw) as t:
        for m,data in members:
            if isinstance(m, str): m = tarfile.TarInfo(m)
            m.size = len(data); t.addfile(m, io.BytesIO(data))
    return path
def info(name, **kw):
    m = tarfile.TarInfo(name)
    for k,v in kw.items(): setattr(m, k, v)
    return m
def tree(folder): return {p: p.lstat().st_size for p in folder.rglob('*')}

# --- tar

def sparse(path): # says of itself that it is a file of a terabyte, all of it a hole
    head = bytearray(info('dogs/big.wav').tobuf(tarfile.GNU_FORMAT)); head[156:157] = b'S'
    head[386:398],head[398:410],head[483:495] = b'00000000000\0',b'00000000000\0',b'\x80'+(2**40).to_bytes(11, 'big')
    head[148:156] = b' '*8; head[148:156] = b'%06o\0 ' % sum(head)
    path.write_bytes(bytes(head)+bytes(10240))

CRAFTED = dict(
    above=lambda p: make_tar(p, ('../evil.wav', wav(0))), root=lambda p: make_tar(p, ('/evil.wav', wav(0))), late=lambda p: make_tar(p, ('a/../../evil.wav', wav(0))),
    windows=lambda p: make_tar(p, ('..\\evil.wav', wav(0))), drive=lambda p: make_tar(p, ('C:/evil.wav', wav(0))),
    link=lambda p: make_tar(p, (info('d', type=tarfile.SYMTYPE, linkname='..'), b''), ('d/evil.wav', wav(0))),
    link_abs=lambda p: make_tar(p, (info('d', type=tarfile.SYMTYPE, linkname='/'), b''), ('d/evil.wav', wav(0))),
    hard=lambda p: make_tar(p, (info('evil.wav', type=tarfile.LNKTYPE, linkname='../../outside'), b'')),
    pipe=lambda p: make_tar(p, (info('evil.wav', type=tarfile.FIFOTYPE), b'')), device=lambda p: make_tar(p, (info('evil.wav', type=tarfile.BLKTYPE, devmajor=8), b'')),
    pax=lambda p: make_tar(p, (info('good.wav', pax_headers=dict(path='../evil.wav')), wav(0)), format=tarfile.PAX_FORMAT),
    twice=lambda p: make_tar(p, ('a.wav', wav(0)), ('./a.wav', wav(1))), sparse=sparse, cut=lambda p: p.write_bytes(make_tar(p, ('a.wav', wav(0))).read_bytes()[:2000]),
    noise=lambda p: p.write_bytes(np.random.default_rng(0).bytes(20_000)), packed=lambda p: make_tar(p, ('a.wav', wav(0))).write_bytes(__import__('gzip').compress(p.read_bytes())),
    middle=lambda p: p.write_bytes((d := make_tar(p, ('a.wav', wav(0)), ('b.wav', wav(1))).read_bytes())[:4096]+b'\xff'*512+d[4608:]),
    json_bomb=lambda p: make_tar(p, ('a.wav', wav(0)), ('a.json', b'['*100_000)), json_list=lambda p: make_tar(p, ('a.wav', wav(0)), ('a.json', b'[1]')))

@pytest.mark.parametrize('name', CRAFTED)
def test_crafted_tars_write_nothing(name, tmp_path):
    box = tmp_path/'box'; (box/'shards').mkdir(parents=True); (tmp_path/'outside').write_text('precious')
    CRAFTED[name](box/'shards'/'train-000000.tar')
    before = tree(tmp_path)
    with pytest.raises(TarError) as e: prepare_store('webdataset', box/'shards', box/'store', processes=0)
    assert 'train-000000.tar' in str(e.value) and '\n' not in str(e.value) and len(str(e.value))<600
    assert tree(tmp_path)==before and (tmp_path/'outside').read_text()=='precious' and not Path('/evil.wav').exists()

def test_at_least_fifteen(): assert len(CRAFTED)>=15

def test_every_byte_of_the_headers(tmp_path):
    "A changed byte is an error, or a file under another name; never a crash, a hang, or a name that leads out"
    good = make_tar(tmp_path/'a.tar', ('dogs/a.wav', wav(0)), ('dogs/b.wav', wav(1))).read_bytes()
    errors = 0
    for at in range(0, 512):
        for v in (0, 46, 47, 255):
            p = tmp_path/'b.tar'; p.write_bytes(good[:at]+bytes([v])+good[at+1:])
            try: found = list_tar(p)
            except TarError: errors += 1; continue
            assert all(not n.startswith('/') and '..' not in n.split('/') for n in found)
    assert errors>1000

def shards(folder, n=6):
    folder.mkdir()
    for s in range(2):
        make_tar(folder/f'train-{s:06}.tar', *(m for i in range(s*n//2, (s+1)*n//2) for m in (
            (f'clips/{i:02}.wav', wav(i)), (f'clips/{i:02}.json', json.dumps(dict(labels=['low','high'][:1+i%2], events=[['low',0.,.05]])).encode()))))
    make_tar(folder/'eval-000000.tar', ('x.wav', wav(9)), ('x.json', b'{"labels": ["low"]}'))
    return folder

@pytest.mark.parametrize('processes,encoding', [(0,'int16'), (1,'int16'), (1,'bytes')])
def test_in_and_out(tmp_path, processes, encoding):
    root = shards(tmp_path/'shards')
    prepare_store('webdataset', root, tmp_path/'store', processes=processes, encoding=encoding, per_shard=4)
    store = Store(tmp_path/'store')
    assert store.classes==('high','low') and store.multi_label and store.splits=={'train':6, 'test':1}
    for i in range(6):
        r = store.record(k := store.index_of(f'clips/{i:02}'))
        assert np.array_equal(store.wave(k), tone(i)) and r['labels']==[1,0][:1+i%2] and r['source']==f'train-{i//3:06}.tar/clips/{i:02}.wav' and r['events']==[dict(label=1, onset=0., offset=.05)]
        if encoding=='bytes': assert store.raw(k)==wav(i)
    write_tars(tmp_path/'store', tmp_path/'out', per_shard=4)
    prepare_store('webdataset', tmp_path/'out', tmp_path/'again', processes=0, per_shard=4)
    a,b = (Store(tmp_path/s) for s in ('store','again'))
    for i in range(len(a)):
        assert np.array_equal(a.wave(i), b.wave(i)) and all(a.record(i)[k]==b.record(i)[k] for k in ('key','labels','events','fold'))
    first = {p.name: p.read_bytes() for p in (tmp_path/'out').iterdir()}
    write_tars(tmp_path/'store', tmp_path/'out', per_shard=4)
    assert {p.name: p.read_bytes() for p in (tmp_path/'out').iterdir()}==first

def test_names_survive_a_tar(tmp_path):
    "Names that a tar, or the rule of the first dot, would not keep"
    from test_prepare import rows, write_rows
    keys = ['a.b.wav', '../up', '/root', 'x'*300, 'ü/猫', 'sp ace', 'line\nbreak', 'a//b', '.hidden', 'C:/x']
    root = tmp_path/'root'; root.mkdir(); sf.write(root/'0.wav', tone(0), 16000)
    write_rows(root, [dict(key=k, path='0.wav') for k in keys])
    prepare_store('rows', root, tmp_path/'store', processes=0)
    tars = write_tars(tmp_path/'store', tmp_path/'out')
    assert all(list_tar(t) for t in tars)
    assert sorted(get_dataset('webdataset').creator(tmp_path/'out').keys)==sorted(keys)

def test_the_command(tmp_path, typed):
    from audiossl.standins import write_standin
    store,out = tmp_path/'store',tmp_path/'out'
    prepare_store('fsd50k', write_standin('fsd50k', tmp_path/'source', clips=3), store, processes=0)
    code,said,err = typed('export', store, out, '--per-shard', 2)
    assert code==0 and not err and said[-1].startswith('6 tar files, ') and len(list(out.glob('*.tar')))==6
    shows = []; write_tars(store, tmp_path/'same', per_shard=2, show=shows.append)
    assert [r['done'] for r in shows]==list(range(1, len(Store(store))+1)) and shows[-1]['inputs']==len(Store(store))
    first = {p.name: p.read_bytes() for p in out.iterdir()}
    assert {p.name: p.read_bytes() for p in (tmp_path/'same').iterdir()}==first
    for words,why in (((store, out), 'of another export; choose an empty folder'), ((store, store), 'a store; choose an empty folder'), ((tmp_path, tmp_path/'x'), 'no store'),
                      ((store, tmp_path/'x', '--per-shard', 0), 'per-shard 0: 1 and more'), ((store, store/'manifest.json'), 'cannot be written'), ((store,), 'Missing argument')):
        code,said,err = typed('export', *words)
        assert code==1 and len(err)==1 and why in err[0], err
    assert {p.name: p.read_bytes() for p in out.iterdir()}==first and not (tmp_path/'x').exists()
    shard = sorted(store.glob('*.arrow'))[-1]; d = bytearray(shard.read_bytes()); d[len(d)//2] ^= 1; shard.write_bytes(d)
    code,said,err = typed('export', store, tmp_path/'y', '--per-shard', 2)
    assert code==1 and len(err)==1 and 'is damaged' in err[0] and not list((tmp_path/'y').glob('.*'))

def test_a_damaged_record_is_named_once(tmp_path):
    raw = bytearray((OLD/'0.14.1/train.lmdb').read_bytes()); (tmp_path/'train.lmdb').write_bytes(raw)
    db = OldDatabase(tmp_path/'train.lmdb'); key,(place,_) = next(o for o in db.places() if not o[0].startswith(b'__'))
    at = place-len(key)-8; assert raw[at+8:place]==key                                  # the value lies beside its key
    raw[at:at+4] = b'\xff\xff\xff\x0f'                                                 # and would be longer than the file
    (tmp_path/'train.lmdb').write_bytes(raw)
    with pytest.raises(OldFormatError, match='record .* it ends after') as e: prepare_store('lmdb', tmp_path, tmp_path/'store', processes=0)
    assert str(e.value).count('train.lmdb')==1

def test_other_readers_take_them(tmp_path):
    prepare_store('webdataset', shards(tmp_path/'shards'), tmp_path/'store', processes=0)
    (train,_) = write_tars(tmp_path/'store', tmp_path/'out')
    with tarfile.open(train) as t: names = [m.name for m in t]; assert all(m.isreg() and not m.mtime and not m.uid for m in t)
    assert names==[n for i in range(6) for n in (f'clips/{i:02}.flac', f'clips/{i:02}.json')] and json.loads(read_tar(train/'clips/01.json'))['labels']==['low','high']

# --- LMDB

OLD = Path(__file__).parent/'data/old_lmdb'
def expected(i): # as the files were made
    n = [40,200,700][i%3]
    y = np.zeros(5, np.float32); y[i%5] = 1; y[(i*i+1)%5] = 1
    return ('clip_%02d_'%(i*7%30)+'x'*(i*17%200)), ((np.arange(n)*(i+3)*7919)%65536-32768).astype(np.int16), y

@pytest.mark.parametrize('version', ['0.14.1','11.0.0'])
def test_values_of_the_old_call(version, tmp_path):
    "Written by `pyarrow.serialize` of that version, through the lmdb package"
    db = OldDatabase(OLD/version/'train.lmdb')
    assert len(db)==32
    for i in range(30):
        key,wave,label = expected(i)
        w,y = read_pair(db.read(db.find(key.encode())))
        assert np.array_equal(w, wave.astype(np.float32)/2**15) and np.array_equal(y, label)
    report = prepare_store('lmdb', OLD/version, tmp_path/'store', per_shard=8)
    assert (report['inputs'],report['written'],report['left'])==(30,30,0)
    store = Store(tmp_path/'store')
    for i in range(30):
        key,wave,label = expected(i); k = store.index_of(key)
        assert np.array_equal(store.wave(k), wave) and store.record(k)['labels']==np.flatnonzero(label).tolist()

def test_a_copy_of_the_test_is_not_for_choosing(tmp_path):
    for n in ('train','valid','eval'): (tmp_path/f'{n}.lmdb').write_bytes((OLD/'11.0.0/train.lmdb').read_bytes())
    make = get_dataset('lmdb').creator
    with pytest.raises(ValueError, match='is in train and in'): prepare_store('lmdb', tmp_path, tmp_path/'store', processes=0)     # here even train is the same
    assert set(make(tmp_path, 'valid').keys)<set(make(tmp_path, 'valid', valid='test').keys)
    with pytest.raises(FileNotFoundError, match='none of train.lmdb'): make(tmp_path/'store')

def test_damage_never_crashes_or_hangs(tmp_path):
    raw = (OLD/'0.14.1/train.lmdb').read_bytes(); rng = np.random.default_rng(0); n = dict(read=0, refused=0)
    places = [*range(0, 160, 3), *range(4096, 4256, 3), *rng.integers(0, len(raw), 300).tolist()]
    begin = time.monotonic()
    for at in places:
        d = bytearray(raw); d[at] ^= int(rng.integers(1, 256)); (tmp_path/'train.lmdb').write_bytes(d)
        try:
            db = OldDatabase(tmp_path/'train.lmdb')
            for k,p in db.places():
                if not k.startswith(b'__'): read_pair(db.read(p))
            n['read'] += 1
        except OldFormatError as e: assert '\n' not in str(e); n['refused'] += 1
    for cut in np.linspace(0, len(raw)-1, 20).astype(int):
        (tmp_path/'train.lmdb').write_bytes(raw[:cut])
        with pytest.raises(OldFormatError): list(OldDatabase(tmp_path/'train.lmdb').places())
    assert n['refused']>20 and time.monotonic()-begin<120
    print(f'damage to an LMDB file: {len(places)} bytes turned, {n["refused"]} refused, {n["read"]} not noticed (it has no checksums), 20 of 20 cuts refused')

def test_no_pickle_is_run(tmp_path):
    class Evil:
        def __reduce__(self): return os.mkdir, (str(tmp_path/'was here'),)
    import pickle
    for value in (pickle.dumps(Evil()), pickle.dumps((np.zeros((1,1,5), np.float32), np.zeros((1,2), np.float32)))):
        with pytest.raises(OldFormatError, match='a pickle, which is never loaded. Export the clips'): read_pair(value)
    assert not (tmp_path/'was here').exists()

def test_nothing_else_is_taken():
    from pyarrow import BufferOutputStream, Tensor, ipc
    def value(*arrays):
        import pyarrow as pa
        out = BufferOutputStream(); out.write(bytes(32)); batch = pa.record_batch([pa.array([1])], ['list'])
        with ipc.new_stream(out, batch.schema) as w: w.write_batch(batch)
        for a in arrays: out.write(bytes(-out.tell()%64)); ipc.write_tensor(Tensor.from_numpy(a), out)
        return out.getvalue().to_pybytes()
    f = lambda *s: np.zeros(s, np.float32)
    assert read_pair(value(f(1,1,7), f(1,3)))[0].shape==(7,)
    for arrays in ([f(1,1,7)], [f(1,7), f(1,3)], [f(2,1,7), f(1,3)], [f(1,1,0), f(1,3)], [f(1,1,7).astype(int), f(1,3)], [f(1,1,7), f(3)]):
        with pytest.raises(OldFormatError): read_pair(value(*arrays))
