#ifndef BACKUP_DATABASE_H
#define BACKUP_DATABASE_H

#include <sqlite3.h>

#include "server/backup/backup.h"
#include "server/backup/files.h"

/* The database of a data folder that somebody else may be using, or of a backup. Statements name
 * only what has been there since schema 1, so that backups of any age can be read. */

enum database_kind {
    DATABASE_LIVE,  /* with its journal; surefootd may be writing */
    DATABASE_STILL, /* of a backup: nothing is written beside it */
};

/* `*db` is NULL after an error. Close with sqlite3_close(). */
int database_open(const char *path, enum database_kind kind, sqlite3 **db,
                  char why[BACKUP_WHY_SIZE]) __attribute__((warn_unused_result));

/* Copies a live database, as it is now, to the new file `to`, which has no journal. */
int database_copy(const char *from, const char *to, char why[BACKUP_WHY_SIZE])
    __attribute__((warn_unused_result));

/* A sentence for what SQLite says. */
int database_fail(sqlite3 *db, const char *path, char why[BACKUP_WHY_SIZE]);

/* Calls row() for each row of a query until it returns non-zero; SF_OK, what row() returned, or
 * an error with its sentence. */
struct database_query {
    const char *sql;
    int (*row)(void *ctx, sqlite3_stmt *at);
    void *ctx;
};
int database_each(sqlite3 *db, const struct database_query *q, char why[BACKUP_WHY_SIZE])
    __attribute__((warn_unused_result));

/* One number. */
int database_number(sqlite3 *db, const char *sql, int64_t *out, char why[BACKUP_WHY_SIZE])
    __attribute__((warn_unused_result));

/* What is wrong inside the database, each told to found(): pages, references, counts, schema. */
int database_check(sqlite3 *db, void (*found)(void *ctx, const char *sentence), void *ctx,
                   char why[BACKUP_WHY_SIZE]) __attribute__((warn_unused_result));

#endif
