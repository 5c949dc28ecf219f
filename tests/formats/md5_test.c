#include "formats/md5.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

static void agrees_with_the_test_suite_of_rfc_1321(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *digest;
    } suite[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
    };
    for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++) {
        uint8_t digest[SF_MD5_SIZE];
        char hex[2 * SF_MD5_SIZE + 1];
        sf_md5(suite[i].text, strlen(suite[i].text), digest);
        for (size_t k = 0; k < SF_MD5_SIZE; k++) {
            (void)snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        }
        assert_string_equal(hex, suite[i].digest);
    }
}

static void agrees_with_openssl_at_every_length_a_table_can_have(void **state)
{
    (void)state;
    static uint8_t data[0xc00];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 37 + i / 256);
    }
    for (size_t len = 0; len <= sizeof(data); len += len < 200 ? 1 : 32) {
        uint8_t ours[SF_MD5_SIZE];
        uint8_t theirs[EVP_MAX_MD_SIZE];
        sf_md5(data, len, ours);
        assert_int_equal(EVP_Digest(data, len, theirs, NULL, EVP_md5(), NULL), 1);
        assert_memory_equal(ours, theirs, sizeof(ours));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_test_suite_of_rfc_1321),
        cmocka_unit_test(agrees_with_openssl_at_every_length_a_table_can_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
