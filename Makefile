# Everything lives in .venv; a stamp file there says that an install is done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt --editable
# without these two, glibc faults large tensors in again at every step (training makes its own, see training/memory.py)
MALLOC := MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000

.PHONY: help reproduce test book chapters bench lock clean
help:  ## print this list
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST)

reproduce: $(VENV)/all.stamp  ## set up, run every chapter in smoke mode, build the book, print the scoreboard
	$(BIN)/alexnet-repro chapters --mode smoke
	@$(MAKE) --no-print-directory book
	$(BIN)/alexnet-repro scoreboard --decided
	@echo "Open $(CURDIR)/_build/html/index.html"

test: $(VENV)/all.stamp  ## set up and run the tests, on two cores (TESTS: other arguments)
	$(MALLOC) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not minutes" $(TESTS)

book: $(VENV)/book.stamp  ## build the book from the committed records (no torch)
	$(BIN)/jupyter-book build book/ -W --keep-going
	@echo "Open $(CURDIR)/_build/html/index.html"

chapters: $(VENV)/all.stamp  ## run every chapter in smoke mode
	$(BIN)/alexnet-repro chapters --mode smoke

bench: $(VENV)/all.stamp  ## print the benchmarks' table and write runs/benchmarks/
	@for file in benchmarks/*.py; do \
	  case $$file in *side_by_side.py) ;; *) $(MALLOC) $(BIN)/python $$file || exit 1;; esac; done

lock: $(VENV)/all.stamp  ## write the versions in .venv to constraints.txt, requirements.lock, environment.yml
	$(BIN)/python tests/lock.py

clean:  ## remove what was built (not .venv, not data)
	rm -rf _build .scratch .pytest_cache .ruff_cache .mypy_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "No venv: on Debian and Ubuntu, apt install python3-venv"; exit 1; }

$(VENV)/book.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what the book needs into $(VENV) (about 0.5 GB, a minute) ..."
	$(INSTALL) '.[book]'
	@touch $@

$(VENV)/all.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing everything, torch included, into $(VENV) (several GB, minutes) ..."
	$(INSTALL) '.[all]'
	@touch $@ $(VENV)/book.stamp
