# Everything runs in .venv, which is made from the lock file where it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
UV := UV_LINK_MODE=copy $(BIN)/uv
# Compilation, which most of a test is, keeps one core busy: two workers take two thirds of the time of one.
WORKERS ?= -n 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-all lint types lock benchmarks clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

quickstart: .venv/.installed  ## train on digits, sample, score and report (3 minutes on 2 CPU cores)
	$(BIN)/sde-jax run --config configs/digits_vp.py --workdir runs/quickstart

test: .venv/.developed  ## the default tests (26 minutes on 2 CPU cores)
	$(BIN)/python -m pytest $(WORKERS) -m "not slow" $(ARGS)

test-all: .venv/.developed  ## all tests, the slow ones too
	$(BIN)/python -m pytest $(WORKERS) $(ARGS)

lint: .venv/.developed  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.developed  ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

lock: .venv/.bootstrapped  ## resolve the dependencies anew
	$(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements.lock
	$(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -c requirements.lock -o requirements-dev.lock
	$(UV) pip compile pyproject.toml --extra cuda --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -c requirements.lock -o launch/requirements-cuda.lock
	$(UV) pip compile pyproject.toml --extra tpu --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -c requirements.lock -o launch/requirements-tpu.lock

clean:  ## remove the environment and caches
	rm -rf .venv .pytest_cache .ruff_cache

.venv/.bootstrapped:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
	@touch $@

.venv/.installed: requirements.lock pyproject.toml | .venv/.bootstrapped
	$(UV) pip install --quiet -r requirements.lock
	$(UV) pip install --quiet --no-deps -e .
	@touch $@

.venv/.developed: requirements-dev.lock .venv/.installed
	$(UV) pip install --quiet -r requirements-dev.lock
	@touch $@
