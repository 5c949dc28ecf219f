#include "tests/server/raw.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ANSWER_MAX = 65536 };
static char answer[ANSWER_MAX];
static size_t answer_len;

static int connect_loopback(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

int raw_send(const struct daemon *d, const char *text)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_load_verify_file(ctx, d->ca), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL *ssl = SSL_new(ctx);
    int fd = connect_loopback(d->port);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), (int)strlen(text));
    answer_len = 0;
    int n = 0;
    while ((n = SSL_read(ssl, answer + answer_len, (int)(ANSWER_MAX - 1 - answer_len))) > 0) {
        answer_len += (size_t)n;
    }
    answer[answer_len] = '\0';
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    assert_true(answer_len > 12);
    return (int)strtol(answer + 9, NULL, 10);
}

const char *raw_answer(void)
{
    return answer;
}

const char *raw_header(const char *name)
{
    static char value[256];
    size_t len = strlen(name);
    value[0] = '\0';
    for (const char *line = answer; (line = strstr(line, "\r\n")) != NULL && line[2] != '\r';) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *from = line + len + 1 + strspn(line + len + 1, " ");
            (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(from, "\r"), from);
        }
    }
    return value;
}

const char *raw_body(size_t *len)
{
    const char *at = strstr(answer, "\r\n\r\n");
    assert_non_null(at);
    *len = answer_len - (size_t)(at + 4 - answer);
    return at + 4;
}
