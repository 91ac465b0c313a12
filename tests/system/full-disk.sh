#!/bin/bash
# A disk that fills up while the server runs: nothing is released that is not recorded, the server goes on, and when
# there is room again it releases again.
set -euo pipefail
# shellcheck source=tests/system/server.sh
. "$(dirname "$0")/server.sh"

server_create
state=$(initialised state_directory)
mkdir "$state.full"
if ! mount -t tmpfs -o size=2m,mode=0700 tmpfs "$state.full" 2>/dev/null; then
    echo "skipped: no small file system can be mounted here"
    exit
fi
trap 'server_stop; umount "$state.full"; rm -rf "$directory"' EXIT
cp -a "$state/." "$state.full/"
sed -i "s|^state_directory = .*|state_directory = \"$state.full\"|; s|^unseal = .*|unseal = \"allow\"|; s|^seal = .*|seal = \"allow\"|" \
    "$directory/nightlatch.toml"
server_start

seal() {
    "$nightlatch" seal --endpoint "grpc://$address" --node "$cp_1" --in "$directory/secret" --out "$1" 2>"$directory/errors"
}
unseal() {
    "$nightlatch" unseal --endpoint "grpc://$address" --node "$cp_1" --in "$directory/blob" --out "$@" 2>"$directory/errors"
}
released() {
    # A line that the disk cut off is no record.
    grep -c '"event":"released".*}$' "$state.full/audit.log"
}

head -c 32 /dev/urandom >"$directory/secret"
seal "$directory/blob" || fail "no seal: $(cat "$directory/errors")"

echo "-- full, with the reserve"
dd if=/dev/zero of="$state.full/junk" bs=4k 2>/dev/null || true
unseal "$directory/one" || fail "the reserve does not hold: $(cat "$directory/errors")"
cmp -s "$directory/secret" "$directory/one" || fail "another secret"

echo "-- full, and nothing reserved"
server_stop
# A copy has no space beyond its end.
rm "$state.full/junk"
cp -p "$state.full/audit.log" "$directory/audit.log"
cp -p "$directory/audit.log" "$state.full/audit.log.new"
mv "$state.full/audit.log.new" "$state.full/audit.log"
dd if=/dev/zero of="$state.full/junk" bs=4k 2>/dev/null || true
server_start
# What is left of the last block of 4 KiB holds a few records. A node may make twenty calls at once.
for _ in {1..20}; do
    rm -f "$directory/one"
    unseal "$directory/one" || break
done
grep -q "cannot be recorded" "$directory/errors" || fail "not refused for want of a record: $(cat "$directory/errors")"
[[ ! -s $directory/one ]] || fail "a secret was released and not recorded"
recorded=$(released)
kill -0 "$server" || fail "the server ended"

echo "-- room again"
rm "$state.full/junk"
unseal "$directory/two" --wait 1m || fail "no release although there is room again: $(cat "$directory/errors")"
cmp -s "$directory/secret" "$directory/two" || fail "another secret"
[[ $(released) == $((recorded + 1)) ]] || fail "the release is not recorded"
echo ok
