# Everything works on a machine that has Python (3.10 or later) and make: the first target that needs it makes .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --constraint constraints.txt --editable
# aihwkit has wheels for a few pairs of Python and torch only: so it has an environment of its own, with ohmgrad in it.
PEER_PYTHON ?= python3.12
PEER_VENV := .venv-peers
PEER_BIN := $(PEER_VENV)/bin

.PHONY: help demo test lint format types docs pictures bench bench-peers gpu build clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.lab ## Train a small network with every learning rule and draw the pictures
	$(BIN)/ohmgrad compare --out ohmgrad-demo $(if $(wildcard ohmgrad-demo/setting.json),--resume)

test: $(VENV)/.dev ## Run the tests
	$(BIN)/python -m pytest --numprocesses auto

lint: $(VENV)/.dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

docs: $(VENV)/.docs ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: $(VENV)/.dev ## Draw the pictures of the documentation anew (takes minutes)
	PYTHONPATH=tools $(BIN)/python -m pictures docs/images

bench: $(VENV)/.dev ## Measure the speed of the kernels
	$(BIN)/python -m pytest benchmarks --benchmark-columns=min,median,rounds --benchmark-sort=name $(BENCH)

bench-peers: $(PEER_VENV)/.peers ## Measure ohmgrad beside aihwkit (PEERS="--full", PEERS="--only TEXT")
	PYTHONPATH=benchmarks $(PEER_BIN)/python -m peers $(PEERS)

gpu: $(VENV)/.gpu ## Test and measure on a GPU (GPU="-k ..." chooses benchmarks)
	$(BIN)/python -m pytest --numprocesses 4
	$(BIN)/python -m pytest benchmarks --place cuda --benchmark-json=gpu.json \
		--benchmark-columns=min,median,rounds --benchmark-sort=name $(GPU)
	$(BIN)/python benchmarks/record.py gpu.json
	$(BIN)/python benchmarks/transformer.py --device cuda

build: $(VENV)/.dev ## Build the wheel and the source archive into dist/
	$(BIN)/python -m build

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(PEER_VENV) ohmgrad-demo site dist gpu.json .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

# A stamp says what is installed; it is made again when the list of dependencies changes.
$(VENV)/.lab: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing ohmgrad and what it needs into $(VENV) (once, a few minutes)"
	$(INSTALL) '.[lab]'
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing ohmgrad and what builds its documentation into $(VENV) (once, a few minutes)"
	$(INSTALL) '.[docs]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing ohmgrad and the tools of its development into $(VENV) (once, a few minutes)"
	$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.lab $(VENV)/.docs

# constraints.txt pins the version of torch; which build of it is installed is up to the index that pip asks.
$(VENV)/.gpu: $(VENV)/.dev
	@$(BIN)/python -c "import torch; raise SystemExit(0 if torch.cuda.is_available() else 'This torch sees no GPU. Install a build of it with CUDA or ROCm into $(VENV): see https://pytorch.org/get-started')"
	@touch $@

# The newest pair of aihwkit and torch that this Python has wheels for.
$(PEER_VENV)/.peers: pyproject.toml constraints.txt | $(PEER_BIN)/python
	@echo "Installing aihwkit and ohmgrad into $(PEER_VENV) (once, a few minutes)"
	grep -v '^torch==\|^triton==' constraints.txt > $(PEER_VENV)/constraints.txt
	$(PEER_BIN)/python -m pip install --constraint $(PEER_VENV)/constraints.txt --editable '.[lab]' \
		$$($(PEER_BIN)/python -c "import sys; print('aihwkit==1.2.0 torch==2.13.0' if sys.version_info >= (3, 12) else 'aihwkit==1.1.0 torch==2.10.0')")
	@touch $@

$(PEER_BIN)/python:
	@command -v $(PEER_PYTHON) > /dev/null || { echo "There is no $(PEER_PYTHON) here. Name an interpreter: make bench-peers PEER_PYTHON=..."; exit 1; }
	$(PEER_PYTHON) -m venv $(PEER_VENV)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
