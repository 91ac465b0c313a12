#!/bin/sh
# Reads the bot's token from standard input and encrypts it for nightlatch-bot.service. The token is never an argument,
# which every user of the host could see.
#
#   telegram-token.sh [host|host+tpm2|tpm2|auto]
set -eu

with=${1:-auto}
credential=${CREDENTIAL:-/etc/credstore.encrypted/telegram-token}

[ -d "${credential%/*}" ] || install -d -m 0700 "${credential%/*}"
umask 077
# On a terminal the token is asked for without showing it; a line end is not part of it.
if [ -t 0 ]; then
    token=$(systemd-ask-password --echo=no "Token of the Telegram bot:")
else
    token=$(cat)
fi
# Nothing that the bot would refuse takes the place of a token that works.
if ! printf %s "$token" | tr '\n' ' ' | grep -Eqx '[0-9]{3,16}:[0-9A-Za-z_-]{30,64}'; then
    echo "this is no token: it is one line, digits:letters, as @BotFather shows it after /newbot or /token" >&2
    exit 65
fi
printf %s "$token" | systemd-creds encrypt --with-key="$with" --name=telegram-token - "$credential.new"
mv "$credential.new" "$credential"
echo "made $credential"
