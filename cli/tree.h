#ifndef CLI_TREE_H
#define CLI_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "cli/file.h"

/* A folder that a web server serves while it is being written to.
 *
 * 1. A file is there whole or not at all: written beside its place, synced, renamed; then its
 *    folder is synced. So what is put later may point at what was put before.
 * 2. Below the folder no symbolic link is followed, whoever put it there.
 *
 * Paths are relative, of at most TREE_DEPTH parts. Each function that returns int gives enum
 * cli_exit, after a sentence that names the file. */

enum { TREE_PATH_MAX = 256, TREE_DEPTH = 4 };

struct tree {
    int fd;           /* of the folder; -1 = not open */
    const char *name; /* as the user gave it */
};

/* Makes the folder if it is not there. Close in every case. */
int tree_open(struct tree *t, const char *name) __attribute__((warn_unused_result));
void tree_close(struct tree *t);

enum tree_put { TREE_WRITTEN, TREE_SAME };

/* Puts a file; one that has these very bytes is left alone, and *what says so. */
int tree_put(struct tree *t, const char *path, const void *data, size_t len, enum tree_put *what)
    __attribute__((warn_unused_result));

/* Reads a regular file of at most `max` bytes; out->data is NULL if there is none. Release `out` in
 * every case. */
int tree_read(struct tree *t, const char *path, size_t max, struct file_bytes *out)
    __attribute__((warn_unused_result));

/* Takes a file away, if it is there. *removed counts. */
int tree_remove(struct tree *t, const char *path, unsigned *removed)
    __attribute__((warn_unused_result));

/* 1 if it is a folder, 0 if it is not or cannot be told. */
int tree_is_folder(struct tree *t, const char *path);

/* Calls `visit` for each name in a folder (none if it is not there); it returns CLI_OK to go on. */
int tree_each(struct tree *t, const char *folder,
              int (*visit)(void *ctx, struct tree *t, const char *path), void *ctx)
    __attribute__((warn_unused_result));

#endif
