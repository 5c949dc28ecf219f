#ifndef FLEET_DEPLOYMENT_H
#define FLEET_DEPLOYMENT_H

#include <stdint.h>

#include "server/fleet/device.h"

/* One device getting one release: the states, and the const table of what may follow what
 * (docs/database.md has its picture). At most one deployment of a device is active. */

/* Stored: append only; the order up to CONFIRMED is the order of progress. */
enum deployment_state {
    DEPLOYMENT_QUEUED = 1,
    DEPLOYMENT_OFFERED = 2,
    DEPLOYMENT_DOWNLOADING = 3,
    DEPLOYMENT_INSTALLED = 4,
    DEPLOYMENT_TRIAL = 5,
    DEPLOYMENT_CONFIRMED = 6,
    DEPLOYMENT_FAILED = 7,
    DEPLOYMENT_ROLLED_BACK = 8,
    DEPLOYMENT_TIMED_OUT = 9,
    DEPLOYMENT_CANCELLED = 10,
    DEPLOYMENT_SUPERSEDED = 11,
    DEPLOYMENT_STATE_COUNT = 12, /* state 0 is none */
};
const char *deployment_state_str(uint32_t state); /* "rolled_back"; static */

/* Active = not terminal: 1 for QUEUED .. TRIAL. */
int deployment_active(uint32_t state);

enum deployment_event {
    DEPLOYMENT_EV_OFFER,
    DEPLOYMENT_EV_DOWNLOADING, /* the device reports ... */
    DEPLOYMENT_EV_INSTALLED,
    DEPLOYMENT_EV_TRIAL,
    DEPLOYMENT_EV_CONFIRM,
    DEPLOYMENT_EV_FAIL,
    DEPLOYMENT_EV_ROLL_BACK,
    DEPLOYMENT_EV_RETRY, /* failed, and it is worth another attempt */
    DEPLOYMENT_EV_EXPIRE,
    DEPLOYMENT_EV_CANCEL,
    DEPLOYMENT_EV_SUPERSEDE,
    DEPLOYMENT_EV_COUNT,
};

/* The next state (> 0), or SF_ERR_STATE: the event is for the history only. */
int deployment_next(uint32_t state, enum deployment_event event)
    __attribute__((warn_unused_result));

enum deployment_kind { DEPLOYMENT_INSTALL = 1, DEPLOYMENT_ROLL_BACK = 2 };

enum {
    DEPLOYMENT_ATTEMPT_MAX = 3,       /* offers of one deployment; then it has failed */
    DEPLOYMENT_RETRY_FIRST_S = 60,    /* wait before the second attempt; times 4 each time */
    DEPLOYMENT_TIMEOUT_S = 7 * 86400, /* from offer to the end, unless configured */
};

struct deployment {
    int64_t id;
    int64_t device_row;
    int64_t release_id;
    int64_t rollout_id; /* 0 = of a target set by hand */
    int64_t target_gen; /* number of the operator's order it obeys */
    uint32_t kind;      /* enum deployment_kind */
    uint32_t state;     /* enum deployment_state */
    uint32_t attempt;   /* 1-based */
    int32_t error;      /* why it failed; SF_OK otherwise */
    uint64_t counter;   /* status counter of its latest offer; 0 = not offered yet */
    uint8_t image_digest[DIGEST_SIZE];
    int64_t created_at;
    int64_t changed_at;
    int64_t offered_at;  /* latest; 0 = not yet */
    int64_t deadline_at; /* then it times out; 0 = no deadline */
    int64_t not_before;  /* of the next offer; 0 = at once */
};

/* 1 if a device's error says nothing about the release (network, power): another attempt may
 * succeed. */
int deployment_retryable(int error);

/* The wait in seconds before attempt number `attempt` (2 ..). */
int64_t deployment_retry_wait_s(uint32_t attempt);

/* Applies an event and tells it. Returns SF_OK, or SF_ERR_STATE and changes nothing. */
int deployment_step(struct deployment *d, enum deployment_event what, int error, int64_t now,
                    struct event *event) __attribute__((warn_unused_result));

#endif
