#include "tests/support/sbv2_sign.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "formats/crc32.h"

static void demand(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "sbv2_sign: %s failed\n", what);
        abort();
    }
}

void sbv2_signer_open(struct sbv2_signer *signer, enum sf_sbv2_scheme scheme)
{
    static const char *const curves[] = {[SF_SBV2_ECDSA_P192] = "prime192v1",
                                         [SF_SBV2_ECDSA_P256] = "prime256v1",
                                         [SF_SBV2_ECDSA_P384] = "secp384r1"};
    signer->pkey = scheme == SF_SBV2_RSA_3072 ? EVP_RSA_gen(3072) : EVP_EC_gen(curves[scheme]);
    demand(signer->pkey != NULL, "making a key");
    demand(sbv2_key_encode(signer->pkey, &signer->key) == SF_OK, "encoding a key");
    demand(sf_sha256(crypto_openssl(), signer->key.bytes, signer->key.len, signer->digest) == SF_OK,
           "the key's digest");
}

void sbv2_signer_close(struct sbv2_signer *signer)
{
    EVP_PKEY_free(signer->pkey);
    signer->pkey = NULL;
}

void sbv2_signer_save(const struct sbv2_signer *signer, const char *path)
{
    FILE *f = fopen(path, "w");
    demand(f != NULL && PEM_write_PUBKEY(f, signer->pkey) == 1 && fclose(f) == 0, "saving a key");
}

static size_t sign_digest(const struct sbv2_signer *signer, const uint8_t *digest, size_t len,
                          uint8_t *out, size_t size)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, signer->pkey, NULL);
    demand(ctx != NULL && EVP_PKEY_sign_init(ctx) == 1, "EVP_PKEY_sign_init");
    if (signer->key.scheme == SF_SBV2_RSA_3072) {
        demand(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                   EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32) == 1,
               "setting PSS");
    }
    demand(EVP_PKEY_sign(ctx, out, &size, digest, len) == 1, "EVP_PKEY_sign");
    EVP_PKEY_CTX_free(ctx);
    return size;
}

static void put_signature(const struct sbv2_signer *signer, const uint8_t *der, size_t len,
                          uint8_t *out)
{
    if (signer->key.scheme == SF_SBV2_RSA_3072) {
        for (size_t i = 0; i < len; i++) {
            out[i] = der[len - 1 - i];
        }
        return;
    }
    const int size = (EVP_PKEY_get_bits(signer->pkey) + 7) / 8;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    demand(sig != NULL && BN_bn2lebinpad(ECDSA_SIG_get0_r(sig), out, size) == size &&
               BN_bn2lebinpad(ECDSA_SIG_get0_s(sig), out + size, size) == size,
           "taking a signature apart");
    ECDSA_SIG_free(sig);
}

void sbv2_reseal(uint8_t block[SF_SBV2_BLOCK_SIZE])
{
    const uint32_t crc = sf_crc32(0, block, 1196);
    for (unsigned i = 0; i < 4; i++) {
        block[1196 + i] = (uint8_t)(crc >> (8 * i));
    }
}

void sbv2_sign_block(const struct sbv2_signer *signer, const uint8_t *image, size_t len,
                     uint8_t block[SF_SBV2_BLOCK_SIZE])
{
    const int is_384 = signer->key.scheme == SF_SBV2_ECDSA_P384;
    const size_t digest_len = is_384 ? 48 : 32;
    uint8_t signature[512];
    memset(block, 0, SF_SBV2_BLOCK_SIZE);
    block[0] = 0xe7;
    block[1] = signer->key.scheme == SF_SBV2_RSA_3072 ? 2 : 3;
    block[2] = (uint8_t)is_384;
    demand(EVP_Digest(image, len, block + 4, NULL, is_384 ? EVP_sha384() : EVP_sha256(), NULL) == 1,
           "hashing");
    memcpy(block + 4 + digest_len, signer->key.bytes, signer->key.len);
    const size_t got = sign_digest(signer, block + 4, digest_len, signature, sizeof(signature));
    put_signature(signer, signature, got, block + 4 + digest_len + signer->key.len);
    sbv2_reseal(block);
}

size_t sbv2_sign(uint8_t *image, size_t len, const struct sbv2_signer *const *signers,
                 unsigned count)
{
    const size_t padded =
        (len + SF_SBV2_SECTOR_SIZE - 1) / SF_SBV2_SECTOR_SIZE * SF_SBV2_SECTOR_SIZE;
    memset(image + len, 0xff, padded + SF_SBV2_SECTOR_SIZE - len);
    for (unsigned i = 0; i < count; i++) {
        sbv2_sign_block(signers[i], image, padded, image + padded + (size_t)i * SF_SBV2_BLOCK_SIZE);
    }
    return padded + SF_SBV2_SECTOR_SIZE;
}
