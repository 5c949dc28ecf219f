#ifndef SF_VERDICT_H
#define SF_VERDICT_H

#include <stddef.h>
#include <stdint.h>

#include "formats/image.h"
#include "formats/sbv2.h"

/* Would the second-stage bootloader boot the image in this slot? The same checks as its
 * esp_image_verify (bootloader_support/src/esp_image_format.c, bootloader_common_loader.c):
 * header, chip, chip revision, segments, checksum, appended hash. It does not look at app_desc,
 * the updater record or what follows the image, so neither does this, but for the signature sector
 * where Secure Boot V2 is on. Not checked: whether a segment's RAM address suits that bootloader's
 * own layout. */

struct sf_verdict_input {
    void *ctx;
    /* Reads flash by absolute address, as struct sf_flash's read. SF_OK or an error < 0. */
    int (*read)(void *ctx, uint32_t address, void *out, size_t len);
    const struct sf_crypto *crypto;          /* needs the sha256 functions only */
    uint32_t address;                        /* of the slot, bytes */
    uint32_t size;                           /* of the slot, bytes */
    uint16_t chip_id;                        /* of the chip that boots */
    uint16_t chip_revision;                  /* major * 100 + minor; v0.3 = 3 */
    const struct sf_sbv2_trust *secure_boot; /* NULL = off, and so where its keys say so */
};

enum { SF_VERDICT_CHUNK = 512 };

/* Result and working memory (about 6 KiB) in one. */
struct sf_verdict {
    int err;             /* what sf_verdict_image() returned */
    struct sf_diag diag; /* if err: offset in the slot and why */
    struct sf_image_parser image;
    uint8_t chunk[SF_VERDICT_CHUNK];
    uint8_t sector[SF_SBV2_SECTOR_SIZE]; /* with secure_boot only */
};

/* SF_OK if the bootloader would boot it, else the first reason why not: what read() returned,
 * MAGIC, CHIP_UNKNOWN, CHIP, CHIP_REVISION, SEGMENTS, CHECKSUM, HASH, NOSPC (runs beyond the slot),
 * TRUNCATED, RANGE, what sf_sbv2_check() says of its signature, or what the crypto port
 * returned. */
int sf_verdict_image(const struct sf_verdict_input *in, struct sf_verdict *out)
    __attribute__((warn_unused_result));

#endif
