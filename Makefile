# One command each, from a bare Python with pip and venv. Where there is uv, uv is used.
# Options: PYTHON=python3.12 (the Python to make .venv from), UV= (leave uv alone),
# ARGS="-k e820" (more arguments for pytest).

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin

ifdef UV
make_venv = $(UV) venv --quiet --python $(PYTHON) $(VENV)
install = $(UV) pip install --quiet --python $(BIN)/python
else
make_venv = $(PYTHON) -m venv $(VENV)
install = $(BIN)/python -m pip install -qq --disable-pip-version-check
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-xen test-xen-quick ground-truth check bench judge mutate docs snapshots lock clean \
	performance reliability fuzz site man wheel zipapp package-check matrix figures

help: ## show these goals
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready ## print the plan of the bundled host
	@$(BIN)/xenp2m plan

test: $(VENV)/.ready ## run the tests
	@command -v qemu-system-x86_64 >/dev/null || \
		echo "real boots are not among these tests: make test-xen-quick (as root it installs QEMU from Debian)"
	@$(BIN)/python -m pytest $(ARGS)

test-xen: $(VENV)/.ready ## boot real Xen hosts in QEMU and compare (ARGS="HOST...", half an hour)
	@$(BIN)/python -m tests_xen $(ARGS)

test-xen-quick: $(VENV)/.ready ## the part of it that takes a few minutes
	@$(BIN)/python -m tests_xen --quick $(ARGS)

ground-truth: $(VENV)/.ready ## boot them all and write docs/ground-truth.md
	@$(BIN)/python -m tests_xen --document docs/ground-truth.md

check: $(VENV)/.ready ## lint, check the format, check the types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench: $(VENV)/.ready ## measure speed and memory beside peers (ARGS=--quick)
	@$(BIN)/python -m benchmarks $(ARGS)

performance: $(VENV)/.ready ## measure and write docs/performance.md
	@$(BIN)/python -m benchmarks --document docs/performance.md

fuzz: $(VENV)/.ready ## attack every parser with damaged inputs (ARGS="--inputs N --seconds S")
	@$(BIN)/python -m tests.fuzz $(ARGS)

reliability: $(VENV)/.ready ## cut files off, kill commands, and write docs/reliability.md
	@$(BIN)/python -m tests.reliability --document docs/reliability.md

judge: $(VENV)/.ready ## compare with real boots and the kernels' own answers, file by file
	@$(BIN)/python tests/judge.py

mutate: $(VENV)/.ready ## break each rule of the tree on purpose and show which tests notice
	@$(BIN)/python tests/mutate.py

figures: $(VENV)/.ready ## count the tree: lines, functions, docstrings, tests, seconds to import
	@$(BIN)/python tests/figures.py

docs: $(VENV)/.ready ## write what commands print into the documents
	@$(BIN)/python docs/generate.py

snapshots: $(VENV)/.ready ## write what the terminal shows into tests/snapshots
	@$(BIN)/python tests/snapshots.py

lock: ## pin the newest development versions in requirements/dev.txt (needs uv)
	@test -n "$(UV)" || { echo "make lock: uv is not on PATH (pip install uv)" >&2; exit 1; }
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --upgrade --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--output-file requirements/dev.txt pyproject.toml requirements/dev.in

site: $(VENV)/.ready ## build the documentation in build/site, a warning is an error
	@$(BIN)/python -m sphinx -b html -W --keep-going -q docs build/site
	@echo build/site/index.html

man: $(VENV)/.ready ## build the man page build/man/xenp2m.1
	@$(BIN)/python -m sphinx -b man -W --keep-going -q docs build/man
	@echo build/man/xenp2m.1

wheel: $(VENV)/.ready ## build the wheel and the source archive in dist
	@$(BIN)/python -m build --no-isolation --outdir dist . | tail -n 1

zipapp: $(VENV)/.ready ## build build/xenp2m.pyz: one file for hosts without pip, needs Python 3.11 and numpy there
	@$(BIN)/python -m release.pyz

package-check: $(VENV)/.ready ## build, install and try every package (ARGS=--debian: with Debian 12's Python, too)
	@$(BIN)/python -m release.check $(ARGS)

matrix: $(VENV)/.ready ## test with every Python of this machine and the oldest libraries, write docs/matrix.md
	@$(BIN)/python -m release.matrix --document docs/matrix.md $(ARGS)

clean: ## remove .venv, caches and built files
	@rm -rf $(VENV) build dist .coverage htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Step one: the pinned versions, each checked against its hash. A changed pin makes .venv anew.
$(VENV)/.pinned: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "xenp2m needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@rm -rf $(VENV)
	@$(make_venv)
	@$(install) --require-hashes -r requirements/dev.txt
	@touch $@

# Step two: the project itself, nothing else.
$(VENV)/.ready: $(VENV)/.pinned pyproject.toml
	@$(install) --no-deps --no-build-isolation --editable .
	@touch $@
