/* Basic authentication as esp_http_client and HTTPClient write it, and as nobody should. */
#include "server/protocols/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_user_and_a_password_are_told_apart_at_the_first_colon(void **state)
{
    (void)state;
    struct plain_basic b;
    assert_int_equal(plain_basic_decode("Basic dXNlcjpwYTpzcw==", &b), 0); /* user:pa:ss */
    assert_string_equal(b.user, "user");
    assert_string_equal(b.password, "pa:ss");
    assert_int_equal(plain_basic_decode("basic   Og==", &b), 0); /* : */
    assert_string_equal(b.user, "");
    assert_string_equal(b.password, "");
}

static void what_is_no_basic_authentication_is_refused(void **state)
{
    (void)state;
    struct plain_basic b;
    char text[512] = "Basic ";
    static const char *const bad[] = {"",
                                      "Basic",
                                      "Basic ",
                                      "Bearer dXNlcjpwYXNz",
                                      "Basic dXNlcg==" /* no colon */,
                                      "Basic dXNlcjpwYXNz=",
                                      "Basic !!!!",
                                      "Basic dXNlcjoAcGFzcw==" /* a NUL */,
                                      "Basic dXNlcjpwYXNz extra"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(plain_basic_decode(bad[i], &b), -1);
    }
    assert_int_equal(plain_basic_decode(NULL, &b), -1);
    memset(text + 6, 'A', 400); /* longer than there is room for */
    text[406] = '\0';
    assert_int_equal(plain_basic_decode(text, &b), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_and_a_password_are_told_apart_at_the_first_colon),
        cmocka_unit_test(what_is_no_basic_authentication_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
