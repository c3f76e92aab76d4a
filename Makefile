# `make` alone lists what there is. Everything runs from .venv, which `make install` builds from requirements.lock.

PYTHON  ?= python3
UV      ?= $(shell command -v uv 2>/dev/null)
FUZZ_S  ?= 600
WORKERS ?= 6

VENV      := .venv
BIN       := $(VENV)/bin
STAMP     := $(VENV)/.installed
KERNELS   := $(VENV)/.kernels
LEFT_OUT  := build/left-out.txt
PROTO_SET := build/protos.binpb
OUTSIDE_TESTS := tests/browser tests/sdk
OUTSIDE_LOG   := build/outside-tests.txt

# On a continuous-integration machine nothing may be left out for want of a tool.
DEPLOY_FLAGS := --left-out $(LEFT_OUT) $(if $(CI),--require-all)
# What `lock` writes may name neither an index nor a folder of the machine that ran it.
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(or $(UV),$(BIN)/uv) pip compile --quiet --universal \
	--generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

step = @printf '\n\033[1m== %s\033[0m\n' "$(1)"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help install kernels run test lint fmt fmt-check types imports protos protos-check deploy-check pytest \
	left-out bench load fault fuzz lock clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "; print "make <target>, where <target> is one of\n"} \
		/^[a-z-]+:.*## / {printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\n  PYTHON=%s (3.11 to 3.13), UV=%s (empty: plain pip)\n' "$(PYTHON)" "$(UV)"

install: $(STAMP) ## build .venv from the hashed requirements.lock; nothing to do if it is up to date

$(STAMP): requirements.lock pyproject.toml
	$(call step,install: $(if $(UV),uv,pip) from requirements.lock into $(VENV))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try make PYTHON=python3.13"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(if $(UV),--without-pip) $(VENV) \
		|| { echo "$(PYTHON) cannot make a virtual environment (Debian: apt-get install python3-venv)"; exit 1; }
ifneq ($(UV),)
	@$(UV) pip install --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --python $(BIN)/python --quiet --offline --no-deps --no-build-isolation --editable .
else
	@test -x $(BIN)/pip || $(BIN)/python -m ensurepip
	@$(BIN)/python -m pip install --disable-pip-version-check $(if $(CI),--quiet) --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-index --no-deps --no-build-isolation --editable .
endif
	@touch $@

kernels: $(KERNELS) ## compile the loops of core/kernels once; a process that starts without waits half a minute longer

$(KERNELS): $(STAMP) $(wildcard core/kernels/*.py)
	$(call step,kernels: compile the loops of core/kernels)
	@$(BIN)/python -c 'from core.kernels.warm import warm_up; warm_up()'
	@touch $@

run: install kernels ## start everything with real data: embedded log, five services, demo
	$(call step,run: cdp up --demo)
	@$(BIN)/cdp up --demo

test: install ## everything that must hold before a change lands
	@mkdir -p $(dir $(LEFT_OUT)) && : > $(LEFT_OUT)
	@$(MAKE) --no-print-directory fmt-check lint types imports protos-check deploy-check pytest; \
		status=$$?; $(MAKE) --no-print-directory left-out; exit $$status

lint: install ## ruff
	$(call step,lint: ruff)
	@$(BIN)/ruff check

fmt: install ## format Python and .proto files in place
	$(call step,fmt: ruff and buf)
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format
	@$(BIN)/buf format --write protos

fmt-check: install
	$(call step,fmt-check: ruff and buf)
	@$(BIN)/ruff format --check --diff --quiet
	@$(BIN)/buf format --diff --exit-code protos

types: install ## mypy --strict over code, tests and tools
	$(call step,types: mypy --strict)
	@$(BIN)/mypy
	@$(BIN)/mypy protos/generate.py deploy/check.py tests

imports: install ## who may import whom
	$(call step,imports: import-linter)
	@$(BIN)/lint-imports --no-cache

protos: install ## regenerate protos/gen from protos/cdp
	$(call step,protos: generate stubs)
	@$(BIN)/python protos/generate.py

protos-check: install ## buf lint, and the committed stubs are those of the .proto files
	$(call step,protos-check: fresh stubs and buf lint)
	@$(BIN)/python protos/generate.py --check --image $(PROTO_SET)
	@$(BIN)/buf lint $(PROTO_SET) --config protos/buf.yaml --path cdp

deploy-check: install ## hadolint, helm lint --strict, kubernetes-validate --strict
	$(call step,deploy-check: image and chart)
	@mkdir -p $(dir $(LEFT_OUT))
	@$(BIN)/python deploy/check.py $(DEPLOY_FLAGS)

pytest: install kernels ## the tests, without the long fault runs; narrow with ARGS='tests/unit -k name'
	$(call step,pytest)
ifneq ($(ARGS),)
	@$(BIN)/python -m pytest -m "not fault" $(ARGS)
else
	@# More workers than cores: services wait for logs, peers and browsers while the core's tests compute. Browsers and
	@# SDKs stand in one process: they share what npm installs.
	@mkdir -p build; $(BIN)/python -m pytest -q -m "not fault" $(OUTSIDE_TESTS) > $(OUTSIDE_LOG) 2>&1 & outside=$$!; \
		$(BIN)/python -m pytest -q -m "not fault" -n $(WORKERS) --dist worksteal $(addprefix --ignore=,$(OUTSIDE_TESTS)); \
		inside=$$?; wait $$outside; status=$$?; cat $(OUTSIDE_LOG); exit $$((inside | status))
endif

left-out:
	@printf '\n\033[1m== left out of make test\033[0m\n'
	@test ! -s $(LEFT_OUT) || sed 's/^/  /' $(LEFT_OUT)
	@echo "  long fault runs over the whole data set (make fault), benchmarks (make bench), load (make load), long fuzzing (make fuzz)"
	@echo "  building and running the image, and installing the chart: both need a container engine or a cluster"

bench: install kernels ## figures of this machine against DuckDB and ClickHouse, printed and written to build/bench.json
	$(call step,bench)
	@$(BIN)/python -m tests.bench $(ARGS)

load: install kernels ## the segment query endpoint under load, while events come in; printed and written to build/load.json
	$(call step,load)
	@$(BIN)/python -m tests.load $(ARGS)

fault: install kernels ## kill -9 at every named point, full disks, poison, overload, whole data set; narrow with ARGS='-k name'
	$(call step,fault)
	@$(BIN)/python -m pytest tests/fault $(ARGS)
	@$(BIN)/python -m pytest tests/property -m fault $(ARGS); status=$$?; test $$status -eq 0 -o $$status -eq 5

fuzz: install kernels ## property tests for FUZZ_S=600 seconds, a new seed each time; a seed again with SEED=n
	$(call step,fuzz: $(FUZZ_S) s)
	@CDP_FUZZ_SECONDS=$(FUZZ_S) $(if $(SEED),CDP_FUZZ_SEED=$(SEED)) $(BIN)/python -m pytest tests/property $(ARGS)

lock: ## resolve the three lock files anew from pyproject.toml; UPGRADE=1 takes newer releases
	$(call step,lock: requirements.lock and deploy/*.lock)
	@$(LOCK) --all-extras -o requirements.lock pyproject.toml
	@$(LOCK) --constraint requirements.lock -o deploy/requirements.lock pyproject.toml
	@echo hatchling | $(LOCK) --constraint requirements.lock -o deploy/build.lock -

clean: ## remove what was built and installed; keeps ./data
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find core services tests protos deploy -name __pycache__ -type d -prune -exec rm -rf {} +
