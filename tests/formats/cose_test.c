/* COSE_Sign1 and P-256 keys. */
#include "formats/cose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "tests/formats/wire_support.h"

static struct wire_signing signing;

static int setup(void **state)
{
    (void)state;
    wire_signing_init(&signing);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_signing_release(&signing);
    return 0;
}

/* The key and the thumbprint of RFC 9679 section 6; the second row by
 *     hashlib.sha256(cbor2.dumps({1: 2, -1: 1, -2: x, -3: y}, canonical=True))
 * of the SUIT draft's key. */
static void kid_begins_the_thumbprint_of_the_standard(void **state)
{
    (void)state;
    static const struct {
        const char *xy;
        const char *kid;
    } row[] = {
        {"65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"
         "1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c",
         "496bd8afadf307e5"},
        {"8496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad"
         "3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896",
         "ca9e35f23b2b525f"},
    };
    for (size_t i = 0; i < 2; i++) {
        uint8_t xy[SF_P256_KEY_SIZE];
        uint8_t kid[SF_KID_SIZE];
        struct sf_public_key key;
        assert_int_equal(wire_hex(row[i].xy, xy, sizeof(xy)), sizeof(xy));
        assert_int_equal(wire_hex(row[i].kid, kid, sizeof(kid)), sizeof(kid));
        assert_int_equal(sf_public_key_init(&key, crypto_openssl(), xy), SF_OK);
        assert_memory_equal(key.kid, kid, sizeof(kid));
        assert_memory_equal(key.xy, xy, sizeof(xy));
    }
}

static const struct sf_bytes payload = {(const uint8_t *)"what is signed", 14};

static struct sf_bytes sign(enum sf_cose_payload where)
{
    static uint8_t out[256];
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, sizeof(out));
    assert_int_equal(sf_cose_sign1_write(&w, payload, where, &signing.signer, signing.crypto),
                     SF_OK);
    return (struct sf_bytes){out, w.len};
}

static struct sf_verifier verifier(void)
{
    return (struct sf_verifier){.key = &signing.key.public_key,
                                .crypto = signing.crypto,
                                .kid_check = SF_COSE_KID_REQUIRED};
}

static void embedded_payload_verifies(void **state)
{
    (void)state;
    struct sf_cose_sign1 s;
    const struct sf_verifier by = verifier();
    assert_int_equal(sf_cose_sign1_decode(sign(SF_COSE_EMBEDDED), &s, NULL), SF_OK);
    assert_true(s.has_payload);
    assert_int_equal(s.payload.len, payload.len);
    assert_memory_equal(s.payload.data, payload.data, payload.len);
    assert_int_equal(s.algorithm, SF_COSE_ESP256);
    assert_true(s.has_kid);
    assert_memory_equal(s.kid.data, signing.key.public_key.kid, SF_KID_SIZE);
    assert_int_equal(sf_cose_sign1_verify(&s, s.payload, &by), SF_OK);
}

static void detached_payload_verifies_and_has_the_length_told(void **state)
{
    (void)state;
    struct sf_cose_sign1 s;
    const struct sf_verifier by = verifier();
    const struct sf_bytes in = sign(SF_COSE_DETACHED);
    assert_int_equal(in.len, SF_COSE_SIGN1_OVERHEAD);
    assert_int_equal(sf_cose_sign1_decode(in, &s, NULL), SF_OK);
    assert_false(s.has_payload);
    assert_int_equal(sf_cose_sign1_verify(&s, payload, &by), SF_OK);
    const struct sf_bytes other = {payload.data, payload.len - 1};
    assert_int_equal(sf_cose_sign1_verify(&s, other, &by), SF_ERR_SIGNATURE);
}

static void another_key_is_unknown_and_does_not_verify_either(void **state)
{
    (void)state;
    struct p256_key other;
    struct sf_cose_sign1 s;
    assert_int_equal(p256_key_generate(&other), SF_OK);
    assert_int_equal(sf_cose_sign1_decode(sign(SF_COSE_EMBEDDED), &s, NULL), SF_OK);
    struct sf_verifier by = {
        .key = &other.public_key, .crypto = signing.crypto, .kid_check = SF_COSE_KID_REQUIRED};
    assert_int_equal(sf_cose_sign1_verify(&s, s.payload, &by), SF_ERR_KEY_UNKNOWN);
    by.kid_check = SF_COSE_KID_IGNORED;
    assert_int_equal(sf_cose_sign1_verify(&s, s.payload, &by), SF_ERR_SIGNATURE);
    p256_key_release(&other);
}

/* The bytes before the signature, with `hex` in place of everything up to the payload. */
static struct sf_bytes with_front(const char *hex)
{
    static uint8_t out[256];
    const size_t n = wire_hex(hex, out, sizeof(out));
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out + n, sizeof(out) - n);
    sf_cbor_write_bytes(&w, payload.data, payload.len);
    const struct sf_bytes good = sign(SF_COSE_DETACHED);
    sf_cbor_write_bytes(&w, good.data + good.len - SF_P256_SIGNATURE_SIZE, SF_P256_SIGNATURE_SIZE);
    return (struct sf_bytes){out, n + w.len};
}

static void refuses_other_shapes_than_ours(void **state)
{
    (void)state;
    static const struct {
        const char *front;
        int err;
        const char *what;
    } row[] = {
        {"d2844da2012804480102030405060708a0", SF_OK, "ours, for comparison"},
        {"d28443a10126a0", SF_OK, "ES256 without a kid, as the draft's examples"},
        {"d2844ca2012803000448010203040506070800a0", SF_ERR_TRAILING,
         "header with something after"},
        {"d1844da2012804480102030405060708a0", SF_ERR_CBOR, "Mac0 in place of Sign1"},
        {"d8628443a10128a0", SF_ERR_CBOR, "Sign in place of Sign1"},
        {"8443a10128a0", SF_ERR_CBOR, "no tag"},
        {"d28343a10128", SF_ERR_CBOR, "three elements"},
        {"d28443a10127a0", SF_ERR_ALGORITHM, "EdDSA"},
        {"d28444a1013822a0", SF_ERR_ALGORITHM, "ES384"},
        {"d28443a10105a0", SF_ERR_ALGORITHM, "HMAC"},
        {"d28440a0", SF_ERR_TRUNCATED, "empty protected header"},
        {"d28441a0a0", SF_ERR_ALGORITHM, "no algorithm"},
        {"d28446a201280280a0", SF_ERR_TRUNCATED, "header cut off"},
        {"d28446a201280281"
         "04a0",
         SF_ERR_UNSUPPORTED, "a critical header"},
        {"d28443a10128a10448000102030405060700", SF_ERR_TRAILING, "five elements"},
        {"d28443a10128a104480001020304050607", SF_ERR_UNSUPPORTED, "kid in the unprotected header"},
        {"d28445a1190001"
         "28a0",
         SF_ERR_CBOR, "label in three bytes"},
        {"d28445a201280126a0", SF_ERR_DUPLICATE, "algorithm twice"},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct sf_cose_sign1 s;
        struct sf_diag diag = {0};
        const int err = sf_cose_sign1_decode(with_front(row[i].front), &s, &diag);
        if (err != row[i].err) {
            print_message("%s: %s at %zu, %s\n", row[i].what, sf_err_name(err), diag.offset,
                          diag.why != NULL ? diag.why : "");
        }
        assert_int_equal(err, row[i].err);
    }
}

static void says_where_the_protected_header_is_wrong(void **state)
{
    (void)state;
    struct sf_cose_sign1 s;
    struct sf_diag diag = {0};
    assert_int_equal(sf_cose_sign1_decode(with_front("d28445a201280126a0"), &s, &diag),
                     SF_ERR_DUPLICATE);
    assert_int_equal(diag.offset, 6); /* d2 84 45 a2 01 28 | 01 26 */
}

static void flip_is_refused(struct sf_bytes mutated, void *ctx)
{
    (void)ctx;
    struct sf_cose_sign1 s;
    const struct sf_verifier by = verifier();
    int err = sf_cose_sign1_decode(mutated, &s, NULL);
    if (err == SF_OK) {
        err = sf_cose_sign1_verify(&s, s.has_payload ? s.payload : payload, &by);
    }
    assert_true(err < 0);
}

static void every_flip_and_truncation_is_refused(void **state)
{
    (void)state;
    wire_each_flip(sign(SF_COSE_EMBEDDED), flip_is_refused, NULL);
    wire_each_truncation(sign(SF_COSE_EMBEDDED), flip_is_refused, NULL);
    wire_each_flip(sign(SF_COSE_DETACHED), flip_is_refused, NULL);
}

static int sign_fails(void *ctx, const uint8_t digest[SF_SHA256_SIZE],
                      uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    (void)ctx;
    (void)digest;
    memset(signature, 0, SF_P256_SIGNATURE_SIZE);
    return SF_ERR_CRYPTO;
}

static void hands_on_the_errors_of_signer_and_buffer(void **state)
{
    (void)state;
    uint8_t out[64];
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, sizeof(out));
    assert_int_equal(
        sf_cose_sign1_write(&w, payload, SF_COSE_EMBEDDED, &signing.signer, signing.crypto),
        SF_ERR_NOSPC);
    const struct sf_signer broken = {.sign = sign_fails};
    sf_cbor_write_init(&w, out, sizeof(out));
    assert_int_equal(sf_cose_sign1_write(&w, payload, SF_COSE_EMBEDDED, &broken, signing.crypto),
                     SF_ERR_CRYPTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kid_begins_the_thumbprint_of_the_standard),
        cmocka_unit_test(embedded_payload_verifies),
        cmocka_unit_test(detached_payload_verifies_and_has_the_length_told),
        cmocka_unit_test(another_key_is_unknown_and_does_not_verify_either),
        cmocka_unit_test(refuses_other_shapes_than_ours),
        cmocka_unit_test(says_where_the_protected_header_is_wrong),
        cmocka_unit_test(every_flip_and_truncation_is_refused),
        cmocka_unit_test(hands_on_the_errors_of_signer_and_buffer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
