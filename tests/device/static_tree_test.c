/* Updates from a static tree: no check-in, no status, no credential; what is asked for, what is
 * installed and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_static_tree(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    assert_int_equal(r->server.checkins, 0);
    assert_int_equal(r->server.enrolments, 0);
    rig_free(r);
    return 0;
}

static void rest(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
}

static struct sf_record_floor stored_floor(struct rig *r)
{
    struct sf_record_floor floor;
    const int err = sf_record_load(&r->store.ops, SF_RECORD_FLOOR, &floor);
    assert_true(err == SF_OK || err == SF_ERR_NOTFOUND);
    return floor;
}

/* ---- the policy ---- */

static void without_the_policy_nothing_is_asked_for(void **state)
{
    struct rig *r = *state;
    r->config.policy = 0;
    r->server.target = &r->v2;
    rest(r);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_POLICY);
    const uint64_t operations = r->chip.op_count;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_true(r->last_wait_ms >= 500);
    assert_int_equal(r->server.manifests, 0);
    assert_int_equal(r->server.downloads, 0);
    assert_int_equal(r->chip.op_count, operations);
}

static void other_policy_bits_do_not_allow_it(void **state)
{
    struct rig *r = *state;
    r->config.policy = ~(uint32_t)SF_POLICY_ALLOW_OFFLINE;
    r->server.target = &r->v2;
    rest(r);
    assert_int_equal(r->server.manifests, 0);
}

static void a_trial_whose_image_lost_the_policy_goes_back(void **state)
{
    struct rig *r = *state;
    rest(r);
    assert_int_equal(rig_show(r, &r->v2), SF_ACTION_REBOOT);
    r->config.policy = 0; /* as the new image was built */
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
}

/* ---- the way there ---- */

static void a_newer_image_is_installed_tried_and_confirmed(void **state)
{
    struct rig *r = *state;
    rest(r);
    assert_int_equal(r->server.manifests, 1);
    assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 1);
    assert_int_equal(stored_floor(r).seq, 2); /* of v1, which was flashed by cable */

    rig_show_into_trial(r, &r->v2);
    assert_int_equal(rig_slot_runs(r), 1);
    assert_memory_equal(r->chip.cells + RIG_SLOT_1, r->v2.image, r->v2.image_len);
    assert_string_equal(r->server.last_authorization, "");
    const unsigned before = r->server.manifests;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.manifests, before + 2); /* in the trial, and after it */

    struct sf_otadata_entry entry[2];
    rig_otadata(r, entry);
    assert_int_equal(entry[sf_otadata_active(entry)].ota_state, SF_OTA_VALID);
    const struct sf_engine_view view = sf_engine_view(&r->engine);
    assert_int_equal(view.trial_open, 0);
    assert_int_equal(view.update_due, 0);
    assert_int_equal(view.signed_time, 0);
    assert_int_equal(view.status_counter, 0);
    const struct sf_record_floor floor = stored_floor(r);
    assert_int_equal(floor.seq, 4);
    assert_int_equal(floor.counter, 0); /* the server's, should there ever be one */
    assert_int_equal(floor.time, 0);
}

static void the_outcome_is_kept_and_nobody_is_waited_for(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_confirm(r, &r->v2);
    const struct sf_engine_view view = sf_engine_view(&r->engine);
    assert_true(view.outcome.counter == (SF_OFFLINE_COUNTER | 4));
    assert_int_equal(view.outcome.error, SF_OK);
    rig_show_confirm(r, &r->v3); /* although nobody has acknowledged it */
    assert_true(sf_engine_view(&r->engine).outcome.counter == (SF_OFFLINE_COUNTER | 6));
}

static void a_later_check_in_tells_the_outcome(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_confirm(r, &r->v2);
    r->config.source = NULL; /* as a later image is built */
    r->config.device_id = "lamp-0001";
    r->config.enrol_token = "token-of-the-lamp";
    memcpy(r->config.status_key, r->server.status_key.public_key.xy, SF_P256_KEY_SIZE);
    r->server.target = NULL;
    rest(r);
    assert_int_equal(r->server.enrolments, 1);
    assert_int_equal(r->server.outcome_count, 1);
    assert_true(r->server.outcome[0].counter == (SF_OFFLINE_COUNTER | 4));
    assert_int_equal(r->server.last.last_counter, 0);
    assert_int_equal(r->server.last.seq, 4);
    assert_int_equal(sf_engine_view(&r->engine).outcome.counter, 0); /* acknowledged */
    r->server.checkins = 0;                                          /* for the teardown */
    r->server.enrolments = 0;
}

static void a_device_that_had_a_server_goes_on_from_there(void **state)
{
    struct rig *r = *state;
    const struct sf_config offline = r->config;
    r->config.source = NULL;
    r->config.device_id = "lamp-0001";
    r->config.enrol_token = "token-of-the-lamp";
    memcpy(r->config.status_key, r->server.status_key.public_key.xy, SF_P256_KEY_SIZE);
    r->server.target = NULL;
    rest(r);
    rig_install(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    const struct sf_record_floor floor = stored_floor(r);
    const int slot = r->config.running_slot;
    r->config = offline; /* as a later image is built */
    r->config.running_slot = slot;
    r->server.checkins = 0;
    r->server.enrolments = 0;
    rest(r);
    rig_show_in_vain(r, &r->v1, SF_ERR_SEQ_OLD);
    rig_show_confirm(r, &r->v3);
    assert_int_equal(stored_floor(r).counter, floor.counter);
    assert_int_equal(stored_floor(r).time, floor.time);
    assert_int_equal(stored_floor(r).seq, 6);
}

static void polls_ask_conditionally_and_write_nothing(void **state)
{
    struct rig *r = *state;
    rest(r);
    assert_int_equal(r->server.not_modified, 0); /* a boot begins with a signature */
    const uint64_t writes = r->nvs.op_count;
    for (unsigned i = 1; i <= 10; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_in_range(r->last_wait_ms, 3240000, 3960000); /* the default interval */
        assert_int_equal(r->server.not_modified, i);
    }
    assert_int_equal(r->nvs.op_count, writes);
    assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 11);
    rig_show_confirm(r, &r->v2);
}

static uint64_t announced;

static void answer_304(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->head.status = 304;
    reply->head.content_len = (int64_t)announced;
    reply->body_len = 0;
}

static void a_304_may_announce_the_length_of_what_it_does_not_send(void **state)
{
    struct rig *r = *state;
    rest(r);
    announced = 340;
    r->server.script = answer_304;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 2);
}

static void a_304_that_nobody_asked_for_confirms_nothing(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_into_trial(r, &r->v2);
    announced = 0;
    r->server.script = answer_304;
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_slot_runs(r), 0);
}

static unsigned breaks;

static void break_manifest(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/manifests/", 11) == 0 && breaks > 0) {
        breaks--;
        reply->body_len /= 2;
        reply->end = SF_ERR_CLOSED;
    }
}

static void an_etag_counts_only_once_its_manifest_has_verified(void **state)
{
    struct rig *r = *state;
    breaks = 1;
    r->server.script = break_manifest;
    rest(r);
    assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 0);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.not_modified, 0);
    assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 1);
}

static void etags_that_are_none_are_not_sent_back(void **state)
{
    static const char *const bad[] = {"", "\"", "abc"};
    struct rig *r = *state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sf_response_head head = {
            .status = 200, .content_len = 1, .range_start = -1, .range_total = -1, .etag = bad[i]};
        rig_boot(r, SF_RESET_POWER_ON);
        while (sf_engine_next(&r->engine, r->now_ms).kind != SF_ACTION_REQUEST) {
            (void)rig_step(r);
        }
        assert_int_equal(sf_engine_response_head(&r->engine, &head, r->now_ms), SF_OK);
        assert_string_equal(rig_core(r)->source_etag, "");
        sf_engine_response_end(&r->engine, SF_ERR_CLOSED, r->now_ms);
    }
}

/* ---- what is not installed ---- */

static void an_older_manifest_changes_nothing_and_writes_nothing(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_confirm(r, &r->v3);
    const uint64_t writes = r->nvs.op_count;
    const unsigned not_modified = r->server.not_modified;
    rig_show_in_vain(r, &r->v2, SF_ERR_SEQ_OLD);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(r->server.not_modified,
                     not_modified + 5); /* it is known, and costs no more than a 304 */
    assert_int_equal(r->nvs.op_count, writes);
}

static void another_manifest_of_the_same_number_changes_nothing(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_show_confirm(r, &r->v2);
    r->v3.manifest.seq = 4;
    rig_sign(r, &r->v3);
    rig_show_in_vain(r, &r->v3, SF_ERR_SEQ_OLD);
}

static void what_is_older_than_an_image_flashed_by_cable_is_not_installed(void **state)
{
    struct rig *r = *state;
    r->v1.manifest.seq = 8;
    rig_sign(r, &r->v1);
    rest(r);
    rig_show_in_vain(r, &r->v2, SF_ERR_SEQ_OLD);
}

static void a_number_far_ahead_is_not_installed(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->v2.manifest.seq = UINT64_C(1) << 62;
    rig_sign(r, &r->v2);
    rig_show_in_vain(r, &r->v2, SF_ERR_SEQ_JUMP);
    assert_int_equal(stored_floor(r).seq, 2);
}

static void another_class_is_refused_and_is_no_answer(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->v2.manifest.class_uuid[0] ^= 1;
    rig_sign(r, &r->v2);
    rig_show_in_vain(r, &r->v2, SF_ERR_CLASS);
    assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 1);
}

static void another_key_is_refused_and_is_no_answer(void **state)
{
    struct rig *r = *state;
    rest(r);
    struct p256_signer own = r->server.release_signer;
    r->server.release_signer = r->server.status_signer;
    rig_sign(r, &r->v2);
    r->server.release_signer = own;
    rig_show_in_vain(r, &r->v2, SF_ERR_KEY_UNKNOWN);
    assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 1);
}

static void every_flipped_byte_of_a_manifest_is_refused(void **state)
{
    struct rig *r = *state;
    rest(r);
    const uint64_t operations = r->chip.op_count;
    for (size_t i = 0; i < r->v2.envelope_len; i++) {
        r->v2.envelope[i] ^= 0x10;
        assert_int_equal(rig_show(r, &r->v2), SF_ACTION_WAIT);
        r->v2.envelope[i] ^= 0x10;
        assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 1);
        assert_int_equal(sf_engine_view(&r->engine).update_due, 0);
    }
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(r->server.downloads, 0);
    rig_show_confirm(r, &r->v2);
}

static size_t manifest_len;

static void cut_manifest(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strncmp(request->path, "/manifests/", 11) == 0) {
        reply->body_len = manifest_len;
        reply->head.content_len = -1;
    }
}

static void a_truncated_manifest_is_refused_at_every_length(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->server.script = cut_manifest;
    for (manifest_len = 0; manifest_len < r->v2.envelope_len; manifest_len++) {
        assert_int_equal(rig_show(r, &r->v2), SF_ACTION_WAIT);
        assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 1);
    }
    assert_int_equal(r->server.downloads, 0);
}

static uint64_t fed;

static void endless(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->body = NULL;
    reply->body_len = RIG_ENDLESS;
    reply->chunk_len = 100;
    reply->head.content_len = fed == 0 ? -1 : RIG_ENDLESS;
}

static void an_endless_manifest_is_cut_off(void **state)
{
    struct rig *r = *state;
    rest(r);
    r->server.script = endless;
    for (fed = 0; fed < 2; fed++) { /* its length not told, and told */
        sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
        assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
        assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_TOO_LARGE);
        assert_in_range(rig_core(r)->exchange.received, 0, SF_ENVELOPE_MAX);
    }
}

static int code;

static void answer_code(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->head.status = code;
    reply->head.content_len = 0;
    reply->body_len = 0;
}

static void other_codes_are_no_answer_and_enrol_nobody(void **state)
{
    static const int codes[] = {204, 206, 301, 302, 304, 401, 403, 404, 410, 416, 429, 500, 503};
    struct rig *r = *state;
    r->config.enrol_token = "token-of-the-lamp";
    r->server.script = answer_code;
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        code = codes[i];
        rest(r);
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_int_equal(sf_engine_view(&r->engine).checkins_answered, 0);
    }
    assert_int_equal(r->server.enrolments, 0);
}

static void a_higher_secure_version_has_nobody_to_permit_it(void **state)
{
    struct rig *r = *state;
    rest(r);
    rig_make(r, &r->v2,
             &(struct esp_image_spec){
                 .seed = 2, .size = RIG_SMALL, .version = "1.1.0", .secure_version = 1},
             4);
    const uint64_t operations = r->chip.op_count;
    assert_int_equal(rig_show(r, &r->v2), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).outcome.error, SF_ERR_SECURE_VERSION);
    assert_int_equal(r->chip.op_count, operations);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_the_policy_nothing_is_asked_for),
        TEST(other_policy_bits_do_not_allow_it),
        TEST(a_trial_whose_image_lost_the_policy_goes_back),
        TEST(a_newer_image_is_installed_tried_and_confirmed),
        TEST(the_outcome_is_kept_and_nobody_is_waited_for),
        TEST(a_later_check_in_tells_the_outcome),
        TEST(a_device_that_had_a_server_goes_on_from_there),
        TEST(polls_ask_conditionally_and_write_nothing),
        TEST(a_304_may_announce_the_length_of_what_it_does_not_send),
        TEST(a_304_that_nobody_asked_for_confirms_nothing),
        TEST(an_etag_counts_only_once_its_manifest_has_verified),
        TEST(etags_that_are_none_are_not_sent_back),
        TEST(an_older_manifest_changes_nothing_and_writes_nothing),
        TEST(another_manifest_of_the_same_number_changes_nothing),
        TEST(what_is_older_than_an_image_flashed_by_cable_is_not_installed),
        TEST(a_number_far_ahead_is_not_installed),
        TEST(another_class_is_refused_and_is_no_answer),
        TEST(another_key_is_refused_and_is_no_answer),
        TEST(every_flipped_byte_of_a_manifest_is_refused),
        TEST(a_truncated_manifest_is_refused_at_every_length),
        TEST(an_endless_manifest_is_cut_off),
        TEST(other_codes_are_no_answer_and_enrol_nobody),
        TEST(a_higher_secure_version_has_nobody_to_permit_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
