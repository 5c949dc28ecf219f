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

static void one_sector_then_nothing(struct rig *r, const struct sf_request *request,
                                    struct rig_reply *reply)
{
    (void)r;
    if (is_image(request)) { /* a deployment ends after nine losses in a row */
        reply->refused = calls++ % 9 > 0 ? SF_ERR_CONNECT : SF_OK;
        reply->body_len = reply->body_len < 5000 ? reply->body_len : 5000;
        reply->end = SF_ERR_CLOSED;
    }
}

static void a_bad_network_costs_no_attempt_however_often(void **state)
{
    struct rig *r = *state;
    r->server.script = one_sector_then_nothing;
    while (calls < 6 * 9) { /* six deployments, each with an erase */
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(r->server.outcome_count, 1);
    assert_int_equal(sf_engine_view(&r->engine).update_due, 1);
    r->server.script = NULL;
    for (unsigned i = 0; rig_settle_again(r) != SF_ACTION_REBOOT; i++) {
        assert_true(i < 400);
    }
    assert_installed(r);
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

static void no_ranges_on_a_bad_line(struct rig *r, const struct sf_request *request,
                                    struct rig_reply *reply)
{
    ignore_range(r, request, reply);
    if (is_image(request)) {
        reply->body_len = 50000;
        reply->end = SF_ERR_CLOSED;
    }
}

static void starts_over_only_a_few_times_without_ranges(void **state)
{
    struct rig *r = *state;
    fails(r, no_ranges_on_a_bad_line, SF_ERR_HTTP_CHANGED);
    assert_in_range(r->server.downloads, 4, 12);
}

static void close_every_12k(struct rig *r, const struct sf_request *request,
                            struct rig_reply *reply)
{
    (void)r;
    if (is_image(request) && reply->body_len > 12400) {
        reply->body_len = 12400;
        reply->end = SF_ERR_CLOSED;
    }
}

static void any_number_of_losses_is_fine_while_it_gets_on(void **state)
{
    struct rig *r = *state;
    installs(r, close_every_12k);
    assert_true(r->server.downloads > 11);
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
    struct rig *r = *state;
    installs(r, another_range);
    assert_int_equal(r->server.downloads - r->server.ranges, 2); /* from 0, twice */
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
    struct rig *r = *state;
    installs(r, another_total);
    assert_int_equal(r->server.downloads - r->server.ranges, 2); /* from 0, twice */
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
    struct rig *r = *state;
    installs(r, another_etag);
    assert_int_equal(r->server.downloads - r->server.ranges, 2); /* from 0, twice */
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
    struct rig *r = *state;
    installs(r, no_such_range);
    assert_int_equal(r->server.downloads - r->server.ranges, 2); /* from 0, twice */
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(goes_on_where_a_connection_broke),
        TEST(takes_a_truncated_body_for_a_lost_connection),
        TEST(takes_a_short_body_of_unknown_length_for_a_lost_connection),
        TEST(gives_up_after_losses_in_a_row_and_tries_again_later),
        TEST(a_bad_network_costs_no_attempt_however_often),
        TEST(gives_up_where_not_one_sector_gets_through),
        TEST(needs_no_clean_end_once_every_byte_is_there),
        TEST(starts_over_when_a_range_is_answered_with_all),
        TEST(starts_over_only_a_few_times_without_ranges),
        TEST(any_number_of_losses_is_fine_while_it_gets_on),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
