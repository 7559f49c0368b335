# Two commands are enough: `make demo` and `make test`. Both set up what they need.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
ONECARD_HOME ?= ./var
# One more than the two cores of a small machine: a test often waits, for a process, a disk or an answer.
PYTEST_WORKERS ?= 3
SEEDS ?= 200
SPARK_SEEDS ?= 5
DEPTH ?= 20
DEEP := tests/clearing/test_random_nights.py tests/settlement/test_random_decisions.py tests/flows/test_random_days.py tests/flows/test_interrupted_loads.py \
	tests/flows/test_every_sector_conserved.py tests/flows/test_bank_stories.py tests/ledger/test_ledger_archive_evidence.py
LEDGER_BATCHES ?= 5000
VALIDATOR_RIDES ?= 240000
FIRST ?= 1
SPARK_FIRST ?= 1
FUZZ_S ?= 300
export ONECARD_HOME
# A run starts programs of ours some hundred times: what the interpreter has compiled once is kept beside the sources.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo serve spark test soak check lint types contracts bench lock clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: .venv/ready ## a small city's day and night, from the first tap to the bank file
	@$(BIN)/onecard demo

serve: .venv/ready ## the finance page and the citizen's page of the last demo, on http://127.0.0.1:8000
	@$(BIN)/onecard serve

spark: .venv/spark ## what the night needs to run on Spark (pyspark, Java): some 450 MB, once

test: .venv/ready .venv/system .venv/spark ## style, types, contracts and every test
	@$(MAKE) --no-print-directory lint contracts
	@# Types take a core for most of a minute and no other: beside the tests.
	@$(MAKE) --no-print-directory types & types=$$!; failed=0; \
	$(BIN)/pytest -n $(PYTEST_WORKERS) --dist worksteal || failed=$$?; \
	wait $$types || failed=$$?; exit $$failed

soak: .venv/ready .venv/system .venv/spark .venv/soak ## ten minutes of writers onto one ledger, a validator's day, FUZZ_S=300 of bytes at the HSM, SEEDS=200 stories and nights of chaos from FIRST=1, SPARK_SEEDS=5 workers killed, DEPTH=20 times the random days and examples of a test
	@LEDGER_BATCHES=$(LEDGER_BATCHES) $(BIN)/pytest tests/ledger/test_ledger_concurrency.py -k processes -n 0
	@VALIDATOR_RIDES=$(VALIDATOR_RIDES) $(BIN)/pytest tests/terminals/test_validator_day.py -n 0
	@mkdir -p "$(ONECARD_HOME)/fuzz"
	@$(BIN)/python -m tests.fuzz.fuzz_hsm_wire "$(ONECARD_HOME)/fuzz" tests/fuzz/corpus/hsm_wire \
		-max_total_time=$(FUZZ_S) -max_len=4096 -artifact_prefix="$(ONECARD_HOME)/"
	@CHAOS_SEEDS=$(SEEDS) CHAOS_FIRST=$(FIRST) NIGHT_SEEDS=$(SEEDS) NIGHT_FIRST=$(FIRST) \
		$(BIN)/pytest tests/flows/test_chaos.py tests/flows/test_night_chaos.py -n $(PYTEST_WORKERS) --dist worksteal
	@DEPTH=$(DEPTH) $(BIN)/pytest $(DEEP) -n $(PYTEST_WORKERS) --dist worksteal
	@DEPTH=$(DEPTH) $(BIN)/pytest -m hypothesis $(addprefix --ignore=,$(DEEP)) -n $(PYTEST_WORKERS) --dist worksteal
	@DEPTH=$(SPARK_SEEDS) $(BIN)/pytest tests/clearing/test_spark_rules.py -n 0
	@SPARK_SEEDS=$(SPARK_SEEDS) SPARK_FIRST=$(SPARK_FIRST) $(BIN)/pytest tests/clearing/test_spark_cluster.py -n 0

check: .venv/ready .venv/system .venv/spark ## format the code, then everything that `make test` does
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(MAKE) --no-print-directory test

lint: .venv/ready ## formatting and lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: .venv/ready ## strict types
	@$(BIN)/mypy

contracts: .venv/ready ## the arrows between the rooms
	@$(BIN)/lint-imports

bench: .venv/ready .venv/system .venv/spark ## run the benchmarks and write docs/benchmarks.md
	@$(BIN)/onecard bench all --write docs/benchmarks.md

lock: .venv/ready ## pin what pyproject.toml asks for, with hashes and no index address
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --no-annotate --python-version 3.11 --output-file requirements.lock --quiet
	@$(BIN)/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*project["optional-dependencies"]["spark"], sep="\n")' \
		| $(BIN)/uv pip compile - --constraint requirements.lock --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --no-annotate --python-version 3.11 --output-file requirements-spark.lock --quiet

clean: ## remove the set-up and everything the program keeps
	@rm -rf .venv build *.egg-info hsm-sim/src/*.egg-info "$(ONECARD_HOME)"

# What the machine lets us install we install; otherwise we name it.
define as_root
if [ "$$(id -u)" = 0 ]; then $(1); elif sudo -n true 2>/dev/null; then sudo -n $(1); else false; fi
endef

.venv/ready: requirements.lock pyproject.toml hsm-sim/pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; this is $$(python3 --version)"; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null \
		|| $(call as_root,bash -c 'apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null') \
		|| { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@missing=""; \
	[ -e /usr/include/PCSC/winscard.h ] || missing="$$missing libpcsclite-dev"; \
	command -v gcc >/dev/null || missing="$$missing gcc"; \
	[ -e "$$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || missing="$$missing python3-dev"; \
	if [ -n "$$missing" ]; then \
		echo "Installing$$missing, with which the card reader's library pyscard is built"; \
		$(call as_root,bash -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends libc6-dev $$missing >/dev/null") \
			|| { echo "The card reader's library pyscard is built here and needs Debian packages that this account cannot install: apt-get install$$missing"; exit 1; }; \
	fi
	@echo "Setting up .venv from requirements.lock (about a minute, once)"
	@python3 -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e hsm-sim
	@touch $@

.venv/soak: .venv/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check atheris
	@touch $@

# Spark has a lock of its own: it is larger than everything else together, and only the city's largest nights need it.
.venv/spark: .venv/ready requirements-spark.lock
	@java -version >/dev/null 2>&1 || { \
		echo "Installing openjdk-17-jre-headless"; \
		$(call as_root,bash -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends openjdk-17-jre-headless >/dev/null") \
			|| { echo "Spark needs Java, which this account cannot install: apt-get install openjdk-17-jre-headless"; exit 1; }; \
	}
	@echo "Installing Spark from requirements-spark.lock (some minutes, once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation -r requirements-spark.lock
	@touch $@

.venv/system: .venv/ready
	@missing=""; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v hledger >/dev/null || missing="$$missing hledger"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	ldconfig -p | grep libpangoft2 >/dev/null || missing="$$missing libpangoft2-1.0-0"; \
	fc-list :lang=zh 2>/dev/null | grep . >/dev/null || missing="$$missing fontconfig fonts-noto-cjk"; \
	[ -x /usr/sbin/pcscd ] || missing="$$missing pcscd"; \
	[ -e /usr/lib/pcsc/drivers/serial/libifdvpcd.so ] || missing="$$missing vsmartcard-vpcd"; \
	command -v pcsc_scan >/dev/null || missing="$$missing pcsc-tools"; \
	perl -MChipcard::PCSC -e1 2>/dev/null || missing="$$missing libpcsc-perl"; \
	command -v opensc-tool >/dev/null || missing="$$missing opensc"; \
	if [ -n "$$missing" ]; then \
		echo "Installing$$missing"; \
		$(call as_root,bash -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null") \
			|| { echo "The tests need Debian packages that this account cannot install: apt-get install$$missing"; exit 1; }; \
	fi
	@touch $@
