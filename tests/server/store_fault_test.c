/* The disk is full or broken at the n-th write, for every n: each job is told the truth, what was
 * acknowledged stays, and the store works on once the disk does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/server/store_fault_vfs.h"
#include "tests/server/store_kit.h"

enum { JOBS = 12, LAST_N = 40 };

struct attempt {
    int number;
    int big; /* writes enough to spill */
};

static int put_setting(struct store_tx *tx, void *arg)
{
    const struct attempt *a = arg;
    char key[32];
    (void)snprintf(key, sizeof key, "key-%d", a->number);
    int err = store_meta_put(tx, key, "value");
    for (int i = 0; err == SF_OK && a->big && i < 40; i++) {
        struct audit_row row = {.at = a->number, .who = "test", .action = "fill"};
        memset(row.detail, 'x', sizeof row.detail - 1);
        err = store_audit_add(tx, &row);
    }
    return err;
}

static int there(struct store *s, int number)
{
    char key[32];
    char value[STORE_VALUE_MAX + 1];
    (void)snprintf(key, sizeof key, "key-%d", number);
    int err = store_meta_get(store_reader(s, 0), key, value);
    assert_true(err == SF_OK || err == SF_ERR_NOTFOUND);
    return err == SF_OK;
}

/* Runs jobs while the disk fails after `n` writes; returns how many of them failed. */
static int with_fault(enum fault_kind kind, unsigned n)
{
    char *folder = kit_folder();
    struct store *s = kit_open(folder);
    int told[JOBS];
    int failures = 0;
    fault_vfs_arm(kind, n);
    for (int i = 0; i < JOBS; i++) {
        struct attempt a = {.number = i, .big = i % 4 == 3};
        told[i] = store_run(s, put_setting, &a);
        failures += told[i] < 0;
        if (told[i] < 0) {
            assert_true(told[i] == (kind == FAULT_FULL ? SF_ERR_NOSPC : SF_ERR_IO));
        }
    }
    (void)fault_vfs_heal();
    struct attempt last = {.number = JOBS, .big = 1};
    assert_int_equal(store_run(s, put_setting, &last), SF_OK);
    for (int i = 0; i < JOBS; i++) {
        assert_true(told[i] < 0 || there(s, i)); /* acknowledged: there */
    }
    store_close(s);
    s = kit_open(folder);
    for (int i = 0; i < JOBS; i++) {
        /* A failed sync leaves open whether it arrived; a failed write does not. */
        assert_true(told[i] < 0 || there(s, i));
        assert_true(told[i] == SF_OK || kind == FAULT_IO || !there(s, i));
    }
    store_close(s);
    kit_remove(folder);
    return failures;
}

static void a_full_disk_is_told_and_loses_nothing(void **state)
{
    (void)state;
    int failures = 0;
    for (unsigned n = 0; n < LAST_N; n++) {
        failures += with_fault(FAULT_FULL, n);
    }
    assert_true(failures > LAST_N);
    assert_int_equal(with_fault(FAULT_FULL, 1000000), 0);
}

static void a_broken_disk_is_told_and_loses_nothing(void **state)
{
    (void)state;
    int failures = 0;
    for (unsigned n = 0; n < LAST_N; n++) {
        failures += with_fault(FAULT_IO, n);
    }
    assert_true(failures > LAST_N);
}

static void a_full_disk_at_the_first_start_is_told_and_the_next_start_works(void **state)
{
    (void)state;
    unsigned n = 0;
    for (;; n++) {
        int err = SF_OK;
        char why[STORE_WHY_SIZE] = "";
        char *folder = kit_folder();
        fault_vfs_arm(FAULT_FULL, n);
        struct store *s = store_open(folder, NULL, &err, why);
        (void)fault_vfs_heal();
        if (s == NULL) {
            assert_int_equal(err, SF_ERR_NOSPC);
            assert_true(strlen(why) > 20);
        }
        int opened = s != NULL;
        store_close(s);
        store_close(kit_open(folder));
        kit_remove(folder);
        if (opened) {
            break;
        }
    }
    assert_true(n > 3);
}

static int install(void **state)
{
    (void)state;
    fault_vfs_install();
    return 0;
}

/* ---- a read transaction whose end fails ---- */

static int commits_fail;

static int is_commit_to_fail(const char *sql)
{
    return commits_fail && strcmp(sql, "COMMIT") == 0;
}

/* It would show that one moment for ever, and a device enrolled later would be answered 401. */
static void a_reader_whose_commit_fails_sees_what_comes_later(void **state)
{
    (void)state;
    struct device_view view;
    struct kit_fleet fleet;
    char *folder = kit_folder();
    fault_statements(is_commit_to_fail);
    struct store *s = kit_open(folder);
    kit_fill(s, &fleet);
    (void)kit_add_device(s, &fleet, "early");
    commits_fail = 1;
    assert_int_equal(store_device_view(store_reader(s, 0), "early", &view), SF_OK);
    commits_fail = 0;
    (void)kit_add_device(s, &fleet, "late");
    assert_int_equal(store_device_view(store_reader(s, 0), "late", &view), SF_OK);
    store_close(s);
    sqlite3_reset_auto_extension();
    kit_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_is_told_and_loses_nothing),
        cmocka_unit_test(a_broken_disk_is_told_and_loses_nothing),
        cmocka_unit_test(a_full_disk_at_the_first_start_is_told_and_the_next_start_works),
        cmocka_unit_test(a_reader_whose_commit_fails_sees_what_comes_later),
    };
    return cmocka_run_group_tests(tests, install, NULL);
}
