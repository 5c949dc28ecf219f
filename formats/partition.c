#include "formats/partition.h"

#include <assert.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/md5.h"
#include "formats/otadata.h"

enum {
    MD5_MAGIC = 0xebeb,
    MD5_DIGEST_OFFSET = 16,
    END_TYPE_SUBTYPE = 0xffff,
    APP_ALIGNMENT = 0x10000,
    DATA_ALIGNMENT = 0x1000,
    APP_SIZE_ALIGNMENT = 0x1000,
};

_Static_assert(2 + 1 + 1 + 4 + 4 + (sizeof(((struct sf_partition *)0)->label) - 1) + 4 ==
                   SF_PARTITION_ENTRY_SIZE,
               "entry layout");
_Static_assert(SF_PARTITION_TABLE_SIZE == (SF_PARTITION_MAX + 1) * SF_PARTITION_ENTRY_SIZE,
               "table layout");

int sf_partition_decode(const uint8_t bytes[SF_PARTITION_ENTRY_SIZE], struct sf_partition *out)
{
    struct sf_reader r;
    sf_reader_init(&r, bytes, SF_PARTITION_ENTRY_SIZE);
    const uint16_t magic = sf_read_u16le(&r);
    memset(out, 0, sizeof(*out));
    if (magic != SF_PARTITION_MAGIC) {
        return SF_ERR_MAGIC;
    }
    out->type = sf_read_u8(&r);
    out->subtype = sf_read_u8(&r);
    out->offset = sf_read_u32le(&r);
    out->size = sf_read_u32le(&r);
    sf_read_bytes(&r, out->label, sizeof(out->label) - 1);
    out->flags = sf_read_u32le(&r);
    return sf_reader_end(&r);
}

void sf_partition_encode(const struct sf_partition *entry, uint8_t bytes[SF_PARTITION_ENTRY_SIZE])
{
    struct sf_writer w;
    sf_writer_init(&w, bytes, SF_PARTITION_ENTRY_SIZE);
    sf_write_u16le(&w, SF_PARTITION_MAGIC);
    sf_write_u8(&w, entry->type);
    sf_write_u8(&w, entry->subtype);
    sf_write_u32le(&w, entry->offset);
    sf_write_u32le(&w, entry->size);
    sf_write_bytes(&w, entry->label, sizeof(entry->label) - 1);
    sf_write_u32le(&w, entry->flags);
    assert(sf_writer_end(&w) == SF_PARTITION_ENTRY_SIZE);
}

static int is_otadata(const struct sf_partition *p)
{
    return p->type == SF_PARTITION_DATA && p->subtype == SF_PARTITION_DATA_OTA;
}

static int is_ota(const struct sf_partition *p)
{
    return p->type == SF_PARTITION_APP && p->subtype >= SF_PARTITION_APP_OTA_0 &&
           p->subtype < SF_PARTITION_APP_OTA_0 + SF_OTA_SLOT_MAX;
}

/* One pass over the rows of a table. */
struct decoding {
    const uint8_t *data;
    uint32_t flash_size;
    struct sf_partition_table *table;
    struct sf_diag *diag;
};

static int take_entry(const struct decoding *d, size_t at)
{
    struct sf_partition_table *t = d->table;
    if (t->has_md5) {
        return sf_fail(d->diag, SF_ERR_FORMAT, at, "an entry follows the MD5 entry");
    }
    if (t->count == SF_PARTITION_MAX) {
        return sf_fail(d->diag, SF_ERR_TRUNCATED, at, "no end marker within 96 entries");
    }
    struct sf_partition *p = &t->entry[t->count];
    const int err = sf_partition_decode(d->data + at, p);
    if (err != SF_OK) {
        return sf_fail(d->diag, err, at, "neither an entry nor the MD5 entry nor the end marker");
    }
    if (p->offset > d->flash_size || p->size > d->flash_size - p->offset) {
        return sf_fail(d->diag, SF_ERR_RANGE, at + 4,
                       "the partition reaches beyond the flash chip");
    }
    if (is_otadata(p) && p->size < SF_OTADATA_SIZE) {
        return sf_fail(d->diag, SF_ERR_RANGE, at + 8, "otadata is smaller than 0x2000 bytes");
    }
    t->count++;
    return SF_OK;
}

static int take_md5(const struct decoding *d, size_t at)
{
    if (d->table->has_md5) {
        return sf_fail(d->diag, SF_ERR_DUPLICATE, at, "a second MD5 entry");
    }
    uint8_t digest[SF_MD5_SIZE];
    sf_md5(d->data, at, digest);
    if (memcmp(digest, d->data + at + MD5_DIGEST_OFFSET, sizeof(digest)) != 0) {
        return sf_fail(d->diag, SF_ERR_MD5, at + MD5_DIGEST_OFFSET,
                       "the MD5 of the partition table does not match");
    }
    d->table->has_md5 = 1;
    return SF_OK;
}

int sf_partition_table_decode(const uint8_t *data, size_t len, uint32_t flash_size,
                              struct sf_partition_table *out, struct sf_diag *diag)
{
    memset(out, 0, sizeof(*out));
    const struct decoding d = {.data = data, .flash_size = flash_size, .table = out, .diag = diag};
    for (size_t at = 0; at < SF_PARTITION_TABLE_SIZE; at += SF_PARTITION_ENTRY_SIZE) {
        if (len < at + SF_PARTITION_ENTRY_SIZE) {
            return sf_fail(diag, SF_ERR_TRUNCATED, len, "the partition table has no end marker");
        }
        const unsigned magic = data[at] | (unsigned)data[at + 1] << 8;
        const unsigned kind = data[at + 2] | (unsigned)data[at + 3] << 8;
        if (magic == UINT16_MAX && kind == END_TYPE_SUBTYPE) {
            if (out->count == 0) {
                return sf_fail(diag, SF_ERR_NOTFOUND, at, "the partition table is empty");
            }
            return SF_OK;
        }
        const int err = magic == MD5_MAGIC ? take_md5(&d, at) : take_entry(&d, at);
        if (err != SF_OK) {
            return err;
        }
    }
    return sf_fail(diag, SF_ERR_TRUNCATED, SF_PARTITION_TABLE_SIZE,
                   "the partition table has no end marker");
}

static int check_alone(const struct sf_partition *p, size_t at, struct sf_diag *diag)
{
    const uint32_t alignment = p->type == SF_PARTITION_APP ? APP_ALIGNMENT : DATA_ALIGNMENT;
    if (p->offset % alignment != 0) {
        return sf_fail(diag, SF_ERR_RANGE, at + 4, "the partition's offset is not aligned");
    }
    if (p->size == 0 || (p->type == SF_PARTITION_APP && p->size % APP_SIZE_ALIGNMENT != 0)) {
        return sf_fail(diag, SF_ERR_RANGE, at + 8, "the partition's size is no such size");
    }
    if (is_otadata(p) && p->size != SF_OTADATA_SIZE) {
        return sf_fail(diag, SF_ERR_RANGE, at + 8, "otadata must be 0x2000 bytes");
    }
    return SF_OK;
}

static int check_pair(const struct sf_partition *a, const struct sf_partition *b, size_t at,
                      struct sf_diag *diag)
{
    if (a->label[0] != '\0' && strcmp(a->label, b->label) == 0) {
        return sf_fail(diag, SF_ERR_DUPLICATE, at + 12, "two partitions have the same label");
    }
    if (is_otadata(a) && is_otadata(b)) {
        return sf_fail(diag, SF_ERR_DUPLICATE, at, "a second otadata partition");
    }
    if (is_ota(a) && is_ota(b) && a->subtype == b->subtype) {
        return sf_fail(diag, SF_ERR_DUPLICATE, at + 3, "two partitions for the same slot");
    }
    const uint64_t a_end = (uint64_t)a->offset + a->size;
    const uint64_t b_end = (uint64_t)b->offset + b->size;
    if (a->offset < b_end && b->offset < a_end) {
        return sf_fail(diag, SF_ERR_OVERLAP, at + 4, "the partition overlaps another one");
    }
    return SF_OK;
}

int sf_partition_table_check(const struct sf_partition_table *table, struct sf_diag *diag)
{
    const unsigned ota_count = sf_partition_ota_count(table);
    for (unsigned i = 0; i < table->count; i++) {
        const struct sf_partition *p = &table->entry[i];
        const size_t at = (size_t)i * SF_PARTITION_ENTRY_SIZE;
        int err = check_alone(p, at, diag);
        for (unsigned k = 0; err == SF_OK && k < i; k++) {
            err = check_pair(p, &table->entry[k], at, diag);
        }
        if (err != SF_OK) {
            return err;
        }
        if (is_ota(p) && p->subtype >= SF_PARTITION_APP_OTA_0 + ota_count) {
            return sf_fail(diag, SF_ERR_RANGE, at + 3,
                           "the ota slots are not contiguous from ota_0");
        }
    }
    return SF_OK;
}

int sf_partition_table_encode(const struct sf_partition_table *table,
                              uint8_t out[SF_PARTITION_TABLE_SIZE])
{
    /* The end marker needs a row, and so does the MD5. */
    const unsigned rows = table->count + (table->has_md5 ? 1 : 0) + 1;
    if (rows > SF_PARTITION_TABLE_SIZE / SF_PARTITION_ENTRY_SIZE) {
        return SF_ERR_NOSPC;
    }
    memset(out, 0xff, SF_PARTITION_TABLE_SIZE);
    size_t at = 0;
    for (unsigned i = 0; i < table->count; i++, at += SF_PARTITION_ENTRY_SIZE) {
        sf_partition_encode(&table->entry[i], out + at);
    }
    if (table->has_md5) {
        out[at] = MD5_MAGIC & 0xff;
        out[at + 1] = MD5_MAGIC >> 8;
        sf_md5(out, at, out + at + MD5_DIGEST_OFFSET);
    }
    return SF_OK;
}

const struct sf_partition *sf_partition_find(const struct sf_partition_table *table, uint8_t type,
                                             uint8_t subtype)
{
    for (unsigned i = 0; i < table->count; i++) {
        if (table->entry[i].type == type && table->entry[i].subtype == subtype) {
            return &table->entry[i];
        }
    }
    return NULL;
}

const struct sf_partition *sf_partition_find_label(const struct sf_partition_table *table,
                                                   const char *label)
{
    for (unsigned i = 0; i < table->count; i++) {
        if (strcmp(table->entry[i].label, label) == 0) {
            return &table->entry[i];
        }
    }
    return NULL;
}

unsigned sf_partition_ota_count(const struct sf_partition_table *table)
{
    unsigned count = 0;
    while (count < SF_OTA_SLOT_MAX &&
           sf_partition_find(table, SF_PARTITION_APP, (uint8_t)(SF_PARTITION_APP_OTA_0 + count))) {
        count++;
    }
    return count;
}
