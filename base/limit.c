#include "base/limit.h"

/* A place holds whose it is (22 bits) and when what it did is paid off (42 bits: milliseconds, of
 * the Unix clock until 2109). */
#define TIME_BITS 42
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
#define TAG_MASK  ((UINT64_C(1) << (64 - TIME_BITS)) - 1)

void limit_init(struct limit *l, uint32_t burst, uint32_t every_ms)
{
    l->burst = burst;
    l->every_ms = every_ms;
    for (unsigned i = 0; i < LIMIT_PLACES; i++) {
        atomic_init(&l->place[i], 0);
    }
}

uint32_t limit_take(struct limit *l, uint64_t key, int64_t now_ms)
{
    const uint64_t tag = (key / LIMIT_PLACES) & TAG_MASK;
    const uint64_t now = now_ms > 0 ? (uint64_t)now_ms & TIME_MASK : 0;
    const uint64_t most = (uint64_t)l->burst * l->every_ms;
    _Atomic uint64_t *place = &l->place[key % LIMIT_PLACES];
    uint64_t old = atomic_load(place);
    uint64_t next = 0;
    if (l->burst == 0) {
        return 0;
    }
    do {
        uint64_t paid = old & TIME_MASK;
        /* another's, long ago, or from before the clock was set back */
        if (old >> TIME_BITS != tag || paid < now || paid - now > most) {
            paid = now;
        }
        if (paid - now + l->every_ms > most) {
            return (uint32_t)(paid - now + l->every_ms - most);
        }
        next = tag << TIME_BITS | ((paid + l->every_ms) & TIME_MASK);
    } while (!atomic_compare_exchange_weak(place, &old, next));
    return 0;
}
