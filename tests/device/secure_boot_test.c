/* Images and their signature sectors: which a device takes, when it refuses the others, and that
 * nothing was erased for those. Signatures are real ones, verified through PSA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ports/host/sbv2_psa.h"
#include "tests/device/rig.h"
#include "tests/support/sbv2_sign.h"

enum { KEYS = 2, SCHEMES = 4 };

static struct sbv2_signer a; /* P-256 */
static struct sbv2_signer b;
static struct sf_secure_boot port;
static struct sf_sbv2_keys efuse;
static int efuse_err;

static int efuse_keys(void *ctx, struct sf_sbv2_keys *out)
{
    (void)ctx;
    *out = efuse;
    return efuse_err;
}

static int open_keys(void **state)
{
    (void)state;
    sbv2_signer_open(&a, SF_SBV2_ECDSA_P256);
    sbv2_signer_open(&b, SF_SBV2_ECDSA_P256);
    return 0;
}

static int close_keys(void **state)
{
    (void)state;
    sbv2_signer_close(&a);
    sbv2_signer_close(&b);
    return 0;
}

static void trust(const struct sbv2_signer *key)
{
    memcpy(efuse.digest[efuse.count++], key->digest, SF_SHA256_SIZE);
}

/* Signs a release with one key, or with two. */
static void sign(struct rig *r, struct rig_release *release, const struct sbv2_signer *first,
                 const struct sbv2_signer *second)
{
    const struct sbv2_signer *const keys[KEYS] = {first, second};
    release->image_len =
        sbv2_sign(release->image, release->image_len, keys, second == NULL ? 1 : 2);
    rig_seal(r, release);
}

static struct rig *boot(struct rig *r)
{
    rig_flash(r, RIG_SLOT_0, &r->v1);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    return r;
}

static struct rig *make(void)
{
    struct rig *r = rig_new();
    efuse_err = SF_OK;
    port = (struct sf_secure_boot){.check = &sf_secure_boot_v2, .keys = efuse_keys};
    sbv2_psa_init(&port.verifier);
    r->config.secure_boot = &port;
    return r;
}

/* Secure Boot is on and its key is `a`; v1 runs, signed with it. */
static int setup(void **state)
{
    struct rig *r = make();
    efuse = (struct sf_sbv2_keys){.digest_size = 32, .block_count = 3, .enabled = 1};
    trust(&a);
    sign(r, &r->v1, &a, NULL);
    *state = boot(r);
    return 0;
}

/* Secure Boot is off; v1 runs, signed with `a`. */
static int setup_signed_app(void **state)
{
    struct rig *r = make();
    efuse = (struct sf_sbv2_keys){0};
    sign(r, &r->v1, &a, NULL);
    *state = boot(r);
    return 0;
}

static int setup_unsigned(void **state)
{
    efuse = (struct sf_sbv2_keys){0};
    *state = boot(make());
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* Offers the release; the device refuses it with `err` after `requests` for the image, and neither
 * slot nor otadata has seen an operation. */
static void refuses(struct rig *r, const struct rig_release *release, int err, unsigned requests)
{
    const uint64_t operations = r->chip.op_count;
    const unsigned downloads = r->server.downloads;
    rig_target(r, release);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_true(r->server.outcome_count > 0);
    const struct sf_outcome *last = &r->server.outcome[r->server.outcome_count - 1];
    assert_int_equal(last->error, err);
    assert_int_equal(last->counter, r->server.counter);
    assert_int_equal(r->server.downloads - downloads, requests);
    assert_int_equal(r->chip.op_count, operations);
}

/* The same for an image that is refused only once it is there: otadata is as it was. */
static void refuses_before_the_switch(struct rig *r, const struct rig_release *release, int err)
{
    struct sf_otadata_entry before[2];
    struct sf_otadata_entry after[2];
    rig_otadata(r, before);
    rig_target(r, release);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_true(r->server.outcome_count > 0);
    assert_int_equal(r->server.outcome[r->server.outcome_count - 1].error, err);
    rig_otadata(r, after);
    assert_memory_equal(before, after, sizeof(before));
    assert_int_equal(rig_trial(r).open, 0);
}

static void installs(struct rig *r, const struct rig_release *release)
{
    rig_install(r, release);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_memory_equal(rig_core(r)->running_digest, release->digest, SF_SHA256_SIZE);
}

static void takes_an_image_that_a_burnt_key_signed(void **state)
{
    struct rig *r = *state;
    sign(r, &r->v2, &a, NULL);
    installs(r, &r->v2);
    assert_int_equal(r->server.downloads, 2); /* its last sector, then all of it */
    assert_int_equal(r->server.ranges, 1);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    assert_int_equal(r->server.last.running_length, r->v2.image_len);
}

static void takes_every_scheme(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < SCHEMES; i++) {
        struct sbv2_signer signer;
        sbv2_signer_open(&signer, (enum sf_sbv2_scheme)i);
        efuse.count = 0;
        trust(&signer);
        rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 9 + (uint32_t)i, .size = RIG_SMALL},
                 10 + (uint64_t)i);
        sign(r, &r->v2, &signer, NULL);
        installs(r, &r->v2);
        sbv2_signer_close(&signer);
    }
}

static void refuses_an_unsigned_image_without_asking_for_it(void **state)
{
    struct rig *r = *state;
    refuses(r, &r->v2, SF_ERR_UNSIGNED, 0);
    sign(r, &r->v3, &a, NULL); /* and starts over without a reboot */
    installs(r, &r->v3);
}

/* Whether it has a sector cannot be seen from its length. */
static void refuses_an_unsigned_image_of_whole_sectors(void **state)
{
    struct rig *r = *state;
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 2, .size = 6 * 4096}, 4);
    refuses(r, &r->v2, SF_ERR_UNSIGNED, 1);
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 2, .size = 4096}, 4);
    refuses(r, &r->v2, SF_ERR_UNSIGNED, 0); /* nothing but a sector */
}

static void refuses_the_key_of_somebody_else_before_the_first_erase(void **state)
{
    struct rig *r = *state;
    sign(r, &r->v2, &b, NULL);
    refuses(r, &r->v2, SF_ERR_BOOT_KEY, 1);
}

static void refuses_a_broken_signature_before_the_first_erase(void **state)
{
    struct rig *r = *state;
    sign(r, &r->v2, &a, NULL);
    uint8_t *block = r->v2.image + r->v2.image_len - 4096;
    block[110] ^= 1;
    rig_seal(r, &r->v2);
    refuses(r, &r->v2, SF_ERR_UNSIGNED, 1); /* its crc does not fit */
    sbv2_reseal(block);
    rig_seal(r, &r->v2);
    refuses(r, &r->v2, SF_ERR_BOOT_SIGNATURE, 1);
}

/* Only the whole image shows that it is not the signed one. */
static void refuses_the_signature_of_another_image_before_the_switch(void **state)
{
    struct rig *r = *state;
    sign(r, &r->v2, &a, NULL);
    r->v2.image[r->v2.image_len - 4097] ^= 1; /* in the padding: the image is as good as before */
    rig_seal(r, &r->v2);
    refuses_before_the_switch(r, &r->v2, SF_ERR_BOOT_SIGNATURE);
}

static void a_second_block_helps_where_the_first_signs_something_else(void **state)
{
    struct rig *r = *state;
    sign(r, &r->v2, &a, &a);
    uint8_t *sector = r->v2.image + r->v2.image_len - 4096;
    memcpy(sector, r->v1.image + r->v1.image_len - 4096, SF_SBV2_BLOCK_SIZE); /* v1's */
    rig_seal(r, &r->v2);
    installs(r, &r->v2);
}

static void serve_whole(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    if (request->range_offset > 0) {
        reply->body = r->server.target->image;
        reply->body_len = r->server.target->image_len;
        reply->head.status = 200;
        reply->head.content_len = (int64_t)reply->body_len;
        reply->head.range_start = -1;
        reply->head.range_total = -1;
    }
}

static void a_host_without_ranges_costs_the_early_refusal(void **state)
{
    struct rig *r = *state;
    r->server.script = serve_whole;
    sign(r, &r->v3, &b, NULL);
    refuses_before_the_switch(r, &r->v3, SF_ERR_BOOT_KEY);
    assert_int_equal(r->server.downloads, 1);
    sign(r, &r->v2, &a, NULL);
    installs(r, &r->v2);
    assert_int_equal(r->server.downloads, 2);
}

static unsigned losses_left;

static void lose_ranges(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (request->range_offset > 0 && losses_left > 0) {
        losses_left--;
        reply->body_len /= 2;
        reply->end = SF_ERR_CLOSED;
    }
}

static void the_last_sector_is_asked_for_again_when_it_was_lost(void **state)
{
    struct rig *r = *state;
    losses_left = 2;
    r->server.script = lose_ranges;
    sign(r, &r->v2, &b, NULL);
    refuses(r, &r->v2, SF_ERR_BOOT_KEY, 3);
}

static void wrong_range(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (request->range_offset > 0) {
        reply->head.range_start -= 4096;
    }
}

static void a_host_that_gives_other_ranges_serves_the_whole_image(void **state)
{
    struct rig *r = *state;
    r->server.script = wrong_range;
    sign(r, &r->v2, &a, NULL);
    installs(r, &r->v2);
}

/* Key rotation: both keys are burnt, then images carry both blocks, then the old one is revoked. */
static void keys_are_rotated_with_two_blocks(void **state)
{
    struct rig *r = *state;
    trust(&b);
    sign(r, &r->v2, &a, &b);
    installs(r, &r->v2);
    efuse.count = 0; /* the new application revokes `a` */
    trust(&b);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    sign(r, &r->v3, &b, NULL);
    installs(r, &r->v3);
    rig_make(r, &r->v1, &(struct esp_image_spec){.seed = 5, .size = RIG_SMALL}, 20);
    sign(r, &r->v1, &a, NULL);
    refuses(r, &r->v1, SF_ERR_BOOT_KEY, 1);
}

static void only_the_blocks_that_the_chip_looks_at_count(void **state)
{
    struct rig *r = *state;
    efuse.block_count = 1;
    sign(r, &r->v2, &b, &a);
    refuses(r, &r->v2, SF_ERR_BOOT_KEY, 1);
    efuse.block_count = 3;
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
}

static void with_all_keys_revoked_nothing_is_taken(void **state)
{
    struct rig *r = *state;
    efuse.count = 0;
    sign(r, &r->v2, &a, NULL);
    refuses(r, &r->v2, SF_ERR_BOOT_KEY, 1);
}

static void does_not_go_back_to_an_image_of_a_revoked_key(void **state)
{
    struct rig *r = *state;
    sign(r, &r->v2, &b, NULL);
    trust(&b);
    installs(r, &r->v2);
    efuse.count = 0;
    trust(&b);
    const uint64_t operations = r->chip.op_count;
    r->server.target = &r->v1;
    r->server.action = SF_STATUS_ROLL_BACK;
    r->server.counter++;
    assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[1].error, SF_ERR_BOOT_KEY);
    assert_int_equal(r->chip.op_count, operations);
    assert_int_equal(rig_slot_runs(r), 1);
}

static void an_efuse_that_cannot_be_read_stops_the_update(void **state)
{
    struct rig *r = *state;
    efuse_err = SF_ERR_IO;
    sign(r, &r->v2, &a, NULL);
    refuses(r, &r->v2, SF_ERR_IO, 0);
}

static void lose_the_end(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    if (request->range_offset == 0 && strncmp(request->path, "/artifacts/", 11) == 0) {
        reply->body_len = (size_t)100 * 1024;
        reply->end = SF_ERR_CLOSED;
    }
}

static void a_download_that_goes_on_after_a_reset_is_judged_at_its_end(void **state)
{
    struct rig *r = *state;
    sign(r, &r->v2, &a, NULL);
    rig_target(r, &r->v2);
    r->server.script = lose_the_end;
    for (unsigned i = 0; i < 10000 && rig_core(r)->held.bytes < (size_t)96 * 1024; i++) {
        (void)rig_step(r);
    }
    assert_true(rig_core(r)->held.bytes >= (size_t)96 * 1024);
    r->server.script = NULL;
    const unsigned requests = r->server.downloads;
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.downloads, requests + 1);
}

/* ---- signed apps without Secure Boot ---- */

static void the_running_images_first_key_counts(void **state)
{
    struct rig *r = *state;
    sign(r, &r->v2, &b, NULL);
    refuses(r, &r->v2, SF_ERR_BOOT_KEY, 1);
    refuses(r, &r->v3, SF_ERR_UNSIGNED, 0);
    sign(r, &r->v3, &a, &b);
    installs(r, &r->v3);
    refuses(r, &r->v2, SF_ERR_SEQ_OLD, 0);
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 8, .size = RIG_SMALL}, 20);
    sign(r, &r->v2, &b, &a); /* the running image's second key, and its first in second place */
    refuses(r, &r->v2, SF_ERR_BOOT_KEY, 1);
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 8, .size = RIG_LARGE}, 21);
    sign(r, &r->v2, &a, NULL);
    installs(r, &r->v2);
}

static void a_running_image_that_cannot_be_measured_trusts_nobody(void **state)
{
    struct rig *r = *state;
    rig_boot(r, SF_RESET_POWER_ON);
    r->chip.cells[RIG_SLOT_0] = 0; /* it runs, from the cache, say */
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.last.running_length, 0);
    sign(r, &r->v2, &a, NULL);
    refuses(r, &r->v2, SF_ERR_FLASH_READ, 0);
}

static void without_any_key_signed_and_unsigned_images_are_taken(void **state)
{
    struct rig *r = *state;
    installs(r, &r->v2);
    assert_int_equal(r->server.downloads, 1);
    sign(r, &r->v3, &b, NULL); /* from now on its key counts */
    installs(r, &r->v3);
    rig_make(r, &r->v1, &(struct esp_image_spec){.seed = 5, .size = RIG_SMALL}, 20);
    refuses(r, &r->v1, SF_ERR_UNSIGNED, 0);
}

static void an_unsigned_image_of_whole_sectors_is_no_signed_one(void **state)
{
    struct rig *r = *state;
    rig_make(r, &r->v2, &(struct esp_image_spec){.seed = 2, .size = 6 * 4096}, 4);
    installs(r, &r->v2);
    installs(r, &r->v3);
}

static void a_static_tree_is_judged_likewise(void **state)
{
    struct rig *r = *state;
    rig_static_tree(r);
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    const uint64_t operations = r->chip.op_count;
    sign(r, &r->v2, &b, NULL);
    assert_int_equal(rig_show(r, &r->v2), SF_ACTION_WAIT);
    assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_BOOT_KEY);
    assert_int_equal(r->chip.op_count, operations);
    sign(r, &r->v3, &a, NULL);
    rig_show_confirm(r, &r->v3);
}

#define TEST(name)          cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_APP(name)      cmocka_unit_test_setup_teardown(name, setup_signed_app, teardown)
#define TEST_UNSIGNED(name) cmocka_unit_test_setup_teardown(name, setup_unsigned, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_an_image_that_a_burnt_key_signed),
        TEST(takes_every_scheme),
        TEST(refuses_an_unsigned_image_without_asking_for_it),
        TEST(refuses_an_unsigned_image_of_whole_sectors),
        TEST(refuses_the_key_of_somebody_else_before_the_first_erase),
        TEST(refuses_a_broken_signature_before_the_first_erase),
        TEST(refuses_the_signature_of_another_image_before_the_switch),
        TEST(a_second_block_helps_where_the_first_signs_something_else),
        TEST(a_host_without_ranges_costs_the_early_refusal),
        TEST(the_last_sector_is_asked_for_again_when_it_was_lost),
        TEST(a_host_that_gives_other_ranges_serves_the_whole_image),
        TEST(keys_are_rotated_with_two_blocks),
        TEST(only_the_blocks_that_the_chip_looks_at_count),
        TEST(with_all_keys_revoked_nothing_is_taken),
        TEST(does_not_go_back_to_an_image_of_a_revoked_key),
        TEST(an_efuse_that_cannot_be_read_stops_the_update),
        TEST(a_download_that_goes_on_after_a_reset_is_judged_at_its_end),
        TEST_APP(the_running_images_first_key_counts),
        TEST_APP(a_running_image_that_cannot_be_measured_trusts_nobody),
        TEST_UNSIGNED(without_any_key_signed_and_unsigned_images_are_taken),
        TEST_UNSIGNED(an_unsigned_image_of_whole_sectors_is_no_signed_one),
        TEST(a_static_tree_is_judged_likewise),
    };
    return cmocka_run_group_tests(tests, open_keys, close_keys);
}
