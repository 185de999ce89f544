# make run: everything, ready to generate.  make test: everything, checked.
# Nothing is needed before either but Python 3.11+, make and a network.

PYTHON ?= python3
BIN := .venv/bin
# More than cores, for tests often wait for processes that they have started; slow ones less often.
PROCESSES ?= 4
SLOW_PROCESSES ?= 3
# Tests start some hundred processes: none should compile what another has compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test networks types fast torture fuzz clean

run: .venv/installed networks
	$(BIN)/streamlit run

test: .venv/installed-dev networks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(MAKE) --jobs 2 types fast
	$(BIN)/python -m pytest -m slow --numprocesses $(SLOW_PROCESSES) \
		--dist loadfile --no-loadscope-reorder --durations=30

# The official RIFE, into the user's cache; at once if it is there. Films are made without it, too.
networks: .venv/installed
	@$(BIN)/python -m engine fetch || true

types: .venv/installed-dev
	$(BIN)/mypy

# The part of the tests that loads no torch, starts no browser, and takes about a minute.
fast: .venv/installed-dev
	$(BIN)/python -m pytest -m "not slow" --numprocesses $(PROCESSES)

# Kills, cuts, moves, crowds and a soak: some minutes on a quiet machine. See docs/torture.md.
torture: .venv/installed-dev
	$(BIN)/python -m tests.torture

# 100,000 messages, most of them bad, and strangers at the door: some minutes.
fuzz: .venv/installed-dev
	$(BIN)/python -m tests.fuzz --messages 100000

# A stamp is made once its packages are in; a changed list installs anew.
.venv/installed: requirements.txt engine/requirements-no-deps.txt | .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r engine/requirements-no-deps.txt
	touch $@

.venv/installed-dev: tests/requirements.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| (echo "VisionFlux needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" && false)
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv
