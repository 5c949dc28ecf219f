/* Devices: who is there, what each runs and what happened to it; what an operator may order. */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "server/fleet/outcome.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"

/* Names that the rows of one page share, so that each is looked up once in a row of equals. */
struct names {
    struct store_reader *r;
    int err;                /* the first read that failed: half an answer is none */
    struct product product; /* id 0 = none read yet */
    struct hw_class class;
    struct release release;
};

/* 1 if it was read; what is not there is no failure. */
static int got(struct names *n, int err)
{
    if (err != SF_OK && err != SF_ERR_NOTFOUND && n->err == SF_OK) {
        n->err = err;
    }
    return err == SF_OK;
}

static const struct product *product_named(struct names *n, int64_t id)
{
    if (n->product.id != id && !got(n, store_product_get(n->r, id, &n->product))) {
        n->product = (struct product){.id = id};
    }
    return &n->product;
}

static const char *class_name(struct names *n, int64_t id)
{
    if (n->class.id != id && !got(n, store_class_get(n->r, id, &n->class))) {
        n->class = (struct hw_class){.id = id};
    }
    return n->class.revision;
}

static json_t *release_name(struct names *n, int64_t id)
{
    if (id == 0) {
        return json_null();
    }
    if (n->release.id != id && !got(n, store_release_get(n->r, id, &n->release))) {
        return json_null();
    }
    return json_string(n->release.version);
}

static json_t *digest_json(const uint8_t digest[SF_SHA256_SIZE])
{
    static const uint8_t none[SF_SHA256_SIZE];
    if (memcmp(digest, none, SF_SHA256_SIZE) == 0) {
        return json_null();
    }
    char hex[2 * SF_SHA256_SIZE + 1];
    hex_encode(digest, SF_SHA256_SIZE, hex);
    return json_string(hex);
}

static json_t *slot_json(uint32_t slot)
{
    char text[16] = "factory";
    if (slot != SF_WIRE_SLOT_FACTORY) {
        (void)snprintf(text, sizeof(text), "ota_%u", (unsigned)slot);
    }
    return json_string(text);
}

static json_t *outcome_json(const struct device *d)
{
    if (d->outcome_counter == 0) {
        return json_null();
    }
    struct sf_outcome o = {.error = d->outcome_error,
                           .reset_reason = (uint8_t)d->outcome_reset_reason};
    char words[OUTCOME_WORDS_MAX + 1];
    (void)snprintf(o.text, sizeof(o.text), "%s", d->outcome_text);
    outcome_words(&o, words, sizeof(words));
    return json_pack(
        "{s:I, s:I, s:s, s:s, s:s, s:s, s:s}", "counter", (json_int_t)d->outcome_counter, "attempt",
        (json_int_t)d->outcome_attempt, "error", sf_err_name(d->outcome_error), "meaning",
        sf_err_str(d->outcome_error), "reset_reason", sf_reset_reason_str(d->outcome_reset_reason),
        "text", d->outcome_text, "words", words);
}

static json_t *alarms_json(uint32_t alarms)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } table[] = {
        {DEVICE_ALARM_CLONE, "clone"},
        {DEVICE_ALARM_COUNTER, "counter"},
        {DEVICE_ALARM_CLASS, "class"},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if ((alarms & table[i].bit) != 0) {
            (void)json_array_append_new(list, json_string(table[i].name));
        }
    }
    return list;
}

static void add_seen(json_t *body, struct names *n, const struct device *d, int whole)
{
    struct device_seen seen = {0};
    int64_t last = got(n, store_device_seen(n->r, d->row, &seen)) ? seen.last_seen : 0;
    (void)json_object_set_new(body, "last_seen", json_time(last));
    if (!whole) {
        return;
    }
    (void)json_object_set_new(body, "boot_count", json_integer(seen.boot_count));
    (void)json_object_set_new(body, "reset_reason",
                              json_string(sf_reset_reason_str(seen.reset_reason)));
    (void)json_object_set_new(body, "uptime_s", json_integer(seen.uptime_s));
    (void)json_object_set_new(body, "phase_bytes", json_integer(seen.phase_bytes));
    (void)json_object_set_new(body, "next_checkin_s", json_integer(seen.next_checkin_s));
}

static json_t *device_json(struct names *n, const struct device *d)
{
    const struct product *product = product_named(n, d->product_id);
    int64_t target = d->override_release != 0 ? d->override_release : product->target_release;
    int seen = d->reported_at != 0;
    json_t *body = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", d->id,
        "kind", device_kind_str(d->kind), "product", product->name, "hw_revision",
        class_name(n, d->class_id), "state", device_state_str(d->state), "version",
        seen ? json_string(d->running_version) : json_null(), "digest",
        digest_json(d->running_digest), "slot", seen ? slot_json(d->running_slot) : json_null(),
        "phase", seen ? json_string(sf_phase_str(d->phase)) : json_null(), "target",
        release_name(n, target), "override", release_name(n, d->override_release), "outcome",
        outcome_json(d), "alarms", alarms_json(d->alarms), "created", json_time(d->enrolled_at));
    add_seen(body, n, d, 0);
    return body;
}

static void add_deployment(json_t *body, struct names *n, const struct device *d)
{
    struct deployment last;
    json_t *value = json_null();
    if (d->deployment_id != 0 && got(n, store_deployment_get(n->r, d->deployment_id, &last))) {
        value = json_pack("{s:I, s:o, s:s, s:s, s:I, s:s, s:o, s:o}", "id", (json_int_t)last.id,
                          "release", release_name(n, last.release_id), "kind",
                          last.kind == DEPLOYMENT_ROLL_BACK ? "roll_back" : "install", "state",
                          deployment_state_str(last.state), "attempt", (json_int_t)last.attempt,
                          "error", sf_err_name(last.error), "offered", json_time(last.offered_at),
                          "changed", json_time(last.changed_at));
    }
    (void)json_object_set_new(body, "deployment", value);
}

/* All there is to know of one device. */
static json_t *device_whole(struct names *n, const struct device *d)
{
    json_t *body = device_json(n, d);
    json_t *more = json_pack(
        "{s:o, s:I, s:I, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "class_uuid",
        json_uuid(d->class_uuid), "length", (json_int_t)d->running_length, "ota_state",
        (json_int_t)d->running_state, "chip", sf_chip_name((uint16_t)d->chip_id), "chip_revision",
        (json_int_t)d->chip_revision, "abilities", (json_int_t)d->abilities, "desired_seq",
        (json_int_t)d->desired_seq, "seq", (json_int_t)d->seq, "epoch", (json_int_t)d->epoch,
        "root_version", (json_int_t)d->root_version, "efuse_secure_version",
        (json_int_t)d->efuse_secure_version, "way_back", digest_json(d->way_back_digest), "revoked",
        json_time(d->revoked_at), "first_report", json_time(d->reported_at));
    (void)json_object_update(body, more);
    json_decref(more);
    add_seen(body, n, d, 1);
    add_deployment(body, n, d);
    struct freeze freeze = {0};
    int known = got(n, store_freeze_get(n->r, &freeze));
    (void)json_object_set_new(body, "frozen", json_boolean(known && freeze.since != 0));
    return body;
}

static struct names *names_new(struct exchange *x, const struct protocols *p)
{
    struct names *n = exchange_alloc(x, sizeof(*n));
    if (n != NULL) {
        n->r = reader_of(x, p);
    }
    return n;
}

/* 1 after answering that a read for `partial` failed; takes the reference over then. */
static int answer_failed(struct exchange *x, const struct names *n, json_t *partial)
{
    if (n->err == SF_OK) {
        return 0;
    }
    json_decref(partial);
    answer_store_error(x, n->err);
    return 1;
}

/* Copies a query's value, or answers 400 and returns -1 when it is too long. */
static int query_text(struct exchange *x, const char *name, char *out, size_t size)
{
    const char *value = exchange_query(x, name);
    if (value == NULL) {
        return 0;
    }
    if (strlen(value) >= size) {
        exchange_fail(x, 400, "bad_query", "'%s' has at most %zu characters", name, size - 1);
        return -1;
    }
    memcpy(out, value, strlen(value) + 1);
    return 0;
}

static int query_state(struct exchange *x, struct device_filter *f)
{
    const char *state = exchange_query(x, "state");
    if (state == NULL) {
        return 0;
    }
    for (uint32_t i = DEVICE_ENROLLED; i <= DEVICE_REVOKED; i++) {
        if (strcmp(state, device_state_str(i)) == 0) {
            f->state = i;
            return 0;
        }
    }
    exchange_fail(x, 400, "bad_query", "'state' must be enrolled, quarantined or revoked");
    return -1;
}

static int query_product(struct exchange *x, struct store_reader *r, struct device_filter *f)
{
    const char *name = exchange_query(x, "product");
    if (name == NULL) {
        if (f->version[0] == '\0') {
            return 0;
        }
        exchange_fail(x, 400, "bad_query", "'version' needs 'product' beside it");
        return -1;
    }
    struct product product;
    int err = store_product_find(r, name, &product);
    if (err == SF_OK) {
        f->product_id = product.id;
        return 0;
    }
    if (err == SF_ERR_NOTFOUND) {
        exchange_fail(x, 404, "no_such_product", "there is no product '%.64s'", name);
    } else {
        answer_store_error(x, err);
    }
    return -1;
}

static int read_filter(struct exchange *x, struct store_reader *r, struct device_filter *f)
{
    if (query_text(x, "version", f->version, sizeof(f->version)) != 0 ||
        query_text(x, "q", f->id_prefix, sizeof(f->id_prefix)) != 0 ||
        query_text(x, "after", f->after_id, sizeof(f->after_id)) != 0 || query_state(x, f) != 0) {
        return -1;
    }
    return query_product(x, r, f);
}

void handle_device_list(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct device_filter filter = {0};
    int64_t limit = 0;
    if (request_query_uint(x, "limit", PAGE_LIMIT_MAX, PAGE_LIMIT, &limit) != 0 ||
        read_filter(x, reader_of(x, p), &filter) != 0) {
        return;
    }
    limit = limit == 0 ? PAGE_LIMIT : limit;
    struct names *n = names_new(x, p);
    struct device *rows = n == NULL ? NULL : exchange_alloc(x, (size_t)limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    int count = store_device_list(n->r, &filter, rows, (unsigned)limit);
    if (count < 0) {
        answer_store_error(x, count);
        return;
    }
    json_t *items = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(items, device_json(n, &rows[i]));
    }
    if (answer_failed(x, n, items)) {
        return;
    }
    const char *next = count == (int)limit ? rows[count - 1].id : NULL;
    answer_json(x, 200, json_pack("{s:o, s:s?}", "items", items, "next", next));
}

/* The device of the route's ":id": SF_OK, or an error with `why` filled in for NOTFOUND. */
static int device_of(struct store_reader *r, const char *id, struct device *out,
                     struct refusal *why)
{
    int err = store_device_find(r, id == NULL ? "" : id, out);
    if (err == SF_ERR_NOTFOUND) {
        (void)refuse(why, 404, "no_such_device", "there is no device '%.64s'", id);
    }
    return err;
}

/* In the arena, or NULL after answering. */
static struct device *device_or_answer(struct exchange *x, const struct protocols *p)
{
    struct device *d = exchange_alloc(x, sizeof(*d));
    if (d == NULL) {
        return NULL;
    }
    struct refusal why = {0};
    int err = device_of(reader_of(x, p), exchange_param(x, "id"), d, &why);
    if (err == SF_OK) {
        return d;
    }
    if (why.status != 0) {
        answer_refusal(x, &why);
    } else {
        answer_store_error(x, err);
    }
    return NULL;
}

static void answer_device(struct exchange *x, const struct protocols *p)
{
    const struct device *d = device_or_answer(x, p);
    struct names *n = d == NULL ? NULL : names_new(x, p);
    json_t *body = n == NULL ? NULL : device_whole(n, d);
    if (body != NULL && !answer_failed(x, n, body)) {
        answer_json(x, 200, body);
    }
}

static void answer_changed(struct change *c)
{
    answer_device(c->x, c->p);
}

void handle_device_show(struct exchange *x, void *ctx)
{
    answer_device(x, ctx);
}

static json_t *history_json(struct names *n, const struct history_row *row)
{
    const struct event *e = &row->event;
    return json_pack(
        "{s:I, s:I, s:s, s:o, s:s?, s:s?, s:o, s:o, s:s}", "id", (json_int_t)row->id, "time",
        (json_int_t)row->at, "event", event_kind_str(e->kind), "release",
        release_name(n, e->release_id), "error", e->error == SF_OK ? NULL : sf_err_name(e->error),
        "meaning", e->error == SF_OK ? NULL : sf_err_str(e->error), "deployment",
        e->deployment_id == 0 ? json_null() : json_integer(e->deployment_id), "counter",
        e->counter == 0 ? json_null() : json_integer((json_int_t)e->counter), "text", e->text);
}

void handle_device_history(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct page page;
    const struct device *d = page_parse(x, &page) != 0 ? NULL : device_or_answer(x, p);
    struct names *n = d == NULL ? NULL : names_new(x, p);
    struct history_row *rows = n == NULL ? NULL : exchange_alloc(x, page.limit * sizeof(*rows));
    if (rows == NULL) {
        return;
    }
    int count = store_history_list(n->r, d->row, page.after, rows, page.limit);
    if (count < 0) {
        answer_store_error(x, count);
        return;
    }
    json_t *items = json_array();
    for (int i = 0; i < count; i++) {
        (void)json_array_append_new(items, history_json(n, &rows[i]));
    }
    if (answer_failed(x, n, items)) {
        return;
    }
    answer_list(x, items, count == (int)page.limit ? rows[count - 1].id : 0);
}

/* ---- orders ---- */

static int set_override(struct store_tx *tx, struct change *c)
{
    const int64_t *release_id = c->data;
    struct device d;
    int err = device_of(store_tx_reader(tx), c->object, &d, &c->why);
    if (err == SF_OK) {
        err = store_device_override(tx, d.row, *release_id, c->now);
    }
    if (err == SF_ERR_STATE) {
        return refuse(&c->why, 409, "withdrawn", "this release was withdrawn: choose another");
    }
    return err;
}

void handle_device_target(struct exchange *x, void *ctx)
{
    struct protocols *p = ctx;
    struct request r;
    request_open(&r, x);
    int none = request_null(&r, "version");
    const char *version = none ? NULL : request_text(&r, "version", REQUIRED, SF_VERSION_TEXT_MAX);
    if (request_end(&r) != 0) {
        return;
    }
    const struct device *d = device_or_answer(x, p);
    int64_t *release_id = d == NULL ? NULL : exchange_alloc(x, sizeof(*release_id));
    if (release_id == NULL) {
        return;
    }
    if (version != NULL) {
        struct product product;
        int err = store_product_get(reader_of(x, p), d->product_id, &product);
        if (err != SF_OK) {
            answer_store_error(x, err);
            return;
        }
        const struct release *release = release_of(x, p, &product, version);
        if (release == NULL) {
            return;
        }
        *release_id = release->id;
    }
    struct change *c = change_new(x, p, "device.target", d->id);
    if (c != NULL) {
        c->data = release_id;
        c->run = set_override;
        c->answer = answer_changed;
        change_detail(c, json_pack("{s:s?}", "version", version));
        change_submit(c);
    }
}

/* An order that is one function of fleet/ on one device. */
struct order {
    const char *action; /* "device.approve" */
    int (*apply)(struct device *d, int64_t now, struct event *event);
    const char *impossible; /* why it may make no sense now */
};

static int run_order(struct store_tx *tx, struct change *c)
{
    const struct order *order = c->data;
    struct device d;
    struct event event = {0};
    int err = device_of(store_tx_reader(tx), c->object, &d, &c->why);
    if (err != SF_OK) {
        return err;
    }
    err = order->apply(&d, c->now, &event);
    if (err == SF_ERR_STATE) {
        return refuse(&c->why, 409, "wrong_state", "device '%s' is %s: %s", d.id,
                      device_state_str(d.state), order->impossible);
    }
    return err == SF_OK ? store_device_put(tx, &d, &event, c->now) : err;
}

static void handle_order(struct exchange *x, void *ctx, const struct order *order)
{
    struct order *copy = arena_memdup(x->arena, order, sizeof(*order));
    struct change *c =
        copy == NULL ? NULL : change_new(x, ctx, order->action, exchange_param(x, "id"));
    if (copy == NULL) {
        answer_store_error(x, SF_ERR_NOMEM);
        return;
    }
    if (c != NULL) {
        c->data = copy;
        c->run = run_order;
        c->answer = answer_changed;
        change_submit(c);
    }
}

void handle_device_approve(struct exchange *x, void *ctx)
{
    static const struct order order = {"device.approve", device_approve,
                                       "only a quarantined device can be approved"};
    handle_order(x, ctx, &order);
}

void handle_device_reject(struct exchange *x, void *ctx)
{
    static const struct order order = {"device.reject", device_reject,
                                       "only a quarantined device can be rejected"};
    handle_order(x, ctx, &order);
}

void handle_device_revoke(struct exchange *x, void *ctx)
{
    static const struct order order = {"device.revoke", device_revoke,
                                       "there is nothing to revoke"};
    handle_order(x, ctx, &order);
}

void handle_device_clear_alarms(struct exchange *x, void *ctx)
{
    static const struct order order = {"device.clear_alarms", device_clear_alarms,
                                       "there is no alarm to clear"};
    handle_order(x, ctx, &order);
}
