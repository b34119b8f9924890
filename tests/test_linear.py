"""Linear evaluation: the protocol step by step beside a plain formulation, features that depend on nothing but the clip, a cache that never hands out wrong numbers,
and one line for each thing no score can be made of."""
import json, math, os, re, shutil, sys
from pathlib import Path
import numpy as np, pytest, torch
from audiossl.audio import example, examples
from audiossl.datasets.minisounds import MiniSounds
from audiossl.downstream.finetune import ClipFeatures
from audiossl.downstream.linear import (FeatureCache, Features, MelStatistics, check_features, data_key, features_key, linear_evaluation, mean_and_error, probe_evaluation,
    split_features, train_head)
from audiossl.models.clip import clip_encoder
from audiossl.models.frame import frame_encoder
from audiossl.models.heads import LinearHead

def enc(make=frame_encoder, seed=0, **kw):
    with torch.random.fork_rng(): torch.manual_seed(seed); return make('tiny', **kw).eval()

def toy(n=60, D=12, C=3, seed=0, tags=False):
    rng = np.random.default_rng(seed); w = np.random.default_rng(99).standard_normal((D, C)); out = {}
    for s,k in (('train',n), ('valid',n//2), ('test',n//2)):
        x = rng.standard_normal((k, D)).astype(np.float32); z = x@w
        out[s] = Features(x, (z>0).astype(np.float32) if tags else z.argmax(1), [f'{s}{i}' for i in range(k)])
    return out

# --- features

class Long(torch.utils.data.Dataset):
    "Waves of very different lengths, one of them two chunks long"
    transform = target_transform = None; return_key = False
    n = (8_000, 190_000, 16_000, 1_200, 161_000, 20_000)
    def __len__(self): return len(self.n)
    def __getitem__(self, i):
        x = .1*torch.randn(1, self.n[i], generator=torch.Generator().manual_seed(i))
        return (self.transform(x) if self.transform else x, i%2, str(i))

@pytest.mark.parametrize('make', [clip_encoder, frame_encoder])
@pytest.mark.parametrize('parity', [False, True])
def test_any_batch_size_gives_the_same(make, parity):
    f = ClipFeatures(enc(make), 3, parity=parity); data = Long()
    if parity and make is frame_encoder: data.n = tuple(max(o, 8_000) for o in data.n)         # the reference refuses 20 frames and less
    one = split_features(f, data, 1)
    for b in (2, 5, 64): assert np.abs(split_features(f, data, b).x-one.x).max()<1e-5
    assert one.keys==list('012345') and one.y.tolist()==[0,1]*3
    assert np.abs(split_features(f, data, 64, num_workers=2).x-one.x).max()<1e-5

def test_what_the_encoder_sees():
    "the middle 12 s, with the front end of its checkpoint"
    f = ClipFeatures(e := enc(frame_encoder, spec_h=64), 1); e.hyper_param = dict(win_length=640, anchor_len=10.)
    data = Long(); got = split_features(f, data)
    from audiossl.transforms.logmel import LogMel
    x = data[4][0]; mel = LogMel(win_length=640)(x)[None]
    with torch.no_grad(): assert torch.allclose(torch.from_numpy(got.x[4]), f(mel)[0], atol=1e-5)
    cut = split_features(f, data, seconds=5.).x[4]; mid = x[:,(161_000-80_000)//2:][:,:80_000]
    with torch.no_grad(): assert torch.allclose(torch.from_numpy(cut), f(LogMel(win_length=640)(mid)[None])[0], atol=1e-5)
    assert np.abs(cut-got.x[4]).max()>1e-4

def test_the_dataset_and_the_model_are_left_as_they_were():
    d = MiniSounds('minisounds_environment', split='test', transform=len, target_transform=id); f = ClipFeatures(enc().train(), 1)
    split_features(f, d)
    assert (d.transform,d.target_transform,d.return_key)==(len,id,False) and f.training and f.encoder.training
    f.encoder.eval(); split_features(f, d)
    assert f.training and not any(m.training for m in f.encoder.modules())          # one half in training, the other not: as they were

# --- cache

def test_only_what_changed_is_made_anew(tmp_path):
    c = FeatureCache(tmp_path); f,d = ClipFeatures(enc(), 4), MiniSounds('minisounds_environment', split='valid')
    events = lambda: [e['event'] for e in c.events]
    first = c.get(f, d); linear_evaluation(toy(), (.1,), 3, epochs=1)
    assert np.array_equal(c.get(f, d).x, first.x) and c.get(f, d).keys==first.keys and events()==['made','found','found']
    c.get(ClipFeatures(enc(seed=1), 4), d); c.get(ClipFeatures(enc(), 3), d); c.get(f, d, seconds=1.); c.get(f, MiniSounds('minisounds_environment', split='test'))
    g = ClipFeatures(enc(), 4); g.encoder.hyper_param = dict(win_length=640); c.get(g, d)
    assert events()[3:]==['made']*5
    assert [json.loads(l)['event'] for l in (tmp_path/'log.jsonl').read_text().splitlines()]==events()
    assert FeatureCache(tmp_path).get(f, d).x.dtype==np.float32

@pytest.mark.parametrize('spoil', [lambda p: (p/'features.safetensors').write_bytes(b'x'), lambda p: (p/'about.json').write_text('{'), lambda p: (p/'about.json').unlink(),
    lambda p: (b := bytearray((p/'features.safetensors').read_bytes())).__setitem__(-5, b[-5]^1) or (p/'features.safetensors').write_bytes(b)])
def test_a_damaged_entry_is_made_anew(tmp_path, spoil):
    c = FeatureCache(tmp_path); f,d = MelStatistics(), MiniSounds('minisounds_environment', split='valid')
    x = c.get(f, d).x; spoil(tmp_path/c.events[0]['entry'])
    assert np.array_equal(c.get(f, d).x, x) and [e['event'] for e in c.events]==['made','damaged, made anew','made'] and c.get(f, d) and c.events[-1]['event']=='found'

def test_a_kill_leaves_nothing_that_could_be_taken_for_features(tmp_path, monkeypatch):
    c = FeatureCache(tmp_path); f,d = MelStatistics(), MiniSounds('minisounds_environment', split='valid')
    monkeypatch.setattr(os, 'replace', lambda a, b: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt): c.get(f, d)
    monkeypatch.undo()
    assert not [p for p in tmp_path.iterdir() if not p.name.startswith('.')] and c.get(f, d) and [e['event'] for e in c.events]==['made']

def test_data_keys(tmp_path):
    from audiossl.datasets.registry import Entry, FileDataset
    for i,n in enumerate(list(examples())[:3]): shutil.copy(example(n), tmp_path/f'{i}.ogg')
    def of(labels=(0,1,0), order=(0,1,2)): return FileDataset([Entry(str(i), tmp_path/f'{i}.ogg', (labels[i],)) for i in order], ('a','b'))
    k = data_key(of())
    assert k==data_key(of()) and len({k, data_key(of((0,1,1))), data_key(of(order=(0,2,1))), data_key(of(order=(0,1)))})==4
    os.utime(tmp_path/'1.ogg', (0, 0)); assert data_key(of())!=k
    a,b = (MiniSounds('minisounds_environment', split=s) for s in ('test','valid'))
    assert data_key(a)!=data_key(b) and data_key(a)==data_key(MiniSounds('minisounds_environment', split='test'))

# --- the head

def test_the_head_is_trained_as_the_papers_did():
    "beside a loop of torch's own optimiser and scheduler, written out here"
    s = toy(); epochs,lr,batch = 7,.3,16
    got = train_head(s['train'], s['valid'], lr, 3, epochs=epochs, batch_size=batch, seed=5)
    with torch.random.fork_rng(): torch.manual_seed(5); head = LinearHead(12, 3)
    opt = torch.optim.SGD(head.parameters(), lr, momentum=.9, weight_decay=0); sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
    rng = np.random.default_rng([5, 1]); x,y = map(torch.as_tensor, s['train'][:2]); best = -1
    for e in range(epochs):
        order = rng.permutation(60); head.train()
        assert got['curve'][e]['lr']==pytest.approx(opt.param_groups[0]['lr'], abs=1e-12)
        for i in range(0, 60, batch):
            j = torch.from_numpy(order[i:i+batch]); opt.zero_grad(); torch.nn.functional.cross_entropy(head(x[j]), y[j]).backward(); opt.step()
        sched.step(); head.eval()
        v = float((head(torch.from_numpy(s['valid'].x)).argmax(1).numpy()==s['valid'].y).mean())
        assert got['curve'][e]['valid']==pytest.approx(v)
        if v>best: best,state,when = v, {k:o.clone() for k,o in head.state_dict().items()}, e+1
    assert got['epoch']==when and all(torch.allclose(o, state[k], atol=1e-6) for k,o in got['head'].state_dict().items())

def test_a_last_batch_of_one_is_joined():
    s = toy(33)
    r = train_head(s['train'], s['valid'], .1, 3, epochs=2, batch_size=16)
    assert int(r['head'].norm.num_batches_tracked)%2==0
    with pytest.raises(ValueError, match='1 clip; a batch norm needs at least 2'): train_head(Features(s['train'].x[:1], s['train'].y[:1], ['a']), s['valid'], .1, 3)

@pytest.mark.parametrize('tags', [False, True])
def test_the_test_split_is_read_once_and_decides_nothing(tags):
    s = toy(tags=tags)
    r = linear_evaluation(s, (.01,.1,1.), 3, tags, epochs=10)
    other = {**s, 'test': s['test']._replace(x=np.zeros_like(s['test'].x))}
    q = linear_evaluation(other, (.01,.1,1.), 3, tags, epochs=10)
    assert (r['lr'],r['epoch'],r['valid'],r['curve'])==(q['lr'],q['epoch'],q['valid'],q['curve']) and r['test']!=q['test'] and r['test']>.7
    assert r['valid']==max(r['grid'].values()) and r['metric']==('mAP' if tags else 'accuracy')
    from audiossl.downstream.metrics import accuracy, mean_average_precision
    assert r['test']==(mean_average_precision if tags else accuracy)(r['logits'], r['labels'])

def test_mixing_needs_no_hard_labels():
    for tags in (False, True):
        s = toy(tags=tags); a,b = (linear_evaluation(s, (.3,), 3, tags, epochs=20, batch_size=16, mixup_alpha=m) for m in (0., .5))
        assert b['test']>.6 and a['curve']!=b['curve'] and b['curve'][-1]['loss']>.2

@pytest.mark.parametrize('judge', ['kNN','logistic'])
def test_fast_alternatives(judge):
    for tags in (False, True): assert probe_evaluation(toy(200, tags=tags), judge, 3, tags)['test']>.65

# --- what no score can be made of

EMPTY = Features(np.zeros((0,12), np.float32), np.zeros(0, np.int64), [])
@pytest.mark.parametrize('spoil,tags,C,said', [
    (dict(valid=EMPTY), False, 3, 'the valid split is empty'), (dict(train=EMPTY), False, 3, 'the train split is empty'),
    (dict(test=lambda f: f._replace(y=np.full(30, 2))), False, 3, 'the test split: all 30 clips are of class 2'), (dict(train=lambda f: f._replace(y=np.zeros(60, int))), False, 3, 'all 60 clips are of class 0'),
    (dict(), False, 2, 'the train split: class 2, the head has classes 0 to 1'), (dict(), True, 3, r'labels of shape \(60,\), for 3 classes at once'), (dict(), True, 4, 'for 4 classes at once'),
    (dict(test=lambda f: f._replace(y=np.zeros_like(f.y))), True, 3, 'no clip has any of the 3 labels; mAP is not defined')])
def test_one_line_each(spoil, tags, C, said):
    s = toy(tags=tags and 'shape (60' not in said.replace('\\', ''))
    for k,v in spoil.items(): s[k] = v(s[k]) if callable(v) else v
    for f in (lambda: linear_evaluation(s, (1.,), C, tags), lambda: probe_evaluation(s, 'kNN', C, tags)):
        with pytest.raises(ValueError, match=said) as e: f()
        assert '\n' not in str(e.value)

def test_impossible_rates():
    for lrs in ((), (0.,), (.1,-1.)):
        with pytest.raises(ValueError, match='at least one, all above 0'): linear_evaluation(toy(), lrs, 3)
    s = toy(); s['train'].x[0,0] = np.inf
    with pytest.raises(FloatingPointError, match='lower the learning rate'): linear_evaluation(s, (.1,), 3)

def test_means_and_errors():
    rows = [dict(fold=k, seed=s, test=v) for k,s,v in ((1,0,.2),(1,1,.4),(2,0,.5),(2,1,.5),(3,0,.1),(3,1,.3))]
    m,e = mean_and_error(rows); per = [.3,.5,.2]
    assert m==pytest.approx(np.mean(per)) and e==pytest.approx(np.std(per, ddof=1)/3**.5)
    m,e = mean_and_error(rows[:2]); assert m==pytest.approx(.3) and e==pytest.approx(np.std([.2,.4], ddof=1)/2**.5)
    assert mean_and_error(rows[:1])==(.2, None)
