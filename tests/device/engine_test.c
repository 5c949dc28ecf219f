/* The engine at its edges: broken flash, a broken store, a port that misuses it; and the order of
 * writes to otadata. */
#include "device/engine.h"

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

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* ---- what is written where, and in which order ---- */

enum { OPS_MAX = 64 };

struct op {
    enum sf_flash_op_kind kind;
    uint32_t address;
    size_t len;
};

struct trace {
    struct op op[OPS_MAX]; /* on otadata */
    unsigned count;
    unsigned running_slot; /* operations on ota_0 */
    struct rig *rig;
    unsigned trial_open; /* at the first operation on otadata */
};

static enum sf_flash_fault trace_hook(void *ctx, const struct sf_flash_op *op)
{
    struct trace *t = ctx;
    if (op->address >= RIG_SLOT_0 && op->address < RIG_SLOT_1) {
        t->running_slot++;
    }
    if (op->address >= RIG_OTADATA && op->address < RIG_OTADATA + SF_OTADATA_SIZE) {
        assert_true(t->count < OPS_MAX);
        if (t->count == 0) {
            t->trial_open = rig_trial(t->rig).open;
        }
        t->op[t->count++] = (struct op){op->kind, op->address, op->len};
    }
    return SF_FLASH_GO_ON;
}

static void the_commit_writes_the_second_half_first_and_never_the_running_slot(void **state)
{
    struct rig *r = *state;
    struct trace t = {.rig = r};
    /* ota_0 is confirmed in sector 0, so everything happens in sector 1 */
    const uint32_t sector = RIG_OTADATA + SF_OTADATA_SECTOR_SIZE;
    r->chip.hook = trace_hook;
    r->chip.hook_ctx = &t;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_int_equal(t.running_slot, 0);
    assert_int_equal(t.trial_open, 1); /* the trial record comes first */
    assert_int_equal(t.count, 3);
    assert_int_equal(t.op[0].kind, SF_FLASH_OP_ERASE);
    assert_int_equal(t.op[0].address, sector);
    assert_int_equal(t.op[1].address, sector + 16);
    assert_int_equal(t.op[1].len, 16);
    assert_int_equal(t.op[2].address, sector);
    assert_int_equal(t.op[2].len, 16);
}

static void flash_that_programs_32_bytes_at_once_gets_the_entry_whole(void **state)
{
    struct rig *r = *state;
    struct trace t = {.rig = r};
    r->chip.ops.write_size = 32;
    r->chip.hook = trace_hook;
    r->chip.hook_ctx = &t;
    rig_target(r, &r->v2);
    assert_int_equal(r->v2.image_len % 32, 16);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.op[1].len, 32);
    assert_memory_equal(r->chip.cells + RIG_SLOT_1, r->v2.image, r->v2.image_len);
    assert_int_equal(r->chip.cells[RIG_SLOT_1 + r->v2.image_len], 0xff); /* padded with FF */
}

/* Power fails before and after each operation on otadata: old or new boots, and the update ends
 * well in the end. */
struct cut {
    unsigned left;
    enum sf_flash_fault how;
    struct rig *rig;
};

static enum sf_flash_fault cut_hook(void *ctx, const struct sf_flash_op *op)
{
    struct cut *c = ctx;
    if (op->address < RIG_OTADATA || op->address >= RIG_OTADATA + SF_OTADATA_SIZE) {
        return SF_FLASH_GO_ON;
    }
    if (c->left-- > 0) {
        return SF_FLASH_GO_ON;
    }
    c->rig->nvs.has_power = 0; /* the record store goes with it */
    return c->how;
}

static void a_cut_in_the_commit_leaves_the_old_image_or_a_trial(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct rig *r = NULL;
        assert_int_equal(setup((void **)&r), 0);
        struct cut cut = {i / 2, i % 2 == 0 ? SF_FLASH_CUT_BEFORE : SF_FLASH_CUT_AFTER, r};
        r->chip.hook = cut_hook;
        r->chip.hook_ctx = &cut;
        rig_target(r, &r->v2);
        for (unsigned n = 0; n < 2000 && r->chip.has_power; n++) {
            (void)rig_step(r);
        }
        assert_int_equal(r->chip.has_power, 0);
        r->chip.hook = NULL;
        for (unsigned boots = 0; boots < 3; boots++) {
            rig_boot(r, SF_RESET_POWER_ON);
            if (rig_settle(r) == SF_ACTION_WAIT) {
                break;
            }
        }
        assert_int_equal(rig_slot_runs(r), 1);
        assert_int_equal(r->server.outcome_count, 1); /* no cut here costs an attempt */
        assert_int_equal(r->server.outcome[0].error, SF_OK);
        assert_int_equal(r->server.outcome[0].attempt, 1);
        rig_free(r);
    }
}

/* ---- broken flash ---- */

/* One cell of the slot reads 0 whatever is written there. */
enum { STUCK = RIG_SLOT_1 + 0x8064 };
static unsigned stuck_reads;

static int read_stuck(void *ctx, uint32_t address, void *out, size_t len)
{
    struct rig *r = ctx;
    const int err = r->chip.ops.read(r->chip.ops.ctx, address, out, len);
    if (address <= STUCK && STUCK < address + len && stuck_reads > 0) {
        stuck_reads--;
        ((uint8_t *)out)[STUCK - address] = 0;
    }
    return err;
}

static int write_through(void *ctx, uint32_t address, const void *data, size_t len)
{
    struct rig *r = ctx;
    return r->chip.ops.write(r->chip.ops.ctx, address, data, len);
}

static int erase_through(void *ctx, uint32_t address, size_t len)
{
    struct rig *r = ctx;
    return r->chip.ops.erase(r->chip.ops.ctx, address, len);
}

static struct sf_flash stuck_flash(struct rig *r, unsigned reads)
{
    stuck_reads = reads;
    r->v2.image[0x8064] = 0xff;
    esp_image_reseal(r->v2.image, r->v2.image_len);
    assert_int_equal(sf_sha256(&r->psa, r->v2.image, r->v2.image_len, r->v2.digest), SF_OK);
    memcpy(r->v2.manifest.image_digest, r->v2.digest, SF_SHA256_SIZE);
    rig_sign(r, &r->v2);
    rig_target(r, &r->v2);
    return (struct sf_flash){.ctx = r,
                             .read = read_stuck,
                             .write = write_through,
                             .erase = erase_through,
                             .write_size = 4};
}

static void a_sector_that_reads_back_wrong_once_is_written_again(void **state)
{
    struct rig *r = *state;
    const struct sf_flash flash = stuck_flash(r, 1);
    r->config.flash = &flash;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_memory_equal(r->chip.cells + RIG_SLOT_1, r->v2.image, r->v2.image_len);
    assert_int_equal(stuck_reads, 0);
    assert_int_equal(r->server.downloads, 2);
    assert_int_equal(sf_host_flash_wear(&r->chip, RIG_SLOT_1, RIG_SLOT_SIZE), 2);
}

static void a_sector_that_never_holds_its_bytes_ends_in_a_refusal(void **state)
{
    struct rig *r = *state;
    const struct sf_flash flash = stuck_flash(r, UINT32_MAX);
    r->config.flash = &flash;
    for (unsigned i = 0; i < 600; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(r->server.outcome_count, SF_SOFT_ATTEMPTS);
    assert_int_equal(r->server.outcome[2].error, SF_ERR_READ_BACK);
    assert_true(sf_host_flash_wear(&r->chip, RIG_SLOT_1, RIG_SLOT_SIZE) <= 12);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_REFUSED);
}

static enum sf_flash_fault fail_slot(void *ctx, const struct sf_flash_op *op)
{
    const enum sf_flash_op_kind *kind = ctx;
    return op->kind == *kind && op->address >= RIG_SLOT_1 ? SF_FLASH_FAIL : SF_FLASH_GO_ON;
}

static void an_erase_or_write_that_fails_is_reported_and_tried_later(void **state)
{
    static const struct {
        enum sf_flash_op_kind kind;
        int err;
    } cases[] = {{SF_FLASH_OP_ERASE, SF_ERR_FLASH_ERASE}, {SF_FLASH_OP_WRITE, SF_ERR_FLASH_WRITE}};
    struct rig *r = *state;
    for (unsigned i = 0; i < 2; i++) {
        enum sf_flash_op_kind kind = cases[i].kind;
        r->chip.hook = fail_slot;
        r->chip.hook_ctx = &kind;
        rig_target(r, &r->v2);
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_int_equal(r->server.outcome[i].error, cases[i].err);
    }
    r->chip.hook = NULL;
    for (unsigned i = 0; rig_settle_again(r) != SF_ACTION_REBOOT; i++) {
        assert_true(i < 100);
    }
}

static void an_image_that_changes_before_the_commit_is_not_switched_to(void **state)
{
    struct rig *r = *state;
    rig_target(r, &r->v2);
    for (;;) { /* up to the check-in before the commit */
        (void)rig_step(r);
        if (sf_engine_view(&r->engine).phase == SF_PHASE_INSTALLED) {
            break;
        }
    }
    r->chip.cells[RIG_SLOT_1 + 0x90] ^= 1;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_CHANGED);
}

static void an_image_the_bootloader_would_refuse_is_not_switched_to(void **state)
{
    struct rig *r = *state;
    struct trace t = {.rig = r};
    r->chip.hook = trace_hook;
    r->chip.hook_ctx = &t;
    r->not_bootable = 1;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_NOT_BOOTABLE);
    assert_int_equal(t.count, 0);
}

/* ---- right before the commit ---- */

static void pull(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)reply;
    if (strncmp(request->path, "/artifacts/", 11) == 0) {
        r->server.target = NULL;
        r->server.counter++;
    }
}

static void a_release_pulled_during_the_download_is_not_activated(void **state)
{
    struct rig *r = *state;
    struct trace t = {.rig = r};
    r->chip.hook = trace_hook;
    r->chip.hook_ctx = &t;
    r->server.script = pull;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(t.count, 0);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_CANCELLED);
}

static void go_down(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)reply;
    if (strncmp(request->path, "/artifacts/", 11) == 0) {
        r->server.is_down = 1;
    }
}

static void without_a_fresh_answer_nothing_is_committed(void **state)
{
    struct rig *r = *state;
    struct trace t = {.rig = r};
    r->chip.hook = trace_hook;
    r->chip.hook_ctx = &t;
    r->server.script = go_down;
    rig_target(r, &r->v2);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_not_equal(rig_step(r), SF_ACTION_REBOOT);
        assert_int_equal(sf_engine_may_sleep(&r->engine) && i > 200, 0);
    }
    assert_int_equal(t.count, 0);
    r->server.is_down = 0;
    r->server.script = NULL;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.downloads, 1);
}

static void an_answer_older_than_ten_minutes_is_asked_for_again(void **state)
{
    struct rig *r = *state;
    rig_target(r, &r->v2);
    for (;;) {
        (void)rig_step(r);
        if (rig_core(r)->state == SF_STATE_COMMIT) {
            break;
        }
    }
    const unsigned checkins = r->server.checkins;
    r->now_ms += 600001; /* the task was not scheduled */
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.checkins, checkins + 1);
}

static void the_application_can_hold_the_switch_back(void **state)
{
    struct rig *r = *state;
    rig_target(r, &r->v2);
    for (;;) {
        (void)rig_step(r);
        if (sf_engine_view(&r->engine).phase == SF_PHASE_VERIFYING) {
            break;
        }
    }
    r->not_now = 1;
    for (unsigned i = 0; i < 300; i++) {
        assert_int_not_equal(rig_step(r), SF_ACTION_REBOOT);
    }
    r->not_now = 0;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
}

/* ---- the store ---- */

static int no_set(void *ctx, enum sf_record key, const void *data, size_t len)
{
    (void)ctx;
    (void)key;
    (void)data;
    (void)len;
    return SF_ERR_IO;
}

static void with_a_store_that_takes_nothing_it_changes_nothing(void **state)
{
    struct rig *r = *state;
    const uint64_t operations = r->chip.op_count;
    int (*set)(void *, enum sf_record, const void *, size_t) = r->store.ops.set;
    r->store.ops.set = no_set;
    rig_target(r, &r->v2);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_STORE);
    r->store.ops.set = set;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
}

/* ---- a port that misuses it ---- */

static void answers_that_nobody_asked_for_are_refused(void **state)
{
    struct rig *r = *state;
    const struct sf_response_head head = {.status = 200, .content_len = -1};
    assert_int_equal(sf_engine_response_head(&r->engine, &head, r->now_ms), SF_ERR_STATE);
    assert_int_equal(sf_engine_response_body(
                         &r->engine, head.etag == NULL ? (const uint8_t *)"x" : NULL, 1, r->now_ms),
                     SF_ERR_STATE);
    assert_int_equal(sf_engine_request_check(&r->engine, r->now_ms), SF_ERR_STATE);
    sf_engine_response_end(&r->engine, SF_OK, r->now_ms);
    sf_engine_work(&r->engine, r->now_ms);
    assert_int_equal(sf_engine_next(&r->engine, r->now_ms).kind, SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.checkins, 2);
}

static void a_body_without_a_head_and_an_end_without_both_are_lost_connections(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_step(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_next(&r->engine, r->now_ms).kind, SF_ACTION_REQUEST);
    assert_int_equal(sf_engine_response_body(&r->engine, (const uint8_t *)"x", 1, r->now_ms),
                     SF_ERR_STATE);
    sf_engine_response_end(&r->engine, SF_OK, r->now_ms);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_CLOSED);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.checkins, 2);
}

static void a_cancel_without_an_update_is_forgotten(void **state)
{
    struct rig *r = *state;
    sf_engine_poke(&r->engine, SF_POKE_CANCEL, r->now_ms);
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
}

static void a_reboot_that_waits_loses_nothing(void **state)
{
    struct rig *r = *state;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    for (unsigned i = 0; i < 5; i++) {
        r->now_ms += 3600000;
        sf_engine_work(&r->engine, r->now_ms);
        assert_int_equal(sf_engine_next(&r->engine, r->now_ms).kind, SF_ACTION_REBOOT);
    }
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void time_may_begin_anywhere(void **state)
{
    struct rig *r = *state;
    r->now_ms = UINT64_MAX / 2;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    assert_in_range(r->server.last.uptime_s, 0, 60);
}

static void engine_and_buffer_take_six_kib_at_most(void **state)
{
    (void)state;
    assert_true(sizeof(struct sf_engine) + sizeof(union sf_sector_buffer) <= 6144);
    assert_true(sizeof(struct sf_core) <= sizeof(struct sf_engine));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_commit_writes_the_second_half_first_and_never_the_running_slot),
        TEST(flash_that_programs_32_bytes_at_once_gets_the_entry_whole),
        cmocka_unit_test(a_cut_in_the_commit_leaves_the_old_image_or_a_trial),
        TEST(a_sector_that_reads_back_wrong_once_is_written_again),
        TEST(a_sector_that_never_holds_its_bytes_ends_in_a_refusal),
        TEST(an_erase_or_write_that_fails_is_reported_and_tried_later),
        TEST(an_image_that_changes_before_the_commit_is_not_switched_to),
        TEST(an_image_the_bootloader_would_refuse_is_not_switched_to),
        TEST(a_release_pulled_during_the_download_is_not_activated),
        TEST(without_a_fresh_answer_nothing_is_committed),
        TEST(an_answer_older_than_ten_minutes_is_asked_for_again),
        TEST(the_application_can_hold_the_switch_back),
        TEST(with_a_store_that_takes_nothing_it_changes_nothing),
        TEST(answers_that_nobody_asked_for_are_refused),
        TEST(a_body_without_a_head_and_an_end_without_both_are_lost_connections),
        TEST(a_cancel_without_an_update_is_forgotten),
        TEST(a_reboot_that_waits_loses_nothing),
        TEST(time_may_begin_anywhere),
        cmocka_unit_test(engine_and_buffer_take_six_kib_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
