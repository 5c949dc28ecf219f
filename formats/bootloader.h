#ifndef SF_BOOTLOADER_H
#define SF_BOOTLOADER_H

#include "formats/boot.h"
#include "formats/partition.h"
#include "formats/verdict.h"

/* The second-stage bootloader on a flash: partition table, otadata, images in, the boot decision
 * out. Writes nothing itself: the caller carries out the decision's writes. Used by virtual devices
 * and for flash dumps. */

struct sf_bootloader {
    void *ctx;
    /* Reads flash by absolute address. SF_OK or an error < 0. */
    int (*read)(void *ctx, uint32_t address, void *out, size_t len);
    const struct sf_crypto *crypto; /* needs the sha256 functions only */
    uint32_t flash_size;            /* of the chip, bytes */
    uint32_t table_offset;          /* usually SF_PARTITION_TABLE_OFFSET */
    uint16_t chip_id;
    uint16_t chip_revision; /* major * 100 + minor */
    uint8_t rollback;       /* build options, as in struct sf_boot_input */
    uint8_t anti_rollback;
    uint32_t efuse_secure_version;
    const struct sf_sbv2_trust *secure_boot; /* the eFuse's keys; NULL = Secure Boot is off */
};

/* Working memory, the caller's; what it holds afterwards may be looked at. */
struct sf_bootloader_work {
    struct sf_partition_table table;
    struct sf_boot_input input; /* `verifies` is true also for slots that were never tried */
    uint32_t otadata_offset;    /* 0 = no such partition */
    union {
        uint8_t table_bytes[SF_PARTITION_TABLE_SIZE];
        struct sf_verdict verdict; /* of the last slot tried */
    };
};

/* Only as many images are verified as the bootloader would have to.
 *
 * Returns SF_OK with the decision (whose slot may be SF_BOOT_NONE), or the error of a table the
 * bootloader refuses or of a failed read: then the decision is SF_BOOT_NONE, `why` its reason. */
int sf_bootloader_run(const struct sf_bootloader *b, struct sf_bootloader_work *work,
                      struct sf_boot_decision *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* The partition of a decision's slot, or NULL. */
const struct sf_partition *sf_bootloader_partition(const struct sf_partition_table *table,
                                                   int slot);

/* "ota_0", ..., "factory", "test", "none"; static. */
const char *sf_boot_slot_str(int slot);

#endif
