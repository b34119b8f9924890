"The committed modules are the notebooks' export, and the committed notebooks are clean: export and clean change nothing"
import json, os, subprocess, sys
import pytest
from support import ROOT, contents, copy_project, in_git

STEPS = 'from nbdev.doclinks import nbdev_export; from nbdev.clean import nbdev_clean; nbdev_export(); nbdev_clean()'

def changes(root):
    "Files that export and clean would change, add or remove in project folder `root`"
    before = contents(root)
    r = subprocess.run([sys.executable, '-c', STEPS], cwd=root, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert r.returncode==0, f'export or clean failed:\n{r.stderr[-4000:]}'
    after = contents(root)
    return sorted(str(o) for o in before.keys()|after.keys() if before.get(o)!=after.get(o))

@pytest.fixture(scope='module')
def project(tmp_path_factory): return copy_project(tmp_path_factory.mktemp('export')/'project')

def test_export_and_clean_change_nothing(project):
    "Done on a copy, byte by byte: it needs no git and disturbs nobody's work"
    if not in_git(): print(f'{ROOT} is no git checkout: all files in it are compared but for what is built')
    changed = changes(project)
    assert not changed, f'run `make export` and commit what it changes: {", ".join(changed)}'

if os.environ.get('CI') and in_git():
    def test_checkout_is_clean():
        "What is tested is what was committed"
        r = subprocess.run(['git', 'status', '--porcelain'], cwd=ROOT, check=True, capture_output=True, text=True)
        assert r.stdout == ''

def test_a_module_edited_by_hand_is_seen(project):
    changes(project)                                                                 # in step, whatever it was
    mod = project/'audiossl/audio.py'; mod.write_text(mod.read_text()+'\nx = 1\n')
    assert changes(project) == ['audiossl/audio.py']

def test_a_notebook_that_is_not_clean_is_seen(project):
    changes(project)
    p = project/'nbs/00_audio.ipynb'; nb = json.loads(p.read_text())
    next(c for c in nb['cells'] if c['cell_type']=='code')['execution_count'] = 7
    p.write_text(json.dumps(nb, indent=1, ensure_ascii=False)+'\n')
    assert changes(project) == ['nbs/00_audio.ipynb']
