/* The plain endpoint's settings that are not a product's own: its stable release, its tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/protocols/common.h"
#include "server/protocols/handlers.h"

enum { DAYS_DEFAULT = 3650, DAYS_MAX = 36500, DAY_S = 86400 };

struct stable_job {
    int64_t product_id;
    int64_t release_id;
    const char *version; /* NULL = none */
};

static int set_stable(struct store_tx *tx, struct change *c)
{
    const struct stable_job *job = c->data;
    int err = store_product_stable(tx, job->product_id, job->release_id, c->now);
    if (err == SF_ERR_STATE) {
        return refuse(&c->why, 409, "withdrawn", "this release was withdrawn: choose another");
    }
    return err;
}

static void answer_stable(struct change *c)
{
    const struct stable_job *job = c->data;
    answer_json(c->x, 200, json_pack("{s:s, s:s?}", "name", c->object, "stable", job->version));
}

void handle_product_stable(struct exchange *x, void *ctx)
{
    const struct product *product = product_of(x, ctx);
    struct stable_job *job = product == NULL ? NULL : exchange_alloc(x, sizeof(*job));
    if (job == NULL) {
        return;
    }
    struct request r;
    request_open(&r, x);
    int none = request_null(&r, "version");
    job->version = none ? NULL : request_text(&r, "version", REQUIRED, SF_VERSION_TEXT_MAX);
    if (request_end(&r) != 0) {
        return;
    }
    job->product_id = product->id;
    if (job->version != NULL) {
        const struct release *release = release_of(x, ctx, product, job->version);
        if (release == NULL) {
            return;
        }
        job->release_id = release->id;
    }
    struct change *c = change_new(x, ctx, "product.stable", product->name);
    if (c != NULL) {
        c->data = job;
        c->run = set_stable;
        c->answer = answer_stable;
        change_detail(c, json_pack("{s:s?}", "version", job->version));
        change_submit(c);
    }
}

static json_t *token_json(const struct plain_token *row)
{
    return json_pack("{s:I, s:o, s:o, s:o}", "id", (json_int_t)row->id, "device",
                     row->device_id[0] == '\0' ? json_null() : json_string(row->device_id),
                     "created", json_time(row->created_at), "expires", json_time(row->expires_at));
}

void handle_plain_token_list(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct page page;
    const struct product *product = page_parse(x, &page) != 0 ? NULL : product_of(x, p);
    struct plain_token *rows =
        product == NULL ? NULL : exchange_alloc(x, page.limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    int count = store_plain_token_list(reader_of(x, p), product->id, page.after, rows, page.limit);
    if (count < 0) {
        answer_store_error(x, count);
        return;
    }
    json_t *items = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(items, token_json(&rows[i]));
    }
    answer_list(x, items, count == (int)page.limit ? rows[count - 1].id : 0);
}

struct token_job {
    struct plain_token row;
    char text[PROTOCOLS_TOKEN_SIZE];
};

static int add_token(struct store_tx *tx, struct change *c)
{
    return store_plain_token_add(tx, &((struct token_job *)c->data)->row);
}

static void answer_token(struct change *c)
{
    const struct token_job *job = c->data;
    json_t *body = token_json(&job->row);
    (void)json_object_set_new(body, "token", json_string(job->text));
    answer_header(c->x, "Cache-Control", "no-store");
    answer_json(c->x, 201, body);
}

void handle_plain_token_create(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    const struct product *product = product_of(x, p);
    struct token_job *job = product == NULL ? NULL : exchange_alloc(x, sizeof(*job));
    if (job == NULL) {
        return;
    }
    struct request r;
    request_open(&r, x);
    int64_t days = request_int(&r, "days", 1, DAYS_MAX, DAYS_DEFAULT);
    const char *device = request_text(&r, "device", OPTIONAL, SF_DEVICE_ID_MAX);
    if (device != NULL && !sf_device_id_valid(device)) {
        request_refuse(&r, "bad_field",
                       "field 'device' must be 1 to 64 of A-Z, a-z, 0-9, '_', '-'");
    }
    struct change *c =
        request_end(&r) != 0 ? NULL : change_new(x, p, "plain_token.create", product->name);
    if (c == NULL) {
        return;
    }
    job->row.product_id = product->id;
    job->row.created_at = c->now;
    job->row.expires_at = c->now + days * DAY_S;
    (void)snprintf(job->row.device_id, sizeof(job->row.device_id), "%s",
                   device != NULL ? device : "");
    int err = secret_make(p->crypto, "", job->text, job->row.digest);
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    c->data = job;
    c->run = add_token;
    c->answer = answer_token;
    change_detail(c, json_pack("{s:I, s:s?}", "days", (json_int_t)days, "device", device));
    change_submit(c);
}

static int end_token(struct store_tx *tx, struct change *c)
{
    const struct plain_token *wanted = c->data;
    struct plain_token row;
    int err = store_plain_token_get(store_tx_reader(tx), wanted->id, &row);
    if (err == SF_ERR_NOTFOUND || (err == SF_OK && row.product_id != wanted->product_id)) {
        return refuse(&c->why, 404, "not_found", "the product has no plain token of this number");
    }
    if (err == SF_OK && (row.expires_at == 0 || row.expires_at > c->now)) {
        row.expires_at = c->now > 0 ? c->now : 1;
        err = store_plain_token_put(tx, &row);
    }
    return err;
}

static void answer_ended(struct change *c)
{
    answer_empty(c->x, 204);
}

void handle_plain_token_revoke(struct exchange *x, void *ctx)
{
    const struct product *product = product_of(x, ctx);
    struct plain_token *wanted = product == NULL ? NULL : exchange_alloc(x, sizeof(*wanted));
    if (wanted == NULL) {
        return;
    }
    char *end = NULL;
    const char *text = exchange_param(x, "id");
    wanted->id = strtoll(text, &end, 10);
    wanted->product_id = product->id;
    if (*text == '\0' || *end != '\0' || wanted->id < 1) {
        exchange_fail(x, 404, "not_found", "'%s' is not the number of a plain token", text);
        return;
    }
    struct change *c = change_new(x, ctx, "plain_token.revoke", product->name);
    if (c != NULL) {
        c->data = wanted;
        c->run = end_token;
        c->answer = answer_ended;
        change_detail(c, json_pack("{s:I}", "id", (json_int_t)wanted->id));
        change_submit(c);
    }
}
