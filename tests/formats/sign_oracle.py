#!/usr/bin/env python3
"""Signatures both ways between our C and Python's `cryptography` with cbor2.

usage: sign_oracle.py WIRE_DUMP WIRE_OPEN

What our encoders signed must verify here, and what is signed here must open there: statuses,
manifests and trust roots, the last with successors. Then the same with something wrong, which must
be refused, and by the right error. Exit status 77: the packages are not installed, it is skipped.
"""

import hashlib
import json
import subprocess
import sys

try:
    import cbor2
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256
except ImportError:
    print("skipped: no cbor2 or cryptography for this Python; script/bootstrap test installs them")
    sys.exit(77)

TYPE = "application/vnd.surefoot.root+cbor"


def enc(item):
    return cbor2.dumps(item, canonical=True)


# ---- verifying what we signed ----

def verify(xy, message, signature):
    """Raises InvalidSignature unless r || s verifies."""
    key = ec.EllipticCurvePublicNumbers(
        int.from_bytes(xy[:32], "big"), int.from_bytes(xy[32:], "big"), ec.SECP256R1()).public_key()
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"),
                                     int.from_bytes(signature[32:], "big"))
    key.verify(der, message, ec.ECDSA(SHA256()))


def check_sign1(xy, tagged, payload):
    protected, _, _, signature = tagged.value
    message = enc(["Signature1", protected, b"", payload])
    verify(xy, message, signature)
    try:
        verify(xy, message + b"\0", signature)
    except InvalidSignature:
        return
    raise AssertionError("a wrong message verified")


def check_root(fields, tagged):
    body, _, payload, entries = tagged.value
    keys = {kid_of(bytes.fromhex(xy)): bytes.fromhex(xy) for xy in fields["roles"][0]["keys"]}
    for protected, _, signature in entries:
        verify(keys[cbor2.loads(protected)[4]],
               enc(["Signature", body, protected, b"", payload]), signature)


def check_ours(dump):
    xy = bytes.fromhex(dump["xy"])
    count = 0
    for message in dump["messages"]:
        item = cbor2.loads(bytes.fromhex(message["hex"]))
        if message["kind"] == "status":
            check_sign1(xy, item, item.value[2])
        elif message["kind"] == "manifest":
            digest, sign1 = cbor2.loads(item.value[2])[:2]
            check_sign1(xy, cbor2.loads(sign1), digest)
        elif message["kind"] == "root":
            check_root(message["fields"], item)
        else:
            continue
        count += 1
    if count < 100:
        raise AssertionError(f"only {count} signed messages")
    return count


# ---- signing what ours must open ----

class Key:
    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        n = self.private.public_key().public_numbers()
        self.xy = n.x.to_bytes(32, "big") + n.y.to_bytes(32, "big")
        self.kid = kid_of(self.xy)

    def sign(self, message):
        r, s = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def cose_key(xy):
    return {1: 2, -1: 1, -2: xy[:32], -3: xy[32:]}


def kid_of(xy):
    return hashlib.sha256(enc(cose_key(xy))).digest()[:8]


def sign1(key, payload, detached=False, kid=None, alg=-9):
    protected = enc({1: alg, 4: kid or key.kid})
    signature = key.sign(enc(["Signature1", protected, b"", payload]))
    return enc(cbor2.CBORTag(18, [protected, {}, None if detached else payload, signature]))


def status():
    return enc({1: 2, 2: 9, 3: 1800000000, 4: 1800003600, 5: 0, 6: bytes(16), 7: bytes(32),
                8: bytes(16), 9: None, 10: 0, 12: 60})


def envelope(key, tamper=None):
    image = bytes(range(32))
    shared = enc([20, {1: bytes(16), 2: bytes(16), 3: enc([-16, image]), 14: 70000}, 1, 15, 2, 15])
    manifest = enc({1: 1, 2: 4, 3: enc({2: [[b"\0"]], 4: shared}), 6: enc([1, 2, 3]),
                    7: enc([3, 15]), 20: enc([20, {21: "/artifacts/x"}, 21, 2, 3, 15])})
    # the trap: the digest is over the manifest with its bstr header, or not
    covered = manifest if tamper == "no header" else enc(manifest)
    digest = enc([-16, hashlib.sha256(covered).digest()])
    members = {2: enc([digest, sign1(key, digest, detached=tamper != "embedded")]), 3: manifest}
    if tamper == "uncovered":
        members[23] = b"nothing covers this"
    return enc(cbor2.CBORTag(107, members))


def root(version, root_keys, threshold, signers, release, status_key, content_type=TYPE):
    keys = root_keys + [release, status_key]
    payload = enc({
        1: 1, 2: version, 3: 1800000000, 4: 1900000000,
        5: {k.kid: cose_key(k.xy) for k in keys},
        6: {0: [threshold, [k.kid for k in root_keys], 0], 1: [1, [release.kid], 0],
            2: [1, [status_key.kid], 0]},
        7: bytes(16)})
    body = enc({3: content_type})
    entries = []
    for key in sorted(signers, key=lambda k: k.kid):
        protected = enc({1: -9, 4: key.kid})
        entries.append([protected, {}, key.sign(enc(["Signature", body, protected, b"", payload]))])
    return enc(cbor2.CBORTag(98, [body, {}, payload, entries]))


def cases():
    """(line for WIRE_OPEN, the answer)"""
    k, other = Key(), Key()
    xy = k.xy.hex()
    yield f"status {xy} {sign1(k, status()).hex()}", "OK"
    yield f"status {xy} {sign1(k, status(), alg=-7).hex()}", "OK"  # ES256
    yield f"status {xy} {sign1(k, status(), alg=-8).hex()}", "ALGORITHM"  # EdDSA
    yield f"status {xy} {sign1(other, status()).hex()}", "KEY_UNKNOWN"
    yield f"status {xy} {sign1(other, status(), kid=k.kid).hex()}", "SIGNATURE"
    yield f"manifest {xy} {envelope(k).hex()}", "OK"
    yield f"manifest {xy} {envelope(k, 'no header').hex()}", "DIGEST"
    yield f"manifest {xy} {envelope(k, 'embedded').hex()}", "CBOR"
    yield f"manifest {xy} {envelope(k, 'uncovered').hex()}", "UNCOVERED"
    yield f"manifest {xy} {envelope(other).hex()}", "KEY_UNKNOWN"
    a, b, c, d, e = (Key() for _ in range(5))
    release, status_key = Key(), Key()

    def chain(*roots):
        return "root " + " ".join(r.hex() for r in roots)

    def r(version, keys, signers, threshold=2, **more):
        return root(version, keys, threshold, signers, release, status_key, **more)

    first = r(1, [a, b, c], [a, c])
    yield chain(first), "OK"
    yield chain(first, r(2, [a, b, c], [b, c])), "OK"
    yield chain(first, r(2, [c, d, e], [a, c, d])), "OK"
    yield chain(first, r(2, [c, d, e], [a, c, d]), r(3, [c, d, e], [d, e])), "OK"
    yield chain(first, r(2, [c, d, e], [d, e])), "THRESHOLD"
    yield chain(first, r(2, [c, d, e], [a, b])), "THRESHOLD"
    yield chain(first, r(3, [a, b, c], [a, b])), "ROOT_VERSION"
    yield chain(first, r(2, [a, b, c], [a, b, d])), "KEY_UNKNOWN"
    yield chain(r(1, [a, b, c], [a])), "THRESHOLD"
    yield chain(r(1, [a, b, c], [a, b], content_type="text/plain")), "UNSUPPORTED"
    yield chain(r(1, [a, b, c], [a, b], threshold=4)), "RANGE"


def main():
    dump = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
    print(f"{check_ours(json.loads(dump.split(chr(10), 1)[1]))} of our signatures verify here")
    lines, expected = zip(*cases())
    answer = subprocess.run([sys.argv[2]], check=True, capture_output=True, text=True,
                            input="\n".join(lines) + "\n").stdout.split()
    for line, got, wanted in zip(lines, answer, expected, strict=True):
        if got != wanted:
            raise AssertionError(f"{line[:60]}...: {got}, expected {wanted}")
    print(f"{len(lines)} of its messages are judged right")


if __name__ == "__main__":
    main()
