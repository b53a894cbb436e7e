# `make book`, `make read`, `make test`: each sets up what it needs in .venv and nothing outside it.
# Index options for pip come from your environment (PIP_EXTRA_INDEX_URL and the like).
PYTHON ?= python3
JOBS ?= 2
PORT ?= 8000
VENV := .venv
PY := $(VENV)/bin/python
HTML := _build/html
PIP := $(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt
PAGES := tests/book/test_pages.py tests/book/test_slider_page.py tests/book/test_timeline_page.py tests/book/test_memory_steps_page.py
SOURCES := $(shell find book companion -type f ! -path '*/__pycache__/*' ! -path '*/.*' 2>/dev/null) $(wildcard *.md *.yml CITATION.cff)

# Two BLAS threads on matrices this small are 10 to 100 times slower than one, and round differently.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
# A reader's own IPython settings must not change what a chapter prints.
export IPYTHONDIR := $(CURDIR)/$(VENV)/ipython

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help book read test browser lint types unit chapters pages bench notebooks tidy format clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

book: $(HTML)/.built ## build the book into _build/html
	@echo "The book is ready. Open $(CURDIR)/$(HTML)/index.html"

read: $(HTML)/.built ## serve the book on this machine and open it
	@(sleep 1; $(PY) -m webbrowser http://127.0.0.1:$(PORT)/ >/dev/null 2>&1) &
	$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

test: browser lint types unit chapters pages ## every check there is

browser: $(VENV)/.test ## find or prepare the browser that the page tests use
	$(PY) -m tests.book.browser

lint: $(VENV)/.test ## style and formatting
	$(PY) -m ruff check . && $(PY) -m ruff format --check .

types: $(VENV)/.test ## type checker
	$(PY) -m mypy

unit: $(VENV)/.test ## tests of the package and of the stored notebooks
	$(PY) -m pytest -q -n $(JOBS) $(PAGES:%=--ignore=%)

chapters: $(VENV)/.test ## run every chapter and compare with its stored outputs
	$(PY) -m pytest -q -n $(JOBS) --dist loadfile -p tests.book.budget --nbval --nbval-current-env \
	  --nbval-cell-timeout=600 --nbval-kernel-startup-timeout=180 --nbval-sanitize-with=tests/book/nbval.cfg book

pages: $(VENV)/.test $(HTML)/.built ## the built pages in a real browser
	$(PY) -m pytest -q -n $(JOBS) $(PAGES)

bench: $(VENV)/.bench ## measure speed against other code; on a quiet machine
	$(PY) -m pytest -q tests/benchmarks/bench_*.py

notebooks: $(VENV)/.test ## execute chapters in place: all, or N=neural-networks
	$(PY) book/_tools/notebooks.py $(N)

tidy: $(VENV)/.test ## normalise chapters without executing them: all, or N=neural-networks
	$(PY) book/_tools/notebooks.py --tidy $(N)

format: $(VENV)/.test ## format the code and repair what ruff can
	$(PY) -m ruff check --fix --exit-zero . && $(PY) -m ruff format . && $(PY) book/_tools/notebooks.py --tidy

clean: ## remove what was built
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache

distclean: clean ## and the environment
	rm -rf $(VENV)

# From an empty folder, so that a page that is gone is gone and an old warning is heard again.
$(HTML)/.built: $(VENV)/.book $(SOURCES)
	@echo "Building the book" && rm -rf $(HTML) _build/.doctrees
	$(VENV)/bin/jupyter-book build . -W -n --keep-going -q && touch $@

# Python's own messages for these two faults name neither the cause nor the cure.
$(VENV)/.made:
	@$(PYTHON) -c 'import importlib.util as u, sys; v = sys.version_info; \
	  v >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is %d.%d: try make PYTHON=python3.12" % v[:2]); \
	  u.find_spec("venv") and u.find_spec("ensurepip") or sys.exit("This Python cannot make environments: install its venv package (Debian, Ubuntu: python3-venv)")'
	@$(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/.book: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing what the book needs into $(VENV) (a minute or two the first time)"
	@$(PIP) -e '.[book]' && touch $@

$(VENV)/.test: $(VENV)/.book
	@echo "Installing what the tests need into $(VENV), PyTorch among it (a few minutes the first time)"
	@$(PIP) -e '.[book,fast,test,torch]' && touch $@

$(VENV)/.bench: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing what the benchmarks need into $(VENV), PyTorch among it (a few minutes the first time)"
	@$(PIP) -e '.[bench,fast,torch]' && touch $@
