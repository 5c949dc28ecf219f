#include "server/backup/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/hex.h"
#include "formats/err.h"

enum { FORMAT = 1, FILE_MAX = 256 * 1024 * 1024, HEX_SIZE = 2 * SF_SHA256_SIZE + 1 };

static const char file_name[] = "backup.json";

/* No private CA is made where the certificate is another CA's. */
const struct kept_file kept_files[] = {
    {"ca.pem", 0644, "ca.key"},         {"ca.key", 0600, "ca.pem"},
    {"server.pem", 0600, NULL},         {"status-key.pem", 0600, DATABASE_NAME},
    {"status-key.pub.pem", 0644, NULL}, {"admin-token", 0600, NULL},
    {"surefootd.conf", 0644, NULL},
};
const unsigned kept_file_count = sizeof(kept_files) / sizeof(kept_files[0]);

void catalogue_artifact_name(const uint8_t sha256[SF_SHA256_SIZE], char out[CATALOGUE_NAME_MAX])
{
    char hex[HEX_SIZE];
    hex_encode(sha256, SF_SHA256_SIZE, hex);
    (void)snprintf(out, CATALOGUE_NAME_MAX, "artifacts/%.2s/%s", hex, hex);
}

int catalogue_init(struct catalogue *c)
{
    *c = (struct catalogue){.files = json_array()};
    return c->files != NULL ? SF_OK : SF_ERR_NOMEM;
}

void catalogue_release(struct catalogue *c)
{
    json_decref(c->files);
    c->files = NULL;
}

int catalogue_add(struct catalogue *c, const char *name, const struct file_sum *sum)
{
    char hex[HEX_SIZE];
    hex_encode(sum->sha256, SF_SHA256_SIZE, hex);
    json_t *entry =
        json_pack("{s:s, s:I, s:s}", "name", name, "size", (json_int_t)sum->size, "sha256", hex);
    if (entry == NULL || json_array_append_new(c->files, entry) != 0) {
        return SF_ERR_NOMEM;
    }
    c->summary.files++;
    c->summary.bytes += sum->size;
    return SF_OK;
}

size_t catalogue_count(const struct catalogue *c)
{
    return json_array_size(c->files);
}

/* 0 if the name is none that a backup can have. */
static int know_name(struct catalogue_entry *e)
{
    char artifact[CATALOGUE_NAME_MAX];
    catalogue_artifact_name(e->sum.sha256, artifact);
    e->is_artifact = strcmp(e->name, artifact) == 0;
    e->mode = e->is_artifact ? 0444 : 0600;
    int known = e->is_artifact || strcmp(e->name, DATABASE_NAME) == 0;
    for (unsigned i = 0; i < kept_file_count && !known; i++) {
        known = strcmp(e->name, kept_files[i].name) == 0;
        e->mode = known ? kept_files[i].mode : e->mode;
    }
    return known;
}

int catalogue_get(const struct catalogue *c, size_t i, struct catalogue_entry *out)
{
    const char *name = NULL;
    const char *hex = NULL;
    json_int_t size = 0;
    *out = (struct catalogue_entry){0};
    if (json_unpack(json_array_get(c->files, i), "{s:s, s:I, s:s}", "name", &name, "size", &size,
                    "sha256", &hex) != 0 ||
        strlen(name) >= sizeof(out->name) || size < 0 ||
        hex_decode(hex, out->sum.sha256, SF_SHA256_SIZE) != SF_OK) {
        return SF_ERR_FORMAT;
    }
    (void)snprintf(out->name, sizeof(out->name), "%s", name);
    out->sum.size = (uint64_t)size;
    return know_name(out) ? SF_OK : SF_ERR_FORMAT;
}

int catalogue_write(const struct catalogue *c, const char *folder, char why[BACKUP_WHY_SIZE])
{
    char path[PATH_MAX];
    json_t *root = json_pack("{s:i, s:s, s:I, s:I, s:O}", "format", FORMAT, "version",
                             c->summary.version, "made_at", (json_int_t)c->summary.made_at,
                             "schema", (json_int_t)c->summary.schema, "files", c->files);
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(1)) : NULL;
    int err = text != NULL ? files_path(path, folder, file_name) : SF_ERR_NOMEM;
    if (err == SF_OK) {
        err = disk_write_atomic(path, 0600, text, strlen(text));
    }
    free(text);
    json_decref(root);
    return err == SF_OK ? SF_OK : backup_fail_file(why, err, "write", path);
}

/* The files come with a reference of `c`'s own. */
static int take_root(struct catalogue *c, json_t *root, char *why)
{
    int format = 0;
    json_int_t made_at = 0;
    json_int_t schema = 0;
    const char *version = NULL;
    json_t *files = NULL;
    if (json_unpack(root, "{s:i, s:s, s:I, s:I, s:o}", "format", &format, "version", &version,
                    "made_at", &made_at, "schema", &schema, "files", &files) != 0 ||
        !json_is_array(files)) {
        return backup_fail(why, SF_ERR_CORRUPT, "its %s is not one of a backup", file_name);
    }
    if (format != FORMAT) {
        return backup_fail(why, SF_ERR_VERSION,
                           "its %s has format %d, this version knows %d: use the surefoot that "
                           "made it (%.20s)",
                           file_name, format, FORMAT, version);
    }
    c->files = json_incref(files);
    c->summary.made_at = made_at;
    c->summary.schema = schema;
    (void)snprintf(c->summary.version, sizeof(c->summary.version), "%s", version);
    return SF_OK;
}

static int check_entries(struct catalogue *c, char *why)
{
    struct catalogue_entry entry;
    int has_database = 0;
    for (size_t i = 0; i < catalogue_count(c); i++) {
        if (catalogue_get(c, i, &entry) != SF_OK) {
            return backup_fail(why, SF_ERR_CORRUPT,
                               "entry %zu of its %s is no file that a backup has", i, file_name);
        }
        has_database |= strcmp(entry.name, DATABASE_NAME) == 0;
        c->summary.files++;
        c->summary.bytes += entry.sum.size;
    }
    return has_database ? SF_OK
                        : backup_fail(why, SF_ERR_CORRUPT, "its %s names no database", file_name);
}

int catalogue_read(struct catalogue *c, const char *folder, char why[BACKUP_WHY_SIZE])
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t len = 0;
    struct arena arena;
    *c = (struct catalogue){0};
    arena_init(&arena, FILE_MAX + 4096);
    int err = files_path(path, folder, file_name);
    if (err == SF_OK) {
        err = disk_read(&arena, path, FILE_MAX, &text, &len);
    }
    if (err != SF_OK) {
        (void)backup_fail_file(why, err, "read", path);
    } else {
        json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
        err = take_root(c, root, why);
        json_decref(root);
    }
    arena_release(&arena);
    return err == SF_OK ? check_entries(c, why) : err;
}
