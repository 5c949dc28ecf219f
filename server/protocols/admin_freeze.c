/* The freeze: one order that stops all offers everywhere, until it is taken back. */
#include <stdio.h>

#include "base/log.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"

static json_t *freeze_json(const struct freeze *f)
{
    int frozen = f->since != 0;
    return json_pack("{s:b, s:o, s:o, s:o}", "frozen", frozen, "since", json_time(f->since), "who",
                     frozen ? json_string(f->who) : json_null(), "reason",
                     frozen ? json_string(f->reason) : json_null());
}

void handle_freeze_show(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct freeze freeze;
    int err = store_freeze_get(reader_of(x, p), &freeze);
    if (err != SF_OK) {
        answer_store_error(x, err);
        return;
    }
    answer_json(x, 200, freeze_json(&freeze));
}

/* A fleet that is frozen already keeps its first time and gets the new reason. */
static int put_freeze(struct store_tx *tx, struct change *c)
{
    struct freeze *wanted = c->data;
    struct freeze now;
    int err = store_freeze_get(store_tx_reader(tx), &now);
    if (err == SF_OK && wanted->since != 0 && now.since != 0) {
        wanted->since = now.since;
    }
    return err == SF_OK ? store_freeze_put(tx, wanted) : err;
}

static void answer_freeze(struct change *c)
{
    const struct freeze *f = c->data;
    log_warn(f->since != 0 ? "fleet frozen" : "fleet unfrozen", LOG_TEXT("request", c->x->id),
             LOG_TEXT("who", c->x->who), LOG_TEXT("reason", f->reason));
    answer_json(c->x, 200, freeze_json(f));
}

void handle_freeze_put(struct exchange *x, void *ctx)
{
    struct request r;
    request_open(&r, x);
    if (!request_has(&r, "frozen")) {
        request_refuse(&r, "missing_field", "'frozen' is missing: true or false");
    }
    int frozen = request_bool(&r, "frozen");
    const char *reason = request_text(&r, "reason", OPTIONAL, FREEZE_REASON_MAX);
    if (request_end(&r) != 0) {
        return;
    }
    struct freeze *f = exchange_alloc(x, sizeof(*f));
    struct change *c =
        f == NULL ? NULL : change_new(x, ctx, frozen ? "fleet.freeze" : "fleet.unfreeze", "");
    if (c == NULL) {
        return;
    }
    *f = (struct freeze){0};
    if (frozen) {
        f->since = c->now > 0 ? c->now : 1;
        (void)snprintf(f->who, sizeof(f->who), "%s", x->who);
        (void)snprintf(f->reason, sizeof(f->reason), "%s", reason == NULL ? "" : reason);
    }
    change_detail(c, json_pack("{s:s}", "reason", reason == NULL ? "" : reason));
    c->run = put_freeze;
    c->answer = answer_freeze;
    c->data = f;
    change_submit(c);
}
