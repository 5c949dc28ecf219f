#ifndef SF_STATUS_H
#define SF_STATUS_H

#include "formats/cose.h"
#include "formats/image.h"

/* The status: what this device should run now, and what time it is; the signed answer to one
 * check-in (docs/formats.md). COSE_Sign1 with embedded payload, signed by the server's status key.
 */

enum {
    SF_STATUS_MAX = 768, /* bytes, signature included */
    SF_NONCE_SIZE = 16,
    SF_STATUS_TYPE = 2,
    SF_STATUS_MIRROR_MAX = 4,
};

enum sf_status_action {
    SF_STATUS_STAY = 0,
    SF_STATUS_INSTALL = 1,
    SF_STATUS_ROLL_BACK = 2,
    SF_STATUS_CANCEL = 3,
};

struct sf_target {
    uint8_t image_digest[SF_SHA256_SIZE];
    uint8_t manifest_digest[SF_SHA256_SIZE];
    uint32_t manifest_size; /* of the envelope as served, bytes */
    uint32_t epoch;
    uint64_t seq;
};

struct sf_status {
    uint64_t counter;                             /* 2: the device's desired_seq */
    int64_t time;                                 /* 3: Unix seconds */
    int64_t expires;                              /* 4 */
    uint32_t root_version;                        /* 5: 0 while the firmware holds two bare keys */
    uint8_t nonce[SF_NONCE_SIZE];                 /* 6 */
    uint8_t device_digest[SF_SHA256_SIZE];        /* 7: SHA-256 of the device id */
    uint8_t class_uuid[SF_UUID_SIZE];             /* 8 */
    int has_target;                               /* 9 is not null */
    struct sf_target target;                      /* 9 */
    uint8_t action;                               /* 10: enum sf_status_action */
    struct sf_bytes patches;                      /* 11: the raw array; len 0 = absent */
    uint32_t next_checkin_s;                      /* 12 */
    struct sf_bytes mirror[SF_STATUS_MIRROR_MAX]; /* 13: texts */
    unsigned mirror_count;
    uint64_t outcome_ack;        /* 14: counter of the outcome acknowledged; 0 = none */
    uint32_t wanted;             /* 15: bit 0 = attributes; 0 = absent */
    uint32_t max_secure_version; /* 16: highest that may be burnt; 0 = absent, nothing permitted */
};

/* Verifies the signature, then decodes. Binding (nonce, device, class, root, expiry, counter) is
 * the caller's to check: device/trust.c. Views point into `in`. Errors: TOO_LARGE, CBOR,
 * KEY_UNKNOWN, ALGORITHM, SIGNATURE, RANGE. `out` is not touched before the signature has verified.
 * Unknown keys above 16 are ignored: what must not be overlooked gets another SF_STATUS_TYPE. */
int sf_status_open(struct sf_bytes in, const struct sf_public_key *key,
                   const struct sf_crypto *crypto, struct sf_status *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Encodes and signs. Returns the length or an error. */
int32_t sf_status_sign(const struct sf_status *s, const struct sf_signer *signer,
                       const struct sf_crypto *crypto, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));

#endif
