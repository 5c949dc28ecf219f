/* Secure Boot V2 over PSA: keys go in as it wants them (RSAPublicKey in DER, an uncompressed
 * point), big-endian, and are destroyed after one verification. */
#include "ports/host/sbv2_psa.h"

#include <psa/crypto.h>
#include <string.h>

#include "ports/host/crypto_psa.h"

enum { POINT_MAX = 1 + 2 * 48 };

static void reverse(const uint8_t *from, size_t len, uint8_t *to)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = from[len - 1 - i];
    }
}

static psa_status_t verify_with(const psa_key_attributes_t *attributes, const uint8_t *key,
                                size_t key_len, const struct sf_sbv2_block *block,
                                const uint8_t *signature)
{
    psa_key_id_t id = 0;
    const psa_algorithm_t algorithm = psa_get_key_algorithm(attributes);
    const size_t numbers = block->scheme == SF_SBV2_RSA_3072 ? 1 : 2;
    psa_status_t status = psa_import_key(attributes, key, key_len, &id);
    if (status == PSA_SUCCESS) {
        status = psa_verify_hash(id, algorithm, block->image_digest, block->image_digest_len,
                                 signature, numbers * block->number_len);
        (void)psa_destroy_key(id);
    }
    return status;
}

/* RSAPublicKey ::= SEQUENCE { n INTEGER, e INTEGER }, both with a leading zero: a number of 3072
 * bits has its first bit set, and e may. */
static psa_status_t verify_rsa(const struct sf_sbv2_block *block)
{
    static const uint8_t start[] = {0x30, 0x82, 0x01, 0x8c, 0x02, 0x82, 0x01, 0x81, 0x00};
    enum { N = SF_SBV2_NUMBER_MAX, E_MAX = 5, DER_MAX = sizeof(start) + N + 2 + E_MAX };
    uint8_t der[DER_MAX];
    uint8_t signature[N];
    const uint8_t e[E_MAX] = {0, (uint8_t)(block->exponent >> 24), (uint8_t)(block->exponent >> 16),
                              (uint8_t)(block->exponent >> 8), (uint8_t)block->exponent};
    size_t skip = 0; /* DER wants the shortest form */
    while (skip < E_MAX - 1 && e[skip] == 0 && (e[skip + 1] & 0x80) == 0) {
        skip++;
    }
    const size_t e_len = E_MAX - skip;
    memcpy(der, start, sizeof(start));
    reverse(block->public_key, N, der + sizeof(start));
    uint8_t *at = der + sizeof(start) + N;
    *at++ = 0x02;
    *at++ = (uint8_t)e_len;
    memcpy(at, e + skip, e_len);
    const size_t len = sizeof(start) + N + 2 + e_len;
    der[2] = (uint8_t)((len - 4) >> 8);
    der[3] = (uint8_t)(len - 4);
    reverse(block->signature, N, signature);

    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_RSA_PUBLIC_KEY);
    psa_set_key_algorithm(&attributes, PSA_ALG_RSA_PSS(PSA_ALG_SHA_256));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_VERIFY_HASH);
    return verify_with(&attributes, der, len, block, signature);
}

static psa_status_t verify_ecdsa(const struct sf_sbv2_block *block)
{
    const size_t len = block->number_len;
    uint8_t point[POINT_MAX] = {0x04}; /* uncompressed, SEC 1 */
    uint8_t signature[POINT_MAX];
    reverse(block->public_key, len, point + 1);
    reverse(block->public_key + len, len, point + 1 + len);
    reverse(block->signature, len, signature);
    reverse(block->signature + len, len, signature + len);

    const psa_algorithm_t hash =
        block->scheme == SF_SBV2_ECDSA_P384 ? PSA_ALG_SHA_384 : PSA_ALG_SHA_256;
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_bits(&attributes, 8 * len);
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(hash));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_VERIFY_HASH);
    return verify_with(&attributes, point, 1 + 2 * len, block, signature);
}

static int verify(void *ctx, const struct sf_sbv2_block *block)
{
    (void)ctx;
    return crypto_psa_verdict(block->scheme == SF_SBV2_RSA_3072 ? verify_rsa(block)
                                                                : verify_ecdsa(block));
}

static int sha384_start(void *ctx, struct sf_sha256 *hash)
{
    (void)ctx;
    psa_hash_operation_t *operation = crypto_psa_operation(hash);
    *operation = psa_hash_operation_init();
    return psa_hash_setup(operation, PSA_ALG_SHA_384) == PSA_SUCCESS ? SF_OK : SF_ERR_CRYPTO;
}

static int sha384_feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    (void)ctx;
    return psa_hash_update(crypto_psa_operation(hash), data, len) == PSA_SUCCESS ? SF_OK
                                                                                 : SF_ERR_CRYPTO;
}

static int sha384_end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SBV2_DIGEST_MAX])
{
    (void)ctx;
    size_t len = 0;
    const psa_status_t status =
        psa_hash_finish(crypto_psa_operation(hash), digest, SF_SBV2_DIGEST_MAX, &len);
    if (status != PSA_SUCCESS) {
        (void)psa_hash_abort(crypto_psa_operation(hash));
    }
    return status == PSA_SUCCESS ? SF_OK : SF_ERR_CRYPTO;
}

void sbv2_psa_init(struct sf_sbv2_verifier *out)
{
    *out = (struct sf_sbv2_verifier){
        .verify = verify,
        .sha384_start = sha384_start,
        .sha384_feed = sha384_feed,
        .sha384_end = sha384_end,
    };
}
