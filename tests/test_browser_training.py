"The training monitor in a real JupyterLab, in a headless browser: live runs, long runs, stopping, keys, bad input; and without a kernel"
import statistics
import pytest
from lab import REPORT, axe, chapter_is_live, latency_of, no_leak, page_of, shoot, sixty_events, stored_html, until, walk, within
from test_explore import HOSTILE

NAME = '66_explore_training'
HEAD = '''import threading, time
import numpy as np
from pathlib import Path
from audiossl.explore import TrainingMonitor, plot_training
from audiossl.explore.base import picture_hash
from audiossl.vitals import SIGNS, Signs, Vitals
rng = np.random.default_rng(0)
def row(k, teacher=.05): return dict(step=k, steps=500, loss=.3+1.7*.98**k+.02*rng.random(), std_student=.03+.01*rng.random(), std_teacher=teacher+.001*rng.random(), lr=1e-3*.99**k, wd=.04+1e-4*k, ema=.99, clips_per_s=90.)
good,bad = [row(k) for k in range(1, 301)],[row(k, .05*.95**k) for k in range(1, 201)]
Path('run').mkdir(exist_ok=True); Path('run/curve.csv').write_text('step,loss,std_student,std_teacher\\n'+''.join(f'{r["step"]},{r["loss"]},{r["std_student"]},{r["std_teacher"]}\\n' for r in good[:50]))
def fresh(): return {'first run': good, 'second run': bad}'''
CELL = 'w = TrainingMonitor(fresh())\nw'

@pytest.fixture(scope='module')
def opened(lab):
    lab.open('_training.ipynb', HEAD, CELL); lab.run(0)
    yield lab.window(1, 'training')
    lab.close('_training.ipynb')

@pytest.fixture
def w(opened):
    "The window as it was opened"
    w = opened.front(); w.python('w.show(fresh())'); w.reset(); w.page.mouse.move(5, 5)
    return w.idle()

def test_opens_and_paints(w, shots):
    assert w.data('state')=='idle' and w.text('error')=='' and len(w.data('hash'))==8 and w.data('verdict')=='healthy,collapsing'
    assert within(w, w.first, 2000), w.first
    assert w.fact('A verdict')=='✓ Healthy' and w.fact('B verdict')=='✗ Collapsing' and w.fact('A step')=='300' and w.fact('B step')=='200'
    shoot(w, shots)
    assert w.faults==[], w.faults

def test_what_is_drawn_is_what_the_library_computes(w):
    for steps in (0, 3, 5):
        w.put('smooth', steps).heard()
        assert w.data('hash')==w.python('print(picture_hash(w.picture()))')
    w.put('smooth', 3); scope = {}; first = picture_hash_of(w, "plot_training({'first run': good}, smooth=10)[0,0].lines[1].get_ydata()")
    assert first==w.python("from audiossl.explore.training import smooth; print(picture_hash(smooth(*Signs(good).of('loss'), 10)))")
    assert 'plot_training({"first run": rows, "second run": rows}, smooth=10)' in w.code()
    w.choose('second', 'none'); w.wait("() => window.ax.querySelectorAll('.ax-verdict').length == 1"); assert w.python("print(list(w.chosen()))")=="['first run']"
    w.choose('second', 'second run'); w.choose('first', 'second run'); w.wait("() => window.ax.dataset.verdict == 'collapsing,healthy'")

def picture_hash_of(w, expression): return w.python(f'print(picture_hash({expression}))')

def test_copied_python_runs(w):
    w.python("w.show({'a run': 'run'})"); w.wait("() => window.ax.dataset.rows == '50'"); w.put('smooth', 3); w.put('log', True)
    code = w.code(); assert "'run'" in code and 'smooth=10, log=True' in code
    assert w.python(code+'\nprint(axes.shape, axes[0,0].get_yscale())')=='(2, 3) log'

def test_latency_of_controls(w):
    latency_of(w, 'smooth')
    ms = [w.control('position').evaluate("(e, v) => { const t = performance.now(); e.value = v; e.dispatchEvent(new Event('input')); return performance.now() - t }", 100+i) for i in range(14)]
    REPORT['training: position, p50 of 14, ms'] = p50 = round(statistics.median(ms), 1); assert within(w, p50, 50), ms

def test_sixty_events_in_a_second_end_with_the_last(w):
    sixty_events(w, 'smooth', '(i * 7) % 11')
    assert w.heard().data('hash')==w.python('print(picture_hash(w.picture()))')

def test_by_keys_alone(w):
    walk(w, 'stop', before=('stop',), what='input, select, button'); assert len(w.labels())==6
    place = w.control('position'); place.focus(); w.page.keyboard.press('Home'); [w.page.keyboard.press('ArrowRight') for _ in range(6)]
    assert w.text('clock')=='step 7' and w.fact('A step')==w.fact('B step')=='7' and 'loss' in place.get_attribute('aria-valuetext')
    loss = float(w.python("print(good[6]['loss'])")); assert abs(float(w.fact('A loss'))-loss)<.006
    w.control('zoom').focus(); w.press('Enter'); a,b = map(float, w.data('span').split(',')); assert b-a<160
    w.control('whole').focus(); w.press('Enter'); assert w.data('span')=='1,300'

def test_mouse_reads_and_zooms(w):
    box = w.root.locator('[data-testid=loss]'); b = box.bounding_box(); inner = b['width']-54-12
    at = lambda s: b['x']+54+inner*(s-1)/299
    w.page.mouse.move(at(100), b['y']+80); step = int(w.fact('A step')); assert abs(step-100)<=2 and w.fact('B step')==w.fact('A step')
    assert abs(float(w.fact('A std_teacher'))-float(w.python(f"print(good[{step-1}]['std_teacher'])")))<1e-4
    w.page.mouse.move(at(60), b['y']+60); w.page.mouse.down(); w.page.mouse.move(at(180), b['y']+60, steps=5); n = w.rev; w.page.mouse.up(); w.idle(n)
    lo,hi = map(float, w.data('span').split(',')); assert abs(lo-60)<=3 and abs(hi-180)<=3
    n = w.rev; w.page.mouse.dblclick(at(100), b['y']+60); w.idle(n); assert w.data('span')=='1,300'
    w.page.mouse.move(5, 5)

@pytest.mark.parametrize('theme', ['Dark', 'Light'])
def test_axe_finds_nothing_serious(w, theme): w.theme(theme).code(); assert axe(w)==[]

def test_hostile_names_are_text(w):
    for names in (HOSTILE[:4], HOSTILE[4:]):
        w.python(f'w.show({{n: good for n in {names!r}}})'); w.wait("n => window.ax.querySelector('[data-fact=\"A name\"]').textContent == n", names[0])
        assert w.page.evaluate('window.hacked ?? null') is None and w.root.locator('img, script').count()==0 and w.fact('B name')==names[1]
        assert w.root.locator('[data-key=first] option').all_text_contents()==names
    assert w.page.evaluate("window.ax.scrollWidth <= window.ax.clientWidth + 1")             # a name of 255 letters leaves the window its width

def test_bad_runs_are_one_sentence_and_the_picture_stays(w):
    hash_ = w.data('hash')
    for bad,says in [("'no/such/run'", 'no such file'), ('[]', 'the list is empty'), ('3', 'int is not a run'), ("[{'loss': 1}]", 'is not a run')]:
        w.python(f'w.show({bad})'); w.sentence(says)
        assert w.data('state')=='error' and w.data('hash')==hash_ and '\n' not in w.text('error')
    for odd in ("[dict(step=1, loss=2.)]", "[dict(step=k, loss=float('nan')) for k in range(9)]", "[dict(step=k, std_student=0., std_teacher=0.) for k in range(9)]", "[dict(step=10**9+k, loss=1e-30) for k in range(9)]", "Signs()"):
        w.python(f"w.show({{'odd': {odd}}})"); w.wait("() => window.ax.querySelector('[data-fact=\"A name\"]').textContent == 'odd'"); w.idle()
        for log in (True, False): w.put('log', log)
        assert w.data('state')=='idle' and 'undefined' not in w.root.text_content() and 'NaN' not in w.text('values') and w.faults==[], (odd, w.faults)

def test_a_log_of_another_process_is_followed_until_the_window_is_closed(w):
    "(d) lines appear as they are written; Stop writes nothing and says so"
    w.python("w.show({'a run': 'run'})"); w.wait("() => window.ax.dataset.rows == '50'")
    w.python("with open('run/curve.csv', 'a') as f: [f.write(f'{k},1.0,.05,.05\\n') for k in range(51, 61)]; f.write('61,0.')"); w.wait("() => window.ax.dataset.rows == '60'")
    w.control('stop').click(); w.wait("() => window.ax.querySelector('.ax-note').textContent.includes('another process')"); assert 'Nothing was written' in w.text('note')
    assert w.python("import os; print(sorted(os.listdir('run')))")=="['curve.csv']"
    w.python("count = [0]; old = w._heard\ndef heard(*a): count[0] += 1; old(*a)\nw.on_msg(w._heard, remove=True); w.on_msg(heard)"); w.page.wait_for_timeout(1500)
    assert 1<=int(w.python('print(count[0])'))<=3                                           # it asks once a second
    w.python("v = TrainingMonitor({'a run': 'run'}); w2 = v"); w.python("w.show(fresh())"); w.idle(); before = int(w.python('print(count[0])')); w.page.wait_for_timeout(1300)
    assert int(w.python('print(count[0])'))==before                                         # rows in memory: nothing to ask about

def test_a_run_in_this_kernel_is_shown_live_and_stopped(w, tmp_path):
    "(e) the button ends a run that goes on in a thread, with its checkpoint"
    w.python('''v = Vitals(checkpoint='live.ckpt')
def job():
    for k in range(1, 100_000):
        time.sleep(.02)
        if v(row(k)): Path('live.ckpt').write_text(str(k)); return
w.show({'live': v}); v.start(job)''')
    w.wait("() => window.ax.textContent.includes('runs in this kernel') && +window.ax.dataset.rows > 20")
    w.control('stop').click(); w.wait("() => window.ax.querySelector('.ax-note').textContent.includes('live.ckpt')"); w.wait("() => window.ax.textContent.includes('has ended')")
    done = int(w.python("v.thread.join(9); print(v.step)")); assert w.python("print(Path('live.ckpt').read_text())")==str(done) and done<2000
    w.wait("n => window.ax.dataset.rows == n", str(done)); w.python("Path('live.ckpt').unlink()")
    w.control('stop').click(); w.wait("() => window.ax.querySelector('.ax-note').textContent.includes('nothing to stop')")

def test_no_flicker(w):
    "(f) 50 updates: the window keeps its height, no picture is empty in between, verdicts are not made anew for nothing"
    w.python("v = Vitals(); [v(row(k)) for k in range(1, 12)]; w.show({'live': v, 'second run': bad})"); w.wait("() => window.ax.dataset.rows == '11'")
    w.page.evaluate("""() => { const root = window.ax; window.heights = new Set([root.offsetHeight]); window.sizes = new Set();
        window.watching = new MutationObserver(() => { heights.add(root.offsetHeight); sizes.add(root.offsetWidth) }); watching.observe(root, {attributes: true, subtree: true, childList: true, characterData: true}) }""")
    n = w.rev; w.python('for k in range(50): v(row(12+37*k)); w._look(); time.sleep(.04)')
    w.wait("() => window.ax.dataset.rows == '61'"); w.idle()
    heights = w.page.evaluate('() => { watching.disconnect(); return [...heights] }'); assert len(heights)==1 and w.rev-n>=10, (heights, w.rev-n)

def test_200_updates_do_not_leak(w):
    w.python("v = Vitals(); [v(row(k)) for k in range(1, 3001)]; w.show({'live': v})"); w.wait("() => window.ax.dataset.rows == '3000'"); done = [3000]
    def turn(n): done[0] += n; w.python(f"for k in range({n}): v(row({done[0]-n+1}+k)); w._look(); time.sleep(.01)"); w.wait("n => window.ax.dataset.rows == n", str(done[0])).idle()
    no_leak(w, turn, 'updates')

def test_100_000_steps(w):
    "(c) at most 2,000 numbers a curve, the outlier is seen, zooming in brings every row"
    w.python('''big = Signs()
for k in range(1, 100_001): big.add(dict(row(k), loss=.3+(8 if k==70_123 else 0)))
w.show({'long': big})'''); w.wait("() => window.ax.dataset.rows == '100000'", timeout=60); w.idle()
    assert 0<int(w.data('points'))<=2000 and w.data('hash')==w.python('print(picture_hash(w.picture()))')
    label = lambda: w.root.locator('[data-testid=loss] canvas').first.get_attribute('aria-label'); assert '1 to 100,000' in label()
    b = w.root.locator('[data-testid=loss]').bounding_box(); at = lambda s: b['x']+54+(b['width']-66)*(s-1)/99_999
    top = w.page.evaluate("""() => { const c = window.ax.querySelector('[data-testid=loss] canvas'), r = c.width/c.clientWidth, d = c.getContext('2d').getImageData(Math.round(57*r), 0, c.width-Math.round(80*r), c.height).data;
        const [R, G, B] = getComputedStyle(window.ax).getPropertyValue('--ax-accent').trim().match(/[0-9a-f]{2}/g).map(v => parseInt(v, 16)), wide = c.width-Math.round(80*r);
        for (let i = 0; i < d.length; i += 4) if (Math.abs(d[i]-R)+Math.abs(d[i+1]-G)+Math.abs(d[i+2]-B) < 60) return Math.floor(i/4/wide)/r; return -1 }""")
    assert 0<top<40, top                                                                    # the one step that went wrong reaches the top of the picture
    w.page.mouse.move(at(70_000), b['y']+60); w.page.mouse.down(); w.page.mouse.move(at(70_900), b['y']+60, steps=6); n = w.rev; w.page.mouse.up(); w.idle(n)
    w.wait("() => !window.ax.textContent.includes('the lowest and the highest')"); w.page.mouse.move(5, 5)
    assert w.heard().data('hash')==w.python('print(picture_hash(w.picture()))') and float(w.data('span').split(',')[1])-float(w.data('span').split(',')[0])<3000

def test_a_kernel_that_is_gone(w, lab):
    "the last test of this window: one sentence, and the last picture stays"
    hash_ = w.data('hash'); w.end_kernel()
    w.control('stop').click(); w.sentence('The kernel is busy or gone; the last picture is kept.'); w.page.evaluate('window.patient()')
    assert w.data('hash')==hash_ and w.text('error')=='The kernel is busy or gone; the last picture is kept.'
    lab.close('_training.ipynb')

def test_notebook_shows_its_window_live(lab): assert chapter_is_live(lab, NAME)['verdict']=='healthy,collapsing'

@pytest.mark.parametrize('width', [1000, 420])
def test_stored_window_reacts_without_a_kernel(browser, tmp_path, width):
    with page_of(browser, tmp_path/'a.html', stored_html(NAME), width) as page:
        frame = page.frame_locator('iframe'); root = frame.locator('.ax'); root.wait_for(); data = lambda k: root.get_attribute(f'data-{k}')
        until(page, lambda: int(data('rev'))>0 and data('state')=='idle'); before = data('hash'); assert data('verdict')=='healthy,collapsing'
        frame.locator('[data-key=smooth]').focus(); [page.keyboard.press('ArrowRight') for _ in range(4)]
        until(page, lambda: data('hash')!=before); frame.locator('[data-key=zoom]').click(); until(page, lambda: data('span')!='1,40')
        frame.locator('[data-key=stop]').click(); assert 'no kernel here' in frame.locator('.ax-note').text_content()
        assert root.evaluate('e => e.scrollWidth <= e.clientWidth + 1')
