/* Wycheproof's ECDSA P-256 cases with r || s, the form that COSE uses, through OpenSSL and PSA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "formats/err.h"
#include "ports/host/crypto_psa.h"
#include "tests/formats/wire_support.h"
#include "tests/support/vectors.h"

static const char path[] = SF_SHARED_VECTORS "/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json";

struct tally {
    unsigned cases;
    unsigned accepted;
    unsigned wrong;
};

/* A signature of another length than 64 bytes never reaches struct sf_crypto: COSE refuses it. */
static int verify(const struct sf_crypto *crypto, const uint8_t key[SF_P256_KEY_SIZE],
                  const json_t *test)
{
    static uint8_t message[4096];
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t signature[SF_P256_SIGNATURE_SIZE];
    const char *msg = vectors_text(test, "msg");
    const char *sig = vectors_text(test, "sig");
    if (strlen(sig) != 2 * sizeof(signature)) {
        return SF_ERR_SIGNATURE;
    }
    const size_t len = wire_hex(msg, message, sizeof(message));
    assert_int_equal(hex_decode(sig, signature, sizeof(signature)), SF_OK);
    assert_int_equal(sf_sha256(crypto, message, len, digest), SF_OK);
    return crypto->verify_p256(crypto->ctx, key, digest, signature);
}

static void run_group(const struct sf_crypto *crypto, const json_t *group, struct tally *tally)
{
    uint8_t point[1 + SF_P256_KEY_SIZE];
    const json_t *key = json_object_get(group, "publicKey");
    vectors_hex(key, "uncompressed", point, sizeof(point));
    size_t i;
    json_t *test;
    json_array_foreach(json_object_get(group, "tests"), i, test)
    {
        const int err = verify(crypto, point + 1, test);
        const int valid = strcmp(vectors_text(test, "result"), "valid") == 0;
        tally->cases++;
        tally->accepted += err == SF_OK;
        if (err != (valid ? SF_OK : SF_ERR_SIGNATURE)) {
            tally->wrong++;
            print_message("case %lld (%s): %s\n",
                          (long long)json_integer_value(json_object_get(test, "tcId")),
                          vectors_text(test, "comment"), sf_err_name(err));
        }
    }
}

static void run(const struct sf_crypto *crypto)
{
    struct tally tally = {0};
    json_t *root = vectors_load(path);
    size_t i;
    json_t *group;
    json_array_foreach(json_object_get(root, "testGroups"), i, group)
    {
        run_group(crypto, group, &tally);
    }
    assert_int_equal(tally.wrong, 0);
    assert_int_equal(tally.cases, 262);
    assert_int_equal(tally.accepted, 173);
    json_decref(root);
}

static void openssl_agrees_with_every_case(void **state)
{
    (void)state;
    run(crypto_openssl());
}

static void psa_agrees_with_every_case(void **state)
{
    (void)state;
    struct sf_crypto psa;
    assert_int_equal(crypto_psa_init(&psa), SF_OK);
    run(&psa);
}

int main(void)
{
    wire_need_file(path);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_agrees_with_every_case),
        cmocka_unit_test(psa_agrees_with_every_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
