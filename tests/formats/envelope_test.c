/* The SUIT draft's own envelopes, signed by the draft's key, and one of our profile that another
 * implementation accepts. */
#include "formats/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "formats/manifest.h"
#include "tests/formats/wire_support.h"

#define SUIT SF_SHARED_VECTORS "/suit/"

enum { DRAFT_COUNT = 6 };

static const char *const draft[DRAFT_COUNT] = {
    SUIT "draft_ex0.suit", SUIT "draft_ex1.suit", SUIT "draft_ex2.suit",
    SUIT "draft_ex3.suit", SUIT "draft_ex4.suit", SUIT "draft_ex5.suit",
};
static const char profile_min[] = SUIT "profile_min_esp256_kid.suit";

static struct p256_key draft_key;

static int setup(void **state)
{
    (void)state;
    return p256_key_from_hex(&draft_key,
                             "8496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad"
                             "3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896");
}

static int teardown(void **state)
{
    (void)state;
    p256_key_release(&draft_key);
    return 0;
}

static struct sf_bytes load(const char *path)
{
    static uint8_t memory[2048];
    const size_t len = wire_read_file(path, memory, sizeof(memory));
    return (struct sf_bytes){memory, len};
}

static int verify(struct sf_bytes envelope, enum sf_cose_kid_check kid_check,
                  struct sf_envelope *out, struct sf_diag *diag)
{
    const struct sf_verifier by = {
        .key = &draft_key.public_key, .crypto = crypto_openssl(), .kid_check = kid_check};
    return sf_envelope_verify(envelope, &by, out, diag);
}

static void all_examples_of_the_draft_verify(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRAFT_COUNT; i++) {
        const struct sf_bytes in = load(draft[i]);
        struct sf_envelope e;
        struct sf_bytes manifest;
        assert_int_equal(verify(in, SF_COSE_KID_IGNORED, &e, NULL), SF_OK);
        assert_int_equal(e.severed_count, i == 2 ? 2 : 0);
        assert_int_equal(sf_envelope_peek(in, &manifest, NULL), SF_OK);
        assert_ptr_equal(manifest.data, e.manifest.data);
        assert_int_equal(manifest.len, e.manifest.len);
    }
}

static void the_examples_carry_no_kid_so_a_full_verification_refuses(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRAFT_COUNT; i++) {
        struct sf_envelope e;
        assert_int_equal(verify(load(draft[i]), SF_COSE_KID_REQUIRED, &e, NULL),
                         SF_ERR_KEY_UNKNOWN);
    }
}

static void the_examples_are_outside_of_our_profile(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRAFT_COUNT; i++) {
        struct sf_envelope e;
        struct sf_manifest m;
        assert_int_equal(verify(load(draft[i]), SF_COSE_KID_IGNORED, &e, NULL), SF_OK);
        assert_int_equal(sf_manifest_decode(e.manifest, &m, NULL), SF_ERR_PROFILE);
    }
}

static void flip_is_refused(struct sf_bytes mutated, void *ctx)
{
    struct sf_envelope e;
    struct sf_diag diag = {0};
    memset(&e, 0x5a, sizeof(e));
    const int err = verify(mutated, SF_COSE_KID_IGNORED, &e, &diag);
    assert_true(err < 0);
    assert_non_null(diag.why);
    assert_true(diag.offset <= mutated.len);
    assert_int_equal(e.severed_count, 0x5a5a5a5a);
    ++*(size_t *)ctx;
}

static void every_flip_and_truncation_of_the_examples_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DRAFT_COUNT; i++) {
        const struct sf_bytes in = load(draft[i]);
        size_t refused = 0;
        wire_each_flip(in, flip_is_refused, &refused);
        assert_int_equal(refused, in.len * 8);
        wire_each_truncation(in, flip_is_refused, &refused);
    }
}

/* Example 2 severs members 20 and 23: a change there is caught by the manifest's digest alone. */
static void a_severed_member_that_changed_is_uncovered(void **state)
{
    (void)state;
    const struct sf_bytes in = load(draft[2]);
    uint8_t changed[2048];
    struct sf_envelope e;
    memcpy(changed, in.data, in.len);
    changed[in.len - 1] ^= 1;
    assert_int_equal(verify((struct sf_bytes){changed, in.len}, SF_COSE_KID_IGNORED, &e, NULL),
                     SF_ERR_DIGEST);
}

/* Example 0 with one more member that its manifest does not know. */
static void a_member_that_the_manifest_does_not_name_is_uncovered(void **state)
{
    (void)state;
    static const uint8_t extra[] = {0x14, 0x41, 0x00}; /* 20: h'00' */
    const struct sf_bytes in = load(draft[0]);
    uint8_t more[2048];
    struct sf_envelope e;
    memcpy(more, in.data, in.len);
    memcpy(more + in.len, extra, sizeof(extra));
    assert_int_equal(more[2], 0xa2);
    more[2] = 0xa3;
    const struct sf_bytes envelope = {more, in.len + sizeof(extra)};
    assert_int_equal(verify(envelope, SF_COSE_KID_IGNORED, &e, NULL), SF_ERR_UNCOVERED);
}

static void the_envelope_of_our_profile_verifies_and_decodes(void **state)
{
    (void)state;
    struct sf_envelope e;
    struct sf_manifest m;
    uint8_t class_uuid[SF_UUID_SIZE];
    char version[64];
    (void)wire_hex("1492af1425695e48bf429b2d51f2ab45", class_uuid, sizeof(class_uuid));
    assert_int_equal(verify(load(profile_min), SF_COSE_KID_IGNORED, &e, NULL), SF_OK);
    assert_int_equal(sf_manifest_decode(e.manifest, &m, NULL), SF_OK);
    assert_int_equal(m.seq, 42);
    assert_int_equal(m.image_size, 0x100000);
    assert_memory_equal(m.class_uuid, class_uuid, sizeof(class_uuid));
    assert_int_equal(m.image_digest[0], 0xaa);
    assert_int_equal(m.image_digest[31], 0xaa);
    assert_string_equal(m.uri, "/v1/a/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    sf_manifest_version_text(&m, version);
    assert_string_equal(version, "1.4.2");
}

static void its_foreign_kid_is_refused_by_a_full_verification(void **state)
{
    (void)state;
    struct sf_manifest m;
    assert_int_equal(
        sf_manifest_open(load(profile_min), &draft_key.public_key, crypto_openssl(), &m, NULL),
        SF_ERR_KEY_UNKNOWN);
}

/* Our encoder gives the manifest of the independent envelope byte for byte. */
static void our_encoder_writes_the_same_manifest(void **state)
{
    (void)state;
    struct wire_signing signing;
    struct sf_envelope theirs;
    struct sf_manifest m;
    struct sf_bytes ours;
    uint8_t out[SF_ENVELOPE_MAX];
    wire_signing_init(&signing);
    assert_int_equal(verify(load(profile_min), SF_COSE_KID_IGNORED, &theirs, NULL), SF_OK);
    assert_int_equal(sf_manifest_decode(theirs.manifest, &m, NULL), SF_OK);
    const int32_t len = sf_manifest_sign(&m, &signing.signer, signing.crypto, out, sizeof(out));
    assert_true(len > 0);
    assert_int_equal(sf_envelope_peek((struct sf_bytes){out, (size_t)len}, &ours, NULL), SF_OK);
    assert_int_equal(ours.len, theirs.manifest.len);
    assert_memory_equal(ours.data, theirs.manifest.data, ours.len);
    assert_memory_equal(m.digest, theirs.digest, SF_SHA256_SIZE);
    wire_signing_release(&signing);
}

int main(void)
{
    wire_need_file(draft[0]);
    wire_need_file(profile_min);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_examples_of_the_draft_verify),
        cmocka_unit_test(the_examples_carry_no_kid_so_a_full_verification_refuses),
        cmocka_unit_test(the_examples_are_outside_of_our_profile),
        cmocka_unit_test(every_flip_and_truncation_of_the_examples_is_refused),
        cmocka_unit_test(a_severed_member_that_changed_is_uncovered),
        cmocka_unit_test(a_member_that_the_manifest_does_not_name_is_uncovered),
        cmocka_unit_test(the_envelope_of_our_profile_verifies_and_decodes),
        cmocka_unit_test(its_foreign_kid_is_refused_by_a_full_verification),
        cmocka_unit_test(our_encoder_writes_the_same_manifest),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
