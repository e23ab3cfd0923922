#!/usr/bin/env bash
# Selects the stack of a workflow, in the state that PULUMI_BACKEND_URL names. Refuses a stack file whose
# secrets are encrypted with another key than PULUMI_SECRETS_PROVIDER: with another line there, Pulumi
# would encrypt every secret of the state for the owner of the other key.
# usage: tools/select-stack.sh STACK
set -euo pipefail
cd "$(dirname "$0")/.."
stack=$1
file=Pulumi.$stack.yaml

refuse() {
    echo "$*" >&2
    exit 1
}

: "${PULUMI_BACKEND_URL:?is not set: copy the environment variable of this name that bin/ollamazure bootstrap printed}"
: "${PULUMI_SECRETS_PROVIDER:?is not set: copy the environment variable of this name that bin/ollamazure bootstrap printed}"
[ -e "$file" ] || refuse "$file does not exist: there is no stack $stack."
provider=$(sed -n 's/^secretsprovider: *//p' "$file" | tr -d "\"'")
[ "$provider" = "$PULUMI_SECRETS_PROVIDER" ] || refuse "$file: secretsprovider is '$provider', and this environment's is" \
    "'$PULUMI_SECRETS_PROVIDER'. Create the stack as docs/how-to/bootstrap-azure.md shows, and commit its file."
pulumi stack select "$stack" --non-interactive
