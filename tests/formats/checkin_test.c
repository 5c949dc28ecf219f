/* Check-in request and answer, enrolment. */
#include "formats/checkin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/otadata.h"
#include "tests/formats/wire_support.h"

static struct sf_bytes encode(const struct sf_checkin *c)
{
    static uint8_t out[SF_CHECKIN_REQUEST_MAX];
    const int32_t len = sf_checkin_encode(c, out, sizeof(out));
    assert_true(len > 0);
    return (struct sf_bytes){out, (size_t)len};
}

static void assert_same(const struct sf_checkin *a, const struct sf_checkin *b)
{
    struct sf_checkin x = *a;
    struct sf_checkin y = *b;
    assert_int_equal(x.attributes.len, y.attributes.len);
    if (x.attributes.len > 0) {
        assert_memory_equal(x.attributes.data, y.attributes.data, x.attributes.len);
    }
    x.attributes = (struct sf_bytes){0};
    y.attributes = (struct sf_bytes){0};
    assert_memory_equal(&x, &y, sizeof(x));
}

static void random_checkins_decode_to_the_same(void **state)
{
    (void)state;
    struct wire_random r;
    wire_random_init(&r);
    for (unsigned i = 0; i < 500; i++) {
        struct sf_checkin c;
        struct sf_checkin decoded;
        struct sf_diag diag = {0};
        wire_random_checkin(&r, &c);
        memset(&decoded, 0x5a, sizeof(decoded));
        const int err = sf_checkin_decode(encode(&c), &decoded, &diag);
        assert_int_equal(err, SF_OK);
        assert_same(&decoded, &c);
    }
}

/* A two-slot device, written out by hand from docs/protocol.md. */
static const char golden[] =
    "ac"
    "0101"                                 /* 1: protocol version */
    "0250000102030405060708090a0b0c0d0e0f" /* 2: nonce */
    "03840348a0a1a2a3a4a5a6a7041903e8"     /* 3: third boot, its id, watchdog, 1000 s */
    "0485"                                 /* 4: running */
    "5820"
    "1111111111111111111111111111111111111111111111111111111111111111"
    "1a00100000"
    "65312e342e32"
    "00"
    "02"         /*    1 MiB, "1.4.2", ota_0, VALID */
    "0581840102" /* 5: ota_1, complete */
    "5820"
    "2222222222222222222222222222222222222222222222222222222222222222"
    "f5"
    "0607"                 /* 6: rolls back, runs the boot slot */
    "07840519013163622e31" /* 7: esp32c3 rev 305, "b.1", class */
    "50"
    "33333333333333333333333333333333"
    "08840000182a00" /* 8: root 0, epoch 0, seq 42, eFuse 0 */
    "0909"           /* 9: last status accepted */
    "0a83010a191000" /* 10: downloading for counter 10, 4096 bytes */
    "0b850901"
    "3846"
    "03"
    "6462616420" /* 11: counter 9, attempt 1, -71, panic, "bad " */
    "0d190e10";  /* 13: sleeps an hour at most */

static struct sf_bytes golden_bytes(void)
{
    static uint8_t memory[512];
    const size_t len = wire_hex(golden, memory, sizeof(memory));
    return (struct sf_bytes){memory, len};
}

static void a_request_written_by_hand_decodes(void **state)
{
    (void)state;
    struct sf_checkin c;
    struct sf_diag diag = {0};
    const int err = sf_checkin_decode(golden_bytes(), &c, &diag);
    if (err < 0) {
        print_message("%s at %zu: %s\n", sf_err_name(err), diag.offset, diag.why);
    }
    assert_int_equal(err, SF_OK);
    assert_int_equal(c.nonce[15], 0x0f);
    assert_int_equal(c.boot_count, 3);
    assert_int_equal(c.boot_id[0], 0xa0);
    assert_int_equal(c.reset_reason, SF_RESET_WATCHDOG);
    assert_int_equal(c.uptime_s, 1000);
    assert_int_equal(c.running_length, 0x100000);
    assert_string_equal(c.running_version, "1.4.2");
    assert_int_equal(c.running_state, SF_OTA_VALID);
    assert_int_equal(c.other_count, 1);
    assert_int_equal(c.other[0].slot, 1);
    assert_int_equal(c.other[0].digest[31], 0x22);
    assert_true(c.other[0].confirmed_here);
    assert_int_equal(c.abilities, 7);
    assert_int_equal(c.chip_id, SF_CHIP_ESP32C3);
    assert_int_equal(c.chip_revision, 305);
    assert_string_equal(c.hw_revision, "b.1");
    assert_int_equal(c.seq, 42);
    assert_int_equal(c.last_counter, 9);
    assert_int_equal(c.phase, SF_PHASE_DOWNLOADING);
    assert_int_equal(c.phase_bytes, 4096);
    assert_int_equal(c.outcome.error, SF_ERR_CRASHED);
    assert_string_equal(c.outcome.text, "bad ");
    assert_int_equal(c.longest_sleep_s, 3600);
    const struct sf_bytes again = encode(&c);
    assert_int_equal(again.len, golden_bytes().len);
    assert_memory_equal(again.data, golden_bytes().data, again.len);
}

/* What decodes must mean the same once written again; keys that were ignored are not written. */
static void refused_or_stable(struct sf_bytes mutated, void *ctx)
{
    unsigned *accepted = ctx;
    struct sf_checkin first;
    struct sf_checkin second;
    struct sf_diag diag = {0};
    if (sf_checkin_decode(mutated, &first, &diag) < 0) {
        assert_non_null(diag.why);
        assert_true(diag.offset <= mutated.len);
        return;
    }
    ++*accepted;
    uint8_t out[SF_CHECKIN_REQUEST_MAX];
    const int32_t len = sf_checkin_encode(&first, out, sizeof(out));
    assert_true(len > 0 && (size_t)len <= mutated.len);
    assert_int_equal(sf_checkin_decode((struct sf_bytes){out, (size_t)len}, &second, NULL), SF_OK);
    /* texts beyond ASCII come back as '?', once */
    memcpy(first.running_version, second.running_version, sizeof(first.running_version));
    memcpy(first.hw_revision, second.hw_revision, sizeof(first.hw_revision));
    memcpy(first.outcome.text, second.outcome.text, sizeof(first.outcome.text));
    if (first.outcome.counter == 0) { /* no outcome: the rest of the key says nothing */
        memset(&first.outcome, 0, sizeof(first.outcome));
    }
    assert_same(&second, &first);
}

static void every_flip_is_refused_or_stable_and_every_truncation_refused(void **state)
{
    (void)state;
    struct wire_random r;
    wire_random_init(&r);
    for (unsigned i = 0; i < 20; i++) {
        struct sf_checkin c;
        uint8_t copy[SF_CHECKIN_REQUEST_MAX];
        unsigned accepted = 0;
        wire_random_checkin(&r, &c);
        const struct sf_bytes in = encode(&c);
        memcpy(copy, in.data, in.len);
        wire_each_flip((struct sf_bytes){copy, in.len}, refused_or_stable, &accepted);
        assert_true(accepted > 0);
        accepted = 0;
        wire_each_truncation((struct sf_bytes){copy, in.len}, refused_or_stable, &accepted);
        assert_int_equal(accepted, 0);
    }
}

struct change {
    const char *from; /* hex in the golden request; the first place counts */
    const char *to;
    int err;
    const char *what;
};

static const struct change changes[] = {
    {"0101", "0101", SF_OK, "nothing"},
    {"0101", "0102", SF_ERR_VERSION, "protocol version 2"},
    {"0101", "0100", SF_ERR_VERSION, "protocol version 0"},
    {"025000", "024f00", SF_ERR_CBOR, "a shorter nonce: what follows is no longer a key"},
    {"65312e342e320002", "65312e342e321002", SF_ERR_RANGE, "slot 16"},
    {"65312e342e320002", "65312e34ff320002", SF_ERR_CBOR, "a version that is not UTF-8"},
    {"0581840102", "0581840103", SF_ERR_RANGE, "an unknown content of a slot"},
    {"22f50607", "22f60607", SF_ERR_CBOR, "confirmed: null"},
    {"f50607", "f50620", SF_ERR_CBOR, "negative abilities"},
    {"0884000018", "0884200018", SF_ERR_CBOR, "negative root version"},
    {"0909", "0920", SF_ERR_CBOR, "negative counter"},
    {"0a83", "0a84", SF_ERR_CBOR, "four elements in the phase"},
    {"38460364", "18460364", SF_ERR_RANGE, "a positive error number"},
    {"0d190e10", "0e190e10", SF_OK, "an unknown key in place of 13"},
    {"0d190e10", "0c190e10", SF_ERR_CBOR, "attributes that are a number"},
    {"0909", "0809", SF_ERR_DUPLICATE, "key 8 twice and no 9"},
};

static void each_rule_of_the_request_is_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct change *c = &changes[i];
        uint8_t memory[512];
        uint8_t from[16];
        uint8_t to[16];
        struct sf_checkin out;
        const struct sf_bytes in = golden_bytes();
        const size_t len = wire_hex(c->from, from, sizeof(from));
        assert_int_equal(wire_hex(c->to, to, sizeof(to)), len);
        memcpy(memory, in.data, in.len);
        const uint8_t *at = memmem(memory, in.len, from, len);
        assert_non_null(at);
        memcpy(memory + (at - memory), to, len);
        const int err = sf_checkin_decode((struct sf_bytes){memory, in.len}, &out, NULL);
        if (err != c->err) {
            print_message("%s: %s\n", c->what, sf_err_name(err));
        }
        assert_int_equal(err, c->err);
    }
}

static void each_of_the_keys_1_to_9_is_required(void **state)
{
    (void)state;
    const struct sf_bytes in = golden_bytes();
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, in.data, in.len);
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    int64_t key;
    unsigned refused = 0;
    size_t start = r.pos;
    while (sf_cbor_map_next(&m, &key)) {
        uint8_t memory[512];
        struct sf_checkin c;
        (void)sf_cbor_skip(&r);
        memcpy(memory, in.data, start);
        memcpy(memory + start, in.data + r.pos, in.len - r.pos);
        memory[0]--;
        const size_t len = in.len - (r.pos - start);
        const int err = sf_checkin_decode((struct sf_bytes){memory, len}, &c, NULL);
        assert_int_equal(err, key <= 9 ? SF_ERR_CBOR : SF_OK);
        refused += err < 0;
        start = r.pos;
    }
    assert_int_equal(refused, 9);
}

static void whatever_bytes_the_image_has_a_check_in_is_possible(void **state)
{
    (void)state;
    struct wire_random r;
    struct sf_checkin c;
    struct sf_checkin decoded;
    wire_random_init(&r);
    wire_random_checkin(&r, &c);
    memset(c.running_version, 0xff, SF_VERSION_TEXT_MAX);
    memset(c.hw_revision, 0x07, SF_HW_REVISION_MAX);
    memset(c.running_version + SF_VERSION_TEXT_MAX, 0, 1);
    memset(c.hw_revision + SF_HW_REVISION_MAX, 0, 1);
    assert_int_equal(sf_checkin_decode(encode(&c), &decoded, NULL), SF_OK);
    assert_string_equal(decoded.running_version, "????????????????????????????????");
    assert_string_equal(decoded.hw_revision, "???????????????");
}

static void the_fullest_request_of_a_two_slot_device_fits(void **state)
{
    (void)state;
    uint8_t attributes[SF_ATTRIBUTES_MAX];
    struct sf_checkin c;
    struct sf_cbor_writer w;
    memset(&c, 0xff, sizeof(c));
    c.protocol_version = 1;
    memset(c.running_version, 'v', SF_VERSION_TEXT_MAX);
    memset(c.hw_revision, 'h', SF_HW_REVISION_MAX);
    memset(c.outcome.text, 't', SF_OUTCOME_TEXT_MAX);
    c.running_slot = 0;
    c.other_count = 2;
    c.outcome.error = -192;
    sf_cbor_write_init(&w, attributes, sizeof(attributes));
    sf_cbor_write_map(&w, 1);
    sf_cbor_write_text(&w, "k");
    char text[SF_ATTRIBUTES_MAX - 5];
    memset(text, 'a', sizeof(text));
    sf_cbor_write_text_n(&w, text, sizeof(text));
    c.attributes = (struct sf_bytes){attributes, w.len};
    assert_int_equal(w.len, SF_ATTRIBUTES_MAX);
    const size_t len = encode(&c).len;
    print_message("fullest request of a two-slot device: %zu bytes\n", len);
    assert_true(len <= SF_CHECKIN_REQUEST_MAX);

    c.other_count = SF_OTHER_SLOT_MAX; /* more than the limit: the caller drops attributes */
    uint8_t out[2048];
    assert_int_equal(sf_checkin_encode(&c, out, sizeof(out)), SF_ERR_NOSPC);
}

static void does_not_encode_what_is_out_of_range(void **state)
{
    (void)state;
    struct wire_random r;
    struct sf_checkin c;
    uint8_t out[SF_CHECKIN_REQUEST_MAX];
    wire_random_init(&r);
    wire_random_checkin(&r, &c);
    const struct sf_checkin good = c;
    c.other_count = SF_OTHER_SLOT_MAX + 1;
    assert_int_equal(sf_checkin_encode(&c, out, sizeof(out)), SF_ERR_RANGE);
    c = good;
    c.running_slot = 16;
    assert_int_equal(sf_checkin_encode(&c, out, sizeof(out)), SF_ERR_RANGE);
    c = good;
    c.attributes = (struct sf_bytes){out, SF_ATTRIBUTES_MAX + 1};
    assert_int_equal(sf_checkin_encode(&c, out, sizeof(out)), SF_ERR_RANGE);
    c = good;
    for (size_t size = 0; size < 64; size++) {
        assert_int_equal(sf_checkin_encode(&c, out, size), SF_ERR_NOSPC);
    }
}

/* ---- answer ---- */

static void answers_decode_to_the_same(void **state)
{
    (void)state;
    struct wire_random r;
    wire_random_init(&r);
    for (unsigned i = 0; i < 100; i++) {
        uint8_t status[SF_STATUS_MAX];
        uint8_t manifest[SF_ENVELOPE_MAX];
        uint8_t out[SF_CHECKIN_ANSWER_MAX];
        struct sf_checkin_answer decoded;
        wire_random_fill(&r, status, sizeof(status));
        wire_random_fill(&r, manifest, sizeof(manifest));
        const struct sf_checkin_answer a = {
            .status = {status, 1 + wire_random_below(&r, sizeof(status))},
            .manifest = {manifest, wire_random_below(&r, 2) * sizeof(manifest)},
        };
        const int32_t len = sf_checkin_answer_encode(&a, out, sizeof(out));
        assert_true(len > 0);
        assert_int_equal(
            sf_checkin_answer_decode((struct sf_bytes){out, (size_t)len}, &decoded, NULL), SF_OK);
        assert_int_equal(decoded.status.len, a.status.len);
        assert_memory_equal(decoded.status.data, status, a.status.len);
        assert_int_equal(decoded.manifest.len, a.manifest.len);
    }
}

static void answer_refused_or_stable(struct sf_bytes mutated, void *ctx)
{
    unsigned *accepted = ctx;
    struct sf_checkin_answer a;
    struct sf_checkin_answer b;
    struct sf_diag diag = {0};
    if (sf_checkin_answer_decode(mutated, &a, &diag) < 0) {
        assert_non_null(diag.why);
        return;
    }
    ++*accepted;
    uint8_t out[SF_CHECKIN_ANSWER_MAX];
    const int32_t len = sf_checkin_answer_encode(&a, out, sizeof(out));
    assert_true(len > 0);
    assert_int_equal(sf_checkin_answer_decode((struct sf_bytes){out, (size_t)len}, &b, NULL),
                     SF_OK);
    assert_int_equal(b.status.len, a.status.len);
    assert_int_equal(b.manifest.len, a.manifest.len);
}

static void every_truncation_of_an_answer_is_refused(void **state)
{
    (void)state;
    static const uint8_t in[] = {0xa2, 0x01, 0x43, 1, 2, 3, 0x02, 0x44, 4, 5, 6, 7};
    unsigned accepted = 0;
    wire_each_truncation((struct sf_bytes){in, sizeof(in)}, answer_refused_or_stable, &accepted);
    assert_int_equal(accepted, 0);
    wire_each_flip((struct sf_bytes){in, sizeof(in)}, answer_refused_or_stable, &accepted);
    assert_true(accepted > 0);
}

static void an_answer_needs_a_status_and_a_limit(void **state)
{
    (void)state;
    static uint8_t zeros[SF_CHECKIN_ANSWER_MAX + 1];
    static const uint8_t no_status[] = {0xa1, 0x02, 0x41, 0x00};
    struct sf_checkin_answer a;
    assert_int_equal(
        sf_checkin_answer_decode((struct sf_bytes){no_status, sizeof(no_status)}, &a, NULL),
        SF_ERR_CBOR);
    assert_int_equal(sf_checkin_answer_decode((struct sf_bytes){zeros, sizeof(zeros)}, &a, NULL),
                     SF_ERR_TOO_LARGE);
}

/* ---- enrolment ---- */

static void random_enrolments_decode_to_the_same(void **state)
{
    (void)state;
    struct wire_random r;
    wire_random_init(&r);
    for (unsigned i = 0; i < 200; i++) {
        struct sf_enrol e;
        struct sf_enrol decoded;
        uint8_t out[SF_ENROL_REQUEST_MAX];
        wire_random_enrol(&r, &e);
        memset(&decoded, 0x5a, sizeof(decoded));
        const int32_t len = sf_enrol_encode(&e, out, sizeof(out));
        assert_true(len > 0);
        assert_int_equal(sf_enrol_decode((struct sf_bytes){out, (size_t)len}, &decoded, NULL),
                         SF_OK);
        assert_memory_equal(&decoded, &e, sizeof(e));
    }
}

static void enrol_refused_or_stable(struct sf_bytes mutated, void *ctx)
{
    unsigned *accepted = ctx;
    struct sf_enrol a;
    struct sf_enrol b;
    struct sf_diag diag = {0};
    if (sf_enrol_decode(mutated, &a, &diag) < 0) {
        assert_non_null(diag.why);
        assert_true(diag.offset <= mutated.len);
        return;
    }
    ++*accepted;
    uint8_t out[SF_ENROL_REQUEST_MAX];
    const int32_t len = sf_enrol_encode(&a, out, sizeof(out));
    assert_int_equal(len, mutated.len);
    assert_memory_equal(out, mutated.data, mutated.len);
    assert_int_equal(sf_enrol_decode((struct sf_bytes){out, (size_t)len}, &b, NULL), SF_OK);
    assert_memory_equal(&a, &b, sizeof(a));
}

static void every_flip_of_an_enrolment_is_refused_or_stable(void **state)
{
    (void)state;
    struct wire_random r;
    struct sf_enrol e;
    uint8_t out[SF_ENROL_REQUEST_MAX];
    unsigned accepted = 0;
    wire_random_init(&r);
    wire_random_enrol(&r, &e);
    const int32_t len = sf_enrol_encode(&e, out, sizeof(out));
    assert_true(len > 0);
    wire_each_flip((struct sf_bytes){out, (size_t)len}, enrol_refused_or_stable, &accepted);
    assert_true(accepted > 0);
    accepted = 0;
    wire_each_truncation((struct sf_bytes){out, (size_t)len}, enrol_refused_or_stable, &accepted);
    assert_int_equal(accepted, 0);
}

static void device_ids_are_1_to_64_of_their_alphabet(void **state)
{
    (void)state;
    char id[SF_DEVICE_ID_MAX + 2];
    assert_true(sf_device_id_valid("a"));
    assert_true(sf_device_id_valid("AZaz09_-"));
    assert_false(sf_device_id_valid(""));
    memset(id, 'a', sizeof(id));
    id[SF_DEVICE_ID_MAX + 1] = '\0';
    assert_false(sf_device_id_valid(id));
    id[SF_DEVICE_ID_MAX] = '\0';
    assert_true(sf_device_id_valid(id));
    unsigned valid = 0;
    for (int c = 1; c < 256; c++) {
        const char one[] = {(char)c, '\0'};
        valid += (unsigned)sf_device_id_valid(one);
    }
    assert_int_equal(valid, 64);
}

static void numbers_have_names(void **state)
{
    (void)state;
    assert_string_equal(sf_reset_reason_str(SF_RESET_BROWNOUT), "brownout");
    assert_string_equal(sf_reset_reason_str(99), "unknown");
    assert_string_equal(sf_phase_str(SF_PHASE_TRIAL), "trial");
    assert_string_equal(sf_phase_str(99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_checkins_decode_to_the_same),
        cmocka_unit_test(a_request_written_by_hand_decodes),
        cmocka_unit_test(every_flip_is_refused_or_stable_and_every_truncation_refused),
        cmocka_unit_test(each_rule_of_the_request_is_kept),
        cmocka_unit_test(each_of_the_keys_1_to_9_is_required),
        cmocka_unit_test(whatever_bytes_the_image_has_a_check_in_is_possible),
        cmocka_unit_test(the_fullest_request_of_a_two_slot_device_fits),
        cmocka_unit_test(does_not_encode_what_is_out_of_range),
        cmocka_unit_test(answers_decode_to_the_same),
        cmocka_unit_test(every_truncation_of_an_answer_is_refused),
        cmocka_unit_test(an_answer_needs_a_status_and_a_limit),
        cmocka_unit_test(random_enrolments_decode_to_the_same),
        cmocka_unit_test(every_flip_of_an_enrolment_is_refused_or_stable),
        cmocka_unit_test(device_ids_are_1_to_64_of_their_alphabet),
        cmocka_unit_test(numbers_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
