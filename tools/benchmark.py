"""Measure the package against the plain formulations in `nbs/81_benchmark.ipynb` and against this machine's matrix products; write `nbs/results/benchmark.json`.

usage: python tools/benchmark.py [--quick] [--only PART] [--out FILE]

About 10 minutes on two idle cores; --quick: a trial of two, with small batches and few rounds. The two sides of a ratio take turns, round after round.
"""
import argparse, ctypes, datetime, gc, json, os, platform, resource, shutil, statistics, subprocess, sys, tempfile, time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = {'clip views, 1 thread': 115., 'frame views, 1 thread': 161., 'step, clip small': 2.93, 'step, frame small': 1.61, 'scene embedding, frame small': 11.9}
SETTINGS = ('highest', 'high', 'medium')

def plain():
    "The plain formulations: what the cells of the notebook define that begin with `# plain`"
    names = {}
    for c in json.loads((ROOT/'nbs/81_benchmark.ipynb').read_text(encoding='utf-8'))['cells']:
        if c['cell_type']=='code' and c['source'] and c['source'][0].strip()=='# plain': exec(''.join(c['source']), names)
    return argparse.Namespace(**{k: v for k,v in names.items() if not k.startswith('__')})

def memory_as_usual(usual):
    "The plain side gets the C library's memory as it is without `keep_memory`: large blocks mapped apart, free ones handed back"
    from audiossl.models.clip import keep_memory
    if not keep_memory(): return
    mallopt = ctypes.CDLL(None).mallopt
    for what,usually,kept in ((-4, 65_536, 0), (-1, 2**26, -1), (-3, 2**25, 2**25)): mallopt(what, usually if usual else kept)     # M_MMAP_MAX, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD

def take_turns(sides, rounds, warm=1):
    "{name: seconds of each round}; every round runs each side once"
    out = {k: [] for k in sides}
    for i in range(-warm, rounds):
        for k in list(sides)[::1 if i%2 else -1]:
            memory_as_usual(k=='plain'); gc.collect()
            t = time.perf_counter(); sides[k](); t = time.perf_counter()-t
            if i>=0: out[k].append(t)
    memory_as_usual(True)
    return out

def row(times, n, unit='clips/s', name=None):
    "What is written of the rounds of 'fast' and 'plain': rates of the best and of the median round, and the median of the rounds' ratios"
    rate = {k: dict(best=n/min(v), median=n/statistics.median(v)) for k,v in times.items()}
    res = dict(unit=unit, rounds=len(times['fast']), **rate)
    if 'plain' in times: res['ratio'] = dict(best=rate['fast']['best']/rate['plain']['best'], median=statistics.median(b/a for a,b in zip(times['fast'], times['plain'])))
    if name in REFERENCE: res['reference'] = REFERENCE[name]
    return res

# ---- pictures ----------------------------------------------------------------------------------------------------------------------------

def noise(n, seconds):
    import torch
    return torch.randn(n, int(seconds*16_000), generator=torch.Generator().manual_seed(0))*.1

def pictures(a, say):
    import numpy as np, torch
    from audiossl.transforms.logmel import LogMel
    from audiossl.transforms.views import ClipViews, FrameViews
    p, n, front, cores = plain(), 8 if a.quick else 16, LogMel(), torch.get_num_threads()
    ten, eleven, seven = noise(n, 10), noise(n, 11), noise(n, 7)
    frame,clip = FrameViews(),ClipViews()
    drawn = {v: v.batch(w, np.random.default_rng(0), report=True)[-1] for v,w in ((frame, eleven), (clip, seven))}
    sides = {'front end': dict(fast=lambda: front(ten), plain=lambda: [p.plain_front(w) for w in ten]),
             'frame views': dict(fast=lambda: frame.batch(eleven, np.random.default_rng(0)),
                                 plain=lambda: (p.plain_frame_views(eleven, drawn[frame]), [frame.mask(rng) for rng in [np.random.default_rng(0)] for _ in eleven])),
             'clip views': dict(fast=lambda: clip.batch(seven, np.random.default_rng(0)), plain=lambda: p.plain_clip_views(seven, drawn[clip]))}
    res = {}
    for threads in sorted({1, cores}):
        torch.set_num_threads(threads)
        for k,s in sides.items():
            name = f'{k}, {threads} thread'+'s'*(threads>1)
            with torch.no_grad(): res[name] = row(take_turns(s, 5 if a.quick else 25), n, name=name)
            say(name, res[name])
    torch.set_num_threads(cores)
    return res

# ---- training steps ----------------------------------------------------------------------------------------------------------------------

def training(method, arch, batch):
    "(the model's step, the plain one, the model): each makes one step on its own copy"
    import copy, numpy as np, torch
    from audiossl.methods.atst.model import ATSTLightningModule
    from audiossl.methods.atstframe.model import FrameATSTLightningModule
    from audiossl.methods.schedule import param_groups
    from audiossl.models.clip import fast_on_cpu
    from audiossl.transforms.mask import block_mask
    torch.manual_seed(0)
    module = (FrameATSTLightningModule if method=='frame' else ATSTLightningModule)(arch=arch)
    T = 1001 if method=='frame' else 601
    data = [[torch.randn(batch, 1, 64, T) for _ in range(2)], [torch.full((batch,), T)]*2]
    if method=='frame': data.append([torch.stack([block_mask(250, rng=np.random.default_rng(i)) for i in range(batch)])]*2)
    def fast():
        model,opt = module.model,fast.opt
        opt.zero_grad()
        with fast_on_cpu(): loss = model(*data)[0]; loss.backward(); opt.step()
        model.update(.996)
    fast.opt = module.configure_optimizers()
    def slow():
        if not hasattr(slow, 'opt'):
            slow.p,slow.model = plain(),copy.deepcopy(module.model)
            slow.opt = slow.p.PlainAdamW(param_groups(slow.model.student))
        slow.p.plain_step(slow.model, slow.opt, data, 5e-4, .996)
    return fast, slow

def counted():
    "A counter of operations that knows the CPU's fused attention, too"
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
    op = torch.ops.aten
    return FlopCounterMode(display=False, custom_mapping={
        op._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, out_shape=None, **__: sdpa_flop_count(q, k, v),
        op._scaled_dot_product_flash_attention_for_cpu_backward: lambda g, q, k, v, *_, out_shape=None, **__: sdpa_backward_flop_count(g, q, k, v)})

def products(step):
    "{(shapes and strides of both factors): how often} of the products that `step` makes"
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    seen = Counter()
    class Look(TorchDispatchMode):
        def __torch_dispatch__(self, f, types, args=(), kwargs=None):
            if f in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default): seen[tuple((tuple(o.shape), o.stride()) for o in args[-2:])] += 1
            return f(*args, **(kwargs or {}))
    with Look(): step()
    return seen

def probe(shapes, rounds):
    "Rate of these products alone, at each setting, and how far the results are from exact ones"
    import torch
    out = {}
    made = {k: [torch.randn(max(1, sum((n-1)*s for n,s in zip(*o))+1)).as_strided(*o) for o in k] for k in shapes}
    work = sum(2*k[0][0][0]*k[0][0][1]*k[1][0][1]*n for k,n in shapes.items())
    best = {s: dict.fromkeys(shapes, 1e9) for s in SETTINGS}
    worst = dict.fromkeys(SETTINGS, 0.)
    for k,(a,b) in made.items():
        exact = a[:64].double()@b.double()
        for i in range(rounds+1):
            for s in SETTINGS:
                torch.set_float32_matmul_precision(s)
                t = time.perf_counter(); c = a@b; t = time.perf_counter()-t
                if i: best[s][k] = min(best[s][k], t)
                else: worst[s] = max(worst[s], float((c[:64]-exact).norm()/exact.norm()))
    torch.set_float32_matmul_precision('highest')
    rate = {s: work/sum(t*shapes[k] for k,t in best[s].items())/1e9 for s in SETTINGS}
    exact = [s for s in SETTINGS if worst[s]<1e-6]
    setting = max(exact, key=rate.get)
    return dict(gflops=rate, error=worst, stays_float32=exact, best_setting=setting, best=rate[setting], products=work/1e9)

def memory(method, arch, batch, side):
    "GB that a fresh process needs at most for two steps, and before the first"
    out = subprocess.run([sys.executable, __file__, '--memory', method, arch, str(batch), side], capture_output=True, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])

def memory_here(method, arch, batch, side):
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*(1 if sys.platform=='darwin' else 1024)/1e9
    fast,slow = training(method, arch, batch)
    start = peak()
    for _ in range(2): (fast if side=='fast' else slow)()
    print(json.dumps(dict(before=start, peak=peak())))

def cases(a): return [(m,s) for s in (('small',) if a.quick else ('tiny','small')) for m in ('clip','frame')]
def batch_size(a): return 2 if a.quick else 8

def memories(a):
    "Peaks of all training steps. Asked for while this process is still small: a child's peak starts from its parent's"
    return {(m,s): {side: memory(m, s, batch_size(a), side) for side in (('fast',) if a.quick else ('fast','plain'))} for m,s in cases(a)}

def steps(a, say, peaks):
    batch, res = batch_size(a), {}
    for method,arch in cases(a):
        name = f'step, {method} {arch}'
        fast,slow = training(method, arch, batch)
        fast()
        with counted() as c: fast()
        flops = c.get_total_flops()/1e9
        found = probe(products(fast), 1 if a.quick else 3)
        times = take_turns(dict(fast=fast, plain=slow), (2 if a.quick else 5) if arch=='small' else 3 if a.quick else 12)
        r = res[name] = row(times, batch, name=None if a.quick else name)
        seconds = statistics.median(times['fast'])
        r.update(batch=batch, operations=flops/batch, probe=found, share=flops/seconds/found['best'], best_share=flops/min(times['fast'])/found['best'],
                 products_alone=found['products']/found['best']/seconds)
        del fast, slow
        r['memory'] = peaks[method,arch]
        say(name, r, f"; {r['share']:.0%} of the probe's {found['best']:.0f} Gflop/s ({found['best_setting']}), {r['memory']['fast']['peak']:.1f} GB")
    return res

# ---- embedding, import -------------------------------------------------------------------------------------------------------------------

def embedding(a, say):
    import torch
    from audiossl.audio import save_audio
    from audiossl.checkpoint import create_model
    from audiossl.methods.atstframe.embedding import embed_clips, embed_files, get_scene_embedding
    p, n, res = plain(), 2 if a.quick else 16, {}
    waves = noise(n, 10)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        files = [Path(folder)/f'{i}.wav' for i in range(n)]
        for f,w in zip(files, waves): save_audio(f, w)
        for method in ('frame','clip'):
            enc = create_model(f'atst_{method}_small')
            sides = dict(fast=lambda: embed_clips(enc, list(waves)))
            if method=='frame': sides['plain'] = lambda: [p.plain_embedding(enc, w) for w in waves]
            name = f'scene embedding, {method} small'
            res[name] = row(take_turns(sides, 2 if a.quick else 5), n, name=name)
            say(name, res[name])
            if method=='frame':
                for name,f in (('scene embedding of one batch, frame small', lambda: get_scene_embedding(waves, enc)), ('scene embedding of files, frame small', lambda: list(embed_files(enc, files)))):
                    res[name] = row(take_turns(dict(fast=f), 2 if a.quick else 5), n)
                    say(name, res[name])
    return res

def weights(a, say):
    "The encoder that comes with the package: reading it, ten-second clips, and the features that probes learn from"
    import torch
    from audiossl.checkpoint import create_model
    from audiossl.datasets.minisounds import MiniSounds
    from audiossl.downstream.finetune import ClipFeatures
    from audiossl.downstream.linear import split_features
    from audiossl.methods.atstframe.embedding import embed_clips
    from audiossl.transforms.views import EvalView
    res, rounds = {}, 2 if a.quick else 5
    load = lambda: create_model('atst_frame_tiny', pretrained=True)
    t = take_turns(dict(fast=load), rounds)['fast']; res['weights in the package, read'] = dict(unit='s', best=min(t), median=statistics.median(t))
    enc, waves = load(), list(noise(8 if a.quick else 64, 10))
    with torch.no_grad():
        name = 'scene embedding, frame tiny'; res[name] = row(take_turns(dict(fast=lambda: embed_clips(enc, waves)), rounds), len(waves)); say(name, res[name])
        some, features, view = MiniSounds('minisounds', split='test'), ClipFeatures(enc, 4).eval(), EvalView()
        def one_by_one():
            for x,_ in some: features(view(x)[0][None])
        name = 'features for probes, bundled sounds'; res[name] = row(take_turns(dict(fast=lambda: split_features(features, some), plain=one_by_one), rounds), len(some)); say(name, res[name])
    return res

# ---- stores ------------------------------------------------------------------------------------------------------------------------------

READ_WORKER = """import sys, time, numpy as np
from audiossl.datasets.store import Store
folder,seed,n,verify = sys.argv[1],*map(int, sys.argv[2:5])
store = Store(folder, bool(verify)); order = np.random.default_rng(seed).integers(0, len(store), n).tolist()
plain = np.stack([store.wave(i) for i in range(len(store))]) if len(sys.argv)>5 else None
read = store.wave if plain is None else lambda i: plain[i].copy()
for i in range(len(store)): read(i)
print('ready', flush=True); sys.stdin.readline(); t = time.perf_counter()
for i in order: read(i)
print(time.perf_counter()-t, flush=True)
"""

def workers_rate(folder, k, n, *plain):
    "Clips/s of k processes together, each reading n clips (or copying them from an array of its own)"
    ps = [subprocess.Popen([sys.executable, '-c', READ_WORKER, str(folder), str(i), str(n), '0', *plain], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for i in range(k)]
    for p in ps: p.stdout.readline()
    for p in ps: p.stdin.write('\n'); p.stdin.flush()
    return sum(n/float(p.communicate()[0]) for p in ps)

OPEN_WORKER = """import json, resource, sys, time
from audiossl.datasets.store import Store
import numpy as np
def peak():         # the largest this program has been; ru_maxrss starts from its parent's on Linux
    try: return next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))/1e3
    except OSError: return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6
before,t = peak(),time.perf_counter()
store = Store(sys.argv[1]); n = len(store); store.wave(n//2); store.wave(n-1)
opened,mid = time.perf_counter()-t,peak()
t = time.perf_counter(); i = store.index_of('clip/0000007'); key = time.perf_counter()-t
print(json.dumps(dict(records=n, seconds=opened, megabytes=mid-before, by_key_seconds=key, by_key_megabytes=peak()-before, right=i==7)))
"""

def writing(path, wave, n):
    "Clips/s that the disk takes, from plain bytes, with one fsync at the end"
    t = time.perf_counter()
    with open(path, 'wb') as f:
        for _ in range(n): f.write(wave.data)
        f.flush(); os.fsync(f.fileno())
    path.unlink()
    return n/(time.perf_counter()-t)

def stores(a, say):
    import numpy as np, soundfile as sf, torch, audiossl.datasets.clips
    from audiossl.audio import load_audio
    from audiossl.datasets.prepare import prepare_store
    from audiossl.datasets.store import Store
    from audiossl.isolate import Decoders
    from audiossl.manifest import StoreWriter
    res, n, was, rng = {}, 64 if a.quick else 600, torch.get_num_threads(), np.random.default_rng(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder,base = Path(folder),(rng.standard_normal(160_000)*3000).astype(np.int16)
        with StoreWriter(folder/'ten', 'ten', splits=('train',)) as w:
            for k in range(2):
                with w.shard('train', k) as shard:
                    for i in range(n//2): shard.add(f'{k}/{i}', np.roll(base, 997*i+k))
            w.finish()
        order, plain = rng.integers(0, n, n).tolist(), np.stack([np.roll(base, 997*i) for i in range(n)])
        quick,sure = Store(folder/'ten', verify=False),Store(folder/'ten')
        def each(f):
            def g():
                for i in order: f(i)
            return g
        for name,fast,slow in (('store, 10 s clips', lambda i: quick.wave(i), lambda i: plain[i].copy()),
                               ('store, checked and summed', lambda i: sure.wave(i).sum(), lambda i: plain[i].copy().sum()),
                               ('store, checked', lambda i: sure.wave(i), lambda i: plain[i].copy())):
            res[name] = row(take_turns(dict(fast=each(fast), plain=each(slow)), 3 if a.quick else 11), n, name=name)
            say(name, res[name])
        rates = {(k,p): statistics.median(workers_rate(folder/'ten', k, 10*n, *p) for _ in range(5)) for k in (1,2) for p in ((),('plain',))}
        per_core = {p: rates[2,p]/2/rates[1,p] for p in ((),('plain',))}
        res['store, two workers'] = dict(unit='clips/s', rounds=5, fast=dict(best=rates[2,()], median=rates[2,()]), plain=dict(best=rates[2,('plain',)], median=rates[2,('plain',)]),
                                         one=rates[1,()], per_core=per_core[()], per_core_of_copies=per_core['plain',])
        say('store, two workers', res['store, two workers'], f"; {per_core[()]:.2f} per core of what one alone reads, copies of arrays {per_core['plain',]:.2f}")
        m,per = (10_000,1000) if a.quick else (1_000_000,4000)
        tiny = np.arange(16, dtype=np.int16)
        with StoreWriter(folder/'million', 'million', splits=('train',)) as w:
            for k in range(m//per):
                with w.shard('train', k) as shard:
                    for i in range(k*per, (k+1)*per): shard.add(f'clip/{i:07}', tiny)
            w.finish()
        res['store, opening'] = json.loads(subprocess.run([sys.executable, '-c', OPEN_WORKER, str(folder/'million')], capture_output=True, text=True, check=True).stdout)
        print(f"{'store, opening':45s} {json.dumps(res['store, opening'])}", flush=True)
        for kind in ('flac','wav'):
            (source := folder/kind).mkdir()
            for c in 'ab':
                (source/c).mkdir()
                for i in range(n//4): sf.write(source/c/f'{i}.{kind}', np.roll(base, 997*i+len(c)), 16_000, 'PCM_16')
            files = sorted(source.rglob(f'*.{kind}'))
            t = time.perf_counter()
            for f in files: load_audio(f)
            alone = len(files)/(time.perf_counter()-t)
            for k in (1,2):
                marks, rates = [], dict(decoding=[], preparing=[], writing=[])
                def rate(): r = (len(marks)-1)/(marks[-1]-marks[0]); marks.clear(); return r     # between the first sound and the last: starting the decoders is left out
                for i in range(1 if a.quick else 7):                                              # in turns, as the machine's mood changes
                    with Decoders(k) as d:
                        for _ in d.imap((f, 16_000, 0., None) for f in files): marks.append(time.perf_counter())
                    rates['decoding'].append(rate())
                    prepare_store('audiofolder', source, folder/f'{kind}{k}{i}', processes=k, max_bad=0, show=lambda r: marks.append(time.perf_counter()))
                    rates['preparing'].append(rate()); shutil.rmtree(folder/f'{kind}{k}{i}')
                    rates['writing'].append(writing(folder/'raw', base, len(files)))
                share = statistics.median(p/min(d,w) for d,p,w in zip(*(rates[o] for o in ('decoding','preparing','writing'))))
                mid = {o: statistics.median(r) for o,r in rates.items()}
                r = res[f'preparation, {kind}, {k} process'+'es'*(k>1)] = dict(unit='clips/s', rounds=len(rates['decoding']), fast=dict(best=max(rates['preparing']), median=mid['preparing']),
                    decoding_here=alone, decoding_apart=mid['decoding'], writing=mid['writing'], share=share)
                say(f'preparation, {kind}, {k} process', r, f"; {share:.0%} of the slower of decoding ({mid['decoding']:.0f}) and writing ({mid['writing']:.0f}) alone")
    torch.set_num_threads(was)
    return res

IMPORTS = {'import audiossl': 'import audiossl', 'its embeddings': 'import audiossl; audiossl.load_audio, audiossl.load_model, audiossl.create_model',
           'its training': 'import audiossl; from audiossl.methods.atstframe.model import FrameATSTLightningModule'}

def imports(a, say):
    "Seconds in fresh processes, beyond torch"
    res = {}
    for k,code in IMPORTS.items():
        t = [float(subprocess.run([sys.executable, '-c', f'import time, torch; t = time.perf_counter(); {code}; print(time.perf_counter()-t)'], capture_output=True, text=True, check=True).stdout)
             for _ in range(1 if a.quick else 5)]
        res[k] = dict(unit='s', best=min(t), median=statistics.median(t))
        print(f'{k:45s} {min(t):8.3f} s beyond torch', flush=True)
    return res

# ------------------------------------------------------------------------------------------------------------------------------------------

def processor():
    try: return next(l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name'))
    except (OSError, StopIteration): return platform.processor() or platform.machine()

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--quick', action='store_true', help='a trial of about two minutes')
    ap.add_argument('--only', action='append', choices=('pictures','embedding','weights','steps','stores','imports'), help='measure this part again (may be given several times); the rest of the file stays')
    ap.add_argument('--out', type=Path, default=ROOT/'nbs/results/benchmark.json', help='file to write')
    ap.add_argument('--memory', nargs=4, metavar=('METHOD','ARCH','BATCH','SIDE'), help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.memory: return memory_here(a.memory[0], a.memory[1], int(a.memory[2]), a.memory[3])
    load = os.getloadavg() if hasattr(os, 'getloadavg') else None
    peaks = memories(a) if 'steps' in (a.only or ['steps']) else None     # before this process grows
    import torch
    def say(name, r, more=''):
        print(f"{name:45s} {r['fast']['median']:8.2f} {r['unit']}" + (f", {r['ratio']['median']:.2f} x plain" if 'ratio' in r else '') + more, flush=True)
    parts = dict(pictures=pictures, embedding=embedding, weights=weights, steps=lambda a, say: steps(a, say, peaks), stores=stores, imports=imports)
    git = lambda *o: subprocess.run(['git', *o], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    commit = git('rev-parse', '--short', 'HEAD')+('+' if git('status', '--porcelain', '--', 'audiossl', 'tools') else '')
    out = json.loads(a.out.read_text()) if a.only and a.out.exists() else dict(parts={})
    out |= dict(command='python tools/benchmark.py'+' --quick'*a.quick, machine=dict(cpu=processor(), cores=os.cpu_count(), system=platform.system()),
                torch=torch.__version__, threads=torch.get_num_threads())
    for k in a.only or parts:
        start = time.time()
        rows = parts[k](a, say)
        out['parts'][k] = dict(date=datetime.date.today().isoformat(), commit=commit, trial=a.quick, load_before=load, seconds=round(time.time()-start), rows=rows)
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(out, indent=1)+'\n')

if __name__ == '__main__': main()
