/* Flash that fails: once, for good, or by reading a wrong bit; in the engine, in the store and in
 * the bootloader. Each of these was found by `surefoot-sim powercut`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    *state = r;
    return 0;
}

static int setup_blank(void **state)
{
    *state = rig_new();
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* ---- a hook that fails operations ---- */

struct plan {
    enum sf_flash_op_kind kind;
    uint32_t address; /* of the sector */
    unsigned left;    /* failures still to come */
};

static enum sf_flash_fault fail_hook(void *ctx, const struct sf_flash_op *op)
{
    struct plan *p = ctx;
    if (op->kind != p->kind || op->address - op->address % SF_SECTOR_SIZE != p->address ||
        p->left == 0) {
        return SF_FLASH_GO_ON;
    }
    p->left--;
    return SF_FLASH_FAIL;
}

static enum sf_flash_fault refuse(void *ctx, const struct sf_flash_op *op)
{
    (void)ctx;
    (void)op;
    return SF_FLASH_FAIL;
}

static uint32_t state_of(struct rig *r, unsigned sector)
{
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    return entry[sector].ota_state;
}

/* ---- otadata ---- */

static void a_write_that_fails_once_does_not_cost_the_confirmation(void **state)
{
    struct rig *r = *state;
    struct plan plan = {SF_FLASH_OP_WRITE, RIG_OTADATA + SF_SECTOR_SIZE, 1};
    rig_install(r, &r->v2);
    r->chip.hook = fail_hook;
    r->chip.hook_ctx = &plan;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(plan.left, 0);
    assert_int_equal(state_of(r, 1), SF_OTA_VALID);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
}

static void a_sector_that_takes_no_change_is_confirmed_beside(void **state)
{
    struct rig *r = *state;
    struct plan plan = {SF_FLASH_OP_ERASE, RIG_OTADATA + SF_SECTOR_SIZE, RIG_ENDLESS};
    rig_install(r, &r->v2);
    r->chip.hook = fail_hook;
    r->chip.hook_ctx = &plan;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(state_of(r, 0), SF_OTA_VALID);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void from_a_sector_that_takes_no_change_it_goes_back_all_the_same(void **state)
{
    struct rig *r = *state;
    struct plan plan = {SF_FLASH_OP_ERASE, RIG_OTADATA + SF_SECTOR_SIZE, RIG_ENDLESS};
    r->without_rollback = 1;
    rig_install(r, &r->v2);
    r->chip.hook = fail_hook;
    r->chip.hook_ctx = &plan;
    r->test_result[0] = SF_SELF_TEST_FAIL;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_SELF_TEST);
}

/* The bootloader erases the entry, fails to write PENDING_VERIFY and boots the image anyway. */
static void where_the_bootloader_lost_the_entry_it_goes_back_and_commits_again(void **state)
{
    struct rig *r = *state;
    rig_target(r, &r->v2);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    const struct sf_record_trial armed = rig_trial(r);
    assert_int_equal(armed.open, 1);
    r->config.running_slot = 1;
    memset(r->chip.cells + RIG_OTADATA + SF_SECTOR_SIZE, 0xff, SF_SECTOR_SIZE);
    assert_int_equal(sf_boot_early(&r->config), SF_BOOT_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_FLASH_WRITE);
    assert_int_equal(r->server.downloads, 1);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.outcome[1].error, SF_OK);
}

/* One wrong read in the bootloader, and the old image runs; otadata still says NEW. */
static void what_it_fell_back_from_is_not_tried_again_without_a_trial(void **state)
{
    struct rig *r = *state;
    r->without_rollback = 1;
    rig_target(r, &r->v2);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    uint8_t *const cell = r->chip.cells + RIG_SLOT_1 + 9000;
    *cell ^= 1;
    rig_boot(r, SF_RESET_SOFTWARE);
    *cell ^= 1;
    assert_int_equal(rig_slot_runs(r), 0);
    r->server.target = NULL;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_FELL_BACK);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 0);
}

/* ---- records ---- */

static void a_boot_that_cannot_be_counted_ends_the_trial(void **state)
{
    struct rig *r = *state;
    r->without_rollback = 1;
    rig_install(r, &r->v2);
    r->nvs.hook = refuse;
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 0);
    r->nvs.hook = NULL;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT); /* nobody knows why: it may try again */
    assert_int_equal(r->server.outcome[0].error, SF_ERR_STORE);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 1);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(r->server.outcome[1].error, SF_ERR_CRASHED);
}

struct flaky_store {
    struct sf_store ops;
    const struct sf_store *real;
    int fail_gets;
    int fail_sets;
};

static int32_t flaky_get(void *ctx, enum sf_record key, void *out, size_t size)
{
    struct flaky_store *s = ctx;
    return s->fail_gets-- > 0 ? SF_ERR_IO : s->real->get(s->real->ctx, key, out, size);
}

static int flaky_set(void *ctx, enum sf_record key, const void *data, size_t len)
{
    struct flaky_store *s = ctx;
    return s->fail_sets-- > 0 ? SF_ERR_IO : s->real->set(s->real->ctx, key, data, len);
}

static void a_store_that_fails_once_is_asked_again(void **state)
{
    struct rig *r = *state;
    struct flaky_store s = {.ops = {&s, flaky_get, flaky_set}, .real = &r->store.ops};
    struct sf_record_floor floor = {.seq = 77};
    s.fail_sets = 1;
    assert_int_equal(sf_record_save(&s.ops, SF_RECORD_FLOOR, &floor), SF_OK);
    memset(&floor, 0, sizeof(floor));
    s.fail_gets = 3;
    assert_int_equal(sf_record_load(&s.ops, SF_RECORD_FLOOR, &floor), SF_OK);
    assert_int_equal(floor.seq, 77);
    s.fail_gets = 4;
    assert_int_equal(sf_record_load(&s.ops, SF_RECORD_FLOOR, &floor), SF_ERR_STORE);
    s.fail_sets = 1;
    assert_int_equal(sf_record_remove(&s.ops, SF_RECORD_FLOOR), SF_OK);
    assert_int_equal(sf_record_load(&s.ops, SF_RECORD_FLOOR, &floor), SF_ERR_NOTFOUND);
}

/* ---- a wrong bit ---- */

struct bad_read {
    struct sf_flash ops;
    const struct sf_flash *real;
    uint32_t address; /* the first read that covers it has a bit wrong */
    int left;
};

static int bad_read(void *ctx, uint32_t address, void *out, size_t len)
{
    struct bad_read *b = ctx;
    const int err = b->real->read(b->real->ctx, address, out, len);
    if (len == SF_SECTOR_SIZE && b->address - address < len && b->left > 0) {
        b->left--;
        ((uint8_t *)out)[b->address - address] ^= 4;
    }
    return err;
}

static int pass_write(void *ctx, uint32_t address, const void *data, size_t len)
{
    const struct bad_read *b = ctx;
    return b->real->write(b->real->ctx, address, data, len);
}

static int pass_erase(void *ctx, uint32_t address, size_t len)
{
    const struct bad_read *b = ctx;
    return b->real->erase(b->real->ctx, address, len);
}

static void a_wrong_read_does_not_become_the_digest_of_what_runs(void **state)
{
    struct rig *r = *state;
    struct bad_read bad = {.ops = {&bad, bad_read, pass_write, pass_erase, 4},
                           .real = &r->chip.ops,
                           .address = RIG_SLOT_0 + 9000,
                           .left = 1};
    r->config.flash = &bad.ops;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    r->config.flash = &r->chip.ops;
    assert_int_equal(bad.left, 0);
    assert_memory_equal(r->server.last.running_digest, r->v1.digest, SF_SHA256_SIZE);
    assert_int_equal(r->server.last.running_length, r->v1.image_len);
}

static void an_image_that_reads_differently_each_time_is_told_as_unknown(void **state)
{
    static const uint8_t zeros[SF_SHA256_SIZE];
    struct rig *r = *state;
    rig_boot(r, SF_RESET_POWER_ON);
    for (unsigned i = 0; i < 200 && r->server.checkins == 0; i++) {
        r->chip.cells[RIG_SLOT_0 + 1000]++;
        (void)rig_step(r);
    }
    assert_int_equal(r->server.checkins, 1);
    assert_int_equal(r->server.last.running_length, 0);
    assert_memory_equal(r->server.last.running_digest, zeros, SF_SHA256_SIZE);
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BLANK(name) cmocka_unit_test_setup_teardown(name, setup_blank, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_that_fails_once_does_not_cost_the_confirmation),
        TEST(a_sector_that_takes_no_change_is_confirmed_beside),
        TEST(from_a_sector_that_takes_no_change_it_goes_back_all_the_same),
        TEST(where_the_bootloader_lost_the_entry_it_goes_back_and_commits_again),
        TEST(what_it_fell_back_from_is_not_tried_again_without_a_trial),
        TEST(a_boot_that_cannot_be_counted_ends_the_trial),
        TEST(a_store_that_fails_once_is_asked_again),
        TEST_BLANK(a_wrong_read_does_not_become_the_digest_of_what_runs),
        TEST_BLANK(an_image_that_reads_differently_each_time_is_told_as_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
