"""Put the encoder of a finished `audiossl pretrain` run into the package: half-precision weights, config and model card in audiossl/data/weights/NAME.

usage: python tools/ship_tiny.py RUN [RUN ...]       the cards alone, after new evaluations: python tools/ship_tiny.py

The card is made of what the run and the evaluations (nbs/results/tiny_*.json) wrote down; nothing in it is typed by hand but the words.
"""
import hashlib, json, os, platform, sys
from pathlib import Path
import torch

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS,RESULTS = ROOT/'audiossl/data/weights',ROOT/'nbs/results'
WORD = dict(atst_clip='atst', atst_frame='atstframe')
HEARS = dict(atst_clip='one vector for a clip of any length (class token and mean over tokens)', atst_frame='one vector every 40 ms, or their mean for a clip')

def tensor_hash(model): # of the float32 numbers, by name
    h = hashlib.sha256()
    for k,v in sorted(model.state_dict().items()): h.update(k.encode()+v.contiguous().numpy().tobytes())
    return h.hexdigest()

def ship(run):
    from audiossl.checkpoint import from_pretrained, save_pretrained
    about = json.loads((run/'run.json').read_text())
    if about['trial'] or about['data']: sys.exit(f'ship_tiny: {run}: a trial or a run on own files; what is shipped is trained by the bare command')
    if not (run/'encoder/config.json').is_file(): sys.exit(f'ship_tiny: {run}: not finished; the command that began it goes on')
    model,plan = from_pretrained(run/'encoder'),about['plan']
    state = next(v for k,v in torch.load(run/'last.ckpt', weights_only=True)['callbacks'].items() if 'Watch' in k)
    every = max(1, len(state['curve'])//12)
    facts = dict(recipe=plan['name'], seed=about['seed'], steps=plan['module']['max_steps'], scenes_a_step=plan['data']['batch_size'], scene_seconds=plan['data']['seconds'],
                 made_up=plan['data']['scenes'].get('made', 0.), seconds=round(state['seconds']), threads=torch.get_num_threads(), cores=os.cpu_count(), machine=platform.machine(),
                 torch=torch.__version__, float32_sha256=tensor_hash(model), licence='as the package', curve=[state['curve'][0], *state['curve'][every-1:-1:every], state['curve'][-1]])
    save_pretrained(model, WEIGHTS/plan['name'], facts, half=True)

def table(head, rows):
    return '\n'.join(f'| {" | ".join(map(str, r))} |' for r in (head, ['---']*len(head), *rows))

def results(name):
    bundled,outside = ('The test split of the bundled sounds', name),('Sounds from outside the package', 'model')
    for file,read,(where,key) in (('tiny_bundled_moments', 'mean and deviation of frames', bundled), ('tiny_bundled', 'mean of frames', bundled),
                                  (f'tiny_outside_{name}_moments', 'mean and deviation of frames', outside), (f'tiny_outside_{name}', 'mean of frames', outside)):
        if not (file := RESULTS/f'{file}.json').is_file(): continue
        r = json.loads(file.read_text())
        for p,o in r['probes'].items():
            rnd = 'random' if key=='model' else f'random {name}'
            if f'{key} - {rnd}' not in o['differences']: continue
            cell = lambda t,c: '{:.3f} ± {:.3f}'.format(*o['scores'][t][c])
            d = o['differences']
            yield f'### {where}, {read}, {p} probe (look {r["look"]})\n\n'+table(['task', 'this encoder', 'random weights', 'log-mel statistics'], [[t, *(cell(t, c) for c in (key, rnd, 'log-mel'))] for t in o['scores']])
            for other,word in ((rnd, 'its twin with random weights'), ('log-mel', 'log-mel statistics')):
                e = d[f'{key} - {other}']
                yield f'Mean difference to {word}: {e["mean"][0]:+.3f} ± {e["mean"][1]:.3f}; better by more than two standard errors on {sum(m>2*s for m,s in e["tasks"].values())} of {len(e["tasks"])} tasks, worse on {sum(m<-2*s for m,s in e["tasks"].values())}.'

def card(folder):
    c = json.loads((folder/'config.json').read_text()); a,m = c['about'],c['config']
    method = a['recipe'].rsplit('_', 1)[0]
    wide = m['embed_dim'] if m.get('avg_blocks') else 256   # the target is the mean of blocks, or what the projector gives
    heard = a['steps']*a['scenes_a_step']*a['scene_seconds']/3600
    lines = [f'# {a["recipe"]}', f'An encoder of {m["depth"]} blocks, {m["embed_dim"]} wide, for sound at 16 kHz: {HEARS[method]}. Small enough to travel with the package and to be trained on a laptop; '
             'made for lessons, first probes and tests, not to compete with models trained on thousands of hours.',
             f'```python\nimport audiossl\nmodel = audiossl.create_model("{a["recipe"]}", pretrained=True)\n```', '## How it was made',
             table(['', ''], [['command', f'`audiossl pretrain {WORD[method]} --size tiny --seed {a["seed"]}`'], ['data', f'{a["made_up"]:.0%} of the scenes made up by `audiossl.datasets.synth`, the others strung together from the bundled sounds whose split is train; nothing else'],
                ['steps', f'{a["steps"]:,} of {a["scenes_a_step"]} scenes of {a["scene_seconds"]} s, {heard:,.0f} hours heard'],
                ['time', f'{a["seconds"]/60:.0f} min of wall clock, {a["threads"]} threads on {a["cores"]} cores ({a["machine"]}), no GPU'], ['seed', a['seed']],
                ['same again', f'the command gives the same float32 numbers on this kind of processor with PyTorch {a["torch"]} and {a["threads"]} threads, SHA-256 over names and tensors `{a["float32_sha256"]}`; elsewhere sums are rounded in another order']]),
             '## Curve', table(['step', 'loss', 'spread of the student', 'of the teacher', 'EMA'], [[o['step'], *(f'{o[k]:.4f}' for k in ('loss', 'std_student', 'std_teacher', 'ema'))] for o in a['curve']]),
             f'Collapse would be a spread of 0; outputs spread evenly over all directions have {wide**-.5:.4f}, one over the root of {wide}.', '## Results', *results(a['recipe']),
             '## Limits', 'Trained on hours, where the papers use thousands; on clips of a few seconds, so long context is new to it; speech in it is syllables and letters. The bundled sounds and the made-up ones decide what it can tell apart: the tables show where plain statistics of the log-mel do as well or better. It has learned nothing about who may be recorded and why: do not use it to identify people.',
             '## Licence', 'The weights are under the licence of the package. The recordings they learned from, with authors and licences, are listed in `audiossl/data/minisounds`.']
    (folder/'README.md').write_text('\n\n'.join(lines)+'\n', encoding='utf-8')

def main():
    if sys.argv[1:2] in (['-h'], ['--help']): print(__doc__); return
    for run in map(Path, sys.argv[1:]): ship(run)
    for folder in sorted(o.parent for o in WEIGHTS.glob('*/config.json')): card(folder); print(folder.name, f'{(folder/"model.safetensors").stat().st_size/1e6:.1f} MB')

if __name__=='__main__': main()
