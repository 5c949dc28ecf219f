#ifndef SF_COSE_H
#define SF_COSE_H

#include "formats/cbor.h"
#include "formats/crypto.h"

/* COSE_Sign1 with ESP256 (RFC 9052, RFC 9864) and P-256 COSE keys. */

enum {
    SF_KID_SIZE = 8, /* first bytes of the COSE Key Thumbprint, RFC 9679 */
    SF_COSE_ESP256 = -9,
    SF_COSE_ES256 = -7, /* accepted: the key record says P-256 */
    SF_COSE_SIGN1_TAG = 18,
    SF_COSE_SIGN1_OVERHEAD = 84, /* bytes of ours with a detached payload, all told */
    SF_COSE_KEY_SIZE = 75,
    SF_COSE_PROTECTED_SIZE = 13, /* {1: -9, 4: kid} */
};

struct sf_public_key {
    uint8_t xy[SF_P256_KEY_SIZE];
    uint8_t kid[SF_KID_SIZE];
};

/* Makes the kid of x || y: whoever reads a key recomputes it. */
int sf_public_key_init(struct sf_public_key *key, const struct sf_crypto *crypto,
                       const uint8_t xy[SF_P256_KEY_SIZE]) __attribute__((warn_unused_result));

/* A COSE_Key {1: 2, -1: 1, -2: x, -3: y}, SF_COSE_KEY_SIZE bytes; the reader takes no other. */
void sf_cose_key_write(struct sf_cbor_writer *w, const uint8_t xy[SF_P256_KEY_SIZE]);
void sf_cose_key_read(struct sf_cbor_reader *r, uint8_t xy[SF_P256_KEY_SIZE]);

/* Signs a SHA-256 digest with a private key that formats/ never sees. Hosts only. */
struct sf_signer {
    void *ctx;
    uint8_t kid[SF_KID_SIZE];
    int (*sign)(void *ctx, const uint8_t digest[SF_SHA256_SIZE],
                uint8_t signature[SF_P256_SIGNATURE_SIZE]);
};

struct sf_cose_sign1 {
    struct sf_bytes protected_header; /* the map's bytes, inside its bstr */
    int has_kid;
    struct sf_bytes kid; /* of any length as found */
    int64_t algorithm;
    int has_payload;         /* 0: nil, the payload is detached */
    struct sf_bytes payload; /* embedded */
    struct sf_bytes signature;
};

/* Decodes a tagged COSE_Sign1; unprotected headers must be empty, protected ones may be alg,
 * content type and kid. Errors: CBOR and its kin, UNSUPPORTED for another header, ALGORITHM for one
 * that is neither ESP256 nor ES256. The views point into `in`. */
int sf_cose_sign1_decode(struct sf_bytes in, struct sf_cose_sign1 *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

enum sf_cose_kid_check { SF_COSE_KID_REQUIRED, SF_COSE_KID_IGNORED };

/* With what signatures are verified. */
struct sf_verifier {
    const struct sf_public_key *key; /* the first of key_count */
    const struct sf_crypto *crypto;
    enum sf_cose_kid_check kid_check; /* IGNORED is for foreign profiles and one key only */
    uint8_t key_count;                /* 0 = one */
    uint8_t threshold; /* how many different keys must have signed an envelope; 0 = one */
};

/* Verifies the signature, by the first of the keys, over Sig_structure ["Signature1", protected,
 * h'', payload]; `payload` is the detached bytes or sign1->payload. Errors: KEY_UNKNOWN (kid
 * differs), SIGNATURE. */
int sf_cose_sign1_verify(const struct sf_cose_sign1 *sign1, struct sf_bytes payload,
                         const struct sf_verifier *by) __attribute__((warn_unused_result));

/* What a COSE_Sign1 and each signature of a COSE_Sign (formats/cose_sign.h) have in common: the
 * protected header inside its bstr, the empty unprotected one, and the signature. */
void sf_cose_headers_read(struct sf_cbor_reader *r, struct sf_cose_sign1 *out);
void sf_cose_signature_read(struct sf_cbor_reader *r, struct sf_cose_sign1 *out);
void sf_cose_protected_write(uint8_t out[SF_COSE_PROTECTED_SIZE], const uint8_t kid[SF_KID_SIZE]);

enum sf_cose_payload { SF_COSE_EMBEDDED, SF_COSE_DETACHED };

/* Signs and writes the tagged COSE_Sign1 with protected {1: -9, 4: kid}. The writer's error or the
 * signer's is returned. An embedded payload may lie in the writer's own buffer, at or behind the
 * place it is written to. */
int sf_cose_sign1_write(struct sf_cbor_writer *w, struct sf_bytes payload,
                        enum sf_cose_payload where, const struct sf_signer *signer,
                        const struct sf_crypto *crypto) __attribute__((warn_unused_result));

#endif
