"""Copy what runs of `audiossl linear`, `finetune`, `distill` and `evaluate` found into nbs/results/judging.json, which nbs/80_results.ipynb shows.

usage (in the project's root): python tools/collect_results.py RUN_FOLDER ...

A run that is there already (the same encoder, plans and seeds) is replaced; trials are refused.
"""
import csv, datetime, json, platform, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT/'nbs/results/judging.json'

def of(folder):
    "One run, as plain values; no path of this machine but the names of the encoder and of the folder"
    run = json.loads((folder/'settings.json').read_text(encoding='utf-8'))
    if any(p['trial'] for p in run['plans'].values()): raise SystemExit(f'{folder}: a trial; it says nothing')
    if not (folder/'results.csv').exists(): raise SystemExit(f'{folder}: not finished; run its command again')
    rows = list(csv.DictReader((folder/'results.csv').open(encoding='utf-8')))
    a,commit = run['about'], subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    date = datetime.date.fromtimestamp((folder/'results.csv').stat().st_mtime).isoformat()
    return dict(run=folder.name, encoder=run['source'], kind=a['kind'], seeds=run['seeds'], folds=run['folds'], date=date, commit=commit, torch=a['torch'], device=a['device'], machine=platform.machine(),
                plans={k: dict(v, source=v['source']) for k,v in run['plans'].items()}, rows=[dict(r, mean=float(r['mean']), error=float(r['error']) if r['error'] else None) for r in rows])

def main():
    if not sys.argv[1:]: raise SystemExit(__doc__.strip())
    have = json.loads(FILE.read_text(encoding='utf-8')) if FILE.exists() else []
    new = [of(Path(o)) for o in sys.argv[1:]]; key = lambda r: json.dumps([r['encoder'], r['plans'], r['seeds'], r['folds']], sort_keys=True)
    have = [r for r in have if key(r) not in map(key, new)]+new
    FILE.parent.mkdir(exist_ok=True); FILE.write_text(json.dumps(sorted(have, key=lambda r: r['run']), indent=1)+'\n', encoding='utf-8')
    print(f'{FILE.relative_to(ROOT)}: {len(have)} runs')

if __name__ == '__main__': main()
