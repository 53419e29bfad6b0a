# Everything is installed into .venv, once; afterwards all targets work offline.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
HOME_DIR := .dagster
PORT   ?= 3000
# A target of project/dagster_models.yaml; empty: its default one. `pg` needs DATABASE_URL.
TARGET ?=

export DAGSTER_HOME := $(CURDIR)/$(HOME_DIR)
ifneq ($(TARGET),)
export DAGSTER_MODELS_TARGET := $(TARGET)
endif
# No telemetry, no "new version" notices: neither would work offline.
export DAGSTER_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Dagster hands the events that announce a run's assets to the pooled event log in batches.
export DAGSTER_EVENT_BATCH_SIZE := 1000

.DEFAULT_GOAL := help
.PHONY: help setup run ui test lint bench clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(VENV)/.installed $(HOME_DIR)/dagster.yaml ## install into .venv (done by the other targets too)

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 13) else "Python 3.10 to 3.13 is needed, this is %d.%d: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "Setting up $(VENV) (once, a minute or two) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@$(BIN)/python -m compileall -q dagster_models project
	@touch $@

$(HOME_DIR)/dagster.yaml: docs/dagster.yaml
	@mkdir -p $(HOME_DIR)
	@cp docs/dagster.yaml $@

run: setup ## run the example: a year of flights, 33 steps (TARGET=pg: on PostgreSQL)
	@echo "Running the job 'flights' of project/ on the target $(or $(TARGET),dev) ..."
	@PYTHONWARNINGS='ignore:Function `job_execute_command`' $(BIN)/dagster job execute -m project.definitions -j flights
	@echo
	@echo "The report:     project/target/report.html"
	@$(if $(filter-out dev,$(TARGET)),,echo "The tables:     project/target/flights.duckdb (schemas staging, intermediate, marts)")
	@echo "The results:    project/target/run_results.json"
	@echo "Open the UI:    make ui"

ui: setup ## open Dagster's UI on the example, on http://localhost:3000
	@echo "Dagster's UI: http://localhost:$(PORT) (Ctrl-C ends it)"
	@$(BIN)/dagster dev --port $(PORT)

test: setup ## lint, types and all tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup ## the benchmarks; each prints its figures
	@$(BIN)/python tests/bench/schedule.py
	@$(BIN)/python tests/bench/overhead.py
	@$(BIN)/python tests/bench/sleepers.py
	@$(BIN)/python tests/bench/stopping.py
	@$(BIN)/python tests/bench/memory.py
	@$(BIN)/python tests/bench/postgres.py overhead width stopping

clean: ## remove what the other targets made
	rm -rf $(VENV) $(HOME_DIR) project/target .mypy_cache .ruff_cache .pytest_cache
