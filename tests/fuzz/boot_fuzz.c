/* otadata and the boot decision: 64 bytes of otadata, then 8 of options and slots. */
#include "formats/boot.h"

#include <assert.h>
#include <string.h>

#include "formats/err.h"

enum { INPUT_SIZE = 2 * SF_OTADATA_ENTRY_SIZE + 8 };

static void fill_slot(struct sf_boot_slot *slot, uint8_t bits)
{
    slot->present = bits & 1;
    slot->verifies = (bits & 2) != 0;
    slot->has_desc = (bits & 4) != 0;
    slot->secure_version = bits >> 4;
}

static const struct sf_boot_slot *slot_at(const struct sf_boot_input *in, int slot)
{
    if (slot == SF_BOOT_FACTORY) {
        return &in->factory;
    }
    return slot == SF_BOOT_TEST ? &in->test : &in->ota[slot];
}

static void check(const struct sf_boot_input *in, const struct sf_boot_decision *d)
{
    assert(d->slot >= SF_BOOT_NONE && d->slot < (int)SF_OTA_SLOT_MAX);
    assert(d->why != NULL && d->efuse_secure_version >= in->efuse_secure_version);
    assert(d->write_count <= SF_BOOT_WRITE_MAX);
    for (unsigned i = 0; i < d->write_count; i++) {
        assert(in->has_otadata && d->write[i].sector < 2);
    }
    if (d->slot != SF_BOOT_NONE) {
        const struct sf_boot_slot *slot = slot_at(in, d->slot);
        assert(slot->present && slot->verifies);
    }
}

/* After a planned switch to a slot that verifies, that slot boots. */
static void check_switch(struct sf_boot_input in, unsigned target)
{
    struct sf_otadata_entry entry[2];
    struct sf_otadata_switch plan;
    struct sf_boot_decision d;
    sf_otadata_decode(in.otadata[0], &entry[0]);
    sf_otadata_decode(in.otadata[1], &entry[1]);
    if (sf_otadata_plan_switch(entry, target, in.ota_count, SF_OTA_NEW, &plan) != SF_OK) {
        return;
    }
    assert((int)plan.sector != sf_otadata_active(entry));
    sf_otadata_encode(&plan.entry, in.otadata[plan.sector]);
    in.has_otadata = 1;
    in.anti_rollback = 0;
    in.ota[target].present = 1;
    in.ota[target].verifies = 1;
    sf_boot_decide(&in, &d);
    assert(d.slot == (int)target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < INPUT_SIZE) {
        return 0;
    }
    struct sf_boot_input in = {.ota_count = data[64] % (SF_OTA_SLOT_MAX + 1)};
    struct sf_boot_decision decision;
    memcpy(in.otadata, data, sizeof(in.otadata));
    in.has_otadata = data[65] & 1;
    in.rollback = (data[65] & 2) != 0;
    in.anti_rollback = (data[65] & 4) != 0;
    in.efuse_secure_version = data[65] >> 4;
    for (unsigned i = 0; i < in.ota_count; i++) {
        fill_slot(&in.ota[i], data[66 + i % 3]);
    }
    fill_slot(&in.factory, data[69]);
    fill_slot(&in.test, data[70]);
    sf_boot_decide(&in, &decision);
    check(&in, &decision);
    if (in.ota_count > 0) {
        check_switch(in, data[71] % in.ota_count);
    }
    return 0;
}
