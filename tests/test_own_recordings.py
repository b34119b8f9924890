"Events in recordings of one's own: folders, tables and labels as people have them, and what is said of those that cannot be used"
import json, warnings
import numpy as np, pytest, torch
from audiossl.audio import example, save_audio
from audiossl.datasets.events import read_events
from audiossl.datasets.soundscapes import folder_bank, sound_bank
from audiossl.detect import Found, draw_found, read_labels, write_found
from audiossl.downstream.decoding import Scores, write_scores
from audiossl.models.detector import Detector, SmallCRNN, load_detector, save_detector
from audiossl.models.weights import CheckpointError

@pytest.fixture
def own(tmp_path):
    "A recording with a blank and an umlaut in its name, in stereo at 44.1 kHz, and a detector with windows and thresholds of its own"
    import soundfile as sf
    sf.write(tmp_path/'Wald Mäerz.wav', np.random.default_rng(0).normal(0, .05, (12*44_100+17, 2)), 44_100)
    torch.manual_seed(0)
    d = Detector(SmallCRNN(channels=(4,8,8,8), hidden=16), ['Vögel','Regen'], 'full').eval()
    d.window,d.threshold = [3,9],[.25,.35]
    save_detector(d, tmp_path/'run'/'detector')
    return tmp_path/'Wald Mäerz.wav', tmp_path/'run'/'detector'

# --- labels of Audacity

def test_a_label_track_and_back(tmp_path):
    found = [Found('Vögel', .04, 1.6, .9), Found('Regen', .04, 9.99, .5), Found('Vögel', 3., 3.04, .7)]
    write_found(tmp_path/'a.txt', {'a.wav': (found, 10.)})
    assert (tmp_path/'a.txt').read_text(encoding='utf-8').splitlines()[0]=='0.040000\t1.600000\tVögel'
    assert read_labels(tmp_path/'a.txt')==[e[:3] for e in found]
    write_found(tmp_path/'none.txt', {'a.wav': ([], 10.)}); assert read_labels(tmp_path/'none.txt')==[]

def test_label_tracks_as_they_come(tmp_path):
    (tmp_path/'a.txt').write_bytes('\ufeff3.5\t4.25\tRegen \r\n\\\t500.0\t4000.0\r\n\r\n1.0\t2.0\tVögel\tmore\r\n'.encode())
    assert read_labels(tmp_path/'a.txt')==[('Vögel',1.,2.), ('Regen',3.5,4.25)]

@pytest.mark.parametrize('line', ['2.0\t1.0\tRegen', '1.0\t1.0\tRegen', '1.0\t2.0\t', '1.0\t2.0', '1,5\t2,5\tRegen', '-1\t2\tRegen', '1\tnan\tRegen', '1 2 Regen'])
def test_a_line_that_is_no_event(tmp_path, line):
    (tmp_path/'a.txt').write_text(f'0.0\t1.0\tVögel\n{line}\n', encoding='utf-8')
    with pytest.raises(ValueError, match='a.txt: line 2, .*: begin, end after it') as e: read_labels(tmp_path/'a.txt')
    assert '\n' not in str(e.value)

# --- tables

@pytest.mark.parametrize('text,said', [
    ('1.5\t2.0\tDog\n', 'The first line must name filename, onset, offset, event_label, with tabs between'), ('filename,onset,offset,event_label\na,1,2,Dog\n', 'with tabs between'),
    ('filename\tonset\toffset\tevent_label\r\na\t2\t1\tDog\r\n', 'row 1, a: .* an offset after it'), ('filename\tonset\toffset\tevent_label\na\t1,5\t2,5\tDog\n', "onset '1,5' .* numbers such as 1.5")])
def test_tables_say_what_they_need(tmp_path, text, said):
    (tmp_path/'t.tsv').write_bytes(text.encode())
    with pytest.raises(ValueError, match=said) as e: read_events(tmp_path/'t.tsv')
    assert '\n' not in str(e.value)

# --- folders of examples

def test_sounds_outside_the_folders_of_classes(tmp_path):
    (tmp_path/'flat').mkdir()
    for i in range(6): save_audio(tmp_path/'flat'/f'{i}.wav', torch.ones(4000)*.1)
    with pytest.raises(ValueError, match='flat: 0.wav lies in no folder of a class'): folder_bank(tmp_path/'flat')
    for c in 'ab':
        (tmp_path/'mixed'/c).mkdir(parents=True)
        for i in range(5): save_audio(tmp_path/'mixed'/c/f'{i}.wav', torch.ones(4000)*.1)
    assert folder_bank(tmp_path/'mixed').classes==('a','b')
    save_audio(tmp_path/'mixed'/'loose.wav', torch.ones(4000)*.1)
    with pytest.raises(ValueError, match='loose.wav is in no class'): folder_bank(tmp_path/'mixed')

def test_a_bank_that_is_not_there():
    with pytest.raises(FileNotFoundError, match=r'minisound: no such folder; minisounds .*synth'): sound_bank('minisound')

def test_two_numbers_as_they_are_typed(typed, tmp_path):
    few = [w for k in ('strong','weak','valid','test') for w in ('--option', f'{k}=1')]
    for p in [tmp_path/'mine'/c/f'{i}.wav' for c in 'ab' for i in range(5)]: p.parent.mkdir(parents=True, exist_ok=True); save_audio(p, torch.ones(4000)*.1)
    for i,v in enumerate(('6,30', '[6,30]', '(6, 30)')): assert typed('prepare', 'soundscapes', tmp_path/'mine', tmp_path/str(i), *few, '--option', f'snr_db={v}')[0]==0, v
    a,b,c = [(tmp_path/str(i)/'metadata'/'soundscapes.json').read_bytes() for i in range(3)]
    assert a==b==c and json.loads(a)['snr_db']==[6,30]
    for v in ('6', '6,x', '6,,30', '6,30,9'):
        code,_,err = typed('prepare', 'soundscapes', tmp_path/'mine', tmp_path/'x', *few, '--option', f'snr_db={v}')
        assert code==1 and len(err)==1 and 'two numbers are needed, such as 6,30' in err[0], err

# --- the detector, and what it is judged by

def test_the_folder_around_a_detector_is_helped_along(own, tmp_path):
    with pytest.raises(CheckpointError, match=r'run: no detector, .*there is one in .*detector'): load_detector(own[1].parent)
    with pytest.raises(CheckpointError, match='run_detection trains a detector'): load_detector(tmp_path/'nowhere')

def test_nothing_found_is_drawn_without_complaint(own):
    with warnings.catch_warnings():
        warnings.simplefilter('error'); fig = draw_found(own[0], [], 12.)
        fig.canvas.draw()
    assert [t.get_text() for t in fig.axes[-1].texts]==['nothing was found']

def test_a_recording_of_ones_own_is_judged_as_it_is_detected(typed, own, tmp_path):
    wave,model = own
    assert typed('detect', wave, '--model', model, '--out', tmp_path/'found.txt', '--scores', tmp_path/'s.npz', '--device', 'cpu')[0]==0
    mine = read_labels(tmp_path/'found.txt'); assert mine
    for truth,length in ((tmp_path/'found.txt', wave), (tmp_path/'found.txt', wave.parent)):          # what was found is the truth: all is right, if it is decoded as in detect
        code,out,err = typed('evaluate-events', tmp_path/'s.npz', truth, length, '--model', model, '--json', tmp_path/'j.json')
        r = json.loads((tmp_path/'j.json').read_text())
        assert (code,err)==(0,[]) and r['metrics']['event_f1']['macro']==1. and r['events']==len(mine)
        assert (r['window'], r['threshold'])==([3,9], [.25,.35]) and 'F1 at 0.25, 0.35' in ' '.join(out) and r['hours']==pytest.approx((12*44_100+17)/44_100/3600)
    code,out,_ = typed('evaluate-events', tmp_path/'s.npz', tmp_path/'found.txt', wave, '--model', model, '--threshold', .9, '--window', 1)
    assert code==0 and 'median filter 1, F1 at 0.9' in ' '.join(out)

def test_what_cannot_be_judged_is_one_line(typed, own, tmp_path):
    wave,model = own
    (tmp_path/'a.txt').write_text('1\t2\tDrossel\n')
    write_scores(tmp_path/'two.npz', Scores({'a': np.zeros((9,2)), 'b': np.zeros((9,2))}, ['Vögel','Regen']))
    write_scores(tmp_path/'cats.npz', Scores({wave.name: np.zeros((301,2))}, ['Vögel','Katze']))
    for words,said in (((tmp_path/'two.npz', tmp_path/'a.txt', wave), 'of one recording, but'), ((tmp_path/'cats.npz', tmp_path/'a.txt', wave, '--model', model), 'they must be the same'),
                       ((tmp_path/'cats.npz', tmp_path/'a.txt', wave), 'Drossel from 1 to 2 s is a class without scores'),
                       ((tmp_path/'cats.npz', tmp_path/'a.txt', wave, '--threshold', 12), '--threshold 12.0: 0 to 1')):
        code,_,err = typed('evaluate-events', *words)
        assert code==1 and len(err)==1 and said in err[0], err
    for some,said in (((tmp_path/'no.tsv', wave), 'no.tsv: no such table of events'), ((tmp_path/'a.txt', tmp_path/'no.wav'), 'no.wav: no such table of durations, recording or folder')):
        code,_,err = typed('evaluate-events', tmp_path/'cats.npz', *some); assert code==1 and len(err)==1 and said in err[0], err
    code,_,err = typed('detect', wave, example('dog'), '--model', model, '--out', tmp_path/'f.txt')
    assert code==1 and 'a label track is of one recording, here are 2' in err[0] and not (tmp_path/'f.txt').exists()
