"""PSDS of a set as large as strongly labelled AudioSet's, whole: made-up scores of 16,000 clips and 407 classes are written to a file, and a process of its own reads and judges them.

usage: OMP_NUM_THREADS=1 python tools/psds_whole.py [--clips 16000] [--classes 407] [--folder DIR] [--out nbs/results/psds_whole.json]

Needs 6.6 GB of disk for the file, which is removed at the end (in DIR, or where temporary files lie). One thread, unless --threads says otherwise. Progress is printed.
The scores are float32 and differ in nearly every frame, so a clip and class have as many thresholds as frames: the most work there can be.
"""
import argparse, datetime, json, os, platform, shutil, subprocess, sys, tempfile, time
from pathlib import Path
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
T, FRAME_S, CLIP_S = 250, .04, 10.

def drawn_events(rng, names, share):
    "[(label, onset, offset)] of a clip: eight in the mean, few classes common and most rare, from a tenth of a second to all of it; of one class none overlap"
    from audiossl.transforms.frame_labels import merge_events
    events = []
    for c in rng.choice(len(names), rng.poisson(8), p=share):
        length = min(CLIP_S, float(rng.lognormal(0, 1.2))+.1); a = rng.uniform(0, CLIP_S-length) if length<CLIP_S else 0.
        events.append((names[c], round(a, 3), round(min(a+length, CLIP_S), 3)))
    return merge_events(events)

def made_up(clips, names, seed, truth, block=64):
    "Pairs of a clip and its scores (T, C) as of a fair model: smooth noise, and a rise where an event is, smaller for some classes; `truth` is filled meanwhile"
    C,rng = len(names),np.random.default_rng(seed)
    number,share = {k: i for i,k in enumerate(names)},1/(np.arange(C)+10.)
    share,heard,usual = share/share.sum(),rng.normal(4.5, 1.5, C),rng.normal(-6, 1, C).astype(np.float32)
    for first in range(0, clips, block):
        n = min(block, clips-first)
        z = rng.standard_normal((n, T+2, C), dtype=np.float32); z = (z[:,2:]+z[:,1:-1]+z[:,:-2])*np.float32(.7)+usual
        for i in range(n):
            key = f'{first+i:05}.wav'; truth[key] = drawn_events(rng, names, share)
            for label,a,b in truth[key]: z[i,round(a/FRAME_S):max(round(b/FRAME_S), round(a/FRAME_S)+1),number[label]] += rng.normal(heard[number[label]], 1.)
            yield key, 1/(1+np.exp(-z[i]))

def peak():
    "GB that this process has held at most, pages of mapped files included"
    try: return next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))/1e6
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*(1 if sys.platform=='darwin' else 1024)/1e9

def judge(folder, threads):
    "What the process of its own does: the files are read as `audiossl evaluate-events` reads them"
    from audiossl.downstream.decoding import Exam, read_durations, read_scores, read_truth
    from audiossl.downstream.psds import psds_scores
    start,before = time.perf_counter(),peak()
    exam = Exam(read_scores(folder/'scores.npz'), read_truth(folder/'truth.tsv'), read_durations(folder/'durations.tsv'))
    ready,cpu = time.perf_counter(),time.process_time()
    print(f'{exam!r}, read in {ready-start:.1f} s', file=sys.stderr, flush=True)
    def show(done, n):
        if done%10==0 or done==n: print(f'{done} of {n} classes, {time.perf_counter()-ready:.0f} s, {peak():.2f} GB', file=sys.stderr, flush=True)
    scores = psds_scores(exam, threads=threads, show=show)
    return dict(clips=len(exam.clips), classes=len(exam.classes), classes_with_events=int((exam.n_ref>0).sum()), events=len(exam.on), hours=exam.seconds/3600, frames=int(exam.scores.starts[-1]),
                threads=threads, reading_seconds=ready-start, psds_seconds=time.perf_counter()-ready, psds_cpu_seconds=time.process_time()-cpu, peak_gb=peak(), peak_gb_before=before,
                scores={k: float(v) for k,v in scores.items()})

def processor():
    try: return next(l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name'))
    except (OSError, StopIteration): return platform.processor() or platform.machine()

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--clips', type=int, default=16_000)
    ap.add_argument('--classes', type=int, default=407)
    ap.add_argument('--threads', type=int, default=1, help='classes at a time')
    ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--folder', type=Path, help='where the file of scores lies meanwhile')
    ap.add_argument('--out', type=Path, default=ROOT/'nbs/results/psds_whole.json', help='file to write')
    ap.add_argument('--judge', type=Path, help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.judge: return print(json.dumps(judge(a.judge, a.threads)))
    from audiossl.datasets.events import write_events
    from audiossl.downstream.decoding import write_scores
    load = os.getloadavg() if hasattr(os, 'getloadavg') else None
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        folder,need = Path(folder),a.clips*a.classes*T*4
        if shutil.disk_usage(folder).free<1.05*need: sys.exit(f'{folder.parent}: {1.05*need/1e9:.1f} GB are needed; name another place with --folder')
        names,truth,start = [f'class {c:03}' for c in range(a.classes)],{},time.perf_counter()
        write_scores(folder/'scores.npz', made_up(a.clips, names, a.seed, truth), names, FRAME_S, block=64)
        write_events(folder/'truth.tsv', truth)
        (folder/'durations.tsv').write_text('filename\tduration\n'+''.join(f'{k}\t{CLIP_S}\n' for k in truth))
        size,made = (folder/'scores.npz').stat().st_size,time.perf_counter()-start
        print(f'{a.clips:,} clips, {a.classes} classes: {size/1e9:.2f} GB written in {made:.0f} s', file=sys.stderr, flush=True)
        out = subprocess.run([sys.executable, __file__, '--judge', str(folder), '--threads', str(a.threads)], stdout=subprocess.PIPE, text=True, check=True).stdout
    git = lambda *o: subprocess.run(['git', *o], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    res = dict(command=f'python tools/psds_whole.py --clips {a.clips} --classes {a.classes} --threads {a.threads} --seed {a.seed}', date=datetime.date.today().isoformat(),
               commit=git('rev-parse', '--short', 'HEAD')+('+' if git('status', '--porcelain', '--', 'audiossl', 'tools') else ''),
               machine=dict(cpu=processor(), cores=os.cpu_count(), system=platform.system()), load_before=load, whole=a.clips>=16_000 and a.classes>=407,
               gigabytes=size/1e9, making_seconds=made, **json.loads(out))
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(res, indent=1)+'\n')
    print(f'{res["psds_seconds"]:.0f} s, {res["peak_gb"]:.2f} GB: {a.out}')

if __name__=='__main__': main()
