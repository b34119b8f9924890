"What importing the package costs and does, in fresh processes"
import importlib, inspect, json, os, pkgutil, subprocess, sys, types
from configparser import ConfigParser
import pytest
from support import ROOT

PROBE = '''
import json, random, sys
state = random.getstate()
import {module} as m
heavy = {heavy!r}
np = sys.modules.get('numpy')
print(json.dumps(dict(loaded=[o for o in heavy if o in sys.modules], seeded=random.getstate()!=state, doc=m.__doc__, version=getattr(m, '__version__', None),
    draw=np.random.random() if np else None)))
'''

def fresh(module, heavy=(), path=ROOT):
    "Import `module` in a new process; what it printed, and facts about it"
    r = subprocess.run([sys.executable, '-c', PROBE.format(module=module, heavy=list(heavy))], cwd='/', capture_output=True, text=True,
                       env={**os.environ, 'PYTHONPATH': str(path)}, stdin=subprocess.DEVNULL)
    assert r.returncode==0, r.stderr
    *printed,last = r.stdout.splitlines()
    return printed+r.stderr.splitlines(), json.loads(last)

LIGHT = ['pytorch_lightning', 'lightning', 'ipywidgets', 'anywidget', 'torchaudio', 'matplotlib', 'sklearn', 'nbdev', 'fastcore', 'IPython']

def test_the_package_imports_nothing_and_does_nothing():
    printed,got = fresh('audiossl', [*LIGHT, 'torch', 'numpy'])
    assert printed==[] and got['loaded']==[] and not got['seeded']
    cfg = ConfigParser(delimiters=['=']); cfg.read(ROOT/'settings.ini', encoding='utf-8')
    assert got['doc'] and got['version']==cfg['DEFAULT']['version']

def test_the_ground_is_light():
    printed,got = fresh('audiossl.audio', LIGHT)
    assert printed==[] and got['loaded']==[] and not got['seeded']
    assert got['draw']!=fresh('audiossl.audio')[1]['draw'], 'two fresh processes draw the same: something seeds numpy'

def test_a_heavy_or_loud_import_is_seen(tmp_path):
    (tmp_path/'loud').mkdir(); (tmp_path/'loud/__init__.py').write_text('import random, wave\nrandom.seed(1)\nprint("hello")\n')
    printed,got = fresh('loud', ['wave'], tmp_path)
    assert printed==['hello'] and got['loaded']==['wave'] and got['seeded'] and not got['doc'] and not got['version']

import audiossl
MODULES = sorted(o.name for o in pkgutil.walk_packages(audiossl.__path__, 'audiossl.'))

@pytest.mark.parametrize('name', MODULES)
def test_every_module_can_be_imported(name):
    "and is not hidden by a name of the same spelling that its package's face hands on"
    if name.split('.')[-1]=='_modidx': return
    mod = importlib.import_module(name); face,_,last = name.rpartition('.')
    assert isinstance(getattr(sys.modules[face], last), types.ModuleType)
    assert mod.__doc__, f'{name} has no line that says what it is for'
    for o in getattr(mod, '__all__', []): getattr(mod, o)                             # faces hand on what they list

CONTRACT = {     # names that other people's code relies on: where they are imported from, and their first arguments
    'audiossl': dict(list_models='pattern', create_model='name pretrained', load_audio='path sr', load_model='path'),
    'audiossl.datasets': dict(list_all_datasets='', get_dataset='name', register_dataset='name'),
    'audiossl.lightning.datamodules': dict.fromkeys(('DownstreamDataModule', 'DownStreamDataModule'), 'data_path dataset_name batch_size transforms target_transforms'),
    'audiossl.transforms': dict(LogMel='sample_rate n_fft win_length hop_length f_min f_max n_mels top_db minmax', MinMax='min max', Normalize='std_mean reduce_dim',
        Identity=None, GaussianNoise='g', PadToSize='size', ToSizeN='size', CentralCrop='size pad', RandomCrop='size pad', Mixup='ratio n_memory log_mixup_exp',
        RandomResizeCrop='virtual_crop_scale freq_scale time_scale', MixGaussianNoise='ratio', block_mask='n_tokens ratio', ClipViews='anchor_len positive_len',
        FrameViews='anchor_len'),
    'audiossl.methods': dict(ATSTLightningModule='arch learning_rate', FrameATSTLightningModule='arch learning_rate'),
    'audiossl.methods.atst.model': dict(ATSTLightningModule='arch learning_rate warmup_steps max_steps ema'),
    'audiossl.methods.atstframe.model': dict(FrameATSTLightningModule='arch learning_rate warmup_steps max_steps ema symmetric'),
    'audiossl.methods.atstframe.embedding': dict(load_model='path', get_scene_embedding='audio model', get_timestamp_embedding='audio model'),
    'audiossl.hear': dict(load_model='model_file_path', get_scene_embeddings='audio model', get_timestamp_embeddings='audio model')}

@pytest.mark.parametrize('module', CONTRACT)
def test_names_that_others_rely_on(module):
    "as they would write them: `from module import name`"
    for name,args in CONTRACT[module].items():
        scope = {}; exec(f'from {module} import {name}', scope)
        if args is None: continue
        given = list(inspect.signature(scope[name]).parameters)
        assert given[:len(args.split())]==args.split(), f'{module}.{name} takes {given}'
        if module in ('audiossl','audiossl.datasets','audiossl.transforms','audiossl.methods'): assert name in dir(importlib.import_module(module))

def test_facts_that_others_rely_on():
    from audiossl import datasets
    info = datasets.get_dataset('minisounds')
    assert info.creator is info.creat_fn and (info.num_labels, info.multi_label, info.num_folds)==(28, False, 5)
    assert 'minisounds' in str(datasets.list_all_datasets()) and '<table' in datasets.list_all_datasets()._repr_html_()
    with pytest.raises(KeyError, match='minisounds'): datasets.get_dataset('minisound')
    assert list(inspect.signature(info.creator).parameters)==['data_path','split','fold','transform','target_transform','return_key']
    names = [f'atst_clip_{s}' for s in ('tiny','small','base')]+[f'atst_frame_{s}' for s in ('tiny','small','base','large')]
    assert audiossl.list_models()==names and audiossl.list_models('*_small')==['atst_clip_small','atst_frame_small']
    from audiossl.lightning import datamodules as d
    assert d.DownStreamDataModule is d.DownstreamDataModule and not audiossl.create_model('atst_clip_tiny').training
