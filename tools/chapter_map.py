"""Draw the chapters, and what each builds on: `nbs/chapters.svg`, in which each box is a link, and the same picture as an output of `nbs/index.ipynb`.

A chapter builds on another if cells of it that become the package (or, where none do, all of its cells) import from the other's module.

usage (anywhere): python tools/chapter_map.py
"""
import ast, json, re
from html import escape
from math import log2
from pathlib import Path
from sidebar import layers

PKG, WIDTH, LEFT, ROW, PAD = 'audiossl', 700, 84, 27, 10                                        # of the drawing, in its units
ALT = 'The chapters by part; the deeper the colour, the more chapters build on one'
SHADES = dict(light=('#ffffff','#e9f1fa','#d0e2f4','#b4d0ee','#9cc0e6'), dark=('#20262d','#22303f','#25405c','#2a4f76','#2f5f90'))

def _cells(nb): return [(c['cell_type'], ''.join(c['source'])) for c in json.loads(nb.read_text(encoding='utf-8'))['cells']]

def _flags(src): return {m[1].rstrip(':'): m[2].strip() for m in re.finditer(r'^\s*#\s*\|\s*(\S+)[ \t]*(.*)$', src, re.M)}

def _tree(src): return ast.parse('' if src.lstrip().startswith('%%') else re.sub(r'^(\s*)[%!?].*$', r'\1pass', src, flags=re.M))

class Chapter:
    "What the drawing needs to know of notebook file `nb`"
    def __init__(self, nb):
        cells = _cells(nb); code = [(s, _flags(s)) for k,s in cells if k=='code']
        head = cells[0][1].splitlines()
        self.file,self.title,self.why = nb.name, head[0].lstrip('# '), re.sub(r'\[([^]]*)\]\([^)]*\)|[`$]', r'\1', next((l.lstrip('> ') for l in head if l.startswith('>')), ''))
        self.module = next((f['default_exp'] for _,f in code if 'default_exp' in f), None)
        self.trees = [_tree(s) for s,f in code if self.module is None or {'export','exports','exporti'} & f.keys()]
        made = [o for t in self.trees for o in t.body] if self.module else []
        self.names = {o.name for o in made if isinstance(o, (ast.FunctionDef, ast.ClassDef))}

def builds_on(chapters):
    "{file: {files}} of the notebooks that each imports from"
    module,name = {c.module: c.file for c in chapters if c.module}, {n: c.file for c in chapters for n in c.names}
    def _of(mod, names): # a module, a module taken from its package, or names handed on by a face
        if mod in module: yield module[mod]; return
        for n in names: yield module.get(f'{mod}.{n}'.lstrip('.')) or name.get(n)
    res = {}
    for c in chapters:
        found = set()
        for o in (o for t in c.trees for o in ast.walk(t)):
            if isinstance(o, ast.ImportFrom) and (o.module or '').split('.')[0]==PKG: found |= set(_of(o.module[len(PKG)+1:], [a.name for a in o.names]))
            elif isinstance(o, ast.Import): found |= {f for a in o.names if a.name.startswith(PKG+'.') for f in _of(a.name[len(PKG)+1:], [])}
        res[c.file] = found-{None, c.file}
    return res

def _wide(text): return sum(3.4 if ch in "iljtfrI.,:' -" else 10 if ch in 'mwMW' else 8.3 if ch.isupper() else 6.7 for ch in text) # of 12 units high letters, on the safe side

def _places(parts, chapters):
    "{file: (x, y, width)} and (name, y) of each part; boxes flow in lines"
    at,names,y = {}, [], PAD
    for part,files in parts:
        names.append((part, y)); x = LEFT
        for f in files:
            w = _wide(chapters[f].title)+14
            if x+w>WIDTH-PAD: x = LEFT; y += ROW
            at[f] = (x, y, w); x += w+6
        y += ROW+9
    return at, names, y-9+PAD

def _style():
    shades = lambda k: ''.join(f'--b{i}:{c};' for i,c in enumerate(SHADES[k]))
    light,dark = f'--card:#f6f7f9;--ink:#13263a;--part:#4a5a6a;--edge:#8796a6;--wire:#b4470f;{shades("light")}', f'--card:#171b20;--ink:#e9eff5;--part:#a9b6c3;--edge:#566472;--wire:#ffab6b;{shades("dark")}'
    return (f'.chapter-map{{{light}font:12px Helvetica,Arial,sans-serif;width:100%;min-width:640px;height:auto}}'
            f'@media(prefers-color-scheme:dark){{.chapter-map:root{{{dark}}}}}.quarto-dark .chapter-map{{{dark}}}'
            '.chapter-map a{text-decoration:none}.chapter-map text{fill:var(--ink);stroke:none}.chapter-map .part{fill:var(--part);font-weight:bold}.chapter-map a rect{stroke:var(--edge)}'
            '.chapter-map a:hover rect,.chapter-map a:focus rect{stroke:var(--wire);stroke-width:2}'
            '.chapter-map path{fill:none;stroke:var(--wire);stroke-width:1.5;opacity:0;pointer-events:none}.chapter-map a:hover+path,.chapter-map a:focus+path{opacity:1}'
            + ''.join(f'.chapter-map .b{i} rect{{fill:var(--b{i})}}' for i in range(5)))

def drawing(nbs):
    "SVG of the notebooks in folder `nbs`"
    parts = list(layers(nbs)); chapters = {f: Chapter(Path(nbs)/f) for _,fs in parts for f in fs}
    on = builds_on(chapters.values()); used = {f: sum(f in o for o in on.values()) for f in chapters}
    at,names,height = _places(parts, chapters)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" class="chapter-map" viewBox="0 0 {WIDTH} {height:g}" role="group" aria-label="Map of the chapters">',
           f'<style>{_style()}</style>', f'<rect width="{WIDTH}" height="{height:g}" rx="8" style="fill:var(--card)"/>']
    out += [f'<text class="part" x="{PAD}" y="{y+15}">{escape(n)}</text>' for n,y in names]
    for f,(x,y,w) in at.items():
        c,n = chapters[f], used[f]; shade = min(4, int(log2(n)+1) if n else 0)
        wires = ''.join(f'M{a:.0f} {d}h{b:.0f}v21h-{b:.0f}z' + (f'M{x+w/2:.0f} {y+21}Q{(x+w/2+a+b/2)/2:.0f} {y+36} {a+b/2:.0f} {d+21}' if d==y else f'M{x+w/2:.0f} {y}L{a+b/2:.0f} {d+21}')
                        for a,d,b in (at[o] for o in sorted(on[f]) if o in at))                 # a frame round each, and a line to it
        out.append(f'<a class="b{shade}" href="{f}"><title>{escape(c.why, quote=False)}</title><rect x="{x:.0f}" y="{y}" width="{w:.0f}" height="21" rx="4"/>'
                   f'<text x="{x+7:.0f}" y="{y+15}">{escape(c.title, quote=False)}</text></a>' + (f'<path d="{wires}"/>' if wires else ''))
    return '\n'.join(out+['</svg>'])+'\n'

def outputs(svg):
    "What the cell that shows the drawing stores: the drawing for pages that can have it, a picture for README.md"
    return [dict(output_type='display_data', metadata={}, data={'text/html': svg.splitlines(keepends=True), 'text/markdown': [f'![{ALT}](nbs/chapters.svg)']})]

def write(root):
    nbs = Path(root)/'nbs'; index,svg = nbs/'index.ipynb', drawing(nbs)
    (nbs/'chapters.svg').write_text(svg, encoding='utf-8')
    nb = json.loads(index.read_text(encoding='utf-8'))
    for c in nb['cells']:
        if c['cell_type']=='code' and 'chapters.svg' in ''.join(c['source']): c['outputs'] = outputs(svg)
    index.write_text(json.dumps(nb, indent=1, sort_keys=True, ensure_ascii=False)+'\n', encoding='utf-8')

if __name__ == '__main__': write(Path(__file__).resolve().parent.parent)
