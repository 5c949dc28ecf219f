#ifndef SF_ENVELOPE_H
#define SF_ENVELOPE_H

#include "formats/cose.h"

/* The authentication of a SUIT envelope (draft-ietf-suit-manifest-37), of our profile or any other.
 * formats/manifest.h has what is inside. */

enum {
    SF_ENVELOPE_MAX = 1024, /* bytes; devices take no longer one */
    SF_ENVELOPE_SIGNATURE_MAX = 2,
};

/* What the authentication of an envelope tells; views into it. */
struct sf_envelope {
    struct sf_bytes manifest;       /* inside its bstr */
    uint8_t digest[SF_SHA256_SIZE]; /* the manifest digest, over the bstr header too */
    unsigned severed_count;         /* members besides authentication and manifest */
    unsigned signature_count;       /* all of them verified */
};

/* Verifies the authentication of any envelope, ours or foreign: SUIT_Digest over the manifest with
 * its bstr header, one or two COSE_Sign1 over the SUIT_Digest, each by another of the verifier's
 * keys, every other member covered by a SUIT_Digest in the manifest. Errors: CBOR and its kin,
 * DIGEST, KEY_UNKNOWN, ALGORITHM, SIGNATURE, DUPLICATE (both by one key), THRESHOLD, UNCOVERED.
 * `out` is written on success only. */
int sf_envelope_verify(struct sf_bytes envelope, const struct sf_verifier *by,
                       struct sf_envelope *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Finds the manifest's bytes in an envelope without verifying anything: for showing. */
int sf_envelope_peek(struct sf_bytes envelope, struct sf_bytes *manifest_out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Adds a second signature. The first is not verified, the digest is. Returns the new envelope's
 * length, or an error: DIGEST, DUPLICATE (the same key), RANGE (there are two already), UNSUPPORTED
 * (an envelope with further members), NOSPC, and CBOR and its kin. `out` is another buffer. */
int32_t sf_envelope_cosign(struct sf_bytes envelope, const struct sf_signer *signer,
                           const struct sf_crypto *crypto, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));

#endif
