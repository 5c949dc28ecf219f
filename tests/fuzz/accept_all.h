#ifndef ACCEPT_ALL_H
#define ACCEPT_ALL_H

#include <string.h>

#include "formats/cose.h"

/* Cryptography for fuzzing: every digest is zero and every signature verifies, so that the parsers
 * behind a signature are reached. */

static inline int accept_start(void *ctx, struct sf_sha256 *hash)
{
    (void)ctx;
    memset(hash, 0, sizeof(*hash));
    return SF_OK;
}

/* Reads every byte, so that the sanitizer sees a view that is too long. */
static inline int accept_feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    (void)ctx;
    const volatile uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        hash->opaque[0] += p[i];
    }
    return SF_OK;
}

static inline int accept_end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SHA256_SIZE])
{
    (void)ctx;
    (void)hash;
    if (digest != NULL) {
        memset(digest, 0, SF_SHA256_SIZE);
    }
    return SF_OK;
}

static inline int accept_verify(void *ctx, const uint8_t key[SF_P256_KEY_SIZE],
                                const uint8_t digest[SF_SHA256_SIZE],
                                const uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    (void)ctx;
    (void)key;
    (void)digest;
    return signature != NULL ? SF_OK : SF_ERR_SIGNATURE;
}

static inline int accept_sign(void *ctx, const uint8_t digest[SF_SHA256_SIZE],
                              uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    (void)ctx;
    (void)digest;
    memset(signature, 0, SF_P256_SIGNATURE_SIZE);
    return SF_OK;
}

static inline int accept_random(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 0, len);
    return SF_OK;
}

static const struct sf_crypto accept_all = {
    .sha256_start = accept_start,
    .sha256_feed = accept_feed,
    .sha256_end = accept_end,
    .verify_p256 = accept_verify,
    .random = accept_random,
};
static const struct sf_public_key accept_key; /* kid 0 */
static const struct sf_signer accept_signer = {.sign = accept_sign};

#endif
