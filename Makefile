# The project's verbs. Each makes the virtual environment that it needs, so that a fresh machine with make and
# Python 3.11 or newer needs nothing else.
#
#   make run     [BIND=127.0.0.1:8000]   the demo in your browser
#   make test    [ARGS="-k pool -x"]     the tests; ARGS go to pytest; HUB=asyncio runs them on that hub; JOBS=0 in one process
#   make lint                            ruff, the formatter's check, mypy --strict
#   make docs                            the site of docs/ in site/; a warning is an error
#   make soak    [SOAK_ARGS="--requests 100000"]  a million of everything, and what is left in memory
#   make fuzz    [TIME=1m]               random input with coverage, against the parsers; FUZZ_ARGS go to tests.fuzz
#   make bench   [BENCH_ARGS=...]        greenserve beside its peers, with plots
#   make conformance [CONFORMANCE_ARGS=...]  CPython's own tests, patched, beside peers; Autobahn's WebSocket suite
#   make migration                       real programs of eventlet, unmodified, on greenserve; needs the internet
#   make image-test                      builds the Dockerfile and runs it
#   make clean                           removes what the verbs made
#
# Every verb takes PYTHON=python3.12 and VENV=.venv-3.12.

PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
BIND ?= 127.0.0.1:8000
ARGS ?=
SOAK_ARGS ?=
HUB ?=
JOBS ?= auto
TIME ?= 1m
FUZZ_ARGS ?=
BENCH_ARGS ?=
CONFORMANCE_ARGS ?=

BUILD_IMAGE := ../shared/tools/build-image
PIP := -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:
	@sed -n 's/^#   \(make\)/\1/p' $(firstword $(MAKEFILE_LIST))

# The drain is short here, or Ctrl-C would wait for a browser that follows the demo's endless event stream.
.PHONY: run
run: $(VENV)/.stamp-run
	@exec $(VENV)/bin/greenserve apps.demo:app --bind $(BIND) --graceful-timeout 2s

.PHONY: test
test: $(VENV)/.stamp-test
	$(if $(HUB),GREENSERVE_HUB=$(HUB)) $(VENV)/bin/python -m pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: $(VENV)/.stamp-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --strict

# Not --quiet: what is not shown does not count for --strict.
.PHONY: docs
docs: $(VENV)/.stamp-docs
	PYTHONPATH=. NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

.PHONY: soak
soak: $(VENV)/.stamp-test
	PYTHONPATH=. $(VENV)/bin/python -m tests.soak $(SOAK_ARGS)

# atheris has wheels for Linux and CPython 3.11 to 3.13.
.PHONY: fuzz
fuzz: $(VENV)/.stamp-fuzz
	$(VENV)/bin/python -m tests.fuzz --time $(TIME) $(FUZZ_ARGS)

.PHONY: bench
bench: $(BENCH_VENV)/.stamp-bench
	$(BENCH_VENV)/bin/python -m tests.bench.install
	$(BENCH_VENV)/bin/python -m tests.bench $(BENCH_ARGS)

.PHONY: migration
migration: $(VENV)/.stamp-test
	$(VENV)/bin/python -m tests.migration.eventlets_own_tests
	$(VENV)/bin/python -m tests.migration.celery_worker
	$(VENV)/bin/python -m tests.migration.flask_socketio
	$(VENV)/bin/python -m tests.migration.nameko_http
	$(VENV)/bin/python -m tests.migration.nameko_rpc
	$(VENV)/bin/python -m tests.migration.oslo_service
	$(VENV)/bin/python -m tests.migration.oslo_messaging
	$(VENV)/bin/python -m tests.migration.oslo_own_tests
	$(VENV)/bin/python -m tests.migration.kombu_queues
	$(VENV)/bin/python -m tests.migration.sqlalchemy_pool
	$(VENV)/bin/python -m tests.migration.swift

# Makes an environment of its own, .venv-conformance-3.11, and needs a Python that has its tests.
.PHONY: conformance
conformance:
	$(PYTHON) -m tests.conformance $(CONFORMANCE_ARGS)

# The check is passed as text, since the image holds no tests. Without the stand-in builder, Docker itself serves.
.PHONY: image-test
image-test:
	@if [ -x $(BUILD_IMAGE) ]; then \
	    $(BUILD_IMAGE) greenserve:test -- python -c "$$(cat tests/deploy/image_check.py)"; \
	elif command -v docker >/dev/null; then \
	    docker build -t greenserve:test . && \
	    docker run --rm --entrypoint python greenserve:test -c "$$(cat tests/deploy/image_check.py)"; \
	else \
	    echo "make image-test needs docker" >&2; exit 2; \
	fi

.PHONY: clean
clean:
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis fuzz-results site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each set of dependencies: `make run` waits for four small packages, not for the test tools.
# A stamp older than pyproject.toml installs again.

$(VENV)/.stamp-venv $(BENCH_VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "greenserve needs Python 3.11 or newer, and %s is %d.%d. Try: make PYTHON=python3.12 ..." \
	    % (sys.executable, *sys.version_info[:2]))'
	$(PYTHON) -m venv $(@D)
	@touch $@

# The C of the core is compiled by `pip install`.
CORE := hatch_build.py $(wildcard server/greenserve/core/*.[ch])

$(VENV)/.stamp-run: pyproject.toml $(CORE) | $(VENV)/.stamp-venv
	$(VENV)/bin/python $(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.stamp-test: pyproject.toml $(CORE) | $(VENV)/.stamp-venv
	$(VENV)/bin/python $(PIP) -e '.[test]'
	@touch $@

$(VENV)/.stamp-fuzz: pyproject.toml $(CORE) | $(VENV)/.stamp-venv
	$(VENV)/bin/python $(PIP) -e '.[test,fuzz]'
	@touch $@

# mypy reads Flask's types in apps/, hence the test tools here too.
$(VENV)/.stamp-lint: pyproject.toml $(CORE) | $(VENV)/.stamp-venv
	$(VENV)/bin/python $(PIP) -e '.[test,lint]'
	@touch $@

$(VENV)/.stamp-docs: pyproject.toml | $(VENV)/.stamp-venv
	$(VENV)/bin/python $(PIP) -e '.[docs]'
	@touch $@

$(BENCH_VENV)/.stamp-bench: pyproject.toml $(CORE) | $(BENCH_VENV)/.stamp-venv
	$(BENCH_VENV)/bin/python $(PIP) -e '.[test,speedups]' matplotlib
	@touch $@
