#ifndef SF_ROOT_H
#define SF_ROOT_H

#include "formats/cose_sign.h"
#include "formats/image.h"

/* The trust root: the signed list of keys and roles that devices trust (docs/formats.md). A
 * COSE_Sign whose signers are the root role's keys, of this root and of the one before.
 * formats/root_make.h writes one.
 *
 * Roots are numbered. A device that trusts N takes N+1, if the threshold of N's root keys and the
 * threshold of N+1's own root keys have signed it, and then N+2. */

enum {
    SF_ROOT_MAX = 2048,         /* bytes, signatures included */
    SF_ROOT_PAYLOAD_MAX = 1408, /* bytes: what a device keeps of it, in half a sector */
    SF_ROOT_SPEC = 1,
    SF_ROOT_KEY_MAX = 12,
    SF_ROOT_ROOT_KEY_MAX = 8, /* of the root role */
    SF_ROOT_ROLE_KEY_MAX = 4, /* of each other role */
    SF_ROOT_RELEASE_THRESHOLD_MAX = 2,
    SF_ROOT_REVOKED_MAX = 16,
    SF_ROOT_MINIMUM_MAX = 16, /* classes with a minimum seq */
    SF_ROOT_ANCHOR_MAX = 4,
    SF_FLEET_ID_SIZE = 16,
};

enum sf_role {
    SF_ROLE_ROOT = 0,    /* signs trust roots */
    SF_ROLE_RELEASE = 1, /* signs manifests */
    SF_ROLE_STATUS = 2,  /* signs statuses: the one key that lives on the server */
    SF_ROLE_DELTA = 3,   /* signs patches; may be absent */
    SF_ROLE_COUNT = 4,
};

enum sf_root_policy {
    SF_ROOT_ALLOW_OFFLINE = 1 << 0, /* without a status, the release keys alone say what runs */
};

struct sf_root_role {
    struct sf_bytes kids; /* the entries of the array, 9 bytes each */
    uint32_t epoch;       /* a new one resets what is counted under this role's keys */
    uint8_t count;        /* of keys; 0 = the role is absent (SF_ROLE_DELTA only) */
    uint8_t threshold;    /* 1 .. count */
};

/* Decoded, as views into the payload. Use the functions below for what the views hold. */
struct sf_root {
    struct sf_bytes payload;
    struct sf_bytes keys; /* entries of 84 bytes */
    struct sf_root_role role[SF_ROLE_COUNT];
    int64_t issued_at; /* Unix seconds */
    int64_t expires;
    struct sf_bytes revoked; /* entries of 34 bytes */
    struct sf_bytes minimums;
    struct sf_bytes anchors; /* entries of 34 bytes */
    uint32_t version;        /* 1 .. */
    uint32_t policy;         /* enum sf_root_policy; unknown bits are kept and mean nothing */
    unsigned minimum_count;
    uint8_t fleet_id[SF_FLEET_ID_SIZE];
};

/* A root as it is transferred, nothing of it verified. */
int sf_root_peek(struct sf_bytes in, struct sf_cose_sign *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Decodes a payload: for one that is trusted by where it comes from (the firmware, a record), and
 * for showing. Each kid is computed again. Errors: TOO_LARGE, CBOR and its kin, VERSION (another
 * spec), RANGE (a count, a threshold, a time), ALGORITHM (a key that is not P-256), KEY_UNKNOWN (a
 * kid that is not its key's, a role that names no key), DUPLICATE (a key in two roles). */
int sf_root_decode(struct sf_bytes payload, const struct sf_crypto *crypto, struct sf_root *out,
                   struct sf_diag *diag) __attribute__((warn_unused_result));

/* Opens the successor of `trusted`. The payload is not parsed before the threshold of `trusted`'s
 * root keys has verified, and `out` is not touched before that. Every signature must be by a root
 * key of either and verify. Expiry is not looked at. Errors besides decode's: KEY_UNKNOWN,
 * SIGNATURE, THRESHOLD, ROOT_VERSION (not exactly the next), ROOT_LINEAGE (another fleet, an epoch
 * that goes back). */
int sf_root_open_next(struct sf_bytes in, const struct sf_root *trusted,
                      const struct sf_crypto *crypto, struct sf_root *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Opens a root that nothing before it vouches for, and checks that it is signed by the threshold of
 * its own root keys. Whoever calls this must know by other means that it is the right one. */
int sf_root_open_first(struct sf_bytes in, const struct sf_crypto *crypto, struct sf_root *out,
                       struct sf_diag *diag) __attribute__((warn_unused_result));

/* What N+1 must have in common with N, signatures apart. SF_OK, ROOT_VERSION or ROOT_LINEAGE. */
int sf_root_follows(const struct sf_root *next, const struct sf_root *trusted)
    __attribute__((warn_unused_result));

/* 1 if `root` has expired at `now`. Only the last root of a walk is asked: an expired one is still
 * used to fetch its successor, and what a root in between says of its expiry counts for nothing. */
int sf_root_expired(const struct sf_root *root, int64_t now);

/* The index-th key of a role; SF_ERR_NOTFOUND behind the last. */
int sf_root_key(const struct sf_root *root, enum sf_role role, unsigned index,
                struct sf_public_key *out) __attribute__((warn_unused_result));

/* The index-th revoked manifest digest; NULL behind the last. */
const uint8_t *sf_root_revoked(const struct sf_root *root, unsigned index);

/* Whether the root revokes the manifest with this digest. */
int sf_root_revokes(const struct sf_root *root, const uint8_t manifest_digest[SF_SHA256_SIZE]);

struct sf_root_minimum {
    uint8_t class_uuid[SF_UUID_SIZE];
    uint64_t seq;
};

/* The index-th class with a minimum seq; SF_ERR_NOTFOUND behind the last. */
int sf_root_minimum(const struct sf_root *root, unsigned index, struct sf_root_minimum *out)
    __attribute__((warn_unused_result));

/* The least seq that may be installed of a class in the release role's epoch; 0 = any. */
uint64_t sf_root_minimum_seq(const struct sf_root *root, const uint8_t class_uuid[SF_UUID_SIZE]);

/* The index-th TLS trust anchor, SHA-256 of its SubjectPublicKeyInfo; NULL behind the last. */
const uint8_t *sf_root_anchor(const struct sf_root *root, unsigned index);

#endif
