/* Verdicts are costly (a whole slot is hashed), the decision is cheap: it is taken as if every
 * image verified, the slot it names is verified, and if that fails it is taken again without it.
 * sf_boot_decide() tries slots in a fixed order, so this ends where the bootloader ends. */
#include "formats/bootloader.h"

#include <assert.h>
#include <string.h>

static int refuse(struct sf_boot_decision *out, const struct sf_diag *why, int err,
                  struct sf_diag *diag)
{
    out->slot = SF_BOOT_NONE;
    out->why = why->why;
    return sf_fail(diag, err, why->offset, why->why);
}

static int read_table(const struct sf_bootloader *b, struct sf_bootloader_work *work,
                      struct sf_diag *diag)
{
    const int err = b->read(b->ctx, b->table_offset, work->table_bytes, SF_PARTITION_TABLE_SIZE);
    if (err != SF_OK) {
        return sf_fail(diag, err, 0, "reading the partition table failed");
    }
    return sf_partition_table_decode(work->table_bytes, SF_PARTITION_TABLE_SIZE, b->flash_size,
                                     &work->table, diag);
}

static struct sf_boot_slot *slot_of(struct sf_boot_input *in, const struct sf_partition *p)
{
    if (p->type != SF_PARTITION_APP) {
        return NULL;
    }
    if (p->subtype == SF_PARTITION_APP_FACTORY) {
        return &in->factory;
    }
    if (p->subtype == SF_PARTITION_APP_TEST) {
        return &in->test;
    }
    if ((p->subtype & 0xf0) == SF_PARTITION_APP_OTA_0) {
        return &in->ota[p->subtype & 0x0f];
    }
    return NULL;
}

/* The bootloader looks for app_desc's magic alone, whatever the image's header says. */
static int read_desc(const struct sf_bootloader *b, const struct sf_partition *p,
                     struct sf_boot_slot *slot, struct sf_verdict *scratch)
{
    const int err =
        b->read(b->ctx, p->offset + SF_IMAGE_DESC_OFFSET, scratch->chunk, SF_IMAGE_DESC_SIZE);
    if (err != SF_OK) {
        return err;
    }
    struct sf_app_desc *desc = &scratch->image.head.desc;
    slot->has_desc = sf_app_desc_decode(scratch->chunk, desc) != 0;
    slot->secure_version = desc->secure_version;
    return SF_OK;
}

static int read_slots(const struct sf_bootloader *b, struct sf_bootloader_work *work,
                      struct sf_diag *diag)
{
    for (unsigned i = 0; i < work->table.count; i++) {
        const struct sf_partition *p = &work->table.entry[i];
        if (p->type == SF_PARTITION_DATA && p->subtype == SF_PARTITION_DATA_OTA) {
            work->otadata_offset = p->offset;
        }
        struct sf_boot_slot *slot = slot_of(&work->input, p);
        if (slot == NULL || p->size == 0) {
            continue;
        }
        if ((p->subtype & 0xf0) == SF_PARTITION_APP_OTA_0) {
            work->input.ota_count++;
        }
        slot->present = 1;
        slot->verifies = 1;
        const int err = b->anti_rollback && p->size >= SF_IMAGE_RECORD_OFFSET
                            ? read_desc(b, p, slot, &work->verdict)
                            : SF_OK;
        if (err != SF_OK) {
            return sf_fail(diag, err, p->offset, "reading an app_desc failed");
        }
    }
    if (work->input.ota_count > SF_OTA_SLOT_MAX) {
        return sf_fail(diag, SF_ERR_DUPLICATE, 0, "more than 16 ota slots");
    }
    return SF_OK;
}

static int read_otadata(const struct sf_bootloader *b, struct sf_bootloader_work *work,
                        struct sf_diag *diag)
{
    work->input.has_otadata = work->otadata_offset != 0;
    for (unsigned i = 0; i < 2 && work->input.has_otadata; i++) {
        const uint32_t address = work->otadata_offset + i * SF_OTADATA_SECTOR_SIZE;
        const int err = b->read(b->ctx, address, work->input.otadata[i], SF_OTADATA_ENTRY_SIZE);
        if (err != SF_OK) {
            return sf_fail(diag, err, address, "reading otadata failed");
        }
    }
    return SF_OK;
}

/* 1 if the decision's slot verifies, else 0 with its verdict noted for the next decision. */
static int settle(const struct sf_bootloader *b, struct sf_bootloader_work *work, int slot)
{
    const struct sf_partition *p = sf_bootloader_partition(&work->table, slot);
    assert(p != NULL);
    const struct sf_verdict_input in = {
        .ctx = b->ctx,
        .read = b->read,
        .crypto = b->crypto,
        .address = p->offset,
        .size = p->size,
        .chip_id = b->chip_id,
        .chip_revision = b->chip_revision,
        .secure_boot = b->secure_boot,
    };
    if (sf_verdict_image(&in, &work->verdict) == SF_OK) {
        return 1;
    }
    if (slot >= 0) {
        work->input.ota[slot].verifies = 0;
    } else if (slot == SF_BOOT_FACTORY) {
        work->input.factory.verifies = 0;
    } else {
        work->input.test.verifies = 0;
    }
    return 0;
}

int sf_bootloader_run(const struct sf_bootloader *b, struct sf_bootloader_work *work,
                      struct sf_boot_decision *out, struct sf_diag *diag)
{
    struct sf_diag why = {0, NULL};
    memset(out, 0, sizeof(*out));
    memset(work, 0, sizeof(*work));
    out->efuse_secure_version = b->efuse_secure_version;
    work->input.rollback = b->rollback;
    work->input.anti_rollback = b->anti_rollback;
    work->input.efuse_secure_version = b->efuse_secure_version;
    int err = read_table(b, work, &why);
    if (err == SF_OK) {
        err = read_slots(b, work, &why);
    }
    if (err == SF_OK) {
        err = read_otadata(b, work, &why);
    }
    if (err != SF_OK) {
        return refuse(out, &why, err, diag);
    }
    do {
        sf_boot_decide(&work->input, out);
    } while (out->slot != SF_BOOT_NONE && !settle(b, work, out->slot));
    return SF_OK;
}

/* The last of several entries, as the bootloader has it. */
const struct sf_partition *sf_bootloader_partition(const struct sf_partition_table *table, int slot)
{
    const struct sf_partition *found = NULL;
    uint8_t subtype = SF_PARTITION_APP_FACTORY;
    if (slot >= 0 && slot < SF_OTA_SLOT_MAX) {
        subtype = (uint8_t)(SF_PARTITION_APP_OTA_0 + slot);
    } else if (slot == SF_BOOT_TEST) {
        subtype = SF_PARTITION_APP_TEST;
    } else if (slot != SF_BOOT_FACTORY) {
        return NULL;
    }
    for (unsigned i = 0; i < table->count; i++) {
        const struct sf_partition *p = &table->entry[i];
        if (p->type == SF_PARTITION_APP && p->subtype == subtype && p->size > 0) {
            found = p;
        }
    }
    return found;
}

const char *sf_boot_slot_str(int slot)
{
    static const char *const ota[SF_OTA_SLOT_MAX] = {
        "ota_0", "ota_1", "ota_2",  "ota_3",  "ota_4",  "ota_5",  "ota_6",  "ota_7",
        "ota_8", "ota_9", "ota_10", "ota_11", "ota_12", "ota_13", "ota_14", "ota_15",
    };
    if (slot >= 0 && slot < SF_OTA_SLOT_MAX) {
        return ota[slot];
    }
    if (slot == SF_BOOT_FACTORY) {
        return "factory";
    }
    return slot == SF_BOOT_TEST ? "test" : "none";
}
