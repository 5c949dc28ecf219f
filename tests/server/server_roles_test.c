/* Deny by default: every route with every caller, generated from the route table itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "server/protocols/auth.h"
#include "server/protocols/common.h"
#include "tests/server/fleet_kit.h"

static struct kit kit;

enum {
    CALLER_NOBODY,
    CALLER_GARBAGE,
    CALLER_REVOKED,
    CALLER_EXPIRED,
    CALLER_DEVICE,
    CALLER_DEVICE_WRONG,
    CALLER_DEVICE_REVOKED,
    CALLER_DEVICE_QUARANTINED,
    CALLER_SCOPES,
    CALLER_COUNT = CALLER_SCOPES + SCOPE_COUNT
};

struct caller {
    char name[32];
    char bearer[DAEMON_TOKEN + 64];
    unsigned roles;
};
static struct caller callers[CALLER_COUNT];

static void make_token(const char *name, const char *scope, char *out, size_t size)
{
    long status = 0;
    json_t *answer = api(&kit.daemon, "POST", "/api/v1/tokens",
                         json_pack("{s:s, s:s}", "name", name, "scope", scope), &status);
    assert_int_equal(status, 201);
    (void)snprintf(out, size, "%s", json_string_value(json_object_get(answer, "token")));
    json_decref(answer);
}

/* No token can be made that has expired: the daemon would have to run for a day. */
static int add_expired(struct store_tx *tx, void *arg)
{
    return store_token_add(tx, arg);
}

static void make_expired(struct caller *c)
{
    struct api_token token = {.name = "expired",
                              .roles = scopes[SCOPE_ADMIN].roles,
                              .created_at = 1000,
                              .expires_at = 1001};
    int err = SF_OK;
    char why[STORE_WHY_SIZE];
    const struct store_options options = {.backend = STORE_SQLITE, .readers = 1};
    (void)snprintf(c->name, sizeof(c->name), "expired");
    assert_int_equal(secret_make(crypto_openssl(), "sft_", c->bearer, token.digest), SF_OK);
    assert_int_equal(daemon_stop(&kit.daemon), 0);
    struct store *store = store_open(kit.daemon.dir, &options, &err, why);
    assert_non_null(store);
    assert_int_equal(store_run(store, add_expired, &token), SF_OK);
    store_close(store);
    daemon_start(&kit.daemon);
}

static void make_device(int which, const char *name, const char *id, struct kit_device *dev)
{
    struct kit_image image;
    kit_image(&kit, "1.0.0", &image);
    kit_device(&kit, id, &image, "1.0.0", dev);
    if (which == CALLER_DEVICE_WRONG || which == CALLER_DEVICE_QUARANTINED) { /* another secret */
        dev->secret[0] = which == CALLER_DEVICE_WRONG ? 'a' : 'b'; /* "c" by the kit's rule */
    }
    (void)snprintf(callers[which].name, sizeof(callers[which].name), "%s", name);
    (void)snprintf(callers[which].bearer, sizeof(callers[which].bearer), "%s.%s", dev->id,
                   dev->secret);
}

static void make_devices(void)
{
    struct kit_device dev;
    long status = 0;
    make_device(CALLER_DEVICE, "device", "aabbccddeeff", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    callers[CALLER_DEVICE].roles = ROLE_DEVICE;
    make_device(CALLER_DEVICE_WRONG, "other secret", "aabbccddeeff", &dev); /* never sent */
    make_device(CALLER_DEVICE_REVOKED, "revoked device", "aabbccddee00", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    json_decref(
        api(&kit.daemon, "POST", "/api/v1/devices/aabbccddee00/revoke", json_object(), &status));
    assert_int_equal(status, 200);
    make_device(CALLER_DEVICE_QUARANTINED, "quarantined", "aabbccddeeff", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 202);
}

static int make_callers(void **state)
{
    (void)state;
    kit_init(&kit);
    (void)snprintf(callers[CALLER_NOBODY].name, 32, "nobody");
    (void)snprintf(callers[CALLER_GARBAGE].name, 32, "garbage");
    (void)snprintf(callers[CALLER_GARBAGE].bearer, 64, "sft_0000");
    long status = 0;
    struct caller *revoked = &callers[CALLER_REVOKED];
    (void)snprintf(revoked->name, 32, "revoked");
    make_token("revoked", "admin", revoked->bearer, sizeof(revoked->bearer));
    json_decref(api(&kit.daemon, "DELETE", "/api/v1/tokens/revoked", NULL, &status));
    assert_int_equal(status, 204);
    make_expired(&callers[CALLER_EXPIRED]);
    make_devices();
    for (int i = 0; i < SCOPE_COUNT; i++) {
        struct caller *c = &callers[CALLER_SCOPES + i];
        (void)snprintf(c->name, 32, "t-%s", scopes[i].name);
        make_token(c->name, scopes[i].name, c->bearer, sizeof(c->bearer));
        c->roles = scopes[i].roles;
    }
    return 0;
}

static int release_kit(void **state)
{
    (void)state;
    kit_release(&kit);
    return 0;
}

/* "/api/v1/devices/:id" with something in place of each parameter. */
static void fill_path(const char *pattern, char *out, size_t size)
{
    size_t len = 0;
    for (const char *c = pattern; *c != '\0' && len + 1 < size; c++) {
        out[len++] = *c;
        if (*c == ':') {
            out[len - 1] = 'x';
            c += strcspn(c, "/");
            c -= *c == '\0' || *c == '/';
        }
    }
    out[len] = '\0';
}

static const char *method_name(enum method method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    return names[method];
}

static long ask(const struct route *route, enum method method, const struct caller *caller)
{
    char path[128];
    fill_path(route->path, path, sizeof(path));
    struct reply r;
    call(&kit.daemon,
         &(struct call){.method = method_name(method),
                        .path = path,
                        .bearer = caller->bearer[0] == '\0' ? NULL : caller->bearer,
                        .content_type = route->body_content_type,
                        .body = route->body == BODY_NONE ? NULL : "{}",
                        .body_len = route->body == BODY_NONE ? 0 : 2},
         &r);
    assert_int_equal(r.curl, 0);
    reply_release(&r);
    return r.status;
}

/* What a caller without the route's role is told. */
static long refusal(const struct route *route, int caller)
{
    const int device_route = (route->roles & ROLE_DEVICE) != 0;
    if ((route->roles & ROLE_PLAIN) != 0) {
        return 404; /* a product that is closed to plain clients looks as if it were not there */
    }
    if (caller == CALLER_DEVICE_QUARANTINED && device_route) {
        return 403; /* it is told to wait for an operator */
    }
    /* a token that is known but too small is told so; others learn nothing */
    return caller >= CALLER_SCOPES && !device_route ? 403 : 401;
}

/* 1 if the route let the caller in. */
static int let_in(const struct route *route, enum method method, int caller)
{
    const struct caller *c = &callers[caller];
    const long status = ask(route, method, c);
    const int may = (route->roles & (c->roles | ROLE_ANYONE)) != 0;
    const int denied =
        status == 401 || status == 403 || ((route->roles & ROLE_PLAIN) != 0 && status == 404);
    if (may == denied || (!may && status != refusal(route, caller))) {
        fail_msg("%s %s as %s: %ld", method_name(method), route->path, c->name, status);
    }
    return may;
}

static void lets_in_exactly_whom_the_table_names(void **state)
{
    (void)state;
    unsigned count = 0;
    unsigned refused = 0;
    unsigned allowed = 0;
    const struct route *routes = protocols_routes(&count);
    for (unsigned i = 0; i < count; i++) {
        for (int k = 0; k < CALLER_COUNT; k++) {
            int in = let_in(&routes[i], routes[i].method, k);
            if (routes[i].method == METHOD_GET) {
                assert_int_equal(let_in(&routes[i], METHOD_HEAD, k), in);
            }
            refused += in ? 0 : 1;
            allowed += in ? 1 : 0;
        }
    }
    print_message("%u routes, %d callers, %u refused, %u let in\n", count, (int)CALLER_COUNT,
                  refused, allowed);
    assert_true(refused > count && allowed > count);
}

static void a_route_that_says_nothing_of_who_may_is_not_built(void **state)
{
    (void)state;
    static const unsigned wrong[] = {0, ROLE_ANYONE | ROLE_DEVICE, ROLE_VIEWER | ROLE_ADMIN,
                                     1 << 8};
    unsigned count = 0;
    char text[256];
    const struct route *routes = protocols_routes(&count);
    assert_null(protocols_check(routes, count, text, sizeof(text)));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct route table[2] = {routes[0], {.path = "/new", .roles = wrong[i]}};
        assert_non_null(protocols_check(table, 2, text, sizeof(text)));
        assert_non_null(strstr(text, "'/new'"));
    }
}

/* Every parameter of every route, as the one who may do most. */
static void no_parameter_is_a_way_out_of_its_folder(void **state)
{
    (void)state;
    static const char *const steps[] = {"..",
                                        ".",
                                        "%2e%2e",
                                        "..%2f..%2fadmin-token",
                                        "%2e%2e%5cadmin-token",
                                        "x%00",
                                        "%c0%ae%c0%ae",
                                        "..%c0%afadmin-token"};
    unsigned count = 0;
    const struct route *routes = protocols_routes(&count);
    for (unsigned i = 0; i < count; i++) {
        const char *colon = strchr(routes[i].path, ':');
        for (size_t k = 0; colon != NULL && k < sizeof(steps) / sizeof(steps[0]); k++) {
            char path[256];
            struct reply r;
            (void)snprintf(path, sizeof(path), "%.*s%s%s", (int)(colon - routes[i].path),
                           routes[i].path, steps[k], colon + strcspn(colon, "/"));
            call(&kit.daemon,
                 &(struct call){.method = method_name(routes[i].method),
                                .path = path,
                                .bearer = kit.daemon.admin},
                 &r);
            assert_int_equal(r.curl, 0);
            if (r.status != 400) {
                fail_msg("%s %s: %ld", method_name(routes[i].method), path, r.status);
            }
            reply_release(&r);
        }
    }
}

static void serves_nothing_that_is_not_in_the_table(void **state)
{
    (void)state;
    static const char *const paths[] = {"/",
                                        "/api",
                                        "/api/v1",
                                        "/api/v1/",
                                        "/api/v2/tokens",
                                        "/admin",
                                        "/api/v1/tokens/x/y",
                                        "/artifacts/",
                                        "/artifacts/../admin-token",
                                        "/device/v1"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct reply r;
        call(&kit.daemon, &(struct call){.path = paths[i], .bearer = kit.daemon.admin}, &r);
        assert_int_equal(r.curl, 0);
        if (r.status != 404 && r.status != 400) {
            fail_msg("%s: %ld", paths[i], r.status);
        }
        reply_release(&r);
    }
}

static void asks_for_a_credential_with_401(void **state)
{
    (void)state;
    struct reply r;
    call(&kit.daemon, &(struct call){.path = "/api/v1/whoami"}, &r);
    assert_int_equal(r.status, 401);
    assert_non_null(strcasestr(r.header, "www-authenticate: Bearer"));
    reply_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_in_exactly_whom_the_table_names),
        cmocka_unit_test(a_route_that_says_nothing_of_who_may_is_not_built),
        cmocka_unit_test(no_parameter_is_a_way_out_of_its_folder),
        cmocka_unit_test(serves_nothing_that_is_not_in_the_table),
        cmocka_unit_test(asks_for_a_credential_with_401),
    };
    return cmocka_run_group_tests(tests, make_callers, release_kit);
}
