/* struct sf_crypto over OpenSSL 3. A running hash is an EVP_MD_CTX whose pointer lies in struct
 * sf_sha256. */
#include "base/crypto_openssl.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "base/p256.h"
#include "formats/err.h"

struct holder {
    EVP_MD_CTX *md;
};

_Static_assert(sizeof(struct holder) <= sizeof(struct sf_sha256), "room for the pointer");

void crypto_openssl_put_hash(struct sf_sha256 *hash, EVP_MD_CTX *md)
{
    const struct holder holder = {md};
    memcpy(hash->opaque, &holder, sizeof(holder));
}

static EVP_MD_CTX *hash_get(const struct sf_sha256 *hash)
{
    struct holder holder;
    memcpy(&holder, hash->opaque, sizeof(holder));
    return holder.md;
}

/* EVP_sha256() is looked up among the providers at each use, under a lock; this one only once. It
 * lives as long as the process. */
static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
}

static int sha256_start(void *ctx, struct sf_sha256 *hash)
{
    (void)ctx;
    (void)pthread_once(&sha256_once, fetch_sha256);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md == NULL || sha256 == NULL || EVP_DigestInit_ex2(md, sha256, NULL) != 1) {
        EVP_MD_CTX_free(md);
        return SF_ERR_CRYPTO;
    }
    crypto_openssl_put_hash(hash, md);
    return SF_OK;
}

static int sha256_feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    (void)ctx;
    return EVP_DigestUpdate(hash_get(hash), data, len) == 1 ? SF_OK : SF_ERR_CRYPTO;
}

static int sha256_end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SHA256_SIZE])
{
    (void)ctx;
    EVP_MD_CTX *md = hash_get(hash);
    const int ok = digest == NULL || EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok ? SF_OK : SF_ERR_CRYPTO;
}

static int verify_der(EVP_PKEY *pkey, const uint8_t digest[SF_SHA256_SIZE], const uint8_t *der,
                      size_t der_len)
{
    EVP_PKEY_CTX *verify = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (verify == NULL || EVP_PKEY_verify_init(verify) != 1) {
        EVP_PKEY_CTX_free(verify);
        return SF_ERR_CRYPTO;
    }
    const int ok = EVP_PKEY_verify(verify, der, der_len, digest, SF_SHA256_SIZE);
    EVP_PKEY_CTX_free(verify);
    return ok == 1 ? SF_OK : SF_ERR_SIGNATURE;
}

static int verify_p256(void *ctx, const uint8_t key[SF_P256_KEY_SIZE],
                       const uint8_t digest[SF_SHA256_SIZE],
                       const uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    (void)ctx;
    uint8_t der[P256_DER_MAX];
    const int der_len = p256_signature_to_der(signature, der);
    EVP_PKEY *pkey = p256_point_to_pkey(key);
    int err = SF_ERR_SIGNATURE;
    if (pkey != NULL) {
        err = der_len > 0 ? verify_der(pkey, digest, der, (size_t)der_len) : der_len;
    }
    EVP_PKEY_free(pkey);
    return err;
}

static int random_bytes(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    return RAND_bytes_ex(NULL, out, len, 0) == 1 ? SF_OK : SF_ERR_CRYPTO;
}

const struct sf_crypto *crypto_openssl(void)
{
    static const struct sf_crypto crypto = {
        .sha256_start = sha256_start,
        .sha256_feed = sha256_feed,
        .sha256_end = sha256_end,
        .verify_p256 = verify_p256,
        .random = random_bytes,
    };
    return &crypto;
}
