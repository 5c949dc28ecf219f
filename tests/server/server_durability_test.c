/* kill -9 at any moment loses nothing that was acknowledged, and needs no repair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "tests/server/fleet_kit.h"

enum { ROUNDS = 8, PER_ROUND = 400 };

static struct kit kit;
static struct kit_image v1;

static int setup(void **state)
{
    (void)state;
    kit_init(&kit);
    kit_ship(&kit, "1.0.0", &v1);
    kit_target(&kit, "1.0.0");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_release(&kit);
    return 0;
}

struct work {
    int round;
    atomic_int enrolled; /* acknowledged */
    atomic_int uploaded;
    atomic_int offered;
    struct kit_image image[PER_ROUND];
};

/* Works until the server is gone; what has no answer does not count. */
static void *enrol_and_check_in(void *arg)
{
    struct work *w = arg;
    struct kit_image old;
    kit_image(&kit, "0.9.0", &old);
    for (int i = 0; i < PER_ROUND; i++) {
        char id[32];
        struct kit_device dev;
        (void)snprintf(id, sizeof(id), "kill-%d-%d", w->round, i);
        kit_device(&kit, id, &old, "0.9.0", &dev);
        if (kit_enrol(&kit, &dev, kit.enrol_token) != 204) {
            return NULL;
        }
        atomic_store(&w->enrolled, i + 1);
        if (kit_checkin(&kit, &dev) != 200) {
            return NULL;
        }
        if (dev.status.action != SF_STATUS_INSTALL) {
            return NULL;
        }
        atomic_store(&w->offered, i + 1);
    }
    return NULL;
}

static void *upload(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < PER_ROUND; i++) {
        char version[32];
        char code[64];
        (void)snprintf(version, sizeof(version), "9.%d.%d", w->round, i);
        kit_image(&kit, version, &w->image[i]);
        if (kit_upload(&kit, &w->image[i], code) != 201) {
            return NULL;
        }
        atomic_store(&w->uploaded, i + 1);
    }
    return NULL;
}

/* Kills when `threshold` answers have come: at another moment of the server's life each round. */
static void kill_after(struct work *w, int threshold)
{
    const struct timespec pause = {.tv_nsec = 200000};
    while (atomic_load(&w->enrolled) + atomic_load(&w->uploaded) < threshold) {
        (void)nanosleep(&pause, NULL); /* only polls; the condition decides */
    }
    daemon_kill(&kit.daemon);
}

static void expect_kept(const struct work *w)
{
    for (int i = 0; i < atomic_load(&w->enrolled); i++) {
        char path[64];
        long status = 0;
        (void)snprintf(path, sizeof(path), "/api/v1/devices/kill-%d-%d", w->round, i);
        json_t *d = api(&kit.daemon, "GET", path, NULL, &status);
        if (status != 200) {
            fail_msg("%s was acknowledged and is lost: %ld", path, status);
        }
        if (i < atomic_load(&w->offered)) {
            const json_t *last = json_object_get(d, "deployment");
            assert_string_equal(json_string_value(json_object_get(last, "state")), "offered");
        }
        json_decref(d);
    }
    for (int i = 0; i < atomic_load(&w->uploaded); i++) {
        char path[128];
        struct reply r;
        (void)snprintf(path, sizeof(path), "/artifacts/%s", w->image[i].hex);
        call(&kit.daemon, &(struct call){.path = path}, &r);
        assert_int_equal(r.status, 200);
        assert_memory_equal(r.body, w->image[i].bytes, w->image[i].len);
        reply_release(&r);
        char code[64];
        assert_int_equal(kit_upload(&kit, &w->image[i], code), 200); /* known, not new */
    }
}

static void keeps_what_it_acknowledged_through_kill_9(void **state)
{
    (void)state;
    static struct work w;
    for (int round = 0; round < ROUNDS; round++) {
        memset(&w, 0, sizeof(w));
        w.round = round;
        pthread_t threads[2];
        assert_int_equal(pthread_create(&threads[0], NULL, enrol_and_check_in, &w), 0);
        assert_int_equal(pthread_create(&threads[1], NULL, upload, &w), 0);
        kill_after(&w, 3 + 5 * round);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        daemon_start(&kit.daemon);
        print_message("round %d: %d enrolled, %d offered, %d uploaded\n", round,
                      atomic_load(&w.enrolled), atomic_load(&w.offered), atomic_load(&w.uploaded));
        expect_kept(&w);
    }
}

static void drains_on_sigterm_and_starts_again_with_the_same_keys(void **state)
{
    (void)state;
    struct kit_device dev;
    kit_device(&kit, "drained", &v1, "1.0.0", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    char token[DAEMON_TOKEN];
    memcpy(token, kit.daemon.admin, sizeof(token));
    assert_int_equal(daemon_stop(&kit.daemon), 0);
    daemon_start(&kit.daemon);
    assert_string_equal(token, kit.daemon.admin);
    assert_int_equal(kit_checkin(&kit, &dev), 200); /* the status verifies with the same key */
    long status = 0;
    json_t *d = api(&kit.daemon, "GET", "/api/v1/devices/drained", NULL, &status);
    assert_true(json_integer_value(json_object_get(d, "last_seen")) > 0);
    json_decref(d);
}

enum { BIG = 4 * 1024 * 1024 };

/* Waits until the upload has begun to arrive. */
static void wait_for_upload(const char *counter)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 10000; i++) {
        struct reply r;
        call(&kit.daemon, &(struct call){.path = "/metrics", .bearer = kit.daemon.admin}, &r);
        const char *at = strstr((const char *)r.body, counter);
        const int begun = at != NULL && strtoll(at + strlen(counter), NULL, 10) >= BIG / 4;
        reply_release(&r);
        if (begun) {
            return;
        }
        (void)nanosleep(&pause, NULL); /* only polls; the condition decides */
    }
    fail_msg("no upload arrives");
}

/* curl(1) is in the middle of an upload of two seconds when SIGTERM comes: it is answered, the
 * server ends with 0, and the image is there after the next start. */
static void lets_an_upload_end_when_sigterm_comes(void **state)
{
    (void)state;
    static uint8_t bytes[BIG];
    const struct esp_image_spec spec = {.size = BIG, .seed = 77};
    const size_t len = esp_image_build(&spec, bytes, sizeof(bytes));
    uint8_t digest[SF_SHA256_SIZE];
    char hex[2 * SF_SHA256_SIZE + 1];
    char file[DAEMON_PATH + 16];
    char command[2048];
    char said[16] = "";
    assert_int_equal(sf_sha256(crypto_openssl(), bytes, len, digest), SF_OK);
    hex_encode(digest, sizeof(digest), hex);
    (void)snprintf(file, sizeof(file), "%s/upload.bin", kit.daemon.dir);
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(command, sizeof(command),
                   "curl -sS --max-time 60 --noproxy '*' --cacert %s --limit-rate 2M -T %s "
                   "-H 'Content-Type: application/octet-stream' -H 'Authorization: Bearer %s' "
                   "-o /dev/null -w '%%{http_code}' https://localhost:%u/api/v1/artifacts/%s",
                   kit.daemon.ca, file, kit.daemon.admin, kit.daemon.port, hex);
    FILE *curl = popen(command, "re"); /* NOLINT(cert-env33-c): a command of our own */
    assert_non_null(curl);
    wait_for_upload("\nsurefoot_http_bytes_in_total ");
    assert_int_equal(daemon_stop(&kit.daemon), 0);
    assert_non_null(fgets(said, sizeof(said), curl));
    assert_int_equal(pclose(curl), 0);
    assert_string_equal(said, "201");
    daemon_start(&kit.daemon);
    struct reply r;
    (void)snprintf(command, sizeof(command), "/artifacts/%s", hex);
    call(&kit.daemon, &(struct call){.path = command}, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.len, len);
    assert_memory_equal(r.body, bytes, len);
    reply_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_acknowledged_through_kill_9),
        cmocka_unit_test(drains_on_sigterm_and_starts_again_with_the_same_keys),
        cmocka_unit_test(lets_an_upload_end_when_sigterm_comes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
