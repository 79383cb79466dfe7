# The two commands of the README are `make demo` and `make test`; both install into .venv by themselves.

PYTHON ?= python3
BIN := .venv/bin
UNLESS_SLOW = $(if $(SLOW),, and not slow)
INSTALLED := .venv/.installed

.PHONY: demo test check bench clean

demo: $(INSTALLED)
	$(BIN)/raydnn sweep jobs/digits-asha.yaml

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ray$(UNLESS_SLOW)"
	$(BIN)/python -m pytest -m "ray$(UNLESS_SLOW)"

check: $(INSTALLED)
	$(BIN)/ruff format --check raydnn tests
	$(BIN)/ruff check raydnn tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# The peers are installed for it alone; one that cannot be stands in the table as not installed.
# `make bench BENCH="--long --data FOLDER"` measures whole sweeps, too.
bench: $(INSTALLED)
	-$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python tests/benchmarks/run.py $(BENCH)

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(INSTALLED)
