"""What fine-tuning takes from this package, against the numbers of the reference implementation (tests/data/golden): padding of a batch, which weights shrink,
how fast each layer learns. Sizes and names are read from the JSON file; AUDIOSSL_GOLDEN=FOLDER checks another set of the same layout.
"""
import json, os, re, sys
from pathlib import Path
import numpy as np, pytest, torch
from audiossl.lightning.datamodules import collate_padded
from audiossl.methods.schedule import param_groups
from audiossl.models.clip import ClipEncoder
from audiossl.models.frame import FrameEncoder
from audiossl.recipes import layer_rate

HERE = Path(__file__).parent/'data'/'golden'
GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN', HERE))
sys.path.insert(0, str(HERE))
from golden_inputs import spec
J8,Z8 = json.loads((GOLDEN/'08_downstream.json').read_text()), np.load(GOLDEN/'08_downstream.npz')
RATES = {k:v for k,v in J8['layer_wise_lr'].items() if isinstance(v, dict)}

def test_collate():
    seed,F,frames = re.fullmatch(r'spec\((\d+)\+i,1,(\d+),t\) for t in ([\d,]+)', J8['entries']['collate.spec']['items']).groups()
    mels = [torch.from_numpy(spec(int(seed)+i, 1, int(F), t)) for i,t in enumerate(map(int, frames.split(',')))]
    (x,n),y = collate_padded([((m, m.shape[-1]), torch.from_numpy(l)) for m,l in zip(mels, Z8['collate.label'])])
    for got,k in ((x,'spec'), (n,'length'), (y,'label')):
        want = Z8[f'collate.{k}']
        assert got.numpy().dtype==want.dtype and np.array_equal(got.numpy(), want), k

@pytest.mark.parametrize('method', ['clip','frame'])
def test_which_weights_shrink(method):
    groups = J8['weight_decay_groups']; told = set(groups['regularized'])|set(groups['not_regularized'])
    D,depth = 16, 1+max(int(k.split('.')[1]) for k in told if k.startswith('blocks.'))
    model = (ClipEncoder if method=='clip' else FrameEncoder)(embed_dim=D, depth=depth, num_heads=2)
    name = {id(p):k for k,p in model.named_parameters()}
    a,b = [[name[id(p)] for p in g['params']] for g in param_groups(model)]
    own = set(name.values())-told                                               # of the other method
    assert [k for k in a if k not in own]==[k for k in groups['regularized'] if k in name.values()]
    assert [k for k in b if k not in own]==[k for k in groups['not_regularized'] if k in name.values()]
    assert own<={'cls_token','norm.weight','norm.bias','norm_frame.weight','norm_frame.bias'} and len(told & set(name.values()))>=len(told)-2

@pytest.mark.parametrize('key', RATES)
def test_layer_rates(key):
    rows = RATES[key]['rows']; decay = float(re.match(r'\w+?_([\d.]+)', key)[1])
    depth = 1+max(int(m[1]) for k in rows if (m := re.search(r'blocks\.(\d+)', k)))
    for k,want in rows.items(): assert layer_rate(k, decay, depth, 'freeze_embed' in key)==pytest.approx(want, rel=1e-6, abs=0), k
    assert len({*rows.values()})==depth+1+('freeze' in key)                      # the first block learns as the embeddings do, the last norm as the last block
