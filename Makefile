# Two commands: `make demo` installs what is needed and runs the default workflow; `make test` runs the tests.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)/workflow/scripts

.PHONY: install demo test test-faults lint real-case lock clean

install: .venv/installed

# A folder of its own until the last step, so that an interrupted installation is begun again.
.venv/installed: requirements.lock
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	touch $@

demo: install
	snakemake --cores $(CORES)

test: install
	$(BIN)/python -m pytest

# Kills, full disks, damaged files, changes: a quarter to three quarters of an hour. Full disks need a small disk to be mounted, which only root may.
test-faults: install
	$(BIN)/python -m pytest tests/faults

lint: install
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	snakemake --lint

# The real case of ISLES'22, from the folder REALDATA.
REALDATA ?= ../shared/realdata
real-case: install
	$(BIN)/python workflow/scripts/import_isles22.py $(REALDATA)/isles22 results/isles22
	snakemake --cores $(CORES) --configfile config/isles22.yaml -- results/diffusion_lesion.tsv results/pictures/sub-strokecase0009_lesions.png results/quality/index.html

# Needs uv; writes exact versions with hashes and no download addresses.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf results logs .snakemake
