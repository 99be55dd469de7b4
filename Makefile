# make run         the first run: a simulated service on this machine, and 4,000 records ingested into it
# make test        everything that CI runs; installs what it needs; about six minutes on two cores
# make check       lint, types and the unit tests: about a minute
# make coverage    unit and end-to-end tests, and the lines that they do not run; fails where these become many
# make soak        the long proofs: 1,000 kills, 100,000 simulated lives, a million records; one to two hours
# make bench       the cost of a record here, beside other clients, written into docs/performance.md; 15 minutes
#                  BENCH="--quick contest" measures less; python -m tests.bench.speed --help lists the words
# make bench-rate  what the rate control reaches on every kind of limiter, simulated and real: tables and a picture; 35
#                  minutes; BENCH="--quick" takes four, BENCH="--only nginx" runs one part, and --help lists the parts
# make image-test  build the container image and run it, and boot systemd with the units; needs root; about ten minutes
# make clean       remove what the other targets made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 3

# Unit tests are all that do not lie in these directories, which start programs and services. Coverage is measured of
# unit tests and of those in IN_PROCESS.
IN_PROCESS := e2e reconcile
SYSTEM := bench crash deploy docs mlflow simulation
UNIT_TESTS := tests $(IN_PROCESS:%=--ignore=tests/%) $(SYSTEM:%=--ignore=tests/%)
COVERED_TESTS := tests $(SYSTEM:%=--ignore=tests/%)
SYSTEM_TESTS := $(wildcard $(SYSTEM:%=tests/%))
# Unit tests that simulate hours of sending: coverage would triple their time, so they run without it.
LONG_UNIT_TESTS := $(wildcard tests/laboratory/test_*.py tests/pipeline/test_pacer.py)

.PHONY: run test check coverage soak bench bench-rate image-test lint types clean

run: $(VENV)/.run
	@PATH="$(abspath $(BIN)):$$PATH" sh deploy/first-run.sh

test: lint types coverage
	@sh .ci/require nginx-light prometheus systemd zsh
	$(BIN)/pytest -q -n $(WORKERS) $(SYSTEM_TESTS) $(LONG_UNIT_TESTS)

check: lint types $(VENV)/.test
	@sh .ci/require openssl zsh
	$(BIN)/pytest -q -n $(WORKERS) $(UNIT_TESTS)

coverage: $(VENV)/.test
	@sh .ci/require chromium-headless-shell curl jq logrotate openssl zsh
	$(BIN)/pytest -q -n $(WORKERS) --cov=ingestor $(COVERED_TESTS) $(LONG_UNIT_TESTS:%=--ignore=%)

soak: $(VENV)/.test
	for turn in 1 2 3 4; do $(BIN)/pytest -q tests/crash --kills 250 || exit 1; done
	$(BIN)/pytest -q tests/simulation --lives 100000
	$(BIN)/python -m tests.soak.million

bench: $(VENV)/.bench
	$(BIN)/python -m tests.bench.speed $(or $(BENCH),--write)

bench-rate: $(VENV)/.bench
	$(BIN)/python -m tests.bench.rate $(BENCH)

image-test:
	sh deploy/image/test.sh
	sh deploy/systemd/test.sh

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.test
	$(BIN)/mypy

INSTALL = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check -e

$(VENV)/.run: pyproject.toml
	@PYTHON="$(PYTHON)" sh .ci/require python3-venv
	@echo "installing into $(VENV): about a minute"
	@$(INSTALL) .
	@touch $@

# --no-compile: most modules of the SDKs are never imported.
$(VENV)/.test: pyproject.toml
	@PYTHON="$(PYTHON)" sh .ci/require python3-venv
	@echo "installing into $(VENV): about a minute"
	@$(INSTALL) '.[dev]' --no-compile
	@touch $(VENV)/.run $@

$(VENV)/.bench: $(VENV)/.run
	@sh .ci/require nginx-light
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) .demo .bench-* .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
