#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 64 * 1024 };

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, LIMIT);
    unsigned char *piece[200];
    for (size_t i = 0; i < 200; i++) {
        piece[i] = arena_alloc(&a, i + 1);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        for (size_t k = 0; k <= i; k++) {
            assert_int_equal(piece[i][k], 0);
        }
        memset(piece[i], (int)i, i + 1);
    }
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(piece[i][0], i);
        assert_int_equal(piece[i][i], i);
    }
    arena_release(&a);
    assert_int_equal(a.used, 0);
}

static void the_limit_holds_and_less_still_fits(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, LIMIT);
    assert_non_null(arena_alloc(&a, LIMIT - 32));
    assert_null(arena_alloc(&a, 33));
    assert_non_null(arena_alloc(&a, 32));
    assert_null(arena_alloc(&a, 1));
    assert_int_equal(a.used, LIMIT);
    arena_release(&a);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    assert_non_null(arena_alloc(&a, 0));
    arena_release(&a);
}

static void texts_are_copied_and_formatted(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, LIMIT);
    char text[] = "lamp";
    char *copy = arena_strdup(&a, text);
    text[0] = 'd';
    assert_string_equal(copy, "lamp");
    assert_string_equal(arena_strndup(&a, "lampion", 4), "lamp");
    assert_string_equal(arena_strndup(&a, "la", 4), "la");
    assert_string_equal(arena_printf(&a, "%s-%d", copy, 7), "lamp-7");
    assert_memory_equal(arena_memdup(&a, "a\0b", 3), "a\0b", 3);
    char *longer = arena_printf(&a, "%05000d", 1);
    assert_int_equal(strlen(longer), 5000);
    assert_null(arena_printf(&a, "%070000d", 1));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(the_limit_holds_and_less_still_fits),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(texts_are_copied_and_formatted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
