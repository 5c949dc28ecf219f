#include "ports/host/root_store.h"

#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32.h"

/* Two copies of one record, each in a sector of its own.
 *
 * 1. A copy counts once its header is whole and its data has the crc that stands there; of two, the
 *    one with the higher sequence number.
 * 2. The header is written last, and the sector that holds the copy that counts is not touched. */

enum {
    HEADER_SIZE = 32,
    HEADER_CRC_AT = 28,
    GRAIN = 32,         /* a multiple of every write size */
    MAGIC = 0x54524653, /* "SFRT" */
    ERASED = 0xff,
};
_Static_assert(HEADER_SIZE + SF_ROOT_RECORD_MAX + GRAIN <= SF_SECTOR_SIZE, "a copy fits");

struct copy {
    uint32_t sequence; /* 0 = there is none */
    uint32_t data_crc;
    uint16_t len;
};

static uint32_t address_of(const struct sf_host_root_store *s, unsigned sector)
{
    return s->offset + sector * SF_SECTOR_SIZE;
}

static int read_header(const struct sf_host_root_store *s, unsigned sector, struct copy *out)
{
    uint8_t bytes[HEADER_SIZE];
    struct sf_reader r;
    *out = (struct copy){0};
    const int err = s->flash->read(s->flash->ctx, address_of(s, sector), bytes, sizeof(bytes));
    if (err < 0) {
        return err;
    }
    sf_reader_init(&r, bytes, sizeof(bytes));
    const uint32_t magic = sf_read_u32le(&r);
    const uint32_t sequence = sf_read_u32le(&r);
    const uint16_t len = sf_read_u16le(&r);
    sf_read_skip(&r, 14);
    const uint32_t data_crc = sf_read_u32le(&r);
    const uint32_t crc = sf_read_u32le(&r);
    if (magic == MAGIC && crc == sf_crc32(0, bytes, HEADER_CRC_AT) && len <= SF_ROOT_RECORD_MAX) {
        *out = (struct copy){.sequence = sequence, .data_crc = data_crc, .len = len};
    }
    return SF_OK;
}

/* The crc of what is in flash behind the header. */
static int data_crc(const struct sf_host_root_store *s, unsigned sector, uint32_t len,
                    uint32_t *out)
{
    uint8_t piece[GRAIN];
    *out = 0;
    for (uint32_t at = 0; at < len; at += GRAIN) {
        const uint32_t n = len - at < GRAIN ? len - at : GRAIN;
        const int err =
            s->flash->read(s->flash->ctx, address_of(s, sector) + HEADER_SIZE + at, piece, n);
        if (err < 0) {
            return err;
        }
        *out = sf_crc32(*out, piece, n);
    }
    return SF_OK;
}

/* Looks at both sectors: the newest copy that is whole. -1 if there is none; `decayed` says whether
 * one was there, `highest` is the highest sequence number seen. */
struct found {
    struct copy copy;
    int sector;
    int decayed;
    uint32_t highest;
};

static int find(const struct sf_host_root_store *s, struct found *out)
{
    *out = (struct found){.sector = -1};
    for (unsigned i = 0; i < 2; i++) {
        struct copy copy;
        uint32_t crc = 0;
        int err = read_header(s, i, &copy);
        if (err == SF_OK && copy.sequence != 0) {
            err = data_crc(s, i, copy.len, &crc);
        }
        if (err < 0) {
            return SF_ERR_IO;
        }
        if (copy.sequence > out->highest) {
            out->highest = copy.sequence;
        }
        if (copy.sequence != 0 && crc != copy.data_crc) {
            out->decayed = 1;
        } else if (copy.sequence > out->copy.sequence) {
            out->copy = copy;
            out->sector = (int)i;
        }
    }
    return SF_OK;
}

static int32_t root_get(const struct sf_host_root_store *s, uint8_t *out, size_t size)
{
    struct found found;
    int err = find(s, &found);
    if (err < 0) {
        return err;
    }
    if (found.sector < 0 || found.copy.len == 0) {
        return found.decayed ? SF_ERR_CORRUPT : SF_ERR_NOTFOUND;
    }
    if (found.copy.len > size) {
        return SF_ERR_CORRUPT;
    }
    const uint32_t at = address_of(s, (unsigned)found.sector) + HEADER_SIZE;
    err = s->flash->read(s->flash->ctx, at, out, found.copy.len);
    if (err < 0 || sf_crc32(0, out, found.copy.len) != found.copy.data_crc) {
        return SF_ERR_IO; /* it was right a moment ago */
    }
    return (int32_t)found.copy.len;
}

/* Programs pieces of a sector that was erased, the last one filled up. */
static int write_data(const struct sf_host_root_store *s, uint32_t address, const uint8_t *data,
                      size_t len)
{
    uint8_t piece[GRAIN];
    for (size_t at = 0; at < len; at += GRAIN) {
        const size_t n = len - at < GRAIN ? len - at : GRAIN;
        memset(piece, ERASED, sizeof(piece));
        memcpy(piece, data + at, n);
        const int err =
            s->flash->write(s->flash->ctx, address + (uint32_t)at, piece, sizeof(piece));
        if (err < 0) {
            return err;
        }
    }
    return SF_OK;
}

static int write_header(const struct sf_host_root_store *s, unsigned sector,
                        const struct copy *copy)
{
    uint8_t bytes[HEADER_SIZE];
    struct sf_writer w;
    sf_writer_init(&w, bytes, sizeof(bytes));
    sf_write_u32le(&w, MAGIC);
    sf_write_u32le(&w, copy->sequence);
    sf_write_u16le(&w, copy->len);
    sf_write_fill(&w, 0, 14);
    sf_write_u32le(&w, copy->data_crc);
    sf_write_u32le(&w, sf_crc32(0, bytes, HEADER_CRC_AT));
    const int32_t len = sf_writer_end(&w);
    return len < 0 ? len
                   : s->flash->write(s->flash->ctx, address_of(s, sector), bytes, (size_t)len);
}

static int root_set(const struct sf_host_root_store *s, const uint8_t *data, size_t len)
{
    struct found found;
    if (len > SF_ROOT_RECORD_MAX) {
        return SF_ERR_RANGE;
    }
    int err = find(s, &found);
    if (err < 0) {
        return err;
    }
    const unsigned sector = found.sector == 0 ? 1 : 0;
    const struct copy copy = {
        .sequence = found.highest + 1,
        .data_crc = sf_crc32(0, data, len),
        .len = (uint16_t)len,
    };
    err = s->flash->erase(s->flash->ctx, address_of(s, sector), SF_SECTOR_SIZE);
    if (err == SF_OK) {
        err = write_data(s, address_of(s, sector) + HEADER_SIZE, data, len);
    }
    if (err == SF_OK) {
        err = write_header(s, sector, &copy);
    }
    if (err == SF_OK) { /* a record that is stored must be there at the next boot */
        err = find(s, &found);
        err = err == SF_OK && found.copy.sequence != copy.sequence ? SF_ERR_READ_BACK : err;
    }
    return err;
}

static int32_t store_get(void *ctx, enum sf_record key, void *out, size_t size)
{
    const struct sf_host_root_store *s = ctx;
    return key == SF_RECORD_ROOT ? root_get(s, out, size)
                                 : s->others->get(s->others->ctx, key, out, size);
}

static int store_set(void *ctx, enum sf_record key, const void *data, size_t len)
{
    const struct sf_host_root_store *s = ctx;
    return key == SF_RECORD_ROOT ? root_set(s, data, len)
                                 : s->others->set(s->others->ctx, key, data, len);
}

int sf_host_root_store_open(struct sf_host_root_store *s, const struct sf_store *others,
                            const struct sf_flash *flash, uint32_t offset)
{
    *s = (struct sf_host_root_store){.others = others, .flash = flash, .offset = offset};
    s->ops = (struct sf_store){.ctx = s, .get = store_get, .set = store_set};
    return GRAIN % flash->write_size == 0 ? SF_OK : SF_ERR_RANGE;
}
