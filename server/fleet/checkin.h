#ifndef FLEET_CHECKIN_H
#define FLEET_CHECKIN_H

#include "server/fleet/deployment.h"

/* What a check-in changes and how it is answered. Pure: rows and a report in, rows and an answer
 * out; run once on a reader, and when something changes again on the writer with the rows as they
 * are then.
 *
 * Invariants
 *  1. The same report twice: the second decision changes nothing, so a poll costs no write.
 *  2. The counter changes when and only when the action, the release or the deployment does, and
 *     only upwards; it is above what the device knows after a restored backup.
 *  3. An outcome counts once: by (device, counter, attempt).
 *  4. A release that failed on a device is not offered to it again, unless the target was set anew
 *     after that.
 *  5. A deployment at trial finishes first, whatever the target has become. Before that a device
 *     that asks (the last time right before its commit, phase installed) does not go on if the
 *     target was taken away or the fleet is frozen.
 *  6. While the fleet is frozen nothing is offered. What that takes from a device is offered again
 *     after it, as if it had never been: a freeze is no failure and costs no attempt. */

/* What the device should run: its override, else the product's target. */
struct target {
    int64_t release_id;
    int64_t gen;      /* number of the operator's order that set it: grows with every order */
    int has_manifest; /* there is one for the device's class; without, the rest is zero */
    uint8_t image_digest[DIGEST_SIZE];
    uint64_t seq; /* of the manifest */
    uint32_t secure_version;
    int may_burn; /* the publisher permits devices to burn that */
    char version[VERSION_MAX_LEN + 1];
};

struct checkin_policy {
    uint32_t interval_s;           /* between polls */
    uint32_t deployment_timeout_s; /* DEPLOYMENT_TIMEOUT_S */
    uint32_t random;               /* any number: spreads the interval by 10 % either way */
};

struct checkin_input {
    const struct device *device;
    const struct device_seen *seen;    /* zeros if never seen */
    const struct deployment *current;  /* the one device->deployment_id names, or NULL */
    const struct deployment *previous; /* latest of this device with target->release_id, or NULL;
                                             may be the same as `current` */
    const struct target *target;       /* NULL = none is set */
    int frozen;                        /* no offers, see struct freeze of the store */
    const struct sf_checkin *report;
    struct checkin_policy policy;
};

struct checkin_answer {
    uint32_t action;      /* enum sf_status_action */
    int64_t release_id;   /* install, roll back: the status' target is this release's manifest for
                              the device's class, which may be another than `target`; else 0 */
    uint64_t counter;     /* status field 2 */
    uint64_t outcome_ack; /* field 14; 0 = absent */
    uint32_t next_checkin_s;     /* field 12 */
    uint32_t max_secure_version; /* field 16; 0 = absent */
};

enum { CHECKIN_EVENT_MAX = 12 };

struct checkin_decision {
    int changed; /* something below is to be committed before the answer leaves */
    struct checkin_answer answer;
    int device_changed;
    struct device device; /* deployment_id is set by the store if `created` */
    int current_changed;
    struct deployment current; /* the input's, as it is now */
    int created;
    struct deployment fresh; /* a new one, id 0; at most one active remains */
    unsigned event_count;
    struct event event[CHECKIN_EVENT_MAX]; /* in order */
    struct device_seen seen;               /* for store_seen(), changed or not */
};

void checkin_decide(const struct checkin_input *in, int64_t now, struct checkin_decision *out);

#endif
