# Every target sets itself up: on a machine with only Python, pip and make, `make demo` or `make test` alone will do.
#
#   make demo       the main job, on real input           make test       the test suite           (ARGS="-k name -x")
#   make check      format, lint, types, layers, limits   make test-all   the suite on each of PYTHONS, with what is deep
#   make deep       the suite with all walks              make soak       seeded chaos             (MINUTES=5 SEED=1)
#   make bench      against its peers    (ARGS="--help")
#   make rivals     the failure table, against the others make sanitize   the suite under ASan and UBSan    (ARGS=...)
#   make e2e        what others see: browsers, shells ... (installs chromium, zsh, parallel ... where they are not)
#   make clusters   the suite of all backends on a real Ray and a real Dask
#   make dist       what a release is made of, looked at  make release-check  what it lacks (docs/releasing.md)
#   make docs       the site, of docs/ into site/ (open site/index.html)
#   make torch      the loader for PyTorch, where pip finds the pinned torch (on Linux the build for CPUs will do)
#   make format     put the format right, fix the lint    make clean      caches and builds; distclean: environments too
#
# PROCESSION_PURE=1 before any of them: without the extension, in pure Python.
#
# The extension is built where there is a compiler, and anew when its sources have changed. Should it not compile there, a
# user's install goes on without it; what installs for development or measuring (PROCESSION_STRICT) ends with the errors.
#
# One environment, VENV, is filled level by level: base (the package and its progress bar), dev (checks and tests),
# e2e (what drives a browser), docs (what builds the site), bench (the peers). `make rivals` has one of its own, since ray and dask are heavy. A stamp
# file says which level is in; it is old when pyproject.toml, constraints.txt or the extension's sources are newer.

PYTHON  ?= python3
VENV    ?= .venv
PYTHONS ?= 3.11 3.12 3.13
ARGS    ?=
MINUTES ?= 5
SEED    ?=

PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
# What these extras name, beside the package that is installed already: pip would compile its extension once more.
define install_beside
@$(PY) -c 'import sys, tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
    print(*(each for name in sys.argv[1:] for each in extras[name]), sep="\n")' $(1) >$(VENV)/beside.txt
@$(PIP_INSTALL) -r $(VENV)/beside.txt
endef

PROJECT := pyproject.toml constraints.txt setup.py $(wildcard src/procession/_native/*.[ch])

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help demo test deep landing test-all clusters e2e e2e-tools docs torch check check-lint check-mypy
.PHONY: check-pyright check-house bench rivals rivals-run soak sanitize dist release-check format clean distclean venv-dev
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   /  /p' $(firstword $(MAKEFILE_LIST))

# ---------------------------------------------------------------------------------------------------------- environment

# A Python without ensurepip (Debian splits it off) can still make an environment; its own pip then fills it.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "procession needs Python 3.11 or newer; \
	this is %s. Say which with: make PYTHON=/path/to/python3.11" % sys.version.split()[0])'
	@echo "making $(VENV) with $$($(PYTHON) --version)" >&2
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	    $(PYTHON) -m venv $(VENV); \
	else \
	    $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(PY) install --quiet pip; \
	fi

$(VENV)/.stamp-base: $(PROJECT) | $(PY)
	@$(PIP_INSTALL) -e '.[progress]'
	@touch $@

$(VENV)/.stamp-dev: $(PROJECT) | $(PY)
	@echo "installing the tools of development" >&2
	@PROCESSION_STRICT=1 $(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.stamp-base

$(VENV)/.stamp-e2e: $(VENV)/.stamp-dev
	@echo "installing what drives a browser, libraries that run on pools, and what builds the site" >&2
	$(call install_beside,e2e ecosystem docs)
	@touch $@ $(VENV)/.stamp-docs

$(VENV)/.stamp-docs: $(PROJECT) | $(PY)
	@echo "installing what builds the site" >&2
	@$(PIP_INSTALL) -e '.[docs]'
	@touch $@

$(VENV)/.stamp-torch: $(VENV)/.stamp-dev
	@echo "installing torch" >&2
	$(call install_beside,torch)
	@touch $@

$(VENV)/.stamp-bench: $(PROJECT) | $(PY)
	@echo "installing the peers of the benchmarks" >&2
	@PROCESSION_STRICT=1 $(PIP_INSTALL) -e '.[bench]'
	@touch $@

$(VENV)/.stamp-release: $(PROJECT) | $(PY)
	@echo "installing what builds a release" >&2
	@$(PIP_INSTALL) -e '.[release]'
	@touch $@

$(VENV)/.stamp-rivals: $(PROJECT) | $(PY)
	@echo "installing the rivals" >&2
	@$(PIP_INSTALL) -e '.[rivals]'
	@touch $@

venv-dev: $(VENV)/.stamp-dev

# -------------------------------------------------------------------------------------------------------------- targets

demo: $(VENV)/.stamp-base
	@$(VENV)/bin/procession demo $(ARGS)

test: $(VENV)/.stamp-dev
	@$(PY) -m pytest $(ARGS)

# With what `test` leaves out since it costs as much as all the rest (tests/deep.py).
deep: $(VENV)/.stamp-dev
	@PROCESSION_TESTS_EXAMPLES=deep $(PY) -m pytest -m "not soak and not e2e" $(ARGS)

# What of that .ci/run has: but for the longer half, and with as many examples as `test`.
landing: $(VENV)/.stamp-dev
	@$(PY) -m pytest -m "not soak and not e2e and not longer" $(ARGS)

# Each version in an environment of its own, found on PATH or among pyenv's. A version that is not there is a failure,
# not a silence: `make test-all PYTHONS="3.11 3.13"` says which to expect.
test-all:
	@failed=; for version in $(PYTHONS); do \
	    python=; for each in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version*/bin/python; do \
	        if "$$each" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" 2>/dev/null; \
	        then python=$$each; break; fi; \
	    done; \
	    if [ -z "$$python" ]; then echo "Python $$version is not here" >&2; failed="$$failed $$version"; continue; fi; \
	    echo "== Python $$version ($$python)"; \
	    $(MAKE) deep PYTHON="$$python" VENV=.venv-$$version || failed="$$failed $$version"; \
	done; \
	if [ -n "$$failed" ]; then echo "not green on:$$failed" >&2; exit 1; fi; echo "green on: $(PYTHONS)"

# What is looked at from outside: pages by Debian's chromium; the job log by GNU parallel, the completion by zsh and fish, the
# manual page by groff and mandoc. Pools under other libraries: Dask, SciPy, adaptive, scikit-learn.
# What a release is made of, by who installs it.
e2e: $(VENV)/.stamp-e2e e2e-tools
	@$(PY) -m pytest -m e2e tests/browser tests/cli tests/ecosystem tests/packaging tests/programs tests/site $(ARGS)
	@PROCESSION_TESTS_HANDS=0 $(PY) -m pytest -m "e2e and not soak" tests/clusters $(ARGS)

# The suite that every backend passes, on a real Ray and a real Dask.
clusters: $(VENV)/.stamp-e2e
	@PROCESSION_TESTS_HANDS=0 $(PY) -m pytest -m e2e tests/contract tests/clusters $(ARGS)

e2e-tools:
	@for each in chromium chromedriver:chromium-driver parallel zsh fish mandoc groff; do \
	    command -v $${each%%:*} >/dev/null || missing="$$missing $${each##*:}"; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "installing$$missing" >&2; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	fi

# Every warning is an error: a link that leads nowhere, a page that nothing leads to, a public name without a docstring.
docs: $(VENV)/.stamp-docs
	@$(PY) -m website
	@echo "site/index.html" >&2

# By itself, since torch is large; where it cannot be had this fails, and skips nothing.
torch: $(VENV)/.stamp-torch
	@$(PY) -m pytest -m e2e tests/torch $(ARGS)

# Each of these takes one core; `make -j check` has them side by side.
check: check-lint check-mypy check-pyright check-house

check-lint: $(VENV)/.stamp-dev
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .

check-mypy: $(VENV)/.stamp-dev
	@$(VENV)/bin/mypy --strict src

check-pyright: $(VENV)/.stamp-dev
	@$(VENV)/bin/basedpyright --pythonpath $(PY)

check-house: $(VENV)/.stamp-dev
	@$(PY) -m pytest -q -m deep tests/house/test_layers.py tests/house/test_house.py

# A whole run puts its table into the page; one that is told what to run writes what it is told to write.
bench: $(VENV)/.stamp-bench
	@$(PY) -m benchmarks $(or $(ARGS),--page docs/benchmarks.md)

# A whole run rewrites the page; one that is told what to run writes what it is told to write.
rivals:
	@$(MAKE) rivals-run VENV=.venv-rivals

rivals-run: $(VENV)/.stamp-rivals
	@$(PY) -m rivals $(or $(ARGS),--markdown docs/rivals.md)

# The extension compiled with checks, from a copy of the tree: whatever C does wrong ends the run and is printed.
sanitize: $(VENV)/.stamp-dev
	@PYTHON="$(PY)" tests/native/sanitize.sh $(ARGS)

# Built twice and compared, looked into, installed and used without a compiler: dist/.
dist: $(VENV)/.stamp-release
	@$(PY) -m release dist $(ARGS)

release-check: $(VENV)/.stamp-release
	@$(PY) -m release check $(ARGS)

soak: $(VENV)/.stamp-dev
	@$(PY) -m tests.soak.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

format: $(VENV)/.stamp-dev
	@$(VENV)/bin/ruff check --fix --quiet . || true
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check .

clean:
	@rm -f src/procession/_native/*.so
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	@find src tests benchmarks release rivals -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	@rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	@find src tests benchmarks rivals -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean
	@rm -rf .venv .venv-*
