# `make run` and `make test` are all that a newcomer needs; both set up .venv from constraints.txt first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# golfreg-trackio is left to who wants it: trackio brings a web server with it. Its tests run where it is installed.
# Of golfreg-fla and golfreg-mamba-ssm the mixers; the kernels' libraries are for a GPU (their READMEs).
PLUGINS := --editable plugins/golfreg-fineweb --editable plugins/golfreg-fla --editable plugins/golfreg-mamba-ssm \
  --editable plugins/golfreg-zoo-codecs

.PHONY: run test test-all test-gpu lint format docs clean

.venv/.ready: pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]' $(PLUGINS)
	touch $@

run: .venv/.ready
	$(BIN)/golfreg run --arch mamba3 --codec lzma

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy $(wildcard plugins/*/src)
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

# Everything, the minutes of random kills included.
test-all: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

# For an owner of a GPU, or of two: training, resuming, kernels, several processes. PYTEST may be that of another environment.
PYTEST ?= $(BIN)/python -m pytest
test-gpu:
	$(PYTEST) -m gpu -rs -s --timeout=900

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site: build/docs/index.html opens from the disk, without its search; `.venv/bin/mkdocs serve` has it, and shows
# changes as you write.
docs: .venv/.ready
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
