#ifndef SF_MANIFEST_H
#define SF_MANIFEST_H

#include "formats/envelope.h"
#include "formats/image.h"

/* The manifest: a SUIT envelope (draft-ietf-suit-manifest-37) in our closed profile, signed by the
 * release key. Says what the image is. docs/formats.md has its bytes. */

enum {
    SF_MANIFEST_URI_MAX = 127,
    SF_MANIFEST_VERSION_PARTS = 5, /* major, minor, patch, [-1 rc | -2 beta | -3 alpha, number] */
};

struct sf_manifest {
    uint64_t seq;
    uint8_t vendor_uuid[SF_UUID_SIZE];
    uint8_t class_uuid[SF_UUID_SIZE];
    uint8_t image_digest[SF_SHA256_SIZE];
    uint32_t image_size; /* bytes */
    int32_t version[SF_MANIFEST_VERSION_PARTS];
    unsigned version_count;            /* 3 or 5 */
    char uri[SF_MANIFEST_URI_MAX + 1]; /* relative: "/artifacts/<sha256>" */
    uint8_t digest[SF_SHA256_SIZE];    /* the manifest digest; written by open and sign */
};

/* Verifies an envelope of our profile and decodes it. The signature is verified before anything of
 * the manifest is parsed, and `out` is not touched before that. Errors besides those: TOO_LARGE
 * (more than SF_ENVELOPE_MAX), PROFILE. */
int sf_manifest_open(struct sf_bytes envelope, const struct sf_public_key *key,
                     const struct sf_crypto *crypto, struct sf_manifest *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* The same with one or two signatures, as many as `by` wants (THRESHOLD, DUPLICATE). */
int sf_manifest_open_by(struct sf_bytes envelope, const struct sf_verifier *by,
                        struct sf_manifest *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Decodes the manifest itself, without any authentication: for showing what a file says. All of
 * `out` but the digest is written. `diag` counts from the start of `manifest`. */
int sf_manifest_decode(struct sf_bytes manifest, struct sf_manifest *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Encodes, signs once (sf_envelope_cosign() adds a second) and fills m->digest. Returns the
 * envelope's length or an error (PROFILE for a version or uri that does not fit, NOSPC).
 * SF_ENVELOPE_MAX always suffices. */
int32_t sf_manifest_sign(struct sf_manifest *m, const struct sf_signer *signer,
                         const struct sf_crypto *crypto, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));

/* "1.2.0" or "1.2.0-rc.1" to parts; SF_ERR_PROFILE if it does not fit the manifest's version. */
int sf_manifest_version_parse(const char *text, struct sf_manifest *out)
    __attribute__((warn_unused_result));

/* Writes "1.2.0" or "1.2.0-rc.1"; 64 bytes always suffice. */
void sf_manifest_version_text(const struct sf_manifest *m, char out[64]);

#endif
