"The event viewer without a browser: its counts, curves and figures beside the library's, golden figures, odd truth and bad input"
import base64, json
import numpy as np, pytest, torch
from support import ROOT
from test_explore import needs_node, node
from test_psds import RESULTS, SED
from audiossl.downstream.decoding import Exam, Scores, median_filter, read_durations, read_truth, write_scores
from audiossl.downstream.psds import PSDS1, PSDS2, event_f1, intersection_counts, intersection_f1, psds_score
from audiossl.explore.base import picture_hash
from audiossl.explore.events import CURVES, WINDOWS, EventViewer, exam_of, made_scenes, plot_scores

THRESHOLDS = [round(.1*k, 1) for k in range(11)]

def random_set(seed, clips=7, C=4, double=False, frame_s=.04):
    "Clips of odd lengths, with events that touch, overlap and outlast nothing; scores that tie"
    r,scores,truth,long = np.random.default_rng(seed), {}, {}, {}
    for i in range(clips):
        seconds = round(float(r.uniform(.9, 6)), 3); T = int(np.ceil(seconds/frame_s)); k = f'clip {i}'
        z = r.normal(size=(T,C)).cumsum(0)*.35-1+r.normal(size=(T,C))*.5; truth[k],long[k] = [],seconds
        for _ in range(int(r.integers(0, 6)) if i else 0):
            c = int(r.integers(C-1)); a = float(r.uniform(0, seconds-.2)); b = min(seconds, a+float(r.uniform(.05, 2)))
            truth[k].append((f'c{c}', round(a, 3), round(b, 3))); z[int(a/frame_s):int(np.ceil(b/frame_s)),c] += r.normal(2, 1)
        s = 1/(1+np.exp(-z)); scores[k] = s if double else s.round(2).astype(np.float32)
    return dict(scores=scores, truth=truth, durations=long, classes=[f'c{c}' for c in range(C)], frame_s=frame_s)

def told(viewer): return dict(d=viewer.data, raw=base64.b64encode(viewer.raw).decode())
JUDGE = 'new Judge(d, new DataView(Uint8Array.from(atob(raw), c => c.charCodeAt(0)).buffer))'

def point(exam, t, s):
    "Where a threshold stands on the curves, by the library's counts"
    tp,fp,ct = intersection_counts(exam, t, s.dtc, s.gtc, s.cttc); some = np.flatnonzero(exam.n_ref); others = max(len(some)-1, 1)
    x = np.array([3600*fp[c]/exam.seconds+sum(ct[c,k]*3600*s.alpha_ct/others/exam.ref_s[k] for k in some if k!=c) for c in some]); y = tp[some]/exam.n_ref[some]
    return x, y, max(0, y.mean()-s.alpha_st*y.std())

@needs_node
@pytest.mark.parametrize('seed,double,frame_s', [(0,False,.04), (1,True,.04), (2,False,.16), (3,True,.03)])
def test_counts_and_points_are_the_librarys_at_11_thresholds(tmp_path, seed, double, frame_s):
    "both ways of matching, one filter for all or one for each class"
    given = random_set(seed, double=double, frame_s=frame_s); v = EventViewer(**given); assert v.error=='' and v.data['single']!=double
    asked = [dict(threshold=t, sizes=w, matching=m, scenario=s) for t in THRESHOLDS for w in ([1]*4, [7]*4, [3,61,1,15]) for m,s in (('collar','psds1'), ('intersection','psds2'))]
    got = node(tmp_path, 'events.js', f'(j => asked.map(a => {{ const o = j.at(a); return {{...o, events: o.events.length}} }}))({JUDGE})', asked=asked, **told(v)); n = 0
    for a,o in zip(asked, got):
        e = exam_of(**given, window=a['sizes']); want = (event_f1 if a['matching']=='collar' else intersection_f1)(e, a['threshold'])
        assert (o['tp'],o['fp'],o['fn'])==(want.tp.tolist(), want.fp.tolist(), (want.n_ref-want.tp).tolist()), a
        n += want.tp.sum(); x,y,all_ = point(e, a['threshold'], CURVES[a['scenario']])
        np.testing.assert_allclose([p['x'] for p in o['points']], x, atol=1e-9); assert [p['y'] for p in o['points']]==pytest.approx(y, abs=1e-12)
        assert (o['all']['x'],o['all']['y'])==pytest.approx((x.mean(), all_), abs=1e-9)
    assert n>50                                                                                # something was found at all

@needs_node
def test_filters_are_the_librarys(tmp_path):
    given = random_set(5); v = EventViewer(**given)
    got = node(tmp_path, 'events.js', f'(j => WINDOWS.map(w => j.clips.map(o => j.data.classes.map((_, c) => j.filtered(o.i, c, w)))))({JUDGE})', WINDOWS=list(WINDOWS), **told(v))
    for w,clips in zip(WINDOWS, got):
        for k,x in zip(given['scores'], clips): np.testing.assert_array_equal(np.array(x).T, median_filter(given['scores'][k].astype(float), w))

@needs_node
def test_figures_are_the_golden_ones_and_the_librarys(tmp_path):
    "PSDS of the golden set as the field's packages give it, and with a filter for each class as ours does"
    z = np.load(SED/'scores.npz'); scores = Scores(dict(zip(z['filenames'].tolist(), z['scores'])), z['classes'].tolist())
    truth,long = read_truth(SED/'ground_truth.tsv'),read_durations(SED/'durations.tsv')
    v = EventViewer(None, scores, truth, long, windows={'Dog': 31}); assert v.error==''
    some = [1,7,1,31,1,3,1,1,61,1]; asked = [[s, w, e] for s in CURVES for w in ([1]*10, [7]*10, some) for e in (100, 1000)]
    got = node(tmp_path, 'events.js', f'(j => asked.map(([s, w, e]) => j.curve(s, w, e).all))({JUDGE})', asked=asked, **told(v)); seen = 0
    for (s,w,e),o in zip(asked, got):
        want = psds_score(Exam(scores.filtered(w), truth, long), CURVES[s]._replace(e_max=float(e)))
        assert o['area']==pytest.approx(float(want), abs=1e-9) and o['x']==pytest.approx(want.efpr, abs=1e-9) and o['y']==pytest.approx(want.etpr, abs=1e-9)
        golden = RESULTS['psds' if e==100 else 'psds_max_efpr_1000'].get({1: 'raw', 7: 'med7'}.get(w[0]) if len(set(w))==1 else None, {}).get(s)
        if golden: seen += 1; assert o['area']==pytest.approx(golden['sed_scores_eval_exact'], abs=1e-6)
    assert seen>=6

def test_what_python_says_of_the_window():
    d = made_scenes(); v = EventViewer(**d, window=9, windows={'kick': 3}, threshold=.6, cls='flute'); e = exam_of(**{k:o for k,o in d.items() if k!='sounds'}, window=[9,9,3,9])
    assert v.window==[9,9,3,9] and v.counts().tp.tolist()==event_f1(e, .6).tp.tolist() and float(v.psds())==float(psds_score(e, PSDS1))
    want = (median_filter(d['scores']['scene 1'], [9,9,3,9]).astype(float)-.6).astype(np.float32)
    assert picture_hash(v.picture())==picture_hash(want)
    v.update(matching='intersection', scenario='psds2', e_max=500, sound='scene 3', window=13)
    assert 13 in v.data['windows'] and v.counts().fp.tolist()==intersection_f1(v.exam, .6).fp.tolist() and float(v.psds())==float(psds_score(v.exam, PSDS2._replace(e_max=500.)))
    assert v.plot().get_xlim()==(0, 2.) and len(v.plot().lines)==2                             # one class, and the threshold
    with pytest.raises(ValueError, match='window=4: an odd number'): v.update(window=4)

@needs_node
def test_odd_truth_breaks_nothing(tmp_path):
    "(f) no event at all, events that overlap, events of no length"
    s = {'a': np.tile([[.2,.9]], (50,1)), 'b': np.zeros((25,2))}
    for truth in (None, {}, {'a': [], 'b': []}):
        v = EventViewer(None, s, truth, classes=['x','y']); assert v.error=='' and v.data['curves']=={'psds1': [], 'psds2': []}
        o = node(tmp_path, 'events.js', f'(j => [j.at({{threshold: .5, sizes: [1, 1], matching: "collar", scenario: "psds2"}}), j.curve("psds1", [1, 1], 100)])({JUDGE})', **told(v))
        assert o[0]['fp']==[0,1] and o[0]['all'] is None and o[1] is None and '<html' in v.page()
    odd = {'a': [('x',.1,.9), ('x',.5,1.2), ('y',.4,1.), ('y',.7,.7)], 'b': [('x',.3,.3)]}
    v = EventViewer(None, s, odd, classes=['x','y']); assert v.error==''
    assert v.data['refs']==[[0,0,100_000,1_200_000], [0,1,400_000,1_000_000]] and v.data['points']==[[0,1,700_000], [1,0,300_000]]
    o = node(tmp_path, 'events.js', f'{JUDGE}.at({{threshold: .1, sizes: [1, 61], matching: "intersection", scenario: "psds1"}})', **told(v))
    assert (o['tp'],o['fp'],o['fn'])==([1,0],[0,1],[0,1])

BAD = [(dict(scores={'a': np.zeros((9,2))}, durations={'a': 2.}, classes='xy'), '9 frames of 0.04 s for 2 s'), (dict(scores={'a': np.full((50,1), np.nan)}, classes='x'), 'x is nan in frame 0'),
       (dict(scores={'a': np.zeros((50,2))}, classes='x'), r'shape (50, 2), must be (frames, 1)'), (dict(scores={'a': np.zeros((50,1))}, truth={'a': [('dog',0,1)]}, classes='x'), 'dog from 0 to 1 s is a class without scores'),
       (dict(scores={'a': np.zeros((50,1)), 'b': np.zeros((50,1))}, durations={'a': 2.}, classes='x'), 'durations: b has scores, but no row here'),
       (dict(scores={'a': np.zeros((50,1))}, truth={'a': [], 'z': [('x',0,1)]}, classes='x'), 'no scores of truth: z'), (dict(scores={'a': np.zeros((50,1))}, truth={'a': [('x',1,.5)]}, classes='x'), 'ends after it began'),
       (dict(scores={'a': np.zeros((50,1))}), 'names of the classes are needed'), (dict(scores='no/such.npz'), 'no such file of scores'), (dict(scores={'a': np.zeros((50,1))}, truth='no.tsv', classes='x'), 'no.tsv'),
       (dict(scores={}, classes='x'), 'of 0 clips'), (dict(scores={'a': np.zeros((50,1))}, truth={'a': [('x','early','late')]}, classes='x'), 'onset and offset'), (dict(sounds=[]), 'the list is empty')]

@pytest.mark.parametrize('given,says', BAD, ids=[o for _,o in BAD])
def test_bad_input_is_one_sentence_and_the_old_clips_stay(given, says):
    v = EventViewer(**made_scenes(2)); before = v.raw,v.data
    v.show(**given)
    assert says in v.error and '\n' not in v.error and (v.raw,v.data)==before and v.counts() is not None
    assert says in EventViewer(**given).error                                                  # from the start: nothing to show, and why

def test_files_and_scores_with_filters(tmp_path):
    d = made_scenes(3); write_scores(tmp_path/'s.npz', d['scores'].items(), d['classes'])
    v = EventViewer(None, tmp_path/'s.npz', d['truth'], d['durations']); assert v.error=='' and v.data['classes']==d['classes'] and not v.shown
    v = EventViewer(d['sounds'], Scores(d['scores'], d['classes'], window=[1,3,13,3]), d['truth']); assert v.window==[1,3,13,3] and 13 in v.data['windows']
    v = EventViewer({'scene 1.wav': d['sounds']['scene 1'], 'other': torch.rand(800)}, **{k:o for k,o in d.items() if k!='sounds'})
    assert [s.name for s in v.shown]==['scene 1'] and v.error=='other: a sound without scores.'

def test_pages_hold_as_many_sounds_as_fit():
    v = EventViewer({f'{i}': torch.rand(160_000)-.5 for i in range(4)}); page = v.page()
    assert len(page)<1_000_000 and len(v.shown)==4 and len(json.loads(page.rsplit('model: staticModel(', 1)[1].split('), el:')[0])['sounds'])==1

def test_plot_twin():
    d = made_scenes(1); ax = plot_scores(d['scores']['scene 1'], d['classes'], .4, 5, events=d['truth']['scene 1'])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), median_filter(d['scores']['scene 1'], 5)[:,1]); assert len(ax.patches)==len(d['truth']['scene 1']) and ax.lines[-1].get_ydata()[0]==.4
    with pytest.raises(ValueError, match='must be'): plot_scores(np.zeros((5,2)), ['a'])
