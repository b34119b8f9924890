"""The clip encoder and the chunked form of both encoders against the numbers of the reference implementation (tests/data/golden).

Inputs, seeds and sizes are read from the JSON files; another set with the same layout is checked with AUDIOSSL_GOLDEN=FOLDER.
"""
import json, os, re, sys
from pathlib import Path
import numpy as np, pytest, torch
from safetensors.torch import load_file
from support import waved
from audiossl.models.clip import ClipEncoder, clip_encoder, masked_mean, mean_over_chunks
from audiossl.models.frame import FrameEncoder, frame_encoder

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))
sys.path.insert(0, str(HERE))
from golden_inputs import fill, mask, spec

read = lambda name: (json.loads((GOLDEN/f'{name}.json').read_text()), np.load(GOLDEN/f'{name}.npz'))
J3,Z3 = read('03_clip')
J4 = json.loads((GOLDEN/'04_frame.json').read_text())
J8,Z8 = read('08_downstream')
E3 = J3['entries']
E8 = {k:e for k,e in J8['entries'].items() if k.startswith('encoder.')}
close = lambda a, b, tol=2e-5: np.testing.assert_allclose(a.detach().numpy(), b, rtol=0, atol=tol)

@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad(): yield

def formula(text): # 'spec(3100, 3, 1, 64, 101)' -> what it says
    name,args = re.fullmatch(r'(spec|mask)\(([\d., ]+)\)', text).groups()
    return torch.from_numpy(dict(spec=spec, mask=mask)[name](*[float(o) if '.' in o else int(o) for o in args.split(',')]))

def filled(module, seed):
    module.load_state_dict({k:torch.from_numpy(np.asarray(fill(k, v.shape, seed))) for k,v in module.state_dict().items()})
    return module.eval()


def ripple(B, T):
    m = torch.arange(B*64*T, dtype=torch.float64)
    return torch.sin(.013*m+.5*torch.cos(.0007*m)).float().view(B, 1, 64, T)

# --- 03: the encoder

@pytest.fixture(scope='module')
def encoders(): return {k:filled(ClipEncoder(**m['kwargs']), J3['weights_seed']) for k,m in J3['models'].items()}

@pytest.mark.parametrize('name', J3['models'])
def test_names_and_shapes(name, encoders):
    state = encoders[name].state_dict()
    assert list(state)==list(J3['models'][name]['keys'])
    assert {k:list(v.shape) for k,v in state.items()}==J3['models'][name]['keys']

def result(key, encoders):
    e = E3[key]
    given = lambda name: formula(J3['inputs'][name]['formula'] if name in J3['inputs'] else name)
    name,part = re.fullmatch(r'(.*?)(?:\[:(\d+)\])?', e['x']).groups()
    x,enc = given(name)[:part and int(part)],encoders[e['model']]
    length = torch.tensor(e['length']) if e.get('length') else None
    if e['fn'].startswith('forward'):
        return enc(x, given(e['mask']) if 'mask' in e else None, length, avg='avg=True' in e['fn'])
    if e['fn']=='get_intermediate_layers_chunks':
        return enc.get_intermediate_layers_chunks(x, length, e['n'], e['chunk_len'], e['avgpool'], parity=True)
    if e['fn'].startswith('positional table'):
        native = x.shape[2:]==(enc.spec_h,enc.spec_w)
        return torch.cat([enc.pos_embed[:,:1], enc.positions(x.shape[2]//enc.patch_h, x.shape[3]//enc.patch_w, native)], 1)
    if e['fn']=='get_intermediate_layers': y = enc.get_intermediate_layers(x, length, e['n'])
    elif e['fn']=='get_last_selfattention': y = enc.get_attention(x)
    else: pytest.fail(f'{key}: no test for {e["fn"]}')
    assert len(y)==e['of']
    return y[e['item']]

@pytest.mark.parametrize('key', [k for k,e in E3.items() if 'upstream_raises' not in e])
def test_encoder(key, encoders):
    y = result(key, encoders)
    assert list(y.shape)==E3[key]['shape']
    close(y, Z3[key])

@pytest.mark.parametrize('key', [k for k,e in E3.items() if 'upstream_raises' in e])
def test_where_the_reference_fails(key, encoders):
    "No class token and an empty last chunk: here the result is the one of the chunks that are not empty; anything else is one clear error"
    e = E3[key]
    if e['fn']!='get_intermediate_layers_chunks' or encoders[e['model']].use_cls or e['n']!=1 or not e['avgpool']:
        with pytest.raises(ValueError): result(key, encoders)
        return
    y = result(key, encoders)
    enc,x,c,left = encoders[e['model']],formula(J3['inputs'][e['x']]['formula']),e['chunk_len'],torch.tensor(e['length'])
    want = torch.zeros(len(x), y.shape[1]//2)
    for row,n in enumerate(e['length']):
        means = []
        for start in range(0, n, c):
            if start and n-start<=c//2: continue
            t = enc.get_intermediate_layers(x[row:row+1,...,start:min(start+c, n)], n=1)[0][:,1:]
            means.append(t.sum(1)/((n-start)//enc.patch_w+1e-6))
        want[row] = torch.stack(means).mean(0)
    close(y[:,y.shape[1]//2:], want)
    assert (y[:,:y.shape[1]//2]==0).all()

def test_stored_weights(encoders):
    files = [(k,m['file']) for k,m in J3['models'].items() if 'file' in m]
    for k,f in files:
        enc = ClipEncoder(**J3['models'][k]['kwargs'])
        enc.load_state_dict(load_file(GOLDEN/f))
        for a,b in zip(enc.state_dict().values(), encoders[k].state_dict().values()): assert torch.equal(a, b)
    assert files

# --- 08: frozen encoders over chunks

@pytest.mark.parametrize('key', E8)
def test_chunked(key, encoders):
    e,kind = E8[key],key.split('.')[1]
    model = e['model'].split()[-1]
    enc = encoders[model] if kind=='clip' else filled(FrameEncoder(**J4['models'][model]['kwargs']), J4['weights_seed'])
    x,length,n = formula(e['x']),torch.tensor(e['length']),int(re.search(r'\.n(\d+)$', key)[1])
    y = enc.get_intermediate_layers_chunks(x, length, n, e['chunk_len'], parity=True)
    assert list(y.shape)==e['shape']
    close(y, Z8[key])
    fixed = enc.get_intermediate_layers_chunks(x, length, n, e['chunk_len'])
    if kind=='frame': close(fixed, y, 0)
    else: close(fixed[:,:n*enc.embed_dim], y[:,:n*enc.embed_dim], 0)            # the class half never differs

# --- a second set of numbers, at true size

@pytest.fixture(scope='module')
def small(): return waved(clip_encoder('small')),waved(frame_encoder('small'))

def test_small_clip(small):
    enc,x = small[0],ripple(2, 1001)
    y = enc(x[...,:601], length=torch.tensor([601,430]))
    close(y[:,:4], [[-1.1876199,-.9569078,-.3062313,.6273837],[-1.1873702,-.9559211,-.3060565,.6263504]], 1e-5)
    sums = [t.sum().item() for t in enc.get_intermediate_layers(x[...,:601], torch.tensor([601,430]), n=2)]
    np.testing.assert_allclose(sums, [-349.81187,-380.96066], atol=2e-2)
    length = torch.tensor([1001,430])
    y = enc.get_intermediate_layers_chunks(x, length, parity=True)
    np.testing.assert_allclose(y.sum().item(), -5.36649, atol=1e-3)
    close(y[0,:3], [-1.1855266,-.9572482,-.3084027], 1e-5)
    close(y[:,384:387], [[-1.0770841,-.8245763,-.1464149],[-1.3469113,-1.0305054,-.1824440]], 1e-5)
    y = enc.get_intermediate_layers_chunks(x, length, n=12, parity=True)
    assert y.shape==(2,9216)
    np.testing.assert_allclose(y.sum().item(), -83.69607, atol=1e-2)
    close(y[0,:3], [-.0942543,.1029616,-.5076045], 1e-5)
    close(y[:,4608:4611], [[-1.2153755,-.4591558,.4161148],[-1.5260348,-.5726031,.5260192]], 1e-5)
    y = enc.get_intermediate_layers_chunks(x[...,:601], torch.tensor([601,430]), parity=True)
    np.testing.assert_allclose(y.sum().item(), -5.61880, atol=1e-3)
    att = enc.get_attention(ripple(2, 1001)[:1,...,:101])
    assert len(att)==12 and att[-1].shape==(1,6,26,26)
    close(att[-1][0,0,0,:3], [.0313909,.0428510,.0413408], 1e-6)

def test_small_chunked(small):
    clip,frame = small
    x,length = ripple(3, 1201),torch.tensor([1201,1001,401])
    y = clip.get_intermediate_layers_chunks(x, length, parity=True)
    np.testing.assert_allclose(y.sum().item(), -7.82227, atol=1e-3)
    close(y[:,[0,384]], [[-1.172839,-.958463],[-1.172778,-1.016887],[-1.172614,-1.272577]], 1e-5)
    for T,first,total in [(1201,[-1.387134,-1.394798,-1.385663],-5.31369), (1521,[-1.440692,-1.437446,-1.441464],-5.31500)]:
        y = frame.get_intermediate_layers_chunks(ripple(3, T), torch.tensor([T,1001,401]))
        np.testing.assert_allclose(y.sum().item(), total, atol=1e-3)
        close(y[:,0], first, 1e-5)

# --- what both encoders must keep

@pytest.fixture(params=['clip','clip without class token','frame'])
def pair(request): # an encoder with positions that matter, and what it makes of clips of any length
    torch.manual_seed(0)
    if request.param=='frame': enc = FrameEncoder(64, 3, 2)
    else: enc = ClipEncoder(64, 3, 2, use_cls=request.param=='clip')
    enc.pos_embed *= 20
    return enc.eval(),lambda *a, **kw: enc.get_intermediate_layers_chunks(*a, **{'n':3, **kw})

def test_batches(pair):
    "A clip alone, and in any batch: from 10 ms to 35 s; padding holds anything"
    enc,chunks = pair
    rng = np.random.default_rng(0)
    length = torch.tensor([3501,1001,1002,1503,601,602,902,903,20,19,3,1,0,*rng.integers(1, 2000, 6)])
    x = torch.from_numpy(rng.standard_normal((len(length),1,64,3501), dtype=np.float32))
    pad = torch.arange(3501) >= length[:,None]
    x.masked_fill_(pad[:,None,None], 1e4)
    y = chunks(x, length)
    assert y.isfinite().all()
    for i,n in enumerate(length):
        if n: close(y[i:i+1], chunks(x[i:i+1,...,:n]), 1e-5)
        close(y[i:i+1], chunks(x[i:i+1], length[i:i+1]), 1e-5)

def test_not_a_number_only_in_parity(pair):
    enc,chunks = pair
    x,length = torch.randn(2,1,64,130),torch.tensor([0,130])
    assert chunks(x, length, parity=True).isnan().any(1).tolist()==[True,False]
    assert chunks(x, length).isfinite().all()
    for bad in ([131,5],[-1,5],[5]):
        with pytest.raises(ValueError, match='length'): chunks(x, torch.tensor(bad))
    with pytest.raises(ValueError, match='chunk_len=0'): chunks(x, chunk_len=0)
    with pytest.raises(ValueError, match='n=4: 1 to 3'): chunks(x, n=4)
    with pytest.raises(ValueError, match='500 tokens in time, but there are positions for 250'): chunks(torch.zeros(1,1,64,2000), chunk_len=2000)

def test_divisor():
    "The reference's mean half against the mean, by hand"
    enc = ClipEncoder(16, 1, 1).eval()
    x = torch.randn(1,1,64,1001, generator=torch.Generator().manual_seed(0))
    halves = [masked_mean(enc.get_intermediate_layers(o)[0][:,1:])[0] for o in (x[...,:601], x[...,601:])]
    close(enc.get_intermediate_layers_chunks(x)[0,16:], (halves[0]+halves[1])/2, 1e-6)
    close(enc.get_intermediate_layers_chunks(x, parity=True)[0,16:], (halves[0]*150/250+halves[1])/2, 1e-6)

def test_short_for_the_frame_encoder():
    enc = FrameEncoder(16, 1, 1).eval()
    x = torch.randn(2,1,64,20)
    close(enc.get_intermediate_layers_chunks(x), enc.get_intermediate_layers(x), 1e-6)
    with pytest.raises(ValueError, match='20 frames; .*more than 20'): enc.get_intermediate_layers_chunks(x, parity=True)
    wide = torch.randn(2,1,64,48)                       # chunks of 30: 18 of 20 frames are too few in any batch
    close(enc.get_intermediate_layers_chunks(wide, torch.tensor([48,30]), chunk_len=30), enc.get_intermediate_layers(wide[...,:30]), 1e-6)

def test_paths(pair):
    "The fused path is the one that can be looked into; no mask where every clip is full, none larger than a row of keys"
    from audiossl.models import transformer
    enc,_ = pair
    x = torch.randn(3,1,64,401)
    for length in (None,torch.tensor([401,401,401]),torch.tensor([401,97,0])):
        seen,original = [],torch.nn.functional.scaled_dot_product_attention
        def spy(*a, attn_mask=None): seen.append(attn_mask); return original(*a, attn_mask=attn_mask)
        transformer.F.scaled_dot_product_attention = spy
        try: fused = enc.run(x, length, n=3)[0]
        finally: transformer.F.scaled_dot_product_attention = original
        if length is None or length.min()==401: assert seen==[None]*3
        else: assert [tuple(m.shape) for m in seen]==[(3,1,1,100+enc.n_front)]*3
        t,n = enc.tokens(x, length)
        hide = transformer.key_mask(None if n is None else n+enc.n_front, t.shape[1])
        for b,f,a in zip(enc.blocks, fused, enc.get_attention(x, length)):
            t,att = b(t, hide, True)
            close(t, f, 1e-5)
            assert torch.equal(a, att)

def test_grad_checkpointing(pair):
    "The same gradients, with clips that skip branches"
    enc,_ = pair
    enc.train()
    x,length = torch.randn(4,1,64,101),torch.tensor([101,80,33,101])
    def gradients(again):
        enc.grad_checkpointing = again
        enc.zero_grad()
        torch.manual_seed(3)
        with torch.enable_grad(): enc(x, length=length).square().sum().backward()
        return {k:p.grad.clone() for k,p in enc.named_parameters() if p.grad is not None}
    a,b = gradients(False),gradients(True)
    assert a.keys()==b.keys() and all(torch.equal(a[k], b[k]) for k in a)

def test_can_be_compiled(pair):
    "In one piece where all clips are full; with lengths in pieces, to the same numbers"
    enc,_ = pair
    x = torch.randn(2,1,64,101)
    whole = torch.compile(lambda x: enc.run(x, n=2)[0], backend='eager', fullgraph=True)
    for a,b in zip(whole(x), enc.run(x, n=2)[0]): close(a, b, 1e-6)
    length = torch.tensor([101,50])
    close(torch.compile(enc, backend='eager')(x, length=length), enc(x, length=length), 1e-6)

def test_interpolated_positions():
    enc = ClipEncoder(16, 1, 1, pos_type='interpolate', spec_w=101).eval()
    assert enc(torch.zeros(1,1,64,3000)).shape==(1,16)              # no limit
    with pytest.raises(ValueError, match="use_cls=False: .*only 'cut'"): ClipEncoder(16, 1, 1, pos_type='interpolate', use_cls=False)
