/* A download that goes on after a reset: from the last progress record, with the same file, and
 * only if the whole slot hashes to what was signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

enum { STEP = 64 * 1024 };

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

/* ---- power goes in the middle of a download ---- */

struct cut {
    struct rig *rig;
    uint32_t address;
};

static enum sf_flash_fault cut_at(void *ctx, const struct sf_flash_op *op)
{
    const struct cut *c = ctx;
    if (op->kind != SF_FLASH_OP_WRITE || op->address != c->address) {
        return SF_FLASH_GO_ON;
    }
    c->rig->nvs.has_power = 0;
    return SF_FLASH_CUT_AFTER;
}

/* `release` is wanted and power goes when the sector at `bytes` has been written; then a reset. */
static void lose_power_at(struct rig *r, const struct rig_release *release, uint32_t bytes)
{
    struct cut cut = {r, RIG_SLOT_1 + bytes};
    rig_target(r, release);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    r->chip.hook = cut_at;
    r->chip.hook_ctx = &cut;
    for (unsigned i = 0; i < 1000 && r->chip.has_power; i++) {
        (void)rig_step(r);
    }
    assert_int_equal(r->chip.has_power, 0);
    r->chip.hook = NULL;
    rig_boot(r, SF_RESET_POWER_ON);
}

static void confirms(struct rig *r, const struct rig_release *release)
{
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_memory_equal(r->server.last.running_digest, release->digest, SF_SHA256_SIZE);
}

static struct sf_record_progress stored(struct rig *r)
{
    struct sf_record_progress p;
    const int err = sf_record_load(&r->store.ops, SF_RECORD_PROG, &p);
    assert_true(err == SF_OK || err == SF_ERR_NOTFOUND);
    return p;
}

/* ---- */

static void it_goes_on_behind_the_last_record(void **state)
{
    struct rig *r = *state;
    lose_power_at(r, &r->v2, 2 * STEP + 3 * SF_SECTOR_SIZE);
    assert_int_equal(stored(r).bytes, 2 * STEP);
    confirms(r, &r->v2);
    assert_int_equal(r->server.downloads, 2);
    assert_int_equal(r->server.ranges, 1);
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    /* before the record each sector was erased once, behind it once more */
    assert_int_equal(sf_host_flash_wear(&r->chip, RIG_SLOT_1, 2 * STEP), 1);
    assert_int_equal(sf_host_flash_wear(&r->chip, RIG_SLOT_1 + 2 * STEP, STEP), 2);
    assert_int_equal(stored(r).bytes, 0); /* it has served */
}

static void before_the_first_record_it_begins_anew(void **state)
{
    struct rig *r = *state;
    lose_power_at(r, &r->v2, STEP - SF_SECTOR_SIZE);
    confirms(r, &r->v2);
    assert_int_equal(r->server.ranges, 0);
}

static void resets_without_end_wear_no_sector_out(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < 6; i++) {
        lose_power_at(r, &r->v2, STEP + 4 * SF_SECTOR_SIZE);
    }
    confirms(r, &r->v2);
    assert_int_equal(sf_host_flash_wear(&r->chip, RIG_SLOT_1, STEP), 1);
    assert_int_equal(r->server.ranges, 6);
}

static void bytes_that_changed_meanwhile_cost_one_more_download(void **state)
{
    struct rig *r = *state;
    lose_power_at(r, &r->v2, STEP + SF_SECTOR_SIZE);
    r->chip.cells[RIG_SLOT_1 + 30000] ^= 1;
    confirms(r, &r->v2);
    assert_int_equal(r->server.downloads, 3);
    assert_int_equal(r->server.ranges, 1);
    assert_int_equal(r->server.outcome_count, 1); /* nobody's fault: no attempt is charged */
    assert_int_equal(r->server.outcome[0].attempt, 1);
}

static void a_head_that_changed_meanwhile_is_noticed_at_once(void **state)
{
    struct rig *r = *state;
    lose_power_at(r, &r->v2, STEP + SF_SECTOR_SIZE);
    r->chip.cells[RIG_SLOT_1 + 12] ^= 1; /* another chip */
    confirms(r, &r->v2);
    assert_int_equal(r->server.downloads, 2);
    assert_int_equal(r->server.ranges, 0);
}

static void another_file(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/artifacts/", 11) == 0 && request->range_offset > 0) {
        reply->head.status = 200; /* as If-Range makes it, where the ETag differs */
        reply->head.range_start = reply->head.range_total = -1;
        reply->body -= request->range_offset;
        reply->body_len += request->range_offset;
        reply->head.content_len = (int64_t)reply->body_len;
    }
}

static void it_asks_for_the_same_file_only(void **state)
{
    struct rig *r = *state;
    lose_power_at(r, &r->v2, STEP + SF_SECTOR_SIZE);
    assert_string_equal(stored(r).etag + 1, r->reply.etag + 1);
    r->server.script = another_file;
    confirms(r, &r->v2);
    assert_int_equal(r->server.downloads, 2);
}

static void another_release_in_between_takes_the_record_away(void **state)
{
    struct rig *r = *state;
    lose_power_at(r, &r->v2, STEP + SF_SECTOR_SIZE);
    lose_power_at(r, &r->v3, 2 * SF_SECTOR_SIZE);
    assert_int_equal(stored(r).bytes, 0);
    rig_target(r, &r->v2);
    confirms(r, &r->v2);
    assert_int_equal(r->server.ranges, 0);
}

static void a_record_of_another_manifest_counts_for_nothing(void **state)
{
    struct rig *r = *state;
    lose_power_at(r, &r->v2, STEP + SF_SECTOR_SIZE);
    r->v2.manifest.seq += 2; /* the same image under a new manifest */
    rig_sign(r, &r->v2);
    rig_target(r, &r->v2);
    confirms(r, &r->v2);
    assert_int_equal(r->server.ranges, 0);
}

static void a_record_that_claims_too_much_counts_for_nothing(void **state)
{
    static const uint32_t claims[] = {RIG_LARGE, RIG_LARGE - RIG_LARGE % SF_SECTOR_SIZE + 4096,
                                      STEP + 100, 0, UINT32_MAX};
    struct rig *r = *state;
    lose_power_at(r, &r->v2, STEP + SF_SECTOR_SIZE);
    struct sf_record_progress p = stored(r);
    for (unsigned i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        p.bytes = claims[i];
        assert_int_equal(sf_record_save(&r->store.ops, SF_RECORD_PROG, &p), SF_OK);
        rig_boot(r, SF_RESET_POWER_ON);
        for (unsigned k = 0; k < 100 && rig_core(r)->state != SF_STATE_FETCH; k++) {
            (void)rig_step(r);
        }
        assert_int_equal(rig_core(r)->state, SF_STATE_FETCH);
        assert_int_equal(rig_core(r)->offset, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_goes_on_behind_the_last_record),
        TEST(before_the_first_record_it_begins_anew),
        TEST(resets_without_end_wear_no_sector_out),
        TEST(bytes_that_changed_meanwhile_cost_one_more_download),
        TEST(a_head_that_changed_meanwhile_is_noticed_at_once),
        TEST(it_asks_for_the_same_file_only),
        TEST(another_release_in_between_takes_the_record_away),
        TEST(a_record_of_another_manifest_counts_for_nothing),
        TEST(a_record_that_claims_too_much_counts_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
