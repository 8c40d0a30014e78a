# A wrapper only: every recipe is one command that also works by hand. `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
IMAGE ?= openbell
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/openbell/__init__.py)
COMPOSE := docker compose -f deploy/compose.yaml
export PYTHON

# Stamps: a target is done again only when what it is made from is newer.
BASE := .venv/.stamp-base
RUNTIME := .venv/.stamp-runtime
DEV := .venv/.stamp-dev
WEB := .venv/.stamp-web
KERNEL := .venv/.stamp-kernel
FRONTEND := $(shell find frontend \( -name node_modules -o -name .next -o -name out \) -prune -o -type f -not -name next-env.d.ts -not -name '*.tsbuildinfo' -print 2>/dev/null)

.PHONY: help setup demo run run-local dev test test-services test-coverage lint format bench proto web-types build lock install-tools clean \
	docker-build docker-build-arm64 build-arm64 docker-compose-up docker-compose-logs docker-compose-down

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# --- environment

$(BASE): scripts/setup.sh
	@scripts/setup.sh base
	@touch $@

$(RUNTIME): requirements.lock pyproject.toml $(BASE)
	@scripts/setup.sh runtime
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@scripts/setup.sh dev
	@touch $@

$(WEB): scripts/build_web.sh $(FRONTEND) $(BASE)
	@scripts/build_web.sh
	@touch $@

# The kernel is compiled once, beside the building of the page, so that the first start need not wait for it.
$(KERNEL): $(RUNTIME)
	@echo "openbell setup: compiling the kernel" >&2
	@folder=$$(mktemp -d); $(BIN)/openbell demo --speed max --exit --data-dir "$$folder" > /dev/null; rm -r "$$folder"
	@touch $@

setup: $(BASE) ## .venv with what openbell needs to run, the web page, and the kernel compiled
	@$(MAKE) --no-print-directory --silent --output-sync=target -j2 $(KERNEL) $(WEB)

install-tools: setup $(DEV) ## the tools for tests, lint and types as well

lock: $(BASE) ## resolve the dependencies again (the locks hold hashes and no addresses)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(ARGS) pyproject.toml --extra services --extra notify -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(ARGS) pyproject.toml --extra services --extra notify --group dev -c requirements.lock -o requirements-dev.lock
	! grep -nE 'https?://' requirements.lock requirements-dev.lock

clean: ## remove the environment and everything built
	rm -rf .venv build dist scripts/web_types/node_modules frontend/node_modules frontend/.next frontend/out src/openbell/web/static

# --- run

demo: setup ## recorded real ticks through the whole platform, on 127.0.0.1:8081
	@$(BIN)/openbell demo $(ARGS)

run: setup ## the platform with the settings of configs/config.yaml and .env
	@scripts/run.sh $(ARGS)

run-local: run ## the same

dev: install-tools ## the platform, restarted when a source changes
	@scripts/run_dev.sh $(ARGS)

# --- check

# The tests of the page need a Chromium; where none can be had, they are left out, and it says so.
FIND_BROWSER = if CHROMIUM=$$(scripts/chromium.sh); then export CHROMIUM; browser=browser; \
	else browser="not browser"; echo "the tests of the page are left out" >&2; fi

test: install-tools ## every test that needs no server
	@$(FIND_BROWSER); $(BIN)/python -m pytest -n 2 -m "not services and (not browser or $$browser)" $(ARGS)

# One after the other, since some of them kill a server. Servers that the environment names are taken as they are.
test-services: install-tools ## the tests against real servers: PostgreSQL, Redis, RabbitMQ, Kafka (scripts/services.sh starts them)
	@[ -n "$${OPENBELL_KAFKA__SERVERS:-}" ] || scripts/services.sh up
	@$(FIND_BROWSER); $(BIN)/python -m pytest -n 2 --dist loadfile -m "services and (not browser or $$browser)" $(ARGS)

test-coverage: install-tools ## every test that needs no server, with a coverage report in htmlcov/
	@NUMBA_DISABLE_JIT=0 $(BIN)/python -m pytest -n 2 -m "not services" --cov --cov-report=term --cov-report=html $(ARGS)

lint: install-tools ## style, format, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install-tools ## let ruff mend style and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: install-tools ## speed, beside the peers that are installed
	@$(BIN)/python -m benchmarks $(ARGS)

# --- deliver

proto: install-tools ## Python code from the contracts in src/openbell/proto
	@scripts/proto.sh src

web-types: install-tools ## types for the page from the gateway's OpenAPI document
	@scripts/web_types.sh

build: install-tools ## wheel and source archive in dist/
	@$(BIN)/uv build --quiet --python $(BIN)/python --out-dir dist

docker-build: ## container image for this machine
	docker build -f deploy/Dockerfile -t $(IMAGE):$(VERSION) -t $(IMAGE):latest .

build-arm64: docker-build-arm64 ## the same as docker-build-arm64 (the wheel itself is the same on every machine)

docker-build-arm64: ## container image for 64-bit ARM (Raspberry Pi 5)
	docker buildx build --platform linux/arm64 -f deploy/Dockerfile -t $(IMAGE):$(VERSION)-arm64 --load .

docker-compose-up: ## build and start in the background
	$(COMPOSE) up --build --detach --wait

docker-compose-logs: ## follow the logs
	$(COMPOSE) logs --follow

docker-compose-down: ## stop; the volume with the journal stays
	$(COMPOSE) down
