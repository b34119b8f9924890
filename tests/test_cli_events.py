"`audiossl evaluate-events` as it is typed: the golden figures, what it writes, and one line for each mistake"
import json, os, shutil, subprocess, sys
from pathlib import Path
import numpy as np, pytest
from audiossl.cli_events import NAMES, event_report, report_markdown
from audiossl.downstream.decoding import Exam, Scores, read_durations, read_scores, read_truth

SED = Path(os.environ.get('AUDIOSSL_GOLDEN_SED', Path(__file__).parent/'data'/'sed'))
THREE = SED/'scores.npz', SED/'ground_truth.tsv', SED/'durations.tsv'

@pytest.mark.parametrize('window,v', [(1,'raw'), (7,'med7')])
def test_golden_figures(typed, tmp_path, window, v):
    code,out,err = typed('evaluate-events', *THREE, '--window', window, '--json', tmp_path/'a.json', '--markdown', tmp_path/'a.md', '--threads', 2)
    assert (code,err)==(0,[])
    r,want = json.loads((tmp_path/'a.json').read_text()),json.loads((SED/'results.json').read_text()); m = r['metrics']
    for k,o in want['psds'][v].items():
        assert m[k]['exact']==pytest.approx(o['sed_scores_eval_exact'], abs=1e-6) and m[k]['thresholds_50']==pytest.approx(o['psds_eval_50_thresholds'], abs=1e-6)
    for k,o in (('event_f1', want['event_based'][v]['sed_eval']), ('segment_f1', want['segment_based_1s'][v]['sed_eval']),
                ('intersection_f1', want['intersection_based'][v]['dtc0.5_gtc0.5']['sed_scores_eval'])):
        assert m[k]['macro']==pytest.approx(o['macro_f1'], abs=1e-6) and m[k]['micro']==pytest.approx(o['micro_f1'], abs=1e-6)
    assert (r['clips'], r['empty_clips'], r['events'], r['classes'], r['never'], r['window'][0])==(10, 1, 67, 10, [], window)
    for text in ('\n'.join(out), (tmp_path/'a.md').read_text()):
        for k in NAMES.values(): assert k in text
        for k in ('psds1','psds2'): assert f'{m[k]["exact"]:.4f}' in text
        assert '10 clips (1 without events), 0.0278 h, 67 events of 10 classes' in text and '2.78 of a class in this set' in text
    assert '| Vacuum_cleaner | 2 |' in (tmp_path/'a.md').read_text()

def test_the_installed_way_in_a_process_of_its_own(tmp_path):
    r = subprocess.run([sys.executable, '-c', 'from audiossl.cli_events import main; main()', 'evaluate-events', *map(str, THREE)], capture_output=True, text=True, cwd=tmp_path)
    assert r.returncode==0 and '0.3801' in r.stdout and r.stderr=='' and list(tmp_path.iterdir())==[]

def test_a_window_for_each_class_and_a_threshold(typed, tmp_path):
    code,_,_ = typed('evaluate-events', *THREE, '--window', ','.join(['1']*5+['7']*5), '--threshold', .3, '--json', tmp_path/'a.json')
    r = json.loads((tmp_path/'a.json').read_text())
    assert code==0 and r['window']==[1]*5+[7]*5 and r['threshold']==.3

def test_what_never_occurs_is_named_and_plain_values_only():
    e = Exam(Scores({'a': np.zeros((250,2)), 'b': np.ones((250,2))}, ['A|B','C']), {'b': [('A|B',9,10), ('A|B',1,2)], 'a': []}, {'a': 10., 'b': 10., 'c': 1.})
    r = event_report(e); text = report_markdown(r)
    json.dumps(r, allow_nan=False)
    assert r['never']==['C'] and 'because they never occur (1 of 2 classes): C' in text and '| A\\|B | 2 |' in text
    assert 'begins before the row above; sorted' in text and '1 clips without scores do not count' in text
    assert r['metrics']['event_f1']['macro_of_found'] is None

@pytest.mark.parametrize('words,say', [
    (('none.npz', *THREE[1:]), 'none.npz: no such file of scores'), ((THREE[0], 'none.tsv', THREE[2]), 'none.tsv: no such table'),
    ((THREE[0], THREE[1], THREE[1]), 'columns filename, onset, offset, event_label; filename and duration are needed'),
    ((THREE[1], *THREE[1:]), 'ground_truth.tsv: no file of scores'), ((*THREE, '--window', 4), 'window: 4 frames; odd numbers from 1'),
    ((*THREE, '--window', 'seven'), '--window seven: odd numbers'), ((*THREE, '--window', '7,7'), '2 numbers; 1, or 10 for the classes'),
    ((*THREE, '--tail', 'keep'), "'drop' or 'count'"), ((*THREE, '--threads', 0), '--threads 0'),
])
def test_one_line_for_each_mistake(typed, words, say):
    code,_,err = typed('evaluate-events', *words)
    assert code==1 and len(err)==1 and say in err[0]

def test_a_wrong_row_is_named(typed, tmp_path):
    text = THREE[1].read_text().splitlines()
    (tmp_path/'t.tsv').write_text('\n'.join([*text[:3], text[3].replace('Dog','Cow'), *text[4:]])+'\n')
    code,_,err = typed('evaluate-events', THREE[0], tmp_path/'t.tsv', THREE[2])
    assert code==1 and len(err)==1 and 't.tsv: row 3, clip_00.wav: Cow' in err[0]
    (tmp_path/'t.tsv').write_text('\n'.join([*text, text[3]])+'\n')
    code,_,err = typed('evaluate-events', THREE[0], tmp_path/'t.tsv', THREE[2])
    assert code==1 and f't.tsv: row {len(text)}, clip_00.wav: Dog overlaps' in err[0]
    assert typed('evaluate-events', THREE[0], tmp_path/'t.tsv', THREE[2], '--merge')[0]==0
