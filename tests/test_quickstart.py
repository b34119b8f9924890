"The main job as a user runs it: from the command line, stopped, killed, resumed, fed with bad input; and no figure that does not come from the run."
import json, os, re, resource, shutil, signal, subprocess, sys, time
from pathlib import Path
import pytest, torch
from audiossl.quickstart import RECIPE, run_quickstart
from audiossl.running import RunError

SMALL = 'from audiossl.quickstart import RECIPE; RECIPE.update(batch_s=6., hidden=32); from audiossl.cli import main; import sys; main(sys.argv[1:])'

def start(*args, small=True, **kw):
    cmd = [sys.executable, '-c', SMALL if small else 'import sys; from audiossl.cli import main; main(sys.argv[1:])', 'quickstart', *map(str, args)]
    return subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ, OMP_NUM_THREADS='1'), **kw)

def run(*args, **kw):
    p = start(*args, **kw); out = p.communicate(timeout=400)[0]
    return p.returncode, out

@pytest.fixture(scope='module')
def trial(tmp_path_factory):
    out = tmp_path_factory.mktemp('trial')/'run'
    code, text = run('--fast-dev-run', '--out', out, small=False)
    assert code==0, text
    return out, text, json.loads((out/'report.json').read_text())

def test_trial_ends_in_a_report(trial):
    out, text, report = trial
    assert report['trial'] and all(c['ok'] for c in report['checks'])
    assert [t['task'] for t in report['tasks']]==['minisounds','minisounds_nonspeech','minisounds_family','minisounds_family_unseen','minisounds_percussion',
        'minisounds_environment','minisounds_finals','minisounds_initials','minisounds_chroma','minisounds_octave','minisounds_tags']
    for t in report['tasks']:
        for probe in ('linear','kNN'):
            assert list(t[probe])==['log-mel','random','before','after']
            assert all(0<s<1 and 0<e<.2 for s,e in t[probe].values())
    for t in report['tasks']: assert t['task'] in text                      # the table at the end
    assert 'trial' in text and str(out/'report.html') in text.replace('\n', '')
    page = (out/'report.html').read_text()
    assert 'This was a trial' in page and page.count('<img')==4 and page.count('<audio')>=20
    assert not re.search(r'(src|href)="(?!data:)', page)                   # nothing is fetched

def test_figures_of_the_page_are_those_of_the_run(trial):
    out, _, report = trial; page = (out/'report.html').read_text()
    for t in report['tasks']:
        for s,e in t['linear'].values(): assert f'{s:.3f} <small>± {e:.3f}</small>' in page
    assert f"{report['training']['heldout_after']:.3f} after" in page

def test_second_start_says_finished(trial):
    out, _, report = trial; before = (out/'report.html').stat().st_mtime_ns
    code, text = run('--fast-dev-run', '--out', out, small=False)
    assert code==0 and 'finished before' in text
    assert (out/'report.html').stat().st_mtime_ns==before

def test_other_seed_other_figures(trial, tmp_path):
    other = run_quickstart(out=tmp_path/'run', seed=1, fast_dev_run=True, device='cpu', say=lambda line: None)
    assert other['training']['heldout_after']!=trial[2]['training']['heldout_after']
    assert other['differences']!=trial[2]['differences']
    a,b = ({t['task']: t['linear'] for t in r['tasks']} for r in (trial[2], other))
    assert sum(a[k]['after']!=list(b[k]['after']) for k in a)>=9

def test_broken_loss_is_seen(tmp_path, monkeypatch):
    from audiossl.methods.atstframe import model
    monkeypatch.setattr(model, 'pair_loss', lambda t, s: 2+0*s.sum())       # learns nothing
    report = run_quickstart(out=tmp_path/'run', fast_dev_run=True, device='cpu', say=lambda line: None)
    assert [c['ok'] for c in report['checks']]==[False, True]

def test_nan_loss_stops_in_one_line(tmp_path, monkeypatch):
    from audiossl.methods.atstframe import model
    monkeypatch.setattr(model, 'pair_loss', lambda t, s: s.sum()*float('nan'))
    with pytest.raises(FloatingPointError, match='step 0: the loss is nan'):
        run_quickstart(out=tmp_path/'run', fast_dev_run=True, device='cpu', say=lambda line: None)
    assert not (tmp_path/'run/report.json').exists()

def wait_for(p, pattern, timeout=200):
    "Read the output of `p` until a line matches"
    seen, end = [], time.time()+timeout
    for line in p.stdout:
        seen.append(line)
        if re.search(pattern, line): return seen
        if time.time()>end: break
    raise AssertionError(''.join(seen))

def test_stopped_killed_and_continued_is_the_same_run(tmp_path):
    whole = run('--fast-dev-run', '--out', tmp_path/'whole')
    assert whole[0]==0, whole[1]
    args = ('--fast-dev-run', '--out', tmp_path/'run')
    p = start(*args); wait_for(p, r'step 1/20'); p.send_signal(signal.SIGINT)   # Ctrl-C
    text = p.communicate(timeout=200)[0]
    assert p.returncode==130 and re.search(r'stopped at step \d+ of 20; the same command goes on', text), text
    p = start(*args); wait_for(p, r'going on with 20 steps'); time.sleep(1.5); p.kill(); p.communicate()
    code, text = run(*args)
    assert code==0 and 'going on' in text, text
    a,b = (torch.load(tmp_path/d/'last.ckpt', weights_only=True)['state_dict'] for d in ('whole','run'))
    assert all(torch.equal(a[k], b[k]) for k in a)
    a,b = (json.loads((tmp_path/d/'report.json').read_text()) for d in ('whole','run'))
    assert a['tasks']==b['tasks'] and [r['loss'] for r in a['training']['curve']]==[r['loss'] for r in b['training']['curve']]

@pytest.fixture
def said_by(capsys, monkeypatch):
    "The command in this process: (exit code, what it printed)"
    from audiossl.cli import main
    monkeypatch.setitem(RECIPE, 'batch_s', 6.); monkeypatch.setitem(RECIPE, 'hidden', 32)
    def run(*args):
        with pytest.raises(SystemExit) as e: main(['quickstart', *map(str, args)])
        out = capsys.readouterr(); return e.value.code, out.out+out.err
    return run

def lines(text): return [l for l in text.splitlines() if l.strip()]

@pytest.mark.parametrize('make,said', [
    (lambda d: None, 'no such folder'),
    (lambda d: d.mkdir(), 'no sound file in it'),
    (lambda d: (d.mkdir(), (d/'a.wav').write_text('not sound'), (d/'b.flac').write_bytes(b'')), '0.0 s of usable sound in 0 of 2 files')])
def test_unusable_data_is_one_line_and_writes_nothing(tmp_path, make, said, said_by):
    make(tmp_path/'data')
    code, text = said_by('--fast-dev-run', '--data', tmp_path/'data', '--out', tmp_path/'run')
    assert code==1 and said in lines(text)[-1] and 'Traceback' not in text and not (tmp_path/'run').exists()

@pytest.mark.parametrize('make,said', [
    (lambda d: d.write_text('a file'), 'left alone'),
    (lambda d: (d.mkdir(), (d/'thesis.txt').write_text('mine')), 'left alone'),
    (lambda d: (d.mkdir(), (d/'run.json').write_text('{"version": "0.0.0"}')), 'made by audiossl 0.0.0'),
    (lambda d: (d.mkdir(), (d/'run.json').write_text('half a')), 'not the notes of a run'),
    (lambda d: d.parent.joinpath('file').write_text(''), 'cannot be written')])
def test_unusable_out_is_one_line_and_left_alone(tmp_path, make, said, said_by):
    out = tmp_path/'run'; make(out)
    if 'written' in said: out = tmp_path/'file/run'
    before = sorted((p, p.read_bytes()) for p in tmp_path.rglob('*') if p.is_file())
    code, text = said_by('--fast-dev-run', '--out', out)
    assert code==1 and said in text.replace('\n', ' ') and len(lines(text))==1
    assert sorted((p, p.read_bytes()) for p in tmp_path.rglob('*') if p.is_file())==before

def test_no_room_is_one_line_and_loses_nothing(tmp_path):
    few = lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))  # no file above 100 kB
    code, text = run('--fast-dev-run', '--out', tmp_path/'run', preexec_fn=few)
    assert code==1 and 'cannot be saved at step 20' in lines(text)[-1] and 'Traceback' not in text, text
    assert not [p for p in (tmp_path/'run').iterdir() if p.name not in ('run.json',)]
    code, text = run('--fast-dev-run', '--out', tmp_path/'run')             # with room, the same command goes through
    assert code==0, text

def test_own_folder_is_trained_on_and_bad_files_are_named(tmp_path, said_by):
    from audiossl.audio import example, examples
    d = tmp_path/'data'; d.mkdir()
    for n in examples(): shutil.copy(example(n), d/f'{n} <b>.ogg')
    (d/'broken.wav').write_bytes(b'RIFF....WAVE')
    code, text = said_by('--fast-dev-run', '--data', d, '--out', tmp_path/'run')
    assert code==0 and '1 of' in text and 'broken.wav' in text.replace('\n', ''), text
    assert 'Trained on own sounds' in (tmp_path/'run/report.html').read_text()

def test_wrong_words(said_by):
    for args,said in ((('--minutes', 'x'), 'Invalid value'), (('--minutes', 0), 'above 0'), (('--device', 'tpu'), 'not there'), (('--speed', 1), 'No such option')):
        code, text = said_by(*args)
        assert code in (1,2) and said in text and len(lines(text))==1, text
