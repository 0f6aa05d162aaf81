# make serve runs the product, make test tests it; each prepares what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
ARGS ?=
# Test processes at once.
JOBS ?= 2

.PHONY: help setup agreement serve test check format bench bench-quick soak lock clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.serve ## Prepare .venv with the product and the local runtime

agreement: $(VENV)/.agreement ## Add what simulations, charts and statements as PDF need

serve: $(VENV)/.serve ## Run the product; options by ARGS="--port 9000"
	@$(BIN)/entente serve $(ARGS)

test: $(VENV)/.dev ## Run every test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

check: $(VENV)/.dev ## Lint, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev ## Measure against the peers, in about 50 minutes; a look by ARGS=--quick
	$(BIN)/python -m bench $(ARGS)

bench-quick: $(VENV)/.dev ## Requests per second beside nginx, in about a minute
	$(BIN)/python -m bench.quick $(ARGS)

soak: $(VENV)/.dev ## Run the long drills, in about 45 minutes; a look by ARGS=--quick
	$(BIN)/python -m soak $(ARGS)

lock: ## Resolve the dependencies anew, with hashes (needs uv)
	for set in build serve agreement dev; do \
	  uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 \
	    --no-header --no-emit-index-url --quiet \
	    $$(case $$set in build) echo --extra build;; serve) echo --extra local --extra postgres;; \
	       agreement) echo --extra local --extra postgres --extra agreement;; \
	       dev) echo --extra local --extra agreement --extra export --extra postgres --extra dev \
	         --extra build;; esac) \
	    -o requirements/$$set.txt || exit 1; \
	done

clean: ## Remove what was made, but not your data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Entente needs Python 3.11 or newer. Name one: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.serve: requirements/serve.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "Preparing $(VENV) …"
	@sh scripts/system-packages
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/serve.txt
	@$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.agreement: requirements/agreement.txt $(VENV)/.serve
	@$(PIP) install --require-hashes -r requirements/agreement.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.serve
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
