/* The decision of one check-in. Order: what the device is (facts), what became of its deployment
 * (outcome, then progress), what it should be (target), what that makes of the counter, the answer.
 */
#include "server/fleet/checkin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "formats/otadata.h"
#include "server/fleet/outcome.h"

/* A device that claims more is lying or broken: no fleet counts so far, and the numbers stand in a
 * signed column of the database. */
#define COUNTER_MAX SF_OFFLINE_COUNTER

struct run {
    const struct checkin_input *in;
    const struct sf_checkin *report;
    int64_t now;
    struct checkin_decision *out;
    struct device *device;      /* out->device */
    struct deployment *current; /* out->current, or NULL */
    int withdrawn;              /* an offer the device may be working on was taken away */
    struct deployment *offered; /* offered in this very decision, or NULL */
};

/* ---- small helpers: a field that keeps its value is no change ---- */

static void set_u32(struct run *r, uint32_t *field, uint32_t value)
{
    if (*field != value) {
        *field = value;
        r->out->device_changed = 1;
    }
}

static void set_u64(struct run *r, uint64_t *field, uint64_t value)
{
    if (*field != value) {
        *field = value;
        r->out->device_changed = 1;
    }
}

static void set_bytes(struct run *r, uint8_t *field, const uint8_t *value, size_t len)
{
    if (memcmp(field, value, len) != 0) {
        memcpy(field, value, len);
        r->out->device_changed = 1;
    }
}

static void set_text(struct run *r, char *field, size_t size, const char *value)
{
    if (strncmp(field, value, size) != 0) {
        memset(field, 0, size);
        (void)snprintf(field, size, "%s", value);
        r->out->device_changed = 1;
    }
}

static struct event *add_event(struct run *r)
{
    struct checkin_decision *out = r->out;
    /* The steps below add at most one each, fewer than there is room for; a mistake there may cost
     * the last line of a history, never memory. */
    unsigned i = out->event_count < CHECKIN_EVENT_MAX ? out->event_count++ : CHECKIN_EVENT_MAX - 1;
    memset(&out->event[i], 0, sizeof out->event[i]);
    return &out->event[i];
}

__attribute__((format(printf, 3, 4))) static struct event *tell(struct run *r, enum event_kind kind,
                                                                const char *fmt, ...)
{
    struct event *event = add_event(r);
    event->kind = kind;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(event->text, sizeof event->text, fmt, args);
    va_end(args);
    return event;
}

/* Applies an event to the current deployment. Returns 1 and the history's event if it took. */
static struct event *step_current(struct run *r, enum deployment_event what, int error)
{
    struct event event;
    if (r->current == NULL || deployment_step(r->current, what, error, r->now, &event) < 0) {
        return NULL;
    }
    r->out->current_changed = 1;
    struct event *added = add_event(r);
    *added = event;
    return added;
}

static int runs(const struct run *r, const uint8_t digest[DIGEST_SIZE])
{
    return memcmp(r->report->running_digest, digest, DIGEST_SIZE) == 0;
}

/* ---- facts ---- */

static const char *slot_name(unsigned slot, char buffer[16])
{
    if (slot == SF_WIRE_SLOT_FACTORY) {
        return "factory";
    }
    (void)snprintf(buffer, 16, "ota_%u", slot);
    return buffer;
}

static void take_running(struct run *r)
{
    struct device *d = r->device;
    const struct sf_checkin *c = r->report;
    char buffer[16];
    if (d->reported_at == 0) {
        d->reported_at = r->now > 0 ? r->now : 1; /* 0 = never, even if the clock says so */
        r->out->device_changed = 1;
        tell(r, EVENT_FIRST_REPORT, "runs %s in %s", c->running_version,
             slot_name(c->running_slot, buffer));
    } else if (!runs(r, d->running_digest)) {
        tell(r, EVENT_RUNNING, "%s in %s, before %s", c->running_version,
             slot_name(c->running_slot, buffer), d->running_version);
    }
    set_bytes(r, d->running_digest, c->running_digest, DIGEST_SIZE);
    set_u32(r, &d->running_length, c->running_length);
    set_text(r, d->running_version, sizeof d->running_version, c->running_version);
    set_u32(r, &d->running_slot, c->running_slot);
    set_u32(r, &d->running_state, c->running_state);
}

static const struct sf_other_slot *way_back(const struct sf_checkin *c, const uint8_t *digest)
{
    for (unsigned i = 0; i < c->other_count && i < SF_OTHER_SLOT_MAX; i++) {
        const struct sf_other_slot *s = &c->other[i];
        if (s->content == SF_SLOT_COMPLETE && s->has_digest && s->confirmed_here &&
            (digest == NULL || memcmp(s->digest, digest, DIGEST_SIZE) == 0)) {
            return s;
        }
    }
    return NULL;
}

static void take_facts(struct run *r)
{
    static const uint8_t none[DIGEST_SIZE];
    struct device *d = r->device;
    const struct sf_checkin *c = r->report;
    take_running(r);
    const struct sf_other_slot *back = way_back(c, NULL);
    set_bytes(r, d->way_back_digest, back != NULL ? back->digest : none, DIGEST_SIZE);
    set_u32(r, &d->abilities, c->abilities);
    set_u32(r, &d->chip_id, c->chip_id);
    set_u32(r, &d->chip_revision, c->chip_revision);
    set_text(r, d->hw_revision, sizeof d->hw_revision, c->hw_revision);
    set_u32(r, &d->root_version, c->root_version);
    set_u32(r, &d->epoch, c->epoch);
    set_u64(r, &d->seq, c->seq);
    set_u32(r, &d->efuse_secure_version, c->efuse_secure_version);
    set_u32(r, &d->phase, c->phase);
}

static int class_fits(const struct run *r)
{
    return memcmp(r->device->class_uuid, r->report->class_uuid, SF_UUID_SIZE) == 0;
}

/* Each alarm is told once, then it stands until an operator clears it. */
static void raise_alarms(struct run *r)
{
    struct device *d = r->device;
    const char *clone = device_clone_suspicion(r->in->seen, r->report);
    if (clone != NULL && (d->alarms & DEVICE_ALARM_CLONE) == 0) {
        set_u32(r, &d->alarms, d->alarms | DEVICE_ALARM_CLONE);
        tell(r, EVENT_CLONE_SUSPECTED, "%s", clone);
    }
    if (!class_fits(r) && (d->alarms & DEVICE_ALARM_CLASS) == 0) {
        set_u32(r, &d->alarms, d->alarms | DEVICE_ALARM_CLASS);
        struct event *e = tell(r, EVENT_CLASS_MISMATCH,
                               "reports another hardware revision than it enrolled with; it gets "
                               "no release");
        e->error = SF_ERR_CLASS;
    }
}

/* ---- outcome ---- */

static enum deployment_event outcome_event(const struct deployment *d, const struct sf_outcome *o)
{
    const int error = o->error;
    if (error == SF_OK) {
        return DEPLOYMENT_EV_CONFIRM;
    }
    if (deployment_retryable(error) && d->attempt < DEPLOYMENT_ATTEMPT_MAX) {
        return DEPLOYMENT_EV_RETRY;
    }
    if (error == SF_ERR_CANCELLED &&
        deployment_next(d->state, DEPLOYMENT_EV_CANCEL) == DEPLOYMENT_CANCELLED) {
        return DEPLOYMENT_EV_CANCEL;
    }
    return outcome_is_rollback(o) ? DEPLOYMENT_EV_ROLL_BACK : DEPLOYMENT_EV_FAIL;
}

/* `attempt` of the deployment; 0 = it belongs to none that is active. */
static void tell_outcome(struct event *event, const struct sf_outcome *o, uint32_t attempt)
{
    const int again = event->kind == EVENT_QUEUED;
    event->error = o->error;
    event->counter = o->counter < COUNTER_MAX ? o->counter : 0;
    if (event->kind == EVENT_CONFIRMED && attempt == 1 && o->text[0] == '\0') {
        return; /* the kind says it all */
    }
    outcome_words(o, event->text, sizeof event->text);
    const size_t used = strlen(event->text);
    if (attempt != 0) {
        (void)snprintf(event->text + used, sizeof event->text - used, ", attempt %u of %u",
                       (unsigned)attempt, again ? (unsigned)DEPLOYMENT_ATTEMPT_MAX : attempt);
    }
}

/* Of an update that no status of ours led to: the device took it from a static tree. It touches no
 * deployment and no counter; told before is told by its text, which names manifest and attempt. */
static void take_offline_outcome(struct run *r)
{
    struct device *d = r->device;
    const struct sf_outcome *o = &r->report->outcome;
    char text[sizeof d->outcome_text];
    const int len = snprintf(text, sizeof text, "static tree, manifest %llu, attempt %u%s%s",
                             (unsigned long long)(o->counter - COUNTER_MAX), o->attempt,
                             o->text[0] != '\0' ? ": " : "", o->text);
    r->out->answer.outcome_ack = o->counter;
    if (len < 0 || (d->outcome_error == o->error && strcmp(d->outcome_text, text) == 0)) {
        return;
    }
    d->outcome_error = o->error;
    set_u32(r, &d->outcome_reset_reason, o->reset_reason);
    set_text(r, d->outcome_text, sizeof d->outcome_text, text);
    struct sf_outcome whole = *o;
    (void)snprintf(whole.text, sizeof whole.text, "%s", text);
    tell_outcome(tell(r, EVENT_LATE_OUTCOME, "%s", ""), &whole, 0);
}

static void take_outcome(struct run *r)
{
    struct device *d = r->device;
    const struct sf_outcome *o = &r->report->outcome;
    if (o->counter >= COUNTER_MAX) {
        if (o->counter < 2 * COUNTER_MAX) {
            take_offline_outcome(r);
        }
        return;
    }
    if (o->counter == 0) {
        return;
    }
    r->out->answer.outcome_ack = o->counter;
    if (o->counter < d->outcome_counter ||
        (o->counter == d->outcome_counter && o->attempt <= d->outcome_attempt)) {
        return; /* told before; the acknowledgement was lost */
    }
    set_u64(r, &d->outcome_counter, o->counter);
    set_u32(r, &d->outcome_attempt, o->attempt);
    d->outcome_error = o->error;
    set_u32(r, &d->outcome_reset_reason, o->reset_reason);
    set_text(r, d->outcome_text, sizeof d->outcome_text, o->text);

    struct event *event = NULL;
    uint32_t attempt = 0;
    if (r->current != NULL && r->current->counter == o->counter) {
        attempt = r->current->attempt;
        event = step_current(r, outcome_event(r->current, o), o->error);
    }
    if (event == NULL) {
        event = tell(r, EVENT_LATE_OUTCOME, "%s", "");
        attempt = 0;
    }
    tell_outcome(event, o, attempt);
}

/* ---- progress ---- */

/* The report says that the deployment's image runs, is tried or is gone again, without words. */
static void take_running_image(struct run *r)
{
    const struct sf_checkin *c = r->report;
    struct deployment *d = r->current;
    if (runs(r, d->image_digest)) {
        int tried = c->phase == SF_PHASE_TRIAL || c->running_state == SF_OTA_PENDING_VERIFY;
        (void)step_current(r, tried ? DEPLOYMENT_EV_TRIAL : DEPLOYMENT_EV_CONFIRM, SF_OK);
        return;
    }
    int at_rest = c->phase == SF_PHASE_IDLE || c->phase == SF_PHASE_CONFIRMED;
    if (d->state == DEPLOYMENT_TRIAL && at_rest) {
        struct event *event = step_current(r, DEPLOYMENT_EV_ROLL_BACK, SF_ERR_FELL_BACK);
        if (event != NULL) {
            (void)snprintf(event->text, sizeof event->text, "runs %s again and does not say why",
                           c->running_version);
        }
    }
}

/* A deployment that waits for its next attempt is not moved by leftovers of the last one. */
static void take_phase(struct run *r)
{
    const struct sf_checkin *c = r->report;
    if (c->phase_counter != r->current->counter || r->current->state == DEPLOYMENT_QUEUED) {
        return;
    }
    if (c->phase == SF_PHASE_DOWNLOADING || c->phase == SF_PHASE_VERIFYING) {
        (void)step_current(r, DEPLOYMENT_EV_DOWNLOADING, SF_OK);
    } else if (c->phase == SF_PHASE_INSTALLED) {
        (void)step_current(r, DEPLOYMENT_EV_INSTALLED, SF_OK);
    }
}

static int current_active(const struct run *r)
{
    return r->current != NULL && deployment_active(r->current->state);
}

/* ---- target ---- */

static const struct target *usable_target(const struct run *r)
{
    const struct target *t = r->in->target;
    if (t == NULL || t->release_id == 0 || !t->has_manifest || !class_fits(r)) {
        return NULL;
    }
    return t;
}

static void offer(struct run *r, struct deployment *d)
{
    struct event event;
    if (deployment_step(d, DEPLOYMENT_EV_OFFER, SF_OK, r->now, &event) < 0) {
        return;
    }
    d->deadline_at = r->now + r->in->policy.deployment_timeout_s;
    r->offered = d;
    struct event *added = add_event(r);
    *added = event;
    (void)snprintf(added->text, sizeof added->text, "%s",
                   r->in->target != NULL ? r->in->target->version : "");
}

/* 1 if this release ended badly on this device and nobody has asked for it since. */
static int refused(const struct run *r, const struct target *t)
{
    const struct deployment *p = r->in->previous;
    if (r->current != NULL && r->current->release_id == t->release_id) {
        p = r->current; /* newer than what the store knew */
    }
    if (p == NULL || p->target_gen < t->gen) {
        return 0;
    }
    return p->state == DEPLOYMENT_FAILED || p->state == DEPLOYMENT_ROLLED_BACK ||
           (p->state == DEPLOYMENT_CANCELLED && p->error == SF_ERR_CANCELLED);
}

/* Why the device could never take it, in words too: SF_OK if it could. */
static int impossible(const struct run *r, const struct target *t, const char **why)
{
    const uint32_t efuse = r->report->efuse_secure_version;
    if (t->secure_version < efuse) {
        *why = "its secure_version is below the eFuse's";
        return SF_ERR_SECURE_VERSION;
    }
    if (t->secure_version > efuse && !t->may_burn) {
        *why = "its secure_version is above the eFuse's, and only a release published with "
               "--allow-burn may burn it";
        return SF_ERR_SECURE_VERSION;
    }
    if (t->seq < r->report->seq && way_back(r->report, t->image_digest) == NULL) {
        *why = "it accepted a later manifest and holds no such image; publish it again as a new "
               "release";
        return SF_ERR_SEQ_OLD;
    }
    return SF_OK;
}

static void create(struct run *r, const struct target *t)
{
    struct deployment *d = &r->out->fresh;
    memset(d, 0, sizeof *d);
    d->device_row = r->device->row;
    d->release_id = t->release_id;
    d->target_gen = t->gen;
    d->kind = t->seq < r->report->seq ? DEPLOYMENT_ROLL_BACK : DEPLOYMENT_INSTALL;
    d->state = DEPLOYMENT_QUEUED;
    d->attempt = 1;
    memcpy(d->image_digest, t->image_digest, DIGEST_SIZE);
    d->created_at = r->now;
    d->changed_at = r->now;
    r->out->created = 1;

    const char *why = NULL;
    const int error = impossible(r, t, &why);
    if (error == SF_OK) {
        offer(r, d);
        return;
    }
    d->state = DEPLOYMENT_FAILED; /* never offered: the row keeps it from being tried each time */
    d->error = error;
    struct event *event = tell(r, EVENT_FAILED, "%s cannot go to this device: %s", t->version, why);
    event->error = error;
    event->release_id = t->release_id;
}

/* Takes the current deployment away from the device if it may still be. */
static void withdraw(struct run *r, enum deployment_event what, const char *why)
{
    int may_be_working = r->current->counter != 0 && r->current->state != DEPLOYMENT_QUEUED;
    struct event *event = step_current(r, what, SF_OK);
    if (event != NULL) {
        r->withdrawn = may_be_working;
        (void)snprintf(event->text, sizeof event->text, "%s", why);
    }
}

/* Before progress is taken: a device about to commit must hear that its target is gone. */
static void check_withdrawal(struct run *r, const struct target *t)
{
    if (!current_active(r) || r->current->state == DEPLOYMENT_TRIAL ||
        runs(r, r->current->image_digest)) {
        return; /* it is in its trial or through with it */
    }
    int wanted = t != NULL && t->release_id == r->current->release_id;
    if (!wanted) {
        withdraw(r, t != NULL ? DEPLOYMENT_EV_SUPERSEDE : DEPLOYMENT_EV_CANCEL, "");
    } else if (r->in->frozen && r->current->state != DEPLOYMENT_QUEUED) {
        withdraw(r, DEPLOYMENT_EV_CANCEL, "the fleet is frozen; it is offered again afterwards");
    }
}

static void follow_target(struct run *r, const struct target *t)
{
    if (current_active(r)) {
        if (t == NULL || t->release_id != r->current->release_id) {
            return; /* on trial: it finishes first */
        }
        if (r->current->target_gen < t->gen) {
            r->current->target_gen = t->gen;
            r->out->current_changed = 1;
        }
        if (r->current->state == DEPLOYMENT_QUEUED && r->now >= r->current->not_before &&
            !r->in->frozen) {
            r->out->current_changed = 1;
            offer(r, r->current);
        }
        return;
    }
    if (t != NULL && !r->in->frozen && !runs(r, t->image_digest) && !refused(r, t)) {
        create(r, t);
    }
}

/* ---- counter and answer ---- */

static struct deployment *working_on(struct run *r)
{
    if (r->out->created && deployment_active(r->out->fresh.state)) {
        return &r->out->fresh;
    }
    if (current_active(r) && r->current->state != DEPLOYMENT_QUEUED) {
        return r->current;
    }
    return NULL;
}

/* The device accepted a higher counter than this database knows: it was restored from a backup. */
static int jump_counter(struct run *r)
{
    struct device *d = r->device;
    uint64_t known = r->report->last_counter;
    if (known <= d->desired_seq) {
        return 0;
    }
    int absurd = known >= COUNTER_MAX;
    if (absurd && (d->alarms & DEVICE_ALARM_COUNTER) != 0) {
        return 0;
    }
    set_u32(r, &d->alarms, d->alarms | DEVICE_ALARM_COUNTER);
    struct event *event = tell(r, EVENT_COUNTER_JUMP,
                               "the device knows counter %llu, the server only %llu: was it "
                               "restored from a backup?",
                               (unsigned long long)known, (unsigned long long)d->desired_seq);
    event->error = SF_ERR_COUNTER;
    if (absurd) {
        return 0;
    }
    d->desired_seq = known;
    return 1;
}

static void settle_counter(struct run *r, struct deployment *work)
{
    struct device *d = r->device;
    uint32_t action = SF_STATUS_STAY;
    if (work != NULL) {
        action = work->kind == DEPLOYMENT_ROLL_BACK ? SF_STATUS_ROLL_BACK : SF_STATUS_INSTALL;
    } else if (r->withdrawn || d->desired_action == SF_STATUS_CANCEL) {
        action = SF_STATUS_CANCEL; /* until there is something new to do */
    }
    int64_t release = work != NULL ? work->release_id : 0;
    int jumped = jump_counter(r);
    if (!jumped && r->offered == NULL && action == d->desired_action &&
        release == d->desired_release) {
        return;
    }
    d->desired_seq++;
    d->desired_action = action;
    d->desired_release = release;
    r->out->device_changed = 1;
    if (work != NULL) {
        work->counter = d->desired_seq;
        r->out->current_changed |= work == r->current;
    }
}

/* 10 % either way, so that a fleet that started together does not stay together. */
static uint32_t spread(const struct checkin_policy *p)
{
    uint32_t tenth = p->interval_s / 10;
    if (tenth == 0) {
        return p->interval_s != 0 ? p->interval_s : 1;
    }
    return p->interval_s - tenth + p->random % (2 * tenth + 1);
}

static uint32_t next_checkin(const struct run *r)
{
    uint32_t next = spread(&r->in->policy);
    if (!current_active(r) || r->current->state != DEPLOYMENT_QUEUED || r->in->frozen) {
        return next;
    }
    int64_t wait = r->current->not_before - r->now;
    if (wait < 1) {
        return 1;
    }
    return wait < (int64_t)next ? (uint32_t)wait : next;
}

static void fill_answer(struct run *r, const struct target *t)
{
    struct checkin_answer *a = &r->out->answer;
    a->action = r->device->desired_action;
    a->release_id = r->device->desired_release;
    a->counter = r->device->desired_seq;
    a->next_checkin_s = next_checkin(r);
    const int is_target =
        a->action != SF_STATUS_STAY && t != NULL && t->release_id == a->release_id;
    a->max_secure_version = is_target && t->may_burn ? t->secure_version : 0;
}

static void finish(struct run *r)
{
    struct checkin_decision *out = r->out;
    for (unsigned i = 0; r->offered != NULL && i < out->event_count; i++) {
        if (out->event[i].kind == EVENT_OFFERED) {
            out->event[i].counter = r->offered->counter;
        }
    }
    if (out->device_changed || out->created) {
        out->device_changed = 1;
        r->device->changed_at = r->now;
    }
    out->changed = out->device_changed || out->current_changed || out->event_count > 0;
    memcpy(&out->seen, r->in->seen, sizeof out->seen);
    out->seen.device_row = r->device->row;
    device_seen_update(&out->seen, r->report, out->answer.next_checkin_s, r->now);
}

void checkin_decide(const struct checkin_input *in, int64_t now, struct checkin_decision *out)
{
    memset(out, 0, sizeof *out);
    memcpy(&out->device, in->device, sizeof out->device);
    struct run r = {.in = in, .report = in->report, .now = now, .out = out, .device = &out->device};
    if (in->current != NULL) {
        memcpy(&out->current, in->current, sizeof out->current);
        r.current = &out->current;
    }
    take_facts(&r);
    raise_alarms(&r);
    take_outcome(&r);
    const struct target *t = usable_target(&r);
    check_withdrawal(&r, t);
    if (current_active(&r)) {
        take_phase(&r);
        take_running_image(&r);
    }
    follow_target(&r, t);
    settle_counter(&r, working_on(&r));
    fill_answer(&r, t);
    finish(&r);
}
