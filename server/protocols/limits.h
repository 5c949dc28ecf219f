#ifndef PROTOCOLS_LIMITS_H
#define PROTOCOLS_LIMITS_H

#include "base/exchange.h"
#include "base/limit.h"

/* How often a credential may ask, and how often an address may be wrong about one.
 *
 * Invariants
 *  1. Whoever has a good credential never pays for what others do: a limit counts by credential,
 *     and what an address got wrong is held only against what else it gets wrong. Many devices sit
 *     behind one NAT, and one bad neighbour must not lock them out. The check costs one SHA-256 and
 *     one look-up; what is bounded is what a guesser gets for its handshakes, because each answer
 *     past the limit ends the connection, and new connections are limited by http/.
 *  2. Secrets have 256 random bits: these limits are against load and noise, not against luck.
 *  3. Requests from this machine itself (exchange.address 0) are not limited, its changes are. */

/* 0 = the default in parentheses. So many at once, then one each so many milliseconds. */
struct protocols_limits {
    uint32_t changes;         /* of the database, by one device (64) */
    uint32_t change_ms;       /* (10000) */
    uint32_t device_requests; /* by one device (240) */
    uint32_t device_ms;       /* (500) */
    uint32_t token_requests;  /* by one API token (2000) */
    uint32_t token_ms;        /* (20) */
    uint32_t wrong;           /* credentials, from one address (60) */
    uint32_t wrong_ms;        /* (5000) */
    uint32_t newcomers;       /* plain devices nobody has seen, from one address (64) */
    uint32_t newcomer_ms;     /* (10000) */
};

struct limits {
    struct limit changes;   /* key: the device's row */
    struct limit devices;   /* the same */
    struct limit tokens;    /* the token's row */
    struct limit wrong;     /* exchange.address */
    struct limit newcomers; /* the same */
};

void limits_init(struct limits *l, const struct protocols_limits *wanted);

/* Counts one. 1 = go on; 0 after answering 429, with Retry-After and the connection's end. `what`
 * is a sentence's beginning: "this device reports changes too often". */
int limits_allow(struct limit *l, uint64_t key, int64_t now_unix_s, struct exchange *x,
                 const char *what) __attribute__((warn_unused_result));

#endif
