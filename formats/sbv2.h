#ifndef SF_SBV2_H
#define SF_SBV2_H

#include <stddef.h>
#include <stdint.h>

#include "formats/crypto.h"
#include "formats/err.h"

/* Secure Boot V2's signature sector: the 4096 bytes on the next 4 KiB boundary behind an app image,
 * with up to three signature blocks of 1216 bytes. Source: ESP-IDF bootloader_support/include/
 * esp_secure_boot.h, src/secure_boot_v2/; esptool's espsecure. docs/formats.md has the bytes.
 *
 * Nothing here knows how to compute a signature: a port that does fills a struct sf_sbv2_verifier,
 * so a firmware that never names one links no RSA for it. */

enum {
    SF_SBV2_MAGIC = 0xe7, /* a block's first byte */
    SF_SBV2_SECTOR_SIZE = 4096,
    SF_SBV2_BLOCK_SIZE = 1216,
    SF_SBV2_CRC_OFFSET = 1196, /* in a block: CRC-32 (zlib) of what is before it */
    SF_SBV2_BLOCK_MAX = 3,     /* in a sector */
    SF_SBV2_KEY_MAX = 3,       /* in the eFuse */
    SF_SBV2_DIGEST_MAX = 48,
    SF_SBV2_KEY_DIGEST_MIN = 16, /* bytes of it that the C2 keeps */
    SF_SBV2_NUMBER_MAX = 384,
};

enum sf_sbv2_scheme {
    SF_SBV2_RSA_3072, /* PSS, MGF1 with SHA-256, 32 bytes of salt */
    SF_SBV2_ECDSA_P192,
    SF_SBV2_ECDSA_P256,
    SF_SBV2_ECDSA_P384, /* over SHA-384; the others over SHA-256 */
};

/* "RSA-3072", "ECDSA P-256", ...; static. */
const char *sf_sbv2_scheme_str(enum sf_sbv2_scheme scheme);

/* A decoded block: views into its bytes. All numbers are little-endian. */
struct sf_sbv2_block {
    const uint8_t *image_digest; /* of the image, as the block says */
    const uint8_t *key;          /* all that the key digest covers */
    const uint8_t *public_key;   /* RSA: n; else x, then y */
    const uint8_t *signature;    /* RSA: one number; else r, then s */
    uint16_t image_digest_len;   /* 32, or 48 with P-384 */
    uint16_t key_len;
    uint16_t number_len; /* of n, x, y, r, s: 384; 24, 32, 48 */
    uint8_t scheme;      /* enum sf_sbv2_scheme */
    uint32_t exponent;   /* RSA: e */
};

/* What bootloaders ask of a block before they look into it: magic and crc. Returns 1 or 0. */
int sf_sbv2_is_block(const uint8_t bytes[SF_SBV2_BLOCK_SIZE]);

/* Errors: NOTFOUND (FF: nothing was written here), MAGIC, CHECKSUM, VERSION, ALGORITHM (unknown
 * hash or curve). `diag` has the offset in the block. Bytes that no bootloader reads are not
 * judged. */
int sf_sbv2_block_decode(const uint8_t bytes[SF_SBV2_BLOCK_SIZE], struct sf_sbv2_block *out,
                         struct sf_diag *diag) __attribute__((warn_unused_result));

/* Where the bytes lie that a block's key digest covers, told by its first four bytes; for who reads
 * a block in pieces. */
struct sf_sbv2_span {
    uint16_t offset;
    uint16_t len;
};
struct sf_sbv2_span sf_sbv2_key_span(const uint8_t start[4]);

/* SHA-256 of the block's key, as it is burnt into the eFuse (the C2 keeps the first 16 bytes). */
int sf_sbv2_key_digest(const struct sf_sbv2_block *block, const struct sf_crypto *crypto,
                       uint8_t digest[SF_SHA256_SIZE]) __attribute__((warn_unused_result));

/* The keys that count, and for how many blocks. */
struct sf_sbv2_keys {
    uint8_t digest[SF_SBV2_KEY_MAX][SF_SHA256_SIZE];
    uint8_t count;       /* revoked ones left out */
    uint8_t digest_size; /* bytes compared: 32; 16 on the C2 */
    uint8_t block_count; /* blocks looked at: 3; 1 on ESP32 and C2, and without Secure Boot */
    uint8_t enabled;     /* Secure Boot V2 is on: what no key has signed does not boot */
};

/* What a port knows of signatures. Threads: as its struct sf_crypto. */
struct sf_sbv2_verifier {
    void *ctx; /* handed to each function */
    /* Whether the block's key has signed the digest that the block names. SF_OK, SIGNATURE,
     * UNSUPPORTED (a scheme that this port leaves out), or CRYPTO. */
    int (*verify)(void *ctx, const struct sf_sbv2_block *block);
    /* SHA-384 for P-384; all NULL where the port leaves that out. Used like the SHA-256 of struct
     * sf_crypto, whose sha256_end() without a digest must be able to abandon these, too. */
    int (*sha384_start)(void *ctx, struct sf_sha256 *hash);
    int (*sha384_feed)(void *ctx, struct sf_sha256 *hash, const void *data, size_t len);
    int (*sha384_end)(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SBV2_DIGEST_MAX]);
};

struct sf_sbv2_trust {
    const struct sf_crypto *crypto; /* needs the sha256 functions only */
    const struct sf_sbv2_verifier *verifier;
    const struct sf_sbv2_keys *keys;
};

/* The first block, from number `first` on, that a key which counts has signed; whether the digest
 * it signed is the image's remains to be seen. Returns its number (>= 0) with views into `sector`,
 * or an error: UNSIGNED (no block), BOOT_KEY (none of a key that counts), BOOT_SIGNATURE,
 * UNSUPPORTED, or what the port returned. */
int sf_sbv2_find(const uint8_t sector[SF_SBV2_SECTOR_SIZE], unsigned first,
                 const struct sf_sbv2_trust *trust, struct sf_sbv2_block *out)
    __attribute__((warn_unused_result));

/* The image's hash for a block whose image_digest_len is `digest_len`: SHA-256 or SHA-384. */
int sf_sbv2_hash_start(const struct sf_sbv2_trust *trust, size_t digest_len, struct sf_sha256 *hash)
    __attribute__((warn_unused_result));
int sf_sbv2_hash_feed(const struct sf_sbv2_trust *trust, size_t digest_len, struct sf_sha256 *hash,
                      const uint8_t *data, size_t len) __attribute__((warn_unused_result));
int sf_sbv2_hash_end(const struct sf_sbv2_trust *trust, size_t digest_len, struct sf_sha256 *hash,
                     uint8_t digest[SF_SBV2_DIGEST_MAX]) __attribute__((warn_unused_result));

/* A signed image in flash, or in memory that looks like it. */
struct sf_sbv2_image {
    void *ctx;
    /* Reads by absolute address, as struct sf_flash's read. SF_OK or an error < 0. */
    int (*read)(void *ctx, uint32_t address, void *out, size_t len);
    uint32_t address; /* of the image's first byte */
    uint32_t length;  /* up to the signature sector: a multiple of 4096 */
};

/* All of it at once: some block is of a key that counts, its signature holds, and it signs this
 * very image. Returns the block's number or an error: as sf_sbv2_find(), or what read() returned.
 * `scratch` is clobbered. */
int sf_sbv2_check(const struct sf_sbv2_image *image, const struct sf_sbv2_trust *trust,
                  uint8_t scratch[SF_SBV2_SECTOR_SIZE], struct sf_diag *diag)
    __attribute__((warn_unused_result));

#endif
