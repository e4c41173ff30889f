# make demo | test | test-all | lint | validate | bench | clean. Each sets up .venv itself, once.

SHELL  := /bin/bash
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
BIN    := .venv/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all lint lint-web validate bench clean

help:
	@echo "make demo      write a short video and its contact sheet into demo/, of the bundled picture, with the miniature model"
	@echo "make test      run the tests, about five minutes (ARGS=... goes to pytest)"
	@echo "make test-all  run every test: the kernels in Triton's interpreter, whole programs, fuzzers, the editor"
	@echo "make lint      style, formatting and types"
	@echo "make validate  what the registry would say of the pack; fails on its warnings too"
	@echo "make bench     speed and memory at full size, beside diffusers; needs a CUDA card (ARGS=... goes to it)"
	@echo "make clean     remove .venv, caches and the demo's files"

demo: .venv/run.stamp
	@set -o pipefail; $(BIN)/svd-nodes run workflows/api/quickstart.json --output demo | while read -r clip; do \
	  echo "$$clip"; $(BIN)/svd-nodes sheet "$$clip" --output "$${clip%.mp4}.png"; done

test: .venv/dev.stamp
	@$(BIN)/python -m pytest -q -m "not slow" $(ARGS)

test-all: .venv/dev.stamp
	@$(BIN)/python -m pytest -q $(ARGS)

lint: .venv/dev.stamp
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check --diff .
	@mkdir -p .venv/typing && ln -sfn "$(CURDIR)" .venv/typing/svd_nodes
	@$(BIN)/mypy
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lint-web; \
	  else echo "node is not installed, so the extension in web/ is not linted."; fi
	@echo "Lint: clean."

lint-web: node_modules/.stamp
	@node_modules/.bin/biome ci --colors=off .

# comfy-cli ends well whatever it warns of, so its text decides. It gets a home of its own, and sends nothing.
validate: .venv/dev.stamp
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT; \
	said=$$(HOME="$$home" DO_NOT_TRACK=1 NO_COLOR=1 $(BIN)/comfy --skip-prompt --no-enable-telemetry node validate 2>&1) \
	  && ! grep -qi warning <<<"$$said" && grep -q "checks passed" <<<"$$said" \
	  || { echo "$$said" >&2; echo "comfy node validate is not content." >&2; exit 1; }
	@echo "Registry: valid, no warning."

bench: .venv/dev.stamp
	@$(BIN)/python -m svd_nodes.bench.gpu --diffusers $(ARGS)

clean:
	@rm -rf .venv node_modules build demo .mypy_cache .pytest_cache .ruff_cache .hypothesis svd_nodes.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: what the demo needs, and on top of it what the tests and the linters need.
.venv/run.stamp: pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python3.11." >&2; exit 1; }
	@echo "Setting up .venv (once; a few minutes) ..."
	@"$(PYTHON)" -m venv .venv \
	  || { echo "The venv module failed: on Debian and Ubuntu, install python3-venv." >&2; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[standalone]'
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	@echo "Adding the test tools to .venv (once) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# The linter of web/. No lock file: the one package is named with its exact version.
node_modules/.stamp: package.json
	@npm install --no-package-lock --no-audit --no-fund --silent
	@touch $@
