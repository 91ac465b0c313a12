#!/usr/bin/env python3
"""Writes the vectors of docs/spec/sealed-blob.md from that page alone, without any code of nightlatch.

Needs `cryptography` (HKDF, ChaCha20-Poly1305), `pynacl` (XChaCha20-Poly1305) and `argon2-cffi` (Argon2id). The tests read the
files and do not run this.
"""

import pathlib
import re
import struct
from functools import cache
from ipaddress import ip_address

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as xchacha_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt as xchacha_encrypt,
)

MAGIC = b"\x89NLATCH"
PROTOCOL = b"sidero.kms"
KEY = bytes(range(0x00, 0x20))
OTHER_KEY = bytes(range(0x20, 0x40))
DEK = bytes(range(0x40, 0x60))
NONCE = bytes(range(0x60, 0x78))
SECRET = bytes(range(0x80, 0xA0))
CP_1 = "4c4c4544-0042-3510-8051-b4c04f4e3632"
WORKER_2 = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"

PASSPHRASE = "h3kqt-0w8zn-5m2xr-vb7cy"
SALT = bytes(range(0xE0, 0xF0))
# Memory in KiB, passes, lanes. Small ones: no vector is there to be guessed.
SMALL = (32, 1, 1)
DEFAULTS = (65_536, 3, 1)

# Where each field begins: source 1, and source 2.
FIELDS = {
    "magic": 0, "version": 7, "source": 8, "flags": 9, "key-id": 10, "wrap-nonce": 18, "kek-commitment": 42,
    "wrapped-dek": 74, "wrapped-dek-tag": 106, "dek-commitment": 122, "data": 154, "data-tag": 186, "end": 202,
}
PASSPHRASE_FIELDS = {
    "source": 8, "flags": 9, "key-id": 10, "memory": 18, "passes": 22, "lanes": 23, "salt": 24, "wrap-nonce": 40,
    "kek-commitment": 64, "wrapped-dek": 96, "wrapped-dek-tag": 128, "dek-commitment": 144, "data": 176, "data-tag": 208,
    "end": 224,
}


def lp(x):
    return bytes([len(x)]) + x


def hkdf(key, info, length=32):
    return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(key)


def canonical(claim):
    hyphenated = "[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}"
    spellings = f"({hyphenated})|([0-9A-F]{{32}})|\\{{({hyphenated})\\}}|urn:uuid:({hyphenated})"
    match = re.fullmatch(spellings, claim, re.ASCII | re.IGNORECASE)
    if match is None:
        return claim.encode()
    digits = match[match.lastindex].replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).encode()


def packed(address):
    if address is None:
        return b""
    parsed = ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).packed


def context(node, address=None, protocol=PROTOCOL):
    return lp(protocol) + lp(canonical(node)) + lp(packed(address))


def key_id(key):
    return hkdf(key, lp(b"nightlatch credential 1: key id"), 8)


def kek(key, node, protocol=PROTOCOL):
    return hkdf(key, lp(b"nightlatch credential 1: KEK") + lp(protocol) + lp(canonical(node)))


@cache
def argon2id(passphrase, salt, parameters):
    memory, passes, lanes = parameters
    return hash_secret_raw(passphrase.encode(), salt, passes, memory, lanes, 32, Type.ID, 0x13)


def passphrase_key_id(passphrase, salt, parameters):
    label = lp(b"nightlatch passphrase 1: key id")
    return hkdf(argon2id(passphrase, label + salt, parameters), label, 8)


def passphrase_kek(passphrase, salt, parameters, node, protocol=PROTOCOL):
    whose = lp(protocol) + lp(canonical(node))
    node_key = argon2id(passphrase, lp(b"nightlatch passphrase 1: node key") + salt + whose, parameters)
    return hkdf(node_key, lp(b"nightlatch passphrase 1: KEK") + whose)


def encryption_key(key, which):
    return hkdf(key, lp(b"nightlatch sealed blob 1: " + which + b" encryption key"))


def commitment(key, which):
    return hkdf(key, lp(b"nightlatch sealed blob 1: " + which + b" commitment"))


def seal(secret=SECRET, key=KEY, node=CP_1, address=None, dek=DEK, nonce=NONCE, protocol=PROTOCOL, **forged):
    """Seals; `forged` replaces fields, as somebody who has the key could."""
    return sealed_under(kek(key, node, protocol), 1, key_id(key), b"", secret, node, address, dek, nonce, protocol, **forged)


def stretched(parameters, salt):
    memory, passes, lanes = parameters
    return struct.pack(">IBB", memory, passes, lanes) + salt


def seal_stretched(secret=SECRET, passphrase=PASSPHRASE, salt=SALT, parameters=SMALL, node=CP_1, address=None, dek=DEK,
                   nonce=NONCE, protocol=PROTOCOL, **forged):
    """Seals under a passphrase. What `forged` says of salt and parameters stands in the blob and is not what was used."""
    node_kek = passphrase_kek(passphrase, salt, parameters, node, protocol)
    header = forged.get("stretched", stretched(parameters, salt))
    name = passphrase_key_id(passphrase, salt, parameters)
    return sealed_under(node_kek, 2, name, header, secret, node, address, dek, nonce, protocol, **forged)


def sealed_under(node_kek, number, name, header, secret, node, address, dek, nonce, protocol, **forged):
    bound = context(node, address, protocol)
    blob = forged.get("magic", MAGIC) + bytes([forged.get("version", 1), forged.get("source", number)])
    blob += bytes([forged.get("flags", 0 if address is None else 1)])
    blob += forged.get("key_id", name) + header + nonce
    blob += forged.get("kek_commitment", commitment(node_kek, b"KEK"))
    wrapped = xchacha_encrypt(dek, bound + blob, nonce, encryption_key(node_kek, b"KEK"))
    blob += forged.get("wrapped_dek", wrapped)
    blob += forged.get("dek_commitment", commitment(dek, b"DEK"))
    data = ChaCha20Poly1305(encryption_key(dek, b"DEK")).encrypt(bytes(12), secret, bound + blob)
    return blob + forged.get("data", data)


# Ciphertexts that are authentic under two keys. Poly1305 is a polynomial over two secrets that who has the keys knows,
# so a tag that fits both is the solution of two linear equations in the two blocks of a 32-byte ciphertext.

P = 2**130 - 5


def hchacha20(key, nonce):
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for shift in range(4):
            quarter(shift, 4 + (shift + 1) % 4, 8 + (shift + 2) % 4, 12 + (shift + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def keystream(key, nonce, length):
    """Block 0 keys Poly1305, the message begins at block 1."""
    return Cipher(algorithms.ChaCha20(key, bytes(4) + nonce), None).encryptor().update(bytes(length))


def two_keys(streams, associated):
    """A 32-byte ciphertext and its tag, authentic under both of two (one-time key) streams and associated data."""
    equations = []
    for stream, data in zip(streams, associated):
        r = int.from_bytes(stream[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
        s = int.from_bytes(stream[16:32], "little")
        head = 0
        padded = data + bytes(-len(data) % 16)
        for at in range(0, len(padded), 16):
            head = (head + int.from_bytes(padded[at:at + 16], "little") + 2**128) * r % P
        lengths = int.from_bytes(struct.pack("<QQ", len(data), 32), "little") + 2**128
        # h = r^3 (head + c0 + 2^128) + r^2 (c1 + 2^128) + r lengths
        constant = (pow(r, 3, P) * (head + 2**128) + r * r * 2**128 + r * lengths) % P
        equations.append((pow(r, 3, P), r * r % P, constant, s))
    (a, b, e, s), (c, d, f, t) = equations
    inverse = pow((a * d - b * c) % P, -1, P)
    for attempt in range(10_000):
        tag = int.from_bytes(hkdf(KEY, b"tag %d" % attempt, 16), "little")
        for i in range(4):
            for j in range(4):
                x = ((tag - s) % 2**128 + i * 2**128 - e) % P
                y = ((tag - t) % 2**128 + j * 2**128 - f) % P
                c0, c1 = (d * x - b * y) * inverse % P, (a * y - c * x) * inverse % P
                if c0 < 2**128 and c1 < 2**128:
                    return b"".join(part.to_bytes(16, "little") for part in (c0, c1, tag))
    raise AssertionError("no solution")


def authentic_under_two_keks():
    """Sealed for cp-1; the wrapped DEK, without its commitment, is as authentic for worker-2."""
    header = seal()[:FIELDS["wrapped-dek"]]
    keys = [encryption_key(kek(KEY, node), b"KEK") for node in (CP_1, WORKER_2)]
    streams = [keystream(hchacha20(key, NONCE[:16]), bytes(4) + NONCE[16:], 96) for key in keys]
    associated = [context(node) + header for node in (CP_1, WORKER_2)]
    wrapped = two_keys(streams, associated)
    deks = [xchacha_decrypt(wrapped, data, NONCE, key) for data, key in zip(associated, keys)]
    assert deks[0] != deks[1]
    blob = seal(dek=deks[0])
    assert blob[FIELDS["wrapped-dek"]:FIELDS["dek-commitment"]] == wrapped
    return deks[0], blob


def authentic_under_two_deks():
    """The data is authentic under the DEK that is wrapped and under the one that the blob commits to."""
    other = bytes(range(0xC0, 0xE0))
    header = seal(dek_commitment=commitment(other, b"DEK"))[:FIELDS["data"]]
    keys = [encryption_key(dek, b"DEK") for dek in (DEK, other)]
    data = two_keys([keystream(key, bytes(12), 96) for key in keys], [context(CP_1) + header] * 2)
    secrets = [ChaCha20Poly1305(key).decrypt(bytes(12), data, context(CP_1) + header) for key in keys]
    assert secrets[0] != secrets[1]
    return header + data


def flip(blob, at):
    return blob[:at] + bytes([blob[at] ^ 0x01]) + blob[at + 1:]


def vectors():
    """Yields (name, expect, why, fields)."""
    good = seal()
    sealing = {"dek": DEK, "nonce": NONCE}

    def opened(name, why, blob, secret=SECRET, **fields):
        return name, "success", why, {**fields, "secret": secret, **sealing, "blob": blob}

    yield opened("good", "the 32 bytes of a Talos disk key", good)
    yield opened("good-one-byte", "the shortest secret", seal(b"\x5a"), b"\x5a")
    longest = bytes(i % 251 for i in range(512))
    yield opened("good-longest", "the longest secret, 512 bytes", seal(longest), longest)
    yield opened("good-other-key", "another key", seal(key=OTHER_KEY), key=OTHER_KEY)
    for name, claim in {
        "upper-case": CP_1.upper(), "no-hyphens": CP_1.replace("-", ""), "braces": "{" + CP_1 + "}",
        "urn": "urn:uuid:" + CP_1, "urn-upper-case": "URN:UUID:" + CP_1.upper(),
        "urn-mixed-case": "Urn:Uuid:" + CP_1.replace("4c4c", "4C4c"), "no-hyphens-upper-case": CP_1.replace("-", "").upper(),
        "braces-upper-case": "{" + CP_1.upper() + "}",
    }.items():
        yield opened(f"good-uuid-{name}", "every spelling of a UUID is one node", good, node=claim)
    upper = CP_1.upper()
    simple = upper.replace("-", "")
    for name, claim in {
        "hyphen-misplaced": "4C4C454-40042-3510-8051-B4C04F4E3632", "hyphen-missing": upper[:23] + upper[24:],
        "hyphen-added": upper[:30] + "-" + upper[30:], "not-hexadecimal": upper[:-1] + "G", "digit-missing": upper[:-1],
        "digit-added": upper + "0", "no-hyphens-digit-missing": simple[:-1], "braces-no-hyphens": "{" + simple + "}",
        "brace-not-closed": "{" + upper, "brace-not-opened": upper + "}", "parentheses": "(" + upper + ")",
        "urn-no-hyphens": "urn:uuid:" + simple, "urn-braces": "urn:uuid:{" + upper + "}", "braces-urn": "{urn:uuid:" + upper + "}",
        "urn-missing": "uuid:" + upper,
    }.items():
        yield opened(f"stays-raw-{name}", "resembles a UUID, and stays as it is", seal(node=claim), node=claim)
        yield (f"stays-raw-{name}-other-node", "kek-commitment", "resembles the UUID that it was sealed for",
               {"node": claim, "blob": good})
    name = "Rack2-Shelf3"
    yield opened("good-not-a-uuid", "an identifier that is no UUID stays as it is", seal(node=name), node=name)
    long = "x" * 64
    yield opened("good-longest-identifier", "an identifier of 64 bytes", seal(node=long), node=long)
    for name, sealed, seen in (
        ("ipv4", "192.0.2.11", "192.0.2.11"), ("ipv6", "2001:db8::11", "2001:db8::11"),
        ("ipv4-mapped", "192.0.2.11", "::ffff:192.0.2.11"),
    ):
        yield opened(f"good-bound-{name}", "opened from the address that it is bound to", seal(address=sealed), address=seen)
    yield opened("good-unbound-any-address", "the address does not matter to a blob that is not bound", good,
                 address="198.51.100.7")
    dek, blob = authentic_under_two_keks()
    yield ("multi-key-kek-own", "success", "the other half of multi-key-kek: for cp-1 it is an ordinary blob",
           {"secret": SECRET, "dek": dek, "nonce": NONCE, "blob": blob})
    yield ("multi-key-kek", "kek-commitment", "the wrapped DEK is authentic for worker-2 too; only the commitment tells",
           {"node": WORKER_2, "blob": blob})
    yield ("multi-key-dek", "dek-commitment", "the data is authentic under two DEKs; the blob commits to the one that is not wrapped",
           {"blob": authentic_under_two_deks()})
    yield ("formerly", "success", "the second identifier is the one that it was sealed for",
           {"node": [WORKER_2, CP_1], "secret": SECRET, "blob": good})

    # Somebody else's.
    yield "other-node", "kek-commitment", "sealed for cp-1, presented by worker-2", {"node": WORKER_2, "blob": good}
    yield ("other-protocol", "kek-commitment", "sealed for the same identifier under another protocol",
           {"blob": seal(protocol=b"sidero.kms.2")})
    yield ("other-node-case", "kek-commitment", "identifiers that are no UUID differ by case",
           {"node": "rack2-shelf3", "blob": seal(node="Rack2-Shelf3")})
    yield ("other-node-commitment-replaced", "wrapped-dek", "the commitment of worker-2 was written over that of cp-1",
           {"node": WORKER_2, "blob": good[:42] + commitment(kek(KEY, WORKER_2), b"KEK") + good[74:]})
    bound = seal(address="192.0.2.11")
    yield "other-address", "wrapped-dek", "bound, and presented from another address", {"address": "192.0.2.12", "blob": bound}
    yield ("other-address-family", "wrapped-dek", "bound to IPv4, presented from an IPv6 address that ends alike",
           {"address": "::c000:20b", "blob": bound})
    yield "no-address", "address-missing", "bound, and opened without an address", {"blob": bound}
    yield ("flag-taken-off", "wrapped-dek", "bound, with the flag set to zero",
           {"address": "192.0.2.11", "blob": bound[:9] + b"\x00" + bound[10:]})
    yield ("flag-put-on", "wrapped-dek", "not bound, with the flag set to one",
           {"address": "192.0.2.11", "blob": good[:9] + b"\x01" + good[10:]})
    yield "unknown-key", "unknown-key", "sealed under a key that is not the one at hand", {"key": OTHER_KEY, "blob": good}
    yield ("key-id-of-another-key", "kek-commitment", "sealed under one key, with the key id of another",
           {"key": OTHER_KEY, "blob": good[:10] + key_id(OTHER_KEY) + good[18:]})
    swapped = seal(secret=bytes(32), dek=bytes(range(0xA0, 0xC0)), nonce=bytes(range(24)))
    yield ("swapped-data", "data", "the data of another blob of the same node", {"blob": good[:154] + swapped[154:]})
    yield ("swapped-wrapped-dek", "wrapped-dek", "the wrapped DEK of another blob of the same node",
           {"blob": good[:74] + swapped[74:122] + good[122:]})
    yield ("swapped-tail", "wrapped-dek", "everything from the wrapped DEK on from another blob of the same node",
           {"blob": good[:74] + swapped[74:]})

    # Made by somebody who has the key, so that one check alone can refuse it.
    yield ("forged-kek-commitment", "kek-commitment", "all is authentic, but the KEK commitment is that of no KEK",
           {"blob": seal(kek_commitment=bytes(32))})
    yield ("forged-dek-commitment", "dek-commitment", "all is authentic, but the DEK commitment is that of no DEK",
           {"blob": seal(dek_commitment=bytes(32))})
    for version in (0, 2, 0xFF):
        yield (f"version-{version}", "version", "all is authentic, but the version is not known", {"blob": seal(version=version)})
    yield ("source-2", "parameters", "all is authentic, but it says that its key is from a passphrase", {"blob": seal(source=2)})
    for source in (0, 3, 0xFF):
        yield (f"source-{source}", "source", "all is authentic, but the source is not known", {"blob": seal(source=source)})
    for flags in (0x02, 0x80, 0x03):
        yield (f"flags-{flags:02x}", "flags", "all is authentic, but a flag is not known", {"blob": seal(flags=flags)})
    yield "empty-secret", "length", "all is authentic, but nothing was sealed", {"blob": seal(b"")}
    yield "secret-too-long", "length", "all is authentic, but 513 bytes were sealed", {"blob": seal(bytes(513))}

    # Damage.
    failures = {
        "magic": "foreign", "version": "version", "source": "source", "flags": "wrapped-dek", "key-id": "unknown-key",
        "wrap-nonce": "wrapped-dek", "kek-commitment": "kek-commitment", "wrapped-dek": "wrapped-dek",
        "wrapped-dek-tag": "wrapped-dek", "dek-commitment": "dek-commitment", "data": "data", "data-tag": "data",
    }
    ends = dict(zip(FIELDS, list(FIELDS.values())[1:]))
    for field, failure in failures.items():
        first, last = FIELDS[field], ends[field] - 1
        address = {"address": "192.0.2.11"} if field == "flags" else {}
        yield f"flip-{field}-first", failure, "the lowest bit of the field's first byte", {**address, "blob": flip(good, first)}
        if last != first:
            yield f"flip-{field}-last", failure, "the lowest bit of the field's last byte", {"blob": flip(good, last)}
    for field, end in ends.items():
        failure = "foreign" if end < 7 else "length" if end < 171 else "data"
        if end < 202:
            yield f"truncated-after-{field}", failure, "ends where the field ends", {"blob": good[:end]}
        yield (f"truncated-within-{field}", "foreign" if end - 1 < 7 else "length" if end - 1 < 171 else "data",
               "ends a byte before the field does", {"blob": good[:end - 1]})
    yield "truncated-to-nothing", "size", "no byte at all", {"blob": b""}
    yield "trailing-byte", "data", "a zero byte after the end", {"blob": good + b"\x00"}
    yield "trailing-newline", "data", "a newline after the end, as a text editor adds", {"blob": good + b"\n"}
    yield "trailing-blob", "data", "the same blob twice", {"blob": good + good}
    yield "leading-byte", "foreign", "a zero byte before the beginning", {"blob": b"\x00" + good}
    yield "oversized-683", "length", "a byte more than the longest blob has", {"blob": good + bytes(683 - len(good))}
    yield "oversized-1024", "length", "as long as any blob may come in", {"blob": good + bytes(1024 - len(good))}
    yield "oversized-1025", "size", "a byte longer than any blob may come in", {"blob": good + bytes(1025 - len(good))}

    # Other key servers for Talos: each field as theirs has it, filled with fixed bytes.
    nonce, tag = bytes(range(0x40, 0x4C)), bytes(range(0x70, 0x80))
    yield ("foreign-nonce-first", "foreign", "60 bytes: nonce, ciphertext, tag (the reference server and others)",
           {"blob": nonce + SECRET + tag})
    yield ("foreign-key-name", "foreign", "64 bytes: 0x01, a key's name with its length, nonce, ciphertext, tag (gustinn/talos-kms)",
           {"blob": b"\x01\x02v1" + nonce + SECRET + tag})
    yield ("foreign-key-tag", "foreign", "64 bytes: a 4-byte key tag, nonce, ciphertext, tag (azath)",
           {"blob": b"\xe0\x1b\x1c\x6f" + nonce + SECRET + tag})
    yield ("foreign-nonce-and-key", "foreign", "44 bytes: nonce and key (talos-kms-sever)", {"blob": nonce + SECRET})
    yield "foreign-vault", "foreign", "the text of Vault Transit", {"blob": b"vault:v1:" + b"QUJD" * 40}
    yield "foreign-jwe", "foreign", "a compact JWE", {"blob": b"eyJhbGciOiJFQ0RILUVTIn0" + b"." * 200}
    yield "foreign-magic-60", "length", "60 bytes whose nonce happens to begin like ours", {"blob": good[:10] + SECRET + nonce[:2] + tag}


def passphrase_vectors():
    """Yields (name, expect, why, fields) of source 2."""
    good = seal_stretched()
    sealing = {"dek": DEK, "nonce": NONCE}

    def reader(passphrase=PASSPHRASE, salt=SALT, parameters=SMALL):
        memory, passes, lanes = parameters
        return {"key": None, "passphrase": passphrase, "salt": salt, "memory": memory, "passes": passes, "lanes": lanes}

    def case(name, expect, why, blob, own=None, **fields):
        return f"passphrase-{name}", expect, why, {**(own or reader()), **fields, "blob": blob}

    def opened(name, why, blob, secret=SECRET, **fields):
        return case(name, "success", why, blob, secret=secret, **sealing, **fields)

    yield opened("good", "the 32 bytes of a Talos disk key, under a passphrase", good)
    yield opened("good-defaults", "with the parameters that are the default", seal_stretched(parameters=DEFAULTS),
                 own=reader(parameters=DEFAULTS))
    for name, parameters in {"lanes": (64, 2, 4), "least": (8, 1, 1), "most-passes-and-lanes": (128, 16, 16)}.items():
        yield opened(f"good-{name}", "other parameters", seal_stretched(parameters=parameters), own=reader(parameters=parameters))
    yield opened("good-one-byte", "the shortest secret", seal_stretched(b"\x5a"), b"\x5a")
    longest = bytes(i % 251 for i in range(512))
    yield opened("good-longest", "the longest secret, 512 bytes", seal_stretched(longest), longest)
    for name, passphrase in {
        "blanks": "two words, and more", "shortest": "x", "longest": "".join(chr(0x21 + i % 94) for i in range(1024)),
    }.items():
        yield opened(f"good-passphrase-{name}", "another passphrase", seal_stretched(passphrase=passphrase),
                     own=reader(passphrase))
    yield opened("good-other-salt", "another installation", seal_stretched(salt=bytes(16)), own=reader(salt=bytes(16)))
    yield opened("good-uuid-upper-case", "every spelling of a UUID is one node", good, node=CP_1.upper())
    name = "Rack2-Shelf3"
    yield opened("good-not-a-uuid", "an identifier that is no UUID stays as it is", seal_stretched(node=name), node=name)
    bound = seal_stretched(address="192.0.2.11")
    yield opened("good-bound", "opened from the address that it is bound to", bound, address="::ffff:192.0.2.11")
    yield case("formerly", "success", "the second identifier is the one that it was sealed for", good,
               node=[WORKER_2, CP_1], secret=SECRET)

    # Somebody else's.
    yield case("other-node", "kek-commitment", "sealed for cp-1, presented by worker-2", good, node=WORKER_2)
    yield case("other-protocol", "kek-commitment", "sealed for the same identifier under another protocol",
               seal_stretched(protocol=b"sidero.kms.2"))
    yield case("other-address", "wrapped-dek", "bound, and presented from another address", bound, address="192.0.2.12")
    yield case("no-address", "address-missing", "bound, and opened without an address", bound)
    yield case("flag-taken-off", "wrapped-dek", "bound, with the flag set to zero", bound[:9] + b"\x00" + bound[10:],
               address="192.0.2.11")
    for name, own in {
        "passphrase": reader("h3kqt-0w8zn-5m2xr-vb7cz"), "passphrase-case": reader(PASSPHRASE.upper()),
        "salt": reader(salt=bytes(16)), "memory": reader(parameters=(40, 1, 1)), "passes": reader(parameters=(32, 2, 1)),
        "lanes": reader(parameters=(32, 1, 2)),
    }.items():
        yield case(f"other-{name}", "unknown-key", f"the reader has another {name.split('-')[0]}, and so another key id", good, own)
    yield case("other-passphrase-same-key-id", "kek-commitment", "the key id of another passphrase was written over its own",
               good[:10] + passphrase_key_id("another", SALT, SMALL) + good[18:], reader("another"))
    # Nobody could make these by accident: the key id is that of other parameters.
    for name, parameters, salt in (
        ("salt", SMALL, bytes(16)), ("memory", (40, 1, 1), SALT), ("passes", (32, 2, 1), SALT), ("lanes", (32, 1, 2), SALT),
    ):
        forged = seal_stretched(salt=salt, parameters=parameters, key_id=passphrase_key_id(PASSPHRASE, SALT, SMALL))
        yield case(f"forged-{name}", "other-parameters", "all is authentic, under the passphrase itself, but for the key id", forged)
    yield case("as-credential", "unknown-key", "all is authentic, but it says that its key is a credential",
               seal_stretched(source=1))
    yield "passphrase-read-with-a-key", "unknown-key", "the reader has a credential only", {"blob": good}
    yield case("of-a-credential", "unknown-key", "the reader has a passphrase only", seal())
    swapped = seal_stretched(secret=bytes(32), dek=bytes(range(0xA0, 0xC0)), nonce=bytes(range(24)))
    yield case("swapped-data", "data", "the data of another blob of the same node", good[:176] + swapped[176:])
    yield case("swapped-tail", "wrapped-dek", "everything from the wrapped DEK on from another blob of the same node",
               good[:96] + swapped[96:])

    # Out of range. Nothing was derived with these.
    for name, parameters in {
        "memory-0": (0, 1, 1), "memory-7": (7, 1, 1), "memory-less-than-lanes-need": (31, 1, 4),
        "memory-1-gib-and-1": (1_048_577, 1, 1), "memory-most": (0xFFFFFFFF, 1, 1), "passes-0": (32, 0, 1), "passes-17": (32, 17, 1), "passes-255": (32, 255, 1),
        "lanes-0": (32, 1, 0), "lanes-17": (1024, 1, 17), "lanes-255": (4096, 1, 255),
    }.items():
        yield case(name, "parameters", "out of range", seal_stretched(stretched=stretched(parameters, SALT)))

    # Damage.
    failures = {
        "source": "source", "flags": "wrapped-dek", "key-id": "unknown-key", "memory": "parameters", "passes": "parameters",
        "lanes": "parameters", "salt": "other-parameters", "wrap-nonce": "wrapped-dek", "kek-commitment": "kek-commitment",
        "wrapped-dek": "wrapped-dek", "wrapped-dek-tag": "wrapped-dek", "dek-commitment": "dek-commitment", "data": "data",
        "data-tag": "data",
    }
    ends = dict(zip(PASSPHRASE_FIELDS, list(PASSPHRASE_FIELDS.values())[1:]))
    for field, failure in failures.items():
        first, last = PASSPHRASE_FIELDS[field], ends[field] - 1
        address = {"address": "192.0.2.11"} if field == "flags" else {}
        yield case(f"flip-{field}-first", failure, "the lowest bit of the field's first byte", flip(good, first), **address)
        if last != first:
            failure = "other-parameters" if field == "memory" else failure
            yield case(f"flip-{field}-last", failure, "the lowest bit of the field's last byte", flip(good, last))
    for field, end in ends.items():
        if end < 224:
            yield case(f"truncated-after-{field}", "length" if end < 193 else "data", "ends where the field ends", good[:end])
        yield case(f"truncated-within-{field}", "length" if end - 1 < 193 else "data", "ends a byte before the field does",
                   good[:end - 1])
    yield case("empty-secret", "length", "all is authentic, but nothing was sealed", seal_stretched(b""))
    yield case("secret-too-long", "length", "all is authentic, but 513 bytes were sealed", seal_stretched(bytes(513)))
    yield case("trailing-byte", "data", "a zero byte after the end", good + b"\x00")
    yield case("trailing-newline", "data", "a newline after the end, as a text editor adds", good + b"\n")
    yield case("trailing-blob", "data", "the same blob twice", good + good)
    yield case("oversized-705", "length", "a byte more than the longest blob has", good + bytes(705 - len(good)))
    yield case("forged-kek-commitment", "kek-commitment", "all is authentic, but the KEK commitment is that of no KEK",
               seal_stretched(kek_commitment=bytes(32)))
    yield case("forged-dek-commitment", "dek-commitment", "all is authentic, but the DEK commitment is that of no DEK",
               seal_stretched(dek_commitment=bytes(32)))


def main():
    folder = pathlib.Path(__file__).parent
    for stale in folder.glob("*.txt"):
        stale.unlink()
    check = xchacha_encrypt(bytes(32), b"", NONCE, KEY)
    assert check[:32] == keystream(hchacha20(KEY, NONCE[:16]), bytes(4) + NONCE[16:], 96)[64:], "HChaCha20"
    for name, expect, why, fields in (*vectors(), *passphrase_vectors()):
        fields = {"key": KEY, "node": CP_1, **fields}
        order = ("key", "passphrase", "salt", "memory", "passes", "lanes", "node", "address", "secret", "dek", "nonce", "blob")
        lines = [f"expect: {expect}", f"why: {why}"]
        for field in order:
            value = fields.get(field)
            for item in value if isinstance(value, list) else [] if value is None else [value]:
                lines.append(f"{field}: {item.hex() if isinstance(item, bytes) else item}".rstrip())
        path = folder / f"{name}.txt"
        assert not path.exists(), name
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
