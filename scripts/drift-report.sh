#!/usr/bin/env bash
# Writes what differs from what was declared, in the cloud and on the machine, as Markdown. Its first
# line says what came of it: found; none; or unknown, where nothing was found and one of the two
# gave no answer.
# usage: scripts/drift-report.sh STACK FILE
set -euo pipefail
cd "$(dirname "$0")/.."
stack=$1 file=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cloud=none machine=none
pulumi refresh --preview-only --expect-no-changes --diff --non-interactive --color never --stack "$stack" \
    >"$work/cloud" 2>&1 || cloud=unknown
if grep -q 'no changes were expected' "$work/cloud"; then cloud=found; fi

code=0
.venv/bin/python -m scripts.drift --stack "$stack" >"$work/machine" 2>&1 || code=$?
case $code in
    0) ;;
    1) machine=found ;;
    *) machine=unknown ;;
esac

case "$cloud $machine" in
    *found*) outcome=found ;;
    *unknown*) outcome=unknown ;;
    *) outcome=none ;;
esac

part() {
    printf '\n**The %s**: %s\n\n~~~~~~~~text\n' "$1" "$2"
    head -c 24000 "$work/$1"
    printf '\n~~~~~~~~\n'
}

mkdir -p "$(dirname "$file")"
{
    echo "<!-- drift: $outcome -->"
    echo "## $stack"
    part cloud "$cloud"
    part machine "$machine"
} >"$file"
echo "drift of $stack: cloud $cloud, machine $machine"
