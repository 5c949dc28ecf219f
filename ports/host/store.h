#ifndef SF_HOST_STORE_H
#define SF_HOST_STORE_H

#include "device/ports.h"

/* The record store on two raw flash sectors, for hosts and bare-metal chips without nvs_flash.
 * Needs no heap; works on any struct sf_flash with a write size of up to 32 bytes. One thread.
 *
 *     struct sf_host_store store;
 *     int err = sf_host_store_open(&store, flash, partition->offset);
 *     config.store = &store.ops;
 *
 * Bytes (little-endian). A sector: 0 magic "SFST", 4 sequence number u32, 8 format version u32 = 1,
 * or 2 where erased flash does not read FF (flash encryption), 12 crc32 (zlib) of bytes 0..11,
 * 16 FF up to 32, then records back to back. A record: 0 magic u16 0xa55a, 2 key u8, 3 zero,
 * 4 length u16, 6 zero u16, 8 crc32 of the data, 12 crc32 of bytes 0..11, 16 data, FF up to a
 * multiple of 32. The last record of a key counts; length 0 removes it. */

enum {
    /* Keys of a newer firmware are carried along, so that a rollback does not lose them. */
    SF_HOST_STORE_KEYS = 16,
    SF_HOST_STORE_SIZE = 2 * SF_SECTOR_SIZE,
};

struct sf_host_store {
    struct sf_store ops; /* hand &ops to whoever needs a struct sf_store */
    /* private */
    const struct sf_flash *flash;
    uint32_t offset;
    int active;        /* 0 or 1; -1 = neither sector is in use yet */
    int full;          /* the active sector takes no more records: the next set moves on */
    int is_blind;      /* what is erased does not read FF there: version 2 */
    uint32_t sequence; /* of the active sector */
    uint32_t end;      /* first free byte of the active sector */
    uint16_t
        at[SF_HOST_STORE_KEYS]; /* record's place in the active sector; 0 = none, 1 = damaged */
};

/* Reads the sectors at `offset` (a multiple of SF_SECTOR_SIZE). Blank or foreign sectors are an
 * empty store. To be done at each boot. Errors: IO (flash), RANGE (write size). */
int sf_host_store_open(struct sf_host_store *s, const struct sf_flash *flash, uint32_t offset)
    __attribute__((warn_unused_result));

#endif
