/* Progress: what the line says, and where it is shown. `script` (bsdutils) is the terminal. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/progress.h"
#include "base/uuid.h"
#include "tests/cli/run.h"
#include "tests/cli/served.h"
#include "tests/support/esp_image.h"

enum { IMAGE_SIZE = 49152 };

static int setup(void **state)
{
    return run_setup(state) != 0 || served_start() != 0 || served_make_lamp() != 0 ? -1 : 0;
}

static int teardown(void **state)
{
    int failed = served_stop();
    return run_teardown(state) | failed;
}

static void expect_line(const char *label, uint64_t done, uint64_t total, int64_t elapsed_ms,
                        const char *wanted)
{
    char line[PROGRESS_LINE_SIZE];
    progress_line(label, done, total, elapsed_ms, line);
    assert_string_equal(line, wanted);
}

static void the_line_has_bar_percentage_rate_and_time_left(void **state)
{
    (void)state;
    expect_line("a.bin", 0, 1000, 0, "a.bin [                    ]   0 %");
    expect_line("a.bin", 500, 1000, 100, "a.bin [##########          ]  50 %");
    expect_line("a.bin", 1 << 20, 4 << 20, 1000,
                "a.bin [#####               ]  25 %  1.0 MiB/s, 4 s left");
    expect_line("a.bin", 10240, 10240, 1000, "a.bin [####################] 100 %  10.0 KiB/s");
    expect_line("a.bin", 0, 10, 5000, "a.bin [                    ]   0 %");
    expect_line("a.bin", 0, 0, 0, "a.bin [####################] 100 %");
    expect_line("a.bin", 11, 10, 0, "a.bin [####################] 100 %");
    expect_line("/home/me/project/build/esp32c3/lamp.bin", 1, 2, 0,
                "...uild/esp32c3/lamp.bin [##########          ]  50 %");
    expect_line("x", UINT64_C(1) << 49, UINT64_C(1) << 50, 1024000,
                "x [##########          ]  50 %  524288.0 MiB/s, 1025 s left");
}

/* Publishes a new version in a terminal with this environment; what stood on the screen. */
static struct run *publish_on_terminal(const char *version, const char *environment,
                                       const char *options)
{
    static uint8_t image[IMAGE_SIZE];
    uint8_t vendor[UUID_SIZE];
    uint8_t class[UUID_SIZE];
    char command[2048];
    assert_int_equal(uuid_vendor("example.com", vendor), SF_OK);
    assert_int_equal(uuid_class(vendor, "lamp", "A", class), SF_OK);
    const struct esp_image_spec spec = {
        .size = IMAGE_SIZE, .class_uuid = class, .version = version};
    run_write(run_path("p.bin"), image, esp_image_build(&spec, image, sizeof image));
    snprintf(command, sizeof command,
             "%s " SF_BIN_DIR "/surefoot release publish %s -p lamp -k %s %s", environment,
             run_path("p.bin"), run_path("release.pem"), options);
    const char *const argv[] = {"script", "-qec", command, "/dev/null", NULL};
    return run_program(argv);
}

static void a_terminal_shows_an_upload(void **state)
{
    (void)state;
    struct run *r = publish_on_terminal("1.0.0", "TERM=xterm", "");
    assert_int_equal(r->status, 0);
    assert_non_null(strstr(r->out, "p.bin [####################] 100 %"));
    assert_non_null(strstr(r->out, "\033[K")); /* what was there is taken away */
    assert_null(strstr(r->out, "\033[3"));     /* no colours, whatever NO_COLOR says */
}

static void a_dumb_terminal_a_pipe_and_quiet_show_none(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        const char *environment;
        const char *options;
    } rows[] = {{"1.0.1", "TERM=dumb", ""},
                {"1.0.2", "env -u TERM", ""},
                {"1.0.3", "TERM=xterm", "--quiet"},
                {"1.0.4", "TERM=xterm", "2>&1 | cat"}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct run *r = publish_on_terminal(rows[i].version, rows[i].environment, rows[i].options);
        assert_int_equal(r->status, 0);
        assert_non_null(strstr(r->out, rows[i].version));
        assert_null(strstr(r->out, "%"));
        assert_null(strstr(r->out, "\033"));
    }
    struct run *again = publish_on_terminal("1.0.4", "TERM=xterm", "--quiet");
    assert_int_equal(again->status, 0);
    assert_null(strstr(again->out, "already"));
}

static void a_watch_tells_how_many_are_there_and_takes_it_away(void **state)
{
    (void)state;
    static const char command[] =
        "TERM=xterm " SF_BIN_DIR "/surefoot device watch --until 9.9 --interval 1 --timeout 1";
    const char *const argv[] = {"script", "-qec", command, "/dev/null", NULL};
    struct run *r = run_program(argv);
    assert_int_equal(r->status, 1);
    assert_non_null(strstr(r->out, "\r0 of 0 devices run 9.9\033[K"));
    assert_non_null(strstr(r->out, "\r\033[Ksurefoot: after 1 s not every device runs 9.9"));
    static const char program[] = SF_BIN_DIR "/surefoot";
    const char *const piped[] = {program,      "device", "watch",     "--until", "9.9",
                                 "--interval", "1",      "--timeout", "1",       NULL};
    r = run_program(piped);
    run_expect(r, 1, "surefoot: after 1 s not every device runs 9.9\n");
    assert_null(strstr(r->err, "0 of 0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_has_bar_percentage_rate_and_time_left),
        cmocka_unit_test(a_terminal_shows_an_upload),
        cmocka_unit_test(a_watch_tells_how_many_are_there_and_takes_it_away),
        cmocka_unit_test(a_dumb_terminal_a_pipe_and_quiet_show_none),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
