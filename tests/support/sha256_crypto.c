#include "tests/support/sha256_crypto.h"

#include <openssl/evp.h>

#include "formats/err.h"

static int start(void *ctx, struct sf_sha256 *hash)
{
    (void)ctx;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    hash->opaque[0] = (uint64_t)(uintptr_t)md;
    return md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 ? SF_OK : SF_ERR_CRYPTO;
}

static EVP_MD_CTX *context(const struct sf_sha256 *hash)
{
    return (EVP_MD_CTX *)(uintptr_t)hash->opaque[0]; /* NOLINT(performance-no-int-to-ptr) */
}

static int feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    (void)ctx;
    return EVP_DigestUpdate(context(hash), data, len) == 1 ? SF_OK : SF_ERR_CRYPTO;
}

static int end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SHA256_SIZE])
{
    (void)ctx;
    EVP_MD_CTX *md = context(hash);
    const int ok = digest == NULL || EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok ? SF_OK : SF_ERR_CRYPTO;
}

const struct sf_crypto *sha256_crypto(void)
{
    static const struct sf_crypto crypto = {
        .sha256_start = start, .sha256_feed = feed, .sha256_end = end};
    return &crypto;
}
