# make train [ARGS="model=mlp data=mnist"]   make check
# make test [ARGS="tests/cli -x"]   in two workers; ARGS="-n 0 --pdb tests/cli/test_train.py" in one process
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test check install

train: install
	$(BIN)/python train.py $(ARGS)

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: .venv/installed

# Installs again when the list of packages changed.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
