#!/usr/bin/env python3
"""Writes the seeds of fuzz/corpus that are made by hand: one file for each thing worth beginning with.

The rest of the corpus was found by fuzzing, and made small by `cargo fuzz cmin`.
"""

import pathlib

HERE = pathlib.Path(__file__).parent
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def vector(name):
    lines = (HERE / "../tests/vectors" / name).read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def write(target, name, data):
    directory = HERE / "corpus" / target
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)


def some(data):
    """As the scripts of request_path take bytes: a count, and the bytes."""
    assert len(data) < 256
    return bytes([len(data)]) + data


def raw(data):
    return b"".join(bytes([0]) + some(data[at : at + 200]) for at in range(0, len(data), 200))


def frame(kind, flags, stream, payload):
    return bytes([1, kind, flags, stream]) + some(payload)


# The first byte: 1 allows; 2, 4, 6 is the address; 8 leaves out the preface.
ASK, ALLOW, OTHER, OUTSIDE, BARE = 0, 1, 4, 6, 8
UNSEAL, CUT, MESSAGE, SEAL, CLAIM, PATH, RESET, WAIT, APPROVE = 2, 3, 4, 5, 6, 7, 8, 9, 10

REQUEST_PATH = {
    "unseal-allowed": [ALLOW, UNSEAL, WAIT, 10],
    "unseal-asked": [ASK, UNSEAL, WAIT, 200],
    "unseal-approved": [ASK, UNSEAL, WAIT, 2, APPROVE, WAIT, 20, UNSEAL, UNSEAL],
    "unseal-other-address": [OTHER | ALLOW, UNSEAL, APPROVE],
    "unseal-outside": [OUTSIDE | ALLOW, UNSEAL, APPROVE],
    "unseal-taken-back": [ASK, UNSEAL, RESET, 1, APPROVE, UNSEAL, RESET, 3],
    "unseal-by-eleven": [ALLOW] + [UNSEAL] * 11,
    "blob-cut": [ALLOW, CUT, 120, *some(b"x" * 82), CUT, 201, 0, CUT, 202, *some(b"y")],
    "message-not-protobuf": [ALLOW, MESSAGE, *some(b"\x0a\xff\xff\xff\xff\x0f"), MESSAGE, *some(b"")],
    "seal-refused": [ALLOW, SEAL, *some(bytes(32))],
    "claims": [ALLOW, CLAIM, *some(b""), CLAIM, *some(b"4C4C4544-0042-3510-8051-B4C04F4E3632"), CLAIM, *some(b"a b")],
    "paths": [ALLOW, PATH, *some(b"/sidero.kms.KMSService/Other"), PATH, *some(b"*"), PATH, *some(b"/")],
}
HTTP2 = {
    "settings": [bytes([ASK]), frame(4, 0, 0, bytes([0, 4, 0, 0, 0, 0])), frame(4, 1, 0, b"")],
    "ping-priority-window": [bytes([ASK]), frame(6, 0, 0, bytes(8)), frame(2, 0, 3, bytes(5)), frame(8, 0, 0, bytes([0, 0, 0, 1]))],
    "continuations": [bytes([ASK]), frame(1, 0, 1, b"\x83"), frame(9, 0, 1, b"\x86"), frame(9, 4, 1, b"\x84")],
    "data-without-end": [bytes([ALLOW]), frame(1, 4, 1, b"\x83\x86\x84"), frame(0, 0, 1, b""), frame(0, 0, 1, bytes(5))],
    "goaway": [bytes([ASK, UNSEAL]), frame(7, 0, 0, bytes(8))],
    "push": [bytes([ASK]), frame(5, 4, 1, bytes([0, 0, 0, 2]))],
    "padding-lies": [bytes([ASK]), frame(1, 12, 1, b"\xff\x83\x86\x84")],
    "header-table": [bytes([ASK]), frame(1, 5, 1, b"\x40\x01x\x7fy" + b"y" * 126 + b"\xbe" * 90)],
    "http1": [bytes([BARE]), raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
    "tls": [bytes([BARE]), raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")],
    "preface-in-parts": [bytes([BARE]), raw(PREFACE[:5]), bytes([WAIT, 200]), raw(PREFACE[5:])],
    "frame-of-16-mib": [bytes([ASK]), raw(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01x")],
}


STATE = (
    b'{"refusals":[{"node":"12345678-9abc-4def-8123-456789abcdef","origin":null,"kind":"block","by":"alice","channel":"cli",'
    b'"at":1800000000000,"until":1800086400000},{"node":"n1","origin":{"kind":"other-address","network":"192.0.2.12/32"},'
    b'"kind":"denial","by":"alice","channel":"cli","at":1800000000000,"until":1800003600000}],"approvals":[{"node":"n1",'
    b'"origin":{"kind":"per-address","network":"2001:db8::/64"},"by":"alice","at":1800000000000}]}'
)
STATE_2 = STATE[:-1] + (
    b',"lock":{"by":{"kind":"person","approver":"alice","channel":"cli"},"at":1800000000000},"grants":[{"id":'
    b'"a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7","code":1234,"node":"n1","entry":"01010101010101010101010101010101","origin":'
    b'{"kind":"listed"},"votes":[{"approver":"alice","channel":"cli","uid":1000,"telegram_id":null},{"approver":"bob","channel":'
    b'"telegram","uid":null,"telegram_id":101}],"at":1800000000000,"until":1800001800000,"uses_left":8}],"nodes":[{"uuid":"n4",'
    b'"name":"new-n4","cluster":"home","addresses":["192.0.2.14/32","2001:db8::/64"],"formerly":["old"],"by":"alice","channel":"cli",'
    b'"at":1800000000000}]}'
)
STATE_2_LOCKED = b'{"refusals":[],"approvals":[],"lock":{"by":{"kind":"older-state"},"at":0},"grants":[],"nodes":[]}'
RECORD = b'{"seq":7,"time":"2026-11-23T07:40:08.123Z","event":"state-saved","generation":3}\n'
# The first byte says whether the whole file is seen.
AUDIT = {
    "whole": b"\x01" + RECORD,
    "part": b"\x00" + RECORD[20:] + RECORD,
    "torn": b"\x01" + RECORD + RECORD[:30],
    "newer-event": b"\x01" + RECORD.replace(b"state-saved", b"something-new"),
}


def field(number, value):
    """One field of protobuf: bytes, text, or a number."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    value = value.encode() if isinstance(value, str) else value
    assert number < 16 and len(value) < 16384
    length = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
    return bytes([number << 3 | 2]) + length + value


def script(*steps):
    """As bot_session takes them: numbers, and messages as a count of four bytes and the bytes, filled with an empty field."""
    return b"".join(bytes([step]) if isinstance(step, int) else padded(step) for step in steps)


def padded(message):
    """Filled up to a multiple of four: field 15 is one that no message has."""
    missing = -len(message) % 4
    filled = message + [b"", field(15, b"xxx"), field(15, b""), field(15, b"x")][missing]
    assert len(filled) % 4 == 0
    return bytes([len(filled) // 4]) + filled


CONNECTED, EVENT, LOST, UPDATES, PRESS, STRANGER, WAIT_BOT, TELEGRAM, VOTED, SAID = 0, 1, 3, 4, 5, 6, 7, 8, 9, 10
FAIL_AWAY, FAIL_ARRIVED, FAIL_CLOSED, FAIL_MIGRATED, WORKS = 1, 136, 3, 4, 0
NODE = field(1, "uuid-1") + field(2, "cp-1") + field(3, "home")
TOLD_ASK = field(1, b"i" * 16) + field(2, "K7Q2") + field(3, 2) + field(4, NODE) + field(5, "192.0.2.11") + field(6, 1)


def told(warnings=b"", attempts=1):
    return TOLD_ASK + field(10, attempts) + (field(12, warnings) if warnings else b"")


SNAPSHOT = field(1, "one") + field(2, "0.1.0")
OPENED = field(2, told())


def bot_session():
    begin = (CONNECTED, SNAPSHOT, EVENT, OPENED)
    worse = field(3, told(bytes([2]), 2))
    closed = field(4, field(1, told()) + field(2, 1) + field(3, "alice"))
    counted = field(1, 2) + field(2, told())
    return {
        "asked-and-pressed": script(*begin, PRESS, 0, VOTED, counted, EVENT, closed, WAIT_BOT, 200),
        "worse-before-the-press": script(*begin, TELEGRAM, FAIL_AWAY, EVENT, worse, PRESS, 0, TELEGRAM, WORKS, WAIT_BOT, 60, PRESS, 0),
        "arrived-although-it-failed": script(CONNECTED, SNAPSHOT, TELEGRAM, FAIL_ARRIVED, EVENT, OPENED, PRESS, 0, WAIT_BOT, 60, PRESS, 8),
        "a-stranger-presses": script(*begin, STRANGER, 66, 0, STRANGER, 66, 4),
        "nobody-answers": script(*begin, WAIT_BOT, 250, WAIT_BOT, 250, TELEGRAM, FAIL_CLOSED, WAIT_BOT, 250, EVENT, closed),
        "server-gone-and-back": script(*begin, LOST, PRESS, 0, WAIT_BOT, 20, CONNECTED, SNAPSHOT + field(3, told())),
        "group-moved": script(*begin, TELEGRAM, FAIL_MIGRATED, WAIT_BOT, 30, TELEGRAM, WORKS, WAIT_BOT, 30, PRESS, 4),
        "commands": script(*begin, *(part for text in COMMANDS for part in (SAID, len(text) // 4, *text))),
    }


COMMANDS = [b"/pending", b"/status ", b"/nodes  ", b"/history", b"/block cp-1 2h  ", b"/unblock cp-1   ", b"/start  "]
UPDATE = (
    b'{"ok":true,"result":[{"update_id":1,"callback_query":{"id":"7","from":{"id":101,"is_bot":false},"data":"1aAAAAAAAAAAAAAAAAAAAAAA",'
    b'"message":{"message_id":2,"chat":{"id":101,"type":"private"}}}},{"update_id":2,"message":{"chat":{"id":-5,"type":"group"},'
    b'"from":{"id":101},"text":"/pending"}},{"update_id":3,"message":{"chat":{"id":-5,"type":"group"},"migrate_to_chat_id":-1005}}]}'
)
KEPT = (
    b'{"version":1,"installation":"one","migrated":[{"from":-1,"to":-1001}],"prompts":[{"ask":"69696969696969696969696969696969",'
    b'"chat":1,"message":2,"nonce":"AAAAAAAAAAAAAAAAAAAAAA","code":"K7Q2","operation":"unseal","node":{"uuid":"uuid-1",'
    b'"name":"cp-1","cluster":"home"},"address":"192.0.2.11","opened_at_ms":0}]}'
)

KEY_RECORD = (
    b'{"version":1,"keys":[{"id":"0101010101010101","source":"credential","name":"first","made_at":1795419608123,'
    b'"golden_blob":"iU5MQVRDSA==","backup":{"verified_at":1795423208123,"by":"read","place":"/media/stick/key"}},'
    b'{"id":"0202020202020202","source":"passphrase","name":"typed","made_at":null,"golden_blob":"iU5MQVRDSA==",'
    b'"backup":null}]}\n'
)


SMBIOS1 = b"smbios1: uuid=0d6f1a52-7c1e-4b57-9a3b-52f1c3b7e901"
# Files of virtual machines, with a byte of zeros between them.
PROXMOX = {
    "one": b"boot: order=scsi0\nname: web\n" + SMBIOS1 + b",base64=1,manufacturer=UUVNVQ==\n",
    "copies": b"name: web\n" + SMBIOS1 + b"\n\0name: web\n" + SMBIOS1 + b"\n",
    "same-name": b"name: web\n" + SMBIOS1 + b"\n\0name: web\nsmbios1: uuid=5be1c6a0-91d4-4e0c-8f60-0a9d3c47b2d2\n",
    "pending-and-snapshot": b"#a comment%3A x\r\nname: cp-1\r\n" + SMBIOS1 + b"\r\n\r\n[PENDING]\r\ndelete: smbios1\r\n[old]\r\nname: y\r\n",
    "left-out": b"template: 1\n" + SMBIOS1 + b"\n\0name: x\n\0args: -uuid y\n" + SMBIOS1 + b"\n\0smbios1: uuid=00000000-0000-0000-0000-000000000000\n",
    "like-a-code": b"name: k7q2\n" + SMBIOS1 + b"\n",
}


def main():
    for name, data in PROXMOX.items():
        write("proxmox", name, data)
    for name, data in bot_session().items():
        write("bot_session", name, data)
    write("bot_updates", "press-text-move", UPDATE)
    write("bot_updates", "conflict", b'{"ok":false,"error_code":409,"description":"Conflict: terminated by other getUpdates request"}')
    write("bot_updates", "wait", b'{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":17}}')
    write("bot_state", "one-prompt", KEPT)
    write("bot_state", "empty", b'{"version":1,"installation":"","migrated":[],"prompts":[]}')
    for name, steps in REQUEST_PATH.items():
        write("request_path", name, bytes(steps))
    for name, parts in HTTP2.items():
        write("request_path", name, b"".join(parts))
    for path in sorted((HERE / "../tests/vectors").glob("*.txt")):
        fields = vector(path.name)
        keep = path.name.startswith(("good", "multi", "source", "version", "foreign")) or path.stem in ("swapped-data", "trailing-byte")
        if keep and fields.get("blob"):
            write("envelope", path.stem, bytes.fromhex(fields["blob"]))
    write("state", "empty", b'{"refusals":[],"approvals":[]}')
    write("state", "one-of-each", STATE)
    write("state", "empty-2", b'{"refusals":[],"approvals":[],"lock":null,"grants":[],"nodes":[]}')
    write("state", "one-of-each-2", STATE_2)
    write("state", "locked-2", STATE_2_LOCKED)
    write("key_record", "empty", b'{"version":1,"keys":[]}')
    write("key_record", "one-of-each", KEY_RECORD)
    for name, lines in AUDIT.items():
        write("audit_tail", name, lines)
    write("config", "commented", (HERE / "../systemd/nightlatch.toml").read_bytes())
    write("config", "every-key", every_key())


def every_key():
    """The commented configuration with every key set."""
    lines = (HERE / "../systemd/nightlatch.toml").read_text().splitlines()
    return "\n".join(line[1:] if line[:1] == "#" and line[1:2] not in (" ", "") else line for line in lines).encode()


if __name__ == "__main__":
    main()
