/* Misspelt words, and how long a token is still good. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/nearest.h"
#include "cli/token_state.h"

static void a_distance_counts_letters_that_differ(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        unsigned distance;
    } rows[] = {{"", "", 0},
                {"", "abc", 3},
                {"abc", "", 3},
                {"lamp", "lamp", 0},
                {"lmap", "lamp", 1},
                {"lam", "lamp", 1},
                {"lammp", "lamp", 1},
                {"camp", "lamp", 1},
                {"kitten", "sitting", 3},
                {"device", "devcie", 1},
                {"target", "tagret", 1}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(nearest_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(nearest_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
}

static void words_longer_than_the_table_are_near_nothing(void **state)
{
    (void)state;
    char word[NEAREST_WORD_MAX + 2];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_int_equal(nearest_distance(word, "a"), NEAREST_WORD_MAX + 1);
    assert_int_equal(nearest_distance(word, word), 0);
    word[NEAREST_WORD_MAX] = '\0';
    assert_int_equal(nearest_distance(word, "a"), NEAREST_WORD_MAX - 1);
}

static const char *nearest_of(const char *wanted)
{
    static const char *const words[] = {"key", "image", "flash", "product", "release", "device"};
    struct nearest n = nearest_to(wanted);
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        nearest_offer(&n, words[i]);
    }
    return n.word;
}

static void only_a_word_that_is_near_is_proposed(void **state)
{
    (void)state;
    assert_string_equal(nearest_of("devcie"), "device");
    assert_string_equal(nearest_of("realese"), "release");
    assert_string_equal(nearest_of("prod"), "product");
    assert_string_equal(nearest_of("kye"), "key");
    assert_null(nearest_of("frobnicate"));
    assert_null(nearest_of("x"));
    assert_null(nearest_of(""));
}

static void expect_state(json_t *token, const char *text, int ends_soon)
{
    const struct token_state s = token_state(token, 1000000);
    assert_string_equal(s.text, text);
    assert_int_equal(s.ends_soon, ends_soon);
    json_decref(token);
}

static void a_token_is_valid_ends_soon_or_is_over(void **state)
{
    (void)state;
    enum { NOW = 1000000, DAY = 86400 };
    expect_state(json_pack("{s:n, s:n}", "expires", "revoked"), "valid", 0);
    expect_state(json_pack("{s:i, s:n}", "expires", NOW + TOKEN_SOON_S, "revoked"), "valid", 0);
    expect_state(json_pack("{s:i}", "expires", NOW + TOKEN_SOON_S - 1), "expires in 14 days", 1);
    expect_state(json_pack("{s:i}", "expires", NOW + 3 * DAY), "expires in 3 days", 1);
    expect_state(json_pack("{s:i}", "expires", NOW + 2 * DAY), "expires in 48 h", 1);
    expect_state(json_pack("{s:i}", "expires", NOW + 1), "expires in 1 h", 1);
    expect_state(json_pack("{s:i}", "expires", NOW), "expired", 0);
    expect_state(json_pack("{s:i, s:i}", "expires", NOW + DAY, "revoked", 5), "revoked", 0);
    expect_state(json_object(), "valid", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_distance_counts_letters_that_differ),
        cmocka_unit_test(words_longer_than_the_table_are_near_nothing),
        cmocka_unit_test(only_a_word_that_is_near_is_proposed),
        cmocka_unit_test(a_token_is_valid_ends_soon_or_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
