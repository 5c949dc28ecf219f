/* The client against a scripted HTTPS server: whom it trusts, what it repeats, what it says. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/cli/https.h"
#include "tests/cli/run.h"
#include "tests/support/vectors.h"

enum { YEAR_S = 31557600 };

static const char who[] = "{\"name\":\"ci\",\"scope\":\"publisher\"}";
static const char *good;    /* folder of a good identity */
static const char *foreign; /* of another CA */
static const char *expired; /* whose certificate ended */
static const char *early;   /* whose certificate begins next year */
static const char *token_path;
static const char *ca_path;

static int setup(void **state)
{
    const int64_t now_s = (int64_t)time(NULL);
    if (run_setup(state) != 0) {
        return -1;
    }
    signal(SIGPIPE, SIG_IGN);
    good = run_path("good");
    foreign = run_path("foreign");
    expired = run_path("expired");
    early = run_path("early");
    https_make_identity(good, now_s);
    https_make_identity(foreign, now_s);
    https_make_identity(expired, now_s - YEAR_S);
    https_make_identity(early, now_s + YEAR_S);
    token_path = run_path("token");
    run_write(token_path, "sft_secret\n", 11);
    ca_path = run_path("good/ca.pem");
    return 0;
}

static struct run *log_in(const struct https *s, const char *ca)
{
    return ca ? run_surefoot("login", s->url, "--ca", ca, "--token-file", token_path, NULL)
              : run_surefoot("login", s->url, "--token-file", token_path, NULL);
}

/* Starts a server with this script and stores it as the one to talk to. */
static void start(struct https *s, const struct https_answer *script, unsigned count)
{
    https_start(s, good, script, count);
    run_expect(run_surefoot("login", s->url, "--no-check", "--ca", ca_path, "--token-file",
                            token_path, NULL),
               0, NULL);
}

/* ---- trust ---- */

static void login_with_the_right_ca_asks_who_one_is_and_stores_it_0600(void **state)
{
    (void)state;
    const struct https_answer script[] = {{200, NULL, who}};
    struct https s;
    struct stat st;
    https_start(&s, good, script, 1);
    struct run *r = log_in(&s, ca_path);
    https_stop(&s);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "as ci (publisher)"));
    assert_non_null(strstr(s.request[0], "GET /api/v1/whoami HTTP/1.1"));
    assert_non_null(strstr(s.request[0], "Authorization: Bearer sft_secret\r\n"));
    assert_int_equal(stat(run_path("surefoot/config.json"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_null(strstr(r->out, "sft_secret"));
    unlink(run_path("surefoot/config.json"));
}

/* A server that is not trusted gets no request, and nothing is stored. */
static void expect_untrusted(const char *dir, const char *ca, const char *sentence)
{
    const struct https_answer script[] = {{200, NULL, who}};
    struct https s;
    https_start(&s, dir, script, 1);
    struct run *r = log_in(&s, ca);
    https_stop(&s);
    run_expect(r, 3, sentence);
    assert_int_equal(s.request_count, 0);
    assert_int_not_equal(access(run_path("surefoot/config.json"), F_OK), 0);
}

static void an_expired_certificate_is_not_trusted(void **state)
{
    (void)state;
    expect_untrusted(expired, run_path("expired/ca.pem"),
                     "is not trusted: its certificate or its CA has expired");
}

static void a_certificate_that_is_not_valid_yet_is_not_trusted(void **state)
{
    (void)state;
    expect_untrusted(early, run_path("early/ca.pem"), "is not valid yet; look at this machine's");
}

static void a_foreign_ca_is_not_trusted(void **state)
{
    (void)state;
    expect_untrusted(good, run_path("foreign/ca.pem"),
                     "its certificate is from another CA than the one given at");
}

static void a_private_ca_that_was_not_given_is_not_trusted(void **state)
{
    (void)state;
    expect_untrusted(good, NULL, "give it with `surefoot login --ca FILE`");
}

static void a_name_that_is_not_in_the_certificate_is_not_trusted(void **state)
{
    (void)state;
    struct https s;
    https_start(&s, good, NULL, 0);
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1%s", strrchr(s.url, ':'));
    struct run *r = run_surefoot("login", url, "--ca", ca_path, "--token-file", token_path, NULL);
    https_stop(&s);
    run_expect(r, 3, "is not trusted: ");
    run_expect(r, 3, "127.0.0.1");
}

static void a_ca_file_that_is_missing_or_no_certificate_is_told(void **state)
{
    (void)state;
    run_expect(run_surefoot("login", "https://localhost:1", "--ca", run_path("none.pem"),
                            "--token-file", token_path, NULL),
               4, "No such file or directory");
    run_expect(run_surefoot("login", "https://localhost:1", "--ca", token_path, "--token-file",
                            token_path, NULL),
               1, "holds no certificate in PEM");
}

static void no_server_is_exit_3_and_no_configuration_exit_4(void **state)
{
    (void)state;
    struct https s;
    unlink(run_path("surefoot/config.json"));
    run_expect(run_surefoot("device", "list", NULL), 4, "`surefoot login` makes it");
    start(&s, NULL, 0);
    https_stop(&s);
    run_expect(run_surefoot("device", "list", NULL), 3, "cannot reach https://localhost:");
    run_write(run_path("broken.json"), "{", 1);
    run_expect(run_surefoot("device", "list", "--config", run_path("broken.json"), NULL), 4,
               "is damaged");
}

static void addresses_that_are_none_are_usage(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://localhost", "localhost:8443",
                                       "https://u:p@localhost", "https://localhost/x?y",
                                       "https://"};
    for (unsigned i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        run_expect(run_surefoot("login", urls[i], "--token-file", token_path, NULL), 2,
                   "is no server address");
    }
}

static void the_token_is_read_from_stdin_or_a_file_and_checked(void **state)
{
    (void)state;
    const struct https_answer script[] = {{200, NULL, who}};
    struct https s;
    const char *bad = run_path("bad-token");
    const char *config = run_path("other.json");
    https_start(&s, good, script, 1);
    struct run *r =
        run_surefoot_stdin(token_path, "login", s.url, "--ca", ca_path, "--config", config, NULL);
    https_stop(&s);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(s.request[0], "Bearer sft_secret\r\n"));
    run_expect(run_surefoot("login", "https://localhost:1", NULL), 4, "no API token on stdin");
    run_write(bad, "a b\n", 4);
    run_expect(run_surefoot("login", "https://localhost:1", "--token-file", bad, NULL), 1,
               "that is no API token");
    run_write(bad, "\n", 1);
    run_expect(run_surefoot("login", "https://localhost:1", "--token-file", bad, NULL), 1,
               "it is empty");
}

/* ---- answers ---- */

static void the_server_s_sentence_is_shown_as_it_is(void **state)
{
    (void)state;
    const struct https_answer script[] = {
        {422, NULL, "{\"error\":{\"code\":\"x\",\"message\":\"the lamp is off\"}}"},
        {404, NULL, "nothing"},
        {200, NULL, "not json"}};
    struct https s;
    start(&s, script, 3);
    run_expect(run_surefoot("product", "show", "lamp", NULL), 1, "surefoot: the lamp is off\n");
    run_expect(run_surefoot("product", "show", "lamp", NULL), 1, "answers HTTP 404");
    run_expect(run_surefoot("product", "show", "lamp", NULL), 3, "is not JSON");
    https_stop(&s);
}

static void a_refusal_names_the_request_for_the_server_s_log(void **state)
{
    (void)state;
    static const char no[] = "{\"error\":{\"code\":\"x\",\"message\":\"no\\u001b[2J\"}}";
    const struct https_answer script[] = {{422, "X-Request-Id: 7f3a-1\r\n", no},
                                          {404, "x-request-id:  7f3a-\x1b[2J\r\n", "nothing"}};
    struct https s;
    start(&s, script, 2);
    run_expect(run_surefoot("product", "show", "lamp", NULL), 1,
               "surefoot: no?[2J (request 7f3a-1)\n");
    run_expect(run_surefoot("product", "show", "lamp", NULL), 1,
               "answers HTTP 404 (request 7f3a-?[2J)\n");
    https_stop(&s);
}

static void an_unknown_name_brings_the_nearest_or_those_there_are(void **state)
{
    (void)state;
    static const char none[] = "{\"error\":{\"code\":\"no_such_product\",\"message\":"
                               "\"there is no product 'lmap'\"}}";
    static const char some[] = "{\"items\":[{\"name\":\"lamp\"},{\"name\":\"fan\"}]}";
    static const char others[] = "{\"items\":[{\"name\":\"door\"},{\"name\":\"fan\"}]}";
    const struct https_answer script[] = {{404, NULL, none}, {200, NULL, some},
                                          {404, NULL, none}, {200, NULL, others},
                                          {404, NULL, none}, {200, NULL, "{\"items\":[]}"},
                                          {404, NULL, none}, {500, NULL, "x"}};
    struct https s;
    start(&s, script, 8);
    run_expect(run_surefoot("product", "show", "lmap", NULL), 1,
               "there is no product 'lmap'; did you mean 'lamp'?\n");
    run_expect(run_surefoot("product", "show", "lmap", NULL), 1, "'lmap'; there are door, fan\n");
    run_expect(run_surefoot("product", "show", "lmap", NULL), 1,
               "'lmap'; there is none yet: `surefoot product create`\n");
    run_expect(run_surefoot("product", "show", "lmap", NULL), 1, "no product 'lmap'\n");
    https_stop(&s);
    assert_non_null(strstr(s.request[1], "GET /api/v1/products?limit=500 HTTP/1.1"));
}

static void a_busy_server_is_asked_again_and_a_failing_one_is_given_up(void **state)
{
    (void)state;
    static const char busy[] = "{\"error\":{\"code\":\"busy\",\"message\":\"try again later\"}}";
    const struct https_answer script[] = {{503, "Retry-After: 1\r\n", busy},
                                          {200, NULL, "{\"name\":\"lamp\"}"},
                                          {503, NULL, busy},
                                          {503, NULL, busy},
                                          {503, NULL, busy},
                                          {500, NULL, "x"}};
    struct https s;
    start(&s, script, 6);
    run_expect(run_surefoot("product", "show", "lamp", "--json", NULL), 0, NULL);
    run_expect(run_surefoot("product", "show", "lamp", NULL), 3, "try again later");
    run_expect(run_surefoot("product", "show", "lamp", NULL), 3, "answers HTTP 500");
    https_stop(&s);
    assert_int_equal(s.request_count, 6);
}

/* It may have been done: only the server can tell. */
static void a_post_whose_answer_was_lost_is_not_repeated(void **state)
{
    (void)state;
    const struct https_answer script[] = {{0, NULL, ""}, {200, NULL, "{}"}};
    struct https s;
    start(&s, script, 2);
    run_expect(run_surefoot("device", "revoke", "a", NULL), 3, "cannot reach");
    https_stop(&s);
    assert_int_equal(s.request_count, 1);
    start(&s, script, 2);
    run_expect(run_surefoot("device", "show", "a", "--json", NULL), 0, NULL);
    https_stop(&s);
    assert_int_equal(s.request_count, 2);
}

static void redirects_are_not_followed(void **state)
{
    (void)state;
    const struct https_answer script[] = {
        {302, "Location: https://localhost:1/api/v1/whoami\r\n", ""}};
    struct https s;
    start(&s, script, 1);
    run_expect(run_surefoot("product", "show", "lamp", NULL), 1, "answers HTTP 302");
    https_stop(&s);
}

static void names_are_escaped_in_paths_and_queries(void **state)
{
    (void)state;
    const struct https_answer script[] = {{200, NULL, "{}"},
                                          {200, NULL, "{\"items\":[],\"next\":null}"}};
    struct https s;
    start(&s, script, 2);
    run_expect(run_surefoot("device", "show", "a/../b?c", NULL), 0, NULL);
    run_expect(run_surefoot("device", "list", "--product", "a&b=c", "--limit", "7", NULL), 0, NULL);
    https_stop(&s);
    assert_non_null(strstr(s.request[0], "GET /api/v1/devices/a%2F..%2Fb%3Fc HTTP/1.1"));
    assert_non_null(strstr(s.request[1], "GET /api/v1/devices?product=a%26b%3Dc&limit=7 HTTP/1.1"));
}

static void a_list_of_several_pages_is_read_to_its_end(void **state)
{
    (void)state;
    const struct https_answer script[] = {
        {200, NULL, "{\"items\":[{\"id\":\"a\",\"version\":\"1.0.0\"}],\"next\":\"a\"}"},
        {200, NULL,
         "{\"items\":[{\"id\":\"b\\u001b[2J\",\"outcome\":{\"error\":\"CRASHED\"}}],"
         "\"next\":null}"}};
    struct https s;
    start(&s, script, 2);
    struct run *r = run_surefoot("device", "list", NULL);
    run_expect(r, 0, NULL);
    https_stop(&s);
    assert_non_null(strstr(s.request[1], "limit=200&after=a HTTP/1.1"));
    assert_string_equal(r->out,
                        "DEVICE  PRODUCT  HW  STATE  VERSION  TARGET  PHASE  OUTCOME  LAST SEEN\n"
                        "a       -        -   -      1.0.0    -       -      -        -\n"
                        "b?[2J   -        -   -      -        -       -      CRASHED  -\n");
}

static void a_history_says_each_thing_once(void **state)
{
    (void)state;
    const struct https_answer script[] = {
        {200, NULL,
         "{\"items\":[{\"id\":1,\"time\":0,\"event\":\"enrolled\",\"release\":null,\"text\":\"\"},"
         "{\"id\":2,\"time\":60,\"event\":\"offered\",\"release\":\"1.1.0\",\"text\":\"1.1.0\"},"
         "{\"id\":3,\"time\":61,\"event\":\"failed\",\"release\":\"1.1.0\",\"error\":\"X\","
         "\"meaning\":\"it broke\",\"text\":\"not installed: it broke\"},"
         "{\"id\":4,\"time\":62,\"event\":\"failed\",\"release\":\"1.1.0\",\"error\":\"X\","
         "\"meaning\":\"it broke\",\"text\":\"sensors\"}],\"next\":null}"}};
    struct https s;
    start(&s, script, 1);
    struct run *r = run_surefoot("device", "history", "a", NULL);
    run_expect(r, 0, NULL);
    https_stop(&s);
    assert_string_equal(r->out,
                        "TIME                  EVENT     RELEASE  ERROR  DETAIL\n"
                        "1970-01-01 00:00:00Z  enrolled  -        -      -\n"
                        "1970-01-01 00:01:00Z  offered   1.1.0    -      -\n"
                        "1970-01-01 00:01:01Z  failed    1.1.0    X      not installed: it broke\n"
                        "1970-01-01 00:01:02Z  failed    1.1.0    X      it broke: sensors\n");
}

static void watch_prints_changes_until_every_device_runs_the_version(void **state)
{
    (void)state;
    static const char one[] = "{\"items\":[{\"id\":\"a\",\"version\":\"1.0.0\",\"phase\":\"idle\"},"
                              "{\"id\":\"b\",\"version\":\"1.1.0\"}],\"next\":null}";
    static const char two[] =
        "{\"items\":[{\"id\":\"a\",\"version\":\"1.1.0\",\"phase\":\"trial\"},"
        "{\"id\":\"b\",\"version\":\"1.1.0\"}],\"next\":null}";
    const struct https_answer script[] = {{200, NULL, one}, {200, NULL, two}};
    struct https s;
    start(&s, script, 2);
    struct run *r = run_surefoot("device", "watch", "--interval", "1", "--until", "1.1.0",
                                 "--timeout", "60", NULL);
    https_stop(&s);
    run_expect(r, 0, NULL);
    assert_string_equal(r->out, "a: state -, version 1.0.0, target -, phase idle, outcome -\n"
                                "b: state -, version 1.1.0, target -, phase -, outcome -\n"
                                "a: state -, version 1.1.0, target -, phase trial, outcome -\n");
}

static void watch_ends_with_1_when_its_time_is_over(void **state)
{
    (void)state;
    static const char one[] = "{\"items\":[{\"id\":\"a\",\"version\":\"1.0.0\"}],\"next\":null}";
    const struct https_answer script[] = {{200, NULL, one}, {200, NULL, one}, {200, NULL, one}};
    struct https s;
    start(&s, script, 3);
    struct run *r = run_surefoot("device", "watch", "--interval", "1", "--until", "1.1.0",
                                 "--timeout", "1", NULL);
    https_stop(&s);
    run_expect(r, 1, "not every device runs 1.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_with_the_right_ca_asks_who_one_is_and_stores_it_0600),
        cmocka_unit_test(an_expired_certificate_is_not_trusted),
        cmocka_unit_test(a_certificate_that_is_not_valid_yet_is_not_trusted),
        cmocka_unit_test(a_foreign_ca_is_not_trusted),
        cmocka_unit_test(a_private_ca_that_was_not_given_is_not_trusted),
        cmocka_unit_test(a_name_that_is_not_in_the_certificate_is_not_trusted),
        cmocka_unit_test(a_ca_file_that_is_missing_or_no_certificate_is_told),
        cmocka_unit_test(no_server_is_exit_3_and_no_configuration_exit_4),
        cmocka_unit_test(addresses_that_are_none_are_usage),
        cmocka_unit_test(the_token_is_read_from_stdin_or_a_file_and_checked),
        cmocka_unit_test(the_server_s_sentence_is_shown_as_it_is),
        cmocka_unit_test(a_refusal_names_the_request_for_the_server_s_log),
        cmocka_unit_test(an_unknown_name_brings_the_nearest_or_those_there_are),
        cmocka_unit_test(a_busy_server_is_asked_again_and_a_failing_one_is_given_up),
        cmocka_unit_test(a_post_whose_answer_was_lost_is_not_repeated),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(names_are_escaped_in_paths_and_queries),
        cmocka_unit_test(a_list_of_several_pages_is_read_to_its_end),
        cmocka_unit_test(a_history_says_each_thing_once),
        cmocka_unit_test(watch_prints_changes_until_every_device_runs_the_version),
        cmocka_unit_test(watch_ends_with_1_when_its_time_is_over),
    };
    return cmocka_run_group_tests(tests, setup, run_teardown);
}
