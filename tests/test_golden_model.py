"""Encoder, heads and embeddings against the numbers of the reference implementation (tests/data/golden), and clips in batches against clips alone.

Inputs, seeds and sizes are read from the JSON files; another set with the same layout is checked with AUDIOSSL_GOLDEN=FOLDER.
"""
import json, os, re, sys
from pathlib import Path
import numpy as np, pytest, torch
from safetensors.torch import load_file
from audiossl.checkpoint import load_model
from audiossl.methods.atstframe.embedding import embed_clips, get_scene_embedding, get_timestamp_embedding
from audiossl.models.frame import FrameEncoder, frame_encoder
from audiossl.models.heads import AttentionHead, LinearHead
from audiossl.models.transformer import Attention, key_mask
from audiossl.transforms.logmel import LogMel

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))
sys.path.insert(0, str(HERE))
from golden_inputs import checksum, fill, mask, spec, wave

read = lambda name: (json.loads((GOLDEN/f'{name}.json').read_text()), np.load(GOLDEN/f'{name}.npz'))
J4,Z4 = read('04_frame')
J7,Z7 = read('07_embedding')
J8,Z8 = read('08_downstream')
E4,E7,E8 = J4['entries'],J7['entries'],J8['entries']
close = lambda a, b, tol: np.testing.assert_allclose(a.detach().numpy(), b, rtol=0, atol=tol)

@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad(): yield

def formula(text): # 'spec(4100, 3, 1, 64, 101)' -> what it says
    name,args = re.fullmatch(r'(spec|mask|wave)\(([\d., ]+)\)', text).groups()
    return torch.from_numpy(dict(spec=spec, mask=mask, wave=wave)[name](*[float(o) if '.' in o else int(o) for o in args.split(',')]))

def filled(module, seed):
    module.load_state_dict({k:torch.from_numpy(np.asarray(fill(k, v.shape, seed))) for k,v in module.state_dict().items()})
    return module.eval()

# --- 04: the encoder

@pytest.fixture(scope='module')
def encoders(): return {k:filled(FrameEncoder(**m['kwargs']), J4['weights_seed']) for k,m in J4['models'].items()}

@pytest.mark.parametrize('name', J4['models'])
def test_names_and_shapes(name, encoders):
    state = encoders[name].state_dict()
    assert list(state)==list(J4['models'][name]['keys'])
    assert {k:list(v.shape) for k,v in state.items()}==J4['models'][name]['keys']

@pytest.mark.parametrize('key', [k for k,e in E4.items() if 'upstream_raises' not in e])
def test_encoder(key, encoders):
    e = E4[key]
    given = lambda name: formula(J4['inputs'][name]['formula'] if name in J4['inputs'] else name)
    name,part = re.fullmatch(r'(.*?)(?:\[:(\d+)\])?', e['x']).groups()
    x,enc = given(name)[:part and int(part)],encoders[e['model']]
    length = torch.tensor(e['length']) if 'length' in e else None
    if e['fn']=='forward': y = enc(x, given(e['mask']), e['mask_input'], length)
    elif e['fn']=='get_intermediate_layers': y = enc.get_intermediate_layers(x, length, e['n'], e['scene'])
    elif e['fn']=='get_cls': y = enc.get_cls(x, length)
    elif e['fn']=='get_last_selfattention':
        y = enc.get_attention(x)
        assert len(y)==e['of']
        y = y[e['item']]
    elif e['fn'].startswith('positional table'):
        y = torch.cat([enc.pos_embed[:,:1], enc.positions(x.shape[2]//enc.patch_h, x.shape[3]//enc.patch_w)], 1)
    else: pytest.fail(f'{key}: no test for {e["fn"]}')
    assert list(y.shape)==e['shape']
    close(y, Z4[key], 2e-5)

def test_stored_weights(encoders):
    files = [(k,m['file']) for k,m in J4['models'].items() if 'file' in m]
    for k,f in files:
        enc = load_model(GOLDEN/f, **J4['models'][k]['kwargs'])
        for a,b in zip(enc.state_dict().values(), encoders[k].state_dict().values()): assert torch.equal(a, b)
    assert files

# --- 06: what a checkpoint of pre-training holds

@pytest.mark.parametrize('size', ['small','base'])
@pytest.mark.parametrize('who', ['student','teacher'])
def test_checkpoint_layout(size, who):
    j = json.loads((GOLDEN/f'06_ckpt_frame_{size}.json').read_text())
    prefix = f'model.{who}.encoder.'
    want = {k.removeprefix(prefix):v[0] for k,v in j['state_dict'].items() if k.startswith(prefix)}
    with torch.device('meta'): have = frame_encoder(size).state_dict()
    assert list(have)==list(want)
    assert {k:list(v.shape) for k,v in have.items()}==want

# --- 07: embeddings of whole waves

@pytest.fixture(scope='module')
def model(): return load_model(GOLDEN/'07_embed_model.safetensors', **J7['model']['kwargs'])

def waves(key): # the waves that an entry speaks of, (B, 1, n)
    e,kind = E7[key],key.split('.')[0]
    found = re.findall(r'wave\([^)]*\)', E7[key.replace(kind, 'scene', 1)]['wave'] if key.endswith('.batch') else e['wave'])
    return torch.stack([formula(o) for o in found])

@pytest.mark.parametrize('key', E7)
def test_embedding(key, model):
    e,x = E7[key],waves(key)
    if key.startswith('scene.'): y = get_scene_embedding(x, model, parity=True)
    else:
        y,ms = get_timestamp_embedding(x, model, parity=True)
        assert y.shape[1]==e.get('token_count', y.shape[1])
        if 'tokens_per_chunk' in e: assert y.shape[1]==sum(e['tokens_per_chunk'])
        if key.startswith('timestamps_ms.'): y = ms
    if 'full' in e:
        assert list(y.shape)==e['full']['shape']
        c = checksum(y.numpy())
        for k in ('mean','std','abs_max','first'): np.testing.assert_allclose(c[k], e['full'][k], rtol=0, atol=1e-4)
    if every := re.search(r'\.every(\d+)$', key): y = y[:,::int(every[1])]
    if key in Z7: close(y, Z7[key], 1e-4)
    if 'shape' in e: assert list(y.shape)==e['shape']

@pytest.mark.parametrize('key', [k for k in E7 if k.startswith('scene.')])
def test_tokenless_rest(key, model):
    "By default only chunks with a token count: equal to the reference but where its last chunk is empty"
    chunks,y = E7[key].get('tokens_per_chunk', [1]),get_scene_embedding(waves(key), model)
    close(y, Z7[key]*len(chunks)/sum(c>0 for c in chunks), 2e-4)
    close(embed_clips(model, list(waves(key)[:,0])), y, 1e-5)

def test_embed_batch(model):
    "A clip's embedding does not depend on the others, from 0.05 s to a minute"
    rng = np.random.default_rng(0)
    seconds = [.05,60,30.07,10.02,.02,*rng.uniform(.05, 3, 25),1,1,1,10,20.02]
    clips = [torch.from_numpy(rng.standard_normal(int(s*16000)).astype(np.float32)*10**rng.uniform(-4,0)) for s in seconds]
    alone = torch.cat([embed_clips(model, [c]) for c in clips])
    order = rng.permutation(len(clips))
    assert not model.training
    for size in (1,7,64): close(embed_clips(model, [clips[i] for i in order], batch_size=size), alone[order], 1e-5)
    model.train()
    close(embed_clips(model, clips[3:9], n_blocks=1), alone[3:9,-model.embed_dim:], 1e-5)       # no drop path, and the mode is put back
    assert model.training and model.eval()
    assert embed_clips(model, []).shape==(0, alone.shape[1])
    with torch.enable_grad(): torch.nn.Linear(alone.shape[1], 1)(embed_clips(model, clips[6:8])).sum().backward()       # a head can be trained on it
    for kwargs,why in [(dict(batch_size=0),'batch_size=0'), (dict(n_blocks=0),'n=0'), (dict(n_blocks=9),'n=9')]:
        with pytest.raises(ValueError, match=why): embed_clips(model, clips[:1], **kwargs)
    for bad,why in [(torch.zeros(1,800),'shape'), (torch.zeros(0),'shape'), (torch.full((800,), torch.nan),'holds NaN')]:
        with pytest.raises(ValueError, match='waves.1.: '+why): embed_clips(model, [clips[0], bad])
    with pytest.raises(TypeError, match='waves.1.: floating'): embed_clips(model, [clips[0], torch.zeros(800).short()])

def test_settings_of_training():
    "`embed_clips` follows the window and the chunks that an encoder was trained with"
    enc = frame_encoder('tiny').eval()
    x = torch.randn(16000*3, generator=torch.Generator().manual_seed(0))*.1
    enc.hyper_param = dict(win_length=640, anchor_len=2., n_mels=64)
    mel = LogMel(win_length=640)(x)[None,None]
    want = (enc.get_intermediate_layers(mel[...,:201], n=4)+enc.get_intermediate_layers(mel[...,201:], n=4))/2
    close(embed_clips(enc, [x]), want, 1e-5)
    square = FrameEncoder(64, 1, 1, patch_h=16, patch_w=16).eval()                      # its token lasts 160 ms
    assert embed_clips(square, [x[:800], x]).isfinite().all()

# --- 08: heads

@pytest.mark.parametrize('key', [k.removesuffix('.train') for k in E8 if k.startswith('head.') and k.endswith('.train')])
def test_linear_head(key):
    e = E8[f'{key}.train']
    dim,C = e['keys']['linear.weight'][::-1]
    head = LinearHead(dim, C, **e['kwargs'])
    assert list(head.state_dict())==list(e['keys'])
    filled(head, int(re.search(r', (\d+)\)', e['weights'])[1])).train()
    close(head(formula(e['x'])), Z8[f'{key}.train'], 2e-5)
    close(head.eval()(formula(E8[f'{key}.eval_after']['x'])), Z8[f'{key}.eval_after'], 2e-5)
    for k,v in head.state_dict().items():
        if f'{key}.{k}' in Z8: close(v, Z8[f'{key}.{k}'], 1e-5)

def test_attention_head():
    e = E8['attention_head.eval']
    head = AttentionHead(**e['kwargs'])
    assert {k:list(v.shape) for k,v in head.state_dict().items()}==e['keys']
    filled(head, int(re.search(r', (\d+)\)', e['weights'])[1]))
    close(head(formula(e['x'])), Z8['attention_head.eval'], 2e-5)

# --- the fused attention against the formula, written out

def naive(attn, x, length):
    B,P,D = x.shape
    q,k,v = attn.qkv(x).reshape(B, P, 3, attn.num_heads, -1).permute(2,0,3,1,4)
    add = torch.zeros(B, 1, P, P)
    for i,n in enumerate(length): add[i,...,n:] = -10_000
    w = (q @ k.transpose(-2,-1) * (D//attn.num_heads)**-.5 + add).softmax(-1)
    return attn.proj((w@v).transpose(1,2).reshape(B, P, D))

@pytest.mark.parametrize('dim,heads,P', [(128,2,250), (384,6,250), (48,3,25), (64,1,7), (64,2,1)])
def test_attention(dim, heads, P):
    g = torch.Generator().manual_seed(P)
    attn = Attention(dim, heads)
    attn.qkv.weight.copy_(torch.randn(3*dim, dim, generator=g)*dim**-.5)
    x = torch.randn(6, P, dim, generator=g)
    for length in ([P]*6, [P,P//2,1,0,P-1,P//3], [0]*6):
        mask,want = key_mask(torch.tensor(length), P),naive(attn, x, length)
        assert (mask is None)==(min(length)==P) and (mask is None or mask.shape==(6,1,1,P))
        close(attn(x, mask), want, 1e-5)
        close(attn(x, mask, return_attention=True)[0], want, 1e-5)

def test_no_large_mask():
    "Fused attention over a padded batch allocates nothing of size B x P x P (inside `fast_on_cpu` the table is made on purpose)"
    from torch.utils._python_dispatch import TorchDispatchMode
    seen = []
    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, fn, types, args=(), kwargs=None):
            out = fn(*args, **(kwargs or {}))
            seen.extend(o.untyped_storage().nbytes()//4 for o in (out if isinstance(out, (tuple,list)) else [out]) if isinstance(o, torch.Tensor))
            return out
    enc = FrameEncoder(16, 1, 1, spec_h=16, patch_h=16).eval()
    with Sizes(): enc.run(torch.zeros(2,1,16,1001), torch.tensor([1001,500]))
    assert max(seen) < 250*250
    with Sizes(): enc.get_attention(torch.zeros(2,1,16,1001))
    assert max(seen) >= 2*250*250                       # it would have been seen
