/* The other Wycheproof files: RSA-PSS through both verifiers of Secure Boot signatures, ECDSA in
 * DER through our reader of it, and all of them through OpenSSL, which is underneath. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/p256.h"
#include "base/sbv2_openssl.h"
#include "formats/err.h"
#include "ports/host/crypto_psa.h"
#include "ports/host/sbv2_psa.h"
#include "tests/formats/wire_support.h"
#include "tests/support/vectors.h"

#define WYCHEPROOF SF_SHARED_VECTORS "/wycheproof/"

enum { BYTES_MAX = 8192, MODULUS = 384 };

struct bytes {
    uint8_t data[BYTES_MAX];
    size_t len;
};

static void load_hex(const json_t *object, const char *key, struct bytes *out)
{
    out->len = wire_hex(vectors_text(object, key), out->data, sizeof(out->data));
}

/* One case: 1 accepted, 0 refused. */
typedef int judge_fn(const json_t *group, const json_t *test, void *ctx);

/* Every case of a file is judged as the file says. "acceptable" ones may go either way. */
static void judge_all(const char *path, unsigned cases, judge_fn *judge, void *ctx)
{
    json_t *root = vectors_load(path);
    unsigned count = 0;
    unsigned wrong = 0;
    size_t i;
    size_t k;
    json_t *group;
    json_t *test;
    json_array_foreach(json_object_get(root, "testGroups"), i, group)
    {
        json_array_foreach(json_object_get(group, "tests"), k, test)
        {
            const char *result = vectors_text(test, "result");
            const int accepted = judge(group, test, ctx);
            count++;
            if (strcmp(result, "acceptable") != 0 && accepted != (strcmp(result, "valid") == 0)) {
                wrong++;
                print_message("case %lld (%s): %s\n",
                              (long long)json_integer_value(json_object_get(test, "tcId")),
                              vectors_text(test, "comment"), accepted ? "accepted" : "refused");
            }
        }
    }
    json_decref(root);
    assert_int_equal(wrong, 0);
    assert_int_equal(count, cases);
}

static EVP_PKEY *key_of(const json_t *group)
{
    struct bytes der;
    load_hex(group, "publicKeyDer", &der);
    const uint8_t *p = der.data;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der.len);
    assert_non_null(key);
    return key;
}

/* ---- the library underneath ---- */

enum kind { KIND_ECDSA, KIND_ED25519, KIND_PSS };

static int openssl_verifies(const json_t *group, const json_t *test, void *ctx)
{
    const enum kind kind = *(const enum kind *)ctx;
    struct bytes msg;
    struct bytes sig;
    EVP_PKEY_CTX *pctx = NULL;
    EVP_PKEY *key = key_of(group);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    load_hex(test, "msg", &msg);
    load_hex(test, "sig", &sig);
    assert_int_equal(
        EVP_DigestVerifyInit(md, &pctx, kind == KIND_ED25519 ? NULL : EVP_sha256(), NULL, key), 1);
    if (kind == KIND_PSS) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 32), 1);
    }
    const int ok = EVP_DigestVerify(md, sig.data, sig.len, msg.data, msg.len) == 1;
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return ok;
}

static void openssl_agrees_with_every_signature(void **state)
{
    (void)state;
    static enum kind ecdsa = KIND_ECDSA;
    static enum kind ed25519 = KIND_ED25519;
    static enum kind pss = KIND_PSS;
    judge_all(WYCHEPROOF "ecdsa_secp256r1_sha256_test.json", 484, openssl_verifies, &ecdsa);
    judge_all(WYCHEPROOF "ed25519_test.json", 151, openssl_verifies, &ed25519);
    judge_all(WYCHEPROOF "rsa_pss_3072_sha256_mgf1_32_test.json", 108, openssl_verifies, &pss);
}

static int hmac_matches(const json_t *group, const json_t *test, void *ctx)
{
    (void)ctx;
    struct bytes key;
    struct bytes msg;
    struct bytes tag;
    uint8_t made[32];
    size_t len = 0;
    load_hex(test, "key", &key);
    load_hex(test, "msg", &msg);
    load_hex(test, "tag", &tag);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.data, key.len, msg.data,
                              msg.len, made, sizeof(made), &len));
    const size_t wanted =
        (size_t)json_integer_value(json_object_get(group, "tagSize")) / 8; /* may be cut short */
    return tag.len == wanted && tag.len <= len && memcmp(tag.data, made, tag.len) == 0;
}

static int hkdf_matches(const json_t *group, const json_t *test, void *ctx)
{
    (void)group;
    (void)ctx;
    struct bytes in[3];
    struct bytes okm;
    static uint8_t made[BYTES_MAX * 2];
    static const char *const names[3] = {"ikm", "salt", "info"};
    for (unsigned i = 0; i < 3; i++) {
        load_hex(test, names[i], &in[i]);
    }
    const size_t size = (size_t)json_integer_value(json_object_get(test, "size"));
    load_hex(test, "okm", &okm);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, in[0].data, in[0].len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, in[1].data, in[1].len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, in[2].data, in[2].len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
    assert_true(size <= sizeof(made));
    const int ok = EVP_KDF_derive(c, made, size, params) == 1 && okm.len == size &&
                   memcmp(okm.data, made, size) == 0;
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(kdf);
    return ok;
}

static void openssl_agrees_with_every_mac_and_derivation(void **state)
{
    (void)state;
    judge_all(WYCHEPROOF "hmac_sha256_test.json", 174, hmac_matches, NULL);
    judge_all(WYCHEPROOF "hkdf_sha256_test.json", 86, hkdf_matches, NULL);
}

/* ---- ours ---- */

/* DER to r || s, as a token's or openssl's signature comes to us, then as COSE has it. */
static int der_verifies(const json_t *group, const json_t *test, void *ctx)
{
    const struct sf_crypto *crypto = ctx;
    struct bytes msg;
    struct bytes sig;
    uint8_t point[1 + SF_P256_KEY_SIZE];
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t signature[SF_P256_SIGNATURE_SIZE];
    vectors_hex(json_object_get(group, "publicKey"), "uncompressed", point, sizeof(point));
    load_hex(test, "msg", &msg);
    load_hex(test, "sig", &sig);
    if (p256_signature_from_der(sig.data, sig.len, signature) != SF_OK) {
        return 0;
    }
    assert_int_equal(sf_sha256(crypto, msg.data, msg.len, digest), SF_OK);
    return crypto->verify_p256(crypto->ctx, point + 1, digest, signature) == SF_OK;
}

static void our_reader_of_der_agrees_with_every_case(void **state)
{
    (void)state;
    struct sf_crypto psa;
    struct sf_crypto openssl = *crypto_openssl();
    assert_int_equal(crypto_psa_init(&psa), SF_OK);
    judge_all(WYCHEPROOF "ecdsa_secp256r1_sha256_test.json", 484, der_verifies, &openssl);
    judge_all(WYCHEPROOF "ecdsa_secp256r1_sha256_test.json", 484, der_verifies, &psa);
}

static void reverse(uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len / 2; i++) {
        const uint8_t byte = data[i];
        data[i] = data[len - 1 - i];
        data[len - 1 - i] = byte;
    }
}

/* A signature of another length than the key's fits no signature block. */
static int sbv2_verifies(const json_t *group, const json_t *test, void *ctx)
{
    const struct sf_sbv2_verifier *v = ctx;
    const json_t *key = json_object_get(group, "publicKey");
    struct bytes msg;
    struct bytes sig;
    struct bytes n;
    struct bytes e;
    uint8_t digest[SF_SHA256_SIZE];
    load_hex(test, "msg", &msg);
    load_hex(test, "sig", &sig);
    load_hex(key, "modulus", &n);
    load_hex(key, "publicExponent", &e);
    if (sig.len != MODULUS) {
        return 0;
    }
    assert_int_equal(n.len, MODULUS + 1); /* a zero first */
    uint32_t exponent = 0;
    for (size_t i = 0; i < e.len; i++) {
        exponent = exponent << 8 | e.data[i];
    }
    reverse(n.data + 1, MODULUS);
    reverse(sig.data, MODULUS);
    assert_int_equal(sf_sha256(crypto_openssl(), msg.data, msg.len, digest), SF_OK);
    const struct sf_sbv2_block block = {
        .image_digest = digest,
        .image_digest_len = sizeof(digest),
        .public_key = n.data + 1,
        .signature = sig.data,
        .number_len = MODULUS,
        .scheme = SF_SBV2_RSA_3072,
        .exponent = exponent,
    };
    return v->verify(v->ctx, &block) == SF_OK;
}

static void both_verifiers_of_secure_boot_agree_with_every_case(void **state)
{
    (void)state;
    static const char path[] = WYCHEPROOF "rsa_pss_3072_sha256_mgf1_32_test.json";
    struct sf_sbv2_verifier openssl = *sbv2_openssl();
    struct sf_sbv2_verifier psa;
    struct sf_crypto crypto;
    assert_int_equal(crypto_psa_init(&crypto), SF_OK);
    sbv2_psa_init(&psa);
    judge_all(path, 108, sbv2_verifies, &openssl);
    judge_all(path, 108, sbv2_verifies, &psa);
}

int main(void)
{
    wire_need_file(WYCHEPROOF "ed25519_test.json");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_agrees_with_every_signature),
        cmocka_unit_test(openssl_agrees_with_every_mac_and_derivation),
        cmocka_unit_test(our_reader_of_der_agrees_with_every_case),
        cmocka_unit_test(both_verifiers_of_secure_boot_agree_with_every_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
