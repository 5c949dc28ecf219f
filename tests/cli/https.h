#ifndef TESTS_CLI_HTTPS_H
#define TESTS_CLI_HTTPS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* A server for one test: answers each request with the next line of a script, or as a plain web
 * host of a folder does, over TLS with the certificate that base/tls made in a folder. One
 * connection a request. */

enum { HTTPS_SCRIPT_MAX = 16, HTTPS_REQUEST_MAX = 65536 };

struct https_answer {
    int status;
    const char *headers; /* lines ending in \r\n, or NULL */
    const char *body;
};

struct https {
    char url[64];
    /* read after https_stop() */
    unsigned request_count;              /* requests that were read whole */
    char request[HTTPS_SCRIPT_MAX][512]; /* the beginning of each */
    unsigned not_modified;               /* of a folder: answered 304 */
    unsigned authorized;                 /* requests with a credential */
    /* private */
    const char *dir;
    const char *root; /* the folder that is served, or NULL */
    struct https_answer script[HTTPS_SCRIPT_MAX];
    unsigned script_count;
    int listener;
    int stop[2];
    pthread_t thread;
};

/* A CA (ca.pem) and a certificate for localhost in `dir`, made as of `now_s`. */
void https_make_identity(const char *dir, int64_t now_s);

/* Starts on a free port of the loopback; https://localhost:PORT. */
void https_start(struct https *s, const char *dir, const struct https_answer *script,
                 unsigned count);
/* The same, for the files of a folder: ETag with 304, open ranges with If-Range. */
void https_start_folder(struct https *s, const char *dir, const char *root);
void https_stop(struct https *s);

#endif
