#!/usr/bin/env bash
# Installs the missing Debian packages that `make up`, `make check` or `make test` needs.
# usage: tools/install-packages.sh up|check|test
set -euo pipefail

build=(binutils ca-certificates cmake g++ git make mmdebstrap ninja-build python3-venv zstd)
machines=(aardvark-dns conmon crun e2fsprogs iproute2 iptables kmod netavark nftables openssh-client podman
    slirp4netns util-linux)
checks=(git make python3-venv shellcheck)
tests=(certbot chromium-headless-shell faketime libnss3-tools openssh-server openssl pebble restic tinyproxy-bin)
# Azurite runs on Node. Node's own package has npm in it and conflicts with Debian's npm.
command -v npm >/dev/null || tests+=(nodejs npm)

case "${1:-}" in
    up) wanted=("${build[@]}" "${machines[@]}") ;;
    check) wanted=("${checks[@]}") ;;
    test) wanted=("${build[@]}" "${machines[@]}" "${checks[@]}" "${tests[@]}") ;;
    *)
        echo "usage: $0 up|check|test" >&2
        exit 2
        ;;
esac

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || true
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "This is not a Debian machine. Install the content of these Debian packages, then run this again: ${missing[*]}" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
    echo "Only root can install packages: sudo asks for your password."
    as_root=(sudo)
fi
echo "Debian packages: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    echo "apt-get $1 failed; its output is above. Fix the cause, or install these packages yourself: ${missing[*]}" >&2
    exit 1
}
# The tests start their own SSH server: the package's service stays off.
keep_ssh_service_off=false
if [[ " ${missing[*]} " = *" openssh-server "* ]] && [ -d /run/systemd/system ]; then
    keep_ssh_service_off=true
    "${as_root[@]}" systemctl mask --runtime --quiet ssh.service ssh.socket
fi
apt update
apt install --yes --no-install-recommends "${missing[@]}"
if $keep_ssh_service_off; then
    "${as_root[@]}" systemctl unmask --runtime --quiet ssh.service ssh.socket
    "${as_root[@]}" systemctl disable --quiet ssh.service ssh.socket
fi
