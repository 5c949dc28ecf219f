/* Invariants
 *  1. Each task does a bounded batch at a time, so the writer is never blocked for long.
 *  2. A failed task is logged and tried again at its next time; it never ends the server.
 *  3. Bytes of an artifact go after the database has forgotten them, never before, and on the
 *     writer's thread, where uploads are acknowledged: none can be in between.
 *  4. Nothing is forgotten by its age while the clock may be wrong. */
#include "server/scheduler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define DAY_S     INT64_C(86400)
#define SECOND_MS INT64_C(1000)

enum {
    BATCH = 256,
    BATCHES_MAX = 64, /* in one pass; the rest waits for the next */
    FIRST_MS = 20000,
};

void scheduler_renew_certificate(const struct scheduler_config *c, int64_t now_unix_s)
{
    certificate_refresh(c->certificate, now_unix_s, CERTIFICATE_IF_CHANGED);
}

struct expiry {
    int64_t now;
    int count;
};

static int run_expire(struct store_tx *tx, void *arg)
{
    struct expiry *e = arg;
    e->count = store_deployment_expire(tx, e->now, BATCH);
    return e->count < 0 ? e->count : SF_OK;
}

void scheduler_expire(const struct scheduler_config *c, int64_t now_unix_s)
{
    struct expiry e = {.now = now_unix_s};
    for (int i = 0; i < BATCHES_MAX; i++) {
        int err = store_run(c->store, run_expire, &e);
        if (err != SF_OK) {
            log_warn("deployments cannot be timed out", LOG_TEXT("error", sf_err_name(err)));
        }
        if (err != SF_OK || e.count < BATCH) {
            return;
        }
    }
}

static int64_t seconds(const atomic_uint *days)
{
    return (int64_t)atomic_load(days) * DAY_S;
}

static struct retention retention_of(const struct live *live)
{
    return (struct retention){
        .history_s = seconds(&live->keep_history_days),
        .audit_s = seconds(&live->keep_audit_days),
        .deployments_s = seconds(&live->keep_deployments_days),
        .revoked_devices_s = seconds(&live->keep_revoked_devices_days),
        .uptime_s = seconds(&live->keep_uptime_days),
        .batch = BATCH,
    };
}

struct pruning {
    struct retention keep;
    int64_t now;
    struct prune_result result;
};

static int run_prune(struct store_tx *tx, void *arg)
{
    struct pruning *p = arg;
    return store_prune(tx, &p->keep, p->now, &p->result);
}

static int full_batch(const struct prune_result *r)
{
    return r->history >= BATCH || r->audit >= BATCH || r->deployments >= BATCH ||
           r->devices >= BATCH || r->uptime >= BATCH || r->tokens >= BATCH;
}

void scheduler_prune(const struct scheduler_config *c, int64_t now_unix_s)
{
    for (int i = 0; i < BATCHES_MAX; i++) {
        struct pruning p = {.keep = retention_of(c->live), .now = now_unix_s};
        int err = store_run(c->store, run_prune, &p);
        if (err != SF_OK) {
            log_warn("old rows cannot be removed", LOG_TEXT("error", sf_err_name(err)));
        }
        if (err != SF_OK || !full_batch(&p.result)) {
            return;
        }
    }
}

static int run_forget(struct store_tx *tx, void *arg)
{
    const struct artifact *row = arg;
    return store_artifact_remove(tx, row->id);
}

struct removal {
    const struct scheduler_config *c;
    const uint8_t *digest;
};

static int run_remove(struct store_tx *tx, void *arg)
{
    const struct removal *r = arg;
    struct artifact row;
    int err = store_artifact_find(store_tx_reader(tx), r->digest, &row);
    if (err != SF_ERR_NOTFOUND) {
        return err; /* SF_OK: uploaded again meanwhile */
    }
    err = artifacts_remove(r->c->artifacts, r->digest);
    return err == SF_ERR_NOTFOUND ? SF_OK : err;
}

static int remove_bytes(const struct scheduler_config *c, const uint8_t *digest)
{
    struct removal removal = {c, digest};
    return store_run(c->store, run_remove, &removal);
}

/* Uploads that no release came to name. */
static void collect_unused(const struct scheduler_config *c, int64_t older_than)
{
    struct artifact row;
    for (int i = 0; i < BATCH; i++) {
        if (store_artifact_unused(c->reader, older_than, &row, 1) != 1) {
            return;
        }
        int err = store_run(c->store, run_forget, &row);
        if (err == SF_OK) {
            err = remove_bytes(c, row.digest);
        }
        if (err != SF_OK && err != SF_ERR_NOTFOUND) {
            log_warn("an unused image cannot be removed", LOG_TEXT("error", sf_err_name(err)));
            return;
        }
    }
}

struct strays {
    const struct scheduler_config *c;
    int64_t older_than;
    unsigned count;
    uint8_t digest[BATCH][ARTIFACT_DIGEST_SIZE];
};

static int note_stray(const struct artifact_file *file, void *ctx)
{
    struct strays *s = ctx;
    struct artifact row;
    if (file->stored_at < s->older_than &&
        store_artifact_find(s->c->reader, file->sha256, &row) == SF_ERR_NOTFOUND) {
        memcpy(s->digest[s->count++], file->sha256, ARTIFACT_DIGEST_SIZE);
    }
    return s->count == BATCH;
}

/* Files whose upload was stored but never acknowledged: the process was killed in between. */
static void collect_strays(const struct scheduler_config *c, int64_t older_than)
{
    struct strays *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return;
    }
    s->c = c;
    s->older_than = older_than;
    if (artifacts_list(c->artifacts, note_stray, s) < 0) {
        log_warn("the artifacts cannot be listed");
    }
    for (unsigned i = 0; i < s->count; i++) {
        if (remove_bytes(c, s->digest[i]) < 0) {
            log_warn("a stray file cannot be removed");
        }
    }
    free(s);
}

void scheduler_collect(const struct scheduler_config *c, int64_t now_unix_s)
{
    collect_unused(c, now_unix_s - seconds(&c->live->keep_uploads_days));
    collect_strays(c, now_unix_s - KEEP_STRAY_FILES_DAYS * DAY_S);
}

/* The ledger tells silence of devices from deafness of the server. */
void scheduler_shed(const struct scheduler_config *c, int64_t now_unix_s)
{
    (void)now_unix_s;
    const uint32_t seconds = stats_take_shed(c->stats);
    if (seconds > 0) {
        store_shed(c->store, seconds);
    }
}

static const struct task {
    void (*run)(const struct scheduler_config *c, int64_t now_unix_s);
    int64_t every_ms;
    int forgets; /* for good, by age */
} tasks[] = {
    {scheduler_shed, 10 * SECOND_MS, 0},
    {scheduler_expire, 60 * SECOND_MS, 0},
    {scheduler_prune, 3600 * SECOND_MS, 1},
    {scheduler_collect, 3600 * SECOND_MS, 1},
    {scheduler_renew_certificate, 3600 * SECOND_MS, 0},
};
enum { TASK_COUNT = sizeof(tasks) / sizeof(tasks[0]) };

/* ---- the clock ---- */

/* The last moment at which an earlier run of the server was up, or 0. The newest row is this run's
 * own. */
static int64_t last_up(const struct scheduler_config *c)
{
    enum { PAGE = 64 };
    struct uptime_row row[PAGE];
    int64_t after = 0;
    int64_t last = 0;
    int64_t newest = 0;
    int count = PAGE;
    while (count == PAGE) {
        count = store_uptime_list(c->reader, after, row, PAGE);
        for (int i = 0; i < count; i++) {
            after = row[i].id;
            last = newest;
            newest = row[i].until_at;
        }
    }
    return last;
}

void scheduler_clock_start(struct scheduler_clock *clock, const struct scheduler_config *c,
                           int64_t now_unix_s, int64_t mono_ms)
{
    int64_t off = now_unix_s - last_up(c);
    *clock =
        (struct scheduler_clock){.offset_s = now_unix_s - mono_ms / SECOND_MS, .since_ms = mono_ms};
    if (off >= 0 && off < CLOCK_OFF_DAYS * DAY_S) {
        clock->since_ms -= CLOCK_STEADY_S * SECOND_MS;
    }
}

int scheduler_clock_good(struct scheduler_clock *clock, int64_t now_unix_s, int64_t mono_ms)
{
    int64_t offset_s = now_unix_s - mono_ms / SECOND_MS;
    int64_t step_s = offset_s - clock->offset_s;
    clock->offset_s = offset_s;
    if (step_s > CLOCK_STEP_S || step_s < -CLOCK_STEP_S) {
        clock->since_ms = mono_ms;
    }
    return mono_ms - clock->since_ms >= CLOCK_STEADY_S * SECOND_MS;
}

struct scheduler {
    struct scheduler_config config;
    struct scheduler_clock clock; /* the thread's */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int stopping;
    int64_t due_ms[TASK_COUNT]; /* monotonic */
};

/* Waits until `until_ms` or scheduler_stop(): 1 = go on, 0 = stop. */
static int wait_until(struct scheduler *s, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = until_ms / 1000,
                                   .tv_nsec = (until_ms % 1000) * 1000000};
    (void)pthread_mutex_lock(&s->lock);
    while (!s->stopping && clock_mono_ms() < until_ms) {
        (void)pthread_cond_timedwait(&s->wake, &s->lock, &until);
    }
    int go_on = !s->stopping;
    (void)pthread_mutex_unlock(&s->lock);
    return go_on;
}

static void *loop(void *arg)
{
    struct scheduler *s = arg;
    for (;;) {
        unsigned next = 0;
        for (unsigned i = 1; i < TASK_COUNT; i++) {
            next = s->due_ms[i] < s->due_ms[next] ? i : next;
        }
        if (!wait_until(s, s->due_ms[next])) {
            return NULL;
        }
        int64_t now = clock_unix_s();
        int good = scheduler_clock_good(&s->clock, now, clock_mono_ms());
        if (good || !tasks[next].forgets) {
            tasks[next].run(&s->config, now);
        }
        s->due_ms[next] = clock_mono_ms() + tasks[next].every_ms;
    }
}

struct scheduler *scheduler_start(const struct scheduler_config *config)
{
    struct scheduler *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->config = *config;
    scheduler_clock_start(&s->clock, config, clock_unix_s(), clock_mono_ms());
    for (unsigned i = 0; i < TASK_COUNT; i++) {
        s->due_ms[i] = clock_mono_ms() + FIRST_MS; /* also when restarts are frequent */
    }
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (pthread_create(&s->thread, NULL, loop, s) != 0) {
        (void)pthread_cond_destroy(&s->wake);
        (void)pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
    }
    return s;
}

void scheduler_stop(struct scheduler *s)
{
    if (s == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->stopping = 1;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    scheduler_shed(&s->config, clock_unix_s());
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
