"""Two processes, each with its part of a batch, do what one process does with the whole of it: batch norm, loss, weights after some steps.

The processes compute on the CPU and meet through gloo. This file is also the program that trains, `python test_distributed.py FOLDER`, so that
Lightning starts its processes from a clean one.
"""
import json, os, subprocess, sys
from pathlib import Path
import numpy as np, pytest, torch, torch.distributed as dist, torch.multiprocessing as mp
from torch import nn

STEPS = 5

# --- batch norm

def layer(cls, momentum=.1, affine=True):
    norm = cls(7, momentum=momentum, affine=affine)
    if affine:
        with torch.no_grad(): norm.weight.copy_(torch.linspace(.5, 2, 7)); norm.bias.copy_(torch.linspace(-1, 1, 7))
    return norm

def rows(steps=3):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(steps, 40, 7, generator=g)*torch.logspace(-2, 2, 7) + torch.arange(40)[:,None]*.3 + 5
    return x, torch.randn(steps, 40, 7, generator=g)

def passes(norm, x, pull):
    "Some training steps: outputs, gradients of rows and parameters, and what is kept; then one in evaluation"
    out = dict(y=[], grad=[])
    for a,p in zip(x, pull):
        a = a.clone().requires_grad_()
        y = norm(a)
        (y*p).sum().backward()
        out['y'].append(y.detach()); out['grad'].append(a.grad)
    res = {k:torch.stack(v) for k,v in out.items()} | {k:v.clone() for k,v in norm.state_dict().items() if 'running' in k or 'num' in k}
    res |= {f'grad of {k}':v.grad for k,v in norm.named_parameters()}
    res['evaluated'] = norm.eval()(x[0])
    return res

CASES = [dict(cut=20), dict(cut=7), dict(cut=39), dict(cut=13, momentum=None), dict(cut=13, affine=False)]

def norm_process(rank, folder):
    from audiossl.models.heads import SharedBatchNorm1d
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    x,pull = rows()
    res = []
    for c in CASES:
        part = slice(None, c['cut']) if rank==0 else slice(c['cut'], None)
        res.append(passes(layer(SharedBatchNorm1d, c.get('momentum', .1), c.get('affine', True)), x[:,part], pull[:,part]))
    torch.save(res, f'{folder}/{rank}.pt')
    dist.destroy_process_group()

def test_batch_norm_over_processes(tmp_path):
    mp.spawn(norm_process, (str(tmp_path),), nprocs=2)
    a,b = (torch.load(tmp_path/f'{r}.pt', weights_only=True) for r in range(2))
    for c,p,q in zip(CASES, a, b):
        want = passes(layer(nn.BatchNorm1d, c.get('momentum', .1), c.get('affine', True)), *rows())
        assert set(p)==set(q)==set(want)
        near = lambda got, key: torch.testing.assert_close(got, want[key], rtol=1e-6, atol=2e-6, msg=lambda m: f'{c} {key}: {m}')
        for k in want:
            if k in ('y','grad'): near(torch.cat([p[k], q[k]], 1), k)
            elif k.startswith('grad of'): torch.testing.assert_close(p[k]+q[k], want[k], rtol=1e-5, atol=1e-4)
            elif k=='evaluated': near(torch.cat([p[k], q[k]]), k)
            else: near(p[k], k); assert torch.equal(p[k], q[k]), f'{c} {k}'

def test_batch_norm_alone():
    "In one process it is the plain one, to the last bit, and so are its names; a group of one changes nothing"
    from audiossl.models.heads import SharedBatchNorm1d, projection_mlp
    want,got = (passes(layer(cls), *rows()) for cls in (nn.BatchNorm1d, SharedBatchNorm1d))
    for k in want: assert torch.equal(got[k], want[k]), k
    assert isinstance(projection_mlp(4, 8, 2)[1], SharedBatchNorm1d) and issubclass(SharedBatchNorm1d, nn.BatchNorm1d)
    assert list(SharedBatchNorm1d(3).state_dict())==list(nn.BatchNorm1d(3).state_dict())

# --- training through Lightning

def part(method, step):
    "Item `step` of the data: a small batch, fixed views; frames: masks that leave every item another number of rows"
    g = torch.Generator().manual_seed(step)
    views = [torch.randn(3, 1, 64, 81, generator=g) for _ in range(2)]
    lengths = torch.tensor([81,60,81-4*(step%3)])
    if method=='clip': return views, [lengths, lengths.flip(0)]
    mask = torch.rand(3, 20, generator=g) < (.3 if step%2 else .7)
    return views, [lengths]*2, [mask]*2

class Parts(torch.utils.data.Dataset):
    "`join`: pairs of items as one, what two processes see together"
    def __init__(self, method, join): self.method,self.join = method,join
    def __len__(self): return STEPS if self.join else 2*STEPS
    def __getitem__(self, i):
        if not self.join: return part(self.method, i)
        return tuple([torch.cat(xs) for xs in zip(*lists)] for lists in zip(part(self.method, 2*i), part(self.method, 2*i+1)))

def make(method, **kw):
    from audiossl.methods.atst.model import ATSTLightningModule
    from audiossl.methods.atstframe.model import FrameATSTLightningModule
    torch.manual_seed(0)
    cls = ATSTLightningModule if method=='clip' else FrameATSTLightningModule
    small = dict(embed_dim=16, depth=2, num_heads=2, hidden=32, spec_w=81, drop_path_rate=0.)
    return cls('tiny', **{**small, **dict(learning_rate=2e-3, warmup_steps=2, max_steps=STEPS, ema=.9), **kw})

def train(folder, method, processes, steps=STEPS, name=None, resume=None, **kw):
    import pytorch_lightning as pl
    from audiossl.lightning.datamodules import PretrainDataModule
    from audiossl.methods.schedule import AtomicCheckpointIO
    folder, name = Path(folder), name or f'{method}{processes}'
    class Diary(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            m = {k:v.item() for k,v in trainer.callback_metrics.items()}
            with open(folder/f'{name}.{trainer.global_rank}.jsonl', 'a') as f: f.write(json.dumps(dict(m, step=trainer.global_step))+'\n')
            if trainer.global_step==steps: trainer.save_checkpoint(folder/f'{name}.ckpt')       # in the processes that train: all of them
    module = make(method, **kw)
    trainer = pl.Trainer(max_steps=steps, max_epochs=-1, accelerator='cpu', devices=processes, strategy='ddp_fork' if processes>1 else 'auto', logger=False,
                         enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, callbacks=[Diary()], plugins=[AtomicCheckpointIO()])
    trainer.fit(module, PretrainDataModule(Parts(method, processes==1)), ckpt_path=resume)

def main(folder):
    import logging, warnings
    logging.getLogger('pytorch_lightning').setLevel(logging.ERROR); warnings.filterwarnings('ignore')
    torch.set_num_threads(1)
    for method in ('clip','frame'):
        for processes in (2, 1): train(folder, method, processes)
    drop = dict(drop_path_rate=.5)                          # exact resumption: each process has random numbers of its own
    train(folder, 'frame', 2, name='whole', **drop)
    train(folder, 'frame', 2, steps=3, name='first', **drop)
    train(folder, 'frame', 2, name='second', resume=folder/'first.ckpt', **drop)

@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ddp')
    env = dict(os.environ, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    r = subprocess.run([sys.executable, __file__, str(folder)], env=env, capture_output=True, text=True, timeout=600)
    assert r.returncode==0, f'{r.stdout[-1000:]}\n{r.stderr[-4000:]}'
    return folder

def diary(folder, name): return [json.loads(l) for l in (folder/f'{name}.jsonl').read_text().splitlines()]
def state(folder, name): return torch.load(folder/f'{name}.ckpt', weights_only=True)

@pytest.mark.parametrize('method', ['clip','frame'])
def test_two_processes_are_one(runs, method):
    "Losses, spreads and weights of two processes are those of one with both batches; masked frames differ in number, which the loss must weigh"
    if method=='frame': assert len({int(part('frame', i)[2][0].sum()) for i in range(2*STEPS)})>3
    a,b,one = diary(runs, f'{method}2.0'), diary(runs, f'{method}2.1'), diary(runs, f'{method}1.0')
    assert [r['step'] for r in a]==[r['step'] for r in b]==[r['step'] for r in one]==list(range(1, STEPS+1))
    for k in ('loss','std_student','std_teacher','lr','wd','ema'):
        for got in (a, b): np.testing.assert_allclose([r[k] for r in got], [r[k] for r in one], rtol=0, atol=1e-5, err_msg=k)
    assert len({round(r['loss'], 5) for r in one})==STEPS
    got,want,start = state(runs, f'{method}2')['state_dict'], state(runs, f'{method}1')['state_dict'], make(method).state_dict()
    assert list(got)==list(want)
    for k in want: torch.testing.assert_close(got[k], want[k], rtol=0, atol=2e-4 if k.endswith('.bias') and 'norm' in k else 5e-5, msg=lambda m: f'{k}: {m}')
    moved = [k for k in want if not torch.equal(want[k], start[k])]
    assert len(moved)>.9*len(want)
    if method=='clip':
        for k in ('model.student.encoder.mask_embed', 'model.teacher.encoder.mask_embed'): assert torch.equal(got[k], start[k]), k

def test_resume_with_two_processes(runs):
    "A run of two processes that stopped ends bit for bit where the one ends that did not; with dropped paths"
    whole,first,second = (diary(runs, f'{n}.0') for n in ('whole','first','second'))
    assert [r['loss'] for r in first+second]==[r['loss'] for r in whole]
    got,want = state(runs, 'second'), state(runs, 'whole')
    for k,v in want['state_dict'].items(): assert torch.equal(got['state_dict'][k], v), k
    assert len(want['rng'])==2

if __name__=='__main__': main(Path(sys.argv[1]))
