"""Weight files: published layouts are read, hostile and broken ones are refused in one line and run nothing."""
import json, os, pickle, sys
from pathlib import Path
import numpy as np, pytest, torch
from safetensors.torch import save_file
from audiossl.checkpoint import (CheckpointError, create_model, encoder_config, from_pretrained, load_model, read_checkpoint, save_pretrained)
from audiossl.methods.atstframe import embedding
from audiossl.models.frame import FrameEncoder, frame_encoder

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))
sys.path.insert(0, str(HERE))
from golden_inputs import fill

def one_line(e): assert '\n' not in str(e.value) and len(str(e.value))<600, str(e.value)
same = lambda a, b: all(torch.equal(v, b.state_dict()[k]) for k,v in a.state_dict().items())

@pytest.fixture
def tiny(): return frame_encoder('tiny').eval()

def published(path, size='small', drop=()):
    "A file as the reference writes it: layout and settings from the golden set, numpy numbers in the optimiser's state"
    j = json.loads((GOLDEN/f'06_ckpt_frame_{size}.json').read_text())
    state = {k:torch.from_numpy(np.asarray(fill(k, s, 1))) if 'teacher.encoder' in k else torch.zeros(s) for k,(s,_) in j['state_dict'].items()}
    group = dict(lr=np.float64(1e-3), weight_decay=np.float64(.04), betas=(.9,.999), step=np.int64(3), eps=np.float32(1e-6))
    torch.save({'epoch':1, 'global_step':1, 'pytorch-lightning_version':'2.2.1', 'state_dict':state,
        'optimizer_states':[{'state':{}, 'param_groups':[group]}],
        'lr_schedulers':[], 'hparams_name':'kwargs', 'hyper_parameters':{k:v for k,v in j['hyper_parameters'].items() if k not in drop}}, path)
    return j,state

@pytest.mark.parametrize('drop', [(), ('patch_h','patch_w','spec_h','n_mels','nprompt','pos_type','patch_embed','win_length','arch')])
def test_published(tmp_path, drop):
    j,state = published(tmp_path/'a.ckpt', drop=drop)
    enc = load_model(tmp_path/'a.ckpt')
    assert (enc.embed_dim, enc.depth, enc.num_heads, enc.patch_h, enc.patch_w) == (384,12,6,64,4) and not enc.training
    for k,v in enc.state_dict().items(): assert torch.equal(v, state[f'model.teacher.encoder.{k}'])
    assert enc.hyper_param=={k:v for k,v in j['hyper_parameters'].items() if k not in drop}
    assert load_model(tmp_path/'a.ckpt', 'student').mask_embed.abs().max()==0
    assert same(create_model('atst_frame_small', tmp_path/'a.ckpt'), enc)
    lr = read_checkpoint(tmp_path/'a.ckpt')['optimizer_states'][0]['param_groups'][0]
    assert [type(lr[k]) for k in ('lr','step','eps')]==[float,int,float] and lr['lr']==1e-3
    m = embedding.load_model(tmp_path/'a.ckpt')
    assert (m.sample_rate, m.scene_embedding_size, m.timestamp_embedding_size)==(16000, 4608, 4608)
    with pytest.raises(CheckpointError, match='not the weights of atst_frame_base') as e: create_model('atst_frame_base', tmp_path/'a.ckpt')
    one_line(e)

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

def test_own_pretraining(tmp_path):
    "What this package's own pre-training saves is read back, teacher and student"
    from audiossl.methods.atstframe.model import FrameATSTLightningModule
    m = FrameATSTLightningModule('tiny', hidden=32)
    with torch.no_grad(): m.model.student.encoder.mask_embed += 1
    for zipped in (True, False):
        saved = {'pytorch-lightning_version':'2.6.6', 'state_dict':m.state_dict(), 'hyper_parameters':dict(m.hparams)}
        torch.save(saved, tmp_path/'a.ckpt', _use_new_zipfile_serialization=zipped)
        for who in ('teacher','student'): assert same(load_model(tmp_path/'a.ckpt', which=who), getattr(m.model, who).encoder)
