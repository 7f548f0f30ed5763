# What one does with this repository. `make test` needs python3 and its venv
# module alone: the rest is installed into .venv once, and when setup.py changes.
# Reports are tested in a browser too, if there is one:
#   apt-get install chromium chromium-driver

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
DEMO_FLAGS ?=
TEST_FLAGS ?=
SOURCES := $(wildcard vgen_jax tests configs experiments setup.py)

.PHONY: venv demo test test-slow lint format clean
.DEFAULT_GOAL := test

venv: $(STAMP)

$(STAMP): setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# A few minutes on a laptop; shorten it with DEMO_FLAGS, see `vgen demo --help`.
demo: $(STAMP)
	$(BIN)/vgen demo $(DEMO_FLAGS)

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --durations=10 $(TEST_FLAGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --durations=10 -m slow $(TEST_FLAGS)

lint: $(STAMP)
	$(BIN)/ruff check --quiet $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: $(STAMP)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
