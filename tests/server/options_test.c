/* surefootd's command line: what it takes, and the sentence for what it does not. */
#include "server/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void takes_safe_defaults(void **state)
{
    (void)state;
    struct options o;
    assert_int_equal(options_parse(&o, 1, (const char *[]){"surefootd"}), 0);
    assert_int_equal(o.mode, MODE_RUN);
    assert_string_equal(o.data, "./surefoot-data");
    assert_string_equal(o.address, "127.0.0.1");
    assert_int_equal(o.port, 8443);
    assert_int_equal(o.host_count, 1);
    assert_string_equal(o.host[0], "localhost");
    assert_in_range(o.loops, 1, OPTIONS_LOOPS_MAX);
}

static void takes_values_as_next_word_or_behind_an_equals_sign(void **state)
{
    (void)state;
    struct options o;
    const char *argv[] = {"surefootd", "--data",    "/srv/s",   "--listen=[::]:0",
                          "--host",    "a.example", "--host=b", "--loops=3"};
    assert_int_equal(options_parse(&o, 8, argv), 0);
    assert_string_equal(o.data, "/srv/s");
    assert_string_equal(o.address, "::");
    assert_int_equal(o.port, 0);
    assert_int_equal(o.host_count, 2);
    assert_string_equal(o.host[1], "b");
    assert_int_equal(o.loops, 3);
}

static void refuses_with_a_sentence_that_names_the_mistake(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        const char *value;
        const char *said;
    } cases[] = {
        {"--listen", "8443", "'8443' is not ADDR:PORT"},
        {"--listen", "1.2.3.4:65536", "is not ADDR:PORT"},
        {"--listen", "1.2.3.4:+80", "is not ADDR:PORT"},
        {"--listen", "1.2.3.4: 80", "is not ADDR:PORT"},
        {"--listen", "1.2.3.4:", "is not ADDR:PORT"},
        {"--listen", "1.2.3:80", "is not ADDR:PORT"},
        {"--listen", "localhost:80", "is not ADDR:PORT"},
        {"--host", "https://x.example", "leave out https://"},
        {"--host", "", "is not a host name"},
        {"--data", "", "needs the name of a folder"},
        {"--loops", "0", "from 1 to 64"},
        {"--loops", "65", "from 1 to 64"},
        {"--loops", "two", "from 1 to 64"},
        {"--data", NULL, "--data needs a value"},
        {"--datas", "x", "'--datas' is not an option"},
        {"extra", NULL, "'extra' is not an option"},
        {"--help=1", NULL, "'--help=1' is not an option"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct options o;
        char word[64];
        char value[64];
        (void)snprintf(word, sizeof(word), "%s", cases[i].word);
        (void)snprintf(value, sizeof(value), "%s", cases[i].value ? cases[i].value : "");
        const char *argv[] = {"surefootd", word, value};
        assert_int_equal(options_parse(&o, cases[i].value ? 3 : 2, argv), -1);
        if (strstr(o.error, cases[i].said) == NULL) {
            fail_msg("case %zu: %s", i, o.error);
        }
    }
}

static void refuses_a_seventeenth_host(void **state)
{
    (void)state;
    const char *argv[1 + 17] = {"surefootd"};
    for (int i = 1; i <= 17; i++) {
        argv[i] = "--host=h";
    }
    struct options o;
    assert_int_equal(options_parse(&o, 17, argv), 0);
    assert_int_equal(options_parse(&o, 18, argv), -1);
    assert_non_null(strstr(o.error, "at most 16"));
}

static void refuses_an_address_longer_than_any(void **state)
{
    (void)state;
    char listen[160] = "--listen=";
    memset(listen + 9, '1', 120);
    (void)snprintf(listen + 129, 8, ":1");
    struct options o;
    assert_int_equal(options_parse(&o, 2, (const char *[]){"surefootd", listen}), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_safe_defaults),
        cmocka_unit_test(takes_values_as_next_word_or_behind_an_equals_sign),
        cmocka_unit_test(refuses_with_a_sentence_that_names_the_mistake),
        cmocka_unit_test(refuses_a_seventeenth_host),
        cmocka_unit_test(refuses_an_address_longer_than_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
