#ifndef SCHEDULER_H
#define SCHEDULER_H

#include "base/stats.h"
#include "server/artifacts/artifacts.h"
#include "server/certificate.h"
#include "server/protocols/live.h"
#include "server/store/store.h"

/* What surefootd does by itself, on one thread: note when it had to turn clients away, renew the
 * certificate, time deployments out, forget what its retention has passed, collect uploads that no
 * release names. */

enum { KEEP_STRAY_FILES_DAYS = 1 }; /* stored, but unknown to the database */

struct scheduler_config {
    struct store *store;
    struct store_reader *reader; /* the scheduler's own */
    struct artifacts *artifacts;
    struct certificate *certificate;
    struct stats *stats;
    const struct live *live; /* how long things are kept */
};

struct scheduler;

/* NULL without memory or thread. */
struct scheduler *scheduler_start(const struct scheduler_config *config);
/* Waits for the task that runs. NULL is fine. */
void scheduler_stop(struct scheduler *s);

/* Whether the wall clock may be used to forget things: a machine that is in 2106 for a minute,
 * until its time service answers, must not lose its history. It may at once if an earlier run ended
 * not long ago, and else, as after each jump, when it has run evenly for CLOCK_STEADY_S. */
enum { CLOCK_OFF_DAYS = 30, CLOCK_STEADY_S = 7200, CLOCK_STEP_S = 600 };

struct scheduler_clock {
    int64_t offset_s; /* wall - monotonic, when last looked at */
    int64_t since_ms; /* monotonic; it has not jumped since */
};

void scheduler_clock_start(struct scheduler_clock *clock, const struct scheduler_config *c,
                           int64_t now_unix_s, int64_t mono_ms);
int scheduler_clock_good(struct scheduler_clock *clock, int64_t now_unix_s, int64_t mono_ms);

/* One pass of every task at `now`, for tests and for the thread itself. */
void scheduler_renew_certificate(const struct scheduler_config *c, int64_t now_unix_s);
void scheduler_shed(const struct scheduler_config *c, int64_t now_unix_s);
void scheduler_expire(const struct scheduler_config *c, int64_t now_unix_s);
void scheduler_prune(const struct scheduler_config *c, int64_t now_unix_s);
void scheduler_collect(const struct scheduler_config *c, int64_t now_unix_s);

#endif
