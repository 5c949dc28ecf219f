#ifndef SF_HOST_ROOT_STORE_H
#define SF_HOST_ROOT_STORE_H

#include "device/ports.h"

/* The trust root in two more raw sectors, for hosts and bare-metal chips without nvs_flash: too
 * large for the log of records. A store in front of another, which keeps all the other records.
 *
 *     struct sf_host_root_store roots;
 *     err = sf_host_root_store_open(&roots, &store.ops, flash,
 *                                   partition->offset + SF_HOST_STORE_SIZE);
 *     config.store = &roots.ops;
 *
 * Each sector holds one copy, and a set overwrites the older: the one before stays, should a cut,
 * or decay, spoil the new one. Bytes (little-endian): 0 magic "SFRT", 4 sequence number u32, 8
 * length u16 (0 = removed), 10 zero[14], 24 crc32 (zlib) of the data, 28 crc32 of bytes 0..27, 32
 * data, FF up to a multiple of 32. */

enum { SF_HOST_ROOT_STORE_SIZE = 2 * SF_SECTOR_SIZE };

struct sf_host_root_store {
    struct sf_store ops; /* hand &ops to whoever needs a struct sf_store */
    /* private */
    const struct sf_store *others;
    const struct sf_flash *flash;
    uint32_t offset;
};

/* Reads nothing yet. Errors: RANGE (write size). */
int sf_host_root_store_open(struct sf_host_root_store *s, const struct sf_store *others,
                            const struct sf_flash *flash, uint32_t offset)
    __attribute__((warn_unused_result));

#endif
