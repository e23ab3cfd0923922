#!/usr/bin/env bash
# Starts Open WebUI as the official image's script of this name does: a secret key from the
# environment, else one made once and kept in a file; then the server on HOST:PORT.
set -euo pipefail
cd "$(dirname "$0")"

if [ -z "${WEBUI_SECRET_KEY:-}" ] && [ -z "${WEBUI_JWT_SECRET_KEY:-}" ]; then
    key_file=${WEBUI_SECRET_KEY_FILE:-.webui_secret_key}
    [ -s "$key_file" ] || (umask 077 && head -c 24 /dev/urandom | base64 >"$key_file")
    WEBUI_SECRET_KEY=$(<"$key_file")
    export WEBUI_SECRET_KEY
fi

exec python3 -m uvicorn open_webui.main:app \
    --host "${HOST:-0.0.0.0}" --port "${PORT:-8080}" \
    --forwarded-allow-ips '*' --workers "${UVICORN_WORKERS:-1}"
