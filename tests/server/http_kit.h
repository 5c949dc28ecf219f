#ifndef HTTP_KIT_H
#define HTTP_KIT_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "server/http/http.h"

/* A real server on a free loopback port with routes for tests, and a TLS client that sends exactly
 * the bytes it is told to. Every wait ends after CLIENT_TIMEOUT_S and fails the test. */

enum { CLIENT_TIMEOUT_S = 20, KIT_FILE_LEN = 8 * 1024 * 1024, KIT_UPLOAD_MAX = 4 * 1024 * 1024 };

/* Routes:
 *   GET  /hello            "hello"
 *   GET  /items/:id        "<id> <query 'q' or ->"
 *   GET  /items/first      "literal"
 *   POST /echo             the body, up to 64 KiB
 *   POST /json             as /echo, application/json only
 *   POST /upload           "<length> <sha256>", a file of up to KIT_UPLOAD_MAX
 *   GET  /file             KIT_FILE_LEN bytes (kit_file_byte), ETag "file-tag"
 *   GET  /bye              "bye", and closes
 *   GET  /later            finished by kit_finish_later(), from another thread
 *   GET  /admin            for ROLE_ADMIN: "Authorization: Bearer admin"
 *   POST /admin            the same, with a file of up to KIT_UPLOAD_MAX
 *   GET  /nobody           no role
 *   GET  /broken           an answer without a status
 *   GET  /deferred         finished by a deferred function on the loop's thread */
struct kit {
    char dir[64];
    struct tls_server *tls;
    struct http_server *server;
    struct stats stats;
    unsigned port;
    int file; /* of /file */
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct exchange *later; /* waits in /later */
    unsigned handled;       /* handlers run */
};

void kit_start(struct kit *k, const struct http_limits *limits);
/* Drains, and fails the test if anything still runs or a temporary file is left. */
void kit_stop(struct kit *k);
/* Waits until a request is in /later. */
void kit_wait_later(struct kit *k);
void kit_finish_later(struct kit *k);
uint8_t kit_file_byte(uint64_t offset);
unsigned kit_handled(struct kit *k);
/* Files in the spool folder. */
unsigned kit_spooled(const struct kit *k);
void kit_snapshot(struct kit *k, struct stats_snapshot *out);
/* Path of the CA file; static buffer. */
const char *kit_ca(const struct kit *k);

/* Bytes that libevent holds now: all buffers of all connections. */
size_t kit_libevent_bytes(void);

struct client {
    int fd;
    struct ssl_st *ssl;
    char *in; /* received and not yet consumed */
    size_t in_len;
    size_t in_size;
};

/* A bare TCP connection with timeouts; from another address of this machine: "127.0.0.2". */
int kit_connect(const struct kit *k);
int kit_connect_from(const struct kit *k, const char *source);
/* Connects and shakes hands. */
void client_open(struct client *c, const struct kit *k);
/* 0 if the server drops the connection instead. */
int client_try_open(struct client *c, const struct kit *k);
int client_try_open_from(struct client *c, const struct kit *k, const char *source);
void client_send(struct client *c, const void *data, size_t len);
void client_text(struct client *c, const char *text);
/* Sends until the server refuses to take more: 1 if all was taken. */
int client_push(struct client *c, const void *data, size_t len);
/* Says that nothing more comes (close_notify and FIN). */
void client_half_close(struct client *c);
void client_close(struct client *c);

struct reply {
    int status;
    char head[4096]; /* NUL-terminated, with the empty line */
    uint8_t *body;   /* NUL-terminated; reply_release() */
    size_t body_len;
};

enum reply_kind { REPLY_TO_GET, REPLY_TO_HEAD };

/* Reads one whole answer. */
void client_reply(struct client *c, enum reply_kind kind, struct reply *out);
/* 1 if the server closes without another byte. */
int client_closed(struct client *c);
/* Value of a header in a static buffer, or NULL. */
const char *reply_header(const struct reply *r, const char *name);
void reply_release(struct reply *r);

/* One request on a new connection; the status. */
int ask(const struct kit *k, const char *request, struct reply *out);

#endif
