/* The schema is what the code thinks, and no query reads a table from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/store/sqlite.h"
#include "tests/server/store_kit.h"

static sqlite3 *db;

static int migrated(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    for (unsigned i = 0; i < migration_count; i++) {
        assert_int_equal(sqlite3_exec(db, migrations[i].sql, NULL, NULL, NULL), SQLITE_OK);
    }
    return 0;
}

static int closed(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return 0;
}

static void every_column_of_the_code_is_in_the_schema_and_back(void **state)
{
    (void)state;
    for (int t = 0; t < T_COUNT; t++) {
        char sql[128];
        sqlite3_stmt *stmt = NULL;
        unsigned count = 0;
        (void)snprintf(sql, sizeof sql,
                       "SELECT name, type, \"notnull\" FROM pragma_table_info('%s')",
                       tables[t].name);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW) {
            assert_true(count < tables[t].column_count);
            const struct column *c = &tables[t].column[count];
            const char *type = c->type == COL_TEXT                         ? "TEXT"
                               : c->type == COL_BLOB || c->type == COL_VAR ? "BLOB"
                                                                           : "INTEGER";
            assert_string_equal((const char *)sqlite3_column_text(stmt, 0), c->name);
            assert_string_equal((const char *)sqlite3_column_text(stmt, 1), type);
            int required = (c->flags & COL_OPTIONAL) == 0 && count > 0;
            assert_int_equal(sqlite3_column_int(stmt, 2), required);
            count++;
        }
        assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
        assert_int_equal(count, tables[t].column_count);
    }
}

static void every_column_in_an_index_is_marked_as_key(void **state)
{
    (void)state;
    static const char sql[] =
        "SELECT m.name, i.name FROM sqlite_schema m, pragma_index_list(m.name) l,"
        " pragma_index_info(l.name) i WHERE m.type = 'table'";
    sqlite3_stmt *stmt = NULL;
    unsigned checked = 0;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(stmt, 0);
        const char *column = (const char *)sqlite3_column_text(stmt, 1);
        for (int t = 0; t < T_COUNT; t++) {
            for (unsigned i = 0; strcmp(tables[t].name, table) == 0 && i < tables[t].column_count;
                 i++) {
                const struct column *c = &tables[t].column[i];
                int append_only = t == T_HISTORY || t == T_AUDIT; /* never updated */
                if (strcmp(c->name, column) == 0 && !append_only) {
                    assert_true((c->flags & COL_KEY) != 0);
                    checked++;
                }
            }
        }
    }
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_true(checked > 20);
}

/* The plan of a query, its lines one after the other. */
static void plan_of(enum query_id q, char *plan, size_t size)
{
    char sql[2048] = "EXPLAIN QUERY PLAN ";
    size_t at = strlen(sql);
    sqlite3_stmt *stmt = NULL;
    assert_true(sqlite_query_text(q, sql + at, sizeof sql - at));
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    at = 0;
    while (sqlite3_step(stmt) == SQLITE_ROW && at < size) {
        at += (size_t)snprintf(plan + at, size - at, "%s\n",
                               (const char *)sqlite3_column_text(stmt, 3));
    }
    assert_true(at > 0 && at < size);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
}

static void every_query_uses_an_index(void **state)
{
    (void)state;
    for (int q = 0; q < Q_COUNT; q++) {
        char plan[1024];
        /* the oldest rows, in the order they were written: reads as many as it is asked for */
        int oldest = q == Q_HISTORY_OLDEST || q == Q_AUDIT_OLDEST;
        plan_of((enum query_id)q, plan, sizeof plan);
        int scan = strstr(plan, "SCAN ") != NULL;
        if (scan != oldest) {
            print_error("query %d:\n%s", q, plan);
        }
        assert_int_equal(scan, oldest);
    }
}

static void device_lists_are_not_sorted(void **state)
{
    (void)state;
    for (int q = Q_DEVICES; q < Q_COUNT; q++) {
        char plan[1024];
        plan_of((enum query_id)q, plan, sizeof plan);
        assert_null(strstr(plan, "TEMP B-TREE"));
    }
}

static void pages_of_devices_add_up_to_all_of_them(void **state)
{
    (void)state;
    struct kit_fleet fleet;
    struct store *s = kit_open(NULL);
    static struct device page[7];
    kit_fill(s, &fleet);
    for (int i = 0; i < 100; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "%s-%02d", i % 2 == 0 ? "lamp" : "fan", i);
        (void)kit_add_device(s, &fleet, id);
    }
    struct device_filter f = {.product_id = fleet.product, .id_prefix = "lamp-"};
    int total = 0;
    int count = 7;
    while (count == 7) {
        count = store_device_list(store_reader(s, 0), &f, page, 7);
        for (int i = 0; i < count; i++) {
            assert_true(strcmp(page[i].id, f.after_id) > 0);
            assert_memory_equal(page[i].id, "lamp-", 5);
            memcpy(f.after_id, page[i].id, sizeof f.after_id);
        }
        total += count;
    }
    assert_int_equal(total, 50);
    struct device_filter version_alone = {.version = "1.0.0"};
    assert_int_equal(store_device_list(store_reader(s, 0), &version_alone, page, 7), SF_ERR_RANGE);
    store_close(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, migrated, closed)
    const struct CMUnitTest tests[] = {
        T(every_column_of_the_code_is_in_the_schema_and_back),
        T(every_column_in_an_index_is_marked_as_key),
        T(every_query_uses_an_index),
        T(device_lists_are_not_sorted),
        cmocka_unit_test(pages_of_devices_add_up_to_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
