/* Going back on the server's word, and tables with a factory partition, three slots or otadata that
 * somebody else wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "formats/crc32.h"
#include "tests/device/rig.h"

static void rest(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

/* v2 confirmed in ota_1, v1 known good in ota_0. */
static int setup(void **state)
{
    struct rig *r = rig_new();
    rest(r);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    *state = r;
    return 0;
}

static int setup_new(void **state)
{
    *state = rig_new();
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void ask_back(struct rig *r, const struct rig_release *to)
{
    r->server.target = to;
    r->server.action = SF_STATUS_ROLL_BACK;
    r->server.counter++;
}

static struct sf_otadata_entry entry_of(struct rig *r, unsigned slot)
{
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    for (unsigned i = 0; i < 2; i++) {
        if (sf_otadata_valid(&entry[i]) &&
            sf_otadata_slot(&entry[i], r->config.slot_count) == slot) {
            return entry[i];
        }
    }
    return sf_otadata_make(SF_OTA_SEQ_EMPTY, SF_OTA_UNDEFINED);
}

static void goes_back_to_the_known_good_image_without_a_download(void **state)
{
    struct rig *r = *state;
    const uint64_t seq = r->server.last.seq;
    ask_back(r, &r->v1);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_int_equal(entry_of(r, 0).ota_state, SF_OTA_NEW); /* a trial again */
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_trial(r).kind, SF_TRIAL_ROLL_BACK);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(r->server.downloads, 1); /* v2's */
    assert_int_equal(r->server.outcome_count, 2);
    assert_int_equal(r->server.outcome[1].error, SF_OK);
    assert_int_equal(r->server.last.seq, seq); /* the floor stays */
}

static void goes_back_on_an_expired_status_too(void **state)
{
    struct rig *r = *state;
    ask_back(r, &r->v1);
    r->server.time -= 3600;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
}

static void goes_nowhere_else_than_to_what_ran_before(void **state)
{
    struct rig *r = *state;
    const uint64_t operations = r->chip.op_count;
    ask_back(r, &r->v3);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[1].error, SF_ERR_ROLLBACK_FAILED);
    assert_int_equal(r->chip.op_count, operations);
}

static void does_not_go_back_to_a_damaged_image(void **state)
{
    struct rig *r = *state;
    const uint64_t operations = r->chip.op_count;
    r->chip.cells[RIG_SLOT_0 + 8000] ^= 1;
    ask_back(r, &r->v1);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[1].error, SF_ERR_DIGEST);
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome_count, 2); /* not again under this counter */
}

static void does_not_go_back_below_the_efuse(void **state)
{
    struct rig *r = *state;
    assert_int_equal(r->server.last.other[0].content, SF_SLOT_COMPLETE);
    assert_int_equal(r->server.last.other[0].confirmed_here, 1);
    r->efuse = 1;
    ask_back(r, &r->v1);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[1].error, SF_ERR_SECURE_VERSION);
    assert_int_equal(r->server.last.other[0].content, SF_SLOT_COMPLETE);
    assert_int_equal(r->server.last.other[0].confirmed_here, 0); /* and that it cannot, it tells */
}

static void stays_on_the_newer_image_when_going_back_fails(void **state)
{
    struct rig *r = *state;
    ask_back(r, &r->v1);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    rig_boot(r, SF_RESET_PANIC);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(i == 0 ? rig_settle(r) : rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.outcome_count, 2);
    assert_int_equal(r->server.outcome[1].error, SF_ERR_ROLLBACK_FAILED);
}

static void the_way_back_ends_at_the_next_first_erase(void **state)
{
    struct rig *r = *state;
    assert_int_equal(r->server.last.other[0].confirmed_here, 1);
    rig_install(r, &r->v3); /* over v1 */
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.last.other[0].confirmed_here, 0);
    assert_memory_equal(r->server.last.other[0].digest, r->v3.digest, SF_SHA256_SIZE);
    ask_back(r, &r->v1);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[r->server.outcome_count - 1].error, SF_ERR_ROLLBACK_FAILED);
}

static void a_longer_old_image_leaves_nothing_that_matters(void **state)
{
    struct rig *r = *state;
    rig_install(r, &r->v3);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    r->v2.manifest.seq = 8;
    rig_sign(r, &r->v2);
    rig_make(r, &r->v1, &(struct esp_image_spec){.seed = 77, .size = 8192}, 10);
    rig_install(r, &r->v1); /* 8 KiB over v2's 150 */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.last.running_length, 8192);
    rest(r);
    assert_memory_equal(r->server.last.running_digest, r->v1.digest, SF_SHA256_SIZE);
}

/* ---- other tables ---- */

static void from_a_factory_image_to_ota_0_and_back_to_it(void **state)
{
    struct rig *r = *state;
    r->config.factory = (struct sf_slot_map){RIG_FACTORY, 0x30000};
    memset(r->chip.cells + RIG_SLOT_0, 0xff, RIG_SLOT_SIZE);
    memcpy(r->chip.cells + RIG_FACTORY, r->v1.image, r->v1.image_len);
    rest(r);
    assert_int_equal(r->config.running_slot, SF_BOOT_FACTORY);
    assert_int_equal(r->server.last.running_slot, SF_WIRE_SLOT_FACTORY);
    rig_install(r, &r->v3);
    assert_int_equal(r->config.running_slot, 0);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(r->config.running_slot, SF_BOOT_FACTORY);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_CRASHED);

    rig_install(r, &r->v3); /* a new counter: tried again, and good this time */
    r->test_result[0] = SF_SELF_TEST_PASS;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->config.running_slot, 0);
    assert_int_equal(entry_of(r, 0).ota_state, SF_OTA_VALID);
    rest(r);
    assert_int_equal(r->config.running_slot, 0);
}

static void the_early_hook_goes_back_to_factory_without_the_bootloaders_help(void **state)
{
    struct rig *r = *state;
    r->without_rollback = 1;
    r->config.factory = (struct sf_slot_map){RIG_FACTORY, 0x30000};
    memset(r->chip.cells + RIG_SLOT_0, 0xff, RIG_SLOT_SIZE);
    memcpy(r->chip.cells + RIG_FACTORY, r->v1.image, r->v1.image_len);
    rest(r);
    rig_install(r, &r->v3);
    rig_boot(r, SF_RESET_WATCHDOG);
    assert_int_equal(r->config.running_slot, SF_BOOT_FACTORY);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_WATCHDOG);
}

static void a_pending_image_that_somebody_else_installed_is_on_trial(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_flash(r, RIG_SLOT_1, &r->v3);
    rig_put_otadata(r, 1, 2, SF_OTA_NEW); /* espota, a cable */
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(entry_of(r, 1).ota_state, SF_OTA_VALID);
    assert_int_equal(r->server.outcome_count, 0);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);

    rig_flash(r, RIG_SLOT_0, &r->v2);
    rig_put_otadata(r, 0, 3, SF_OTA_NEW);
    r->test_result[0] = SF_SELF_TEST_FAIL;
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

static unsigned live_sector_operations;

static enum sf_flash_fault count_live(void *ctx, const struct sf_flash_op *op)
{
    const uint32_t *sector = ctx;
    live_sector_operations +=
        op->address >= *sector && op->address < *sector + SF_SECTOR_SIZE ? 1U : 0U;
    return SF_FLASH_GO_ON;
}

static void the_only_entry_is_not_touched_to_confirm_it(void **state)
{
    struct rig *r = *state;
    uint32_t live = RIG_OTADATA + SF_SECTOR_SIZE;
    rig_flash(r, RIG_SLOT_1, &r->v3);
    rig_put_otadata(r, 1, 2, SF_OTA_NEW); /* and nothing else names anything */
    rig_boot(r, SF_RESET_SOFTWARE);
    live_sector_operations = 0;
    r->chip.hook = count_live;
    r->chip.hook_ctx = &live;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(live_sector_operations, 0);
    r->chip.hook = NULL;
    rest(r);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(entry_of(r, 1).ota_state, SF_OTA_VALID);
    assert_int_equal(entry_of(r, 1).ota_seq, 4);
}

static void an_image_flashed_by_cable_over_the_recorded_one_is_measured_anew(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_flash(r, RIG_SLOT_0, &r->v2);
    rest(r);
    assert_memory_equal(r->server.last.running_digest, r->v2.digest, SF_SHA256_SIZE);
    assert_int_equal(r->server.last.running_length, r->v2.image_len);
}

static void an_image_that_cannot_be_measured_still_checks_in(void **state)
{
    static const uint8_t unknown[SF_SHA256_SIZE];
    struct rig *r = *state;
    rig_boot(r, SF_RESET_POWER_ON);
    r->chip.cells[RIG_SLOT_0] = 0; /* it runs, from the cache, say */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.checkins, 1);
    assert_memory_equal(r->server.last.running_digest, unknown, SF_SHA256_SIZE);
    assert_int_equal(r->server.last.running_length, 0);
}

/* A signed image: padded to 4 KiB, a sector behind it that begins a Secure Boot V2 block. */
static void a_signature_sector_belongs_to_the_image(void **state)
{
    struct rig *r = *state;
    uint8_t *sector = r->v1.image + 24576; /* RIG_SMALL padded */
    memset(r->v1.image + r->v1.image_len, 0xff, 24576 - r->v1.image_len);
    memset(sector, 0xff, 4096);
    memset(sector, 0x42, 1216);
    sector[0] = 0xe7;
    sector[1] = 2;
    const uint32_t crc = sf_crc32(0, sector, 1196);
    for (unsigned i = 0; i < 4; i++) {
        sector[1196 + i] = (uint8_t)(crc >> (8 * i));
    }
    r->v1.image_len = 24576 + 4096;
    rig_flash(r, RIG_SLOT_0, &r->v1);
    rest(r);
    assert_int_equal(r->server.last.running_length, 24576 + 4096);
    r->chip.cells[RIG_SLOT_0 + 24576 + 100] ^= 1; /* not a signature block any more */
    rest(r);
    assert_int_equal(r->server.last.running_length, RIG_SMALL);
}

static void otadata_that_names_nothing_gets_an_entry_for_the_running_slot_first(void **state)
{
    struct rig *r = *state;
    /* ota_0 is broken and both entries are damaged: the bootloader goes on to ota_1 and writes
     * nothing. An aborted trial in ota_0 would then leave nothing that names ota_1. */
    rig_flash(r, RIG_SLOT_1, &r->v1);
    memset(r->chip.cells + RIG_SLOT_0, 0xff, RIG_SLOT_SIZE);
    memset(r->chip.cells + RIG_OTADATA, 0x11, 32);
    memset(r->chip.cells + RIG_OTADATA + 4096, 0x11, 32);
    rest(r);
    assert_int_equal(rig_slot_runs(r), 1);
    rig_install(r, &r->v3);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(entry_of(r, 1).ota_seq, 2);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_CRASHED);
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_NEW(name) cmocka_unit_test_setup_teardown(name, setup_new, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(goes_back_to_the_known_good_image_without_a_download),
        TEST(goes_back_on_an_expired_status_too),
        TEST(goes_nowhere_else_than_to_what_ran_before),
        TEST(does_not_go_back_to_a_damaged_image),
        TEST(does_not_go_back_below_the_efuse),
        TEST(stays_on_the_newer_image_when_going_back_fails),
        TEST(the_way_back_ends_at_the_next_first_erase),
        TEST(a_longer_old_image_leaves_nothing_that_matters),
        TEST_NEW(from_a_factory_image_to_ota_0_and_back_to_it),
        TEST_NEW(the_early_hook_goes_back_to_factory_without_the_bootloaders_help),
        TEST_NEW(a_pending_image_that_somebody_else_installed_is_on_trial),
        TEST_NEW(the_only_entry_is_not_touched_to_confirm_it),
        TEST_NEW(an_image_flashed_by_cable_over_the_recorded_one_is_measured_anew),
        TEST_NEW(an_image_that_cannot_be_measured_still_checks_in),
        TEST_NEW(a_signature_sector_belongs_to_the_image),
        TEST_NEW(otadata_that_names_nothing_gets_an_entry_for_the_running_slot_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
