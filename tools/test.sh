#!/usr/bin/env bash
# Every check there is, in an environment that tools/env.sh made. Arguments go to pytest. pytest's counts are the last thing printed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${VENV:-.venv}/bin/python
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
"$python" tools/system.py chromium || true          # what cannot be had here is named by pytest at the end
exec "$python" -m pytest "$@"
