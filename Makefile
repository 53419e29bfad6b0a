# The first target that you make installs everything into .venv; from then on all work offline.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
HOME_DIR := .dagster
PORT   ?= 3000
# A target of project/dagster_models.yaml, by default the project's own. `pg` needs DATABASE_URL.
TARGET ?=

# More than two, also on two cores: the tests wait for processes most of the time.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder
DUCKDB2_VERSION := 2.0.1
DUCKDB2 := $(VENV)/duckdb-$(DUCKDB2_VERSION)
# What sends SQL or data to DuckDB, or stops it. The rest is the same with each version of DuckDB.
DUCKDB_TESTS := tests/warehouses tests/execution/test_executor.py $(patsubst %,tests/processes/test_%.py, \
	broker checks copies exports failing_rows materialization python_values streams warehouse_api)
DBT := $(VENV)/dbt
DBT_PACKAGES := dbt-core==1.11.16 dbt-duckdb==1.11.1 dbt-postgres==1.11.0 dbt-tests-adapter==1.20.0
# A Python that has dbt, if it is not to be installed (see tests/support/real_dbt.py).
DAGSTER_MODELS_DBT ?=
WITH_DBT := DAGSTER_MODELS_DBT=$(or $(DAGSTER_MODELS_DBT),$(abspath $(DBT)/bin/python))
NIGHTLY := DAGSTER_MODELS_TEST_EXHAUSTIVE=1 $(WITH_DBT)
NOT_DUCKDB := postgres or spark or ducklake or mariadb or iceberg

export DAGSTER_HOME := $(CURDIR)/$(HOME_DIR)
ifneq ($(TARGET),)
export DAGSTER_MODELS_TARGET := $(TARGET)
endif
# Telemetry and notices of new versions are off, as neither works offline.
export DAGSTER_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Dagster passes the events that announce a run's assets to the pooled event log in batches.
export DAGSTER_EVENT_BATCH_SIZE := 1000

# The target `spark` runs on a server that is there as long as the run.
SAIL := $(if $(filter spark,$(TARGET)),mkdir -p project/target; \
	$(BIN)/sail spark server --port 15002 > project/target/sail.log 2>&1 & trap "kill $$!" EXIT;)
JOB := $(if $(filter spark,$(TARGET)),flights_on_spark,flights)

.DEFAULT_GOAL := help
.PHONY: help setup run ui test conformance test-nightly test-everything test-duckdb2 lint bench compare docs clean

help: ## show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 24

setup: $(VENV)/.installed $(HOME_DIR)/dagster.yaml ## install into .venv (the other targets do this too)

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 13) else "This needs Python 3.10 to 3.13, and found %d.%d. Try: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "Setting up $(VENV), once (this takes a minute or two) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@$(BIN)/python -m compileall -q dagster_models project
	@touch $@

$(HOME_DIR)/dagster.yaml: dagster_models/cli/dagster.yaml
	@mkdir -p $(HOME_DIR)
	@cp dagster_models/cli/dagster.yaml $@

run: setup ## run the example: a year of flights in 35 steps (TARGET=pg: on PostgreSQL; ducklake; spark)
	@echo "Running the job '$(JOB)' of project/ on the target $(or $(TARGET),dev) ..."
	@$(SAIL) $(BIN)/dagster-models run --project project --job $(JOB)
	@echo
	@$(if $(filter spark,$(TARGET)),,echo "Report:         project/target/report.html")
	@$(if $(filter-out dev,$(TARGET)),,echo "Tables:         project/target/flights.duckdb (schemas staging, intermediate, marts)")
	@echo "Results:        project/target/run_results.json"
	@echo "Next:           make ui"

ui: setup ## open Dagster's UI on the example, at http://localhost:3000
	@echo "Dagster's UI is at http://localhost:$(PORT) (press Ctrl-C to stop it)"
	@$(BIN)/dagster dev --port $(PORT)

test: setup ## run the linter, the type checker and all tests
	@$(MAKE) --no-print-directory lint
	@$(PYTEST)
	@$(MAKE) --no-print-directory test-duckdb2

# It begins with what it cannot test here, and ends each part with what was skipped, and why.
test-nightly: setup $(VENV)/.installed-nightly $(if $(DAGSTER_MODELS_DBT),,$(DBT)/.installed) ## run every test, also those that are too slow for `make test` (this takes hours)
	@$(NIGHTLY) $(BIN)/python tests/support/nightly_needs.py
	@status=0; $(MAKE) --no-print-directory test-everything || status=1; \
	$(WITH_DBT) $(MAKE) --no-print-directory test-duckdb2 PYTEST='$(PYTEST) -rs' \
		DUCKDB_TESTS='tests/warehouses tests/processes tests/execution tests/whole' || status=1; \
	exit $$status

test-everything:
	@$(NIGHTLY) $(PYTEST) -rs -m ""

conformance: setup ## ask every warehouse what it can do, and print the matrix of docs/warehouse_authors.md
	@$(PYTEST) -n 0 -m feature tests/warehouses tests/processes

# Not in `dev`: Ray has 72 MB, and its tests need a minute for a cluster; moto, an object store, has 60 MB. adlfs and
# gcsfs are what az:// and gs:// need, with an emulator of the one; that of the other, azurite, is from npm.
$(VENV)/.installed-nightly: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --editable '.[ray,store]' 'moto[s3]>=5.2,<6' flask flask-cors \
		adlfs gcsfs gcp-storage-emulator --constraint constraints.txt
	@touch $@

# dbt itself, with which tests compare, in an environment of its own, with the DuckDB of the tests. dbt-tests-adapter
# imports pytest without requiring it.
$(DBT)/.installed: $(VENV)/.installed
	@$(PYTHON) -m venv $(DBT)
	@$(DBT)/bin/python -m pip install --quiet $(DBT_PACKAGES) $$(grep -E '^(duckdb|pytest)==' constraints.txt)
	@touch $@

# constraints.txt pins DuckDB 1.5, and `pip install` without it brings DuckDB 2, which needs Python 3.11.
test-duckdb2: setup $(DUCKDB2)/.installed ## run the tests of what reaches DuckDB with DuckDB 2 (`make test` does this too)
	@if [ ! -d $(DUCKDB2)/duckdb ]; then echo "DuckDB 2 is not tested: it needs Python 3.11."; else \
	echo "Running the tests of what reaches DuckDB with DuckDB $(DUCKDB2_VERSION) ..." && \
	export PYTHONPATH=$(abspath $(DUCKDB2)) && \
	$(BIN)/python -c 'import duckdb; assert duckdb.__version__ == "$(DUCKDB2_VERSION)"' && \
	$(PYTEST) -k 'not ($(NOT_DUCKDB))' $(DUCKDB_TESTS); fi

$(DUCKDB2)/.installed: $(VENV)/.installed
	@mkdir -p $(DUCKDB2)
	@! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	$(BIN)/python -m pip install --quiet --no-deps --target $(DUCKDB2) duckdb==$(DUCKDB2_VERSION)
	@touch $@

lint: setup ## run the linter and the type checker
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# The other tools, where they are installed: `make bench PEERS=folder`, see docs/comparison.md.
PEERS ?=
# (No `foreach`: it puts spaces between the folders.)
PEERS_AT := $(abspath $(PEERS))
# How often each command of a comparison is run, in turns with the others.
RUNS ?= 3
export PATH := $(PATH)$(if $(PEERS),:$(PEERS_AT)/dbt/bin:$(PEERS_AT)/sqlmesh/bin:$(PEERS_AT)/yato/bin)

bench: setup ## run the benchmarks, which print their figures beside their goals (this takes half an hour)
	@status=0; for bench in schedule start overhead sleepers stopping memory launch loading event_log \
		python_steps streams ray_steps tricks spark 'postgres overhead width stopping'; do \
	set -- $$bench; name=$$1; shift; echo; echo "== tests/bench/$$name.py $$*"; \
	$(BIN)/python tests/bench/$$name.py $$* || status=1; done; exit $$status

compare: setup ## run the benchmarks of docs/comparison.md (PEERS=folder: where the other tools are; RUNS=1: a quick look)
	@$(BIN)/python tests/bench/overhead.py --models 100 1000 --runs $(RUNS) --markdown
	@$(BIN)/python tests/bench/loading.py --models 1000 --runs $(RUNS)
	@$(BIN)/python tests/bench/stopping.py
	@$(BIN)/python tests/bench/sleepers.py --slots 1 4 16 --stock

docs: setup ## write the documentation as a site to site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "The documentation is in site/index.html"

clean: ## remove everything that the other targets made
	rm -rf $(VENV) $(HOME_DIR) project/target site .mypy_cache .ruff_cache .pytest_cache
