/* The seven holes of the stock design that an update engine has to cover: what ESP-IDF's bootloader
 * and esp_ota_* calls leave open, each with what this engine makes of it. */
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

static struct sf_otadata_entry entry_at(struct rig *r, unsigned sector)
{
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    return entry[sector];
}

/* The new image is committed and reads wrong from then on. */
static void commit_and_break(struct rig *r, const struct rig_release *release, uint32_t address)
{
    rig_target(r, release);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    r->chip.cells[address + 9000] ^= 1;
    rig_boot(r, SF_RESET_SOFTWARE);
}

/* 1: after a fallback otadata still names the broken slot. Nobody marks it, and with three slots
 * the next commit does not go over the entry of what runs; the next reset sets it right. */
static void hole_1_a_fallback_leaves_otadata_naming_the_broken_slot(void **state)
{
    (void)state;
    for (unsigned resets = 0; resets < 2; resets++) {
        struct rig *r = rig_new();
        rig_third_slot(r);
        rest(r);
        commit_and_break(r, &r->v2, RIG_SLOT_1);
        const uint64_t operations = r->chip.op_count;
        assert_int_equal(rig_slot_runs(r), 0);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_int_equal(r->chip.op_count, operations);
        assert_int_equal(entry_at(r, 1).ota_state, SF_OTA_PENDING_VERIFY);
        assert_int_equal(r->server.outcome[0].error, SF_ERR_FELL_BACK);
        assert_int_equal(r->server.last.abilities & SF_ABILITY_RUNS_BOOT_SLOT, 0);
        if (resets > 0) {
            rest(r);
            assert_int_equal(entry_at(r, 1).ota_state, SF_OTA_ABORTED);
        }
        rig_install(r, &r->v3);
        assert_int_equal(rig_slot_runs(r), 1);
        rig_boot(r, SF_RESET_PANIC);
        assert_int_equal(rig_slot_runs(r), 0); /* v1's entry is still there */
        assert_int_equal(entry_at(r, 0).ota_state, SF_OTA_VALID);
        rig_free(r);
    }
}

static unsigned operations_left;

static enum sf_flash_fault cut_otadata(void *ctx, const struct sf_flash_op *op)
{
    struct rig *r = ctx;
    if (op->address < RIG_OTADATA || op->address >= RIG_OTADATA + SF_OTADATA_SIZE ||
        operations_left-- > 0) {
        return SF_FLASH_GO_ON;
    }
    r->nvs.has_power = 0;
    return SF_FLASH_CUT_BEFORE;
}

/* 2: between erase and write the live entry is gone. With nothing in the other sector and no
 * factory image the bootloader would take ota_0 and call it VALID. */
static void hole_2_the_only_entry_is_in_no_cut_lost(void **state)
{
    (void)state;
    for (unsigned cut = 0; cut < 4; cut++) {
        struct rig *r = rig_new();
        rig_flash(r, RIG_SLOT_1, &r->v3);
        rig_put_otadata(r, 1, 2, SF_OTA_NEW);
        r->without_rollback = 1; /* else the cut itself aborts the trial */
        rig_boot(r, SF_RESET_SOFTWARE);
        rig_put_otadata(r, 1, 2, SF_OTA_PENDING_VERIFY);
        operations_left = cut;
        r->chip.hook_ctx = r;
        r->chip.hook = cut_otadata;
        for (unsigned i = 0; i < 500 && r->chip.has_power; i++) {
            (void)rig_step(r);
        }
        assert_int_equal(r->chip.has_power, cut == 3); /* an erase and two writes, beside it */
        r->chip.hook = NULL;
        rig_boot(r, SF_RESET_POWER_ON);
        assert_int_equal(rig_slot_runs(r), 1); /* never v1 in ota_0, by nobody's choice */
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        rig_free(r);
    }
}

/* 3: the crc does not cover the state. Whatever a torn write left there, the trial goes on and a
 * crash ends it. */
static void hole_3_a_torn_state_ends_no_trial(void **state)
{
    static const uint32_t torn[] = {0x0000ffff, 0xffff0000, 0xff, 5, 0xfffffffe, SF_OTA_UNDEFINED};
    (void)state;
    for (unsigned i = 0; i < 2 * sizeof(torn) / sizeof(torn[0]); i++) {
        struct rig *r = rig_new();
        rest(r);
        rig_install(r, &r->v2);
        rig_put_otadata(r, 1, 2, torn[i / 2]);
        rig_boot(r, i % 2 == 0 ? SF_RESET_PANIC : SF_RESET_SOFTWARE);
        if (i % 2 == 0) {
            assert_int_equal(rig_slot_runs(r), 0);
            assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
            assert_int_equal(r->server.outcome[0].error, SF_ERR_CRASHED);
        } else {
            assert_int_equal(rig_trial(r).open, 1);
            assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
            assert_int_equal(entry_at(r, 1).ota_state, SF_OTA_VALID);
            assert_int_equal(r->server.outcome[0].error, SF_OK);
        }
        rig_free(r);
    }
}

/* 4: the bootloader burns the eFuse for a VALID entry, from app_desc, before it verifies the image.
 * So no entry says VALID before its image is confirmed. */
static void hole_4_the_efuse_is_burnt_for_confirmed_images_only(void **state)
{
    struct rig *r = *state;
    r->anti_rollback = 1;
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 4, .size = RIG_SMALL, .secure_version = 1},
             4);
    r->server.max_secure_version = 1;
    rest(r);
    commit_and_break(r, &r->v2, RIG_SLOT_1); /* falls back */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_FELL_BACK);
    rest(r);
    assert_int_equal(r->efuse, 0);
    rig_install(r, &r->v2); /* crashes */
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->efuse, 0);
    rig_install(r, &r->v2); /* and is confirmed at last */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->efuse, 0);
    rest(r);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->efuse, 1);
}

/* 5: a bootloader built without rollback leaves NEW as it is. The device finds out, says so, and
 * goes back by itself. */
static void hole_5_a_bootloader_without_rollback_is_found_out(void **state)
{
    struct rig *r = *state;
    r->without_rollback = 1;
    rest(r);
    assert_int_equal(r->server.last.abilities & SF_ABILITY_ROLLBACK_KNOWN, 0);
    rig_install(r, &r->v2);
    assert_int_equal(entry_at(r, 1).ota_state, SF_OTA_NEW);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_CRASHED);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_not_equal(r->server.last.abilities & SF_ABILITY_ROLLBACK_KNOWN, 0);
    assert_int_equal(r->server.last.abilities & SF_ABILITY_ROLLBACK, 0);
}

/* 6: ota_0 is aborted, the other entry is blank and there is no factory: the bootloader boots ota_0
 * all the same. It is nobody's known good, and the next update has a way back. */
static void hole_6_an_aborted_image_that_runs_is_never_confirmed(void **state)
{
    struct rig *r = *state;
    struct sf_record_good good;
    rig_put_otadata(r, 0, 1, SF_OTA_ABORTED);
    for (unsigned i = 0; i < 3; i++) {
        rest(r);
        assert_int_equal(rig_slot_runs(r), 0);
        assert_int_equal(entry_at(r, 0).ota_state, SF_OTA_ABORTED);
        assert_int_equal(r->server.last.running_state, SF_OTA_ABORTED);
    }
    assert_int_equal(sf_record_load(&r->store.ops, SF_RECORD_GOOD, &good), SF_ERR_NOTFOUND);
    rig_install(r, &r->v2);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
}

static enum sf_flash_fault cut_after_first_erase(void *ctx, const struct sf_flash_op *op)
{
    (void)ctx;
    return op->kind == SF_FLASH_OP_ERASE && op->address == RIG_SLOT_0 ? SF_FLASH_CUT_AFTER
                                                                      : SF_FLASH_GO_ON;
}

/* 7: the slot is erased while an older entry still names it. What runs is named by a higher one. */
static void hole_7_an_erased_slot_that_an_older_entry_names_does_not_boot(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(entry_at(r, 0).ota_state, SF_OTA_VALID); /* names ota_0 */
    rig_target(r, &r->v3);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    r->chip.hook = cut_after_first_erase;
    for (unsigned i = 0; i < 500 && r->chip.has_power; i++) {
        (void)rig_step(r);
    }
    assert_int_equal(r->chip.has_power, 0);
    r->chip.hook = NULL;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT); /* begun anew */
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hole_1_a_fallback_leaves_otadata_naming_the_broken_slot),
        cmocka_unit_test(hole_2_the_only_entry_is_in_no_cut_lost),
        cmocka_unit_test(hole_3_a_torn_state_ends_no_trial),
        TEST(hole_4_the_efuse_is_burnt_for_confirmed_images_only),
        TEST(hole_5_a_bootloader_without_rollback_is_found_out),
        TEST(hole_6_an_aborted_image_that_runs_is_never_confirmed),
        TEST(hole_7_an_erased_slot_that_an_older_entry_names_does_not_boot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
