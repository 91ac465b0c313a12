#!/bin/sh
# Makes the pictures in this folder from what the bot really writes. Needs chromium, and fonts-noto-color-emoji.
#
#     docs/prompts/pictures.sh target/release/nightlatch-bot
set -eu

bot=${1:?"usage: $0 path/of/nightlatch-bot"}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bot" demo --html >"$work/all.html"

# picture NAME HEIGHT light|dark SECTION…: a phone's screen with these sections of the page. Sections have the names of their
# captions.
picture() {
    name=$1 height=$2 scheme=$3
    shift 3
    shown=$(printf ', #%s' "$@")
    case $scheme in dark) preferred=0 ;; *) preferred=1 ;; esac
    {
        cat "$work/all.html"
        printf '<style>section { display: none } %s { display: block }</style>\n' "${shown#, }"
    } >"$work/$name.html"
    chromium --headless=new --no-sandbox --hide-scrollbars --user-data-dir="$work/profile" \
        --blink-settings=preferredColorScheme="$preferred" --window-size=384,"$height" \
        --screenshot="$here/$name.png" "file://$work/$name.html" 2>/dev/null
    [ "$(wc -c <"$here/$name.png")" -le 150000 ] || { echo "$name.png is larger than 150 KB" >&2; exit 1; }
}

picture asked 925 dark \
    a-node-boots-that-was-approved-before a-node-calls-from-an-address-that-is-not-its-own
picture answered 925 light \
    approved-and-the-node-has-its-keys denied the-server-is-away-while-a-question-is-open
picture together 925 dark \
    six-nodes-after-a-power-cut nobody-answered-these-for-a-while grant-cp-2-30m-8
picture commands 925 dark \
    pending status another-program-uses-the-bot-s-token
