#include "sim/powercut/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A cut needs no run from the beginning: while one world is played without a cut, its observer
 * branches another at each step, in each way in which the step can tear, and plays that to its end.
 * A second cut is a branch of the branch. */

enum {
    LEVELS = 2,
    WORDWISE = 32,     /* bytes; an otadata entry, or half of one */
    SMALL_WRITE = 256, /* bytes; records and otadata, as against a sector of an image */
    NET_EVERY = 2,     /* one random schedule in so many has network faults */
    FAULT_EVERY = 3,   /* likewise flash faults */
    PLACES = 5,        /* bytes at which a message is broken */
    PLACES_FULL = 32,
    READ_STRIDE = 23, /* of the reads, unless --full */
    LONG_STRIDE = 7,  /* of defects in long lives, likewise */
};

static const char *const kind_names[SWEEP_KINDS] = {"single", "pairs", "faults", "net", "random"};

const char *sweep_kind_name(enum sweep_kind kind)
{
    return kind_names[kind];
}

enum sweep_kind sweep_kind_find(const char *name)
{
    int kind = 0;
    while (kind < SWEEP_KINDS && strcmp(kind_names[kind], name) != 0) {
        kind++;
    }
    return (enum sweep_kind)kind;
}

struct sweep {
    const struct sweep_options *options;
    struct tally *tally;
    struct kit kit;
    struct world base; /* where the scenario's update begins */
    struct world world[LEVELS + 1];
    uint32_t steps; /* of the update without a cut */
    uint32_t messages;
    enum sweep_kind kind;
};

/* ---- accounts ---- */

static void note_finding(struct tally *t, const struct world *w)
{
    struct schedule plan = w->plan;
    t->violations++;
    if (t->finding_count == SWEEP_FINDINGS) {
        return;
    }
    struct finding *f = &t->finding[t->finding_count];
    plan.signing = w->server.signing;
    schedule_print(&plan, f->line);
    snprintf(f->what, sizeof(f->what), "%s", w->life.violation);
    t->finding_count++; /* last: another process may be reading */
}

static void account(const struct sweep *s, const struct world *w)
{
    struct tally *t = s->tally;
    t->by_kind[s->kind]++;
    t->steps += w->life.steps;
    t->boots += w->life.boots;
    t->cuts += w->cuts_done;
    t->outside += w->life.is_outside != 0;
    t->real += w->server.signing == KIT_ECDSA;
    t->schedules++;
    if (w->life.violation[0] != '\0') {
        note_finding(t, w);
    }
}

static enum kit_signing signing_of(const struct tally *t)
{
    return t->schedules % SWEEP_REAL_EVERY == 0 ? KIT_ECDSA : KIT_MAC;
}

static int is_over(const struct sweep *s)
{
    return s->options->is_first && s->tally->violations > 0;
}

static int plays(const struct sweep *s, enum sweep_kind kind)
{
    const unsigned kinds = s->options->kinds;
    return !is_over(s) && (kinds == 0 || (kinds >> kind & 1U) != 0);
}

/* ---- where and how a step can be cut ---- */

/* The i-th way, from 0; 0 once there is none. */
static int cut_way(const struct sf_flash_op *op, int is_full, uint32_t i, struct cut *out)
{
    if (i < 2) {
        out->how = i == 0 ? CUT_BEFORE : CUT_AFTER;
        out->value = 0;
        return 1;
    }
    i -= 2;
    if (world_is_burn(op)) {
        return 0;
    }
    if (op->kind == SF_FLASH_OP_ERASE) {
        out->how = CUT_MIX;
        out->value = i;
        return i < (is_full ? 9 : 3);
    }
    const int is_small = op->len <= SMALL_WRITE;
    const uint32_t bits = is_small ? (is_full ? 12 : 4) : (is_full ? 6 : 2);
    if (i < bits) {
        out->how = CUT_BITS;
        out->value = i;
        return 1;
    }
    i -= bits;
    const uint32_t words = op->len <= WORDWISE ? (uint32_t)op->len / 4 * (is_full ? 4 : 2) : 0;
    if (i < words) {
        out->how = CUT_WORD;
        out->value = i;
        return 1;
    }
    i -= words;
    const uint32_t grain = is_small ? (is_full ? 1 : 4) : (is_full ? 64 : 512);
    out->how = CUT_PREFIX;
    out->value = (i + 1) * grain - (op->len > 32 && i % 2 == 1);
    return out->value < op->len;
}

static int is_bookkeeping(const struct sf_flash_op *op)
{
    return world_is_burn(op) || op->address < KIT_SLOT_0;
}

/* ---- branches ---- */

struct level {
    struct sweep *sweep;
    struct world *child;
    struct level *next; /* NULL = the last cut */
    int bookkeeping_only;
    unsigned every;
};

static uint32_t mix(uint32_t a, uint32_t b)
{
    uint32_t x = (a + 1) * UINT32_C(2654435761) ^ (b + 7) * UINT32_C(2246822519);
    x ^= x >> 13;
    x *= UINT32_C(3266489917);
    return x ^ x >> 16;
}

static void branch(void *ctx, const struct world *w, const struct sf_flash_op *op)
{
    const struct level *l = ctx;
    const struct sweep *s = l->sweep;
    const struct sweep_options *o = s->options;
    const int is_first = w->plan.cut_count == 0;
    if (is_over(s) || (is_first && mix(0, w->life.steps) % o->jobs != o->job)) {
        return;
    }
    s->tally->units_done += is_first ? 1 : 0;
    if (l->bookkeeping_only && !is_bookkeeping(op)) {
        return;
    }
    struct cut cut = {.step = w->step};
    for (uint32_t i = 0; cut_way(op, o->is_full, i, &cut); i++) {
        if (is_over(s) || mix(o->seed, w->life.steps * 512 + i) % l->every != 0) {
            continue;
        }
        world_branch(l->child, w, op, &cut);
        l->child->observer = l->next ? branch : NULL;
        l->child->observer_ctx = l->next;
        world_resume(l->child, signing_of(s->tally));
        if (!l->next) {
            account(s, l->child);
        }
    }
}

static void start(struct world *w, const struct sweep *s)
{
    world_copy(w, &s->base);
    w->observer = NULL;
}

static struct schedule plain_plan(const struct sweep *s)
{
    return (struct schedule){.scenario = s->kit.scenario, .size = s->kit.size};
}

static void sweep_single(struct sweep *s)
{
    struct level only = {.sweep = s, .child = &s->world[1], .every = 1};
    const struct schedule plan = plain_plan(s);
    start(&s->world[0], s);
    s->world[0].observer = branch;
    s->world[0].observer_ctx = &only;
    world_play(&s->world[0], &plan);
    if (s->options->job == 0) {
        account(s, &s->world[0]);
    }
}

static void sweep_pairs(struct sweep *s)
{
    struct level second = {.sweep = s, .child = &s->world[2], .bookkeeping_only = 1, .every = 1};
    struct level first = {.sweep = s,
                          .child = &s->world[1],
                          .next = &second,
                          .bookkeeping_only = 1,
                          .every = s->options->pair_every};
    const struct schedule plan = plain_plan(s);
    start(&s->world[0], s);
    s->world[0].observer = branch;
    s->world[0].observer_ctx = &first;
    world_play(&s->world[0], &plan);
}

/* ---- flash faults ---- */

static void sweep_fault(struct sweep *s, enum fault_kind kind, uint8_t forever)
{
    const struct sweep_options *o = s->options;
    const int is_read = kind == FAULT_READ || kind == FAULT_FLIP;
    const uint32_t stride = is_read && !o->is_full ? READ_STRIDE : 1;
    /* a life with three attempts is long, and each is like the one before */
    const uint8_t behaviour = s->kit.scenario->behaviour;
    const int is_long = behaviour == SF_BEHAVIOUR_BROWNOUT || behaviour == SF_BEHAVIOUR_DEEP_SLEEP;
    const uint32_t every = forever && is_long && !o->is_full ? LONG_STRIDE : 1;
    struct schedule plan = plain_plan(s);
    struct world *w = &s->world[0];
    plan.fault = (struct fault){.kind = kind, .forever = forever};
    for (uint32_t n = 0; !is_over(s); n++) {
        plan.fault.nth = n * stride + (is_read ? mix(o->seed, n) % stride : 0);
        if (n % o->jobs != o->job || (n % every != 0 && n < s->steps)) {
            continue;
        }
        start(w, s);
        plan.signing = signing_of(s->tally);
        world_play(w, &plan);
        if (!w->chip.fault_hit) {
            return;
        }
        account(s, w);
    }
}

static void sweep_faults(struct sweep *s)
{
    for (int kind = FAULT_READ; kind < FAULT_COUNT; kind++) {
        const int sticks = kind == FAULT_STUCK_ONE || kind == FAULT_STUCK_ZERO;
        sweep_fault(s, (enum fault_kind)kind, (uint8_t)sticks);
        if (kind == FAULT_WRITE || kind == FAULT_ERASE) {
            sweep_fault(s, (enum fault_kind)kind, 1);
        }
    }
    s->tally->units_done++;
}

/* ---- the network ---- */

static int has_place(enum net_kind kind)
{
    return kind == NET_CLOSE || kind == NET_STALL || kind == NET_TRUNCATE ||
           kind == NET_DUPLICATE || kind == NET_CORRUPT;
}

/* Breaks one message in one way, at some bytes; 1 if the message came. */
static int break_message(struct sweep *s, uint32_t message, enum net_kind kind)
{
    const uint32_t places = has_place(kind) ? (s->options->is_full ? PLACES_FULL : PLACES) : 1;
    struct schedule plan = plain_plan(s);
    struct world *w = &s->world[0];
    plan.net_count = 1;
    for (uint32_t i = 0; i < places && !is_over(s); i++) {
        const uint32_t sector = i % 2 == 0 ? 1 : (i + 1) / 2 * SF_SECTOR_SIZE;
        plan.net[0] = (struct net_fault){
            .message = message,
            .kind = kind,
            .at = i < 4 ? sector : mix(s->options->seed, message * PLACES_FULL + i) & INT32_MAX};
        start(w, s);
        plan.signing = signing_of(s->tally);
        world_play(w, &plan);
        account(s, w);
        if (w->server.messages <= message) {
            return 0;
        }
    }
    return 1;
}

static void sweep_net(struct sweep *s)
{
    for (uint32_t message = s->options->job; message < s->messages; message += s->options->jobs) {
        int reached = 1;
        for (int kind = NET_GOOD + 1; kind < NET_COUNT && !is_over(s); kind++) {
            reached &= break_message(s, message, (enum net_kind)kind);
        }
        s->tally->messages += (uint64_t)reached;
    }
    s->tally->units_done++;
}

/* ---- at random ---- */

static void draw_cuts(const struct sweep *s, uint32_t *random, struct schedule *plan)
{
    const unsigned most =
        s->options->depth < SCHEDULE_CUTS_MAX ? s->options->depth : SCHEDULE_CUTS_MAX;
    plan->cut_count = 1 + chip_random(random) % most;
    for (unsigned i = 0; i < plan->cut_count; i++) {
        struct cut *c = &plan->cut[i];
        c->step = chip_random(random) % (i == 0 ? s->steps : s->steps / 2 + 1);
        c->how = (enum cut_how)(chip_random(random) % CUT_HOW_COUNT);
        c->value = chip_random(random) % (c->how == CUT_PREFIX ? 4096 : CHIP_SEED_MAX);
    }
}

static void draw_net(const struct sweep *s, uint32_t *random, struct schedule *plan)
{
    plan->net_count = 1 + chip_random(random) % NET_FAULT_MAX;
    for (unsigned i = 0; i < plan->net_count; i++) {
        struct net_fault *n = &plan->net[i];
        n->message = chip_random(random) % (s->messages + 3);
        n->kind = (enum net_kind)(1 + chip_random(random) % (NET_COUNT - 1));
        n->at = chip_random(random);
    }
}

static void draw_fault(const struct sweep *s, uint32_t *random, struct schedule *plan)
{
    plan->fault.kind = (enum fault_kind)(1 + chip_random(random) % (FAULT_COUNT - 1));
    const int is_read = plan->fault.kind == FAULT_READ || plan->fault.kind == FAULT_FLIP;
    plan->fault.nth = chip_random(random) % (is_read ? s->steps * 20 : s->steps / 2 + 1);
    plan->fault.forever =
        !is_read && (plan->fault.kind >= FAULT_STUCK_ONE || chip_random(random) % 2 != 0);
}

static void sweep_random(struct sweep *s, uint32_t first, uint32_t count)
{
    const struct sweep_options *o = s->options;
    for (uint32_t i = first; i < first + count && !is_over(s); i++) {
        uint32_t random = mix(o->seed, i) | 1;
        struct schedule plan = plain_plan(s);
        if (i % o->jobs != o->job) {
            continue;
        }
        draw_cuts(s, &random, &plan);
        if (i % NET_EVERY == 0) {
            draw_net(s, &random, &plan);
        }
        if (i % FAULT_EVERY == 0) {
            draw_fault(s, &random, &plan);
        }
        plan.signing = signing_of(s->tally);
        start(&s->world[0], s);
        world_play(&s->world[0], &plan);
        account(s, &s->world[0]);
        s->tally->units_done++;
    }
}

/* ---- all of it ---- */

static void sweep_close(struct sweep *s)
{
    for (unsigned i = 0; i <= LEVELS; i++) {
        world_close(&s->world[i]);
    }
    world_close(&s->base);
    kit_release_all(&s->kit);
}

/* A scenario, and its update once without a cut, to know how long it is. */
static int sweep_open(struct sweep *s, const struct scenario *scenario, enum kit_size size)
{
    int err = kit_open(&s->kit, scenario, size);
    if (err == SF_OK) {
        err = world_open(&s->base, &s->kit);
    }
    for (unsigned i = 0; i <= LEVELS && err == SF_OK; i++) {
        err = world_open(&s->world[i], &s->kit);
    }
    if (err != SF_OK) {
        return err;
    }
    const struct schedule plan = plain_plan(s);
    start(&s->world[0], s);
    world_play(&s->world[0], &plan);
    s->steps = s->world[0].life.steps;
    s->messages = s->world[0].server.messages;
    return SF_OK;
}

static const struct scenario *next_scenario(const struct sweep_options *o,
                                            const struct scenario *after)
{
    const struct scenario *s = after ? after + 1 : scenarios;
    while (s->name && o->only && s != o->only) {
        s++;
    }
    return s->name ? s : NULL;
}

static unsigned scenario_count(const struct sweep_options *o)
{
    unsigned count = 0;
    for (const struct scenario *s = next_scenario(o, NULL); s; s = next_scenario(o, s)) {
        count++;
    }
    return count;
}

static void play_small(struct sweep *s)
{
    s->kind = SWEEP_SINGLE;
    if (plays(s, SWEEP_SINGLE)) {
        sweep_single(s);
    }
    s->kind = SWEEP_PAIRS;
    if (s->options->depth > 1 && plays(s, SWEEP_PAIRS)) {
        sweep_pairs(s);
    }
    s->kind = SWEEP_FAULTS;
    if (plays(s, SWEEP_FAULTS)) {
        sweep_faults(s);
    }
    s->kind = SWEEP_NET;
    if (plays(s, SWEEP_NET)) {
        sweep_net(s);
    }
}

static int run_scenario(struct sweep *s, const struct scenario *scenario, uint32_t index)
{
    const struct sweep_options *o = s->options;
    int err = sweep_open(s, scenario, KIT_SMALL);
    if (err == SF_OK) {
        play_small(s);
    }
    sweep_close(s);
    if (err != SF_OK || o->random_count == 0 || !plays(s, SWEEP_RANDOM)) {
        return err;
    }
    err = sweep_open(s, scenario, KIT_FULL);
    if (err == SF_OK) {
        const uint32_t share = o->random_count / scenario_count(o) + 1;
        s->kind = SWEEP_RANDOM;
        sweep_random(s, index * share, share);
    }
    sweep_close(s);
    return err;
}

int sweep_run(const struct sweep_options *o, struct tally *t)
{
    struct sweep *s = calloc(1, sizeof(*s));
    if (!s) {
        return SF_ERR_NOMEM;
    }
    s->options = o;
    s->tally = t;
    int err = SF_OK;
    uint32_t index = 0;
    for (const struct scenario *c = next_scenario(o, NULL); c && err == SF_OK;
         c = next_scenario(o, c)) {
        err = run_scenario(s, c, index++);
    }
    free(s);
    return err;
}

uint64_t sweep_units(const struct sweep_options *o)
{
    uint64_t units = 0;
    for (const struct scenario *c = next_scenario(o, NULL); c; c = next_scenario(o, c)) {
        struct cost cost;
        if (sweep_cost(c, KIT_SMALL, &cost) == SF_OK) {
            units += (uint64_t)cost.steps * (o->depth > 1 ? 2 : 1) + 2UL * o->jobs;
        }
        units += o->random_count > 0 ? o->random_count / scenario_count(o) + 1 : 0;
    }
    return units;
}

int sweep_replay(const struct schedule *plan, FILE *trace, struct tally *t)
{
    const struct sweep_options none = {.jobs = 1};
    struct sweep *s = calloc(1, sizeof(*s));
    if (!s) {
        return SF_ERR_NOMEM;
    }
    s->options = &none;
    s->tally = t;
    const int err = sweep_open(s, plan->scenario, plan->size);
    if (err == SF_OK) {
        start(&s->world[0], s);
        s->world[0].trace = trace;
        world_play(&s->world[0], plan);
        account(s, &s->world[0]);
    }
    sweep_close(s);
    free(s);
    return err;
}

/* ---- cost ---- */

static enum cost_region region_of(uint32_t address)
{
    if (address >= KIT_SLOT_0) {
        return COST_SLOT;
    }
    return address >= KIT_OTADATA ? COST_OTADATA : COST_RECORDS;
}

static void count_cost(void *ctx, const struct world *w, const struct sf_flash_op *op)
{
    struct cost *c = ctx;
    const enum cost_region region = region_of(op->address);
    if (world_is_burn(op)) {
        return;
    }
    if (op->kind == SF_FLASH_OP_ERASE) {
        const uint32_t most = sf_host_flash_wear(&w->chip.flash, op->address, SF_SECTOR_SIZE) + 1;
        c->erases[region]++;
        c->most_erases[region] = most > c->most_erases[region] ? most : c->most_erases[region];
    } else {
        c->programs[region]++;
        c->bytes[region] += op->len;
    }
}

int sweep_cost(const struct scenario *scenario, enum kit_size size, struct cost *out)
{
    const struct sweep_options none = {.jobs = 1};
    struct sweep *s = calloc(1, sizeof(*s));
    if (!s) {
        return SF_ERR_NOMEM;
    }
    *out = (struct cost){0};
    s->options = &none;
    int err = sweep_open(s, scenario, size);
    if (err == SF_OK) {
        const struct schedule plan = plain_plan(s);
        struct world *w = &s->world[0];
        start(w, s);
        w->observer = count_cost;
        w->observer_ctx = out;
        world_play(w, &plan);
        out->steps = s->steps;
        out->messages = s->messages;
        out->image_bytes = s->kit.release[KIT_NEW].image_len;
        err = w->life.violation[0] == '\0' ? SF_OK : SF_ERR_INTERNAL;
    }
    sweep_close(s);
    free(s);
    return err;
}
