/* The admin API from end to end: tokens, products, devices, audit, health, and its document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/server/fleet_kit.h"

static struct kit kit;

static int setup(void **state)
{
    (void)state;
    kit_init(&kit);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_release(&kit);
    return 0;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value == NULL ? "" : value;
}

static void keeps_secrets_from_other_users(void **state)
{
    (void)state;
    static const char *const names[] = {"admin-token", "ca.key", "server.pem", "status-key.pem"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[DAEMON_PATH + 32];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", kit.daemon.dir, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void shows_a_token_once_and_never_again(void **state)
{
    (void)state;
    long status = 0;
    json_t *made =
        api(&kit.daemon, "POST", "/api/v1/tokens",
            json_pack("{s:s, s:s, s:i}", "name", "ci", "scope", "publisher", "days", 7), &status);
    assert_int_equal(status, 201);
    const char *token = text(made, "token");
    assert_int_equal(strncmp(token, "sft_", 4), 0);
    const struct call whoami = {.path = "/api/v1/whoami", .bearer = token};
    json_t *me = api_as(&kit.daemon, &whoami, NULL, &status);
    assert_int_equal(status, 200);
    assert_string_equal(text(me, "name"), "ci");
    assert_string_equal(text(me, "scope"), "publisher");
    json_decref(me);
    json_t *list = api(&kit.daemon, "GET", "/api/v1/tokens", NULL, &status);
    char *dump = json_dumps(list, 0);
    assert_non_null(strstr(dump, "\"ci\""));
    assert_null(strstr(dump, token));
    free(dump);
    json_decref(list);
    json_t *again = api(&kit.daemon, "POST", "/api/v1/tokens",
                        json_pack("{s:s, s:s}", "name", "ci", "scope", "viewer"), &status);
    assert_int_equal(status, 409);
    json_decref(again);
    json_decref(api(&kit.daemon, "DELETE", "/api/v1/tokens/ci", NULL, &status));
    assert_int_equal(status, 204);
    json_decref(api_as(&kit.daemon, &whoami, NULL, &status));
    assert_int_equal(status, 401);
    json_decref(api(&kit.daemon, "DELETE", "/api/v1/tokens/nobody", NULL, &status));
    assert_int_equal(status, 404);
    json_decref(made);
}

static void changes_a_product_field_by_field(void **state)
{
    (void)state;
    long status = 0;
    json_t *p =
        api(&kit.daemon, "PATCH", "/api/v1/products/lamp",
            json_pack("{s:i, s:[s, s]}", "slot_size", 131072, "hw_revisions", "A", "B"), &status);
    assert_int_equal(status, 200);
    assert_int_equal(json_integer_value(json_object_get(p, "slot_size")), 131072);
    assert_int_equal(json_integer_value(json_object_get(p, "checkin_interval_s")), 3600);
    assert_int_equal(json_array_size(json_object_get(p, "hw_revisions")), 2);
    assert_int_equal(strlen(text(p, "release_key")), 128);
    assert_string_equal(text(p, "chip"), "esp32c3");
    json_decref(p);
    p = api(&kit.daemon, "PATCH", "/api/v1/products/lamp",
            json_pack("{s:i}", "slot_size", KIT_SLOT_SIZE), &status);
    assert_int_equal(status, 200);
    json_decref(p);
}

static void refuses_bad_products_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        long status;
        const char *said;
    } cases[] = {
        {"{", 400, "not JSON"},
        {"{\"name\":\"Lamp\"}", 400, "'vendor_domain' is missing"},
        {"{\"name\":\"Lamp\",\"vendor_domain\":\"a.example\",\"chip\":\"esp32\",\"slot_size\":"
         "65536}",
         400, "a-z"},
        {"{\"name\":\"x\",\"vendor_domain\":\"localhost\",\"chip\":\"esp32\",\"slot_size\":65536}",
         400, "must be a domain"},
        {"{\"name\":\"x\",\"vendor_domain\":\"a.example\",\"chip\":\"esp8266\",\"slot_size\":"
         "65536}",
         400, "only products of kind plain"},
        {"{\"name\":\"x\",\"vendor_domain\":\"a.example\",\"chip\":\"z80\",\"slot_size\":"
         "65536}",
         400, "not an ESP32 chip"},
        {"{\"name\":\"x\",\"vendor_domain\":\"a.example\",\"chip\":\"esp32\"}", 400,
         "'slot_size' is missing"},
        {"{\"name\":\"x\",\"vendor_domain\":\"a.example\",\"chip\":\"esp32\",\"slot_size\":1}", 400,
         "from 65536"},
        {"{\"name\":\"x\",\"vendor_domain\":\"a.example\",\"chip\":\"esp32\",\"slot_size\":65536,"
         "\"release_key\":\"00\"}",
         400, "P-256"},
        {"{\"name\":\"x\",\"vendor_domain\":\"a.example\",\"chip\":\"esp32\",\"slot_size\":65536,"
         "\"hw_revisions\":[\"a b\"]}",
         400, "hw_revisions[0]"},
        {"{\"name\":\"lamp\",\"vendor_domain\":\"a.example\",\"chip\":\"esp32\",\"slot_size\":"
         "65536}",
         409, "already"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reply r;
        call(&kit.daemon,
             &(struct call){.path = "/api/v1/products",
                            .bearer = kit.daemon.admin,
                            .content_type = "application/json",
                            .body = cases[i].body,
                            .body_len = strlen(cases[i].body)},
             &r);
        if (r.status != cases[i].status || strstr((const char *)r.body, cases[i].said) == NULL) {
            fail_msg("case %zu: %ld %s", i, r.status, (const char *)r.body);
        }
        reply_release(&r);
    }
}

static void rotates_enrolment_tokens(void **state)
{
    (void)state;
    long status = 0;
    struct kit_image image;
    struct kit_device dev;
    kit_image(&kit, "1.0.0", &image);
    json_t *first = api(&kit.daemon, "POST", "/api/v1/products/lamp/enrol-tokens", NULL, &status);
    assert_int_equal(status, 201);
    json_t *second = api(&kit.daemon, "POST", "/api/v1/products/lamp/enrol-tokens",
                         json_pack("{s:b}", "replace", 1), &status);
    assert_int_equal(status, 201);
    kit_device(&kit, "rot-1", &image, "1.0.0", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, text(first, "token")), 401);
    assert_int_equal(kit_enrol(&kit, &dev, text(second, "token")), 204);
    assert_int_equal(kit_enrol(&kit, &dev, "wrong"), 401); /* known, but without a token */
    kit_device(&kit, "rot-2", &image, "1.0.0", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, "wrong"), 401);
    (void)snprintf(kit.enrol_token, sizeof(kit.enrol_token), "%s", text(second, "token"));
    json_decref(first);
    json_decref(second);
}

static void pages_through_devices(void **state)
{
    (void)state;
    struct kit_image image;
    kit_image(&kit, "1.0.0", &image);
    for (int i = 0; i < 7; i++) {
        char id[32];
        struct kit_device dev;
        (void)snprintf(id, sizeof(id), "page-%d", i);
        kit_device(&kit, id, &image, "1.0.0", &dev);
        assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    }
    char path[128] = "/api/v1/devices?q=page-&limit=3";
    int seen = 0;
    for (int page = 0; page < 3; page++) {
        long status = 0;
        json_t *answer = api(&kit.daemon, "GET", path, NULL, &status);
        assert_int_equal(status, 200);
        const json_t *items = json_object_get(answer, "items");
        for (size_t i = 0; i < json_array_size(items); i++) {
            char id[32];
            (void)snprintf(id, sizeof(id), "page-%d", seen++);
            assert_string_equal(text(json_array_get(items, i), "id"), id);
        }
        const char *next = text(answer, "next");
        assert_int_equal(next[0] == '\0', page == 2);
        (void)snprintf(path, sizeof(path), "/api/v1/devices?q=page-&limit=3&after=%s", next);
        json_decref(answer);
    }
    assert_int_equal(seen, 7);
    static const char *const bad[] = {"/api/v1/devices?limit=501", "/api/v1/devices?limit=-1",
                                      "/api/v1/devices?state=broken",
                                      "/api/v1/devices?version=1.0.0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        long status = 0;
        json_decref(api(&kit.daemon, "GET", bad[i], NULL, &status));
        assert_int_equal(status, 400);
    }
}

static void records_who_changed_what(void **state)
{
    (void)state;
    long status = 0;
    json_t *answer = api(&kit.daemon, "GET", "/api/v1/audit?limit=500", NULL, &status);
    assert_int_equal(status, 200);
    static const char *const wanted[] = {"token.create", "token.revoke", "product.create",
                                         "product.change", "enrol_token.create"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        int found = 0;
        size_t index;
        const json_t *row;
        json_array_foreach(json_object_get(answer, "items"), index, row)
        {
            found |= strcmp(text(row, "action"), wanted[i]) == 0;
        }
        if (!found) {
            fail_msg("no %s in the audit log", wanted[i]);
        }
    }
    char *dump = json_dumps(answer, 0);
    assert_null(strstr(dump, kit.daemon.admin));
    assert_null(strstr(dump, kit.enrol_token));
    free(dump);
    json_decref(answer);
}

static void answers_health_and_metrics(void **state)
{
    (void)state;
    struct reply r;
    call(&kit.daemon, &(struct call){.path = "/healthz"}, &r);
    assert_int_equal(r.status, 200);
    reply_release(&r);
    for (int i = 0; i < 2; i++) { /* the second from the cache */
        call(&kit.daemon, &(struct call){.path = "/readyz"}, &r);
        assert_int_equal(r.status, 200);
        assert_string_equal((const char *)r.body, "ready\n");
        reply_release(&r);
    }
    call(&kit.daemon, &(struct call){.path = "/metrics", .bearer = kit.daemon.admin}, &r);
    assert_int_equal(r.status, 200);
    static const char *const wanted[] = {
        "surefoot_devices{state=\"enrolled\"} ", "surefoot_store_commits_total ",
        "surefoot_http_accepted_total ",
        "surefoot_http_answers_total{method=\"GET\",route=\"/healthz\",status=\"2xx\"} 1\n"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strstr((const char *)r.body, wanted[i]) == NULL) {
            fail_msg("no '%s' in\n%s", wanted[i], (const char *)r.body);
        }
    }
    reply_release(&r);
}

/* A document is what the program prints. */
static void compare(const char *command, const char *path)
{
    FILE *now = popen(command, "re"); // NOLINT(cert-env33-c)
    FILE *kept = fopen(path, "re");
    assert_non_null(now);
    assert_non_null(kept);
    char want[1024];
    char have[1024];
    int line = 0;
    while (fgets(want, sizeof(want), now) != NULL) {
        line++;
        if (fgets(have, sizeof(have), kept) == NULL || strcmp(want, have) != 0) {
            fail_msg("%s:%d differs: %s > it", path, line, command);
        }
    }
    assert_null(fgets(have, sizeof(have), kept));
    assert_true(line > 20);
    (void)fclose(kept);
    assert_int_equal(pclose(now), 0);
}

static void has_documents_that_are_current(void **state)
{
    (void)state;
    compare(SF_BIN_DIR "/surefootd --print-routes", SF_SOURCE_DIR "/docs/api.md");
    compare(SF_BIN_DIR "/surefootd --print-settings", SF_SOURCE_DIR "/docs/settings.md");
}

/* The next "surefoot_..." name at or behind `at`, or NULL; returns what follows. */
static const char *next_metric(const char *at, char name[64])
{
    while ((at = strstr(at, "surefoot_")) != NULL) {
        const size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        (void)snprintf(name, 64, "%.*s", (int)len, at);
        at += len;
        if (*at != '*' && len < 64) { /* surefoot_*.deb is a file */
            return at;
        }
    }
    return NULL;
}

static void has_every_metric_that_the_manual_names(void **state)
{
    (void)state;
    static char manual[65536];
    struct reply r;
    char name[64];
    unsigned count = 0;
    FILE *file = fopen(SF_SOURCE_DIR "/docs/operating.md", "re");
    assert_non_null(file);
    manual[fread(manual, 1, sizeof(manual) - 1, file)] = '\0';
    (void)fclose(file);
    call(&kit.daemon, &(struct call){.path = "/metrics", .bearer = kit.daemon.admin}, &r);
    assert_int_equal(r.status, 200);
    for (const char *at = next_metric(manual, name); at != NULL; at = next_metric(at, name)) {
        count++;
        if (strstr((const char *)r.body, name) == NULL) {
            fail_msg("docs/operating.md names %s, which /metrics has not", name);
        }
    }
    assert_true(count > 10);
    reply_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_secrets_from_other_users),
        cmocka_unit_test(shows_a_token_once_and_never_again),
        cmocka_unit_test(changes_a_product_field_by_field),
        cmocka_unit_test(refuses_bad_products_with_a_sentence),
        cmocka_unit_test(rotates_enrolment_tokens),
        cmocka_unit_test(pages_through_devices),
        cmocka_unit_test(records_who_changed_what),
        cmocka_unit_test(answers_health_and_metrics),
        cmocka_unit_test(has_documents_that_are_current),
        cmocka_unit_test(has_every_metric_that_the_manual_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
