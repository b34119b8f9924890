"""A pre-trained encoder against its random twin and a small network from scratch, as detectors of events in soundscapes; written to `nbs/results/events_study.json`, from which notebook 56 draws.

usage: python tools/study_events.py --model atst_frame_tiny|FOLDER|FILE [--seeds 3] [--jobs 2] [--out FILE]
       python tools/study_events.py --model atst_frame_tiny --untrained        (a trial, while there are no weights)

For each seed: soundscapes are mixed (320 with events, 80 with tags, 60 to choose by, 90 to test by, sources of the test in no training, of the encoder's neither), then three detectors are trained with the recipe
`scenes`, decoded as validation says, and judged once on the test scenes. The seed changes scenes, heads, batches and the weights of the twin. Detectors train side by side in `--jobs` processes of one thread each.
Standard errors are over seeds. With --gaps also how much scores differ on a grid of windows shifted by half a hop, on the test scenes strung together.
"""
import argparse, json, os, sys, tempfile, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent/'nbs/results/events_study.json'
ARMS = ('pretrained', 'random', 'crnn')
METRICS = ('psds1', 'psds2', 'psds1_alpha_st0', 'psds2_alpha_st0', 'event_f1', 'intersection_f1')

def network(arm, model, seed, untrained):
    import torch
    from audiossl.checkpoint import create_model, list_models, load_model
    if arm=='crnn': return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000+seed if arm=='random' else seed)
        made = create_model(model, pretrained=not untrained) if model in list_models() else load_model(model)
        if arm=='random': twin = type(made)(**made.config); twin.hyper_param = made.hyper_param; made = twin.eval()
    return made

def shifted(detector, root, folder):
    "Mean and largest difference of scores on a grid shifted by half a hop, on 10 test scenes as one recording"
    import numpy as np, torch
    from audiossl.audio import load_audio, save_audio
    from audiossl.detect import recording_scores
    waves = [load_audio(p) for p in sorted((root/'audio/validation/validation_16k').glob('*.wav'))[:10]]
    save_audio(path := folder/'joined.wav', torch.cat(waves))
    a,b = (np.concatenate(list(recording_scores(path, detector, shift_s=s))) for s in (0., 2.52))
    path.unlink()
    return dict(mean=float(abs(a-b).mean()), share_above_tenth=float((abs(a-b)>.1).mean()), most=float(abs(a-b).max()))

def one(arm, seed, model, untrained, root, gaps, changes):
    "Train and judge a detector, in a process of its own"
    import torch
    from audiossl.cli import quiet
    from audiossl.downstream.detection import run_detection
    torch.set_num_threads(1)
    start,cpu = time.monotonic(),time.process_time()
    with quiet(), tempfile.TemporaryDirectory() as folder:
        res = run_detection(root, network(arm, model, seed, untrained), Path(folder)/'run', seed=seed, **changes)
        out = dict(arm=arm, seed=seed, figures=res['figures'], window=res['window'], threshold=res['threshold'], best_epoch=1+max(range(len(res['curve'])), key=lambda i: res['curve'][i]['val_F1']),
                   curve=[{k: round(o[k], 4) for k in ('loss','val_F1')} for o in res['curve']], seconds=round(time.monotonic()-start), cpu_seconds=round(time.process_time()-cpu))
        if gaps: out['shifted'] = shifted(res['detector'], Path(root), Path(folder))
    return out

def summary(rows):
    "Means and standard errors over seeds, and the paired differences"
    import numpy as np
    se = lambda x: float(np.std(x, ddof=1)/len(x)**.5) if len(x)>1 else None
    at = {(r['arm'],r['seed']): r['figures'] for r in rows}
    seeds = sorted({s for _,s in at})
    value = lambda a, m: np.array([at[a,s][m] for s in seeds if (a,s) in at])
    out = dict(scores={a: {m: (float(value(a, m).mean()), se(value(a, m))) for m in METRICS} for a in ARMS if len(value(a, METRICS[0]))}, differences={})
    for a,b in (('pretrained','random'), ('pretrained','crnn'), ('random','crnn')):
        if all((o,s) in at for o in (a,b) for s in seeds): out['differences'][f'{a} - {b}'] = {m: (float((value(a, m)-value(b, m)).mean()), se(value(a, m)-value(b, m))) for m in METRICS}
    return out

def text(sums):
    cells = lambda v: f'{v[0]:7.3f}' + (f' ± {v[1]:.3f}' if v[1] is not None else '        ')
    lines = [f'{"":22}'+''.join(f'{m:>17}' for m in METRICS)]
    for part in (sums['scores'], sums['differences']): lines += [f'{k:22}'+''.join(f'{cells(v[m]):>17}' for m in METRICS) for k,v in part.items()]
    return '\n'.join(lines)

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--model', default='atst_frame_tiny', help='a name, or a folder or file with an encoder')
    ap.add_argument('--untrained', action='store_true', help='random weights for --model too: a trial')
    ap.add_argument('--source', default='minisounds', help='minisounds, synth, or a folder of sounds'); ap.add_argument('--seeds', type=int, default=3); ap.add_argument('--jobs', type=int, default=2)
    ap.add_argument('--arms', nargs='+', choices=ARMS, default=ARMS); ap.add_argument('--gaps', action='store_true'); ap.add_argument('--out', type=Path, default=FILE)
    ap.add_argument('--scenes', type=json.loads, default={}, help='other sizes or rules, as JSON'); ap.add_argument('--recipe', type=json.loads, default={}, help='other entries of the recipe, as JSON')
    a = ap.parse_args()
    for k in ('OMP_NUM_THREADS','MKL_NUM_THREADS'): os.environ.setdefault(k, '1')
    from audiossl.datasets.soundscapes import write_soundscapes
    from judging import facts
    try: network('pretrained', a.model, 0, a.untrained)
    except ValueError as e: sys.exit(str(e))
    rows,start,events = [],time.monotonic(),{}
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(a.jobs, get_context('spawn')) as pool:
        jobs = []
        for seed in range(a.seeds):
            root = Path(folder)/f'scenes_{seed}'
            events[seed] = write_soundscapes(a.source, root, seed=seed, **a.scenes)['events']
            jobs += [pool.submit(one, arm, seed, a.model, a.untrained, str(root), a.gaps, a.recipe) for arm in a.arms]
        for j in jobs:
            rows.append(r := j.result())
            print(f'{r["arm"]:12} seed {r["seed"]}  '+'  '.join(f'{m} {r["figures"][m]:.3f}' for m in METRICS)+f'  {r["seconds"]} s, {r["cpu_seconds"]} s of CPU', flush=True)
            res = dict(facts('study_events'), model=a.model, untrained=a.untrained, source=a.source, scenes=a.scenes, recipe=a.recipe, seconds=round(time.monotonic()-start), summary=summary(rows), rows=rows,
                       test_events={s: sum(e['test'].values()) for s,e in events.items()})
            a.out.parent.mkdir(parents=True, exist_ok=True); a.out.write_text(json.dumps(res, indent=1)+'\n')       # after each, so that a study that is stopped has told something
    print(text(summary(rows)))

if __name__ == '__main__': main()
