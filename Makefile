# Targets for people and for CI. Each installs what is missing first: Debian packages, through apt.

# What `make search` runs: sizes chosen for two cores.
QUICKSTART    := runs/quickstart
DATA          := fashion-mnist-mini
SEED          := 0
SEARCH_SIZE   := --epochs 3 --batch 64 --set images=2000 --set channels=8 --set cells=3 --set nodes=4 \
                 --set evaluations=10
RETRAIN_SIZE  := --epochs 8 --batch 64 --set channels=16 --set cells=5 --set auxiliary_weight=0 \
                 --set learning_rate=0.05 --set flip=true

SWIFT         := swift
BUILD         := $(SWIFT) build -c release
ESPALIER      := .build/release/espalier
PACKAGES      := zlib1g ocl-icd-opencl-dev opencl-headers libclblast-dev pocl-opencl-icd oclgrind clinfo
MARKER        := $(QUICKSTART)/.made-by-make-search

.PHONY: help search test bench gpu-bundle proofs lint packages

help:
	@echo "make search      build, search a network on real images, retrain it beside a random one"
	@echo "make test        lint and all tests"
	@echo "make bench       speed of operations and training steps"
	@echo "make gpu-bundle  a folder that runs on a machine with only a GPU driver"
	@echo "make proofs      longer evidence"

# Only what is missing is installed, and nothing is said when nothing is.
packages:
	@missing=$$(for name in $(PACKAGES); do \
	  dpkg-query -W -f '$${db:Status-Status}' $$name 2>/dev/null | grep -q '^installed' \
	    || printf ' %s' $$name; done); \
	[ -z "$$missing" ] && exit 0; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo"; \
	apt="$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq"; \
	echo "installing$$missing"; \
	$$apt update && $$apt install -y --no-install-recommends $$missing >/dev/null \
	  || { echo "cannot install$$missing; install them by hand and try again" >&2; exit 1; }

search: packages
	@if [ -e $(QUICKSTART) ] && [ ! -e $(MARKER) ]; then \
	  echo "$(QUICKSTART) was not made by make search; move it away first" >&2; exit 2; fi
	$(BUILD) --product espalier
	@rm -rf $(QUICKSTART) && mkdir -p $(QUICKSTART) && touch $(MARKER)
	$(ESPALIER) search --space darts --strategy darts --data $(DATA) --seed $(SEED) $(SEARCH_SIZE) \
	  --output $(QUICKSTART) --resume
	$(ESPALIER) retrain --space darts --architecture $(QUICKSTART)/architecture.json --data $(DATA) \
	  --seed $(SEED) $(RETRAIN_SIZE) --baseline --output $(QUICKSTART) --resume

test: packages lint
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build

lint:
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests $(wildcard Benchmarks)

bench: packages
	$(SWIFT) run -c release Bench

# Swift's and C++'s libraries linked statically: a machine with the driver and glibc is enough. The
# linker takes libstdc++.a because it stands alone in the first folder that it looks at.
STATIC        := .build-static
STATIC_BUILD  := $(BUILD) --scratch-path $(STATIC) -Xswiftc -static-stdlib \
                 -Xswiftc -L -Xswiftc "$(CURDIR)/$(STATIC)/link" \
                 -Xswiftc -Xclang-linker -Xswiftc -static-libgcc

gpu-bundle: packages
	@mkdir -p $(STATIC)/link
	@ln -sf "$$(gcc -print-file-name=libstdc++.a)" $(STATIC)/link/libstdc++.a
	$(STATIC_BUILD) --product espalier
	$(STATIC_BUILD) --product Bench
	@rm -rf gpu-bundle && mkdir -p gpu-bundle
	cp $(STATIC)/release/espalier $(STATIC)/release/Bench gpu-bundle/
	cp -R Datasets LICENSE gpu-bundle/
	cp .ci/self-test gpu-bundle/self-test
	strip gpu-bundle/espalier gpu-bundle/Bench
	.ci/check-bundle gpu-bundle
	@echo "gpu-bundle is ready: copy it to the machine and run ./self-test there"

proofs: packages
	.ci/proofs
