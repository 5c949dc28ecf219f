/* A trial that failed where nothing else boots: the image stays, unconfirmed, and the device can
 * still be given the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "device/steps.h"
#include "tests/device/rig.h"

static void fail_without_a_way_back(struct rig *r)
{
    r->chip.cells[RIG_SLOT_0 + 9000] ^= 1; /* v1 decays while v2 is on trial */
    r->not_bootable = 1;
    r->test_result[0] = SF_SELF_TEST_FAIL;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    r->not_bootable = 0;
    r->test_result[0] = SF_SELF_TEST_PASS;
}

/* v2 runs in ota_1, its trial has failed, and v1 in ota_0 does not boot any more. */
static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_install(r, &r->v2);
    fail_without_a_way_back(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void reboot(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

static void it_says_so_and_boots_again_as_what_it_is(void **state)
{
    struct rig *r = *state;
    struct sf_otadata_entry entry[2];
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_ROLLBACK_FAILED);
    assert_string_equal(r->server.outcome[0].text, "network");
    for (unsigned i = 0; i < 3; i++) {
        reboot(r);
        assert_int_equal(rig_slot_runs(r), 1);
        rig_otadata(r, entry);
        assert_int_equal(sf_commit_runs_boot_slot(&r->config, entry), 1);
        assert_int_equal(entry[sf_otadata_active(entry)].ota_state, SF_OTA_UNDEFINED);
        assert_int_equal(r->server.last.running_state, SF_OTA_UNDEFINED);
    }
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(rig_trial(r).open, 0);
}

static void it_does_not_become_known_good(void **state)
{
    struct rig *r = *state;
    reboot(r);
    reboot(r);
    struct sf_record_good good;
    assert_int_equal(sf_record_load(&r->store.ops, SF_RECORD_GOOD, &good), SF_OK);
    assert_int_equal(good.count, 1);
    assert_memory_equal(good.image[0].digest, r->v1.digest, SF_SHA256_SIZE);
}

static void the_next_image_replaces_it(void **state)
{
    struct rig *r = *state;
    reboot(r);
    rig_install(r, &r->v3);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(r->server.outcome[1].error, SF_OK);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
}

static void it_is_the_way_back_when_the_next_image_fails(void **state)
{
    struct rig *r = *state;
    rig_install(r, &r->v3);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[1].error, SF_ERR_CRASHED);
    reboot(r);
    assert_int_equal(rig_slot_runs(r), 1);
}

/* Else the bootloader would abort the running image, and boot what lies in the other slot by an
 * entry that says VALID: unverified, and on no trial. */
static void a_cut_before_the_next_commit_does_not_boot_what_was_not_committed(void **state)
{
    struct rig *r = *state;
    rig_target(r, &r->v3);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    for (unsigned i = 0; i < 1000 && rig_core(r)->state != SF_STATE_HASH; i++) {
        (void)rig_step(r);
    }
    assert_int_equal(rig_core(r)->state, SF_STATE_HASH);
    assert_memory_equal(r->chip.cells + RIG_SLOT_0, r->v3.image, r->v3.image_len);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void where_ota_seq_is_at_its_end_it_stays_too(void **state)
{
    struct rig *r = *state;
    struct sf_otadata_entry entry[2];
    rig_put_otadata(r, 0, UINT32_MAX - 2, SF_OTA_VALID); /* names ota_0 */
    rig_put_otadata(r, 1, UINT32_MAX - 1, SF_OTA_NEW);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 1);
    fail_without_a_way_back(r);
    rig_otadata(r, entry);
    assert_int_equal(entry[1].ota_seq, UINT32_MAX - 1);
    assert_int_equal(entry[1].ota_state, SF_OTA_UNDEFINED);
    reboot(r);
    assert_int_equal(rig_slot_runs(r), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_says_so_and_boots_again_as_what_it_is),
        TEST(it_does_not_become_known_good),
        TEST(the_next_image_replaces_it),
        TEST(it_is_the_way_back_when_the_next_image_fails),
        TEST(a_cut_before_the_next_commit_does_not_boot_what_was_not_committed),
        TEST(where_ota_seq_is_at_its_end_it_stays_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
