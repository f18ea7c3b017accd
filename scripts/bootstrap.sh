#!/bin/sh
# Build .venv with the package in it: `bootstrap.sh base` for users, `bootstrap.sh dev` with what the tests need.
# Quick the second time: a stamp holds the checksum of pyproject.toml for each kind.
set -eu
kind=${1:-base}
cd "$(dirname "$0")/.."
sum=$(cksum < pyproject.toml | tr ' ' '-')
stamp=.venv/.crucible-$kind-$sum
[ -f "$stamp" ] && exit 0

python=
for name in python3.13 python3.12 python3.11 python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' 2>/dev/null; then python=$name; break; fi
done
[ -n "$python" ] || { echo "crucible-ray needs Python 3.11, 3.12 or 3.13 on PATH; python3 here is $(python3 -V 2>&1 || true)." >&2; exit 2; }

echo "Building .venv with $($python -V) (about 350 MB of packages, once) ..." >&2
if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv
    if [ "$kind" = dev ]; then
        uv pip install --quiet --python .venv/bin/python -e . --group dev
    else
        uv pip install --quiet --python .venv/bin/python -e .
    fi
else
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1' 2>/dev/null || true
    if [ "$kind" = dev ]; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e . --group dev
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e .
    fi
fi
touch "$stamp"
