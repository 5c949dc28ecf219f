#include "base/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void counts_go_to_route_and_class_and_into_the_snapshot(void **state)
{
    (void)state;
    struct stats s;
    stats_init(&s);
    stats_count_answer(&s, 3, 200);
    stats_count_answer(&s, 3, 206);
    stats_count_answer(&s, 3, 404);
    stats_count_answer(&s, 100000, 500);
    stats_count_answer(&s, 0, 0);
    STATS_ADD(s.bytes_out, 7);
    struct stats_snapshot out;
    stats_read(&s, &out);
    assert_int_equal(out.route[3][1], 2);
    assert_int_equal(out.route[3][3], 1);
    assert_int_equal(out.route[STATS_ROUTE_MAX][4], 1);
    assert_int_equal(out.route[0][4], 1);
    assert_int_equal(out.bytes_out, 7);
    assert_int_equal(out.accepted, 0);
}

static void seconds_of_overload_count_once(void **state)
{
    (void)state;
    static struct stats s;
    struct stats_snapshot out;
    stats_init(&s);
    stats_overload(&s, 0);
    stats_overload(&s, 0);
    stats_overload(&s, 7);
    stats_read(&s, &out);
    assert_int_equal(out.shed_seconds, 2);
    assert_int_equal(stats_take_shed(&s), 2);
    assert_int_equal(stats_take_shed(&s), 0);
    stats_overload(&s, 8);
    assert_int_equal(stats_take_shed(&s), 1);
    stats_count_answer(&s, 0, 429);
    stats_read(&s, &out);
    assert_int_equal(out.throttled, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_of_overload_count_once),
        cmocka_unit_test(counts_go_to_route_and_class_and_into_the_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
