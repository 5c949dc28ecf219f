#ifndef PROTOCOLS_H
#define PROTOCOLS_H

#include <stdatomic.h>

#include "base/exchange.h"
#include "base/stats.h"
#include "formats/cose.h"
#include "server/artifacts/artifacts.h"
#include "server/artifacts/room.h"
#include "server/protocols/limits.h"
#include "server/protocols/live.h"
#include "server/store/store.h"

/* The HTTP surface of surefootd: the native device protocol, the artifacts, the admin API, health
 * and metrics. Decode, one call of fleet/ or store/, encode.
 *
 * Invariants
 *  1. Deny by default: a route without a role bit serves nobody, and the authorise hook is the one
 *     place where credentials are looked at.
 *  2. Secrets and tokens are stored and looked up as SHA-256 only; they appear in one answer, the
 *     one that makes them, and in no log.
 *  3. Every change by a person is one store job that also writes the audit line.
 *  4. An answer that promises something leaves after COMMIT.
 *
 * All of it lives for the time of the server; handlers run on loop threads and share nothing but
 * the store, the artifacts and atomics. */

struct protocols {
    struct store *store;
    struct artifacts *artifacts;
    const struct sf_crypto *crypto;
    struct sf_signer *signer; /* of the status key, one a loop */
    unsigned loop_count;
    struct sf_public_key status_key;
    struct stats *stats;
    const char *version;         /* of surefootd */
    int64_t (*now)(void);        /* Unix seconds */
    int64_t started_at;          /* Unix seconds */
    const char *database;        /* its file, or NULL: it is in memory */
    struct room room;            /* for images */
    atomic_int draining;         /* set before the server drains: /readyz says so */
    _Atomic int64_t ready_until; /* so long the last probe of /readyz counts, Unix seconds */
    struct limits limits;
    struct live live;
    atomic_uint plain_unrecorded; /* reports that found no place in the inventory */
};

/* Every route, for http_config. Static. */
const struct route *protocols_routes(unsigned *count);

/* For http_config.spool_refuse; ctx is struct protocols. */
const char *protocols_refuse_upload(void *ctx, struct arena *arena, uint64_t written,
                                    uint64_t more);

/* NULL, or a sentence about the first route that does not name exactly one role: no such table is
 * served, and no program with one is built. A scope holds the roles of smaller ones, so the least
 * role is all there is to say. */
const char *protocols_check(const struct route *r, unsigned count, char *buffer, size_t size);

/* Reads the newest trust root, for what statuses say of it; before any loop runs. It need not list
 * this server's status key, though devices then believe nothing: *lists_status_key. */
int protocols_load_root(struct protocols *p, struct store_reader *r, int *lists_status_key)
    __attribute__((warn_unused_result));

/* The authorise hook; ctx is struct protocols. */
int protocols_authorise(struct exchange *x, void *ctx);

/* The first admin token. Its text must be on disk before the database knows it, so that a crash in
 * between leaves a database that still needs one: needs_admin (1, 0 or an error), make, write the
 * file, add. Called before any loop runs; a token lasts a year, and when no admin token is valid
 * any more the next start makes another. */
enum { PROTOCOLS_TOKEN_SIZE = 72 };
int protocols_needs_admin(struct protocols *p) __attribute__((warn_unused_result));
int protocols_make_token(struct protocols *p, char text[PROTOCOLS_TOKEN_SIZE],
                         struct api_token *token) __attribute__((warn_unused_result));
int protocols_add_token(struct protocols *p, struct api_token *token)
    __attribute__((warn_unused_result));

#endif
