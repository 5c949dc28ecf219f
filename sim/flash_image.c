#include "sim/flash_image.h"

#include <string.h>

#include "base/crypto_openssl.h"
#include "formats/image.h"
#include "formats/verdict.h"

/* Whole-flash images for virtual devices. */

enum { DATA_UNDEFINED = 0x06 };

static const struct sf_partition layout[] = {
    {.offset = 0x9000,
     .size = 0x4000,
     .type = SF_PARTITION_DATA,
     .subtype = SF_PARTITION_DATA_NVS,
     .label = "nvs"},
    {.offset = FLASH_IMAGE_OTADATA,
     .size = 0x2000,
     .type = SF_PARTITION_DATA,
     .subtype = SF_PARTITION_DATA_OTA,
     .label = "otadata"},
    {.offset = FLASH_IMAGE_OTA_0,
     .size = FLASH_IMAGE_SLOT_SIZE,
     .type = SF_PARTITION_APP,
     .subtype = SF_PARTITION_APP_OTA_0,
     .label = "ota_0"},
    {.offset = FLASH_IMAGE_OTA_1,
     .size = FLASH_IMAGE_SLOT_SIZE,
     .type = SF_PARTITION_APP,
     .subtype = SF_PARTITION_APP_OTA_0 + 1,
     .label = "ota_1"},
    {.offset = FLASH_IMAGE_RECORDS,
     .size = 0x4000,
     .type = SF_PARTITION_DATA,
     .subtype = DATA_UNDEFINED,
     .label = "surefoot"},
};

struct memory {
    const uint8_t *data;
    size_t len;
};

static int read_memory(void *ctx, uint32_t address, void *out, size_t len)
{
    const struct memory *m = ctx;
    if (address > m->len || len > m->len - address) {
        return SF_ERR_RANGE;
    }
    memcpy(out, m->data + address, len);
    return SF_OK;
}

/* As the bootloader of the image's own chip would judge it, whatever its revision. */
static int check_app(const uint8_t *flash, const struct sf_image_head *head, struct sf_diag *diag)
{
    struct memory m = {flash, FLASH_IMAGE_SIZE};
    uint16_t revision = head->header.min_chip_rev_full;
    struct sf_verdict_input in = {.ctx = &m,
                                  .read = read_memory,
                                  .crypto = crypto_openssl(),
                                  .address = FLASH_IMAGE_OTA_0,
                                  .size = FLASH_IMAGE_SLOT_SIZE,
                                  .chip_id = head->header.chip_id,
                                  .chip_revision = revision};
    struct sf_verdict verdict;
    int err = sf_verdict_image(&in, &verdict);
    if (err < 0 && diag) {
        *diag = verdict.diag;
    }
    return err;
}

int flash_image_build(const uint8_t *app, size_t app_len, uint8_t *out, struct sf_diag *diag)
{
    struct sf_partition_table table = {.count = sizeof(layout) / sizeof(layout[0]), .has_md5 = 1};
    struct sf_image_head head;
    if (app_len > FLASH_IMAGE_SLOT_SIZE) {
        return sf_fail(diag, SF_ERR_NOSPC, FLASH_IMAGE_SLOT_SIZE, "larger than the app slot");
    }
    int err = sf_image_head_decode(app, app_len, &head, diag);
    if (err < 0) {
        return err;
    }
    memset(out, 0xff, FLASH_IMAGE_SIZE);
    memcpy(table.entry, layout, sizeof(layout));
    err = sf_partition_table_encode(&table, out + SF_PARTITION_TABLE_OFFSET);
    if (err < 0) {
        return err;
    }
    memcpy(out + FLASH_IMAGE_OTA_0, app, app_len);
    return check_app(out, &head, diag);
}

int flash_image_chip(const uint8_t *flash, size_t len, struct sf_diag *diag)
{
    struct sf_partition_table table;
    if (len < SF_PARTITION_TABLE_OFFSET + SF_PARTITION_TABLE_SIZE) {
        return sf_fail(diag, SF_ERR_TRUNCATED, len, "ends before the partition table at 0x8000");
    }
    int err = sf_partition_table_decode(flash + SF_PARTITION_TABLE_OFFSET, SF_PARTITION_TABLE_SIZE,
                                        (uint32_t)len, &table, diag);
    if (err < 0) {
        if (diag) {
            diag->offset += SF_PARTITION_TABLE_OFFSET;
        }
        return err;
    }
    for (unsigned i = 0; i < table.count; i++) {
        struct sf_image_head head;
        const struct sf_partition *p = &table.entry[i];
        if (p->type == SF_PARTITION_APP &&
            sf_image_head_decode(flash + p->offset, p->size, &head, NULL) == SF_OK) {
            return head.header.chip_id;
        }
    }
    return sf_fail(diag, SF_ERR_NOTFOUND, 0, "no app partition holds an image");
}
