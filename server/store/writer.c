/* The writer thread: takes what is queued, runs it in one transaction, commits, tells everybody.
 * Group commit by itself: while one batch is on its way to the disk the next one gathers.
 *
 * Invariants
 *  1. done() is called once for every job that store_submit() took, after COMMIT or its failure.
 *  2. A job that fails changes nothing and does not harm the others of its batch. */
#include "server/store/internal.h"

#include <errno.h>
#include <time.h>

int64_t store_clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- one batch ---- */

static int run_job(struct store *s, struct store_job *job)
{
    const struct backend *b = s->backend;
    void *conn = s->tx.reader.conn;
    int err = b->savepoint(conn);
    if (err < 0) {
        return err;
    }
    err = job->run(&s->tx, job->arg);
    if (err >= 0) {
        return b->release(conn);
    }
    if (b->in_transaction(conn)) {
        int undone = b->rollback_to(conn);
        if (undone < 0) { /* half a job must not be committed: the whole batch goes */
            b->rollback(conn);
            err = undone;
        }
    }
    return err;
}

static int run_jobs(struct store *s, struct store_job *first)
{
    const struct backend *b = s->backend;
    void *conn = s->tx.reader.conn;
    int err = b->begin(conn);
    if (err < 0) {
        return err;
    }
    for (struct store_job *job = first; job != NULL; job = job->next) {
        job->result = run_job(s, job);
        if (!b->in_transaction(conn)) { /* a full disk or the like took the whole batch with it */
            b->rollback(conn);
            return job->result < 0 ? job->result : SF_ERR_IO;
        }
    }
    err = b->commit(conn);
    if (err < 0) {
        b->rollback(conn);
    }
    return err;
}

static void count_batch(struct store *s, const struct store_job *first, int err)
{
    (void)pthread_mutex_lock(&s->lock);
    s->counters.commits += err == SF_OK;
    s->counters.commits_failed += err < 0;
    for (const struct store_job *job = first; job != NULL; job = job->next) {
        s->counters.jobs++;
        s->counters.jobs_failed += err < 0 || job->result < 0;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void writer_run_batch(struct store *s, struct store_job *first)
{
    int err = run_jobs(s, first);
    count_batch(s, first, err);
    while (first != NULL) {
        struct store_job *job = first;
        first = job->next; /* done() may free it */
        job->done(job->arg, err < 0 ? err : job->result);
    }
}

/* ---- flushing ---- */

static int flush_run(struct store_tx *tx, void *arg)
{
    struct store *s = arg;
    const struct backend *b = tx->reader.backend;
    s->flush_count = seen_take(&s->seen, s->flush_rows, STORE_FLUSH_PAGE);
    for (unsigned i = 0; i < s->flush_count; i++) {
        int err = b->put(tx->reader.conn, T_SEEN, &s->flush_rows[i]);
        if (err < 0) {
            return err;
        }
    }
    struct uptime_row row = s->uptime;
    row.until_at = store_now(s);
    row.shed_s += atomic_load(&s->shed_s);
    return b->put(tx->reader.conn, T_UPTIME, &row);
}

static void flush_done(void *arg, int err)
{
    struct store *s = arg;
    int64_t now = store_clock_ms();
    if (err == SF_OK) {
        seen_written(&s->seen, s->flush_count);
    }
    s->flushed_ms = now; /* after an error too: a full disk is not asked all the time */
    s->uptime_ms = now;
    (void)pthread_mutex_lock(&s->lock);
    s->flush_finished++;
    s->flush_err = err;
    (void)pthread_cond_broadcast(&s->flushed);
    (void)pthread_mutex_unlock(&s->lock);
}

void writer_prepare_flush(struct store *s)
{
    s->flush_job = (struct store_job){.run = flush_run, .done = flush_done, .arg = s};
}

/* ---- the thread ---- */

static int flush_due(struct store *s)
{
    int64_t now = store_clock_ms();
    if (s->flush_wanted || now - s->uptime_ms >= STORE_UPTIME_MS) {
        return 1;
    }
    return now - s->flushed_ms >= STORE_FLUSH_MS && seen_count(&s->seen) > 0;
}

/* Waits with the lock held for jobs, the end, or the time of a flush. */
static void wait_for_work(struct store *s)
{
    while (s->head == NULL && !s->stop && !flush_due(s)) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        (void)pthread_cond_timedwait(&s->wake, &s->lock, &until);
    }
}

static struct store_job *take_batch(struct store *s)
{
    struct store_job *first = s->head;
    struct store_job *last = NULL;
    for (unsigned i = 0; i < STORE_BATCH_MAX && s->head != NULL; i++) {
        last = s->head;
        s->head = last->next;
        s->queue_length--;
    }
    if (last != NULL) {
        last->next = NULL;
    }
    if (s->head == NULL) {
        s->tail = NULL;
    }
    return first;
}

void *writer_main(void *store)
{
    struct store *s = store;
    for (;;) {
        (void)pthread_mutex_lock(&s->lock);
        wait_for_work(s);
        int flush = flush_due(s);
        s->flush_wanted = 0;
        s->flush_started += (unsigned)flush;
        struct store_job *first = take_batch(s);
        int stop = s->stop && first == NULL;
        (void)pthread_mutex_unlock(&s->lock);
        if (stop) {
            return NULL;
        }
        if (flush) { /* first, so that it is not behind a full batch */
            s->flush_job.next = first;
            first = &s->flush_job;
        }
        if (first != NULL) {
            writer_run_batch(s, first);
        }
    }
}
