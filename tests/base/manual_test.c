/* Man pages: what is quoted, and what becomes of the text of --help. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/manual.h"

static char *text;
static size_t length;

static int setup(void **state)
{
    (void)state;
    return setenv("SOURCE_DATE_EPOCH", "86400", 1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static FILE *begin(void)
{
    free(text);
    text = NULL;
    FILE *to = open_memstream(&text, &length);
    assert_non_null(to);
    return to;
}

static void expect(FILE *to, const char *wanted)
{
    assert_int_equal(fclose(to), 0);
    assert_string_equal(text, wanted);
}

static void no_character_of_a_text_is_a_command(void **state)
{
    (void)state;
    static const char wild[] = ".SH it's `a\\b` -x";
    FILE *to = begin();
    manual_text(to, wild, strlen(wild));
    expect(to, "\\&.SH it\\(aqs \\(gaa\\eb\\(ga \\-x");
    to = begin();
    manual_bold(to, "'--x", 4);
    expect(to, "\\fB\\&\\(aq\\-\\-x\\fR");
}

static void a_page_begins_with_its_day_and_its_name(void **state)
{
    (void)state;
    static const struct manual manual = {"lamp-tool", 1, "a tool for lamps", "1.2.3"};
    FILE *to = begin();
    manual_begin(to, &manual);
    expect(to, ".TH LAMP-TOOL 1 1970-01-02 \"Surefoot 1.2.3\" \"Surefoot Manual\"\n.SH NAME\n"
               "lamp\\-tool \\- a tool for lamps\n");
}

static void a_day_that_is_none_is_today(void **state)
{
    (void)state;
    char date[MANUAL_DATE_SIZE];
    /* NOLINTBEGIN(concurrency-mt-unsafe): one thread */
    setenv("SOURCE_DATE_EPOCH", "yesterday", 1);
    manual_date(date);
    setenv("SOURCE_DATE_EPOCH", "86400", 1);
    /* NOLINTEND(concurrency-mt-unsafe) */
    assert_string_not_equal(date, "1970-01-01");
    assert_int_equal(strlen(date), 10);
    manual_date(date);
    assert_string_equal(date, "1970-01-02");
}

static void lines_that_are_indented_stand_as_they_are(void **state)
{
    (void)state;
    FILE *to = begin();
    manual_prose(to, "One\ntwo.\n  a  b\n    c\n\nThree.\n");
    expect(to, "One\ntwo.\n.RS 4\n.nf\na  b\n  c\n.fi\n.RE\n.PP\nThree.\n");
}

static void help_becomes_the_sections_of_a_page(void **state)
{
    (void)state;
    static const struct manual manual = {"tool", 8, "does it", "1"};
    static const char help[] = "tool: does it\n\n"
                               "usage: tool a [options]\n"
                               "       tool b\n\n"
                               "It does it well.\n\n"
                               "options:\n"
                               "  --data DIR    where it is\n"
                               "                (default .)\n"
                               "more\n"
                               "  --help  this\n\n"
                               "examples:\n"
                               "  tool a \\\n"
                               "      --data x\n\n"
                               "One more thing.\n\n"
                               "exit status: 0 done\n";
    FILE *to = begin();
    manual_of_help(to, &manual, help);
    expect(to, ".TH TOOL 8 1970-01-02 \"Surefoot 1\" \"Surefoot Manual\"\n.SH NAME\n"
               "tool \\- does it\n"
               ".SH SYNOPSIS\ntool a [options]\n.br\ntool b\n"
               ".SH DESCRIPTION\nIt does it well.\n"
               ".SH OPTIONS\n.TP\n\\fB\\-\\-data DIR\\fR\nwhere it is\n(default .)\n"
               ".SS more\n.TP\n\\fB\\-\\-help\\fR\nthis\n"
               ".SH EXAMPLES\n.RS 4\n.nf\ntool a \\e\n    \\-\\-data x\n.fi\n.RE\n"
               ".SH NOTES\nOne more thing.\n"
               ".SH EXIT STATUS\n0 done\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_character_of_a_text_is_a_command),
        cmocka_unit_test(a_page_begins_with_its_day_and_its_name),
        cmocka_unit_test(a_day_that_is_none_is_today),
        cmocka_unit_test(lines_that_are_indented_stand_as_they_are),
        cmocka_unit_test(help_becomes_the_sections_of_a_page),
    };
    int failed = cmocka_run_group_tests(tests, setup, NULL);
    free(text);
    return failed;
}
