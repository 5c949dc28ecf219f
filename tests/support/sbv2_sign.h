#ifndef SBV2_SIGN_H
#define SBV2_SIGN_H

#include "base/sbv2_openssl.h"

/* Signs images for Secure Boot V2 as espsecure does: what tests need of many images and keys. */

struct sbv2_signer {
    EVP_PKEY *pkey;
    struct sbv2_key key;
    uint8_t digest[SF_SHA256_SIZE]; /* of the key, as the eFuse has it */
};

/* A new key. Aborts the test program if anything fails, as all here do. */
void sbv2_signer_open(struct sbv2_signer *signer, enum sf_sbv2_scheme scheme);
void sbv2_signer_close(struct sbv2_signer *signer);

/* The public key as a PEM file. */
void sbv2_signer_save(const struct sbv2_signer *signer, const char *path);

/* One block over image[0, len), `len` a multiple of 4096. */
void sbv2_sign_block(const struct sbv2_signer *signer, const uint8_t *image, size_t len,
                     uint8_t block[SF_SBV2_BLOCK_SIZE]);

/* The crc over a block whose fields were changed. */
void sbv2_reseal(uint8_t block[SF_SBV2_BLOCK_SIZE]);

/* Pads the image of `len` bytes with FF to 4 KiB and puts a sector with a block of each signer
 * behind it; `image` has room for 8 KiB more. Returns the new length. */
size_t sbv2_sign(uint8_t *image, size_t len, const struct sbv2_signer *const *signers,
                 unsigned count);

#endif
