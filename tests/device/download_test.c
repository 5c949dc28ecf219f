/* The download over time: refusals to serve, slow and silent peers, check-ins and cancels in
 * between, wrong content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

static unsigned calls; /* of the test's script on image requests */

static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    rig_target(r, &r->v2);
    calls = 0;
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static int is_image(const struct sf_request *request)
{
    return strncmp(request->path, "/artifacts/", 11) == 0;
}

static void assert_installed(struct rig *r)
{
    struct sf_otadata_entry entry[2];
    assert_memory_equal(r->chip.cells + RIG_SLOT_1, r->v2.image, r->v2.image_len);
    rig_otadata(r, entry);
    assert_int_equal(sf_otadata_slot(&entry[sf_otadata_active(entry)], 2), 1);
}

static void assert_untouched(struct rig *r)
{
    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    assert_int_equal(sf_otadata_slot(&entry[sf_otadata_active(entry)], 2), 0);
    assert_memory_equal(r->chip.cells + RIG_SLOT_0, r->v1.image, r->v1.image_len);
}

static void installs(struct rig *r, rig_script *script)
{
    r->server.script = script;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_installed(r);
}

static void close_at_the_very_end(struct rig *r, const struct sf_request *request,
                                  struct rig_reply *reply)
{
    (void)r;
    reply->end = is_image(request) ? SF_ERR_CLOSED : SF_OK;
}

static struct rig_release long_image; /* v2 with other bytes */

/* ---- status codes ---- */

static int code;

static void answer_code(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (is_image(request)) {
        reply->head.status = code;
        reply->head.content_len = 9;
        reply->body_len = 9;
    }
}

static void answers_of_other_codes_install_nothing(void **state)
{
    static const struct {
        int code;
        int err;
    } cases[] = {
        {204, SF_ERR_HTTP_STATUS},    {301, SF_ERR_REDIRECT},     {302, SF_ERR_REDIRECT},
        {304, SF_ERR_HTTP_STATUS},    {307, SF_ERR_REDIRECT},     {400, SF_ERR_HTTP_STATUS},
        {401, SF_ERR_UNAUTHORIZED},   {403, SF_ERR_UNAUTHORIZED}, {404, SF_ERR_HTTP_NOT_FOUND},
        {410, SF_ERR_HTTP_NOT_FOUND}, {429, SF_ERR_THROTTLED},    {500, SF_ERR_SERVER},
        {502, SF_ERR_SERVER},         {503, SF_ERR_THROTTLED},    {100, SF_ERR_HTTP_STATUS},
        {0, SF_ERR_HTTP_STATUS},      {-1, SF_ERR_HTTP_STATUS},   {999, SF_ERR_HTTP_STATUS},
    };
    struct rig *r = *state;
    const uint64_t operations = r->chip.op_count;
    r->server.script = answer_code;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        code = cases[i].code;
        rig_target(r, &r->v2);
        const unsigned outcomes = r->server.outcome_count;
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_int_equal(r->server.outcome_count, outcomes + 1);
        assert_int_equal(r->server.outcome[outcomes].error, cases[i].err);
        assert_int_equal(r->chip.op_count, operations);
    }
}

static uint64_t throttled_at;

static void throttle_once(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    if (!is_image(request)) {
        return;
    }
    if (calls++ == 0) {
        throttled_at = r->now_ms;
        reply->head.status = 503;
        reply->head.retry_after_s = 600;
        reply->body_len = 0;
        reply->head.content_len = 0;
    } else {
        assert_in_range(r->now_ms - throttled_at, 600000, 661000);
    }
}

static void comes_back_when_retry_after_says(void **state)
{
    installs(*state, throttle_once);
    assert_int_equal(calls, 2);
}

static void throttle_for_ever(struct rig *r, const struct sf_request *request,
                              struct rig_reply *reply)
{
    (void)r;
    if (is_image(request)) {
        reply->head.status = 429;
        reply->head.retry_after_s = UINT32_MAX;
        reply->body_len = 0;
        reply->head.content_len = 0;
    }
}

static void waits_no_longer_than_the_download_may_take(void **state)
{
    struct rig *r = *state;
    const uint64_t start = r->now_ms;
    r->server.script = throttle_for_ever;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_DEADLINE);
    assert_true(r->now_ms - start < 18000000);
}

/* ---- slow ---- */

static void trickle(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (is_image(request)) {
        reply->chunk_len = 1;
        reply->chunk_ms = 10000;
    }
}

static void gives_up_on_a_byte_in_ten_seconds(void **state)
{
    struct rig *r = *state;
    r->server.script = trickle;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_TOO_SLOW);
}

static void silence(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (is_image(request) && calls++ == 0) {
        reply->body_len = 70000;
        reply->end = SF_ERR_STALLED;
        throttled_at = r->now_ms;
    } else if (is_image(request)) {
        assert_int_equal(request->range_offset, 69632); /* keeps what it has */
        assert_in_range(r->now_ms - throttled_at, 30000, 40000);
    }
}

static void gives_up_a_connection_that_falls_silent_and_keeps_what_it_has(void **state)
{
    installs(*state, silence);
    assert_int_equal(calls, 2);
}

static void slow_but_steady(struct rig *r, const struct sf_request *request,
                            struct rig_reply *reply)
{
    (void)r;
    if (is_image(request)) {
        reply->chunk_len = 1460;
        reply->chunk_ms = 10000; /* 8760 bytes a minute: 17 minutes */
    }
}

static void checks_in_during_a_long_download(void **state)
{
    struct rig *r = *state;
    const unsigned before = r->server.checkins;
    installs(r, slow_but_steady);
    assert_in_range(r->server.checkins - before, 4, 8); /* first, every 4 minutes, before commit */
    assert_int_equal(r->server.last.phase, SF_PHASE_INSTALLED);
}

static void pull_while_downloading(struct rig *r, const struct sf_request *request,
                                   struct rig_reply *reply)
{
    slow_but_steady(r, request, reply);
    if (is_image(request)) {
        r->server.target = NULL;
        r->server.counter++;
    }
}

static void a_cancel_arrives_during_a_long_download(void **state)
{
    struct rig *r = *state;
    r->server.script = pull_while_downloading;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_CANCELLED);
    assert_int_equal(r->server.outcome[0].counter, 2); /* of the deployment, not of the cancel */
    assert_untouched(r);
}

static void replace_while_downloading(struct rig *r, const struct sf_request *request,
                                      struct rig_reply *reply)
{
    slow_but_steady(r, request, reply);
    if (is_image(request) && calls++ == 0) {
        rig_target(r, &r->v3);
    }
}

static void a_newer_release_replaces_the_one_being_downloaded(void **state)
{
    struct rig *r = *state;
    r->server.script = replace_while_downloading;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_SUPERSEDED);
    assert_memory_equal(r->chip.cells + RIG_SLOT_1, r->v3.image, r->v3.image_len);
}

static void take_server_down(struct rig *r, const struct sf_request *request,
                             struct rig_reply *reply)
{
    slow_but_steady(r, request, reply);
    if (!is_image(request) && calls > 0 && calls < 4) {
        reply->refused = SF_ERR_CONNECT;
    }
    calls += is_image(request) ? 1U : 0U;
}

static void a_check_in_that_fails_in_between_stops_no_download(void **state)
{
    installs(*state, take_server_down);
}

/* ---- the application ---- */

static void cancel_in_the_middle(struct rig *r, const struct sf_request *request,
                                 struct rig_reply *reply)
{
    (void)reply;
    if (is_image(request)) {
        calls++;
        sf_engine_poke(&r->engine, SF_POKE_CANCEL, r->now_ms);
    }
}

static void the_application_cancels_and_it_stays_cancelled(void **state)
{
    struct rig *r = *state;
    r->server.script = cancel_in_the_middle;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(calls, 1);
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_CANCELLED);
    r->server.script = NULL;
    rig_target(r, &r->v2); /* a new counter is a new request */
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
}

/* ---- content ---- */

static void flip_byte(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    if (is_image(request)) {
        memcpy(long_image.image, r->v2.image, r->v2.image_len);
        long_image.image[100000] ^= 0x10;
        reply->body = long_image.image + request->range_offset;
        calls++;
    }
}

static void wrong_bytes_are_found_by_the_read_back_and_tried_three_times(void **state)
{
    struct rig *r = *state;
    r->server.script = flip_byte;
    for (unsigned i = 0; i < 600; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(calls, SF_SOFT_ATTEMPTS);
    assert_int_equal(r->server.outcome_count, SF_SOFT_ATTEMPTS);
    assert_int_equal(r->server.outcome[2].error, SF_ERR_DIGEST);
    assert_int_equal(r->server.outcome[2].attempt, 3);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_REFUSED);
    assert_int_equal(sf_engine_view(&r->engine).update_due, 0);
    assert_untouched(r);
    rig_boot(r, SF_RESET_POWER_ON); /* a reset does not forget it */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(calls, SF_SOFT_ATTEMPTS);
    r->server.script = NULL;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_installed(r);
}

static void byte_by_byte(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    reply->chunk_len = is_image(request) ? 1 : reply->chunk_len;
}

static void pieces_of_any_size_make_the_same_image(void **state)
{
    installs(*state, byte_by_byte);
}

static void in_one_piece(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->chunk_len = RIG_ENDLESS;
}

static void an_image_in_one_piece_is_taken_sector_by_sector(void **state)
{
    installs(*state, in_one_piece);
}

static void the_credential_goes_with_the_download_to_the_server(void **state)
{
    struct rig *r = *state;
    installs(r, close_at_the_very_end);
    assert_memory_equal(r->server.last_authorization, "Bearer lamp-0001.", 17);
    assert_int_equal(strlen(r->server.last_authorization), 17 + SF_SECRET_HEX_SIZE);
}

static struct sf_record_progress progress;

static void look_at_progress(struct rig *r, const struct sf_request *request,
                             struct rig_reply *reply)
{
    if (is_image(request) && request->range_offset > 0) {
        assert_int_equal(sf_record_load(&r->store.ops, SF_RECORD_PROG, &progress), SF_OK);
    }
    if (is_image(request) && reply->body_len > 70000) {
        reply->body_len = 70000;
        reply->end = SF_ERR_CLOSED;
    }
}

static void progress_is_recorded_every_64_kib_and_never_ahead(void **state)
{
    struct rig *r = *state;
    installs(r, look_at_progress);
    assert_int_equal(progress.bytes, 131072);
    assert_int_equal(progress.slot, 1);
    assert_int_equal(progress.length, r->v2.image_len);
    assert_memory_equal(progress.digest, r->v2.digest, SF_SHA256_SIZE);
    assert_int_equal(sf_record_load(&r->store.ops, SF_RECORD_PROG, &progress), SF_ERR_NOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_of_other_codes_install_nothing),
        TEST(comes_back_when_retry_after_says),
        TEST(waits_no_longer_than_the_download_may_take),
        TEST(gives_up_on_a_byte_in_ten_seconds),
        TEST(gives_up_a_connection_that_falls_silent_and_keeps_what_it_has),
        TEST(checks_in_during_a_long_download),
        TEST(a_cancel_arrives_during_a_long_download),
        TEST(a_newer_release_replaces_the_one_being_downloaded),
        TEST(a_check_in_that_fails_in_between_stops_no_download),
        TEST(the_application_cancels_and_it_stays_cancelled),
        TEST(wrong_bytes_are_found_by_the_read_back_and_tried_three_times),
        TEST(pieces_of_any_size_make_the_same_image),
        TEST(an_image_in_one_piece_is_taken_sector_by_sector),
        TEST(the_credential_goes_with_the_download_to_the_server),
        TEST(progress_is_recorded_every_64_kib_and_never_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
