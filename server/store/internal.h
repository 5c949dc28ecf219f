#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/store/backend.h"
#include "server/store/seen.h"

/* The store's own state, shared by store.c and writer.c. */

enum {
    STORE_READER_MAX = 64,
    STORE_QUEUE_DEFAULT = 4096,
    STORE_SEEN_DEFAULT = 65536,
    STORE_BUSY_DEFAULT_MS = 5000,
    STORE_BATCH_MAX = 512,   /* jobs a transaction: bounds how long one waits for the others */
    STORE_FLUSH_PAGE = 4096, /* last-seen rows a transaction */
    STORE_FLUSH_MS = 5000,   /* between flushes of last-seen */
    STORE_UPTIME_MS = 60000, /* an idle server writes its uptime this often */
};

struct store {
    struct store_options options;
    const struct backend *backend;
    struct sqlite_files *files;
    struct memory *memory;
    struct store_reader reader[STORE_READER_MAX];
    unsigned reader_count;
    struct store_tx tx; /* the writer's connection */
    struct seen_table seen;

    pthread_t thread;
    int thread_started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct store_job *head;
    struct store_job *tail;
    unsigned queue_length;
    int stop;
    int flush_wanted;
    uint64_t flush_started;
    uint64_t flush_finished;
    int flush_err; /* of the latest that finished */
    pthread_cond_t flushed;
    struct store_counters counters;

    /* the writer thread's own */
    struct store_job flush_job;
    struct device_seen *flush_rows; /* STORE_FLUSH_PAGE */
    unsigned flush_count;
    int64_t flushed_ms;
    int64_t uptime_ms;
    struct uptime_row uptime;
    _Atomic uint32_t shed_s;
};

int64_t store_now(const struct store *s); /* Unix seconds */
int64_t store_clock_ms(void);             /* monotonic */

/* Runs jobs in one transaction and tells each what became of it. */
void writer_run_batch(struct store *s, struct store_job *first);
void *writer_main(void *store);
/* The job that writes a page of last-seen and the uptime. */
void writer_prepare_flush(struct store *s);

#endif
