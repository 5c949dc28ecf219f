/* The status: what it carries, what it refuses. */
#include "formats/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

static struct sf_bytes sign(const struct sf_status *s)
{
    static uint8_t out[SF_STATUS_MAX + 64];
    const int32_t len = sf_status_sign(s, &signing.signer, signing.crypto, out, sizeof(out));
    assert_true(len > 0);
    return (struct sf_bytes){out, (size_t)len};
}

static int open_status(struct sf_bytes in, struct sf_status *out, struct sf_diag *diag)
{
    return sf_status_open(in, &signing.key.public_key, signing.crypto, out, diag);
}

static void assert_views_equal(struct sf_bytes a, struct sf_bytes b)
{
    assert_int_equal(a.len, b.len);
    if (a.len > 0) {
        assert_memory_equal(a.data, b.data, a.len);
    }
}

/* Views differ in where they point; everything else must be the same byte for byte. */
static void assert_same(const struct sf_status *a, const struct sf_status *b)
{
    struct sf_status x = *a;
    struct sf_status y = *b;
    assert_views_equal(x.patches, y.patches);
    for (unsigned i = 0; i < SF_STATUS_MIRROR_MAX; i++) {
        assert_views_equal(x.mirror[i], y.mirror[i]);
    }
    memset(&x.patches, 0, sizeof(x.patches));
    memset(&y.patches, 0, sizeof(y.patches));
    memset(x.mirror, 0, sizeof(x.mirror));
    memset(y.mirror, 0, sizeof(y.mirror));
    assert_memory_equal(&x, &y, sizeof(x));
}

static void what_is_signed_opens_to_the_same(void **state)
{
    (void)state;
    struct wire_random r;
    wire_random_init(&r);
    for (unsigned i = 0; i < 300; i++) {
        struct sf_status s;
        struct sf_status opened;
        wire_random_status(&r, &s);
        memset(&opened, 0x5a, sizeof(opened));
        assert_int_equal(open_status(sign(&s), &opened, NULL), SF_OK);
        assert_same(&opened, &s);
    }
}

static struct sf_status smallest(void)
{
    return (struct sf_status){
        .counter = 7, .time = 1800000000, .expires = 1800003600, .next_checkin_s = 60};
}

static void the_smallest_status_is_small(void **state)
{
    (void)state;
    const struct sf_status s = smallest();
    struct sf_status opened;
    const struct sf_bytes in = sign(&s);
    assert_true(in.len <= 200);
    assert_int_equal(open_status(in, &opened, NULL), SF_OK);
    assert_false(opened.has_target);
}

static void refused_unparsed(struct sf_bytes mutated, void *ctx)
{
    (void)ctx;
    struct sf_status s;
    struct sf_status untouched;
    struct sf_diag diag = {0};
    memset(&s, 0x5a, sizeof(s));
    memset(&untouched, 0x5a, sizeof(untouched));
    assert_true(open_status(mutated, &s, &diag) < 0);
    assert_non_null(diag.why);
    assert_memory_equal(&s, &untouched, sizeof(s));
}

static void every_flip_and_truncation_is_refused_before_parsing(void **state)
{
    (void)state;
    struct wire_random r;
    struct sf_status s;
    uint8_t copy[SF_STATUS_MAX];
    wire_random_init(&r);
    wire_random_status(&r, &s);
    const struct sf_bytes in = sign(&s);
    memcpy(copy, in.data, in.len);
    wire_each_flip((struct sf_bytes){copy, in.len}, refused_unparsed, NULL);
    wire_each_truncation((struct sf_bytes){copy, in.len}, refused_unparsed, NULL);
}

/* Signs a payload that sf_status_sign() would not write. */
static int open_payload(struct sf_bytes payload, struct sf_diag *diag)
{
    uint8_t out[SF_STATUS_MAX + 128];
    struct sf_cbor_writer w;
    struct sf_status s;
    sf_cbor_write_init(&w, out, sizeof(out));
    assert_int_equal(
        sf_cose_sign1_write(&w, payload, SF_COSE_EMBEDDED, &signing.signer, signing.crypto), SF_OK);
    return open_status((struct sf_bytes){out, w.len}, &s, diag);
}

/* The payload of the smallest status, as bytes that may be changed. */
static struct sf_bytes payload_of_smallest(uint8_t *memory)
{
    const struct sf_status s = smallest();
    struct sf_cose_sign1 sign1;
    assert_int_equal(sf_cose_sign1_decode(sign(&s), &sign1, NULL), SF_OK);
    memcpy(memory, sign1.payload.data, sign1.payload.len);
    return (struct sf_bytes){memory, sign1.payload.len};
}

/* As if the server itself had signed it. */
static void genuine_but_changed(struct sf_bytes mutated, void *ctx)
{
    unsigned *accepted = ctx;
    struct sf_diag diag = {0};
    if (open_payload(mutated, &diag) < 0) {
        assert_non_null(diag.why);
        assert_true(diag.offset <= mutated.len + 32);
    } else {
        ++*accepted;
    }
}

static void signed_nonsense_is_refused_where_it_stands(void **state)
{
    (void)state;
    uint8_t memory[SF_STATUS_MAX];
    const struct sf_bytes payload = payload_of_smallest(memory);
    unsigned accepted = 0;
    wire_each_flip(payload, genuine_but_changed, &accepted);
    assert_true(accepted > 0 && accepted < payload.len * 8);
    accepted = 0;
    wire_each_truncation(payload, genuine_but_changed, &accepted);
    assert_int_equal(accepted, 0);
}

static void one_byte_of_the_payload(size_t at, uint8_t value, int expected)
{
    uint8_t memory[SF_STATUS_MAX];
    const struct sf_bytes payload = payload_of_smallest(memory);
    memory[at] = value;
    assert_int_equal(open_payload(payload, NULL), expected);
}

static void each_rule_of_the_payload_is_kept(void **state)
{
    (void)state;
    uint8_t memory[SF_STATUS_MAX];
    const struct sf_bytes payload = payload_of_smallest(memory);
    /* ab 01 02 02 07 ...; ends with 09 f6 0a 00 0c 18 3c */
    const size_t n = payload.len;
    static const uint8_t tail[] = {0x09, 0xf6, 0x0a, 0x00, 0x0c, 0x18, 0x3c};
    assert_memory_equal(memory + n - sizeof(tail), tail, sizeof(tail));
    one_byte_of_the_payload(0, 0xab, SF_OK);
    one_byte_of_the_payload(2, 0x01, SF_ERR_CBOR);      /* not a status */
    one_byte_of_the_payload(n - 4, 0x01, SF_ERR_RANGE); /* install without a target */
    one_byte_of_the_payload(n - 4, 0x02, SF_ERR_RANGE); /* roll back without a target */
    one_byte_of_the_payload(n - 4, 0x03, SF_OK);        /* cancel needs none */
    one_byte_of_the_payload(n - 4, 0x04, SF_ERR_RANGE); /* an unknown action */
    one_byte_of_the_payload(n - 3, 0x0b, SF_ERR_CBOR);  /* patches that are a number */
    one_byte_of_the_payload(n - 3, 0x0e, SF_ERR_CBOR);  /* no next check-in */
    one_byte_of_the_payload(n - 3, 0x11, SF_ERR_CBOR);  /* key 17 is ignored, and 12 missing */
    one_byte_of_the_payload(n - 6, 0xf5, SF_ERR_CBOR);  /* a target that is true */
}

static void an_unknown_key_above_the_known_is_ignored(void **state)
{
    (void)state;
    static const uint8_t extra[] = {0x18, 0x63, 0x82, 0x01, 0x61, 0x78}; /* 99: [1, "x"] */
    uint8_t memory[SF_STATUS_MAX];
    const struct sf_bytes payload = payload_of_smallest(memory);
    memcpy(memory + payload.len, extra, sizeof(extra));
    memory[0]++;
    assert_int_equal(open_payload((struct sf_bytes){memory, payload.len + sizeof(extra)}, NULL),
                     SF_OK);
}

static void a_detached_or_manifest_signature_is_no_status(void **state)
{
    (void)state;
    uint8_t out[256];
    struct sf_status s;
    struct sf_cbor_writer w;
    const struct sf_bytes payload = {(const uint8_t *)"\xa0", 1};
    sf_cbor_write_init(&w, out, sizeof(out));
    assert_int_equal(
        sf_cose_sign1_write(&w, payload, SF_COSE_DETACHED, &signing.signer, signing.crypto), SF_OK);
    assert_int_equal(open_status((struct sf_bytes){out, w.len}, &s, NULL), SF_ERR_CBOR);
}

static void does_not_sign_what_it_would_refuse(void **state)
{
    (void)state;
    uint8_t out[SF_STATUS_MAX];
    struct sf_status s = smallest();
    s.action = SF_STATUS_INSTALL;
    assert_int_equal(sf_status_sign(&s, &signing.signer, signing.crypto, out, sizeof(out)),
                     SF_ERR_RANGE);
    s = smallest();
    s.time = -1;
    assert_int_equal(sf_status_sign(&s, &signing.signer, signing.crypto, out, sizeof(out)),
                     SF_ERR_RANGE);
    s = smallest();
    s.mirror_count = SF_STATUS_MIRROR_MAX + 1;
    assert_int_equal(sf_status_sign(&s, &signing.signer, signing.crypto, out, sizeof(out)),
                     SF_ERR_RANGE);
    s = smallest();
    s.mirror_count = 1;
    s.mirror[0] = (struct sf_bytes){(const uint8_t *)"\xff", 1};
    assert_int_equal(sf_status_sign(&s, &signing.signer, signing.crypto, out, sizeof(out)),
                     SF_ERR_RANGE);
}

static void says_when_it_does_not_fit(void **state)
{
    (void)state;
    uint8_t out[2048];
    char mirror[400];
    struct sf_status s = smallest();
    for (size_t size = 0; size < sign(&s).len; size++) {
        assert_int_equal(sf_status_sign(&s, &signing.signer, signing.crypto, out, size),
                         SF_ERR_NOSPC);
    }
    memset(mirror, 'm', sizeof(mirror));
    s.mirror_count = 2;
    s.mirror[0] = (struct sf_bytes){(const uint8_t *)mirror, sizeof(mirror)};
    s.mirror[1] = s.mirror[0];
    assert_int_equal(sf_status_sign(&s, &signing.signer, signing.crypto, out, sizeof(out)),
                     SF_ERR_NOSPC);
}

static void a_status_over_the_limit_is_refused_unread(void **state)
{
    (void)state;
    static uint8_t zeros[SF_STATUS_MAX + 1];
    struct sf_status s;
    assert_int_equal(open_status((struct sf_bytes){zeros, sizeof(zeros)}, &s, NULL),
                     SF_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_opens_to_the_same),
        cmocka_unit_test(the_smallest_status_is_small),
        cmocka_unit_test(every_flip_and_truncation_is_refused_before_parsing),
        cmocka_unit_test(signed_nonsense_is_refused_where_it_stands),
        cmocka_unit_test(each_rule_of_the_payload_is_kept),
        cmocka_unit_test(an_unknown_key_above_the_known_is_ignored),
        cmocka_unit_test(a_detached_or_manifest_signature_is_no_status),
        cmocka_unit_test(does_not_sign_what_it_would_refuse),
        cmocka_unit_test(says_when_it_does_not_fit),
        cmocka_unit_test(a_status_over_the_limit_is_refused_unread),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
