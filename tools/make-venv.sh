#!/usr/bin/env bash
# Creates .venv: the project itself, and the packages that it pins.
# The packages take half a GiB. They are installed once into the user's cache, in a folder named by the
# hash of the pins, and all clones share them; one that no clone has used for 30 days is removed.
# Operators can run `pulumi install` instead.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local candidate
    for candidate in /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13 python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "No Python 3.11, 3.12 or 3.13 with its venv module was found; install one: apt-get install python3-venv" >&2
    return 1
}

python=$(find_python)
key=$({ cat requirements*.txt constraints.txt; echo "$python"; "$python" --version; } |
    sha256sum | cut -c1-16)
shared=${XDG_CACHE_HOME:-$HOME/.cache}/ollamazure/venv/$key
mkdir -p "$shared"
exec 9>"$shared.lock"
flock --nonblock 9 || { echo "python environment: waiting for another run that installs it" && flock 9; }
if [ ! -e "$shared/.complete" ]; then
    echo "python environment: installing into $shared"
    "$python" -m venv --clear "$shared"
    # Without `-e .`: each clone has its own project.
    sed -s '/^-e /d; /^-r /d; /^-c /d' requirements.txt requirements-dev.txt >"$shared/pinned.txt"
    "$shared/bin/pip" install --quiet --disable-pip-version-check \
        --constraint constraints.txt --requirement "$shared/pinned.txt"
    "$shared/bin/pip" install --quiet --disable-pip-version-check \
        --no-deps --requirement requirements-no-deps.txt
fi
touch "$shared/.complete"

remove_unused_environments() {
    local one
    for one in "${shared%/*}"/*/; do
        one=${one%/}
        # This script touches .complete; the Python of a clone reads site-packages.
        if [ "$one" = "$shared" ] || [ -n "$(find "$one" "$one/.complete" "$one"/lib/python*/site-packages \
            -maxdepth 0 \( -mtime -30 -o -atime -30 \) 2>/dev/null)" ]; then
            continue
        fi
        if flock --nonblock "$one.lock" rm -rf "$one"; then
            echo "python environment: removed $one, unused for 30 days"
        fi
    done
}
remove_unused_environments

# Made beside its place and then moved there, so that an interrupted run leaves no half .venv, which
# make would take for a finished one.
rm -rf .venv.new
"$python" -m venv --without-pip .venv.new
site_packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
# What `pip install -e .` would add, and the shared packages with their own .pth files.
printf '%s\nimport site; site.addsitedir("%s")\n' "$PWD" "$(site_packages "$shared")" \
    >"$(site_packages .venv.new)/ollamazure.pth"
for tool in mypy ruff yamllint zizmor; do
    ln -s "$shared/bin/$tool" ".venv.new/bin/$tool"
done
sed -i "s|$PWD/.venv.new|$PWD/.venv|g" .venv.new/pyvenv.cfg .venv.new/bin/activate*
rm -rf .venv # earlier versions of this script made a link
mv .venv.new .venv
