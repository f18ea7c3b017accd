#!/bin/sh
# Build .venv with the package in it: `bootstrap.sh base` for users, `bootstrap.sh dev` with what the tests need.
# Quick the second time: a stamp in .venv holds the checksum of pyproject.toml for each kind.
set -eu
kind=${1:-base}
cd "$(dirname "$0")/.."
sum=$(cksum < pyproject.toml | tr ' ' '-')
here=.venv/bin/python

# What the tests need holds what users need.
for built in "$kind" dev; do
    if [ -f ".venv/.crucible-$built-$sum" ] && "$here" -c '' 2>/dev/null; then exit 0; fi
done

python=
for name in python3.13 python3.12 python3.11 python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$name; break; fi
done
if [ -z "$python" ]; then
    echo "crucible-ray needs Python 3.11 or later on PATH; python3 here is $(python3 -V 2>&1 || true)." >&2
    exit 2
fi

if [ "$kind" = dev ]; then set -- -e . --group dev; size=300; else set -- -e .; size=200; fi
echo "Building .venv with $("$python" -V): about $size MB to download, once ..." >&2
if command -v uv >/dev/null 2>&1; then
    "$here" -c '' 2>/dev/null || uv venv --quiet --clear --python "$python" .venv
    uv pip install --quiet --python "$here" "$@"
else
    # A copied or half-built .venv, or one whose Python is gone, is made anew.
    if ! "$here" -m pip --version >/dev/null 2>&1; then
        rm -rf .venv
        "$python" -m venv .venv
    fi
    # pip knows --group since 25.1.
    "$here" -m pip install -qq --disable-pip-version-check 'pip>=25.1'
    "$here" -m pip install -qq --disable-pip-version-check "$@"
fi
touch ".venv/.crucible-$kind-$sum"
