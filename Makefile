# make run    the first run: a simulator on this machine, and some thousand records brought into it
# make test   everything that CI runs
# make soak   the long proofs: 1,000 kills, 100,000 simulated lives, a million records; takes an hour or two
# make bench  what it costs here, beside other clients, written into README.md: about a quarter of an hour
#             BENCH="--quick contest" asks for less; python -m tests.bench.speed --help tells what there is
# make bench-rate  how near to a hidden limit it stays: a table and a picture; takes about seven minutes
# make clean  remove what the others made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 3

.PHONY: run test soak bench bench-rate lint types clean

run: $(VENV)/.run
	@PATH="$(abspath $(BIN)):$$PATH" sh deploy/first-run.sh

test: lint types
	$(BIN)/pytest -q -n $(WORKERS)

soak: $(VENV)/.test
	$(BIN)/pytest -q tests/crash tests/simulation --kills 1000 --lives 100000
	$(BIN)/python -m tests.soak.million

bench: $(VENV)/.bench
	$(BIN)/python -m tests.bench.speed $(or $(BENCH),--write)

bench-rate: $(VENV)/.bench
	$(BIN)/python -m tests.bench.rate $(BENCH)

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.test
	$(BIN)/mypy

INSTALL = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check -e

$(VENV)/.run: pyproject.toml
	@echo "installing into $(VENV): about a minute"
	@$(INSTALL) .
	@touch $@

# Nothing is compiled ahead: most of what comes with the SDKs is never imported.
$(VENV)/.test: pyproject.toml
	@echo "installing into $(VENV): about a minute"
	@$(INSTALL) '.[dev]' --no-compile
	@touch $(VENV)/.run $@

$(VENV)/.bench: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) .demo .bench-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
