"""Front end, augmentations and masks against the numbers of the reference implementation (tests/data/golden, see its JSON files).

Inputs, seeds and sizes are read from the JSON files; another set with the same layout is checked with AUDIOSSL_GOLDEN=FOLDER.
"""
import hashlib, json, os, random, re, sys, warnings
from pathlib import Path
import numpy as np, pytest, torch
from audiossl.transforms import (LogMel, MinMax, Normalize, Identity, PadToSize, ToSizeN, CentralCrop, RandomCrop, Mixup, RandomResizeCrop,
                                 log_mixup_exp, mixup_batch, block_mask, random_mask, run_lengths, mel_filters, num_frames, FrameViews, ClipViews, EvalView,
                                 mix_linear, roll_mag, MixupSpecLabel, MixupSpecLabelAudioset, FinetuneTargetTransform, SpecAugment)

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))
sys.path.insert(0, str(HERE))
from golden_inputs import wave as golden_wave, spec, checksum

TOL = dict(mel=dict(rtol=1e-4, atol=1e-3), db=dict(rtol=0, atol=5e-3), minmax=dict(rtol=0, atol=1e-4))
read = lambda name: (json.loads((GOLDEN/f'{name}.json').read_text()), np.load(GOLDEN/f'{name}.npz'))
J1,Z1 = read('01_frontend')
J2,Z2 = read('02_augment')
J8,Z8 = read('08_downstream')
M = json.loads((GOLDEN/'02_masks.json').read_text())
E1,E2,E8 = J1['entries'], J2['entries'], J8['entries']

def named_wave(name): # '10s' -> the wave of the formula in the file
    seed,seconds = re.fullmatch(r'wave\((\d+), *([\d.]+)\)', J1['wave'][f'wav_{name}']['formula']).groups()
    return torch.from_numpy(golden_wave(int(seed), float(seconds)))

def front(name): # the front end that a name like 'frame_pretrain640' speaks of
    win = re.search(r'(?:pretrain|win)(640|1024)', name); mels = re.search(r'pretrain(\d+)mel', name)
    return LogMel(win_length=int(win[1]) if win else 1024, n_mels=int(mels[1]) if mels else 64)

def stages(name, wave):
    f = front(name); mel = f.power(wave); db = f.db(mel)
    return dict(mel=mel, db=db, minmax=f.minmax(db))

def check(out, key, entries, arrays, **tol):
    "`out` against the stored array `key`, or against the checksum of the whole when only every n-th frame is stored"
    e,out = entries[key], out.numpy()
    n = re.search(r'\.every(\d+)$', key)
    np.testing.assert_allclose(out[..., ::int(n[1])] if n else out, arrays[key], **tol)
    if 'full' in e:
        ours,full = checksum(out), e['full']
        assert ours['shape']==full['shape']
        for k in ('mean','std','abs_max','first'): np.testing.assert_allclose(ours[k], full[k], rtol=tol['rtol'], atol=tol['atol'], err_msg=k)

def cases(*patterns): return [k for k in E1 if any(re.fullmatch(p, k) for p in patterns)]
def target(key): return E1[key].get('bitwise_equal_to', key)
def stored(key): # an entry may only say that it equals another; that one may be stored thinned out
    key = target(key)
    return key if key in Z1 else next(k for k in E1 if k in Z1 and k.startswith(key+'.every'))

# --- 01: front end

@pytest.mark.parametrize('name', list(J1['wave']))
def test_input_wave(name):
    w,e = named_wave(name[4:]).numpy(), J1['wave'][name]
    assert list(w.shape)==e['shape']
    np.testing.assert_allclose(w.ravel()[:8], e['first'], atol=1e-7)
    if hashlib.sha256(np.ascontiguousarray(w).tobytes()).hexdigest()!=e['sha256']: np.testing.assert_allclose(checksum(w)['std'], e['std'], atol=1e-7)

@pytest.mark.parametrize('key', cases(r'\w+_pretrain\w*\.\d+s\.(mel|db|minmax)(\.every\d+)?'))
def test_stages(key):
    name,length,stage = key.split('.')[:3]
    check(stages(name, named_wave(length))[stage], key, E1, Z1, **TOL[stage])

@pytest.mark.parametrize('key', cases(r'frame_pretrain1024\.\d+s'))
def test_frame_default_is_clip(key):
    assert E1[key]['bitwise_equal_to_clip']
    name,length = key.split('.')
    ref = next(k for k in E1 if k in Z1 and k.startswith(f'clip_pretrain.{length}.minmax'))
    check(stages(name, named_wave(length))['minmax'], ref, E1, Z1, **TOL['minmax'])

@pytest.mark.parametrize('key', cases(r'\w+_pretrain\w*\.crop\d+s(_start\d+)?\.\d+s(\.every\d+)?'))
def test_crops(key):
    name,crop,length = key.split('.')[:3]
    seconds,start = re.fullmatch(r'crop(\d+)s(?:_start(\d+))?', crop).groups()
    x = RandomCrop(int(seconds)*16000).apply(named_wave(length), dict(start=int(start or 0)))
    check(front(name)(x), stored(key), E1, Z1, **TOL['minmax'])

@pytest.mark.parametrize('key', cases(r'downstream\.\w+\.\w+\.\d+s(\.every\d+)?'))
def test_downstream(key):
    _,_,name,length = key.split('.')[:4]
    pad = re.search(r'pad_(\d+)s', name)
    mel,n = EvalView(int(pad[1]) if pad else 12., pad=bool(pad), win_length=640 if 'win640' in name else 1024)(named_wave(length))
    assert n==E1[key]['length']==mel.shape[-1]
    check(mel, stored(key), E1, Z1, **TOL['minmax'])

@pytest.mark.parametrize('key', cases(r'embedding\.batch_\d+s\.every\d+'))
def test_floor_is_per_clip(key):
    w = named_wave(re.search(r'batch_(\d+s)', key)[1])
    check(LogMel()(torch.stack([w, .01*w])), key, E1, Z1, **TOL['minmax'])

@pytest.mark.parametrize('key', cases(r'db_of_3d_batch.*'))
def test_shared_floor(key):
    w = named_wave('1s')
    f = LogMel(); power = f.power(torch.cat([w, .01*w]))
    check(f.db(power, shared_floor=True), key, E1, Z1, **TOL['db'])
    assert not torch.allclose(f.db(power), f.db(power, shared_floor=True))

def test_filters_and_windows():
    np.testing.assert_allclose(mel_filters().numpy(), Z1['mel_filterbank_64'], atol=1e-6)
    for n in (1024, 640):
        w = LogMel(win_length=n).window
        left = (1024-n)//2
        np.testing.assert_allclose(w[left:left+n].numpy(), Z1[f'hann_{n}'], atol=1e-6)
        assert w[:left].abs().sum()==0==w[left+n:].abs().sum()

def test_every_entry_is_checked():
    done = set(cases(r'\w+_pretrain\w*\.\d+s\.(mel|db|minmax)(\.every\d+)?', r'frame_pretrain1024\.\d+s',
        r'\w+_pretrain\w*\.crop\d+s(_start\d+)?\.\d+s(\.every\d+)?', r'downstream\.\w+\.\w+\.\d+s(\.every\d+)?',
        r'embedding\.batch_\d+s\.every\d+', r'db_of_3d_batch.*', r'mel_filterbank_64', r'hann_\d+', r'wav_\w+'))
    assert not set(E1)-done

# --- the same front end by another package

@pytest.mark.parametrize('win', [1024, 640])
def test_torchaudio_agrees(win):
    from torchaudio.transforms import MelSpectrogram, AmplitudeToDB
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 1, 9999)).astype(np.float32))*.1
    ref = MelSpectrogram(16000, 1024, win, 160, 60., 7800., n_mels=64)(x)
    f = LogMel(win_length=win)
    torch.testing.assert_close(f.power(x), ref, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(f(x), f.minmax(AmplitudeToDB('power', 80.)(ref)), rtol=0, atol=1e-5)

def test_chunks_change_nothing():
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((3, 200_000)).astype(np.float32))*.1
    f = LogMel(); both = f(x)
    for i in range(3): assert torch.equal(both[i], f(x[i]))
    whole = f._mel_power(torch.nn.functional.pad(x, (512,512), mode='reflect').unfold(-1, 1024, 160))
    torch.testing.assert_close(f.power(x), whole, rtol=1e-5, atol=1e-6)

def test_gradient_reaches_the_wave():
    f = LogMel(n_mels=8).double()
    x,d = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1, 900)))
    weight = torch.linspace(-1, 1, 8, dtype=torch.float64)[:,None] # an unequal sum, so that no error cancels
    loss = lambda w: (f(w)*weight).sum()
    x.requires_grad_(); loss(x).backward()
    with torch.no_grad(): slope = (loss(x+1e-6*d)-loss(x-1e-6*d))/2e-6
    torch.testing.assert_close((x.grad*d).sum(), slope, rtol=1e-4, atol=1e-4)

# --- 02: augmentations

t2 = lambda key: torch.from_numpy(Z2[key])
MIX = [k for k in E2 if k.startswith('mixup.') and 'alpha' in E2[k]]
RRC = [k for k in E2 if 'ijhw' in E2[k]]
SCALES = dict(clip=dict(virtual_crop_scale=(1,1.5)), frame=dict(virtual_crop_scale=(1,1.), time_scale=(1.,1.)), default={})
SIMPLE = [k for k in E2 if k.startswith('simple.') and 'x' in E2[k]]

@pytest.mark.parametrize('key', MIX)
def test_log_mixup_exp(key):
    e = E2[key]
    np.testing.assert_allclose(log_mixup_exp(t2(e['x']), t2(e['z']), e['alpha'], e['start'] or 0).numpy(), Z2[key], atol=2e-6)

class Replay:
    "Gives recorded draws again, and fails when something else is asked for"
    def __init__(self, draws): self.draws = [d for d in draws if d[0]!='call']
    def random(self): kind,u = self.draws.pop(0); assert kind=='random'; return u
    def integers(self, lo, hi): kind,args,v = self.draws.pop(0); assert kind=='randint' and (lo,hi)==(0,args[0]); return v

def test_mixup_bank():
    e = E2['mixup_bank.out']
    call = r'calls of Mixup\(ratio=([\d.]+), n_memory=(\d+)\) on spec\((\d+)\+i,(\d+),(\d+),(\d+)\)'
    ratio,memory,first,*shape = re.search(call, e['what']).groups()
    rng,mix = Replay(e['draws']), Mixup(float(ratio), int(memory))
    ins = [torch.from_numpy(spec(int(first)+i, *map(int, shape))) for i in range(e['shape'][0])]
    np.testing.assert_allclose(torch.stack([mix(x, rng) for x in ins]).numpy(), Z2['mixup_bank.out'], atol=2e-6)
    assert not rng.draws and len(mix.bank)==int(memory) and torch.equal(mix.bank[-1], ins[-1])
    again = Mixup(float(ratio), int(memory)); again.load_state_dict(mix.state_dict())
    assert torch.equal(again(ins[0], np.random.default_rng(3)), mix(ins[0], np.random.default_rng(3)))

@pytest.mark.parametrize('key', RRC)
def test_random_resize_crop(key):
    e,setting = E2[key], key.split('.')[1]
    x,rrc,params = t2(f'rrc.{setting}.in'), RandomResizeCrop(**SCALES[setting]), dict(zip('ijhw', e['ijhw']))
    assert list(rrc.canvas(x.shape[-2:]))==e['canvas']
    np.testing.assert_allclose(rrc.apply(x, params).numpy(), Z2[key], atol=2e-6)
    np.testing.assert_allclose(rrc.apply_batch(x, [params]).numpy(), Z2[key], atol=2e-6)

@pytest.mark.parametrize('row', E2['rrc.get_params']['rows'], ids=str)
def test_rectangle_draws(row):
    rrc = RandomResizeCrop(**row['args'])
    assert list(rrc.canvas(row['src']))==row['canvas']
    H,W = row['canvas']
    def rng(top):
        offsets = [['randint', [hi+1], hi if top else lo] for lo,hi in row['inclusive_offset_ranges']]
        return Replay([['random', row['u_freq']], ['random', row['u_time']], *offsets])
    low,high = rng(False), rng(True)
    assert rrc.draw(row['src'], low)==dict(i=0, j=0, h=row['h'], w=row['w'])
    assert rrc.draw(row['src'], high)==dict(i=row['i_at_top'], j=row['j_at_top'], h=row['h'], w=row['w'])
    assert not low.draws and not high.draws

@pytest.mark.parametrize('key', SIMPLE)
def test_simple(key):
    e = E2[key]; name = key.split('.')[1]
    if (m := re.fullmatch(r'arange\((\d+)\) shape (\[.*\])', e['x'])): x = torch.arange(int(m[1])).float().reshape(json.loads(m[2]))
    else: x = t2('simple.in')*(60 if e['x'].startswith('60 *') else 1)
    special = dict(Normalize_global=Normalize(), Normalize_time=Normalize(reduce_dim=e.get('reduce_dim')),
                   Normalize_given=Normalize(std_mean=e.get('std_mean')), MinMax_given=MinMax(), MinMax_auto=MinMax(None, None))
    if name in special: f = special[name]
    else:
        kind,size,nopad = re.fullmatch(r'([A-Za-z]+?N?)(\d+)(_nopad)?', name).groups()
        kinds = dict(CentralCrop=CentralCrop, RandomCrop=RandomCrop, PadToSize=PadToSize, ToSizeN=ToSizeN)
        f = kinds[kind](int(size), **(dict(pad=False) if nopad else {}))
    np.testing.assert_allclose(f(x).numpy(), Z2[key], atol=1e-6)

def test_every_augmentation_is_checked():
    inputs = {k for k in E2 if k.endswith('.in') or '.in.' in k}
    schedules = {k for k in E2 if k.startswith('sched_')} # checked with the schedules
    assert set(E2)-set(MIX)-set(RRC)-set(SIMPLE)-inputs-schedules=={'mixup_bank.out', 'rrc.get_params', 'simple.MixGaussianNoise_like'}

@pytest.mark.parametrize('setting', SCALES)
def test_batched_resize_equals_single(setting):
    rrc,rng = RandomResizeCrop(**SCALES[setting]), np.random.default_rng(0)
    x = torch.from_numpy(spec(5, 20, 64, 48))
    params = [rrc.draw((64,48), rng) for _ in x]
    torch.testing.assert_close(rrc.apply_batch(x, params), torch.stack([rrc.apply(o, p) for o,p in zip(x, params)]), rtol=0, atol=2e-6)

def test_batched_transforms_have_the_gradients_of_single_ones():
    x = torch.from_numpy(spec(6, 3, 64, 40)).double()
    rrc,rng = RandomResizeCrop(), np.random.default_rng(0)
    params = [rrc.draw((64,40), rng) for _ in x]
    weight = torch.from_numpy(spec(7, 3, 64, 40)).double()
    def grad(f): o = x.clone().requires_grad_(); (f(o)*weight).sum().backward(); return o.grad
    torch.testing.assert_close(grad(lambda o: rrc.apply_batch(o, params)), grad(lambda o: torch.stack([rrc.apply(a, p) for a,p in zip(o, params)])), rtol=0, atol=1e-4)
    mix = dict(weight=np.float32([.1,.2,.3]), partner=np.array([1,2,0]))
    torch.testing.assert_close(grad(lambda o: mixup_batch(o, mix)),
        grad(lambda o: torch.stack([log_mixup_exp(o[i], o[j], 1-float(w)) for i,(w,j) in enumerate(zip(mix['weight'], mix['partner']))])), rtol=0, atol=1e-6)

# --- 02: masks

BLOCK = [r for r in M['block'] if not r['no_overlap']] # rows with `no_overlap` are no setting of the method (see 13_mask for an exact mask)
@pytest.mark.parametrize('row', BLOCK, ids=lambda r: f"{r['type']}-{r['mask_ratio']}-{r['tokens']}")
def test_block_mask_distribution(row):
    n,P = 3000, row['tokens']
    rng = np.random.default_rng(1)
    masks = torch.stack([block_mask(P, row['mask_ratio'], row['mask_len'], row['type'], row['min_mask_len'], rng) for _ in range(n)])
    share,ref = masks.float().mean(1), row
    se = row['masked_ratio_std']*(1/n + 1/row['draws'])**.5
    assert abs(float(share.mean())-row['masked_ratio_mean']) < 4*se
    assert abs(float(share.std())/row['masked_ratio_std']-1) < .08
    p = torch.tensor(row['position_prob'], dtype=torch.float64); se = (p*(1-p)*(1/n + 1/row['draws'])).sqrt()
    assert ((masks.double().mean(0)-p).abs() <= 4.5*se).all() # the last position of 'static' is exactly 0
    runs = torch.cat([run_lengths(m) for m in masks]).numpy()
    hist = {int(k): v for k,v in row['run_hist'].items()}
    total = sum(hist.values())
    for k,v in hist.items():
        if v/total > .02: assert abs((runs==k).mean() - v/total) < 5*(v/total/len(runs))**.5 + .003
    assert runs.min()==min(hist) and abs(len(runs)/n - row['runs_per_draw_mean']) < .1*row['runs_per_draw_mean']**.5

@pytest.mark.parametrize('seed,masked,first', [(0,121,[8,9,10,11,12,37]), (1,130,[4,5,6,7,8,27]), (2,124,[3,4,5,6,7,10])])
def test_block_mask_draw_order(seed, masked, first):
    "numpy's legacy generator gives the reference's own masks, so the draws are the same and in the same order"
    m = block_mask(250, .65, 5, rng=np.random.RandomState(seed))
    assert int(m.sum())==masked and m.nonzero()[:6,0].tolist()==first

@pytest.mark.parametrize('row', M['random']['rows'], ids=str)
def test_random_mask_counts(row):
    rng = np.random.default_rng(0)
    assert {int(random_mask(row['tokens'], row['ratio'], rng=rng).sum()) for _ in range(20)}==set(row['masked_counts_seen'])
    m = random_mask(row['tokens']+9, row['ratio'], available=row['tokens'], rng=rng)
    assert m[row['tokens']:].all() and int(m[:row['tokens']].sum()) in row['masked_counts_seen']

# --- 08: labels mixed with sounds

LABELMIX = [k for k in E8 if k.startswith('labelmix.') and 'lam' in E8[k]]
formula = lambda text: torch.from_numpy(spec(*map(int, re.fullmatch(r'spec\(([\d,]+)\)', text)[1].split(','))))

@pytest.mark.parametrize('key', LABELMIX)
def test_label_mix(key):
    e = E8[key]; x,z = formula(e['x_in']), formula(e['z_in'])
    a,b,c = map(int, re.search(r'one_hot\((\d+),(\d+)\) mixed with one_hot\((\d+)', E8[key[:-1]+'y']['y_in']).groups())
    mix = MixupSpecLabel(num_classes=b); mix.remember(z, c)
    got,label = mix.apply(x, a, dict(weight=e['lam'], partner=0, start=e['start'] or 0))
    assert got.dtype==label.dtype==torch.float32
    np.testing.assert_allclose(got.numpy(), Z8[key], atol=1e-6)
    np.testing.assert_allclose(label.numpy(), Z8[key[:-1]+'y'], atol=1e-7)

def test_label_mix_first_call():
    want = Z8['labelmix.first_call.y']; label = int(re.search(r'int label (\d+)', E8['labelmix.first_call.y']['note'])[1])
    x = torch.from_numpy(spec(1, 1, 64, 20))
    got,y = MixupSpecLabel(num_classes=len(want))(x, label)
    assert torch.equal(got, x) and y.tolist()==want.tolist()

def test_target_transform_knows_its_classes():
    "the reference's coded every label for 100 classes; ours takes the true number"
    n = E8['labelmix.finetune_target_transform']['asked_num_classes']
    _,y = FinetuneTargetTransform(num_classes=n)(torch.from_numpy(spec(1, 1, 64, 20)), n-1)
    assert y.shape==(n,) and y[n-1]==1
    with pytest.raises(TypeError, match='num_classes'): FinetuneTargetTransform()

@pytest.mark.parametrize('key', [k for k in E8 if k.startswith('roll_mag.')])
def test_roll_mag(key):
    e = E8[key]; n = int(re.match(r'arange\((\d+)\)', e['x'])[1])
    x = torch.arange(n).float().reshape(e['shape'])
    np.testing.assert_allclose(roll_mag(x, e['shift'], e['beta']+.5).numpy(), Z8[key], atol=1e-6)

def test_label_mix_of_a_second_set():
    x,z = (torch.from_numpy(spec(k, 1, 64, t)) for k,t in ((1,20),(2,33)))
    mix = MixupSpecLabelAudioset([((z, 33), torch.tensor([0.,1,1]))], 1., num_classes=3)
    got,y = mix.apply(x, 0, dict(weight=.25, partner=0, place=.5))
    torch.testing.assert_close(got, mix_linear(x, z, .25, 6)); assert y.tolist()==[.25,.75,.75]
    starts = {int(mix.draw(np.random.default_rng(i))['place']*13) for i in range(200)}
    assert starts==set(range(13))                                   # the window after the last of these is never drawn, as in the reference

@pytest.mark.parametrize('seed', range(5))
def test_holes_are_torchaudios(seed, monkeypatch):
    from torchaudio.transforms import FrequencyMasking, TimeMasking
    x,u = torch.from_numpy(spec(3, 1, 64, 101)), np.random.default_rng(seed).random(4)
    it = iter(torch.from_numpy(u).float())
    monkeypatch.setattr(torch, 'rand', lambda *a, **k: next(it).reshape(*a))
    want = TimeMasking(50)(FrequencyMasking(20)(x))
    class Dice: random = iter(u).__next__
    assert torch.equal(SpecAugment()(x, Dice()), want)

# --- views

class Legacy:
    "The reference's two generators behind the interface of one; which of them it asks depends on who asks"
    def __init__(self, seed): self.np,self.py = np.random.RandomState(seed), random.Random(seed)
    def random(self): return self.py.random() if sys._getframe(1).f_code.co_qualname=='ClipTools.pictures' else self.np.random_sample()
    def integers(self, lo, hi): return self.py.randint(lo, hi-1) if sys._getframe(1).f_code.co_qualname=='RandomResizeCrop.draw' else self.np.randint(lo, hi)
    def choice(self, *a, **k): return self.np.choice(*a, **k)
    def beta(self, a, b): return self.np.beta(a, b)

def S(n, k=100): # a chirp with a rough edge, as in the method's published check values
    t,u = np.arange(n)/16000, np.sin(12.9898*np.arange(n))*43758.5453
    return torch.from_numpy((.3*np.sin(2*np.pi*(200*t + k*t*t)) + .05*(u-np.floor(u)-.5)).astype(np.float32))[None]

def test_frame_views_lengths_and_teacher():
    views = FrameViews(); w = S(200_000)
    (a,b),lengths,(m,m2),d = views(w, np.random.default_rng(0), report=True)
    assert a.shape==b.shape==(1,64,1001) and lengths==[1001,1001] and m.shape==(250,) and m is m2
    crop = w[:, d['crop']['start']:d['crop']['start']+160_000]
    assert torch.equal(a, LogMel()(crop)) and d['view1']=={} and d['view2']['mixup']['partner'] is None

def test_batch_is_single_by_single():
    "each row of a batch is what the drawn numbers say, computed clip by clip"
    waves = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 30_000)).astype(np.float32))*.1
    views = FrameViews(anchor_len=1.6, aug_tea=True)
    (v1,v2),(l1,l2),(m1,m2),d = views.batch(waves, np.random.default_rng(7), report=True)
    assert v1.shape==v2.shape==(5,1,64,161) and l1.tolist()==[161]*5 and m1.shape==(5,40) and m1.dtype==torch.bool and l1.dtype==torch.int64
    mels = [LogMel()(w[c['start']:c['start']+25_600]) for w,c in zip(waves, d['crop'])]
    rrc = RandomResizeCrop((1.,1.), time_scale=(1.,1.))
    for v,k in ((v1,'view1'), (v2,'view2')):
        for i in range(5):
            a,j = float(d[k]['mixup']['weight'][i]), int(d[k]['mixup']['partner'][i])
            assert i!=j and 0<=a<.4
            torch.testing.assert_close(v[i,0], rrc.apply(log_mixup_exp(mels[i], mels[j], 1-a), d[k]['warp'][i]), rtol=0, atol=5e-6)
    again = views.batch(waves, np.random.default_rng(7))
    assert all(torch.equal(x, y) for x,y in zip([v1,v2,m1], [*again[0], again[2][0]]))

def test_clip_views():
    views = ClipViews(anchor_len=(9.,9.)); w = S(200_000)
    for _ in range(2): (a,b),lengths = views(w, np.random.default_rng(0))
    assert lengths==[901,601] and a.shape==b.shape==(1,64,901) and b[...,601:].abs().sum()==0
    assert [len(m.bank) for m in views.mixups]==[2,2]

def near(x, **want):
    got = dict(sum=x.double().sum(), at=x[0,20,50])
    for k,v in want.items(): np.testing.assert_allclose(float(got[k]), v, atol=2e-3 if k=='sum' else 2e-6, err_msg=k)

def test_published_clip_views():
    "Two items in a row of the reference's transform, with its own random numbers"
    views,rng,w = ClipViews(anchor_len=(9.,9.)), Legacy(0), S(200_000)
    (a,b),lengths = views(w, rng)
    assert lengths==[901,601]; near(a, sum=10064.5338, at=.170699); near(b, sum=5711.7017, at=0.)
    (a,b),_ = views(w, rng)
    near(a, sum=8688.2882); near(b, sum=5103.6467)

def test_published_frame_views():
    views,rng,w = FrameViews(), Legacy(0), S(200_000)
    (a,b),lengths,(m,_) = views(w, rng)
    assert lengths==[1001,1001] and int(m.sum())==132; near(a, sum=12175.5139, at=.145644); near(b, sum=12770.1988, at=.103891)
    (a,b),_,(m,_) = views(w, rng)
    assert int(m.sum())==122; near(a, sum=12146.9940); near(b, sum=13926.1998)

Y = LogMel()(S(16_000, 3500)); Y2 = LogMel()(S(16_000, 3500).flip(-1))

@pytest.mark.parametrize('kind,seed,ijhw,total,at', [
    ('clip', 0, (0,12,64,125), 1050.3375, .113406), ('clip', 1, (0,18,62,126), 1030.7307, .137263), ('clip', 2, (0,11,63,62), 1081.4033, .119322),
    ('frame', 0, (0,0,64,101), 1301.9653, .124647), ('frame', 1, (0,0,62,101), 1287.8511, .088612), ('frame', 2, (0,0,63,101), 1296.2911, .109843)])
def test_published_rectangles(kind, seed, ijhw, total, at):
    rrc = RandomResizeCrop(**SCALES[kind]); p = rrc.draw((64,101), Legacy(seed))
    assert p==dict(zip('ijhw', ijhw))
    near(rrc.apply(Y, p), sum=total, at=at); near(rrc.apply_batch(Y, [p]), sum=total, at=at)

def test_published_mixups():
    near(log_mixup_exp(Y, Y2, .7), sum=1327.3522, at=.124639)
    mix,rng = Mixup(), Legacy(0)
    assert torch.equal(mix(Y, rng), Y); near(mix(Y2, rng), sum=1326.6894, at=.124627); near(mix(Y, rng), sum=1324.1677)
    assert len(mix.bank)==3
    mix,rng = MixupSpecLabel(alpha=.5, num_classes=5), Legacy(0)
    assert mix(Y, 2, rng)[1].tolist()==[0,0,1,0,0]
    x,y = mix(Y2, 4, rng)
    np.testing.assert_allclose(y, [0,0,.4153127,0,.5846873], atol=1e-6); near(x, sum=1301.9857)

@pytest.mark.parametrize('kw', [dict(), dict(anchor_len=(2.,2.), positive_len=(1.,1.6)), dict(different_positive=False), dict(virtual_crop=1.)], ids=str)
@pytest.mark.parametrize('n', [12_000, 120_000])
def test_clip_batch_is_single_by_single(kw, n):
    waves = torch.from_numpy(np.random.default_rng(0).standard_normal((3, n)).astype(np.float32))*.1
    views = ClipViews(**kw); (v1,v2),(l1,l2),d = views.batch(waves, np.random.default_rng(7), report=True)
    assert v1.shape==v2.shape==(3,1,64,views.n_frames) and l1.dtype==l2.dtype==torch.int64 and not views.mixups[0].bank
    for v,length,p in ((v1,l1,d['view1']), (v2,l2,d['view2'])):
        mels = [LogMel()(RandomCrop(c['size']).apply(w, c)) for w,c in zip(waves, p['crop'])]
        for i in range(3):
            x = log_mixup_exp(mels[i], mels[p['mixup']['partner'][i]], 1-float(p['mixup']['weight'][i]))
            assert x.shape[-1]==length[i]==num_frames(p['crop'][i]['size'])
            torch.testing.assert_close(v[i,0,:,:length[i]], views.warp.apply(x, p['warp'][i]), rtol=0, atol=1e-5)
        assert v[...,int(length[0]):].abs().sum()==0
    one_crop = not kw.get('different_positive', True) or n==12_000 and 'anchor_len' not in kw       # a short wave has only one
    assert (d['view1']['crop']==d['view2']['crop'])==one_crop
    again = views.batch(waves, np.random.default_rng(7))
    assert all(torch.equal(x, y) for x,y in zip([v1,v2,l1,l2], [*again[0], *again[1]]))

def test_views_state():
    w = S(40_000)
    for make in (lambda: FrameViews(anchor_len=1., aug_tea=True), lambda: FrameViews(anchor_len=1.), lambda: ClipViews((1.,1.), (1.,1.))):
        a,b = make(), make()
        a(w, np.random.default_rng(0)); b.load_state_dict(a.state_dict())
        for x,y in zip(a(w, np.random.default_rng(1))[0], b(w, np.random.default_rng(1))[0]): assert torch.equal(x, y)
    with pytest.raises(ValueError, match='mix differently'): FrameViews(mix_up=False).load_state_dict(b.state_dict())

# --- bad input, and other places to compute

@pytest.mark.parametrize('views', [FrameViews(anchor_len=1.), ClipViews((1.,1.), (1.,1.)), EvalView()], ids=lambda o: type(o).__name__)
def test_bad_waves(views):
    bad = torch.zeros(1, 16_000); bad[0,5] = torch.inf
    with pytest.raises(ValueError, match='1 of .* samples are NaN or infinite'): views(bad)
    with pytest.raises(ValueError, match=r'shape \(2, 16000\), one channel'): views(torch.zeros(2, 16_000))
    with pytest.raises(TypeError, match='torch.int16'): views(torch.zeros(16_000, dtype=torch.int16))
    if hasattr(views, 'batch'):
        with pytest.raises(ValueError, match=r'\(B, N\) is needed'): views.batch(torch.zeros(2, 1, 16_000))
        with pytest.raises(ValueError, match='NaN or infinite'): views.batch(torch.cat([bad*0, bad]).nan_to_num_(posinf=torch.nan))

def test_short_waves_are_padded_once_or_refused():
    w = .1*torch.ones(2, 512); f = LogMel()
    with pytest.warns(UserWarning, match='512 samples, at least 513'): x = f(w)
    with warnings.catch_warnings(): warnings.simplefilter('error'); again = f(w)
    assert x.shape==(2,64,4) and torch.equal(x, again) and torch.equal(x, f(torch.nn.functional.pad(w, (0,1))))
    with pytest.raises(ValueError, match='512 samples, at least 513'): LogMel(pad_short=False)(w)

def test_any_leading_shape():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 1, 2000)).astype(np.float32))*.1
    for f in (LogMel(), LogMel(n_fft=512, win_length=400, hop_length=100, f_min=0., f_max=8000., n_mels=40, top_db=None, minmax=None)):
        y = f(x)
        assert y.shape==(2,3,1,f.n_mels,num_frames(2000, f.hop_length)) and torch.equal(y[1,2,0], f(x[1,2,0]))

@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu():
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 30_000)).astype(np.float32))*.1
    f = LogMel(); torch.testing.assert_close(f(x), LogMel().cuda()(x.cuda()).cpu(), rtol=0, atol=1e-4)
    mels,rng = f(x), np.random.default_rng(0)
    for rrc in (RandomResizeCrop(), RandomResizeCrop((1.,1.), time_scale=(1.,1.))):
        p = [rrc.draw(mels.shape[-2:], rng) for _ in mels]
        torch.testing.assert_close(rrc.apply_batch(mels.cuda(), p).cpu(), rrc.apply_batch(mels, p), rtol=0, atol=1e-5)
