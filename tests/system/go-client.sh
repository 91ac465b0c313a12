#!/bin/bash
# The libraries of Talos itself against the server: seals and unseals under an approval each.
set -euo pipefail
if ! command -v go >/dev/null; then
    echo "skipped: Go is not installed"
    exit 0
fi
if ! (cd "$(dirname "$0")/go-client" && GOTOOLCHAIN=local go mod download) >/dev/null 2>&1; then
    echo "skipped: the Go modules of the client cannot be fetched, or need a newer Go"
    exit 0
fi
# shellcheck source=tests/system/server.sh
source "$(dirname "$0")/server.sh"

(cd "$(dirname "$0")/go-client" && GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -o "$directory/go-client" .)

ask() {
    "$directory/go-client" -endpoint "$address" -node "$2" -tick 1s -tries 60 "$1"
}

server_create
server_start
head -c 32 /dev/urandom >"$directory/secret"

echo "-- seal"
asking approve ask seal "$cp_1" <"$directory/secret" >"$directory/blob" || fail "seal: $(cat "$directory/errors")"
cmp -s "$directory/secret" "$directory/blob" && fail "the blob is the secret"

echo "-- unseal, under an approval of its own"
server_stop
server_start
asking approve ask unseal "$cp_1" <"$directory/blob" >"$directory/answer" || fail "unseal: $(cat "$directory/errors")"
cmp "$directory/secret" "$directory/answer" || fail "the answer is not the secret"

echo "-- an empty UUID is refused"
if "$directory/go-client" -endpoint "$address" -node "" -tries 1 unseal <"$directory/blob" >"$directory/answer" 2>"$directory/errors"; then
    fail "a node without a UUID got an answer"
fi
grep -q InvalidArgument "$directory/errors" || fail "a node without a UUID is told: $(cat "$directory/errors")"

echo "ok"
