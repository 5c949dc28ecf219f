/* Hexadecimal text. */
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "formats/err.h"

static void every_byte_goes_to_text_and_back(void **state)
{
    (void)state;
    uint8_t all[256];
    uint8_t back[256];
    char text[513];
    for (unsigned i = 0; i < 256; i++) {
        all[i] = (uint8_t)i;
    }
    hex_encode(all, sizeof(all), text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102", 6);
    assert_string_equal(text + 506, "fdfeff");
    assert_int_equal(hex_decode(text, back, sizeof(back)), SF_OK);
    assert_memory_equal(back, all, sizeof(all));
    assert_int_equal(hex_decode("aBcD", back, 2), SF_OK);
    assert_int_equal(back[1], 0xcd);
}

static void other_lengths_and_digits_are_refused(void **state)
{
    (void)state;
    uint8_t out[4];
    static const char *const text[] = {"", "1", "123", "12345", "123g", "g234", " 123", "0x12"};
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        assert_int_equal(hex_decode(text[i], out, 2), SF_ERR_FORMAT);
    }
    assert_int_equal(hex_decode("", out, 0), SF_OK);
}

static void a_digit_has_its_value(void **state)
{
    (void)state;
    unsigned digits = 0;
    for (int c = 0; c < 256; c++) {
        digits += hex_digit((char)c) >= 0;
    }
    assert_int_equal(digits, 22);
    assert_int_equal(hex_digit('F'), 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_goes_to_text_and_back),
        cmocka_unit_test(other_lengths_and_digits_are_refused),
        cmocka_unit_test(a_digit_has_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
