/* What surefootd writes into its log about requests: enough to find each one, nothing that is a
 * secret, and nothing that a client could forge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "tests/server/daemon.h"

struct world {
    struct daemon d;
    char log[DAEMON_PATH + 32];
    char text[65536]; /* of the log */
};

static void open_world(struct world *w, const char *format)
{
    memset(w, 0, sizeof(*w));
    daemon_init(&w->d);
    (void)snprintf(w->log, sizeof(w->log), "%s/log", w->d.dir);
    w->d.log = w->log;
    w->d.extra[0] = "--access-log=on";
    w->d.extra[1] = "--log-format";
    w->d.extra[2] = format;
    daemon_start(&w->d);
}

static void read_log(struct world *w)
{
    FILE *file = fopen(w->log, "re");
    assert_non_null(file);
    const size_t len = fread(w->text, 1, sizeof(w->text) - 1, file);
    w->text[len] = '\0';
    (void)fclose(file);
}

/* Asks, and gives the answer's id. */
static void ask(const struct world *w, const struct call *c, long status, char id[32])
{
    struct reply r;
    call(&w->d, c, &r);
    assert_int_equal(r.curl, CURLE_OK);
    assert_int_equal(r.status, status);
    const char *at = strstr(r.header, "X-Request-Id: ");
    assert_non_null(at);
    at += strlen("X-Request-Id: ");
    (void)snprintf(id, 32, "%.*s", (int)strcspn(at, "\r\n"), at);
    reply_release(&r);
}

/* The one line of the log that has the id, in a static buffer. */
static const char *line_of(const struct world *w, const char *id)
{
    static char line[1100];
    const char *at = strstr(w->text, id);
    assert_non_null(at);
    assert_null(strstr(at + 1, id));
    while (at > w->text && at[-1] != '\n') {
        at--;
    }
    (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
    return line;
}

static void expect_in(const char *line, const char *part)
{
    if (strstr(line, part) == NULL) {
        fail_msg("no '%s' in: %s", part, line);
    }
}

static void a_request_is_found_by_the_id_of_its_answer(void **state)
{
    (void)state;
    struct world w;
    char id[32];
    open_world(&w, "text");
    ask(&w, &(struct call){.path = "/api/v1/products/lamp", .bearer = w.d.admin}, 404, id);
    read_log(&w);
    const char *line = line_of(&w, id);
    expect_in(line, "level=info msg=\"request\" request=\"");
    expect_in(line, " peer=\"127.0.0.1\" who=\"");
    expect_in(line, " method=\"GET\" route=\"/api/v1/products/:product\" status=404 bytes=");
    expect_in(line, " ms=");
    daemon_release(&w.d);
}

static void no_secret_and_no_path_gets_into_the_log(void **state)
{
    (void)state;
    struct world w;
    char id[32];
    open_world(&w, "text");
    ask(&w, &(struct call){.path = "/ota/lamp/t/0123456789abcdefSECRET/firmware.bin"}, 404, id);
    ask(&w, &(struct call){.path = "/api/v1/products", .bearer = "sfa_SECRET"}, 401, id);
    ask(&w, &(struct call){.path = "/api/v1/products", .bearer = w.d.admin}, 200, id);
    read_log(&w);
    assert_null(strstr(w.text, "SECRET"));
    assert_null(strstr(w.text, w.d.admin));
    assert_null(strstr(w.text, "/ota/lamp"));
    expect_in(w.text, "route=\"/ota/:product/t/:token/firmware.bin\"");
    daemon_release(&w.d);
}

static void a_client_can_not_forge_a_line(void **state)
{
    (void)state;
    struct world w;
    char id[32];
    open_world(&w, "text");
    ask(&w, &(struct call){.path = "/api/v1/products/a%22%20level=error%20msg=%22owned"}, 401, id);
    ask(&w, &(struct call){.path = "/nothing%22%20level=error%20msg=%22owned"}, 404, id);
    read_log(&w);
    assert_null(strstr(w.text, "owned"));
    assert_null(strstr(w.text, "level=error"));
    expect_in(line_of(&w, id), "route=\"none\"");
    daemon_release(&w.d);
}

static void lines_are_json_when_wanted(void **state)
{
    (void)state;
    struct world w;
    char id[32];
    open_world(&w, "json");
    ask(&w, &(struct call){.path = "/healthz"}, 200, id);
    assert_int_equal(daemon_stop(&w.d), 0);
    read_log(&w);
    unsigned lines = 0;
    json_t *found = NULL;
    for (char *line = w.text; *line != '\0'; lines++) {
        const size_t len = strcspn(line, "\n");
        json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(root);
        const char *request = json_string_value(json_object_get(root, "request"));
        if (request != NULL && strcmp(request, id) == 0) {
            found = json_incref(root);
        }
        json_decref(root);
        line += len + (line[len] == '\n');
    }
    assert_true(lines >= 2); /* it, and the end */
    assert_int_equal(json_integer_value(json_object_get(found, "status")), 200);
    json_decref(found);
    daemon_release(&w.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_found_by_the_id_of_its_answer),
        cmocka_unit_test(no_secret_and_no_path_gets_into_the_log),
        cmocka_unit_test(a_client_can_not_forge_a_line),
        cmocka_unit_test(lines_are_json_when_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
