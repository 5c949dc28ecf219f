/* A virtual ESP32 with flash encryption: the whole update, its trial, the ways back and a download
 * that goes on, where flash takes 16 or 32 bytes at once and only once. Time is virtual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/flash_image.h"
#include "tests/sim/lab.h"

enum { LARGE = 75 * 1024 + 16, CUT_OFFSET = 0x11000, FLAG_ENCRYPTED = 1 };

#define HOUR UINT64_C(3600000)

static const uint8_t flash_key[SF_HOST_CRYPT_KEY_SIZE] = {0x5a, 1, 2, 3};

/* 4 = plain flash: there all has to end the same way. */
static const uint32_t write_sizes[] = {4, 16, 32};

struct bench {
    struct lab lab;
    struct lab_release first;
    struct lab_release second;
    uint32_t write_size;
};

static void switch_on(struct bench *b)
{
    struct vesp32_options options = lab_options(&b->lab);
    if (b->write_size > 4) {
        options.flash_key = flash_key;
        options.flash_write_size = b->write_size;
    }
    vesp32_init(&b->lab.esp, &b->lab.flash, &options);
    if (b->write_size > 4) {
        assert_int_equal(vesp32_encrypt_flash(&b->lab.esp), SF_OK);
    }
    vesp32_power_on(&b->lab.esp, b->lab.now_ms);
}

static struct bench *bench_new(uint32_t write_size)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->write_size = write_size;
    lab_server_open(&b->lab.server);
    lab_release(&b->lab.server, &b->first, "1.0.0", NULL, 2);
    lab_open(&b->lab, &b->first);
    return b;
}

static void bench_free(struct bench *b)
{
    lab_close(&b->lab);
    free(b);
}

static int at_rest(const struct lab *lab)
{
    return vesp32_at_rest(&lab->esp);
}

static int at_rest_after_an_outcome(const struct lab *lab)
{
    return lab->server.outcomes > 0 && vesp32_at_rest(&lab->esp);
}

/* From the first boot to the offer of a second image of LARGE bytes. */
static void offer(struct bench *b, const struct sf_behaviour *behaviour)
{
    switch_on(b);
    assert_true(lab_run(&b->lab, HOUR, at_rest));
    lab_release(&b->lab.server, &b->second, "1.1.0", behaviour, 4);
    const struct esp_image_spec spec = {.version = "1.1.0",
                                        .class_uuid = b->second.manifest.class_uuid,
                                        .size = LARGE,
                                        .seed = 4,
                                        .behaviour = behaviour};
    b->second.image_len = esp_image_build(&spec, b->second.image, sizeof(b->second.image));
    lab_seal(&b->lab.server, &b->second);
    b->lab.server.target = &b->second;
    b->lab.server.action = SF_STATUS_INSTALL;
    b->lab.server.counter = 2;
}

static void assert_slot_holds(struct bench *b, const struct lab_release *release, int is_plain)
{
    static uint8_t found[LAB_IMAGE_MAX];
    const uint32_t offset = b->lab.esp.config.slot[1].offset;
    const size_t len = release->image_len - release->image_len % 16;
    vesp32_peek(&b->lab.esp, offset, found, len);
    assert_memory_equal(found, release->image, len);
    assert_int_equal(memcmp(b->lab.flash.cells + offset, release->image, len) == 0, is_plain);
}

static uint32_t state_in(const struct bench *b, unsigned sector)
{
    struct sf_otadata_entry entry[2];
    vesp32_otadata(&b->lab.esp, entry);
    assert_int_equal(entry[sector].crc, sf_otadata_crc(entry[sector].ota_seq));
    return entry[sector].ota_state;
}

static void the_update_ends_confirmed(uint32_t write_size)
{
    struct bench *b = bench_new(write_size);
    struct sf_otadata_entry raw;
    offer(b, NULL);
    assert_true(lab_run(&b->lab, 6 * HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.1.0");
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_int_equal(state_in(b, 1), SF_OTA_VALID);
    assert_slot_holds(b, &b->second, write_size == 4);
    const uint32_t ability = b->lab.server.last.abilities & SF_ABILITY_FLASH_ENCRYPTION;
    assert_int_equal(ability != 0, write_size > 4);
    sf_otadata_decode(b->lab.flash.cells + FLASH_IMAGE_OTADATA + SF_OTADATA_SECTOR_SIZE, &raw);
    assert_int_equal(sf_otadata_valid(&raw), write_size == 4);
    bench_free(b);
}

static void an_image_that_crashes_goes_back(uint32_t write_size)
{
    const struct sf_behaviour crashes = {.kind = SF_BEHAVIOUR_CRASH_AT_BOOT};
    struct bench *b = bench_new(write_size);
    offer(b, &crashes);
    assert_true(lab_run(&b->lab, 6 * HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.0.0");
    assert_int_equal(b->lab.server.outcome.error, SF_ERR_CRASHED);
    assert_int_equal(state_in(b, 1), SF_OTA_ABORTED);
    bench_free(b);
}

static int has_confirmed_the_return(const struct lab *lab)
{
    return lab->server.outcome.counter == 3 && vesp32_at_rest(&lab->esp);
}

static void the_server_takes_it_back(uint32_t write_size)
{
    struct bench *b = bench_new(write_size);
    offer(b, NULL);
    assert_true(lab_run(&b->lab, 6 * HOUR, at_rest_after_an_outcome));
    b->lab.server.target = &b->first;
    b->lab.server.action = SF_STATUS_ROLL_BACK;
    b->lab.server.counter = 3;
    assert_true(lab_run(&b->lab, 48 * HOUR, has_confirmed_the_return));
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_string_equal(b->lab.esp.version, "1.0.0");
    assert_int_equal(b->lab.server.downloads, 1);
    bench_free(b);
}

static enum sf_flash_fault cut(void *ctx, const struct sf_flash_op *op)
{
    const uint32_t *address = ctx;
    return op->address == *address ? SF_FLASH_CUT_BEFORE : SF_FLASH_GO_ON;
}

static void a_download_goes_on_after_a_power_cut(uint32_t write_size)
{
    struct bench *b = bench_new(write_size);
    offer(b, NULL);
    uint32_t address = b->lab.esp.config.slot[1].offset + CUT_OFFSET;
    b->lab.flash.hook = cut;
    b->lab.flash.hook_ctx = &address;
    assert_false(lab_run(&b->lab, 6 * HOUR, at_rest_after_an_outcome));
    assert_int_equal(b->lab.esp.power, VESP32_OFF);
    b->lab.flash.hook = NULL;
    vesp32_power_on(&b->lab.esp, b->lab.now_ms);
    assert_true(lab_run(&b->lab, 12 * HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.1.0");
    assert_int_equal(b->lab.server.outcome.error, SF_OK);
    assert_int_equal(b->lab.server.downloads, 2);
    assert_int_equal(b->lab.server.ranges, 1);
    assert_slot_holds(b, &b->second, write_size == 4);
    bench_free(b);
}

/* Where the table flags it, the records lie encrypted, too. */
static void flagged_records_work(uint32_t write_size)
{
    struct bench *b = bench_new(write_size);
    struct sf_partition_table table;
    uint8_t *at = b->lab.flash.cells + SF_PARTITION_TABLE_OFFSET;
    assert_int_equal(
        sf_partition_table_decode(at, SF_PARTITION_TABLE_SIZE, FLASH_IMAGE_SIZE, &table, NULL),
        SF_OK);
    for (unsigned i = 0; i < table.count; i++) {
        table.entry[i].flags |= strcmp(table.entry[i].label, "surefoot") == 0 ? FLAG_ENCRYPTED : 0U;
    }
    assert_int_equal(sf_partition_table_encode(&table, at), SF_OK);
    offer(b, NULL);
    assert_true(lab_run(&b->lab, 6 * HOUR, at_rest_after_an_outcome));
    assert_string_equal(b->lab.esp.version, "1.1.0");
    int is_plain = 0;
    for (unsigned i = 0; i < SF_HOST_STORE_SIZE; i += SF_SECTOR_SIZE) {
        is_plain |= memcmp(b->lab.flash.cells + FLASH_IMAGE_RECORDS + i, "SFST", 4) == 0;
    }
    assert_int_equal(is_plain, write_size == 4);
    bench_free(b);
}

static void with_every_write_size(void (*test)(uint32_t write_size))
{
    for (unsigned i = 0; i < sizeof(write_sizes) / sizeof(write_sizes[0]); i++) {
        print_message("write size %u\n", write_sizes[i]);
        test(write_sizes[i]);
    }
}

#define EACH(f)                                         \
    static void f##_with_every_write_size(void **state) \
    {                                                   \
        (void)state;                                    \
        with_every_write_size(f);                       \
    }

EACH(the_update_ends_confirmed)
EACH(an_image_that_crashes_goes_back)
EACH(the_server_takes_it_back)
EACH(a_download_goes_on_after_a_power_cut)
EACH(flagged_records_work)

/* A dump of a chip that was encrypted with another key, or not at all. */
static void flash_that_was_not_encrypted_with_this_key_does_not_boot(void **state)
{
    (void)state;
    struct bench *b = bench_new(16);
    struct vesp32_options options = lab_options(&b->lab);
    options.flash_key = flash_key;
    vesp32_init(&b->lab.esp, &b->lab.flash, &options);
    vesp32_power_on(&b->lab.esp, 0);
    assert_false(lab_run(&b->lab, HOUR, at_rest));
    assert_int_equal(b->lab.esp.power, VESP32_BOOT_FAILS);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_update_ends_confirmed_with_every_write_size),
        cmocka_unit_test(an_image_that_crashes_goes_back_with_every_write_size),
        cmocka_unit_test(the_server_takes_it_back_with_every_write_size),
        cmocka_unit_test(a_download_goes_on_after_a_power_cut_with_every_write_size),
        cmocka_unit_test(flagged_records_work_with_every_write_size),
        cmocka_unit_test(flash_that_was_not_encrypted_with_this_key_does_not_boot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
