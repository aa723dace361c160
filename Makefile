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

BIN := $(VENV)/bin
HELM := $(or $(shell command -v helm),.tools/helm)
PYTEST := $(BIN)/python -m tests.rerun -n logical --dist loadgroup
FLAREFLEET := $(BIN)/flarefleet --project $(PROJECT) --workspace $(WORKSPACE)

.PHONY: help install check provision up status logs down submit jobs console tensorboard demo test test-all test-unit lint format lock images tools charts docs monitor dashboards flower clean

help: ## Say what each target does
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  Variables: PROJECT=$(PROJECT) WORKSPACE=$(WORKSPACE) RUNTIME=$(RUNTIME) JOB=$(JOB) SET='rounds=5 ...'"

install: $(VENV)/.installed ## Make the virtual environment .venv, once

# Everything is locked with hashes but torch: its CPU and CUDA wheels carry one version and different hashes.
$(VENV)/.installed: pyproject.toml requirements/dev.txt requirements/torch.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r requirements/torch.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: install ## Read project.yml and report every mistake
	$(FLAREFLEET) check

provision: install ## Make or update certificates, startup kits and release files
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

tensorboard: install ## Open TensorBoard on what every site logs, live
	$(FLAREFLEET) tensorboard

monitor: install ## Watch the running federation: Prometheus, and Grafana where it is installed
	$(FLAREFLEET) monitor

demo: install ## A federation of four hospitals on this machine, from project.yml to a report
	$(FLAREFLEET) demo $(foreach pair,$(SET),--set $(pair))

images: install ## Build the runtime image and one image a site (needs a Docker engine)
	$(FLAREFLEET) images build

test: install ## Test the kit in ten minutes: units, charts, and the core of a federation on processes
	$(PYTEST) -m 'not extended and not docker and not kubernetes'

test-all: test ## Run every test; say what this machine lacks for the rest (Docker, a cluster, Flower, lerobot)
	$(PYTEST) -m 'extended or docker or kubernetes'

test-unit: install ## Run the unit tests alone
	$(BIN)/python -m pytest -n logical tests/unit

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

format: install ## Put every file into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Lock the requirements of pyproject.toml anew
	$(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --no-emit-package torch \
	  $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) --extra jobs --extra tracking --extra dev \
	  --output-file requirements/dev.txt requirements/torch.txt pyproject.toml
	$(BIN)/python -m maintenance.flower_environment --lock
	images/lock.sh
	$(BIN)/python -m maintenance.vla_lock

tools: .tools/helm ## Fetch a pinned helm and kubectl into .tools/, for machines that have none

.tools/helm: $(VENV)/.installed deploy/tools.py
	$(BIN)/python -m deploy.tools

vla: install ## Make .venv-vla, in which the tests run the job fedprox-vla
	$(BIN)/python -m tests.vla.environment

flower: install ## Make .venv-flower: what .venv has, and Flower, for the job flower-digits
	$(BIN)/python -m maintenance.flower_environment

docs: install ## Write docs/metrics.md anew, from the code
	$(BIN)/python docs/generate.py

charts: install ## Write the charts' values.yaml, schemas and READMEs anew, from values.schema.yaml
	$(BIN)/python helm/generate.py

dashboards: install ## Write the dashboards and alert rules of helm/flare-monitoring anew, from maintenance/dashboards and deploy/monitoring
	$(BIN)/python -m maintenance.dashboards

clean: ## Remove the virtual environment and caches; workspace/ stays
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
