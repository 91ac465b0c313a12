#!/bin/bash
# The hook of ACME clients: which certificate gets where, in whole pairs only, and when the service is reloaded or restarted.
# The program that judges the certificates is the real one; systemctl, systemd-creds, chown and sleep are made up.
set -euo pipefail
cd "$(dirname "$0")/../.."

NIGHTLATCH=${NIGHTLATCH:-$PWD/target/release/nightlatch}
HOOK=$PWD/packaging/nightlatch-acme-reload
for needed in openssl flock; do
    command -v "$needed" >/dev/null || { echo "skipped: there is no $needed here"; exit 0; }
done
[[ $(id -u) == 0 ]] || { echo "skipped: the hook writes to /run, for which it has to be root"; exit 0; }
[[ -x $NIGHTLATCH ]] || { echo "there is no $NIGHTLATCH: build it first"; exit 1; }

T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
fail() { echo "FAILED: $test: $*"; exit 1; }

# Certificates: a root of one's own, and two leaves with their keys.
certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=Test Root" \
        -addext "keyUsage=critical,keyCertSign" -keyout "$T/root.key" -out "$T/root.pem"
    local number
    for number in 1 2; do
        mkdir "$T/leaf$number"
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=kms.example.net" \
            -keyout "$T/leaf$number/privkey.pem" -out "$T/request.pem"
        openssl x509 -req -in "$T/request.pem" -CA "$T/root.pem" -CAkey "$T/root.key" -days 20 -out "$T/leaf$number/fullchain.pem" \
            -extfile <(printf 'subjectAltName=DNS:kms.example.net\nextendedKeyUsage=serverAuth\n')
    done
}
certificates >"$T/openssl" 2>&1 || { cat "$T/openssl"; exit 1; }

# What is made up. Each says in $T/calls how it was called.
mkdir "$T/bin"
made_up() { cat >"$T/bin/$1" && chmod 755 "$T/bin/$1"; }
made_up systemctl <<'EOF'
#!/bin/bash
case "$*" in
    "cat nightlatch.service") cat "$T/unit" ;;
    "--quiet is-active nightlatch.service") [[ -e $T/active ]] ;;
    *) echo "systemctl $*" >>"$T/calls" ;;
esac
EOF
made_up systemd-creds <<'EOF'
#!/bin/bash
for argument; do [[ $argument != --name=* ]] || name=${argument#--name=}; done
case $1 in
    encrypt) { echo "sealed as $name"; base64 "${@: -2:1}"; } >"${@: -1}" ;;
    decrypt) grep -qx "sealed as $name" "${@: -2:1}" && tail -n +2 "${@: -2:1}" | base64 -d ;;
esac
EOF
made_up chown <<'EOF'
#!/bin/bash
echo "chown $1" >>"$T/calls"
EOF
made_up nightlatch <<'EOF'
#!/bin/bash
[[ $1 != approvals ]] || exec cat "$T/open"
exec "$NIGHTLATCH" "$@"
EOF
# Nobody really waits. What is open changes with $T/after: how many waits it takes.
made_up sleep <<'EOF'
#!/bin/bash
echo "sleep $1" >>"$T/calls"
[[ $(grep -c '^sleep' "$T/calls") -lt $(cat "$T/after") ]] || echo '{"asks":[],"grants":[]}' >"$T/open"
EOF
# Instead of its call of the number in $T/breaks the hook ends, as if the power went then. Nothing moves any more: whoever looks
# would see it before or after.
made_up mv <<'EOF'
#!/bin/bash
echo "mv" >>"$T/moves"
[[ $(wc -l <"$T/moves") != "$(cat "$T/breaks" 2>/dev/null)" ]] || { kill -KILL $PPID && exit; }
exec /usr/bin/mv "$@"
EOF
export T NIGHTLATCH PATH="$T/bin:$PATH"

# begin TEST TLS: an installation without a certificate, whose [tls] has these lines; the service runs, and nothing is open.
begin() {
    test=$1
    rm -rf "${T:?}/etc" "$T/store" "$T"/{calls,moves,breaks,unit}
    mkdir -p "$T/etc/tls" "$T/store"
    : >"$T/calls" && : >"$T/active" && echo 1 >"$T/after" && echo '{"asks":[],"grants":[]}' >"$T/open"
    sed "s|^tls = \"off\"$||; /^# A key: 32 random/{
i\\
[tls]\\
$2\\
names = [\"kms.example.net\"]
}" systemd/nightlatch.toml >"$T/etc/nightlatch.toml"
    cat >"$T/unit" <<EOF
[Service]
LoadCredentialEncrypted=nightlatch-key:/etc/credstore.encrypted/nightlatch-key
LoadCredential=tls-certificate:$T/etc/tls/fullchain.pem
LoadCredentialEncrypted=tls-key:$T/store/tls-key
EOF
}
FILES="certificate = \"$T/etc/tls/fullchain.pem\"\\
key = \"$T/etc/tls/privkey.pem\""
CREDENTIALS="certificate_credential = \"tls-certificate\"\\
key_credential = \"tls-key\""
hook() { "$HOOK" --config "$T/etc/nightlatch.toml" --roots "$T/root.pem" "$@" >"$T/said" 2>&1; }
certbot() { RENEWED_LINEAGE=$T/leaf$1 hook; }
called() { grep -qx -- "$1" "$T/calls" || fail "nobody called: $1"; }
not_called() { ! grep -q -- "$1" "$T/calls" || fail "somebody called: $1"; }
# The hook's copies in /run that were made since the beginning.
copies() { find /run -maxdepth 1 -name 'nightlatch-acme.*' -newer "$T/bin" "$@"; }
# installed NUMBER: both files are those of that leaf.
installed() {
    cmp -s "$T/etc/tls/fullchain.pem" "$T/leaf$1/fullchain.pem" || fail "the chain is not that of leaf $1"
    cmp -s "$T/etc/tls/privkey.pem" "$T/leaf$1/privkey.pem" || fail "the key is not that of leaf $1"
}

begin "certbot's certificate is installed and reloaded" "$FILES"
certbot 1 || { cat "$T/said"; fail "it failed"; }
installed 1
called "systemctl reload nightlatch.service"
[[ $(grep -c "^chown root:nightlatch$" "$T/calls") == 4 ]] || fail "somebody else owns a directory or a file"
[[ $(stat -Lc %a "$T/etc/tls/privkey.pem") == 640 ]] || fail "the key has another mode"

test="the next one takes its place, and nothing else is left"
certbot 2 || fail "it failed"
installed 2
[[ $(find "$T/etc/tls" -mindepth 1 | wc -l) == 6 ]] || { find "$T/etc/tls"; fail "more or less is left than one pair"; }
! copies | grep . || fail "a copy of the key is left"

begin "acme.sh's certificate is installed and reloaded" "$FILES"
CERT_FULLCHAIN_PATH=$T/leaf1/fullchain.pem CERT_KEY_PATH=$T/leaf1/privkey.pem hook || fail "it failed"
installed 1
called "systemctl reload nightlatch.service"

begin "a key of another certificate changes nothing" "$FILES"
certbot 1 || fail "it failed"
: >"$T/calls"
! hook "$T/leaf2/fullchain.pem" "$T/leaf1/privkey.pem" || fail "it was taken"
grep -q "nothing was changed" "$T/said" || fail "it does not say so"
installed 1
not_called systemctl

begin "a certificate for another name changes nothing" "$FILES"
sed -i 's/^names = .*/names = ["other.example.net"]/' "$T/etc/nightlatch.toml"
! certbot 1 || fail "it was taken"
[[ ! -e $T/etc/tls/fullchain.pem ]] || fail "it was installed"

# Files of before, as they were installed by hand; then an end at every move.
for ((breaks = 1; breaks <= 8; breaks++)); do
    begin "an end at move $breaks leaves a whole pair" "$FILES"
    cp "$T/leaf1"/*.pem "$T/etc/tls/"
    echo "$breaks" >"$T/breaks"
    certbot 2 2>/dev/null && break
    if cmp -s "$T/etc/tls/fullchain.pem" "$T/leaf1/fullchain.pem"; then installed 1; else installed 2; fi
    rm "$T/breaks"
    certbot 2 || fail "the next renewal fails"
    installed 2
done
((breaks == 5)) || fail "there were $((breaks - 1)) moves instead of 4"
copies -exec rm -rf {} +

begin "what the client writes itself is reloaded alone" "$FILES"
cp "$T/leaf1"/*.pem "$T/etc/tls/"
hook "$T/etc/tls/fullchain.pem" "$T/etc/tls/privkey.pem" || fail "it failed"
installed 1
[[ ! -L $T/etc/tls/fullchain.pem ]] || fail "it is a link now"
called "systemctl reload nightlatch.service"

begin "a credential is encrypted, and the service restarted" "$CREDENTIALS"
certbot 1 || { cat "$T/said"; fail "it failed"; }
cmp -s "$T/etc/tls/fullchain.pem" "$T/leaf1/fullchain.pem" || fail "the chain is another"
systemd-creds decrypt --name=tls-key "$T/store/tls-key" - | cmp -s - "$T/leaf1/privkey.pem" || fail "the key is another"
! grep -rq "PRIVATE KEY" "$T/etc/tls" "$T/store" || fail "the key is there in plain"
called "systemctl --no-ask-password try-restart nightlatch.service"
not_called sleep

for open in '{"asks":[{"code":"K7Q2"}],"grants":[]}' '{"asks":[],"grants":[{"code":"K7Q2"}]}' ''; do
    begin "it is restarted once nothing is open: $open" "$CREDENTIALS"
    echo "$open" >"$T/open" && echo 3 >"$T/after"
    certbot 1 || fail "it failed"
    [[ $(grep -c sleep "$T/calls") == 3 ]] || fail "it did not wait until then"
    [[ $(tail -n 1 "$T/calls") == *try-restart* ]] || fail "it was not restarted then"
done

begin "after 15 minutes it is restarted all the same" "$CREDENTIALS"
echo '{"asks":[{"code":"K7Q2"}],"grants":[]}' >"$T/open" && echo 1000 >"$T/after"
certbot 1 || fail "it failed"
[[ $(grep -c '^sleep 10$' "$T/calls") == 90 ]] || fail "it did not wait for 15 minutes"
called "systemctl --no-ask-password try-restart nightlatch.service"
grep -q "restarting all the same" "$T/said" || fail "it does not say so"

for tls in "$FILES" "$CREDENTIALS"; do
    begin "a service that does not run is not started" "$tls"
    rm "$T/active"
    certbot 1 || fail "it failed"
    cmp -s "$T/etc/tls/fullchain.pem" "$T/leaf1/fullchain.pem" || fail "it was not installed"
    not_called systemctl
done

begin "a unit that does not load the credential is said, and nothing changed" "$CREDENTIALS"
sed -i '/tls-key/d' "$T/unit"
! certbot 1 || fail "it was taken"
[[ ! -e $T/etc/tls/fullchain.pem ]] || fail "it was installed"
grep -q "nothing was changed" "$T/said" || fail "it does not say so"
echo ok
