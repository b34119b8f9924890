"""Write `nbs/sidebar.yml`, the site's table of contents: the notebooks on disk, by layer.

usage (anywhere): python tools/sidebar.py
"""
import re
from pathlib import Path

LAYERS = ['0 Ground', '1 Picture', '2 Data', '3 Model', '4 Learning', '5 Judging', '6 Windows', '7 Command', '8 Studies']

def text(nbs):
    "The sidebar for the notebooks in folder `nbs`: the decade of a notebook's number is its layer"
    names = sorted(o.name for o in Path(nbs).glob('*.ipynb') if not o.name.startswith(('_','.')))
    res = ['website:', '  sidebar:', '    contents:'] + [f'      - {o}' for o in names if not re.match(r'\d\d_', o)]
    for i,layer in enumerate(LAYERS):
        if own := [o for o in names if re.match(rf'{i}\d_', o)]:
            res += [f'      - section: "{layer}"', '        contents:', *(f'          - {o}' for o in own)]
    return '\n'.join(res)+'\n'

def write(root): (Path(root)/'nbs/sidebar.yml').write_text(text(Path(root)/'nbs'), encoding='utf-8')

if __name__ == '__main__': write(Path(__file__).resolve().parent.parent)
