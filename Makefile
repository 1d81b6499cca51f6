# make install  set up .venv       make demo  set up, say whether SAMix pays on built-in photos
# make test     set up, run every check           make lint, make types, make pytest  one of them
# make test-floors  the quick tests with the lowest versions that pyproject.toml allows, in .venv-floors
# make docs     the documentation as a site, in site/
# All use .venv, create it when it is missing, and are quick the second time.

PYTHON ?= python3
VENV := .venv
FLOORS := .venv-floors
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test lint types pytest test-floors docs clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "samix needs Python 3.10 or newer; set PYTHON=python3.11, for instance"; exit 1; }
	@test -x $(BIN)/python || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing samix and its tools into $(VENV); the first time takes a few minutes"
	$(BIN)/python -m pip install --disable-pip-version-check -q --progress-bar off \
	  -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP)
	$(BIN)/samix poc demo

test: lint types pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

pytest: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Not part of test: it downloads several gigabytes the first time.
$(FLOORS)/.installed: pyproject.toml
	@echo "Installing the lowest allowed versions into $(FLOORS); this takes a few minutes"
	$(PYTHON) -m venv --clear $(FLOORS)
	$(FLOORS)/bin/python -m pip install --disable-pip-version-check -q "uv>=0.9"
	$(FLOORS)/bin/uv pip install -q --python $(FLOORS)/bin/python --resolution lowest-direct -e ".[dev]"
	@touch $@

test-floors: $(FLOORS)/.installed
	$(FLOORS)/bin/python -m pytest -m "not slow" -n 2 --dist worksteal tests/mixing tests/objectives \
	  tests/networks tests/policies tests/methods tests/guard tests/training/test_run.py \
	  tests/cli/test_train.py tests/cli/test_pretrain.py tests/cli/test_predict.py \
	  tests/cli/test_check.py tests/cli/test_poc.py

docs: $(STAMP)
	@$(BIN)/python -c 'import mkdocs, material, mkdocstrings_handlers.python' 2>/dev/null || \
	  { echo "Installing what makes the site"; $(BIN)/python -m pip install -q --progress-bar off \
	  --disable-pip-version-check -c constraints.txt -e ".[docs]"; }
	$(BIN)/python docs/make_cards.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q
	@echo "To read it: $(BIN)/python -m http.server -d site"

clean:
	rm -rf $(VENV) $(FLOORS) .pytest_cache .mypy_cache .ruff_cache dist build site
