#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "formats/err.h"
#include "server/http/connection.h"

/* The server as a whole: binding, accepting, draining. Every loop accepts from the one socket: to
 * hand each over from a thread of its own cost a wake-up and two switches of threads. */

enum {
    BACKLOG = 1024,
    RESUME_US = 100000,       /* pause after accept() found no descriptor */
    DESCRIPTORS_BESIDES = 64, /* kept for the database, files, eventfds */
    DESCRIPTORS_EACH = 2,     /* a connection's socket, and the file it sends or receives */
    NAME_MAX_BYTES = 256,
    SHED_LOG_MS = 1000,
    UNSENT_BYTES = 128 * 1024, /* of one connection in the kernel, beyond what its window takes */
    UNACKED_MS = 60000,        /* a peer that confirms nothing for so long is gone */
};

static const struct http_limits defaults = {
    .connections = 10000,
    .handshakes = 512,
    .head_bytes = 8192,
    .arena_bytes = 4 * 1024 * 1024,
    .head_ms = 10000,
    .idle_ms = 30000,
    .window_ms = 10000,
    .window_bytes = 4096,
    .linger_ms = 2000,
    .requests = 1000,
    .address_per_s = 200,
    .address_burst = 2000,
};

static int fail(char error[HTTP_ERROR_MAX], int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char error[HTTP_ERROR_MAX], int err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(error, HTTP_ERROR_MAX, fmt, args);
    va_end(args);
    return err;
}

static unsigned choose(unsigned wanted, unsigned otherwise)
{
    return wanted > 0 ? wanted : otherwise;
}

static void set_limits(struct http_server *s)
{
    const struct http_limits *w = &s->config.limits;
    s->limits = (struct http_limits){
        .connections = choose(w->connections, defaults.connections),
        .handshakes = choose(w->handshakes, defaults.handshakes),
        .head_bytes = choose(w->head_bytes, defaults.head_bytes),
        .arena_bytes = choose(w->arena_bytes, defaults.arena_bytes),
        .head_ms = choose(w->head_ms, defaults.head_ms),
        .idle_ms = choose(w->idle_ms, defaults.idle_ms),
        .window_ms = choose(w->window_ms, defaults.window_ms),
        .window_bytes = choose(w->window_bytes, defaults.window_bytes),
        .linger_ms = choose(w->linger_ms, defaults.linger_ms),
        .requests = choose(w->requests, defaults.requests),
        .address_per_s = choose(w->address_per_s, defaults.address_per_s),
        .address_burst = choose(w->address_burst, defaults.address_burst),
        .count_loopback = w->count_loopback,
    };
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
        const rlim_t usable =
            files.rlim_cur > DESCRIPTORS_BESIDES ? files.rlim_cur - DESCRIPTORS_BESIDES : 2;
        if (usable / DESCRIPTORS_EACH < s->limits.connections) {
            s->limits.connections = (unsigned)(usable / DESCRIPTORS_EACH);
            log_info("connections limited by the open file limit",
                     LOG_INT("connections", s->limits.connections));
        }
    }
    struct http_limits *l = &s->limits;
    l->address_connections = choose(w->address_connections, (l->connections + 3) / 4);
    l->address_handshakes = choose(w->address_handshakes, (l->handshakes + 3) / 4);
}

static int open_guard(struct http_server *s)
{
    const struct guard_limits limits = {
        .connections = s->limits.address_connections,
        .handshakes = s->limits.address_handshakes,
        .per_s = s->limits.address_per_s,
        .burst = s->limits.address_burst,
        .count_loopback = s->limits.count_loopback,
    };
    uint8_t key[SIPHASH_KEY_SIZE];
    if (getrandom(key, sizeof(key), 0) != sizeof(key)) {
        return SF_ERR_IO;
    }
    guard_init(&s->guard, &limits, key);
    if (getrandom(s->id_key, sizeof(s->id_key), 0) != sizeof(s->id_key)) {
        return SF_ERR_IO;
    }
    return SF_OK;
}

/* ---- binding ---- */

/* "1.2.3.4:80", "[::1]:80", ":80" to host and port. */
static int split_address(const char *listen_at, char host[NAME_MAX_BYTES], const char **port)
{
    const char *colon = strrchr(listen_at, ':');
    if (colon == NULL || strlen(colon + 1) == 0 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        return SF_ERR_RANGE;
    }
    size_t len = (size_t)(colon - listen_at);
    const char *start = listen_at;
    if (len >= 2 && start[0] == '[' && start[len - 1] == ']') {
        start++;
        len -= 2;
    } else if (memchr(start, ':', len) != NULL) {
        return SF_ERR_RANGE;
    }
    if (len >= NAME_MAX_BYTES) {
        return SF_ERR_RANGE;
    }
    memcpy(host, start, len);
    host[len] = '\0';
    *port = colon + 1;
    return SF_OK;
}

static unsigned bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {.in6 = {0}};
    socklen_t len = sizeof(address);
    if (getsockname(fd, &address.any, &len) != 0) {
        return 0;
    }
    return ntohs(address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port);
}

/* What accepted sockets inherit. Without a bound on what is unsent, the kernel would take megabytes
 * for a client that reads nothing, and we would think that they were on their way. */
static void bound_kernel(int fd)
{
    const int unsent_bytes = UNSENT_BYTES;
    const unsigned unacked_ms = UNACKED_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof(unsent_bytes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof(unacked_ms));
}

/* No SO_REUSEPORT: a second server on the port must fail, not share. */
static int bind_to(const struct addrinfo *info, int *fd_out)
{
    const int one = 1;
    const int fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    if (fd < 0) {
        return errno;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bound_kernel(fd);
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        const int saved = errno;
        (void)close(fd);
        return saved;
    }
    *fd_out = fd;
    return 0;
}

static int bind_failed(const char *where, int errno_value, char error[HTTP_ERROR_MAX])
{
    switch (errno_value) {
    case EADDRINUSE:
        return fail(error, SF_ERR_EXISTS,
                    "cannot listen on %s: the port is in use; stop the other program or choose "
                    "another port with --listen",
                    where);
    case EACCES:
        return fail(error, SF_ERR_IO,
                    "cannot listen on %s: this port needs more rights; choose one above 1023 with "
                    "--listen",
                    where);
    case EADDRNOTAVAIL:
        return fail(error, SF_ERR_IO,
                    "cannot listen on %s: this machine does not have that address", where);
    default:
        return fail(error, SF_ERR_IO, "cannot listen on %s (error %d)", where, errno_value);
    }
}

static int open_socket(struct http_server *s, char error[HTTP_ERROR_MAX])
{
    const char *where = s->config.listen;
    const char *port = NULL;
    char host[NAME_MAX_BYTES] = "";
    struct addrinfo *info = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST};
    if (split_address(where, host, &port) < 0 ||
        getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &info) != 0 ||
        strtoul(port, NULL, 10) > 65535) {
        if (info != NULL) {
            freeaddrinfo(info);
        }
        return fail(error, SF_ERR_RANGE,
                    "'%.100s' is not an address to listen on; write it as 127.0.0.1:8443 or "
                    "[::1]:8443",
                    where);
    }
    const int bad = bind_to(info, &s->listen_fd);
    freeaddrinfo(info);
    if (bad != 0) {
        return bind_failed(where, bad, error);
    }
    s->port = bound_port(s->listen_fd);
    return SF_OK;
}

/* ---- accepting ---- */

static void peer_text(const struct sockaddr *address, char out[INET6_ADDRSTRLEN])
{
    static const char mapped[] = "::ffff:";
    out[0] = '\0';
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        (void)inet_ntop(AF_INET, &in->sin_addr, out, INET6_ADDRSTRLEN);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, out, INET6_ADDRSTRLEN);
        if (strncmp(out, mapped, sizeof(mapped) - 1) == 0 && strchr(out, '.') != NULL) {
            memmove(out, out + sizeof(mapped) - 1, strlen(out) - sizeof(mapped) + 2);
        }
    }
}

static void give_place_back(struct http_server *s)
{
    (void)atomic_fetch_sub(&s->handshakes, 1);
    server_leave(s);
}

/* Counts a connection and its handshake: NULL; or why the server as a whole can't take one more.
 * Every loop accepts, so a place is taken first and looked at then. */
static const char *take_place(struct http_server *s)
{
    if (atomic_load(&s->draining)) {
        return "the server is stopping";
    }
    const int room = atomic_fetch_add(&s->live, 1) < s->limits.connections;
    const int calm = atomic_fetch_add(&s->handshakes, 1) < s->limits.handshakes * s->worker_count;
    if (room && calm) {
        return NULL;
    }
    give_place_back(s);
    return room ? "too many unfinished handshakes" : "too many connections";
}

/* Dropping a socket here costs microseconds; a handshake costs hundreds. The newest goes: those
 * before it may be about to finish. At most one line of log a second, whatever comes. */
static void shed(struct http_server *s, int fd, const struct sockaddr *address, const char *why)
{
    const int64_t now_ms = clock_mono_ms();
    int64_t last_ms = atomic_load(&s->shed_log_ms);
    (void)close(fd);
    STATS_ADD(s->stats->shed, 1);
    (void)atomic_fetch_add(&s->shed_count, 1);
    if ((last_ms != 0 && now_ms - last_ms < SHED_LOG_MS) ||
        !atomic_compare_exchange_strong(&s->shed_log_ms, &last_ms, now_ms)) {
        return;
    }
    char peer[INET6_ADDRSTRLEN];
    peer_text(address, peer);
    log_warn("connections closed at accept", LOG_TEXT("why", why), LOG_TEXT("peer", peer),
             LOG_INT("count", atomic_exchange(&s->shed_count, 0)));
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int address_len, void *ctx)
{
    (void)listener;
    (void)address_len;
    struct worker *w = ctx;
    struct http_server *s = w->server;
    const char *why = take_place(s);
    if (why != NULL) {
        stats_overload(s->stats, clock_mono_ms() / 1000);
        shed(s, fd, address, why);
        return;
    }
    const uint64_t hash = guard_address(&s->guard, address);
    const enum guard_verdict verdict = guard_enter(&s->guard, hash, clock_mono_ms());
    if (verdict != GUARD_ENTERED) {
        give_place_back(s);
        STATS_ADD(s->stats->limited, 1);
        shed(s, fd, address, guard_why(verdict));
        return;
    }
    const int one = 1;
    char peer[INET6_ADDRSTRLEN];
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    peer_text(address, peer);
    STATS_ADD(s->stats->accepted, 1);
    connection_open(w, fd, peer, hash);
}

/* Usually out of descriptors: the waiting socket would wake us at once, again and again. */
static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
    struct worker *w = ctx;
    const struct timeval tv = {.tv_usec = RESUME_US};
    log_warn("accept failed", LOG_INT("errno", errno));
    (void)evconnlistener_disable(listener);
    (void)event_add(w->resume, &tv);
}

static void on_resume(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct worker *w = ctx;
    if (w->listener != NULL) {
        (void)evconnlistener_enable(w->listener);
    }
}

/* ---- life ---- */

static int open_workers(struct http_server *s)
{
    unsigned count = s->config.loops;
    if (count == 0) {
        const long cores = sysconf(_SC_NPROCESSORS_ONLN);
        count = cores > 0 ? (unsigned)cores : 1;
    }
    s->worker = calloc(count, sizeof(*s->worker));
    if (s->worker == NULL) {
        return SF_ERR_NOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        struct worker *w = &s->worker[i];
        w->server = s;
        w->index = i;
        s->worker_count = i + 1;
        if (loop_init(&w->loop) < 0) {
            return SF_ERR_NOMEM;
        }
    }
    return SF_OK;
}

static int open_listener(struct worker *w)
{
    w->resume = evtimer_new(w->loop.base, on_resume, w);
    w->listener = evconnlistener_new(w->loop.base, on_accept, w, LEV_OPT_CLOSE_ON_EXEC, 0,
                                     w->server->listen_fd);
    if (w->resume == NULL || w->listener == NULL) {
        return SF_ERR_NOMEM;
    }
    evconnlistener_set_error_cb(w->listener, on_accept_error);
    (void)atomic_fetch_add(&w->server->listeners, 1);
    return SF_OK;
}

static int open_listeners(struct http_server *s)
{
    int err = SF_OK;
    for (unsigned i = 0; err == SF_OK && i < s->worker_count; i++) {
        err = open_listener(&s->worker[i]);
    }
    return err;
}

static int init_sync(struct http_server *s)
{
    pthread_condattr_t attr;
    if (pthread_mutex_init(&s->lock, NULL) != 0 || pthread_condattr_init(&attr) != 0) {
        return SF_ERR_NOMEM;
    }
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    const int bad = pthread_cond_init(&s->idle, &attr);
    (void)pthread_condattr_destroy(&attr);
    return bad == 0 ? SF_OK : SF_ERR_NOMEM;
}

int http_open(struct http_server **out, const struct http_config *config,
              char error[HTTP_ERROR_MAX])
{
    struct http_server *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return fail(error, SF_ERR_NOMEM, "out of memory");
    }
    s->config = *config;
    s->listen_fd = -1;
    s->routes = (struct routes){.route = config->routes,
                                .count = config->route_count,
                                .hosts = config->hosts,
                                .host_count = config->host_count};
    stats_init(&s->own_stats);
    s->stats = config->stats != NULL ? config->stats : &s->own_stats;
    set_limits(s);
    char wrong[HTTP_ERROR_MAX];
    if (routes_check(&s->routes, wrong, sizeof(wrong)) != NULL) {
        free(s);
        return fail(error, SF_ERR_RANGE, "%s", wrong);
    }
    if (open_guard(s) < 0) {
        free(s);
        return fail(error, SF_ERR_IO, "the system gives no random numbers");
    }
    if (init_sync(s) < 0 || open_workers(s) < 0) {
        http_close(s);
        return fail(error, SF_ERR_NOMEM, "out of memory or file descriptors");
    }
    int err = open_socket(s, error);
    if (err == SF_OK && open_listeners(s) < 0) {
        err = fail(error, SF_ERR_NOMEM, "out of memory");
    }
    if (err < 0) {
        http_close(s);
        return err;
    }
    *out = s;
    return SF_OK;
}

int http_start(struct http_server *s, char error[HTTP_ERROR_MAX])
{
    int err = SF_OK;
    for (unsigned i = 0; err == SF_OK && i < s->worker_count; i++) {
        err = loop_start(&s->worker[i].loop, "http loop");
    }
    return err < 0 ? fail(error, err, "cannot start the server's threads") : SF_OK;
}

void http_set_access_log(struct http_server *s, int on)
{
    atomic_store(&s->access_log, on);
}

unsigned http_loops(const struct http_server *s)
{
    return s->worker_count;
}

unsigned http_port(const struct http_server *s)
{
    return s->port;
}

static void stop_listening(struct worker *w)
{
    struct http_server *s = w->server;
    if (w->listener == NULL) {
        return;
    }
    evconnlistener_free(w->listener);
    w->listener = NULL;
    if (atomic_fetch_sub(&s->listeners, 1) == 1) {
        (void)close(s->listen_fd);
        s->listen_fd = -1;
    }
}

static void drain_worker(void *arg)
{
    struct worker *w = arg;
    stop_listening(w);
    struct connection *next;
    for (struct connection *c = w->connections; c != NULL; c = next) {
        next = c->next;
        connection_drain(c);
    }
}

unsigned http_drain(struct http_server *s, unsigned timeout_ms)
{
    const int64_t until_ms = clock_mono_ms() + timeout_ms;
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    if (atomic_exchange(&s->draining, 1) == 0 && s->worker[0].loop.running) {
        for (unsigned i = 0; i < s->worker_count; i++) {
            s->worker[i].drain = (struct task){.run = drain_worker, .arg = &s->worker[i]};
            loop_post(&s->worker[i].loop, &s->worker[i].drain);
        }
    }
    (void)pthread_mutex_lock(&s->lock);
    int waited = 0;
    while (atomic_load(&s->live) > 0 && waited == 0) {
        waited = pthread_cond_timedwait(&s->idle, &s->lock, &until);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return atomic_load(&s->live);
}

/* The threads are gone; what is left of connections and calls has no other user. */
static void release_worker(struct worker *w)
{
    stop_listening(w);
    if (w->resume != NULL) {
        event_free(w->resume);
    }
    while (w->connections != NULL) {
        connection_free(w->connections);
    }
    while (w->calls != NULL) {
        call_free(w->calls);
    }
    loop_release(&w->loop);
}

void http_close(struct http_server *s)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        loop_stop(&s->worker[i].loop);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        release_worker(&s->worker[i]);
    }
    if (s->listen_fd >= 0) {
        (void)close(s->listen_fd);
    }
    free(s->worker);
    (void)pthread_cond_destroy(&s->idle);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
