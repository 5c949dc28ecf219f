/* surefoot flash: the real program on dumps made from every row of the observed bootloader, and on
 * dumps that are wrong. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/cli/run.h"
#include "tests/support/esp_flash.h"
#include "tests/support/esp_image.h"
#include "tests/support/vectors.h"

enum { FLASH_SIZE = 0x410000, IMAGE_SIZE = 8192, TOUCHED = 16384, ENTRIES = 64, SAMPLE = 9 };

static struct esp_flash flash; /* the dump file, mapped */
static char dump[RUN_PATH_MAX];

static int setup(void **state)
{
    if (run_setup(state) != 0) {
        return -1;
    }
    snprintf(dump, sizeof dump, "%s", run_path("dump.bin"));
    int fd = open(dump, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, FLASH_SIZE) != 0) {
        return -1;
    }
    flash.size = FLASH_SIZE;
    flash.bytes = mmap(NULL, FLASH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (flash.bytes == MAP_FAILED) {
        return -1;
    }
    memset(flash.bytes, 0xff, FLASH_SIZE);
    return 0;
}

static int teardown(void **state)
{
    munmap(flash.bytes, FLASH_SIZE);
    return run_teardown(state);
}

/* What put_image() wrote last: neighbouring rows mostly have the same images. */
static char there[4][40];

static void put_image(const char *slot, const char *kind, uint32_t secure_version)
{
    char what[sizeof there[0]];
    char *before = there[strcmp(slot, "factory") == 0 ? 3 : slot[4] - '0'];
    snprintf(what, sizeof what, "%s %u", kind, secure_version);
    if (strcmp(what, before) == 0) {
        return;
    }
    memcpy(before, what, sizeof what);
    static uint8_t image[IMAGE_SIZE];
    const struct esp_image_spec spec = {.size = IMAGE_SIZE, .secure_version = secure_version};
    const size_t len = esp_image_build(&spec, image, sizeof image);
    assert_true(
        esp_image_lay(kind, image, len, flash.bytes + esp_flash_slot_offset(slot), TOUCHED) >= 0);
}

static void put_images(const json_t *slots)
{
    static const char *const names[] = {"factory", "ota_0", "ota_1", "ota_2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *kind = json_string_value(json_object_get(slots, names[i]));
        put_image(names[i], kind ? kind : "erased", 0);
    }
}

static void put_layout(int has_factory, int has_otadata, unsigned ota_count)
{
    const struct esp_flash_layout layout = {has_factory, has_otadata, ota_count};
    struct sf_partition_table table;
    esp_flash_table(&layout, &table);
    esp_flash_put_table(&flash, &table);
}

static void put_otadata(const uint8_t entries[ENTRIES])
{
    uint8_t *at = flash.bytes + ESP_FLASH_OTADATA;
    memset(at, 0xff, SF_OTADATA_SIZE);
    memcpy(at, entries, SF_OTADATA_ENTRY_SIZE);
    memcpy(at + SF_OTADATA_SECTOR_SIZE, entries + SF_OTADATA_ENTRY_SIZE, SF_OTADATA_ENTRY_SIZE);
}

static void put_states(uint32_t seq0, uint32_t state0, uint32_t seq1, uint32_t state1)
{
    uint8_t bytes[ENTRIES];
    const struct sf_otadata_entry e0 = sf_otadata_make(seq0, state0);
    const struct sf_otadata_entry e1 = sf_otadata_make(seq1, state1);
    sf_otadata_encode(&e0, bytes);
    sf_otadata_encode(&e1, bytes + SF_OTADATA_ENTRY_SIZE);
    put_otadata(bytes);
}

/* A sound flash: ota_0 valid and running, ota_1 new. */
static void put_good(void)
{
    put_layout(1, 1, 2);
    put_image("factory", "ok", 0);
    put_image("ota_0", "ok", 0);
    put_image("ota_1", "ok", 0);
    put_states(1, SF_OTA_VALID, 2, SF_OTA_NEW);
}

/* Demands exactly the keys of the contract. */
static void check_contract(const json_t *answer)
{
    const char *boot = vectors_text(answer, "boot");
    const int none = strcmp(boot, "none") == 0;
    assert_int_equal(json_object_size(answer), none ? 4 : 3);
    assert_non_null(json_object_get(answer, "otadata"));
    assert_true(json_is_integer(json_object_get(answer, "efuse_secure_version")));
    assert_true(!none || strlen(vectors_text(answer, "reason")) > 0);
}

static void check_row(const json_t *row, const json_t *answer, const char *boot_key,
                      int has_otadata)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    check_contract(answer);
    if (strcmp(vectors_text(answer, "boot"), vectors_text(row, boot_key)) != 0) {
        fail_msg("'%s' boots %s, observed %s", name ? name : "?", vectors_text(answer, "boot"),
                 vectors_text(row, boot_key));
    }
    if (!has_otadata) {
        assert_true(json_is_null(json_object_get(answer, "otadata")));
    } else if (strcmp(vectors_text(answer, "otadata"), vectors_text(row, "otadata_out")) != 0) {
        fail_msg("'%s': otadata afterwards is %s, observed %s", name ? name : "?",
                 vectors_text(answer, "otadata"), vectors_text(row, "otadata_out"));
    }
}

/* A process for each row takes two minutes with sanitizers, so each SAMPLE-th row unless all is
 * wanted; formats' own test runs every row through the same code always. */
static void boot_agrees_with_every_observed_boot(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/bootloader.json");
    const json_t *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 2512);
    for (size_t i = 0; i < json_array_size(rows); i += run_full() ? 1 : SAMPLE) {
        const json_t *row = json_array_get(rows, i);
        uint8_t otadata[ENTRIES];
        int has_otadata = json_is_true(json_object_get(row, "has_otadata"));
        vectors_hex(row, "otadata_in", otadata, sizeof otadata);
        put_layout(json_is_true(json_object_get(row, "has_factory")), has_otadata,
                   (unsigned)json_integer_value(json_object_get(row, "n_ota")));
        put_images(json_object_get(row, "slot_images"));
        put_otadata(otadata);
        /* Half of the rows name the chip, half rely on the defaults, which are the same. */
        const char *rollback =
            json_is_true(json_object_get(row, "rollback")) ? "--json" : "--no-rollback";
        struct run *r = i % 2 ? run_surefoot("flash", "boot", dump, "--chip", "esp32c3",
                                             "--chip-rev", "3", rollback, "--json", NULL)
                              : run_surefoot("flash", "boot", dump, "--json", rollback, NULL);
        assert_int_equal(r->status, 0);
        json_t *answer = run_json(r);
        check_row(row, answer, "expected_boot", has_otadata);
        json_decref(answer);
    }
    json_decref(root);
}

static void boot_agrees_with_every_observed_boot_with_anti_rollback(void **state)
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
        char efuse[24];
        vectors_hex(row, "otadata_in", otadata, sizeof otadata);
        put_image("ota_0", "ok", (uint32_t)json_integer_value(json_array_get(versions, 0)));
        put_image("ota_1", "ok", (uint32_t)json_integer_value(json_array_get(versions, 1)));
        put_otadata(otadata);
        snprintf(efuse, sizeof efuse, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(row, "efuse_secure_version")));
        json_t *answer = run_json(run_surefoot("flash", "boot", dump, "--efuse-secure-version",
                                               efuse, "--chip", "esp32c3", "--json", NULL));
        check_row(row, answer, "expected_boot", 1);
        assert_int_equal(json_integer_value(json_object_get(answer, "efuse_secure_version")),
                         json_integer_value(json_object_get(row, "efuse_secure_version_after")));
        json_decref(answer);
    }
    json_decref(root);
}

/* Each step boots the dump that the step before wrote with -o. */
static void boot_agrees_with_every_observed_sequence_of_boots(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/bootloader_sequences.json");
    const json_t *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 8);
    const char *path[2] = {run_path("step0.bin"), run_path("step1.bin")};
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *steps = json_object_get(row, "steps");
        uint8_t otadata[ENTRIES];
        put_layout(json_is_true(json_object_get(row, "has_factory")), 1, 2);
        put_images(json_object_get(row, "slots"));
        vectors_hex(json_array_get(steps, 0), "otadata_in", otadata, sizeof otadata);
        put_otadata(otadata);
        const char *from = dump;
        for (size_t k = 0; k < json_array_size(steps); k++) {
            json_t *answer =
                run_json(run_surefoot("flash", "boot", from, "--json", "-o", path[k % 2], NULL));
            check_row(json_array_get(steps, k), answer, "boot", 1);
            json_decref(answer);
            from = path[k % 2];
        }
    }
    json_decref(root);
}

static void boot_without_output_does_not_change_the_dump(void **state)
{
    (void)state;
    put_good();
    static uint8_t before[0x10000];
    memcpy(before, flash.bytes, sizeof before);
    assert_int_equal(run_surefoot("flash", "boot", dump, "--json", NULL)->status, 0);
    assert_memory_equal(before, flash.bytes, sizeof before);
}

static void the_dump_after_a_boot_differs_in_the_rewritten_sector_alone(void **state)
{
    (void)state;
    size_t len = 0;
    put_good();
    flash.bytes[ESP_FLASH_OTADATA + 100] = 0x5a;
    flash.bytes[ESP_FLASH_OTADATA + SF_OTADATA_SECTOR_SIZE + 100] = 0x5a;
    const char *after = run_path("after.bin");
    assert_int_equal(run_surefoot("flash", "boot", dump, "-o", after, NULL)->status, 0);
    uint8_t *bytes = run_read(after, &len);
    assert_int_equal(len, FLASH_SIZE);
    const uint32_t sector = ESP_FLASH_OTADATA + SF_OTADATA_SECTOR_SIZE;
    assert_memory_equal(bytes, flash.bytes, sector);
    assert_memory_equal(bytes + sector + SF_OTADATA_SECTOR_SIZE,
                        flash.bytes + sector + SF_OTADATA_SECTOR_SIZE,
                        FLASH_SIZE - sector - SF_OTADATA_SECTOR_SIZE);
    assert_int_equal(bytes[sector + 24], SF_OTA_PENDING_VERIFY);
    assert_int_equal(bytes[sector + 100], 0xff);
    free(bytes);
}

static void a_people_reader_is_told_what_boots_and_what_is_written(void **state)
{
    (void)state;
    put_good();
    struct run *r = run_surefoot("flash", "boot", dump, NULL);
    run_expect(r, 0, "judged for an esp32c3 of revision 3");
    assert_string_equal(r->out,
                        "otadata 0       seq 1, VALID, names ota_0\n"
                        "otadata 1       seq 2, NEW, names ota_1\n"
                        "boots           ota_1: the active otadata entry names it as new: its "
                        "trial begins\n"
                        "writes          otadata 1: seq 2, PENDING_VERIFY\n");
}

static json_t *boot_json(void)
{
    struct run *r = run_surefoot("flash", "boot", dump, "--json", NULL);
    assert_int_equal(r->status, 0);
    json_t *answer = run_json(r);
    check_contract(answer);
    return answer;
}

/* A table the bootloader refuses: "none", otadata null, and this part of a reason. */
static void expect_refused_table(const char *reason)
{
    json_t *answer = boot_json();
    assert_string_equal(vectors_text(answer, "boot"), "none");
    assert_true(json_is_null(json_object_get(answer, "otadata")));
    if (!strstr(vectors_text(answer, "reason"), reason)) {
        fail_msg("reason '%s', wanted '%s'", vectors_text(answer, "reason"), reason);
    }
    json_decref(answer);
    run_expect(run_surefoot("flash", "info", dump, "--chip", "esp32c3", NULL), 1, reason);
}

static void a_table_that_the_bootloader_refuses_boots_nothing_and_says_why(void **state)
{
    (void)state;
    uint8_t *table = flash.bytes + SF_PARTITION_TABLE_OFFSET;
    put_good();
    table[12] ^= 1; /* in a label: the MD5 tells */
    expect_refused_table("MD5 does not match");
    put_good();
    table[0] ^= 1;
    expect_refused_table("wrong magic number");
    memset(table, 0xff, SF_PARTITION_TABLE_SIZE);
    expect_refused_table("partition table");
    put_good();
    memset(table + (size_t)6 * SF_PARTITION_ENTRY_SIZE, 0,
           SF_PARTITION_TABLE_SIZE - (size_t)6 * SF_PARTITION_ENTRY_SIZE);
    expect_refused_table("partition table");
}

static void put_changed_table(void (*change)(struct sf_partition_table *table))
{
    const struct esp_flash_layout layout = {1, 1, 2};
    struct sf_partition_table table;
    esp_flash_table(&layout, &table);
    change(&table);
    esp_flash_put_table(&flash, &table);
}

static void beyond_the_chip(struct sf_partition_table *t)
{
    t->entry[4].offset = FLASH_SIZE - 0x10000;
}

static void short_otadata(struct sf_partition_table *t)
{
    t->entry[1].size = 0x1000;
}

static void overlapping(struct sf_partition_table *t)
{
    t->entry[4].offset = t->entry[3].offset + 0x80000;
}

static void a_partition_beyond_the_chip_or_a_short_otadata_boots_nothing(void **state)
{
    (void)state;
    put_good();
    put_changed_table(beyond_the_chip);
    expect_refused_table("outside the allowed range");
    put_changed_table(short_otadata);
    expect_refused_table("outside the allowed range");
}

static void overlapping_partitions_boot_as_on_the_chip_and_are_warned_of(void **state)
{
    (void)state;
    put_good();
    put_changed_table(overlapping);
    put_states(1, SF_OTA_VALID, 0xffffffff, SF_OTA_UNDEFINED);
    json_t *answer = boot_json();
    assert_string_equal(vectors_text(answer, "boot"), "ota_0");
    json_decref(answer);
    json_t *info = run_json(run_surefoot("flash", "info", dump, "--json", NULL));
    assert_non_null(strstr(vectors_text(json_object_get(info, "partition_table"), "warning"),
                           "partitions overlap"));
    json_decref(info);
}

static void without_otadata_the_answer_is_null_and_the_factory_boots(void **state)
{
    (void)state;
    put_good();
    put_layout(1, 0, 2);
    json_t *answer = boot_json();
    assert_string_equal(vectors_text(answer, "boot"), "factory");
    assert_true(json_is_null(json_object_get(answer, "otadata")));
    json_decref(answer);
}

static void with_one_slot_only_the_one_boots(void **state)
{
    (void)state;
    put_good();
    put_layout(0, 1, 1);
    json_t *answer = boot_json();
    assert_string_equal(vectors_text(answer, "boot"), "ota_0");
    json_decref(answer);
}

static void without_any_good_image_nothing_boots_and_the_reason_is_told(void **state)
{
    (void)state;
    put_good();
    put_image("factory", "erased", 0);
    put_image("ota_0", "badsha", 0);
    put_image("ota_1", "truncated", 0);
    json_t *answer = boot_json();
    assert_string_equal(vectors_text(answer, "boot"), "none");
    assert_string_equal(vectors_text(answer, "reason"), "no image verifies");
    assert_int_equal(strlen(vectors_text(answer, "otadata")), 2 * ENTRIES);
    json_decref(answer);
}

static void the_chip_revision_decides_over_images_that_ask_for_one(void **state)
{
    (void)state;
    put_good();
    uint8_t *image = flash.bytes + ESP_FLASH_OTA_0 + ESP_FLASH_SLOT_SIZE;
    there[1][0] = '\0';
    image[15] = 50; /* min_chip_rev_full */
    esp_image_reseal(image, IMAGE_SIZE);
    struct run *r = run_surefoot("flash", "boot", dump, "--json", "--chip-rev", "60", NULL);
    json_t *answer = run_json(r);
    assert_string_equal(vectors_text(answer, "boot"), "ota_1");
    json_decref(answer);
    r = run_surefoot("flash", "boot", dump, "--json", "--chip-rev", "3", NULL);
    answer = run_json(r);
    assert_string_equal(vectors_text(answer, "boot"), "ota_0");
    json_decref(answer);
    answer = run_json(run_surefoot("flash", "boot", dump, "--json", "--chip", "esp32s3", NULL));
    assert_string_equal(vectors_text(answer, "boot"), "none");
    json_decref(answer);
}

static void what_is_no_dump_is_refused_and_wrong_options_are_usage(void **state)
{
    (void)state;
    const char *small = run_path("small.bin");
    put_good();
    run_write(small, "hello", 5);
    run_expect(run_surefoot("flash", "boot", small, "--json", NULL), 1, "is no flash dump");
    run_expect(run_surefoot("flash", "info", small, NULL), 1, "is no flash dump");
    run_expect(run_surefoot("flash", "boot", run_path("none"), NULL), 4, "cannot read");
    run_expect(run_surefoot("flash", "boot", dump, "--chip", "esp8266", NULL), 2,
               "unknown chip 'esp8266'");
    run_expect(run_surefoot("flash", "boot", dump, "--chip-rev", "70000", NULL), 2,
               "--chip-rev wants a number from 0 to 65535");
    run_expect(
        run_surefoot("flash", "boot", dump, "--no-rollback", "--efuse-secure-version", "1", NULL),
        2, "exclude each other");
    run_expect(run_surefoot("flash", "boot", dump, "--flash-size", "4096", NULL), 2,
               "is less than the dump's");
    run_expect(run_surefoot("flash", "boot", dump, "-o", run_path("no/such/folder"), "--chip",
                            "esp32c3", NULL),
               4, "cannot write");
}

static void a_part_of_a_dump_boots_when_the_flash_size_is_told(void **state)
{
    (void)state;
    size_t len = 0;
    put_good();
    uint8_t *bytes = run_read(dump, &len);
    const char *part = run_path("part.bin");
    run_write(part, bytes, 0x180000); /* within ota_0: ota_1 is not in it */
    free(bytes);
    struct run *r = run_surefoot("flash", "boot", part, "--json", NULL);
    assert_non_null(strstr(r->err, "1572864 bytes is not the whole chip"));
    json_t *answer = run_json(r);
    assert_string_equal(vectors_text(answer, "boot"), "none");
    json_decref(answer);
    answer =
        run_json(run_surefoot("flash", "boot", part, "--json", "--flash-size", "0x400000", NULL));
    assert_string_equal(vectors_text(answer, "boot"), "ota_0");
    json_decref(answer);
}

static void info_tells_partitions_states_images_and_the_decision(void **state)
{
    (void)state;
    put_good();
    put_image("factory", "badck_fixsha", 0);
    struct run *r = run_surefoot("flash", "info", dump, "--json", NULL);
    run_expect(r, 0, "judged for an esp32c3");
    json_t *info = run_json(r);
    const json_t *table = json_object_get(info, "partition_table");
    assert_true(json_is_null(json_object_get(table, "warning")));
    assert_int_equal(json_array_size(json_object_get(table, "partitions")), 5);
    const json_t *entry = json_array_get(json_object_get(info, "otadata"), 1);
    assert_string_equal(vectors_text(entry, "state"), "NEW");
    assert_string_equal(vectors_text(entry, "slot"), "ota_1");
    const json_t *slots = json_object_get(info, "slots");
    assert_int_equal(json_array_size(slots), 3);
    const json_t *factory = json_array_get(slots, 0);
    assert_true(json_is_false(json_object_get(factory, "boots")));
    assert_non_null(strstr(vectors_text(factory, "reason"), "checksum does not match"));
    const json_t *ota_1 = json_array_get(slots, 2);
    assert_true(json_is_true(json_object_get(ota_1, "boots")));
    assert_string_equal(vectors_text(json_object_get(ota_1, "app_desc"), "version"), "1.0.0");
    assert_string_equal(vectors_text(json_object_get(info, "boot"), "slot"), "ota_1");
    json_decref(info);
    r = run_surefoot("flash", "info", dump, "--chip", "esp32c3", NULL);
    run_expect(r, 0, NULL);
    assert_non_null(strstr(r->out, "factory  no     esp32c3  lamp     1.0.0    checksum"));
    assert_non_null(strstr(r->out, "boots           ota_1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boot_agrees_with_every_observed_boot),
        cmocka_unit_test(boot_agrees_with_every_observed_boot_with_anti_rollback),
        cmocka_unit_test(boot_agrees_with_every_observed_sequence_of_boots),
        cmocka_unit_test(boot_without_output_does_not_change_the_dump),
        cmocka_unit_test(the_dump_after_a_boot_differs_in_the_rewritten_sector_alone),
        cmocka_unit_test(a_people_reader_is_told_what_boots_and_what_is_written),
        cmocka_unit_test(a_table_that_the_bootloader_refuses_boots_nothing_and_says_why),
        cmocka_unit_test(a_partition_beyond_the_chip_or_a_short_otadata_boots_nothing),
        cmocka_unit_test(overlapping_partitions_boot_as_on_the_chip_and_are_warned_of),
        cmocka_unit_test(without_otadata_the_answer_is_null_and_the_factory_boots),
        cmocka_unit_test(with_one_slot_only_the_one_boots),
        cmocka_unit_test(without_any_good_image_nothing_boots_and_the_reason_is_told),
        cmocka_unit_test(the_chip_revision_decides_over_images_that_ask_for_one),
        cmocka_unit_test(what_is_no_dump_is_refused_and_wrong_options_are_usage),
        cmocka_unit_test(a_part_of_a_dump_boots_when_the_flash_size_is_told),
        cmocka_unit_test(info_tells_partitions_states_images_and_the_decision),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
