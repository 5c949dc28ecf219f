#ifndef SF_ENGINE_H
#define SF_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "formats/checkin.h"

/* The update engine, without I/O.
 *
 * It never opens a socket, sleeps, reads a clock or reboots. Its caller asks what to do next, does
 * it in whatever way its platform likes, and tells the engine what happened:
 *
 *     sf_engine_init(&engine, &config, now_ms());
 *     for (;;) {
 *         struct sf_action a = sf_engine_next(&engine, now_ms());
 *         switch (a.kind) {
 *         case SF_ACTION_WAIT:    sleep_until(a.wait_until_ms); break;
 *         case SF_ACTION_WORK:    sf_engine_work(&engine, now_ms()); break;
 *         case SF_ACTION_REQUEST: http_run(&engine, &a.request); break;
 *         case SF_ACTION_REBOOT:  reboot();
 *         }
 *     }
 *
 * A blocking task, an event loop, a test and a simulator with 100,000 devices differ only in this
 * loop. Flash, stored records and cryptography are structs of functions (device/ports.h), because
 * an update is nothing but those: a test cuts power there, at the n-th operation.
 *
 * Invariants
 *  1. The running slot is never written.
 *  2. otadata changes in one file (device/commit.c), and names another slot only after the image
 *     read back from flash hashed to the digest that manifest and status both name.
 *  3. Confirm needs running slot == boot slot, an open trial, every self-test passed and a
 *     check-in answered in this boot (offline: a manifest that verified).
 *  4. Any error leaves the engine able to start over without a reboot.
 *  5. No call takes longer than one sector erase plus one sector program, but for
 *     sf_platform.slot_bootable and for where otadata has to be put in order first.
 *  6. Nothing here allocates. All memory is struct sf_engine and the caller's buffer of one flash
 *     sector; both stay valid until the engine is no longer used.
 *
 * Not thread-safe: one engine, one thread at a time. */

struct sf_config; /* include/surefoot/surefoot.h */

enum sf_action_kind {
    SF_ACTION_WAIT,    /* until a time, or until sf_engine_poke() */
    SF_ACTION_WORK,    /* a bounded step of work: call sf_engine_work() */
    SF_ACTION_REQUEST, /* one HTTP request */
    SF_ACTION_REBOOT,  /* now, or when the application allows: nothing is lost by waiting */
};

enum sf_method { SF_METHOD_GET, SF_METHOD_POST };

struct sf_request {
    enum sf_method method;
    unsigned origin;  /* 0 = the configured server; n = mirror n of the status */
    const char *path; /* at most 127 bytes; the engine's memory, valid until response_end */
    const char *authorization; /* value of the header, or NULL; never sent to a mirror */
    const uint8_t *body;   /* NULL for GET; application/cbor; valid until response_head or _end */
    size_t body_len;       /* bytes */
    uint32_t range_offset; /* 0 = whole; else `Range: bytes=<offset>-` with If-Range: <etag> */
    const char *etag;      /* with its quotes; NULL = the server gave none: send no If-Range */
    const char *if_none_match; /* value of that header, or NULL; never with a range */
    uint64_t deadline_ms;      /* wake up then, if nothing has arrived: sf_engine_request_check() */
};

struct sf_action {
    enum sf_action_kind kind;
    uint64_t wait_until_ms;
    struct sf_request request;
};

struct sf_response_head {
    int status;          /* HTTP status; redirects are not followed by the caller */
    int64_t content_len; /* Content-Length of this response in bytes, -1 if absent */
    int64_t range_start; /* Content-Range of a 206: first byte, -1 if absent */
    int64_t range_total; /* Content-Range: whole length, -1 if absent or `*` */
    const char *etag;    /* "" if none; the engine copies at most 80 bytes, a longer one is none */
    uint32_t retry_after_s; /* 0 if none */
};

/* The caller's memory for one engine; the contents are private (device/engine_private.h asserts
 * that they fit). With the sector buffer at most 6 KiB. */
struct sf_engine {
    uint64_t opaque[206];
};

/* `config` is kept by reference. `now_ms` is monotonic, from any start. */
void sf_engine_init(struct sf_engine *e, const struct sf_config *config, uint64_t now_ms);

/* Says what to do next. Asking twice without telling anything returns the same action. */
struct sf_action sf_engine_next(struct sf_engine *e, uint64_t now_ms);

/* One bounded step of work. */
void sf_engine_work(struct sf_engine *e, uint64_t now_ms);

/* SF_OK: go on with the response. < 0: stop reading and call sf_engine_response_end(). */
int sf_engine_response_head(struct sf_engine *e, const struct sf_response_head *head,
                            uint64_t now_ms) __attribute__((warn_unused_result));

/* Takes bytes of the body: returns how many (> 0; at most up to the end of one flash sector, so
 * offer the rest again), or < 0 as above. */
int32_t sf_engine_response_body(struct sf_engine *e, const uint8_t *data, size_t len,
                                uint64_t now_ms) __attribute__((warn_unused_result));

/* At a request's deadline, and as often as the caller likes: SF_OK, or SF_ERR_STALLED,
 * SF_ERR_TOO_SLOW, SF_ERR_DEADLINE, SF_ERR_CANCELLED. The engine judges; the caller only wakes up
 * (sf_engine_next() while a request runs returns it again with its new deadline). Name resolution
 * may block a platform longer than the deadline: its port says so. */
int sf_engine_request_check(struct sf_engine *e, uint64_t now_ms)
    __attribute__((warn_unused_result));

/* The request is over: SF_OK = the peer finished it, else why it broke: the port tells DNS,
 * connect, certificate, certificate time, memory and closed apart. */
void sf_engine_response_end(struct sf_engine *e, int err, uint64_t now_ms);

/* The application asks: check in now, or cancel the update in progress. */
enum sf_poke { SF_POKE_CHECK_IN, SF_POKE_CANCEL };
void sf_engine_poke(struct sf_engine *e, enum sf_poke what, uint64_t now_ms);

/* Whether deep sleep loses nothing now (not during a trial, not between erase and commit). */
int sf_engine_may_sleep(const struct sf_engine *e);

/* What an application or a simulator may show. */
struct sf_engine_view {
    enum sf_phase phase;
    uint32_t bytes_done;
    uint32_t bytes_total;
    int last_error;
    int64_t signed_time;        /* Unix seconds of the last status, 0 = none yet */
    uint64_t status_counter;    /* of the last status accepted */
    uint32_t root_version;      /* of the trust root; 0 = none, or not loaded yet in this boot */
    uint32_t checkins_answered; /* in this boot; offline: manifests that verified */
    int trial_open;
    /* the last status names an image that neither runs nor is refused: the engine is at it, or will
     * try (again) after a backoff */
    int update_due;
    struct sf_outcome outcome; /* counter 0 = none pending */
};
struct sf_engine_view sf_engine_view(const struct sf_engine *e);

#endif
