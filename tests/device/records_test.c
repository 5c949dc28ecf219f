/* The stored records: their bytes, an older and a newer engine's, damage. */
#include "device/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "formats/crc32.h"
#include "formats/err.h"

union any {
    struct sf_record_cred cred;
    struct sf_record_trial trial;
    struct sf_record_failed failed;
    struct sf_record_progress progress;
    struct sf_record_floor floor;
    struct sf_record_out out;
    struct sf_record_good good;
    struct sf_record_boot boot;
    uint8_t bytes[512];
};

static const struct sf_record_boot boot = {.count = 0x01020304, .rollback = 2};

static void put_crc(uint8_t *bytes, size_t covered)
{
    const uint32_t crc = sf_crc32(0, bytes, covered);
    for (unsigned i = 0; i < 4; i++) {
        bytes[covered + i] = (uint8_t)(crc >> (8 * i));
    }
}

static void the_boot_records_bytes_are_version_length_fields_crc(void **state)
{
    (void)state;
    uint8_t bytes[SF_RECORD_MAX];
    uint8_t expected[13] = {1, 0, 5, 0, 4, 3, 2, 1, 2};
    put_crc(expected, 9);
    assert_int_equal(sf_record_encode(SF_RECORD_BOOT, &boot, bytes, sizeof(bytes)), 13);
    assert_memory_equal(bytes, expected, 13);
}

static void every_record_comes_back_as_it_was(void **state)
{
    (void)state;
    for (unsigned key = 0; key < SF_RECORD_COUNT; key++) {
        if (key == SF_RECORD_ROOT) {
            continue;
        }
        union any in;
        union any out;
        uint8_t bytes[SF_RECORD_MAX];
        uint8_t again[SF_RECORD_MAX];
        memset(&in, 0x01, sizeof(in)); /* texts end below */
        in.trial.text[key == SF_RECORD_TRIAL ? 24 : 0] = 0;
        if (key == SF_RECORD_OUT) {
            in.out.outcome.text[SF_OUTCOME_TEXT_MAX] = 0;
        } else if (key == SF_RECORD_PROG) {
            in.progress.etag[SF_ETAG_MAX] = 0;
        }
        const int32_t len = sf_record_encode((enum sf_record)key, &in, bytes, sizeof(bytes));
        assert_in_range(len, SF_RECORD_OVERHEAD + 1, SF_RECORD_MAX);
        assert_int_equal(sf_record_decode((enum sf_record)key, bytes, (size_t)len, &out), SF_OK);
        assert_int_equal(sf_record_encode((enum sf_record)key, &out, again, sizeof(again)), len);
        assert_memory_equal(bytes, again, (size_t)len);
        assert_int_equal(sf_record_encode((enum sf_record)key, &in, bytes, (size_t)len - 1),
                         SF_ERR_NOSPC);
    }
}

static void every_flip_and_every_truncation_is_refused_and_leaves_zeros(void **state)
{
    (void)state;
    uint8_t bytes[SF_RECORD_MAX];
    const int32_t len = sf_record_encode(SF_RECORD_BOOT, &boot, bytes, sizeof(bytes));
    static const struct sf_record_boot zero;
    struct sf_record_boot out;
    for (size_t bit = 0; bit < (size_t)len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_true(sf_record_decode(SF_RECORD_BOOT, bytes, (size_t)len, &out) < 0);
        assert_memory_equal(&out, &zero, sizeof(out));
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (size_t cut = 0; cut < (size_t)len; cut++) {
        assert_int_equal(sf_record_decode(SF_RECORD_BOOT, bytes, cut, &out), SF_ERR_TRUNCATED);
    }
}

static void a_newer_engines_record_is_read_as_far_as_known(void **state)
{
    (void)state;
    uint8_t bytes[20] = {7, 0, 8, 0, 4, 3, 2, 1, 2, 0xaa, 0xbb, 0xcc};
    struct sf_record_boot out;
    put_crc(bytes, 12);
    assert_int_equal(sf_record_decode(SF_RECORD_BOOT, bytes, 16, &out), SF_OK);
    assert_int_equal(out.count, boot.count);
    assert_int_equal(out.rollback, boot.rollback);
}

static void an_older_engines_record_lacks_fields_that_are_zero(void **state)
{
    (void)state;
    uint8_t bytes[20] = {1, 0, 4, 0, 4, 3, 2, 1};
    struct sf_record_boot out;
    put_crc(bytes, 8);
    assert_int_equal(sf_record_decode(SF_RECORD_BOOT, bytes, 12, &out), SF_OK);
    assert_int_equal(out.count, boot.count);
    assert_int_equal(out.rollback, 0);
}

static void texts_and_counts_are_safe_whatever_was_stored(void **state)
{
    (void)state;
    union any in;
    union any out;
    uint8_t bytes[SF_RECORD_MAX];
    memset(&in, 'x', sizeof(in));
    for (unsigned key = 0; key < SF_RECORD_COUNT; key++) {
        if (key == SF_RECORD_ROOT) {
            continue;
        }
        const int32_t len = sf_record_encode((enum sf_record)key, &in, bytes, sizeof(bytes));
        assert_true(len > 0);
        assert_int_equal(sf_record_decode((enum sf_record)key, bytes, (size_t)len, &out), SF_OK);
        if (key == SF_RECORD_TRIAL) {
            assert_int_equal(strlen(out.trial.text), 24);
        } else if (key == SF_RECORD_OUT) {
            assert_int_equal(strlen(out.out.outcome.text), SF_OUTCOME_TEXT_MAX);
        } else if (key == SF_RECORD_PROG) {
            assert_int_equal(strlen(out.progress.etag), SF_ETAG_MAX);
        } else if (key == SF_RECORD_GOOD) {
            assert_int_equal(out.good.count, SF_GOOD_MAX);
        }
    }
}

static int32_t broken_get(void *ctx, enum sf_record key, void *out, size_t size)
{
    (void)key;
    (void)out;
    (void)size;
    return *(const int *)ctx;
}

static int broken_set(void *ctx, enum sf_record key, const void *data, size_t len)
{
    (void)key;
    (void)data;
    (void)len;
    return *(const int *)ctx;
}

static void a_store_that_fails_is_told_from_a_record_that_is_missing(void **state)
{
    (void)state;
    int answer = SF_ERR_IO;
    const struct sf_store store = {.ctx = &answer, .get = broken_get, .set = broken_set};
    struct sf_record_boot out;
    assert_int_equal(sf_record_load(&store, SF_RECORD_BOOT, &out), SF_ERR_STORE);
    assert_int_equal(sf_record_save(&store, SF_RECORD_BOOT, &boot), SF_ERR_STORE);
    assert_int_equal(sf_record_remove(&store, SF_RECORD_BOOT), SF_ERR_STORE);
    answer = SF_ERR_NOTFOUND;
    assert_int_equal(sf_record_load(&store, SF_RECORD_BOOT, &out), SF_ERR_NOTFOUND);
    answer = SF_ERR_CORRUPT;
    assert_int_equal(sf_record_load(&store, SF_RECORD_BOOT, &out), SF_ERR_CORRUPT);
    uint8_t bytes[8];
    assert_int_equal(sf_record_encode(SF_RECORD_ROOT, &out, bytes, sizeof(bytes)),
                     SF_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_boot_records_bytes_are_version_length_fields_crc),
        cmocka_unit_test(every_record_comes_back_as_it_was),
        cmocka_unit_test(every_flip_and_every_truncation_is_refused_and_leaves_zeros),
        cmocka_unit_test(a_newer_engines_record_is_read_as_far_as_known),
        cmocka_unit_test(an_older_engines_record_lacks_fields_that_are_zero),
        cmocka_unit_test(texts_and_counts_are_safe_whatever_was_stored),
        cmocka_unit_test(a_store_that_fails_is_told_from_a_record_that_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
