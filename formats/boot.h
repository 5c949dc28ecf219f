#ifndef SF_BOOT_H
#define SF_BOOT_H

#include <stdint.h>

#include "formats/otadata.h"
#include "formats/partition.h"

/* The boot decision of ESP-IDF's second-stage bootloader as a pure function: otadata, the slots'
 * verdicts and the bootloader's build options in; the slot that boots and the otadata writes in
 * their order out. Source: bootloader_support/src/bootloader_utility.c; checked against
 * every row of tests/vectors/bootloader*.json, observed on the real bootloader. */

enum {
    SF_BOOT_FACTORY = -1,
    SF_BOOT_TEST = -2,
    SF_BOOT_NONE = -3, /* nothing bootable: the bootloader resets for ever */
};

struct sf_boot_slot {
    uint8_t present;         /* the table has such a partition */
    uint8_t verifies;        /* the whole image in it passes the bootloader's checks */
    uint8_t has_desc;        /* its app_desc can be read; needed for anti-rollback only */
    uint32_t secure_version; /* of app_desc */
};

struct sf_boot_input {
    uint8_t has_otadata;
    uint8_t otadata[2][SF_OTADATA_ENTRY_SIZE];
    uint8_t rollback;      /* CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE */
    uint8_t anti_rollback; /* CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK (implies rollback) */
    uint32_t efuse_secure_version;
    unsigned ota_count; /* number of ota_N in the table: contiguous from ota_0 in a sound one */
    struct sf_boot_slot ota[SF_OTA_SLOT_MAX];
    struct sf_boot_slot factory;
    struct sf_boot_slot test;
};

/* One rewrite of an otadata sector: erase 4 KiB, then program these 32 bytes at its start. */
struct sf_boot_write {
    unsigned sector;
    uint8_t entry[SF_OTADATA_ENTRY_SIZE];
};

enum { SF_BOOT_WRITE_MAX = 4 }; /* at most: abort both entries, then PENDING or first VALID */

struct sf_boot_decision {
    int slot; /* 0.. = ota_N, or SF_BOOT_* */
    unsigned write_count;
    struct sf_boot_write write[SF_BOOT_WRITE_MAX]; /* in the order the bootloader does them */
    uint32_t efuse_secure_version;                 /* after this boot; never below the input's */
    const char *why;                               /* a static phrase for people */
};

void sf_boot_decide(const struct sf_boot_input *in, struct sf_boot_decision *out);

#endif
