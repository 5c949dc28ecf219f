/* A virtual ESP32 through whole updates: confirmed, rolled back for every kind of bad image, with
 * and without a bootloader that can roll back. Time is virtual. */
#include "sim/vesp32.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/lab.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE, ATTEMPTS = 3 };

struct bench {
    struct lab lab;
    struct lab_release first;
    struct lab_release second;
};

static int make_bench(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    lab_server_open(&b->lab.server);
    lab_release(&b->lab.server, &b->first, "1.0.0", NULL, 2);
    lab_open(&b->lab, &b->first);
    *state = b;
    return 0;
}

static int release_bench(void **state)
{
    struct bench *b = *state;
    lab_close(&b->lab);
    free(b);
    return 0;
}

static int at_rest(const struct lab *lab)
{
    return vesp32_at_rest(&lab->esp);
}

static int at_rest_after_an_outcome(const struct lab *lab)
{
    return lab->server.outcomes > 0 && vesp32_at_rest(&lab->esp);
}

static uint32_t state_of_entry(const struct bench *b, unsigned i)
{
    struct sf_otadata_entry entry[2];
    vesp32_otadata(&b->lab.esp, entry);
    return entry[i].ota_state;
}

/* Boots the first image to rest, then publishes the second with this behaviour. */
static void publish_second(struct bench *b, uint8_t kind, uint32_t parameter)
{
    struct sf_behaviour behaviour = {.kind = kind, .parameter = parameter};
    vesp32_power_on(&b->lab.esp, b->lab.now_ms);
    assert_true(lab_run(&b->lab, HOUR, at_rest));
    assert_string_equal(b->lab.esp.version, "1.0.0");
    lab_release(&b->lab.server, &b->second, "1.1.0", &behaviour, 4);
    b->lab.server.target = &b->second;
    b->lab.server.action = SF_STATUS_INSTALL;
    b->lab.server.counter = 2;
}

static void assert_back_on_first(struct bench *b, int error)
{
    assert_true(lab_run(&b->lab, 6 * HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.0.0");
    assert_int_equal(b->lab.esp.config.running_slot, 0);
    assert_int_equal(b->lab.server.outcome.error, error);
    assert_int_equal(b->lab.server.outcome.counter, 2);
    /* and stays there: the server still offers the release, the device refuses it */
    unsigned downloads = b->lab.server.downloads;
    unsigned boots = b->lab.esp.boots;
    (void)lab_run(&b->lab, b->lab.now_ms + 2 * HOUR, NULL);
    assert_string_equal(b->lab.esp.version, "1.0.0");
    assert_int_equal(b->lab.server.downloads, downloads);
    assert_int_equal(b->lab.esp.boots, boots);
}

static void a_new_device_enrols_and_stays_on_its_image(void **state)
{
    struct bench *b = *state;
    vesp32_power_on(&b->lab.esp, 0);
    assert_true(lab_run(&b->lab, HOUR, at_rest));
    assert_int_equal(b->lab.server.enrolments, 1);
    assert_string_equal(b->lab.server.last.running_version, "1.0.0");
    assert_int_equal(b->lab.server.last.reset_reason, SF_RESET_POWER_ON);
    assert_memory_equal(b->lab.server.last.running_digest, b->first.digest, SF_SHA256_SIZE);
    assert_int_equal(state_of_entry(b, 0), SF_OTA_VALID); /* the bootloader's first choice */
    assert_int_equal(b->lab.esp.boots, 1);
    assert_int_equal(b->lab.server.downloads, 0);
}

static void a_healthy_image_is_tried_and_confirmed(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_HEALTHY, 0);
    assert_true(lab_run(&b->lab, HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.1.0");
    assert_int_equal(b->lab.esp.config.running_slot, 1);
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_int_equal(state_of_entry(b, 1), SF_OTA_VALID);
    assert_int_equal(b->lab.esp.boots, 2);
    assert_int_equal(b->lab.server.downloads, 1);
    assert_memory_equal(b->lab.flash.cells + b->lab.esp.config.slot[1].offset, b->second.image,
                        b->second.image_len);
}

static void an_image_that_crashes_at_boot_is_rolled_back_and_refused(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_CRASH_AT_BOOT, 0);
    assert_back_on_first(b, SF_ERR_CRASHED);
    assert_int_equal(state_of_entry(b, 1), SF_OTA_ABORTED);
}

static void an_image_that_crashes_before_the_early_hook_is_rolled_back(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_CRASH_EARLY, 0);
    assert_back_on_first(b, SF_ERR_CRASHED);
}

static void an_image_that_crashes_in_its_trial_is_rolled_back(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_CRASH_AFTER, 0);
    assert_back_on_first(b, SF_ERR_CRASHED);
}

static void a_hanging_image_is_reset_by_the_watchdog_and_rolled_back(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_HANG, 0);
    assert_back_on_first(b, SF_ERR_WATCHDOG);
}

static void an_image_whose_self_test_fails_is_rolled_back(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_SELF_TEST_FAILS, 0);
    assert_back_on_first(b, SF_ERR_SELF_TEST);
    assert_non_null(strstr(b->lab.server.outcome.text, "sensors"));
}

static void an_image_without_network_is_rolled_back_at_the_deadline(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_NO_NETWORK, 0);
    uint64_t before = b->lab.now_ms;
    assert_back_on_first(b, SF_ERR_NO_SERVER);
    assert_true(b->lab.now_ms - before > 30 * MINUTE);
}

static void an_image_that_falls_silent_is_rolled_back_at_the_deadline(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_SILENT, 0);
    assert_back_on_first(b, SF_ERR_NO_SERVER);
}

static void an_image_whose_self_test_never_answers_is_rolled_back(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_SELF_TEST_HANGS, 20);
    assert_back_on_first(b, SF_ERR_SELF_TEST_DEADLINE);
    assert_string_equal(b->lab.server.outcome.text, "sensors");
}

static void a_self_test_without_a_deadline_ends_with_the_trial(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_SELF_TEST_HANGS, 0);
    const uint64_t before = b->lab.now_ms;
    assert_back_on_first(b, SF_ERR_TRIAL_DEADLINE);
    assert_true(b->lab.now_ms - before > 30 * MINUTE);
}

static int committed(const struct lab *lab)
{
    struct sf_otadata_entry entry[2];
    vesp32_otadata(&lab->esp, entry);
    return entry[1].ota_state == SF_OTA_NEW;
}

static void without_the_server_for_either_image_the_release_is_tried_again(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_HEALTHY, 0);
    assert_true(lab_run(&b->lab, HOUR, committed));
    b->lab.server.is_down = 1; /* from the first boot of the trial on, for hours */
    (void)lab_run(&b->lab, b->lab.now_ms + 3 * HOUR, NULL);
    assert_string_equal(b->lab.esp.version, "1.0.0");
    b->lab.server.is_down = 0;
    assert_true(lab_run(&b->lab, b->lab.now_ms + 3 * HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.1.0");
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_int_equal(b->lab.server.downloads, 1);
}

static int outcome_is_final(const struct lab *lab)
{
    return lab->server.outcome.attempt == ATTEMPTS && vesp32_at_rest(&lab->esp);
}

static void assert_tried_three_times(struct bench *b, enum sf_reset_reason reason)
{
    assert_true(lab_run(&b->lab, 6 * HOUR, outcome_is_final));
    assert_string_equal(b->lab.esp.version, "1.0.0");
    assert_int_equal(b->lab.server.outcomes, ATTEMPTS);
    assert_int_equal(b->lab.server.outcome.error, SF_ERR_POWER);
    assert_int_equal(b->lab.server.outcome.reset_reason, reason);
    assert_int_equal(b->lab.server.downloads, 1);
    const unsigned boots = b->lab.esp.boots;
    (void)lab_run(&b->lab, b->lab.now_ms + 2 * HOUR, NULL);
    assert_int_equal(b->lab.esp.boots, boots);
}

static void a_brownout_loop_ends_after_three_attempts(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_BROWNOUT, 3);
    assert_tried_three_times(b, SF_RESET_BROWNOUT);
}

static void an_image_that_sleeps_before_it_is_confirmed_has_three_attempts(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_DEEP_SLEEP, 3);
    assert_tried_three_times(b, SF_RESET_DEEP_SLEEP);
}

static void run_into_the_trial(struct bench *b, unsigned boots)
{
    for (unsigned i = 0; i < 100000 && b->lab.esp.boots < boots; i++) {
        (void)lab_run(&b->lab, b->lab.now_ms + 100, NULL);
    }
    assert_int_equal(b->lab.esp.boots, boots);
    assert_string_equal(b->lab.esp.version, "1.1.0");
}

static void switched_off_and_on_in_its_trial_it_is_tried_again(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_HEALTHY, 0);
    run_into_the_trial(b, 2);
    vesp32_power_off(&b->lab.esp);
    vesp32_power_on(&b->lab.esp, b->lab.now_ms + HOUR);
    b->lab.now_ms += HOUR;
    while (b->lab.server.outcome.attempt < 2) {
        (void)lab_run(&b->lab, b->lab.now_ms + MINUTE, NULL);
    }
    assert_string_equal(b->lab.esp.version, "1.1.0");
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_int_equal(b->lab.server.downloads, 1);
}

static void switched_off_and_on_three_times_it_stays_on_the_old_image(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_HEALTHY, 0);
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        run_into_the_trial(b, 2 + 2 * i);
        vesp32_power_off(&b->lab.esp);
        vesp32_power_on(&b->lab.esp, b->lab.now_ms);
    }
    assert_tried_three_times(b, SF_RESET_POWER_ON);
}

static void an_image_that_decays_before_its_first_boot_is_fallen_back_from(void **state)
{
    struct bench *b = *state;
    publish_second(b, SF_BEHAVIOUR_DECAYS, 0);
    assert_back_on_first(b, SF_ERR_FELL_BACK);
    assert_int_equal(state_of_entry(b, 1), SF_OTA_PENDING_VERIFY); /* until the next reset: */
    vesp32_power_on(&b->lab.esp, b->lab.now_ms);
    assert_true(lab_run(&b->lab, b->lab.now_ms + HOUR, at_rest));
    assert_int_equal(state_of_entry(b, 1), SF_OTA_ABORTED);
    assert_string_equal(b->lab.esp.version, "1.0.0");
}

/* Outside of the promise, and what becomes of it: docs/unbrickable.md. */
static void a_crash_before_the_early_hook_without_rollback_loops_for_ever(void **state)
{
    struct bench *b = *state;
    struct vesp32_options options = lab_options(&b->lab);
    options.rollback = 0;
    vesp32_init(&b->lab.esp, &b->lab.flash, &options);
    publish_second(b, SF_BEHAVIOUR_CRASH_EARLY, 0);
    (void)lab_run(&b->lab, b->lab.now_ms + 10 * MINUTE, NULL);
    assert_string_equal(b->lab.esp.version, "1.1.0");
    assert_true(b->lab.esp.boots > 100);
    assert_int_equal(b->lab.server.outcomes, 0);
}

/* The bootloader of old Arduino cores: the device itself goes back, by its boot counter. */
static void without_rollback_in_the_bootloader_a_crashing_image_is_rolled_back_too(void **state)
{
    struct bench *b = *state;
    struct vesp32_options options = lab_options(&b->lab);
    options.rollback = 0;
    vesp32_init(&b->lab.esp, &b->lab.flash, &options);
    publish_second(b, SF_BEHAVIOUR_CRASH_AT_BOOT, 0);
    assert_back_on_first(b, SF_ERR_CRASHED);
}

static void without_rollback_in_the_bootloader_a_healthy_image_is_confirmed(void **state)
{
    struct bench *b = *state;
    struct vesp32_options options = lab_options(&b->lab);
    options.rollback = 0;
    vesp32_init(&b->lab.esp, &b->lab.flash, &options);
    publish_second(b, SF_BEHAVIOUR_HEALTHY, 0);
    assert_true(lab_run(&b->lab, HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.1.0");
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_int_equal(b->lab.server.last.abilities & SF_ABILITY_ROLLBACK, 0);
}

static void without_anything_to_boot_the_device_resets_for_ever(void **state)
{
    struct bench *b = *state;
    memset(b->lab.flash.cells + 0x10000, 0xff, 4096);
    vesp32_power_on(&b->lab.esp, 0);
    (void)lab_run(&b->lab, MINUTE, NULL);
    assert_int_equal(b->lab.esp.power, VESP32_BOOT_FAILS);
    assert_int_equal(b->lab.esp.boot_error, SF_ERR_NOT_BOOTABLE);
    assert_int_equal(b->lab.server.checkins, 0);
}

static enum sf_flash_fault cut_fifth(void *ctx, const struct sf_flash_op *op)
{
    unsigned *left = ctx;
    (void)op;
    return *left > 0 && --*left == 0 ? SF_FLASH_CUT_BEFORE : SF_FLASH_GO_ON;
}

static void after_a_power_cut_the_device_is_off_and_a_new_start_goes_on(void **state)
{
    struct bench *b = *state;
    unsigned left = 5;
    publish_second(b, SF_BEHAVIOUR_HEALTHY, 0);
    b->lab.flash.hook = cut_fifth;
    b->lab.flash.hook_ctx = &left;
    (void)lab_run(&b->lab, HOUR, at_rest_after_an_outcome);
    assert_int_equal(b->lab.esp.power, VESP32_OFF);
    vesp32_power_on(&b->lab.esp, b->lab.now_ms);
    assert_true(lab_run(&b->lab, 2 * HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.1.0");
}

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, make_bench, release_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_new_device_enrols_and_stays_on_its_image),
        BENCH_TEST(a_healthy_image_is_tried_and_confirmed),
        BENCH_TEST(an_image_that_crashes_at_boot_is_rolled_back_and_refused),
        BENCH_TEST(an_image_that_crashes_before_the_early_hook_is_rolled_back),
        BENCH_TEST(an_image_that_crashes_in_its_trial_is_rolled_back),
        BENCH_TEST(a_hanging_image_is_reset_by_the_watchdog_and_rolled_back),
        BENCH_TEST(an_image_whose_self_test_fails_is_rolled_back),
        BENCH_TEST(an_image_without_network_is_rolled_back_at_the_deadline),
        BENCH_TEST(an_image_that_falls_silent_is_rolled_back_at_the_deadline),
        BENCH_TEST(an_image_whose_self_test_never_answers_is_rolled_back),
        BENCH_TEST(a_self_test_without_a_deadline_ends_with_the_trial),
        BENCH_TEST(without_the_server_for_either_image_the_release_is_tried_again),
        BENCH_TEST(a_brownout_loop_ends_after_three_attempts),
        BENCH_TEST(an_image_that_sleeps_before_it_is_confirmed_has_three_attempts),
        BENCH_TEST(switched_off_and_on_in_its_trial_it_is_tried_again),
        BENCH_TEST(switched_off_and_on_three_times_it_stays_on_the_old_image),
        BENCH_TEST(an_image_that_decays_before_its_first_boot_is_fallen_back_from),
        BENCH_TEST(a_crash_before_the_early_hook_without_rollback_loops_for_ever),
        BENCH_TEST(without_rollback_in_the_bootloader_a_crashing_image_is_rolled_back_too),
        BENCH_TEST(without_rollback_in_the_bootloader_a_healthy_image_is_confirmed),
        BENCH_TEST(without_anything_to_boot_the_device_resets_for_ever),
        BENCH_TEST(after_a_power_cut_the_device_is_off_and_a_new_start_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
