/* The update engine's states: one table and the step function that walks it.
 *
 * 1. A state changes in sf_core_event() only, by a row of the table.
 * 2. An action that fails is the event FAILED of the state it led to; failures never chain further
 *    than two rows, because waiting states' actions cannot fail. */
#include "device/engine.h"

#include <string.h>

#include "device/steps.h"

typedef int sf_transition_action(struct sf_core *c);
typedef enum sf_event sf_state_work(struct sf_core *c);

static int next_step_first(struct sf_core *c)
{
    c->step = 0;
    return SF_OK;
}

/* What rows name by a byte: a pointer in each would double the table. */
#define ACTION_MAP(X)              \
    X(next_step_first)             \
    X(sf_pace_contact_now)         \
    X(sf_trial_begin)              \
    X(sf_exchange_ask)             \
    X(sf_exchange_build_enrol)     \
    X(sf_exchange_enrolled)        \
    X(sf_pace_contact_later)       \
    X(sf_judge_missed)             \
    X(sf_pace_contact_on_interval) \
    X(sf_outcome_failed)           \
    X(sf_fetch_build)              \
    X(sf_install_hash_begin)       \
    X(sf_outcome_dropped)          \
    X(sf_fetch_back_off)           \
    X(sf_pace_ask_later)           \
    X(sf_trial_wait)               \
    X(sf_trial_missed)

enum {
    ACTION_NULL,
#define X(action) ACTION_##action,
    ACTION_MAP(X)
#undef X
};
static sf_transition_action *const actions[] = {NULL,
#define X(action) action,
                                                ACTION_MAP(X)
#undef X
};

/* script/state-diagram draws docs/engine-states.md from these rows. */
static const struct row {
    uint8_t state;
    uint8_t event;
    uint8_t next;
    uint8_t action;
} table[] = {
#define ROW(state, event, action, next)                                      \
    {                                                                        \
        SF_STATE_##state, SF_EVENT_##event, SF_STATE_##next, ACTION_##action \
    }
    ROW(START, OK, next_step_first, MEASURE),
    ROW(MEASURE, OK, sf_pace_contact_now, IDLE),
    ROW(MEASURE, TRIAL, sf_trial_begin, TRIAL_STEP),

    ROW(IDLE, TIMER, sf_exchange_ask, CHECKIN),
    ROW(IDLE, ENROL, sf_exchange_build_enrol, ENROL),
    ROW(ENROL, OK, sf_exchange_enrolled, IDLE),
    ROW(ENROL, FAILED, sf_pace_contact_later, IDLE),
    ROW(CHECKIN, OK, NULL, CHECKIN_JUDGE),
    ROW(CHECKIN, FAILED, sf_judge_missed, IDLE),
    ROW(CHECKIN_JUDGE, OK, sf_pace_contact_on_interval, IDLE),
    ROW(CHECKIN_JUDGE, ASK, sf_exchange_ask, CHECKIN),
    ROW(CHECKIN_JUDGE, FAILED, sf_judge_missed, IDLE),
    ROW(CHECKIN_JUDGE, INSTALL, next_step_first, GATE),
    ROW(CHECKIN_JUDGE, REFUSED, sf_outcome_failed, IDLE),

    ROW(GATE, OK, sf_fetch_build, FETCH),
    ROW(GATE, HELD, sf_install_hash_begin, HASH),
    ROW(GATE, FAILED, sf_outcome_failed, IDLE),
    ROW(GATE, DROP, sf_outcome_dropped, IDLE),

    ROW(FETCH, OK, sf_install_hash_begin, HASH),
    ROW(FETCH, LOST, sf_fetch_back_off, FETCH_WAIT),
    ROW(FETCH, ASK, sf_exchange_ask, FETCH_ASK),
    ROW(FETCH, FAILED, sf_outcome_failed, IDLE),
    ROW(FETCH, DROP, sf_outcome_dropped, IDLE),
    ROW(FETCH_WAIT, TIMER, sf_fetch_build, FETCH),
    ROW(FETCH_WAIT, ASK, sf_exchange_ask, FETCH_ASK),
    ROW(FETCH_WAIT, DROP, sf_outcome_dropped, IDLE),
    ROW(FETCH_ASK, OK, NULL, FETCH_JUDGE),
    ROW(FETCH_ASK, FAILED, sf_fetch_build, FETCH),
    ROW(FETCH_ASK, DROP, sf_outcome_dropped, IDLE),
    ROW(FETCH_JUDGE, OK, sf_fetch_build, FETCH),
    ROW(FETCH_JUDGE, ASK, sf_exchange_ask, FETCH_ASK),
    ROW(FETCH_JUDGE, FAILED, sf_fetch_build, FETCH),
    ROW(FETCH_JUDGE, DROP, sf_outcome_dropped, IDLE),

    ROW(HASH, OK, sf_exchange_ask, ASK),
    ROW(HASH, LOST, next_step_first, GATE),
    ROW(HASH, FAILED, sf_outcome_failed, IDLE),
    ROW(HASH, DROP, sf_outcome_dropped, IDLE),
    ROW(ASK, OK, NULL, ASK_JUDGE),
    ROW(ASK, FAILED, sf_pace_ask_later, ASK_WAIT),
    ROW(ASK, DROP, sf_outcome_dropped, IDLE),
    ROW(ASK_JUDGE, OK, next_step_first, COMMIT),
    ROW(ASK_JUDGE, ASK, sf_exchange_ask, ASK),
    ROW(ASK_JUDGE, FAILED, sf_pace_ask_later, ASK_WAIT),
    ROW(ASK_JUDGE, DROP, sf_outcome_dropped, IDLE),
    ROW(ASK_WAIT, TIMER, sf_exchange_ask, ASK),
    ROW(ASK_WAIT, DROP, sf_outcome_dropped, IDLE),
    ROW(COMMIT, OK, NULL, REBOOT),
    ROW(COMMIT, ASK, sf_pace_ask_later, ASK_WAIT),
    ROW(COMMIT, FAILED, sf_outcome_failed, IDLE),

    ROW(TRIAL, TIMER, NULL, TRIAL_STEP),
    ROW(TRIAL_STEP, TIMER, sf_trial_wait, TRIAL),
    ROW(TRIAL_STEP, ASK, sf_exchange_ask, TRIAL_ASK),
    ROW(TRIAL_STEP, OK, next_step_first, CONFIRM),
    ROW(TRIAL_STEP, BACK, next_step_first, GO_BACK),
    ROW(TRIAL_ASK, OK, NULL, TRIAL_JUDGE),
    ROW(TRIAL_ASK, FAILED, sf_trial_missed, TRIAL),
    ROW(TRIAL_JUDGE, OK, NULL, TRIAL_STEP),
    ROW(TRIAL_JUDGE, ASK, sf_exchange_ask, TRIAL_ASK),
    ROW(TRIAL_JUDGE, FAILED, sf_trial_missed, TRIAL),
    ROW(CONFIRM, OK, sf_pace_contact_now, IDLE),
    ROW(CONFIRM, FAILED, sf_trial_wait, TRIAL),
    ROW(GO_BACK, OK, NULL, REBOOT),
    ROW(GO_BACK, FAILED, sf_pace_contact_now, IDLE),
#undef ROW
};

enum { KIND_WAIT, KIND_WORK, KIND_REQUEST, KIND_REBOOT };
static const uint8_t kinds[SF_STATE_COUNT] = {
#define X(name, kind) KIND_##kind,
    SF_STATE_MAP(X)
#undef X
};

static sf_state_work *const works[SF_STATE_COUNT] = {
    [SF_STATE_START] = sf_trial_start,           [SF_STATE_MEASURE] = sf_install_measure,
    [SF_STATE_CHECKIN_JUDGE] = sf_judge_checkin, [SF_STATE_GATE] = sf_install_gate,
    [SF_STATE_FETCH_JUDGE] = sf_judge_same,      [SF_STATE_HASH] = sf_install_hash,
    [SF_STATE_ASK_JUDGE] = sf_judge_same,        [SF_STATE_COMMIT] = sf_commit_step,
    [SF_STATE_TRIAL_STEP] = sf_trial_step,       [SF_STATE_TRIAL_JUDGE] = sf_judge_trial,
    [SF_STATE_CONFIRM] = sf_trial_confirm,       [SF_STATE_GO_BACK] = sf_trial_go_back,
};

static const uint8_t phases[SF_STATE_COUNT] = {
    [SF_STATE_GATE] = SF_PHASE_DOWNLOADING,        [SF_STATE_FETCH] = SF_PHASE_DOWNLOADING,
    [SF_STATE_FETCH_WAIT] = SF_PHASE_DOWNLOADING,  [SF_STATE_FETCH_ASK] = SF_PHASE_DOWNLOADING,
    [SF_STATE_FETCH_JUDGE] = SF_PHASE_DOWNLOADING, [SF_STATE_HASH] = SF_PHASE_VERIFYING,
    [SF_STATE_ASK] = SF_PHASE_INSTALLED,           [SF_STATE_ASK_JUDGE] = SF_PHASE_INSTALLED,
    [SF_STATE_ASK_WAIT] = SF_PHASE_INSTALLED,      [SF_STATE_COMMIT] = SF_PHASE_INSTALLED,
    [SF_STATE_REBOOT] = SF_PHASE_INSTALLED,        [SF_STATE_TRIAL] = SF_PHASE_TRIAL,
    [SF_STATE_TRIAL_STEP] = SF_PHASE_TRIAL,        [SF_STATE_TRIAL_ASK] = SF_PHASE_TRIAL,
    [SF_STATE_TRIAL_JUDGE] = SF_PHASE_TRIAL,       [SF_STATE_CONFIRM] = SF_PHASE_TRIAL,
    [SF_STATE_GO_BACK] = SF_PHASE_TRIAL,
};

static struct sf_core *core(struct sf_engine *e, uint64_t now_ms)
{
    struct sf_core *c = (struct sf_core *)(void *)e;
    c->now_ms = now_ms;
    return c;
}

static const struct sf_core *core_const(const struct sf_engine *e)
{
    return (const struct sf_core *)(const void *)e;
}

static const struct row *find_row(uint8_t state, enum sf_event event)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].state == state && table[i].event == (uint8_t)event) {
            return &table[i];
        }
    }
    return NULL;
}

int sf_core_note(struct sf_core *c, int err)
{
    c->error = err;
    if (err != SF_OK) {
        c->last_error = err;
    }
    return err;
}

void sf_core_event(struct sf_core *c, enum sf_event event)
{
    /* Not a known pair: start over from the next check-in rather than stand still. */
    static const struct row start_over = {0, 0, SF_STATE_IDLE, ACTION_sf_outcome_failed};

    for (unsigned i = 0; i < 3 && event != SF_EVENT_NONE; i++) {
        const struct row *row = find_row(c->state, event);
        if (row == NULL) {
            row = &start_over;
        }
        c->state = row->next;
        const int err = row->action == ACTION_NULL ? SF_OK : actions[row->action](c);
        event = err == SF_OK ? SF_EVENT_NONE : SF_EVENT_FAILED;
        if (err != SF_OK) {
            (void)sf_core_note(c, err);
        }
    }
}

enum sf_phase sf_core_phase(const struct sf_core *c)
{
    const enum sf_phase phase = (enum sf_phase)phases[c->state];
    if (phase == SF_PHASE_IDLE && c->out.outcome.counter != 0 && c->out.outcome.error == SF_OK &&
        c->out.outcome.counter == c->floor.counter) {
        return SF_PHASE_CONFIRMED;
    }
    return phase;
}

void sf_engine_init(struct sf_engine *e, const struct sf_config *config, uint64_t now_ms)
{
    assert(config->slot_count <= SF_OTA_SLOT_MAX);
    assert(config->self_test_count <= SF_SELF_TEST_MAX);
    memset(e, 0, sizeof(*e));
    struct sf_core *c = core(e, now_ms);
    c->config = config;
    c->start_ms = now_ms;
    c->state = SF_STATE_START;
    c->held.slot = SF_NO_WIRE_SLOT;
}

static void cancel_if_asked(struct sf_core *c)
{
    if (!c->poked_cancel) {
        return;
    }
    if (!c->deploy.active) {
        c->poked_cancel = 0;
    } else if (find_row(c->state, SF_EVENT_DROP) != NULL) {
        (void)sf_core_note(c, SF_ERR_CANCELLED);
        sf_core_event(c, SF_EVENT_DROP);
    }
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t request_deadline(const struct sf_core *c)
{
    uint64_t at = min_u64(c->exchange.deadline_ms, c->exchange.stall_at_ms);
    if (c->state == SF_STATE_FETCH) {
        at = min_u64(at, sf_fetch_deadline(c));
    } else if (c->state == SF_STATE_TRIAL_ASK) {
        at = min_u64(at, c->poll_at_ms);
    }
    return at;
}

static void fill_request(struct sf_core *c, struct sf_request *r)
{
    *r = (struct sf_request){
        .method = c->exchange.body == NULL ? SF_METHOD_GET : SF_METHOD_POST,
        .path = c->exchange.path,
        .authorization = c->exchange.authorization,
        .body = c->exchange.body,
        .body_len = c->exchange.body_len,
        .if_none_match = c->exchange.if_none_match,
        .deadline_ms = request_deadline(c),
    };
    if (c->state == SF_STATE_FETCH) {
        r->range_offset = c->offset - c->offset % SF_SECTOR_SIZE;
        r->etag = c->held.etag[0] == '\0' ? NULL : c->held.etag;
    }
}

static enum sf_event timer_event(const struct sf_core *c)
{
    if (c->state == SF_STATE_IDLE && !c->enrolled) {
        return SF_EVENT_ENROL;
    }
    return c->state == SF_STATE_FETCH_WAIT && c->now_ms >= c->ask_at_ms ? SF_EVENT_ASK
                                                                        : SF_EVENT_TIMER;
}

struct sf_action sf_engine_next(struct sf_engine *e, uint64_t now_ms)
{
    struct sf_core *c = core(e, now_ms);
    if (kinds[c->state] != KIND_REQUEST) {
        cancel_if_asked(c);
    }
    if (kinds[c->state] == KIND_WAIT && now_ms >= c->wait_until_ms) {
        sf_core_event(c, timer_event(c));
    }
    struct sf_action action = {.kind = SF_ACTION_WAIT, .wait_until_ms = c->wait_until_ms};
    switch (kinds[c->state]) {
    case KIND_WORK:
        action.kind = SF_ACTION_WORK;
        break;
    case KIND_REQUEST:
        action.kind = SF_ACTION_REQUEST;
        fill_request(c, &action.request);
        break;
    case KIND_REBOOT:
        action.kind = SF_ACTION_REBOOT;
        break;
    default:
        break;
    }
    return action;
}

void sf_engine_work(struct sf_engine *e, uint64_t now_ms)
{
    struct sf_core *c = core(e, now_ms);
    cancel_if_asked(c);
    if (works[c->state] != NULL) {
        sf_core_event(c, works[c->state](c));
    }
}

static int stop_request(struct sf_core *c, int err)
{
    if (c->exchange.err == SF_OK) {
        c->exchange.err = err;
    }
    return c->exchange.err;
}

int sf_engine_response_head(struct sf_engine *e, const struct sf_response_head *head,
                            uint64_t now_ms)
{
    struct sf_core *c = core(e, now_ms);
    if (kinds[c->state] != KIND_REQUEST || c->exchange.got_head) {
        return SF_ERR_STATE;
    }
    if (c->exchange.err != SF_OK) {
        return c->exchange.err;
    }
    c->exchange.got_head = 1;
    c->exchange.stall_at_ms = now_ms + sf_pace_stall_ms(c);
    c->exchange.retry_after_s = head->retry_after_s;
    c->exchange.left = head->content_len;
    const int err = c->state == SF_STATE_FETCH ? sf_fetch_head(c, head) : sf_exchange_head(c, head);
    return err == SF_OK ? SF_OK : stop_request(c, err);
}

int32_t sf_engine_response_body(struct sf_engine *e, const uint8_t *data, size_t len,
                                uint64_t now_ms)
{
    struct sf_core *c = core(e, now_ms);
    if (kinds[c->state] != KIND_REQUEST || !c->exchange.got_head || len == 0) {
        return SF_ERR_STATE;
    }
    if (c->exchange.err != SF_OK) {
        return c->exchange.err;
    }
    c->exchange.stall_at_ms = now_ms + sf_pace_stall_ms(c);
    const int32_t taken =
        c->state == SF_STATE_FETCH ? sf_fetch_body(c, data, len) : sf_exchange_body(c, data, len);
    if (taken < 0) {
        return stop_request(c, (int)taken);
    }
    c->exchange.left -= c->exchange.left > 0 ? taken : 0;
    return taken;
}

int sf_engine_request_check(struct sf_engine *e, uint64_t now_ms)
{
    struct sf_core *c = core(e, now_ms);
    if (kinds[c->state] != KIND_REQUEST) {
        return SF_ERR_STATE;
    }
    if (c->exchange.err != SF_OK) {
        return c->exchange.err;
    }
    if (c->poked_cancel && find_row(c->state, SF_EVENT_DROP) != NULL) {
        return stop_request(c, SF_ERR_CANCELLED);
    }
    if (now_ms >= c->exchange.deadline_ms) {
        return stop_request(c, SF_ERR_DEADLINE);
    }
    if (now_ms >= c->exchange.stall_at_ms) {
        return stop_request(c, SF_ERR_STALLED);
    }
    int err = SF_OK;
    if (c->state == SF_STATE_FETCH) {
        err = sf_fetch_check(c);
    } else if (c->state == SF_STATE_TRIAL_ASK) {
        err = sf_trial_poll(c);
    }
    return err == SF_OK ? SF_OK : stop_request(c, err);
}

void sf_engine_response_end(struct sf_engine *e, int err, uint64_t now_ms)
{
    struct sf_core *c = core(e, now_ms);
    if (kinds[c->state] != KIND_REQUEST) {
        return;
    }
    if (c->exchange.err != SF_OK) {
        err = c->exchange.err;
    } else if (err == SF_OK && (!c->exchange.got_head || c->exchange.left > 0)) {
        err = SF_ERR_CLOSED;
    }
    enum sf_event event = SF_EVENT_OK;
    if (c->poked_cancel && find_row(c->state, SF_EVENT_DROP) != NULL) {
        event = SF_EVENT_DROP;
        (void)sf_core_note(c, SF_ERR_CANCELLED);
    } else if (c->state == SF_STATE_FETCH) {
        event = sf_fetch_end(c, err);
    } else if (sf_core_note(c, sf_exchange_end(c, err)) != SF_OK) {
        event = SF_EVENT_FAILED;
    }
    sf_core_event(c, event);
}

void sf_engine_poke(struct sf_engine *e, enum sf_poke what, uint64_t now_ms)
{
    struct sf_core *c = core(e, now_ms);
    if (what == SF_POKE_CANCEL) {
        c->poked_cancel = c->deploy.active;
        return;
    }
    if (kinds[c->state] == KIND_WAIT) {
        c->wait_until_ms = now_ms;
    }
    c->ask_at_ms = now_ms;
}

int sf_engine_may_sleep(const struct sf_engine *e)
{
    return core_const(e)->state == SF_STATE_IDLE;
}

struct sf_engine_view sf_engine_view(const struct sf_engine *e)
{
    const struct sf_core *c = core_const(e);
    struct sf_engine_view v = {
        .phase = sf_core_phase(c),
        .last_error = c->last_error,
        .signed_time = c->signed_time,
        .status_counter = c->floor.counter,
        .root_version = c->root_version,
        .checkins_answered = c->answered,
        .trial_open = c->trial.open,
        .update_due = c->wanted && !sf_outcome_refused(c, c->floor.counter),
    };
    if (c->deploy.active) {
        v.bytes_done = c->held.bytes;
        v.bytes_total = c->deploy.image_size;
    }
    if (!c->out.acknowledged) {
        v.outcome = c->out.outcome;
    }
    return v;
}
