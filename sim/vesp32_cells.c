/* The flash of a virtual device looked at, and spoilt, from outside: past the chip's own reads. */
#include "sim/vesp32.h"

#include <string.h>

enum { DECAY_SIZE = 16 };

void vesp32_peek(const struct vesp32 *v, uint32_t address, uint8_t *out, size_t len)
{
    const struct sf_host_flash *flash = v->flash;
    memset(out, 0xff, len);
    if (address > flash->size_bytes || len > flash->size_bytes - address) {
        return;
    }
    memcpy(out, flash->cells + address, len);
    if (v->options.flash_key) {
        sf_host_crypt_decrypt(&v->crypt, address, out, len);
    }
}

static void read_otadata(const struct vesp32 *v, uint32_t offset, struct sf_otadata_entry out[2])
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[SF_OTADATA_ENTRY_SIZE];
        vesp32_peek(v, offset + i * SF_OTADATA_SECTOR_SIZE, bytes, sizeof(bytes));
        sf_otadata_decode(bytes, &out[i]);
    }
}

void vesp32_otadata(const struct vesp32 *v, struct sf_otadata_entry out[2])
{
    const uint32_t offset = v->config.otadata_offset;
    read_otadata(v, offset > 0 ? offset : v->flash->size_bytes, out);
}

/* Where the image lies that the next boot would try first for a trial; 0 if there is none. */
static uint32_t find_new_image(const struct vesp32 *v)
{
    struct sf_partition_table *table = &v->options.work->table; /* the bootloader reads its own */
    struct sf_otadata_entry entry[2];
    uint8_t bytes[SF_PARTITION_TABLE_SIZE];
    vesp32_peek(v, SF_PARTITION_TABLE_OFFSET, bytes, sizeof(bytes));
    if (sf_partition_table_decode(bytes, sizeof(bytes), v->flash->size_bytes, table, NULL) !=
        SF_OK) {
        return 0;
    }
    const struct sf_partition *otadata =
        sf_partition_find(table, SF_PARTITION_DATA, SF_PARTITION_DATA_OTA);
    const unsigned count = sf_partition_ota_count(table);
    if (!otadata || count == 0) {
        return 0;
    }
    read_otadata(v, otadata->offset, entry);
    const int active = sf_otadata_active(entry);
    if (active < 0 || entry[active].ota_state != SF_OTA_NEW) {
        return 0;
    }
    return sf_bootloader_partition(table, (int)sf_otadata_slot(&entry[active], count))->offset;
}

void vesp32_decay(const struct vesp32 *v)
{
    struct sf_behaviour behaviour;
    uint8_t head[SF_IMAGE_HEAD_SIZE];
    const uint32_t offset = find_new_image(v);
    if (offset == 0) {
        return;
    }
    vesp32_peek(v, offset, head, sizeof(head));
    if (sf_behaviour_find(head, sizeof(head), &behaviour, NULL) == SF_OK &&
        behaviour.kind == SF_BEHAVIOUR_DECAYS) {
        memset(v->flash->cells + offset + SF_IMAGE_HEAD_SIZE, 0, DECAY_SIZE);
    }
}
