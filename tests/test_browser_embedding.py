"The map of embeddings in a real JupyterLab: what is drawn, heard and selected, how fast, by keys alone, with bad input; and without a kernel"
import json, statistics, time
import numpy as np, pytest
from support import copy_project
from test_browser import REPORT, Window, axe_source, browser, echoes, jupyter_lab, listen, notebook, open_notebook, slack
from test_explore import HOSTILE
from audiossl.explore.base import bundle, picture_hash

HEAD = '''import numpy as np, resource, gc
from audiossl.audio import example
from audiossl.datasets.minisounds import task
from audiossl.explore import EmbeddingMap
from audiossl.explore.base import picture_hash
from audiossl.explore.flatmap import representations
drums = task('minisounds_percussion'); drums.waves()
made = representations(drums.waves())
class Many:
    "clusters of points, each with a short tone"
    classes = [f'class {i}' for i in range(12)]
    def __init__(self, n): self.files,self.labels = [f'sound {i}' for i in range(n)],np.arange(n)%12
    def wave(self, i): return np.sin(np.arange(4000)*(.1+.01*(i%12))).astype('f4')/2
    def seen(self, D=16, seed=0): r = np.random.default_rng(seed); return (3*r.normal(size=(12,D))[self.labels] + r.normal(size=(len(self.labels),D))).astype('f4')
w = EmbeddingMap(drums, embeddings=made)'''

@pytest.fixture(scope='module')
def lab(tmp_path_factory, chromium):
    tmp = tmp_path_factory.mktemp('map'); nbs = copy_project(tmp/'project')/'nbs'
    (nbs/'_map.ipynb').write_text(notebook(HEAD, 'w'))
    with jupyter_lab(nbs, tmp) as res: yield res

@pytest.fixture(scope='module')
def opened(lab, browser):
    "The window, opened once, with the time from its cell to the first paint"
    page = browser.new_page(viewport=dict(width=1280, height=1300)); faults = listen(page)
    open_notebook(page, *lab, '_map.ipynb')
    run = lambda i: page.evaluate("i => { const nb = window.jupyterapp.shell.currentWidget.content; nb.activeCellIndex = i; return window.jupyterapp.commands.execute('notebook:run-cell') }", i)
    run(0); run(1); since = time.perf_counter()
    w = Window(page, faults, 'embedding').idle(0); REPORT['embedding: first paint, ms'] = w.first = round(1000*(time.perf_counter()-since))
    yield w
    page.close()

@pytest.fixture
def window(opened):
    "The window as it was at first"
    w = opened; n = w.rev
    w.python('w.show(drums, embeddings=made)'); w.idle(n); n = w.rev
    w.root.scroll_into_view_if_needed(); w.control('reset').click(); w.idle(n); w.page.mouse.move(2, 2); w.page.wait_for_timeout(250)
    return w.idle()

def box(w): return w.root.locator('[data-testid=picture]').bounding_box()
def spot(w, i):
    "Where a point is on the page"
    i,x,y = w.python(f'p = w.xy(); print([{i}, *p[{i}].tolist()])')[1:-1].split(','); x,y = float(x),float(y)
    b,p = box(w),np.array(json.loads(w.python("print(w.xy()[[i for i,o in enumerate(w._clips.labels)]].tolist())")))
    lo,hi = p.min(0),p.max(0); wide,high = b['width']-2,460-2
    scale = min((wide-52)/(hi[0]-lo[0]), (high-52)/(hi[1]-lo[1])); mid = (lo+hi)/2
    return b['x']+1+wide/2+(x-mid[0])*scale, b['y']+1+high/2-(y-mid[1])*scale

def lonely(w):
    "A point that lies apart from all others on the map shown, so that there is no doubt which is meant"
    p = np.array(json.loads(w.python('print(w.xy().tolist())'))); d = np.linalg.norm(p[:,None]-p[None], axis=-1); np.fill_diagonal(d, 9)
    return int(d.min(1).argmax())

def playing(w, i): w.page.wait_for_function("i => window.ax.dataset.played == i", arg=str(i)); return float(w.data('play-ms'))

# ---- as every window ---------------------------------------------------------------------------------------------------------------------

def test_opens_and_paints(window, shots):
    w = window
    assert w.data('state')=='idle' and w.text('error')=='' and w.faults==[], w.faults
    assert w.first<2000*slack(w), w.first
    assert w.data('hash')==w.python('print(picture_hash(w.xy()))') and w.data('shown')=='202'
    colours = w.root.locator('canvas[role=img]').evaluate("c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set(); for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i+1] << 8 | d[i+2]); return [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9].filter(c => !seen.has(c)) }")
    assert colours==[], 'colours of the legend that are not on the map'
    if shots:
        i = lonely(w); w.page.mouse.move(*spot(w, i)); w.page.wait_for_timeout(300)
        for theme in ('Dark', 'Light'):
            w.page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: `JupyterLab ${t}`})", theme)
            w.page.wait_for_timeout(1000); w.root.screenshot(path=str(shots/f'window_embedding_{theme.lower()}.png'))
