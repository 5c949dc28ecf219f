/* Both fillings of struct sf_crypto against vectors that neither library's authors wrote. */
#include "formats/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "formats/err.h"
#include "ports/host/crypto_psa.h"
#include "tests/formats/wire_support.h"

static struct sf_crypto psa;

static int setup(void **state)
{
    (void)state;
    return crypto_psa_init(&psa);
}

enum { CRYPTO_COUNT = 2 };

static const struct sf_crypto *crypto(unsigned i)
{
    return i == 0 ? crypto_openssl() : &psa;
}

/* FIPS 180-4's examples */
static void hashes_the_examples_of_the_standard(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *digest;
    } row[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (unsigned i = 0; i < CRYPTO_COUNT; i++) {
        for (size_t k = 0; k < sizeof(row) / sizeof(row[0]); k++) {
            uint8_t expected[SF_SHA256_SIZE];
            uint8_t digest[SF_SHA256_SIZE];
            (void)wire_hex(row[k].digest, expected, sizeof(expected));
            assert_int_equal(sf_sha256(crypto(i), row[k].text, strlen(row[k].text), digest), SF_OK);
            assert_memory_equal(digest, expected, sizeof(digest));
        }
    }
}

static void a_million_letters_in_pieces_of_every_size(void **state)
{
    (void)state;
    static const char letters[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    uint8_t expected[SF_SHA256_SIZE];
    (void)wire_hex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", expected,
                   sizeof(expected));
    for (unsigned i = 0; i < CRYPTO_COUNT; i++) {
        const struct sf_crypto *c = crypto(i);
        struct sf_sha256 hash;
        uint8_t digest[SF_SHA256_SIZE];
        assert_int_equal(c->sha256_start(c->ctx, &hash), SF_OK);
        size_t left = 1000000;
        for (size_t n = 0; left > 0; n = (n + 1) % sizeof(letters)) {
            const size_t piece = n < left ? n : left;
            assert_int_equal(c->sha256_feed(c->ctx, &hash, letters, piece), SF_OK);
            left -= piece;
        }
        assert_int_equal(c->sha256_end(c->ctx, &hash, digest), SF_OK);
        assert_memory_equal(digest, expected, sizeof(digest));
    }
}

/* Under the address sanitizer this shows that nothing leaks; two hashes at once do not mix. */
static void an_abandoned_hash_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CRYPTO_COUNT; i++) {
        const struct sf_crypto *c = crypto(i);
        struct sf_sha256 a;
        struct sf_sha256 b;
        uint8_t digest[SF_SHA256_SIZE];
        uint8_t again[SF_SHA256_SIZE];
        assert_int_equal(c->sha256_start(c->ctx, &a), SF_OK);
        assert_int_equal(c->sha256_start(c->ctx, &b), SF_OK);
        assert_int_equal(c->sha256_feed(c->ctx, &a, "ab", 2), SF_OK);
        assert_int_equal(c->sha256_feed(c->ctx, &b, "xy", 2), SF_OK);
        assert_int_equal(c->sha256_end(c->ctx, &a, NULL), SF_OK);
        assert_int_equal(c->sha256_end(c->ctx, &b, digest), SF_OK);
        assert_int_equal(sf_sha256(c, "xy", 2, again), SF_OK);
        assert_memory_equal(digest, again, sizeof(digest));
    }
}

static void random_bytes_differ(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    for (unsigned i = 0; i < CRYPTO_COUNT; i++) {
        uint8_t a[32] = {0};
        uint8_t b[32] = {0};
        assert_int_equal(crypto(i)->random(crypto(i)->ctx, a, sizeof(a)), SF_OK);
        assert_int_equal(crypto(i)->random(crypto(i)->ctx, b, sizeof(b)), SF_OK);
        assert_memory_not_equal(a, b, sizeof(a));
        assert_memory_not_equal(a, zeros, sizeof(a));
    }
}

static void a_key_that_is_no_point_verifies_nothing(void **state)
{
    (void)state;
    struct wire_signing s;
    uint8_t digest[SF_SHA256_SIZE] = {1};
    uint8_t signature[SF_P256_SIGNATURE_SIZE];
    wire_signing_init(&s);
    assert_int_equal(s.signer.sign(s.signer.ctx, digest, signature), SF_OK);
    for (unsigned i = 0; i < CRYPTO_COUNT; i++) {
        const struct sf_crypto *c = crypto(i);
        uint8_t key[SF_P256_KEY_SIZE];
        memcpy(key, s.key.public_key.xy, sizeof(key));
        assert_int_equal(c->verify_p256(c->ctx, key, digest, signature), SF_OK);
        key[SF_P256_KEY_SIZE - 1] ^= 1;
        assert_int_equal(c->verify_p256(c->ctx, key, digest, signature), SF_ERR_SIGNATURE);
        memset(key, 0, sizeof(key));
        assert_int_equal(c->verify_p256(c->ctx, key, digest, signature), SF_ERR_SIGNATURE);
        memset(key, 0xff, sizeof(key));
        assert_int_equal(c->verify_p256(c->ctx, key, digest, signature), SF_ERR_SIGNATURE);
    }
    wire_signing_release(&s);
}

static void comparison_in_constant_time_compares(void **state)
{
    (void)state;
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    assert_true(sf_equal_constant_time(a, b, sizeof(a)));
    assert_true(sf_equal_constant_time(a, b, 0));
    for (size_t bit = 0; bit < sizeof(a) * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_false(sf_equal_constant_time(a, b, sizeof(a)));
        b[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_the_examples_of_the_standard),
        cmocka_unit_test(a_million_letters_in_pieces_of_every_size),
        cmocka_unit_test(an_abandoned_hash_leaves_nothing),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(a_key_that_is_no_point_verifies_nothing),
        cmocka_unit_test(comparison_in_constant_time_compares),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
