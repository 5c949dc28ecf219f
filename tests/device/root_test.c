/* Firmware with a trust root: the walk to the newest one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/root_rig.h"

enum { K0 = 1 << 0, K1 = 1 << 1, K2 = 1 << 2, NEW_STATUS = 9, NEW_RELEASE = 10 };

static int setup(void **state)
{
    *state = root_rig_new();
    return 0;
}

static int teardown(void **state)
{
    root_rig_free(*state);
    return 0;
}

/* ---- without a walk ---- */

static void updates_under_the_root_in_its_firmware(void **state)
{
    struct root_rig *rr = *state;
    root_rig_rest(rr);
    assert_int_equal(rr->r->server.last.root_version, 1);
    assert_int_equal(rr->r->server.roots, 0);
    rig_install(rr->r, &rr->r->v2);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
    assert_int_equal(rig_trial(rr->r).open, 0);
    assert_memory_equal(rig_core(rr->r)->running_digest, rr->r->v2.digest, SF_SHA256_SIZE);
    assert_int_equal(root_rig_stored(rr), 0); /* nothing new, nothing written */
}

static void a_firmware_whose_root_is_damaged_trusts_nobody(void **state)
{
    struct root_rig *rr = *state;
    rr->firmware.file[100] ^= 1;
    rig_target(rr->r, &rr->r->v2);
    root_rig_rest(rr);
    assert_int_equal(sf_engine_view(&rr->r->engine).checkins_answered, 0);
    assert_int_equal(rr->r->server.downloads, 0);
}

/* ---- the walk ---- */

static void a_status_that_names_a_newer_root_is_walked_to_first(void **state)
{
    struct root_rig *rr = *state;
    for (unsigned i = 0; i < 3; i++) {
        root_rig_publish(rr, K0 | K1);
    }
    root_rig_rest(rr);
    assert_int_equal(root_rig_trusted(rr), 4);
    assert_int_equal(root_rig_stored(rr), 4);
    assert_int_equal(rr->r->server.roots, 3);
    assert_int_equal(rr->r->server.checkins, 2); /* before and after */
    assert_int_equal(rr->r->server.last.root_version, 4);
    assert_int_equal(sf_engine_view(&rr->r->engine).checkins_answered, 1);
    root_rig_rest(rr); /* a reset begins where it was */
    assert_int_equal(rr->r->server.roots, 3);
    assert_int_equal(rr->r->server.last.root_version, 4);
}

static void drill_status_key_replaced(void **state)
{
    struct root_rig *rr = *state;
    root_rig_rest(rr);
    root_rig_swap_key(rr, SF_ROLE_STATUS, ROOT_KIT_STATUS, NEW_STATUS);
    root_rig_publish(rr, K0 | K2);
    root_rig_status_key(rr, NEW_STATUS);
    rig_target(rr->r, &rr->r->v2);
    assert_int_equal(rig_settle_again(rr->r), SF_ACTION_REBOOT);
    assert_int_equal(root_rig_trusted(rr), 2);
    assert_int_equal(rr->r->server.roots, 2); /* the second was not there */
    root_rig_rest(rr);
    assert_memory_equal(rig_core(rr->r)->running_digest, rr->r->v2.digest, SF_SHA256_SIZE);
}

/* All root keys are replaced on the way: each step is signed by the keys before and its own. */
static void drill_offline_across_five_rotations(void **state)
{
    struct root_rig *rr = *state;
    static const unsigned after[] = {9, 10, 11, 3, 7};
    unsigned root[3] = {0, 1, 2};
    for (unsigned i = 0; i < 5; i++) {
        const unsigned old = 1U << root[1] | 1U << root[2];
        root_rig_swap_key(rr, SF_ROLE_ROOT, root[0], after[i]);
        root[0] = root[1];
        root[1] = root[2];
        root[2] = after[i];
        rr->draft.expires -= 365LL * 24 * 60 * 60 / 2; /* those in between have expired long ago */
        rr->draft.issued_at -= 365LL * 24 * 60 * 60;
        if (i == 4) {
            rr->draft.issued_at = 1800000000 - 1;
            rr->draft.expires = 1900000000;
        }
        root_rig_publish(rr, old);
    }
    rig_target(rr->r, &rr->r->v2);
    rig_boot(rr->r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_REBOOT);
    assert_int_equal(root_rig_trusted(rr), 6);
    assert_int_equal(root_rig_stored(rr), 6);
}

static void at_most_32_steps_in_a_row_then_a_wait(void **state)
{
    struct root_rig *rr = *state;
    for (unsigned i = 0; i < 40; i++) {
        root_rig_publish(rr, K0 | K1);
    }
    root_rig_rest(rr);
    assert_int_equal(root_rig_trusted(rr), 33);
    assert_int_equal(rr->r->server.roots, 32);
    assert_int_equal(sf_engine_view(&rr->r->engine).checkins_answered, 0);
    assert_int_equal(rig_settle_again(rr->r), SF_ACTION_WAIT);
    assert_int_equal(root_rig_trusted(rr), 41);
    assert_int_equal(sf_engine_view(&rr->r->engine).checkins_answered, 1);
}

static void a_walk_that_breaks_off_goes_on_where_it_was(void **state)
{
    struct root_rig *rr = *state;
    for (unsigned i = 0; i < 4; i++) {
        root_rig_publish(rr, K0 | K1);
    }
    const size_t len = rr->r->server.root[3].len;
    rr->r->server.root[3].len = 0; /* not there for now */
    root_rig_rest(rr);
    assert_int_equal(root_rig_trusted(rr), 2);
    assert_true(rr->r->last_wait_ms <= 3600000);
    rr->r->server.root[3].len = len;
    root_rig_rest(rr);
    assert_int_equal(root_rig_trusted(rr), 5);
}

/* ---- bad roots ---- */

/* The server names root 2; it is `file`. The device keeps 1 and goes on checking in. */
static void refused(struct root_rig *rr, int err)
{
    const unsigned before = rr->r->server.checkins;
    root_rig_rest(rr);
    assert_int_equal(root_rig_last_error(rr), err);
    assert_int_equal(root_rig_trusted(rr), 1);
    assert_int_equal(root_rig_stored(rr), 0);
    assert_int_equal(rig_settle_again(rr->r), SF_ACTION_WAIT);
    assert_true(rr->r->server.checkins >= before + 2);
    assert_true(rr->r->server.roots <= rr->r->server.checkins);
    assert_int_equal(rr->r->server.downloads, 0);
}

static void key_compromise_one_of_two_root_keys(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, K0);
    refused(rr, SF_ERR_THRESHOLD);
}

static void key_compromise_signed_only_by_new_keys(void **state)
{
    struct root_rig *rr = *state;
    root_rig_swap_key(rr, SF_ROLE_ROOT, 0, 9);
    root_rig_swap_key(rr, SF_ROLE_ROOT, 1, 10);
    root_rig_publish(rr, 1 << 9 | 1 << 10);
    refused(rr, SF_ERR_THRESHOLD);
}

static void key_compromise_a_root_of_the_release_key(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, 1 << ROOT_KIT_RELEASE | 1 << ROOT_KIT_STATUS);
    refused(rr, SF_ERR_THRESHOLD);
}

static void a_version_is_not_skipped(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, K0 | K1);
    root_rig_publish(rr, K0 | K1);
    rr->r->server.root[2] = rr->r->server.root[3];
    refused(rr, SF_ERR_ROOT_VERSION);
}

static void a_bit_of_it_is_wrong(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, K0 | K1);
    rr->r->server.root[2].file[200] ^= 8;
    refused(rr, SF_ERR_SIGNATURE);
}

static void a_root_is_named_that_is_not_there(void **state)
{
    struct root_rig *rr = *state;
    rr->r->server.root_version = 9;
    refused(rr, SF_ERR_KEY_UNKNOWN);
}

/* ---- endless data ---- */

static void endless_root(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/device/v1/root/", 16) == 0) {
        reply->head.content_len = -1;
        reply->body = NULL;
        reply->body_len = RIG_ENDLESS;
    }
}

static void endless_data_stops_at_2048_bytes(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, K0 | K1);
    rr->r->server.script = endless_root;
    refused(rr, SF_ERR_TOO_LARGE);
}

static void announced_root(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/device/v1/root/", 16) == 0) {
        reply->head.content_len = SF_ROOT_MAX + 1;
    }
}

static void a_root_over_the_limit_is_not_even_read(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, K0 | K1);
    rr->r->server.script = announced_root;
    refused(rr, SF_ERR_TOO_LARGE);
}

static void redirected_root(struct rig *r, const struct sf_request *request,
                            struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/device/v1/root/", 16) == 0) {
        reply->head.status = 302;
    }
}

static void redirect_of_a_root_is_not_followed(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, K0 | K1);
    rr->r->server.script = redirected_root;
    refused(rr, SF_ERR_REDIRECT);
}

/* ---- what it stores ---- */

static void a_lost_record_begins_again_with_the_firmware(void **state)
{
    struct root_rig *rr = *state;
    root_rig_swap_key(rr, SF_ROLE_STATUS, ROOT_KIT_STATUS, NEW_STATUS);
    root_rig_publish(rr, K0 | K1);
    root_rig_status_key(rr, NEW_STATUS);
    root_rig_rest(rr);
    assert_int_equal(root_rig_trusted(rr), 2);
    memset(rr->r->nvs.cells + SF_HOST_STORE_SIZE, 0, SF_HOST_ROOT_STORE_SIZE);
    root_rig_rest(rr);
    assert_int_equal(root_rig_trusted(rr), 2);
    assert_int_equal(root_rig_stored(rr), 2);
}

static void drill_factory_reset_device(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, K0 | K1);
    root_rig_publish(rr, K0 | K1);
    root_rig_rest(rr);
    assert_int_equal(root_rig_stored(rr), 3);
    memset(rr->r->nvs.cells, 0xff, rr->r->nvs.size_bytes); /* every record */
    rig_target(rr->r, &rr->r->v2);
    rig_boot(rr->r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_REBOOT);
    assert_int_equal(root_rig_trusted(rr), 3);
}

static void a_firmware_with_a_newer_root_does_not_go_back(void **state)
{
    struct root_rig *rr = *state;
    root_rig_publish(rr, K0 | K1);
    root_rig_publish(rr, K0 | K1);
    root_rig_publish(rr, K0 | K1);
    rr->r->server.root_version = 2;
    root_rig_rest(rr);
    assert_int_equal(root_rig_stored(rr), 2);
    rr->firmware = rr->r->server.root[4];
    rr->trust.len = rr->firmware.len;
    rr->r->server.root_version = 4;
    root_rig_rest(rr);
    assert_int_equal(root_rig_trusted(rr), 4);
    assert_int_equal(rr->r->server.roots, 1);
    assert_int_equal(root_rig_stored(rr), 2); /* the firmware's counts */
}

/* ---- power cuts ---- */

struct cut {
    uint64_t index;
    enum sf_flash_fault fault;
};

static enum sf_flash_fault cut_hook(void *ctx, const struct sf_flash_op *op)
{
    const struct cut *cut = ctx;
    return op->index == cut->index ? cut->fault : SF_FLASH_GO_ON;
}

/* Walks from 1 to 4, where both epochs are new, until power goes at one operation on the records;
 * then to the end. Returns whether it went. */
static int walk_with_cut(struct root_rig *rr, struct cut cut)
{
    struct rig *r = rr->r;
    rig_boot(r, SF_RESET_POWER_ON);
    cut.index += r->nvs.op_count;
    r->nvs.hook = cut_hook;
    r->nvs.hook_ctx = &cut;
    for (unsigned i = 0; i < 100 && r->nvs.has_power && root_rig_trusted(rr) < 4; i++) {
        (void)rig_step(r);
    }
    for (unsigned i = 0; i < 10 && r->nvs.has_power; i++) { /* the check-in behind it */
        (void)rig_step(r);
    }
    const int went = !r->nvs.has_power;
    r->nvs.hook = NULL;
    sf_host_flash_power_on(&r->nvs);
    root_rig_rest(rr);
    assert_int_equal(root_rig_trusted(rr), 4);
    assert_int_equal(root_rig_stored(rr), 4);
    assert_int_equal(rig_core(r)->floor.epoch, 1);
    assert_int_equal(rig_core(r)->floor.status_epoch, 2);
    assert_int_equal(rig_core(r)->floor.seq, 0);
    assert_int_equal(rig_core(r)->floor.counter, r->server.counter);
    return went;
}

/* A device that has installed something, and whose floor so is not zero. */
static struct root_rig *with_a_floor(void)
{
    struct root_rig *rr = root_rig_new();
    root_rig_rest(rr);
    rig_install(rr->r, &rr->r->v3);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
    assert_int_equal(rig_core(rr->r)->floor.seq, 6);
    root_rig_publish(rr, K0 | K1);
    rr->draft.epoch[SF_ROLE_RELEASE] = 1;
    root_rig_publish(rr, K0 | K2);
    rr->draft.epoch[SF_ROLE_STATUS] = 2;
    root_rig_publish(rr, K1 | K2);
    rr->r->server.target = NULL;
    rr->r->server.counter = 3;
    return rr;
}

static void a_crash_mid_walk_resumes(void **state)
{
    (void)state;
    const unsigned step = secure_getenv("SF_TEST_FULL") != NULL ? 1 : 7;
    static const enum sf_flash_fault faults[] = {SF_FLASH_CUT_BEFORE, SF_FLASH_CUT_AFTER};
    unsigned cuts = 0;
    for (unsigned i = 0; i < 2; i++) {
        int went = 1;
        for (uint64_t index = i; went; index += step) {
            struct root_rig *rr = with_a_floor();
            went = walk_with_cut(rr, (struct cut){index, faults[i]});
            cuts += (unsigned)went;
            root_rig_free(rr);
        }
    }
    print_message("%u cuts\n", cuts);
    assert_true(cuts >= 15);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(updates_under_the_root_in_its_firmware),
        TEST(a_firmware_whose_root_is_damaged_trusts_nobody),
        TEST(a_status_that_names_a_newer_root_is_walked_to_first),
        TEST(drill_status_key_replaced),
        TEST(drill_offline_across_five_rotations),
        TEST(at_most_32_steps_in_a_row_then_a_wait),
        TEST(a_walk_that_breaks_off_goes_on_where_it_was),
        TEST(key_compromise_one_of_two_root_keys),
        TEST(key_compromise_signed_only_by_new_keys),
        TEST(key_compromise_a_root_of_the_release_key),
        TEST(a_version_is_not_skipped),
        TEST(a_bit_of_it_is_wrong),
        TEST(a_root_is_named_that_is_not_there),
        TEST(endless_data_stops_at_2048_bytes),
        TEST(a_root_over_the_limit_is_not_even_read),
        TEST(redirect_of_a_root_is_not_followed),
        TEST(a_lost_record_begins_again_with_the_firmware),
        TEST(drill_factory_reset_device),
        TEST(a_firmware_with_a_newer_root_does_not_go_back),
        cmocka_unit_test(a_crash_mid_walk_resumes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
