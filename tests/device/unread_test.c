/* Records that cannot be read: for a while, for good, or with a wrong bit. None may pass for a
 * record that is not there; above all not the floor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

/* In front of the rig's store: reads of some keys fail, or have a wrong bit. */
struct filter {
    struct sf_store ops;
    const struct sf_store *real;
    unsigned keys;    /* whose reads; bit per key */
    unsigned no_sets; /* whose sets fail */
    int left;         /* reads still to fail */
    int error;        /* 0 = a wrong bit in what is read */
};

static struct filter filter;

static int32_t filter_get(void *ctx, enum sf_record key, void *out, size_t size)
{
    struct filter *f = ctx;
    int32_t len = f->real->get(f->real->ctx, key, out, size);
    if ((f->keys & 1U << key) == 0 || f->left <= 0 || len < 0) {
        return len;
    }
    f->left--;
    if (f->error != SF_OK) {
        return f->error;
    }
    ((uint8_t *)out)[5] ^= 16;
    return len;
}

static int filter_set(void *ctx, enum sf_record key, const void *data, size_t len)
{
    const struct filter *f = ctx;
    if ((f->no_sets & 1U << key) != 0) {
        return SF_ERR_IO;
    }
    return f->real->set(f->real->ctx, key, data, len);
}

/* v1 known good in ota_0; v2 confirmed in ota_1, so the floor is v2's. */
static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    filter = (struct filter){.ops = {&filter, filter_get, filter_set}, .real = &r->store.ops};
    r->config.store = &filter.ops;
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void unread(unsigned keys, int error, int left)
{
    filter.keys = keys;
    filter.error = error;
    filter.left = left;
}

static void reboot(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

static struct sf_record_floor stored_floor(struct rig *r)
{
    struct sf_record_floor floor;
    assert_int_equal(sf_record_load(&r->store.ops, SF_RECORD_FLOOR, &floor), SF_OK);
    return floor;
}

/* An old release under the highest counter: what a thief of the status key would try. */
static void offer_the_older_release(struct rig *r)
{
    rig_target(r, &r->v1);
    r->server.counter += 10;
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
}

enum { FLOOR = 1U << SF_RECORD_FLOOR, FLOORS = FLOOR | 1U << SF_RECORD_FLOOR_COPY };

/* ---- the floor ---- */

static void reads_that_fail_for_a_while_leave_the_floor_where_it_is(void **state)
{
    static const int errors[] = {SF_ERR_IO, SF_ERR_CORRUPT, SF_OK};
    struct rig *r = *state;
    r->server.target = NULL;
    for (unsigned i = 0; i < 3; i++) {
        for (int n = 1; n <= 60; n += n < 9 ? 1 : 17) {
            unread(FLOORS, errors[i], n);
            reboot(r);
            offer_the_older_release(r);
            assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
            r->server.target = NULL;
            r->server.outcome_count = 0;
            assert_int_equal(r->server.downloads, 1);
            assert_int_equal(stored_floor(r).seq, r->v2.manifest.seq);
        }
    }
    unread(0, 0, 0);
    reboot(r);
    assert_int_equal(r->server.last.seq, r->v2.manifest.seq);
    assert_int_equal(r->server.last.last_counter, r->server.counter);
}

static void a_floor_that_cannot_be_read_for_good_has_a_copy(void **state)
{
    struct rig *r = *state;
    unread(FLOOR, SF_ERR_CORRUPT, RIG_ENDLESS);
    reboot(r);
    assert_int_equal(r->server.last.seq, r->v2.manifest.seq);
    offer_the_older_release(r);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_SEQ_OLD);
    rig_install(r, &r->v3); /* and what is newer goes on */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
}

static void a_floor_that_is_gone_has_a_copy(void **state)
{
    struct rig *r = *state;
    assert_int_equal(sf_record_remove(&r->store.ops, SF_RECORD_FLOOR), SF_OK);
    reboot(r);
    offer_the_older_release(r);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.downloads, 1);
    assert_int_equal(stored_floor(r).seq, r->v2.manifest.seq);
}

static void without_a_floor_nothing_is_installed_and_the_server_is_told(void **state)
{
    struct rig *r = *state;
    const struct sf_record_floor before = stored_floor(r);
    unread(FLOORS, SF_ERR_IO, RIG_ENDLESS);
    reboot(r);
    rig_target(r, &r->v3); /* newer, or older: it cannot tell */
    const uint64_t operations = r->chip.op_count;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[1].error, SF_ERR_STORE);
    assert_int_equal(r->server.outcome[1].counter, r->server.counter);
    assert_int_equal(r->chip.op_count, operations);
    const struct sf_record_floor after = stored_floor(r);
    assert_memory_equal(&after, &before, sizeof(after));
    unread(0, 0, 0); /* it can be read again: so the update comes, without a reset */
    for (unsigned i = 0; i < 50 && rig_settle_again(r) == SF_ACTION_WAIT; i++) {
    }
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(r->server.last.running_digest, r->v3.digest, SF_SHA256_SIZE);
}

static void without_a_floor_it_does_not_go_back_either_until_it_has_one(void **state)
{
    struct rig *r = *state;
    unread(FLOORS, SF_ERR_IO, RIG_ENDLESS);
    reboot(r);
    rig_target(r, &r->v1);
    r->server.action = SF_STATUS_ROLL_BACK;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    unread(0, 0, 0);
    enum sf_action_kind kind = SF_ACTION_WAIT;
    for (unsigned i = 0; i < 50 && kind == SF_ACTION_WAIT; i++) {
        kind = rig_settle_again(r);
    }
    assert_int_equal(kind, SF_ACTION_REBOOT);
}

static void without_a_floor_a_trial_is_confirmed_all_the_same(void **state)
{
    struct rig *r = *state;
    rig_install(r, &r->v3);
    unread(FLOORS, SF_ERR_IO, RIG_ENDLESS);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[1].error, SF_OK);
    assert_int_equal(rig_slot_runs(r), 0);
}

static void without_a_floor_a_static_tree_installs_nothing(void **state)
{
    struct rig *r = *state;
    rig_static_tree(r);
    unread(FLOORS, SF_ERR_IO, RIG_ENDLESS);
    r->server.target = &r->v2;
    reboot(r);
    const uint64_t operations = r->chip.op_count;
    assert_int_equal(rig_show(r, &r->v1), SF_ACTION_WAIT); /* older; and a newer one */
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_STORE);
    assert_int_equal(rig_show(r, &r->v3), SF_ACTION_WAIT);
    assert_int_equal(r->chip.op_count, operations);
    unread(0, 0, 0);
    enum sf_action_kind kind = SF_ACTION_WAIT;
    for (unsigned i = 0; i < 20 && kind == SF_ACTION_WAIT; i++) {
        kind = rig_settle_again(r);
    }
    assert_int_equal(kind, SF_ACTION_REBOOT);
}

/* ---- the trial ---- */

static void into_trial(struct rig *r, int without_rollback)
{
    r->without_rollback = without_rollback;
    rig_target(r, &r->v3);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
}

/* v3 does not run on, unconfirmed, for ever. */
static void a_trial_that_cannot_be_read_is_broken_off(void **state)
{
    struct rig *r = *state;
    for (int without_rollback = 0; without_rollback < 2; without_rollback++) {
        into_trial(r, without_rollback);
        unread(1U << SF_RECORD_TRIAL, SF_ERR_IO, RIG_ENDLESS);
        rig_boot(r, SF_RESET_SOFTWARE);
        assert_int_equal(rig_slot_runs(r), 1);
        unread(0, 0, 0);
        rig_boot(r, SF_RESET_POWER_ON);
        assert_int_equal(rig_slot_runs(r), 1);
    }
    assert_int_not_equal(rig_settle(r), SF_ACTION_REQUEST);
}

/* The early hook could read it, the engine cannot. */
static void a_trial_that_the_engine_cannot_read_is_broken_off(void **state)
{
    struct rig *r = *state;
    into_trial(r, 0);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
    unread(1U << SF_RECORD_TRIAL, SF_ERR_IO, RIG_ENDLESS);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void a_trial_that_reads_at_last_goes_on(void **state)
{
    struct rig *r = *state;
    for (int n = 1; n <= 3; n++) {
        into_trial(r, 0);
        unread(1U << SF_RECORD_TRIAL, n % 2 ? SF_ERR_IO : SF_OK, n);
        rig_boot(r, SF_RESET_SOFTWARE);
        assert_int_equal(rig_slot_runs(r), 0);
        unread(1U << SF_RECORD_TRIAL, SF_ERR_IO, 4 * n);
        rig_boot(r, SF_RESET_PANIC);
        assert_int_equal(rig_slot_runs(r), 1);
        unread(0, 0, 0);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_int_equal(r->server.outcome[r->server.outcome_count - 1].error, SF_ERR_CRASHED);
    }
    into_trial(r, 0);
    rig_boot(r, SF_RESET_SOFTWARE);
    unread(1U << SF_RECORD_TRIAL, SF_ERR_IO, 10);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[r->server.outcome_count - 1].error, SF_OK);
}

/* A good image, but the store takes nothing about its trial: it goes back at the deadline, and that
 * is not the image's fault. */
static void a_trial_that_cannot_be_recorded_does_not_refuse_the_release(void **state)
{
    struct rig *r = *state;
    for (int without_rollback = 0; without_rollback < 2; without_rollback++) {
        into_trial(r, without_rollback);
        rig_boot(r, SF_RESET_SOFTWARE);
        assert_int_equal(rig_slot_runs(r), 0);
        filter.no_sets = 1U << SF_RECORD_TRIAL;
        enum sf_action_kind kind = rig_settle(r);
        for (unsigned i = 0; i < 300 && kind == SF_ACTION_WAIT; i++) {
            kind = rig_settle_again(r);
        }
        assert_int_equal(kind, SF_ACTION_REBOOT);
        filter.no_sets = 0;
        rig_boot(r, SF_RESET_SOFTWARE);
        assert_int_equal(rig_slot_runs(r), 1);
        assert_int_equal(rig_settle(r), SF_ACTION_REBOOT); /* at once again, from the same slot */
        assert_int_equal(r->server.outcome[r->server.outcome_count - 1].error, SF_ERR_STORE);
    }
    assert_int_equal(r->server.downloads, 2);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
}

/* ---- the others ---- */

static void a_refused_release_stays_refused_while_reads_fail(void **state)
{
    struct rig *r = *state;
    rig_install(r, &r->v3);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    const unsigned downloads = r->server.downloads;
    for (int n = 1; n <= 16; n++) {
        unread(1U << SF_RECORD_FAILED, n % 2 ? SF_ERR_CORRUPT : SF_OK, n);
        reboot(r);
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_int_equal(rig_slot_runs(r), 1);
        assert_int_equal(rig_trial(r).open, 0);
    }
    assert_int_equal(r->server.downloads, downloads);
}

static void known_good_images_and_untold_outcomes_outlive_reads_that_fail(void **state)
{
    struct rig *r = *state;
    rig_install(r, &r->v3);
    r->server.acknowledges = 0;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    for (int n = 1; n <= 16; n++) {
        unread(1U << SF_RECORD_GOOD | 1U << SF_RECORD_OUT, n % 2 ? SF_ERR_IO : SF_OK, n);
        reboot(r);
        assert_int_equal(r->server.last.outcome.counter, r->server.counter);
        assert_int_equal(r->server.last.other[0].confirmed_here, 1);
        assert_memory_equal(r->server.last.other[0].digest, r->v2.digest, SF_SHA256_SIZE);
    }
}

/* Each record in turn damaged for good: the device goes on, and takes the next update. */
static void no_damaged_record_strands_the_device(void **state)
{
    static const uint8_t damaged[] = {1, 2, 3};
    struct rig *r = *state;
    uint64_t seq = r->v3.manifest.seq;
    for (unsigned key = SF_RECORD_TRIAL; key < SF_RECORD_COUNT; key++) {
        struct rig_release *release = key % 2 ? &r->v3 : &r->v2;
        release->manifest.seq = seq += 2;
        rig_sign(r, release);
        assert_int_equal(
            r->store.ops.set(r->store.ops.ctx, (enum sf_record)key, damaged, sizeof(damaged)),
            SF_OK);
        reboot(r);
        r->test_result[0] = SF_SELF_TEST_PASS;
        rig_install(r, release);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_memory_equal(r->server.last.running_digest, release->digest, SF_SHA256_SIZE);
        reboot(r);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_that_fail_for_a_while_leave_the_floor_where_it_is),
        TEST(a_floor_that_cannot_be_read_for_good_has_a_copy),
        TEST(a_floor_that_is_gone_has_a_copy),
        TEST(without_a_floor_nothing_is_installed_and_the_server_is_told),
        TEST(without_a_floor_it_does_not_go_back_either_until_it_has_one),
        TEST(without_a_floor_a_static_tree_installs_nothing),
        TEST(without_a_floor_a_trial_is_confirmed_all_the_same),
        TEST(a_trial_that_cannot_be_read_is_broken_off),
        TEST(a_trial_that_the_engine_cannot_read_is_broken_off),
        TEST(a_trial_that_reads_at_last_goes_on),
        TEST(a_trial_that_cannot_be_recorded_does_not_refuse_the_release),
        TEST(a_refused_release_stays_refused_while_reads_fail),
        TEST(known_good_images_and_untold_outcomes_outlive_reads_that_fail),
        TEST(no_damaged_record_strands_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
