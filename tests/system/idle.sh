#!/bin/bash
# exit_after_idle with the built program and the host's clock: it serves one call through a socket that systemd passes, and
# ends by itself a minute later, with 0.
set -euo pipefail
# shellcheck source=tests/system/server.sh
. "$(dirname "$0")/server.sh"

if ! command -v systemd-socket-activate >/dev/null; then
    echo "skipped: systemd-socket-activate is not installed"
    exit
fi

server_create
sed -i -e 's/^tls = .*/tls = "off"\nexit_after_idle = "1m"/' -e 's/^seal = .*/seal = "allow"/' "$directory/nightlatch.toml"
systemd-socket-activate --listen "$address" --fdname=talos "$nightlatch" serve --config "$directory/nightlatch.toml" \
    </dev/null >"$directory/server.log" 2>&1 &
server=$!
head -c 32 /dev/urandom >"$directory/secret"
for _ in {1..100}; do
    if (: <"/dev/tcp/${address/:/\/}") 2>/dev/null; then
        break
    fi
    sleep 0.1
done
"$nightlatch" seal --endpoint "grpc://$address" --node "$cp_1" --in "$directory/secret" --out "$directory/blob" ||
    fail "not sealed"
code=0
timeout 120 tail --pid="$server" -f /dev/null || fail "it goes on"
wait "$server" || code=$?
server=
[[ $code == 0 ]] || fail "exit code $code, not 0"
tail -n 1 "$(initialised state_directory)/audit.log" | grep -q '"event":"stopped","reason":"idle"' || fail "no record"
echo ok
