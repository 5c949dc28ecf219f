#ifndef CLI_SIGNATURE_H
#define CLI_SIGNATURE_H

#include <jansson.h>

#include "formats/image.h"
#include "formats/sbv2.h"

/* The Secure Boot V2 signatures of a file: its last 4096 bytes, judged block by block. */

struct signature_block {
    int err;             /* SF_OK: its key has signed this file; NOTFOUND: nothing is there */
    struct sf_diag diag; /* of another err: offset in the file, and why */
    int has_key;         /* it is a block; the rest is known then */
    uint8_t scheme;      /* enum sf_sbv2_scheme */
    uint8_t key_digest[SF_SHA256_SIZE];
};

struct signature {
    uint32_t offset; /* of the sector */
    unsigned count;  /* blocks that are there, sound or not */
    struct signature_block block[SF_SBV2_BLOCK_MAX];
};

/* No block at all. */
void signature_none(struct signature *out);

/* SF_OK, or UNSIGNED with `diag` for a file without room for a sector, or without any block in
 * it, or CRYPTO. A block that does not sign the file is no error here. */
int signature_read(const uint8_t *data, size_t len, struct signature *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* 1 if the file's last 4 KiB are where bootloaders look, as far as can be known. */
int signature_is_in_place(const struct sf_image_parser *image, size_t len);

/* A line for each block, and an array of objects. */
void signature_print(const struct signature *s);
json_t *signature_json(const struct signature *s);

/* How many blocks the chip's ROM looks at, and whether it knows the scheme at all. */
unsigned signature_block_count(uint16_t chip_id);
int signature_scheme_fits(uint16_t chip_id, enum sf_sbv2_scheme scheme);

#endif
