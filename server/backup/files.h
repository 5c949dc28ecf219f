#ifndef BACKUP_FILES_H
#define BACKUP_FILES_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "formats/crypto.h"

/* Files and folders of a backup. Errors: SF_ERR_NOTFOUND, SF_ERR_NOSPC, SF_ERR_IO (errno says why),
 * SF_ERR_RANGE for a name that is too long. */

struct file_sum {
    uint8_t sha256[SF_SHA256_SIZE];
    uint64_t size;
};

/* Writes one sentence to `why` (BACKUP_WHY_SIZE) and returns `err`. */
int backup_fail(char *why, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same for a file that could not be `done` ("read", "write"): errno says why. */
int backup_fail_file(char *why, int err, const char *done, const char *path);

int files_path(char out[PATH_MAX], const char *folder, const char *name)
    __attribute__((warn_unused_result));

/* Whether there is something of this name; `name` NULL = there is not. */
int files_has(const char *folder, const char *name);

int files_sum(const char *path, struct file_sum *out) __attribute__((warn_unused_result));

/* Makes `to`, which must not exist, with this mode, and syncs it. `out` is of what was written. */
int files_copy(const char *from, const char *to, mode_t mode, struct file_sum *out)
    __attribute__((warn_unused_result));

/* 0700; one that is there is fine. */
int files_make_folder(const char *path) __attribute__((warn_unused_result));

/* 1 if the folder has no entry, 0 if it has, or an error. */
int files_is_empty(const char *folder) __attribute__((warn_unused_result));

/* Syncs the folder and all folders in it. */
int files_sync_tree(const char *folder) __attribute__((warn_unused_result));

/* Removes all that is in the folder, and with FILES_WHOLE the folder too. What cannot be removed
 * stays. */
enum files_remove { FILES_CONTENTS, FILES_WHOLE };
void files_remove_tree(const char *folder, enum files_remove what);

#endif
