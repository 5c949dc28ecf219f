/* States that would strand a device: a download into the slot that otadata names, a cut while going
 * back, records that claim more than the flash holds, counters at their end, waits too short. */
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

/* v2 confirmed in ota_1, v1 known good in ota_0. */
static void confirm_v2(struct rig *r)
{
    rest(r);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void with_factory(struct rig *r)
{
    r->config.factory = (struct sf_slot_map){RIG_FACTORY, 0x30000};
    memcpy(r->chip.cells + RIG_FACTORY, r->v1.image, r->v1.image_len);
}

/* Steps until the update is all there and waits for the server's last word, which does not come. */
static void download_and_ask_in_vain(struct rig *r, const struct rig_release *release)
{
    rig_target(r, release);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    for (unsigned i = 0; i < 1000 && rig_core(r)->state != SF_STATE_ASK; i++) {
        (void)rig_step(r);
    }
    assert_int_equal(rig_core(r)->state, SF_STATE_ASK);
    r->server.is_down = 1;
    for (unsigned i = 0; i < 10; i++) {
        (void)rig_step(r);
    }
}

/* ---- an image that nobody committed does not boot ---- */

static void after_a_fallback_a_cut_before_the_commit_boots_the_running_image(void **state)
{
    struct rig *r = *state;
    confirm_v2(r);
    r->server.target = NULL;
    r->chip.cells[RIG_SLOT_1 + 9000] ^= 1; /* v2 decays; otadata goes on naming it, VALID */
    rest(r);
    assert_int_equal(rig_slot_runs(r), 0);
    download_and_ask_in_vain(r, &r->v3);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 0); /* not v3: it would run without a trial */
    r->server.is_down = 0;
    rig_install(r, &r->v3);
    assert_int_equal(rig_trial(r).open, 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
}

static void
where_otadata_names_nothing_a_cut_before_the_commit_boots_the_running_image(void **state)
{
    struct rig *r = *state;
    rig_flash(r, RIG_SLOT_1, &r->v1);
    memset(r->chip.cells + RIG_SLOT_0, 0xff, RIG_SLOT_SIZE);
    memset(r->chip.cells + RIG_OTADATA, 0x11, 32);
    memset(r->chip.cells + RIG_OTADATA + 4096, 0x11, 32);
    rest(r);
    assert_int_equal(rig_slot_runs(r), 1);
    download_and_ask_in_vain(r, &r->v3);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void beside_a_running_factory_a_cut_before_the_commit_boots_it_again(void **state)
{
    struct rig *r = *state;
    with_factory(r);
    r->config.slot_count = 1;
    rig_flash(r, RIG_SLOT_0, &r->v2);
    r->chip.cells[RIG_SLOT_0 + 9000] ^= 1;
    rig_put_otadata(r, 0, 3, SF_OTA_VALID);
    rig_put_otadata(r, 1, 5, SF_OTA_VALID);
    rest(r);
    assert_int_equal(r->config.running_slot, SF_BOOT_FACTORY);
    download_and_ask_in_vain(r, &r->v3);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(r->config.running_slot, SF_BOOT_FACTORY);
    r->server.is_down = 0;
    rig_install(r, &r->v3);
    assert_int_equal(r->config.running_slot, 0);
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    assert_int_equal(entry[sf_otadata_active(entry)].ota_state, SF_OTA_PENDING_VERIFY);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

/* A new ota_0 is broken, ota_1 is good: the bootloader runs the factory image, once. */
static void a_factory_that_runs_for_a_broken_slot_leaves_the_good_one_alone(void **state)
{
    struct rig *r = *state;
    with_factory(r);
    rig_flash(r, RIG_SLOT_1, &r->v2);
    memset(r->chip.cells + RIG_SLOT_0, 0xff, RIG_SLOT_SIZE);
    rig_put_otadata(r, 0, 3, SF_OTA_NEW);
    rig_put_otadata(r, 1, 2, SF_OTA_VALID);
    rest(r);
    assert_int_equal(r->config.running_slot, SF_BOOT_FACTORY);
    rig_install(r, &r->v3);
    assert_int_equal(r->config.running_slot, 0);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(r->config.running_slot, 1);
    assert_memory_equal(r->chip.cells + RIG_SLOT_1, r->v2.image, r->v2.image_len);
}

/* ---- going back ---- */

static unsigned otadata_operations_left;

/* Cuts power, of the record store's flash too, before one of the operations on otadata. */
static enum sf_flash_fault cut_otadata(void *ctx, const struct sf_flash_op *op)
{
    struct rig *r = ctx;
    if (op->address < RIG_OTADATA || op->address >= RIG_OTADATA + SF_OTADATA_SIZE ||
        otadata_operations_left-- > 0) {
        return SF_FLASH_GO_ON;
    }
    r->nvs.has_power = 0;
    return SF_FLASH_CUT_BEFORE;
}

static void cut_before_otadata_operation(struct rig *r, unsigned n)
{
    otadata_operations_left = n;
    r->chip.hook_ctx = r;
    r->chip.hook = cut_otadata;
}

static void a_cut_while_the_engine_goes_back_does_not_lose_the_way(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct rig *r = rig_new();
        r->without_rollback = 1;
        rest(r);
        rig_install(r, &r->v2);
        r->test_result[0] = SF_SELF_TEST_FAIL;
        cut_before_otadata_operation(r, i / 2);
        if (i % 2 == 0) { /* the engine goes back */
            for (unsigned n = 0; n < 100 && r->chip.has_power; n++) {
                if (rig_step(r) == SF_ACTION_REBOOT) {
                    break;
                }
            }
        } else { /* the early hook does */
            r->reset_reason = SF_RESET_PANIC;
            const int err = sf_boot_early(&r->config);
            assert_true(err < 0 || err == SF_BOOT_REBOOT);
        }
        r->chip.hook = NULL;
        rig_boot(r, SF_RESET_PANIC);
        assert_int_equal(rig_slot_runs(r), 0);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_int_equal(r->server.outcome_count, 1);
        rig_free(r);
    }
}

static int only_the_factory_boots(void *ctx, int slot)
{
    (void)ctx;
    return slot == SF_BOOT_FACTORY ? SF_OK : SF_ERR_HASH;
}

/* From an entry that names a broken ota_1 the bootloader would come to the failed image in ota_0
 * before it comes to the factory. */
static void back_to_the_factory_leaves_no_entry_that_leads_elsewhere(void **state)
{
    struct rig *r = *state;
    with_factory(r);
    rig_put_otadata(r, 0, 3, SF_OTA_NEW);
    rig_put_otadata(r, 1, 2, SF_OTA_VALID);
    r->platform.slot_bootable = only_the_factory_boots;
    r->test_result[0] = SF_SELF_TEST_FAIL;
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(r->config.running_slot, SF_BOOT_FACTORY);
}

/* ---- records ---- */

static void a_known_good_image_that_is_gone_is_fetched(void **state)
{
    struct rig *r = *state;
    confirm_v2(r);
    r->chip.cells[RIG_SLOT_0 + 8000] ^= 1;
    r->v1.manifest.seq = 8; /* a return manifest */
    rig_sign(r, &r->v1);
    rig_install(r, &r->v1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(r->server.downloads, 2);
}

static enum sf_flash_fault refuse(void *ctx, const struct sf_flash_op *op)
{
    (void)ctx;
    (void)op;
    return SF_FLASH_FAIL;
}

static void an_image_that_is_not_on_trial_is_not_tried_though_the_store_fails(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_install(r, &r->v2);
    r->nvs.hook = refuse;
    rig_boot(r, SF_RESET_PANIC); /* rolled back; nothing of it can be written down */
    assert_int_equal(rig_slot_runs(r), 0);
    for (unsigned i = 0; i < 10; i++) {
        (void)rig_step(r);
    }
    assert_int_equal(r->test_started, 0);
    r->nvs.hook = NULL;
    rig_boot(r, SF_RESET_POWER_ON);
    (void)rig_settle(r);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].counter, 2);
    assert_true(r->server.outcome[0].error != SF_OK);
}

/* Power fails after the second trial's record and before its entry: the first one's is still there,
 * with the same seq. */
static void check_second_attempt_cut_before(struct rig *r, unsigned operation)
{
    rest(r);
    rig_install(r, &r->v2);
    rig_boot(r, SF_RESET_BROWNOUT);
    assert_int_equal(rig_slot_runs(r), 0);
    cut_before_otadata_operation(r, operation);
    while (r->chip.has_power) {
        assert_int_not_equal(rig_step(r), SF_ACTION_REBOOT);
    }
    r->chip.hook = NULL;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT); /* the second attempt, at last */
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].attempt, 1);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_trial(r).attempt, 2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void an_entry_of_an_earlier_attempt_is_not_taken_for_this_ones(void **state)
{
    (void)state;
    for (unsigned operation = 0; operation < 2; operation++) {
        struct rig *r = rig_new();
        check_second_attempt_cut_before(r, operation);
        rig_free(r);
    }
}

/* ---- counters ---- */

static void an_ota_seq_at_its_end_does_not_end_updating(void **state)
{
    struct rig *r = *state;
    rig_put_otadata(r, 0, UINT32_C(0xfffffffd), SF_OTA_VALID); /* names ota_0 */
    rest(r);
    assert_int_equal(rig_slot_runs(r), 0);
    rig_install(r, &r->v2);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_install(r, &r->v3);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[1].error, SF_OK);
}

/* ---- waits ---- */

static void busy_from_now_on(struct rig *r, const struct sf_request *request,
                             struct rig_reply *reply)
{
    (void)reply;
    r->not_now |= request->method == SF_METHOD_GET;
}

static unsigned checkins_in_an_hour(struct rig *r)
{
    const unsigned before = r->server.checkins;
    const uint64_t end = r->now_ms + UINT64_C(60) * 60 * 1000;
    for (unsigned i = 0; i < 100000 && r->now_ms < end; i++) {
        assert_int_not_equal(rig_step(r), SF_ACTION_REBOOT);
    }
    assert_true(r->now_ms >= end);
    return r->server.checkins - before;
}

static void an_application_that_stays_busy_does_not_make_it_hammer_the_server(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->server.script = busy_from_now_on;
    rig_target(r, &r->v2);
    assert_in_range(checkins_in_an_hour(r), 5, 30);
    r->not_now = 0;
    r->server.script = NULL;
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
}

static void expires_at_once(struct rig *r, struct sf_status *status)
{
    if (r->server.downloads > 0) {
        status->expires = status->time;
    }
}

static void an_answer_that_has_expired_does_not_make_it_hammer_the_server(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->server.status_script = expires_at_once;
    rig_target(r, &r->v2);
    assert_in_range(checkins_in_an_hour(r), 5, 30);
}

static void a_confirmation_that_cannot_be_recorded_is_not_tried_without_pause(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_install(r, &r->v2);
    while (rig_core(r)->running_state != SF_OTA_VALID) {
        (void)rig_step(r);
    }
    r->nvs.hook = refuse;
    const uint64_t end = r->now_ms + UINT64_C(2) * 60 * 60 * 1000;
    unsigned steps = 0;
    for (; steps < 20000 && r->now_ms < end; steps++) {
        assert_int_not_equal(rig_step(r), SF_ACTION_REBOOT);
    }
    assert_true(steps < 20000);
    r->nvs.hook = NULL;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_trial(r).open, 0);
}

/* ---- sizes ---- */

static void an_image_as_large_as_its_slot_is_measured_and_installed(void **state)
{
    struct rig *r = *state;
    rig_make(r, &r->v1, &(struct esp_image_spec){.seed = 8, .size = RIG_SLOT_SIZE}, 2);
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 9, .size = RIG_SLOT_SIZE}, 4);
    rig_flash(r, RIG_SLOT_0, &r->v1);
    rest(r);
    assert_int_equal(r->server.last.running_length, RIG_SLOT_SIZE);
    assert_memory_equal(r->server.last.running_digest, r->v1.digest, SF_SHA256_SIZE);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(r->server.last.running_digest, r->v2.digest, SF_SHA256_SIZE);
}

static void the_last_piece_of_a_slot_that_is_no_whole_sector_is_never_erased(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->config.slot[1].size = 0x6000 + 0x400; /* what follows belongs to somebody else */
    rig_make(r, &r->v3, &(struct esp_image_spec){.seed = 3, .size = 0x6000 + 0x200}, 6);
    memset(r->chip.cells + RIG_SLOT_1 + 0x6400, 0x5a, 0x1000);
    rig_target(r, &r->v3);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->chip.cells[RIG_SLOT_1 + 0x6400], 0x5a);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_NOSPC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(after_a_fallback_a_cut_before_the_commit_boots_the_running_image),
        TEST(where_otadata_names_nothing_a_cut_before_the_commit_boots_the_running_image),
        TEST(beside_a_running_factory_a_cut_before_the_commit_boots_it_again),
        TEST(a_factory_that_runs_for_a_broken_slot_leaves_the_good_one_alone),
        cmocka_unit_test(a_cut_while_the_engine_goes_back_does_not_lose_the_way),
        TEST(back_to_the_factory_leaves_no_entry_that_leads_elsewhere),
        TEST(a_known_good_image_that_is_gone_is_fetched),
        TEST(an_image_that_is_not_on_trial_is_not_tried_though_the_store_fails),
        cmocka_unit_test(an_entry_of_an_earlier_attempt_is_not_taken_for_this_ones),
        TEST(an_ota_seq_at_its_end_does_not_end_updating),
        TEST(an_application_that_stays_busy_does_not_make_it_hammer_the_server),
        TEST(an_answer_that_has_expired_does_not_make_it_hammer_the_server),
        TEST(a_confirmation_that_cannot_be_recorded_is_not_tried_without_pause),
        TEST(an_image_as_large_as_its_slot_is_measured_and_installed),
        TEST(the_last_piece_of_a_slot_that_is_no_whole_sector_is_never_erased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
