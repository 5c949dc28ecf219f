/* Images of the ESP8266, built here as Arduino's elf2bin.py lays them out. */
#include "base/esp8266.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/esp8266_image.h"

enum { APP = 4096, APP_SEGMENT = 1000 };

static uint8_t image[16384];
static size_t image_len;

static int good_image(void **state)
{
    (void)state;
    memset(image, 0, sizeof image);
    image_len = esp8266_image_build(APP_SEGMENT, image, sizeof image);
    return 0;
}

static int check(size_t len)
{
    struct sf_diag diag = {0};
    return esp8266_image_check(image, len, &diag);
}

static void a_whole_image_is_taken_with_or_without_a_signature(void **state)
{
    (void)state;
    assert_int_equal(check(image_len), SF_OK);
    assert_int_equal(check(image_len + 260), SF_OK);
    assert_int_equal(check(image_len + 4097), SF_ERR_TRAILING);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < image_len; len++) {
        uint8_t *copy = malloc(len + 1); /* so that a read behind it is seen */
        struct sf_diag diag = {0};
        memcpy(copy, image, len);
        uint8_t *exact = realloc(copy, len > 0 ? len : 1);
        assert_non_null(exact);
        assert_true(esp8266_image_check(exact, len, &diag) < 0);
        free(exact);
    }
}

/* What the checksums cover: the segments' bytes. */
static void a_flipped_bit_in_a_segment_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < APP_SEGMENT; i += 13) {
        image[APP + 16 + i] ^= 0x10;
        assert_int_equal(check(image_len), SF_ERR_CHECKSUM);
        image[APP + 16 + i] ^= 0x10;
    }
    image[20] ^= 1;
    assert_int_equal(check(image_len), SF_ERR_CHECKSUM);
}

static void what_is_no_such_image_is_told(void **state)
{
    (void)state;
    image[APP] = 0xe8;
    assert_int_equal(check(image_len), SF_ERR_MAGIC);
    (void)good_image(state);
    image[1] = 17;
    assert_int_equal(check(image_len), SF_ERR_SEGMENTS);
    (void)good_image(state);
    memset(image + 12, 0xff, 4); /* a segment of 4 GiB */
    assert_int_equal(check(image_len), SF_ERR_TRUNCATED);
}

static void its_name_is_one_of_a_chip(void **state)
{
    (void)state;
    assert_string_equal(chip_any_name(ESP8266_CHIP), "esp8266");
    assert_string_equal(chip_any_name(5), "esp32c3");
    assert_null(chip_any_name(0x1ffff));
    assert_int_equal(chip_any_from_name("esp8266"), ESP8266_CHIP);
    assert_int_equal(chip_any_from_name("esp32c3"), 5);
    assert_int_equal(chip_any_from_name("esp9"), -1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, good_image)
    const struct CMUnitTest tests[] = {
        T(a_whole_image_is_taken_with_or_without_a_signature),
        T(every_truncation_is_refused),
        T(a_flipped_bit_in_a_segment_is_found),
        T(what_is_no_such_image_is_told),
        T(its_name_is_one_of_a_chip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
