#!/bin/bash
# A disk's life, from format to restore, with the real cryptsetup: formatted and enrolled as Talos does it, opened after
# a restart of both sides, kept shut when nobody approves, and opened from the backup when the server is lost. Once with a
# key in a file, once with a passphrase.
set -euo pipefail
if ! command -v cryptsetup >/dev/null; then
    echo "skipped: cryptsetup is not installed"
    exit 0
fi
# shellcheck source=tests/system/server.sh
source "$(dirname "$0")/server.sh"

image=$directory/disk
token=$directory/token.json

# Talos: LUKS2, the passphrase from standard input. Talos leaves Argon2id its defaults, up to 1 GiB and 2 s: here it
# costs 32 MiB, since the passphrase has 256 bits and the server never sees what this changes.
format() {
    truncate -s 32M "$image"
    cryptsetup luksFormat --batch-mode --type luks2 --key-slot 0 --pbkdf argon2id --pbkdf-memory 32768 \
        --pbkdf-force-iterations 4 --key-file=- "$image"
}

# opens: whether the passphrase on standard input is one of the disk's.
opens() {
    cryptsetup open --test-passphrase --key-file=- "$image" 2>"$directory/cryptsetup.log"
}

ask() {
    "$nightlatch" "$1" --endpoint "grpc://$address" --node "$2" --base64 --wait 1m
}

# The sealed data in the disk's token, in base64.
sealed_data() {
    cryptsetup token export --token-id 0 "$image" | sed 's/.*"sealedData":"\([^"]*\)".*/\1/; s/\\//g'
}

# life SOURCE NUMBER RECOVER...: the whole life of a disk whose blob has that source number, and what opens it when there
# is no server any more.
life() {
    key_source=$1
    local number=$2 code
    shift 2
    rm -rf "${directory:?}"/*
    echo "-- $key_source: format"
    server_create
    server_start
    head -c 32 /dev/urandom | base64 -w 0 >"$directory/passphrase"
    asking approve ask seal "$cp_1" <"$directory/passphrase" >"$directory/blob" || fail "seal: $(cat "$directory/errors")"
    [[ $(base64 -d "$directory/blob" | od -An -tu1 -j 8 -N 1) -eq $number ]] || fail "the blob is not of source $number"
    format <"$directory/passphrase"
    printf '{"type":"sideroKMS","keyslots":[],"UserData":{"sealedData":"%s"}}' "$(tr -d '\n' <"$directory/blob")" >"$token"
    cryptsetup token import --token-id 0 --json-file "$token" "$image"
    rm "$directory/passphrase" "$directory/blob"

    echo "-- $key_source: reboot, approved"
    server_stop
    server_start
    sealed_data >"$directory/blob"
    asking approve ask unseal "$cp_1" <"$directory/blob" >"$directory/answer" || fail "unseal: $(cat "$directory/errors")"
    tr -d '\n' <"$directory/answer" >"$directory/passphrase"
    opens <"$directory/passphrase" || fail "the unsealed key does not open the disk: $(cat "$directory/cryptsetup.log")"
    if head -c 32 /dev/urandom | base64 -w 0 | opens; then
        fail "a random key opens the disk: this test cannot tell a good key from a bad one"
    fi

    echo "-- $key_source: activation"
    if [[ $(id -u) != 0 ]]; then
        echo "skipped: activation of the disk: not root"
    elif ! grep -qw device-mapper /proc/misc || ! grep -qw loop /proc/devices; then
        echo "skipped: activation of the disk: this machine has no device mapper or no loop devices"
    else
        mapping=nightlatch-test-$$
        cryptsetup open --key-file=- "$image" "$mapping" <"$directory/passphrase"
        cryptsetup close "$mapping"
    fi
    rm "$directory/passphrase" "$directory/answer"

    echo "-- $key_source: another node, denied"
    code=0
    asking deny ask unseal "$worker_2" <"$directory/blob" >"$directory/answer" || code=$?
    ((code == 77)) || fail "a denied node ends with $code instead of 77: $(cat "$directory/errors")"
    [[ ! -s $directory/answer ]] || fail "a denied node got an answer"

    # The grant for cp-1 still lives: what refuses here is the seal.
    echo "-- $key_source: a damaged blob, approved"
    code=0
    base64 -d "$directory/blob" | head -c -4 >"$directory/damaged"
    printf 'xxxx' >>"$directory/damaged"
    base64 -w 0 "$directory/damaged" | ask unseal "$cp_1" >"$directory/answer" 2>"$directory/errors" || code=$?
    ((code == 65)) || fail "a damaged blob ends with $code instead of 65: $(cat "$directory/errors")"
    [[ ! -s $directory/answer ]] || fail "a damaged blob was opened"

    echo "-- $key_source: the server is lost"
    server_stop
    rm -rf "$directory/init" "$directory/keys" "$directory/nightlatch.toml"
    cryptsetup token export --token-id 0 "$image" >"$token"
    "$nightlatch" recover "$@" --node "$cp_1" --token "$token" 2>"$directory/errors" |
        tr -d '\n' | opens || fail "the backup does not open the disk: $(cat "$directory/errors" "$directory/cryptsetup.log")"
    if "$nightlatch" recover "$@" --node "$worker_2" --token "$token" >"$directory/answer" 2>&1; then
        fail "another node's UUID opens the disk's blob"
    fi
}

life credential 1 --key "$directory/backup/first"
life passphrase 2 --passphrase-file "$directory/backup/first"

echo "ok"
