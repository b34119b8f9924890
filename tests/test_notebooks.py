"""Each notebook is a test: nbdev's own runner, all cells but those with `#| eval: false` or a flag of `tst_flags` in settings.ini.

Every notebook runs in a process of its own, forked from one that has imported torch: what a notebook leaves behind (seeds, registries, a
default dtype) does not reach the next, and torch is imported once. As many run side by side as there are cores, four at most, in the order of the tests."""
import json, multiprocessing, os, sys, tempfile, time
from pathlib import Path
import pytest
from nbdev.config import get_config
from nbdev.doclinks import nbglob
from nbdev.test import test_nb as run_nb
from support import ROOT

cfg = get_config(path=Path(__file__).parent)
NOTEBOOKS = sorted(nbglob(cfg.nbs_path, as_path=True))
SECONDS = 600                                                                        # for one notebook; most take less than 15

class Runs:
    "Notebooks in forks; what one prints is kept until its result is asked for"
    def __init__(self, names=(), flags=(), root=ROOT, side_by_side=1): self.todo,self.flags,self.root,self.n,self.live = list(names), list(flags), root, side_by_side, {}
    def start(self, fn):
        import torch
        torch.set_num_threads(1)
        def child():
            os.dup2(out.fileno(), 1); os.dup2(out.fileno(), 2)
            torch.set_num_threads(1)                                                 # again: threads that ask first, two at a time, find no pool in a fork
            ok,_ = run_nb(fn, skip_flags=self.flags, basepath=self.root)
            sys.stdout.flush(); sys.stderr.flush(); os._exit(0 if ok else 1)
        out = tempfile.TemporaryFile(); p = multiprocessing.get_context('fork').Process(target=child)
        p.start(); self.live[fn] = p,out,time.monotonic()
    def passed(self, fn):
        "Run `fn`, or wait for it; True when every cell passed"
        if sys.platform!='linux': return run_nb(fn, skip_flags=self.flags, basepath=self.root)[0]
        if fn in self.todo: self.todo.remove(fn)
        if fn not in self.live: self.start(fn)
        p,out,since = self.live[fn]
        while p.is_alive():
            while self.todo and sum(o.is_alive() for o,*_ in self.live.values())<self.n: self.start(self.todo.pop(0))
            p.join(.05)
            if time.monotonic()-since>SECONDS: p.kill(); pytest.fail(f'{fn.name} was still running after {SECONDS} s')
        out.seek(0); print(out.read().decode(errors='replace')); out.close(); del self.live[fn]
        return p.exitcode==0
    def end(self):
        for p,*_ in self.live.values(): p.kill()

@pytest.fixture(scope='module')
def runs(request):
    asked = [i.callspec.params['fn'] for i in request.session.items if i.fspath==request.fspath and 'fn' in getattr(getattr(i, 'callspec', None), 'params', {})]
    before = {o.name for o in cfg.nbs_path.iterdir()}
    res = Runs(asked, cfg.tst_flags.split(), cfg.config_path, min(4, os.cpu_count() or 1))
    yield res
    res.end()
    if os.environ.get('CI'): assert {o.name for o in cfg.nbs_path.iterdir()}==before, 'a notebook leaves files in nbs/'

@pytest.mark.parametrize('fn', NOTEBOOKS, ids=lambda p: p.relative_to(cfg.nbs_path).as_posix())
def test_notebook(runs, fn): assert runs.passed(fn), f'{fn.name} failed: the cell and its error are above'

@pytest.mark.parametrize('cell,ok', [('assert 1+1==2', True), ('assert 1+1==3', False), ('#| eval: false\nassert False', True),
                                     ('#| slow\nassert False', True), ('import torch; assert torch.ones(2).sum()==3', False)])
def test_a_failing_cell_is_seen(tmp_path, cell, ok):
    nb = dict(cells=[dict(cell_type='code', id='a', metadata={}, source=cell, execution_count=None, outputs=[])],
              metadata=dict(kernelspec=dict(name='python3', display_name='python3', language='python')), nbformat=4, nbformat_minor=5)
    fn = tmp_path/'00_x.ipynb'; fn.write_text(json.dumps(nb))
    assert Runs(flags=['slow']).passed(fn) == ok
