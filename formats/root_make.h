#ifndef SF_ROOT_MAKE_H
#define SF_ROOT_MAKE_H

#include "formats/root.h"

/* Writing trust roots. Hosts only: a device never makes one.
 *
 *     struct sf_root_draft draft;                  // from scratch, or sf_root_draft_from()
 *     uint8_t payload[SF_ROOT_PAYLOAD_MAX];
 *     int32_t len = sf_root_encode(&draft, crypto, NULL, payload, sizeof(payload));
 *     err = sf_root_sign(body, &signer, crypto, &signature[0]);   // on each key's machine
 *     len = sf_root_assemble(body, signature, count, file, sizeof(file)); */

struct sf_root_draft_key {
    struct sf_public_key key;
    enum sf_role role;
};

/* A trust root with its own memory, in any order. All zeros is an empty one. */
struct sf_root_draft {
    int64_t issued_at; /* Unix seconds */
    int64_t expires;
    uint32_t version;
    uint32_t policy; /* enum sf_root_policy */
    uint8_t fleet_id[SF_FLEET_ID_SIZE];
    uint8_t threshold[SF_ROLE_COUNT];
    uint32_t epoch[SF_ROLE_COUNT];
    unsigned key_count;
    unsigned revoked_count;
    unsigned minimum_count;
    unsigned anchor_count;
    struct sf_root_draft_key key[SF_ROOT_KEY_MAX];
    uint8_t revoked[SF_ROOT_REVOKED_MAX][SF_SHA256_SIZE]; /* manifest digests */
    struct sf_root_minimum minimum[SF_ROOT_MINIMUM_MAX];
    uint8_t anchor[SF_ROOT_ANCHOR_MAX][SF_SHA256_SIZE];
};

/* A draft that says what `root` says, its version included. */
void sf_root_draft_from(const struct sf_root *root, struct sf_root_draft *out);

/* Writes the payload and reads it again, so that what is written is what sf_root_decode() takes.
 * Returns the length, NOSPC, or decode's error with `diag` from the start of the payload. */
int32_t sf_root_encode(const struct sf_root_draft *draft, const struct sf_crypto *crypto,
                       struct sf_diag *diag, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));

/* Signs a payload. The signer's key must be a root key of this root or of the one before it: that
 * is whoever verifies it to say. */
int sf_root_sign(struct sf_bytes payload, const struct sf_signer *signer,
                 const struct sf_crypto *crypto, struct sf_cose_signature *out)
    __attribute__((warn_unused_result));

/* Takes the signatures out of a decoded COSE_Sign: to merge those of several files. Returns how
 * many there are, at most SF_COSE_SIGNATURE_MAX. */
unsigned sf_root_signatures(const struct sf_cose_sign *sign,
                            struct sf_cose_signature out[SF_COSE_SIGNATURE_MAX]);

/* Writes payload and signatures (in any order) as a trust root. Returns the length, or NOSPC (more
 * than SF_ROOT_MAX bytes), DUPLICATE (two by one key), RANGE (none, or more than twelve). */
int32_t sf_root_assemble(struct sf_bytes payload, const struct sf_cose_signature *signatures,
                         unsigned count, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));

#endif
