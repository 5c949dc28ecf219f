#include "formats/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/esp_image.h"
#include "tests/support/sbv2_sign.h"
#include "tests/support/sha256_crypto.h"

enum { SIZE = 2048, BEHIND = 12288 };

static uint8_t image[SIZE];
static uint8_t changed[BEHIND];

static int setup(void **state)
{
    (void)state;
    const struct esp_image_spec spec = {
        .version = "1.2.3", .project_name = "lamp", .secure_version = 4, .size = SIZE};
    return esp_image_build(&spec, image, sizeof(image)) == SIZE ? 0 : -1;
}

/* Feeds `len` bytes in one piece. Returns the result of end. */
static int parse(struct sf_image_parser *p, const uint8_t *data, size_t len, struct sf_diag *diag)
{
    *diag = (struct sf_diag){.why = NULL};
    assert_int_equal(sf_image_start(p, sha256_crypto()), SF_OK);
    const int fed = sf_image_feed(p, data, len, diag);
    const int err = sf_image_end(p, diag);
    assert_true(fed == SF_OK || fed == err);
    assert_true(err == SF_OK || (diag->why != NULL && diag->offset <= len));
    return err;
}

static void tells_all_that_a_good_image_says_of_itself(void **state)
{
    (void)state;
    static const uint8_t class_uuid[SF_UUID_SIZE] = {0x5a, 0x11};
    struct sf_image_parser p;
    struct sf_diag diag;
    assert_int_equal(parse(&p, image, SIZE, &diag), SF_OK);
    assert_true(p.complete);
    assert_int_equal(p.length, SIZE);
    assert_int_equal(p.trailing, 0);
    assert_memory_equal(p.appended, image + SIZE - 32, 32);
    assert_int_equal(p.head.header.segment_count, 4);
    assert_int_equal(p.head.header.spi_mode, 2);
    assert_int_equal(p.head.header.spi_speed, 0xf);
    assert_int_equal(p.head.header.spi_size, 2);
    assert_int_equal(p.head.header.entry_addr, 0x40380000);
    assert_int_equal(p.head.header.chip_id, SF_CHIP_ESP32C3);
    assert_int_equal(p.head.header.min_chip_rev_full, 3);
    assert_int_equal(p.head.header.max_chip_rev_full, 99);
    assert_true(p.head.has_desc);
    assert_int_equal(p.head.desc.secure_version, 4);
    assert_string_equal(p.head.desc.version, "1.2.3");
    assert_string_equal(p.head.desc.project_name, "lamp");
    assert_string_equal(p.head.desc.time, "12:00:00");
    assert_string_equal(p.head.desc.date, "Jul  1 2026");
    assert_string_equal(p.head.desc.idf_ver, "v5.1");
    assert_int_equal(p.head.desc.app_elf_sha256[31], 0xa5);
    assert_int_equal(p.head.desc.mmu_page_size_log2, 16);
    assert_true(p.head.has_record);
    assert_int_equal(p.head.record.protocol_version, 1);
    assert_int_equal(p.head.record.library_version, 0x000100);
    assert_memory_equal(p.head.record.class_uuid, class_uuid, SF_UUID_SIZE);
    assert_int_equal(p.segment[0].load_addr, 0x3c000020);
    assert_int_equal(p.segment[0].data_offset, 0x20);
    assert_int_equal(p.segment[1].load_addr, 0x3fc90000);
    assert_int_equal(p.segment[3].data_offset + p.segment[3].data_len, SIZE - 32 - 4);
}

static void three_hundred_eighty_four_bytes_tell_the_head(void **state)
{
    (void)state;
    struct sf_image_head head;
    struct sf_image_parser p;
    struct sf_diag diag;
    assert_int_equal(sf_image_head_decode(image, SF_IMAGE_HEAD_SIZE, &head, &diag), SF_OK);
    assert_int_equal(parse(&p, image, SIZE, &diag), SF_OK);
    assert_memory_equal(&head, &p.head, sizeof(head));
    assert_int_equal(sf_image_head_decode(image, 23, &head, &diag), SF_ERR_TRUNCATED);
    assert_int_equal(diag.offset, 23);
    assert_int_equal(sf_image_head_decode(image, 0x15f, &head, &diag), SF_OK);
    assert_false(head.has_record);
    assert_int_equal(sf_image_head_decode(image, 0x160, &head, &diag), SF_OK);
    assert_true(head.has_record);
    assert_int_equal(head.record_err, SF_OK);
    assert_int_equal(sf_image_head_decode(image, 0x120, &head, &diag), SF_OK);
    assert_true(head.has_desc && !head.has_record);
    assert_int_equal(head.record_err, SF_ERR_NO_RECORD);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < SIZE; len++) {
        struct sf_image_parser p;
        struct sf_diag diag;
        assert_int_equal(parse(&p, image, len, &diag), SF_ERR_TRUNCATED);
        assert_int_equal(diag.offset, len);
    }
}

static void every_flip_of_a_bit_is_refused(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < (size_t)SIZE * 8; bit++) {
        struct sf_image_parser p;
        struct sf_diag diag;
        uint32_t length = 0;
        image[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        int err = parse(&p, image, SIZE, &diag);
        if (err == SF_OK) {
            /* Without its hash flag the image ends 32 bytes earlier: the bootloader takes it. */
            assert_int_equal(bit, 23 * 8);
            err = sf_image_file_length(&p, &length, &diag);
            assert_int_equal(diag.offset, SIZE - 32);
        }
        image[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_true(err < 0);
        assert_non_null(diag.why);
    }
}

static void pieces_of_any_size_give_the_same(void **state)
{
    (void)state;
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    uint32_t random = seed | 1U;
    struct sf_image_parser whole;
    struct sf_diag diag;
    memcpy(changed, image, SIZE);
    memset(changed + SIZE, 0xe7, sizeof(changed) - SIZE);
    assert_int_equal(parse(&whole, changed, sizeof(changed), &diag), SF_OK);
    for (unsigned round = 0; round < 300; round++) {
        struct sf_image_parser p;
        assert_int_equal(sf_image_start(&p, sha256_crypto()), SF_OK);
        for (size_t at = 0; at < sizeof(changed);) {
            random = random * 1664525U + 1013904223U;
            size_t n = round == 0 ? 1 : 1 + (random >> 16) % (1U << (1 + round % 12));
            n = n < sizeof(changed) - at ? n : sizeof(changed) - at;
            assert_int_equal(sf_image_feed(&p, changed + at, n, &diag), SF_OK);
            at += n;
        }
        assert_int_equal(sf_image_end(&p, &diag), SF_OK);
        assert_memory_equal(&p.head, &whole.head, sizeof(p.head));
        assert_memory_equal(p.segment, whole.segment, sizeof(p.segment));
        assert_memory_equal(p.appended, whole.appended, sizeof(p.appended));
        assert_int_equal(p.length, whole.length);
        assert_int_equal(p.trailing, whole.trailing);
        assert_int_equal(p.sector_magic, whole.sector_magic);
    }
}

static void says_which_byte_is_wrong(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        int err;
        size_t offset;
    } cases[] = {
        {0, 0xe8, SF_ERR_MAGIC, 0},
        {1, 0, SF_ERR_SEGMENTS, 1},
        {1, 17, SF_ERR_SEGMENTS, 1},
        {12, 1, SF_ERR_CHIP_UNKNOWN, 12},
        {28, 2, SF_ERR_SEGMENTS, 28},
        {31, 1, SF_ERR_RANGE, 32},
        {0x190, 0x00, SF_ERR_CHECKSUM, SIZE - 33},
        {SIZE - 33, 0, SF_ERR_CHECKSUM, SIZE - 33},
        {SIZE - 1, 0, SF_ERR_HASH, SIZE - 32},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sf_image_parser p;
        struct sf_diag diag;
        memcpy(changed, image, SIZE);
        assert_int_not_equal(changed[cases[i].at], cases[i].value);
        changed[cases[i].at] = cases[i].value;
        assert_int_equal(parse(&p, changed, SIZE, &diag), cases[i].err);
        assert_int_equal(diag.offset, cases[i].offset);
        assert_int_equal(sf_image_feed(&p, image, SIZE, NULL), cases[i].err); /* it sticks */
    }
}

static void the_head_is_known_after_its_header_and_until_an_error(void **state)
{
    (void)state;
    struct sf_image_parser p;
    assert_int_equal(sf_image_start(&p, sha256_crypto()), SF_OK);
    assert_int_equal(sf_image_feed(&p, image, 23, NULL), SF_OK);
    assert_false(sf_image_head_known(&p));
    assert_int_equal(sf_image_feed(&p, image + 23, 1, NULL), SF_OK);
    assert_true(sf_image_head_known(&p));
    assert_int_equal(p.head.header.chip_id, SF_CHIP_ESP32C3);
    assert_int_equal(sf_image_end(&p, NULL), SF_ERR_TRUNCATED);
    assert_false(sf_image_head_known(&p));
    uint32_t length = 0;
    struct sf_diag diag;
    assert_int_equal(sf_image_file_length(&p, &length, &diag), SF_ERR_TRUNCATED);
}

static void sixteen_segments_are_not_too_many(void **state)
{
    (void)state;
    struct sf_image_head head;
    memcpy(changed, image, SIZE);
    changed[1] = SF_IMAGE_SEGMENT_MAX;
    assert_int_equal(sf_image_head_decode(changed, SIZE, &head, NULL), SF_OK);
}

static void a_limit_refuses_an_image_as_soon_as_it_shows(void **state)
{
    (void)state;
    struct sf_image_parser p;
    struct sf_diag diag;
    assert_int_equal(sf_image_start(&p, sha256_crypto()), SF_OK);
    p.limit = SIZE - 1;
    assert_int_equal(sf_image_feed(&p, image, SIZE, &diag), SF_ERR_NOSPC);
    assert_int_equal(diag.offset, SIZE - 32); /* the hash does not fit */
    assert_int_equal(sf_image_end(&p, NULL), SF_ERR_NOSPC);
    assert_int_equal(sf_image_start(&p, sha256_crypto()), SF_OK);
    p.limit = SIZE;
    assert_int_equal(sf_image_feed(&p, image, SIZE, &diag), SF_OK);
    assert_int_equal(sf_image_end(&p, NULL), SF_OK);
}

static void without_crypto_only_the_hash_goes_unchecked(void **state)
{
    (void)state;
    struct sf_image_parser p;
    memcpy(changed, image, SIZE);
    changed[SIZE - 1] ^= 1;
    assert_int_equal(sf_image_start(&p, NULL), SF_OK);
    assert_int_equal(sf_image_feed(&p, changed, SIZE, NULL), SF_OK);
    assert_int_equal(sf_image_end(&p, NULL), SF_OK);
    assert_int_equal(p.length, SIZE);
}

static int file_length(const uint8_t *data, size_t len, uint32_t *length)
{
    struct sf_image_parser p;
    struct sf_diag diag;
    assert_int_equal(parse(&p, data, len, &diag), SF_OK);
    return sf_image_file_length(&p, length, &diag);
}

static void a_file_ends_with_its_hash_or_with_a_signature_sector(void **state)
{
    (void)state;
    uint32_t length = 0;
    memcpy(changed, image, SIZE);
    memset(changed + SIZE, 0xff, sizeof(changed) - SIZE);
    changed[4096] = 0xe7;
    sbv2_reseal(changed + 4096);
    assert_int_equal(file_length(changed, SIZE, &length), SF_OK);
    assert_int_equal(length, SIZE);
    assert_int_equal(file_length(changed, 8192, &length), SF_OK);
    assert_int_equal(length, 8192);
    assert_int_equal(file_length(changed, 8191, &length), SF_ERR_TRAILING);
    assert_int_equal(file_length(changed, 8193, &length), SF_ERR_TRAILING);
    assert_int_equal(file_length(changed, SIZE + 1, &length), SF_ERR_TRAILING);
    changed[4096 + 1199] ^= 1; /* a damaged block is none */
    assert_int_equal(file_length(changed, 8192, &length), SF_ERR_TRAILING);
    changed[4096 + 1199] ^= 1;
    changed[4096] = 0xff;
    assert_int_equal(file_length(changed, 8192, &length), SF_ERR_TRAILING);
}

/* However the bytes come. */
static void a_signature_sector_is_found_in_any_pieces(void **state)
{
    (void)state;
    memcpy(changed, image, SIZE);
    memset(changed + SIZE, 0xff, sizeof(changed) - SIZE);
    changed[4096] = 0xe7;
    sbv2_reseal(changed + 4096);
    for (size_t piece = 1; piece < 8192; piece = piece * 2 + 1) {
        struct sf_image_parser p;
        uint32_t length = 0;
        assert_int_equal(sf_image_start(&p, sha256_crypto()), SF_OK);
        for (size_t at = 0; at < 8192; at += piece) {
            const size_t n = 8192 - at < piece ? 8192 - at : piece;
            assert_int_equal(sf_image_feed(&p, changed + at, n, NULL), SF_OK);
        }
        assert_int_equal(sf_image_end(&p, NULL), SF_OK);
        assert_int_equal(sf_image_file_length(&p, &length, NULL), SF_OK);
        assert_int_equal(length, 8192);
    }
}

static void an_image_that_ends_at_a_sector_can_carry_a_signature(void **state)
{
    (void)state;
    uint32_t length = 0;
    const struct esp_image_spec spec = {.size = 4096};
    assert_int_equal(esp_image_build(&spec, changed, sizeof(changed)), 4096);
    memset(changed + 4096, 0xff, 4096);
    changed[4096] = 0xe7;
    sbv2_reseal(changed + 4096);
    assert_int_equal(file_length(changed, 8192, &length), SF_OK);
    assert_int_equal(length, 8192);
}

static void a_short_image_has_no_record_in_what_follows_it(void **state)
{
    (void)state;
    /* one segment of 16 bytes: header, segment header, data, padding, hash */
    uint8_t small[SIZE];
    struct sf_image_parser p;
    struct sf_diag diag;
    memcpy(small, image, SIZE);
    small[1] = 1;
    small[23] = 0;
    static const uint8_t segment_header[8] = {0, 0, 0, 0, 16, 0, 0, 0};
    memcpy(small + 24, segment_header, sizeof(segment_header));
    uint8_t sum = 0xef;
    for (size_t i = 32; i < 48; i++) {
        sum ^= small[i];
    }
    small[63] = sum;
    assert_int_equal(parse(&p, small, SIZE, &diag), SF_OK);
    assert_int_equal(p.length, 64);
    assert_false(p.head.has_desc || p.head.has_record);
}

static void a_damaged_record_is_told_but_does_not_stop_the_parser(void **state)
{
    (void)state;
    struct sf_image_parser p;
    struct sf_image_head head;
    struct sf_diag diag;
    memcpy(changed, image, SIZE);
    changed[SF_IMAGE_RECORD_OFFSET + 8] ^= 1;
    esp_image_reseal(changed, SIZE);
    assert_int_equal(parse(&p, changed, SIZE, &diag), SF_OK);
    assert_false(p.head.has_record);
    assert_int_equal(p.head.record_err, SF_ERR_CORRUPT);
    assert_int_equal(sf_image_head_decode(changed, SIZE, &head, &diag), SF_ERR_CORRUPT);
    assert_int_equal(diag.offset, SF_IMAGE_RECORD_OFFSET + 60);
}

static void a_record_comes_back_and_every_flip_of_it_is_refused(void **state)
{
    (void)state;
    const struct sf_updater_record record = {.record_version = 1,
                                             .protocol_version = 7,
                                             .class_uuid = {1, 2, 3},
                                             .library_version = 0x010203,
                                             .flags = 0x80000001};
    uint8_t bytes[SF_IMAGE_RECORD_SIZE];
    struct sf_updater_record again;
    struct sf_diag diag;
    sf_updater_record_encode(&record, bytes);
    static const uint8_t zero[28];
    assert_memory_equal(bytes, "SFUR", 4);
    assert_memory_equal(bytes + 32, zero, sizeof(zero));
    assert_int_equal(sf_updater_record_decode(bytes, &again, &diag), SF_OK);
    assert_memory_equal(&again, &record, sizeof(record));
    for (unsigned bit = 0; bit < 8 * SF_IMAGE_RECORD_SIZE; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        const int err = sf_updater_record_decode(bytes, &again, &diag);
        assert_int_equal(err, bit < 32 ? SF_ERR_NO_RECORD : SF_ERR_CORRUPT);
        assert_int_equal(again.library_version, 0);
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    struct sf_updater_record later = record;
    later.record_version = 2;
    sf_updater_record_encode(&later, bytes);
    assert_int_equal(sf_updater_record_decode(bytes, &again, &diag), SF_ERR_VERSION);
    assert_int_equal(diag.offset, 4);
}

static void chips_have_names(void **state)
{
    (void)state;
    unsigned known = 0;
    for (unsigned id = 0; id <= UINT16_MAX; id++) {
        const char *name = sf_chip_name((uint16_t)id);
        known += name != NULL;
        assert_true(name == NULL || sf_chip_from_name(name) == (int)id);
    }
    assert_int_equal(known, 13);
    assert_string_equal(sf_chip_name(5), "esp32c3");
    assert_int_equal(sf_chip_from_name("esp8266"), -1);
}

/* A port that fails at its n-th call. */
static unsigned calls_left;

static int failing_start(void *ctx, struct sf_sha256 *hash)
{
    return calls_left-- == 0 ? SF_ERR_CRYPTO : sha256_crypto()->sha256_start(ctx, hash);
}

static int failing_feed(void *ctx, struct sf_sha256 *hash, const void *data, size_t len)
{
    return calls_left-- == 0 ? SF_ERR_CRYPTO : sha256_crypto()->sha256_feed(ctx, hash, data, len);
}

static int failing_end(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SHA256_SIZE])
{
    if (calls_left-- == 0) {
        (void)sha256_crypto()->sha256_end(ctx, hash, NULL);
        return SF_ERR_CRYPTO;
    }
    return sha256_crypto()->sha256_end(ctx, hash, digest);
}

static void a_failing_crypto_port_is_told_at_every_call(void **state)
{
    (void)state;
    static const struct sf_crypto failing = {
        .sha256_start = failing_start, .sha256_feed = failing_feed, .sha256_end = failing_end};
    int err = SF_ERR_CRYPTO;
    unsigned n = 0;
    for (; err != SF_OK; n++) {
        struct sf_image_parser p;
        calls_left = n;
        err = sf_image_start(&p, &failing);
        if (err == SF_OK) {
            err = sf_image_feed(&p, image, SIZE, NULL);
            assert_int_equal(sf_image_end(&p, NULL), err);
        }
        assert_true(err == SF_OK || err == SF_ERR_CRYPTO);
    }
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_all_that_a_good_image_says_of_itself),
        cmocka_unit_test(three_hundred_eighty_four_bytes_tell_the_head),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flip_of_a_bit_is_refused),
        cmocka_unit_test(pieces_of_any_size_give_the_same),
        cmocka_unit_test(says_which_byte_is_wrong),
        cmocka_unit_test(the_head_is_known_after_its_header_and_until_an_error),
        cmocka_unit_test(sixteen_segments_are_not_too_many),
        cmocka_unit_test(a_limit_refuses_an_image_as_soon_as_it_shows),
        cmocka_unit_test(without_crypto_only_the_hash_goes_unchecked),
        cmocka_unit_test(a_file_ends_with_its_hash_or_with_a_signature_sector),
        cmocka_unit_test(a_signature_sector_is_found_in_any_pieces),
        cmocka_unit_test(an_image_that_ends_at_a_sector_can_carry_a_signature),
        cmocka_unit_test(a_short_image_has_no_record_in_what_follows_it),
        cmocka_unit_test(a_damaged_record_is_told_but_does_not_stop_the_parser),
        cmocka_unit_test(a_record_comes_back_and_every_flip_of_it_is_refused),
        cmocka_unit_test(chips_have_names),
        cmocka_unit_test(a_failing_crypto_port_is_told_at_every_call),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
