/* How a trial can end, who notices, and what the device does about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

/* A device that has v1 confirmed in ota_0 and boots v2 in ota_1 for the first time. */
static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_install(r, &r->v2);
    *state = r;
    return 0;
}

/* The same under a bootloader that was built without rollback: NEW stays NEW. */
static int setup_old_bootloader(void **state)
{
    struct rig *r = rig_new();
    r->without_rollback = 1;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_install(r, &r->v2);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static uint32_t state_of_slot(struct rig *r, unsigned slot)
{
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    for (unsigned i = 0; i < 2; i++) {
        if (entry[i].ota_seq != SF_OTA_SEQ_EMPTY && sf_otadata_slot(&entry[i], 2) == slot) {
            return entry[i].ota_state;
        }
    }
    return SF_OTA_UNDEFINED;
}

/* The old image runs and says once why; the release is refused until a new counter names it. */
static void assert_back(struct rig *r, int err)
{
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].error, err);
    assert_int_equal(r->server.outcome[0].counter, 2);
    assert_int_equal(r->server.outcome[0].attempt, 1);
    assert_int_equal(rig_trial(r).open, 0);
}

static void assert_refused(struct rig *r)
{
    const unsigned downloads = r->server.downloads;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(r->server.downloads, downloads);
    assert_int_equal(sf_engine_view(&r->engine).update_due, 0);
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.downloads, downloads); /* the slot still holds it */
}

/* ---- what ends it ---- */

static void a_crash_rolls_back_and_refuses_the_release(void **state)
{
    struct rig *r = *state;
    rig_boot(r, SF_RESET_PANIC);
    assert_back(r, SF_ERR_CRASHED);
    assert_int_equal(r->server.outcome[0].reset_reason, SF_RESET_PANIC);
    assert_refused(r);
}

static void a_hang_rolls_back_and_refuses_the_release(void **state)
{
    struct rig *r = *state;
    rig_boot(r, SF_RESET_WATCHDOG);
    assert_back(r, SF_ERR_WATCHDOG);
    assert_refused(r);
}

static void power_loss_is_tried_three_times_without_a_download(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 1; i <= SF_SOFT_ATTEMPTS; i++) {
        assert_int_equal(rig_slot_runs(r), 1);
        rig_boot(r, i % 2 == 0 ? SF_RESET_POWER_ON : SF_RESET_BROWNOUT);
        assert_int_equal(rig_slot_runs(r), 0);
        const enum sf_action_kind kind = rig_settle(r);
        assert_int_equal(r->server.outcome_count, i);
        assert_int_equal(r->server.outcome[i - 1].error, SF_ERR_POWER);
        assert_int_equal(r->server.outcome[i - 1].attempt, i);
        assert_int_equal(kind, i < SF_SOFT_ATTEMPTS ? SF_ACTION_REBOOT : SF_ACTION_WAIT);
        if (kind == SF_ACTION_REBOOT) {
            rig_boot(r, SF_RESET_SOFTWARE);
        }
    }
    assert_int_equal(r->server.downloads, 1);
    assert_refused(r);
}

static void an_attempt_that_follows_a_power_loss_can_confirm(void **state)
{
    struct rig *r = *state;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.outcome_count, 2);
    assert_int_equal(r->server.outcome[1].error, SF_OK);
    assert_int_equal(r->server.outcome[1].attempt, 2);
    assert_int_equal(r->server.downloads, 1);
}

static void a_failed_self_test_rolls_back_and_names_it(void **state)
{
    struct rig *r = *state;
    r->test_result[1] = SF_SELF_TEST_FAIL;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_int_equal(r->test_started, 1);
    assert_int_equal(state_of_slot(r, 1), SF_OTA_INVALID); /* as ESP-IDF marks it */
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_back(r, SF_ERR_SELF_TEST);
    assert_string_equal(r->server.outcome[0].text, "sensors");
    assert_refused(r);
}

static void a_self_test_that_passes_its_deadline_rolls_back(void **state)
{
    struct rig *r = *state;
    const uint64_t start = r->now_ms;
    r->test_result[1] = SF_SELF_TEST_PENDING;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_in_range(r->now_ms - start, 120000, 121000);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_back(r, SF_ERR_SELF_TEST_DEADLINE);
    assert_string_equal(r->server.outcome[0].text, "sensors");
}

static void a_self_test_without_its_own_deadline_has_the_trials(void **state)
{
    struct rig *r = *state;
    const uint64_t start = r->now_ms;
    r->test_result[0] = SF_SELF_TEST_PENDING;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_in_range(r->now_ms - start, 1800000, 1800000 + 1000);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_back(r, SF_ERR_TRIAL_DEADLINE);
}

static void a_self_test_fails_while_the_check_in_hangs(void **state)
{
    struct rig *r = *state;
    r->test_result[0] = SF_SELF_TEST_PENDING;
    for (struct sf_action a = sf_engine_next(&r->engine, r->now_ms); a.kind != SF_ACTION_REQUEST;
         a = sf_engine_next(&r->engine, r->now_ms)) {
        (void)rig_step(r);
    }
    r->test_result[0] = SF_SELF_TEST_FAIL;
    const struct sf_action a = sf_engine_next(&r->engine, r->now_ms);
    assert_true(a.request.deadline_ms <= r->now_ms + 1000);
    r->now_ms = a.request.deadline_ms;
    assert_int_equal(sf_engine_request_check(&r->engine, r->now_ms), SF_ERR_CANCELLED);
    sf_engine_response_end(&r->engine, SF_ERR_CANCELLED, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_back(r, SF_ERR_SELF_TEST);
}

static void refused_by_the_bootloader_it_falls_back_and_touches_nothing(void **state)
{
    struct rig *r = rig_new();
    (void)state;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    r->chip.cells[RIG_SLOT_1 + 5000] ^= 1; /* after verification, before the boot */
    rig_boot(r, SF_RESET_SOFTWARE);
    const uint64_t operations = r->chip.op_count;
    assert_back(r, SF_ERR_FELL_BACK);
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(state_of_slot(r, 1), SF_OTA_PENDING_VERIFY);
    assert_int_equal(r->server.last.abilities & SF_ABILITY_RUNS_BOOT_SLOT, 0);

    /* the next release goes in all the same, and the way back stays: v1 was never unnamed */
    rig_install(r, &r->v3);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(state_of_slot(r, 0), SF_OTA_VALID);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(state_of_slot(r, 1), SF_OTA_VALID);
    rig_free(r);
}

/* ---- the server is missing ---- */

static void without_the_server_it_rolls_back(void **state)
{
    struct rig *r = *state;
    const uint64_t start = r->now_ms;
    r->server.is_down = 1;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_in_range(r->now_ms - start, 1800000, 1860000);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
}

static void an_image_that_cannot_reach_the_server_is_refused(void **state)
{
    struct rig *r = *state;
    without_the_server_it_rolls_back(state);
    r->server.is_down = 0; /* the image before it can */
    assert_back(r, SF_ERR_NO_SERVER);
    assert_refused(r);
}

static void no_server_for_the_old_image_either_costs_no_attempt(void **state)
{
    struct rig *r = *state;
    without_the_server_it_rolls_back(state);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT); /* still down */
    r->server.is_down = 0;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT); /* tries again at once */
    assert_int_equal(r->server.outcome[0].error, SF_ERR_NO_SERVER);
    assert_string_equal(r->server.outcome[0].text, "nor does the image before it");
    assert_int_equal(r->server.downloads, 1);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.outcome[1].error, SF_OK);
    assert_int_equal(r->server.outcome[1].attempt, 2);
}

static void a_server_that_comes_late_is_early_enough(void **state)
{
    struct rig *r = *state;
    r->server.is_down = 1;
    while (r->now_ms < 1500000) {
        (void)rig_step(r);
    }
    r->server.is_down = 0;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
}

/* ---- confirming ---- */

static void an_outer_watchdog_is_armed_for_the_trial_and_disarmed_after_it(void **state)
{
    struct rig *r = *state;
    while (r->deadline_armed_ms == 0) {
        (void)rig_step(r);
    }
    assert_true(r->deadline_armed_ms > 1800000);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->deadline_armed_ms, 0);
}

static void sleeping_is_not_allowed_in_a_trial(void **state)
{
    struct rig *r = *state;
    assert_int_equal(sf_engine_may_sleep(&r->engine), 0);
    r->test_result[0] = SF_SELF_TEST_PENDING;
    for (unsigned i = 0; i < 50; i++) {
        (void)rig_step(r);
        assert_int_equal(sf_engine_may_sleep(&r->engine), 0);
    }
    r->test_result[0] = SF_SELF_TEST_PASS;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_may_sleep(&r->engine), 1);
}

static void a_status_that_wants_more_waits_until_the_trial_has_ended(void **state)
{
    struct rig *r = *state;
    rig_target(r, &r->v3);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.outcome[0].error, SF_OK); /* v2 first */
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
}

static enum sf_flash_fault cut_otadata(void *ctx, const struct sf_flash_op *op)
{
    unsigned *left = ctx;
    if (op->address >= RIG_OTADATA && op->address < RIG_OTADATA + SF_OTADATA_SIZE) {
        if (*left == 0) {
            return SF_FLASH_CUT_BEFORE;
        }
        (*left)--;
    }
    return SF_FLASH_GO_ON;
}

/* Power fails before each operation of marking VALID: the device ends on the old image or the new
 * one, has a way on, and tells the truth. */
static void a_cut_while_confirming_costs_an_attempt_at_most(void **state)
{
    (void)state;
    for (unsigned cut = 0; cut < 4; cut++) {
        struct rig *r = NULL;
        assert_int_equal(setup((void **)&r), 0);
        unsigned left = cut;
        r->chip.hook_ctx = &left;
        r->chip.hook = cut_otadata;
        for (unsigned i = 0; i < 100 && r->chip.has_power && rig_step(r) != SF_ACTION_REBOOT; i++) {
        }
        r->chip.hook = NULL;
        rig_boot(r, SF_RESET_POWER_ON);
        enum sf_action_kind kind = rig_settle(r);
        if (kind == SF_ACTION_REBOOT) { /* rolled back by the cut: the second attempt */
            assert_int_equal(r->server.outcome[0].error, SF_ERR_POWER);
            rig_boot(r, SF_RESET_SOFTWARE);
            kind = rig_settle(r);
        }
        assert_int_equal(kind, SF_ACTION_WAIT);
        assert_int_equal(rig_slot_runs(r), 1);
        assert_int_equal(state_of_slot(r, 1), SF_OTA_VALID);
        assert_int_equal(r->server.outcome[r->server.outcome_count - 1].error, SF_OK);
        assert_int_equal(r->server.downloads, 1);
        rig_free(r);
    }
}

/* Power fails once otadata says VALID and before the rest is written down. */
static void what_is_confirmed_stays_confirmed_though_the_bookkeeping_was_cut(void **state)
{
    struct rig *r = *state;
    while (state_of_slot(r, 1) != SF_OTA_VALID) {
        (void)rig_step(r);
    }
    assert_int_equal(rig_trial(r).open, 1);
    r->test_result[0] = SF_SELF_TEST_FAIL; /* nobody asks it again */
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_trial(r).open, 0);
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
}

static void the_confirmed_image_is_known_good_at_once(void **state)
{
    struct rig *r = *state;
    struct sf_record_good good;
    while (rig_trial(r).open) {
        (void)rig_step(r);
    }
    assert_int_equal(sf_record_load(&r->store.ops, SF_RECORD_GOOD, &good), SF_OK);
    assert_int_equal(good.count, 2);
    assert_memory_equal(good.image[0].digest, r->v2.digest, SF_SHA256_SIZE);
    assert_memory_equal(good.image[1].digest, r->v1.digest, SF_SHA256_SIZE);
}

static void an_image_the_application_marked_valid_itself_is_on_trial_all_the_same(void **state)
{
    struct rig *r = *state;
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    const int active = sf_otadata_active(entry);
    rig_put_otadata(r, (unsigned)active, entry[active].ota_seq, SF_OTA_VALID);
    rig_boot(r, SF_RESET_PANIC); /* as arduino-esp32 does, and then it crashes */
    assert_back(r, SF_ERR_CRASHED);
}

/* ---- bootloader without rollback ---- */

static void confirms_under_a_bootloader_without_rollback(void **state)
{
    struct rig *r = *state;
    assert_int_equal(state_of_slot(r, 1), SF_OTA_NEW);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(state_of_slot(r, 1), SF_OTA_VALID);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    assert_true((r->server.last.abilities & SF_ABILITY_ROLLBACK_KNOWN) != 0);
    assert_int_equal(r->server.last.abilities & SF_ABILITY_ROLLBACK, 0);
}

static void the_early_hook_switches_back_after_a_crash(void **state)
{
    struct rig *r = *state;
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(r->early, SF_BOOT_GO_ON); /* of the boot after the switch */
    assert_back(r, SF_ERR_CRASHED);
    assert_int_equal(r->server.outcome[0].reset_reason, SF_RESET_PANIC);
    assert_refused(r);
}

static void the_early_hook_allows_three_power_losses(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 1; i < SF_SOFT_ATTEMPTS; i++) {
        rig_boot(r, SF_RESET_BROWNOUT);
        assert_int_equal(rig_slot_runs(r), 1);
        assert_int_equal(rig_trial(r).power_boots, i);
    }
    rig_boot(r, SF_RESET_BROWNOUT);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_trial(r).error, SF_ERR_POWER);
}

static void waking_from_deep_sleep_costs_no_attempt(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < 20; i++) {
        rig_boot(r, SF_RESET_DEEP_SLEEP);
        assert_int_equal(rig_slot_runs(r), 1);
    }
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
}

static void a_failed_self_test_switches_back_without_the_bootloaders_help(void **state)
{
    struct rig *r = *state;
    r->test_result[0] = SF_SELF_TEST_FAIL;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_back(r, SF_ERR_SELF_TEST);
    assert_string_equal(r->server.outcome[0].text, "network");
}

static void without_an_open_trial_the_early_hook_writes_nothing(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    const uint64_t operations = r->nvs.op_count + r->chip.op_count;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(sf_boot_early(&r->config), SF_BOOT_GO_ON);
    }
    assert_int_equal(r->nvs.op_count + r->chip.op_count, operations);
}

static void without_a_way_back_it_stays_and_says_so(void **state)
{
    struct rig *r = *state;
    r->test_result[0] = SF_SELF_TEST_FAIL;
    r->not_bootable = 1; /* the old image is damaged */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_ROLLBACK_FAILED);
    assert_string_equal(r->server.outcome[0].text, "network");
    assert_int_equal(rig_trial(r).open, 0);
    assert_int_equal(r->early, SF_BOOT_GO_ON);
}

/* Aborted, but the image before it does not boot either, so the bootloader runs it once more. */
static void what_otadata_does_not_name_is_never_confirmed(void **state)
{
    struct rig *r = *state;
    const uint64_t start = r->now_ms;
    r->chip.cells[RIG_SLOT_0 + 5000] ^= 1;
    rig_boot(r, SF_RESET_DEEP_SLEEP);
    const uint64_t operations = r->chip.op_count;
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_ROLLBACK_FAILED);
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(state_of_slot(r, 1), SF_OTA_ABORTED);
    assert_true(r->now_ms - start < 60000);
}

static void crashing_without_a_way_back_it_goes_on_trying(void **state)
{
    struct rig *r = *state;
    r->not_bootable = 1;
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(r->early, SF_ERR_ROLLBACK_FAILED);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_ROLLBACK_FAILED);
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_OLD(name) cmocka_unit_test_setup_teardown(name, setup_old_bootloader, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_crash_rolls_back_and_refuses_the_release),
        TEST(a_hang_rolls_back_and_refuses_the_release),
        TEST(power_loss_is_tried_three_times_without_a_download),
        TEST(an_attempt_that_follows_a_power_loss_can_confirm),
        TEST(a_failed_self_test_rolls_back_and_names_it),
        TEST(a_self_test_that_passes_its_deadline_rolls_back),
        TEST(a_self_test_without_its_own_deadline_has_the_trials),
        TEST(a_self_test_fails_while_the_check_in_hangs),
        cmocka_unit_test(refused_by_the_bootloader_it_falls_back_and_touches_nothing),
        TEST(an_image_that_cannot_reach_the_server_is_refused),
        TEST(no_server_for_the_old_image_either_costs_no_attempt),
        TEST(a_server_that_comes_late_is_early_enough),
        TEST(an_outer_watchdog_is_armed_for_the_trial_and_disarmed_after_it),
        TEST(sleeping_is_not_allowed_in_a_trial),
        TEST(a_status_that_wants_more_waits_until_the_trial_has_ended),
        cmocka_unit_test(a_cut_while_confirming_costs_an_attempt_at_most),
        TEST(what_is_confirmed_stays_confirmed_though_the_bookkeeping_was_cut),
        TEST(the_confirmed_image_is_known_good_at_once),
        TEST(an_image_the_application_marked_valid_itself_is_on_trial_all_the_same),
        TEST_OLD(confirms_under_a_bootloader_without_rollback),
        TEST_OLD(the_early_hook_switches_back_after_a_crash),
        TEST_OLD(the_early_hook_allows_three_power_losses),
        TEST_OLD(waking_from_deep_sleep_costs_no_attempt),
        TEST_OLD(a_failed_self_test_switches_back_without_the_bootloaders_help),
        TEST(without_an_open_trial_the_early_hook_writes_nothing),
        TEST(without_a_way_back_it_stays_and_says_so),
        TEST(what_otadata_does_not_name_is_never_confirmed),
        TEST_OLD(crashing_without_a_way_back_it_goes_on_trying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
