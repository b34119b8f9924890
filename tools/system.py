"""Find, and where possible install, the programs outside Python that the browser tests and the site need.

usage: python tools/system.py [chromium] [npm]

Chromium: `CHROMIUM=path`, a Chromium or Chrome on the PATH, or Playwright's own. npm: on the PATH. What is missing is installed by apt on Debian
as root; elsewhere Chromium comes by `playwright install chromium`. The reason why something cannot be had is printed and kept for the tests.
"""
import os, platform, shutil, subprocess, sys
from pathlib import Path

REASONS = Path(__file__).resolve().parent.parent/'build/system'          # build/system/<program>.txt: why it could not be installed

def find_chromium():
    "Path of a Chromium that Playwright can drive, or None"
    if own := os.environ.get('CHROMIUM'): return own if Path(own).exists() else None
    for o in ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'):
        if p := shutil.which(o): return p
    try: from playwright.sync_api import sync_playwright
    except ImportError: return None
    try:
        with sync_playwright() as pw: p = pw.chromium.executable_path
    except Exception: return None
    return p if p and Path(p).exists() else None

def find_npm(): return shutil.which('npm')

FIND = dict(chromium=find_chromium, npm=find_npm)

def missing(name):
    "None when program `name` is there, else one line that says why it is not"
    if FIND[name](): return None
    if name=='chromium' and (own := os.environ.get('CHROMIUM')): return f'CHROMIUM={own} is not there'
    f = REASONS/f'{name}.txt'
    return f"no {name}: {f.read_text().strip() if f.exists() else f'`python tools/system.py {name}` tries to install it'}"

def os_release():
    try: return platform.freedesktop_os_release()
    except OSError: return {}

def sh(*cmd, timeout=900, **env):
    "Run a command, showing it; on failure an error with the last line it printed"
    print('system: +', *cmd, flush=True)
    try: r = subprocess.run(cmd, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as e: raise RuntimeError(f'`{" ".join(cmd)}`: {type(e).__name__}') from e
    if r.returncode: raise RuntimeError(f'`{" ".join(cmd)}`: {((r.stderr.strip() or r.stdout.strip()).splitlines() or ["no message"])[-1]}')

def apt(*packages):
    sh('apt-get', 'update', '-qq')
    sh('apt-get', 'install', '-y', '-qq', '--no-install-recommends', *packages, DEBIAN_FRONTEND='noninteractive')

def install(name):
    "Install program `name`, or raise a RuntimeError that says why not"
    rel = os_release(); root = hasattr(os, 'geteuid') and os.geteuid()==0 and bool(shutil.which('apt-get'))
    debian = rel.get('ID')=='debian'; like = debian or 'debian' in rel.get('ID_LIKE', '').split()
    if name=='npm':
        if not (root and like): raise RuntimeError('install Node.js, which brings it (Debian, Ubuntu: apt-get install npm; macOS: brew install node)')
        return apt('nodejs', 'npm')
    if root and debian: return apt('chromium', 'fonts-dejavu-core')       # on Ubuntu the package `chromium` is only a pointer to a snap
    sh(sys.executable, '-m', 'playwright', 'install', *(['--with-deps'] if root and like else []), 'chromium')

def ensure(name):
    "True when program `name` is there or could be installed; else the reason is printed and kept"
    f = REASONS/f'{name}.txt'; f.unlink(missing_ok=True); why = None
    if name=='chromium' and os.environ.get('CHROMIUM') and not FIND[name](): why = missing(name)
    elif not FIND[name]():
        try: install(name)
        except RuntimeError as e: why = str(e)
        if not FIND[name](): why = why or 'installed, and yet not found'
    if why:
        f.parent.mkdir(parents=True, exist_ok=True); f.write_text(why+'\n')
        print(f'system: no {name}: {why}', flush=True)
    return not why

if __name__ == '__main__':
    names = sys.argv[1:] or list(FIND)
    if bad := set(names)-set(FIND): raise SystemExit(f'system: unknown program {", ".join(sorted(bad))}; known: {", ".join(FIND)}')
    raise SystemExit(0 if all([ensure(o) for o in names]) else 1)
