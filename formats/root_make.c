/* Writing trust roots.
 *
 * Invariant: what sf_root_encode() returns, sf_root_decode() takes. */
#include "formats/root_make.h"

#include <string.h>

#include "formats/root_fields.h"

static void draft_keys(const struct sf_root *root, enum sf_role role, struct sf_root_draft *out)
{
    out->threshold[role] = root->role[role].threshold;
    out->epoch[role] = root->role[role].epoch;
    for (unsigned i = 0; i < root->role[role].count && out->key_count < SF_ROOT_KEY_MAX; i++) {
        struct sf_root_draft_key *to = &out->key[out->key_count];
        if (sf_root_key(root, role, i, &to->key) == SF_OK) {
            to->role = role;
            out->key_count++;
        }
    }
}

void sf_root_draft_from(const struct sf_root *root, struct sf_root_draft *out)
{
    memset(out, 0, sizeof(*out));
    out->version = root->version;
    out->issued_at = root->issued_at;
    out->expires = root->expires;
    out->policy = root->policy;
    memcpy(out->fleet_id, root->fleet_id, SF_FLEET_ID_SIZE);
    for (int role = 0; role < SF_ROLE_COUNT; role++) {
        draft_keys(root, (enum sf_role)role, out);
    }
    const uint8_t *digest = NULL;
    while (out->revoked_count < SF_ROOT_REVOKED_MAX &&
           (digest = sf_root_revoked(root, out->revoked_count)) != NULL) {
        memcpy(out->revoked[out->revoked_count++], digest, SF_SHA256_SIZE);
    }
    while (out->anchor_count < SF_ROOT_ANCHOR_MAX &&
           (digest = sf_root_anchor(root, out->anchor_count)) != NULL) {
        memcpy(out->anchor[out->anchor_count++], digest, SF_SHA256_SIZE);
    }
    while (out->minimum_count < SF_ROOT_MINIMUM_MAX &&
           sf_root_minimum(root, out->minimum_count, &out->minimum[out->minimum_count]) == SF_OK) {
        out->minimum_count++;
    }
}

/* ---- encode ---- */

static void write_key_uint(struct sf_cbor_writer *w, int64_t field, uint64_t value)
{
    sf_cbor_write_int(w, field);
    sf_cbor_write_uint(w, value);
}

/* A draft's keys in the order of their kids. The kid is the end of struct sf_public_key, so the
 * keys are compared by a copy of it. */
static const struct sf_root_draft_key *nth_key(const struct sf_root_draft *d, unsigned nth)
{
    uint8_t kid[SF_ROOT_KEY_MAX][SF_KID_SIZE];
    for (unsigned i = 0; i < d->key_count; i++) {
        memcpy(kid[i], d->key[i].key.kid, SF_KID_SIZE);
    }
    return &d->key[sf_cbor_nth(kid, SF_KID_SIZE, SF_KID_SIZE, d->key_count, nth)];
}

static void write_keys(struct sf_cbor_writer *w, const struct sf_root_draft *d)
{
    sf_cbor_write_int(w, SF_ROOT_FIELD_KEYS);
    sf_cbor_write_map(w, d->key_count);
    for (unsigned i = 0; i < d->key_count; i++) {
        const struct sf_root_draft_key *k = nth_key(d, i);
        sf_cbor_write_bytes(w, k->key.kid, SF_KID_SIZE);
        sf_cose_key_write(w, k->key.xy);
    }
}

static unsigned keys_of(const struct sf_root_draft *d, enum sf_role role)
{
    unsigned count = 0;
    for (unsigned i = 0; i < d->key_count; i++) {
        count += d->key[i].role == role;
    }
    return count;
}

/* [threshold, [kid ...], epoch]. A delta role without a key is left out. */
static void write_role(struct sf_cbor_writer *w, const struct sf_root_draft *d, enum sf_role role)
{
    sf_cbor_write_int(w, role);
    sf_cbor_write_array(w, 3);
    sf_cbor_write_uint(w, d->threshold[role]);
    sf_cbor_write_array(w, keys_of(d, role));
    for (unsigned i = 0; i < d->key_count; i++) {
        const struct sf_root_draft_key *k = nth_key(d, i);
        if (k->role == role) {
            sf_cbor_write_bytes(w, k->key.kid, SF_KID_SIZE);
        }
    }
    sf_cbor_write_uint(w, d->epoch[role]);
}

static void write_roles(struct sf_cbor_writer *w, const struct sf_root_draft *d)
{
    const unsigned count = keys_of(d, SF_ROLE_DELTA) > 0 ? SF_ROLE_COUNT : SF_ROLE_DELTA;
    sf_cbor_write_int(w, SF_ROOT_FIELD_ROLES);
    sf_cbor_write_map(w, count);
    for (unsigned role = 0; role < count; role++) {
        write_role(w, d, (enum sf_role)role);
    }
}

static void write_digests(struct sf_cbor_writer *w, const uint8_t digest[][SF_SHA256_SIZE],
                          unsigned count)
{
    sf_cbor_write_array(w, count);
    for (unsigned i = 0; i < count; i++) {
        sf_cbor_write_bytes(w, digest[i], SF_SHA256_SIZE);
    }
}

static void write_revoked(struct sf_cbor_writer *w, const struct sf_root_draft *d)
{
    sf_cbor_write_int(w, SF_ROOT_FIELD_REVOKED);
    sf_cbor_write_array(w, 2);
    write_digests(w, d->revoked, d->revoked_count);
    sf_cbor_write_map(w, d->minimum_count);
    for (unsigned i = 0; i < d->minimum_count; i++) {
        const struct sf_root_minimum *m = &d->minimum[sf_cbor_nth(
            d->minimum, sizeof(d->minimum[0]), SF_UUID_SIZE, d->minimum_count, i)];
        sf_cbor_write_bytes(w, m->class_uuid, SF_UUID_SIZE);
        sf_cbor_write_uint(w, m->seq);
    }
}

static void write_payload(struct sf_cbor_writer *w, const struct sf_root_draft *d)
{
    const int revokes = d->revoked_count > 0 || d->minimum_count > 0;
    sf_cbor_write_map(w, 7U + (d->policy != 0) + (unsigned)revokes + (d->anchor_count > 0));
    write_key_uint(w, SF_ROOT_FIELD_SPEC, SF_ROOT_SPEC);
    write_key_uint(w, SF_ROOT_FIELD_VERSION, d->version);
    write_key_uint(w, SF_ROOT_FIELD_ISSUED_AT, (uint64_t)d->issued_at);
    write_key_uint(w, SF_ROOT_FIELD_EXPIRES, (uint64_t)d->expires);
    write_keys(w, d);
    write_roles(w, d);
    sf_cbor_write_int(w, SF_ROOT_FIELD_FLEET);
    sf_cbor_write_bytes(w, d->fleet_id, SF_FLEET_ID_SIZE);
    if (d->policy != 0) {
        write_key_uint(w, SF_ROOT_FIELD_POLICY, d->policy);
    }
    if (revokes) {
        write_revoked(w, d);
    }
    if (d->anchor_count > 0) {
        sf_cbor_write_int(w, SF_ROOT_FIELD_ANCHORS);
        write_digests(w, d->anchor, d->anchor_count);
    }
}

int32_t sf_root_encode(const struct sf_root_draft *draft, const struct sf_crypto *crypto,
                       struct sf_diag *diag, uint8_t *out, size_t size)
{
    struct sf_root check;
    struct sf_cbor_writer w;
    if (draft->key_count > SF_ROOT_KEY_MAX || draft->revoked_count > SF_ROOT_REVOKED_MAX ||
        draft->minimum_count > SF_ROOT_MINIMUM_MAX || draft->anchor_count > SF_ROOT_ANCHOR_MAX) {
        return sf_fail(diag, SF_ERR_RANGE, 0, "more keys, revocations or anchors than allowed");
    }
    sf_cbor_write_init(&w, out, size);
    write_payload(&w, draft);
    const int32_t len = sf_cbor_write_end(&w);
    if (len < 0) {
        return sf_fail(diag, len, size, "does not fit");
    }
    const int err = sf_root_decode((struct sf_bytes){out, (size_t)len}, crypto, &check, diag);
    return err < 0 ? err : len;
}

/* ---- sign ---- */

static struct sf_cose_sign body(struct sf_bytes payload)
{
    return (struct sf_cose_sign){.protected_header = sf_root_protected(), .payload = payload};
}

int sf_root_sign(struct sf_bytes payload, const struct sf_signer *signer,
                 const struct sf_crypto *crypto, struct sf_cose_signature *out)
{
    const struct sf_cose_sign sign = body(payload);
    return sf_cose_sign_make(&sign, signer, crypto, out);
}

unsigned sf_root_signatures(const struct sf_cose_sign *sign,
                            struct sf_cose_signature out[SF_COSE_SIGNATURE_MAX])
{
    struct sf_cose_sign1 entry;
    size_t cursor = 0;
    unsigned count = 0;
    while (count < SF_COSE_SIGNATURE_MAX && sf_cose_sign_next(sign, &cursor, &entry)) {
        memcpy(out[count].kid, entry.kid.data, SF_KID_SIZE);
        memcpy(out[count++].signature, entry.signature.data, SF_P256_SIGNATURE_SIZE);
    }
    return count;
}

int32_t sf_root_assemble(struct sf_bytes payload, const struct sf_cose_signature *signatures,
                         unsigned count, uint8_t *out, size_t size)
{
    const struct sf_cose_sign sign = body(payload);
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, size < SF_ROOT_MAX ? size : SF_ROOT_MAX);
    return sf_cose_sign_write(&sign, signatures, count, &w);
}
