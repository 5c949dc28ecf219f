#ifndef SF_HOST_CRYPT_H
#define SF_HOST_CRYPT_H

#include <mbedtls/aes.h>

#include "device/ports.h"
#include "formats/partition.h"

/* Flash encryption as the chips after the ESP32 have it (XTS-AES, 512-bit key), over any flash:
 * what is written through it lies on the chip as ciphertext, what is read comes back decrypted.
 *
 *     struct sf_host_crypt crypt;
 *     sf_host_crypt_init(&crypt, &chip.ops, key, 16);
 *     config.flash = &crypt.ops;
 *
 * Bytes: a unit is 128 bytes at a multiple of 128, byte-reversed, encrypted by AES-256-XTS with its
 * address (little-endian) as the tweak, and reversed again. Each 16 bytes of it are on their own:
 * that is what can be written at once; a chip may want 32.
 *
 * An erased sector does not read FF. What has been programmed cannot be programmed over, not even
 * with fewer ones: the ciphertext differs in both directions, so flash that refuses to set bits
 * (ports/host/flash.h) refuses it. */

enum {
    SF_HOST_CRYPT_KEY_SIZE = 64,
    SF_HOST_CRYPT_BLOCK = 16,
    SF_HOST_CRYPT_RANGES = 32, /* the largest table of slots has 17, and otadata */
};

struct sf_crypt_range {
    uint32_t offset;
    uint32_t size;
};

struct sf_host_crypt {
    struct sf_flash ops; /* hand &ops to whoever needs a struct sf_flash */
    /* private */
    const struct sf_flash *chip;
    struct sf_crypt_range range[SF_HOST_CRYPT_RANGES];
    unsigned range_count; /* 0 = no table: everything is encrypted */
    mbedtls_aes_xts_context encrypt;
    mbedtls_aes_xts_context decrypt;
};

/* `chip` outlives it. write_size is 16 or 32. Until it gets a table all is encrypted: so a
 * bootloader sees flash. Not to be copied. */
void sf_host_crypt_init(struct sf_host_crypt *c, const struct sf_flash *chip,
                        const uint8_t key[SF_HOST_CRYPT_KEY_SIZE], uint32_t write_size);

/* What esp_partition_read() and _write() go by: applications, otadata, NVS keys, what the table
 * flags as encrypted, and the table with all before it, are encrypted; the rest is not. NULL = all
 * of flash is, again. One access must not reach from the one into the other (SF_ERR_RANGE).
 * SF_ERR_NOSPC: more encrypted partitions than SF_HOST_CRYPT_RANGES; then all of flash is. */
int sf_host_crypt_use_table(struct sf_host_crypt *c, const struct sf_partition_table *table)
    __attribute__((warn_unused_result));

/* The plaintext of `len` bytes at `address` of the chip, both multiples of 16: in place. */
void sf_host_crypt_decrypt(const struct sf_host_crypt *c, uint32_t address, uint8_t *data,
                           size_t len);

/* Encrypts in place, in `cells` of `size_bytes`, what ESP-IDF's bootloader encrypts at its first
 * boot: of the partitions that are to be encrypted all sectors that are not blank, and otadata
 * whole. Errors: those of sf_partition_table_decode() and _check(). */
int sf_host_crypt_first_boot(struct sf_host_crypt *c, uint8_t *cells, uint32_t size_bytes)
    __attribute__((warn_unused_result));

#endif
