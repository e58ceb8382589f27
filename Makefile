# Needs Python 3.11 or newer, make, and nothing else. Everything it makes stays inside the repository.
#
#   make PYTHON=python3.12 ...     another interpreter (only when the environment is made)
#   make AIRFLOW=3.1 VENV=.venv-airflow-3.1 test      another Airflow: one of constraints/airflow-*.txt

PYTHON  ?= python3
AIRFLOW ?= 3.3
VENV    ?= .venv

# In front of PATH, so that what a target runs finds this environment's `airflow`.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# Container images set this; every Python here would compile Airflow anew, which is half of its start.
unexport PYTHONDONTWRITEBYTECODE

CONSTRAINTS := constraints/airflow-$(AIRFLOW).txt
INSTALLED   := $(VENV)/.installed-airflow-$(AIRFLOW)
PY          := $(VENV)/bin/python
AZURITE     := .azurite/node_modules/.bin/azurite-blob
KILLS       ?= 100
COMBINATIONS ?= 1000
BORDER_EXAMPLES ?= 150
WEBHOOK_EXAMPLES ?= 10000
NIGHT_PIPELINES ?= 20

.DEFAULT_GOAL := help
.PHONY: help install demo test test-matrix test-azure test-fuzz test-pay-once test-kills bench bench-night bench-transfers test-live test-upgrade test-webhooks-at-scale
.PHONY: test-browser lint types format docs dist constraints clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make the virtual environment, when pyproject.toml or the constraints changed

$(INSTALLED): pyproject.toml $(CONSTRAINTS) scripts/install
	@echo "Installing into $(VENV) for Airflow $(AIRFLOW)"
	@scripts/install "$(PYTHON)" "$(VENV)" "$(CONSTRAINTS)"
	@touch $@

demo: $(INSTALLED) ## Run four example Dags against the simulator and show what came out
	@$(PY) -m demo

test: $(INSTALLED) ## Run all tests that need nothing but this machine
	$(PY) -m pytest -m "not live and not browser" -n 6 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-matrix: $(INSTALLED) ## Run them for Airflow 3.1 to 3.4 and Python 3.11 to 3.13 (MATRIX="3.1-3.12 3.3-3.13": only these)
	@PYTEST_ARGS="$(PYTEST_ARGS)" scripts/matrix $(MATRIX)

test-live: ## Run the tests with a real scheduler, triggerers, PostgreSQL and Redis; makes an environment of its own
	@$(MAKE) --no-print-directory VENV=$(VENV)-live install
	@tests/live/prepare $(VENV)-live $(CONSTRAINTS)
	$(VENV)-live/bin/python -m pytest -m "live and not scale" tests/live $(PYTEST_ARGS)

test-webhooks-at-scale: ## Let 2,000 events wake 1,000 waiting tasks (WEBHOOK_SUBMISSIONS=1000); half an hour
	@$(MAKE) --no-print-directory VENV=$(VENV)-live install
	@tests/live/prepare $(VENV)-live $(CONSTRAINTS)
	$(VENV)-live/bin/python -m pytest -m scale tests/live $(PYTEST_ARGS)

test-browser: ## Use the web interface in a headless Chromium; makes an environment of its own, and browser-output/
	@$(MAKE) --no-print-directory VENV=$(VENV)-browser install
	@tests/browser/prepare $(VENV)-browser $(CONSTRAINTS)
	$(VENV)-browser/bin/python -m pytest -m browser tests/browser $(PYTEST_ARGS)

test-upgrade: $(INSTALLED) ## Have old versions defer tasks, and this one go on with them (UPGRADE_FROM="COMMIT ..."); 6 min
	$(PY) -m pytest -m live tests/packaging/test_upgrade.py $(PYTEST_ARGS)

test-azure: $(INSTALLED) $(AZURITE) ## Run the tests against Azurite, an Azure Blob Storage that npm installs into .azurite/
	@$(PY) -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[azure-tests]"
	AZURITE_BLOB=$(CURDIR)/$(AZURITE) $(PY) -m pytest tests/service/files/test_azurite.py $(PYTEST_ARGS)

# The lock file has every package's hash, and no package runs a script when it is installed.
$(AZURITE): tests/service/files/azurite/package-lock.json
	mkdir -p .azurite
	cp tests/service/files/azurite/package.json tests/service/files/azurite/package-lock.json .azurite/
	npm ci --silent --ignore-scripts --no-audit --no-fund --prefix .azurite
	touch $@

test-fuzz: $(INSTALLED) ## Feed both hooks some 10,000 answers of every shape, receiver and queue 10,000 forged webhooks each
	BORDER_EXAMPLES=$(BORDER_EXAMPLES) WEBHOOK_EXAMPLES=$(WEBHOOK_EXAMPLES) $(PY) -m pytest --timeout 3600 tests/unit/hooks/test_border.py tests/unit/triggers/test_any_answer.py tests/webhooks/test_fuzz.py $(PYTEST_ARGS)

test-pay-once: $(INSTALLED) ## Play random combinations of faults, deaths and oddities (COMBINATIONS=1000); count what was paid twice
	COMBINATIONS=$(COMBINATIONS) $(PY) -m pytest --timeout 7200 tests/service/test_combinations.py $(PYTEST_ARGS)

test-kills: $(INSTALLED) ## Kill a download at a hundred random offsets (KILLS=100) and let the next attempt finish
	FILES_KILL_TIMES=$(KILLS) $(PY) -m pytest --timeout 3600 tests/service/files/test_download_killed.py $(PYTEST_ARGS)

bench: $(INSTALLED) ## Measure waiting against the floor and the peers, one table per question (BENCH_QUICK=1: 2 min)
	@$(PY) -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[bench]"
	@$(PY) -m tests.benchmarks

bench-night: ## Run pipelines at once on one key under a real Airflow, against peers (NIGHT_PIPELINES=20); 15 min
	@$(MAKE) --no-print-directory VENV=$(VENV)-live install
	@tests/live/prepare $(VENV)-live $(CONSTRAINTS)
	NIGHT_PIPELINES=$(NIGHT_PIPELINES) $(VENV)-live/bin/python -m tests.benchmarks.night

bench-transfers: $(INSTALLED) ## Send 5 GB and fetch 2 GB, against curl: memory and throughput (20 GB of disk for a while)
	@$(PY) -m tests.benchmarks.transfers

lint: $(INSTALLED) ## Check style and formatting
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(INSTALLED) ## Check the types
	$(PY) -m mypy

format: $(INSTALLED) ## Rewrite what lint complains about, as far as it can be done safely
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(INSTALLED) ## Build the documentation into site/, every warning an error
	@$(PY) -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[docs]"
	$(PY) -m sphinx --quiet --fail-on-warning --keep-going --fresh-env docs site

# The same commit gives the same bytes: flit takes all times in the archives from SOURCE_DATE_EPOCH.
dist: $(INSTALLED) ## Build wheel and sdist into dist/
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(PY) -m build --no-isolation

constraints: $(INSTALLED) ## Resolve constraints/ anew
	scripts/constraints $(VENV)/bin/uv

clean: ## Remove what was made, except environments
	rm -rf .demo .matrix .hypothesis demo-output browser-output build dist site .pytest_cache .mypy_cache .ruff_cache
	find airflow_provider dags demo tests -name __pycache__ -type d -prune -exec rm -rf {} +
