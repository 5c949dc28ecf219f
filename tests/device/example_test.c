/* The example of include/surefoot/surefoot.h: compiled, run, compared with what the header says. */
#include "surefoot/surefoot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"
#include "tests/support/files.h"

static struct rig *rig;
static jmp_buf out_of_the_loop;
enum { RESTARTED = 1, CONFIRMED };

static enum sf_self_test_result sensors_work(void *ctx)
{
    (void)ctx;
    return SF_SELF_TEST_PASS;
}

static uint64_t now_ms(void)
{
    return rig->now_ms;
}

static void sleep_until(uint64_t ms)
{
    rig->now_ms = ms > rig->now_ms ? ms : rig->now_ms;
    if (rig->server.outcome_count > 0) {
        longjmp(out_of_the_loop, CONFIRMED);
    }
}

static void http_run(struct sf_engine *engine, const struct sf_request *request)
{
    rig_request(rig, engine, request);
}

_Noreturn static void restart(void)
{
    longjmp(out_of_the_loop, RESTARTED);
}

void update_task(struct sf_config *config);

/* Quoted by the header. */
/* clang-format off */
/* example */
void update_task(struct sf_config *config)
{
    static union sf_sector_buffer buffer;
    static struct sf_engine engine;
    static const struct sf_self_test tests[] = {
        {.name = "sensors", .poll = sensors_work, .deadline_ms = 60000},
    };
    config->sector_buffer = &buffer;
    config->self_test = tests;
    config->self_test_count = 1;
    if (sf_boot_early(config) == SF_BOOT_REBOOT) {
        restart();
    }
    sf_engine_init(&engine, config, now_ms());
    for (;;) {
        struct sf_action a = sf_engine_next(&engine, now_ms());
        switch (a.kind) {
        case SF_ACTION_WAIT: sleep_until(a.wait_until_ms); break;
        case SF_ACTION_WORK: sf_engine_work(&engine, now_ms()); break;
        case SF_ACTION_REQUEST: http_run(&engine, &a.request); break;
        case SF_ACTION_REBOOT: restart();
        }
    }
}
/* example */
/* clang-format on */

static void the_example_updates_a_device(void **state)
{
    (void)state;
    rig = rig_new();
    rig_boot(rig, SF_RESET_POWER_ON);
    rig_target(rig, &rig->v2);
    const int first = setjmp(out_of_the_loop);
    if (first == 0) {
        update_task(&rig->config);
    }
    assert_int_equal(first, RESTARTED);
    rig_boot(rig, SF_RESET_SOFTWARE);
    const int second = setjmp(out_of_the_loop);
    if (second == 0) {
        update_task(&rig->config);
    }
    assert_int_equal(second, CONFIRMED);
    assert_int_equal(rig->server.outcome[0].error, SF_OK);
    rig_free(rig);
}

/* The lines between two marks; `prefix` is taken from the front of each. */
static size_t cut_lines(const char *text, const char *from, const char *to, const char *prefix,
                        char *out)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    const char *end = strstr(at, to);
    assert_non_null(end);
    size_t lines = 0;
    for (; at < end; lines++) {
        const char *eol = strchr(at, '\n');
        assert_non_null(eol);
        if (strncmp(at, prefix, strlen(prefix)) == 0) {
            at += strlen(prefix);
        }
        memcpy(out, at, (size_t)(eol + 1 - at));
        out += eol + 1 - at;
        at = eol + 1;
    }
    *out = '\0';
    return lines;
}

static void the_header_quotes_it_line_by_line(void **state)
{
    (void)state;
    static char header_lines[8192];
    static char test_lines[8192];
    size_t len;
    char *header = (char *)file_load(SF_SOURCE_DIR "/include/surefoot/surefoot.h", &len);
    char *test = (char *)file_load(SF_SOURCE_DIR "/tests/device/example_test.c", &len);
    const size_t lines =
        cut_lines(header, " *     void update_task", " *\n * Memory:", " *     ", header_lines);
    (void)cut_lines(test, "void update_task(struct sf_config *config)\n", "/* example */", "",
                    test_lines);
    assert_string_equal(header_lines, test_lines);
    assert_in_range(lines, 10, 25);
    free(header);
    free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_updates_a_device),
        cmocka_unit_test(the_header_quotes_it_line_by_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
