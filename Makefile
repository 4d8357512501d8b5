# Every command of the project. Each works on a fresh machine with python3 (3.11 or newer) and make.
PYTHON ?= python3
BIN := .venv/bin
T ?=
MINUTES ?= 75
OUTPUT ?=

.PHONY: help run test test-postgresql check demo bench soak mutation lock schema clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

.venv/installed: constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the pinned packages…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	@touch $@

.venv/installed-dev: constraints-dev.txt .venv/installed
	@echo "Installing the tools for tests and checks…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints-dev.txt
	@touch $@

run: .venv/installed  ## start the portal (HOST, PORT and PORTAL_… settings from the environment)
	@exec $(BIN)/python manage.py serve

test: .venv/installed-dev  ## run the tests; make test T=tests/feeds for a part
	@$(BIN)/python -m pytest $(T)

test-postgresql: .venv/installed-dev  ## the same on a throw-away PostgreSQL
	@$(BIN)/python -m tests.postgresql $(BIN)/python -m pytest $(T)

check: .venv/installed-dev  ## everything that is checked before the tests
	@.ci/check

demo: .venv/installed  ## fill a running portal with sample feeds, rules and deliveries
	@$(BIN)/python manage.py demo

bench: .venv/installed-dev  ## measure, and print one table
	@$(BIN)/python -m benchmarks

soak: .venv/installed-dev  ## try every demand for long, and print one table; make soak T="R02 R03" MINUTES=20 for a part
	@$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) $(if $(OUTPUT),--output $(OUTPUT)) $(T)

mutation: .venv/installed-dev  ## put small faults into the deciding modules: do the tests notice? make mutation T=feeds.dn
	@$(BIN)/python -m benchmarks.mutation $(T)

schema: .venv/installed-dev  ## rewrite docs/openapi.yaml from the code
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

lock: .venv/installed-dev  ## resolve requirements*.txt anew into constraints*.txt
	@$(BIN)/uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url -o constraints.txt requirements.txt
	@$(BIN)/uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url -o constraints-dev.txt requirements-dev.txt

clean:  ## remove the virtual environment and the caches (never the data)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
