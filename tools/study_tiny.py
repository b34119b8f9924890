"""Measure one idea for the recipe of the shipped tiny encoders and add it to `nbs/results/tiny_recipe.json`.

usage: python tools/study_tiny.py NAME [--steps N] [--seed S] [entry=value ...]
e.g.   python tools/study_tiny.py 'slow teacher' --steps 800 ema=.999 made=.5

Trains ATST-Frame (or ATST-Clip: method=atst_clip), size tiny, with `START` but for the entries given, on the training sounds and made-up ones. Then linear probes on every bundled task, in folds over the
sounds whose `split` is train or valid: no test sound is read. Features are the scene embedding of all blocks (frames: the mean over tokens; clips: the
class token and that mean), and mean and deviation over tokens, of the teacher and of the student: a teacher that follows slowly has not come far in a short run.
"""
import argparse, sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
from audiossl.cli import quiet
from audiossl.datasets.batches import SceneBatches, make_scene
from audiossl.datasets.minisounds import pretraining_pool, task, task_names
from audiossl.downstream.probe import logmel_statistics
from audiossl.downstream.suite import judge, task_features
from audiossl.methods.atstframe.embedding import embed_clips
from audiossl.models.chunks import scene_width
from audiossl.methods.atst.model import ATSTLightningModule
from audiossl.methods.atstframe.model import FrameATSTLightningModule, heldout_loss
from audiossl.quickstart import InTurn
from audiossl.running import Watch, fit
from audiossl.transforms.augment import Mixup
from audiossl.transforms.views import ClipViews, FrameViews
from judging import encoders, facts, moments
from study_quickstart import keep, value

START = dict(method='atst_frame', batch_s=50., scene_seconds=(1.6,), gap_s=(0.,.2), gain_db=(-12.,0.), speed=None, noise_db=(-80.,-50.), made=0., alone=False, # what is heard; alone: a scene repeats one sound
             mask_type='block', mask_ratio=.65, mask_len=5, aug_tea=False, mix_up=False, freq_wrap=True,                        # see `FrameViews`
             mixing=.4, room=1.5,                                                                                               # see `Mixup.ratio` (ATST-Clip); a scene is so many crops long
             learning_rate=1e-3, warmup=.1, ema=.99, hidden=512, symmetric=True, drop_path_rate=.1, weight_decay=.04, weight_decay_end=.4, avg_blocks=0,
             embed_dim=None, depth=None, num_heads=None)                                                                        # None: of size tiny
VIEWS = 'mask_type','mask_ratio','mask_len','aug_tea','mix_up','freq_wrap'
SCENES = 'gap_s','gain_db','speed','noise_db','made'
FILE = Path(__file__).resolve().parent.parent/'nbs/results/tiny_recipe.json'

def batches(pool, steps, seed, r):
    clip,how = r['method']=='atst_clip',{k: r[k] for k in SCENES if k!='made'}
    def views(s):
        if not clip: return FrameViews(anchor_len=s, **{k: r[k] for k in VIEWS})
        v = ClipViews((s,s), (s,s)); v.mixups = [Mixup(r['mixing']) for _ in v.mixups]
        return v
    scene = (lambda pool, n, rng: make_scene([pool[int(rng.integers(len(pool)))]], n, rng, **how)) if r['alone'] else None
    return InTurn([SceneBatches(pool, seed, steps, max(2, round(r['batch_s']/s)), views(s), s*(r['room'] if clip else 1.), scene, made=r['made'], **how) for s in r['scene_seconds']])

def network(steps, seed, r):
    clip = r['method']=='atst_clip'
    other = {'method','batch_s','scene_seconds','warmup','alone','mixing','room', *VIEWS, *SCENES, *(('symmetric','avg_blocks') if clip else ())}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return (ATSTLightningModule if clip else FrameATSTLightningModule)(arch='tiny', max_steps=steps, warmup_steps=max(1, int(r['warmup']*steps)),
                                                                             **{k: v for k,v in r.items() if k not in other})

def for_tuning(t):
    "The task without its test sounds"
    keep = np.flatnonzero(t.split!='test')
    return replace(t, files=[t.files[i] for i in keep], recipes=t.recipes and [t.recipes[i] for i in keep], **{k: getattr(t, k)[keep] for k in ('labels','groups','folds','split')})

def features(encoder, tasks):
    see = lambda waves: torch.cat([embed_clips(encoder.eval(), waves), moments(encoder, waves)], 1)
    x, n = task_features(see, tasks), scene_width(encoder)
    return {t: o[:,:n] for t,o in x.items()}, {t: o[:,n:] for t,o in x.items()}

def spread(x):
    "Over how many directions the variance of standardised features is spread: exp of the entropy of its shares"
    s = np.linalg.svd((x-x.mean(0))/(x.std(0)+1e-9), compute_uv=False)**2; q = s/s.sum()
    return float(np.exp(-(q*np.log(q+1e-30)).sum()))

def probed(reps, tasks):
    res = judge(reps, tasks, 1, ('linear',))
    return {n: {t.name: res['linear',t.name,n][0].score for t in tasks} for n in reps}

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('name'); ap.add_argument('--judge', metavar='MODEL', help='no training: judge these finished weights, a name or a file'); ap.add_argument('--steps', type=int, default=800, help='0: the network as it begins'); ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('entries', nargs='*', help='entry=value')
    a = ap.parse_intermixed_args()
    changed = {k: value(v) for k,v in (e.split('=', 1) for e in a.entries)}
    if set(changed)-set(START): sys.exit(f'{", ".join(set(changed)-set(START))}: not an entry; there are {", ".join(START)}')
    r, tasks = {**START, **changed}, [for_tuning(task(n)) for n in task_names()]
    pool, held = ([w for _,w in pretraining_pool((s,))] for s in ('train','valid'))
    if a.judge:
        encoder,_ = encoders(a.judge, 0); scene,both = features(encoder, tasks); reps = {'teacher, scene': scene, 'teacher, mean and deviation': both}
        row = dict(name=a.name, changed=changed, steps=None, seed=a.seed, weights=a.judge, scores=probed(reps, tasks), spread={'teacher': spread(scene['minisounds'])}, **facts('study_tiny'))
        keep(row, FILE); return print(a.name, {n: round(float(np.mean(list(s.values()))), 3) for n,s in row['scores'].items()})
    module, watch, cpu = network(max(1, a.steps), a.seed, r), Watch(None, every=50), time.process_time()
    test = [batches(held, 8, 10**6, {**r, 'made': 0.})[k] for k in range(8)]
    before = heldout_loss(module, test).loss
    if a.steps:
        with quiet(): fit(module, batches(pool, a.steps, a.seed, r), watch, seed=a.seed)
    cpu = time.process_time()-cpu
    reps, wide = {} if a.steps else {'log-mel': task_features(logmel_statistics, tasks)}, {}
    for who in ('teacher','student') if a.steps else ('teacher',):
        scene, both = features(getattr(module.model, who).encoder, tasks)
        reps |= {f'{who}, scene': scene, f'{who}, mean and deviation': both}; wide[who] = spread(scene['minisounds'])
    row = dict(name=a.name, changed=changed, steps=a.steps, seed=a.seed, scores=probed(reps, tasks), spread=wide, heldout=[before, heldout_loss(module, test).loss],
               std_teacher=watch.curve[-1]['std_teacher'] if a.steps else None, cpu_seconds=round(cpu), **facts('study_tiny'))
    keep(row, FILE)
    print(a.name, {n: round(float(np.mean(list(s.values()))), 3) for n,s in row['scores'].items()}, 'spread', {k: round(v, 1) for k,v in wide.items()}, f'{cpu:.0f} s')

if __name__ == '__main__': main()
