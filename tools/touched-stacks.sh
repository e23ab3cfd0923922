#!/usr/bin/env bash
# Prints the outputs of a workflow's job: touched=["dev"], the stacks that the checked-out commit changes
# since BASE, and azure=["dev"], those of them that AZURE_STACKS names. Without BASE, as in a run that is
# started by hand, both are what AZURE_STACKS names.
# usage: AZURE_STACKS='["dev","prod"]' tools/touched-stacks.sh BASE
set -euo pipefail
cd "$(dirname "$0")/.."
base=${1-}
configured=${AZURE_STACKS:-[]}

if [ -z "${base//0/}" ]; then
    touched=$configured
else
    touched=$(.venv/bin/python -m ollamazure.review.stacks --base "$base")
fi
jq --null-input --raw-output --argjson touched "$touched" --argjson configured "$configured" \
    '"touched=\($touched | tojson)", "azure=\($touched | map(select(IN($configured[]))) | tojson)"'
