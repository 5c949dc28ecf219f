#ifndef FLEET_RELEASE_H
#define FLEET_RELEASE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/image.h"
#include "formats/manifest.h"
#include "server/fleet/device.h"

/* What may be published. Each check returns SF_OK, or an error with a whole sentence in `why` that
 * says what, where and what to do. Pure. */

enum { RELEASE_WHY_SIZE = 256 };

enum product_kind { PRODUCT_SUREFOOT = 1, PRODUCT_PLAIN = 2 }; /* stored */
const char *product_kind_str(uint32_t kind);                   /* "surefoot", "plain"; static */

/* Bits: what the publisher insists on by name. */
enum release_force {
    RELEASE_FORCE_NO_RECORD = 1 << 0, /* "no-record": an image without updater record */
};

struct release_context {
    const char *product; /* name */
    uint32_t kind;       /* enum product_kind */
    uint32_t chip_id;
    uint32_t smallest_slot; /* bytes; 0 = unknown, not checked */
    uint8_t vendor_uuid[SF_UUID_SIZE];
    uint8_t class_uuid[SF_UUID_SIZE]; /* of the hardware revision */
    const char *hw_revision;
    uint32_t latest_secure_version; /* highest of the product's releases; 0 = none */
    uint64_t reserved_seq;          /* numbers below it were given out in the class */
    uint64_t last_seq;              /* highest published in the class; 0 = none */
    unsigned force;                 /* enum release_force */
};

struct release_image { /* facts of an uploaded file */
    const char *name;  /* for sentences: the file's or the artifact's name */
    struct sf_image_head head;
    uint32_t length; /* bytes */
    uint8_t digest[SF_SHA256_SIZE];
    /* what plain clients compare */
    uint8_t md5[SF_MD5_SIZE];
    uint8_t app_sha256[SF_SHA256_SIZE]; /* appended to the image; zeros = none */
};

/* Errors: CHIP, NOSPC (larger than the smallest slot), NO_RECORD, CLASS (record of another class),
 * SECURE_VERSION (lower than a release before). */
int release_check_image(const struct release_context *c, const struct release_image *image,
                        char why[RELEASE_WHY_SIZE]) __attribute__((warn_unused_result));

/* Of a manifest whose signature was verified. Errors: CLASS (vendor or class), DIGEST, IMAGE_SIZE,
 * RANGE (an odd seq: kept for return manifests), SEQ_OLD (not above last_seq), SEQ_JUMP (never
 * reserved), PROFILE (the uri is not /artifacts/<sha256 of the image>), VERSION (manifest and
 * release name different versions). */
int release_check_manifest(const struct release_context *c, const struct release_image *image,
                           const struct sf_manifest *m, const char *version,
                           char why[RELEASE_WHY_SIZE]) __attribute__((warn_unused_result));

/* SF_OK if the text may name a release: 1..32 characters of [A-Za-z0-9._+-]. */
int release_check_version(const char *version, char why[RELEASE_WHY_SIZE])
    __attribute__((warn_unused_result));

enum version_order {
    VERSION_LESS = -1,
    VERSION_EQUAL = 0,
    VERSION_MORE = 1,
    VERSION_UNRELATED = 2
};

/* SemVer 2.0.0 precedence (clause 11; build metadata is ignored). If either is no SemVer: EQUAL for
 * the same text, else UNRELATED. */
enum version_order version_compare(const char *a, const char *b);

#endif
