# Everything a person runs. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.PHONY: help up down test check clean preview preflight bootstrap-azure bootstrap-azure-teardown status logs ssh drift reference prices lock packages check-packages test-packages artifacts

STACK ?= local
python := .venv/bin/python
# Of the stack: `make status STACK=dev pulumi=bin/pulumi-local` looks at dev on the emulated Azure.
pulumi := $(if $(filter local,$(STACK)),bin/pulumi-local,pulumi)
instance := $(or $(OLLAMAZURE_EMULATOR),.emulator)
# Machines, network namespaces and firewall rules are made by root. Under sudo the user's own cache
# and package settings stay in force.
root := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env)
# The way to the machine of a stack, for the targets that look at it.
to_machine = $(if $(filter pulumi,$(pulumi)),,$(root)) $(python) -m scripts.$@ --stack $(STACK) --pulumi $(pulumi)

help: ## show this
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 26

up: packages artifacts ## install what is missing, deploy on the emulated Azure, say where the chat is
	@$(root) bin/pulumi-local up --yes --skip-preview --stack $(STACK)
	@echo
	@echo "The chat:   $$($(root) bin/pulumi-local stack output url --stack $(STACK))"
	@echo "Sign in as: $$($(root) bin/pulumi-local stack output adminEmail --stack $(STACK))"
	@echo "Password:   $(if $(root),sudo -E )bin/pulumi-local stack output adminPassword --show-secrets --stack $(STACK)"

down: $(if $(wildcard $(instance)),.venv) ## remove the deployment and everything it made on this machine
	@if [ -e "$(instance)" ]; then
	    $(root) $(python) -m emulator.host.teardown
	    $(root) rm -rf "$(instance)"
	    echo "Removed: the emulated Azure in $(instance), with its machine and its disks."
	else
	    echo "Nothing to remove: there is no emulated Azure in $(instance)."
	fi

test: check test-packages artifacts ## all checks and all tests
	@$(root) $(python) -m emulator.artifacts build machine-lean embedding-model dex
	@$(root) $(python) -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder

check: check-packages .venv ## formatting, types and linters
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/yamllint --strict .
	tools/shell-scripts.sh | xargs --null shellcheck --external-sources
	tools/lint-workflows.sh

preview: packages $(if $(filter local,$(STACK)),artifacts,.venv) ## what `make up` would change, in plain words; STACK=dev BASE=main DIFF=1
	@$(root) env OLLAMAZURE_PLAN=$(if $(filter local,$(STACK)),0,1) $(python) -m ollamazure.review.compare \
	    --stack $(STACK) $(if $(BASE),--base $(BASE)) $(if $(DIFF),--diff)

preflight: .venv ## what Azure would refuse, before a deployment there; only reads; STACK=dev
	@$(python) -m ollamazure.azure.preflight --stack $(STACK)

bootstrap-azure: .venv ## what workflows need on Azure to deploy a stack; STACK=dev REPOSITORY=owner/name
	@$(python) -m ollamazure.azure.bootstrap --stack $(STACK) --repository "$(REPOSITORY)"

bootstrap-azure-teardown: .venv ## delete that again, after `pulumi destroy`; STACK=dev
	@$(python) -m ollamazure.azure.bootstrap --stack $(STACK) --teardown

status: .venv ## how the machine and the chat are, on one screen; STACK=dev
	@$(to_machine)

logs: .venv ## what the services have logged; STACK=dev UNIT=nginx SINCE=1h FOLLOW=1
	@$(to_machine) $(if $(UNIT),--unit "$(UNIT)") $(if $(SINCE),--since "$(SINCE)") $(if $(FOLLOW),--follow)

ssh: .venv ## a session on the machine, with keys that are in no file; STACK=dev COMMAND="uptime"
	@$(to_machine) $(if $(COMMAND),"$$COMMAND")

drift: .venv ## what is no longer as declared, in the cloud and on the machine; only reads; STACK=dev
	@$(to_machine)

reference: .venv ## write docs/reference/ and the config block of Pulumi.yaml from the settings
	@$(python) -m tools.generate

prices: .venv ## bring ollamazure/catalog/prices.yaml up to date from Azure's public price list; REGIONS=francecentral adds one
	@$(python) -m tools.prices $(REGIONS)

lock: .venv ## write constraints.txt from what is installed, after a pin has changed
	@grep -h == requirements.txt requirements-dev.txt >.venv/direct.txt
	echo "# What the packages in requirements*.txt bring along; written by \`make lock\`." >constraints.txt
	$(python) -m pip freeze | grep -viFx -f .venv/direct.txt >>constraints.txt

clean: down ## remove the deployment, the Python environment's link and the tools' caches; built artifacts stay
	@$(root) rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	@echo "Built artifacts stay in $${XDG_CACHE_HOME:-$$HOME/.cache}/ollamazure; remove that folder to build them anew."

packages:
	@$(if $(root),echo "File systems and machines and firewall rules are made by root; sudo asks.")
	tools/install-packages.sh up

check-packages:
	@$(if $(root),echo "File systems and machines and firewall rules are made by root; sudo asks.")
	tools/install-packages.sh check

test-packages:
	@$(if $(root),echo "File systems and machines and firewall rules are made by root; sudo asks.")
	tools/install-packages.sh test

artifacts: .venv
	@$(root) $(python) -m emulator.artifacts build

# Made again when a pin changes; the environment itself is kept by the hash of the pins.
.venv: requirements.txt requirements-dev.txt constraints.txt pyproject.toml tools/make-venv.sh
	@tools/make-venv.sh
