#ifndef GUARD_H
#define GUARD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/limit.h"
#include "base/siphash.h"

/* What one address may have of the server, so that no one takes all of it: connections, unfinished
 * handshakes, new connections a second. Decided at accept, where turning somebody away costs
 * microseconds; a handshake costs hundreds.
 *
 * Invariants
 *  1. Bounded memory, no locks: counts stand in a table by the address's hash. Two addresses that
 *     meet there share what one may have; the hash's key is random, so nobody can arrange it.
 *  2. From any thread; what is turned away holds nothing.
 *
 * IPv6 counts by /64, the least that a network gives to one customer. Many devices behind one NAT
 * are one address: the limits are wide. This machine's own addresses are not counted, unless told:
 * they are proxies, tools and tests, and whoever is here already can do worse. */

enum { GUARD_PLACES = 65536 };

struct guard_limits {
    unsigned connections; /* open at once */
    unsigned handshakes;  /* of these, unfinished */
    unsigned per_s;       /* new ones a second */
    unsigned burst;       /* new ones at once */
    int count_loopback;   /* 1 = this machine's own addresses too */
};

struct guard {
    struct guard_limits limits;
    uint8_t key[SIPHASH_KEY_SIZE];
    struct {
        atomic_uint connections;
        atomic_uint handshakes;
    } place[GUARD_PLACES];
    struct limit fresh;
};

enum guard_verdict { GUARD_ENTERED, GUARD_CONNECTIONS, GUARD_HANDSHAKES, GUARD_RATE };

void guard_init(struct guard *g, const struct guard_limits *limits,
                const uint8_t key[SIPHASH_KEY_SIZE]);

/* The hash of the address, by which all below know it; 0 = not counted. */
uint64_t guard_address(const struct guard *g, const struct sockaddr *address);

/* GUARD_ENTERED counts a connection and its handshake: guard_shaken() and guard_leave() are due. */
enum guard_verdict guard_enter(struct guard *g, uint64_t address, int64_t now_ms)
    __attribute__((warn_unused_result));
void guard_shaken(struct guard *g, uint64_t address);
void guard_leave(struct guard *g, uint64_t address);

/* Why, as the end of a sentence. */
const char *guard_why(enum guard_verdict verdict);

#endif
