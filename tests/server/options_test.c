/* surefootd's settings: what flags, environment and file may say, which of them counts, and the
 * sentence for what is wrong. */
#include "server/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

static const char *const no_environment[] = {NULL};

static int load(struct options *o, int argc, const char *const argv[])
{
    return options_load(o, argc, argv, no_environment);
}

static void takes_safe_defaults(void **state)
{
    (void)state;
    struct options o;
    assert_int_equal(load(&o, 1, (const char *[]){"surefootd"}), 0);
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
    assert_int_equal(load(&o, 8, argv), 0);
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
        {"--data", "", "needs the name of a file or folder"},
        {"--loops", "0", "from 1 to 64"},
        {"--loops", "65", "from 1 to 64"},
        {"--loops", "two", "from 1 to 64"},
        {"--data", NULL, "--data needs a value"},
        {"--datas", "x", "'--datas' is not an option of surefootd; did you mean 'data'?"},
        {"--zzzzzz", "x", "surefootd --help lists them"},
        {"--log-level", "loud", "'loud' is none of: debug, info, warn, error"},
        {"--keep-uploads", "0", "is not a number from 1 to 36500"},
        {"--keep-audit", "99999999999", "is not a number from 0"},
        {"--quota", "20X", "'20X' is not a size"},
        {"--quota", "9999999999T", "is not a size"},
        {"--quota", "G", "is not a size"},
        {"--config", "", "--config needs the name of a file"},
        {"--config", "/nonexistent.conf", "'/nonexistent.conf': there is no such file"},
        {"--config", "/tmp", "it is not a file"},
        {"--address-connections", "20000", "is more than max-connections, 10000"},
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
        assert_int_equal(load(&o, cases[i].value ? 3 : 2, argv), -1);
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
    assert_int_equal(load(&o, 17, argv), 0);
    assert_int_equal(load(&o, 18, argv), -1);
    assert_non_null(strstr(o.error, "at most 16"));
}

static void refuses_an_address_longer_than_any(void **state)
{
    (void)state;
    char listen[160] = "--listen=";
    memset(listen + 9, '1', 120);
    (void)snprintf(listen + 129, 8, ":1");
    struct options o;
    assert_int_equal(load(&o, 2, (const char *[]){"surefootd", listen}), -1);
}

/* A file beside nothing else; the caller unlinks it. */
static void write_file(char path[64], const char *text, size_t len)
{
    (void)snprintf(path, 64, "/tmp/surefoot-options-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    (void)close(fd);
}

static void flag_counts_before_environment_before_file_before_default(void **state)
{
    (void)state;
    static const char text[] = "# all of it\n"
                               "loops = 2\n"
                               "drain-time = 3\n"
                               "log-level = warn # quiet\n"
                               "host = file.example\n";
    char path[64];
    write_file(path, text, sizeof(text) - 1);
    const char *argv[] = {"surefootd", "--config", path, "--loops", "5", "--loops=6"};
    const char *const environment[] = {"HOME=/",
                                       "SUREFOOTD_LOOPS=4",
                                       "SUREFOOTD_DRAIN_TIME=7",
                                       "SUREFOOTD_DATA=",
                                       "SUREFOOTD_HOST=a.example,b.example",
                                       NULL};
    struct options o;
    assert_int_equal(options_load(&o, 6, argv, environment), 0);
    assert_int_equal(o.loops, 6);
    assert_int_equal(o.drain_s, 7);
    assert_int_equal(o.log_level, 2);
    assert_int_equal(o.host_count, 2); /* the whole list is one value */
    assert_string_equal(o.host[1], "b.example");
    assert_string_equal(o.data, "./surefoot-data"); /* an empty variable is none */
    assert_int_equal(o.keep_audit_days, 1100);
    (void)unlink(path);
}

static void checks_what_does_not_count(void **state)
{
    (void)state;
    struct options o;
    const char *argv[] = {"surefootd", "--loops", "5"};
    const char *const wrong[] = {"SUREFOOTD_LOOPS=many", NULL};
    assert_int_equal(options_load(&o, 3, argv, wrong), -1);
    assert_non_null(strstr(o.error, "SUREFOOTD_LOOPS 'many' is not a number"));
    const char *const unknown[] = {"SUREFOOTD_LISEN=1.2.3.4:1", NULL};
    assert_int_equal(options_load(&o, 3, argv, unknown), -1);
    assert_non_null(strstr(o.error, "SUREFOOTD_LISEN is not a setting"));
    assert_non_null(strstr(o.error, "did you mean 'listen'?"));
}

static void refuses_a_bad_file_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"\n# x\nloops\n", ":3: this line is not 'key = value'"},
        {"loops = \n", ":1: there is no value after the '='"},
        {"= 2\n", ":1: there is no key before the '='"},
        {"loops = \"2\"", ":1: a value stands without quotes"},
        {"\nloops = 2\nloops = 3\n", ":3: loops stands in line 2 already"},
        {"loops = 0\n", ":1: loops '0' is not a number from 1 to 64"},
        {"lisen = 1\n", ":1: 'lisen' is not a setting of surefootd; did you mean 'listen'?"},
        {"Loops = 2\n", ":1: 'Loops' is not a setting"},
        {"loops = 2\x01\n", ":1: this line has a control character"},
        {"host = a b/c\n", ":1: host 'a b/c' is not a host name"},
        {"config = x\n", ":1: 'config' is not a setting"},
        {"token = x\n", ":1: 'token' is not a setting"}, /* a secret has no place here */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[64];
        struct options o;
        write_file(path, cases[i].text, strlen(cases[i].text));
        assert_int_equal(load(&o, 3, (const char *[]){"surefootd", "--config", path}), -1);
        if (strstr(o.error, cases[i].said) == NULL || strstr(o.error, path) == NULL) {
            fail_msg("case %zu: %s", i, o.error);
        }
        (void)unlink(path);
    }
}

static void refuses_a_file_beyond_its_bounds(void **state)
{
    (void)state;
    static char text[70000];
    char path[64];
    struct options o;
    memset(text, '#', sizeof(text));
    write_file(path, text, sizeof(text));
    assert_int_equal(load(&o, 3, (const char *[]){"surefootd", "--config", path}), -1);
    assert_non_null(strstr(o.error, "larger than 64 KiB"));
    (void)unlink(path);

    (void)snprintf(text, sizeof(text), "data = /");
    memset(text + 8, 'a', 1000);
    write_file(path, text, 1008);
    assert_int_equal(load(&o, 3, (const char *[]){"surefootd", "--config", path}), -1);
    assert_non_null(strstr(o.error, ":1: the value is longer than 1000"));
    (void)unlink(path);

    size_t len = 0; /* each host fits, all of them do not */
    for (int i = 0; i < 20; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "host = h%d\n", i);
    }
    write_file(path, text, len);
    assert_int_equal(load(&o, 3, (const char *[]){"surefootd", "--config", path}), -1);
    assert_non_null(strstr(o.error, ":17: host 'h16' is one too many"));
    (void)unlink(path);
}

static void reads_the_file_in_the_data_folder_unless_told_otherwise(void **state)
{
    (void)state;
    char dir[] = "/tmp/surefoot-options-XXXXXX";
    char path[96];
    struct options o;
    assert_non_null(mkdtemp(dir));
    const char *argv[] = {"surefootd", "--data", dir};
    assert_int_equal(load(&o, 3, argv), 0);
    assert_null(o.config);
    (void)snprintf(path, sizeof(path), "%s/surefootd.conf", dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("loops = 9\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(load(&o, 3, argv), 0);
    assert_int_equal(o.loops, 9);
    assert_string_equal(o.config, path);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void prints_a_file_that_means_the_same(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t len = 0;
    char path[64];
    static struct options first;
    static struct options again;
    const char *argv[] = {"surefootd", "--host",    "a.example",
                          "--host",    "b.example", "--keep-audit=5"};
    assert_int_equal(load(&first, 6, argv), 0);
    FILE *out = open_memstream(&printed, &len);
    assert_non_null(out);
    options_print_config(&first, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(printed, "host = a.example, b.example  # --host\n"));
    assert_non_null(strstr(printed, "drain-time = 10  # default\n"));
    write_file(path, printed, len);
    free(printed);
    assert_int_equal(load(&again, 3, (const char *[]){"surefootd", "--config", path}), 0);
    unsigned index = 0;
    assert_null(options_needs_restart(&first, &again, &index));
    assert_int_equal(again.keep_audit_days, 5);
    (void)unlink(path);
}

static void names_what_needs_a_restart(void **state)
{
    (void)state;
    static struct options now;
    static struct options next;
    unsigned index = 0;
    assert_int_equal(load(&now, 1, (const char *[]){"surefootd"}), 0);
    const char *argv[] = {"surefootd", "--listen=1.2.3.4:5", "--keep-audit=1", "--host=x.example"};
    assert_int_equal(load(&next, 4, argv), 0);
    assert_string_equal(options_needs_restart(&now, &next, &index), "listen");
    assert_string_equal(options_needs_restart(&now, &next, &index), "host");
    assert_null(options_needs_restart(&now, &next, &index));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_safe_defaults),
        cmocka_unit_test(takes_values_as_next_word_or_behind_an_equals_sign),
        cmocka_unit_test(refuses_with_a_sentence_that_names_the_mistake),
        cmocka_unit_test(refuses_a_seventeenth_host),
        cmocka_unit_test(refuses_an_address_longer_than_any),
        cmocka_unit_test(flag_counts_before_environment_before_file_before_default),
        cmocka_unit_test(checks_what_does_not_count),
        cmocka_unit_test(refuses_a_bad_file_with_its_line),
        cmocka_unit_test(refuses_a_file_beyond_its_bounds),
        cmocka_unit_test(reads_the_file_in_the_data_folder_unless_told_otherwise),
        cmocka_unit_test(prints_a_file_that_means_the_same),
        cmocka_unit_test(names_what_needs_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
