# shellcheck shell=bash
# What the steps on this machine share. Sourced, by bash with `set -euo pipefail`.

# say WORDS…: one line of progress, with the seconds since the step began.
say() {
    printf '%4ss  %s\n' "$SECONDS" "$*" >&2
}

# fail WORDS…: says what is wrong and ends the step.
fail() {
    say "$*"
    exit 1
}

# wait_for SECONDS WHAT COMMAND…: runs COMMAND each second until it succeeds, telling every 15
# seconds what is being waited for.
wait_for() {
    local seconds=$1 what=$2 begun=$SECONDS told=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS - begun >= seconds)); then
            say "$what: not after $seconds seconds."
            return 1
        fi
        if ((SECONDS - told >= 15)); then
            say "Waiting for $what ($((SECONDS - begun)) of at most $seconds seconds)."
            told=$SECONDS
        fi
        sleep 1
    done
}

# start_with UNIT FILE…: makes UNIT run with the present content of FILE…; restarts it only when it
# does not already. What it was last started with is remembered, not what this run changed, so that
# a run cut off between writing a file and restarting is made good by the next.
start_with() {
    local unit=$1 stamp=/var/lib/ollamazure/$1.started-with content
    shift
    content=$(sha256sum "$@")
    systemctl daemon-reload
    if systemctl is-active --quiet "$unit" && [ "$(cat "$stamp" 2>/dev/null)" = "$content" ]; then
        say "$unit runs with what is declared."
        return
    fi
    say "Starting $unit."
    if ! systemctl restart "$unit"; then
        systemctl status --no-pager --lines 0 "$unit" >&2 || true
        journalctl --no-pager --lines 20 --output cat --unit "$unit" >&2
        return 1
    fi
    install -d -m 0755 "${stamp%/*}"
    printf '%s\n' "$content" >"$stamp"
}
