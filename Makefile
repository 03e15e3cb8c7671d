# Needs Python 3.11 or newer, make and a package index. Everything is installed into this folder.
# The machine's own python3 where it is new enough, else a newer one that is installed beside it.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
    command -v $$name >/dev/null && $$name -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$name && exit; done; echo python3)
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
export UV_PYTHON_DOWNLOADS = never
export UV_PYTHON ?= $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null || echo $(PYTHON))
BIN = .venv/bin
READY = .venv/.ready

AIRFLOW = .tools/airflow

.PHONY: demo test check airflow format docs transcript bench clean

demo: $(READY)  ## run the bundled workflow against the embedded DSS simulator
	@$(BIN)/treadle dataiku demo

test: $(READY)  ## every test
	$(BIN)/pytest

airflow: $(AIRFLOW)/.ready  ## the tests of treadle.airflow, on a real Airflow in an environment of its own
	$(AIRFLOW)/bin/python -m pytest -c tests/on_airflow/pytest.ini tests/on_airflow

check: $(READY)  ## formatting, lint, types, import contracts, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_docs.py --check

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## write the generated parts of docs/
	$(BIN)/python tools/generate_docs.py

transcript: $(READY)  ## write docs/dataiku/transcript.md and its picture anew
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/transcript.py

bench: $(READY)  ## measure against bare aiohttp; prints the table of bench/README.md
	$(BIN)/python -m bench

$(READY): uv.lock pyproject.toml | $(UV)
	$(UV) sync --frozen --all-extras --no-extra airflow --compile-bytecode
	@touch $@

$(AIRFLOW)/.ready: uv.lock pyproject.toml | $(UV)
	UV_PROJECT_ENVIRONMENT=$(AIRFLOW) $(UV) sync --frozen --extra airflow --no-default-groups --group airflow --compile-bytecode
	@touch $@

.tools/bin/uv:
	$(PYTHON) tools/bring_uv.py .tools

clean:
	rm -rf .venv .tools build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
