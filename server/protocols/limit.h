#ifndef PROTOCOLS_LIMIT_H
#define PROTOCOLS_LIMIT_H

#include <stdatomic.h>
#include <stdint.h>

/* How often one device may change the database. An update takes some ten changes; a device that
 * reports something new each second, broken or hostile, would fill the disk with its history. Polls
 * that change nothing are not counted.
 *
 * Invariants
 *  1. At most LIMIT_BURST changes at once, then one each LIMIT_EVERY_S.
 *  2. Bounded memory: a device that meets another one in its place makes that one be forgotten, so
 *     an honest device never pays for another. */

enum { LIMIT_BURST = 64, LIMIT_EVERY_S = 10, LIMIT_PLACES = 16384 };

struct limit { /* all zeros = nobody has done anything */
    _Atomic uint64_t place[LIMIT_PLACES];
};

/* Counts a change of the device with that row. 0, or the seconds it has to wait. Any thread. */
uint32_t limit_take(struct limit *l, int64_t device_row, int64_t now_unix_s);

#endif
