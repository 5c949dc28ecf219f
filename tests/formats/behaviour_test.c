#include "formats/behaviour.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <surefoot/behaviour.h>

#include "formats/image.h"

/* What a firmware source has; the host's linker keeps the section like any other. */
SUREFOOT_RECORD_AND_BEHAVIOUR(SUREFOOT_CRASH_AFTER, 90, 0x5a, 0x11, 0x22, 0x33, 4, 5, 6, 7, 8, 9,
                              10, 11, 12, 13, 14, 15);

_Static_assert(sizeof(struct surefoot_record) == SF_IMAGE_RECORD_SIZE, "size of the record");
_Static_assert(offsetof(struct surefoot_record_and_behaviour, behaviour) ==
                   SF_BEHAVIOUR_OFFSET - SF_IMAGE_RECORD_OFFSET,
               "the behaviour record follows at once");
_Static_assert(sizeof(struct surefoot_behaviour) == SF_BEHAVIOUR_SIZE, "size of the behaviour");

static void what_the_firmware_headers_lay_down_decodes(void **state)
{
    (void)state;
    uint8_t bytes[sizeof(surefoot_record)];
    struct sf_behaviour behaviour;
    struct sf_updater_record record;
    memcpy(bytes, &surefoot_record, sizeof(bytes));
    assert_int_equal(sf_behaviour_decode(bytes + SF_IMAGE_RECORD_SIZE, &behaviour, NULL), SF_OK);
    assert_int_equal(behaviour.kind, SF_BEHAVIOUR_CRASH_AFTER);
    assert_int_equal(behaviour.parameter, 90);

    /* The crc is filled in when the image is made: only then is it a record. */
    assert_int_equal(sf_updater_record_decode(bytes, &record, NULL), SF_ERR_CORRUPT);
    const struct sf_updater_record expected = {
        .record_version = SUREFOOT_RECORD_VERSION,
        .protocol_version = SUREFOOT_PROTOCOL_VERSION,
        .class_uuid = {0x5a, 0x11, 0x22, 0x33, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        .library_version = SUREFOOT_LIBRARY_VERSION};
    uint8_t encoded[SF_IMAGE_RECORD_SIZE];
    sf_updater_record_encode(&expected, encoded);
    assert_memory_equal(bytes, encoded, SF_IMAGE_RECORD_SIZE - 4);
}

static void every_kind_comes_back_and_has_a_name(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < SF_BEHAVIOUR_COUNT; kind++) {
        const struct sf_behaviour behaviour = {(uint8_t)kind, 0x01020304 * kind};
        struct sf_behaviour again;
        uint8_t bytes[SF_BEHAVIOUR_SIZE];
        sf_behaviour_encode(&behaviour, bytes);
        assert_int_equal(sf_behaviour_decode(bytes, &again, NULL), SF_OK);
        assert_int_equal(again.kind, kind);
        assert_int_equal(again.parameter, behaviour.parameter);
        assert_int_equal(sf_behaviour_from_name(sf_behaviour_name(kind)), kind);
    }
    assert_string_equal(sf_behaviour_name(SF_BEHAVIOUR_COUNT), "unknown");
    assert_int_equal(sf_behaviour_from_name("unknown"), -1);
    assert_int_equal(SUREFOOT_SILENT, SF_BEHAVIOUR_SILENT);
    assert_int_equal(SUREFOOT_DECAYS, SF_BEHAVIOUR_DECAYS);
    assert_int_equal(SUREFOOT_CRASH_EARLY, SF_BEHAVIOUR_CRASH_EARLY);
}

static void a_flip_of_a_bit_is_refused_or_encodes_back(void **state)
{
    (void)state;
    const struct sf_behaviour behaviour = {SF_BEHAVIOUR_HANG, 5};
    uint8_t bytes[SF_BEHAVIOUR_SIZE];
    sf_behaviour_encode(&behaviour, bytes);
    for (unsigned bit = 0; bit < 8 * SF_BEHAVIOUR_SIZE; bit++) {
        struct sf_behaviour found;
        struct sf_diag diag = {99, NULL};
        uint8_t again[SF_BEHAVIOUR_SIZE];
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        const int err = sf_behaviour_decode(bytes, &found, &diag);
        if (err == SF_OK) {
            sf_behaviour_encode(&found, again);
            assert_memory_equal(again, bytes, sizeof(bytes));
        } else {
            assert_int_equal(err, bit < 32   ? SF_ERR_NOTFOUND
                                  : bit < 40 ? SF_ERR_RANGE
                                             : SF_ERR_FORMAT);
            assert_int_equal(diag.offset, bit < 32 ? 0 : bit / 8);
            assert_int_equal(found.kind, SF_BEHAVIOUR_HEALTHY);
        }
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

static void an_image_without_the_record_is_healthy(void **state)
{
    (void)state;
    uint8_t head[SF_IMAGE_HEAD_SIZE] = {0};
    struct sf_diag diag = {0, NULL};
    struct sf_behaviour behaviour = {SF_BEHAVIOUR_HANG, 1};
    assert_int_equal(sf_behaviour_find(head, sizeof(head), &behaviour, &diag), SF_OK);
    assert_int_equal(behaviour.kind, SF_BEHAVIOUR_HEALTHY);
    const struct sf_behaviour silent = {SF_BEHAVIOUR_SILENT, 0};
    sf_behaviour_encode(&silent, head + SF_BEHAVIOUR_OFFSET);
    assert_int_equal(sf_behaviour_find(head, sizeof(head), &behaviour, &diag), SF_OK);
    assert_int_equal(behaviour.kind, SF_BEHAVIOUR_SILENT);
    assert_int_equal(sf_behaviour_find(head, 0x16f, &behaviour, &diag), SF_OK);
    assert_int_equal(behaviour.kind, SF_BEHAVIOUR_HEALTHY);
    head[SF_BEHAVIOUR_OFFSET + 4] = SF_BEHAVIOUR_COUNT;
    assert_int_equal(sf_behaviour_find(head, sizeof(head), &behaviour, &diag), SF_ERR_RANGE);
    assert_int_equal(diag.offset, SF_BEHAVIOUR_OFFSET + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_firmware_headers_lay_down_decodes),
        cmocka_unit_test(every_kind_comes_back_and_has_a_name),
        cmocka_unit_test(a_flip_of_a_bit_is_refused_or_encodes_back),
        cmocka_unit_test(an_image_without_the_record_is_healthy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
