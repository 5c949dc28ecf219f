/* The native protocol from end to end: the real surefootd, devices that follow a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "tests/server/fleet_kit.h"

static struct kit kit;
static struct kit_image v1;
static struct kit_image v2;
static struct kit_image v3;

static int setup(void **state)
{
    (void)state;
    kit_init(&kit);
    kit_ship(&kit, "1.0.0", &v1);
    kit_ship(&kit, "1.1.0", &v2);
    kit_ship(&kit, "1.2.0", &v3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_release(&kit);
    return 0;
}

static void enrolled(const char *id, struct kit_device *dev)
{
    kit_device(&kit, id, &v1, "1.0.0", dev);
    assert_int_equal(kit_enrol(&kit, dev, kit.enrol_token), 204);
    assert_int_equal(kit_checkin(&kit, dev), 200);
}

static json_t *show(const char *id)
{
    char path[128];
    long status = 0;
    (void)snprintf(path, sizeof(path), "/api/v1/devices/%s", id);
    json_t *answer = api(&kit.daemon, "GET", path, NULL, &status);
    assert_int_equal(status, 200);
    return answer;
}

static void expect_shown(const char *id, const char *key, const char *value)
{
    json_t *d = show(id);
    const char *have = json_string_value(json_object_get(d, key));
    if (have == NULL || strcmp(have, value) != 0) {
        fail_msg("%s of %s is %s, not %s", key, id, have == NULL ? "null" : have, value);
    }
    json_decref(d);
}

/* How many devices the list has under a filter; `id` must be one of them unless it is NULL. */
static size_t listed(const char *query, const char *id)
{
    char path[160];
    long status = 0;
    int found = id == NULL;
    (void)snprintf(path, sizeof(path), "/api/v1/devices?limit=500&%s", query);
    json_t *answer = api(&kit.daemon, "GET", path, NULL, &status);
    if (status != 200) {
        fail_msg("%s: %ld", query, status);
    }
    const json_t *items = json_object_get(answer, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *one = json_object_get(json_array_get(items, i), "id");
        found = found || strcmp(json_string_value(one), id) == 0;
    }
    if (!found) {
        fail_msg("%s is not listed under %s", id, query);
    }
    const size_t count = json_array_size(items);
    json_decref(answer);
    return count;
}

/* All events in one line, oldest first: "enrolled first_report offered". */
static void history(const char *id, char *out, size_t size)
{
    char path[128];
    long status = 0;
    (void)snprintf(path, sizeof(path), "/api/v1/devices/%s/history?limit=500", id);
    json_t *answer = api(&kit.daemon, "GET", path, NULL, &status);
    assert_int_equal(status, 200);
    size_t index;
    size_t len = 0;
    const json_t *row;
    out[0] = '\0';
    json_array_foreach(json_object_get(answer, "items"), index, row)
    {
        int put = snprintf(out + len, size - len, "%s%s", index == 0 ? "" : " ",
                           json_string_value(json_object_get(row, "event")));
        assert_in_range(put, 0, size - len - 1);
        len += (size_t)put;
    }
    json_decref(answer);
}

static void order(const char *id, const char *what, json_t *body, long expected)
{
    char path[128];
    long status = 0;
    (void)snprintf(path, sizeof(path), "/api/v1/devices/%s/%s", id, what);
    json_decref(
        api(&kit.daemon, strcmp(what, "target") == 0 ? "PUT" : "POST", path, body, &status));
    assert_int_equal(status, expected);
}

/* Reboots the device into `image`. */
static void boot(struct kit_device *dev, const struct kit_image *image, const char *version)
{
    struct sf_checkin *c = &dev->report;
    c->boot_count++;
    memset(c->boot_id, (int)c->boot_count, sizeof(c->boot_id));
    c->reset_reason = SF_RESET_SOFTWARE;
    memcpy(c->running_digest, image->digest, SF_SHA256_SIZE);
    c->running_length = (uint32_t)image->len;
    (void)snprintf(c->running_version, sizeof(c->running_version), "%s", version);
}

static void report(struct kit_device *dev, enum sf_phase phase)
{
    dev->report.phase = (uint8_t)phase;
    dev->report.phase_counter = dev->status.counter;
}

static void outcome(struct kit_device *dev, uint32_t attempt, int error)
{
    dev->report.outcome =
        (struct sf_outcome){.counter = dev->status.counter, .attempt = attempt, .error = error};
    if (error != SF_OK) {
        (void)snprintf(dev->report.outcome.text, sizeof(dev->report.outcome.text), "abort at 42");
    }
}

static void expect_offer(const struct kit_device *dev, const struct kit_image *image,
                         const char *version)
{
    assert_int_equal(dev->status.action, SF_STATUS_INSTALL);
    assert_int_equal(dev->status.has_target, 1);
    assert_memory_equal(dev->status.target.image_digest, image->digest, SF_SHA256_SIZE);
    assert_int_equal(dev->status.target.manifest_size, dev->parts.manifest.len);
    struct sf_manifest m;
    assert_int_equal(sf_manifest_open(dev->parts.manifest, &kit.release_key.public_key,
                                      crypto_openssl(), &m, NULL),
                     SF_OK);
    assert_memory_equal(m.digest, dev->status.target.manifest_digest, SF_SHA256_SIZE);
    assert_memory_equal(m.image_digest, image->digest, SF_SHA256_SIZE);
    assert_int_equal(m.seq, dev->status.target.seq);
    char text[64];
    sf_manifest_version_text(&m, text);
    assert_string_equal(text, version);
}

static void expect_stay(const struct kit_device *dev)
{
    assert_int_equal(dev->status.action, SF_STATUS_STAY);
    assert_int_equal(dev->status.has_target, 0);
    assert_int_equal(dev->parts.manifest.len, 0);
}

static void answers_an_unchanged_poll_alike_and_without_history(void **state)
{
    (void)state;
    struct kit_device dev;
    char before[512];
    char after[512];
    enrolled("poll", &dev);
    expect_stay(&dev);
    uint64_t counter = dev.status.counter;
    history("poll", before, sizeof(before));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kit_checkin(&kit, &dev), 200);
        expect_stay(&dev);
        assert_int_equal(dev.status.counter, counter);
    }
    history("poll", after, sizeof(after));
    assert_string_equal(before, after);
    assert_string_equal(before, "enrolled first_report");
    assert_in_range(dev.status.next_checkin_s, 3200, 4000); /* 3600, spread by a tenth */
    assert_non_null(strcasestr(dev.reply.header, "connection: close"));
    assert_non_null(strcasestr(dev.reply.header, "content-type: application/cbor"));
    expect_shown("poll", "version", "1.0.0");
}

static void takes_a_device_to_its_target_and_confirms(void **state)
{
    (void)state;
    struct kit_device dev;
    char events[512];
    enrolled("good", &dev);
    order("good", "target", json_pack("{s:s}", "version", "1.1.0"), 200);
    uint64_t before = dev.status.counter;
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v2, "1.1.0");
    assert_true(dev.status.counter > before);
    uint64_t counter = dev.status.counter;
    assert_int_equal(kit_checkin(&kit, &dev), 200); /* the answer was lost: the same once more */
    expect_offer(&dev, &v2, "1.1.0");
    assert_int_equal(dev.status.counter, counter);
    report(&dev, SF_PHASE_DOWNLOADING);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v2, "1.1.0");
    report(&dev, SF_PHASE_INSTALLED);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v2, "1.1.0");
    boot(&dev, &v2, "1.1.0");
    report(&dev, SF_PHASE_TRIAL);
    dev.report.running_state = 1; /* PENDING_VERIFY */
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_equal(dev.status.counter, counter);
    assert_int_equal(dev.parts.manifest.len, 0); /* it runs already */
    outcome(&dev, 1, SF_OK);
    report(&dev, SF_PHASE_CONFIRMED);
    dev.report.running_state = 2;
    dev.report.seq = 4;
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_equal(dev.status.outcome_ack, counter);
    expect_stay(&dev);
    history("good", events, sizeof(events));
    assert_string_equal(events, "enrolled first_report override_set offered downloading installed "
                                "running trial confirmed");
    assert_int_equal(kit_checkin(&kit, &dev), 200); /* the acknowledgement was lost */
    assert_int_equal(dev.status.outcome_ack, counter);
    char again[512];
    history("good", again, sizeof(again));
    assert_string_equal(events, again);
    expect_shown("good", "version", "1.1.0");
    expect_shown("good", "target", "1.1.0");
    expect_shown("good", "override", "1.1.0");
}

static void does_not_offer_a_release_again_that_failed_until_it_is_asked_to(void **state)
{
    (void)state;
    struct kit_device dev;
    enrolled("bad", &dev);
    order("bad", "target", json_pack("{s:s}", "version", "1.2.0"), 200);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v3, "1.2.0");
    uint64_t counter = dev.status.counter;
    boot(&dev, &v1, "1.0.0");
    outcome(&dev, 1, SF_ERR_CRASHED);
    report(&dev, SF_PHASE_IDLE);
    dev.report.reset_reason = SF_RESET_PANIC;
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_equal(dev.status.outcome_ack, counter);
    expect_stay(&dev);
    dev.report.outcome = (struct sf_outcome){0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kit_checkin(&kit, &dev), 200);
        expect_stay(&dev);
    }
    json_t *d = show("bad");
    const json_t *last = json_object_get(d, "outcome");
    assert_string_equal(json_string_value(json_object_get(last, "error")), "CRASHED");
    assert_string_equal(json_string_value(json_object_get(last, "text")), "abort at 42");
    json_decref(d);
    order("bad", "target", json_pack("{s:s}", "version", "1.2.0"), 200);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v3, "1.2.0");
    assert_true(dev.status.counter > counter);
}

static void follows_the_product_when_the_override_is_cleared(void **state)
{
    (void)state;
    struct kit_device dev;
    enrolled("follow", &dev);
    kit_target(&kit, "1.1.0");
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v2, "1.1.0");
    order("follow", "target", json_pack("{s:s}", "version", "1.0.0"), 200);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_not_equal(dev.status.action, SF_STATUS_INSTALL);
    order("follow", "target", json_pack("{s:n}", "version"), 200);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v2, "1.1.0");
    kit_target(&kit, NULL);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_not_equal(dev.status.action, SF_STATUS_INSTALL);
}

static void refuses_wrong_and_revoked_credentials_alike(void **state)
{
    (void)state;
    struct kit_device dev;
    enrolled("revoked", &dev);
    char right = dev.secret[0];
    dev.secret[0] = right == '0' ? '1' : '0';
    assert_int_equal(kit_checkin(&kit, &dev), 401);
    dev.secret[0] = right;
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    order("revoked", "revoke", NULL, 200);
    assert_int_equal(kit_checkin(&kit, &dev), 401);
    order("revoked", "revoke", NULL, 409);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 401);
    expect_shown("revoked", "state", "revoked");
    kit_device(&kit, "never-seen", &v1, "1.0.0", &dev);
    assert_int_equal(kit_checkin(&kit, &dev), 401);
}

static void quarantines_another_secret_and_lets_the_first_go_on(void **state)
{
    (void)state;
    struct kit_device first;
    enrolled("twin", &first);
    struct kit_device other = first;
    memset(other.secret, 'a', SF_SECRET_HEX_SIZE);
    assert_int_equal(kit_enrol(&kit, &other, kit.enrol_token), 202);
    expect_shown("twin", "state", "quarantined");
    assert_int_equal(kit_checkin(&kit, &other), 403);
    assert_int_equal(kit_checkin(&kit, &first), 200);
    order("twin", "approve", NULL, 200);
    assert_int_equal(kit_checkin(&kit, &other), 200);
    assert_int_equal(kit_checkin(&kit, &first), 401);
    order("twin", "approve", NULL, 409);
    expect_shown("twin", "state", "enrolled");
}

static void shows_a_cloned_device(void **state)
{
    (void)state;
    struct kit_device one;
    enrolled("clone", &one);
    struct kit_device two = one;
    memset(two.report.boot_id, 0xee, SF_BOOT_ID_SIZE);
    two.report.boot_count = one.report.boot_count + 1;
    assert_int_equal(kit_checkin(&kit, &two), 200);
    assert_int_equal(kit_checkin(&kit, &one), 200);
    assert_int_equal(kit_checkin(&kit, &two), 200);
    char events[512];
    history("clone", events, sizeof(events));
    assert_non_null(strstr(events, "clone_suspected"));
    json_t *d = show("clone");
    assert_string_equal(json_string_value(json_array_get(json_object_get(d, "alarms"), 0)),
                        "clone");
    json_decref(d);
    order("clone", "clear-alarms", NULL, 200);
}

static void gives_no_release_to_another_hardware_revision(void **state)
{
    (void)state;
    struct kit_device dev;
    enrolled("class", &dev);
    order("class", "target", json_pack("{s:s}", "version", "1.1.0"), 200);
    dev.report.class_uuid[0] ^= 1;
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_stay(&dev);
}

static void refuses_requests_that_are_no_checkin(void **state)
{
    (void)state;
    struct kit_device dev;
    enrolled("odd", &dev);
    char bearer[SF_DEVICE_ID_MAX + SF_SECRET_HEX_SIZE + 2];
    (void)snprintf(bearer, sizeof(bearer), "%s.%s", dev.id, dev.secret);
    uint8_t body[SF_CHECKIN_REQUEST_MAX + 1] = {0};
    int32_t len = sf_checkin_encode(&dev.report, body, SF_CHECKIN_REQUEST_MAX);
    assert_true(len > 0);
    for (size_t cut = 0; cut <= (size_t)len; cut += 13) {
        struct reply r;
        call(&kit.daemon,
             &(struct call){.path = "/device/v1/checkin",
                            .bearer = bearer,
                            .content_type = "application/cbor",
                            .body = body,
                            .body_len = cut},
             &r);
        assert_int_equal(r.status, cut == (size_t)len ? 200 : 400);
        reply_release(&r);
    }
    struct reply r;
    struct call c = {.path = "/device/v1/checkin",
                     .bearer = bearer,
                     .content_type = "application/json",
                     .body = body,
                     .body_len = (size_t)len};
    call(&kit.daemon, &c, &r);
    assert_int_equal(r.status, 415);
    reply_release(&r);
    c.content_type = "application/cbor";
    c.body_len = sizeof(body);
    call(&kit.daemon, &c, &r);
    assert_int_equal(r.status, 413);
    reply_release(&r);
}

static void jumps_over_the_counter_of_a_device_that_knows_more(void **state)
{
    (void)state;
    struct kit_device dev;
    enrolled("restored", &dev);
    dev.report.last_counter = 1000;
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_true(dev.status.counter > 1000);
}

static void lists_devices_by_product_version_state_and_prefix(void **state)
{
    (void)state;
    struct kit_device dev;
    const size_t before = listed("product=lamp&version=1.0.0", NULL);
    enrolled("filter-a", &dev);
    enrolled("filter-b", &dev);
    order("filter-b", "revoke", NULL, 200);
    kit_device(&kit, "filter-c", &v2, "7.7.7", &dev);
    assert_int_equal(kit_enrol(&kit, &dev, kit.enrol_token), 204);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_equal(listed("q=filter-", "filter-a"), 3);
    assert_int_equal(listed("q=filter-&state=enrolled", "filter-c"), 2);
    assert_int_equal(listed("q=filter-&state=revoked", "filter-b"), 1);
    assert_int_equal(listed("q=filter-&state=quarantined", NULL), 0);
    assert_int_equal(listed("product=lamp&version=7.7.7", "filter-c"), 1);
    assert_int_equal(listed("product=lamp&version=1.0.0", "filter-a"), before + 2);
    assert_int_equal(listed("product=lamp&version=1.0.0&state=enrolled&q=filter-", "filter-a"), 1);
    assert_int_equal(listed("product=lamp&version=0.0.1", NULL), 0);
    assert_int_equal(listed("product=lamp", "filter-a"), listed("", "filter-a"));
    long status = 0;
    json_decref(api(&kit.daemon, "GET", "/api/v1/devices?product=fridge", NULL, &status));
    assert_int_equal(status, 404);
}

/* Every event once and in order, however small the pages are. */
static void pages_through_the_whole_history_of_a_device(void **state)
{
    (void)state;
    struct kit_device dev;
    char whole[512];
    char pages[512] = "";
    enrolled("pages", &dev);
    order("pages", "target", json_pack("{s:s}", "version", "1.1.0"), 200);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    order("pages", "target", json_pack("{s:s}", "version", "1.2.0"), 200);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    history("pages", whole, sizeof(whole));
    json_int_t after = 0;
    for (int more = 1; more;) {
        char path[128];
        long status = 0;
        (void)snprintf(path, sizeof(path), "/api/v1/devices/pages/history?limit=2&after=%lld",
                       (long long)after);
        json_t *answer = api(&kit.daemon, "GET", path, NULL, &status);
        assert_int_equal(status, 200);
        size_t index;
        const json_t *row;
        json_array_foreach(json_object_get(answer, "items"), index, row)
        {
            assert_true(json_integer_value(json_object_get(row, "id")) > after);
            after = json_integer_value(json_object_get(row, "id"));
            const size_t len = strlen(pages);
            (void)snprintf(pages + len, sizeof(pages) - len, "%s%s", len == 0 ? "" : " ",
                           json_string_value(json_object_get(row, "event")));
        }
        more = json_is_integer(json_object_get(answer, "next"));
        json_decref(answer);
    }
    assert_string_equal(pages, whole);
    assert_non_null(strstr(whole, "enrolled first_report override_set offered"));
}

static json_t *freeze(int frozen, const char *reason)
{
    long status = 0;
    json_t *answer = api(&kit.daemon, "PUT", "/api/v1/freeze",
                         json_pack("{s:b, s:s*}", "frozen", frozen, "reason", reason), &status);
    assert_int_equal(status, 200);
    return answer;
}

static int metric_frozen(void)
{
    struct reply r;
    const struct call c = {.path = "/metrics", .bearer = kit.daemon.admin};
    call(&kit.daemon, &c, &r);
    assert_int_equal(r.status, 200);
    const char *at = strstr((const char *)r.body, "\nsurefoot_frozen ");
    assert_non_null(at);
    int value = at != NULL && at[strlen("\nsurefoot_frozen ")] == '1';
    reply_release(&r);
    return value;
}

/* An order that outlives the server, and takes an offer back that is on its way. */
static void a_frozen_fleet_is_offered_nothing_even_after_a_restart(void **state)
{
    (void)state;
    struct kit_device dev;
    long status = 0;
    enrolled("frozen", &dev);
    order("frozen", "target", json_pack("{s:s}", "version", "1.1.0"), 200);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v2, "1.1.0");
    report(&dev, SF_PHASE_INSTALLED);

    json_decref(freeze(1, "1.1.0 drains batteries"));
    assert_int_equal(daemon_stop(&kit.daemon), 0);
    daemon_start(&kit.daemon);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    assert_int_equal(dev.status.action, SF_STATUS_CANCEL);
    json_t *shown = api(&kit.daemon, "GET", "/api/v1/freeze", NULL, &status);
    assert_true(json_is_true(json_object_get(shown, "frozen")));
    assert_string_equal(json_string_value(json_object_get(shown, "who")), "admin");
    assert_string_equal(json_string_value(json_object_get(shown, "reason")),
                        "1.1.0 drains batteries");
    json_int_t since = json_integer_value(json_object_get(shown, "since"));
    assert_true(since > 1600000000);
    json_decref(shown);
    json_t *again = freeze(1, NULL); /* since when it is frozen stays */
    assert_int_equal(json_integer_value(json_object_get(again, "since")), since);
    json_decref(again);
    assert_true(metric_frozen());

    json_decref(freeze(0, NULL));
    assert_false(metric_frozen());
    report(&dev, SF_PHASE_IDLE);
    assert_int_equal(kit_checkin(&kit, &dev), 200);
    expect_offer(&dev, &v2, "1.1.0");
    json_t *bad =
        api(&kit.daemon, "PUT", "/api/v1/freeze", json_pack("{s:s}", "frozen", "yes"), &status);
    assert_int_equal(status, 400);
    json_decref(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_an_unchanged_poll_alike_and_without_history),
        cmocka_unit_test(takes_a_device_to_its_target_and_confirms),
        cmocka_unit_test(does_not_offer_a_release_again_that_failed_until_it_is_asked_to),
        cmocka_unit_test(follows_the_product_when_the_override_is_cleared),
        cmocka_unit_test(refuses_wrong_and_revoked_credentials_alike),
        cmocka_unit_test(quarantines_another_secret_and_lets_the_first_go_on),
        cmocka_unit_test(shows_a_cloned_device),
        cmocka_unit_test(gives_no_release_to_another_hardware_revision),
        cmocka_unit_test(refuses_requests_that_are_no_checkin),
        cmocka_unit_test(jumps_over_the_counter_of_a_device_that_knows_more),
        cmocka_unit_test(lists_devices_by_product_version_state_and_prefix),
        cmocka_unit_test(pages_through_the_whole_history_of_a_device),
        cmocka_unit_test(a_frozen_fleet_is_offered_nothing_even_after_a_restart),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
