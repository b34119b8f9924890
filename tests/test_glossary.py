"Words, letters and ways in: the glossary's links, the table of letters, the map of the chapters, and tutorials that stand alone"
import ast, io, json, re, tokenize
from xml.etree import ElementTree
import pytest
from support import ROOT
import chapter_map

NBS = ROOT/'nbs'
def cells(nb): return [(c['cell_type'], ''.join(c['source'])) for c in json.loads(nb.read_text(encoding='utf-8'))['cells']]
def prose(nb): return '\n'.join(s for k,s in cells(nb) if k=='markdown')
GLOSSARY = prose(NBS/'89_glossary.ipynb')

# ---- words -------------------------------------------------------------------------------------------------------------------------------

def terms(text): return re.findall(r'^- <b id="([^"]+)">([^<]+)</b>: (.+?) \[([^]]+)\]\(([^)]+)\)$', text, re.M)

def term_faults(text, nbs=NBS):
    "Terms without a chapter, with one that never uses the word, or listed twice"
    found,lines = terms(text), re.findall(r'^- .*', text, re.M)
    yield from (f'not a term with a meaning and a chapter: {l[:60]}' for l in lines if not terms(l))
    for id,term,meaning,title,link in found:
        if [o[0] for o in found].count(id)>1: yield f'{term}: the id {id} is there twice'
        if not (nbs/link).is_file(): yield f'{term}: there is no {link}'; continue
        said = '\n'.join(s for _,s in cells(nbs/link)).lower()
        if not all(w[:4] in said for w in re.findall(r'[a-z]{3,}', term.lower()) if w!='and'): yield f'{term}: {link} never says it'
        if not 15<len(meaning)<400: yield f'{term}: {len(meaning)} letters are no sentence or two'

def test_each_word_has_its_chapter(): assert list(term_faults(GLOSSARY)) == []

def test_the_words_that_must_be_there():
    have = {t.lower() for _,t,*_ in terms(GLOSSARY)}
    assert {'clip','scene','view','frame','token','patch','block mask','student','teacher','ema','projector','predictor','collapse','spread','linear probe','knn','fold',
            'leakage','psds','collar'} <= have

@pytest.mark.parametrize('line', ['- <b id="x">xylophone</b>: something that is beaten with a mallet. [Masks](13_mask.ipynb)', '- <b id="x">mask</b>: it hides tokens from the student. [Masks](12_mask.ipynb)',
                                  '- **mask**: it hides tokens', '- <b id="mask">mask</b>: it hides tokens from the student. [Masks](13_mask.ipynb)\n'*2])
def test_a_bad_word_is_seen(line): assert list(term_faults(line)) != []

# ---- letters -----------------------------------------------------------------------------------------------------------------------------

THINGS = set('Axyij') # letters in brackets that are things, pairs of A and B, a point (x, y): no sizes

def letters(source):
    "Single letters in the shapes that comments of a module state"
    for t in tokenize.generate_tokens(io.StringIO(source).readline):
        if t.type!=tokenize.COMMENT: continue
        for inner in re.findall(r'\(([^()]*)\)', t.string):
            parts = [p.strip() for p in inner.split(',')]
            if len(parts)<2 or any(p and not re.fullmatch(r"[\w.'*+/-]+", p) for p in parts): continue      # `(N,)` has two parts, the last one empty
            yield from (x for p in parts for x in re.findall(r"(?<![\w.])([A-Za-z])(?![A-Za-z_.])", p) if x not in THINGS)

def listed(text): return set(re.findall(r'`([A-Za-z])`', '\n'.join(l.split('|')[1] for l in text.split('## Notation')[1].splitlines() if l.startswith('|'))))

def test_letters_are_in_the_table():
    missing = {}
    for p in sorted((ROOT/'audiossl').rglob('*.py')):
        for x in set(letters(p.read_text(encoding='utf-8')))-listed(GLOSSARY): missing.setdefault(x, []).append(p.stem)
    assert missing == {}

def test_no_letter_is_listed_for_nothing():
    used = {x for p in (ROOT/'audiossl').rglob('*.py') for x in letters(p.read_text(encoding='utf-8'))}
    assert listed(GLOSSARY)-used-{'m'} <= {'H'}                                       # momentum is a number, heads are written out

def test_a_new_letter_is_seen():
    assert set(letters('x = 1 # (B, Z, 2*D) float\ny = 2 # (Q,) of a kind (see there), or (a word, another)')) == set('BZDQ')

# ---- the map -----------------------------------------------------------------------------------------------------------------------------

def test_map_in_step():
    svg = chapter_map.drawing(NBS)
    assert (NBS/'chapters.svg').read_text(encoding='utf-8')==svg, 'nbs/chapters.svg is out of step with the notebooks: `make export`'
    shown = [c for c in json.loads((NBS/'index.ipynb').read_text(encoding='utf-8'))['cells'] if 'chapters.svg' in ''.join(c['source'])]
    assert len(shown)==1 and ''.join(shown[0]['outputs'][0]['data']['text/html'])==svg, 'nbs/index.ipynb shows another map: `make export`'

def test_map_links_lead_to_every_chapter():
    root = ElementTree.fromstring((NBS/'chapters.svg').read_text(encoding='utf-8'))
    links = [o.get('href') for o in root.iter('{http://www.w3.org/2000/svg}a')]
    assert sorted(links)==sorted(o.name for o in NBS.glob('[0-9][0-9]_*.ipynb'))
    width,height = map(float, root.get('viewBox').split()[2:])
    for r in root.iter('{http://www.w3.org/2000/svg}rect'):
        assert float(r.get('x', 0))+float(r.get('width'))<=width and float(r.get('y', 0))+float(r.get('height'))<=height

def test_map_knows_what_builds_on_what():
    chapters = [chapter_map.Chapter(p) for p in sorted(NBS.glob('[0-9][0-9]_*.ipynb'))]
    on = chapter_map.builds_on(chapters)
    assert {'10_logmel.ipynb','12_augment.ipynb','13_mask.ipynb'} <= on['15_views.ipynb'] and on['00_audio.ipynb']==set()
    assert all(o<f for f,some in on.items() for o in some), 'a chapter builds on a later one'
    made = {c.file for c in chapters if c.module}
    assert all(some for f,some in on.items() if f[:2]>='90') and all(o in made for some in on.values() for o in some)

# ---- tutorials ---------------------------------------------------------------------------------------------------------------------------

TUTORIALS = sorted(NBS.glob('9[0-8]_*.ipynb'))

@pytest.mark.parametrize('nb', TUTORIALS, ids=lambda p: p.stem)
def test_a_tutorial_stands_alone(nb):
    "It exports nothing, imports in sight, uses public names, and ends in something to see or hear"
    code = [s for k,s in cells(nb) if k=='code']
    assert not any(re.search(r'^#\|\s*(export|default_exp|hide)', s, re.M) for s in code), 'a hidden or exported cell cannot be copied'
    trees = [ast.parse(re.sub(r'^(\s*)[%!].*$', r'\1pass', s, flags=re.M)) for s in code]
    for o in (o for t in trees for o in ast.walk(t)):
        if isinstance(o, ast.ImportFrom) and (o.module or '').startswith('audiossl'):
            assert not any(p.startswith('_') for p in o.module.split('.')+[a.name for a in o.names]), f'{o.module}: a private name'
        if isinstance(o, ast.Attribute) and o.attr.startswith('_') and not o.attr.startswith('__') and o.attr not in ('_asdict','_replace'): pytest.fail(f'.{o.attr} is private')
        if isinstance(o, ast.ImportFrom) and o.module and o.module.split('.')[0] in ('fastcore','nbdev') and nb.stem[:2]!='98': pytest.fail(f'{o.module} is for those who write the package')
    shown = [c for c in json.loads(nb.read_text(encoding='utf-8'))['cells'] if c['cell_type']=='code'][-1]['outputs']
    data = [k for o in shown for k in o.get('data', {})]
    assert any(k in ('image/png','text/html') for k in data), 'the last cell shows nothing to see or hear'
    assert re.search(r'\]\(\d\d_\w+\.ipynb\)', [s for k,s in cells(nb) if k=='markdown'][-1]), 'its end leads nowhere'
