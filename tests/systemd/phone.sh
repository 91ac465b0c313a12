# Telegram for the booted system: the Bot API server of tests/telegram/bridge.py on its loopback, and a phone. For run.sh, which
# sources this after assertions.sh.
# shellcheck shell=bash

store_port=8082
export TOKEN=123456789:not-a-token-of-anybody-at-all-12345 ALICE=7

# Starts it, or says why it cannot be.
telegram_start() {
    python3 -m venv "$directory/venv" >"$directory/venv.log" 2>&1 || {
        echo "python3 cannot make a virtual environment (on Debian: install python3-venv)"
        return 1
    }
    "$directory/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        -r "$root/tests/telegram/requirements.txt" >"$directory/pip.log" 2>&1 || {
        echo "the packages of the Bot API server cannot be fetched for this Python: $(tail -n 1 "$directory/pip.log")"
        return 1
    }
    bridge store "$store_port"
    bridge api "$telegram_port" "$store_port"
}

# bridge ARGUMENT...: a process of it, which listens on the port that its second argument names.
bridge() {
    "$sandbox" beside "$state" "$directory/venv/bin/python" "$root/tests/telegram/bridge.py" "$@" \
        </dev/null >>"$directory/bridge.log" 2>&1 &
    bridges+=("$!")
    within 20 "$sandbox" beside "$state" bash -c ": </dev/tcp/127.0.0.1/$2" 2>/dev/null || fail "bridge $*: $(cat "$directory/bridge.log")"
}
bridges=()

telegram_stop() {
    ((${#bridges[@]} == 0)) || kill "${bridges[@]}" 2>/dev/null || true
}

telephone() {
    "$sandbox" beside "$state" "$directory/venv/bin/python" "$root/tests/telegram/phone.py" "$telegram_port" "$@"
}

# --- phone: the group, as those of assertions.sh

phone() {
    local unit
    for unit in nightlatch-bot nightlatch; do
        manage restart nightlatch.service nightlatch-bot.service
        manage restart "$unit.service"
        check "a press is the node's answer, when $unit was restarted last" pressed
    done
}

pressed() {
    local before asker message nonce code=1
    within "$patience" status_says nightlatch-bot.service '^0 questions are open$' || return
    before=$(telephone count)
    head -c 32 /dev/urandom | ask seal "$cp_1" -tries 60 >"$directory/answer" 2>"$directory/errors" &
    asker=$!
    if read -r message _ nonce < <(telephone prompt "$before") && telephone press a "$nonce" "$message"; then
        wait "$asker" && [[ -s $directory/answer ]] && code=0
    fi
    kill "$asker" 2>/dev/null || true
    return "$code"
}
