"""Judge encoders on the bundled sounds that no training and no tuning has heard: their test split.

usage: python tools/evaluate_tiny.py MODEL [MODEL ...] [--read moments] [--seeds 3] [--twins 3] [--out nbs/results/tiny_bundled.json]

MODEL: a name (`atst_frame_tiny`: the weights that come with the package), a checkpoint, or a folder of `save_pretrained`. Each is probed (linear, kNN; probes learn from the
sounds whose split is train or valid and are scored on test) beside its twins with random weights and log-mel statistics, on every bundled task. An evaluation reads the test
sounds once: the results say which look it was, counted over all files of results (tiny_bundled*.json).
"""
import argparse, json, sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from judging import encoders, facts, judged, reader

FILE = Path(__file__).resolve().parent.parent/'nbs/results/tiny_bundled.json'

def held(t):
    "The task with one split: its sounds of train and valid, then those of test"
    train,test = t.holdout(); keep = np.sort(np.r_[train, test])
    folds = np.isin(keep, test).astype(np.int64)
    return replace(t, files=[t.files[i] for i in keep], recipes=t.recipes and [t.recipes[i] for i in keep], labels=t.labels[keep], groups=t.groups[keep], folds=folds, split=t.split[keep])

def main():
    from audiossl.datasets.minisounds import task, task_names
    from audiossl.downstream.probe import logmel_statistics
    from audiossl.downstream.suite import task_features
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('models', nargs='+', metavar='MODEL'); ap.add_argument('--seeds', type=int, default=3, help='of each probe'); ap.add_argument('--twins', type=int, default=3, help='random networks')
    ap.add_argument('--read', choices=('scene','moments'), default='scene', help='moments: mean and deviation over frames, as log-mel statistics are')
    ap.add_argument('--out', type=Path, default=FILE)
    a = ap.parse_args(); start = time.time()
    try:
        if a.seeds<1 or a.twins<1: raise ValueError(f'--seeds {a.seeds} --twins {a.twins}: both are 1 or more')
        made = {m: encoders(m, a.twins) for m in a.models}
        look = 1+max((json.loads(p.read_text())['look'] for p in {a.out, *FILE.parent.glob(f'{FILE.stem}*.json')} if p.is_file()), default=0)
    except (OSError, ValueError, KeyError) as e: sys.exit(f'evaluate_tiny: {e}')
    tasks = [held(task(n)) for n in task_names()]
    see,read = lambda m: task_features(lambda ws: read(m, ws), tasks),reader(a.read)
    reps,pairs = {'log-mel': task_features(logmel_statistics, tasks)},[]
    for m,(model,twins) in made.items():
        reps |= {m: see(model), f'random {m}': [see(o) for o in twins]}
        pairs += [(m, f'random {m}'), (m, 'log-mel')]
    probes = judged(reps, tasks, a.seeds, pairs)
    about = {t.name: dict(clips=len(t), tested=int((t.folds==1).sum()), groups=len(set(t.groups[t.folds==1])), classes=len(t.classes)) for t in tasks}
    print(f'\nlook {look} at the test split; after the first, a choice made by it is tuning')
    out = dict(models=a.models, read=a.read, look=look, seeds=a.seeds, twins=a.twins, tasks=about, probes=probes, seconds=round(time.time()-start), **facts('evaluate_tiny'))
    a.out.write_text(json.dumps(out, indent=1)+'\n')

if __name__=='__main__': main()
