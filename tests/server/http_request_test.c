#include "server/http/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Feeds a whole request in pieces of one size; collects its body. */
struct fed {
    struct arena arena;
    struct request request;
    int status;
    size_t used;
    char body[256];
    size_t body_len;
};

static int collect(void *ctx, const uint8_t *data, size_t len)
{
    struct fed *f = ctx;
    if (len > sizeof(f->body) - f->body_len) {
        return 413;
    }
    memcpy(f->body + f->body_len, data, len);
    f->body_len += len;
    return 0;
}

static void feed_body(struct fed *f, const uint8_t *text, size_t len, size_t piece)
{
    f->request.body = collect;
    f->request.body_ctx = f;
    while (f->status == 0 && f->used < len && !f->request.complete) {
        const size_t n = len - f->used < piece ? len - f->used : piece;
        size_t used;
        f->status = request_feed(&f->request, text + f->used, n, &used);
        f->used += used;
    }
}

static void feed(struct fed *f, const char *request, size_t len, size_t piece)
{
    const uint8_t *text = (const uint8_t *)request;
    memset(f, 0, sizeof(*f));
    arena_init(&f->arena, 65536);
    struct head_scan scan = {0};
    const char *why = NULL;
    int head = HEAD_MORE;
    for (size_t have = piece; head == HEAD_MORE; have += piece) {
        const size_t n = have < len ? have : len;
        head = request_head_scan(&scan, text, n, &why);
        if (head == HEAD_MORE && n == len) {
            return;
        }
    }
    if (head < 0) {
        f->status = -head;
        return;
    }
    f->used = (size_t)head;
    char *copy = arena_memdup(&f->arena, request, f->used);
    assert_non_null(copy);
    f->status = request_head(&f->request, &f->arena, copy, f->used);
    if (f->status == 0) {
        feed_body(f, text, len, piece);
    }
}

static void a_chunked_request_is_the_same_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const char text[] = "POST /echo?a=1 HTTP/1.1\r\nHost: localhost:8443\r\n"
                               "Transfer-Encoding: Chunked\r\nContent-TYPE: text/plain \r\n"
                               "X-Empty:\r\n\r\n"
                               "5\r\nhello\r\n00A\r\n, chunked!\r\n0\r\n\r\nGET /next HTTP/1.1\r\n";
    const size_t rest = strlen("GET /next HTTP/1.1\r\n");
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        struct fed f;
        feed(&f, text, sizeof(text) - 1, piece);
        assert_int_equal(f.status, 0);
        assert_true(f.request.complete);
        assert_int_equal(f.used, sizeof(text) - 1 - rest);
        assert_int_equal(f.body_len, 15);
        assert_memory_equal(f.body, "hello, chunked!", 15);
        assert_string_equal(f.request.target, "/echo?a=1");
        assert_int_equal(f.request.method, METHOD_POST);
        assert_int_equal(f.request.header_count, 2);
        assert_string_equal(f.request.header[1].name, "content-type");
        assert_string_equal(f.request.header[1].value, "text/plain");
        assert_string_equal(f.request.host, "localhost:8443");
        arena_release(&f.arena);
    }
}

static void a_body_with_a_length_ends_where_it_says(void **state)
{
    (void)state;
    static const char text[] = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET";
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        struct fed f;
        feed(&f, text, sizeof(text) - 1, piece);
        assert_int_equal(f.status, 0);
        assert_true(f.request.complete);
        assert_int_equal(f.used, sizeof(text) - 1 - 3);
        assert_int_equal(f.body_len, 3);
        arena_release(&f.arena);
    }
}

static void keep_alive_follows_version_and_connection(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int keep_alive;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 0},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n", 0},
        {"GET / HTTP/1.0\r\n\r\n", 0},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fed f;
        feed(&f, rows[i].text, strlen(rows[i].text), 1000);
        assert_int_equal(f.status, 0);
        assert_true(f.request.complete);
        assert_int_equal(!!f.request.keep_alive, rows[i].keep_alive);
        arena_release(&f.arena);
    }
}

/* A request cut anywhere is never complete, whatever its bytes. */
static void a_truncated_request_is_never_complete(void **state)
{
    (void)state;
    static const char text[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n0\r\n\r\n";
    for (size_t len = 1; len < sizeof(text) - 1; len++) {
        struct fed f;
        feed(&f, text, len, 7);
        assert_int_equal(f.status, 0);
        assert_false(f.request.complete);
        arena_release(&f.arena);
    }
}

static void the_sink_refuses_a_body_with_its_status(void **state)
{
    (void)state;
    char text[1024];
    const int n = snprintf(text, sizeof(text),
                           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n%300s", "");
    struct fed f;
    feed(&f, text, (size_t)n, 1000);
    assert_int_equal(f.status, 413);
    arena_release(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunked_request_is_the_same_in_pieces_of_any_size),
        cmocka_unit_test(a_body_with_a_length_ends_where_it_says),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(a_truncated_request_is_never_complete),
        cmocka_unit_test(the_sink_refuses_a_body_with_its_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
