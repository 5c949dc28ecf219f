/* Flash images for virtual devices: they boot, and a bad firmware is refused with its place. */
#include "sim/flash_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/bootloader.h"
#include "tests/support/esp_flash.h"
#include "tests/support/esp_image.h"

struct images {
    uint8_t app[16384];
    size_t app_len;
    uint8_t flash[FLASH_IMAGE_SIZE];
};

static int make_images(void **state)
{
    struct images *i = malloc(sizeof(*i));
    struct esp_image_spec spec = {.version = "1.0.0"};
    assert_non_null(i);
    i->app_len = esp_image_build(&spec, i->app, sizeof(i->app));
    *state = i;
    return 0;
}

static int release_images(void **state)
{
    free(*state);
    return 0;
}

static void the_image_boots_from_ota_0(void **state)
{
    struct images *i = *state;
    struct esp_flash flash = {i->flash, FLASH_IMAGE_SIZE};
    struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
    struct sf_bootloader_work work;
    struct sf_boot_decision decision;
    assert_int_equal(flash_image_build(i->app, i->app_len, i->flash, NULL), SF_OK);
    assert_int_equal(sf_bootloader_run(&bootloader, &work, &decision, NULL), SF_OK);
    assert_int_equal(decision.slot, 0);
    assert_int_equal(work.input.ota_count, 2);
    assert_int_equal(sf_partition_table_check(&work.table, NULL), SF_OK);
    assert_int_equal(work.table.has_md5, 1);
    const struct sf_partition *records = sf_partition_find_label(&work.table, "surefoot");
    assert_non_null(records);
    assert_int_equal(records->offset, FLASH_IMAGE_RECORDS);
    assert_int_equal(flash_image_chip(i->flash, FLASH_IMAGE_SIZE, NULL), SF_CHIP_ESP32C3);
}

static void a_damaged_firmware_is_refused(void **state)
{
    struct images *i = *state;
    struct sf_diag diag = {0};
    i->app[i->app_len - 1] ^= 1;
    assert_int_equal(flash_image_build(i->app, i->app_len, i->flash, &diag), SF_ERR_HASH);
    assert_non_null(diag.why);
    i->app[0] = 0;
    assert_int_equal(flash_image_build(i->app, i->app_len, i->flash, &diag), SF_ERR_MAGIC);
}

static void a_firmware_larger_than_the_slot_is_refused(void **state)
{
    struct images *i = *state;
    size_t len = FLASH_IMAGE_SLOT_SIZE + 1;
    uint8_t *large = calloc(1, len);
    assert_non_null(large);
    assert_int_equal(flash_image_build(large, len, i->flash, NULL), SF_ERR_NOSPC);
    free(large);
}

static void a_dump_without_table_or_image_has_no_chip(void **state)
{
    struct images *i = *state;
    struct sf_diag diag = {0};
    assert_int_equal(flash_image_build(i->app, i->app_len, i->flash, NULL), SF_OK);
    i->flash[FLASH_IMAGE_OTA_0] = 0xff;
    assert_int_equal(flash_image_chip(i->flash, FLASH_IMAGE_SIZE, &diag), SF_ERR_NOTFOUND);
    i->flash[SF_PARTITION_TABLE_OFFSET + 4] ^= 1;
    assert_int_equal(flash_image_chip(i->flash, FLASH_IMAGE_SIZE, &diag), SF_ERR_MD5);
    assert_true(diag.offset >= SF_PARTITION_TABLE_OFFSET);
    assert_int_equal(flash_image_chip(i->flash, 0x8000, &diag), SF_ERR_TRUNCATED);
}

#define IMAGE_TEST(f) cmocka_unit_test_setup_teardown(f, make_images, release_images)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IMAGE_TEST(the_image_boots_from_ota_0),
        IMAGE_TEST(a_damaged_firmware_is_refused),
        IMAGE_TEST(a_firmware_larger_than_the_slot_is_refused),
        IMAGE_TEST(a_dump_without_table_or_image_has_no_chip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
