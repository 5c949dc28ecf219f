/* How a deployment's end is told to the server, and what it means for the next attempt.
 *
 * 1. An outcome is stored before it is first told, and told until the server acknowledges it.
 * 2. A release that has used up its attempts is refused until a status with a new counter.
 * 3. What went wrong before the first erase, or on the network, costs no attempt: nothing there is
 *    proven to be the image's fault, and a retry costs a few bytes. */
#include <string.h>

#include "device/steps.h"

static const struct sf_pace deploy_pace = {.base_ms = 60 * 1000, .cap_ms = 6 * 60 * 60 * 1000};

uint32_t sf_outcome_attempt(const struct sf_core *c, uint64_t counter)
{
    const struct sf_outcome *last = &c->out.outcome;
    return last->counter == counter ? last->attempt + 1 : 1;
}

int sf_outcome_refused(const struct sf_core *c, uint64_t counter)
{
    return c->failed.counter == counter && c->failed.refused;
}

int sf_outcome_store(struct sf_core *c, const struct sf_outcome *outcome)
{
    if (outcome->counter == 0) {
        return SF_OK; /* nobody asked for it, so nobody is told */
    }
    c->out.outcome = *outcome;
    c->out.acknowledged = 0;
    return sf_memory_save(c, SF_RECORD_OUT);
}

static int is_network(int err)
{
    return err <= SF_ERR_DNS && err >= SF_ERR_HTTP_NOT_FOUND && err != SF_ERR_TOO_LARGE;
}

enum charge { CHARGE_NOTHING, CHARGE_SOFT, CHARGE_REFUSE };

static int charge_failure(struct sf_core *c, enum charge charge, uint32_t attempt)
{
    struct sf_record_failed *f = &c->failed;
    if (charge == CHARGE_NOTHING) {
        return SF_OK;
    }
    if (f->counter != c->deploy.counter) {
        memset(f, 0, sizeof(*f));
        f->counter = c->deploy.counter;
    }
    sf_digest_copy(f->digest, c->deploy.target.image_digest);
    f->slot = c->held.complete ? c->held.slot : (uint8_t)SF_NO_WIRE_SLOT;
    f->length = c->held.length;
    f->attempt = attempt;
    f->error = c->error;
    sf_count(&f->soft);
    f->refused = charge == CHARGE_REFUSE || f->soft >= SF_SOFT_ATTEMPTS;
    return sf_memory_save(c, SF_RECORD_FAILED);
}

static void finish(struct sf_core *c, enum charge charge)
{
    const struct sf_outcome *last = &c->out.outcome;
    const struct sf_outcome outcome = {
        .counter = c->deploy.counter,
        .attempt = sf_outcome_attempt(c, c->deploy.counter),
        .error = c->error,
    };
    const int told_already = last->counter == outcome.counter && last->error == outcome.error &&
                             charge == CHARGE_NOTHING;

    sf_install_hash_abandon(c);
    int err = charge_failure(c, charge, outcome.attempt);
    if (err == SF_OK && !told_already) {
        err = sf_outcome_store(c, &outcome);
    }
    if (err != SF_OK) {
        c->last_error = err;
    }
    c->deploy.active = 0;
    c->poked_cancel = 0;
    (void)sf_pace_contact_now(c);
}

int sf_outcome_failed(struct sf_core *c)
{
    enum charge charge = CHARGE_NOTHING;
    if (!c->deploy.active) {
        return sf_pace_contact_on_interval(c);
    }
    if (c->deploy.kind == SF_TRIAL_ROLL_BACK && c->error != SF_ERR_NOT_NOW &&
        c->error != SF_ERR_STORE) {
        charge = CHARGE_REFUSE;
    } else if (c->deploy.erased && !is_network(c->error)) {
        charge = CHARGE_SOFT;
    }
    if (c->error == SF_ERR_NOT_NOW) { /* no failure: the application will say when */
        c->deploy.active = 0;
        return sf_pace_contact_on_interval(c);
    }
    c->not_before_ms = c->now_ms + sf_pace_backoff_ms(c, &deploy_pace, c->deploy_fails);
    sf_count(&c->deploy_fails);
    finish(c, charge);
    return SF_OK;
}

int sf_outcome_dropped(struct sf_core *c)
{
    /* The application's cancel holds until the server names something new. */
    finish(c, c->poked_cancel ? CHARGE_REFUSE : CHARGE_NOTHING);
    return SF_OK;
}
