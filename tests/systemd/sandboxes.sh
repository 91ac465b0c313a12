# The groups of assertions.sh, which sources this, about what a unit lets its program do, and what systemd itself thinks of it.
# shellcheck shell=bash

# --- server_sandbox, bot_sandbox: what a program in the unit's place can do

# probe UNIT: by a drop-in that changes what is started and when it is ready, and nothing else. Its findings: $directory/probe.
probe() {
    # It stays "active", so that no socket starts it again.
    inside install -D -m 644 /dev/stdin "/run/systemd/system/$1.service.d/probe.conf" <<END
[Service]
Type=oneshot
RemainAfterExit=yes
Restart=no
ExecStart=
ExecStart=/usr/bin/python3 -I -B /srv/share/probe.py /var/lib/nightlatch /var/lib/nightlatch-bot /etc/nightlatch/tls
StandardOutput=truncate:/run/probe
END
    manage daemon-reload
    manage restart "$1.service"
    inside cat /run/probe >"$directory/probe" || true
    inside rm -f "/run/systemd/system/$1.service.d/probe.conf" /run/probe
    manage daemon-reload
    manage stop "$1.service"
}

# found NAME VALUE: what the probe found; VALUE is a regular expression for all of it.
found() {
    if grep -Exq -- "$1 $2" "$directory/probe"; then
        return
    fi
    echo "   found: $(grep -F -- "$1 " "$directory/probe" || echo "nothing about $1")"
    return 1
}

server_sandbox() {
    local process
    manage start nightlatch-bot.service
    probe nightlatch
    check "it sees no network but lo" found interfaces lo
    check "it can open no INET socket" found_each 'EAFNOSUPPORT' socket-inet socket-inet6
    check "it can open no other socket but AF_UNIX" found_each 'EAFNOSUPPORT|EPERM' socket-netlink socket-packet
    check "it has the credential that is its own, and no other" found credentials nightlatch-key
    check "it can read no credential of another unit" found credentials-of-others none
    check "it can read nothing of the bot's" found read:/var/lib/nightlatch-bot none
    check "it can write nowhere but into its state" found writable-mounts /run/nightlatch/server,/var/lib/nightlatch
    check "it can write into no directory of everybody's" found_each 'EROFS|EACCES' \
        write:/tmp write:/var/tmp write:/dev/shm write:/run/lock write:/srv/everybody
    check "it can run nothing that it wrote" found run-written EACCES
    common_sandbox
    check "it may lock all its memory" is nightlatch.service LimitMEMLOCK infinity
    check "it is kept out of swap" is nightlatch.service MemorySwapMax 0
    start_all
    # The program itself, and not one in its place.
    process=$(property nightlatch.service MainPID)
    check "the process that serves has its own network" not same_namespace net "$process" 1
    check "the process that serves has no capability" process_status "$process" CapEff 0000000000000000
    check "the process that serves is filtered" process_status "$process" Seccomp 2
}

bot_sandbox() {
    manage start nightlatch.service
    probe nightlatch-bot
    check "it can open INET sockets" found_each 'done' socket-inet socket-inet6
    check "it can open no other socket but AF_UNIX" found_each 'EAFNOSUPPORT|EPERM' socket-netlink socket-packet
    check "it has the credential that is its own, and no other" found credentials telegram-token
    check "it can read no credential of another unit" found credentials-of-others none
    check "it can read nothing of the server's" found_each none read:/var/lib/nightlatch read:/etc/nightlatch/tls
    check "it can write nowhere but into its state" found writable-mounts /var/lib/nightlatch-bot
    check "it can write into no directory of everybody's" found_each 'EROFS|EACCES' \
        write:/tmp write:/var/tmp write:/dev/shm write:/run/lock write:/srv/everybody
    check "it can run nothing that it wrote" found run-written EACCES
    common_sandbox
    check "it is kept out of swap" is nightlatch-bot.service MemorySwapMax 0
    start_all
}

common_sandbox() {
    check "it can read no encrypted credential" found encrypted-credentials none
    check "it leaves no core dump" found core-limit 0,0
    check "it has no capability" found capabilities 0000000000000000,0000000000000000
    check "it gets no privilege by what it starts" found no-new-privileges 1
    check "it can make no call that is filtered" found filtered-call EPERM
    check "it can make no namespace" found new-namespace refused
    check "it can make no memory that is written and run" found writable-code EPERM
    check "it can set no file's set-group-id" found set-group-id EPERM
    check "it sees no processes of others" found other-processes none
    check "it sees no homes" found homes 'EACCES,EACCES'
    check "it sees no devices" found devices 'full,(log,)?null,ptmx,random,stderr,stdin,stdout,tty,urandom,zero'
}

found_each() {
    local name
    for name in "${@:2}"; do
        found "$name" "$1" || return
    done
}

same_namespace() {
    [[ $(inside readlink "/proc/$2/ns/$1") == "$(inside readlink "/proc/$3/ns/$1")" ]]
}

process_status() {
    inside grep -Pq "^$2:\t$3$" "/proc/$1/status"
}

# --- units: what systemd itself thinks of them

units() {
    check "systemd-analyze verify is silent" verified
    check "the server is exposed by 0.5 at the most" exposed nightlatch.service 5
    check "the bot is exposed by 1.2 at the most" exposed nightlatch-bot.service 12
}

verified() {
    local said
    said=$(inside bash -c 'systemd-analyze verify --recursive-errors=no /usr/lib/systemd/system/nightlatch*' 2>&1) || true
    # Remarks about the units of the machine itself are not about these.
    if grep nightlatch <<<"$said"; then
        return 1
    fi
}

exposed() {
    inside systemd-analyze security --no-pager --threshold="$2" "$1" >"$directory/exposure" && return
    tail -n 1 "$directory/exposure"
    return 1
}
