#!/usr/bin/env bash
# Formatting, clippy with warnings denied, and, where cargo-deny is installed, the rules of deny.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo fmt --all --check
cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
if command -v cargo-deny >/dev/null; then
    # It looks at the dependencies of every platform, also those that no build here has fetched.
    cargo fetch --quiet --locked
    cargo deny --offline check licenses bans sources
fi
