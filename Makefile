# Each target sets up what it needs; Python 3.11 or newer and make are enough.
#
#   make demo        segment a bundled sample with a bundled model, step by step
#   make test        all checks and tests (the same as make check, and what CI runs)
#   make lint        the static part of it: format, lint, types, direction of imports, unsafe code, known weaknesses
#   make test-slow   the tests that take longer
#   make test-isa   the numeric tests under each instruction set that this processor has
#   make test-gpu    the tests that need a CUDA device
#   make test-pyside, make test-napari08   the tests of the window with PySide6, and with napari 0.8
#   make fuzz        10,000 damaged files of every format, each read in a child; goes on where it was stopped (fuzz/)
#   make bench       compare with nnU-Net and MONAI (about an hour), and write docs/benchmarks.md
#   make docs        the documentation as HTML, in site/
#   make release-check  build wheel and sdist twice, compare and check them, list what is in them (dist/)
#   make clean       forget the environment and everything that was built

PYTHON ?= python3
VENV ?= .venv
# The CPU build of torch. For the CUDA build: make demo TORCH_INDEX=https://pypi.org/simple
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PYTEST_ARGS ?=
# Processes that share the tests: as many as there are cores, each with networks on one thread.
WORKERS ?= auto
PEER ?= .venv-peer
PYSIDE ?= .venv-pyside
NAPARI08 ?= .venv-napari08
BENCH_ARGS ?=
FUZZ_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
TORCH := $(shell grep '^torch==' constraints.txt)
DISPLAY_HERE := $(DISPLAY)$(WAYLAND_DISPLAY)
ifeq ($(shell uname -s)$(DISPLAY_HERE),Linux)
WINDOW := xvfb-run --auto-servernum --server-args="-screen 0 1600x1200x24 +extension GLX"
endif

.PHONY: demo test check lint test-slow fuzz test-isa test-gpu test-pyside test-napari08 bench docs release-check clean
.DEFAULT_GOAL := demo

demo: $(VENV)/run.stamp
	$(if $(DISPLAY_HERE),-@scripts/system_libraries.sh)
	$(BIN)/voxtrace demo

test check: lint
	$(WINDOW) $(BIN)/pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal -m "not slow and not gpu" $(PYTEST_ARGS)

lint: $(VENV)/dev.stamp $(VENV)/audit.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/audit.py

test-slow: $(VENV)/dev.stamp
	$(WINDOW) $(BIN)/pytest -m "slow and not gpu" $(PYTEST_ARGS)

fuzz: $(VENV)/dev.stamp
	$(BIN)/python scripts/fuzz.py --count 10000 --corpus tests/fuzz/corpus --out fuzz --progress $(FUZZ_ARGS)

test-isa: $(VENV)/dev.stamp
	$(BIN)/python scripts/test_isa.py $(PYTEST_ARGS)

test-gpu: $(VENV)/dev.stamp
	$(BIN)/pytest -m gpu $(PYTEST_ARGS)

# The tests of the window in other environments: PySide6 instead of PyQt6, and the oldest napari that is supported.
# PySide6 6.12.0 loses references to None on Python 3.11 and aborts.
test-pyside: $(PYSIDE)/run.stamp
	QT_API=pyside6 $(WINDOW) $(PYSIDE)/bin/pytest -o qt_api=pyside6 -m "not slow and not gpu" tests/plugin $(PYTEST_ARGS)

test-napari08: $(NAPARI08)/run.stamp
	$(WINDOW) $(NAPARI08)/bin/pytest -m "not slow and not gpu" tests/plugin $(PYTEST_ARGS)

bench: $(VENV)/bench.stamp $(PEER)/peer.stamp
	$(BIN)/voxtrace bench --peer $(PEER)/bin/python --table docs/benchmarks.md $(BENCH_ARGS)
	$(BIN)/voxtrace bench cost --table docs/benchmarks.md

docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

release-check: $(VENV)/release.stamp
	$(BIN)/python scripts/release.py check dist

clean:
	rm -rf $(VENV) $(PEER) $(PYSIDE) $(NAPARI08) build dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	    "$(PYTHON) is $$($(PYTHON) --version 2>&1); VoxTrace needs Python 3.11 or newer: make demo PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo \
	    "python cannot make a virtual environment; on Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }

# torch comes first and from its own index: the default index would bring gigabytes of CUDA packages along.
$(VENV)/run.stamp: pyproject.toml constraints.txt napari.yaml src/voxtrace/version.py | $(VENV)/bin/python
	@echo "Installing torch and what the engine and the window need into $(VENV) (about two minutes)"
	@$(PIP) install --no-deps --retries 1 --index-url $(TORCH_INDEX) $(TORCH)
	@$(PIP) install --constraint constraints.txt --editable '.[gui,openvino]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp scripts/system_libraries.sh
	@scripts/system_libraries.sh $(if $(WINDOW),xvfb)
	@echo "Installing what the checks need into $(VENV)"
	@$(PIP) install --constraint constraints.txt --editable '.[gui,openvino,dev]'
	@touch $@

# Not in the extra `dev`: where these cannot be had, the other checks still run, and scripts/audit.py says so.
$(VENV)/audit.stamp: $(VENV)/dev.stamp
	-@$(PIP) install --constraint constraints.txt 'bandit[toml]>=1.8' 'pip-audit>=2.9'
	@touch $@

$(VENV)/bench.stamp: $(VENV)/run.stamp
	@$(PIP) install --constraint constraints.txt --editable '.[openvino]'
	@touch $@

# nnU-Net has an environment of its own, with the same torch. It asks for torchvision, which no CPU build here fits and
# which prediction never imports.
$(PEER)/peer.stamp: constraints.txt
	@echo "Installing nnU-Net v2 into $(PEER) (about two minutes)"
	@$(PYTHON) -m venv $(PEER)
	@$(PEER)/bin/python -m pip --quiet --quiet install --no-deps --retries 1 --index-url $(TORCH_INDEX) $(TORCH)
	@$(PEER)/bin/python -m pip --quiet --quiet install --constraint constraints.txt nnunetv2==2.8.1
	@$(PEER)/bin/python -m pip --quiet --quiet uninstall --yes torchvision
	@touch $@

WINDOW_TESTS := magicgui pyqtgraph qtpy superqt hypothesis pytest pytest-qt pytest-timeout pytest-xdist

$(PYSIDE)/run.stamp: pyproject.toml constraints.txt napari.yaml
	@$(PYTHON) -m venv $(PYSIDE)
	@$(PYSIDE)/bin/python -m pip --quiet --quiet install --no-deps --retries 1 --index-url $(TORCH_INDEX) $(TORCH)
	@grep -vi '^pyqt6' constraints.txt > $(PYSIDE)/constraints.txt
	@$(PYSIDE)/bin/python -m pip --quiet --quiet install --constraint $(PYSIDE)/constraints.txt --editable . \
	    napari 'PySide6<6.12' $(WINDOW_TESTS)
	@touch $@

$(NAPARI08)/run.stamp: pyproject.toml constraints.txt napari.yaml
	@$(PYTHON) -m venv $(NAPARI08)
	@$(NAPARI08)/bin/python -m pip --quiet --quiet install --no-deps --retries 1 --index-url $(TORCH_INDEX) $(TORCH)
	@grep -viE '^(napari|npe2|app-model|pydantic|psygnal|in-n-out|vispy|magicgui|superqt|pandas|pint)' constraints.txt \
	    > $(NAPARI08)/constraints.txt
	@$(NAPARI08)/bin/python -m pip --quiet --quiet install --constraint $(NAPARI08)/constraints.txt --editable . \
	    'napari>=0.8,<0.9' PyQt6 $(WINDOW_TESTS)
	@touch $@

$(VENV)/release.stamp: $(VENV)/dev.stamp
	@$(PIP) install --constraint constraints.txt 'twine>=6' 'check-wheel-contents>=0.6'
	@touch $@

$(VENV)/docs.stamp: $(VENV)/run.stamp
	@$(PIP) install --constraint constraints.txt --editable '.[docs]'
	@touch $@
