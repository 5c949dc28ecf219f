/* slowhttptest's four attacks on the real surefootd: another client is served all the time, and
 * with SF_TEST_FULL=1, where they last longer than its deadlines, the attackers are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "base/hex.h"
#include "tests/server/daemon.h"
#include "tests/server/tool.h"
#include "tests/support/esp_image.h"

#define SLOWHTTPTEST "/usr/bin/slowhttptest"

enum { IMAGE_LEN = 1024 * 1024, ATTACKERS_MIN = 50, SERVED_MIN = 20, HELD_MAX = 5 };

static struct daemon surefootd;
static char image_path[128];

static int start(void **state)
{
    (void)state;
    uint8_t digest[32];
    char hex[65];
    struct reply r;
    uint8_t *image = malloc(IMAGE_LEN);
    assert_non_null(image);
    const struct esp_image_spec spec = {.size = IMAGE_LEN};
    const size_t len = esp_image_build(&spec, image, IMAGE_LEN);
    (void)SHA256(image, len, digest);
    hex_encode(digest, sizeof(digest), hex);
    daemon_init(&surefootd);
    daemon_start(&surefootd);
    (void)snprintf(image_path, sizeof(image_path), "/api/v1/artifacts/%s", hex);
    call(&surefootd,
         &(struct call){.method = "PUT",
                        .path = image_path,
                        .bearer = surefootd.admin,
                        .content_type = "application/octet-stream",
                        .body = image,
                        .body_len = len},
         &r);
    assert_int_equal(r.status, 201);
    reply_release(&r);
    (void)snprintf(image_path, sizeof(image_path), "/artifacts/%s", hex);
    free(image);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(daemon_stop(&surefootd), 0);
    daemon_release(&surefootd);
    return 0;
}

struct outcome {
    long most;        /* connected at once */
    long held;        /* by the server, when it was last asked during the attack */
    long unavailable; /* seconds in which slowhttptest's own probe got no answer */
};

/* Rows "Seconds,Closed,Pending,Connected,Service Available". */
static void read_outcome(const char *csv, struct outcome *out)
{
    char line[256];
    FILE *f = fopen(csv, "re");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    while (fgets(line, sizeof(line), f) != NULL) {
        long column[5] = {0};
        char *at = line;
        for (int i = 0; i < 5; i++) {
            column[i] = strtol(at, &at, 10);
            at += *at == ',';
        }
        out->most = column[3] > out->most ? column[3] : out->most;
        out->unavailable += column[4] == 0;
    }
    (void)fclose(f);
}

/* What the server says of itself. slowhttptest does not see the end of a connection before it has
 * read, slowly, all that came before it. */
static long connections_held(void)
{
    static const char name[] = "\nsurefoot_http_connections ";
    struct reply r;
    call(&surefootd, &(struct call){.path = "/metrics", .bearer = surefootd.admin}, &r);
    assert_int_equal(r.curl, 0);
    assert_int_equal(r.status, 200);
    const char *at = strstr((const char *)r.body, name);
    assert_non_null(at);
    const long held = strtol(at + sizeof(name) - 1, NULL, 10);
    reply_release(&r);
    return held;
}

/* `mode` and what belongs to it: up to 8 words. */
static void attack(const char *path, const char *const mode[], struct outcome *out)
{
    char url[256];
    char prefix[DAEMON_PATH + 16];
    char csv[DAEMON_PATH + 24];
    char log[DAEMON_PATH + 24];
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", surefootd.port, path);
    (void)snprintf(prefix, sizeof(prefix), "%s/slow", surefootd.dir);
    (void)snprintf(csv, sizeof(csv), "%s.csv", prefix);
    (void)snprintf(log, sizeof(log), "%s.log", prefix);
    const int full = tool_full();
    const char *args[32] = {SLOWHTTPTEST, "-u",
                            url,          "-g",
                            "-o",         prefix,
                            "-c",         full ? "1000" : "200",
                            "-r",         full ? "200" : "100",
                            "-l",         full ? "60" : "5",
                            "-i",         full ? "5" : "1"};
    size_t count = 0;
    while (args[count] != NULL) {
        count++;
    }
    for (size_t i = 0; mode[i] != NULL; i++) {
        args[count++] = mode[i];
    }
    unsigned served = 0;
    const pid_t pid = tool_start(args, log);
    int code;
    *out = (struct outcome){0};
    while ((code = tool_poll(pid)) < 0) {
        out->held = connections_held();
        served++;
    }
    assert_int_equal(code, 0);
    read_outcome(csv, out);
    print_message(
        "%s: %ld attackers at once, the server holds %ld at the end, %u other requests served\n",
        mode[0], out->most, out->held, served);
    assert_true(served >= SERVED_MIN);
    assert_int_equal(out->unavailable, 0);
}

static void slow_heads(void **state)
{
    (void)state;
    static const char *const mode[] = {"-H", "-x", "16", NULL};
    struct outcome out;
    attack("/healthz", mode, &out);
    assert_true(out.most >= ATTACKERS_MIN);
    assert_true(!tool_full() || out.held <= HELD_MAX);
}

static void slow_bodies(void **state)
{
    (void)state;
    static const char *const mode[] = {"-B", "-s", "400", "-x", "8", "-f", "application/cbor",
                                       NULL};
    struct outcome out;
    attack("/device/v1/enrol", mode, &out);
    assert_true(out.most >= ATTACKERS_MIN);
    assert_true(!tool_full() || out.held <= HELD_MAX);
}

static void slow_readers(void **state)
{
    (void)state;
    static const char *const mode[] = {"-X", "-w", "10", "-y", "512", "-z", "16", "-k", "3", NULL};
    struct outcome out;
    attack(image_path, mode, &out);
    assert_true(out.most >= ATTACKERS_MIN);
    assert_true(!tool_full() || out.held <= HELD_MAX);
}

/* Thousands of ranges in one header are answered at once, with a refusal. */
static void many_ranges(void **state)
{
    (void)state;
    static const char *const mode[] = {"-R", "-a", "5", "-b", "2000", NULL};
    struct outcome out;
    attack(image_path, mode, &out);
}

int main(void)
{
    if (!tool_is_there(SLOWHTTPTEST)) {
        return TOOL_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_heads),
        cmocka_unit_test(slow_bodies),
        cmocka_unit_test(slow_readers),
        cmocka_unit_test(many_ranges),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
