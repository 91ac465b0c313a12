#!/bin/bash
# The units as systemd reads them, without booting anything: nothing that it does not know, and no more exposure than was looked
# at. What it then makes of them is shown by tests/systemd/run.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v systemd-analyze >/dev/null; then
    echo "skipped: there is no systemd-analyze here"
    exit 0
fi
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT

# The programs are not installed where tests run, and what they are is not what is tested.
for unit in systemd/*.service systemd/*.socket; do
    sed -E 's|^(ExecStart=)[^ ]+.*|\1/bin/true|; s|^ExecReload=.*||' "$unit" >"$units/${unit##*/}"
done
# The example, as an administrator would put it in force.
mkdir "$units/nightlatch.socket.d"
sed 's/^#IPAddress/IPAddress/' systemd/nightlatch.socket.d/networks.conf >"$units/nightlatch.socket.d/networks.conf"
grep -q '^IPAddressDeny=any$' "$units/nightlatch.socket.d/networks.conf"
said=$(cd "$units" && SYSTEMD_UNIT_PATH="$units:" systemd-analyze verify --recursive-errors=no ./*.service ./*.socket 2>&1) || true
# Remarks about the units of the machine itself are not about these.
if grep -F "$units" <<<"$said" || grep -E '(^|/)nightlatch[^ ]*: ' <<<"$said"; then
    echo "systemd does not take the units as they are"
    exit 1
fi

# Tenths. The bot needs the network, and the server sees who it is: that is what is left.
exposure() {
    systemd-analyze security --offline=true --no-pager --threshold="$2" "systemd/$1" >"$units/exposure" ||
        { grep '^✗' "$units/exposure"; tail -n 1 "$units/exposure"; exit 1; }
    tail -n 1 "$units/exposure"
}
exposure nightlatch.service 5
exposure nightlatch-bot.service 12
echo ok
