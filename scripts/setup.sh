#!/usr/bin/env bash
# Installs what the commands of the Makefile need and the machine lacks; says nothing when nothing is missing.
#
#   scripts/setup.sh build        a Rust toolchain and a C compiler (for the bundled SQLite)
#   scripts/setup.sh test         the test runner, PostgreSQL, pgbouncer, and what programs in other languages run on
#
# On Debian and its relatives it asks apt-get, as root or through sudo; elsewhere it says in one line what to install.
# It starts no service, and leaves what is installed as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

NEXTEST_VERSION=0.9.143

have() { command -v "$1" >/dev/null 2>&1; }
stop() {
    echo "setup: $*" >&2
    exit 1
}

packages=()
need() { # need 'what for' package...
    echo "setup: missing: $1" >&2
    packages+=("${@:2}")
}

has_postgres() {
    local folder
    if [ -n "${TIELINE_PG_BIN:-}" ]; then
        [ -x "$TIELINE_PG_BIN/postgres" ]
        return
    fi
    for folder in /usr/lib/postgresql/*/bin; do
        if [ -x "$folder/postgres" ]; then return 0; fi
    done
    have postgres && have initdb
}

wants_build() {
    have cargo || stop 'Rust 1.95 or newer is missing: install rustup, from your system or by https://www.rust-lang.org/tools/install'
    have cc || need 'a C compiler' gcc libc6-dev
}

wants_test() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
        stop 'rustfmt and clippy are missing: rustup component add rustfmt clippy'
    has_postgres || need 'PostgreSQL (the tests start one of their own)' postgresql
    have pgbouncer || [ -x /usr/sbin/pgbouncer ] || need 'pgbouncer (the tests stand one before their PostgreSQL)' pgbouncer
    { have flock && have setpriv; } || need 'flock and setpriv (the tests stop their PostgreSQL by them)' util-linux
    if [ -e tests/verifiers/setup.sh ]; then
        { have node && have npm; } || need 'Node.js and npm (for verifiers and clients that others wrote)' nodejs npm
        python3 -c 'import ensurepip, venv' 2>/dev/null || need 'Python with venv (for verifiers and clients that others wrote)' python3 python3-venv
    fi
}

install_packages() {
    if ! have apt-get; then
        stop "install these (Debian's names) with your package manager: ${packages[*]}"
    fi
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        have sudo || stop "install as root: apt-get install ${packages[*]}"
        as_root=(sudo)
    fi
    # Debian starts a service as it installs it, unless this file forbids it. An existing one is the machine's own.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        # shellcheck disable=SC2064 # expanded now on purpose
        trap "${as_root[*]} rm -f $policy" EXIT
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    local log
    log=$(mktemp)
    echo "setup: installing ${packages[*]}" >&2
    if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-upgrade --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        stop "apt-get could not install: ${packages[*]}"
    fi
    rm -f "$log"
}

for part in "$@"; do
    case $part in
    build | test) "wants_$part" ;;
    *) stop "no such part: $part (build, test)" ;;
    esac
done
if [ ${#packages[@]} != 0 ]; then install_packages; fi

case " $* " in
*' test '*)
    # After the packages: it is compiled, and so needs the C compiler.
    if ! have cargo-nextest; then
        echo "setup: installing the test runner cargo-nextest $NEXTEST_VERSION (some minutes)" >&2
        cargo install --quiet --locked cargo-nextest --version "$NEXTEST_VERSION"
    fi
    ;;
esac
