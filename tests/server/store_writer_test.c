/* Jobs: order, isolation, promises, the full queue, last-seen. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/server/store_kit.h"

static char *folder;
static struct store *store;

static int open_store(void **state)
{
    (void)state;
    folder = kit_folder();
    store = kit_open(folder);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    store_close(store);
    kit_remove(folder);
    return 0;
}

struct job {
    struct store_job job;
    int number;
    int fails;
    int done;
    int err;
};

enum { JOBS = 2000 };
static struct job jobs[JOBS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static int finished;
static int order[JOBS];
static int holding;

static int run(struct store_tx *tx, void *arg)
{
    struct job *j = arg;
    char key[32];
    (void)snprintf(key, sizeof key, "job-%d", j->number);
    order[j->number] = j->number;
    int err = store_meta_put(tx, key, "ran");
    return err < 0 ? err : (j->fails ? SF_ERR_CANCELLED : SF_OK);
}

static void done(void *arg, int err)
{
    struct job *j = arg;
    (void)pthread_mutex_lock(&lock);
    j->err = err;
    j->done++;
    finished++;
    (void)pthread_cond_signal(&wake);
    (void)pthread_mutex_unlock(&lock);
}

static void wait_for(int count)
{
    (void)pthread_mutex_lock(&lock);
    while (finished < count) {
        (void)pthread_cond_wait(&wake, &lock);
    }
    finished = 0;
    (void)pthread_mutex_unlock(&lock);
}

/* Keeps the writer busy until holding is 0. */
static int hold(struct store_tx *tx, void *arg)
{
    (void)tx;
    (void)arg;
    (void)pthread_mutex_lock(&lock);
    while (holding) {
        (void)pthread_cond_wait(&wake, &lock);
    }
    (void)pthread_mutex_unlock(&lock);
    return SF_OK;
}

static void let_go(void)
{
    (void)pthread_mutex_lock(&lock);
    holding = 0;
    (void)pthread_cond_broadcast(&wake);
    (void)pthread_mutex_unlock(&lock);
}

static int submit(int i, int fails)
{
    jobs[i] = (struct job){.number = i, .fails = fails};
    jobs[i].job = (struct store_job){.run = run, .done = done, .arg = &jobs[i]};
    return store_submit(store, &jobs[i].job);
}

static int exists(int i)
{
    char key[32];
    char value[STORE_VALUE_MAX + 1];
    (void)snprintf(key, sizeof key, "job-%d", i);
    return store_meta_get(store_reader(store, 0), key, value) == SF_OK;
}

static void a_job_that_fails_is_undone_alone_in_its_batch(void **state)
{
    (void)state;
    struct job holder = {.number = 0};
    struct store_counters before;
    struct store_counters after;
    holding = 1;
    holder.job = (struct store_job){.run = hold, .done = done, .arg = &holder};
    assert_int_equal(store_submit(store, &holder.job), SF_OK);
    store_counters(store, &before);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(submit(i, i % 3 == 0), SF_OK);
    }
    let_go();
    wait_for(101);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(jobs[i].done, 1);
        assert_int_equal(jobs[i].err, i % 3 == 0 ? SF_ERR_CANCELLED : SF_OK);
        assert_int_equal(exists(i), i % 3 != 0);
    }
    store_counters(store, &after);
    assert_int_equal(after.jobs_failed - before.jobs_failed, 34);
    assert_true(after.commits - before.commits <= 4); /* committed together */
}

static void a_full_queue_is_busy_and_loses_nothing(void **state)
{
    (void)state;
    store_close(store);
    struct store_options options = {.queue_max = 10};
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    store = store_open(folder, &options, &err, why);
    assert_non_null(store);
    struct job holder = {.number = 0};
    holding = 1;
    holder.job = (struct store_job){.run = hold, .done = done, .arg = &holder};
    assert_int_equal(store_submit(store, &holder.job), SF_OK);
    struct store_counters counters = {.queue_length = 1};
    while (counters.queue_length > 0) { /* until the writer has taken it */
        store_counters(store, &counters);
    }
    int taken = 0;
    for (int i = 0; i < 30; i++) {
        int answer = submit(i, 0);
        assert_true(answer == SF_OK || answer == SF_ERR_BUSY);
        taken += answer == SF_OK;
    }
    assert_int_equal(taken, 10);
    store_counters(store, &counters);
    assert_int_equal(counters.queue_full, 20);
    let_go();
    wait_for(11);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(exists(i), i < 10);
    }
}

static void a_reader_sees_what_was_told_done(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(submit(i, 0), SF_OK);
        wait_for(1);
        assert_true(exists(i));
    }
}

static void closing_runs_what_is_queued(void **state)
{
    (void)state;
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(submit(i, 0), SF_OK);
    }
    store_close(store);
    assert_int_equal(finished, JOBS);
    finished = 0;
    store = kit_open(folder);
    for (int i = 0; i < JOBS; i += 37) {
        assert_true(exists(i));
    }
}

static void *submitter(void *arg)
{
    int first = *(int *)arg;
    for (int i = first; i < first + JOBS / 4; i++) {
        while (submit(i, 0) == SF_ERR_BUSY) {
        }
    }
    return NULL;
}

static void many_threads_may_submit_and_report(void **state)
{
    (void)state;
    pthread_t thread[4];
    int first[4];
    for (int i = 0; i < 4; i++) {
        first[i] = i * JOBS / 4;
        assert_int_equal(pthread_create(&thread[i], NULL, submitter, &first[i]), 0);
    }
    for (int i = 0; i < 1000; i++) {
        struct device_seen seen = {.device_row = i % 50 + 1, .last_seen = i + 1};
        store_seen(store, &seen);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    wait_for(JOBS);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(jobs[i].err, SF_OK);
    }
}

/* ---- last-seen ---- */

static void a_poll_is_seen_at_once_and_written_later(void **state)
{
    (void)state;
    struct device_seen seen = {.device_row = 5, .last_seen = 1000, .boot_count = 3};
    struct device_seen out;
    struct store_counters counters;
    store_counters(store, &counters);
    uint64_t commits = counters.commits;
    store_seen(store, &seen);
    seen.last_seen = 1001;
    store_seen(store, &seen);
    assert_int_equal(store_device_seen(store_reader(store, 0), 5, &out), SF_OK);
    assert_int_equal(out.last_seen, 1001);
    store_counters(store, &counters);
    assert_int_equal(counters.seen_pending, 1);
    assert_int_equal(counters.commits, commits);
    assert_int_equal(store_flush(store), SF_OK);
    store_counters(store, &counters);
    assert_int_equal(counters.seen_pending, 0);
    assert_int_equal(store_device_seen(store_reader(store, 0), 5, &out), SF_OK);
    assert_int_equal(out.last_seen, 1001);
    assert_int_equal(out.boot_count, 3);
    assert_int_equal(store_device_seen(store_reader(store, 0), 6, &out), SF_ERR_NOTFOUND);
}

static void thousands_of_devices_are_flushed_by_pages(void **state)
{
    (void)state;
    struct device_seen out;
    for (int i = 1; i <= 20000; i++) {
        struct device_seen seen = {.device_row = i, .last_seen = i};
        store_seen(store, &seen);
    }
    assert_int_equal(store_flush(store), SF_OK);
    store_close(store);
    store = kit_open(folder);
    for (int i = 1; i <= 20000; i += 97) {
        assert_int_equal(store_device_seen(store_reader(store, 0), i, &out), SF_OK);
        assert_int_equal(out.last_seen, i);
    }
}

static void the_last_seen_table_has_a_limit(void **state)
{
    (void)state;
    store_close(store);
    struct store_options options = {.seen_max = 100};
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    store = store_open(folder, &options, &err, why);
    assert_non_null(store);
    for (int i = 1; i <= 100000; i++) {
        struct device_seen seen = {.device_row = i, .last_seen = i};
        struct store_counters counters;
        store_seen(store, &seen);
        if (i % 1000 == 0) {
            store_counters(store, &counters);
            assert_true(counters.seen_pending <= 200);
        }
    }
}

static void the_uptime_ledger_tells_how_long_and_how_much_was_shed(void **state)
{
    (void)state;
    struct uptime_row row;
    store_shed(store, 4);
    store_shed(store, 3);
    assert_int_equal(store_flush(store), SF_OK);
    assert_int_equal(store_uptime_list(store_reader(store, 0), 0, &row, 1), 1);
    assert_int_equal(row.from_at, 1700000000);
    assert_int_equal(row.until_at, 1700000000);
    assert_int_equal(row.shed_s, 7);
    assert_int_equal(store_flush(store), SF_OK);
    assert_int_equal(store_uptime_list(store_reader(store, 0), 0, &row, 1), 1);
    assert_int_equal(row.shed_s, 7);
}

/* ---- rows that do not fit ---- */

static int too_long(struct store_tx *tx, void *arg)
{
    char value[STORE_VALUE_MAX + 2];
    (void)arg;
    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = '\0';
    return store_meta_put(tx, "key", value);
}

static void a_text_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    assert_int_equal(store_run(store, too_long, NULL), SF_ERR_NOSPC);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
    const struct CMUnitTest tests[] = {
        T(a_job_that_fails_is_undone_alone_in_its_batch),
        T(a_full_queue_is_busy_and_loses_nothing),
        T(a_reader_sees_what_was_told_done),
        T(closing_runs_what_is_queued),
        T(many_threads_may_submit_and_report),
        T(a_poll_is_seen_at_once_and_written_later),
        T(thousands_of_devices_are_flushed_by_pages),
        T(the_last_seen_table_has_a_limit),
        T(the_uptime_ledger_tells_how_long_and_how_much_was_shed),
        T(a_text_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
