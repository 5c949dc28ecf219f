#ifndef STORE_SEEN_H
#define STORE_SEEN_H

#include <pthread.h>

#include "server/fleet/device.h"

/* What polls brought since the last flush, by device: two hash tables of a fixed size, one filling
 * while the other is written. Thread-safe. A full table drops what does not fit: last-seen is not
 * promised. */

struct seen_side {
    struct device_seen *entry; /* dense */
    uint32_t *slot;            /* index + 1 into entry; 0 = free */
    unsigned count;
};

struct seen_table {
    pthread_mutex_t lock;
    struct seen_side side[2];
    unsigned filling; /* index of the side that takes new rows */
    unsigned written; /* rows of the other side that a flush has written */
    unsigned max;
    unsigned mask;
};

/* SF_OK or SF_ERR_NOMEM. */
int seen_init(struct seen_table *t, unsigned max) __attribute__((warn_unused_result));
void seen_release(struct seen_table *t);

/* 1 if a flush should come early. */
int seen_put(struct seen_table *t, const struct device_seen *row);
/* 1 if it is there. */
int seen_find(struct seen_table *t, int64_t device_row, struct device_seen *out);
unsigned seen_count(struct seen_table *t);

/* Copies the next rows to write; they stay findable until seen_written(). One flush at a time. */
unsigned seen_take(struct seen_table *t, struct device_seen *out, unsigned max);
void seen_written(struct seen_table *t, unsigned count);

#endif
