"""One training step of ATST and ATST-Frame against the numbers of the reference implementation (tests/data/golden), and the small rules it is made of.

Inputs, seeds and sizes are read from the JSON files; another set with the same layout is checked with AUDIOSSL_GOLDEN=FOLDER.
"""
import json, os, re, subprocess, sys
from pathlib import Path
import numpy as np, pytest, torch, torch.nn.functional as F
from audiossl.methods.atst.model import ATST, ATSTLightningModule
from audiossl.methods.atstframe.model import FrameATST, FrameATSTLightningModule
from audiossl.methods.schedule import ATSTAdamW, at, cosine_schedule, param_groups
from audiossl.methods.teacher import TeacherStudent, byol_loss, ema_update, output_std, pair_loss
from audiossl.models.clip import ClipEncoder, clip_encoder
from audiossl.models.frame import FrameEncoder, frame_encoder

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))
sys.path.insert(0, str(HERE))
from golden_inputs import checksum, fill, mask, spec

J5 = json.loads((GOLDEN/'05_teacher_student.json').read_text())['cases']
E2, Z2 = json.loads((GOLDEN/'02_augment.json').read_text())['entries'], np.load(GOLDEN/'02_augment.npz')
J6 = {m:{s:json.loads((GOLDEN/f'06_ckpt_{m}_{s}.json').read_text()) for s in ('small','base')} for m in ('clip','frame')}
MODULES = dict(clip=ATSTLightningModule, frame=FrameATSTLightningModule)
close = lambda a, b, tol, why='': np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=0, atol=tol, err_msg=why)

# --- 05: teacher and student

def set_up(config):
    "Model and inputs of a case"
    B,T,kw = config['B'], config['T'], dict(config['enc'], drop_path_rate=0.)
    model = ATST(lambda: ClipEncoder(**kw)) if config['method']=='clip' else FrameATST(lambda: FrameEncoder(**kw), symmetric=config['symmetric'])
    model.load_state_dict({k:torch.from_numpy(fill(k, v.shape, config['wseed'])) for k,v in model.state_dict().items()})
    views = [torch.from_numpy(spec(config['xseed']+i, B, 1, 64, t)) for i,t in enumerate(T)]
    lengths = [torch.tensor(l) for l in config['L']]
    if config['method']=='clip': return model.train(), (views, lengths)
    m = torch.from_numpy(mask(config['mseed'], B, T[0]//4, config['mratio']))
    return model.train(), (views, lengths, [m, m])

@pytest.mark.parametrize('name', J5)
@pytest.mark.parametrize('optimizer', ['atst', 'torch_eps1e-6'])
def test_step(name, optimizer):
    case = J5[name]; config = case['config']
    model,batch = set_up(config)
    loss,std_s,std_t = model(*batch)
    for got,key in ((loss,'loss'), (std_s,'std_student'), (std_t,'std_teacher')): close(got.detach(), case[key], 1e-5, key)

    loss.backward()
    grads = {n:p.grad for n,p in model.student.named_parameters()}
    assert all(p.grad is None for p in model.teacher.parameters())
    assert set(grads)==set(case['grad_norm'])
    for n,want in case['grad_norm'].items():
        if n in case['grad_noise_only']: continue
        assert (grads[n] is None)==(want is None), n
        if want is not None: np.testing.assert_allclose(grads[n].double().norm().item(), want, rtol=1e-5, atol=1e-7, err_msg=n)
    for n,want in case['grad_first8'].items():
        n = n.removeprefix('student.')
        if n not in case['grad_noise_only']: np.testing.assert_allclose(grads[n].flatten()[:8], want, rtol=1e-3, atol=1e-6, err_msg=n)
    np.testing.assert_allclose(torch.stack([g.double().norm() for g in grads.values() if g is not None]).norm().item(), case['grad_norm_total'], rtol=1e-5)

    groups,want = param_groups(model.student), case['optimizer_groups']
    assert [len(g['params']) for g in groups]==[g['n_params'] for g in want]
    kw = dict(lr=config['lr'], weight_decay=config['wd'])
    opt = ATSTAdamW(groups, **kw) if optimizer=='atst' else torch.optim.AdamW(groups, eps=1e-6, **kw)
    assert [g['weight_decay'] for g in opt.param_groups]==[g['weight_decay'] for g in want]
    if optimizer=='atst': assert [(g['eps'], list(g['betas'])) for g in opt.param_groups]==[(g['eps'], list(g['betas'])) for g in want]
    opt.step()
    model.update(config['m'])

    state,noise = model.state_dict(), {f'{b}.{n}' for n in case['grad_noise_only'] for b in ('student','teacher')}
    if optimizer=='atst':
        for k,want in case['state_after'].items():
            if k in noise: continue                             # its gradient is zero in exact arithmetic, so Adam's direction is a matter of rounding
            got = checksum(state[k].numpy())
            assert got['shape']==want['shape'], k
            for what in ('mean','std','abs_max','first'): close(got[what], want[what], 1e-5, f'{k} {what}')
    else:
        for k,want in case['torch_optim'][optimizer]['state'].items():
            if k not in noise: close(state[k].flatten()[:8], want['first'], 1e-5, k)
    with torch.no_grad(): close(model(*batch)[0], case['loss_second'] if optimizer=='atst' else case['torch_optim'][optimizer]['loss_second'], 1e-5)

# --- 02: schedules

@pytest.mark.parametrize('key', [k for k in E2 if k.startswith('sched_')])
def test_schedule(key):
    args = E2[key]['args']
    if key.startswith('sched_epoch'): base,final,epochs,n,warm = args; args = base,final,epochs*n,warm*n
    got = cosine_schedule(*args)
    assert got.dtype==np.float64 and list(got.shape)==E2[key]['shape']
    np.testing.assert_allclose(got, Z2[key], rtol=0, atol=1e-12)

def test_schedule_published():
    lr = cosine_schedule(5e-4, 1e-6, 39100, 1300)
    np.testing.assert_allclose(lr[[0,1,1299,1300,20000,39099]], [0, 3.8491147e-07, 5e-4, 5e-4, 2.54647044e-04, 1.00000086e-06], rtol=1e-7)
    assert at(lr, 39100)==lr[-1] and type(at(lr, 0)) is float
    np.testing.assert_allclose(cosine_schedule(.99, 1, 39100)[20000], .99518074, atol=1e-8)
    np.testing.assert_allclose(cosine_schedule(.04, .4, 39100)[20000], .22650674, atol=1e-8)
    epochs = cosine_schedule(1., 1e-6, 500, 50)
    np.testing.assert_allclose(epochs[[1,49,50,51,499]], [.0204081633, 1, 1, .999987815, 1.31846351e-05], rtol=1e-8)

@pytest.mark.parametrize('steps,warm', [(1,0), (1,1), (7,7), (7,0)])
def test_schedule_corners(steps, warm):
    table = cosine_schedule(1., .1, steps, warm)
    assert len(table)==steps and np.isfinite(table).all()

# --- losses, spread, optimiser, averaging: small published figures

M = torch.arange(6*256).view(6,256).double()
P,Z = (.37*M).sin().float(), (.11*M).cos().float()

def test_losses():
    close(byol_loss(Z, P), 1.98654115, 1e-6)
    close(2-2*F.cosine_similarity(Z, P).mean(), 1.98654115, 1e-6)
    close(pair_loss(Z, P), 2.01195574, 1e-6)
    close(output_std(F.normalize(P)), .04645409, 1e-6); close(output_std(Z), .06324349, 1e-6)

def test_adamw():
    def run(cls, **kw):
        p = torch.nn.Parameter(torch.tensor([1.,-2.,.5])); opt = cls([p], lr=1e-2, weight_decay=.1, **kw)
        for g in ([.1,-.2,1e-4], [.05,.1,-1e-4]): p.grad = torch.tensor(g); opt.step()
        return p.detach()
    close(run(ATSTAdamW), [.97871429,-1.98336327,.49184790], 2e-7)
    close(run(torch.optim.AdamW, eps=1e-6), [.97868949,-1.98334873,.48963052], 2e-7)

def test_adamw_skips_and_ages():
    "A parameter without gradient is not touched; one that joins late has its own count of steps"
    late,never,ref = (torch.nn.Parameter(torch.ones(4)) for _ in range(3))
    opt,opt_ref = ATSTAdamW([late, never], lr=.1, weight_decay=.1), ATSTAdamW([ref], lr=.1, weight_decay=.1)
    first = torch.nn.Parameter(torch.ones(2)); opt.add_param_group(dict(params=[first]))
    for i in range(5):
        g = torch.randn(4, generator=torch.Generator().manual_seed(i)); first.grad = torch.ones(2)
        if i>=2: late.grad = g.clone(); ref.grad = g.clone(); opt_ref.step()
        opt.step()
    assert torch.equal(never.data, torch.ones(4)) and torch.equal(late.data, ref.data)
    assert [opt.state[p]['step'] for p in (first, late)]==[5,3] and never not in opt.state

# --- the whole small model, filled by formula

def formula_fill(module):
    "Parameters and buffers from sines, in the order of their names"
    state = module.state_dict()
    for i,k in enumerate(sorted(state)):
        v = state[k]
        if not v.is_floating_point(): continue
        s = torch.sin(1 + i + .7*torch.arange(v.numel(), dtype=torch.float64))
        s = 1+.1*s if v.ndim==1 and (k.endswith('.weight') or k.endswith('.running_var')) else .05*s
        state[k] = s.float().view(v.shape)
    module.load_state_dict(state)

def formula_input(B, T, o=0.):
    m = torch.arange(B*64*T, dtype=torch.float64)
    return torch.sin(.013*m + .5*torch.cos(.0007*m) + o).float().view(B,1,64,T)

N6 = dict(clip=([.0312522, .0009999, .0010055], [.4885891, .0302914, .0257933], .9000444),
          frame=([.0799380, .0010000, .0013006], [.5927716, .0344014, .0017026], .9001486))

@pytest.mark.parametrize('method', N6)
def test_small_model(method):
    if method=='clip': model = ATST(lambda: clip_encoder('small', drop_path_rate=0.))
    else: model = FrameATST(lambda: frame_encoder('small', drop_path_rate=0.))
    formula_fill(model.student)
    ema_update(model.student, model.teacher, 0.)
    for n,b in model.teacher.named_buffers(): b.copy_(dict(model.student.named_buffers())[n])
    rows = [set(range(2,7)), set(range(2,7))|set(range(18,23)), set(range(2,7))|set(range(18,23))]
    m,n = torch.tensor([[j in r for j in range(25)] for r in rows]), torch.tensor([101,101,80])
    batch = ([formula_input(3,101), formula_input(3,101,1.)], [n,n]) + (([m,m],) if method=='frame' else ())
    in_eval,in_train,var = N6[method]
    with torch.no_grad():
        close(torch.stack(model.eval()(*batch)), in_eval, 1e-5)
        close(torch.stack(model.train()(*batch)), in_train, 1e-4)
    close(model.teacher.projector[1].running_var.mean(), var, 1e-5)             # the teacher's own statistics moved
    before = model.teacher.encoder.pos_embed.clone()
    with torch.no_grad(): model.student.encoder.pos_embed += 1
    model.update(.99)
    close(model.teacher.encoder.pos_embed-before, np.full(before.shape, .01), 1e-6)

# --- 06: the layout of checkpoints

@pytest.mark.parametrize('size', ['small','base'])
@pytest.mark.parametrize('method', MODULES)
def test_layout(method, size):
    "Names, shapes and kinds of all tensors, and how the optimiser groups them; no numbers are made"
    want = J6[method][size]
    with torch.device('meta'): module = MODULES[method](want['hyper_parameters']['arch'])
    state = module.state_dict()
    assert {k:[list(v.shape), str(v.dtype).removeprefix('torch.')] for k,v in state.items()}==want['state_dict']
    assert list(state)==list(want['state_dict'])
    assert len(state)==want['n_tensors'] and sum(v.numel() for v in state.values())==want['n_values']
    opt = module.configure_optimizers()
    assert type(opt) is ATSTAdamW
    assert [f"{len(g['params'])}" for g in opt.param_groups]==[re.search(r'\((\d+)\)', g['params'])[1] for g in want['optimizer_state']['param_groups']]
    first = [n for n,p in module.model.student.named_parameters() if p is opt.param_groups[0]['params'][0]]
    assert first==['encoder.mask_embed']

OF_THE_DATA = {'save_path', 'nproc', 'data_path', 'batch_size_per_gpu', 'num_workers', 'subset',      # of the run and its data: not the module's
               'aug_tea', 'aug_stu', 'freq_wrap', 'mix_up', 'mask_ratio', 'mask_len', 'min_mask_len', 'mask_type'}

@pytest.mark.parametrize('method', MODULES)
def test_checkpoint(method):
    "A checkpoint after one step of the small model: parts, hyper-parameters, the optimiser's state"
    import pytorch_lightning as pl
    from audiossl.lightning.datamodules import PretrainDataModule
    want = J6[method]['small']
    h = want['hyper_parameters']
    module = MODULES[method](h['arch'], learning_rate=h['learning_rate'], warmup_steps=h['warmup_steps'], max_steps=h['max_steps'], ema=h['ema'])
    n = torch.tensor([41,41]); views = [formula_input(2,41), formula_input(2,41,1.)]
    batch = (views, [n,n]) + (([torch.arange(10)[None].expand(2,-1)%2==0]*2,) if method=='frame' else ())
    trainer = pl.Trainer(max_steps=1, max_epochs=-1, accelerator='cpu', devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
                         enable_checkpointing=False)
    trainer.fit(module, PretrainDataModule([batch]))
    got = trainer._checkpoint_connector.dump_checkpoint()
    assert set(want['top_level_keys'])<=set(got)
    assert got['hparams_name']==want['hparams_name'] and got['lr_schedulers']==want['lr_schedulers'] and got['global_step']==want['global_step']
    for k,kind in want['hyper_parameters_types'].items():
        if k not in OF_THE_DATA: assert type(got['hyper_parameters'][k]).__name__==kind, k
    for k in ('arch','learning_rate','warmup_steps','max_steps','ema'): assert got['hyper_parameters'][k]==h[k]
    [opt],ref = got['optimizer_states'], want['optimizer_state']
    for g,r in zip(opt['param_groups'], ref['param_groups']):
        assert f"{g['params'][0]}..{g['params'][-1]} ({len(g['params'])})"==r['params']
        assert list(g['betas'])==r['betas'] and g['eps']==r['eps'] and g['lr']==r['lr'] and abs(g['weight_decay']-r['weight_decay'])<1e-12
        assert all(type(v) in (float, tuple, list, int, bool) for v in g.values())
    have = set(opt['state'])
    assert sorted({i for g in opt['param_groups'] for i in g['params']}-have)==ref['params_without_state']
    for s in opt['state'].values(): assert sorted(s)==sorted(ref['per_param_keys']) and type(s['step']).__name__==ref['step_type']

@pytest.mark.parametrize('m', [0., .1, .5, .9, .99, .9996, 1.])
def test_ema_exact(m):
    g = torch.Generator().manual_seed(0)
    t,s = (torch.nn.Linear(300,300) for _ in range(2))
    with torch.no_grad():
        for p in (*t.parameters(), *s.parameters()): p.copy_(torch.randn(p.shape, generator=g)*.05)
    want = [m*a.detach().double()+(1-m)*b.detach().double() for a,b in zip(t.parameters(), s.parameters())]
    ema_update(s, t, m)
    for p,w in zip(t.parameters(), want): close(p.detach(), w, 1e-7)
    if m==0: assert all(torch.equal(a,b) for a,b in zip(t.parameters(), s.parameters()))

def test_output_std_over_processes(tmp_path):
    "Two processes with unequal parts report the value of the whole"
    code = '''
import sys, torch, torch.distributed as dist
from audiossl.methods.teacher import output_std
rank, file = int(sys.argv[1]), sys.argv[2]
dist.init_process_group('gloo', init_method=f'file://{file}', rank=rank, world_size=2)
y = torch.randn(50, 16, generator=torch.Generator().manual_seed(0))
print('std', output_std(y[:20] if rank==0 else y[20:]).item())
dist.destroy_process_group()'''
    ps = [subprocess.Popen([sys.executable, '-c', code, str(r), str(tmp_path/'meet')], stdout=subprocess.PIPE, text=True) for r in range(2)]
    got = [float(re.search(r'std ([\d.e-]+)', p.communicate(timeout=120)[0])[1]) for p in ps]
    close(got, [output_std(torch.randn(50, 16, generator=torch.Generator().manual_seed(0))).item()]*2, 1e-6)
