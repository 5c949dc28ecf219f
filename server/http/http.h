#ifndef HTTP_H
#define HTTP_H

#include <stdint.h>

#include "base/exchange.h"
#include "base/stats.h"
#include "base/tls.h"

/* HTTP/1.1 and 1.0 over TLS: N loop threads accept from one socket; each connection lives on one
 * loop, without locks. Requests are parsed by llhttp and by stricter rules of ours (request.h);
 * what is doubtful is refused and the connection closed. What is too much is closed at accept,
 * before a handshake is paid for; from three quarters of `connections` on, answers end theirs.
 *
 *     struct http_config config = {.listen = "127.0.0.1:8443", .tls = tls, .routes = routes,
 *                                  .route_count = n, .ctx = app, .authorise = check};
 *     char error[HTTP_ERROR_MAX];
 *     struct http_server *server;
 *     if (http_open(&server, &config, error) < 0) ...
 *     if (http_start(server, error) < 0) ...
 *     ... SIGTERM ...
 *     http_drain(server, 10000);
 *     ... close what handlers use (the store), so that every finish() that may come has come ...
 *     http_close(server);
 */

enum { HTTP_ERROR_MAX = 256 };

/* 0 = the default in parentheses. */
struct http_limits {
    unsigned connections;  /* open at once (10000, less when RLIMIT_NOFILE is lower) */
    unsigned handshakes;   /* unfinished at once, for each loop (512) */
    unsigned head_bytes;   /* request line and headers (8192) */
    unsigned arena_bytes;  /* memory of one exchange besides its body (4 MiB) */
    unsigned head_ms;      /* handshake and head, from accept or the first byte (10000) */
    unsigned idle_ms;      /* between requests of one connection (30000) */
    unsigned window_ms;    /* bodies and answers are measured in such windows (10000) */
    unsigned window_bytes; /* at least so many must move in each (4096) */
    unsigned linger_ms;    /* waiting for the client to close after a refusal (2000) */
    unsigned requests;     /* on one connection, then it is closed (1000) */
    /* What one address may have (guard.h). */
    unsigned address_connections; /* open at once (a quarter of `connections`) */
    unsigned address_handshakes;  /* of these unfinished (a quarter of `handshakes`) */
    unsigned address_per_s;       /* new connections a second (200) */
    unsigned address_burst;       /* new connections at once (2000) */
    int count_loopback;           /* 1 = limit this machine's own addresses too (0) */
};

struct http_config {
    const char *listen;       /* "ADDR:PORT", "[v6]:PORT" or ":PORT"; port 0 = any free one */
    struct tls_server *tls;   /* outlives the server; NULL = no TLS, for tests */
    const char *const *hosts; /* names allowed in an absolute-form target; NULL = none */
    unsigned host_count;
    const char *spool_dir; /* for BODY_FILE; on the file system of the artifacts */
    /* Before a BODY_FILE body and each MiB of it: `written` bytes are there, `more` are announced
     * (0 = not). NULL = go on, else 507 with the sentence, in the arena or static. */
    const char *(*spool_refuse)(void *ctx, struct arena *arena, uint64_t written, uint64_t more);
    const struct route *routes;
    unsigned route_count;          /* up to STATS_ROUTE_MAX */
    void *ctx;                     /* for handlers and the hook */
    exchange_authorise *authorise; /* NULL: ROLE_ANYONE for all */
    struct stats *stats;           /* outlives the server; NULL = none */
    unsigned loops;                /* 0 = one a core */
    struct http_limits limits;
};

struct http_server;

/* Checks the configuration and binds. SF_OK, SF_ERR_RANGE (bad configuration), SF_ERR_EXISTS (the
 * address is in use), SF_ERR_IO, SF_ERR_NOMEM; `error` is one sentence. Strings and routes in the
 * configuration outlive the server. */
int http_open(struct http_server **out, const struct http_config *config,
              char error[HTTP_ERROR_MAX]) __attribute__((warn_unused_result));

/* Starts the threads. Loops are numbered 0 to http_loops() - 1 (struct exchange, loop). */
int http_start(struct http_server *s, char error[HTTP_ERROR_MAX])
    __attribute__((warn_unused_result));

unsigned http_loops(const struct http_server *s);
/* The bound port. */
unsigned http_port(const struct http_server *s);

/* 1: each request is a line of the log at level info; 0 (at first): at debug. Any thread. */
void http_set_access_log(struct http_server *s, int on);

/* Stops accepting, closes idle connections, lets running exchanges end, and returns when none is
 * left or after timeout_ms: 0, or the number of those still running. */
unsigned http_drain(struct http_server *s, unsigned timeout_ms);

/* Stops the loops and frees everything. No thread may call finish() or defer() afterwards. */
void http_close(struct http_server *s);

#endif
