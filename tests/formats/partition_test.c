#include "formats/partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/esp_flash.h"

enum { FLASH_SIZE = 0x400000, ENTRY = SF_PARTITION_ENTRY_SIZE };

/* nvs, data, 0x9000, 0x4000: from a table made by ESP-IDF's gen_esp32part.py */
static const uint8_t nvs_entry[ENTRY] = {
    0xaa, 0x50, 0x01, 0x02, 0x00, 0x90, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 'n', 'v', 's',
};

static void decodes_an_entry_of_the_stock_tool_and_encodes_it_back(void **state)
{
    (void)state;
    struct sf_partition p;
    uint8_t again[ENTRY];
    assert_int_equal(sf_partition_decode(nvs_entry, &p), SF_OK);
    assert_int_equal(p.type, SF_PARTITION_DATA);
    assert_int_equal(p.subtype, SF_PARTITION_DATA_NVS);
    assert_int_equal(p.offset, 0x9000);
    assert_int_equal(p.size, 0x4000);
    assert_string_equal(p.label, "nvs");
    sf_partition_encode(&p, again);
    assert_memory_equal(again, nvs_entry, ENTRY);
}

static void refuses_every_flip_of_the_magic_and_leaves_zeros(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 16; bit++) {
        static const struct sf_partition zero;
        uint8_t entry[ENTRY];
        struct sf_partition p;
        memcpy(entry, nvs_entry, ENTRY);
        entry[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        memset(&p, 0x5a, sizeof(p));
        assert_int_equal(sf_partition_decode(entry, &p), SF_ERR_MAGIC);
        assert_memory_equal(&p, &zero, sizeof(p));
    }
}

static void keeps_a_label_of_sixteen_letters_terminated(void **state)
{
    (void)state;
    uint8_t entry[ENTRY];
    struct sf_partition p;
    memcpy(entry, nvs_entry, ENTRY);
    for (unsigned i = 0; i < 16; i++) {
        entry[12 + i] = (uint8_t) "sixteen_letters_"[i];
    }
    assert_int_equal(sf_partition_decode(entry, &p), SF_OK);
    assert_string_equal(p.label, "sixteen_letters_");
}

static struct sf_partition_table good_table(void)
{
    static const struct esp_flash_layout layout = {1, 1, 2};
    struct sf_partition_table t;
    esp_flash_table(&layout, &t);
    return t;
}

static int decode(const uint8_t *data, size_t len, struct sf_partition_table *out,
                  struct sf_diag *diag)
{
    *diag = (struct sf_diag){.why = NULL};
    const int err = sf_partition_table_decode(data, len, FLASH_SIZE, out, diag);
    assert_true(err == SF_OK || (diag->why != NULL && diag->offset <= len));
    return err;
}

static void a_table_comes_back_as_it_went_in(void **state)
{
    (void)state;
    for (int has_md5 = 0; has_md5 < 2; has_md5++) {
        uint8_t bytes[SF_PARTITION_TABLE_SIZE];
        struct sf_partition_table table = good_table();
        struct sf_partition_table again;
        struct sf_diag diag;
        table.has_md5 = has_md5;
        assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
        assert_int_equal(decode(bytes, sizeof(bytes), &again, &diag), SF_OK);
        assert_memory_equal(&again, &table, sizeof(table));
        assert_int_equal(sf_partition_table_check(&again, &diag), SF_OK);
    }
}

static void every_truncation_before_the_end_marker_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[SF_PARTITION_TABLE_SIZE];
    const struct sf_partition_table table = good_table();
    const size_t whole = (table.count + 2) * (size_t)ENTRY; /* entries, MD5, end marker */
    assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
    for (size_t len = 0; len < sizeof(bytes); len++) {
        struct sf_partition_table again;
        struct sf_diag diag;
        const int err = decode(bytes, len, &again, &diag);
        assert_int_equal(err, len < whole ? SF_ERR_TRUNCATED : SF_OK);
        assert_int_equal(diag.offset, len < whole ? len : 0);
    }
}

static void every_flip_of_a_bit_is_refused_or_changes_nothing(void **state)
{
    (void)state;
    uint8_t bytes[SF_PARTITION_TABLE_SIZE];
    const struct sf_partition_table table = good_table();
    const size_t md5_row = table.count * (size_t)ENTRY;
    assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        struct sf_partition_table again;
        struct sf_diag diag;
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        const int err = decode(bytes, sizeof(bytes), &again, &diag);
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        if (err == SF_OK) {
            assert_memory_equal(&again, &table, sizeof(table));
        }
        const size_t at = bit / 8;
        const int read = at < md5_row + 2 || (at >= md5_row + 16 && at < md5_row + ENTRY + 4);
        assert_int_equal(err != SF_OK, read);
    }
}

static void without_md5_a_flip_is_refused_or_encodes_back(void **state)
{
    (void)state;
    uint8_t bytes[SF_PARTITION_TABLE_SIZE];
    struct sf_partition_table table = good_table();
    table.has_md5 = 0;
    assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
    const size_t used = table.count * (size_t)ENTRY;
    for (size_t bit = 0; bit < used * 8; bit++) {
        struct sf_partition_table again;
        struct sf_diag diag;
        uint8_t encoded[SF_PARTITION_TABLE_SIZE];
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        if (decode(bytes, sizeof(bytes), &again, &diag) == SF_OK) {
            assert_int_equal(sf_partition_table_encode(&again, encoded), SF_OK);
            assert_memory_equal(encoded, bytes, sizeof(bytes));
        } else {
            assert_int_equal(diag.offset / ENTRY, bit / 8 / ENTRY);
        }
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

static void says_what_the_bootloader_would_not_take(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        size_t at; /* byte to set */
        uint8_t value;
        int err;
        size_t offset;
    } cases[] = {
        {"beyond the chip", 4 * ENTRY + 7, 1, SF_ERR_RANGE, 4 * ENTRY + 4},
        {"small otadata", ENTRY + 9, 0x10, SF_ERR_RANGE, ENTRY + 8},
        {"magic", 2 * ENTRY + 1, 0x51, SF_ERR_MAGIC, 2 * ENTRY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[SF_PARTITION_TABLE_SIZE];
        struct sf_partition_table table = good_table();
        struct sf_diag diag;
        table.has_md5 = 0;
        assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
        bytes[cases[i].at] = cases[i].value;
        assert_int_equal(decode(bytes, sizeof(bytes), &table, &diag), cases[i].err);
        assert_int_equal(diag.offset, cases[i].offset);
    }
}

static void a_partition_may_end_where_the_chip_ends(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset;
        uint32_t size;
        int err;
    } cases[] = {
        {0x300000, 0x100000, SF_OK},
        {0x300000, 0x100001, SF_ERR_RANGE},
        {0x400000, 0, SF_OK},
        {0x400001, 0, SF_ERR_RANGE},
        {0xffff0000, 0x20000, SF_ERR_RANGE},
        {0x10000, 0xffffffff, SF_ERR_RANGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[SF_PARTITION_TABLE_SIZE];
        struct sf_partition_table table = good_table();
        struct sf_diag diag;
        table.entry[4].offset = cases[i].offset;
        table.entry[4].size = cases[i].size;
        assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
        assert_int_equal(decode(bytes, sizeof(bytes), &table, &diag), cases[i].err);
    }
}

static void refuses_rows_in_an_order_nobody_writes(void **state)
{
    (void)state;
    uint8_t bytes[SF_PARTITION_TABLE_SIZE];
    struct sf_partition_table table = good_table();
    struct sf_diag diag;
    const size_t md5_row = table.count * (size_t)ENTRY;
    assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
    memcpy(bytes + md5_row + ENTRY, bytes + md5_row, ENTRY);
    assert_int_equal(decode(bytes, sizeof(bytes), &table, &diag), SF_ERR_DUPLICATE);
    assert_int_equal(diag.offset, md5_row + ENTRY);
    memcpy(bytes + md5_row + ENTRY, nvs_entry, ENTRY);
    assert_int_equal(decode(bytes, sizeof(bytes), &table, &diag), SF_ERR_FORMAT);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(decode(bytes, sizeof(bytes), &table, &diag), SF_ERR_NOTFOUND);
}

static void a_full_table_has_ninety_five_entries_and_no_room_for_an_md5(void **state)
{
    (void)state;
    static struct sf_partition_table table;
    static struct sf_partition_table again;
    uint8_t bytes[SF_PARTITION_TABLE_SIZE];
    struct sf_diag diag;
    for (table.count = 0; table.count < SF_PARTITION_MAX; table.count++) {
        assert_int_equal(sf_partition_decode(nvs_entry, &table.entry[table.count]), SF_OK);
    }
    assert_int_equal(sf_partition_table_encode(&table, bytes), SF_OK);
    assert_int_equal(decode(bytes, sizeof(bytes), &again, &diag), SF_OK);
    assert_int_equal(again.count, SF_PARTITION_MAX);
    table.has_md5 = 1;
    assert_int_equal(sf_partition_table_encode(&table, bytes), SF_ERR_NOSPC);
    memcpy(bytes + sizeof(bytes) - ENTRY, nvs_entry, ENTRY); /* in place of the end marker */
    assert_int_equal(decode(bytes, sizeof(bytes), &again, &diag), SF_ERR_TRUNCATED);
}

/* Changes one thing of the good table and expects the build tool's refusal. */
static void check_refused(const struct sf_partition_table *table, int err, size_t row, size_t field)
{
    struct sf_diag diag = {0, NULL};
    assert_int_equal(sf_partition_table_check(table, &diag), err);
    assert_int_equal(diag.offset, row * ENTRY + field);
    assert_non_null(diag.why);
}

static void says_what_a_build_tool_would_not_make(void **state)
{
    (void)state;
    struct sf_partition_table t = good_table(); /* nvs otadata factory ota_0 ota_1 */
    t.entry[3].offset -= 0x10000;
    check_refused(&t, SF_ERR_OVERLAP, 3, 4);
    t = good_table();
    memcpy(t.entry[4].label, "ota_0", 5);
    check_refused(&t, SF_ERR_DUPLICATE, 4, 12);
    t = good_table();
    t.entry[4].subtype = SF_PARTITION_APP_OTA_0;
    check_refused(&t, SF_ERR_DUPLICATE, 4, 3);
    t = good_table();
    t.entry[4].subtype = SF_PARTITION_APP_OTA_0 + 2;
    check_refused(&t, SF_ERR_RANGE, 4, 3);
    t = good_table();
    t.entry[4].offset += 0x1000;
    check_refused(&t, SF_ERR_RANGE, 4, 4);
    t = good_table();
    t.entry[0].subtype = SF_PARTITION_DATA_OTA;
    t.entry[0].size = 0x2000;
    check_refused(&t, SF_ERR_DUPLICATE, 1, 0);
    t = good_table();
    t.entry[1].size = 0x3000;
    check_refused(&t, SF_ERR_RANGE, 1, 8);
    t = good_table();
    t.entry[0].size = 0;
    check_refused(&t, SF_ERR_RANGE, 0, 8);
    t = good_table();
    t.entry[2].size -= 1;
    check_refused(&t, SF_ERR_RANGE, 2, 8);
}

static void a_build_tool_takes_odd_sizes_of_data_and_neighbours(void **state)
{
    (void)state;
    struct sf_diag diag;
    struct sf_partition_table t = good_table();
    t.entry[0].size -= 1;
    assert_int_equal(sf_partition_table_check(&t, &diag), SF_OK);
    t = good_table();
    memset(t.entry[0].label, 0, sizeof(t.entry[0].label)); /* labels may be empty, and so twice */
    memset(t.entry[1].label, 0, sizeof(t.entry[1].label));
    assert_int_equal(sf_partition_table_check(&t, &diag), SF_OK);
    t.entry[0].label[0] = 'a';
    t.entry[1].label[0] = 'a';
    check_refused(&t, SF_ERR_DUPLICATE, 1, 12);
    t = good_table(); /* the ota subtypes mean nothing in a data partition */
    t.entry[0].subtype = SF_PARTITION_APP_OTA_0;
    assert_int_equal(sf_partition_table_check(&t, &diag), SF_OK);
}

static void overlap_is_seen_at_the_end_of_the_address_space(void **state)
{
    (void)state;
    struct sf_partition_table t = good_table();
    t.entry[3].offset = 0xfff00000; /* to the very end: offset + size is 2^32 */
    t.entry[4].offset = 0xfff10000;
    t.entry[4].size = 0x10000;
    check_refused(&t, SF_ERR_OVERLAP, 4, 4);
}

static void finds_partitions_and_counts_slots_up_to_the_first_gap(void **state)
{
    (void)state;
    struct sf_partition_table t = good_table();
    assert_ptr_equal(sf_partition_find(&t, SF_PARTITION_APP, SF_PARTITION_APP_OTA_0), &t.entry[3]);
    assert_null(sf_partition_find(&t, SF_PARTITION_APP, SF_PARTITION_APP_TEST));
    assert_ptr_equal(sf_partition_find(&t, SF_PARTITION_DATA, SF_PARTITION_DATA_NVS), &t.entry[0]);
    assert_ptr_equal(sf_partition_find_label(&t, "nvs"), &t.entry[0]);
    assert_ptr_equal(sf_partition_find_label(&t, "otadata"), &t.entry[1]);
    assert_null(sf_partition_find_label(&t, "ota"));
    assert_int_equal(sf_partition_ota_count(&t), 2);
    t.entry[3].subtype = SF_PARTITION_APP_OTA_0 + 2;
    assert_int_equal(sf_partition_ota_count(&t), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_an_entry_of_the_stock_tool_and_encodes_it_back),
        cmocka_unit_test(refuses_every_flip_of_the_magic_and_leaves_zeros),
        cmocka_unit_test(keeps_a_label_of_sixteen_letters_terminated),
        cmocka_unit_test(a_table_comes_back_as_it_went_in),
        cmocka_unit_test(every_truncation_before_the_end_marker_is_refused),
        cmocka_unit_test(every_flip_of_a_bit_is_refused_or_changes_nothing),
        cmocka_unit_test(without_md5_a_flip_is_refused_or_encodes_back),
        cmocka_unit_test(says_what_the_bootloader_would_not_take),
        cmocka_unit_test(a_partition_may_end_where_the_chip_ends),
        cmocka_unit_test(refuses_rows_in_an_order_nobody_writes),
        cmocka_unit_test(a_full_table_has_ninety_five_entries_and_no_room_for_an_md5),
        cmocka_unit_test(says_what_a_build_tool_would_not_make),
        cmocka_unit_test(a_build_tool_takes_odd_sizes_of_data_and_neighbours),
        cmocka_unit_test(overlap_is_seen_at_the_end_of_the_address_space),
        cmocka_unit_test(finds_partitions_and_counts_slots_up_to_the_first_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
