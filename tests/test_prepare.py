"""Preparing a dataset: hostile names and rows, kills at every step, full disks; each time the same bytes in the end, and every input accounted for.

`AUDIOSSL_KILLS=all` kills at each write, fsync and rename up to the 150th, by strace too; without it a part of them."""
import csv, json, os, random, shutil, signal, subprocess, sys, time, unicodedata
from pathlib import Path
import numpy as np, pytest, soundfile as sf
from audiossl.audio import data_path
from audiossl.datasets.prepare import PrepareError, prepare_store, same_sounds
from audiossl.datasets.registry import Entry, FileDataset, get_dataset, register_dataset
from audiossl.datasets.store import Store, verify_store
from audiossl.manifest import read_manifest
from audiossl.shards import StoreError
from audiossl.standins import write_standin

ALL = os.environ.get('AUDIOSSL_KILLS')=='all'

def tone(i, n=3200): return (8000*np.sin(np.arange(n)*(.02+.01*i))).astype(np.int16)

@register_dataset('rows', description='Rows of a table, for the tests of preparation', multi_label=False, num_labels=2, classes=['even','odd'], replace=True)
def rows(data_path, split='train', **kw):
    "A table of rows, believed as it stands"
    table = json.loads((Path(data_path)/'rows.json').read_text())
    entries = [Entry(r['key'], Path(data_path)/r['path'], (r.get('label', 0),), split=r.get('split', 'train'), offset=r.get('offset', 0.), duration=r.get('duration')) for r in table]
    return FileDataset([e for e in entries if e.split==split], ['even','odd'])

def write_rows(root, table): root.mkdir(parents=True, exist_ok=True); (root/'rows.json').write_text(json.dumps(table)); return root

@pytest.fixture(scope='module')
def source(tmp_path_factory):
    "Fourteen tones, two of them the same"
    root = tmp_path_factory.mktemp('source')
    for i in range(14): sf.write(root/f'{i:02}.wav', tone(min(i, 12)), 16000)
    return write_rows(root, [dict(key=f'tone {i:02}', path=f'{i:02}.wav', label=i%2, split='test' if i>10 else 'train') for i in range(14)])

def contents(store): return {p.relative_to(store).as_posix(): p.read_bytes() for p in sorted(store.rglob('*')) if p.is_file() and not p.name.startswith('report.')}

@pytest.fixture(scope='module')
def clean(source, tmp_path_factory):
    "What nobody disturbed"
    store = tmp_path_factory.mktemp('clean')/'store'
    report = prepare_store('rows', source, store, processes=0, per_shard=4)
    assert [report[k] for k in ('inputs','written','skipped','already','left')]==[14,14,0,0,0]
    return contents(store)

def adds_up(report): return report['inputs']==report['written']+report['skipped']+report['already']+report['left'] and report['skipped']==len(report['skips'])

# --- the same store however it is made

@pytest.mark.parametrize('processes', [1,2])
def test_any_number_of_processes_writes_the_same_bytes(source, clean, tmp_path, processes):
    prepare_store('rows', source, tmp_path/'store', processes=processes, per_shard=4)
    assert contents(tmp_path/'store')==clean

def test_order_of_rows_does_not_matter(source, clean, tmp_path):
    other = tmp_path/'source'; shutil.copytree(source, other)
    table = json.loads((other/'rows.json').read_text()); random.Random(0).shuffle(table); write_rows(other, table)
    prepare_store('rows', other, tmp_path/'store', processes=0, per_shard=4)
    assert contents(tmp_path/'store')==clean

def test_what_is_in_it(source, tmp_path):
    report = prepare_store('rows', source, tmp_path/'store', processes=0, per_shard=4)
    store = Store(tmp_path/'store')
    for i in range(14):
        k = store.index_of(f'tone {i:02}'); r = store.record(k)
        assert np.array_equal(store.wave(k), tone(min(i, 12))) and r['labels']==[i%2] and r['source']==f'{i:02}.wav' and r['source_bytes']==(source/f'{i:02}.wav').stat().st_size
    assert report['duplicates']==same_sounds(tmp_path/'store')==[['tone 12','tone 13']] and store.splits=={'train':11, 'test':3}

def test_files_kept_as_they_are(source, tmp_path):
    prepare_store('rows', source, tmp_path/'store', processes=1, per_shard=4, encoding='bytes')
    store = Store(tmp_path/'store')
    for i in range(14): assert store.raw(store.index_of(f'tone {i:02}'))==(source/f'{i:02}.wav').read_bytes()
    assert np.array_equal(store.wave(3), tone(3)) and store.record(3)['frames']==3200

def test_pieces_of_files(source, tmp_path):
    root = tmp_path/'source'; shutil.copytree(source, root)
    write_rows(root, [dict(key=f'{i}', path='00.wav', offset=i*.05, duration=.05) for i in range(4)])
    report = prepare_store('rows', root, tmp_path/'store', processes=0)
    assert np.array_equal(np.concatenate([Store(tmp_path/'store').wave(i) for i in range(4)]), tone(0)) and report['needed_mb']==0.
    with pytest.raises(PrepareError, match='only whole files can be kept'): prepare_store('rows', root, tmp_path/'other', processes=0, encoding='bytes')

# --- T4: hostile names and rows

GOOD = ['plain.wav', 'with space.wav', ' leading.wav', 'ünï.wav', '猫.wav', 'שלום.wav', 'rtl\u202egnp.wav', 'line\nbreak.wav', 'tab\there.wav', '"quoted".wav', "it's.wav", '=1+1.wav', '-rf.wav',
        '@home.wav', '[red]markup.wav', '<script>alert(1)</script>.wav'.replace('/', '∕'), '%2e%2e.wav', 'a\\b.wav', 'dots...wav', '🙂.wav', 'n'*251+'.wav', 'Twin.wav', 'twin.wav',
        unicodedata.normalize('NFC', 'café.wav'), unicodedata.normalize('NFD', 'café.wav'), '$(reboot).wav', 'sub/deep/er.wav']
BAD = dict(missing='gone.wav', empty='empty.wav', directory='folder.wav', not_audio='pipe.wav', outside='../outside.wav', name='nul\0.wav')
MORE_BAD = [('outside','/etc/hostname'), ('outside','link_out.wav'), ('outside','sub/../../outside.wav'), ('outside','linked/outside.wav'), ('name','loop.wav'), ('name','x'*4096), ('name','n'*300+'.wav'),
            ('missing','http://example.org/a.wav'), ('missing','plain.wav/a.wav'), ('missing','..\\outside.wav'), ('name','surrogate\udcff.wav'), ('name','long/'*900+'a.wav'), ('missing','CON')]

@pytest.fixture(scope='module')
def hostile(tmp_path_factory):
    base = tmp_path_factory.mktemp('hostile'); root = base/'root'; root.mkdir()
    sf.write(base/'outside.wav', tone(99), 16000)
    for i,n in enumerate(GOOD): (root/n).parent.mkdir(parents=True, exist_ok=True); sf.write(str(root/n), tone(i), 16000, format='WAV')
    (root/'empty.wav').touch(); (root/'folder.wav').mkdir(); os.mkfifo(root/'pipe.wav')
    (root/'link_out.wav').symlink_to(base/'outside.wav'); (root/'linked').symlink_to(base); (root/'loop.wav').symlink_to(root/'loop.wav')
    bad = [*BAD.items(), *MORE_BAD]
    if os.geteuid(): sf.write(root/'locked.wav', tone(5), 16000); (root/'locked.wav').chmod(0); bad.append(('unreadable','locked.wav'))
    sf.write(root/'first copy.wav', tone(50), 16000); shutil.copy(root/'first copy.wav', root/'second copy.wav')
    good = [*GOOD, 'first copy.wav', 'second copy.wav']
    return write_rows(root, [dict(key=n, path=n) for n in (*good, *(p for _,p in bad))]), good, bad

@pytest.mark.parametrize('processes', [0,1])
def test_hostile_names_and_rows(hostile, tmp_path, processes):
    root,good,bad = hostile
    assert len(good)+len(bad)>=30
    report = prepare_store('rows', root, tmp_path/'store', processes=processes, on_bad='skip', max_bad=1., per_shard=7)
    store = Store(tmp_path/'store')
    assert sorted(store.column('key').to_pylist())==sorted(good)                         # each under its own name, twins and both spellings of é apart
    for i,n in enumerate(GOOD): assert np.array_equal(store.wave(store.index_of(n)), tone(i)), n
    assert {(s['reason'],s['key']) for s in report['skips']}=={(r,p) for r,p in bad} and adds_up(report) and report['left']==0
    assert all(s['message'].isprintable() and '\n' not in s['message'] for s in report['skips'])
    assert report['duplicates']==[['first copy.wav','second copy.wav']]
    assert json.loads((tmp_path/'store/report.json').read_text())==report
    with open(tmp_path/'store/report.csv', newline='') as f: rows = list(csv.DictReader(f))
    assert len(rows)==len(bad) and all(not v.startswith(('=','+','-','@')) for r in rows for v in r.values())
    print(f'hostile names and rows: {len(good)+len(bad)} tried, {len(good)} stored under their names, {len(bad)} refused by name')

def test_scan_stops_before_anything_is_written(hostile, tmp_path):
    root,good,bad = hostile
    with pytest.raises(PrepareError, match=r'and \d+ more, all in report.json.*--on-bad skip') as e: prepare_store('rows', root, tmp_path/'store', processes=0)
    assert '\n' not in str(e.value) and {p.name for p in (tmp_path/'store').iterdir()}=={'report.json','report.csv'}
    word = json.loads((tmp_path/'store/report.json').read_text())
    assert adds_up(word) and word['skipped']==len(bad) and word['left']==len(good) and word['written']==0
    write_rows(tmp_path/'mended', []); shutil.copy(root/'plain.wav', tmp_path/'mended/a.wav')
    write_rows(tmp_path/'mended', [dict(key='a', path='a.wav')])
    prepare_store('rows', tmp_path/'mended', tmp_path/'store', processes=0)               # the folder was not bound to the inputs that failed
    assert len(Store(tmp_path/'store'))==1

def test_outside_is_a_flag(hostile, tmp_path):
    root = hostile[0].parent/'rows_out'; write_rows(root, [dict(key='a', path='../outside.wav')])
    with pytest.raises(PrepareError, match='leads out of the dataset; allowed only with --outside'): prepare_store('rows', root, tmp_path/'store', processes=0)
    prepare_store('rows', root, tmp_path/'store', processes=0, outside=True)
    assert Store(tmp_path/'store').record(0)['source']=='../outside.wav'

@pytest.mark.parametrize('table,said', [
    ([dict(key='a', path='a.wav'), dict(key='a', path='b.wav')], "share the key 'a'"),
    ([dict(key='a', path='a.wav'), dict(key='a', path='a.wav', split='test')], "'a' is in train and in test"),
    ([dict(key='a', path='a.wav', label=2)], 'label 2 is outside the 2 classes'), ([], 'no sound of rows in it')])
def test_rows_that_contradict(table, said, tmp_path):
    with pytest.raises(ValueError, match=said): prepare_store('rows', write_rows(tmp_path/'root', table), tmp_path/'store', processes=0)
    assert not (tmp_path/'store').exists()

# --- what is done about bad sounds

@pytest.fixture
def spoilt(source, tmp_path):
    root = tmp_path/'spoilt'; shutil.copytree(source, root)
    (root/'02.wav').write_bytes((root/'02.wav').read_bytes()[:3000]); (root/'05.wav').write_text('<html>404</html>'); (root/'12.wav').write_bytes(b'')
    sf.write(root/'07.wav', np.full(100, np.nan, np.float32), 16000, subtype='FLOAT')
    return root

def test_stop_at_the_first(spoilt, tmp_path):
    (spoilt/'12.wav').write_bytes((spoilt/'11.wav').read_bytes())                        # nothing that the scan can see
    store = tmp_path/'store'
    with pytest.raises(PrepareError, match='02.wav: only .* samples are there.*--on-bad skip'): prepare_store('rows', spoilt, store, processes=0, per_shard=2)
    word = json.loads((store/'report.json').read_text())
    assert adds_up(word) and (word['written'],word['skipped'],word['left'])==(2,1,11) and word['error']
    assert sorted(p.name for p in store.iterdir())==['journal','report.csv','report.json','train-00000.arrow']

def test_skip_and_the_share_allowed(spoilt, tmp_path):
    store = tmp_path/'store'
    with pytest.raises(PrepareError, match=r'4 of 14 inputs cannot be used, --max-bad 0.25 allows 3'): prepare_store('rows', spoilt, store, processes=0, on_bad='skip', max_bad=.25)
    assert adds_up(json.loads((store/'report.json').read_text()))
    report = prepare_store('rows', spoilt, store, processes=0, on_bad='skip', max_bad=.3)
    assert report['reasons']==dict(empty=1, nan=1, not_audio=1, truncated=1) and (report['written'],report['skipped'],report['left'])==(10,4,0) and adds_up(report)
    m = read_manifest(store)
    assert m['skipped']==4 and [s[0] for s in m['skips']]==['02.wav','05.wav','07.wav','12.wav']
    again = prepare_store('rows', spoilt, store, processes=0, on_bad='skip', max_bad=.3)
    assert (again['already'],again['skipped'],again['written'])==(10,4,0) and adds_up(again)

def test_a_mended_file_is_taken_when_the_work_goes_on(spoilt, source, clean, tmp_path):
    store = tmp_path/'store'
    with pytest.raises(KeyboardInterrupt): prepare_store('rows', spoilt, store, processes=0, on_bad='skip', max_bad=1., per_shard=4, show=stop_at(12))
    for n in ('02','05','07','12'): shutil.copy(source/f'{n}.wav', spoilt/f'{n}.wav')
    report = prepare_store('rows', spoilt, store, processes=0, per_shard=4)
    assert contents(store)==clean and report['skipped']==0 and adds_up(report)

def stop_at(n):
    def show(row):
        if row['done']>=n: raise KeyboardInterrupt
    return show

def test_dry_run_writes_nothing(spoilt, tmp_path):
    report = prepare_store('rows', spoilt, tmp_path/'store', processes=0, on_bad='skip', max_bad=.3, dry_run=True)
    assert not (tmp_path/'store').exists() and report['left']==13 and report['skipped']==1 and report['shards']==2 and adds_up(report)

def test_a_file_that_changes_while_it_is_read(source, tmp_path):
    root = tmp_path/'root'; shutil.copytree(source, root)
    def grow(row): sf.write(root/'13.wav', tone(1, 5000), 16000)
    report = prepare_store('rows', root, tmp_path/'store', processes=0, on_bad='skip', max_bad=.1, show=grow)
    assert report['reasons']=={'changed':1}

def test_a_dry_run_tells_of_what_it_tried(spoilt, typed, tmp_path):
    (spoilt/'12.wav').write_bytes((spoilt/'11.wav').read_bytes())                        # nothing that the scan can see
    report = prepare_store('rows', spoilt, tmp_path/'store', processes=0, dry_run=True)
    assert report['sample']['tried']==14 and report['sample']['failed']==3 and '02.wav: only' in report['sample']['first']
    code,out,err = typed('prepare', 'rows', spoilt, tmp_path/'store', '--processes', 0, '--dry-run')
    assert code==1 and len(err)==1 and 'would stop' in err[0] and '3 of 14 sounds tried cannot be used, the first: ' in out[-1] and '02.wav: only' in out[-1]
    code,out,err = typed('prepare', 'rows', spoilt, tmp_path/'store', '--processes', 0, '--dry-run', '--on-bad', 'skip', '--max-bad', .5)
    assert code==2 and not err and '3 of 14 sounds tried' in out[-1] and 'in 2 shards' in out[0]
    assert not (tmp_path/'store').exists()

@pytest.mark.parametrize('seconds', [.02, .2])
def test_room_for_short_sounds(tmp_path, seconds):
    for i in range(200): (tmp_path/'own'/f'{i%2}').mkdir(parents=True, exist_ok=True); sf.write(tmp_path/f'own/{i%2}/{i:03}.wav', tone(i, round(16000*seconds)), 16000)
    trial = prepare_store('audiofolder', tmp_path/'own', tmp_path/'store', processes=0, dry_run=True)
    prepare_store('audiofolder', tmp_path/'own', tmp_path/'store', processes=0)
    took = sum(p.stat().st_size for p in (tmp_path/'store').glob('*.arrow'))/1e6
    assert took-.05<=trial['needed_mb']<=1.4*took+.05

# --- a finished store, and what became of it since

def small_standin(tmp_path, **kw):
    root = write_standin('fsd50k', tmp_path/'source', clips=5)
    said = []
    def again(**more): said.clear(); return prepare_store('fsd50k', root, tmp_path/'store', processes=0, per_shard=2, say=said.append, **(kw|more))
    report = again()
    return root,tmp_path/'store',again,said,contents(tmp_path/'store'),report

def hurt(path, how):
    d = bytearray(path.read_bytes())
    if how=='gone': path.unlink()
    elif how=='cut': path.write_bytes(d[:len(d)//2])
    elif how=='empty': path.write_bytes(b'')
    else: d[-9] ^= 255; path.write_bytes(d)                                              # its table of contents

@pytest.mark.parametrize('how', ['gone','cut','empty','torn'])
def test_a_shard_is_made_again(tmp_path, how):
    root,store,again,said,good,first = small_standin(tmp_path)
    shards = sorted(store.glob('*.arrow')); assert len(shards)>3
    n = sum(e['records'] for e in read_manifest(store)['shards'] if e['file'] in (shards[1].name, shards[2].name))
    for p in shards[1:3]: hurt(p, how)
    report = again()
    assert contents(store)==good and verify_store(store) and not verify_store(store).orphans
    assert report['written']==n and report['already']==first['written']-n>0 and adds_up(report)
    assert sum('it is made again' in l for l in said)==2
    report = again()
    assert report['written']==0 and 'verify STORE` proves every byte' in said[-1]

def test_a_damaged_sound_is_mended_as_verify_says(tmp_path, typed):
    root,store,again,said,good,_ = small_standin(tmp_path)
    shard = sorted(store.glob('*.arrow'))[0]; d = bytearray(good[shard.name]); d[len(d)//2] ^= 1; shard.write_bytes(d)
    again(); assert 'verify STORE` proves every byte' in said[-1] and contents(store)!=good      # no sound is read again; it says who does
    code,out,err = typed('verify', store)
    assert code==1 and f'in {shard.name}. Delete what is faulty and run the prepare command' in err[0]
    shard.unlink(); again()
    assert contents(store)==good and verify_store(store)

def test_a_shard_whose_files_changed_is_not_made_again(tmp_path):
    root,store,again,said,good,_ = small_standin(tmp_path)
    shard = sorted(store.glob('train-*.arrow'))[0]
    source = root/Store(store).split('train').record(0)['source']
    shard.unlink(); sf.write(source, tone(3), 44100)
    with pytest.raises(PrepareError, match=f'{shard.name} was missing or damaged, and cannot be made again as it was: its files have changed since'): again()
    assert not shard.exists() and {k:v for k,v in good.items() if k!=shard.name}=={k:v for k,v in contents(store).items() if not k.startswith('journal')}

def test_killed_while_a_shard_is_made_again(tmp_path):
    root,store,again,said,good,_ = small_standin(tmp_path)
    for p in list(store.glob('*.arrow'))[:3]: p.unlink()
    with pytest.raises(KeyboardInterrupt): again(show=stop_at(len(Store(store))-2))
    report = again()
    assert contents(store)==good and verify_store(store) and adds_up(report)

def test_what_was_left_out_and_mended_since_is_said(tmp_path, typed):
    root = write_standin('fsd50k', tmp_path/'source', clips=5)
    p = sorted((root/'FSD50K.eval_audio').glob('*.wav'))[1]; whole = p.read_bytes(); p.write_bytes(whole[:3000])
    words = 'prepare', 'fsd50k', root, tmp_path/'store', '--processes', 0, '--on-bad', 'skip', '--max-bad', .5, '--per-shard', 2
    assert typed(*words)[0]==2
    good = contents(tmp_path/'store')
    p.write_bytes(whole)
    code,out,err = typed(*words)
    assert code==2 and any('1 sound left out when the store was made, 1 of them changed since; to take in what was mended, prepare into a new folder' in l for l in out)
    for shard in (tmp_path/'store').glob('*.arrow'): shard.unlink()
    assert typed(*words)[0]==2 and contents(tmp_path/'store')==good                      # made again as they were, without it
    report = json.loads((tmp_path/'store/report.json').read_text())
    assert adds_up(report) and report['skips'][0]['key']==f'eval/{p.stem}'

# --- sounds that the tables name and nobody has

def test_missing_is_counted_in_all_splits(tmp_path, typed):
    root = write_standin('us8k', tmp_path/'source', clips=2)
    files = sorted((root/'audio').rglob('*.wav'),key=lambda p: int(p.parent.name[4:])); gone = [files[0], files[3], files[-1]]; [p.unlink() for p in gone]      # of the test, valid and training folds
    words = 'prepare', 'us8k', root, tmp_path/'store', '--processes', 0
    code,out,err = typed(*words)
    assert code==1 and len(err)==1 and 'listed, but not there' in err[0]
    code,out,err = typed(*words, '--on-bad', 'skip')
    assert code==1 and f'3 of {len(files)} inputs cannot be used' in err[0]
    code,out,err = typed(*words, '--on-bad', 'skip', '--max-bad', .5)
    report = json.loads((tmp_path/'store/report.json').read_text())
    assert code==2 and '3 skipped: 3 missing' in out[-1] and adds_up(report)
    assert (report['inputs'],report['written'],report['skipped'],report['missing'])==(len(files), len(files)-3, 3, 3)
    assert {Path(s['key']).name for s in report['skips']}=={p.name for p in gone} and {s['split'] for s in report['skips']}=={'train','valid','test'}
    again = prepare_store('us8k', root, tmp_path/'store', processes=0, on_bad='skip', max_bad=.5)
    assert adds_up(again) and again['inputs']==len(files) and again['already']==len(files)-3

@pytest.mark.parametrize('name', ['audioset','desed'])
def test_vanished_videos_are_counted(tmp_path, name):
    "They are usual there, and no fault; but they are in the sum"
    root = write_standin(name, tmp_path/'source')
    before = prepare_store(name, root, tmp_path/'before', processes=0, dry_run=True)
    gone = sorted(p for p in (root/'audio').rglob('*.wav') if 'unlabel' not in str(p))[::9]; [p.unlink() for p in gone]
    report = prepare_store(name, root, tmp_path/'store', processes=0)
    assert report['missing']==report['reasons']['missing']==report['skipped']==before['missing']+len(gone)>1 and adds_up(report)
    assert report['inputs']==before['inputs']==report['written']+report['missing']

# --- folders that hold something else

def test_foreign_folders(source, tmp_path):
    store = tmp_path/'store'; store.mkdir(); (store/'letter.txt').write_text('dear')
    with pytest.raises(StoreError, match='no store at all'): prepare_store('rows', source, store, processes=0)
    assert [p.name for p in store.iterdir()]==['letter.txt']
    prepare_store('rows', source, tmp_path/'a', processes=0); before = contents(tmp_path/'a')
    for other in (dict(per_shard=3), dict(sr=8000), dict(encoding='bytes')):
        with pytest.raises(StoreError, match='begun with other inputs or settings') as e: prepare_store('rows', source, tmp_path/'a', processes=0, **other)
        assert str(e.value).partition('settings, ')[2] in ('per-shard 1000, not 3. Choose another folder', 'sr 16000, not 8000. Choose another folder', "encoding 'int16', not 'bytes'. Choose another folder")
    fewer = write_rows(tmp_path/'fewer', json.loads((source/'rows.json').read_text())[:13]); [shutil.copy(p, fewer) for p in source.glob('*.wav')]
    with pytest.raises(StoreError, match='number of sounds 14, not 13'): prepare_store('rows', fewer, tmp_path/'a', processes=0)
    assert contents(tmp_path/'a')==before
    text = (tmp_path/'a/manifest.json').read_text(); (tmp_path/'a/manifest.json').write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(StoreError, match='version 2, version 1 is read here'): prepare_store('rows', source, tmp_path/'a', processes=0)

def test_a_disk_that_is_too_small_is_seen_beforehand(source, tmp_path, monkeypatch):
    usage = shutil._ntuple_diskusage(10**9, 10**9-50_000, 50_000)
    monkeypatch.setattr(shutil, 'disk_usage', lambda p: usage)
    with pytest.raises(PrepareError, match=r'about 0\.1 MB are needed, 0\.1 MB are free; make room'): prepare_store('rows', source, tmp_path/'store', processes=0)
    assert {p.name for p in (tmp_path/'store').iterdir()}=={'report.json'}

# --- T5 and T6: killed, and out of room

WORKER = '''
import errno, fcntl, json, os, resource, signal, sys, time
sys.path.insert(0, sys.argv[1])
import test_prepare
from audiossl import shards
from audiossl.datasets.prepare import prepare_store
ops = dict(write=0, torn=0, fsync=0, replace=0, unlink=0, rmdir=0, mkdir=0)

def hook(at, k, act):
    def tick(name):
        ops[name] += 1
        if (name, ops[name])==(at, k): act()
    def wrap(name):
        f = getattr(os, name)
        def g(*a, **kw): tick(name); return f(*a, **kw)
        setattr(os, name, g)
    for n in ('fsync','replace','unlink','rmdir','mkdir'): wrap(n)
    class File:
        def __init__(self, path, mode, buffering=-1): self.f = open(path, mode, buffering=0)
        def write(self, data):
            data = memoryview(data).cast('B')
            tick('write')
            ops['torn'] += 1
            if (at, k)==('torn', ops['torn']): fcntl.fcntl(self.f, fcntl.F_SETFL, 0); self.f.write(data[:len(data)//2]); act()
            n = 0
            while n<len(data): n += self.f.write(data[n:])
            return n
        def __getattr__(self, k): return getattr(self.f, k)
        def __enter__(self): return self
        def __exit__(self, *_): self.f.close()
    shards.open = File
    shards._block = 4096            # more writes, and so more places for a kill

def full(): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
acts = dict(kill=lambda: os.kill(os.getpid(), signal.SIGKILL), full=full, none=lambda: None)
for line in sys.stdin:
    job = json.loads(line); start = time.monotonic()
    if not (pid := os.fork()):
        said = {}
        try:
            if 'at' in job: hook(job['at'], job['k'], acts[job['act']])
            if 'most' in job: resource.setrlimit(resource.RLIMIT_FSIZE, (job['most'],)*2)
            said['report'] = prepare_store('rows', job['source'], job['store'], processes=0, per_shard=4)
        except BaseException as e: said.update(error=str(e), kind=type(e).__name__)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],)*2)
        if 'most' not in job:
            with open(job['store']+'.saying', 'w') as f: json.dump(dict(said, ops=ops), f)
            os.rename(job['store']+'.saying', job['store']+'.said')                     # a kill may come here too: all of it or none
        else: sys.stdout.write(json.dumps(said)+'\\n'); sys.stdout.flush()
        os._exit(0)
    if 'after' in job: time.sleep(job['after']); os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    print(json.dumps(dict(signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, seconds=time.monotonic()-start)), flush=True)
'''

@pytest.fixture(scope='module')
def worker(source, tmp_path_factory):
    "A process that has everything imported and forks for each preparation, so that three hundred of them take a minute"
    p = subprocess.Popen([sys.executable, '-c', WORKER, str(Path(__file__).parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ, OMP_NUM_THREADS='1'))
    def ask(store, **job):
        said = Path(f'{store}.said'); said.unlink(missing_ok=True)
        p.stdin.write(json.dumps(dict(source=str(source), store=str(store), **job))+'\n'); p.stdin.flush()
        res = {}
        while 'signal' not in res: res |= json.loads(p.stdout.readline())
        return res | (json.loads(said.read_text()) if said.exists() else {})
    yield ask
    p.stdin.close(); p.wait(10)

def goes_on(worker, store, clean):
    "The same command again, undisturbed: the same bytes, nothing left over, and a sum that adds up"
    again = worker(store)
    assert 'error' not in again, again
    assert contents(store)==clean and verify_store(store, clean=True) and not verify_store(store).orphans
    assert adds_up(again['report']) and again['report']['left']==0
    return again['report']['already']

OPS = ('write','torn','fsync','replace','unlink','rmdir','mkdir')
@pytest.fixture(scope='module')
def counts(worker, tmp_path_factory):
    "How often an undisturbed run does each"
    done = worker(tmp_path_factory.mktemp('counted')/'store', at='write', k=0, act='none')
    assert 'error' not in done, done
    return done['ops']

@pytest.mark.parametrize('op', OPS)
def test_killed_at_each_step(worker, counts, clean, tmp_path, op):
    n = min(150, counts[op]); assert n>0
    tried = range(1, n+1) if ALL or n<=12 else sorted({1, 2, n-1, n, *np.linspace(1, n, 8).astype(int).tolist()})
    kept = 0
    for k in tried:
        store = tmp_path/f'{k}'/'store'; store.parent.mkdir()
        assert worker(store, at=op, k=k, act='kill')['signal']==signal.SIGKILL
        kept += goes_on(worker, store, clean)>0
        shutil.rmtree(store.parent)
    print(f'killed at {op}: {len(tried)} of {counts[op]} places tried and survived; in {kept} earlier shards were kept')

def test_killed_at_random_times(worker, clean, tmp_path):
    rng,took = random.Random(0), worker(tmp_path/'whole')['seconds']
    killed = 0
    for i in range(30):
        store = tmp_path/f'{i}'
        for _ in range(rng.choice((1,1,2))): killed += worker(store, after=rng.random()*took)['signal']==signal.SIGKILL
        goes_on(worker, store, clean)
    assert killed>=15
    print(f'killed at random: 30 preparations, {killed} kills, all ended in the same bytes')

def command(*words): return [Path(sys.executable).parent/'audiossl', *map(str, words)]
QUIET = dict(env=dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('own')
    for i in range(60): (root/f'class_{i%3}').mkdir(exist_ok=True); sf.write(root/f'class_{i%3}/{i:02}.wav', tone(i), 16000)
    return root

@pytest.fixture(scope='module')
def folder_clean(folder, tmp_path_factory):
    store = tmp_path_factory.mktemp('own_clean')/'store'
    prepare_store('audiofolder', folder, store, processes=0, per_shard=5)
    return contents(store)

def test_the_command_killed_with_its_decoders(folder, folder_clean, tmp_path):
    words = 'prepare', 'audiofolder', folder, tmp_path/'store', '--per-shard', 5, '--processes', 2
    p = subprocess.Popen(command(*words), **QUIET)
    while not list(tmp_path.glob('store/journal/*-00002.json')) and p.poll() is None: time.sleep(.01)
    p.kill(); p.communicate()
    r = subprocess.run(command(*words), **QUIET)
    assert r.returncode==0 and contents(tmp_path/'store')==folder_clean, r.stderr
    assert 'resuming' in r.stdout and 'prepared 60 of 60' in r.stdout

@pytest.fixture(scope='module')
def strace():
    exe = shutil.which('strace')
    if not exe or subprocess.run([exe, '-qq', '-o', os.devnull, '-e', 'inject=fsync:signal=KILL:when=999', 'true'], capture_output=True).returncode: pytest.skip('strace is not there or may not trace')
    return exe

@pytest.mark.parametrize('call', ['write','fsync','rename,?renameat,?renameat2'])
def test_killed_by_strace(strace, folder, folder_clean, tmp_path, call):
    "The kernel's view: every write, the interpreter's own included"
    words = 'prepare', 'audiofolder', folder, tmp_path/'store', '--per-shard', 5, '--processes', 0
    done = 0
    for k in range(1, 151) if ALL else (23,):
        shutil.rmtree(tmp_path/'store', ignore_errors=True)
        r = subprocess.run([strace, '-qq', '-o', os.devnull, '-e', f'trace={call}', '-e', f'inject={call}:signal=KILL:when={k}', *command(*words)], **QUIET)
        prepare_store('audiofolder', folder, tmp_path/'store', processes=0, per_shard=5)
        assert contents(tmp_path/'store')==folder_clean and not verify_store(tmp_path/'store', clean=True).problems and not verify_store(tmp_path/'store').orphans
        if r.returncode==0: break                                       # it ended before its k-th call
        assert r.returncode in (-signal.SIGKILL, 128+signal.SIGKILL), r.stderr
        done += 1
    assert done
    print(f'strace, {call}: killed {done} times, all went on to the same bytes')

# T6

def survived(worker, store, said, clean):
    assert said.get('kind') in ('StoreError','PrepareError') and 'MB are free' in said['error'] and '\n' not in said['error'], said
    for p in store.glob('journal/*-?????.json'):
        name = json.loads(p.read_text())['file']
        assert (store/name).read_bytes()==clean[name]                   # what was sealed is whole
    assert not list(store.rglob('.*.part'))
    goes_on(worker, store, clean)

@pytest.mark.parametrize('op', ['write','fsync'])
def test_disk_full_at_each_step(worker, counts, clean, tmp_path, op):
    n = counts[op]
    tried = range(1, n+1) if ALL or op=='fsync' else np.linspace(1, n, 10).astype(int).tolist()
    for k in tried:
        said = worker(tmp_path/f'{k}', at=op, k=k, act='full')
        if said.get('report'): assert contents(tmp_path/f'{k}')==clean; continue     # it was the report's own, after the store was finished
        survived(worker, tmp_path/f'{k}', said, clean)
    print(f'disk full at {op}: {len(tried)} of {n} places tried and survived')

def test_no_file_may_grow(worker, clean, tmp_path):
    most = max(map(len, clean.values()))
    for k in range(10):
        said = worker(tmp_path/f'{k}', most=int(most*k/10)+1)
        survived(worker, tmp_path/f'{k}', said, clean)

def test_a_small_disk(worker, clean, tmp_path):
    disk = tmp_path/'disk'; disk.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', str(disk)], capture_output=True).returncode: pytest.skip('no small file system can be mounted here')
    try:
        said = worker(disk/'store')
        assert said['kind']=='PrepareError' and 'are needed' in said['error'] and 'are free; make room' in said['error']      # seen before it began
        (disk/'store').exists() and shutil.rmtree(disk/'store')
        subprocess.run(['mount', '-o', 'remount,size=120k', str(disk)], check=True)
        said = worker(disk/'store')                                     # it looked as if it would fit
        if 'error' in said: assert said['kind']=='StoreError' and 'No space left' in said['error'] and 'MB are needed' in said['error']
        subprocess.run(['mount', '-o', 'remount,size=2m', str(disk)], check=True)
        goes_on(worker, disk/'store', clean)
    finally: subprocess.run(['umount', str(disk)], check=True)

# --- the command

def test_exit_codes(typed, folder, folder_clean, tmp_path):
    src,store = tmp_path/'src',tmp_path/'store'; shutil.copytree(folder, src)
    assert typed('prepare', 'audiofolder', src, store, '--per-shard', 5, '--processes', 0)[0]==0
    assert contents(store)==folder_clean
    code,out,err = typed('prepare', 'audiofolder', src, store, '--per-shard', 5, '--processes', 0)
    assert code==0 and '60 of them before' in out[-1]
    (src/'class_0/00.wav').write_bytes(b'')
    code,out,err = typed('prepare', 'audiofolder', src, tmp_path/'b', '--processes', 0)
    assert code==1 and err==['audiossl: class_0/00.wav: 0 bytes; fetch it again. Or leave such files out with --on-bad skip.']
    code,out,err = typed('prepare', 'audiofolder', src, tmp_path/'b', '--processes', 0, '--on-bad', 'skip', '--max-bad', '.02')
    assert code==2 and err==[] and 'prepared 59 of 60; 1 skipped: 1 empty' in out[-1]
    code,out,err = typed('prepare', 'audiofolder', src, tmp_path/'c', '--processes', 0, '--on-bad', 'skip')
    assert code==1 and '1 of 60 inputs cannot be used, --max-bad 0.01 allows 0' in err[0]
    code,out,err = typed('prepare', 'audiofolder', src, tmp_path/'d', '--processes', 0, '--on-bad', 'skip', '--max-bad', '.02', '--dry-run')
    assert code==2 and 'would write 59 of 60' in out[-2] and 'none of 16 sounds tried cannot be used' in out[-1] and not (tmp_path/'d').exists()

@pytest.mark.parametrize('words,said', [
    (('nothing','.','s'), "no dataset 'nothing'"), (('minisounds',str(data_path()),'s'), 'does not lie in files'), (('minisounds','.','s'), 'no metadata.csv'), (('audiofolder','nowhere','s'), 'nowhere: no such folder'),
    (('audiofolder','.'), 'Missing argument'), (('audiofolder','.','s','--fast'), 'No such option'), (('audiofolder','.','s','--processes','x'), 'Invalid value'),
    (('audiofolder','.','s','--on-bad','ask'), '--on-bad ask: stop or skip is allowed'), (('audiofolder','.','s','--max-bad','2'), '--max-bad 2.0: 0 to 1 is allowed'),
    (('audiofolder','.','s','--processes','-1'), '--processes -1: 0 and more is allowed'), (('audiofolder','.','s','--encoding','mp3'), "encoding='mp3'"),
    (('audiofolder','.','s','--option','x'), "--option 'x': write it as name=value"), (('audiofolder','.','s','--option','x=1'), "--option x: audiofolder does not take it; it takes fold, valid, channels, missing"),
    *[(('us8k','.','s','--option',o), f'--option {o.split("=")[0]}: prepare sets it itself') for o in ('split=test','transform=1','return_key=true','data_path=x','name=x','on_bad=skip','show=1','sr=8000','options=1')]])
def test_mistakes_are_one_line_and_1(typed, folder, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(folder)
    code,out,err = typed('prepare', *(str(tmp_path/'s') if w=='s' else w for w in words))
    assert code==1 and len(err)==1 and said in err[0], err
    assert not (tmp_path/'s').exists()

@pytest.mark.parametrize('name,option,said', [('desed','x=1','--option x: desed does not take it; it takes valid, parts, keep_empty, channels'), ('librispeech','parts=5','librispeech with parts=5: '),
    ('audioset','table=1','--option table: audioset does not take it; it takes valid, prefix, on_bad, channels, tables'), ('us8k','missing=none',"'stop' or 'skip' is allowed"), ('desed','seconds=[]','')])
def test_options_of_datasets(typed, tmp_path, name, option, said):
    code,out,err = typed('prepare', name, write_standin(name, tmp_path/'source', clips=2), tmp_path/'s', '--option', option)
    assert code==1 and len(err)==1 and said in err[0], err
    assert not (tmp_path/'s').exists()

def test_a_store_is_no_source(typed, folder, tmp_path):
    assert typed('prepare', 'audiofolder', folder, tmp_path/'a', '--processes', 0)[0]==0
    code,out,err = typed('prepare', 'audiofolder', tmp_path/'a', tmp_path/'b')
    assert code==1 and len(err)==1 and 'a store already; name the folder that audiofolder was unpacked into' in err[0]

def test_each_word_once(spoilt, typed, tmp_path):
    "A fault, its remedy, and the option: none of them twice"
    (spoilt/'12.wav').write_bytes((spoilt/'11.wav').read_bytes())
    code,out,err = typed('prepare', 'rows', spoilt, tmp_path/'store', '--processes', 0)
    assert code==1 and err[0].count('leave')==1 and err[0].endswith('leave it out: --on-bad skip does.')
    write_rows(tmp_path/'one', [dict(key='a', path='a.wav')]); sf.write(tmp_path/'one/a.wav', tone(1), 16000)
    assert '1 sound in 1 shard, 1 train' in typed('prepare', 'rows', tmp_path/'one', tmp_path/'s', '--processes', 0)[1][0]

def test_verify(typed, folder, tmp_path):
    typed('prepare', 'audiofolder', folder, tmp_path/'store', '--processes', 0)
    assert typed('verify', tmp_path/'store')[0]==0
    (tmp_path/'store/.train-00009.arrow.part').write_bytes(b'left')
    code,out,err = typed('verify', tmp_path/'store'); assert code==0 and '1 other files' in ' '.join(out)
    assert typed('verify', tmp_path/'store', '--clean')[0]==0 and not (tmp_path/'store/.train-00009.arrow.part').exists()
    shard = next((tmp_path/'store').glob('*.arrow')); data = bytearray(shard.read_bytes()); data[len(data)//2] ^= 4; shard.write_bytes(data)
    code,out,err = typed('verify', tmp_path/'store')
    assert code==1 and len(err)==1 and shard.name in err[0] and 'run the prepare command' in err[0]
    assert sum('is damaged' in l for l in out+err)==1                                     # each fault once
    code,out,err = typed('verify', tmp_path)
    assert code==1 and len(out+err)==1

def test_hostile_names_on_the_screen(hostile, tmp_path):
    "In a process of its own, with a screen that knows ASCII only"
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_prepare; from audiossl.cli_data import main; main(sys.argv[2:])"
    r = subprocess.run([sys.executable, '-c', code, str(Path(__file__).parent), 'prepare', 'rows', str(hostile[0]), str(tmp_path/'store'), '--processes', '0', '--on-bad', 'skip', '--max-bad', '.01'],
                       **{**QUIET, 'env': dict(QUIET['env'], PYTHONIOENCODING='ascii:backslashreplace')})
    assert r.returncode==1 and len(r.stderr.splitlines())==1 and 'inputs cannot be used' in r.stderr, r.stderr
