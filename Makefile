# Two commands: `make start` runs Waybill, `make test` proves it. Both do their own set-up on a machine with Python 3.11+.
VENV   := .venv
BIN    := $(VENV)/bin
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: start test check suite bench lock clean

start: $(VENV)/.runtime
	@exec $(BIN)/python manage.py start

test: check suite

check: $(VENV)/.tests ## lint, types, import contracts, migrations: under two minutes
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.project manage makemigrations --check --dry-run
	@$(BIN)/python -m tests.project manage check

suite: $(VENV)/.tests ## every test on SQLite, then what touches the database once more on PostgreSQL
	@$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest -q -n 2 --dist loadfile
	WAYBILL_TEST_DATABASE=postgres $(BIN)/python -m pytest -q -n 2 --dist loadfile tests/accounts tests/runs tests/scheduling tests/web

bench: $(VENV)/.tests ## the product against its floors; ROWS="100000 1000000" WORKS="W1 W2 W3 W4"
	$(BIN)/python -m tests.bench --rows $(or $(ROWS),100000 1000000) $(if $(WORKS),--works $(WORKS))

lock: ## resolve pyproject.toml anew into the two lock files (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev -c requirements.lock pyproject.toml -o tests/requirements.lock

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Waybill needs Python 3.11 or newer. Install it (for example: apt install python3 python3-venv), then run make again."; exit 1; }
	@echo "Making a virtual environment with $(PYTHON)…"
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. Install it (for example: apt install python3-venv), then run make again."; rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: requirements.lock | $(VENV)/bin/python
	@echo "Installing what Waybill is made of…"
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.tests: tests/requirements.lock requirements.lock | $(VENV)/bin/python
	@echo "Installing what Waybill and its tests are made of…"
	@$(PIP) install --require-hashes -r tests/requirements.lock
	@touch $(VENV)/.runtime $@
