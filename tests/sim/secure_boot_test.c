/* A virtual ESP32 with Secure Boot V2: its bootloader boots what a burnt key has signed and nothing
 * else, and its firmware installs nothing that this bootloader would refuse. Time is virtual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ports/host/sbv2_psa.h"
#include "tests/sim/lab.h"
#include "tests/support/sbv2_sign.h"

enum { HOUR = 3600000 };

struct bench {
    struct lab lab;
    struct lab_release first;
    struct lab_release second;
    struct sf_sbv2_verifier verifier;
    struct sbv2_signer old_key;
    struct sbv2_signer new_key;
};

static void sign(struct bench *b, struct lab_release *release, const struct sbv2_signer *key,
                 const struct sbv2_signer *second)
{
    const struct sbv2_signer *const keys[] = {key, second};
    release->image_len = sbv2_sign(release->image, release->image_len, keys, second ? 2 : 1);
    lab_seal(&b->lab.server, release);
}

static void burn(struct vesp32_secure_boot *efuse, unsigned number, const struct sbv2_signer *key)
{
    efuse->burnt |= (uint8_t)(1U << number);
    memcpy(efuse->digest[number], key->digest, SF_SHA256_SIZE);
}

/* An RSA key is burnt; an image that it signed is in ota_0. */
static int make_bench(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    sbv2_signer_open(&b->old_key, SF_SBV2_RSA_3072);
    sbv2_signer_open(&b->new_key, SF_SBV2_ECDSA_P256);
    sbv2_psa_init(&b->verifier);
    lab_server_open(&b->lab.server);
    lab_release(&b->lab.server, &b->first, "1.0.0", NULL, 2);
    sign(b, &b->first, &b->old_key, NULL);
    lab_open(&b->lab, &b->first);
    struct vesp32_options options = lab_options(&b->lab);
    options.verifier = &b->verifier;
    options.secure_boot =
        (struct vesp32_secure_boot){.enabled = 1, .digest_size = 32, .block_count = 3};
    burn(&options.secure_boot, 0, &b->old_key);
    vesp32_init(&b->lab.esp, &b->lab.flash, &options);
    lab_release(&b->lab.server, &b->second, "1.1.0", NULL, 4);
    *state = b;
    return 0;
}

static int release_bench(void **state)
{
    struct bench *b = *state;
    sbv2_signer_close(&b->old_key);
    sbv2_signer_close(&b->new_key);
    lab_close(&b->lab);
    free(b);
    return 0;
}

static int at_rest(const struct lab *lab)
{
    return vesp32_at_rest(&lab->esp);
}

static int has_outcome(const struct lab *lab)
{
    return lab->server.outcomes > 0;
}

static void start(struct bench *b)
{
    vesp32_power_on(&b->lab.esp, b->lab.now_ms);
    assert_true(lab_run(&b->lab, b->lab.now_ms + HOUR, at_rest));
}

static void offer_second(struct bench *b)
{
    b->lab.server.target = &b->second;
    b->lab.server.action = SF_STATUS_INSTALL;
    b->lab.server.counter++;
    assert_true(lab_run(&b->lab, b->lab.now_ms + HOUR, has_outcome));
    assert_true(lab_run(&b->lab, b->lab.now_ms + HOUR, NULL) == 0);
}

/* After a fallback otadata names the other slot yet. */
static int has_answered(const struct lab *lab)
{
    return lab->server.checkins > 0;
}

static void start_by_fallback(struct bench *b)
{
    b->lab.server.checkins = 0;
    vesp32_power_on(&b->lab.esp, b->lab.now_ms);
    assert_true(lab_run(&b->lab, b->lab.now_ms + HOUR, has_answered));
    assert_int_equal(b->lab.server.last.abilities & SF_ABILITY_RUNS_BOOT_SLOT, 0);
    assert_string_equal(b->lab.esp.version, "1.0.0");
}

/* What a cable can do and an update cannot. */
static void flash_by_cable(struct bench *b, const struct lab_release *release)
{
    struct sf_otadata_entry entry = sf_otadata_make(2, SF_OTA_NEW);
    const struct sf_config *config = &b->lab.esp.config;
    vesp32_power_off(&b->lab.esp);
    memcpy(b->lab.flash.cells + config->slot[1].offset, release->image, release->image_len);
    sf_otadata_encode(&entry, b->lab.flash.cells + config->otadata_offset + SF_OTADATA_SECTOR_SIZE);
}

static void a_signed_update_is_confirmed(void **state)
{
    struct bench *b = *state;
    start(b);
    assert_true(b->lab.server.last.abilities & SF_ABILITY_SECURE_BOOT);
    sign(b, &b->second, &b->old_key, NULL);
    offer_second(b);
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_string_equal(b->lab.esp.version, "1.1.0");
}

static void an_unsigned_update_is_refused_and_the_other_slot_untouched(void **state)
{
    struct bench *b = *state;
    start(b);
    offer_second(b);
    assert_int_equal(b->lab.server.outcome.error, SF_ERR_UNSIGNED);
    assert_string_equal(b->lab.esp.version, "1.0.0");
    assert_int_equal(b->lab.esp.boots, 1);
    assert_int_equal(b->lab.flash.cells[b->lab.esp.config.slot[1].offset], 0xff);
}

static void the_bootloader_refuses_what_no_burnt_key_signed(void **state)
{
    struct bench *b = *state;
    start(b);
    flash_by_cable(b, &b->second); /* unsigned */
    start_by_fallback(b);
    sign(b, &b->second, &b->new_key, NULL);
    flash_by_cable(b, &b->second);
    start_by_fallback(b);
    burn(&b->lab.esp.efuse_secure_boot, 2, &b->new_key);
    flash_by_cable(b, &b->second);
    start(b);
    assert_string_equal(b->lab.esp.version, "1.1.0");
}

static void a_revoked_key_boots_nothing(void **state)
{
    struct bench *b = *state;
    start(b);
    vesp32_power_off(&b->lab.esp);
    b->lab.esp.efuse_secure_boot.revoked = 1;
    vesp32_power_on(&b->lab.esp, b->lab.now_ms);
    (void)lab_run(&b->lab, b->lab.now_ms + HOUR, NULL);
    assert_int_equal(b->lab.esp.power, VESP32_BOOT_FAILS);
}

/* Both keys sign, the new one is burnt and the old one revoked: whatever is signed by the old one
 * alone is history, the device goes on. */
static void a_key_is_rotated_by_an_update_with_two_blocks(void **state)
{
    struct bench *b = *state;
    burn(&b->lab.esp.efuse_secure_boot, 1, &b->new_key);
    start(b);
    sign(b, &b->second, &b->old_key, &b->new_key);
    offer_second(b);
    assert_string_equal(b->lab.esp.version, "1.1.0");
    b->lab.esp.efuse_secure_boot.revoked = 1;
    start(b);
    assert_string_equal(b->lab.esp.version, "1.1.0");
    b->lab.server.outcomes = 0;
    lab_release(&b->lab.server, &b->second, "1.2.0", NULL, 6);
    sign(b, &b->second, &b->old_key, NULL);
    offer_second(b);
    assert_int_equal(b->lab.server.outcome.error, SF_ERR_BOOT_KEY);
    assert_string_equal(b->lab.esp.version, "1.1.0");
    b->lab.server.outcomes = 0;
    lab_release(&b->lab.server, &b->second, "1.3.0", NULL, 8);
    sign(b, &b->second, &b->new_key, NULL);
    offer_second(b);
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_string_equal(b->lab.esp.version, "1.3.0");
}

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, make_bench, release_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_signed_update_is_confirmed),
        BENCH_TEST(an_unsigned_update_is_refused_and_the_other_slot_untouched),
        BENCH_TEST(the_bootloader_refuses_what_no_burnt_key_signed),
        BENCH_TEST(a_revoked_key_boots_nothing),
        BENCH_TEST(a_key_is_rotated_by_an_update_with_two_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
