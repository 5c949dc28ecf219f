/* The trial of a new image: what this boot is, self-tests, deadline, confirmation and the way back.
 *
 * 1. A trial's record is open from before the commit until its end has been recorded.
 * 2. Confirming needs: running slot == boot slot, every self-test passed, a check-in answered in
 *    this boot.
 * 3. Why a trial ended is stored before otadata is switched back: the reset that follows says
 *    nothing of it. */
#include <string.h>

#include "device/steps.h"

enum {
    POLL_MS = 250, /* between two polls of the self-tests */
    WATCHDOG_GRACE_MS =
        60 * 1000, /* the engine judges first, the outer watchdog is the last resort */
    CONFIRM_RETRY_MS = 10 * 1000,
    RETURNS_MAX = 2 * SF_SOFT_ATTEMPTS,
    ASKS_MIN = 8,         /* check-ins that fit in a trial, however late a busy server wants them */
    LOAD_ROUNDS = 4,      /* of reading the records, until they count as unreadable */
    TRIAL_BOOTS_MAX = 64, /* waking from deep sleep is no failure, but there is an end to it */
};

static const struct sf_pace ask_pace = {.base_ms = 2 * 1000, .cap_ms = 60 * 1000};

static enum sf_reset_reason reset_reason(const struct sf_config *config)
{
    return config->platform->reset_reason(config->platform->ctx);
}

static int is_power(enum sf_reset_reason reason)
{
    return reason == SF_RESET_POWER_ON || reason == SF_RESET_BROWNOUT ||
           reason == SF_RESET_EXTERNAL || reason == SF_RESET_DEEP_SLEEP;
}

static int error_of_reset(enum sf_reset_reason reason)
{
    if (reason == SF_RESET_WATCHDOG) {
        return SF_ERR_WATCHDOG;
    }
    return is_power(reason) ? SF_ERR_POWER : SF_ERR_CRASHED;
}

static int is_trial_state(uint32_t ota_state)
{
    return ota_state == SF_OTA_NEW || ota_state == SF_OTA_PENDING_VERIFY;
}

static int runs_here(const struct sf_config *config, const struct sf_record_trial *t)
{
    return t->open && t->slot == sf_wire_slot(config->running_slot);
}

/* ---- the early hook ---- */

/* Counts this boot; 1 if the trial has used up its attempts. */
static int count_boot(struct sf_record_trial *t, enum sf_reset_reason reason)
{
    const int is_first = t->boots == 0;
    sf_count(&t->boots);
    if (is_first) {
        return 0;
    }
    t->reset_reason = (uint8_t)reason;
    switch (reason) {
    case SF_RESET_PANIC:
    case SF_RESET_WATCHDOG:
    case SF_RESET_UNKNOWN:
        t->error = error_of_reset(reason);
        break;
    case SF_RESET_DEEP_SLEEP:
        t->error = t->boots >= TRIAL_BOOTS_MAX ? SF_ERR_TRIAL_DEADLINE : SF_OK;
        break;
    case SF_RESET_POWER_ON:
    case SF_RESET_BROWNOUT:
    case SF_RESET_EXTERNAL:
    case SF_RESET_SOFTWARE:
        sf_count(&t->power_boots);
        t->error = t->power_boots >= SF_SOFT_ATTEMPTS ? error_of_reset(reason) : SF_OK;
        break;
    }
    return t->error != SF_OK;
}

/* A boot that cannot be counted could be any: a trial without an end is none. */
static int switch_back(const struct sf_config *config)
{
    const int err = sf_commit_go_back(config, SF_BACK_SWITCH);
    return err == SF_OK ? SF_BOOT_REBOOT : err;
}

/* Another slot runs than the one on trial. If the bootloader fell back, it may have come to an
 * older image than the one before: with three slots, or to the factory's. */
static int leave_fallback(const struct sf_config *config, struct sf_record_trial *t)
{
    const int sector = t->open ? sf_commit_fell_aside(config, t->slot) : SF_ERR_STATE;
    if (sector < 0) {
        return SF_BOOT_GO_ON;
    }
    t->error = t->error != SF_OK ? t->error : SF_ERR_FELL_BACK;
    t->reset_reason = (uint8_t)reset_reason(config);
    int err = sf_record_save(config->store, SF_RECORD_TRIAL, t);
    if (err == SF_OK) {
        err = sf_commit_clear(config, (unsigned)sector);
    }
    return err == SF_OK ? SF_BOOT_REBOOT : err;
}

int sf_boot_early(const struct sf_config *config)
{
    struct sf_record_trial t;
    struct sf_otadata_entry entry[2];

    const int load_err = sf_record_load(config->store, SF_RECORD_TRIAL, &t);
    if (load_err == SF_ERR_NOTFOUND) {
        return SF_BOOT_GO_ON;
    }
    if (load_err == SF_OK && !runs_here(config, &t)) {
        return leave_fallback(config, &t);
    }
    int err = sf_commit_read(config, entry);
    if (err != SF_OK) {
        return err;
    }
    if (load_err != SF_OK) {
        return is_trial_state(sf_commit_running_state(config, entry)) ? switch_back(config)
                                                                      : load_err;
    }
    if (t.confirming && sf_commit_running_state(config, entry) == SF_OTA_VALID) {
        return SF_BOOT_GO_ON; /* confirmed; the engine finishes the bookkeeping */
    }
    const int is_away = !sf_commit_runs_boot_slot(config, entry);
    const int used_up = t.error != SF_OK || count_boot(&t, reset_reason(config));
    if (is_away) {
        sf_count(&t.power_boots);
        t.error = t.error != SF_OK ? t.error : SF_ERR_FLASH_WRITE;
    }
    err = sf_record_save(config->store, SF_RECORD_TRIAL, &t);
    /* otadata leads elsewhere, but a read or a write failed the bootloader: it gets another chance,
     * a few times, for there may be no other image that boots. */
    if (err == SF_OK && is_away && t.power_boots <= RETURNS_MAX) {
        return SF_BOOT_REBOOT;
    }
    if (err == SF_OK && !used_up) {
        return SF_BOOT_GO_ON;
    }
    return switch_back(config);
}

/* ---- what this boot is ---- */

static int close_trial(struct sf_core *c)
{
    const struct sf_platform *p = c->config->platform;
    if (p->trial_deadline != NULL && runs_here(c->config, &c->trial)) {
        p->trial_deadline(p->ctx, 0);
    }
    c->trial.open = 0;
    return sf_record_remove(c->config->store, SF_RECORD_TRIAL);
}

/* Power, flash and records are not the image's. */
static int may_be_chance(int error)
{
    return error == SF_ERR_POWER || error == SF_ERR_STORE ||
           (error <= SF_ERR_FLASH_READ && error >= SF_ERR_READ_BACK);
}

static int is_charged(const struct sf_core *c)
{
    return c->trial.counter != 0 && c->failed.counter == c->trial.counter &&
           c->failed.attempt == c->trial.attempt;
}

/* What the failed trial means for the next attempt. Counting one trial twice, after a power cut in
 * between, changes nothing. */
static int charge_trial(struct sf_core *c, int error)
{
    const struct sf_record_trial *t = &c->trial;
    struct sf_record_failed *f = &c->failed;

    if (t->counter == 0 || is_charged(c)) {
        return SF_OK;
    }
    if (f->counter != t->counter) {
        memset(f, 0, sizeof(*f));
        f->counter = t->counter;
    }
    sf_digest_copy(f->digest, t->digest);
    /* What the bootloader would not boot is no image to tell of. */
    f->slot =
        error == SF_ERR_FELL_BACK || runs_here(c->config, t) ? (uint8_t)SF_NO_WIRE_SLOT : t->slot;
    f->length = t->length;
    f->attempt = t->attempt;
    f->error = error;
    if (error == SF_ERR_NO_SERVER || error == SF_ERR_THROTTLED) {
        f->undecided = 1;
    } else if (may_be_chance(error)) {
        sf_count(&f->soft);
        f->refused = f->soft >= SF_SOFT_ATTEMPTS;
    } else {
        f->refused = 1;
    }
    return sf_memory_save(c, SF_RECORD_FAILED);
}

static int end_trial(struct sf_core *c, int error, enum sf_reset_reason reason)
{
    const struct sf_record_trial *t = &c->trial;
    struct sf_outcome outcome = {
        .counter = t->counter,
        .attempt = t->attempt,
        .error = t->kind == SF_TRIAL_ROLL_BACK ? SF_ERR_ROLLBACK_FAILED : error,
        .reset_reason = (uint8_t)reason,
    };
    memcpy(outcome.text, t->text, sizeof(t->text));
    int err = charge_trial(c, outcome.error);
    if (err == SF_OK) {
        err = sf_outcome_store(c, &outcome);
    }
    return err == SF_OK ? close_trial(c) : err;
}

/* The entry, of whatever state, that the trial's commit wrote; NULL if it is not there. */
static const struct sf_otadata_entry *find_entry(const struct sf_record_trial *t,
                                                 const struct sf_otadata_entry entry[2])
{
    for (unsigned i = 0; i < 2; i++) {
        if (entry[i].ota_seq == t->ota_seq && entry[i].crc == sf_otadata_crc(t->ota_seq)) {
            return &entry[i];
        }
    }
    return NULL;
}

/* A trial is open and another slot runs. */
static int settle_elsewhere(struct sf_core *c, const struct sf_otadata_entry entry[2])
{
    const struct sf_record_trial *t = &c->trial;
    const struct sf_otadata_entry *own = find_entry(t, entry);
    const int active = sf_otadata_active(entry);
    enum sf_reset_reason reason = reset_reason(c->config);
    int error = error_of_reset(reason);

    if (t->error == SF_OK && is_charged(c)) { /* cut in the middle of this, the last time */
        return end_trial(c, c->failed.error, reason);
    }
    if (own == NULL && t->boots == 0 && t->error == SF_OK && !t->confirming) {
        return close_trial(c); /* power failed before the commit: nothing has happened */
    }
    if (t->error != SF_OK) {
        error = t->error;
        reason = (enum sf_reset_reason)t->reset_reason;
    } else if (reason == SF_RESET_SOFTWARE && (own == NULL || own->ota_state == SF_OTA_INVALID)) {
        error = SF_ERR_STORE; /* we went back, and could not note why */
    } else if (t->confirming) {
        error = SF_ERR_POWER; /* cut while the live entry was being marked */
    } else if (active >= 0 && c->config->slot_count > 0 &&
               sf_otadata_slot(&entry[active], c->config->slot_count) == t->slot) {
        error = SF_ERR_FELL_BACK;
        /* A bootloader that rolls back ends it at the next boot. Any other would try it again, when
         * its trial is over. */
        if (entry[active].ota_state != SF_OTA_PENDING_VERIFY) {
            (void)sf_core_note(c, sf_commit_hold(c->config, t->slot));
        }
    }
    return end_trial(c, error, reason);
}

static int note_ability(struct sf_core *c)
{
    uint8_t seen = c->boot.rollback;
    if (c->trial.kind == SF_TRIAL_FOREIGN) {
        return SF_OK;
    }
    if (c->running_state == SF_OTA_PENDING_VERIFY) {
        seen = SF_ROLLBACK_YES;
    } else if (c->running_state == SF_OTA_NEW) {
        seen = SF_ROLLBACK_NO;
    }
    if (seen == c->boot.rollback) {
        return SF_OK;
    }
    c->boot.rollback = seen;
    return sf_memory_save(c, SF_RECORD_BOOT);
}

/* `error`: nothing can be known of its trial, so it cannot be counted, and is broken off. */
static int open_foreign(struct sf_core *c, int error)
{
    c->trial = (struct sf_record_trial){.open = 1,
                                        .kind = SF_TRIAL_FOREIGN,
                                        .slot = sf_wire_slot(c->config->running_slot),
                                        .boots = 1,
                                        .error = error};
    return error == SF_OK ? sf_memory_save(c, SF_RECORD_TRIAL) : error;
}

static int settle(struct sf_core *c)
{
    struct sf_otadata_entry entry[2];
    int err = sf_commit_read(c->config, entry);
    if (err != SF_OK) {
        c->running_state = SF_OTA_UNDEFINED;
        c->runs_boot_slot = err == SF_ERR_NO_OTADATA;
        return err == SF_ERR_NO_OTADATA ? SF_OK : err;
    }
    c->running_state = sf_commit_running_state(c->config, entry);
    c->runs_boot_slot = (uint8_t)sf_commit_runs_boot_slot(c->config, entry);
    if (c->trial_unknown && c->runs_boot_slot && is_trial_state(c->running_state)) {
        return open_foreign(c, SF_ERR_STORE);
    }
    if (!c->trial.open) {
        return c->runs_boot_slot && c->running_state == SF_OTA_PENDING_VERIFY
                   ? open_foreign(c, SF_OK)
                   : SF_OK;
    }
    if (!runs_here(c->config, &c->trial)) {
        return settle_elsewhere(c, entry);
    }
    if (!c->runs_boot_slot) { /* switched back, yet here again: the other image does not boot */
        return end_trial(c, SF_ERR_ROLLBACK_FAILED, reset_reason(c->config));
    }
    return note_ability(c);
}

static void remember_failed_image(struct sf_core *c)
{
    const struct sf_record_failed *f = &c->failed;
    if (f->counter == 0 || f->slot >= c->config->slot_count ||
        f->slot == sf_wire_slot(c->config->running_slot)) {
        return;
    }
    c->held =
        (struct sf_held){.slot = f->slot, .complete = 1, .length = f->length, .bytes = f->length};
    sf_digest_copy(c->held.digest, f->digest);
}

/* Whatever fails in here is remembered and reported, and does not keep the device from its first
 * check-in. */
enum sf_event sf_trial_start(struct sf_core *c)
{
    const struct sf_crypto *crypto = c->config->crypto;
    if (sf_core_note(c, sf_memory_load(c)) != SF_OK && c->step++ < LOAD_ROUNDS) {
        return SF_EVENT_NONE;
    }
    c->boot.count++;
    (void)sf_core_note(c, sf_memory_save(c, SF_RECORD_BOOT));
    (void)sf_core_note(c, crypto->random(crypto->ctx, c->boot_id, sizeof(c->boot_id)));
    (void)sf_core_note(c, settle(c));
    if (!runs_here(c->config, &c->trial)) {
        c->trial.open = 0; /* even where that could not be recorded: this image is on no trial */
    }
    remember_failed_image(c);
    (void)sf_core_note(c, sf_exchange_identity(c));
    return SF_EVENT_OK;
}

/* ---- the trial itself ---- */

static uint64_t deadline(const struct sf_core *c)
{
    return c->start_ms + sf_pace_trial_ms(c->config);
}

static void fail_test(struct sf_core *c, const struct sf_self_test *test, int err)
{
    const size_t max = sizeof(c->trial.text) - 1;
    size_t len = 0;
    while (len < max && test->name[len] != '\0') {
        len++;
    }
    memset(c->trial.text, 0, sizeof(c->trial.text));
    memcpy(c->trial.text, test->name, len);
    c->trial.error = err;
    c->trial.reset_reason = (uint8_t)reset_reason(c->config);
}

/* What runs is not what the trial was opened for: somebody flashed the slot meanwhile. It is tried
 * all the same, but says nothing of the release. */
static void disown(struct sf_core *c)
{
    if (c->trial.counter != 0 && c->running_length != 0 &&
        !sf_digest_equal(c->trial.digest, c->running_digest)) {
        c->trial.kind = SF_TRIAL_FOREIGN;
        c->trial.counter = 0;
        (void)sf_core_note(c, sf_memory_save(c, SF_RECORD_TRIAL));
    }
}

int sf_trial_begin(struct sf_core *c)
{
    const struct sf_platform *p = c->config->platform;
    disown(c);
    if (p->trial_deadline != NULL) {
        p->trial_deadline(p->ctx, sf_pace_trial_ms(c->config) + WATCHDOG_GRACE_MS);
    }
    c->ask_at_ms = c->now_ms;
    c->poll_at_ms = c->now_ms;
    c->ask_fails = 0;
    for (unsigned i = 0; i < c->config->self_test_count; i++) {
        const struct sf_self_test *test = &c->config->self_test[i];
        if (c->trial.error == SF_OK && test->start != NULL && test->start(test->ctx) != SF_OK) {
            fail_test(c, test, SF_ERR_SELF_TEST);
        }
    }
    return SF_OK;
}

static int all_passed(const struct sf_core *c)
{
    return c->test_passed == (1U << c->config->self_test_count) - 1U;
}

/* Polls the self-tests that have not passed. SF_OK to go on; SF_ERR_CANCELLED if one failed,
 * SF_ERR_DEADLINE at the end of the trial. */
int sf_trial_poll(struct sf_core *c)
{
    if (c->trial.error != SF_OK) {
        return SF_ERR_CANCELLED;
    }
    if (c->now_ms >= c->poll_at_ms) {
        c->poll_at_ms = c->now_ms + POLL_MS;
        for (unsigned i = 0; i < c->config->self_test_count && c->trial.error == SF_OK; i++) {
            const struct sf_self_test *test = &c->config->self_test[i];
            if ((c->test_passed & (1U << i)) != 0) {
                continue;
            }
            const enum sf_self_test_result r = test->poll(test->ctx);
            if (r == SF_SELF_TEST_PASS) {
                c->test_passed = (uint8_t)(c->test_passed | 1U << i);
            } else if (r == SF_SELF_TEST_FAIL) {
                fail_test(c, test, SF_ERR_SELF_TEST);
            } else if (test->deadline_ms != 0 && c->now_ms >= c->start_ms + test->deadline_ms) {
                fail_test(c, test, SF_ERR_SELF_TEST_DEADLINE);
            }
        }
    }
    if (c->trial.error != SF_OK) {
        return SF_ERR_CANCELLED;
    }
    return c->now_ms >= deadline(c) ? SF_ERR_DEADLINE : SF_OK;
}

int sf_trial_wait(struct sf_core *c)
{
    const uint64_t end = deadline(c);
    uint64_t at = all_passed(c) ? c->ask_at_ms : c->poll_at_ms;
    if (all_passed(c) && c->answered > 0) { /* everything is there but confirming failed */
        at = c->now_ms + CONFIRM_RETRY_MS;
    }
    /* Once otadata says VALID the deadline has no say: only the bookkeeping is tried again. */
    c->wait_until_ms = at < end || c->running_state == SF_OTA_VALID ? at : end;
    return SF_OK;
}

int sf_trial_missed(struct sf_core *c)
{
    uint64_t ms = sf_pace_backoff_ms(c, &ask_pace, c->ask_fails);
    const uint32_t most = sf_pace_trial_ms(c->config) / ASKS_MIN;
    uint32_t asked = sf_pace_retry_after_ms(c);
    asked = asked < most ? asked : most;
    sf_count(&c->ask_fails);
    c->ask_at_ms = c->now_ms + (asked > ms ? asked : ms);
    c->server_is_busy |= c->error == SF_ERR_THROTTLED;
    return sf_trial_wait(c);
}

enum sf_event sf_trial_step(struct sf_core *c)
{
    if (c->trial.confirming && c->running_state == SF_OTA_VALID) {
        return SF_EVENT_OK;
    }
    const int err = sf_trial_poll(c);
    if (err == SF_ERR_CANCELLED) {
        return SF_EVENT_BACK;
    }
    if (all_passed(c) && c->answered > 0 && err == SF_OK) {
        return SF_EVENT_OK;
    }
    if (err == SF_ERR_DEADLINE) {
        c->trial.error = !all_passed(c)      ? SF_ERR_TRIAL_DEADLINE
                         : c->server_is_busy ? SF_ERR_THROTTLED
                                             : SF_ERR_NO_SERVER;
        if (all_passed(c) && c->answered > 0) {
            c->trial.error = c->error != SF_OK ? c->error : SF_ERR_TRIAL_DEADLINE;
        }
        c->trial.reset_reason = (uint8_t)reset_reason(c->config);
        return SF_EVENT_BACK;
    }
    return c->answered == 0 && c->now_ms >= c->ask_at_ms ? SF_EVENT_ASK : SF_EVENT_TIMER;
}

/* One record or entry a step, in the order in which a power cut between any two does no harm. */
enum sf_event sf_trial_confirm(struct sf_core *c)
{
    enum { ANNOUNCE, MARK, GOOD, OUTCOME, CLOSE, DONE };
    const struct sf_outcome ok = {.counter = c->trial.counter, .attempt = c->trial.attempt};
    int err = SF_OK;

    switch (c->step) {
    case ANNOUNCE:
        c->trial.confirming = 1;
        err = sf_memory_save(c, SF_RECORD_TRIAL);
        break;
    case MARK:
        err = sf_commit_mark_valid(c->config);
        c->running_state = err == SF_OK ? SF_OTA_VALID : c->running_state;
        break;
    case GOOD:
        err = sf_install_remember_good(c);
        c->good_known = err == SF_OK;
        break;
    case OUTCOME:
        err = sf_outcome_store(c, &ok);
        break;
    default:
        err = close_trial(c);
        break;
    }
    c->step++;
    if (sf_core_note(c, err) != SF_OK) {
        return SF_EVENT_FAILED;
    }
    return c->step == DONE ? SF_EVENT_OK : SF_EVENT_NONE;
}

/* 1 if this boot was the boot slot's and the next one will not be: an entry was lost on the way. */
static int is_switched_away(const struct sf_core *c)
{
    struct sf_otadata_entry entry[2];
    return c->runs_boot_slot && sf_commit_read(c->config, entry) == SF_OK &&
           !sf_commit_runs_boot_slot(c->config, entry);
}

enum sf_event sf_trial_go_back(struct sf_core *c)
{
    if (c->step == 0) {
        c->step = 1;
        /* Should the store fail, going back matters more than the reason. */
        (void)sf_core_note(c, sf_memory_save(c, SF_RECORD_TRIAL));
        return SF_EVENT_NONE;
    }
    const int ignores_state =
        c->running_state != SF_OTA_PENDING_VERIFY || c->boot.rollback == SF_ROLLBACK_NO;
    const int err =
        sf_commit_go_back(c->config, ignores_state ? SF_BACK_SWITCH : SF_BACK_INVALIDATE);
    if (err == SF_OK || is_switched_away(c)) {
        return SF_EVENT_OK;
    }
    if (sf_core_note(c, err) == SF_ERR_ROLLBACK_FAILED &&
        sf_core_note(c, sf_commit_hold(c->config, c->trial.slot)) == SF_OK &&
        c->running_state == SF_OTA_PENDING_VERIFY) {
        c->running_state = SF_OTA_UNDEFINED; /* it stays: there is nothing else that boots */
    }
    if (end_trial(c, SF_ERR_ROLLBACK_FAILED, (enum sf_reset_reason)c->trial.reset_reason) !=
        SF_OK) {
        c->last_error = SF_ERR_STORE;
        c->trial.open = 0; /* in memory: this boot goes on without it */
    }
    return SF_EVENT_FAILED;
}
