"Scores to events against the golden detections; files of scores that are whole, large, foreign or broken; one line for each wrong table"
import json, os, zipfile
from pathlib import Path
import numpy as np, pytest
from scipy import ndimage
from audiossl.datasets.events import read_events, write_events
from audiossl.downstream.decoding import Exam, Scores, THRESHOLDS, Table, decode, median_filter, read_durations, read_scores, read_truth, write_scores
from audiossl.transforms.frame_labels import ManyHot

SED = Path(os.environ.get('AUDIOSSL_GOLDEN_SED', Path(__file__).parent/'data'/'sed'))
rng = lambda seed=0: np.random.default_rng(seed)

def as_rows(table): return sorted((k, round(a, 3), round(b, 3), l) for k,es in table.items() for l,a,b in es)

# --- events

@pytest.mark.parametrize('name,window', [('raw',1), ('med7',7)])
def test_golden_detections(name, window):
    want = as_rows(read_events(SED/f'detections_th0.5_{name}.tsv'))
    assert len(want)>30
    scores = read_scores(SED/'scores.npz')
    assert as_rows(scores.filtered(window).events(.5))==want
    assert as_rows({k: decode(scores[k], scores.classes, window=window) for k in scores.clips})==want
    exam = Exam(scores.filtered(window), read_truth(SED/'ground_truth.tsv'), read_durations(SED/'durations.tsv'))
    found = [(exam.clips[i], round((a-exam.base[i])/1e6, 3), round((b-exam.base[i])/1e6, 3), c) for n,c in enumerate(exam.classes)
             for a,b in zip(*exam.found(n)) for i in [np.searchsorted(exam.base, a, 'right')-1]]
    assert sorted(found)==want

@pytest.mark.parametrize('pooling,key', [(4,'strong_40ms'), (16,'strong_160ms')])
def test_golden_labels_come_back_from_their_own_matrix(pooling, key):
    "The golden label matrices are what the encoder makes, and decoding them gives events at most a frame wider"
    many,truth = np.load(SED/'many_hot.npz'),read_truth(SED/'ground_truth.tsv')
    scores = read_scores(SED/'scores.npz'); code = ManyHot(scores.classes, net_pooling=pooling)
    for y,clip in zip(many[key], scores.clips):
        np.testing.assert_array_equal(code.encode_strong(truth[clip]), y)
        back = decode(y.astype(float), scores.classes, frame_s=code.frame_s)
        assert len(back)<=len(truth[clip])
        for l,a,b in truth[clip]: assert any(m==l and x<=a+1e-6 and (y>=b-1e-6 or b>y>9.9) for m,x,y in back), (clip, l, a, b)
    np.testing.assert_array_equal(many['weak'], [[float(any(e[0]==c for e in truth[k])) for c in scores.classes] for k in scores.clips])

def test_filter_is_scipys_reflect_and_commutes_with_every_threshold():
    r = rng(1)
    for T in (1, 2, 5, 60):
        s = r.random((T,3)).round(2)
        for w in (1, 3, 7, 31):
            m = median_filter(s, w); i = np.arange(-(w//2), T+w//2)%(2*T); i = np.minimum(i, 2*T-1-i)        # d c b a | a b c d | d c b a
            np.testing.assert_array_equal(m, [np.median(s[i][k:k+w], 0) for k in range(T)])
            if w<=2*T: np.testing.assert_array_equal(m, ndimage.median_filter(s, (w,1), mode='reflect'))        # on (2, 3), a window of 31 makes scipy 1.17 wrong
            for t in THRESHOLDS: np.testing.assert_array_equal(m>t, median_filter((s>t).astype(float), w)>.5)
    np.testing.assert_array_equal(median_filter(s, [1,3,7])[:,2], median_filter(s[:,2], 7))
    stacked = median_filter(np.concatenate([s, s[:9]]), 7, [60, 9])
    np.testing.assert_array_equal(stacked, np.concatenate([median_filter(s, 7), median_filter(s[:9], 7)]))
    for bad in (0, 2, -3, 1.5, [1,2,3]):
        with pytest.raises(ValueError, match='odd numbers from 1'): median_filter(s, bad)

def test_thresholds(): assert len(THRESHOLDS)==50 and THRESHOLDS[0]==.01 and THRESHOLDS[25]==.51 and THRESHOLDS[-1]==.99

def test_round_trip_within_a_frame():
    r = rng(2); code = ManyHot(['A','B'])
    for _ in range(50):
        cut = np.sort(r.uniform(0, 10, 8)); events = [('AB'[i%2], cut[2*i], cut[2*i+1]) for i in range(4) if cut[2*i+1]-cut[2*i]>.01]
        back = decode(code.encode_strong(events), ['A','B'])
        for l,a,b in events: assert any(m==l and a-.04<x<=a+1e-6 and b-1e-6<=y or m==l and x<=a and y>=b for m,x,y in back)

def test_strictly_above_a_threshold_for_each_class_and_where_the_clip_ends():
    s = np.full((10,2), .5)
    assert decode(s, ['A','B'])==[] and decode(s, ['A','B'], .49)==[('A',0.,.4), ('B',0.,.4)]
    assert decode(s, ['A','B'], [.4,.6])==[('A',0.,.4)]
    assert decode(s, ['A','B'], [.4,.6], duration=.35)==[('A',0.,.35)] and decode(s, ['A','B'], .4, duration=9.)[0][2]==.4
    assert decode(np.eye(10)[:,:2], ['A','B'], duration=.04)==[('A',0.,.04)]               # the second class begins where the clip is over
    assert decode(s, ['Male speech, man speaking','B'], .4)[0][0]=='Male speech, man speaking'  # names may hold blanks
    for bad,say in [((s, ['A']), r'scores \(10, 2\)'), ((s, ['A','B'], [.1]*3), r'threshold \(3,\)'), ((s*np.nan, ['A','B']), 'frame 0 is not finite')]:
        with pytest.raises(ValueError, match=say): decode(*bad)

# --- files of scores

def some(n=7, C=3, seed=0):
    r = rng(seed); return {f'k {i}.wav': r.random((int(r.integers(1, 60)), C)).astype('f4') for i in range(n)}

@pytest.mark.parametrize('dtype', ['f2','f4','f8'])
def test_written_is_read(tmp_path, dtype):
    clips = {k: s.astype(dtype) for k,s in some().items()}
    write_scores(tmp_path/'s.npz', Scores(clips, 'ABC', .064)); back = read_scores(tmp_path/'s.npz')
    assert back.clips==list(clips) and back.classes==['A','B','C'] and back.frame_s==.064 and back.blocks[0].dtype==dtype
    for k,s in clips.items(): np.testing.assert_array_equal(back[k], s)
    for c in range(3): np.testing.assert_array_equal(back.column(c), np.concatenate([s[:,c] for s in clips.values()]))
    assert isinstance(back.blocks[0], np.memmap)

def test_written_block_by_block_is_the_same_and_the_bytes_do_not_depend_on_the_day(tmp_path, monkeypatch):
    clips = some(20)
    write_scores(tmp_path/'a.npz', clips.items(), 'ABC', block=3); write_scores(tmp_path/'b.npz', iter(clips.items()), 'ABC', block=3)
    assert (tmp_path/'a.npz').read_bytes()==(tmp_path/'b.npz').read_bytes()
    a,b = read_scores(tmp_path/'a.npz').filtered(5),Scores(clips, 'ABC').filtered(5)
    assert len(a.blocks)==7
    for k in clips: np.testing.assert_array_equal(a[k], b[k])
    np.testing.assert_array_equal(a.column(1), b.column(1))

def test_a_failed_write_leaves_nothing(tmp_path):
    def broken():
        yield 'a.wav', np.zeros((5,1))
        raise RuntimeError('model')
    with pytest.raises(RuntimeError): write_scores(tmp_path/'s.npz', broken(), ['A'])
    with pytest.raises(ValueError, match='each clip needs its own'): write_scores(tmp_path/'s.npz', [('a', np.zeros((5,1)))]*2, ['A'], block=1)
    with pytest.raises(ValueError, match='0 clips'): write_scores(tmp_path/'s.npz', [], ['A'])
    with pytest.raises(ValueError, match='ends in .npz'): write_scores(tmp_path/'s.csv', some(), 'ABC')
    assert list(tmp_path.iterdir())==[]

def test_golden_file_of_another_program_is_read():
    s,z = read_scores(SED/'scores.npz'),np.load(SED/'scores.npz')
    assert len(s)==10 and s.frame_s==.04 and s.clips==z['filenames'].tolist()
    np.testing.assert_array_equal(s['clip_03.wav'], z['scores'][3])

def test_broken_files_of_scores(tmp_path):
    good = dict(scores=np.zeros((2,5,1)), filenames=['a','b'], classes=['A'], timestamps=np.arange(6)*.04)
    def say(match, kind=ValueError, **changes):
        p = tmp_path/'x.npz'; np.savez(p, **{k:v for k,v in (good|changes).items() if v is not None})
        with pytest.raises(kind, match=match) as e: read_scores(p)
        assert str(p) in str(e.value) and '\n' not in str(e.value)
    say("'filenames' is missing; there are", filenames=None); say("'frame_s' is missing", timestamps=None)
    say('timestamps do not lie', timestamps=np.array([0,.04,.08,.2,.24,.28]))
    say(r'not numbers', scores=np.full((2,5,1), 'x')); say('are not 2 classes', classes=['A','B']); say('frames of 3 clips', filenames=['a','b','c'])
    say('a is there twice', filenames=['a','a'])
    say('no file of scores', filenames=np.array([dict()], object))
    write_scores(tmp_path/'t.npz', some(), 'ABC'); raw = (tmp_path/'t.npz').read_bytes()
    for cut in (10, len(raw)//2, len(raw)-5):
        (tmp_path/'t.npz').write_bytes(raw[:cut])
        with pytest.raises(ValueError, match='t.npz: no file of scores'): read_scores(tmp_path/'t.npz')
    with pytest.raises(FileNotFoundError, match='no such file of scores'): read_scores(tmp_path/'none.npz')

def test_nan_is_named(tmp_path):
    clips = some(); clips['k 4.wav'][0,1] = np.nan
    write_scores(tmp_path/'s.npz', Scores(clips, 'ABC'))
    with pytest.raises(ValueError, match=r's.npz: k 4.wav: B is nan in frame 0; finite'): read_scores(tmp_path/'s.npz').column(1)
    assert np.isfinite(read_scores(tmp_path/'s.npz').column(0)).all()

# --- tables, and the three held against each other

TRUTH,LONG = 'a.wav\t1\t2\tA\nb.wav\t\t\t\n', 'a.wav\t10\nb.wav\t10\n'
@pytest.fixture
def exam(tmp_path):
    def make(truth=TRUTH, long=LONG, frames=250, **kw):
        (tmp_path/'truth.tsv').write_text('filename\tonset\toffset\tevent_label\n'+truth); (tmp_path/'long.tsv').write_text('filename\tduration\n'+long)
        return Exam(Scores({k: np.zeros((frames,2)) for k in ('a.wav','b.wav')}, 'AB', name='s.npz'), read_truth(tmp_path/'truth.tsv'), read_durations(tmp_path/'long.tsv'), **kw)
    return make

@pytest.mark.parametrize('kw,say', [
    (dict(truth='a.wav\t1\t3\tA\na.wav\t2\t4\tA\nb.wav\t\t\t\n'), r'truth.tsv: row 2, a.wav: A overlaps the one of .*truth.tsv: row 1, a.wav'),
    (dict(truth='a.wav\t2\t4\tA\nb.wav\t\t\t\na.wav\t1\t3\tA\n'), r'truth.tsv: row 3, a.wav: A overlaps the one of .*row 1'),
    (dict(truth='a.wav\t3\t2\tA\nb.wav\t\t\t\n'), r"truth.tsv: row 1, a.wav: 'A' from 3.0 to 2.0 s"),
    (dict(truth='a.wav\t2\t2\tA\nb.wav\t\t\t\n'), r'truth.tsv: row 1, a.wav'),
    (dict(truth='a.wav\t-1\t2\tA\nb.wav\t\t\t\n'), r'truth.tsv: row 1, a.wav'),
    (dict(truth='a.wav\tone\t2\tA\nb.wav\t\t\t\n'), r"truth.tsv: row 1, a.wav: onset 'one'"),
    (dict(truth='a.wav\t1\tnan\tA\nb.wav\t\t\t\n'), r'truth.tsv: row 1, a.wav'),
    (dict(truth='a.wav\t1\tinf\tA\nb.wav\t\t\t\n'), r'truth.tsv: row 1, a.wav: A from 1 to inf s ends after its clip'),
    (dict(truth='a.wav\t1\t2\t\nb.wav\t\t\t\n'), r'truth.tsv: row 1, a.wav'),
    (dict(truth='b.wav\t\t\t\na.wav\t1\t2\tCow\n'), r'truth.tsv: row 2, a.wav: Cow from 1 to 2 s is a class without scores; there are A, B'),
    (dict(truth='a.wav\t1\t2\tA\n'), r'truth.tsv: b.wav has scores, but no row here; a clip without events is one row'),
    (dict(truth=TRUTH+'c.wav\t1\t2\tA\n'), r's.npz: no scores of .*truth.tsv: row 3, c.wav'),
    (dict(long='a.wav\t10\n'), r'long.tsv: b.wav has scores, but no row here'),
    (dict(long='a.wav\t1.5\nb.wav\t10\n'), r'truth.tsv: row 1, a.wav: A from 1 to 2 s ends after its clip, which lasts 1.5 s'),
    (dict(long='a.wav\t0\nb.wav\t10\n'), r"long.tsv: row 1, a.wav: duration '0'; one number of seconds above 0"),
    (dict(long='a.wav\t10\nb.wav\tlong\n'), r"long.tsv: row 2, b.wav: duration 'long'"),
    (dict(long='a.wav\t10\nb.wav\n'), r'long.tsv: row 2, b.wav: duration None'),
    (dict(long='a.wav\t10\nb.wav\t10\na.wav\t9\n'), r"long.tsv: row 3, a.wav: duration '9'; one number"),
    (dict(frames=249), r's.npz: a.wav: 249 frames of 0.04 s for 10 s; allowed are 250 to 251'),
    (dict(frames=1000), r's.npz: a.wav: 1000 frames of 0.04 s for 10 s'),
    (dict(tail='keep'), r"tail='keep': None, 'drop' or 'count'"),
])
def test_one_line_for_each_wrong_table(exam, kw, say):
    with pytest.raises(ValueError, match=say) as e: exam(**kw)
    assert '\n' not in str(e.value)

def test_tables_without_their_columns(tmp_path):
    (tmp_path/'x.tsv').write_text('file\tonset\n1\t2\n')
    with pytest.raises(ValueError, match="x.tsv: column 'filename' is missing"): read_truth(tmp_path/'x.tsv')
    with pytest.raises(ValueError, match='x.tsv: columns file, onset; filename and duration are needed'): read_durations(tmp_path/'x.tsv')
    with pytest.raises(FileNotFoundError): read_durations(tmp_path/'none.tsv')

def test_rows_out_of_order_are_sorted_and_said(exam):
    e = exam('a.wav\t5\t6\tA\nb.wav\t\t\t\na.wav\t1\t2\tA\n')
    assert len(e.notes)==1 and 'row 3, a.wav: A from 1 to 2 s begins before the row above; sorted' in e.notes[0]
    np.testing.assert_array_equal(e.refs(0)[0], [1_000_000, 5_000_000])

def test_touching_is_allowed_and_merging_joins(exam):
    rows = 'a.wav\t1\t2\tA\na.wav\t2\t3\tA\na.wav\t2.5\t4\tB\nb.wav\t\t\t\n'
    assert exam(rows).n_ref.tolist()==[2,1] and exam(rows, merge=True).n_ref.tolist()==[1,1]
    assert exam('a.wav\t1\t3\tA\na.wav\t2\t4\tA\nb.wav\t\t\t\n', merge=True).refs(0)[1].tolist()==[4_000_000]

def test_clips_match_without_their_endings_and_only_scored_ones_count():
    s = Scores({'x_1.500': np.zeros((250,1)), 'y.flac': np.zeros((250,1))}, ['A'])
    e = Exam(s, {'x_1.500.wav': [('A',0,1)], 'y.wav': []}, {'x_1.500.wav': 10., 'y': 10., 'never.wav': 99.})
    assert e.seconds==20 and e.notes==['durations: 1 clips without scores do not count']

def test_what_lies_after_the_end_of_a_clip():
    s = Scores({'a': np.ones((250,1)), 'b': np.ones((250,1))}, ['A']); truth = {'a': [], 'b': []}
    assert [b-a for a,b in zip(*Exam(s, truth, {'a': 10., 'b': 7.33}).found(0))]==[10_000_000, 7_330_000]       # padded to the longest clip: dropped
    assert [b-a for a,b in zip(*Exam(s, truth, {'a': 7., 'b': 7.33}, 'drop').found(0))]==[7_000_000, 7_330_000]
    assert [b-a for a,b in zip(*Exam(s, truth, {'a': 7., 'b': 7.33}, 'count').found(0))]==[10_000_000]*2
    short = Scores({'a': np.ones((62,1))}, ['A'], .16)                                                           # 62 frames cover 9.92 s: fine
    assert Exam(short, {'a': [('A',9.95,10.)]}, {'a': 10.}).found(0)[1].tolist()==[9_920_000]

def test_an_event_may_outlast_its_clip_by_a_little():
    s = Scores({'a': np.ones((250,1))}, ['A'])
    assert Exam(s, {'a': [('A',9,10.04)]}, {'a': 10.}).n_ref[0]==1
    with pytest.raises(ValueError, match='ends after its clip'): Exam(s, {'a': [('A',9,10.06)]}, {'a': 10.})
    assert Exam(s, {'a': [('A',9,10.06)]}, {'a': 10.}, slack=.1).n_ref[0]==1

def test_events_written_are_a_truth(tmp_path):
    s = Scores(some(), 'ABC'); found = s.events(.5)
    write_events(tmp_path/'found.tsv', found)
    assert dict(read_truth(tmp_path/'found.tsv'))==found
    assert Table({'a': []}).where('a')=='truth: a'
