/* Check-ins with anything in any order: the invariants of server/fleet/checkin.h hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "formats/otadata.h"
#include "tests/server/fleet_world.h"

static struct world w;

static uint32_t rng;

static uint32_t any(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 17;
    rng ^= rng << 5;
    return rng % below;
}

static void random_report(void)
{
    static const int errors[] = {SF_OK,         SF_ERR_CRASHED,   SF_ERR_STALLED,  SF_ERR_POWER,
                                 SF_ERR_DIGEST, SF_ERR_CANCELLED, SF_ERR_NO_SERVER};
    w.now += any(4000);
    if (any(4) == 0) {
        world_runs(&w, 1 + any(4));
    }
    w.report.phase = (uint8_t)any(6);
    w.report.phase_counter = w.device.desired_seq - any(2);
    w.report.running_state = any(3) == 0 ? SF_OTA_PENDING_VERIFY : SF_OTA_VALID;
    w.report.seq = any(10);
    w.report.outcome.counter = any(3) == 0 ? w.device.desired_seq - any(2) : 0;
    w.report.outcome.attempt = 1 + any(3);
    w.report.outcome.error = errors[any(7)];
    w.report.other_count = any(2);
    w.report.other[0] = (struct sf_other_slot){
        .slot = 1, .content = (uint8_t)any(3), .has_digest = 1, .confirmed_here = 1};
    memset(w.report.other[0].digest, (int)(1 + any(4)), DIGEST_SIZE);
    w.report.last_counter = any(50) == 0 ? w.device.desired_seq + any(5) : w.device.desired_seq;
    if (any(6) == 0) {
        world_target(&w, any(5));
    }
    w.frozen = any(5) == 0;
}

static void check_invariants(const struct world *before)
{
    const struct checkin_decision *d = &w.last;
    unsigned active = 0;
    for (unsigned i = 0; i < w.deployment_count; i++) {
        active += (unsigned)deployment_active(w.deployment[i].state);
        if (i < before->deployment_count && !deployment_active(before->deployment[i].state)) {
            assert_int_equal(w.deployment[i].state, before->deployment[i].state);
        }
    }
    assert_true(active <= 1);
    assert_true(d->answer.counter >= before->device.desired_seq);
    assert_true(d->answer.counter >= w.report.last_counter);
    int same = before->device.desired_action == w.device.desired_action &&
               before->device.desired_release == w.device.desired_release && !d->created &&
               w.report.last_counter <= before->device.desired_seq;
    const struct deployment *offered = world_current(&w);
    int offered_again = offered != NULL && offered->counter == w.device.desired_seq;
    if (same && d->answer.counter != before->device.desired_seq) {
        assert_true(offered_again); /* a retry */
    }
    for (unsigned i = 0; w.frozen && i < d->event_count; i++) {
        assert_int_not_equal(d->event[i].kind, EVENT_OFFERED);
    }
    int gives = d->answer.action == SF_STATUS_INSTALL || d->answer.action == SF_STATUS_ROLL_BACK;
    assert_int_equal(gives, d->answer.release_id != 0);
    if (gives) {
        assert_non_null(offered);
        if (offered == NULL) {
            return;
        }
        assert_true(deployment_active(offered->state));
        assert_int_equal(offered->release_id, d->answer.release_id);
        assert_int_equal(offered->counter, d->answer.counter);
    }
    assert_true(d->event_count < CHECKIN_EVENT_MAX);
}

static void whatever_devices_report_the_invariants_hold(void **state)
{
    (void)state;
    static struct world before;
    for (uint32_t seed = 1; seed <= 400; seed++) {
        rng = seed * 2654435761u;
        print_message(seed == 1 ? "seeds 1 to 400\n" : "");
        world_init(&w);
        for (int i = 0; i < 200; i++) {
            struct checkin_decision again;
            random_report();
            before = w;
            (void)world_checkin(&w);
            check_invariants(&before);
            world_decide(&w, &again);
            if (again.changed) {
                print_error("seed %u, step %d: the same report changed something twice\n", seed, i);
            }
            assert_false(again.changed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_devices_report_the_invariants_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
