/* Firmware with a trust root: which releases, statuses and times it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

/* ---- releases ---- */

/* The server tells it to install `release`, and it does not. */
static void in_vain(struct root_rig *rr, const struct rig_release *release, int err)
{
    const unsigned downloads = rr->r->server.downloads;
    rig_target(rr->r, release);
    sf_engine_poke(&rr->r->engine, SF_POKE_CHECK_IN, rr->r->now_ms);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
    assert_int_equal(root_rig_last_error(rr), err);
    assert_int_equal(rr->r->server.downloads, downloads);
}

static void two_signatures_where_the_root_asks_for_them(void **state)
{
    struct root_rig *rr = *state;
    struct rig_release *v2 = &rr->r->v2;
    root_kit_add(&rr->kit, &rr->draft, SF_ROLE_RELEASE, NEW_RELEASE);
    rr->draft.threshold[SF_ROLE_RELEASE] = 2;
    root_rig_publish(rr, K0 | K1);
    root_rig_rest(rr);
    in_vain(rr, v2, SF_ERR_THRESHOLD);

    uint8_t one[SF_ENVELOPE_MAX];
    memcpy(one, v2->envelope, v2->envelope_len);
    const int32_t len =
        sf_envelope_cosign((struct sf_bytes){one, v2->envelope_len}, &rr->kit.signer[NEW_RELEASE],
                           &rr->r->psa, v2->envelope, sizeof(v2->envelope));
    assert_true(len > 0);
    v2->envelope_len = (size_t)len;
    rig_install(rr->r, v2);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
    assert_memory_equal(rig_core(rr->r)->running_digest, v2->digest, SF_SHA256_SIZE);
}

static void drill_release_key_stolen(void **state)
{
    struct root_rig *rr = *state;
    root_rig_rest(rr);
    /* The thief's release has a number that leaves no room behind it. */
    rr->r->v2.manifest.seq = 1 << 20;
    rig_sign(rr->r, &rr->r->v2);
    rig_install(rr->r, &rr->r->v2);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
    assert_int_equal(rr->r->server.last.seq, 1 << 20);

    root_rig_swap_key(rr, SF_ROLE_RELEASE, ROOT_KIT_RELEASE, NEW_RELEASE);
    rr->draft.epoch[SF_ROLE_RELEASE]++;
    root_rig_publish(rr, K1 | K2);
    in_vain(rr, &rr->r->v3, SF_ERR_KEY_UNKNOWN); /* still signed by the old key */
    assert_int_equal(root_rig_trusted(rr), 2);
    root_rig_release_key(rr, NEW_RELEASE);
    rig_install(rr->r, &rr->r->v3); /* seq 6, in the new epoch */
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
    assert_memory_equal(rig_core(rr->r)->running_digest, rr->r->v3.digest, SF_SHA256_SIZE);
    assert_int_equal(rr->r->server.last.seq, 6);
    assert_int_equal(rr->r->server.last.epoch, 1);
}

static void fast_forward_of_the_counter_recovers_with_a_new_epoch(void **state)
{
    struct root_rig *rr = *state;
    rr->r->server.counter = UINT32_MAX; /* by a thief of the status key: as far as it goes */
    rr->r->server.time += 100LL * 365 * 24 * 60 * 60;
    root_rig_rest(rr);

    assert_int_equal(sf_engine_view(&rr->r->engine).status_counter, UINT32_MAX);
    rr->r->server.time = 1800000100;
    rr->r->server.counter = 7;
    root_rig_swap_key(rr, SF_ROLE_STATUS, ROOT_KIT_STATUS, NEW_STATUS);
    root_rig_publish(rr, K0 | K1);
    root_rig_status_key(rr, NEW_STATUS);
    root_rig_rest(rr);
    assert_int_equal(root_rig_last_error(rr),
                     SF_ERR_COUNTER); /* the key alone changes no counter */
    rr->draft.epoch[SF_ROLE_STATUS]++;
    root_rig_publish(rr, K0 | K1);
    rr->r->server.root_version = 3;
    rig_target(rr->r, &rr->r->v2);
    rig_boot(rr->r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_REBOOT);
    assert_int_equal(sf_engine_view(&rr->r->engine).status_counter, 8);
}

static void a_revoked_manifest_is_refused(void **state)
{
    struct root_rig *rr = *state;
    rr->draft.revoked_count = 1;
    memcpy(rr->draft.revoked[0], rr->r->v2.manifest.digest, SF_SHA256_SIZE);
    root_rig_publish(rr, K0 | K1);
    root_rig_rest(rr);
    in_vain(rr, &rr->r->v2, SF_ERR_REVOKED);
    rig_install(rr->r, &rr->r->v3);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
}

static void a_seq_below_the_class_minimum_is_refused(void **state)
{
    struct root_rig *rr = *state;
    rr->draft.minimum_count = 1;
    memcpy(rr->draft.minimum[0].class_uuid, rr->r->config.class_uuid, SF_UUID_SIZE);
    rr->draft.minimum[0].seq = 5;
    root_rig_publish(rr, K0 | K1);
    root_rig_rest(rr);
    in_vain(rr, &rr->r->v2, SF_ERR_REVOKED); /* seq 4 */
    rig_install(rr->r, &rr->r->v3);          /* seq 6 */
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
}

static void a_target_of_another_epoch_is_refused(void **state)
{
    struct root_rig *rr = *state;
    root_rig_rest(rr);
    rr->r->server.epoch = 1;
    rig_target(rr->r, &rr->r->v2);
    assert_int_equal(rig_settle_again(rr->r), SF_ACTION_WAIT);
    assert_int_equal(root_rig_last_error(rr), SF_ERR_UNSUPPORTED);
    assert_int_equal(rr->r->server.downloads, 0);
}

/* ---- expiry ---- */

static void drill_expired_root_stops_installs_and_nothing_else(void **state)
{
    struct root_rig *rr = *state;
    rr->r->server.time = rr->draft.expires;
    rig_target(rr->r, &rr->r->v2);
    root_rig_rest(rr);
    assert_int_equal(root_rig_last_error(rr), SF_ERR_EXPIRED);
    assert_int_equal(rr->r->server.downloads, 0);
    assert_int_equal(sf_engine_view(&rr->r->engine).checkins_answered, 1);
    rr->draft.issued_at = rr->r->server.time; /* its successor is taken, and all is well */
    rr->draft.expires = rr->draft.issued_at + 1000;
    root_rig_publish(rr, K0 | K1);
    assert_int_equal(rig_settle_again(rr->r), SF_ACTION_REBOOT);
    assert_int_equal(root_rig_trusted(rr), 2);
}

static void freeze_yesterdays_status_is_older_than_the_root(void **state)
{
    struct root_rig *rr = *state;
    rr->draft.issued_at = rr->r->server.time + 100000;
    rr->draft.expires = rr->draft.issued_at + 1000000;
    root_rig_publish(rr, K0 | K1);
    rig_target(rr->r, &rr->r->v2);
    root_rig_rest(rr); /* its status expired before the root was made */
    assert_int_equal(root_rig_last_error(rr), SF_ERR_EXPIRED);
    assert_int_equal(rr->r->server.downloads, 0);
}

/* ---- in the middle ---- */

static void publish_at_the_second_check_in(struct rig *r, struct sf_status *status)
{
    if (r->server.checkins == 1) {
        status->root_version = 1;
    }
}

/* The root that comes between download and commit no longer knows the key of the release. */
static void a_release_whose_key_is_revoked_in_between_does_not_commit(void **state)
{
    struct root_rig *rr = *state;
    root_rig_swap_key(rr, SF_ROLE_RELEASE, ROOT_KIT_RELEASE, NEW_RELEASE);
    root_rig_publish(rr, K0 | K1);
    rr->r->server.status_script = publish_at_the_second_check_in;
    rig_target(rr->r, &rr->r->v2);
    root_rig_rest(rr);
    assert_int_equal(rr->r->server.downloads, 1);
    assert_int_equal(root_rig_trusted(rr), 2);
    assert_int_equal(rig_slot_runs(rr->r), 0);
    assert_int_equal(rig_trial(rr->r).open, 0);
}

static void a_trial_walks_too(void **state)
{
    struct root_rig *rr = *state;
    root_rig_rest(rr);
    rig_install(rr->r, &rr->r->v2);
    assert_int_equal(rig_trial(rr->r).open, 1);
    root_rig_swap_key(rr, SF_ROLE_STATUS, ROOT_KIT_STATUS, NEW_STATUS);
    root_rig_publish(rr, K0 | K1);
    root_rig_status_key(rr, NEW_STATUS);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
    assert_int_equal(root_rig_trusted(rr), 2);
    assert_int_equal(rig_trial(rr->r).open, 0);
    assert_memory_equal(rig_core(rr->r)->running_digest, rr->r->v2.digest, SF_SHA256_SIZE);
}

/* ---- without a server ---- */

static void static_tree_under_a_root(struct root_rig *rr, uint32_t policy)
{
    rr->draft.policy = policy;
    rr->firmware.len = root_kit_sign(&rr->kit, &rr->draft, ROOT_RIG_ROOTS, rr->firmware.file).len;
    rr->trust.len = rr->firmware.len;
    rig_static_tree(rr->r);
}

static void a_static_tree_needs_the_roots_word_too(void **state)
{
    struct root_rig *rr = *state;
    static_tree_under_a_root(rr, 0);
    rr->r->server.target = &rr->r->v2;
    rig_boot(rr->r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(rr->r), SF_ACTION_WAIT);
    assert_int_equal(root_rig_last_error(rr), SF_ERR_POLICY);
    assert_int_equal(rr->r->server.downloads, 0);
}

static void a_static_tree_is_judged_by_the_roots_keys(void **state)
{
    struct root_rig *rr = *state;
    static_tree_under_a_root(rr, SF_ROOT_ALLOW_OFFLINE);
    root_rig_rest(rr);
    rig_show_confirm(rr->r, &rr->r->v2);
    root_rig_release_key(rr, NEW_RELEASE);
    assert_int_equal(rig_show(rr->r, &rr->r->v3), SF_ACTION_WAIT);
    assert_int_equal(root_rig_last_error(rr), SF_ERR_KEY_UNKNOWN);
    assert_int_equal(rr->r->server.roots, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_signatures_where_the_root_asks_for_them),
        TEST(drill_release_key_stolen),
        TEST(fast_forward_of_the_counter_recovers_with_a_new_epoch),
        TEST(a_revoked_manifest_is_refused),
        TEST(a_seq_below_the_class_minimum_is_refused),
        TEST(a_target_of_another_epoch_is_refused),
        TEST(drill_expired_root_stops_installs_and_nothing_else),
        TEST(freeze_yesterdays_status_is_older_than_the_root),
        TEST(a_release_whose_key_is_revoked_in_between_does_not_commit),
        TEST(a_trial_walks_too),
        TEST(a_static_tree_needs_the_roots_word_too),
        TEST(a_static_tree_is_judged_by_the_roots_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
