#include "formats/crc32.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void agrees_with_the_check_value_of_the_catalogue(void **state)
{
    (void)state;
    assert_int_equal(sf_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(sf_crc32(0, NULL, 0), 0);
}

static void agrees_with_the_crcs_esp_idf_writes_into_otadata(void **state)
{
    (void)state;
    static const uint32_t expected[] = {0x4743989a, 0x55f63774, 0xed4a5011, 0x709d68a8, 0xc8210fcd};
    for (uint8_t seq = 1; seq <= 5; seq++) {
        const uint8_t bytes[4] = {seq, 0, 0, 0};
        assert_int_equal(sf_crc32(UINT32_MAX, bytes, 4), expected[seq - 1]);
    }
}

static void goes_on_where_it_stopped(void **state)
{
    (void)state;
    static const char text[] = "a partition, an image, a record";
    const size_t len = sizeof(text) - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        const uint32_t first = sf_crc32(0, text, cut);
        assert_int_equal(sf_crc32(first, text + cut, len - cut), sf_crc32(0, text, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_check_value_of_the_catalogue),
        cmocka_unit_test(agrees_with_the_crcs_esp_idf_writes_into_otadata),
        cmocka_unit_test(goes_on_where_it_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
