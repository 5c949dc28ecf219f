/* The authentication of a SUIT envelope (draft-ietf-suit-manifest-37 section 8).
 *
 * Invariants
 *  1. Outer map, digest, signature, in this order; nothing of the manifest is parsed before.
 *  2. Digests are over a member with its bstr header.
 *  3. Every byte of the envelope is covered: authentication and manifest by the signature, the
 *     other members by SUIT_Digests that stand in the manifest under the same key. */
#include "formats/envelope.h"

#include <string.h>

enum { ENVELOPE_TAG = 107, MEMBER_AUTHENTICATION = 2, MEMBER_MANIFEST = 3 };
enum { DIGEST_SHA256 = -16 };

/* One member of the envelope: its bytes inside the bstr, and with the bstr's header. */
struct member {
    struct sf_bytes content;
    struct sf_bytes whole;
};

struct members {
    struct member authentication;
    struct member manifest;
    struct sf_bytes all; /* from the map's first key to the envelope's end */
    uint64_t count;
};

static struct member read_member(struct sf_cbor_reader *r)
{
    struct member m;
    const size_t at = r->pos;
    m.content = sf_cbor_read_bytes(r);
    m.whole = (struct sf_bytes){r->data + at, r->pos - at};
    return m;
}

/* Finds the members; whatever else is there must be a byte string under an integer key. */
static int split(struct sf_bytes envelope, struct members *out, struct sf_diag *diag)
{
    *out = (struct members){0};
    const int err = sf_cbor_check(envelope, diag);
    if (err < 0) {
        return err;
    }
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, envelope.data, envelope.len);
    if (sf_cbor_read_tag(&r) != ENVELOPE_TAG) {
        sf_cbor_fail(&r, SF_ERR_CBOR, "not tagged as a SUIT envelope");
    }
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    out->count = m.left;
    out->all = (struct sf_bytes){r.data + r.pos, r.len - r.pos};
    int64_t key;
    while (sf_cbor_map_next(&m, &key)) {
        const struct member member = read_member(&r);
        if (key == MEMBER_AUTHENTICATION) {
            out->authentication = member;
        } else if (key == MEMBER_MANIFEST) {
            out->manifest = member;
        }
    }
    if (r.err == SF_OK &&
        (out->authentication.content.len == 0 || out->manifest.content.len == 0)) {
        sf_cbor_fail(&r, SF_ERR_CBOR, "authentication or manifest is missing");
    }
    return sf_cbor_read_end(&r, diag);
}

int sf_envelope_peek(struct sf_bytes envelope, struct sf_bytes *manifest_out, struct sf_diag *diag)
{
    struct members m;
    const int err = split(envelope, &m, diag);
    *manifest_out = m.manifest.content;
    return err;
}

/* A SUIT_Digest [-16, h'32 bytes'] that the reader stands before. */
static void read_digest(struct sf_cbor_reader *r, uint8_t out[SF_SHA256_SIZE])
{
    sf_cbor_read_array_of(r, 2);
    if (sf_cbor_read_int(r) != DIGEST_SHA256) {
        sf_cbor_fail(r, SF_ERR_ALGORITHM, "digest is not SHA-256");
    }
    sf_cbor_read_fixed(r, out, SF_SHA256_SIZE);
}

/* What the authentication wrapper says. The views point into the envelope. */
struct wrapper {
    struct sf_bytes digest_bytes; /* the encoded SUIT_Digest: what is signed */
    struct sf_bytes sign1[SF_ENVELOPE_SIGNATURE_MAX];
    unsigned count;
    uint8_t digest[SF_SHA256_SIZE];
};

/* Reads the encoded SUIT_Digest inside its bstr; `base` is where that begins in the envelope. */
static int decode_digest(struct sf_bytes in, size_t base, uint8_t out[SF_SHA256_SIZE],
                         struct sf_diag *diag)
{
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, in.data, in.len);
    read_digest(&r, out);
    struct sf_diag inner = {0};
    const int err = sf_cbor_read_end(&r, &inner);
    return err < 0 ? sf_fail(diag, err, base + inner.offset, inner.why) : SF_OK;
}

static int decode_wrapper(struct sf_bytes in, size_t base, struct wrapper *out,
                          struct sf_diag *diag)
{
    struct sf_diag inner = {0};
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, in.data, in.len);
    const uint64_t elements = sf_cbor_read_array(&r);
    if (elements < 2 || elements > 1 + SF_ENVELOPE_SIGNATURE_MAX) {
        sf_cbor_fail(&r, SF_ERR_UNSUPPORTED, "not one digest and one or two signatures");
    }
    out->digest_bytes = sf_cbor_read_bytes(&r);
    for (out->count = 0; r.err == SF_OK && out->count + 1 < elements; out->count++) {
        out->sign1[out->count] = sf_cbor_read_bytes(&r);
    }
    const int err = sf_cbor_read_end(&r, &inner);
    if (err < 0) {
        return sf_fail(diag, err, base + inner.offset, inner.why);
    }
    const size_t digest_base = base + (size_t)(out->digest_bytes.data - in.data);
    return decode_digest(out->digest_bytes, digest_base, out->digest, diag);
}

static size_t offset_in(struct sf_bytes outer, const uint8_t *p)
{
    return (size_t)(p - outer.data);
}

/* Whether `digest` is that of `bytes`. */
static int check_digest(const struct sf_crypto *crypto, struct sf_bytes bytes,
                        const uint8_t digest[SF_SHA256_SIZE])
{
    uint8_t actual[SF_SHA256_SIZE];
    const int err = sf_sha256(crypto, bytes.data, bytes.len, actual);
    if (err < 0) {
        return err;
    }
    return memcmp(actual, digest, sizeof(actual)) == 0 ? SF_OK : SF_ERR_DIGEST;
}

/* Decodes one of the signatures, which must be detached. */
static int decode_signature(struct sf_bytes envelope, struct sf_bytes in, struct sf_cose_sign1 *out,
                            struct sf_diag *diag)
{
    const size_t at = offset_in(envelope, in.data);
    struct sf_diag inner = {0};
    const int err = sf_cose_sign1_decode(in, out, &inner);
    if (err < 0) {
        return sf_fail(diag, err, at + inner.offset, inner.why);
    }
    return out->has_payload
               ? sf_fail(diag, SF_ERR_CBOR, at, "the signature carries a payload of its own")
               : SF_OK;
}

/* By whichever key has its kid; `used` has a bit for each key that has signed already. */
static int verify_by_one(const struct sf_cose_sign1 *sign1, struct sf_bytes payload,
                         const struct sf_verifier *by, unsigned *used)
{
    struct sf_verifier one = *by;
    int err = SF_ERR_KEY_UNKNOWN;
    for (unsigned i = 0; err == SF_ERR_KEY_UNKNOWN && (i == 0 || i < by->key_count); i++) {
        one.key = by->key + i;
        err = sf_cose_sign1_verify(sign1, payload, &one);
        if (err == SF_OK) {
            err = (*used >> i & 1U) != 0 ? SF_ERR_DUPLICATE : SF_OK;
            *used |= 1U << i;
        }
    }
    return err;
}

/* Every signature verifies, each by another key, and there are enough. A frame of its own: together
 * with its caller's it would pass 512 bytes. */
__attribute__((noinline)) static int verify_signatures(struct sf_bytes envelope,
                                                       const struct wrapper *wrapper,
                                                       const struct sf_verifier *by,
                                                       struct sf_diag *diag)
{
    unsigned used = 0;
    for (unsigned i = 0; i < wrapper->count; i++) {
        struct sf_cose_sign1 sign1;
        int err = decode_signature(envelope, wrapper->sign1[i], &sign1, diag);
        if (err < 0) {
            return err;
        }
        err = verify_by_one(&sign1, wrapper->digest_bytes, by, &used);
        if (err < 0) {
            return sf_fail(diag, err, offset_in(envelope, wrapper->sign1[i].data),
                           "the signature was refused");
        }
    }
    return wrapper->count < by->threshold
               ? sf_fail(diag, SF_ERR_THRESHOLD, 0, "signed by fewer keys than the role wants")
               : SF_OK;
}

/* Reads manifest[key] as a SUIT_Digest; UNCOVERED if it is none. */
static int manifest_digest_of(struct sf_bytes manifest, int64_t key, uint8_t out[SF_SHA256_SIZE])
{
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, manifest.data, manifest.len);
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    int64_t k;
    while (sf_cbor_map_next(&m, &k)) {
        if (k == key) {
            read_digest(&r, out);
            return r.err == SF_OK ? SF_OK : SF_ERR_UNCOVERED;
        }
        (void)sf_cbor_skip(&r);
    }
    return SF_ERR_UNCOVERED;
}

static int check_member(struct sf_bytes manifest, int64_t key, struct sf_bytes whole,
                        const struct sf_crypto *crypto)
{
    uint8_t digest[SF_SHA256_SIZE];
    const int err = manifest_digest_of(manifest, key, digest);
    return err < 0 ? err : check_digest(crypto, whole, digest);
}

/* Runs once the manifest is known to be genuine. A frame of its own, like verify_signature(). */
__attribute__((noinline)) static int check_severed(struct sf_bytes envelope,
                                                   const struct members *members,
                                                   const struct sf_crypto *crypto,
                                                   struct sf_diag *diag)
{
    const struct sf_bytes manifest = members->manifest.content;
    struct sf_diag inner = {0};
    int err = sf_cbor_check(manifest, &inner);
    if (err < 0) {
        return sf_fail(diag, err, offset_in(envelope, manifest.data) + inner.offset, inner.why);
    }
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, members->all.data, members->all.len);
    struct sf_cbor_map m = {.r = &r, .left = members->count};
    int64_t key;
    while (sf_cbor_map_next(&m, &key)) {
        const struct member member = read_member(&r);
        if (key == MEMBER_AUTHENTICATION || key == MEMBER_MANIFEST) {
            continue;
        }
        err = check_member(manifest, key, member.whole, crypto);
        if (err < 0) {
            return sf_fail(diag, err, offset_in(envelope, member.whole.data),
                           "a member of the envelope is not what the manifest covers");
        }
    }
    return r.err;
}

/* Invariant 1, the first two steps. */
static int check_wrapper(struct sf_bytes envelope, const struct members *members,
                         const struct sf_crypto *crypto, struct wrapper *wrapper,
                         struct sf_diag *diag)
{
    const struct sf_bytes in = members->authentication.content;
    int err = decode_wrapper(in, offset_in(envelope, in.data), wrapper, diag);
    if (err < 0) {
        return err;
    }
    err = check_digest(crypto, members->manifest.whole, wrapper->digest);
    return err < 0 ? sf_fail(diag, err, offset_in(envelope, members->manifest.whole.data),
                             "the manifest is not what the signed digest covers")
                   : SF_OK;
}

int sf_envelope_verify(struct sf_bytes envelope, const struct sf_verifier *by,
                       struct sf_envelope *out, struct sf_diag *diag)
{
    struct members members;
    int err = split(envelope, &members, diag);
    if (err < 0) {
        return err;
    }
    struct wrapper wrapper = {0};
    err = check_wrapper(envelope, &members, by->crypto, &wrapper, diag);
    if (err < 0) {
        return err;
    }
    err = verify_signatures(envelope, &wrapper, by, diag);
    if (err < 0) {
        return err;
    }
    if (members.count > 2) {
        err = check_severed(envelope, &members, by->crypto, diag);
        if (err < 0) {
            return err;
        }
    }
    out->manifest = members.manifest.content;
    sf_digest_copy(out->digest, wrapper.digest);
    out->severed_count = (unsigned)(members.count - 2);
    out->signature_count = wrapper.count;
    return SF_OK;
}

/* [digest, first signature, second signature] */
static void write_wrapper(struct sf_cbor_writer *w, const struct wrapper *wrapper,
                          struct sf_bytes second)
{
    sf_cbor_write_array(w, 1 + SF_ENVELOPE_SIGNATURE_MAX);
    sf_cbor_write_bytes(w, wrapper->digest_bytes.data, wrapper->digest_bytes.len);
    sf_cbor_write_bytes(w, wrapper->sign1[0].data, wrapper->sign1[0].len);
    sf_cbor_write_bytes(w, second.data, second.len);
}

static int32_t write_cosigned(const struct wrapper *wrapper, struct sf_bytes second,
                              const struct member *manifest, struct sf_cbor_writer *w)
{
    struct sf_cbor_writer count;
    sf_cbor_write_init(&count, NULL, 0);
    write_wrapper(&count, wrapper, second);
    sf_cbor_write_tag(w, ENVELOPE_TAG);
    sf_cbor_write_map(w, 2);
    sf_cbor_write_int(w, MEMBER_AUTHENTICATION);
    sf_cbor_write_bytes_header(w, count.len);
    write_wrapper(w, wrapper, second);
    sf_cbor_write_int(w, MEMBER_MANIFEST);
    sf_cbor_write_raw(w, manifest->whole.data, manifest->whole.len);
    return sf_cbor_write_end(w);
}

/* Whether there is exactly one signature, by another key than `kid`. */
static int check_first(struct sf_bytes envelope, const struct wrapper *wrapper,
                       const uint8_t kid[SF_KID_SIZE])
{
    struct sf_cose_sign1 first;
    if (wrapper->count != 1) {
        return SF_ERR_RANGE;
    }
    const int err = decode_signature(envelope, wrapper->sign1[0], &first, NULL);
    if (err < 0) {
        return err;
    }
    return first.has_kid && first.kid.len == SF_KID_SIZE &&
                   memcmp(first.kid.data, kid, SF_KID_SIZE) == 0
               ? SF_ERR_DUPLICATE
               : SF_OK;
}

int32_t sf_envelope_cosign(struct sf_bytes envelope, const struct sf_signer *signer,
                           const struct sf_crypto *crypto, uint8_t *out, size_t size)
{
    struct members members;
    struct wrapper wrapper = {0};
    uint8_t second[SF_COSE_SIGN1_OVERHEAD];
    struct sf_cbor_writer w;
    int err = split(envelope, &members, NULL);
    if (err == SF_OK && members.count != 2) {
        err = SF_ERR_UNSUPPORTED;
    }
    if (err == SF_OK) {
        err = check_wrapper(envelope, &members, crypto, &wrapper, NULL);
    }
    if (err == SF_OK) {
        err = check_first(envelope, &wrapper, signer->kid);
    }
    if (err == SF_OK) {
        sf_cbor_write_init(&w, second, sizeof(second));
        err = sf_cose_sign1_write(&w, wrapper.digest_bytes, SF_COSE_DETACHED, signer, crypto);
    }
    if (err < 0) {
        return err;
    }
    sf_cbor_write_init(&w, out, size);
    return write_cosigned(&wrapper, (struct sf_bytes){second, sizeof(second)}, &members.manifest,
                          &w);
}
