/* The trust root against the conformance cases of TUF's clients (tuf-conformance: rotation,
 * thresholds, duplicate keys, expiry), by their names there. */
#include "formats/root.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "tests/support/root_kit.h"

static struct root_kit kit;

static int setup(void **state)
{
    (void)state;
    root_kit_init(&kit);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    root_kit_release(&kit);
    return 0;
}

enum { K0 = 1 << 0, K1 = 1 << 1 };

static void trust_first(struct root_kit_trust *t)
{
    struct sf_root_draft d;
    root_kit_draft(&kit, &d);
    t->root.version = 0;
    assert_int_equal(root_kit_open(&kit, t, &d, K0 | K1), SF_OK);
}

/* A root's keys and who signed it, as sets of the kit's keys. */
struct step {
    unsigned keys;
    unsigned threshold;
    unsigned signers;
};

enum { STEPS_MAX = 4 };

static int open_step(struct root_kit_trust *t, unsigned index, const struct step *step)
{
    struct sf_root_draft d;
    root_kit_draft(&kit, &d);
    d.version = index + 1;
    for (unsigned i = 0; i < 3; i++) {
        root_kit_remove(&kit, &d, i);
    }
    root_kit_remove(&kit, &d, ROOT_KIT_RELEASE);
    root_kit_remove(&kit, &d, ROOT_KIT_STATUS);
    root_kit_add(&kit, &d, SF_ROLE_RELEASE, ROOT_KIT_KEYS - 2);
    root_kit_add(&kit, &d, SF_ROLE_STATUS, ROOT_KIT_KEYS - 1);
    for (unsigned i = 0; i < 10; i++) {
        if ((step->keys >> i & 1U) != 0) {
            root_kit_add(&kit, &d, SF_ROLE_ROOT, i);
        }
    }
    d.threshold[SF_ROLE_ROOT] = (uint8_t)step->threshold;
    return root_kit_open(&kit, t, &d, step->signers);
}

#define SET5(a, b, c, d, e) (1U << (a) | 1U << (b) | 1U << (c) | 1U << (d) | 1U << (e))
#define SET3(a, b, c)       (1U << (a) | 1U << (b) | 1U << (c))
#define SET2(a, b)          (1U << (a) | 1U << (b))
#define SET1(a)             (1U << (a))

/* tuf-conformance, test_root_rotation. Unlike TUF's clients we refuse signatures by keys of neither
 * root, so "unused-signatures" fails here: nothing in a signed object may be left uncovered. */
static const struct {
    const char *name;
    int last; /* what opening the last step gives; the others open */
    struct step step[STEPS_MAX];
} rotation[] = {
    {"1-of-1-key-rotation",
     SF_OK,
     {{SET1(1), 1, SET1(1)}, {SET1(2), 1, SET2(2, 1)}, {SET1(2), 1, SET1(2)}}},
    {"1-of-1-key-rotation-unused-signatures", SF_ERR_KEY_UNKNOWN, {{SET1(1), 1, SET3(3, 1, 4)}}},
    {"1-of-1-key-rotation-unused-signatures, the second root",
     SF_ERR_KEY_UNKNOWN,
     {{SET1(1), 1, SET1(1)}, {SET1(2), 1, SET2(3, 2) | SET2(1, 4)}}},
    {"3-of-5-sign-with-different-keycombos",
     SF_OK,
     {{SET5(0, 1, 2, 3, 4), 3, SET3(0, 2, 4)},
      {SET5(0, 1, 2, 3, 4), 3, SET3(0, 4, 1)},
      {SET5(0, 1, 2, 3, 4), 3, SET3(0, 1, 3)},
      {SET5(0, 1, 2, 3, 4), 3, SET3(0, 1, 3)}}},
    {"3-of-5-one-key-rotated",
     SF_OK,
     {{SET5(0, 1, 2, 3, 4), 3, SET3(0, 2, 4)}, {SET5(0, 1, 3, 4, 5), 3, SET3(0, 4, 1)}}},
    {"3-of-5-one-key-rotated-with-intermediate-step",
     SF_OK,
     {{SET5(0, 1, 2, 3, 4), 3, SET3(0, 2, 4)},
      {SET5(0, 1, 3, 4, 5), 3, SET2(0, 2) | SET2(4, 5)},
      {SET5(0, 1, 3, 4, 5), 3, SET3(0, 4, 5)}}},
    {"3-of-5-all-keys-rotated-with-intermediate-step",
     SF_OK,
     {{SET5(0, 1, 2, 3, 4), 3, SET3(0, 2, 4)},
      {SET5(5, 6, 7, 8, 9), 3, SET3(0, 2, 4) | SET3(5, 6, 7)},
      {SET5(5, 6, 7, 8, 9), 3, SET3(5, 6, 7)}}},
    {"1-of-3-threshold-increase-to-2-of-3",
     SF_OK,
     {{SET3(1, 2, 3), 1, SET1(1)}, {SET3(1, 2, 3), 2, SET2(1, 2)}}},
    {"2-of-3-threshold-decrease-to-1-of-3",
     SF_OK,
     {{SET3(1, 2, 3), 2, SET2(1, 2)}, {SET3(1, 2, 3), 1, SET2(1, 2)}, {SET3(1, 2, 3), 1, SET1(1)}}},
    {"1-of-2-threshold-increase-to-2-of-2",
     SF_OK,
     {{SET1(1), 1, SET1(1)}, {SET2(1, 2), 2, SET2(1, 2)}}},
    {"1-of-1-key-rotation-fail-not-signed-with-old-key",
     SF_ERR_THRESHOLD,
     {{SET1(1), 1, SET1(1)}, {SET1(2), 1, SET3(2, 3, 4)}}},
    {"1-of-1-key-rotation-fail-not-signed-with-new-key",
     SF_ERR_KEY_UNKNOWN,
     {{SET1(1), 1, SET1(1)}, {SET1(2), 1, SET3(1, 3, 4)}}},
    {"3-of-5-one-key-rotate-fails-not-signed-with-3-new-keys",
     SF_ERR_THRESHOLD,
     {{SET5(0, 1, 2, 3, 4), 3, SET3(0, 2, 4)}, {SET5(0, 1, 3, 4, 5), 3, SET3(0, 2, 4)}}},
    {"3-of-5-one-key-rotate-fails-not-signed-with-3-old-keys",
     SF_ERR_THRESHOLD,
     {{SET5(0, 1, 2, 3, 4), 3, SET3(0, 2, 4)}, {SET5(0, 1, 3, 4, 5), 3, SET3(0, 4, 5)}}},
    {"1-of-3-threshold-bump-to-2-of-3-fails-new-threshold-not-reached",
     SF_ERR_THRESHOLD,
     {{SET3(1, 2, 3), 1, SET1(1)}, {SET3(1, 2, 3), 2, SET1(2)}}},
    {"2-of-3-threshold-decr-to-1-of-3-fails-old-threshold-not-reached",
     SF_ERR_THRESHOLD,
     {{SET3(1, 2, 3), 2, SET2(1, 2)}, {SET3(1, 2, 3), 1, SET1(1)}}},
};

static void tuf_root_rotation(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rotation) / sizeof(rotation[0]); i++) {
        struct root_kit_trust t = {0};
        unsigned count = 0;
        while (count < STEPS_MAX && rotation[i].step[count].threshold != 0) {
            count++;
        }
        for (unsigned k = 0; k < count; k++) {
            const int expected = k + 1 == count ? rotation[i].last : SF_OK;
            const int err = open_step(&t, k, &rotation[i].step[k]);
            if (err != expected) {
                print_message("%s, step %u: %s\n", rotation[i].name, k + 1, sf_err_name(err));
            }
            assert_int_equal(err, expected);
        }
    }
}

/* tuf-conformance, test_duplicate_keys_root: one key under several key ids. Here a kid is computed
 * from its key, so a second one cannot be written; by hand it is refused. */
static void tuf_duplicate_keys_root(void **state)
{
    (void)state;
    struct root_kit_trust t;
    struct sf_root root;
    uint8_t file[SF_ROOT_MAX];
    uint8_t payload[SF_ROOT_PAYLOAD_MAX];
    trust_first(&t);
    struct sf_root_draft d = root_kit_next_draft(&t);
    root_kit_add(&kit, &d, SF_ROLE_RELEASE, 1); /* the second root key once more */
    assert_int_equal(sf_root_encode(&d, crypto_openssl(), NULL, payload, sizeof(payload)),
                     SF_ERR_DUPLICATE);
    d = root_kit_next_draft(&t);
    d.key[d.key_count] = d.key[0];
    d.key[d.key_count++].key.kid[0] ^= 1; /* the first root key under another kid */
    assert_int_equal(sf_root_encode(&d, crypto_openssl(), NULL, payload, sizeof(payload)),
                     SF_ERR_KEY_UNKNOWN);

    /* Its bytes, genuinely signed, whatever the encoder thinks of them. */
    const struct sf_root_draft good = root_kit_next_draft(&t);
    const int32_t len = sf_root_encode(&good, crypto_openssl(), NULL, payload, sizeof(payload));
    assert_true(len > 0);
    struct sf_root decoded;
    assert_int_equal(
        sf_root_decode((struct sf_bytes){payload, (size_t)len}, crypto_openssl(), &decoded, NULL),
        SF_OK);
    payload[decoded.keys.data - payload + 8] ^= 1; /* the last byte of the first kid */
    const struct sf_bytes in =
        root_kit_sign_payload(&kit, (struct sf_bytes){payload, (size_t)len}, K0 | K1, file);
    assert_int_equal(sf_root_open_next(in, &t.root, crypto_openssl(), &root, NULL),
                     SF_ERR_KEY_UNKNOWN);
}

static int assemble(const struct sf_cose_signature *signature, unsigned count)
{
    uint8_t file[SF_ROOT_MAX];
    static const uint8_t payload[] = {0xa0};
    return sf_root_assemble((struct sf_bytes){payload, 1}, signature, count, file, sizeof(file));
}

/* The same signature twice counts for one: it cannot even be written, and by hand it is refused. */
static void one_key_signs_once(void **state)
{
    (void)state;
    struct root_kit_trust t;
    uint8_t file[SF_ROOT_MAX];
    struct sf_root root;
    struct sf_cose_signature signature[2];
    static const uint8_t payload[] = {0xa0};
    assert_int_equal(sf_root_sign((struct sf_bytes){payload, 1}, &kit.signer[0], crypto_openssl(),
                                  &signature[0]),
                     SF_OK);
    signature[1] = signature[0];
    assert_int_equal(assemble(signature, 2), SF_ERR_DUPLICATE);
    assert_true(assemble(signature, 1) > 0);
    assert_int_equal(assemble(signature, 0), SF_ERR_RANGE);

    trust_first(&t);
    const struct sf_root_draft d = root_kit_next_draft(&t);
    struct sf_bytes in = root_kit_sign(&kit, &d, K0 | K1, file);
    uint8_t *last = file + in.len - SF_COSE_SIGNATURE_SIZE;
    memcpy(last, last - SF_COSE_SIGNATURE_SIZE, SF_COSE_SIGNATURE_SIZE);
    assert_int_equal(sf_root_open_next(in, &t.root, crypto_openssl(), &root, NULL),
                     SF_ERR_DUPLICATE);
}

/* tuf-conformance, test_trusted_root_expired and test_root_expired: an expired root still vouches
 * for its successor; only the last one's expiry is asked for, and at the very second. */
static void tuf_trusted_root_expired(void **state)
{
    (void)state;
    struct root_kit_trust t;
    trust_first(&t);
    struct sf_root_draft d = root_kit_next_draft(&t);
    d.issued_at = t.root.expires + 1000;
    d.expires = d.issued_at + 1000;
    assert_true(sf_root_expired(&t.root, d.issued_at));
    assert_int_equal(root_kit_open(&kit, &t, &d, K0 | K1), SF_OK);
    assert_false(sf_root_expired(&t.root, d.expires - 1));
    assert_true(sf_root_expired(&t.root, d.expires));
    assert_true(sf_root_expired(&t.root, INT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tuf_root_rotation),
        cmocka_unit_test(tuf_duplicate_keys_root),
        cmocka_unit_test(one_key_signs_once),
        cmocka_unit_test(tuf_trusted_root_expired),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
