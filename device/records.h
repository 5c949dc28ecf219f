#ifndef SF_RECORDS_H
#define SF_RECORDS_H

#include <stdint.h>

#include "device/ports.h"

/* The small records that outlive a reset, and their bytes.
 *
 * A record is little-endian {version u16, length u16, fields, crc u32}: length counts the fields,
 * crc is CRC-32 (zlib) of everything before it. Fields are appended only. An older engine reads a
 * newer one's record (it ignores what it does not know) and a newer engine an older one's (what is
 * missing is zero): either may run next, because an update can roll back. */

enum {
    SF_RECORD_VERSION = 1,
    SF_RECORD_OVERHEAD = 8,
    SF_GOOD_MAX = 4,  /* images remembered as known good */
    SF_ETAG_MAX = 80, /* characters */
    SF_NO_WIRE_SLOT = 255,
};

struct sf_record_cred {
    uint8_t secret[SF_SECRET_SIZE];
    uint8_t known; /* the server has accepted it */
};

enum sf_trial_kind {
    SF_TRIAL_INSTALL = 0,
    SF_TRIAL_ROLL_BACK = 1, /* back to the known good image of the other slot */
    SF_TRIAL_FOREIGN = 2,   /* an image somebody else installed, found PENDING_VERIFY */
};

struct sf_record_trial { /* an open trial; absent = none */
    uint8_t open;
    uint8_t kind;     /* enum sf_trial_kind */
    uint8_t slot;     /* wire slot */
    uint32_t ota_seq; /* of the otadata entry that starts the trial */
    uint64_t counter; /* of the status that led here, or SF_OFFLINE_COUNTER | seq; 0 = none */
    uint32_t attempt;
    uint8_t digest[SF_SHA256_SIZE];
    uint32_t length;
    uint32_t fingerprint;
    uint8_t boots;       /* of the trial's slot, counted by the early hook */
    uint8_t power_boots; /* of these, how many came from a power-type reset */
    uint8_t confirming;  /* every condition was met: only the bookkeeping may be missing */
    int32_t error;       /* why the trial was ended by us; 0 = it was not */
    uint8_t reset_reason;
    char text[25]; /* the self-test that failed */
};

struct sf_record_failed { /* how often the image of one status has failed here */
    uint64_t counter;
    uint8_t digest[SF_SHA256_SIZE];
    uint8_t slot;      /* where that image still is, complete; SF_NO_WIRE_SLOT = nowhere */
    uint32_t length;   /* of it */
    uint8_t soft;      /* failures that may be chance: power, flash */
    uint8_t refused;   /* no more attempts under this counter */
    uint8_t undecided; /* the trial missed only the server; counts once the old image reaches it */
    uint32_t attempt;  /* the last one counted */
    int32_t error;
};

struct sf_record_progress {
    uint8_t slot; /* wire slot */
    uint8_t digest[SF_SHA256_SIZE];
    uint32_t length;
    uint32_t bytes; /* multiple of SF_SECTOR_SIZE, never more than is in flash */
    char etag[SF_ETAG_MAX + 1];
    uint8_t manifest_digest[SF_SHA256_SIZE]; /* of the manifest that named it */
};

struct sf_record_floor { /* never below */
    uint64_t seq;
    uint32_t epoch;
    uint8_t manifest_digest[SF_SHA256_SIZE]; /* of the manifest with that seq */
    uint64_t counter;                        /* of the last status accepted */
    int64_t time;                            /* signed, Unix seconds; at most a day behind */
    uint32_t status_epoch;                   /* of the status role, that counter and time are of */
};

struct sf_record_out {
    struct sf_outcome outcome; /* counter 0 = none */
    uint8_t acknowledged;      /* the server has it; kept to number the next attempt */
};

struct sf_good_image {
    uint8_t slot; /* wire slot */
    uint32_t length;
    uint32_t fingerprint;
    uint8_t digest[SF_SHA256_SIZE];
};

struct sf_record_good {
    uint8_t count;
    struct sf_good_image image[SF_GOOD_MAX]; /* newest first */
};

struct sf_record_boot {
    uint32_t count;
    uint8_t rollback; /* enum sf_rollback_ability, as seen in a trial */
};

/* Encodes the struct of `key` (SF_RECORD_CRED: struct sf_record_cred, ...). Returns the length or
 * SF_ERR_NOSPC; SF_ERR_UNSUPPORTED for SF_RECORD_ROOT, which is no record of this form. */
int32_t sf_record_encode(enum sf_record key, const void *record, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));

/* Errors: SF_ERR_TRUNCATED, SF_ERR_CORRUPT (crc); the struct is then all zeros. */
int sf_record_decode(enum sf_record key, const uint8_t *data, size_t len, void *record)
    __attribute__((warn_unused_result));

/* Through the store. A missing or damaged record loads as zeros: SF_ERR_NOTFOUND, SF_ERR_CORRUPT;
 * SF_ERR_STORE if the store itself failed. */
int sf_record_load(const struct sf_store *store, enum sf_record key, void *record)
    __attribute__((warn_unused_result));
int sf_record_save(const struct sf_store *store, enum sf_record key, const void *record)
    __attribute__((warn_unused_result));
int sf_record_remove(const struct sf_store *store, enum sf_record key)
    __attribute__((warn_unused_result));

#endif
