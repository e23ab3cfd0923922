# What developers run; `make help` lists it. Operators run bin/ollamazure.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.PHONY: help up down test test-long bench check generate clean packages check-packages test-packages artifacts test-artifacts

python := .venv/bin/python
instance := $(or $(OLLAMAZURE_EMULATOR),.emulator)
# Root creates machines, network namespaces and firewall rules. Under sudo the user's own cache and
# package settings stay in force.
root := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env)
pytest = $(root) $(python) -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder --durations 20
# A new clone starts with what the type checker has seen in the others.
export MYPY_CACHE_DIR := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ollamazure/mypy
about_root := Only root can create machines, file systems and firewall rules: sudo asks for your password.

help: ## show this
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

up: needs-up packages artifacts ## deploy the stack local on the emulated Azure, and print where the chat is
	@$(root) bin/pulumi-local up --yes --skip-preview --stack local
	@echo
	@echo "The chat:   $$($(root) bin/pulumi-local stack output url --stack local)"
	@echo "Sign in as: $$($(root) bin/pulumi-local stack output adminEmail --stack local)"
	@echo "Password:   $(if $(root),sudo -E )bin/pulumi-local stack output adminPassword --show-secrets --stack local"

down: $(if $(wildcard $(instance)),.venv) ## remove the deployment and everything it created on this machine
	@if [ -e "$(instance)" ]; then
	    $(root) $(python) -m emulator.host.teardown
	    $(root) rm -rf "$(instance)"
	    echo "Removed: the emulated Azure in $(instance), with its machine and its disks."
	else
	    echo "Nothing to remove: there is no emulated Azure in $(instance)."
	fi

test: needs-test check test-artifacts ## all checks, and one test for each mechanism
	@$(pytest) -m "not long"

test-long: needs-test-long check test-artifacts ## all checks and all tests, as the nightly workflow runs them
	@$(root) $(python) -m emulator.artifacts build open-webui-former azure-sdks-2025 azure-sdks-2024
	@$(pytest)

bench: needs-bench test-artifacts ## measure all, or one with NAME=chat; RECORD=1 updates docs/explanation/performance.md
	@$(root) $(python) -m emulator.artifacts build llama-bench
	@$(root) $(python) -m tools.benchmarks $(if $(RECORD),--record) $(NAME)

check: check-packages .venv ## formatting, types and linters
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/yamllint --strict .
	tools/shell-scripts.sh | xargs --null shellcheck --external-sources
	tools/lint-workflows.sh
	.venv/bin/python -m check_jsonschema --builtin-schema vendor.renovate .github/renovate.json

generate: .venv ## write docs/reference/, provider/inputs.py and the config block of Pulumi.yaml
	@$(python) -m tools.generate

clean: down ## remove the deployment, the Python environment and the tools' caches; built artifacts stay
	@$(root) rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	@echo "Built artifacts stay in $${XDG_CACHE_HOME:-$$HOME/.cache}/ollamazure; remove that folder to build them again."

# What a target needs is stated before anything is made. Only a machine without Python gets that first.
needs-%:
	@command -v python3 >/dev/null || tools/install-packages.sh check
	PATH=/usr/bin:$$PATH python3 -m emulator.needs $*

packages:
	@$(if $(root),echo "$(about_root)")
	tools/install-packages.sh up

check-packages:
	@$(if $(root),echo "$(about_root)")
	tools/install-packages.sh check

test-packages:
	@$(if $(root),echo "$(about_root)")
	tools/install-packages.sh test

artifacts: .venv
	@$(root) $(python) -m emulator.artifacts build

test-artifacts: test-packages artifacts
	@$(root) $(python) -m emulator.artifacts build machine-lean embedding-model dex azurite azure-cli azure-sdks-2026

# Made again when a pin changes; the packages themselves are kept by the hash of the pins.
.venv: requirements.txt requirements-dev.txt requirements-no-deps.txt constraints.txt pyproject.toml tools/make-venv.sh
	@tools/make-venv.sh
