"""`audiossl linear`, `finetune`, `distill` and `evaluate` as they are typed: what they leave, what they refuse, and a suite that is killed and goes on.
A trial (two epochs, forty clips of the first fold) takes some seconds; the encoders are random ones of the tiny size."""
import csv, json, os, re, shutil, signal, subprocess, sys
from pathlib import Path
import numpy as np, pytest, torch

TRIAL = ('--fast-dev-run', '--device', 'cpu')
CLIP,FRAME = 'random:atst_clip_tiny', 'random:atst_frame_tiny'

def start(*words):
    "In a process of its own"
    return subprocess.Popen([sys.executable, '-c', 'from audiossl.cli_judge import main; main()', *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''))

def rows(folder, name='results.csv'): return list(csv.DictReader((folder/name).open()))

# --- what a run leaves

def test_linear(typed, tmp_path):
    code,out,err = typed('linear', 'logmel', 'minisounds_environment', '--epochs', 15, '--folds', '1,3', '--seeds', 2, '--out', tmp_path/'a', '--device', 'cpu')
    assert (code,err)==(0,[]) and any(l.strip().startswith('report: ') for l in out)
    assert {o.name for o in (tmp_path/'a').iterdir()}=={'run.json','settings.json','parts','cache','parts.csv','curves.csv','results.csv','results.md','results.html','results.png'}
    parts = [json.loads(p.read_text()) for p in (tmp_path/'a/parts').glob('*.json')]
    assert {(p['fold'],p['seed']) for p in parts}=={(1,0),(1,1),(3,0),(3,1)}
    for p in parts: assert p['test']==pytest.approx(np.mean(np.equal(p['predictions'], p['labels']))) and p['valid']==max(p['grid'].values())
    (r,) = rows(tmp_path/'a'); per = [np.mean([p['test'] for p in parts if p['fold']==k]) for k in (1,3)]
    assert float(r['mean'])==pytest.approx(np.mean(per)) and float(r['error'])==pytest.approx(np.std(per, ddof=1)/2**.5) and (r['folds'],r['seeds'])==('2','2')
    assert {(c['fold'],c['seed'],c['measure']) for c in rows(tmp_path/'a', 'curves.csv')}>={('1','0','loss'),('3','1','valid')}
    s = json.loads((tmp_path/'a/settings.json').read_text())
    assert s['plans']['minisounds_environment.linear']['epochs']==15 and s['seeds']==2 and s['about']['kind']=='log-mel statistics'
    page = (tmp_path/'a/results.html').read_text()
    assert 'Mistakes: minisounds_environment' in page and 'Curves: ' in page and str(tmp_path) not in page.replace(str(tmp_path/'a'), '')
    before = {p: p.read_bytes() for p in (tmp_path/'a').rglob('*') if p.is_file()}
    code,out,err = typed('linear', 'logmel', 'minisounds_environment', '--epochs', 15, '--folds', '1,3', '--seeds', 2, '--out', tmp_path/'a', '--device', 'cpu')
    assert code==0 and sum('(done before)' in l for l in out)==4
    assert {p: p.read_bytes() for p in (tmp_path/'a').rglob('*') if p.is_file() and p.name!='results.png'}=={k:v for k,v in before.items() if k.name!='results.png'}

def test_another_head_finds_the_features(typed, tmp_path):
    for i,lr in enumerate(('0.1','0.2')):
        code,out,_ = typed('linear', FRAME, 'minisounds_environment', '--lr', lr, '--cache', tmp_path/'cache', '--out', tmp_path/str(i), *TRIAL)
        assert code==0 and sum('clips found in' in l for l in out)==3*i
    assert [json.loads(l)['event'] for l in (tmp_path/'cache/log.jsonl').read_text().splitlines()]==['made']*3+['found']*3

@pytest.fixture(scope='module')
def drums(tmp_path_factory):
    "A fine-tuned clip model of a trial"
    from audiossl.cli_judge import main
    out = tmp_path_factory.mktemp('drums')/'run'
    with pytest.raises(SystemExit) as e: main(['finetune', CLIP, 'minisounds_percussion', '--mixup', '--spec-augment', '--roll', '--select', 'best', '--out', str(out), *TRIAL])
    assert e.value.code==0
    return out

def test_finetune(drums):
    from audiossl.downstream.distill import load_classifier
    (part,) = [json.loads(p.read_text()) for p in (drums/'parts').glob('*.json')]
    m = load_classifier(drums/'parts/minisounds_percussion.finetune.fold1.seed0/classifier', 6)
    assert m.classes==tuple(part['classes']) and len(part['curve'])==2 and part['valid']==max(o['val_ACC'] for o in part['curve'])
    s = json.loads((drums/'settings.json').read_text())['plans']['minisounds_percussion.finetune']
    assert (s['mixup'],s['spec_augment'],s['roll'],s['select'],s['trial'])==(True,True,True,'best',True)
    assert 'says nothing' in (drums/'results.html').read_text()

def test_distill(typed, drums, tmp_path):
    teacher = drums/'parts/minisounds_percussion.finetune.foldFOLD.seed0/classifier'
    words = ('distill', FRAME, 'minisounds_percussion', '--teacher', teacher, '--lambda-d', .3, '--out', tmp_path/'a', *TRIAL)
    code,out,err = typed(*words)
    assert (code,err)==(0,[]) and json.loads((tmp_path/'a/settings.json').read_text())['plans']['minisounds_percussion.distill']['lambda_d']==.3
    assert {o['measure'] for o in rows(tmp_path/'a', 'curves.csv')}>={'loss_d','loss_c','val_loss_d','val_ACC'}
    for t,student,data,said in ((teacher, FRAME, 'minisounds_environment', 'its head has 6 classes, the task 5'), (teacher, CLIP, 'minisounds_percussion', 'student: a ClipEncoder'),
                                (drums, FRAME, 'minisounds_percussion', 'holds no head'), (tmp_path/'a/parts/minisounds_percussion.distill.fold1.seed0/classifier', FRAME, 'minisounds_percussion', 'teacher: a FrameEncoder')):
        code,_,err = typed('distill', student, data, '--teacher', t, '--out', tmp_path/'b', *TRIAL); shutil.rmtree(tmp_path/'b', ignore_errors=True)
        assert code==1 and len(err)==1 and said in err[0], err

def test_a_teacher_that_heard_the_test_is_refused(drums, tmp_path):
    from audiossl.judging import run_part, settings_for
    with pytest.raises(ValueError, match='fine-tuned with fold 1 as its test; it has heard the sounds of fold 2'):
        run_part(FRAME, 'minisounds_percussion', None, 2, settings_for('distill', 'atst_frame', 'minisounds_percussion', trial=True), tmp_path, None,
                 teacher=drums/'parts/minisounds_percussion.finetune.fold1.seed0/classifier')

# --- a suite

def test_a_killed_suite_goes_on_and_ends_the_same(tmp_path):
    words = ('evaluate', 'logmel', '--tasks', 'minisounds_env*,minisounds_tags,nsynth', '--data-root', tmp_path, '--protocols', 'linear,kNN', '--folds', '1,2', '--device', 'cpu')
    whole = start(*words, '--out', tmp_path/'whole')
    p = start(*words, '--out', tmp_path/'run')
    for line in p.stdout:
        if re.search(r'kNN, fold 1', line): p.kill(); break
    p.communicate()
    kept = {o.name: (o.stat().st_mtime_ns, o.read_bytes()) for o in (tmp_path/'run/parts').glob('*.json')}
    assert 3<=len(kept)<8 and not (tmp_path/'run/results.csv').exists()
    p = start(*words, '--out', tmp_path/'run'); text = p.communicate(timeout=300)[0]
    assert p.returncode==0 and text.count('(done before)')==len(kept), text
    assert all((o := tmp_path/'run/parts'/k).stat().st_mtime_ns==t and o.read_bytes()==b for k,(t,b) in kept.items())
    assert whole.communicate(timeout=300) and whole.returncode==0
    for name in ('results.csv','results.md','parts.csv','curves.csv'): assert (tmp_path/'run'/name).read_bytes()==(tmp_path/'whole'/name).read_bytes(), name
    assert len(rows(tmp_path/'run'))==4 and f'- not judged: nsynth, no folder {tmp_path/"nsynth"}' in (tmp_path/'run/results.md').read_text()

def test_ctrl_c_is_one_line_and_goes_on(tmp_path):
    words = ('finetune', FRAME, 'minisounds_percussion', '--folds', 1, '--epochs', 4, '--device', 'cpu', '--out', tmp_path/'run')
    p = start(*words)
    last = tmp_path/'run/parts/minisounds_percussion.finetune.fold1.seed0'
    import time
    for _ in range(1500):
        if list(last.glob('lr*/last.ckpt')): break
        time.sleep(.1)
    p.send_signal(signal.SIGINT); text = p.communicate(timeout=200)[0]
    assert p.returncode==130 and re.search(r'stopped at step \d+ of \d+ \(steps\); the same command goes on', text) and 'Traceback' not in text, text
    p = start(*words); text = p.communicate(timeout=300)[0]
    assert p.returncode==0 and len(json.loads(last.with_name(last.name+'.json').read_text())['curve'])==4, text

def test_one_bad_task_does_not_end_the_suite(typed, tmp_path):
    "a folder of one's own with a single class beside a good one"
    from audiossl.audio import example
    for split,n in (('train',4),('valid',2),('test',2)):
        (tmp_path/f'data/audiofolder/{split}/only').mkdir(parents=True)
        for i in range(n): shutil.copy(example('kick'), tmp_path/f'data/audiofolder/{split}/only/{split}{i}.ogg')
    code,out,err = typed('evaluate', 'logmel', '--tasks', 'audiofolder,minisounds_environment', '--data-root', tmp_path/'data', '--protocols', 'kNN', '--out', tmp_path/'run', *TRIAL)
    assert code==1 and len(err)==1 and '1 of 2 could not be judged, first audiofolder, kNN' in err[0], (out,err)
    assert len(rows(tmp_path/'run'))==1 and 'audiofolder, kNN' in (tmp_path/'run/results.md').read_text()

# --- what cannot be

@pytest.mark.parametrize('words,said,code', [
    (('linear',), 'Missing argument', 2), (('linear','logmel'), 'Missing argument', 2), (('linear','none','minisounds'), 'no such file or folder', 1), (('linear','random:atst_huge','minisounds'), 'atst_huge', 1),
    (('linear','logmel','minisound'), "no dataset 'minisound'; did you mean", 1), (('linear','logmel','us8k'), 'none of these is here: us8k', 1), (('linear','logmel','desed'), "desed: of kind 'events'", 1),
    (('linear','logmel','us8k','--data','nowhere'), 'nowhere: no such folder', 1), (('linear','logmel','minisounds_environment','--folds','6'), 'fold 6 does not exist; there are 1 to 5', 1),
    (('linear','logmel','minisounds','--folds','x'), '--folds x', 1), (('linear','logmel','minisounds','--seeds','0'), '--seeds 0: at least 1', 1), (('linear','logmel','minisounds','--lr','a'), '--lr a: numbers', 1),
    (('linear','logmel','minisounds','--lr','-1'), 'above 0', 1), (('linear','logmel','minisounds','--epochs','0'), 'epochs=0: at least 1', 1), (('linear','logmel','minisounds','--device','tpu'), '--device tpu', 1),
    (('linear','logmel','minisounds','--workers','-1'), '--workers -1', 1), (('finetune','logmel','minisounds_percussion'), 'log-mel statistics have no weights to train', 1),
    (('finetune',FRAME,'minisounds_percussion','--select','first'), "select='first'", 1), (('finetune',FRAME,'minisounds_percussion','--layer-decay','2'), 'decay=2.0', 1),
    (('distill',FRAME,'minisounds_percussion'), "Missing option '--teacher'", 2), (('distill',FRAME,'minisounds_percussion','--teacher','none'), 'no such file or folder', 1),
    (('evaluate','logmel','--protocols','magic'), "'magic': no such protocol; there are linear, kNN", 1), (('evaluate','logmel','--protocols','distill'), 'it needs a teacher', 1),
    (('evaluate','logmel','--tasks','zzz*'), 'fits no data set', 1), (('evaluate','logmel','--tasks','nsynth'), 'no folder for data was named', 1)])
def test_one_line_for_each_mistake(typed, tmp_path, monkeypatch, words, said, code):
    monkeypatch.chdir(tmp_path)
    got,_,err = typed(*words, '--out', 'run', *(TRIAL if code==1 and '--device' not in words and 'fold 6' not in said else ('--device','cpu') if 'fold 6' in said else ()))
    assert got==code and len(err)==1 and said in err[0], err

def test_a_run_of_something_else_is_left_alone(typed, tmp_path):
    words = ('linear', 'logmel', 'minisounds_environment', '--out', tmp_path/'a', *TRIAL)
    assert typed(*words)[0]==0; before = {p: p.read_bytes() for p in (tmp_path/'a').rglob('*') if p.is_file()}
    for more,said in ((('--lr','3'), 'begun with plans.minisounds_environment.linear.lr'), (('--seeds',2), 'begun with seeds=1, not 2')):
        code,_,err = typed(*words, *more)
        assert code==1 and len(err)==1 and said in err[0], err
    assert {p: p.read_bytes() for p in (tmp_path/'a').rglob('*') if p.is_file()}==before

def test_sounds_of_ones_own(typed, tmp_path, monkeypatch):
    "a folder in the place of a name, no --data, a file that cannot be read: the way out is in the line, and a run that came to nothing leaves nothing; then the store of the rest, in --data-root"
    from audiossl.audio import example
    from audiossl.datasets.prepare import prepare_store
    monkeypatch.chdir(tmp_path); own = tmp_path/'own sounds'
    for c,names in (('tap',('kick','beat','tabla','footsteps')), ('tone',('flute','guitar','piano','violin'))):
        (own/c).mkdir(parents=True)
        for n in names: shutil.copy(example(n), own/c)
    (own/'tone'/'new.ogg').touch()
    for words,said in ((('linear','logmel',own), 'a folder, not a name; for sounds of your own write audiofolder --data'), (('linear','logmel','audiofolder'), 'no folder for data was named); name it with --data'),
                       (('linear','logmel','audiofolder','--data',own), 'new.ogg: 0 bytes. Fetch it again or leave it out; or make a store without such files, `audiossl prepare audiofolder'),
                       (('evaluate','logmel','--data-root',own), 'nothing in it is named like a data set'), (('evaluate','logmel','--data-root','no'), '--data-root no: no such folder')):
        code,_,err = typed(*words, '--out', 'run', '--device', 'cpu')
        assert code==1 and len(err)==1 and said in err[0] and not (tmp_path/'run').exists(), err
    prepare_store('audiofolder', own, tmp_path/'stores/audiofolder', processes=0, on_bad='skip', max_bad=.5)
    code,out,err = typed('evaluate', 'logmel', '--data-root', 'stores', '--protocols', 'kNN', '--out', 'run', '--folds', '1', '--device', 'cpu')
    assert code==0 and {r['task'] for r in rows(tmp_path/'run')}=={'audiofolder'}, (out,err)
    assert typed('linear', 'logmel', 'audiofolder', '--data', own, '--out', 'run')[0]==1 and (tmp_path/'run/results.csv').exists()          # what holds results is left alone

def test_labels_that_were_changed_are_no_finished_run(typed, tmp_path):
    "the same command after a change in labels.csv does not answer with the old score; unchanged it is done"
    from audiossl.audio import example
    own = tmp_path/'own'; own.mkdir(); names = dict(a=('kick','beat','tabla','footsteps'), b=('flute','guitar','piano','violin'))
    for n in sum(names.values(), ()): shutil.copy(example(n), own/f'{n}.ogg')
    table = 'file,label,split\n'+''.join(f'{n}.ogg,{c},{s}\n' for c,ns in names.items() for n,s in zip(ns, ('train','train','valid','test')))
    (own/'labels.csv').write_text(table)
    words = ('linear', 'logmel', 'audiofolder', '--data', own, '--out', tmp_path/'run', '--epochs', 2, '--device', 'cpu')
    assert (first := typed(*words))[0]==0 and 'done before' in ' '.join(typed(*words)[1]), first
    before = (tmp_path/'run/results.csv').read_bytes(); (own/'labels.csv').write_text(table.replace('kick.ogg,a', 'kick.ogg,b'))
    code,_,err = typed(*words)
    assert code==1 and len(err)==1 and 'has changed since this run was begun, sounds or labels; choose another --out' in err[0] and (tmp_path/'run/results.csv').read_bytes()==before, err
    (own/'labels.csv').write_text(table); assert typed(*words)[0]==0

def test_each_kind_of_work_has_a_clock_of_its_own(monkeypatch):
    "the rate of the second split is not that of all the time since the start; a slow count has none"
    import io
    from audiossl import cli_data
    now = [0.]; monkeypatch.setattr(cli_data.time, 'monotonic', lambda: now[0]); out = io.StringIO(); monkeypatch.setattr(cli_data.console, '_file', out); monkeypatch.setattr(cli_data.console, '_force_terminal', False)
    with cli_data.counting(10) as show:
        for done,at,what in ((0,0,'train clips'), (200,20,'train clips'), (0,100,'test clips'), (300,110,'test clips'), (1,120,'rates'), (2,140,'rates')):
            now[0] = at; show(dict(done=done, inputs=400, skipped=0, new=done, what=what))
    assert out.getvalue().split('\n')[:-1]==['train clips: 200 of 400  10/s', 'test clips: 0 of 400', 'test clips: 300 of 400  30/s', 'rates: 1 of 400', 'rates: 2 of 400'], out.getvalue()

def test_labels_nobody_knows_are_one_line(typed, tmp_path):
    "a label file with a name that is not in the published list of classes"
    from audiossl.standins import write_standin
    folder = write_standin('us8k', tmp_path/'us8k'); f = next(folder.rglob('UrbanSound8K.csv')); text = f.read_text()
    f.write_text(text.replace('dog_bark', 'cat_bark'))
    code,_,err = typed('linear', 'logmel', 'us8k', '--data', folder, '--out', tmp_path/'run', *TRIAL)
    assert code==1 and len(err)==1 and 'cat_bark' in err[0], err

def test_settings_of_the_papers():
    from audiossl.recipes import recipe
    from audiossl.protocols import settings_for
    s = settings_for('finetune', 'atst_frame', 'audioset')
    assert (s['lr'],s['batch_size'],s['epochs'],s['warmup_epochs'],s['mixup_ratio'],s['alpha'],s['select'],s['resize_crop'])==((1.,2.), 512, 11, 2, .5, 10., 'best', True)
    s = settings_for('finetune', 'atst_clip', 'voxceleb1'); assert (s['lr'],s['mixup'],s['resize_crop'],s['select'])==((.2,.1), False, False, 'last')
    s = settings_for('distill', 'atst_frame', 'fsd50k'); assert (s['lr'],s['epochs'],s['lambda_d'],s['alpha'])==((4.,), 100, .5, 10.)
    s = settings_for('linear', 'atst_clip', 'fsd50k'); assert (s['lr'],s['batch_size'],s['n_blocks'])==((.4,4.,8.,16.), 1024, 12)
    s = settings_for('distill', '', 'audioset', lr=(.5,), epochs=30); assert (s['lambda_d'],s['random_crop'],s['batch_size'])==(1., True, 1600)
    with pytest.raises(ValueError, match='no rate was published'): settings_for('distill', '', 'audioset')
    assert settings_for('finetune', 'atst_frame', 'us8k')['mixup_ratio']==1. and settings_for('finetune', 'atst_frame', 'us8k', parity=True)['mixup_ratio']==0.

def test_the_command_reaches_them():
    "the console script's module brings these commands along"
    from configparser import ConfigParser
    from importlib import import_module
    from support import ROOT
    cfg = ConfigParser(delimiters=['=']); cfg.read(ROOT/'settings.ini'); module = cfg['DEFAULT']['console_scripts'].strip().split('=')[1].split(':')[0]
    r = subprocess.run([sys.executable, '-c', f'from {module} import main; main()', '--help'], capture_output=True, text=True)
    assert r.returncode==0 and all(re.search(rf'^\W*{c}\b', r.stdout, re.M) for c in ('linear','finetune','distill','evaluate','pretrain','prepare')), r.stdout
