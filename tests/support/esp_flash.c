#include "tests/support/esp_flash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/sha256_crypto.h"

static void add(struct sf_partition_table *t, uint8_t type, uint8_t subtype, uint32_t offset,
                uint32_t size)
{
    struct sf_partition *p = &t->entry[t->count++];
    p->type = type;
    p->subtype = subtype;
    p->offset = offset;
    p->size = size;
}

static void label(struct sf_partition_table *t, const char *text)
{
    assert(strlen(text) < sizeof(t->entry[0].label));
    memcpy(t->entry[t->count - 1].label, text, strlen(text));
}

void esp_flash_table(const struct esp_flash_layout *layout, struct sf_partition_table *out)
{
    memset(out, 0, sizeof(*out));
    out->has_md5 = 1;
    add(out, SF_PARTITION_DATA, SF_PARTITION_DATA_NVS, 0x9000, 0x4000);
    label(out, "nvs");
    if (layout->has_otadata) {
        add(out, SF_PARTITION_DATA, SF_PARTITION_DATA_OTA, ESP_FLASH_OTADATA, SF_OTADATA_SIZE);
        label(out, "otadata");
    }
    if (layout->has_factory) {
        add(out, SF_PARTITION_APP, SF_PARTITION_APP_FACTORY, ESP_FLASH_FACTORY,
            ESP_FLASH_SLOT_SIZE);
        label(out, "factory");
    }
    for (unsigned i = 0; i < layout->ota_count; i++) {
        add(out, SF_PARTITION_APP, (uint8_t)(SF_PARTITION_APP_OTA_0 + i),
            ESP_FLASH_OTA_0 + i * ESP_FLASH_SLOT_SIZE, ESP_FLASH_SLOT_SIZE);
        label(out, sf_boot_slot_str((int)i));
    }
}

void esp_flash_put_table(struct esp_flash *flash, const struct sf_partition_table *table)
{
    const int err = sf_partition_table_encode(table, flash->bytes + SF_PARTITION_TABLE_OFFSET);
    assert(err == SF_OK);
    (void)err;
}

uint32_t esp_flash_slot_offset(const char *name)
{
    if (strcmp(name, "factory") == 0) {
        return ESP_FLASH_FACTORY;
    }
    assert(strncmp(name, "ota_", 4) == 0);
    return ESP_FLASH_OTA_0 + (uint32_t)strtoul(name + 4, NULL, 10) * ESP_FLASH_SLOT_SIZE;
}

int esp_flash_read(void *ctx, uint32_t address, void *out, size_t len)
{
    const struct esp_flash *flash = ctx;
    if (address > flash->size || len > flash->size - address) {
        return SF_ERR_FLASH_READ;
    }
    memcpy(out, flash->bytes + address, len);
    return SF_OK;
}

struct sf_bootloader esp_flash_bootloader(struct esp_flash *flash)
{
    return (struct sf_bootloader){
        .ctx = flash,
        .read = esp_flash_read,
        .crypto = sha256_crypto(),
        .flash_size = flash->size,
        .table_offset = SF_PARTITION_TABLE_OFFSET,
        .chip_id = SF_CHIP_ESP32C3,
        .chip_revision = 3,
        .rollback = 1,
    };
}

void esp_flash_apply(struct esp_flash *flash, uint32_t otadata_offset,
                     const struct sf_boot_decision *decision)
{
    for (unsigned i = 0; i < decision->write_count; i++) {
        uint8_t *sector = flash->bytes + otadata_offset +
                          (size_t)decision->write[i].sector * SF_OTADATA_SECTOR_SIZE;
        memset(sector, 0xff, SF_OTADATA_SECTOR_SIZE);
        memcpy(sector, decision->write[i].entry, SF_OTADATA_ENTRY_SIZE);
    }
}
