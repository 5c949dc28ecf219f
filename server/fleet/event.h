#ifndef FLEET_EVENT_H
#define FLEET_EVENT_H

#include <stdint.h>

/* What happened to a device, as the rules tell it: one line of its history. The names (not the
 * numbers) are shown by the API; the numbers stand in the database: append only. */

enum { EVENT_TEXT_MAX = 191 };

#define EVENT_MAP(X)                                                                          \
    X(1, ENROLLED, "enrolled")                                                                \
    X(2, QUARANTINED, "quarantined") /* another secret asked for a known id */                \
    X(3, APPROVED, "approved")                                                                \
    X(4, REJECTED, "rejected") /* the other secret was turned down */                         \
    X(5, REVOKED, "revoked")                                                                  \
    X(6, FIRST_REPORT, "first_report")                                                        \
    X(7, RUNNING, "running") /* another image runs than before */                             \
    X(8, QUEUED, "queued")   /* a retry waits for its time */                                 \
    X(9, OFFERED, "offered")                                                                  \
    X(10, DOWNLOADING, "downloading")                                                         \
    X(11, INSTALLED, "installed")                                                             \
    X(12, TRIAL, "trial")                                                                     \
    X(13, CONFIRMED, "confirmed")                                                             \
    X(14, FAILED, "failed")                                                                   \
    X(15, ROLLED_BACK, "rolled_back")                                                         \
    X(16, TIMED_OUT, "timed_out")                                                             \
    X(17, CANCELLED, "cancelled")                                                             \
    X(18, SUPERSEDED, "superseded")                                                           \
    X(19, LATE_OUTCOME, "late_outcome") /* of no deployment that is active */                 \
    X(20, CLONE_SUSPECTED, "clone_suspected")                                                 \
    X(21, COUNTER_JUMP, "counter_jump")     /* the server was restored from a backup */       \
    X(22, CLASS_MISMATCH, "class_mismatch") /* reports another class than it enrolled with */ \
    X(23, OVERRIDE_SET, "override_set")                                                       \
    X(24, OVERRIDE_CLEARED, "override_cleared")                                               \
    X(25, ALARMS_CLEARED, "alarms_cleared")

enum event_kind {
    EVENT_NONE = 0,
#define X(value, name, text) EVENT_##name = (value),
    EVENT_MAP(X)
#undef X
};

struct event {
    uint32_t kind;                 /* enum event_kind */
    int32_t error;                 /* of formats/err.h; SF_OK if it is no failure */
    int64_t release_id;            /* 0 = none */
    int64_t deployment_id;         /* 0 = none, or the deployment that this very decision creates */
    uint64_t counter;              /* of the status concerned, 0 = none */
    char text[EVENT_TEXT_MAX + 1]; /* for a person; "" if the kind says it all */
};

/* "offered"; "unknown" for a number nobody gave out; static. */
const char *event_kind_str(uint32_t kind);

#endif
