"""Write `nbs/sidebar.yml`, the site's table of contents: the notebooks on disk, by layer.

usage (anywhere): python tools/sidebar.py
"""
import re
from pathlib import Path

LAYERS = {0: 'Ground', 10: 'Picture', 20: 'Data', 30: 'Model', 40: 'Learning', 50: 'Judging', 60: 'Windows', 69: 'Command', 80: 'Studies'} # first number: name

def text(nbs):
    "The sidebar for the notebooks in folder `nbs`: a layer goes from its first number to the next layer's"
    names = sorted(o.name for o in Path(nbs).glob('*.ipynb') if not o.name.startswith(('_','.')))
    res = ['website:', '  sidebar:', '    contents:'] + [f'      - {o}' for o in names if not re.match(r'\d\d_', o)]
    ends = [*LAYERS, 100][1:]
    for (first,layer),end in zip(LAYERS.items(), ends):
        if own := [o for o in names if re.match(r'\d\d_', o) and first<=int(o[:2])<end]:
            res += [f'      - section: "{layer}"', '        contents:', *(f'          - {o}' for o in own)]
    return '\n'.join(res)+'\n'

def write(root): (Path(root)/'nbs/sidebar.yml').write_text(text(Path(root)/'nbs'), encoding='utf-8')

if __name__ == '__main__': write(Path(__file__).resolve().parent.parent)
