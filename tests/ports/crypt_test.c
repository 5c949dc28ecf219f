/* Flash encryption: the bytes that espsecure makes, the sizes that the hardware takes, and what
 * cannot be done on it that plain flash allows. */
#include "ports/host/crypt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ports/host/flash.h"

enum { SIZE = 0x20000, AT = 0x10050, LEN = 192, OTADATA = 0xd000, SLOT = 0x10000, NVS = 0x9000 };

/* `espsecure encrypt-flash-data --aes-xts --keyfile KEY --address 0x10050` (esptool 5.6.0) of the
 * bytes 7 * i + 3, under the key 00 01 .. 3f. */
static const uint8_t observed[LEN] = {
    0x49, 0x8f, 0x46, 0x17, 0x82, 0x99, 0x4a, 0xd2, 0xbe, 0x8c, 0xde, 0x60, 0xa1, 0x7e, 0x7c, 0x5d,
    0xc9, 0xec, 0x33, 0x5d, 0xcc, 0x7c, 0xf9, 0xa8, 0x15, 0xa1, 0xaf, 0xc6, 0xbb, 0xb0, 0x76, 0x4a,
    0x75, 0x24, 0xd1, 0x5f, 0xf4, 0x65, 0x3d, 0x20, 0x19, 0x37, 0x78, 0x9e, 0xd7, 0x3f, 0xbd, 0x09,
    0x36, 0x49, 0xc6, 0x74, 0xa0, 0x78, 0x45, 0x08, 0x6f, 0x34, 0x89, 0xfe, 0xed, 0x34, 0x8c, 0x5a,
    0x94, 0x50, 0x8c, 0x39, 0xfb, 0xd4, 0xbd, 0x39, 0x09, 0x11, 0xce, 0x1d, 0x6d, 0x49, 0x71, 0xd8,
    0x07, 0xe3, 0x08, 0xa8, 0xed, 0xa6, 0xfe, 0xd8, 0x7e, 0x27, 0x21, 0x76, 0x38, 0x1c, 0xcf, 0x02,
    0xf4, 0xb3, 0x5a, 0xb6, 0xd2, 0x1f, 0x59, 0xec, 0x40, 0x30, 0xe9, 0xac, 0x64, 0x20, 0x9c, 0xb8,
    0x68, 0x5d, 0x4a, 0xd5, 0x5b, 0x23, 0x38, 0x74, 0xba, 0x1e, 0x34, 0xf6, 0x23, 0x9d, 0xe8, 0x67,
    0x8d, 0xff, 0xee, 0xe3, 0x27, 0x2c, 0x4c, 0xf1, 0x74, 0xb1, 0x76, 0x9f, 0xc5, 0x56, 0x04, 0xb6,
    0x23, 0xed, 0xcc, 0x7a, 0xbc, 0x30, 0x97, 0x5b, 0xc8, 0x55, 0x58, 0x9a, 0x46, 0x9d, 0xfe, 0xee,
    0x2c, 0xdc, 0x1d, 0x86, 0x97, 0x6f, 0x65, 0x00, 0xb5, 0xfa, 0xf8, 0xa8, 0xf2, 0xae, 0xc6, 0xb5,
    0xd5, 0xdf, 0xea, 0xa6, 0xa2, 0x72, 0xbd, 0x59, 0x1a, 0xe1, 0xc8, 0x40, 0x06, 0xd6, 0xef, 0x5f};

struct bench {
    struct sf_host_flash chip;
    struct sf_host_crypt crypt;
    uint8_t key[SF_HOST_CRYPT_KEY_SIZE];
    uint8_t plain[LEN];
};

static void with_write_size(struct bench *b, uint32_t write_size)
{
    sf_host_crypt_init(&b->crypt, &b->chip.ops, b->key, write_size);
}

static int make_bench(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    for (unsigned i = 0; i < sizeof(b->key); i++) {
        b->key[i] = (uint8_t)i;
    }
    for (unsigned i = 0; i < LEN; i++) {
        b->plain[i] = (uint8_t)(7 * i + 3);
    }
    assert_int_equal(sf_host_flash_open_memory(&b->chip, SIZE, -1), SF_OK);
    with_write_size(b, 16);
    *state = b;
    return 0;
}

static int release_bench(void **state)
{
    struct bench *b = *state;
    sf_host_flash_release(&b->chip);
    free(b);
    return 0;
}

static int write_at(struct bench *b, uint32_t address, const void *data, size_t len)
{
    return b->crypt.ops.write(b->crypt.ops.ctx, address, data, len);
}

static int read_at(struct bench *b, uint32_t address, void *out, size_t len)
{
    return b->crypt.ops.read(b->crypt.ops.ctx, address, out, len);
}

static void the_chip_holds_what_espsecure_makes(void **state)
{
    struct bench *b = *state;
    assert_int_equal(write_at(b, AT, b->plain, LEN), SF_OK);
    assert_memory_equal(b->chip.cells + AT, observed, LEN);
}

static void sixteen_bytes_at_a_time_and_backwards_are_the_same(void **state)
{
    struct bench *b = *state;
    for (unsigned at = LEN; at > 0; at -= 16) {
        assert_int_equal(write_at(b, AT + at - 16, b->plain + at - 16, 16), SF_OK);
    }
    assert_memory_equal(b->chip.cells + AT, observed, LEN);
}

static void a_read_of_any_bytes_comes_back_decrypted(void **state)
{
    struct bench *b = *state;
    uint8_t out[LEN];
    memcpy(b->chip.cells + AT, observed, LEN);
    for (uint32_t at = 0; at < 40; at++) {
        for (uint32_t len = 0; len + at <= LEN; len += 7) {
            assert_int_equal(read_at(b, AT + at, out, len), SF_OK);
            assert_memory_equal(out, b->plain + at, len);
        }
    }
}

static void what_the_hardware_cannot_write_at_once_is_refused(void **state)
{
    struct bench *b = *state;
    for (uint32_t size = 16; size <= 32; size *= 2) {
        with_write_size(b, size);
        assert_int_equal(write_at(b, SLOT + size / 2, b->plain, size), SF_ERR_RANGE);
        assert_int_equal(write_at(b, SLOT, b->plain, size / 2), SF_ERR_RANGE);
        assert_int_equal(write_at(b, SLOT + size, b->plain, size), SF_OK);
    }
}

static void what_is_erased_does_not_read_as_erased(void **state)
{
    struct bench *b = *state;
    uint8_t blank[32];
    uint8_t out[32];
    memset(blank, 0xff, sizeof(blank));
    assert_int_equal(read_at(b, SLOT, out, sizeof(out)), SF_OK);
    assert_memory_not_equal(out, blank, 16);
    assert_memory_not_equal(out + 16, blank, 16);
}

/* Plain flash takes zeros over anything. */
static void no_block_is_programmed_twice(void **state)
{
    struct bench *b = *state;
    static const uint8_t zeros[16];
    uint8_t out[16];
    assert_int_equal(write_at(b, SLOT, b->plain, 16), SF_OK);
    assert_int_equal(write_at(b, SLOT, zeros, 16), SF_ERR_FLASH_WRITE);
    assert_int_equal(read_at(b, SLOT, out, 16), SF_OK);
    assert_memory_equal(out, b->plain, 16);
    assert_int_equal(write_at(b, SLOT, b->plain, 16), SF_OK); /* the same is no change */
    assert_int_equal(b->crypt.ops.erase(b->crypt.ops.ctx, SLOT, SF_SECTOR_SIZE), SF_OK);
    assert_int_equal(write_at(b, SLOT, zeros, 16), SF_OK);
}

/* ---- by the partition table ---- */

static struct sf_partition_table make_table(void)
{
    const struct sf_partition_table table = {
        .entry = {{.offset = NVS, .size = 0x1000, .type = 1, .subtype = 2, .label = "nvs"},
                  {.offset = NVS + 0x1000,
                   .size = 0x1000,
                   .type = 1,
                   .subtype = 6,
                   .flags = 1,
                   .label = "flagged"},
                  {.offset = OTADATA, .size = 0x2000, .type = 1, .label = "otadata"},
                  {.offset = SLOT, .size = 0x10000, .subtype = 0x10, .label = "ota_0"}},
        .count = 4,
        .has_md5 = 1};
    return table;
}

static int is_encrypted(struct bench *b, uint32_t address)
{
    uint8_t out[16];
    assert_int_equal(write_at(b, address, b->plain, 16), SF_OK);
    assert_int_equal(read_at(b, address, out, 16), SF_OK);
    assert_memory_equal(out, b->plain, 16);
    return memcmp(b->chip.cells + address, b->plain, 16) != 0;
}

static void what_the_table_says_is_encrypted_and_nothing_else(void **state)
{
    struct bench *b = *state;
    const struct sf_partition_table table = make_table();
    uint8_t out[32];
    assert_int_equal(sf_host_crypt_use_table(&b->crypt, &table), SF_OK);
    assert_int_equal(is_encrypted(b, NVS), 0);
    assert_int_equal(is_encrypted(b, 0xf000), 0); /* in no partition */
    assert_int_equal(is_encrypted(b, NVS + 0x1000), 1);
    assert_int_equal(is_encrypted(b, OTADATA), 1);
    assert_int_equal(is_encrypted(b, SLOT), 1);
    assert_int_equal(is_encrypted(b, SF_PARTITION_TABLE_OFFSET), 1);
    assert_int_equal(read_at(b, NVS + 0xff0, out, 32), SF_ERR_RANGE);
    assert_int_equal(write_at(b, NVS - 16, b->plain, 32), SF_ERR_RANGE);
    assert_int_equal(sf_host_crypt_use_table(&b->crypt, NULL), SF_OK);
    assert_int_equal(is_encrypted(b, NVS + 16), 1);
}

static void a_table_with_too_many_encrypted_partitions_is_refused(void **state)
{
    struct bench *b = *state;
    struct sf_partition_table table = {.count = SF_HOST_CRYPT_RANGES};
    for (unsigned i = 0; i < table.count; i++) {
        table.entry[i].offset = SLOT + i * SF_SECTOR_SIZE;
        table.entry[i].size = SF_SECTOR_SIZE;
    }
    assert_int_equal(sf_host_crypt_use_table(&b->crypt, &table), SF_ERR_NOSPC);
    assert_int_equal(is_encrypted(b, NVS), 1);
    table.count--;
    assert_int_equal(sf_host_crypt_use_table(&b->crypt, &table), SF_OK);
}

static void the_first_boot_encrypts_what_is_there(void **state)
{
    struct bench *b = *state;
    const struct sf_partition_table table = make_table();
    uint8_t blank[SF_SECTOR_SIZE];
    uint8_t out[SF_SECTOR_SIZE];
    memset(blank, 0xff, sizeof(blank));
    assert_int_equal(sf_partition_table_encode(&table, b->chip.cells + SF_PARTITION_TABLE_OFFSET),
                     SF_OK);
    memcpy(b->chip.cells + SLOT + 0x1100, b->plain, LEN);
    memcpy(b->chip.cells + NVS, b->plain, LEN);
    assert_int_equal(sf_host_crypt_first_boot(&b->crypt, b->chip.cells, SIZE), SF_OK);
    assert_memory_equal(b->chip.cells + NVS, b->plain, LEN);
    assert_memory_equal(b->chip.cells + SLOT, blank, sizeof(blank)); /* left out, as it is blank */
    assert_memory_not_equal(b->chip.cells + SLOT + 0x1100, b->plain, LEN);
    assert_int_equal(read_at(b, SLOT + 0x1100, out, LEN), SF_OK);
    assert_memory_equal(out, b->plain, LEN);
    assert_int_equal(read_at(b, OTADATA + 0x1000, out, sizeof(out)), SF_OK);
    assert_memory_equal(out, blank, sizeof(blank)); /* reads FF this once */
    /* what is encrypted already is no table */
    assert_true(sf_host_crypt_first_boot(&b->crypt, b->chip.cells, SIZE) < 0);
}

static void the_first_boot_refuses_a_table_whose_partitions_overlap(void **state)
{
    struct bench *b = *state;
    struct sf_partition_table table = make_table();
    table.entry[1].offset = NVS;
    assert_int_equal(sf_partition_table_encode(&table, b->chip.cells + SF_PARTITION_TABLE_OFFSET),
                     SF_OK);
    assert_int_equal(sf_host_crypt_first_boot(&b->crypt, b->chip.cells, SIZE), SF_ERR_OVERLAP);
    assert_int_equal(sf_host_crypt_first_boot(&b->crypt, b->chip.cells, 0x8000), SF_ERR_RANGE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_bench, release_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_chip_holds_what_espsecure_makes),
        TEST(sixteen_bytes_at_a_time_and_backwards_are_the_same),
        TEST(a_read_of_any_bytes_comes_back_decrypted),
        TEST(what_the_hardware_cannot_write_at_once_is_refused),
        TEST(what_is_erased_does_not_read_as_erased),
        TEST(no_block_is_programmed_twice),
        TEST(what_the_table_says_is_encrypted_and_nothing_else),
        TEST(a_table_with_too_many_encrypted_partitions_is_refused),
        TEST(the_first_boot_encrypts_what_is_there),
        TEST(the_first_boot_refuses_a_table_whose_partitions_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
