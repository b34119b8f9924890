"Datasets of one label a clip: every split, every fault, on stand-ins in the published layouts; entries and datasets of files"
import json, pickle, re, shutil
from pathlib import Path
import pytest, torch
from torch.utils.data import DataLoader
from audiossl.audio import AudioError, example, find_audio, load_audio, resample, save_audio, to_int16
from audiossl.datasets.clips import CLIP_CLASSES, SPLITS, list_audiofolder, list_iemocap, list_nsynth, list_spcv2, list_us8k, list_voxceleb1
from audiossl.datasets.registry import Entry, FileDataset, get_dataset, list_all_datasets, take_split
from audiossl.tables import inside, read_lines, read_table
from audiossl.manifest import StoreWriter
from audiossl.standins import write_standin

NAMES = dict(voxceleb1=list_voxceleb1, us8k=list_us8k, nsynth=list_nsynth, spcv2=list_spcv2, iemocap=list_iemocap)
FOLDS = dict(us8k=10, iemocap=5)

@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    top = tmp_path_factory.mktemp('clips')
    return {n: write_standin(n, top/n) for n in NAMES}

@pytest.fixture
def copy(roots, tmp_path): # a stand-in to spoil
    return lambda name: Path(shutil.copytree(roots[name], tmp_path/name))

def make(name, root, split='train', **kw): return get_dataset(name).creator(root, split, **kw)
def keys(name, root, split, **kw): return set(make(name, root, split, **kw).keys)

@pytest.mark.parametrize('name', NAMES)
def test_splits_share_nothing_and_leave_nothing(name, roots):
    everything = {e.key for e in NAMES[name](roots[name])[0]}
    for fold in range(1, FOLDS.get(name, 1)+1):
        a,b,c = (keys(name, roots[name], s, fold=fold) for s in SPLITS)
        assert a and b and c and not a&b and not a&c and not b&c and a|b|c==everything

@pytest.mark.parametrize('name', FOLDS)
def test_each_fold_is_the_test_once(name, roots):
    tests = [keys(name, roots[name], 'test', fold=k) for k in range(1, FOLDS[name]+1)]
    assert sum(map(len, tests))==len(set.union(*tests))==len(NAMES[name](roots[name])[0])
    for k,t in enumerate(tests): assert keys(name, roots[name], 'valid', fold=k or FOLDS[name])==t if k else True

@pytest.mark.parametrize('name', NAMES)
def test_validation_on_the_test_set_is_an_option_with_a_name(name, roots):
    own,test = ({s: keys(name, roots[name], s, valid=v) for s in SPLITS} for v in ('own','test'))
    assert test['valid']==test['test']==own['test'] and test['train']==own['train']|own['valid']
    with pytest.raises(ValueError, match="valid='eval': 'own' or 'test'"): make(name, roots[name], valid='eval')

@pytest.mark.parametrize('name', NAMES)
def test_items_and_labels(name, roots):
    info = get_dataset(name)
    ds = info.creat_fn(roots[name], split='test', return_key=True)
    assert not info.multi_label and info.num_folds==FOLDS.get(name, 1) and len(ds.classes)==info.num_labels and ds.classes==info.classes
    for x,y,key in ds:
        assert x.ndim==2 and len(x)==1 and x.dtype==torch.float32 and type(y) is int and 0<=y<info.num_labels and key in ds.keys and x.isfinite().all()
    x,y = info.creator(roots[name], 'test', transform=lambda w: (w[:,:100], 100), target_transform=lambda w,y: (w*0, y+.5))[0]
    assert x[0].shape==(1,100) and x[1]==100 and not x[0].any() and y%1==.5
    for s in ('size','steps','licence','homepage'): assert getattr(info, s)
    assert info.steps.splitlines()[-1]==f'audiossl prepare {name} SOURCE STORE' and info.size in repr(info) and f'audiossl prepare {name}' in info._repr_html_()

def test_order_of_the_classes():
    c = CLIP_CLASSES
    assert [len(c[n]) for n in ('us8k','nsynth','spcv2','iemocap')]==[10,11,35,4]
    assert c['us8k'][:3]==('dog_bark','children_playing','car_horn') and c['spcv2'][:4]==('right','eight','cat','backward') and c['spcv2'][-1]=='four'
    assert list(c['nsynth'])==sorted(c['nsynth']) and get_dataset('voxceleb1').classes[::1250]==('id10001','id11251')

def test_labels_are_those_of_the_tables(roots):
    for e in list_voxceleb1(roots['voxceleb1'])[0]: assert e.labels[0]==int(e.key[2:7])-10001
    for e in list_us8k(roots['us8k'])[0]: assert 'air_conditioner car_horn children_playing dog_bark drilling engine_idling gun_shot jackhammer siren street_music'.split()[
        int(e.key.split('-')[1])]==CLIP_CLASSES['us8k'][e.labels[0]]
    for e in list_nsynth(roots['nsynth'])[0]: assert e.key.split('/')[1].startswith(CLIP_CLASSES['nsynth'][e.labels[0]])
    for e in list_spcv2(roots['spcv2'])[0]: assert e.key.split('/')[0]==CLIP_CLASSES['spcv2'][e.labels[0]]

def test_the_real_first_lines_of_us8k(tmp_path, copy):
    "Rows as they stand in the published table"
    root = copy('us8k')
    rows = ['100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark','100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing','100648-1-0-0.wav,100648,4.823402,5.471927,2,10,1,car_horn',
            '100852-0-0-0.wav,100852,0.0,4.0,1,5,0,air_conditioner','101848-9-0-0.wav,101848,0.0,4.0,1,7,9,street_music']
    (root/'metadata/UrbanSound8K.csv').write_text('slice_file_name,fsID,start,end,salience,fold,classID,class\n'+'\n'.join(rows)+'\n')
    for r in rows: shutil.copy(find_audio(root)[0], root/f'audio/fold{r.split(",")[5]}'/r.split(',')[0])
    entries,classes = list_us8k(root)
    assert [e.labels[0] for e in entries]==[0,1,2,3,4] and [e.fold for e in entries]==[5,5,10,5,7]      # in the order of first appearance

def test_iemocap_takes_four_emotions_and_leaves_the_others(roots):
    entries,_ = list_iemocap(roots['iemocap'])
    logs = ''.join(p.read_text() for p in roots['iemocap'].rglob('Ses*.txt'))
    said = dict(re.findall(r'\t(Ses\w+)\t(\w+)\t\[', logs))
    assert {said[e.key] for e in entries}=={'neu','hap','exc','ang','sad'} and len(entries)==sum(v in ('neu','hap','exc','ang','sad') for v in said.values())<len(said)
    assert all(e.fold==int(e.key[3:5]) and e.labels[0]=={'neu':0,'hap':1,'exc':1,'ang':2,'sad':3}[said[e.key]] for e in entries)
    strict = list_iemocap(roots['iemocap'], emotions=('neu','hap','ang','sad'))[0]
    assert {e.key for e in entries}-{e.key for e in strict}=={k for k,v in said.items() if v=='exc'}
    with pytest.raises(ValueError, match="emotions: 'joy' is not one of"): make('iemocap', roots['iemocap'], emotions=('joy',))

@pytest.mark.parametrize('name,below', [('us8k','UrbanSound8K'), ('iemocap','IEMOCAP_full_release')])
def test_the_folder_above_will_do(name, below, roots, tmp_path):
    (tmp_path/below).symlink_to(roots[name])
    assert make(name, tmp_path).keys==make(name, roots[name]).keys

def test_voxceleb1_in_one_folder(roots, copy):
    root = copy('voxceleb1')
    (root/'wav').mkdir()
    for p in [*root.glob('*/wav/id*')]: p.rename(root/'wav'/p.name)
    assert make('voxceleb1', root).keys==make('voxceleb1', roots['voxceleb1']).keys

# ---- faults ------------------------------------------------------------------------------------------------------------------------------

def edit(path, *pairs):
    text = path.read_text()
    for a,b in pairs: assert a in text, a; text = text.replace(a, b, 1)
    path.write_text(text)

TABLE = dict(voxceleb1='iden_split.txt', us8k='metadata/UrbanSound8K.csv', nsynth='nsynth-valid/examples.json', spcv2='testing_list.txt', iemocap='Session3/dialog/EmoEvaluation/Ses03F_impro01.txt')

@pytest.mark.parametrize('name', NAMES)
def test_no_such_folder_and_another_folder(name, tmp_path):
    with pytest.raises(FileNotFoundError, match='no such folder') as e: make(name, tmp_path/'nowhere')
    assert '\n' not in str(e.value)
    with pytest.raises(FileNotFoundError, match='there is no') as e: make(name, tmp_path)
    assert str(tmp_path) in str(e.value)

@pytest.mark.parametrize('name', NAMES)
def test_unknown_split_and_fold(name, roots):
    with pytest.raises(ValueError, match="split='dev': 'train', 'valid' or 'test'"): make(name, roots[name], 'dev')
    n = FOLDS.get(name, 1)
    for k in (0, n+1, 'x', '2'):
        with pytest.raises(ValueError, match=f'fold={k!r}: 1 to {n} is allowed'): make(name, roots[name], fold=k)
    with pytest.raises(TypeError, match='colour'): make(name, roots[name], colour='red')
    with pytest.raises(ValueError, match="channels='left'"): make(name, roots[name], channels='left')

@pytest.mark.parametrize('name', NAMES)
def test_a_missing_sound_is_counted_and_named(name, copy):
    root = copy(name)
    gone = [p for p in find_audio(root) if '_background' not in str(p)]
    listed = {e.path for e in NAMES[name](root)[0] if name!='spcv2' or e.split!='train'}
    for p in sorted(listed)[:2]: p.unlink()
    found = 0
    for s in SPLITS:
        d = make(name, root, s, missing='skip'); found += len(d.missing)
        assert all(p.path.exists() for p in d.entries)
        if d.missing:
            with pytest.raises(FileNotFoundError, match='not there .[12] of') as e: make(name, root, s)
            assert '\n' not in str(e.value) and str(root) in str(e.value)
    assert found==2<len(gone)
    with pytest.raises(ValueError, match="missing='no': 'stop' or 'skip'"): make(name, root, missing='no')

@pytest.mark.parametrize('name', NAMES)
def test_a_missing_table(name, copy):
    root = copy(name); (root/TABLE[name]).unlink()
    if name=='iemocap': (root/'Session3/dialog/EmoEvaluation/Ses03M_script01_1.txt').unlink()
    with pytest.raises(FileNotFoundError): make(name, root)

@pytest.mark.parametrize('name,a,b,error,text', [
    ('us8k', 'classID,class', 'classID,klass', ValueError, "column 'class' is missing; there are slice_file_name"),
    ('us8k', '\n', ',more\n', ValueError, 'row 1 has fewer fields'),
    ('us8k', ',1,0,air_conditioner', ',11,0,air_conditioner', ValueError, "row 1 has fold '11', 1 to 10"),
    ('us8k', ',0,air_conditioner', ',0,air_konditioner', ValueError, "row 1: label 'air_konditioner' is not one of dog_bark"),
    ('us8k', '\n1', '\n../../1', ValueError, 'leads out of this folder'),
    ('voxceleb1', '1 id10001', '4 id10001', ValueError, "line 1 is '4 id10001/standin0001/00001.wav', not like"),
    ('voxceleb1', '1 id10001', '1 id19999', ValueError, 'line 1'),
    ('voxceleb1', '1 id10001/', '1 id10001/../../', ValueError, 'leads out of this folder'),
    ('voxceleb1', '2 id10001/standin0002', '2 id10001/standin0001', ValueError, 'id10001/standin0001/00001.wav is listed twice, as sounds 1 and 2'),
    ('nsynth', '"instrument_family_str": "bass"', '"instrument_family_str": "kazoo"', ValueError, "label 'kazoo' is not one of bass"),
    ('nsynth', '"instrument_family_str"', '"family"', ValueError, "has no 'instrument_family_str'; there are note"),
    ('nsynth', '"bass', '"../../bass', ValueError, 'leads out of this folder'),
    ('nsynth', '{', '', ValueError, 'damaged'),
    ('spcv2', 'backward/', '../backward/', ValueError, 'leads out of this folder'),
    ('spcv2', 'backward/', 'sideward/', ValueError, "'sideward/.*' on a list is not like yes/"),
    ('iemocap', 'F_impro01_M', 'F_impro99_M', FileNotFoundError, 'listed, but not there .1 of 10 ')])
def test_faults_of_tables(name, a, b, error, text, copy):
    root = copy(name); edit(root/TABLE[name], (a, b))
    side = dict(fold=3, split='test') if name=='iemocap' else {}
    with pytest.raises(error, match=text) as e: make(name, root, **side)
    assert '\n' not in str(e.value)

@pytest.mark.parametrize('name,data,text', [
    ('nsynth', b'[]', 'valid/examples.json: not the notes'), ('nsynth', b'{}', 'valid/examples.json: not the notes'), ('nsynth', b'', 'valid/examples.json: damaged'),
    ('nsynth', b'{"a": 1}', 'valid/examples.json: not the notes'), ('nsynth', b'hello', 'damaged'), ('nsynth', b'{"\xff": {}}', 'damaged'), ('nsynth', b'['*100_000, 'damaged'),
    ('us8k', b'slice_file_name,fsID,start,end,salience,fold,classID,class\n', 'UrbanSound8K.csv: there is no row below the header'), ('us8k', b'', 'there are none'),
    ('us8k', b'slice_file_name,fold,class\na.wav,1,siren\nk\xfc.wav,1,siren\n', 'UrbanSound8K.csv: line 3 is not UTF-8; save'),
    ('spcv2', b'', 'testing_list.txt: it is empty'), ('spcv2', b'\n \n', 'testing_list.txt: it is empty'), ('spcv2', b'yes/\xff.wav\n', 'testing_list.txt: line 1 is not UTF-8'),
    ('voxceleb1', b'', 'iden_split.txt: it is empty'), ('voxceleb1', b'1 id10001/x/00001.wav\n\xe9\n', 'iden_split.txt: line 2 is not UTF-8')])
def test_tables_that_are_none(name, data, text, copy):
    root = copy(name); (root/TABLE[name]).write_bytes(data)
    with pytest.raises(ValueError, match=text) as e: make(name, root)
    assert '\n' not in str(e.value) and str(root) in str(e.value)

def test_spcv2_without_a_validation_list(copy):
    root = copy('spcv2'); (root/'validation_list.txt').write_text('')
    with pytest.raises(ValueError, match='validation_list.txt: it is empty; unpack the archive again'): make('spcv2', root)

@pytest.mark.parametrize('name', ['audiofolder','audioset','audioset_b','fsd50k','librispeech','desed','dcase','as_strong', *NAMES])
def test_no_path_at_all(name):
    assert name in list_all_datasets()
    for path in (None, 3):
        with pytest.raises(TypeError, match=f'^data_path={path}: a folder is needed, of the dataset as published or of a store$'): get_dataset(name).creator(path)

def test_spcv2_folders_and_lists(copy):
    root = copy('spcv2')
    (root/'hello').mkdir()
    with pytest.raises(ValueError, match="folder 'hello' is not a word"): make('spcv2', root)
    (root/'hello').rmdir(); shutil.rmtree(root/'yes')
    with pytest.raises(ValueError, match="folder 'yes' is missing"): make('spcv2', root)

def test_spcv2_a_word_on_both_lists(copy):
    root = copy('spcv2'); name = (root/'testing_list.txt').read_text().split()[0]
    with open(root/'validation_list.txt', 'a') as f: f.write(name+'\n')
    with pytest.raises(ValueError, match=f'{name} is in both lists'): make('spcv2', root)

def test_a_broken_sound_is_named_when_it_is_read(copy):
    root = copy('us8k'); ds = make('us8k', root)
    ds.entries[3].path.write_bytes(b'RIFF')
    with pytest.raises(AudioError, match=ds.entries[3].path.name): ds[3]
    assert ds[2]

@pytest.mark.parametrize('name', ['../a', 'a/../../b', '/a', '\\a', 'C:/a', 'C:a', '..', 'a\0b', ''])
def test_nothing_leads_out(name, tmp_path):
    with pytest.raises(ValueError, match='leads out of this folder'): inside(tmp_path, name)

def test_tables_with_a_mark_and_without_a_header(tmp_path):
    p = tmp_path/'t.csv'
    p.write_bytes(b'\xef\xbb\xbffile,label\r\na.wav,"x, y"\r\n')
    assert read_table(p, ('file','label'))==[dict(file='a.wav', label='x, y')]
    p.write_text('')
    with pytest.raises(ValueError, match='there are none'): read_table(p, ('file',))
    p.write_text('file\n"'+'x'*200_000+'"\n')
    with pytest.raises(ValueError, match='t.csv: not a table .field larger'): read_table(p, ('file',))
    p.write_text('a\r\n\r\nb')
    assert read_lines(p)==['a','b']
    with pytest.raises(FileNotFoundError): read_table(tmp_path/'no.csv', ())

# ---- a folder of one's own ---------------------------------------------------------------------------------------------------------------

@pytest.fixture
def mine(tmp_path):
    for label,names in dict(pets='cat dog rooster bird'.split(), music='flute piano violin guitar choir'.split(), drums='kick cymbal tabla'.split()).items():
        (tmp_path/'mine'/label).mkdir(parents=True)
        for n in names: shutil.copy(example(n), tmp_path/'mine'/label/f'{n}.ogg')
    return tmp_path/'mine'

def rows(mine, *lines, name='labels.csv'): (mine/name).write_text('\n'.join(lines)+'\n')
def test_folders_are_classes(mine):
    for fold in range(1, 6):
        a,b,c = (keys('audiofolder', mine, s, fold=fold) for s in SPLITS)
        assert not a&b and not a&c and not b&c and len(a|b|c)==12 and a and b and c
    ds = make('audiofolder', mine)
    assert ds.classes==('drums','music','pets') and all(ds.classes[e.labels[0]]==e.key.split('/')[0] for e in ds.entries)
    tests = [keys('audiofolder', mine, 'test', fold=k) for k in range(1, 6)]
    assert len(set.union(*tests))==12==sum(map(len, tests)) and tests==[keys('audiofolder', mine, 'test', fold=k) for k in range(1, 6)]

def test_folders_of_splits(mine):
    for p in find_audio(mine):
        s = 'test' if p.stem in ('cat','kick') else 'valid' if p.stem=='dog' else 'train'
        (mine/s/p.parent.name).mkdir(parents=True, exist_ok=True); p.rename(mine/s/p.parent.name/p.name)
    for o in ('pets','music','drums'): shutil.rmtree(mine/o)
    assert keys('audiofolder', mine, 'test')=={'test/pets/cat.ogg','test/drums/kick.ogg'} and keys('audiofolder', mine, 'valid')=={'valid/pets/dog.ogg'}
    assert make('audiofolder', mine).classes==('drums','music','pets')
    with pytest.raises(ValueError, match='fold=2: 1 to 1'): make('audiofolder', mine, fold=2)

def test_sounds_without_classes(mine):
    for p in find_audio(mine): p.rename(mine/p.name)
    ds = make('audiofolder', mine)
    assert ds.classes==() and ds[0][1]==0 and not ds.multi_label
    (mine/'more').mkdir(); shutil.copy(example('cat'), mine/'more'/'cat.ogg')
    with pytest.raises(ValueError, match='bird.ogg is in no class'): make('audiofolder', mine)

def test_a_table_with_splits_folds_and_several_labels(mine):
    rows(mine, 'file,label,split', 'pets/cat.ogg,b,train', 'pets/dog.ogg,a,valid', 'music/flute.ogg,b,test')
    assert [list(keys('audiofolder', mine, s)) for s in SPLITS]==[['pets/cat.ogg'],['pets/dog.ogg'],['music/flute.ogg']]
    assert make('audiofolder', mine)[0][1]==1
    rows(mine, 'file,label,fold', *(f'pets/{n}.ogg,a,{k}' for k,n in enumerate(('cat','dog','rooster'), 1)))
    assert [keys('audiofolder', mine, s, fold=3) for s in SPLITS]==[{'pets/dog.ogg'},{'pets/cat.ogg'},{'pets/rooster.ogg'}]
    rows(mine, 'file,label,fold', 'pets/cat.ogg,x;y,1', 'pets/dog.ogg,y,2', 'pets/bird.ogg,,3', name='tags.csv')
    got = {e.key: ds.label(i).tolist() for s in SPLITS for ds in [make('audiofolder', mine, s, table='tags.csv', multi_label=True)] for i,e in enumerate(ds.entries)}
    assert got=={'pets/cat.ogg':[1,1], 'pets/dog.ogg':[0,1], 'pets/bird.ogg':[0,0]}

def test_a_group_stays_together(mine):
    files = [p.relative_to(mine).as_posix() for p in find_audio(mine)]
    rows(mine, 'file,label,group', *(f'{f},{f.split("/")[0]},{i//3}' for i,f in enumerate(files)))
    for k in range(1, 5):
        for s in SPLITS:
            ours = keys('audiofolder', mine, s, fold=k)
            assert all(len(ours & set(files[3*g:3*g+3])) in (0,3) for g in range(4))

@pytest.mark.parametrize('lines,error,text', [
    (['file,klass', 'pets/cat.ogg,a'], ValueError, "column 'label' is missing; there are file, klass"),
    (['file,label,split', 'pets/cat.ogg,a,dev'], ValueError, "row 1 has split 'dev', one of train, valid, test"),
    (['file,label,split', 'pets/cat.ogg,a,train', 'pets/dog.ogg,a,'], ValueError, 'some sounds have a split and some have none'),
    (['file,label,fold', 'pets/cat.ogg,a,0'], ValueError, "row 1 has fold '0'"), (['file,label,fold', 'pets/cat.ogg,a,1.5'], ValueError, "row 1 has fold '1.5'"),
    (['file,label,split', 'pets/cat.ogg,,train'], ValueError, 'row 1 has no label'),
    (['file,label,split', 'pets/cat.ogg,a,train', 'pets/cat.ogg,b,test'], ValueError, 'labels.csv: rows 1 and 2 are both pets/cat.ogg'),
    (['file,label', 'pets/cat.ogg,a', 'pets/dog.ogg,b', './pets/cat.ogg,a'], ValueError, 'labels.csv: rows 1 and 3 are both pets/cat.ogg'),
    (['file,label', 'pets//cat.ogg,a', 'pets/./cat.ogg,b'], ValueError, 'rows 1 and 2 are both pets/cat.ogg'), (['file,label', './,a'], ValueError, 'leads out of this folder'),
    (['file,label,split,fold', 'pets/cat.ogg,a,train,1'], ValueError, 'labels.csv: it has a column split and a column fold; leave one out'),
    *((['file,label,fold', *(f'pets/{n}.ogg,a,{k}' for n,k in zip(('cat','dog','rooster'), folds))], ValueError, f'labels.csv: {text}') for folds,text in [
        ((1,3,3), 'it has the folds 1, 3; at least three are needed, numbered from 1 without a gap'), ((1,2,2), 'it has the folds 1, 2; at least three'), ((1,1,1), 'it has the folds 1; at least'),
        ((2,3,4), 'it has the folds 2, 3, 4; at least'), ((1,2,99999), 'it has the folds 1, 2, 99999; at least'), ((1,2,0), "row 3 has fold '0', whole numbers from 1"), ((-1,2,3), "row 1 has fold '-1'"),
        ((1,'1e9',3), "row 2 has fold '1e9'"), ((1,10**9,3), "row 2 has fold '1000000000'"), ((1,2,''), "row 3 has fold ''"), ((1,2,'9'*5000), 'row 3 has fold')]),
    (['file,label,split', 'pets/cat.ogg,a,train', 'pets/dog.ogg,b,test'], ValueError, 'labels.csv: no sound is for valid; each of train, valid, test needs some'),
    (['file,label,split', '../cat.ogg,a,train'], ValueError, 'leads out of this folder'),
    (['file,label,split', 'pets/fox.ogg,a,train', 'pets/cat.ogg,a,valid', 'pets/dog.ogg,a,test'], FileNotFoundError, 'fox.ogg: listed, but not there .1 of 1'),
    (['file,label', 'pets/cat.ogg,a', 'pets/dog.ogg,b'], ValueError, '2 sounds or groups cannot be split in three'),
    (['file,label'], ValueError, 'labels.csv: there is no row below the header'), (['file,label,split', 'pets/cat.ogg,a'], ValueError, 'row 1 has fewer fields')])
def test_faults_of_a_table_of_ones_own(mine, lines, error, text):
    rows(mine, *lines)
    with pytest.raises(error, match=text) as e: make('audiofolder', mine)
    assert '\n' not in str(e.value)

def test_a_table_from_elsewhere_is_read_as_it_is_meant(mine):
    "blanks nobody sees, paths of Windows, umlauts of a Mac: read; other separators, full paths, several labels: one line that says what to do"
    import unicodedata
    (mine/'pets'/'dog.ogg').rename(mine/'pets'/'Hündin.ogg')
    rows(mine, 'file,label,split', 'pets\\cat.ogg, a ,train', unicodedata.normalize('NFD', 'pets/Hündin.ogg')+' ,a,valid ', 'pets/bird.ogg,b ,test')
    assert [list(keys('audiofolder', mine, s)) for s in SPLITS]==[['pets/cat.ogg'],['pets/Hündin.ogg'],['pets/bird.ogg']] and make('audiofolder', mine).classes==('a','b')
    rows(mine, 'file,label,fold', *(f'pets/{f}.ogg,{l},{k}' for k,(f,l) in enumerate((('cat','x; y'), ('Hündin','y ;x'), ('bird','x')), 1)))
    assert make('audiofolder', mine, multi_label=True).classes==('x','y')
    for lines,text in ((['file,label', 'pets/cat.ogg,x;y'], "row 1 has several labels, 'x;y'; say multi_label=True .*--option multi_label=true"), (['file;label', 'pets/cat.ogg;x'], 'semicolons between its columns; save it with commas'),
                       (['file\tlabel', 'pets/cat.ogg\tx'], 'tabs between its columns'), (['file,label', f'{mine}/pets/cat.ogg,x'], "is a full path; write it from this folder: 'pets/cat.ogg'"), (['file,label', '/etc/cat.ogg,x'], 'leads out')):
        rows(mine, *lines)
        with pytest.raises(ValueError, match=text): make('audiofolder', mine)

def test_sounds_of_a_kind_that_is_not_read_are_not_passed_over(mine, tmp_path):
    "a phone's .m4a in a folder of a class: listed, refused by name where it is read, skipped with its reason by prepare"
    from audiossl.datasets.prepare import prepare_store
    (mine/'pets'/'memo.m4a').write_bytes(b'\0\0\0 ftypM4A '+bytes(99)); (mine/'pets'/'._memo.m4a').write_bytes(b'x'); (mine/'pets'/'notes.txt').write_text('x')
    entries = {e.key: e for e in list_audiofolder(mine)[0]}
    assert len(entries)==13 and 'pets/memo.m4a' in entries
    with pytest.raises(AudioError, match='memo.m4a: not a sound file.*WAV, FLAC'): load_audio(entries['pets/memo.m4a'].path)
    r = prepare_store('audiofolder', mine, tmp_path/'store', processes=0, on_bad='skip', max_bad=.1)
    assert r['reasons']=={'not_audio':1} and r['written']==12

def test_an_option_that_is_not_taken_names_all_that_are(mine, tmp_path):
    from audiossl.datasets.prepare import prepare_store
    with pytest.raises(ValueError, match='--option tabel: audiofolder does not take it; it takes fold, valid, channels, missing, table, multi_label'): prepare_store('audiofolder', mine, tmp_path/'store', tabel='x.csv')

def test_folders_of_splits_need_each(mine):
    for p in find_audio(mine): (mine/'train'/p.parent.name).mkdir(parents=True, exist_ok=True); p.rename(mine/'train'/p.parent.name/p.name)
    with pytest.raises(ValueError, match='mine: no sound is for valid'): make('audiofolder', mine)

def test_how_many_folds_is_asked_of_what_was_read(mine, tmp_path):
    assert get_dataset('audiofolder').num_folds==0 and get_dataset('audiofolder').folds==[]
    fill('audiofolder', mine, tmp_path/'store')
    for place in (mine, tmp_path/'store'):
        assert {make('audiofolder', place, s, fold=k).num_folds for s in SPLITS for k in range(1, 6)}=={5}
        with pytest.raises(ValueError, match='^fold=9: 1 to 5 is allowed$'): make('audiofolder', place, fold=9)
    rows(mine, 'file,label,fold', *(f'pets/{n}.ogg,a,{k}' for k,n in enumerate(('cat','dog','rooster'), 1)))
    assert make('audiofolder', mine).num_folds==3
    rows(mine, 'file,label,split', *(f'pets/{n}.ogg,a,{s}' for s,n in zip(SPLITS, ('cat','dog','rooster'))))
    assert make('audiofolder', mine).num_folds==1
    with pytest.raises(ValueError, match='^fold=9: 1 to 1 is allowed$'): make('audiofolder', mine, fold=9)

def test_folders_that_are_not_there(mine, tmp_path):
    (tmp_path/'void').mkdir()
    for n in ('void','nowhere'):
        with pytest.raises(FileNotFoundError): make('audiofolder', tmp_path/n)
    with pytest.raises(FileNotFoundError, match='no such table'): make('audiofolder', mine, table='tabels.csv')

# ---- entries and datasets of files -------------------------------------------------------------------------------------------------------

def test_mixing_down_and_resampling_are_said(tmp_path):
    x = load_audio(example('cat'))
    for name,w,sr in (('a.wav', torch.stack([x,x]), 16000), ('b.wav', resample(x, 16000, 22050), 22050), ('c.wav', x, 16000)): save_audio(tmp_path/name, w, sr)
    e = [Entry(n, tmp_path/n) for n in ('a.wav','b.wav','c.wav')]
    soft,strict = FileDataset(e), FileDataset(e, channels='strict')
    assert all(w.shape[0]==1 and abs(w.shape[1]-len(x))<=1 and (w[0,:20000]-x[:20000]).abs().max()<.05 for w,_ in soft) and len(strict[2])==2
    for i,text in ((0,'2 x 16,000 Hz'), (1,'1 x 22,050 Hz')):
        with pytest.raises(AudioError, match=f'{text}, strict reading takes 1 x 16,000 Hz') as err: strict[i]
        assert err.value.reason=='rate' and err.value.path==e[i].path
    assert torch.equal(FileDataset([Entry('d', tmp_path/'c.wav', offset=.5, duration=.25)])[0][0][0], load_audio(tmp_path/'c.wav', offset=.5, duration=.25))
    assert FileDataset(e, sr=8000)[2][0].shape[1]==-(-len(x)//2)

def test_entries_are_checked_before_a_sound_is_read():
    e = lambda k, *labels, **kw: Entry(k, Path('no.wav'), labels, **kw)
    with pytest.raises(ValueError, match="entries 0 and 2 share the key 'a'"): FileDataset([e('a',0), e('b',0), e('a',0)], ['x'])
    for bad in (-1, 1):
        with pytest.raises(ValueError, match=f'entry 0, a: label {bad} is outside the 1 classes'): FileDataset([e('a',bad)], ['x'])
    with pytest.raises(ValueError, match='label 5 is outside'): FileDataset([e('a', events=((5,0.,1.),))], ['x'], multi_label=True)
    for labels in ((), (0,1)):
        with pytest.raises(ValueError, match='exactly one is needed'): FileDataset([e('a',*labels)], ['x','y'])
    assert FileDataset([e('a')], ['x','y'], multi_label=True).label(0).tolist()==[0,0]
    with pytest.raises(ValueError, match="split='all'"): take_split([], 'all')

def test_datasets_survive_pickling_and_workers(roots):
    ds = make('spcv2', roots['spcv2'], 'test', transform=None, return_key=True)
    again = pickle.loads(pickle.dumps(ds))
    assert again.keys==ds.keys and torch.equal(again[3][0], ds[3][0])
    got = [o for b in DataLoader(ds, 8, num_workers=2, collate_fn=list, multiprocessing_context='fork') for o in b]
    assert [k for *_,k in got]==ds.keys and all(torch.equal(a, b) for (a,*_),(b,*_) in zip(got, ds))

# ---- from a store ------------------------------------------------------------------------------------------------------------------------

def fill(name, root, store): # as a preparation does: together the splits of one fold hold all folds
    parts = {s: make(name, root, s) for s in SPLITS}
    with StoreWriter(store, name, parts['train'].classes, parts['train'].multi_label) as w:
        for s,ds in parts.items():
            with w.shard(s, 0) as out:
                for i,e in enumerate(ds.entries): out.add(e.key, to_int16(ds.wave(i)[0]).numpy(), labels=e.labels, fold=e.fold, source=e.key)
        w.finish()

def same(name, root, store, **kw):
    for s in SPLITS:
        a,b = ({k:(x,y) for x,y,k in make(name, o, s, return_key=True, **kw)} for o in (root, store))
        assert a.keys()==b.keys() and a, (s, kw)
        for k in a: assert a[k][1]==b[k][1] and a[k][0].shape==b[k][0].shape and (a[k][0]-b[k][0]).abs().max()<=.51/2**15
        assert make(name, root, s).classes==make(name, store, s).classes

@pytest.mark.parametrize('name', NAMES)
def test_a_store_gives_the_same_items(name, roots, tmp_path):
    fill(name, roots[name], tmp_path/'store')
    same(name, roots[name], tmp_path/'store')
    same(name, roots[name], tmp_path/'store', valid='test', fold=FOLDS.get(name, 1))
    if name in FOLDS: same(name, roots[name], tmp_path/'store', fold=FOLDS[name])
    with pytest.raises(ValueError, match="split='dev'"): make(name, tmp_path/'store', 'dev')
    with pytest.raises(ValueError, match=f'fold=11: 1 to {FOLDS.get(name, 1)} is allowed'): make(name, tmp_path/'store', fold=11)
    for o in (dict(emotions=()), dict(channels='strict'), dict(missing='skip')):
        with pytest.raises(TypeError, match=f'{[*o][0]} was settled when this store was prepared'): make(name, tmp_path/'store', **o)

def test_a_store_of_ones_own_folder(mine, tmp_path):
    fill('audiofolder', mine, tmp_path/'store')
    for k in (1, 2, 5): same('audiofolder', mine, tmp_path/'store', fold=k)
    rows(mine, 'file,label,split', 'pets/cat.ogg,b,train', 'pets/dog.ogg,a,valid', 'music/flute.ogg,b,test')
    fill('audiofolder', mine, tmp_path/'other')
    same('audiofolder', mine, tmp_path/'other')
