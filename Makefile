# Everything from a fresh checkout, given make and Python >= 3.11. `make help` lists the targets.

VENV := .venv
RUN := $(VENV)/bin/python -m
CONFIG ?= configs/run6.py
ARGS ?=
EXTRAS ?=
comma := ,
READY := $(VENV)/.ready-dev$(EXTRAS:%=$(comma)%)
UNFINISHED := $(VENV)/.unfinished

.NOTPARALLEL:
.PHONY: help setup train test docs demo docker-test format update clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  ARGS     options of make train:          make train ARGS="--train.epochs 2"   (ARGS=--help lists them)'
	@echo '  CONFIG   another experiment:             make train CONFIG=configs/run7.py'
	@echo '  EXTRAS   more packages, comma-separated: make train EXTRAS=gpu'
	@echo '           use, video, server, export, gpu, cuda12, tpu, sweep, sweep-postgres, parquet, wandb, mlflow, bench, docs'
	@echo '  PYTHON   the Python to set up with:      make setup PYTHON=/opt/python3.12/bin/python3'

setup: $(READY) ## create .venv and install everything into it (the other targets do this when needed)

train: $(READY) ## train run 6, the main job
	@$(RUN) fer_jax.train --config '$(CONFIG)' $(ARGS)

test: $(READY) ## check formatting, lint and types, then run all tests
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) pytest

docs: $(VENV)/.ready-dev,docs ## build the documentation into docs/_build/html; a warning is an error
	$(RUN) sphinx -W --keep-going -b html docs docs/_build/html

demo: $(READY) ## build the browser demo into dist/demo (needs npm), and serve it on 127.0.0.1
	$(RUN) web $(ARGS)

docker-test: ## build the image on a Debian base and try it (as root, with mmdebstrap and buildah)
	python3 tests/docker/try_image.py $(ARGS)

format: $(READY) ## format the code and fix what ruff can fix
	$(RUN) ruff format
	$(RUN) ruff check --fix

update: $(VENV)/.ready-dev,update ## pin the newest versions in constraints/, for every Python and platform
	$(VENV)/bin/python constraints/renew.py

clean: ## remove .venv, built files and caches; keep data/ and runs/
	rm -rf $(VENV) dist docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# `.unfinished` exists from the start to the end of a set-up: what an interrupted one left behind is thrown
# away, while a .venv that somebody made by hand is only added to. A Python is tried by running it, because a
# version manager's `python3.13` may exist and yet not run. $* is the list of extras.
# An older pip cannot pin what a package is built with.
$(VENV)/.ready-%: pyproject.toml $(wildcard constraints/*.txt)
	@if [ -e $(UNFINISHED) ]; then \
	  other=$$(cat $(UNFINISHED)); \
	  if [ "$$other" != $$PPID ] && kill -0 "$$other" 2>/dev/null; then \
	    echo 'another make is setting up $(VENV): wait for it; if none is running, delete $(UNFINISHED)' >&2; exit 1; \
	  fi; \
	  rm -rf $(VENV); \
	fi
	@if $(VENV)/bin/python -c '' 2>/dev/null; then exit 0; fi; \
	seen=''; \
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14); do \
	  version=$$("$$python" -c 'import platform; print(platform.python_version())' 2>/dev/null) || continue; \
	  if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    seen="$$seen  $$python is $$version: too old;"; continue; \
	  fi; \
	  if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    seen="$$seen  $$python is $$version, without venv and ensurepip (Debian, Ubuntu: apt install python3-venv);"; \
	    continue; \
	  fi; \
	  echo "Setting up $(VENV) with Python $$version (once; a few minutes on a slow line)"; \
	  mkdir -p $(VENV) && echo $$PPID > $(UNFINISHED) && exec "$$python" -m venv $(VENV); \
	done; \
	rm -rf $(VENV); \
	{ echo 'fer_jax needs Python 3.11 or newer with its venv module, and found none.'; \
	  echo "Found:$${seen:-  no Python that runs}"; \
	  echo '$(if $(PYTHON),PYTHON is $(PYTHON): name another one,Install one (Debian$(comma) Ubuntu: apt install python3 python3-venv)$(comma) or name it: make setup PYTHON=...)'; \
	} >&2; exit 1
	@unknown=$$($(VENV)/bin/python -c "import tomllib; \
	known = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; \
	print(*sorted(set('$*'.split(',')) - set(known)))"); \
	if [ -n "$$unknown" ]; then echo "there are no EXTRAS called $$unknown; make help lists them" >&2; exit 1; fi
	@pins=constraints/python$$($(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt; \
	if [ -e "$$pins" ]; then \
	  echo "Installing the packages of pyproject.toml [$*] in the versions of $$pins"; \
	  options="--constraint $$pins --build-constraint $$pins"; \
	else \
	  echo "There is no $$pins: installing the newest packages that pyproject.toml [$*] allows"; \
	fi; \
	$(RUN) pip install -qq --disable-pip-version-check $${options:+--constraint $$pins} 'pip>=25.3' && \
	$(RUN) pip install -qq --disable-pip-version-check $$options -e '.[$*]'
	@touch $@ && rm -f $(UNFINISHED)
