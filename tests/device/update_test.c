/* The main job: enrol, check in, install, try, confirm, report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

static int setup(void **state)
{
    *state = rig_new();
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void rest(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

static void a_new_image_is_installed_tried_confirmed_and_reported(void **state)
{
    struct rig *r = *state;
    rest(r);
    assert_int_equal(r->server.enrolments, 1);
    assert_int_equal(r->server.checkins, 1);
    assert_memory_equal(r->server.last.running_digest, r->v1.digest, SF_SHA256_SIZE);
    assert_int_equal(r->server.last.running_length, r->v1.image_len);

    rig_install(r, &r->v2);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_memory_equal(r->chip.cells + RIG_SLOT_1, r->v2.image, r->v2.image_len);
    assert_int_equal(rig_trial(r).boots, 1);

    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    const int active = sf_otadata_active(entry);
    assert_int_equal(entry[active].ota_state, SF_OTA_VALID);
    assert_int_equal(sf_otadata_slot(&entry[active], 2), 1);
    assert_int_equal(rig_trial(r).open, 0);
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    assert_int_equal(r->server.outcome[0].counter, 2);
    assert_int_equal(r->server.outcome[0].attempt, 1);
    assert_int_equal(r->server.last.phase, SF_PHASE_CONFIRMED);
    assert_int_equal(sf_engine_view(&r->engine).outcome.counter, 0); /* acknowledged */
    assert_memory_equal(r->server.last.running_digest, r->v2.digest, SF_SHA256_SIZE);
    assert_int_equal(r->server.last.seq, 4);
    assert_true((r->server.last.abilities & SF_ABILITY_ROLLBACK) != 0);
    assert_int_equal(r->server.last.other_count, 1);
    assert_int_equal(r->server.last.other[0].content, SF_SLOT_COMPLETE);
    assert_int_equal(r->server.last.other[0].confirmed_here, 1);
    assert_memory_equal(r->server.last.other[0].digest, r->v1.digest, SF_SHA256_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_image_is_installed_tried_confirmed_and_reported,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
