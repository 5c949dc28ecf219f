/* Secure Boot V2 over OpenSSL 3. Blocks have all numbers little-endian, OpenSSL's are big-endian or
 * BIGNUMs.
 *
 * A key comes as a block has it, so n or a point may be anything: OpenSSL judges it. */
#include "base/sbv2_openssl.h"

#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/crypto_openssl.h"

enum { RSA_BITS = 3072, COORDINATE_MAX = 48, SALT = 32 };

static const struct curve {
    const char *name;
    uint8_t scheme;
    uint8_t id; /* in a block */
    uint8_t size;
    uint8_t room; /* for a coordinate pair in a block: P-192 leaves some of it zero */
} curves[] = {
    {"prime192v1", SF_SBV2_ECDSA_P192, 1, 24, 64},
    {"prime256v1", SF_SBV2_ECDSA_P256, 2, 32, 64},
    {"secp384r1", SF_SBV2_ECDSA_P384, 3, 48, 96},
};
enum { CURVES = sizeof(curves) / sizeof(curves[0]) };

/* ---- a block's key and signature as OpenSSL's ---- */

static EVP_PKEY *make_pkey(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *rsa_pkey(const struct sf_sbv2_block *block)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_lebin2bn(block->public_key, block->number_len, NULL);
    BIGNUM *e = BN_new();
    if (build != NULL && n != NULL && e != NULL && BN_set_word(e, block->exponent) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        pkey = make_pkey("RSA", build);
    }
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

static void reverse(const uint8_t *from, size_t len, uint8_t *to)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = from[len - 1 - i];
    }
}

static EVP_PKEY *ec_pkey(const struct sf_sbv2_block *block, const char *group)
{
    EVP_PKEY *pkey = NULL;
    const size_t len = block->number_len;
    uint8_t point[1 + 2 * COORDINATE_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    reverse(block->public_key, len, point + 1);
    reverse(block->public_key + len, len, point + 1 + len);
    if (build != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * len) == 1) {
        pkey = make_pkey("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

/* r and s in DER; the length, or 0. */
static size_t der_signature(const struct sf_sbv2_block *block, uint8_t *out)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_lebin2bn(block->signature, block->number_len, NULL);
    BIGNUM *s = BN_lebin2bn(block->signature + block->number_len, block->number_len, NULL);
    if (sig == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return 0;
    }
    const int len = i2d_ECDSA_SIG(sig, &out);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

static int set_pss(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, SALT) == 1;
}

static int verify_with(EVP_PKEY *pkey, const struct sf_sbv2_block *block)
{
    uint8_t signature[SF_SBV2_NUMBER_MAX];
    size_t len = SF_SBV2_NUMBER_MAX;
    const int is_rsa = block->scheme == SF_SBV2_RSA_3072;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    int err = SF_ERR_CRYPTO;
    if (ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 && (!is_rsa || set_pss(ctx))) {
        if (is_rsa) {
            reverse(block->signature, len, signature);
        } else {
            len = der_signature(block, signature);
        }
        err =
            EVP_PKEY_verify(ctx, signature, len, block->image_digest, block->image_digest_len) == 1
                ? SF_OK
                : SF_ERR_SIGNATURE;
    }
    EVP_PKEY_CTX_free(ctx);
    return err;
}

static int verify(void *ctx, const struct sf_sbv2_block *block)
{
    (void)ctx;
    EVP_PKEY *pkey = NULL;
    if (block->scheme == SF_SBV2_RSA_3072) {
        pkey = rsa_pkey(block);
    }
    for (unsigned i = 0; i < CURVES; i++) {
        if (curves[i].scheme == block->scheme) {
            pkey = ec_pkey(block, curves[i].name);
        }
    }
    const int err = pkey != NULL ? verify_with(pkey, block) : SF_ERR_SIGNATURE;
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return err;
}

/* ---- SHA-384: an EVP_MD_CTX, whose pointer lies in struct sf_sha256 ---- */

static int sha384_start(void *ctx, struct sf_sha256 *hash)
{
    (void)ctx;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestInit_ex2(md, EVP_sha384(), NULL) != 1) {
        EVP_MD_CTX_free(md);
        return SF_ERR_CRYPTO;
    }
    crypto_openssl_put_hash(hash, md);
    return SF_OK;
}

static int sha384_feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    return crypto_openssl()->sha256_feed(ctx, hash, data, len);
}

static int sha384_end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SBV2_DIGEST_MAX])
{
    return crypto_openssl()->sha256_end(ctx, hash, digest);
}

const struct sf_sbv2_verifier *sbv2_openssl(void)
{
    static const struct sf_sbv2_verifier verifier = {
        .verify = verify,
        .sha384_start = sha384_start,
        .sha384_feed = sha384_feed,
        .sha384_end = sha384_end,
    };
    return &verifier;
}

/* ---- the digest of a key in a file ---- */

static char no_password[] = ""; /* none, and no question at the terminal */

static EVP_PKEY *read_pem(const void *pem, size_t len)
{
    BIO *in = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *pkey = in != NULL ? PEM_read_bio_PUBKEY(in, NULL, NULL, no_password) : NULL;
    if (in != NULL && pkey == NULL && BIO_reset(in) == 1) {
        pkey = PEM_read_bio_PrivateKey(in, NULL, NULL, no_password);
    }
    BIO_free(in);
    return pkey;
}

/* n, e, R^2 mod n and -1/n mod 2^32, as the chip's RSA unit wants them: R is 2^3072. */
static int encode_rsa(const BIGNUM *n, const BIGNUM *e, uint8_t *out)
{
    const int size = RSA_BITS / 8;
    uint8_t *const after_e = out + size + 4;
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *rr = BN_new();
    BIGNUM *word = BN_new();
    BIGNUM *m = BN_new();
    const int ok = ctx != NULL && rr != NULL && word != NULL && m != NULL &&
                   BN_set_bit(rr, 2 * RSA_BITS) == 1 && BN_mod(rr, rr, n, ctx) == 1 &&
                   BN_set_bit(word, 32) == 1 && BN_mod_inverse(m, n, word, ctx) != NULL &&
                   BN_sub(m, word, m) == 1 && BN_bn2lebinpad(n, out, size) == size &&
                   BN_bn2lebinpad(e, out + size, 4) == 4 &&
                   BN_bn2lebinpad(rr, after_e, size) == size &&
                   BN_bn2lebinpad(m, after_e + size, 4) == 4;
    BN_free(m);
    BN_free(word);
    BN_free(rr);
    BN_CTX_free(ctx);
    return ok ? SF_OK : SF_ERR_CRYPTO;
}

static int rsa_key(const EVP_PKEY *pkey, struct sbv2_key *out)
{
    BIGNUM *n = NULL;
    BIGNUM *e = NULL;
    int err = SF_ERR_ALGORITHM;
    if (EVP_PKEY_get_bits(pkey) == RSA_BITS &&
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_num_bits(e) <= 32) {
        out->scheme = SF_SBV2_RSA_3072;
        out->len = SBV2_KEY_MAX;
        err = encode_rsa(n, e, out->bytes);
    }
    BN_free(n);
    BN_free(e);
    return err;
}

static int ec_key(const EVP_PKEY *pkey, const struct curve *curve, struct sbv2_key *out)
{
    BIGNUM *x = NULL;
    BIGNUM *y = NULL;
    out->scheme = curve->scheme;
    out->len = (uint16_t)(1 + curve->room);
    out->bytes[0] = curve->id;
    const int ok = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
                   EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
                   BN_bn2lebinpad(x, out->bytes + 1, curve->size) == curve->size &&
                   BN_bn2lebinpad(y, out->bytes + 1 + curve->size, curve->size) == curve->size;
    BN_free(x);
    BN_free(y);
    return ok ? SF_OK : SF_ERR_CRYPTO;
}

int sbv2_key_encode(const EVP_PKEY *pkey, struct sbv2_key *out)
{
    char group[64] = "";
    size_t len = 0;
    memset(out, 0, sizeof(*out));
    if (EVP_PKEY_is_a(pkey, "RSA") == 1) {
        return rsa_key(pkey, out);
    }
    if (EVP_PKEY_is_a(pkey, "EC") == 1 &&
        EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1) {
        for (unsigned i = 0; i < CURVES; i++) {
            if (strcmp(group, curves[i].name) == 0) {
                return ec_key(pkey, &curves[i], out);
            }
        }
    }
    return SF_ERR_ALGORITHM;
}

int sbv2_key_digest(const void *pem, size_t len, uint8_t digest[SF_SHA256_SIZE])
{
    struct sbv2_key key;
    EVP_PKEY *pkey = read_pem(pem, len);
    int err = pkey != NULL ? sbv2_key_encode(pkey, &key) : SF_ERR_FORMAT;
    if (err == SF_OK) {
        err = sf_sha256(crypto_openssl(), key.bytes, key.len, digest);
    }
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return err;
}
