/* The CBOR subset: RFC 8949's own examples, everything it must refuse, and round trips. */
#include "formats/cbor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/formats/wire_support.h"

static struct sf_bytes bytes_of(const char *hex)
{
    static uint8_t memory[512];
    const size_t len = wire_hex(hex, memory, sizeof(memory));
    return (struct sf_bytes){memory, len};
}

static int check_hex(const char *hex, struct sf_diag *diag)
{
    return sf_cbor_check(bytes_of(hex), diag);
}

/* RFC 8949 appendix A, those of our types */
static void accepts_the_examples_of_the_standard(void **state)
{
    (void)state;
    static const char *const example[] = {
        "00",
        "01",
        "0a",
        "17",
        "1818",
        "1819",
        "1864",
        "1903e8",
        "1a000f4240",
        "1b000000e8d4a51000",
        "1bffffffffffffffff",
        "3bffffffffffffffff",
        "20",
        "29",
        "3863",
        "3903e7",
        "f4",
        "f5",
        "f6",
        "c11a514b67b0",
        "d74401020304",
        "d818456449455446",
        "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
        "40",
        "4401020304",
        "60",
        "6161",
        "6449455446",
        "62225c",
        "62c3bc",
        "63e6b0b4",
        "64f0908591",
        "80",
        "83010203",
        "8301820203820405",
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        "a0",
        "a201020304",
        "a26161016162820203",
        "826161a161626163",
        "a56161614161626142616361436164614461656145",
    };
    for (size_t i = 0; i < sizeof(example) / sizeof(example[0]); i++) {
        struct sf_diag diag = {0};
        const int err = check_hex(example[i], &diag);
        if (err != SF_OK) {
            print_message("%s at %zu: %s\n", example[i], diag.offset, diag.why);
        }
        assert_int_equal(err, SF_OK);
    }
}

struct refusal {
    const char *hex;
    int err;
    size_t offset;
    const char *what;
};

static const struct refusal refusals[] = {
    {"", SF_ERR_TRUNCATED, 0, "nothing"},
    {"1817", SF_ERR_CBOR, 0, "23 in two bytes"},
    {"1900ff", SF_ERR_CBOR, 0, "255 in three bytes"},
    {"1a0000ffff", SF_ERR_CBOR, 0, "65535 in five bytes"},
    {"1b00000000ffffffff", SF_ERR_CBOR, 0, "2^32 - 1 in nine bytes"},
    {"3800", SF_ERR_CBOR, 0, "-1 in two bytes"},
    {"580100", SF_ERR_CBOR, 0, "length 1 in two bytes"},
    {"9800", SF_ERR_CBOR, 0, "empty array with a long count"},
    {"18", SF_ERR_TRUNCATED, 1, "number without its byte"},
    {"1b00", SF_ERR_TRUNCATED, 2, "number cut off"},
    {"1c", SF_ERR_CBOR, 0, "reserved 28"},
    {"1f", SF_ERR_CBOR, 0, "indefinite number"},
    {"5f42010243030405ff", SF_ERR_CBOR, 0, "indefinite byte string"},
    {"7f657374726561646d696e67ff", SF_ERR_CBOR, 0, "indefinite text"},
    {"9fff", SF_ERR_CBOR, 0, "indefinite array"},
    {"bfff", SF_ERR_CBOR, 0, "indefinite map"},
    {"ff", SF_ERR_CBOR, 0, "break"},
    {"f90000", SF_ERR_CBOR, 0, "half float"},
    {"fa47c35000", SF_ERR_CBOR, 0, "float"},
    {"fb3ff199999999999a", SF_ERR_CBOR, 0, "double"},
    {"f7", SF_ERR_CBOR, 0, "undefined"},
    {"f0", SF_ERR_CBOR, 0, "simple value 16"},
    {"f818", SF_ERR_CBOR, 0, "simple value in two bytes"},
    {"4401", SF_ERR_TRUNCATED, 2, "byte string cut off"},
    {"5bffffffffffffffff00", SF_ERR_TRUNCATED, 10, "length of 2^64 - 1"},
    {"820000", SF_OK, 0, "array of two, for comparison"},
    {"8200", SF_ERR_TRUNCATED, 2, "array of two with one"},
    {"9bffffffffffffffff00", SF_ERR_TRUNCATED, 10, "array of 2^64 - 1"},
    {"bb800000000000000000", SF_ERR_TRUNCATED, 10, "map whose items overflow 64 bits"},
    {"a100", SF_ERR_TRUNCATED, 2, "map without its value"},
    {"a201000100", SF_ERR_DUPLICATE, 3, "key twice"},
    {"a202000100", SF_ERR_CBOR, 3, "keys in descending order"},
    {"a220000000", SF_ERR_CBOR, 3, "-1 before 0: not the order of encodings"},
    {"a2616200616100", SF_ERR_CBOR, 4, "text keys in descending order"},
    {"a18000", SF_ERR_CBOR, 1, "array as a key"},
    {"a1f400", SF_ERR_CBOR, 1, "bool as a key"},
    {"a1c00000", SF_ERR_CBOR, 1, "tag as a key"},
    {"61ff", SF_ERR_CBOR, 1, "text that is not UTF-8"},
    {"62c080", SF_ERR_CBOR, 1, "overlong NUL"},
    {"63e08080", SF_ERR_CBOR, 1, "overlong in three bytes"},
    {"63eda080", SF_ERR_CBOR, 1, "surrogate"},
    {"64f4908080", SF_ERR_CBOR, 1, "beyond U+10FFFF"},
    {"64f0808080", SF_ERR_CBOR, 1, "overlong in four bytes"},
    {"6361e6b0", SF_ERR_CBOR, 2, "sequence cut off by the text's end"},
    {"626100", SF_ERR_CBOR, 2, "NUL in text"},
    {"0000", SF_ERR_TRAILING, 1, "a second item"},
    {"8181818181818181f6", SF_OK, 0, "eight deep, for comparison"},
    {"818181818181818180", SF_ERR_DEPTH, 8, "nine deep"},
    {"8181818181818181c000", SF_ERR_DEPTH, 8, "a tag counts too"},
    {"8181818181818181a0", SF_ERR_DEPTH, 8, "an empty map counts too"},
};

static void refuses_everything_else_and_says_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *r = &refusals[i];
        struct sf_diag diag = {0};
        const int err = check_hex(r->hex, &diag);
        if (err != r->err || diag.offset != r->offset) {
            print_message("%s (%s): %s at %zu\n", r->what, r->hex, sf_err_name(err), diag.offset);
        }
        assert_int_equal(err, r->err);
        assert_int_equal(diag.offset, r->offset);
        assert_true(err == SF_OK || diag.why != NULL);
        assert_int_equal(sf_cbor_check(bytes_of(r->hex), NULL), r->err);
    }
}

static void reads_numbers_at_the_edges(void **state)
{
    (void)state;
    struct sf_cbor_reader r;
    const struct sf_bytes in = bytes_of("831b7fffffffffffffff3b7fffffffffffffff1bffffffffffffffff");
    sf_cbor_read_init(&r, in.data, in.len);
    sf_cbor_read_array_of(&r, 3);
    assert_true(sf_cbor_read_int(&r) == INT64_MAX);
    assert_true(sf_cbor_read_int(&r) == INT64_MIN);
    assert_true(sf_cbor_read_uint(&r) == UINT64_MAX);
    assert_int_equal(sf_cbor_read_end(&r, NULL), SF_OK);
}

static void refuses_integers_outside_of_64_bits_signed(void **state)
{
    (void)state;
    static const char *const hex[] = {"1b8000000000000000", "3b8000000000000000"};
    for (size_t i = 0; i < 2; i++) {
        struct sf_cbor_reader r;
        const struct sf_bytes in = bytes_of(hex[i]);
        sf_cbor_read_init(&r, in.data, in.len);
        assert_int_equal(sf_cbor_read_int(&r), 0);
        assert_int_equal(sf_cbor_read_end(&r, NULL), SF_ERR_RANGE);
    }
}

/* Each read of another type than what stands there. */
static void refuses_another_type_than_asked_for(void **state)
{
    (void)state;
    static const char *const item[] = {"01", "20", "4101", "6161", "80", "a0", "c100", "f4", "f6"};
    for (unsigned type = 0; type < SF_CBOR_END; type++) {
        for (unsigned asked = 0; asked < SF_CBOR_END; asked++) {
            struct sf_cbor_reader r;
            const struct sf_bytes in = bytes_of(item[type]);
            sf_cbor_read_init(&r, in.data, in.len);
            assert_int_equal(sf_cbor_peek(&r), type);
            switch (asked) {
            case SF_CBOR_UINT:
                (void)sf_cbor_read_uint(&r);
                break;
            case SF_CBOR_NEGINT:
                (void)sf_cbor_read_int(&r);
                break;
            case SF_CBOR_BYTES:
                (void)sf_cbor_read_bytes(&r);
                break;
            case SF_CBOR_TEXT:
                (void)sf_cbor_read_text(&r);
                break;
            case SF_CBOR_ARRAY:
                (void)sf_cbor_read_array(&r);
                break;
            case SF_CBOR_MAP:
                (void)sf_cbor_read_map(&r);
                break;
            case SF_CBOR_TAG:
                (void)sf_cbor_read_tag(&r);
                break;
            case SF_CBOR_BOOL:
                (void)sf_cbor_read_bool(&r);
                break;
            default:
                sf_cbor_read_null(&r);
            }
            const int fits = asked == type || (asked == SF_CBOR_NEGINT && type == SF_CBOR_UINT);
            assert_int_equal(r.err, fits ? SF_OK : SF_ERR_CBOR);
        }
    }
}

static void keeps_its_first_error(void **state)
{
    (void)state;
    struct sf_cbor_reader r;
    const struct sf_bytes in = bytes_of("8301f402");
    sf_cbor_read_init(&r, in.data, in.len);
    sf_cbor_read_array_of(&r, 3);
    assert_int_equal(sf_cbor_read_uint(&r), 1);
    assert_int_equal(sf_cbor_read_uint(&r), 0);
    assert_int_equal(sf_cbor_read_uint(&r), 0);
    assert_int_equal(sf_cbor_skip(&r).len, 0);
    assert_int_equal(sf_cbor_peek(&r), SF_CBOR_END);
    sf_cbor_fail(&r, SF_ERR_RANGE, "later");
    struct sf_diag diag = {0};
    assert_int_equal(sf_cbor_read_end(&r, &diag), SF_ERR_CBOR);
    assert_int_equal(diag.offset, 2);
    assert_string_equal(diag.why, "not an unsigned integer");
}

static void copies_only_what_fits(void **state)
{
    (void)state;
    struct sf_cbor_reader r;
    char text[4];
    uint8_t fixed[4];
    const struct sf_bytes in = bytes_of("836361626344010203046461626364");
    sf_cbor_read_init(&r, in.data, in.len);
    sf_cbor_read_array_of(&r, 3);
    sf_cbor_read_str(&r, text, sizeof(text));
    assert_string_equal(text, "abc");
    sf_cbor_read_fixed(&r, fixed, sizeof(fixed));
    assert_int_equal(fixed[3], 4);
    sf_cbor_read_str(&r, text, sizeof(text));
    assert_string_equal(text, "");
    assert_int_equal(sf_cbor_read_end(&r, NULL), SF_ERR_RANGE);

    sf_cbor_read_init(&r, in.data + 5, in.len - 5);
    sf_cbor_read_fixed(&r, fixed, 3);
    assert_int_equal(r.err, SF_ERR_RANGE);
    assert_int_equal(fixed[0], 0);
    sf_cbor_read_init(&r, in.data + 1, 4);
    assert_int_equal(sf_cbor_read_uint_max(&r, 0), 0);
    assert_int_equal(r.err, SF_ERR_CBOR);
}

static void iterates_a_map_and_skips_what_is_unknown(void **state)
{
    (void)state;
    struct sf_cbor_reader r;
    const struct sf_bytes in = bytes_of("a4010203820102182aa1616100200a");
    sf_cbor_read_init(&r, in.data, in.len);
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    int64_t key;
    int64_t sum = 0;
    while (sf_cbor_map_next(&m, &key)) {
        if (key == 1 || key == -1) {
            sum += (int64_t)sf_cbor_read_uint(&r);
        } else {
            sum += 1000 * (int64_t)sf_cbor_skip(&r).len;
        }
    }
    assert_int_equal(sf_cbor_read_end(&r, NULL), SF_OK);
    assert_int_equal(sum, 2 + 10 + 3000 + 4000);
}

/* Without sf_cbor_check() before it, the iterator still finds these itself. */
static void iterator_refuses_disorder_duplicates_and_text_keys(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int err;
    } row[] = {
        {"a201000100", SF_ERR_DUPLICATE},
        {"a202000100", SF_ERR_CBOR},
        {"a1616100", SF_ERR_CBOR},
        {"a201", SF_ERR_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct sf_cbor_reader r;
        const struct sf_bytes in = bytes_of(row[i].hex);
        sf_cbor_read_init(&r, in.data, in.len);
        struct sf_cbor_map m = sf_cbor_map_begin(&r);
        int64_t key;
        while (sf_cbor_map_next(&m, &key)) {
            (void)sf_cbor_skip(&r);
        }
        assert_int_equal(sf_cbor_read_end(&r, NULL), row[i].err);
    }
}

static void writer_makes_the_examples_of_the_standard(void **state)
{
    (void)state;
    uint8_t out[128];
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, sizeof(out));
    sf_cbor_write_array(&w, 12);
    sf_cbor_write_uint(&w, 1000000000000);
    sf_cbor_write_uint(&w, UINT64_MAX);
    sf_cbor_write_int(&w, -1000);
    sf_cbor_write_int(&w, INT64_MIN);
    sf_cbor_write_int(&w, 1000000);
    sf_cbor_write_bytes(&w, "\1\2\3\4", 4);
    sf_cbor_write_text(&w, "\xc3\xbc");
    sf_cbor_write_map(&w, 1);
    sf_cbor_write_uint(&w, 24);
    sf_cbor_write_bool(&w, 1);
    sf_cbor_write_tag(&w, 32);
    sf_cbor_write_text(&w, "a");
    sf_cbor_write_null(&w);
    sf_cbor_write_bool(&w, 0);
    sf_cbor_write_bytes_header(&w, 2);
    sf_cbor_write_raw(&w, "\5\6", 2);
    const int32_t len = sf_cbor_write_end(&w);
    const struct sf_bytes expected =
        bytes_of("8c1b000000e8d4a510001bffffffffffffffff3903e73b7fffffffffffffff1a000f4240440102"
                 "030462c3bca11818f5d8206161f6f4420506");
    assert_int_equal(len, expected.len);
    assert_memory_equal(out, expected.data, expected.len);
    assert_int_equal(sf_cbor_check((struct sf_bytes){out, (size_t)len}, NULL), SF_OK);
}

static void writer_counts_what_it_cannot_hold(void **state)
{
    (void)state;
    uint8_t out[4] = {0xee, 0xee, 0xee, 0xee};
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, 3);
    sf_cbor_write_text(&w, "abc");
    assert_int_equal(sf_cbor_write_end(&w), SF_ERR_NOSPC);
    assert_int_equal(w.len, 4);
    assert_int_equal(out[3], 0xee);

    sf_cbor_write_init(&w, NULL, 0);
    sf_cbor_write_text(&w, "abc");
    assert_int_equal(sf_cbor_write_end(&w), 4);

    sf_cbor_write_init(&w, out, sizeof(out));
    sf_cbor_write_text(&w, "\xff");
    assert_int_equal(sf_cbor_write_end(&w), SF_ERR_RANGE);
}

/* A random item of every kind, at most `depth` deep below here, written without recursion: arrays
 * of one element lead down, a scalar ends it. */
static void write_random_item(struct wire_random *r, struct sf_cbor_writer *w, unsigned depth)
{
    for (; depth > 0; depth--) {
        switch (wire_random_below(r, 3)) {
        case 0:
            sf_cbor_write_array(w, 2);
            sf_cbor_write_int(w, (int64_t)wire_random_u64(r));
            break;
        case 1:
            sf_cbor_write_map(w, 2);
            sf_cbor_write_uint(w, wire_random_below(r, 1000));
            sf_cbor_write_null(w);
            sf_cbor_write_text(w, "key");
            break;
        default:
            sf_cbor_write_tag(w, wire_random_u64(r) >> wire_random_below(r, 64));
        }
    }
    sf_cbor_write_uint(w, wire_random_u64(r) >> wire_random_below(r, 64));
}

static void refuses_what_is_cut(struct sf_bytes mutated, void *ctx)
{
    (void)ctx;
    assert_int_equal(sf_cbor_check(mutated, NULL), SF_ERR_TRUNCATED);
}

static void flip_stays_in_bounds(struct sf_bytes mutated, void *ctx)
{
    struct sf_diag diag = {.offset = 0};
    if (sf_cbor_check(mutated, &diag) < 0) {
        ++*(unsigned *)ctx;
        assert_true(diag.offset <= mutated.len);
        assert_non_null(diag.why);
    }
}

static void random_items_are_accepted_whole_and_refused_cut(void **state)
{
    (void)state;
    struct wire_random r;
    unsigned refused = 0;
    wire_random_init(&r);
    for (unsigned i = 0; i < 200; i++) {
        uint8_t out[256];
        struct sf_cbor_writer w;
        sf_cbor_write_init(&w, out, sizeof(out));
        write_random_item(&r, &w, i % (SF_CBOR_DEPTH_MAX + 1));
        const int32_t len = sf_cbor_write_end(&w);
        assert_true(len > 0);
        const struct sf_bytes item = {out, (size_t)len};
        assert_int_equal(sf_cbor_check(item, NULL), SF_OK);
        wire_each_truncation(item, refuses_what_is_cut, NULL);
        wire_each_flip(item, flip_stays_in_bounds, &refused);
    }
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_examples_of_the_standard),
        cmocka_unit_test(refuses_everything_else_and_says_where),
        cmocka_unit_test(reads_numbers_at_the_edges),
        cmocka_unit_test(refuses_integers_outside_of_64_bits_signed),
        cmocka_unit_test(refuses_another_type_than_asked_for),
        cmocka_unit_test(keeps_its_first_error),
        cmocka_unit_test(copies_only_what_fits),
        cmocka_unit_test(iterates_a_map_and_skips_what_is_unknown),
        cmocka_unit_test(iterator_refuses_disorder_duplicates_and_text_keys),
        cmocka_unit_test(writer_makes_the_examples_of_the_standard),
        cmocka_unit_test(writer_counts_what_it_cannot_hold),
        cmocka_unit_test(random_items_are_accepted_whole_and_refused_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
