/* Looking at a backup or a data folder: all that a restored server and its devices would miss. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto_openssl.h"
#include "base/disk.h"
#include "server/backup/catalogue.h"
#include "server/backup/database.h"
#include "server/backup/files.h"
#include "server/backup/identity.h"
#include "server/protocols/upload.h"

enum { KIND_SUREFOOT = 1 }; /* enum product_kind, as it stands in every schema */

struct checking {
    const struct backup_check *c;
    struct backup_report *report;
    sqlite3 *db;
    uint64_t total_bytes;
    uint64_t done_bytes;
    char *why;
};

#define PROBLEM(k, ...) backup_tell((k)->c, (k)->report, BACKUP_PROBLEM, __VA_ARGS__)
#define NOTE(k, ...)    backup_tell((k)->c, (k)->report, BACKUP_NOTE, __VA_ARGS__)

/* ---- the list of a backup ---- */

/* Images are hashed where the database names them. */
static void check_entry(struct checking *k, const struct catalogue_entry *e)
{
    char path[PATH_MAX];
    struct file_sum sum;
    struct stat st;
    int err = files_path(path, k->c->dir, e->name);
    if (err == SF_OK && e->is_artifact) {
        err = lstat(path, &st) == 0 ? SF_OK : disk_error(errno);
        sum.size = err == SF_OK ? (uint64_t)st.st_size : 0;
        memcpy(sum.sha256, e->sum.sha256, sizeof(sum.sha256));
    } else if (err == SF_OK) {
        err = files_sum(path, &sum);
    }
    if (err != SF_OK) {
        char sentence[BACKUP_WHY_SIZE];
        (void)backup_fail_file(sentence, err, "read", path);
        PROBLEM(k, "%s; this backup is not whole", sentence);
    } else if (sum.size != e->sum.size ||
               memcmp(sum.sha256, e->sum.sha256, sizeof(sum.sha256)) != 0) {
        PROBLEM(k, "'%s' is not what was backed up (%llu bytes, were %llu): use another backup",
                e->name, (unsigned long long)sum.size, (unsigned long long)e->sum.size);
    }
}

/* ---- files ---- */

static int is_secret(const struct kept_file *f)
{
    return (f->mode & 077) == 0;
}

static void check_mode(struct checking *k, const char *name, const struct stat *st,
                       const struct stat *folder)
{
    if ((st->st_mode & 077) != 0) {
        PROBLEM(k, "'%s' holds secrets and can be read by others (mode %03o): chmod 600", name,
                (unsigned)(st->st_mode & 0777));
    }
    if (st->st_uid != folder->st_uid) {
        PROBLEM(k,
                "'%s' belongs to user %u, its folder to user %u: surefootd cannot use both, chown "
                "it",
                name, (unsigned)st->st_uid, (unsigned)folder->st_uid);
    }
}

static void check_kept(struct checking *k, const struct kept_file *f, const struct stat *folder)
{
    char path[PATH_MAX];
    struct stat st;
    if (files_path(path, k->c->dir, f->name) != SF_OK || lstat(path, &st) != 0) {
        if (files_has(k->c->dir, f->with)) {
            PROBLEM(k, "'%s' is missing: restore it from a backup", f->name);
        }
    } else if (is_secret(f)) {
        check_mode(k, f->name, &st, folder);
    }
}

static void check_files(struct checking *k)
{
    static const struct kept_file database = {DATABASE_NAME, 0600, DATABASE_NAME};
    struct stat folder;
    if (stat(k->c->dir, &folder) != 0) {
        return;
    }
    for (unsigned i = 0; i < kept_file_count; i++) {
        check_kept(k, &kept_files[i], &folder);
    }
    check_kept(k, &database, &folder);
}

/* ---- images ---- */

static void inspect(struct checking *k, const char *name, const char *path)
{
    struct refusal refusal = {0};
    struct release_image image = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || upload_inspect(fd, crypto_openssl(), &image, &refusal) != 0) {
        PROBLEM(k, "'%s': %s", name, fd < 0 ? "cannot be read" : refusal.message);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void check_image(struct checking *k, const uint8_t *sha256, uint64_t size, int is_named)
{
    char name[CATALOGUE_NAME_MAX];
    char path[PATH_MAX];
    struct file_sum sum;
    catalogue_artifact_name(sha256, name);
    int err = files_path(path, k->c->dir, name);
    err = err == SF_OK ? files_sum(path, &sum) : err;
    if (err == SF_ERR_NOTFOUND && !is_named) {
        NOTE(k, "'%s', which no release names, has been collected", name);
    } else if (err != SF_OK) {
        char sentence[BACKUP_WHY_SIZE];
        (void)backup_fail_file(sentence, err, "read", name);
        PROBLEM(k, "%s; it is the image of a release: restore it from a backup or upload it again",
                sentence);
    } else if (sum.size != size || memcmp(sum.sha256, sha256, sizeof(sum.sha256)) != 0) {
        PROBLEM(k,
                "'%s' does not have the bytes it is named after; devices would refuse it: restore "
                "it from a backup",
                name);
    } else {
        inspect(k, name, path);
        k->report->artifacts++;
    }
}

static int check_image_row(void *ctx, sqlite3_stmt *at)
{
    struct checking *k = ctx;
    const uint8_t *digest = sqlite3_column_blob(at, 0);
    const int64_t size = sqlite3_column_int64(at, 1);
    if (sqlite3_column_bytes(at, 0) != SF_SHA256_SIZE || size < 0) {
        PROBLEM(k, "the database names an image without a digest: restore a backup");
        return 0;
    }
    check_image(k, digest, (uint64_t)size, sqlite3_column_int(at, 2) != 0);
    k->done_bytes += (uint64_t)size;
    if (k->c->watch.progress != NULL) {
        k->c->watch.progress(k->c->watch.ctx, k->done_bytes, k->total_bytes);
    }
    return 0;
}

/* ---- manifests ---- */

enum { M_ENVELOPE, M_DIGEST, M_SEQ, M_IMAGE, M_CLASS, M_KEY, M_KIND, M_PRODUCT, M_VERSION };

static const char manifests_sql[] =
    "SELECT m.envelope, m.digest, m.seq, m.image_digest, c.uuid, p.release_key, p.kind, p.name,"
    " r.version FROM manifest m JOIN release r ON r.id = m.release_id"
    " JOIN product p ON p.id = r.product_id JOIN hw_class c ON c.id = m.class_id";

static int blob_is(sqlite3_stmt *at, int column, const void *want, size_t len)
{
    return sqlite3_column_bytes(at, column) == (int)len &&
           memcmp(sqlite3_column_blob(at, column), want, len) == 0;
}

static void check_manifest(struct checking *k, sqlite3_stmt *at, const char *product,
                           const char *version)
{
    struct sf_public_key key;
    struct sf_manifest m;
    struct refusal refusal = {0};
    const struct sf_bytes envelope = {sqlite3_column_blob(at, M_ENVELOPE),
                                      (size_t)sqlite3_column_bytes(at, M_ENVELOPE)};
    if (sqlite3_column_bytes(at, M_KEY) != SF_P256_KEY_SIZE ||
        sf_public_key_init(&key, crypto_openssl(), sqlite3_column_blob(at, M_KEY)) != SF_OK) {
        PROBLEM(k, "product '%.60s' has releases but no release key: register it again", product);
    } else if (upload_open_manifest(envelope,
                                    &(struct sf_verifier){.key = &key, .crypto = crypto_openssl()},
                                    &m, &refusal) != 0) {
        const int other_key = strcmp(refusal.code, "other_key") == 0;
        backup_tell(k->c, k->report, other_key ? BACKUP_NOTE : BACKUP_PROBLEM,
                    "release %.40s of product '%.60s': %s", version, product,
                    other_key ? "its manifest is signed with another release key than the product "
                                "has now"
                              : refusal.message);
    } else if (!blob_is(at, M_DIGEST, m.digest, sizeof(m.digest)) ||
               !blob_is(at, M_IMAGE, m.image_digest, sizeof(m.image_digest)) ||
               !blob_is(at, M_CLASS, m.class_uuid, sizeof(m.class_uuid)) ||
               (uint64_t)sqlite3_column_int64(at, M_SEQ) != m.seq) {
        PROBLEM(k,
                "release %.40s of product '%.60s': its manifest does not say what the database "
                "says of it; restore a backup",
                version, product);
    }
}

static int check_manifest_row(void *ctx, sqlite3_stmt *at)
{
    struct checking *k = ctx;
    const char *product = (const char *)sqlite3_column_text(at, M_PRODUCT);
    const char *version = (const char *)sqlite3_column_text(at, M_VERSION);
    if (sqlite3_column_int(at, M_KIND) == KIND_SUREFOOT) {
        check_manifest(k, at, product != NULL ? product : "?", version != NULL ? version : "?");
        k->report->manifests++;
    }
    return 0;
}

/* ---- all of it ---- */

static void tell_damage(void *ctx, const char *sentence)
{
    struct checking *k = ctx;
    PROBLEM(k, "%s", sentence);
}

static int check_content(struct checking *k)
{
    const struct database_query images = {
        .sql = "SELECT digest, size, EXISTS (SELECT 1 FROM manifest m WHERE m.image_digest ="
               " a.digest) FROM artifact a ORDER BY id",
        .row = check_image_row,
        .ctx = k};
    const struct database_query manifests = {
        .sql = manifests_sql, .row = check_manifest_row, .ctx = k};
    int64_t bytes = 0;
    int err = database_number(k->db, "SELECT coalesce(sum(size), 0) FROM artifact", &bytes, k->why);
    k->total_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    if (err == SF_OK) {
        err = database_each(k->db, &images, k->why);
    }
    if (err == SF_OK) {
        err = database_each(k->db, &manifests, k->why);
    }
    if (err == SF_ERR_CORRUPT) {
        PROBLEM(k, "%s", k->why);
        return SF_OK;
    }
    return err;
}

static int check_database(struct checking *k)
{
    char path[PATH_MAX];
    int err = files_path(path, k->c->dir, DATABASE_NAME);
    if (err == SF_OK) {
        err = database_open(path, k->report->is_backup ? DATABASE_STILL : DATABASE_LIVE, &k->db,
                            k->why);
    }
    if (err == SF_OK) { /* one moment for all questions */
        (void)sqlite3_exec(k->db, "BEGIN", NULL, NULL, NULL);
        const unsigned before = k->report->problems;
        err = database_check(k->db, tell_damage, k, k->why);
        if (err == SF_OK && k->report->problems == before) {
            err = check_content(k);
        }
    }
    (void)sqlite3_close(k->db);
    k->db = NULL;
    if (err == SF_ERR_CORRUPT || err == SF_ERR_FORMAT || err == SF_ERR_NOTFOUND) {
        PROBLEM(k, "%s", k->why);
        return SF_OK;
    }
    return err;
}

static int check_catalogue(struct checking *k)
{
    struct catalogue catalogue;
    int err = catalogue_read(&catalogue, k->c->dir, k->why);
    if (err == SF_OK) {
        struct catalogue_entry entry;
        for (size_t i = 0; i < catalogue_count(&catalogue); i++) {
            if (catalogue_get(&catalogue, i, &entry) == SF_OK) {
                check_entry(k, &entry);
            }
        }
    } else if (err == SF_ERR_CORRUPT || err == SF_ERR_VERSION) {
        PROBLEM(k, "%s", k->why);
        err = SF_OK;
    }
    catalogue_release(&catalogue);
    return err;
}

int backup_check(const struct backup_check *c, struct backup_report *out, char why[BACKUP_WHY_SIZE])
{
    struct checking k = {.c = c, .report = out, .why = why};
    *out = (struct backup_report){.is_backup = files_has(c->dir, "backup.json")};
    if (!out->is_backup && !files_has(c->dir, DATABASE_NAME)) {
        return backup_fail(
            why, SF_ERR_NOTFOUND,
            "'%.400s' is neither a backup nor the data folder of a surefootd: it has "
            "neither backup.json nor " DATABASE_NAME " that you may read",
            c->dir);
    }
    int err = out->is_backup ? check_catalogue(&k) : SF_OK;
    if (err == SF_OK) {
        check_files(&k);
        identity_check(c, out);
        err = check_database(&k);
    }
    return err;
}
