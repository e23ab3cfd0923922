#!/usr/bin/env bash
# Makes the Python environment in the user's cache, by the hash of what is pinned, and links .venv to it.
# A virtual environment cannot be moved, so it is built where it stays and marked when it is complete.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local candidate
    for candidate in /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13 python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "No Python 3.11, 3.12 or 3.13 with its venv module was found; install one: apt-get install python3-venv" >&2
    return 1
}

python=$(find_python)
key=$({ cat requirements.txt requirements-dev.txt constraints.txt; "$python" --version; } | sha256sum | cut -c1-16)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/ollamazure/venv/$key
mkdir -p "$folder"
exec 9>"$folder.lock"
flock 9
if [ ! -e "$folder/.complete" ]; then
    echo "python environment: installing into $folder"
    "$python" -m venv --clear "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check \
        --constraint constraints.txt --requirement requirements-dev.txt
    touch "$folder/.complete"
fi
ln -sfn "$folder" .venv
