/* Putting a backup back. What may be newer out there than in the backup:
 *
 * - Manifest numbers. A release published after the backup has a number that this database would
 *   give out again, and a device that has accepted it takes only a higher one. So every class skips
 *   SEQ_SKIP of them.
 * - Status counters. A device says the highest it knows; the server goes past it and raises an
 *   alarm (server/fleet/checkin.c).
 * - Targets. They are those of the backup, so devices would be told to go back to them: the fleet
 *   comes up frozen, until somebody has looked.
 * - Devices enrolled later are unknown: they are answered 401 and enrol again by themselves. Tokens
 *   revoked later are good again: nobody can know which, so the documentation says to look. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/disk.h"
#include "server/backup/backup.h"
#include "server/backup/catalogue.h"
#include "server/backup/files.h"
#include "server/datadir.h"
#include "server/store/store.h"

enum {
    /* 32768 releases between backup and restore; sixteen restores in a row stay below the jump of
     * 2^20 that a device still accepts (device/trust.c). */
    SEQ_SKIP = 65536,
    PAGE = 16,
};

struct restoring {
    const struct backup_restore *r;
    struct catalogue catalogue;
    uint64_t done_bytes;
    char *why;
};

/* ---- before ---- */

static void keep_first(void *ctx, enum backup_grade grade, const char *sentence)
{
    char *first = ctx;
    if (grade == BACKUP_PROBLEM && first[0] == '\0') {
        (void)snprintf(first, BACKUP_WHY_SIZE, "%s", sentence);
    }
}

static int expect_whole(const struct backup_restore *r, char *why)
{
    char first[BACKUP_WHY_SIZE] = "";
    struct backup_report report;
    const struct backup_check check = {
        .dir = r->backup, .now = r->now, .found = keep_first, .ctx = first, .watch = r->watch};
    int err = backup_check(&check, &report, why);
    if (err != SF_OK) {
        return err;
    }
    if (!report.is_backup) {
        return backup_fail(why, SF_ERR_STATE, "'%.400s' is a data folder, not a backup", r->backup);
    }
    return report.problems == 0
               ? SF_OK
               : backup_fail(why, SF_ERR_CORRUPT,
                             "nothing was restored, the backup has %u problem%s: %.500s",
                             report.problems, report.problems == 1 ? "" : "s", first);
}

static int expect_empty(const struct backup_restore *r, int *is_new, char *why)
{
    *is_new = access(r->data, F_OK) != 0;
    const int empty = *is_new ? 1 : files_is_empty(r->data);
    if (empty < 0) {
        return backup_fail_file(why, empty, "read", r->data);
    }
    return empty ? SF_OK
                 : backup_fail(why, SF_ERR_STATE,
                               "'%.400s' is not empty, and nothing is ever restored over "
                               "something: stop surefootd, move that folder away and try again",
                               r->data);
}

/* ---- files ---- */

static int make_folders(struct restoring *t, const char *name)
{
    char path[PATH_MAX];
    char folder[CATALOGUE_NAME_MAX];
    (void)snprintf(folder, sizeof(folder), "%s", name);
    for (char *slash = strchr(folder, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int err = files_path(path, t->r->data, folder);
        err = err == SF_OK ? files_make_folder(path) : err;
        if (err != SF_OK) {
            return backup_fail_file(t->why, err, "make", path);
        }
        *slash = '/';
    }
    return SF_OK;
}

static int copy_entry(struct restoring *t, const struct catalogue_entry *e)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    struct file_sum sum;
    if (files_path(from, t->r->backup, e->name) != SF_OK ||
        files_path(to, t->r->data, e->name) != SF_OK) {
        return backup_fail_file(t->why, SF_ERR_RANGE, "restore", e->name);
    }
    int err = make_folders(t, e->name);
    if (err != SF_OK) {
        return err;
    }
    err = files_copy(from, to, e->mode, &sum);
    if (err != SF_OK) {
        return backup_fail_file(t->why, err, "restore", to);
    }
    if (memcmp(sum.sha256, e->sum.sha256, sizeof(sum.sha256)) != 0) {
        return backup_fail(t->why, SF_ERR_CORRUPT, "'%.400s' changed while it was restored", from);
    }
    t->done_bytes += sum.size;
    if (t->r->watch.progress != NULL) {
        t->r->watch.progress(t->r->watch.ctx, t->done_bytes, t->catalogue.summary.bytes);
    }
    return SF_OK;
}

static int copy_all(struct restoring *t)
{
    struct catalogue_entry entry;
    for (size_t i = 0; i < catalogue_count(&t->catalogue); i++) {
        int err = catalogue_get(&t->catalogue, i, &entry);
        if (err != SF_OK) {
            return backup_fail(t->why, err, "the list of the backup changed");
        }
        err = copy_entry(t, &entry);
        if (err != SF_OK) {
            return err;
        }
    }
    return SF_OK;
}

/* ---- the database ---- */

static int skip_numbers(struct store_tx *tx)
{
    struct product product[PAGE];
    int64_t after = 0;
    int count = PAGE;
    while (count == PAGE) {
        count = store_product_list(store_tx_reader(tx), after, product, PAGE);
        for (int i = 0; i < count; i++) {
            after = product[i].id;
            int err = store_seq_skip(tx, product[i].id, SEQ_SKIP);
            if (err < 0) {
                return err;
            }
        }
    }
    return count < 0 ? count : SF_OK;
}

static int mark(struct store_tx *tx, void *arg)
{
    const struct restoring *t = arg;
    const time_t made_at = (time_t)t->catalogue.summary.made_at;
    struct tm utc;
    char when[32] = "?";
    if (gmtime_r(&made_at, &utc) != NULL) {
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    struct freeze freeze = {.since = t->r->now > 0 ? t->r->now : 1, .who = "restore"};
    (void)snprintf(freeze.reason, sizeof(freeze.reason),
                   "restored from the backup of %s: look at tokens and targets, then unfreeze",
                   when);
    struct audit_row audit = {.at = t->r->now, .who = "restore", .action = "server.restore"};
    (void)snprintf(audit.object, sizeof(audit.object), "%s", when);
    int err = skip_numbers(tx);
    if (err == SF_OK) {
        err = store_freeze_put(tx, &freeze);
    }
    return err == SF_OK ? store_audit_add(tx, &audit) : err;
}

/* Opened as surefootd would: its schema is brought up to date. */
static int mark_database(struct restoring *t)
{
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    struct store *store = store_open(t->r->data, NULL, &err, why);
    if (store == NULL) {
        return backup_fail(t->why, err, "%s", why);
    }
    err = store_run(store, mark, t);
    store_close(store);
    return err == SF_OK ? SF_OK
                        : backup_fail(t->why, err, "the restored database cannot be marked: %s",
                                      sf_err_str(err));
}

/* ---- all of it ---- */

/* While `restoring` is there no surefootd starts on the folder. */
static int fill(struct restoring *t)
{
    char marker[PATH_MAX];
    int err = files_path(marker, t->r->data, DATADIR_RESTORING);
    err = err == SF_OK ? disk_write_atomic(marker, 0600, "", 0) : err;
    if (err != SF_OK) {
        return backup_fail_file(t->why, err, "write", marker);
    }
    err = copy_all(t);
    if (err == SF_OK) {
        err = mark_database(t);
    }
    if (err != SF_OK) {
        return err;
    }
    err = files_sync_tree(t->r->data);
    if (err == SF_OK && unlink(marker) != 0) {
        err = disk_error(errno);
    }
    if (err == SF_OK) {
        err = disk_sync_folder(t->r->data);
    }
    return err == SF_OK ? SF_OK : backup_fail_file(t->why, err, "finish", t->r->data);
}

int backup_restore(const struct backup_restore *r, struct backup_summary *out,
                   char why[BACKUP_WHY_SIZE])
{
    struct restoring t = {.r = r, .why = why};
    struct datadir data = {.lock_fd = -1};
    int is_new = 0;
    int err = expect_empty(r, &is_new, why);
    if (err == SF_OK) {
        err = expect_whole(r, why);
    }
    if (err == SF_OK) {
        err = catalogue_read(&t.catalogue, r->backup, why);
    }
    if (err == SF_OK && datadir_open(&data, r->data, why, BACKUP_WHY_SIZE) != 0) {
        err = SF_ERR_IO;
    }
    if (err == SF_OK) {
        err = fill(&t);
        if (err != SF_OK) {
            files_remove_tree(r->data, is_new ? FILES_WHOLE : FILES_CONTENTS);
        }
        datadir_close(&data);
    }
    *out = t.catalogue.summary;
    catalogue_release(&t.catalogue);
    return err;
}
