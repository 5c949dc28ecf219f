#ifndef BACKUP_H
#define BACKUP_H

#include <stddef.h>
#include <stdint.h>

/* Backups of a data folder: made while surefootd runs, checked, and put back. `surefoot server` is
 * the shell around this. A backup is a folder:
 *
 *     backup.json          when, by which version, of which schema; each file with its SHA-256
 *     surefoot.db          the database at one moment, without a journal
 *     artifacts/ab/abcd... the images that this database names
 *     ca.pem ca.key server.pem status-key.pem status-key.pub.pem admin-token surefootd.conf
 *
 * Invariants
 *  1. A folder that has its final name is whole and on the disk: it grows beside that name, is
 *     synced, then renamed. What an interruption leaves is taken away by the next attempt.
 *  2. Every write that was acknowledged before the start is in it. The server is not stopped and
 *     its writer never waits: SQLite's readers do not block writers.
 *  3. Nothing is restored that does not check out whole, and never over anything.
 *  4. A restored server stands still (frozen) and gives out no manifest number that may have been
 *     given out after the backup.
 *
 * Each function returns SF_OK, or < 0 with one sentence in `why`. SF_ERR_STATE: refused, nothing is
 * wrong with the machine; SF_ERR_CORRUPT: what is there is damaged; others: the machine. */

enum { BACKUP_WHY_SIZE = 768 };

/* Told now and then: bytes of the whole that are through. */
struct backup_watch {
    void (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes); /* NULL = none */
    void *ctx;
};

struct backup_summary {
    int64_t made_at; /* Unix seconds */
    int64_t schema;  /* of the database */
    char version[32];
    uint64_t files;
    uint64_t bytes;
    uint64_t shared_files; /* hard links: they take no space of their own */
};

struct backup_request {
    const char *data; /* the data folder */
    const char *dest; /* must not exist; its parent must */
    const char *base; /* an earlier backup to share images with, or NULL */
    const char *version;
    int64_t now;
    struct backup_watch watch;
};
int backup_make(const struct backup_request *r, struct backup_summary *out,
                char why[BACKUP_WHY_SIZE]) __attribute__((warn_unused_result));

enum backup_grade {
    BACKUP_NOTE,    /* good to know */
    BACKUP_PROBLEM, /* to be mended */
};

struct backup_check {
    const char *dir; /* a backup, or a data folder; surefootd may run on it */
    int64_t now;
    void (*found)(void *ctx, enum backup_grade grade, const char *sentence);
    void *ctx;
    struct backup_watch watch;
};

struct backup_report {
    int is_backup;
    unsigned problems;
    unsigned notes;
    uint64_t artifacts;
    uint64_t manifests;
};

/* Calls found() for each thing it finds. An error only if there is nothing to look at. */
int backup_check(const struct backup_check *c, struct backup_report *out, char why[BACKUP_WHY_SIZE])
    __attribute__((warn_unused_result));

struct backup_restore {
    const char *backup;
    const char *data; /* must be empty, or not exist */
    int64_t now;
    struct backup_watch watch;
};
/* The restored server is frozen until `surefoot unfreeze`. */
int backup_restore(const struct backup_restore *r, struct backup_summary *out,
                   char why[BACKUP_WHY_SIZE]) __attribute__((warn_unused_result));

#endif
