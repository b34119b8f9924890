"""Write the tables of contents from the notebooks on disk, by layer: `nbs/sidebar.yml` for the site, and the table of chapters in `nbs/index.ipynb`.

usage (anywhere): python tools/sidebar.py
"""
import json, re
from pathlib import Path

LAYERS = {0: 'Ground', 10: 'Picture', 20: 'Data', 30: 'Model', 40: 'Learning', 50: 'Judging', 60: 'Windows', 69: 'Command', 80: 'Studies',
          84: 'Practice', 89: 'Words', 90: 'Tutorials'} # first number: name
FIRST = ('Tutorials', 'Words') # parts that a visitor of the site meets before the others

def layers(nbs):
    "(name, [notebooks]) of each layer: it goes from its first number to the next layer's"
    names = sorted(o.name for o in Path(nbs).glob('[0-9][0-9]_*.ipynb'))
    for (first,layer),end in zip(LAYERS.items(), [*LAYERS, 100][1:]):
        if own := [o for o in names if first<=int(o[:2])<end]: yield layer, own

def text(nbs):
    "The sidebar for the notebooks in folder `nbs`"
    res = ['website:', '  sidebar:', '    contents:'] + [f'      - {o.name}' for o in sorted(Path(nbs).glob('*.ipynb')) if not re.match(r'\d\d_|[_.]', o.name)]
    parts = sorted(layers(nbs), key=lambda o: FIRST.index(o[0]) if o[0] in FIRST else len(FIRST))
    for layer,own in parts: res += [f'      - section: "{layer}"', '        contents:', *(f'          - {o}' for o in own)]
    return '\n'.join(res)+'\n'

def title(nb): return ''.join(json.loads(nb.read_text(encoding='utf-8'))['cells'][0]['source']).splitlines()[0].lstrip('# ')

def chapters(source, nbs):
    "A text whose table of chapters, if there is one, names every notebook in folder `nbs`"
    rows = ''.join(f'| {layer.lower()} | {", ".join(f"[{title(nbs/o)}]({o})" for o in own)} |\n' for layer,own in layers(nbs))
    return re.sub(r'(?<=^\| \| chapters \|\n\| --- \| --- \|\n)(?:\|.*\n)*', lambda _: rows, source, flags=re.M)

def write(root):
    nbs = Path(root)/'nbs'; index = nbs/'index.ipynb'
    (nbs/'sidebar.yml').write_text(text(nbs), encoding='utf-8')
    nb = json.loads(index.read_text(encoding='utf-8'))
    for c in nb['cells']:
        if c['cell_type']=='markdown' and (new := chapters(old := ''.join(c['source']), nbs))!=old: c['source'] = new.splitlines(keepends=True)
    index.write_text(json.dumps(nb, indent=1, sort_keys=True, ensure_ascii=False)+'\n', encoding='utf-8')

if __name__ == '__main__': write(Path(__file__).resolve().parent.parent)
