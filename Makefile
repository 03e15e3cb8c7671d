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

.PHONY: demo test check format docs bench clean

demo: $(READY)  ## run the bundled workflow against the embedded DSS simulator
	@$(BIN)/treadle dataiku demo

test: $(READY)  ## every test
	$(BIN)/pytest

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

bench: $(READY)  ## measure against bare aiohttp; prints the table of bench/README.md
	$(BIN)/python -m bench

$(READY): uv.lock pyproject.toml | $(UV)
	$(UV) sync --frozen --all-extras --compile-bytecode
	@touch $@

.tools/bin/uv:
	$(PYTHON) tools/bring_uv.py .tools

clean:
	rm -rf .venv .tools build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
