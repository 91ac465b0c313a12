#!/bin/bash
# Each unit that is weakened by a file in weakened/, in a booted system: exactly the assertions that the file names must fail.
# A file stands in a directory called like its unit, and is put over it as a drop-in.
#
#   weakened.sh [GROUP...]      only those that name assertions of these groups
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/systemd/installation.sh
source "$here/installation.sh"
# shellcheck source=tests/systemd/assertions.sh
source "$here/assertions.sh"
# Not for long: what is right was seen before.
patience=8

prepare
set_up
cp "$here"/weakened/proxy.* "$share/"
inside install -m 644 /srv/share/proxy.socket /srv/share/proxy.service /etc/systemd/system/
inside systemctl --quiet enable --now nightlatch.service nightlatch-telegram.socket nightlatch-bot.service

restart_all() {
    inside systemctl stop proxy.socket proxy.service
    inside systemctl reset-failed
    inside systemctl restart nightlatch.socket || true
    inside systemctl restart nightlatch.service nightlatch-bot.service || true
}

for file in "$here"/weakened/*/*.conf; do
    named=$(sed -n 's/^# Must fail: //p' "$file" | sort)
    [[ -n $named ]] || fail "$file names no assertion"
    groups=$(cut -d : -f 1 <<<"$named" | sort -u)
    # idle.sh looks at these itself.
    [[ $groups != idle ]] || continue
    if (($# > 0)) && [[ " $* " != *" ${groups%%$'\n'*} "* ]]; then
        continue
    fi
    unit=$(basename "$(dirname "$file")")
    echo "-- $unit: $(basename "$file" .conf)"
    weaken "$unit" "$file"
    restart_all >"$directory/restart.log" 2>&1
    failed=()
    for one in $groups; do
        look "$one" >"$directory/looked"
    done
    strengthen "$unit"
    restart_all >"$directory/restart.log" 2>&1
    found=$(printf '%s\n' "${failed[@]}" | sort)
    if [[ $found != "$named" ]]; then
        { diff <(echo "$named") <(echo "$found") || true; } |
            sed -n "s/^</must fail, and holds:/p; s/^>/fails, and is not named:/p" >&2
        fail "$unit: $(basename "$file"): $(cat "$directory/looked")"
    fi
    sed 's/^/   fails: /' <<<"$named"
done
echo ok
