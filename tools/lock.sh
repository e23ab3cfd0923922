#!/usr/bin/env bash
# Writes constraints.txt from what is installed in .venv, after a pin in requirements*.txt has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

direct=$(mktemp)
trap 'rm -f "$direct"' EXIT
grep -h == requirements*.txt >"$direct"
{
    echo "# The packages that those in requirements*.txt need. Written by tools/lock.sh."
    .venv/bin/python -m pip freeze | grep -viFx -f "$direct"
} >constraints.txt
