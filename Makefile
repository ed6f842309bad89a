# `make demo` and `make test` each start from a bare machine with Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types clean lock sbom dist benchmark-timm
demo: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# Two workers of one thread each, rather than four threads. Some machines are set up not to keep compiled modules: each
# of the hundreds of commands that the tests start would compile PyTorch's anew.
test: $(READY)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests

# The smallest model of each of timm's modules, exported in every format: hours. It goes on where it was stopped.
# SHARD=1/4 to SHARD=4/4 in four terminals share the work.
SHARD ?= 1/1
benchmark-timm: $(READY)
	$(BIN)/python benchmarks/catalogue.py --collection timm --per-module --shard $(SHARD)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The versions of constraints.txt with the SHA-256 of every file of theirs, for every platform. Needs the network.
# Index addresses are left out, so that the files hold for any index that serves these files.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
lock: $(READY)
	$(COMPILE) --constraints constraints.txt --extra dev --output-file requirements.lock pyproject.toml .ci/build.in
	$(COMPILE) --output-file .ci/installer.lock .ci/installer.in

# What zoo depends on when it is installed, with versions and licences, as CycloneDX JSON.
sbom: $(READY)
	@mkdir -p dist
	@$(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py environment --output-reproducible --of JSON \
		--pyproject pyproject.toml $(BIN)/python > dist/environment.json
	@$(BIN)/python .ci/sbom.py < dist/environment.json > dist/zoo-kit.cdx.json
	@rm dist/environment.json
	@echo dist/zoo-kit.cdx.json

dist: sbom
	$(BIN)/uv build --quiet --out-dir dist

# uv, installed into the project's own environment, makes 2 minutes of installing 20 seconds.
# Every file that is installed must have a hash of the lock files. HASHES=no installs the versions of constraints.txt
# from whatever index is configured, such as one of CPU builds of PyTorch, whose files have other hashes.
HASHES ?= yes
$(READY): pyproject.toml constraints.txt requirements.lock .ci/installer.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is not Python 3.11 or later."; echo "  next: Say which one: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV): PyTorch and the rest, about 6 GB."
	@$(PYTHON) -m venv $(VENV)
ifeq ($(HASHES),no)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraints constraints.txt --editable '.[dev]'
else
	@{ $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r .ci/installer.lock && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .; } || \
		{ echo "error: The packages of requirements.lock could not be installed; see above."; \
		echo "  next: If your package index serves other files on purpose, install without hashes: make HASHES=no"; exit 1; }
endif
	@touch $(READY)
