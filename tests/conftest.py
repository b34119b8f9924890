"Shared fixtures; the list of tests that could not run, printed just before pytest's counts"
import os
for k in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(k, '1')      # before anything imports torch
import subprocess, sys
from collections import defaultdict
from pathlib import Path
import pytest
from support import ROOT, copy_project
import lab as lab_, system

def pytest_report_header(config): return f'audiossl in {ROOT}, OMP_NUM_THREADS={os.environ["OMP_NUM_THREADS"]}'

@pytest.hookimpl(wrapper=True, tryfirst=True)                                        # outermost: after pytest's own summaries
def pytest_terminal_summary(terminalreporter):
    res = yield
    why = defaultdict(list)
    for r in terminalreporter.stats.get('skipped', []):
        reason = r.longrepr[2] if isinstance(r.longrepr, tuple) else str(r.longrepr)
        why[reason.removeprefix('Skipped: ')].append(r.nodeid)
    if lab_.REPORT: terminalreporter.section('measured in the browser', sep='-')
    for k,v in sorted(lab_.REPORT.items()): terminalreporter.write_line(f'{k}: {v}')
    if why: terminalreporter.section('could not run here', sep='-')
    for reason,ids in why.items(): terminalreporter.write_line(f'{", ".join(ids)}: {reason}')
    return res

@pytest.fixture(scope='session')
def chromium():
    "Path of a browser; tests that need it are skipped, with the reason, where there is none"
    pytest.importorskip('playwright', reason='playwright is not installed')
    if why := system.missing('chromium'): pytest.skip(why)
    return system.find_chromium()

@pytest.fixture(scope='session')
def browser(chromium):
    "One headless browser for all tests"
    from playwright.sync_api import sync_playwright
    with sync_playwright() as pw:
        b = pw.chromium.launch(executable_path=chromium, headless=True, args=lab_.ARGS)
        try: yield b
        finally: b.close()

@pytest.fixture
def new_page(browser):
    "A function that opens a page, with cookies and a cache of its own: `new_page(width=, height=, **context options)`"
    made = []
    def new(width=1280, height=1000, **kw): made.append(browser.new_page(viewport=dict(width=width, height=height), **kw)); return made[-1]
    yield new
    for p in made: p.close()

@pytest.fixture(scope='session')
def lab(tmp_path_factory, browser):
    "One JupyterLab for all tests, on the notebooks of a copy of the project; what was measured is printed at the end"
    tmp = tmp_path_factory.mktemp('lab'); nbs = lab_.copy_chapters(tmp/'project')
    with lab_.jupyter_lab(nbs, tmp) as (base, token): yield lab_.Lab(base, token, nbs, browser)

def pytest_collection_modifyitems(items): items.sort(key=lambda o: 'browser' in getattr(o, 'fixturenames', ()))   # last: while a browser is driven, no loop of asyncio can run beside

@pytest.fixture(scope='session')
def shots():
    "Where pictures of pages go: the folder named by SCREENSHOTS, or None"
    out = os.environ.get('SCREENSHOTS')
    if out: Path(out).mkdir(parents=True, exist_ok=True)
    return Path(out).resolve() if out else None

@pytest.fixture(scope='session')
def site(tmp_path_factory):
    "The site, built as `make docs` does, from a copy of the project and the stored outputs"
    copy = copy_project(tmp_path_factory.mktemp('site')/'project')
    r = subprocess.run([sys.executable, 'tools/build_docs.py'], cwd=copy, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if r.returncode==3: pytest.skip((r.stdout.strip().splitlines() or ['the site cannot be built here'])[-1])
    assert r.returncode==0, f'the site does not build:\n{r.stdout[-3000:]}\n{r.stderr[-6000:]}'
    return copy/'_docs'

@pytest.fixture
def typed(capsys):
    "A command as it is typed, in this process: `typed(*words)` gives (exit code, lines of output, lines of complaint)"
    from audiossl.cli_events import main                                             # the last of the modules with commands: it knows all
    def run(*words):
        with pytest.raises(SystemExit) as e: main([str(o) for o in words])
        said = capsys.readouterr()
        return e.value.code, said.out.splitlines(), said.err.splitlines()
    return run
