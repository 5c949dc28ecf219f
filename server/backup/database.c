#include "server/backup/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "server/store/sqlite.h"

enum { BUSY_MS = 5000, DAMAGES_MAX = 5 /* told; the first says enough */ };

static int fail_with(int rc, const char *what, const char *path, char why[BACKUP_WHY_SIZE])
{
    const int err = sqlite_error(rc);
    if (err == SF_ERR_NOSPC) {
        return backup_fail(why, err, "the disk of '%.300s' is full: free some space and try again",
                           path);
    }
    if (err == SF_ERR_CORRUPT) {
        return backup_fail(why, err, "the database '%.300s' is damaged (%.100s): restore a backup",
                           path, what);
    }
    return backup_fail(why, err < 0 ? err : SF_ERR_IO, "cannot use the database '%.300s': %.100s",
                       path, what);
}

int database_fail(sqlite3 *db, const char *path, char why[BACKUP_WHY_SIZE])
{
    return db != NULL ? fail_with(sqlite3_extended_errcode(db), sqlite3_errmsg(db), path, why)
                      : fail_with(SQLITE_NOMEM, "out of memory", path, why);
}

/* "file:<path>?immutable=1", with what a URI needs escaped. */
static int still_uri(const char *path, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "file:");
    for (const char *p = path; *p != '\0'; p++) {
        if (len + 16 > size) {
            return SF_ERR_RANGE;
        }
        len += (size_t)snprintf(out + len, size - len, strchr("%?#", *p) != NULL ? "%%%02x" : "%c",
                                (unsigned)(unsigned char)*p);
    }
    (void)snprintf(out + len, size - len, "?immutable=1");
    return SF_OK;
}

static int settle(sqlite3 *db, enum database_kind kind)
{
    (void)sqlite3_extended_result_codes(db, 1);
    int rc = sqlite3_busy_timeout(db, BUSY_MS);
    if (rc == SQLITE_OK && kind == DATABASE_LIVE) {
        /* whoever owns the database folds its journal in, not somebody who looks */
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    return rc == SQLITE_OK
               ? sqlite3_exec(db, "PRAGMA trusted_schema = OFF; PRAGMA query_only = ON", 0, 0, 0)
               : rc;
}

int database_open(const char *path, enum database_kind kind, sqlite3 **db,
                  char why[BACKUP_WHY_SIZE])
{
    char uri[3 * PATH_MAX];
    const char *name = path;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (kind == DATABASE_STILL) {
        flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
        name = uri;
        if (still_uri(path, uri, sizeof(uri)) != SF_OK) {
            *db = NULL;
            return backup_fail_file(why, SF_ERR_RANGE, "open", path);
        }
    }
    if (access(path, R_OK) != 0) {
        *db = NULL;
        return backup_fail_file(why, disk_error(errno), "read", path);
    }
    if (sqlite3_open_v2(name, db, flags, NULL) != SQLITE_OK || settle(*db, kind) != SQLITE_OK) {
        const int err = database_fail(*db, path, why);
        (void)sqlite3_close(*db);
        *db = NULL;
        return err;
    }
    return SF_OK;
}

/* ---- copying ---- */

static int create_private(const char *path, char *why)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return backup_fail_file(why, disk_error(errno), "make", path);
    }
    (void)close(fd);
    return SF_OK;
}

int database_copy(const char *from, const char *to, char why[BACKUP_WHY_SIZE])
{
    sqlite3 *source = NULL;
    const char *culprit = from;
    int err = database_open(from, DATABASE_LIVE, &source, why);
    if (err == SF_OK) {
        err = create_private(to, why);
    }
    if (err == SF_OK) {
        const int rc = sqlite_copy(source, to, &culprit);
        err = rc == SQLITE_OK ? SF_OK : fail_with(rc, sqlite3_errstr(rc), culprit, why);
    }
    (void)sqlite3_close(source);
    return err;
}

/* ---- asking ---- */

int database_each(sqlite3 *db, const struct database_query *q, char why[BACKUP_WHY_SIZE])
{
    sqlite3_stmt *at = NULL;
    int stopped = 0;
    int rc = sqlite3_prepare_v2(db, q->sql, -1, &at, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(at);
        stopped = rc == SQLITE_ROW ? q->row(q->ctx, at) : 0;
        if (stopped != 0) {
            break;
        }
    }
    int err = stopped;
    if (stopped == 0 && rc != SQLITE_DONE) {
        err = database_fail(db, sqlite3_db_filename(db, "main"), why);
    }
    (void)sqlite3_finalize(at);
    return err;
}

static int take_number(void *ctx, sqlite3_stmt *at)
{
    int64_t *out = ctx;
    *out = sqlite3_column_int64(at, 0);
    return SF_OK;
}

int database_number(sqlite3 *db, const char *sql, int64_t *out, char why[BACKUP_WHY_SIZE])
{
    const struct database_query q = {.sql = sql, .row = take_number, .ctx = out};
    *out = 0;
    return database_each(db, &q, why);
}

/* ---- checking ---- */

struct teller {
    void (*found)(void *ctx, const char *sentence);
    void *ctx;
    unsigned count;
};

static const char *text_at(sqlite3_stmt *at, int column)
{
    const char *text = (const char *)sqlite3_column_text(at, column);
    return text != NULL ? text : "";
}

static int tell_damage(void *ctx, sqlite3_stmt *at)
{
    struct teller *t = ctx;
    char sentence[BACKUP_WHY_SIZE];
    const char *what = text_at(at, 0);
    if (strcmp(what, "ok") == 0) {
        return 0;
    }
    (void)backup_fail(sentence, 0, "the database is damaged: %.500s; restore a backup", what);
    t->found(t->ctx, sentence);
    return ++t->count >= DAMAGES_MAX;
}

static int tell_reference(void *ctx, sqlite3_stmt *at)
{
    struct teller *t = ctx;
    char sentence[BACKUP_WHY_SIZE];
    (void)backup_fail(sentence, 0,
                      "row %lld of table %.60s names a row of %.60s that is not there; restore a "
                      "backup",
                      (long long)sqlite3_column_int64(at, 1), text_at(at, 0), text_at(at, 2));
    t->found(t->ctx, sentence);
    return ++t->count >= DAMAGES_MAX;
}

static int tell_tally(void *ctx, sqlite3_stmt *at)
{
    struct teller *t = ctx;
    char sentence[BACKUP_WHY_SIZE];
    (void)backup_fail(sentence, 0,
                      "the count of %s in state %lld says %lld, there are %lld; the metrics are "
                      "wrong by that, nothing else is",
                      sqlite3_column_int64(at, 0) == 1 ? "devices" : "deployments",
                      (long long)sqlite3_column_int64(at, 1),
                      (long long)sqlite3_column_int64(at, 2),
                      (long long)sqlite3_column_int64(at, 3));
    t->found(t->ctx, sentence);
    return 0;
}

static int check_schema(sqlite3 *db, struct teller *t, char *why)
{
    int64_t ours = 0;
    int64_t version = 0;
    char sentence[BACKUP_WHY_SIZE];
    int err = database_number(
        db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'", &ours, why);
    if (err == SF_OK && ours != 0) {
        err = database_number(db, "SELECT max(version) FROM schema_version", &version, why);
    }
    if (err != SF_OK) {
        return err;
    }
    if (ours == 0) {
        return backup_fail(why, SF_ERR_FORMAT, "'%.400s' is a database of another program",
                           sqlite3_db_filename(db, "main"));
    }
    if (version > (int64_t)migration_count) {
        (void)backup_fail(sentence, 0,
                          "the database has schema %lld, this surefoot knows up to %u: use the "
                          "version that wrote it",
                          (long long)version, migration_count);
        t->found(t->ctx, sentence);
    }
    return SF_OK;
}

int database_check(sqlite3 *db, void (*found)(void *ctx, const char *sentence), void *ctx,
                   char why[BACKUP_WHY_SIZE])
{
    struct teller t = {.found = found, .ctx = ctx};
    const struct database_query query[] = {
        {"PRAGMA integrity_check(5)", tell_damage, &t},
        {"PRAGMA foreign_key_check", tell_reference, &t},
        {"SELECT kind, state, count, n FROM (SELECT kind, state, count, CASE kind"
         " WHEN 1 THEN (SELECT count(*) FROM device d WHERE d.state = t.state)"
         " ELSE (SELECT count(*) FROM deployment d WHERE d.state = t.state) END AS n"
         " FROM tally t WHERE kind IN (1, 2)) WHERE n <> count",
         tell_tally, &t},
    };
    int err = check_schema(db, &t, why);
    for (unsigned i = 0; i < sizeof(query) / sizeof(query[0]) && err == SF_OK && t.count == 0;
         i++) {
        err = database_each(db, &query[i], why);
        err = err > 0 ? SF_OK : err; /* enough was told */
    }
    if (err == SF_ERR_CORRUPT) { /* so badly that the questions failed */
        found(ctx, why);
        return SF_OK;
    }
    return err;
}
