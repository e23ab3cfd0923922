#!/usr/bin/env bash
# Writes constraints.txt from what is installed in .venv, after a pin in requirements*.txt has changed; with the
# name of a file in emulator/artifacts/lock_files, what the packages at its top need.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then
    mark='# What these need. Written by tools/lock.sh.'
    chosen=$(sed "\\|^$mark|,\$d" "$1")
    mapfile -t wanted < <(grep "==" <<<"$chosen")
    needed=$(.venv/bin/python -m pip install --quiet --dry-run --ignore-installed --report - "${wanted[@]}" |
        .venv/bin/python -c 'import json, sys
for one in json.load(sys.stdin)["install"]: print(one["metadata"]["name"] + "==" + one["metadata"]["version"])')
    { echo "$chosen"; echo "$mark"; grep -viFx -f <(printf '%s\n' "${wanted[@]}") <<<"$needed" | sort -f; } >"$1"
    exit
fi

direct=$(mktemp)
trap 'rm -f "$direct"' EXIT
grep -h == requirements*.txt >"$direct"
{
    echo "# The packages that those in requirements*.txt need. Written by tools/lock.sh."
    .venv/bin/python -m pip freeze | grep -viFx -f "$direct"
} >constraints.txt
