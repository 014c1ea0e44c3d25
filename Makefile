# Everything that is done with this checkout, one command each. All of it stays inside this folder
# (.venv, client_js/node_modules), but for Chromium, which `make test` gets from apt.
#
#   make demo     the demo page with all examples at http://localhost:8000 (PORT=… for another)
#   make test     every check and every test
#   make lint     the checks without the tests; `make format` repairs what it can
#   make docs     the documentation, to be read at build/docs/index.html
#   make bench    the figures, beside other systems: 25 minutes on a quiet machine, which docs/ shows;
#                 BENCH_ARGS='--only b' measures one row again, BENCH_ARGS=--quick tries all
#   make fuzz     the fuzzers, for FUZZ_SECONDS each
#   make coverage the unit tests, and which branches of the library they reach; a part of `make test`
#   make chaos    real clients and servers with faults between, until there were CHAOS_CALLS calls and
#                 as much of everything as docs/promises.md says; CHAOS_SEED for the same again
#   make soak     a server whose clients come and go for SOAK_SECONDS; nothing may be left of them
#   make picture  README's picture of the demo page, in docs/images
#   make dist     the packages for PyPI and npm, in dist/ (DIST=… for another folder)
#   make version  V=1.2.3 becomes the version, wherever it stands
#   make clean    removes what the others made

PYTHON ?= python3
PORT ?= 8000
FUZZ_SECONDS ?= 600
CHAOS_CALLS ?= 500000
CHAOS_SECONDS ?= 5400
CHAOS_SEED ?= 0
SOAK_SECONDS ?= 1800
COVERAGE_TESTS ?= tests/unit
DIST ?= dist

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
BIN := .venv/bin
PEERS := tests/benchmarks/peers
RUNTIMES := tests/e2e/runtimes
CONSUMERS := tests/packages/consumers
FRAMEWORKS := tests/e2e/frameworks
COMPLETE := __init__ admission annotations answering asgi backlog broker caching calls checkers \
  client copyables cred draining errors exchange failures flavors frames groups guesses incoming \
  jelly limits live live_copies liveness methods outgoing paging parking pipeline promises \
  references resuming runtime session shared streams targets threads tracking trees unjelly \
  watchdog websocket window
TEST_STAMPS := .venv/dev.stamp $(RUNTIMES)/node_modules/.stamp $(CONSUMERS)/node_modules/.stamp \
  $(FRAMEWORKS)/node_modules/.stamp docs/typedoc/node_modules/.stamp
PAGES := tests/e2e tests/docs tests/packages
PYTHON_GROUPS := test-pages test-core test-unit
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input -c requirements-dev.lock

.DEFAULT_GOAL := help
.PHONY: help demo picture test lint lint-python lint-js test-python test-pages test-core test-unit test-js format docs \
        bench fuzz chaos soak coverage dist version chromium nginx lock clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: .venv/run.stamp
	@exec $(BIN)/pbweb serve examples.demo:SERVICES --pages examples --port $(PORT)

# Three groups of tests at a time run side by side, since they wait more than they work: each line says whose it
# is, and whichever fails, the others go on. The unit tests come when the first of the others has ended.
# With PYTEST_ARGS, what it names: make test PYTEST_ARGS='tests/unit -k decref'
test: lint chromium nginx $(TEST_STAMPS)
	@$(MAKE) --no-print-directory --keep-going -j3 test-js $(if $(PYTEST_ARGS),test-python,$(PYTHON_GROUPS))

lint: lint-python lint-js

lint-python: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-js: client_js/node_modules/.stamp
	cd client_js && npm run --silent check
	cd client_js && npm run --silent lint && node_modules/.bin/biome check ../docs/typedoc/describe.mjs
	cd client_js && npm run --silent types:check
	cd client_js && npm run --silent size
	cd client_js && npm run --silent package

test-python: $(TEST_STAMPS)
ifdef PYTEST_ARGS
	$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	@$(MAKE) --no-print-directory --keep-going -j2 $(PYTHON_GROUPS)
endif

# Ctrl-C goes to all of them; what marks the lines stays for what the others say last.
MARKED = 2>&1 | (trap '' INT; exec sed -u 's/^/$(@:test-%=%) │ /')
COLOR := $(if $(MAKE_TERMOUT),--color=yes)
PYTEST := $(BIN)/python -u -m pytest $(COLOR)

test-pages: $(TEST_STAMPS)
	$(PYTEST) -o cache_dir=.pytest_cache/pages $(PAGES) $(MARKED)

test-core: $(TEST_STAMPS)
	$(PYTEST) -o cache_dir=.pytest_cache/core $(addprefix --ignore=,$(PAGES) tests/unit) $(MARKED)

test-unit: $(TEST_STAMPS)
	@$(MAKE) --no-print-directory coverage $(MARKED)

test-js: client_js/node_modules/.stamp
	cd client_js && npm run --silent test $(MARKED)

format: .venv/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/dev.stamp docs/typedoc/node_modules/.stamp
	$(BIN)/sphinx-build -E -n -W --keep-going -q -b html docs build/docs
	@echo "The documentation is at build/docs/index.html"

bench: .venv/dev.stamp $(PEERS)/.venv/.stamp $(PEERS)/node_modules/.stamp
	$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

fuzz: .venv/dev.stamp client_js/node_modules/.stamp
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)
	cd client_js && FUZZ_SECONDS=$(FUZZ_SECONDS) node --test test/fuzz.test.js

# The unit tests, and what they reach inside their own process. The modules of COMPLETE have every branch
# taken and keep it so; all of pbweb has pyproject's fail_under.
# With more tests: make coverage COVERAGE_TESTS='tests/unit tests/property tests/hostile'
coverage: .venv/dev.stamp client_js/node_modules/.stamp
	@mkdir -p build/coverage
	$(BIN)/python -u -m coverage run -m pytest $(COLOR) -o cache_dir=.pytest_cache/unit $(COVERAGE_TESTS)
	$(BIN)/python -m coverage report
	$(BIN)/python -m coverage report --fail-under=100 --include="$$(printf 'pbweb/%s.py,' $(COMPLETE))"

# Runs of each kind are the least that it does, however few calls are asked for; it fails if not everything
# that is demanded of so many calls was there within CHAOS_SECONDS ("only 3 of 50 kills"). Whatever has begun
# then has minutes of its own, and no more.
chaos: .venv/dev.stamp client_js/node_modules/.stamp
	timeout --kill-after 60 $$(($(CHAOS_SECONDS) + 1200)) $(BIN)/python -m tests.chaos --full \
	  --calls $(CHAOS_CALLS) --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED)
	PBWEB_FULL=1 $(BIN)/python -m pytest tests/integration/test_shutdown.py tests/integration/test_liveness.py \
	  tests/chaos/test_herd.py tests/chaos/test_slow_readers.py

soak: .venv/dev.stamp client_js/node_modules/.stamp
	timeout --kill-after 60 $$((2 * $(SOAK_SECONDS) + 300)) $(BIN)/python -m tests.chaos.soak $(SOAK_SECONDS)
	cd client_js && PBWEB_FULL=1 node --expose-gc --test test/census.test.js

# The wheel is built from the sdist, so that what is published can be built from what is published.
dist: .venv/dev.stamp client_js/node_modules/.stamp
	@mkdir -p "$(DIST)"
	@rm -f "$(DIST)"/pbweb-*
	$(BIN)/python -m build --no-isolation --outdir "$(DIST)"
	npm pack ./client_js --silent --pack-destination "$(DIST)"

# pbweb/version.py is what the Python side reads; npm and the JavaScript client need it written out.
version:
	@[[ "$(V)" =~ ^[0-9]+\.[0-9]+\.[0-9]+$$ ]] || { echo "Say which: make version V=1.2.3" >&2; exit 1; }
	sed -i 's/^__version__ = .*/__version__ = "$(V)"/' pbweb/version.py
	sed -i 's/VERSION = .*/VERSION = "$(V)";/' client_js/src/version.js client_js/types/version.d.ts
	cd client_js && npm version --silent --no-git-tag-version --allow-same-version $(V)

chromium: .venv/dev.stamp
	@$(BIN)/python -m tests.e2e.chromium

nginx: .venv/dev.stamp
	@$(BIN)/python -m tests.integration.nginx

picture: chromium
	@$(BIN)/python -m tests.e2e.picture

clean:
	rm -rf .venv build dist $(PEERS)/.venv \
	  $(addsuffix /node_modules,client_js docs/typedoc $(RUNTIMES) $(CONSUMERS) $(FRAMEWORKS) $(PEERS)) \
	  .mypy_cache .pytest_cache .ruff_cache \
	  .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The exact versions that all of the above installs; run it after a change of dependencies.
lock: .venv/dev.stamp
	{ echo "# The versions that the Makefile and the image install; made by \`make lock\`."; \
	  $(BIN)/python -m pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools \
	  | LC_ALL=C sort -f; } > requirements-dev.lock

# Setting up. The stamps make a second run start at once.

.venv/bin/python:
	@command -v $(PYTHON) > /dev/null || { \
	  echo "pbweb needs Python 3.11 or newer, and there is no $(PYTHON) here." >&2; \
	  echo "Install it (apt install python3 python3-venv) or name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "pbweb needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "$(PYTHON) has no venv module. Install it: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/run.stamp: pyproject.toml requirements-dev.lock | .venv/bin/python
	@echo "Installing pbweb into .venv …"
	@$(PIP) hatchling hatch-fancy-pypi-readme
	@$(PIP) --no-build-isolation -e '.[cred]'
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	@echo "Installing what the tests need into .venv …"
	@$(PIP) --no-build-isolation -e '.[dev]'
	@touch $@

# The locked versions; `npm ci` would refuse a lock that lacks a tool's builds for other systems.
NPM_INSTALL := npm install --no-save --no-audit --no-fund --loglevel=error

client_js/node_modules/.stamp: client_js/package.json client_js/package-lock.json
	@command -v node > /dev/null && command -v npm > /dev/null || { \
	  echo "The tests of the JavaScript client need Node.js 20 or newer with npm: apt install nodejs npm" >&2; exit 1; }
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || { \
	  echo "The tests of the JavaScript client need Node.js 20 or newer; here is $$(node --version)." >&2; exit 1; }
	@cd client_js && $(NPM_INSTALL)
	@touch $@

# Node 22, Deno and Bun, in which the JavaScript client is tried; the type checkers of those who use
# the packages; React, Svelte and Vue, in which live copies are shown; what the benchmarks measure
# beside pbweb.
$(addsuffix /node_modules/.stamp,$(RUNTIMES) $(CONSUMERS) $(FRAMEWORKS) $(PEERS)): %/node_modules/.stamp: \
    %/package.json %/package-lock.json | client_js/node_modules/.stamp
	@cd $* && $(NPM_INSTALL)
	@touch $@

$(PEERS)/.venv/.stamp: $(PEERS)/requirements.txt | .venv/bin/python
	@echo "Installing what pbweb is measured beside into $(PEERS) …"
	@$(PYTHON) -m venv $(PEERS)/.venv
	@$(PEERS)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r $<
	@touch $@

# What reads the JavaScript client's comments for the documentation.
docs/typedoc/node_modules/.stamp: docs/typedoc/package.json docs/typedoc/package-lock.json \
    | client_js/node_modules/.stamp
	@cd docs/typedoc && $(NPM_INSTALL)
	@touch $@
