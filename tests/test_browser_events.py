"The event viewer in a real JupyterLab: counts and curves beside the library's, errors that are heard, how fast, by keys alone, with bad input; and without a kernel"
import json
import numpy as np, pytest
from lab import axe, chapter_is_live, latency_of, no_leak, pictures, shoot, sixty_events, stored_reacts, walk, within
from test_explore import HOSTILE
from audiossl.downstream.psds import PSDS1, intersection_counts
from audiossl.explore.events import exam_of, made_scenes

NAME = '67_explore_events'
HEAD = '''import json, numpy as np, torch
from audiossl.explore import EventViewer
from audiossl.explore.base import picture_hash
from audiossl.explore.events import made_scenes
d = made_scenes()
say = lambda v: print(json.dumps([v.counts().tp.tolist(), v.counts().fp.tolist(), (v.counts().n_ref-v.counts().tp).tolist(), float(v.psds()), picture_hash(v.picture())]))
w = EventViewer(**d, e_max=2000)'''

@pytest.fixture(scope='module')
def opened(lab):
    lab.open('_events.ipynb', HEAD, 'w'); lab.run(0)
    yield lab.window(1, 'events')
    lab.close('_events.ipynb')

@pytest.fixture
def window(opened):
    "The window as it was at first, with curves up to 2,000 false alarms"
    w = opened.front()
    w.python("w.show(**d); w.update(sound='scene 1')"); w.pause(); w.reset(); w.put('e_max', 4); w.page.mouse.move(2, 2)
    return w.heard()

def page_says(w): return [*json.loads(w.data('counts')), float(w.data('psds')), w.data('hash')]
def python_says(w): return json.loads(w.python('say(w)'))
def errors(w): return w.root.locator('[data-testid=errors] tbody tr').evaluate_all("rs => rs.map(r => [...r.children].map(c => c.textContent))")

# ---- as every window ---------------------------------------------------------------------------------------------------------------------

def test_opens_and_paints(window, shots):
    w = window
    assert w.data('state')=='idle' and w.text('error')=='' and w.faults==[], w.faults
    assert within(w, w.first, 2000), w.first
    assert all(n>3 for n in pictures(w)) and len(pictures(w))==4 and w.data('hash')==w.python('print(picture_hash(w.picture()))')
    if shots:
        w.choose('sound', 'scene 7'); w.put('window', 2)
        shoot(w, shots)

@pytest.mark.parametrize('key', ['threshold', 'window', 'e_max'])
def test_latency_of_controls(window, key):
    "(a) from the key to the painted picture: six clips of ten seconds, ten classes"
    w = window; w.show("**made_scenes(6, 10., ('animal','brass','choir','cymbal','flute','kick','plucked','snare','speech','vehicle_machine'))")
    latency_of(w, key)

def test_sixty_events_in_a_second_end_with_the_last(window):
    w = window; res = sixty_events(w, 'threshold', '((i * 37) % 60) / 60')
    assert page_says(w.heard())==python_says(w) and w.python("print(w.values['threshold'])")==f'{float(res["value"]):g}'

def test_by_keys_alone(window):
    "Tab reaches every control, and one error of the list; each has a name; pictures say what they show"
    w = window; w.choose('cls', 'kick')
    seen = walk(w); assert seen.count('an error')==1 and {'counts','errors'}<=set(seen)
    control = w.control('threshold'); before = control.get_attribute('aria-valuetext'); control.focus(); w.press('ArrowRight')
    assert control.get_attribute('aria-valuetext')=='Threshold 0.51'!=before

@pytest.mark.parametrize('theme', ['Dark', 'Light'])
def test_axe_finds_nothing_serious(window, theme): window.theme(theme).code(); assert axe(window)==[]

def test_hostile_names_are_text(window):
    "of clips and of classes"
    w = window; n = w.rev
    out = w.python(f'h = {HOSTILE!r}; w.show({{n: torch.rand(8000)-.5 for n in h}}, {{n: np.eye(len(h)).repeat(2, 0) for n in h}}, {{n: [(c, .1, .2) for c in h] for n in h}}, None, h); print(repr(w.error))')
    w.idle(n)
    assert out=="''" and w.page.evaluate('window.hacked ?? null') is None and w.root.locator('img, script').count()==0
    assert HOSTILE[0] in w.text('errors') and HOSTILE[0] in w.text('counts') and HOSTILE[1] in w.root.text_content()
    for name in HOSTILE: n = w.rev; w.control('cls').select_option(index=1+HOSTILE.index(name)); w.idle(n)
    w.put('own', 2); assert json.loads(w.python('print(json.dumps(w.values["windows"]))'))=={HOSTILE[-1]: 3}
    assert w.data('state')=='idle' and w.faults==[], w.faults

def test_bad_input_is_one_sentence_and_the_picture_stays(window):
    w = window; hash_ = w.data('hash')
    for bad,says in [("scores={'a': np.zeros((9,1))}, durations={'a': 2.}, classes='x'", '9 frames of 0.04 s for 2 s'), ("scores={'a': np.full((50,1), np.nan)}, classes='x'", 'is nan in frame 0'),
                     ("scores={'a': np.zeros((50,1))}, truth={'a': [('dog',0,1)]}, classes='x'", 'a class without scores'), ("scores={'a': np.zeros((50,1))}, durations={'b': 1.}, classes='x'", 'durations: a has scores, but no row'),
                     ("'no/such.wav'", 'no such file'), ("torch.tensor([1., float('nan')])", 'NaN or infinite'), ('[]', 'the list is empty')]:
        w.python(f'w.show({bad})'); w.sentence(says)
        assert w.data('state')=='error' and w.data('hash')==hash_ and '\n' not in w.text('error')
    for odd in ('torch.zeros(16_000)', 'torch.ones(1)', 'torch.rand(2, 40_000)-.5', 'torch.rand(16_000*40)-.5'):           # silent, one sample, stereo, long; no scores, no truth
        w.show(odd)
        assert 'no scores' in w.text('note') and w.data('state')=='idle' and 'undefined' not in w.root.text_content() and 'NaN' not in w.root.text_content(), w.text('error')
    assert w.faults==[], w.faults

def test_no_leaks(window):
    "200 changes: the kernel and the page grow by at most 50 MB each"
    w = window
    def turn(n):
        for k in range(n//20): r = w.rev; w.python(f"for i in range(20): w.update(threshold=(i*7%20)/20+.01, window=[1,5,9][(i+{k})%3], sound=f'scene {{1+i%8}}')"); w.idle(r)
    no_leak(w, turn, 'changes')

def test_notebook_and_stored_page(lab, browser, tmp_path):
    stored_reacts(browser, NAME, tmp_path); chapter_is_live(lab, NAME)

# ---- its own -----------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('matching,window_,own', [(0, 0, None), (1, 3, ('kick', 2))])
def test_counts_and_figure_equal_python_at_11_thresholds(window, matching, window_, own):
    "(a), (b): right, false and missed of each class, PSDS, and the hash of what is drawn; (c) the ring moves"
    w = window; n = w.rev; w.control('matching').select_option(index=matching); w.idle(n); w.put('window', window_); w.choose('sound', 'scene 3')
    if own: w.choose('cls', own[0]); w.put('own', own[1]); w.choose('cls', 'all classes'); w.choose('scenario', 'PSDS2: which class')
    rings = []
    for k in range(11):
        w.put('threshold', k/10)
        mine,want = page_says(w),python_says(w); assert mine[:3]==want[:3] and abs(mine[3]-want[3])<1e-9 and mine[4]==want[4], (k, mine, want)
        rings.append(json.loads(w.data('point'))); label = w.root.locator('[data-testid=roc] canvas').first.get_attribute('aria-label')
        assert f'threshold {k/10:.2f}' in label and f'{rings[-1]["y"]:.2f} found' in label
    assert len({(p['x'],p['y']) for p in rings})>=6 and rings[2]['x']>rings[9]['x']
    if not own:
        given = {k: v for k,v in made_scenes().items() if k!='sounds'}
        for t,p in ((.3, rings[3]), (.7, rings[7])):
            e = exam_of(**given); tp,fp,_ = intersection_counts(e, t, PSDS1.dtc, PSDS1.gtc); share = tp/e.n_ref
            assert p['x']==pytest.approx(3600*fp.mean()/e.seconds) and p['y']==pytest.approx(max(0, share.mean()-share.std()))

def test_errors_are_heard(window):
    "(d) a click, or Enter, plays an error with half a second on both sides, in its clip; a click on its bar does, too"
    def plays(at, long=None): return window.wait("""([a, b]) => { const p = (window.ax.dataset.played ?? '').split(',').map(Number); return Math.abs(p[0] - a) < .011 && (b === null || Math.abs(p[1] - b) < .021) }""",
        [max(0, at-.5), None if long is None else min(2, at+long+.5)])
    w = window; rows = errors(w); _,fp,fn = json.loads(w.data('counts')); assert len(rows)==sum(fp)+sum(fn)>4
    i = next(i for i,r in enumerate(rows) if r[3]!='scene 1'); at,long = float(rows[i][0].split()[1]),float(rows[i][4].split()[0])
    w.root.locator('[data-testid=errors] tbody tr').nth(i).click(); plays(at, long).playing().heard(); a,b = map(float, w.data('played').split(',')); assert w.data('loop')==w.data('played')
    now = w.page.evaluate("() => { const o = window.ax.querySelector('audio'); return [o.currentTime, o.paused, o.dataset.name] }"); assert a<=now[0]<=b+.1 and not now[1] and now[2]==rows[i][3], now
    assert w.root.locator('[aria-current=true]').count()==1 and w.control('sound').evaluate('e => e.selectedOptions[0].text')==rows[i][3]
    w.root.locator('[data-testid=errors] tbody button').nth(i).focus(); [w.page.keyboard.press(k) for k in ('Home', 'ArrowDown', 'Enter')]
    plays(float(rows[1][0].split()[1]), float(rows[1][4].split()[0])).heard()
    assert w.page.evaluate("() => document.activeElement.dataset.error")==w.root.locator('[aria-current=true] button').get_attribute('data-error')
    w.choose('sound', 'scene 3'); w.control('whole').click(); r = next(r for r in errors(w) if r[3]=='scene 3' and r[1]=='false alarm'); at,long = float(r[0].split()[1]),float(r[4].split()[0])
    box = w.root.locator('[data-testid=bars]'); box.scroll_into_view_if_needed(); b = box.bounding_box(); inner = b['width']-104-62; row = ['brass','flute','kick','speech'].index(r[2])
    w.page.mouse.click(b['x']+104+inner*(at+long/2)/2, b['y']+8+34*(row+.75))
    plays(at)
    w.page.mouse.move(b['x']+104+inner*(at+long/2)/2, b['y']+8+34*(row+.75)); assert r[2] in w.text('readout') and 'detected' in w.text('readout')
    w.pause()

def test_errors_are_sorted(window):
    "(e) by class and by the rest, up and down, by keys; a class can be chosen"
    w = window; head = lambda k: w.root.locator(f'[data-key=sort-{k}]')
    for key,col,num in (('class', 2, False), ('length', 4, True), ('score', 5, True), ('kind', 1, False), ('clip', 3, False), ('time', 0, True)):
        for _ in range(2):
            n = w.rev; head(key).focus(); w.page.keyboard.press('Enter'); w.idle(n); rows = [r[col].removeprefix('▶ ') for r in errors(w)]; got = [float(o.split()[0]) if num else o for o in rows]
            down = head(key).evaluate('e => e.closest("th").ariaSort')=='descending'; assert got==sorted(got, reverse=down) and len(set(got))>1, (key, got)
            assert w.page.evaluate('() => document.activeElement.dataset.key')==f'sort-{key}'
    w.choose('cls', 'flute'); assert {r[2] for r in errors(w)}=={'flute'}
    n = w.rev; w.control('errors').select_option(index=1); w.idle(n); assert {r[3] for r in errors(w)}<={'scene 1'}

def test_odd_truth_breaks_nothing(window):
    "(f) no event, events that overlap, events of no length"
    w = window
    for truth,says in (('None', 'no true event'), ("{'a': [('x',.1,.9), ('x',.5,1.2), ('y',.4,1.), ('y',.7,.7)]}", 'has no length')):
        n = w.rev; w.python(f"w.show(None, {{'a': np.tile([[.6,.9]], (50,1))}}, {truth}, None, ['x','y'])"); w.idle(n)
        assert says in w.text('note') and w.data('state')=='idle' and 'no sound' in w.root.locator('[data-testid=mel] canvas').first.get_attribute('aria-label')
        w.put('threshold', .95); w.put('threshold', .2); n = w.rev; w.control('matching').select_option(index=1); w.idle(n); w.choose('scenario', 'PSDS2: which class')
        assert w.data('state')=='idle' and 'NaN' not in w.root.text_content() and 'undefined' not in w.root.text_content()
        w.root.locator('[data-testid=errors] tbody tr').first.click(); w.wait("() => window.ax.querySelector('[data-testid=readout]').textContent.includes('no sound')")
    assert w.faults==[], w.faults

def test_python_and_page_agree_on_settings(window):
    w = window; n = w.rev; w.python("w.update(threshold=.3, windows={'flute': 13}, cls='flute')"); w.idle(n)
    assert w.control('threshold').get_attribute('aria-valuetext')=='Threshold 0.30' and '13 frames' in w.control('own').get_attribute('aria-valuetext') and page_says(w)==python_says(w)
    w.control('own').focus(); w.press('Home'); assert w.python('print(w.values["windows"], w.window)')=='{} [1, 1, 1, 1]'

@pytest.mark.parametrize('changes', [{}, dict(threshold=.7, window=3)])
def test_copied_python_makes_these_counts(window, changes):
    w = window
    for k,v in changes.items(): w.put(k, v)
    scope = dict(given=made_scenes()); exec(w.code(), scope); tp,fp,fn = json.loads(w.data('counts'))
    assert (scope['counts'].tp.tolist(),scope['counts'].fp.tolist(),(scope['counts'].n_ref-scope['counts'].tp).tolist())==(tp,fp,fn) and abs(float(scope['psds'])-float(w.data('psds')))<1e-9
