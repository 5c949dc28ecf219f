#include "server/http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *value;
    enum range_result result;
    uint64_t offset;
    uint64_t len;
};

static void ranges_of_a_file_of_1000_bytes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=0-0", RANGE_PART, 0, 1},
        {"bytes=0-499", RANGE_PART, 0, 500},
        {"bytes=500-999", RANGE_PART, 500, 500},
        {"bytes=500-5000", RANGE_PART, 500, 500},
        {"bytes=999-", RANGE_PART, 999, 1},
        {"bytes=0-", RANGE_PART, 0, 1000},
        {"bytes=-1", RANGE_PART, 999, 1},
        {"bytes=-5000", RANGE_PART, 0, 1000},
        {"BYTES=1-2", RANGE_PART, 1, 2},
        {"bytes= 1-2 ", RANGE_PART, 1, 2},
        {"bytes=0-18446744073709551615", RANGE_PART, 0, 1000},
        {"bytes=0-99999999999999999999999", RANGE_PART, 0, 1000},
        {"bytes=1000-", RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=18446744073709551616-", RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=5-4", RANGE_WHOLE, 0, 0},
        {"bytes=0-1,5-6", RANGE_WHOLE, 0, 0},
        {"bytes=", RANGE_WHOLE, 0, 0},
        {"bytes=-", RANGE_WHOLE, 0, 0},
        {"bytes=a-b", RANGE_WHOLE, 0, 0},
        {"bytes=+1-2", RANGE_WHOLE, 0, 0},
        {"bytes=1", RANGE_WHOLE, 0, 0},
        {"bytes =1-2", RANGE_WHOLE, 0, 0},
        {"lines=1-2", RANGE_WHOLE, 0, 0},
        {"", RANGE_WHOLE, 0, 0},
        {NULL, RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t offset = 0;
        uint64_t len = 0;
        const enum range_result got = range_parse(rows[i].value, 1000, &offset, &len);
        if (got != rows[i].result || offset != rows[i].offset || len != rows[i].len) {
            fail_msg("'%s' gave %d, %llu+%llu", rows[i].value, (int)got, (unsigned long long)offset,
                     (unsigned long long)len);
        }
    }
}

static void no_range_of_an_empty_file_can_be_satisfied(void **state)
{
    (void)state;
    uint64_t offset;
    uint64_t len;
    assert_int_equal(range_parse("bytes=0-", 0, &offset, &len), RANGE_UNSATISFIABLE);
    assert_int_equal(range_parse("bytes=-5", 0, &offset, &len), RANGE_UNSATISFIABLE);
    assert_int_equal(range_parse(NULL, 0, &offset, &len), RANGE_WHOLE);
}

static void if_range_compares_strongly(void **state)
{
    (void)state;
    assert_true(range_if_range(NULL, "\"a\""));
    assert_true(range_if_range("\"a\"", "\"a\""));
    assert_false(range_if_range("\"b\"", "\"a\""));
    assert_false(range_if_range("W/\"a\"", "\"a\""));
    assert_false(range_if_range("W/\"a\"", "W/\"a\""));
    assert_false(range_if_range("\"a\"", NULL));
    assert_false(range_if_range("Tue, 24 Nov 2025 11:00:00 GMT", "\"a\""));
}

static void if_none_match_compares_weakly_through_lists(void **state)
{
    (void)state;
    assert_true(range_none_match("\"a\"", "\"a\""));
    assert_true(range_none_match("W/\"a\"", "\"a\""));
    assert_true(range_none_match("\"b\", W/\"x,y\" ,\"a\"", "\"a\""));
    assert_true(range_none_match("*", "\"a\""));
    assert_false(range_none_match("\"b\"", "\"a\""));
    assert_false(range_none_match("a", "\"a\""));
    assert_false(range_none_match("\"a", "\"a\""));
    assert_false(range_none_match("", "\"a\""));
    assert_false(range_none_match(NULL, "\"a\""));
    assert_false(range_none_match("*", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_of_a_file_of_1000_bytes),
        cmocka_unit_test(no_range_of_an_empty_file_can_be_satisfied),
        cmocka_unit_test(if_range_compares_strongly),
        cmocka_unit_test(if_none_match_compares_weakly_through_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
