# Two commands do everything: `make run` and `make test`. Both first bring .venv up to date (quiet when it is).
# Needs Python 3.11 to 3.13 and make, nothing else. PYTHON=/path/to/python3.12 chooses one.

PY := .venv/bin/python
# Quick rings first, two files at a time; then, each alone, those that kill processes or look at the clock.
TOGETHER := tests/unit tests/architecture tests/contract tests/integration tests/dashboard
ALONE := tests/faults tests/browser

.PHONY: help run test lint bench soak psql install install-tests clean-venv
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

run: install ## start page and daemon (PORT=8502 make run: on another port); Ctrl-C stops both
	@exec $(PY) -m common.launch

test: install-tests ## run the checks and all tests (TEST_DATABASE_URL: on a Postgres of your own)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest $(TOGETHER) -m "not soak and not bench" -n 2 --dist loadfile
	$(PY) -m pytest $(ALONE) -m "not soak and not bench"

lint: install-tests ## run the checks only
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: install-tests ## measure speed and memory under load
	$(PY) -m pytest tests/bench -m "not soak" -s

soak: install-tests ## run for hours and look for leaks
	$(PY) -m pytest tests -m soak -s

psql: install ## open the embedded Postgres
	@exec $(PY) -m common.store.embedded psql

install:
	@sh .make/with_python.sh .make/install.py run

install-tests:
	@sh .make/with_python.sh .make/install.py test

clean-venv: ## delete .venv; the next command makes it anew
	rm -rf .venv
