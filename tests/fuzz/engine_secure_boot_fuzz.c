/* The engine with Secure Boot on, and images that carry a block of a key that counts: engine_fuzz.c
 * once more. */
#include <stdint.h>
#include <string.h>

#include "device/ports.h"
#include "formats/crc32.h"
#include "surefoot/surefoot.h"

enum { SIGNED_SIZE = 3 * SF_SBV2_SECTOR_SIZE };

static int keys(void *ctx, struct sf_sbv2_keys *out)
{
    (void)ctx;
    *out = (struct sf_sbv2_keys){.count = 1, .digest_size = 32, .block_count = 3, .enabled = 1};
    return SF_OK;
}

static int verify(void *ctx, const struct sf_sbv2_block *block)
{
    (void)ctx;
    (void)block;
    return SF_OK;
}

static const struct sf_secure_boot port = {
    .check = &sf_secure_boot_v2, .keys = keys, .verifier = {.verify = verify}};

/* P-256; all digests are zero here. */
static void sign_image(uint8_t *image)
{
    uint8_t *block = image + SIGNED_SIZE - SF_SBV2_SECTOR_SIZE;
    memset(block, 0, SF_SBV2_BLOCK_SIZE);
    block[0] = SF_SBV2_MAGIC;
    block[1] = 3;
    block[36] = 2;
    const uint32_t crc = sf_crc32(0, block, SF_SBV2_CRC_OFFSET);
    for (unsigned i = 0; i < 4; i++) {
        block[SF_SBV2_CRC_OFFSET + i] = (uint8_t)(crc >> (8 * i));
    }
}

#define ENGINE_FUZZ_SECURE_BOOT    (&port)
#define ENGINE_FUZZ_IMAGE_SIZE     SIGNED_SIZE
#define ENGINE_FUZZ_SIGN_IMAGE(to) sign_image(to)
/* NOLINTNEXTLINE(bugprone-suspicious-include): one peer for all */
#include "tests/fuzz/engine_fuzz.c"
