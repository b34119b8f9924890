"What is read from a prepared store is what is read from the published folders, for tags, events and sounds without labels"
import shutil
from pathlib import Path
import pytest, torch
from audiossl.audio import example, examples
from audiossl.datasets.events import EventDataset
from audiossl.datasets.prepare import prepare_store
from audiossl.datasets.registry import get_dataset
from audiossl.datasets.store import Store
from audiossl.datasets.tags import item_labels
from audiossl.datasets.tarshards import write_tars
from audiossl.lightning.datamodules import DownstreamDataModule, FrameDataModule
from audiossl.shards import StoreError
from audiossl.standins import standin_names, write_standin
from audiossl.transforms.views import EvalView

SPLITS,OLD = ('train','valid','test'),Path(__file__).parent/'data/old_lmdb/0.14.1'
HOLEY = dict(processes=0, on_bad='skip', max_bad=.5) # AudioSet has clips without a file
@pytest.fixture(scope='module')
def places(tmp_path_factory): # name of a dataset -> its folder and a store of it, made once
    box,made = tmp_path_factory.mktemp('places'),{}
    def of(name):
        if name in made: return made[name]
        root = box/name
        if name=='audiofolder':
            for n,label in examples().items(): (root/label).mkdir(parents=True, exist_ok=True); shutil.copy(example(n), root/label/f'{n}.ogg')
        elif name=='webdataset': write_tars(of('nsynth')[1], root)
        elif name=='lmdb': shutil.copytree(OLD, root)
        else: write_standin({'dcase':'desed'}.get(name, name), root)
        prepare_store(name, root, box/f'{name}_store', **HOLEY)
        made[name] = root,box/f'{name}_store'
        return made[name]
    return of

@pytest.mark.parametrize('name', [*standin_names(), 'dcase', 'audiofolder', 'webdataset', 'lmdb'])
def test_one_order_everywhere(name, places):
    root,store = places(name); make = get_dataset(name).creator
    n,total = make(root).num_folds,0
    for fold in range(1, n+1):
        for split in SPLITS:
            for valid in ('own','test'):
                kw = dict(valid=valid, **({'fold':fold} if n>1 else {}))
                a,b = make(root, split, **kw),make(store, split, **kw)
                assert a.keys==b.keys==[e.key for e in a.entries]==[e.key for e in b.entries] and a.num_folds==b.num_folds==n and len(a)==len(a.keys)
                total += len(a)*(valid=='own')
    assert total==n*len(Store(store))>0

@pytest.mark.parametrize('asked,given', [('us8k','nsynth'), ('nsynth','us8k'), ('desed','as_strong'), ('as_strong','dcase'), ('fsd50k','librispeech'), ('librispeech','fsd50k'),
                                         ('audioset','audioset_b'), ('audioset_b','audioset'), ('voxceleb1','audiofolder')])
def test_a_store_of_another_dataset(asked, given, places):
    store = places(given)[1]
    for kw in ({}, dict(split='test')):
        with pytest.raises(StoreError, match=f"^{store}: a store of '{given}', asked for was '{asked}'") as e: get_dataset(asked).creator(store, **kw)
        assert e.value.reason=='foreign' and '\n' not in str(e.value)

def test_names_that_fit(places):
    a,b = (places(n)[1] for n in ('desed','dcase'))
    assert get_dataset('dcase').creator(a).keys==get_dataset('desed').creator(b).keys==get_dataset('desed').creator(a).keys
    for name in ('nsynth','webdataset'): assert get_dataset('audiofolder').creator(places(name)[1], 'test').keys==get_dataset(name).creator(places(name)[1], 'test').keys

@pytest.mark.parametrize('name', ['audioset_b','audioset','fsd50k','librispeech','desed','as_strong'])
def test_store_and_folders(name, tmp_path):
    root,store,info = write_standin(name, tmp_path/'source'),tmp_path/'store',get_dataset(name)
    options = dict(parts=('synthetic','weak','unlabelled','synthetic_validation','validation')) if name=='desed' else {}
    report = prepare_store(name, root, store, **HOLEY, **options)
    read = lambda path, s, **kw: info.creator(path, s, return_key=True, **(options if path==root else {}), **kw)
    total = 0
    for valid in ('own','test'):
        for split in SPLITS:
            a,b = (read(p, split, valid=valid) for p in (root,store))
            assert len(a)==len(b)>0 and tuple(a.classes)==tuple(b.classes) and a.multi_label==b.multi_label
            total += len(b)*(valid=='own')
            at = lambda i: -1 if info.kind=='events' else 2
            mine = {a[i][at(i)]: a[i] for i in range(len(a))}
            for i in range(len(b)):
                got = b[i]; want = mine.pop(got[at(i)])
                assert (got[0]-want[0]).abs().max()<=2**-15
                if info.kind=='events': assert all(torch.equal(x, y) for x,y in zip(got[1:3], want[1:3])) and got[3:6]==want[3:6]
                else: assert torch.equal(torch.as_tensor(got[1]), torch.as_tensor(want[1]))
            assert not mine
    assert report['written']==report['inputs']-report['skipped']==total
    if info.kind=='tags': assert sorted(item_labels(read(store, 'train')))==sorted(item_labels(read(root, 'train')))

@pytest.mark.parametrize('name', ['audioset','desed','as_strong'])
def test_modules_on_stores(name, tmp_path):
    root,store = write_standin(name, tmp_path/'source'),tmp_path/'store'
    prepare_store(name, root, store, **HOLEY)
    if name=='audioset': dm = DownstreamDataModule(store, name, 4, transforms=[EvalView()]*3, sampler='balanced', num_workers=1)
    else: dm = FrameDataModule(store, name, 2, transforms=[EvalView(10)]*3, num_workers=1)
    for loader in (dm.train_dataloader(), dm.val_dataloader(), dm.test_dataloader()):
        assert all(x.shape[1:3]==(1,64) and y.shape[1]==dm.num_labels for (x,_),y,*_ in loader)
    assert isinstance(dm.dataset_train, EventDataset)==(name!='audioset') and dm.show_batch(1) is not None

@pytest.mark.parametrize('name,option', [('audioset',dict(prefix='Y')), ('audioset',dict(on_bad='skip')), ('librispeech',dict(parts=('train-clean-100',))),
                                         ('desed',dict(parts=('weak',))), ('desed',dict(keep_empty=False))])
def test_settled_options_are_refused(name, option, tmp_path):
    root,store = write_standin(name, tmp_path/'source', clips=2),tmp_path/'store'
    prepare_store(name, root, store, **HOLEY)
    with pytest.raises(TypeError, match=f'{next(iter(option))} was settled when this store was prepared'): get_dataset(name).creator(store, **option)

def test_small_and_missing_are_counted(tmp_path):
    root = write_standin('audioset', tmp_path/'source')
    p = sorted((root/'audio'/'eval_segments').glob('*.wav'))[0]; p.write_bytes(p.read_bytes()[:300])
    report = prepare_store('audioset', root, tmp_path/'store', processes=0, on_bad='skip', max_bad=.2)
    assert (report['written'], report['inputs']-report['skipped'], report['reasons']['small'])==(21, 21, 1) and any(p.name in s['message'] for s in report['skips'])
