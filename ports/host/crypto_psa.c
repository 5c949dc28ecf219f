/* struct sf_crypto over PSA. Keys are imported for one verification and destroyed after it, so the
 * key store never fills up. */
#include "ports/host/crypto_psa.h"

#include <string.h>

#include "formats/err.h"

_Static_assert(sizeof(psa_hash_operation_t) <= sizeof(struct sf_sha256), "room for a PSA hash");
_Static_assert(_Alignof(struct sf_sha256) >= _Alignof(psa_hash_operation_t), "and its alignment");

psa_hash_operation_t *crypto_psa_operation(struct sf_sha256 *hash)
{
    return (psa_hash_operation_t *)(void *)hash->opaque;
}

static int to_err(psa_status_t status)
{
    return status == PSA_SUCCESS ? SF_OK : SF_ERR_CRYPTO;
}

static int sha256_start(void *ctx, struct sf_sha256 *hash)
{
    (void)ctx;
    *crypto_psa_operation(hash) = psa_hash_operation_init();
    return to_err(psa_hash_setup(crypto_psa_operation(hash), PSA_ALG_SHA_256));
}

static int sha256_feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    (void)ctx;
    return to_err(psa_hash_update(crypto_psa_operation(hash), data, len));
}

static int sha256_end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SHA256_SIZE])
{
    (void)ctx;
    if (digest == NULL) {
        return to_err(psa_hash_abort(crypto_psa_operation(hash)));
    }
    size_t len = 0;
    const psa_status_t status =
        psa_hash_finish(crypto_psa_operation(hash), digest, SF_SHA256_SIZE, &len);
    if (status != PSA_SUCCESS) {
        (void)psa_hash_abort(crypto_psa_operation(hash));
    }
    return to_err(status);
}

static psa_status_t import_key(const uint8_t xy[SF_P256_KEY_SIZE], psa_key_id_t *id)
{
    uint8_t point[1 + SF_P256_KEY_SIZE] = {0x04}; /* uncompressed, SEC 1 */
    memcpy(point + 1, xy, SF_P256_KEY_SIZE);
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_bits(&attributes, 256);
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(PSA_ALG_SHA_256));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_VERIFY_HASH);
    return psa_import_key(&attributes, point, sizeof(point), id);
}

/* What is wrong with the input is the signature's fault; what is short here is not. */
int crypto_psa_verdict(psa_status_t status)
{
    switch (status) {
    case PSA_SUCCESS:
        return SF_OK;
    case PSA_ERROR_INVALID_SIGNATURE:
    case PSA_ERROR_INVALID_ARGUMENT:
        return SF_ERR_SIGNATURE;
    default:
        return SF_ERR_CRYPTO;
    }
}

static int verify_p256(void *ctx, const uint8_t key[SF_P256_KEY_SIZE],
                       const uint8_t digest[SF_SHA256_SIZE],
                       const uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    (void)ctx;
    psa_key_id_t id = 0;
    psa_status_t status = import_key(key, &id);
    if (status == PSA_SUCCESS) {
        status = psa_verify_hash(id, PSA_ALG_ECDSA(PSA_ALG_SHA_256), digest, SF_SHA256_SIZE,
                                 signature, SF_P256_SIGNATURE_SIZE);
        (void)psa_destroy_key(id);
    }
    return crypto_psa_verdict(status);
}

static int random_bytes(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    return to_err(psa_generate_random(out, len));
}

int crypto_psa_init(struct sf_crypto *out)
{
    *out = (struct sf_crypto){
        .sha256_start = sha256_start,
        .sha256_feed = sha256_feed,
        .sha256_end = sha256_end,
        .verify_p256 = verify_p256,
        .random = random_bytes,
    };
    return to_err(psa_crypto_init());
}
