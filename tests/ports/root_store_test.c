/* The trust root's two copies, with power cut at every flash operation. */
#include "ports/host/root_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ports/host/flash.h"
#include "ports/host/store.h"

enum { AT = SF_HOST_STORE_SIZE, CHIP_SIZE = SF_HOST_STORE_SIZE + SF_HOST_ROOT_STORE_SIZE };

struct all {
    struct sf_host_flash chip;
    struct sf_host_store records;
    struct sf_host_root_store roots;
};

static void boot(struct all *a)
{
    sf_host_flash_power_on(&a->chip);
    assert_int_equal(sf_host_store_open(&a->records, &a->chip.ops, 0), SF_OK);
    assert_int_equal(sf_host_root_store_open(&a->roots, &a->records.ops, &a->chip.ops, AT), SF_OK);
}

static int setup(void **state)
{
    static struct all a;
    assert_int_equal(sf_host_flash_open_memory(&a.chip, CHIP_SIZE, -1), SF_OK);
    boot(&a);
    *state = &a;
    return 0;
}

static int teardown(void **state)
{
    struct all *a = *state;
    sf_host_flash_release(&a->chip);
    return 0;
}

/* A root of version n: its length and its bytes tell. */
static size_t make(unsigned n, uint8_t out[SF_ROOT_RECORD_MAX])
{
    const size_t len = n % 3 == 0 ? SF_ROOT_RECORD_MAX : 600 + n;
    memset(out, (int)n, len);
    return len;
}

static int set(struct all *a, unsigned n)
{
    uint8_t data[SF_ROOT_RECORD_MAX];
    const size_t len = make(n, data);
    return a->roots.ops.set(a->roots.ops.ctx, SF_RECORD_ROOT, data, len);
}

/* Which version is stored; 0 = none, or the error. */
static int get(struct all *a)
{
    uint8_t data[SF_ROOT_RECORD_MAX];
    uint8_t expected[SF_ROOT_RECORD_MAX];
    const int32_t len = a->roots.ops.get(a->roots.ops.ctx, SF_RECORD_ROOT, data, sizeof(data));
    if (len < 0) {
        return len == SF_ERR_NOTFOUND ? 0 : (int)len;
    }
    assert_true(len > 0);
    const size_t expected_len = make(data[0], expected);
    assert_int_equal(len, expected_len);
    assert_memory_equal(data, expected, expected_len);
    return data[0];
}

static void what_is_set_is_there_after_a_reset(void **state)
{
    struct all *a = *state;
    assert_int_equal(get(a), 0);
    for (unsigned n = 1; n <= 40; n++) {
        assert_int_equal(set(a, n), SF_OK);
        boot(a);
        assert_int_equal(get(a), n);
    }
    assert_true(sf_host_flash_wear(&a->chip, AT, SF_HOST_ROOT_STORE_SIZE) <= 20);
    assert_int_equal(a->roots.ops.set(a->roots.ops.ctx, SF_RECORD_ROOT, NULL, 0), SF_OK);
    assert_int_equal(get(a), 0);
}

static void other_records_go_to_the_other_store(void **state)
{
    struct all *a = *state;
    uint8_t data[4] = {1, 2, 3, 4};
    uint8_t got[4];
    assert_int_equal(a->roots.ops.set(a->roots.ops.ctx, SF_RECORD_FLOOR, data, sizeof(data)),
                     SF_OK);
    assert_int_equal(a->records.ops.get(a->records.ops.ctx, SF_RECORD_FLOOR, got, sizeof(got)), 4);
    assert_int_equal(a->roots.ops.get(a->roots.ops.ctx, SF_RECORD_FLOOR, got, sizeof(got)), 4);
    assert_memory_equal(got, data, sizeof(data));
    assert_int_equal(get(a), 0);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct all *a = *state;
    static const uint8_t data[SF_ROOT_RECORD_MAX + 1];
    uint8_t small[10];
    assert_int_equal(a->roots.ops.set(a->roots.ops.ctx, SF_RECORD_ROOT, data, sizeof(data)),
                     SF_ERR_RANGE);
    assert_int_equal(set(a, 1), SF_OK);
    assert_int_equal(a->roots.ops.get(a->roots.ops.ctx, SF_RECORD_ROOT, small, sizeof(small)),
                     SF_ERR_CORRUPT);
}

static void a_copy_that_decays_leaves_the_one_before(void **state)
{
    struct all *a = *state;
    assert_int_equal(set(a, 1), SF_OK);
    assert_int_equal(set(a, 2), SF_OK);
    a->chip.cells[AT + SF_SECTOR_SIZE + 100] ^= 4; /* in the second */
    assert_int_equal(get(a), 1);
    assert_int_equal(set(a, 3), SF_OK); /* over the decayed one */
    assert_int_equal(get(a), 3);
    a->chip.cells[AT + 100] ^= 4;
    a->chip.cells[AT + SF_SECTOR_SIZE + 100] ^= 4;
    assert_int_equal(get(a), SF_ERR_CORRUPT);
    assert_int_equal(set(a, 4), SF_OK);
    assert_int_equal(get(a), 4);
}

struct cut {
    uint64_t index;
    enum sf_flash_fault fault;
    int torn;
};

static enum sf_flash_fault cut_hook(void *ctx, const struct sf_flash_op *op)
{
    const struct cut *cut = ctx;
    if (op->index != cut->index) {
        return SF_FLASH_GO_ON;
    }
    if (cut->torn && op->data != NULL) {
        memcpy(op->cells, op->data, op->len / 2);
    } else if (cut->torn) {
        memset(op->cells, 0xff, op->len / 2);
    }
    return cut->fault;
}

/* Sets 1 to 4 until power goes at one operation. Returns whether it went. */
static int run_with_cut(struct cut cut)
{
    static struct all a;
    unsigned n = 0;
    int err = SF_OK;
    assert_int_equal(sf_host_flash_open_memory(&a.chip, CHIP_SIZE, -1), SF_OK);
    boot(&a);
    a.chip.hook = cut_hook;
    a.chip.hook_ctx = &cut;
    while (n < 4 && err == SF_OK) {
        err = set(&a, ++n);
    }
    a.chip.hook = NULL;
    if (err != SF_OK) {
        boot(&a);
        const int found = get(&a);
        assert_true(found == (int)n || found == (int)n - 1);
        for (unsigned next = n; next <= n + 2; next++) {
            assert_int_equal(set(&a, next), SF_OK);
            assert_int_equal(get(&a), next);
        }
    }
    sf_host_flash_release(&a.chip);
    return err != SF_OK;
}

static void a_cut_at_any_operation_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    static const struct cut kinds[] = {
        {.fault = SF_FLASH_CUT_BEFORE},
        {.fault = SF_FLASH_CUT_AFTER},
        {.fault = SF_FLASH_CUT_BEFORE, .torn = 1},
        {.fault = SF_FLASH_FAIL},
    };
    unsigned runs = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct cut cut = kinds[i];
        for (cut.index = 0; run_with_cut(cut); cut.index++) {
            runs++;
        }
    }
    print_message("%u cuts\n", runs);
    assert_true(runs > 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_set_is_there_after_a_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(other_records_go_to_the_other_store, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_copy_that_decays_leaves_the_one_before, setup, teardown),
        cmocka_unit_test(a_cut_at_any_operation_leaves_the_old_or_the_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
