/* Each kind of image the real bootloader was shown: taken or refused as it did, and why. */
#include "formats/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/esp_flash.h"
#include "tests/support/esp_image.h"
#include "tests/support/sbv2_sign.h"
#include "tests/support/sha256_crypto.h"
#include "tests/support/vectors.h"

enum { SLOT = 0x10000, SLOT_SIZE = 0x4000, IMAGE_SIZE = 8192 };

static uint8_t bytes[SLOT + SLOT_SIZE];
static struct esp_flash flash = {bytes, sizeof(bytes)};
static uint8_t image[IMAGE_SIZE];
static struct sf_verdict verdict;

static int setup(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {.size = IMAGE_SIZE};
    return esp_image_build(&spec, image, sizeof(image)) == IMAGE_SIZE ? 0 : -1;
}

static struct sf_verdict_input input(void)
{
    return (struct sf_verdict_input){
        .ctx = &flash,
        .read = esp_flash_read,
        .crypto = sha256_crypto(),
        .address = SLOT,
        .size = SLOT_SIZE,
        .chip_id = SF_CHIP_ESP32C3,
        .chip_revision = 3,
    };
}

static int judge(void)
{
    const struct sf_verdict_input in = input();
    const int err = sf_verdict_image(&in, &verdict);
    assert_int_equal(err, verdict.err);
    assert_true(err == SF_OK || (verdict.diag.why != NULL && verdict.diag.offset <= SLOT_SIZE));
    return err;
}

static void lay(const char *kind)
{
    assert_true(esp_image_lay(kind, image, IMAGE_SIZE, bytes + SLOT, SLOT_SIZE) >= 0);
}

static void takes_and_refuses_what_the_bootloader_does(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/bootloader.json");
    json_t *kinds =
        json_object_get(json_object_get(root, "source"), "image kinds accepted by the bootloader");
    assert_int_equal(json_object_size(kinds), 21);
    const char *kind;
    json_t *accepted;
    json_object_foreach(kinds, kind, accepted)
    {
        lay(kind);
        if ((judge() == SF_OK) != json_is_true(accepted)) {
            fail_msg("'%s': %s", kind, sf_err_str(verdict.err));
        }
    }
    json_decref(root);
}

static void says_why_an_image_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        int err;
        size_t offset;
    } cases[] = {
        {"erased", SF_ERR_MAGIC, 0},
        {"zero", SF_ERR_MAGIC, 0},
        {"badmagic", SF_ERR_MAGIC, 0},
        {"badmagic_fixsha", SF_ERR_MAGIC, 0},
        {"badchip", SF_ERR_CHIP, 12},
        {"minrev", SF_ERR_CHIP_REVISION, 15},
        {"maxrev0", SF_ERR_CHIP_REVISION, 17},
        {"badsha", SF_ERR_HASH, IMAGE_SIZE - 32},
        {"bitflip", SF_ERR_CHECKSUM, IMAGE_SIZE - 33},
        {"bitflip_fixck", SF_ERR_HASH, IMAGE_SIZE - 32},
        {"badck_fixsha", SF_ERR_CHECKSUM, IMAGE_SIZE - 33},
        {"truncated", SF_ERR_CHECKSUM, IMAGE_SIZE - 33},
        {"nohash_badck", SF_ERR_CHECKSUM, IMAGE_SIZE - 33},
        {"seg17", SF_ERR_SEGMENTS, 1},
        {"seg0", SF_ERR_SEGMENTS, 1},
        {"hugeseg", SF_ERR_NOSPC, 32},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lay(cases[i].kind);
        assert_int_equal(judge(), cases[i].err);
        assert_int_equal(verdict.diag.offset, cases[i].offset);
    }
}

static void with_secure_boot_a_key_that_counts_must_have_signed(void **state)
{
    (void)state;
    struct sbv2_signer signer;
    struct sf_sbv2_keys keys = {.count = 1, .digest_size = 32, .block_count = 3, .enabled = 1};
    const struct sf_sbv2_trust trust = {sha256_crypto(), sbv2_openssl(), &keys};
    const struct sbv2_signer *const signers[] = {&signer};
    struct sf_verdict_input in = input();
    in.secure_boot = &trust;
    lay("ok");
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_UNSIGNED);
    assert_int_equal(verdict.diag.offset, IMAGE_SIZE);
    sbv2_signer_open(&signer, SF_SBV2_ECDSA_P256);
    assert_int_equal(sbv2_sign(bytes + SLOT, IMAGE_SIZE, signers, 1), IMAGE_SIZE + 4096);
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_BOOT_KEY);
    memcpy(keys.digest[0], signer.digest, SF_SHA256_SIZE);
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_OK);
    in.size = IMAGE_SIZE + 4095;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_UNSIGNED);
    keys.enabled = 0;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_OK);
    sbv2_signer_close(&signer);
}

static void an_image_may_fill_its_slot_to_the_last_byte(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {.size = SLOT_SIZE};
    assert_int_equal(esp_image_build(&spec, bytes + SLOT, SLOT_SIZE), SLOT_SIZE);
    assert_int_equal(judge(), SF_OK);
    struct sf_verdict_input in = input();
    in.size = SLOT_SIZE - 16;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_NOSPC);
}

static void a_slot_of_no_size_is_refused(void **state)
{
    (void)state;
    struct sf_verdict_input in = input();
    lay("ok");
    in.size = SF_IMAGE_HEADER_SIZE - 1;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_RANGE);
    in.size = UINT32_MAX;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_RANGE);
}

static void chip_and_revision_are_those_of_the_chip_that_boots(void **state)
{
    (void)state;
    struct sf_verdict_input in = input();
    lay("ok"); /* needs v0.3 to v0.99 */
    in.chip_revision = 2;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_CHIP_REVISION);
    in.chip_revision = 99;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_OK);
    in.chip_revision = 100;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_CHIP_REVISION);
    in.chip_id = SF_CHIP_ESP32S3;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_CHIP);
}

static void no_highest_revision_means_any(void **state)
{
    (void)state;
    static const uint8_t unset[] = {0x00, 0xff};
    for (size_t i = 0; i < sizeof(unset); i++) {
        struct sf_verdict_input in = input();
        lay("ok");
        bytes[SLOT + 17] = unset[i];
        bytes[SLOT + 18] = unset[i];
        esp_image_reseal(bytes + SLOT, IMAGE_SIZE);
        in.chip_revision = 9999;
        assert_int_equal(sf_verdict_image(&in, &verdict), SF_OK);
    }
}

static void a_mapped_segment_must_lie_at_its_place_in_a_flash_page(void **state)
{
    (void)state;
    lay("ok");
    bytes[SLOT + 24] ^= 0x10; /* load address of the first segment */
    esp_image_reseal(bytes + SLOT, IMAGE_SIZE);
    assert_int_equal(judge(), SF_ERR_SEGMENTS);
    assert_int_equal(verdict.diag.offset, 24);
    bytes[SLOT + 27] = 0x50; /* an address that is not mapped may be any */
    esp_image_reseal(bytes + SLOT, IMAGE_SIZE);
    assert_int_equal(judge(), SF_OK);
}

static void the_mapped_addresses_are_those_of_the_chip(void **state)
{
    (void)state;
    static const struct {
        uint8_t chip_id;
        uint32_t address; /* of a segment that lies wrong in its page */
        int err;
    } cases[] = {
        {SF_CHIP_ESP32C3, 0x3c000000, SF_ERR_SEGMENTS},
        {SF_CHIP_ESP32C3, 0x3c7ffffc, SF_ERR_SEGMENTS},
        {SF_CHIP_ESP32C3, 0x3c800000, SF_OK},
        {SF_CHIP_ESP32C3, 0x3bfffffc, SF_OK},
        {SF_CHIP_ESP32C3, 0x42000000, SF_ERR_SEGMENTS},
        {SF_CHIP_ESP32C3, 0x400d0000, SF_OK},
        {SF_CHIP_ESP32, 0x400d0000, SF_ERR_SEGMENTS},
        {SF_CHIP_ESP32, 0x3f400000, SF_ERR_SEGMENTS},
        {SF_CHIP_ESP32, 0x3c000000, SF_OK},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sf_verdict_input in = input();
        lay("ok");
        bytes[SLOT + 12] = cases[i].chip_id;
        for (unsigned k = 0; k < 4; k++) {
            bytes[SLOT + 24 + k] = (uint8_t)(cases[i].address >> (8 * k));
        }
        static const uint32_t others[] = {0x220, 0x268, 0x2b0}; /* these are loaded nowhere */
        for (unsigned k = 0; k < 3; k++) {
            memset(bytes + SLOT + others[k], 0, 4);
        }
        esp_image_reseal(bytes + SLOT, IMAGE_SIZE);
        in.chip_id = cases[i].chip_id;
        assert_int_equal(sf_verdict_image(&in, &verdict), cases[i].err);
    }
}

static void nothing_beyond_the_slot_is_read(void **state)
{
    (void)state;
    struct sf_verdict_input in = input();
    lay("ok");
    flash.size = SLOT + IMAGE_SIZE;
    in.size = IMAGE_SIZE;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_OK);
    flash.size = SLOT + 1000;
    in.size = 1000;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_NOSPC);
    flash.size = SLOT + SF_IMAGE_HEADER_SIZE;
    in.size = SF_IMAGE_HEADER_SIZE;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_NOSPC);
    flash.size = sizeof(bytes);
}

static void a_failed_read_is_told_with_its_place(void **state)
{
    (void)state;
    struct sf_verdict_input in = input();
    lay("ok");
    in.address = SLOT + 0x100000;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_FLASH_READ);
    assert_int_equal(verdict.diag.offset, 0);
    flash.size = SLOT + 1024;
    in.address = SLOT;
    assert_int_equal(sf_verdict_image(&in, &verdict), SF_ERR_FLASH_READ);
    assert_int_equal(verdict.diag.offset, 1024);
    flash.size = sizeof(bytes);
}

static void every_flip_of_a_bit_of_an_image_with_hash_is_refused(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {.size = ESP_IMAGE_SIZE_MIN};
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(esp_image_build(&spec, bytes + SLOT, SLOT_SIZE), ESP_IMAGE_SIZE_MIN);
    for (size_t bit = 0; bit < (size_t)ESP_IMAGE_SIZE_MIN * 8; bit++) {
        bytes[SLOT + bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(judge() == SF_OK,
                         bit == (size_t)23 * 8); /* but for the flag of the hash itself */
        bytes[SLOT + bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_and_refuses_what_the_bootloader_does),
        cmocka_unit_test(says_why_an_image_is_refused),
        cmocka_unit_test(with_secure_boot_a_key_that_counts_must_have_signed),
        cmocka_unit_test(an_image_may_fill_its_slot_to_the_last_byte),
        cmocka_unit_test(a_slot_of_no_size_is_refused),
        cmocka_unit_test(chip_and_revision_are_those_of_the_chip_that_boots),
        cmocka_unit_test(no_highest_revision_means_any),
        cmocka_unit_test(a_mapped_segment_must_lie_at_its_place_in_a_flash_page),
        cmocka_unit_test(the_mapped_addresses_are_those_of_the_chip),
        cmocka_unit_test(nothing_beyond_the_slot_is_read),
        cmocka_unit_test(a_failed_read_is_told_with_its_place),
        cmocka_unit_test(every_flip_of_a_bit_of_an_image_with_hash_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
