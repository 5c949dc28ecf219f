/* The manifest of our profile: shape, refusals, versions. */
#include "formats/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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

static struct sf_bytes sign(struct sf_manifest *m)
{
    static uint8_t out[SF_ENVELOPE_MAX];
    const int32_t len = sf_manifest_sign(m, &signing.signer, signing.crypto, out, sizeof(out));
    assert_true(len > 0);
    return (struct sf_bytes){out, (size_t)len};
}

static int open_envelope(struct sf_bytes envelope, struct sf_manifest *out, struct sf_diag *diag)
{
    return sf_manifest_open(envelope, &signing.key.public_key, signing.crypto, out, diag);
}

static struct sf_manifest example(void)
{
    struct sf_manifest m = {.seq = 42, .image_size = 0x123456, .version = {1, 4, 2}};
    m.version_count = 3;
    memset(m.vendor_uuid, 0x11, sizeof(m.vendor_uuid));
    memset(m.class_uuid, 0x22, sizeof(m.class_uuid));
    memset(m.image_digest, 0x33, sizeof(m.image_digest));
    (void)snprintf(m.uri, sizeof(m.uri), "/artifacts/33");
    return m;
}

/* Written out by hand from the profile. */
static void every_byte_of_an_envelope_is_where_the_profile_says(void **state)
{
    (void)state;
    static const char front[] = "d86ba202587d"    /* 107({2: bstr of 125 */
                                "825824822f5820"; /* [bstr [-16, h'32 */
    static const char manifest[] =
        "03588d"
        "a6"
        "0101"
        "02182a"
        "035861"
        "a2"
        "02818141"
        "00"
        "045858"
        "86"
        "14"
        "a4"
        "0150"
        "11111111111111111111111111111111"
        "0250"
        "22222222222222222222222222222222"
        "035824822f5820"
        "3333333333333333333333333333333333333333333333333333333333333333"
        "0e1a00123456"
        "010f"
        "020f"
        "0644"
        "83010402"
        "0743"
        "82030f"
        "1456"
        "86"
        "14"
        "a1156d"
        "2f6172746966616374732f3333"
        "1502"
        "030f";
    struct sf_manifest m = example();
    const struct sf_bytes e = sign(&m);
    uint8_t expected[512];
    const size_t front_len = wire_hex(front, expected, sizeof(expected));
    assert_memory_equal(e.data, expected, front_len);
    assert_memory_equal(e.data + front_len, m.digest, SF_SHA256_SIZE);
    static const char sign1[] = "5854d2844da2012804"
                                "48";
    const size_t sign1_at = front_len + SF_SHA256_SIZE;
    const size_t sign1_len = wire_hex(sign1, expected, sizeof(expected));
    assert_memory_equal(e.data + sign1_at, expected, sign1_len);
    assert_memory_equal(e.data + sign1_at + sign1_len, signing.signer.kid, SF_KID_SIZE);
    const size_t manifest_len = wire_hex(manifest, expected, sizeof(expected));
    assert_int_equal(e.len, 131 + manifest_len);
    assert_memory_equal(e.data + 131, expected, manifest_len);

    uint8_t digest[SF_SHA256_SIZE]; /* over the manifest with its bstr header */
    assert_int_equal(sf_sha256(signing.crypto, e.data + 132, e.len - 132, digest), SF_OK);
    assert_memory_equal(m.digest, digest, sizeof(digest));
}

static void what_is_signed_opens_to_the_same(void **state)
{
    (void)state;
    struct wire_random r;
    wire_random_init(&r);
    for (unsigned i = 0; i < 200; i++) {
        struct sf_manifest m;
        struct sf_manifest opened;
        wire_random_manifest(&r, &m);
        const struct sf_bytes e = sign(&m);
        memset(&opened, 0x5a, sizeof(opened));
        assert_int_equal(open_envelope(e, &opened, NULL), SF_OK);
        assert_memory_equal(&opened, &m, sizeof(m));
        assert_true(e.len <= 384);
    }
}

/* The decoder writes `out` first thing, so an untouched one proves that it was never entered. */
static void refused_unparsed(struct sf_bytes mutated, void *ctx)
{
    (void)ctx;
    struct sf_manifest m;
    struct sf_manifest untouched;
    struct sf_diag diag = {0};
    memset(&m, 0x5a, sizeof(m));
    memset(&untouched, 0x5a, sizeof(untouched));
    const int err = open_envelope(mutated, &m, &diag);
    assert_true(err < 0);
    assert_int_not_equal(err, SF_ERR_PROFILE);
    assert_non_null(diag.why);
    assert_true(diag.offset <= mutated.len);
    assert_memory_equal(&m, &untouched, sizeof(m));
}

static void every_flip_and_truncation_is_refused_before_parsing(void **state)
{
    (void)state;
    struct sf_manifest m = example();
    const struct sf_bytes e = sign(&m);
    uint8_t copy[SF_ENVELOPE_MAX];
    memcpy(copy, e.data, e.len);
    wire_each_flip((struct sf_bytes){copy, e.len}, refused_unparsed, NULL);
    wire_each_truncation((struct sf_bytes){copy, e.len}, refused_unparsed, NULL);
}

static void an_envelope_over_the_limit_is_refused_unread(void **state)
{
    (void)state;
    static uint8_t zeros[SF_ENVELOPE_MAX + 1];
    struct sf_manifest m;
    struct sf_diag diag = {0};
    assert_int_equal(open_envelope((struct sf_bytes){zeros, sizeof(zeros)}, &m, &diag),
                     SF_ERR_TOO_LARGE);
    assert_int_equal(diag.offset, SF_ENVELOPE_MAX);
}

static void another_key_is_refused(void **state)
{
    (void)state;
    struct p256_key other;
    struct sf_manifest m = example();
    const struct sf_bytes e = sign(&m);
    assert_int_equal(p256_key_generate(&other), SF_OK);
    assert_int_equal(sf_manifest_open(e, &other.public_key, signing.crypto, &m, NULL),
                     SF_ERR_KEY_UNKNOWN);
    p256_key_release(&other);
}

/* Each byte of a genuine manifest changed, as if the release key had signed it: the decoder itself
 * must refuse what is outside of the profile, and read the rest to what is written there. */
static void decodes_to_the_same_or_refuses(struct sf_bytes mutated, void *ctx)
{
    unsigned *accepted = ctx;
    struct sf_manifest m;
    struct sf_diag diag = {0};
    memset(&m, 0, sizeof(m));
    const int err = sf_manifest_decode(mutated, &m, &diag);
    if (err < 0) {
        assert_true(diag.offset <= mutated.len);
        return;
    }
    struct sf_bytes again;
    assert_int_equal(sf_envelope_peek(sign(&m), &again, NULL), SF_OK);
    assert_int_equal(again.len, mutated.len);
    assert_memory_equal(again.data, mutated.data, again.len);
    ++*accepted;
}

static void the_decoder_accepts_exactly_what_the_encoder_writes(void **state)
{
    (void)state;
    struct sf_manifest m = example();
    struct sf_bytes manifest;
    uint8_t copy[SF_ENVELOPE_MAX];
    unsigned accepted = 0;
    assert_int_equal(sf_envelope_peek(sign(&m), &manifest, NULL), SF_OK);
    memcpy(copy, manifest.data, manifest.len);
    manifest.data = copy;
    wire_each_flip(manifest, decodes_to_the_same_or_refuses, &accepted);
    assert_true(accepted > 500); /* the ids, the digest, the size: 68 bytes and more */
    accepted = 0;
    wire_each_truncation(manifest, decodes_to_the_same_or_refuses, &accepted);
    assert_int_equal(accepted, 0);
}

struct foreign {
    const char *from; /* hex in the example's manifest */
    const char *to;   /* of the same length */
    const char *what;
};

static const struct foreign foreign[] = {
    {"010f020f", "010f030f", "another condition"},
    {"010f020f", "0c00020f", "set-component-index"},
    {"1502030f", "1602030f", "copy in place of fetch"},
    {"1502030f", "15020300", "another reporting policy"},
    {"0e1a00123456", "0d1a00123456", "an unknown parameter"},
    {"82030f14", "82020f14", "validate another condition"},
    {"0101", "0102", "manifest version 2"},
    {"0281814100", "0281814101", "another component"},
    {"83010402", "83010422", "a negative part of the version"},
    {"6d2f6172", "6d2f2f72", "a uri that names a server"},
    {"6d2f6172", "6d612f72", "a uri relative to nothing"},
    {"6d2f6172", "6d2f2072", "a space in the uri"},
    {"822f5820", "82315820", "another digest algorithm"},
};

static size_t find(struct sf_bytes in, const uint8_t *what, size_t len)
{
    for (size_t at = 0; at + len <= in.len; at++) {
        if (memcmp(in.data + at, what, len) == 0) {
            return at;
        }
    }
    fail();
    return 0;
}

static void what_is_outside_of_the_profile_is_refused(void **state)
{
    (void)state;
    struct sf_manifest m = example();
    struct sf_bytes manifest;
    assert_int_equal(sf_envelope_peek(sign(&m), &manifest, NULL), SF_OK);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        uint8_t copy[SF_ENVELOPE_MAX];
        uint8_t from[16];
        uint8_t to[16];
        struct sf_diag diag = {0};
        const size_t len = wire_hex(foreign[i].from, from, sizeof(from));
        assert_int_equal(wire_hex(foreign[i].to, to, sizeof(to)), len);
        memcpy(copy, manifest.data, manifest.len);
        const size_t at = find(manifest, from, len);
        memcpy(copy + at, to, len);
        const int err = sf_manifest_decode((struct sf_bytes){copy, manifest.len}, &m, &diag);
        if (err != SF_ERR_PROFILE) {
            print_message("%s: %s\n", foreign[i].what, sf_err_name(err));
        }
        assert_int_equal(err, SF_ERR_PROFILE);
        assert_true(diag.offset >= at && diag.offset <= at + len + 16);
    }
}

static void does_not_sign_what_it_would_refuse(void **state)
{
    (void)state;
    uint8_t out[SF_ENVELOPE_MAX];
    static const char *const uri[] = {"", "artifacts/1", "//elsewhere/1", "https://x/1", "/a b"};
    for (size_t i = 0; i < sizeof(uri) / sizeof(uri[0]); i++) {
        struct sf_manifest m = example();
        (void)snprintf(m.uri, sizeof(m.uri), "%s", uri[i]);
        assert_int_equal(sf_manifest_sign(&m, &signing.signer, signing.crypto, out, sizeof(out)),
                         SF_ERR_PROFILE);
    }
    struct sf_manifest m = example();
    m.version_count = 4;
    assert_int_equal(sf_manifest_sign(&m, &signing.signer, signing.crypto, out, sizeof(out)),
                     SF_ERR_PROFILE);
}

static void says_when_the_buffer_is_too_small(void **state)
{
    (void)state;
    struct sf_manifest m = example();
    const size_t len = sign(&m).len;
    uint8_t out[SF_ENVELOPE_MAX];
    for (size_t size = 0; size < len; size++) {
        assert_int_equal(sf_manifest_sign(&m, &signing.signer, signing.crypto, out, size),
                         SF_ERR_NOSPC);
    }
    assert_int_equal(sf_manifest_sign(&m, &signing.signer, signing.crypto, out, len), len);
}

static void the_longest_manifest_fits_the_limit(void **state)
{
    (void)state;
    struct sf_manifest m = example();
    m.seq = UINT64_MAX;
    m.image_size = UINT32_MAX;
    m.version_count = SF_MANIFEST_VERSION_PARTS;
    for (unsigned i = 0; i < 3; i++) {
        m.version[i] = INT32_MAX;
    }
    m.version[3] = -3;
    m.version[4] = INT32_MAX;
    memset(m.uri, 'a', SF_MANIFEST_URI_MAX);
    m.uri[0] = '/';
    m.uri[SF_MANIFEST_URI_MAX] = '\0';
    struct sf_manifest opened;
    const struct sf_bytes e = sign(&m);
    assert_true(e.len <= SF_ENVELOPE_MAX / 2);
    memset(&opened, 0, sizeof(opened));
    assert_int_equal(open_envelope(e, &opened, NULL), SF_OK);
    assert_memory_equal(&opened, &m, sizeof(m));
}

static void versions_go_to_parts_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned count;
        int32_t part[SF_MANIFEST_VERSION_PARTS];
    } row[] = {
        {"0.0.0", 3, {0}},
        {"1.2.0", 3, {1, 2, 0}},
        {"10.200.3000", 3, {10, 200, 3000}},
        {"2147483647.0.1", 3, {INT32_MAX, 0, 1}},
        {"1.2.0-rc.1", 5, {1, 2, 0, -1, 1}},
        {"1.2.0-beta.20", 5, {1, 2, 0, -2, 20}},
        {"1.2.0-alpha.0", 5, {1, 2, 0, -3, 0}},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct sf_manifest m = {0};
        char text[64];
        assert_int_equal(sf_manifest_version_parse(row[i].text, &m), SF_OK);
        assert_int_equal(m.version_count, row[i].count);
        assert_memory_equal(m.version, row[i].part, sizeof(m.version));
        sf_manifest_version_text(&m, text);
        assert_string_equal(text, row[i].text);
    }
}

static void versions_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const char *const text[] = {
        "",
        "1",
        "1.2",
        "1.2.",
        "1.2.3.4",
        "1..3",
        "v1.2.3",
        "1.2.3 ",
        " 1.2.3",
        "01.2.3",
        "1.2.00",
        "-1.2.3",
        "2147483648.0.0",
        "99999999999999999999.0.0",
        "1.2.3-",
        "1.2.3-rc",
        "1.2.3-rc.",
        "1.2.3-rc1",
        "1.2.3-rc.01",
        "1.2.3-gamma.1",
        "1.2.3-rc.1.2",
        "1.2.3+build",
        "1.2.3-rc.1+b",
        "1.2.3-RC.1",
        "1.2.x",
    };
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        struct sf_manifest m = {.version_count = 77};
        assert_int_equal(sf_manifest_version_parse(text[i], &m), SF_ERR_PROFILE);
        assert_int_equal(m.version_count, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_an_envelope_is_where_the_profile_says),
        cmocka_unit_test(what_is_signed_opens_to_the_same),
        cmocka_unit_test(every_flip_and_truncation_is_refused_before_parsing),
        cmocka_unit_test(an_envelope_over_the_limit_is_refused_unread),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(the_decoder_accepts_exactly_what_the_encoder_writes),
        cmocka_unit_test(what_is_outside_of_the_profile_is_refused),
        cmocka_unit_test(does_not_sign_what_it_would_refuse),
        cmocka_unit_test(says_when_the_buffer_is_too_small),
        cmocka_unit_test(the_longest_manifest_fits_the_limit),
        cmocka_unit_test(versions_go_to_parts_and_back),
        cmocka_unit_test(versions_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
