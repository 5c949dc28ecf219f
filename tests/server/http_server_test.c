/* The server's answers over a real TLS connection: routes, bodies, keep-alive, files, ranges. */
#include "server/http/http.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hex.h"
#include "formats/err.h"
#include "tests/server/http_kit.h"

#define HOST "Host: localhost\r\n"

static void expect(struct client *c, int status, const char *body)
{
    struct reply r;
    client_reply(c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, status);
    assert_string_equal((char *)r.body, body);
    reply_release(&r);
}

static void every_answer_has_the_standard_headers(void **state)
{
    struct reply r;
    assert_int_equal(ask(*state, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &r), 200);
    assert_non_null(strstr(reply_header(&r, "Date"), " GMT"));
    assert_string_equal(reply_header(&r, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(reply_header(&r, "Cache-Control"), "no-store");
    assert_string_equal(reply_header(&r, "Content-Type"), "text/plain");
    assert_string_equal(reply_header(&r, "Content-Length"), "5");
    assert_null(reply_header(&r, "Transfer-Encoding"));
    assert_null(reply_header(&r, "Connection"));
    assert_string_equal((char *)r.body, "hello");
    reply_release(&r);
}

static void every_answer_has_a_request_id_of_the_servers_own(void **state)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: mine\r\n\r\n",
        "GET /hello HTTP/1.1\r\n" HOST "\r\n", "GET /nothing HTTP/1.1\r\n" HOST "\r\n",
        "GET /hello HTTP/1.1\r\n" HOST "Host: twice\r\n\r\n"};
    enum { COUNT = sizeof(requests) / sizeof(requests[0]) };
    char id[COUNT][32];
    for (unsigned i = 0; i < COUNT; i++) {
        struct reply r;
        assert_true(ask(*state, requests[i], &r) >= 200);
        const char *value = reply_header(&r, "X-Request-Id");
        assert_non_null(value);
        assert_int_equal(strlen(value), 16);
        assert_int_equal(strspn(value, "0123456789abcdef"), 16);
        (void)snprintf(id[i], sizeof(id[i]), "%s", value);
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(id[i], id[k]);
        }
        reply_release(&r);
    }
}

static void routes_give_parameters_and_queries(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_text(&c, "GET /items/a%2Fb?q=1+2 HTTP/1.1\r\n" HOST "\r\n");
    expect(&c, 200, "a/b 1 2");
    client_text(&c, "GET /items/first HTTP/1.1\r\n" HOST "\r\n");
    expect(&c, 200, "literal");
    client_close(&c);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_text(&c, "GET /items/1 HTTP/1.1\r\n" HOST "\r\n"
                    "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                    "GET /deferred HTTP/1.1\r\n" HOST "\r\n"
                    "POST /echo HTTP/1.1\r\n" HOST
                    "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
                    "GET /items/2 HTTP/1.1\r\n" HOST "\r\n");
    expect(&c, 200, "1 -");
    expect(&c, 200, "abc");
    expect(&c, 200, "deferred");
    expect(&c, 200, "de");
    expect(&c, 200, "2 -");
    client_close(&c);
}

static void a_client_that_closed_its_half_gets_all_answers(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_text(&c, "GET /items/1 HTTP/1.1\r\n" HOST "\r\nGET /deferred HTTP/1.1\r\n" HOST "\r\n");
    client_half_close(&c);
    expect(&c, 200, "1 -");
    expect(&c, 200, "deferred");
    assert_true(client_closed(&c));
    client_close(&c);
}

static void a_handler_or_a_client_may_close(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_text(&c, "GET /bye HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
    expect(&c, 200, "bye");
    assert_true(client_closed(&c));
    client_close(&c);
    client_open(&c, *state);
    client_text(&c, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    expect(&c, 200, "hello");
    assert_true(client_closed(&c));
    client_close(&c);
}

static void http_1_0_closes_unless_asked(void **state)
{
    struct client c;
    struct reply r;
    client_open(&c, *state);
    client_text(&c, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_reply(&c, REPLY_TO_GET, &r);
    assert_string_equal(reply_header(&r, "Connection"), "keep-alive");
    reply_release(&r);
    client_text(&c, "GET /hello HTTP/1.0\r\n\r\n");
    client_reply(&c, REPLY_TO_GET, &r);
    assert_string_equal(reply_header(&r, "Content-Length"), "5");
    assert_string_equal(reply_header(&r, "Connection"), "close");
    assert_true(client_closed(&c));
    reply_release(&r);
    client_close(&c);
}

static void head_has_the_length_but_no_body(void **state)
{
    struct client c;
    struct reply r;
    client_open(&c, *state);
    client_text(&c, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n");
    client_reply(&c, REPLY_TO_HEAD, &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_header(&r, "Content-Length"), "5");
    reply_release(&r);
    client_text(&c, "HEAD /file HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\n\r\n");
    client_reply(&c, REPLY_TO_HEAD, &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_header(&r, "Content-Length"), "8388608");
    reply_release(&r);
    client_text(&c, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    expect(&c, 200, "hello");
    client_close(&c);
}

/* ---- bodies ---- */

static void continue_is_said_only_after_the_caller_is_authorised(void **state)
{
    struct client c;
    struct reply r;
    client_open(&c, *state);
    client_text(&c,
                "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 100);
    reply_release(&r);
    client_text(&c, "abc");
    expect(&c, 200, "abc");
    client_text(&c, "POST /admin HTTP/1.1\r\n" HOST
                    "Content-Length: 3000000\r\nExpect: 100-continue\r\n\r\n");
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 401);
    assert_true(client_closed(&c));
    reply_release(&r);
    client_close(&c);
}

/* The refusal reaches a client that is in the middle of sending, instead of a reset. */
static void a_refused_upload_still_gets_its_answer(void **state)
{
    struct client c;
    struct reply r;
    static char megabyte[1024 * 1024];
    client_open(&c, *state);
    client_text(&c, "POST /admin HTTP/1.1\r\n" HOST "Content-Length: 3145728\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        (void)client_push(&c, megabyte, sizeof(megabyte));
    }
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 401);
    reply_release(&r);
    client_close(&c);
    assert_int_equal(kit_handled(*state), 0);
}

static void a_content_type_is_demanded_where_the_route_does(void **state)
{
    static const struct {
        const char *header;
        int status;
    } rows[] = {
        {"Content-Type: application/json\r\n", 200},
        {"Content-Type: Application/JSON; charset=utf-8\r\n", 200},
        {"Content-Type: application/jsonx\r\n", 415},
        {"Content-Type: text/plain\r\n", 415},
        {"", 415},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply r;
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "POST /json HTTP/1.1\r\n" HOST "%sContent-Length: 2\r\n\r\n{}",
                       rows[i].header);
        assert_int_equal(ask(*state, text, &r), rows[i].status);
        reply_release(&r);
    }
}

static void a_chunked_body_over_the_limit_is_413(void **state)
{
    struct client c;
    struct reply r;
    static char chunk[40000];
    client_open(&c, *state);
    client_text(&c, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 2; i++) {
        client_text(&c, "9c40\r\n");
        client_send(&c, chunk, sizeof(chunk));
        client_text(&c, "\r\n");
    }
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 413);
    reply_release(&r);
    client_close(&c);
}

static void expect_upload(struct client *c, const uint8_t *bytes, size_t len)
{
    uint8_t digest[32];
    char hex[65];
    char want[128];
    (void)SHA256(bytes, len, digest);
    hex_encode(digest, 32, hex);
    (void)snprintf(want, sizeof(want), "%zu %s", len, hex);
    expect(c, 200, want);
}

static void uploads_are_hashed_and_their_files_removed(void **state)
{
    const size_t len = KIT_UPLOAD_MAX - 1;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = kit_file_byte(i);
    }
    struct client c;
    char head[128];
    client_open(&c, *state);
    (void)snprintf(head, sizeof(head),
                   "POST /upload HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", len);
    client_text(&c, head);
    client_send(&c, bytes, len);
    expect_upload(&c, bytes, len);
    client_text(&c, "POST /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < 100000; at += 1000) {
        client_text(&c, "3e8\r\n");
        client_send(&c, bytes + at, 1000);
        client_text(&c, "\r\n");
    }
    client_text(&c, "0\r\n\r\n");
    expect_upload(&c, bytes, 100000);
    client_text(&c, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    expect_upload(&c, bytes, 0);
    client_close(&c);
    free(bytes);
}

static void a_full_disk_is_507_and_leaves_no_file(void **state)
{
    static char body[1024 * 1024];
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {.rlim_cur = 65536, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct client c;
    struct reply r;
    client_open(&c, *state);
    client_text(&c, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n");
    (void)client_push(&c, body, sizeof(body));
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(r.status, 507);
    assert_non_null(strstr((char *)r.body, "disk is full"));
    reply_release(&r);
    client_close(&c);
    assert_int_equal(kit_handled(*state), 0);
}

/* ---- files ---- */

static void expect_file(struct client *c, int status, uint64_t offset, uint64_t len)
{
    struct reply r;
    client_reply(c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, status);
    assert_int_equal(r.body_len, len);
    for (uint64_t i = 0; i < len; i++) {
        if (r.body[i] != kit_file_byte(offset + i)) {
            fail_msg("byte %llu differs", (unsigned long long)i);
        }
    }
    if (status == 206) {
        char want[96];
        (void)snprintf(want, sizeof(want), "bytes %llu-%llu/%d", (unsigned long long)offset,
                       (unsigned long long)(offset + len - 1), (int)KIT_FILE_LEN);
        assert_string_equal(reply_header(&r, "Content-Range"), want);
    }
    assert_string_equal(reply_header(&r, "Accept-Ranges"), "bytes");
    assert_string_equal(reply_header(&r, "ETag"), "\"file-tag\"");
    assert_string_equal(reply_header(&r, "Cache-Control"), "public, max-age=31536000, immutable");
    reply_release(&r);
}

static void files_are_served_whole_and_in_ranges(void **state)
{
    static const struct {
        const char *headers;
        int status;
        uint64_t offset;
        uint64_t len;
    } rows[] = {
        {"", 200, 0, KIT_FILE_LEN},
        {"Range: bytes=0-99\r\n", 206, 0, 100},
        {"Range: bytes=4096-\r\n", 206, 4096, KIT_FILE_LEN - 4096},
        {"Range: bytes=-100\r\n", 206, KIT_FILE_LEN - 100, 100},
        {"Range: bytes=100-200\r\nIf-Range: \"file-tag\"\r\n", 206, 100, 101},
        {"Range: bytes=100-200\r\nIf-Range: \"old-tag\"\r\n", 200, 0, KIT_FILE_LEN},
        {"Range: bytes=0-1,4-5\r\n", 200, 0, KIT_FILE_LEN},
    };
    struct client c;
    client_open(&c, *state);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "GET /file HTTP/1.1\r\n" HOST "%s\r\n", rows[i].headers);
        client_text(&c, text);
        expect_file(&c, rows[i].status, rows[i].offset, rows[i].len);
    }
    client_close(&c);
}

static void conditions_and_impossible_ranges_have_no_body(void **state)
{
    struct client c;
    struct reply r;
    client_open(&c, *state);
    client_text(&c, "GET /file HTTP/1.1\r\n" HOST "Range: bytes=8388608-\r\n\r\n");
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 416);
    assert_string_equal(reply_header(&r, "Content-Range"), "bytes */8388608");
    assert_string_equal(reply_header(&r, "Content-Length"), "0");
    reply_release(&r);
    client_text(&c, "GET /file HTTP/1.1\r\n" HOST
                    "If-None-Match: \"x\", \"file-tag\"\r\nRange: bytes=0-1\r\n\r\n");
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 304);
    assert_string_equal(reply_header(&r, "ETag"), "\"file-tag\"");
    assert_null(reply_header(&r, "Content-Length"));
    reply_release(&r);
    client_text(&c, "GET /hello HTTP/1.1\r\n" HOST "If-None-Match: \"hello-tag\"\r\n\r\n");
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 304);
    reply_release(&r);
    client_text(&c, "GET /items/1 HTTP/1.1\r\n" HOST "\r\n");
    expect(&c, 200, "1 -");
    client_close(&c);
}

/* curl(1), a client nobody here wrote, checks the certificate and reads the same ranges. */
static void curl_reads_the_same_bytes(void **state)
{
    const struct kit *k = *state;
    static const struct {
        const char *range;
        uint64_t offset;
        size_t len;
    } rows[] = {{"0-9", 0, 10}, {"8388600-", 8388600, 8}, {"-5", KIT_FILE_LEN - 5, 5}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char command[512];
        uint8_t bytes[32];
        (void)snprintf(command, sizeof(command),
                       "curl -sS --fail --max-time 20 --noproxy '*' --cacert %s -r %s "
                       "https://localhost:%u/file",
                       kit_ca(k), rows[i].range, k->port);
        FILE *curl = popen(command, "r"); /* NOLINT(cert-env33-c): a command of our own */
        assert_non_null(curl);
        assert_int_equal(fread(bytes, 1, sizeof(bytes), curl), rows[i].len);
        assert_int_equal(pclose(curl), 0);
        for (size_t b = 0; b < rows[i].len; b++) {
            assert_int_equal(bytes[b], kit_file_byte(rows[i].offset + b));
        }
    }
}

/* ---- the server itself ---- */

/* Shakes hands with that version alone. Returns 0, or the reason of OpenSSL's first error. */
static int shake_hands(const struct kit *k, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0); /* so that this side would speak the old ones */
    assert_int_equal(SSL_CTX_load_verify_file(ctx, kit_ca(k)), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    const int fd = kit_connect(k);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    ERR_clear_error();
    const int done = SSL_connect(ssl) == 1;
    const int reason = done ? 0 : ERR_GET_REASON(ERR_peek_error());
    if (done) {
        char group[32];
        const EVP_PKEY *key = X509_get0_pubkey(SSL_get0_peer_certificate(ssl));
        assert_int_equal(SSL_version(ssl), version);
        assert_int_equal(EVP_PKEY_get_group_name(key, group, sizeof(group), NULL), 1);
        assert_string_equal(group, "prime256v1");
    }
    SSL_free(ssl);
    (void)close(fd);
    return reason;
}

static void only_tls_1_2_and_1_3_are_spoken_with_a_p256_certificate(void **state)
{
    assert_int_equal(shake_hands(*state, TLS1_2_VERSION), 0);
    assert_int_equal(shake_hands(*state, TLS1_3_VERSION), 0);
    assert_int_equal(shake_hands(*state, TLS1_1_VERSION), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    assert_int_equal(shake_hands(*state, TLS1_VERSION), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
}

static void a_port_in_use_is_one_clear_sentence(void **state)
{
    const struct kit *k = *state;
    char address[32];
    char error[HTTP_ERROR_MAX];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", k->port);
    const struct http_config config = {.listen = address, .loops = 1};
    struct http_server *second = NULL;
    assert_int_equal(http_open(&second, &config, error), SF_ERR_EXISTS);
    assert_non_null(strstr(error, address));
    assert_non_null(strstr(error, "in use"));
    assert_null(second);
}

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",       "localhost",  "1.2.3.4", "1.2.3.4:",    "1.2.3.4:x", "::1:80", "127.0.0.1:65536",
        "a b:80", "1.2.3.4:-1", "[::1:80", "999.0.0.1:80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char error[HTTP_ERROR_MAX];
        const struct http_config config = {.listen = bad[i], .loops = 1};
        struct http_server *server = NULL;
        if (http_open(&server, &config, error) != SF_ERR_RANGE) {
            fail_msg("'%s' is taken", bad[i]);
        }
        assert_non_null(strstr(error, "127.0.0.1:8443"));
    }
}

static void counters_tell_what_happened(void **state)
{
    struct kit *k = *state;
    struct reply r;
    assert_int_equal(ask(k, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &r), 200);
    reply_release(&r);
    assert_int_equal(ask(k, "GET /nothing HTTP/1.1\r\n" HOST "\r\n", &r), 404);
    reply_release(&r);
    assert_int_equal(ask(k, "GET /hello HTTP/3\r\n" HOST "\r\n", &r), 400);
    reply_release(&r);
    assert_int_equal(ask(k, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", &r),
                     200);
    reply_release(&r);
    struct stats_snapshot s;
    kit_snapshot(k, &s);
    assert_int_equal(s.accepted, 4);
    assert_int_equal(s.handshakes, 4);
    assert_int_equal(s.handshakes_failed, 0);
    assert_int_equal(s.refused, 1);
    assert_int_equal(s.bytes_in, 3);
    assert_int_equal(s.route[0][1], 1);
    assert_int_equal(s.route[STATS_ROUTE_MAX][3], 2);
}

/* Sends a reset in place of an end. */
static void client_reset(struct client *c)
{
    const struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    client_close(c);
}

/* It must not hold its place, and keep a loop busy, until the deadline of the answer comes. */
static void a_client_that_resets_while_it_is_answered_is_gone_at_once(void **state)
{
    struct kit *k = *state;
    char first[1];
    struct client c;
    client_open(&c, k);
    client_text(&c, "GET /file HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(SSL_read(c.ssl, first, sizeof(first)), 1);
    client_reset(&c);
    const int64_t until = clock_mono_ms() + 3000;
    struct stats_snapshot s;
    do {
        struct reply r;
        assert_int_equal(ask(k, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", &r),
                         200);
        reply_release(&r);
        kit_snapshot(k, &s);
    } while (s.exchanges > 0 && clock_mono_ms() < until);
    assert_int_equal(s.exchanges, 0);
    assert_int_equal(s.timeouts, 0);
}

static int set_up(void **state)
{
    static struct kit kit;
    *state = &kit;
    kit_start(&kit, NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_stop(*state);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_answer_has_the_standard_headers),
        TEST(every_answer_has_a_request_id_of_the_servers_own),
        TEST(routes_give_parameters_and_queries),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(a_client_that_closed_its_half_gets_all_answers),
        TEST(a_handler_or_a_client_may_close),
        TEST(http_1_0_closes_unless_asked),
        TEST(head_has_the_length_but_no_body),
        TEST(continue_is_said_only_after_the_caller_is_authorised),
        TEST(a_refused_upload_still_gets_its_answer),
        TEST(a_content_type_is_demanded_where_the_route_does),
        TEST(a_chunked_body_over_the_limit_is_413),
        TEST(uploads_are_hashed_and_their_files_removed),
        TEST(a_full_disk_is_507_and_leaves_no_file),
        TEST(files_are_served_whole_and_in_ranges),
        TEST(conditions_and_impossible_ranges_have_no_body),
        TEST(curl_reads_the_same_bytes),
        TEST(only_tls_1_2_and_1_3_are_spoken_with_a_p256_certificate),
        TEST(a_port_in_use_is_one_clear_sentence),
        TEST(bad_addresses_are_refused),
        TEST(counters_tell_what_happened),
        TEST(a_client_that_resets_while_it_is_answered_is_gone_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
