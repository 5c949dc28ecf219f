#include "server/http/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void handle(struct exchange *x, void *ctx)
{
    (void)x;
    (void)ctx;
}

static const struct route table[] = {
    {.method = METHOD_GET, .path = "/", .handle = handle},
    {.method = METHOD_GET, .path = "/a/:id", .handle = handle},
    {.method = METHOD_GET, .path = "/a/first", .handle = handle},
    {.method = METHOD_DELETE, .path = "/a/:id", .handle = handle},
    {.method = METHOD_GET, .path = "/a/:id/b/:other", .handle = handle},
    {.method = METHOD_GET, .path = "/:any/first/c", .handle = handle},
    {.method = METHOD_GET, .path = "/a/:id/c", .handle = handle},
    {.method = METHOD_POST, .path = "/post", .handle = handle},
};
static const char *const hosts[] = {"localhost", "::1"};
static const struct routes routes = {table, sizeof(table) / sizeof(table[0]), hosts, 2};

struct found {
    struct arena arena;
    struct exchange x;
    int status;
    char allow[ROUTES_ALLOW_SIZE];
};

static void find(struct found *f, enum method method, const char *raw)
{
    memset(f, 0, sizeof(*f));
    arena_init(&f->arena, 65536);
    f->x.arena = &f->arena;
    f->x.method = method;
    struct target target;
    const char *why = NULL;
    f->status = routes_target(&routes, &f->x, arena_strdup(&f->arena, raw), &target, &why);
    if (f->status == 0) {
        f->status = routes_find(&routes, &f->x, &target, f->allow);
    } else {
        assert_non_null(why);
    }
}

static void literals_win_over_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        int index; /* in the table, -404 = none */
    } rows[] = {
        {"/", 0},          {"/a/7", 1},     {"/a/first", 2}, {"/a/7/b/8", 4}, {"/a/first/c", 6},
        {"/z/first/c", 5}, {"/%61/7", 1},   {"/a/%2F", 1},   {"/a/", -404},   {"/a", -404},
        {"//a/7", -404},   {"/a/7/", -404}, {"/A/7", -404},  {"/a/7?x", 1},   {"/?x=/a/7", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct found f;
        find(&f, METHOD_GET, rows[i].raw);
        const int got = f.status == 0 ? (int)(f.x.route - table) : -f.status;
        if (got != rows[i].index) {
            fail_msg("%s gave %d", rows[i].raw, got);
        }
        arena_release(&f.arena);
    }
}

static void parameters_and_queries_are_decoded(void **state)
{
    (void)state;
    struct found f;
    find(&f, METHOD_GET, "/a/x%2Fy+z/b/%C3%A9?q=a+b%2B&empty=&bare&&%6e=1");
    assert_int_equal(f.status, 0);
    assert_string_equal(exchange_param(&f.x, "id"), "x/y+z");
    assert_string_equal(exchange_param(&f.x, "other"), "\xc3\xa9");
    assert_string_equal(exchange_query(&f.x, "q"), "a b+");
    assert_string_equal(exchange_query(&f.x, "empty"), "");
    assert_string_equal(exchange_query(&f.x, "bare"), "");
    assert_string_equal(exchange_query(&f.x, "n"), "1");
    assert_string_equal(f.x.path, "/a/x/y+z/b/\xc3\xa9");
    arena_release(&f.arena);
}

static void bad_targets_are_400(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "*",
        "a",
        "localhost:80",
        "http://localhost/a/7",
        "https://localhost",
        "https:///a/7",
        "https://x@localhost/a/7",
        "https://localhost@evil.example/a/7",
        "https://localhost:x/a/7",
        "https://[::1]x/a/7",
        "https://[::1/a/7",
        "/a/%",
        "/a/%4",
        "/a/%zz",
        "/a/%00",
        "/a/%0a",
        "/a/%ff",
        "/a/%C0%AF",
        "/a/%ED%A0%80",
        "/a/..",
        "/a/.",
        "/../a/7",
        "/a/%2e%2e",
        "/a/.%2E/b/8",
        "/a/..%2f..%2fadmin-token",
        "/a/%2F..",
        "/a/x%2F.",
        "/a/x\\y",
        "/a/%5c..%5c",
        "/a/%c0%ae%c0%ae",
        "/a/7?q=%00",
        "/a/7?q=1&q=2",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13",
        "/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct found f;
        find(&f, METHOD_GET, bad[i]);
        if (f.status != 400) {
            fail_msg("%s gave %d", bad[i], f.status);
        }
        arena_release(&f.arena);
    }
}

static void absolute_form_of_another_server_is_421(void **state)
{
    (void)state;
    static const char *const others[] = {"https://evil.example/a/7", "https://[::2]/a/7",
                                         "https://localhost.evil.example/a/7",
                                         "https://evil.example:8443/a/7"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct found f;
        find(&f, METHOD_GET, others[i]);
        if (f.status != 421) {
            fail_msg("%s gave %d", others[i], f.status);
        }
        arena_release(&f.arena);
    }
}

static void dots_and_slashes_that_are_data_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {"/a/...",           "/a/..x", "/a/.x",
                                       "/a/x%2F..y%2F...", "/a/%2F", "/a/1..2"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct found f;
        find(&f, METHOD_GET, good[i]);
        if (f.status != 0 || f.x.route != &table[1]) {
            fail_msg("%s gave %d", good[i], f.status);
        }
        arena_release(&f.arena);
    }
}

static void absolute_form_is_taken_for_our_hosts_only(void **state)
{
    (void)state;
    static const char *const good[] = {"https://localhost/a/7", "HTTPS://LocalHost:8443/a/7",
                                       "https://[::1]:8443/a/7"};
    for (size_t i = 0; i < 3; i++) {
        struct found f;
        find(&f, METHOD_GET, good[i]);
        assert_int_equal(f.status, 0);
        assert_ptr_equal(f.x.route, &table[1]);
        arena_release(&f.arena);
    }
}

static void another_method_is_405_with_the_allowed_ones(void **state)
{
    (void)state;
    struct found f;
    find(&f, METHOD_POST, "/a/7");
    assert_int_equal(f.status, 405);
    assert_string_equal(f.allow, "GET, HEAD, DELETE");
    arena_release(&f.arena);
    find(&f, METHOD_HEAD, "/post");
    assert_int_equal(f.status, 405);
    assert_string_equal(f.allow, "POST");
    arena_release(&f.arena);
    find(&f, METHOD_HEAD, "/a/7");
    assert_int_equal(f.status, 0);
    arena_release(&f.arena);
}

static void wrong_tables_are_named(void **state)
{
    (void)state;
    static const struct {
        struct route route;
        const char *wrong;
    } rows[] = {
        {{.path = "a", .handle = handle}, "start with"},
        {{.path = NULL, .handle = handle}, "start with"},
        {{.path = "/:a/:b/:c/:d/:e", .handle = handle}, "parameters"},
        {{.path = "/1/2/3/4/5/6/7/8/9/10/11/12/13", .handle = handle}, "segments"},
        {{.path = "/"}, "handler"},
        {{.method = METHOD_HEAD, .path = "/", .handle = handle}, "HEAD"},
        {{.path = "/", .handle = handle, .body = BODY_FILE}, "0 bytes"},
    };
    char text[256];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct routes r = {.route = &rows[i].route, .count = 1};
        const char *wrong = routes_check(&r, text, sizeof(text));
        assert_non_null(wrong);
        assert_non_null(strstr(wrong, rows[i].wrong));
    }
    const struct route twice[] = {table[0], table[0]};
    const struct routes r = {.route = twice, .count = 2};
    assert_non_null(strstr(routes_check(&r, text, sizeof(text)), "twice"));
    assert_null(routes_check(&routes, text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_win_over_parameters),
        cmocka_unit_test(parameters_and_queries_are_decoded),
        cmocka_unit_test(bad_targets_are_400),
        cmocka_unit_test(absolute_form_of_another_server_is_421),
        cmocka_unit_test(dots_and_slashes_that_are_data_are_taken),
        cmocka_unit_test(absolute_form_is_taken_for_our_hosts_only),
        cmocka_unit_test(another_method_is_405_with_the_allowed_ones),
        cmocka_unit_test(wrong_tables_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
