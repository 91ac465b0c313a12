#!/bin/sh
# Encrypts a key file for nightlatch.service, and removes the plain one once the credential was seen to open.
#
#   nightlatch-key.sh KEY_FILE [host|host+tpm2|tpm2|auto]
#
# KEY_FILE: what nightlatch keygen or nightlatch init wrote, best in /run, which is memory. Its backup stays as it is.
set -eu

key=${1:?usage: nightlatch-key.sh KEY_FILE [host|host+tpm2|tpm2|auto]}
with=${2:-auto}
credential=${CREDENTIAL:-/etc/credstore.encrypted/nightlatch-key}

if [ -e "$credential" ]; then
    echo "$credential exists already: a disk may depend on it" >&2
    exit 73
fi
[ -d "${credential%/*}" ] || install -d -m 0700 "${credential%/*}"
umask 077
systemd-creds encrypt --with-key="$with" --name=nightlatch-key "$key" "$credential"
if ! systemd-creds decrypt --name=nightlatch-key "$credential" - | cmp -s - "$key"; then
    rm -f "$credential"
    echo "the credential does not open again; $key is unchanged" >&2
    exit 74
fi
rm "$key"
echo "made $credential and removed $key"
