#ifndef FLEET_DEVICE_H
#define FLEET_DEVICE_H

#include <stdint.h>

#include "formats/checkin.h"
#include "formats/md5.h"
#include "server/fleet/event.h"

/* A device as the server knows it, and the rules of identity: enrolment, authentication,
 * quarantine, suspicion of a clone. Pure: rows in, rows out; time is a parameter. */

enum { DIGEST_SIZE = SF_SHA256_SIZE, NAME_MAX_LEN = 64, VERSION_MAX_LEN = SF_VERSION_TEXT_MAX };

enum device_state { /* stored: append only */
                    DEVICE_ENROLLED = 1,
                    DEVICE_QUARANTINED =
                        2, /* enrolled, and another secret waits for approval under its id. The
                               first secret goes on working: a token out of a firmware image must
                               not be enough to stop a device's updates */
                    DEVICE_REVOKED = 3,
};
const char *device_state_str(uint32_t state); /* "enrolled"; static */

enum device_kind { DEVICE_NATIVE = 1, DEVICE_PLAIN = 2 }; /* stored */
const char *device_kind_str(uint32_t kind);               /* "surefoot", "plain"; static */

/* Conditions that are shown until somebody clears them; bits. */
enum device_alarm {
    DEVICE_ALARM_CLONE = 1 << 0,
    DEVICE_ALARM_COUNTER = 1 << 1, /* it knew a higher counter than the server */
    DEVICE_ALARM_CLASS = 1 << 2,
};

/* One row. A digest of zeros means "none" throughout. */
struct device {
    int64_t row; /* the store's number of it */
    int64_t product_id;
    int64_t class_id;                    /* hardware revision */
    uint8_t class_uuid[SF_UUID_SIZE];    /* of class_id */
    uint32_t state;                      /* enum device_state */
    uint32_t alarms;                     /* enum device_alarm */
    uint8_t secret_digest[DIGEST_SIZE];  /* SHA-256 of the secret's hex text */
    uint8_t pending_digest[DIGEST_SIZE]; /* of the secret that waits for approval */
    int64_t enrolled_at;                 /* Unix seconds, as all times here */
    int64_t changed_at;                  /* of this row */
    int64_t revoked_at;                  /* 0 = is not */
    /* what it shall do */
    uint64_t desired_seq;     /* the status counter; from 1 */
    uint32_t desired_action;  /* enum sf_status_action */
    uint32_t kind;            /* enum device_kind; 0 is taken for native */
    int64_t desired_release;  /* 0 with stay and cancel */
    int64_t deployment_id;    /* its latest deployment, 0 = none yet */
    int64_t override_release; /* 0 = the product's target counts */
    int64_t override_gen;     /* number of the operator's order, see struct target */
    /* what it last reported; all zero until reported_at */
    int64_t reported_at; /* first check-in; 0 = has never checked in */
    uint8_t running_digest[DIGEST_SIZE];
    uint32_t running_length;              /* bytes */
    uint32_t running_slot;                /* SF_WIRE_SLOT_* */
    uint32_t running_state;               /* ota_state */
    uint8_t way_back_digest[DIGEST_SIZE]; /* complete and confirmed image in another slot */
    uint32_t abilities;                   /* enum sf_ability */
    uint32_t chip_id;
    uint32_t chip_revision;
    uint32_t root_version;
    uint32_t epoch;
    uint64_t seq;
    uint32_t efuse_secure_version;
    uint32_t phase; /* enum sf_phase */
    /* its last outcome; counter 0 = none yet */
    uint64_t outcome_counter;
    uint32_t outcome_attempt;
    int32_t outcome_error;
    uint32_t outcome_reset_reason;
    /* of a plain device, which reports little else */
    uint8_t running_md5[SF_MD5_SIZE]; /* as it says */
    /* the texts of all that, last because of their odd sizes */
    char id[SF_DEVICE_ID_MAX + 1];
    char running_version[VERSION_MAX_LEN + 1];
    char hw_revision[SF_HW_REVISION_MAX + 1];
    char outcome_text[SF_OUTCOME_TEXT_MAX + 1];
};

/* What changes with every poll: kept in memory, flushed every few seconds, not promised. */
struct device_seen {
    int64_t device_row;
    int64_t last_seen; /* Unix seconds; 0 = never */
    uint32_t boot_count;
    uint8_t boot_id[SF_BOOT_ID_SIZE];
    uint8_t previous_boot_id[SF_BOOT_ID_SIZE]; /* the one before boot_id; zeros = none */
    uint32_t reset_reason;                     /* enum sf_reset_reason */
    uint32_t uptime_s;
    uint32_t phase_bytes;     /* progress of a download */
    uint32_t next_checkin_s;  /* what it was told */
    uint32_t longest_sleep_s; /* what it declared; 0 = nothing */
    uint64_t last_counter;    /* of the last status it accepted */
};

/* The row that stands after this check-in. */
void device_seen_update(struct device_seen *seen, const struct sf_checkin *report,
                        uint32_t next_checkin_s, int64_t now);

/* Why this check-in looks like a second device with the same credential: a static phrase, or NULL.
 * The boot count went back, or two boot ids alternate. */
const char *device_clone_suspicion(const struct device_seen *before,
                                   const struct sf_checkin *report);

/* SF_OK if this secret may check in; SF_ERR_QUARANTINED if it waits for approval; else
 * SF_ERR_UNAUTHORIZED (wrong secret, or the device is revoked). Constant time in the secret. */
int device_authenticate(const struct device *device, const uint8_t secret_digest[DIGEST_SIZE])
    __attribute__((warn_unused_result));

enum enrol_verdict {
    ENROL_NEW,         /* 204, and the row is to be added */
    ENROL_KNOWN,       /* 204: id and secret are known, nothing changes */
    ENROL_QUARANTINED, /* 202: the row holds the other secret until somebody approves */
    ENROL_REFUSED,     /* 401; `error` says why */
};

struct enrol_input {
    const struct sf_enrol *request;
    const struct device *known; /* the row with this id, or NULL */
    int64_t product_id;         /* of the request's class; 0 = no such class */
    int64_t class_id;
    int64_t token_product_id; /* product of the enrolment token; 0 = unknown or expired token */
};

struct enrol_decision {
    enum enrol_verdict verdict;
    int error;            /* SF_OK or the reason of ENROL_REFUSED */
    int changed;          /* `device` and `event` are to be written */
    int was_plain;        /* the row was a plain device's */
    struct device device; /* the new row */
    struct event event;
};

void device_enrol(const struct enrol_input *in, int64_t now, struct enrol_decision *out);

/* What an operator decides. Each changes the row, fills `event` and returns SF_OK, or SF_ERR_STATE
 * if it makes no sense now: approve and reject need a quarantined device. Revoke is final for that
 * secret: a revoked id that enrols again is refused until it is approved. */
int device_approve(struct device *d, int64_t now, struct event *event)
    __attribute__((warn_unused_result));
int device_reject(struct device *d, int64_t now, struct event *event)
    __attribute__((warn_unused_result));
int device_revoke(struct device *d, int64_t now, struct event *event)
    __attribute__((warn_unused_result));
int device_clear_alarms(struct device *d, int64_t now, struct event *event)
    __attribute__((warn_unused_result));

#endif
