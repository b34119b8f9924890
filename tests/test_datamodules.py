"""Loaders of labelled data: every registered dataset from its stand-in, samplers, workers, two processes.

This file is also the program that trains, `python test_datamodules.py FOLDER`, so that Lightning starts its processes from a clean one.
"""
import json, os, subprocess, sys
from collections import Counter
from functools import partial
from pathlib import Path
import numpy as np, pytest, torch
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, RandomSampler, WeightedRandomSampler
from audiossl.audio import save_audio
from audiossl.datasets.events import KINDS
from audiossl.datasets.registry import get_dataset
from audiossl.datasets.tags import item_labels
from audiossl.datasets.samplers import CompositeSampler, DistributedSamplerWrapper, EpochLoader, balanced_weights, reseed
from audiossl.lightning.datamodules import DownStreamDataModule, DownstreamDataModule, FrameDataModule, InMemoryDataModule, collate_padded
from audiossl.standins import standin_names, write_standin
from audiossl.transforms.label_mix import FinetuneTargetTransform
from audiossl.transforms.views import EvalView

# --- two processes

class Look(pl.LightningModule):
    "Keeps what it is shown"
    def __init__(self): super().__init__(); self.w = torch.nn.Parameter(torch.zeros(1)); self.seen = []
    def _keep(self, what, batch): self.seen.append((what, self.current_epoch, batch[-1] if isinstance(batch[-1], list) else batch[1].tolist()))
    def training_step(self, batch, i): self._keep('train', batch); return self.w.sum()*0
    def validation_step(self, batch, i): self._keep('valid', batch)
    def configure_optimizers(self): return torch.optim.SGD(self.parameters(), lr=.1)

def modules(folder):
    folder = Path(folder)
    yield 'plain', DownstreamDataModule(folder/'audioset', 'audioset', 4, return_key=True)
    yield 'balanced', DownstreamDataModule(folder/'audioset', 'audioset', 4, return_key=True, sampler='balanced')
    yield 'memory', InMemoryDataModule(*[torch.arange(n) for n in (21,21,5,5,4,4)], batch_size=4)
    yield 'events', FrameDataModule(folder/'desed', batch_size=3, batch_sizes=(2,1), transforms=[lambda w: w[...,:100]]*3)

def main(folder):
    for name,data in modules(folder):
        model = Look()
        trainer = pl.Trainer(accelerator='cpu', devices=2, strategy='ddp', max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                             enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder)
        trainer.fit(model, data)
        Path(folder, f'{name}.{trainer.global_rank}.json').write_text(json.dumps(model.seen))

def test_two_processes(tmp_path):
    write_standin('audioset', tmp_path/'audioset'); write_standin('desed', tmp_path/'desed')
    env = dict(os.environ, OMP_NUM_THREADS='1', MASTER_ADDR='127.0.0.1')
    r = subprocess.run([sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, env=env, timeout=300)
    assert r.returncode==0, r.stderr[-3000:]
    sizes = {n: (len(d.sets[0]) if n=='memory' else len(d.dataset_train), len(d.sets[1]) if n=='memory' else len(d.dataset_val)) for n,d in modules(tmp_path)}
    for name in ('plain','balanced','memory','events'):
        seen = [json.loads((tmp_path/f'{name}.{r}.json').read_text()) for r in range(2)]
        of = lambda what, epoch: [[k for w,e,ks in s if (w,e)==(what,epoch) for k in ks] for s in seen]
        for epoch in range(2):
            a,b = of('train', epoch)
            assert len(a)==len(b)>0
            if name in ('plain','memory'): assert len({*map(str, a+b)})==sizes[name][0] and len(a+b)-sizes[name][0]<2           # all, and at most one twice
            if name=='events': assert all([k.split('/')[0] for k in p[:3]]==['synthetic','synthetic','weak'] for p in (a,b)) and not {a[2],}&{b[2],}
            assert len({*map(str, sum(of('valid', epoch), []))})==sizes[name][1]
        assert of('train', 0)!=of('train', 1), f'{name}: the same order in both epochs'

# --- every dataset, by the snippet of the README

@pytest.mark.parametrize('name', standin_names())
def test_every_dataset(name, tmp_path):
    root = write_standin(name, tmp_path/name)
    info = get_dataset(name)
    tr = lambda w: w[...,:800]
    fold = dict(fold=info.num_folds) if info.num_folds>1 else {}
    train = lambda x, y: (x*2, y)
    for make in (DownstreamDataModule, DownStreamDataModule):
        dm = make(root, name, batch_size=4, transforms=[tr,tr,tr], target_transforms=[train,None,None], **fold)
    for loader in (dm.train_dataloader(), dm.val_dataloader(), dm.test_dataloader()):
        n = 0
        for (x,lengths),y,*_ in loader:
            assert len(x)==len(lengths)==len(y)<=4 and x.shape[1]==1 and lengths.max()<=x.shape[-1]<=800
            if info.kind!='audio': assert y.shape[1:]==((dm.num_labels,) if info.kind=='tags' else (dm.num_labels,250) if info.kind=='events' else ())
            n += len(x)
        assert n==len(loader.dataset)>0
    assert dm.show_batch(2) is not None and dm.multi_label==info.multi_label

# --- the module

def test_arguments():
    with pytest.raises(ValueError, match='2 entries: 3 are needed'): DownstreamDataModule(None, 'minisounds', transforms=[None]*2)
    with pytest.raises(ValueError, match='fold=0: minisounds has folds 1 to 5'): DownstreamDataModule(None, 'minisounds', fold=0)
    with pytest.raises(TypeError, match='valdi'): DownstreamDataModule(None, 'minisounds', valdi='test')
    with pytest.raises(KeyError, match='did you mean'): DownstreamDataModule(None, 'minisound')
    dm = DownstreamDataModule(None, 'minisounds_percussion', 64, limit_batch_size=5)
    assert dm.batch_size==5
    with pytest.raises(ValueError, match="sampler='balancd': must be 'balanced', a sampler, or None"): DownstreamDataModule(None, 'minisounds', sampler='balancd')
    with pytest.raises(ValueError, match="split='val': must be one of train, valid, test"): dm.show_batch(split='val')
    with pytest.raises(ValueError, match='n=0: must be at least 1'): dm.show_batch(0)

def test_folds_of_an_own_folder(tmp_path):
    rows = [f'{i}.wav,{"ab"[i%2]},{i%3+1}' for i in range(12)]
    for i in range(12): save_audio(tmp_path/f'{i}.wav', torch.sin(torch.arange(1600)*.01*(i+1)))
    (tmp_path/'labels.csv').write_text('\n'.join(['file,label,fold', *rows])+'\n')
    dms = [DownstreamDataModule(tmp_path, 'audiofolder', 4, fold=f) for f in (1,2,3)]
    tests = [set(dm.dataset_test.keys) for dm in dms]
    assert all(dm.num_folds==3 and len(dm.dataset_train)==4 for dm in dms) and len(set.union(*tests))==12==sum(map(len, tests))
    with pytest.raises(ValueError, match='fold=4'): DownstreamDataModule(tmp_path, 'audiofolder', 4, fold=4)

def test_fewer_clips_than_a_batch(tmp_path):
    write_standin('desed', tmp_path/'desed'); write_standin('as_strong', tmp_path/'as_strong')
    with pytest.raises(ValueError, match=r'batch_sizes=\(64, 64\): there are \d+ strong clips .* a batch can have 1 to \d+ of them'): FrameDataModule(tmp_path/'desed')
    with pytest.raises(ValueError, match='a batch can have'): FrameDataModule(tmp_path/'desed', batch_sizes=(0,2))
    with pytest.raises(ValueError, match=r'batch_sizes=\(64,\): there are \d+ strong clips'): FrameDataModule(tmp_path/'as_strong', 'as_strong', 64)
    n = len(FrameDataModule(tmp_path/'as_strong', 'as_strong', 1).dataset_train)
    assert len(FrameDataModule(tmp_path/'as_strong', 'as_strong', n).train_dataloader())==1

def test_order_follows_seed_and_epoch():
    def order(seed, epoch):
        dm = DownstreamDataModule(None, 'minisounds_percussion', 16, seed=seed, collate_fn=lambda items: [y for _,y in items])
        loader = dm.train_dataloader(); loader.sampler.set_epoch(epoch)
        return [y for ys in loader for y in ys]
    a = order(0, 3)
    assert a==order(0, 3) and a!=order(0, 4) and a!=order(1, 3) and sorted(a)==sorted(order(1, 4))

def test_looking_changes_nothing():
    dm = DownstreamDataModule(None, 'minisounds_percussion', 16, transforms=[EvalView()]*3)
    state,epoch = torch.get_rng_state(), dm.sampler.epoch
    a,b = dm.show_batch(2), dm.show_batch(2, 'test')
    assert torch.equal(state, torch.get_rng_state()) and dm.sampler.epoch==epoch
    assert [t.get_title() for t in a.axes]==[t.get_title() for t in dm.show_batch(2).axes]!=[t.get_title() for t in b.axes]

def mixed_batches(workers, epoch):
    mixing = partial(FinetuneTargetTransform(num_classes=6), rng=np.random.default_rng(0))
    dm = DownstreamDataModule(None, 'minisounds_percussion', 8, transforms=[EvalView()]*3, target_transforms=[mixing,None,None], num_workers=workers)
    loader = dm.train_dataloader(); loader.sampler.set_epoch(epoch)
    return [x.sum().item() for (x,_),_ in loader][:6]

def test_workers_draw_their_own_numbers():
    a = mixed_batches(2, 0)
    assert a==mixed_batches(2, 0) and a!=mixed_batches(2, 1)

class Draw(Dataset):
    def __init__(self): self.rng,self.torch = np.random.default_rng(0), torch.Generator()
    def __len__(self): return 8
    def __getitem__(self, i): return int(self.rng.integers(2**40)), int(torch.randint(2**40, (), generator=self.torch))
def test_no_number_twice():
    drawn = []
    for epoch in range(2):
        for rank in range(2):
            order = DistributedSamplerWrapper(RandomSampler(range(8)), rank=rank, world=2); order.set_epoch(epoch)
            for a,b in EpochLoader(Draw(), order, num_workers=2, batch_size=1): drawn += [int(a), int(b)]
    assert len(set(drawn))==len(drawn)==32

def test_reseed_finds_what_is_inside():
    class Holder: ...
    h = Holder(); h.inner = Holder(); h.inner.list = [np.random.default_rng(0), partial(print, end=np.random.default_rng(0))]; h.self = h
    assert reseed(h, np.random.default_rng(1))==2
    a,b = h.inner.list[0], h.inner.list[1].keywords['end']
    assert a.integers(2**60)!=b.integers(2**60) and reseed([np.random.default_rng(0)]*3, np.random.default_rng(1))==1
    assert isinstance(np.random.Generator(np.random.MT19937(0)), np.random.Generator) and reseed(np.random.Generator(np.random.MT19937(0)), np.random.default_rng(1))==1

# --- samplers

@pytest.mark.parametrize('n', [1,2,7,8,100])
@pytest.mark.parametrize('world', [1,2,3,8])
def test_parts_of_an_order(n, world):
    parts = [list(DistributedSamplerWrapper(RandomSampler(range(n)), seed=5, rank=r, world=world)) for r in range(world)]
    counts = Counter(i for p in parts for i in p)
    assert {len(p) for p in parts}=={-(-n//world)} and set(counts)==set(range(n)) and sum(counts.values())-n<world
    alone = list(DistributedSamplerWrapper(RandomSampler(range(n)), seed=5, rank=0, world=1))
    assert [i for row in zip(*parts) for i in row][:n]==alone

def test_a_plain_sampler_is_dealt_out_too():
    assert [list(DistributedSamplerWrapper([3,1,2], rank=r, world=2)) for r in range(2)]==[[3,2],[1,3]]

def test_balanced_weights():
    y = np.random.default_rng(0).random((200,5))<[.9,.5,.2,.05,.02]
    labels = [tuple(np.flatnonzero(r)) for r in y]
    want = (y*1000/(y.sum(0)+.01)).sum(1)
    assert np.allclose(balanced_weights(labels, 5), want) and balanced_weights(labels, 7).shape==(200,)
    with pytest.raises(ValueError, match='label 4: 0 to 3'): balanced_weights(labels, 4)
    with pytest.raises(ValueError, match='no item has a label'): balanced_weights([(),()], 4)

@pytest.mark.parametrize('name', ['minisounds_family_unseen', 'minisounds_tags'])
def test_balanced_on_bundled_sounds(name):
    dm = DownstreamDataModule(None, name, 16, sampler='balanced'); labels = item_labels(dm.dataset_train)
    assert len(labels)==len(dm.dataset_train) and all((set(torch.nonzero(y).flatten().tolist()) if torch.is_tensor(y) else {y})==set(l) for l,(_,y) in zip(labels, dm.dataset_train))
    assert sum(len(y) for _,y in dm.train_dataloader())==len(labels)

def test_balanced_module(tmp_path):
    dm = DownstreamDataModule(write_standin('audioset', tmp_path/'a'), 'audioset', 4, return_key=True, sampler='balanced')
    drawn = Counter(k for _ in range(60) for *_,ks in dm.train_dataloader() for k in ks)
    ds = dm.dataset_train
    w = balanced_weights([e.labels for e in ds.entries], 527).numpy(); n = sum(drawn.values())
    for e,p in zip(ds.entries, w/w.sum()): assert abs(drawn[e.key]-n*p)<4*(n*p)**.5+3, e.key

@pytest.mark.parametrize('sizes,batch', [((10_000,1420),(128,128)), ((7,5),(3,2)), ((3,50),(4,1)), ((20,6,9),(2,3,1))])
def test_composite(sizes, batch):
    starts = np.cumsum([0, *sizes])
    groups = [range(a, b) for a,b in zip(starts, starts[1:])]
    order = CompositeSampler(groups, batch, seed=3)
    assert len(order)==sizes[1]//batch[1]*sum(batch)
    walks = [[] for _ in groups]
    for epoch in range(7):
        flat = list(order)
        assert len(flat)==len(order)
        for at in range(0, len(flat), sum(batch)):
            b = flat[at:at+sum(batch)]
            for k,(n,g) in enumerate(zip(batch, groups)):
                part,b = b[:n],b[n:]
                assert all(i in g for i in part); walks[k] += part
    for w,g in zip(walks, groups):                                                          # each clip once before any comes again
        for a in range(0, len(w)-len(g)+1, len(g)): assert sorted(w[a:a+len(g)])==list(g)
        if len(w)>=2*len(g)>6: assert w[:len(g)]!=w[len(g):2*len(g)]
    order.set_epoch(2); late = list(order)
    again = CompositeSampler(groups, batch, seed=3); again.set_epoch(2)
    assert late==list(again) and late[:sum(batch)]==again.batch(2*again.batches)

def test_composite_faults():
    with pytest.raises(ValueError, match='2 groups and 1 batch sizes'): CompositeSampler([[1],[2]], [1])
    with pytest.raises(ValueError, match='group 1 is empty'): CompositeSampler([[1],[]], [1,1])

def test_frame_module(tmp_path):
    root = write_standin('desed', tmp_path/'d')
    dm = FrameDataModule(root, batch_size=2, transforms=[EvalView(10)]*3, net_pooling=16)
    (x,n),y,weak,kind,seconds,frame_s,keys = batch = next(iter(dm.train_dataloader()))
    assert x.shape==(4,1,64,1001) and n.tolist()==[1001]*4 and y.shape==(4,10,62) and frame_s==.16 and [KINDS[k] for k in kind]==['strong']*2+['weak']*2
    assert dm.batch_sizes==(2,2) and batch.key is keys and seconds.shape==(4,)
    dm = FrameDataModule(write_standin('as_strong', tmp_path/'s'), 'as_strong', batch_size=4)
    assert [len(b.key) for b in dm.train_dataloader()]==[4]*(len(dm.dataset_train)//4) and dm.num_labels==len(dm.dataset_train.classes)   # the last, incomplete one is dropped
    with pytest.raises(ValueError, match="of kind 'clip'"): FrameDataModule(None, 'minisounds')
    with pytest.raises(ValueError, match='of 2 kinds'): FrameDataModule(root, batch_sizes=(1,2,3))

def test_collate_faults_and_keys():
    (x,n),y,keys = collate_padded([((torch.ones(1,2,3),2), torch.tensor([1.,0.]), 'a'), (torch.ones(1,2,4), torch.tensor([0.,1.]), 'b')])
    assert x.shape==(2,1,2,4) and n.tolist()==[2,4] and y.tolist()==[[1,0],[0,1]] and keys==['a','b']

if __name__=='__main__': main(sys.argv[1])
