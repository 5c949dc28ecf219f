/* What a plain client is answered, and what its request tells. */
#include "server/fleet/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PRODUCT = 5, NOW = 1700000000 };

static const struct plain_stable none;

static struct plain_stable release(void)
{
    struct plain_stable r = {.release_id = 7, .class_id = 3, .size = 1000, .version = "1.1.0"};
    memset(r.md5, 0x11, sizeof r.md5);
    memset(r.app_sha256, 0x22, sizeof r.app_sha256);
    memset(r.digest, 0x33, sizeof r.digest);
    return r;
}

static struct plain_report arduino(void)
{
    return (struct plain_report){.client = PLAIN_CLIENT_ESP32, .id = "24dcc3000001"};
}

static void who_only_asks_for_the_file_gets_it(void **state)
{
    (void)state;
    const struct plain_stable r = release();
    const struct plain_report p = {.client = PLAIN_CLIENT_OTHER, .version = "1.1.0"};
    assert_int_equal(plain_decide(&p, &r, 0), PLAIN_SEND);
    assert_int_equal(plain_decide(&p, &none, 0), PLAIN_NOTHING);
    assert_int_equal(plain_decide(&p, &r, 1), PLAIN_FROZEN);
}

static void http_update_is_up_to_date_by_checksum_hash_or_version(void **state)
{
    (void)state;
    const struct plain_stable r = release();
    struct plain_report p = arduino();
    assert_int_equal(plain_decide(&p, &r, 0), PLAIN_SEND);
    p.has_md5 = 1;
    assert_int_equal(plain_decide(&p, &r, 0), PLAIN_SEND);
    memset(p.md5, 0x11, sizeof p.md5);
    assert_int_equal(plain_decide(&p, &r, 0), PLAIN_UP_TO_DATE);
    p = arduino();
    p.has_app_sha256 = 1;
    memset(p.app_sha256, 0x22, sizeof p.app_sha256);
    assert_int_equal(plain_decide(&p, &r, 0), PLAIN_UP_TO_DATE);
    p = arduino();
    (void)snprintf(p.version, sizeof p.version, "1.1.0");
    assert_int_equal(plain_decide(&p, &r, 0), PLAIN_UP_TO_DATE);
}

/* Zeros are what an image without appended hash has, and what a client may send. */
static void no_hash_equals_no_hash_of_nothing(void **state)
{
    (void)state;
    struct plain_stable r = release();
    struct plain_report p = arduino();
    memset(r.app_sha256, 0, sizeof r.app_sha256);
    p.has_app_sha256 = 1;
    assert_int_equal(plain_decide(&p, &r, 0), PLAIN_SEND);
}

static void http_update_hears_of_no_failure_when_there_is_nothing(void **state)
{
    (void)state;
    const struct plain_stable r = release();
    struct plain_report p = arduino();
    assert_int_equal(plain_decide(&p, &none, 0), PLAIN_UP_TO_DATE);
    assert_int_equal(plain_decide(&p, &r, 1), PLAIN_UP_TO_DATE);
    p.filesystem = 1;
    assert_int_equal(plain_decide(&p, &r, 0), PLAIN_NOTHING);
}

static struct device known;

static const struct plain_decision *observe(const struct plain_report *p,
                                            const struct plain_stable *r)
{
    static struct plain_decision d;
    const struct plain_input in = {.known = known.row != 0 ? &known : NULL,
                                   .report = p,
                                   .release = r,
                                   .answer = plain_decide(p, r, 0),
                                   .product_id = PRODUCT};
    plain_observe(&in, NOW, &d);
    if (d.changed) {
        known = d.device;
        known.row = known.row != 0 ? known.row : 1;
    }
    return &d;
}

static int forget(void **state)
{
    (void)state;
    memset(&known, 0, sizeof known);
    return 0;
}

static void a_device_is_told_of_once_and_again_when_it_changes(void **state)
{
    (void)state;
    const struct plain_stable r = release();
    struct plain_report p = arduino();
    p.has_md5 = 1;
    memset(p.md5, 0x44, sizeof p.md5);
    (void)snprintf(p.version, sizeof p.version, "1.0.0");
    const struct plain_decision *d = observe(&p, &r);
    assert_true(d->recorded && d->changed);
    assert_int_equal(d->event_count, 2);
    assert_int_equal(d->event[0].kind, EVENT_FIRST_REPORT);
    assert_int_equal(d->event[1].kind, EVENT_OFFERED);
    assert_int_equal(d->device.kind, DEVICE_PLAIN);
    assert_string_equal(d->device.running_version, "1.0.0");
    d = observe(&p, &r);
    assert_true(d->recorded);
    assert_false(d->changed);
    memset(p.md5, 0x11, sizeof p.md5);
    p.version[0] = '\0'; /* the checksum says which it is */
    d = observe(&p, &r);
    assert_int_equal(d->event_count, 2);
    assert_int_equal(d->event[0].kind, EVENT_RUNNING);
    assert_int_equal(d->event[1].kind, EVENT_CONFIRMED);
    assert_string_equal(d->device.running_version, "1.1.0");
    assert_memory_equal(d->device.running_digest, r.digest, DIGEST_SIZE);
    assert_false(observe(&p, &r)->changed);
}

static void an_image_that_does_not_fit_is_told(void **state)
{
    (void)state;
    const struct plain_stable r = release();
    struct plain_report p = arduino();
    p.free_space = 999;
    const struct plain_decision *d = observe(&p, &r);
    assert_int_equal(d->event[1].kind, EVENT_OFFERED);
    assert_int_equal(d->event[1].error, SF_ERR_NOSPC);
}

/* By the kind of the device, by its product, and after an operator's word. */
static void a_plain_report_touches_nothing_that_is_not_its_own(void **state)
{
    (void)state;
    const struct plain_stable r = release();
    const struct plain_report p = arduino();
    static const struct device others[] = {
        {.row = 1, .product_id = PRODUCT, .kind = DEVICE_NATIVE},
        {.row = 1, .product_id = PRODUCT, .kind = 0}, /* of the time before there were kinds */
        {.row = 1, .product_id = PRODUCT + 1, .kind = DEVICE_PLAIN},
        {.row = 1, .product_id = PRODUCT, .kind = DEVICE_PLAIN, .state = DEVICE_REVOKED},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        known = others[i];
        const struct plain_decision *d = observe(&p, &r);
        assert_false(d->recorded || d->changed);
    }
    assert_false(plain_may_update(&others[3], PRODUCT));
    assert_true(plain_may_update(&others[0], PRODUCT));
    assert_true(plain_may_update(NULL, PRODUCT));
}

static void who_says_no_name_is_not_written_down(void **state)
{
    (void)state;
    const struct plain_stable r = release();
    const struct plain_report p = {.client = PLAIN_CLIENT_ESP32};
    assert_false(observe(&p, &r)->recorded);
    const struct plain_report named = arduino();
    assert_false(observe(&named, &none)->recorded); /* of no hardware revision */
}

static void a_mac_is_written_as_native_ids_are(void **state)
{
    (void)state;
    char id[SF_DEVICE_ID_MAX + 1] = "";
    assert_true(plain_id_from_mac("24:DC:C3:00:0a:Ff", id));
    assert_string_equal(id, "24dcc3000aff");
    static const char *const bad[] = {"",
                                      "24:DC:C3:00:0A",
                                      "24:DC:C3:00:0A:FG",
                                      "24-DC-C3-00-0A-FF",
                                      "24:DC:C3:00:0A:FF:00",
                                      "24DCC3000AFF",
                                      "24:DC:C3:00:0A:F"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(plain_id_from_mac(bad[i], id));
    }
}

static void access_has_three_names(void **state)
{
    (void)state;
    for (uint32_t a = PLAIN_ACCESS_NONE; a <= PLAIN_ACCESS_OPEN; a++) {
        assert_int_equal(plain_access_from(plain_access_str(a)), (int)a);
    }
    assert_int_equal(plain_access_from("everybody"), -1);
    assert_string_equal(plain_access_str(77), "none");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, forget)
    const struct CMUnitTest tests[] = {
        T(who_only_asks_for_the_file_gets_it),
        T(http_update_is_up_to_date_by_checksum_hash_or_version),
        T(no_hash_equals_no_hash_of_nothing),
        T(http_update_hears_of_no_failure_when_there_is_nothing),
        T(a_device_is_told_of_once_and_again_when_it_changes),
        T(an_image_that_does_not_fit_is_told),
        T(a_plain_report_touches_nothing_that_is_not_its_own),
        T(who_says_no_name_is_not_written_down),
        T(a_mac_is_written_as_native_ids_are),
        T(access_has_three_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
