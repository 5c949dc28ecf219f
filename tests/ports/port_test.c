/* The host's clock. */
#include "ports/host/port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void time_goes_on_and_counts_milliseconds(void **state)
{
    (void)state;
    struct timespec pause = {.tv_nsec = 20000000};
    uint64_t before = sf_host_now_ms();
    nanosleep(&pause, NULL);
    uint64_t passed = sf_host_now_ms() - before;
    assert_in_range(passed, 19, 60 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_goes_on_and_counts_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
