# SPDX-License-Identifier: GPL-3.0-or-later
# A thin front over CMake and Ninja. `make help` lists what there is.

BUILD  ?= build
PREFIX ?= /usr/local
AI     ?= 1
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
PHOTO  ?=

ifeq ($(AI),0)
  BUILD := $(BUILD)-noai
  CMAKE_FLAGS += -DUSE_AI=OFF
endif

CONFIGURE = cmake -S . -G Ninja -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS)
# a runtime to ship, the system's, or none wanted; otherwise a second client may reach another registry
HAS_RUNTIME = [ $(AI) = 0 ] || [ -e $(BUILD)/lib/darktable-ai/libonnxruntime.so.1 ] || pkg-config --exists libonnxruntime
CTEST     = ctest --output-on-failure --no-tests=error
C_FILES   = $(shell git ls-files '*.c' '*.h' 2>/dev/null)

.DEFAULT_GOAL := all
.PHONY: all demo test test-long bench models models-eval install asan tsan lint format clean help deps

all: ## build the library and the program into build/
	@tools/install-deps.sh build test
	@$(CONFIGURE) -B $(BUILD) >/dev/null
	@$(HAS_RUNTIME) || { tools/install-deps.sh clients && $(CONFIGURE) -B $(BUILD) >/dev/null; }
	@ninja -C $(BUILD) --quiet

demo: ## denoise a real photograph and show before | after (PHOTO=my.jpg for your own)
	@tools/install-deps.sh build test demo
	@$(MAKE) --no-print-directory all
	@tools/demo.sh $(BUILD) "$(PHOTO)"

test: all ## build and run the whole test suite, with a build without AI
	@$(MAKE) --no-print-directory AI=0 all
	@cd $(BUILD) && $(CTEST) -j $(JOBS) --timeout 900
	@cd $(BUILD)-noai && $(CTEST) -j $(JOBS) --timeout 900

test-long: all ## the same tests with the full counts
	@cd $(BUILD) && DT_TEST_LONG=1 $(CTEST) --timeout 3600

bench: all ## measure against bare Run(), as ratios
	@tools/install-deps.sh build demo
	@$(BUILD)/bench/bench_restore

models: ## train a bundled model anew (NAME=denoise-leaves; see models/README.md)
	@models/retrain.sh "$(NAME)"

models-eval: all ## measure the bundled models and print all tables (EVALUATION_DATA=folder)
	@models/evaluate.sh $(BUILD)

install: all ## install below PREFIX (default /usr/local)
	@cmake --install $(BUILD) --prefix $(PREFIX)

asan: ## run the suite under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/install-deps.sh build test
	@$(CONFIGURE) -B $(BUILD)-asan -DSANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
	@ninja -C $(BUILD)-asan --quiet
	@cd $(BUILD)-asan && DT_TEST_SANITIZED=1 G_SLICE=always-malloc ASAN_OPTIONS=detect_leaks=1 \
	  LSAN_OPTIONS=suppressions=$(CURDIR)/tests/suppressions.lsan:print_suppressions=0 \
	  $(CTEST) -j $(JOBS) --timeout 1200

tsan: ## run the suite under ThreadSanitizer
	@tools/install-deps.sh build test
	@$(CONFIGURE) -B $(BUILD)-tsan -DSANITIZE=thread -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
	@ninja -C $(BUILD)-tsan --quiet
	@cd $(BUILD)-tsan && DT_TEST_SANITIZED=1 G_SLICE=always-malloc \
	  TSAN_OPTIONS=suppressions=$(CURDIR)/tests/suppressions.tsan:print_suppressions=0 \
	  $(CTEST) -j $(JOBS) --timeout 1200

lint: all ## clang-format, clang-tidy, cppcheck and the house rules
	@tools/install-deps.sh build test lint
	@tools/lint.sh $(BUILD)

format: ## reformat the C sources
	@tools/install-deps.sh lint
	@clang-format -i $(C_FILES)

clean: ## remove what was built (the fetched runtime in .deps stays)
	@rm -rf build build-* demo

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
