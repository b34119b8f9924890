"""Judge an encoder on real sounds from outside the package: fetch Debian packages that are not among the bundled sounds, make tasks of them, probe.

usage: python tools/outside_sounds.py fetch FOLDER
       python tools/outside_sounds.py evaluate FOLDER --model NAME_OR_CHECKPOINT [--seeds 3] [--twins 3] [--out results.json]

`fetch` needs `apt-get` and `dpkg-deb` (no root) and writes some 650 MB to FOLDER, which stays outside the repository, with versions and licences in sources.json.
`evaluate` probes (linear, kNN) the encoder, its twins with random weights and log-mel statistics on every task of `audiossl.downstream.outside`.
Each evaluation is a look at the test sounds: it is noted in FOLDER/looks.jsonl, and the results say which look they are.
A model's name (`atst_frame_tiny`) means the weights that come with the package; anything else is a checkpoint, or a folder of `save_pretrained`.
With --untrained, the name of a model and no weights: random weights and log-mel statistics alone.
"""
import argparse, datetime, hashlib, json, re, shlex, shutil, subprocess, sys, time
from pathlib import Path
from judging import encoders, facts, judged, reader

def stop(line): sys.exit(f'outside_sounds: {line}')

def call(*args, cwd=None):
    "What a command printed; its last line of complaint is ours"
    r = subprocess.run([str(a) for a in args], cwd=cwd, capture_output=True, text=True)
    if r.returncode: stop(f'{shlex.join(map(str, args))} failed: {(r.stderr.strip() or r.stdout.strip() or "no message").splitlines()[-1]}')
    return r.stdout

def licences(text):
    "Names of the licences in a Debian copyright file, without those of the packaging alone"
    found = []
    for part in re.split(r'\n\s*\n', text):
        files,names = re.search(r'^Files:(.*(?:\n .*)*)', part, re.M),re.findall(r'^License:[ \t]*(\S.*)$', part, re.M)
        if files and files[1].split()[:1]!=['debian/*']: found += names
    if not found and 'GNU General Public License' in text: # an old file in free words
        found = ['GPL-2+' if 'any later version' in text else 'GPL']+['with an exception for compositions']*('special exception' in text)
    return list(dict.fromkeys(o.strip() for o in found)) or ['see the copyright file']

def fetch(folder):
    from audiossl.datasets.minisounds import metadata
    from audiossl.downstream.outside import SOURCES
    if used := {r['package'].split()[0] for r in metadata()}&SOURCES.keys(): stop(f'{", ".join(sorted(used))}: among the bundled sounds, so trained on')
    if lost := [c for c in ('apt-get', 'dpkg-deb') if not shutil.which(c)]: stop(f'{" and ".join(lost)} not found; fetching needs a Debian system, or unpack {", ".join(SOURCES)} into {folder}/PACKAGE by hand')
    debs = folder/'debs'
    try: debs.mkdir(parents=True, exist_ok=True)
    except OSError as e: stop(f'{folder}: {e.strerror}; a folder that can be written is needed')
    about = {}
    for p,at in SOURCES.items():
        if not (have := sorted(debs.glob(f'{p}_*.deb'))):
            (half := debs/'.half').mkdir(exist_ok=True)         # a download that breaks off must not look like a package
            call('apt-get', 'download', p, cwd=half)
            for o in half.glob(f'{p}_*.deb'): o.rename(debs/o.name)
            if not (have := sorted(debs.glob(f'{p}_*.deb'))): stop(f'apt-get download {p} left no {p}_*.deb')
        deb,part = have[-1],folder/f'.{p}.part'
        shutil.rmtree(part, ignore_errors=True)
        call('dpkg-deb', '-x', deb, part)
        if not (part/at).is_dir(): stop(f'{deb.name}: no {at} in it; another version of the package?')
        shutil.rmtree(folder/p, ignore_errors=True); part.rename(folder/p)
        text = folder/p/'usr/share/doc'/p/'copyright'
        version,site = (call('dpkg-deb', '-f', deb, f).strip() for f in ('Version', 'Homepage'))
        about[p] = dict(version=version, homepage=site, sha256=hashlib.sha256(deb.read_bytes()).hexdigest(), copyright=f'{p}/usr/share/doc/{p}/copyright',
                        licences=licences(text.read_text(encoding='utf-8', errors='replace')) if text.is_file() else ['no copyright file in the package'])
        print(f'{p} {version}: {"; ".join(about[p]["licences"])}')
    (folder/'sources.json').write_text(json.dumps(about, indent=1)+'\n')
    print(f'{len(about)} packages in {folder}; the copyright files name authors and terms of each file')

def evaluate(a):
    import numpy as np
    from audiossl.downstream.outside import outside_tasks
    from audiossl.downstream.probe import logmel_statistics
    from audiossl.downstream.suite import task_features
    start = time.time()
    try: model,twins = encoders(a.model, a.twins, a.untrained)
    except (OSError, ValueError) as e: stop(e)
    try: tasks = outside_tasks(a.folder)
    except (OSError, ValueError) as e: stop(e)
    for p in tasks.missing: print(f'missing: {p} (its tasks are not judged; `fetch` brings it)')
    for t in tasks: print(f'{t}; left out: '+(', '.join(f'{n} ({k})' for k,n in t.left_out.items()) or 'none'))
    log = a.folder/'looks.jsonl'
    look = 1+len(log.read_text().splitlines()) if log.is_file() else 1
    try:
        with log.open('a') as f: f.write(json.dumps(dict(look=look, model=a.model, untrained=a.untrained, read=a.read, date=datetime.date.today().isoformat()))+'\n')
    except OSError as e: stop(f'{log}: {e.strerror}; looks at the test sounds are noted there')
    see,read = lambda m: task_features(lambda ws: read(m, ws), tasks),reader(a.read)
    reps = {} if a.untrained else {'model': see(model)}
    reps |= {'random': [see(m) for m in twins], 'log-mel': task_features(logmel_statistics, tasks)}
    about = a.folder/'sources.json'
    pairs = [(x, y) for x,y in (('model', 'random'), ('model', 'log-mel'), ('random', 'log-mel')) if x in reps and y in reps]
    out = dict(model=a.model, untrained=a.untrained, read=a.read, look=look, seeds=a.seeds, twins=a.twins, missing=list(tasks.missing), sources=json.loads(about.read_text()) if about.is_file() else 'not fetched by this tool',
               tasks={t.name: dict(source=t.source, asks=t.description, clips=len(t), classes=list(t.classes), groups=len(set(t.groups)), chance=float(np.bincount(t.labels).max()/len(t)),
                                   left_out=t.left_out, files=hashlib.sha256('\n'.join(t.files).encode()).hexdigest()[:16]) for t in tasks}, probes=judged(reps, tasks, a.seeds, pairs))
    print(f'\nlook {look} at these sounds; after the first, a choice made by them is tuning')
    out.update(seconds=round(time.time()-start), **facts('outside_sounds'))
    if a.out: a.out.write_text(json.dumps(out, indent=1)+'\n')

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    todo = ap.add_subparsers(dest='do', required=True)
    f = todo.add_parser('fetch', help='download and unpack the packages'); f.add_argument('folder', type=Path)
    e = todo.add_parser('evaluate', help='probe an encoder on the tasks'); e.add_argument('folder', type=Path)
    e.add_argument('--model', required=True, help="a model's name, a checkpoint or a folder")
    e.add_argument('--untrained', action='store_true', help='no weights: only the random twins of the named model, and log-mel statistics')
    e.add_argument('--seeds', type=int, default=3, help='of each probe'); e.add_argument('--twins', type=int, default=3, help='random networks')
    e.add_argument('--read', choices=('scene','moments'), default='scene', help='moments: mean and deviation over frames, as log-mel statistics are')
    e.add_argument('--out', type=Path, help='results as JSON')
    a = ap.parse_args()
    if a.do=='evaluate' and (a.seeds<1 or a.twins<1): stop(f'--seeds {a.seeds} --twins {a.twins}: both are 1 or more')
    if a.do=='evaluate' and a.out and not a.out.absolute().parent.is_dir(): stop(f'--out {a.out}: no such folder')
    fetch(a.folder.absolute()) if a.do=='fetch' else evaluate(a)

if __name__=='__main__': main()
