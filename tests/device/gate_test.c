/* What is refused before the first erase: each case ends with not one operation on slots and
 * otadata, an error that says why, and a device that goes on checking in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* Offers v2 (or what the test made of it) and expects `err` with no operation on the chip. */
static void refuses(struct rig *r, int err, int expect_outcome)
{
    const uint64_t operations = r->chip.op_count;
    const unsigned checkins = r->server.checkins;
    rig_target(r, &r->v2);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, err);
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(r->server.outcome_count, expect_outcome);
    if (expect_outcome) {
        assert_int_equal(r->server.outcome[0].error, err);
        assert_int_equal(r->server.outcome[0].counter, r->server.counter);
    }
    /* and it starts over without a reboot, once it is given something good */
    r->server.status_script = NULL;
    r->server.script = NULL;
    r->efuse = 0;
    rig_target(r, &r->v3);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    assert_true(r->server.checkins > checkins);
}

enum { SILENT, REPORTED };

/* ---- status ---- */

#define STATUS_CASE(name, change, err)                            \
    static void name##_change(struct rig *r, struct sf_status *s) \
    {                                                             \
        (void)r;                                                  \
        change;                                                   \
    }                                                             \
    static void name(void **state)                                \
    {                                                             \
        struct rig *r = *state;                                   \
        r->server.status_script = name##_change;                  \
        refuses(r, err, SILENT);                                  \
    }

STATUS_CASE(refuses_a_status_for_another_request, s->nonce[0] ^= 1, SF_ERR_NONCE)
STATUS_CASE(refuses_a_status_for_another_device, s->device_digest[31] ^= 1, SF_ERR_NOT_THIS_DEVICE)
STATUS_CASE(refuses_a_status_for_another_class, s->class_uuid[0] ^= 1, SF_ERR_CLASS)
STATUS_CASE(refuses_a_status_of_a_trust_root_it_does_not_have, s->root_version = 1,
            SF_ERR_UNSUPPORTED)
STATUS_CASE(refuses_a_target_of_another_epoch, s->target.epoch = 1, SF_ERR_UNSUPPORTED)
STATUS_CASE(refuses_a_counter_below_the_last, s->counter = 0, SF_ERR_COUNTER)
STATUS_CASE(installs_nothing_on_an_expired_status, s->expires = s->time, SF_ERR_EXPIRED)
STATUS_CASE(installs_nothing_on_a_status_of_yesterday, (s->time -= 86400, s->expires -= 86400),
            SF_ERR_EXPIRED)

static void refuses_a_status_signed_by_the_release_key(void **state)
{
    struct rig *r = *state;
    memcpy(r->config.status_key, r->server.release_key.public_key.xy, SF_P256_KEY_SIZE);
    const uint64_t operations = r->chip.op_count;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_KEY_UNKNOWN);
    assert_int_equal(r->chip.op_count, operations);
}

static void flip_status(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strcmp(request->path, "/device/v1/checkin") == 0) {
        reply->bytes[reply->body_len / 8] ^= 1; /* inside the status' payload */
    }
}

static void refuses_a_status_with_a_flipped_bit(void **state)
{
    struct rig *r = *state;
    r->server.script = flip_status;
    refuses(r, SF_ERR_SIGNATURE, SILENT);
}

/* The status of day 1 once more, whole, after that of day 2. */
static struct rig_reply recorded;

static void record_reply(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    recorded = *reply;
}

static void replay_reply(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (strcmp(request->path, "/device/v1/checkin") == 0) {
        *reply = recorded;
        reply->body = reply->bytes;
    }
}

static void refuses_a_replayed_answer(void **state)
{
    struct rig *r = *state;
    r->server.script = record_reply;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    r->server.script = replay_reply;
    refuses(r, SF_ERR_NONCE, SILENT);
}

/* ---- manifest ---- */

static void refuses_a_manifest_of_another_key(void **state)
{
    struct rig *r = *state;
    const struct p256_signer release = r->server.release_signer;
    r->server.release_signer = r->server.status_signer;
    rig_sign(r, &r->v2);
    r->server.release_signer = release;
    refuses(r, SF_ERR_KEY_UNKNOWN, REPORTED);
}

static void refuses_a_manifest_with_a_flipped_bit(void **state)
{
    struct rig *r = *state;
    r->v2.envelope[r->v2.envelope_len - 40] ^= 1;
    refuses(r, SF_ERR_DIGEST, REPORTED);
}

static void refuses_a_manifest_of_another_class(void **state)
{
    struct rig *r = *state;
    r->v2.manifest.class_uuid[0] ^= 1;
    rig_sign(r, &r->v2);
    refuses(r, SF_ERR_CLASS, REPORTED);
}

static void refuses_a_manifest_that_names_another_image(void **state)
{
    struct rig *r = *state;
    r->v2.manifest.image_digest[0] ^= 1;
    rig_sign(r, &r->v2);
    refuses(r, SF_ERR_NOT_NAMED, REPORTED);
}

static void mix_manifest(struct rig *r, struct sf_status *s)
{
    s->target.seq = r->v3.manifest.seq;
    memcpy(s->target.manifest_digest, r->v3.manifest.digest, SF_SHA256_SIZE);
}

static void refuses_the_status_of_one_day_with_the_manifest_of_another(void **state)
{
    struct rig *r = *state;
    r->server.status_script = mix_manifest;
    refuses(r, SF_ERR_NOT_NAMED, REPORTED);
}

static void another_manifest(struct rig *r, struct sf_status *s)
{
    (void)r;
    s->target.manifest_digest[0] ^= 1;
}

static void refuses_a_manifest_of_another_digest_than_the_status_names(void **state)
{
    struct rig *r = *state;
    r->server.status_script = another_manifest;
    refuses(r, SF_ERR_NOT_NAMED, REPORTED);
}

static void another_seq(struct rig *r, struct sf_status *s)
{
    (void)r;
    s->target.seq++;
}

static void refuses_a_manifest_of_another_number_than_the_status_names(void **state)
{
    struct rig *r = *state;
    r->server.status_script = another_seq;
    refuses(r, SF_ERR_NOT_NAMED, REPORTED);
}

static void wrong_size(struct rig *r, struct sf_status *s)
{
    (void)r;
    s->target.manifest_size++;
}

static void refuses_a_manifest_of_another_size(void **state)
{
    struct rig *r = *state;
    r->server.status_script = wrong_size;
    refuses(r, SF_ERR_NOT_NAMED, REPORTED);
}

static void refuses_a_sequence_number_that_jumps(void **state)
{
    struct rig *r = *state;
    r->v2.manifest.seq = (1U << 20) + 1;
    rig_sign(r, &r->v2);
    refuses(r, SF_ERR_SEQ_JUMP, REPORTED);
}

static void refuses_the_largest_sequence_number(void **state)
{
    struct rig *r = *state;
    r->v2.manifest.seq = UINT64_C(1) << 63;
    rig_sign(r, &r->v2);
    refuses(r, SF_ERR_SEQ_JUMP, REPORTED);
}

static void accepts_the_largest_step_of_the_sequence_number(void **state)
{
    struct rig *r = *state;
    r->v2.manifest.seq = 1U << 20;
    rig_sign(r, &r->v2);
    rig_install(r, &r->v2);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void refuses_an_older_manifest_and_another_of_the_same_number(void **state)
{
    struct rig *r = *state;
    rig_install(r, &r->v3); /* seq 6 */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    const uint64_t operations = r->chip.op_count;

    rig_target(r, &r->v2); /* seq 4 */
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_SEQ_OLD);

    r->v2.manifest.seq = 6;
    rig_sign(r, &r->v2);
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_SEQ_OLD);
    assert_int_equal(r->chip.op_count, operations);
}

/* ---- size, slot, application ---- */

static void refuses_an_image_larger_than_the_slot(void **state)
{
    struct rig *r = *state;
    r->v2.manifest.image_size = RIG_SLOT_SIZE + 16;
    rig_sign(r, &r->v2);
    refuses(r, SF_ERR_NOSPC, REPORTED);
    assert_int_equal(r->server.downloads, 1); /* v3's alone */
}

static void refuses_where_there_is_no_second_slot(void **state)
{
    struct rig *r = *state;
    const uint64_t operations = r->chip.op_count;
    r->config.slot_count = 1;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_NO_SLOT);
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(r->server.downloads, 0);
}

static void refuses_where_there_is_no_otadata(void **state)
{
    struct rig *r = *state;
    const uint64_t operations = r->chip.op_count;
    r->config.otadata_offset = 0;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_NO_OTADATA);
    assert_int_equal(r->chip.op_count, operations);
}

static void waits_while_the_application_says_not_now(void **state)
{
    struct rig *r = *state;
    const uint64_t operations = r->chip.op_count;
    r->not_now = 1;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(r->server.downloads, 0);
    assert_int_equal(r->server.outcome_count, 0); /* no failure */
    assert_int_equal(sf_engine_view(&r->engine).update_due, 1);
    r->not_now = 0;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
}

/* ---- the image's first 384 bytes ---- */

static void head_case(struct rig *r, const struct esp_image_spec *spec, int err)
{
    rig_make(r, &r->v2, spec, 4);
    refuses(r, err, REPORTED);
}

static void refuses_an_image_without_updater_record(void **state)
{
    head_case(*state, &(struct esp_image_spec){.seed = 9, .without_record = 1}, SF_ERR_NO_RECORD);
}

static void refuses_an_image_of_another_product(void **state)
{
    static const uint8_t other[SF_UUID_SIZE] = {1, 2, 3};
    head_case(*state, &(struct esp_image_spec){.seed = 9, .class_uuid = other}, SF_ERR_CLASS);
}

static void refuses_a_secure_version_that_the_status_does_not_permit(void **state)
{
    head_case(*state, &(struct esp_image_spec){.seed = 9, .secure_version = 1},
              SF_ERR_SECURE_VERSION);
}

static void installs_a_secure_version_that_the_status_permits(void **state)
{
    struct rig *r = *state;
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 9, .secure_version = 1}, 4);
    r->server.max_secure_version = 1;
    rig_install(r, &r->v2);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void refuses_a_secure_version_below_the_efuse(void **state)
{
    struct rig *r = *state;
    r->efuse = 2;
    r->server.max_secure_version = 5;
    head_case(r, &(struct esp_image_spec){.seed = 9, .secure_version = 1}, SF_ERR_SECURE_VERSION);
}

/* Changes bytes of v2's header and signs what comes of it. */
static void header_case(struct rig *r, size_t offset, uint16_t value, int err)
{
    r->v2.image[offset] = (uint8_t)value;
    r->v2.image[offset + 1] = (uint8_t)(value >> 8);
    esp_image_reseal(r->v2.image, r->v2.image_len);
    refuses(r, err, REPORTED);
}

static void refuses_an_image_for_another_chip(void **state)
{
    header_case(*state, 12, SF_CHIP_ESP32S3, SF_ERR_CHIP);
}

static void refuses_an_image_for_a_later_chip_revision(void **state)
{
    header_case(*state, 15, 101, SF_ERR_CHIP_REVISION);
}

static void refuses_an_image_for_earlier_chip_revisions_only(void **state)
{
    header_case(*state, 17, 2, SF_ERR_CHIP_REVISION);
}

static void refuses_what_is_no_image(void **state)
{
    struct rig *r = *state;
    memset(r->v2.image, 'x', 512);
    refuses(r, SF_ERR_MAGIC, REPORTED);
}

static void a_refusal_is_told_once_and_backs_off(void **state)
{
    struct rig *r = *state;
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 9, .without_record = 1}, 4);
    rig_target(r, &r->v2);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    }
    assert_int_equal(r->server.outcome_count, 1);
    assert_true(r->server.downloads < 10); /* of 41 check-ins */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refuses_a_status_for_another_request),
        TEST(refuses_a_status_for_another_device),
        TEST(refuses_a_status_for_another_class),
        TEST(refuses_a_status_of_a_trust_root_it_does_not_have),
        TEST(refuses_a_target_of_another_epoch),
        TEST(refuses_a_counter_below_the_last),
        TEST(installs_nothing_on_an_expired_status),
        TEST(installs_nothing_on_a_status_of_yesterday),
        TEST(refuses_a_status_signed_by_the_release_key),
        TEST(refuses_a_status_with_a_flipped_bit),
        TEST(refuses_a_replayed_answer),
        TEST(refuses_a_manifest_of_another_key),
        TEST(refuses_a_manifest_with_a_flipped_bit),
        TEST(refuses_a_manifest_of_another_class),
        TEST(refuses_a_manifest_that_names_another_image),
        TEST(refuses_the_status_of_one_day_with_the_manifest_of_another),
        TEST(refuses_a_manifest_of_another_digest_than_the_status_names),
        TEST(refuses_a_manifest_of_another_number_than_the_status_names),
        TEST(refuses_a_manifest_of_another_size),
        TEST(refuses_a_sequence_number_that_jumps),
        TEST(refuses_the_largest_sequence_number),
        TEST(accepts_the_largest_step_of_the_sequence_number),
        TEST(refuses_an_older_manifest_and_another_of_the_same_number),
        TEST(refuses_an_image_larger_than_the_slot),
        TEST(refuses_where_there_is_no_second_slot),
        TEST(refuses_where_there_is_no_otadata),
        TEST(waits_while_the_application_says_not_now),
        TEST(refuses_an_image_without_updater_record),
        TEST(refuses_an_image_of_another_product),
        TEST(refuses_a_secure_version_that_the_status_does_not_permit),
        TEST(installs_a_secure_version_that_the_status_permits),
        TEST(refuses_a_secure_version_below_the_efuse),
        TEST(refuses_an_image_for_another_chip),
        TEST(refuses_an_image_for_a_later_chip_revision),
        TEST(refuses_an_image_for_earlier_chip_revisions_only),
        TEST(refuses_what_is_no_image),
        TEST(a_refusal_is_told_once_and_backs_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
