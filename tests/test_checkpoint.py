"""Weight files: published layouts are read, hostile and broken ones are refused in one line and run nothing."""
import argparse, json, os, pickle, subprocess, sys, types
from pathlib import Path
import numpy as np, pytest, torch
from safetensors.torch import save_file
from audiossl.checkpoint import (CheckpointError, MissingWeights, convert, create_model, encoder_config, from_pretrained, list_models, load_model, model_name,
    read_checkpoint, save_pretrained)
from audiossl.methods.atstframe import embedding
from audiossl.models.clip import ClipEncoder, clip_encoder
from audiossl.models.frame import FrameEncoder, frame_encoder
from audiossl.models.weights import encoder_settings, encoder_state

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))

def one_line(e): assert '\n' not in str(e.value) and len(str(e.value))<600, str(e.value)
same = lambda a, b: all(torch.equal(v, b.state_dict()[k]) for k,v in a.state_dict().items())

@pytest.fixture
def tiny(): return frame_encoder('tiny').eval()

def published(path, method='frame', size='small', drop=()):
    "A file as the reference writes it: layout and settings from the golden set, numpy numbers in the optimiser's state"
    j = json.loads((GOLDEN/f'06_ckpt_{method}_{size}.json').read_text())
    g = torch.Generator().manual_seed(0)
    state = {k:torch.randn(s, generator=g) if 'teacher.encoder' in k else torch.zeros(()).expand(s) for k,(s,_) in j['state_dict'].items()}
    group = dict(lr=np.float64(1e-3), weight_decay=np.float64(.04), betas=(.9,.999), step=np.int64(3), eps=np.float32(1e-6))
    torch.save({'epoch':1, 'global_step':1, 'pytorch-lightning_version':'2.2.1', 'state_dict':state,
        'optimizer_states':[{'state':{}, 'param_groups':[group]}],
        'lr_schedulers':[], 'hparams_name':'kwargs', 'hyper_parameters':{k:v for k,v in j['hyper_parameters'].items() if k not in drop}}, path)
    return j,state

FEW = ('patch_h','patch_w','spec_h','n_mels','nprompt','pos_type','patch_embed','win_length','arch','train_len')

@pytest.mark.parametrize('drop', [(), FEW], ids=['full','few'])
@pytest.mark.parametrize('method', ['clip','frame'])
def test_published(tmp_path, method, drop):
    j,state = published(tmp_path/'a.ckpt', method, drop=drop)
    enc = load_model(tmp_path/'a.ckpt')
    assert type(enc) is dict(clip=ClipEncoder, frame=FrameEncoder)[method] and model_name(enc)==f'atst_{method}_small'
    assert (enc.embed_dim, enc.depth, enc.num_heads, enc.patch_h, enc.patch_w) == (384,12,6,64,4) and not enc.training
    prefix = 'model.teacher.encoder.'
    assert [prefix+k for k in enc.state_dict()]==[k for k in state if k.startswith(prefix)]
    for k,v in enc.state_dict().items(): assert torch.equal(v, state[prefix+k])
    assert enc.hyper_param=={k:v for k,v in j['hyper_parameters'].items() if k not in drop}
    assert load_model(tmp_path/'a.ckpt', 'student').mask_embed.abs().max()==0
    assert same(create_model(f'atst_{method}_small', tmp_path/'a.ckpt'), enc)
    lr = read_checkpoint(tmp_path/'a.ckpt')['optimizer_states'][0]['param_groups'][0]
    assert [type(lr[k]) for k in ('lr','step','eps')]==[float,int,float] and lr['lr']==1e-3
    m = embedding.load_model(tmp_path/'a.ckpt')
    assert (m.sample_rate, m.scene_embedding_size, m.timestamp_embedding_size)==(16000, 9216 if method=='clip' else 4608, 4608)
    other = dict(clip='frame', frame='clip')[method]
    for name,why in [(f'atst_{method}_base','embed_dim=768'), (f'atst_{other}_small','they are those of a')]:
        with pytest.raises(CheckpointError, match=f'not the weights of {name}: {why}') as e: create_model(name, tmp_path/'a.ckpt')
        one_line(e)

def test_convert(tmp_path):
    published(tmp_path/'a.ckpt', 'clip')
    enc = convert(tmp_path/'a.ckpt', tmp_path/'out', about={'license':'CC BY 4.0'})
    info = json.loads((tmp_path/'out/config.json').read_text())
    assert same(enc, load_model(tmp_path/'a.ckpt')) and enc.hyper_param=={'train_len':6.}
    assert info['model']=='ClipEncoder' and info['about']['license']=='CC BY 4.0' and info['about']['converted_from']['model']=='atst_clip_small'
    assert sorted(p.name for p in (tmp_path/'out').iterdir())==['config.json','model.safetensors']
    assert convert(tmp_path/'a.ckpt', tmp_path/'student', which='student').mask_embed.abs().max()==0
    with pytest.raises(FileNotFoundError): convert(tmp_path/'none.ckpt', tmp_path/'x')
    (tmp_path/'bad.ckpt').write_bytes(b'junk')
    with pytest.raises(CheckpointError): convert(tmp_path/'bad.ckpt', tmp_path/'x')
    assert not (tmp_path/'x').exists()

# ---- the older layout --------------------------------------------------------------------------------------------------------------------

def old_style(path, size='tiny', arch='ast', drop=(), module='module.', legacy=False, **kwargs):
    "A file as the oldest training scripts wrote it"
    enc = clip_encoder(size, **kwargs).eval()
    with torch.no_grad(): enc.mask_embed += 1
    D = enc.embed_dim
    head = {'0.weight':torch.zeros(8, D), '1.weight':torch.ones(8), '1.bias':torch.zeros(8), '1.running_mean':torch.zeros(8), '1.running_var':torch.ones(8),
            '1.num_batches_tracked':torch.tensor(0), '3.weight':torch.zeros(4, 8)}
    part = lambda add: {f'{module}backbone.{k}':v+add for k,v in enc.state_dict().items() if k not in drop} | {f'{module}head.{k}':v for k,v in head.items()}
    args = argparse.Namespace(arch=arch, pos_type=enc.pos_type, patch_height=enc.patch_h, patch_width=enc.patch_w, use_cls=enc.use_cls, anchor_len=(4.,4.),
                              lr=5e-4, output_dir='x', betas=[.9,.999], seed=np.int64(0))
    group = dict(lr=np.float64(1e-3), params=[0])
    torch.save({'student':part(1) | {f'{module}predictor.0.weight':torch.zeros(4, 8)}, 'teacher':part(0), 'optimizer':{'state':{}, 'param_groups':[group]},
                'epoch':7, 'args':args, 'byol_loss':None}, path, _use_new_zipfile_serialization=not legacy)
    return enc

@pytest.mark.parametrize('kwargs', [dict(), dict(module=''), dict(legacy=True), dict(size='small', arch='ast'), dict(patch_h=16, patch_w=16),
    dict(use_cls=False), dict(spec_w=601)], ids=str)
def test_old_layout(tmp_path, kwargs):
    enc = old_style(tmp_path/'a.pth', **kwargs)
    got = load_model(tmp_path/'a.pth')
    assert same(got, enc) and {**got.config, 'spec_w':0, 'drop_path_rate':0}=={**enc.config, 'spec_w':0, 'drop_path_rate':0}
    assert got.hyper_param['train_len']==4 and got.hyper_param['patch_h']==enc.patch_h and got.hyper_param['seed']==0
    assert embedding.chunk_size(got)==401
    assert torch.equal(load_model(tmp_path/'a.pth', which='student').mask_embed, enc.mask_embed+1)
    assert same(convert(tmp_path/'a.pth', tmp_path/'out'), enc)
    if 'patch_h' in kwargs:
        for ask in (lambda: load_model(tmp_path/'a.pth', patch_h=64, patch_w=4), lambda: create_model('atst_clip_tiny', tmp_path/'a.pth'),
                    lambda: create_model('atst_clip_tiny', tmp_path/'out')):
            with pytest.raises(CheckpointError) as e: ask()
            one_line(e)

def test_old_layout_is_strict(tmp_path):
    "Only the vector for hidden tokens, which clip embeddings never use, may be missing"
    old_style(tmp_path/'a.pth', drop=['mask_embed'])
    assert load_model(tmp_path/'a.pth').mask_embed.abs().max()==0
    old_style(tmp_path/'a.pth', drop=['blocks.1.norm2.bias'])
    with pytest.raises(CheckpointError, match='1 missing.*blocks.1.norm2.bias'): load_model(tmp_path/'a.pth')
    ckpt = read_checkpoint(tmp_path/'a.pth')
    ckpt['args'].patch_height = ckpt['args'].patch_width = 16                   # says the other shape than its weights have
    torch.save(ckpt, tmp_path/'b.pth')
    with pytest.raises(CheckpointError, match='16 x 16 do not fit'): load_model(tmp_path/'b.pth')
    ckpt['args'] = argparse.Namespace(anchor_len='long', patch_height=None)
    torch.save(ckpt, tmp_path/'b.pth')
    assert encoder_settings(read_checkpoint(tmp_path/'b.pth'))=={'patch_h':None}

def test_a_namespace_is_no_door(tmp_path):
    "It may hold settings; what else a file hides in it is refused"
    flag = tmp_path/'ran'
    class Sly(argparse.Namespace):
        def __reduce__(self): return os.system, (f'touch {flag}',)
    for args in (argparse.Namespace(x=Evil(os.system, f'touch {flag}')), Sly(), argparse.Namespace(x=argparse.ArgumentParser)):
        torch.save({'teacher':{}, 'args':args}, tmp_path/'a.pth')
        with pytest.raises(CheckpointError, match='refused, nothing was run') as e: load_model(tmp_path/'a.pth')
        one_line(e)
        assert not flag.exists()
    torch.save({'args':argparse.Namespace(a=1)}, tmp_path/'b.pth')
    read_checkpoint(tmp_path/'b.pth')
    with pytest.raises(Exception, match='Weights only'): torch.load(tmp_path/'b.pth', weights_only=True)      # allowed for that call only

# ---- other layouts -----------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('make', [clip_encoder, frame_encoder])
def test_fine_tuned(tmp_path, make):
    enc = make('tiny').eval()
    head = {'head.norm.running_mean':torch.zeros(128), 'head.norm.running_var':torch.ones(128), 'head.norm.num_batches_tracked':torch.tensor(3),
            'head.linear.weight':torch.zeros(5, 128), 'head.linear.bias':torch.zeros(5)}
    torch.save({'state_dict':{f'encoder.encoder.{k}':v for k,v in enc.state_dict().items()} | head, 'pytorch-lightning_version':'2.2.1'}, tmp_path/'a.ckpt')
    assert same(load_model(tmp_path/'a.ckpt'), enc)

def test_distilled(tmp_path):
    "Of a distillation the student is what one wants; the teacher is there too, and is of the other method"
    t,s = clip_encoder('tiny').eval(),frame_encoder('tiny').eval()
    state = {f'model.teacher.encoder.{k}':v for k,v in t.state_dict().items()} | {f'model.student.{k}':v for k,v in s.state_dict().items()}
    torch.save({'state_dict':state | {'model.teacher.head.linear.bias':torch.zeros(5), 'model.linear.linear.bias':torch.zeros(5)}}, tmp_path/'a.ckpt')
    for which,want in ((None,s), ('student',s), ('teacher',t)): assert same(load_model(tmp_path/'a.ckpt', which), want)

def test_not_weights():
    for ckpt in ({}, {'state_dict':None}, {'state_dict':[1]}, {'teacher':{}}, {3:torch.ones(1)}, {'state_dict':{'a.pos_embed':1}}):
        with pytest.raises(CheckpointError) as e: encoder_state(ckpt)
        one_line(e)
    good = frame_encoder('tiny').state_dict()
    for change in ({'pos_embed':torch.ones(3)}, {'norm.weight':torch.ones(128)}, {'blocks.0.mlp.fc1.weight':torch.ones(1)}, {'blocks.x.y':torch.ones(1)},
                   {'patch_embed.patch_embed.weight':torch.ones(128)}):
        with pytest.raises(CheckpointError):
            from audiossl.models.weights import build_encoder
            build_encoder({**good, **change}, encoder_config({**good, **change}))
    for settings in (dict(patch_h=0, patch_w=4), dict(patch_h='a', patch_w=4), dict(patch_h=64, patch_w=4, num_heads=0), dict(spec_h=0)):
        with pytest.raises(CheckpointError): build_encoder(good, encoder_config(good, settings))

# ---- the hub -----------------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def hub(monkeypatch, tmp_path):
    "A stand-in for huggingface_hub with one repository"
    m,calls = types.ModuleType('huggingface_hub'),[]
    save_pretrained(clip_encoder('tiny'), tmp_path/'repo')
    def snapshot_download(repo_id, revision=None, allow_patterns=None):
        calls.append((repo_id, revision, allow_patterns))
        if repo_id!='me/clip': raise ConnectionError('404\nno such repository')
        return str(tmp_path/'repo')
    m.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, 'huggingface_hub', m)
    return calls

def test_hub(hub, tmp_path, monkeypatch):
    want = from_pretrained(tmp_path/'repo')
    files = ['config.json','model.safetensors']
    assert same(from_pretrained('me/clip'), want) and same(load_model('me/clip'), want) and same(create_model('atst_clip_tiny', 'me/clip'), want)
    assert same(from_pretrained('me/clip', revision='v1'), want) and hub==[('me/clip', None, files)]*3+[('me/clip', 'v1', files)]
    with pytest.raises(MissingWeights, match='hub did not give it .ConnectionError: 404 no such') as e: load_model('me/other')
    one_line(e); assert isinstance(e.value, FileNotFoundError)
    n = len(hub)
    for name in ('clip', 'a/b/c', '../clip', 'me/weights.ckpt', 'me/model.safetensors', '/me/clip', 'me/', 'me/clip 2', 'https://x.y/z'):
        with pytest.raises(FileNotFoundError): load_model(name)                        # no form of a hub id
    assert len(hub)==n
    monkeypatch.chdir(tmp_path)
    save_pretrained(frame_encoder('tiny'), 'me/clip')                                  # what lies here comes first
    assert isinstance(load_model('me/clip'), FrameEncoder) and len(hub)==n
    (tmp_path/'repo/config.json').unlink()
    with pytest.raises(CheckpointError, match='config.json'): from_pretrained(tmp_path/'repo')

def test_hub_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(MissingWeights, match=r'pip install "audiossl\[hub\]"') as e: load_model('me/clip')
    one_line(e)

def test_import_is_light():
    code = "import sys, audiossl.checkpoint, audiossl.hear, audiossl.adapters; print([o for o in ('huggingface_hub','pyarrow','pandas','mteb','xares','pytorch_lightning','torchaudio') if o in sys.modules])"
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert r.stdout.strip()=='[]' and not r.stderr, r.stdout+r.stderr

def test_names():
    assert list_models()==[f'atst_clip_{s}' for s in ('tiny','small','base')]+[f'atst_frame_{s}' for s in ('tiny','small','base','large')]
    assert list_models('*clip*')==list_models()[:3]
    for n in list_models('*tiny'): assert model_name(create_model(n))==n
    with pytest.raises(FileNotFoundError, match='no weights for it come with the package'): create_model('atst_frame_large', True)
    with pytest.raises(TypeError): create_model('atst_clip_tiny', nprompt=2)

def test_old_numpy_name(tmp_path):
    "numpy called its constructor numpy.core before 2.0, numpy._core since"
    torch.save({'x':np.float64(.25), 'i':np.int32(-3)}, tmp_path/'a.ckpt')
    import zipfile
    with zipfile.ZipFile(tmp_path/'a.ckpt') as z: parts = {n:z.read(n) for n in z.namelist()}
    with zipfile.ZipFile(tmp_path/'b.ckpt', 'w') as z:
        for n,b in parts.items(): z.writestr(n, b.replace(b'numpy._core.multiarray', b'numpy.core.multiarray') if n.endswith('data.pkl') else b)
    for f in 'ab': assert read_checkpoint(tmp_path/f'{f}.ckpt')=={'x':.25, 'i':-3}

class Evil:
    def __init__(self, call, *args): self.call = call,args
    def __reduce__(self): return self.call

@pytest.mark.parametrize('name', ['zip','legacy','pickle2','pickle4','inside'])
def test_malicious(tmp_path, name):
    flag = tmp_path/'ran'
    write = f'open({str(flag)!r}, "w")'
    hidden = pickle.dumps(Evil(os.system, f'touch {flag}'))
    why = 'not a checkpoint' if name=='pickle4' else 'refused, nothing was run: it asks for `.*(system|eval|exec|Path|loads|touch|getattr)`'
    evils = Evil(os.system, f'touch {flag}'), Evil(eval, write), Evil(exec, write), Evil(Path.touch, flag), Evil(pickle.loads, hidden)
    for i,evil in enumerate(evils):
        p = tmp_path/f'{i}.ckpt'
        if name.startswith('pickle'): p.write_bytes(pickle.dumps({'state_dict':evil}, int(name[-1])))
        else:
            if name=='inside': evil = {'state_dict':{'pos_embed':torch.ones(1,2,64)}, 'x':[{'y':evil}]}
            torch.save(evil, p, _use_new_zipfile_serialization=name!='legacy')
        for read in (read_checkpoint, load_model, embedding.load_model, lambda p: create_model('atst_frame_tiny', p)):
            with pytest.raises(CheckpointError, match=why) as e: read(p)
            one_line(e)
            assert str(p) in str(e.value) and not flag.exists()
    pickle.loads(pickle.dumps(Evil(os.system, f'touch {flag}')))
    assert flag.exists()                                # the trap works

def test_numpy_names_are_no_door(tmp_path):
    "The stand-ins take numbers only, and are not left allowed afterwards"
    torch.save({'x':np.float64(1)}, tmp_path/'a.ckpt')
    read_checkpoint(tmp_path/'a.ckpt')
    with pytest.raises(Exception, match='Weights only'): torch.load(tmp_path/'a.ckpt', weights_only=True)
    for v in (np.array(['a'], dtype=object), np.str_('a'), np.complex64(1), np.zeros(3)):
        torch.save({'x':v}, tmp_path/'b.ckpt')
        with pytest.raises(CheckpointError) as e: read_checkpoint(tmp_path/'b.ckpt')
        one_line(e)

def test_broken(tmp_path, tiny):
    torch.save({'state_dict':{f'model.teacher.encoder.{k}':v for k,v in tiny.state_dict().items()}}, tmp_path/'a.ckpt')
    data = (tmp_path/'a.ckpt').read_bytes()
    junk = b'', b'junk', b'\x80\x02}q\x00.', b'PK\x03\x04'+b'\0'*100, pickle.dumps([1,2])
    for i,b in enumerate([*junk, data[:100], data[:len(data)//2], data[:-10]]):
        (tmp_path/f'{i}.ckpt').write_bytes(b)
        with pytest.raises(CheckpointError) as e: load_model(tmp_path/f'{i}.ckpt')
        one_line(e)
        (tmp_path/f'{i}.safetensors').write_bytes(b)
        with pytest.raises(CheckpointError) as e: load_model(tmp_path/f'{i}.safetensors')
        one_line(e)
    for p in ('none.ckpt','none.safetensors','none','audiossl/atst'):
        with pytest.raises(FileNotFoundError): load_model(tmp_path/p)
    state = tiny.state_dict()
    nan = state['mask_embed']*float('nan')
    for change,why in [({'extra':torch.zeros(1)}, '1 unknown'), ({'norm_frame.bias':torch.zeros(7)}, 'shape'), ({'mask_embed':nan}, 'NaN')]:
        save_file({**state, **change}, tmp_path/'x.safetensors')
        with pytest.raises(CheckpointError, match=why) as e: load_model(tmp_path/'x.safetensors')
        one_line(e)
    save_file({k:v for k,v in state.items() if k!='blocks.1.attn.proj.bias'}, tmp_path/'x.safetensors')
    with pytest.raises(CheckpointError, match='1 missing.*blocks.1.attn.proj.bias'): load_model(tmp_path/'x.safetensors')

@pytest.mark.parametrize('kwargs', [dict(), dict(patch_h=16, patch_w=16), dict(use_cls=False), dict(pos_type='interpolate'), dict(spec_w=601)])
def test_found_again_clip(tmp_path, kwargs):
    enc = ClipEncoder(128, 2, 2, **kwargs).eval()
    hyper = dict(patch_h=enc.patch_h, patch_w=enc.patch_w, pos_type=enc.pos_type)
    torch.save({'state_dict':{f'model.teacher.encoder.{k}':v for k,v in enc.state_dict().items()}, 'hyper_parameters':hyper}, tmp_path/'a.ckpt')
    save_pretrained(enc, tmp_path/'folder')
    for got in (load_model(tmp_path/'a.ckpt'), load_model(tmp_path/'folder')): assert same(got, enc) and {**got.config, 'spec_w':0}=={**enc.config, 'spec_w':0}

@pytest.mark.parametrize('kwargs', [dict(), dict(patch_h=16, patch_w=16), dict(patch_embed='CNN'), dict(nprompt=2),
    dict(spec_h=128, patch_h=128), dict(spec_w=601), dict(mlp_ratio=2.), dict(pos_type='interpolate')])
def test_found_again(tmp_path, kwargs):
    "From shapes and settings comes the encoder that was saved"
    enc = FrameEncoder(128, 2, 2, **kwargs).eval()
    hyper = dict(patch_h=enc.patch_h, patch_w=enc.patch_w, spec_h=enc.spec_h, pos_type=enc.pos_type, win_length=640)
    torch.save({'state_dict':{f'model.teacher.encoder.{k}':v for k,v in enc.state_dict().items()}, 'hyper_parameters':hyper}, tmp_path/'a.ckpt')
    save_pretrained(enc, tmp_path/'folder')
    x = torch.randn(2, 1, enc.spec_h, 64)
    for got in (load_model(tmp_path/'a.ckpt'), load_model(tmp_path/'folder'), from_pretrained(tmp_path/'folder')):
        assert {**got.config, 'spec_w':0}=={**enc.config, 'spec_w':0} and same(got, enc)
        assert torch.equal(got.get_intermediate_layers(x), enc.get_intermediate_layers(x))
    assert from_pretrained(tmp_path/'folder').config==enc.config

def test_patch_shape_is_not_guessed():
    square,flat = FrameEncoder(128, 1, 2, patch_h=16, patch_w=16).state_dict(),FrameEncoder(128, 1, 2).state_dict()
    assert square['patch_embed.patch_embed.weight'].shape==flat['patch_embed.patch_embed.weight'].shape
    is_flat,is_square = dict(patch_h=64, patch_w=4),dict(patch_h=16, patch_w=16)
    for settings,asked in [(is_flat,{}), ({},is_flat), (is_square,is_flat)]:
        with pytest.raises(CheckpointError): encoder_config(square, settings, **asked)
    with pytest.raises(CheckpointError): encoder_config(flat, dict(patch_h=16, patch_w=16))
    with pytest.raises(CheckpointError, match='give patch_h'): encoder_config(FrameEncoder(128, 1, 2, spec_w=101).state_dict())

def test_square_patches_into_a_named_model(tmp_path):
    save_pretrained(FrameEncoder(128, 4, 2, patch_h=16, patch_w=16), tmp_path)
    with pytest.raises(CheckpointError, match='patch_h=64'): create_model('atst_frame_tiny', tmp_path)

def test_folder(tmp_path, tiny):
    save_pretrained(tiny, tmp_path, about={'note':'x'})
    one = {p.name:p.read_bytes() for p in tmp_path.iterdir()}
    assert sorted(one)==['config.json','model.safetensors']
    save_pretrained(from_pretrained(tmp_path), tmp_path, about={'note':'x'})
    assert one=={p.name:p.read_bytes() for p in tmp_path.iterdir()}                     # the same bytes again
    with pytest.raises(TypeError): save_pretrained(tiny, tmp_path, about={'no JSON':object()})
    assert one=={p.name:p.read_bytes() for p in tmp_path.iterdir()}
    config = json.loads((tmp_path/'config.json').read_text())
    for text in ('', '[]', '{}', json.dumps({**config, 'config':{**config['config'], 'depht':3}})):
        (tmp_path/'config.json').write_text(text)
        with pytest.raises(CheckpointError) as e: from_pretrained(tmp_path)
        one_line(e)

@pytest.mark.parametrize('method', ['clip','frame'])
def test_own_pretraining(tmp_path, method):
    "What this package's own pre-training saves is read back, teacher and student"
    from audiossl.methods.atst.model import ATSTLightningModule
    from audiossl.methods.atstframe.model import FrameATSTLightningModule
    m = dict(clip=ATSTLightningModule, frame=FrameATSTLightningModule)[method]('tiny', hidden=32)
    with torch.no_grad(): m.model.student.encoder.mask_embed += 1
    for zipped in (True, False):
        saved = {'pytorch-lightning_version':'2.6.6', 'state_dict':m.state_dict(), 'hyper_parameters':dict(m.hparams)}
        torch.save(saved, tmp_path/'a.ckpt', _use_new_zipfile_serialization=zipped)
        for who in ('teacher','student'): assert same(load_model(tmp_path/'a.ckpt', which=who), getattr(m.model, who).encoder)
