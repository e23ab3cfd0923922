#!/bin/bash
# The first part of the script of each command. It is not installed: components/remote_command.py
# copies it into the script, after `manifest` and `secrets` (JSON), `name` and `fix`.
set -euo pipefail
umask 022

# The machine's record of what this command did; drift.py compares the machine with it.
installed=/etc/ollamazure/installed/${name:?}
known=$([ -d "$installed" ] && echo true || echo false)

# Its former state, for a script that ends with this code: it has put back all that it changed.
former_record=/run/ollamazure/former/$name
readonly as_before=75

# Pulumi updates a command also when only its connection has changed, such as the SSH key.
digest=$(sha256sum <"$0")
if [ "${1-}" = "done" ] && [ ! -e "$installed/unfinished" ] &&
    [ "$(cat "$installed/script" 2>/dev/null)" = "$digest" ]; then
    exit 0
fi

on_exit() {
    local code=$?
    if [ "$code" = 0 ]; then
        install -m 0600 /dev/null "$installed/script"
        printf '%s\n' "$digest" >"$installed/script"
        rm -f "$installed/unfinished"
        # Pulumi takes the command for done, so a power cut must not undo it. With this folder, the
        # disk gets all names that were changed before it.
        sync "$installed/script" "$installed/manifest.json" "$installed/secret-files" "$installed"
    else
        $known || rm -rf "$installed"
        if [ "$code" = $as_before ] && [ -d "$former_record" ]; then
            cp --archive "$former_record/." "$installed"
            rm "$installed/unfinished"
        fi
        # A program that finds no space left does not say on which disk.
        ! [ -x /usr/local/lib/ollamazure/disks.py ] || /usr/local/lib/ollamazure/disks.py >&2 || true
        printf 'ollamazure: %s failed (code %s). %s\n' "$name" "$code" "${fix:?}" >&2
    fi
}
trap on_exit EXIT

rm -rf "$former_record"
if $known && [ ! -e "$installed/unfinished" ]; then
    install -d -m 0755 "${former_record%/*}"
    cp --archive "$installed" "$former_record"
fi
install -d -m 0755 "$installed"
# Pulumi forgets an update that failed: if its settings are then changed back, nothing runs again.
# Pulumi also forgets a command that failed at its first run; then there is nothing to compare.
: >"$installed/unfinished"
printf '%s\n' "${manifest:?}" >"$installed/manifest.json"
install -m 0600 /dev/null "$installed/secret-files"
rm -f "$installed/files" # the record of earlier versions

# secret KEY: prints one secret.
secret() {
    printf '%s' "${secrets:?}" | /usr/local/lib/ollamazure/value_of.py "$1"
}

# put PATH MODE [SUFFIX]: writes standard input to the file PATH, completely or not at all, also when
# the power is cut. With SUFFIX it writes PATH+SUFFIX instead, for a script that checks the file before
# it replaces PATH.
put() {
    local path=$1${3-} new=$1.new
    install -d -m 0755 "${path%/*}"
    install -m 0600 /dev/null "$new"
    cat >"$new"
    chmod "$2" "$new"
    # A file that does not change keeps its time, which start_with in lib.sh compares.
    ! cmp --silent "$new" "$path" || touch --reference "$path" "$new"
    sync "$new"
    mv -f "$new" "$path"
}

# put_secret KEY PATH MODE [SUFFIX]: the same with a secret, whose digest only this machine records.
put_secret() {
    secret "$1" | put "${@:2}"
    local digest
    digest=$(secret "$1" | sha256sum | cut -d ' ' -f 1)
    printf '%s  %s\n' "$digest" "$2" >>"$installed/secret-files"
}
