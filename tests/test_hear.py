"""The HEAR 2021 API by its published rules, and the adapters for other suites by theirs; the suites themselves are not needed."""
import inspect
import numpy as np, pytest, torch
from torch import nn
from audiossl import adapters, hear
from audiossl.checkpoint import create_model, save_pretrained
from audiossl.methods.atstframe.embedding import embed_clips, get_scene_embedding, get_timestamp_embedding

def close(a, b, tol=1e-5): torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=0, atol=tol)
def noise(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))*.1

@pytest.fixture(params=['clip','frame'])
def path(request, tmp_path):
    torch.manual_seed(0)
    return str(save_pretrained(create_model(f'atst_{request.param}_tiny'), tmp_path/'model'))

def test_names():
    for f,args in ((hear.load_model, ['model_file_path']), (hear.get_scene_embeddings, ['audio','model']), (hear.get_timestamp_embeddings, ['audio','model'])):
        assert list(inspect.signature(f).parameters)==args

def test_model(path):
    m = hear.load_model(path)
    assert isinstance(m, nn.Module) and not m.training and m.sample_rate==16000
    for o in ('scene_embedding_size','timestamp_embedding_size'): assert type(getattr(m, o)) is int
    with pytest.raises(ValueError): hear.load_model()
    with pytest.raises(FileNotFoundError): hear.load_model(path+'x')

@pytest.mark.parametrize('seconds', [.1, 2, 12.5, 31])
def test_embeddings(path, seconds):
    m = hear.load_model(path)
    audio = noise(4, int(seconds*m.sample_rate)).clamp(-1, 1)
    scenes,(x,ms) = hear.get_scene_embeddings(audio, m),hear.get_timestamp_embeddings(audio, m)
    assert scenes.shape==(4, m.scene_embedding_size) and scenes.dtype==torch.float32
    assert x.ndim==3 and x.shape==(4, ms.shape[1], m.timestamp_embedding_size) and x.dtype==torch.float32 and ms.shape==x.shape[:2]
    assert scenes.device==x.device==ms.device==m.pos_embed.device and not scenes.requires_grad and not x.requires_grad
    assert scenes.isfinite().all() and x.isfinite().all()
    assert (ms>=0).all() and (ms<=seconds*1000).all() and (ms==ms[:1]).all()
    assert (ms.diff(dim=1)>0).all() and torch.all(ms.diff(dim=1)==40)                       # even steps, at most 50 ms, over all chunks
    assert abs(x.shape[1]-seconds*25)<=1                                                    # none is left out at the end
    close(torch.cat([hear.get_scene_embeddings(a[None], m) for a in audio]), scenes)
    close(torch.cat([hear.get_timestamp_embeddings(a[None], m)[0] for a in audio]), x)
    close(scenes, get_scene_embedding(audio, m))
    if seconds<6: close(x, get_timestamp_embedding(audio, m)[0])

def test_time_of_a_moment(path):
    "A burst of 40 ms changes most the moment whose time is its centre, also far behind the first chunk"
    m = hear.load_model(path)
    quiet = noise(1, 16000*28)*1e-3
    for at in (415, 12015, 27015):
        loud = quiet.clone()
        loud[0,(at-20)*16:(at+20)*16] += noise(640, seed=at)*3
        a,ms = hear.get_timestamp_embeddings(loud, m)
        b,_ = hear.get_timestamp_embeddings(quiet, m)
        assert abs(ms[0,(a-b).norm(dim=2)[0].argmax()]-at)<=40

def test_many_sounds(path, monkeypatch):
    "More than fits into a pass is done in parts"
    from audiossl.methods.atstframe import embedding
    m,seen = hear.load_model(path),[]
    real = embedding.get_scene_embedding
    monkeypatch.setattr(embedding, 'get_scene_embedding', lambda a, m: (seen.append(a.numel()), real(a, m))[1])
    y = hear.get_scene_embeddings(noise(1, 16000).expand(300, -1), m)
    assert len(y)==300 and len(seen)>1 and max(seen)<=2**22

def test_bad_input(path):
    m = hear.load_model(path)
    for f in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
        for bad in (noise(16000), noise(2, 1, 16000), torch.zeros(0, 16000), np.zeros((2, 16000), np.float32), noise(2, 16000)*float('nan')):
            with pytest.raises(ValueError): f(bad, m)
        with pytest.raises(ValueError, match='take one from load_model'): f(noise(2, 16000), nn.Linear(1, 1))

# ---- other suites ------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('n_blocks', [1, 3])
def test_xares(path, n_blocks):
    enc = adapters.XaresEncoder(path, n_blocks)
    assert isinstance(enc, nn.Module) and (enc.sampling_rate, enc.hop_size_in_ms, enc.output_dim)==(16000, 40, 128*n_blocks)
    for shape in ((1,16000), (3,50000), (2,16000*25), (16000,), (2,513), (1,1000)):
        y = enc(noise(*shape))
        assert y.shape==(shape[0] if len(shape)>1 else 1, max(1, (1+shape[-1]//160)//4), enc.output_dim) and y.isfinite().all()
    enc.train()
    close(enc(noise(1, 16000)), get_timestamp_embedding(noise(1, 16000), enc.model.eval(), n_blocks=n_blocks)[0])
    class Mine(adapters.XaresEncoder):                      # as a suite's file would hold it
        def __init__(self): super().__init__(path)
    assert Mine().output_dim==128

def test_mteb(path):
    enc = adapters.MtebEncoder(path)
    waves = [noise(n, seed=n) for n in (16000,8000,50000,16000*13)]
    batches = [{'audio':[dict(array=w.numpy(), sampling_rate=16000) for w in waves[:3]], 'text':['a']*3}, {'audio':[dict(array=waves[3].numpy(), sampling_rate=16000)]}]
    x = enc.encode(batches, task_metadata=object(), hf_split='test', hf_subset='default', prompt_type=None)
    assert isinstance(x, np.ndarray) and x.dtype==np.float32 and x.shape==(4, enc.embed_dim)
    close(x, embed_clips(enc.model, waves))
    s = enc.similarity(x, torch.from_numpy(x))
    assert s.shape==(4,4) and torch.allclose(s.diagonal(), torch.ones(4), atol=1e-5) and torch.equal(s, s.T)
    close(enc.similarity_pairwise(x, x[::-1].copy()), s[range(4),range(3,-1,-1)])
    assert enc.encode([]).shape==(0, enc.embed_dim)
    close(enc.encode([{'audio':[dict(array=np.stack([waves[0].numpy().astype(np.float64)]*2), sampling_rate=16000)]}]), x[:1])       # stereo, float64
    assert enc.encode([{'audio':[dict(array=noise(44100).numpy(), sampling_rate=44100)]}]).shape==(1, enc.embed_dim)
