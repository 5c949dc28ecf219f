/* The boot decision. It follows the bootloader's own two steps: select() reads otadata, rewrites it
 * and names the slot to try first; load() takes the first image that verifies from there.
 *
 * 1. Writes come in the order the bootloader makes them; a sector may appear twice.
 * 2. Nothing here looks at a slot's verdict before load(): PENDING is written, and the eFuse burnt,
 *    before the image is verified. */
#include "formats/boot.h"

#include <assert.h>
#include <string.h>

struct boot {
    const struct sf_boot_input *in;
    struct sf_boot_decision *out;
    struct sf_otadata_entry entry[2];
    int initial; /* otadata says nothing: the slot that loads is written down as VALID */
};

static void rewrite(struct boot *b, unsigned sector, const struct sf_otadata_entry *entry)
{
    assert(b->out->write_count < SF_BOOT_WRITE_MAX);
    struct sf_boot_write *w = &b->out->write[b->out->write_count++];
    w->sector = sector;
    sf_otadata_encode(entry, w->entry);
}

/* Not ota_select_valid's opposite: a bad crc is not looked at here. */
static int ruled_out(const struct sf_otadata_entry *e)
{
    return e->ota_seq == SF_OTA_SEQ_EMPTY || e->ota_state == SF_OTA_INVALID ||
           e->ota_state == SF_OTA_ABORTED;
}

static int says_nothing(const struct sf_otadata_entry *e)
{
    return e->ota_seq == SF_OTA_SEQ_EMPTY || e->crc != sf_otadata_crc(e->ota_seq);
}

static int secure_enough(const struct boot *b, const struct sf_boot_slot *slot)
{
    return !b->in->anti_rollback ||
           (slot->has_desc && slot->secure_version >= b->out->efuse_secure_version);
}

static void burn(struct boot *b, const struct sf_boot_slot *slot)
{
    if (b->in->anti_rollback && slot->present && slot->has_desc &&
        slot->secure_version > b->out->efuse_secure_version) {
        b->out->efuse_secure_version = slot->secure_version;
    }
}

static void abort_pending(struct boot *b)
{
    for (unsigned i = 0; i < 2; i++) {
        if (b->entry[i].ota_state == SF_OTA_PENDING_VERIFY) {
            b->entry[i].ota_state = SF_OTA_ABORTED;
            rewrite(b, i, &b->entry[i]);
        }
    }
}

/* The entry to go by: with anti-rollback only one whose image meets the eFuse. */
static int active_entry(const struct boot *b)
{
    struct sf_otadata_entry candidate[2] = {b->entry[0], b->entry[1]};
    for (unsigned i = 0; i < 2 && b->in->anti_rollback; i++) {
        const unsigned slot = sf_otadata_slot(&candidate[i], b->in->ota_count);
        if (!secure_enough(b, &b->in->ota[slot])) {
            candidate[i].ota_seq = SF_OTA_SEQ_EMPTY;
        }
    }
    return sf_otadata_active(candidate);
}

static int follow_entry(struct boot *b, unsigned active)
{
    struct sf_otadata_entry *e = &b->entry[active];
    const unsigned slot = sf_otadata_slot(e, b->in->ota_count);
    const int rollback = b->in->rollback || b->in->anti_rollback;
    b->out->why = "the active otadata entry names it";
    if (e->ota_state == SF_OTA_VALID) {
        burn(b, &b->in->ota[slot]);
    }
    if (rollback && e->ota_state == SF_OTA_NEW) {
        e->ota_state = SF_OTA_PENDING_VERIFY;
        rewrite(b, active, e);
        b->out->why = "the active otadata entry names it as new: its trial begins";
    }
    return (int)slot;
}

static int select_slot(struct boot *b)
{
    const struct sf_boot_input *in = b->in;
    if (!in->has_otadata) {
        b->out->why = "there is no otadata partition";
        return SF_BOOT_FACTORY;
    }
    if (in->rollback || in->anti_rollback) {
        abort_pending(b);
    }
    const int nothing = says_nothing(&b->entry[0]) && says_nothing(&b->entry[1]);
    if (in->anti_rollback && (nothing || in->ota_count == 0)) {
        b->initial = nothing;
        b->out->why = "otadata is empty";
        return SF_BOOT_FACTORY;
    }
    if (!in->anti_rollback &&
        ((ruled_out(&b->entry[0]) && ruled_out(&b->entry[1])) || in->ota_count == 0)) {
        b->out->why = nothing ? "otadata is empty" : "otadata rules out every slot it names";
        if (in->factory.present) {
            return SF_BOOT_FACTORY;
        }
        b->initial = nothing;
        return 0;
    }
    const int active = active_entry(b);
    if (active < 0) {
        b->out->why = "no otadata entry is valid";
        return SF_BOOT_FACTORY;
    }
    return follow_entry(b, (unsigned)active);
}

static int loads(const struct boot *b, const struct sf_boot_slot *slot)
{
    return slot->present && secure_enough(b, slot) && slot->verifies;
}

static const struct sf_boot_slot *slot_at(const struct boot *b, int index)
{
    return index == SF_BOOT_FACTORY ? &b->in->factory : &b->in->ota[index];
}

static int first_that_loads(const struct boot *b, int start)
{
    for (int i = start; i >= SF_BOOT_FACTORY; i--) {
        if (loads(b, slot_at(b, i))) {
            return i;
        }
    }
    for (int i = start + 1; i < (int)b->in->ota_count; i++) {
        if (loads(b, slot_at(b, i))) {
            return i;
        }
    }
    return loads(b, &b->in->test) ? SF_BOOT_TEST : SF_BOOT_NONE;
}

static void load(struct boot *b, int start)
{
    const int slot = first_that_loads(b, start);
    b->out->slot = slot;
    if (slot == SF_BOOT_NONE) {
        b->out->why = "no image verifies";
    } else if (slot != start && (start >= 0 || b->in->factory.present)) {
        b->out->why = "fallback: the image to start with does not verify";
    }
    if (slot >= 0 && b->initial) {
        const struct sf_otadata_entry e = sf_otadata_make((uint32_t)slot + 1, SF_OTA_VALID);
        rewrite(b, 0, &e);
        burn(b, &b->in->ota[slot]);
    }
}

void sf_boot_decide(const struct sf_boot_input *in, struct sf_boot_decision *out)
{
    assert(in->ota_count <= SF_OTA_SLOT_MAX);
    memset(out, 0, sizeof(*out));
    out->efuse_secure_version = in->efuse_secure_version;
    struct boot b = {.in = in, .out = out};
    for (unsigned i = 0; i < 2 && in->has_otadata; i++) {
        sf_otadata_decode(in->otadata[i], &b.entry[i]);
    }
    load(&b, select_slot(&b));
}
