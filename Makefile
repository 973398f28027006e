# Thin: every target is one command that can be typed by hand.
BUILD ?= build
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null)

.PHONY: build deps run run-ingest run-processor run-api test bench docs format clean

build:
	cmake -S . -B $(BUILD) -G Ninja -DRECO_COMMIT=$(COMMIT)
	cmake --build $(BUILD)

deps:
	bash infra/scripts/deps.sh

run:
	bash infra/scripts/run.sh

run-ingest run-processor run-api: run-%: build
	exec $(BUILD)/bin/reco-$* $(ARGS)

test:
	bash infra/scripts/test.sh

test-coverage:
	bash infra/scripts/coverage.sh

lint:
	bash infra/scripts/lint.sh

bench: build
	bash tests/bench/run.sh $(abspath $(BUILD))

docs: build
	python3 infra/scripts/docs.py $(BUILD)

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD)
