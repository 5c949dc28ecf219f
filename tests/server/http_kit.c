#include "tests/server/http_kit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"

/* ---- libevent's memory ---- */

static atomic_size_t libevent_bytes;

static void *counted_malloc(size_t size)
{
    void *p = malloc(size);
    (void)atomic_fetch_add(&libevent_bytes, p != NULL ? malloc_usable_size(p) : 0);
    return p;
}

static void *counted_realloc(void *old, size_t size)
{
    const size_t before = old != NULL ? malloc_usable_size(old) : 0;
    void *p = realloc(old, size);
    if (p != NULL) {
        (void)atomic_fetch_sub(&libevent_bytes, before);
        (void)atomic_fetch_add(&libevent_bytes, malloc_usable_size(p));
    }
    return p;
}

static void counted_free(void *p)
{
    (void)atomic_fetch_sub(&libevent_bytes, p != NULL ? malloc_usable_size(p) : 0);
    free(p);
}

size_t kit_libevent_bytes(void)
{
    return atomic_load(&libevent_bytes);
}

/* ---- routes ---- */

static struct kit *note(void *ctx)
{
    struct kit *k = ctx;
    (void)pthread_mutex_lock(&k->lock);
    k->handled++;
    (void)pthread_mutex_unlock(&k->lock);
    return k;
}

static void reply_text(struct exchange *x, const char *text)
{
    answer_body(x, 200, "text/plain", text, strlen(text));
    exchange_finish(x);
}

static void hello(struct exchange *x, void *ctx)
{
    (void)note(ctx);
    answer_header(x, "ETag", "\"hello-tag\"");
    reply_text(x, "hello");
}

static void item(struct exchange *x, void *ctx)
{
    (void)note(ctx);
    const char *q = exchange_query(x, "q");
    reply_text(x, arena_printf(x->arena, "%s %s", exchange_param(x, "id"), q != NULL ? q : "-"));
}

static void first(struct exchange *x, void *ctx)
{
    (void)note(ctx);
    reply_text(x, "literal");
}

static void echo(struct exchange *x, void *ctx)
{
    (void)note(ctx);
    answer_body(x, 200, "application/octet-stream", x->body, x->body_len);
    exchange_finish(x);
}

static void upload(struct exchange *x, void *ctx)
{
    (void)note(ctx);
    struct stat st;
    char hex[65];
    hex_encode(x->body_sha256, 32, hex);
    if (x->body_path == NULL || stat(x->body_path, &st) != 0 ||
        (uint64_t)st.st_size != x->body_file_len) {
        exchange_fail(x, 500, "internal", "the spooled file is not there");
        return;
    }
    reply_text(x, arena_printf(x->arena, "%llu %s", (unsigned long long)x->body_file_len, hex));
}

static void file(struct exchange *x, void *ctx)
{
    const struct kit *k = note(ctx);
    x->answer.status = 200;
    x->answer.content_type = "application/octet-stream";
    x->answer.file_fd = dup(k->file);
    x->answer.file_len = KIT_FILE_LEN;
    answer_header(x, "ETag", "\"file-tag\"");
    answer_header(x, "Cache-Control", "public, max-age=31536000, immutable");
    exchange_finish(x);
}

static void bye(struct exchange *x, void *ctx)
{
    (void)note(ctx);
    answer_header(x, "Connection", "close");
    reply_text(x, "bye");
}

static void later(struct exchange *x, void *ctx)
{
    struct kit *k = note(ctx);
    (void)pthread_mutex_lock(&k->lock);
    k->later = x;
    (void)pthread_cond_broadcast(&k->arrived);
    (void)pthread_mutex_unlock(&k->lock);
}

static void finish_deferred(void *arg)
{
    reply_text(arg, "deferred");
}

static void deferred(struct exchange *x, void *ctx)
{
    (void)note(ctx);
    x->ops->defer(x, finish_deferred, x);
}

static void broken(struct exchange *x, void *ctx)
{
    (void)note(ctx);
    exchange_finish(x);
}

static const struct route routes[] = {
    {METHOD_GET, "/hello", ROLE_ANYONE, BODY_NONE, 0, NULL, hello, ""},
    {METHOD_GET, "/items/:id", ROLE_ANYONE, BODY_NONE, 0, NULL, item, ""},
    {METHOD_GET, "/items/first", ROLE_ANYONE, BODY_NONE, 0, NULL, first, ""},
    {METHOD_POST, "/echo", ROLE_ANYONE, BODY_MEMORY, 65536, NULL, echo, ""},
    {METHOD_POST, "/json", ROLE_ANYONE, BODY_MEMORY, 65536, "application/json", echo, ""},
    {METHOD_POST, "/upload", ROLE_ANYONE, BODY_FILE, KIT_UPLOAD_MAX, NULL, upload, ""},
    {METHOD_GET, "/file", ROLE_ANYONE, BODY_NONE, 0, NULL, file, ""},
    {METHOD_GET, "/bye", ROLE_ANYONE, BODY_NONE, 0, NULL, bye, ""},
    {METHOD_GET, "/later", ROLE_ANYONE, BODY_NONE, 0, NULL, later, ""},
    {METHOD_GET, "/admin", ROLE_ADMIN, BODY_NONE, 0, NULL, hello, ""},
    {METHOD_POST, "/admin", ROLE_ADMIN, BODY_FILE, KIT_UPLOAD_MAX, NULL, upload, ""},
    {METHOD_GET, "/nobody", 0, BODY_NONE, 0, NULL, hello, ""},
    {METHOD_GET, "/broken", ROLE_ANYONE, BODY_NONE, 0, NULL, broken, ""},
    {METHOD_GET, "/deferred", ROLE_ANYONE, BODY_NONE, 0, NULL, deferred, ""},
};

static int authorise(struct exchange *x, void *ctx)
{
    (void)ctx;
    const char *credential = exchange_header(x, "authorization");
    if (credential == NULL) {
        return 0;
    }
    if (strcmp(credential, "Bearer busy") == 0) {
        exchange_fail(x, 503, "busy", "try again later");
        return EXCHANGE_ANSWERED;
    }
    if (strcmp(credential, "Bearer viewer") == 0) {
        x->roles |= ROLE_VIEWER;
        x->who = "a viewer";
        return 0;
    }
    if (strcmp(credential, "Bearer admin") != 0) {
        return 401;
    }
    x->roles |= ROLE_ADMIN;
    x->who = "an admin";
    return 0;
}

/* ---- server ---- */

uint8_t kit_file_byte(uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7 + (offset >> 16));
}

static int make_file(const char *dir)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    uint8_t *bytes = malloc(KIT_FILE_LEN);
    assert_non_null(bytes);
    for (size_t i = 0; i < KIT_FILE_LEN; i++) {
        bytes[i] = kit_file_byte(i);
    }
    assert_int_equal(write(fd, bytes, KIT_FILE_LEN), KIT_FILE_LEN);
    free(bytes);
    return fd;
}

static char *path_in(const struct kit *k, const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", k->dir, name);
    return path;
}

const char *kit_ca(const struct kit *k)
{
    return path_in(k, "ca.pem");
}

void kit_start(struct kit *k, const struct http_limits *limits)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    static char spool[96];
    (void)signal(SIGPIPE, SIG_IGN); /* for the client's side; the server needs it not */
    event_set_mem_functions(counted_malloc, counted_realloc, counted_free);
    log_set_level(LOG_LEVEL_ERROR);
    memset(k, 0, sizeof(*k));
    stats_init(&k->stats);
    (void)pthread_mutex_init(&k->lock, NULL);
    (void)pthread_cond_init(&k->arrived, NULL);
    (void)snprintf(k->dir, sizeof(k->dir), "/tmp/http-test-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    (void)snprintf(spool, sizeof(spool), "%s/spool", k->dir);
    assert_int_equal(mkdir(spool, 0700), 0);
    k->file = make_file(k->dir);
    char error[HTTP_ERROR_MAX] = "";
    const struct tls_identity id = {.dir = k->dir, .hosts = hosts, .host_count = 2};
    assert_int_equal(tls_identity_ensure(&id, clock_unix_s(), error), TLS_RENEWED);
    assert_int_equal(tls_server_open(&k->tls, k->dir, error), 0);
    struct http_config config = {
        .listen = "127.0.0.1:0",
        .tls = k->tls,
        .hosts = hosts,
        .host_count = 2,
        .spool_dir = spool,
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .ctx = k,
        .authorise = authorise,
        .stats = &k->stats,
        .loops = 2,
    };
    if (limits != NULL) {
        config.limits = *limits;
    }
    assert_int_equal(http_open(&k->server, &config, error), 0);
    assert_int_equal(http_start(k->server, error), 0);
    k->port = http_port(k->server);
}

unsigned kit_spooled(const struct kit *k)
{
    unsigned count = 0;
    DIR *dir = opendir(path_in(k, "spool"));
    assert_non_null(dir);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        count += entry->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count;
}

void kit_stop(struct kit *k)
{
    assert_int_equal(http_drain(k->server, CLIENT_TIMEOUT_S * 1000), 0);
    struct stats_snapshot s;
    kit_snapshot(k, &s);
    assert_int_equal(s.connections, 0);
    assert_int_equal(s.exchanges, 0);
    assert_int_equal(kit_spooled(k), 0);
    http_close(k->server);
    tls_server_close(k->tls);
    (void)close(k->file);
    static const char *const names[] = {"file", "ca.pem", "ca.key", "server.pem"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(unlink(path_in(k, names[i])), 0);
    }
    assert_int_equal(rmdir(path_in(k, "spool")), 0);
    assert_int_equal(rmdir(k->dir), 0);
    (void)pthread_mutex_destroy(&k->lock);
    (void)pthread_cond_destroy(&k->arrived);
}

void kit_wait_later(struct kit *k)
{
    struct timespec until = {.tv_sec = (time_t)clock_unix_s() + CLIENT_TIMEOUT_S};
    (void)pthread_mutex_lock(&k->lock);
    int err = 0;
    while (k->later == NULL && err == 0) {
        err = pthread_cond_timedwait(&k->arrived, &k->lock, &until);
    }
    (void)pthread_mutex_unlock(&k->lock);
    assert_int_equal(err, 0);
}

void kit_finish_later(struct kit *k)
{
    (void)pthread_mutex_lock(&k->lock);
    struct exchange *x = k->later;
    k->later = NULL;
    (void)pthread_mutex_unlock(&k->lock);
    assert_non_null(x);
    reply_text(x, "later");
}

unsigned kit_handled(struct kit *k)
{
    (void)pthread_mutex_lock(&k->lock);
    const unsigned n = k->handled;
    (void)pthread_mutex_unlock(&k->lock);
    return n;
}

void kit_snapshot(struct kit *k, struct stats_snapshot *out)
{
    stats_read(&k->stats, out);
}

/* ---- client ---- */

static SSL_CTX *client_context(const struct kit *k)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(ctx);
    assert_int_equal(SSL_CTX_load_verify_file(ctx, kit_ca(k)), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    return ctx;
}

int kit_connect_from(const struct kit *k, const char *source)
{
    const struct timeval limit = {.tv_sec = CLIENT_TIMEOUT_S};
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)k->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(inet_pton(AF_INET, source, &from.sin_addr), 1);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

int kit_connect(const struct kit *k)
{
    return kit_connect_from(k, "127.0.0.1");
}

int client_try_open_from(struct client *c, const struct kit *k, const char *source)
{
    memset(c, 0, sizeof(*c));
    c->fd = kit_connect_from(k, source);
    SSL_CTX *ctx = client_context(k);
    c->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
    assert_int_equal(SSL_set1_host(c->ssl, "localhost"), 1);
    return SSL_connect(c->ssl) == 1;
}

int client_try_open(struct client *c, const struct kit *k)
{
    return client_try_open_from(c, k, "127.0.0.1");
}

void client_open(struct client *c, const struct kit *k)
{
    assert_int_equal(client_try_open(c, k), 1);
}

int client_push(struct client *c, const void *data, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        const int n = SSL_write(c->ssl, (const char *)data + sent, (int)(len - sent));
        if (n <= 0) {
            return 0;
        }
        sent += (size_t)n;
    }
    return 1;
}

void client_send(struct client *c, const void *data, size_t len)
{
    assert_true(client_push(c, data, len));
}

void client_text(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

void client_half_close(struct client *c)
{
    (void)SSL_shutdown(c->ssl);
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
}

void client_close(struct client *c)
{
    SSL_free(c->ssl);
    (void)close(c->fd);
    free(c->in);
    memset(c, 0, sizeof(*c));
}

/* Reads more; 0 at the end. A timeout fails the test. */
static int more(struct client *c)
{
    if (c->in_size - c->in_len < 16384) {
        c->in_size = c->in_size * 2 + 65536;
        c->in = realloc(c->in, c->in_size);
        assert_non_null(c->in);
    }
    errno = 0;
    const int n = SSL_read(c->ssl, c->in + c->in_len, 16384);
    if (n > 0) {
        c->in_len += (size_t)n;
        return 1;
    }
    assert_int_not_equal(errno, EAGAIN);
    return 0;
}

const char *reply_header(const struct reply *r, const char *name)
{
    static char value[256];
    const size_t len = strlen(name);
    for (const char *line = strstr(r->head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && strncmp(line + len, ": ", 2) == 0) {
            (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + len + 2, "\r"),
                           line + len + 2);
            return value;
        }
    }
    return NULL;
}

void client_reply(struct client *c, enum reply_kind kind, struct reply *out)
{
    memset(out, 0, sizeof(*out));
    const char *end = NULL;
    while (end == NULL) {
        if (c->in_len > 0) {
            end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        }
        if (end == NULL && !more(c)) {
            fail_msg("the server closed after %zu bytes instead of answering", c->in_len);
        }
    }
    const size_t head_len = (size_t)(end - c->in) + 4;
    assert_true(head_len < sizeof(out->head));
    memcpy(out->head, c->in, head_len);
    assert_memory_equal(out->head, "HTTP/1.1 ", 9);
    out->status = (int)strtol(out->head + 9, NULL, 10);
    const char *length = reply_header(out, "Content-Length");
    out->body_len = length != NULL && kind == REPLY_TO_GET ? strtoul(length, NULL, 10) : 0;
    while (c->in_len < head_len + out->body_len) {
        if (!more(c)) {
            fail_msg("the server closed within a body, %zu bytes in", c->in_len - head_len);
        }
    }
    out->body = malloc(out->body_len + 1);
    assert_non_null(out->body);
    memcpy(out->body, c->in + head_len, out->body_len);
    out->body[out->body_len] = '\0';
    c->in_len -= head_len + out->body_len;
    memmove(c->in, c->in + head_len + out->body_len, c->in_len);
}

int client_closed(struct client *c)
{
    return c->in_len == 0 && !more(c);
}

void reply_release(struct reply *r)
{
    free(r->body);
    r->body = NULL;
}

int ask(const struct kit *k, const char *request, struct reply *out)
{
    struct client c;
    client_open(&c, k);
    client_text(&c, request);
    client_reply(&c, strncmp(request, "HEAD ", 5) == 0 ? REPLY_TO_HEAD : REPLY_TO_GET, out);
    client_close(&c);
    return out->status;
}
