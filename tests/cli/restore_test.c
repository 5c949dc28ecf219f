/* The drill: back up, let virtual devices go on, lose the data folder, put the backup back. The
 * devices run the real engine: none goes back, none is lost, all take the next release. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cli/served.h"
#include "tests/cli/shop.h"
#include "tests/support/vectors.h"

static struct shop shop;

static int setup(void **state)
{
    if (run_setup(state) != 0) {
        return -1;
    }
    shop_open(&shop);
    shop_publish(&shop, "1.0.0", 1, NULL);
    shop_publish(&shop, "1.1.0", 2, NULL);
    return 0;
}

static int teardown(void **state)
{
    int failed = served_stop();
    return run_teardown(state) | failed;
}

static void target(const char *version)
{
    run_expect(run_surefoot("product", "target", "lamp", version, NULL), 0, NULL);
}

/* Lets two devices, kept in the folder `state`, come to rest; all must then run `version`. */
static void expect_devices_at(const char *state, const char *version)
{
    struct run *r = shop_run_devices(&shop, state, "2", "60");
    const char *at = r->out;
    for (unsigned i = 0; i < 2; i++) {
        char row[512];
        const size_t len = strcspn(at, "\n");
        snprintf(row, sizeof row, "%.*s", (int)len, at);
        json_t *device = json_loads(row, 0, NULL);
        assert_string_equal(vectors_text(device, "version"), version);
        json_decref(device);
        at += len + (at[len] == '\n');
    }
}

static void lose_the_data_folder(void)
{
    assert_int_equal(served_stop(), 0);
    const char *const away[] = {"mv", run_path("data"), run_path("lost"), NULL};
    assert_int_equal(run_program(away)->status, 0);
}

/* The server has another port now. */
static void start_again(void)
{
    assert_int_equal(served_start(), 0);
    assert_int_equal(served_login(run_path("data/admin-token"), NULL), 0);
}

static void devices_neither_go_back_nor_are_lost_after_a_restore(void **state)
{
    (void)state;
    target("1.1.0");
    expect_devices_at("early", "1.1.0");
    struct run *r =
        run_surefoot("server", "backup", run_path("backup"), "--data", run_path("data"), NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "keep it as secret"));

    shop_publish(&shop, "1.2.0", 3, NULL);
    target("1.2.0");
    expect_devices_at("early", "1.2.0");
    expect_devices_at("late", "1.2.0"); /* enrolled after the backup */

    lose_the_data_folder();
    r = run_surefoot("server", "restore", run_path("backup"), "--data", run_path("data"), NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "restored, and frozen"));
    start_again();
    expect_devices_at("early", "1.2.0"); /* the backup's target is 1.1.0, and 1.1.0 is in ota_1 */
    expect_devices_at("late", "1.2.0");
    json_t *frozen = run_json(run_surefoot("freeze", "--show", "--json", NULL));
    assert_true(json_is_true(json_object_get(frozen, "frozen")));
    json_decref(frozen);

    shop_publish(&shop, "1.3.0", 4, NULL);
    target("1.3.0");
    run_expect(run_surefoot("unfreeze", NULL), 0, NULL);
    expect_devices_at("early", "1.3.0");
    expect_devices_at("late", "1.3.0");
    run_expect(run_surefoot("server", "check", run_path("data"), NULL), 0, NULL);
}

static void wrong_commands_are_told_what_to_do(void **state)
{
    (void)state;
    run_expect(run_surefoot("server", "backup", NULL), 2, "DEST");
    run_expect(run_surefoot("server", "backup", run_path("b"), "--data", run_path("nowhere"), NULL),
               4, "the data folder of a surefootd?");
    run_expect(run_surefoot("server", "restore", run_path("backup"), NULL), 2, "--data");
    run_expect(
        run_surefoot("server", "restore", run_path("backup"), "--data", run_path("data"), NULL), 1,
        "is not empty");
    run_expect(run_surefoot("server", "check", run_path("nowhere"), NULL), 4,
               "neither a backup nor the data folder");
}

static void a_damaged_backup_is_found_out(void **state)
{
    (void)state;
    json_t *report = run_json(run_surefoot("server", "check", run_path("backup"), "--json", NULL));
    assert_true(json_is_true(json_object_get(report, "ok")));
    assert_int_equal(json_integer_value(json_object_get(report, "images")), 2);
    json_decref(report);
    run_write(run_path("backup/ca.pem"), "nothing\n", 8);
    struct run *r = run_surefoot("server", "check", run_path("backup"), "--json", NULL);
    assert_int_equal(r->status, 1);
    report = run_json(r);
    assert_true(json_is_false(json_object_get(report, "ok")));
    assert_true(json_array_size(json_object_get(report, "findings")) > 0);
    json_decref(report);
    run_expect(
        run_surefoot("server", "restore", run_path("backup"), "--data", run_path("new"), NULL), 1,
        "nothing was restored");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_neither_go_back_nor_are_lost_after_a_restore),
        cmocka_unit_test(wrong_commands_are_told_what_to_do),
        cmocka_unit_test(a_damaged_backup_is_found_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
