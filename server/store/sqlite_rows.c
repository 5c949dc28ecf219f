/* Rows in and out of SQLite, driven by the tables' columns.
 *
 * Invariants
 *  1. Every statement is reset before its function returns, so no read holds a snapshot open.
 *  2. What a row of the database cannot be in C (a text too long, a digest of another length) is
 *     SF_ERR_CORRUPT, never a truncation. */
#include "server/store/sqlite.h"

#include <stdio.h>
#include <string.h>

enum { SQL_TEXT_SIZE = 2048 };

int sqlite_error(int rc)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return SF_ERR_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return SF_ERR_NOTFOUND;
    default:
        break;
    }
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SF_OK;
    case SQLITE_CONSTRAINT:
        return SF_ERR_RANGE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SF_ERR_BUSY;
    case SQLITE_FULL:
        return SF_ERR_NOSPC;
    case SQLITE_NOMEM:
        return SF_ERR_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SF_ERR_CORRUPT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return SF_ERR_STATE;
    default:
        return SF_ERR_IO;
    }
}

/* ---- the text of statements ---- */

struct text {
    char *out;
    size_t size;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (t->len < t->size) {
        int n = vsnprintf(t->out + t->len, t->size - t->len, fmt, args);
        t->len += n > 0 ? (size_t)n : 0;
    }
    va_end(args);
}

static void add_names(struct text *t, const struct table *table)
{
    for (unsigned i = 0; i < table->column_count; i++) {
        add(t, "%s%s", i > 0 ? ", " : "", table->column[i].name);
    }
}

static void add_insert(struct text *t, const struct table *table, const char *verb)
{
    add(t, "%s INTO %s (", verb, table->name);
    add_names(t, table);
    add(t, ") VALUES (");
    for (unsigned i = 0; i < table->column_count; i++) {
        add(t, "%s?%u", i > 0 ? ", " : "", i + 1);
    }
    add(t, ")");
}

/* Columns in an index are set by a statement of their own that touches the row only if one differs:
 * SQLite rewrites the index entry of every column that an UPDATE names. */
static int add_update(struct text *t, const struct table *table, unsigned keys)
{
    unsigned count = 0;
    add(t, "UPDATE %s SET ", table->name);
    for (unsigned i = 1; i < table->column_count; i++) {
        if ((table->column[i].flags & COL_KEY) == keys) {
            add(t, "%s%s = ?%u", count++ > 0 ? ", " : "", table->column[i].name, i + 1);
        }
    }
    add(t, " WHERE id = ?1");
    if (keys == 0) {
        return count > 0;
    }
    unsigned n = 0;
    for (unsigned i = 1; i < table->column_count; i++) {
        if ((table->column[i].flags & COL_KEY) == keys) {
            add(t, "%s%s IS NOT ?%u", n++ > 0 ? " OR " : " AND (", table->column[i].name, i + 1);
        }
    }
    add(t, ")");
    return count > 0;
}

/* 1, or 0 if the table has no such statement. */
static int verb_text(const struct table *table, enum sqlite_verb verb, struct text *t)
{
    switch (verb) {
    case SQL_GET:
        add(t, "SELECT ");
        add_names(t, table);
        add(t, " FROM %s WHERE id = ?1", table->name);
        return 1;
    case SQL_INSERT:
        add_insert(t, table, "INSERT");
        return 1;
    case SQL_PUT:
        add_insert(t, table, "INSERT OR REPLACE");
        return 1;
    case SQL_UPDATE:
        return add_update(t, table, 0);
    case SQL_UPDATE_KEYS:
        return add_update(t, table, COL_KEY);
    case SQL_REMOVE:
        add(t, "DELETE FROM %s WHERE id = ?1", table->name);
        return 1;
    case SQL_VERBS:
    default:
        return 0;
    }
}

int sqlite_query_text(enum query_id q, char *out, size_t size)
{
    const struct table *table = &tables[query_find(q)->table];
    char tail[QUERY_TAIL_SIZE];
    struct text t = {NULL, size, 0};
    t.out = out;
    add(&t, "SELECT ");
    add_names(&t, table);
    add(&t, " FROM %s %s LIMIT ?", table->name, query_tail(q, tail));
    return t.len < size;
}

static int prepare(struct sqlite_conn *c, sqlite3_stmt **stmt, const struct text *t)
{
    if (t->len >= t->size) {
        return SF_ERR_INTERNAL;
    }
    return sqlite_error(
        sqlite3_prepare_v3(c->db, t->out, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL));
}

/* SF_OK with *out, which is NULL if the table has no such statement. */
static int verb_stmt(struct sqlite_conn *c, enum table_id id, enum sqlite_verb verb,
                     sqlite3_stmt **out)
{
    sqlite3_stmt **stmt = &c->verb[id][verb];
    int err = SF_OK;
    if (*stmt == NULL) {
        char buffer[SQL_TEXT_SIZE];
        struct text t = {buffer, sizeof buffer, 0};
        err = verb_text(&tables[id], verb, &t) ? prepare(c, stmt, &t) : SF_OK;
    }
    *out = *stmt;
    return err;
}

/* ---- values ---- */

static int all_zero(const uint8_t *bytes, unsigned len)
{
    unsigned char any = 0;
    for (unsigned i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static int bind_number(sqlite3_stmt *stmt, int at, const struct column *col, int64_t value)
{
    if (value == 0 && (col->flags & COL_OPTIONAL) != 0) {
        return sqlite3_bind_null(stmt, at);
    }
    return sqlite3_bind_int64(stmt, at, value);
}

static int bind_column(sqlite3_stmt *stmt, int at, const struct column *col, const uint8_t *row)
{
    const uint8_t *field = row + col->offset;
    int64_t i64 = 0;
    int32_t i32 = 0;
    uint32_t u32 = 0;
    switch (col->type) {
    case COL_I64:
    case COL_U64:
        memcpy(&i64, field, sizeof i64);
        return bind_number(stmt, at, col, i64);
    case COL_I32:
        memcpy(&i32, field, sizeof i32);
        return bind_number(stmt, at, col, i32);
    case COL_U32:
        memcpy(&u32, field, sizeof u32);
        return bind_number(stmt, at, col, u32);
    case COL_TEXT:
        return sqlite3_bind_text(stmt, at, (const char *)field,
                                 (int)strnlen((const char *)field, col->size), SQLITE_STATIC);
    case COL_VAR:
        memcpy(&u32, field - sizeof u32, sizeof u32);
        return u32 > col->size ? SQLITE_TOOBIG
                               : sqlite3_bind_blob(stmt, at, field, (int)u32, SQLITE_STATIC);
    case COL_BLOB:
    default:
        if ((col->flags & COL_OPTIONAL) != 0 && all_zero(field, col->size)) {
            return sqlite3_bind_null(stmt, at);
        }
        return sqlite3_bind_blob(stmt, at, field, (int)col->size, SQLITE_STATIC);
    }
}

/* Binds the columns that the statement uses: those of the flag for an update, else all. */
static int bind_row(sqlite3_stmt *stmt, const struct table *table, enum sqlite_verb verb,
                    const void *row)
{
    for (unsigned i = 0; i < table->column_count; i++) {
        const struct column *col = &table->column[i];
        unsigned key = col->flags & COL_KEY;
        int used = i == 0 || verb == SQL_INSERT || verb == SQL_PUT ||
                   (verb == SQL_UPDATE && key == 0) || (verb == SQL_UPDATE_KEYS && key != 0);
        int rc = used ? bind_column(stmt, (int)i + 1, col, row) : SQLITE_OK;
        if (rc != SQLITE_OK) {
            return sqlite_error(rc);
        }
    }
    return SF_OK;
}

static int read_number(sqlite3_stmt *stmt, int at, const struct column *col, uint8_t *field)
{
    int64_t value = sqlite3_column_int64(stmt, at);
    if (col->type == COL_I64 || col->type == COL_U64) {
        memcpy(field, &value, sizeof value);
        return SF_OK;
    }
    if (col->type == COL_I32) {
        int32_t i32 = (int32_t)value;
        memcpy(field, &i32, sizeof i32);
        return value >= INT32_MIN && value <= INT32_MAX ? SF_OK : SF_ERR_CORRUPT;
    }
    uint32_t u32 = (uint32_t)value;
    memcpy(field, &u32, sizeof u32);
    return value >= 0 && value <= UINT32_MAX ? SF_OK : SF_ERR_CORRUPT;
}

/* The row was zeroed before: NULL leaves 0, "" or a digest of zeros. */
static int read_bytes(sqlite3_stmt *stmt, int at, const struct column *col, uint8_t *field)
{
    unsigned max = col->type == COL_TEXT ? col->size - 1 : col->size;
    const void *data = col->type == COL_TEXT ? (const void *)sqlite3_column_text(stmt, at)
                                             : sqlite3_column_blob(stmt, at);
    uint32_t len = (uint32_t)sqlite3_column_bytes(stmt, at);
    int present = sqlite3_column_type(stmt, at) != SQLITE_NULL;
    if (len > max || (col->type == COL_BLOB && present && len != max)) {
        return SF_ERR_CORRUPT;
    }
    if (data != NULL && len > 0) {
        memcpy(field, data, len);
    }
    if (col->type == COL_VAR) {
        memcpy(field - sizeof len, &len, sizeof len);
    }
    return SF_OK;
}

static int read_row(sqlite3_stmt *stmt, const struct table *table, uint8_t *row)
{
    memset(row, 0, table->row_size);
    for (unsigned i = 0; i < table->column_count; i++) {
        const struct column *col = &table->column[i];
        int bytes = col->type == COL_TEXT || col->type == COL_BLOB || col->type == COL_VAR;
        int err = bytes ? read_bytes(stmt, (int)i, col, row + col->offset)
                        : read_number(stmt, (int)i, col, row + col->offset);
        if (err < 0) {
            return err;
        }
    }
    return SF_OK;
}

/* ---- operations ---- */

static int finish(sqlite3_stmt *stmt, int err)
{
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return err;
}

static int sqlite_get(void *conn, enum table_id t, int64_t id, void *row)
{
    sqlite3_stmt *stmt = NULL;
    int err = verb_stmt(conn, t, SQL_GET, &stmt);
    if (err < 0) {
        return err;
    }
    int rc = sqlite3_bind_int64(stmt, 1, id);
    rc = rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
    if (rc == SQLITE_ROW) {
        err = read_row(stmt, &tables[t], row);
    } else {
        err = rc == SQLITE_DONE ? SF_ERR_NOTFOUND : sqlite_error(rc);
    }
    return finish(stmt, err);
}

static int bind_args(sqlite3_stmt *stmt, const struct selection *what, unsigned limit)
{
    const struct arg *args = what->args;
    unsigned count = what->arg_count;
    int rc = SQLITE_OK;
    for (unsigned i = 0; i < count && rc == SQLITE_OK; i++) {
        int at = (int)i + 1;
        if (args[i].type == ARG_INT) {
            rc = sqlite3_bind_int64(stmt, at, args[i].number);
        } else if (args[i].type == ARG_TEXT) {
            rc = sqlite3_bind_text(stmt, at, args[i].data, -1, SQLITE_STATIC);
        } else {
            rc = sqlite3_bind_blob(stmt, at, args[i].data, (int)args[i].len, SQLITE_STATIC);
        }
    }
    return rc == SQLITE_OK ? sqlite3_bind_int64(stmt, (int)count + 1, limit) : rc;
}

static int query_stmt(struct sqlite_conn *c, enum query_id q, sqlite3_stmt **out)
{
    int err = SF_OK;
    if (c->query[q] == NULL) {
        char buffer[SQL_TEXT_SIZE];
        struct text t = {buffer, sizeof buffer, 0};
        if (!sqlite_query_text(q, buffer, sizeof buffer)) {
            return SF_ERR_INTERNAL;
        }
        err = prepare(c, &c->query[q], &t);
    }
    *out = c->query[q];
    return err;
}

static int sqlite_select(void *conn, const struct selection *what, void *rows, unsigned max)
{
    const struct table *table = &tables[query_find(what->query)->table];
    sqlite3_stmt *stmt = NULL;
    int err = query_stmt(conn, what->query, &stmt);
    if (err < 0) {
        return err;
    }
    int count = 0;
    int rc = bind_args(stmt, what, max);
    rc = rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
    while (rc == SQLITE_ROW && err == SF_OK && (unsigned)count < max) {
        err = read_row(stmt, table, (uint8_t *)rows + (size_t)count * table->row_size);
        count++;
        rc = err == SF_OK ? sqlite3_step(stmt) : rc;
    }
    if (err == SF_OK && rc != SQLITE_ROW) {
        err = sqlite_error(rc);
    }
    return finish(stmt, err < 0 ? err : count);
}

/* Runs a writing statement with a row's values; > 0 = number of rows touched. */
static int write_row(struct sqlite_conn *c, enum table_id t, enum sqlite_verb verb, const void *row)
{
    sqlite3_stmt *stmt = NULL;
    int err = verb_stmt(c, t, verb, &stmt);
    if (err < 0 || stmt == NULL) {
        return err;
    }
    err = bind_row(stmt, &tables[t], verb, row);
    if (err == SF_OK) {
        err = sqlite_error(sqlite3_step(stmt));
    }
    return finish(stmt, err < 0 ? err : sqlite3_changes(c->db));
}

static int sqlite_insert(void *conn, enum table_id t, void *row)
{
    struct sqlite_conn *c = conn;
    sqlite3_stmt *stmt = NULL;
    int64_t id = 0;
    memcpy(&id, row, sizeof id);
    int err = verb_stmt(c, t, SQL_INSERT, &stmt);
    if (err == SF_OK) {
        err = bind_row(stmt, &tables[t], SQL_INSERT, row);
    }
    if (err == SF_OK && id == 0) {
        err = sqlite_error(sqlite3_bind_null(stmt, 1));
    }
    if (err == SF_OK) {
        err = sqlite_error(sqlite3_step(stmt));
    }
    if (err == SF_OK) {
        id = sqlite3_last_insert_rowid(c->db);
        memcpy(row, &id, sizeof id);
    }
    return stmt != NULL ? finish(stmt, err) : err;
}

static int sqlite_update(void *conn, enum table_id t, const void *row)
{
    int touched = write_row(conn, t, SQL_UPDATE, row);
    if (touched == 0) {
        return SF_ERR_NOTFOUND;
    }
    if (touched > 0) {
        touched = write_row(conn, t, SQL_UPDATE_KEYS, row);
    }
    return touched < 0 ? touched : SF_OK;
}

static int sqlite_put(void *conn, enum table_id t, const void *row)
{
    int touched = write_row(conn, t, SQL_PUT, row);
    return touched < 0 ? touched : SF_OK;
}

static int sqlite_remove(void *conn, enum table_id t, int64_t id)
{
    int touched = write_row(conn, t, SQL_REMOVE, &id);
    if (touched < 0) {
        return touched;
    }
    return touched > 0 ? SF_OK : SF_ERR_NOTFOUND;
}

static int sqlite_counts(void *conn, struct store_counts *out)
{
    struct sqlite_conn *c = conn;
    memset(out, 0, sizeof *out);
    if (c->counts == NULL) {
        char sql[] = "SELECT kind, state, count FROM tally";
        struct text t = {sql, sizeof sql, sizeof sql - 1};
        int err = prepare(c, &c->counts, &t);
        if (err < 0) {
            return err;
        }
    }
    int rc = 0;
    while ((rc = sqlite3_step(c->counts)) == SQLITE_ROW) {
        int64_t state = sqlite3_column_int64(c->counts, 1);
        int64_t count = sqlite3_column_int64(c->counts, 2);
        if (sqlite3_column_int64(c->counts, 0) == 1 && state >= 0 && state < 4) {
            out->devices[state] = count;
        } else if (state >= 0 && state < DEPLOYMENT_STATE_COUNT) {
            out->deployments[state] = count;
        }
    }
    return finish(c->counts, sqlite_error(rc));
}

/* ---- transactions ---- */

static int word(struct sqlite_conn *c, enum sqlite_word w)
{
    static const char *const words[SQL_WORDS] = {
        [SQL_BEGIN] = "BEGIN IMMEDIATE",
        [SQL_BEGIN_READ] = "BEGIN",
        [SQL_COMMIT] = "COMMIT",
        [SQL_ROLLBACK] = "ROLLBACK",
        [SQL_SAVEPOINT] = "SAVEPOINT j",
        [SQL_RELEASE] = "RELEASE j",
        [SQL_ROLLBACK_TO] = "ROLLBACK TO j",
    };
    if (c->word[w] == NULL) {
        int rc =
            sqlite3_prepare_v3(c->db, words[w], -1, SQLITE_PREPARE_PERSISTENT, &c->word[w], NULL);
        if (rc != SQLITE_OK) {
            return sqlite_error(rc);
        }
    }
    int err = sqlite_error(sqlite3_step(c->word[w]));
    (void)sqlite3_reset(c->word[w]);
    return err;
}

static int sqlite_in_transaction(void *conn)
{
    return sqlite3_get_autocommit(((struct sqlite_conn *)conn)->db) == 0;
}

/* The writer's transaction, which goes on after a snapshot in it. */
static int in_job(struct sqlite_conn *c)
{
    return sqlite3_txn_state(c->db, "main") == SQLITE_TXN_WRITE;
}

/* A reader that stays in its transaction sees that moment for ever, so what cannot be committed is
 * rolled back. */
static void sqlite_snapshot_end(void *conn)
{
    if (!in_job(conn) && sqlite_in_transaction(conn) && word(conn, SQL_COMMIT) < 0) {
        (void)word(conn, SQL_ROLLBACK);
    }
}

/* Inside a job there is a transaction already: then one moment is what it sees anyway. */
static int sqlite_snapshot(void *conn)
{
    if (in_job(conn)) {
        return SF_OK;
    }
    sqlite_snapshot_end(conn); /* one that could not end then */
    return word(conn, SQL_BEGIN_READ);
}

static int sqlite_begin(void *conn)
{
    return word(conn, SQL_BEGIN);
}

static int sqlite_commit(void *conn)
{
    return word(conn, SQL_COMMIT);
}

static void sqlite_rollback(void *conn)
{
    if (sqlite_in_transaction(conn)) {
        (void)word(conn, SQL_ROLLBACK);
    }
}

static int sqlite_savepoint(void *conn)
{
    return word(conn, SQL_SAVEPOINT);
}

static int sqlite_release(void *conn)
{
    return word(conn, SQL_RELEASE);
}

static int sqlite_rollback_to(void *conn)
{
    int err = word(conn, SQL_ROLLBACK_TO);
    return err < 0 ? err : word(conn, SQL_RELEASE);
}

const struct backend sqlite_backend = {
    .get = sqlite_get,
    .select = sqlite_select,
    .insert = sqlite_insert,
    .update = sqlite_update,
    .put = sqlite_put,
    .remove = sqlite_remove,
    .counts = sqlite_counts,
    .snapshot = sqlite_snapshot,
    .snapshot_end = sqlite_snapshot_end,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .savepoint = sqlite_savepoint,
    .release = sqlite_release,
    .rollback_to = sqlite_rollback_to,
    .in_transaction = sqlite_in_transaction,
};
