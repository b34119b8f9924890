#!/usr/bin/env bash
# Make the Python environment, or bring it up to date, and say what is done.
#
#   tools/env.sh run     what the package needs to run
#   tools/env.sh dev     and what is needed to edit, test and publish it
#   tools/env.sh key     print a short hash of settings.ini, setup.py and the Python that would be taken
#
# VENV=path puts the environment elsewhere than .venv; PYTHON=path chooses the Python. uv is used when it is on the PATH, else venv and pip.
# A stamp in the environment holds the hash of settings.ini and setup.py and the folder it serves: nothing is done while they fit.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
kind=${1:-dev}
venv=${VENV:-.venv}
case $venv in /*) venv_abs=$venv ;; *) venv_abs=$root/$venv ;; esac
low=11 high=14                  # Python 3.11 (settings.ini: min_python) to 3.14 (the newest that torch 2.11 has wheels for)

say() { echo "env: $*" >&2; }
die() { say "$*"; exit 1; }
show() { say "+ $*"; "$@"; }
fits() { "$1" -c "import sys; raise SystemExit(not (3,$low) <= sys.version_info[:2] <= (3,$high))" >/dev/null 2>&1; }
have_uv() { command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; }
sha() { if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -c1-16; }

find_python() {                 # the first Python that fits, or nothing
    local p
    for p in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.13 python3.11 python3.14 python; do
        if command -v "$p" >/dev/null 2>&1 && fits "$p"; then "$p" -c 'import sys; print(sys.executable)'; return; fi
        if [ -n "${PYTHON:-}" ]; then return; fi
    done
}

py=$(find_python)
if [ -n "${PYTHON:-}" ] && [ -z "$py" ]; then die "PYTHON=$PYTHON is not a Python from 3.$low to 3.$high"; fi
version=$(if [ -n "$py" ]; then "$py" -c 'import platform; print(platform.python_version())'; else echo "uv-3.12"; fi)
if [ "$kind" = key ]; then { cat settings.ini setup.py; echo "$version"; } | sha; exit; fi
case $kind in run) what=. ;; dev) what='.[dev]' ;; *) die "usage: tools/env.sh run|dev|key" ;; esac

stamp="$(cat settings.ini setup.py | sha) $root"
works() { [ -x "$venv/bin/python" ] && fits "$venv/bin/python"; }
ours() { [ -f "$venv/pyvenv.cfg" ] && [ -f "$venv/.audiossl" ]; }
done_for() { [ "$(cat "$venv/.audiossl-$1" 2>/dev/null)" = "$stamp" ]; }

if works && { done_for dev || { [ "$kind" = run ] && done_for run; }; }; then exit 0; fi

if [ -e "$venv" ] && ours && { ! works || [ -f "$venv/.audiossl-busy" ]; }; then     # a Python that went away, or an install that was cut off
    say "$venv is not usable (its Python is gone, or an installation was interrupted): made anew"
    rm -rf "$venv"
fi
rmdir "$venv" 2>/dev/null || true                                          # an empty folder is no obstacle
if [ -e "$venv" ] && ! works; then die "$venv is there but holds no Python from 3.$low to 3.$high: remove it, or set VENV=path"; fi
if ! [ -e "$venv" ]; then
    if have_uv; then show uv venv --quiet --python "${py:-3.12}" "$venv"
    elif [ -z "$py" ]; then
        die "audiossl needs Python 3.$low to 3.$high and none was found ($(command -v python3 >/dev/null 2>&1 && python3 --version 2>&1 || echo "no python3")): install one, or uv, or set PYTHON=path"
    else
        if ! "$py" -c 'import ensurepip, venv' 2>/dev/null; then
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then show apt-get update -qq; show apt-get install -y -qq python3-venv
            else die "$py cannot make environments: install its venv module (Debian, Ubuntu: apt-get install python3-venv), or install uv"; fi
        fi
        show "$py" -m venv "$venv"
    fi
    touch "$venv/.audiossl"                                                # marks it as made here: only such a folder is ever removed
fi

start=$(date +%s); quiet=${CI:+--quiet}
rm -f "$venv"/.audiossl-run "$venv"/.audiossl-dev; touch "$venv/.audiossl-busy"
if have_uv; then show uv pip install $quiet --python "$venv/bin/python" -e "$what"
else
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || show "$venv/bin/python" -m ensurepip --upgrade
    show "$venv/bin/python" -m pip install $quiet --disable-pip-version-check -e "$what"
fi
here=$(cd / && "$venv_abs/bin/python" -c 'import audiossl, os; print(os.path.dirname(os.path.dirname(os.path.abspath(audiossl.__file__))))' 2>/dev/null || true)
[ "$here" = "$root" ] || die "$venv does not load audiossl from $root but from ${here:-nowhere}: remove $venv and try again"
rm -f "$venv/.audiossl-busy"; echo "$stamp" > "$venv/.audiossl-$kind"
say "installed $what in $venv with $("$venv/bin/python" --version) in $(( $(date +%s) - start )) s"
