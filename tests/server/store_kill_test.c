/* kill -9 at random moments: what was acknowledged is there, and the database is sound. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/server/store_kit.h"

enum { ROUNDS = 25, IN_FLIGHT = 16 };

struct job {
    struct store_job job;
    int32_t number;
    int pipe;
};

static int run(struct store_tx *tx, void *arg)
{
    const struct job *j = arg;
    char key[32];
    struct audit_row row = {.at = j->number, .who = "child", .action = "test"};
    (void)snprintf(key, sizeof key, "%d", j->number);
    (void)snprintf(row.object, sizeof row.object, "%d", j->number);
    int err = store_audit_add(tx, &row); /* two tables: both or none */
    return err < 0 ? err : store_meta_put(tx, key, "x");
}

/* The acknowledgement is what the parent has read from the pipe: it survives the child. */
static void done(void *arg, int err)
{
    const struct job *j = arg;
    if (err != SF_OK || write(j->pipe, &j->number, sizeof j->number) != sizeof j->number) {
        _exit(2);
    }
}

static void write_until_killed(const char *folder, int32_t first, int pipe)
{
    static struct job jobs[1000000];
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    struct store *s = store_open(folder, NULL, &err, why);
    if (s == NULL) {
        _exit(3);
    }
    for (int i = 0; i < 1000000; i++) {
        struct job *j = &jobs[i];
        *j = (struct job){.number = first + i, .pipe = pipe};
        j->job = (struct store_job){.run = run, .done = done, .arg = j};
        if (i % IN_FLIGHT == 0) {
            struct device_seen seen = {.device_row = i + 1, .last_seen = i + 1};
            store_seen(s, &seen);
            err = store_flush(s);
        }
        if (err != SF_OK || store_submit(s, &j->job) != SF_OK) {
            _exit(4);
        }
    }
    _exit(5);
}

/* Reads acknowledgements for `patience_us`, then kills; returns the first number not acknowledged.
 * They come in order, so they are a run of numbers. */
static int32_t kill_after(pid_t child, int pipe, int32_t first, long patience_us)
{
    struct timespec start;
    struct timespec now;
    int32_t next = first;
    int32_t number = 0;
    int killed = 0;
    ssize_t got = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    while ((got = read(pipe, &number, sizeof number)) > 0) {
        assert_int_equal(got, sizeof number);
        assert_int_equal(number, next);
        next++;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        long passed = (now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000;
        if (!killed && passed >= patience_us) {
            assert_int_equal(kill(child, SIGKILL), 0);
            killed = 1; /* what is in the pipe was acknowledged too: read on */
        }
    }
    return next;
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(stmt, 0);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    return value;
}

/* Returns how many jobs are in the database: 1 .. n without a gap, in both tables. */
static int32_t check_database(const char *folder)
{
    char path[256];
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    (void)snprintf(path, sizeof path, "%s/surefoot.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    int64_t count = number_of(db, "SELECT count(*) FROM audit");
    assert_int_equal(count, number_of(db, "SELECT coalesce(max(at), 0) FROM audit"));
    assert_int_equal(count, number_of(db, "SELECT count(DISTINCT at) FROM audit"));
    assert_int_equal(count, number_of(db, "SELECT count(*) FROM meta"));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return (int32_t)count;
}

static void nothing_acknowledged_is_lost_whenever_it_is_killed(void **state)
{
    (void)state;
    char *folder = kit_folder();
    uint32_t rng = 20240601;
    int32_t first = 1;
    print_message("seed %u\n", rng);
    store_close(kit_open(folder));
    for (int round = 0; round < ROUNDS; round++) {
        int ends[2];
        rng = rng * 1664525u + 1013904223u;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            write_until_killed(folder, first, ends[1]);
        }
        (void)close(ends[1]);
        int32_t next = kill_after(child, ends[0], first, (long)(rng >> 8) % 60000);
        int status = 0;
        (void)close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        int32_t there = check_database(folder);
        if (there < next - 1) {
            print_error("round %d: %d acknowledged, %d there\n", round, next - 1, there);
        }
        assert_true(there >= next - 1);
        assert_true(next > first);
        store_close(kit_open(folder)); /* needs no repair */
        first = check_database(folder) + 1;
    }
    print_message("%d jobs over %d kills\n", first - 1, ROUNDS);
    kit_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_whenever_it_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
