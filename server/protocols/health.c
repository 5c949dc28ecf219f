/* For load balancers and Prometheus. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/protocols/common.h"
#include "server/protocols/handlers.h"

enum {
    READY_CACHE_S = 5, /* a probe is a write: not more often than this, whoever asks */
    METRICS_SIZE = 65536,
};

static const char text_plain[] = "text/plain; charset=utf-8";

static void answer_text(struct exchange *x, int status, const char *text)
{
    answer_header(x, "Cache-Control", "no-store");
    answer_body(x, status, text_plain, text, strlen(text));
    exchange_finish(x);
}

void handle_healthz(struct exchange *x, void *ctx)
{
    (void)ctx;
    answer_text(x, 200, "ok\n");
}

struct probe {
    struct store_job job;
    struct exchange *x;
    struct protocols *p;
    int64_t now;
    int result;
};

static int probe_run(struct store_tx *tx, void *arg)
{
    const struct probe *probe = arg;
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRId64, probe->now);
    return store_meta_put(tx, "ready_probe", text);
}

static void probe_answer(void *arg)
{
    struct probe *probe = arg;
    if (probe->result != SF_OK) {
        answer_text(probe->x, 503, "not ready: the database cannot be written\n");
        return;
    }
    atomic_store(&probe->p->ready_until, probe->now + READY_CACHE_S);
    answer_text(probe->x, 200, "ready\n");
}

static void probe_done(void *arg, int err)
{
    struct probe *probe = arg;
    probe->result = err;
    probe->x->ops->defer(probe->x, probe_answer, probe);
}

void handle_readyz(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    int64_t now = p->now();
    if (atomic_load(&p->draining)) {
        answer_text(x, 503, "not ready: draining\n");
        return;
    }
    int64_t until = atomic_load(&p->ready_until);
    if (now < until && until - now <= READY_CACHE_S) {
        answer_text(x, 200, "ready\n");
        return;
    }
    struct probe *probe = exchange_alloc(x, sizeof(*probe));
    if (probe == NULL) {
        return;
    }
    *probe = (struct probe){.x = x, .p = p, .now = now};
    probe->job = (struct store_job){.run = probe_run, .done = probe_done, .arg = probe};
    int err = store_submit(p->store, &probe->job);
    if (err != SF_OK) {
        probe->result = err;
        probe_answer(probe);
    }
}

struct page_text {
    char *text;
    size_t len;
};

static void put(struct page_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct page_text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(t->text + t->len, METRICS_SIZE - t->len, fmt, args);
    va_end(args);
    if (len > 0 && (size_t)len < METRICS_SIZE - t->len) {
        t->len += (size_t)len;
    }
}

static void put_one(struct page_text *t, const char *name, const char *type, const char *help,
                    int64_t value)
{
    put(t, "# HELP surefoot_%s %s\n# TYPE surefoot_%s %s\nsurefoot_%s %" PRId64 "\n", name, help,
        name, type, name, value);
}

static const char *method_name(enum method method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    return names[method];
}

static void put_routes(struct page_text *t, const struct stats_snapshot *s)
{
    unsigned count = 0;
    const struct route *routes = protocols_routes(&count);
    put(t, "# HELP surefoot_http_answers_total answers by route and class of the status\n"
           "# TYPE surefoot_http_answers_total counter\n");
    for (unsigned i = 0; i <= STATS_ROUTE_MAX; i++) {
        for (unsigned class = 0; class < STATS_CLASSES; class ++) {
            if (s->route[i][class] == 0) {
                continue;
            }
            const char *path = i < count ? routes[i].path : "none";
            put(t,
                "surefoot_http_answers_total{method=\"%s\",route=\"%s\",status=\"%uxx\"} %" PRIu64
                "\n",
                i < count ? method_name(routes[i].method) : "any", path, class + 1,
                s->route[i][class]);
        }
    }
}

static void put_http(struct page_text *t, struct stats *stats)
{
    struct stats_snapshot s;
    stats_read(stats, &s);
#define X(name, help) put_one(t, "http_" #name "_total", "counter", help, (int64_t)s.name);
    STATS_MAP(X)
#undef X
    put_one(t, "http_connections", "gauge", "connections open now", s.connections);
    put_one(t, "http_exchanges", "gauge", "requests running now", s.exchanges);
    put_routes(t, &s);
}

static void put_store(struct page_text *t, struct store *store)
{
    struct store_counters c;
    store_counters(store, &c);
    put_one(t, "store_jobs_total", "counter", "jobs run", (int64_t)c.jobs);
    put_one(t, "store_jobs_failed_total", "counter", "jobs rolled back", (int64_t)c.jobs_failed);
    put_one(t, "store_commits_total", "counter", "transactions committed", (int64_t)c.commits);
    put_one(t, "store_commits_failed_total", "counter", "transactions that failed",
            (int64_t)c.commits_failed);
    put_one(t, "store_queue_full_total", "counter", "jobs turned away", (int64_t)c.queue_full);
    put_one(t, "store_queue_length", "gauge", "jobs waiting now", c.queue_length);
    put_one(t, "store_seen_pending", "gauge", "last-seen rows not flushed yet", c.seen_pending);
}

static void put_fleet(struct page_text *t, const struct store_counts *counts)
{
    put(t, "# HELP surefoot_devices devices by state\n# TYPE surefoot_devices gauge\n");
    for (uint32_t i = DEVICE_ENROLLED; i <= DEVICE_REVOKED; i++) {
        put(t, "surefoot_devices{state=\"%s\"} %" PRId64 "\n", device_state_str(i),
            counts->devices[i]);
    }
    put(t, "# HELP surefoot_deployments deployments by state\n"
           "# TYPE surefoot_deployments gauge\n");
    for (uint32_t i = DEPLOYMENT_QUEUED; i < DEPLOYMENT_STATE_COUNT; i++) {
        put(t, "surefoot_deployments{state=\"%s\"} %" PRId64 "\n", deployment_state_str(i),
            counts->deployments[i]);
    }
}

static void put_live(struct page_text *t, struct live *live)
{
    put_one(t, "certificate_ends_at_seconds", "gauge", "when the certificate expires, Unix time",
            atomic_load(&live->certificate_ends_at));
    put_one(t, "certificate_failures_total", "counter", "new certificates that could not be used",
            atomic_load(&live->certificate_failures));
    put_one(t, "reloads_total", "counter", "SIGHUPs", atomic_load(&live->reloads));
    put_one(t, "reload_failures_total", "counter", "SIGHUPs with settings that were refused",
            atomic_load(&live->reload_failures));
}

static void put_space(struct page_text *t, const struct room *room)
{
    struct room_state s;
    room_state(room, &s);
    put_one(t, "artifact_bytes", "gauge", "bytes of stored images", (int64_t)s.used_bytes);
    put_one(t, "quota_bytes", "gauge", "what they may take; 0 = no quota", (int64_t)s.quota_bytes);
    put_one(t, "disk_free_bytes", "gauge", "free on the data folder's file system",
            (int64_t)s.free_bytes);
    put_one(t, "disk_reserve_bytes", "gauge", "of these, what no upload may take",
            (int64_t)s.reserve_bytes);
}

void handle_metrics(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct page_text t = {.text = exchange_alloc(x, METRICS_SIZE)};
    if (t.text == NULL) {
        return;
    }
    struct store_counts counts;
    struct freeze freeze;
    int err = store_counts(reader_of(x, p), &counts);
    err = err == SF_OK ? store_freeze_get(reader_of(x, p), &freeze) : err;
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    put(&t,
        "# HELP surefoot_info version of surefootd\n# TYPE surefoot_info gauge\n"
        "surefoot_info{version=\"%s\"} 1\n",
        p->version);
    put_one(&t, "frozen", "gauge", "1 while all offers are stopped", freeze.since != 0);
    put_one(&t, "plain_unrecorded_total", "counter",
            "reports of plain devices that found no place in the inventory",
            atomic_load(&p->plain_unrecorded));
    put_live(&t, &p->live);
    put_space(&t, &p->room);
    put_fleet(&t, &counts);
    put_store(&t, p->store);
    put_http(&t, p->stats);
    answer_body(x, 200, "text/plain; version=0.0.4; charset=utf-8", t.text, t.len);
    exchange_finish(x);
}
