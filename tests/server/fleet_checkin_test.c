#include "server/fleet/checkin.h"

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

/* ---- the way of a good release ---- */

static void a_device_without_target_stays_and_costs_one_write(void **state)
{
    (void)state;
    const struct checkin_answer *a = poll();
    assert_true(w.last.changed);
    assert_true(world_told(&w, EVENT_FIRST_REPORT));
    assert_int_equal(a->action, SF_STATUS_STAY);
    assert_int_equal(a->counter, 1);
    assert_in_range(a->next_checkin_s, 270, 330);
    w.now += 300;
    w.report.uptime_s += 300;
    (void)poll();
    assert_false(w.last.changed);
    assert_int_equal(w.seen.last_seen, w.now);
}

static void a_good_release_goes_from_offer_to_confirmed(void **state)
{
    (void)state;
    (void)poll();
    world_target(&w, 2);
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_INSTALL);
    assert_int_equal(a->release_id, 2);
    assert_int_equal(a->counter, 2);
    assert_true(world_told(&w, EVENT_OFFERED));
    assert_int_equal(w.last.event[0].counter, 2);
    assert_int_equal(state_now(), DEPLOYMENT_OFFERED);

    static const struct {
        enum sf_phase phase;
        uint32_t state;
    } steps[] = {{SF_PHASE_DOWNLOADING, DEPLOYMENT_DOWNLOADING},
                 {SF_PHASE_VERIFYING, DEPLOYMENT_DOWNLOADING},
                 {SF_PHASE_INSTALLED, DEPLOYMENT_INSTALLED}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        phase(steps[i].phase);
        a = poll();
        assert_int_equal(state_now(), steps[i].state);
        assert_int_equal(a->counter, 2);
        assert_int_equal(a->action, SF_STATUS_INSTALL);
    }
    tries(2);
    a = poll();
    assert_int_equal(state_now(), DEPLOYMENT_TRIAL);
    assert_int_equal(a->counter, 2);
    assert_true(world_told(&w, EVENT_RUNNING));

    world_runs(&w, 2);
    outcome(SF_OK, 1);
    a = poll();
    assert_int_equal(state_now(), DEPLOYMENT_CONFIRMED);
    assert_true(world_told(&w, EVENT_CONFIRMED));
    assert_int_equal(a->outcome_ack, 2);
    assert_int_equal(a->action, SF_STATUS_STAY);
    assert_int_equal(a->release_id, 0);
    assert_int_equal(a->counter, 3);
    w.report.outcome.counter = 0;
    (void)poll();
    assert_false(w.last.changed);
    assert_int_equal(w.deployment_count, 1);
}

static void a_device_that_runs_the_target_already_gets_nothing(void **state)
{
    (void)state;
    (void)poll();
    world_target(&w, 1);
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_STAY);
    assert_int_equal(a->counter, 1);
    assert_false(w.last.changed);
    assert_int_equal(w.deployment_count, 0);
}

static void a_device_seen_next_with_the_new_image_skips_forward(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    world_runs(&w, 2);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_CONFIRMED);
}

/* ---- the ways of a bad one ---- */

static void a_crashed_trial_is_rolled_back_and_not_offered_again(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    phase(SF_PHASE_DOWNLOADING);
    (void)poll();
    world_runs(&w, 1);
    outcome(SF_ERR_CRASHED, 1);
    const struct checkin_answer *a = poll();
    assert_int_equal(state_now(), DEPLOYMENT_ROLLED_BACK);
    assert_int_equal(world_current(&w)->error, SF_ERR_CRASHED);
    assert_int_equal(a->action, SF_STATUS_STAY);
    assert_int_equal(a->outcome_ack, 2);
    assert_non_null(strstr(w.last.event[0].text, "crashed during its trial: because, attempt 1"));
    for (int i = 0; i < 5; i++) {
        w.now += 86400;
        a = poll();
        assert_false(w.last.changed);
        assert_int_equal(a->action, SF_STATUS_STAY);
    }
}

static void an_operator_who_targets_it_anew_gets_another_try(void **state)
{
    (void)state;
    a_crashed_trial_is_rolled_back_and_not_offered_again(state);
    uint64_t before = w.device.desired_seq;
    world_target(&w, 2);
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_INSTALL);
    assert_true(a->counter > before);
    assert_int_equal(w.deployment_count, 2);
}

static void a_target_set_while_a_try_is_on_its_way_does_not_count_as_another(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    world_target(&w, 2); /* again: the same release, already offered */
    (void)poll();
    assert_int_equal(w.deployment_count, 1);
    outcome(SF_ERR_SELF_TEST, 1);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_ROLLED_BACK);
    assert_int_equal(w.deployment_count, 1);
}

static void another_release_follows_a_failed_one_and_the_failed_one_stays_out(void **state)
{
    (void)state;
    a_crashed_trial_is_rolled_back_and_not_offered_again(state);
    struct target failed = w.target;
    world_target(&w, 3);
    (void)poll();
    assert_int_equal(w.last.answer.release_id, 3);
    w.target = failed; /* an override for 3 is lifted: the product's old order counts again */
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_CANCEL);
    assert_int_equal(w.deployment_count, 2);
    assert_true(world_told(&w, EVENT_SUPERSEDED));
}

static void network_trouble_is_retried_later_and_three_times_at_most(void **state)
{
    (void)state;
    world_target(&w, 2);
    uint64_t counter = poll()->counter;
    for (uint32_t attempt = 1; attempt < DEPLOYMENT_ATTEMPT_MAX; attempt++) {
        outcome(SF_ERR_STALLED, 1);
        const struct checkin_answer *a = poll();
        assert_int_equal(state_now(), DEPLOYMENT_QUEUED);
        assert_int_equal(a->action, SF_STATUS_STAY);
        assert_true(a->next_checkin_s <= (uint32_t)deployment_retry_wait_s(attempt + 1));
        w.now += deployment_retry_wait_s(attempt + 1) - 1;
        assert_int_equal(poll()->action, SF_STATUS_STAY);
        assert_false(w.last.changed);
        w.now++;
        a = poll();
        assert_int_equal(a->action, SF_STATUS_INSTALL);
        assert_int_equal(state_now(), DEPLOYMENT_OFFERED);
        assert_int_equal(world_current(&w)->attempt, attempt + 1);
        assert_true(a->counter > counter);
        counter = a->counter;
    }
    outcome(SF_ERR_STALLED, 1);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_FAILED);
    assert_int_equal(w.deployment_count, 1);
}

static void an_outcome_counts_once(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    outcome(SF_ERR_CRASHED, 1);
    (void)poll();
    unsigned events = w.last.event_count;
    assert_true(events > 0);
    uint64_t counter = w.report.outcome.counter;
    world_target(&w, 2);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_OFFERED);
    for (int i = 0; i < 3; i++) { /* it repeats the old one: the acknowledgement was lost */
        const struct checkin_answer *a = poll();
        assert_int_equal(a->outcome_ack, counter);
        assert_false(w.last.changed);
        assert_int_equal(state_now(), DEPLOYMENT_OFFERED);
    }
}

static void an_outcome_of_a_static_tree_is_history_and_touches_no_deployment(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    outcome(SF_ERR_SELF_TEST, 2);
    w.report.outcome.counter = SF_OFFLINE_COUNTER | 4;
    const struct checkin_answer *a = poll();
    assert_true(a->outcome_ack == (SF_OFFLINE_COUNTER | 4));
    assert_true(world_told(&w, EVENT_LATE_OUTCOME));
    assert_non_null(strstr(w.last.event[0].text, ": static tree, manifest 4, attempt 2: because"));
    assert_int_equal(state_now(), DEPLOYMENT_OFFERED);
    assert_int_equal(w.device.outcome_counter, 0);
    outcome(SF_OK, 1); /* of our own counter: it still counts */
    world_runs(&w, 2);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_CONFIRMED);
    w.report.outcome.counter = UINT64_MAX;
    assert_int_equal(poll()->outcome_ack, 0); /* nothing an engine sends */
}

static void a_late_outcome_goes_to_the_history_only(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    outcome(SF_ERR_CRASHED, 1);
    (void)poll();
    w.report.outcome.attempt = 2;
    w.report.outcome.error = SF_OK;
    const struct checkin_answer *a = poll();
    assert_int_equal(state_now(), DEPLOYMENT_ROLLED_BACK);
    assert_true(world_told(&w, EVENT_LATE_OUTCOME));
    assert_int_equal(a->outcome_ack, w.report.outcome.counter);
}

static void a_device_back_on_its_old_image_without_a_word_was_rolled_back(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    tries(2);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_TRIAL);
    world_runs(&w, 1);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_ROLLED_BACK);
    assert_int_equal(world_current(&w)->error, SF_ERR_FELL_BACK);
}

static void a_cancel_on_the_device_ends_it_until_it_is_targeted_anew(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    outcome(SF_ERR_CANCELLED, 1);
    assert_int_equal(poll()->action, SF_STATUS_STAY);
    assert_int_equal(state_now(), DEPLOYMENT_CANCELLED);
    assert_int_equal(poll()->action, SF_STATUS_STAY);
    world_target(&w, 2);
    assert_int_equal(poll()->action, SF_STATUS_INSTALL);
}

/* ---- targets that move ---- */

static void taking_the_target_away_cancels_a_download(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    phase(SF_PHASE_DOWNLOADING);
    (void)poll();
    world_target(&w, 0);
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_CANCEL);
    assert_int_equal(a->counter, 3);
    assert_int_equal(state_now(), DEPLOYMENT_CANCELLED);
    phase(SF_PHASE_IDLE);
    a = poll();
    assert_int_equal(a->action, SF_STATUS_CANCEL); /* the same word until there is a new one */
    assert_int_equal(a->counter, 3);
}

static void a_device_about_to_commit_hears_that_its_release_was_pulled(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    phase(SF_PHASE_DOWNLOADING);
    (void)poll();
    world_target(&w, 0);
    phase(SF_PHASE_INSTALLED);
    assert_int_equal(poll()->action, SF_STATUS_CANCEL);
    assert_int_equal(state_now(), DEPLOYMENT_CANCELLED);
}

/* It asks again if the answer was lost, or the application said not now. */
static void a_device_that_asks_again_before_its_commit_is_stopped_too(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    phase(SF_PHASE_INSTALLED);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_INSTALLED);
    world_target(&w, 0);
    assert_int_equal(poll()->action, SF_STATUS_CANCEL);
    assert_int_equal(state_now(), DEPLOYMENT_CANCELLED);
}

static void a_release_on_trial_finishes_before_the_next(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    phase(SF_PHASE_INSTALLED);
    (void)poll();
    tries(2);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_TRIAL);
    world_target(&w, 3);
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_INSTALL);
    assert_int_equal(a->release_id, 2);
    assert_int_equal(a->counter, 2);
    world_runs(&w, 2);
    outcome(SF_OK, 1);
    a = poll();
    assert_int_equal(w.deployment[0].state, DEPLOYMENT_CONFIRMED);
    assert_int_equal(a->release_id, 3);
    assert_int_equal(a->counter, 3);
    assert_int_equal(state_now(), DEPLOYMENT_OFFERED);
}

static void a_new_target_supersedes_a_download(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    world_target(&w, 3);
    const struct checkin_answer *a = poll();
    assert_int_equal(w.deployment[0].state, DEPLOYMENT_SUPERSEDED);
    assert_int_equal(a->action, SF_STATUS_INSTALL);
    assert_int_equal(a->release_id, 3);
    assert_int_equal(a->counter, 3);
}

static void an_older_release_is_a_way_back_without_download_if_the_slot_holds_it(void **state)
{
    (void)state;
    world_runs(&w, 2);
    w.report.seq = 4;
    w.report.other_count = 1;
    w.report.other[0] = (struct sf_other_slot){
        .slot = 1, .content = SF_SLOT_COMPLETE, .has_digest = 1, .confirmed_here = 1};
    memset(w.report.other[0].digest, 1, DIGEST_SIZE);
    world_target(&w, 1);
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_ROLL_BACK);
    assert_int_equal(a->release_id, 1);
    assert_int_equal(world_current(&w)->kind, DEPLOYMENT_ROLL_BACK);
    world_runs(&w, 1);
    outcome(SF_OK, 1);
    (void)poll();
    assert_int_equal(state_now(), DEPLOYMENT_CONFIRMED);
}

static void an_older_release_that_is_not_there_fails_at_once_with_a_reason(void **state)
{
    (void)state;
    world_runs(&w, 2);
    w.report.seq = 4;
    world_target(&w, 1);
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_STAY);
    assert_int_equal(state_now(), DEPLOYMENT_FAILED);
    assert_int_equal(world_current(&w)->error, SF_ERR_SEQ_OLD);
    assert_true(world_told(&w, EVENT_FAILED));
    assert_int_equal(a->counter, 1);
}

static void no_manifest_for_its_hardware_means_no_offer(void **state)
{
    (void)state;
    world_target(&w, 2);
    w.target.has_manifest = 0;
    assert_int_equal(poll()->action, SF_STATUS_STAY);
    assert_int_equal(w.deployment_count, 0);
}

static void a_device_that_reports_another_class_gets_nothing(void **state)
{
    (void)state;
    w.report.class_uuid[3] ^= 1;
    world_target(&w, 2);
    assert_int_equal(poll()->action, SF_STATUS_STAY);
    assert_true(world_told(&w, EVENT_CLASS_MISMATCH));
    assert_true((w.device.alarms & DEVICE_ALARM_CLASS) != 0);
    assert_int_equal(w.deployment_count, 0);
}

/* ---- clones, backups, time ---- */

static void a_suspected_clone_is_told_once_and_changes_nothing_else(void **state)
{
    (void)state;
    w.report.boot_count = 50;
    (void)poll();
    w.report.boot_count = 3;
    w.report.boot_id[0] = 99;
    (void)poll();
    assert_true(world_told(&w, EVENT_CLONE_SUSPECTED));
    assert_true((w.device.alarms & DEVICE_ALARM_CLONE) != 0);
    assert_int_equal(w.device.state, DEVICE_ENROLLED);
    w.report.boot_count = 50;
    w.report.boot_id[0] = 1;
    (void)poll();
    assert_false(w.last.changed);
}

static void a_restored_backup_jumps_above_what_the_device_knows(void **state)
{
    (void)state;
    world_target(&w, 2);
    (void)poll();
    w.report.last_counter = 41;
    const struct checkin_answer *a = poll();
    assert_int_equal(a->counter, 42);
    assert_int_equal(a->action, SF_STATUS_INSTALL);
    assert_true(world_told(&w, EVENT_COUNTER_JUMP));
    assert_int_equal(world_current(&w)->counter, 42);
    assert_true((w.device.alarms & DEVICE_ALARM_COUNTER) != 0);
    (void)poll();
    assert_false(w.last.changed);
}

static void an_absurd_counter_is_an_alarm_and_no_jump(void **state)
{
    (void)state;
    (void)poll();
    w.report.last_counter = UINT64_MAX;
    struct checkin_decision d;
    (void)world_checkin(&w);
    assert_int_equal(w.last.answer.counter, 1);
    assert_true(world_told(&w, EVENT_COUNTER_JUMP));
    world_decide(&w, &d);
    assert_false(d.changed);
}

static void a_device_that_timed_out_is_offered_the_release_again(void **state)
{
    (void)state;
    struct event event;
    world_target(&w, 2);
    uint64_t counter = poll()->counter;
    assert_int_equal(w.deployment[0].deadline_at, w.now + DEPLOYMENT_TIMEOUT_S);
    assert_int_equal(
        deployment_step(&w.deployment[0], DEPLOYMENT_EV_EXPIRE, SF_ERR_TIMED_OUT, w.now, &event),
        SF_OK);
    const struct checkin_answer *a = poll();
    assert_int_equal(a->action, SF_STATUS_INSTALL);
    assert_true(a->counter > counter);
    assert_int_equal(w.deployment_count, 2);
}

static void the_clock_at_1970_and_in_2106_changes_nothing_but_times(void **state)
{
    (void)state;
    static const int64_t times[] = {0, 1, INT64_C(4294967295), INT64_C(4294967296),
                                    INT64_C(7258118400)};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        world_init(&w);
        w.now = times[i];
        world_target(&w, 2);
        assert_int_equal(poll()->action, SF_STATUS_INSTALL);
        outcome(SF_ERR_DNS, 1);
        (void)poll();
        w.now += 60;
        assert_int_equal(poll()->action, SF_STATUS_INSTALL);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, fresh_world)
    const struct CMUnitTest tests[] = {
        T(a_device_without_target_stays_and_costs_one_write),
        T(a_good_release_goes_from_offer_to_confirmed),
        T(a_device_that_runs_the_target_already_gets_nothing),
        T(a_device_seen_next_with_the_new_image_skips_forward),
        T(a_crashed_trial_is_rolled_back_and_not_offered_again),
        T(an_operator_who_targets_it_anew_gets_another_try),
        T(a_target_set_while_a_try_is_on_its_way_does_not_count_as_another),
        T(another_release_follows_a_failed_one_and_the_failed_one_stays_out),
        T(network_trouble_is_retried_later_and_three_times_at_most),
        T(an_outcome_counts_once),
        T(an_outcome_of_a_static_tree_is_history_and_touches_no_deployment),
        T(a_late_outcome_goes_to_the_history_only),
        T(a_device_back_on_its_old_image_without_a_word_was_rolled_back),
        T(a_cancel_on_the_device_ends_it_until_it_is_targeted_anew),
        T(taking_the_target_away_cancels_a_download),
        T(a_device_about_to_commit_hears_that_its_release_was_pulled),
        T(a_device_that_asks_again_before_its_commit_is_stopped_too),
        T(a_release_on_trial_finishes_before_the_next),
        T(a_new_target_supersedes_a_download),
        T(an_older_release_is_a_way_back_without_download_if_the_slot_holds_it),
        T(an_older_release_that_is_not_there_fails_at_once_with_a_reason),
        T(no_manifest_for_its_hardware_means_no_offer),
        T(a_device_that_reports_another_class_gets_nothing),
        T(a_suspected_clone_is_told_once_and_changes_nothing_else),
        T(a_restored_backup_jumps_above_what_the_device_knows),
        T(an_absurd_counter_is_an_alarm_and_no_jump),
        T(a_device_that_timed_out_is_offered_the_release_again),
        T(the_clock_at_1970_and_in_2106_changes_nothing_but_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
