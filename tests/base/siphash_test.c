/* The test vector of the paper (appendix A), and what a table needs. */
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void gives_what_the_paper_says(void **state)
{
    (void)state;
    uint8_t key[SIPHASH_KEY_SIZE];
    uint8_t message[15];
    for (size_t i = 0; i < SIPHASH_KEY_SIZE; i++) {
        key[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (uint8_t)i;
    }
    assert_true(siphash(key, message, sizeof(message)) == UINT64_C(0xa129ca6149be45e5));
}

static void key_length_and_every_byte_count(void **state)
{
    (void)state;
    uint8_t key[SIPHASH_KEY_SIZE] = {0};
    uint8_t message[17] = {0};
    const uint64_t before = siphash(key, message, sizeof(message));
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = 1;
        assert_true(siphash(key, message, sizeof(message)) != before);
        message[i] = 0;
        assert_true(siphash(key, message, i) != before);
    }
    key[15] = 1;
    assert_true(siphash(key, message, sizeof(message)) != before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_the_paper_says),
        cmocka_unit_test(key_length_and_every_byte_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
