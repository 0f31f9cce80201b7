#!/bin/sh
# Installs other people's Chatwoot clients, which crates/tieline/tests/cli/clients.rs runs as they are. Quick when they are
# already there. Each Python client has an environment of its own: two of them have one module name.
set -eu
cd "$(dirname "$0")"
if ! cmp -s package-lock.json node_modules/.installed; then
    # n8n itself, which the node names as a peer, is not needed: n8n.mjs stands in for it.
    npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
fi
for pins in python/*.txt; do
    client=.venv/$(basename "$pins" .txt)
    if ! cmp -s "$pins" "$client/.installed"; then
        python3 -m venv --clear "$client"
        "$client/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$pins"
        cp "$pins" "$client/.installed"
    fi
done
