.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
PROJECT ?= project.yml
WORKSPACE ?= workspace
RUNTIME ?= process
JOB ?= hospital
SET ?=
SEED ?=
DURATION ?= 3600
CHAOS ?= --runtime process docker kubernetes kubernetes-pods --stock

BIN := $(VENV)/bin
HELM := $(or $(shell command -v helm),.tools/helm)
# tests/conftest.py orders the groups of tests by duration, not by their number of tests.
PYTEST := $(BIN)/python -m tests.rerun -n logical --dist loadgroup --no-loadscope-reorder
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
FLAREFLEET := $(BIN)/flarefleet --project $(PROJECT) --workspace $(WORKSPACE)

.PHONY: help install check provision up status logs down submit jobs console tensorboard demo dist test test-all test-unit stock chaos bench-exchange bench-start bench-sites lint format lock images tools charts docs site monitor dashboards examples flower vla clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  Variables: PROJECT=$(PROJECT) WORKSPACE=$(WORKSPACE) RUNTIME=$(RUNTIME) JOB=$(JOB) SET='rounds=5 ...'"

install: $(VENV)/.installed ## Create the virtual environment .venv

# Everything is locked with hashes but torch: its CPU and CUDA wheels carry one version and different hashes.
# Python compiles the modules that it imports; pip would compile all, for 40 CPU seconds.
$(VENV)/.installed: pyproject.toml requirements/dev.txt requirements/torch.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV), which takes a few minutes (log: $(VENV)/install.log)"
	@{ $(PIP_INSTALL) --no-compile $(PIP_ARGS) -r requirements/torch.txt && \
	  $(PIP_INSTALL) --no-compile --require-hashes --no-deps -r requirements/dev.txt && \
	  $(PIP_INSTALL) --no-deps --no-build-isolation --editable .; \
	} >$(VENV)/install.log 2>&1 || { tail -n 30 $(VENV)/install.log >&2; exit 1; }
	@touch $@

check: install ## Validate project.yml and report all errors
	$(FLAREFLEET) check

provision: install ## Create or update certificates, startup kits and release folders
	$(FLAREFLEET) provision

up: install ## Start the federation (RUNTIME=process, docker or kubernetes) and wait until it is ready
	$(FLAREFLEET) up --runtime $(RUNTIME)

status: install ## Show the server and every site
	$(FLAREFLEET) status

logs: install ## Show the log of one site: make logs SITE=site-1
	$(FLAREFLEET) logs $(SITE)

down: install ## Stop the federation
	$(FLAREFLEET) down

submit: install ## Submit a job and watch it: make submit JOB=hospital SET='rounds=5'
	$(FLAREFLEET) submit $(JOB) $(foreach pair,$(SET),--set $(pair))

jobs: install ## List the federation's jobs
	$(FLAREFLEET) jobs

console: install ## Open NVFlare's own admin console
	$(FLAREFLEET) console

tensorboard: install ## Open TensorBoard with the live values of every site
	$(FLAREFLEET) tensorboard

monitor: install ## Monitor the running federation with Prometheus and, if it is installed, Grafana
	$(FLAREFLEET) monitor

demo: install ## Run a federation of four hospitals on this machine, from project.yml to a report
	$(FLAREFLEET) demo $(foreach pair,$(SET),--set $(pair))

images: install ## Build the runtime image and one image for each site (needs a Docker engine)
	$(FLAREFLEET) images build

dist: install ## Make the wheel, the source archive and the packages of the charts in dist/, with checksums
	rm -rf dist
	$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist .
	$(BIN)/python -m deploy.charts dist
	cd dist && sha256sum *.whl *.tar.gz *.tgz >SHA256SUMS

test: install ## Run unit tests, chart tests and the core of a federation on processes (ten minutes)
	$(PYTEST) -m 'not extended and not docker and not kubernetes'

test-all: install ## Run all tests; skipped tests report what this machine lacks (Docker, a cluster)
	$(PYTEST)

stock: install ## Measure what NVFlare alone does with the failures of the guard's table (after an update of NVFlare)
	FLAREFLEET_STOCK=1 $(PYTEST) -m stock

test-unit: install ## Run the unit tests alone
	$(BIN)/python -m pytest -n logical tests/unit

# As root: the harness signals processes of containers, drops packets and mounts a small volume.
chaos: install ## Kill every part under running jobs; SEED=N walks at random for DURATION seconds; CHAOS=options
	$(BIN)/python -m benchmarks.chaos $(if $(SEED),--seed $(SEED) --duration $(DURATION),$(CHAOS))

bench-exchange: install ## Measure the exchange of a large model beside stock NVFlare: BENCH='--megabytes 1000 --sites 4'
	$(BIN)/python -m benchmarks.exchange $(BENCH)

bench-start: install ## Measure short jobs from their submission to their end, beside stock NVFlare (ten minutes)
	$(BIN)/python -m benchmarks.job --long-rounds 0

bench-sites: install ## Measure a server with 100 sites beside stock NVFlare: BENCH='--registered 1000 --only flarefleet'
	$(BIN)/python -m benchmarks.sites $(BENCH)

lint: install $(HELM) ## ruff, mypy, import-linter, yamllint, charts, shellcheck, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/yamllint --strict .
	$(BIN)/python helm/generate.py --check
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m maintenance.dashboards --check
	$(HELM) lint --strict --quiet helm/flare-monitoring
	for chart in flare-server flare-client; do $(HELM) lint --strict --quiet helm/$$chart -f tests/charts/minimal.yaml || exit 1; done
	$(BIN)/shellcheck .ci/run $$(git ls-files '*.sh')
	$(BIN)/hadolint images/Dockerfile

format: install ## Format all files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Update the locked requirements
	$(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --no-emit-package torch \
	  $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) --extra jobs --extra tracking --extra dev \
	  --output-file requirements/dev.txt requirements/torch.txt pyproject.toml
	$(BIN)/python -m maintenance.flower_environment --lock
	images/lock.sh
	$(BIN)/python -m maintenance.vla_lock
	$(BIN)/python -m tests.examples.environment --lock

tools: .tools/helm ## Download pinned versions of helm and kubectl into .tools/

.tools/helm: $(VENV)/.installed deploy/tools.py
	$(BIN)/python -m deploy.tools

vla: install ## Create .venv-vla, the environment of the tests of fedprox-vla
	$(BIN)/python -m tests.vla.environment

examples: install ## Create .venv-examples: .venv with Lightning, XGBoost and PSI, for tests/examples
	$(BIN)/python -m tests.examples.environment

flower: install ## Create .venv-flower: .venv with Flower, for the job flower-digits
	$(BIN)/python -m maintenance.flower_environment

docs: install ## Generate docs/metrics.md, docs/project-yml.md, project.schema.json and the tables in docs/guard.md and docs/nvflare-internals.md
	$(BIN)/python docs/generate.py
	$(BIN)/python -m docs.tables

site: install ## Build the documentation as a site in .cache/site, and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

charts: install ## Generate values.yaml, schemas and READMEs of the charts from values.schema.yaml
	$(BIN)/python helm/generate.py

dashboards: install ## Generate the dashboards and alert rules of helm/flare-monitoring
	$(BIN)/python -m maintenance.dashboards

clean: ## Remove the virtual environment and caches, but not workspace/
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
