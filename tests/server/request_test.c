/* Requests' JSON: what is read, and the sentence for what is refused. */
#include "server/protocols/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int finished;

static void finish(struct exchange *x)
{
    (void)x;
    finished++;
}

static const struct exchange_ops ops = {.finish = finish};

struct fixture {
    struct arena arena;
    struct exchange x;
    struct request r;
};

static void open_text(struct fixture *f, const char *body)
{
    memset(f, 0, sizeof(*f));
    arena_init(&f->arena, 1 << 20);
    f->x.arena = &f->arena;
    f->x.ops = &ops;
    f->x.answer.file_fd = -1;
    f->x.body = (const uint8_t *)body;
    f->x.body_len = strlen(body);
    finished = 0;
    request_open(&f->r, &f->x);
}

/* The answer's text, after the request was refused once. */
static const char *refusal(struct fixture *f)
{
    assert_int_equal(request_end(&f->r), -1);
    assert_int_equal(finished, 1);
    assert_int_equal(f->x.answer.status, 400);
    return arena_strndup(&f->arena, f->x.answer.body, f->x.answer.body_len);
}

static void reads_every_kind_of_field(void **state)
{
    (void)state;
    struct fixture f;
    open_text(&f,
              "{\"name\":\"lamp\",\"n\":7,\"yes\":true,\"none\":null,\"key\":\"00fF\","
              "\"raw\":\"AQID\",\"list\":[{\"a\":\"x\"},{\"a\":\"y\"}],\"texts\":[\"p\",\"q\"]}");
    uint8_t key[2];
    size_t len = 0;
    assert_string_equal(request_text(&f.r, "name", REQUIRED, 10), "lamp");
    assert_int_equal(request_int(&f.r, "n", 0, 10, 3), 7);
    assert_int_equal(request_int(&f.r, "absent", 0, 10, 3), 3);
    assert_int_equal(request_bool(&f.r, "yes"), 1);
    assert_int_equal(request_null(&f.r, "none"), 1);
    assert_int_equal(request_hex(&f.r, "key", REQUIRED, key, sizeof(key)), 1);
    assert_memory_equal(key, "\x00\xff", 2);
    const uint8_t *raw = request_base64(&f.r, "raw", 16, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(raw, "\x01\x02\x03", 3);
    assert_int_equal(request_array(&f.r, "list", REQUIRED, 4), 2);
    for (size_t i = 0; i < 2; i++) {
        request_enter(&f.r, "list", i);
        assert_string_equal(request_text(&f.r, "a", REQUIRED, 1), i == 0 ? "x" : "y");
        request_leave(&f.r);
    }
    assert_int_equal(request_array(&f.r, "texts", OPTIONAL, 4), 2);
    assert_string_equal(request_element(&f.r, "texts", 1), "q");
    assert_int_equal(request_end(&f.r), 0);
    assert_int_equal(finished, 0);
    arena_release(&f.arena);
}

static void takes_an_empty_body_as_an_empty_object(void **state)
{
    (void)state;
    struct fixture f;
    open_text(&f, "");
    assert_null(request_text(&f.r, "name", OPTIONAL, 10));
    assert_int_equal(request_end(&f.r), 0);
    arena_release(&f.arena);
}

static void names_the_field_in_each_complaint(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *said;
    } cases[] = {
        {"{", "the body is not JSON"},
        {"[]", "must be a JSON object"},
        {"{}", "field 'name' is missing"},
        {"{\"name\":null}", "field 'name' is missing"},
        {"{\"name\":1}", "field 'name' must be text"},
        {"{\"name\":\"\"}", "field 'name' must have 1 to 4 characters, it has 0"},
        {"{\"name\":\"abcde\"}", "field 'name' must have 1 to 4 characters, it has 5"},
        {"{\"name\":\"a\\n\"}", "field 'name' contains a control character"},
        {"{\"name\":\"a\",\"name\":\"b\"}", "duplicate"},
        {"{\"name\":\"a\",\"nmae\":1}", "field 'nmae' is not known"},
        {"{\"name\":\"a\",\"n\":1.5}", "field 'n' must be a whole number from 1 to 9"},
        {"{\"name\":\"a\",\"n\":10}", "field 'n' must be a whole number from 1 to 9"},
        {"{\"name\":\"a\",\"key\":\"0g\"}", "field 'key' must be 2 hex digits"},
        {"{\"name\":\"a\",\"key\":\"000\"}", "field 'key'"},
        {"{\"name\":\"a\",\"list\":{}}", "field 'list' must be a list of 0 to 2 elements"},
        {"{\"name\":\"a\",\"list\":[1,2,3]}", "field 'list' must be a list of 0 to 2 elements"},
        {"{\"name\":\"a\",\"list\":[1]}", "field 'list[0]' must be an object"},
        {"{\"name\":\"a\",\"list\":[{}]}", "field 'list[0].a' is missing"},
        {"{\"name\":\"a\",\"list\":[{\"a\":\"x\"},{\"a\":\"x\",\"b\":1}]}",
         "field 'list[1].b' is not known"},
        {"{\"name\":\"a\",\"list\":[{\"a\":\"x\",\"name\":1}]}", "'list[0].name' is not known"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        uint8_t key[1];
        open_text(&f, cases[i].body);
        (void)request_text(&f.r, "name", REQUIRED, 4);
        (void)request_int(&f.r, "n", 1, 9, 1);
        (void)request_hex(&f.r, "key", OPTIONAL, key, 1);
        size_t count = request_array(&f.r, "list", OPTIONAL, 2);
        for (size_t k = 0; k < count; k++) {
            request_enter(&f.r, "list", k);
            (void)request_text(&f.r, "a", REQUIRED, 4);
            request_leave(&f.r);
        }
        const char *said = refusal(&f);
        if (strstr(said, cases[i].said) == NULL) {
            fail_msg("case %zu: %s", i, said);
        }
        arena_release(&f.arena);
    }
}

static void refuses_what_is_nested_deeper_than_its_bound_before_parsing(void **state)
{
    (void)state;
    struct fixture f;
    char deep[60001];
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    open_text(&f, deep);
    assert_non_null(strstr(refusal(&f), "nested deeper"));
    arena_release(&f.arena);
    open_text(&f, "{\"a\":\"[[[[[[[[[[\\\"{{{{\"}"); /* brackets in text do not count */
    assert_string_equal(request_text(&f.r, "a", REQUIRED, 100), "[[[[[[[[[[\"{{{{");
    assert_int_equal(request_end(&f.r), 0);
    arena_release(&f.arena);
}

/* Any bytes: never a crash, and always exactly one answer. */
static void answers_any_bytes_once(void **state)
{
    (void)state;
    unsigned seed = 20251124;
    print_message("seed %u\n", seed);
    static const char alphabet[] = "{}[]\",:\\0123456789.eE+-truefalsn \x01\xff"
                                   "aname";
    for (int round = 0; round < 20000; round++) {
        char body[64];
        size_t len = 0;
        for (; len < sizeof(body) - 1; len++) {
            seed = seed * 1103515245U + 12345U;
            if ((seed >> 16) % 40 == 0) {
                break;
            }
            body[len] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        body[len] = '\0';
        struct fixture f;
        open_text(&f, body);
        (void)request_text(&f.r, "name", OPTIONAL, 8);
        int result = request_end(&f.r);
        assert_int_equal(finished, result == 0 ? 0 : 1);
        arena_release(&f.arena);
    }
}

static void reads_numbers_of_the_query(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -1 = refused */
    } cases[] = {{"0", 0},   {"100", 100}, {"101", -1},
                 {"-1", -1}, {"", -1},     {"1 ", -1},
                 {"+1", -1}, {"0x1", -1},  {"99999999999999999999", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;
        int64_t value = 0;
        open_text(&f, "");
        f.x.query[0] = (struct pair){"limit", cases[i].text};
        f.x.query_count = 1;
        int result = request_query_uint(&f.x, "limit", 100, 5, &value);
        assert_int_equal(result, cases[i].value < 0 ? -1 : 0);
        assert_int_equal(finished, result == 0 ? 0 : 1);
        if (result == 0) {
            assert_int_equal(value, cases[i].value);
        }
        assert_int_equal(request_query_uint(&f.x, "absent", 100, 5, &value), 0);
        assert_int_equal(value, 5);
        json_decref(f.r.root);
        arena_release(&f.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_field),
        cmocka_unit_test(takes_an_empty_body_as_an_empty_object),
        cmocka_unit_test(names_the_field_in_each_complaint),
        cmocka_unit_test(refuses_what_is_nested_deeper_than_its_bound_before_parsing),
        cmocka_unit_test(answers_any_bytes_once),
        cmocka_unit_test(reads_numbers_of_the_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
