# The commands of this repository. `make` alone lists them.
# CARGO_TARGET_DIR, CARGO_BUILD_JOBS and the like are Cargo's own and work here too.

# `make run PROFILE=release` builds for speed; the default starts soonest and is the same program.
PROFILE ?= dev
# Seconds for each target of the fuzzer.
SECONDS_EACH ?= 20
# Rounds of the tests that repeat themselves: kills, crashes, simulations.
ROUNDS ?= 20

.PHONY: help run dev test lint soak bench fuzz
.NOTPARALLEL:

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

run: ## try it: a server with sample data, a key, and a receiver that prints what arrives
	@scripts/setup.sh build
	cargo run --quiet --locked --profile $(PROFILE) -p tieline -- demo

dev: ## a server on ./data, with a talkative log
	@scripts/setup.sh build
	TIELINE_LOG=$${TIELINE_LOG:-debug} cargo run -p tieline -- serve

# The test runner comes last, so that its closing line is the last one.
test: ## everything that must hold before a change lands
	@scripts/setup.sh build test
	@scripts/lint.sh
	cargo test --quiet --locked --workspace --doc
	@set -e; for setup in tests/*/setup.sh; do if [ -x $$setup ]; then $$setup; fi; done
	TIELINE_TEST_ENGINE=postgresql cargo nextest run --locked --workspace --profile postgresql
	cargo nextest run --locked --workspace

lint: ## formatting, clippy, licences and origins of dependencies
	@scripts/setup.sh build
	@scripts/lint.sh
	@command -v cargo-deny >/dev/null || echo 'Not checked: licences and origins of dependencies. For that: cargo install --locked cargo-deny'

soak: ## the tests that repeat themselves, many more times
	@scripts/setup.sh build test
	@set -e; for setup in tests/*/setup.sh; do if [ -x $$setup ]; then $$setup; fi; done
	TIELINE_ROUNDS=$(ROUNDS) cargo nextest run --locked --workspace --profile soak --run-ignored all

bench: ## how fast, as ratios against the bare minimum on the same machine
	@scripts/setup.sh build
	cargo build --locked --release -p tieline
	cargo run --locked --release -p tieline-bench -- $(BENCH)

# The fuzzer's flags are the stable compiler's too, as long as no sanitizer is asked for.
fuzz: ## bytes made up for everything that reads bytes of strangers, SECONDS_EACH for each reader
	@scripts/setup.sh build
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	set -e; for target in $$(cargo fuzz list); do \
		cargo fuzz run --sanitizer none $$target -- -max_total_time=$(SECONDS_EACH) -max_len=8192 -rss_limit_mb=1024; done
