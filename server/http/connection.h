#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdatomic.h>
#include <stdint.h>

#include "server/http/guard.h"
#include "server/http/http.h"
#include "server/http/loop.h"
#include "server/http/request.h"
#include "server/http/routes.h"
#include "server/http/spool.h"

/* Inside http/: connections, the exchanges on them, and the loop threads they live on.
 *
 * Invariants:
 * 1. A connection, its bufferevent and its call are touched on their worker's thread only. Other
 *    threads reach a call through finish() and defer(), which post a task.
 * 2. A call outlives its connection when the client goes away first (call->conn is NULL then), and
 *    is freed when finish() has come.
 * 3. server->live counts connections and calls without one: it never exceeds the limit.
 * 4. While a handler runs and its answer is sent, nothing is read; input never holds more than a
 *    head and one TLS record, and of a file never more than 24 KiB is in the output. */

struct http_server {
    struct http_config config;
    struct http_limits limits; /* no zeros */
    struct routes routes;
    struct guard guard;
    atomic_int_least64_t shed_log_ms; /* when turning away was last logged; 0 = never */
    atomic_uint shed_count;           /* since then */
    struct stats *stats;              /* config's, or own_stats */
    struct stats own_stats;
    int listen_fd;         /* of all listeners; the last one to stop closes it */
    atomic_uint listeners; /* that have not stopped */
    unsigned port;
    struct worker *worker;
    unsigned worker_count;
    atomic_uint live;
    atomic_uint handshakes; /* unfinished ones */
    atomic_int draining;
    atomic_int access_log;
    uint8_t id_key[SIPHASH_KEY_SIZE]; /* of request ids */
    pthread_mutex_t lock;             /* with idle: wakes http_drain() when live becomes 0 */
    pthread_cond_t idle;
};

struct worker {
    struct loop loop;
    struct http_server *server;
    unsigned index;
    struct connection *connections; /* doubly linked */
    struct call *calls;             /* doubly linked */
    struct evconnlistener *listener;
    struct event *resume; /* after accept() ran out of descriptors */
    uint64_t ids;         /* given to requests */
    int64_t date_s;       /* of date */
    char date[32];
    struct task drain;
};

/* What a connection is doing; the table in connection.c says what each step does, and how long. */
enum phase {
    PHASE_HANDSHAKE,
    PHASE_IDLE, /* no byte of a request yet */
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_HANDLER,
    PHASE_ANSWER,
    PHASE_LINGER, /* all is said; reads and drops until the client closes */
    PHASE_COUNT,
};

struct file_body {
    int fd; /* -1 = none */
    uint64_t offset;
    uint64_t left;
};

struct connection {
    struct worker *worker;
    struct connection *prev;
    struct connection *next;
    struct bufferevent *bev;
    struct ssl_st *ssl; /* bev's, NULL without TLS */
    struct event *timer;
    struct call *call;
    struct head_scan scan;
    struct file_body file;
    enum phase phase;
    int in_step;         /* advance() is on the stack */
    int eof;             /* the client sends nothing more */
    int close_after;     /* this answer is the last */
    int gathers;         /* TCP_CORK is on */
    unsigned requests;   /* begun */
    uint64_t moved;      /* body bytes in since the window began */
    uint64_t queued;     /* bytes put into the output, ever */
    uint64_t drained_at; /* queued - output length when the window began */
    uint64_t address;    /* guard_address() */
    char peer[48];
};

struct call {
    struct exchange x; /* first: ops get it back */
    struct arena arena;
    struct worker *worker;
    struct connection *conn; /* NULL = the client is gone */
    struct call *prev;
    struct call *next;
    struct request request;
    struct spool spool;
    uint8_t *memory_body; /* arena */
    size_t memory_size;
    int64_t began_ms;    /* monotonic */
    const char *refusal; /* why the sink refused, or NULL */
    struct task finish_task;
    struct task defer_task;
    void (*defer_fn)(void *arg);
    void *defer_arg;
    atomic_int deferred; /* defer_task is posted */
    atomic_int finished; /* finish() was called */
    int answered;        /* and its task ran */
};

/* Takes over the socket, on the worker's thread. */
void connection_open(struct worker *w, int fd, const char *peer, uint64_t address);
/* Closes it; the call, if any, lives on until finished. */
void connection_free(struct connection *c);
/* Does what can be done now. The connection may be gone afterwards. */
void connection_advance(struct connection *c);
/* For http_drain(): closes it if no request has begun. */
void connection_drain(struct connection *c);
/* Starts the deadline of the phase. */
void connection_phase(struct connection *c, enum phase phase);
/* Gives back a place in server->live. */
void server_leave(struct http_server *s);
/* 1 when so many connections are open that answers should end theirs. */
int server_crowded(const struct http_server *s);

/* call.c: one exchange. NULL without memory. */
struct call *call_new(struct connection *c);
void call_free(struct call *call);
/* Parses a head of `len` bytes, finds the route, asks the hook: the call is ready for its body, or
 * it is finished already (call->answered). */
void call_begin(struct call *call, char *head, size_t len);
/* Runs the handler. */
void call_run(struct call *call);
/* Finishes with an error and closes the connection afterwards. */
void call_refuse(struct call *call, int status, const char *why);

/* answer.c: writes the head and what body is in memory into the connection's output, and sets
 * conn->file. */
void answer_write(struct connection *c);

#endif
