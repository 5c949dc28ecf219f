#ifndef LIMIT_H
#define LIMIT_H

#include <stdatomic.h>
#include <stdint.h>

/* How often each of many may do something: a device change the database, an address shake hands, a
 * token ask. So many at once, then one each so many milliseconds.
 *
 * Invariants
 *  1. At most `burst` at once, then one each `every_ms`.
 *  2. Bounded memory, no locks: whoever meets another one in its place makes that one be forgotten,
 *     so nobody ever pays for another.
 *
 * Keys that outsiders choose (addresses) are to be hashed with a secret key first (siphash.h), or
 * two of them in one place could be found, and they would make each other be forgotten. */

enum { LIMIT_PLACES = 16384 };

struct limit {
    uint32_t burst; /* 0 = no limit */
    uint32_t every_ms;
    _Atomic uint64_t place[LIMIT_PLACES];
};

/* burst * every_ms < 2^41. */
void limit_init(struct limit *l, uint32_t burst, uint32_t every_ms);

/* Counts one of `key`'s. 0, or the milliseconds it has to wait; then it is not counted. The time
 * may jump. Any thread. */
uint32_t limit_take(struct limit *l, uint64_t key, int64_t now_ms);

#endif
