#include "server/fleet/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "server/fleet/event.h"

enum { PRODUCT = 5, CLASS = 6 };

static struct sf_enrol request_with(uint8_t secret)
{
    struct sf_enrol request = {.id = "lamp-1"};
    memset(request.secret_digest, secret, sizeof request.secret_digest);
    memset(request.class_uuid, 0xc1, sizeof request.class_uuid);
    return request;
}

static struct enrol_decision enrol(const struct device *known, uint8_t secret)
{
    struct sf_enrol request = request_with(secret);
    struct enrol_input in = {&request, known, PRODUCT, CLASS, PRODUCT};
    struct enrol_decision out;
    device_enrol(&in, 1000, &out);
    return out;
}

static void a_new_device_with_a_good_token_is_enrolled(void **state)
{
    (void)state;
    struct enrol_decision d = enrol(NULL, 1);
    assert_int_equal(d.verdict, ENROL_NEW);
    assert_true(d.changed);
    assert_string_equal(d.device.id, "lamp-1");
    assert_int_equal(d.device.state, DEVICE_ENROLLED);
    assert_int_equal(d.device.product_id, PRODUCT);
    assert_int_equal(d.device.class_id, CLASS);
    assert_int_equal(d.device.desired_seq, 1);
    assert_int_equal(d.device.enrolled_at, 1000);
    assert_int_equal(d.event.kind, EVENT_ENROLLED);
    assert_int_equal(device_authenticate(&d.device, d.device.secret_digest), SF_OK);
}

static void enrolling_again_with_the_same_secret_changes_nothing(void **state)
{
    (void)state;
    struct device known = enrol(NULL, 1).device;
    struct enrol_decision d = enrol(&known, 1);
    assert_int_equal(d.verdict, ENROL_KNOWN);
    assert_false(d.changed);
}

static void another_secret_waits_and_the_first_goes_on_working(void **state)
{
    (void)state;
    struct device known = enrol(NULL, 1).device;
    struct enrol_decision d = enrol(&known, 2);
    uint8_t other[DIGEST_SIZE];
    uint8_t third[DIGEST_SIZE];
    memset(other, 2, sizeof other);
    memset(third, 3, sizeof third);
    assert_int_equal(d.verdict, ENROL_QUARANTINED);
    assert_true(d.changed);
    assert_int_equal(d.device.state, DEVICE_QUARANTINED);
    assert_int_equal(d.event.kind, EVENT_QUARANTINED);
    assert_int_equal(device_authenticate(&d.device, known.secret_digest), SF_OK);
    assert_int_equal(device_authenticate(&d.device, other), SF_ERR_QUARANTINED);
    assert_int_equal(device_authenticate(&d.device, third), SF_ERR_UNAUTHORIZED);

    struct enrol_decision again = enrol(&d.device, 2);
    assert_int_equal(again.verdict, ENROL_QUARANTINED);
    assert_false(again.changed);
    struct enrol_decision newest = enrol(&d.device, 3);
    assert_true(newest.changed);
    assert_int_equal(device_authenticate(&newest.device, other), SF_ERR_UNAUTHORIZED);
    assert_int_equal(device_authenticate(&newest.device, third), SF_ERR_QUARANTINED);
}

static void an_operator_approves_or_rejects_the_other_secret(void **state)
{
    (void)state;
    struct event event;
    struct device known = enrol(NULL, 1).device;
    struct device waiting = enrol(&known, 2).device;
    struct device approved = waiting;
    struct device rejected = waiting;
    assert_int_equal(device_approve(&known, 5, &event), SF_ERR_STATE);
    assert_int_equal(device_reject(&known, 5, &event), SF_ERR_STATE);

    assert_int_equal(device_approve(&approved, 5, &event), SF_OK);
    assert_int_equal(event.kind, EVENT_APPROVED);
    assert_int_equal(approved.state, DEVICE_ENROLLED);
    assert_int_equal(device_authenticate(&approved, waiting.pending_digest), SF_OK);
    assert_int_equal(device_authenticate(&approved, known.secret_digest), SF_ERR_UNAUTHORIZED);

    assert_int_equal(device_reject(&rejected, 5, &event), SF_OK);
    assert_int_equal(event.kind, EVENT_REJECTED);
    assert_int_equal(rejected.state, DEVICE_ENROLLED);
    assert_int_equal(device_authenticate(&rejected, waiting.pending_digest), SF_ERR_UNAUTHORIZED);
    assert_int_equal(device_authenticate(&rejected, known.secret_digest), SF_OK);
}

static void a_revoked_device_stays_out_until_a_new_secret_is_approved(void **state)
{
    (void)state;
    struct event event;
    struct device d = enrol(NULL, 1).device;
    assert_int_equal(device_revoke(&d, 7, &event), SF_OK);
    assert_int_equal(event.kind, EVENT_REVOKED);
    assert_int_equal(d.revoked_at, 7);
    assert_int_equal(device_authenticate(&d, d.secret_digest), SF_ERR_UNAUTHORIZED);
    assert_int_equal(device_revoke(&d, 8, &event), SF_ERR_STATE);

    struct enrol_decision same = enrol(&d, 1);
    assert_int_equal(same.verdict, ENROL_REFUSED);
    assert_int_equal(same.error, SF_ERR_UNAUTHORIZED);
    struct enrol_decision other = enrol(&d, 2);
    assert_int_equal(other.verdict, ENROL_QUARANTINED);
    assert_int_equal(other.device.state, DEVICE_REVOKED);
    assert_int_equal(device_approve(&other.device, 9, &event), SF_OK);
    assert_int_equal(other.device.state, DEVICE_ENROLLED);
    assert_int_equal(other.device.revoked_at, 0);
}

static void refuses_enrolment_with_a_reason(void **state)
{
    (void)state;
    struct device known = enrol(NULL, 1).device;
    struct device elsewhere = known;
    elsewhere.product_id = PRODUCT + 1;
    struct sf_enrol good = request_with(1);
    struct sf_enrol bad_id = good;
    struct sf_enrol no_secret = request_with(0);
    memcpy(bad_id.id, "a b", 4);
    const struct {
        struct enrol_input in;
        int error;
    } rows[] = {
        {{&good, NULL, PRODUCT, CLASS, 0}, SF_ERR_UNAUTHORIZED},      /* no such token */
        {{&good, NULL, PRODUCT, CLASS, PRODUCT + 1}, SF_ERR_CLASS},   /* another's token */
        {{&good, NULL, 0, 0, PRODUCT}, SF_ERR_CLASS},                 /* no such class */
        {{&good, &elsewhere, PRODUCT, CLASS, PRODUCT}, SF_ERR_CLASS}, /* moves between products */
        {{&bad_id, NULL, PRODUCT, CLASS, PRODUCT}, SF_ERR_FORMAT},
        {{&no_secret, NULL, PRODUCT, CLASS, PRODUCT}, SF_ERR_UNAUTHORIZED}, /* digest of zeros */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct enrol_decision out;
        device_enrol(&rows[i].in, 1, &out);
        assert_int_equal(out.verdict, ENROL_REFUSED);
        assert_int_equal(out.error, rows[i].error);
        assert_false(out.changed);
    }
}

static void no_pending_secret_means_a_digest_of_zeros_does_not_match_it(void **state)
{
    (void)state;
    static const uint8_t zeros[DIGEST_SIZE];
    struct device d = enrol(NULL, 1).device;
    assert_int_equal(device_authenticate(&d, zeros), SF_ERR_UNAUTHORIZED);
    memset(&d, 0, sizeof d);
    assert_int_equal(device_authenticate(&d, zeros), SF_ERR_UNAUTHORIZED);
}

/* ---- clones ---- */

static struct sf_checkin boot(uint32_t count, uint8_t id)
{
    struct sf_checkin c = {.boot_count = count};
    memset(c.boot_id, id, sizeof c.boot_id);
    return c;
}

static void see(struct device_seen *seen, uint32_t count, uint8_t id)
{
    struct sf_checkin c = boot(count, id);
    device_seen_update(seen, &c, 60, 1000);
}

static int suspected(const struct device_seen *seen, uint32_t count, uint8_t id)
{
    struct sf_checkin c = boot(count, id);
    return device_clone_suspicion(seen, &c) != NULL;
}

static void boots_that_go_forward_are_not_suspicious(void **state)
{
    (void)state;
    struct device_seen seen = {0};
    assert_false(suspected(&seen, 9, 1));
    for (uint32_t i = 1; i < 20; i++) {
        see(&seen, i, (uint8_t)i);
        assert_false(suspected(&seen, i, (uint8_t)i));
        assert_false(suspected(&seen, i + 1, (uint8_t)(i + 1)));
    }
}

static void a_boot_count_that_goes_back_is_suspicious(void **state)
{
    (void)state;
    struct device_seen seen = {0};
    see(&seen, 100, 1);
    assert_true(suspected(&seen, 99, 2));
    assert_false(suspected(&seen, 100, 2));
}

static void two_boots_that_alternate_are_suspicious(void **state)
{
    (void)state;
    struct device_seen seen = {0};
    see(&seen, 100, 1);
    see(&seen, 101, 2);
    assert_true(suspected(&seen, 100, 1));
    assert_true(suspected(&seen, 102, 1));
    assert_false(suspected(&seen, 102, 3));
}

static void alarms_stand_until_somebody_clears_them(void **state)
{
    (void)state;
    struct event event;
    struct device d = enrol(NULL, 1).device;
    assert_int_equal(device_clear_alarms(&d, 3, &event), SF_ERR_STATE);
    d.alarms = DEVICE_ALARM_CLONE | DEVICE_ALARM_COUNTER;
    assert_int_equal(device_clear_alarms(&d, 3, &event), SF_OK);
    assert_int_equal(d.alarms, 0);
    assert_string_equal(event_kind_str(event.kind), "alarms_cleared");
    assert_string_equal(event_kind_str(9999), "unknown");
    assert_string_equal(device_state_str(DEVICE_QUARANTINED), "quarantined");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_device_with_a_good_token_is_enrolled),
        cmocka_unit_test(enrolling_again_with_the_same_secret_changes_nothing),
        cmocka_unit_test(another_secret_waits_and_the_first_goes_on_working),
        cmocka_unit_test(an_operator_approves_or_rejects_the_other_secret),
        cmocka_unit_test(a_revoked_device_stays_out_until_a_new_secret_is_approved),
        cmocka_unit_test(refuses_enrolment_with_a_reason),
        cmocka_unit_test(no_pending_secret_means_a_digest_of_zeros_does_not_match_it),
        cmocka_unit_test(boots_that_go_forward_are_not_suspicious),
        cmocka_unit_test(a_boot_count_that_goes_back_is_suspicious),
        cmocka_unit_test(two_boots_that_alternate_are_suspicious),
        cmocka_unit_test(alarms_stand_until_somebody_clears_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
