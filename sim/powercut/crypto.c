/* The device's cryptography in a simulation: SHA-256 of OpenSSL in contexts that a power loss gives
 * back, signatures by PSA or by a keyed MAC, and random numbers that repeat. */
#include <openssl/evp.h>
#include <string.h>

#include "sim/powercut/world.h"

static EVP_MD_CTX *context(const struct world *w, const struct sf_sha256 *hash)
{
    return w->hash[hash->opaque[0] % WORLD_HASHES];
}

static int sha256_start(void *ctx, struct sf_sha256 *hash)
{
    struct world *w = ctx;
    for (unsigned i = 0; i < WORLD_HASHES; i++) {
        if (!w->hash_used[i]) {
            w->hash_used[i] = 1;
            hash->opaque[0] = i;
            return EVP_DigestInit_ex2(w->hash[i], NULL, NULL) == 1 ? SF_OK : SF_ERR_CRYPTO;
        }
    }
    return SF_ERR_CRYPTO;
}

static int sha256_feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    const struct world *w = ctx;
    return EVP_DigestUpdate(context(w, hash), data, len) == 1 ? SF_OK : SF_ERR_CRYPTO;
}

static int sha256_end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SHA256_SIZE])
{
    struct world *w = ctx;
    w->hash_used[hash->opaque[0] % WORLD_HASHES] = 0;
    return !digest || EVP_DigestFinal_ex(context(w, hash), digest, NULL) == 1 ? SF_OK
                                                                              : SF_ERR_CRYPTO;
}

static int verify(void *ctx, const uint8_t key[SF_P256_KEY_SIZE],
                  const uint8_t digest[SF_SHA256_SIZE],
                  const uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    const struct world *w = ctx;
    uint8_t expected[SF_P256_SIGNATURE_SIZE];
    if (w->server.signing == KIT_ECDSA) {
        const struct sf_crypto *psa = &w->kit->psa;
        return psa->verify_p256(psa->ctx, key, digest, signature);
    }
    kit_mac(key, digest, expected);
    return memcmp(expected, signature, sizeof(expected)) == 0 ? SF_OK : SF_ERR_SIGNATURE;
}

static int random_bytes(void *ctx, uint8_t *out, size_t len)
{
    struct world *w = ctx;
    for (size_t i = 0; i < len; i++) {
        w->random ^= w->random << 13;
        w->random ^= w->random >> 7;
        w->random ^= w->random << 17;
        out[i] = (uint8_t)(w->random >> 24);
    }
    return SF_OK;
}

int world_crypto_open(struct world *w)
{
    w->crypto = (struct sf_crypto){.ctx = w,
                                   .sha256_start = sha256_start,
                                   .sha256_feed = sha256_feed,
                                   .sha256_end = sha256_end,
                                   .verify_p256 = verify,
                                   .random = random_bytes};
    for (unsigned i = 0; i < WORLD_HASHES; i++) {
        w->hash[i] = EVP_MD_CTX_new();
        if (!w->hash[i] || EVP_DigestInit_ex(w->hash[i], EVP_sha256(), NULL) != 1) {
            return SF_ERR_NOMEM;
        }
    }
    return SF_OK;
}

void world_crypto_close(struct world *w)
{
    for (unsigned i = 0; i < WORLD_HASHES; i++) {
        EVP_MD_CTX_free(w->hash[i]);
        w->hash[i] = NULL;
    }
}

void world_crypto_reset(struct world *w)
{
    memset(w->hash_used, 0, sizeof(w->hash_used));
}
