#ifndef SF_OTADATA_H
#define SF_OTADATA_H

#include <stdint.h>

/* otadata: two copies of a 32-byte entry, one at the start of each of the partition's two sectors.
 * Source: ESP-IDF bootloader_support/include/esp_flash_partitions.h, src/bootloader_common.c. */

enum { SF_OTADATA_ENTRY_SIZE = 32, SF_OTADATA_SECTOR_SIZE = 0x1000, SF_OTADATA_SIZE = 0x2000 };
#define SF_OTA_SEQ_EMPTY UINT32_C(0xffffffff)

enum {
    SF_OTA_NEW = 0,
    SF_OTA_PENDING_VERIFY = 1,
    SF_OTA_VALID = 2,
    SF_OTA_INVALID = 3,
    SF_OTA_ABORTED = 4,
};
#define SF_OTA_UNDEFINED UINT32_C(0xffffffff)

struct sf_otadata_entry {
    uint32_t ota_seq;      /* 1-based; SF_OTA_SEQ_EMPTY = empty */
    uint8_t seq_label[20]; /* unused by ESP-IDF, FF */
    uint32_t ota_state;    /* SF_OTA_*, or a value nobody wrote on purpose: not covered by crc */
    uint32_t crc;          /* over ota_seq alone */
};

/* Every 32 bytes decode; whether they mean something is for sf_otadata_valid() to say. */
void sf_otadata_decode(const uint8_t bytes[SF_OTADATA_ENTRY_SIZE], struct sf_otadata_entry *out);
void sf_otadata_encode(const struct sf_otadata_entry *entry, uint8_t bytes[SF_OTADATA_ENTRY_SIZE]);

/* A new entry for `ota_seq` with its crc, label FF. */
struct sf_otadata_entry sf_otadata_make(uint32_t ota_seq, uint32_t ota_state);
uint32_t sf_otadata_crc(uint32_t ota_seq);

/* 1 if the bootloader would consider it: not empty, crc right, neither INVALID nor ABORTED. */
int sf_otadata_valid(const struct sf_otadata_entry *entry);

/* The entry the bootloader goes by: 0, 1, or -1 if neither is valid. Equal seq: entry 0. */
int sf_otadata_active(const struct sf_otadata_entry entry[2]);

/* The slot index an entry names: (ota_seq - 1) mod ota_count, in 32 bits as the bootloader counts
 * (ota_seq 0 wraps). `ota_count` > 0. */
unsigned sf_otadata_slot(const struct sf_otadata_entry *entry, unsigned ota_count);

/* Where and what to write so that slot `target` becomes active. */
struct sf_otadata_switch {
    unsigned sector; /* 0 or 1: never the active entry's */
    struct sf_otadata_entry entry;
};

/* Plans the switch to slot `target` as esp_ota_set_boot_partition of ESP-IDF does (app_update,
 * esp_rewrite_ota_data), with `ota_state` (NEW where the bootloader supports rollback).
 *
 * Returns SF_OK; SF_ERR_RANGE if target >= ota_count or ota_count is 0 or the next seq would not
 * fit in 32 bits; SF_ERR_EXISTS if the active entry names `target` already: ESP-IDF would then
 * touch a live entry or write a twin that the bootloader ignores, so we never do (facts: surprise
 * 6 of the observed bootloader). */
int sf_otadata_plan_switch(const struct sf_otadata_entry entry[2], unsigned target,
                           unsigned ota_count, uint32_t ota_state, struct sf_otadata_switch *out)
    __attribute__((warn_unused_result));

/* "NEW", "PENDING_VERIFY", ..., "UNDEFINED", or "unknown" for any other value; static. */
const char *sf_ota_state_str(uint32_t ota_state);

#endif
