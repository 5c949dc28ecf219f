/* The command line itself: help, usage errors, exit statuses. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "tests/cli/run.h"

/* Every command there is: a new one must be added here too, which the count below sees to. */
static const char *const commands[][2] = {
    {"key", "new"},         {"key", "show"},          {"image", "info"},
    {"image", "verify"},    {"image", "verify-sbv2"}, {"image", "from-elf"},
    {"flash", "info"},      {"flash", "boot"},        {"manifest", "sign"},
    {"manifest", "verify"}, {"manifest", "show"},     {"trust", "init"},
    {"trust", "sign"},      {"trust", "merge"},       {"trust", "rotate"},
    {"trust", "revoke"},    {"trust", "show"},        {"trust", "verify"},
    {"trust", "upload"},    {"token", "new"},         {"token", "list"},
    {"token", "revoke"},    {"product", "create"},    {"product", "list"},
    {"product", "show"},    {"product", "set"},       {"product", "enrol-token"},
    {"product", "target"},  {"release", "export"},    {"release", "publish"},
    {"release", "list"},    {"release", "show"},      {"release", "target"},
    {"device", "list"},     {"device", "show"},       {"device", "history"},
    {"device", "watch"},    {"device", "target"},     {"device", "approve"},
    {"device", "revoke"},   {"device", "reject"},     {"device", "clear-alarms"},
};
static const char *const groups[] = {"key",   "image",   "flash",   "manifest", "login",
                                     "token", "product", "release", "device",   "trust"};

enum {
    COMMANDS = sizeof commands / sizeof commands[0],
    GROUPS = sizeof groups / sizeof groups[0],
};

static void expect_help(const struct run *r, const char *name)
{
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "Usage: surefoot"));
    assert_non_null(strstr(r->out, name));
    assert_non_null(strstr(r->out, "Examples:\n  surefoot "));
    assert_non_null(strstr(r->out, "Exit status:"));
}

static void every_command_has_help_with_examples(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COMMANDS; i++) {
        expect_help(run_surefoot(commands[i][0], commands[i][1], "--help", NULL), commands[i][1]);
        expect_help(run_surefoot("help", commands[i][0], commands[i][1], NULL), commands[i][1]);
    }
}

static void every_group_has_help_that_lists_its_commands(void **state)
{
    (void)state;
    unsigned listed = 0;
    for (unsigned i = 0; i < GROUPS; i++) {
        expect_help(run_surefoot(groups[i], "--help", NULL), groups[i]);
        struct run *r = run_surefoot("help", groups[i], NULL);
        expect_help(r, groups[i]);
        const char *at = strstr(r->out, "Commands:\n");
        for (at = at ? strchr(at, '\n') + 1 : ""; *at == ' '; at = strchr(at, '\n') + 1) {
            listed++;
        }
    }
    assert_int_equal(listed, COMMANDS);
}

static void the_top_level_help_names_every_group(void **state)
{
    (void)state;
    struct run *r = run_surefoot("--help", NULL);
    expect_help(r, "surefoot");
    for (unsigned i = 0; i < GROUPS; i++) {
        assert_non_null(strstr(r->out, groups[i]));
    }
    r = run_surefoot("--version", NULL);
    run_expect(r, 0, NULL);
    assert_memory_equal(r->out, "surefoot 0.", 11);
}

static void a_wrong_command_line_is_exit_2_with_a_sentence(void **state)
{
    (void)state;
    const char *const alone[] = {SF_BIN_DIR "/surefoot", NULL};
    run_expect(run_program(alone), 2, "Usage: surefoot");
    run_expect(run_surefoot("bogus", NULL), 2, "there is no command 'bogus'");
    run_expect(run_surefoot("image", NULL), 2, "Usage: surefoot image");
    run_expect(run_surefoot("image", "bogus", NULL), 2, "there is no command 'image bogus'");
    run_expect(run_surefoot("help", "bogus", NULL), 2, "there is no command 'bogus'");
    run_expect(run_surefoot("help", "image", "bogus", NULL), 2, "no command 'image bogus'");
    run_expect(run_surefoot("image", "info", NULL), 2, "something is missing: wanted IMAGE");
    run_expect(run_surefoot("image", "info", "a", "b", NULL), 2, "'b' is one too many");
    run_expect(run_surefoot("image", "info", "--bogus", "a", NULL), 2, "unknown option '--bogus'");
    run_expect(run_surefoot("image", "verify", "a", "--chip", NULL), 2, "wants a value");
    run_expect(run_surefoot("flash", "boot", "x", "--chip-rev", "1x", NULL), 4, "cannot read 'x'");
    run_expect(run_surefoot("image", "verify", "--chip", "esp32c3", "--chip", "esp32", "a", NULL),
               2, "--chip is given twice");
}

static void what_is_misspelt_brings_what_was_meant(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        const char *meant;
    } rows[] = {
        {{"devcie", "list"}, "there is no command 'devcie'; did you mean 'surefoot device'?"},
        {{"publish"}, "did you mean 'surefoot release publish'?"},
        {{"product", "tagret"}, "did you mean 'surefoot product target'?"},
        {{"help", "realease"}, "did you mean 'surefoot release'?"},
        {{"help", "image", "inof"}, "did you mean 'surefoot image info'?"},
        {{"--json", "device", "list"}, "options come behind it"},
        {{"image", "verify", "--chpi", "a"}, "unknown option '--chpi'; did you mean '--chip'?"},
        {{"image", "verify", "--chpi=esp32", "a"}, "did you mean '--chip'?"},
        {{"device", "list", "--confg", "x"}, "did you mean '--config'?"},
        {{"image", "info", "--json=1", "a"}, "option '--json' takes no value"},
        {{"image", "info", "-x", "a"}, "unknown option '-x'"},
        {{"image", "info", "--config", "a"}, "unknown option '--config'; see --help"},
        {{"frobnicate"}, "there is no command 'frobnicate'; see surefoot help"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const *w = rows[i].words;
        run_expect(run_surefoot(w[0], w[1], w[2], w[3], NULL), 2, rows[i].meant);
    }
}

static void nothing_is_printed_on_stdout_when_the_command_line_is_wrong(void **state)
{
    (void)state;
    assert_string_equal(run_surefoot("image", "info", "--bogus", NULL)->out, "");
    assert_string_equal(run_surefoot("key", NULL)->out, "");
}

static void a_full_disk_behind_stdout_is_exit_4(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", SF_BIN_DIR "/surefoot --help > /dev/full", NULL};
    run_expect(run_program(argv), CLI_LOCAL, "cannot write to stdout");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_has_help_with_examples),
        cmocka_unit_test(every_group_has_help_that_lists_its_commands),
        cmocka_unit_test(the_top_level_help_names_every_group),
        cmocka_unit_test(a_wrong_command_line_is_exit_2_with_a_sentence),
        cmocka_unit_test(what_is_misspelt_brings_what_was_meant),
        cmocka_unit_test(nothing_is_printed_on_stdout_when_the_command_line_is_wrong),
        cmocka_unit_test(a_full_disk_behind_stdout_is_exit_4),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
