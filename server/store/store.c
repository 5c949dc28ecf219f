/* Opening and closing the store, its queue, and the settings table. */
#include "server/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/store/internal.h"

int64_t store_now(const struct store *s)
{
    return s->options.now != NULL ? s->options.now(s->options.now_ctx) : (int64_t)time(NULL);
}

static void set_defaults(struct store_options *o)
{
    o->readers = o->readers == 0 ? 1 : o->readers;
    o->readers = o->readers > STORE_READER_MAX ? STORE_READER_MAX : o->readers;
    o->queue_max = o->queue_max == 0 ? STORE_QUEUE_DEFAULT : o->queue_max;
    o->seen_max = o->seen_max == 0 ? STORE_SEEN_DEFAULT : o->seen_max;
    o->busy_timeout_ms = o->busy_timeout_ms == 0 ? STORE_BUSY_DEFAULT_MS : o->busy_timeout_ms;
}

/* ---- opening ---- */

static int open_sqlite(struct store *s, const char *folder, char *why)
{
    int err = SF_OK;
    unsigned timeout = s->options.busy_timeout_ms;
    s->files = sqlite_open_folder(folder, &err, why);
    if (s->files == NULL) {
        return err;
    }
    s->tx.reader.conn = sqlite_open_writer(s->files, timeout, store_now(s), &err, why);
    for (unsigned i = 0; s->tx.reader.conn != NULL && i < s->options.readers; i++) {
        s->reader[i] = (struct store_reader){s->backend, NULL, s};
        s->reader[i].conn = sqlite_open_reader(s->files, timeout, &err, why);
        if (s->reader[i].conn == NULL) {
            return err;
        }
        s->reader_count++;
    }
    return err;
}

static int open_memory(struct store *s)
{
    s->memory = memory_open();
    s->tx.reader.conn = s->memory;
    for (unsigned i = 0; i < s->options.readers; i++) {
        s->reader[i] = (struct store_reader){s->backend, s->memory, s};
        s->reader_count++;
    }
    return s->memory != NULL ? SF_OK : SF_ERR_NOMEM;
}

static int start_uptime(struct store_tx *tx, void *arg)
{
    struct store *s = arg;
    s->uptime.from_at = store_now(s);
    s->uptime.until_at = s->uptime.from_at;
    return insert_row(tx, T_UPTIME, &s->uptime);
}

static int start_writer(struct store *s)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wake, &attr);
    (void)pthread_cond_init(&s->flushed, NULL);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&s->lock, NULL);
    s->flush_rows = calloc(STORE_FLUSH_PAGE, sizeof s->flush_rows[0]);
    s->flushed_ms = store_clock_ms();
    s->uptime_ms = s->flushed_ms;
    writer_prepare_flush(s);
    if (s->flush_rows == NULL || seen_init(&s->seen, s->options.seen_max) < 0) {
        return SF_ERR_NOMEM;
    }
    if (s->memory == NULL && s->tx.reader.conn != NULL) {
        if (pthread_create(&s->thread, NULL, writer_main, s) != 0) {
            return SF_ERR_NOMEM;
        }
        s->thread_started = 1;
    }
    return SF_OK;
}

struct store *store_open(const char *folder, const struct store_options *options, int *err,
                         char why[STORE_WHY_SIZE])
{
    struct store *s = calloc(1, sizeof *s);
    *err = s != NULL ? SF_OK : SF_ERR_NOMEM;
    why[0] = '\0';
    if (s != NULL) {
        s->options = options != NULL ? *options : (struct store_options){0};
        set_defaults(&s->options);
        int memory = s->options.backend == STORE_MEMORY;
        s->backend = memory ? &memory_backend : &sqlite_backend;
        s->tx.reader = (struct store_reader){s->backend, NULL, s};
        *err = memory ? open_memory(s) : open_sqlite(s, folder, why);
        int started = start_writer(s);
        *err = *err < 0 ? *err : started;
    }
    if (*err == SF_OK) {
        *err = store_run(s, start_uptime, s);
    }
    if (*err == SF_OK) {
        return s;
    }
    if (why[0] == '\0') {
        (void)snprintf(why, STORE_WHY_SIZE, "cannot open the database: %s", sf_err_str(*err));
    }
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (s == NULL) {
        return;
    }
    if (s->thread_started) {
        int lost = store_flush(s); /* nobody to tell, and last-seen is not promised */
        (void)lost;
        (void)pthread_mutex_lock(&s->lock);
        s->stop = 1;
        (void)pthread_cond_signal(&s->wake);
        (void)pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->thread, NULL);
    }
    if (s->memory != NULL) {
        memory_close(s->memory);
    } else {
        for (unsigned i = 0; i < s->reader_count; i++) {
            sqlite_close(s->reader[i].conn);
        }
        sqlite_close(s->tx.reader.conn); /* the last one folds the journal into the database */
        sqlite_close_folder(s->files);
    }
    seen_release(&s->seen);
    free(s->flush_rows);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_cond_destroy(&s->flushed);
    free(s);
}

/* ---- jobs ---- */

int store_submit(struct store *s, struct store_job *job)
{
    job->next = NULL;
    job->result = SF_OK;
    if (s->memory != NULL) {
        writer_run_batch(s, job);
        return SF_OK;
    }
    (void)pthread_mutex_lock(&s->lock);
    int full = s->queue_length >= s->options.queue_max || s->stop;
    if (full) {
        s->counters.queue_full++;
    } else {
        if (s->tail != NULL) {
            s->tail->next = job;
        } else {
            s->head = job;
        }
        s->tail = job;
        s->queue_length++;
        (void)pthread_cond_signal(&s->wake);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return full ? SF_ERR_BUSY : SF_OK;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int finished;
    int err;
    int (*run)(struct store_tx *tx, void *arg);
    void *arg;
};

static int waiter_run(struct store_tx *tx, void *arg)
{
    struct waiter *w = arg;
    return w->run(tx, w->arg);
}

static void waiter_done(void *arg, int err)
{
    struct waiter *w = arg;
    (void)pthread_mutex_lock(&w->lock);
    w->err = err;
    w->finished = 1;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

int store_run(struct store *s, int (*run)(struct store_tx *tx, void *arg), void *arg)
{
    struct waiter w = {.run = run, .arg = arg};
    struct store_job job = {.run = waiter_run, .done = waiter_done, .arg = &w};
    (void)pthread_mutex_init(&w.lock, NULL);
    (void)pthread_cond_init(&w.wake, NULL);
    int err = store_submit(s, &job);
    if (err == SF_OK) {
        (void)pthread_mutex_lock(&w.lock);
        while (!w.finished) {
            (void)pthread_cond_wait(&w.wake, &w.lock);
        }
        (void)pthread_mutex_unlock(&w.lock);
        err = w.err;
    }
    (void)pthread_cond_destroy(&w.wake);
    (void)pthread_mutex_destroy(&w.lock);
    return err;
}

struct store_reader *store_reader(struct store *s, unsigned index)
{
    return &s->reader[index % s->reader_count];
}

struct store_reader *store_tx_reader(struct store_tx *tx)
{
    return &tx->reader;
}

/* ---- last-seen ---- */

void store_seen(struct store *s, const struct device_seen *seen)
{
    if (s->memory != NULL) {
        (void)s->backend->begin(s->memory);
        (void)s->backend->put(s->memory, T_SEEN, seen);
        (void)s->backend->commit(s->memory);
    } else if (seen_put(&s->seen, seen)) {
        (void)pthread_mutex_lock(&s->lock);
        s->flush_wanted = 1;
        (void)pthread_cond_signal(&s->wake);
        (void)pthread_mutex_unlock(&s->lock);
    }
}

int seen_pending(struct store *s, int64_t device_row, struct device_seen *out)
{
    return seen_find(&s->seen, device_row, out);
}

void store_shed(struct store *s, uint32_t seconds)
{
    (void)atomic_fetch_add(&s->shed_s, seconds);
}

/* Asks for a flush that starts from now on, and waits for it. */
static int flush_once(struct store *s)
{
    (void)pthread_mutex_lock(&s->lock);
    uint64_t wanted = s->flush_started + 1;
    s->flush_wanted = 1;
    (void)pthread_cond_signal(&s->wake);
    while (s->flush_finished < wanted) {
        (void)pthread_cond_wait(&s->flushed, &s->lock);
    }
    int err = s->flush_err;
    (void)pthread_mutex_unlock(&s->lock);
    return err;
}

int store_flush(struct store *s)
{
    if (s->memory != NULL) {
        return SF_OK;
    }
    /* Each writes a page; polls that come in meanwhile must not keep us here for ever. */
    unsigned pages = s->options.seen_max / STORE_FLUSH_PAGE * 2 + 2;
    int err = flush_once(s);
    for (unsigned i = 0; err == SF_OK && i < pages && seen_count(&s->seen) > 0; i++) {
        err = flush_once(s);
    }
    return err;
}

void store_counters(struct store *s, struct store_counters *out)
{
    (void)pthread_mutex_lock(&s->lock);
    *out = s->counters;
    out->queue_length = s->queue_length;
    (void)pthread_mutex_unlock(&s->lock);
    out->seen_pending = seen_count(&s->seen);
}

int store_counts(struct store_reader *r, struct store_counts *out)
{
    return r->backend->counts(r->conn, out);
}

/* ---- settings ---- */

int select_one(struct store_reader *r, const struct selection *what, void *row)
{
    int count = r->backend->select(r->conn, what, row, 1);
    if (count < 0) {
        return count;
    }
    return count > 0 ? SF_OK : SF_ERR_NOTFOUND;
}

int store_meta_get(struct store_reader *r, const char *key, char value[STORE_VALUE_MAX + 1])
{
    struct meta_row row;
    struct arg args[] = {arg_text(key)};
    int err = select_one(r, SELECT(Q_META_KEY, args, 1), &row);
    if (err == SF_OK) {
        memcpy(value, row.value, sizeof row.value);
    }
    return err;
}

int store_meta_put(struct store_tx *tx, const char *key, const char *value)
{
    struct meta_row row = {0};
    struct arg args[] = {arg_text(key)};
    if (strlen(key) >= sizeof row.key || strlen(value) >= sizeof row.value) {
        return SF_ERR_NOSPC;
    }
    int err = select_one(&tx->reader, SELECT(Q_META_KEY, args, 1), &row);
    if (err < 0 && err != SF_ERR_NOTFOUND) {
        return err;
    }
    if (err == SF_ERR_NOTFOUND) {
        memset(&row, 0, sizeof row);
    }
    memset(row.value, 0, sizeof row.value);
    (void)snprintf(row.key, sizeof row.key, "%s", key);
    (void)snprintf(row.value, sizeof row.value, "%s", value);
    return err == SF_ERR_NOTFOUND ? insert_row(tx, T_META, &row) : update_row(tx, T_META, &row);
}
