"""PSDS and F1 against the golden figures of the field's packages, against a count of every threshold in fractions, and, where it is installed,
against sed_scores_eval itself."""
import json, os, subprocess, sys
from fractions import Fraction as F
from pathlib import Path
import numpy as np, pytest
from support import ROOT
from audiossl.downstream.decoding import Exam, Scores, THRESHOLDS, read_durations, read_scores, read_truth
from audiossl.downstream.psds import (PSDS1, PSDS2, SCENARIOS, F1, Scenario, all_runs, event_f1, intersection_counts, intersection_f1, psd_roc, psds_score,
                                      psds_scores, run_f1, segment_f1)

SED = Path(os.environ.get('AUDIOSSL_GOLDEN_SED', Path(__file__).parent/'data'/'sed'))
RESULTS = json.loads((SED/'results.json').read_text())
VARIANTS = ('raw', 'med7', 'q50', 'q50_med7')
near = lambda want: pytest.approx(want, abs=1e-6)

@pytest.fixture(scope='module')
def exams():
    z,truth,long = np.load(SED/'scores.npz'),read_truth(SED/'ground_truth.tsv'),read_durations(SED/'durations.tsv')
    make = lambda v: Scores(dict(zip(z['filenames'].tolist(), z['scores_q50' if 'q50' in v else 'scores'])), z['classes'].tolist())
    return {v: Exam(make(v).filtered(7 if 'med7' in v else 1), truth, long) for v in VARIANTS}

# --- golden figures

@pytest.mark.parametrize('v', VARIANTS)
@pytest.mark.parametrize('e_max,key', [(100.,'psds'), (1000.,'psds_max_efpr_1000')])
def test_golden_psds_exact_and_with_50_thresholds(exams, v, e_max, key):
    exact = psds_scores(exams[v], {k: s._replace(e_max=e_max) for k,s in SCENARIOS.items()})
    fifty = psds_scores(exams[v], {k: s._replace(e_max=e_max, thresholds=THRESHOLDS) for k,s in SCENARIOS.items()})
    assert set(RESULTS[key][v])==set(SCENARIOS)
    for k,want in RESULTS[key][v].items():
        assert float(exact[k])==near(want['sed_scores_eval_exact']), k
        assert float(fifty[k])==near(want['psds_eval_50_thresholds']), k
        if single := want.get('single_class_exact'): np.testing.assert_allclose(exact[k].per_class, [single[c] for c in exams[v].classes], atol=1e-6)

def test_scenarios_are_those_of_the_golden_files():
    for k,want in RESULTS['psds_parameters'].items():
        if k not in SCENARIOS: continue
        s = SCENARIOS[k]
        assert (s.dtc, s.gtc, s.alpha_ct, s.alpha_st, s.e_max)==(want['dtc_threshold'], want['gtc_threshold'], want['alpha_ct'], want['alpha_st'], 100.)
        assert want['cttc_threshold'] in (None, s.cttc)

@pytest.mark.parametrize('v', ['raw','med7'])
def test_golden_curves(exams, v):
    z = np.load(SED/'psd_roc.npz'); at = lambda x, y, e: y[np.searchsorted(x, e, 'right')-1]
    for k,s in (('psds1',PSDS1), ('psds2',PSDS2)):
        p = psds_score(exams[v], s._replace(e_max=1000.)); x,y = z[f'{v}_{k}_efpr_per_hour'],z[f'{v}_{k}_etpr']
        e = np.unique(np.concatenate([x, p.efpr])); e = e[e<1000]; e = np.concatenate([e+1e-6, e[1:]-1e-6])          # on both sides of every step
        np.testing.assert_allclose(at(p.efpr, p.etpr, e), at(x, y, e), atol=1e-6)

@pytest.mark.parametrize('v', ['raw','med7'])
def test_golden_counts_at_50_thresholds(exams, v):
    "With `parity` every count; without it all but those of a detection of which exactly 30 % (0.204 of 0.68 s) lie on another class"
    z,ties = np.load(SED/'operating_points.npz'),0
    for k,s in (('psds1',PSDS1), ('psds2',PSDS2)):
        for i,t in enumerate(z['thresholds']):
            for parity in (True, False):
                got = dict(zip(('tp','fp','ct'), intersection_counts(exams[v], t, s.dtc, s.gtc, s.cttc, parity)))
                for n in ('tp','fp') + ('ct',)*(k=='psds2'):
                    d = got[n]-z[f'{v}_{k}_{n}'][i]
                    if parity or n!='ct': assert not d.any(), (k, t, n)
                    else: assert (d>=0).all(); ties += d.sum()
    assert ties==(4 if v=='raw' else 0)

@pytest.mark.parametrize('v', ['raw','med7'])
def test_golden_f1(exams, v):
    e = exams[v]
    def same(f, want, per=None):
        assert float(f)==near(want['macro_f1']) and f.micro==near(want['micro_f1'])
        if 'class_f1' in want: np.testing.assert_allclose(f.per_class, [want['class_f1'][c] for c in e.classes], atol=1e-6)
        if 'counts' in want:
            for c,tp,fp,n in zip(e.classes, f.tp, f.fp, f.n_ref): assert dict(tps=tp, fps=fp, n_ref=n)==want['counts'][c], c
    for package in ('sed_eval', 'sed_scores_eval'):
        same(event_f1(e), RESULTS['event_based'][v][package])
        same(segment_f1(e), RESULTS['segment_based_1s'][v][package])
    for k,want in RESULTS['intersection_based'][v].items():
        share = float(k[3:6]); f = intersection_f1(e, .5, share, share)
        same(f, want['sed_scores_eval'])
        assert f.of_found==near(want['psds_eval']['macro_f1_nan_classes_left_out'])
    want,y = RESULTS['training_time_run_f1'][v],np.load(SED/'many_hot.npz')['strong_40ms']
    f = run_f1(np.stack([s for _,s in e.scores.items()])>.5, y)
    assert float(f)==near(want['macro_f1'])
    assert dict(tp=f.tp.tolist(), fp=f.fp.tolist(), fn=(f.n_ref-f.tp).tolist())=={k: want[k] for k in ('tp','fp','fn')}
    precision,recall = f_pr(event_f1(e)); want = RESULTS['event_based'][v]['sed_eval']
    assert recall==near(want['macro_recall']) and precision==near(want['macro_precision'])

def f_pr(f): return float(np.mean(f.tp/np.maximum(f.tp+f.fp, 1))), float(np.mean(f.tp/f.n_ref))

@pytest.mark.parametrize('key,frame_s', [('strong_40ms',.04), ('strong_160ms',.16)])
def test_golden_ceilings_of_the_label_matrices(key, frame_s):
    z,y = read_scores(SED/'scores.npz'),np.load(SED/'many_hot.npz')[key].astype(float)
    e = Exam(Scores(dict(zip(z.clips, y)), z.classes, frame_s), read_truth(SED/'ground_truth.tsv'), read_durations(SED/'durations.tsv'))
    want = RESULTS['oracle_from_labels'][key]
    for k,p in psds_scores(e).items(): assert float(p)==near(want[k]), k
    assert float(event_f1(e))==near(want['event_based_macro_f1']) and float(intersection_f1(e))==near(want['intersection_macro_f1_0.5'])

MINI = json.loads((SED/'mini_cases.json').read_text())
@pytest.mark.parametrize('name', MINI)
def test_mini_cases(name):
    m = MINI[name]; s = np.full((100,2), .1)
    for a,b,c in m['detections']: s[round(a*10):round(b*10),'AB'.index(c)] = .9
    def exam(tail): return Exam(Scores({'x': s}, 'AB', .1), {'x': [(c,a,b) for a,b,c in m['ground_truth']]}, {'x': m['duration']}, tail)
    for k,p in (('psds1',PSDS1), ('psds2',PSDS2)):
        for package,tail in (('psds_eval','drop'), ('sed_scores_eval','count')):
            want,(tp,fp,ct) = m[k][package],intersection_counts(exam(tail), .5, p.dtc, p.gtc, p.cttc)
            assert dict(zip('AB', tp))==want['tp'] and dict(zip('AB', fp))==want['fp']
            f = intersection_f1(exam(tail), .5, p.dtc, p.gtc)
            if package=='sed_scores_eval': assert float(f)==near(want['macro_f1']); continue
            assert ct[0,1]==want['cross_triggers_detected_A_truth_B']
            if want['macro_f1'] is None: assert np.isnan(f.of_found)
            else: assert f.of_found==near(want['macro_f1'])
            got = psds_score(exam(tail), p._replace(e_max=1000., thresholds=(.5,)))
            assert float(got)==(0. if (w := want['psds_max_efpr_1000_alpha_st_1']) is None else near(w))
    assert float(event_f1(exam('count')))==near(m['event_based_macro_f1'])

# --- a referee that counts every threshold, one by one, in fractions

def referee(scores, truth, long, classes, frame, s):
    names = list(scores); n = {c: sum(e[0]==c for k in names for e in truth[k]) for c in classes}; real = [c for c in classes if n[c]]
    dec = lambda v: F(str(v)); gt = {(k,c): [(dec(a), dec(b)) for l,a,b in truth[k] if l==c] for k in names for c in classes}
    shared = lambda d, gs: sum(max(F(0), min(d[1], b)-max(d[0], a)) for a,b in gs)
    hours,last = sum(dec(long[k]) for k in names)/3600,{c: sum(b-a for k in names for a,b in gt[k,c])/3600 for c in real}
    def runs(x, t, end):
        on = [i for i in range(len(x)) if x[i]>t]; first = [i for i in on if i-1 not in on]; after = [i+1 for i in on if i+1 not in on]
        return [(a*frame, min(b*frame, end)) for a,b in zip(first, after) if a*frame<end]
    curves = []
    for j,c in enumerate(classes):
        if c not in real: continue
        points = [(F(0), F(0))]
        for t in [-9., *sorted({float(v) for k in names for v in scores[k][:,j]})] if s.thresholds is None else s.thresholds:
            tp,e = 0,F(0)
            for k in names:
                found = runs(scores[k][:,j], t, dec(long[k])); ok = [shared(d, gt[k,c])>=dec(s.dtc)*(d[1]-d[0]) for d in found]
                tp += sum(sum(shared(d, [g]) for d,o in zip(found, ok) if o)>=dec(s.gtc)*(g[1]-g[0]) for g in gt[k,c])
                for d in (d for d,o in zip(found, ok) if not o):
                    e += 1/hours + sum(dec(s.alpha_ct)/last[q]/(len(real)-1) for q in real if q!=c and shared(d, gt[k,q])>=dec(s.cttc)*(d[1]-d[0]))
            points.append((e, F(tp, n[c])))
        curves.append(points)
    x = sorted({e for p in curves for e,_ in p if e<=s.e_max}); area = 0.
    for a,b in zip(x, x[1:]+[dec(s.e_max)]):
        y = [float(max(t for e,t in p if e<=a)) for p in curves]
        area += max(0., np.mean(y)-s.alpha_st*np.std(y))*float(b-a)
    return area/s.e_max

def draw(rng):
    "A few clips with ties, silence, padding, short frames, classes that do not occur, events that touch"
    C,n = int(rng.integers(1, 4)),int(rng.integers(1, 5)); scores,truth,long = {},{},{}
    for k in map(str, range(n)):
        T = int(rng.integers(3, 30))
        scores[k] = rng.integers(0, rng.integers(2, 40), (T,C))/40 if rng.random()<.7 else rng.random((T,C)).cumsum(0)%1
        long[k] = max(round(float(rng.uniform(max(T*.1-1, .2), T*.1)), int(rng.integers(1, 4))), .2); truth[k] = []
        for c in 'ABC'[:C]:
            cut = np.unique(np.round(rng.uniform(0, long[k], 2*int(rng.integers(0, 3))), int(rng.integers(1, 3)))); cut = cut[cut<=long[k]]
            if rng.random()<.2 and len(cut)>2: cut = np.repeat(cut, [1]+[2]*(len(cut)-2)+[1])
            truth[k] += [(c, float(a), float(b)) for a,b in zip(cut[::2], cut[1::2])]
    return scores, truth, long, 'ABC'[:C]

TRIED = (PSDS1._replace(e_max=1000.), PSDS2._replace(e_max=1000.), Scenario(.5, .3, .2, 1., .5, 5000.), PSDS2._replace(e_max=3000., thresholds=THRESHOLDS))
@pytest.mark.parametrize('seed', range(3))
def test_every_threshold_one_by_one(seed):
    rng,done,above = np.random.default_rng(seed),0,0
    while done<15:
        scores,truth,long,classes = draw(rng)
        if not any(truth.values()): continue
        exam = Exam(Scores(scores, classes, .1), truth, long, tail='drop'); got = psds_scores(exam, dict(enumerate(TRIED)))
        for i,s in enumerate(TRIED): assert float(got[i])==pytest.approx(referee(scores, truth, long, classes, F(1, 10), s), abs=1e-9), (scores, truth, long, s)
        done += 1; above += any(v>0 for v in got.values())
    assert above>7                                                            # the cases are worth something

def test_all_runs_are_those_of_every_threshold():
    rng = np.random.default_rng(7)
    for _ in range(200):
        parts = [np.append(rng.integers(0, rng.integers(1, 9), rng.integers(1, 12)).astype(rng.choice(['f2','f4','f8'])), -np.inf) for _ in range(rng.integers(1, 4))]
        x = np.concatenate(parts); r = all_runs(x, max(map(len, parts)))
        for t in np.arange(-1.5, 9, .5):
            on = x>t; want = list(zip(np.flatnonzero(on & ~np.roll(on, 1)), np.flatnonzero(np.roll(on, 1) & ~on)))
            here = (r.level>t) & (r.floor<=t)
            assert sorted(zip(r.first[here], r.end[here]))==want
            assert r.born(np.ones(len(here)))[r.level>t].sum()==len(want)

def test_blocks_threads_types_and_files_change_nothing(exams, tmp_path, monkeypatch):
    from audiossl.downstream import psds
    from audiossl.downstream.decoding import write_scores
    e,want = exams['med7'],psds_scores(exams['med7'])
    for k,v in psds_scores(e, threads=3).items(): assert v==want[k]
    monkeypatch.setattr(psds._changes, '__defaults__', (300,))
    for k,v in psds_scores(e).items(): assert float(v)==pytest.approx(want[k], abs=1e-12)
    write_scores(tmp_path/'s.npz', ((k, s.astype('f4')) for k,s in Scores.items(exams['raw'].scores)), e.classes, block=3)
    back = Exam(read_scores(tmp_path/'s.npz').filtered(7), read_truth(SED/'ground_truth.tsv'), read_durations(SED/'durations.tsv'))
    for k,v in psds_scores(back).items(): assert float(v)==pytest.approx(want[k], abs=1e-9)

# --- what must not matter, and what must

def remake(e, order=None, classes=None, extra=(), f=lambda s: s):
    order = list(order if order is not None else range(len(e.clips))); cs = list(classes if classes is not None else range(len(e.classes)))
    truth,long = dict(read_truth(SED/'ground_truth.tsv')),dict(read_durations(SED/'durations.tsv'))
    clips = {e.clips[i]: f(e.scores[e.clips[i]])[:,cs] for i in order} | {k: np.full((250,len(cs)), 1e-9) for k in extra}
    return Exam(Scores(clips, [e.classes[c] for c in cs]), {k: truth.get(k, []) for k in clips}, {k: long.get(k, 10.) for k in clips})

def test_order_and_scale_do_not_matter(exams):
    e,want,rng = exams['raw'],psds_scores(exams['raw']),np.random.default_rng(0)
    for other in (remake(e, order=rng.permutation(10)), remake(e, classes=rng.permutation(10)), remake(e, f=lambda s: np.log(s/(1-s))), remake(e, f=lambda s: s**9)):
        for k,v in psds_scores(other).items(): assert float(v)==pytest.approx(want[k], abs=1e-12)

def test_a_silent_clip_changes_the_hours_only(exams):
    e = exams['raw']; s = PSDS1._replace(e_max=1000.)
    a,b = psds_score(e, s),psds_score(remake(e, extra=['silence.wav']), s._replace(e_max=1000.*10/11))             # 110 s instead of 100
    assert b.seconds==110 and float(a)==pytest.approx(float(b), abs=1e-9)

def test_a_noisy_empty_clip_costs(exams):
    e = exams['raw']; noisy = np.random.default_rng(0).random((250,10)); truth = dict(read_truth(SED/'ground_truth.tsv'))
    with_it = Exam(Scores(dict(e.scores.items())|{'n': noisy}, e.classes), truth|{'n': []}, dict.fromkeys([*e.clips, 'n'], 10.))
    assert psds_score(with_it, PSDS2)<psds_score(remake(e, extra=['n']), PSDS2)-.05
    assert (intersection_counts(with_it)[1]>intersection_counts(e)[1]).all()

def test_shuffled_scores_are_worth_nothing(exams):
    rng = np.random.default_rng(0)
    for v in psds_scores(remake(exams['raw'], f=lambda s: rng.permuted(s, axis=0))).values(): assert v<=.05

def test_a_class_that_does_not_occur_is_left_out_and_named():
    s = np.zeros((250,3)); s[50:75,0] = s[100:125,2] = .9; s[100:125,1] = .8
    e = Exam(Scores({'x': s}, 'ABC'), {'x': [('A',2,3), ('C',4,5)]}, {'x': 10.})
    p = psds_score(e, PSDS2)
    assert p.empty==['B'] and np.isnan(p.per_class[1]) and float(p)==1. and str(p)=='1.0000 over 2 of 3 classes in 0.00278 h'
    assert intersection_f1(e).per_class.tolist()==[1,0,1]                                    # found though it never occurs: 0, and it counts
    assert np.isnan(intersection_f1(e, .85).per_class[1]) and float(intersection_f1(e, .85))==1.
    alone = Exam(Scores({'x': s[:,:1]}, 'A'), {'x': [('A',2,3)]}, {'x': 10.})
    assert float(psds_score(alone, PSDS2))==1.                                              # no other class, no cross trigger
    with pytest.raises(ValueError, match='no event of any class'): psds_score(Exam(Scores({'x': s}, 'ABC'), {'x': []}, {'x': 10.}))
    for bad in (dict(dtc=0.), dict(gtc=1.1), dict(cttc=0), dict(e_max=0.), dict(alpha_ct=-1)):
        with pytest.raises(ValueError, match='shares lie above 0'): psds_score(e, PSDS1._replace(**bad))

def test_event_f1_matches_as_many_as_can_be():
    "Greedy matching would pair the first detection with the first event, and leave the second event alone"
    found = np.zeros((250,1)); found[25:49] = 1; e = lambda truth: Exam(Scores({'x': found}, 'A'), {'x': truth}, {'x': 10.})
    assert event_f1(e([('A',.85,1.9)])).tp==[1] and event_f1(e([('A',.75,1.9)])).tp==[0]
    s = np.zeros((250,1)); s[25:28] = s[29:32] = 1                                            # 1.00-1.12 and 1.16-1.28 s
    both = Exam(Scores({'x': s}, 'A'), {'x': [('A',.97,1.10), ('A',1.10,1.30)]}, {'x': 10.})
    assert event_f1(both).tp==[2]
    wide = Exam(Scores({'x': s}, 'A'), {'x': [('A',.80,1.0), ('A',1.0,1.12)]}, {'x': 10.})      # the first event fits the first detection only
    assert event_f1(wide).tp==[2] and float(event_f1(wide))==1.
    assert float(F1([0], [0], [0]))==0. and np.isnan(F1([0], [0], [0]).per_class[0])
    far = Exam(Scores({'a': found, 'b': 0*found}, 'A'), {'a': [], 'b': [('A',1.,1.96)]}, {'a': 10., 'b': 10.})
    assert event_f1(far).tp==[0]                                                              # not in the same clip

def test_segments_of_short_clips():
    s = np.zeros((250,1)); s[0:30] = s[200:225] = 1                                           # 0-1.2 s, and 8-9 s, which lies after the end
    for tail in ('drop', 'count'):
        f = segment_f1(Exam(Scores({'a': s, 'b': 0*s}, 'A'), {'a': [('A',0.,.5)], 'b': [('A',9.,10.)]}, {'a': 6.5, 'b': 10.}, tail))
        assert (f.tp, f.fp, f.n_ref)==([1],[1],[2])

def test_thresholds_by_class(exams):
    e = exams['raw']; t = np.linspace(.1, .9, 10)
    for f in (intersection_f1, event_f1, segment_f1): np.testing.assert_array_equal(f(e, t).tp, [f(e, v).tp[c] for c,v in enumerate(t)])

# --- the field's own package, where it can be installed (sed_scores_eval 0.0.4 wants pandas<3 and setuptools<81)

def test_against_sed_scores_eval(exams):
    sse = pytest.importorskip('sed_scores_eval', reason='sed_scores_eval is not installed (it needs old pandas and setuptools)')
    from sed_scores_eval.base_modules.scores import create_score_dataframe
    rng = np.random.default_rng(3); C,n = 4,24; classes = [f'c{k}' for k in range(C)]; scores,truth = {},{}
    for i in range(n):
        z = rng.normal(size=(256,C)).cumsum(0)*.15-2.5+rng.normal(size=(256,C))*.6; z = z[:250]; truth[f'{i:02}'] = []
        for c in range(C) if i%6 else ():
            a = float(rng.uniform(0, 8)); b = a+float(rng.uniform(.3, 2))
            if rng.random()<.7: truth[f'{i:02}'].append((round(a, 3), round(b, 3), classes[c])); z[int(a*25):int(b*25),c] += rng.normal(3, 1.5)
        scores[f'{i:02}'] = 1/(1+np.exp(-z))
    long = {k: 10. for k in scores}; edges = np.round(np.arange(251)*.04, 6)
    theirs = {k: create_score_dataframe(s, edges, classes) for k,s in scores.items()}
    e = Exam(Scores(scores, classes), {k: [(c,a,b) for a,b,c in v] for k,v in truth.items()}, long)
    for s in (PSDS1, PSDS2, PSDS1._replace(alpha_st=0., e_max=1000.), PSDS2._replace(alpha_ct=1., e_max=2000.), Scenario(.5, .5, .2, .3, .5, 500.)):
        want = sse.intersection_based.psds(theirs, truth, long, dtc_threshold=s.dtc, gtc_threshold=s.gtc, cttc_threshold=s.cttc if s.alpha_ct else None,
                                           alpha_ct=s.alpha_ct, alpha_st=s.alpha_st, max_efpr=s.e_max, unit_of_time='hour')
        got = psds_score(e, s)
        assert float(got)==near(float(want[0]))
        np.testing.assert_allclose(got.per_class, [want[1][c] for c in classes], atol=1e-6)
    for t in (.2, .5, .8):
        for f,g in ((intersection_f1(e, t), sse.intersection_based.fscore(theirs, truth, threshold=t, dtc_threshold=.5, gtc_threshold=.5)),
                    (event_f1(e, t), sse.collar_based.fscore(theirs, truth, threshold=t, onset_collar=.2, offset_collar=.2, offset_collar_rate=.2)),
                    (segment_f1(e, t), sse.segment_based.fscore(theirs, truth, long, threshold=t, segment_length=1.))):
            assert float(f)==near(g[0]['macro_average']) and f.micro==near(g[0]['micro_average'])

def test_the_whole_set_in_small(tmp_path):
    "`tools/psds_whole.py`, which measures 16,000 clips and 407 classes, on a few: files as `evaluate-events` reads them, figures that do not hang on threads"
    def run(*more):
        subprocess.run([sys.executable, ROOT/'tools/psds_whole.py', '--clips', '70', '--classes', '9', '--folder', tmp_path, '--out', tmp_path/'w.json', *more], check=True, capture_output=True)
        return json.loads((tmp_path/'w.json').read_text())
    a,b = run(),run('--threads', '2')
    assert (a['clips'], a['classes'], a['frames'], a['whole'])==(70, 9, 70*250, False) and a['hours']==pytest.approx(700/3600) and a['events']>300
    assert a['scores']==b['scores'] and 0<a['scores']['psds1_alpha_st0']<a['scores']['psds2_alpha_st0']<1
    assert a['psds_seconds']>0 and a['peak_gb']>=a['peak_gb_before']>0 and [p.name for p in tmp_path.iterdir()]==['w.json']
