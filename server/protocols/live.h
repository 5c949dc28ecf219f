#ifndef PROTOCOLS_LIVE_H
#define PROTOCOLS_LIVE_H

#include <stdatomic.h>
#include <stdint.h>

/* Settings that SIGHUP may change while handlers and the scheduler read them. Each is read on its
 * own: none depends on another. */

#define KEEP_MAP(X)                                                      \
    X(history, "history of devices")                                     \
    X(audit, "audit log")                                                \
    X(deployments, "ended deployments that are not a device's latest")   \
    X(revoked_devices, "revoked devices, with all that belongs to them") \
    X(uptime, "uptime ledger")                                           \
    X(uploads, "uploads that no release names")

struct live {
#define X(name, help) atomic_uint keep_##name##_days; /* 0 = for ever */
    KEEP_MAP(X)
#undef X
    atomic_uint checkin_interval_s; /* of products that name none */
    /* the newest trust root: its version << 32 | the release role's epoch; 0 = there is none */
    atomic_uint_least64_t root;
    /* and what the parts tell /metrics */
    atomic_int_least64_t certificate_ends_at; /* Unix seconds */
    atomic_uint certificate_failures;         /* new ones that could not be used */
    atomic_uint reloads;                      /* SIGHUP */
    atomic_uint reload_failures;              /* of these, with settings that were refused */
};

#endif
