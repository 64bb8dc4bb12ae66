# Danmaku's verbs. Each does its own set-up, in .venv, the first time.
#
#   make serve              run a node on the embedded engine; Ctrl-C ends it
#   make test               all tests, by three workers (WORKERS=0: in one process)
#   make lint types         ruff; mypy --strict
#   make bench              measure this machine, the kernel's floor and us in one run
#   make bench-peers        the same beside websockets, picows, uWebSockets, nchan, NATS, Centrifuge
#   make load SCENARIO=churn   Locust against a node it starts itself; SCENARIO=all for every one
#   make conformance        Autobahn|Testsuite, all of it (ARGS=--quick: half a minute)
#   make faults             kill, freeze and cut everything under load; the ledger must balance
#   make dist               the source distribution and wheels, in dist/
#   make dist-check         those, installed and started on each Python that is here
#   make test-lowest        quick tests with every dependency at its lower bound
#   make audit              known weaknesses of dependencies, by pip-audit
#   make fuzz               every fuzz target under atheris (ARGS="frames --seconds 600")
#   make clean              forget everything that can be made again

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= config.toml
SCENARIO ?= mixed_evening
ARGS   ?=
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help serve test test-web lint types format bench bench-peers load conformance faults fuzz dist dist-check test-lowest audit clean

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "danmaku needs Python 3.11 or newer: make PYTHON=/path/to/python3.12 …"; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv \
	       && $(PYTHON) -m venv --clear $(VENV); } \
	  || { rm -rf $(VENV); echo "no venv module: apt install python3-venv, then again"; exit 1; }

$(VENV)/.serve: pyproject.toml chat/__init__.py | $(VENV)/bin/pip
	@echo "setting up .venv (once, about half a minute) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml chat/__init__.py | $(VENV)/bin/pip
	@echo "setting up .venv with the test tools (once, about a minute) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.serve

$(VENV)/.fuzz: pyproject.toml chat/__init__.py | $(VENV)/bin/pip
	@echo "setting up .venv with the fuzzer (once, about half a minute) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@ $(VENV)/.serve

$(VENV)/.release: pyproject.toml chat/__init__.py | $(VENV)/bin/pip
	@echo "setting up .venv with what builds and audits (once, about half a minute) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[release]'
	@touch $@ $(VENV)/.serve

$(VENV)/.bench: pyproject.toml chat/__init__.py | $(VENV)/bin/pip
	@echo "setting up .venv with what draws plots (once, about half a minute) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]' \
	  || $(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@ $(VENV)/.serve

# A peer without a wheel for this Python is left out; the benchmark says so.
$(VENV)/.peers: $(VENV)/.bench
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[peers]' \
	  || for one in picows socketify; do \
	    $(BIN)/pip install --quiet --disable-pip-version-check $$one || echo "$$one: not to be had"; done
	@touch $@

# Debian's servers, and the Go that builds one, are unpacked, not installed: installing would start a
# service.
bench/out/debian/.unpacked: bench/peers/debian.txt
	@rm -rf bench/out/debs bench/out/debian && mkdir -p bench/out/debs bench/out/debian
	@apt-cache show nginx >/dev/null 2>&1 || [ "$$(id -u)" != 0 ] || apt-get update -qq || true
	@cd bench/out/debs && grep -v '^#' ../../peers/debian.txt | while read -r one; do \
	  apt-get download -qq -o APT::Sandbox::User=root $$one && dpkg -x $${one}_*.deb ../debian \
	  || echo "$$one: no Debian package to be had; one that is installed will do"; done
	@rm -rf bench/out/debs && ! [ -d bench/out/debian/usr ] || touch $@

# Libraries of Node talk to us in tests, as they are; where there is no npm, those are skipped.
tests/e2e/node_modules: tests/e2e/package.json
	@if command -v npm >/dev/null; then cd tests/e2e && npm install --silent --no-audit --no-fund; fi
	@mkdir -p $@ && touch $@

# What checks and builds the JavaScript client; without npm its tests do without.
clients/js/node_modules: clients/js/package-lock.json
	@if command -v npm >/dev/null; then cd clients/js && npm ci --silent --no-audit --no-fund; fi
	@mkdir -p $@ && touch $@

serve: $(VENV)/.serve
	@$(BIN)/danmaku serve --config $(CONFIG) $(ARGS)

test: $(VENV)/.dev tests/e2e/node_modules test-web
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-web: clients/js/node_modules
	@if command -v node >/dev/null; then node --test clients/js/tests/*.test.js web/tests/*.test.js; \
	 else echo "no node: the unit tests of page and client are skipped"; fi

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	$(BIN)/python -m bench $(ARGS)

bench-peers: $(VENV)/.peers bench/out/debian/.unpacked
	$(BIN)/python -m bench --peers $(ARGS)

load: $(VENV)/.dev
	$(BIN)/python -m locustfiles.run $(SCENARIO) $(ARGS)

conformance: $(VENV)/.dev
	$(BIN)/python -m tests.conformance $(ARGS)

faults: $(VENV)/.dev
	$(BIN)/python -u -m tests.faults $(ARGS)

fuzz: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz $(ARGS)

# A wheel for this Python, with the loop in C, and one for any, without: both of the source
# distribution, so that whoever builds it gets the same.
dist: $(VENV)/.release
	rm -rf dist
	$(BIN)/python -m build --sdist --outdir dist >/dev/null
	BUILD_EXTENSION=yes $(BIN)/pip wheel --quiet --no-deps --wheel-dir dist dist/danmaku-*.tar.gz
	BUILD_EXTENSION=no $(BIN)/pip wheel --quiet --no-deps --wheel-dir dist dist/danmaku-*.tar.gz
	@ls -1 dist

dist-check: dist
	$(BIN)/python -m tests.dist dist

test-lowest: $(VENV)/.serve
	$(BIN)/python -m tests.lowest $(ARGS)

audit: $(VENV)/.release $(VENV)/.dev
	$(BIN)/python -m tests.audit

clean:
	rm -rf $(VENV) bench/out build dist *.egg-info tests/e2e/node_modules clients/js/node_modules clients/js/dist shard/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis
