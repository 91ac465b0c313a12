#!/bin/bash
# exit_after_idle as a real systemd runs it, in the shortest time that it can be: the server ends, nothing wakes it but a node
# or a person, and then it answers.
#
#   idle.sh attached      with the bot, which neither keeps it alive nor wakes it
#   idle.sh alone         without
#   idle.sh weakened      with the bot, and a unit that must not hold what "attached" does: weakened/nightlatch.service/no-sleep.conf
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/systemd/installation.sh
source "$here/installation.sh"
# How long it is looked at whether something wakes it: the bot tries again after 5 s.
asleep_seconds=15

how=${1:?attached, alone or weakened}
prepare
set_up
inside sed -i 's/^tls = .*/tls = "off"\nexit_after_idle = "1m"/' /etc/nightlatch/nightlatch.toml
inside systemctl --quiet enable --now nightlatch.service nightlatch-telegram.socket
[[ $how == alone ]] || inside systemctl --quiet enable --now nightlatch-bot.service
if [[ $how == weakened ]]; then
    weaken nightlatch.service "$here/weakened/nightlatch.service/no-sleep.conf"
    inside systemctl restart nightlatch.service
fi

ends() {
    is nightlatch.service ActiveState inactive && is nightlatch.service Result success
}

bot_says() {
    property nightlatch-bot.service StatusText | grep -q "$1"
}

sleeps() {
    inside test -e /run/nightlatch/server/asleep
}

starts() {
    inside journalctl --sync
    inside journalctl --quiet --output=cat --unit=nightlatch.service --grep='^Started ' | wc -l
}

[[ $how == alone ]] || within 15 bot_says '^0 questions are open; Telegram' || fail "the bot does not follow"

started_again() {
    (($(starts) > before))
}

echo "-- it ends"
before=$(starts)
if [[ $how == weakened ]]; then
    within 110 started_again || fail "nothing wakes it: what attached shows could not fail"
    echo ok
    exit
fi
within 100 ends || fail "it goes on"
inside tail -n 1 /var/lib/nightlatch/audit.log | grep -q '"event":"stopped","reason":"idle"' || fail "no record of the end"
sleeps || fail "it does not say that it sleeps"

echo "-- nothing wakes it for $asleep_seconds s"
! within "$asleep_seconds" is nightlatch.service ActiveState active || fail "something woke it"
! started_again || fail "something woke it"
[[ $how == alone ]] || is nightlatch-bot.service ActiveState active || fail "the bot ended"
is nightlatch.socket ActiveState active || fail "its socket does not listen"

echo "-- a node wakes it"
echo secret | ask seal "$worker_2" -tries 2 >/dev/null 2>"$directory/errors" || fail "no answer: $(cat "$directory/errors")"
! sleeps || fail "it says that it sleeps"
[[ $how == alone ]] || within 15 bot_says '^0 questions are open; Telegram' || fail "the bot does not come back: $(property nightlatch-bot.service StatusText)"
(($(starts) == before + 1)) || fail "it was started $(($(starts) - before)) times"
echo ok
