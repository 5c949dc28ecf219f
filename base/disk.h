#ifndef DISK_H
#define DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"

/* Whole files, durably. Errors: SF_ERR_IO (errno says why), SF_ERR_NOTFOUND, SF_ERR_NOSPC,
 * SF_ERR_NOMEM. */

/* Writes a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the folder:
 * after a crash there is the old file or the new one. Two writers of one path exclude each other
 * outside. */
int disk_write_atomic(const char *path, mode_t mode, const void *data, size_t len)
    __attribute__((warn_unused_result));

/* The whole file, NUL-terminated, in the arena; SF_ERR_RANGE when it is longer than max_bytes.
 * `len` may be NULL. */
int disk_read(struct arena *a, const char *path, size_t max_bytes, char **data, size_t *len)
    __attribute__((warn_unused_result));

/* fsync of a folder: makes renames in it durable. */
int disk_sync_folder(const char *path) __attribute__((warn_unused_result));

/* Of errno after a failed write: SF_ERR_NOSPC for a full disk or quota, else SF_ERR_IO. */
int disk_error(int errno_value) __attribute__((warn_unused_result));

#endif
