/* Enrolment, check-in and the waits between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "tests/device/rig.h"

static int setup(void **state)
{
    *state = rig_new();
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void rest(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

/* ---- enrolment ---- */

static void lose_the_answer(struct rig *r, const struct sf_request *request,
                            struct rig_reply *reply)
{
    (void)r;
    if (strcmp(request->path, "/device/v1/enrol") == 0) {
        reply->refused = SF_ERR_CLOSED; /* the server has done its part */
    }
}

static void the_same_secret_is_enrolled_again_after_a_lost_answer(void **state)
{
    struct rig *r = *state;
    uint8_t first[SF_SHA256_SIZE];
    r->server.script = lose_the_answer;
    rest(r);
    assert_int_equal(r->server.enrolments, 1);
    memcpy(first, r->server.secret_digest, sizeof(first));

    rig_boot(r, SF_RESET_POWER_ON); /* and power fails, too */
    r->server.script = NULL;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.enrolments, 2);
    assert_memory_equal(first, r->server.secret_digest, sizeof(first));
    assert_int_equal(r->server.checkins, 1);
}

static void the_secret_is_stored_before_the_server_hears_of_it(void **state)
{
    struct rig *r = *state;
    struct sf_record_cred cred;
    rig_boot(r, SF_RESET_POWER_ON);
    for (struct sf_action a = sf_engine_next(&r->engine, r->now_ms); a.kind != SF_ACTION_REQUEST;
         a = sf_engine_next(&r->engine, r->now_ms)) {
        (void)rig_step(r);
    }
    assert_int_equal(sf_record_load(&r->store.ops, SF_RECORD_CRED, &cred), SF_OK);
    assert_int_equal(cred.known, 0);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(sf_record_load(&r->store.ops, SF_RECORD_CRED, &cred), SF_OK);
    assert_int_equal(cred.known, 1);
}

static void the_bearer_token_is_the_id_and_the_enrolled_secret(void **state)
{
    struct rig *r = *state;
    uint8_t digest[SF_SHA256_SIZE];
    rest(r);
    const char *token = r->server.last_authorization;
    assert_memory_equal(token, "Bearer lamp-0001.", 17);
    assert_int_equal(sf_sha256(crypto_openssl(), token + 17, SF_SECRET_HEX_SIZE, digest), SF_OK);
    assert_memory_equal(digest, r->server.secret_digest, sizeof(digest));
}

static void an_enrolled_device_does_not_enrol_again(void **state)
{
    struct rig *r = *state;
    rest(r);
    rest(r);
    assert_int_equal(r->server.enrolments, 1);
    assert_int_equal(r->server.last.boot_count, 2);
}

static void in_quarantine_it_asks_slowly_until_approved(void **state)
{
    struct rig *r = *state;
    r->server.enrol_status = 202;
    rest(r);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_QUARANTINED);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_in_range(r->last_wait_ms, 300000, 1300000);
    }
    assert_int_equal(r->server.checkins, 0);
    r->server.enrol_status = 204;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.checkins, 1);
}

static void a_refused_token_is_tried_again_with_backoff(void **state)
{
    struct rig *r = *state;
    r->server.enrol_status = 401;
    rest(r);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_in_range(r->last_wait_ms, 1, 3600000);
    }
    assert_int_equal(r->server.checkins, 0);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_UNAUTHORIZED);
}

static void without_token_and_credential_it_waits_for_one_to_be_provisioned(void **state)
{
    struct rig *r = *state;
    struct sf_record_cred cred = {.secret = {1, 2, 3}, .known = 1};
    r->config.enrol_token = NULL;
    rest(r);
    assert_int_equal(r->server.checkins + r->server.enrolments, 0);
    assert_int_equal(sf_record_save(&r->store.ops, SF_RECORD_CRED, &cred), SF_OK);
    for (unsigned i = 0; i < 4 && r->server.checkins == 0; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(r->server.checkins, 1);
    assert_int_equal(r->server.enrolments, 0);
    assert_memory_equal(r->server.last_authorization, "Bearer lamp-0001.010203", 23);
}

static int unauthorized;

static void forget_the_device(struct rig *r, const struct sf_request *request,
                              struct rig_reply *reply)
{
    (void)r;
    if (strcmp(request->path, "/device/v1/checkin") == 0 && unauthorized) {
        reply->head.status = 401;
        reply->body_len = 0;
        reply->head.content_len = 0;
    }
}

static void a_server_that_forgot_the_device_gets_it_enrolled_again(void **state)
{
    struct rig *r = *state;
    uint8_t first[SF_SHA256_SIZE];
    rest(r);
    memcpy(first, r->server.secret_digest, sizeof(first));
    r->server.script = forget_the_device;
    unauthorized = 1;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    unauthorized = 0;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.enrolments, 2);
    assert_memory_equal(first, r->server.secret_digest, sizeof(first));
    assert_int_equal(r->server.checkins, 3);
}

/* ---- waits ---- */

static void checks_in_on_the_servers_interval_with_jitter(void **state)
{
    struct rig *r = *state;
    uint64_t shortest = UINT64_MAX;
    uint64_t longest = 0;
    r->server.next_checkin_s = 100;
    rest(r);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        shortest = r->last_wait_ms < shortest ? r->last_wait_ms : shortest;
        longest = r->last_wait_ms > longest ? r->last_wait_ms : longest;
    }
    assert_in_range(shortest, 90000, 95000);
    assert_in_range(longest, 105000, 110000);
    assert_int_equal(r->server.checkins, 101);
}

static void an_interval_of_the_server_is_bounded(void **state)
{
    struct rig *r = *state;
    r->server.next_checkin_s = 30 * 86400;
    rest(r);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_in_range(r->last_wait_ms, 544320000, 665280000); /* a week */
    r->server.next_checkin_s = UINT32_MAX;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_in_range(r->last_wait_ms, 544320000, 665280000);
    r->server.next_checkin_s = 0; /* not told: the configuration's, or an hour */
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_in_range(r->last_wait_ms, 3600 * 900, 3600 * 1100);
}

static void a_server_that_is_down_is_asked_ever_more_rarely(void **state)
{
    struct rig *r = *state;
    uint64_t total = 0;
    rest(r);
    r->server.is_down = 1;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        const uint64_t cap = i < 10 ? 5000ULL << i : 3600000;
        assert_in_range(r->last_wait_ms, 500, cap < 3600000 ? cap : 3600000);
        total += r->last_wait_ms;
    }
    assert_true(total > 36000000); /* full jitter: half the cap on average */
    r->server.is_down = 0;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_in_range(r->last_wait_ms, 54000, 66000); /* back to the interval */
}

static void no_image(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/artifacts/", 11) == 0) {
        reply->refused = SF_ERR_CONNECT;
    }
}

static void a_failed_update_is_tried_again_before_the_next_interval(void **state)
{
    struct rig *r = *state;
    r->server.next_checkin_s = 86400;
    rest(r);
    rig_target(r, &r->v2);
    r->server.script = no_image;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome_count, 1);
    r->server.script = NULL;
    const enum sf_action_kind kind = rig_settle_again(r);
    assert_int_equal(kind, SF_ACTION_REBOOT);
    assert_in_range(r->last_wait_ms, 1, 60000);
}

static uint32_t retry_after_s;

static void shed(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->head.status = 503;
    reply->head.retry_after_s = retry_after_s;
    reply->head.content_len = 0;
    reply->body_len = 0;
}

static void comes_back_no_earlier_than_retry_after(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->server.script = shed;
    retry_after_s = 7200;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_in_range(r->last_wait_ms, 7200 * 1000, 7200 * 1100);
    retry_after_s = UINT32_MAX;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_in_range(r->last_wait_ms, 86400 * 1000, 86400 * 1100);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_THROTTLED);
}

static void without_random_numbers_it_waits_and_comes_back(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->random_fails = 1;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_CRYPTO);
    assert_int_equal(r->server.checkins, 1); /* no nonce, no check-in */
    r->random_fails = 0;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.checkins, 2);
}

static void the_application_asks_for_a_check_in_now(void **state)
{
    struct rig *r = *state;
    rest(r);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(sf_engine_next(&r->engine, r->now_ms).kind, SF_ACTION_REQUEST);
}

/* ---- what a check-in costs and carries ---- */

static void an_unchanged_poll_writes_nothing(void **state)
{
    struct rig *r = *state;
    rest(r);
    const uint64_t operations = r->nvs.op_count + r->chip.op_count;
    for (unsigned i = 0; i < 50; i++) {
        r->server.time += 60;
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(r->nvs.op_count + r->chip.op_count, operations);
    r->server.time += 172800; /* the signed time is stored once a day */
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_true(r->nvs.op_count > operations);
}

static void each_request_has_its_own_nonce_and_each_boot_its_own_id(void **state)
{
    struct rig *r = *state;
    rest(r);
    const struct sf_checkin first = r->server.last;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_memory_not_equal(first.nonce, r->server.last.nonce, SF_NONCE_SIZE);
    assert_memory_equal(first.boot_id, r->server.last.boot_id, SF_BOOT_ID_SIZE);
    assert_true(r->server.last.uptime_s > first.uptime_s);
    rest(r);
    assert_memory_not_equal(first.boot_id, r->server.last.boot_id, SF_BOOT_ID_SIZE);
    assert_int_equal(r->server.last.boot_count, first.boot_count + 1);
}

static void an_outcome_is_repeated_until_acknowledged_across_resets(void **state)
{
    struct rig *r = *state;
    r->server.acknowledges = 0;
    rest(r);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.last.outcome.counter, 2);
    rest(r);
    assert_int_equal(r->server.last.outcome.counter, 2);
    assert_int_equal(sf_engine_view(&r->engine).outcome.counter, 2);
    r->server.acknowledges = 1;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.last.outcome.counter, 0);
    rest(r);
    assert_int_equal(r->server.last.outcome.counter, 0);
    assert_int_equal(r->server.outcome_count, 1);
}

static void a_clock_at_1970_or_beyond_2106_stops_neither_check_in_nor_update(void **state)
{
    static const int64_t times[] = {1, INT64_C(4294967296), INT64_C(1) << 40};
    struct rig *r = *state;
    const struct rig_release *releases[] = {&r->v2, &r->v3, &r->v1};
    r->v1.manifest.seq = 8; /* a return manifest */
    rig_sign(r, &r->v1);
    r->server.time = 0;
    rest(r);
    for (unsigned i = 0; i < 3; i++) {
        r->server.time = times[i];
        rig_install(r, releases[i]);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_int_equal(sf_engine_view(&r->engine).signed_time, times[i]);
        assert_memory_equal(r->server.last.running_digest, releases[i]->digest, SF_SHA256_SIZE);
    }
}

/* ---- answers that are none ---- */

static const char *captive = "<html><body>Please log in</body></html>";

static void captive_portal(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->body = (const uint8_t *)captive;
    reply->body_len = strlen(captive);
    reply->head.content_len = -1;
}

static void endless_answer(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->body = NULL;
    reply->body_len = RIG_ENDLESS;
    reply->head.content_len = -1;
}

static void announced_too_large(struct rig *r, const struct sf_request *request,
                                struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->head.content_len = SF_CHECKIN_ANSWER_MAX + 1;
}

static void cut_answer(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->body_len /= 2;
}

static void silent_answer(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->body_len = 10;
    reply->end = SF_ERR_STALLED;
}

static void trickling_answer(struct rig *r, const struct sf_request *request,
                             struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->chunk_len = 1;
    reply->chunk_ms = 5000;
}

static void elsewhere(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->head.status = 302;
}

static void what_is_no_answer_changes_nothing_and_is_asked_again(void **state)
{
    static const struct {
        rig_script *script;
        int err;
    } cases[] = {
        {captive_portal, SF_ERR_CBOR},
        {endless_answer, SF_ERR_TOO_LARGE},
        {announced_too_large, SF_ERR_TOO_LARGE},
        {cut_answer, SF_ERR_CLOSED},
        {silent_answer, SF_ERR_STALLED},
        {trickling_answer, SF_ERR_DEADLINE},
        {elsewhere, SF_ERR_REDIRECT},
    };
    struct rig *r = *state;
    rest(r);
    rig_target(r, &r->v2);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        r->server.script = cases[i].script;
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_int_equal(sf_engine_view(&r->engine).last_error, cases[i].err);
        assert_int_equal(sf_engine_view(&r->engine).status_counter, 1);
        assert_int_equal(r->server.downloads, 0);
    }
    r->server.script = NULL;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_secret_is_enrolled_again_after_a_lost_answer),
        TEST(the_secret_is_stored_before_the_server_hears_of_it),
        TEST(the_bearer_token_is_the_id_and_the_enrolled_secret),
        TEST(an_enrolled_device_does_not_enrol_again),
        TEST(in_quarantine_it_asks_slowly_until_approved),
        TEST(a_refused_token_is_tried_again_with_backoff),
        TEST(without_token_and_credential_it_waits_for_one_to_be_provisioned),
        TEST(a_server_that_forgot_the_device_gets_it_enrolled_again),
        TEST(checks_in_on_the_servers_interval_with_jitter),
        TEST(an_interval_of_the_server_is_bounded),
        TEST(a_server_that_is_down_is_asked_ever_more_rarely),
        TEST(a_failed_update_is_tried_again_before_the_next_interval),
        TEST(comes_back_no_earlier_than_retry_after),
        TEST(without_random_numbers_it_waits_and_comes_back),
        TEST(the_application_asks_for_a_check_in_now),
        TEST(an_unchanged_poll_writes_nothing),
        TEST(each_request_has_its_own_nonce_and_each_boot_its_own_id),
        TEST(an_outcome_is_repeated_until_acknowledged_across_resets),
        TEST(a_clock_at_1970_or_beyond_2106_stops_neither_check_in_nor_update),
        TEST(what_is_no_answer_changes_nothing_and_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
