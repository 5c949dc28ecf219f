#ifndef SF_COSE_SIGN_H
#define SF_COSE_SIGN_H

#include "formats/cose.h"

/* COSE_Sign (RFC 9052 section 4.1): one payload, several signatures.
 *
 *     98([ protected, {}, payload, [ [bstr {1: -9, 4: kid}, {}, r || s], ... ] ])
 *
 * Ours alone: the body's protected header is one that the caller names, the payload is embedded,
 * and the signatures stand in ascending order of their kid, so none can be there twice. */

enum {
    SF_COSE_SIGN_TAG = 98,
    SF_COSE_SIGNATURE_MAX = 12,
    SF_COSE_SIGNATURE_SIZE = 82, /* bytes that each signature adds */
};

struct sf_cose_sign {
    struct sf_bytes protected_header; /* the body's, inside its bstr */
    struct sf_bytes payload;
    struct sf_bytes signatures; /* the entries, without the array's head */
    unsigned count;             /* 1 .. SF_COSE_SIGNATURE_MAX */
};

/* Decodes the frame and checks every entry's shape; verifies nothing. The views point into `in`.
 * Errors: CBOR and its kin, UNSUPPORTED for another header, ALGORITHM, DUPLICATE (a kid), RANGE. */
int sf_cose_sign_decode(struct sf_bytes in, struct sf_bytes protected_header,
                        struct sf_cose_sign *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* The entries one after the other, from a cursor that is 0 at first; 0 at the end. Only `kid`,
 * `algorithm`, `protected_header` and `signature` of `out` are written. */
int sf_cose_sign_next(const struct sf_cose_sign *sign, size_t *cursor, struct sf_cose_sign1 *out);

/* Verifies one entry over Sig_structure ["Signature", body protected, its protected, h'', payload].
 * Errors: KEY_UNKNOWN (kid differs), ALGORITHM, SIGNATURE. */
int sf_cose_sign_verify(const struct sf_cose_sign *sign, const struct sf_cose_sign1 *entry,
                        const struct sf_public_key *key, const struct sf_crypto *crypto)
    __attribute__((warn_unused_result));

struct sf_cose_signature {
    uint8_t kid[SF_KID_SIZE];
    uint8_t signature[SF_P256_SIGNATURE_SIZE];
};

/* Signs `payload`; of `sign` the body's protected header and the payload are used. */
int sf_cose_sign_make(const struct sf_cose_sign *sign, const struct sf_signer *signer,
                      const struct sf_crypto *crypto, struct sf_cose_signature *out)
    __attribute__((warn_unused_result));

/* Writes the whole from a body and its signatures, in any order. Returns the length, or NOSPC,
 * RANGE (count), DUPLICATE (a kid). */
int32_t sf_cose_sign_write(const struct sf_cose_sign *sign,
                           const struct sf_cose_signature *signatures, unsigned count,
                           struct sf_cbor_writer *w) __attribute__((warn_unused_result));

#endif
