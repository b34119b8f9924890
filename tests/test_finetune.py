"""Fine-tuning and distillation against the reference's numbers and names, and what a run does when it is stopped, asked for the impossible, or given bad numbers.
Sizes and seeds come from the golden files (AUDIOSSL_GOLDEN=FOLDER: of another set)."""
import json, logging, os, re, sys
from pathlib import Path
import numpy as np, pytest, torch
from support import waved
from audiossl.downstream.finetune import (ClipFeatures, Classifier, FineTuner, TrainTarget, TrainView, fit_classifier, label_loss, predict_split, rate_groups, restart)
from audiossl.downstream.distill import C2F, Distiller, distill_loss, load_classifier, save_classifier
from audiossl.lightning.datamodules import DownstreamDataModule
from audiossl.models.clip import ClipEncoder, clip_encoder
from audiossl.models.frame import FrameEncoder, frame_encoder
from audiossl.transforms.views import EvalView
logging.getLogger('pytorch_lightning').setLevel(logging.ERROR)

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))
sys.path.insert(0, str(HERE))
from golden_inputs import fill, spec
J8,Z8 = json.loads((GOLDEN/'08_downstream.json').read_text()), np.load(GOLDEN/'08_downstream.npz')
E8 = {k:e for k,e in J8['entries'].items() if k.startswith('encoder.')}

def fresh(make=frame_encoder, C=6, seed=0, **kw):
    with torch.random.fork_rng(): torch.manual_seed(seed); return Classifier(ClipFeatures(make('tiny', **kw)), C)

def drums(batch=16, fold=1, roll=False, **kw):
    return DownstreamDataModule(None, 'minisounds_percussion', batch, [TrainView(roll=roll), EvalView(), EvalView()], [TrainTarget(6, **kw) if kw else None, None, None], fold=fold)

def ripple(B, T, o=0.):
    m = torch.arange(B*64*T, dtype=torch.float64)
    return torch.sin(.013*m+.5*torch.cos(.0007*m)+o).float().view(B, 1, 64, T)


# --- features

@pytest.mark.parametrize('key', E8)
def test_features_of_the_reference(key):
    e = E8[key]; method = key.split('.')[1]
    meta = json.loads((GOLDEN/f'{dict(clip="03_clip", frame="04_frame")[method]}.json').read_text())
    enc = (ClipEncoder if method=='clip' else FrameEncoder)(**meta['models']['A']['kwargs']).eval()
    enc.load_state_dict({k: torch.from_numpy(np.asarray(fill(k, v.shape, meta['weights_seed']))) for k,v in enc.state_dict().items()})
    x = torch.from_numpy(spec(*map(int, re.findall(r'\d+', e['x']))))
    f = ClipFeatures(enc, int(key[-1]), e['chunk_len'], parity=True)
    with torch.no_grad(): y = f(x, torch.tensor(e['length']))
    assert f.width==e['embed_dim'] and np.abs(y.numpy()-Z8[key]).max()<2e-5

@pytest.mark.parametrize('make,chunk,T,want', [(clip_encoder, 601, 1201, (-7.82227, [(-1.172839,-.958463), (-1.172778,-1.016887), (-1.172614,-1.272577)])),
    (frame_encoder, 1001, 1201, (-5.31369, [(-1.387134,), (-1.394798,), (-1.385663,)])), (frame_encoder, 1001, 1521, (-5.31500, [(-1.440692,), (-1.437446,), (-1.441464,)]))])
def test_long_clips_as_the_reference(make, chunk, T, want):
    f = ClipFeatures(waved(make('small')), 1, chunk, parity=True)
    with torch.no_grad(): y = f(ripple(3, T), torch.tensor([T, 1001, 401]))
    assert abs(float(y.sum())-want[0])<2e-3
    for row,vals in zip(y, want[1]): assert [float(row[i*384]) for i in range(len(vals))]==pytest.approx(vals, abs=2e-5)

def test_features_do_not_depend_on_the_batch():
    for make in (clip_encoder, frame_encoder):
        f = ClipFeatures(fresh(make).encoder.encoder.eval(), 2, 601); x = ripple(3, 1201); n = torch.tensor([1201, 700, 90])
        with torch.no_grad():
            y = f(x, n)
            for i in range(3): assert torch.allclose(f(x[i:i+1,...,:n[i]])[0], y[i], atol=1e-5)

# --- names, rates, losses

@pytest.mark.parametrize('make,n,groups', [(clip_encoder, 144, 141), (frame_encoder, 143, 140)])
def test_names_are_the_references(make, n, groups):
    m = FineTuner(Classifier(ClipFeatures(make('small')), 10))
    state = list(m.state_dict())
    assert len(state)==n and state[-5:]==['head.norm.running_mean','head.norm.running_var','head.norm.num_batches_tracked','head.linear.weight','head.linear.bias']
    assert all(k.startswith('encoder.encoder.') for k in state[:-5])
    assert sum(len(g['params']) for g in m.configure_optimizers().param_groups)==groups

@pytest.mark.parametrize('key', [k for k,v in J8['layer_wise_lr'].items() if isinstance(v, dict)])
def test_rate_of_every_weight(key):
    rows = J8['layer_wise_lr'][key]['rows']; make = clip_encoder if 'clip' in key else frame_encoder
    depth = 1+max(int(m[1]) for k in rows if (m := re.search(r'blocks\.(\d+)', k)))
    m = Classifier(ClipFeatures(make('tiny', depth=depth)), 3); name = {id(p):k for k,p in m.named_parameters()}
    got = {name[id(p)]: g['lr_scale'] for g in rate_groups(m, depth, float(re.match(r'\w+?_([\d.]+)', key)[1]), 'freeze_embed' in key) for p in g['params']}
    assert got.keys()==rows.keys() and all(got[k]==pytest.approx(v, rel=1e-6, abs=0) for k,v in rows.items())

def test_rates_by_step():
    "the table of the reference, times the layer's share, is what the optimiser sees"
    seen, dm = [], drums()
    class Look(FineTuner):
        def optimizer_step(self, epoch, batch_idx, optimizer, closure=None):
            super().optimizer_step(epoch, batch_idx, optimizer, closure); seen.append([g['lr'] for g in optimizer.param_groups])
    steps = len(dm.dataset_train)//16+1
    m = Look(fresh(), lr=.01, epochs=3, steps=steps, warmup_epochs=1)
    import tempfile
    with tempfile.TemporaryDirectory() as d: fit_classifier(m, dm, d)
    seen = np.array(seen); scale = [g['lr_scale'] for g in m.configure_optimizers().param_groups]
    n = len(seen); assert n==3*len(dm.train_dataloader())
    i = np.arange(n); K = 2*steps
    want = np.where(i<steps, .01*i/(steps-1), 1e-6+.5*(.01-1e-6)*(1+np.cos(np.pi*(i-steps)/K)))
    assert np.allclose(seen, want[:,None]*np.array(scale), rtol=1e-9) and seen[0,-1]==0

def test_losses():
    l = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)); y = torch.tensor([0,2,1,1])
    one = torch.nn.functional.one_hot(y).float()
    assert torch.allclose(label_loss(l, y), -(l.log_softmax(1)*one).sum(1).mean())
    bce = -(one*l.sigmoid().log()+(1-one)*(1-l.sigmoid()).log()).mean()
    assert torch.allclose(label_loss(l, y, True), bce) and torch.allclose(label_loss(l, one, True), bce) and torch.equal(label_loss(l, one), label_loss(l, y))

def test_gradients_are_cut():
    norms = []
    class Look(FineTuner):
        def configure_gradient_clipping(self, *a, **k):
            super().configure_gradient_clipping(*a, **k); norms.append(float(torch.cat([p.grad.flatten() for p in self.parameters() if p.grad is not None]).norm()))
    import tempfile
    for clip in (.01, 0.):
        norms.clear()
        with tempfile.TemporaryDirectory() as d: fit_classifier(Look(fresh(), lr=.01, epochs=1, steps=9, warmup_epochs=0, clip_grad=clip), drums(), d)
        assert (max(norms)<=.01001) == bool(clip)

# --- augmentation

def epoch(dm, k, seed=0): restart(dm.dataset_train, seed, k); return [dm.dataset_train[i] for i in range(4)]

@pytest.mark.parametrize('kw', [dict(), dict(spec_augment=True), dict(mixup_ratio=0.), dict(resize_crop=False)])
def test_an_epoch_can_be_repeated(kw):
    dm = drums(roll=True, **{'alpha': 10., **kw})
    a,b,c,d = epoch(dm, 0), epoch(dm, 0), epoch(dm, 1), epoch(dm, 0, seed=1)
    same = lambda p, q: all(torch.equal(x[0][0], y[0][0]) and torch.equal(torch.as_tensor(x[1]), torch.as_tensor(y[1])) for x,y in zip(p, q))
    assert same(a, b) and not same(a, c) and not same(a, d)
    y = a[3][1]
    assert isinstance(y, int) if kw.get('mixup_ratio')==0 else y.shape==(6,) and float(y.sum())==pytest.approx(1)

def test_mixing_knows_the_number_of_classes():
    from audiossl.transforms.label_mix import one_hot
    t = TrainTarget(1251, alpha=10.)
    for label in (3, 1250): x,y = t(torch.zeros(1, 64, 40), label)
    assert y.shape==(1251,) and y[3]>0 and y[1250]>0
    with pytest.raises(ValueError, match='num_classes=1251'): t(torch.zeros(1, 64, 40), 1251)

# --- runs

def test_a_killed_run_ends_the_same(tmp_path):
    class Killed(Exception): pass
    def die(row):
        if row['epoch']==1 and row['step']>row['steps']//3+2: raise Killed
    def go(folder, **kw):
        dm = drums(alpha=10.)
        m = FineTuner(fresh(), mixed=True, lr=.02, epochs=3, steps=len(dm.dataset_train)//16+1, warmup_epochs=1)
        return m, fit_classifier(m, dm, folder, select='best', **kw)
    whole,curve = go(tmp_path/'a')
    with pytest.raises(Killed): go(tmp_path/'b', show=die)
    assert (tmp_path/'b/last.ckpt').exists()
    again,resumed = go(tmp_path/'b')
    assert resumed==curve and len(curve)==3
    for k,v in whole.state_dict().items(): assert torch.equal(v, again.state_dict()[k]), k
    best = max(curve, key=lambda o: o['val_ACC'])
    y = predict_split(whole, drums().val_dataloader())
    assert (y[0].argmax(1)==y[1]).mean()==pytest.approx(best['val_ACC'], abs=1e-6)

def test_tags_and_a_last_batch_of_one(tmp_path):
    dm = DownstreamDataModule(None, 'minisounds_tags', 32, [EvalView()]*3)
    n = len(dm.dataset_train); dm.dataset_train.index = dm.dataset_train.index[:33]; dm.sampler.sampler = torch.utils.data.RandomSampler(dm.dataset_train)
    m = FineTuner(fresh(C=26), True, lr=.01, epochs=1, steps=2, warmup_epochs=0)
    curve = fit_classifier(m, dm, tmp_path)
    assert n>33 and 0<curve[0]['val_mAP']<1 and m.metric=='mAP' and m.soft

def test_a_loss_that_is_no_number_stops(tmp_path):
    m = FineTuner(fresh(), lr=1., epochs=1, steps=9, warmup_epochs=0)
    with torch.no_grad(): m.head.linear.bias[0] = float('nan')
    with pytest.raises(FloatingPointError, match='step 0: the loss is nan; lower the learning rate'): fit_classifier(m, drums(), tmp_path)

@pytest.mark.parametrize('kw,said', [(dict(epochs=0), 'epochs=0'), (dict(epochs=2, warmup_epochs=3), 'warmup_epochs=3: at least 1, and 0 to epochs'), (dict(layer_decay=2.), 'decay=2.0: above 0')])
def test_impossible_settings(kw, said):
    with pytest.raises(ValueError, match=said): FineTuner(fresh(), **kw).configure_optimizers()
    with pytest.raises(ValueError, match='n_blocks=9: 1 to 4'): ClipFeatures(frame_encoder('tiny'), 9)
    with pytest.raises(ValueError, match="select='first'"): fit_classifier(None, None, None, select='first')

# --- distillation

def test_a_loaded_encoder_is_trained_in_training_mode(tmp_path):
    "what `load_model` gives is in evaluation mode; drop path and batch statistics must be on all the same, and off in validation"
    seen = []
    class Look(FineTuner):
        def losses(self, x, length, y): seen.append((self.encoder.encoder.training, self.head.training)); return super().losses(x, length, y)
    m = Look(fresh().eval(), lr=.01, epochs=2, steps=9, warmup_epochs=0); dm = drums()
    fit_classifier(m, dm, tmp_path)
    a,b = len(dm.train_dataloader()), len(dm.val_dataloader())
    assert seen==([(True,True)]*a+[(False,False)]*b)*2 and not m.training

def c2f(seed=0, **kw): return C2F(fresh(clip_encoder, seed=seed), fresh(seed=seed+1), **kw)

def test_names_and_groups_of_a_distillation():
    m = Distiller(C2F(Classifier(ClipFeatures(clip_encoder('small')), 10), Classifier(ClipFeatures(frame_encoder('small')), 10)))
    state = list(m.state_dict())
    assert len(state)==287 and {re.match(r'model\.(teacher\.(?:encoder|head)|student|linear)\.', k)[1] for k in state}=={'teacher.encoder','teacher.head','student','linear'}
    assert sum(len(g['params']) for g in m.configure_optimizers().param_groups)==140
    p = Distiller(c2f(project=True, hidden=32)); more = set(p.state_dict())-{k for k in Distiller(c2f()).state_dict()}
    assert {k.split('.')[1] for k in more}=={'projector','project_linear'}
    names = {id(q):k for k,q in p.named_parameters()}
    scale = {names[id(q)]: g['lr_scale'] for g in p.configure_optimizers().param_groups for q in g['params']}
    assert scale['model.projector.0.weight']==scale['model.linear.linear.weight']==1 and scale['model.student.blocks.0.norm1.weight']==.75**4

@pytest.mark.parametrize('parity', [False, True])
def test_the_teacher_stays_as_it_is(tmp_path, parity):
    m = c2f(teacher_train=parity); before = {k:v.clone() for k,v in m.teacher.state_dict().items()}; student = {k:v.clone() for k,v in m.student.state_dict().items()}
    fit_classifier(Distiller(m, lr=.01, epochs=1, steps=9, warmup_epochs=0), drums(), tmp_path)
    changed = {k for k,v in m.teacher.state_dict().items() if not torch.equal(v, before[k])}
    assert changed==({'head.norm.running_mean','head.norm.running_var','head.norm.num_batches_tracked'} if parity else set())
    assert any(not torch.equal(v, student[k]) for k,v in m.student.state_dict().items())

@pytest.mark.parametrize('soft', [False, True])
def test_both_losses(soft):
    x,y = ripple(4, 60), torch.tensor([0,5,2,2]); m = c2f().eval()
    with torch.no_grad():
        own,_,told = m(x)
        d = torch.nn.functional.binary_cross_entropy_with_logits(own, told.sigmoid()) if soft else -(told.softmax(1)*own.log_softmax(1)).sum(1).mean()
        for share in (0., .3, 1.): assert torch.allclose(Distiller(m, mixed=soft, lambda_d=share).losses(x, None, y)[1]['loss'], share*d+(1-share)*label_loss(own, y, soft))
    assert torch.allclose(distill_loss(own, told, soft), d)
    with pytest.raises(ValueError, match='lambda_d=1.5: 0 to 1'): Distiller(m, lambda_d=1.5)

def test_a_projector_takes_the_distillation():
    "with lambda 1, the tested head gets no gradient; the branch does"
    m = Distiller(c2f(project=True, hidden=32), lambda_d=1.).train()
    m.losses(ripple(4, 60), None, torch.tensor([0,5,2,2]))[1]['loss'].backward()
    assert not float(m.model.linear.linear.weight.grad.abs().sum()) and float(m.model.project_linear.linear.weight.grad.abs().sum())>0 and float(m.model.student.pos_embed.grad.abs().sum())>0

def test_wrong_teachers():
    with pytest.raises(ValueError, match='teacher: a FrameEncoder; ATST-C2F has a clip teacher'): C2F(fresh(), fresh())
    with pytest.raises(ValueError, match='student: a ClipEncoder'): C2F(fresh(clip_encoder), fresh(clip_encoder))
    with pytest.raises(ValueError, match='its head has 5 classes, the student 6'): C2F(fresh(clip_encoder, 5), fresh())

# --- classifiers on disk

def test_a_classifier_is_kept(tmp_path):
    m = fresh(clip_encoder).eval(); x = ripple(3, 300)
    save_classifier(m, tmp_path/'c', tuple('abcdef'), about=dict(data='x'))
    k = load_classifier(tmp_path/'c', 6)
    with torch.no_grad(): assert torch.equal(k(x), m(x))
    assert k.classes==tuple('abcdef') and k.multi_label is False and not list((tmp_path/'c').glob('.*'))
    from audiossl import load_model
    assert isinstance(load_model(tmp_path/'c/encoder'), ClipEncoder)
    with pytest.raises(ValueError, match='2 names, the head has 6'): save_classifier(m, tmp_path/'d', ('a','b'))

@pytest.mark.parametrize('make,said', [
    (lambda d: d/'none', 'no such file or folder'), (lambda d: (d/'empty').mkdir() or d/'empty', 'holds no head'), (lambda d: d/'c/encoder', 'holds no head'),
    (lambda d: d/'c/encoder/model.safetensors', 'holds no head'), (lambda d: (d/'x.ckpt').write_text('<html>') and d/'x.ckpt', 'not a checkpoint'),
    (lambda d: torch.save(dict(state_dict={f'encoder.encoder.{k}':v for k,v in fresh(clip_encoder).encoder.encoder.state_dict().items()}), d/'e.ckpt') or d/'e.ckpt', 'holds no head')])
def test_what_is_no_classifier(tmp_path, make, said):
    save_classifier(fresh(clip_encoder), tmp_path/'c')
    with pytest.raises(ValueError, match=said) as e: load_classifier(make(tmp_path))
    assert '\n' not in str(e.value)

def test_classifiers_that_do_not_fit(tmp_path):
    save_classifier(fresh(clip_encoder), tmp_path/'c')
    with pytest.raises(ValueError, match='its head has 6 classes, the task 50; take'): load_classifier(tmp_path/'c', 50)
    save_classifier(fresh(), tmp_path/'f')
    (tmp_path/'c/head.safetensors').write_bytes((tmp_path/'f/head.safetensors').read_bytes())
    with pytest.raises(ValueError, match='takes vectors of 128 numbers, its encoder gives 256'): load_classifier(tmp_path/'c')
