/* Retention: what goes, what stays, and that one call is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/server/store_kit.h"

enum { DAY = 86400, START = 1700000000 };

static struct store *store;
static struct kit_fleet fleet;

static int open_store(void **state)
{
    (void)state;
    store = kit_open(NULL);
    kit_fill(store, &fleet);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    store_close(store);
    return 0;
}

struct order {
    struct retention keep;
    struct prune_result result;
    int64_t now;
};

static int prune_job(struct store_tx *tx, void *arg)
{
    struct order *o = arg;
    return store_prune(tx, &o->keep, o->now, &o->result);
}

static struct prune_result prune(struct retention keep, int64_t now)
{
    struct order o = {.keep = keep, .now = now};
    assert_int_equal(store_run(store, prune_job, &o), SF_OK);
    return o.result;
}

static int audit_job(struct store_tx *tx, void *arg)
{
    struct audit_row row = {.at = START + *(int *)arg, .who = "ci", .action = "release.publish"};
    return store_audit_add(tx, &row);
}

static void audit_goes_by_age_and_by_batches(void **state)
{
    (void)state;
    struct audit_row rows[50];
    for (int i = 0; i < 40; i++) {
        assert_int_equal(store_run(store, audit_job, &i), SF_OK);
    }
    struct retention keep = {.audit_s = 20, .batch = 7};
    assert_int_equal(prune(keep, START + 50).audit, 7);
    assert_int_equal(store_audit_list(store_reader(store, 0), 0, NULL, rows, 50), 33);
    keep.batch = 1000;
    assert_int_equal(prune(keep, START + 50).audit, 23); /* 0 .. 29 are older than 20 s */
    assert_int_equal(store_audit_list(store_reader(store, 0), 0, "ci", rows, 50), 10);
    assert_int_equal(rows[0].at, START + 30);
    keep.audit_s = 0;
    assert_int_equal(prune(keep, START + 50000000).audit, 0);
}

struct poll {
    const char *id;
    int runs;
    int error;
    int64_t now;
};

static int poll_job(struct store_tx *tx, void *arg)
{
    const struct poll *p = arg;
    return kit_checkin(tx, p->id, p->runs, p->error, p->now);
}

static void poll(const char *id, int runs, int error, int64_t now)
{
    struct poll p = {id, runs, error, now};
    assert_int_equal(store_run(store, poll_job, &p), SF_OK);
}

static void a_devices_latest_deployment_stays_so_that_a_bad_release_stays_out(void **state)
{
    (void)state;
    struct deployment rows[10];
    struct device d;
    int64_t device = kit_add_device(store, &fleet, "lamp-1");
    kit_target(store, fleet.product, fleet.release[1]);
    poll("lamp-1", 1, SF_OK, START);
    poll("lamp-1", 2, SF_OK, START + 10); /* runs it: confirmed */
    kit_target(store, fleet.product, fleet.release[2]);
    poll("lamp-1", 2, SF_OK, START + 20);
    poll("lamp-1", 2, SF_ERR_CRASHED, START + 30);
    assert_int_equal(store_deployment_list(store_reader(store, 0), device, 0, rows, 10), 2);
    assert_int_equal(rows[0].state, DEPLOYMENT_CONFIRMED);
    assert_int_equal(rows[1].state, DEPLOYMENT_ROLLED_BACK);

    struct retention keep = {.deployments_s = DAY, .batch = 100};
    assert_int_equal(prune(keep, START + DAY / 2).deployments, 0);
    assert_int_equal(prune(keep, START + 2 * DAY).deployments, 1);
    assert_int_equal(store_deployment_list(store_reader(store, 0), device, 0, rows, 10), 1);
    poll("lamp-1", 2, SF_OK, START + 3 * DAY);
    assert_int_equal(store_device_get(store_reader(store, 0), device, &d), SF_OK);
    assert_int_equal(d.desired_action, SF_STATUS_STAY);
}

static void the_walk_over_deployments_goes_on_where_it_stopped(void **state)
{
    (void)state;
    struct deployment rows[4];
    unsigned removed = 0;
    int64_t last = 0;
    for (int i = 0; i < 20; i++) { /* twenty devices, two deployments each */
        char id[32];
        (void)snprintf(id, sizeof id, "lamp-%02d", i);
        last = kit_add_device(store, &fleet, id);
    }
    for (int round = 1; round <= 2; round++) {
        kit_target(store, fleet.product, fleet.release[round]);
        for (int i = 0; i < 20; i++) {
            char id[32];
            (void)snprintf(id, sizeof id, "lamp-%02d", i);
            poll(id, round, SF_OK, START);
            poll(id, round + 1, SF_OK, START + 1);
        }
    }
    struct retention keep = {.deployments_s = DAY, .batch = 7};
    for (int call = 0; call < 8; call++) {
        struct prune_result r = prune(keep, START + 2 * DAY);
        assert_true(r.deployments <= 7);
        removed += r.deployments;
    }
    assert_int_equal(removed, 20);
    assert_int_equal(store_deployment_list(store_reader(store, 0), last, 0, rows, 4), 1);
    assert_int_equal(rows[0].release_id, fleet.release[2]);
}

static int revoke_job(struct store_tx *tx, void *arg)
{
    struct device d;
    struct event event;
    int err = store_device_get(store_tx_reader(tx), *(int64_t *)arg, &d);
    err = err == SF_OK ? device_revoke(&d, START, &event) : err;
    return err == SF_OK ? store_device_put(tx, &d, &event, START) : err;
}

static void a_revoked_device_goes_with_all_that_belongs_to_it(void **state)
{
    (void)state;
    struct device d;
    struct history_row history[4];
    struct store_counts counts;
    struct device_seen seen = {.last_seen = START};
    int64_t gone = kit_add_device(store, &fleet, "lamp-1");
    int64_t stays = kit_add_device(store, &fleet, "lamp-2");
    kit_target(store, fleet.product, fleet.release[1]);
    poll("lamp-1", 1, SF_OK, START);
    seen.device_row = gone;
    store_seen(store, &seen);
    assert_int_equal(store_run(store, revoke_job, &gone), SF_OK);
    assert_int_equal(store_counts(store_reader(store, 0), &counts), SF_OK);
    assert_int_equal(counts.devices[DEVICE_REVOKED], 1);
    assert_int_equal(counts.deployments[DEPLOYMENT_OFFERED], 1);

    struct retention keep = {.revoked_devices_s = DAY, .batch = 1000};
    assert_int_equal(prune(keep, START + DAY).devices, 0);
    assert_int_equal(prune(keep, START + DAY + 1).devices, 1);
    assert_int_equal(store_device_get(store_reader(store, 0), gone, &d), SF_ERR_NOTFOUND);
    assert_int_equal(store_device_seen(store_reader(store, 0), gone, &seen), SF_ERR_NOTFOUND);
    assert_int_equal(store_history_list(store_reader(store, 0), gone, 0, history, 4), 0);
    assert_int_equal(store_device_get(store_reader(store, 0), stays, &d), SF_OK);
    assert_int_equal(store_counts(store_reader(store, 0), &counts), SF_OK);
    assert_int_equal(counts.devices[DEVICE_REVOKED], 0);
    assert_int_equal(counts.devices[DEVICE_ENROLLED], 1);
    assert_int_equal(counts.deployments[DEPLOYMENT_OFFERED], 0);
    /* its number is not given out again */
    assert_true(kit_add_device(store, &fleet, "lamp-3") > stays);
}

static int token_job(struct store_tx *tx, void *arg)
{
    struct enrol_token row = {.product_id = fleet.product};
    int number = *(int *)arg;
    memset(row.digest, number, sizeof row.digest);
    return store_enrol_token_add(tx, &row, START);
}

static void an_enrolment_token_that_expired_long_ago_goes(void **state)
{
    (void)state;
    struct enrol_token rows[4];
    for (int i = 1; i <= 3; i++) { /* each makes those before it expire */
        assert_int_equal(store_run(store, token_job, &i), SF_OK);
    }
    struct retention keep = {.batch = 100};
    assert_int_equal(prune(keep, START + 30 * DAY).tokens, 0);
    assert_int_equal(prune(keep, START + 30 * DAY + 1).tokens, 2);
    assert_int_equal(store_enrol_token_list(store_reader(store, 0), fleet.product, 0, rows, 4), 1);
    assert_int_equal(rows[0].expires_at, 0);
}

struct expiry {
    int64_t now;
    int count;
};

static int expire_job(struct store_tx *tx, void *arg)
{
    struct expiry *e = arg;
    e->count = store_deployment_expire(tx, e->now, 2);
    return e->count;
}

static void deployments_past_their_deadline_time_out_some_at_a_time(void **state)
{
    (void)state;
    struct deployment due[4];
    int64_t later = START + DEPLOYMENT_TIMEOUT_S;
    for (int i = 0; i < 3; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "lamp-%d", i);
        (void)kit_add_device(store, &fleet, id);
    }
    kit_target(store, fleet.product, fleet.release[1]);
    poll("lamp-0", 1, SF_OK, START);
    poll("lamp-1", 1, SF_OK, START);
    poll("lamp-2", 1, SF_OK, START);
    assert_int_equal(store_deployment_due(store_reader(store, 0), later - 1, due, 4), 0);
    assert_int_equal(store_deployment_due(store_reader(store, 0), later, due, 4), 3);
    for (int left = 3; left >= 0; left -= 2) {
        struct expiry e = {.now = later};
        assert_int_equal(store_run(store, expire_job, &e), SF_OK);
        assert_int_equal(e.count, left < 2 ? left : 2);
    }
    assert_int_equal(store_deployment_due(store_reader(store, 0), later, due, 4), 0);
    assert_int_equal(store_deployment_get(store_reader(store, 0), 1, &due[0]), SF_OK);
    assert_int_equal(due[0].state, DEPLOYMENT_TIMED_OUT);
    assert_int_equal(due[0].error, SF_ERR_TIMED_OUT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
    const struct CMUnitTest tests[] = {
        T(audit_goes_by_age_and_by_batches),
        T(a_devices_latest_deployment_stays_so_that_a_bad_release_stays_out),
        T(the_walk_over_deployments_goes_on_where_it_stopped),
        T(a_revoked_device_goes_with_all_that_belongs_to_it),
        T(an_enrolment_token_that_expired_long_ago_goes),
        T(deployments_past_their_deadline_time_out_some_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
