#include "server/http/connection.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* A connection is a phase and a step function for it; connection_advance() runs steps until one has
 * to wait for bytes, for room, or for a handler:
 *
 *     HANDSHAKE -> IDLE -> HEAD -> BODY -> HANDLER -> ANSWER -> IDLE ... -> LINGER
 *
 * bufferevent_openssl reads whole TLS records before it calls back and is never suspended by a
 * watermark: bytes that OpenSSL has decrypted but libevent has not fetched would not wake us. */

enum {
    FILE_PIECE = 16 * 1024 - 128, /* of a file; with libevent's header a 16 KiB block */
    OUTPUT_LOW = 8 * 1024,        /* the next piece is read below this */
    DROP_BYTES = 1024,            /* of input after the last answer; more lingers */
};

enum { NO_MEMORY = 503 };

enum step { STEP_AGAIN, STEP_WAIT, STEP_GONE };

/* ---- life ---- */

void server_leave(struct http_server *s)
{
    if (atomic_fetch_sub(&s->live, 1) == 1) {
        (void)pthread_mutex_lock(&s->lock);
        (void)pthread_cond_broadcast(&s->idle);
        (void)pthread_mutex_unlock(&s->lock);
    }
}

int server_crowded(const struct http_server *s)
{
    return atomic_load(&s->live) > s->limits.connections - s->limits.connections / 4;
}

static void leave_handshake(struct connection *c)
{
    if (c->phase == PHASE_HANDSHAKE) {
        guard_shaken(&c->worker->server->guard, c->address);
        (void)atomic_fetch_sub_explicit(&c->worker->server->handshakes, 1, memory_order_relaxed);
    }
}

void connection_free(struct connection *c)
{
    struct worker *w = c->worker;
    leave_handshake(c);
    guard_leave(&w->server->guard, c->address);
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        w->connections = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    struct call *call = c->call;
    int detached = 0;
    if (call != NULL) {
        call->conn = NULL;
        /* BODY: the handler never ran, so nobody else knows the call. */
        if (call->answered || c->phase == PHASE_BODY) {
            call_free(call);
        } else {
            detached = 1;
        }
    }
    if (c->file.fd >= 0) {
        (void)close(c->file.fd);
    }
    if (c->timer != NULL) {
        event_free(c->timer);
    }
    if (c->bev != NULL) {
        bufferevent_free(c->bev); /* with SSL and socket */
    }
    free(c);
    (void)atomic_fetch_sub_explicit(&w->server->stats->connections, 1, memory_order_relaxed);
    if (!detached) {
        server_leave(w->server);
    }
}

static unsigned phase_ms(const struct connection *c, enum phase phase)
{
    const struct http_limits *l = &c->worker->server->limits;
    switch (phase) {
    case PHASE_HANDSHAKE:
    case PHASE_HEAD:
        return l->head_ms;
    case PHASE_IDLE:
        return l->idle_ms;
    case PHASE_BODY:
    case PHASE_ANSWER:
        return l->window_ms;
    case PHASE_LINGER:
        return l->linger_ms;
    case PHASE_HANDLER:
    case PHASE_COUNT:
        break;
    }
    return 0;
}

static void arm(struct connection *c)
{
    const unsigned ms = phase_ms(c, c->phase);
    if (ms == 0) {
        (void)event_del(c->timer);
        return;
    }
    const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
    (void)event_add(c->timer, &tv);
}

/* The deadline of the first head runs from accept on, so a completed handshake buys no time. */
void connection_phase(struct connection *c, enum phase phase)
{
    const int first_head = c->requests == 0 && phase == PHASE_HEAD;
    leave_handshake(c);
    c->phase = phase;
    if (!first_head) {
        arm(c);
    }
}

static uint64_t drained(const struct connection *c)
{
    return c->queued - evbuffer_get_length(bufferevent_get_output(c->bev));
}

/* ---- the end ---- */

/* 1 if more waits in the socket than the client's close_notify. `flags`: MSG_PEEK leaves it there,
 * for TLS to decrypt; 0 takes it, before the socket is closed. */
static int input_left(struct connection *c, int flags)
{
    uint8_t dropped[DROP_BYTES];
    if (evbuffer_get_length(bufferevent_get_input(c->bev)) > 0) {
        return 1;
    }
    return recv(bufferevent_getfd(c->bev), dropped, sizeof(dropped), MSG_DONTWAIT | flags) ==
           (ssize_t)sizeof(dropped);
}

static void say_goodbye(struct connection *c)
{
    if (c->ssl != NULL) {
        (void)SSL_shutdown(c->ssl); /* sends close_notify, waits for nothing */
        ERR_clear_error();
    }
}

/* Closing a socket with unread bytes in it sends a reset, and that destroys the answer on its way:
 * so with unread bytes the sending half is closed first and the rest is read and dropped. */
static enum step wind_up(struct connection *c)
{
    say_goodbye(c);
    const int complete = c->call == NULL || c->call->request.complete;
    if (c->eof || (complete && !input_left(c, MSG_PEEK))) {
        (void)input_left(c, 0);
        connection_free(c);
        return STEP_GONE;
    }
    if (c->call != NULL) {
        call_free(c->call);
        c->call = NULL;
    }
    (void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
    connection_phase(c, PHASE_LINGER);
    (void)bufferevent_enable(c->bev, EV_READ);
    return STEP_AGAIN;
}

static enum step step_linger(struct connection *c)
{
    struct evbuffer *input = bufferevent_get_input(c->bev);
    (void)evbuffer_drain(input, evbuffer_get_length(input));
    if (c->eof) {
        connection_free(c);
        return STEP_GONE;
    }
    return STEP_WAIT;
}

/* ---- request ---- */

/* Answers an error to what is no request; nothing after it can be trusted. */
static enum step refuse(struct connection *c, int status, const char *why)
{
    c->close_after = 1;
    STATS_ADD(c->worker->server->stats->refused, 1);
    if (c->call == NULL) {
        c->call = call_new(c);
    }
    if (c->call == NULL) {
        connection_free(c);
        return STEP_GONE;
    }
    c->requests++;
    connection_phase(c, PHASE_HANDLER);
    call_refuse(c->call, status, why);
    return STEP_AGAIN;
}

/* Where the body begins: with all of it there, the handler follows at once. */
static enum step begin(struct connection *c, size_t head_len)
{
    struct evbuffer *input = bufferevent_get_input(c->bev);
    struct call *call = call_new(c);
    char *head = call != NULL ? arena_alloc(&call->arena, head_len) : NULL;
    c->call = call;
    if (head == NULL || evbuffer_remove(input, head, head_len) != (int)head_len) {
        if (call != NULL) {
            call->answered = 1;
        }
        connection_free(c);
        return STEP_GONE;
    }
    c->scan = (struct head_scan){0};
    c->requests++;
    c->moved = 0;
    connection_phase(c, PHASE_HANDLER);
    call_begin(call, head, head_len);
    if (atomic_load(&call->finished)) {
        return STEP_AGAIN;
    }
    if (call->request.complete) {
        call_run(call);
        return STEP_AGAIN;
    }
    connection_phase(c, PHASE_BODY);
    if (call->request.expect_continue && evbuffer_get_length(input) == 0) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        c->queued += sizeof(go_on) - 1;
        (void)bufferevent_write(c->bev, go_on, sizeof(go_on) - 1);
    }
    return STEP_AGAIN;
}

static enum step step_head(struct connection *c)
{
    const struct http_limits *limits = &c->worker->server->limits;
    struct evbuffer *input = bufferevent_get_input(c->bev);
    const size_t len = evbuffer_get_length(input);
    if (len == 0) {
        if (c->eof) {
            connection_free(c);
            return STEP_GONE;
        }
        return STEP_WAIT;
    }
    if (c->phase == PHASE_IDLE) {
        connection_phase(c, PHASE_HEAD);
    }
    const size_t look = len < limits->head_bytes ? len : limits->head_bytes;
    const uint8_t *data = evbuffer_pullup(input, (ev_ssize_t)look);
    const char *why = NULL;
    const int n = data != NULL ? request_head_scan(&c->scan, data, look, &why) : -NO_MEMORY;
    if (n < 0) {
        return refuse(c, -n, why != NULL ? why : "the server is out of memory");
    }
    if (n > 0) {
        return begin(c, (size_t)n);
    }
    if (len >= limits->head_bytes) {
        return c->scan.lines == 0 ? refuse(c, 414, "the request line is too long")
                                  : refuse(c, 431, "the request line and headers are too long");
    }
    if (c->eof) {
        connection_free(c);
        return STEP_GONE;
    }
    return STEP_WAIT;
}

static enum step step_body(struct connection *c)
{
    struct evbuffer *input = bufferevent_get_input(c->bev);
    struct call *call = c->call;
    size_t len = 0;
    while (!call->request.complete && (len = evbuffer_get_length(input)) > 0) {
        const size_t front = evbuffer_get_contiguous_space(input);
        const size_t piece = front > 0 ? front : len;
        const uint8_t *data = evbuffer_pullup(input, (ev_ssize_t)piece);
        size_t used = 0;
        const int status =
            data != NULL ? request_feed(&call->request, data, piece, &used) : NO_MEMORY;
        if (status != 0) {
            c->close_after = 1;
            connection_phase(c, PHASE_HANDLER);
            const char *why = call->refusal != NULL ? call->refusal : call->request.why;
            call_refuse(call, status, why != NULL ? why : "the server is out of memory");
            return STEP_AGAIN;
        }
        (void)evbuffer_drain(input, used);
    }
    if (call->request.complete) {
        connection_phase(c, PHASE_HANDLER);
        call_run(call);
        return STEP_AGAIN;
    }
    if (c->eof) {
        connection_free(c);
        return STEP_GONE;
    }
    return STEP_WAIT;
}

/* ---- answer ---- */

/* While the socket gathers, only full segments leave: the records of a file together, and the last
 * answer with TLS's goodbye and the end of the stream. Each of their own costs both sides the whole
 * way through TCP. close() and shutdown() end it, too. */
static void gather(struct connection *c, int on)
{
    if (c->gathers != on) {
        (void)setsockopt(bufferevent_getfd(c->bev), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
        c->gathers = on;
    }
}

static enum step step_handler(struct connection *c)
{
    (void)bufferevent_disable(c->bev, EV_READ);
    if (!c->call->answered) {
        return STEP_WAIT;
    }
    const struct http_server *s = c->worker->server;
    const int no_more = c->eof && evbuffer_get_length(bufferevent_get_input(c->bev)) == 0;
    if (no_more || !c->call->request.complete || !c->call->request.keep_alive ||
        c->requests >= s->limits.requests || atomic_load(&s->draining) || server_crowded(s)) {
        c->close_after = 1;
    }
    answer_write(c);
    gather(c, c->close_after || c->file.left > 0);
    bufferevent_setwatermark(c->bev, EV_WRITE, c->file.left > 0 ? OUTPUT_LOW : 0, 0);
    connection_phase(c, PHASE_ANSWER);
    c->drained_at = drained(c);
    return STEP_AGAIN;
}

/* Reads the next piece of the file. 0 if it is shorter than promised or unreadable. */
static int fill(struct connection *c)
{
    struct evbuffer *output = bufferevent_get_output(c->bev);
    const size_t want = c->file.left < FILE_PIECE ? (size_t)c->file.left : FILE_PIECE;
    struct evbuffer_iovec space;
    if (evbuffer_reserve_space(output, (ev_ssize_t)want, &space, 1) != 1) {
        return 0;
    }
    const ssize_t n = pread(c->file.fd, space.iov_base, want, (off_t)c->file.offset);
    if (n <= 0) {
        return 0;
    }
    space.iov_len = (size_t)n;
    if (evbuffer_commit_space(output, &space, 1) != 0) {
        return 0;
    }
    c->file.offset += (uint64_t)n;
    c->file.left -= (uint64_t)n;
    c->queued += (uint64_t)n;
    if (c->file.left == 0) {
        bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
    }
    return 1;
}

static enum step step_answer(struct connection *c)
{
    const size_t waiting = evbuffer_get_length(bufferevent_get_output(c->bev));
    if (c->file.left > 0) {
        if (waiting <= OUTPUT_LOW && !fill(c)) {
            log_error("artifact can't be read", LOG_TEXT("request", c->call->x.id),
                      LOG_TEXT("route", exchange_name(&c->call->x)));
            connection_free(c); /* the promised length can't be kept */
            return STEP_GONE;
        }
        return STEP_WAIT;
    }
    if (waiting > 0) {
        return STEP_WAIT;
    }
    if (c->file.fd >= 0) {
        (void)close(c->file.fd);
        c->file.fd = -1;
    }
    if (c->close_after) {
        return wind_up(c);
    }
    gather(c, 0);
    call_free(c->call);
    c->call = NULL;
    connection_phase(c, PHASE_IDLE);
    if (!c->eof) {
        (void)bufferevent_enable(c->bev, EV_READ);
    }
    return STEP_AGAIN;
}

static enum step step_handshake(struct connection *c)
{
    (void)c;
    return STEP_WAIT;
}

static enum step (*const steps[PHASE_COUNT])(struct connection *c) = {
    [PHASE_HANDSHAKE] = step_handshake, [PHASE_IDLE] = step_head,
    [PHASE_HEAD] = step_head,           [PHASE_BODY] = step_body,
    [PHASE_HANDLER] = step_handler,     [PHASE_ANSWER] = step_answer,
    [PHASE_LINGER] = step_linger,
};

void connection_advance(struct connection *c)
{
    if (c->in_step) {
        return; /* the step that is running will see the change */
    }
    c->in_step = 1;
    enum step result;
    do {
        result = steps[c->phase](c);
    } while (result == STEP_AGAIN);
    if (result == STEP_WAIT) {
        c->in_step = 0;
    }
}

/* ---- events ---- */

static void on_read(struct bufferevent *bev, void *ctx)
{
    (void)bev;
    connection_advance(ctx);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct connection *c = ctx;
    struct stats *stats = c->worker->server->stats;
    if (what & BEV_EVENT_CONNECTED) {
        STATS_ADD(stats->handshakes, 1);
        STATS_ADD(stats->handshakes_resumed, SSL_session_reused(c->ssl));
        connection_phase(c, PHASE_HEAD);
        return;
    }
    while (bufferevent_get_openssl_error(bev) != 0) {
    }
    if (c->phase == PHASE_HANDSHAKE) {
        STATS_ADD(stats->handshakes_failed, 1);
        connection_free(c);
    } else if ((what & BEV_EVENT_EOF) && !(what & BEV_EVENT_WRITING)) {
        c->eof = 1;
        (void)bufferevent_disable(bev, EV_READ);
        (void)bufferevent_enable(bev, EV_WRITE); /* a client may close its half and wait */
        connection_advance(c);
    } else {
        /* An end while writing is a reset: libevent calls it so since it forgives dirty ends. To go
         * on would fail at once again, and again, until the deadline. */
        connection_free(c);
    }
}

static int is_moving(struct connection *c)
{
    const struct http_limits *limits = &c->worker->server->limits;
    uint64_t moved = c->moved;
    if (c->phase == PHASE_ANSWER) {
        moved = drained(c) - c->drained_at;
        c->drained_at = drained(c);
    }
    c->moved = 0;
    return moved >= limits->window_bytes;
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct connection *c = ctx;
    if ((c->phase == PHASE_BODY || c->phase == PHASE_ANSWER) && is_moving(c)) {
        arm(c);
        return;
    }
    if (c->phase != PHASE_IDLE && c->phase != PHASE_LINGER) {
        STATS_ADD(c->worker->server->stats->timeouts, 1);
    }
    if (c->phase == PHASE_HANDSHAKE) {
        STATS_ADD(c->worker->server->stats->handshakes_failed, 1);
    }
    const int told = c->phase == PHASE_BODY || (c->phase == PHASE_HEAD && c->scan.pos > 0);
    if (!told) {
        connection_free(c);
        return;
    }
    c->in_step = 1; /* the refusal must not advance, and perhaps free, the connection under us */
    if (refuse(c, 408, "the request arrives too slowly") != STEP_GONE) {
        c->in_step = 0;
        connection_advance(c);
    }
}

static struct bufferevent *open_stream(struct connection *c, int fd)
{
    struct http_server *s = c->worker->server;
    struct event_base *base = c->worker->loop.base;
    if (s->config.tls == NULL) {
        return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    }
    c->ssl = tls_server_connection(s->config.tls);
    if (c->ssl == NULL) {
        return NULL;
    }
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        base, fd, c->ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (bev == NULL) {
        SSL_free(c->ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

void connection_open(struct worker *w, int fd, const char *peer, uint64_t address)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (c != NULL) {
        c->worker = w;
        c->address = address;
        c->file.fd = -1;
        c->phase = PHASE_HANDSHAKE;
        (void)strncpy(c->peer, peer, sizeof(c->peer) - 1);
        c->timer = evtimer_new(w->loop.base, on_deadline, c);
        c->bev = c->timer != NULL ? open_stream(c, fd) : NULL;
    }
    if (c == NULL || c->bev == NULL) {
        if (c != NULL && c->timer != NULL) {
            event_free(c->timer);
        }
        free(c);
        (void)close(fd);
        guard_shaken(&w->server->guard, address);
        guard_leave(&w->server->guard, address);
        (void)atomic_fetch_sub_explicit(&w->server->handshakes, 1, memory_order_relaxed);
        server_leave(w->server);
        return;
    }
    c->next = w->connections;
    if (c->next != NULL) {
        c->next->prev = c;
    }
    w->connections = c;
    (void)atomic_fetch_add_explicit(&w->server->stats->connections, 1, memory_order_relaxed);
    bufferevent_setcb(c->bev, on_read, on_read, on_event, c);
    arm(c);
    if (c->ssl == NULL) {
        connection_phase(c, PHASE_HEAD);
    }
    (void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

void connection_drain(struct connection *c)
{
    const int begun = c->phase > PHASE_HEAD || (c->phase == PHASE_HEAD && c->scan.pos > 0);
    if (!begun) {
        say_goodbye(c);
        connection_free(c);
    }
}
