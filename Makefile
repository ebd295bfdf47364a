# Everything from a fresh checkout, given make and Python >= 3.11. `make help` lists what there is to do.

VENV := .venv
RUN := $(VENV)/bin/python -m
CONFIG ?= configs/run6.py
ARGS ?=
EXTRAS ?=
comma := ,
READY := $(VENV)/.ready$(EXTRAS:%=-%)
UNFINISHED := $(VENV)/.unfinished

.PHONY: help setup train test format clean

help: ## list what there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  ARGS     options of the job:          make train ARGS="--train.epochs 2"   (ARGS=--help lists them)'
	@echo '  CONFIG   another experiment record:   make train CONFIG=configs/run7.py'
	@echo '  EXTRAS   gpu, cuda12, tpu, sweep, bench:  make train EXTRAS=gpu'
	@echo '  PYTHON   the Python to set up with:   make setup PYTHON=/opt/python3.12/bin/python3'

setup: $(READY) ## make .venv and install everything into it (the others do this when it is needed)

train: $(READY) ## train run 6: the main job
	@$(RUN) fer_jax.train --config $(CONFIG) $(ARGS)

test: $(READY) ## check format, lint and types, then run every test
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) pytest

format: $(READY) ## format the code and mend what lint can mend
	$(RUN) ruff format
	$(RUN) ruff check --fix

clean: ## remove .venv and the tools' caches; keeps data/ and runs/
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache
	find fer_jax configs tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# The mark `.unfinished` stands from the first to the last moment of a set-up: what an interrupted one left
# behind is thrown away, while a .venv that somebody made by hand is only added to. A Python is tried by
# running it, because a version manager's `python3.13` may exist and yet not run.
$(READY): pyproject.toml
	@if [ -e $(UNFINISHED) ]; then rm -rf $(VENV); fi
	@if $(VENV)/bin/python -c '' 2>/dev/null; then exit 0; fi; \
	seen=''; \
	for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  version=$$("$$python" -c 'import platform; print(platform.python_version())' 2>/dev/null) || continue; \
	  if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    seen="$$seen  $$python is $$version: too old;"; continue; \
	  fi; \
	  if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    seen="$$seen  $$python is $$version, without venv and ensurepip (Debian, Ubuntu: apt install python3-venv);"; \
	    continue; \
	  fi; \
	  echo "Setting up $(VENV) with Python $$version (once; a few minutes on a slow line)"; \
	  mkdir -p $(VENV) && touch $(UNFINISHED) && exec "$$python" -m venv $(VENV); \
	done; \
	rm -rf $(VENV); \
	{ echo 'fer_jax needs Python 3.11 or newer with its venv module, and found none.'; \
	  echo "Found:$${seen:-  no Python that runs}"; \
	  echo 'Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make setup PYTHON=...'; \
	} >&2; exit 1
	@echo 'Installing the packages of pyproject.toml'
	@$(RUN) pip install -qq --disable-pip-version-check -e '.[dev$(EXTRAS:%=$(comma)%)]'
	@touch $@ && rm -f $(UNFINISHED)
