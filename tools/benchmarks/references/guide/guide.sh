#!/bin/bash
# The guide's own steps (docs/explanation/guide.md), one after the other, as root on a machine that has
# just booted. Only what the guide leaves to its reader is added: waiting for a service, and mirrors
# instead of the internet. The environment has mirror, ollama_version, bundle, model, webui_image,
# nginx_image, address and, by standard input, the password of the first user.
# It prints a line for each step that is done: "step SECONDS NAME".
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive HOME=/root
mirror=${mirror:?} ollama_version=${ollama_version:?} bundle=${bundle:?} model=${model:?}
webui_image=${webui_image:?} nginx_image=${nginx_image:?} address=${address:?}
read -r password
headers=$(mktemp)
# Otherwise Podman would be slower than on a real machine: see __main__.py.
mountpoint --quiet /var/lib/containers || { echo "the disk of the containers is not mounted" >&2 && exit 1; }
began=$(date +%s.%N)

finish() {
    printf 'step %s %s\n' "$(echo "$(date +%s.%N) $began" | awk '{printf "%.1f", $1 - $2}')" "$1"
}
# wait_for COMMAND…: until it succeeds, for at most ten minutes.
wait_for() {
    local tries
    for ((tries = 0; tries < 3000; tries++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    echo "not within ten minutes: $*" >&2
    return 1
}

apt-get update -qq
apt-get upgrade -qq --yes
finish "packages are up to date"

# What Ollama's install.sh does: it unpacks the release, makes a user and a service, and starts it.
apt-get install -qq --yes curl zstd
curl -fsSL "http://$mirror/ollama/v$ollama_version/$bundle" | tar --extract --zstd --directory /usr/local
useradd --system --user-group --create-home --home-dir /usr/share/ollama --shell /bin/false ollama
cat >/etc/systemd/system/ollama.service <<'UNIT'
[Unit]
Description=Ollama Service
After=network-online.target

[Service]
ExecStart=/usr/local/bin/ollama serve
User=ollama
Group=ollama
Restart=always
RestartSec=3
Environment="PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

[Install]
WantedBy=default.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now ollama
apt-get install -qq --yes htop
finish "Ollama is installed"

wait_for ollama list
ollama pull --insecure "$mirror/library/$model" >/dev/null 2>&1
ollama cp "$mirror/library/$model" "$model" >/dev/null
finish "the model is there"

install -d /etc/systemd/system/ollama.service.d
printf '[Service]\nEnvironment="OLLAMA_HOST=0.0.0.0"\n' >/etc/systemd/system/ollama.service.d/override.conf
systemctl daemon-reload
systemctl restart ollama
finish "Ollama listens to the containers"

# Debian's podman recommends the second one, which containers need to find each other.
apt-get install -qq --yes podman aardvark-dns
for registry in ghcr.io docker.io; do
    printf '[[registry]]\nlocation = "%s"\n[[registry.mirror]]\nlocation = "%s"\ninsecure = true\n' \
        "$registry" "$mirror"
done >/etc/containers/registries.conf.d/mirror.conf
podman network create mynet >/dev/null
finish "Podman is installed"

podman pull --quiet "$webui_image" >/dev/null
finish "Open WebUI is pulled"
podman pull --quiet "$nginx_image" >/dev/null
finish "Nginx is pulled"

host=$(ip -4 -oneline addr show dev eth0 | awk '{sub("/.*", "", $4); print $4}')
# The second setting spares Open WebUI the search for an interface that needs the internet.
podman run -d --network mynet -p 3000:8080 --add-host="host.containers.internal:$host" \
    --env ENABLE_OPENAI_API=false -v open-webui:/app/backend/data --name open-webui --restart always \
    "$webui_image" >/dev/null

mkdir -p ~/nginx/cert
openssl req -x509 -nodes -days 365 -newkey rsa:2048 -keyout ~/nginx/cert/selfsigned.key \
    -out ~/nginx/cert/selfsigned.crt -subj "/C=FR/ST=France/L=Paris/O=Company/CN=$address" 2>/dev/null
cat >~/nginx/nginx.conf <<NGINX
user nginx;
worker_processes auto;

events {
    worker_connections 1024;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;

    server {
        listen 80;
        listen 443 ssl;
        server_name $address;

        ssl_certificate /etc/nginx/cert/selfsigned.crt;
        ssl_certificate_key /etc/nginx/cert/selfsigned.key;

        location / {
            proxy_pass http://open-webui:8080;
            proxy_set_header Host \$host;
            proxy_set_header X-Real-IP \$remote_addr;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto \$scheme;

            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection 'upgrade';
        }
    }
}
NGINX
podman run -d --network mynet --name nginx -p 443:443 -v ~/nginx/nginx.conf:/etc/nginx/nginx.conf:ro \
    -v ~/nginx/cert:/etc/nginx/cert:ro "$nginx_image" >/dev/null
finish "the containers run"

# chat PATH [OPTION…]: a request to Open WebUI through Nginx, with the session if there is one.
chat() {
    curl --insecure --silent --show-error --fail --max-time 600 --header "@$headers" \
        "${@:2}" "https://$host$1"
}
wait_for curl --insecure --silent --fail "https://$host/health"
finish "the page answers"

echo "Content-Type: application/json" >"$headers"
token=$(printf '{"name": "Admin", "email": "admin@example.org", "password": "%s"}' "$password" |
    chat /api/v1/auths/signup --data @- |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')
echo "Authorization: Bearer $token" >>"$headers"
chat /ollama/config/update --data '{"ENABLE_OLLAMA_API": true, "OLLAMA_API_CONFIGS": {},
    "OLLAMA_BASE_URLS": ["http://host.containers.internal:11434"]}' >/dev/null
chat /api/models | grep "$model" >/dev/null
finish "the first user sees the model"

chat /api/chat/completions --data '{"model": "'"$model"'", "stream": true, "max_tokens": 16,
    "messages": [{"role": "user", "content": "What is the capital of France?"}]}' | grep content >/dev/null
finish "the first answer"
