"""Front end, augmentations and masks against the numbers of the reference implementation (tests/data/golden, see its JSON files).

Inputs, seeds and sizes are read from the JSON files; another set with the same layout is checked with AUDIOSSL_GOLDEN=FOLDER.
"""
import hashlib, json, os, re, sys
from pathlib import Path
import numpy as np, pytest, torch
from audiossl.transforms import (LogMel, MinMax, Normalize, Identity, PadToSize, ToSizeN, CentralCrop, RandomCrop, Mixup, RandomResizeCrop,
                                 log_mixup_exp, block_mask, random_mask, run_lengths, mel_filters, num_frames, FrameViews, ClipViews, EvalView)

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))
sys.path.insert(0, str(HERE))
from golden_inputs import wave as golden_wave, spec, checksum

TOL = dict(mel=dict(rtol=1e-4, atol=1e-3), db=dict(rtol=0, atol=5e-3), minmax=dict(rtol=0, atol=1e-4))
read = lambda name: (json.loads((GOLDEN/f'{name}.json').read_text()), np.load(GOLDEN/f'{name}.npz'))
J1,Z1 = read('01_frontend')
J2,Z2 = read('02_augment')
M = json.loads((GOLDEN/'02_masks.json').read_text())
E1,E2 = J1['entries'], J2['entries']

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

# --- views

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
