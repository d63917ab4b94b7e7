# make demo     one clip from a text, a first frame and a hand-drawn last frame, in out/
# make test     the tests;  make lint, make format: the style;  make clean, make distclean
# make serve    the model behind HTTP, at http://127.0.0.1:8000; PORT=... chooses another
# make studio   the same with a page for people, opened in the browser
# make footage  the three real films that the tests read, fetched once into tests/.footage
#
# The first of these makes .venv; later runs install again only when pyproject.toml or constraints.txt change.
# TORCH=cuda installs the CUDA build of torch, PYTHON=... chooses the interpreter (3.11 or later).

PYTHON ?= python3.11
TORCH ?= cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
JOBS ?= 2

PORT ?= 8000

PROMPT ?= a red star moves right quickly on a plain light blue background
FIRST ?= examples/first.png
LAST ?= examples/last_drawn.png

BIN := .venv/bin
# Bytecode is written for what is imported, when it is, not for every file: half of an install's time.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE
TORCH_VERSION := $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_STAMP := .venv/.torch-$(TORCH_VERSION)-$(TORCH)

ifeq ($(filter cpu cuda,$(TORCH)),)
$(error TORCH is "$(TORCH)"; it can be cpu or cuda)
endif

.PHONY: demo serve studio test footage lint format clean distclean
.NOTPARALLEL:

demo: .venv/.core
	@mkdir -p out
	$(BIN)/pixeldance generate "$(PROMPT)" --first $(FIRST) --last $(LAST) --sheet --force -o out/demo.mp4
	@echo "The clip, its contact sheet and its receipt:" && ls -1 out/demo*

serve: .venv/.serve
	$(BIN)/pixeldance serve --port $(PORT)

studio: .venv/.serve
	$(BIN)/pixeldance studio --port $(PORT)

test: .venv/.test footage
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

footage: .venv/.test
	$(BIN)/python tests/footage.py

lint: .venv/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pre-commit validate-config

format: .venv/.test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis out/demo*
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	rm -rf .venv tests/.footage

# --- the environment: interpreter, then torch, then the rest; each leaves a stamp ---

.venv/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "No $(PYTHON) here: install Python 3.11 or later, or name yours: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# On Linux, the torch on PyPI is the CUDA build (several GB); the CPU build calls itself +cpu and has an
# index of its own. We ask where pip looks anyway (a mirror, a folder of wheels), then that index alone.
# Elsewhere plain torch is the CPU build. `===` refuses a +cpu build where CUDA is asked for.
ifeq ($(TORCH),cuda)
INSTALL_TORCH = $(PIP) --no-deps "torch===$(TORCH_VERSION)"
else ifeq ($(shell uname -s),Linux)
INSTALL_TORCH = $(PIP) --no-deps "torch==$(TORCH_VERSION)+cpu" 2>/dev/null \
  || $(PIP) --no-deps --index-url $(TORCH_INDEX) "torch==$(TORCH_VERSION)+cpu" \
  || { echo "No CPU build of torch $(TORCH_VERSION) within reach, neither where pip looks nor at $(TORCH_INDEX)."; \
       echo "Name an index that has it (make TORCH_INDEX=URL), or take the CUDA build (make TORCH=cuda)."; exit 1; } >&2
else
INSTALL_TORCH = $(PIP) --no-deps "torch==$(TORCH_VERSION)"
endif

$(TORCH_STAMP): | .venv/pyvenv.cfg
	@rm -f .venv/.torch-* .venv/.core .venv/.serve .venv/.test
	@echo "Installing torch $(TORCH_VERSION), the $(TORCH) build"
	@$(INSTALL_TORCH)
	@touch $@

.venv/.core: pyproject.toml constraints.txt $(TORCH_STAMP)
	$(PIP) --constraint constraints.txt --editable .
	$(check)
	@touch $@

.venv/.serve: pyproject.toml constraints.txt $(TORCH_STAMP)
	$(PIP) --constraint constraints.txt --editable ".[serve]"
	$(check)
	@touch .venv/.core $@

.venv/.test: pyproject.toml constraints.txt $(TORCH_STAMP)
	$(PIP) --constraint constraints.txt --editable ".[test]"
	$(check)
	@touch .venv/.core .venv/.serve $@

# A torchvision that does not match torch breaks transformers and diffusers as soon as they are imported.
define check
@$(BIN)/python -c "from importlib.util import find_spec; \
  exit('torchvision is installed in .venv and must not be: see make distclean' if find_spec('torchvision') else 0)"
endef
