/* Slow, absent, greedy and endless clients against deadlines and caps that are short for the test.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/server/http_kit.h"

#define HOST "Host: localhost\r\n"

enum { HALF_UPLOADS = 10, HALF_UPLOAD_LEN = 2 * 1024 * 1024, CONNECTION_BYTES = 64 * 1024 };

static const struct http_limits quick = {
    .head_ms = 1000,
    .idle_ms = 300,
    .window_ms = 200,
    .window_bytes = 1000,
    .linger_ms = 1000,
};
static const struct http_limits few = {.connections = 4, .requests = 3};

static void expect_status(struct client *c, int status)
{
    struct reply r;
    client_reply(c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, status);
    reply_release(&r);
}

static uint64_t timeouts(struct kit *k)
{
    struct stats_snapshot s;
    kit_snapshot(k, &s);
    return s.timeouts;
}

static void a_body_that_trickles_is_408(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_text(&c, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nx");
    expect_status(&c, 408);
    assert_true(client_closed(&c));
    client_close(&c);
    assert_int_equal(timeouts(*state), 1);
    assert_int_equal(kit_handled(*state), 0);
}

/* A connection that has had an answer, so that nothing of the handshake is left to be read. */
static void open_warm(struct client *c, const struct kit *k)
{
    client_open(c, k);
    client_text(c, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    expect_status(c, 200);
}

/* Sends byte after byte, each once 50 ms have passed without an answer, as a client does that wants
 * to hold its place for long. Each byte is progress, but not enough of it. */
static void drip(struct client *c, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        struct pollfd answer = {.fd = c->fd, .events = POLLIN};
        if (poll(&answer, 1, 50) != 0) {
            return;
        }
        if (!client_push(c, text + i, 1)) {
            return;
        }
    }
    fail_msg("all %zu bytes were waited for", len);
}

static void a_byte_at_a_time_is_408_in_head_and_body(void **state)
{
    static const char head[] =
        "GET /hello HTTP/1.1\r\n" HOST "X-Long: 01234567890123456789\r\n\r\n";
    static char body[1000];
    struct client c;
    open_warm(&c, *state);
    drip(&c, head, sizeof(head) - 1);
    expect_status(&c, 408);
    assert_true(client_closed(&c));
    client_close(&c);
    open_warm(&c, *state);
    client_text(&c, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    drip(&c, body, sizeof(body));
    expect_status(&c, 408);
    assert_true(client_closed(&c));
    client_close(&c);
    assert_int_equal(timeouts(*state), 2);
    assert_int_equal(kit_handled(*state), 2); /* the warm ones; kit_stop() looks for files */
}

static void a_head_that_trickles_is_408_and_a_silent_client_is_dropped(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_text(&c, "GET /hel");
    expect_status(&c, 408);
    assert_true(client_closed(&c));
    client_close(&c);
    client_open(&c, *state);
    assert_true(client_closed(&c));
    client_close(&c);
    assert_int_equal(timeouts(*state), 2);
    assert_int_equal(kit_handled(*state), 0);
}

/* Without a handshake there is nobody to tell. */
static void a_client_without_a_handshake_is_dropped(void **state)
{
    struct kit *k = *state;
    const int fd = kit_connect(k);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    (void)close(fd);
    struct stats_snapshot s;
    kit_snapshot(k, &s);
    assert_int_equal(s.handshakes_failed, 1);
    assert_int_equal(s.timeouts, 1);
}

static void an_idle_connection_is_closed_after_its_answer(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_text(&c, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    expect_status(&c, 200);
    assert_true(client_closed(&c));
    client_close(&c);
    assert_int_equal(timeouts(*state), 0);
}

/* The file is larger than what sockets buffer, and the client reads nothing. */
static void a_slow_reader_is_dropped_and_holds_little_memory(void **state)
{
    struct kit *k = *state;
    struct client c;
    const size_t before = kit_libevent_bytes();
    client_open(&c, k);
    client_text(&c, "GET /file HTTP/1.1\r\n" HOST "\r\nGET /file HTTP/1.1\r\n" HOST "\r\n");
    size_t most = 0;
    while (timeouts(k) == 0) {
        const size_t now = kit_libevent_bytes();
        most = now > most ? now : most;
    }
    assert_true(most > before);
    assert_true(most - before < CONNECTION_BYTES);
    client_close(&c);
}

static void half_uploads_hold_no_memory(void **state)
{
    struct kit *k = *state;
    static char body[HALF_UPLOAD_LEN];
    struct client c[HALF_UPLOADS];
    const size_t before = kit_libevent_bytes();
    for (int i = 0; i < HALF_UPLOADS; i++) {
        client_open(&c[i], k);
        client_text(&c[i], "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 4194304\r\n\r\n");
        client_send(&c[i], body, sizeof(body));
    }
    struct stats_snapshot s;
    do {
        kit_snapshot(k, &s);
    } while (s.bytes_in < (uint64_t)HALF_UPLOADS * HALF_UPLOAD_LEN);
    assert_int_equal(kit_spooled(k), HALF_UPLOADS);
    assert_true(kit_libevent_bytes() - before < (size_t)HALF_UPLOADS * CONNECTION_BYTES);
    for (int i = 0; i < HALF_UPLOADS; i++) {
        client_close(&c[i]);
    }
}

static void endless_headers_are_431(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_text(&c, "GET /hello HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 2000 && client_push(&c, "X-Endless: 0123456789\r\n", 23); i++) {
    }
    expect_status(&c, 431);
    client_close(&c);
    assert_int_equal(kit_handled(*state), 0);
}

static void connections_over_the_cap_are_shed_at_accept(void **state)
{
    struct kit *k = *state;
    struct client c[4];
    for (int i = 0; i < 4; i++) {
        client_open(&c[i], k);
    }
    struct client fifth;
    assert_int_equal(client_try_open(&fifth, k), 0);
    client_close(&fifth);
    struct stats_snapshot s;
    kit_snapshot(k, &s);
    assert_int_equal(s.shed, 1);
    assert_int_equal(s.accepted, 4);
    assert_int_equal(s.limited, 0);
    assert_int_equal(s.shed_seconds, 1); /* for the uptime ledger */
    client_text(&c[0], "GET /bye HTTP/1.1\r\n" HOST "\r\n");
    expect_status(&c[0], 200);
    assert_true(client_closed(&c[0]));
    client_close(&c[0]);
    do { /* the place is free once the server has let go of the connection */
        kit_snapshot(k, &s);
    } while (s.connections > 3);
    client_text(&c[1], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    expect_status(&c[1], 200);
    for (int i = 1; i < 4; i++) {
        client_close(&c[i]);
    }
}

static void a_connection_ends_after_its_share_of_requests(void **state)
{
    struct client c;
    static const char get[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    client_open(&c, *state);
    for (int i = 0; i < 5; i++) {
        (void)client_push(&c, get, sizeof(get) - 1); /* the last ones may find it closed */
    }
    for (int i = 0; i < 3; i++) {
        expect_status(&c, 200);
    }
    assert_true(client_closed(&c));
    client_close(&c);
}

/* ---- going away ---- */

static void a_client_that_is_gone_before_its_answer_harms_nothing(void **state)
{
    struct kit *k = *state;
    struct client c;
    for (int i = 0; i < 20; i++) {
        client_open(&c, k);
        client_text(&c, "GET /later HTTP/1.1\r\n" HOST "\r\n");
        kit_wait_later(k);
        const struct linger now = {.l_onoff = 1};
        (void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        client_close(&c); /* with a reset */
        kit_finish_later(k);
    }
    client_open(&c, k);
    client_text(&c, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    kit_wait_later(k);
    kit_finish_later(k);
    expect_status(&c, 200);
    client_close(&c);
}

static void cut_uploads_leave_no_file(void **state)
{
    struct kit *k = *state;
    struct client c;
    for (int i = 0; i < 5; i++) {
        client_open(&c, k);
        client_text(&c, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nhalf");
        client_close(&c);
    }
    assert_int_equal(kit_handled(k), 0); /* kit_stop() looks for files */
}

static void *drain(void *arg)
{
    struct kit *k = arg;
    return http_drain(k->server, CLIENT_TIMEOUT_S * 1000) == 0 ? NULL : k;
}

static void draining_closes_idle_connections_and_lets_running_ones_end(void **state)
{
    struct kit *k = *state;
    struct client idle;
    struct client busy;
    struct reply r;
    client_open(&idle, k);
    client_text(&idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    expect_status(&idle, 200);
    client_open(&busy, k);
    client_text(&busy, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    kit_wait_later(k);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drain, k), 0);
    assert_true(client_closed(&idle));
    kit_finish_later(k);
    client_reply(&busy, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_header(&r, "Connection"), "close");
    assert_true(client_closed(&busy));
    void *left;
    assert_int_equal(pthread_join(thread, &left), 0);
    assert_null(left);
    reply_release(&r);
    client_close(&idle);
    client_close(&busy);
}

static void draining_gives_up_at_its_deadline(void **state)
{
    struct kit *k = *state;
    struct client c;
    client_open(&c, k);
    client_text(&c, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    kit_wait_later(k);
    assert_int_equal(http_drain(k->server, 50), 1);
    kit_finish_later(k);
    expect_status(&c, 200);
    client_close(&c);
}

static int set_up_with(void **state, const struct http_limits *limits)
{
    static struct kit kit;
    *state = &kit;
    kit_start(&kit, limits);
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, NULL);
}

static int set_up_quick(void **state)
{
    return set_up_with(state, &quick);
}

static int set_up_few(void **state)
{
    return set_up_with(state, &few);
}

static int tear_down(void **state)
{
    kit_stop(*state);
    return 0;
}

#define TEST(f)       cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define TEST_QUICK(f) cmocka_unit_test_setup_teardown(f, set_up_quick, tear_down)
#define TEST_FEW(f)   cmocka_unit_test_setup_teardown(f, set_up_few, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_QUICK(a_body_that_trickles_is_408),
        TEST_QUICK(a_byte_at_a_time_is_408_in_head_and_body),
        TEST_QUICK(a_head_that_trickles_is_408_and_a_silent_client_is_dropped),
        TEST_QUICK(a_client_without_a_handshake_is_dropped),
        TEST_QUICK(an_idle_connection_is_closed_after_its_answer),
        TEST_QUICK(a_slow_reader_is_dropped_and_holds_little_memory),
        TEST(half_uploads_hold_no_memory),
        TEST(endless_headers_are_431),
        TEST_FEW(connections_over_the_cap_are_shed_at_accept),
        TEST_FEW(a_connection_ends_after_its_share_of_requests),
        TEST(a_client_that_is_gone_before_its_answer_harms_nothing),
        TEST(cut_uploads_leave_no_file),
        TEST(draining_closes_idle_connections_and_lets_running_ones_end),
        TEST(draining_gives_up_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
