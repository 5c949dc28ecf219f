#ifndef BACKUP_CATALOGUE_H
#define BACKUP_CATALOGUE_H

#include <jansson.h>
#include <sys/types.h>

#include "server/backup/backup.h"
#include "server/backup/files.h"

/* backup.json: what is in a backup. Read back it is data from outside: a name is one of the known
 * ones or an artifact's, so it leads nowhere else. */

/* What a data folder has beside the database and the artifacts. */
struct kept_file {
    const char *name;
    mode_t mode;
    const char *with; /* where this file is, it has to be too; NULL = it may be missing */
};
extern const struct kept_file kept_files[];
extern const unsigned kept_file_count;
#define DATABASE_NAME "surefoot.db"

enum { CATALOGUE_NAME_MAX = 96 };

struct catalogue_entry {
    char name[CATALOGUE_NAME_MAX];
    struct file_sum sum;
    mode_t mode; /* by its name */
    int is_artifact;
};

struct catalogue {
    struct backup_summary summary; /* files and bytes count as entries are added */
    json_t *files;
};

int catalogue_init(struct catalogue *c) __attribute__((warn_unused_result));
void catalogue_release(struct catalogue *c);

int catalogue_add(struct catalogue *c, const char *name, const struct file_sum *sum)
    __attribute__((warn_unused_result));
size_t catalogue_count(const struct catalogue *c);
/* Entry `i` < count; SF_ERR_FORMAT if it is none. */
int catalogue_get(const struct catalogue *c, size_t i, struct catalogue_entry *out)
    __attribute__((warn_unused_result));

int catalogue_write(const struct catalogue *c, const char *folder, char why[BACKUP_WHY_SIZE])
    __attribute__((warn_unused_result));
/* Fills `c`, which is to be released in any case. NOTFOUND if the folder has none; every entry is
 * known to be good. */
int catalogue_read(struct catalogue *c, const char *folder, char why[BACKUP_WHY_SIZE])
    __attribute__((warn_unused_result));

/* "artifacts/ab/abcd..." of a digest. */
void catalogue_artifact_name(const uint8_t sha256[SF_SHA256_SIZE], char out[CATALOGUE_NAME_MAX]);

#endif
