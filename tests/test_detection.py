"""Detectors: the head against golden figures, kinds of labels, what learns and how fast, kept features, the mean teacher, a handful of clips learnt by heart, decisions from validation alone, folders;
recordings of any length: the same scores whatever the reading, no seams, constant memory, bad files"""
import json, math, os, shutil, subprocess, sys
from pathlib import Path
import numpy as np, pytest, torch, torch.nn.functional as F
from torch import nn
from audiossl.audio import AudioError, load_audio, save_audio
from audiossl.cli import quiet
from audiossl.datasets.events import EventItem, desed, read_events
from audiossl.datasets.soundscapes import synth_bank, write_soundscapes
from audiossl.detect import EventStream, Found, detect_recording, join_windows, recording_scores, window_starts, write_found
from audiossl.downstream.decoding import Exam, Scores, decode
from audiossl.downstream.detection import (DETECTION, DetectionTask, choose_decoding, detection_loss, judge_detector, keep_below, learning_groups, run_detection, score_split, train_detector)
from audiossl.downstream.psds import event_f1
from audiossl.lightning.datamodules import FrameDataModule
from audiossl.models.clip import clip_encoder
from audiossl.models.detector import Detector, EncoderFrames, FrameHead, OtherFrames, SmallCRNN, arrange_tokens, load_detector, save_detector
from audiossl.models.frame import frame_encoder
from audiossl.models.weights import CheckpointError
from audiossl.scenes import SIDES, make_bank
from audiossl.standins import write_standin
from audiossl.transforms.logmel import LogMel
from audiossl.transforms.views import EvalView

GOLDEN = Path(os.environ.get('AUDIOSSL_GOLDEN_SED', Path(__file__).parent/'data'/'golden'))
TINY = dict(depth=2, embed_dim=32)

def seeded(make, seed=0):
    with torch.random.fork_rng(): torch.manual_seed(seed); return make()
def small_encoder(seed=0): return seeded(lambda: frame_encoder('tiny', **TINY), seed)
def small_crnn(): return seeded(lambda: SmallCRNN(channels=(4,8,8,8), hidden=16))

@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('detection')/'scenes'
    write_soundscapes(synth_bank(per_class=5), folder, strong=8, weak=5, valid=4, test=4, unlabelled=4, seed=1, empty=.2, short=.4)
    return folder

def module(root, batch_sizes=(4,2), **kw): return FrameDataModule(root, 'desed', 4, [EvalView(10.)]*3, batch_sizes=batch_sizes, **kw)

# --- heads

def test_golden_head():
    g = {k: torch.from_numpy(v).float() for k,v in np.load(GOLDEN/'head_pool.npz').items()}
    C,D = g['weight'].shape
    head = FrameHead(D, C)
    head.load_state_dict({'linear.weight':g['weight'], 'linear.bias':g['bias'], 'attention.weight':g['att_weight'], 'attention.bias':g['att_bias']})
    with torch.no_grad(): logits,tags = head(g['x'])
    torch.testing.assert_close(logits.sigmoid(), g['strong'], atol=1e-6, rtol=0); torch.testing.assert_close(tags, g['weak'], atol=1e-6, rtol=0)

def test_head_as_published():
    head = seeded(lambda: FrameHead(4000, 10))
    assert abs(head.linear.weight.std()-.01)<5e-4 and not head.linear.bias.any() and not head.attention.bias.any()
    logits,tags = FrameHead(3, 2, attention=False)(torch.randn(2, 5, 3))
    assert torch.equal(tags, logits.sigmoid().amax(2))

@pytest.mark.parametrize('make', [lambda **k: frame_encoder('tiny', **TINY, **k), lambda **k: clip_encoder('tiny', **TINY, **k)], ids=['frame','clip'])
@pytest.mark.parametrize('kw,frames', [({}, 250), (dict(patch_h=32), 250), (dict(patch_w=2), 250), (dict(patch_w=16, patch_h=16), 62)], ids=str)
def test_frames_are_the_encoders_tokens(make, kw, frames):
    encoder,x = seeded(lambda: make(**kw)).eval(), torch.randn(2, 1, 64, 1001, generator=torch.Generator().manual_seed(0))
    f = EncoderFrames(encoder)
    with torch.no_grad():
        got,rows = f(x), 64//kw.get('patch_h', 64)
        w = kw.get('patch_w', 4)
        def tokens(x):
            t = encoder.get_intermediate_layers(x, n=1, scene=False) if hasattr(encoder, 'norm_frame') else encoder.get_intermediate_layers(x, n=1)[0][:,1:]
            return t.unflatten(1, (-1,rows)).mean(2)
        want = torch.cat([tokens(o) for o in x[...,:1001//w*w].split(f.chunk, -1)], 1)
        if w==2: want = want.unflatten(1, (-1,2)).mean(2)
    assert got.shape==(2, frames, 32) and f.frame_s==pytest.approx(10/frames, rel=.01)
    torch.testing.assert_close(got, want, atol=2e-5, rtol=0)

def test_pooling_of_others():
    t = torch.arange(499.)[None,:,None]
    assert torch.equal(arrange_tokens(t, pool=2)[0,:,0], torch.cat([torch.arange(249.)*2+.5, torch.tensor([498.])]))
    band,moment = torch.meshgrid(torch.arange(5), torch.arange(38), indexing='ij')
    side = arrange_tokens(torch.stack([moment,band], -1).reshape(1, -1, 2).float(), rows=5, by_time=False, join=True)
    assert side.shape==(1,38,10) and torch.equal(side[0,7], torch.tensor([[7.,b] for b in range(5)]).flatten())

# --- losses and what learns

def batch(kinds, C=3, T=25, seed=0):
    g = torch.Generator().manual_seed(seed); n = len(kinds)
    y = (torch.rand(n, C, T, generator=g)<.1).float()
    return torch.randn(n, C, T, generator=g), torch.rand(n, C, generator=g), EventItem(None, y, y.amax(2), torch.tensor(kinds), None, .04, None)

def test_flags_not_places():
    logits,tags,b = batch([0,1,2,0,1])
    loss,p = detection_loss(logits, tags, b), torch.tensor([4,2,0,1,3])
    moved = detection_loss(logits[p], tags[p], b._replace(labels=b.labels[p], weak=b.weak[p], kind=b.kind[p]))
    for k in loss: torch.testing.assert_close(loss[k], moved[k])
    torch.testing.assert_close(loss['strong'], F.binary_cross_entropy(logits[[0,3]].sigmoid(), b.labels[[0,3]]))
    torch.testing.assert_close(loss['weak'], F.binary_cross_entropy(tags[[1,4]], b.weak[[1,4]]))
    nothing = detection_loss(logits, tags, b._replace(kind=torch.full((5,), 2)))
    assert nothing['loss']==0 and detection_loss(logits, tags, b, positive=5.)['strong']>loss['strong']

def test_layers_learn_as_in_the_paper():
    d = Detector(EncoderFrames(frame_encoder('small')), ['a'], 'full')
    groups,name = learning_groups(d, .75), {id(p): n for n,p in d.named_parameters()}
    of = [{name[id(p)] for p in g['params']} for g in groups]
    assert len(groups)==15 and [g['scale'] for g in groups[:2]]==[1.,1.] and groups[2]['scale']==.75 and groups[14]['scale']==.75**13
    assert of[0]=={n for n in name.values() if n.startswith('head')} and all('norm_frame' in n for n in of[1]) and all('blocks.11.' in n for n in of[2]) and all('blocks.0.' in n for n in of[13])
    assert {n.split('.')[2] for n in of[14]}=={'pos_embed','patch_embed'} and 'frames.encoder.mask_embed' not in set().union(*of)
    t = DetectionTask(Detector(EncoderFrames(small_encoder()), ['a'], 'last'), DETECTION['desed'], 11).lr_table
    assert len(t)==1100 and t[0]==0 and t[54]==.1 and t[55]==pytest.approx(.1) and 1e-6<t[-1]<2e-6

@pytest.mark.parametrize('policy', ['head','last','full'])
def test_policies(root, policy, tmp_path):
    encoder = small_encoder()
    before,data = {k: v.clone() for k,v in encoder.state_dict().items()}, module(root)
    d = Detector(EncoderFrames(encoder), data.classes, policy)
    with quiet(): train_detector(d, data, tmp_path/'run', dict(DETECTION['scenes'], epochs=1, warmup=0.))
    moved = {k.split('.')[0]+('.'+k.split('.')[1] if 'blocks' in k else '') for k,v in encoder.state_dict().items() if not torch.equal(v, before[k])}
    assert moved=={'head':set(), 'last':{'blocks.1','norm_frame'}, 'full':{'blocks.0','blocks.1','norm_frame','patch_embed','pos_embed'}}[policy]

def test_kept_features_change_nothing(root, tmp_path):
    got = []
    for kept in (False, True):
        data,d = module(root), seeded(lambda: Detector(EncoderFrames(small_encoder()), desed(root).classes, 'last'))
        if kept: keep_below(d, data)
        with quiet(): train_detector(d, data, tmp_path/str(kept), dict(DETECTION['scenes'], epochs=2, blank=0), seed=3)
        got.append(d.state_dict())
    assert all(torch.allclose(got[0][k], got[1][k], atol=2e-4) for k in got[0])
    with pytest.raises(ValueError, match='nothing can be kept'): keep_below(Detector(EncoderFrames(small_encoder()), ['a'], 'full'), data)

def test_mean_teacher(root, tmp_path):
    recipe = dict(DETECTION['mean_teacher'], epochs=2, batch_sizes=(4,2,2), lr=1e-2, policy='full', mean_teacher=dict(weight=2., ramp=.5, ema=.9))
    data = module(root, (4,2,2), parts=('synthetic','weak','unlabelled','synthetic_validation','validation'))
    assert sorted(set(data.dataset_train.kinds.tolist()))==[0,1,2]
    d = seeded(lambda: Detector(EncoderFrames(small_encoder()), data.classes, 'full'))
    with quiet(): curve = train_detector(d, data, tmp_path/'run', recipe)
    assert 0<curve[-1]['consistency']<1
    best = torch.load(tmp_path/'run'/'best.ckpt', weights_only=True)
    k = 'frames.encoder.blocks.0.mlp.fc1.weight'
    assert torch.equal(d.state_dict()[k], best[f'teacher.{k}']) and not torch.equal(best[f'teacher.{k}'], best[f'detector.{k}'])
    task = DetectionTask(d, recipe, 10)
    assert task.trust[0]==pytest.approx(2*math.exp(-5)) and task.trust[-1]==2. and not any(p.requires_grad for p in task.teacher.parameters())

def test_every_recipe_runs(root, tmp_path):
    with quiet():
        a = run_detection(root, small_encoder(), tmp_path/'a', 'mean_teacher', epochs=1, batch_sizes=(4,2,2))
        b = run_detection(write_standin('as_strong', tmp_path/'strong'), small_encoder(), tmp_path/'b', 'as_strong', 'as_strong', epochs=1, batch_sizes=(2,))
        c = run_detection(root, small_encoder(), tmp_path/'c', 'desed', epochs=1, batch_sizes=(4,2))
    assert a['curve'][0]['consistency']>=0 and len(b['threshold'])==len(b['detector'].classes) and b['detector'].head.attention is None
    assert c['detector'].policy=='last' and all(0<=v<=1 for r in (a,b,c) for k,v in r['figures'].items() if k!='hours')

def test_goes_on_after_a_stop(root, tmp_path):
    recipe = dict(DETECTION['scenes'], epochs=3)
    d = [seeded(lambda: Detector(small_crnn(), desed(root).classes, 'full')) for _ in range(3)]
    with quiet(): train_detector(d[0], module(root), tmp_path/'a', recipe, seed=1)
    def stop(row):
        if row['epoch']==1: raise KeyboardInterrupt
    with quiet(), pytest.raises((KeyboardInterrupt, SystemExit)): train_detector(d[2], module(root), tmp_path/'b', recipe, seed=1, show=stop)
    with quiet(): curve = train_detector(d[1], module(root), tmp_path/'b', recipe, seed=1)
    assert len(curve)==3 and all(torch.allclose(a, b, atol=1e-5) for a,b in zip(d[0].state_dict().values(), d[1].state_dict().values()))

def test_learns_a_handful_by_heart(tmp_path):
    tone = lambda hz, s: np.sin(2*np.pi*hz*np.arange(round(16000*s))/16000)
    rows = [(side, c, f'{c} {side} {s}', tone(hz, s)) for side in SIDES for c,hz in (('high',3000), ('low',300), ('middle',1000)) for s in (.7, 1.1, 1.9)]
    write_soundscapes(make_bank('tones', rows, synth_bank(per_class=5).backgrounds, ['high','low','middle']), tmp_path/'few', strong=4, weak=2, valid=1, test=1, seed=2, empty=0., short=0.)
    data = module(tmp_path/'few', (1,1))
    data.dataset_val = data.dataset_test = desed(tmp_path/'few', 'train', EvalView(10.), parts=('synthetic',))
    d = seeded(lambda: Detector(SmallCRNN(channels=(8,16,16,16), hidden=32), data.classes, 'full', bias=-3.))
    keep_below(d, data)
    before = event_f1(Exam(*score_split(d, data.dataset_test)))
    with quiet(): train_detector(d, data, tmp_path/'run', dict(DETECTION['scenes'], epochs=40, lr=1e-2, warmup=.1, positive=2.))
    scores,truth,seconds = score_split(d, data.dataset_test)
    assert sum(map(len, truth.values()))>=4 and before<.1
    after = judge_detector(scores, truth, seconds, *choose_decoding(scores, truth, seconds))
    assert after['intersection_f1']>.9 and after['event_f1']>.8

@pytest.mark.parametrize('data', ['labels','shuffled'])
def test_ceiling_and_floor(root, data):
    rng,ds = np.random.default_rng(0), desed(root, 'test', EvalView(10.))
    items = [ds[i] for i in range(len(ds))]
    n = {i.key.rpartition('/')[2]: math.ceil(i.seconds/.04-1e-6) for i in items}
    scores = {k: i.labels.numpy().T[:n[k]] for k,i in zip(n, items)}
    if data=='shuffled': scores = {k: rng.permutation(s.ravel()).reshape(s.shape) for k,s in scores.items()}
    truth,seconds = {k: [(ds.classes[c], a, b) for c,a,b in ds.about(j)[2]] for j,k in enumerate(n)}, {k: float(i.seconds) for k,i in zip(n, items)}
    r = judge_detector(Scores(scores, ds.classes), truth, seconds, 1)
    assert (r['psds1']>=.95 and r['psds2']>=.95 and r['event_f1']>=.95) if data=='labels' else r['psds1']<=.05

# --- decisions

def clip_scores(truth, seconds, blur=0., noise=0., seed=0, C=2):
    rng,out = np.random.default_rng(seed), {}
    for k,s in seconds.items():
        y = np.zeros((math.ceil(s/.04-1e-6), C))
        for l,a,b in truth[k]: y[round(a/.04):round(b/.04), 'ab'.index(l)] = 1
        out[k] = np.clip(.2+.4*y+noise*rng.standard_normal(y.shape), 0, 1)
    return Scores(out, 'ab')

def test_choice_suits_the_class():
    truth = {f'{i}': [('a', 1.+.2*i, 1.2+.2*i), ('b', 2., 8.)] for i in range(8)}
    seconds = dict.fromkeys(truth, 10.)
    scores = clip_scores(truth, seconds)
    for k in scores.clips: scores.blocks[0][1, scores.starts[int(k)]+60:scores.starts[int(k)]+190:13] = .1        # holes in the long ones
    window,threshold = choose_decoding(scores, truth, seconds)
    assert window[0]<=5<=window[1] and all(.2<=t<.6 for t in threshold)
    assert event_f1(Exam(scores.filtered(window), truth, seconds), threshold)==1.>event_f1(Exam(scores.filtered(7), truth, seconds), .7)
    empty = choose_decoding(scores, {k: [e for e in v if e[0]=='a'] for k,v in truth.items()}, seconds)
    assert (empty[0][1], empty[1][1])==(7,.5)

def test_test_clips_decide_nothing(root, tmp_path):
    kw = dict(epochs=2, batch_sizes=(4,2))
    shutil.copytree(root, tmp_path/'other')
    table = tmp_path/'other/metadata/validation/validation.tsv'
    events = read_events(table)
    table.write_text('filename\tonset\toffset\tevent_label\n'+''.join(f'{k}\t1.0\t2.0\tspeech\n' for k in events))
    with quiet(): a,b = (run_detection(r, small_encoder(), tmp_path/n, **kw) for r,n in ((root,'a'), (tmp_path/'other','b')))
    assert (a['window'],a['threshold'])==(b['window'],b['threshold']) and a['figures']!=b['figures'] and a['curve']==b['curve']
    assert set(a['figures'])>={'psds1','psds2','event_f1','intersection_f1','hours'}
    kept = load_detector(tmp_path/'a'/'detector')
    assert kept.threshold==a['threshold'] and kept.classes==desed(root).classes

def test_run_takes_no_other_words(root, tmp_path):
    with pytest.raises(ValueError, match='epoch: not in a recipe'): run_detection(root, None, tmp_path/'x', epoch=1)
    with pytest.raises(KeyError): run_detection(root, None, tmp_path/'x', 'nothing')
    with pytest.raises(ValueError, match='optimizer='): DetectionTask(Detector(small_crnn(), ['a'], 'full'), dict(DETECTION['scenes'], optimizer='lion'), 1)

# --- folders

def test_folder_faults(tmp_path):
    d = Detector(small_crnn(), ['a','b'], 'full').eval(); d.window,d.threshold = [3,9],[.25,.75]
    save_detector(d, tmp_path/'d', dict(note='x'))
    x = torch.randn(1, 1, 64, 100)
    back = load_detector(tmp_path/'d')
    assert torch.equal(back(x)[0], d(x)[0]) and (back.window,back.threshold,back.classes)==([3,9],[.25,.75],('a','b')) and not back.training
    info = json.loads((tmp_path/'d/detector.json').read_text())
    for change,said in ((dict(format='x'), 'not written by'), (dict(network='Evil'), 'not written by'), (dict(sha256='0'), 'damaged'), (dict(classes=['a']), '1 classes|shape|size'), (dict(network_config={}), 'size|shape'), (dict(window=[3]), '1 windows')):
        (tmp_path/'d/detector.json').write_text(json.dumps({**info, **change}))
        with pytest.raises(CheckpointError, match=said) as e: load_detector(tmp_path/'d')
        assert '\n' not in str(e.value)
    (tmp_path/'d/detector.json').write_text('{')
    with pytest.raises(CheckpointError, match='not written by'): load_detector(tmp_path/'d')
    with pytest.raises(CheckpointError, match='no detector'): load_detector(tmp_path)
    with pytest.raises(TypeError, match='cannot be kept'): save_detector(Detector(OtherFrames(nn.Identity(), 4, .04), ['a'], 'head'), tmp_path/'o')

# --- recordings

@pytest.fixture(scope='module')
def detector():
    d = seeded(lambda: Detector(EncoderFrames(small_encoder()), ['a','b','c'], 'full')).eval()
    seeded(lambda: nn.init.normal_(d.head.linear.weight, std=.5)); d.window,d.threshold = [1,5,15],[.5,.5,.5]
    return d

@pytest.fixture(scope='module')
def long(tmp_path_factory):
    folder = tmp_path_factory.mktemp('long')
    wave = torch.from_numpy(np.concatenate([x.wave for some in synth_bank(per_class=5).sounds['train'] for x in some]))
    wave = torch.cat([wave, .5*wave.flip(0)])[:16000*47+321]*.9
    save_audio(folder/'a.wav', wave); save_audio(folder/'b.ogg', wave)
    t = torch.arange(44100*31)/44100
    save_audio(folder/'c.flac', .3*torch.stack([torch.sin(500*t*(1+t)), torch.sin(900*t)*(t%3<1)]), 44100)
    return folder

def scores_of(*a, **kw): return np.concatenate(list(recording_scores(*a, **kw)))

@pytest.mark.parametrize('name,n', [('a.wav',1176), ('b.ogg',1176), ('c.flac',775)])
def test_reading_changes_nothing(long, detector, name, n):
    want = scores_of(long/name, detector)
    assert want.shape==(n,3) and want.dtype==np.float32 and want.std()>.01
    for kw in (dict(batch_size=1), dict(batch_size=3, per_read=2), dict(per_read=1, workers=1), dict(per_read=3, workers=4)):
        assert np.abs(scores_of(long/name, detector, **kw)-want).max()<1e-5, kw
    assert np.abs(scores_of(long/name, detector, shift_s=2.52)-want).max()>1e-4                     # the grid is what matters

def test_a_clip_is_scored_as_in_training(root, detector):
    ds = desed(root, 'test', EvalView(10.))
    d = Detector(detector.frames, ds.classes, 'full').eval()
    scores,_,seconds = score_split(d, ds)
    for e in ds.entries:
        got = scores_of(e.path, d)
        assert got.shape==scores[e.path.name].shape and np.abs(got-scores[e.path.name]).max()<1e-5
    assert min(seconds.values())<10

@pytest.mark.parametrize('n', [1, 100, 640, 641, 8000, 160_000, 160_001, 240_000])
def test_every_length(tmp_path, detector, n):
    save_audio(tmp_path/'x.wav', torch.randn(n, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)*.2)
    assert scores_of(tmp_path/'x.wav', detector).shape==(-(-n//640), 3)
    found,seconds = detect_recording(tmp_path/'x.wav', detector)
    assert seconds==n/16000 and all(0<=e.onset<e.offset<=seconds+1e-6 for e in found)

def test_windows():
    rng = np.random.default_rng(0)
    for _ in range(60):
        n,W = int(rng.integers(1, 900)),int(rng.integers(2, 250)); hop,shift = int(rng.integers(1, W+1)),int(rng.integers(W))
        starts = window_starts(n, W, hop, shift)
        assert starts[0]==-shift and starts[-1]+W>=n and (len(starts)==1 or starts[-2]+W<n)
        truth = rng.random((n,2)); padded = np.pad(truth, ((shift, 2*W), (0,0)), constant_values=9)
        blocks = list(join_windows((padded[s+shift:s+shift+W] for s in starts), starts, n))
        assert all(0<len(b)<=W for b in blocks) and np.abs(np.concatenate(blocks)-truth).max()<1e-6
    for bad in (dict(hop=0), dict(hop=11), dict(hop=5, shift=10)):
        with pytest.raises(ValueError, match='hop='): window_starts(100, 10, **bad)

class Loud(nn.Module):
    "Hears what is loud: the same in every window, so a seam would be the joining's fault"
    width,frame_s = 1,.04
    def front(self): return LogMel(top_db=None)
    def below(self, x): return x
    def above(self, x): return x[:,0,:,:1000].mean(1).unflatten(1, (250,4)).mean(2, keepdim=True)
    forward = above

def test_no_seams(tmp_path):
    d = Detector(Loud(), ['loud'], 'full').eval(); d.window = [1]
    with torch.no_grad(): d.head.linear.weight.fill_(60.); d.head.linear.bias.fill_(0.)
    x = torch.zeros(16000*60)+1e-6*torch.randn(16000*60, generator=torch.Generator().manual_seed(0))
    spans = [(3.2,4.), (7.6,27.92), (34.96,35.08), (44.,58.)]
    for a,b in spans: x[round(a*16000):round(b*16000)] += .3*torch.randn(round(b*16000)-round(a*16000), generator=torch.Generator().manual_seed(1)).clamp(-3, 3)
    save_audio(tmp_path/'x.wav', x.clamp(-1, 1))
    found,_ = detect_recording(tmp_path/'x.wav', d)
    assert len(found)==4 and all(abs(e.onset-a)<=.085 and abs(e.offset-b)<=.085 for e,(a,b) in zip(found, spans)), found

def test_stream_is_decoding():
    rng = np.random.default_rng(3)
    for _ in range(25):
        T,C = int(rng.integers(1, 300)),int(rng.integers(1, 4))
        s = rng.random((T,C)).astype(np.float32); window,thr = rng.choice([1,3,7,21], C).tolist(),rng.uniform(.3, .7, C).tolist()
        classes,end = 'abc'[:C],T*.04-.01
        st,got,i = EventStream(classes, thr, window, duration=end),[],0
        while i<T: n = int(rng.integers(1, 60)); got += st.push(s[i:i+n]); i += n
        got += st.push(s[:0], last=True)
        assert sorted(tuple(e[:3]) for e in got)==sorted(decode(s, classes, thr, window, duration=end))
        assert all(isinstance(e, Found) and thr[classes.index(e.label)]<=e.score+5e-5<=1.0001 for e in got)

def test_memory_does_not_grow(tmp_path):
    "30 minutes need hardly more than one; were they read at once, 115 MB of samples would be held"
    save_detector(Detector(small_crnn(), ['a','b'], 'full').eval(), tmp_path/'d')
    rng = np.random.default_rng(0)
    minute = torch.from_numpy(rng.standard_normal(16000*60).astype(np.float32)*.05)
    save_audio(tmp_path/'short.wav', minute); save_audio(tmp_path/'long.wav', minute.repeat(30))
    code = "import sys,resource; from audiossl.detect import *; from audiossl.models.detector import load_detector; d = load_detector(sys.argv[1]); d.threshold = [.3,.9]; e,s = detect_recording(sys.argv[2], d, per_read=16); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, s)"
    run = lambda name: subprocess.run([sys.executable, '-c', code, str(tmp_path/'d'), str(tmp_path/name)], env=dict(os.environ, OMP_NUM_THREADS='1'), capture_output=True, text=True, check=True).stdout.split()
    (a,s1),(b,s2) = run('short.wav'),run('long.wav')
    assert (float(s1),float(s2))==(60.,1800.) and int(b)-int(a)<60_000, f'{(int(b)-int(a))/1000:.0f} MB more'

def test_bad_recordings(tmp_path, detector):
    (tmp_path/'empty.wav').touch(); (tmp_path/'text.wav').write_text('no sound at all'); save_audio(tmp_path/'cut.wav', torch.zeros(16000*30)); data = (tmp_path/'cut.wav').read_bytes(); (tmp_path/'cut.wav').write_bytes(data[:-5000])
    for name,reason in (('nowhere.wav','missing'), ('empty.wav','empty'), ('text.wav','not_audio'), ('cut.wav','truncated')):
        with pytest.raises(AudioError) as e: detect_recording(tmp_path/name, detector)
        assert e.value.reason==reason and '\n' not in str(e.value)
    save_audio(tmp_path/'ok.wav', torch.zeros(16000))
    for kw in (dict(batch_size=0), dict(per_read=0), dict(workers=-1), dict(overlap=1.)):
        with pytest.raises(ValueError, match='batch_size='): scores_of(tmp_path/'ok.wav', detector, **kw)
    broken = Detector(small_crnn(), ['a'], 'full').eval(); nn.init.constant_(broken.head.linear.bias, math.nan)
    with pytest.raises(ValueError, match='not finite'): scores_of(tmp_path/'ok.wav', broken)

def test_written(tmp_path):
    rows = {'x.wav': ([Found('a', .04, .12, .9), Found('b', 1., 2., .7)], 3.), 'y.wav': ([], 1.)}
    for end in ('tsv','json'): write_found(tmp_path/f'f.{end}', rows)
    assert read_events(tmp_path/'f.tsv')=={'x.wav': [('a',.04,.12), ('b',1.,2.)], 'y.wav': []}
    assert json.loads((tmp_path/'f.json').read_text())[0]=={'file':'x.wav', 'seconds':3., 'events':[dict(label='a', onset=.04, offset=.12, score=.9), dict(label='b', onset=1., offset=2., score=.7)]}
    with pytest.raises(ValueError, match='.tsv, .json or .txt'): write_found(tmp_path/'f.csv', rows)
    assert sorted(p.name for p in tmp_path.iterdir())==['f.json','f.tsv']

# --- the command

def test_command(typed, detector, long, tmp_path):
    save_detector(detector, tmp_path/'d')
    want = {p.name: detect_recording(p, detector)[0] for p in sorted(long.iterdir())}
    assert sum(map(len, want.values()))>10
    for words in ((), ('--batch-size', 3), ('--workers', 2)):
        code,out,err = typed('detect', long, '--model', tmp_path/'d', '--out', tmp_path/'f.json', '--device', 'cpu', *words)
        assert (code,err)==(0,[]) and 'in 3 of 3 recordings' in ' '.join(out)
        got = {r['file']: r['events'] for r in json.loads((tmp_path/'f.json').read_text())}
        assert got.keys()==want.keys() and all([e['label'] for e in got[k]]==[e.label for e in want[k]] and np.allclose([(e['onset'],e['offset']) for e in got[k]], [(e.onset,e.offset) for e in want[k]]) for k in got)
    code,out,_ = typed('detect', long/'a.wav', '--model', tmp_path/'d', '--out', tmp_path/'g.tsv', '--scores', tmp_path/'g.npz', '--plot', '--device', 'cpu')
    assert code==0 and [e[:3] for e in want['a.wav']]==read_events(tmp_path/'g.tsv')['a.wav'] and (tmp_path/'g_1_a.png').stat().st_size>5000
    from audiossl.downstream.decoding import read_scores
    assert np.abs(read_scores(tmp_path/'g.npz')['a.wav']-scores_of(long/'a.wav', detector)).max()<1e-6
    code,out,_ = typed('detect', long/'a.wav', '--model', tmp_path/'d', '--threshold', 1, '--device', 'cpu')
    assert code==0 and '0 events in 1 of 1' in ' '.join(out)

def test_command_faults(typed, detector, long, tmp_path):
    save_detector(detector, tmp_path/'d'); (tmp_path/'bad.wav').write_text('no sound'); (tmp_path/'none').mkdir()
    ok = ('--model', tmp_path/'d', '--device', 'cpu')
    for words,said in (((long/'a.wav', '--model', tmp_path/'x'), 'no detector'), ((tmp_path/'bad.wav', *ok), 'not a sound file'), ((tmp_path/'none', *ok), 'no sound file in it'),
                       ((long/'a.wav', *ok, '--out', tmp_path/'f.csv'), '.tsv, .json or .txt'), ((long/'a.wav', *ok, '--out', tmp_path/'no/f.tsv'), 'no such folder'),
                       ((long/'a.wav', *ok, '--threshold', 7), '0 to 1'), ((long/'a.wav', *ok, '--on-bad', 'ask'), 'stop or skip'), ((long/'a.wav', *ok, '--batch-size', 0), 'batch_size=0')):
        code,_,err = typed('detect', *words)
        assert code==1 and len(err)==1 and said in err[0], err
    code,out,err = typed('detect', tmp_path/'bad.wav', long/'a.wav', *ok, '--on-bad', 'skip', '--out', tmp_path/'f.tsv')
    assert code==0 and 'left out' in ' '.join(out) and '1 of 2' in ' '.join(out) and list(read_events(tmp_path/'f.tsv'))==['a.wav']
    assert typed('detect', tmp_path/'bad.wav', *ok, '--on-bad', 'skip')[0]==1
    shutil.copy(long/'a.wav', tmp_path/'none')
    code,out,_ = typed('detect', long/'a.wav', tmp_path/'none', *ok, '--out', tmp_path/'f.tsv')
    assert code==0 and set(read_events(tmp_path/'f.tsv'))=={str(long/'a.wav'), str(tmp_path/'none/a.wav')}       # two of one name

# --- the study

def test_study_takes_any_encoder(tmp_path):
    from audiossl.checkpoint import save_pretrained
    save_pretrained(small_encoder(), tmp_path/'encoder')
    tool = Path(__file__).parent.parent/'tools'/'study_events.py'
    words = ['--seeds', '1', '--jobs', '1', '--scenes', '{"strong": 4, "weak": 5, "valid": 3, "test": 3}', '--recipe', '{"epochs": 1, "batch_sizes": [2, 2]}', '--out', str(tmp_path/'s.json')]
    run = lambda *more: subprocess.run([sys.executable, str(tool), *words, *more], env=dict(os.environ, OMP_NUM_THREADS='1'), capture_output=True, text=True)
    r = run('--model', str(tmp_path/'encoder'), '--gaps')
    assert r.returncode==0, r.stderr[-2000:]
    out = json.loads((tmp_path/'s.json').read_text())
    assert [o['arm'] for o in out['rows']]==['pretrained','random','crnn'] and set(out['summary']['differences'])=={'pretrained - random','pretrained - crnn','random - crnn'}
    assert all(0<=o['figures'][k]<=1 for o in out['rows'] for k in ('psds1','psds2','event_f1')) and all(o['shifted']['mean']>=0 for o in out['rows'])
    assert out['summary']['scores']['crnn']['psds1'][1] is None                                     # one seed has no error
    r = run('--model', str(tmp_path/'nothing'))
    assert r.returncode==1 and len(r.stderr.splitlines())==1 and 'no such file or folder' in r.stderr
