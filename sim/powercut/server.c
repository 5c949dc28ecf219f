#include "sim/powercut/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"

enum {
    START_TIME = 1800000000,
    EXPIRES_S = 600,
    CHECKIN_S = 3600,
    TICK_S = 60,
    BUSY_S = 30,
    LIE = 1000
};

static const char root_folder[] = "/device/v1/root/";
static const char portal[] = "<html><body>Welcome to the hotel. Please accept.</body></html>";
static const char *const net_names[NET_COUNT] = {
    "good",    "refused", "close", "stall",    "truncate", "range", "changed", "duplicate",
    "corrupt", "portal",  "busy",  "redirect", "forged",   "nonce", "device",  "unsigned"};

const char *net_name(enum net_kind kind)
{
    return net_names[kind];
}

void server_init(struct server *s, struct kit *kit)
{
    *s = (struct server){.kit = kit,
                         .target = KIT_NO_IMAGE,
                         .counter = 1,
                         .time = START_TIME,
                         .root_version = kit->scenario->walks ? ROOTS_FIRST : 0};
}

void server_want(struct server *s, enum kit_image which, enum sf_status_action action)
{
    s->target = which;
    s->action = (uint8_t)action;
    s->counter++;
}

const struct sf_outcome *server_outcome(const struct server *s, uint64_t counter)
{
    for (unsigned i = s->outcome_count; i > 0; i--) {
        if (s->outcome[i - 1].counter == counter) {
            return &s->outcome[i - 1];
        }
    }
    return NULL;
}

static void note_outcome(struct server *s, const struct sf_outcome *o)
{
    const struct sf_outcome *last = s->outcome_count > 0 ? &s->outcome[s->outcome_count - 1] : NULL;
    if (o->counter == 0 || (last && last->counter == o->counter && last->attempt == o->attempt &&
                            last->error == o->error)) {
        return;
    }
    if (s->outcome_count == SERVER_OUTCOMES) {
        memmove(&s->outcome[0], &s->outcome[1], sizeof(s->outcome) - sizeof(s->outcome[0]));
        s->outcome_count--;
    }
    s->outcome[s->outcome_count++] = *o;
    if (o->error == SF_ERR_SECURE_VERSION) {
        s->target = KIT_NO_IMAGE; /* it would ask again and again: it costs no attempt */
    }
}

/* ---- answers ---- */

static void set_body(struct reply *out, const uint8_t *body, size_t len)
{
    out->body = body;
    out->body_len = len;
    out->head.content_len = (int64_t)len;
}

static uint8_t has_fault(const struct server *s, enum net_kind kind)
{
    for (unsigned i = 0; i < s->fault_count; i++) {
        if (s->fault[i].message == s->messages && s->fault[i].kind == kind) {
            return 1;
        }
    }
    return 0;
}

/* What a device that takes a status that is not for it would tell. */
static int is_lie(const struct server *s)
{
    return has_fault(s, NET_NONCE) || has_fault(s, NET_DEVICE) || has_fault(s, NET_UNSIGNED);
}

static int32_t sign_status(struct server *s, uint8_t *out, size_t size)
{
    const struct kit_release *target =
        s->target == KIT_NO_IMAGE ? NULL : &s->kit->release[s->target];
    struct sf_status status = {
        .counter = s->counter + (is_lie(s) ? LIE : 0),
        .time = s->time,
        .expires = s->time + EXPIRES_S,
        .root_version = s->root_version,
        .action = target ? s->action : (uint8_t)SF_STATUS_STAY,
        .next_checkin_s = CHECKIN_S,
        .outcome_ack = s->last.outcome.counter,
    };
    memcpy(status.nonce, s->last.nonce, SF_NONCE_SIZE);
    status.nonce[0] ^= has_fault(s, NET_NONCE);
    memcpy(status.class_uuid, s->last.class_uuid, SF_UUID_SIZE);
    if (target) {
        status.has_target = 1;
        status.target.manifest_size = (uint32_t)target->envelope_len;
        status.target.epoch = roots_epoch(s->root_version);
        status.target.seq = target->manifest.seq;
        status.max_secure_version = s->kit->scenario->not_permitted ? 0 : target->secure_version;
        memcpy(status.target.image_digest, target->digest, SF_SHA256_SIZE);
        memcpy(status.target.manifest_digest, target->manifest.digest, SF_SHA256_SIZE);
    }
    const int err =
        sf_sha256(crypto_openssl(), KIT_DEVICE_ID, strlen(KIT_DEVICE_ID), status.device_digest);
    if (err != SF_OK) {
        return err;
    }
    status.device_digest[0] ^= has_fault(s, NET_DEVICE);
    const struct sf_signer signer = kit_status_signer(s->kit, s->root_version, s->signing);
    const int32_t len = sf_status_sign(&status, &signer, crypto_openssl(), out, size);
    if (len > 0) { /* the signature comes last */
        out[len - 1] ^= has_fault(s, NET_UNSIGNED);
    }
    return len;
}

static int answer_checkin(struct server *s, const struct sf_request *request, struct reply *out)
{
    uint8_t signed_status[SF_STATUS_MAX];
    const struct sf_bytes body = {request->body, request->body_len};
    int err = sf_checkin_decode(body, &s->last, NULL);
    if (err != SF_OK) {
        return err;
    }
    s->checkins++;
    s->time += TICK_S;
    out->is_checkin = 1;
    note_outcome(s, &s->last.outcome);
    const int32_t len = sign_status(s, signed_status, sizeof(signed_status));
    if (len < 0) {
        return len;
    }
    struct sf_checkin_answer answer = {.status = {signed_status, (size_t)len}};
    const struct kit_release *target =
        s->target == KIT_NO_IMAGE ? NULL : &s->kit->release[s->target];
    if (target && memcmp(target->digest, s->last.running_digest, SF_SHA256_SIZE) != 0) {
        answer.manifest = (struct sf_bytes){target->envelope[s->signing], target->envelope_len};
    }
    const int32_t all = sf_checkin_answer_encode(&answer, out->bytes, sizeof(out->bytes));
    if (all > 0) {
        set_body(out, out->bytes, (size_t)all);
    }
    return all < 0 ? all : SF_OK;
}

static int answer_artifact(struct server *s, const struct sf_request *request, struct reply *out)
{
    for (int i = 0; i < KIT_IMAGES; i++) {
        const struct kit_release *r = &s->kit->release[i];
        if (strcmp(request->path, r->manifest.uri) != 0) {
            continue;
        }
        s->downloads++;
        snprintf(out->etag, sizeof(out->etag), "%s", r->etag);
        const int same = !request->etag || strcmp(request->etag, r->etag) == 0;
        const uint32_t from =
            same && request->range_offset < r->image_len ? request->range_offset : 0;
        set_body(out, r->image + from, r->image_len - from);
        if (from > 0) {
            out->head.status = 206;
            out->head.range_start = from;
            out->head.range_total = r->image_len;
        }
        return SF_OK;
    }
    out->head.status = 404;
    return SF_OK;
}

static void answer_root(struct server *s, const struct sf_request *request, struct reply *out)
{
    const unsigned long version = strtoul(request->path + sizeof(root_folder) - 1, NULL, 10);
    if (version < ROOTS_FIRST || version > s->root_version) {
        out->head.status = 404;
        return;
    }
    set_body(out, s->kit->roots.file[s->signing][version].data,
             s->kit->roots.file[s->signing][version].len);
}

/* What a static host shows: the manifest of the class. It never shows nothing. */
static void answer_manifest(struct server *s, struct reply *out)
{
    const enum kit_image shown = s->target == KIT_NO_IMAGE ? KIT_OLD : s->target;
    const struct kit_release *r = &s->kit->release[shown];
    snprintf(out->etag, sizeof(out->etag), "\"m%u\"", (unsigned)shown);
    set_body(out, r->envelope[s->signing], r->envelope_len);
}

/* ---- what the network makes of them ---- */

static void take_body(struct reply *out)
{
    out->body = NULL;
    out->body_len = 0;
    out->head.content_len = 0;
}

static void break_body(struct reply *out, enum net_kind kind, size_t at)
{
    switch ((int)kind) {
    case NET_CLOSE:
        out->body_len = at;
        out->end = SF_ERR_CLOSED;
        break;
    case NET_STALL:
        out->body_len = at;
        out->stalls = 1;
        break;
    case NET_TRUNCATE:
        out->body_len = at;
        out->head.content_len = -1;
        break;
    case NET_DUPLICATE:
        out->repeat_at = at;
        out->head.content_len = -1;
        break;
    default:
        out->corrupt_at = at;
        break;
    }
}

static void break_head(struct reply *out, enum net_kind kind)
{
    switch ((int)kind) {
    case NET_RANGE:
        out->head.status = 206;
        out->head.range_start = 4096;
        out->head.range_total = out->head.content_len + 4096;
        break;
    case NET_CHANGED:
        snprintf(out->etag, sizeof(out->etag), "\"another\"");
        out->corrupt_at = 20;
        break;
    case NET_PORTAL:
        out->etag[0] = '\0';
        set_body(out, (const uint8_t *)portal, sizeof(portal) - 1);
        out->head.status = 200;
        break;
    case NET_BUSY:
        take_body(out);
        out->head.status = 503;
        out->head.retry_after_s = BUSY_S;
        break;
    default:
        take_body(out);
        out->head.status = 302;
        break;
    }
}

/* What nobody signed, but all else is right. */
static void forge(const struct server *s, struct reply *out)
{
    const struct kit_release *new = &s->kit->release[KIT_NEW];
    if (out->body >= new->image && out->body < new->image + new->image_len) {
        out->body = s->kit->forged + (out->body - new->image);
    }
}

static void break_reply(const struct server *s, uint32_t message, struct reply *out)
{
    for (unsigned i = 0; i < s->fault_count; i++) {
        const struct net_fault *f = &s->fault[i];
        if (f->message != message) {
            continue;
        }
        const size_t at = out->body_len > 0 ? f->at % out->body_len : 0;
        switch (f->kind) {
        case NET_CLOSE:
        case NET_STALL:
        case NET_TRUNCATE:
        case NET_DUPLICATE:
        case NET_CORRUPT:
            break_body(out, f->kind, at);
            break;
        case NET_RANGE:
        case NET_CHANGED:
        case NET_PORTAL:
        case NET_BUSY:
        case NET_REDIRECT:
            break_head(out, f->kind);
            break;
        case NET_FORGED:
            forge(s, out);
            break;
        case NET_GOOD:
        case NET_REFUSED: /* the server never hears of it */
        case NET_NONCE:   /* see sign_status() */
        case NET_DEVICE:
        case NET_UNSIGNED:
        case NET_COUNT:
            break;
        }
    }
}

int server_answer(struct server *s, const struct sf_request *request, struct reply *out)
{
    memset(out, 0, offsetof(struct reply, bytes));
    out->head = (struct sf_response_head){
        .status = 200, .content_len = -1, .range_start = -1, .range_total = -1};
    out->corrupt_at = SIZE_MAX;
    out->head.etag = out->etag;
    int err = SF_OK;
    if (has_fault(s, NET_REFUSED)) { /* the server never hears of it */
        out->refused = SF_ERR_CONNECT;
        s->messages++;
        return SF_OK;
    }
    if (strcmp(request->path, "/device/v1/checkin") == 0) {
        err = answer_checkin(s, request, out);
    } else if (strcmp(request->path, "/device/v1/enrol") == 0) {
        s->enrolments++;
        out->head.status = 204;
        out->head.content_len = 0;
    } else if (strncmp(request->path, root_folder, sizeof(root_folder) - 1) == 0) {
        answer_root(s, request, out);
    } else if (strncmp(request->path, "/manifests/", 11) == 0) {
        answer_manifest(s, out);
    } else {
        err = answer_artifact(s, request, out);
    }
    break_reply(s, s->messages++, out);
    return err;
}
