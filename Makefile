# Everything runs in .venv, made here; only python3, pip and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz exam long rest lint types check bench gallery docs release clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[test]'
	@touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

demo: $(VENV)/.demo ## a claim beside the truth: audit the distilled classifier on real digits, write an HTML report
	$(BIN)/sparring audit --model mnist-cnn-distilled --data mnist5k --n 200 --norm Linf --eps 0.3 --suite quick --claim fgsm:0.3=0.88 --force --out runs/demo

test: $(VENV)/.test ## the fast tests: every room, every attack under its main norm
	$(BIN)/python -m pytest -n 2

exam: $(VENV)/.test ## the whole exam: every attack under all of its norms
	$(BIN)/python -m pytest -n 2 -m 'exam or not exam' tests/exam

long: $(VENV)/.test ## the tests of several seconds each
	$(BIN)/python -m pytest -n 2 -m long

rest: $(VENV)/.test ## what `make test` leaves out: the rest of the exam, the long tests
	$(BIN)/python -m pytest -n 2 -m 'exam or long'

fuzz: $(VENV)/.test ## 10,000 random cases of everything that the library is handed
	SPARRING_FUZZ=10000 $(BIN)/python -m pytest tests/unit/test_fuzz.py tests/unit/test_fuzz_runs.py

lint: $(VENV)/.test ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test ## mypy, strict
	$(BIN)/mypy

check: lint types test rest ## all that CI runs

bench: ## side by side with the peers, in an environment of their own
	$(PYTHON) benchmarks/run.py

gallery: $(VENV)/.test ## broken and honest defenses, each with the verdict that the audit must reach (trains small nets)
	$(BIN)/sparring reproduce gallery --page docs/gallery.md

docs: $(VENV)/.docs ## the documentation as a web site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

release: ## build wheel and source archive, use the wheel in a clean environment, list its contents (SBOM), look up known holes
	$(PYTHON) scripts/release.py

clean: ## remove what make made
	rm -rf $(VENV) .venv-peers dist runs site .pytest_cache .mypy_cache .ruff_cache
