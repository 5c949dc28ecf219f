#include "server/protocols/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 4648 section 10 */
static const struct {
    const char *plain;
    const char *coded;
} vectors[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"}};

static void codes_base64_as_rfc_4648_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char coded[16];
        uint8_t plain[16];
        size_t len = strlen(vectors[i].plain);
        text_base64((const uint8_t *)vectors[i].plain, len, coded);
        assert_string_equal(coded, vectors[i].coded);
        assert_int_equal(text_base64_size(len), strlen(coded) + 1);
        assert_int_equal(text_unbase64(coded, strlen(coded), plain, sizeof(plain)), len);
        assert_memory_equal(plain, vectors[i].plain, len);
    }
}

static void refuses_base64_that_is_not_the_one_way_to_write_it(void **state)
{
    (void)state;
    static const char *const bad[] = {"Zg",     "Zg=",  "Zh==", "Zm9=", "Z===",     "====",
                                      "Zm9v\n", "Zm 9", "Zm9-", "=g==", "Zg==Zg==", "Zm8=Zm8="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t out[16];
        if (text_unbase64(bad[i], strlen(bad[i]), out, sizeof(out)) != -1) {
            fail_msg("'%s' was taken", bad[i]);
        }
    }
    uint8_t small[2];
    assert_int_equal(text_unbase64("Zm9v", 4, small, sizeof(small)), -1);
}

static void knows_names_that_fit_into_paths(void **state)
{
    (void)state;
    assert_int_equal(text_is_name("lamp-2.0_x", 16), 1);
    static const char *const bad[] = {
        "", "-a", ".a", "_a", "A", "a b", "a/b", "ä", "aaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(text_is_name(bad[i], 16), 0);
    }
}

static void finds_the_secret_of_a_bearer_header(void **state)
{
    (void)state;
    assert_string_equal(text_bearer("Bearer abc"), "abc");
    assert_string_equal(text_bearer("bEARER  abc"), "abc");
    assert_null(text_bearer(NULL));
    assert_null(text_bearer("Bearer"));
    assert_null(text_bearer("Bearer "));
    assert_null(text_bearer("Basic abc"));
    assert_null(text_bearer("Bearerabc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_base64_as_rfc_4648_says),
        cmocka_unit_test(refuses_base64_that_is_not_the_one_way_to_write_it),
        cmocka_unit_test(knows_names_that_fit_into_paths),
        cmocka_unit_test(finds_the_secret_of_a_bearer_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
