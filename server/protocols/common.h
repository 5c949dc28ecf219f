#ifndef PROTOCOLS_COMMON_H
#define PROTOCOLS_COMMON_H

#include "server/protocols/protocols.h"
#include "server/protocols/refusal.h"
#include "server/protocols/request.h"

/* What the admin handlers share: one reader a loop, and the one way to change something. */

struct store_reader *reader_of(const struct exchange *x, const struct protocols *p);

/* Answers a store error: 503 when trying again may help, else 500. */
void answer_store_error(struct exchange *x, int err);
void answer_refusal(struct exchange *x, const struct refusal *why);

/* A change by a person: runs as one store job, which also writes the audit line; after COMMIT
 * `answer` runs on the loop thread. It lives in the exchange's arena.
 *
 *     struct change *c = change_new(x, p, "product.create", name);
 *     if (c != NULL) {          // NULL: answered already
 *         c->run = ...; c->answer = ...; c->data = ...;
 *         change_submit(c);
 *     } */
struct change {
    struct store_job job;
    struct exchange *x;
    struct protocols *p;
    int64_t now;                       /* Unix seconds, of the request */
    const char *action;                /* "product.create"; static */
    const char *object;                /* "lamp" */
    char detail[STORE_DETAIL_MAX + 1]; /* of the audit line: JSON, or "" */
    struct refusal why;
    /* On the writer thread. SF_OK; or an error, which rolls back: with `why` filled in it is
     * answered with that, otherwise as an error of the store. */
    int (*run)(struct store_tx *tx, struct change *c);
    /* On the loop thread, after COMMIT; finishes the exchange. */
    void (*answer)(struct change *c);
    void *data; /* the handler's own */
    int result;
};

struct change *change_new(struct exchange *x, struct protocols *p, const char *action,
                          const char *object);
void change_submit(struct change *c);
/* Writes the detail; takes over the reference. */
void change_detail(struct change *c, json_t *detail);

/* Arena memory or NULL after answering 500. */
void *exchange_alloc(struct exchange *x, size_t size_bytes);

/* 32 random bytes as a token "<prefix><64 hex digits>", and the SHA-256 of its text. 0 or an error.
 */
int secret_make(const struct sf_crypto *crypto, const char *prefix, char text[PROTOCOLS_TOKEN_SIZE],
                uint8_t digest[SF_SHA256_SIZE]) __attribute__((warn_unused_result));

/* ?after= and ?limit= of a list: 0, or -1 after answering 400. */
struct page {
    int64_t after;
    unsigned limit;
};
enum { PAGE_LIMIT = 100, PAGE_LIMIT_MAX = 500 };
int page_parse(struct exchange *x, struct page *out) __attribute__((warn_unused_result));

/* {"items": items, "next": next}; `next` 0 = null: there is no more. Takes over the reference. */
void answer_list(struct exchange *x, json_t *items, int64_t next);

/* The product named by the route's ":product", or NULL after answering 404. In the arena. */
struct product *product_of(struct exchange *x, struct protocols *p);

/* The release `version` of a product, or NULL after answering 404. In the arena. */
struct release *release_of(struct exchange *x, struct protocols *p, const struct product *product,
                           const char *version);

/* Version of a release, or null for 0. */
json_t *json_version(struct store_reader *r, int64_t release_id);
json_t *json_uuid(const uint8_t uuid[SF_UUID_SIZE]);

#endif
