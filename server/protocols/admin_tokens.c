/* API tokens: named, scoped, expiring; the secret is shown once. */
#include <stdio.h>
#include <string.h>

#include "server/protocols/auth.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"
#include "server/protocols/text.h"

enum { DAYS_DEFAULT = 90, DAYS_MAX = 3650, DAY_S = 86400 };

static json_t *token_json(const struct api_token *token)
{
    return json_pack("{s:I, s:s, s:s, s:o, s:o, s:o}", "id", (json_int_t)token->id, "name",
                     token->name, "scope", scope_name(token->roles), "created",
                     json_time(token->created_at), "expires", json_time(token->expires_at),
                     "revoked", json_time(token->revoked_at));
}

void handle_whoami(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct api_token token;
    int err = store_token_get(reader_of(x, p), x->who_id, &token);
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    answer_json(x, 200,
                json_pack("{s:s, s:s, s:o, s:{s:s, s:I, s:o}}", "name", token.name, "scope",
                          scope_name(token.roles), "expires", json_time(token.expires_at), "server",
                          "version", p->version, "time", (json_int_t)p->now(), "status_key",
                          json_hex(x->arena, p->status_key.xy, sizeof(p->status_key.xy))));
}

void handle_token_list(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct page page;
    if (page_parse(x, &page) != 0) {
        return;
    }
    struct api_token *rows = exchange_alloc(x, page.limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    int count = store_token_list(reader_of(x, p), page.after, rows, page.limit);
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
    struct api_token row;
    char text[PROTOCOLS_TOKEN_SIZE];
};

static int create_token(struct store_tx *tx, struct change *c)
{
    struct token_job *job = c->data;
    int err = store_token_add(tx, &job->row);
    if (err == SF_ERR_EXISTS) {
        return refuse(&c->why, 409, "exists",
                      "there is (or was) a token '%s' already: take another name", job->row.name);
    }
    return err;
}

static void answer_created(struct change *c)
{
    const struct token_job *job = c->data;
    json_t *body = token_json(&job->row);
    (void)json_object_set_new(body, "token", json_string(job->text));
    answer_header(c->x, "Cache-Control", "no-store");
    answer_json(c->x, 201, body);
}

void handle_token_create(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct request r;
    request_open(&r, x);
    const char *name = request_text(&r, "name", REQUIRED, NAME_MAX_LEN);
    const char *scope_text = request_text(&r, "scope", REQUIRED, 16);
    int64_t days = request_int(&r, "days", 1, DAYS_MAX, DAYS_DEFAULT);
    const struct scope *scope = scope_text == NULL ? NULL : scope_find(scope_text);
    if (name != NULL && !text_is_name(name, NAME_MAX_LEN)) {
        request_refuse(&r, "bad_field", "field 'name' may have a-z, 0-9, '.', '_' and '-' only");
    }
    if (scope == NULL) {
        request_refuse(&r, "bad_field",
                       "field 'scope' must be viewer, publisher, operator, approver or admin");
    }
    if (request_end(&r) != 0 || scope == NULL) {
        return; /* answered */
    }
    struct token_job *job = exchange_alloc(x, sizeof(*job));
    struct change *c = job == NULL ? NULL : change_new(x, p, "token.create", name);
    if (c == NULL) {
        return;
    }
    job->row.roles = scope->roles;
    job->row.created_at = c->now;
    job->row.expires_at = c->now + days * DAY_S;
    (void)snprintf(job->row.name, sizeof(job->row.name), "%s", name);
    int err = secret_make(p->crypto, "sft_", job->text, job->row.digest);
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    c->data = job;
    c->run = create_token;
    c->answer = answer_created;
    change_detail(c, json_pack("{s:s, s:I}", "scope", scope->name, "days", (json_int_t)days));
    change_submit(c);
}

/* Walks the few tokens there are: only their digests are indexed for speed. */
static int find_by_name(struct store_reader *r, const char *name, struct api_token *out)
{
    int64_t after = 0;
    int count = 0;
    while ((count = store_token_list(r, after, out, 1)) == 1) {
        if (strcmp(out->name, name) == 0) {
            return SF_OK;
        }
        after = out->id;
    }
    return count < 0 ? count : SF_ERR_NOTFOUND;
}

static int revoke_token(struct store_tx *tx, struct change *c)
{
    struct api_token token;
    int err = find_by_name(store_tx_reader(tx), c->object, &token);
    if (err == SF_ERR_NOTFOUND) {
        return refuse(&c->why, 404, "no_such_token", "there is no token '%.64s'", c->object);
    }
    if (err < 0 || token.revoked_at != 0) {
        return err;
    }
    token.revoked_at = c->now;
    return store_token_put(tx, &token);
}

static void answer_gone(struct change *c)
{
    answer_empty(c->x, 204);
}

void handle_token_revoke(struct exchange *x, void *ctx)
{
    struct change *c = change_new(x, ctx, "token.revoke", exchange_param(x, "name"));
    if (c != NULL) {
        c->run = revoke_token;
        c->answer = answer_gone;
        change_submit(c);
    }
}
