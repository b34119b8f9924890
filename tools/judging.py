"What the tools that judge encoders share: the encoders with their random twins, what is read from them, the tables, the facts of a run. Those tools are evaluate_tiny.py, outside_sounds.py and study_tiny.py."
import datetime, platform, shlex, subprocess, sys
from pathlib import Path

def encoders(name, twins, untrained=False):
    "(the encoder, its twins with random weights); an error is one line"
    import torch
    from audiossl.checkpoint import create_model, list_models, load_model
    if untrained and name not in list_models(): raise ValueError(f'--untrained --model {name}: needs a name; there are {", ".join(list_models())}')
    model,made = create_model(name, pretrained=not untrained) if name in list_models() else load_model(name),[]
    for k in range(twins):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(k+1)
            made.append(type(model)(**model.config).eval())
    return model.eval(), made

def moments(encoder, waves):
    "(n, 2W): mean and deviation over tokens, as `logmel_statistics` takes them over frames"
    import torch
    from audiossl.methods.atstframe.embedding import embed_moments
    return torch.stack([torch.cat([v.mean(0), v.std(0, correction=0)]) for v,_ in embed_moments(encoder, waves)])

def reader(how):
    "What is read from an encoder: `scene`, its embedding of a clip; `moments`, mean and deviation of its frames"
    from audiossl.methods.atstframe.embedding import embed_clips
    return dict(scene=embed_clips, moments=moments)[how]

def judged(reps, tasks, seeds, pairs, names=None):
    "Probe representations on tasks, print the tables, give scores and differences by probe; `names`: of the tasks in the means"
    from audiossl.downstream.suite import difference, judge, score, score_table, verdict
    res,out = judge(reps, tasks, seeds, step=lambda what: print(what, file=sys.stderr)),{}
    names = [t.name for t in tasks] if names is None else names
    for p in ('linear', 'kNN'):
        cols,rows = score_table(res, p)
        print(f'\n{p:24}'+''.join(f'{c:>18}' for c in cols))
        for t,*cells in rows: print(f'{t:24}'+''.join(f'{s:9.3f} ± {e:.3f}'.rjust(18) for s,e in cells))
        diff = {f'{x} - {y}': dict(mean=difference(res, x, y, names, p), tasks={t.name: difference(res, x, y, (t.name,), p) for t in tasks}) for x,y in pairs}
        for k,d in diff.items():
            far = sum(m>2*e for m,e in d['tasks'].values())
            print(f'{k}, mean of {len(names)} tasks: {verdict(*d["mean"])}; alone by more than two standard errors on {far}')
        out[p] = dict(scores={t.name: {c: score(res[p,t.name,c]) for c in cols} for t in tasks}, differences=diff)
    return out

def facts(tool):
    "Date, machine, commit and command, for a file of results"
    import torch
    commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()
    return dict(date=datetime.date.today().isoformat(), machine=platform.machine(), torch=torch.__version__, threads=torch.get_num_threads(), commit=commit,
                command=shlex.join(['python', f'tools/{tool}.py', *sys.argv[1:]]))
