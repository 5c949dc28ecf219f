/* The stored records' bytes. Each record is a table of fields: the order of a table is the order on
 * flash, so a table only ever grows at its end. */
#include "device/records.h"

#include <stddef.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32.h"
#include "formats/err.h"

enum {
    HEADER = 4,     /* version and length */
    LOAD_TRIES = 4, /* reads that fail, or a wrong bit, must not pass for a record that is lost */
};

struct field {
    uint16_t offset;  /* in the struct */
    uint8_t size;     /* bytes, the same in the struct and on flash */
    uint8_t is_bytes; /* an array of bytes, else a little-endian integer */
};

#define NUMBER(type, member)                                                    \
    {                                                                           \
        offsetof(struct type, member), sizeof(((struct type *)NULL)->member), 0 \
    }
#define BYTES(type, member)                                                     \
    {                                                                           \
        offsetof(struct type, member), sizeof(((struct type *)NULL)->member), 1 \
    }
#define GOOD_IMAGE(i)                                                               \
    NUMBER(sf_record_good, image[i].slot), NUMBER(sf_record_good, image[i].length), \
        NUMBER(sf_record_good, image[i].fingerprint), BYTES(sf_record_good, image[i].digest)

static const struct field cred_fields[] = {
    BYTES(sf_record_cred, secret),
    NUMBER(sf_record_cred, known),
};

static const struct field trial_fields[] = {
    NUMBER(sf_record_trial, open),        NUMBER(sf_record_trial, kind),
    NUMBER(sf_record_trial, slot),        NUMBER(sf_record_trial, ota_seq),
    NUMBER(sf_record_trial, counter),     NUMBER(sf_record_trial, attempt),
    BYTES(sf_record_trial, digest),       NUMBER(sf_record_trial, length),
    NUMBER(sf_record_trial, fingerprint), NUMBER(sf_record_trial, boots),
    NUMBER(sf_record_trial, power_boots), NUMBER(sf_record_trial, confirming),
    NUMBER(sf_record_trial, error),       NUMBER(sf_record_trial, reset_reason),
    BYTES(sf_record_trial, text),
};

static const struct field failed_fields[] = {
    NUMBER(sf_record_failed, counter),   BYTES(sf_record_failed, digest),
    NUMBER(sf_record_failed, slot),      NUMBER(sf_record_failed, length),
    NUMBER(sf_record_failed, soft),      NUMBER(sf_record_failed, refused),
    NUMBER(sf_record_failed, undecided), NUMBER(sf_record_failed, attempt),
    NUMBER(sf_record_failed, error),
};

static const struct field progress_fields[] = {
    NUMBER(sf_record_progress, slot),   BYTES(sf_record_progress, digest),
    NUMBER(sf_record_progress, length), NUMBER(sf_record_progress, bytes),
    BYTES(sf_record_progress, etag),    BYTES(sf_record_progress, manifest_digest),
};

static const struct field floor_fields[] = {
    NUMBER(sf_record_floor, seq),
    NUMBER(sf_record_floor, epoch),
    BYTES(sf_record_floor, manifest_digest),
    NUMBER(sf_record_floor, counter),
    NUMBER(sf_record_floor, time),
    NUMBER(sf_record_floor, status_epoch),
};

static const struct field out_fields[] = {
    NUMBER(sf_record_out, outcome.counter), NUMBER(sf_record_out, outcome.attempt),
    NUMBER(sf_record_out, outcome.error),   NUMBER(sf_record_out, outcome.reset_reason),
    BYTES(sf_record_out, outcome.text),     NUMBER(sf_record_out, acknowledged),
};

static const struct field good_fields[] = {
    NUMBER(sf_record_good, count), GOOD_IMAGE(0), GOOD_IMAGE(1), GOOD_IMAGE(2), GOOD_IMAGE(3),
};

static const struct field boot_fields[] = {
    NUMBER(sf_record_boot, count),
    NUMBER(sf_record_boot, rollback),
};

static const struct layout {
    const struct field *fields;
    uint16_t count;
    uint16_t size; /* of the struct */
} layouts[SF_RECORD_COUNT] = {
#define LAYOUT(fields, type)                                              \
    {                                                                     \
        fields, sizeof(fields) / sizeof((fields)[0]), sizeof(struct type) \
    }
    [SF_RECORD_CRED] = LAYOUT(cred_fields, sf_record_cred),
    [SF_RECORD_TRIAL] = LAYOUT(trial_fields, sf_record_trial),
    [SF_RECORD_FAILED] = LAYOUT(failed_fields, sf_record_failed),
    [SF_RECORD_PROG] = LAYOUT(progress_fields, sf_record_progress),
    [SF_RECORD_FLOOR] = LAYOUT(floor_fields, sf_record_floor),
    [SF_RECORD_OUT] = LAYOUT(out_fields, sf_record_out),
    [SF_RECORD_GOOD] = LAYOUT(good_fields, sf_record_good),
    [SF_RECORD_BOOT] = LAYOUT(boot_fields, sf_record_boot),
    [SF_RECORD_FLOOR_COPY] = LAYOUT(floor_fields, sf_record_floor),
};
_Static_assert(SF_GOOD_MAX == 4, "good_fields lists each image");
_Static_assert(SF_RECORD_OVERHEAD + 1 + SF_GOOD_MAX * (1 + 4 + 4 + SF_SHA256_SIZE) <= SF_RECORD_MAX,
               "the largest record fits");

/* Between struct and flash, either way. Numbers are little-endian on flash. */
static void copy_field(const struct field *f, uint8_t *to, const uint8_t *from)
{
    const int is_reversed = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && !f->is_bytes;
    for (unsigned i = 0; i < f->size; i++) {
        to[i] = from[is_reversed ? f->size - 1U - i : i];
    }
}

int32_t sf_record_encode(enum sf_record key, const void *record, uint8_t *out, size_t size)
{
    const struct layout *l = &layouts[key];
    if (l->count == 0) {
        return SF_ERR_UNSUPPORTED;
    }
    uint32_t length = 0;
    for (unsigned i = 0; i < l->count; i++) {
        length += l->fields[i].size;
    }
    if (length + SF_RECORD_OVERHEAD > size) {
        return SF_ERR_NOSPC;
    }
    struct sf_writer w;
    sf_writer_init(&w, out, size);
    sf_write_u16le(&w, SF_RECORD_VERSION);
    sf_write_u16le(&w, (uint16_t)length);
    for (unsigned i = 0; i < l->count; i++) {
        copy_field(&l->fields[i], out + w.pos, (const uint8_t *)record + l->fields[i].offset);
        w.pos += l->fields[i].size;
    }
    sf_write_u32le(&w, sf_crc32(0, out, w.pos));
    return sf_writer_end(&w);
}

/* Whether the record is whole, and how many bytes its fields take. */
static int record_check(const uint8_t *data, size_t len, uint16_t *length_out)
{
    struct sf_reader r;
    sf_reader_init(&r, data, len);
    sf_read_skip(&r, 2); /* the version says nothing yet: fields are only ever appended */
    const uint16_t length = sf_read_u16le(&r);
    sf_read_skip(&r, length);
    const size_t covered = r.pos;
    const uint32_t crc = sf_read_u32le(&r);
    if (r.err != SF_OK) {
        return SF_ERR_TRUNCATED;
    }
    if (crc != sf_crc32(0, data, covered)) {
        return SF_ERR_CORRUPT;
    }
    *length_out = length;
    return SF_OK;
}

/* Texts come back terminated whatever was stored. */
static void terminate_texts(enum sf_record key, void *record)
{
    if (key == SF_RECORD_TRIAL) {
        struct sf_record_trial *t = record;
        t->text[sizeof(t->text) - 1] = '\0';
    } else if (key == SF_RECORD_OUT) {
        struct sf_record_out *o = record;
        o->outcome.text[sizeof(o->outcome.text) - 1] = '\0';
    } else if (key == SF_RECORD_PROG) {
        struct sf_record_progress *p = record;
        p->etag[sizeof(p->etag) - 1] = '\0';
    } else if (key == SF_RECORD_GOOD) {
        struct sf_record_good *g = record;
        g->count = g->count > SF_GOOD_MAX ? SF_GOOD_MAX : g->count;
    }
}

int sf_record_decode(enum sf_record key, const uint8_t *data, size_t len, void *record)
{
    const struct layout *l = &layouts[key];
    uint16_t length = 0;
    if (l->count == 0) {
        return SF_ERR_UNSUPPORTED;
    }
    memset(record, 0, l->size);
    const int err = record_check(data, len, &length);
    if (err != SF_OK) {
        return err;
    }
    unsigned at = 0;
    for (unsigned i = 0; i < l->count && at + l->fields[i].size <= length; i++) {
        copy_field(&l->fields[i], (uint8_t *)record + l->fields[i].offset, data + HEADER + at);
        at += l->fields[i].size;
    }
    terminate_texts(key, record);
    return SF_OK;
}

int sf_record_load(const struct sf_store *store, enum sf_record key, void *record)
{
    uint8_t bytes[SF_RECORD_MAX];
    int err = SF_ERR_STORE;
    memset(record, 0, layouts[key].size);
    for (unsigned i = 0; i < LOAD_TRIES && err != SF_OK && err != SF_ERR_NOTFOUND; i++) {
        const int32_t len = store->get(store->ctx, key, bytes, sizeof(bytes));
        err = len < 0 ? (int)len : sf_record_decode(key, bytes, (size_t)len, record);
    }
    if (err == SF_ERR_TRUNCATED) {
        return SF_ERR_CORRUPT;
    }
    return err == SF_OK || err == SF_ERR_NOTFOUND || err == SF_ERR_CORRUPT ? err : SF_ERR_STORE;
}

/* A write that fails once must not cost an outcome or a trial: stores move on to another place. */
static int set_twice(const struct sf_store *store, enum sf_record key, const void *data, size_t len)
{
    int err = store->set(store->ctx, key, data, len);
    if (err != SF_OK) {
        err = store->set(store->ctx, key, data, len);
    }
    return err == SF_OK ? SF_OK : SF_ERR_STORE;
}

int sf_record_save(const struct sf_store *store, enum sf_record key, const void *record)
{
    uint8_t bytes[SF_RECORD_MAX];
    const int32_t len = sf_record_encode(key, record, bytes, sizeof(bytes));
    if (len < 0) {
        return (int)len;
    }
    return set_twice(store, key, bytes, (size_t)len);
}

int sf_record_remove(const struct sf_store *store, enum sf_record key)
{
    return set_twice(store, key, NULL, 0);
}
