/* NVS partitions of ESP-IDF's generator against the CSV files they were made from, then damaged
 * by hand. */
#include "formats/nvs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/crc32.h"
#include "tests/support/files.h"

enum { ITEM_MAX = 400, VALUE_MAX = 8192, BITMAP = 32, ENTRIES = 64, ENTRY = 32 };

struct items {
    struct sf_nvs_item item[ITEM_MAX];
    unsigned count;
    unsigned damaged;
};

static int collect(void *ctx, const struct sf_nvs_item *item)
{
    struct items *items = ctx;
    assert_true(items->count < ITEM_MAX);
    items->item[items->count++] = *item;
    return 0;
}

static void walk(const uint8_t *data, size_t len, struct items *items)
{
    items->count = 0;
    const int32_t count = sf_nvs_walk(data, len, collect, items, &items->damaged);
    assert_int_equal(count, items->count);
}

static const struct sf_nvs_item *find(const struct items *items, const char *ns, const char *key)
{
    for (unsigned i = 0; i < items->count; i++) {
        if (strcmp(items->item[i].ns, ns) == 0 && strcmp(items->item[i].key, key) == 0) {
            return &items->item[i];
        }
    }
    return NULL;
}

static unsigned type_of(const char *encoding)
{
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {
        {"u8", SF_NVS_U8},
        {"i8", SF_NVS_I8},
        {"u16", SF_NVS_U16},
        {"i16", SF_NVS_I16},
        {"u32", SF_NVS_U32},
        {"i32", SF_NVS_I32},
        {"u64", SF_NVS_U64},
        {"i64", SF_NVS_I64},
        {"string", SF_NVS_STR},
        {"hex2bin", SF_NVS_BLOB_INDEX},
        {"binary", SF_NVS_BLOB_INDEX},
        {"base64", SF_NVS_BLOB_INDEX},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, encoding) == 0) {
            return types[i].type;
        }
    }
    fail_msg("unknown encoding '%s'", encoding);
    return 0;
}

/* What the generator was told to store. Returns its length. */
static size_t expected_value(const char *type, const char *encoding, const char *value,
                             uint8_t *out)
{
    if (strcmp(type, "file") == 0) {
        char path[256];
        (void)snprintf(path, sizeof(path), SF_VECTORS "/nvs/%s", value);
        size_t len = 0;
        uint8_t *data = file_load(path, &len);
        assert_true(len < VALUE_MAX);
        memcpy(out, data, len);
        free(data);
        out[len] = 0;
        return len + (strcmp(encoding, "string") == 0);
    }
    if (strcmp(encoding, "hex2bin") == 0) {
        static const uint8_t small[] = {0x00, 0xff, 0x10, 0xef, 0x20, 0xdf};
        memcpy(out, small, sizeof(small));
        return sizeof(small);
    }
    if (strcmp(encoding, "base64") == 0) {
        memcpy(out, "Surefoot", 8);
        return 8;
    }
    memcpy(out, value, strlen(value) + 1);
    return strlen(value) + 1;
}

struct dump {
    uint8_t *data;
    size_t len;
};

static void check_row(const struct dump *dump, const struct items *items, const char *ns,
                      char *fields[4])
{
    static uint8_t expected[VALUE_MAX];
    static uint8_t found[VALUE_MAX];
    const struct sf_nvs_item *item = find(items, ns, fields[0]);
    assert_non_null(item);
    assert_int_equal(item->type, type_of(fields[2]));
    if (item->type != SF_NVS_STR && item->type != SF_NVS_BLOB_INDEX) {
        const uint64_t number = fields[3][0] == '-' ? (uint64_t)strtoll(fields[3], NULL, 10)
                                                    : strtoull(fields[3], NULL, 10);
        assert_true(item->number == number);
        return;
    }
    const size_t len = expected_value(fields[1], fields[2], fields[3], expected);
    assert_int_equal(item->size_bytes, len);
    assert_int_equal(sf_nvs_read(dump->data, dump->len, item, found, sizeof(found)), len);
    assert_memory_equal(found, expected, len);
    assert_int_equal(sf_nvs_read(dump->data, dump->len, item, found, len - 1), SF_ERR_NOSPC);
}

/* Cuts one line of CSV (none has a quote) at its commas. */
static void split(char *line, char *fields[4])
{
    for (unsigned i = 0; i < 4; i++) {
        fields[i] = line;
        line += strcspn(line, ",\n");
        if (*line != '\0') {
            *line++ = '\0';
        }
    }
}

static void check_csv(const char *csv, const char *bin, unsigned count)
{
    static struct items items;
    struct dump dump = {.len = 0};
    dump.data = file_load(bin, &dump.len);
    walk(dump.data, dump.len, &items);
    assert_int_equal(items.count, count);
    assert_int_equal(items.damaged, 0);

    size_t len = 0;
    char *text = (char *)file_load(csv, &len);
    char ns[SF_NVS_KEY_SIZE] = "";
    char *line = strchr(text, '\n') + 1;
    unsigned rows = 0;
    while (*line != '\0') {
        char *next = line + strcspn(line, "\n") + 1;
        char *fields[4];
        split(line, fields);
        if (strcmp(fields[1], "namespace") == 0) {
            (void)snprintf(ns, sizeof(ns), "%s", fields[0]);
        } else {
            check_row(&dump, &items, ns, fields);
            rows++;
        }
        line = next;
    }
    assert_int_equal(rows, count);
    free(text);
    free(dump.data);
}

static void reads_every_type_the_stock_generator_writes(void **state)
{
    (void)state;
    check_csv(SF_VECTORS "/nvs/all_types.csv", SF_VECTORS "/nvs/all_types.bin", 17);
}

static void reads_several_pages_of_both_versions(void **state)
{
    (void)state;
    check_csv(SF_VECTORS "/nvs/many.csv", SF_VECTORS "/nvs/many.bin", 300);
    check_csv(SF_VECTORS "/nvs/many.csv", SF_VECTORS "/nvs/many_v1.bin", 300);
}

static struct dump load(const char *path)
{
    struct dump dump = {.len = 0};
    dump.data = file_load(path, &dump.len);
    return dump;
}

static void set_state(struct dump *dump, uint32_t entry_offset, unsigned bits)
{
    const size_t page = entry_offset / SF_NVS_PAGE_SIZE * SF_NVS_PAGE_SIZE;
    const size_t index = (entry_offset - page - ENTRIES) / ENTRY;
    uint8_t *byte = dump->data + page + BITMAP + index / 4;
    const unsigned shift = 2 * (index % 4);
    *byte = (uint8_t)((*byte & ~(3U << shift)) | bits << shift);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static void reseal_entry(uint8_t *entry)
{
    put_u32(entry + 4, sf_crc32(sf_crc32(UINT32_MAX, entry, 4), entry + 8, 24));
}

static void reseal_page(uint8_t *page)
{
    put_u32(page + 28, sf_crc32(UINT32_MAX, page + 4, 24));
}

static void an_erased_entry_is_gone(void **state)
{
    (void)state;
    static struct items items;
    struct dump dump = load(SF_VECTORS "/nvs/all_types.bin");
    walk(dump.data, dump.len, &items);
    set_state(&dump, find(&items, "wifi", "channel")->offset, 0);
    set_state(&dump, find(&items, "wifi", "country")->offset, 3); /* never written */
    walk(dump.data, dump.len, &items);
    assert_null(find(&items, "wifi", "channel"));
    assert_null(find(&items, "wifi", "country"));
    assert_int_equal(items.count, 15);
    assert_int_equal(items.damaged, 0);
    free(dump.data);
}

static void the_newer_of_two_equal_keys_counts(void **state)
{
    (void)state;
    static struct items items;
    struct dump dump = load(SF_VECTORS "/nvs/many.bin");
    walk(dump.data, dump.len, &items);
    uint8_t *late = dump.data + find(&items, "counters", "c299")->offset;
    const uint32_t early = find(&items, "counters", "c000")->offset;
    assert_true(early < SF_NVS_PAGE_SIZE && late > dump.data + 2 * SF_NVS_PAGE_SIZE);
    memcpy(late + 8, dump.data + early + 8, SF_NVS_KEY_SIZE);
    reseal_entry(late);
    walk(dump.data, dump.len, &items);
    assert_int_equal(items.count, 299);
    assert_int_equal(find(&items, "counters", "c000")->number, 299 * 299);

    /* Sequence numbers decide, not the place in flash: swap the first and the third. */
    put_u32(dump.data + 4, 7);
    reseal_page(dump.data);
    walk(dump.data, dump.len, &items);
    assert_int_equal(items.count, 299);
    assert_int_equal(find(&items, "counters", "c000")->number, 0);
    assert_string_not_equal(items.item[0].key, "c000");
    free(dump.data);
}

static void a_damaged_page_costs_its_entries_only(void **state)
{
    (void)state;
    static struct items items;
    struct dump dump = load(SF_VECTORS "/nvs/many.bin");
    dump.data[SF_NVS_PAGE_SIZE + 4] ^= 1; /* sequence number of the second page */
    walk(dump.data, dump.len, &items);
    assert_int_equal(items.count, 300 - 126);
    assert_int_equal(items.damaged, 1);
    assert_string_equal(items.item[0].ns, "counters");
    memset(dump.data, 0xff, SF_NVS_PAGE_SIZE); /* and the namespace with the first */
    walk(dump.data, dump.len, &items);
    assert_int_equal(items.count, 300 - 126 - 125);
    assert_int_equal(items.damaged, 1);
    assert_string_equal(items.item[0].ns, "");
    free(dump.data);
}

static void a_blob_with_a_damaged_or_missing_chunk_is_not_told(void **state)
{
    (void)state;
    static struct items items;
    static uint8_t value[VALUE_MAX];
    struct dump dump = load(SF_VECTORS "/nvs/all_types.bin");
    walk(dump.data, dump.len, &items);
    const struct sf_nvs_item big = *find(&items, "blobs", "big");
    const uint32_t index = big.offset;
    dump.data[index + 24 + 4]++; /* one chunk more than there is */
    reseal_entry(dump.data + index);
    walk(dump.data, dump.len, &items);
    assert_null(find(&items, "blobs", "big"));
    assert_int_equal(items.damaged, 1);
    assert_int_equal(sf_nvs_read(dump.data, dump.len, &big, value, sizeof(value)), SF_ERR_CORRUPT);
    free(dump.data);
}

/* Changes an entry's 32 bytes and its crc, and expects that it is skipped as damaged. */
static void check_skipped(const char *key, unsigned at, uint8_t value)
{
    static struct items items;
    struct dump dump = load(SF_VECTORS "/nvs/all_types.bin");
    walk(dump.data, dump.len, &items);
    const unsigned count = items.count;
    const struct sf_nvs_item *item = find(&items, "wifi", key);
    assert_non_null(item);
    dump.data[item->offset + at] = value;
    reseal_entry(dump.data + item->offset);
    walk(dump.data, dump.len, &items);
    assert_null(find(&items, "wifi", key));
    assert_true(items.count < count && items.damaged > 0);
    free(dump.data);
}

static void an_entry_that_contradicts_itself_is_skipped_as_damaged(void **state)
{
    (void)state;
    check_skipped("channel", 2, 0);   /* spans nothing */
    check_skipped("channel", 2, 126); /* spans beyond its page */
    check_skipped("channel", 1, 3);   /* of no known type */
    check_skipped("ssid", 24, 33);    /* longer than the entries it spans */
}

static void tells_what_is_not_there_and_what_is_no_partition(void **state)
{
    (void)state;
    static struct items items;
    uint8_t value[16];
    struct dump dump = load(SF_VECTORS "/nvs/all_types.bin");
    walk(dump.data, dump.len, &items);
    struct sf_nvs_item item = *find(&items, "wifi", "ssid");
    assert_int_equal(sf_nvs_read(dump.data, dump.len, &item, NULL, 0), SF_ERR_NOSPC);
    static const uint32_t wrong[] = {0, 32, 65, 24576, UINT32_MAX};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        item.offset = wrong[i];
        assert_int_equal(sf_nvs_read(dump.data, dump.len, &item, value, sizeof(value)),
                         SF_ERR_NOTFOUND);
    }
    item = *find(&items, "wifi", "channel"); /* a number, told in the item itself */
    assert_int_equal(sf_nvs_read(dump.data, dump.len, &item, value, sizeof(value)),
                     SF_ERR_NOTFOUND);
    assert_int_equal(sf_nvs_read(dump.data, dump.len - 1, &item, value, sizeof(value)),
                     SF_ERR_RANGE);
    assert_int_equal(sf_nvs_walk(dump.data, dump.len - 1, collect, &items, NULL), SF_ERR_RANGE);
    assert_int_equal(sf_nvs_walk(NULL, 0, collect, &items, NULL), 0);
    memset(dump.data, 0xff, dump.len);
    walk(dump.data, dump.len, &items);
    assert_int_equal(items.count + items.damaged, 0);
    free(dump.data);
}

static int stop_at_second(void *ctx, const struct sf_nvs_item *item)
{
    unsigned *count = ctx;
    assert_true(item->key[0] != '\0');
    return ++*count == 2 ? SF_ERR_CANCELLED : 0;
}

static void a_visitor_can_stop_the_walk(void **state)
{
    (void)state;
    struct dump dump = load(SF_VECTORS "/nvs/all_types.bin");
    unsigned count = 0;
    assert_int_equal(sf_nvs_walk(dump.data, dump.len, stop_at_second, &count, NULL),
                     SF_ERR_CANCELLED);
    assert_int_equal(count, 2);
    free(dump.data);
}

static int same_item(const struct sf_nvs_item *a, const struct sf_nvs_item *b)
{
    return strcmp(a->ns, b->ns) == 0 && strcmp(a->key, b->key) == 0 && a->type == b->type &&
           a->number == b->number && a->size_bytes == b->size_bytes && a->offset == b->offset;
}

static int same_items(const struct items *a, const struct items *b)
{
    unsigned same = 0;
    while (same < a->count && same < b->count && same_item(&a->item[same], &b->item[same])) {
        same++;
    }
    return same == a->count && same == b->count;
}

/* What every flip of one bit of the first page does: the same items, or fewer and damage counted.
 * Only the state words and the bitmap are not covered by a crc: clearing bits there is how NVS
 * erases, so a flip can hide entries without a trace. */
static void no_flip_of_a_bit_changes_what_is_told(void **state)
{
    (void)state;
    static struct items before;
    static struct items after;
    memset(&before, 0, sizeof(before));
    struct dump dump = load(SF_VECTORS "/nvs/all_types.bin");
    walk(dump.data, SF_NVS_PAGE_SIZE, &before);
    assert_true(before.count > 10);
    for (size_t bit = 0; bit < (size_t)SF_NVS_PAGE_SIZE * 8; bit++) {
        dump.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        memset(&after, 0, sizeof(after));
        walk(dump.data, SF_NVS_PAGE_SIZE, &after);
        for (unsigned i = 0; i < after.count; i++) {
            const struct sf_nvs_item *item = find(&before, after.item[i].ns, after.item[i].key);
            const int orphan = after.item[i].ns[0] == '\0'; /* its namespace was hit */
            if (!orphan && (item == NULL || !same_item(item, &after.item[i]))) {
                fail_msg("bit %zu makes '%s' another item", bit, after.item[i].key);
            }
        }
        const int uncovered = bit / 8 < 4 || (bit / 8 >= BITMAP && bit / 8 < ENTRIES);
        if (!uncovered && after.damaged == 0 && !same_items(&before, &after)) {
            fail_msg("bit %zu changes the items and nothing tells so", bit);
        }
        dump.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    free(dump.data);
}

/* Cut to any number of pages (other lengths are refused), no item becomes another one; the values
 * that are told lie within what is left. */
static void a_cut_partition_tells_the_same_or_less(void **state)
{
    (void)state;
    static struct items before;
    static struct items after;
    static uint8_t value[VALUE_MAX];
    struct dump dump = load(SF_VECTORS "/nvs/many.bin");
    walk(dump.data, dump.len, &before);
    for (size_t len = 1; len < dump.len; len++) {
        if (len % SF_NVS_PAGE_SIZE != 0) {
            assert_int_equal(sf_nvs_walk(dump.data, len, collect, &after, NULL), SF_ERR_RANGE);
            continue;
        }
        uint8_t *exact = malloc(len); /* the sanitizer sees any read beyond */
        assert_non_null(exact);
        memcpy(exact, dump.data, len);
        walk(exact, len, &after);
        assert_true(after.count <= before.count);
        assert_true(len != SF_NVS_PAGE_SIZE || (after.count > 0 && after.count < before.count));
        for (unsigned i = 0; i < after.count; i++) {
            const struct sf_nvs_item *item = &after.item[i];
            const struct sf_nvs_item *was = find(&before, item->ns, item->key);
            assert_true(item->ns[0] == '\0' || was != NULL);
            if (item->size_bytes != 0) {
                assert_int_equal(sf_nvs_read(exact, len, item, value, sizeof(value)),
                                 item->size_bytes);
            }
        }
        free(exact);
    }
    free(dump.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type_the_stock_generator_writes),
        cmocka_unit_test(reads_several_pages_of_both_versions),
        cmocka_unit_test(an_erased_entry_is_gone),
        cmocka_unit_test(the_newer_of_two_equal_keys_counts),
        cmocka_unit_test(a_damaged_page_costs_its_entries_only),
        cmocka_unit_test(a_blob_with_a_damaged_or_missing_chunk_is_not_told),
        cmocka_unit_test(an_entry_that_contradicts_itself_is_skipped_as_damaged),
        cmocka_unit_test(tells_what_is_not_there_and_what_is_no_partition),
        cmocka_unit_test(a_visitor_can_stop_the_walk),
        cmocka_unit_test(no_flip_of_a_bit_changes_what_is_told),
        cmocka_unit_test(a_cut_partition_tells_the_same_or_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
