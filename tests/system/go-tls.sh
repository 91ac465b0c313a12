#!/bin/bash
# The libraries of Talos itself against the server inside TLS: with a chain such as a public authority gives, with one
# that has expired, with a wrong name, and across an exchange of the certificate.
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

(
    cd "$(dirname "$0")/go-client"
    GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -o "$directory/go-client" .
    GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -o "$directory/certificates" ./certificates
)
mkdir "$directory/pki" "$directory/tls"
port=${address#*:}
by_name=https://localhost:$port
by_address=https://$address

# certificate NAME NAMES [OPTION...]: makes a chain in pki/.
certificate() {
    "$directory/certificates" -directory "$directory/pki" -names "$2" "${@:3}" "$1" || fail "no certificate $1"
}

# install_certificate CHAIN KEY: as what renews a certificate does it.
install_certificate() {
    cp "$directory/pki/$1.pem" "$directory/tls/fullchain.pem"
    install -m 0600 "$directory/pki/$2.key.pem" "$directory/tls/privkey.pem"
}

# client ENDPOINT ARGUMENT...: a node that trusts the throw-away root.
client() {
    "$directory/go-client" -endpoint "$1" -roots "$directory/pki/root.pem" -node "$cp_1" -tick 1s "${@:2}"
}

# refused ENDPOINT TEXT: the client does not trust the server, and says why.
refused() {
    if client "$1" -tries 1 unseal <"$directory/blob" >"$directory/answer" 2>"$directory/errors"; then
        fail "the client took the certificate: expected $2"
    fi
    grep -q "$2" "$directory/errors" || fail "expected $2, got: $(cat "$directory/errors")"
}

# logged TEXT: waits up to 10 s for it in the server's log.
logged() {
    for _ in {1..100}; do
        if grep -q "$1" "$directory/server.log"; then
            return
        fi
        sleep 0.1
    done
    fail "the log does not say: $1"
}

# As server_start, without a connection of its own: what the log tells of refused ones is told once a minute.
server_start_unseen() {
    : >"$directory/server.log"
    "$nightlatch" serve --config "$directory/nightlatch.toml" --listen "$address" </dev/null >>"$directory/server.log" 2>&1 &
    server=$!
    logged "serving started"
}

# checked CODE TEXT [OPTION...]: what nightlatch check --tls exits with, and says.
checked() {
    local code=0
    "$nightlatch" check --config "$directory/nightlatch.toml" --tls "${@:3}" >"$directory/check" 2>&1 || code=$?
    [[ $code == "$1" ]] || fail "check --tls exits with $code: $(cat "$directory/check")"
    grep -q -- "$2" "$directory/check" || fail "check --tls does not say $2: $(cat "$directory/check")"
}

server_create
sed -i '/^tls = "off"$/d' "$directory/nightlatch.toml"
cat >>"$directory/nightlatch.toml" <<END

[tls]
certificate = "$directory/tls/fullchain.pem"
key = "$directory/tls/privkey.pem"
names = ["localhost"]
END
certificate good localhost
certificate newer localhost,127.0.0.1
certificate expired localhost -from -48h -until -1h
certificate elsewhere kms.example.net
install_certificate good.chain good
head -c 32 /dev/urandom >"$directory/secret"

echo "-- seal and unseal"
server_start
asking approve client "$by_name" -tries 60 seal <"$directory/secret" >"$directory/blob" || fail "seal: $(cat "$directory/errors")"
cmp -s "$directory/secret" "$directory/blob" && fail "the blob is the secret"
server_stop
server_start
asking approve client "$by_name" -tries 60 unseal <"$directory/blob" >"$directory/answer" || fail "unseal: $(cat "$directory/errors")"
cmp "$directory/secret" "$directory/answer" || fail "the answer is not the secret"
grep -q '"event":"released".*"tls":true' "$directory"/init/state/audit.log || fail "the record does not say TLS"
grep -q "connections unencrypted" "$directory/server.log" && fail "it is warned of plaintext that there is not"

echo "-- what a node refuses"
refused "$by_address" "doesn't contain any IP SANs"
if "$directory/go-client" -endpoint "$by_name" -node "$cp_1" -tries 1 unseal <"$directory/blob" >/dev/null 2>"$directory/errors"; then
    fail "a node that has public roots alone took the certificate"
fi
grep -q "unknown authority" "$directory/errors" || fail "expected an unknown authority: $(cat "$directory/errors")"
refused "$address" "Unavailable"

echo "-- a connection is kept while the certificate is exchanged"
coproc kept { client "$by_name" -data "$directory/blob" keep 2>"$directory/kept.errors"; }
client=$kept_PID
call() {
    echo >&"${kept[1]}"
    read -r -t 15 line <&"${kept[0]}" || fail "the kept connection: $(cat "$directory/kept.errors")"
    echo "$line"
}
before=$(call)
[[ $before == *" TLS 1.3 h2 X25519MLKEM768 "* ]] || fail "agreed on: $before"
install_certificate newer.chain newer
kill -HUP "$server"
logged "certificate replaced"
[[ $(call) == "$before" ]] || fail "the kept connection is another one"
after=$(echo | client "$by_name" -data "$directory/blob" keep) || fail "a new connection"
[[ ${after##* } != "${before##* }" ]] || fail "a new connection got the old certificate"
echo | client "$by_address" -data "$directory/blob" keep >"$directory/answer" || fail "an address that is in the certificate"
[[ $(call) == "$before" ]] || fail "the kept connection is another one"

echo "-- a bad pair keeps the one before"
install_certificate good.chain newer
kill -HUP "$server"
logged "certificate not replaced.*does not belong to the certificate"
install_certificate expired.chain expired
kill -HUP "$server"
logged "certificate not replaced.*it has expired"
install_certificate elsewhere.chain elsewhere
kill -HUP "$server"
logged "certificate not replaced.*it is not for localhost"
now=$(echo | client "$by_name" -data "$directory/blob" keep) || fail "the certificate before is not served any more"
[[ ${now##* } == "${after##* }" ]] || fail "another certificate is served"
[[ $(call) == "$before" ]] || fail "the kept connection is another one"
eval "exec ${kept[1]}>&-"
wait "$client" || fail "the kept connection ended badly: $(cat "$directory/kept.errors")"
client=

echo "-- a server that starts with a certificate that nodes refuse"
for bad in expired elsewhere; do
    server_stop
    install_certificate "$bad.chain" "$bad"
    server_start_unseen
    case $bad in
    expired) refused "$by_name" "certificate has expired" && logged "certificate expired" ;;
    elsewhere) refused "$by_name" "certificate is valid for kms.example.net, not localhost" && logged "it is not for localhost" ;;
    esac
    logged "certificate_refused=1.*nightlatch check --tls"
done
install_certificate good.chain good
kill -HUP "$server"
logged "certificate replaced"
echo | client "$by_name" -data "$directory/blob" keep >/dev/null 2>&1 && fail "the approval outlived the server"
grep -q "waiting for approval" <(client "$by_name" -tries 1 unseal <"$directory/blob" 2>&1) || fail "the server does not answer"

echo "-- nightlatch unseal and nightlatch check --tls say the same"
roots=(--roots "$directory/pki/root.pem")
unseal=("$nightlatch" unseal --endpoint "$by_name" --node "$cp_1")
"${unseal[@]}" "${roots[@]}" <"$directory/blob" >"$directory/answer" 2>"$directory/errors" && fail "it was approved by nobody"
grep -q "waiting for approval" "$directory/errors" || fail "nightlatch unseal does not reach it: $(cat "$directory/errors")"
"${unseal[@]}" <"$directory/blob" >"$directory/answer" 2>"$directory/errors" && fail "an unknown authority is trusted"
grep -q "UnknownIssuer" "$directory/errors" || fail "expected an unknown issuer: $(cat "$directory/errors")"
checked 0 "for STATE          REFUSED" "${roots[@]}"
checked 65 "is no public root"
install_certificate good.alone good
checked 65 "fullchain.pem" "${roots[@]}"
install_certificate expired.chain expired
checked 65 "expired on" "${roots[@]}"
install_certificate elsewhere.chain elsewhere
checked 65 "not for localhost: it is for kms.example.net" "${roots[@]}"
install_certificate good.chain newer
checked 65 "does not belong to the certificate" "${roots[@]}"

echo "ok"
