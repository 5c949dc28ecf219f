/* Every row of the observed bootloader, the whole real way: bytes in a flash, partition table
 * decoded, images judged, sf_boot_decide(), its writes carried out on the flash. */
#include "formats/bootloader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/esp_flash.h"
#include "tests/support/esp_image.h"
#include "tests/support/vectors.h"

enum { FLASH_SIZE = 0x500000, IMAGE_SIZE = 8192, TOUCHED = 16384, ENTRIES = 64 };

static struct esp_flash flash;
static struct sf_bootloader_work work;

static int setup(void **state)
{
    (void)state;
    flash.size = FLASH_SIZE;
    flash.bytes = malloc(FLASH_SIZE);
    if (flash.bytes == NULL) {
        return -1;
    }
    memset(flash.bytes, 0xff, FLASH_SIZE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(flash.bytes);
    return 0;
}

static void put_image(const char *slot, const char *kind, uint32_t secure_version)
{
    static uint8_t image[IMAGE_SIZE];
    const struct esp_image_spec spec = {.size = IMAGE_SIZE, .secure_version = secure_version};
    const size_t len = esp_image_build(&spec, image, sizeof(image));
    uint8_t *at = flash.bytes + esp_flash_slot_offset(slot);
    if (esp_image_lay(kind, image, len, at, TOUCHED) < 0) {
        fail_msg("unknown kind of image '%s'", kind);
    }
}

static void put_images(const json_t *slot_images)
{
    static const char *const names[] = {"factory", "ota_0", "ota_1", "ota_2"};
    for (size_t i = 0; i < 4; i++) {
        const json_t *kind = json_object_get(slot_images, names[i]);
        put_image(names[i], kind != NULL ? json_string_value(kind) : "erased", 0);
    }
}

static void put_otadata(const uint8_t entries[ENTRIES])
{
    uint8_t *at = flash.bytes + ESP_FLASH_OTADATA;
    memset(at, 0xff, SF_OTADATA_SIZE);
    memcpy(at, entries, SF_OTADATA_ENTRY_SIZE);
    memcpy(at + SF_OTADATA_SECTOR_SIZE, entries + SF_OTADATA_ENTRY_SIZE, SF_OTADATA_ENTRY_SIZE);
}

static void get_otadata(uint8_t entries[ENTRIES])
{
    const uint8_t *at = flash.bytes + ESP_FLASH_OTADATA;
    memcpy(entries, at, SF_OTADATA_ENTRY_SIZE);
    memcpy(entries + SF_OTADATA_ENTRY_SIZE, at + SF_OTADATA_SECTOR_SIZE, SF_OTADATA_ENTRY_SIZE);
}

static void put_layout(int has_factory, int has_otadata, unsigned ota_count)
{
    const struct esp_flash_layout layout = {has_factory, has_otadata, ota_count};
    struct sf_partition_table table;
    esp_flash_table(&layout, &table);
    esp_flash_put_table(&flash, &table);
}

/* Boots and carries the writes out. Returns the decision. */
static struct sf_boot_decision boot(const struct sf_bootloader *bootloader)
{
    struct sf_boot_decision decision;
    struct sf_diag diag;
    if (sf_bootloader_run(bootloader, &work, &decision, &diag) != SF_OK) {
        assert_int_equal(decision.slot, SF_BOOT_NONE);
        return decision;
    }
    assert_non_null(decision.why);
    if (decision.write_count > 0) {
        assert_int_equal(work.otadata_offset, ESP_FLASH_OTADATA);
        esp_flash_apply(&flash, work.otadata_offset, &decision);
    }
    return decision;
}

static void check(const char *name, const json_t *row, const char *boot_key, int slot)
{
    uint8_t expected[ENTRIES];
    uint8_t found[ENTRIES];
    vectors_hex(row, "otadata_out", expected, sizeof(expected));
    get_otadata(found);
    if (strcmp(sf_boot_slot_str(slot), vectors_text(row, boot_key)) != 0) {
        fail_msg("'%s' boots %s, observed %s", name, sf_boot_slot_str(slot),
                 vectors_text(row, boot_key));
    }
    if (memcmp(expected, found, sizeof(found)) != 0) {
        fail_msg("'%s': otadata afterwards differs from what was observed", name);
    }
}

static void check_sectors(const char *name, const json_t *row, const struct sf_boot_decision *d)
{
    unsigned expected = 0;
    unsigned found = 0;
    const json_t *sectors = json_object_get(row, "sectors_rewritten");
    for (size_t i = 0; i < json_array_size(sectors); i++) {
        expected |= 1U << json_integer_value(json_array_get(sectors, i));
    }
    for (unsigned i = 0; i < d->write_count; i++) {
        found |= 1U << d->write[i].sector;
    }
    if (expected != found) {
        fail_msg("'%s' rewrites sectors %x, observed %x", name, found, expected);
    }
}

static void agrees_with_every_observed_boot(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/bootloader.json");
    const json_t *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 2512);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        uint8_t otadata[ENTRIES];
        vectors_hex(row, "otadata_in", otadata, sizeof(otadata));
        put_layout(json_is_true(json_object_get(row, "has_factory")),
                   json_is_true(json_object_get(row, "has_otadata")),
                   (unsigned)json_integer_value(json_object_get(row, "n_ota")));
        put_images(json_object_get(row, "slot_images"));
        put_otadata(otadata);
        struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
        bootloader.rollback = json_is_true(json_object_get(row, "rollback"));
        const struct sf_boot_decision decision = boot(&bootloader);
        const char *name = vectors_text(row, "name");
        check(name, row, "expected_boot", decision.slot);
        check_sectors(name, row, &decision);
    }
    json_decref(root);
}

static void agrees_with_every_observed_boot_with_anti_rollback(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/bootloader_antirollback.json");
    const json_t *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 148);
    put_layout(0, 1, 2);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *versions = json_object_get(row, "image_secure_versions");
        uint8_t otadata[ENTRIES];
        vectors_hex(row, "otadata_in", otadata, sizeof(otadata));
        put_image("ota_0", "ok", (uint32_t)json_integer_value(json_array_get(versions, 0)));
        put_image("ota_1", "ok", (uint32_t)json_integer_value(json_array_get(versions, 1)));
        put_otadata(otadata);
        struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
        bootloader.anti_rollback = 1;
        bootloader.efuse_secure_version =
            (uint32_t)json_integer_value(json_object_get(row, "efuse_secure_version"));
        const struct sf_boot_decision decision = boot(&bootloader);
        check(vectors_text(row, "name"), row, "expected_boot", decision.slot);
        assert_int_equal(decision.efuse_secure_version,
                         json_integer_value(json_object_get(row, "efuse_secure_version_after")));
    }
    json_decref(root);
}

static void agrees_with_every_observed_sequence_of_boots(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/bootloader_sequences.json");
    const json_t *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 8);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *steps = json_object_get(row, "steps");
        put_layout(json_is_true(json_object_get(row, "has_factory")), 1, 2);
        put_images(json_object_get(row, "slots"));
        for (size_t k = 0; k < json_array_size(steps); k++) {
            const json_t *step = json_array_get(steps, k);
            uint8_t expected[ENTRIES];
            uint8_t found[ENTRIES];
            vectors_hex(step, "otadata_in", expected, sizeof(expected));
            if (k == 0) {
                put_otadata(expected);
            }
            get_otadata(found);
            assert_memory_equal(expected, found, sizeof(found));
            const struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
            check(vectors_text(row, "name"), step, "boot", boot(&bootloader).slot);
        }
    }
    json_decref(root);
}

/* "1V,2P": seq and first letter of the state; "erased". */
static void put_otadata_text(const char *text)
{
    static const char letters[] = {'N', 'P', 'V', 'I', 'A'};
    uint8_t entries[ENTRIES];
    memset(entries, 0xff, sizeof(entries));
    for (unsigned e = 0; e < 2 && strncmp(text, "erased", 6) != 0; e++) {
        const char *at = text + e * strlen("1V,");
        const char *letter = memchr(letters, at[1], sizeof(letters));
        assert_non_null(letter);
        const struct sf_otadata_entry entry =
            sf_otadata_make((uint32_t)(at[0] - '0'), (uint32_t)(letter - letters));
        sf_otadata_encode(&entry, entries + (size_t)e * SF_OTADATA_ENTRY_SIZE);
    }
    put_otadata(entries);
}

static void a_rewrite_erases_the_rest_of_its_sector_and_leaves_the_other_alone(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/bootloader_sequences.json");
    const json_t *rows = json_object_get(root, "rest_of_sector");
    assert_int_equal(json_array_size(rows), 6);
    put_image("factory", "ok", 0);
    put_image("ota_0", "ok", 0);
    put_image("ota_1", "ok", 0);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *name = vectors_text(row, "case");
        put_layout(strstr(name, "nofac") == NULL, 1, 2);
        put_otadata_text(name);
        flash.bytes[ESP_FLASH_OTADATA + 100] = 0x5a;
        flash.bytes[ESP_FLASH_OTADATA + SF_OTADATA_SECTOR_SIZE + 100] = 0x5a;
        const struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
        const struct sf_boot_decision decision = boot(&bootloader);
        assert_string_equal(sf_boot_slot_str(decision.slot),
                            vectors_text(row, "boot") + strlen("app:"));
        for (size_t s = 0; s < 2; s++) {
            const char *rest =
                json_string_value(json_array_get(json_object_get(row, "rest_of_sector"), s));
            const uint8_t found = flash.bytes[ESP_FLASH_OTADATA + s * SF_OTADATA_SECTOR_SIZE + 100];
            assert_int_equal(found, strcmp(rest, "kept") == 0 ? 0x5a : 0xff);
        }
    }
    json_decref(root);
}

/* Rows of the table put_layout() makes: nvs, otadata, factory, ota_0, ota_1, md5. */
static uint8_t *table_row(unsigned row)
{
    return flash.bytes + SF_PARTITION_TABLE_OFFSET + (size_t)row * SF_PARTITION_ENTRY_SIZE;
}

static void remove_entry(struct sf_partition_table *t, unsigned at)
{
    t->count--;
    memmove(&t->entry[at], &t->entry[at + 1], (t->count - at) * sizeof(t->entry[0]));
}

/* Spoils the table as the observed case says. Returns 0 if the case is unknown. */
static int put_table_case(const char *name)
{
    const struct esp_flash_layout layout = {1, 1, 2};
    struct sf_partition_table t;
    esp_flash_table(&layout, &t);
    if (strncmp(name, "ota_1 only", 10) == 0) {
        remove_entry(&t, 3);
        if (strstr(name, "no factory") != NULL) {
            remove_entry(&t, 2);
        }
    } else if (strcmp(name, "otadata only 0x1000 long") == 0) {
        t.entry[1].size = 0x1000;
    } else if (strcmp(name, "ota_1 beyond flash chip") == 0) {
        t.entry[4].offset = FLASH_SIZE - 0x10000;
    }
    t.has_md5 = strcmp(name, "no md5 entry") != 0;
    esp_flash_put_table(&flash, &t);
    if (strcmp(name, "md5 wrong") == 0) {
        table_row(5)[31] ^= 1;
    } else if (strcmp(name, "first magic wrong") == 0) {
        table_row(0)[0] ^= 1;
    } else if (strncmp(name, "label bit flipped", 17) == 0) {
        table_row(0)[12] ^= 1;
    } else if (strcmp(name, "erased table") == 0) {
        memset(table_row(0), 0xff, SF_PARTITION_TABLE_SIZE);
    } else if (strncmp(name, "no terminator", 13) == 0) {
        memset(table_row(6), 0, SF_PARTITION_TABLE_SIZE - 6 * SF_PARTITION_ENTRY_SIZE);
    } else {
        return strncmp(name, "ota", 3) == 0 || strcmp(name, "good") == 0 || !t.has_md5;
    }
    return 1;
}

static void agrees_with_the_observed_partition_table_cases(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/bootloader_sequences.json");
    const json_t *rows = json_object_get(root, "partition_table");
    assert_int_equal(json_array_size(rows), 12);
    put_image("factory", "ok", 0);
    put_image("ota_0", "ok", 0);
    put_image("ota_1", "ok", 0);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *name = vectors_text(row, "case");
        const char *result = vectors_text(row, "result");
        assert_true(put_table_case(name));
        put_otadata_text(strstr(name, "erased otadata") != NULL ? "erased" : "1V,2V");
        const struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
        const char *found = sf_boot_slot_str(boot(&bootloader).slot);
        if (strcmp(found, strcmp(result, "reset") == 0 ? "none" : result + strlen("app:")) != 0) {
            fail_msg("partition table case '%s' boots %s, observed %s", name, found, result);
        }
    }
    json_decref(root);
}

static void says_why_a_table_is_refused(void **state)
{
    (void)state;
    struct sf_boot_decision decision;
    struct sf_diag diag;
    const struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
    assert_true(put_table_case("md5 wrong"));
    assert_int_equal(sf_bootloader_run(&bootloader, &work, &decision, &diag), SF_ERR_MD5);
    assert_int_equal(diag.offset, 5 * SF_PARTITION_ENTRY_SIZE + 16);
    assert_string_equal(decision.why, diag.why);
    assert_int_equal(decision.write_count, 0);
}

static void boots_the_test_app_when_nothing_else_is_left(void **state)
{
    (void)state;
    const struct esp_flash_layout layout = {1, 1, 2};
    struct sf_partition_table t;
    esp_flash_table(&layout, &t);
    t.entry[4].subtype = SF_PARTITION_APP_TEST;
    esp_flash_put_table(&flash, &t);
    put_image("factory", "badsha", 0);
    put_image("ota_0", "erased", 0);
    put_image("ota_1", "ok", 0);
    put_otadata_text("erased");
    const struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
    assert_int_equal(boot(&bootloader).slot, SF_BOOT_TEST);
    put_image("ota_1", "badsha", 0);
    assert_int_equal(boot(&bootloader).slot, SF_BOOT_NONE);
}

static void slots_are_counted_up_to_sixteen(void **state)
{
    (void)state;
    struct sf_boot_decision decision;
    struct sf_diag diag;
    struct sf_partition_table t = {.has_md5 = 1};
    for (t.count = 0; t.count < SF_OTA_SLOT_MAX; t.count++) {
        t.entry[t.count] =
            (struct sf_partition){.offset = ESP_FLASH_FACTORY,
                                  .size = 0x10000,
                                  .subtype = (uint8_t)(SF_PARTITION_APP_OTA_0 + t.count)};
    }
    esp_flash_put_table(&flash, &t);
    put_image("factory", "ok", 0);
    const struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
    assert_int_equal(sf_bootloader_run(&bootloader, &work, &decision, &diag), SF_OK);
    assert_int_equal(decision.slot, 0);
    assert_ptr_equal(sf_bootloader_partition(&work.table, 15), &work.table.entry[15]);
    assert_null(sf_bootloader_partition(&work.table, SF_OTA_SLOT_MAX));
    assert_null(sf_bootloader_partition(&work.table, SF_BOOT_NONE));
    assert_string_equal(sf_boot_slot_str(15), "ota_15");
    assert_string_equal(sf_boot_slot_str(SF_OTA_SLOT_MAX), "none");
    t.entry[t.count++] = t.entry[3];
    esp_flash_put_table(&flash, &t);
    assert_int_equal(sf_bootloader_run(&bootloader, &work, &decision, &diag), SF_ERR_DUPLICATE);
}

static int read_that_fails(void *ctx, uint32_t address, void *out, size_t len)
{
    const uint32_t *first_bad = ctx;
    if (address >= *first_bad) {
        return SF_ERR_FLASH_READ;
    }
    return esp_flash_read(&flash, address, out, len);
}

static void a_failed_read_is_told_or_costs_that_image_only(void **state)
{
    (void)state;
    put_layout(1, 1, 2);
    put_image("factory", "ok", 0);
    put_image("ota_0", "ok", 0);
    put_image("ota_1", "ok", 0);
    put_otadata_text("1V,2V");
    uint32_t first_bad = 0;
    struct sf_bootloader bootloader = esp_flash_bootloader(&flash);
    bootloader.ctx = &first_bad;
    bootloader.read = read_that_fails;
    struct sf_boot_decision decision;
    assert_int_equal(sf_bootloader_run(&bootloader, &work, &decision, NULL), SF_ERR_FLASH_READ);
    first_bad = ESP_FLASH_OTADATA;
    assert_int_equal(sf_bootloader_run(&bootloader, &work, &decision, NULL), SF_ERR_FLASH_READ);
    first_bad = esp_flash_slot_offset("ota_1");
    assert_int_equal(sf_bootloader_run(&bootloader, &work, &decision, NULL), SF_OK);
    assert_int_equal(decision.slot, 0);
    assert_int_equal(work.input.ota[1].verifies, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_every_observed_boot),
        cmocka_unit_test(agrees_with_every_observed_boot_with_anti_rollback),
        cmocka_unit_test(agrees_with_every_observed_sequence_of_boots),
        cmocka_unit_test(a_rewrite_erases_the_rest_of_its_sector_and_leaves_the_other_alone),
        cmocka_unit_test(agrees_with_the_observed_partition_table_cases),
        cmocka_unit_test(says_why_a_table_is_refused),
        cmocka_unit_test(boots_the_test_app_when_nothing_else_is_left),
        cmocka_unit_test(slots_are_counted_up_to_sixteen),
        cmocka_unit_test(a_failed_read_is_told_or_costs_that_image_only),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
