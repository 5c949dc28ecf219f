/* The trust root: who may sign what.
 *
 * Invariants
 *  1. sf_root_open_next() enters the decoder only with bytes that the threshold of the trusted
 *     root's keys has signed.
 *  2. Every signature of an opened root has verified: an unknown kid or a wrong bit in any of them
 *     is a refusal, so nothing of the file is left uncovered.
 *  3. A key counts once and serves one role: kids are computed from the keys, no kid stands twice
 *     in a COSE_Sign, and none in two roles.
 *  4. Fields above the known ones are passed over. What must not be overlooked comes with another
 *     spec, which this code refuses. */
#include "formats/root.h"

#include <string.h>

#include "formats/root_fields.h"

#define BIT(field) (UINT32_C(1) << (field))
#define REQUIRED                                                                           \
    (BIT(SF_ROOT_FIELD_SPEC) | BIT(SF_ROOT_FIELD_VERSION) | BIT(SF_ROOT_FIELD_ISSUED_AT) | \
     BIT(SF_ROOT_FIELD_EXPIRES) | BIT(SF_ROOT_FIELD_KEYS) | BIT(SF_ROOT_FIELD_ROLES) |     \
     BIT(SF_ROOT_FIELD_FLEET))

/* Deterministic CBOR of fixed fields has fixed places: 48 kid, then of a key a4 01 02 20 01 21 58
 * 20 x 22 58 20 y. */
enum {
    KID_ENTRY = 1 + SF_KID_SIZE,
    KEY_ENTRY = KID_ENTRY + SF_COSE_KEY_SIZE,
    KEY_X_AT = KID_ENTRY + 8,
    KEY_Y_AT = KEY_X_AT + 32 + 3,
    DIGEST_ENTRY = 2 + SF_SHA256_SIZE,
};
_Static_assert(KEY_Y_AT + 32 == KEY_ENTRY, "a key ends with its y");

/* Keeps a signature from passing for one of another object by the same keys. */
struct sf_bytes sf_root_protected(void)
{
    static const uint8_t header[] = "\xa1\x03\x78\x22"
                                    "application/vnd.surefoot.root+cbor";
    return (struct sf_bytes){header, sizeof(header) - 1};
}

/* ---- decode ---- */

static void read_keys(struct sf_cbor_reader *r, const struct sf_crypto *crypto, struct sf_root *out)
{
    const uint64_t count = sf_cbor_read_map(r);
    const size_t start = r->pos;
    if (count > SF_ROOT_KEY_MAX) {
        sf_cbor_fail(r, SF_ERR_RANGE, "more than twelve keys");
    }
    for (uint64_t i = 0; i < count && r->err == SF_OK; i++) {
        uint8_t kid[SF_KID_SIZE];
        uint8_t xy[SF_P256_KEY_SIZE];
        struct sf_public_key key;
        sf_cbor_read_fixed(r, kid, sizeof(kid));
        sf_cose_key_read(r, xy);
        const int err = r->err == SF_OK ? sf_public_key_init(&key, crypto, xy) : SF_OK;
        if (err < 0) {
            sf_cbor_fail(r, err, "the kid cannot be computed");
        } else if (r->err == SF_OK && memcmp(key.kid, kid, sizeof(kid)) != 0) {
            sf_cbor_fail(r, SF_ERR_KEY_UNKNOWN, "a kid is not that of its key");
        }
    }
    out->keys = (struct sf_bytes){r->data + start, r->pos - start};
}

/* Place of the key with this kid among the keys, or -1. */
static int find_kid(const struct sf_root *root, const uint8_t kid[SF_KID_SIZE])
{
    for (size_t i = 0; i < root->keys.len / KEY_ENTRY; i++) {
        if (memcmp(root->keys.data + i * KEY_ENTRY + 1, kid, SF_KID_SIZE) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static const uint8_t *role_kid(const struct sf_root_role *role, unsigned index)
{
    return role->kids.data + (size_t)index * KID_ENTRY + 1;
}

/* `used` has a bit for every key that a role has named before. */
static void read_kids(struct sf_cbor_reader *r, const struct sf_root *root,
                      struct sf_root_role *role, uint32_t *used)
{
    const size_t start = r->pos;
    for (unsigned i = 0; i < role->count && r->err == SF_OK; i++) {
        uint8_t kid[SF_KID_SIZE];
        sf_cbor_read_fixed(r, kid, sizeof(kid));
        const int at = r->err == SF_OK ? find_kid(root, kid) : -1;
        if (at < 0) {
            sf_cbor_fail(r, SF_ERR_KEY_UNKNOWN, "a role names a key that is not there");
        } else if ((*used & BIT(at)) != 0) {
            sf_cbor_fail(r, SF_ERR_DUPLICATE, "a key is named twice by the roles");
        } else {
            *used |= BIT(at);
        }
    }
    role->kids = (struct sf_bytes){r->data + start, r->pos - start};
}

static void read_role(struct sf_cbor_reader *r, enum sf_role kind, struct sf_root *out,
                      uint32_t *used)
{
    static const struct {
        uint8_t keys;
        uint8_t threshold;
    } max[SF_ROLE_COUNT] = {
        [SF_ROLE_ROOT] = {SF_ROOT_ROOT_KEY_MAX, SF_ROOT_ROOT_KEY_MAX},
        [SF_ROLE_RELEASE] = {SF_ROOT_ROLE_KEY_MAX, SF_ROOT_RELEASE_THRESHOLD_MAX},
        [SF_ROLE_STATUS] = {SF_ROOT_ROLE_KEY_MAX, 1},
        [SF_ROLE_DELTA] = {SF_ROOT_ROLE_KEY_MAX, 1},
    };
    struct sf_root_role *role = &out->role[kind];
    sf_cbor_read_array_of(r, 3);
    role->threshold = (uint8_t)sf_cbor_read_uint_max(r, max[kind].threshold);
    const uint64_t count = sf_cbor_read_array(r);
    if (r->err == SF_OK &&
        (count == 0 || count > max[kind].keys || role->threshold == 0 || role->threshold > count)) {
        sf_cbor_fail(r, SF_ERR_RANGE,
                     "a role has no, or too many keys, or not as many as it wants");
    }
    role->count = r->err == SF_OK ? (uint8_t)count : 0;
    read_kids(r, out, role, used);
    role->epoch = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
}

static void read_roles(struct sf_cbor_reader *r, struct sf_root *out)
{
    uint32_t used = 0;
    struct sf_cbor_map m = sf_cbor_map_begin(r);
    int64_t kind;
    while (sf_cbor_map_next(&m, &kind)) {
        if (kind >= 0 && kind < SF_ROLE_COUNT) {
            read_role(r, (enum sf_role)kind, out, &used);
        } else {
            (void)sf_cbor_skip(r); /* of a later version */
        }
    }
    if (out->role[SF_ROLE_ROOT].count == 0 || out->role[SF_ROLE_RELEASE].count == 0 ||
        out->role[SF_ROLE_STATUS].count == 0) {
        sf_cbor_fail(r, SF_ERR_CBOR, "the root, release or status role is missing");
    }
}

/* An array of SHA-256 digests, at most `max`. */
static struct sf_bytes read_digests(struct sf_cbor_reader *r, uint64_t max)
{
    const uint64_t count = sf_cbor_read_array(r);
    const size_t start = r->pos;
    if (count > max) {
        sf_cbor_fail(r, SF_ERR_RANGE, "more digests than allowed here");
    }
    for (uint64_t i = 0; i < count && r->err == SF_OK; i++) {
        uint8_t digest[SF_SHA256_SIZE];
        sf_cbor_read_fixed(r, digest, sizeof(digest));
    }
    return (struct sf_bytes){r->data + start, r->pos - start};
}

static void read_revoked(struct sf_cbor_reader *r, struct sf_root *out)
{
    sf_cbor_read_array_of(r, 2);
    out->revoked = read_digests(r, SF_ROOT_REVOKED_MAX);
    const uint64_t count = sf_cbor_read_map(r);
    const size_t start = r->pos;
    if (count > SF_ROOT_MINIMUM_MAX) {
        sf_cbor_fail(r, SF_ERR_RANGE, "more than sixteen classes with a minimum seq");
    }
    for (out->minimum_count = 0; out->minimum_count < count && r->err == SF_OK;
         out->minimum_count++) {
        uint8_t class_uuid[SF_UUID_SIZE];
        sf_cbor_read_fixed(r, class_uuid, sizeof(class_uuid));
        (void)sf_cbor_read_uint(r);
    }
    out->minimums = (struct sf_bytes){r->data + start, r->pos - start};
}

static void read_field(struct sf_cbor_reader *r, int64_t field, const struct sf_crypto *crypto,
                       struct sf_root *out)
{
    switch (field) {
    case SF_ROOT_FIELD_SPEC:
        if (sf_cbor_read_uint(r) != SF_ROOT_SPEC) {
            sf_cbor_fail(r, SF_ERR_VERSION, "spec is not 1");
        }
        break;
    case SF_ROOT_FIELD_VERSION:
        out->version = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
        break;
    case SF_ROOT_FIELD_ISSUED_AT:
        out->issued_at = (int64_t)sf_cbor_read_uint_max(r, INT64_MAX);
        break;
    case SF_ROOT_FIELD_EXPIRES:
        out->expires = (int64_t)sf_cbor_read_uint_max(r, INT64_MAX);
        break;
    case SF_ROOT_FIELD_KEYS:
        read_keys(r, crypto, out);
        break;
    case SF_ROOT_FIELD_ROLES:
        read_roles(r, out);
        break;
    case SF_ROOT_FIELD_FLEET:
        sf_cbor_read_fixed(r, out->fleet_id, SF_FLEET_ID_SIZE);
        break;
    case SF_ROOT_FIELD_POLICY:
        out->policy = (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
        break;
    case SF_ROOT_FIELD_REVOKED:
        read_revoked(r, out);
        break;
    case SF_ROOT_FIELD_ANCHORS:
        out->anchors = read_digests(r, SF_ROOT_ANCHOR_MAX);
        break;
    default:
        (void)sf_cbor_skip(r); /* of a later version */
    }
}

static void check_whole(struct sf_cbor_reader *r, uint32_t seen, const struct sf_root *root)
{
    if ((seen & REQUIRED) != REQUIRED) {
        sf_cbor_fail(r, SF_ERR_CBOR, "a required field of the trust root is missing");
    }
    if (root->version == 0) {
        sf_cbor_fail(r, SF_ERR_RANGE, "versions begin with 1");
    }
    if (root->expires <= root->issued_at) {
        sf_cbor_fail(r, SF_ERR_RANGE, "it expires before it is issued");
    }
}

int sf_root_decode(struct sf_bytes payload, const struct sf_crypto *crypto, struct sf_root *out,
                   struct sf_diag *diag)
{
    memset(out, 0, sizeof(*out));
    if (payload.len > SF_ROOT_PAYLOAD_MAX) {
        return sf_fail(diag, SF_ERR_TOO_LARGE, SF_ROOT_PAYLOAD_MAX, "payload is over 1408 bytes");
    }
    const int err = sf_cbor_check(payload, diag);
    if (err < 0) {
        return err;
    }
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, payload.data, payload.len);
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    uint32_t seen = 0;
    int64_t field;
    out->payload = payload;
    while (sf_cbor_map_next(&m, &field)) {
        if (field >= SF_ROOT_FIELD_SPEC && field <= SF_ROOT_FIELD_ANCHORS) {
            seen |= BIT(field);
        }
        read_field(&r, field, crypto, out);
    }
    check_whole(&r, seen, out);
    return sf_cbor_read_end(&r, diag);
}

/* ---- what a root says ---- */

int sf_root_key(const struct sf_root *root, enum sf_role role, unsigned index,
                struct sf_public_key *out)
{
    if (index >= root->role[role].count) {
        return SF_ERR_NOTFOUND;
    }
    const uint8_t *kid = role_kid(&root->role[role], index);
    const int at = find_kid(root, kid);
    if (at < 0) {
        return SF_ERR_NOTFOUND;
    }
    const uint8_t *entry = root->keys.data + (size_t)at * KEY_ENTRY;
    memcpy(out->kid, kid, SF_KID_SIZE);
    memcpy(out->xy, entry + KEY_X_AT, 32);
    memcpy(out->xy + 32, entry + KEY_Y_AT, 32);
    return SF_OK;
}

static const uint8_t *digest_at(struct sf_bytes entries, size_t index)
{
    return index < entries.len / DIGEST_ENTRY ? entries.data + index * DIGEST_ENTRY + 2 : NULL;
}

const uint8_t *sf_root_revoked(const struct sf_root *root, unsigned index)
{
    return digest_at(root->revoked, index);
}

int sf_root_revokes(const struct sf_root *root, const uint8_t manifest_digest[SF_SHA256_SIZE])
{
    const uint8_t *digest = NULL;
    for (unsigned i = 0; (digest = sf_root_revoked(root, i)) != NULL; i++) {
        if (memcmp(digest, manifest_digest, SF_SHA256_SIZE) == 0) {
            return 1;
        }
    }
    return 0;
}

int sf_root_minimum(const struct sf_root *root, unsigned index, struct sf_root_minimum *out)
{
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, root->minimums.data, root->minimums.len);
    if (index >= root->minimum_count) {
        return SF_ERR_NOTFOUND;
    }
    for (unsigned i = 0; i <= index; i++) {
        sf_cbor_read_fixed(&r, out->class_uuid, SF_UUID_SIZE);
        out->seq = sf_cbor_read_uint(&r);
    }
    return r.err;
}

uint64_t sf_root_minimum_seq(const struct sf_root *root, const uint8_t class_uuid[SF_UUID_SIZE])
{
    struct sf_root_minimum found;
    for (unsigned i = 0; sf_root_minimum(root, i, &found) == SF_OK; i++) {
        if (memcmp(found.class_uuid, class_uuid, SF_UUID_SIZE) == 0) {
            return found.seq;
        }
    }
    return 0;
}

const uint8_t *sf_root_anchor(const struct sf_root *root, unsigned index)
{
    return digest_at(root->anchors, index);
}

int sf_root_expired(const struct sf_root *root, int64_t now)
{
    return root->expires <= now;
}

/* ---- open ---- */

int sf_root_peek(struct sf_bytes in, struct sf_cose_sign *out, struct sf_diag *diag)
{
    *out = (struct sf_cose_sign){0};
    if (in.len > SF_ROOT_MAX) {
        return sf_fail(diag, SF_ERR_TOO_LARGE, SF_ROOT_MAX, "trust root is over 2048 bytes");
    }
    return sf_cose_sign_decode(in, sf_root_protected(), out, diag);
}

static int find_root_key(const struct sf_root *root, struct sf_bytes kid, struct sf_public_key *out)
{
    const struct sf_root_role *role = &root->role[SF_ROLE_ROOT];
    for (unsigned i = 0; i < role->count; i++) {
        if (memcmp(role_kid(role, i), kid.data, SF_KID_SIZE) == 0) {
            return sf_root_key(root, SF_ROLE_ROOT, i, out);
        }
    }
    return SF_ERR_NOTFOUND;
}

/* Verifies and counts the signatures by `root`'s root keys; those by a key of `before`, which may
 * be NULL, have been verified. Returns the count, at least the threshold, or an error. */
static int check_threshold(const struct sf_cose_sign *sign, const struct sf_root *root,
                           const struct sf_root *before, const struct sf_crypto *crypto)
{
    struct sf_cose_sign1 entry;
    struct sf_public_key key;
    int count = 0;
    size_t cursor = 0;
    while (sf_cose_sign_next(sign, &cursor, &entry)) {
        const int verified = before != NULL && find_root_key(before, entry.kid, &key) == SF_OK;
        if (find_root_key(root, entry.kid, &key) != SF_OK) {
            if (before != NULL && !verified) {
                return SF_ERR_KEY_UNKNOWN; /* a key of neither */
            }
            continue;
        }
        const int err = verified ? SF_OK : sf_cose_sign_verify(sign, &entry, &key, crypto);
        if (err < 0) {
            return err;
        }
        count++;
    }
    return count >= root->role[SF_ROLE_ROOT].threshold ? count : SF_ERR_THRESHOLD;
}

static int decode_signed(struct sf_bytes in, const struct sf_cose_sign *sign,
                         const struct sf_crypto *crypto, struct sf_root *out, struct sf_diag *diag)
{
    struct sf_diag inner = {0};
    const int err = sf_root_decode(sign->payload, crypto, out, &inner);
    return err < 0 ? sf_fail(diag, err, (size_t)(sign->payload.data - in.data) + inner.offset,
                             inner.why)
                   : SF_OK;
}

int sf_root_follows(const struct sf_root *next, const struct sf_root *trusted)
{
    if (trusted->version == UINT32_MAX || next->version != trusted->version + 1) {
        return SF_ERR_ROOT_VERSION;
    }
    for (unsigned i = 0; i < SF_ROLE_COUNT; i++) {
        if (next->role[i].epoch < trusted->role[i].epoch) {
            return SF_ERR_ROOT_LINEAGE;
        }
    }
    return memcmp(next->fleet_id, trusted->fleet_id, SF_FLEET_ID_SIZE) == 0 ? SF_OK
                                                                            : SF_ERR_ROOT_LINEAGE;
}

int sf_root_open_next(struct sf_bytes in, const struct sf_root *trusted,
                      const struct sf_crypto *crypto, struct sf_root *out, struct sf_diag *diag)
{
    struct sf_cose_sign sign;
    int err = sf_root_peek(in, &sign, diag);
    if (err < 0) {
        return err;
    }
    err = check_threshold(&sign, trusted, NULL, crypto);
    if (err < 0) {
        return sf_fail(diag, err, 0, "not signed by the threshold of the trusted root's keys");
    }
    err = decode_signed(in, &sign, crypto, out, diag);
    if (err < 0) {
        return err;
    }
    err = check_threshold(&sign, out, trusted, crypto);
    if (err < 0) {
        return sf_fail(diag, err, 0, "not signed by the threshold of its own root keys");
    }
    err = sf_root_follows(out, trusted);
    return err < 0 ? sf_fail(diag, err, 0, "does not follow the trusted root") : SF_OK;
}

int sf_root_open_first(struct sf_bytes in, const struct sf_crypto *crypto, struct sf_root *out,
                       struct sf_diag *diag)
{
    struct sf_cose_sign sign;
    int err = sf_root_peek(in, &sign, diag);
    if (err == SF_OK) {
        err = decode_signed(in, &sign, crypto, out, diag);
    }
    if (err < 0) {
        return err;
    }
    err = check_threshold(&sign, out, NULL, crypto);
    if (err >= 0) {
        err = err == (int)sign.count ? SF_OK : SF_ERR_KEY_UNKNOWN;
    }
    return err < 0 ? sf_fail(diag, err, 0, "not signed by the threshold of its own root keys")
                   : SF_OK;
}
