"The registry's contract, beyond what its notebook shows"
import functools, pickle, subprocess, sys
import pytest
from audiossl import datasets
from audiossl.datasets.registry import DatasetInfo, Registry, UnknownDataset

def toy(path=None): return [1]
def other(path=None): return [2]
FACTS = dict(multi_label=False, num_labels=3)

def test_package_registry_is_filled_by_import():
    code = 'from audiossl import datasets; print(datasets.list_all_datasets())'
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    for name in datasets.minisounds.task_names(): assert name in out

def test_import_is_light():
    heavy = ('pytorch_lightning', 'ipywidgets', 'nbdev', 'fastcore', 'sklearn', 'matplotlib')
    code = f'import sys, audiossl.datasets; print([m for m in {heavy} if m in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'

def test_every_registered_dataset_keeps_the_contract():
    reg = datasets.list_all_datasets()
    assert len(reg)==len(list(reg))==len(reg.items())>=11
    for name,info in reg.items():
        assert info.name==name and datasets.get_dataset(name) is info and info.creat_fn is info.creator and callable(info.creator)
        assert info.folds==list(range(1, info.num_folds+1)) and info.description and '\n' not in info.description
        assert info.classes is None or len(info.classes)==len(set(info.classes))==info.num_labels
        assert name in str(reg) and name in reg._repr_html_() and info.creator.__doc__

def test_unknown_name_is_both_errors_and_reads_well():
    for kind in (KeyError, RuntimeError):
        with pytest.raises(kind) as e: datasets.get_dataset('minisound')
        assert str(e.value).startswith("no dataset 'minisound'; did you mean 'minisounds'")
    assert str(pickle.loads(pickle.dumps(UnknownDataset('a b'))))=='a b'
    with pytest.raises(UnknownDataset, match='known: none yet'): Registry()['x']
    with pytest.raises(UnknownDataset): datasets.get_dataset(None)
    assert datasets.list_all_datasets().get('minisound') is None

def test_a_name_is_taken_once():
    reg = Registry()
    assert reg.register('a', **FACTS)(toy) is toy
    reg.register('a', **FACTS)(toy)
    with pytest.raises(RuntimeError, match="'a' is registered already"): reg.register('a', **FACTS)(other)
    assert reg['a'].creator is toy
    reg.register('a', replace=True, **FACTS)(other)
    assert reg['a'].creator is other

def test_same_name_same_place_of_two_local_functions_is_still_two():
    def make(k):
        def create(path=None): return k
        return create
    reg = Registry(); reg.register('a', **FACTS)(make(1))
    with pytest.raises(RuntimeError): reg.register('a', **FACTS)(make(2))
    reg = Registry(); reg.register('b', **FACTS)(lambda p: 1)
    with pytest.raises(RuntimeError): reg.register('b', **FACTS)(lambda p: 2)

def test_partials_and_classes():
    class Local: ...
    reg = Registry()
    reg.register('p', **FACTS)(functools.partial(toy, path='x')); reg.register('p', **FACTS)(functools.partial(toy, path='x'))
    with pytest.raises(RuntimeError): reg.register('p', **FACTS)(functools.partial(toy, path='y'))
    assert reg.register('c', **FACTS)(Local) is Local

def test_a_module_run_again_may_register_again(tmp_path):
    src = '@register_dataset("again", multi_label=False, num_labels=2)\ndef make(path=None): return []\n'
    (tmp_path/'mod_again.py').write_text('from audiossl.datasets.registry import register_dataset\n'+src)
    code = ("import importlib, runpy, mod_again; importlib.reload(mod_again)\n"
            "runpy.run_path('mod_again.py', run_name='__main__')\nprint('ok')")
    out = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert out.stdout.strip()=='ok', out.stderr

def test_registry_cannot_be_written_to():
    with pytest.raises(TypeError): datasets.list_all_datasets()['x'] = 1
    with pytest.raises(AttributeError): datasets.get_dataset('minisounds').num_labels = 3

@pytest.mark.parametrize('kw,error,text', [
    (dict(name=''), ValueError, 'not empty'), (dict(creator=3), TypeError, 'not callable'), (dict(num_labels=2.), TypeError, 'whole number'),
    (dict(num_labels=True), TypeError, 'whole number'), (dict(num_labels=-1), ValueError, 'at least 0'),
    (dict(num_folds=-1), ValueError, 'at least 0'), (dict(num_folds=None), TypeError, 'whole number'),
    (dict(classes=['a']), ValueError, '1 classes, but num_labels=3')])
def test_contradictions_are_refused(kw, error, text):
    with pytest.raises(error, match=text): DatasetInfo(**{**dict(name='n', creator=toy, multi_label=False, num_labels=3), **kw})

def test_tables_escape_and_stay_on_one_line():
    reg = Registry()
    reg.register('a<b>', licence='<i>', description='one\ntwo <script>', classes=['<u>'], multi_label=True, num_labels=1)(toy)
    for text in (reg._repr_html_(), reg['a<b>']._repr_html_()):
        assert '<script>' not in text and '<i>' not in text and '<u>' not in text and '<b>' not in text and '&lt;script&gt;' in text
    assert len(str(reg).splitlines())==2 and 'one two' in str(reg) and '1+' in str(reg)
    assert str(Registry())=='no datasets registered yet'

def test_what_is_only_known_when_it_is_read_is_own():
    reg = Registry(); reg.register('mine', multi_label=False, num_labels=0, num_folds=0)(toy); reg.register('noise', multi_label=False, num_labels=0, kind='audio')(toy)
    assert [l.split()[2:4] for l in str(reg).splitlines()[1:]]==[['own','own'], ['-','1']]
    assert '  folds    own' in repr(reg['mine']) and '  labels   own' in repr(reg['mine']) and '  labels   none' in repr(reg['noise']) and reg['mine'].folds==[]
    assert datasets.get_dataset('audiofolder').num_folds==0

def test_names_of_classes_are_told_apart():
    card = repr(datasets.get_dataset('audioset'))
    assert 'Speech; Male speech, man speaking; Female speech, woman speaking;' in card and 'and 487 more' in card
    assert 'bass, brass, flute' in repr(datasets.get_dataset('nsynth'))

def test_dcase_says_that_it_is_desed():
    a,b = (datasets.get_dataset(n) for n in ('desed','dcase'))
    assert b.description=='the same data as desed, under its other name' and a.description!=b.description and a.steps!=b.steps
    assert (a.size, a.licence, a.classes)==(b.size, b.licence, b.classes) and '14,412 have no labels' in a.size
