/* How often a device may change the database. */
#include "server/protocols/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct limit limit;

static int set_up(void **state)
{
    (void)state;
    memset(&limit, 0, sizeof(limit));
    return 0;
}

static void use_up(int64_t row, int64_t now)
{
    for (int i = 0; i < LIMIT_BURST; i++) {
        assert_int_equal(limit_take(&limit, row, now), 0);
    }
}

static void a_burst_is_let_through_then_one_at_a_time(void **state)
{
    (void)state;
    const int64_t now = 1700000000;
    use_up(7, now);
    assert_int_equal(limit_take(&limit, 7, now), LIMIT_EVERY_S);
    assert_int_equal(limit_take(&limit, 7, now + 1), LIMIT_EVERY_S - 1);
    assert_int_equal(limit_take(&limit, 7, now + LIMIT_EVERY_S), 0);
    assert_int_equal(limit_take(&limit, 7, now + LIMIT_EVERY_S), LIMIT_EVERY_S);
    use_up(7, now + (int64_t)LIMIT_BURST * LIMIT_EVERY_S + LIMIT_EVERY_S);
}

static void no_device_pays_for_another(void **state)
{
    (void)state;
    const int64_t now = 1700000000;
    use_up(7, now);
    use_up(8, now);
    use_up(7 + LIMIT_PLACES, now); /* in the same place */
    assert_true(limit_take(&limit, 7 + LIMIT_PLACES, now) > 0);
    assert_int_equal(limit_take(&limit, 7, now), 0);
}

static void a_clock_that_is_set_locks_nobody_out(void **state)
{
    (void)state;
    use_up(1, INT64_C(4294967296)); /* 2106 */
    use_up(1, 1700000000);
    use_up(1, 0); /* 1970 */
    assert_true(limit_take(&limit, 1, -5) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_burst_is_let_through_then_one_at_a_time, set_up),
        cmocka_unit_test_setup(no_device_pays_for_another, set_up),
        cmocka_unit_test_setup(a_clock_that_is_set_locks_nobody_out, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
