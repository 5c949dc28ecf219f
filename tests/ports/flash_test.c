/* Virtual NOR flash: what it refuses, what it counts, and where its hook can break it. */
#include "ports/host/flash.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 4 * SF_SECTOR_SIZE, TWO_SECTORS = 2 * SF_SECTOR_SIZE };

struct fault_at {
    uint64_t index;
    enum sf_flash_fault fault;
    struct sf_flash_op seen;
    unsigned calls;
};

static enum sf_flash_fault fault_at(void *ctx, const struct sf_flash_op *op)
{
    struct fault_at *f = ctx;
    f->calls++;
    f->seen = *op;
    return op->index == f->index ? f->fault : SF_FLASH_GO_ON;
}

/* Half of a program reaches the cells: a torn operation as a hook of a later model would do it. */
static enum sf_flash_fault tear_in_half(void *ctx, const struct sf_flash_op *op)
{
    (void)ctx;
    memcpy(op->cells, op->data, op->len / 2);
    return SF_FLASH_CUT_BEFORE;
}

static int make_chip(void **state)
{
    static struct sf_host_flash chip;
    assert_int_equal(sf_host_flash_open_memory(&chip, SIZE, -1), SF_OK);
    *state = &chip;
    return 0;
}

static int release_chip(void **state)
{
    sf_host_flash_release(*state);
    return 0;
}

static int write_at(struct sf_host_flash *chip, uint32_t address, const void *data, size_t len)
{
    return chip->ops.write(chip->ops.ctx, address, data, len);
}

static void programming_clears_bits_and_never_sets_them(void **state)
{
    struct sf_host_flash *chip = *state;
    uint8_t read[4];
    assert_int_equal(write_at(chip, 8, "\xf0\x0f\xff\x00", 4), SF_OK);
    assert_int_equal(write_at(chip, 8, "\x80\x0f\xff\x00", 4), SF_OK);
    assert_int_equal(write_at(chip, 8, "\x81\x0f\xff\x00", 4), SF_ERR_FLASH_WRITE);
    assert_int_equal(chip->ops.read(chip->ops.ctx, 8, read, 4), SF_OK);
    assert_memory_equal(read, "\x80\x0f\xff\x00", 4);
}

static void an_erase_sets_one_whole_sector_and_wears_it(void **state)
{
    struct sf_host_flash *chip = *state;
    uint8_t zero[SIZE] = {0};
    assert_int_equal(write_at(chip, 0, zero, SIZE), SF_OK);
    assert_int_equal(chip->ops.erase(chip->ops.ctx, SF_SECTOR_SIZE, SF_SECTOR_SIZE), SF_OK);
    for (unsigned i = 0; i < SIZE; i++) {
        assert_int_equal(chip->cells[i], i / SF_SECTOR_SIZE == 1 ? 0xff : 0);
    }
    assert_int_equal(chip->ops.erase(chip->ops.ctx, SF_SECTOR_SIZE, TWO_SECTORS), SF_OK);
    assert_int_equal(sf_host_flash_wear(chip, 0, SF_SECTOR_SIZE), 0);
    assert_int_equal(sf_host_flash_wear(chip, 0, SIZE), 2);
    assert_int_equal(sf_host_flash_wear(chip, TWO_SECTORS, TWO_SECTORS), 1);
    assert_int_equal(chip->bytes_written, SIZE);
}

static void misaligned_and_outside_operations_are_refused(void **state)
{
    struct sf_host_flash *chip = *state;
    const struct sf_flash *ops = &chip->ops;
    uint8_t data[8] = {0};
    assert_int_equal(write_at(chip, 2, data, 4), SF_ERR_RANGE);
    assert_int_equal(write_at(chip, 0, data, 6), SF_ERR_RANGE);
    assert_int_equal(write_at(chip, SIZE - 4, data, 8), SF_ERR_RANGE);
    assert_int_equal(write_at(chip, UINT32_MAX - 3, data, 8), SF_ERR_RANGE);
    assert_int_equal(ops->read(ops->ctx, SIZE - 4, data, 8), SF_ERR_RANGE);
    assert_int_equal(ops->erase(ops->ctx, 16, SF_SECTOR_SIZE), SF_ERR_RANGE);
    assert_int_equal(ops->erase(ops->ctx, 0, 100), SF_ERR_RANGE);
    assert_int_equal(ops->erase(ops->ctx, SIZE, SF_SECTOR_SIZE), SF_ERR_RANGE);
    assert_int_equal(chip->op_count, 0);
}

static void the_hook_sees_each_sector_of_a_write_as_one_operation(void **state)
{
    struct sf_host_flash *chip = *state;
    struct fault_at f = {.index = UINT64_MAX};
    uint8_t data[16] = {0};
    chip->hook = fault_at;
    chip->hook_ctx = &f;
    assert_int_equal(write_at(chip, SF_SECTOR_SIZE - 8, data, 16), SF_OK);
    assert_int_equal(f.calls, 2);
    assert_int_equal(f.seen.address, SF_SECTOR_SIZE);
    assert_int_equal(f.seen.len, 8);
    assert_int_equal(f.seen.index, 1);
}

static void a_cut_before_leaves_the_old_bytes_and_a_cut_after_the_new(void **state)
{
    struct sf_host_flash *chip = *state;
    struct fault_at f = {.index = 0, .fault = SF_FLASH_CUT_BEFORE};
    uint8_t read[4];
    chip->hook = fault_at;
    chip->hook_ctx = &f;
    assert_int_equal(write_at(chip, 0, "abcd", 4), SF_ERR_IO);
    assert_int_equal(chip->ops.read(chip->ops.ctx, 0, read, 4), SF_ERR_IO);
    assert_int_equal(chip->ops.erase(chip->ops.ctx, 0, SF_SECTOR_SIZE), SF_ERR_IO);
    sf_host_flash_power_on(chip);
    assert_int_equal(chip->ops.read(chip->ops.ctx, 0, read, 4), SF_OK);
    assert_memory_equal(read, "\xff\xff\xff\xff", 4);

    f = (struct fault_at){.index = 1, .fault = SF_FLASH_CUT_AFTER};
    assert_int_equal(write_at(chip, 0, "abcd", 4), SF_ERR_IO);
    assert_int_equal(write_at(chip, 4, "efgh", 4), SF_ERR_IO);
    sf_host_flash_power_on(chip);
    assert_int_equal(chip->ops.read(chip->ops.ctx, 0, read, 4), SF_OK);
    assert_memory_equal(read, "abcd", 4);
}

static void a_failed_operation_changes_nothing_and_the_chip_goes_on(void **state)
{
    struct sf_host_flash *chip = *state;
    struct fault_at f = {.index = 0, .fault = SF_FLASH_FAIL};
    chip->hook = fault_at;
    chip->hook_ctx = &f;
    assert_int_equal(write_at(chip, 0, "abcd", 4), SF_ERR_FLASH_WRITE);
    assert_int_equal(chip->cells[0], 0xff);
    assert_int_equal(write_at(chip, 0, "abcd", 4), SF_OK);
    f.index = 2;
    assert_int_equal(chip->ops.erase(chip->ops.ctx, 0, SF_SECTOR_SIZE), SF_ERR_FLASH_ERASE);
    assert_int_equal(chip->cells[0], 'a');
}

static void a_hook_can_tear_an_operation(void **state)
{
    struct sf_host_flash *chip = *state;
    chip->hook = tear_in_half;
    assert_int_equal(write_at(chip, 0, "abcdefgh", 8), SF_ERR_IO);
    assert_memory_equal(chip->cells, "abcd\xff\xff\xff\xff", 8);
}

static void a_file_keeps_its_content_and_its_size(void **state)
{
    (void)state;
    char path[] = "/tmp/sf_flash_test_XXXXXX";
    struct sf_host_flash chip;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(sf_host_flash_open_file(&chip, path, SIZE), SF_OK);
    assert_int_equal(chip.cells[SIZE - 1], 0xff);
    assert_int_equal(write_at(&chip, SF_SECTOR_SIZE, "kept", 4), SF_OK);
    assert_int_equal(sf_host_flash_sync(&chip), SF_OK);
    sf_host_flash_release(&chip);
    assert_int_equal(sf_host_flash_open_file(&chip, path, 2 * SIZE), SF_ERR_RANGE);
    assert_int_equal(sf_host_flash_open_file(&chip, path, SIZE), SF_OK);
    assert_memory_equal(chip.cells + SF_SECTOR_SIZE, "kept", 4);
    sf_host_flash_release(&chip);

    assert_int_equal(sf_host_flash_open_memory(&chip, SIZE, fd), SF_OK);
    assert_int_equal(write_at(&chip, SF_SECTOR_SIZE + 4, "mine", 4), SF_OK);
    uint8_t read[8];
    assert_int_equal(pread(fd, read, 8, SF_SECTOR_SIZE), 8);
    assert_memory_equal(read, "kept\xff\xff\xff\xff", 8); /* a private copy */
    sf_host_flash_release(&chip);
    assert_int_equal(sf_host_flash_open_memory(&chip, 2 * SIZE, fd), SF_ERR_RANGE);
    close(fd);
    unlink(path);
}

static void a_size_that_is_no_whole_number_of_sectors_is_refused(void **state)
{
    (void)state;
    struct sf_host_flash chip;
    assert_int_equal(sf_host_flash_open_memory(&chip, 0, -1), SF_ERR_RANGE);
    assert_int_equal(sf_host_flash_open_memory(&chip, 5000, -1), SF_ERR_RANGE);
    assert_int_equal(sf_host_flash_open_file(&chip, "/nonexistent/x", SIZE), SF_ERR_IO);
}

#define CHIP_TEST(f) cmocka_unit_test_setup_teardown(f, make_chip, release_chip)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHIP_TEST(programming_clears_bits_and_never_sets_them),
        CHIP_TEST(an_erase_sets_one_whole_sector_and_wears_it),
        CHIP_TEST(misaligned_and_outside_operations_are_refused),
        CHIP_TEST(the_hook_sees_each_sector_of_a_write_as_one_operation),
        CHIP_TEST(a_cut_before_leaves_the_old_bytes_and_a_cut_after_the_new),
        CHIP_TEST(a_failed_operation_changes_nothing_and_the_chip_goes_on),
        CHIP_TEST(a_hook_can_tear_an_operation),
        cmocka_unit_test(a_file_keeps_its_content_and_its_size),
        cmocka_unit_test(a_size_that_is_no_whole_number_of_sectors_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
