#!/bin/bash
# The patches that nightlatch talos-config prints, loaded, applied and validated by the libraries of Talos itself: of a
# current version, and of one from before each volume had a document.
set -euo pipefail
if ! command -v go >/dev/null; then
    echo "skipped: Go is not installed"
    exit 0
fi
cd "$(dirname "$0")/go-config"
export GOTOOLCHAIN=local
if ! { go mod download && go mod download -modfile=talos-1.7.mod; } >/dev/null 2>&1; then
    echo "skipped: the Go modules of Talos cannot be fetched, or need a newer Go"
    exit 0
fi
nightlatch=${NIGHTLATCH:-$PWD/../../../target/debug/nightlatch}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
go build -mod=readonly -buildvcs=false -o "$directory/current" .
go build -mod=readonly -buildvcs=false -modfile=talos-1.7.mod -o "$directory/old" .
configuration=../../../systemd/nightlatch.toml
endpoint=grpc://192.0.2.5:4050

fail() {
    echo "FAILED: $*"
    exit 1
}

# patch ARGUMENT...: prints one.
patch() {
    "$nightlatch" talos-config cp-1 --config "$configuration" --endpoint "$endpoint" "$@" 2>/dev/null
}

# with_provisioning: as the comments of a patch say, that of the machine configuration below each name.
with_provisioning() {
    awk '/^kind: (User|Raw|Swap)VolumeConfig/ { named = 1 }
        { print }
        named && /^name: / {
            print "provisioning:\n  diskSelector:\n    match: disk.transport == \"nvme\"\n  maxSize: 4GiB"
            named = 0
        }'
}

# taken COUNT PROGRAM [BASE]: it takes the patch, and what it makes of it has the endpoint so many times.
taken() {
    "$directory/$2" "$directory/${3:-$2.yaml}" >"$directory/out" 2>"$directory/errors" || fail "$(cat "$directory/errors")"
    local found
    found=$(grep -c "endpoint: $endpoint\$" "$directory/out") || true
    [[ $found == "$1" ]] || fail "the endpoint is $found times in what $2 makes of it, not $1"
}

# refused TEXT PROGRAM [BASE]: it does not take the patch, and says why.
refused() {
    if "$directory/$2" "$directory/${3:-$2.yaml}" >"$directory/out" 2>"$directory/errors"; then
        fail "$2 takes it"
    fi
    grep -q "$1" "$directory/errors" || fail "expected $1: $(cat "$directory/errors")"
}

"$directory/current" >"$directory/current.yaml"
"$directory/old" >"$directory/old.yaml"
cat "$directory/current.yaml" - >"$directory/before.yaml" <<'END'
---
apiVersion: v1alpha1
kind: VolumeConfig
name: EPHEMERAL
provisioning:
  diskSelector:
    match: disk.transport == "nvme"
---
apiVersion: v1alpha1
kind: UserVolumeConfig
name: data
provisioning:
  diskSelector:
    match: disk.transport == "nvme"
  maxSize: 4GiB
END

echo "-- system volumes, and each spare"
for spare in "" --spare=grpc://192.0.2.6:4050 --spare=tpm --spare=node-id; do
    patch ${spare:+"$spare"} | taken 2 current
    patch ${spare:+"$spare"} --talos 1.7 | taken 2 old
    # The newer library still takes the older form.
    patch ${spare:+"$spare"} --talos 1.7 | taken 2 current
done
grep -q "nodeID: {}" "$directory/out" || fail "the spare is not in it"
patch --without-state | taken 1 current
grep -q "name: STATE" "$directory/out" && fail "STATE is in it"

echo "-- every kind of volume"
every=(--image-cache --user-volume data --raw-volume ceph --swap-volume swap1)
patch "${every[@]}" | with_provisioning | taken 6 current
patch "${every[@]}" | with_provisioning | taken 6 current before.yaml

echo "-- a spare that has to be filled in is not taken before it is"
patch --spare static | refused "EncryptionKeyStatic" current
patch --spare static --talos 1.7 | refused "EncryptionKeyStatic" old
patch --spare static | sed 's/static: TO-BE-REPLACED/static: { passphrase: of-a-test }/' | taken 2 current
patch | sed 's/^\( *\)# \(- slot: 1\)$/\1\2/; s/^\( *\)# \( *kms:\)$/\1\2/; s/^\( *\)# \( *endpoint:\)/\1\2/' | taken 2 current
[[ $(grep -c "endpoint: grpc://SECOND-SERVER:4050\$" "$directory/out") == 2 ]] || fail "the comment is no slot"

echo "-- what the comments warn of"
patch --user-volume data | refused "disk selector is required" current before.yaml
patch | taken 2 current before.yaml
[[ $(grep -c "disk.transport" "$directory/out") == 1 ]] || fail "Talos keeps a diskSelector now: the comment can go"
patch --talos 1.7 >"$directory/old-form"
{ cat "$directory/old-form" && echo "---" && patch; } | refused "configured in both" current

echo "ok"
