# Two commands matter: `make demo` and `make test`. Everything lives in .venv and .batch-jobs; `make clean` removes it.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench soak medusa lock clean
SHELL := /bin/bash
# what was compiled once is not compiled again by each of hundreds of processes
unexport PYTHONDONTWRITEBYTECODE
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3; do $$name -c '$(NEW_ENOUGH)' 2>/dev/null && command -v $$name && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCKED := pyproject.toml constraints.txt
# The three folders as one package, for type checkers and editors: they do not see what an editable install maps.
PACKAGE := .venv/src/batch_jobs
LINK := mkdir -p $(PACKAGE) && ln -sfn ../../../strategies $(PACKAGE)/strategies && ln -sfn ../../../flows $(PACKAGE)/flows \
  && ln -sfn ../../../deployments $(PACKAGE)/deployments && ln -sf $(addprefix ../../../,$(wildcard deployments/package/*.py*)) $(PACKAGE)/

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: .venv/runtime ## set up and import, look at and export a table
	@$(BIN)/python examples/demo.py

test: check ## set up, check and run the tests
	@echo "running the tests"
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "not long and not large and not soak and not browser and not node and not medusa"

check: .venv/dev ## format, lint, types, and who imports whom
	@echo "checking format, lint, types and imports"
	@$(BIN)/ruff format --check --quiet . || { echo "run '$(BIN)/ruff format .'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@PYTHONPATH=.venv/src $(BIN)/lint-imports > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

bench: .venv/dev ## measure against the peers, printed as ratios
	@$(PIP) install -c constraints.txt -e '.[bench]' 2> >(grep -v ^WARNING >&2)
	@$(BIN)/python -m benchmarks

soak: .venv/dev ## 100 kills of an import, then an hour of all faults mixed
	@BATCH_JOBS_TEST_KILLS=100 $(BIN)/python -m pytest -q -o timeout=3600 tests/faults/test_kill.py
	@$(BIN)/python -m pytest -q -s -m soak

medusa: .venv/dev ## our jobs on the database of a real Medusa v1, which npm installs (a minute, then seconds)
	@$(BIN)/python -m pytest -q -m medusa tests/medusa

lock: ## write constraints.txt anew from the newest versions that work together
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip --quiet install '.[dev,bench,browser,dask,ray]' 2> >(grep -v ^WARNING >&2)
	@{ echo "# Versions that work together; 'make lock' writes this file anew."; \
	   .venv-lock/bin/python -m pip freeze --exclude prefect-batch-jobs; } > constraints.txt
	@rm -rf .venv-lock build *.egg-info

clean: ## remove the environment, the demo's data and caches
	@rm -rf .venv .venv-lock .batch-jobs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis tests/node/node_modules tests/medusa/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed and was not found. Try: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "making .venv"
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; exit 1; }

.venv/runtime: .venv/bin/python $(LOCKED)
	@[ -e .venv/dev ] && [ .venv/dev -nt pyproject.toml ] && [ .venv/dev -nt constraints.txt ] || { echo "installing into .venv (a minute, once)"; \
	  $(PIP) install -c constraints.txt -e . 2> >(grep -v ^WARNING >&2); }
	@$(LINK)
	@touch $@

.venv/dev: .venv/bin/python $(LOCKED)
	@echo "installing with the tools for tests into .venv (a minute, once)"
	@$(PIP) install -c constraints.txt -e '.[dev]' 2> >(grep -v ^WARNING >&2)
	@$(LINK)
	@touch $@ .venv/runtime
