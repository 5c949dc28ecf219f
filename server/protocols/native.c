/* The native device protocol: enrolment and check-in.
 *
 * Invariants
 *  1. A check-in that changes nothing costs no write: it is decided on the loop's reader and
 *     answered at once.
 *  2. One that changes something is decided again by the writer on the rows as they are then, and
 *     answered after COMMIT.
 *  3. The status is signed on the loop thread, with that loop's own signer. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/protocols/auth.h"
#include "server/protocols/common.h"
#include "server/protocols/handlers.h"

enum {
    /* A status may start an install for so long; long downloads get a new one in between. */
    STATUS_LIFETIME_S = 86400,
    KEEP_OPEN_MAX_S = 60, /* a connection idle for longer costs more than a handshake */
};

struct checkin {
    struct store_job job;
    struct exchange *x;
    struct protocols *p;
    int64_t now;
    struct device_login *login;
    struct sf_checkin report;
    struct checkin_decision decision;
    struct manifest_row manifest; /* of decision.answer.release_id; id 0 = none */
    int result;
};

static void refuse_cbor(struct exchange *x, const char *what, int err, const struct sf_diag *diag)
{
    exchange_fail(x, 400, "bad_request", "the %s is refused: %s (byte %zu)%s%s", what,
                  sf_err_str(err), diag->offset, diag->why == NULL ? "" : ": ",
                  diag->why == NULL ? "" : diag->why);
}

/* 1 if the device may change the database now, 0 after answering 429. */
static int may_change(struct exchange *x, struct protocols *p, int64_t device_row, int64_t now)
{
    return limits_allow(&p->limits.changes, (uint64_t)device_row, now, x,
                        "this device reports changes too often");
}

static void decide(struct checkin *c, const struct device_view *view)
{
    uint32_t random = 0;
    memcpy(&random, c->report.nonce, sizeof(random)); /* spreads polls; nothing depends on it */
    uint32_t interval = view->product.checkin_interval_s;
    struct checkin_input in = {
        .device = &view->device,
        .seen = &view->seen,
        .current = view->has_current ? &view->current : NULL,
        .previous = view->has_previous ? &view->previous : NULL,
        .target = view->has_target ? &view->target : NULL,
        .frozen = view->frozen,
        .report = &c->report,
        .policy = {.interval_s =
                       interval == 0 ? atomic_load(&c->p->live.checkin_interval_s) : interval,
                   .deployment_timeout_s = DEPLOYMENT_TIMEOUT_S,
                   .random = random},
    };
    checkin_decide(&in, c->now, &c->decision);
}

static int find_manifest(struct checkin *c, struct store_reader *r, const struct device_view *view)
{
    if (c->decision.answer.release_id == 0) {
        return SF_OK;
    }
    return store_manifest_find(r, c->decision.answer.release_id, view->device.class_id,
                               &c->manifest);
}

static int fill_status(const struct checkin *c, struct sf_status *s)
{
    const struct checkin_answer *answer = &c->decision.answer;
    *s = (struct sf_status){
        .counter = answer->counter,
        .time = c->now,
        .expires = c->now + STATUS_LIFETIME_S,
        .action = (uint8_t)answer->action,
        .next_checkin_s = answer->next_checkin_s,
        .outcome_ack = answer->outcome_ack,
        .max_secure_version = answer->max_secure_version,
    };
    /* a device with two bare keys knows of no root, and must not be told of one */
    const uint64_t root = c->report.root_version == 0 ? 0 : atomic_load(&c->p->live.root);
    s->root_version = (uint32_t)(root >> 32);
    memcpy(s->nonce, c->report.nonce, sizeof(s->nonce));
    memcpy(s->class_uuid, c->report.class_uuid, sizeof(s->class_uuid));
    if (c->manifest.id != 0) {
        s->has_target = 1;
        memcpy(s->target.image_digest, c->manifest.image_digest, SF_SHA256_SIZE);
        memcpy(s->target.manifest_digest, c->manifest.digest, SF_SHA256_SIZE);
        s->target.manifest_size = c->manifest.envelope_len;
        s->target.epoch = (uint32_t)root;
        s->target.seq = c->manifest.seq;
    }
    const char *id = c->login->view.device.id;
    return sf_sha256(c->p->crypto, id, strlen(id), s->device_digest);
}

/* The answer's bytes in the arena: their length, or an error. */
static int32_t encode_answer(const struct checkin *c, uint8_t **out)
{
    struct sf_status status;
    int err = fill_status(c, &status);
    uint8_t *signed_status = arena_alloc(c->x->arena, SF_STATUS_MAX);
    *out = arena_alloc(c->x->arena, SF_CHECKIN_ANSWER_MAX);
    if (err != SF_OK || signed_status == NULL || *out == NULL) {
        return err != SF_OK ? err : SF_ERR_NOMEM;
    }
    const struct sf_signer *signer = &c->p->signer[c->x->loop];
    int32_t len = sf_status_sign(&status, signer, c->p->crypto, signed_status, SF_STATUS_MAX);
    if (len < 0) {
        return len;
    }
    struct sf_checkin_answer answer = {.status = {signed_status, (size_t)len}};
    if (status.action == SF_STATUS_INSTALL &&
        memcmp(status.target.image_digest, c->report.running_digest, SF_SHA256_SIZE) != 0) {
        answer.manifest = (struct sf_bytes){c->manifest.envelope, c->manifest.envelope_len};
    }
    return sf_checkin_answer_encode(&answer, *out, SF_CHECKIN_ANSWER_MAX);
}

static void answer_checkin(void *arg)
{
    struct checkin *c = arg;
    struct exchange *x = c->x;
    if (c->result == SF_ERR_UNAUTHORIZED || c->result == SF_ERR_QUARANTINED) {
        exchange_fail(x, 401, "unauthorized", "this device credential is unknown or revoked");
        return;
    }
    if (c->result != SF_OK) {
        answer_store_error(x, c->result);
        return;
    }
    uint8_t *body = NULL;
    int32_t len = encode_answer(c, &body);
    if (len < 0) {
        log_error("status not signed", LOG_TEXT("request", x->id),
                  LOG_TEXT("error", sf_err_name(len)));
        answer_header(x, "Retry-After", "60");
        exchange_fail(x, 503, "status_unavailable", "the status cannot be signed now");
        return;
    }
    store_seen(c->p->store, &c->decision.seen);
    if (c->decision.answer.next_checkin_s > KEEP_OPEN_MAX_S) {
        answer_header(x, "Connection", "close");
    }
    answer_body(x, 200, "application/cbor", body, (size_t)len);
    exchange_finish(x);
}

static int checkin_run(struct store_tx *tx, void *arg)
{
    struct checkin *c = arg;
    struct device_view *view = &c->login->view;
    struct store_reader *r = store_tx_reader(tx);
    int err = store_device_view(r, c->x->who, view);
    if (err == SF_OK) {
        err = device_authenticate(&view->device, c->login->secret_digest);
    }
    if (err != SF_OK) {
        return err == SF_ERR_NOTFOUND ? SF_ERR_UNAUTHORIZED : err;
    }
    decide(c, view);
    if (c->decision.changed) {
        err = store_checkin_apply(tx, &c->decision, c->now);
    }
    return err < 0 ? err : find_manifest(c, r, view);
}

static void checkin_done(void *arg, int err)
{
    struct checkin *c = arg;
    c->result = err;
    c->x->ops->defer(c->x, answer_checkin, c);
}

void handle_checkin(struct exchange *x, void *ctx)
{
    struct checkin *c = exchange_alloc(x, sizeof(*c));
    if (c == NULL) {
        return;
    }
    c->x = x;
    c->p = ctx;
    c->now = c->p->now();
    c->login = x->handler_data;
    struct sf_diag diag = {0};
    int err = sf_checkin_decode((struct sf_bytes){x->body, x->body_len}, &c->report, &diag);
    if (err != SF_OK) {
        refuse_cbor(x, "check-in", err, &diag);
        return;
    }
    decide(c, &c->login->view);
    if (!c->decision.changed) {
        c->result = find_manifest(c, reader_of(x, c->p), &c->login->view);
        answer_checkin(c);
        return;
    }
    if (!may_change(x, c->p, c->login->view.device.row, c->now)) {
        return;
    }
    /* the writer overwrites the view that `who` points into */
    x->who = arena_strdup(x->arena, x->who);
    c->job = (struct store_job){.run = checkin_run, .done = checkin_done, .arg = c};
    err = x->who == NULL ? SF_ERR_NOMEM : store_submit(c->p->store, &c->job);
    if (err != SF_OK) {
        answer_store_error(x, err);
    }
}

struct enrolment {
    struct store_job job;
    struct exchange *x;
    struct protocols *p;
    int64_t now;
    struct sf_enrol request;
    uint8_t token_digest[SF_SHA256_SIZE];
    struct enrol_decision decision;
    int result;
};

/* NOTFOUND leaves the number 0: the decision knows what that means. */
static int decide_enrolment(struct enrolment *e, struct store_reader *r)
{
    struct hw_class class = {0};
    struct enrol_token token = {0};
    struct device device;
    int err = store_class_find(r, e->request.class_uuid, &class);
    if (err != SF_OK && err != SF_ERR_NOTFOUND) {
        return err;
    }
    err = store_enrol_token_find(r, e->token_digest, &token);
    if (err != SF_OK && err != SF_ERR_NOTFOUND) {
        return err;
    }
    int known = store_device_find(r, e->request.id, &device);
    if (known != SF_OK && known != SF_ERR_NOTFOUND) {
        return known;
    }
    int usable = token.id != 0 && (token.expires_at == 0 || e->now < token.expires_at);
    struct enrol_input in = {
        .request = &e->request,
        .known = known == SF_OK ? &device : NULL,
        .product_id = class.product_id,
        .class_id = class.id,
        .token_product_id = usable ? token.product_id : 0,
    };
    device_enrol(&in, e->now, &e->decision);
    return SF_OK;
}

static int enrolment_run(struct store_tx *tx, void *arg)
{
    struct enrolment *e = arg;
    int err = decide_enrolment(e, store_tx_reader(tx));
    if (err != SF_OK || !e->decision.changed) {
        return err;
    }
    if (e->decision.device.row == 0) {
        return store_device_add(tx, &e->decision.device, &e->decision.event, e->now);
    }
    if (e->decision.was_plain) {
        err = store_plain_count(tx, e->decision.device.product_id, -1);
    }
    return err < 0 ? err : store_device_put(tx, &e->decision.device, &e->decision.event, e->now);
}

static void answer_enrolment(void *arg)
{
    struct enrolment *e = arg;
    if (e->result != SF_OK) {
        answer_store_error(e->x, e->result);
        return;
    }
    switch (e->decision.verdict) {
    case ENROL_NEW:
    case ENROL_KNOWN:
        answer_empty(e->x, 204);
        return;
    case ENROL_QUARANTINED:
        answer_empty(e->x, 202);
        return;
    case ENROL_REFUSED:
        break;
    }
    if (!may_be_wrong(e->x, e->p)) {
        return;
    }
    exchange_fail(e->x, 401, "enrolment_refused",
                  "the enrolment is refused: %s; the token must be a valid one of the product that "
                  "has this class",
                  sf_err_str(e->decision.error));
}

static void enrolment_done(void *arg, int err)
{
    struct enrolment *e = arg;
    e->result = err;
    e->x->ops->defer(e->x, answer_enrolment, e);
}

void handle_enrol(struct exchange *x, void *ctx)
{
    struct enrolment *e = exchange_alloc(x, sizeof(*e));
    if (e == NULL) {
        return;
    }
    e->x = x;
    e->p = ctx;
    e->now = e->p->now();
    struct sf_diag diag = {0};
    int err = sf_enrol_decode((struct sf_bytes){x->body, x->body_len}, &e->request, &diag);
    if (err != SF_OK) {
        refuse_cbor(x, "enrolment", err, &diag);
        return;
    }
    err = sf_sha256(e->p->crypto, e->request.token, strlen(e->request.token), e->token_digest);
    if (err == SF_OK) {
        err = decide_enrolment(e, reader_of(x, e->p));
    }
    if (err != SF_OK || !e->decision.changed) {
        e->result = err;
        answer_enrolment(e);
        return;
    }
    const int64_t known = e->decision.device.row;
    if (known != 0 && !may_change(x, e->p, known, e->now)) {
        return; /* secrets that ask for it in turn */
    }
    e->job = (struct store_job){.run = enrolment_run, .done = enrolment_done, .arg = e};
    err = store_submit(e->p->store, &e->job);
    if (err != SF_OK) {
        answer_store_error(x, err);
    }
}
