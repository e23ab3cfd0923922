#!/usr/bin/env bash
# Prints the name of every shell script of the project, each ended by a null byte. The first line of a
# file shows whether it is one.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files --cached --others --exclude-standard -z | while IFS= read -r -d '' file; do
    if [ -f "$file" ] && head -c 64 "$file" | head -n 1 | tr -d '\0' | grep -qE '^#!.*\b(ba|da)?sh$'; then
        printf '%s\0' "$file"
    fi
done
