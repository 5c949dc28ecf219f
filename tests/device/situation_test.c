/* Situations in which a device ends up after an update, each by its name: trials cut short by the
 * power supply or by a person, an Arduino core that confirms by itself, a cable, three slots,
 * otadata that is damaged or at the end of its numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "device/steps.h"
#include "formats/esp_ota.h"
#include "tests/device/rig.h"

static int setup_new(void **state)
{
    *state = rig_new();
    return 0;
}

static void rest(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

/* v1 in ota_0 is known good, v2 in ota_1 boots for the first time. */
static int setup(void **state)
{
    struct rig *r = rig_new();
    rest(r);
    rig_install(r, &r->v2);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void assert_outcome(const struct rig *r, unsigned i, int error, unsigned attempt)
{
    assert_true(r->server.outcome_count > i);
    assert_int_equal(r->server.outcome[i].error, error);
    assert_int_equal(r->server.outcome[i].attempt, attempt);
}

static uint32_t running_state(struct rig *r)
{
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    return sf_commit_running_state(&r->config, entry);
}

/* ---- the power supply, and a hand at the plug ---- */

static void a_brownout_loop_is_tried_three_times_and_then_left_alone(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < 60; i++) { /* of both images: the supply is what is wrong */
        rig_boot(r, SF_RESET_BROWNOUT);
        if (rig_slot_runs(r) == 0) {
            (void)rig_settle(r);
        }
    }
    rest(r);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_outcome(r, r->server.outcome_count - 1, SF_ERR_POWER, SF_SOFT_ATTEMPTS);
    assert_int_equal(r->server.outcome[0].reset_reason, SF_RESET_BROWNOUT);
    assert_int_equal(r->server.downloads, 1);
    assert_true(sf_host_flash_wear(&r->chip, RIG_OTADATA, SF_OTADATA_SIZE) < 16);
    assert_int_equal(sf_host_flash_wear(&r->chip, RIG_SLOT_1, RIG_SLOT_SIZE), 1);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
}

static void a_power_cycle_by_hand_costs_one_attempt_and_no_download(void **state)
{
    struct rig *r = *state;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_outcome(r, 0, SF_ERR_POWER, 1);
    assert_outcome(r, 1, SF_OK, 2);
    assert_int_equal(r->server.downloads, 1);
}

static void three_power_cycles_by_hand_refuse_the_release_until_a_new_counter(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < SF_SOFT_ATTEMPTS; i++) {
        rig_boot(r, SF_RESET_POWER_ON);
        assert_int_equal(rig_settle(r), i < 2 ? SF_ACTION_REBOOT : SF_ACTION_WAIT);
        assert_outcome(r, i, SF_ERR_POWER, i + 1);
        if (i < 2) {
            rig_boot(r, SF_RESET_SOFTWARE);
        }
    }
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    rig_install(r, &r->v2); /* asked for again */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.downloads, 1);
}

/* A bootloader that rolls back counts every boot, waking too: an application that does not heed
 * sf_engine_may_sleep() has its three attempts, and is told why. */
static void deep_sleep_before_the_confirmation_is_no_crash(void **state)
{
    struct rig *r = *state;
    rig_boot(r, SF_RESET_DEEP_SLEEP);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT); /* another attempt */
    assert_outcome(r, 0, SF_ERR_POWER, 1);
    assert_int_equal(r->server.outcome[0].reset_reason, SF_RESET_DEEP_SLEEP);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_outcome(r, 1, SF_OK, 2);
}

static void sleeping_once_it_is_confirmed_costs_nothing(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    for (unsigned i = 0; i < 10; i++) {
        rig_boot(r, SF_RESET_DEEP_SLEEP);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_int_equal(rig_slot_runs(r), 1);
    }
    assert_int_equal(r->server.outcome_count, 1);
}

/* ---- an Arduino core marks the boot slot valid before any of our code runs ---- */

static void arduino_core_marks_valid(struct rig *r)
{
    struct sf_esp_ota o = {.has_otadata = 1,
                           .rollback = 1,
                           .ota_count = r->config.slot_count,
                           .running = r->config.running_slot};
    rig_otadata(r, o.entry);
    assert_int_equal(sf_esp_ota_mark_app_valid(&o), SF_ESP_OK);
    for (unsigned i = 0; i < 2; i++) {
        rig_put_otadata(r, i, o.entry[i].ota_seq, o.entry[i].ota_state);
    }
}

static void a_core_that_confirms_by_itself_hangs_and_goes_back(void **state)
{
    struct rig *r = *state;
    arduino_core_marks_valid(r);
    assert_int_equal(running_state(r), SF_OTA_VALID);
    rig_boot(r, SF_RESET_WATCHDOG);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_outcome(r, 0, SF_ERR_WATCHDOG, 1);
}

static void a_core_that_confirms_by_itself_fails_its_self_test_and_goes_back(void **state)
{
    struct rig *r = *state;
    arduino_core_marks_valid(r);
    rig_boot(r, SF_RESET_SOFTWARE);
    arduino_core_marks_valid(r);
    r->test_result[1] = SF_SELF_TEST_FAIL;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_outcome(r, 0, SF_ERR_SELF_TEST, 1);
    assert_string_equal(r->server.outcome[0].text, "sensors");
}

static void a_core_that_confirms_by_itself_is_confirmed_by_us_when_all_is_well(void **state)
{
    struct rig *r = *state;
    arduino_core_marks_valid(r);
    rig_boot(r, SF_RESET_SOFTWARE); /* as VALID from the first instruction on */
    assert_int_equal(rig_trial(r).open, 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_outcome(r, 0, SF_OK, 1);
    assert_int_equal(rig_trial(r).open, 0);
}

/* The old image's core does it too: after a fallback it marks the slot that does not boot. */
static void a_core_that_marks_the_broken_slot_valid_after_a_fallback_is_set_right(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    r->chip.cells[RIG_SLOT_1 + 9000] ^= 1;
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
    arduino_core_marks_valid(r);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_outcome(r, 0, SF_ERR_FELL_BACK, 1);
    r->chip.cells[RIG_SLOT_1 + 9000] ^= 1; /* it reads well again, some day */
    for (unsigned i = 0; i < 3; i++) {
        rest(r);
        assert_int_equal(rig_slot_runs(r),
                         0); /* not v2, unconfirmed, by an entry that says VALID */
        arduino_core_marks_valid(r);
    }
}

/* ---- a cable while a trial was open ---- */

static void a_cable_that_flashes_everything_ends_the_trial_in_silence(void **state)
{
    struct rig *r = *state;
    rig_flash(r, RIG_SLOT_0, &r->v3);
    memset(r->chip.cells + RIG_OTADATA, 0xff, SF_OTADATA_SIZE); /* the NVS stays */
    r->server.target = NULL;
    rest(r);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_trial(r).open, 0);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void a_cable_that_flashes_the_slot_on_trial_is_noticed_by_the_next_attempt(void **state)
{
    struct rig *r = *state;
    rig_flash(r, RIG_SLOT_1,
              &r->v3); /* the bootloader aborts it: nothing says that it is another */
    rig_boot(r, SF_RESET_EXTERNAL);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.downloads, 2); /* v2 was not there any more */
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(r->server.last.running_digest, r->v2.digest, SF_SHA256_SIZE);
    assert_outcome(r, r->server.outcome_count - 1, SF_OK, 2);
}

/* Under a bootloader without rollback it boots, in a trial that was opened for another image. */
static void what_a_cable_put_in_place_of_the_trials_image_is_not_told_as_its_success(void **state)
{
    struct rig *r = *state;
    r->without_rollback = 1;
    rest(r);
    rig_install(r, &r->v2);
    rig_flash(r, RIG_SLOT_1, &r->v3);
    r->server.target = NULL;
    rig_boot(r, SF_RESET_EXTERNAL);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
    assert_int_equal(r->server.outcome_count, 0);
    assert_int_equal(running_state(r), SF_OTA_VALID);
}

static void what_a_cable_put_in_place_of_the_trials_image_is_not_told_as_its_failure(void **state)
{
    struct rig *r = *state;
    r->without_rollback = 1;
    rest(r);
    rig_install(r, &r->v2);
    rig_flash(r, RIG_SLOT_1, &r->v3);
    r->test_result[0] = SF_SELF_TEST_FAIL;
    rig_boot(r, SF_RESET_EXTERNAL);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    r->test_result[0] = SF_SELF_TEST_PASS;
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT); /* v2 is still wanted, and may be tried */
    assert_int_equal(r->server.outcome_count, 0);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(r->server.last.running_digest, r->v2.digest, SF_SHA256_SIZE);
}

/* ---- three slots ---- */

static void put_third(struct rig *r, const struct rig_release *in_ota_2)
{
    rig_third_slot(r);
    rig_flash(r, RIG_SLOT_2, in_ota_2);
}

static void three_slots_are_used_in_turn_and_a_crash_goes_back_to_the_one_before(void **state)
{
    struct rig *r = *state;
    rig_third_slot(r);
    rest(r);
    const struct rig_release *const turn[] = {&r->v2, &r->v3, &r->v1};
    r->v1.manifest.seq = 8; /* an old image under a new manifest */
    rig_sign(r, &r->v1);
    for (unsigned i = 0; i < 3; i++) {
        rig_install(r, turn[i]);
        assert_int_equal(rig_slot_runs(r), (i + 1) % 3);
        rig_boot(r, SF_RESET_PANIC);
        assert_int_equal(rig_slot_runs(r), i);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_outcome(r, 2 * i, SF_ERR_CRASHED, 1);
        rig_install(r, turn[i]); /* asked for again, and well this time */
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_int_equal(rig_slot_runs(r), (i + 1) % 3);
        assert_outcome(r, 2 * i + 1, SF_OK, 1);
        rest(r);
        assert_int_equal(rig_slot_runs(r), (i + 1) % 3);
    }
}

/* ota_2 runs; a new ota_0 is broken, so the bootloader goes on upwards, to what lies in ota_1. */
static void fall_back_to_the_oldest(struct rig *r)
{
    put_third(r, &r->v2);
    rig_flash(r, RIG_SLOT_1, &r->v1);
    rig_put_otadata(r, 0, 3, SF_OTA_VALID);
    rest(r);
    assert_int_equal(rig_slot_runs(r), 2);
    rig_target(r, &r->v3);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    r->chip.cells[RIG_SLOT_0 + 9000] ^= 1;
}

static void of_three_slots_a_fallback_ends_in_the_image_that_ran_not_in_an_older_one(void **state)
{
    struct rig *r = *state;
    for (unsigned old = 0; old < 2; old++) {
        r->without_rollback = (int)old;
        fall_back_to_the_oldest(r);
        rig_boot(r, SF_RESET_SOFTWARE);
        assert_int_equal(rig_slot_runs(r), 2);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_outcome(r, 0, SF_ERR_FELL_BACK, 1);
        assert_int_equal(running_state(r), SF_OTA_VALID);
        rest(r);
        assert_int_equal(rig_slot_runs(r), 2);
        rig_free(r);
        *state = r = rig_new();
    }
}

/* Nor in a loop, if the image that ran is gone too. */
static void of_three_slots_the_last_that_boots_goes_on(void **state)
{
    struct rig *r = *state;
    fall_back_to_the_oldest(r);
    r->chip.cells[RIG_SLOT_2 + 9000] ^= 1;
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_outcome(r, 0, SF_ERR_FELL_BACK, 1);
    rig_install(r, &r->v3);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
}

/* ---- otadata: its numbers and its damage ---- */

/* arduino-esp32#643: after 15 to 20 updates an old image booted. */
static void twenty_updates_in_a_row_boot_the_newest_each_time(void **state)
{
    (void)state;
    for (unsigned slots = 2; slots <= 3; slots++) {
        struct rig *r = rig_new();
        if (slots == 3) {
            rig_third_slot(r);
        }
        rest(r);
        for (unsigned i = 1; i <= 20; i++) {
            struct rig_release *next = i % 2 == 0 ? &r->v2 : &r->v3;
            rig_make(r, next, &(struct esp_image_spec){.seed = 100 + i, .size = 8192}, 2 + 2 * i);
            rig_install(r, next);
            assert_int_equal(rig_slot_runs(r), i % slots);
            assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
            rest(r);
            assert_int_equal(rig_slot_runs(r), i % slots);
            assert_memory_equal(r->server.last.running_digest, next->digest, SF_SHA256_SIZE);
        }
        rig_free(r);
    }
}

static void start_at(struct rig *r, uint32_t ota_seq)
{
    struct sf_otadata_entry first = sf_otadata_make(ota_seq, SF_OTA_VALID);
    const unsigned slot = sf_otadata_slot(&first, r->config.slot_count);
    rig_flash(r, r->config.slot[slot].offset, &r->v1);
    rig_put_otadata(r, ota_seq % 2, ota_seq, SF_OTA_VALID);
    rest(r);
    assert_int_equal(rig_slot_runs(r), slot);
}

/* From every number near the end of 32 bits: one update crashes, the next two stay. */
static void near_the_end_of_ota_seq_updates_go_on_and_crashes_go_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        struct rig *r = rig_new();
        if (i % 2 == 1) {
            rig_third_slot(r);
        }
        start_at(r, UINT32_C(0xffffffff) - 1 - i / 2);
        const unsigned before = rig_slot_runs(r);
        rig_install(r, &r->v2);
        rig_boot(r, SF_RESET_PANIC);
        assert_int_equal(rig_slot_runs(r), before);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        rig_install(r, &r->v2);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        rest(r);
        assert_memory_equal(r->server.last.running_digest, r->v2.digest, SF_SHA256_SIZE);
        rig_install(r, &r->v3);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        rest(r);
        assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
        rig_free(r);
    }
}

/* EMS-ESP32#1645: with otadata gone the first slot boots at every reset. */
static void damaged_otadata_is_mended_by_the_next_update(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    r->server.target = NULL;
    memset(r->chip.cells + RIG_OTADATA, 0x33, SF_OTADATA_ENTRY_SIZE);
    memset(r->chip.cells + RIG_OTADATA + SF_OTADATA_SECTOR_SIZE, 0x33, SF_OTADATA_ENTRY_SIZE);
    rest(r);
    assert_int_equal(rig_slot_runs(r), 0); /* v1 */
    assert_memory_equal(r->server.last.running_digest, r->v1.digest, SF_SHA256_SIZE);
    rig_install(r, &r->v3);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    for (unsigned i = 0; i < 3; i++) {
        rest(r);
        assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
    }
}

static void one_damaged_entry_is_outlived(void **state)
{
    (void)state;
    for (unsigned sector = 0; sector < 2; sector++) {
        struct rig *r = NULL;
        assert_int_equal(setup((void **)&r), 0);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        r->server.target = NULL;
        r->chip.cells[RIG_OTADATA + sector * SF_OTADATA_SECTOR_SIZE + 28] ^= 1; /* the crc */
        rest(r);
        rig_install(r, &r->v3);
        rig_boot(r, SF_RESET_PANIC);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_memory_not_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
        rig_install(r, &r->v3);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        rest(r);
        assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
        rig_free(r);
    }
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_NEW(name) cmocka_unit_test_setup_teardown(name, setup_new, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_brownout_loop_is_tried_three_times_and_then_left_alone),
        TEST(a_power_cycle_by_hand_costs_one_attempt_and_no_download),
        TEST(three_power_cycles_by_hand_refuse_the_release_until_a_new_counter),
        TEST(deep_sleep_before_the_confirmation_is_no_crash),
        TEST(sleeping_once_it_is_confirmed_costs_nothing),
        TEST(a_core_that_confirms_by_itself_hangs_and_goes_back),
        TEST(a_core_that_confirms_by_itself_fails_its_self_test_and_goes_back),
        TEST(a_core_that_confirms_by_itself_is_confirmed_by_us_when_all_is_well),
        TEST_NEW(a_core_that_marks_the_broken_slot_valid_after_a_fallback_is_set_right),
        TEST(a_cable_that_flashes_everything_ends_the_trial_in_silence),
        TEST(a_cable_that_flashes_the_slot_on_trial_is_noticed_by_the_next_attempt),
        TEST_NEW(what_a_cable_put_in_place_of_the_trials_image_is_not_told_as_its_success),
        TEST_NEW(what_a_cable_put_in_place_of_the_trials_image_is_not_told_as_its_failure),
        TEST_NEW(three_slots_are_used_in_turn_and_a_crash_goes_back_to_the_one_before),
        TEST_NEW(of_three_slots_a_fallback_ends_in_the_image_that_ran_not_in_an_older_one),
        TEST_NEW(of_three_slots_the_last_that_boots_goes_on),
        cmocka_unit_test(twenty_updates_in_a_row_boot_the_newest_each_time),
        cmocka_unit_test(near_the_end_of_ota_seq_updates_go_on_and_crashes_go_back),
        TEST(damaged_otadata_is_mended_by_the_next_update),
        cmocka_unit_test(one_damaged_entry_is_outlived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
