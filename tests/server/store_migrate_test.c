/* Databases of every schema that there has been, with rows in every table, opened by today's store.
 *
 * A schema that has been released never changes: its text is pinned here, and what it was filled
 * with is in tests/server/migrations. A new migration adds a pin and, for what it adds, rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "server/store/sqlite.h"
#include "tests/server/store_fault_vfs.h"
#include "tests/server/store_kit.h"

enum { PATH_SIZE = 512, TABLES_MAX = 32, SQL_SIZE = 4096, TEXT_SIZE = 65536, FAULTS_MAX = 400 };

static const char *const pins[] = {
    "180517231a155bee0cda57cbe2d46609c9b4354d203b2531148eaa82a4f59bcf",
    "2415048c4705466e9272c44ed64f7a0f49f671badf99e2ec900876f4373fa695",
    "43298b9c49f933ae4b3c4ea1c4f48c741d4bad52755fa79e9308567bc098d599",
    "a22841527820e2a664ed2f884fb15d7fbc5ca89e7d8a52fe638ecae9462295b1",
};

static char *folder;

static int new_folder(void **state)
{
    (void)state;
    folder = kit_folder();
    return 0;
}

static int old_folder(void **state)
{
    (void)state;
    kit_remove(folder);
    return 0;
}

/* ---- SQLite by hand ---- */

static sqlite3 *open_db(void)
{
    char path[PATH_SIZE];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/surefoot.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        fail_msg("%s: %.200s", why, sql);
    }
}

/* The first column of each row, a line each. */
static void text_of(sqlite3 *db, const char *sql, char *out, size_t size)
{
    sqlite3_stmt *at = NULL;
    size_t len = 0;
    if (sqlite3_prepare_v2(db, sql, -1, &at, NULL) != SQLITE_OK) {
        fail_msg("%s: %.200s", sqlite3_errmsg(db), sql);
    }
    out[0] = '\0';
    while (sqlite3_step(at) == SQLITE_ROW) {
        len += (size_t)snprintf(out + len, size - len, "%s\n",
                                (const char *)sqlite3_column_text(at, 0));
        assert_true(len < size);
    }
    assert_int_equal(sqlite3_finalize(at), SQLITE_OK);
}

static void schema_of(sqlite3 *db, char out[TEXT_SIZE])
{
    text_of(db,
            "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '')"
            " FROM sqlite_schema ORDER BY type, name",
            out, TEXT_SIZE);
}

static void run_file(sqlite3 *db, unsigned version)
{
    static char sql[TEXT_SIZE];
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, SF_SOURCE_DIR "/tests/server/migrations/%04u_rows.sql",
                   version);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        fail_msg("%s is missing: every schema needs rows to migrate", path);
    }
    sql[fread(sql, 1, sizeof sql - 1, f)] = '\0';
    (void)fclose(f);
    run(db, sql);
}

/* As a surefootd of that schema left it. */
static void make_schema(unsigned version)
{
    sqlite3 *db = open_db();
    run(db, "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF");
    run(db, "BEGIN");
    run(db, "CREATE TABLE schema_version (version INTEGER PRIMARY KEY,"
            " applied_at INTEGER NOT NULL) STRICT");
    for (unsigned i = 0; i < version; i++) {
        char record[128];
        (void)snprintf(record, sizeof record, "INSERT INTO schema_version VALUES (%u, 1700000000)",
                       i + 1);
        run(db, migrations[i].sql);
        run(db, record);
        run_file(db, i + 1);
    }
    run(db, "COMMIT");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---- all rows of all tables ---- */

struct rows {
    unsigned count;
    char sql[TABLES_MAX][SQL_SIZE]; /* each row as text */
    char text[TABLES_MAX][8192];
};

static void take_rows(sqlite3 *db, struct rows *out)
{
    static char names[TEXT_SIZE];
    text_of(db,
            "SELECT 'SELECT ' || (SELECT group_concat('quote(' || c.name || ')', ' || '','' || ')"
            " FROM pragma_table_info(t.name) c) || ' FROM ' || t.name"
            " FROM sqlite_schema t WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " ORDER BY name",
            names, sizeof names);
    out->count = 0;
    for (char *line = names; *line != '\0';) {
        const size_t len = strcspn(line, "\n");
        assert_true(out->count < TABLES_MAX);
        (void)snprintf(out->sql[out->count], SQL_SIZE, "%.*s", (int)len, line);
        text_of(db, out->sql[out->count], out->text[out->count], sizeof out->text[0]);
        if (out->text[out->count][0] == '\0') {
            fail_msg("no row to migrate: %s", out->sql[out->count]);
        }
        out->count++;
        line += len + 1;
    }
}

/* Every row is there as it was; tables and columns may have come, rows of `uptime` too. */
static void expect_rows(sqlite3 *db, const struct rows *old)
{
    static char now[TEXT_SIZE];
    for (unsigned i = 0; i < old->count; i++) {
        text_of(db, old->sql[i], now, sizeof now);
        for (const char *line = old->text[i]; *line != '\0';) {
            char row[8192];
            const size_t len = strcspn(line, "\n") + 1;
            (void)snprintf(row, sizeof row, "%.*s", (int)len, line);
            if (strstr(now, row) == NULL) {
                fail_msg("lost by the migration: %s of %s", row, old->sql[i]);
            }
            line += len;
        }
    }
}

/* ---- tests ---- */

static void a_released_migration_never_changes(void **state)
{
    (void)state;
    assert_int_equal(migration_count, sizeof pins / sizeof pins[0]);
    for (unsigned i = 0; i < migration_count && i < sizeof pins / sizeof pins[0]; i++) {
        uint8_t digest[SF_SHA256_SIZE];
        char hex[2 * SF_SHA256_SIZE + 1];
        assert_int_equal(
            sf_sha256(crypto_openssl(), migrations[i].sql, strlen(migrations[i].sql), digest),
            SF_OK);
        hex_encode(digest, sizeof digest, hex);
        if (strcmp(hex, pins[i]) != 0) {
            fail_msg("%s was changed: databases in the field have run it as it was; add a new "
                     "migration instead",
                     migrations[i].name);
        }
    }
}

static void every_schema_comes_forward_with_all_its_rows(void **state)
{
    static char fresh[TEXT_SIZE];
    static char migrated[TEXT_SIZE];
    static struct rows rows;
    store_close(kit_open(folder));
    sqlite3 *db = open_db();
    schema_of(db, fresh);
    (void)sqlite3_close(db);
    for (unsigned version = 1; version <= migration_count; version++) {
        (void)old_folder(state);
        (void)new_folder(state);
        make_schema(version);
        db = open_db();
        take_rows(db, &rows);
        (void)sqlite3_close(db);
        store_close(kit_open(folder));
        db = open_db();
        schema_of(db, migrated);
        assert_string_equal(migrated, fresh);
        expect_rows(db, &rows);
        text_of(db, "PRAGMA integrity_check", migrated, sizeof migrated);
        assert_string_equal(migrated, "ok\n");
        text_of(db, "SELECT \"table\" FROM pragma_foreign_key_check", migrated, sizeof migrated);
        assert_string_equal(migrated, "");
        (void)sqlite3_close(db);
    }
}

/* For whoever wants to go back to the version before. */
static void the_database_as_it_was_stays_beside_it(void **state)
{
    (void)state;
    static struct rows rows;
    char path[PATH_SIZE];
    char text[64];
    sqlite3 *copy = NULL;
    make_schema(1);
    sqlite3 *db = open_db();
    take_rows(db, &rows);
    (void)sqlite3_close(db);
    store_close(kit_open(folder));
    (void)snprintf(path, sizeof path, "%s/surefoot.db.before-%u", folder, migration_count);
    assert_int_equal(sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    text_of(copy, "SELECT max(version) FROM schema_version", text, sizeof text);
    assert_string_equal(text, "1\n");
    expect_rows(copy, &rows);
    (void)sqlite3_close(copy);
    assert_int_equal(unlink(path), 0);
    store_close(kit_open(folder)); /* nothing to bring up to date: no copy */
    assert_int_equal(access(path, F_OK), -1);
}

/* What the rows of schema 1 mean to today's code. */
static void rows_of_schema_1_are_read_as_what_they_were(void **state)
{
    (void)state;
    struct product product;
    struct device_view view;
    struct api_token token;
    struct store_counts counts;
    make_schema(1);
    struct store *s = kit_open(folder);
    struct store_reader *r = store_reader(s, 0);
    assert_int_equal(store_product_find(r, "plug", &product), SF_OK);
    assert_int_equal(product.plain_access, 1); /* by token: what schema 2 gives plain products */
    assert_int_equal(store_product_find(r, "lamp", &product), SF_OK);
    assert_int_equal(product.plain_access, 0);
    assert_int_equal(product.target_release, 1);
    assert_int_equal(store_device_view(r, "a4cf12000001", &view), SF_OK);
    assert_int_equal(view.device.kind, 1);
    assert_int_equal(view.device.desired_seq, 4);
    assert_string_equal(view.device.outcome_text, "voltage");
    assert_int_equal(view.seen.boot_count, 17);
    assert_true(view.has_current);
    assert_int_equal(view.current.attempt, 2);
    assert_int_equal(
        store_token_find(r, (const uint8_t *)"adminadminadminadminadminadminad", &token), SF_OK);
    assert_string_equal(token.name, "admin");
    assert_int_equal(store_counts(r, &counts), SF_OK);
    assert_int_equal(counts.devices[1], 1);
    assert_int_equal(counts.devices[2], 1);
    assert_int_equal(counts.devices[3], 1);
    store_close(s);
}

/* 0002 adds columns before it makes a table whose name is taken here: none of it may stay. */
static void a_migration_that_fails_in_its_middle_leaves_the_old_schema(void **state)
{
    (void)state;
    static char before[TEXT_SIZE];
    static char after[TEXT_SIZE];
    static struct rows rows;
    char why[STORE_WHY_SIZE];
    int err = SF_OK;
    make_schema(1);
    sqlite3 *db = open_db();
    run(db, "CREATE TABLE plain_token (x INTEGER) STRICT; INSERT INTO plain_token VALUES (1)");
    schema_of(db, before);
    take_rows(db, &rows);
    (void)sqlite3_close(db);
    assert_null(store_open(folder, NULL, &err, why));
    assert_non_null(strstr(why, "plain_token"));
    db = open_db();
    schema_of(db, after);
    assert_string_equal(after, before);
    expect_rows(db, &rows);
    run(db, "DROP TABLE plain_token");
    (void)sqlite3_close(db);
    store_close(kit_open(folder));
}

/* 1 if a version and a count are those of a schema with all that leads to it. */
static int is_whole(const char *text)
{
    char whole[32];
    int found = 0;
    for (unsigned version = 1; version <= migration_count; version++) {
        (void)snprintf(whole, sizeof whole, "%u %u\n", version, version);
        found |= strcmp(text, whole) == 0;
    }
    return found;
}

/* The disk is full or broken at the n-th write while it migrates, for every n. */
static void with_faults(enum fault_kind kind)
{
    static struct rows rows;
    unsigned n = 0;
    unsigned failures = 0;
    for (int opened = 0; !opened && n < FAULTS_MAX; n++) {
        char why[STORE_WHY_SIZE];
        char text[256];
        int err = SF_OK;
        folder = kit_folder();
        make_schema(1);
        sqlite3 *db = open_db();
        take_rows(db, &rows);
        (void)sqlite3_close(db);
        fault_vfs_arm(kind, n);
        struct store *s = store_open(folder, NULL, &err, why);
        opened = s != NULL;
        store_close(s);
        (void)fault_vfs_heal();
        if (!opened) {
            failures++;
            assert_true(err == SF_ERR_NOSPC || err == SF_ERR_IO);
            assert_true(why[0] != '\0');
            db = open_db();
            text_of(db, "SELECT max(version) || ' ' || count(*) FROM schema_version", text,
                    sizeof text);
            assert_true(is_whole(text));
            (void)sqlite3_close(db);
            store_close(kit_open(folder)); /* once the disk is well */
        }
        db = open_db();
        expect_rows(db, &rows);
        (void)sqlite3_close(db);
        kit_remove(folder);
    }
    print_message("%u faults, then it went through\n", failures);
    assert_true(failures > 0);
    assert_true(n < FAULTS_MAX);
}

static void no_fault_of_the_disk_loses_a_row(void **state)
{
    (void)state;
    with_faults(FAULT_FULL);
    with_faults(FAULT_IO);
}

static int install_faults(void **state)
{
    (void)state;
    fault_vfs_install();
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, new_folder, old_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_released_migration_never_changes),
        T(every_schema_comes_forward_with_all_its_rows),
        T(the_database_as_it_was_stays_beside_it),
        T(rows_of_schema_1_are_read_as_what_they_were),
        T(a_migration_that_fails_in_its_middle_leaves_the_old_schema),
        cmocka_unit_test(no_fault_of_the_disk_loses_a_row),
    };
    return cmocka_run_group_tests(tests, install_faults, NULL);
}
