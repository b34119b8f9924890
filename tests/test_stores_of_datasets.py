"What is read from a prepared store is what is read from the published folders, for tags, events and sounds without labels"
import pytest, torch
from audiossl.datasets.events import EventDataset
from audiossl.datasets.prepare import prepare_store
from audiossl.datasets.registry import get_dataset
from audiossl.datasets.tags import item_labels
from audiossl.lightning.datamodules import DownstreamDataModule, FrameDataModule
from audiossl.standins import write_standin
from audiossl.transforms.views import EvalView

SPLITS = 'train','valid','test'
@pytest.mark.parametrize('name', ['audioset_b','audioset','fsd50k','librispeech','desed','as_strong'])
def test_store_and_folders(name, tmp_path):
    root,store,info = write_standin(name, tmp_path/'source'),tmp_path/'store',get_dataset(name)
    options = dict(parts=('synthetic','weak','unlabelled','synthetic_validation','validation')) if name=='desed' else {}
    report = prepare_store(name, root, store, processes=0, **options)
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
    assert report['written']==report['inputs']==total
    if info.kind=='tags': assert sorted(item_labels(read(store, 'train')))==sorted(item_labels(read(root, 'train')))

@pytest.mark.parametrize('name', ['audioset','desed','as_strong'])
def test_modules_on_stores(name, tmp_path):
    root,store = write_standin(name, tmp_path/'source'),tmp_path/'store'
    prepare_store(name, root, store, processes=0)
    if name=='audioset': dm = DownstreamDataModule(store, name, 4, transforms=[EvalView()]*3, sampler='balanced', num_workers=1)
    else: dm = FrameDataModule(store, name, 2, transforms=[EvalView(10)]*3, num_workers=1)
    for loader in (dm.train_dataloader(), dm.val_dataloader(), dm.test_dataloader()):
        assert all(x.shape[1:3]==(1,64) and y.shape[1]==dm.num_labels for (x,_),y,*_ in loader)
    assert isinstance(dm.dataset_train, EventDataset)==(name!='audioset') and dm.show_batch(1) is not None

@pytest.mark.parametrize('name,option', [('audioset',dict(prefix='Y')), ('audioset',dict(on_bad='skip')), ('librispeech',dict(parts=('train-clean-100',))),
                                         ('desed',dict(parts=('weak',))), ('desed',dict(keep_empty=False))])
def test_settled_options_are_refused(name, option, tmp_path):
    root,store = write_standin(name, tmp_path/'source', clips=2),tmp_path/'store'
    prepare_store(name, root, store, processes=0)
    with pytest.raises(TypeError, match=f'{next(iter(option))} was settled when this store was prepared'): get_dataset(name).creator(store, **option)

def test_small_and_missing_are_counted(tmp_path):
    root = write_standin('audioset', tmp_path/'source')
    p = sorted((root/'audio'/'eval_segments').glob('*.wav'))[0]; p.write_bytes(p.read_bytes()[:300])
    report = prepare_store('audioset', root, tmp_path/'store', processes=0, on_bad='skip', max_bad=.2)
    assert (report['inputs'], report['written'], report['skipped'], report['reasons'])==(22, 21, 1, {'small':1}) and p.name in report['skips'][0]['message']
