#!/bin/sh
# Encrypts a key file for nightlatch.service, and removes the plain one once the credential was seen to open and somebody
# said that there is a backup.
#
#   nightlatch-key.sh KEY_FILE [host|host+tpm2|tpm2|auto]
#
# For a new installation, nightlatch credentials init does this and more, and without a file.
#
# KEY_FILE: what nightlatch keygen wrote, best in /run, which is memory. Its backup stays as it is.
#
# WARNING: the credential opens on this host only. When KEY_FILE is the only copy of the key, then without it the loss of
# this host is the loss of every disk that was sealed with that key. So the script asks before it removes KEY_FILE, and
# without a terminal it keeps it.
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
echo "made $credential, which opens on this host only"

answer=
if [ -t 0 ]; then
    cat >&2 <<EOF
WARNING: about to remove $key. If there is no other copy of this key away from this host, the loss of the host will be
the loss of every disk that was sealed with it. A backup is what nightlatch keygen --backup wrote.
EOF
    printf 'Is there a backup of this key away from this host? Type "yes" to remove %s: ' "$key" >&2
    read -r answer || true
fi
if [ "$answer" = yes ]; then
    rm "$key"
    echo "removed $key"
else
    echo "kept $key: whoever reads it opens every disk. When there is a backup away from this host: rm $key"
fi
