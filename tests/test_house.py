"""The rules of the house. Each rule is a function of a project's folder that returns the faults it finds, one line each;
it is asked of this project, and shown to find a fault planted in a small project made for that."""
import ast, json, re, shutil
from configparser import ConfigParser
from functools import lru_cache
from pathlib import Path
import pytest
from support import ROOT
import readme, sidebar

PKG = 'audiossl'

# ---- reading a project -------------------------------------------------------------------------------------------------------------------

class Cell:
    def __init__(self, nb, i, d):
        self.nb,self.i,self.kind,self.id = nb,i,d['cell_type'],d.get('id')
        self.src,self.outputs = ''.join(d['source']),d.get('outputs', [])
        self.flags = {m[1].rstrip(':'): m[2].strip() for m in re.finditer(r'^\s*#\s*\|\s*(\S+)[ \t]*(.*)$', self.src, re.M)} if self.kind=='code' else {}
        self.exported = bool({'export','exports','exporti'} & self.flags.keys())
        self.at = f'{nb.path.name} cell {i}'
    @property
    def tree(self):
        "The syntax tree of a code cell, without IPython's `%magic` and `!command` lines"
        src = '' if self.kind!='code' or self.src.lstrip().startswith('%%') else re.sub(r'^(\s*)[%!?].*$', r'\1pass', self.src, flags=re.M)
        return ast.parse(src)

class Notebook:
    def __init__(self, path):
        self.path,self.json = path,json.loads(path.read_text(encoding='utf-8'))
        self.cells = [Cell(self, i, c) for i,c in enumerate(self.json['cells'])]
        m = re.match(r'(\d\d)_(.+)', path.stem); self.number,self.name = (int(m[1]), m[2]) if m else (None, path.stem)
        self.modules = [c.flags['default_exp'] for c in self.cells if 'default_exp' in c.flags]
    @property
    def code(self): return [c for c in self.cells if c.kind=='code']
    @property
    def exported(self): return [c for c in self.code if c.exported]
    @property
    def lessons(self): return [c for c in self.code if not c.exported]

def books(root): return [Notebook(p) for p in sorted((root/'nbs').rglob('*.ipynb')) if not p.name.startswith(('_','.')) and '.ipynb_checkpoints' not in p.parts]
def py_files(root): return sorted(o for o in (root/PKG).rglob('*.py') if '__pycache__' not in o.parts)
def module_name(root, p): return '.'.join(p.relative_to(root/PKG).with_suffix('').parts).removesuffix('__init__').removesuffix('.')
def modules(root): return {module_name(root, p): p for p in py_files(root) if p.name not in ('__init__.py', '_modidx.py')}
def packages(root): return {module_name(root, p) for p in py_files(root) if p.name=='__init__.py'}
def numbers(root): return {m: b.number for b in books(root) for m in b.modules if b.number is not None}

@lru_cache
def _all(path, mtime):
    for o in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(o, ast.Assign) and any(isinstance(t, ast.Name) and t.id=='__all__' for t in o.targets):
            return tuple(e.value for e in o.value.elts if isinstance(e, ast.Constant)) if isinstance(o.value, ast.List) else ()
    return ()
def public(path): return _all(path, path.stat().st_mtime_ns)

def imports(tree, top_only=False):
    "(module, name or None) of each import; `top_only`: not those inside functions"
    todo = [tree]
    while todo:
        o = todo.pop()
        if isinstance(o, ast.Import): yield from ((a.name, None) for a in o.names)
        elif isinstance(o, ast.ImportFrom): yield from (('.'*o.level+(o.module or ''), a.name) for a in o.names)
        if not (top_only and isinstance(o, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))): todo += ast.iter_child_nodes(o)

def used_modules(root, cell):
    "Modules of the package (named without it) that a cell reaches: by an import, through a face, or as `audiossl.name`"
    mods,pkgs = modules(root),packages(root); found = set()
    def through(face, name):                                         # `name` handed on by the package `face`
        dotted = f'{face}.{name}'.strip('.')
        if dotted in mods: found.add(dotted)
        elif dotted not in pkgs: found.update(m for m,p in mods.items() if (not face or m.startswith(face+'.')) and name in public(p))
    for mod,name in imports(cell.tree):
        if mod.split('.')[0]!=PKG: continue
        mod = mod[len(PKG)+1:]
        if mod in mods: found.add(mod)
        elif name and name!='*': through(mod, name)
    for o in ast.walk(cell.tree):
        parts = []
        while isinstance(o, ast.Attribute): parts.insert(0, o.attr); o = o.value
        if isinstance(o, ast.Name) and o.id==PKG and parts:
            n = 0
            while n<len(parts)-1 and '.'.join(parts[:n+1]) in pkgs: n += 1
            through('.'.join(parts[:n]), parts[n])
    return found

# ---- rules about order and names ---------------------------------------------------------------------------------------------------------

def imports_point_down(root):
    "A notebook uses modules of lower numbers only, in its lessons too; layer 3 does not use layer 2"
    num = numbers(root)
    for b in books(root):
        if b.number is None: continue
        for c in b.code:
            for m in sorted(used_modules(root, c)):
                n = num.get(m)
                if n is None or m in b.modules and not c.exported: continue
                if n>=b.number: yield f'{c.at} uses {m} of notebook {n:02}'
                elif b.number//10==3 and n//10==2: yield f'{c.at}: layer 3 uses {m} of layer 2'

def one_notebook_one_module(root):
    "A numbered notebook that exports has one `default_exp`, nothing is exported elsewhere, and the package has exactly these modules"
    want = [m for b in books(root) for m in b.modules]
    for b in books(root):
        if len(b.modules)>1: yield f'{b.path.name} has {len(b.modules)} default_exp'
        if b.exported and not b.modules: yield f'{b.path.name} exports but has no default_exp'
        if b.modules and b.number is None: yield f'{b.path.name} exports but has no number'
        for c in b.exported:
            if any(c.flags.get(k) for k in ('export','exports','exporti')): yield f'{c.at} exports into another module'
    for m in sorted({o for o in want if want.count(o)>1}): yield f'{m} is the default_exp of {want.count(m)} notebooks'
    for m in sorted(set(want)-modules(root).keys()): yield f'{m} was never exported'
    for m in sorted(modules(root).keys()-set(want)): yield f'{m} has no notebook'

def names_unique(root):
    "Pages are named by a notebook's name without its number"
    names = [b.name for b in books(root)]
    for o in sorted({o for o in names if names.count(o)>1}): yield f'{names.count(o)} notebooks are named {o}'

def no_name_hides_a_module(root):
    "No public name equals a module or package beside it, which it would hide"
    have = modules(root).keys()|packages(root)
    for m,p in modules(root).items():
        for name in public(p):
            if f'{m.rpartition(".")[0]}.{name}'.strip('.') in have: yield f'{m}: the name {name} is also a module'

def frameworks_high(root):
    "The training framework is imported from notebook 40 up, widgets from 60 up"
    low = dict(pytorch_lightning=40, lightning=40, ipywidgets=60, anywidget=60)
    for b in books(root):
        for c in b.code:
            for mod,_ in imports(c.tree):
                n = low.get(mod.split('.')[0])
                if n and b.number is not None and b.number<n: yield f'{c.at} imports {mod}, allowed from {n} up'

def no_notebook_tools_in_modules(root):
    "Exported code loads neither nbdev nor fastcore nor IPython when it is imported"
    for b in books(root):
        for c in b.exported:
            for mod,_ in imports(c.tree, top_only=True):
                if mod.split('.')[0] in ('nbdev','fastcore','IPython','execnb'): yield f'{c.at} imports {mod} at the top'

def no_import_from_a_face(root):
    "Exported code imports from modules: nbdev turns an import from a face into one that hides where it points"
    pkgs,mods = ({f'{PKG}.{o}'.rstrip('.') for o in f(root)} for f in (packages, modules))
    for b in books(root):
        plain = all(o.attr.startswith('__') for c in b.exported for o in ast.walk(c.tree)          # `import audiossl` for its version: fine
                    if isinstance(o, ast.Attribute) and isinstance(o.value, ast.Name) and o.value.id==PKG)
        for c in b.exported:
            for mod,name in imports(c.tree):
                if mod==PKG and name is None and plain: continue
                if mod in pkgs and name!='__version__' and f'{mod}.{name}' not in mods: yield f'{c.at} imports {name or "all"} from the face {mod}'
                if mod.startswith('.'): yield f'{c.at} imports relatively from {mod}'

# ---- rules about size and form -----------------------------------------------------------------------------------------------------------

def sizes(root):
    "A module has at most 250 lines, an exported cell 60, a notebook is below 300 KB"
    for m,p in modules(root).items():
        if (n := len(p.read_text(encoding='utf-8').splitlines())) > 250: yield f'{m} has {n} lines'
    for b in books(root):
        if (n := b.path.stat().st_size) >= 300_000: yield f'{b.path.name} has {n} bytes'
        for c in b.exported:
            if (n := len(c.src.splitlines())) > 60: yield f'{c.at} has {n} lines'

def form(root):
    "A notebook starts with `# Title` and `> why`; one with a module names it next and ends in a hidden export"
    for b in books(root):
        first = b.cells[0]
        if first.kind!='markdown' or not re.match(r'# \S.*\n+> \S', first.src): yield f'{b.path.name} does not start with `# Title` and `> why`'
        if b.modules:
            if 'default_exp' not in b.cells[1].flags: yield f'{b.path.name}: the second cell is not its default_exp'
            if 'hide' not in b.cells[-1].flags or 'nbdev_export()' not in b.cells[-1].src: yield f'{b.path.name} does not end in a hidden nbdev_export()'

def ids(root):
    "Each cell has an id of its own"
    for b in books(root):
        have = [c.id for c in b.cells]
        for c in b.cells:
            if not c.id or have.count(c.id)>1: yield f'{c.at} has {"no id" if not c.id else "the id of another"}'

def no_widget_state(root):
    "The state of widgets is not stored: it is large, new each time, and stops nbdev's writer"
    for b in books(root):
        if 'widgets' in b.json['metadata']: yield f'{b.path.name} stores widgets'

def folder_is_restored(root):
    "A notebook that changes the current folder changes it back: its last cell must find the project"
    for b in books(root):
        n = sum(isinstance(o, ast.Call) and ast.unparse(o.func)=='os.chdir' for c in b.lessons for o in ast.walk(c.tree))
        if n==1: yield f'{b.path.name} calls os.chdir once: back again in a hidden cell before the last, or use contextlib.chdir'

def names_are_shown(root):
    "Each public name is used in a lesson cell that is run; a command of the command line may be shown as a quoted word"
    for b in books(root):
        used = set()
        for c in b.lessons:
            if c.flags.get('eval')=='false': continue
            for o in ast.walk(c.tree):
                if isinstance(o, ast.Name): used.add(o.id)
                elif isinstance(o, ast.Attribute): used.add(o.attr)
                elif isinstance(o, ast.alias): used.add(o.name)
                elif isinstance(o, ast.Constant) and isinstance(o.value, str): used.update(w.replace('-', '_') for w in o.value.split())
        for m in b.modules:
            if m in modules(root):
                for name in public(modules(root)[m]):
                    if name not in used: yield f'{b.path.name} never shows {name}'

# ---- rules about what is stored ----------------------------------------------------------------------------------------------------------

MACHINE = re.compile(r'/root/|/home/|/tmp/|/mnt/|/Users/|/private/var/|[A-Z]:\\\\?Users')

def texts(o):
    "All strings in an output, but pictures and sounds"
    if isinstance(o, str): yield re.sub(r'data:[\w/+.-]+;base64,[\w+/=\s]+', '', o)
    elif isinstance(o, list): yield from texts(''.join(o)) if all(isinstance(x, str) for x in o) else (t for x in o for t in texts(x))
    elif isinstance(o, dict): yield from (t for k,v in o.items() if not re.match(r'(image/(?!svg)|audio/|video/)', k) for t in texts(v))

def no_machine_in_outputs(root):
    "No stored output shows a folder of the machine it was made on, or an address in its memory"
    for b in books(root):
        for c in b.code:
            for t in texts(c.outputs):
                if m := MACHINE.search(t) or re.search(re.escape(str(root))+r'|\bat 0x[0-9a-f]{6,}', t): yield f'{c.at} shows {t[max(0, m.start()-20):m.end()+40]!r}'

def outputs_quiet(root):
    "Stored outputs hold no error, no warning and no progress bar"
    for b in books(root):
        for c in b.code:
            for o in c.outputs:
                t = '\n'.join(texts(o))
                if o['output_type']=='error': yield f'{c.at} stores an error: {o.get("ename")}'
                elif o.get('name')=='stderr': yield f'{c.at} stores what was written to stderr: {t[:80]!r}'
                elif '\r' in t: yield f'{c.at} stores a progress bar'

def outputs_stored(root):
    "A notebook with lessons shows at least one result"
    for b in books(root):
        lessons = [c for c in b.lessons if c.flags.get('eval')!='false' and not {'hide','default_exp'} & c.flags.keys()]
        if lessons and not any(c.outputs for c in lessons): yield f'{b.path.name} has no stored output: `make notebooks NB={b.path.name}`'

def no_machine_in_sources(root):
    "No cell, test or script names a folder of somebody's machine"
    for b in books(root):
        for c in b.cells:
            if m := re.search(r'/root/|/mnt/|/home/[a-z]+/|/Users/', c.src): yield f'{c.at} names {m[0]}'

def text_arrives_whole(root):
    "Backslashes of maths are neither lost (an invisible character instead) nor doubled (a line break instead)"
    for b in books(root):
        for c in b.cells:
            if m := re.search(r'[\x00-\x08\x0b-\x1f\x7f]', c.src): yield f'{c.at} holds {m[0]!r} in {c.src[max(0, m.start()-20):m.end()+20]!r}'
            for m in re.findall(r'(?<![\$\\])\$[^$\n]+\$(?!\$)', c.src) if c.kind=='markdown' else []:
                if re.search(r'\\\\[a-zA-Z]', m): yield f'{c.at} doubles a backslash in {m}'

def links_lead_somewhere(root):
    "A link from a notebook to another, or to a file beside it, leads to one that is there"
    for b in books(root):
        for c in b.cells:
            if c.kind!='markdown': continue
            for u in re.findall(r'\]\(([^)\s#]+)[^)]*\)', re.sub(r'`[^`]*`', '', c.src)):
                if not re.match(r'[a-z]+:|/', u) and not (b.path.parent/u).exists(): yield f'{c.at} links to {u}'

def safe_code(root):
    "The package unpickles nothing, runs no text as code or as a shell command, and loads tensors with weights_only=True"
    for p in py_files(root):
        tree = ast.parse(p.read_text(encoding='utf-8')); at = lambda o: f'{p.relative_to(root)}:{o.lineno}'
        for o in ast.walk(tree):
            if isinstance(o, ast.Import):
                for a in o.names:
                    if a.name.split('.')[0] in ('cloudpickle','dill','marshal','shelve'): yield f'{at(o)} imports {a.name}'
            elif isinstance(o, ast.ImportFrom) and o.module in ('pickle','_pickle','cloudpickle','dill','marshal','shelve'):
                if {a.name for a in o.names} - {'UnpicklingError','PicklingError'}: yield f'{at(o)} imports from {o.module}'
            elif isinstance(o, ast.Attribute) and isinstance(o.value, ast.Name) and o.value.id=='pickle' and not o.attr.endswith('Error'): yield f'{at(o)} uses pickle.{o.attr}'
            elif isinstance(o, ast.Call):
                f = ast.unparse(o.func); kw = {k.arg: ast.unparse(k.value) for k in o.keywords}
                if f in ('eval','exec','yaml.load','yaml.unsafe_load','yaml.full_load','os.system','os.popen'): yield f'{at(o)} calls {f}'
                if kw.get('shell')=='True': yield f'{at(o)} calls {f} with a shell'
                if f=='torch.load' and kw.get('weights_only')!='True': yield f'{at(o)} calls torch.load without weights_only=True'
                if kw.get('weights_only')=='False': yield f'{at(o)} turns weights_only off'
                if kw.get('allow_pickle')=='True': yield f'{at(o)} allows pickle'

def no_global_randomness(root):
    "Randomness comes from a generator that is passed in: no global seed is set and none is drawn from; torch's not at import"
    for p in py_files(root):
        tree = ast.parse(p.read_text(encoding='utf-8')); at = lambda o: f'{p.relative_to(root)}:{o.lineno}'
        inside = {id(x) for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.Lambda)) for x in ast.walk(f)}
        for o in ast.walk(tree):
            if not isinstance(o, ast.Call): continue
            f = ast.unparse(o.func)
            if re.fullmatch(r'(np|numpy)\.random\.(?!default_rng|Generator|SeedSequence|PCG64|Philox)\w+|random\.(seed|random|randint|choice|shuffle|sample|uniform)', f):
                yield f'{at(o)} calls {f}'
            elif re.search(r'(^|\.)(manual_seed|seed_everything)$', f) and id(o) not in inside: yield f'{at(o)} calls {f} on import'

def readme_in_step(root):
    "README.md is what tools/readme.py makes of nbs/index.ipynb"
    if not (root/'nbs/index.ipynb').exists(): yield 'nbs/index.ipynb is not there'
    elif (root/'README.md').read_text(encoding='utf-8')!=readme.text(root/'nbs/index.ipynb'): yield 'README.md is out of step with nbs/index.ipynb: `make export`'

def sidebar_in_step(root):
    "The tables of contents, of the site and in the index, list the notebooks there are"
    if (root/'nbs/sidebar.yml').read_text(encoding='utf-8')!=sidebar.text(root/'nbs'): yield 'nbs/sidebar.yml is out of step with the notebooks: `make export`'
    for c in Notebook(root/'nbs/index.ipynb').cells:
        if sidebar.chapters(c.src, root/'nbs')!=c.src: yield 'nbs/index.ipynb: its table of chapters is out of step with the notebooks: `make export`'

def version_in_step(root):
    "The package, CITATION.cff and CHANGELOG.md say the version that settings.ini says"
    cfg = ConfigParser(delimiters=['=']); cfg.read(root/'settings.ini', encoding='utf-8'); v = cfg['DEFAULT']['version']
    if f'__version__ = "{v}"' not in (root/PKG/'__init__.py').read_text(encoding='utf-8'): yield f'{PKG}/__init__.py does not say version {v}'
    if f'\nversion: {v}\n' not in (root/'CITATION.cff').read_text(encoding='utf-8'): yield f'CITATION.cff does not say version {v}'
    if f'\n## {v}' not in (root/'CHANGELOG.md').read_text(encoding='utf-8'): yield f'CHANGELOG.md has no part for version {v}'

# ---- a small project, and a fault for each rule ------------------------------------------------------------------------------------------

def code(src, *outputs): return dict(cell_type='code', id='', metadata={}, source=src, execution_count=None, outputs=list(outputs))
def text(src): return dict(cell_type='markdown', id='', metadata={}, source=src)
def stream(t, name='stdout'): return dict(output_type='stream', name=name, text=t)

def write_nb(root, name, module=None, *cells, title='Title'):
    "A notebook as the house wants it, with `cells` in its middle"
    cells = [text(f'# {title}\n\n> why'), *([code(f'#| default_exp {module}')] if module else []), *cells,
             *([code('#| hide\nimport nbdev; nbdev.nbdev_export()')] if module else [])]
    for i,c in enumerate(cells): c['id'] = f'c{i}'
    nb = dict(cells=cells, metadata=dict(kernelspec=dict(name='python3', display_name='python3', language='python')), nbformat=4, nbformat_minor=5)
    (root/f'nbs/{name}.ipynb').write_text(json.dumps(nb))

def edit(root, name, f):
    p = root/f'nbs/{name}.ipynb'; nb = json.loads(p.read_text()); f(nb); p.write_text(json.dumps(nb))

def add(root, name, cell):
    "Plant `cell` in a notebook, before its last"
    cell['id'] = 'planted'; edit(root, name, lambda nb: nb['cells'].insert(-1, cell))

def append(root, path, t): p = root/path; p.write_text(p.read_text()+t)

@pytest.fixture
def small(tmp_path):
    "A project of four notebooks and three modules without a fault"
    root = tmp_path/'small'; (root/'nbs').mkdir(parents=True)
    for d in ('', 'data', 'models'): (root/PKG/d).mkdir(parents=True); (root/PKG/d/'__init__.py').write_text('')
    (root/PKG/'__init__.py').write_text('"A small project"\n__version__ = "0.0.1"\n')
    (root/'CITATION.cff').write_text('title: x\nversion: 0.0.1\n'); (root/'CHANGELOG.md').write_text('# Changes\n\n## 0.0.1\n')
    (root/PKG/'_modidx.py').write_text('d = {}\n'); (root/'settings.ini').write_text('[DEFAULT]\nversion = 0.0.1\n')
    for m,name,body in [('audio','load','def load(): return 1'), ('data.store','open_store','def open_store(): return 2'), ('models.net','Net','class Net: pass')]:
        (root/PKG/f'{m.replace(".", "/")}.py').write_text(f"__all__ = ['{name}']\n{body}\n")
    write_nb(root, 'index', None, text('Start with [audio](00_audio.ipynb).\n\n| | chapters |\n| --- | --- |\n'), code('from audiossl.audio import load\nload()', stream('1')))
    write_nb(root, '00_audio', 'audio', code('#| export\ndef load(): return 1'), code('load()', stream('1')))
    write_nb(root, '20_store', 'data.store', code('#| export\nfrom audiossl.audio import load'), code('#| export\ndef open_store(): return 2'), code('open_store()', stream('2')))
    write_nb(root, '40_net', 'models.net', code('#| export\nimport pytorch_lightning as pl'), code('#| export\nclass Net: pass'),
             code('%matplotlib inline\nfrom audiossl.data import open_store\nfrom audiossl.models import *\nNet()', stream('net')))
    sidebar.write(root); readme.write(root)
    return root

def set_id(nb): del nb['cells'][2]['id']
def swap_title(nb): nb['cells'][0]['source'] = 'Title'

FAULTS = [
    (imports_point_down, lambda r: add(r, '00_audio', code('#| export\nfrom audiossl.data.store import open_store'))),
    (imports_point_down, lambda r: add(r, '00_audio', code('from audiossl.data import open_store'))),
    (imports_point_down, lambda r: add(r, '00_audio', code('def f():\n    import audiossl\n    return audiossl.models.Net()'))),
    (imports_point_down, lambda r: add(r, '00_audio', code('import audiossl.models.net as n'))),
    (imports_point_down, lambda r: write_nb(r, '30_block', None, code('from audiossl.data.store import open_store'))),
    (one_notebook_one_module, lambda r: (r/PKG/'data/left.py').write_text('')),
    (one_notebook_one_module, lambda r: (r/PKG/'audio.py').unlink()),
    (one_notebook_one_module, lambda r: add(r, '20_store', code('#| default_exp audio'))),
    (one_notebook_one_module, lambda r: add(r, '20_store', code('#| export audio\nx = 1'))),
    (one_notebook_one_module, lambda r: write_nb(r, '50_more', None, code('#| export\nx = 1'))),
    (names_unique, lambda r: write_nb(r, '50_audio')),
    (no_name_hides_a_module, lambda r: (r/PKG/'models/net.py').write_text("__all__ = ['net']\ndef net(): pass\n")),
    (no_name_hides_a_module, lambda r: (r/PKG/'audio.py').write_text("__all__ = ['data']\ndata = 1\n")),
    (frameworks_high, lambda r: add(r, '20_store', code('import pytorch_lightning as pl'))),
    (frameworks_high, lambda r: add(r, '40_net', code('#| export\nfrom ipywidgets import IntSlider'))),
    (no_notebook_tools_in_modules, lambda r: add(r, '20_store', code('#| export\nfrom fastcore.basics import patch'))),
    (no_notebook_tools_in_modules, lambda r: add(r, '20_store', code('#| export\nclass A:\n    import IPython.display'))),
    (no_import_from_a_face, lambda r: add(r, '40_net', code('#| export\nfrom audiossl.data import open_store'))),
    (no_import_from_a_face, lambda r: add(r, '40_net', code('#| export\ndef f():\n    import audiossl\n    return audiossl.load()'))),
    (no_import_from_a_face, lambda r: add(r, '40_net', code('#| export\nfrom audiossl import data'))),
    (sizes, lambda r: append(r, f'{PKG}/audio.py', '\n'*250)),
    (sizes, lambda r: add(r, '00_audio', code('#| export\n'+'x = 1\n'*60))),
    (sizes, lambda r: add(r, '00_audio', text('x'*300_000))),
    (form, lambda r: edit(r, '00_audio', swap_title)),
    (form, lambda r: edit(r, '00_audio', lambda nb: nb['cells'].insert(1, text('more')))),
    (form, lambda r: edit(r, '00_audio', lambda nb: nb['cells'].pop())),
    (ids, lambda r: edit(r, '00_audio', set_id)),
    (ids, lambda r: edit(r, '00_audio', lambda nb: nb['cells'][2].update(id='c0'))),
    (no_widget_state, lambda r: edit(r, '00_audio', lambda nb: nb['metadata'].update(widgets={}))),
    (folder_is_restored, lambda r: add(r, '00_audio', code('import os\nos.chdir("..")'))),
    (names_are_shown, lambda r: append(r, f'{PKG}/audio.py', "__all__ = ['load', 'save']\n") or (r/PKG/'audio.py').write_text("__all__ = ['load', 'save']\n")),
    (no_machine_in_outputs, lambda r: add(r, '00_audio', code('1', stream('/home/me/x.wav')))),
    (no_machine_in_outputs, lambda r: add(r, '00_audio', code('1', dict(output_type='display_data', data={'text/html': ['<b>', '/tmp/x</b>']})))),
    (no_machine_in_outputs, lambda r: add(r, '00_audio', code('1', stream('<function f at 0x7f0a12345678>')))),
    (outputs_quiet, lambda r: add(r, '00_audio', code('1', stream('UserWarning: no', 'stderr')))),
    (outputs_quiet, lambda r: add(r, '00_audio', code('1', stream('50%\r100%')))),
    (outputs_quiet, lambda r: add(r, '00_audio', code('1', dict(output_type='error', ename='ValueError', evalue='', traceback=[])))),
    (outputs_stored, lambda r: edit(r, '00_audio', lambda nb: [c.update(outputs=[]) for c in nb['cells'] if 'outputs' in c])),
    (no_machine_in_sources, lambda r: add(r, '00_audio', code('load("/home/me/x.wav")'))),
    (text_arrives_whole, lambda r: add(r, '00_audio', text('$\binom{3}{2}$'))),
    (text_arrives_whole, lambda r: add(r, '00_audio', text(r'$\\binom{3}{2}$'))),
    (links_lead_somewhere, lambda r: add(r, '00_audio', text('Next: [Plot](01_plot.ipynb)'))),
    *[(safe_code, lambda r, s=s: append(r, f'{PKG}/audio.py', s+'\n')) for s in (
        'import pickle\npickle.load(f)', 'from pickle import loads', 'import dill', 'eval("1")', 'yaml.load(f)', 'subprocess.run("ls", shell=True)',
        'torch.load(f)', 'torch.load(f, weights_only=False)', 'np.load(f, allow_pickle=True)', 'os.system("ls")')],
    *[(no_global_randomness, lambda r, s=s: append(r, f'{PKG}/audio.py', s+'\n')) for s in (
        'np.random.seed(0)', 'def f(): return np.random.rand(3)', 'import random\nrandom.seed(0)', 'torch.manual_seed(0)')],
    (readme_in_step, lambda r: add(r, 'index', text('More'))),
    (sidebar_in_step, lambda r: write_nb(r, '50_more')),
    (sidebar_in_step, lambda r: add(r, 'index', text('| | chapters |\n| --- | --- |\n| old | [gone](99_gone.ipynb) |\n'))),
    (version_in_step, lambda r: (r/'settings.ini').write_text('[DEFAULT]\nversion = 0.0.2\n')),
    (version_in_step, lambda r: (r/'CITATION.cff').write_text('title: x\nversion: 0.0.2\n')),
    (version_in_step, lambda r: (r/'CHANGELOG.md').write_text('# Changes\n\n## 0.0.2\n')),
]
RULES = list(dict.fromkeys(rule for rule,_ in FAULTS))

@pytest.mark.parametrize('rule', RULES, ids=lambda r: r.__name__)
def test_this_project_keeps(rule):
    faults = list(rule(ROOT))
    assert not faults, f'{rule.__doc__}:\n' + '\n'.join(faults)

@pytest.mark.parametrize('rule', RULES, ids=lambda r: r.__name__)
def test_a_small_project_keeps(rule, small): assert list(rule(small)) == []

@pytest.mark.parametrize('rule,plant', FAULTS, ids=[f'{r.__name__}-{i}' for i,(r,_) in enumerate(FAULTS)])
def test_a_planted_fault_is_found(rule, plant, small):
    plant(small)
    assert list(rule(small)) != []

def test_every_rule_has_a_fault():
    "A rule added above must come with a fault below"
    src = ast.parse(Path(__file__).read_text(encoding='utf-8'))
    rules = {o.name for o in src.body if isinstance(o, ast.FunctionDef) and any(isinstance(y, (ast.Yield, ast.YieldFrom)) for y in ast.walk(o))}
    assert rules - {'imports', 'texts'} == {r.__name__ for r in RULES}
