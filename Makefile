# Thin: every target is one command that can be typed by hand.
BUILD ?= build
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null)

.PHONY: build deps run run-ingest run-processor run-api test bench docs pictures format clean

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

pictures: build # those of docs/CONSOLE.md
	RECO_SCREENSHOTS=$(abspath docs/images) RECO_BUILD_DIR=$(abspath $(BUILD)) python3 -B tests/integration/console.py Looks.test_pictures

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD)
