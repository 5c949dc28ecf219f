#ifndef SF_PARTITION_H
#define SF_PARTITION_H

#include <stddef.h>
#include <stdint.h>

#include "formats/err.h"

/* The partition table. Source: ESP-IDF bootloader_support/include/esp_flash_partitions.h,
 * src/flash_partitions.c, partition_table/gen_esp32part.py. */

enum {
    SF_PARTITION_TABLE_OFFSET = 0x8000, /* CONFIG_PARTITION_TABLE_OFFSET by default */
    SF_PARTITION_TABLE_SIZE = 0xc00,    /* what the bootloader reads: 96 entries */
    SF_PARTITION_ENTRY_SIZE = 32,
    SF_PARTITION_MAX = 95, /* 96 entries less the end marker */
    SF_PARTITION_MAGIC = 0x50aa,
    SF_PARTITION_APP = 0,
    SF_PARTITION_DATA = 1,
    SF_PARTITION_APP_FACTORY = 0x00,
    SF_PARTITION_APP_OTA_0 = 0x10, /* ota_N = 0x10 + N, N = 0..15 */
    SF_PARTITION_APP_TEST = 0x20,
    SF_PARTITION_DATA_OTA = 0x00,
    SF_PARTITION_DATA_NVS = 0x02,
    SF_OTA_SLOT_MAX = 16,
};

struct sf_partition {
    uint32_t offset; /* from the start of flash, bytes */
    uint32_t size;   /* bytes */
    uint32_t flags;  /* bit 0 encrypted, bit 1 readonly */
    uint8_t type;
    uint8_t subtype;
    char label[17]; /* NUL-terminated */
};

struct sf_partition_table {
    struct sf_partition entry[SF_PARTITION_MAX];
    unsigned count;
    int has_md5;
};

/* Decodes one 32-byte entry. Returns SF_OK, or SF_ERR_MAGIC; `out` is then all zeros. */
int sf_partition_decode(const uint8_t bytes[SF_PARTITION_ENTRY_SIZE], struct sf_partition *out)
    __attribute__((warn_unused_result));
void sf_partition_encode(const struct sf_partition *entry, uint8_t bytes[SF_PARTITION_ENTRY_SIZE]);

/* Decodes a table as the bootloader does: entries, an optional MD5 entry, the end marker.
 * `flash_size` bounds offset + size. A missing MD5 is fine.
 *
 * Errors: MAGIC, MD5, DUPLICATE (a second MD5 entry), TRUNCATED (no end marker), RANGE (beyond the
 * chip, otadata smaller than 0x2000). `diag` says where. */
int sf_partition_table_decode(const uint8_t *data, size_t len, uint32_t flash_size,
                              struct sf_partition_table *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* What a build tool would refuse besides (gen_esp32part.py): OVERLAP, DUPLICATE label or otadata,
 * RANGE for alignment, and ota_N that are not contiguous from ota_0. */
int sf_partition_table_check(const struct sf_partition_table *table, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* Encodes entries, MD5 entry and end marker into SF_PARTITION_TABLE_SIZE bytes, the rest FF.
 * SF_ERR_NOSPC if entries and MD5 do not fit. */
int sf_partition_table_encode(const struct sf_partition_table *table,
                              uint8_t out[SF_PARTITION_TABLE_SIZE])
    __attribute__((warn_unused_result));

/* First entry of that type and subtype, or NULL. */
const struct sf_partition *sf_partition_find(const struct sf_partition_table *table, uint8_t type,
                                             uint8_t subtype);
const struct sf_partition *sf_partition_find_label(const struct sf_partition_table *table,
                                                   const char *label);

/* Number of ota_N contiguous from ota_0, as esp_ota_get_app_partition_count() counts. */
unsigned sf_partition_ota_count(const struct sf_partition_table *table);

#endif
