#ifndef CLI_SECRET_FILE_H
#define CLI_SECRET_FILE_H

#include <jansson.h>

#include "cli/cli.h"

/* Secrets that the server shows once: each goes to a new file, mode 0600, or to stdout if the file
 * is "-". Both functions return enum cli_exit, after a sentence. */

struct secret {
    const char *field;      /* of the server's answer */
    const char *file_field; /* what --json has in its place */
    const char *what;       /* "API token" */
    const char *use;        /* what to do with it */
    const char *again;      /* the command that makes another, if the file could not be written */
};

/* To be asked before the secret is made: whether `path` is free, and can be written: it tries. */
int secret_file_check(const char *path) __attribute__((warn_unused_result));

/* Takes the secret out of `answer` into the file. With "-" it is printed, or with --json left in
 * `answer`. */
int secret_file_save(const struct cli_args *args, const char *path, const struct secret *secret,
                     json_t *answer) __attribute__((warn_unused_result));

#endif
