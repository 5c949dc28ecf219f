#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* One HTTP request and its answer, as the protocol adapters see it: without sockets, TLS or
 * threads. http/ fills the request, calls the authorise hook when the headers are complete, then
 * reads the body, calls the route's handler on the connection's loop thread, and sends the answer
 * after exchange_finish(), which may come later and from any thread.
 *
 * Memory: everything in it lives in `arena` and is gone after the answer is sent. The arena is not
 * thread-safe: one thread at a time works on an exchange (the loop thread, then the one it was
 * handed to). All text is valid UTF-8 without NUL inside, except header values (any visible bytes).
 *
 * The client may go away at any moment; the exchange stays valid until exchange_finish(). */

enum method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE };

/* Who may call a route; bits. No bit set = nobody: deny by default. */
enum role {
    ROLE_ANYONE = 1 << 0,
    ROLE_DEVICE = 1 << 1,
    ROLE_VIEWER = 1 << 2,
    ROLE_PUBLISHER = 1 << 3,
    ROLE_OPERATOR = 1 << 4,
    ROLE_APPROVER = 1 << 5,
    ROLE_ADMIN = 1 << 6,
    ROLE_PLAIN = 1 << 7, /* a client of a product's plain endpoint */
};

enum {
    EXCHANGE_PARAM_MAX = 4,
    EXCHANGE_QUERY_MAX = 16,
    EXCHANGE_HEADER_MAX = 32,
    ANSWER_HEADER_MAX = 12,
    EXCHANGE_ID_SIZE = 17, /* 16 hex digits and NUL */
};

struct pair {
    const char *name;
    const char *value; /* percent-decoded in queries and path parameters; NUL-terminated */
};

struct exchange;

struct exchange_ops { /* http/ fills it; tests fill their own */
    void (*finish)(struct exchange *x);
    /* Runs fn(arg) on the thread that owns the exchange, soon. From any thread; at most one call
     * may be waiting for an exchange at a time. */
    void (*defer)(struct exchange *x, void (*fn)(void *arg), void *arg);
};

struct answer {
    int status;
    const char *content_type; /* NULL = no body */
    const void *body;         /* arena or static */
    size_t body_len;
    struct pair header[ANSWER_HEADER_MAX]; /* extra headers */
    unsigned header_count;
    int file_fd; /* >= 0: the body is file_len bytes from file_offset; http/ closes it */
    uint64_t file_offset;
    uint64_t file_len;
};

struct exchange {
    struct arena *arena;
    const struct exchange_ops *ops;
    const struct route *route;
    unsigned loop; /* index of the loop thread, for per-thread readers */
    enum method method;
    const char *path;                      /* decoded, without the query */
    struct pair param[EXCHANGE_PARAM_MAX]; /* ":id" in the route's path */
    unsigned param_count;
    struct pair query[EXCHANGE_QUERY_MAX];
    unsigned query_count;
    struct pair header[EXCHANGE_HEADER_MAX]; /* lower-case names; those that http/ keeps */
    unsigned header_count;
    const char *peer; /* "192.0.2.1" */
    /* The answer's X-Request-Id, and "request" in each line of the log about it. Made by http/,
     * unique and not to be guessed; a client's own is not taken: it could be another's. */
    char id[EXCHANGE_ID_SIZE];
    uint64_t address; /* its hash (IPv6: of its /64), for limits; 0 = not to be limited */
    /* filled by the authorise hook */
    unsigned roles;  /* of the caller, enum role; ROLE_ANYONE is set before the hook */
    const char *who; /* token name or device id, for the audit log */
    int64_t who_id;  /* its row, 0 = none */
    /* the body, whole */
    const uint8_t *body; /* followed by a NUL that body_len does not count */
    size_t body_len;
    const char *body_path; /* routes with BODY_FILE: the temporary file; unlinked after the answer
                              unless the handler renames it away */
    uint64_t body_file_len;
    uint8_t body_sha256[32]; /* of a BODY_FILE body */
    struct answer answer;
    void *handler_data; /* the handler's own, in the arena */
};

enum body_kind { BODY_NONE, BODY_MEMORY, BODY_FILE };

struct route {
    enum method method; /* METHOD_GET serves HEAD too */
    const char *path;   /* "/api/v1/devices/:id" */
    unsigned roles;     /* any of these may call it */
    enum body_kind body;
    uint64_t max_body;             /* bytes; more is 413 */
    const char *body_content_type; /* required for requests with a body; NULL = any */
    void (*handle)(struct exchange *x, void *ctx);
    const char *summary; /* one line, for docs/api.md which is generated from the tables */
};

/* The authorise hook runs on the loop thread when the headers are complete and the route is known,
 * before any byte of the body is accepted. It fills roles, who and who_id and returns 0 to go on,
 * an HTTP status (401, 403, 429, 503) that http/ answers with a plain error, or EXCHANGE_ANSWERED
 * after it has called exchange_fail() or exchange_finish() itself. After 0, http/ still demands
 * that roles and route->roles meet (401 without who, else 403). */
enum { EXCHANGE_ANSWERED = -1 };

typedef int exchange_authorise(struct exchange *x, void *ctx);

/* Value or NULL. */
const char *exchange_param(const struct exchange *x, const char *name);
const char *exchange_query(const struct exchange *x, const char *name);
const char *exchange_header(const struct exchange *x, const char *name);

/* What logs call it by: the route's pattern, "none" without one. Never the path itself: tokens may
 * stand in it. */
const char *exchange_name(const struct exchange *x);

/* Adds a header to the answer; both strings live as long as the exchange. "Connection: close" makes
 * http/ close the connection after the answer; ETag makes it honour If-None-Match, and on file
 * answers Range and If-Range. A value with a control character is dropped, and so is what does
 * not fit (ANSWER_HEADER_MAX). */
void answer_header(struct exchange *x, const char *name, const char *value);

/* Sets status and body; the bytes live in the arena or are static. */
void answer_body(struct exchange *x, int status, const char *content_type, const void *body,
                 size_t body_len);

/* Ends the exchange. x is not to be used afterwards. */
void exchange_finish(struct exchange *x);

/* {"error": {"code": "...", "message": "..."}} and finish. `message` is a sentence for a person. */
void exchange_fail(struct exchange *x, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
