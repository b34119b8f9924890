"""JupyterLab in a headless browser, for all tests that look at windows or notebooks: one server, one browser, one page in which notebooks
are opened; a window by the attributes of its root; and what is asked of every window."""
import contextlib, json, os, secrets, socket, statistics, subprocess, sys, tempfile, time, urllib.request
from urllib.parse import urlsplit
import pytest
from support import ROOT, copy_project

ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
        '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required']
REPORT = {}                                                 # what was measured, printed at the end

# ---- the server and its page -------------------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); return s.getsockname()[1]

@contextlib.contextmanager
def jupyter_lab(folder, tmp, timeout=120):
    "A JupyterLab for `folder` on loopback with a token, settings of its own and no look outside; ended on exit"
    port, token, runtime = free_port(), secrets.token_hex(16), tempfile.TemporaryDirectory(prefix='lab')      # the last: a short path, as a socket of the file system needs
    for name,val in {'notebook-extension/tracker': {'windowingMode': 'none'},                  # else cells out of sight are not in the page
                     'apputils-extension/notification': {'checkForUpdates': False, 'fetchNews': 'false', 'doNotDisturbMode': True}}.items():
        f = tmp/f'settings/@jupyterlab/{name}.jupyterlab-settings'; f.parent.mkdir(parents=True); f.write_text(json.dumps(val))
    env = dict(os.environ, JUPYTER_CONFIG_DIR=str(tmp/'config'), JUPYTER_DATA_DIR=str(tmp/'data'), JUPYTER_RUNTIME_DIR=runtime.name,
               JUPYTERLAB_SETTINGS_DIR=str(tmp/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(tmp/'workspaces'), IPYTHONDIR=str(tmp/'ipython'))
    cmd = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ServerApp.ip=127.0.0.1', f'--ServerApp.port={port}',
           '--ServerApp.port_retries=0', f'--ServerApp.root_dir={folder}', f'--IdentityProvider.token={token}',
           *(['--KernelManager.transport=ipc'] if sys.platform=='linux' else []),              # a port for a kernel may be taken by others before the kernel has it
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
            runtime.cleanup()

def notebook(*cells):
    return json.dumps(dict(cells=[dict(cell_type='code', id=f'c{i}', metadata={}, source=s, execution_count=None, outputs=[]) for i,s in enumerate(cells)],
        metadata=dict(kernelspec=dict(name='python3', display_name='python3', language='python')), nbformat=4, nbformat_minor=5))

def copy_chapters(dest):
    "The notebooks of a copy of the project, without what is stored in them (what is shown later was made here) and without the last cell, that writes the modules"
    nbs = copy_project(dest)/'nbs'
    for p in nbs.glob('*.ipynb'):
        nb = json.loads(p.read_text(encoding='utf-8'))
        nb['cells'] = [{**c, 'outputs': []} if c['cell_type']=='code' else c for c in nb['cells'] if 'nbdev_export()' not in ''.join(c['source'])]
        p.write_text(json.dumps(nb), encoding='utf-8')
    return nbs

def listen(page):
    faults = []
    page.on('console', lambda m: faults.append(m.text) if m.type=='error' else None); page.on('pageerror', lambda e: faults.append(str(e)))
    return faults

FRONT,PANEL = 'window.jupyterapp.shell.currentWidget','.jp-NotebookPanel:not(.lm-mod-hidden) '      # the notebook in front, to the page and to a selector
class Lab:
    "A JupyterLab and a page of it, with one notebook in front. Chapters share a kernel (each has one of its own in test_notebooks), notebooks made here have one each"
    def __init__(self, base, token, nbs, browser): self.base,self.token,self.nbs,self.browser,self.page,self.shared = base,token,nbs,browser,None,None
    def api(self, method, what, **data):
        r = urllib.request.Request(f'{self.base}/api/{what}', json.dumps(data).encode() if data else None, {'Authorization': f'token {self.token}', 'Content-Type': 'application/json'}, method=method)
        with urllib.request.urlopen(r, timeout=60) as f: return json.loads(f.read() or 'null')
    def open(self, path, *cells, seconds=60):
        "Bring `path` to the front, with `cells` if they are given, and wait for its kernel; faults of the page are counted from here on"
        if cells: (self.nbs/path).write_text(notebook(*cells))
        own = bool(cells) or not self.shared
        s = self.api('POST', 'sessions', path=path, name=path, type='notebook', kernel=dict(name='python3') if own else dict(id=self.shared))
        if not cells: self.shared = s['kernel']['id']
        if not self.page:
            self.page = self.browser.new_page(viewport=dict(width=1280, height=1500)); self.faults = listen(self.page)
            self.page.set_default_timeout(60_000); self.page.goto(f'{self.base}/doc/tree/{path}?token={self.token}&reset'); self.page.wait_for_function("() => window.jupyterapp")
        else:
            self.faults.clear(); self.page.evaluate("path => window.jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'}).then(() => 0)", path)
        self.page.wait_for_function(f"""path => {{ const w = {FRONT}; return w?.context?.path == path && w.context.isReady && w.node.querySelector('.jp-Cell') &&
            w.sessionContext?.session?.kernel?.status == 'idle' }}""", arg=path, timeout=seconds*1000)
        return self.page
    def run(self, i): self.page.evaluate(f"i => {{ {FRONT}.content.activeCellIndex = i; return window.jupyterapp.commands.execute('notebook:run-cell') }}", i)
    def run_all(self, path, seconds=240):
        "Open notebook `path`, run every cell; source and error of the cells that failed"
        page = self.open(path); page.set_default_timeout(seconds*1000)
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")       # resolves when the last cell is done
        page.set_default_timeout(60_000)
        return page.evaluate(f"""() => {FRONT}.content.model.sharedModel.cells
            .flatMap(c => (c.outputs ?? []).filter(o => o.output_type == 'error').map(o => [c.getSource(), `${{o.ename}}: ${{o.evalue}}`]))""")
    def close(self, path):
        "Close notebook `path`, and end its kernel if it is not shared"
        self.page.evaluate("""path => { for (const w of [...window.jupyterapp.shell.widgets('main')]) if (w.context?.path == path) w.dispose() }""", path)
        for s in self.api('GET', 'sessions'):
            if s['path']==path and s['kernel']['id']!=self.shared: self.api('DELETE', f'sessions/{s["id"]}')
    def window(self, i, name):
        "Run cell `i`, wait for the first paint of its window; the time from the end of the cell is noted"
        self.run(i); since = time.perf_counter()
        w = Window(self.page, self.faults, name, PANEL).idle(0); w.first = REPORT[f'{name}: first paint, ms'] = round(1000*(time.perf_counter()-since))
        return w

# ---- a window ----------------------------------------------------------------------------------------------------------------------------

class Window:
    "A window in a page, by the attributes of its root"
    def __init__(self, page, faults, name=None, within=''):
        self.page,self.faults,self.name = page,faults,name
        self.which = within + (f'.ax[data-testid={name}]' if name else '.ax'); self.root = page.locator(self.which).first
        self.root.wait_for(); self.front()
    def front(self): self.page.evaluate('s => { window.ax = document.querySelector(s) }', self.which); self.root.scroll_into_view_if_needed(); return self
    def data(self, name): return self.root.get_attribute(f'data-{name}')
    @property
    def rev(self): return int(self.data('rev'))
    def wait(self, js, arg=None, timeout=20): self.page.wait_for_function(js, arg=arg, timeout=timeout*1000); return self
    def idle(self, after=None, timeout=20):
        "Wait until all is painted, and more than paint `after`"
        return self.wait("([n]) => { const d = window.ax?.dataset; return d && d.state != 'busy' && +d.rev > n }", [-1 if after is None else after], timeout)
    def heard(self):
        "Wait until Python has heard of all that was changed in the page, and all is painted"
        return self.wait("() => window.ax.dataset.state != 'busy' && !+(window.ax.dataset.unheard ?? 0)")
    def control(self, key): return self.root.locator(f'[data-key="{key}"]').first
    def put(self, key, value):
        "Set a control as a hand would; `value` is what the element takes"
        n = self.rev
        self.control(key).evaluate("""(e, v) => { if (e.type == 'checkbox') e.checked = v; else e.value = v;
            e.dispatchEvent(new Event(e.type == 'range' ? 'input' : 'change', {bubbles: true})) }""", value)
        return self.idle(n)
    def choose(self, key, label):
        n = self.rev; self.control(key).select_option(label=label); return self.idle(n)
    def click(self, key): n = self.rev; self.control(key).click(); return self.idle(n)
    def press(self, *keys): n = self.rev; [self.page.keyboard.press(k) for k in keys]; return self.idle(n)
    def reset(self):
        "As in the beginning; Python knows"
        self.front().click('reset'); return self.heard()
    def text(self, testid): return self.root.locator(f'[data-testid="{testid}"]').first.text_content()
    def fact(self, name): return self.root.locator(f'[data-fact="{name}"]').text_content()
    def labels(self): return self.root.locator('canvas[role=img]').evaluate_all("cs => cs.map(c => c.getAttribute('aria-label'))")
    def code(self):
        self.control('python').click()
        return self.text('code')
    def python(self, expression, heard=True):
        "Evaluate in the kernel of the notebook, when Python has heard what was changed in the page; the text of what it prints"
        if heard: self.heard()
        return self.page.evaluate(f"""async ([code, heard]) => {{ const k = {FRONT}.sessionContext.session.kernel; let out = '';
            if (heard) await k.requestExecute({{code: 'pass', silent: true}}).done;            // what a model holds back while the kernel works on its last message goes first
            const f = k.requestExecute({{code}}); f.onIOPub = m => {{ if (m.content.text) out += m.content.text; if (m.content.evalue) out += 'ERROR ' + m.content.evalue }}; await f.done; return out }}""", [expression, heard]).strip()
    def value(self, expression): return json.loads(self.python(f'import json; print(json.dumps({expression}))'))
    def show(self, code):
        "Show something else from Python"
        n = self.rev; out = self.python(f'w.show({code})'); assert 'ERROR' not in out, out
        return self.idle(n)
    def sentence(self, says): return self.wait("s => window.ax.querySelector('.ax-error').textContent.includes(s)", says)
    def playing(self, playing=True): return self.wait("p => window.ax.querySelector('audio').paused != p", playing)
    def pause(self): self.page.evaluate("window.ax.querySelector('audio')?.pause()")
    def end_kernel(self):
        "No kernel any more; what the page waits for it for 15 s it waits for 1.5 s"
        self.page.evaluate(f"() => {FRONT}.sessionContext.shutdown()")
        self.page.evaluate("() => { const timer = window.setTimeout; window.setTimeout = (f, ms, ...more) => timer(f, ms >= 5000 ? ms / 10 : ms, ...more); window.patient = () => { window.setTimeout = timer } }")
    def theme(self, name):
        "Light or Dark, and painted so"
        if self.page.evaluate('() => document.body.dataset.jpThemeName')==f'JupyterLab {name}': return self
        n = self.rev; self.page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: `JupyterLab ${t}`})", name)
        self.wait("([t, n]) => document.body.dataset.jpThemeName == `JupyterLab ${t}` && window.ax.classList.contains('ax-dark') == (t == 'Dark') && +window.ax.dataset.rev > n", [name, n])
        return self.idle()

# ---- what is asked of every window -------------------------------------------------------------------------------------------------------

PLAIN = 20                                                  # ms that the page's own front end takes for ten seconds of sound, and for a frame of the screen, where the bars are meant for

def slack(w):
    "What a bar in milliseconds is multiplied by: how much slower than `PLAIN` the same page computes a plain picture now; never under 1"
    from audiossl.explore.base import bundle               # here: torch is imported with it
    w.page.evaluate("async code => { window.twin ??= await import(URL.createObjectURL(new Blob([code], {type: 'text/javascript'}))) }", bundle('frontend.js'))
    ms = w.page.evaluate("""async () => { const x = Float32Array.from({length: 160000}, (_, i) => Math.sin(i)), res = [];
        for (let i = 0; i < 9; i++) { const t = performance.now(); await new Promise(requestAnimationFrame); twin.logMel(x); res.push(performance.now() - t) } return res }""")
    p50,key = statistics.median(ms),'a plain picture of ten seconds, worst p50 of 9, ms'
    REPORT[key] = max(round(p50, 1), REPORT.get(key, 0))
    return max(1, p50/PLAIN)

def within(w, got, bar, before=1):
    "Is `got` within `bar`, or within `bar` times `slack`? That is measured only where it matters; `before`: what it was before"
    return got<=bar or got<=bar*max(before, slack(w))

def echo(w):
    "How long the kernel takes to answer a request to do nothing, ms"
    res = w.page.evaluate(f"""async () => {{ const k = {FRONT}.sessionContext.session.kernel, res = [];
        for (let i = 0; i < 9; i++) {{ const t = performance.now(); await k.requestExecute({{code: 'pass', silent: true}}).done; res.push(performance.now() - t) }} return res }}""")
    REPORT['a message to the kernel and back, ms'] = res = round(statistics.median(res), 1)
    return res

def to_and_fro(control): return ('ArrowLeft','ArrowRight') if control.evaluate('e => +e.value >= +e.max') else ('ArrowRight','ArrowLeft')

def latency(w, name, act, bar=50, n=14):
    "From act `act(i)` to the painted picture, as the window measures it: the middle of `n` is within the bar; where the machine is busy, in one of three rounds"
    for k in range(3):
        ms,before = [],slack(w) if k else 1
        for i in range(n): rev = w.rev; act(i); w.idle(rev); ms.append(float(w.data('ms')))
        REPORT[f'{w.name}: {name}, p50 of {n}, ms'] = p50 = round(statistics.median(ms), 1)
        if within(w, p50, bar, before): return
    assert False, (name, p50, ms)

def latency_of(w, key, bar=50, **kw):
    "The same, of a slider by keys, as a person would"
    control = w.control(key); control.focus(); keys = to_and_fro(control)
    latency(w, key, lambda i: w.page.keyboard.press(keys[i%2]), bar, **kw)

def asked(w): return max(100, 4*echo(w))                     # the bar for what the kernel computes, ms

def sixty_events(w, key, value='lo + (hi - lo) * ((i * 37) % 60) / 59', keydown=None, paints=61):
    "Sixty in a second, of a slider or of a key: at most `paints` paints, which never go back, the last value is the one shown, and it is idle soon after; where the machine is busy, in one of three rounds. What the control says then"
    for _ in range(3):
        res = w.page.evaluate("""async ([key, value, down]) => { const root = window.ax, e = root.querySelector(`[data-key="${key}"]`), revs = [], lo = +e.min, hi = Math.min(+e.max, 100), at = Function('e, i, lo, hi', `return ${value}`);
            const seen = new MutationObserver(() => revs.push(+root.dataset.rev)); seen.observe(root, {attributes: true, attributeFilter: ['data-rev']});
            for (let i = 0; i < 60; i++) { if (down) e.dispatchEvent(new KeyboardEvent('keydown', {key: down, bubbles: true})); else { e.value = at(e, i, lo, hi); e.dispatchEvent(new Event('input', {bubbles: true})) }
                await new Promise(r => setTimeout(r, 1000 / 60)) }
            const last = performance.now(), want = e.getAttribute('aria-valuetext');
            while (root.dataset.state == 'busy' && performance.now() - last < 5000) await new Promise(r => setTimeout(r, 5));
            const ms = performance.now() - last; seen.disconnect();
            return {ms, revs, state: root.dataset.state, want, now: e.getAttribute('aria-valuetext'), value: e.value} }""", [key, value, keydown])
        REPORT[f'{w.name}: idle after 60 events of {key}, ms'] = round(res['ms'])
        assert res['revs']==sorted(res['revs']) and len(set(res['revs']))<=paints and res['want']==res['now'] and res['state']=='idle', res
        if within(w, res['ms'], 300): return res
    assert False, res

def walk(w, first='reset', before=('reset',), most=90, what='input:not([disabled]), select, button:not([disabled])'):
    "Tab reaches every control but those `before` the first; each has a name; pictures say what they show. What was reached, in order"
    w.control(first).focus(); seen = []
    for _ in range(most):
        w.page.keyboard.press('Tab')
        at = w.page.evaluate("() => { const e = document.activeElement; return window.ax.contains(e) ? e.dataset.key ?? e.dataset.testid ?? (e.dataset.error ? 'an error' : e.textContent.slice(0, 20)) : null }")
        if at is None: break
        seen.append(at)
    want = w.root.locator(what).evaluate_all("es => es.filter(e => e.offsetParent).map(e => e.dataset.key).filter(Boolean)")
    assert set(want)-set(seen)<=set(before), set(want)-set(seen)
    named = w.root.locator('input, select, button').evaluate_all("es => es.filter(e => !(e.labels?.[0]?.textContent || e.getAttribute('aria-label') || e.textContent.trim())).map(e => e.outerHTML)")
    assert named==[]
    assert all(len(o)>15 and any(c.isdigit() for c in o) for o in w.labels()), w.labels()
    return seen

def axe_source():
    "axe-core, from the npm cache of the site's tools; fetched there once if there is a network"
    import build_docs
    build_docs.NPM['axe'] = 'axe-core@4.14.1'
    try: return (build_docs.vendor_npm(build_docs.CACHE, ['axe'])['axe']/'axe.min.js').read_text(encoding='utf-8')
    except SystemExit: pytest.skip('axe-core is neither in the npm cache nor to be had from the registry')

def axe(w):
    "Serious and critical faults that axe finds in the window as it is"
    if not w.page.evaluate('() => !!window.axe'): w.page.evaluate(axe_source())
    return w.page.evaluate("async () => (await axe.run(window.ax)).violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => [v.id, v.impact, v.nodes.slice(0, 3).map(n => n.html.slice(0, 120))])")

def shoot(w, shots, name=None):
    "Pictures of the window, dark and light, where they are wanted"
    if not shots: return
    for t in ('Dark', 'Light'): w.theme(t).page.wait_for_timeout(500); w.root.screenshot(path=str(shots/f'window_{name or w.name}_{t.lower()}.png'))

def pictures(w): return w.root.locator('canvas[role=img]').evaluate_all("cs => cs.map(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return new Set(Array.from({length: 400}, (_, i) => d[(i * 4 * 997) % d.length])).size })")

def no_leak(w, turn, what, few=20, many=200):
    "`turn(n)` does something n times: after `few`, `many` more make page and kernel grow by at most 50 MB each"
    cdp = w.page.context.new_cdp_session(w.page)
    def used():
        cdp.send('HeapProfiler.collectGarbage')
        return cdp.send('Runtime.getHeapUsage')['usedSize']/1e6, float(w.python("import gc; gc.collect(); print([float(l.split()[1])/1e3 for l in open('/proc/self/status') if l.startswith('VmRSS')][0])"))
    turn(few); a = used()
    turn(many); w.idle(); b = used(); cdp.detach()
    REPORT[f'{w.name}: growth over {many} {what}, MB (page, kernel)'] = grown = [round(y-x, 1) for x,y in zip(a, b)]
    assert max(grown)<=50 and w.data('state')=='idle', grown

def chapter_is_live(lab, name):
    "The notebook about a window, run in JupyterLab: the window, no frame; small"
    try:
        assert lab.run_all(f'{name}.ipynb')==[]
        w = Window(lab.page, lab.faults, within=PANEL).idle(0); assert w.data('state')=='idle' and lab.page.locator(f'{PANEL}.jp-OutputArea-output iframe').count()==0 and lab.faults==[], lab.faults
        REPORT[f'{name}: saved with a live window, KB'] = size = len(json.dumps(lab.page.evaluate(f"() => {FRONT}.content.model.sharedModel.toJSON()")))//1000; assert size<1000
        return dict(verdict=w.data('verdict'))
    finally: lab.close(f'{name}.ipynb')

def stored_html(name):
    "The window that a notebook stores"
    nb = json.loads((ROOT/f'nbs/{name}.ipynb').read_text(encoding='utf-8'))
    html, = [''.join(o['data']['text/html']) for c in nb['cells'] for o in c.get('outputs', []) if '<iframe' in ''.join(o.get('data', {}).get('text/html', ''))]
    return html

@contextlib.contextmanager
def page_of(browser, file, html=None, width=1000, height=1000, still=False):
    "File `file` (with `html` in it, if given) in a page of its own; no fault, and no request to anybody, until the end. `still`: its clock stands"
    if html: file.write_text(f'<!doctype html><h1>stored</h1>{html.replace("loading=", "data-was=")}', encoding='utf-8')
    page = browser.new_page(viewport=dict(width=width, height=height)); faults,requests = listen(page),[]
    page.on('request', lambda r: requests.append(r.url) if urlsplit(r.url).scheme not in ('file','data','blob','about') else None)
    if still: page.clock.install()
    try:
        page.goto(file.as_uri()); page.faults = faults
        yield page
        assert faults==[] and requests==[], (faults, requests)
    finally: page.close()

def until(page, what, seconds=20):
    end = time.time()+seconds
    while not what() and time.time()<end: page.wait_for_timeout(30)
    assert what()

def stored_reacts(browser, name, tmp_path):
    "What the notebook stores, opened from a file: painted, reacting, silent towards the network"
    with page_of(browser, tmp_path/'a.html', stored_html(name)) as page:
        frame = page.frame_locator('iframe'); root = frame.locator('.ax'); root.wait_for()
        until(page, lambda: int(root.get_attribute('data-rev'))>0 and root.get_attribute('data-state')=='idle'); before = root.get_attribute('data-hash')
        frame.locator('input[type=range][data-key]:not([disabled]):not([data-key=position])').first.focus(); [page.keyboard.press('ArrowRight') for _ in range(12)]
        until(page, lambda: root.get_attribute('data-hash')!=before)
