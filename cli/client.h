#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"
#include "cli/config.h"
#include "cli/file.h"

/* The server's JSON API over HTTPS. The server's certificate is always verified; redirects are not
 * followed. Requests that the server asked to repeat later, or that did not reach it, are repeated
 * up to CLIENT_TRIES times. */

enum {
    CLIENT_TRIES = 3,
    CLIENT_PATH_MAX = 1024,
    CLIENT_ANSWER_MAX = 64 * 1024 * 1024,
    CLIENT_PAGE = 200, /* objects a page of a list */
};

struct client {
    CURL *curl;
    struct config config;
    int is_quiet; /* 1: no progress */
};

/* Each function that returns int gives enum cli_exit, after a sentence. `config` NULL: the default
 * file. Close in every case. */
int client_open(struct client *client, const char *config) __attribute__((warn_unused_result));
int client_open_with(struct client *client, const struct config *config)
    __attribute__((warn_unused_result));
void client_close(struct client *client);

/* A path under /api/v1 with up to four percent-encoded parts, the rest NULL. */
struct client_path {
    char text[CLIENT_PATH_MAX];
    int too_long;
};
struct client_path client_path(const char *part1, const char *part2, const char *part3,
                               const char *part4);
/* Adds ?name=value or &name=value; a NULL value adds nothing. */
void client_query(struct client_path *path, const char *name, const char *value);

/* One request. `body` NULL: none; it is not consumed. On CLI_OK *answer is the server's JSON (NULL
 * for 204), the caller's to drop; `answer` may be NULL. */
int client_call(struct client *client, const char *method, const struct client_path *path,
                const json_t *body, json_t **answer) __attribute__((warn_unused_result));

/* One GET without repetitions and sentences, for hints: the server's JSON, or NULL. */
json_t *client_look(struct client *client, const struct client_path *path);

/* One more part of a path, percent-encoded. */
void client_path_add(struct client_path *path, const char *part);

/* GETs bytes, at most `max`, with a progress bar on stderr if that is a terminal. Release `out`
 * with file_release() in every case. */
struct client_download {
    const char *label;
    size_t max;
};
int client_get(struct client *client, const struct client_path *path,
               const struct client_download *download, struct file_bytes *out)
    __attribute__((warn_unused_result));

/* PUTs bytes, with a progress bar on stderr if that is a terminal. */
struct client_upload {
    const char *label; /* NULL: without progress */
    const uint8_t *data;
    size_t len;
    const char *content_type; /* NULL: application/octet-stream */
};
int client_put(struct client *client, const struct client_path *path,
               const struct client_upload *upload, json_t **answer)
    __attribute__((warn_unused_result));

/* POSTs bytes. */
int client_post(struct client *client, const struct client_path *path,
                const struct client_upload *upload, json_t **answer)
    __attribute__((warn_unused_result));

/* All objects of a paged list, at most `max`, as one array in {"items": [...], "next": ...}; `next`
 * is null unless there are more. */
int client_list(struct client *client, const struct client_path *path, size_t max, json_t **answer)
    __attribute__((warn_unused_result));

/* One call, or one list, of a client of its own with the configuration of `args`. */
int client_once(const struct cli_args *args, const char *method, const struct client_path *path,
                const json_t *body, json_t **answer) __attribute__((warn_unused_result));
int client_list_once(const struct cli_args *args, const struct client_path *path, size_t max,
                     json_t **answer) __attribute__((warn_unused_result));

#endif
