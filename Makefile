# Every command of the project. Each works on a fresh machine with python3 (3.11 or newer) and make.
PYTHON ?= python3
BIN := .venv/bin
T ?=
# The tests of one file stay with one worker, so that what they share is started once; a later -n in T wins.
PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
MINUTES ?= 75
OUTPUT ?=
INSTALL = $(PYTHON) deploy/install.py $(if $(filter file,$(origin PYTHON)),,--chosen)
COMPILE = .venv-lock/bin/uv pip compile -q --upgrade --no-strip-extras --generate-hashes --universal --python-version 3.11 \
	--no-header --no-emit-index-url --no-emit-find-links

.PHONY: help packages tools run test test-all test-postgresql check demo bench soak mutation lock schema clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

# Makes .venv again where its Python is gone, and says so where a Python cannot run the portal: deploy/install.py.
packages:
	@$(INSTALL) .venv constraints.txt

tools:
	@$(INSTALL) .venv constraints-dev.txt

run: packages  ## start the portal (HOST, PORT and PORTAL_… settings from the environment)
	@exec $(BIN)/python manage.py serve

test: tools  ## run the tests, without the long drills; make test T=tests/feeds for a part
	@$(PYTEST) -m "not long" $(T)

test-all: tools  ## run all tests, the long drills too
	@$(PYTEST) $(T)

test-postgresql: tools  ## run the tests on a throw-away PostgreSQL
	@$(BIN)/python -m tests.postgresql $(PYTEST) -m "not long" $(T)

check: tools  ## everything that is checked before the tests
	@.ci/check

demo: packages  ## fill a running portal with sample feeds, rules and deliveries
	@$(BIN)/python manage.py demo

bench: tools  ## measure, and print one table; make bench T="P1 P5" for a part
	@$(BIN)/python -m benchmarks $(T)

soak: tools  ## try every demand for long, and print one table; make soak T="R02 R03" MINUTES=20 for a part
	@$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) $(if $(OUTPUT),--output $(OUTPUT)) $(T)

mutation: tools  ## put small faults into the deciding modules: do the tests notice? make mutation T=feeds.rules.dn
	@$(BIN)/python -m benchmarks.mutation $(T)

schema: tools  ## rewrite docs/openapi.yaml and docs/settings.md from the code
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml
	@$(BIN)/python -m portal.settings_page

lock:  ## resolve requirements*.txt again into constraints*.txt, with tools of its own and the newest indirect packages
	@$(INSTALL) .venv-lock constraints-lock.txt
	@$(COMPILE) -o constraints.txt requirements.txt
	@$(COMPILE) -o constraints-dev.txt -c constraints.txt requirements-dev.txt
	@$(COMPILE) -o constraints-gunicorn.txt -c constraints-dev.txt requirements-gunicorn.txt
	@$(COMPILE) -o constraints-lock.txt requirements-lock.txt
	@$(COMPILE) -o .ci/clients/constraints.txt .ci/clients/requirements.txt

clean:  ## remove the virtual environments and the caches (never the data)
	@rm -rf .venv .venv-lock .venv-clients .ci/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
