# A nightlatch server on loopback for the scripts beside this file, which source it: nodes cp-1 and worker-2, rule "ask",
# and the user who runs the script as the one approver.
#
# The key is a file, or with key_source=passphrase what keygen --passphrase makes.
#
# Sets: $nightlatch (the program), $directory (emptied and removed at the end), $address (of the server).
# shellcheck shell=bash

nightlatch=${NIGHTLATCH:-$(dirname "${BASH_SOURCE[0]}")/../../target/debug/nightlatch}
directory=$(mktemp -d)
address=127.0.0.1:$((20000 + RANDOM % 12000))
cp_1=12345678-9abc-4def-8123-456789abcdef
worker_2=fedcba98-7654-4321-8fed-cba987654321
server=
client=

trap 'server_stop; [[ -z $client ]] || kill "$client"; rm -rf "$directory"' EXIT

# Says why, shows what the server said, and ends the script.
fail() {
    {
        echo "failed: $*"
        sed 's/^/server: /' "$directory/server.log"
    } >&2
    exit 1
}

# The value of a key in the configuration that `init` made.
initialised() {
    sed -n "s/^$1 *= *\"\(.*\)\"/\1/p" "$directory/init/nightlatch.toml" | head -n 1
}

# State from `init`, a key from `keygen`, and a configuration with what these tests need.
server_create() {
    "$nightlatch" init --directory "$directory/init" --no-backup >"$directory/init.log" 2>&1 || fail "init: $(cat "$directory/init.log")"
    mkdir -m 0700 "$directory/keys" "$directory/backup"
    local keygen=() key
    [[ ${key_source:-credential} == credential ]] || keygen=(--passphrase)
    "$nightlatch" keygen "${keygen[@]}" --out "$directory/keys/first" --backup "$directory/backup/first" \
        >"$directory/keygen.log" 2>&1 || fail "keygen: $(cat "$directory/keygen.log")"
    if [[ ${key_source:-credential} == passphrase ]]; then
        key=$(sed -n '/^\[\[key\]\]/,/^credential/p' "$directory/keygen.log" | sed "s|^credential.*|file = \"$directory/keys/first\"|")
    else
        key=$(printf '[[key]]\nname = "first"\nfile = "%s"' "$directory/keys/first")
    fi
    cat >"$directory/nightlatch.toml" <<END
installation = "$(initialised installation)"
state_directory = "$(initialised state_directory)"
networks = ["127.0.0.0/8"]
tls = "off"

$key

[[node]]
uuid = "$cp_1"
name = "cp-1"

[[node]]
uuid = "$worker_2"
name = "worker-2"

[[approver]]
name = "alice"
uid = $(id -u)

[[channel]]
name = "cli"
people = "uid"
socket = "$directory/cli.sock"

[rules]
seal = "ask"
unseal = "ask"
approvers = ["alice"]
quorum = 1

[timings]
hold = "2s"
END
    chmod 0600 "$directory/nightlatch.toml"
}

# Returns when the server accepts connections, within 10 s.
server_start() {
    "$nightlatch" serve --config "$directory/nightlatch.toml" --listen "$address" </dev/null >>"$directory/server.log" 2>&1 &
    server=$!
    for _ in {1..100}; do
        if (: <"/dev/tcp/${address/:/\/}") 2>/dev/null; then
            return
        fi
        kill -0 "$server" 2>/dev/null || fail "the server ended while it started"
        sleep 0.1
    done
    fail "the server does not accept connections"
}

server_stop() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || true
        server=
    fi
}

# answer VERDICT ERRORS: waits up to 20 s for the match code in the file ERRORS, which a client writes to, and answers.
answer() {
    local code=
    for _ in {1..200}; do
        code=$(sed -n 's/.*waiting for approval \([A-Z0-9]*\).*/\1/p' "$2" | head -n 1)
        if [[ -n $code ]]; then
            "$nightlatch" approvals "$1" "$code" --config "$directory/nightlatch.toml" >"$directory/answer.log" 2>&1 ||
                fail "approvals $1 $code: $(cat "$directory/answer.log")"
            return
        fi
        sleep 0.1
    done
    fail "no request for approval: $(cat "$2")"
}

# asking VERDICT COMMAND...: runs a client, answers what it asks for, and returns the client's exit code.
asking() {
    local verdict=$1
    shift
    : >"$directory/errors"
    # Said explicitly, or a command in the background reads from /dev/null.
    "$@" <&0 2>"$directory/errors" &
    client=$!
    answer "$verdict" "$directory/errors"
    local code=0
    wait "$client" || code=$?
    client=
    return "$code"
}
