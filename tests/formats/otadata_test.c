#include "formats/otadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "formats/boot.h"
#include "formats/err.h"
#include "formats/esp_ota.h"

/* seq 1, NEW: as esp_ota_set_boot_partition writes it */
static const uint8_t golden[SF_OTADATA_ENTRY_SIZE] = {
    0x01, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x9a, 0x98, 0x43, 0x47,
};

static void makes_the_entry_esp_idf_writes(void **state)
{
    (void)state;
    const struct sf_otadata_entry entry = sf_otadata_make(1, SF_OTA_NEW);
    uint8_t bytes[SF_OTADATA_ENTRY_SIZE];
    sf_otadata_encode(&entry, bytes);
    assert_memory_equal(bytes, golden, sizeof(bytes));
    assert_true(sf_otadata_valid(&entry));
}

static void every_flip_of_a_bit_shows_and_encodes_back(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 8 * SF_OTADATA_ENTRY_SIZE; bit++) {
        uint8_t bytes[SF_OTADATA_ENTRY_SIZE];
        uint8_t again[SF_OTADATA_ENTRY_SIZE];
        struct sf_otadata_entry entry;
        memcpy(bytes, golden, sizeof(bytes));
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        sf_otadata_decode(bytes, &entry);
        sf_otadata_encode(&entry, again);
        assert_memory_equal(bytes, again, sizeof(bytes));
        const int covered = bit / 8 < 4 || bit / 8 >= 28; /* seq and crc */
        const int aborted = bit == 24 * 8 + 2;            /* NEW becomes ABORTED */
        assert_int_equal(sf_otadata_valid(&entry), !covered && !aborted);
    }
}

static void empty_invalid_and_aborted_entries_are_not_valid(void **state)
{
    (void)state;
    for (uint32_t ota_state = 0; ota_state < 7; ota_state++) {
        const struct sf_otadata_entry entry = sf_otadata_make(7, ota_state);
        const int ruled_out = ota_state == SF_OTA_INVALID || ota_state == SF_OTA_ABORTED;
        assert_int_equal(sf_otadata_valid(&entry), !ruled_out);
    }
    const struct sf_otadata_entry empty = sf_otadata_make(SF_OTA_SEQ_EMPTY, SF_OTA_VALID);
    assert_false(sf_otadata_valid(&empty));
}

static void the_higher_seq_is_active_and_of_equal_ones_the_first(void **state)
{
    (void)state;
    struct sf_otadata_entry entry[2] = {sf_otadata_make(4, SF_OTA_VALID),
                                        sf_otadata_make(5, SF_OTA_VALID)};
    assert_int_equal(sf_otadata_active(entry), 1);
    entry[0] = sf_otadata_make(5, SF_OTA_VALID);
    assert_int_equal(sf_otadata_active(entry), 0);
    entry[0] = sf_otadata_make(UINT32_MAX - 1, SF_OTA_VALID); /* unsigned, no wrap */
    assert_int_equal(sf_otadata_active(entry), 0);
    entry[0].crc ^= 1;
    assert_int_equal(sf_otadata_active(entry), 1);
    entry[1].ota_state = SF_OTA_ABORTED;
    assert_int_equal(sf_otadata_active(entry), -1);
}

/* Boots with every image good and returns the slot. */
static int boots(const struct sf_otadata_entry entry[2], unsigned ota_count)
{
    struct sf_boot_input in = {.has_otadata = 1, .rollback = 1, .ota_count = ota_count};
    for (unsigned i = 0; i < ota_count; i++) {
        in.ota[i] = (struct sf_boot_slot){.present = 1, .verifies = 1};
    }
    sf_otadata_encode(&entry[0], in.otadata[0]);
    sf_otadata_encode(&entry[1], in.otadata[1]);
    struct sf_boot_decision decision;
    sf_boot_decide(&in, &decision);
    return decision.slot;
}

/* One switch, against the boot decision and against what ESP-IDF's own call writes. */
static void check_switch(const struct sf_otadata_entry entry[2], unsigned target,
                         unsigned ota_count)
{
    struct sf_otadata_switch plan;
    const int active = sf_otadata_active(entry);
    const int err = sf_otadata_plan_switch(entry, target, ota_count, SF_OTA_NEW, &plan);
    if (active >= 0 && sf_otadata_slot(&entry[active], ota_count) == target) {
        assert_int_equal(err, SF_ERR_EXISTS);
        return;
    }
    assert_int_equal(err, SF_OK);
    assert_int_not_equal((int)plan.sector, active);

    struct sf_otadata_entry after[2] = {entry[0], entry[1]};
    after[plan.sector] = plan.entry;
    assert_int_equal(sf_otadata_active(after), plan.sector);
    assert_int_equal(boots(after, ota_count), target);

    struct sf_esp_ota o = {.has_otadata = 1, .rollback = 1, .ota_count = ota_count, .running = 0};
    memset(o.verifies, 1, sizeof(o.verifies));
    memcpy(o.entry, entry, sizeof(o.entry));
    memset(o.entry[plan.sector].seq_label, 0xff, sizeof(o.entry[0].seq_label));
    assert_int_equal(sf_esp_ota_set_boot_partition(&o, (int)target), SF_ESP_OK);
    assert_memory_equal(&o.entry[plan.sector], &plan.entry, sizeof(plan.entry));
}

static void a_planned_switch_boots_its_target_and_is_what_esp_idf_writes(void **state)
{
    (void)state;
    static const uint32_t states[] = {0, 1, 2, 3, 4, 5, SF_OTA_UNDEFINED};
    static const uint32_t seqs[] = {SF_OTA_SEQ_EMPTY, 1, 2, 3, 4, 5, 17, 0x7fffffff, 0xfffffff0};
    const size_t state_count = sizeof(states) / sizeof(states[0]);
    const size_t seq_count = sizeof(seqs) / sizeof(seqs[0]);
    const size_t entry_count = state_count * seq_count;
    for (size_t n = 0; n < entry_count * entry_count; n++) {
        const size_t a = n / entry_count;
        const size_t b = n % entry_count;
        const struct sf_otadata_entry entry[2] = {
            sf_otadata_make(seqs[a / state_count], states[a % state_count]),
            sf_otadata_make(seqs[b / state_count], states[b % state_count]),
        };
        for (unsigned ota_count = 1; ota_count <= 5; ota_count += ota_count == 3 ? 2 : 1) {
            for (unsigned target = 0; target < ota_count; target++) {
                check_switch(entry, target, ota_count);
            }
        }
    }
}

static void refuses_switches_that_cannot_be(void **state)
{
    (void)state;
    struct sf_otadata_switch plan;
    struct sf_otadata_entry entry[2] = {sf_otadata_make(UINT32_MAX - 1, SF_OTA_VALID),
                                        sf_otadata_make(2, SF_OTA_VALID)};
    assert_int_equal(sf_otadata_plan_switch(entry, 2, 2, SF_OTA_NEW, &plan), SF_ERR_RANGE);
    const struct sf_otadata_entry plain[2] = {sf_otadata_make(1, SF_OTA_VALID),
                                              sf_otadata_make(2, SF_OTA_VALID)};
    assert_int_equal(sf_otadata_plan_switch(plain, 2, 2, SF_OTA_NEW, &plan), SF_ERR_RANGE);
    assert_int_equal(sf_otadata_plan_switch(plain, 0, 0, SF_OTA_NEW, &plan), SF_ERR_RANGE);
    assert_int_equal(sf_otadata_plan_switch(entry, 0, 2, SF_OTA_NEW, &plan), SF_ERR_RANGE);
    entry[0] = sf_otadata_make(UINT32_MAX - 2, SF_OTA_VALID);
    assert_int_equal(sf_otadata_plan_switch(entry, 1, 2, SF_OTA_NEW, &plan), SF_OK);
    assert_int_equal(plan.entry.ota_seq, UINT32_MAX - 1);
}

static void names_every_state(void **state)
{
    (void)state;
    assert_string_equal(sf_ota_state_str(SF_OTA_NEW), "NEW");
    assert_string_equal(sf_ota_state_str(SF_OTA_PENDING_VERIFY), "PENDING_VERIFY");
    assert_string_equal(sf_ota_state_str(SF_OTA_VALID), "VALID");
    assert_string_equal(sf_ota_state_str(SF_OTA_INVALID), "INVALID");
    assert_string_equal(sf_ota_state_str(SF_OTA_ABORTED), "ABORTED");
    assert_string_equal(sf_ota_state_str(SF_OTA_UNDEFINED), "UNDEFINED");
    assert_string_equal(sf_ota_state_str(0xffff), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_entry_esp_idf_writes),
        cmocka_unit_test(every_flip_of_a_bit_shows_and_encodes_back),
        cmocka_unit_test(empty_invalid_and_aborted_entries_are_not_valid),
        cmocka_unit_test(the_higher_seq_is_active_and_of_equal_ones_the_first),
        cmocka_unit_test(a_planned_switch_boots_its_target_and_is_what_esp_idf_writes),
        cmocka_unit_test(refuses_switches_that_cannot_be),
        cmocka_unit_test(names_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
