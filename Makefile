.DEFAULT_GOAL := help
.PHONY: help setup run calendar test faults check format bench screenshots clean

# A node that came as a Python package stands in .venv/bin.
PYTHON = PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python
BENCHES = $(basename $(notdir $(filter-out %/__init__.py,$(wildcard tests/bench/*.py))))
# Else every process that a test starts would compile all its modules again.
export PYTHONDONTWRITEBYTECODE =
# Whole files, in their order: the long ones stand before the unit tests, which fill what is left at the end.
SPREAD = -n 3 --dist loadfile --no-loadscope-reorder --hypothesis-profile=steady
COVERAGE = --cov --cov-branch --cov-report=term --cov-fail-under=95

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## bring .venv and the storage emulator up to date
	@dev/bootstrap

run: setup ## everything on this machine: PBX, Exchange, storage, functions (ARGS=...)
	@$(PYTHON) -m dev.run $(ARGS)

calendar: setup ## change a calendar while it runs (ARGS=...)
	@$(PYTHON) -m dev.calendar $(ARGS)

test: setup ## all tests, with the branch coverage of shared/; with ARGS=... only those
	$(PYTHON) -m pytest $(SPREAD) $(or $(ARGS),$(COVERAGE))

faults: setup ## the proof by faults in its long form (ARGS=... of python -m tests.faults)
	$(PYTHON) -m tests.faults $(ARGS)

check: setup ## lint, format, types, fast tests
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -n 2 -q tests/unit

format: setup ## put the code in shape
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

bench: setup ## the measurements in tests/bench; with ARGS=publishing only that
	@for name in $(or $(ARGS),$(BENCHES)); do echo "== $$name" && $(PYTHON) -m tests.bench.$$name || exit 1; done

screenshots: setup ## the pictures in docs/screenshots
	@$(PYTHON) -m dev.screenshots

clean: ## remove all that was made here, back to a fresh clone
	rm -rf .venv dev/node_modules .run mutants htmlcov .coverage .coverage.* .hypothesis
	rm -rf .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
