# Everything runs inside .venv, which `make` builds from pyproject.toml and constraints.txt.
#   PYTHON=python3.12 make venv                 another interpreter
#   PIP_ARGS="--extra-index-url URL" make venv  more package sources (for torch without CUDA:
#                                               https://download.pytorch.org/whl/cpu)
PYTHON   ?= python3
PIP_ARGS ?=
JOBS     ?= 2
EXTRAS   := dev,viz,sklearn,cli,pykan
BIN      := .venv/bin
ENVIRONMENT := .venv/.made
READY    := .venv/.ready
TESTS    := .venv/.ready-tests
SLOW     := .venv/.ready-slow
DOCS     := .venv/.ready-docs
PIP      := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt
# The native kernels are compiled while the packages are installed; where that fails, they say so at their first use.
KERNELS  := $(BIN)/python src/edgewise/kernels/cpu/build.py &
# One thread in every test process: JOBS processes run side by side.
PYTEST   := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-compile test-slow cover style lint format bench reproduce runtimes studio docs linkcheck wheel wheels sanitize fuzz clean distclean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY)  ## build .venv with the pinned packages (again only when a pin changes)

$(ENVIRONMENT): pyproject.toml constraints.txt $(wildcard hatch_build.py)
	@command -v $(PYTHON) >/dev/null || { \
	  echo "No '$(PYTHON)' here. Install Python 3.11 or newer (Debian: sudo apt install python3 python3-venv)," \
	       "or name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "edgewise needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version)." \
	       "Name a newer one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments." \
	       "On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	@echo "Setting up .venv (torch and the tools, a few minutes the first time) ..."
	@$(PYTHON) -m venv .venv
	@touch $@

$(READY): $(ENVIRONMENT)
	@$(KERNELS) $(PIP) -e '.[$(EXTRAS)]' && wait
	@touch $@

$(TESTS): $(ENVIRONMENT)
	@$(KERNELS) $(PIP) -e '.[$(EXTRAS),peft,triton,onnx,openvino]' && wait
	@touch $(READY) $@

$(SLOW): $(TESTS)
	@$(PIP) -e '.[$(EXTRAS),peft,triton,onnx,openvino,loggers,hosts,jupyter]'
	@touch $@

$(DOCS): $(READY)
	@$(PIP) -e '.[$(EXTRAS),docs]'
	@touch $@

demo: venv  ## from a table to a formula: the signature of 9,996 hyperbolic knots
	$(BIN)/edgewise fit knots --target signature --out demo-run --force

test: $(TESTS)  ## style, the compile tests, then the whole suite; `lint` checks types as well
	@$(MAKE) --no-print-directory style test-compile
	$(PYTEST) -n $(JOBS) -m "not compile and not slow"

test-compile: $(TESTS)  ## the tests of torch.compile, in processes of their own
	$(PYTEST) -n $(JOBS) -m "compile and not slow" tests

test-slow: $(SLOW)  ## the tests that take minutes
	$(PYTEST) -n $(JOBS) -m "slow and not compile"
	$(PYTEST) -m "slow and compile" tests

cover: $(TESTS)  ## the suite with coverage of src/, at least 90 %
	@rm -f .coverage .coverage.*
	$(PYTEST) -n $(JOBS) -m "not compile and not slow" --cov --cov-report= --cov-fail-under=0
	$(PYTEST) -n $(JOBS) -m "compile and not slow" --cov --cov-append --cov-report=term tests

style: venv  ## style and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

lint: style  ## the same and types
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: venv  ## rewrite the files as `lint` wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv  ## speed of kernels and layers on this machine
	$(BIN)/python -m studies layers

reproduce: venv  ## one study: make reproduce NAME=knots OPTIONS="--seeds 2"; without NAME the list
	$(BIN)/python -m studies $(NAME) $(OPTIONS)

runtimes:  ## exports in every runtime, compared, in an environment of their own: they pin other packages
	@test -d .venv-runtimes || $(PYTHON) -m venv .venv-runtimes
	@.venv-runtimes/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  -e '.[viz,sklearn,onnx,openvino,litert,executorch,coreml]'
	.venv-runtimes/bin/python -m studies export $(OPTIONS)

studio:  ## the page of the studio, from studio/ into src/edgewise/workbench/static (needs node and npm)
	cd studio && npm ci --no-audit --no-fund --ignore-scripts && npm run check && npm run build

docs: $(DOCS)  ## the documentation, in docs/_build/html; tutorials and examples are executed where they changed
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

linkcheck: $(DOCS)  ## the links of the documentation to other sites; those inside are checked by `make test`
	$(BIN)/sphinx-build -b linkcheck docs docs/_build/linkcheck

wheel: venv  ## a wheel in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps $(PIP_ARGS) -w dist .

wheels: wheel  ## and those for Linux on Arm, macOS on Arm and Windows, by zig's cross compiler
	$(PIP) ziglang
	for platform in linux-aarch64 macos-arm64 windows-amd64; do \
	  EDGEWISE_PLATFORM=$$platform CXX="$(abspath $(BIN))/python -m ziglang c++ -s" \
	  $(BIN)/python -m pip wheel --quiet --no-deps $(PIP_ARGS) -w dist . || exit 1; done

# gcc and clang agree on these flags. Leaks are python's own; a thread's kept scratch memory is no leak either.
SANITIZED = EDGEWISE_CACHE=$(CURDIR)/build/sanitized EDGEWISE_CPU_VARIANT=$(VARIANT) \
	EDGEWISE_CXXFLAGS="-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
VARIANT ?=
sanitize: venv  ## the tests of native code once under ASan and UBSan: make sanitize VARIANT=x86-64-v3
	$(SANITIZED) $(BIN)/python -c "from edgewise.kernels.cpu.load import find_or_build, variant; find_or_build(variant())"
	$(SANITIZED) ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libubsan.so)" \
	$(PYTEST) -m "not compile and not slow" tests/kernels/test_cpu_network.py tests/kernels/test_cpu_jets.py tests/optim/test_adam.py \
	tests/kernels/test_gauss_newton.py tests/optim/test_optim.py tests/kernels/test_cpu.py \
	-k "(not test_cpu.py or ragged or intervals or bad_input) and (not test_optim.py or native)"

SECONDS ?= 60
SEED    ?= 0
fuzz: $(TESTS)  ## damaged files of every kind, hostile tables, killed runs: make fuzz SECONDS=600 SEED=1
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/fuzz --seconds $(SECONDS) --seed $(SEED) --jobs $(JOBS)

clean:  ## remove what builds and tests leave behind
	rm -rf build dist demo-run htmlcov docs/_build docs/gallery docs/tutorials/_executed .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
	rm -rf src/edgewise/kernels/cpu/lib
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## the same, and .venv
	rm -rf .venv .venv-runtimes
