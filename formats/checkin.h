#ifndef SF_CHECKIN_H
#define SF_CHECKIN_H

#include "formats/cbor.h"
#include "formats/image.h"
#include "formats/status.h"

/* Both directions of the native protocol: POST /device/v1/checkin and /device/v1/enrol
 * (docs/protocol.md). */

enum {
    SF_PROTOCOL_VERSION = 1,
    SF_CHECKIN_REQUEST_MAX = 1024,
    SF_CHECKIN_ANSWER_MAX = 2048,
    SF_ENROL_REQUEST_MAX = 512,
    SF_DEVICE_ID_MAX = 64, /* characters of [A-Za-z0-9_-] */
    SF_BOOT_ID_SIZE = 8,
    SF_SECRET_SIZE = 32,
    SF_SECRET_HEX_SIZE = 64, /* the secret travels as lower-case hex in the bearer token */
    SF_VERSION_TEXT_MAX = 32,
    SF_HW_REVISION_MAX = 15,
    SF_OUTCOME_TEXT_MAX = 64,
    SF_ATTRIBUTES_MAX = 256,
    SF_OTHER_SLOT_MAX = 16,
    SF_ENROL_TOKEN_MAX = 64,
};

/* Counters of outcomes that no status led to are this and the manifest's seq; a server never counts
 * so far. */
#define SF_OFFLINE_COUNTER (UINT64_C(1) << 62)

/* Slots on the wire: ota_N = N, factory = 32. */
enum { SF_WIRE_SLOT_FACTORY = 32 };

enum sf_reset_reason { /* append-only; sent in reports */
                       SF_RESET_UNKNOWN = 0,
                       SF_RESET_POWER_ON = 1,
                       SF_RESET_SOFTWARE = 2,
                       SF_RESET_PANIC = 3,
                       SF_RESET_WATCHDOG = 4,
                       SF_RESET_BROWNOUT = 5,
                       SF_RESET_DEEP_SLEEP = 6,
                       SF_RESET_EXTERNAL = 7,
};
const char *sf_reset_reason_str(unsigned reason);

enum sf_slot_content { SF_SLOT_EMPTY = 0, SF_SLOT_PARTIAL = 1, SF_SLOT_COMPLETE = 2 };

enum sf_ability { /* key 6, bits */
                  SF_ABILITY_ROLLBACK_KNOWN = 1
                                              << 0, /* whether the bootloader rolls back is known */
                  SF_ABILITY_ROLLBACK = 1 << 1,     /* and it does */
                  SF_ABILITY_RUNS_BOOT_SLOT = 1 << 2, /* running == boot */
                  SF_ABILITY_SECURE_BOOT = 1 << 3,
                  SF_ABILITY_FLASH_ENCRYPTION = 1 << 4,
                  SF_ABILITY_FACTORY = 1 << 5,
                  SF_ABILITY_PATCH_1 = 1 << 8, /* patch format 1 */
};

enum sf_phase { /* key 10; append-only */
                SF_PHASE_IDLE = 0,
                SF_PHASE_DOWNLOADING = 1,
                SF_PHASE_VERIFYING = 2,
                SF_PHASE_INSTALLED = 3, /* verified in the other slot, about to switch */
                SF_PHASE_TRIAL = 4,
                SF_PHASE_CONFIRMED = 5,
};
const char *sf_phase_str(unsigned phase);

struct sf_other_slot {
    uint8_t slot;
    uint8_t content; /* enum sf_slot_content */
    uint8_t has_digest;
    uint8_t confirmed_here;
    uint8_t digest[SF_SHA256_SIZE];
};

struct sf_outcome {
    uint64_t counter; /* of the status that led here; 0 = there is no outcome to report */
    uint32_t attempt; /* 1-based */
    int32_t error;    /* SF_OK = confirmed */
    uint8_t reset_reason;
    char text[SF_OUTCOME_TEXT_MAX + 1];
};

struct sf_checkin {
    uint32_t protocol_version;    /* 1 */
    uint8_t nonce[SF_NONCE_SIZE]; /* 2 */
    uint32_t boot_count;          /* 3 */
    uint8_t boot_id[SF_BOOT_ID_SIZE];
    uint8_t reset_reason;
    uint32_t uptime_s;
    uint8_t running_digest[SF_SHA256_SIZE]; /* 4 */
    uint32_t running_length;
    char running_version[SF_VERSION_TEXT_MAX + 1];
    uint8_t running_slot;
    uint32_t running_state;                        /* ota_state */
    struct sf_other_slot other[SF_OTHER_SLOT_MAX]; /* 5 */
    unsigned other_count;
    uint32_t abilities;     /* 6: enum sf_ability */
    uint16_t chip_id;       /* 7 */
    uint16_t chip_revision; /* major * 100 + minor */
    char hw_revision[SF_HW_REVISION_MAX + 1];
    uint8_t class_uuid[SF_UUID_SIZE];
    uint32_t root_version; /* 8 */
    uint32_t epoch;
    uint64_t seq;
    uint32_t efuse_secure_version;
    uint64_t last_counter; /* 9 */
    uint8_t phase;         /* 10 */
    uint64_t phase_counter;
    uint32_t phase_bytes;
    struct sf_outcome outcome;  /* 11; absent if counter == 0 */
    struct sf_bytes attributes; /* 12: the raw map; len 0 = absent */
    uint32_t longest_sleep_s;   /* 13; 0 = absent */
};

/* Returns the length or SF_ERR_NOSPC / SF_ERR_RANGE. */
int32_t sf_checkin_encode(const struct sf_checkin *c, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));

/* Unknown keys are ignored (but checked as CBOR); 1 to 9 must be there. Views point into `in`. */
int sf_checkin_decode(struct sf_bytes in, struct sf_checkin *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

struct sf_checkin_answer {
    struct sf_bytes status;   /* COSE_Sign1 */
    struct sf_bytes manifest; /* envelope; len 0 = absent: the target is what runs, or "stay" */
};

int32_t sf_checkin_answer_encode(const struct sf_checkin_answer *a, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));
int sf_checkin_answer_decode(struct sf_bytes in, struct sf_checkin_answer *out,
                             struct sf_diag *diag) __attribute__((warn_unused_result));

/* POST /device/v1/enrol: {1: id, 2: SHA-256 of the secret's hex text, 3: class uuid, 4: token}.
 * Answer: 204 enrolled or known already with this secret; 202 quarantined; 401 token refused. */
struct sf_enrol {
    char id[SF_DEVICE_ID_MAX + 1];
    uint8_t secret_digest[SF_SHA256_SIZE];
    uint8_t class_uuid[SF_UUID_SIZE];
    char token[SF_ENROL_TOKEN_MAX + 1];
};

int32_t sf_enrol_encode(const struct sf_enrol *e, uint8_t *out, size_t size)
    __attribute__((warn_unused_result));
int sf_enrol_decode(struct sf_bytes in, struct sf_enrol *out, struct sf_diag *diag)
    __attribute__((warn_unused_result));

/* 1 if 1..64 characters of [A-Za-z0-9_-]. */
int sf_device_id_valid(const char *id);

#endif
