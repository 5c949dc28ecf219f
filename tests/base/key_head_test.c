/* The lines above the PEM of a key file. */
#include "base/key_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/err.h"

static struct key_head decode(const char *text)
{
    struct key_head head;
    key_head_decode(text, strlen(text), &head);
    return head;
}

static void what_is_encoded_decodes(void **state)
{
    (void)state;
    struct sf_public_key key = {{0}, {0}};
    char text[KEY_HEAD_MAX];
    for (unsigned role = 0; role <= KEY_ROLE_NONE; role++) {
        const int n = key_head_encode((enum key_role)role, &key, "pkcs11:object=a", text);
        assert_true(n > 0 && (size_t)n == strlen(text));
        const struct key_head head = decode(text);
        assert_int_equal(head.role, role);
        assert_int_equal(head.is_unknown, 0);
        assert_string_equal(head.token, "pkcs11:object=a");
    }
    char token[KEY_HEAD_MAX + 1];
    memset(token, 'x', sizeof(token));
    token[KEY_HEAD_MAX] = '\0';
    assert_int_equal(key_head_encode(KEY_ROLE_ROOT, &key, token, text), SF_ERR_NOSPC);
}

static void only_lines_above_the_pem_count(void **state)
{
    (void)state;
    assert_int_equal(decode("").role, KEY_ROLE_NONE);
    assert_int_equal(decode("role root").role, KEY_ROLE_ROOT);
    assert_int_equal(decode("role   status \r\n-----BEGIN X").role, KEY_ROLE_STATUS);
    assert_int_equal(decode("-----BEGIN X\nrole root\n").role, KEY_ROLE_NONE);
    assert_int_equal(decode("roles root\n role root\nrole\nroleroot\n").role, KEY_ROLE_NONE);
    assert_int_equal(decode("a: b\nrole delta\nrole delta\n").is_unknown, 0);
}

static void a_role_that_is_not_known_is_told(void **state)
{
    (void)state;
    assert_int_equal(decode("role none\n").is_unknown, 1);
    assert_int_equal(decode("role rooter\n").is_unknown, 1);
    assert_int_equal(decode("role root-of-all-that-there-is\n").is_unknown, 1);
    assert_int_equal(decode("role root\nrole status\n").is_unknown, 1);
    enum key_role role = KEY_ROLE_NONE;
    assert_int_equal(key_role_parse("none", &role), SF_ERR_RANGE);
    assert_int_equal(key_role_parse("delta", &role), SF_OK);
    assert_int_equal(role, KEY_ROLE_DELTA);
}

static void a_token_that_is_too_long_is_left_out(void **state)
{
    (void)state;
    char text[KEY_TOKEN_MAX + 16] = "token ";
    memset(text + 6, 'a', KEY_TOKEN_MAX);
    assert_int_equal(strlen(decode(text).token), KEY_TOKEN_MAX);
    text[6 + KEY_TOKEN_MAX] = 'a';
    assert_string_equal(decode(text).token, "");
    struct key_head head;
    assert_int_equal(key_head_read("/nowhere/key.pem", &head), SF_ERR_NOTFOUND);
    assert_int_equal(key_head_read("/", &head), SF_ERR_IO);
    assert_int_equal(head.role, KEY_ROLE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_decodes),
        cmocka_unit_test(only_lines_above_the_pem_count),
        cmocka_unit_test(a_role_that_is_not_known_is_told),
        cmocka_unit_test(a_token_that_is_too_long_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
