// Signatures both ways between our C and a COSE library for JavaScript, @auth0/cose.
//
// usage: node sign_oracle.mjs MODULES WIRE_DUMP WIRE_OPEN
//
// What our encoders signed must verify here, and not with a bit of it changed; what is signed here
// must open there. The library is older than RFC 9864: it is taught that -9 is ES256's new name.

import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [modules, wireDump, wireOpen] = process.argv.slice(2);
const from = (path) => import(pathToFileURL(`${modules}/${path}`).href);
const { Sign, Sign1, ProtectedHeaders } =
    await from('@auth0/cose/dist/node/esm/index.js');
const { AlgorithmNames } = await from('@auth0/cose/dist/node/esm/headers.js');
const { Encoder, Tag } = await from('cbor-x/dist/node.cjs').then((m) => m.default ?? m);

const cbor = new Encoder({ tagUint8Array: false, useRecords: false, mapsAsObjects: false });
const enc = (item) => cbor.encode(item);
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const unhex = (text) => new Uint8Array(Buffer.from(text, 'hex'));

AlgorithmNames.set(-9, 'ES256');

function check(ok, what) {
    if (!ok) {
        throw new Error(what);
    }
}

const publicKey = (xy) => createPublicKey({
    key: {
        kty: 'EC', crv: 'P-256',
        x: Buffer.from(xy.slice(0, 32)).toString('base64url'),
        y: Buffer.from(xy.slice(32)).toString('base64url'),
    },
    format: 'jwk',
});

const kidOf = (xy) => createHash('sha256').update(enc(new Map(
    [[1, 2], [-1, 1], [-2, xy.slice(0, 32)], [-3, xy.slice(32)]]))).digest().subarray(0, 8);

async function refuses(promise) {
    return promise.then(() => false, () => true);
}

// ---- what ours signed ----

async function checkSign1(bytes, key, detached) {
    const options = detached === undefined ? undefined : { detachedPayload: detached };
    await Sign1.decode(bytes).verify(key, options);
    const wrong = new Uint8Array(bytes);
    wrong[wrong.length - 1] ^= 1;
    check(await refuses(Sign1.decode(wrong).verify(key, options)), 'a wrong signature verified');
}

async function checkRoot(fields, bytes) {
    const keys = new Map(fields.roles[0].keys.map((xy) => [hex(kidOf(unhex(xy))), unhex(xy)]));
    const root = Sign.decode(bytes);
    check(root.signatures.length === 2, 'a root without its two signatures');
    for (const signature of root.signatures) {
        const key = publicKey(keys.get(hex(signature.kid)));
        await signature.verify(key, root.encodedProtectedHeaders, root.payload);
        const payload = new Uint8Array(root.payload);
        payload[7] ^= 1;
        check(await refuses(signature.verify(key, root.encodedProtectedHeaders, payload)),
            'a wrong root verified');
    }
}

async function checkOurs(dump) {
    const key = publicKey(unhex(dump.xy));
    let count = 0;
    for (const { kind, hex: text, fields } of dump.messages) {
        const bytes = unhex(text);
        if (kind === 'status') {
            await checkSign1(bytes, key);
        } else if (kind === 'manifest') {
            const [digest, sign1] = cbor.decode(cbor.decode(bytes).value.get(2));
            await checkSign1(sign1, key, digest);
        } else if (kind === 'root') {
            await checkRoot(fields, bytes);
        } else {
            continue;
        }
        count++;
    }
    check(count >= 100, `only ${count} signed messages`);
    return count;
}

// ---- what ours must open ----

function newKey() {
    const { privateKey, publicKey: pub } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = pub.export({ format: 'jwk' });
    const xy = Buffer.concat([Buffer.from(jwk.x, 'base64url'), Buffer.from(jwk.y, 'base64url')]);
    return { privateKey, xy, kid: kidOf(new Uint8Array(xy)) };
}

const headers = (key) => new ProtectedHeaders([[1, -9], [4, new Uint8Array(key.kid)]]);

async function status(key) {
    const payload = enc(new Map([[1, 2], [2, 9], [3, 1800000000], [4, 1800003600], [5, 0],
        [6, new Uint8Array(16)], [7, new Uint8Array(32)], [8, new Uint8Array(16)], [9, null],
        [10, 0], [12, 60]]));
    const signed = await Sign1.sign(headers(key), undefined, payload, key.privateKey);
    return signed.encode();
}

async function root(rootKeys, signers, release, statusKey) {
    const sorted = [...rootKeys, release, statusKey].sort((a, b) => a.kid.compare(b.kid));
    const bytes = (b) => new Uint8Array(b);
    const keys = new Map(sorted.map((k) => [bytes(k.kid), new Map(
        [[1, 2], [-1, 1], [-2, bytes(k.xy.subarray(0, 32))], [-3, bytes(k.xy.subarray(32))]])]));
    const roles = new Map([[0, [2, rootKeys.map((k) => bytes(k.kid)), 0]],
        [1, [1, [bytes(release.kid)], 0]], [2, [1, [bytes(statusKey.kid)], 0]]]);
    const payload = enc(new Map([[1, 1], [2, 1], [3, 1800000000], [4, 1900000000], [5, keys],
        [6, roles], [7, new Uint8Array(16)]]));
    const body = new ProtectedHeaders([[3, 'application/vnd.surefoot.root+cbor']]);
    const order = [...signers].sort((a, b) => a.kid.compare(b.kid));
    const signed = await Sign.sign(body, undefined, payload,
        order.map((k) => ({ key: k.privateKey, protectedHeaders: headers(k) })));
    // Its own encode() leaves the signatures' protected headers out of their byte strings.
    return enc(new Tag([body.encode(), new Map(), payload, signed.signatures.map(
        (s, i) => [headers(order[i]).encode(), new Map(), s.signature])], 98));
}

async function cases() {
    const [k, other, a, b, c] = [newKey(), newKey(), newKey(), newKey(), newKey()];
    return [
        [`status ${hex(k.xy)} ${hex(await status(k))}`, 'OK'],
        [`status ${hex(k.xy)} ${hex(await status(other))}`, 'KEY_UNKNOWN'],
        [`root ${hex(await root([a, b, c], [a, c], k, other))}`, 'OK'],
        [`root ${hex(await root([a, b, c], [a], k, other))}`, 'THRESHOLD'],
        [`root ${hex(await root([a, b, c], [a, k], k, other))}`, 'THRESHOLD'],
    ];
}

const dump = execFileSync(wireDump, { maxBuffer: 1 << 26 }).toString();
console.log(`${await checkOurs(JSON.parse(dump.slice(dump.indexOf('\n') + 1)))} of ours verify`);
const wanted = await cases();
const answers = execFileSync(wireOpen, { input: wanted.map(([line]) => `${line}\n`).join('') })
    .toString().trim().split('\n');
wanted.forEach(([line, answer], i) => check(answers[i] === answer,
    `${line.slice(0, 60)}...: ${answers[i]}, expected ${answer}`));
console.log(`${wanted.length} of its messages are judged right`);
