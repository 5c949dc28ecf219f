#include "formats/otadata.h"

#include <assert.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32.h"
#include "formats/err.h"

_Static_assert(4 + sizeof(((struct sf_otadata_entry *)0)->seq_label) + 4 + 4 ==
                   SF_OTADATA_ENTRY_SIZE,
               "entry layout");

void sf_otadata_decode(const uint8_t bytes[SF_OTADATA_ENTRY_SIZE], struct sf_otadata_entry *out)
{
    struct sf_reader r;
    sf_reader_init(&r, bytes, SF_OTADATA_ENTRY_SIZE);
    out->ota_seq = sf_read_u32le(&r);
    sf_read_bytes(&r, out->seq_label, sizeof(out->seq_label));
    out->ota_state = sf_read_u32le(&r);
    out->crc = sf_read_u32le(&r);
    assert(sf_reader_end(&r) == SF_OK);
}

void sf_otadata_encode(const struct sf_otadata_entry *entry, uint8_t bytes[SF_OTADATA_ENTRY_SIZE])
{
    struct sf_writer w;
    sf_writer_init(&w, bytes, SF_OTADATA_ENTRY_SIZE);
    sf_write_u32le(&w, entry->ota_seq);
    sf_write_bytes(&w, entry->seq_label, sizeof(entry->seq_label));
    sf_write_u32le(&w, entry->ota_state);
    sf_write_u32le(&w, entry->crc);
    assert(sf_writer_end(&w) == SF_OTADATA_ENTRY_SIZE);
}

uint32_t sf_otadata_crc(uint32_t ota_seq)
{
    uint8_t bytes[4];
    struct sf_writer w;
    sf_writer_init(&w, bytes, sizeof(bytes));
    sf_write_u32le(&w, ota_seq);
    return sf_crc32(UINT32_MAX, bytes, sizeof(bytes));
}

struct sf_otadata_entry sf_otadata_make(uint32_t ota_seq, uint32_t ota_state)
{
    struct sf_otadata_entry entry = {
        .ota_seq = ota_seq, .ota_state = ota_state, .crc = sf_otadata_crc(ota_seq)};
    memset(entry.seq_label, 0xff, sizeof(entry.seq_label));
    return entry;
}

int sf_otadata_valid(const struct sf_otadata_entry *entry)
{
    return entry->ota_seq != SF_OTA_SEQ_EMPTY && entry->ota_state != SF_OTA_INVALID &&
           entry->ota_state != SF_OTA_ABORTED && entry->crc == sf_otadata_crc(entry->ota_seq);
}

int sf_otadata_active(const struct sf_otadata_entry entry[2])
{
    const int valid0 = sf_otadata_valid(&entry[0]);
    const int valid1 = sf_otadata_valid(&entry[1]);
    if (valid0 && valid1) {
        return entry[0].ota_seq >= entry[1].ota_seq ? 0 : 1;
    }
    if (valid0) {
        return 0;
    }
    return valid1 ? 1 : -1;
}

unsigned sf_otadata_slot(const struct sf_otadata_entry *entry, unsigned ota_count)
{
    assert(ota_count > 0);
    return (entry->ota_seq - 1U) % ota_count;
}

/* The least seq that is not below `seq` and names `target`. 0 if it does not fit in 32 bits. */
static uint32_t next_seq(uint32_t seq, unsigned target, unsigned ota_count)
{
    const uint32_t base = (target + 1U) % ota_count;
    if (seq <= base) {
        return base;
    }
    const uint32_t past = (seq - base) % ota_count;
    const uint32_t step = past == 0 ? 0 : ota_count - past;
    return step < SF_OTA_SEQ_EMPTY - seq ? seq + step : 0;
}

int sf_otadata_plan_switch(const struct sf_otadata_entry entry[2], unsigned target,
                           unsigned ota_count, uint32_t ota_state, struct sf_otadata_switch *out)
{
    if (ota_count == 0 || target >= ota_count) {
        return SF_ERR_RANGE;
    }
    const int active = sf_otadata_active(entry);
    if (active < 0) {
        out->sector = 0;
        out->entry = sf_otadata_make(target + 1, ota_state);
        return SF_OK;
    }
    if (sf_otadata_slot(&entry[active], ota_count) == target) {
        return SF_ERR_EXISTS;
    }
    const uint32_t seq = next_seq(entry[active].ota_seq, target, ota_count);
    if (seq == 0) {
        return SF_ERR_RANGE;
    }
    out->sector = active == 0 ? 1 : 0;
    out->entry = sf_otadata_make(seq, ota_state);
    return SF_OK;
}

const char *sf_ota_state_str(uint32_t ota_state)
{
    switch (ota_state) {
    case SF_OTA_NEW:
        return "NEW";
    case SF_OTA_PENDING_VERIFY:
        return "PENDING_VERIFY";
    case SF_OTA_VALID:
        return "VALID";
    case SF_OTA_INVALID:
        return "INVALID";
    case SF_OTA_ABORTED:
        return "ABORTED";
    case SF_OTA_UNDEFINED:
        return "UNDEFINED";
    default:
        return "unknown";
    }
}
