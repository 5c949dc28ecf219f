/* surefoot token against the real surefootd: what each scope may do, and what a refusal says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/uuid.h"
#include "tests/cli/run.h"
#include "tests/cli/served.h"
#include "tests/support/esp_image.h"
#include "tests/support/vectors.h"

enum { IMAGE_SIZE = 8192 };

static const char *const scopes[] = {"viewer", "publisher", "operator", "approver", "admin"};
enum { SCOPES = sizeof scopes / sizeof scopes[0] };

static int setup(void **state)
{
    return run_setup(state) != 0 || served_start() != 0 || served_make_lamp() != 0 ? -1 : 0;
}

static int teardown(void **state)
{
    int failed = served_stop();
    return run_teardown(state) | failed;
}

static const char *image_path(const char *version)
{
    static uint8_t image[IMAGE_SIZE];
    uint8_t vendor[UUID_SIZE];
    uint8_t class[UUID_SIZE];
    const char *path = run_path("t.bin");
    assert_int_equal(uuid_vendor("example.com", vendor), SF_OK);
    assert_int_equal(uuid_class(vendor, "lamp", "A", class), SF_OK);
    const struct esp_image_spec spec = {
        .size = IMAGE_SIZE, .class_uuid = class, .version = version};
    run_write(path, image, esp_image_build(&spec, image, sizeof image));
    return path;
}

/* "ci.token" and "ci.json" in the folder, logged in with a new token 'ci'. */
static const char *log_in_as(const char *name, const char *scope)
{
    char file[64];
    snprintf(file, sizeof file, "%s.token", name);
    const char *token = run_path(file);
    snprintf(file, sizeof file, "%s.json", name);
    const char *config = run_path(file);
    run_expect(run_surefoot("token", "new", name, "--scope", scope, "-o", token, NULL), 0,
               "API token, mode 0600");
    assert_int_equal(served_login(token, config), 0);
    return config;
}

static void a_token_of_each_scope_logs_in_from_its_0600_file(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SCOPES; i++) {
        char name[32];
        char file[40];
        char said[64];
        struct stat st;
        snprintf(name, sizeof name, "a-%s", scopes[i]);
        snprintf(file, sizeof file, "a-%s.token", scopes[i]);
        struct run *r =
            run_surefoot("token", "new", name, "-s", scopes[i], "-o", run_path(file), NULL);
        run_expect(r, 0, "API token, mode 0600");
        assert_non_null(strstr(r->out, scopes[i]));
        assert_null(strstr(r->out, "sft_"));
        assert_null(strstr(r->err, "sft_"));
        assert_int_equal(stat(run_path(file), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        r = run_surefoot("login", served_url(), "--ca", run_path("data/ca.pem"), "--token-file",
                         run_path(file), "--config", run_path("scope.json"), NULL);
        run_expect(r, 0, NULL);
        snprintf(said, sizeof said, "as %s (%s)", name, scopes[i]);
        assert_non_null(strstr(r->out, said));
    }
}

static void dash_is_stdout_for_pipes(void **state)
{
    (void)state;
    struct run *r = run_surefoot("token", "new", "piped", "-s", "viewer", "-o", "-", NULL);
    run_expect(r, 0, NULL);
    assert_memory_equal(r->out, "sft_", 4);
    assert_int_equal(strlen(r->out), 4 + 64 + 1);
    json_t *token = run_json(
        run_surefoot("token", "new", "piped-2", "-s", "viewer", "-o", "-", "--json", NULL));
    assert_memory_equal(vectors_text(token, "token"), "sft_", 4);
    json_decref(token);
    token = run_json(run_surefoot("token", "new", "filed", "-s", "viewer", "-o", run_path("filed"),
                                  "--json", NULL));
    assert_null(json_object_get(token, "token"));
    assert_string_equal(vectors_text(token, "token_file"), run_path("filed"));
    json_decref(token);
}

static void what_cannot_be_made_is_refused_and_leaves_no_file(void **state)
{
    (void)state;
    const char *file = run_path("no.token");
    run_expect(run_surefoot("token", "new", "x", "-o", file, NULL), 2, "--scope SCOPE is missing");
    run_expect(run_surefoot("token", "new", "x", "-s", "root", "-o", file, NULL), 1,
               "must be viewer, publisher, operator, approver or admin");
    run_expect(run_surefoot("token", "new", "Not OK", "-s", "viewer", "-o", file, NULL), 1,
               "may have a-z");
    run_expect(run_surefoot("token", "new", "x", "-s", "viewer", "--days", "0", "-o", file, NULL),
               1, "days");
    run_expect(run_surefoot("token", "new", "x", "-s", "viewer", "--days", "ten", NULL), 2,
               "--days wants a number");
    run_expect(run_surefoot("token", "new", "piped", "-s", "viewer", "-o", file, NULL), 1,
               "there is (or was) a token 'piped' already");
    assert_int_not_equal(access(file, F_OK), 0);
    run_write(file, "x", 1);
    run_expect(run_surefoot("token", "new", "y", "-s", "viewer", "-o", file, NULL), 4,
               "is there already and is not overwritten");
    run_expect(run_surefoot("token", "new", "y", "-s", "viewer", "-o", run_path("no/y"), NULL), 4,
               "No such file");
}

/* A secret that cannot be kept is not made: the server would show it to nobody again. */
static void a_full_disk_is_noticed_before_the_token_is_made(void **state)
{
    (void)state;
    char script[1024];
    snprintf(script, sizeof script,
             "{ trap '' XFSZ; ulimit -f 0; %s token new full -s viewer -o %s; } 2>&1 | cat",
             SF_BIN_DIR "/surefoot", run_path("full.token"));
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct run *r = run_program(argv);
    assert_non_null(strstr(r->out, "full.token': File too large"));
    assert_int_not_equal(access(run_path("full.token"), F_OK), 0);
    run_expect(
        run_surefoot("token", "new", "full", "-s", "viewer", "-o", run_path("full.token"), NULL), 0,
        "0600");
}

/* What publishing takes and nothing more; each refusal says which scope it takes. */
static void a_publisher_publishes_and_does_nothing_else(void **state)
{
    (void)state;
    const char *config = log_in_as("ci", "publisher");
    const char *image = image_path("1.0.0");
    const char *key = run_path("release.pem");
    run_expect(run_surefoot("release", "publish", image, "-p", "lamp", "-k", key, "--config",
                            config, NULL),
               0, NULL);
    run_expect(run_surefoot("release", "publish", image_path("1.2.0"), "-p", "lamp", "-k", key,
                            "--target", "--config", config, NULL),
               1, "nothing was published: a token of scope publisher may publish, and not");
    run_expect(run_surefoot("release", "show", "lamp", "1.2.0", "--config", config, NULL), 1,
               "has no release '1.2.0'");
    const char *const refused[][6] = {
        {"product", "target", "lamp", "1.0.0", "scope operator or admin", "operator"},
        {"release", "target", "lamp", "1.0.0", "scope operator or admin", "operator"},
        {"device", "target", "d", "1.0.0", "scope operator or admin", "operator"},
        {"product", "set", "lamp", "--interval=60", "scope admin", "admin"},
        {"product", "enrol-token", "lamp", "--days=1", "scope operator or admin", "operator"},
        {"token", "new", "mine", "--scope=admin", "scope admin", "admin"},
        {"token", "revoke", "ci", "--json", "scope admin", "admin"},
        {"token", "list", "--json", "--json", "scope admin", "admin"},
        {"device", "revoke", "d", "--json", "scope operator or admin", "operator"},
        {"freeze", "--reason=x", "--json", "--json", "scope operator or admin", "operator"},
    };
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *const *c = refused[i];
        char next[80];
        snprintf(next, sizeof next, "`surefoot token new NAME --scope %s`", c[5]);
        struct run *r = run_surefoot(c[0], c[1], c[2], c[3], "--config", config, NULL);
        run_expect(r, 1, "token 'ci' of scope publisher may not do this");
        run_expect(r, 1, c[4]);
        run_expect(r, 1, next);
    }
    run_expect(run_surefoot("token", "new", "mine", "-s", "admin", "-o", run_path("mine.token"),
                            "--config", config, NULL),
               1, "may not do this");
    assert_int_not_equal(access(run_path("mine.token"), F_OK), 0);
}

static void a_viewer_looks_and_cannot_publish(void **state)
{
    (void)state;
    const char *config = log_in_as("eye", "viewer");
    run_expect(run_surefoot("product", "list", "--config", config, NULL), 0, NULL);
    run_expect(run_surefoot("release", "publish", image_path("1.0.1"), "-p", "lamp", "-k",
                            run_path("release.pem"), "--config", config, NULL),
               1, "it takes scope publisher or admin");
}

static const json_t *find_token(const json_t *list, const char *name)
{
    const json_t *items = json_object_get(list, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (strcmp(vectors_text(json_array_get(items, i), "name"), name) == 0) {
            return json_array_get(items, i);
        }
    }
    fail_msg("no token '%s' is listed", name);
    return NULL;
}

static void a_revoked_token_is_refused_and_listed_as_such(void **state)
{
    (void)state;
    const char *config = log_in_as("gone", "viewer");
    struct run *r = run_surefoot("token", "revoke", "gone", NULL);
    run_expect(r, 0, NULL);
    assert_string_equal(r->out, "gone: revoked, at once and for good\n");
    r = run_surefoot("product", "list", "--config", config, NULL);
    run_expect(r, 1, "this API token is unknown, revoked or expired");
    run_expect(r, 1, "`surefoot token new NAME --scope SCOPE`");
    json_t *list = run_json(run_surefoot("token", "list", "--json", NULL));
    assert_string_equal(vectors_text(find_token(list, "gone"), "state"), "revoked");
    assert_string_equal(vectors_text(find_token(list, "admin"), "state"), "valid");
    assert_null(json_object_get(find_token(list, "admin"), "token"));
    json_decref(list);
    run_expect(run_surefoot("token", "revoke", "gon", NULL), 1,
               "there is no token 'gon'; did you mean 'gone'?");
}

static void a_token_that_ends_soon_is_told_at_login_and_in_the_list(void **state)
{
    (void)state;
    const char *file = run_path("brief.token");
    run_expect(
        run_surefoot("token", "new", "brief", "-s", "viewer", "--days", "3", "-o", file, NULL), 0,
        "0600");
    struct run *r = run_surefoot("login", served_url(), "--ca", run_path("data/ca.pem"),
                                 "--token-file", file, "--config", run_path("brief.json"), NULL);
    run_expect(r, 0, "this token expires in 3 days");
    r = run_surefoot("token", "list", NULL);
    run_expect(r, 0, "token 'brief' expires in 3 days");
    assert_non_null(strstr(r->out, "TOKEN "));
    assert_non_null(strstr(r->out, "expires in 3 days"));
}

/* A test's last word: none of the secrets stands in the server's log. */
static void no_secret_is_in_the_server_s_log(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *log = run_read(run_path("server.log"), &len);
    assert_null(memmem(log, len, "sft_", 4));
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_of_each_scope_logs_in_from_its_0600_file),
        cmocka_unit_test(dash_is_stdout_for_pipes),
        cmocka_unit_test(what_cannot_be_made_is_refused_and_leaves_no_file),
        cmocka_unit_test(a_full_disk_is_noticed_before_the_token_is_made),
        cmocka_unit_test(a_publisher_publishes_and_does_nothing_else),
        cmocka_unit_test(a_viewer_looks_and_cannot_publish),
        cmocka_unit_test(a_revoked_token_is_refused_and_listed_as_such),
        cmocka_unit_test(a_token_that_ends_soon_is_told_at_login_and_in_the_list),
        cmocka_unit_test(no_secret_is_in_the_server_s_log),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
