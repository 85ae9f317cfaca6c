# Two commands for a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
# On Windows, run make in Git Bash: the recipes need sh and touch.
VENV ?= .venv
DEMO ?= demo
DATA ?= data
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := $(VENV)/Scripts
# Files are UTF-8, whatever the language of Windows.
export PYTHONUTF8 := 1
else
PYTHON ?= python3
BIN := $(VENV)/bin
endif
# The tests start many processes: each would compile the package again where the bytecode is not kept.
export PYTHONDONTWRITEBYTECODE =
# One more than there are processors: many tests wait for servers, disks and processes. With two more, the fixtures
# that each worker makes cost more than is won.
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")
# tests/conftest.py says which tests one worker runs together, and which it begins with.
PYTEST_OPTIONS = -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

.PHONY: demo test test-all mypy coverage docs docs-images bench hooks pre-commit check-version dist

demo: $(VENV)/.demo
	$(BIN)/cxrbuild demo $(DEMO)

test: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
# mypy uses one processor, and the tests the others. The first run of pytest keeps the bytecode of what the tests
# import: in a new environment each worker would compile all of it.
	@echo "mypy and pytest, at the same time:"
	@$(BIN)/mypy & types=$$!; $(BIN)/pytest --collect-only > $(VENV)/collected.txt; \
	$(BIN)/pytest $(PYTEST_OPTIONS) --processor-time 10; tests=$$?; \
	wait $$types && exit $$tests

# The slow tests too: differential tests, fault injection, kills.
test-all: test $(VENV)/.test-all
	$(BIN)/pytest $(PYTEST_OPTIONS) -m slow

mypy: $(VENV)/.test
	$(BIN)/mypy

# Run the tests, then report the lines and branches that no test reaches, and the share of branches covered;
# the same as Markdown in $(VENV)/coverage.md.
coverage: $(VENV)/.test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PYTEST_OPTIONS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/coverage report --format=markdown > $(VENV)/coverage.md
	$(BIN)/coverage json --quiet -o $(VENV)/coverage.json
	@$(BIN)/python -c "import json; t = json.load(open('$(VENV)/coverage.json'))['totals']; \
	print('\nBranch coverage:', t['percent_branches_covered_display'] + '%,', \
	t['covered_branches'], 'of', t['num_branches'], 'branches')" | tee -a $(VENV)/coverage.md

# The generated pages, and the site in site/. A warning, such as a dead link, is an error.
docs: $(VENV)/.test
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The images of the pages, from a run of the demo; needs Chromium.
docs-images: $(VENV)/.test
	$(BIN)/python docs/make_images.py

# Measure ratios for an hour or two, and write them to docs/performance.md. DATA is a folder that `fetch` filled.
BENCH = CXRBUILD_RATIOS=.bench/ratios.jsonl $(BIN)/python tests/benchmarks
bench: $(VENV)/.test-all
	rm -rf .bench
	mkdir .bench
	$(BIN)/cxrbuild curate --data $(DATA) --allow-missing --out .bench/build --quiet
	$(BENCH)/bench_curate.py --data $(DATA) --images 5856 --peers
	$(BENCH)/bench_formats.py --data $(DATA) --rounds 3
	$(BENCH)/bench_fetch.py --data $(DATA) --images 5856 --rounds 3
	$(BENCH)/bench_cluster.py --data $(DATA)
	$(BENCH)/bench_plan.py
	$(BENCH)/bench_verify.py
	$(BENCH)/bench_candidates.py --build .bench/build --images 10000 100000 1000000
	$(BENCH)/bench_audit.py --build .bench/build --images 10000 100000
	$(BENCH)/bench_baseline.py .bench/build
	$(BENCH)/bench_baseline.py .bench/build --full-size
	$(BIN)/python tests/benchmarks/ratios.py .bench/ratios.jsonl

# Install the git hook, so that every commit is checked.
hooks: $(VENV)/.hooks
	$(BIN)/pre-commit install

# Run the hooks on all files.
pre-commit: $(VENV)/.hooks
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

# Check that TAG, the version, the changelog and the citation agree: `make check-version TAG=v1.2.3`.
check-version:
	$(PYTHON) .github/check_version.py $(TAG)

# Build the sdist and the wheel into dist/, and check their metadata.
dist: $(VENV)/.release
	$(BIN)/python -c "import shutil; shutil.rmtree('dist', ignore_errors=True)"
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

# `pyvenv.cfg` has the same name on every system.
$(VENV)/pyvenv.cfg:
	@echo "Making a virtual environment in $(VENV)."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: $(VENV)/pyvenv.cfg pyproject.toml
	@echo "Installing cxrbuild and the libraries that it uses into $(VENV):"
	$(BIN)/python -m pip install --editable .
	touch $@

$(VENV)/.test: $(VENV)/pyvenv.cfg pyproject.toml
	@echo "Installing cxrbuild and what its tests need into $(VENV): some gigabytes, for minutes."
# Not compiled: the tests import a third of the modules, and keep the bytecode of these.
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[train,dicom,cluster,test]"
	touch $@

$(VENV)/.test-all: $(VENV)/.test pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[train,dicom,cluster,test,test-all]"
	touch $@

$(VENV)/.hooks: $(VENV)/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --group hooks
	touch $@

$(VENV)/.release: $(VENV)/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --group release
	touch $@
