#!/usr/bin/env python3
"""Decodes with cbor2 what our encoders wrote, and compares field by field.

usage: cbor2_oracle.py WIRE_DUMP

The tables below state the messages once more, from docs/protocol.md and docs/formats.md, so that
a mistake in C is not repeated here. Exit status 77: cbor2 is not installed, the test is skipped.
"""

import hashlib
import json
import subprocess
import sys

try:
    import cbor2
except ImportError:
    print("skipped: no cbor2 for this Python; script/bootstrap test installs it")
    sys.exit(77)


def number(fields, name):
    return int(fields[name])


def data(fields, name):
    return bytes.fromhex(fields[name])


def checkin(f):
    out = {
        1: 1,
        2: data(f, "nonce"),
        3: [number(f, "boot_count"), data(f, "boot_id"), number(f, "reset_reason"),
            number(f, "uptime_s")],
        4: [data(f, "running_digest"), number(f, "running_length"), f["running_version"],
            number(f, "running_slot"), number(f, "running_state")],
        5: [[number(s, "slot"), number(s, "content"),
             data(s, "digest") if "digest" in s else None, s["confirmed_here"]]
            for s in f["other"]],
        6: number(f, "abilities"),
        7: [number(f, "chip_id"), number(f, "chip_revision"), f["hw_revision"],
            data(f, "class_uuid")],
        8: [number(f, "root_version"), number(f, "epoch"), number(f, "seq"),
            number(f, "efuse_secure_version")],
        9: number(f, "last_counter"),
        10: [number(f, "phase"), number(f, "phase_counter"), number(f, "phase_bytes")],
    }
    if "outcome_counter" in f:
        out[11] = [number(f, "outcome_counter"), number(f, "outcome_attempt"),
                   number(f, "outcome_error"), number(f, "outcome_reset_reason"),
                   f["outcome_text"]]
    if "attributes" in f:
        out[12] = cbor2.loads(data(f, "attributes"))
    if "longest_sleep_s" in f:
        out[13] = number(f, "longest_sleep_s")
    return out


def status(f):
    out = {
        1: 2,
        2: number(f, "counter"),
        3: number(f, "time"),
        4: number(f, "expires"),
        5: number(f, "root_version"),
        6: data(f, "nonce"),
        7: data(f, "device_digest"),
        8: data(f, "class_uuid"),
        9: None,
        10: number(f, "action"),
        12: number(f, "next_checkin_s"),
    }
    if "image_digest" in f:
        out[9] = [data(f, "image_digest"), data(f, "manifest_digest"),
                  number(f, "manifest_size"), number(f, "target_epoch"), number(f, "target_seq")]
    if "patches" in f:
        out[11] = cbor2.loads(data(f, "patches"))
    if f["mirrors"]:
        out[13] = f["mirrors"]
    for key, name in ((14, "outcome_ack"), (15, "wanted"), (16, "max_secure_version")):
        if name in f:
            out[key] = number(f, name)
    return out


def manifest(f):
    digest = cbor2.dumps([-16, data(f, "image_digest")])
    parameters = {1: data(f, "vendor_uuid"), 2: data(f, "class_uuid"), 3: digest,
                  14: number(f, "image_size")}
    common = {2: [[b"\0"]], 4: cbor2.dumps([20, parameters, 1, 15, 2, 15], canonical=True)}
    return {
        1: 1,
        2: number(f, "seq"),
        3: cbor2.dumps(common, canonical=True),
        6: cbor2.dumps(f["version"]),
        7: cbor2.dumps([3, 15]),
        20: cbor2.dumps([20, {21: f["uri"]}, 21, 2, 3, 15], canonical=True),
    }


def root(f):
    """The payload, from what was put in."""
    roles, keys = {}, {}
    for number_of_role, role in enumerate(f["roles"]):
        points = [bytes.fromhex(xy) for xy in role["keys"]]
        keys.update({thumbprint(xy)[:8]: {1: 2, -1: 1, -2: xy[:32], -3: xy[32:]}
                     for xy in points})
        if points:
            roles[number_of_role] = [number(role, "threshold"),
                                     sorted(thumbprint(xy)[:8] for xy in points),
                                     number(role, "epoch")]
    out = {1: 1, 2: number(f, "version"), 3: number(f, "issued_at"), 4: number(f, "expires"),
           5: keys, 6: roles, 7: data(f, "fleet_id")}
    if f["policy"] != "0":
        out[8] = number(f, "policy")
    if f["revoked"] or f["minimums"]:
        out[9] = [[bytes.fromhex(d) for d in f["revoked"]],
                  {bytes.fromhex(c): int(seq) for c, seq in f["minimums"].items()}]
    if f["anchors"]:
        out[10] = [bytes.fromhex(d) for d in f["anchors"]]
    return out


def check_root(raw, fields):
    tagged = decode(raw)
    same("COSE tag", tagged.tag, 98)
    protected, unprotected, content, signatures = tagged.value
    same("protected header", decode(protected), {3: "application/vnd.surefoot.root+cbor"})
    same("unprotected header", dict(unprotected), {})
    same("root", decode(content), root(fields))
    kids = []
    for header, nothing, signature in signatures:
        kids.append(decode(header)[4])
        same("protected header", decode(header), {1: -9, 4: kids[-1]})
        same("unprotected header", dict(nothing), {})
        same("length of the signature", len(signature), 64)
    same("order of the kids", kids, sorted(set(kids)))
    same("number of signatures", len(kids), 2)


def thumbprint(xy):
    """RFC 9679, by nothing but hashlib and cbor2."""
    key = {1: 2, -1: 1, -2: xy[:32], -3: xy[32:]}
    return hashlib.sha256(cbor2.dumps(key, canonical=True)).digest()


def decode(raw):
    """One item that cbor2 would write the same way."""
    item = cbor2.loads(raw)
    same("canonical form", cbor2.dumps(item, canonical=True).hex(), raw.hex())
    return item


def same(what, actual, expected):
    if actual != expected:
        raise AssertionError(f"{what}:\n  encoded  {actual!r}\n  expected {expected!r}")


def check_sign1(tagged, payload, kid):
    same("COSE tag", tagged.tag, 18)
    protected, unprotected, content, signature = tagged.value
    same("protected header", decode(protected), {1: -9, 4: kid})
    same("unprotected header", dict(unprotected), {})
    same("payload", content, payload)
    same("length of the signature", len(signature), 64)


def check_status(raw, fields, kid):
    tagged = decode(raw)
    same("status", dict(decode(tagged.value[2])), status(fields))
    check_sign1(tagged, tagged.value[2], kid)


def check_manifest(raw, fields, kid):
    envelope = decode(raw)
    same("SUIT tag", envelope.tag, 107)
    same("members", list(envelope.value), [2, 3])
    same("manifest", dict(decode(envelope.value[3])), manifest(fields))
    digest_raw, sign1_raw = decode(envelope.value[2])
    wrapped = cbor2.dumps(envelope.value[3])
    digest = hashlib.sha256(wrapped).digest()
    same("manifest digest", digest.hex(), fields["digest"])
    same("SUIT_Digest", list(decode(digest_raw)), [-16, digest])
    check_sign1(decode(sign1_raw), None, kid)


def check(message, kid):
    raw, fields = bytes.fromhex(message["hex"]), message["fields"]
    kind = message["kind"]
    if kind == "checkin":
        same(kind, dict(decode(raw)), checkin(fields))
    elif kind == "status":
        check_status(raw, fields, kid)
    elif kind == "manifest":
        check_manifest(raw, fields, kid)
    elif kind == "enrol":
        same(kind, dict(decode(raw)), {1: fields["id"], 2: data(fields, "secret_digest"),
                                       3: data(fields, "class_uuid"), 4: fields["token"]})
    elif kind == "root":
        check_root(raw, fields)
    elif kind == "answer":
        expected = {1: data(fields, "status")}
        if "manifest" in fields:
            expected[2] = data(fields, "manifest")
        same(kind, dict(decode(raw)), expected)
    else:
        raise AssertionError(f"no kind {kind}")


def main():
    seed, dump = subprocess.run([sys.argv[1]], check=True, capture_output=True,
                                text=True).stdout.split("\n", 1)
    print(seed)
    dump = json.loads(dump)
    kid = thumbprint(bytes.fromhex(dump["xy"]))[:8]
    for message in dump["messages"]:
        check(message, kid)
    kinds = {m["kind"] for m in dump["messages"]}
    same("kinds", sorted(kinds), ["answer", "checkin", "enrol", "manifest", "root", "status"])
    print(f"{len(dump['messages'])} messages of {len(kinds)} kinds agree")


if __name__ == "__main__":
    main()
