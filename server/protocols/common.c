#include "server/protocols/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/uuid.h"
#include "server/protocols/text.h"

struct store_reader *reader_of(const struct exchange *x, const struct protocols *p)
{
    return store_reader(p->store, x->loop);
}

int refuse(struct refusal *why, int status, const char *code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why->message, sizeof(why->message), fmt, args);
    va_end(args);
    why->status = status;
    why->code = code;
    return -1;
}

void answer_refusal(struct exchange *x, const struct refusal *why)
{
    if (why->status == 503) {
        answer_header(x, "Retry-After", "5");
    }
    exchange_fail(x, why->status, why->code, "%s", why->message);
}

void answer_store_error(struct exchange *x, int err)
{
    log_error("store failed", LOG_TEXT("request", x->id), LOG_TEXT("error", sf_err_name(err)),
              LOG_TEXT("route", exchange_name(x)));
    if (err == SF_ERR_CORRUPT || err == SF_ERR_INTERNAL || err == SF_ERR_RANGE) {
        exchange_fail(x, 500, "internal", "the server failed on this request: %s", sf_err_str(err));
        return;
    }
    answer_header(x, "Retry-After", "5");
    exchange_fail(x, 503, "store_unavailable",
                  "the database cannot be used now (%s), nothing was changed: try again",
                  err == SF_ERR_NOSPC ? "the server's disk is full" : sf_err_str(err));
}

void *exchange_alloc(struct exchange *x, size_t size_bytes)
{
    void *memory = arena_alloc(x->arena, size_bytes);
    if (memory == NULL) {
        exchange_fail(x, 500, "out_of_memory", "the request needs too much memory; ask for less");
    }
    return memory;
}

struct change *change_new(struct exchange *x, struct protocols *p, const char *action,
                          const char *object)
{
    struct change *c = exchange_alloc(x, sizeof(*c));
    if (c != NULL) {
        c->x = x;
        c->p = p;
        c->now = p->now();
        c->action = action;
        c->object = object;
    }
    return c;
}

void change_detail(struct change *c, json_t *detail)
{
    char *text = detail == NULL ? NULL : json_dumps(detail, JSON_COMPACT);
    json_decref(detail);
    if (text != NULL && strlen(text) <= STORE_DETAIL_MAX) {
        memcpy(c->detail, text, strlen(text) + 1);
    }
    free(text);
}

static int change_run(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    int err = c->run(tx, c);
    if (err < 0) {
        return err;
    }
    struct audit_row audit = {.at = c->now, .who_id = c->x->who_id};
    (void)snprintf(audit.who, sizeof(audit.who), "%s", c->x->who);
    (void)snprintf(audit.action, sizeof(audit.action), "%s", c->action);
    (void)snprintf(audit.object, sizeof(audit.object), "%s", c->object);
    (void)snprintf(audit.detail, sizeof(audit.detail), "%s", c->detail);
    return store_audit_add(tx, &audit);
}

static void change_answer(void *arg)
{
    struct change *c = arg;
    if (c->result == SF_OK) {
        c->answer(c);
    } else if (c->why.status != 0) {
        answer_refusal(c->x, &c->why);
    } else {
        answer_store_error(c->x, c->result);
    }
}

static void change_done(void *arg, int err)
{
    struct change *c = arg;
    c->result = err;
    c->x->ops->defer(c->x, change_answer, c);
}

void change_submit(struct change *c)
{
    c->job = (struct store_job){.run = change_run, .done = change_done, .arg = c};
    int err = store_submit(c->p->store, &c->job);
    if (err != SF_OK) {
        answer_store_error(c->x, err);
    }
}

int secret_make(const struct sf_crypto *crypto, const char *prefix, char text[PROTOCOLS_TOKEN_SIZE],
                uint8_t digest[SF_SHA256_SIZE])
{
    uint8_t random[32];
    int err = crypto->random(crypto->ctx, random, sizeof(random));
    if (err != SF_OK) {
        return err;
    }
    char hex[2 * sizeof(random) + 1];
    hex_encode(random, sizeof(random), hex);
    int len = snprintf(text, PROTOCOLS_TOKEN_SIZE, "%s%s", prefix, hex);
    if (len < 0 || len >= PROTOCOLS_TOKEN_SIZE) {
        return SF_ERR_INTERNAL;
    }
    return sf_sha256(crypto, text, (size_t)len, digest);
}

int page_parse(struct exchange *x, struct page *out)
{
    int64_t limit = 0;
    if (request_query_uint(x, "after", INT64_MAX / 2, 0, &out->after) != 0 ||
        request_query_uint(x, "limit", PAGE_LIMIT_MAX, PAGE_LIMIT, &limit) != 0) {
        return -1;
    }
    out->limit = limit == 0 ? PAGE_LIMIT : (unsigned)limit;
    return 0;
}

void answer_list(struct exchange *x, json_t *items, int64_t next)
{
    answer_json(x, 200,
                json_pack("{s:o, s:o}", "items", items, "next",
                          next == 0 ? json_null() : json_integer(next)));
}

struct product *product_of(struct exchange *x, struct protocols *p)
{
    struct product *product = exchange_alloc(x, sizeof(*product));
    if (product == NULL) {
        return NULL;
    }
    const char *name = exchange_param(x, "product");
    int err = store_product_find(reader_of(x, p), name == NULL ? "" : name, product);
    if (err == SF_OK) {
        return product;
    }
    if (err == SF_ERR_NOTFOUND) {
        exchange_fail(x, 404, "no_such_product", "there is no product '%.64s'", name);
    } else {
        answer_store_error(x, err);
    }
    return NULL;
}

struct release *release_of(struct exchange *x, struct protocols *p, const struct product *product,
                           const char *version)
{
    struct release *release = exchange_alloc(x, sizeof(*release));
    if (release == NULL) {
        return NULL;
    }
    int err = store_release_find(reader_of(x, p), product->id, version, release);
    if (err == SF_OK) {
        return release;
    }
    if (err == SF_ERR_NOTFOUND) {
        exchange_fail(x, 404, "no_such_release", "product '%s' has no release '%.32s'",
                      product->name, version);
    } else {
        answer_store_error(x, err);
    }
    return NULL;
}

json_t *json_version(struct store_reader *r, int64_t release_id)
{
    struct release *release = release_id == 0 ? NULL : malloc(sizeof(*release));
    json_t *text = NULL;
    if (release != NULL && store_release_get(r, release_id, release) == SF_OK) {
        text = json_string(release->version);
    }
    free(release);
    return text == NULL ? json_null() : text;
}

json_t *json_uuid(const uint8_t uuid[SF_UUID_SIZE])
{
    char text[UUID_TEXT_SIZE];
    uuid_text(uuid, text);
    return json_string(text);
}
