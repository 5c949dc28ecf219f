#include "base/exchange.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct exchange x; /* first: finish() gets it back */
    struct arena arena;
    int finished;
};

static void note_finish(struct exchange *x)
{
    ((struct fixture *)x)->finished++;
}

static const struct exchange_ops ops = {.finish = note_finish};

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    arena_init(&f->arena, 65536);
    f->x.arena = &f->arena;
    f->x.ops = &ops;
}

static json_t *error_of(struct fixture *f)
{
    json_t *root = json_loadb(f->x.answer.body, f->x.answer.body_len, 0, NULL);
    assert_non_null(root);
    return root;
}

static void lookups_find_by_name_or_give_null(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.x.param[0] = (struct pair){"id", "7"};
    f.x.param_count = 1;
    f.x.query[0] = (struct pair){"limit", "50"};
    f.x.query_count = 1;
    f.x.header[0] = (struct pair){"range", "bytes=0-"};
    f.x.header_count = 1;
    assert_string_equal(exchange_param(&f.x, "id"), "7");
    assert_null(exchange_param(&f.x, "limit"));
    assert_string_equal(exchange_query(&f.x, "limit"), "50");
    assert_string_equal(exchange_header(&f.x, "range"), "bytes=0-");
    assert_null(exchange_header(&f.x, "accept"));
    arena_release(&f.arena);
}

static void a_failure_is_json_with_code_and_sentence(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    exchange_fail(&f.x, 409, "exists", "product '%s' exists; \"quotes\" survive", "la\nmp");
    assert_int_equal(f.finished, 1);
    assert_int_equal(f.x.answer.status, 409);
    assert_string_equal(f.x.answer.content_type, "application/json");
    json_t *root = error_of(&f);
    const char *code;
    const char *message;
    assert_int_equal(
        json_unpack(root, "{s:{s:s,s:s}}", "error", "code", &code, "message", &message), 0);
    assert_string_equal(code, "exists");
    assert_string_equal(message, "product 'la\nmp' exists; \"quotes\" survive");
    json_decref(root);
    arena_release(&f.arena);
}

static void bytes_that_are_no_utf8_still_make_json(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    exchange_fail(&f.x, 400, "bad", "name '%s'", "a\xff");
    json_t *root = error_of(&f);
    const char *message;
    assert_int_equal(json_unpack(root, "{s:{s:s}}", "error", "message", &message), 0);
    assert_string_equal(message, "name 'a?'");
    json_decref(root);
    arena_release(&f.arena);
}

static void without_memory_a_failure_is_503(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    arena_release(&f.arena);
    arena_init(&f.arena, 16);
    exchange_fail(&f.x, 400, "bad", "%s", "a sentence that is longer than sixteen bytes");
    assert_int_equal(f.finished, 1);
    assert_int_equal(f.x.answer.status, 503);
    json_decref(error_of(&f));
    arena_release(&f.arena);
}

static void header_values_can_not_split_the_answer(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    answer_header(&f.x, "X-A", "good");
    answer_header(&f.x, "X-B", "bad\r\nSet-Cookie: x=1");
    answer_header(&f.x, "X-C\n", "bad");
    assert_int_equal(f.x.answer.header_count, 1);
    for (int i = 0; i < 2 * ANSWER_HEADER_MAX; i++) {
        answer_header(&f.x, "X-D", "1");
    }
    assert_int_equal(f.x.answer.header_count, ANSWER_HEADER_MAX);
    arena_release(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookups_find_by_name_or_give_null),
        cmocka_unit_test(a_failure_is_json_with_code_and_sentence),
        cmocka_unit_test(bytes_that_are_no_utf8_still_make_json),
        cmocka_unit_test(without_memory_a_failure_is_503),
        cmocka_unit_test(header_values_can_not_split_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
