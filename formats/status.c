/* The status: the signed answer to one check-in.
 *
 * Invariant: the payload is parsed only after its signature has verified. */
#include "formats/status.h"

#include <string.h>

enum {
    KEY_TYPE = 1,
    KEY_COUNTER = 2,
    KEY_TIME = 3,
    KEY_EXPIRES = 4,
    KEY_ROOT_VERSION = 5,
    KEY_NONCE = 6,
    KEY_DEVICE = 7,
    KEY_CLASS = 8,
    KEY_TARGET = 9,
    KEY_ACTION = 10,
    KEY_PATCHES = 11,
    KEY_NEXT_CHECKIN = 12,
    KEY_MIRRORS = 13,
    KEY_OUTCOME_ACK = 14,
    KEY_WANTED = 15,
    KEY_MAX_SECURE_VERSION = 16,
};

/* Tag, array, headers, a payload's length of three bytes, signature. */
enum { STATUS_OVERHEAD = SF_COSE_SIGN1_OVERHEAD + 2 };

/* Bit k: key k must be there. */
#define BIT(key) (UINT32_C(1) << (key))
#define REQUIRED                                                                                   \
    (BIT(KEY_TYPE) | BIT(KEY_COUNTER) | BIT(KEY_TIME) | BIT(KEY_EXPIRES) | BIT(KEY_ROOT_VERSION) | \
     BIT(KEY_NONCE) | BIT(KEY_DEVICE) | BIT(KEY_CLASS) | BIT(KEY_TARGET) | BIT(KEY_ACTION) |       \
     BIT(KEY_NEXT_CHECKIN))

/* ---- encode ---- */

static void write_key_uint(struct sf_cbor_writer *w, int64_t key, uint64_t value)
{
    sf_cbor_write_int(w, key);
    sf_cbor_write_uint(w, value);
}

static void write_key_bytes(struct sf_cbor_writer *w, int64_t key, const void *data, size_t len)
{
    sf_cbor_write_int(w, key);
    sf_cbor_write_bytes(w, data, len);
}

static void write_optional(struct sf_cbor_writer *w, int64_t key, uint64_t value)
{
    if (value != 0) {
        write_key_uint(w, key, value);
    }
}

static void write_target(struct sf_cbor_writer *w, const struct sf_status *s)
{
    sf_cbor_write_int(w, KEY_TARGET);
    if (!s->has_target) {
        sf_cbor_write_null(w);
        return;
    }
    sf_cbor_write_array(w, 5);
    sf_cbor_write_bytes(w, s->target.image_digest, SF_SHA256_SIZE);
    sf_cbor_write_bytes(w, s->target.manifest_digest, SF_SHA256_SIZE);
    sf_cbor_write_uint(w, s->target.manifest_size);
    sf_cbor_write_uint(w, s->target.epoch);
    sf_cbor_write_uint(w, s->target.seq);
}

static void write_mirrors(struct sf_cbor_writer *w, const struct sf_status *s)
{
    if (s->mirror_count == 0) {
        return;
    }
    sf_cbor_write_int(w, KEY_MIRRORS);
    sf_cbor_write_array(w, s->mirror_count);
    for (unsigned i = 0; i < s->mirror_count; i++) {
        sf_cbor_write_text_n(w, (const char *)s->mirror[i].data, s->mirror[i].len);
    }
}

static unsigned pair_count(const struct sf_status *s)
{
    return 11U + (s->patches.len > 0) + (s->mirror_count > 0) + (s->outcome_ack != 0) +
           (s->wanted != 0) + (s->max_secure_version != 0);
}

static void write_payload(struct sf_cbor_writer *w, const struct sf_status *s)
{
    sf_cbor_write_map(w, pair_count(s));
    write_key_uint(w, KEY_TYPE, SF_STATUS_TYPE);
    write_key_uint(w, KEY_COUNTER, s->counter);
    write_key_uint(w, KEY_TIME, (uint64_t)s->time);
    write_key_uint(w, KEY_EXPIRES, (uint64_t)s->expires);
    write_key_uint(w, KEY_ROOT_VERSION, s->root_version);
    write_key_bytes(w, KEY_NONCE, s->nonce, SF_NONCE_SIZE);
    write_key_bytes(w, KEY_DEVICE, s->device_digest, SF_SHA256_SIZE);
    write_key_bytes(w, KEY_CLASS, s->class_uuid, SF_UUID_SIZE);
    write_target(w, s);
    write_key_uint(w, KEY_ACTION, s->action);
    if (s->patches.len > 0) {
        sf_cbor_write_int(w, KEY_PATCHES);
        sf_cbor_write_raw(w, s->patches.data, s->patches.len);
    }
    write_key_uint(w, KEY_NEXT_CHECKIN, s->next_checkin_s);
    write_mirrors(w, s);
    write_optional(w, KEY_OUTCOME_ACK, s->outcome_ack);
    write_optional(w, KEY_WANTED, s->wanted);
    write_optional(w, KEY_MAX_SECURE_VERSION, s->max_secure_version);
}

static int action_fits(const struct sf_status *s)
{
    if (s->action > SF_STATUS_CANCEL) {
        return 0;
    }
    return s->has_target || (s->action != SF_STATUS_INSTALL && s->action != SF_STATUS_ROLL_BACK);
}

int32_t sf_status_sign(const struct sf_status *s, const struct sf_signer *signer,
                       const struct sf_crypto *crypto, uint8_t *out, size_t size)
{
    if (s->time < 0 || s->expires < 0 || s->mirror_count > SF_STATUS_MIRROR_MAX ||
        !action_fits(s)) {
        return SF_ERR_RANGE;
    }
    struct sf_cbor_writer count;
    sf_cbor_write_init(&count, NULL, 0);
    write_payload(&count, s);
    if (count.len + STATUS_OVERHEAD > size) {
        return SF_ERR_NOSPC;
    }
    /* The payload is written to the end of `out`; signing moves it to its place. */
    struct sf_cbor_writer payload;
    sf_cbor_write_init(&payload, out + size - count.len, count.len);
    write_payload(&payload, s);
    if (payload.err < 0) {
        return payload.err;
    }
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, size);
    const int err = sf_cose_sign1_write(&w, (struct sf_bytes){payload.data, payload.len},
                                        SF_COSE_EMBEDDED, signer, crypto);
    if (err < 0) {
        return err;
    }
    return w.len <= SF_STATUS_MAX ? (int32_t)w.len : SF_ERR_NOSPC;
}

/* ---- decode ---- */

static void read_target(struct sf_cbor_reader *r, struct sf_status *s)
{
    if (sf_cbor_peek(r) == SF_CBOR_NULL) {
        sf_cbor_read_null(r);
        return;
    }
    s->has_target = 1;
    sf_cbor_read_array_of(r, 5);
    sf_cbor_read_fixed(r, s->target.image_digest, SF_SHA256_SIZE);
    sf_cbor_read_fixed(r, s->target.manifest_digest, SF_SHA256_SIZE);
    s->target.manifest_size = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
    s->target.epoch = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
    s->target.seq = sf_cbor_read_uint(r);
}

static void read_patches(struct sf_cbor_reader *r, struct sf_status *s)
{
    if (sf_cbor_peek(r) != SF_CBOR_ARRAY) {
        sf_cbor_fail(r, SF_ERR_CBOR, "patch offers are not an array");
    }
    s->patches = sf_cbor_skip(r);
}

static void read_mirrors(struct sf_cbor_reader *r, struct sf_status *s)
{
    const uint64_t count = sf_cbor_read_array(r);
    if (count > SF_STATUS_MIRROR_MAX) {
        sf_cbor_fail(r, SF_ERR_RANGE, "more than four mirrors");
        return;
    }
    s->mirror_count = (unsigned)count;
    for (unsigned i = 0; i < s->mirror_count; i++) {
        s->mirror[i] = sf_cbor_read_text(r);
    }
}

static void read_later_key(struct sf_cbor_reader *r, int64_t key, struct sf_status *s)
{
    switch (key) {
    case KEY_ACTION:
        s->action = (uint8_t)sf_cbor_read_uint_max(r, SF_STATUS_CANCEL);
        break;
    case KEY_PATCHES:
        read_patches(r, s);
        break;
    case KEY_NEXT_CHECKIN:
        s->next_checkin_s = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
        break;
    case KEY_MIRRORS:
        read_mirrors(r, s);
        break;
    case KEY_OUTCOME_ACK:
        s->outcome_ack = sf_cbor_read_uint(r);
        break;
    case KEY_WANTED:
        s->wanted = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
        break;
    case KEY_MAX_SECURE_VERSION:
        s->max_secure_version = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
        break;
    default:
        (void)sf_cbor_skip(r);
    }
}

static void read_key(struct sf_cbor_reader *r, int64_t key, struct sf_status *s)
{
    switch (key) {
    case KEY_TYPE:
        if (sf_cbor_read_uint(r) != SF_STATUS_TYPE) {
            sf_cbor_fail(r, SF_ERR_CBOR, "signed message is not a status");
        }
        break;
    case KEY_COUNTER:
        s->counter = sf_cbor_read_uint(r);
        break;
    case KEY_TIME:
        s->time = (int64_t)sf_cbor_read_uint_max(r, INT64_MAX);
        break;
    case KEY_EXPIRES:
        s->expires = (int64_t)sf_cbor_read_uint_max(r, INT64_MAX);
        break;
    case KEY_ROOT_VERSION:
        s->root_version = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
        break;
    case KEY_NONCE:
        sf_cbor_read_fixed(r, s->nonce, SF_NONCE_SIZE);
        break;
    case KEY_DEVICE:
        sf_cbor_read_fixed(r, s->device_digest, SF_SHA256_SIZE);
        break;
    case KEY_CLASS:
        sf_cbor_read_fixed(r, s->class_uuid, SF_UUID_SIZE);
        break;
    case KEY_TARGET:
        read_target(r, s);
        break;
    default:
        read_later_key(r, key, s);
    }
}

static int decode_payload(struct sf_bytes payload, struct sf_status *out, struct sf_diag *diag)
{
    memset(out, 0, sizeof(*out));
    const int err = sf_cbor_check(payload, diag);
    if (err < 0) {
        return err;
    }
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, payload.data, payload.len);
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    uint32_t seen = 0;
    int64_t key;
    while (sf_cbor_map_next(&m, &key)) {
        if (key >= KEY_TYPE && key <= KEY_MAX_SECURE_VERSION) {
            seen |= BIT(key);
        }
        read_key(&r, key, out);
    }
    if ((seen & REQUIRED) != REQUIRED) {
        sf_cbor_fail(&r, SF_ERR_CBOR, "a required field of the status is missing");
    }
    if (!action_fits(out)) {
        sf_cbor_fail(&r, SF_ERR_RANGE, "action needs a target");
    }
    return sf_cbor_read_end(&r, diag);
}

int sf_status_open(struct sf_bytes in, const struct sf_public_key *key,
                   const struct sf_crypto *crypto, struct sf_status *out, struct sf_diag *diag)
{
    if (in.len > SF_STATUS_MAX) {
        return sf_fail(diag, SF_ERR_TOO_LARGE, SF_STATUS_MAX, "status is over 768 bytes");
    }
    struct sf_cose_sign1 sign1;
    int err = sf_cose_sign1_decode(in, &sign1, diag);
    if (err < 0) {
        return err;
    }
    if (!sign1.has_payload) {
        return sf_fail(diag, SF_ERR_CBOR, 0, "signed message has no payload");
    }
    const struct sf_verifier by = {.key = key, .crypto = crypto};
    err = sf_cose_sign1_verify(&sign1, sign1.payload, &by);
    if (err < 0) {
        return sf_fail(diag, err, 0, "the signature was refused");
    }
    struct sf_diag inner = {0};
    err = decode_payload(sign1.payload, out, &inner);
    return err < 0 ? sf_fail(diag, err, (size_t)(sign1.payload.data - in.data) + inner.offset,
                             inner.why)
                   : SF_OK;
}
