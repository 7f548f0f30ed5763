# Commands for developers. `make test` needs only python3 with its venv module;
# everything else is installed into .venv once, and again when setup.py changes.
# Reports are also tested in a browser, if there is one:
#   apt-get install chromium chromium-driver

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
DEMO_FLAGS ?=
TEST_FLAGS ?=
MUTANT_FLAGS ?=
SOURCES := $(wildcard vgen_jax tests configs experiments docs setup.py)

.PHONY: venv demo test test-slow mutants lint format docs clean
.DEFAULT_GOAL := test

venv: $(STAMP)

$(STAMP): setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Takes a few minutes on a laptop; see `vgen demo --help` for shorter runs.
demo: $(STAMP)
	$(BIN)/vgen demo $(DEMO_FLAGS)

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=10 $(TEST_FLAGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=10 -m slow $(TEST_FLAGS)

# Changes one line at a time and runs its tests; takes hours. tests/README.md.
mutants: $(STAMP)
	PYTHONPATH=. $(BIN)/python tests/mutants.py $(MUTANT_FLAGS)

# Style of all files, types of the packages that pyproject.toml lists.
lint: $(STAMP)
	$(BIN)/ruff check --quiet $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ty check --quiet --python $(VENV)

format: $(STAMP)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

# The documentation site, in build/site. Warnings are errors.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
