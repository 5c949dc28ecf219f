#include "base/stats.h"

#include <string.h>

void stats_init(struct stats *s)
{
    memset(s, 0, sizeof(*s));
    atomic_store(&s->shed_at_s, -1);
}

void stats_count_answer(struct stats *s, unsigned route_index, int status)
{
    const unsigned route = route_index < STATS_ROUTE_MAX ? route_index : STATS_ROUTE_MAX;
    int status_class = status / 100 - 1;
    if (status_class < 0 || status_class >= STATS_CLASSES) {
        status_class = STATS_CLASSES - 1;
    }
    STATS_ADD(s->route[route][status_class], 1);
    STATS_ADD(s->throttled, status == 429);
}

void stats_overload(struct stats *s, int64_t mono_s)
{
    if (atomic_exchange(&s->shed_at_s, mono_s) != mono_s) {
        STATS_ADD(s->shed_seconds, 1);
        (void)atomic_fetch_add(&s->shed_new_s, 1);
    }
}

uint32_t stats_take_shed(struct stats *s)
{
    return (uint32_t)atomic_exchange(&s->shed_new_s, 0);
}

void stats_read(struct stats *s, struct stats_snapshot *out)
{
#define X(name, help) out->name = atomic_load_explicit(&s->name, memory_order_relaxed);
    STATS_MAP(X)
#undef X
    out->connections = atomic_load_explicit(&s->connections, memory_order_relaxed);
    out->exchanges = atomic_load_explicit(&s->exchanges, memory_order_relaxed);
    for (unsigned r = 0; r <= STATS_ROUTE_MAX; r++) {
        for (unsigned c = 0; c < STATS_CLASSES; c++) {
            out->route[r][c] = atomic_load_explicit(&s->route[r][c], memory_order_relaxed);
        }
    }
}
