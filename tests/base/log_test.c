#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static int pipe_fd[2];

/* What was logged since the last call. */
static const char *logged(void)
{
    static char text[4096];
    assert_int_equal(write(pipe_fd[1], "", 1), 1); /* so that read() never blocks */
    const ssize_t n = read(pipe_fd[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    return text;
}

static int set_up(void **state)
{
    (void)state;
    if (pipe(pipe_fd) != 0) {
        return -1;
    }
    log_set_fd(pipe_fd[1]);
    log_set_level(LOG_LEVEL_INFO);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_fd(STDERR_FILENO);
    (void)close(pipe_fd[0]);
    (void)close(pipe_fd[1]);
    return 0;
}

static void a_line_has_time_level_message_and_fields(void **state)
{
    (void)state;
    log_info("listening", LOG_TEXT("address", "127.0.0.1:1"), LOG_INT("loops", -2));
    const char *line = logged();
    assert_int_equal(strncmp(line, "time=20", 7), 0);
    assert_non_null(
        strstr(line, "Z level=info msg=\"listening\" address=\"127.0.0.1:1\" loops=-2\n"));
}

static void input_can_not_forge_a_line_or_a_field(void **state)
{
    (void)state;
    log_warn("x", LOG_TEXT("path", "/a\" level=error\n\x01\xff\\"));
    const char *line = logged();
    assert_non_null(strstr(line, "path=\"/a\\\" level=error\\x0a\\x01\\xff\\\\\"\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void secrets_are_not_written(void **state)
{
    (void)state;
    log_error("x", LOG_TEXT("token", "s3cret"), LOG_TEXT("password", "s3cret"),
              LOG_TEXT("authorization", "Bearer s3cret"));
    const char *line = logged();
    assert_null(strstr(line, "s3cret"));
    assert_non_null(strstr(line, "token=*** password=*** authorization=***\n"));
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    log_debug("hidden");
    assert_string_equal(logged(), "");
    log_set_level(LOG_LEVEL_DEBUG);
    assert_int_equal(log_level(), LOG_LEVEL_DEBUG);
    log_debug("shown");
    assert_non_null(strstr(logged(), "level=debug msg=\"shown\"\n"));
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_info("x", LOG_TEXT("long", text), LOG_TEXT("after", "y"));
    const char *line = logged();
    assert_int_equal(strlen(line), 1024);
    assert_int_equal(line[1023], '\n');
}

/* The one line as JSON; jansson refuses what is left over and keys that stand twice. */
static json_t *logged_json(void)
{
    json_error_t why;
    const char *line = logged();
    json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL || strchr(line, '\n') != line + strlen(line) - 1) {
        fail_msg("%s: %s", why.text, line);
    }
    return root;
}

static void json_lines_are_json_whatever_they_hold(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_set_format(LOG_FORMAT_JSON);
    log_warn("x", LOG_TEXT("path", "/\"},{\"level\":\"error\n\x01\xff\\"), LOG_INT("n", -7),
             LOG_TEXT("token", "s3cret"));
    json_t *line = logged_json();
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warn");
    assert_int_equal(json_integer_value(json_object_get(line, "n")), -7);
    assert_string_equal(json_string_value(json_object_get(line, "path")),
                        "/\"},{\"level\":\"error\n\x01\u00ff\\");
    assert_string_equal(json_string_value(json_object_get(line, "token")), "***");
    json_decref(line);
    log_info("x", LOG_TEXT("long", text), LOG_TEXT("after", "y"));
    line = logged_json();
    assert_null(json_object_get(line, "long"));
    assert_string_equal(json_string_value(json_object_get(line, "after")), "y");
    json_decref(line);
    log_set_format(LOG_FORMAT_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_time_level_message_and_fields, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(input_can_not_forge_a_line_or_a_field, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_are_not_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_below_the_level_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_still_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_lines_are_json_whatever_they_hold, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
