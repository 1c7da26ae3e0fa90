# Every target sets up what it needs: a Python from 3.10 on and the package registry are enough.
# "make" alone lists the targets.

PYTHON ?= python3
# How many tests run side by side: most of them wait for something.
JOBS ?= 4

export JOBS
# Notices about pip itself belong to nobody's test run. Otherwise pip's own settings hold.
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

VENV := .venv
FLOORS := .venv-floors
NEWEST := .venv-newest
DEMO := .venv-demo

# Folders too: a file that was deleted is a change as well.
SOURCES := $(shell find src -name __pycache__ -prune -o -print) pyproject.toml README.md LICENSE
WHEEL = $$(echo dist/*.whl)

.PHONY: help venv demo docs test test-etcd test-etcds sim faults picture test-floors test-newest test-pythons \
        test-pure-protobuf coverage lint bench bench-scale protos protos-check clean

help:
	@echo 'make demo                 shows a fail-over between three processes on a real etcd'
	@echo 'make test                 all tests, those on etcd with the newest one found'
	@echo 'make test-etcds         those on etcd with all others found'
	@echo 'make test-etcd ETCD=path  the tests on etcd with this one'
	@echo 'make sim SEEDS=0:100000   more schedules of the simulation than make test runs'
	@echo 'make faults               candidates, clusters and links under faults, for 10 minutes;'
	@echo '                          SECONDS=600 SEED=1 ETCD=path VIA=kv are what may be given'
	@echo 'make picture              draws docs/fault-run.svg: one short run, who believed and who led'
	@echo 'make docs                 the documentation, in build/docs; a warning is an error'
	@echo 'make bench                ratios against raw stubs and the Go package: some 8 minutes'
	@echo 'make bench-scale          thousands of elections, candidates and terms: some 18 minutes;'
	@echo '                          PAGE=docs/performance.md puts the tables there, QUICK=1 is short'
	@echo 'make test-floors          unit and smoke tests: oldest Python, grpcio and protobuf'
	@echo 'make test-newest          the same with the newest ones'
	@echo 'make test-pythons         test-newest with every Python from 3.10 to 3.14 found'
	@echo 'make test-pure-protobuf   the same without the C part of protobuf'
	@echo 'make coverage             the unit tests must reach every branch of the core'
	@echo 'make lint                 ruff, mypy, pyright'
	@echo 'make protos               generates the stubs from protos/'
	@echo 'make protos-check         fails if the stubs are not what protos/ give'
	@echo 'make venv                 .venv with the wheel and all that development needs'
	@echo 'make clean                removes all that make has made'
	@echo
	@echo 'PYTHON=python3 makes the environments; JOBS=4 is how many tests run side by side.'
	@echo 'scripts/get_etcd.sh 3.6 fetches an etcd to test with.'

# $(call make_venv,FOLDER,PYTHON)
define make_venv
	@$(2) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "make: $(2) is missing or older than Python 3.10: set PYTHON to one that is not" >&2; \
	  exit 1; }
	@rm -rf $(1)
	@$(2) -m venv $(1) || { rm -rf $(1); \
	  echo "make: '$(2) -m venv' failed. Some systems package it apart (Debian: python3-venv);" >&2; \
	  echo "make: or set PYTHON to an interpreter that has it" >&2; \
	  exit 1; }
endef

# $(call install,FOLDER,WHAT)
define install
	@$(1)/bin/python -m pip install --quiet $(2)
endef

# -- the wheel, and the environment of development

$(VENV)/.made:
	$(call make_venv,$(VENV),$(PYTHON))
	$(call install,$(VENV),'build>=1.2' 'hatchling>=1.27')
	@touch $@

# The sdist, and the wheel from the sdist: what the sdist lacks is missed here.
dist/.built: $(SOURCES) | $(VENV)/.made
	@echo 'building sdist and wheel'
	@rm -rf dist
	@mkdir dist
	@$(VENV)/bin/python -m build --no-isolation >dist/.log 2>&1 || { cat dist/.log >&2; exit 1; }
	@touch $@

$(VENV)/.dependencies: pyproject.toml | dist/.built
	@echo 'installing what development needs into $(VENV)'
	$(call install,$(VENV),"$(WHEEL)[dev]")
	@touch $@

$(VENV)/.wheel: dist/.built $(VENV)/.dependencies
	$(call install,$(VENV),--force-reinstall --no-deps $(WHEEL))
	@touch $@

venv: $(VENV)/.wheel

# -- what users see

$(DEMO)/.wheel: $(SOURCES)
	$(call make_venv,$(DEMO),$(PYTHON))
	$(call install,$(DEMO),'.[demo]')
	@touch $@

demo: $(DEMO)/.wheel
	@PATH="$$PATH:$(CURDIR)/$(DEMO)/bin" $(DEMO)/bin/python examples/demo.py

# -- tests

test: venv
	@PYTHON=$(VENV)/bin/python scripts/run_tests.sh all

test-etcds: venv
	@PYTHON=$(VENV)/bin/python scripts/run_tests.sh etcds

test-etcd: venv
	@test -n "$(ETCD)" || { echo 'usage: make test-etcd ETCD=path' >&2; exit 2; }
	@command -v '$(ETCD)' >/dev/null || { echo 'make: there is no $(ETCD)' >&2; exit 2; }
	@ETCD="$$(command -v '$(ETCD)')"; export ETCD; "$$ETCD" --version </dev/null && \
	  $(VENV)/bin/python -m pytest -q -n $(JOBS) tests/contract tests/aio tests/cli tests/etcd

SEEDS ?= 0:20000

sim: venv
	@$(VENV)/bin/python -m tests.sim --seeds $(SEEDS)

faults: venv
	@PYTHON=$(VENV)/bin/python scripts/run_on_etcd.sh tests.faults $(if $(SECONDS),--seconds=$(SECONDS)) \
	  $(if $(SEED),--seed=$(SEED)) $(if $(VIA),--via=$(VIA))

picture: venv
	@PYTHON=$(VENV)/bin/python scripts/run_on_etcd.sh tests.faults.run --seconds=$(or $(SECONDS),24) \
	  --seed=$(or $(SEED),408) --via=$(or $(VIA),kv) --picture=docs/fault-run.svg

# Anew each time: what is left of the last one hides a warning.
docs: venv
	@rm -rf build/docs
	@$(VENV)/bin/sphinx-build -q -W --keep-going -n -b html docs build/docs
	@echo 'build/docs/index.html'

$(FLOORS)/.wheel: dist/.built
	$(call make_venv,$(FLOORS),"$$(PYTHON=$(PYTHON) scripts/find_python.sh oldest)")
	$(call install,$(FLOORS),"$(WHEEL)[test]" grpcio==1.80.0 protobuf==6.30.0)
	@touch $@

test-floors: $(FLOORS)/.wheel
	@PYTHON=$(FLOORS)/bin/python scripts/run_tests.sh smoke

$(NEWEST)/.wheel: dist/.built
	$(call make_venv,$(NEWEST),"$$(PYTHON=$(PYTHON) scripts/find_python.sh newest)")
	$(call install,$(NEWEST),"$(WHEEL)[test]" grpcio 'protobuf>=7')
	@touch $@

test-newest: $(NEWEST)/.wheel
	@PYTHON=$(NEWEST)/bin/python scripts/run_tests.sh smoke

$(VENV)-3.%/.wheel: dist/.built
	$(call make_venv,$(VENV)-3.$*,"$$(PYTHON=$(PYTHON) scripts/find_python.sh 3.$*)")
	$(call install,$(VENV)-3.$*,"$(WHEEL)[test]" grpcio 'protobuf>=7')
	@touch $@

# Goes on after a failure, so that all is reported.
test-pythons:
	@failed=; \
	for version in $$(PYTHON=$(PYTHON) scripts/find_python.sh all | cut -d ' ' -f 1); do \
	  $(MAKE) --no-print-directory "$(VENV)-$$version/.wheel" && \
	    PYTHON="$(VENV)-$$version/bin/python" scripts/run_tests.sh smoke || \
	    failed="$$failed $$version"; \
	done; \
	test -z "$$failed" || { echo "make: failed with Python$$failed" >&2; exit 1; }

test-pure-protobuf: venv
	@PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python PYTHON=$(VENV)/bin/python \
	  scripts/run_tests.sh smoke

# Left out are tests that run nothing of the core, or not in this process.
coverage: venv
	@$(VENV)/bin/python -m coverage run -m pytest -q tests/unit \
	  --ignore=tests/unit/test_gen_protos.py --ignore=tests/unit/test_packaging.py \
	  --ignore=tests/unit/test_support.py
	@$(VENV)/bin/python -m coverage report

lint: venv
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pyright

# -- benchmarks: what they measure is time, so let the machine do nothing else

BENCH := PYTHON=$(VENV)/bin/python scripts/run_on_etcd.sh
BENCH_OPTIONS = $(if $(PAGE),--page=$(PAGE)) $(if $(QUICK),--quick)

bench: venv
	@$(BENCH) benchmarks $(BENCH_OPTIONS)

bench-scale: venv
	@$(BENCH) benchmarks.scale $(BENCH_OPTIONS) $(if $(ONLY),--only=$(ONLY))

# -- stubs

# The generators have no wheels for Python 3.14: there, PYTHON=python3.13.
protos: venv
	@PYTHON=$(CURDIR)/$(VENV)/bin/python scripts/gen_protos.sh

protos-check: venv
	@PYTHON=$(CURDIR)/$(VENV)/bin/python scripts/gen_protos.sh --check

clean:
	@rm -rf .venv .venv-* dist build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
