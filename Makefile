# The same words by hand and in CI. Everything installs into .venv; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS = $(shell sed -n '/^\[project.optional-dependencies\]/,/^$$/s/ = .*//p' pyproject.toml | paste -sd,)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: setup demo test test-full bench coverage fuzz mutants lint types contracts check docs commands guide-pictures sbom licences demo-checkpoint clean

setup: .venv/.ready-dev

.venv/.pip: Makefile
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --upgrade 'pip>=25.1'
	@touch $@

.venv/.ready: .venv/.pip pyproject.toml constraints.txt
	$(PIP) --editable '.[plot]'
	@touch $@

.venv/.ready-dev: .venv/.ready
	$(PIP) --group test --group lint --group docs
	@touch $@

.venv/.orthanc: tests/unpack_debian.sh | .venv/.pip
	@tests/unpack_debian.sh .venv/orthanc orthanc orthanc-dicomweb && touch $@ || \
		echo 'no Orthanc from Debian here: for tests/e2e/test_orthanc.py install it with its DICOMweb plugin' >&2

.venv/.chromium: tests/unpack_debian.sh | .venv/.pip
	@tests/unpack_debian.sh .venv/chromium chromium fonts-liberation && touch $@ || \
		echo 'no Chromium from Debian here: for tests/browser/ install it as `chromium`' >&2

demo: .venv/.ready  ## the main job on samples/: prints and plots its predictions
	$(BIN)/dualsight demo

test: .venv/.ready-dev .venv/.orthanc .venv/.chromium  ## what CI runs
	$(BIN)/python -m pytest -m 'not slow'

test-full: .venv/.ready-dev .venv/.orthanc .venv/.chromium  ## with the long ones: minutes, gigabytes
	$(PIP) --group bench
	$(BIN)/python -m pytest --timeout=3600

bench: .venv/.ready-dev  ## every engine at the official size, beside the peer: 2.5 GB in build/official
	$(PIP) --group bench
	$(BIN)/python benchmarks/engines.py build/official

coverage: .venv/.ready-dev .venv/.orthanc .venv/.chromium  ## lines and branches of src that `make test` runs
	rm -rf build/coverage && mkdir -p build/coverage
	-$(BIN)/coverage run -m pytest -m 'not slow'
	$(BIN)/coverage combine
	$(BIN)/coverage report --skip-covered --sort=cover

fuzz: .venv/.ready-dev  ## 20,000 damaged files of each kind: tests/hostile
	PYTHONPATH=tests $(BIN)/python -m hostile.fuzz --count 20000

mutants: .venv/.ready-dev  ## small changes of the source, which the tests should notice: docs/mutants.md
	$(PIP) --group mutants
	$(BIN)/python tests/mutants.py

lint: .venv/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.ready-dev
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

contracts: .venv/.ready-dev
	$(BIN)/lint-imports

check: lint types contracts

docs: .venv/.ready-dev  ## the site, into site/: whatever is broken or missing stops it
	$(BIN)/mkdocs build

commands: .venv/.ready-dev  ## docs/commands.md, from the program
	$(BIN)/python tests/command_tree.py > docs/.commands.part && mv docs/.commands.part docs/commands.md

guide-pictures: .venv/.ready-dev  ## runs the guides and keeps the pictures that they make
	DUALSIGHT_KEEP_PICTURES=1 $(BIN)/python -m pytest tests/e2e/test_guides.py -k guide_runs

build/release: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $@
	$@/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt '.[$(EXTRAS)]'
	@touch $@

sbom: build/release .venv/.ready-dev  ## dist/sbom.cdx.json: what a release with all extras is made of (CycloneDX)
	$(PIP) --group release
	mkdir -p dist && $(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-file dist/sbom.cdx.json build/release

licences: build/release .venv/.ready-dev  ## docs/dependencies.md: their licences
	$(PIP) --group release
	tests/list_licences.sh $(BIN) build/release > docs/.dependencies.part && mv docs/.dependencies.part docs/dependencies.md

demo-checkpoint: .venv/.ready  ## draws, trains and measures the demonstration model again, from its seed
	$(BIN)/python -m dualsight.learn.demo build/demo

clean:
	rm -rf .venv build dist site
