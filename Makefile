# Each target sets up what it needs by itself: Debian packages when run by root (else it names what is missing), a
# virtual environment in .venv, the package built and installed in it. A second run finds that done.
#
#   make demo        see it work
#   make test        all tests, in every world that this machine offers (tests/worlds/__init__.py)
#   make lint        formatting, lint, types
#   make bench       the figures (benchmarks/)
#   make docs        the documentation, into docs/_build/html
#
#   make test-long   all tests and the long ones
#   make conformance the validation programs of runtime-tools, for make test-long
#   make test-asan   the tests against C built with AddressSanitizer and UBSan
#   make dist        source distribution and wheel, into dist
#   make clean       remove what was made
#
# make test ARGS="--world vm -- tests/integration/test_run.py -k oom" runs some of them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Debian's own Python first: tests run as another user too, who cannot reach an interpreter in somebody's home.
PYTHON = $(firstword $(foreach candidate,/usr/bin/python3 python3,$(if $(call is_recent,$(candidate)),$(candidate))))
is_recent = $(shell $(1) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
NATIVE := $(wildcard pycgroups/_native/*.c pycgroups/_native/*.h pycgroups/_native/*.txt pycgroups/_native/build.py \
    pycgroups/security/syscall_names.py bin/*)
# A warning of the C compiler is an error here; not for those who install the package.
export PYCGROUPS_WERROR := 1
ARCH := $(shell dpkg --print-architecture 2>/dev/null)

BUILD_PACKAGES := python3 python3-venv python3-dev gcc libc6-dev
TEST_PACKAGES := bubblewrap busybox-static catatonit containerd criu dbus-daemon docker-registry fish iproute2 libseccomp2 mount \
    netavark nftables openssl podman procps skopeo strace uidmap umoci zsh
VM_PACKAGES := $(if $(filter amd64,$(ARCH)),qemu-system-x86 virtiofsd linux-image-cloud-amd64 \
    systemd dbus dbus-user-session)
# To build the validation programs of runtime-tools (tests/conformance/): Go, and the source of what they use. And to fuzz.
LONG_PACKAGES := clang libclang-rt-19-dev golang-go golang-github-opencontainers-runtime-tools-dev golang-github-mrunalp-fileutils-dev \
    golang-github-google-uuid-dev golang-github-urfave-cli-dev
BENCH_PACKAGES := busybox-static bubblewrap crun runc podman systemd-container uidmap skopeo docker-registry mmdebstrap isal zstd

.PHONY: help demo test test-long test-asan lint bench docs dist clean conformance build-packages test-packages long-packages \
    bench-packages

help:
	@sed -n '/^$$/q;s/^# \{0,1\}//p' Makefile

demo: $(VENV)/.has-cli
	@$(BIN)/python -m pycgroups.demo

test: $(VENV)/.has-test test-packages
	@$(BIN)/python -m tests.worlds $(ARGS)

test-long: $(VENV)/.has-test test-packages conformance
	@$(BIN)/python -m tests.worlds --long $(ARGS)

# Without Debian's packages the tests that need the programs are skipped.
conformance: $(VENV)/.has-test long-packages
	-@$(BIN)/python -m tests.conformance.build

# In a copy of the package of its own, which is found before the one in the tree.
test-asan: $(VENV)/.has-test test-packages
	@rm -rf build
	PYCGROUPS_SANITIZE=1 $(PIP) install --no-build-isolation --no-deps --target build/asan .
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/asan:$(CURDIR) PYCGROUPS_TEST_WORLD=asan \
	PYCGROUPS_TEST_RUNTIME=$(CURDIR)/build/asan/bin/pycgroups-oci PATH=$(CURDIR)/$(BIN):$$PATH \
	$(BIN)/python -m pytest $(or $(ARGS),tests)

lint: $(VENV)/.has-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.has-bench bench-packages
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.has-docs
	$(BIN)/sphinx-build -n -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

dist: $(VENV)/.has-dist
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	@rm -rf build *.egg-info

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info pycgroups/_native/*.so .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------------- set-up

build-packages:
	@tools/debian-packages $(BUILD_PACKAGES)

test-packages:
	@tools/debian-packages --optional $(TEST_PACKAGES) $(VM_PACKAGES)

long-packages:
	@tools/debian-packages --optional $(LONG_PACKAGES)

bench-packages:
	@tools/debian-packages --optional $(BENCH_PACKAGES)

$(VENV)/bin/python: | build-packages
	$(or $(PYTHON),$(error Python 3.11 or newer is needed; make PYTHON=/path/to/python3 takes another one)) -m venv $(VENV)

# What the package itself is built with: no isolated build, so that a rebuild needs no network.
$(VENV)/.has-build: pyproject.toml | $(VENV)/bin/python
	$(PIP) install 'setuptools>=77' 'cffi>=1.17'
	@touch $@

# The package and one group of its optional dependencies; again after a change of what is compiled.
$(VENV)/.has-%: $(VENV)/.has-build pyproject.toml setup.py $(NATIVE) | build-packages
	$(PIP) install --no-build-isolation --editable '.[$*]'
	@touch $@
