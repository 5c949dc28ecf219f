/* The simulator's network against a server of this process that sends prepared bytes: what goes
 * out, what the sink is told, and which error each fault becomes. */
#include "sim/net.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ports/host/port.h"

enum { PATIENCE_MS = 20000, DAY_S = 86400 };

/* ---- a server that sends prepared bytes ---- */

struct server {
    pthread_t thread;
    int listen_fd;
    char url[64];
    SSL_CTX *tls;       /* NULL = plain */
    const char *answer; /* sent to each connection, which is closed then */
    int speaks_first;   /* without reading the request */
    char request[4096]; /* the last one */
    unsigned connections;
};

static int receive(struct server *s, SSL *ssl, int fd)
{
    size_t used = 0;
    while (used < sizeof(s->request) - 1) {
        char *to = s->request + used;
        int room = (int)(sizeof(s->request) - 1 - used);
        long got = ssl ? SSL_read(ssl, to, room) : recv(fd, to, (size_t)room, 0);
        if (got <= 0) {
            return 0;
        }
        used += (size_t)got;
        s->request[used] = '\0';
        const char *end = strstr(s->request, "\r\n\r\n");
        const char *length = strstr(s->request, "Content-Length: ");
        size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
        if (end && strlen(end + 4) >= body) {
            return 1;
        }
    }
    return 0;
}

static void serve_one(struct server *s, int fd)
{
    SSL *ssl = s->tls ? SSL_new(s->tls) : NULL;
    int ok = !ssl || (SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1);
    if (ok && (s->speaks_first || receive(s, ssl, fd))) {
        size_t len = strlen(s->answer);
        if (ssl) {
            SSL_write(ssl, s->answer, (int)len);
            SSL_shutdown(ssl);
        } else {
            (void)!send(fd, s->answer, len, MSG_NOSIGNAL);
        }
    }
    SSL_free(ssl);
    shutdown(fd, SHUT_WR);
    char rest[256];
    while (recv(fd, rest, sizeof(rest), 0) > 0) {
    }
    close(fd);
}

static void *server_main(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept(s->listen_fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        s->connections++;
        serve_one(s, fd);
    }
}

static void server_start(struct server *s, SSL_CTX *tls, const char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    *s = (struct server){.tls = tls, .answer = answer};
    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->listen_fd >= 0);
    assert_int_equal(bind(s->listen_fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->listen_fd, 16), 0);
    assert_int_equal(getsockname(s->listen_fd, (struct sockaddr *)&address, &len), 0);
    snprintf(s->url, sizeof(s->url), "%s://127.0.0.1:%u", tls ? "https" : "http",
             ntohs(address.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void server_stop(struct server *s)
{
    shutdown(s->listen_fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listen_fd);
}

/* ---- what the sink was told ---- */

struct told {
    int heads;
    struct sf_response_head head;
    char etag[128];
    char body[4096];
    size_t body_len;
    int32_t bite; /* bytes taken at a time; 0 = all; < 0 = this error */
    int head_answer;
    int ended;
    int err;
};

static int told_head(void *ctx, const struct sf_response_head *head)
{
    struct told *t = ctx;
    t->heads++;
    t->head = *head;
    snprintf(t->etag, sizeof(t->etag), "%s", head->etag);
    return t->head_answer;
}

static int32_t told_body(void *ctx, const uint8_t *data, size_t len)
{
    struct told *t = ctx;
    size_t take = t->bite > 0 && (size_t)t->bite < len ? (size_t)t->bite : len;
    if (t->bite < 0) {
        return t->bite;
    }
    assert_true(t->body_len + take < sizeof(t->body));
    memcpy(t->body + t->body_len, data, take);
    t->body_len += take;
    return (int32_t)take;
}

static void told_end(void *ctx, int err)
{
    struct told *t = ctx;
    t->ended++;
    t->err = err;
}

static const struct net_sink sink = {told_head, told_body, told_end};

static const struct sf_request get = {.method = SF_METHOD_GET, .path = "/artifacts/x"};

/* One request to `url`, to its end. Returns its error. */
static int fetch(const char *url, const char *cacert, const struct sf_request *request,
                 struct told *told)
{
    struct net_options options = {.server = url, .cacert = cacert};
    struct net net;
    struct net_transfer transfer = {0};
    assert_int_equal(net_open(&net, &options), SF_OK);
    assert_int_equal(net_start(&net, &transfer, request, &sink, told), SF_OK);
    assert_int_equal(net_start(&net, &transfer, request, &sink, told), SF_ERR_STATE);
    uint64_t give_up = sf_host_now_ms() + PATIENCE_MS;
    while (!told->ended && sf_host_now_ms() < give_up) {
        assert_int_equal(net_run(&net, 100), SF_OK);
    }
    assert_int_equal(told->ended, 1);
    assert_int_equal(net.running, 0);
    net_close(&net);
    return told->err;
}

static int fetch_answer(const char *answer, struct told *told)
{
    struct server server;
    server_start(&server, NULL, answer);
    int err = fetch(server.url, NULL, &get, told);
    server_stop(&server);
    return err;
}

/* ---- tests ---- */

static void an_answer_arrives_whole_with_what_its_header_says(void **state)
{
    (void)state;
    struct told told = {.bite = 3};
    assert_int_equal(fetch_answer("HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n"
                                  "Content-Range: bytes 4096-4105/9000\r\nETag: \"abc\"\r\n\r\n"
                                  "0123456789",
                                  &told),
                     SF_OK);
    assert_int_equal(told.heads, 1);
    assert_int_equal(told.head.status, 206);
    assert_int_equal(told.head.content_len, 10);
    assert_int_equal(told.head.range_start, 4096);
    assert_int_equal(told.head.range_total, 9000);
    assert_string_equal(told.etag, "\"abc\"");
    assert_int_equal(told.body_len, 10);
    assert_memory_equal(told.body, "0123456789", 10);
}

static void what_a_header_does_not_say_is_told_as_absent(void **state)
{
    (void)state;
    struct told told = {0};
    assert_int_equal(fetch_answer("HTTP/1.1 200 OK\r\nContent-Range: pages 1-2/3\r\n"
                                  "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n\r\nuntil close",
                                  &told),
                     SF_OK);
    assert_int_equal(told.head.content_len, -1);
    assert_int_equal(told.head.range_start, -1);
    assert_int_equal(told.head.range_total, -1);
    assert_int_equal(told.head.retry_after_s, 0);
    assert_string_equal(told.etag, "");
    assert_int_equal(told.body_len, strlen("until close"));
}

static void other_statuses_are_told_and_redirects_not_followed(void **state)
{
    (void)state;
    struct told busy = {0};
    assert_int_equal(fetch_answer("HTTP/1.1 503 Busy\r\nRetry-After: 120\r\n"
                                  "Content-Length: 0\r\n\r\n",
                                  &busy),
                     SF_OK);
    assert_int_equal(busy.head.status, 503);
    assert_int_equal(busy.head.retry_after_s, 120);
    struct told moved = {0};
    assert_int_equal(fetch_answer("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                                  "Content-Length: 0\r\n\r\n",
                                  &moved),
                     SF_OK);
    assert_int_equal(moved.head.status, 302);
    assert_int_equal(moved.heads, 1);
}

static void the_request_says_what_the_engine_asked_for(void **state)
{
    (void)state;
    struct server server;
    struct told told = {0};
    server_start(&server, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct sf_request range = get;
    range.range_offset = 8192;
    range.etag = "\"abc\"";
    assert_int_equal(fetch(server.url, NULL, &range, &told), SF_OK);
    assert_ptr_equal(strstr(server.request, "GET /artifacts/x HTTP/1.1\r\n"), server.request);
    assert_non_null(strstr(server.request, "\r\nRange: bytes=8192-\r\n"));
    assert_non_null(strstr(server.request, "\r\nIf-Range: \"abc\"\r\n"));
    assert_null(strstr(server.request, "Authorization"));

    struct sf_request post = {.method = SF_METHOD_POST,
                              .path = "/device/v1/checkin",
                              .authorization = "Bearer id.secret",
                              .body = (const uint8_t *)"\xa1\x01\x01",
                              .body_len = 3};
    told = (struct told){0};
    assert_int_equal(fetch(server.url, NULL, &post, &told), SF_OK);
    assert_ptr_equal(strstr(server.request, "POST /device/v1/checkin HTTP/1.1\r\n"),
                     server.request);
    assert_non_null(strstr(server.request, "\r\nAuthorization: Bearer id.secret\r\n"));
    assert_non_null(strstr(server.request, "\r\nContent-Type: application/cbor\r\n"));
    assert_non_null(strstr(server.request, "\r\n\r\n\xa1\x01\x01"));
    assert_int_equal(server.connections, 2);
    server_stop(&server);
}

static void an_error_of_the_sink_ends_the_request_with_it(void **state)
{
    (void)state;
    const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    struct told body = {.bite = SF_ERR_FLASH_WRITE};
    assert_int_equal(fetch_answer(answer, &body), SF_ERR_FLASH_WRITE);
    struct told head = {.head_answer = SF_ERR_HTTP_LENGTH};
    assert_int_equal(fetch_answer(answer, &head), SF_ERR_HTTP_LENGTH);
    assert_int_equal(head.body_len, 0);
}

static void broken_answers_have_their_errors(void **state)
{
    (void)state;
    static char large[8192];
    int used = snprintf(large, sizeof(large), "HTTP/1.1 200 OK\r\nX-Filler: ");
    memset(large + used, 'x', 4000);
    memcpy(large + used + 4000, "\r\nContent-Length: 0\r\n\r\n", 24);
    const struct {
        const char *answer;
        int err;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", SF_ERR_CLOSED},
        {"", SF_ERR_CLOSED},
        {"SSH-2.0-OpenSSH_9.2\r\n", SF_ERR_FORMAT},
        {large, SF_ERR_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct told told = {0};
        assert_int_equal(fetch_answer(cases[i].answer, &told), cases[i].err);
    }
}

static void nobody_there_and_no_such_name_differ(void **state)
{
    (void)state;
    struct server server;
    struct told told = {0};
    server_start(&server, NULL, "");
    server_stop(&server); /* the port is closed now */
    assert_int_equal(fetch(server.url, NULL, &get, &told), SF_ERR_CONNECT);
    told = (struct told){0};
    /* a label of 70 characters is no name: refused without asking anybody */
    assert_int_equal(
        fetch("http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
              ".invalid",
              NULL, &get, &told),
        SF_ERR_DNS);
}

static void a_cancelled_transfer_is_never_heard_of_again(void **state)
{
    (void)state;
    struct server server;
    struct net net;
    struct net_transfer transfer = {0};
    struct told told = {0};
    server_start(&server, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct net_options options = {.server = server.url};
    assert_int_equal(net_open(&net, &options), SF_OK);
    assert_int_equal(net_start(&net, &transfer, &get, &sink, &told), SF_OK);
    assert_int_equal(net_run(&net, 0), SF_OK);
    net_cancel(&net, &transfer);
    assert_null(transfer.easy);
    assert_int_equal(net_run(&net, 50), SF_OK);
    assert_int_equal(told.ended, 0);
    assert_int_equal(net.running, 0);
    struct sf_request mirror = get;
    mirror.origin = 1;
    assert_int_equal(net_start(&net, &transfer, &mirror, &sink, &told), SF_ERR_UNSUPPORTED);
    net_close(&net);
    server_stop(&server);
}

/* ---- TLS ---- */

/* A self-signed certificate for 127.0.0.1, valid from `from_s` to `to_s` of now; written to `path`
 * in PEM. */
static SSL_CTX *make_tls(long from_s, long to_s, const char *name, const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509V3_CTX v3;
    assert_non_null(key);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), from_s);
    X509_gmtime_adj(X509_getm_notAfter(cert), to_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    X509V3_set_ctx(&v3, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, name);
    assert_non_null(san);
    X509_add_ext(cert, san, -1);
    X509_EXTENSION_free(san);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    fclose(file);
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return tls;
}

static int fetch_tls(long from_s, long to_s, const char *name, int trusted)
{
    char path[] = "/tmp/sf_net_test_XXXXXX";
    char other[] = "/tmp/sf_net_test_XXXXXX";
    struct server server;
    struct told told = {0};
    close(mkstemp(path));
    close(mkstemp(other));
    SSL_CTX *tls = make_tls(from_s, to_s, name, path);
    SSL_CTX_free(make_tls(-DAY_S, DAY_S, name, other));
    server_start(&server, tls, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    int err = fetch(server.url, trusted ? path : other, &get, &told);
    server_stop(&server);
    SSL_CTX_free(tls);
    unlink(path);
    unlink(other);
    return err;
}

static void tls_faults_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(fetch_tls(-DAY_S, DAY_S, "IP:127.0.0.1", 1), SF_OK);
    assert_int_equal(fetch_tls(-DAY_S, DAY_S, "IP:127.0.0.1", 0), SF_ERR_TLS_CERT);
    assert_int_equal(fetch_tls(-DAY_S, DAY_S, "DNS:elsewhere.example", 1), SF_ERR_TLS_CERT);
    assert_int_equal(fetch_tls(-2 * DAY_S, -DAY_S, "IP:127.0.0.1", 1), SF_ERR_TLS_TIME);
    assert_int_equal(fetch_tls(DAY_S, 2 * DAY_S, "IP:127.0.0.1", 1), SF_ERR_TLS_TIME);
}

static void a_server_that_speaks_no_tls_is_a_tls_error(void **state)
{
    (void)state;
    struct server server;
    struct told told = {0};
    char url[80];
    server_start(&server, NULL, "220 mail.example ESMTP\r\n");
    server.speaks_first = 1; /* before the first connection */
    snprintf(url, sizeof(url), "https%.70s", server.url + strlen("http"));
    assert_int_equal(fetch(url, NULL, &get, &told), SF_ERR_TLS);
    server_stop(&server);
}

int main(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_arrives_whole_with_what_its_header_says),
        cmocka_unit_test(what_a_header_does_not_say_is_told_as_absent),
        cmocka_unit_test(other_statuses_are_told_and_redirects_not_followed),
        cmocka_unit_test(the_request_says_what_the_engine_asked_for),
        cmocka_unit_test(an_error_of_the_sink_ends_the_request_with_it),
        cmocka_unit_test(broken_answers_have_their_errors),
        cmocka_unit_test(nobody_there_and_no_such_name_differ),
        cmocka_unit_test(a_cancelled_transfer_is_never_heard_of_again),
        cmocka_unit_test(tls_faults_are_told_apart),
        cmocka_unit_test(a_server_that_speaks_no_tls_is_a_tls_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
