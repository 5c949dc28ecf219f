/* A small HTTPS server: by a script, or of a folder. */

#include "tests/cli/https.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include <cmocka.h>

#include "base/tls.h"

void https_make_identity(const char *dir, int64_t now_s)
{
    static const char *const hosts[] = {"localhost"};
    const struct tls_identity id = {dir, hosts, 1};
    char error[TLS_ERROR_MAX] = "";
    (void)mkdir(dir, 0700);
    if (tls_identity_ensure(&id, now_s, error) < 0) {
        fail_msg("%s", error);
    }
}

/* Reads head and body. Returns 1 if both came. */
static int read_request(SSL *ssl, char *buffer)
{
    size_t len = 0;
    for (;;) {
        char *end = strstr(buffer, "\r\n\r\n");
        const char *length = strstr(buffer, "Content-Length: ");
        size_t body = length && end && length < end ? strtoul(length + 16, NULL, 10) : 0;
        if (end && len >= (size_t)(end + 4 - buffer) + body) {
            return 1;
        }
        int n = SSL_read(ssl, buffer + len, (int)(HTTPS_REQUEST_MAX - 1 - len));
        if (n <= 0) {
            return 0;
        }
        len += (size_t)n;
        buffer[len] = '\0';
    }
}

/* ---- a folder ---- */

/* The value of a request's header, or "". */
static void header_of(const char *request, const char *name, char out[128])
{
    const char *at = strstr(request, name);
    at = at ? at + strlen(name) : "";
    snprintf(out, 128, "%.*s", (int)strcspn(at, "\r\n"), at);
}

static int open_file(const struct https *s, const char *request, struct stat *st)
{
    char path[512];
    const size_t len = strcspn(request + 4, " ?\r\n");
    if (strncmp(request, "GET /", 5) != 0 || memmem(request + 4, len, "..", 2)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s%.*s", s->root, (int)len, request + 4);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, st) != 0 || !S_ISREG(st->st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void send_file(SSL *ssl, int fd, off_t from)
{
    char piece[8192];
    for (;;) {
        const ssize_t n = pread(fd, piece, sizeof piece, from);
        const int sent = n > 0 ? SSL_write(ssl, piece, (int)n) : 0; /* a record at a time */
        if (sent <= 0) {
            return;
        }
        from += sent;
    }
}

static void answer_file(struct https *s, SSL *ssl, const char *request)
{
    char head[512];
    char etag[64];
    char value[128];
    struct stat st = {0};
    const int fd = open_file(s, request, &st);
    if (fd < 0) {
        const int n = snprintf(head, sizeof head,
                               "HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        SSL_write(ssl, head, n);
        return;
    }
    snprintf(etag, sizeof etag, "\"%lx-%lx-%lx\"", (long)st.st_ino, (long)st.st_mtim.tv_nsec,
             (long)st.st_size);
    header_of(request, "\r\nIf-None-Match: ", value);
    const int is_known = strcmp(value, etag) == 0;
    header_of(request, "\r\nIf-Range: ", value);
    const int may_go_on = value[0] == '\0' || strcmp(value, etag) == 0;
    header_of(request, "\r\nRange: bytes=", value);
    const long from = may_go_on ? strtol(value, NULL, 10) : 0;
    s->not_modified += (unsigned)is_known;
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nConnection: close\r\nETag: %s\r\n",
                     is_known   ? 304
                     : from > 0 ? 206
                                : 200,
                     etag);
    if (!is_known) {
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %ld\r\n",
                      (long)st.st_size - from);
    }
    if (from > 0) {
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Range: bytes %ld-%ld/%ld\r\n",
                      from, (long)st.st_size - 1, (long)st.st_size);
    }
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    SSL_write(ssl, head, n);
    if (!is_known) {
        send_file(ssl, fd, from);
    }
    close(fd);
}

/* ---- either ---- */

static void answer(struct https *s, SSL *ssl)
{
    static const struct https_answer none = {500, NULL, "the script is at its end"};
    char *buffer = calloc(1, HTTPS_REQUEST_MAX);
    char head[1024];
    if (!buffer || !read_request(ssl, buffer)) {
        free(buffer);
        return;
    }
    unsigned i = s->request_count;
    const struct https_answer *a = i < s->script_count ? &s->script[i] : &none;
    if (i < HTTPS_SCRIPT_MAX) {
        snprintf(s->request[i], sizeof s->request[i], "%s", buffer);
    }
    s->request_count++;
    s->authorized += strstr(buffer, "\r\nAuthorization:") != NULL;
    if (s->root) {
        answer_file(s, ssl, buffer);
    }
    free(buffer);
    if (s->root || a->status == 0) {
        return; /* hangs up */
    }
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
                     a->status, strlen(a->body), a->headers ? a->headers : "");
    SSL_write(ssl, head, n);
    if (a->body[0]) {
        SSL_write(ssl, a->body, (int)strlen(a->body));
    }
}

static void *serve(void *ctx)
{
    struct https *s = ctx;
    struct tls_server *tls = NULL;
    char error[TLS_ERROR_MAX];
    if (tls_server_open(&tls, s->dir, error) < 0) {
        return NULL;
    }
    for (;;) {
        struct pollfd fds[2] = {{s->listener, POLLIN, 0}, {s->stop[0], POLLIN, 0}};
        if (poll(fds, 2, -1) < 0 || fds[1].revents) {
            break;
        }
        int fd = accept(s->listener, NULL, NULL);
        SSL *ssl = fd >= 0 ? tls_server_connection(tls) : NULL;
        if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1) {
            answer(s, ssl);
            SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        close(fd);
    }
    tls_server_close(tls);
    return NULL;
}

static void start(struct https *s)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(pipe(s->stop), 0);
    snprintf(s->url, sizeof s->url, "https://localhost:%u", ntohs(addr.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

void https_start(struct https *s, const char *dir, const struct https_answer *script,
                 unsigned count)
{
    assert_true(count <= HTTPS_SCRIPT_MAX);
    *s = (struct https){.dir = dir, .script_count = count};
    for (unsigned i = 0; i < count; i++) {
        s->script[i] = script[i];
    }
    start(s);
}

void https_start_folder(struct https *s, const char *dir, const char *root)
{
    *s = (struct https){.dir = dir, .root = root};
    start(s);
}

void https_stop(struct https *s)
{
    assert_int_equal(write(s->stop[1], "x", 1), 1);
    pthread_join(s->thread, NULL);
    close(s->listener);
    close(s->stop[0]);
    close(s->stop[1]);
}
