/* Trust roots from end to end: a real server, real virtual devices over TLS, and curl as whoever
 * uploads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cli/served.h"
#include "tests/cli/shop.h"
#include "tests/support/root_kit.h"
#include "tests/support/vectors.h"

enum { K0 = 1 << 0, K1 = 1 << 1, K2 = 1 << 2, NEW_ROOT_KEY = 9 };

static struct shop shop;
static struct root_kit keys;
static struct sf_root_draft draft; /* of the newest root */

static int setup(void **state)
{
    if (run_setup(state) != 0) {
        return -1;
    }
    shop_open(&shop);
    root_kit_init(&keys);
    root_kit_draft(&keys, &draft);
    draft.issued_at = 1700000000; /* the devices' clock is the real one */
    draft.expires = INT64_C(4000000000);
    root_kit_remove(&keys, &draft, ROOT_KIT_RELEASE);
    root_kit_remove(&keys, &draft, ROOT_KIT_STATUS);
    struct p256_key key;
    assert_int_equal(p256_key_load_public(&key, shop.key), SF_OK);
    draft.key[draft.key_count++] =
        (struct sf_root_draft_key){.key = key.public_key, .role = SF_ROLE_RELEASE};
    p256_key_release(&key);
    assert_int_equal(p256_key_load_public(&key, run_path("data/status-key.pub.pem")), SF_OK);
    draft.key[draft.key_count++] =
        (struct sf_root_draft_key){.key = key.public_key, .role = SF_ROLE_STATUS};
    p256_key_release(&key);
    return 0;
}

static int teardown(void **state)
{
    root_kit_release(&keys);
    const int err = served_stop();
    return run_teardown(state) != 0 || err != 0 ? -1 : 0;
}

/* Signs `draft`, keeps it as root-<version>, and uploads it. */
static void publish_root(unsigned signers)
{
    char name[32];
    char url[128];
    char at[RUN_PATH_MAX + 1];
    char bearer[256];
    uint8_t file[SF_ROOT_MAX];
    size_t len = 0;
    const struct sf_bytes in = root_kit_sign(&keys, &draft, signers, file);
    (void)snprintf(name, sizeof(name), "root-%u", draft.version);
    run_write(run_path(name), in.data, in.len);
    (void)snprintf(at, sizeof(at), "@%s", run_path(name));
    (void)snprintf(url, sizeof(url), "%s/api/v1/trust/roots", served_url());
    uint8_t *token = run_read(run_path("data/admin-token"), &len);
    (void)snprintf(bearer, sizeof(bearer), "Authorization: Bearer %.*s",
                   (int)strcspn((const char *)token, "\r\n"), (const char *)token);
    free(token);
    const char *const argv[] = {"curl",
                                "--silent",
                                "--fail-with-body",
                                "--cacert",
                                run_path("data/ca.pem"),
                                "-H",
                                bearer,
                                "-H",
                                "Content-Type: application/cose",
                                "--data-binary",
                                at,
                                url,
                                NULL};
    const struct run *r = run_program(argv);
    if (r->status != 0) {
        fail_msg("uploading root %u: %s%s", draft.version, r->out, r->err);
    }
}

/* Lets the device come to rest, and says what it runs. */
static void run_device(const char *root, const char *version)
{
    static const char program[] = SF_BIN_DIR "/surefoot-sim";
    const char *const argv[] = {program,
                                "run",
                                "--server",
                                served_url(),
                                "--cacert",
                                run_path("data/ca.pem"),
                                "--firmware",
                                run_path("lamp-1.0.0.bin"),
                                "--trust-root",
                                run_path(root),
                                "--enrol-token-file",
                                run_path("lamp.token"),
                                "--hw-revision",
                                "A",
                                "--state",
                                run_path("lamps"),
                                "--speed",
                                "600",
                                "--timeout",
                                "100",
                                "--json",
                                NULL};
    const struct run *r = run_program(argv);
    if (r->status != 0) {
        fail_msg("exit status %d: %s%s", r->status, r->out, r->err);
    }
    char row[1024];
    (void)snprintf(row, sizeof(row), "%.*s", (int)strcspn(r->out, "\n"), r->out);
    json_t *device = json_loads(row, 0, NULL);
    assert_string_equal(vectors_text(device, "version"), version);
    json_decref(device);
}

/* What the server knows of the one device. */
static json_int_t known(const char *field)
{
    json_t *list = run_json(run_surefoot("device", "list", "--json", NULL));
    const json_t *items = json_is_array(list) ? list : json_object_get(list, "items");
    char id[SHOP_ID_SIZE];
    (void)snprintf(id, sizeof(id), "%s", vectors_text(json_array_get(items, 0), "id"));
    json_decref(list);
    json_t *device = run_json(run_surefoot("device", "show", id, "--json", NULL));
    const json_int_t value = json_integer_value(json_object_get(device, field));
    json_decref(device);
    return value;
}

static void devices_walk_over_tls_and_update_under_the_newest_root(void **state)
{
    (void)state;
    shop_publish(&shop, "1.0.0", 1, NULL);
    publish_root(K0 | K1);
    run_device("root-1", "1.0.0");
    assert_int_equal(known("root_version"), 1);

    draft.version = 2;
    root_kit_remove(&keys, &draft, 0);
    root_kit_add(&keys, &draft, SF_ROLE_ROOT, NEW_ROOT_KEY);
    publish_root(K0 | K1 | 1 << NEW_ROOT_KEY);
    draft.version = 3;
    draft.epoch[SF_ROLE_RELEASE] = 1;
    publish_root(K2 | 1 << NEW_ROOT_KEY);
    shop_publish(&shop, "1.1.0", 2, NULL);
    run_expect(run_surefoot("product", "target", "lamp", "1.1.0", NULL), 0, NULL);
    run_device("root-1", "1.1.0");
    run_device("root-1", "1.1.0"); /* and tells so, once it has confirmed */
    assert_int_equal(known("root_version"), 3);
    assert_int_equal(known("epoch"), 1);
}

static void expect_sim(const char *root, const char *key, const char *sentence)
{
    static const char program[] = SF_BIN_DIR "/surefoot-sim";
    const char *const argv[] = {program,
                                "run",
                                "--server",
                                "https://localhost:1",
                                "--firmware",
                                run_path("lamp-1.0.0.bin"),
                                "--trust-root",
                                root,
                                key != NULL ? "--release-key" : NULL,
                                key,
                                NULL};
    const struct run *r = run_program(argv);
    assert_int_equal(r->status, 2);
    assert_non_null(strstr(r->err, sentence));
}

static void says_what_is_wrong_with_a_trust_root(void **state)
{
    (void)state;
    expect_sim(run_path("nowhere"), NULL, "--trust-root: cannot open");
    expect_sim(run_path("lamp-1.0.0.bin"), NULL, "is no trust root: ");
    expect_sim(run_path("root-1"), shop.key, "the root lists the keys");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_walk_over_tls_and_update_under_the_newest_root),
        cmocka_unit_test(says_what_is_wrong_with_a_trust_root),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
