"The dataset browser in a real JupyterLab, in a headless browser: what is listed, how fast, by keys alone, what is fetched, with bad input; and without a kernel"
import json, statistics
import pytest
from lab import REPORT, Window, asked, axe, chapter_is_live, latency, latency_of, no_leak, page_of, shoot, sixty_events, walk, within
from test_explore import HOSTILE
from test_explore_dataset import mess
from audiossl.datasets import prepare_store
from audiossl.datasets.catalogue import catalogue_of
from audiossl.explore.dataset import rows_of

CELLS = ['import json, torch\nfrom dataclasses import replace\nfrom audiossl.audio import example\nfrom audiossl.datasets.catalogue import *\nfrom audiossl.datasets.registry import Entry, FileDataset\nfrom audiossl.explore import DatasetBrowser\nfrom audiossl.explore.base import picture_hash\n'
         'c = catalogue_of("minisounds"); two = lambda x: [x[i%len(c)] for i in range(2000)]\n'
         'many = replace(c, name="many", keys=[f"{i:04}/{k}" for i,k in enumerate(two(c.keys))], wave=lambda i, most=None: c.wave(i%len(c), most), marks=list(range(2000)),\n'
         '    **{k: two(getattr(c, k)) for k in ("labels","splits","folds","seconds","rates","sources")})',
         'w = DatasetBrowser(many)\nw']
NAME = '68_explore_dataset'

@pytest.fixture(scope='module')
def opened(lab):
    "The window, and beside its notebook a store with its problems"
    mess(lab.nbs/'mess'); prepare_store('audiofolder', lab.nbs/'mess', lab.nbs/'store', processes=0, on_bad='skip', max_bad=.5)
    lab.open('_dataset.ipynb', *CELLS); lab.run(0)
    yield lab.window(1, 'dataset')
    lab.close('_dataset.ipynb')

@pytest.fixture
def w(opened):
    "The window with 2,000 rows, as it was in the beginning"
    w = opened.front()
    if w.fact('dataset')!='many' or w.data('state')=='error': w.show('many')
    return w.reset()

def tab(w, k): return w.click(f'tab-{k}')
def rows(w): return w.root.locator('[data-testid=table] .ax-rows [role=row]')
def keys(w, n=20): return w.root.locator('[data-testid=table] .ax-rows [role=row]').evaluate_all("es => es.map(e => e.children[1].textContent)")[:n]

def test_opens_and_paints(w, shots):
    assert w.data('state')=='idle' and w.text('error')=='' and w.fact('sounds')=='2,000' and within(w, w.first, 2000), w.first
    assert w.data('hash')==w.python('print(picture_hash(w.picture()))')
    shoot(w, shots)
    assert w.faults==[], w.faults

def test_counts_are_those_of_the_library(w):
    "(a) beside a plain count, for the whole and for what is listed; the picture has the library's hash"
    bars = lambda: {e[0]: int(e[1].split(' of ')[0].replace(',', '')) for e in w.root.locator('[data-testid=bars] [role=option]').evaluate_all("es => es.map(e => [e.children[0].textContent, e.lastChild.textContent])")}
    counts = lambda: {k: v for k,v in w.value('dict(w.cat.counts(w.rows()))').items()}
    assert bars()==counts() and sum(bars().values())==2000
    for key,v in (('text','flute'), ('shortest',.7)):
        (w.put(key, v) if key!='text' else type_text(w, v)).heard()
        assert {k: v for k,v in bars().items() if v}==counts() and w.data('hash')==w.python('print(picture_hash(w.picture()))'), key

AT = "window.ax.querySelector('[role=row][aria-selected=true]')?.dataset.at"
def has_sound(w): return w.wait(f"() => window.ax.dataset.state == 'idle' && window.ax.querySelector('audio').dataset.name?.endsWith(' ' + {AT})")
def type_text(w, text): n = w.rev; w.control('text').fill(text); return w.idle(n)

def test_two_thousand_rows(w):
    "(b) a filter within 100 ms; only the rows in sight are in the page, only the chosen sounds come from the kernel"
    ms = []
    for text in ('flute', 'flut', 'kick', 'zzz', 'speech', '', '0', '00', 'animal', '', 'organ', 'or'):
        type_text(w, text); ms.append(float(w.data('ms')))
        assert int(w.data('listed'))==len(w.value(f'[i for i in rows_of_(w.cat, text={text!r})]'.replace('rows_of_', '__import__("audiossl.explore.dataset", fromlist=["x"]).rows_of')))
        assert rows(w).count()<=20
    type_text(w, '')
    REPORT['dataset: filter of 2,000 rows, worst of 12, ms'] = max(ms); REPORT['dataset: filter of 2,000 rows, p50, ms'] = statistics.median(ms)
    assert within(w, statistics.median(ms), 100), ms
    before = w.value('len(w.fetched)'); grid = w.root.locator('[data-testid=table]')
    for at in (5000, 20_000, 50_000): grid.evaluate('(e, y) => { e.scrollTop = y }', at); w.page.wait_for_timeout(120); assert rows(w).count()<=20
    assert keys(w)[0].startswith('17') and w.value('len(w.fetched)')==before           # nothing is fetched for rows that pass by
    n = w.rev; rows(w).nth(5).click(); w.idle(n); has_sound(w)
    assert w.value('len(w.fetched)')==before+1 and w.value('w.fetched[-1]')==w.value("w.values['row']")

def test_a_bar_filters(w):
    "(c) by mouse and by keys; the select says the same"
    bar = w.root.locator('[data-testid=bars] [role=option]').nth(3); name = bar.locator('.ax-bar-name').text_content()
    n = w.rev; bar.click(); w.idle(n).heard()
    assert int(w.data('listed'))==w.value(f'w.cat.counts()[{name!r}]') and w.value('w.values["label"]')==name and bar.get_attribute('aria-selected')=='true'
    assert w.control('label').evaluate('e => e.selectedOptions[0].textContent')==name
    n = w.rev; bar.click(); w.idle(n); assert int(w.data('listed'))==2000
    box = w.root.locator('[data-testid=lengths]'); b = box.bounding_box(); inner = b['width']-54-14; n = w.rev
    w.page.mouse.move(b['x']+54+inner*.2, b['y']+40); w.page.mouse.down(); w.page.mouse.move(b['x']+54+inner*.3, b['y']+40, steps=3); w.page.mouse.up(); w.idle(n)
    lo,hi = w.value('[w.values["shortest"], w.values["longest"]]'); assert 0<lo<hi<9 and int(w.data('listed'))==w.value('len(w.rows())')<2000
    w.click('clear'); assert int(w.data('listed'))==2000

def test_sorting(w):
    for key,first in (('seconds',None), ('key','0000'), ('key','1999')):
        w.click(f'sort-{key}')
        if first: assert keys(w)[0].startswith(first)
    assert w.root.locator('[role=columnheader][aria-sort=descending]').count()==1
    w.click('sort-key'); assert w.value('w.values["sort"]')=='' and w.data('hash')==w.python('print(picture_hash(w.picture()))')

def test_listening_through_by_keys(w):
    "(f) arrows choose, space plays and stops, the sound is the library's; with the tick, each chosen sound plays"
    w.control('table').focus(); audio = lambda k: w.page.evaluate(f"window.ax.querySelector('audio').{k}"); ms = []
    for i in range(12):
        w.page.keyboard.press('ArrowDown')
        has_sound(w); ms.append(float(w.data('ms')))
    REPORT['dataset: next sound, key to picture, p50 of 12, ms'] = p50 = statistics.median(ms); assert within(w, p50, asked(w)), ms
    assert audio('paused') and w.value('w.fetched[-1]')==12 and 'animal' in w.text('about')
    w.page.keyboard.press(' '); w.playing(); assert abs(audio('duration')-w.value('w.cat.seconds[12]'))<.01
    w.page.keyboard.press(' '); w.playing(False)
    w.put('through', True); w.control('table').focus(); n = w.rev; w.page.keyboard.press('ArrowDown')
    w.wait("() => !window.ax.querySelector('audio').paused && window.ax.querySelector('audio').dataset.name.endsWith(' 13')")
    w.wait("() => window.ax.querySelector('audio').dataset.name.endsWith(' 14')", timeout=8)     # and goes on by itself
    w.put('through', False); w.control('table').focus(); w.page.keyboard.press('End'); has_sound(w); assert w.page.evaluate("window.ax.querySelector('audio').paused")
    assert w.page.locator('[data-testid=table]').get_attribute('aria-activedescendant').endswith('-1999') and keys(w)[-1].startswith('1999')

def test_problems_overlaps_and_checksums(w, lab, shots):
    "(d) each skipped input with file, reason, fix; (e) the matrix, and what a click on it lists; (g) the state of the checksums, compared again by the button"
    w.show("'store'"); report_ = json.loads((lab.nbs/'store/report.json').read_text()); tab(w, 'problems')
    cells = w.root.locator('[data-testid=problems] .ax-rows [role=row]').evaluate_all("es => es.map(e => [...e.children].map(c => c.textContent))")
    assert [c[0] for c in cells]==[s['source'] for s in report_['skips']] and all(c[1].startswith(s['reason']) and len(c[2])>8 for c,s in zip(cells, report_['skips'])) and len(cells)==3
    assert 'every byte as it was written' in w.text('state') and 'every byte as it was written' in w.fact('checksums') and 'Problems (3)' in w.control('tab-problems').text_content()
    if shots: w.root.screenshot(path=str(shots/'window_dataset_problems.png'))
    tab(w, 'overlaps'); assert '1 sound of test is in train too' in w.text('verdict')
    numbers = w.root.locator('[data-testid=matrix-sound-split] tbody tr').evaluate_all("es => es.map(e => [...e.querySelectorAll('td')].map(c => +c.textContent))")
    assert numbers==w.value("overlaps(w.cat)[1].tolist()")==[[2,0,1],[0,0,0],[1,0,0]]
    if shots: w.root.screenshot(path=str(shots/'window_dataset_overlaps.png'))
    w.click('overlap-sound-split-test-train')
    assert sorted(keys(w))==['test/animal/6.ogg','train/animal/0.ogg'] and 'test and train share' in w.text('listed') and '= train: ' in w.root.locator('[data-testid=table]').text_content()
    assert w.data('hash')==w.python('print(picture_hash(w.picture()))')
    shard = next((lab.nbs/'store').glob('train-*.arrow')); raw = bytearray(shard.read_bytes()); broken = bytearray(raw)
    from audiossl.datasets import Store
    from audiossl.shards import Shard
    e = next(e for e in Store(lab.nbs/'store').meta['shards'] if e['file']==shard.name); broken[int(Shard(shard, e).start[3])+90] ^= 1
    with open(shard, 'r+b') as f: f.write(broken)
    try:
        tab(w, 'problems'); w.control('verify').click(); w.wait("() => window.ax.querySelector('[data-testid=state]').textContent.includes('1 fault')"); assert 'is damaged' in w.root.locator('[data-testid=problems]').text_content()
        tab(w, 'sounds'); w.click('clear')
        bad = w.value('w.cat.keys.index(Store_.split("train").record(3)["key"])'.replace('Store_', '__import__("audiossl.datasets.store", fromlist=["x"]).Store("store")'))
        picture = w.root.locator('[data-testid=picture] canvas').first.get_attribute('aria-label'); w.python(f'w.update(row={bad})')
        w.sentence('is damaged')
        assert w.root.locator('[data-testid=picture] canvas').first.get_attribute('aria-label')==picture                    # the last good picture
    finally: shard.write_bytes(raw)

def test_sixty_events_in_a_second_end_with_the_last(w):
    for key,event in (('shortest', None), ('table', 'ArrowDown')):
        sixty_events(w, key, '+e.max * ((i * 37) % 60) / 59' if event is None else '0', event, paints=999)
        assert w.heard().data('hash')==w.python('print(picture_hash(w.picture()))')
        if event: assert w.value('w.values["row"]')==w.page.evaluate("+window.ax.querySelector('audio').dataset.name.split(' ')[1]")
        w.click('clear')

@pytest.mark.parametrize('key', ['shortest', 'text'])
def test_latency_of_controls(w, key):
    if key=='shortest': latency_of(w, key)
    else: w.control(key).focus(); latency(w, key, lambda i: w.page.keyboard.press('Backspace' if i%2 else 'a'))

def test_by_keys_alone(w):
    "Tab reaches everything, each has a name; arrows in the bars and the tabs; the pictures say what they show"
    walk(w, what='input:not([disabled]), select:not([disabled]), button:not([disabled]), [role=grid], [role=listbox]')
    w.control('bars').focus(); w.press('ArrowDown', ' '); assert int(w.data('listed'))<2000
    name = w.root.locator('[data-testid=bars] [aria-selected=true] .ax-bar-name').text_content(); assert w.value('w.values["label"]')==name
    w.control('tab-sounds').focus(); w.press('ArrowRight'); assert w.root.locator('[data-testid=view-problems]').is_visible(); w.press('Home')
    before = w.control('longest').get_attribute('aria-valuetext'); w.control('longest').focus(); w.press('ArrowLeft'); assert w.control('longest').get_attribute('aria-valuetext')!=before

@pytest.mark.parametrize('theme', ['Dark', 'Light'])
def test_axe_finds_nothing_serious(w, theme):
    w.show("'store'"); w.theme(theme).code()
    for k in ('sounds', 'problems', 'overlaps'): assert axe(tab(w, k))==[], k

def test_hostile_names_are_text(w):
    w.show(f'FileDataset([Entry(k, example("kick"), (i,)) for i,k in enumerate({HOSTILE!r})], {HOSTILE!r})')
    w.control('table').focus(); w.page.keyboard.press('ArrowDown'); has_sound(w)
    assert w.page.evaluate('window.hacked ?? null') is None and w.root.locator('img, script').count()==0 and keys(w)==HOSTILE and w.faults==[]

def test_bad_input_is_one_sentence_and_the_picture_stays(w, lab):
    hash_ = w.data('hash'); (lab.nbs/'nothing').mkdir(exist_ok=True)
    for bad,says in [("'nothing/'", 'neither a store nor a folder of sounds'), ("'no/where'", 'no such folder'), ('FileDataset([])', 'there is no sound in it'), ("'us8q'", 'did you mean'), ('3', 'is needed')]:
        w.python(f'w.show({bad})'); w.sentence(says)
        assert w.data('state')=='error' and w.data('hash')==hash_ and '\n' not in w.text('error')
    w.show("'mess'"); assert w.data('state')=='idle' and w.fact('left out')=='3'
    w.python('w.cat.wave = lambda i, most=None: (_ for _ in ()).throw(ValueError("it broke off"))'); w.control('table').focus(); w.page.keyboard.press('ArrowDown')
    w.sentence('it broke off'); label = w.root.locator('[data-testid=picture] canvas').first.get_attribute('aria-label'); assert 'Mel spectrogram' in label

def test_copied_python_lists_the_same(w):
    w.show("'minisounds_octave'"); type_text(w, 'keys'); w.click('sort-seconds'); scope = {}; exec(w.code(), scope)
    assert scope['rows']==w.value('w.rows()') and len(scope['wave'])>0

def test_two_hundred_sounds_do_not_leak(w):
    def turn(n):
        w.control('table').focus()
        assert w.page.evaluate("""async n => { const root = window.ax, grid = root.querySelector('[data-key=table]'), audio = root.querySelector('audio');
            for (let i = 0; i < n; i++) { grid.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true})); const since = performance.now();
                do { await new Promise(r => setTimeout(r, 4)) } while (performance.now() - since < 20000 &&
                    !(root.dataset.state == 'idle' && audio.dataset.name.endsWith(' ' + grid.querySelector('[role=row][aria-selected=true]')?.dataset.at))) }
            return root.dataset.state }""", n)=='idle'
    no_leak(w, turn, 'sounds', few=30); assert w.value('len(w.fetched)')>=200

def test_notebook_shows_its_window_live(lab): chapter_is_live(lab, NAME)

def test_stored_window_reacts_and_plays_without_a_kernel(browser, tmp_path):
    from audiossl.explore.dataset import DatasetBrowser
    DatasetBrowser('minisounds').save(tmp_path/'a.html'); assert (tmp_path/'a.html').stat().st_size<1_000_000
    with page_of(browser, tmp_path/'a.html', height=1100) as page:
        w = Window(page, page.faults, 'dataset').idle(0); first = w.data('hash')
        type_text(w, 'flute'); cat = catalogue_of('minisounds'); assert int(w.data('listed'))==len(rows_of(cat, text='flute')) and w.data('hash')!=first
        type_text(w, ''); w.control('table').focus(); page.keyboard.press(' '); w.playing()
        page.keyboard.press('End'); page.keyboard.press(' '); w.sentence('holds a few sounds only')

def test_a_kernel_that_is_gone_is_one_sentence(browser, tmp_path):
    "the page asks for a sound and nobody answers: the table goes on, the sentence comes"
    from audiossl.explore.dataset import DatasetBrowser
    DatasetBrowser('minisounds_octave').save(tmp_path/'a.html'); text = (tmp_path/'a.html').read_text(encoding='utf-8'); assert 'isStatic: true' in text
    (tmp_path/'a.html').write_text(text.replace('isStatic: true', 'isStatic: false'), encoding='utf-8')
    with page_of(browser, tmp_path/'a.html', height=1100, still=True) as page:
        page.clock.run_for(2000); w = Window(page, page.faults, 'dataset'); assert w.data('state')=='busy' and w.text('error')==''; page.clock.run_for(15_000)
        assert w.text('error')=='The kernel does not answer; the last picture is kept.' and w.data('state')=='error'
        w.control('text').fill('keys'); page.clock.run_for(500); assert 0<int(w.data('listed'))<277
