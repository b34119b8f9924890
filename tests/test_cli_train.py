"`audiossl pretrain`, `convert` and `embed` as they are typed: what they leave behind, stopped and killed runs, two processes, and one line for each mistake"
import json, os, re, shutil, signal, subprocess, sys
from pathlib import Path
import numpy as np, pytest, soundfile as sf, torch
from audiossl.audio import example

TRIAL = ('--fast-dev-run', '--device', 'cpu')
NAMES = ('speech_it', 'flute', 'kick')

@pytest.fixture(scope='module')
def sounds(tmp_path_factory):
    d = tmp_path_factory.mktemp('sounds')/'my sounds'; (d/'below').mkdir(parents=True)
    for n in NAMES: shutil.copy(example(n), d/f'below/{n} [x].ogg')          # names with what a terminal may take for markup
    return d

def start(*words, **kw):
    "The installed command in a process of its own"
    return subprocess.Popen([Path(sys.executable).parent/'audiossl', *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''), **kw)

def wait_for(p, pattern):
    seen = []
    for line in p.stdout:
        seen.append(line)
        if re.search(pattern, line): return
    raise AssertionError(''.join(seen))

def weights(folder): return (Path(folder)/'encoder/model.safetensors').read_bytes()

@pytest.fixture(scope='module')
def run(sounds, tmp_path_factory):
    "A finished trial of each method, on a folder of sounds"
    from audiossl.cli_train import main
    out = tmp_path_factory.mktemp('runs')
    for m in ('atst','atstframe'):
        with pytest.raises(SystemExit) as e: main(['pretrain', m, *TRIAL, '--data', str(sounds), '--out', str(out/m)])
        assert e.value.code==0
    return out

# --- pretrain

@pytest.mark.parametrize('method,width', [('atst',1024), ('atstframe',512)])
def test_what_a_run_leaves(run, method, width):
    import audiossl
    folder = run/method
    assert {o.name for o in folder.iterdir()}=={'run.json','last.ckpt','curve.csv','encoder','tensorboard'}
    assert list((folder/'tensorboard').glob('events.*'))
    head,*rows = (folder/'curve.csv').read_text().splitlines()
    assert {'step','loss','std_student','std_teacher','lr','ema'}<=set(head.split(',')) and rows[-1].startswith('2,')
    model = audiossl.load_model(folder/'encoder')
    assert audiossl.embed_clips(model, [torch.zeros(16000)]).shape==(1,width)
    plan = json.loads((folder/'run.json').read_text())['plan']
    assert plan['module']['max_steps']==2 and plan['data']['batch_size']==2

@pytest.mark.parametrize('method', ['atst','atstframe'])
def test_settings_come_before_the_first_step_and_loss_std_lr_rate_with_it(typed, tmp_path, sounds, method):
    code,out,err = typed('pretrain', method, *TRIAL, '--data', sounds, '--out', tmp_path/'run', '--precision', 'bf16-mixed', '--grad-checkpointing')
    assert code==0 and err==[]
    first = next(i for i,l in enumerate(out) if l.startswith('step 1/2'))
    told = '\n'.join(out[:first])
    for o in ('arch=tiny', 'learning_rate=', 'warmup_steps=', 'max_steps=2', 'ema=', 'grad_checkpointing=True', 'anchor_len=', 'batch_size=2', '3 files'): assert o in told, o
    assert re.search(r'loss \d.* spread .*/.* lr .* clips/s', out[first])

def test_second_start_says_finished(run, typed, sounds):
    before = (run/'atst/encoder/model.safetensors').stat().st_mtime_ns
    code,out,err = typed('pretrain', 'atst', *TRIAL, '--data', sounds, '--out', run/'atst')
    assert code==0 and 'finished before' in out[-1] and err==[]
    assert (run/'atst/encoder/model.safetensors').stat().st_mtime_ns==before

@pytest.mark.parametrize('words,said', [
    (('--seed', 1), 'begun with seed=0, not 1'), (('--size', 'small'), 'begun with plan.name=atst_clip_tiny, not atst_clip_small'),
    (('--precision', 'bf16-mixed'), 'begun with precision=32-true'), (('--grad-checkpointing',), 'grad_checkpointing=None, not True')])
def test_another_option_in_the_same_folder_is_refused(run, typed, sounds, words, said):
    before = {p: p.read_bytes() for p in (run/'atst').rglob('*') if p.is_file()}
    code,_,err = typed('pretrain', 'atst', *TRIAL, '--data', sounds, '--out', run/'atst', *words)
    assert code==1 and len(err)==1 and said in err[0] and len(err[0])<300, err
    assert {p: p.read_bytes() for p in (run/'atst').rglob('*') if p.is_file()}==before

@pytest.mark.parametrize('make,said', [
    (lambda d: None, 'no such folder'),
    (lambda d: d.mkdir(), 'no sound file in it'),
    (lambda d: (d.mkdir(), shutil.copy(example('kick'), d/'a.ogg'), (d/'b [i].wav').write_text('not sound')), 'b [i].wav: not a sound file'),
    (lambda d: (d.mkdir(), shutil.copy(example('kick'), d/'a.ogg'), sf.write(d/'nan.wav', np.full(40000, np.nan, np.float32), 16000, subtype='FLOAT')), 'nan.wav: '),
    (lambda d: (d.mkdir(), (d/'cut.ogg').write_bytes(example('flute').read_bytes()[:4000])), 'cut.ogg: ')])
def test_unusable_sounds_are_named(tmp_path, typed, make, said):
    make(tmp_path/'data')
    code,_,err = typed('pretrain', 'atstframe', *TRIAL, '--data', tmp_path/'data', '--out', tmp_path/'run')
    assert code==1 and len(err)==1 and said in err[0], err
    assert not (tmp_path/'run/encoder').exists() and ('nan' in said or not (tmp_path/'run').exists())

@pytest.mark.parametrize('workers', [0,2])
def test_a_file_that_breaks_later_is_named_too(tmp_path, typed, workers):
    "One that was not among those looked at before the start; in a worker process its error is wrapped in a traceback"
    d = tmp_path/'data'; d.mkdir()
    for i in range(210): os.link(example('kick'), d/f'{i:03}.ogg') if i!=1 else (d/'001.ogg').write_text('no sound')
    code,_,err = typed('pretrain', 'atst', '--device', 'cpu', '--data', d, '--out', tmp_path/'run', '--batch-size', 70, '--steps', 3, '--workers', workers)
    assert code==1 and len(err)==1, err
    assert '001.ogg: not a sound file' in err[0] and 'Traceback' not in err[0] and 'run the same command again' in err[0]

@pytest.mark.parametrize('words,said,code', [
    ((), 'Missing argument', 2), (('byol',), "'byol': no such method; there are atst, atstframe", 1), (('atst','--size','huge'), 'no such recipe; there are', 1),
    (('atst','--speed','1'), 'No such option', 2), (('atst','--steps','x'), 'Invalid value', 2), (('atst','--steps','0'), 'steps=0: at least 1', 1),
    (('atst','--batch-size','0'), 'batch_size=0', 1), (('atst','--devices','0'), '--devices 0: at least 1', 1), (('atst','--nodes','0'), '--nodes 0', 1),
    (('atst','--workers','-1'), '--workers -1', 1), (('atst','--seed','-1'), '--seed -1', 1), (('atst','--precision','8'), '32-true, bf16-mixed, 16-mixed', 1),
    (('atst','--device','tpu'), '--device tpu: auto, cpu', 1)])
def test_wrong_words(typed, tmp_path, words, said, code):
    got,_,err = typed('pretrain', *words, '--out', tmp_path/'run')
    assert got==code and len(err)==1 and said in err[0] and not (tmp_path/'run').exists(), err

def test_a_device_that_is_not_there(typed, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    for words,said in ((('mps',), 'has 0 of them'), (('cuda','--devices',2), 'has 1 of them')):
        if words==('mps',) and torch.backends.mps.is_available(): continue
        code,_,err = typed('pretrain', 'atst', '--device', *words, '--out', tmp_path/'run')
        assert code==1 and len(err)==1 and said in err[0], err

def test_no_compiler_is_one_line(typed, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path)); monkeypatch.delenv('CXX', raising=False)
    code,_,err = typed('pretrain', 'atst', *TRIAL, '--compile', '--out', tmp_path/'run')
    assert code==1 and len(err)==1 and 'no C++ compiler' in err[0] and not (tmp_path/'run').exists(), err

@pytest.mark.parametrize('make,said', [
    (lambda d: d.write_text('a file'), 'left alone'), (lambda d: (d.mkdir(), (d/'thesis.txt').write_text('mine')), 'left alone'),
    (lambda d: (d.mkdir(), (d/'run.json').write_text('half a')), 'not the notes of a run')])
def test_unusable_out_is_left_alone(tmp_path, typed, make, said):
    make(tmp_path/'run'); before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    code,_,err = typed('pretrain', 'atst', *TRIAL, '--out', tmp_path/'run')
    assert code==1 and len(err)==1 and said in err[0], err
    assert {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}==before

def test_no_room_is_one_line(tmp_path, typed, monkeypatch):
    from collections import namedtuple
    monkeypatch.setattr(shutil, 'disk_usage', lambda p: namedtuple('usage', 'free')(100e6))
    code,_,err = typed('pretrain', 'atst', *TRIAL, '--out', tmp_path/'run')
    assert code==1 and len(err)==1 and '100 MB free, 200 MB are needed' in err[0], err
    code,_,err = typed('pretrain', 'atst', '--size', 'base', *TRIAL, '--out', tmp_path/'run')
    assert '4000 MB are needed' in err[0], err

def test_stopped_killed_and_continued_is_the_same_run(tmp_path, sounds):
    "Ctrl-C, then SIGKILL, then to the end, with another number of workers each time: the encoder of the run that nobody touched"
    words = ('pretrain', 'atstframe', '--device', 'cpu', '--data', sounds, '--steps', 40, '--batch-size', 3)
    whole = start(*words, '--out', tmp_path/'whole')
    p = start(*words, '--out', tmp_path/'run'); wait_for(p, r'^step 1/40'); p.send_signal(signal.SIGINT)
    text = p.communicate(timeout=200)[0]
    assert p.returncode==130 and re.search(r'stopped at step \d+ of 40; the same command goes on', text) and 'Traceback' not in text, text
    p = start(*words, '--workers', 2, '--out', tmp_path/'run'); wait_for(p, r'^step \d+/40'); p.kill(); p.communicate()
    assert not (tmp_path/'run/encoder').exists()
    p = start(*words, '--workers', 1, '--out', tmp_path/'run'); text = p.communicate(timeout=200)[0]
    assert p.returncode==0 and 'going on with 40 steps' in text, text
    assert whole.communicate(timeout=200) and whole.returncode==0
    assert weights(tmp_path/'run')==weights(tmp_path/'whole')
    a,b = ((tmp_path/d/'curve.csv').read_text() for d in ('whole','run'))
    assert a==b

def test_two_processes(tmp_path, sounds):
    p = start('pretrain', 'atst', *TRIAL, '--devices', 2, '--data', sounds, '--out', tmp_path/'run')
    text = p.communicate(timeout=300)[0]
    assert p.returncode==0, text
    assert 'training for 2 steps of 2 x 2 clips' in text and len(re.findall(r'^step 2/2', text, re.M))==1, text
    assert len(weights(tmp_path/'run'))>1e6

# --- convert, embed

def test_convert(run, typed, tmp_path):
    from audiossl import load_model
    code,out,err = typed('convert', run/'atstframe/last.ckpt', tmp_path/'enc')
    assert code==0 and err==[] and 'atst_frame_tiny' in out[-1]
    a,b = load_model(tmp_path/'enc').state_dict(), load_model(run/'atstframe/encoder').state_dict()
    assert list(a)==list(b) and all(torch.equal(a[k], b[k]) for k in a)
    assert typed('convert', run/'atstframe/last.ckpt', tmp_path/'student', '--which', 'student')[0]==0
    assert not all(torch.equal(v, b[k]) for k,v in load_model(tmp_path/'student').state_dict().items())

class Harm:
    def __reduce__(self): return os.mkdir, ('harmed',)

@pytest.mark.parametrize('make,said', [
    (lambda f: None, 'no such file'), (lambda f: f.mkdir(), 'a folder; a checkpoint'), (lambda f: f.write_text('<html>'), 'not a checkpoint'),
    (lambda f: torch.save([1], f), 'holds a list'), (lambda f: torch.save(dict(state_dict={'a': torch.zeros(1)}), f), 'holds no encoder'),
    (lambda f: torch.save(dict(x=Harm()), f), 'refused, nothing was run')])
def test_convert_refuses(typed, tmp_path, monkeypatch, make, said):
    monkeypatch.chdir(tmp_path); make(tmp_path/'x.ckpt')
    code,_,err = typed('convert', tmp_path/'x.ckpt', tmp_path/'enc')
    assert code==1 and len(err)==1 and said in err[0], err
    assert not (tmp_path/'enc').exists() and not (tmp_path/'harmed').exists()

@pytest.mark.parametrize('method', ['atst','atstframe'])
@pytest.mark.parametrize('kind', ['npz','parquet'])
def test_embed(run, typed, sounds, tmp_path, method, kind):
    import audiossl
    for moments in (False, True):
        out = tmp_path/f'e.{kind}'
        code,said,err = typed('embed', sounds, example('kick'), '--model', run/method/'encoder', '--out', out, *['--moments']*moments)
        assert code==0 and err==[] and said[-1].endswith('4 of 4 files')
        if kind=='npz': got = np.load(out); paths,x = list(got['path']), got['embedding']
        else: import pyarrow.parquet as pq; got = pq.read_table(out); paths,x = list(dict.fromkeys(got['path'].to_pylist())), np.array(got['embedding'].to_pylist(), np.float32)
        assert paths==[*map(str, sorted((sounds/'below').iterdir())), str(example('kick'))]
        model = audiossl.load_model(run/method/'encoder'); waves = [audiossl.load_audio(p) for p in paths]
        if moments: from audiossl.methods.atstframe.embedding import embed_moments; want = torch.cat([v for v,_ in embed_moments(model, waves)])
        else: want = audiossl.embed_clips(model, waves)
        np.testing.assert_allclose(x, want.numpy(), rtol=0, atol=1e-5)

def test_embed_short_and_bad_files(run, typed, tmp_path):
    d = tmp_path/'d'; d.mkdir(); model = ('--model', run/'atst/encoder', '--out', tmp_path/'e.npz')
    for i in range(2): sf.write(d/f'short{i}.wav', np.zeros(100, np.float32), 16000)
    code,out,err = typed('embed', d, *model)
    assert code==0 and sum('below 513 samples' in l for l in out)==1 and err==[]       # said once
    sf.write(d/'inf.wav', np.full(4000, np.inf, np.float32), 16000, subtype='FLOAT'); (d/'page.flac').write_text('<html>')
    (tmp_path/'e.npz').unlink()
    for n,said in (('inf.wav','4,000 of 4,000 samples are NaN or infinite'), ('page.flac','not a sound file')):
        code,_,err = typed('embed', d/n, *model)
        assert code==1 and len(err)==1 and f'{n}: {said}' in err[0] and not (tmp_path/'e.npz').exists()
    code,out,err = typed('embed', d, *model, '--on-bad', 'skip')
    assert code==0 and err==[] and out[-1].endswith('2 of 4 files') and any('page.flac' in l for l in out) and any('inf.wav' in l for l in out)

@pytest.mark.parametrize('words,said,code', [
    (('none.wav',), 'none.wav: no such file', 1), (('empty',), 'no sound file in it', 1), (('k.ogg','--out','e.txt'), 'must end in .npz or .parquet', 1),
    (('k.ogg','--out','no/e.npz'), 'no such folder', 1), (('k.ogg','--blocks','9'), '1 to 4 blocks', 1), (('k.ogg','--batch-size','0'), 'batch_size=0', 1),
    (('k.ogg','--on-bad','x'), "'stop' or 'skip'", 1), (('k.ogg','--device','tpu'), "device='tpu'", 1), (('k.ogg','--model','none'), 'no such file or folder', 1),
    (('k.ogg','--model','page.ckpt'), 'not a checkpoint', 1), (('k.ogg','--blocks','x'), 'Invalid value', 2), ((), 'Missing argument', 2)])
def test_embed_refuses(run, typed, tmp_path, monkeypatch, words, said, code):
    monkeypatch.chdir(tmp_path); shutil.copy(example('kick'), 'k.ogg'); Path('empty').mkdir(); Path('page.ckpt').write_text('<html>')
    got,_,err = typed('embed', '--model', run/'atst/encoder', *words)
    assert got==code and len(err)==1 and said in err[0], err
    assert not list(tmp_path.glob('*.npz'))
