#!/bin/bash
# From a node's first connection to its first answer, when nothing runs yet: the service as a real systemd starts it, with its
# credential decrypted and its whole sandbox made, beside the bare program behind systemd-socket-activate(1), in turn, in the
# same booted system. It asserts nothing; on a machine that does something else besides, its numbers mean nothing.
#
#   cold-start.sh [ROUNDS]      21 if not said
#
# What is timed is the whole client, Talos' own: "warm" is the same with a server that runs, to be subtracted by who wants to.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/systemd/installation.sh
source "$here/installation.sh"

rounds=${1:-21}
bare_port=4052
command -v systemd-socket-activate >/dev/null || skip "systemd-socket-activate is not installed"
prepare
set_up
inside systemctl --quiet enable --now nightlatch.socket
# The same configuration, with a key that lies there in the plain, and a state of its own.
inside bash -euc '
    install -d -m 700 -o nightlatch -g nightlatch /var/lib/bare /run/bare
    sed "s|^state_directory = .*|state_directory = \"/var/lib/bare\"|" /etc/nightlatch/nightlatch.toml >/etc/nightlatch/bare.toml
    nightlatch init --state-only /etc/nightlatch/bare.toml
    chown -R nightlatch:nightlatch /var/lib/bare
    install -m 400 -o nightlatch -g nightlatch /root/plain-key /run/bare/nightlatch-key' >"$directory/bare.log" 2>&1 ||
    fail "bare: $(cat "$directory/bare.log")"

# timed PORT FILE: one Seal; its microseconds go to the file.
timed() {
    local begun=$EPOCHREALTIME
    echo secret | "$sandbox" remote "$state" "$client" -endpoint "192.0.2.1:$1" -node "$worker_2" -tries 1 seal \
        >/dev/null 2>"$directory/errors" || fail "no answer on port $1: $(cat "$directory/errors")"
    echo "$((${EPOCHREALTIME/./} - ${begun/./}))" >>"$directory/$2"
}

bare_listens() {
    inside grep -q "$(printf ':%04X .* 0A ' "$bare_port")" /proc/net/tcp6
}

for ((round = 0; round < rounds; round++)); do
    inside systemctl stop nightlatch.service 2>"$directory/errors"
    timed 4050 systemd
    timed 4050 warm
    inside systemctl stop nightlatch.service 2>"$directory/errors"
    inside setpriv --reuid=nightlatch --regid=nightlatch --clear-groups \
        systemd-socket-activate --listen="$bare_port" --fdname=talos --setenv=CREDENTIALS_DIRECTORY=/run/bare \
        /usr/bin/nightlatch serve --config=/etc/nightlatch/bare.toml </dev/null >"$directory/bare.log" 2>&1 &
    within 10 bare_listens || fail "bare: $(cat "$directory/bare.log")"
    timed "$bare_port" bare
    inside pkill --exact --newest nightlatch
    wait "$!" || true
done

# told NAME: median, least and most, in milliseconds.
told() {
    sort -n "$directory/$1" | awk -v name="$1" '{ all[NR] = $1 / 1000 }
        END { printf "%-8s %6.1f ms (%.1f to %.1f)\n", name, all[int((NR + 1) / 2)], all[1], all[NR] }'
}

echo "$rounds rounds, load $(cut -d ' ' -f 1 /proc/loadavg), $(inside systemctl --version | head -n 1)"
told systemd
told bare
told warm
paste "$directory/systemd" "$directory/bare" | awk '{ print $1 / $2 }' | sort -n |
    awk '{ all[NR] = $1 } END { printf "ratio    %6.1f (%.1f to %.1f)\n", all[int((NR + 1) / 2)], all[1], all[NR] }'
echo ok
