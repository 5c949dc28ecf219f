#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <sqlite3.h>

#include "server/store/backend.h"

/* One SQLite connection with its prepared statements, each made at its first use and kept. Used by
 * one thread at a time. */

enum sqlite_verb {
    SQL_GET,
    SQL_INSERT,
    SQL_UPDATE,
    SQL_UPDATE_KEYS,
    SQL_PUT,
    SQL_REMOVE,
    SQL_VERBS
};

enum sqlite_word {
    SQL_BEGIN,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_SAVEPOINT,
    SQL_RELEASE,
    SQL_ROLLBACK_TO,
    SQL_WORDS
};

struct sqlite_conn {
    sqlite3 *db;
    sqlite3_stmt *verb[T_COUNT][SQL_VERBS];
    sqlite3_stmt *query[Q_COUNT];
    sqlite3_stmt *word[SQL_WORDS];
    sqlite3_stmt *counts;
};

/* The error of formats/err.h for an SQLite result. */
int sqlite_error(int rc);

/* Copies the database as it is now, in one step: SQLite then reads one moment, however much is
 * written meanwhile. `to` is an empty file and gets no journal; it is synced. Returns SQLite's
 * result; *culprit, unless NULL, is the path it is about. */
int sqlite_copy(sqlite3 *from, const char *to, const char **culprit);

/* The text of the statement behind a query, for EXPLAIN QUERY PLAN in tests; 0 = it did not fit. */
int sqlite_query_text(enum query_id q, char *out, size_t size);

/* Migrations, embedded at build time: text `sql` brings the schema to `version`. */
struct migration {
    unsigned version;
    const char *name;
    const char *sql;
};
extern const struct migration migrations[];
extern const unsigned migration_count;

#endif
