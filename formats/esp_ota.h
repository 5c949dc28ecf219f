#ifndef SF_ESP_OTA_H
#define SF_ESP_OTA_H

#include <stdint.h>

#include "formats/otadata.h"
#include "formats/partition.h"

/* What ESP-IDF's own esp_ota_* calls answer and write, as a pure model: for virtual devices that
 * run foreign firmware, and to explain a dump. Source: ESP-IDF v5.1 app_update/esp_ota_ops.c,
 * without anti-rollback; every row of tests/vectors/app_api.json, observed on the real calls. Our
 * own engine does not go by this: it plans its writes with sf_otadata_plan_switch(). */

enum sf_esp_err { /* esp_err_t */
                  SF_ESP_OK = 0,
                  SF_ESP_FAIL = -1,
                  SF_ESP_ERR_INVALID_ARG = 0x102,
                  SF_ESP_ERR_NOT_FOUND = 0x105,
                  SF_ESP_ERR_NOT_SUPPORTED = 0x106,
                  SF_ESP_ERR_OTA_PARTITION_CONFLICT = 0x1501,
                  SF_ESP_ERR_OTA_VALIDATE_FAILED = 0x1503,
                  SF_ESP_ERR_OTA_ROLLBACK_FAILED = 0x1505,
                  SF_ESP_ERR_OTA_ROLLBACK_INVALID_STATE = 0x1506,
};

/* Slots are numbered as in formats/boot.h: 0.. = ota_N, SF_BOOT_FACTORY, SF_BOOT_NONE. */
struct sf_esp_ota {
    uint8_t has_otadata;
    uint8_t has_factory;
    uint8_t rollback;   /* CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE */
    unsigned ota_count; /* contiguous ota_N */
    int running;
    struct sf_otadata_entry entry[2]; /* rewritten by the calls; an erased one is all FF */
    uint8_t factory_verifies;
    uint8_t verifies[SF_OTA_SLOT_MAX]; /* 0 once a call has erased the slot */
};

int sf_esp_ota_set_boot_partition(struct sf_esp_ota *o, int slot)
    __attribute__((warn_unused_result));
int sf_esp_ota_mark_app_valid(struct sf_esp_ota *o) __attribute__((warn_unused_result));

/* esp_ota_mark_app_invalid_rollback_and_reboot: SF_ESP_OK means that the chip resets now. */
int sf_esp_ota_mark_app_invalid(struct sf_esp_ota *o) __attribute__((warn_unused_result));

/* The checks of esp_ota_begin. How much of the slot it erases at once depends on the size it is
 * given (nothing with OTA_WITH_SEQUENTIAL_WRITES, as observed), so that is left to the caller. */
int sf_esp_ota_begin(const struct sf_esp_ota *o, int slot) __attribute__((warn_unused_result));
int sf_esp_ota_erase_last_boot_app_partition(struct sf_esp_ota *o)
    __attribute__((warn_unused_result));

int sf_esp_ota_check_rollback_is_possible(const struct sf_esp_ota *o); /* 1 or 0 */

/* `ota_state_out` is written on SF_ESP_OK only. */
int sf_esp_ota_get_state_partition(const struct sf_esp_ota *o, int slot, uint32_t *ota_state_out)
    __attribute__((warn_unused_result));

/* Slots, SF_BOOT_NONE where ESP-IDF returns NULL. */
int sf_esp_ota_get_boot_partition(const struct sf_esp_ota *o);
int sf_esp_ota_get_next_update_partition(const struct sf_esp_ota *o);
int sf_esp_ota_get_last_invalid_partition(const struct sf_esp_ota *o);

#endif
