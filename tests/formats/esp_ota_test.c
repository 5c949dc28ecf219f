/* Every row of what a real application saw of ESP-IDF's esp_ota_* calls: booted by our bootloader,
 * called on our model, booted again. */
#include "formats/esp_ota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/boot.h"
#include "tests/support/vectors.h"

enum { ENTRIES = 2 * SF_OTADATA_ENTRY_SIZE };

static int slot_from_name(const char *name)
{
    if (strncmp(name, "factory", 7) == 0) {
        return SF_BOOT_FACTORY;
    }
    assert_memory_equal(name, "ota_", 4);
    return (int)strtol(name + 4, NULL, 10);
}

static const char *slot_name(int slot)
{
    static const char *const names[] = {"ota_0", "ota_1"};
    if (slot == SF_BOOT_FACTORY) {
        return "factory";
    }
    return slot >= 0 && slot < 2 ? names[slot] : "NULL";
}

static struct sf_esp_ota from_row(const json_t *row)
{
    struct sf_esp_ota o = {.has_otadata = 1, .rollback = 1};
    const json_t *slots = json_object_get(row, "slots");
    for (size_t i = 0; i < json_array_size(slots); i++) {
        const char *name = json_string_value(json_array_get(slots, i));
        const int slot = slot_from_name(name);
        const uint8_t verifies = strchr(name, '!') == NULL;
        if (slot == SF_BOOT_FACTORY) {
            o.has_factory = 1;
            o.factory_verifies = verifies;
        } else {
            o.ota_count++;
            o.verifies[slot] = verifies;
        }
    }
    uint8_t bytes[ENTRIES];
    vectors_hex(row, "otadata_in", bytes, sizeof(bytes));
    sf_otadata_decode(bytes, &o.entry[0]);
    sf_otadata_decode(bytes + SF_OTADATA_ENTRY_SIZE, &o.entry[1]);
    return o;
}

/* Resets the chip: the bootloader rewrites otadata and something runs. */
static void boot(struct sf_esp_ota *o)
{
    struct sf_boot_input in = {
        .has_otadata = 1, .rollback = o->rollback, .ota_count = o->ota_count};
    in.factory = (struct sf_boot_slot){.present = o->has_factory, .verifies = o->factory_verifies};
    for (unsigned i = 0; i < o->ota_count; i++) {
        in.ota[i] = (struct sf_boot_slot){.present = 1, .verifies = o->verifies[i]};
    }
    sf_otadata_encode(&o->entry[0], in.otadata[0]);
    sf_otadata_encode(&o->entry[1], in.otadata[1]);
    struct sf_boot_decision decision;
    sf_boot_decide(&in, &decision);
    for (unsigned i = 0; i < decision.write_count; i++) {
        sf_otadata_decode(decision.write[i].entry, &o->entry[decision.write[i].sector]);
    }
    o->running = decision.slot;
}

static void check_otadata(const json_t *row, const char *key, const struct sf_esp_ota *o)
{
    uint8_t expected[ENTRIES];
    uint8_t found[ENTRIES];
    vectors_hex(row, key, expected, sizeof(expected));
    sf_otadata_encode(&o->entry[0], found);
    sf_otadata_encode(&o->entry[1], found + SF_OTADATA_ENTRY_SIZE);
    if (memcmp(expected, found, sizeof(found)) != 0) {
        fail_msg("'%s', %s: %s differs from what was observed", vectors_text(row, "pre"),
                 vectors_text(row, "cmd"), key);
    }
}

static void check_query(const json_t *row, const struct sf_esp_ota *o)
{
    static const char *const keys[] = {"state_ota_0", "state_ota_1", "state_factory"};
    char text[128];
    (void)snprintf(text, sizeof(text), "boot=%s running=%s next=%s last_invalid=%s count=%u",
                   slot_name(sf_esp_ota_get_boot_partition(o)), slot_name(o->running),
                   slot_name(sf_esp_ota_get_next_update_partition(o)),
                   slot_name(sf_esp_ota_get_last_invalid_partition(o)), o->ota_count);
    assert_string_equal(text, vectors_text(row, "result"));
    assert_string_equal(sf_esp_ota_check_rollback_is_possible(o) ? "1" : "0",
                        vectors_text(row, "check_rollback_possible"));
    for (size_t i = 0; i < 3; i++) {
        if (json_object_get(row, keys[i]) != NULL) {
            uint32_t state = 0x77;
            const int err =
                sf_esp_ota_get_state_partition(o, i == 2 ? SF_BOOT_FACTORY : (int)i, &state);
            (void)snprintf(text, sizeof(text), "%x state=%x", (unsigned)err, state);
            assert_string_equal(text, vectors_text(row, keys[i]));
        }
    }
}

static int call(struct sf_esp_ota *o, const char *cmd)
{
    if (strncmp(cmd, "setboot ", 8) == 0) {
        return sf_esp_ota_set_boot_partition(o, slot_from_name(cmd + 8));
    }
    if (strncmp(cmd, "begin ", 6) == 0) {
        return sf_esp_ota_begin(o, slot_from_name(cmd + 6));
    }
    if (strcmp(cmd, "mark_valid") == 0) {
        return sf_esp_ota_mark_app_valid(o);
    }
    if (strcmp(cmd, "mark_invalid") == 0) {
        return sf_esp_ota_mark_app_invalid(o);
    }
    assert_string_equal(cmd, "erase_last");
    return sf_esp_ota_erase_last_boot_app_partition(o);
}

static void check_call(const json_t *row, struct sf_esp_ota *o)
{
    const char *cmd = vectors_text(row, "cmd");
    char result[16];
    const int err = call(o, cmd);
    if (strcmp(cmd, "mark_invalid") == 0 && err == SF_ESP_OK) {
        assert_string_equal(vectors_text(row, "result"), "reboot");
        assert_true(json_is_null(json_object_get(row, "otadata_after")));
        return;
    }
    (void)snprintf(result, sizeof(result), "%x", (unsigned)err);
    if (strcmp(result, vectors_text(row, "result")) != 0) {
        fail_msg("'%s', %s: %s, observed %s", vectors_text(row, "pre"), cmd, result,
                 vectors_text(row, "result"));
    }
    check_otadata(row, "otadata_after", o);
}

static void agrees_with_every_observed_call(void **state)
{
    (void)state;
    json_t *root = vectors_load(SF_VECTORS "/app_api.json");
    const json_t *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 302);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct sf_esp_ota o = from_row(row);
        boot(&o);
        assert_string_equal(slot_name(o.running), vectors_text(row, "running"));
        check_otadata(row, "otadata_at_boot", &o);
        if (strcmp(vectors_text(row, "cmd"), "query") == 0) {
            check_query(row, &o);
        } else {
            check_call(row, &o);
        }
        boot(&o);
        if (strcmp(slot_name(o.running), vectors_text(row, "next_boot")) != 0) {
            fail_msg("'%s', %s: then boots %s, observed %s", vectors_text(row, "pre"),
                     vectors_text(row, "cmd"), slot_name(o.running),
                     vectors_text(row, "next_boot"));
        }
        check_otadata(row, "otadata_after_reboot", &o);
    }
    json_decref(root);
}

static void refuses_slots_that_are_not_there(void **state)
{
    (void)state;
    struct sf_esp_ota o = {.has_otadata = 1, .rollback = 1, .ota_count = 2, .running = 0};
    uint32_t ota_state = 0;
    assert_int_equal(sf_esp_ota_begin(&o, 2), SF_ESP_ERR_INVALID_ARG);
    assert_int_equal(sf_esp_ota_begin(&o, SF_BOOT_FACTORY), SF_ESP_ERR_INVALID_ARG);
    assert_int_equal(sf_esp_ota_set_boot_partition(&o, 2), SF_ESP_ERR_OTA_VALIDATE_FAILED);
    assert_int_equal(sf_esp_ota_get_state_partition(&o, 2, &ota_state), SF_ESP_ERR_NOT_SUPPORTED);
    o.has_otadata = 0;
    assert_int_equal(sf_esp_ota_mark_app_valid(&o), SF_ESP_ERR_NOT_FOUND);
    o.ota_count = 0;
    assert_int_equal(sf_esp_ota_get_boot_partition(&o), SF_BOOT_NONE);
    assert_int_equal(sf_esp_ota_get_next_update_partition(&o), SF_BOOT_NONE);
}

static void a_table_without_otadata_or_slots_has_no_say(void **state)
{
    (void)state;
    uint32_t ota_state = 0;
    struct sf_esp_ota o = {.has_factory = 1, .factory_verifies = 1, .rollback = 1, .ota_count = 1};
    o.entry[0] = sf_otadata_make(1, SF_OTA_VALID);
    o.entry[1] = sf_otadata_make(2, SF_OTA_ABORTED);
    o.running = SF_BOOT_FACTORY;
    assert_int_equal(sf_esp_ota_get_boot_partition(&o), SF_BOOT_FACTORY);
    assert_int_equal(sf_esp_ota_get_last_invalid_partition(&o), SF_BOOT_NONE);
    assert_int_equal(sf_esp_ota_get_state_partition(&o, 0, &ota_state), SF_ESP_ERR_NOT_FOUND);
    assert_int_equal(sf_esp_ota_check_rollback_is_possible(&o), 0);
    assert_int_equal(sf_esp_ota_set_boot_partition(&o, SF_BOOT_FACTORY), SF_ESP_ERR_NOT_FOUND);
    o.has_otadata = 1; /* one slot only: it is also the last invalid one */
    assert_int_equal(sf_esp_ota_get_boot_partition(&o), 0);
    assert_int_equal(sf_esp_ota_get_last_invalid_partition(&o), 0);
    assert_int_equal(sf_esp_ota_get_next_update_partition(&o), 0);
    assert_int_equal(sf_esp_ota_mark_app_invalid(&o), SF_ESP_OK);
    assert_int_equal(o.entry[0].ota_state, SF_OTA_INVALID);
    o.ota_count = 0;
    assert_int_equal(sf_esp_ota_get_last_invalid_partition(&o), SF_BOOT_NONE);
    assert_int_equal(sf_esp_ota_mark_app_valid(&o), SF_ESP_FAIL);
    o.has_factory = 0; /* what verifies there is no factory */
    assert_int_equal(sf_esp_ota_set_boot_partition(&o, SF_BOOT_FACTORY),
                     SF_ESP_ERR_OTA_VALIDATE_FAILED);
    o.ota_count = 1;
    o.entry[0].ota_state = SF_OTA_ABORTED;
    assert_int_equal(sf_esp_ota_get_boot_partition(&o), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_every_observed_call),
        cmocka_unit_test(refuses_slots_that_are_not_there),
        cmocka_unit_test(a_table_without_otadata_or_slots_has_no_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
