# epro. `make help` lists what there is. Needs Python 3.11 or later, and make; brings everything else.

PYTHON ?=
PORT ?= 8000
JOBS ?= 2
ARGS ?=

BIN := .venv/bin
# The environment is ready for exactly this lock, this setup.cfg and this place; anything else makes it again.
KEY := $(shell (echo "$(CURDIR)"; cat requirements/dev.lock setup.cfg pyproject.toml) | cksum | tr -d ' ')
READY := .venv/.ready-$(KEY)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format conformance chaos chaos-feed races bench mutants docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## the environment in .venv/, made once

demo: $(READY) ## a study with some weeks of history, web and worker; PORT=8123 moves the port, Ctrl-C ends it
	@$(BIN)/epro demo --port $(PORT)

test: $(READY) ## the whole suite, on SQLite and on PostgreSQL; ARGS="-k diary" chooses, JOBS=4 widens
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(READY) ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## put code into the common format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

conformance: $(READY) ## judge our FHIR and AsyncAPI by programs from npm, which it installs; needs node
	@cd tests/conformance && npm ci --no-audit --no-fund --legacy-peer-deps --ignore-scripts --silent
	@EPRO_TEST_CONFORMANCE=1 $(BIN)/python -m pytest -q -n 1 tests/conformance

chaos: $(READY) ## a month of reminders and alerts, the provider failing, workers killed; ARGS="--days 5" is shorter
	@$(BIN)/python -m tests.walks.chaos_month $(ARGS)

chaos-feed: $(READY) ## ten minutes of answers; web, worker, trial database killed; ARGS="--minutes 2" is shorter
	@$(BIN)/python -m tests.walks.chaos_feed $(ARGS)

races: $(READY) ## pairs that race, two hundred rounds on both databases
	EPRO_TEST_RACE_ROUNDS=200 $(BIN)/python -m pytest -q -o faulthandler_timeout=3600 tests/walks/test_races.py

bench: $(READY) ## run every measurement in benchmarks/
	@set -e; for file in benchmarks/[a-z]*.py; do \
	  name=$$(basename "$$file" .py); echo "== $$name"; $(BIN)/python -m "benchmarks.$$name"; done

mutants: $(READY) ## change the scoring files bit by bit: do the tests notice? ARGS="methods --lines 84-186" is shorter
	@$(BIN)/python -m tests.mutants $(ARGS)

docs: $(READY) ## make the reference pages under docs/ again from what they describe
	@$(BIN)/epro instrument reference --out docs/instruments

lock: $(READY) ## resolve packages again into requirements/*.lock; ARGS=--upgrade takes newer ones
	$(BIN)/uv pip compile setup.cfg --extra test --extra dev $(LOCKED) -o requirements/dev.lock $(ARGS)
	$(BIN)/uv pip compile setup.cfg -c requirements/dev.lock $(LOCKED) -o requirements/run.lock $(ARGS)

clean: ## remove the environment, the demo's files and what tools left
	rm -rf .venv .demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -rf .hypothesis .schemathesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One lock for every platform and every Python from 3.11 on, each file known by its digest; no index is named.
LOCKED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet \
          --custom-compile-command "make lock"

$(READY):
	@set -e; python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
	  for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	  done; \
	fi; \
	if ! $${python:-false} -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "epro needs Python 3.11 or later, and none was found. Name it: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	echo "Making the environment in .venv/ with $$($$python --version); again only when the lock changes."; \
	echo "This takes one to five minutes, most of it for the packages, which come from the network."; \
	$$python -m venv .venv || { \
	  echo "$$python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing the packages of requirements/dev.lock ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "The environment is ready."
	@rm -f .venv/.ready-*
	@touch $@
