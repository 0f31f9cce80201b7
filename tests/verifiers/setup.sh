#!/bin/sh
# Installs the third-party verifiers that crates/delivery/tests/verifiers.rs needs. Quick when they are already there.
set -eu
cd "$(dirname "$0")"
if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
fi
if ! cmp -s requirements.txt .venv/.installed; then
    python3 -m venv --clear .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt .venv/.installed
fi
