"What an installed package carries: built as a wheel, and as an sdist from which the wheel is built, without a network"
import email, re, shutil, subprocess, sys, tarfile, zipfile
from configparser import ConfigParser
from pathlib import Path
import pytest
from support import ROOT, copy_project

DATA = 'audiossl/data/minisounds/'

def build(kind, src, out):
    "Build a 'wheel' or an 'sdist' of the project in `src`; the file it becomes"
    out.mkdir(exist_ok=True)
    r = subprocess.run([sys.executable, '-c', f'from setuptools.build_meta import *; build_{kind}({str(out)!r})'], cwd=src, capture_output=True, text=True)
    assert r.returncode==0, r.stderr[-4000:]
    return next(o for o in out.iterdir() if o.suffix==('.whl' if kind=='wheel' else '.gz'))

@pytest.fixture(scope='module')
def project(tmp_path_factory): return copy_project(tmp_path_factory.mktemp('wheel')/'project', link_data=False)

@pytest.fixture(scope='module')
def wheel(project): return build('wheel', project, project.parent/'wheel')

def names(wheel):
    with zipfile.ZipFile(wheel) as z: return {o for o in z.namelist() if not o.endswith('/')}

def package_files(root): return {o.relative_to(root).as_posix() for o in (root/'audiossl').rglob('*') if o.is_file() and '__pycache__' not in o.parts}

def lacking(wheel, root=ROOT):
    "Files of the package in `root` that `wheel` does not carry"
    return sorted(package_files(root) - names(wheel))

def test_wheel_carries_the_package_and_its_sounds(wheel, project):
    have = names(wheel)
    assert lacking(wheel, project) == []
    assert sum(o.startswith(DATA) and o.endswith('.ogg') for o in have) == 1025
    assert {DATA+'metadata.csv', DATA+'ATTRIBUTION.md', DATA+'README.md'} <= have
    assert sum(o.startswith(DATA+'LICENCES/') for o in have) == len(list((project/DATA/'LICENCES').iterdir()))
    assert not [o for o in have if not o.startswith(('audiossl/', 'audiossl-'))], 'nothing beside the package'

def test_wheel_says_what_settings_say(wheel):
    cfg = ConfigParser(delimiters=['=']); cfg.read(ROOT/'settings.ini', encoding='utf-8'); cfg = cfg['DEFAULT']
    with zipfile.ZipFile(wheel) as z:
        info = next(o for o in z.namelist() if o.endswith('.dist-info/METADATA')); folder = info.rpartition('/')[0]
        meta = email.message_from_string(z.read(info).decode()); entry = z.read(f'{folder}/entry_points.txt').decode()
        licences = [o for o in z.namelist() if o.startswith(folder) and 'LICENSE' in o]
    assert meta['Version']==cfg['version'] and meta['Requires-Python']==f'>={cfg["min_python"]}' and licences
    name = lambda s: re.match(r'[\w.-]+', s.strip())[0].lower()
    need = [o for o in meta.get_all('Requires-Dist') if 'extra ==' not in o]
    assert sorted(map(name, need)) == sorted(map(name, cfg['requirements'].split()))
    assert not {'nbdev','fastcore','jupyterlab','pytest','ipywidgets'} & set(map(name, need)), 'tools for notebooks are for development'
    assert set(meta.get_all('Provides-Extra')) >= {'dev', 'lab', 'docs'}
    assert 'audiossl' in entry and 'audiossl._modidx:d' in entry

def test_sdist_makes_the_same_wheel(project, wheel, tmp_path):
    tgz = build('sdist', project, tmp_path/'sdist')
    with tarfile.open(tgz) as t: t.extractall(tmp_path/'src', filter='data')
    src, = (tmp_path/'src').iterdir()
    assert (src/'settings.ini').exists()
    assert names(build('wheel', src, tmp_path/'wheel')) == names(wheel)

def test_installed_package_finds_its_sounds(wheel, tmp_path):
    "Unpacked elsewhere and imported from there, with the project itself out of reach"
    with zipfile.ZipFile(wheel) as z: z.extractall(tmp_path/'site')
    code = ('import audiossl, audiossl.audio as a; w = a.load_audio(a.example(next(iter(a.examples()))));'
            'print(audiossl.__file__); assert w.ndim==1 and len(w)>1000')
    r = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, env={'PYTHONPATH': str(tmp_path/'site'), 'PATH': ''})
    assert r.returncode==0, r.stderr[-2000:]
    assert Path(r.stdout.strip()).is_relative_to(tmp_path/'site')

def test_a_wheel_without_its_data_is_seen(project, tmp_path):
    bad = tmp_path/'bad'; shutil.copytree(project, bad, ignore=shutil.ignore_patterns('build', '*.egg-info', 'audio'))
    (bad/'MANIFEST.in').write_text('include settings.ini README.md LICENSE\n')
    assert DATA+'metadata.csv' in lacking(build('wheel', bad, tmp_path/'out'), bad)
