# One line a command. Each prepares its own environment: .venv, or the given PYTHON's where that
# has detectron2 already, as in `make demo PYTHON=/opt/conda/bin/python`.
PYTHON ?= python3
READY := $(PYTHON) scripts/bootstrap.py
TEST_GPU := if command -v nvidia-smi >/dev/null; then $$python -m pytest -m gpu; fi
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
.PHONY: help demo tables test test-all lint format env clean

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18

demo:  ## show what the bundled weights find (in PHOTOS=... too), then train and show a model of your own
	@python=$$($(READY)) && exec $$python scripts/demo.py $(if $(PHOTOS),--look $(PHOTOS))

tables:  ## train the paper's tables in small and compare their rows, in output/tables/toy
	@python=$$($(READY)) && exec $$python projects/ACNet/tables $(ARGS)

test:  ## check the style and run the tests
	@python=$$($(READY) --dev) && $$python -m ruff check . && $$python -m pytest && $(TEST_GPU)

test-all:  ## run the slow tests too
	@python=$$($(READY) --dev) && $$python -m pytest -m "" && $(TEST_GPU)

lint:  ## check the style and the format
	@python=$$($(READY) --dev) && $$python -m ruff check . && exec $$python -m ruff format --check .

format:  ## repair the style and the format
	@python=$$($(READY) --dev) && $$python -m ruff check --fix . && exec $$python -m ruff format .

env:  ## only prepare the environment
	@$(READY) --dev

clean:  ## remove what the commands above made, except .venv
	rm -rf output build *.egg-info .pytest_cache .ruff_cache .hypothesis
