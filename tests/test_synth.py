"Made-up sound: a pure function of its arguments, within its level, from every family, refused in one line when asked for nonsense"
import numpy as np, pytest, torch
from torch.utils.data import DataLoader
from audiossl.datasets.synth import FAMILIES, FAMILY_WEIGHTS, SynthScenes, describe, synth_batch
from audiossl.oscillators import Stage, bin_hz, bumps, oscillate, partials, reverberate, wave_tables

@pytest.mark.parametrize('name', FAMILIES)
@pytest.mark.parametrize('n,N', [(1,16000), (3,40123), (2,700), (1,1)])
def test_family_fills_any_stage(name, n, N):
    "Any length, also shorter than a control step; finite; a peak of 1 unless silent; the same again"
    a,b = (FAMILIES[name](Stage(n, N, np.random.default_rng(7))) for _ in range(2))
    assert a.shape==(n,N) and a.dtype==torch.float32 and a.isfinite().all() and torch.equal(a, b)
    if N>=16000: assert torch.allclose(a.abs().amax(1), torch.ones(n), atol=1e-5)

@pytest.mark.parametrize('name', FAMILIES)
def test_family_is_not_silent_or_constant(name):
    "Twenty clips of 1 s: each sounds for a tenth of a second at least, no two are alike, no constant offset"
    w = FAMILIES[name](Stage(20, 16000, np.random.default_rng(1)))
    assert ((w.view(20,100,160).abs().amax(-1)>1e-3).sum(1)>=2).all()
    unit = w/w.norm(dim=1, keepdim=True)
    assert ((unit@unit.T).fill_diagonal_(0).abs()<.9).all() and (w.mean(1).abs()<.1).all()

@pytest.mark.parametrize('seconds', [.01, .3, 1.6, 10.])
def test_batch(seconds):
    w,f = synth_batch(5, seconds, seed=3, index=9, return_families=True)
    assert w.shape==(5,round(seconds*16000)) and w.dtype==torch.float32 and w.isfinite().all() and w.abs().max()<=1
    assert f.shape==(5,len(FAMILIES)) and set(f.unique().tolist())=={0.,1.} and f.sum(1).min()>=1
    assert torch.equal(w, synth_batch(5, seconds, seed=3, index=9))

def test_other_arguments_other_sound():
    w = synth_batch(4, 1., seed=0, index=0)
    for other in (dict(seed=1), dict(index=1), dict(layers=1), dict(families=['winds']), dict(n=5)):
        assert not torch.equal(w, synth_batch(**{**dict(n=4, seconds=1., seed=0, index=0), **other})[:4])

def test_no_global_randomness():
    a = synth_batch(3, .5, seed=1)
    torch.manual_seed(5); np.random.seed(5)
    before = torch.get_rng_state()
    assert torch.equal(a, synth_batch(3, .5, seed=1)) and torch.equal(before, torch.get_rng_state())

def test_other_rates():
    w = synth_batch(6, .5, sr=8000)
    assert w.shape==(6,4000) and w.isfinite().all()

def test_levels():
    w = synth_batch(40, .5, level_db=(-20.,-10.)).abs().amax(1)
    assert w.min()>=.0999 and w.max()<=.3163
    assert torch.allclose(synth_batch(4, .5, level_db=(0,0)).abs().amax(1), torch.ones(4), atol=1e-5)

def test_families_are_drawn_by_weight():
    f = sum(synth_batch(100, .1, index=i, layers=1, families=dict(winds=3, chirps=1), return_families=True)[1].sum(0) for i in range(4))
    got = dict(zip(FAMILIES, f.tolist()))
    assert got['winds']+got['chirps']==400 and 260<=got['winds']<=340
    assert set(describe(['pads']))=={'pads'} and set(describe())==set(FAMILIES)==set(FAMILY_WEIGHTS)

@pytest.mark.parametrize('kw,says', [
    (dict(families=['speach']), "'speach'.*did you mean 'speech'"), (dict(families='xyz'), "'xyz' is not one of them There are|'xyz' is not"),
    (dict(families={}), 'at least one'), (dict(families=dict(pads=0)), 'at least one'), (dict(families=dict(pads=float('nan'))), 'weight nan'),
    (dict(seconds=0), 'seconds=0'), (dict(seconds=-1), 'seconds=-1'), (dict(seconds=float('nan')), 'seconds=nan'), (dict(n=0), 'n=0'),
    (dict(layers=0), 'layers=0'), (dict(level_db=(0,-5)), 'level_db='), (dict(level_db=(-5,1)), 'level_db=')])
def test_refusals(kw, says):
    with pytest.raises(ValueError, match=says) as e: synth_batch(**{**dict(n=2, seconds=.1), **kw})
    assert '\n' not in str(e.value)

def test_scenes_and_workers():
    d = SynthScenes(2, .2, 3, ['drums','speech'], total_steps=5)
    here = [d[i] for i in range(5)]
    for workers in (0,2): assert all(torch.equal(a, b) for a,b in zip(here, DataLoader(d, batch_size=None, num_workers=workers), strict=True))
    with pytest.raises(IndexError, match='steps 0 to 4'): d[5]
    with pytest.raises(ValueError, match='did you mean'): SynthScenes(families=['drum'])
    assert d.labels(1).shape==(3,len(FAMILIES))

# ---- the parts against plain formulas

def test_oscillator_against_sines():
    amp = torch.rand(2,1,20, generator=torch.Generator().manual_seed(0))
    hz = torch.tensor([[110.],[87.3]]).expand(2,251)
    y = oscillate(wave_tables(amp, 2048), hz)
    t = torch.arange(16000, dtype=torch.float64)/16000; k = torch.arange(1, 21).double()
    turns = k[:,None]*hz[:,:1,None].double()*t+((k*k*.381966)%1)[:,None]
    plain = (amp[:,0,:,None].double()*torch.cos(2*torch.pi*turns)).sum(1)
    assert (y-plain).abs().max()<.01*plain.abs().max()

def test_partials_against_sines():
    g = torch.Generator().manual_seed(1)
    f,a,d,p = 50+7000*torch.rand(3,9, generator=g), torch.rand(3,9, generator=g), 30*torch.rand(3,9, generator=g), torch.rand(3,9, generator=g)
    for L in (256, 5120, 160000):
        t = torch.arange(L).double()/16000
        plain = (a.double()[...,None]*torch.cos(2*torch.pi*(f.double()[...,None]*t+p.double()[...,None]))*torch.exp(-d.double()[...,None]*t)).sum(1)
        assert (partials(f, a, d, L, p)-plain).abs().max()<2e-3

def test_room_against_convolution():
    x = torch.zeros(2, 4000); x[0,0] = x[1,3000] = 1
    y = reverberate(x, torch.tensor([.1,.1]), torch.tensor([.5,.5]), np.random.default_rng(0))
    assert y[1,:2999].abs().max()<1e-5 and y[0,:2000].square().sum()>1.3

def test_room_of_a_long_wave_has_no_seams():
    "A wave of several pieces, in a room and through a filter: the same as one long convolution"
    g = torch.Generator().manual_seed(0); x = torch.randn(1, 50000, generator=g)
    colour = 1+bumps(bin_hz(), torch.tensor([[300.,2000]]), torch.tensor([[.4,1]]), torch.tensor([[2.,-.5]]))
    impulse = torch.zeros(1, 50000); impulse[0,20000] = 1
    room = lambda w: reverberate(w, torch.tensor([.3]), torch.tensor([1.]), np.random.default_rng(3), colour)[0].double()
    h,n = room(impulse), 131072
    plain = torch.fft.irfft(torch.fft.rfft(x[0].double(), n)*torch.fft.rfft(h, n), n)[20000:70000]
    assert (room(x)-plain).abs().max()<1e-3*plain.abs().max()   
