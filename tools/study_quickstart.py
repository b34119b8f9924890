"""Measure one idea for the quickstart's recipe and add it to `nbs/results/quickstart_recipe.json`, from which notebook 70 draws.

usage: python tools/study_quickstart.py NAME [--steps N] [--seed S] [recipe entry=value ...]
e.g.   python tools/study_quickstart.py 'short masks' --steps 800 mask_len=2

Trains with the published recipe made small (`START`) but for the entries given, then probes the four headline tasks (linear probe, three seeds) beside the random twins.
"""
import argparse, ast, fcntl, json, sys, time
from pathlib import Path
import numpy as np, torch
from audiossl.cli import quiet
from audiossl.datasets.minisounds import task
from audiossl.downstream.suite import HEADLINE, difference, judge, score
from audiossl.methods.atstframe.model import heldout_loss
from audiossl.quickstart import RECIPE, batches, network, representations, sounds
from audiossl.running import Watch, fit
from judging import facts

START = {**RECIPE, 'batch_s': 50., 'mix_up': True}      # written out where the quickstart's recipe has moved on since
FILE = Path(__file__).resolve().parent.parent/'nbs/results/quickstart_recipe.json'

def value(s):
    try: return ast.literal_eval(s)
    except (ValueError, SyntaxError): return s

def keep(row, file):
    "Add a row to a results file, in the place of an older one of the same name, steps and seed"
    file.parent.mkdir(exist_ok=True)
    with open(file.with_suffix('.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = json.loads(file.read_text()) if file.exists() else []
        same = lambda o: all(o[k]==row[k] for k in ('name','steps','seed'))
        file.write_text(json.dumps([o for o in rows if not same(o)]+[row], indent=1)+'\n')

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('name'); ap.add_argument('--steps', type=int, default=800); ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('entries', nargs='*', help='entry=value of the recipe')
    a = ap.parse_intermixed_args()
    changed = {k: value(v) for k,v in (e.split('=', 1) for e in a.entries)}
    if set(changed)-set(RECIPE): sys.exit(f'not in the recipe: {set(changed)-set(RECIPE)}')
    r = {**START, **changed}
    pool, held = sounds()
    first, module, watch = network(a.steps, a.seed, r), network(a.steps, a.seed, r), Watch(None, every=50)
    test = [batches(held, 8, 10**6+a.seed, r)[k] for k in range(8)]
    cpu = time.process_time()
    with quiet(): fit(module, batches(pool, a.steps, a.seed, r), watch, seed=a.seed)
    cpu = time.process_time()-cpu
    tasks = [task(n) for n in HEADLINE]
    reps = representations(first.model.teacher.encoder, module.model.teacher.encoder, tasks, a.seed, 3, r); del reps['before']
    res = judge(reps, tasks, 3, ('linear',))
    row = dict(name=a.name, changed=changed, steps=a.steps, seed=a.seed, scores={n: {t: score(res['linear',t,n])[0] for t in HEADLINE} for n in reps},
               minus_random=difference(res, 'after', 'random'), minus_logmel=difference(res, 'after', 'log-mel'), cpu_seconds=round(cpu),
               heldout=[heldout_loss(m, test).loss for m in (first, module)], spread=watch.curve[-1]['std_teacher'],
               **facts('study_quickstart'), recipe=r)
    keep(row, FILE)
    print(a.name, {n: round(float(np.mean(list(s.values()))), 3) for n,s in row['scores'].items()}, 'after-random %.3f ± %.3f' % row['minus_random'], f'{cpu:.0f} s')

if __name__ == '__main__': main()
