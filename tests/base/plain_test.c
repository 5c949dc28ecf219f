/* The documents of plain clients, as ESPHome and hand-made clients read them. */
#include "base/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct plain_release lamp = {
    .product = "lamp",
    .version = "1.1.0",
    .project = "lamp-fw",
    .chip = "esp32c3",
    .notes = "say \"hi\"\n",
    .sha256 = "00ff",
    .md5 = "d41d8cd98f00b204e9800998ecf8427e",
    .size_bytes = 123456,
    .secure_version = 2,
    .file = "firmware.bin",
    .image_url = "../../artifacts/00ff",
};

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    assert_non_null(value);
    return value;
}

static void version_json_says_what_hand_made_clients_ask_for(void **state)
{
    (void)state;
    json_t *v = plain_version_json(&lamp);
    assert_string_equal(text(v, "version"), "1.1.0");
    assert_string_equal(text(v, "url"), "../../artifacts/00ff");
    assert_string_equal(text(v, "file"), "firmware.bin");
    assert_string_equal(text(v, "md5"), lamp.md5);
    assert_string_equal(text(v, "sha256"), "00ff");
    assert_string_equal(text(v, "chip"), "esp32c3");
    assert_string_equal(text(v, "project"), "lamp-fw");
    assert_string_equal(text(v, "notes"), "say \"hi\"\n");
    assert_int_equal(json_integer_value(json_object_get(v, "size")), 123456);
    assert_int_equal(json_integer_value(json_object_get(v, "secure_version")), 2);
    json_decref(v);
}

/* https://esphome.io/components/update/http_request: these fields, and ota.path beside the manifest
 * or absolute. */
static void manifest_json_is_what_esphome_reads(void **state)
{
    (void)state;
    struct plain_release r = lamp;
    json_t *m = plain_manifest_json(&r);
    assert_string_equal(text(m, "name"), "lamp");
    assert_string_equal(text(m, "version"), "1.1.0");
    const json_t *build = json_array_get(json_object_get(m, "builds"), 0);
    assert_string_equal(text(build, "chipFamily"), "ESP32-C3");
    const json_t *ota = json_object_get(build, "ota");
    assert_string_equal(text(ota, "path"), "firmware.bin");
    assert_string_equal(text(ota, "md5"), lamp.md5);
    assert_string_equal(text(ota, "summary"), lamp.notes);
    json_decref(m);
    r.image_url = "https://fw.example.com/artifacts/00ff";
    m = plain_manifest_json(&r);
    build = json_array_get(json_object_get(m, "builds"), 0);
    assert_string_equal(text(json_object_get(build, "ota"), "path"), r.image_url);
    json_decref(m);
}

static void what_cannot_be_said_is_not_said(void **state)
{
    (void)state;
    struct plain_release r = lamp;
    r.chip = "chip 0x1234";
    assert_null(plain_manifest_json(&r));
    r.notes = "\xff";
    assert_null(plain_version_json(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_json_says_what_hand_made_clients_ask_for),
        cmocka_unit_test(manifest_json_is_what_esphome_reads),
        cmocka_unit_test(what_cannot_be_said_is_not_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
