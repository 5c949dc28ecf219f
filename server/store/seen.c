/* The last-seen table in front of the database. Invariant: a row leaves memory only after the flush
 * that wrote it was committed. */
#include "server/store/seen.h"

#include <stdlib.h>
#include <string.h>

int seen_init(struct seen_table *t, unsigned max)
{
    memset(t, 0, sizeof *t);
    unsigned slots = 16;
    while (slots < max * 2) {
        slots *= 2;
    }
    t->max = max;
    t->mask = slots - 1;
    (void)pthread_mutex_init(&t->lock, NULL);
    for (unsigned i = 0; i < 2; i++) {
        t->side[i].entry = calloc(max, sizeof t->side[i].entry[0]);
        t->side[i].slot = calloc(slots, sizeof t->side[i].slot[0]);
        if (t->side[i].entry == NULL || t->side[i].slot == NULL) {
            return SF_ERR_NOMEM;
        }
    }
    return SF_OK;
}

void seen_release(struct seen_table *t)
{
    for (unsigned i = 0; i < 2; i++) {
        free(t->side[i].entry);
        free(t->side[i].slot);
    }
    (void)pthread_mutex_destroy(&t->lock);
}

/* The slot that holds the device, or the free one where it belongs: half of them are free. */
static unsigned slot_of(const struct seen_table *t, const struct seen_side *side, int64_t row)
{
    unsigned at = (unsigned)(((uint64_t)row * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & t->mask;
    while (side->slot[at] != 0 && side->entry[side->slot[at] - 1].device_row != row) {
        at = (at + 1) & t->mask;
    }
    return at;
}

int seen_put(struct seen_table *t, const struct device_seen *row)
{
    (void)pthread_mutex_lock(&t->lock);
    struct seen_side *side = &t->side[t->filling];
    unsigned at = slot_of(t, side, row->device_row);
    if (side->slot[at] == 0 && side->count < t->max) {
        side->slot[at] = ++side->count;
    }
    if (side->slot[at] != 0) {
        side->entry[side->slot[at] - 1] = *row;
    }
    int early = side->count >= t->max / 4 * 3;
    (void)pthread_mutex_unlock(&t->lock);
    return early;
}

int seen_find(struct seen_table *t, int64_t device_row, struct device_seen *out)
{
    int found = 0;
    (void)pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < 2 && !found; i++) {
        const struct seen_side *side = &t->side[t->filling ^ i];
        unsigned at = slot_of(t, side, device_row);
        if (side->slot[at] != 0) {
            *out = side->entry[side->slot[at] - 1];
            found = 1;
        }
    }
    (void)pthread_mutex_unlock(&t->lock);
    return found;
}

unsigned seen_count(struct seen_table *t)
{
    (void)pthread_mutex_lock(&t->lock);
    unsigned count = t->side[0].count + t->side[1].count - t->written;
    (void)pthread_mutex_unlock(&t->lock);
    return count;
}

unsigned seen_take(struct seen_table *t, struct device_seen *out, unsigned max)
{
    (void)pthread_mutex_lock(&t->lock);
    if (t->side[t->filling ^ 1].count == 0) {
        t->filling ^= 1;
    }
    const struct seen_side *side = &t->side[t->filling ^ 1];
    unsigned left = side->count - t->written;
    unsigned count = left < max ? left : max;
    if (count > 0) {
        memcpy(out, side->entry + t->written, count * sizeof out[0]);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return count;
}

void seen_written(struct seen_table *t, unsigned count)
{
    (void)pthread_mutex_lock(&t->lock);
    struct seen_side *side = &t->side[t->filling ^ 1];
    t->written += count;
    if (t->written == side->count) {
        memset(side->slot, 0, ((size_t)t->mask + 1) * sizeof side->slot[0]);
        side->count = 0;
        t->written = 0;
    }
    (void)pthread_mutex_unlock(&t->lock);
}
