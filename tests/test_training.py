"""Runs of a few steps, of both methods: what must not change the losses (fused attention, workers, memory saving, compiling), what may by a
little (16-bit floats), and what must not happen when a step is left out.
"""
import math, shutil
from functools import partialmethod
import numpy as np, pytest, torch, pytorch_lightning as pl
from pytorch_lightning.plugins.precision import MixedPrecision
from audiossl.datasets.batches import SceneBatches
from audiossl.lightning.datamodules import PretrainDataModule
from audiossl.methods.atst.model import ATSTLightningModule
from audiossl.methods.atstframe.model import FrameATSTLightningModule
from audiossl.methods.schedule import AtomicCheckpointIO, at
from audiossl.methods.teacher import heldout_loss
from audiossl.models.transformer import Attention
from audiossl.transforms.views import ClipViews, FrameViews

METHODS = dict(clip=(ATSTLightningModule, ClipViews((1.,1.), (.6,.8))), frame=(FrameATSTLightningModule, FrameViews(anchor_len=1.)))
pytestmark = [pytest.mark.parametrize('method', METHODS), pytest.mark.filterwarnings('ignore')]

def data(method, steps):
    rng = np.random.default_rng(5)
    pool = [np.sin(np.arange(n)*rng.uniform(.05, 1.)).astype(np.float32)*.3 for n in rng.integers(4000, 9000, 6)]
    return SceneBatches(pool, seed=3, total_steps=steps, batch_size=4, scene_seconds=1., speed=(.8,1.25), noise_db=(-60.,-50.), views=METHODS[method][1])

def make(method, steps=20, **kw):
    torch.manual_seed(1)                # with seed 0 an input of a ReLU comes within 1e-6 of 0 at step 5: its gradient then hangs on rounding
    small = dict(embed_dim=32, depth=3, num_heads=2, hidden=64, spec_w=101)
    return METHODS[method][0]('tiny', **{**small, **dict(learning_rate=2e-3, warmup_steps=3, max_steps=steps, ema=.9), **kw})

class Log(pl.Callback):
    def __init__(self): self.rows,self.weights = [],[]
    def on_train_batch_end(self, trainer, module, *args):
        self.rows.append({k:v.item() for k,v in trainer.callback_metrics.items()})
        self.weights.append({n:p.detach().clone() for n,p in module.named_parameters()})
    def __getitem__(self, k): return np.array([r[k] for r in self.rows])

def fit(module, batches, steps=20, workers=0, resume=None, **kw):
    log = Log()
    trainer = pl.Trainer(max_steps=steps, max_epochs=-1, accelerator='cpu', devices=1, logger=False, callbacks=[log], enable_progress_bar=False,
                         enable_model_summary=False, enable_checkpointing=False, **kw)
    trainer.fit(module, PretrainDataModule(batches, workers), ckpt_path=resume)
    log.trainer = trainer
    return log

@pytest.fixture(scope='module')
def plain():
    "The run that the others are compared with, made once for each method"
    have = {}
    def get(method):
        if method not in have: module = make(method); have[method] = fit(module, data(method, 20)), module
        return have[method]
    return get

def plainly(self, x, mask=None, return_attention=False, forward=Attention.forward):
    out = forward(self, x, mask, True)
    return out if return_attention else out[0]

@pytest.mark.parametrize('what', ['plain attention', 'two workers', 'plain attention, two workers', 'grad_checkpointing'])
def test_same_losses(method, what, plain, monkeypatch):
    "20 losses, with dropped paths, to 1e-5; without a change of arithmetic to the last bit"
    want = plain(method)[0]['loss']
    assert len(set(want))==20 and np.isfinite(want).all()
    if 'plain attention' in what: monkeypatch.setattr(Attention, 'forward', plainly)
    module = make(method, grad_checkpointing=what=='grad_checkpointing')
    if what=='grad_checkpointing': assert 'grad_checkpointing' in {k for c in type(module.model.student.encoder).__mro__ for k in vars(c)}    # known there
    got = fit(module, data(method, 20), workers=2 if 'workers' in what else 0)['loss']
    if what=='two workers': assert (got==want).all()
    else: np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)

@pytest.mark.parametrize('backend', ['aot_eager', pytest.param('inductor', marks=[pytest.mark.slow, pytest.mark.skipif(not shutil.which('g++'), reason='no compiler')])])
def test_compiled(method, backend, tmp_path, monkeypatch):
    "The same losses and the same names; drop path off, as compiled code draws other random numbers"
    monkeypatch.setattr(torch.nn.Module, 'compile', partialmethod(torch.nn.Module.compile, backend=backend))
    kw,batches = dict(drop_path_rate=0.), data(method, 4)
    want,module = fit(make(method, 4, **kw), batches, 4), make(method, 4, compile=True, **kw)
    got = fit(module, batches, 4)
    assert module.model.student.encoder._compiled_call_impl is not None
    np.testing.assert_allclose(got['loss'], want['loss'], rtol=0, atol=1e-5)
    assert list(module.state_dict())==list(make(method, **kw).state_dict())
    got.trainer.save_checkpoint(tmp_path/'c.ckpt')
    type(module).load_from_checkpoint(tmp_path/'c.ckpt', weights_only=True)

def test_bf16(method, plain):
    "The same run within the rounding of 16 bits; weights, teacher and losses stay in 32"
    want,module = plain(method)[0], make(method)
    got = fit(module, data(method, 20), precision='bf16-mixed')
    np.testing.assert_allclose(got['loss'][:4], want['loss'][:4], rtol=0, atol=.05)
    assert got['loss'][-5:].mean()<got['loss'][:3].mean()-.2 and want['loss'][-5:].mean()<want['loss'][:3].mean()-.2     # it learns as well
    assert not (got['loss']==want['loss']).any()
    assert (got['lr']==want['lr']).all() and (got['ema']==want['ema']).all()
    assert {p.dtype for p in module.parameters()}=={torch.float32}
    for m in (module, module.model): assert math.isfinite(heldout_loss(m, [data(method, 1)[0]]).loss)

@pytest.mark.parametrize('optimizer', ['atst','torch'])
def test_fp16_step_left_out(method, optimizer, tmp_path):
    "Gradients that overflow: nothing moves, no count of the optimiser advances, the schedules go on with the steps; and it resumes exactly"
    half = lambda scale: MixedPrecision('16-mixed', 'cpu', torch.amp.GradScaler('cpu', init_scale=scale, backoff_factor=2.**-12, growth_interval=3))
    batches,kw = data(method, 8), dict(steps=8, optimizer=optimizer, warmup_steps=0)
    start = {n:p.detach().clone() for n,p in make(method, **kw).named_parameters()}
    module = make(method, **kw)
    log = fit(module, batches, 8, plugins=[half(2.**60)])
    moved = [any(not torch.equal(w[n], start[n]) for n in start) for w in log.weights]
    left = moved.index(True)
    assert 1<=left<=6, left
    made = sum(any(not torch.equal(b[n], a[n]) for n in a) for a,b in zip([start]+log.weights, log.weights))
    assert {int(s['step']) for s in log.trainer.optimizers[0].state.values()}=={made}
    for k,table,shift in (('lr',module.lr_table,0), ('wd',module.wd_table,0), ('ema',module.ema_table,1)):
        np.testing.assert_allclose(log[k], [at(table, i+shift) for i in range(8)], rtol=1e-6)
    before,after,m = log.weights[left-1],log.weights[left],at(module.ema_table, left+1)
    for n in start:                                         # the first step that was made: the teacher follows by this step's momentum
        if n.startswith('model.teacher'): torch.testing.assert_close(after[n], m*before[n]+(1-m)*after[n.replace('teacher', 'student')], rtol=0, atol=1e-6)

    a = make(method, **kw); first = fit(a, batches, 2, plugins=[half(2.**60), AtomicCheckpointIO()])
    first.trainer.save_checkpoint(tmp_path/'a.ckpt')
    torch.manual_seed(99)
    b = make(method, **kw); second = fit(b, batches, 8, plugins=[half(7.), AtomicCheckpointIO()], resume=tmp_path/'a.ckpt')
    assert (np.concatenate([first['loss'], second['loss']])==log['loss']).all()
    assert all(torch.equal(v, module.state_dict()[k]) for k,v in b.state_dict().items())

def test_past_the_end(method):
    "More steps than the tables have entries: the last values hold"
    module = make(method, 3, warmup_steps=1)
    log = fit(module, data(method, 5), 5)
    assert log['lr'][3]==log['lr'][4]==np.float32(module.lr_table[-1]) and log['ema'][4]==np.float32(module.ema_table[-1])

def test_labels_are_left_aside(method):
    "Batches with labels, as the reference's data module gives them"
    batches = data(method, 3)
    want,got = fit(make(method, 3), batches, 3), fit(make(method, 3), [(list(batches[i]), torch.zeros(4)) for i in range(3)], 3)
    assert (got['loss']==want['loss']).all()
    m = make(method)
    assert heldout_loss(m, [batches[0]])==heldout_loss(m, [(list(batches[0]), torch.zeros(4))])
