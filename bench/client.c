#include "bench/client.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

int client_open(struct client *c, const struct client_target *t, SSL_SESSION *session)
{
    c->have = 0;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->ssl = SSL_new(t->tls);
    if (c->fd < 0 || c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
        connect(c->fd, (const struct sockaddr *)&t->address, sizeof(t->address)) != 0 ||
        SSL_set_tlsext_host_name(c->ssl, "localhost") != 1 ||
        SSL_set1_host(c->ssl, "localhost") != 1 ||
        (session != NULL && SSL_set_session(c->ssl, session) != 1)) {
        return -1;
    }
    return SSL_connect(c->ssl) == 1 ? 0 : -1;
}

/* Reads more into `in`: 0, or -1 at the end or when it is full. */
static int read_more(struct client *c)
{
    const size_t room = sizeof(c->in) - c->have;
    const int n = room > 0 ? SSL_read(c->ssl, c->in + c->have, (int)room) : 0;
    if (n <= 0) {
        return -1;
    }
    c->have += (size_t)n;
    return 0;
}

/* Reads the head: its length, or -1. */
static int64_t read_head(struct client *c)
{
    for (;;) {
        const uint8_t *end = memmem(c->in, c->have, "\r\n\r\n", 4);
        if (end != NULL) {
            return end - c->in + 4;
        }
        if (read_more(c) != 0) {
            return -1;
        }
    }
}

/* -1 if it is missing. The head ends with an empty line, so the search ends, too. */
static int64_t content_length(const uint8_t *head, size_t len)
{
    static const char name[] = "\r\ncontent-length:";
    for (size_t i = 0; i + sizeof(name) < len; i++) {
        if (strncasecmp((const char *)head + i, name, sizeof(name) - 1) == 0) {
            return strtoll((const char *)head + i + sizeof(name) - 1, NULL, 10);
        }
    }
    return -1;
}

static int64_t drop_body(struct client *c, size_t head_len, int64_t body_len)
{
    uint64_t left = (uint64_t)body_len;
    size_t used = head_len;
    for (;;) {
        const size_t here = c->have - used < left ? c->have - used : (size_t)left;
        left -= here;
        used += here;
        memmove(c->in, c->in + used, c->have - used);
        c->have -= used;
        used = 0;
        if (left == 0) {
            return body_len;
        }
        if (read_more(c) != 0) {
            return -1;
        }
    }
}

int64_t client_ask(struct client *c, const struct client_target *t)
{
    if (SSL_write(c->ssl, t->request, (int)t->request_len) != (int)t->request_len) {
        return -1;
    }
    const int64_t head_len = read_head(c);
    if (head_len < 16 || memcmp(c->in + 8, " 20", 3) != 0) {
        return -1;
    }
    const int64_t body_len = content_length(c->in, (size_t)head_len);
    return body_len < 0 ? -1 : drop_body(c, (size_t)head_len, body_len);
}

void client_close(struct client *c)
{
    if (c->ssl != NULL) {
        (void)SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
}
