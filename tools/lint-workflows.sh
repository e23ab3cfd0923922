#!/usr/bin/env bash
# Reads the workflows with zizmor (what an attacker could use) and actionlint (what does not work, and
# by shellcheck what is wrong in their commands). Both work offline once they are installed.
set -euo pipefail
cd "$(dirname "$0")/.."

.venv/bin/zizmor --quiet --offline --strict-collection --pedantic .github
if ! .venv/bin/python -m emulator.artifacts build actionlint; then
    echo "actionlint could not be built (see above), so the workflows were not read by it." >&2
    echo "Go is found on PATH or comes from PyPI, and the rest from Go's module proxy." >&2
    # A build server must not pass without it.
    [ -z "${CI-}" ] || exit 1
    exit 0
fi
actionlint=$(.venv/bin/python -c 'from emulator.artifacts import paths; print(paths.actionlint())')
"$actionlint" -shellcheck shellcheck
