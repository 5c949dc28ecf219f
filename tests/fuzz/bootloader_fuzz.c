/* A whole small flash chip, its partition table at 0: table, otadata and images as the bootloader
 * meets them. */
#include "formats/bootloader.h"

#include <assert.h>

#include "tests/fuzz/zero_sha256.h"

enum { FLASH_SIZE = 0x4000 };

static uint8_t flash[FLASH_SIZE];

static int flash_read(void *ctx, uint32_t address, void *out, size_t len)
{
    (void)ctx;
    if (address > FLASH_SIZE || len > FLASH_SIZE - address) {
        return SF_ERR_FLASH_READ;
    }
    memcpy(out, flash + address, len);
    return SF_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct sf_bootloader_work work;
    memset(flash, 0xff, sizeof(flash));
    memcpy(flash, data, len < sizeof(flash) ? len : sizeof(flash));
    for (uint8_t options = 0; options < 4; options++) {
        const struct sf_bootloader b = {
            .read = flash_read,
            .crypto = &zero_sha256,
            .flash_size = FLASH_SIZE,
            .chip_id = SF_CHIP_ESP32C3,
            .chip_revision = 3,
            .rollback = options & 1,
            .anti_rollback = (options & 2) != 0,
        };
        struct sf_boot_decision decision;
        struct sf_diag diag = {0, NULL};
        const int err = sf_bootloader_run(&b, &work, &decision, &diag);
        assert(decision.why != NULL && (err == SF_OK || diag.why != NULL));
        assert((decision.slot == SF_BOOT_NONE) ==
               (sf_bootloader_partition(&work.table, decision.slot) == NULL));
        assert(decision.slot == SF_BOOT_NONE || work.verdict.err == SF_OK);
    }
    return 0;
}
