/* The reason of each rollback from a device's flash to a person's eyes: real engine, real server,
 * `surefoot device history` and `device show`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cli/served.h"
#include "tests/cli/shop.h"

static struct shop shop;

static int setup(void **state)
{
    if (run_setup(state) != 0) {
        return -1;
    }
    shop_open(&shop);
    /* It boots as it came, but not when somebody goes back to it. */
    static const struct sf_behaviour decays = {.kind = SF_BEHAVIOUR_DECAYS};
    shop_publish(&shop, "1.0.0", 1, &decays);
    run_expect(run_surefoot("product", "set", "lamp", "--interval", "60", NULL), 0, NULL);
    return 0;
}

static int teardown(void **state)
{
    int failed = served_stop();
    return run_teardown(state) | failed;
}

static void expect_said(const char *command, const char *id, const char *words)
{
    struct run *r = run_surefoot("device", command, id, NULL);
    run_expect(r, 0, NULL);
    if (strstr(r->out, words) == NULL) {
        fail_msg("`surefoot device %s` does not say '%s':\n%s", command, words, r->out);
    }
}

struct ending {
    const char *version;
    struct sf_behaviour behaviour;
    const char *words; /* of history and show */
    const char *attempt;
};

static const struct ending endings[] = {
    {"2.0.1",
     {SF_BEHAVIOUR_CRASH_AT_BOOT, 0},
     "rolled back: the new image crashed during its trial (panic)",
     ", attempt 1 of 1"},
    {"2.0.2",
     {SF_BEHAVIOUR_HANG, 1},
     "rolled back: the new image hung until the watchdog reset it",
     ", attempt 1 of 1"},
    {"2.0.3",
     {SF_BEHAVIOUR_SELF_TEST_FAILS, 0},
     "rolled back: a self-test of the new image failed: sensors",
     ", attempt 1 of 1"},
    {"2.0.4",
     {SF_BEHAVIOUR_SELF_TEST_HANGS, 20},
     "rolled back: a self-test of the new image passed its deadline: sensors",
     ", attempt 1 of 1"},
    {"2.0.5",
     {SF_BEHAVIOUR_SELF_TEST_HANGS, 0},
     "rolled back: the trial passed its deadline",
     ", attempt 1 of 1"},
    {"2.0.6",
     {SF_BEHAVIOUR_DECAYS, 0},
     "rolled back: the bootloader refused the new image and ran the old one",
     ", attempt 1 of 1"},
    {"2.0.7",
     {SF_BEHAVIOUR_BROWNOUT, 2},
     "rolled back: the trial was cut short by power or sleep (brownout)",
     ", attempt 1 of 3"},
    {"2.0.8",
     {SF_BEHAVIOUR_DEEP_SLEEP, 2},
     "rolled back: the trial was cut short by power or sleep (deep sleep)",
     ", attempt 1 of 3"},
    {"2.0.9",
     {SF_BEHAVIOUR_NO_NETWORK, 0},
     "rolled back: the new image could not reach the server in its trial",
     ", attempt 1 of 3"},
    {"2.1.0",
     {SF_BEHAVIOUR_CRASH_EARLY, 0},
     "rolled back: the new image crashed during its trial (panic)",
     ", attempt 1 of 1"},
};

static void each_reason_is_read_in_words(void **state)
{
    (void)state;
    char id[SHOP_ID_SIZE];
    shop_run_device(&shop, "lamp", "1.0.0", id);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const struct ending *e = &endings[i];
        char line[256];
        shop_publish(&shop, e->version, (uint32_t)(10 + i), &e->behaviour);
        run_expect(run_surefoot("product", "target", "lamp", e->version, NULL), 0, NULL);
        shop_run_device(&shop, "lamp", "1.0.0", id);
        snprintf(line, sizeof line, "%s%s", e->words, e->attempt);
        expect_said("history", id, line);
        expect_said("show", id, e->words);
    }
}

static void a_confirmation_and_a_rollback_that_failed_are_read_in_words(void **state)
{
    (void)state;
    char id[SHOP_ID_SIZE];
    shop_publish(&shop, "3.0.0", 90, NULL);
    run_expect(run_surefoot("product", "target", "lamp", "3.0.0", NULL), 0, NULL);
    shop_run_device(&shop, "lamp", "3.0.0", id);
    expect_said("show", id, "confirmed");
    run_expect(run_surefoot("product", "target", "lamp", "1.0.0", NULL), 0, NULL);
    shop_run_device(&shop, "lamp", "3.0.0", id);
    expect_said("history", id,
                "did not go back: the image to go back to is gone, or failed too, attempt 1 of 1");
    expect_said("show", id, "did not go back: the image to go back to is gone, or failed too");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_is_read_in_words),
        cmocka_unit_test(a_confirmation_and_a_rollback_that_failed_are_read_in_words),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
