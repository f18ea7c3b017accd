.PHONY: demo test quick lint types format clean
VENV := .venv
PY := $(VENV)/bin/python
BOOT := sh scripts/bootstrap.sh

demo:            ## the main job, offline, on real actors
	@$(BOOT) base
	@$(VENV)/bin/crucible-ray demo

test:            ## the whole suite, files in their order over two processes
	@$(BOOT) dev
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick:           ## lint, types, tests without Ray
	@$(BOOT) dev
	$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
	$(PY) -m pytest -q -m "not ray and not slow"

lint:
	@$(BOOT) dev
	$(PY) -m ruff check . && $(PY) -m ruff format --check .

types:
	@$(BOOT) dev
	$(PY) -m mypy

format:
	@$(BOOT) dev
	$(PY) -m ruff check --fix . && $(PY) -m ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
