/* Opening: reuse, and a sentence for each way it can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/server/store_kit.h"

static char *folder;
static char db_path[256];

static int new_folder(void **state)
{
    (void)state;
    folder = kit_folder();
    (void)snprintf(db_path, sizeof db_path, "%s/surefoot.db", folder);
    return 0;
}

static int old_folder(void **state)
{
    (void)state;
    kit_remove(folder);
    return 0;
}

static void sql(const char *text)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(db_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Opening fails with this error and a sentence that has `part` in it. */
static void refused(const char *where, int error, const char *part)
{
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    struct store_options options = {.busy_timeout_ms = 1};
    assert_null(store_open(where, &options, &err, why));
    if (err != error || strstr(why, part) == NULL) {
        print_error("%d: %s\n", err, why);
    }
    assert_int_equal(err, error);
    assert_non_null(strstr(why, part));
}

static int put_setting(struct store_tx *tx, void *arg)
{
    return store_meta_put(tx, "color", arg);
}

static void a_second_start_finds_what_the_first_one_left(void **state)
{
    (void)state;
    char value[STORE_VALUE_MAX + 1];
    char green[] = "green";
    struct kit_fleet fleet;
    struct product product;
    struct store *s = kit_open(folder);
    kit_fill(s, &fleet);
    assert_int_equal(store_run(s, put_setting, green), SF_OK);
    store_close(s);
    s = kit_open(folder);
    assert_int_equal(store_meta_get(store_reader(s, 0), "color", value), SF_OK);
    assert_string_equal(value, "green");
    assert_int_equal(store_meta_get(store_reader(s, 0), "colour", value), SF_ERR_NOTFOUND);
    assert_int_equal(store_product_find(store_reader(s, 1), "lamp", &product), SF_OK);
    assert_int_equal(product.id, fleet.product);
    struct uptime_row uptime[3];
    assert_int_equal(store_uptime_list(store_reader(s, 0), 0, uptime, 3), 2);
    store_close(s);
}

static void the_database_is_for_its_owner_only(void **state)
{
    (void)state;
    struct stat info;
    store_close(kit_open(folder));
    assert_int_equal(stat(db_path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void a_folder_serves_one_process(void **state)
{
    (void)state;
    struct store *s = kit_open(folder);
    refused(folder, SF_ERR_BUSY, "in use by another surefootd");
    store_close(s);
    store_close(kit_open(folder));
}

static void a_folder_that_is_not_there_is_refused(void **state)
{
    (void)state;
    refused("/nonexistent/folder", SF_ERR_NOTFOUND, "'/nonexistent/folder' is not writable");
}

static void a_newer_schema_is_refused_by_its_number_and_left_alone(void **state)
{
    (void)state;
    store_close(kit_open(folder));
    sql("INSERT INTO schema_version (version, applied_at) VALUES (7, 0)");
    refused(folder, SF_ERR_VERSION, "has schema 7, this surefootd knows up to ");
    sql("DELETE FROM schema_version WHERE version = 7");
    store_close(kit_open(folder));
}

static void a_database_of_another_program_is_left_alone(void **state)
{
    (void)state;
    sql("CREATE TABLE recipe (id INTEGER)");
    refused(folder, SF_ERR_FORMAT, "database of another program");
    sql("SELECT id FROM recipe");
}

static void write_file(const char *text)
{
    FILE *f = fopen(db_path, "w");
    assert_non_null(f);
    for (int i = 0; i < 2000; i++) {
        assert_true(fputs(text, f) >= 0);
    }
    assert_int_equal(fclose(f), 0);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    (void)state;
    write_file("this is not a database\n");
    refused(folder, SF_ERR_CORRUPT, "is damaged");
}

static void a_lock_of_another_program_is_told(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(db_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    refused(folder, SF_ERR_BUSY, "is locked by another program");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    store_close(kit_open(folder));
}

/* Root may write anything, so the refusal is looked at by a child without privileges. */
static void as_nobody(const char *part)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int err = SF_OK;
        char why[STORE_WHY_SIZE] = "";
        if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0)) {
            _exit(3);
        }
        struct store *s = store_open(folder, NULL, &err, why);
        _exit(s == NULL && err == SF_ERR_STATE && strstr(why, part) != NULL ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_folder_or_database_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    char lock_path[256];
    (void)snprintf(lock_path, sizeof lock_path, "%s/surefoot.lock", folder);
    assert_int_equal(chmod(folder, 0555), 0);
    as_nobody("is not writable: Permission denied");
    assert_int_equal(chmod(folder, 0755), 0);
    store_close(kit_open(folder));
    assert_int_equal(chmod(lock_path, 0666), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(chmod(db_path, 0444), 0);
    as_nobody("cannot be written");
    assert_int_equal(chmod(db_path, 0600), 0);
    store_close(kit_open(folder));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, new_folder, old_folder)
    const struct CMUnitTest tests[] = {
        T(a_second_start_finds_what_the_first_one_left),
        T(the_database_is_for_its_owner_only),
        T(a_folder_serves_one_process),
        T(a_folder_that_is_not_there_is_refused),
        T(a_newer_schema_is_refused_by_its_number_and_left_alone),
        T(a_database_of_another_program_is_left_alone),
        T(a_file_that_is_no_database_is_refused),
        T(a_lock_of_another_program_is_told),
        T(a_folder_or_database_that_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
