/* So many at once, then one each so many milliseconds. */
#include "base/limit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { BURST = 64, EVERY_MS = 10000 };

static struct limit limit;

static int set_up(void **state)
{
    (void)state;
    limit_init(&limit, BURST, EVERY_MS);
    return 0;
}

static void use_up(uint64_t row, int64_t now)
{
    for (int i = 0; i < BURST; i++) {
        assert_int_equal(limit_take(&limit, row, now), 0);
    }
}

static void a_burst_is_let_through_then_one_at_a_time(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1700000000000);
    use_up(7, now);
    assert_int_equal(limit_take(&limit, 7, now), EVERY_MS);
    assert_int_equal(limit_take(&limit, 7, now + 1), EVERY_MS - 1);
    assert_int_equal(limit_take(&limit, 7, now + EVERY_MS), 0);
    assert_int_equal(limit_take(&limit, 7, now + EVERY_MS), EVERY_MS);
    use_up(7, now + (int64_t)BURST * EVERY_MS + EVERY_MS);
}

static void no_device_pays_for_another(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1700000000000);
    use_up(7, now);
    use_up(8, now);
    use_up(7 + LIMIT_PLACES, now); /* in the same place */
    assert_true(limit_take(&limit, 7 + LIMIT_PLACES, now) > 0);
    assert_int_equal(limit_take(&limit, 7, now), 0);
}

static void a_clock_that_is_set_locks_nobody_out(void **state)
{
    (void)state;
    use_up(1, INT64_C(4294967296000)); /* 2106 */
    use_up(1, INT64_C(1700000000000));
    use_up(1, 0); /* 1970 */
    assert_true(limit_take(&limit, 1, -5) > 0);
}

static void without_a_burst_nothing_is_limited(void **state)
{
    (void)state;
    limit_init(&limit, 0, EVERY_MS);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(limit_take(&limit, 7, 1), 0);
    }
}

/* What a thread may get, all may get together. */
static void *take_many(void *arg)
{
    atomic_uint *got = arg;
    for (int i = 0; i < 1000; i++) {
        (void)atomic_fetch_add(got, limit_take(&limit, 9, 1) == 0);
    }
    return NULL;
}

static void threads_share_one_burst(void **state)
{
    (void)state;
    pthread_t thread[4];
    atomic_uint got = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, take_many, &got), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&got), BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_burst_is_let_through_then_one_at_a_time, set_up),
        cmocka_unit_test_setup(no_device_pays_for_another, set_up),
        cmocka_unit_test_setup(without_a_burst_nothing_is_limited, set_up),
        cmocka_unit_test_setup(threads_share_one_burst, set_up),
        cmocka_unit_test_setup(a_clock_that_is_set_locks_nobody_out, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
