#ifndef CLI_SECRET_FILE_H
#define CLI_SECRET_FILE_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/client.h"

/* Secrets that the server shows once: each goes to a new file, mode 0600, or to stdout if the file
 * is "-". */

struct secret {
    const char *field;      /* of the server's answer */
    const char *file_field; /* what --json has in its place */
    const char *what;       /* "API token" */
    const char *use;        /* what to do with it */
    const char *again;      /* the command that makes another, if the file could not be written */
    const char *suffix;     /* ".token" */
};

struct secret_request {
    const char *file; /* as given; NULL: the first operand and the secret's suffix */
    struct client_path path;
    json_t *body;
};

/* Looks whether the file is free and can be written (it tries), has the server make the secret, and
 * takes it out of *answer into the file. With "-" it is printed, or with --json left in *answer.
 * Returns enum cli_exit, after a sentence; *answer is the caller's, NULL after a failure. */
int secret_file_make(const struct cli_args *args, const struct secret *secret,
                     const struct secret_request *request, json_t **answer)
    __attribute__((warn_unused_result));

#endif
