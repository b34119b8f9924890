"What importing the package costs and does, in fresh processes"
import importlib, json, os, pkgutil, subprocess, sys, types
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
