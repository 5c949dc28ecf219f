/* Clients in great numbers, and clients that want more than their share. Several addresses of
 * 127.0.0.0/8 play the parts, so this machine's own addresses are counted here. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <setjmp.h>
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
#include "base/log.h"
#include "tests/server/http_kit.h"

#define HOST "Host: localhost\r\n"
#define GOOD "127.0.0.1"
#define BAD  "127.0.0.66"

enum {
    CROWD = 10000,
    CROWD_BESIDES = 200, /* descriptors for all else */
    CONNECTION_BYTES = 64 * 1024,
    SILENT_BYTES = 4096, /* of libevent's, for a connection that says nothing */
    SLOW_READERS = 40,
    FLOOD = 300,
    FLOOD_SLOTS = 64,
};

static void expect_served(struct client *c)
{
    struct reply r;
    client_text(c, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_reply(c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 200);
    reply_release(&r);
}

static void expect_service(const struct kit *k, const char *source)
{
    struct client c;
    assert_int_equal(client_try_open_from(&c, k, source), 1);
    expect_served(&c);
    client_close(&c);
}

static int is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) <= 0 && errno != EAGAIN;
}

static struct stats_snapshot snapshot(struct kit *k)
{
    struct stats_snapshot s;
    kit_snapshot(k, &s);
    return s;
}

/* ---- one address and the others ---- */

static void an_address_has_its_share_of_connections(void **state)
{
    struct kit *k = *state;
    struct client c[3];
    struct client fourth;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(client_try_open_from(&c[i], k, BAD), 1);
    }
    assert_int_equal(client_try_open_from(&fourth, k, BAD), 0);
    client_close(&fourth);
    assert_int_equal(snapshot(k).shed, 1);
    assert_int_equal(snapshot(k).limited, 1);
    assert_int_equal(snapshot(k).shed_seconds, 0); /* the server has time enough */
    expect_service(k, GOOD);
    client_close(&c[0]);
    while (snapshot(k).connections > 2) {
    }
    expect_service(k, BAD);
    client_close(&c[1]);
    client_close(&c[2]);
}

static void an_address_has_its_share_of_unfinished_handshakes(void **state)
{
    struct kit *k = *state;
    int silent[2];
    for (int i = 0; i < 2; i++) {
        silent[i] = kit_connect_from(k, BAD);
    }
    const int third = kit_connect_from(k, BAD);
    assert_true(is_closed(third));
    (void)close(third);
    expect_service(k, GOOD);
    (void)close(silent[0]);
    while (snapshot(k).handshakes_failed == 0) {
    }
    expect_service(k, BAD);
    (void)close(silent[1]);
    assert_int_equal(snapshot(k).limited, 1);
}

static void an_address_opens_connections_at_its_pace(void **state)
{
    struct kit *k = *state;
    for (int i = 0; i < 5; i++) {
        expect_service(k, BAD);
    }
    struct client sixth;
    assert_int_equal(client_try_open_from(&sixth, k, BAD), 0);
    client_close(&sixth);
    expect_service(k, GOOD);
    assert_int_equal(snapshot(k).limited, 1);
    assert_int_equal(snapshot(k).handshakes, 6);
}

/* Nobody pays for what never becomes a handshake, and the log does not grow with it. */
static void a_flood_of_handshakes_leaves_the_others_served(void **state)
{
    struct kit *k = *state;
    static int fd[FLOOD];
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/log", k->dir);
    const int log = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(log >= 0);
    log_set_fd(log);
    log_set_level(LOG_LEVEL_WARN);
    const int64_t start_ms = clock_mono_ms();
    for (int i = 0; i < FLOOD; i++) {
        fd[i] = kit_connect_from(k, BAD);
    }
    expect_service(k, GOOD);
    while (snapshot(k).limited < FLOOD - FLOOD_SLOTS / 4) {
    }
    assert_int_equal(snapshot(k).accepted, FLOOD_SLOTS / 4 + 1);
    const int64_t seconds = (clock_mono_ms() - start_ms) / 1000;
    for (int i = 0; i < FLOOD; i++) {
        (void)close(fd[i]);
    }
    log_set_level(LOG_LEVEL_ERROR);
    log_set_fd(STDERR_FILENO);
    char text[4096] = "";
    assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);
    assert_non_null(strstr(text, "one address has too many unfinished handshakes"));
    assert_non_null(strstr(text, BAD));
    int64_t lines = 0;
    for (const char *c = text; *c != '\0'; c++) {
        lines += *c == '\n';
    }
    assert_true(lines >= 1 && lines <= seconds + 1);
    (void)close(log);
    assert_int_equal(unlink(path), 0);
}

/* ---- many ---- */

/* How many connections this process may hold at both ends. */
static unsigned crowd_size(void)
{
    struct rlimit files;
    const rlim_t wanted = 2 * (CROWD + CROWD_BESIDES);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < wanted) {
        const struct rlimit more = {wanted, files.rlim_max > wanted ? files.rlim_max : wanted};
        const struct rlimit most = {files.rlim_max, files.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) != 0) {
            (void)setrlimit(RLIMIT_NOFILE, &most);
        }
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    }
    const rlim_t most = (files.rlim_cur - CROWD_BESIDES) / 2;
    return most < CROWD ? (unsigned)most : CROWD;
}

static void ten_thousand_silent_clients_cost_little_and_the_others_are_served(void **state)
{
    struct kit *k = *state;
    const unsigned count = crowd_size();
    int *fd = calloc(count, sizeof(*fd));
    assert_non_null(fd);
    const struct http_limits roomy = {.connections = CROWD + 10,
                                      .handshakes = CROWD,
                                      .address_handshakes = CROWD,
                                      .head_ms = CLIENT_TIMEOUT_S * 10000};
    kit_start(k, &roomy);
    const size_t before = kit_libevent_bytes();
    for (unsigned i = 0; i < count; i++) {
        char source[20];
        (void)snprintf(source, sizeof(source), "127.0.%u.%u", 1 + i / 200, 1 + i % 200);
        fd[i] = kit_connect_from(k, source);
    }
    while (snapshot(k).connections < count) {
    }
    const size_t each = (kit_libevent_bytes() - before) / count;
    print_message("%u connections%s, %zu bytes of libevent's each\n", count,
                  count < CROWD ? " (the open file limit allows no more)" : "", each);
    assert_true(each < SILENT_BYTES);
    assert_int_equal(snapshot(k).shed, 0);
    expect_service(k, GOOD);
    for (unsigned i = 0; i < count; i++) {
        (void)close(fd[i]);
    }
    free(fd);
    while (snapshot(k).connections > 0) {
    }
    expect_service(k, GOOD);
    kit_stop(k);
}

static void many_slow_readers_hold_little_memory_and_are_dropped(void **state)
{
    struct kit *k = *state;
    struct client c[SLOW_READERS];
    const size_t before = kit_libevent_bytes();
    for (int i = 0; i < SLOW_READERS; i++) {
        client_open(&c[i], k);
        client_text(&c[i], "GET /file HTTP/1.1\r\n" HOST "\r\n");
    }
    size_t most = 0;
    while (snapshot(k).timeouts < SLOW_READERS) {
        const size_t now = kit_libevent_bytes();
        most = now > most ? now : most;
    }
    assert_true(most - before < (size_t)SLOW_READERS * CONNECTION_BYTES);
    for (int i = 0; i < SLOW_READERS; i++) {
        client_close(&c[i]);
    }
    expect_service(k, GOOD);
}

/* Half a megabyte would fit into what a kernel buffers, and the answer would count as taken. */
static void an_answer_that_nobody_reads_does_not_hide_in_the_kernel(void **state)
{
    struct kit *k = *state;
    struct client c;
    client_open(&c, k);
    client_text(&c, "GET /file HTTP/1.1\r\n" HOST "Range: bytes=0-524287\r\n\r\n");
    while (snapshot(k).timeouts == 0 && snapshot(k).connections > 0) {
    }
    assert_int_equal(snapshot(k).timeouts, 1);
    client_close(&c);
}

static void in_a_crowd_answers_end_their_connections(void **state)
{
    struct kit *k = *state;
    struct client c[7];
    struct reply r;
    for (int i = 0; i < 7; i++) {
        client_open(&c[i], k);
        if (i < 6) {
            expect_served(&c[i]);
        }
    }
    client_text(&c[0], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    client_reply(&c[0], REPLY_TO_GET, &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_header(&r, "Connection"), "close");
    assert_true(client_closed(&c[0]));
    reply_release(&r);
    for (int i = 0; i < 7; i++) {
        client_close(&c[i]);
    }
}

/* ---- handshakes ---- */

/* A ClientHello that arrives byte by byte, each when the server has not closed for 50 ms. */
static void a_handshake_a_byte_at_a_time_is_dropped(void **state)
{
    struct kit *k = *state;
    static const uint8_t hello[200] = {0x16, 3, 1, 0, 195, 1, 0, 0, 191, 3, 3};
    const int fd = kit_connect(k);
    int closed = 0;
    for (size_t i = 0; i < sizeof(hello) && !closed; i++) {
        struct pollfd answer = {.fd = fd, .events = POLLIN};
        closed = poll(&answer, 1, 50) != 0 || send(fd, hello + i, 1, MSG_NOSIGNAL) != 1;
    }
    assert_true(closed);
    assert_true(is_closed(fd));
    (void)close(fd);
    assert_int_equal(snapshot(k).handshakes_failed, 1);
    assert_int_equal(snapshot(k).timeouts, 1);
}

static void renegotiation_is_refused(void **state)
{
    struct kit *k = *state;
    struct client c = {.fd = kit_connect(k)};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION), 1);
    c.ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    assert_int_equal(SSL_set_fd(c.ssl, c.fd), 1);
    assert_int_equal(SSL_connect(c.ssl), 1);
    expect_served(&c);
    assert_int_equal(SSL_renegotiate(c.ssl), 1);
    assert_int_not_equal(SSL_do_handshake(c.ssl), 1);
    client_close(&c);
    assert_int_equal(snapshot(k).handshakes, 1);
    expect_service(k, GOOD);
}

/* ---- endless ---- */

struct client_piece {
    const char *bytes;
    size_t len;
    unsigned count;
};

/* Sends the head and `count` times the piece, more than the route takes. */
static void expect_413(struct kit *k, const char *head, const struct client_piece *piece)
{
    struct client c;
    struct reply r;
    client_open(&c, k);
    client_text(&c, head);
    for (unsigned i = 0; i < piece->count && client_push(&c, piece->bytes, piece->len); i++) {
    }
    client_reply(&c, REPLY_TO_GET, &r);
    assert_int_equal(r.status, 413);
    assert_string_equal(reply_header(&r, "Connection"), "close");
    assert_true(client_closed(&c));
    reply_release(&r);
    client_close(&c);
    while (snapshot(k).connections > 0) {
    }
    assert_int_equal(kit_spooled(k), 0);
}

static void endless_chunks_are_413_and_leave_no_file(void **state)
{
    struct kit *k = *state;
    static char large[7 + 65536 + 2];
    static char small[6 * 1000];
    static const char one[] = {'1', '\r', '\n', 'x', '\r', '\n'};
    (void)snprintf(large, sizeof(large), "10000\r\n%065536d", 0);
    large[sizeof(large) - 2] = '\r';
    large[sizeof(large) - 1] = '\n';
    for (size_t i = 0; i < sizeof(small); i += sizeof(one)) {
        memcpy(small + i, one, sizeof(one));
    }
    const struct client_piece larges = {large, sizeof(large), 2 * KIT_UPLOAD_MAX / 65536};
    const struct client_piece smalls = {small, sizeof(small), 132};
    expect_413(k, "POST /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", &larges);
    expect_413(k, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", &smalls);
    expect_413(k, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n\r\n", &larges);
    assert_int_equal(kit_handled(k), 0);
}

/* Half of what was promised, and then the end. */
static void a_body_shorter_than_declared_is_no_request(void **state)
{
    struct kit *k = *state;
    struct client c;
    client_open(&c, k);
    client_text(&c, "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nhalf.");
    client_half_close(&c);
    assert_true(client_closed(&c));
    client_close(&c);
    while (snapshot(k).connections > 0) {
    }
    assert_int_equal(kit_spooled(k), 0);
    assert_int_equal(kit_handled(k), 0);
}

static const struct http_limits three = {.count_loopback = 1, .address_connections = 3};
static const struct http_limits two = {.count_loopback = 1, .address_handshakes = 2};
static const struct http_limits slow_pace = {
    .count_loopback = 1, .address_burst = 5, .address_per_s = 1};
static const struct http_limits slots = {.count_loopback = 1, .handshakes = FLOOD_SLOTS};
static const struct http_limits quick = {.head_ms = 1000, .window_ms = 200, .window_bytes = 1000};
static const struct http_limits unread = {.window_ms = 200, .window_bytes = 1000, .idle_ms = 3000};
static const struct http_limits eight = {.connections = 8};

static struct kit kit;

static int set_up_with(void **state, const struct http_limits *limits)
{
    *state = &kit;
    kit_start(&kit, limits);
    return 0;
}

static int set_up_three(void **state)
{
    return set_up_with(state, &three);
}

static int set_up_two(void **state)
{
    return set_up_with(state, &two);
}

static int set_up_slow_pace(void **state)
{
    return set_up_with(state, &slow_pace);
}

static int set_up_slots(void **state)
{
    return set_up_with(state, &slots);
}

static int set_up_quick(void **state)
{
    return set_up_with(state, &quick);
}

static int set_up_unread(void **state)
{
    return set_up_with(state, &unread);
}

static int set_up_eight(void **state)
{
    return set_up_with(state, &eight);
}

static int set_up(void **state)
{
    return set_up_with(state, NULL);
}

static int set_nothing_up(void **state)
{
    *state = &kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_stop(*state);
    return 0;
}

#define TEST(f)            cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define TEST_WITH(name, f) cmocka_unit_test_setup_teardown(f, set_up_##name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH(three, an_address_has_its_share_of_connections),
        TEST_WITH(two, an_address_has_its_share_of_unfinished_handshakes),
        TEST_WITH(slow_pace, an_address_opens_connections_at_its_pace),
        TEST_WITH(slots, a_flood_of_handshakes_leaves_the_others_served),
        cmocka_unit_test_setup(ten_thousand_silent_clients_cost_little_and_the_others_are_served,
                               set_nothing_up),
        TEST_WITH(quick, many_slow_readers_hold_little_memory_and_are_dropped),
        TEST_WITH(unread, an_answer_that_nobody_reads_does_not_hide_in_the_kernel),
        TEST_WITH(eight, in_a_crowd_answers_end_their_connections),
        TEST_WITH(quick, a_handshake_a_byte_at_a_time_is_dropped),
        TEST(renegotiation_is_refused),
        TEST(endless_chunks_are_413_and_leave_no_file),
        TEST(a_body_shorter_than_declared_is_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
