/* A server that is told to stop ends what it has begun. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <time.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "tests/server/fleet_kit.h"

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
        cmocka_unit_test(drains_on_sigterm_and_starts_again_with_the_same_keys),
        cmocka_unit_test(lets_an_upload_end_when_sigterm_comes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
