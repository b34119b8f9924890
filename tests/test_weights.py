"The weights that come with the package: small, whole, what their card says, and better than none"
import hashlib, json, sys
import numpy as np, pytest, torch
from dataclasses import replace
from support import ROOT
from audiossl.audio import example, load_audio
from audiossl.checkpoint import create_model
from audiossl.datasets.minisounds import task
from audiossl.downstream.probe import linear_probe
from audiossl.methods.atstframe.embedding import embed_clips
from audiossl.recipes import recipe

WEIGHTS = ROOT/'audiossl/data/weights'
NAMES = sorted(o.parent.name for o in WEIGHTS.glob('*/config.json'))

def test_there_are_some(): assert 'atst_frame_tiny' in NAMES

@pytest.mark.parametrize('name', NAMES)
def test_small_and_whole(name):
    folder = WEIGHTS/name; info = json.loads((folder/'config.json').read_text())
    file = folder/'model.safetensors'
    assert sorted(o.name for o in folder.iterdir())==['README.md', 'config.json', 'model.safetensors']
    assert file.stat().st_size<=8_000_000 and hashlib.sha256(file.read_bytes()).hexdigest()==info['sha256']
    plan = recipe(name)
    assert info['about']['recipe']==name and info['about']['steps']==plan['max_steps'] and info['about']['curve'][-1]['step']==plan['max_steps']
    assert info['about']['scenes_a_step']==plan['batch_size'] and info['about']['made_up']==plan['scenes']['made']

@pytest.mark.parametrize('name', NAMES)
def test_loads_alike_each_time(name):
    a,b = create_model(name, pretrained=True),create_model(name, pretrained=True)
    x = [load_audio(example('speech_it')), load_audio(example('flute'))]
    va,vb = embed_clips(a, x),embed_clips(b, x[:1])
    assert not a.training and torch.isfinite(va).all() and (va[:1]-vb).abs().max()<1e-5
    assert all(p.dtype==torch.float32 for p in a.parameters())
    fresh = create_model(name).state_dict()
    assert all(not torch.equal(v, fresh[k]) for k,v in a.state_dict().items() if v.ndim>1)

@pytest.mark.parametrize('name', NAMES)
def test_card_says_what_the_files_say(name, tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT/'tools')); import ship_tiny
    for f in ('config.json', 'model.safetensors'): (tmp_path/f).symlink_to(WEIGHTS/name/f)
    ship_tiny.card(tmp_path)
    assert (tmp_path/'README.md').read_text()==(WEIGHTS/name/'README.md').read_text()

def test_hears_more_than_its_twin():
    "in folds by source over train and valid sounds, which ideas were judged on; no test sound"
    t = task('minisounds_family'); keep = np.flatnonzero(t.split!='test')
    t = replace(t, files=[t.files[i] for i in keep], **{k: getattr(t, k)[keep] for k in ('labels','groups','folds','split')})
    with torch.random.fork_rng(): torch.manual_seed(1); twin = create_model('atst_frame_tiny')
    score = {k: linear_probe(embed_clips(m, t.waves()), t.labels, list(t.splits()), t.groups, grid=(.01,)).score for k,m in dict(trained=create_model('atst_frame_tiny', pretrained=True), random=twin).items()}
    assert score['trained']>score['random'], score
