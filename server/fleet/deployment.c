/* The states of a deployment, as a table.
 *
 * Invariants
 *  1. Terminal states have no way out.
 *  2. Progress only goes forward, with skips; the one way back is a retry to QUEUED.
 *  3. Nothing withdraws a deployment at TRIAL; at INSTALLED only its own device's word that it has
 *     not committed yet (fleet/checkin.c). */
#include "server/fleet/deployment.h"

#include <string.h>

#define QUE  DEPLOYMENT_QUEUED
#define OFF  DEPLOYMENT_OFFERED
#define DOWN DEPLOYMENT_DOWNLOADING
#define INST DEPLOYMENT_INSTALLED
#define TRI  DEPLOYMENT_TRIAL
#define CONF DEPLOYMENT_CONFIRMED
#define FAIL DEPLOYMENT_FAILED
#define BACK DEPLOYMENT_ROLLED_BACK
#define TIME DEPLOYMENT_TIMED_OUT
#define CANC DEPLOYMENT_CANCELLED
#define SUPE DEPLOYMENT_SUPERSEDED

/* 0 = for the history only. A device that rolled back without having been seen in its trial skipped
 * TRIAL forward, hence BACK from OFFERED on. */
static const uint8_t next_state[DEPLOYMENT_STATE_COUNT][DEPLOYMENT_EV_COUNT] = {
    /* clang-format off */
    /*        offer downl inst  trial confi fail  back  retry expir cancl super */
    [QUE]  = {OFF,  DOWN, INST, TRI,  CONF, 0,    0,    0,    TIME, CANC, SUPE},
    [OFF]  = {0,    DOWN, INST, TRI,  CONF, FAIL, BACK, QUE,  TIME, CANC, SUPE},
    [DOWN] = {0,    0,    INST, TRI,  CONF, FAIL, BACK, QUE,  TIME, CANC, SUPE},
    [INST] = {0,    0,    0,    TRI,  CONF, FAIL, BACK, QUE,  TIME, CANC, SUPE},
    [TRI]  = {0,    0,    0,    0,    CONF, FAIL, BACK, QUE,  TIME, 0,    0},
    /* clang-format on */
};

/* What the history says of a state that was reached; both lists are append-only. */
static const struct {
    const char *name;
    uint32_t event;
} states[DEPLOYMENT_STATE_COUNT] = {
    [QUE] = {"queued", EVENT_QUEUED},
    [OFF] = {"offered", EVENT_OFFERED},
    [DOWN] = {"downloading", EVENT_DOWNLOADING},
    [INST] = {"installed", EVENT_INSTALLED},
    [TRI] = {"trial", EVENT_TRIAL},
    [CONF] = {"confirmed", EVENT_CONFIRMED},
    [FAIL] = {"failed", EVENT_FAILED},
    [BACK] = {"rolled_back", EVENT_ROLLED_BACK},
    [TIME] = {"timed_out", EVENT_TIMED_OUT},
    [CANC] = {"cancelled", EVENT_CANCELLED},
    [SUPE] = {"superseded", EVENT_SUPERSEDED},
};

const char *deployment_state_str(uint32_t state)
{
    if (state == 0 || state >= DEPLOYMENT_STATE_COUNT) {
        return "unknown";
    }
    return states[state].name;
}

int deployment_active(uint32_t state)
{
    return state >= DEPLOYMENT_QUEUED && state <= DEPLOYMENT_TRIAL;
}

int deployment_next(uint32_t state, enum deployment_event event)
{
    if (state >= DEPLOYMENT_STATE_COUNT || (unsigned)event >= DEPLOYMENT_EV_COUNT) {
        return SF_ERR_STATE;
    }
    int next = next_state[state][event];
    return next != 0 ? next : SF_ERR_STATE;
}

int deployment_retryable(int error)
{
    switch (error) {
    case SF_ERR_CANCELLED:
    case SF_ERR_REDIRECT:
    case SF_ERR_TOO_LARGE:
        return 0;
    case SF_ERR_BUSY:
    case SF_ERR_NOMEM:
    case SF_ERR_NO_SERVER:
    case SF_ERR_POWER:
    case SF_ERR_NOT_NOW:
    case SF_ERR_CHANGED:
        return 1;
    default: /* the block of network and TLS */
        return error <= SF_ERR_DNS && error > SF_ERR_SIGNATURE;
    }
}

int64_t deployment_retry_wait_s(uint32_t attempt)
{
    int64_t wait = DEPLOYMENT_RETRY_FIRST_S;
    for (uint32_t i = 2; i < attempt && i < DEPLOYMENT_ATTEMPT_MAX; i++) {
        wait *= 4;
    }
    return wait;
}

int deployment_step(struct deployment *d, enum deployment_event what, int error, int64_t now,
                    struct event *event)
{
    int next = deployment_next(d->state, what);
    if (next < 0) {
        return next;
    }
    d->state = (uint32_t)next;
    d->error = error;
    d->changed_at = now;
    if (what == DEPLOYMENT_EV_RETRY) {
        d->attempt++;
        d->not_before = now + deployment_retry_wait_s(d->attempt);
        d->deadline_at = 0;
    } else if (what == DEPLOYMENT_EV_OFFER) {
        d->offered_at = now;
        d->not_before = 0;
    }
    memset(event, 0, sizeof *event);
    event->kind = states[next].event;
    event->error = error;
    event->release_id = d->release_id;
    event->deployment_id = d->id;
    event->counter = d->counter;
    return SF_OK;
}
