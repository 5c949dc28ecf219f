#include "server/protocols/limit.h"

/* A place holds whose it is (24 bits) and when its changes are paid off (40 bits, Unix seconds). */
#define TIME_BITS 40
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
#define TAG_MASK  UINT64_C(0xffffff)

uint32_t limit_take(struct limit *l, int64_t device_row, int64_t now_unix_s)
{
    const uint64_t row = (uint64_t)device_row;
    const uint64_t tag = (row / LIMIT_PLACES) & TAG_MASK;
    const uint64_t now = now_unix_s > 0 ? (uint64_t)now_unix_s & TIME_MASK : 0;
    const uint64_t most = (uint64_t)LIMIT_BURST * LIMIT_EVERY_S;
    _Atomic uint64_t *place = &l->place[row % LIMIT_PLACES];
    uint64_t old = atomic_load(place);
    uint64_t next = 0;
    do {
        uint64_t paid = old & TIME_MASK;
        /* another's, long ago, or from before the clock was set back */
        if (old >> TIME_BITS != tag || paid < now || paid - now > most) {
            paid = now;
        }
        if (paid - now + LIMIT_EVERY_S > most) {
            return (uint32_t)(paid - now + LIMIT_EVERY_S - most);
        }
        next = tag << TIME_BITS | ((paid + LIMIT_EVERY_S) & TIME_MASK);
    } while (!atomic_compare_exchange_weak(place, &old, next));
    return 0;
}
