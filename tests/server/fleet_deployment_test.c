#include "server/fleet/deployment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/files.h"

/* The rules of the states in words, as a second opinion on the table. */

static int rank(uint32_t state)
{
    return (int)state; /* QUEUED .. CONFIRMED stand in the order of progress */
}

static int expected(uint32_t state, enum deployment_event event)
{
    int out = state >= DEPLOYMENT_OFFERED && state <= DEPLOYMENT_TRIAL;
    int withdrawable = state >= DEPLOYMENT_QUEUED && state <= DEPLOYMENT_INSTALLED;
    if (state < DEPLOYMENT_QUEUED || state > DEPLOYMENT_TRIAL) {
        return SF_ERR_STATE; /* terminal, or none */
    }
    switch (event) {
    case DEPLOYMENT_EV_OFFER:
        return state == DEPLOYMENT_QUEUED ? DEPLOYMENT_OFFERED : SF_ERR_STATE;
    case DEPLOYMENT_EV_DOWNLOADING:
        return rank(state) < DEPLOYMENT_DOWNLOADING ? DEPLOYMENT_DOWNLOADING : SF_ERR_STATE;
    case DEPLOYMENT_EV_INSTALLED:
        return rank(state) < DEPLOYMENT_INSTALLED ? DEPLOYMENT_INSTALLED : SF_ERR_STATE;
    case DEPLOYMENT_EV_TRIAL:
        return rank(state) < DEPLOYMENT_TRIAL ? DEPLOYMENT_TRIAL : SF_ERR_STATE;
    case DEPLOYMENT_EV_CONFIRM:
        return DEPLOYMENT_CONFIRMED;
    case DEPLOYMENT_EV_FAIL:
        return out ? DEPLOYMENT_FAILED : SF_ERR_STATE;
    case DEPLOYMENT_EV_ROLL_BACK:
        return out ? DEPLOYMENT_ROLLED_BACK : SF_ERR_STATE;
    case DEPLOYMENT_EV_RETRY:
        return out ? DEPLOYMENT_QUEUED : SF_ERR_STATE;
    case DEPLOYMENT_EV_EXPIRE:
        return DEPLOYMENT_TIMED_OUT;
    case DEPLOYMENT_EV_CANCEL:
        return withdrawable ? DEPLOYMENT_CANCELLED : SF_ERR_STATE;
    case DEPLOYMENT_EV_SUPERSEDE:
        return withdrawable ? DEPLOYMENT_SUPERSEDED : SF_ERR_STATE;
    case DEPLOYMENT_EV_COUNT:
    default:
        return SF_ERR_STATE;
    }
}

static void every_state_answers_every_event_as_the_rules_say(void **state)
{
    (void)state;
    unsigned allowed = 0;
    for (uint32_t s = 0; s <= DEPLOYMENT_STATE_COUNT; s++) {
        for (int e = 0; e < DEPLOYMENT_EV_COUNT; e++) {
            int next = deployment_next(s, (enum deployment_event)e);
            if (next != expected(s, (enum deployment_event)e)) {
                print_error("state %s, event %d: %d\n", deployment_state_str(s), e, next);
            }
            assert_int_equal(next, expected(s, (enum deployment_event)e));
            allowed += next > 0;
        }
    }
    assert_int_equal(allowed, 40);
}

static void a_step_changes_the_row_and_tells_it_or_does_neither(void **state)
{
    (void)state;
    for (uint32_t s = 1; s < DEPLOYMENT_STATE_COUNT; s++) {
        for (int e = 0; e < DEPLOYMENT_EV_COUNT; e++) {
            struct deployment d = {.id = 7,
                                   .release_id = 3,
                                   .state = s,
                                   .attempt = 1,
                                   .counter = 9,
                                   .deadline_at = 500};
            struct deployment before = d;
            struct event event = {.kind = 12345};
            int next = deployment_next(s, (enum deployment_event)e);
            int err = deployment_step(&d, (enum deployment_event)e, SF_ERR_STALLED, 100, &event);
            assert_int_equal(err, next < 0 ? SF_ERR_STATE : SF_OK);
            if (err < 0) {
                assert_int_equal(d.state, before.state);
                assert_int_equal(d.changed_at, 0);
                assert_int_equal(event.kind, 12345);
                continue;
            }
            assert_int_equal(d.state, next);
            assert_int_equal(d.changed_at, 100);
            assert_string_equal(event_kind_str(event.kind), deployment_state_str(d.state));
            assert_int_equal(event.deployment_id, 7);
            assert_int_equal(event.release_id, 3);
            assert_int_equal(event.counter, 9);
            assert_int_equal(event.error, SF_ERR_STALLED);
        }
    }
}

static void a_retry_waits_longer_each_time_and_has_no_deadline(void **state)
{
    (void)state;
    struct deployment d = {.state = DEPLOYMENT_DOWNLOADING, .attempt = 1, .deadline_at = 5000};
    struct event event;
    assert_int_equal(deployment_step(&d, DEPLOYMENT_EV_RETRY, SF_ERR_DNS, 1000, &event), SF_OK);
    assert_int_equal(d.attempt, 2);
    assert_int_equal(d.not_before, 1060);
    assert_int_equal(d.deadline_at, 0);
    assert_int_equal(deployment_step(&d, DEPLOYMENT_EV_OFFER, SF_OK, 1060, &event), SF_OK);
    assert_int_equal(d.not_before, 0);
    assert_int_equal(deployment_step(&d, DEPLOYMENT_EV_RETRY, SF_ERR_DNS, 2000, &event), SF_OK);
    assert_int_equal(d.attempt, 3);
    assert_int_equal(d.not_before, 2240);
}

static void network_and_power_are_worth_a_retry_and_a_bad_image_is_not(void **state)
{
    (void)state;
    static const int yes[] = {SF_ERR_DNS,   SF_ERR_CONNECT,       SF_ERR_TLS_CERT,  SF_ERR_STALLED,
                              SF_ERR_POWER, SF_ERR_NO_SERVER,     SF_ERR_THROTTLED, SF_ERR_NOT_NOW,
                              SF_ERR_BUSY,  SF_ERR_HTTP_NOT_FOUND};
    static const int no[] = {SF_OK,
                             SF_ERR_CRASHED,
                             SF_ERR_SELF_TEST,
                             SF_ERR_DIGEST,
                             SF_ERR_CANCELLED,
                             SF_ERR_SIGNATURE,
                             SF_ERR_CHIP,
                             SF_ERR_WATCHDOG,
                             SF_ERR_NO_SLOT,
                             SF_ERR_TOO_LARGE,
                             SF_ERR_ROLLBACK_FAILED};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(deployment_retryable(yes[i]));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_false(deployment_retryable(no[i]));
    }
}

static void the_picture_in_the_documentation_is_the_table(void **state)
{
    (void)state;
    static const char *const events[DEPLOYMENT_EV_COUNT] = {
        "offer",     "downloading", "installed", "trial",  "confirm",  "fail",
        "roll back", "retry",       "expire",    "cancel", "supersede"};
    char picture[8192];
    size_t at = 0;
    for (uint32_t s = 1; s < DEPLOYMENT_STATE_COUNT; s++) {
        for (int e = 0; e < DEPLOYMENT_EV_COUNT; e++) {
            int next = deployment_next(s, (enum deployment_event)e);
            if (next > 0) {
                at += (size_t)snprintf(picture + at, sizeof picture - at, "    %s --> %s: %s\n",
                                       deployment_state_str(s),
                                       deployment_state_str((uint32_t)next), events[e]);
            }
        }
    }
    size_t len = 0;
    uint8_t *text = file_load(SF_SOURCE_DIR "/docs/database.md", &len);
    if (strstr((const char *)text, picture) == NULL) {
        print_error("docs/database.md should have this picture:\n%s", picture);
    }
    assert_non_null(strstr((const char *)text, picture));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_answers_every_event_as_the_rules_say),
        cmocka_unit_test(a_step_changes_the_row_and_tells_it_or_does_neither),
        cmocka_unit_test(a_retry_waits_longer_each_time_and_has_no_deadline),
        cmocka_unit_test(network_and_power_are_worth_a_retry_and_a_bad_image_is_not),
        cmocka_unit_test(the_picture_in_the_documentation_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
