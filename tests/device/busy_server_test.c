/* A trial whose server answers, but only that it is too busy to: 503 or 429 with Retry-After. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

static const uint64_t minute_ms = 60000;
static const uint64_t deadline_ms = 1800000; /* of the trial */

static struct {
    uint64_t until_ms; /* the rig's clock */
    int status;
    unsigned turned_away;
} busy;

static void turn_away(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)request;
    if (r->now_ms < busy.until_ms) {
        busy.turned_away++;
        reply->head.status = busy.status;
        reply->head.retry_after_s = 24 * 60 * 60;
        reply->body_len = 0;
        reply->head.content_len = 0;
    }
}

/* v1 confirmed in ota_0, v2 in ota_1 boots for the first time. */
static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_install(r, &r->v2);
    r->server.script = turn_away;
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void be_busy(struct rig *r, uint64_t for_ms, int status)
{
    busy.until_ms = r->now_ms + for_ms;
    busy.status = status;
    busy.turned_away = 0;
}

/* Until the trial has ended. Its waits may look like rest. */
static enum sf_action_kind end_of_trial(struct rig *r)
{
    enum sf_action_kind kind = rig_settle(r);
    for (unsigned i = 0; i < 50 && kind == SF_ACTION_WAIT && rig_trial(r).open; i++) {
        kind = rig_settle_again(r);
    }
    return kind;
}

static void outlive(struct rig *r, int status)
{
    be_busy(r, 20 * minute_ms, status);
    assert_int_equal(end_of_trial(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    assert_in_range(busy.turned_away, 4, 7); /* and the server is not hammered either */
}

static void a_trial_outlives_a_server_that_is_busy_for_a_while(void **state)
{
    outlive(*state, 503);
}

static void and_one_that_limits_requests(void **state)
{
    outlive(*state, 429);
}

static void busy_to_the_end_is_told_as_it_is_and_counts_only_the_third_time(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 1; i <= SF_SOFT_ATTEMPTS; i++) {
        be_busy(r, deadline_ms + minute_ms, 503);
        assert_int_equal(end_of_trial(r), SF_ACTION_REBOOT);
        busy.until_ms = 0;
        rig_boot(r, SF_RESET_SOFTWARE);
        assert_int_equal(rig_slot_runs(r), 0);
        const enum sf_action_kind then =
            i < SF_SOFT_ATTEMPTS ? SF_ACTION_REBOOT : SF_ACTION_WAIT; /* again, or refused */
        assert_int_equal(rig_settle(r), then);
        assert_int_equal(r->server.outcome_count, i);
        assert_int_equal(r->server.outcome[i - 1].error, SF_ERR_THROTTLED);
        assert_int_equal(r->server.outcome[i - 1].attempt, i);
        if (then == SF_ACTION_REBOOT) {
            rig_boot(r, SF_RESET_SOFTWARE);
            assert_int_equal(rig_slot_runs(r), 1);
        }
    }
    assert_int_equal(r->server.downloads, 1); /* the slot holds it all the while */
}

static void where_the_image_before_it_is_turned_away_too_it_does_not_count(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < 2 * SF_SOFT_ATTEMPTS; i++) {
        be_busy(r, deadline_ms + 2 * minute_ms, 503);
        assert_int_equal(end_of_trial(r), SF_ACTION_REBOOT);
        rig_boot(r, SF_RESET_SOFTWARE);
        assert_int_equal(rig_slot_runs(r), 0);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT); /* for as long as it was told to */
        assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
        rig_boot(r, SF_RESET_SOFTWARE);
        assert_int_equal(rig_slot_runs(r), 1);
    }
    busy.until_ms = 0;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[r->server.outcome_count - 1].error, SF_OK);
    assert_int_equal(r->server.downloads, 1);
}

static void without_any_answer_it_is_still_no_server(void **state)
{
    struct rig *r = *state;
    busy.until_ms = 0;
    r->server.is_down = 1;
    assert_int_equal(end_of_trial(r), SF_ACTION_REBOOT);
    r->server.is_down = 0;
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_NO_SERVER);
    assert_int_equal(sf_engine_view(&r->engine).update_due, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_trial_outlives_a_server_that_is_busy_for_a_while),
        TEST(and_one_that_limits_requests),
        TEST(busy_to_the_end_is_told_as_it_is_and_counts_only_the_third_time),
        TEST(where_the_image_before_it_is_turned_away_too_it_does_not_count),
        TEST(without_any_answer_it_is_still_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
