#!/bin/bash
# nightlatch as a real systemd runs it: what assertions.sh says holds; beside it, in further booted systems, what no longer
# holds where a unit is weakened (weakened.sh), and the end of an idle server (idle.sh), which takes more than a minute.
#
#   run.sh [GROUP...]      only these groups of assertions.sh, and nothing beside
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/systemd/installation.sh
source "$here/installation.sh"
# shellcheck source=tests/systemd/assertions.sh
source "$here/assertions.sh"
# shellcheck source=tests/systemd/phone.sh
source "$here/phone.sh"

prepare

# What runs beside: names, and the processes.
beside=()
processes=()

# beside NAME COMMAND...: its output is shown at the end.
start_beside() {
    beside+=("$1")
    "${@:2}" </dev/null >"$directory/beside.${#beside[@]}" 2>&1 &
    processes+=("$!")
}

# They end their own booted systems.
stop_beside() {
    if ((${#processes[@]} > 0)); then
        kill "${processes[@]}" 2>/dev/null || true
        wait "${processes[@]}" 2>/dev/null || true
    fi
    telegram_stop
    sandbox_stop
}
trap stop_beside EXIT

groups=("$@")
if ((${#groups[@]} == 0)); then
    groups=(units first_connection approval channels metrics server_sandbox bot_sandbox addresses credentials flood watchdog
        certificates restarts phone upgrade)
    start_beside "idle, with the bot" "$here/idle.sh" attached
    start_beside "idle, without the bot" "$here/idle.sh" alone
    start_beside "idle, weakened" "$here/idle.sh" weakened
    start_beside "weakened, restarts" "$here/weakened.sh" restarts
    start_beside "weakened, the server's sandbox" "$here/weakened.sh" server_sandbox
    start_beside "weakened, failures" "$here/weakened.sh" credentials flood metrics watchdog
    start_beside "weakened, the rest" "$here/weakened.sh" addresses approval bot_sandbox certificates channels first_connection \
        units upgrade
fi

set_up
inside systemctl --quiet enable --now nightlatch.service nightlatch-telegram.socket nightlatch-bot.service
for one in "${groups[@]}"; do
    echo "-- $one"
    if [[ $one == phone ]] && ! telegram_start >"$directory/why"; then
        echo "skipped: $one: $(cat "$directory/why")"
        continue
    fi
    look "$one"
    ((${#failed[@]} == 0)) || fail "$one"
done
"$sandbox" stop "$state"

for ((i = 0; i < ${#beside[@]}; i++)); do
    code=0
    wait "${processes[i]}" || code=$?
    echo "== ${beside[i]}"
    cat "$directory/beside.$((i + 1))"
    ((code == 0)) && [[ $(tail -n 1 "$directory/beside.$((i + 1))") == ok ]] || fail "${beside[i]}"
done
processes=()
echo ok
