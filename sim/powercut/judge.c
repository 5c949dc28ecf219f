#include "sim/powercut/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* 1. What is true is read from the chip's cells, never from what the engine says.
 * 2. Only the first violation is kept: what follows from it would only confuse. */

enum {
    UNCONFIRMED_BOOTS_MAX = 12, /* three attempts of up to three power cuts, and the cuts between */
    TRIAL_MAX_MS = 32 * 60 * 1000, /* half an hour, and the outer watchdog's grace */
    /* erases of one sector of the slot in an update: one, and one more for each interruption */
    SLOT_WEAR = 1,
    OTADATA_WEAR = 6, /* of one sector, without interruption, an attempt */
    WEAR_A_CUT = 3,
    SLEEPS_MAX = 64, /* of a trial that nothing but waking interrupts */
};

static const char *const image_names[KIT_IMAGES + 1] = {"old", "new", "next", "unknown"};

void judge_fail(struct world *w, const char *fmt, ...)
{
    va_list args;
    if (w->life.violation[0] != '\0') {
        return;
    }
    va_start(args, fmt);
    vsnprintf(w->life.violation, sizeof(w->life.violation), fmt, args);
    va_end(args);
    world_tell(w, "violation: %s", w->life.violation);
}

static uint32_t slot_offset(const struct kit *k, int slot)
{
    return slot < 0 ? k->factory_offset : KIT_SLOT_0 + (uint32_t)slot * k->slot_size;
}

static int holds(const struct world *w, uint32_t offset, const struct kit_release *r)
{
    uint8_t piece[SF_SECTOR_SIZE];
    for (uint32_t at = 0; at < r->image_len; at += sizeof(piece)) {
        const uint32_t left = r->image_len - at;
        const size_t len = left < sizeof(piece) ? left : sizeof(piece);
        vesp32_peek(&w->esp, offset + at, piece, len);
        if (memcmp(piece, r->image + at, len) != 0) {
            return 0;
        }
    }
    return 1;
}

enum kit_image judge_image_in(const struct world *w, int slot)
{
    for (int i = 0; i < KIT_IMAGES; i++) {
        if (holds(w, slot_offset(w->kit, slot), &w->kit->release[i])) {
            return (enum kit_image)i;
        }
    }
    return KIT_NO_IMAGE;
}

static void read_entries(const struct world *w, struct sf_otadata_entry entry[2])
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[SF_OTADATA_ENTRY_SIZE];
        vesp32_peek(&w->esp, KIT_OTADATA + i * SF_OTADATA_SECTOR_SIZE, bytes, sizeof(bytes));
        sf_otadata_decode(bytes, &entry[i]);
    }
}

static int is_faulty(const struct world *w)
{
    return w->plan.fault.kind != FAULT_NONE;
}

int judge_is_outside(const struct world *w)
{
    const struct scenario *s = w->kit->scenario;
    struct sf_otadata_entry entry[2];
    read_entries(w, entry);
    const int active = sf_otadata_active(entry);
    const int may_be = s->no_rollback || w->life.boot_torn || is_faulty(w);
    return may_be && s->behaviour == SF_BEHAVIOUR_CRASH_EARLY && w->life.runs == KIT_NEW &&
           active >= 0 &&
           (s->no_rollback || entry[active].ota_state > SF_OTA_ABORTED ||
            entry[active].ota_state == SF_OTA_NEW); /* the bootloader could not write it */
}

/* What the live entry says VALID of must have reached the server, whatever runs. */
static void judge_state(struct world *w)
{
    struct sf_otadata_entry entry[2];
    read_entries(w, entry);
    const int active = sf_otadata_active(entry);
    if (active < 0 || entry[active].ota_state != SF_OTA_VALID) {
        return;
    }
    const enum kit_image image = judge_image_in(w, (int)sf_otadata_slot(&entry[active], 2));
    if (image == KIT_NO_IMAGE) {
        judge_fail(w, "an entry is VALID whose slot holds no complete image");
        return;
    }
    if (w->life.confirmed[image]) {
        return;
    }
    if (image == KIT_NEW && w->kit->scenario->end == END_OLD) {
        judge_fail(w, "the bad image is marked VALID");
    } else if (!w->life.asked[image]) {
        judge_fail(w, "the %s image is VALID and has never reached the server", image_names[image]);
    }
    w->life.confirmed[image] = 1;
}

static void judge_efuse(struct world *w)
{
    uint32_t highest = 0;
    for (int i = 0; i < KIT_IMAGES; i++) {
        const uint32_t version = w->kit->release[i].secure_version;
        highest = w->life.confirmed[i] && version > highest ? version : highest;
    }
    if (w->esp.efuse_secure_version > highest) {
        judge_fail(w, "eFuse secure_version %u, and no image above %u is confirmed",
                   w->esp.efuse_secure_version, highest);
    }
}

/* Where the bootloader could not read an image, or otadata is broken for good, any that is known
 * good may boot. */
static int may_wander(const struct world *w, enum kit_image image)
{
    return is_faulty(w) && w->life.confirmed[image];
}

static int may_run(const struct world *w, enum kit_image image)
{
    switch (w->life.phase) {
    case PHASE_PRELUDE:
        return 1;
    case PHASE_UPDATE:
        return image == KIT_OLD || image == KIT_NEW || may_wander(w, image);
    case PHASE_CYCLE:
        return image == w->life.settled || may_wander(w, image);
    case PHASE_NEXT:
        return image == w->life.settled || image == KIT_NEXT || may_wander(w, image);
    }
    return 0;
}

static unsigned boots_max(const struct world *w)
{
    const int sleeps = w->kit->scenario->behaviour == SF_BEHAVIOUR_DEEP_SLEEP;
    return UNCONFIRMED_BOOTS_MAX + (sleeps ? (unsigned)SLEEPS_MAX : 0);
}

void judge_boot(struct world *w)
{
    struct life *l = &w->life;
    const int slot = w->esp.config.running_slot;
    l->runs = judge_image_in(w, slot);
    l->boot_ms = w->now_ms;
    l->boots++;
    if (l->phase == PHASE_PRELUDE) {
        l->confirmed[l->runs % KIT_IMAGES] = 1;
        return;
    }
    if (l->runs == KIT_NO_IMAGE) {
        judge_fail(w, "boots %s, which holds no complete image", sf_boot_slot_str(slot));
        return;
    }
    if (!may_run(w, l->runs)) {
        judge_fail(w, "boots the %s image", image_names[l->runs]);
    }
    judge_state(w);
    judge_efuse(w);
    if (l->runs == KIT_NEW && !l->confirmed[KIT_NEW] && ++l->unconfirmed_boots > boots_max(w)) {
        l->is_outside = judge_is_outside(w);
        if (!l->is_outside) {
            judge_fail(w, "boots the unconfirmed image again and again");
        }
    }
}

/* ---- what the server is told ---- */

static void judge_other_slots(struct world *w, const struct sf_checkin *k)
{
    for (unsigned i = 0; i < k->other_count; i++) {
        const struct sf_other_slot *o = &k->other[i];
        const int slot = o->slot == SF_WIRE_SLOT_FACTORY ? SF_BOOT_FACTORY : o->slot;
        const enum kit_image is = judge_image_in(w, slot);
        if (w->kit->scenario->behaviour == SF_BEHAVIOUR_DECAYS && is == KIT_NO_IMAGE) {
            continue; /* it was there when it was looked at last */
        }
        if (o->content == SF_SLOT_COMPLETE && o->has_digest &&
            (is == KIT_NO_IMAGE ||
             memcmp(w->kit->release[is].digest, o->digest, SF_SHA256_SIZE) != 0)) {
            judge_fail(w, "tells of a complete image in %s that is not there",
                       sf_boot_slot_str(slot));
        }
    }
}

static void judge_outcome(struct world *w, const struct sf_outcome *o)
{
    const enum kit_image target = w->server.target;
    if (o->counter == 0 || o->counter != w->server.counter || target == KIT_NO_IMAGE) {
        return;
    }
    if (o->error == SF_OK && (w->life.runs != target || !w->life.confirmed[target])) {
        judge_fail(w, "tells of a confirmation that has not happened");
    }
}

/* What an update installed bars what is older; with a trust root a new epoch may begin anew. */
static void judge_installed(struct world *w, const struct sf_checkin *k)
{
    const enum kit_image runs = w->life.runs;
    const uint64_t seq = w->kit->release[runs].manifest.seq;
    if (w->life.confirmed[runs] && runs == w->server.target && runs != kit_first(w->kit) &&
        !w->kit->scenario->rolls_back && k->root_version == 0 && k->seq < seq) {
        judge_fail(w, "runs seq %llu and would still take %llu", (unsigned long long)seq,
                   (unsigned long long)k->seq);
    }
}

/* What is never to go down, but for what a new epoch resets: seq with the release role's, and the
 * counter once with the status role's. */
static void judge_floor(struct world *w, const struct sf_checkin *k)
{
    struct life *l = &w->life;
    if (k->epoch > l->epoch) {
        l->seq = 0;
    }
    if (k->root_version == ROOTS_LAST && k->last_counter < l->counter && !l->counter_began_anew) {
        l->counter_began_anew = 1;
        l->counter = 0;
    }
    if (k->seq < l->seq || k->last_counter < l->counter || k->epoch < l->epoch) {
        judge_fail(w, "the floor went down: seq %llu after %llu, counter %llu after %llu",
                   (unsigned long long)k->seq, (unsigned long long)l->seq,
                   (unsigned long long)k->last_counter, (unsigned long long)l->counter);
    }
    if (k->last_counter > w->server.counter) {
        judge_fail(w, "has taken a status that was not for it");
    }
    if (k->root_version < l->root_version && !is_faulty(w)) {
        judge_fail(w, "trusts root %u after %u", k->root_version, l->root_version);
    }
    l->seq = k->seq;
    l->counter = k->last_counter;
    l->epoch = k->epoch;
    l->root_version = k->root_version;
}

void judge_checkin(struct world *w)
{
    struct life *l = &w->life;
    const struct sf_checkin *k = &w->server.last;
    if (l->runs == KIT_NO_IMAGE) {
        return; /* noted at its boot */
    }
    if (l->phase != PHASE_PRELUDE) {
        judge_state(w); /* as it was before this one */
    }
    l->asked[l->runs] = 1;
    world_tell(w, "  phase %s, counter %llu; outcome %llu/%u: %s %s", sf_phase_str(k->phase),
               (unsigned long long)k->last_counter, (unsigned long long)k->outcome.counter,
               k->outcome.attempt, sf_err_name(k->outcome.error), k->outcome.text);
    if (l->phase == PHASE_PRELUDE) {
        return;
    }
    judge_state(w);
    const int is_known = k->running_length != 0 || !is_faulty(w);
    if (is_known &&
        memcmp(k->running_digest, w->kit->release[l->runs].digest, SF_SHA256_SIZE) != 0) {
        judge_fail(w, "tells that another image runs than does");
    }
    if (l->runs == KIT_NEW && !l->confirmed[KIT_NEW] && k->phase != SF_PHASE_TRIAL) {
        judge_fail(w, "the unconfirmed image runs outside of a trial");
    }
    judge_floor(w, k);
    judge_installed(w, k);
    judge_other_slots(w, k);
    judge_outcome(w, &k->outcome);
}

/* ---- at rest ---- */

/* How the server must have heard that it ended; a device whose records are broken for good may not
 * be able to tell. */
static void judge_told(struct world *w, enum kit_image target)
{
    const struct sf_outcome *o = server_outcome(&w->server, w->server.counter);
    const int is_new = w->life.runs == target;
    if (w->kit->scenario->offline || chip_is_worn_out(&w->chip)) {
        return;
    }
    if (!o && is_new && is_faulty(w)) {
        return; /* the bootloader fell back to it: there was nothing to do */
    }
    if (!o) {
        judge_fail(w, "ended on the %s image and the server was never told how",
                   image_names[w->life.runs]);
    } else if (is_new != (o->error == SF_OK)) {
        judge_fail(w, "ended on the %s image and told the server: %s", image_names[w->life.runs],
                   sf_err_str(o->error));
    }
}

/* A power cut is a reason of its own, and so is what a fault or the network did. */
static void judge_reason(struct world *w)
{
    const struct sf_outcome *o = server_outcome(&w->server, w->server.counter);
    const int reason = w->kit->scenario->reason;
    if (!o || o->error == reason || w->cuts_done > 0 || is_faulty(w) || w->plan.net_count > 0) {
        return;
    }
    judge_fail(w, "told the server: %s; but it was: %s", sf_err_str(o->error), sf_err_str(reason));
}

static void judge_wear(struct world *w)
{
    const struct kit *k = w->kit;
    const uint32_t cuts = w->cuts_done + w->life.dead_boots;
    const uint32_t slots = sf_host_flash_wear(&w->chip.flash, KIT_SLOT_0, 2 * k->slot_size);
    const uint32_t otadata = sf_host_flash_wear(&w->chip.flash, KIT_OTADATA, KIT_OTADATA_SIZE);
    if (is_faulty(w) || w->plan.net_count > 0) {
        return;
    }
    if (slots > SLOT_WEAR + cuts) {
        judge_fail(w, "a sector of a slot was erased %u times", slots);
    }
    const struct sf_outcome *o = server_outcome(&w->server, w->server.counter);
    const uint32_t attempts = o && o->attempt > 0 ? o->attempt : 1;
    if (otadata > OTADATA_WEAR * attempts + WEAR_A_CUT * cuts) {
        judge_fail(w, "a sector of otadata was erased %u times", otadata);
    }
}

/* A write or an erase that fails once is made again. */
static int is_harmless(const struct fault *f)
{
    return f->kind == FAULT_NONE ||
           (!f->forever && (f->kind == FAULT_WRITE || f->kind == FAULT_ERASE));
}

/* Interruptions of the trial, and defects, may end an update that would have been good; going back
 * is tried but once. */
static int may_end_old(const struct world *w)
{
    const struct scenario *s = w->kit->scenario;
    return s->end == END_OLD || w->cuts_done > 2 || w->plan.net_count > 0 ||
           !is_harmless(&w->plan.fault) || (s->rolls_back && (w->cuts_done > 0 || is_faulty(w)));
}

static void judge_update(struct world *w)
{
    const int may_end_new = w->kit->scenario->end == END_NEW;
    if (w->life.runs == KIT_NEW && !may_end_new) {
        judge_fail(w, "ended on the bad image");
    } else if (w->life.runs == KIT_OLD && !may_end_old(w)) {
        judge_fail(w, "ended on the old image though the new one is good");
    } else if (w->life.runs == KIT_NEW && !w->life.confirmed[KIT_NEW]) {
        judge_fail(w, "ended on the new image without confirming it");
    }
    judge_told(w, KIT_NEW);
    judge_reason(w);
    judge_wear(w);
    w->life.settled = w->life.runs;
}

/* With a defect for good, of its record store say, a device may try for ever: what counts is that
 * it runs. */
void judge_restless(struct world *w)
{
    w->life.is_outside = judge_is_outside(w);
    judge_state(w);
    const int runs_on = chip_is_worn_out(&w->chip) && w->life.runs != KIT_NO_IMAGE &&
                        w->life.confirmed[w->life.runs];
    if (!w->life.is_outside && !runs_on) {
        judge_fail(w, "does not come to rest");
    }
    w->life.settled = w->life.runs;
}

void judge_settled(struct world *w)
{
    judge_state(w);
    judge_efuse(w);
    if (w->life.violation[0] != '\0') {
        return;
    }
    if (w->life.phase == PHASE_UPDATE) {
        judge_update(w);
    } else if (w->life.phase == PHASE_NEXT && !chip_is_worn_out(&w->chip)) {
        if (w->life.runs != KIT_NEXT) {
            const struct sf_outcome *o = server_outcome(&w->server, w->server.counter);
            judge_fail(w, "does not take the next good update: %s",
                       o ? sf_err_str(o->error) : "no outcome");
        } else {
            judge_told(w, KIT_NEXT);
        }
    }
}
