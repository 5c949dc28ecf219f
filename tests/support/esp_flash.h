#ifndef ESP_FLASH_H
#define ESP_FLASH_H

#include <stddef.h>
#include <stdint.h>

#include "formats/boot.h"
#include "formats/bootloader.h"

/* A flash chip's contents in memory, laid out as the observed bootloader's vectors have it: table
 * at 0x8000, nvs at 0x9000 (0x4000), otadata at 0xd000, factory at 0x10000, ota_N at 0x110000 + N
 * MiB, 1 MiB each. */

enum {
    ESP_FLASH_OTADATA = 0xd000,
    ESP_FLASH_FACTORY = 0x10000,
    ESP_FLASH_OTA_0 = 0x110000,
    ESP_FLASH_SLOT_SIZE = 0x100000,
};

struct esp_flash {
    uint8_t *bytes;
    uint32_t size;
};

struct esp_flash_layout {
    int has_factory;
    int has_otadata;
    unsigned ota_count;
};

/* The partition table of a layout, for tests that change it before they write it. */
void esp_flash_table(const struct esp_flash_layout *layout, struct sf_partition_table *out);

/* Writes a table with its MD5 at 0x8000. */
void esp_flash_put_table(struct esp_flash *flash, const struct sf_partition_table *table);

/* Offset of "factory" or "ota_N". */
uint32_t esp_flash_slot_offset(const char *name);

/* For struct sf_bootloader and struct sf_verdict_input; ctx is the struct esp_flash. Reading beyond
 * the chip is SF_ERR_FLASH_READ. */
int esp_flash_read(void *ctx, uint32_t address, void *out, size_t len);

/* A bootloader for an ESP32-C3 v0.3 on this flash. */
struct sf_bootloader esp_flash_bootloader(struct esp_flash *flash);

/* Carries out a decision's writes: erases the sector, programs the entry. */
void esp_flash_apply(struct esp_flash *flash, uint32_t otadata_offset,
                     const struct sf_boot_decision *decision);

#endif
