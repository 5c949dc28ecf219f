/* The download against servers and networks that misbehave: whatever happens, the slot ends with
 * exactly the signed image, or otadata stays as it was and the device goes on checking in. */
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

/* The deployment ends with `err`; good behaviour afterwards installs it after all. */
static void fails(struct rig *r, rig_script *script, int err)
{
    r->server.script = script;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(r->server.outcome[0].error, err);
    assert_untouched(r);
    r->server.script = NULL;
    for (unsigned i = 0; i < 100; i++) {
        if (rig_settle_again(r) == SF_ACTION_REBOOT) {
            assert_installed(r);
            return;
        }
    }
    fail_msg("not tried again");
}

/* ---- lost connections ---- */

static void close_every_50k(struct rig *r, const struct sf_request *request,
                            struct rig_reply *reply)
{
    (void)r;
    if (is_image(request) && reply->body_len > 50000) {
        reply->body_len = 50000;
        reply->end = SF_ERR_CLOSED;
    }
}

static void goes_on_where_a_connection_broke(void **state)
{
    struct rig *r = *state;
    installs(r, close_every_50k);
    assert_int_equal(r->server.downloads, 4);
    assert_int_equal(r->server.ranges, 3);
}

static void close_in_order(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    close_every_50k(r, request, reply);
    reply->end = SF_OK; /* ends like a whole answer, but short of its Content-Length */
}

static void takes_a_truncated_body_for_a_lost_connection(void **state)
{
    installs(*state, close_in_order);
}

static void close_in_order_unannounced(struct rig *r, const struct sf_request *request,
                                       struct rig_reply *reply)
{
    close_in_order(r, request, reply);
    reply->head.content_len = is_image(request) ? -1 : reply->head.content_len;
}

static void takes_a_short_body_of_unknown_length_for_a_lost_connection(void **state)
{
    installs(*state, close_in_order_unannounced);
}

static void refuse_connections(struct rig *r, const struct sf_request *request,
                               struct rig_reply *reply)
{
    (void)r;
    if (is_image(request)) {
        reply->refused = SF_ERR_CONNECT;
        calls++;
    }
}

static void gives_up_after_losses_in_a_row_and_tries_again_later(void **state)
{
    struct rig *r = *state;
    fails(r, refuse_connections, SF_ERR_CONNECT);
    assert_in_range(calls, 3, 20);
}

static void close_within_a_sector(struct rig *r, const struct sf_request *request,
                                  struct rig_reply *reply)
{
    (void)r;
    if (is_image(request)) {
        calls++;
        reply->body_len = reply->body_len < 4000 ? reply->body_len : 4000;
        reply->end = SF_ERR_CLOSED;
    }
}

static void gives_up_where_not_one_sector_gets_through(void **state)
{
    fails(*state, close_within_a_sector, SF_ERR_CLOSED);
    assert_in_range(calls, 3, 20);
}

static void close_at_the_very_end(struct rig *r, const struct sf_request *request,
                                  struct rig_reply *reply)
{
    (void)r;
    reply->end = is_image(request) ? SF_ERR_CLOSED : SF_OK;
}

static void needs_no_clean_end_once_every_byte_is_there(void **state)
{
    struct rig *r = *state;
    installs(r, close_at_the_very_end);
    assert_int_equal(r->server.downloads, 1);
}

/* ---- ranges ---- */

static void ignore_range(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    if (is_image(request) && request->range_offset > 0) {
        reply->head.status = 200;
        reply->head.range_start = -1;
        reply->head.range_total = -1;
        reply->body = r->v2.image;
        reply->body_len = r->v2.image_len;
        reply->head.content_len = (int64_t)r->v2.image_len;
    } else {
        close_every_50k(r, request, reply);
    }
}

static void starts_over_when_a_range_is_answered_with_all(void **state)
{
    struct rig *r = *state;
    installs(r, ignore_range);
    assert_int_equal(r->server.downloads, 2);
}

static void another_range(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    close_every_50k(r, request, reply);
    if (is_image(request) && request->range_offset > 0 && calls++ == 0) {
        reply->head.range_start -= 4096;
        reply->body -= 4096;
    }
}

static void starts_over_when_another_range_is_answered(void **state)
{
    installs(*state, another_range);
}

static void another_total(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    close_every_50k(r, request, reply);
    if (is_image(request) && request->range_offset > 0 && calls++ == 0) {
        reply->head.range_total++;
    }
}

static void starts_over_when_the_total_length_changed(void **state)
{
    installs(*state, another_total);
}

static void another_etag(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    close_every_50k(r, request, reply);
    if (is_image(request) && request->range_offset > 0 && calls++ == 0) {
        reply->etag[1] ^= 1;
    }
}

static void starts_over_when_the_etag_changed(void **state)
{
    installs(*state, another_etag);
}

static void no_such_range(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    close_every_50k(r, request, reply);
    if (is_image(request) && request->range_offset > 0 && calls++ == 0) {
        reply->head.status = 416;
        reply->head.content_len = 0;
        reply->body_len = 0;
    }
}

static void starts_over_after_416(void **state)
{
    installs(*state, no_such_range);
}

static void always_416(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    calls = 0;
    no_such_range(r, request, reply);
}

static void starts_over_only_a_few_times(void **state)
{
    struct rig *r = *state;
    fails(r, always_416, SF_ERR_HTTP_RANGE);
    assert_in_range(r->server.downloads, 4, 12);
}

static void range_unasked(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (is_image(request) && request->range_offset == 0) {
        reply->head.status = 206;
        reply->head.range_start = 0;
        reply->head.range_total = (int64_t)reply->body_len;
    }
}

static void refuses_a_206_that_nobody_asked_for(void **state)
{
    fails(*state, range_unasked, SF_ERR_HTTP_RANGE);
}

static void no_etag(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    close_every_50k(r, request, reply);
    assert_true(!is_image(request) || request->etag == NULL);
    reply->etag[0] = '\0';
}

static void goes_on_without_if_range_where_there_is_no_etag(void **state)
{
    struct rig *r = *state;
    installs(r, no_etag);
    assert_int_equal(r->server.ranges, 3);
}

static void weak_etag(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    close_every_50k(r, request, reply);
    assert_true(!is_image(request) || request->etag == NULL);
    if (is_image(request)) {
        memcpy(reply->etag, "W/\"1\"", 6);
    }
}

static void never_sends_a_weak_etag_back(void **state)
{
    installs(*state, weak_etag);
}

static void long_etag(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    close_every_50k(r, request, reply);
    assert_true(!is_image(request) || request->etag == NULL);
    if (is_image(request)) {
        memset(reply->etag, 'x', 90);
        reply->etag[0] = '"';
        reply->etag[89] = '"';
        reply->etag[90] = '\0';
    }
}

static void takes_an_etag_over_80_characters_for_none(void **state)
{
    installs(*state, long_etag);
}

/* ---- lengths ---- */

static void announce_more(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    reply->head.content_len += is_image(request) ? 1 : 0;
}

static void refuses_a_content_length_that_is_not_the_signed_one(void **state)
{
    struct rig *r = *state;
    const uint64_t operations = r->chip.op_count;
    r->server.script = announce_more;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_HTTP_LENGTH);
    assert_int_equal(r->chip.op_count, operations);
}

static void endless(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (is_image(request)) {
        memcpy(reply->bytes, reply->body, SF_IMAGE_HEAD_SIZE);
        reply->head.content_len = -1;
        reply->body_len = RIG_ENDLESS;
        reply->body = calls++ == 0 ? NULL : reply->body;
    }
}

static struct rig_release long_image; /* v2 with bytes behind its end */

static void too_long(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    if (is_image(request)) {
        memcpy(long_image.image, r->v2.image, r->v2.image_len);
        reply->head.content_len = -1;
        reply->body = long_image.image;
        reply->body_len = r->v2.image_len + 1;
    }
}

static void stops_at_the_signed_size_and_refuses_what_follows(void **state)
{
    fails(*state, too_long, SF_ERR_TOO_LARGE);
}

static void stops_an_endless_body_that_is_no_image(void **state)
{
    fails(*state, endless, SF_ERR_MAGIC);
}

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
    assert_true(r->now_ms - start < 5 * 3600 * 1000ULL);
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
        TEST(goes_on_where_a_connection_broke),
        TEST(takes_a_truncated_body_for_a_lost_connection),
        TEST(takes_a_short_body_of_unknown_length_for_a_lost_connection),
        TEST(gives_up_after_losses_in_a_row_and_tries_again_later),
        TEST(gives_up_where_not_one_sector_gets_through),
        TEST(needs_no_clean_end_once_every_byte_is_there),
        TEST(starts_over_when_a_range_is_answered_with_all),
        TEST(starts_over_when_another_range_is_answered),
        TEST(starts_over_when_the_total_length_changed),
        TEST(starts_over_when_the_etag_changed),
        TEST(starts_over_after_416),
        TEST(starts_over_only_a_few_times),
        TEST(refuses_a_206_that_nobody_asked_for),
        TEST(goes_on_without_if_range_where_there_is_no_etag),
        TEST(never_sends_a_weak_etag_back),
        TEST(takes_an_etag_over_80_characters_for_none),
        TEST(refuses_a_content_length_that_is_not_the_signed_one),
        TEST(stops_at_the_signed_size_and_refuses_what_follows),
        TEST(stops_an_endless_body_that_is_no_image),
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
