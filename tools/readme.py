"""Write README.md from `nbs/index.ipynb`, as it stands: its text, its code and the outputs stored in it.

usage (anywhere): python tools/readme.py
"""
import json, re
from pathlib import Path

def _directives(src): return {m[1].rstrip(':'): m[2].strip().lower() for m in re.finditer(r'^\s*#\s*\|\s*(\S+)[ \t]*(.*)$', src, re.M)}

def _markdown(src):
    "Links and pictures as seen from the root, and Quarto's callouts as quotes"
    src = re.sub(r'(\]\()(?![a-z]+:|#|/|\.\./)([^)\s]+\))', r'\1nbs/\2', src)
    src = re.sub(r'\]\(\.\./', '](', src)
    quote = lambda m: '\n'.join(f'> {l}'.rstrip() for l in [f'**{m[1].title()}**', *m[2].strip().splitlines()])
    return re.sub(r'^:::\s*\{\.callout-(\w+)[^}]*\}\n(.*?)\n:::\s*$', quote, src, flags=re.M|re.S)

def _output(o):
    data = o.get('data', {}); md = data.get('text/markdown')
    if 'text/html' in data and not md: return ''                            # a table or a player: to be seen on the site
    t = ''.join(o.get('text') or md or ([] if 'image/png' in data else data.get('text/plain') or [])).rstrip()
    return t if md or not t else f'```text\n{t}\n```'

def text(nb):
    "GitHub Markdown of notebook file `nb`"
    res = []
    for c in json.loads(Path(nb).read_text(encoding='utf-8'))['cells']:
        src = ''.join(c['source']).strip(); d = _directives(src)
        if {'hide','default_exp','export','exports'} & d.keys() or d.get('include')=='false': continue
        if c['cell_type']=='markdown' and src: res.append(_markdown(re.sub(r'^#\|.*\n?', '', src, flags=re.M).strip()))
        elif c['cell_type']=='code':
            code = re.sub(r'^#\|.*\n?', '', src, flags=re.M).strip()
            if code and d.get('echo')!='false': res.append(f'```python\n{code}\n```')
            if d.get('output')!='false': res += [t for o in c.get('outputs', []) if (t := _output(o))]
    head, *rest = res or ['']
    return '\n\n'.join([head, '<!-- made from nbs/index.ipynb by `make export`: edit that -->', *rest]) + '\n'

def write(root): (Path(root)/'README.md').write_text(text(Path(root)/'nbs/index.ipynb'), encoding='utf-8')

if __name__ == '__main__': write(Path(__file__).resolve().parent.parent)
