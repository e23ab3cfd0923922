#!/usr/bin/env bash
# Selects the stack of a workflow, with the state that PULUMI_BACKEND_URL names, and refuses a stack
# file whose secrets are encrypted with another key than PULUMI_SECRETS_PROVIDER: a change of that
# line would hand every secret of the state to whoever owns the other key.
# usage: tools/select-stack.sh STACK
set -euo pipefail
cd "$(dirname "$0")/.."
stack=$1
file=Pulumi.$stack.yaml

wrong() {
    echo "$*" >&2
    exit 1
}

: "${PULUMI_BACKEND_URL:?is not set: the environment variable of this name, as make bootstrap-azure printed it}"
: "${PULUMI_SECRETS_PROVIDER:?is not set: the environment variable of this name, as make bootstrap-azure printed it}"
[ -e "$file" ] || wrong "$file does not exist: there is no stack $stack."
provider=$(sed -n 's/^secretsprovider: *//p' "$file" | tr -d "\"'")
[ "$provider" = "$PULUMI_SECRETS_PROVIDER" ] || wrong "$file: secretsprovider is '$provider', and this environment's is" \
    "'$PULUMI_SECRETS_PROVIDER'. Was the stack made as docs/how-to/continuous-deployment.md says, and the file committed?"
pulumi stack select "$stack" --non-interactive
