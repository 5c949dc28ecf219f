/* secure_version: what a device's eFuse lets it take, and what may be burnt into it. */
#include "server/fleet/checkin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/server/fleet_world.h"

static struct world w;

static int fresh_world(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

static const struct checkin_answer *ask(void)
{
    (void)world_checkin(&w);
    w.report.last_counter = w.last.answer.counter;
    return &w.last.answer;
}

static void a_release_below_the_efuse_is_never_offered(void **state)
{
    (void)state;
    w.report.efuse_secure_version = 3;
    world_target(&w, 2);
    w.target.secure_version = 2;
    assert_int_equal(ask()->action, SF_STATUS_STAY);
    assert_int_equal(world_current(&w)->error, SF_ERR_SECURE_VERSION);
}

/* Burning cannot be taken back: it takes a publisher's word. */
static void a_release_above_the_efuse_is_offered_where_it_may_be_burnt(void **state)
{
    (void)state;
    w.report.efuse_secure_version = 3;
    world_target(&w, 2);
    w.target.secure_version = 4;
    const struct checkin_answer *a = ask();
    assert_int_equal(a->action, SF_STATUS_STAY);
    assert_int_equal(a->max_secure_version, 0);
    assert_int_equal(world_current(&w)->error, SF_ERR_SECURE_VERSION);
    unsigned told = 0;
    for (unsigned i = 0; i < w.last.event_count; i++) {
        told += w.last.event[i].kind == (uint32_t)EVENT_FAILED &&
                strstr(w.last.event[i].text, "published with --allow-burn may") != NULL;
    }
    assert_int_equal(told, 1);
    world_target(&w, 3);
    w.target.secure_version = 4;
    w.target.may_burn = 1;
    a = ask();
    assert_int_equal(a->action, SF_STATUS_INSTALL);
    assert_int_equal(a->max_secure_version, 4);
}

static void a_release_at_the_efuse_needs_no_permission(void **state)
{
    (void)state;
    w.report.efuse_secure_version = 4;
    world_target(&w, 2);
    w.target.secure_version = 4;
    const struct checkin_answer *a = ask();
    assert_int_equal(a->action, SF_STATUS_INSTALL);
    assert_int_equal(a->max_secure_version, 0);
}

#define T(f) cmocka_unit_test_setup(f, fresh_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_release_below_the_efuse_is_never_offered),
        T(a_release_above_the_efuse_is_offered_where_it_may_be_burnt),
        T(a_release_at_the_efuse_needs_no_permission),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
