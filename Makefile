# Two commands: `make demo` installs what is needed and runs the default workflow; `make test` runs the tests (`make test-slurm` those on a real SLURM).
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)/workflow/scripts

.PHONY: install demo test test-slurm test-faults lint real-case lock clean

install: .venv/installed

# A folder of its own until the last step, so that an interrupted installation is begun again. The lock file is complete, hence --no-deps: pip
# would refuse the version of numpy that pyproject.toml overrides.
.venv/installed: requirements.lock
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	touch $@

demo: install
	snakemake --cores $(CORES)

test: install
	$(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile

# A real SLURM on this machine, as root on Debian or Ubuntu; elsewhere skipped with the reason.
test-slurm: install
	$(BIN)/python -m pytest tests/slurm

# Kills, full disks, damaged files, changes: some twenty minutes. Full disks need a small disk to be mounted, which only root may.
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
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev --extra cluster pyproject.toml -o requirements.lock

clean:
	rm -rf results logs .snakemake
