#!/bin/bash
# The built package in a booted system: what installing, upgrading in the middle of a question, going back, removing and
# purging do. A node calls from another network namespace. Afterwards the same with maintainer scripts that are wrong, each
# of which has to be found out.
set -euo pipefail
cd "$(dirname "$0")/../.."

PACKAGE=${NIGHTLATCH_PACKAGE:-$(find target/debian -name 'nightlatch_*.deb' 2>/dev/null | sort | tail -n 1 || true)}
NIGHTLATCH=${NIGHTLATCH:-$PWD/target/release/nightlatch}
SANDBOX=tests/systemd/sandbox.sh
CP1=4c4c4544-0042-3510-8051-b4c04f4e3632
CP2=4c4c4544-0042-3510-8051-b4c04f4e3633

[[ $(id -u) == 0 ]] || { echo "skipped: a system can be booted by root alone"; exit 0; }
for needed in dpkg-deb ip nsenter unshare; do
    command -v "$needed" >/dev/null || { echo "skipped: there is no $needed here"; exit 0; }
done
grep -qE ' - cgroup2 ' /proc/self/mountinfo || { echo "skipped: there is no cgroup2 here"; exit 0; }
[[ -e $PACKAGE ]] || { echo "there is no package: run packaging/build.sh first"; exit 1; }
# The base is this machine: what is installed on it would be part of every trial.
! dpkg-query --show nightlatch >/dev/null 2>&1 || { echo "skipped: nightlatch is installed on this machine"; exit 0; }

T=$(mktemp -d)
# The trial that runs is ended by its own name.
trap '"$SANDBOX" stop "$T/system" >/dev/null 2>&1 || true; rm -rf --one-file-system "$T"' EXIT

inside() { timeout 120 "$SANDBOX" inside "$T/system" "$@"; }
alice() { inside runuser -u alice -- nightlatch approvals "$@"; }
node() { "$SANDBOX" remote "$T/system" "$NIGHTLATCH" "$@"; }
fail() { echo "$*" && exit 1; }
# within WHAT COMMAND...: it becomes true within 20 s.
within() {
    local what=$1 try
    shift
    for ((try = 0; try < 200; try++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    fail "$what"
}

# again VERSION [COMMAND]: the package as that version, in $T/share/VERSION.deb; COMMAND changes what is in it before.
again() {
    rm -rf "$T/unpacked"
    dpkg-deb --raw-extract "$PACKAGE" "$T/unpacked"
    sed -i "s/^Version: .*/Version: $1/" "$T/unpacked/DEBIAN/control"
    (cd "$T/unpacked/DEBIAN" && eval "${2:-:}")
    mkdir -p "$T/share"
    dpkg-deb --build --root-owner-group -Zgzip -z1 "$T/unpacked" "$T/share/$1.deb" >/dev/null
}
put() { inside dpkg --install "/srv/share/$1.deb" >"$T/said" 2>&1 || { cat "$T/said"; fail "version $1 is not installed"; }; }
pid() { inside systemctl show --property=MainPID --value "$1"; }
runs() { [[ $(inside systemctl is-active "$1") == active ]]; }
opened_at() { inside systemctl show --property=ActiveEnterTimestampMonotonic --value nightlatch.socket nightlatch-cli.socket; }
# The code of the open question; closed ones come after it.
code_of() { alice --json | sed -n 's/^{"asks":\[{[^]]*"code":"\([^"]*\)".*"closed".*/\1/p'; }
has_code() { [[ -n $(code_of) ]]; }
has_other_code() { has_code && [[ $(code_of) != "$1" ]]; }
denied() { alice --json | grep -q '"kind":"denial"'; }
# All that must never be lost, with its owners, modes and contents. The audit log grows with the last stop.
kept() {
    inside sh -c 'cd / && find etc/nightlatch etc/credstore.encrypted var/lib/nightlatch var/lib/nightlatch-bot \
        -printf "%p %u %m\n" | sort; sha256sum etc/nightlatch/* etc/credstore.encrypted/* var/lib/nightlatch/state
        head -c "$(stat --format=%s root/audit.log)" var/lib/nightlatch/audit.log | cmp - root/audit.log' 2>&1
}

configure() {
    inside useradd --uid 4242 alice
    inside nightlatch credentials init --network 192.0.2.0/24 --node "$CP1=cp-1@192.0.2.2" --node "$CP2=cp-2@192.0.2.2" \
        --approver alice=4242 --no-backup >/dev/null
    printf '[[channel]]\nname = "telegram"\npeople = "telegram"\nuid = %s\n' "$(inside id -u nightlatch-bot)" |
        inside tee -a /etc/nightlatch/nightlatch.toml >/dev/null
    # The bot's own service cannot reach Telegram from here, which is no reason for it to end.
    printf '[[chat]]\nid = 4503599627370495\n' | inside tee /etc/nightlatch/nightlatch-bot.toml >/dev/null
    printf '123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' |
        inside systemd-creds encrypt --name=telegram-token - /etc/credstore.encrypted/telegram-token 2>/dev/null
    inside systemctl enable --quiet --now nightlatch.socket nightlatch-cli.socket nightlatch-telegram.socket
}

installing_enables_and_starts_nothing() {
    put 1
    [[ -z $(inside systemctl list-unit-files --no-legend --state=enabled 'nightlatch*') ]] || fail "installing enables units"
    ! inside find /etc/systemd -name 'nightlatch*' | grep -q . || fail "installing enables units"
    [[ -z $(inside systemctl list-units --no-legend --all 'nightlatch*') ]] || fail "installing starts units"
    inside getent passwd nightlatch nightlatch-bot >/dev/null || fail "there are no users"
}

# Calls that come while it is restarted wait, and are answered by the new one.
a_question_is_asked_again() { # FROM TO, and then what the node asks for
    local to=$1 code process sockets asked bot
    shift
    node "$@" --endpoint grpc://192.0.2.1:4050 --node $CP1 --wait 60s >"$T/answer" 2>"$T/node" &
    asked=$!
    within "no question is open" has_code
    code=$(code_of) process=$(pid nightlatch.service) bot=$(pid nightlatch-bot.service) sockets=$(opened_at)
    rm -f "$T/installed"
    "$SANDBOX" remote "$T/system" bash -c "until [[ -e $T/installed ]]; do
        (exec 3<>/dev/tcp/192.0.2.1/4050) || echo refused >>$T/refused
        sleep 0.02
    done" 2>/dev/null &
    put "$to"
    : >"$T/installed"
    wait $!
    [[ ! -e $T/refused ]] || fail "a connection was refused while version $to was installed"
    [[ $(opened_at) == "$sockets" ]] || fail "sockets were opened anew"
    [[ $(pid nightlatch.service) != "$process" ]] || fail "the server was not restarted"
    [[ $bot == 0 || $(pid nightlatch-bot.service) != "$bot" ]] || fail "the bot was not restarted"
    [[ $bot != 0 || $(pid nightlatch-bot.service) == 0 ]] || fail "the bot was started"
    within "the question is not asked again" has_other_code "$code"
    denied || fail "the denial is lost"
    alice approve "$(code_of)" >/dev/null
    wait $asked || { cat "$T/node"; fail "the node was not answered"; }
}

what_the_new_one_does_not_take_runs_on() {
    local process
    process=$(pid nightlatch.service)
    inside cp -a /etc/nightlatch/nightlatch.toml /root/
    inside sed -i '1i nonsense = 1' /etc/nightlatch/nightlatch.toml
    put 2
    [[ $(pid nightlatch.service) == "$process" ]] || fail "a server was ended whose configuration the new one does not take"
    grep -q "goes on with the program from before" "$T/said" || fail "it is not said that the server was not restarted"
    inside cp -a /root/nightlatch.toml /etc/nightlatch/
}

a_newer_state_is_refused_and_kept() {
    inside systemctl stop --quiet nightlatch.service
    inside sh -c 'cd /var/lib/nightlatch && cp -a state /root/state && printf "nightlatch-state 3 newer\n\n" >state &&
        printf "sha256 %s\n" "$(sha256sum <state | cut -d " " -f 1)" >>state && sha256sum state >/root/sum'
    ! inside timeout 20 systemctl start nightlatch.service 2>/dev/null || fail "a server starts with the state of a newer one"
    inside journalctl --unit=nightlatch.service >"$T/journal"
    grep -q "the state has version 3" "$T/journal" || fail "the journal does not say that the state is newer"
    grep -q "install the newer nightlatch again" "$T/journal" || fail "the journal does not say what to do"
    inside systemctl stop --quiet nightlatch.service
    inside sh -c 'cd /var/lib/nightlatch && sha256sum --quiet --check /root/sum' || fail "the newer state was changed"
    inside cp -a /root/state /var/lib/nightlatch/
}

removing_keeps_and_tells() {
    local before path
    inside systemctl start nightlatch.service nightlatch-bot.service
    inside cp /var/lib/nightlatch/audit.log /root/
    before=$(kept)
    for how in remove purge; do
        inside dpkg "--$how" nightlatch >"$T/said" 2>&1 || { cat "$T/said"; fail "$how fails"; }
        ! inside find /etc/systemd -name 'nightlatch*' | grep -q . || fail "units are enabled after $how"
        [[ -z $(inside systemctl list-units --no-legend --all 'nightlatch*') ]] || fail "units are left after $how"
        [[ $(inside stat --format=%h /usr/bin/nightlatch 2>/dev/null) == "" ]] || fail "$how leaves the program"
        [[ $(kept) == "$before" ]] || { diff <(kept) <(echo "$before") || true; fail "$how changes what has to be kept"; }
        for path in /etc/nightlatch /var/lib/nightlatch /var/lib/nightlatch-bot /etc/credstore.encrypted/nightlatch-key \
            /etc/credstore.encrypted/telegram-token; do
            grep -qx "    rm -r $path" "$T/said" || fail "$how does not tell of $path"
        done
    done
}

# trial PART...: installing and configuring, and then these parts.
trial() {
    local part
    rm -rf "$T/system" "$T/refused"
    mkdir -p "$T/system/share"
    "$SANDBOX" boot "$T/system" >/dev/null
    "$SANDBOX" network "$T/system"
    cp "$T/share"/*.deb "$T/system/share/"

    installing_enables_and_starts_nothing
    configure
    ! runs nightlatch.service || fail "the service runs before anybody called"
    head -c 32 /dev/urandom >"$T/secret"
    node seal --in "$T/secret" --endpoint grpc://192.0.2.1:4050 --node $CP2 --wait 60s >/dev/null 2>&1 &
    within "the first call does not start the service" has_code
    alice deny "$(code_of)" >/dev/null
    inside systemctl start nightlatch-bot.service
    for part; do
        "try_$part"
    done
}

try_upgrade() {
    a_question_is_asked_again 2 seal --in "$T/secret"
    cp "$T/answer" "$T/blob"
    inside systemctl stop nightlatch-bot.service
    # What was just approved would open its own blob without another question.
    inside systemctl restart nightlatch.service
    a_question_is_asked_again 1 unseal --in "$T/blob"
    cmp -s "$T/answer" "$T/secret" || fail "the blob opens as something else"
}

try_configuration() { what_the_new_one_does_not_take_runs_on; }
try_state() { a_newer_state_is_refused_and_kept; }
try_remove() { removing_keeps_and_tells; }

try_again() {
    put 1
    inside systemctl enable --quiet --now nightlatch.socket nightlatch-cli.socket
    node unseal --in "$T/blob" --endpoint grpc://192.0.2.1:4050 --node $CP1 --wait 60s >"$T/answer" 2>/dev/null &
    within "the installation of before does not ask" has_code
    denied || fail "the denial is lost after purge"
    alice approve "$(code_of)" >/dev/null
    wait $! || fail "the blob of before is not opened"
    cmp -s "$T/answer" "$T/secret" || fail "the blob of before opens as something else"
}

again 1 && again 2
# tried PART...: not as a condition, in which bash would go on after errors.
tried() {
    set +e
    (set -e; trial "$@") >"$T/result" 2>&1
    code=$?
    set -e
}
tried upgrade configuration state remove again
((code == 0)) || { cat "$T/result" "$T/said"; exit 1; }
"$SANDBOX" stop "$T/system"

# found_out PART EXPECTED COMMAND: version 2 and 1 with wrong maintainer scripts are found out, with these words.
found_out() {
    again 1 "$3" && again 2 "$3"
    tried "$1"
    ((code != 0)) || fail "nobody notices: $3"
    "$SANDBOX" stop "$T/system"
    grep -q "$2" "$T/result" || { cat "$T/result"; fail "noticed otherwise: $3"; }
    echo "found out: $2"
}
found_out upgrade "installing enables units" "echo 'systemctl enable nightlatch.socket' >>postinst; sed -i '/^    exit 0/d' postinst"
found_out upgrade "installing starts units" "echo 'systemctl start nightlatch.socket' >>postinst; sed -i '/^    exit 0/d' postinst"
found_out upgrade "the server was not restarted" "sed -i '/^restart nightlatch.service/d' postinst"
found_out upgrade "the bot was not restarted" "sed -i '/^restart nightlatch-bot.service/d' postinst"
found_out upgrade "sockets were opened anew\|a connection was refused" "echo 'systemctl restart nightlatch.socket' >>postinst"
found_out upgrade "the bot was started" "sed -i '/is-active/d' postinst"
found_out configuration "a server was ended" "sed -i 's/^    if ! \"\$@\".*/    if false; then/' postinst"
found_out remove "units are left after remove" "sed -i '/^systemctl stop/d' prerm"
found_out remove "units are enabled after remove" "sed -i '/quiet disable/d' prerm"
found_out remove "remove changes what has to be kept" "echo 'rm -rf /var/lib/nightlatch' >>postrm"
found_out remove "remove does not tell of /var/lib/nightlatch-bot" "sed -i 's| /var/lib/nightlatch-bot||' postrm"
found_out remove "purge changes what has to be kept" "printf '%s\n' '[ \"\$1\" != purge ] || rm -r /etc/nightlatch' >>postrm"
echo ok
