/* What the server refuses although a laxer one would not: each over a real TLS connection, answered
 * with its status and followed by the end of the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/request.h"
#include "tests/server/http_kit.h"

#define TEXT(text) (text), sizeof(text) - 1
#define HOST       "Host: localhost\r\n"

static const struct {
    const char *name;
    const char *bytes;
    size_t len;
    int status;
} refused[] = {
    {"folded header", TEXT("GET /hello HTTP/1.1\r\n" HOST "X-A: 1\r\n 2\r\n\r\n"), 400},
    {"fold after a colon", TEXT("GET /hello HTTP/1.1\r\n" HOST "X-A:\r\n\t2\r\n\r\n"), 400},
    {"space before the first header", TEXT("GET /hello HTTP/1.1\r\n " HOST "\r\n"), 400},
    {"empty header name", TEXT("GET /hello HTTP/1.1\r\n" HOST ": x\r\n\r\n"), 400},
    {"header without colon", TEXT("GET /hello HTTP/1.1\r\n" HOST "X-A\r\n\r\n"), 400},
    {"space before a colon", TEXT("GET /hello HTTP/1.1\r\n" HOST "X-A : 1\r\n\r\n"), 400},
    {"NUL in a value", TEXT("GET /hello HTTP/1.1\r\n" HOST "X-A: \0\r\n\r\n"), 400},
    {"NUL in a name", TEXT("GET /hello HTTP/1.1\r\n" HOST "X\0A: 1\r\n\r\n"), 400},
    {"control character", TEXT("GET /hello HTTP/1.1\r\n" HOST "X-A: \x01\r\n\r\n"), 400},
    {"CR within a value", TEXT("GET /hello HTTP/1.1\r\n" HOST "X-A: 1\r2\r\n\r\n"), 400},
    {"LF alone", TEXT("GET /hello HTTP/1.1\n" HOST "\n"), 400},
    {"leading empty line", TEXT("\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"no Host", TEXT("GET /hello HTTP/1.1\r\n\r\n"), 400},
    {"two Hosts", TEXT("GET /hello HTTP/1.1\r\n" HOST HOST "\r\n"), 400},
    {"empty Host", TEXT("GET /hello HTTP/1.1\r\nHost: \r\n\r\n"), 400},
    {"Host with a path", TEXT("GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
    {"Host with user info", TEXT("GET /hello HTTP/1.1\r\nHost: a@b\r\n\r\n"), 400},
    {"two Authorizations",
     TEXT("GET /hello HTTP/1.1\r\n" HOST "Authorization: a\r\nAuthorization: b\r\n\r\n"), 400},
    {"HTTP/2.0", TEXT("GET /hello HTTP/2.0\r\n" HOST "\r\n"), 505},
    {"HTTP/1.2", TEXT("GET /hello HTTP/1.2\r\n" HOST "\r\n"), 505},
    {"HTTP/0.9", TEXT("GET /hello\r\n\r\n"), 400},
    {"HTTP/2 preface", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {"RTSP", TEXT("GET /hello RTSP/1.0\r\n" HOST "\r\n"), 400},
    {"two spaces", TEXT("GET  /hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"trailing space", TEXT("GET /hello HTTP/1.1 \r\n" HOST "\r\n"), 400},
    {"tab in the request line", TEXT("GET\t/hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"fragment", TEXT("GET /hello#x HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"byte over 127 in the target", TEXT("GET /h\xff HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"lower-case method", TEXT("get /hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"unknown method", TEXT("BREW /hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"CONNECT", TEXT("CONNECT localhost:443 HTTP/1.1\r\n" HOST "\r\n"), 501},
    {"TRACE", TEXT("TRACE /hello HTTP/1.1\r\n" HOST "\r\n"), 501},
    {"Upgrade", TEXT("GET /hello HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
     501},
    {"Upgrade without Connection", TEXT("GET /hello HTTP/1.1\r\n" HOST "Upgrade: x\r\n\r\n"), 501},
    {"gzip, chunked",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501},
    {"gzip", TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n"), 501},
    {"xchunked", TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n"), 501},
    {"chunked twice",
     TEXT("POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400},
    {"chunked and a length",
     TEXT("POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
     400},
    {"a length and chunked",
     TEXT("POST /echo HTTP/1.1\r\n" HOST
          "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400},
    {"chunked in HTTP/1.0",
     TEXT("POST /echo HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {"two lengths",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 400},
    {"the same length twice",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), 400},
    {"length list", TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\na"), 400},
    {"length with a sign", TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\na"), 400},
    {"negative length", TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\na"), 400},
    {"hexadecimal length", TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\na"),
     400},
    {"length over 64 bits",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\na"), 400},
    {"chunk extension",
     TEXT("POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n"),
     501},
    {"chunk extension without a value",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\n\r\n"),
     501},
    {"bad chunk size",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n"), 400},
    {"chunk size with a sign",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n"),
     400},
    {"chunk size over 64 bits",
     TEXT("POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n"),
     400},
    {"chunk longer than its size",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n"),
     400},
    {"LF alone after a chunk size",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n"),
     400},
    {"trailer",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\n\r\n"),
     501},
    {"unknown expectation", TEXT("GET /hello HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n"), 417},
    {"body over the limit", TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n"),
     413},
    {"body where none is taken", TEXT("GET /hello HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"),
     413},
    {"NUL in the target", TEXT("GET /hel\0lo HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"CR alone at a line's end", TEXT("GET /hello HTTP/1.1\r" HOST "\r\n\r\n"), 400},
    {"two leading empty lines", TEXT("\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"OPTIONS", TEXT("OPTIONS /hello HTTP/1.1\r\n" HOST "\r\n"), 501},
    {"asterisk-form", TEXT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 501},
    {"asterisk-form of GET", TEXT("GET * HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"authority-form of GET", TEXT("GET localhost:443 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"absolute-form of another server",
     TEXT("GET https://elsewhere.example/hello HTTP/1.1\r\n" HOST "\r\n"), 421},
    {"absolute-form with user info", TEXT("GET https://x@localhost/hello HTTP/1.1\r\n" HOST "\r\n"),
     400},
    {"absolute-form of http", TEXT("GET http://localhost/hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"absolute-form without path", TEXT("GET https://localhost HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"percent-encoded NUL", TEXT("GET /items/%00 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"bad escape", TEXT("GET /items/%zz HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"dots", TEXT("GET /items/../hello HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"encoded dots", TEXT("GET /items/%2e%2e HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"dots behind an encoded slash", TEXT("GET /items/..%2fx HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"backslash", TEXT("GET /items/..\\x HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"overlong UTF-8", TEXT("GET /items/%c0%ae%c0%ae HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"a query name twice", TEXT("GET /items/1?q=1&q=2 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"fold of Transfer-Encoding",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), 400},
    {"chunked, chunked",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
     400},
    {"chunked with a comma",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), 400},
    {"chunked with a parameter",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), 501},
    {"identity", TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n"), 501},
    {"empty Transfer-Encoding",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\nContent-Length: 1\r\n\r\na"), 501},
    {"chunked and a length of 0",
     TEXT("POST /echo HTTP/1.1\r\n" HOST
          "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400},
    {"chunked on a GET with a length",
     TEXT("GET /hello HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
     400},
    {"empty length", TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"), 400},
    {"length with a space inside",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1 1\r\n\r\na"), 400},
    {"length with a fraction", TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1.0\r\n\r\na"),
     400},
    {"the largest length",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\na"), 413},
    {"compressed body",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\na"),
     415},
    {"twice compressed body",
     TEXT("POST /upload HTTP/1.1\r\n" HOST
          "Content-Encoding: deflate, gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     415},
    {"chunk size in C's notation",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n"),
     400},
    {"negative chunk size",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n"),
     400},
    {"space before a chunk size",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n"),
     400},
    {"space behind a chunk size",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n"),
     400},
    {"empty chunk size",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n"),
     400},
    {"chunk without CR LF",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx0\r\n\r\n"), 400},
    {"chunk with LF alone",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n"),
     400},
    {"LF alone after the last chunk",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\n\r\n"),
     400},
    {"chunk size and CR alone",
     TEXT("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\rXx\r\n0\r\n\r\n"),
     400},
    {"trailer that smuggles",
     TEXT("POST /echo HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n"),
     501},
    {"not HTTP", TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400},
};

/* On errors of syntax the connection must end even if the client would go on: nothing that follows
 * may be answered. */
static void expect_refusals(struct kit *k, const char *behind)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct client c;
        struct reply r;
        client_open(&c, k);
        client_send(&c, refused[i].bytes, refused[i].len);
        (void)client_push(&c, behind, strlen(behind));
        client_reply(&c, REPLY_TO_GET, &r);
        if (r.status != refused[i].status) {
            print_error("%s: %d instead of %d\n", refused[i].name, r.status, refused[i].status);
            wrong++;
        }
        const char *connection = reply_header(&r, "Connection");
        if (connection == NULL || strcmp(connection, "close") != 0 || !client_closed(&c)) {
            print_error("%s: the connection stays open\n", refused[i].name);
            wrong++;
        }
        assert_non_null(strstr((char *)r.body, "\"message\""));
        reply_release(&r);
        client_close(&c);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(kit_handled(k), 0);
}

static void what_is_doubtful_is_refused_and_the_connection_closed(void **state)
{
    expect_refusals(*state, "");
}

static void nothing_behind_what_is_doubtful_is_answered(void **state)
{
    expect_refusals(*state, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
}

/* The bytes of `fill` until the server has had enough. */
static void expect_too_long(struct kit *k, const char *start, const char *fill, int status)
{
    struct client c;
    struct reply r;
    client_open(&c, k);
    client_text(&c, start);
    for (int i = 0; i < 20000 && client_push(&c, fill, strlen(fill)); i++) {
    }
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, status);
    assert_string_equal(reply_header(&r, "Connection"), "close");
    assert_true(client_closed(&c));
    reply_release(&r);
    client_close(&c);
}

static void long_heads_are_told_what_is_too_long(void **state)
{
    struct kit *k = *state;
    char many[2048] = "GET /hello HTTP/1.1\r\n" HOST;
    for (int i = 1; i < REQUEST_FIELDS_MAX; i++) {
        (void)strncat(many, "a:b\r\n", sizeof(many) - strlen(many) - 1);
    }
    struct reply r;
    char head[2560];
    (void)snprintf(head, sizeof(head), "%s\r\n", many);
    assert_int_equal(ask(k, head, &r), 200);
    reply_release(&r);
    (void)snprintf(head, sizeof(head), "%sa:b\r\n\r\n", many);
    assert_int_equal(ask(k, head, &r), 431);
    assert_string_equal(reply_header(&r, "Connection"), "close");
    reply_release(&r);
    expect_too_long(k, "GET /", "aaaaaaaa", 414);
    expect_too_long(k, "GET / HTTP/1.1\r\nX:", "aaaaaaaa", 431);
    expect_too_long(k, "GET / HTTP/1.1\r\n", "Cookie: a\r\n", 431);
}

/* Who verifies our certificate has called us by a name of ours; what answers say does not depend on
 * Host; and load balancers probe by address. So another Host is served. */
static void another_host_is_served(void **state)
{
    struct reply r;
    assert_int_equal(ask(*state, "GET /hello HTTP/1.1\r\nHost: 10.0.0.7:8443\r\n\r\n", &r), 200);
    reply_release(&r);
    assert_int_equal(
        ask(*state, "GET https://localhost/hello HTTP/1.1\r\nHost: other.example\r\n\r\n", &r),
        200);
    reply_release(&r);
}

/* "100 Continue" would ask for a body that is going to be refused. */
static void nobody_is_asked_for_a_body_that_is_refused(void **state)
{
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        {"POST /nothing HTTP/1.1\r\n" HOST "Content-Length: 5\r\n", 404},
        {"POST /hello HTTP/1.1\r\n" HOST "Content-Length: 5\r\n", 405},
        {"POST /admin HTTP/1.1\r\n" HOST "Content-Length: 5\r\n", 401},
        {"POST /admin HTTP/1.1\r\n" HOST "Content-Length: 5\r\nAuthorization: Bearer viewer\r\n",
         403},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n", 413},
        {"POST /json HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Type: text/plain\r\n", 415},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Encoding: gzip\r\n", 415},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        {"GET /hello HTTP/1.1\r\n" HOST "Content-Length: 5\r\n", 413},
    };
    struct kit *k = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client c;
        struct reply r;
        client_open(&c, k);
        client_text(&c, rows[i].request);
        client_text(&c, "Expect: 100-continue\r\n\r\n");
        client_reply(&c, REPLY_TO_GET, &r);
        if (r.status != rows[i].status) {
            fail_msg("%s: %d", rows[i].request, r.status);
        }
        assert_string_equal(reply_header(&r, "Connection"), "close");
        assert_true(client_closed(&c));
        reply_release(&r);
        client_close(&c);
    }
    assert_int_equal(kit_handled(k), 0);
}

/* A smuggled second request must not be answered: only one status line ever comes. */
static void nothing_behind_a_refused_request_is_served(void **state)
{
    struct kit *k = *state;
    struct client c;
    struct reply r;
    client_open(&c, k);
    client_text(&c, "POST /echo HTTP/1.1\r\n" HOST
                    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                    "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 400);
    assert_true(client_closed(&c));
    reply_release(&r);
    client_close(&c);
    assert_int_equal(kit_handled(k), 0);
}

/* These leave the connection usable: they are well formed. */
static void well_formed_failures_keep_the_connection(void **state)
{
    struct kit *k = *state;
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        {"GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404},
        {"DELETE /hello HTTP/1.1\r\n" HOST "\r\n", 405},
        {"GET /admin HTTP/1.1\r\n" HOST "\r\n", 401},
        {"GET /admin HTTP/1.1\r\n" HOST "Authorization: Bearer wrong\r\n\r\n", 401},
        {"GET /admin HTTP/1.1\r\n" HOST "Authorization: Bearer viewer\r\n\r\n", 403},
        {"GET /admin HTTP/1.1\r\n" HOST "Authorization: Bearer busy\r\n\r\n", 503},
        {"GET /nobody HTTP/1.1\r\n" HOST "Authorization: Bearer admin\r\n\r\n", 403},
        {"GET /nobody HTTP/1.1\r\n" HOST "\r\n", 401},
        {"GET /broken HTTP/1.1\r\n" HOST "\r\n", 500},
        {"GET //hello HTTP/1.1\r\n" HOST "\r\n", 404},
        {"GET https://localhost/hello HTTP/1.1\r\n" HOST "\r\n", 200},
        {"GET /hello HTTP/1.1\r\n" HOST "\r\n", 200},
    };
    struct client c;
    client_open(&c, k);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply r;
        client_text(&c, rows[i].request);
        client_reply(&c, REPLY_TO_GET, &r);
        if (r.status != rows[i].status) {
            fail_msg("%s: %d", rows[i].request, r.status);
        }
        assert_int_equal(reply_header(&r, "WWW-Authenticate") != NULL, r.status == 401);
        assert_int_equal(reply_header(&r, "Allow") != NULL, r.status == 405);
        assert_null(reply_header(&r, "Connection"));
        reply_release(&r);
    }
    client_close(&c);
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
        TEST(what_is_doubtful_is_refused_and_the_connection_closed),
        TEST(nothing_behind_what_is_doubtful_is_answered),
        TEST(long_heads_are_told_what_is_too_long),
        TEST(another_host_is_served),
        TEST(nobody_is_asked_for_a_body_that_is_refused),
        TEST(nothing_behind_a_refused_request_is_served),
        TEST(well_formed_failures_keep_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
