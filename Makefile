# Needs Python 3.11 and make, nothing else. `make demo` first; `make help` lists the rest.
PYTHON ?= python3.11
PUMPS ?= 50
SOAK ?= kills properties
KILLS ?= 50
MODELS ?= 100,1000,10000
ASSETS ?= 500
BENCHMARKS ?= airflow contract dags dirt monitor report serve
PARENT ?= python:3.11-slim
RUN := .venv
AIRFLOW := .venv-airflow
DEV := .venv-dev

export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export GX_ANALYTICS_ENABLED := false
unexport PYTHONDONTWRITEBYTECODE  # imports take three times as long without bytecode
unexport PYTHONPATH

.DELETE_ON_ERROR:
.PHONY: help demo airflow test soak soak-kills soak-properties check format bench docs reference lock clean

help:  ## list what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN)/.ready  ## make a fleet of 50 simulated pumps and run the whole flow on it
	cd examples/pumps && test -e data/fleet.csv || PYTHONPATH=src $(CURDIR)/$(RUN)/bin/python -m pumps.simulate --assets $(PUMPS) --out data
	cd examples/pumps && $(CURDIR)/$(RUN)/bin/datadriver run --until 2025-05-01 || test $$? -eq 6  # some assets may fail, and are listed
	@cat docs/after-demo.txt

airflow: $(AIRFLOW)/.ready  ## see the pumps of the demo in Airflow, one of them scored there; Ctrl-C ends it
	@test -e examples/pumps/.datadriver/ledger.db || { echo "there are no pumps yet: make demo first"; exit 1; }
	cd examples/pumps && $(CURDIR)/$(AIRFLOW)/bin/datadriver airflow up --score YBL-0001 --start 2025-04-30 --end 2025-05-01

test: $(DEV)/.ready  ## run all tests
	$(DEV)/bin/pytest -n auto --dist loadgroup $(PYTEST)

soak: $(SOAK:%=soak-%)  ## kill runs at random moments (SOAK=kills), try to refute every property for hours (SOAK=properties)

soak-kills: $(DEV)/.ready
	$(DEV)/bin/pytest tests/soak --kills=$(KILLS) $(PYTEST)

soak-properties: $(DEV)/.ready
	$(DEV)/bin/pytest -n auto -m hypothesis --hypothesis-profile=soak --timeout=36000 $(PYTEST)

check: $(DEV)/.ready  ## lint, format, types, architecture, stale docs
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports
	$(DEV)/bin/python docs/generate.py --check

format: $(DEV)/.ready  ## put the code in order
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

bench: $(DEV)/.ready  ## run the benchmarks
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(DEV)/bin/python benchmarks/$$name.py; done
	$(DEV)/bin/python benchmarks/train.py --models $(MODELS)
	$(DEV)/bin/python benchmarks/images.py --parent $(PARENT)
	$(DEV)/bin/python benchmarks/pumps.py --assets $(ASSETS)

docs: reference  ## build the documentation into site/
	$(DEV)/bin/mkdocs build --strict

reference: $(DEV)/.ready  ## write the generated pages of the documentation
	$(DEV)/bin/python docs/generate.py

lock: $(DEV)/.ready  ## choose the exact versions anew, after a change of pyproject.toml
	$(call compile,locks/installer.in) -o locks/installer.txt
	$(call compile,pyproject.toml --extra dev --group build) -o locks/dev.txt
	$(call compile,pyproject.toml --group build -c locks/dev.txt) -o locks/run.txt
	$(call compile,pyproject.toml --extra airflow --group build -c locks/dev.txt) -o locks/airflow.txt

clean:  ## remove the environments and everything that was made
	rm -rf $(RUN) $(AIRFLOW) $(DEV) site build dist examples/*/data examples/*/.datadriver

# Exact versions with hashes for every platform, and nothing of this machine in the file.
compile = $(DEV)/bin/uv pip compile $(1) --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links

$(RUN)/.ready: locks/run.txt locks/installer.txt pyproject.toml
$(AIRFLOW)/.ready: locks/airflow.txt locks/installer.txt pyproject.toml
$(DEV)/.ready: locks/dev.txt locks/installer.txt pyproject.toml
lock-of = $(if $(filter $(RUN),$1),run,$(if $(filter $(AIRFLOW),$1),airflow,dev))
%/.ready:
	$(PYTHON) -m venv --clear $*
	$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/installer.txt
	VIRTUAL_ENV=$(CURDIR)/$* $*/bin/uv pip install --require-hashes --compile-bytecode -r locks/$(call lock-of,$*).txt
	VIRTUAL_ENV=$(CURDIR)/$* $*/bin/uv pip install --no-deps --no-build-isolation --editable .
	touch $@
