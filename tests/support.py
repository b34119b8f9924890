"What several tests share: where the project is, and a copy of it to work on"
import os, shutil, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'tools'))                      # build_docs, readme, sidebar, system
IGNORE = shutil.ignore_patterns('.git', '.venv', '.ci', '__pycache__', '.ipynb_checkpoints', '*.egg-info', 'build', 'dist', '_docs', '_proc',
                                '.pytest_cache', 'lightning_logs', 'quickstart', 'nbdev.yml')

def in_git(root=ROOT): return (root/'.git').exists() and bool(shutil.which('git'))

def project_files(root=ROOT):
    "The files of the project, relative to `root`: what git tracks or would; without git, all but what is built"
    if in_git(root):
        out = subprocess.run(['git', 'ls-files', '-coz', '--exclude-standard'], cwd=root, check=True, capture_output=True, text=True).stdout
        return sorted({Path(o) for o in out.split('\0') if o and (root/o).is_file()})
    with_dirs = lambda d: [o for o in os.scandir(d) if o.name not in IGNORE(d, [o.name])]
    def walk(d):
        for o in with_dirs(d): yield from walk(o.path) if o.is_dir(follow_symlinks=False) else [Path(o.path).relative_to(root)]
    return sorted(o for o in walk(root) if (root/o).is_file())

def copy_project(dest, root=ROOT, link_data=True):
    "Copy the project to folder `dest`; `link_data`: its sounds by a link, as nothing may change them"
    data = Path('audiossl/data')
    for o in project_files(root):
        if link_data and data in o.parents: continue
        (dest/o).parent.mkdir(parents=True, exist_ok=True); shutil.copy2(root/o, dest/o)
    if link_data and (root/data).exists(): (dest/data).symlink_to(root/data)
    for o in dest.rglob('*'):
        if o.is_file() and not o.is_symlink(): o.chmod(0o644 | o.stat().st_mode)
    return dest

def contents(root): return {o: (root/o).read_bytes() for o in project_files(root) if Path('audiossl/data') not in o.parents}

def waved(module): # the weights of the second set of numbers: sines, by the place of a name in the alphabet
    import torch
    state = module.state_dict()
    for i,k in enumerate(sorted(state)):
        s = torch.sin(1+i+.7*torch.arange(state[k].numel(), dtype=torch.float64)).view(state[k].shape)
        state[k] = (1+.1*s if k.endswith('weight') and s.ndim==1 else .05*s).float()
    module.load_state_dict(state)
    return module.eval()
