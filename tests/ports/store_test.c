/* The record store, with power cut at every flash operation of a long script. */
#include "ports/host/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ports/host/crypt.h"
#include "ports/host/flash.h"

enum { AT = SF_SECTOR_SIZE, CHIP_SIZE = 4 * SF_SECTOR_SIZE, SCRIPT_LEN = 120 };

struct value {
    size_t len; /* 0 = absent */
    uint8_t data[SF_RECORD_MAX];
};

struct step {
    enum sf_record key;
    struct value value;
};

/* What the store should hold. */
struct model {
    struct value value[SF_RECORD_COUNT];
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Sizes and keys of all kinds, some removals; enough data for several moves between sectors. */
static struct step make_step(uint32_t *seed)
{
    struct step step = {.key = (enum sf_record)(next_random(seed) % SF_RECORD_COUNT)};
    step.value.len = next_random(seed) % 8 == 0 ? 0 : 1 + next_random(seed) % SF_RECORD_MAX;
    for (size_t i = 0; i < step.value.len; i++) {
        step.value.data[i] = (uint8_t)next_random(seed);
    }
    return step;
}

static void assert_holds(struct sf_host_store *store, enum sf_record key, const struct value *want)
{
    uint8_t got[SF_RECORD_MAX];
    int32_t len = store->ops.get(store->ops.ctx, key, got, sizeof(got));
    if (want->len == 0) {
        assert_int_equal(len, SF_ERR_NOTFOUND);
        return;
    }
    assert_int_equal(len, want->len);
    assert_memory_equal(got, want->data, want->len);
}

static int holds(struct sf_host_store *store, enum sf_record key, const struct value *want)
{
    uint8_t got[SF_RECORD_MAX];
    int32_t len = store->ops.get(store->ops.ctx, key, got, sizeof(got));
    if (want->len == 0) {
        return len == SF_ERR_NOTFOUND;
    }
    return len == (int32_t)want->len && memcmp(got, want->data, want->len) == 0;
}

static int do_step(struct sf_host_store *store, const struct step *step)
{
    return store->ops.set(store->ops.ctx, step->key, step->value.data, step->value.len);
}

struct cut {
    uint64_t index;
    enum sf_flash_fault fault;
    int tear;           /* bytes of a torn write that reach the cells; -1 = none */
    uint32_t encrypted; /* write size of an encrypted flash; 0 = not encrypted */
};

static const uint8_t flash_key[SF_HOST_CRYPT_KEY_SIZE] = {1, 2, 3};

static enum sf_flash_fault cut_hook(void *ctx, const struct sf_flash_op *op)
{
    const struct cut *cut = ctx;
    if (op->index != cut->index) {
        return SF_FLASH_GO_ON;
    }
    if (cut->tear >= 0) {
        size_t torn = (size_t)cut->tear < op->len ? (size_t)cut->tear : op->len;
        if (op->data) {
            memcpy(op->cells, op->data, torn);
        } else {
            memset(op->cells, 0xff, torn);
        }
    }
    return cut->fault;
}

/* Runs the script until power goes; then every key must hold its old value, but the one being set
 * may hold the new one. Afterwards the rest of the script must work. Returns 1 if power went. */
static int run_with_cut(const struct step *script, struct cut cut)
{
    struct sf_host_flash chip;
    struct sf_host_store store;
    struct model model = {0};
    struct sf_host_crypt crypt;
    const struct sf_flash *flash = cut.encrypted > 0 ? &crypt.ops : &chip.ops;
    assert_int_equal(sf_host_flash_open_memory(&chip, CHIP_SIZE, -1), SF_OK);
    if (cut.encrypted > 0) {
        sf_host_crypt_init(&crypt, &chip.ops, flash_key, cut.encrypted);
    }
    chip.hook = cut_hook;
    chip.hook_ctx = &cut;
    assert_int_equal(sf_host_store_open(&store, flash, AT), SF_OK);
    int went = 0;
    for (unsigned i = 0; i < SCRIPT_LEN; i++) {
        int err = do_step(&store, &script[i]);
        if (err == SF_OK) {
            model.value[script[i].key] = script[i].value;
            continue;
        }
        assert_int_equal(err, SF_ERR_IO);
        assert_false(went);
        went = 1;
        sf_host_flash_power_on(&chip);
        assert_int_equal(sf_host_store_open(&store, flash, AT), SF_OK);
        if (holds(&store, script[i].key, &script[i].value)) {
            model.value[script[i].key] = script[i].value;
        }
        for (int key = 0; key < SF_RECORD_COUNT; key++) {
            assert_holds(&store, (enum sf_record)key, &model.value[key]);
        }
    }
    assert_int_equal(sf_host_store_open(&store, flash, AT), SF_OK);
    for (int key = 0; key < SF_RECORD_COUNT; key++) {
        assert_holds(&store, (enum sf_record)key, &model.value[key]);
    }
    for (unsigned i = 0; i < AT; i++) {
        assert_int_equal(chip.cells[i], 0xff);
        assert_int_equal(chip.cells[AT + SF_HOST_STORE_SIZE + i], 0xff);
    }
    sf_host_flash_release(&chip);
    return went;
}

static void sweep(enum sf_flash_fault fault, int tear, uint32_t encrypted)
{
    static struct step script[SCRIPT_LEN];
    uint32_t seed = 2026;
    print_message("seed %u\n", seed);
    for (unsigned i = 0; i < SCRIPT_LEN; i++) {
        script[i] = make_step(&seed);
    }
    uint64_t index = 0;
    while (run_with_cut(script, (struct cut){index, fault, tear, encrypted})) {
        index++;
    }
    /* every set is at least one operation, and the script is long enough to move the log often */
    assert_true(index > SCRIPT_LEN * 9 / 10 + 20);
}

static void a_cut_before_any_operation_leaves_old_or_new(void **state)
{
    (void)state;
    sweep(SF_FLASH_CUT_BEFORE, -1, 0);
}

static void a_cut_after_any_operation_leaves_old_or_new(void **state)
{
    (void)state;
    sweep(SF_FLASH_CUT_AFTER, -1, 0);
}

static void an_operation_torn_at_any_of_these_places_leaves_old_or_new(void **state)
{
    (void)state;
    static const int place[] = {1, 4, 12, 15, 16, 17, 40, 100};
    for (unsigned i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
        sweep(SF_FLASH_CUT_BEFORE, place[i], 0);
    }
}

/* There an erased sector does not read FF, and a torn block reads as anything at all. */
static void on_encrypted_flash_a_cut_leaves_old_or_new(void **state)
{
    (void)state;
    static const int place[] = {1, 15, 16, 33, 100};
    for (uint32_t size = 16; size <= 32; size *= 2) {
        sweep(SF_FLASH_CUT_BEFORE, -1, size);
        sweep(SF_FLASH_CUT_AFTER, -1, size);
        for (unsigned i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
            sweep(SF_FLASH_CUT_BEFORE, place[i], size);
        }
    }
}

static int make_store(void **state)
{
    static struct {
        struct sf_host_flash chip;
        struct sf_host_store store;
    } all;
    assert_int_equal(sf_host_flash_open_memory(&all.chip, CHIP_SIZE, -1), SF_OK);
    assert_int_equal(sf_host_store_open(&all.store, &all.chip.ops, AT), SF_OK);
    *state = &all;
    return 0;
}

static int release_store(void **state)
{
    sf_host_flash_release(*state);
    return 0;
}

static struct sf_host_store *store_of(void **state)
{
    return (struct sf_host_store *)(void *)((char *)*state + sizeof(struct sf_host_flash));
}

static void a_new_store_is_empty_and_writes_nothing_by_itself(void **state)
{
    struct sf_host_flash *chip = *state;
    struct sf_host_store *store = store_of(state);
    uint8_t out[8];
    assert_int_equal(store->ops.get(store, SF_RECORD_CRED, out, 8), SF_ERR_NOTFOUND);
    assert_int_equal(store->ops.set(store, SF_RECORD_CRED, NULL, 0), SF_OK);
    assert_int_equal(chip->op_count, 0);
}

static void a_damaged_record_in_the_middle_is_reported_not_hidden(void **state)
{
    struct sf_host_flash *chip = *state;
    struct sf_host_store *store = store_of(state);
    uint8_t out[8];
    assert_int_equal(store->ops.set(store, SF_RECORD_FLOOR, "old!", 4), SF_OK);
    assert_int_equal(store->ops.set(store, SF_RECORD_FLOOR, "new!", 4), SF_OK);
    assert_int_equal(store->ops.set(store, SF_RECORD_CRED, "cred", 4), SF_OK);
    uint8_t *cell = chip->cells + AT + 32 + 32 + 16;
    assert_memory_equal(cell, "new!", 4);
    cell[0] ^= 1;
    assert_int_equal(sf_host_store_open(store, &chip->ops, AT), SF_OK);
    assert_int_equal(store->ops.get(store, SF_RECORD_FLOOR, out, 8), SF_ERR_CORRUPT);
    assert_int_equal(store->ops.get(store, SF_RECORD_CRED, out, 8), 4);
    assert_int_equal(store->ops.set(store, SF_RECORD_FLOOR, "mend", 4), SF_OK);
    assert_int_equal(store->ops.get(store, SF_RECORD_FLOOR, out, 8), 4);
    assert_memory_equal(out, "mend", 4);
    assert_int_equal(store->ops.get(store, SF_RECORD_CRED, out, 8), 4);
}

/* Else a floor that decayed would be none at all, once the log has moved on. */
static void a_damaged_record_stays_damaged_until_it_is_set_again(void **state)
{
    struct sf_host_flash *chip = *state;
    struct sf_host_store *store = store_of(state);
    uint8_t big[SF_RECORD_MAX] = {7};
    uint8_t out[8];
    assert_int_equal(store->ops.set(store, SF_RECORD_FLOOR, "old!", 4), SF_OK);
    assert_int_equal(store->ops.set(store, SF_RECORD_CRED, "cred", 4), SF_OK);
    chip->cells[AT + 32 + 16] ^= 1;
    for (unsigned i = 0; i < 100; i++) {
        big[1] = (uint8_t)i;
        assert_int_equal(store->ops.set(store, SF_RECORD_PROG, big, sizeof(big)), SF_OK);
        assert_int_equal(store->ops.get(store, SF_RECORD_FLOOR, out, 8), SF_ERR_CORRUPT);
        assert_int_equal(sf_host_store_open(store, &chip->ops, AT), SF_OK);
        assert_int_equal(store->ops.get(store, SF_RECORD_FLOOR, out, 8), SF_ERR_CORRUPT);
    }
    assert_int_equal(store->ops.get(store, SF_RECORD_CRED, out, 8), 4);
    assert_int_equal(store->ops.set(store, SF_RECORD_FLOOR, "mend", 4), SF_OK);
    assert_int_equal(sf_host_store_open(store, &chip->ops, AT), SF_OK);
    assert_int_equal(store->ops.get(store, SF_RECORD_FLOOR, out, 8), 4);
    assert_int_equal(store->ops.set(store, SF_RECORD_FLOOR, NULL, 0), SF_OK);
    assert_int_equal(sf_host_store_open(store, &chip->ops, AT), SF_OK);
    assert_int_equal(store->ops.get(store, SF_RECORD_FLOOR, out, 8), SF_ERR_NOTFOUND);
}

static void a_key_of_a_newer_firmware_survives_the_moves(void **state)
{
    struct sf_host_flash *chip = *state;
    struct sf_host_store *store = store_of(state);
    enum sf_record newer = (enum sf_record)(SF_HOST_STORE_KEYS - 1);
    uint8_t big[SF_RECORD_MAX] = {7};
    uint8_t out[8];
    assert_int_equal(store->ops.set(store, newer, "future", 6), SF_OK);
    for (unsigned i = 0; i < 100; i++) {
        big[1] = (uint8_t)i;
        assert_int_equal(store->ops.set(store, SF_RECORD_PROG, big, sizeof(big)), SF_OK);
    }
    assert_int_equal(sf_host_store_open(store, &chip->ops, AT), SF_OK);
    assert_int_equal(store->ops.get(store, newer, out, 8), 6);
    assert_memory_equal(out, "future", 6);
    assert_true(sf_host_flash_wear(chip, AT, SF_HOST_STORE_SIZE) <= 4);
}

static void on_encrypted_flash_a_damaged_record_in_the_middle_is_reported(void **state)
{
    struct sf_host_flash *chip = *state;
    struct sf_host_crypt crypt;
    struct sf_host_store store;
    uint8_t out[8];
    sf_host_crypt_init(&crypt, &chip->ops, flash_key, 16);
    assert_int_equal(sf_host_store_open(&store, &crypt.ops, AT), SF_OK);
    assert_int_equal(store.ops.set(&store, SF_RECORD_FLOOR, "old!", 4), SF_OK);
    assert_int_equal(store.ops.set(&store, SF_RECORD_FLOOR, "new!", 4), SF_OK);
    assert_int_equal(store.ops.set(&store, SF_RECORD_CRED, "cred", 4), SF_OK);
    chip->cells[AT + 32 + 32 + 16] ^= 1;
    assert_int_equal(sf_host_store_open(&store, &crypt.ops, AT), SF_OK);
    assert_int_equal(store.ops.get(&store, SF_RECORD_FLOOR, out, 8), SF_ERR_CORRUPT);
    assert_int_equal(store.ops.get(&store, SF_RECORD_CRED, out, 8), 4);
}

static void wrong_sizes_and_keys_are_refused(void **state)
{
    struct sf_host_store *store = store_of(state);
    uint8_t big[SF_RECORD_MAX + 1] = {0};
    uint8_t out[2];
    assert_int_equal(store->ops.set(store, SF_RECORD_CRED, big, sizeof(big)), SF_ERR_RANGE);
    assert_int_equal(store->ops.set(store, (enum sf_record)99, big, 1), SF_ERR_RANGE);
    assert_int_equal(store->ops.get(store, (enum sf_record)99, out, 2), SF_ERR_NOTFOUND);
    assert_int_equal(store->ops.set(store, SF_RECORD_CRED, "abc", 3), SF_OK);
    assert_int_equal(store->ops.get(store, SF_RECORD_CRED, out, 2), SF_ERR_CORRUPT);
}

static void foreign_bytes_are_an_empty_store_that_can_be_used(void **state)
{
    struct sf_host_flash *chip = *state;
    struct sf_host_store *store = store_of(state);
    uint8_t out[8];
    memset(chip->cells + AT, 0x5a, SF_HOST_STORE_SIZE);
    assert_int_equal(sf_host_store_open(store, &chip->ops, AT), SF_OK);
    assert_int_equal(store->ops.get(store, SF_RECORD_CRED, out, 8), SF_ERR_NOTFOUND);
    assert_int_equal(store->ops.set(store, SF_RECORD_CRED, "cred", 4), SF_OK);
    assert_int_equal(sf_host_store_open(store, &chip->ops, AT), SF_OK);
    assert_int_equal(store->ops.get(store, SF_RECORD_CRED, out, 8), 4);
}

static enum sf_flash_fault fail_first(void *ctx, const struct sf_flash_op *op)
{
    unsigned *calls = ctx;
    (void)op;
    return (*calls)++ == 0 ? SF_FLASH_FAIL : SF_FLASH_GO_ON;
}

static void a_flash_error_keeps_the_old_value_and_the_next_set_works(void **state)
{
    struct sf_host_flash *chip = *state;
    struct sf_host_store *store = store_of(state);
    unsigned calls = 0;
    uint8_t out[8];
    assert_int_equal(store->ops.set(store, SF_RECORD_GOOD, "one", 3), SF_OK);
    chip->hook = fail_first;
    chip->hook_ctx = &calls;
    assert_int_equal(store->ops.set(store, SF_RECORD_GOOD, "two", 3), SF_ERR_FLASH_WRITE);
    assert_int_equal(store->ops.get(store, SF_RECORD_GOOD, out, 8), 3);
    assert_memory_equal(out, "one", 3);
    assert_int_equal(store->ops.set(store, SF_RECORD_GOOD, "two", 3), SF_OK);
    assert_int_equal(store->ops.get(store, SF_RECORD_GOOD, out, 8), 3);
    assert_memory_equal(out, "two", 3);
}

/* A flash that programs one bit less, or reads one wrong, without a word. */
struct liar {
    struct sf_flash ops;
    const struct sf_flash *real;
    uint32_t stuck; /* this byte's lowest bit stays 1; 0 = none */
    int wrong_read; /* the n-th read from now has a bit wrong; < 0 = none */
};

static int liar_read(void *ctx, uint32_t address, void *out, size_t len)
{
    struct liar *l = ctx;
    const int err = l->real->read(l->real->ctx, address, out, len);
    if (l->wrong_read-- == 0) {
        ((uint8_t *)out)[len / 2] ^= 1;
    }
    return err;
}

static int liar_write(void *ctx, uint32_t address, const void *data, size_t len)
{
    const struct liar *l = ctx;
    uint8_t bytes[SF_SECTOR_SIZE];
    memcpy(bytes, data, len);
    if (l->stuck >= address && l->stuck < address + len) {
        bytes[l->stuck - address] |= 1;
    }
    return l->real->write(l->real->ctx, address, bytes, len);
}

static int liar_erase(void *ctx, uint32_t address, size_t len)
{
    const struct liar *l = ctx;
    return l->real->erase(l->real->ctx, address, len);
}

static void what_does_not_read_back_is_not_stored(void **state)
{
    struct sf_host_flash *chip = *state;
    static const uint8_t zeros[20];
    uint8_t got[SF_RECORD_MAX];
    struct liar liar = {.ops = {&liar, liar_read, liar_write, liar_erase, 4},
                        .real = &chip->ops,
                        .stuck = AT + 64 + 20, /* in the second record's data */
                        .wrong_read = -1};
    struct sf_host_store store;
    assert_int_equal(sf_host_store_open(&store, &liar.ops, AT), SF_OK);
    assert_int_equal(store.ops.set(&store, SF_RECORD_FLOOR, "floor", 5), SF_OK);
    assert_true(store.ops.set(&store, SF_RECORD_TRIAL, zeros, sizeof(zeros)) < 0);
    assert_int_equal(store.ops.set(&store, SF_RECORD_TRIAL, zeros, sizeof(zeros)), SF_OK);
    assert_int_equal(sf_host_store_open(&store, &liar.ops, AT), SF_OK);
    assert_int_equal(store.ops.get(&store, SF_RECORD_TRIAL, got, sizeof(got)), sizeof(zeros));
}

static void a_wrong_read_at_the_start_loses_no_record(void **state)
{
    struct sf_host_flash *chip = *state;
    struct sf_host_store *first = store_of(state);
    struct sf_host_store store;
    uint8_t got[SF_RECORD_MAX];
    assert_int_equal(first->ops.set(first, SF_RECORD_FLOOR, "floor", 5), SF_OK);
    for (int n = 0; n < 20; n++) {
        struct liar liar = {.ops = {&liar, liar_read, liar_write, liar_erase, 4},
                            .real = &chip->ops,
                            .wrong_read = n};
        assert_int_equal(sf_host_store_open(&store, &liar.ops, AT), SF_OK);
        assert_int_equal(store.ops.get(&store, SF_RECORD_FLOOR, got, sizeof(got)), 5);
        assert_memory_equal(got, "floor", 5);
    }
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, make_store, release_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_before_any_operation_leaves_old_or_new),
        cmocka_unit_test(a_cut_after_any_operation_leaves_old_or_new),
        cmocka_unit_test(an_operation_torn_at_any_of_these_places_leaves_old_or_new),
        cmocka_unit_test(on_encrypted_flash_a_cut_leaves_old_or_new),
        STORE_TEST(on_encrypted_flash_a_damaged_record_in_the_middle_is_reported),
        STORE_TEST(a_new_store_is_empty_and_writes_nothing_by_itself),
        STORE_TEST(a_damaged_record_in_the_middle_is_reported_not_hidden),
        STORE_TEST(a_damaged_record_stays_damaged_until_it_is_set_again),
        STORE_TEST(a_key_of_a_newer_firmware_survives_the_moves),
        STORE_TEST(wrong_sizes_and_keys_are_refused),
        STORE_TEST(foreign_bytes_are_an_empty_store_that_can_be_used),
        STORE_TEST(a_flash_error_keeps_the_old_value_and_the_next_set_works),
        STORE_TEST(what_does_not_read_back_is_not_stored),
        STORE_TEST(a_wrong_read_at_the_start_loses_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
