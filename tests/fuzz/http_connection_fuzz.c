/* libs: sf_http */
/* A whole connection without TLS: the real listener's loop, connection and exchange code at one end
 * of a socket pair. The first byte chooses the size of the pieces that arrive, the second how the
 * client ends. Whatever comes, each answer begins as one, and nothing is left when the client has
 * gone. */
#include <assert.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "server/http/connection.h"

enum { FILE_LEN = 40000, BODY_MAX = 600, ROUNDS_MAX = 20000 };

static struct http_server *server;
static int file_fd;
static char spool[] = "/tmp/surefoot-fuzz-XXXXXX";

static void hello(struct exchange *x, void *ctx)
{
    (void)ctx;
    answer_header(x, "ETag", "\"tag\"");
    answer_body(x, 200, "text/plain", "hello", 5);
    exchange_finish(x);
}

static void echo(struct exchange *x, void *ctx)
{
    (void)ctx;
    assert(x->body_len <= BODY_MAX && x->body[x->body_len] == '\0');
    answer_body(x, 200, "text/plain", x->body, x->body_len);
    exchange_finish(x);
}

static void upload(struct exchange *x, void *ctx)
{
    (void)ctx;
    assert(x->body_file_len <= BODY_MAX);
    answer_body(x, 201, NULL, NULL, 0);
    exchange_finish(x);
}

static void file(struct exchange *x, void *ctx)
{
    (void)ctx;
    x->answer.status = 200;
    x->answer.content_type = "application/octet-stream";
    x->answer.file_fd = dup(file_fd);
    x->answer.file_len = FILE_LEN;
    answer_header(x, "ETag", "\"tag\"");
    exchange_finish(x);
}

static const struct route routes[] = {
    {METHOD_GET, "/", ROLE_ANYONE, BODY_NONE, 0, NULL, hello, ""},
    {METHOD_POST, "/e", ROLE_ANYONE, BODY_MEMORY, BODY_MAX, NULL, echo, ""},
    {METHOD_PUT, "/u/:id", ROLE_ANYONE, BODY_FILE, BODY_MAX, "a/b", upload, ""},
    {METHOD_GET, "/f", ROLE_ANYONE, BODY_NONE, 0, NULL, file, ""},
    {METHOD_GET, "/a", ROLE_ADMIN, BODY_NONE, 0, NULL, hello, ""},
};

static void clean(void)
{
    http_close(server);
    (void)rmdir(spool);
}

__attribute__((constructor)) static void set_up(void)
{
    char error[HTTP_ERROR_MAX];
    const struct http_config config = {.listen = "127.0.0.1:0",
                                       .spool_dir = spool,
                                       .routes = routes,
                                       .route_count = sizeof(routes) / sizeof(routes[0]),
                                       .loops = 1};
    log_set_level(LOG_LEVEL_ERROR);
    file_fd = memfd_create("file", MFD_CLOEXEC);
    if (mkdtemp(spool) == NULL || ftruncate(file_fd, FILE_LEN) != 0 ||
        http_open(&server, &config, error) < 0) {
        abort();
    }
    (void)atexit(clean);
}

struct client {
    int fd;
    size_t received;
    char start[9];
};

static void turn(struct client *c)
{
    char bytes[4096];
    (void)event_base_loop(server->worker[0].loop.base, EVLOOP_NONBLOCK);
    ssize_t n;
    while (c->fd >= 0 && (n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        for (size_t i = 0; c->received + i < sizeof(c->start) && i < (size_t)n; i++) {
            c->start[c->received + i] = bytes[i];
        }
        c->received += (size_t)n;
    }
}

static unsigned open_now(void)
{
    return (unsigned)atomic_load(&server->stats->connections);
}

static void end(struct client *c, int resets)
{
    if (resets) {
        (void)close(c->fd);
        c->fd = -1;
    } else {
        (void)shutdown(c->fd, SHUT_WR);
    }
    for (int i = 0; i < ROUNDS_MAX && open_now() > 0; i++) {
        turn(c);
    }
    assert(open_now() == 0);
    assert(atomic_load(&server->stats->exchanges) == 0 && atomic_load(&server->live) == 0);
    if (c->fd >= 0) {
        turn(c);
        (void)close(c->fd);
    }
    const size_t seen = c->received < sizeof(c->start) ? c->received : sizeof(c->start);
    assert(memcmp(c->start, "HTTP/1.1 ", seen) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    if (size < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return 0;
    }
    const size_t piece = (size_t)data[0] * data[0] + 1;
    const int resets = data[1] & 1;
    struct client c = {.fd = pair[0]};
    (void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
    (void)atomic_fetch_add(&server->live, 1);
    (void)atomic_fetch_add(&server->handshakes, 1);
    connection_open(&server->worker[0], pair[1], "fuzz", 0);
    for (size_t at = 2; at < size; at += piece) {
        const size_t len = size - at < piece ? size - at : piece;
        if (send(c.fd, data + at, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            break;
        }
        turn(&c);
    }
    end(&c, resets);
    return 0;
}
