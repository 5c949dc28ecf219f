/* version.json as a product wants it. */
#include "base/plain_template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct plain_release lamp = {
    .product = "lamp",
    .version = "1.1.0",
    .project = "lamp-fw",
    .chip = "esp32c3",
    .notes = "say \"hi\"",
    .sha256 = "00ff",
    .md5 = "d41d",
    .size_bytes = 123456,
    .secure_version = 2,
    .file = "firmware.bin",
    .image_url = "https://h/ota/lamp/firmware.bin",
    .hw_revision = "A",
    .host = "h",
    .port = 8443,
    .path = "/ota/lamp/firmware.bin",
};

static void expect(const char *template, const char *json)
{
    char why[200] = "";
    assert_int_equal(plain_template_check(template, why, sizeof why), 0);
    json_t *filled = plain_template_fill(template, &lamp);
    json_t *wanted = json_loads(json, 0, NULL);
    assert_non_null(wanted);
    assert_true(json_equal(filled, wanted));
    json_decref(filled);
    json_decref(wanted);
}

static void facts_stand_where_their_names_stood(void **state)
{
    (void)state;
    expect("{\"v\": \"v{version}-{chip}\"}", "{\"v\": \"v1.1.0-esp32c3\"}");
    expect("{\"n\": \"{notes}\"}", "{\"n\": \"say \\\"hi\\\"\"}");
    expect("{\"a\": [{\"u\": \"{url}\"}, 7, null, true]}",
           "{\"a\": [{\"u\": \"https://h/ota/lamp/firmware.bin\"}, 7, null, true]}");
    expect("[\"{host}:{port}{path}\"]", "[\"h:8443/ota/lamp/firmware.bin\"]");
}

static void a_number_alone_is_a_number(void **state)
{
    (void)state;
    expect("{\"s\": \"{size}\", \"t\": \"{size} bytes\", \"p\": \"{port}\"}",
           "{\"s\": 123456, \"t\": \"123456 bytes\", \"p\": 8443}");
}

static void braces_that_name_nothing_are_text(void **state)
{
    (void)state;
    expect("{\"x\": \"{ } {} {A} {a b} {\"}", "{\"x\": \"{ } {} {A} {a b} {\"}");
}

static void what_cannot_work_is_refused_with_its_name(void **state)
{
    (void)state;
    char why[200] = "";
    assert_int_equal(plain_template_check("{\"v\": \"{verison}\"}", why, sizeof why), -1);
    assert_non_null(strstr(why, "{verison}"));
    /* an escape hides nothing */
    assert_int_equal(plain_template_check("{\"v\": \"{\\u0066oo}\"}", why, sizeof why), -1);
    assert_non_null(strstr(why, "{foo}"));
    static const char *const bad[] = {"", "{", "{\"a\": 1, \"a\": 2}", "{\"a\": 1} x",
                                      "[[[[[[[[[[1]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(plain_template_check(bad[i], why, sizeof why), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_stand_where_their_names_stood),
        cmocka_unit_test(a_number_alone_is_a_number),
        cmocka_unit_test(braces_that_name_nothing_are_text),
        cmocka_unit_test(what_cannot_work_is_refused_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
