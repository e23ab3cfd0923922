#!/usr/bin/env bash
# Writes the comment about a pull request from a preview on Azure, after a refresh and with the policies.
# Writes it even if the preview fails; the exit code is that of the preview.
# usage: tools/preview-comment.sh STACK FILE
set -euo pipefail
cd "$(dirname "$0")/.."
stack=$1 file=$2
preview=(pulumi preview --non-interactive --color never --refresh --policy-pack policy --stack "$stack")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

code=0
"${preview[@]}" --json --show-sames >"$work/preview.json" || code=$?
"${preview[@]}" --diff >"$work/diff" || true
mkdir -p "$(dirname "$file")"
.venv/bin/python -m ollamazure.review.from_files --stack "$stack" --preview "$work/preview.json" --diff "$work/diff" --output "$file" || true
exit "$code"
