# nightlatch installed in a booted system, for the scripts beside this file, which source it: nodes cp-1 (rule "ask") and
# worker-2 (rule "allow"), alice as the one approver, bob who is nobody, and the bot with a Bot API that nobody serves
# unless the script does.
#
# Sets: $directory (emptied and removed at the end), $state (of the sandbox), $share (/srv/share in it), $client (Talos' own
# Go client), $address (of the server, from the second network namespace).
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# The newest that packaging/build.sh has built.
package=${NIGHTLATCH_PACKAGE:-$(find "$root/target/debian" -name "nightlatch_*_$(dpkg --print-architecture).deb" -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d ' ' -f 2)}
sandbox=$root/tests/systemd/sandbox.sh
directory=$(mktemp -d)
state=$directory/sandbox
share=$state/share
client=$directory/go-client
address=192.0.2.1:4050
cp_1=12345678-9abc-4def-8123-456789abcdef
worker_2=fedcba98-7654-4321-8fed-cba987654321
telegram_port=8081

trap 'sandbox_stop' EXIT

# Says why the whole script cannot be run here, and ends it.
skip() {
    echo "skipped: $*"
    exit 0
}

sandbox_stop() {
    local code=$?
    "$sandbox" stop "$state" || true
    rm -rf --one-file-system "$directory"
    return "$code"
}

inside() {
    timeout 60 "$sandbox" inside "$state" "$@"
}

# as USER COMMAND...: somebody at a shell of the booted system.
as() {
    inside runuser --user="$1" -- "${@:2}"
}

remote() {
    timeout 120 "$sandbox" remote "$state" "$@"
}

# Says what happened, shows what the journal knows, and ends the script.
fail() {
    {
        echo "failed: $*"
        [[ ! -e $state/init ]] || inside journalctl --quiet --no-pager --output=short-monotonic --lines=40 | sed 's/^/journal: /'
    } >&2
    exit 1
}

# within SECONDS COMMAND...: runs it until it succeeds, for so long at the most.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

# What systemd knows of a unit: property UNIT NAME.
property() {
    inside systemctl show --property="$2" --value "$1"
}

is() {
    [[ $(property "$1" "$2") == "$3" ]]
}

# Whether the journal of a unit says TEXT (a regular expression) since the time that journal_from set.
journal_from=@0
says() {
    inside journalctl --quiet --output=cat --unit="$1" --since="$journal_from" --grep="$2" >/dev/null
}

# From now on, says looks at what comes.
journal_mark() {
    inside journalctl --sync
    journal_from=@$(date +%s.%6N)
}

# What this machine lacks, in words; empty if nothing.
missing() {
    [[ $(id -u) == 0 ]] || { echo "not root" && return; }
    local program
    for program in go ip nsenter python3 setpriv systemctl unshare; do
        command -v "$program" >/dev/null || { echo "$program is not installed" && return; }
    done
    ! dpkg-query --show nightlatch >/dev/null 2>&1 || { echo "nightlatch is installed on this machine" && return; }
    [[ -x /lib/systemd/systemd ]] || { echo "there is no systemd to boot" && return; }
    [[ -e /usr/share/dbus-1/system.conf ]] || { echo "dbus is not installed" && return; }
    grep -q ' - cgroup2 ' /proc/self/mountinfo || { echo "no cgroup2 is mounted" && return; }
    (cd "$root/tests/system/go-client" && GOTOOLCHAIN=local go mod download) >/dev/null 2>&1 ||
        echo "the Go modules of the client cannot be fetched, or need a newer Go"
}

# Skips the script where this machine lacks something, and builds what is its own.
prepare() {
    local lacks
    lacks=$(missing)
    [[ -z $lacks ]] || skip "$lacks"
    build_client
}

build_client() {
    (
        cd "$root/tests/system/go-client"
        GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -o "$client" .
        GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -o "$directory/certificates" ./certificates
    )
}

boot() {
    [[ -e $package ]] || { echo "there is no package: run packaging/build.sh first" >&2 && exit 1; }
    "$sandbox" boot "$state" || exit 1
    "$sandbox" network "$state"
}

install_nightlatch() {
    cp "$package" "$share/nightlatch.deb"
    inside dpkg --install /srv/share/nightlatch.deb >"$directory/install.log" 2>&1 ||
        fail "install: $(cat "$directory/install.log")"
}

# Key, state, configuration and credentials of a new installation, and who takes part in the tests.
configure() {
    cp "$root/tests/systemd/probe.py" "$share/"
    inside bash -euc '
        useradd alice
        useradd bob
        install -d -m 1777 /srv/everybody
        systemd-creds setup
        nightlatch credentials init --network 192.0.2.0/24 --network 127.0.0.1 --node "$1=cp-1" --node "$2=worker-2" \
            --approver alice --no-backup
        # For what is weakened: a key that is no encrypted credential, and a device that no program needs.
        (umask 077 && systemd-creds decrypt --name=nightlatch-key /etc/credstore.encrypted/nightlatch-key /root/plain-key)
        mknod -m 666 /dev/everybody c 1 3
        printf %s 123456789:not-a-token-of-anybody-at-all-12345 |
            systemd-creds encrypt --with-key=host --name=telegram-token - /etc/credstore.encrypted/telegram-token
        sed -i -e "/^name = \"worker-2\"/a rules = { seal = \"allow\", unseal = \"allow\" }" \
            -e "/^name = \"alice\"/a telegram_id = 7" /etc/nightlatch/nightlatch.toml
        cat >>/etc/nightlatch/nightlatch.toml <<END

[[channel]]
name = "telegram"
people = "telegram"
uid = $(id -u nightlatch-bot)

[timings]
hold = "2s"
END
        cat >/etc/nightlatch/nightlatch-bot.toml <<END
api = "http://127.0.0.1:$3"

[[chat]]
id = 7
END
        printf "socket = \"/run/nightlatch/elsewhere.sock\"\n" | cat - /etc/nightlatch/nightlatch-bot.toml >/etc/nightlatch/elsewhere.toml
        { cat /etc/nightlatch/nightlatch.toml; printf "\n[[approver]]\nname = \"bob\"\nuid = %d\n" "$(id -u bob)"; } \
            >/etc/nightlatch/bob-approves.toml
        nightlatch check' - "$cp_1" "$worker_2" "$telegram_port" >"$directory/configure.log" 2>&1 ||
        fail "configure: $(cat "$directory/configure.log")"
}

# The system that is looked at.
set_up() {
    boot
    install_nightlatch
    configure
}

# ask OPERATION NODE [OPTION...]: asks as a node, from the second network namespace.
ask() {
    remote "$client" -endpoint "$address" -node "$2" -tick 1s "${@:3}" "$1"
}

# from ADDRESS: where further connections of the node come from.
from() {
    ip -n "$(cat "$state/remote")" route replace 192.0.2.1/32 dev node0 src "$1"
}

# Whether a node gets an answer, with so many tries: worker-2, which nobody is asked about.
answers() {
    echo secret | ask seal "$worker_2" -tries "${1:-1}" >/dev/null 2>"$directory/errors"
}

# The code of the ask of cp-1, as alice sees it, within 20 s.
code_of_the_ask() {
    local code
    for _ in {1..100}; do
        code=$(as alice nightlatch approvals list 2>"$directory/approvals.log" | sed -n 's/^\([A-Z][0-9][A-Z][0-9]\) .*/\1/p' | head -n 1)
        if [[ -n $code ]]; then
            echo "$code"
            return
        fi
        sleep 0.2
    done
    return 1
}

# asking OPERATION <INPUT >ANSWER: cp-1 asks, alice approves what she is shown, and the node gets its answer.
asking() {
    local code asker
    ask "$1" "$cp_1" -tries 20 <&0 2>"$directory/errors" &
    asker=$!
    if code=$(code_of_the_ask) && as alice nightlatch approvals approve "$code" >"$directory/approvals.log" 2>&1; then
        wait "$asker"
    else
        kill "$asker" 2>/dev/null || true
        wait "$asker" 2>/dev/null || true
        return 1
    fi
}

# weaken UNIT FILE: puts a drop-in over the unit; strengthen UNIT takes it back.
weaken() {
    inside install -D -m 644 /dev/stdin "/run/systemd/system/$1.d/weakened.conf" <"$2"
    inside systemctl daemon-reload
}

strengthen() {
    inside rm "/run/systemd/system/$1.d/weakened.conf"
    inside systemctl daemon-reload
}
