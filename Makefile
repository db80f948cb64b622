# Everything a developer runs, from a fresh clone on. `make help` lists the targets.

.DEFAULT_GOAL := help
.PHONY: help demo demo-reset test check bench mutants lock install reinstall environment

# Whoever is done first takes tests over from the other, so that all end together.
PARALLEL := --numprocesses=logical --maxprocesses=4 --dist=worksteal
VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
MANAGE := $(PYTHON) manage.py
MUTANTS := .data/mutants
REQUIREMENTS := requirements/dev.txt
INSTALLED := $(VENV)/installed.txt
COMPILE := pip compile pyproject.toml --quiet --universal --python-version 3.12 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url
# Values of a server on the internet, for the checks that only apply to one.
PRODUCTION := BASE_URL=https://billing.example.com EMAIL_URL=smtp://user:password@mail.example.com \
	DATABASE_URL=postgres://user:password@db.example.com/tallyport \
	STRIPE_SECRET_KEY=sk_test_check STRIPE_WEBHOOK_SECRET=whsec_check \
	SECRET_KEY=3kT9vQ2mZr7LxW5nB8cHs4JdYp6FgEa1uRoXiNqMtVbKwCzSlDhGjPfAyUeO

# Tests and the demo start many processes: each would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install ## make demonstration data on first use, then serve the portal
	$(MANAGE) demo

demo-reset: install ## throw the demonstration data away and start over
	$(MANAGE) delete_database --yes
	$(MANAGE) demo

test: install ## run every test with the coverage gate; ARGS="tests/config -x" runs some
	$(PYTHON) -m pytest $(if $(ARGS),$(ARGS),$(PARALLEL) --cov)

check: install ## format, lint, import contracts, types, migrations, deployment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	find . -path ./$(VENV) -prune -o -path '*/templates/*.html' -print \
		| xargs $(BIN)/djade --target-version 6.1 --check
	$(BIN)/lint-imports --no-logo
	$(MANAGE) check
	$(BIN)/mypy
	$(MANAGE) makemigrations --check --dry-run
	$(PRODUCTION) $(MANAGE) check --deploy --fail-level WARNING

bench: install ## run the benchmarks: one JSON object of ratios a line
	$(PYTHON) -m benchmarks $(ARGS)

# mutmut passes over what has a decorator, so the copy that it works on has none that change nothing.
mutants: install ## change billing/rating in every small way and see a test fail; takes hours, one module minutes (ARGS)
	rm -rf $(MUTANTS)
	mkdir -p $(MUTANTS)
	cp -R billing docs tests pyproject.toml $(MUTANTS)
	find $(MUTANTS)/billing/rating -name '*.py' -exec sed -i.bak -E '/^ *@(override|cache)$$/d' {} +
	cd $(MUTANTS) && $(CURDIR)/$(BIN)/mutmut run --max-children 1 $(ARGS) && $(CURDIR)/$(BIN)/mutmut results

lock: install ## write requirements/*.txt from pyproject.toml; ARGS=--upgrade takes newer versions
	test -x $(VENV)/uv/bin/uv || { $(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/pip install --quiet uv; }
	$(VENV)/uv/bin/uv $(COMPILE) $(ARGS) --output-file requirements/base.txt
	$(VENV)/uv/bin/uv $(COMPILE) $(ARGS) --group dev --output-file requirements/dev.txt

install: # only when something changed
	@$(PYTHON) -c '' 2>/dev/null && cmp -s $(REQUIREMENTS) $(INSTALLED) \
		|| $(MAKE) --no-print-directory reinstall

reinstall:
	@$(PYTHON) -c '' 2>/dev/null || $(MAKE) --no-print-directory environment
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)
	@cp $(REQUIREMENTS) $(INSTALLED)

# A command that is there may still fail to run, as a version manager's shim does.
environment:
	@for python in python3.14 python3.13 python3.12 python3; do \
		$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))' \
			2>/dev/null && found=$$python && break; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Tallyport needs Python 3.12 or later with its venv module, and none was found." >&2; \
		echo "Debian and Ubuntu: apt install python3.13-venv. macOS: brew install python@3.13." >&2; \
		echo "Elsewhere: https://www.python.org/downloads/" >&2; \
		exit 1; \
	fi; \
	echo "Installing into $(VENV) with $$($$found --version); this takes a minute"; \
	$$found -m venv --clear $(VENV)
