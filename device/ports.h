#ifndef SF_PORTS_H
#define SF_PORTS_H

#include <stddef.h>
#include <stdint.h>

#include "formats/checkin.h"
#include "formats/crypto.h"
#include "formats/sbv2.h"

/* What the update engine needs of its platform: four structs of functions, filled by a port
 * (ports/host/, ports/esp-idf/, ...). A port decides nothing. Every function returns SF_OK (or a
 * count) or an error < 0 of formats/err.h; none is called from more than one thread at a time. */

/* NOR flash by absolute address. On ESP-IDF the port maps an address to its esp_partition, so reads
 * come back decrypted where flash encryption is on. */
struct sf_flash {
    void *ctx;
    int (*read)(void *ctx, uint32_t address, void *out, size_t len);
    /* Programs bits from 1 to 0; address and len are multiples of write_size. */
    int (*write)(void *ctx, uint32_t address, const void *data, size_t len);
    /* address and len are multiples of SF_SECTOR_SIZE. The engine erases one sector a call. */
    int (*erase)(void *ctx, uint32_t address, size_t len);
    uint32_t write_size; /* bytes: 4, or 16 or 32 with flash encryption */
};
enum { SF_SECTOR_SIZE = 4096 };

/* Small records by key, atomic per key and durable in the order of the calls: nvs_flash on ESP-IDF,
 * two raw sectors on host and RV32. Namespace "surefoot". */
enum sf_record {
    SF_RECORD_CRED,   /* credential: the secret, and whether the server knows it */
    SF_RECORD_TRIAL,  /* an open trial: slot, digest, counter, attempt, boots counted */
    SF_RECORD_FAILED, /* the release refused after its attempts */
    SF_RECORD_PROG,   /* download progress */
    SF_RECORD_FLOOR,  /* counters never to go below: seq, epoch, status counter, last signed time */
    SF_RECORD_ROOT,   /* trust root */
    SF_RECORD_OUT,    /* the outcome not yet acknowledged */
    SF_RECORD_GOOD,   /* digest and length of the image known good in each slot */
    SF_RECORD_BOOT,   /* boot counter */
    SF_RECORD_FLOOR_COPY, /* FLOOR as of the last commit, should that one decay */
    SF_RECORD_COUNT,
};
enum {
    SF_RECORD_MAX = 192,       /* bytes, header and crc included */
    SF_ROOT_RECORD_MAX = 1416, /* of SF_RECORD_ROOT alone: kept by firmware with a trust root */
};

struct sf_store {
    void *ctx;
    /* Returns the length (<= size), SF_ERR_NOTFOUND, SF_ERR_CORRUPT or SF_ERR_IO. NOTFOUND means
     * that it was never set, or removed: not that a read failed, or that it is damaged. */
    int32_t (*get)(void *ctx, enum sf_record key, void *out, size_t size);
    /* len 0 removes the record. After SF_OK the value survives a power cut. */
    int (*set)(void *ctx, enum sf_record key, const void *data, size_t len);
};

struct sf_platform {
    void *ctx;
    enum sf_reset_reason (*reset_reason)(void *ctx);
    /* Whether the bootloader would boot the image in `slot` (0.. or SF_BOOT_FACTORY):
     * esp_image_verify() on ESP-IDF. SF_OK, or the error that says why not. May take as long as
     * hashing the slot. NULL = not known: the engine's own read-back hash must do. */
    int (*slot_bootable)(void *ctx, int slot);
    /* The application's word on starting (and activating) an update now: battery, busy. NULL =
     * always. SF_OK or SF_ERR_NOT_NOW. */
    int (*may_update_now)(void *ctx);
    /* Highest secure_version burnt in eFuse; NULL = 0. */
    uint32_t (*efuse_secure_version)(void *ctx);
    /* Told once the trial starts, and once it ends (deadline 0): the port arms a timer or RTC
     * watchdog outside the engine's task that resets the chip `deadline_ms` from now: a while after
     * the engine itself would have rolled back. NULL = none. */
    void (*trial_deadline)(void *ctx, uint32_t deadline_ms);
};

/* Secure Boot V2, where the firmware wants images judged by it: see &sf_secure_boot_v2. */
struct sf_image_check;
struct sf_secure_boot {
    void *ctx;
    const struct sf_image_check *check; /* &sf_secure_boot_v2 */
    /* The eFuse's key digests that are not revoked, and whether Secure Boot is on (if it is not,
     * the rest of `out`, zero before, may stay so). */
    int (*keys)(void *ctx, struct sf_sbv2_keys *out);
    struct sf_sbv2_verifier verifier; /* of the schemes that the chip's bootloader takes */
};

#endif
