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
# a run cut off between writing a file and restarting is made good by the next. The time of a file
# counts, too: somebody may have changed it, started the unit, and this run has changed it back.
start_with() {
    local unit=$1 stamp=/var/lib/ollamazure/$1.started-with content
    shift
    content=$(sha256sum "$@" && stat --format '%y  %n' "$@")
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

# download URL FILE: fetches URL, going on from what is in FILE already, and tells how far it is.
download() {
    local url=$1 file=$2 code=0
    say "Downloading $url."
    fetch_on "$url" "$file" || code=$?
    if [ "$code" = 33 ]; then # the server cannot go on from the middle
        rm -f "$file"
        code=0
        fetch_on "$url" "$file" || code=$?
    fi
    [ "$code" = 0 ] || fail "$url cannot be downloaded; curl's reason is above."
}

# fetch_on URL FILE: one download with curl's exit code.
fetch_on() {
    curl --fail --silent --show-error --location --retry 5 --retry-connrefused \
        --continue-at - --output "$2" "$1" &
    attend $! tell_size "$2"
}

tell_size() {
    say "  $(du --block-size=MB "$1" 2>/dev/null | cut -f1) so far."
}

# attend PROCESS COMMAND…: waits for PROCESS, runs COMMAND every 15 seconds, has its exit code. When
# this shell ends before, PROCESS ends too: the next run must not meet it.
attend() {
    local process=$1 told=$SECONDS
    shift
    # shellcheck disable=SC2064  # this process, whatever the variable is later
    trap "kill $process 2>/dev/null" EXIT
    while kill -0 "$process" 2>/dev/null; do
        if ((SECONDS - told >= 15)); then
            "$@"
            told=$SECONDS
        fi
        sleep 0.2
    done
    trap - EXIT
    wait "$process"
}

# pull_image IMAGE: has IMAGE on this machine.
pull_image() {
    local image=$1
    if podman image exists "$image"; then
        return
    fi
    say "Pulling $image."
    podman pull --quiet --retry 5 "$image" >/dev/null &
    attend $! say "  still pulling." ||
        fail "$image cannot be pulled; Podman's reason is above."
    say "$image is there."
}

# address_of CONTAINER: its IPv4 address in mynet, where root reaches ports that are not published.
address_of() {
    podman inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}
