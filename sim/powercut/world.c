#include "sim/powercut/world.h"

#include <stdarg.h>
#include <string.h>

#include "sim/powercut/judge.h"

/* Plays a device's life. Only in the update are steps counted, observed and cut. */

enum {
    BOOTS_MAX = 160, /* of a life; no schedule needs a third of that */
    TURNS_MAX = 200000,
    PHASE_MAX_DAYS = 4, /* the longest backoff is a few hours */
    REQUEST_MS = 20,
    READ_RETRIES = 6, /* of a bootloader that could not read: it resets, and reads again */
};

#define DAY_MS (UINT64_C(24) * 60 * 60 * 1000)

int world_is_burn(const struct sf_flash_op *op)
{
    return op->len == 0;
}

void world_tell(const struct world *w, const char *fmt, ...)
{
    va_list args;
    if (!w->trace) {
        return;
    }
    fprintf(w->trace, "%9llu.%03u s  ", (unsigned long long)(w->now_ms / 1000),
            (unsigned)(w->now_ms % 1000));
    va_start(args, fmt);
    vfprintf(w->trace, fmt, args);
    va_end(args);
    fputc('\n', w->trace);
}

/* ---- steps ---- */

static int on_step(void *ctx, const struct sf_flash_op *op)
{
    struct world *w = ctx;
    if (w->life.phase != PHASE_UPDATE) {
        return 0;
    }
    if (w->observer) {
        w->observer(w->observer_ctx, w, op);
    }
    w->life.steps++;
    const uint32_t step = w->step++;
    if (w->cuts_done == w->plan.cut_count || w->plan.cut[w->cuts_done].step != step) {
        return 0;
    }
    const struct cut *cut = &w->plan.cut[w->cuts_done++];
    w->life.boot_torn |= w->esp.power != VESP32_RUNNING;
    world_tell(w, "power is lost at step %u: %s of %zu bytes at 0x%06x", step,
               op->kind == SF_FLASH_OP_ERASE ? "erase" : "program", op->len, op->address);
    if (!world_is_burn(op)) {
        chip_tear(&w->chip, op, cut);
    }
    return 1;
}

static int on_burn(void *ctx, uint32_t from, uint32_t *to)
{
    struct world *w = ctx;
    const struct sf_flash_op op = {.kind = SF_FLASH_OP_WRITE};
    const unsigned cuts = w->cuts_done;
    if (!on_step(w, &op)) {
        return SF_OK;
    }
    *to = w->plan.cut[cuts].how == CUT_AFTER ? *to : from;
    w->chip.flash.has_power = 0;
    return SF_ERR_IO;
}

/* ---- the network ---- */

static int take(struct world *w, const uint8_t *data, size_t len)
{
    while (len > 0) {
        const int32_t n = vesp32_response_body(&w->esp, data, len, w->now_ms);
        if (n < 0) {
            return (int)n;
        }
        data += n;
        len -= (size_t)n;
    }
    return SF_OK;
}

static int send_body(struct world *w, const struct reply *r)
{
    size_t at = 0;
    int err = SF_OK;
    if (r->corrupt_at < r->body_len) {
        const uint8_t wrong = r->body[r->corrupt_at] ^ 0x20;
        err = take(w, r->body, r->corrupt_at);
        if (err == SF_OK) {
            err = take(w, &wrong, 1);
        }
        at = r->corrupt_at + 1;
    } else if (r->repeat_at > 0) {
        err = take(w, r->body, r->repeat_at);
    }
    return err == SF_OK ? take(w, r->body + at, r->body_len - at) : err;
}

static void serve(struct world *w, const struct vesp32_want *want)
{
    struct reply *r = &w->reply;
    w->now_ms += REQUEST_MS;
    int err = server_answer(&w->server, want->request, r);
    if (err < 0) {
        judge_fail(w, "sent a request that cannot be understood: %s", sf_err_str(err));
        return;
    }
    if (r->is_checkin) {
        judge_checkin(w);
    } else if (w->kit->scenario->offline && w->life.runs != KIT_NO_IMAGE) {
        w->life.asked[w->life.runs] = 1;
    }
    err = r->refused;
    world_tell(w, "%s: %d, %zu bytes%s", want->request->path, r->head.status, r->body_len,
               err < 0 ? ", no connection" : "");
    if (err == SF_OK) {
        err = vesp32_response_head(&w->esp, &r->head, w->now_ms);
    }
    if (err == SF_OK && r->body_len > 0) {
        err = send_body(w, r);
    }
    w->has_stalled = err == SF_OK && r->stalls;
    w->stalled_serial = want->serial;
    if (w->chip.flash.has_power && !w->has_stalled) {
        vesp32_response_end(&w->esp, err < 0 ? err : r->end, w->now_ms);
    }
}

/* ---- a phase ---- */

static void power_on(struct world *w)
{
    world_crypto_reset(w);
    chip_power_on(&w->chip);
    w->step = 0;
    w->has_stalled = 0;
    vesp32_power_on(&w->esp, w->now_ms);
}

/* Nothing but its routine goes on. (After a fallback the bootloader still prefers another slot: the
 * next boot heals that.) */
static int at_rest(const struct world *w)
{
    if (w->esp.power != VESP32_RUNNING) {
        return 0;
    }
    const struct sf_engine_view v = sf_engine_view(&w->esp.engine);
    const int idle = v.phase == SF_PHASE_IDLE || v.phase == SF_PHASE_CONFIRMED;
    if (!idle || v.trial_open || v.update_due || v.checkins_answered == 0) {
        return 0;
    }
    return w->kit->scenario->offline ||
           (v.outcome.counter == 0 && v.status_counter == w->server.counter);
}

static void tell_boot(const struct world *w)
{
    struct sf_otadata_entry e[2];
    vesp32_otadata(&w->esp, e);
    world_tell(w, "boots %s (%s) after %s; otadata %x %s, %x %s",
               sf_boot_slot_str(w->esp.config.running_slot), w->esp.version,
               sf_reset_reason_str(w->esp.reset_reason), e[0].ota_seq,
               sf_ota_state_str(e[0].ota_state), e[1].ota_seq, sf_ota_state_str(e[1].ota_state));
}

static void note_boot(struct world *w)
{
    if (w->esp.boots != w->esp_boots) {
        w->esp_boots = w->esp.boots;
        if (w->esp.power != VESP32_BOOT_FAILS && w->esp.power != VESP32_OFF) {
            judge_boot(w);
            tell_boot(w);
        }
    }
}

/* The bootloader found nothing to boot. */
static void no_boot(struct world *w)
{
    if (w->plan.fault.kind != FAULT_NONE && w->life.dead_boots++ < READ_RETRIES) {
        power_on(w);
        return;
    }
    judge_fail(w, "does not boot: %s", sf_err_str(w->esp.boot_error));
}

/* One turn; 0 once the phase is over. */
static int turn(struct world *w)
{
    const struct vesp32_want want = vesp32_run(&w->esp, w->now_ms);
    note_boot(w);
    if (w->life.violation[0] != '\0' || w->life.is_outside) {
        return 0;
    }
    if (w->esp.power == VESP32_OFF) {
        power_on(w);
    } else if (w->esp.power == VESP32_BOOT_FAILS) {
        no_boot(w);
    } else if (at_rest(w)) {
        return 0;
    } else if (want.kind == VESP32_REQUEST &&
               !(w->has_stalled && w->stalled_serial == want.serial)) {
        serve(w, &want);
    } else if (want.until_ms == UINT64_MAX) {
        judge_fail(w, "stands still");
    } else {
        w->now_ms = want.until_ms > w->now_ms ? want.until_ms : w->now_ms;
    }
    return 1;
}

static void run_phase(struct world *w, enum world_phase phase)
{
    w->life.phase = phase;
    w->life.phase_start_ms = w->now_ms;
    if (phase != PHASE_UPDATE && !chip_is_worn_out(&w->chip)) {
        w->chip.fault.kind = FAULT_NONE;
    }
    if (w->chip.flash.has_power) {
        vesp32_power_off(&w->esp);
    }
    power_on(w);
    for (unsigned turns = 0; turn(w); turns++) {
        if (turns > TURNS_MAX || w->life.boots > BOOTS_MAX ||
            w->now_ms - w->life.phase_start_ms > PHASE_MAX_DAYS * DAY_MS) {
            judge_restless(w);
            return;
        }
    }
    if (w->life.violation[0] == '\0' && !w->life.is_outside) {
        world_tell(w, "at rest");
        judge_settled(w);
    }
}

static void finish(struct world *w)
{
    if (w->life.violation[0] == '\0' && !w->life.is_outside) {
        run_phase(w, PHASE_CYCLE);
    }
    if (w->life.violation[0] == '\0' && !w->life.is_outside) {
        server_want(&w->server, KIT_NEXT, SF_STATUS_INSTALL);
        run_phase(w, PHASE_NEXT);
    }
}

void world_play(struct world *w, const struct schedule *plan)
{
    w->plan = *plan;
    w->server.signing = plan->signing;
    w->server.fault_count = plan->net_count;
    memcpy(w->server.fault, plan->net, sizeof(plan->net));
    w->server.messages = 0;
    w->chip.fault = plan->fault;
    run_phase(w, PHASE_UPDATE);
    finish(w);
}

void world_resume(struct world *w, enum kit_signing signing)
{
    w->server.signing = signing;
    run_phase(w, PHASE_UPDATE);
    finish(w);
}

/* ---- the beginning ---- */

static void make_device(struct world *w, uint32_t efuse)
{
    static const uint8_t flash_key[SF_HOST_CRYPT_KEY_SIZE] = "no secret at all";
    const struct scenario *s = w->kit->scenario;
    struct vesp32_options o = {
        .crypto = &w->crypto,
        .work = &w->work,
        .rollback = !s->no_rollback,
        .anti_rollback = s->anti_rollback,
        .efuse_secure_version = efuse,
        .flash_key = s->encrypted > 0 ? flash_key : NULL,
        .flash_write_size = s->encrypted,
        .burn = on_burn,
        .burn_ctx = w,
    };
    o.firmware.device_id = KIT_DEVICE_ID;
    o.firmware.enrol_token = "a-token";
    o.firmware.hw_revision = "1";
    o.firmware.chip_id = SF_CHIP_ESP32C3;
    o.firmware.chip_revision = 3;
    memcpy(o.firmware.release_key, w->kit->release_key.public_key.xy, SF_P256_KEY_SIZE);
    memcpy(o.firmware.status_key, w->kit->status_key.public_key.xy, SF_P256_KEY_SIZE);
    if (s->walks) {
        o.firmware.root = &w->kit->trust;
    }
    if (s->offline) {
        o.firmware.source = &sf_static_tree;
        o.firmware.policy = SF_POLICY_ALLOW_OFFLINE;
    }
    vesp32_init(&w->esp, &w->chip.flash, &o);
    w->esp_boots = 0;
}

/* What the scenario starts from. */
static int prelude(struct world *w)
{
    if (w->kit->scenario->starts_updated) {
        server_want(&w->server, KIT_OLD, SF_STATUS_INSTALL);
        run_phase(w, PHASE_PRELUDE);
        if (w->life.violation[0] != '\0' || w->life.runs != KIT_OLD) {
            return SF_ERR_INTERNAL;
        }
        vesp32_power_off(&w->esp);
    }
    w->server.root_version = w->kit->scenario->walks ? ROOTS_LAST : 0;
    w->life.confirmed[KIT_OLD] = 1;
    w->life.confirmed[kit_first(w->kit)] = 1;
    w->life.confirmed[KIT_NEW] = w->kit->scenario->rolls_back;
    w->life.boots = 0;
    memset(w->chip.flash.wear, 0, w->chip.flash.size_bytes / SF_SECTOR_SIZE * sizeof(uint32_t));
    w->chip.flash.op_count = 0;
    w->chip.flash.bytes_written = 0;
    server_want(&w->server, KIT_NEW,
                w->kit->scenario->rolls_back ? SF_STATUS_ROLL_BACK : SF_STATUS_INSTALL);
    return SF_OK;
}

int world_open(struct world *w, struct kit *kit)
{
    memset(w, 0, sizeof(*w));
    w->kit = kit;
    w->random = UINT64_C(88172645463325252);
    w->now_ms = 1000;
    int err = world_crypto_open(w);
    if (err == SF_OK) {
        err = chip_open(&w->chip, kit->flash_size);
    }
    if (err != SF_OK) {
        return err;
    }
    w->chip.step = on_step;
    w->chip.step_ctx = w;
    kit_flash(kit, &w->chip);
    server_init(&w->server, kit);
    make_device(w, 0);
    err = kit->scenario->encrypted > 0 ? vesp32_encrypt_flash(&w->esp) : SF_OK;
    return err == SF_OK ? prelude(w) : err;
}

void world_close(struct world *w)
{
    chip_release(&w->chip);
    world_crypto_close(w);
}

void world_copy(struct world *to, const struct world *from)
{
    chip_copy(&to->chip, &from->chip);
    to->server = from->server;
    to->plan = from->plan;
    to->cuts_done = from->cuts_done;
    to->now_ms = from->now_ms;
    to->random = from->random;
    to->life = from->life;
    to->chip.flash.has_power = 0;
    make_device(to, from->esp.efuse_secure_version);
}

void world_branch(struct world *to, const struct world *from, const struct sf_flash_op *op,
                  const struct cut *cut)
{
    world_copy(to, from);
    to->plan.cut[to->plan.cut_count++] = *cut;
    to->cuts_done = to->plan.cut_count;
    to->life.steps++;
    to->life.boot_torn |= from->esp.power != VESP32_RUNNING;
    if (!world_is_burn(op)) {
        chip_tear(&to->chip, op, cut);
    } else if (cut->how == CUT_AFTER) {
        to->esp.efuse_secure_version = 1; /* the one that a scenario's images have */
    }
}
