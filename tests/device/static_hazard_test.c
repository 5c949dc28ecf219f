/* Updates from a static tree: what changes on the host while the device is on its way, and trials
 * without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_static_tree(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    assert_int_equal(r->server.checkins, 0);
    assert_int_equal(r->server.enrolments, 0);
    rig_free(r);
    return 0;
}

static uint64_t stored_seq(struct rig *r)
{
    struct sf_record_floor floor;
    const int err = sf_record_load(&r->store.ops, SF_RECORD_FLOOR, &floor);
    assert_true(err == SF_OK || err == SF_ERR_NOTFOUND);
    return floor.seq;
}

static void rest(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

/* ---- between download and commit ---- */

static void until_state(struct rig *r, uint8_t state)
{
    for (unsigned i = 0; i < 2000 && rig_core(r)->state != state; i++) {
        (void)rig_step(r);
    }
    assert_int_equal(rig_core(r)->state, state);
}

static void download(struct rig *r, const struct rig_release *release)
{
    r->server.target = release;
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    until_state(r, SF_STATE_ASK);
}

static void a_release_replaced_before_the_commit_does_not_activate(void **state)
{
    struct rig *r = *state;
    rest(r);
    download(r, &r->v2);
    r->server.target = &r->v3;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_memory_equal(r->chip.cells + RIG_SLOT_1, r->v3.image, r->v3.image_len);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(rig_core(r)->running_digest, r->v3.digest, SF_SHA256_SIZE);
}

static void a_release_taken_back_before_the_commit_does_not_activate(void **state)
{
    struct rig *r = *state;
    rest(r);
    download(r, &r->v2);
    r->server.target = &r->v1;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(sf_engine_view(&r->engine).outcome.error, SF_ERR_CANCELLED);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_slot_runs(r), 0);
}

static void a_release_that_is_gone_before_the_commit_waits(void **state)
{
    struct rig *r = *state;
    rest(r);
    download(r, &r->v2);
    r->server.target = NULL; /* 404 */
    until_state(r, SF_STATE_ASK_WAIT);
    for (unsigned i = 0; i < 20; i++) {
        (void)rig_step(r);
        assert_true(rig_core(r)->state == SF_STATE_ASK || rig_core(r)->state == SF_STATE_ASK_WAIT);
    }
    r->server.target = &r->v2;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
}

static void the_last_look_is_never_conditional(void **state)
{
    struct rig *r = *state;
    rest(r);
    download(r, &r->v2);
    const struct sf_action a = sf_engine_next(&r->engine, r->now_ms);
    assert_int_equal(a.kind, SF_ACTION_REQUEST);
    assert_null(a.request.if_none_match);
    assert_null(a.request.authorization);
    assert_int_equal(a.request.method, SF_METHOD_GET);
    assert_int_equal(a.request.origin, 0);
}

static void slow_image(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/artifacts/", 11) == 0) {
        reply->chunk_ms = 4000;
    }
}

static void a_long_download_looks_again_and_stops_when_replaced(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->server.script = slow_image;
    r->server.target = &r->v2;
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    until_state(r, SF_STATE_FETCH_ASK);
    r->server.target = &r->v1;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    r->server.target = &r->v2;
    assert_int_equal(rig_show(r, &r->v2), SF_ACTION_REBOOT);
    assert_true(r->server.ranges > 0); /* what was there is not fetched again */
}

static void close_at_70000(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/artifacts/", 11) == 0 && reply->body_len > 70000) {
        reply->body_len = 70000;
        reply->end = SF_ERR_CLOSED;
    }
}

static void a_lost_connection_goes_on_where_it_was(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->server.script = close_at_70000;
    assert_int_equal(rig_show(r, &r->v2), SF_ACTION_REBOOT);
    assert_int_equal(r->server.downloads, 3);
    assert_int_equal(r->server.ranges, 2);
}

/* ---- the trial ---- */

static void without_the_host_it_goes_back(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_into_trial(r, &r->v2);
    r->server.is_down = 1;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
    r->server.is_down = 0; /* the image before it reaches it */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).outcome.error, SF_ERR_NO_SERVER);
    rig_show_in_vain(r, &r->v2, SF_ERR_REFUSED);
    rig_show_confirm(r, &r->v3);
}

static void no_host_for_the_old_image_either_costs_no_attempt(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_into_trial(r, &r->v2);
    r->server.is_down = 1;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    r->server.is_down = 0;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.downloads, 1);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void a_host_that_shows_something_foreign_confirms_nothing(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_into_trial(r, &r->v2);
    struct rig_release *foreign = &r->v3;
    foreign->manifest.class_uuid[3] ^= 1;
    rig_sign(r, foreign);
    r->server.target = foreign;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
}

static void a_failed_release_is_refused_until_a_newer_one(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_into_trial(r, &r->v2);
    r->test_result[1] = SF_SELF_TEST_FAIL;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(sf_engine_view(&r->engine).outcome.error, SF_ERR_SELF_TEST);
    r->test_result[1] = SF_SELF_TEST_PASS;
    for (unsigned i = 0; i < 5; i++) {
        rig_show_in_vain(r, &r->v2, SF_ERR_REFUSED);
    }
    rest(r); /* a reset forgets nothing */
    rig_show_in_vain(r, &r->v2, SF_ERR_REFUSED);
    rig_show_confirm(r, &r->v3);
}

static void a_crash_goes_back_and_is_refused(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_into_trial(r, &r->v2);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).outcome.error, SF_ERR_CRASHED);
    rig_show_in_vain(r, &r->v2, SF_ERR_REFUSED);
}

static void the_application_can_cancel(void **state)
{
    struct rig *r = *state;
    rest(r);
    download(r, &r->v2);
    sf_engine_poke(&r->engine, SF_POKE_CANCEL, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    rig_show_in_vain(r, &r->v2, SF_ERR_REFUSED);
    rig_show_confirm(r, &r->v3);
}

/* ---- power ---- */

struct cut {
    unsigned left;
    enum sf_flash_fault how;
    struct rig *rig;
};

static enum sf_flash_fault cut_hook(void *ctx, const struct sf_flash_op *op)
{
    struct cut *c = ctx;
    (void)op;
    if (c->left-- > 0) {
        return SF_FLASH_GO_ON;
    }
    c->rig->chip.has_power = 0; /* slots and records lose it together */
    c->rig->nvs.has_power = 0;
    return c->how;
}

/* From v1 to the confirmed v3 with a cut at the i-th operation on slots, otadata or records; 0 once
 * there is no such operation. The floor never goes down. */
static int update_with_a_cut(unsigned i, enum sf_flash_fault how)
{
    struct rig *r = rig_new();
    struct cut cut = {i, how, r};
    uint64_t floor = 0;
    int ended = 0;
    rig_static_tree(r);
    r->server.target = &r->v3;
    r->chip.hook = r->nvs.hook = cut_hook;
    r->chip.hook_ctx = r->nvs.hook_ctx = &cut;
    for (unsigned boots = 0; boots < 6 && !ended; boots++) {
        rig_boot(r, boots == 0 ? SF_RESET_POWER_ON : r->reset_reason);
        for (unsigned n = 0; n < 3000 && r->chip.has_power; n++) {
            const struct sf_action a = sf_engine_next(&r->engine, r->now_ms);
            const int rests = a.kind == SF_ACTION_WAIT && sf_engine_may_sleep(&r->engine) &&
                              rig_slot_runs(r) == 1 && !rig_core(r)->trial.open;
            ended = rests && rig_core(r)->answered > 0;
            if (ended || a.kind == SF_ACTION_REBOOT) {
                break;
            }
            (void)rig_step(r);
        }
        r->reset_reason = r->chip.has_power ? SF_RESET_SOFTWARE : SF_RESET_POWER_ON;
        if (!r->chip.has_power) {
            r->chip.hook = r->nvs.hook = NULL;
        }
        sf_host_flash_power_on(&r->chip);
        sf_host_flash_power_on(&r->nvs);
        assert_int_equal(sf_host_store_open(&r->store, &r->nvs.ops, 0), SF_OK);
        assert_true(stored_seq(r) >= floor);
        floor = stored_seq(r);
    }
    assert_true(ended);
    assert_memory_equal(rig_core(r)->running_digest, r->v3.digest, SF_SHA256_SIZE);
    assert_int_equal(floor, 6);
    const int was_cut = r->chip.hook == NULL;
    rig_free(r);
    return was_cut;
}

static void a_cut_anywhere_ends_in_the_new_image_all_the_same(void **state)
{
    (void)state;
    unsigned i = 0;
    for (; update_with_a_cut(i, SF_FLASH_CUT_BEFORE); i++) {
        assert_true(update_with_a_cut(i, SF_FLASH_CUT_AFTER));
    }
    assert_in_range(i, 25, 400); /* operations that an update takes */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_release_replaced_before_the_commit_does_not_activate),
        TEST(a_release_taken_back_before_the_commit_does_not_activate),
        TEST(a_release_that_is_gone_before_the_commit_waits),
        TEST(the_last_look_is_never_conditional),
        TEST(a_long_download_looks_again_and_stops_when_replaced),
        TEST(a_lost_connection_goes_on_where_it_was),
        TEST(without_the_host_it_goes_back),
        TEST(no_host_for_the_old_image_either_costs_no_attempt),
        TEST(a_host_that_shows_something_foreign_confirms_nothing),
        TEST(a_failed_release_is_refused_until_a_newer_one),
        TEST(a_crash_goes_back_and_is_refused),
        TEST(the_application_can_cancel),
        cmocka_unit_test(a_cut_anywhere_ends_in_the_new_image_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
