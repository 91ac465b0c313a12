#!/bin/bash
# nightlatch as a real systemd runs it: what assertions.sh says holds, and no longer holds where a unit is weakened.
#
#   run.sh [GROUP...]      only these groups of assertions.sh, and what is weakened about them
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/systemd/installation.sh
source "$here/installation.sh"
# shellcheck source=tests/systemd/assertions.sh
source "$here/assertions.sh"

groups=("$@")
((${#groups[@]} > 0)) ||
    groups=(units first_connection approval channels server_sandbox bot_sandbox addresses credentials flood watchdog
        certificates restarts upgrade)

lacks=$(missing)
[[ -z $lacks ]] || skip "$lacks"
build_client
boot
install_nightlatch
configure
inside systemctl --quiet enable --now nightlatch.service nightlatch-telegram.socket nightlatch-bot.service

for one in "${groups[@]}"; do
    echo "-- $one"
    look "$one"
    ((${#failed[@]} == 0)) || fail "$one"
done
echo ok
