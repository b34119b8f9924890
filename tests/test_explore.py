"Windows without a browser: their JavaScript under Node's test runner, and beside the library it has to equal"
import json, re, shutil, subprocess, sys
from inspect import signature
import numpy as np, pytest, torch
from support import ROOT
from audiossl.audio import example, examples, load_audio
from audiossl.explore.base import bundle, gather, pack
from audiossl.transforms.logmel import LogMel, unmel

JS = ROOT/'audiossl/explore/js'
NODE = shutil.which('node')
needs_node = pytest.mark.skipif(NODE is None, reason='no node on the PATH: the tests of the JavaScript need Node.js 18 or later')
DB = (50.6842+79.6482)/2                                     # one unit of a normalised picture, dB

def clips(n=20):
    "n sounds of all kinds: the bundled ones with names, a tone, and very short and very quiet ones"
    waves = [load_audio(example(o)) for o in examples()][:n-4]
    t = torch.arange(16_000)/16_000
    return waves + [.5*torch.sin(2*torch.pi*1000*t), 1e-3*torch.randn(9_000, generator=torch.Generator().manual_seed(0)), torch.ones(1), torch.zeros(800)]

def node(tmp_path, module, expression, **data):
    "Evaluate a JavaScript expression in the bundle of `module`; `data` is at hand by name, tensors as Float32Array"
    plain = lambda o: dict(f32=o.tolist()) if isinstance(o, torch.Tensor) else [plain(x) for x in o] if isinstance(o, (list, tuple)) else {k: plain(x) for k,x in o.items()} if isinstance(o, dict) else o
    (tmp_path/'data.json').write_text(json.dumps(plain(data)))
    (tmp_path/'package.json').write_text('{"type": "module"}')
    (tmp_path/'a.js').write_text(f'''{bundle(module)}
import {{ readFileSync, writeFileSync }} from 'node:fs';
const revive = (k, v) => v && v.f32 ? Float32Array.from(v.f32) : v;
const {{ {", ".join(data)} }} = JSON.parse(readFileSync(process.argv[2], 'utf8'), revive);
const plain_ = (k, v) => ArrayBuffer.isView(v) ? Array.from(v) : v;
writeFileSync(process.argv[3], JSON.stringify({expression}, plain_));''')
    r = subprocess.run([NODE, str(tmp_path/'a.js'), str(tmp_path/'data.json'), str(tmp_path/'out.json')], capture_output=True, text=True, timeout=300)
    assert r.returncode==0, r.stderr[-3000:]
    return json.loads((tmp_path/'out.json').read_text())

def picture(d): return torch.tensor(d['data'], dtype=torch.float32).view(d['rows'], d['T'])

@needs_node
def test_javascript_units():
    files = sorted((ROOT/'tests/js').glob('*.test.mjs'))
    assert len(files)>=5
    r = subprocess.run([NODE, '--test', *map(str, files)], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert r.returncode==0, r.stdout[-5000:]

@needs_node
def test_a_failing_javascript_test_is_seen(tmp_path):
    (tmp_path/'a.test.mjs').write_text("import test from 'node:test'; import assert from 'node:assert'; test('x', () => assert.equal(1, 2));")
    assert subprocess.run([NODE, '--test', str(tmp_path/'a.test.mjs')], capture_output=True).returncode!=0

# ---- what is drawn is what the library computes ------------------------------------------------------------------------------------------

@needs_node
def test_front_end_equals_the_library(tmp_path):
    "within 0.1 dB over the top 80 dB, on 20 clips; the browser test asks the same of the browser"
    waves = clips(); got = node(tmp_path, 'frontend.js', 'waves.map(w => logMel(w))', waves=waves)
    front = LogMel(); worst = []
    for w,d in zip(waves, got):
        want,mine = front(w),picture(d)
        assert mine.shape==want.shape
        worst.append(float((mine-want).abs().max())*DB)
    assert len(worst)==20 and max(worst)<.1, worst

@needs_node
@pytest.mark.parametrize('settings', [dict(n_fft=512, win_length=400), dict(n_fft=2048, win_length=2048, hop_length=320), dict(n_mels=128, f_min=0, f_max=8000), dict(n_mels=8, f_min=500, f_max=2000),
                                      dict(top_db=30), dict(win_length=80), dict(hop_length=1280)])
def test_front_end_equals_the_library_at_other_settings(tmp_path, settings):
    w = load_audio(example('speech_en')); want = LogMel(**settings)(w)
    mine = picture(node(tmp_path, 'frontend.js', 'logMel(w, settings)', w=w, settings=settings))
    assert mine.shape==want.shape and float((mine-want).abs().max())*DB<.1

@needs_node
def test_unmel_equals_the_library(tmp_path):
    mel = LogMel()(load_audio(example('cat'))); want = unmel(mel)
    got = torch.tensor(node(tmp_path, 'unmel.js', 'unmel({rows: mel.length, T: mel[0].length, data: Float32Array.from(mel.flatMap(r => Array.from(r)))})', mel=list(mel)))
    assert got.shape==want.shape and np.corrcoef(got, want)[0,1]>.999

@needs_node
def test_generator_is_numpys(tmp_path):
    "a program of mixed draws, for many seeds"
    want = []
    for seed in [*range(40), [1,2], [3,0,9], 2**40+5]:
        r = np.random.default_rng(seed)
        want.append([r.random(), int(r.integers(0, 7)), r.integers(2, 900, size=5).tolist(), r.permutation(30).tolist(), int(r.integers(0, 2**20)), r.choice(245, 32, replace=False).tolist(), r.random()])
    got = node(tmp_path, 'rng.js', 'seeds.map(s => { const r = rng(s); return [r.random(), r.integers(0, 7), Array.from({length: 5}, () => r.integers(2, 900)), r.permutation(30), '
               'r.integers(0, 2 ** 20), r.choice(245, 32), r.random()] })', seeds=[*range(40), [1,2], [3,0,9], 2**40+5])
    assert got==want

@needs_node
def test_masks_are_the_librarys(tmp_path):
    "token by token, for 240 random settings"
    from audiossl.explore.mask import mask_of
    r,asked = np.random.default_rng(0),[]
    for i in range(240):
        asked.append(dict(P=int(r.integers(40, 300)), kind=['block','uniform','random'][i%3], ratio=round(float(r.uniform(.3, .9)), 2), span=int(r.integers(1, 12)), min_span=int(r.integers(0, 3)),
                          no_overlap=bool(i%2), seed=int(r.integers(0, 10**6))))
        asked[-1]['min_span'] = min(asked[-1]['min_span'], 2*asked[-1]['span'])
    got = node(tmp_path, 'mask.js', 'asked.map(s => { try { return drawMask(s.P, s, rng(s.seed)).mask } catch (e) { return e.message } })', asked=asked)
    for s,g in zip(asked, got):
        s = dict(s); P,seed = s.pop('P'),s.pop('seed')
        try: want = mask_of(P, rng=np.random.default_rng(seed), **s).int().tolist()
        except ValueError as e: want = str(e)
        assert g==want, (P, seed, s)

@needs_node
@pytest.mark.parametrize('method', ['frame', 'clip'])
def test_views_are_the_librarys(tmp_path, method):
    "numbers exactly, pictures to rounding: over samples, seeds, cards switched off and numbers set by hand"
    from audiossl.explore.augment import trace
    waves = [load_audio(example(o)) for o in ('speech_en','flute','footsteps')]
    cases = [dict(step=0, seed=0), dict(step=4, seed=1), dict(step=5, seed=2, aug_tea=True), dict(step=3, seed=3, mixup=False), dict(step=3, seed=3, warp=False), dict(step=2, seed=5, crop=False),
             dict(step=4, seed=6, edits=dict(weight2=.9, partner2=1, h2=50, i2=4, crop1=3200)), dict(step=6, seed=9, seconds=1.)]
    cases = [dict(method=method, seconds=2., aug_tea=False, crop=True, mixup=True, warp=True, edits={}) | c for c in cases]
    got = node(tmp_path, 'augment.js', 'cases.map(s => { const t = trace(sounds_, s); return t.views.map(v => ({start: v.start, picture: v.picture, m: v.cards.mixup?.drawn, w: v.cards.warp?.drawn})) })',
               cases=cases, sounds_=[dict(name=str(i), wave=w) for i,w in enumerate(waves)])
    for c,views in zip(cases, got):
        t = trace(waves, **c)
        for k,v in enumerate(views):
            drawn = {n[:-1]: o for n,o in t.drawn.items() if n.endswith(str(k+1))}
            assert v['start']==drawn['crop'], c
            if 'm' in v: assert [v['m']['weight'],v['m']['partner'],*[v['w'][o] for o in 'ihwj']]==[drawn[o] for o in ('weight','partner',*'ihwj')], c
            assert 'm' in v or 'weight' not in drawn
            mine = picture(v['picture']); assert mine.shape==t.views[k].shape and float((mine-t.views[k]).abs().max())*DB<.1, c

@needs_node
def test_what_is_left_is_the_librarys(tmp_path):
    from audiossl.explore.mask import mask_of, what_is_left
    wave = load_audio(example('cat'))
    for tokens,high,wide in (('frame',64,4), ('patch',16,16)):
        mask = mask_of(64//high*(130//wide), rng=np.random.default_rng(1))
        got = node(tmp_path, 'mask.js', 'MaskExplorer.prototype.silent({mask: Uint8Array.from(mask), P: mask.length, across, wide, sound: {wave}})', mask=mask.int().tolist(), wave=wave, across=64//high, wide=wide)
        assert torch.equal(torch.tensor(got)==0, what_is_left(wave, mask, tokens)==0)

# ---- what is shipped, and what is said ---------------------------------------------------------------------------------------------------

def entries(of_sounds=False):
    "All windows; `of_sounds`: those onto sounds, whose first argument is `sounds`"
    from audiossl.explore.base import Explorer
    import audiossl.explore as face
    for name in face.__all__: getattr(face, name)
    return [o for o in sorted(Explorer.__subclasses__(), key=lambda o: o.entry) if not of_sounds or 'sounds' in signature(o).parameters]

def test_every_module_is_used_and_reads_as_one():
    used = ''.join(bundle(o.entry) for o in entries())+bundle('wave.js')
    for p in JS.glob('*.js'): assert f'--- {p.name}' in used, f'{p.name} belongs to no window'
    for o in entries():
        text = bundle(o.entry)
        assert text.count('export default')==1 and not re.search(r'^import |https?://', text, re.M)
        assert len(text)<150_000
        assert max(map(len, text.splitlines()))<=220

def test_two_modules_with_one_name_are_refused(tmp_path):
    (tmp_path/'a.js').write_text("import { f } from './b.js';\nconst g = 1;\nexport default f;\n"); (tmp_path/'b.js').write_text('const g = 2;\nexport const f = g;\n')
    with pytest.raises(ValueError, match='two modules define g'): bundle('a.js', tmp_path)

HOSTILE = ['<img src=x onerror="window.hacked=1">', '</script><script>window.hacked=1</script>', '\u202egnp.exe', '🎺🎺', 'x'*255, '"\'`${1}']

def test_hostile_names_are_text_in_the_static_page():
    for cls in entries(of_sounds=True):
        w = cls({n: torch.rand(2000)-.5 for n in HOSTILE}); page = w.page()
        assert '<img' not in page and page.count('</script>')==1 and 'http' not in re.sub(r'http://www.w3.org\S*', '', page)
        assert '<img' not in w.render_static() and w.render_static().count('<')==2                # the frame and its end
        assert [s['name'] for s in w.sounds]==HOSTILE

def test_windows_know_their_settings():
    for cls in entries():
        w = cls()
        with pytest.raises(TypeError, match='has no setting nonsense; it has '): cls(nonsense=1)
        assert w.plot() is not None and w.title in w.page()

def test_bad_sounds_become_sentences(tmp_path):
    (tmp_path/'text.wav').write_text('hello'); (tmp_path/'empty.wav').write_bytes(b'')
    good,bad = gather({'nan': torch.tensor([0., float('nan')]), 'text': tmp_path/'text.wav', 'empty': tmp_path/'empty.wav', 'none': np.zeros(0), 'cube': np.zeros((2,2,2)), 'ok': torch.rand(600)})
    assert [g.name for g in good]==['ok'] and len(bad)==5 and all(b.count('\n')==0 and b.endswith('.') for b in bad)
    two_hours,_ = gather(np.zeros(7200*8000, dtype=np.float32), sr=8000)
    assert len(two_hours[0].wave)==30*16_000 and '7,200.0 s long' in two_hours[0].note and 'Silence' in two_hours[0].note
    for cls in entries(of_sounds=True):
        w = cls(tmp_path/'text.wav'); assert 'not a sound file' in w.error and json.loads(re.search(r'staticModel\((.*)\), el:', w.page())[1])['error']==w.error

def test_saved_size():
    "of a window on ten seconds of sound; the weights of an attention window are refused when they are too many"
    for cls in entries(of_sounds=True):
        try: page = cls(torch.rand(160_000)*2-1).render_static()
        except ValueError as e:
            assert 'too many for a page; show a shorter sound' in str(e)
            page = cls(torch.rand(56_000)*2-1).render_static()
        assert len(page)<1_000_000

def test_samples_are_sent_exactly():
    w = load_audio(example('flute')); meta,raw = pack(gather(['flute'])[0])
    assert np.array_equal(np.frombuffer(raw, '<f4'), w.numpy()) and meta[0]['python']=="load_audio(example('flute'))"

@pytest.mark.parametrize('gone', ['anywidget', 'ipywidgets'])
def test_without_widgets_one_sentence(gone):
    code = (f'import sys; sys.modules[{gone!r}] = None\nfrom audiossl.explore import SpectrogramExplorer, plot_spectrogram\nimport torch\n'
            'plot_spectrogram(torch.rand(4000))\ntry: SpectrogramExplorer("flute")\nexcept ImportError as e: print(e)')
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env={'MPLBACKEND': 'agg', 'PATH': '', 'PYTHONPATH': str(ROOT)})
    assert r.returncode==0, r.stderr[-2000:]
    assert r.stdout.count('\n')==1 and "pip install 'audiossl[lab]'" in r.stdout

def test_the_face_is_lazy():
    code = 'import sys, audiossl, audiossl.explore, audiossl.plot, audiossl.transforms.views; print([o for o in ("ipywidgets","anywidget") if o in sys.modules], dir(audiossl.explore))'
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert out.startswith('[]') and 'SpectrogramExplorer' in out

def test_stored_windows_hold_the_javascript_of_today():
    "a notebook whose window was stored before its JavaScript changed must be run again"
    import html
    from audiossl.explore.base import static_page
    old = []
    for p in sorted((ROOT/'nbs').glob('6[0-8]_explore_*.ipynb')):
        text = ''.join(''.join(o.get('data', {}).get('text/html', '')) for c in json.loads(p.read_text(encoding='utf-8'))['cells'] for o in c.get('outputs', []))
        page = html.unescape(re.search(r'srcdoc="([^"]*)"', text)[1]); entry = [e for e in re.findall(r'class (\w+) extends Explorer', page)]
        module = next(p.name for p in JS.glob('*.js') if f'class {entry[0]} extends Explorer' in p.read_text(encoding='utf-8'))
        want = static_page(module, '', {}); script = want[want.index('<script'):want.index('\nwindow_.render')]
        if script not in page: old.append(p.name)
    assert not old, f'`make notebooks NB=...` for {", ".join(old)}'
