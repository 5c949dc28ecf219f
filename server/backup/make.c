/* Making a backup. The database comes first: what it names is then linked or copied. An image that
 * the collector takes meanwhile is named by no release, so the copy of the database forgets it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "formats/err.h"
#include "server/backup/backup.h"
#include "server/backup/catalogue.h"
#include "server/backup/database.h"
#include "server/backup/files.h"

struct making {
    const struct backup_request *r;
    struct catalogue catalogue;
    char dest[PATH_MAX];    /* without slashes at its end */
    char partial[PATH_MAX]; /* dest.partial */
    int partial_fd;         /* locked */
    sqlite3 *db;            /* the copy, for forgetting images */
    uint64_t total_bytes;   /* of images */
    uint64_t done_bytes;
    char *why;
};

/* ---- the folder beside the final name ---- */

static int name_folders(struct making *m)
{
    struct stat st;
    size_t len = strlen(m->r->dest);
    while (len > 1 && m->r->dest[len - 1] == '/') {
        len--;
    }
    const int needs =
        snprintf(m->partial, sizeof(m->partial), "%.*s.partial", (int)len, m->r->dest);
    if (len == 0 || needs < 0 || (size_t)needs >= sizeof(m->partial)) {
        return backup_fail_file(m->why, SF_ERR_RANGE, "make", m->r->dest);
    }
    (void)snprintf(m->dest, sizeof(m->dest), "%.*s", (int)len, m->r->dest);
    if (lstat(m->dest, &st) == 0) {
        return backup_fail(m->why, SF_ERR_EXISTS,
                           "'%.400s' is there already: name a folder that is not, one for each "
                           "backup",
                           m->dest);
    }
    return SF_OK;
}

/* Locked, so that two do not write into one; what a killed one left is taken away. */
static int open_partial(struct making *m)
{
    if (files_make_folder(m->partial) != SF_OK) {
        return backup_fail_file(m->why, disk_error(errno), "make", m->partial);
    }
    m->partial_fd = open(m->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (m->partial_fd < 0) {
        return backup_fail_file(m->why, disk_error(errno), "open", m->partial);
    }
    if (flock(m->partial_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(m->partial_fd);
        m->partial_fd = -1;
        return backup_fail(m->why, SF_ERR_BUSY,
                           "another backup to '%.400s' is running: wait for it, or name another "
                           "folder",
                           m->dest);
    }
    files_remove_tree(m->partial, FILES_CONTENTS);
    return SF_OK;
}

static int publish(struct making *m)
{
    int err = files_sync_tree(m->partial);
    if (err == SF_OK && rename(m->partial, m->dest) != 0) {
        err = disk_error(errno);
    }
    if (err != SF_OK) {
        return backup_fail_file(m->why, err, "finish", m->dest);
    }
    char parent[PATH_MAX];
    err = files_path(parent, m->dest, "..");
    if (err == SF_OK) {
        err = disk_sync_folder(parent);
    }
    return err == SF_OK ? SF_OK : backup_fail_file(m->why, err, "sync the parent of", m->dest);
}

/* ---- what goes into it ---- */

static int add(struct making *m, const char *name, const struct file_sum *sum)
{
    return catalogue_add(&m->catalogue, name, sum) == SF_OK
               ? SF_OK
               : backup_fail(m->why, SF_ERR_NOMEM, "out of memory for the list of files");
}

static int paths_of(struct making *m, const char *name, char from[PATH_MAX], char to[PATH_MAX])
{
    if (files_path(from, m->r->data, name) != SF_OK || files_path(to, m->partial, name) != SF_OK) {
        return backup_fail_file(m->why, SF_ERR_RANGE, "copy", name);
    }
    return SF_OK;
}

static int copy_kept(struct making *m, const struct kept_file *kept)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    struct file_sum sum;
    int err = paths_of(m, kept->name, from, to);
    if (err != SF_OK) {
        return err;
    }
    err = files_copy(from, to, kept->mode, &sum);
    if (err == SF_ERR_NOTFOUND && !files_has(m->r->data, kept->with)) {
        return SF_OK;
    }
    return err == SF_OK ? add(m, kept->name, &sum) : backup_fail_file(m->why, err, "copy", from);
}

static int copy_database(struct making *m)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    struct backup_summary *s = &m->catalogue.summary;
    if (!files_has(m->r->data, DATABASE_NAME)) {
        return backup_fail(m->why, SF_ERR_NOTFOUND,
                           "there is no " DATABASE_NAME " in '%.400s' that you may read: is it the "
                           "data folder of a surefootd?",
                           m->r->data);
    }
    int err = paths_of(m, DATABASE_NAME, from, to);
    if (err == SF_OK) {
        err = database_copy(from, to, m->why);
    }
    if (err == SF_OK && sqlite3_open_v2(to, &m->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        err = database_fail(m->db, to, m->why);
    }
    if (err == SF_OK) {
        err = database_number(m->db, "SELECT max(version) FROM schema_version", &s->schema, m->why);
    }
    int64_t bytes = 0;
    if (err == SF_OK) {
        err = database_number(m->db, "SELECT coalesce(sum(size), 0) FROM artifact", &bytes, m->why);
    }
    m->total_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    return err;
}

/* ---- images ---- */

static int link_from(const char *folder, const char *name, const char *to)
{
    char from[PATH_MAX];
    return files_path(from, folder, name) == SF_OK ? link(from, to) : -1;
}

/* Linked to the earlier backup, else to the data folder, else copied; hashed in any case. */
static int take_image(struct making *m, const char *name, struct file_sum *sum)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    int err = paths_of(m, name, from, to);
    if (err != SF_OK) {
        return err;
    }
    if ((m->r->base != NULL && link_from(m->r->base, name, to) == 0) ||
        link_from(m->r->data, name, to) == 0) {
        m->catalogue.summary.shared_files++;
        return files_sum(to, sum);
    }
    return files_copy(from, to, 0444, sum);
}

/* The collector was quicker. A release's image is never collected: that would be a loss. */
static int forget(struct making *m, const uint8_t *sha256, const char *name)
{
    static const char sql[] = "DELETE FROM artifact WHERE digest = ?1 AND NOT EXISTS"
                              " (SELECT 1 FROM manifest WHERE image_digest = ?1)";
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(m->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_blob(stmt, 1, sha256, SF_SHA256_SIZE, SQLITE_STATIC);
    }
    rc = rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
    const int gone = rc == SQLITE_DONE ? sqlite3_changes(m->db) : -1;
    (void)sqlite3_finalize(stmt);
    if (gone < 0) {
        return database_fail(m->db, m->partial, m->why);
    }
    return gone > 0 ? SF_OK
                    : backup_fail(m->why, SF_ERR_CORRUPT,
                                  "'%.120s', the image of a release, is not in '%.300s' any more: "
                                  "see `surefoot server check`, and restore it from a backup",
                                  name, m->r->data);
}

static int make_image_folders(struct making *m, const char *name)
{
    char path[PATH_MAX];
    char folder[CATALOGUE_NAME_MAX];
    (void)snprintf(folder, sizeof(folder), "%.12s", name); /* artifacts/ab */
    int err = files_path(path, m->partial, folder);
    if (err == SF_OK) {
        err = files_make_folder(path);
    }
    return err == SF_OK ? SF_OK : backup_fail_file(m->why, err, "make", path);
}

static int take_row(void *ctx, sqlite3_stmt *at)
{
    struct making *m = ctx;
    uint8_t sha256[SF_SHA256_SIZE] = {0};
    char name[CATALOGUE_NAME_MAX];
    struct file_sum sum = {{0}, 0};
    if (sqlite3_column_bytes(at, 0) != SF_SHA256_SIZE) {
        return backup_fail(m->why, SF_ERR_CORRUPT, "the database names an image without a digest");
    }
    memcpy(sha256, sqlite3_column_blob(at, 0), sizeof(sha256));
    catalogue_artifact_name(sha256, name);
    int err = make_image_folders(m, name);
    if (err != SF_OK) {
        return err;
    }
    err = take_image(m, name, &sum);
    if (err == SF_ERR_NOTFOUND) {
        return forget(m, sha256, name);
    }
    if (err != SF_OK) {
        return backup_fail_file(m->why, err, "back up", name);
    }
    if (memcmp(sum.sha256, sha256, sizeof(sha256)) != 0) {
        return backup_fail(m->why, SF_ERR_CORRUPT,
                           "'%.120s' in '%.300s' does not have the bytes it is named after: "
                           "restore it from an earlier backup, or publish that image again",
                           name, m->r->data);
    }
    m->done_bytes += sum.size;
    if (m->r->watch.progress != NULL) {
        m->r->watch.progress(m->r->watch.ctx, m->done_bytes, m->total_bytes);
    }
    return add(m, name, &sum);
}

static int take_images(struct making *m)
{
    char path[PATH_MAX];
    const struct database_query q = {
        .sql = "SELECT digest FROM artifact ORDER BY id", .row = take_row, .ctx = m};
    int err = files_path(path, m->partial, "artifacts");
    if (err == SF_OK) {
        err = files_make_folder(path);
    }
    return err == SF_OK ? database_each(m->db, &q, m->why)
                        : backup_fail_file(m->why, err, "make", path);
}

/* ---- all of it ---- */

static void keep_first(void *ctx, const char *sentence)
{
    char *first = ctx;
    if (first[0] == '\0') {
        (void)snprintf(first, BACKUP_WHY_SIZE, "%s", sentence);
    }
}

/* A damaged database is not worth a backup that looks whole. Its bytes do not change any more. */
static int finish_database(struct making *m)
{
    char path[PATH_MAX];
    char damage[BACKUP_WHY_SIZE] = "";
    struct file_sum sum;
    int err = database_check(m->db, keep_first, damage, m->why);
    (void)sqlite3_close(m->db);
    m->db = NULL;
    if (err == SF_OK && damage[0] != '\0') {
        err = backup_fail(m->why, SF_ERR_CORRUPT, "no backup was made: %s", damage);
    }
    if (err != SF_OK) {
        return err;
    }
    err = files_path(path, m->partial, DATABASE_NAME);
    if (err == SF_OK) {
        err = files_sum(path, &sum);
    }
    return err == SF_OK ? add(m, DATABASE_NAME, &sum) : backup_fail_file(m->why, err, "read", path);
}

static int fill(struct making *m)
{
    int err = SF_OK;
    for (unsigned i = 0; i < kept_file_count && err == SF_OK; i++) {
        err = copy_kept(m, &kept_files[i]);
    }
    if (err == SF_OK) {
        err = copy_database(m);
    }
    if (err == SF_OK) {
        err = take_images(m);
    }
    if (err == SF_OK) {
        err = finish_database(m);
    }
    return err == SF_OK ? catalogue_write(&m->catalogue, m->partial, m->why) : err;
}

int backup_make(const struct backup_request *r, struct backup_summary *out,
                char why[BACKUP_WHY_SIZE])
{
    struct making m = {.r = r, .partial_fd = -1, .why = why};
    int err = name_folders(&m);
    if (err != SF_OK) {
        return err;
    }
    err = catalogue_init(&m.catalogue);
    if (err != SF_OK) {
        return backup_fail(why, err, "out of memory for the list of files");
    }
    m.catalogue.summary.made_at = r->now;
    (void)snprintf(m.catalogue.summary.version, sizeof(m.catalogue.summary.version), "%s",
                   r->version);
    err = open_partial(&m);
    if (err == SF_OK) {
        err = fill(&m);
        (void)sqlite3_close(m.db);
        err = err == SF_OK ? publish(&m) : err;
        if (err != SF_OK) {
            files_remove_tree(m.partial, FILES_WHOLE);
        }
        (void)close(m.partial_fd);
    }
    *out = m.catalogue.summary;
    catalogue_release(&m.catalogue);
    return err;
}
