"""Run notebooks from a fresh kernel each and store their outputs, then clean them.

usage (in the project's root): python tools/run_notebooks.py [NOTEBOOK ...]      (none named: all, in order)

Cells with `#| eval: false` or a flag of `tst_flags` are not run and keep the output they have. One thread, no progress bars:
the same machine stores the same bytes again.
"""
import os, sys, time
from pathlib import Path

for k in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ[k] = '1'
os.environ.update(PYTHONWARNINGS='ignore', AUDIOSSL_WINDOWS='static', PYDEVD_DISABLE_FILE_VALIDATION='1', TOKENIZERS_PARALLELISM='false')

def run(p, skip, cwd):
    "Run notebook `p` in folder `cwd`, storing outputs in the file; an error is raised after what ran before it was stored"
    import nbformat
    from nbclient import NotebookClient
    from build_docs import directives
    nb = nbformat.read(p, 4)
    held = []
    for c in nb.cells:
        if c.cell_type != 'code': continue
        d = directives(c.source)
        if d.get('eval') == 'false' or set(skip) & d.keys() or 'nbdev_export'+'(' in c.source:
            held.append(c); c.metadata['tags'] = ['skip-execution']
    try: NotebookClient(nb, timeout=900, kernel_name='python3', resources={'metadata': {'path': str(cwd)}}).execute()
    finally:
        for c in held: c.metadata.pop('tags', None)
        for c in nb.cells: c.metadata.pop('execution', None)
        nb.metadata.pop('widgets', None); nb.metadata.pop('language_info', None)
        nbformat.write(nb, p)

def main():
    from nbdev.clean import nbdev_clean
    from nbdev.config import get_config
    cfg = get_config(path=Path(__file__).parent)
    names = [Path(o).resolve() for o in sys.argv[1:]] or sorted(o for o in cfg.nbs_path.rglob('*.ipynb') if '.ipynb_checkpoints' not in o.parts)
    for p in names:
        t = time.time(); run(p, cfg.tst_flags.split(), p.parent); nbdev_clean(fname=str(p), clear_all=False)
        print(f'{time.time()-t:6.1f} s  {p.stat().st_size/1000:6.0f} KB  {p.name}', flush=True)

if __name__ == '__main__': main()
