#!/bin/sh
# Takes a script from standard input and runs it as root. The login shell of the admin user runs
# this for each command. It is not installed: components/remote_command.py copies it, without the
# comments because Pulumi prints it when a command fails, after `lock` and, for an update, `unless`.
set -eu
# The script may hold secrets, so it is kept in memory.
script=$(mktemp -p /dev/shm)
trap 'rm -f "$script"' EXIT
cat >"$script"
sudo install -d -m 0755 /run/ollamazure
# If only the connection of the run before broke, that run may still be at work.
sudo flock --close "${lock:?}" bash "$script" ${unless:+"$unless"}
