"Notebooks in a real JupyterLab, in a headless browser: all cells run, pictures and players are shown"
import importlib.util, os, signal, subprocess, sys, time, urllib.error, urllib.request
import pytest
from lab import PANEL, free_port, notebook

# what each shows: (notebook, least pictures, least players)
SHOWN = [('00_audio', 1, 1), ('10_logmel', 2, 0), ('13_mask', 1, 0)]

@pytest.mark.parametrize('name,pictures,players', SHOWN, ids=[o[0] for o in SHOWN])
def test_notebook_in_jupyterlab(lab, shots, name, pictures, players):
    try:
        assert lab.run_all(f'{name}.ipynb')==[]
        shown = lab.page.locator(PANEL); count = lambda what: shown.locator(f'.jp-OutputArea-output {what}').count()
        assert count('img') >= pictures and count('audio') >= players, (count('img'), count('audio'))
        assert shown.locator('.jp-OutputArea-output img').evaluate_all('es => es.every(e => e.naturalWidth > 100)')
        if shots:
            if count('img'): shown.locator('.jp-OutputArea-output img').first.scroll_into_view_if_needed()
            lab.page.wait_for_timeout(300); lab.page.screenshot(path=str(shots/f'lab_{name}.png'))
    finally: lab.close(f'{name}.ipynb')

def test_a_failing_cell_is_seen(lab):
    (lab.nbs/'_planted.ipynb').write_text(notebook('1+1', 'assert 1+1==3'))
    try: assert lab.run_all('_planted.ipynb')==[['assert 1+1==3', 'AssertionError: ']]
    finally: lab.close('_planted.ipynb')

ICONS = 'https://cdn.jsdelivr.net/npm/@fortawesome/fontawesome-free@'     # Voila's own widget manager asks for these two style sheets of icons, always; no window has such an icon, and without a network they are missed by none

def test_windows_as_a_web_page(new_page, tmp_path):
    "`audiossl app`: three windows, one below the other; no fault, and no request to anybody but for Voila's icons"
    if not importlib.util.find_spec('voila'): pytest.skip("voila is not installed: pip install 'audiossl[app]'")
    port = free_port(); faults,asked = [],set()
    p = subprocess.Popen([sys.executable, '-c', 'from audiossl.cli_events import main; main()', 'app', '--no-browser', '--port', str(port)], stdin=subprocess.DEVNULL,
        stdout=open(tmp_path/'log', 'w'), stderr=subprocess.STDOUT, start_new_session=True, env=dict(os.environ, IPYTHONDIR=str(tmp_path)))
    try:
        for _ in range(600):
            try: urllib.request.urlopen(f'http://127.0.0.1:{port}/voila/static/', timeout=2); break
            except urllib.error.HTTPError: break
            except OSError: assert p.poll() is None, (tmp_path/'log').read_text(); time.sleep(.1)
        page = new_page(height=1500); page.set_default_timeout(120_000)
        page.on('console', lambda m: faults.append((m.text, m.location.get('url', ''))) if m.type=='error' else None); page.on('pageerror', lambda e: faults.append((str(e), '')))
        page.on('request', lambda r: asked.add(r.url) if r.url.startswith('http') and f'//127.0.0.1:{port}/' not in r.url else None)
        page.goto(f'http://127.0.0.1:{port}/')
        for name in ('spectrogram', 'augment', 'mask'): page.wait_for_selector(f'.ax[data-testid={name}][data-state=idle]')
        slider = page.locator('.ax[data-testid=mask] [data-key=span]'); slider.focus(); before = slider.input_value(); page.keyboard.press('ArrowRight'); assert slider.input_value()!=before
        page.wait_for_selector('.ax[data-testid=mask][data-unheard="0"][data-state=idle]')                                # a kernel hears it
        assert [f for f in faults if not f[1].startswith(ICONS)]==[] and {o for o in asked if not o.startswith(ICONS)}==set(), (faults, asked)
    finally: os.killpg(p.pid, signal.SIGTERM); p.wait(20)
