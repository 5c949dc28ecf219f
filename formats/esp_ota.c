#include "formats/esp_ota.h"

#include <string.h>

#include "formats/boot.h"

static int crc_right(const struct sf_otadata_entry *e)
{
    return e->crc == sf_otadata_crc(e->ota_seq);
}

static int is_ota(const struct sf_esp_ota *o, int slot)
{
    return slot >= 0 && (unsigned)slot < o->ota_count;
}

/* The active entry, or -1 if there is none to go by. */
static int active_entry(const struct sf_esp_ota *o)
{
    return o->has_otadata && o->ota_count > 0 ? sf_otadata_active(o->entry) : -1;
}

static void erase(struct sf_otadata_entry *e)
{
    memset(e, 0xff, sizeof(*e));
}

static int image_verifies(const struct sf_esp_ota *o, int slot)
{
    if (slot == SF_BOOT_FACTORY) {
        return o->has_factory && o->factory_verifies;
    }
    return is_ota(o, slot) && o->verifies[slot];
}

/* Rewrites one entry but for its label, which ESP-IDF keeps. */
static void rewrite(struct sf_otadata_entry *e, uint32_t ota_seq, uint32_t ota_state)
{
    e->ota_seq = ota_seq;
    e->ota_state = ota_state;
    e->crc = sf_otadata_crc(ota_seq);
}

int sf_esp_ota_set_boot_partition(struct sf_esp_ota *o, int slot)
{
    if (!image_verifies(o, slot)) {
        return SF_ESP_ERR_OTA_VALIDATE_FAILED;
    }
    if (!o->has_otadata) {
        return SF_ESP_ERR_NOT_FOUND;
    }
    if (slot == SF_BOOT_FACTORY) {
        erase(&o->entry[0]);
        erase(&o->entry[1]);
        return SF_ESP_OK;
    }
    const uint32_t ota_state = o->rollback ? SF_OTA_NEW : SF_OTA_UNDEFINED;
    const int active = sf_otadata_active(o->entry);
    if (active < 0) {
        rewrite(&o->entry[0], (uint32_t)slot + 1, ota_state);
        return SF_ESP_OK;
    }
    /* The least seq from the active one on that names the slot: for the active slot itself that is
     * the active seq again, so that both entries become equal. 32-bit arithmetic, as there. */
    uint32_t seq = ((uint32_t)slot + 1) % o->ota_count;
    const uint32_t least = o->entry[active].ota_seq;
    if (least > seq) {
        seq += (least - seq + (o->ota_count - 1)) / o->ota_count * o->ota_count;
    }
    rewrite(&o->entry[active == 0 ? 1 : 0], seq, ota_state);
    return SF_ESP_OK;
}

/* It goes by the active entry, whatever slot runs. */
int sf_esp_ota_mark_app_valid(struct sf_esp_ota *o)
{
    const int active = active_entry(o);
    if (active < 0) {
        return o->has_otadata ? SF_ESP_FAIL : SF_ESP_ERR_NOT_FOUND;
    }
    rewrite(&o->entry[active], o->entry[active].ota_seq, SF_OTA_VALID);
    return SF_ESP_OK;
}

int sf_esp_ota_mark_app_invalid(struct sf_esp_ota *o)
{
    const int active = active_entry(o);
    if (active < 0) {
        return o->has_otadata ? SF_ESP_FAIL : SF_ESP_ERR_NOT_FOUND;
    }
    if (!sf_esp_ota_check_rollback_is_possible(o)) {
        return SF_ESP_ERR_OTA_ROLLBACK_FAILED;
    }
    rewrite(&o->entry[active], o->entry[active].ota_seq, SF_OTA_INVALID);
    return SF_ESP_OK;
}

int sf_esp_ota_begin(const struct sf_esp_ota *o, int slot)
{
    if (!is_ota(o, slot)) {
        return SF_ESP_ERR_INVALID_ARG;
    }
    if (slot == o->running) {
        return SF_ESP_ERR_OTA_PARTITION_CONFLICT;
    }
    uint32_t ota_state = 0;
    if (o->rollback && sf_esp_ota_get_state_partition(o, o->running, &ota_state) == SF_ESP_OK &&
        ota_state == SF_OTA_PENDING_VERIFY) {
        return SF_ESP_ERR_OTA_ROLLBACK_INVALID_STATE;
    }
    return SF_ESP_OK;
}

int sf_esp_ota_erase_last_boot_app_partition(struct sf_esp_ota *o)
{
    const int active = active_entry(o);
    if (active < 0) {
        return SF_ESP_FAIL;
    }
    struct sf_otadata_entry *inactive = &o->entry[active == 0 ? 1 : 0];
    if (!crc_right(inactive)) {
        return SF_ESP_FAIL;
    }
    const int slot = (int)sf_otadata_slot(inactive, o->ota_count);
    if (slot == o->running) {
        return SF_ESP_FAIL;
    }
    o->verifies[slot] = 0;
    erase(inactive);
    return SF_ESP_OK;
}

int sf_esp_ota_check_rollback_is_possible(const struct sf_esp_ota *o)
{
    const int active = active_entry(o);
    if (active < 0) {
        return 0;
    }
    const struct sf_otadata_entry *other = &o->entry[active == 0 ? 1 : 0];
    if (!sf_otadata_valid(other)) {
        return image_verifies(o, SF_BOOT_FACTORY);
    }
    return image_verifies(o, (int)sf_otadata_slot(other, o->ota_count));
}

int sf_esp_ota_get_state_partition(const struct sf_esp_ota *o, int slot, uint32_t *ota_state_out)
{
    if (!is_ota(o, slot)) {
        return SF_ESP_ERR_NOT_SUPPORTED;
    }
    for (unsigned i = 0; i < 2 && o->has_otadata; i++) {
        const struct sf_otadata_entry *e = &o->entry[i];
        if (crc_right(e) && sf_otadata_slot(e, o->ota_count) == (unsigned)slot) {
            *ota_state_out = e->ota_state;
            return SF_ESP_OK;
        }
    }
    return SF_ESP_ERR_NOT_FOUND;
}

int sf_esp_ota_get_boot_partition(const struct sf_esp_ota *o)
{
    const int active = active_entry(o);
    if (active >= 0) {
        return (int)sf_otadata_slot(&o->entry[active], o->ota_count);
    }
    if (o->has_factory) {
        return SF_BOOT_FACTORY;
    }
    return o->ota_count > 0 ? 0 : SF_BOOT_NONE;
}

int sf_esp_ota_get_next_update_partition(const struct sf_esp_ota *o)
{
    if (o->ota_count == 0) {
        return SF_BOOT_NONE;
    }
    return is_ota(o, o->running) ? (o->running + 1) % (int)o->ota_count : 0;
}

int sf_esp_ota_get_last_invalid_partition(const struct sf_esp_ota *o)
{
    int found = -1;
    for (int i = 0; i < 2 && o->has_otadata && o->ota_count > 0; i++) {
        const struct sf_otadata_entry *e = &o->entry[i];
        const int ruled_out = e->ota_state == SF_OTA_INVALID || e->ota_state == SF_OTA_ABORTED;
        if (ruled_out && crc_right(e) && (found < 0 || e->ota_seq < o->entry[found].ota_seq)) {
            found = i;
        }
    }
    return found < 0 ? SF_BOOT_NONE : (int)sf_otadata_slot(&o->entry[found], o->ota_count);
}
