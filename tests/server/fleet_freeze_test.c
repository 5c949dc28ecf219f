/* What a freeze stops, and what it leaves alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "formats/otadata.h"
#include "tests/server/fleet_world.h"

static struct world w;

static int fresh_world(void **state)
{
    (void)state;
    world_init(&w);
    return 0;
}

/* A poll, after which the same poll must change nothing. */
static const struct checkin_answer *poll(void)
{
    struct checkin_decision again;
    (void)world_checkin(&w);
    world_decide(&w, &again);
    assert_false(again.changed);
    assert_int_equal(again.answer.counter, w.last.answer.counter);
    assert_int_equal(again.answer.action, w.last.answer.action);
    w.report.last_counter = w.last.answer.counter;
    return &w.last.answer;
}

static uint32_t state_now(void)
{
    const struct deployment *d = world_current(&w);
    return d != NULL ? d->state : 0;
}

static void phase(enum sf_phase p)
{
    w.report.phase = (uint8_t)p;
    w.report.phase_counter = w.report.last_counter;
}

static void outcome(int error, uint32_t attempt)
{
    w.report.outcome =
        (struct sf_outcome){.counter = w.report.last_counter, .attempt = attempt, .error = error};
    (void)snprintf(w.report.outcome.text, sizeof w.report.outcome.text, "because");
}

static void tries(int64_t release)
{
    world_runs(&w, release);
    w.report.running_state = SF_OTA_PENDING_VERIFY;
    w.report.boot_count++;
    w.report.boot_id[0]++;
    phase(SF_PHASE_TRIAL);
}

static void nothing_is_offered_while_the_fleet_is_frozen(void **state)
{
    (void)state;
    w.frozen = 1;
    world_target(&w, 2);
    assert_int_equal(poll()->action, SF_STATUS_STAY);
    assert_null(world_current(&w));
    w.frozen = 0;
    assert_int_equal(poll()->action, SF_STATUS_INSTALL);
}

/* At each phase before the commit; afterwards it is offered again by itself, as a first attempt. */
static void a_freeze_stops_a_device_before_its_commit_and_costs_no_attempt(void **state)
{
    (void)state;
    static const enum sf_phase before[] = {SF_PHASE_IDLE, SF_PHASE_DOWNLOADING, SF_PHASE_VERIFYING,
                                           SF_PHASE_INSTALLED};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        world_init(&w);
        world_target(&w, 2);
        (void)poll();
        phase(before[i]);
        (void)poll();
        w.frozen = 1;
        const struct checkin_answer *a = poll();
        assert_int_equal(a->action, SF_STATUS_CANCEL);
        assert_int_equal(a->counter, 3);
        assert_int_equal(w.deployment[0].state, DEPLOYMENT_CANCELLED);
        outcome(SF_ERR_CANCELLED, 1); /* the device stopped, of the old counter */
        w.report.outcome.counter = 2;
        phase(SF_PHASE_IDLE);
        (void)poll();
        w.frozen = 0;
        a = poll();
        assert_int_equal(a->action, SF_STATUS_INSTALL);
        assert_int_equal(a->release_id, 2);
        assert_int_equal(a->counter, 4);
        assert_int_equal(world_current(&w)->attempt, 1);
    }
}

static void a_trial_ends_in_a_frozen_fleet_as_ever(void **state)
{
    (void)state;
    for (int good = 0; good < 2; good++) {
        world_init(&w);
        world_target(&w, 2);
        (void)poll();
        tries(2);
        (void)poll();
        w.frozen = 1;
        assert_int_equal(poll()->action, SF_STATUS_INSTALL); /* unchanged: it is at it */
        world_runs(&w, good ? 2 : 1);
        outcome(good ? SF_OK : SF_ERR_CRASHED, 1);
        (void)poll();
        assert_int_equal(state_now(), good ? DEPLOYMENT_CONFIRMED : DEPLOYMENT_ROLLED_BACK);
        w.frozen = 0;
        assert_int_equal(poll()->action, SF_STATUS_STAY);
    }
}

static void a_retry_waits_in_a_frozen_fleet(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    outcome(SF_ERR_STALLED, 1);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_QUEUED);
    w.frozen = 1;
    w.now += 3600;
    assert_int_equal(poll()->action, SF_STATUS_STAY);
    assert_int_equal(state_now(), DEPLOYMENT_QUEUED);
    assert_in_range(w.last.answer.next_checkin_s, 270, 330);
    w.frozen = 0;
    assert_int_equal(poll()->action, SF_STATUS_INSTALL);
    assert_int_equal(world_current(&w)->attempt, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, fresh_world)
    const struct CMUnitTest tests[] = {
        T(nothing_is_offered_while_the_fleet_is_frozen),
        T(a_freeze_stops_a_device_before_its_commit_and_costs_no_attempt),
        T(a_trial_ends_in_a_frozen_fleet_as_ever),
        T(a_retry_waits_in_a_frozen_fleet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
