/* The whole of it: publish, export, switch the server off, serve the folder as any web host would,
 * and let virtual devices update from it over TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/cli/https.h"
#include "tests/cli/served.h"
#include "tests/cli/shop.h"
#include "tests/support/vectors.h"

enum { DEVICES = 3 };

static struct shop shop;

static int setup(void **state)
{
    static const struct sf_behaviour crashes = {.kind = SF_BEHAVIOUR_CRASH_AFTER, .parameter = 2};
    if (run_setup(state) != 0) {
        return -1;
    }
    shop_open(&shop);
    shop_publish(&shop, "1.0.0", 1, NULL);
    shop_publish(&shop, "1.1.0", 2, NULL);
    shop_publish(&shop, "1.2.0", 3, &crashes);
    return 0;
}

static int teardown(void **state)
{
    return run_teardown(state);
}

static void export_version(const char *version)
{
    run_expect(shop_export(run_path("public"), "--version", version, NULL), 0, "written");
}

/* Lets the devices update until all are at rest, and expects of each version and outcome. */
static void update(const struct https *host, const char *version, const char *outcome,
                   int downloads)
{
    char url[128];
    char row[512];
    snprintf(url, sizeof url, "%s/fw", host->url);
    const char *const argv[] = {SF_BIN_DIR "/surefoot-sim",
                                "run",
                                "--static",
                                url,
                                "--cacert",
                                run_path("tls/ca.pem"),
                                "--firmware",
                                run_path("lamp-1.0.0.bin"),
                                "--release-key",
                                shop.key,
                                "--devices",
                                "3",
                                "--state",
                                run_path("lamps"),
                                "--speed",
                                "60",
                                "--timeout",
                                "100",
                                "--json",
                                NULL};
    struct run *r = run_program(argv);
    if (r->status != 0) {
        fail_msg("exit status %d: %s%s", r->status, r->out, r->err);
    }
    char *at = r->out;
    for (unsigned i = 0; i < DEVICES; i++) {
        const size_t len = strcspn(at, "\n");
        snprintf(row, sizeof row, "%.*s", (int)len, at);
        json_t *device = json_loads(row, 0, NULL);
        assert_string_equal(vectors_text(device, "version"), version);
        assert_string_equal(vectors_text(device, "outcome"), outcome);
        assert_int_equal(json_integer_value(json_object_get(device, "downloads")), downloads);
        json_decref(device);
        at += len + (at[len] == '\n');
    }
}

/* Nothing of the other export is running: the folder is all there is. */
static void devices_update_from_a_folder_and_come_back_from_a_bad_release(void **state)
{
    (void)state;
    struct https host;
    const char *const folder[] = {"mkdir", run_path("www"), NULL};
    const char *const link[] = {"ln", "-s", run_path("public"), run_path("www/fw"), NULL};
    assert_int_equal(run_program(folder)->status, 0);
    assert_int_equal(run_program(link)->status, 0);
    https_make_identity(run_path("tls"), time(NULL));

    export_version("1.0.0");
    https_start_folder(&host, run_path("tls"), run_path("www"));
    update(&host, "1.0.0", "no update", 0);
    export_version("1.1.0");
    update(&host, "1.1.0", "confirmed 1.1.0", 1);
    export_version("1.2.0");
    assert_int_equal(served_stop(), 0); /* it has no part in what follows */
    update(&host, "1.1.0", "rolled back to 1.1.0: the new image crashed during its trial", 1);
    update(&host, "1.1.0", "rolled back to 1.1.0: the new image crashed during its trial", 0);
    https_stop(&host);
    assert_int_equal(host.authorized, 0); /* no credential ever went there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_update_from_a_folder_and_come_back_from_a_bad_release),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
