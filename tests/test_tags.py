"Many labels a clip, or none: readers on stand-ins and on recorded lines of the published tables; what is missing, small or wrong is told"
import re, shutil
from pathlib import Path
import pytest, torch
from audiossl.audio import AudioError, find_audio
from audiossl.datasets.registry import get_dataset
from audiossl.datasets.tags import audioset, audioset_b, find_segments, fsd50k, held_out, item_labels, librispeech, list_sounds, read_classes, read_segments
from audiossl.standins import write_standin

@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    box = tmp_path_factory.mktemp('standins')
    return {n: write_standin(n, box/n) for n in ('audioset','fsd50k','librispeech')}
def copy(root, tmp_path): return shutil.copytree(root, tmp_path/'copy')
SPLITS = 'train','valid','test'

SEGMENTS = '''# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=20371, num_segs=20371, num_unique_labels=527, num_positive_labels=51804
# YTID, start_seconds, end_seconds, positive_labels
-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"
'''
def test_recorded_lines(tmp_path, roots):
    (tmp_path/'t.csv').write_text(SEGMENTS)
    assert read_segments(tmp_path/'t.csv')==[('-0RWZT-miFs', 420., 430., ('/m/03v3yw','/m/0k4j'))]
    (tmp_path/'c.csv').write_text('index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n')
    assert read_classes(tmp_path/'c.csv')=={'/m/09x0r':'Speech', '/m/05zppz':'Male speech, man speaking'}
    for p in (roots['audioset']/'csv').glob('*_segments.csv'):
        for got,want in zip(p.read_text().splitlines(), SEGMENTS.splitlines()):
            assert re.sub(r'\d+', 'N', got.split(',')[0][:20])==re.sub(r'\d+', 'N', want.split(',')[0][:20]) if got[0]=='#' else got.count('"')==2
    classes = read_classes(roots['audioset']/'csv'/'class_labels_indices.csv')
    assert len(classes)==527 and list(classes.items())[:2]==[('/m/09x0r','Speech'), ('/m/05zppz','Male speech, man speaking')]
    truth = roots['fsd50k']/'FSD50K.ground_truth'
    assert [(truth/n).read_text().splitlines()[0] for n in ('dev.csv','eval.csv')]==['fname,labels,mids,split', 'fname,labels,mids']
    assert re.fullmatch(r'0,\w+,/m/\w+', (truth/'vocabulary.csv').read_text().splitlines()[0])

@pytest.mark.parametrize('text,what', [('a, 0.0, 10.0\n', 'row 1 has 3 fields instead of 4'), ('a, x, 10.0, "/m/1"\n', "start 'x' and end '10.0' must be numbers")])
def test_bad_segments(text, what, tmp_path):
    (tmp_path/'t.csv').write_text(SEGMENTS.rsplit('\n', 2)[0]+'\n'+text)
    with pytest.raises(ValueError, match=what) as e: read_segments(tmp_path/'t.csv')
    assert 't.csv' in str(e.value)

def test_bad_classes(tmp_path):
    p = tmp_path/'c.csv'
    p.write_text('index,mid\n0,/m/1\n')
    with pytest.raises(ValueError, match="column 'display_name' is missing; there are index, mid"): read_classes(p)
    p.write_text('index,mid,display_name\n0,/m/1,a\n2,/m/2,b\n')
    with pytest.raises(ValueError, match='not 0 to 1'): read_classes(p)
    with pytest.raises(FileNotFoundError, match='no such table'): read_classes(tmp_path/'no.csv')
    p.write_text('index,mid,display_name\nx,/m/1,a\n')
    with pytest.raises(ValueError, match='c.csv: the indices are not 0 to 0'): read_classes(p)
    p.write_text('index,mid,display_name\n1,/m/2,b\n0,/m/1,a\n')
    assert list(read_classes(p).items())==[('/m/1','a'), ('/m/2','b')]

def test_tables_that_are_none(tmp_path):
    p = tmp_path/'t.csv'
    for text in ('# only\n# comments\n', ''):
        p.write_text(text)
        with pytest.raises(ValueError, match='t.csv: there is no row in it'): read_segments(p)
    p.write_bytes(SEGMENTS.encode()+b'caf\xe9_______, 1.0, 2.0, "/m/1"\n')
    with pytest.raises(ValueError, match='t.csv: line 5 is not UTF-8; save the table as UTF-8'): read_segments(p)

NAMES = ['{}', '{}_30000', '{}_30', '{}_30.000', '{}_30000_40000', '{}_30.000_40.000', '{}_30_40']
@pytest.mark.parametrize('form', NAMES)
@pytest.mark.parametrize('prefix', ['', 'Y', '-'])
def test_names_in_use(form, prefix):
    videos = ['-0RWZT-miFs', '__p-iA312kg', 'abcdefghijk']
    sounds = {prefix+form.format(v): ('p', 320_000) for v in videos}
    found,missing = find_segments([(v, 30., 40., ()) for v in videos]+[('lost_______', 30., 40., ())], sounds, prefix)
    assert [s[0] for s,*_ in found]==videos and [s[0] for s in missing]==['lost_______']

@pytest.mark.parametrize('place', ['metadata', 'meta', '.'])
def test_other_places(roots, tmp_path, place):
    root = copy(roots['audioset'], tmp_path)
    (root/place).mkdir(exist_ok=True)
    for p in list((root/'csv').iterdir()): p.rename(root/place/p.name)
    for p in list((root/'audio').iterdir()): p.rename(root/p.name)
    assert audioset(root).keys==audioset(roots['audioset']).keys

def test_parts_below_parts_and_a_letter(roots, tmp_path):
    "As in the copies of the papers: unbalanced_train_segments_part00/YID.wav"
    root = copy(roots['audioset'], tmp_path)
    for i,p in enumerate(find_audio(root/'audio')):
        (p.parent/f'part{i%3:02d}').mkdir(exist_ok=True); p.rename(p.parent/f'part{i%3:02d}'/f'Y{p.name}')
    assert audioset(root, prefix='Y').keys==audioset(roots['audioset']).keys
    with pytest.raises(FileNotFoundError, match="none of 8 segments has its file; tried standin_.*there is Y.*prefix=''"): audioset(root)

def test_splits(roots):
    for make,root in ((audioset,'audioset'), (audioset_b,'audioset'), (fsd50k,'fsd50k'), (librispeech,'librispeech')):
        k = {s: set(make(roots[root], s).keys) for s in SPLITS}
        assert all(k.values()) and not k['train']&k['valid'] and not (k['train']|k['valid'])&k['test']
        assert set(make(roots[root], 'valid', valid='test').keys)==k['test']
        with pytest.raises(ValueError, match="split='dev'"): make(roots[root], 'dev')
        with pytest.raises(ValueError, match="valid='eval'"): make(roots[root], valid='eval')
    assert set(audioset(roots['audioset'], valid='test').keys)==set(audioset(roots['audioset']).keys)|set(audioset(roots['audioset'], 'valid').keys)

def test_held_out():
    names = [f'n{i}' for i in range(50_000)]
    kept = held_out(names)
    assert abs(len(kept)/50_000-.05)<.004 and held_out(names[::-1])==kept and held_out(names[:25_000])==kept&set(names[:25_000])
    assert len(held_out(names[:3]))==1 and held_out([])==set()
    assert held_out(['-0RWZT-miFs_420000', '__p-iA312kg_70000', 'a', 'b', 'c'], .5)=={'__p-iA312kg_70000', 'a', 'c'} # for ever

def test_items(roots):
    for name,root in (('audioset','audioset'), ('audioset_b','audioset'), ('fsd50k','fsd50k')):
        info = get_dataset(name)
        ds = info.creator(roots[root], 'test', return_key=True)
        assert len(ds.classes)==info.num_labels and info.multi_label and info.kind=='tags'
        for i,(wave,y,key) in enumerate(ds):
            assert wave.shape[0]==1 and wave.dtype==y.dtype==torch.float32 and y.shape==(info.num_labels,) and key==ds.keys[i]
            assert y.nonzero()[:,0].tolist()==list(item_labels(ds)[i])!=[]
    wave,y = librispeech(roots['librispeech'])[0]
    assert wave.shape[0]==1 and y==0

def test_labels_are_those_of_the_table(roots):
    classes = list(read_classes(roots['audioset']/'csv'/'class_labels_indices.csv'))
    want = {f'{v}_{a*1000:.0f}': {classes.index(m) for m in mids} for v,a,_,mids in read_segments(roots['audioset']/'csv'/'eval_segments.csv')}
    ds = audioset(roots['audioset'], 'test')
    assert {k:set(l) for k,l in zip(ds.keys, item_labels(ds))}==want

def test_missing_and_small(roots, tmp_path):
    missing = [audioset(roots['audioset'], s).missing for s in SPLITS]       # the stand-in lacks a clip of each training table
    assert sum(map(len, missing))==2 and not set(missing[0])&set(missing[1]) and len(audioset(roots['audioset'], valid='test').missing)==2
    root = copy(roots['audioset'], tmp_path)
    paths = sorted((root/'audio'/'eval_segments').glob('*.wav'))
    paths[0].write_bytes(b'x'*499); paths[1].write_bytes(b'')
    ds,spared = audioset(root, 'test'), audioset(root, 'test', on_bad='skip')
    assert len(ds)==8 and len(spared)==6 and {Path(p).name for p,_ in ds.faults}=={paths[0].name, paths[1].name} and '2 files too small' in repr(spared)
    bad = [i for i,e in enumerate(ds.entries) if e.path in paths[:2]]
    for i in bad:
        with pytest.raises(AudioError, match='bytes, less than a sound has') as e: ds[i]
        assert e.value.reason=='small' and str(ds.entries[i].path) in str(e.value) and ds.size_of(ds.entries[i])[1][0]=='small'
    paths[2].unlink()
    assert audioset(root, 'test').missing==[f'{paths[2].stem}_30000']
    with pytest.raises(ValueError, match="on_bad='ignore'"): audioset(root, on_bad='ignore')

def test_labels_outside_the_vocabulary(roots, tmp_path):
    root = copy(roots['audioset'], tmp_path)
    p = root/'csv'/'eval_segments.csv'; p.write_text(p.read_text().replace('/m/09x0r', '/m/none'))
    with pytest.raises(ValueError, match="eval_segments.csv: standin_201 has the label '/m/none', which is not among the 527 classes"): audioset(root, 'test')
    shutil.rmtree(root); root = copy(roots['fsd50k'], tmp_path)
    p = root/'FSD50K.ground_truth'/'dev.csv'; p.write_text(p.read_text().replace('Speech', 'Speach'))
    with pytest.raises(ValueError, match="dev.csv: dev/.* has the label 'Speach'"): fsd50k(root)

def test_whole_archives_are_wanted(roots, tmp_path):
    root = copy(roots['fsd50k'], tmp_path)
    lost = sorted((root/'FSD50K.eval_audio').iterdir())[0]; lost.unlink()
    with pytest.raises(FileNotFoundError, match=f'{lost.name}: listed, but not there'): fsd50k(root)
    shutil.rmtree(root/'FSD50K.eval_audio')
    with pytest.raises(FileNotFoundError, match='none of FSD50K.eval_audio is there'): fsd50k(root)
    shutil.rmtree(root); root = copy(roots['librispeech'], tmp_path)
    assert librispeech(root/'LibriSpeech').keys==librispeech(root).keys
    assert set(librispeech(root, parts=('train-clean-100',)).keys)<set(librispeech(root).keys)
    shutil.rmtree(root/'LibriSpeech'/'train-other-500')
    with pytest.raises(FileNotFoundError, match='train-other-500: no such folder'): librispeech(root)
    for make in (audioset, fsd50k, librispeech):
        with pytest.raises(FileNotFoundError): make(tmp_path/'nowhere')

def test_duplicate_rows_are_named(roots, tmp_path):
    root = copy(roots['audioset'], tmp_path)
    p = root/'csv'/'eval_segments.csv'; p.write_text(p.read_text()+p.read_text().splitlines()[3]+'\n')
    with pytest.raises(ValueError, match="share the key 'standin_200_30000'"): audioset(root, 'test')

def test_a_large_folder_is_listed_not_opened(tmp_path):
    (tmp_path/'a'/'b').mkdir(parents=True)
    for i in range(50): (tmp_path/'a'/'b'/f'{i}.flac').write_bytes(b'not audio')
    (tmp_path/'a'/'notes.txt').touch()
    sounds = list_sounds(tmp_path)
    assert len(sounds)==50 and sounds['7']==(str(tmp_path/'a'/'b'/'7.flac'), 9)

@pytest.mark.parametrize('row', ['../FSD50K.eval_audio/64761', '/etc/64760', '../../x/64760'])
def test_no_row_leads_out(roots, tmp_path, row):
    root = copy(roots['fsd50k'], tmp_path)
    p = root/'FSD50K.ground_truth'/'dev.csv'; p.write_text(p.read_text()+f'{row},"Music","/m/04rlf",train\n')
    with pytest.raises(FileNotFoundError, match='listed, but not there'): fsd50k(root)
    assert fsd50k(root, missing='skip').missing==[f'dev/{row}']
    with pytest.raises(ValueError, match="missing='no'"): fsd50k(root, missing='no')
    shutil.rmtree(root); root = copy(roots['librispeech'], tmp_path)
    t = next(root.rglob('103-1240.trans.txt')); t.write_text(t.read_text()+'../1240/103-1240-0000 AGAIN\n')
    with pytest.raises(FileNotFoundError, match='listed, but not there'): librispeech(root)
    assert librispeech(root, missing='skip').missing==['../1240/103-1240-0000']
    shutil.rmtree(root); root = copy(roots['audioset'], tmp_path)
    t = root/'csv'/'eval_segments.csv'; t.write_text(t.read_text()+'../eval_segments/standin_200, 30.000, 40.000, "/m/04rlf"\n')
    assert audioset(root, 'test').missing==['../eval_segments/standin_200_30000']
