#include "ports/host/store.h"

#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32.h"

/* A log of records in one of two sectors.
 *
 * 1. A sector counts once its header is whole; of two, the higher sequence number.
 * 2. The header is written last: a sector that counts holds every live record.
 * 3. A set appends one record in one write; what a cut leaves of it fails a crc and is passed over.
 * 4. After a damaged record nothing is appended any more: the next set moves to the other sector,
 *    so a damaged record in the middle is not a torn one but a decayed one, and get says so.
 * 5. Where flash is encrypted nobody can see what is erased: there the log ends at the first thing
 *    that is no record, nothing is appended to a sector that an earlier boot began, and a damaged
 *    record is a decayed one if the header of another follows. */

enum {
    SECTOR_HEADER_SIZE = 32,
    RECORD_HEADER_SIZE = 16,
    READ_TRIES = 3,
    GRAIN = 32, /* records begin at multiples of the largest write size */
    RECORD_MAX = RECORD_HEADER_SIZE + SF_RECORD_MAX,
    RECORD_SPACE_MAX = (RECORD_MAX + GRAIN - 1) / GRAIN * GRAIN,
    SECTOR_MAGIC = 0x54534653, /* "SFST" */
    SECTOR_VERSION = 1,
    SECTOR_VERSION_BLIND = 2,
    RECORD_MAGIC = 0xa55a,
    AT_NONE = 0,
    AT_DAMAGED = 1,
    ERASED = 0xff,
};

_Static_assert((int)SF_RECORD_COUNT <= (int)SF_HOST_STORE_KEYS, "every key has its place");
_Static_assert(SECTOR_HEADER_SIZE + (SF_HOST_STORE_KEYS + 1) * RECORD_SPACE_MAX <= SF_SECTOR_SIZE,
               "all keys at their largest fit in one sector, and one more set");

struct record {
    uint8_t key;
    uint16_t len;
    uint32_t data_crc;
    uint8_t is_lost; /* a value was set and has decayed since: nothing is left of it but that */
    int erased;      /* all FF: the end of the log */
};

static uint32_t space_of(size_t len)
{
    return (uint32_t)((RECORD_HEADER_SIZE + len + GRAIN - 1) / GRAIN * GRAIN);
}

static uint32_t sector_address(const struct sf_host_store *s, int sector)
{
    return s->offset + (uint32_t)sector * SF_SECTOR_SIZE;
}

/* Until two reads agree: a wrong bit would pass for a torn or a decayed record, and an older one
 * count. At most RECORD_SPACE_MAX bytes. */
static int read_at(const struct sf_host_store *s, int sector, uint32_t at, void *out, size_t len)
{
    const struct sf_flash *f = s->flash;
    const uint32_t address = sector_address(s, sector) + at;
    uint8_t again[RECORD_SPACE_MAX];
    int err = SF_OK;
    for (unsigned i = 0; i < READ_TRIES; i++) {
        err = f->read(f->ctx, address, out, len);
        if (err == SF_OK) {
            err = f->read(f->ctx, address, again, len);
        }
        if (err == SF_OK && memcmp(out, again, len) == 0) {
            return SF_OK;
        }
    }
    return err < 0 ? err : SF_ERR_IO;
}

/* At most RECORD_SPACE_MAX bytes. */
static int write_at(const struct sf_host_store *s, int sector, uint32_t at, const void *data,
                    size_t len)
{
    uint8_t back[RECORD_SPACE_MAX];
    const int err = s->flash->write(s->flash->ctx, sector_address(s, sector) + at, data, len);
    if (err < 0) {
        return err;
    }
    if (read_at(s, sector, at, back, len) < 0 || memcmp(back, data, len) != 0) {
        return SF_ERR_READ_BACK; /* a record that is stored must be there at the next boot */
    }
    return SF_OK;
}

static int is_erased(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != ERASED) {
            return 0;
        }
    }
    return 1;
}

/* Sequence number and version of a sector that counts, else 0. */
static int read_sector_header(const struct sf_host_store *s, int sector, uint32_t *sequence,
                              uint32_t *version)
{
    uint8_t bytes[16];
    *sequence = 0;
    int err = read_at(s, sector, 0, bytes, sizeof(bytes));
    if (err < 0) {
        return err;
    }
    struct sf_reader r;
    sf_reader_init(&r, bytes, sizeof(bytes));
    uint32_t magic = sf_read_u32le(&r);
    uint32_t number = sf_read_u32le(&r);
    *version = sf_read_u32le(&r);
    uint32_t crc = sf_read_u32le(&r);
    if (magic == SECTOR_MAGIC && crc == sf_crc32(0, bytes, 12) &&
        (*version == SECTOR_VERSION || *version == SECTOR_VERSION_BLIND)) {
        *sequence = number;
    }
    return SF_OK;
}

static int write_sector_header(const struct sf_host_store *s)
{
    uint8_t bytes[SECTOR_HEADER_SIZE];
    struct sf_writer w;
    sf_writer_init(&w, bytes, sizeof(bytes));
    sf_write_u32le(&w, SECTOR_MAGIC);
    sf_write_u32le(&w, s->sequence);
    sf_write_u32le(&w, s->is_blind ? SECTOR_VERSION_BLIND : SECTOR_VERSION);
    sf_write_u32le(&w, sf_crc32(0, bytes, 12));
    sf_write_fill(&w, ERASED, sizeof(bytes) - 16);
    int32_t len = sf_writer_end(&w);
    return len < 0 ? len : write_at(s, s->active, 0, bytes, sizeof(bytes));
}

/* SF_OK, SF_ERR_CORRUPT if there is neither a record nor erased flash, or a flash error. */
static int read_record_header(const struct sf_host_store *s, int sector, uint32_t at,
                              struct record *out)
{
    uint8_t bytes[RECORD_HEADER_SIZE];
    int err = read_at(s, sector, at, bytes, sizeof(bytes));
    if (err < 0) {
        return err;
    }
    struct sf_reader r;
    sf_reader_init(&r, bytes, sizeof(bytes));
    uint16_t magic = sf_read_u16le(&r);
    out->key = sf_read_u8(&r);
    out->is_lost = sf_read_u8(&r);
    out->len = sf_read_u16le(&r);
    sf_read_skip(&r, 2);
    out->data_crc = sf_read_u32le(&r);
    uint32_t crc = sf_read_u32le(&r);
    out->erased = is_erased(bytes, sizeof(bytes));
    if (out->erased) {
        return SF_OK;
    }
    int good = magic == RECORD_MAGIC && crc == sf_crc32(0, bytes, 12) &&
               out->key < SF_HOST_STORE_KEYS && out->len <= SF_RECORD_MAX &&
               at + space_of(out->len) <= SF_SECTOR_SIZE;
    return good ? SF_OK : SF_ERR_CORRUPT;
}

static int read_record_data(const struct sf_host_store *s, int sector, uint32_t at,
                            const struct record *record, uint8_t out[SF_RECORD_MAX])
{
    int err = read_at(s, sector, at + RECORD_HEADER_SIZE, out, record->len);
    if (err < 0) {
        return err;
    }
    return sf_crc32(0, out, record->len) == record->data_crc ? SF_OK : SF_ERR_CORRUPT;
}

static int write_record(const struct sf_host_store *s, int sector, uint32_t at,
                        const struct record *record, const void *data)
{
    uint8_t bytes[RECORD_SPACE_MAX];
    uint32_t space = space_of(record->len);
    struct sf_writer w;
    sf_writer_init(&w, bytes, sizeof(bytes));
    sf_write_u16le(&w, RECORD_MAGIC);
    sf_write_u8(&w, record->key);
    sf_write_u8(&w, record->is_lost);
    sf_write_u16le(&w, record->len);
    sf_write_u16le(&w, 0);
    sf_write_u32le(&w, sf_crc32(0, data, record->len));
    sf_write_u32le(&w, sf_crc32(0, bytes, 12));
    sf_write_bytes(&w, data, record->len);
    sf_write_fill(&w, ERASED, space - RECORD_HEADER_SIZE - record->len);
    int32_t len = sf_writer_end(&w);
    return len < 0 ? len : write_at(s, sector, at, bytes, space);
}

/* Whether all from `at` to the sector's end is erased: a torn write may have left its mark behind
 * a place that looks free. */
static int rest_is_erased(const struct sf_host_store *s, uint32_t at, int *erased)
{
    uint8_t bytes[GRAIN];
    *erased = 1;
    for (; at < SF_SECTOR_SIZE && *erased; at += GRAIN) {
        int err = read_at(s, s->active, at, bytes, sizeof(bytes));
        if (err < 0) {
            return err;
        }
        *erased = is_erased(bytes, sizeof(bytes));
    }
    return SF_OK;
}

/* Whether what is at `at`, if anything, is no record. */
static int log_ends(const struct sf_host_store *s, uint32_t at, int *ends)
{
    struct record record;
    if (!s->is_blind) {
        return rest_is_erased(s, at, ends);
    }
    const int err = at + GRAIN > SF_SECTOR_SIZE ? SF_ERR_CORRUPT
                                                : read_record_header(s, s->active, at, &record);
    *ends = err == SF_ERR_CORRUPT;
    return *ends ? SF_OK : err;
}

/* A record whose data is damaged: torn if the log ends behind it, else decayed. */
static int note_damaged(struct sf_host_store *s, const struct record *record, uint32_t next)
{
    int last = 0;
    int err = log_ends(s, next, &last);
    if (err < 0) {
        return err;
    }
    s->full = 1;
    if (!last) {
        s->at[record->key] = AT_DAMAGED;
    }
    return SF_OK;
}

static uint16_t place_of(const struct record *record, uint32_t at)
{
    if (record->is_lost) {
        return AT_DAMAGED;
    }
    return record->len > 0 ? (uint16_t)at : AT_NONE;
}

/* Reads one record of the log. Returns 1 to go on, 0 at its end, or a flash error. */
static int scan_record(struct sf_host_store *s)
{
    struct record record = {0};
    uint8_t data[SF_RECORD_MAX];
    if (s->end + GRAIN > SF_SECTOR_SIZE) {
        return 0;
    }
    int err = read_record_header(s, s->active, s->end, &record);
    if (err == SF_ERR_CORRUPT || (err == SF_OK && record.erased)) {
        s->full |= err == SF_ERR_CORRUPT;
        return 0;
    }
    if (err == SF_OK) {
        err = read_record_data(s, s->active, s->end, &record, data);
    }
    uint32_t next = s->end + space_of(record.len);
    if (err == SF_ERR_CORRUPT) {
        err = note_damaged(s, &record, next);
    } else if (err == SF_OK) {
        s->at[record.key] = place_of(&record, s->end);
    }
    s->end = next;
    return err < 0 ? err : 1;
}

static int scan(struct sf_host_store *s)
{
    s->end = SECTOR_HEADER_SIZE;
    int more = 0;
    do {
        more = scan_record(s);
    } while (more > 0);
    if (more < 0) {
        return more;
    }
    if (s->is_blind) {
        s->full = 1;
        return SF_OK;
    }
    int erased = 0;
    int err = rest_is_erased(s, s->end, &erased);
    s->full |= !erased;
    return err;
}

static int32_t store_get(void *ctx, enum sf_record key, void *out, size_t size)
{
    const struct sf_host_store *s = ctx;
    struct record record;
    uint8_t data[SF_RECORD_MAX];
    if ((unsigned)key >= SF_HOST_STORE_KEYS || s->active < 0 || s->at[key] == AT_NONE) {
        return SF_ERR_NOTFOUND;
    }
    if (s->at[key] == AT_DAMAGED) {
        return SF_ERR_CORRUPT;
    }
    int err = read_record_header(s, s->active, s->at[key], &record);
    if (err == SF_OK) {
        err = record.erased ? SF_ERR_CORRUPT
                            : read_record_data(s, s->active, s->at[key], &record, data);
    }
    if (err < 0) {
        return err == SF_ERR_CORRUPT ? SF_ERR_CORRUPT : SF_ERR_IO;
    }
    if (record.len > size) {
        return SF_ERR_CORRUPT;
    }
    memcpy(out, data, record.len);
    return (int32_t)record.len;
}

/* Copies the live record of one key to the other sector; of a decayed one, that it was there. */
static int carry(const struct sf_host_store *s, unsigned key, int to, uint32_t at,
                 struct record *record)
{
    uint8_t data[SF_RECORD_MAX];
    int err = SF_ERR_CORRUPT;
    if (s->at[key] > AT_DAMAGED) {
        err = read_record_header(s, s->active, s->at[key], record);
    }
    if (err == SF_OK) {
        err = read_record_data(s, s->active, s->at[key], record, data);
    }
    if (err == SF_ERR_CORRUPT) {
        *record = (struct record){.key = (uint8_t)key, .is_lost = 1};
        err = SF_OK;
    }
    return err < 0 ? err : write_record(s, to, at, record, data);
}

/* Erases a sector, and looks how that reads. */
static int begin_sector(struct sf_host_store *s)
{
    uint8_t bytes[GRAIN] = {0};
    int err = s->flash->erase(s->flash->ctx, sector_address(s, s->active), SF_SECTOR_SIZE);
    if (err == SF_OK) {
        err = read_at(s, s->active, SF_SECTOR_SIZE - GRAIN, bytes, sizeof(bytes));
    }
    s->is_blind = !is_erased(bytes, sizeof(bytes));
    return err;
}

/* Moves every live record, with `record` in place of its key's, to the other sector. */
static int move(struct sf_host_store *s, const struct record *record, const void *data)
{
    struct sf_host_store moved = *s;
    moved.active = s->active == 0 ? 1 : 0;
    moved.sequence = s->sequence + 1;
    moved.end = SECTOR_HEADER_SIZE;
    moved.full = 0;
    int err = begin_sector(&moved);
    for (unsigned key = 0; key < SF_HOST_STORE_KEYS && err == SF_OK; key++) {
        struct record kept = {.key = (uint8_t)key};
        if (key == record->key && record->len > 0) {
            kept = *record;
            err = write_record(s, moved.active, moved.end, record, data);
        } else if (key != record->key && s->at[key] != AT_NONE) {
            err = carry(s, key, moved.active, moved.end, &kept);
        }
        moved.at[key] = place_of(&kept, moved.end);
        moved.end += moved.at[key] == AT_NONE ? 0 : space_of(kept.len);
    }
    if (err == SF_OK) {
        err = write_sector_header(&moved);
    }
    if (err == SF_OK) {
        *s = moved;
    }
    return err;
}

static int append(struct sf_host_store *s, const struct record *record, const void *data)
{
    int err = write_record(s, s->active, s->end, record, data);
    if (err < 0) {
        s->full = 1; /* what it left there is unknown */
        return err;
    }
    s->at[record->key] = place_of(record, s->end);
    s->end += space_of(record->len);
    return SF_OK;
}

static int store_set(void *ctx, enum sf_record key, const void *data, size_t len)
{
    struct sf_host_store *s = ctx;
    if ((unsigned)key >= SF_HOST_STORE_KEYS || len > SF_RECORD_MAX) {
        return SF_ERR_RANGE;
    }
    if (len == 0 && s->at[key] == AT_NONE) {
        return SF_OK;
    }
    struct record record = {.key = (uint8_t)key, .len = (uint16_t)len};
    int fits = s->active >= 0 && !s->full && s->end + space_of(len) <= SF_SECTOR_SIZE;
    return fits ? append(s, &record, data) : move(s, &record, data);
}

int sf_host_store_open(struct sf_host_store *s, const struct sf_flash *flash, uint32_t offset)
{
    uint32_t sequence[2] = {0, 0};
    uint32_t version[2] = {0, 0};
    *s = (struct sf_host_store){.flash = flash, .offset = offset, .active = -1};
    s->ops = (struct sf_store){.ctx = s, .get = store_get, .set = store_set};
    if (GRAIN % flash->write_size != 0) {
        return SF_ERR_RANGE;
    }
    for (int i = 0; i < 2; i++) {
        int err = read_sector_header(s, i, &sequence[i], &version[i]);
        if (err < 0) {
            return err;
        }
    }
    if (sequence[0] == 0 && sequence[1] == 0) {
        return SF_OK;
    }
    s->active = sequence[1] > sequence[0];
    s->sequence = sequence[s->active];
    s->is_blind = version[s->active] == SECTOR_VERSION_BLIND;
    return scan(s);
}
