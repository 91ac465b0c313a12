"""What a unit's sandbox lets a program do, told by a program inside: tests/systemd/run.sh starts it in the place of the unit's
own, by a drop-in that changes ExecStart= and Type= and nothing else. Each line is a name, a blank, and what was found.

    probe.py PATH…      PATH: something of another unit's, to be read
"""

import errno
import mmap
import os
import re
import resource
import socket
import subprocess
import sys

STATE = os.environ["STATE_DIRECTORY"]


def attempt(action):
    """"done", or the name of the error."""
    try:
        action()
        return "done"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def write(directory):
    path = os.path.join(directory, f"probe-{os.getpid()}")
    with open(path, "w") as file:
        file.write("x")
    os.remove(path)


def writable_mounts():
    """Mounts that are not read-only and hold files, and in which some directory takes a file."""
    found = set()
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields = line.split()
            path, options, kind = fields[4], fields[5], fields[fields.index("-") + 1]
            if "rw" in options.split(",") and kind not in ("proc", "sysfs", "cgroup2", "devpts", "mqueue"):
                found.add(path)
    return {path for path in found if os.path.isdir(path) and attempt(lambda: write(path)) == "done"}


def readable(path):
    """The files at or below a path that can be read."""
    found = [path] if os.path.isfile(path) else []
    for directory, _, names in os.walk(path):
        found += [os.path.join(directory, name) for name in names]
    return [one for one in found if attempt(lambda: open(one, "rb").close()) == "done"]


def run_written():
    path = os.path.join(STATE, "program")
    try:
        with open(path, "w") as file:
            file.write("#!/bin/sh\n")
        os.chmod(path, 0o700)
        subprocess.run([path])
    finally:
        os.remove(path)


def set_group_id():
    path = os.path.join(STATE, "marked")
    try:
        with open(path, "w"):
            os.chmod(path, 0o2600)
    finally:
        os.remove(path)


def status(name):
    with open("/proc/self/status") as file:
        return re.search(rf"^{name}:\s*(.*)$", file.read(), re.MULTILINE)[1]


def other_processes():
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (os.getpid(), os.getppid()):
            found.add(name)
    return found


def tell(name, *found):
    print(name, ",".join(str(one) for one in found) or "none")


with open("/proc/self/net/dev") as file:
    tell("interfaces", *sorted(line.split(":")[0].strip() for line in file if ":" in line))
for name in ("INET", "INET6", "NETLINK", "PACKET", "UNIX"):
    tell(f"socket-{name.lower()}", attempt(lambda: socket.socket(getattr(socket, f"AF_{name}"), socket.SOCK_RAW if name in (
        "NETLINK", "PACKET") else socket.SOCK_STREAM).close()))

own = os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere")
tell("credentials", *sorted(os.listdir(own)))
tell("credentials-of-others", *(path for path in readable("/run/credentials") if not path.startswith(own + "/")))
tell("encrypted-credentials", *readable("/etc/credstore.encrypted"), *readable("/etc/credstore"))
for path in sys.argv[1:]:
    tell(f"read:{path}", *readable(path))

tell("writable-mounts", *sorted(writable_mounts()))
# Directories in which every user may write.
for path in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/srv/everybody"):
    tell(f"write:{path}", attempt(lambda: write(path)) if os.path.isdir(path) else "ENOENT")
tell("run-written", attempt(run_written))

tell("core-limit", *resource.getrlimit(resource.RLIMIT_CORE))
tell("capabilities", status("CapEff"), status("CapBnd"))
tell("no-new-privileges", status("NoNewPrivs"))
# It needs no privilege, so that what refuses it is the filter.
tell("filtered-call", attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, 5)))
unshared = subprocess.run(["unshare", "--user", "true"], capture_output=True)
tell("new-namespace", "done" if unshared.returncode == 0 else "refused")
tell("writable-code", attempt(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)))
tell("set-group-id", attempt(set_group_id))
tell("other-processes", *sorted(other_processes())[:3])
tell("homes", attempt(lambda: os.listdir("/root")), attempt(lambda: os.listdir("/home")))
tell("devices", *sorted(name for name in os.listdir("/dev") if not os.path.isdir(f"/dev/{name}")))
