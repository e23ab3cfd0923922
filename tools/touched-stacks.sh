#!/usr/bin/env bash
# Prints what a workflow's job hands on: touched=["dev"], the stacks that the checked out commit
# changes against BASE, and azure=["dev"], those of them that AZURE_STACKS names. Without a BASE, as
# in a run started by hand, azure is all that AZURE_STACKS names.
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
