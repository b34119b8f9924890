"""Embeddings of both methods: of waves alone and in any company, of files of any length, written and read back."""
import math, warnings
from pathlib import Path
import numpy as np, pytest, soundfile as sf, torch
from audiossl.audio import AudioError, load_audio, save_audio
from audiossl.checkpoint import create_model, save_pretrained
from audiossl.methods.atstframe.embedding import (embed_clips, embed_files, embed_moments, get_scene_embedding, get_timestamp_embedding, load_model,
    save_embeddings)
from audiossl.models.chunks import chunk_frames, chunk_size, chunk_vectors, front_end, least_rest, mels_in_parts, scene_width
from audiossl.models.clip import ClipEncoder
from audiossl.models.frame import FrameEncoder
from audiossl.transforms.logmel import LogMel

def close(a, b, tol=1e-5): torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=0, atol=tol)
def noise(*shape, seed=0, loud=.1): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))*loud

@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad(): yield

def encoder(kind, **kwargs):
    torch.manual_seed(0)
    return create_model(f'atst_{kind}_tiny', **kwargs)

@pytest.fixture(params=['clip','frame'])
def model(request): return encoder(request.param)

# ---- waves -------------------------------------------------------------------------------------------------------------------------------

def test_batch_invariance(model):
    "From 0.1 s to a minute, loud and quiet, whatever is beside it and however it is batched"
    rng = np.random.default_rng(0)
    seconds = [.1,60,30.07,6.01,6.02,9.03,10.02,12.5,*rng.uniform(.1, 4, 15),1,1,1]
    clips = [noise(int(s*16000), seed=i, loud=10**rng.uniform(-4, 0)) for i,s in enumerate(seconds)]
    alone = torch.cat([embed_clips(model, [c]) for c in clips])
    order = rng.permutation(len(clips))
    for size in (1,5,64): close(embed_clips(model, [clips[i] for i in order], batch_size=size), alone[order])
    close(torch.cat([get_scene_embedding(c[None], model) for c in clips]), alone)
    close(get_scene_embedding(torch.stack(clips[-3:]), model), alone[-3:])
    moments = embed_moments(model, clips, n_blocks=2)
    for (v,ms),c in zip(moments, clips):
        assert len(v)==len(ms)==(1+len(c)//160)//4 and ms[-1]==40*(len(v)-1)
        close(v, embed_moments(model, [c], n_blocks=2)[0][0])

def test_one_frame_more_or_less(model):
    "Around the borders of chunks and tokens nothing breaks and nothing jumps to zero"
    for frames in (4,7,8,300,600,601,602,604,605,901,902,1000,1001,1002,1005,1202,1203):
        x = embed_clips(model, [noise((frames-1)*160, seed=frames)])
        assert x.isfinite().all() and .5<x.std()<2, frames

def test_clip_scene_is_its_chunks():
    "The clip method's scene: the encoder's own chunked features, mended by default, the reference's with parity"
    model = encoder('clip')
    for seconds in (1,6,10,12.5,31):
        wave = noise(2, int(seconds*16000))
        mel = LogMel()(wave)[:,None]
        for parity in (False, True):
            for n in (1,4):
                want = model.get_intermediate_layers_chunks(mel, torch.full((2,), mel.shape[-1]), n, 601, parity=parity)
                close(get_scene_embedding(wave, model, parity, n_blocks=n), want)
        half = model.config['depth']*model.config['embed_dim']
        a,b = (get_scene_embedding(wave, model, p) for p in (False, True))
        close(a[:,:half], b[:,:half])                                                   # class tokens do not know of the defect
        assert (seconds<=6)==bool((a-b).abs().max()<1e-4)
    wave = noise(1, 160_000)                                                            # 10 s: the first of two chunks counts 250 tokens where it has 150
    mel = LogMel()(wave)[:,None]
    one,two = (chunk_vectors(model, mel[...,a:b])[:,half:] for a,b in ((0,601),(601,1001)))
    close(get_scene_embedding(wave, model)[:,half:], (one+two)/2)
    close(get_scene_embedding(wave, model, parity=True)[:,half:], (one*150/250+two)/2)

def test_chunks_follow_training():
    clip,frame = encoder('clip'),encoder('frame')
    assert (chunk_size(clip), chunk_size(frame))==(601,1001)
    clip.hyper_param,frame.hyper_param = {'train_len':3.},{'anchor_len':6., 'win_length':640}
    assert (chunk_size(clip), chunk_size(frame), front_end(frame).win_length)==(301,601,640)
    clip.hyper_param = {'train_len':60.}
    assert chunk_size(clip)==1001                                                       # no more than it has positions for
    assert chunk_frames(902, 601, least_rest(clip, 601))==[(0,601),(601,902)] and chunk_frames(901, 601, least_rest(clip, 601))==[(0,601)]

@pytest.mark.parametrize('make', [ClipEncoder, FrameEncoder])
def test_low_patches(make):
    "Four patches above one another are one moment"
    model = make(64, 2, 1, patch_h=16, patch_w=16).eval()
    x,ms = get_timestamp_embedding(noise(2, 32000), model)
    assert x.shape==(2,12,128) and ms[0].tolist()==[160.*i for i in range(12)]
    y = model.get_intermediate_layers(LogMel()(noise(2, 32000))[:,None], *((None,1) if make is ClipEncoder else (None,1,False)))
    y = y[0][:,1:] if make is ClipEncoder else y
    close(x[...,64:], y.reshape(2, 12, 4, 64).mean(2))
    close(embed_clips(model, [noise(32000), noise(9000, seed=1)])[0], embed_clips(model, [noise(32000)])[0])

def test_no_class_token():
    model = ClipEncoder(64, 2, 1, use_cls=False).eval()
    x = embed_clips(model, [noise(16000), noise(20000, seed=1)])
    assert x.shape==(2,256) and x[:,:128].abs().max()==0 and x[:,128:].abs().max()>0

def test_too_short(model):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('default')
        for n in (1,100,512): assert get_scene_embedding(noise(1, n), model).isfinite().all() and embed_clips(model, [noise(n)]*3).isfinite().all()
    assert {str(o.message)[:40] for o in said}=={'a wave below 513 samples is padded with '} and len(said)==2       # once from each place
    close(embed_clips(model, [noise(640).index_fill(0, torch.arange(512, 640), 0.)]), embed_clips(model, [noise(640)[:512]]))
    for f in (get_scene_embedding, get_timestamp_embedding):
        with pytest.raises(ValueError, match='512 samples; with parity at least 513'): f(noise(1, 512), model, parity=True)
        assert f(noise(1, 513), model, parity=True)[0].isfinite().all()

def test_bad_waves(model):
    for f in (get_scene_embedding, get_timestamp_embedding):
        for bad,error in [(noise(800), 'shape'), (noise(2, 2, 800), 'shape'), (torch.zeros(1, 0), 'shape'), (torch.full((1,800), math.inf), 'NaN or infinite')]:
            with pytest.raises(ValueError, match=error): f(bad, model)
        with pytest.raises(TypeError, match='floating point'): f(torch.zeros(1, 800, dtype=torch.int16), model)
        with pytest.raises(ValueError, match='n=9'): f(noise(1, 800), model, n_blocks=9)
    with pytest.raises(ValueError, match='waves.1.: holds NaN'): embed_moments(model, [noise(800), noise(800)*math.nan])
    assert embed_clips(model, []).shape==(0, scene_width(model)) and embed_moments(model, [])==[]

def test_mode_and_gradient(model):
    model.train()
    a = embed_clips(model, [noise(16000)])
    assert model.training
    close(a, embed_clips(model.eval(), [noise(16000)]))
    with torch.enable_grad():
        get_scene_embedding(noise(1, 16000), model).sum().backward()                    # the reference's functions can be trained through
        assert model.pos_embed.grad is not None and not embed_clips(model, [noise(16000)]).requires_grad

def test_load_model(model, tmp_path):
    m = load_model(save_pretrained(model, tmp_path))
    assert m.sample_rate==16000 and isinstance(m.transform, LogMel)
    assert get_scene_embedding(noise(1, 16000), m).shape==(1, m.scene_embedding_size)
    assert get_timestamp_embedding(noise(1, 16000), m)[0].shape==(1, 25, m.timestamp_embedding_size)
    assert (m.scene_embedding_size, m.timestamp_embedding_size)==((1024,512) if isinstance(m, ClipEncoder) else (512,512))

# ---- files -------------------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def files(tmp_path):
    "Of several lengths, rates and channels"
    out = []
    for i,(s,sr,channels,kind) in enumerate([(1,16000,1,'wav'), (12.5,44100,2,'flac'), (.05,16000,1,'wav'), (3,8000,1,'ogg'), (30,16000,1,'flac')]):
        out.append(tmp_path/f'{i}.{kind}')
        save_audio(out[-1], noise(channels, int(s*sr), seed=i).clamp(-1, 1), sr)
    return out

def test_files(model, files):
    told = []
    got = list(embed_files(model, files, progress=lambda *o: told.append(o)))
    assert [g.path for g in got]==[str(f) for f in files] and told==[(i+1, 5, str(f)) for i,f in enumerate(files)]
    assert [round(g.seconds, 2) for g in got]==[1,12.5,.05,3,30] and all(g.ms is None for g in got)
    waves = [load_audio(f) for f in files]
    close(torch.stack([g.vectors for g in got]), embed_clips(model, waves))
    for g,(v,ms) in zip(embed_files(model, map(str, files), moments=True, n_blocks=1), embed_moments(model, waves, 1)):
        close(g.vectors, v)
        assert torch.equal(g.ms, ms)
    assert list(embed_files(model, []))==[] and len(list(embed_files(model, files[0])))==1

def test_files_in_parts(model, files, tmp_path, monkeypatch):
    "A file longer than what is held at once is read in parts, to the same numbers, and never as a whole"
    wave = torch.cat([noise(16000*20, loud=1e-5), noise(16000*25, seed=1, loud=1e-3), noise(16000*17, seed=2, loud=.2), noise(16000*14+77, seed=3, loud=1e-4)])
    for sr,name in ((16000,'a.wav'), (44100,'b.flac'), (22050,'c.ogg')):
        if sr==16000: save_audio(tmp_path/name, wave)
        else:
            from audiossl.audio import resample
            save_audio(tmp_path/name, resample(wave, 16000, sr).clamp(-1, 1), sr)
        whole = load_audio(tmp_path/name)
        want,(v,ms) = embed_clips(model, [whole])[0],embed_moments(model, [whole], 1)[0]
        from audiossl.methods.atstframe import embedding
        read = []
        monkeypatch.setattr(embedding, 'load_audio', lambda *o, **kw: (w := load_audio(*o, **kw), read.append(len(w)))[0])
        for most in (2**17, 2**19):
            g = next(embed_files(model, tmp_path/name, most=most))
            close(g.vectors, want)
            assert g.seconds==len(whole)/16000
            g = next(embed_files(model, tmp_path/name, moments=True, n_blocks=1, most=2**17))
            close(g.vectors, v)
            assert torch.equal(g.ms, ms)
        assert max(read)<2**19+2**16
        monkeypatch.undo()
    mixed = [files[0], tmp_path/'a.wav', files[1]]                                      # order is kept
    got = list(embed_files(model, mixed, most=2**18))
    close(torch.stack([g.vectors for g in got]), embed_clips(model, [load_audio(f) for f in mixed]))

def test_front_end_in_parts():
    for n in (513,640,160*1001,160*1001-1,160*4004+159):
        wave,cut = noise(n, loud=1)*torch.linspace(1e-6, 1, n),lambda t: chunk_frames(t, 100)
        for front in (LogMel(), LogMel(top_db=None), LogMel(win_length=640), LogMel(minmax=None)):
            mel = front(wave)
            got = [m for some in mels_in_parts(lambda a, b: wave[a:b], n, front, cut, per=3) for m in some]
            for (a,b),m in zip(cut(mel.shape[1]), got, strict=True): close(m, mel[:,a:b-(b-a)%4], 1e-4 if front.minmax else 5e-3)

def test_bad_files(model, files, tmp_path):
    bad = [tmp_path/'none.wav', tmp_path/'empty.wav', tmp_path/'text.wav', tmp_path/'cut.wav', tmp_path/'nan.wav', tmp_path]
    bad[1].write_bytes(b''); bad[2].write_text('not a sound')
    bad[3].write_bytes(files[0].read_bytes()[:5000])
    sf.write(bad[4], np.full(16000, np.nan), 16000, subtype='FLOAT')
    for b in bad:
        told,some = [],[files[0], b, files[1]]
        with pytest.raises(AudioError) as e: list(embed_files(model, some))
        assert str(b) in str(e.value) and '\n' not in str(e.value)
        with pytest.warns(UserWarning, match=f'left out: .*{b.name}') as said:
            got = list(embed_files(model, some, on_bad='skip', progress=lambda i,n,p: told.append((i,p))))
        assert [g.path for g in got]==[str(files[0]), str(files[1])] and told==[(i+1, str(p)) for i,p in enumerate(some)] and len(said)==1
        close(torch.stack([g.vectors for g in got]), embed_clips(model, [load_audio(f) for f in files[:2]]))
    for kwargs in (dict(on_bad='ignore'), dict(most=1000)):
        with pytest.raises(ValueError): embed_files(model, files, **kwargs)             # at once, not when the first is asked for
    with pytest.warns(UserWarning): assert list(embed_files(model, bad, on_bad='skip'))==[]

def test_long_bad_file(tmp_path):
    "A file that breaks off after an hour is one bad file, too"
    save_audio(tmp_path/'a.flac', noise(16000*40))
    (tmp_path/'b.flac').write_bytes((tmp_path/'a.flac').read_bytes()[:-200_000])
    model = encoder('frame')
    with pytest.raises(AudioError, match='b.flac'): list(embed_files(model, tmp_path/'b.flac', most=2**17))
    with pytest.warns(UserWarning, match='left out: .*b.flac'):
        got = list(embed_files(model, [tmp_path/'b.flac', tmp_path/'a.flac'], most=2**17, on_bad='skip'))
    assert [g.path for g in got]==[str(tmp_path/'a.flac')]

# ---- results on disk ---------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('moments', [False, True])
def test_saved(model, files, tmp_path, moments):
    import pyarrow.parquet as pq
    get = lambda: embed_files(model, files[:3], moments, n_blocks=1)
    rows,about = list(get()),{'model':'tiny', 'n':3}
    vectors = torch.cat([torch.atleast_2d(r.vectors) for r in rows]).numpy()
    assert save_embeddings(get(), tmp_path/'a.npz', about)==save_embeddings(get(), str(tmp_path/'a.parquet'), about)==3
    with np.load(tmp_path/'a.npz', allow_pickle=False) as z:
        np.testing.assert_array_equal(z['embedding'], vectors)
        assert list(z['path'])==[r.path for r in rows] and z['embedding'].dtype==np.float32 and '"tiny"' in str(z['about'])
        assert not moments or (list(z['ms'])==[t for r in rows for t in r.ms] and list(np.bincount(z['file_index']))==[len(r.ms) for r in rows])
    t = pq.read_table(tmp_path/'a.parquet')
    assert t.column_names==['path','seconds']+['ms']*moments+['embedding'] and t.schema.metadata[b'audiossl']==b'{"model": "tiny", "n": 3}'
    np.testing.assert_array_equal(np.array(t['embedding'].to_pylist(), np.float32), vectors)
    assert t['path'].to_pylist()==[r.path for r in rows for _ in range(len(r.ms) if moments else 1)]

def test_saved_whole_or_not(model, files, tmp_path):
    (tmp_path/'bad.wav').write_text('x')
    for name in ('a.npz','a.parquet'):
        (tmp_path/name).write_text('before')
        with pytest.raises(AudioError): save_embeddings(embed_files(model, [files[0], tmp_path/'bad.wav']), tmp_path/name)
        with pytest.raises(ValueError, match='no embedding to save'): save_embeddings([], tmp_path/name)
        assert (tmp_path/name).read_text()=='before'
    def never(): pytest.fail('embedding began before the place was known to be good'); yield
    with pytest.raises(ValueError, match='.npz or .parquet'): save_embeddings(never(), tmp_path/'a.csv')
    with pytest.raises(FileNotFoundError, match='no such folder'): save_embeddings(never(), tmp_path/'none/a.npz')
    with pytest.raises(TypeError): save_embeddings(never(), tmp_path/'a.npz', {'x':object()})
    assert not list(tmp_path.glob('.*'))

# ---- the reference's numbers -------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def filled():
    "The small frame encoder, filled by a formula"
    model = create_model('atst_frame_small')
    state = model.state_dict()
    for i,k in enumerate(sorted(state)):
        s = torch.sin(1+i+.7*torch.arange(state[k].numel(), dtype=torch.float64)).float().reshape(state[k].shape)
        state[k].copy_(1+.1*s if state[k].ndim==1 and k.endswith('.weight') else .05*s)
    return model

@pytest.mark.parametrize('n,first,tokens,last', [(20_000, -1.623276, 31, 1200), (160_000, -1.653912, 250, 9960), (160_160, -.826949, 250, 9960),
                                                 (400_000, -1.663278, 624, 24920)])
def test_reference_numbers(filled, n, first, tokens, last):
    "First value (of block 0), count and clock that the reference's functions gave for a chirp; at 10.01 s its zero vector halves the scene"
    i = torch.arange(n, dtype=torch.float64)
    t,u = i/16000,torch.sin(12.9898*i)*43758.5453
    wave = (.3*torch.sin(2*math.pi*(200*t+100*t*t))+.05*(u-u.floor()-.5)).float()[None]
    scene = get_scene_embedding(wave, filled, parity=True)[0]
    x,ms = get_timestamp_embedding(wave, filled)
    assert x.shape==(1, tokens, 4608) and ms[0,-1]==last and float(scene[0])==pytest.approx(first, abs=1e-5)
    close(get_scene_embedding(wave, filled), embed_clips(filled, list(wave)))
    close(get_scene_embedding(wave, filled)[0], scene*(2 if n==160_160 else 1), 1e-4)
