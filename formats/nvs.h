#ifndef SF_NVS_H
#define SF_NVS_H

#include <stddef.h>
#include <stdint.h>

#include "formats/err.h"

/* Reading NVS partitions out of flash dumps. We never write NVS pages: on ESP-IDF nvs_flash does.
 * Source: ESP-IDF nvs_flash/src/nvs_page.hpp, nvs_types.hpp, nvs_constants.h. The time taken grows
 * with the square of the number of entries: for dumps of a few hundred KiB, not for devices. */

enum {
    SF_NVS_PAGE_SIZE = 4096,
    SF_NVS_KEY_SIZE = 16, /* with its NUL */
    SF_NVS_NAMESPACE_MAX = 254,
};

enum sf_nvs_type {
    SF_NVS_U8 = 0x01,
    SF_NVS_I8 = 0x11,
    SF_NVS_U16 = 0x02,
    SF_NVS_I16 = 0x12,
    SF_NVS_U32 = 0x04,
    SF_NVS_I32 = 0x14,
    SF_NVS_U64 = 0x08,
    SF_NVS_I64 = 0x18,
    SF_NVS_STR = 0x21,
    SF_NVS_BLOB_V1 = 0x41,
    SF_NVS_BLOB_DATA = 0x42,
    SF_NVS_BLOB_INDEX = 0x48,
};

struct sf_nvs_item {
    char ns[SF_NVS_KEY_SIZE]; /* "" if the namespace entry is missing */
    char key[SF_NVS_KEY_SIZE];
    uint8_t type;        /* enum sf_nvs_type; a blob is told once, as SF_NVS_BLOB_INDEX */
    uint64_t number;     /* integer types, sign-extended */
    uint32_t size_bytes; /* strings (with NUL) and blobs */
    uint32_t offset;     /* of the entry, in the partition */
};

/* Called for each live item, in the order of the page sequence numbers. Return < 0 to stop. */
typedef int sf_nvs_visit(void *ctx, const struct sf_nvs_item *item);

/* Walks a partition of `len` bytes (a multiple of 4096). Damaged pages and entries are skipped, as
 * nvs_flash does, and counted in `damaged` (may be NULL). A string or blob whose value is damaged
 * is not told either. Where a key is there twice, the newer one is told. Returns the number of live
 * items (>= 0), SF_ERR_RANGE for a bad length, or what `visit` returned. */
int32_t sf_nvs_walk(const uint8_t *data, size_t len, sf_nvs_visit *visit, void *ctx,
                    unsigned *damaged) __attribute__((warn_unused_result));

/* Copies the value of a string or blob that a walk over the same bytes told about. Returns its size
 * in bytes, SF_ERR_NOTFOUND if there is no such value, SF_ERR_NOSPC, or SF_ERR_CORRUPT if a chunk
 * is missing or its crc is wrong. */
int32_t sf_nvs_read(const uint8_t *data, size_t len, const struct sf_nvs_item *item, uint8_t *out,
                    size_t size) __attribute__((warn_unused_result));

#endif
