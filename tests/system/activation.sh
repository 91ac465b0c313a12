#!/bin/bash
# Sockets from systemd by their names, passed as systemd passes them: served, and refused where a name is unknown, comes
# twice, or belongs to another kind of socket.
set -euo pipefail
# shellcheck source=tests/system/server.sh
. "$(dirname "$0")/server.sh"

if ! command -v systemd-socket-activate >/dev/null; then
    echo "skipped: systemd-socket-activate is not installed"
    exit
fi

server_create
: >"$directory/server.log"
other=127.0.0.1:$((20000 + RANDOM % 12000))

# activate NAMES LISTENERS...: starts the server with its first connection, and makes that connection.
activate() {
    local names=$1 listeners=()
    shift
    for listener in "$@"; do
        listeners+=(--listen "$listener")
    done
    : >"$directory/server.log"
    systemd-socket-activate "${listeners[@]}" --fdname="$names" "$nightlatch" serve --config "$directory/nightlatch.toml" \
        </dev/null >>"$directory/server.log" 2>&1 &
    server=$!
    for _ in {1..100}; do
        if (: <"/dev/tcp/${address/:/\/}") 2>/dev/null; then
            return
        fi
        kill -0 "$server" 2>/dev/null || return 0
        sleep 0.1
    done
    fail "nothing listens"
}

# refuses TEXT NAMES LISTENERS...: the server must end with an error that says TEXT, and a hint.
refuses() {
    local text=$1 code=0
    shift
    activate "$@"
    wait "$server" || code=$?
    server=
    [[ $code == 78 ]] || fail "exit code $code, not 78"
    grep -q "nightlatch: error: .*$text" "$directory/server.log" || fail "no error that says: $text"
    grep -q "nightlatch: hint: " "$directory/server.log" || fail "no hint"
}

echo "-- served"
activate talos:approval-cli "$address" "$directory/activated.sock"
head -c 32 /dev/urandom >"$directory/secret"
sed -i "s|^socket = .*|socket = \"$directory/activated.sock\"|" "$directory/nightlatch.toml"
asking approve "$nightlatch" seal --endpoint "grpc://$address" --node "$cp_1" --in "$directory/secret" --out "$directory/blob" --wait 1m ||
    fail "no seal through the sockets that systemd passed: $(cat "$directory/errors")"
server_stop

echo "-- refused"
refuses "named \`talso\`" talso "$address"
refuses "named \`approval-matrix\`" talos:approval-matrix "$address" "$directory/matrix.sock"
refuses "two sockets named \`approval-cli\`" talos:approval-cli:approval-cli "$address" "$directory/1.sock" "$directory/2.sock"
refuses "is not a Unix stream socket" talos:approval-cli "$address" "$other"

echo "-- meant for another process"
# A process that inherits the variables and is not the one they name must not take the descriptors.
LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=talos server_start
server_stop
echo ok
