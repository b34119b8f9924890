# What a person types. Each target makes the Python environment when it is missing or out of date (tools/env.sh).
#   VENV=path    where the environment is (default .venv)          PYTHON=path  the Python it is made with
#   ARGS='...'   options of the quickstart, or of pytest in `make test`            NB='nbs/10_logmel.ipynb'  notebooks to run

VENV := $(or $(VENV),.venv)
PYTHON ?=
ARGS ?=
NB ?=
PORT ?= 8888
export VENV PYTHON
.DEFAULT_GOAL := help
.PHONY: help quickstart test lab docs notebooks export env clean distclean

help:           ## this list
	@sed -n 's/^\([a-z]*\):.*## */  make \1 \t/p' Makefile | expand -t 20

quickstart:     ## install, then the main job on the bundled sounds: pre-train, evaluate, report
	@tools/env.sh run
	@"$(VENV)/bin/audiossl" quickstart $(ARGS)

test:           ## install, then every check: export and clean, house rules, notebooks, pytest, site, browser
	@tools/env.sh dev
	@tools/test.sh $(ARGS)

lab:            ## the notebooks in JupyterLab
	@tools/env.sh dev
	@"$(VENV)/bin/python" -m jupyterlab --port=$(PORT) --ServerApp.root_dir=nbs $(ARGS)

notebooks:      ## run the notebooks (NB='...': these only) from fresh kernels and store their outputs
	@tools/env.sh dev
	@"$(VENV)/bin/python" tools/run_notebooks.py $(NB)

export:         ## notebooks -> modules, clean notebooks, README.md and the sidebar
	@tools/env.sh dev
	@"$(VENV)/bin/python" tools/export.py

docs:           ## the site in _docs/ from the stored outputs (ARGS=--execute runs the notebooks first)
	@tools/env.sh dev
	@"$(VENV)/bin/python" tools/build_docs.py $(ARGS)
	@echo "to look at it:  $(VENV)/bin/python -m http.server -d _docs 8000"

env:            ## only make or refresh the environment, with everything for development
	@tools/env.sh dev

clean:          ## remove what the other targets built (the environment stays)
	rm -rf _docs _proc build dist .pytest_cache *.egg-info nbs/nbdev.yml
	find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints -o -name lightning_logs \) -type d -prune -exec rm -rf {} +

distclean: clean ## and the environment in .venv
	rm -rf .venv
