/* What an answered check-in means here: verify the status, take from it what always counts, then
 * see which update it wants.
 *
 * 1. Nothing of an answer is used before its signature and its binding to this very request hold.
 * 2. A counter is stored before it is acted upon. */
#include <string.h>

#include "device/steps.h"

enum {
    TIME_STORE_S = 24 * 60 * 60, /* the signed time is stored once a day: polls cost no write */
    TIME_BACK = 16,
};

/* The signed time goes ahead at once, and back step by step: each answer that says less leaves a
 * sixteenth of the distance. So one answer from the past has expired, but neither a server's clock
 * that jumped ahead nor a thief of the status key stops installs for ever. */
static int store_floor(struct sf_core *c, const struct sf_status *status)
{
    const struct sf_record_floor before = c->floor;
    const int is_ahead = status->time > before.time;
    const uint64_t gap = is_ahead ? (uint64_t)status->time - (uint64_t)before.time
                                  : (uint64_t)before.time - (uint64_t)status->time;
    const int counter_is_new = status->counter > before.counter;

    if (c->floor_unknown) {
        return SF_OK; /* it stays as it is; nothing is installed by it */
    }
    if (!is_ahead) {
        const int64_t back = status->time + (int64_t)(gap / TIME_BACK);
        c->floor.time = back > c->config->build_time ? back : c->config->build_time;
    } else if (counter_is_new || gap > TIME_STORE_S) {
        c->floor.time = status->time;
    }
    if (!counter_is_new && (gap <= TIME_STORE_S || c->floor.time == before.time)) {
        return SF_OK;
    }
    c->floor.counter = status->counter;
    const int err = sf_memory_save(c, SF_RECORD_FLOOR);
    if (err != SF_OK) {
        c->floor = before;
    }
    return err;
}

static void take_acknowledgement(struct sf_core *c, const struct sf_status *status)
{
    /* Only what this very request carried can have been acknowledged by its answer. */
    if (c->outcome_sent && status->outcome_ack == c->out.outcome.counter) {
        c->out.acknowledged = 1;
        (void)sf_core_note(c, sf_memory_save(c, SF_RECORD_OUT));
    }
}

/* A trial missed only the server. Does the image before it reach it? If the server had turned the
 * trial away, that it answers now says little of the image: it counts like an attempt that chance
 * ended, or not at all. */
static int decide_no_server(struct sf_core *c, int reached)
{
    if (!c->failed.undecided || c->trial.open) {
        return SF_OK;
    }
    c->failed.undecided = 0;
    if (reached && c->failed.error == SF_ERR_THROTTLED) {
        sf_count(&c->failed.soft);
        c->failed.refused = c->failed.soft >= SF_SOFT_ATTEMPTS;
    } else {
        c->failed.refused = (uint8_t)reached;
    }
    int err = sf_memory_save(c, SF_RECORD_FAILED);
    if (err == SF_OK && !reached && !c->out.acknowledged && c->failed.error == SF_ERR_NO_SERVER) {
        static const char text[] = "nor does the image before it";
        memcpy(c->out.outcome.text, text, sizeof(text));
        err = sf_memory_save(c, SF_RECORD_OUT);
    }
    return err;
}

/* An image flashed by cable, or by another updater and accepted there, is known good once the
 * server has answered it; not one that runs only because nothing else boots. */
static void note_good(struct sf_core *c)
{
    const uint32_t state = c->running_state;
    const int has_failed =
        c->failed.refused && sf_digest_equal(c->failed.digest, c->running_digest);
    if (c->good_known || has_failed || c->trial.open || !c->runs_boot_slot ||
        c->running_length == 0 || (state != SF_OTA_VALID && state != SF_OTA_UNDEFINED)) {
        return;
    }
    if (sf_core_note(c, sf_install_remember_good(c)) == SF_OK) {
        c->good_known = 1;
    }
}

/* By the bare key. */
static int verify_status(struct sf_core *c)
{
    union sf_scratch *s = sf_scratch(c);
    const struct sf_status *status = &s->answer.status;
    struct sf_public_key key;

    int err = sf_public_key_init(&key, c->config->crypto, c->config->status_key);
    if (err == SF_OK) {
        err = sf_status_open(s->answer.parts.status, &key, c->config->crypto, &s->answer.status,
                             NULL);
    }
    if (err == SF_OK &&
        (status->root_version != 0 || (status->has_target && status->target.epoch != 0))) {
        err = SF_ERR_UNSUPPORTED; /* there is no trust root here */
    }
    return err;
}

/* Decodes and verifies the answer to a check-in. */
static int open_status(struct sf_core *c)
{
    union sf_scratch *s = sf_scratch(c);
    const struct sf_bytes in = {s->answer.body, c->exchange.received};

    int err = sf_checkin_answer_decode(in, &s->answer.parts, NULL);
    if (err == SF_OK) {
        err = c->config->root == NULL ? verify_status(c) : c->config->root->walk->open_status(c);
    }
    if (err == SF_OK) {
        err = sf_trust_status(c, &s->answer.status);
    }
    return err == SF_OK ? store_floor(c, &s->answer.status) : err;
}

/* Opens the answer in the sector buffer and takes what always counts. */
static int accept(struct sf_core *c)
{
    if (c->floor_unknown) {
        (void)sf_core_note(c, sf_memory_load_floor(c));
    }
    int err = c->config->source == NULL ? open_status(c) : c->config->source->open(c);
    if (err == SF_OK) {
        err = decide_no_server(c, 1);
    }
    if (err != SF_OK) {
        return err;
    }
    const struct sf_status *status = &sf_scratch(c)->answer.status;
    take_acknowledgement(c, status);
    note_good(c);
    c->answered++;
    c->answered_ms = c->now_ms;
    c->contact_fails = 0;
    c->walk_steps = 0;
    c->interval_s =
        status->next_checkin_s == 0 ? 0 : sf_pace_interval_bound_s(status->next_checkin_s);
    c->signed_time = status->time > c->signed_time ? status->time : c->signed_time;
    return SF_OK;
}

/* OK; FAILED; or ASK: a trust root that brings another, or the check-in, within reach. */
static enum sf_event take_answer(struct sf_core *c)
{
    const int is_root = c->exchange.root_to != 0;
    const int err = is_root ? c->config->root->walk->open_root(c) : accept(c);
    if (c->walk_to != 0 || (is_root && err == SF_OK)) {
        return SF_EVENT_ASK;
    }
    return sf_core_note(c, err) == SF_OK ? SF_EVENT_OK : SF_EVENT_FAILED;
}

int sf_judge_missed(struct sf_core *c)
{
    if (decide_no_server(c, 0) != SF_OK) {
        c->last_error = SF_ERR_STORE;
    }
    return sf_pace_contact_later(c);
}

static void begin_deployment(struct sf_core *c, const struct sf_status *status)
{
    if (c->deploy.counter != status->counter) {
        c->deploy_fails = 0;
    }
    c->deploy = (struct sf_deployment){
        .active = 1,
        .kind = status->action == SF_STATUS_ROLL_BACK ? SF_TRIAL_ROLL_BACK : SF_TRIAL_INSTALL,
        .slot = SF_NO_WIRE_SLOT,
        .counter = status->counter,
        .root_version = c->root_version,
        .max_secure_version = status->max_secure_version,
        .target = status->target,
    };
    c->ask_fails = 0;
}

/* Verifies the manifest that came with the status, and takes from it what the download needs. */
static int open_manifest(struct sf_core *c)
{
    union sf_scratch *s = sf_scratch(c);
    const struct sf_bytes envelope = s->answer.parts.manifest;
    const struct sf_manifest *m = &s->answer.manifest;

    if (envelope.len == 0 || envelope.len != c->deploy.target.manifest_size) {
        return SF_ERR_NOT_NAMED;
    }
    int err = sf_trust_envelope(c, envelope);
    if (err == SF_OK) {
        err = sf_trust_manifest(c, &c->deploy.target, m);
    }
    if (err == SF_OK) {
        memcpy(c->path, m->uri, sizeof(c->path));
        c->deploy.image_size = m->image_size;
    }
    return err;
}

static enum sf_event begin_install(struct sf_core *c, const struct sf_status *status)
{
    if (sf_trust_expired(c, status)) {
        c->last_error = SF_ERR_EXPIRED;
        return SF_EVENT_OK;
    }
    begin_deployment(c, status);
    return sf_core_note(c, open_manifest(c)) == SF_OK ? SF_EVENT_INSTALL : SF_EVENT_REFUSED;
}

/* Back to the one image that is known good and still in another slot. */
static enum sf_event begin_roll_back(struct sf_core *c, const struct sf_status *status)
{
    begin_deployment(c, status);
    for (unsigned i = 0; i < c->good.count; i++) {
        const struct sf_good_image *g = &c->good.image[i];
        if (g->slot < c->config->slot_count && g->slot != sf_wire_slot(c->config->running_slot) &&
            sf_digest_equal(g->digest, status->target.image_digest)) {
            c->deploy.slot = g->slot;
            c->deploy.image_size = g->length;
            return SF_EVENT_INSTALL;
        }
    }
    (void)sf_core_note(c, SF_ERR_ROLLBACK_FAILED);
    return SF_EVENT_REFUSED;
}

enum sf_event sf_judge_checkin(struct sf_core *c)
{
    const enum sf_event event = take_answer(c);
    if (event != SF_EVENT_OK) {
        return event;
    }
    const struct sf_status *status = &sf_scratch(c)->answer.status;
    const int moves = status->action == SF_STATUS_INSTALL || status->action == SF_STATUS_ROLL_BACK;
    c->wanted = moves && status->has_target &&
                !sf_digest_equal(status->target.image_digest, c->running_digest);
    if (!c->wanted) {
        return SF_EVENT_OK;
    }
    if (sf_outcome_refused(c, status->counter)) {
        c->wanted = 0;
        c->last_error = SF_ERR_REFUSED;
        return SF_EVENT_OK;
    }
    if (c->now_ms < c->not_before_ms && c->deploy.counter == status->counter) {
        return SF_EVENT_OK; /* backing off after a failure of the same */
    }
    if (c->floor_unknown) {
        begin_deployment(c, status);
        (void)sf_core_note(c, SF_ERR_STORE);
        return SF_EVENT_REFUSED;
    }
    return status->action == SF_STATUS_INSTALL ? begin_install(c, status)
                                               : begin_roll_back(c, status);
}

/* In the middle of an update: does the server still want the same? */
enum sf_event sf_judge_same(struct sf_core *c)
{
    c->ask_at_ms = 0;
    const enum sf_event event = take_answer(c);
    if (event != SF_EVENT_OK) {
        return event;
    }
    const struct sf_status *status = &sf_scratch(c)->answer.status;
    const int rolls_back = c->deploy.kind == SF_TRIAL_ROLL_BACK;
    const int action = rolls_back ? SF_STATUS_ROLL_BACK : SF_STATUS_INSTALL;
    const struct sf_target *t = &status->target;
    const int same_image =
        status->has_target && sf_digest_equal(t->image_digest, c->deploy.target.image_digest);
    const int same_manifest =
        rolls_back || sf_digest_equal(t->manifest_digest, c->deploy.target.manifest_digest);

    if (status->action != action || !same_image || !same_manifest ||
        c->deploy.root_version !=
            c->root_version) { /* what the other root allowed is judged anew */
        const int other =
            status->action == SF_STATUS_INSTALL || status->action == SF_STATUS_ROLL_BACK;
        (void)sf_core_note(c, other ? SF_ERR_SUPERSEDED : SF_ERR_CANCELLED);
        return SF_EVENT_DROP;
    }
    if (!rolls_back && sf_trust_expired(c, status)) {
        (void)sf_core_note(c, SF_ERR_EXPIRED);
        return SF_EVENT_FAILED;
    }
    c->deploy.counter = status->counter;
    c->deploy.max_secure_version = status->max_secure_version;
    return SF_EVENT_OK;
}

enum sf_event sf_judge_trial(struct sf_core *c)
{
    /* Whatever the status wants waits until the trial has ended. */
    return take_answer(c);
}
