.DEFAULT_GOAL := help
.PHONY: help setup run calendar test browser coverage faults check format bench screenshots clean

# A node that came as a Python package stands in .venv/bin.
PYTHON = PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python
BENCHES = $(basename $(notdir $(filter-out %/__init__.py,$(wildcard tests/bench/*.py))))
# Else every process that a test starts would compile all its modules again.
export PYTHONDONTWRITEBYTECODE =
# Whole files, in their order: the long ones stand before the unit tests, which fill what is left at the end.
SPREAD = -n 4 --dist loadfile --no-loadscope-reorder --hypothesis-profile=steady
# Tracing makes tests half as slow again: only those do it that are about shared/ itself.
ELSEWHERE = $(addprefix --ignore=tests/,unit/dev unit/infra integration/admin integration/test_run.py \
	integration/test_end_to_end.py integration/test_host.py integration/test_host_life.py \
	integration/test_host_queues.py)
COVERAGE = --emulator --cov --cov-branch --cov-report=term --cov-fail-under=95

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## bring .venv and the storage emulator up to date
	@dev/bootstrap

run: setup ## everything on this machine: PBX, Exchange, storage, functions (ARGS=...)
	@$(PYTHON) -m dev.run $(ARGS)

calendar: setup ## change a calendar while it runs (ARGS=...)
	@$(PYTHON) -m dev.calendar $(ARGS)

test: setup ## all tests but those in a browser; with ARGS=... only those
	$(PYTHON) -m pytest $(SPREAD) $(or $(ARGS),--ignore=tests/browser)

browser: setup ## the tests of the page in a browser
	$(PYTHON) -m pytest $(SPREAD) tests/browser

coverage: setup ## the branch coverage of shared/
	$(PYTHON) -m pytest $(SPREAD) $(COVERAGE) $(ELSEWHERE) tests/unit tests/integration

faults: setup ## the proof by faults in its long form (ARGS=... of python -m tests.faults)
	$(PYTHON) -m tests.faults $(ARGS)

check: setup ## lint, format, types, fast tests
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -n 2 -q tests/unit tests/integration/sync

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
