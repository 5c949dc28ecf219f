/* Opening the SQLite database: the folder's lock, connections, migrations, and a sentence for each
 * way it can fail.
 *
 * Invariants
 *  1. One process a folder: the lock file is held from open to close.
 *  2. A schema is brought up to date in one transaction a migration, or not at all.
 *  3. A database of a newer schema, or of another program, is not written to.
 *  4. Before a schema changes, the database as it was is beside it and on the disk. */
#include "server/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"

enum { PATH_SIZE = 4096, MODE_PRIVATE = 0600 };

struct sqlite_files {
    int lock_fd;
    char folder[PATH_SIZE];
    char path[PATH_SIZE + 16];
};

__attribute__((format(printf, 4, 5))) static int failed(int *err, char *why, int code,
                                                        const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, STORE_WHY_SIZE, fmt, args);
    va_end(args);
    *err = code;
    return code;
}

static int errno_error(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return SF_ERR_NOTFOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return SF_ERR_STATE;
    case ENOSPC:
    case EDQUOT:
        return SF_ERR_NOSPC;
    default:
        return SF_ERR_IO;
    }
}

struct sqlite_files *sqlite_open_folder(const char *folder, int *err, char *why)
{
    char lock_path[PATH_SIZE + 16];
    struct sqlite_files *f = calloc(1, sizeof *f);
    if (f == NULL || strlen(folder) >= sizeof f->folder) {
        (void)failed(err, why, SF_ERR_NOMEM, "cannot open the database in '%.200s': no memory",
                     folder);
        free(f);
        return NULL;
    }
    (void)snprintf(f->folder, sizeof f->folder, "%s", folder);
    (void)snprintf(f->path, sizeof f->path, "%s/surefoot.db", folder);
    (void)snprintf(lock_path, sizeof lock_path, "%s/surefoot.lock", folder);
    f->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, MODE_PRIVATE);
    if (f->lock_fd < 0) {
        int number = errno;
        char buffer[96];
        (void)failed(err, why, errno_error(number), "the data folder '%.180s' is not writable: %s",
                     folder, strerror_r(number, buffer, sizeof buffer));
        free(f);
        return NULL;
    }
    if (flock(f->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)failed(err, why, SF_ERR_BUSY,
                     "the data folder '%.180s' is in use by another surefootd: stop that one, or "
                     "give this one a folder of its own",
                     folder);
        (void)close(f->lock_fd);
        free(f);
        return NULL;
    }
    return f;
}

void sqlite_close_folder(struct sqlite_files *f)
{
    if (f != NULL) {
        (void)close(f->lock_fd); /* lets go of the lock; the file stays */
        free(f);
    }
}

/* A sentence for what SQLite says about this database. */
static int sqlite_failed(const struct sqlite_files *f, sqlite3 *db, int rc, int *err, char *why)
{
    int code = sqlite_error(rc);
    const char *what = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    switch (code) {
    case SF_ERR_BUSY:
        return failed(err, why, code,
                      "the database '%.180s' is locked by another program: close it and try again",
                      f->path);
    case SF_ERR_CORRUPT:
        return failed(err, why, code,
                      "the database '%.180s' is damaged (%.60s): restore it from a backup", f->path,
                      what);
    case SF_ERR_NOSPC:
        return failed(err, why, code,
                      "no space left on the disk of '%.180s': free some and start again; nothing "
                      "is lost",
                      f->path);
    case SF_ERR_STATE:
        return failed(err, why, code,
                      "the database '%.180s' cannot be written: check its owner, its mode and "
                      "whether the disk is read-only",
                      f->path);
    default:
        return failed(err, why, code, "cannot open the database '%.180s': %.80s", f->path, what);
    }
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* One number out of a one-row query; 0 if there is no row. */
static int number(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    *out = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW) {
            *out = sqlite3_column_int64(stmt, 0);
            rc = SQLITE_OK;
        }
    }
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- migrations ---- */

static int migrate_one(sqlite3 *db, const struct migration *m, int64_t now)
{
    char record[160];
    (void)snprintf(record, sizeof record,
                   "INSERT INTO schema_version (version, applied_at) VALUES (%u, %lld)", m->version,
                   (long long)now);
    int rc = run(db, "BEGIN IMMEDIATE");
    if (rc == SQLITE_OK) {
        rc = run(db, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY,"
                     " applied_at INTEGER NOT NULL) STRICT");
    }
    if (rc == SQLITE_OK) {
        rc = run(db, m->sql);
    }
    if (rc == SQLITE_OK) {
        rc = run(db, record);
    }
    if (rc == SQLITE_OK) {
        rc = run(db, "COMMIT");
    }
    return rc;
}

int sqlite_copy(sqlite3 *from, const char *to, const char **culprit)
{
    sqlite3 *copy = NULL;
    int rc = sqlite3_open_v2(to, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_backup *b = rc == SQLITE_OK ? sqlite3_backup_init(copy, "main", from, "main") : NULL;
    if (b != NULL) {
        (void)sqlite3_backup_step(b, -1);
        rc = sqlite3_backup_finish(b);
    } else if (rc == SQLITE_OK) {
        rc = sqlite3_extended_errcode(copy);
    }
    if (culprit != NULL) { /* an error of the source is not left on the copy */
        *culprit = sqlite3_errcode(copy) == SQLITE_OK ? sqlite3_db_filename(from, "main") : to;
    }
    if (rc == SQLITE_OK) {
        rc = run(copy, "PRAGMA journal_mode = DELETE");
    }
    (void)sqlite3_close(copy);
    return rc;
}

/* surefoot.db.before-N, for whoever wants to go back to the version before. It is synced by SQLite;
 * its name is, by disk_sync_folder(). */
static int keep_copy(const struct sqlite_files *f, sqlite3 *db, int *err, char *why)
{
    char path[sizeof f->path + 32];
    char unfinished[sizeof path + 8];
    (void)snprintf(path, sizeof path, "%s.before-%u", f->path, migration_count);
    (void)snprintf(unfinished, sizeof unfinished, "%s.new", path);
    (void)unlink(unfinished);
    int fd = open(unfinished, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE_PRIVATE);
    if (fd >= 0) {
        (void)close(fd);
    }
    int rc = sqlite_copy(db, unfinished, NULL);
    if (rc == SQLITE_OK && rename(unfinished, path) == 0 && disk_sync_folder(f->folder) == SF_OK) {
        return SF_OK;
    }
    int code = rc == SQLITE_OK ? SF_ERR_IO : sqlite_error(rc);
    (void)unlink(unfinished);
    return failed(err, why, code,
                  "the database is of an older version and cannot be copied to '%.120s' before it "
                  "is brought up to date: %s; nothing was changed",
                  path, code == SF_ERR_NOSPC ? "the disk is full" : sf_err_str(code));
}

static int migrate(const struct sqlite_files *f, sqlite3 *db, int64_t now, int *err, char *why)
{
    int64_t all = 0;
    int64_t ours = 0;
    int64_t version = 0;
    int rc = number(db, "SELECT count(*) FROM sqlite_schema", &all);
    if (rc == SQLITE_OK) {
        rc = number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'", &ours);
    }
    if (rc == SQLITE_OK && ours != 0) {
        rc = number(db, "SELECT max(version) FROM schema_version", &version);
    }
    if (rc != SQLITE_OK) {
        return sqlite_failed(f, db, rc, err, why);
    }
    if (all != 0 && ours == 0) {
        return failed(err, why, SF_ERR_FORMAT, "'%.200s' is a database of another program",
                      f->path);
    }
    if (version > (int64_t)migration_count) {
        return failed(err, why, SF_ERR_VERSION,
                      "the database '%.150s' has schema %lld, this surefootd knows up to %u: "
                      "install the newer version again, or restore the backup made before it",
                      f->path, (long long)version, migration_count);
    }
    if (version > 0 && version < (int64_t)migration_count && keep_copy(f, db, err, why) < 0) {
        return *err;
    }
    for (unsigned i = (unsigned)version; i < migration_count; i++) {
        rc = migrate_one(db, &migrations[i], now);
        if (rc != SQLITE_OK) {
            (void)sqlite_failed(f, db, rc, err, why);
            (void)run(db, "ROLLBACK");
            return *err;
        }
    }
    return SF_OK;
}

/* ---- connections ---- */

static struct sqlite_conn *connect(const struct sqlite_files *f, unsigned busy_timeout_ms, int *err,
                                   char *why)
{
    struct sqlite_conn *c = calloc(1, sizeof *c);
    if (c == NULL) {
        (void)failed(err, why, SF_ERR_NOMEM, "cannot open the database: no memory");
        return NULL;
    }
    int rc = sqlite3_open_v2(
        f->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(c->db, 1);
        rc = sqlite3_busy_timeout(c->db, (int)busy_timeout_ms);
    }
    if (rc == SQLITE_OK && sqlite3_db_readonly(c->db, "main") == 1) {
        rc = SQLITE_READONLY;
    }
    if (rc == SQLITE_OK) {
        rc = run(c->db, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                        " PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192");
    }
    if (rc != SQLITE_OK) {
        (void)sqlite_failed(f, c->db, rc, err, why);
        sqlite_close(c);
        return NULL;
    }
    return c;
}

/* The database holds digests of secrets: for its owner only. SQLite gives its journals the mode of
 * the database. */
static void create_private(const struct sqlite_files *f)
{
    int fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE_PRIVATE);
    if (fd >= 0) {
        (void)close(fd);
    }
}

void *sqlite_open_writer(struct sqlite_files *f, unsigned busy_timeout_ms, int64_t now, int *err,
                         char *why)
{
    create_private(f);
    struct sqlite_conn *c = connect(f, busy_timeout_ms, err, why);
    if (c == NULL) {
        return NULL;
    }
    /* Looked at before the journal mode is set: a foreign database is not to be changed. */
    int64_t count = 0;
    int rc = number(c->db, "SELECT count(*) FROM sqlite_schema", &count);
    if (rc == SQLITE_OK && count == 0) {
        rc = run(c->db, "PRAGMA journal_mode = WAL");
    }
    if (rc != SQLITE_OK) {
        (void)sqlite_failed(f, c->db, rc, err, why);
        sqlite_close(c);
        return NULL;
    }
    if (migrate(f, c->db, now, err, why) < 0) {
        sqlite_close(c);
        return NULL;
    }
    rc = run(c->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                    " PRAGMA journal_size_limit = 67108864");
    if (rc != SQLITE_OK) {
        (void)sqlite_failed(f, c->db, rc, err, why);
        sqlite_close(c);
        return NULL;
    }
    return c;
}

void *sqlite_open_reader(struct sqlite_files *f, unsigned busy_timeout_ms, int *err, char *why)
{
    struct sqlite_conn *c = connect(f, busy_timeout_ms, err, why);
    if (c != NULL) {
        int rc = run(c->db, "PRAGMA query_only = ON");
        if (rc != SQLITE_OK) {
            (void)sqlite_failed(f, c->db, rc, err, why);
            sqlite_close(c);
            return NULL;
        }
    }
    return c;
}

void sqlite_close(void *conn)
{
    struct sqlite_conn *c = conn;
    if (c == NULL) {
        return;
    }
    for (unsigned t = 0; t < T_COUNT; t++) {
        for (unsigned v = 0; v < SQL_VERBS; v++) {
            (void)sqlite3_finalize(c->verb[t][v]);
        }
    }
    for (unsigned q = 0; q < Q_COUNT; q++) {
        (void)sqlite3_finalize(c->query[q]);
    }
    for (unsigned w = 0; w < SQL_WORDS; w++) {
        (void)sqlite3_finalize(c->word[w]);
    }
    (void)sqlite3_finalize(c->counts);
    (void)sqlite3_close(c->db);
    free(c);
}
