/* Envelopes with one and two signatures, as the release role's threshold asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "formats/envelope.h"
#include "formats/manifest.h"
#include "tests/formats/wire_support.h"

enum { SIGNERS = 3 };
static struct wire_signing signing[SIGNERS];
static struct sf_public_key key[SIGNERS];

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIGNERS; i++) {
        wire_signing_init(&signing[i]);
        key[i] = signing[i].key.public_key;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SIGNERS; i++) {
        wire_signing_release(&signing[i]);
    }
    return 0;
}

struct envelope {
    uint8_t data[SF_ENVELOPE_MAX];
    size_t len;
};

static struct sf_bytes bytes_of(const struct envelope *e)
{
    return (struct sf_bytes){e->data, e->len};
}

static void sign(unsigned signer, struct envelope *out)
{
    struct wire_random r;
    struct sf_manifest m;
    wire_random_init(&r);
    wire_random_manifest(&r, &m);
    const int32_t len = sf_manifest_sign(&m, &signing[signer].signer, signing[signer].crypto,
                                         out->data, sizeof(out->data));
    assert_true(len > 0);
    out->len = (size_t)len;
}

static int32_t cosign(const struct envelope *in, unsigned signer, struct envelope *out)
{
    const int32_t len = sf_envelope_cosign(bytes_of(in), &signing[signer].signer,
                                           signing[signer].crypto, out->data, sizeof(out->data));
    out->len = len > 0 ? (size_t)len : 0;
    return len;
}

/* Under the first `keys` keys, of which `threshold` must have signed. */
static int open_by(struct sf_bytes in, unsigned keys, unsigned threshold, struct sf_manifest *out)
{
    const struct sf_verifier by = {.key = key,
                                   .crypto = signing[0].crypto,
                                   .key_count = (uint8_t)keys,
                                   .threshold = (uint8_t)threshold};
    return sf_manifest_open_by(in, &by, out, NULL);
}

static void a_second_signature_changes_nothing_of_what_is_signed(void **state)
{
    (void)state;
    struct envelope one;
    struct envelope two;
    struct sf_manifest a;
    struct sf_manifest b;
    sign(0, &one);
    assert_int_equal(cosign(&one, 1, &two), one.len + 2 + SF_COSE_SIGN1_OVERHEAD);
    assert_int_equal(open_by(bytes_of(&one), 1, 1, &a), SF_OK);
    assert_int_equal(open_by(bytes_of(&two), 2, 2, &b), SF_OK);
    assert_memory_equal(a.digest, b.digest, SF_SHA256_SIZE);
    assert_int_equal(a.seq, b.seq);
    assert_string_equal(a.uri, b.uri);
}

static void as_many_keys_as_the_threshold_asks_for(void **state)
{
    (void)state;
    struct envelope one;
    struct envelope two;
    struct sf_manifest m;
    sign(2, &one);
    assert_int_equal(open_by(bytes_of(&one), 3, 1, &m), SF_OK); /* any of the three */
    assert_int_equal(open_by(bytes_of(&one), 3, 2, &m), SF_ERR_THRESHOLD);
    assert_int_equal(open_by(bytes_of(&one), 2, 1, &m), SF_ERR_KEY_UNKNOWN);
    assert_true(cosign(&one, 0, &two) > 0);
    assert_int_equal(open_by(bytes_of(&two), 3, 1, &m), SF_OK); /* more than enough */
    assert_int_equal(open_by(bytes_of(&two), 3, 2, &m), SF_OK);
    /* The third key signed and is none of ours: no signature may be left unverified. */
    assert_int_equal(open_by(bytes_of(&two), 2, 1, &m), SF_ERR_KEY_UNKNOWN);
    assert_int_equal(sf_manifest_open(bytes_of(&two), &key[0], signing[0].crypto, &m, NULL),
                     SF_ERR_KEY_UNKNOWN);
}

static void one_key_does_not_count_twice(void **state)
{
    (void)state;
    struct envelope one;
    struct envelope two;
    struct envelope three;
    struct sf_manifest m;
    sign(0, &one);
    assert_int_equal(cosign(&one, 0, &two), SF_ERR_DUPLICATE);
    assert_true(cosign(&one, 1, &two) > 0);
    assert_int_equal(cosign(&two, 2, &three), SF_ERR_RANGE);
    /* By hand: the second signature in place of the first. */
    const size_t first = two.len - one.len; /* d8 6b a2 02 58 d3 | 83 58 24 .. | 58 54 .. */
    assert_int_equal(first, 2 + SF_COSE_SIGN1_OVERHEAD);
    uint8_t *at = two.data + 6 + 1 + 38 + 2;
    memcpy(at, at + first, SF_COSE_SIGN1_OVERHEAD);
    assert_int_equal(open_by(bytes_of(&two), 2, 2, &m), SF_ERR_DUPLICATE);
}

static void refused_unparsed(struct sf_bytes mutated, void *ctx)
{
    unsigned *refused = ctx;
    struct sf_manifest m;
    m.version_count = 0x5a5a5a5a;
    assert_true(open_by(mutated, 2, 2, &m) < 0);
    assert_int_equal(m.version_count, 0x5a5a5a5a); /* the parser was never entered */
    ++*refused;
}

static void arbitrary_installation_every_bit_of_both_signatures_counts(void **state)
{
    (void)state;
    struct envelope one;
    struct envelope two;
    unsigned refused = 0;
    sign(0, &one);
    assert_true(cosign(&one, 1, &two) > 0);
    wire_each_flip(bytes_of(&two), refused_unparsed, &refused);
    assert_int_equal(refused, two.len * 8);
    wire_each_truncation(bytes_of(&two), refused_unparsed, &refused);
}

static void does_not_sign_what_does_not_fit(void **state)
{
    (void)state;
    struct envelope one;
    struct envelope two;
    sign(0, &one);
    const int32_t len = cosign(&one, 1, &two);
    assert_true(len > 0);
    assert_int_equal(sf_envelope_cosign(bytes_of(&one), &signing[1].signer, signing[1].crypto,
                                        two.data, (size_t)len - 1),
                     SF_ERR_NOSPC);
    one.data[one.len - 1] ^= 1; /* not what the first signed */
    assert_int_equal(cosign(&one, 1, &two), SF_ERR_DIGEST);
    one.len--;
    assert_true(cosign(&one, 1, &two) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_signature_changes_nothing_of_what_is_signed),
        cmocka_unit_test(as_many_keys_as_the_threshold_asks_for),
        cmocka_unit_test(one_key_does_not_count_twice),
        cmocka_unit_test(arbitrary_installation_every_bit_of_both_signatures_counts),
        cmocka_unit_test(does_not_sign_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
