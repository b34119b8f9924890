"Notebooks in a real JupyterLab, in a headless browser: all cells run in a kernel of their own, pictures and players are shown"
import contextlib, json, os, secrets, socket, subprocess, sys, time, urllib.request
import pytest
from support import ROOT, copy_project

# what each shows: (notebook, least pictures, least players)
SHOWN = [('00_audio', 1, 1), ('10_logmel', 2, 0), ('13_mask', 1, 0)]

def free_port():
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); return s.getsockname()[1]

@contextlib.contextmanager
def jupyter_lab(folder, tmp, timeout=120):
    "A JupyterLab for `folder` on loopback with a token, settings of its own and no look outside; ended on exit"
    port, token = free_port(), secrets.token_hex(16)
    for name,val in {'notebook-extension/tracker': {'windowingMode': 'none'},                  # else cells out of sight are not in the page
                     'apputils-extension/notification': {'checkForUpdates': False, 'fetchNews': 'false', 'doNotDisturbMode': True}}.items():
        f = tmp/f'settings/@jupyterlab/{name}.jupyterlab-settings'; f.parent.mkdir(parents=True); f.write_text(json.dumps(val))
    env = dict(os.environ, JUPYTER_CONFIG_DIR=str(tmp/'config'), JUPYTER_DATA_DIR=str(tmp/'data'), JUPYTER_RUNTIME_DIR=str(tmp/'runtime'),
               JUPYTERLAB_SETTINGS_DIR=str(tmp/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(tmp/'workspaces'), IPYTHONDIR=str(tmp/'ipython'))
    cmd = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ServerApp.ip=127.0.0.1', f'--ServerApp.port={port}',
           '--ServerApp.port_retries=0', f'--ServerApp.root_dir={folder}', f'--IdentityProvider.token={token}',
           '--expose-app-in-browser',                                                          # gives window.jupyterapp
           '--LabApp.extension_manager=readonly', '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate', '--LabApp.news_url=']
    with open(tmp/'server.log', 'w') as log:
        p = subprocess.Popen(cmd, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env)
        base, end = f'http://127.0.0.1:{port}', time.time()+timeout
        try:
            while True:
                try: urllib.request.urlopen(f'{base}/api/status?token={token}', timeout=2); break
                except OSError:
                    if p.poll() is not None or time.time()>end: raise RuntimeError((tmp/'server.log').read_text()[-3000:])
                    time.sleep(.1)
            yield base, token
        finally:
            p.terminate()                                                                      # ends its kernels too
            try: p.wait(20)
            except subprocess.TimeoutExpired: p.kill(); p.wait()

@pytest.fixture(scope='module')
def lab(tmp_path_factory, chromium):
    "The notebooks of a copy of the project (JupyterLab saves what it opens), without stored outputs: what is shown later was made here"
    tmp = tmp_path_factory.mktemp('lab'); nbs = copy_project(tmp/'project')/'nbs'
    for p in nbs.glob('*.ipynb'):
        nb = json.loads(p.read_text(encoding='utf-8'))
        for c in nb['cells']:
            if c['cell_type']=='code': c['outputs'] = []
        p.write_text(json.dumps(nb), encoding='utf-8')
    bad = json.loads((nbs/'00_audio.ipynb').read_text(encoding='utf-8'))
    bad['cells'] = [dict(cell_type='code', id=f'c{i}', metadata={}, source=s, execution_count=None, outputs=[]) for i,s in enumerate(['1+1', 'assert 1+1==3'])]
    (nbs/'_planted.ipynb').write_text(json.dumps(bad))
    with jupyter_lab(nbs, tmp) as res: yield res

def open_and_run(page, base, token, path, timeout=240):
    "Open notebook `path`, wait for its kernel, run every cell; source and error of the cells that failed"
    page.set_default_timeout(timeout*1000)
    page.goto(f'{base}/doc/tree/{path}?token={token}&reset')
    page.wait_for_selector('.jp-Notebook .jp-Cell')
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status == 'idle'")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")       # resolves when the last cell is done
    return page.evaluate("""() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
        .flatMap(c => (c.outputs ?? []).filter(o => o.output_type == 'error').map(o => [c.getSource(), `${o.ename}: ${o.evalue}`]))""")

@pytest.mark.parametrize('name,pictures,players', SHOWN, ids=[o[0] for o in SHOWN])
def test_notebook_in_jupyterlab(lab, new_page, shots, name, pictures, players):
    page = new_page()
    failed = open_and_run(page, *lab, f'{name}.ipynb')
    assert not failed, failed
    count = lambda what: page.locator(f'.jp-OutputArea-output {what}').count()
    assert count('img') >= pictures and count('audio') >= players, (count('img'), count('audio'))
    assert page.eval_on_selector_all('.jp-OutputArea-output img', 'es => es.every(e => e.naturalWidth > 100)')
    if shots:
        if count('img'): page.locator('.jp-OutputArea-output img').first.scroll_into_view_if_needed()
        page.wait_for_timeout(300); page.screenshot(path=str(shots/f'lab_{name}.png'))

def test_a_failing_cell_is_seen(lab, new_page): assert open_and_run(new_page(), *lab, '_planted.ipynb') == [['assert 1+1==3', 'AssertionError: ']]
