#!/bin/bash
# The way over the phone, end to end with the real programs, a rack of six and the lock among it: the server, nightlatch-bot, a Bot API server that nobody here
# wrote (telemelya, behind tests/telegram/bridge.py), and the libraries of Talos itself as the node.
set -euo pipefail
cd "$(dirname "$0")/../.."
for program in go python3; do
    if ! command -v "$program" >/dev/null; then
        echo "skipped: $program is not installed"
        exit 0
    fi
done
if ! (cd tests/system/go-client && GOTOOLCHAIN=local go mod download) >/dev/null 2>&1; then
    echo "skipped: the Go modules of the client cannot be fetched, or need a newer Go"
    exit 0
fi
# shellcheck source=tests/system/server.sh
source tests/system/server.sh
bot_program=${NIGHTLATCH_BOT:-$(dirname "$nightlatch")/nightlatch-bot}
if ! python3 -m venv "$directory/venv" >"$directory/venv.log" 2>&1; then
    echo "skipped: python3 cannot make a virtual environment (on Debian: install python3-venv)"
    exit 0
fi
if ! "$directory/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    -r tests/telegram/requirements.txt >"$directory/pip.log" 2>&1; then
    echo "skipped: the packages of the Bot API server cannot be fetched for this Python: $(tail -n 1 "$directory/pip.log")"
    exit 0
fi

export TOKEN=123456789:not-a-token-of-anybody-at-all-12345 ALICE=7
stranger=666
api=$((32000 + RANDOM % 400))
store=$((32400 + RANDOM % 400))
store_process=
api_process=
bot=
node=
trap 'bot_stop; api_stop; node_stop; end "$store_process"; server_stop; rm -rf "$directory"' EXIT

# end PROCESS: ends it and waits until it has.
end() {
    if [[ -n $1 ]]; then
        kill "$1" 2>/dev/null || true
        wait "$1" 2>/dev/null || true
    fi
}

# Instead of server.sh's: what everybody said.
fail() {
    {
        echo "failed: $*"
        sed 's/^/server: /' "$directory/server.log" | tail -n 30
        sed 's/^/bot: /' "$directory/bot.log" | tail -n 30
        sed 's/^/bot api: /' "$directory/api.log" | tail -n 10
    } >&2
    exit 1
}

# listening PORT: returns when somebody accepts connections there, within 20 s.
listening() {
    for _ in {1..200}; do
        if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
            return
        fi
        sleep 0.1
    done
    fail "nobody listens on port $1"
}

api_start() {
    "$directory/venv/bin/python" tests/telegram/bridge.py api "$api" "$store" >>"$directory/api.log" 2>&1 </dev/null &
    api_process=$!
    listening "$api"
}

api_stop() {
    end "$api_process"
    api_process=
}

bot_start() {
    "$bot_program" run --config "$directory/bot.toml" >>"$directory/bot.log" 2>&1 </dev/null &
    bot=$!
}

bot_stop() {
    end "$bot"
    bot=
}

phone() {
    "$directory/venv/bin/python" tests/telegram/phone.py "$api" "$@" || fail "phone $*"
}

# asks OPERATION NODE INPUT: a node asks in the background, and the phone is looked at until the prompt is there.
# Sets $node (the process), $before (what the bot had done until then), $message, $code and $nonce (of the prompt).
asks() {
    before=$(phone count)
    "$directory/go-client" -endpoint "$address" -node "$2" -tick 1s -tries 90 "$1" <"$3" >"$directory/answer" 2>"$directory/errors" &
    node=$!
    prompted
}

prompted() {
    local prompt
    prompt=$(phone prompt "$before")
    read -r message code nonce <<<"$prompt"
    echo "   prompt $code is message $message"
}

# The node ends with an answer.
gets_answer() {
    wait "$node" || fail "the node got no answer: $(cat "$directory/errors")"
    node=
}

# The node ends with the secret that was sealed, and the prompt tells so.
gets_secret() {
    gets_answer
    cmp "$directory/secret" "$directory/answer" || fail "the answer is not the secret"
    shows "approved by alice.*released 1 key"
}

# The node is told a no, within 20 s. It would ask for ever: so it is ended.
is_refused() {
    local told=
    for _ in {1..200}; do
        if grep -q PermissionDenied "$directory/errors"; then
            told=yes
            break
        fi
        sleep 0.1
    done
    [[ -n $told ]] || fail "a refused node is told: $(cat "$directory/errors")"
    node_stop
    [[ ! -s $directory/answer ]] || fail "a refused node got an answer"
}

node_stop() {
    end "$node"
    node=
}

# shows PATTERN: the prompt is edited to match, without buttons.
shows() {
    local text
    text=$(phone edited "$before" "$message" "$1")
    echo "   $text"
}

# recorded WORD...: some record of the audit log has each of these.
recorded() {
    local found word
    found=$(cat "$(initialised state_directory)/audit.log")
    for word in "$@"; do
        found=$(grep -F -e "$word" <<<"$found") || fail "no record has all of: $*"
    done
}

(cd tests/system/go-client && GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -o "$directory/go-client" .)
server_create
# The bot's user must not be an approver's, and here it is the one that runs this script.
sed -i "s/^uid = .*/telegram_id = $ALICE/; s/^hold = .*/hold = \"5s\"/" "$directory/nightlatch.toml"
cat >>"$directory/nightlatch.toml" <<END

$(for number in {1..6}; do
    printf '[[node]]\nuuid = "00000000-0000-4000-8000-00000000000%d"\nname = "rack-%d"\naddresses = ["127.0.0.1"]\n' "$number" "$number"
done)

[[channel]]
name = "telegram"
people = "telegram"
uid = $(id -u)
socket = "$directory/telegram.sock"
END
mkdir -m 0700 "$directory/bot"
(umask 077 && printf '%s\n' "$TOKEN" >"$directory/token")
cat >"$directory/bot.toml" <<END
socket = "$directory/telegram.sock"
state_directory = "$directory/bot"
token_file = "$directory/token"
api = "http://127.0.0.1:$api"
timezone = "UTC"

[[chat]]
id = $ALICE
END
: >"$directory/bot.log"
"$directory/venv/bin/python" tests/telegram/bridge.py store "$store" >>"$directory/api.log" 2>&1 </dev/null &
store_process=$!
listening "$store"
api_start
server_start
bot_start
head -c 32 /dev/urandom >"$directory/secret"

echo "-- seal, approved"
asks seal "$cp_1" "$directory/secret"
phone press a "$nonce" "$message"
gets_answer
cp "$directory/answer" "$directory/blob"
cmp -s "$directory/secret" "$directory/blob" && fail "the blob is the secret"
shows "approved by alice"
recorded '"event":"vote"' '"verdict":"approve"' '"channel":"telegram"' "\"telegram_id\":$ALICE"

echo "-- unseal, approved while the call is held"
server_stop
server_start
asks unseal "$cp_1" "$directory/blob"
phone press a "$nonce" "$message"
gets_secret
[[ ! -s $directory/errors ]] || fail "it took another call: $(cat "$directory/errors")"

echo "-- a stranger's press, and one with a nonce that was never given"
server_stop
server_start
asks unseal "$cp_1" "$directory/blob"
for from in "$stranger" "$stranger $ALICE"; do
    after=$(phone count)
    # shellcheck disable=SC2086
    phone press a "$nonce" "$message" $from
    echo "   answered: $(phone answered "$after")"
done
after=$(phone count)
phone press a "AAAAAAAAAAAAAAAAAAAAAA" "$message"
echo "   answered: $(phone answered "$after")"
kill -0 "$node" 2>/dev/null || fail "the node has an answer"
[[ ! -s $directory/answer ]] || fail "the node has an answer"

echo "-- the same prompt, after a restart of the bot"
bot_stop
bot_start
phone press a "$nonce" "$message"
gets_secret

echo "-- after a restart of the server"
server_stop
server_start
asks unseal "$cp_1" "$directory/blob"
old_nonce=$nonce old_message=$message before=$(phone count)
server_stop
server_start
prompted
after=$(phone count)
phone press a "$old_nonce" "$old_message"
echo "   answered: $(phone answered "$after")"
[[ ! -s $directory/answer ]] || fail "the old button released something"
phone press a "$nonce" "$message"
gets_secret

echo "-- after a restart of the Telegram side"
server_stop
server_start
asks unseal "$cp_1" "$directory/blob"
api_stop
sleep 1
api_start
phone press a "$nonce" "$message"
gets_secret

echo "-- for 30 minutes"
server_stop
server_start
asks unseal "$cp_1" "$directory/blob"
phone press l "$nonce" "$message"
gets_secret
recorded '"event":"vote"' '"verdict":"approve"' '"for_seconds":1800'

echo "-- denied"
asks unseal "$worker_2" "$directory/blob"
phone press d "$nonce" "$message"
is_refused
shows "denied by alice"
after=$(phone count)
phone say "/unblock worker-2"
echo "   $(phone told "$after" "worker-2")"
recorded '"event":"refusal-lifted"' '"kind":"denial"'

echo "-- blocked for 24 hours, and let in again"
asks unseal "$worker_2" "$directory/blob"
phone press b "$nonce" "$message"
is_refused
shows "blocked by alice"
recorded '"event":"vote"' '"verdict":"block"' '"for_seconds":86400'
after=$(phone count)
phone say "/unblock worker-2"
echo "   $(phone told "$after" "worker-2")"
recorded '"event":"refusal-lifted"' '"kind":"block"'
asks unseal "$worker_2" "$directory/blob"
node_stop

echo "-- approved ahead: six nodes of a rack get their disks sealed, and nobody is asked"
rack=()
for number in {1..6}; do
    rack+=("00000000-0000-4000-8000-00000000000$number")
    after=$(phone count)
    phone say "/grant rack-$number 10m 1"
    phone told "$after" "approved ahead" >/dev/null
    "$directory/go-client" -endpoint "$address" -node "${rack[-1]}" -tick 1s -tries 10 seal <"$directory/secret" \
        >"$directory/rack-$number.blob" 2>"$directory/errors" || fail "rack-$number: $(cat "$directory/errors")"
done
[[ ! -s $directory/errors ]] || fail "it took another call: $(cat "$directory/errors")"
recorded '"event":"grant-set"' '"channel":"telegram"' '"name":"rack-6"'
after=$(phone count)
phone say "/revoke all"
echo "   $(phone told "$after" "ended")"

echo "-- the power came back: six nodes ask at once, and one press answers them"
server_stop
server_start
before=$(phone count)
nodes=()
for number in {1..6}; do
    "$directory/go-client" -endpoint "$address" -node "${rack[number - 1]}" -tick 1s -tries 90 unseal \
        <"$directory/rack-$number.blob" >"$directory/rack-$number.answer" 2>"$directory/rack-$number.errors" &
    nodes+=($!)
done
list=$(phone shared "$before" 6)
read -r message nonce <<<"$list"
echo "   six questions are message $message"
phone press A "$nonce" "$message"
for number in {1..6}; do
    wait "${nodes[number - 1]}" || fail "rack-$number: $(cat "$directory/rack-$number.errors")"
    cmp "$directory/secret" "$directory/rack-$number.answer" || fail "rack-$number has another secret"
done
shows "approved by alice"

echo "-- locked from the phone"
after=$(phone count)
phone say "/lock now"
echo "   $(phone told "$after" "locked by alice")"
asks_in_vain() {
    "$directory/go-client" -endpoint "$address" -node "${rack[0]}" -tick 1s -tries 1 unseal <"$directory/rack-1.blob" \
        >"$directory/answer" 2>"$directory/errors" && fail "something was released"
    grep -q locked "$directory/errors" || fail "a node is told: $(cat "$directory/errors")"
}
asks_in_vain
server_stop
server_start
asks_in_vain
if ((EUID != 0)); then
    echo "skipped: only root may unlock here"
else
    "$nightlatch" unlock --config "$directory/nightlatch.toml" >"$directory/unlocked" || fail "root may unlock: $(cat "$directory/unlocked")"
    recorded '"event":"unlocked"'
fi

echo "-- the token is in no log"
grep -qF "${TOKEN#*:}" "$directory/bot.log" "$directory/server.log" && fail "the token was said"

echo "ok"
