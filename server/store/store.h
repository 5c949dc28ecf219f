#ifndef STORE_H
#define STORE_H

#include <stddef.h>
#include <stdint.h>

#include "server/store/rows.h"

/* The database, behind one interface; the backends are SQLite and memory (tests).
 *
 *   struct job { struct store_job job; int64_t id; ... };
 *   static int run(struct store_tx *tx, void *arg)      // on the writer thread
 *   {
 *       struct job *j = arg;
 *       struct product p;
 *       int err = store_product_get(store_tx_reader(tx), j->id, &p);
 *       if (err < 0)
 *           return err;                                  // this job alone is rolled back
 *       p.slot_size = 1 << 20;
 *       return store_product_put(tx, &p);
 *   }
 *   static void done(void *arg, int err) { ... }         // after COMMIT: may be promised now
 *   ...
 *   j->job = (struct store_job){.run = run, .done = done, .arg = j};
 *   if (store_submit(store, &j->job) < 0) ...            // SF_ERR_BUSY: answer 503
 *
 * Threads. Reads go through a reader; each belongs to one thread (one a loop thread, one for the
 * scheduler). Writes go through jobs, which the one writer thread runs in order, each in its own
 * savepoint, many in one transaction. With the memory backend submit runs the job before it
 * returns.
 *
 * Promises. When done(arg, SF_OK) is called the job survives kill -9 and loss of power
 * (synchronous=FULL). What store_seen() and the uptime ledger were told may be lost for the last
 * few seconds. A reader sees every job whose done() has been called.
 *
 * Errors of every call besides its own: SF_ERR_IO, SF_ERR_CORRUPT, SF_ERR_NOMEM, SF_ERR_BUSY
 * (another process holds the database), SF_ERR_NOSPC (disk full; nothing changed). Reads fill `out`
 * on success only. Lists return the number of rows written to `out`, at most `max` and at most
 * STORE_PAGE_MAX, ascending by id and after the id `after` (0 = from the start). */

struct store;
struct store_reader;
struct store_tx;

enum store_backend_kind { STORE_SQLITE, STORE_MEMORY };

struct store_options {
    enum store_backend_kind backend;
    unsigned readers;          /* 1 .. 64; 0 = 1 */
    unsigned queue_max;        /* jobs; 0 = 4096 */
    unsigned seen_max;         /* devices in the last-seen table between flushes; 0 = 65536 */
    unsigned busy_timeout_ms;  /* for locks of other processes; 0 = 5000 */
    int64_t (*now)(void *ctx); /* Unix seconds for the uptime ledger; NULL = the system's clock */
    void *now_ctx;
};

enum { STORE_WHY_SIZE = 320 };

/* Opens or creates <folder>/surefoot.db, brings its schema up to date, starts the writer. `folder`
 * must exist; NULL for memory. On failure returns NULL, sets *err and writes one sentence to `why`.
 * SF_ERR_BUSY: another process uses the folder or locks the database; SF_ERR_STATE: not writable;
 * SF_ERR_VERSION: from a newer version; SF_ERR_CORRUPT; SF_ERR_NOSPC: the disk is full. */
struct store *store_open(const char *folder, const struct store_options *options, int *err,
                         char why[STORE_WHY_SIZE]);

/* Runs what is queued, flushes last-seen, closes. No call may be in progress. NULL is fine. */
void store_close(struct store *s);

struct store_job {
    int (*run)(struct store_tx *tx, void *arg); /* < 0 = undo it; else done() gets SF_OK */
    void (*done)(void *arg, int err);           /* on the writer thread; may free the job */
    void *arg;
    struct store_job *next; /* private */
    int result;             /* private */
};

/* Queues a job; its memory is the caller's until done(). SF_ERR_BUSY if the queue is full. */
int store_submit(struct store *s, struct store_job *job) __attribute__((warn_unused_result));

/* Submits and waits; not from the writer thread. Returns what done() would get. */
int store_run(struct store *s, int (*run)(struct store_tx *tx, void *arg), void *arg)
    __attribute__((warn_unused_result));

/* index < options.readers. */
struct store_reader *store_reader(struct store *s, unsigned index);

/* The same reads inside a job, with its own changes visible. */
struct store_reader *store_tx_reader(struct store_tx *tx);

/* Remembers what a poll brought; cheap, from any thread. The writer flushes at most every 5 s, and
 * earlier if the table fills up. `shed_s` of store_shed() adds to the uptime ledger. */
void store_seen(struct store *s, const struct device_seen *seen);
void store_shed(struct store *s, uint32_t seconds);
/* Flushes now and waits. */
int store_flush(struct store *s) __attribute__((warn_unused_result));

struct store_counters { /* since store_open, but for the gauges */
    uint64_t jobs;
    uint64_t jobs_failed;
    uint64_t commits;
    uint64_t commits_failed;
    uint64_t queue_full;
    unsigned queue_length; /* gauge */
    unsigned seen_pending; /* gauge */
};
void store_counters(struct store *s, struct store_counters *out);

struct store_counts {   /* kept up to date by triggers, so O(1) */
    int64_t devices[4]; /* by enum device_state */
    int64_t deployments[DEPLOYMENT_STATE_COUNT];
};
int store_counts(struct store_reader *r, struct store_counts *out)
    __attribute__((warn_unused_result));

/* ---- small settings ---- */
#define STORE_USE __attribute__((warn_unused_result))
int store_meta_get(struct store_reader *r, const char *key,
                   char value[STORE_VALUE_MAX + 1]) STORE_USE; /* NOTFOUND */
int store_meta_put(struct store_tx *tx, const char *key, const char *value) STORE_USE;
/* SF_OK with since 0 if the fleet is not frozen. */
int store_freeze_get(struct store_reader *r, struct freeze *out)
    __attribute__((warn_unused_result));
int store_freeze_put(struct store_tx *tx, const struct freeze *freeze) STORE_USE;

/* ---- get: NOTFOUND. put: by id, NOTFOUND; add: sets the id, EXISTS if a unique field is taken */
int store_token_get(struct store_reader *r, int64_t id, struct api_token *out) STORE_USE;
int store_token_find(struct store_reader *r, const uint8_t digest[DIGEST_SIZE],
                     struct api_token *out) STORE_USE;
int store_token_list(struct store_reader *r, int64_t after, struct api_token *out,
                     unsigned max) STORE_USE;
int store_token_add(struct store_tx *tx, struct api_token *row) STORE_USE;
int store_token_put(struct store_tx *tx, const struct api_token *row) STORE_USE;

int store_product_get(struct store_reader *r, int64_t id, struct product *out) STORE_USE;
int store_product_find(struct store_reader *r, const char *name, struct product *out) STORE_USE;
int store_product_list(struct store_reader *r, int64_t after, struct product *out,
                       unsigned max) STORE_USE;
int store_product_add(struct store_tx *tx, struct product *row) STORE_USE;
/* Does not touch target_release, target_gen and stable_release. */
int store_product_put(struct store_tx *tx, const struct product *row) STORE_USE;
/* An operator's order: a new target_gen in any case, so a release that failed is tried again.
 * release_id 0 = no target. NOTFOUND; CLASS if the release is another product's; STATE if it is
 * withdrawn. */
int store_product_target(struct store_tx *tx, int64_t product_id, int64_t release_id,
                         int64_t now) STORE_USE;

/* Sets what the plain endpoint serves; release_id 0 = nothing. Errors as above. */
int store_product_stable(struct store_tx *tx, int64_t product_id, int64_t release_id,
                         int64_t now) STORE_USE;

/* Trust roots; the version is the row's number. */
int store_root_get(struct store_reader *r, uint32_t version, struct root_row *out) STORE_USE;
int store_root_latest(struct store_reader *r, struct root_row *out) STORE_USE;
int store_root_list(struct store_reader *r, int64_t after, struct root_row *out,
                    unsigned max) STORE_USE;
/* EXISTS: this version is there. */
int store_root_add(struct store_tx *tx, struct root_row *row) STORE_USE;

int store_plain_token_get(struct store_reader *r, int64_t id, struct plain_token *out) STORE_USE;
int store_plain_token_find(struct store_reader *r, const uint8_t digest[DIGEST_SIZE],
                           struct plain_token *out) STORE_USE;
int store_plain_token_list(struct store_reader *r, int64_t product_id, int64_t after,
                           struct plain_token *out, unsigned max) STORE_USE;
int store_plain_token_add(struct store_tx *tx, struct plain_token *row) STORE_USE;
int store_plain_token_put(struct store_tx *tx, const struct plain_token *row) STORE_USE;
/* Writes what a plain device's request changed. NOSPC: the product has PLAIN_DEVICES_MAX. */
int store_plain_apply(struct store_tx *tx, struct plain_decision *d, int64_t now) STORE_USE;
/* Changes by `by` how many plain devices a product has: whoever removes one tells. */
int store_plain_count(struct store_tx *tx, int64_t product_id, int by) STORE_USE;
/* Fills in the checksums of an artifact of schema 1. */
int store_artifact_checksums(struct store_tx *tx, const struct artifact *row) STORE_USE;

int store_class_get(struct store_reader *r, int64_t id, struct hw_class *out) STORE_USE;
int store_class_find(struct store_reader *r, const uint8_t uuid[SF_UUID_SIZE],
                     struct hw_class *out) STORE_USE;
int store_class_list(struct store_reader *r, int64_t product_id, int64_t after,
                     struct hw_class *out, unsigned max) STORE_USE;
int store_class_add(struct store_tx *tx, struct hw_class *row) STORE_USE; /* next_seq 0 = 2 */
/* Gives out the next even manifest number. */
int store_seq_reserve(struct store_tx *tx, int64_t class_id, uint64_t *seq) STORE_USE;
/* Leaves out the next `count` (even) numbers of every class of the product. */
int store_seq_skip(struct store_tx *tx, int64_t product_id, uint32_t count) STORE_USE;

int store_enrol_token_find(struct store_reader *r, const uint8_t digest[DIGEST_SIZE],
                           struct enrol_token *out) STORE_USE;
int store_enrol_token_list(struct store_reader *r, int64_t product_id, int64_t after,
                           struct enrol_token *out, unsigned max) STORE_USE;
/* Adds a token; those the product has expire at `old_expire_at` unless they do so earlier
 * (0 = leave them alone). */
int store_enrol_token_add(struct store_tx *tx, struct enrol_token *row,
                          int64_t old_expire_at) STORE_USE;

int store_release_get(struct store_reader *r, int64_t id, struct release *out) STORE_USE;
int store_release_find(struct store_reader *r, int64_t product_id, const char *version,
                       struct release *out) STORE_USE;
int store_release_list(struct store_reader *r, int64_t product_id, int64_t after,
                       struct release *out, unsigned max) STORE_USE;
/* Highest secure_version of the product's releases; 0 = none. */
int store_release_secure_version(struct store_reader *r, int64_t product_id,
                                 uint32_t *out) STORE_USE;
int store_release_add(struct store_tx *tx, struct release *row) STORE_USE;
int store_release_put(struct store_tx *tx, const struct release *row) STORE_USE; /* state, notes */

int store_manifest_find(struct store_reader *r, int64_t release_id, int64_t class_id,
                        struct manifest_row *out) STORE_USE;
int store_manifest_list(struct store_reader *r, int64_t release_id, int64_t after,
                        struct manifest_row *out, unsigned max) STORE_USE;
/* Raises the class' last_seq. The artifact must be there: NOTFOUND. */
int store_manifest_add(struct store_tx *tx, struct manifest_row *row) STORE_USE;

int store_artifact_find(struct store_reader *r, const uint8_t digest[DIGEST_SIZE],
                        struct artifact *out) STORE_USE;
int store_artifact_list(struct store_reader *r, int64_t after, struct artifact *out,
                        unsigned max) STORE_USE;
/* Added before `older_than` and named by no manifest; oldest first. */
int store_artifact_unused(struct store_reader *r, int64_t older_than, struct artifact *out,
                          unsigned max) STORE_USE;
int store_artifact_add(struct store_tx *tx, struct artifact *row) STORE_USE;
/* Makes it as young as a new one: it was uploaded again. NOTFOUND. */
int store_artifact_touch(struct store_tx *tx, const uint8_t digest[DIGEST_SIZE],
                         int64_t now) STORE_USE;
/* STATE if a manifest names it. The bytes are the caller's to remove after done(). */
int store_artifact_remove(struct store_tx *tx, int64_t id) STORE_USE;

/* ---- devices; struct device_seen comes from memory where a poll has not been flushed yet ---- */
int store_device_get(struct store_reader *r, int64_t row, struct device *out) STORE_USE;
int store_device_find(struct store_reader *r, const char *id, struct device *out) STORE_USE;
int store_device_seen(struct store_reader *r, int64_t row, struct device_seen *out) STORE_USE;
int store_device_view(struct store_reader *r, const char *id, struct device_view *out) STORE_USE;
/* Ascending by id text. SF_ERR_RANGE if `version` is asked for without a product. */
int store_device_list(struct store_reader *r, const struct device_filter *f, struct device *out,
                      unsigned max) __attribute__((warn_unused_result));
/* Adds the row and, unless NULL, the event to its history. */
int store_device_add(struct store_tx *tx, struct device *row, const struct event *event,
                     int64_t now) STORE_USE;
int store_device_put(struct store_tx *tx, const struct device *row, const struct event *event,
                     int64_t now) STORE_USE;
/* An operator's order for one device, as store_product_target(); release_id 0 = clear. */
int store_device_override(struct store_tx *tx, int64_t device_row, int64_t release_id,
                          int64_t now) STORE_USE;
/* Writes all a decision changed: device, deployments, history. */
int store_checkin_apply(struct store_tx *tx, const struct checkin_decision *d,
                        int64_t now) STORE_USE;

int store_deployment_get(struct store_reader *r, int64_t id, struct deployment *out) STORE_USE;
int store_deployment_list(struct store_reader *r, int64_t device_row, int64_t after,
                          struct deployment *out, unsigned max) STORE_USE;
/* Active and past their deadline; earliest deadline first. */
int store_deployment_due(struct store_reader *r, int64_t now, struct deployment *out,
                         unsigned max) STORE_USE;
/* Times out at most `max` (<= 256) of them; returns how many. */
int store_deployment_expire(struct store_tx *tx, int64_t now, unsigned max) STORE_USE;

int store_history_list(struct store_reader *r, int64_t device_row, int64_t after,
                       struct history_row *out, unsigned max) STORE_USE;

int store_audit_add(struct store_tx *tx, const struct audit_row *row) STORE_USE; /* id ignored */
/* `who` NULL = everybody. */
int store_audit_list(struct store_reader *r, int64_t after, const char *who, struct audit_row *out,
                     unsigned max) STORE_USE;

int store_uptime_list(struct store_reader *r, int64_t after, struct uptime_row *out,
                      unsigned max) STORE_USE;

int store_prune(struct store_tx *tx, const struct retention *keep, int64_t now,
                struct prune_result *out) STORE_USE;

#endif
