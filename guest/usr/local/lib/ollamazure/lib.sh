# shellcheck shell=bash
# Functions for the commands on this machine. Sourced by bash with `set -euo pipefail`.

# All that is downloaded comes through the proxy of the settings, if there is one.
if [ -e /etc/ollamazure/proxy.env ]; then
    set -a
    # shellcheck source=/dev/null
    . /etc/ollamazure/proxy.env
    set +a
fi

# say WORDS…: prints one line of progress, with the seconds since the start.
say() {
    printf '%4ss  %s\n' "$SECONDS" "$*" >&2
}

# fail WORDS…: prints the problem and ends the script.
fail() {
    say "$*"
    exit 1
}

# fail_as_before WORDS…: the same, if all is as it was before the script (as_before in command.sh).
fail_as_before() {
    say "$*"
    exit 75
}

# wait_for SECONDS WHAT COMMAND…: runs COMMAND each second until it succeeds. Every 15 seconds it
# prints what it waits for.
wait_for() {
    local seconds=$1 what=$2 start=$SECONDS last=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS - start >= seconds)); then
            say "$what is not ready after $seconds seconds."
            return 1
        fi
        if ((SECONDS - last >= 15)); then
            say "Waiting for $what ($((SECONDS - start)) of at most $seconds seconds)."
            last=$SECONDS
        fi
        sleep 1
    done
}

# put_in_place NEW FILE: renames NEW to FILE. After a power cut FILE has the former or the new content,
# never none: the content of NEW is on the disk before its name is.
put_in_place() {
    sync "$1" && mv -f "$1" "$2" && sync "${2%/*}"
}

# write_file FILE: writes standard input to FILE, completely or not at all.
write_file() {
    cat >"$1.new" && put_in_place "$1.new" "$1"
}

# start_with UNIT FILE…: makes UNIT run with the present content of FILE…; restarts it only if it
# runs with another content. It compares with what UNIT was last started with, not with what this
# run changed: if a run is cut off between writing a file and the restart, the next run restarts
# UNIT. It compares the times of the files, too: UNIT may run with a change by hand that this run
# reverted.
start_with() {
    local unit=$1 content
    shift
    content=$(content_of "$@")
    end_trial "$unit" # of a run that was cut off
    if systemctl is-active --quiet "$unit" &&
        [ "$(cat "$(record_of_start "$unit")" 2>/dev/null)" = "$content" ]; then
        say "$unit already runs as declared."
        return
    fi
    say "Starting $unit."
    restart "$unit" || return 1
    record_start "$unit" "$content"
}

content_of() {
    sha256sum "$@" && stat --format '%y  %n' "$@"
}

# restart UNIT: if it does not start, prints the last lines of its log.
restart() {
    if ! systemctl restart "$1"; then
        systemctl status --no-pager --lines 0 "$1" >&2 || true
        journalctl --no-pager --lines 20 --output cat --unit "$1" >&2
        return 1
    fi
}

record_start() {
    local record
    record=$(record_of_start "$1")
    install -d -m 0755 "${record%/*}"
    printf '%s\n' "$2" | write_file "$record"
}

record_of_start() {
    echo "/var/lib/ollamazure/$1.started-with"
}

# A unit here comes before the one in /etc, until the machine restarts.
readonly trials=/run/systemd/system.control

# try_unit UNIT: runs UNIT on trial, as standard input defines it. keep_trial makes that permanent. If
# this does not happen, what /etc defines comes back: by start_with, or when the machine restarts.
try_unit() {
    rm -f "$(record_of_start "$1")" || return 1 # so that start_with starts what /etc defines
    install -D -m 0644 /dev/stdin "$trials/$1" || return 1
    systemctl daemon-reload && restart "$1"
}

# keep_trial UNIT FILE…: makes UNIT on trial the permanent one, which FILE… now define. It goes on
# running.
keep_trial() {
    end_trial "$1"
    record_start "$1" "$(content_of "${@:2}")"
}

end_trial() {
    rm -f "$trials/$1"
    systemctl daemon-reload
}

# unit_of_container NAME: prints the unit that Podman makes of NAME.container on standard input.
unit_of_container() {
    local folder code=0
    folder=$(mktemp --directory) || return 1
    cat >"$folder/$1.container"
    cp /etc/containers/systemd/*.network "$folder"
    QUADLET_UNIT_DIRS=$folder /usr/libexec/podman/quadlet -no-kmsg-log "$folder" >&2 && cat "$folder/$1.service" || code=$?
    rm -rf "$folder"
    return "$code"
}

# redirects_of URL: prints where its redirects may lead: never from https:// to plain HTTP.
redirects_of() {
    echo "=${1%%:*},https"
}

# A download that moves less than this in this time has stalled: nothing comes any more.
readonly stalled=120 slowest=65536 # seconds, bytes
# No file that is downloaded is larger (KiB). A file without end stops there, before the disk is full.
readonly largest=8388608

# download URL FILE: downloads URL, resumes what is in FILE already, and prints the progress.
download() {
    local url=$1 file=$2 attempt code
    say "Downloading $url."
    for attempt in 1 2 3 4 5; do
        code=0
        fetch_on "$url" "$file" || code=$?
        case $code in
            0) return ;;
            # Cut off, too slow, ended by `attend`, no answer, an error while sending or receiving.
            18 | 28 | 143 | 52 | 55 | 56 | 92) say "  The connection broke ($attempt of 5)." ;;
            33) rm -f "$file" ;; # the server cannot resume a download
            23 | 63) # cannot be written
                rm -f "$file"
                fail "$url cannot be stored: the disk is full, or the file is larger than" \
                    "$((largest >> 20)) GiB. What was downloaded is deleted."
                ;;
            *) break ;;
        esac
    done
    fail "$url cannot be downloaded; the reason from curl is above."
}

# fetch_on URL FILE: one download; returns curl's exit code.
fetch_on() {
    local code=0
    start_progress bytes_of_download "$2"
    transfer "$1" --dump-header "$2.headers" --continue-at - --output "$2" &
    attend $! say_progress bytes_of_download "$2" || code=$?
    rm -f "$2.headers"
    return "$code"
}

# transfer URL OPTION…: becomes curl, which downloads URL.
transfer() {
    trap '' XFSZ # an error when a file gets too large, instead of the end of the process
    ulimit -f "$largest"
    exec curl --fail --silent --show-error --location --proto-redir "$(redirects_of "$1")" \
        --connect-timeout 30 --retry 5 --retry-connrefused "${@:2}" "$1"
}

# bytes_of_download FILE: prints how many bytes FILE has, and how many it will have.
bytes_of_download() {
    local total
    # Of a resumed download, Content-Length is only the rest.
    total=$(sed -n 's,^content-range:.*/,,Ip; s,^content-length: *,,Ip' "$1.headers" 2>/dev/null |
        sort --numeric-sort | tail --lines 1 | tr --complement --delete 0-9) || true
    echo "$(stat --format %s "$1" 2>/dev/null || echo 0) ${total:-0}"
}

# start_progress COMMAND…: before the first say_progress.
start_progress() {
    read -r transferred _ < <("$@")
    looked=$SECONDS
}

# say_progress COMMAND…: prints how far a transfer is, and its speed since the last time. COMMAND prints
# the bytes that are transferred and those of the whole; 0 if they are not known.
say_progress() {
    local bytes total rate seconds=$((SECONDS > looked ? SECONDS - looked : 1))
    read -r bytes total < <("$@")
    rate=$((bytes > transferred ? (bytes - transferred) / 100000 / seconds : 0))
    rate="$((rate / 10)).${rate: -1} MB/s"
    if ((bytes < total)); then
        say "  $((bytes / 1000000)) of $((total / 1000000)) MB ($((100 * bytes / total)) %), $rate"
    else
        say "  $((bytes / 1000000)) MB, $rate"
    fi
    transferred=$bytes looked=$SECONDS
}

# attend PROCESS COMMAND…: waits for PROCESS, which downloads, runs COMMAND every 15 seconds, returns
# the exit code of PROCESS. It ends PROCESS if the download has stalled. If this shell ends first,
# PROCESS ends too, so that it does not disturb the next run.
attend() {
    local code=0
    # shellcheck disable=SC2064  # this process, whatever the variable is later
    trap "kill $1 2>/dev/null" EXIT
    watch "$@" || code=$?
    trap - EXIT
    return "$code"
}

watch() {
    local process=$1 last=$SECONDS moved=$SECONDS before=0 now io=("rchar: 0" "wchar: 0")
    shift
    while kill -0 "$process" 2>/dev/null; do
        # How many bytes it has read and written.
        mapfile -t io 2>/dev/null <"/proc/$process/io" || true
        now=$((${io[0]#*: } + ${io[1]#*: }))
        if ((now - before >= slowest)) ||
            { ((SECONDS - moved >= stalled / 2)) && waits_for_disk "$process"; }; then
            before=$now moved=$SECONDS
        elif ((SECONDS - moved >= stalled)); then
            say "  Nothing has arrived for $stalled seconds."
            kill "$process" 2>/dev/null || true
            wait "$process" || true # Podman ends without an error
            return 143
        fi
        if ((SECONDS - last >= 15)); then
            "$@"
            last=$SECONDS
        fi
        sleep 0.2
    done
    wait "$process"
}

# waits_for_disk PROCESS: whether a thread of PROCESS or of its children does. Podman unpacks an image
# after its download: on a slow disk, nothing moves for minutes while the disk takes what was written.
waits_for_disk() {
    ps -L --pid "$1" --ppid "$1" -o stat= | grep --quiet '^D'
}

# pull_image NAME IMAGE: pulls IMAGE for the container NAME unless this machine has it; if IMAGE has a
# digest, only the digest decides. So that the data disk never holds more than two of them, it first
# removes all former images except the last one that was ready.
pull_image() {
    local name=$1 image=$2 pulling=/srv/data/pulling/images/$1 folder total code=0
    repair_images "$pulling"
    if podman image exists "$image"; then
        return
    fi
    remove_former_images "$name" "$image"
    total=$(/usr/local/lib/ollamazure/image_size.py "$image" || echo 0)
    say "Pulling $image."
    install -d -m 0700 "${pulling%/*}"
    write_file "$pulling" </proc/sys/kernel/random/boot_id
    # For what a pull leaves that is ended; cleanup.py knows the name.
    folder=$(mktemp --directory --tmpdir="${TMPDIR:-/var/tmp}" container_images_XXXXXX)
    start_progress bytes_of_pull "$folder" "$total"
    (
        ulimit -f "$largest"
        TMPDIR=$folder exec podman pull --quiet --retry 5 "$image" >/dev/null
    ) &
    attend $! say_progress bytes_of_pull "$folder" "$total" || code=$?
    rm -rf "$folder"
    [ "$code" = 0 ] || fail_to_pull "$name" "$image"
    sync --file-system "${pulling%/*}"
    rm "$pulling"
    say "$image is pulled."
}

# bytes_of_pull FOLDER TOTAL: prints how many bytes Podman has downloaded into FOLDER, where it keeps the
# layers of an image until it has unpacked all of them, and TOTAL.
bytes_of_pull() {
    echo "$(du --bytes --summarize "$1" 2>/dev/null | cut -f1) $2"
}

# repair_images PULLING: if a power cut ended a pull, removes what it damaged: Podman has noted layers
# whose files may be empty, and would use them. PULLING has the boot in which the pull began.
repair_images() {
    [ -e "$1" ] && ! cmp --silent "$1" /proc/sys/kernel/random/boot_id || return 0
    say "The machine restarted during a pull; checking the images."
    # Without --force: what a container uses was complete when that started, so it stays.
    podman system check --repair >&2 || say "Podman could not repair everything; the reason is above."
    rm "$1"
}

fail_to_pull() {
    local name=$1 image=$2 fix="the reason from Podman is above."
    if [[ $image = *@* ]]; then
        fix="the reason from Podman is above. Only an image with exactly this digest is run. If your \
mirror has another one that you trust, set its digest: TAG@sha256:… in webuiVersion or nginxVersion."
    fi
    fail_as_before "$image cannot be pulled, so $name keeps the image that it has: $fix"
}

remove_former_images() {
    local last repository=${2%%@*} image
    # Without a record, from an earlier version of this program, it is the image that runs.
    last=$(cat "$(record_of_image "$1")" 2>/dev/null ||
        podman inspect --format '{{.ImageName}}' "$1" 2>/dev/null) || return 0
    # By their ids: an image that was pulled by its digest has no tag.
    last=$(podman image inspect --format '{{.Id}}' "$last" 2>/dev/null || true)
    podman images --no-trunc --quiet --filter "reference=${repository%:*}" | sort --unique |
        while read -r image; do
            [ "${image#sha256:}" = "$last" ] || podman rmi "$image" >/dev/null || say "$image stays."
        done
}

# use_next FILE: replaces FILE by FILE.next, if that exists. A file that does not change keeps its
# time, which start_with compares.
use_next() {
    [ -e "$1.next" ] || return 0
    ! cmp --silent "$1.next" "$1" || touch --reference "$1" "$1.next"
    put_in_place "$1.next" "$1"
}

# image_is_ready NAME IMAGE: records that the container NAME works with IMAGE. cleanup.py keeps this
# image and the one before.
image_is_ready() {
    local record
    record=$(record_of_image "$1")
    [ "$(cat "$record" 2>/dev/null)" != "$2" ] || return 0
    [ ! -e "$record" ] || mv "$record" "$record.former"
    printf '%s\n' "$2" | write_file "$record"
}

record_of_image() {
    echo "/var/lib/ollamazure/$1.image"
}

# address_of CONTAINER: prints its IPv4 address in mynet, where root reaches unpublished ports.
address_of() {
    podman inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}
