/* otadata: the only file that writes it (formats/otadata.h has the bytes, docs/formats.md the why).
 *
 * 1. An entry counts as empty until its first half, which has the seq, is whole: the sector is
 *    erased, the second half (state, crc) programmed and read back, then the first.
 * 2. While an entry names the running slot it is not touched, except to mark it, and then only if
 *    the other entry or a factory image that verifies is a way back.
 * 3. An entry for a trial is written only after the trial record is stored. */
#include <string.h>

#include "device/steps.h"

enum { HALF = SF_OTADATA_ENTRY_SIZE / 2, NO_WAY = SF_BOOT_NONE, READ_TRIES = 3 };

int sf_commit_read(const struct sf_config *config, struct sf_otadata_entry entry[2])
{
    const struct sf_flash *f = config->flash;
    if (config->otadata_offset == 0) {
        return SF_ERR_NO_OTADATA;
    }
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t address = config->otadata_offset + i * SF_OTADATA_SECTOR_SIZE;
        uint8_t bytes[2][SF_OTADATA_ENTRY_SIZE];
        unsigned tries = 0;
        int err;
        do { /* what is decided by these bytes cannot be taken back: they are read twice */
            err = f->read(f->ctx, address, bytes[0], sizeof(bytes[0]));
            err |= f->read(f->ctx, address, bytes[1], sizeof(bytes[1]));
        } while ((err != SF_OK || memcmp(bytes[0], bytes[1], sizeof(bytes[0])) != 0) &&
                 ++tries < READ_TRIES);
        if (tries == READ_TRIES) {
            return SF_ERR_FLASH_READ;
        }
        sf_otadata_decode(bytes[0], &entry[i]);
    }
    return SF_OK;
}

static int program(const struct sf_config *config, uint32_t address, const uint8_t *data,
                   size_t len)
{
    const struct sf_flash *f = config->flash;
    uint8_t back[SF_OTADATA_ENTRY_SIZE];
    if (f->write(f->ctx, address, data, len) != SF_OK) {
        return SF_ERR_FLASH_WRITE;
    }
    if (f->read(f->ctx, address, back, len) != SF_OK) {
        return SF_ERR_FLASH_READ;
    }
    return memcmp(back, data, len) == 0 ? SF_OK : SF_ERR_READ_BACK;
}

static int erase_sector(const struct sf_config *config, unsigned sector)
{
    const struct sf_flash *f = config->flash;
    const uint32_t address = config->otadata_offset + sector * SF_OTADATA_SECTOR_SIZE;
    return f->erase(f->ctx, address, SF_OTADATA_SECTOR_SIZE) == SF_OK ? SF_OK : SF_ERR_FLASH_ERASE;
}

/* An erase that did nothing would have whoever plans by what is there plan it for ever. */
static int check_blank(const struct sf_config *config, unsigned sector)
{
    struct sf_otadata_entry entry[2];
    const int err = sf_commit_read(config, entry);
    if (err != SF_OK) {
        return err;
    }
    const struct sf_otadata_entry *e = &entry[sector];
    return e->ota_seq != SF_OTA_SEQ_EMPTY && e->crc == sf_otadata_crc(e->ota_seq) ? SF_ERR_READ_BACK
                                                                                  : SF_OK;
}

static int write_entry_once(const struct sf_config *config, unsigned sector,
                            const struct sf_otadata_entry *entry)
{
    const uint32_t address = config->otadata_offset + sector * SF_OTADATA_SECTOR_SIZE;
    uint8_t bytes[SF_OTADATA_ENTRY_SIZE];

    sf_otadata_encode(entry, bytes);
    int err = erase_sector(config, sector);
    if (err != SF_OK || entry->ota_seq == SF_OTA_SEQ_EMPTY) {
        return err == SF_OK ? check_blank(config, sector) : err;
    }
    if (config->flash->write_size > HALF) { /* the flash programs all 32 bytes as one */
        err = program(config, address, bytes, sizeof(bytes));
    } else {
        err = program(config, address + HALF, bytes + HALF, HALF);
        if (err == SF_OK) {
            err = program(config, address, bytes, HALF);
        }
    }
    if (err != SF_OK) {
        (void)erase_sector(config, sector); /* leave nothing that half looks like an entry */
    }
    return err;
}

/* Flash that fails once must not cost the entry that was there. */
static int write_entry(const struct sf_config *config, unsigned sector,
                       const struct sf_otadata_entry *entry)
{
    const int err = write_entry_once(config, sector, entry);
    return err == SF_OK ? SF_OK : write_entry_once(config, sector, entry);
}

/* 1 if a valid entry names the slot; SF_BOOT_FACTORY is named by none. */
static int names(const struct sf_config *config, const struct sf_otadata_entry *entry, int slot)
{
    return slot >= 0 && config->slot_count > 0 && sf_otadata_valid(entry) &&
           sf_otadata_slot(entry, config->slot_count) == (unsigned)slot;
}

/* 1 if the running slot is the one that otadata says to boot. */
int sf_commit_runs_boot_slot(const struct sf_config *config, const struct sf_otadata_entry entry[2])
{
    const int active = sf_otadata_active(entry);
    if (active >= 0) {
        return names(config, &entry[active], config->running_slot);
    }
    return config->running_slot == (config->factory.size != 0 ? SF_BOOT_FACTORY : 0);
}

/* ota_state of the entry that names the running slot, whatever the state: an aborted image can run
 * where there is nothing else. UNDEFINED if there is none. */
uint32_t sf_commit_running_state(const struct sf_config *config,
                                 const struct sf_otadata_entry entry[2])
{
    uint32_t state = SF_OTA_UNDEFINED;
    uint32_t best = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct sf_otadata_entry *e = &entry[i];
        if (config->running_slot >= 0 && e->ota_seq != SF_OTA_SEQ_EMPTY && e->ota_seq > best &&
            e->crc == sf_otadata_crc(e->ota_seq) &&
            sf_otadata_slot(e, config->slot_count) == (unsigned)config->running_slot) {
            best = e->ota_seq;
            state = e->ota_state;
        }
    }
    return state;
}

/* The slot for the next update: the next one behind the running slot. A factory image that runs
 * although otadata names a slot does so because that one does not boot: nothing is lost there. */
int sf_commit_target(const struct sf_config *config)
{
    struct sf_otadata_entry entry[2];
    const unsigned count = config->slot_count;
    if (count == 0 || (count == 1 && config->running_slot == 0)) {
        return SF_ERR_NO_SLOT;
    }
    if (config->running_slot >= 0) {
        return (int)(((unsigned)config->running_slot + 1) % count);
    }
    const int err = sf_commit_read(config, entry);
    const int active = err == SF_OK ? sf_otadata_active(entry) : -1;
    return active < 0 ? 0 : (int)sf_otadata_slot(&entry[active], count);
}

struct plan {
    struct sf_otadata_switch change;
    int is_repair; /* puts otadata in order first; plan again after it */
};

static int plan_repair(struct plan *out, int sector, const struct sf_otadata_entry *entry)
{
    out->is_repair = 1;
    out->change = (struct sf_otadata_switch){.sector = (unsigned)sector, .entry = *entry};
    return SF_OK;
}

/* ota_seq is at its end: the running slot gets a first one beside the entry that has the last, and
 * then that one goes. */
static int plan_first_seq(const struct sf_config *config, const struct sf_otadata_entry entry[2],
                          int last, struct plan *out)
{
    const int is_there = names(config, &entry[1 - last], config->running_slot);
    const struct sf_otadata_entry first =
        is_there ? sf_otadata_make(SF_OTA_SEQ_EMPTY, SF_OTA_UNDEFINED)
                 : sf_otadata_make((uint32_t)config->running_slot + 1, SF_OTA_UNDEFINED);
    return plan_repair(out, is_there ? last : 1 - last, &first);
}

/* The valid entry that names the running slot, of two the active one; -1 if there is none. */
static int entry_of_running(const struct sf_config *config, const struct sf_otadata_entry entry[2])
{
    const int active = sf_otadata_active(entry);
    int found = -1;
    for (int i = 0; i < 2; i++) {
        if (names(config, &entry[i], config->running_slot) && (found < 0 || i == active)) {
            found = i;
        }
    }
    return found;
}

/* What to write so that `target` boots next and the running slot stays the way back. Entry `keep`,
 * which names the running slot, stays; the other one is worth nothing beside it, even if it is the
 * active one (the bootloader fell back from it), so it counts as blank. */
static int plan_switch(const struct sf_config *config, unsigned target, struct plan *out)
{
    const struct sf_otadata_entry blank = sf_otadata_make(SF_OTA_SEQ_EMPTY, SF_OTA_UNDEFINED);
    struct sf_otadata_entry entry[2];
    int err = sf_commit_read(config, entry);
    if (err != SF_OK) {
        return err;
    }
    const int keep = entry_of_running(config, entry);
    out->is_repair = 0;
    if (keep < 0 && config->running_slot >= 0) {
        out->is_repair = 1;
        return sf_otadata_plan_switch(entry, (unsigned)config->running_slot, config->slot_count,
                                      SF_OTA_UNDEFINED, &out->change);
    }
    const struct sf_otadata_entry found[2] = {entry[0], entry[1]};
    if (keep >= 0) {
        entry[1 - keep] = blank;
    }
    err = sf_otadata_plan_switch(entry, target, config->slot_count, SF_OTA_NEW, &out->change);
    if (err == SF_ERR_RANGE && keep >= 0) {
        return plan_first_seq(config, found, keep, out);
    }
    if (err == SF_OK && found[out->change.sector].ota_seq == out->change.entry.ota_seq) {
        /* of an attempt before: the trial record is to be told by its own entry */
        return plan_repair(out, (int)out->change.sector, &blank);
    }
    return err;
}

static int arm_trial(struct sf_core *c, uint32_t ota_seq)
{
    struct sf_record_trial *t = &c->trial;
    *t = (struct sf_record_trial){
        .open = 1,
        .kind = c->deploy.kind,
        .slot = c->deploy.slot,
        .ota_seq = ota_seq,
        .counter = c->deploy.counter,
        .attempt = sf_outcome_attempt(c, c->deploy.counter),
        .length = c->deploy.image_size,
        .fingerprint = c->deploy.fingerprint,
    };
    sf_digest_copy(t->digest, c->deploy.target.image_digest);
    return sf_memory_save(c, SF_RECORD_TRIAL);
}

int sf_commit_floor(struct sf_core *c, const struct sf_target *target)
{
    const struct sf_record_floor before = c->floor;
    c->floor.seq = target->seq;
    c->floor.epoch = target->epoch;
    sf_digest_copy(c->floor.manifest_digest, target->manifest_digest);
    int err = sf_memory_save(c, SF_RECORD_FLOOR);
    if (err == SF_OK) {
        err = sf_record_save(c->config->store, SF_RECORD_FLOOR_COPY, &c->floor);
    } else {
        c->floor = before;
    }
    return err;
}

/* The last look: is the answer fresh, does the application agree, is the image still the one that
 * was hashed? */
static enum sf_event check_again(struct sf_core *c)
{
    const struct sf_platform *p = c->config->platform;
    uint32_t fingerprint = 0;
    if (c->now_ms - c->answered_ms > SF_COMMIT_FRESH_MS) {
        return SF_EVENT_ASK;
    }
    if (p->may_update_now != NULL && p->may_update_now(p->ctx) != SF_OK) {
        c->last_error = SF_ERR_NOT_NOW;
        return SF_EVENT_ASK;
    }
    int err = sf_install_fingerprint(c, c->deploy.slot, c->deploy.image_size, &fingerprint);
    if (err == SF_OK && fingerprint != c->deploy.fingerprint) {
        err = SF_ERR_CHANGED;
        c->held.complete = 0;
        c->held.bytes = 0;
    }
    return sf_core_note(c, err) == SF_OK ? SF_EVENT_NONE : SF_EVENT_FAILED;
}

static int write_plan(struct sf_core *c)
{
    struct plan plan;
    int err = plan_switch(c->config, c->deploy.slot, &plan);
    if (err == SF_OK && !plan.is_repair) {
        err = arm_trial(c, plan.change.entry.ota_seq);
    }
    if (err == SF_OK) {
        err = write_entry(c->config, plan.change.sector, &plan.change.entry);
    }
    if (err != SF_OK) {
        /* In flash the trial record stays armed: should the entry be there after all, the next boot
         * is a trial; if not, it is forgotten then. */
        c->trial.open = 0;
        return err;
    }
    c->step = plan.is_repair ? c->step : (uint8_t)(c->step + 1);
    return SF_OK;
}

enum sf_event sf_commit_step(struct sf_core *c)
{
    enum { CHECK, FLOOR, ENTRY, DONE };
    int err = SF_OK;

    switch (c->step) {
    case CHECK: {
        const enum sf_event event = check_again(c);
        c->step = FLOOR;
        if (event != SF_EVENT_NONE) {
            return event;
        }
        err = sf_commit_hold(c->config, c->deploy.slot); /* the slot may have been held already */
        break;
    }
    case FLOOR:
        if (c->deploy.kind == SF_TRIAL_INSTALL) { /* going back leaves the floor where it is */
            err = sf_commit_floor(c, &c->deploy.target);
        }
        c->step = ENTRY;
        break;
    default:
        err = write_plan(c);
        break;
    }
    if (sf_core_note(c, err) != SF_OK) {
        return SF_EVENT_FAILED;
    }
    return c->step == DONE ? SF_EVENT_OK : SF_EVENT_NONE;
}

static int bootable(const struct sf_config *config, int slot)
{
    const struct sf_platform *p = config->platform;
    return sf_install_map(config, slot) != NULL &&
           (p->slot_bootable == NULL || p->slot_bootable(p->ctx, slot) == SF_OK ||
            p->slot_bootable(p->ctx, slot) == SF_OK); /* one wrong read is not to strand it here */
}

/* Where the device would be without the live entry: the other entry's slot, the factory, NO_WAY. */
static int way_back(const struct sf_config *config, const struct sf_otadata_entry entry[2],
                    int live)
{
    const struct sf_otadata_entry *other = &entry[1 - live];
    if (sf_otadata_valid(other) && !names(config, other, config->running_slot)) {
        const int slot = (int)sf_otadata_slot(other, config->slot_count);
        if (bootable(config, slot)) {
            return slot;
        }
    }
    return config->running_slot != SF_BOOT_FACTORY && bootable(config, SF_BOOT_FACTORY)
               ? SF_BOOT_FACTORY
               : NO_WAY;
}

/* If the bootloader fell back from `failed` to something else than what the other entry leads to,
 * though that boots: the sector of the entry that is in its way. Else an error. */
int sf_commit_fell_aside(const struct sf_config *config, unsigned failed)
{
    struct sf_otadata_entry entry[2];
    const int active = sf_commit_read(config, entry) == SF_OK ? sf_otadata_active(entry) : -1;
    if (active < 0 || !names(config, &entry[active], (int)failed)) {
        return SF_ERR_STATE;
    }
    const int way = way_back(config, entry, active);
    return way >= 0 && way != (int)failed ? active : SF_ERR_STATE;
}

int sf_commit_clear(const struct sf_config *config, unsigned sector)
{
    const struct sf_otadata_entry blank = sf_otadata_make(SF_OTA_SEQ_EMPTY, SF_OTA_UNDEFINED);
    return write_entry(config, sector, &blank);
}

/* The live entry, which must name the running slot: its sector, or SF_ERR_STATE. */
static int read_live(const struct sf_config *config, struct sf_otadata_entry entry[2])
{
    const int err = sf_commit_read(config, entry);
    if (err != SF_OK) {
        return err;
    }
    const int live = sf_otadata_active(entry);
    return live >= 0 && names(config, &entry[live], config->running_slot) ? live : SF_ERR_STATE;
}

/* Marks the running slot VALID. As ESP-IDF does, in the live sector, if there is a way back should
 * power fail in between; else, or where that sector takes it no more, beside it with a higher seq.
 */
int sf_commit_mark_valid(const struct sf_config *config)
{
    struct sf_otadata_entry entry[2];
    const int live = read_live(config, entry);
    if (live < 0) {
        return live;
    }
    if (entry[live].ota_state == SF_OTA_VALID) {
        return SF_OK;
    }
    const uint32_t seq = entry[live].ota_seq;
    const int is_last = seq >= SF_OTA_SEQ_EMPTY - config->slot_count;
    if (way_back(config, entry, live) != NO_WAY || is_last) {
        const struct sf_otadata_entry valid = sf_otadata_make(seq, SF_OTA_VALID);
        const int err = write_entry(config, (unsigned)live, &valid);
        if (err == SF_OK || is_last) {
            return err;
        }
    }
    const struct sf_otadata_entry twin = sf_otadata_make(seq + config->slot_count, SF_OTA_VALID);
    return write_entry(config, (unsigned)(1 - live), &twin);
}

/* SF_BACK_INVALIDATE is what ESP-IDF's esp_ota_mark_app_invalid_rollback does. SF_BACK_SWITCH does
 * not rely on the bootloader heeding the state: it takes the live entry away. Neither touches the
 * other entry, which leads back, so a cut loses nothing. On the way to the factory image it goes
 * first, because the bootloader would look for an image from where it points. An entry whose sector
 * cannot be erased any more is overwritten with zeros, which any flash takes. */
int sf_commit_go_back(const struct sf_config *config, enum sf_back how)
{
    struct sf_otadata_entry entry[2];
    const int live = read_live(config, entry);
    if (live < 0) {
        return live == SF_ERR_STATE ? SF_ERR_ROLLBACK_FAILED : live;
    }
    const int way = way_back(config, entry, live);
    if (way == NO_WAY) {
        return SF_ERR_ROLLBACK_FAILED;
    }
    if (way == SF_BOOT_FACTORY && sf_otadata_valid(&entry[1 - live])) {
        const int err = erase_sector(config, (unsigned)(1 - live));
        if (err != SF_OK) {
            return err;
        }
    }
    const struct sf_otadata_entry gone = how == SF_BACK_INVALIDATE
                                             ? sf_otadata_make(entry[live].ota_seq, SF_OTA_INVALID)
                                             : sf_otadata_make(SF_OTA_SEQ_EMPTY, SF_OTA_UNDEFINED);
    const int err = write_entry(config, (unsigned)live, &gone);
    if (err != SF_OK) {
        static const uint8_t zeros[SF_OTADATA_ENTRY_SIZE];
        const uint32_t address = config->otadata_offset + (uint32_t)live * SF_OTADATA_SECTOR_SIZE;
        (void)program(config, address, zeros, sizeof(zeros));
        if (sf_commit_read(config, entry) == SF_OK && !sf_commit_runs_boot_slot(config, entry)) {
            return SF_OK;
        }
    }
    return err;
}

/* What runs failed its trial and there is nothing else to boot: an entry beside it, which says no
 * more than that it runs, makes it boot again where the one on trial would be aborted. */
static int plan_stay(const struct sf_config *config, const struct sf_otadata_entry entry[2],
                     int live, struct plan *out)
{
    const uint32_t seq = entry[live].ota_seq;
    const int is_last = seq >= SF_OTA_SEQ_EMPTY - config->slot_count;
    const struct sf_otadata_entry stay =
        sf_otadata_make(is_last ? seq : seq + config->slot_count, SF_OTA_UNDEFINED);
    return plan_repair(out, is_last ? live : 1 - live, &stay);
}

/* One change that makes otadata name what runs rather than `target`, or nothing where it does so.
 * What it names instead does not boot, so its entry is worth nothing. */
static int plan_hold(const struct sf_config *config, unsigned target, struct plan *out)
{
    const struct sf_otadata_entry blank = sf_otadata_make(SF_OTA_SEQ_EMPTY, SF_OTA_UNDEFINED);
    struct sf_otadata_entry entry[2];
    int err = sf_commit_read(config, entry);
    out->is_repair = 0;
    if (err != SF_OK) {
        return err;
    }
    const int active = sf_otadata_active(entry);
    if (sf_commit_runs_boot_slot(config, entry)) {
        return active >= 0 && entry[active].ota_state == SF_OTA_PENDING_VERIFY
                   ? plan_stay(config, entry, active, out)
                   : SF_OK;
    }
    if (config->running_slot == SF_BOOT_FACTORY) {
        const int other_boots =
            active < 0 ||
            (!names(config, &entry[active], (int)target) &&
             bootable(config, (int)sf_otadata_slot(&entry[active], config->slot_count)));
        return other_boots ? SF_OK : plan_repair(out, active, &blank);
    }
    if (entry_of_running(config, entry) < 0) {
        err = sf_otadata_plan_switch(entry, (unsigned)config->running_slot, config->slot_count,
                                     SF_OTA_UNDEFINED, &out->change);
        out->is_repair = err == SF_OK;
        if (err != SF_ERR_RANGE) {
            return err;
        }
    }
    return plan_repair(out, active, &blank);
}

/* Else a reset between the last sector and the commit would boot an image that nobody committed, by
 * an entry that says VALID. Ends, because every change is read back. */
int sf_commit_hold(const struct sf_config *config, unsigned target)
{
    struct plan plan;
    int err = SF_OK;
    do {
        err = plan_hold(config, target, &plan);
        if (err == SF_OK && plan.is_repair) {
            err = write_entry(config, plan.change.sector, &plan.change.entry);
        }
    } while (err == SF_OK && plan.is_repair);
    return err;
}
