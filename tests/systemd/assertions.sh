# What holds of nightlatch in a booted system, for run.sh, which sources this after installation.sh. A group is a function
# that leaves the system as it found it: sockets, service and bot running. Each assertion is a line of check, and is known by
# group and sentence to the files in weakened/.
# shellcheck shell=bash

# shellcheck source=tests/systemd/sandboxes.sh
source "$(dirname "${BASH_SOURCE[0]}")/sandboxes.sh"

failed=()
group=
# How long what is right may take, in seconds: the bot and systemd try again after 5 s.
patience=15

# look GROUP: runs it, and adds to $failed what does not hold.
look() {
    group=$1
    "$1"
}

check() {
    if "${@:2}"; then
        echo "   holds: $1"
    else
        echo "   FAILS: $1"
        failed+=("$group: $1")
    fi
}

not() {
    ! "$@"
}

# manage COMMAND...: has systemd do something. Where that fails, an assertion will tell.
manage() {
    inside systemctl "$@" 2>"$directory/errors" || true
}

start_all() {
    manage start nightlatch.service nightlatch-bot.service
}

# --- first_connection: sockets alone, and then a node

first_connection() {
    manage stop nightlatch-bot.service nightlatch.socket
    manage start nightlatch.socket nightlatch-cli.socket nightlatch-telegram.socket
    check "nothing runs before it" is nightlatch.service ActiveState inactive
    check "it starts the service, and is answered" first_is_answered
    check "the node's own address is recorded" recorded_last '"event":"released".*"address":"192.0.2.2"'
    check "systemctl status says how it is" status_says nightlatch.service '^2 nodes: '
    start_all
}

first_is_answered() {
    answers 2 && is nightlatch.service ActiveState active
}

recorded_last() {
    inside tail -n 1 /var/lib/nightlatch/audit.log | grep -q "$1"
}

status_says() {
    property "$1" StatusText | grep -Eq "$2"
}

# --- approval: asked, approved by alice, unsealed

approval() {
    # What was approved before is forgotten with it.
    manage restart nightlatch.service
    check "what alice approves is sealed, and opens under a second approval" seal_and_unseal
}

seal_and_unseal() {
    head -c 32 /dev/urandom >"$directory/secret"
    asking seal <"$directory/secret" >"$directory/blob" || return
    not cmp -s "$directory/secret" "$directory/blob" || return
    manage restart nightlatch.service
    asking unseal <"$directory/blob" >"$directory/answer" || return
    cmp -s "$directory/secret" "$directory/answer"
}

# --- channels: who can vote

channels() {
    local asker code
    manage restart nightlatch.service
    head -c 32 /dev/urandom | ask seal "$cp_1" -tries 60 >"$directory/answer" 2>"$directory/errors" &
    asker=$!
    code=$(code_of_the_ask) || fail "no ask: $(cat "$directory/approvals.log")"
    check "alice is shown from where the node calls" shown_address
    check "bob does not reach the channel of the command line" kept_out bob cli "$code"
    check "bob does not reach the channel of the bot" kept_out bob telegram "$code"
    check "alice does not reach the channel of the bot" kept_out alice telegram "$code"
    check "the bot's user does not reach the channel of the command line" kept_out nightlatch-bot cli "$code"
    check "bob has no vote although he may connect" no_vote "$code"
    check "nobody's vote counted, and alice's does" alice_has_it "$asker" "$code"
    kill "$asker" 2>/dev/null || true
}

shown_address() {
    as alice nightlatch approvals list | grep -q 'cp-1 .* 192\.0\.2\.2$'
}

# The kernel keeps them out.
kept_out() {
    as "$1" nightlatch approvals approve "$3" --socket "/run/nightlatch/$2.sock" >"$directory/approvals.log" 2>&1 && return 1
    grep -q 'Permission denied' "$directory/approvals.log"
}

# The server does.
no_vote() {
    not inside runuser --user=bob --supp-group=nightlatch-approvers -- nightlatch approvals approve "$1" \
        >"$directory/approvals.log" 2>&1 && not grep -q 'Permission denied' "$directory/approvals.log"
}

alice_has_it() {
    kill -0 "$1" 2>/dev/null && [[ ! -s $directory/answer ]] || return
    as alice nightlatch approvals approve "$2" >"$directory/approvals.log" 2>&1 && wait "$1" && [[ -s $directory/answer ]] || return
    # Between two calls of the node, somebody else's vote would not have shown yet.
    grep -q 'approved by alice' "$directory/approvals.log"
}

# --- metrics: numbers for who may have them, once somebody wants them

metrics() {
    check "there are none unless somebody enables them" not scrape root
    # Opened by a restart of the service, as docs/metrics.md says.
    manage enable nightlatch-metrics.socket
    manage restart nightlatch.service
    check "root reads them" scrape root
    check "another user does not reach them" not scrape bob
    manage stop nightlatch.socket
    check "a scrape opens nothing that was closed" closed_to_scrapes
    manage disable nightlatch-metrics.socket
    manage restart nightlatch.service
}

# scrape USER
scrape() {
    as "$1" python3 -I -c 'import http.client, socket
connection = http.client.HTTPConnection("localhost", timeout=10)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/nightlatch/metrics.sock")
connection.request("GET", "/metrics")
print(connection.getresponse().read().decode())' 2>"$directory/errors" | grep -q '^nightlatch_nodes 2$'
}

closed_to_scrapes() {
    not scrape root && is nightlatch.socket ActiveState inactive && is nightlatch.service ActiveState inactive
}

# --- addresses: what the administrator's drop-in keeps away

addresses() {
    inside install -D -m 644 /usr/share/doc/nightlatch/systemd/nightlatch.socket.d/networks.conf /etc/systemd/system/nightlatch.socket.d/networks.conf
    inside sed -i -e 's/^#IPAddressDeny/IPAddressDeny/' -e 's|^#IPAddressAllow=.*|IPAddressAllow=192.0.2.2|' \
        /etc/systemd/system/nightlatch.socket.d/networks.conf
    manage daemon-reload
    manage restart nightlatch.socket
    check "an address that is allowed is answered" answers 2
    from 192.0.2.3
    check "an address that is denied does not get through" not connects
    from 192.0.2.2
    inside rm -r /etc/systemd/system/nightlatch.socket.d
    manage daemon-reload
    manage restart nightlatch.socket
    start_all
}

# What the kernel drops is told to nobody: a connection that is not there after 2 s.
connects() {
    remote timeout 2 bash -c ": </dev/tcp/${address/:/\/}" 2>"$directory/errors"
}

# --- credentials: damaged, and encrypted for another name

credentials() {
    local how
    inside cp -a /etc/credstore.encrypted/nightlatch-key /root/nightlatch-key
    never_started_often
    for how in damaged renamed; do
        manage stop nightlatch-bot.service nightlatch.socket
        case $how in
        damaged) inside sed -i '2s/^./&A/' /etc/credstore.encrypted/nightlatch-key ;;
        renamed)
            inside bash -euc 'systemd-creds decrypt --name=nightlatch-key /root/nightlatch-key - 2>/dev/null |
                systemd-creds encrypt --with-key=host --name=other - /etc/credstore.encrypted/nightlatch-key 2>/dev/null'
            ;;
        esac
        journal_mark
        check "a $how one keeps the service from starting, and the journal names it" does_not_start
        check "with a $how one the socket goes on although nodes call" socket_goes_on
        inside cp -a /root/nightlatch-key /etc/credstore.encrypted/nightlatch-key
        check "after a $how one was put right it starts by itself" within 15 answers
        manage reset-failed
        manage start nightlatch.socket
        start_all
    done
    inside rm /run/systemd/system/nightlatch.socket.d/trigger-limit.conf
    manage daemon-reload
}

does_not_start() {
    not inside systemctl start nightlatch.service 2>"$directory/errors" &&
        is nightlatch.service ExecMainStatus 243 && says nightlatch.service 'credential'
}

socket_goes_on() {
    remote timeout 2 bash -c ": </dev/tcp/${address/:/\/}" 2>/dev/null
    not within 4 is nightlatch.socket ActiveState failed
}

# A socket that has started its service 20 times in 2 s fails. Here in a minute, so that a slow machine sees it as well.
never_started_often() {
    inside install -D -m 644 /dev/stdin /run/systemd/system/nightlatch.socket.d/trigger-limit.conf \
        <<<$'[Socket]\nTriggerLimitIntervalSec=60s'
    manage daemon-reload
}

# --- flood: a thousand bad requests, the first of which starts the service

flood() {
    local begun
    never_started_often
    manage stop nightlatch-bot.service
    manage restart nightlatch.socket
    manage stop nightlatch.service
    begun=$EPOCHREALTIME
    remote bash -c "junk() { for _ in {1..250}; do echo junk >/dev/tcp/${address/:/\/}; done }
        junk & junk & junk & junk & wait" >"$directory/flood.log" 2>&1 || true
    echo "   1000 in $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000)) ms"
    check "the next request is answered" answers 5
    check "the socket goes on" is nightlatch.socket ActiveState active
    inside rm /run/systemd/system/nightlatch.socket.d/trigger-limit.conf
    manage daemon-reload
    manage reset-failed
    manage start nightlatch.socket
    start_all
}

# --- watchdog: programs that hang

watchdog() {
    local unit hung_server hung_bot
    for unit in nightlatch nightlatch-bot; do
        inside install -D -m 644 /dev/stdin "/run/systemd/system/$unit.service.d/watchdog.conf" <<<$'[Service]\nWatchdogSec=2s'
    done
    manage daemon-reload
    manage restart nightlatch.service nightlatch-bot.service
    hung_server=$(property nightlatch.service MainPID)
    hung_bot=$(property nightlatch-bot.service MainPID)
    journal_mark
    inside kill -STOP "$hung_server" "$hung_bot"
    check "a server that hangs is killed" within 8 says nightlatch.service 'Watchdog timeout'
    check "a bot that hangs is killed" within 8 says nightlatch-bot.service 'Watchdog timeout'
    check "a server that was killed answers again" within 10 answers
    check "a bot that was killed follows again" within "$patience" follows "$hung_bot"
    inside kill -CONT "$hung_server" "$hung_bot" 2>/dev/null || true
    for unit in nightlatch nightlatch-bot; do
        inside rm "/run/systemd/system/$unit.service.d/watchdog.conf"
    done
    manage daemon-reload
    manage restart nightlatch.service nightlatch-bot.service
}

# follows [NOT_PROCESS]: whether the bot has the server's channel.
follows() {
    is nightlatch-bot.service ActiveState active && not is nightlatch-bot.service MainPID "${1:-0}" &&
        status_says nightlatch-bot.service 'questions? (is|are) open' && not status_says nightlatch-bot.service 'nightlatch cannot be reached'
}

# --- certificates: exchanged under a connection that is open

certificates() {
    local before kept asker
    inside cp -a /etc/nightlatch/nightlatch.toml /root/nightlatch.toml
    inside install -d /etc/nightlatch/tls
    echo secret | ask seal "$worker_2" -tries 5 >"$directory/worker.blob" 2>"$directory/errors"
    [[ -e $directory/pki ]] || make_certificates
    install_certificate old
    inside bash -euc 'sed -i "/^tls = /d" /etc/nightlatch/nightlatch.toml && cat >>/etc/nightlatch/nightlatch.toml' <<'END'

[tls]
certificate = "/etc/nightlatch/tls/fullchain.pem"
key = "/etc/nightlatch/tls/privkey.pem"
names = ["192.0.2.1"]
END
    manage restart nightlatch.service
    coproc kept { remote "$client" "${tls[@]}" keep 2>"$directory/kept.errors"; }
    asker=$kept_PID
    before=$(call_kept)
    [[ -n $before ]] || fail "no connection to keep: $(cat "$directory/kept.errors")"
    install_certificate new
    manage reload nightlatch.service
    check "a new connection gets the new one" serves_another "$before"
    check "the open connection goes on" same_connection "$before"
    [[ -z ${kept[1]:-} ]] || eval "exec ${kept[1]}>&-"
    wait "$asker" || true
    inside cp -a /root/nightlatch.toml /etc/nightlatch/nightlatch.toml
    inside rm -r /etc/nightlatch/tls
    manage restart nightlatch.service
}

make_certificates() {
    mkdir "$directory/pki"
    "$directory/certificates" -directory "$directory/pki" -names 192.0.2.1 old
    "$directory/certificates" -directory "$directory/pki" -names 192.0.2.1 new
    tls=(-endpoint "https://$address" -roots "$directory/pki/root.pem" -node "$worker_2" -data "$directory/worker.blob")
}

install_certificate() {
    inside install -m 644 /dev/stdin /etc/nightlatch/tls/fullchain.pem <"$directory/pki/$1.chain.pem"
    inside install -m 640 -g nightlatch /dev/stdin /etc/nightlatch/tls/privkey.pem <"$directory/pki/$1.key.pem"
}

call_kept() {
    local line=
    # A coprocess that has ended has no descriptors.
    [[ -z ${kept[1]:-} ]] || echo >&"${kept[1]}"
    [[ -z ${kept[0]:-} ]] || read -r -t 15 line <&"${kept[0]}" || true
    echo "$line"
}

# The serial number is the last word. Few calls, since a node may make 20 at once; and on the kept connection too, which ends
# when nobody calls for 15 s.
serves_another() {
    local now
    for _ in {1..4}; do
        call_kept >"$directory/kept"
        now=$(echo | remote "$client" "${tls[@]}" keep 2>"$directory/errors") && [[ ${now##* } != "${1##* }" ]] && return
        sleep 1
    done
    return 1
}

same_connection() {
    local now
    now=$(call_kept)
    [[ $now == "$1" ]] && return
    echo "   was: $1, is: $now $(cat "$directory/kept.errors")"
    return 1
}

# --- restarts: bot and server, in every order

restarts() {
    local process
    manage restart nightlatch.service
    manage restart nightlatch-bot.service
    check "the server, then the bot" all_is_well
    manage restart nightlatch-bot.service
    manage restart nightlatch.service
    check "the bot, then the server" all_is_well
    manage restart nightlatch-bot.service nightlatch.service
    check "both at once" all_is_well
    manage stop nightlatch-bot.service
    manage stop nightlatch.service
    check "the server starts and answers without the bot" answers 2
    manage stop nightlatch.socket
    manage start nightlatch-bot.service
    check "a bot that starts leaves a server alone that was stopped by its socket, and says that it misses it" misses_the_server
    manage start nightlatch.service
    check "the bot follows a server that comes later" all_is_well
    process=$(property nightlatch-bot.service MainPID)
    manage stop nightlatch.socket
    check "the bot goes on when the server is stopped" goes_on "$process"
    manage start nightlatch.service nightlatch-bot.service
    manage kill --signal=KILL nightlatch-bot.service
    check "a bot that crashed comes back" within "$patience" follows "$process"
    start_all
    check "all sockets together, again and again" sockets_restart
    manage reset-failed
    start_all
}

sockets_restart() {
    for _ in {1..8}; do
        inside systemctl restart nightlatch.socket 2>"$directory/errors" || return
    done
    all_is_well
}

misses_the_server() {
    within 10 status_says nightlatch-bot.service 'nightlatch cannot be reached' &&
        not within 2 is nightlatch.socket ActiveState active && is nightlatch.service ActiveState inactive
}

goes_on() {
    is nightlatch-bot.service ActiveState active && is nightlatch-bot.service MainPID "$1"
}

all_is_well() {
    within "$patience" follows && answers 5
}

# --- upgrade: in the middle of an ask

upgrade() {
    local asker before code
    manage restart nightlatch.service
    head -c 32 /dev/urandom | ask seal "$cp_1" -tries 60 >"$directory/answer" 2>"$directory/errors" &
    asker=$!
    before=$(code_of_the_ask) || fail "no ask: $(cat "$directory/approvals.log")"
    install_nightlatch
    check "what was open is asked again" asked_again "$before"
    code=$(code_of_the_ask) || true
    check "its approval is what the node waited for" alice_has_it "$asker" "$code"
    check "the bot follows the new server" within "$patience" follows
    kill "$asker" 2>/dev/null || true
}

asked_again() {
    local code
    code=$(code_of_the_ask) && [[ $code != "$1" ]]
}
