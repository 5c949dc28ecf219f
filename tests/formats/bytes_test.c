#include "formats/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "formats/err.h"

static void writes_little_endian_and_reads_it_back(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e, 0x0d,
                                       0x0c, 0x0b, 0x0a, 0x09, 0x08, 'a',  'b',  0xff, 0xff};
    uint8_t bytes[sizeof(expected)];
    struct sf_writer w;
    sf_writer_init(&w, bytes, sizeof(bytes));
    sf_write_u8(&w, 0x01);
    sf_write_u16le(&w, 0x0203);
    sf_write_u32le(&w, 0x04050607);
    sf_write_u64le(&w, UINT64_C(0x08090a0b0c0d0e0f));
    sf_write_bytes(&w, "ab", 2);
    sf_write_fill(&w, 0xff, 2);
    assert_int_equal(sf_writer_end(&w), sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));

    char text[2];
    struct sf_reader r;
    sf_reader_init(&r, bytes, sizeof(bytes));
    assert_int_equal(sf_read_u8(&r), 0x01);
    assert_int_equal(sf_read_u16le(&r), 0x0203);
    assert_int_equal(sf_read_u32le(&r), 0x04050607);
    assert_true(sf_read_u64le(&r) == UINT64_C(0x08090a0b0c0d0e0f));
    sf_read_bytes(&r, text, 2);
    assert_memory_equal(text, "ab", 2);
    assert_int_equal(sf_reader_end(&r), SF_ERR_TRAILING);
    sf_read_skip(&r, 2);
    assert_int_equal(sf_reader_end(&r), SF_OK);
}

static void the_first_read_too_far_sticks_and_gives_zeros(void **state)
{
    (void)state;
    static const uint8_t bytes[3] = {1, 2, 3};
    uint8_t copy[2] = {9, 9};
    struct sf_reader r;
    sf_reader_init(&r, bytes, sizeof(bytes));
    assert_int_equal(sf_read_u32le(&r), 0);
    assert_int_equal(sf_read_u8(&r), 0);
    sf_read_bytes(&r, copy, sizeof(copy));
    assert_int_equal(copy[0] | copy[1], 0);
    assert_int_equal(r.pos, 0);
    assert_int_equal(sf_reader_end(&r), SF_ERR_TRUNCATED);
}

static void a_skip_of_any_length_cannot_wrap(void **state)
{
    (void)state;
    static const uint8_t bytes[4] = {0};
    struct sf_reader r;
    sf_reader_init(&r, bytes, sizeof(bytes));
    sf_read_skip(&r, 2);
    sf_read_skip(&r, SIZE_MAX);
    assert_int_equal(sf_reader_end(&r), SF_ERR_TRUNCATED);
}

static void the_first_write_too_far_sticks_and_touches_nothing(void **state)
{
    (void)state;
    uint8_t bytes[4] = {7, 7, 7, 7};
    struct sf_writer w;
    sf_writer_init(&w, bytes, 3);
    sf_write_u32le(&w, 0);
    sf_write_u8(&w, 0);
    sf_write_fill(&w, 0, 1);
    sf_write_bytes(&w, "x", 1);
    assert_int_equal(sf_writer_end(&w), SF_ERR_NOSPC);
    assert_int_equal(bytes[0] & bytes[1] & bytes[2] & bytes[3], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_little_endian_and_reads_it_back),
        cmocka_unit_test(the_first_read_too_far_sticks_and_gives_zeros),
        cmocka_unit_test(a_skip_of_any_length_cannot_wrap),
        cmocka_unit_test(the_first_write_too_far_sticks_and_touches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
