/* What a person reads of the end of an update. */
#include "server/fleet/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/err.h"

static void expect(int error, unsigned reset_reason, const char *text, const char *words)
{
    char out[OUTCOME_WORDS_MAX + 1];
    struct sf_outcome o = {.error = error, .reset_reason = (uint8_t)reset_reason};
    (void)snprintf(o.text, sizeof o.text, "%s", text);
    outcome_words(&o, out, sizeof out);
    assert_string_equal(out, words);
}

static void every_end_of_a_trial_has_its_sentence(void **state)
{
    (void)state;
    expect(SF_OK, SF_RESET_SOFTWARE, "", "confirmed");
    expect(SF_ERR_CRASHED, SF_RESET_PANIC, "",
           "rolled back: the new image crashed during its trial (panic)");
    expect(SF_ERR_CRASHED, SF_RESET_SOFTWARE, "",
           "rolled back: the new image crashed during its trial (software)");
    expect(SF_ERR_WATCHDOG, SF_RESET_WATCHDOG, "",
           "rolled back: the new image hung until the watchdog reset it");
    expect(SF_ERR_SELF_TEST, SF_RESET_SOFTWARE, "sensors",
           "rolled back: a self-test of the new image failed: sensors");
    expect(SF_ERR_SELF_TEST_DEADLINE, SF_RESET_SOFTWARE, "sensors",
           "rolled back: a self-test of the new image passed its deadline: sensors");
    expect(SF_ERR_TRIAL_DEADLINE, SF_RESET_SOFTWARE, "",
           "rolled back: the trial passed its deadline");
    expect(SF_ERR_NO_SERVER, SF_RESET_SOFTWARE, "",
           "rolled back: the new image could not reach the server in its trial");
    expect(SF_ERR_NO_SERVER, SF_RESET_SOFTWARE, "nor does the image before it",
           "rolled back: the new image could not reach the server in its trial, nor does the image "
           "before it");
    expect(SF_ERR_POWER, SF_RESET_BROWNOUT, "",
           "rolled back: the trial was cut short by power or sleep (brownout)");
    expect(SF_ERR_POWER, SF_RESET_DEEP_SLEEP, "",
           "rolled back: the trial was cut short by power or sleep (deep sleep)");
    expect(SF_ERR_THROTTLED, SF_RESET_SOFTWARE, "",
           "rolled back: the server asks to come back later");
    expect(SF_ERR_FLASH_WRITE, SF_RESET_SOFTWARE, "", "rolled back: flash write failed");
    expect(SF_ERR_FELL_BACK, SF_RESET_SOFTWARE, "",
           "rolled back: the bootloader refused the new image and ran the old one");
}

static void what_ends_before_or_without_a_rollback_says_so(void **state)
{
    (void)state;
    expect(SF_ERR_ROLLBACK_FAILED, SF_RESET_PANIC, "",
           "did not go back: the image to go back to is gone, or failed too (panic)");
    expect(SF_ERR_ROLLBACK_FAILED, SF_RESET_SOFTWARE, "network",
           "did not go back: the image to go back to is gone, or failed too: network");
    expect(SF_ERR_STALLED, SF_RESET_UNKNOWN, "", "not installed: no data arrived for too long");
    expect(SF_ERR_THROTTLED, SF_RESET_UNKNOWN, "",
           "not installed: the server asks to come back later");
    expect(SF_ERR_CANCELLED, SF_RESET_UNKNOWN, "", "cancelled");
    expect(SF_ERR_SUPERSEDED, SF_RESET_UNKNOWN, "", "replaced by a newer deployment");
    expect(-4711, SF_RESET_UNKNOWN, "x", "not installed: unknown error: x");
}

static void every_sentence_names_its_error_and_none_is_cut(void **state)
{
    (void)state;
    static const int all[] = {
#define X(value, name, text) (value),
        SF_ERR_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char out[OUTCOME_WORDS_MAX + 1];
        struct sf_outcome o = {.error = all[i], .reset_reason = SF_RESET_DEEP_SLEEP};
        memset(o.text, 'x', SF_OUTCOME_TEXT_MAX);
        outcome_words(&o, out, sizeof out);
        assert_non_null(strstr(out, sf_err_str(all[i])));
        assert_true(strlen(out) < OUTCOME_WORDS_MAX - sizeof ", attempt 3 of 3");
        outcome_words(&o, out, 8);
        assert_true(strlen(out) <= 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_of_a_trial_has_its_sentence),
        cmocka_unit_test(what_ends_before_or_without_a_rollback_says_so),
        cmocka_unit_test(every_sentence_names_its_error_and_none_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
