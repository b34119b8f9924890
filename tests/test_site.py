"The site as a reader sees it: pages opened in a headless browser; links, pictures, sound, search, light and dark"
import functools, http.server, re, threading
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit
import pytest
from support import ROOT

class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass

def serve(folder):
    "An HTTP server for `folder` on a free port of loopback; close it with `shutdown`"
    s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s, f'http://127.0.0.1:{s.server_port}'

@pytest.fixture(scope='module')
def served(site):
    s,url = serve(site); yield url
    s.shutdown()

def pages(site): return sorted(o.relative_to(site).as_posix() for o in site.rglob('*.html') if 'site_libs' not in o.parts)

# ---- links -------------------------------------------------------------------------------------------------------------------------------

class _Links(HTMLParser):
    def __init__(self, text): super().__init__(); self.links,self.ids = [],set(); self.feed(text)
    def handle_starttag(self, tag, attrs):
        a = dict(attrs); self.ids |= {a[k] for k in ('id','name') if a.get(k)}
        if u := a.get('href') or a.get('src'): self.links.append(u)

def broken_links(site):
    "`page -> link` for each link within the site whose file, or whose place in the file, is not there"
    seen = {o: _Links((site/o).read_text(encoding='utf-8')) for o in pages(site)}; res = []
    for page,doc in seen.items():
        for u in doc.links:
            s = urlsplit(u)
            if s.scheme or s.netloc: continue
            f = (site/page).parent/unquote(s.path) if s.path else site/page
            if f.is_dir(): f = f/'index.html'
            if not f.exists(): res.append(f'{page} -> {u}'); continue
            rel = f.resolve().relative_to(site.resolve()).as_posix()
            if s.fragment and rel in seen and unquote(s.fragment) not in seen[rel].ids: res.append(f'{page} -> {u}')
    return res

def test_no_broken_links(site): assert broken_links(site) == []

def test_a_broken_link_is_seen(tmp_path):
    (tmp_path/'a.html').write_text('<a id="x" href="#x">here</a><a href="b.html">b</a><a href="#y">y</a><a href="https://example.com/none">far</a>')
    assert broken_links(tmp_path) == ['a.html -> b.html', 'a.html -> #y']

def test_a_page_for_each_notebook(site):
    names = {re.sub(r'^\d\d_', '', o.stem)+'.html' for o in (ROOT/'nbs').glob('*.ipynb') if not o.name.startswith(('_','.'))}
    assert names <= set(pages(site))

def test_no_links_spelled_out_in_code(site):
    assert [o for o in pages(site) for pre in re.findall(r'<pre.*?</pre>', (site/o).read_text(encoding='utf-8'), re.S) if '](http' in re.sub(r'<[^>]+>', '', pre)] == []

# ---- pages in a browser ------------------------------------------------------------------------------------------------------------------

def look(page, url):
    "Open `url`, scroll through it; what is wrong with it, one line each"
    faults, host = [], urlsplit(url).netloc
    page.on('console', lambda m: faults.append(f'console: {m.text}') if m.type=='error' else None)
    page.on('pageerror', lambda e: faults.append(f'error: {e}'))
    page.on('response', lambda r: faults.append(f'{r.status} for {r.url}') if r.status>=400 and not r.url.endswith('/favicon.ico') else None)
    def _route(r):
        if urlsplit(r.request.url).scheme in ('data','blob') or urlsplit(r.request.url).netloc==host: r.continue_()
        else: faults.append(f'asks another host: {r.request.url}'); r.abort()
    page.route('**/*', _route)
    page.goto(url); page.wait_for_load_state('networkidle')
    page.evaluate("async () => { for (const i of document.images) i.loading = 'eager'; await Promise.all([...document.images].map(i => i.decode().catch(() => 0))) }")
    faults += page.evaluate("() => [...document.images].filter(i => !i.naturalWidth).map(i => 'picture not shown: ' + (i.alt || i.src.slice(0, 80)))")
    faults += page.evaluate("""async () => (await Promise.all([...document.querySelectorAll('audio')].map(a => new Promise(ok => {
        if (a.readyState >= 1) return ok(a.duration > 0 ? null : 'silent player');
        a.onloadedmetadata = () => ok(a.duration > 0 ? null : 'silent player'); a.onerror = () => ok('player cannot load its sound');
        setTimeout(() => ok('player does not load'), 15000); a.preload = 'metadata'; a.load(); })))).filter(Boolean)""")
    if not page.locator('h1').count(): faults.append('no title')
    return faults

def test_every_page_in_the_browser(site, served, new_page, shots):
    res = {}
    for o in pages(site):
        page = new_page(color_scheme='light')
        if faults := look(page, f'{served}/{o}'): res[o] = faults
        if shots: page.screenshot(path=str(shots/f'site_{o[:-5].replace("/", "_")}.png'), full_page=True)
        page.close()
    assert not res, '\n'.join(f'{k}: {x}' for k,v in res.items() for x in v)

def test_a_bad_page_is_seen(tmp_path, new_page):
    (tmp_path/'a.html').write_text('<h2>x</h2><img src="none.png"><script src="https://example.com/x.js"></script><script>throw Error("oh")</script>')
    s,url = serve(tmp_path)
    try: faults = ' '.join(look(new_page(), f'{url}/a.html'))
    finally: s.shutdown()
    for o in ('404 for', 'picture not shown', 'asks another host', 'oh', 'no title'): assert o in faults

def test_search_finds(served, new_page, shots):
    page = new_page(); page.goto(f'{served}/audio.html')
    page.locator('#quarto-search input').press_sequentially('block_mask', delay=20)
    hit = page.locator('.smalldocs-search-results .search-result').first; hit.wait_for(timeout=20000)
    hrefs = page.locator('.smalldocs-search-results .search-result').evaluate_all('es => es.map(e => e.getAttribute("href"))')
    assert any('mask.html' in o for o in hrefs), hrefs
    if shots: page.screenshot(path=str(shots/'site_search.png'))
    hit.click(); page.wait_for_url(re.compile(r'\.html'))

def contrast(page, selector):
    "The least contrast of the text that `selector` finds against what is behind it (WCAG: 4.5 is readable)"
    return page.evaluate("""sel => { const lum = c => { const v = c.map(x => x/255).map(x => x <= .03928 ? x/12.92 : ((x+.055)/1.055)**2.4); return .2126*v[0]+.7152*v[1]+.0722*v[2] };
        const rgb = s => s.match(/[\\d.]+/g).map(Number);
        const back = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > .5) return c.slice(0,3) } return [255,255,255] };
        return Math.min(...[...document.querySelectorAll(sel)].filter(e => e.offsetParent && e.innerText.trim()).map(e => {
            const a = lum(rgb(getComputedStyle(e).color).slice(0,3)), b = lum(back(e)); return (Math.max(a,b)+.05)/(Math.min(a,b)+.05) })) }""", selector)

@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_is_readable(served, new_page, shots, scheme):
    page = new_page(color_scheme=scheme); page.goto(f'{served}/audio.html'); page.wait_for_load_state('networkidle')
    if shots: page.screenshot(path=str(shots/f'site_{scheme}.png'))
    for o in ('main p', '#quarto-sidebar a', 'main h1'): assert contrast(page, o) > 4.5, o

def test_a_phone_can_read_it(served, new_page, shots):
    page = new_page(width=390, height=800); page.goto(f'{served}/logmel.html'); page.wait_for_load_state('networkidle')
    if shots: page.screenshot(path=str(shots/'site_phone.png'))
    assert page.evaluate('document.documentElement.scrollWidth') <= 400
