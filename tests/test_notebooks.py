"""Each notebook is a test: nbdev's own runner, all cells but those with `#| eval: false` or a flag of `tst_flags` in settings.ini.

Every notebook runs in a process of its own, forked from one that has imported torch: what a notebook leaves behind (seeds, registries, a
default dtype) does not reach the next, and torch is imported once."""
import json, multiprocessing, os, sys
from pathlib import Path
import pytest
from nbdev.config import get_config
from nbdev.doclinks import nbglob
from nbdev.test import test_nb as run_nb
from support import ROOT

cfg = get_config(path=Path(__file__).parent)
NOTEBOOKS = sorted(nbglob(cfg.nbs_path, as_path=True))
SECONDS = 600                                                                        # for one notebook; most take less than 15

def run(fn, flags, root):
    "Run notebook `fn`, in a fork where there is one; True when every cell passed"
    if sys.platform!='linux': return run_nb(fn, skip_flags=flags, basepath=root)[0]
    import torch
    torch.set_num_threads(1)
    def _child():
        torch.set_num_threads(1)                                                     # again: threads that ask first, two at a time, find no pool in a fork
        ok,_ = run_nb(fn, skip_flags=flags, basepath=root)
        sys.stdout.flush(); sys.stderr.flush(); os._exit(0 if ok else 1)
    p = multiprocessing.get_context('fork').Process(target=_child)
    p.start(); p.join(SECONDS)
    if p.is_alive(): p.kill(); p.join(); pytest.fail(f'{fn.name} was still running after {SECONDS} s')
    return p.exitcode==0

@pytest.mark.parametrize('fn', NOTEBOOKS, ids=lambda p: p.relative_to(cfg.nbs_path).as_posix())
def test_notebook(fn):
    before = {o.name for o in fn.parent.iterdir()}
    assert run(fn, cfg.tst_flags.split(), cfg.config_path), f'{fn.name} failed: the cell and its error are above'
    if os.environ.get('CI'): assert {o.name for o in fn.parent.iterdir()} == before, f'{fn.name} leaves files in nbs/'

@pytest.mark.parametrize('cell,ok', [('assert 1+1==2', True), ('assert 1+1==3', False), ('#| eval: false\nassert False', True),
                                     ('#| slow\nassert False', True), ('import torch; assert torch.ones(2).sum()==3', False)])
def test_a_failing_cell_is_seen(tmp_path, cell, ok):
    nb = dict(cells=[dict(cell_type='code', id='a', metadata={}, source=cell, execution_count=None, outputs=[])],
              metadata=dict(kernelspec=dict(name='python3', display_name='python3', language='python')), nbformat=4, nbformat_minor=5)
    fn = tmp_path/'00_x.ipynb'; fn.write_text(json.dumps(nb))
    assert run(fn, ['slow'], ROOT) == ok
