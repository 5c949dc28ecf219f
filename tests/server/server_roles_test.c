/* Deny by default: every route with every caller, generated from the route table itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/protocols/auth.h"
#include "tests/server/fleet_kit.h"

static struct kit kit;

enum {
    CALLER_NOBODY,
    CALLER_GARBAGE,
    CALLER_REVOKED,
    CALLER_DEVICE,
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
    struct caller *device = &callers[CALLER_DEVICE];
    struct kit_image image;
    struct kit_device dev;
    kit_image(&kit, "1.0.0", &image);
    kit_device(&kit, "aabbccddeeff", &image, "1.0.0", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    (void)snprintf(device->name, 32, "device");
    (void)snprintf(device->bearer, sizeof(device->bearer), "%s.%s", dev.id, dev.secret);
    device->roles = ROLE_DEVICE;
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

static long ask(const struct route *route, const struct caller *caller)
{
    char path[128];
    fill_path(route->path, path, sizeof(path));
    struct reply r;
    call(&kit.daemon,
         &(struct call){.method = method_name(route->method),
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

static void lets_in_exactly_whom_the_table_names(void **state)
{
    (void)state;
    unsigned count = 0;
    unsigned refused = 0;
    unsigned allowed = 0;
    const struct route *routes = protocols_routes(&count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_not_equal(routes[i].roles, 0);
        for (int k = 0; k < CALLER_COUNT; k++) {
            const struct caller *c = &callers[k];
            long status = ask(&routes[i], c);
            int may = (routes[i].roles & (c->roles | ROLE_ANYONE)) != 0;
            int denied = status == 401 || status == 403;
            if (may == denied) {
                fail_msg("%s %s as %s: %ld", method_name(routes[i].method), routes[i].path, c->name,
                         status);
            }
            /* a token that is known but too small is told so; others learn nothing */
            if (!may) {
                int known_token = c->roles >= ROLE_VIEWER && (routes[i].roles & ROLE_DEVICE) == 0;
                assert_int_equal(status, known_token ? 403 : 401);
            }
            refused += denied ? 1 : 0;
            allowed += denied ? 0 : 1;
        }
    }
    print_message("%u routes, %u calls refused, %u let in\n", count, refused, allowed);
    assert_true(refused > count && allowed > count);
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
        cmocka_unit_test(serves_nothing_that_is_not_in_the_table),
        cmocka_unit_test(asks_for_a_credential_with_401),
    };
    return cmocka_run_group_tests(tests, make_callers, release_kit);
}
