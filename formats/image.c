/* The app image. One pass, one state machine:
 *
 *     HEADER 24 | { SEGMENT_HEADER 8 | DATA n } x segments | PAD to 16, checksum last | HASH 32
 *
 * 1. pos is the number of bytes fed; phase_end the offset at which the present phase ends.
 * 2. Nothing of the input is kept but head_bytes and the present phase's fixed fields in scratch.
 * 3. hashing is true exactly while the port's hash is open. */
#include "formats/image.h"

#include <assert.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32.h"
#include "formats/sbv2.h"

enum phase { HEADER, SEGMENT_HEADER, DATA, PAD, HASH, DONE };

enum {
    IMAGE_MAX = 16 * 1024 * 1024, /* the bootloader's own limit for partition and segment */
    CHECKSUM_SEED = 0xef,
};
#define DESC_MAGIC   UINT32_C(0xabcd5432)
#define RECORD_MAGIC UINT32_C(0x52554653) /* "SFUR" */

_Static_assert(SF_IMAGE_DESC_OFFSET == SF_IMAGE_HEADER_SIZE + SF_IMAGE_SEGMENT_HEADER_SIZE,
               "app_desc begins the first segment");
_Static_assert(SF_IMAGE_RECORD_OFFSET == SF_IMAGE_DESC_OFFSET + SF_IMAGE_DESC_SIZE,
               "the record follows app_desc");
_Static_assert(SF_IMAGE_RECORD_OFFSET + SF_IMAGE_RECORD_SIZE <= SF_IMAGE_HEAD_SIZE,
               "the head holds the record");

/* Two tables, because a device knows ids and never names. */
#define CHIP_MAP(X)         \
    X(ESP32, "esp32")       \
    X(ESP32S2, "esp32s2")   \
    X(ESP32C3, "esp32c3")   \
    X(ESP32S3, "esp32s3")   \
    X(ESP32C2, "esp32c2")   \
    X(ESP32C6, "esp32c6")   \
    X(ESP32H2, "esp32h2")   \
    X(ESP32P4, "esp32p4")   \
    X(ESP32C61, "esp32c61") \
    X(ESP32C5, "esp32c5")   \
    X(ESP32H21, "esp32h21") \
    X(ESP32H4, "esp32h4")   \
    X(ESP32S31, "esp32s31")

static const uint8_t chip_ids[] = {
#define X(id, name) SF_CHIP_##id,
    CHIP_MAP(X)
#undef X
};
static const char *const chip_names[] = {
#define X(id, name) name,
    CHIP_MAP(X)
#undef X
};
enum { CHIP_COUNT = sizeof(chip_ids) };

/* Its place in the tables, or CHIP_COUNT. */
static unsigned find_chip(unsigned chip_id)
{
    unsigned i = 0;
    while (i < CHIP_COUNT && chip_ids[i] != chip_id) {
        i++;
    }
    return i;
}

const char *sf_chip_name(uint16_t chip_id)
{
    const unsigned i = find_chip(chip_id);
    return i < CHIP_COUNT ? chip_names[i] : NULL;
}

int sf_chip_from_name(const char *name)
{
    for (unsigned i = 0; i < CHIP_COUNT; i++) {
        if (strcmp(chip_names[i], name) == 0) {
            return chip_ids[i];
        }
    }
    return -1;
}

int sf_app_desc_decode(const uint8_t bytes[SF_IMAGE_DESC_SIZE], struct sf_app_desc *out)
{
    struct sf_reader r;
    sf_reader_init(&r, bytes, SF_IMAGE_DESC_SIZE);
    memset(out, 0, sizeof(*out));
    if (sf_read_u32le(&r) != DESC_MAGIC) {
        return 0;
    }
    out->secure_version = sf_read_u32le(&r);
    sf_read_skip(&r, 8);
    sf_read_bytes(&r, out->version, sizeof(out->version) - 1);
    sf_read_bytes(&r, out->project_name, sizeof(out->project_name) - 1);
    sf_read_bytes(&r, out->time, sizeof(out->time) - 1);
    sf_read_bytes(&r, out->date, sizeof(out->date) - 1);
    sf_read_bytes(&r, out->idf_ver, sizeof(out->idf_ver) - 1);
    sf_read_bytes(&r, out->app_elf_sha256, sizeof(out->app_elf_sha256));
    sf_read_skip(&r, 4); /* eFuse block revisions */
    out->mmu_page_size_log2 = sf_read_u8(&r);
    sf_read_skip(&r, 75);
    assert(sf_reader_end(&r) == SF_OK);
    return 1;
}

int sf_updater_record_decode(const uint8_t bytes[SF_IMAGE_RECORD_SIZE],
                             struct sf_updater_record *out, struct sf_diag *diag)
{
    struct sf_reader r;
    sf_reader_init(&r, bytes, SF_IMAGE_RECORD_SIZE);
    memset(out, 0, sizeof(*out));
    if (sf_read_u32le(&r) != RECORD_MAGIC) {
        return sf_fail(diag, SF_ERR_NO_RECORD, 0, "no magic of an updater record");
    }
    struct sf_updater_record record = {.record_version = sf_read_u16le(&r)};
    record.protocol_version = sf_read_u16le(&r);
    sf_read_bytes(&r, record.class_uuid, sizeof(record.class_uuid));
    record.library_version = sf_read_u32le(&r);
    record.flags = sf_read_u32le(&r);
    sf_read_skip(&r, 28);
    const size_t crc_offset = r.pos;
    if (sf_read_u32le(&r) != sf_crc32(0, bytes, crc_offset)) {
        return sf_fail(diag, SF_ERR_CORRUPT, crc_offset, "the updater record's crc does not match");
    }
    assert(sf_reader_end(&r) == SF_OK);
    if (record.record_version != 1) {
        return sf_fail(diag, SF_ERR_VERSION, 4, "unknown version of the updater record");
    }
    *out = record;
    return SF_OK;
}

void sf_updater_record_encode(const struct sf_updater_record *record,
                              uint8_t bytes[SF_IMAGE_RECORD_SIZE])
{
    struct sf_writer w;
    sf_writer_init(&w, bytes, SF_IMAGE_RECORD_SIZE);
    sf_write_u32le(&w, RECORD_MAGIC);
    sf_write_u16le(&w, record->record_version);
    sf_write_u16le(&w, record->protocol_version);
    sf_write_bytes(&w, record->class_uuid, sizeof(record->class_uuid));
    sf_write_u32le(&w, record->library_version);
    sf_write_u32le(&w, record->flags);
    sf_write_fill(&w, 0, 28);
    sf_write_u32le(&w, sf_crc32(0, bytes, w.pos));
    assert(sf_writer_end(&w) == SF_IMAGE_RECORD_SIZE);
}

static void decode_header(const uint8_t *data, struct sf_image_header *out)
{
    struct sf_reader r;
    sf_reader_init(&r, data, SF_IMAGE_HEADER_SIZE);
    sf_read_skip(&r, 1); /* magic */
    out->segment_count = sf_read_u8(&r);
    out->spi_mode = sf_read_u8(&r);
    const uint8_t speed_size = sf_read_u8(&r);
    out->spi_speed = speed_size & 0x0f;
    out->spi_size = speed_size >> 4;
    out->entry_addr = sf_read_u32le(&r);
    sf_read_skip(&r, 4); /* wp_pin, spi_pin_drv */
    out->chip_id = sf_read_u16le(&r);
    sf_read_skip(&r, 1); /* min_chip_rev, replaced by the full one */
    out->min_chip_rev_full = sf_read_u16le(&r);
    out->max_chip_rev_full = sf_read_u16le(&r);
    sf_read_skip(&r, 4); /* reserved */
    out->hash_appended = sf_read_u8(&r);
    assert(sf_reader_end(&r) == SF_OK);
}

static int check_header(const uint8_t *data, size_t len, struct sf_diag *diag)
{
    if (len > 0 && data[0] != SF_IMAGE_MAGIC) {
        return sf_fail(diag, SF_ERR_MAGIC, 0, "an app image begins with e9");
    }
    if (len < SF_IMAGE_HEADER_SIZE) {
        return sf_fail(diag, SF_ERR_TRUNCATED, len, "the image header is incomplete");
    }
    if (data[1] == 0 || data[1] > SF_IMAGE_SEGMENT_MAX) {
        return sf_fail(diag, SF_ERR_SEGMENTS, 1, "the number of segments is not 1 to 16");
    }
    if (find_chip(data[12] | (unsigned)data[13] << 8) == CHIP_COUNT) {
        return sf_fail(diag, SF_ERR_CHIP_UNKNOWN, 12, "unknown chip id in the image header");
    }
    return SF_OK;
}

int sf_image_head_decode(const uint8_t *data, size_t len, struct sf_image_head *out,
                         struct sf_diag *diag)
{
    memset(out, 0, sizeof(*out));
    out->record_err = SF_ERR_NO_RECORD;
    const int err = check_header(data, len, diag);
    if (err != SF_OK) {
        return err;
    }
    decode_header(data, &out->header);
    if (len >= SF_IMAGE_RECORD_OFFSET) {
        out->has_desc = sf_app_desc_decode(data + SF_IMAGE_DESC_OFFSET, &out->desc);
    }
    if (len < SF_IMAGE_RECORD_OFFSET + SF_IMAGE_RECORD_SIZE) {
        return SF_OK;
    }
    struct sf_diag why = {0, NULL};
    out->record_err = sf_updater_record_decode(data + SF_IMAGE_RECORD_OFFSET, &out->record, &why);
    out->has_record = out->record_err == SF_OK;
    if (out->record_err == SF_OK || out->record_err == SF_ERR_NO_RECORD) {
        return SF_OK;
    }
    return sf_fail(diag, out->record_err, SF_IMAGE_RECORD_OFFSET + why.offset, why.why);
}

static int fail(struct sf_image_parser *p, int err, uint32_t offset, const char *why)
{
    p->err = sf_fail(&p->diag, err, offset, why);
    return p->err;
}

/* Gives the port's hash back without a digest. */
static void abandon_hash(struct sf_image_parser *p)
{
    if (p->hashing) {
        p->hashing = 0;
        (void)p->crypto->sha256_end(p->crypto->ctx, &p->hash, NULL);
    }
}

int sf_image_start(struct sf_image_parser *p, const struct sf_crypto *crypto)
{
    memset(p, 0, sizeof(*p));
    memset(p->head_bytes, 0xff, sizeof(p->head_bytes));
    p->limit = IMAGE_MAX;
    p->crypto = crypto;
    p->phase = HEADER;
    p->phase_end = SF_IMAGE_HEADER_SIZE;
    p->checksum = CHECKSUM_SEED;
    if (crypto != NULL) {
        const int err = crypto->sha256_start(crypto->ctx, &p->hash);
        if (err != SF_OK) {
            return fail(p, err, 0, "could not start a SHA-256");
        }
        p->hashing = 1;
    }
    return SF_OK;
}

static void enter(struct sf_image_parser *p, enum phase phase, uint32_t len)
{
    if (len > p->limit || p->pos > p->limit - len) {
        if (p->limit >= IMAGE_MAX) {
            (void)fail(p, SF_ERR_RANGE, p->pos, "the image is longer than 16 MiB");
        } else {
            (void)fail(p, SF_ERR_NOSPC, p->pos, "the image runs beyond the end of its slot");
        }
        return;
    }
    p->phase = (uint8_t)phase;
    p->phase_end = p->pos + len;
}

static void refresh_head(struct sf_image_parser *p)
{
    const size_t len = p->pos < SF_IMAGE_HEAD_SIZE ? p->pos : SF_IMAGE_HEAD_SIZE;
    const int err = sf_image_head_decode(p->head_bytes, len, &p->head, &p->diag);
    if (err != SF_OK && err != p->head.record_err) {
        p->err = err;
    }
}

static void complete(struct sf_image_parser *p)
{
    p->phase = DONE;
    p->complete = 1;
    p->length = p->pos;
    if (p->pos < SF_IMAGE_HEAD_SIZE) {
        refresh_head(p);
    }
}

static void header_done(struct sf_image_parser *p)
{
    refresh_head(p);
    if (p->err == SF_OK && !p->head.header.hash_appended) {
        abandon_hash(p);
    }
    if (p->err == SF_OK) {
        enter(p, SEGMENT_HEADER, SF_IMAGE_SEGMENT_HEADER_SIZE);
    }
}

static void segment_header_done(struct sf_image_parser *p)
{
    struct sf_image_segment *s = &p->segment[p->segment_index];
    struct sf_reader r;
    sf_reader_init(&r, p->scratch, SF_IMAGE_SEGMENT_HEADER_SIZE);
    s->load_addr = sf_read_u32le(&r);
    s->data_len = sf_read_u32le(&r);
    s->data_offset = p->pos;
    if (s->data_len % 4 != 0) {
        (void)fail(p, SF_ERR_SEGMENTS, p->pos - 4, "a segment's length is no multiple of 4");
        return;
    }
    enter(p, DATA, s->data_len);
}

static void data_done(struct sf_image_parser *p)
{
    p->segment_index++;
    if (p->segment_index < p->head.header.segment_count) {
        enter(p, SEGMENT_HEADER, SF_IMAGE_SEGMENT_HEADER_SIZE);
    } else {
        enter(p, PAD, 16 - p->pos % 16);
    }
}

static void pad_done(struct sf_image_parser *p)
{
    /* The checksum is the last byte fed: scratch[0], which PAD overwrites byte by byte. */
    if (p->scratch[0] != p->checksum) {
        (void)fail(p, SF_ERR_CHECKSUM, p->pos - 1, "the checksum of the segments does not match");
    } else if (p->head.header.hash_appended) {
        enter(p, HASH, SF_SHA256_SIZE);
    } else {
        complete(p);
    }
}

static void hash_done(struct sf_image_parser *p)
{
    memcpy(p->appended, p->scratch, SF_SHA256_SIZE);
    if (p->hashing) {
        uint8_t digest[SF_SHA256_SIZE];
        p->hashing = 0;
        const int err = p->crypto->sha256_end(p->crypto->ctx, &p->hash, digest);
        if (err != SF_OK) {
            (void)fail(p, err, p->pos, "could not finish a SHA-256");
            return;
        }
        if (memcmp(digest, p->appended, SF_SHA256_SIZE) != 0) {
            (void)fail(p, SF_ERR_HASH, p->pos - SF_SHA256_SIZE,
                       "the appended SHA-256 does not match");
            return;
        }
    }
    complete(p);
}

static void phase_done(struct sf_image_parser *p)
{
    switch ((enum phase)p->phase) {
    case HEADER:
        header_done(p);
        break;
    case SEGMENT_HEADER:
        segment_header_done(p);
        break;
    case DATA:
        data_done(p);
        break;
    case PAD:
        pad_done(p);
        break;
    case HASH:
        hash_done(p);
        break;
    case DONE:
        break;
    }
}

static uint8_t xor_of(const uint8_t *data, size_t len)
{
    uint8_t x = 0;
    for (size_t i = 0; i < len; i++) {
        x ^= data[i];
    }
    return x;
}

/* `n` bytes that all belong to the present phase. */
static void take(struct sf_image_parser *p, const uint8_t *data, uint32_t n)
{
    static const uint8_t size[] = {
        [HEADER] = SF_IMAGE_HEADER_SIZE,
        [SEGMENT_HEADER] = SF_IMAGE_SEGMENT_HEADER_SIZE,
        [HASH] = SF_SHA256_SIZE,
    };
    const uint32_t left = p->phase_end - p->pos;
    if (p->phase == DATA) {
        p->checksum ^= xor_of(data, n);
    } else if (p->phase == PAD) {
        p->scratch[0] = data[n - 1];
    } else {
        memcpy(p->scratch + (size[p->phase] - left), data, n);
    }
    if (p->hashing && p->phase != HASH) {
        const int err = p->crypto->sha256_feed(p->crypto->ctx, &p->hash, data, n);
        if (err != SF_OK) {
            (void)fail(p, err, p->pos, "could not feed a SHA-256");
            return;
        }
    }
    const uint32_t before = p->pos;
    p->pos += n;
    if (before < SF_IMAGE_HEAD_SIZE) {
        const uint32_t room = SF_IMAGE_HEAD_SIZE - before;
        memcpy(p->head_bytes + before, data, n < room ? n : room);
        if (p->pos >= SF_IMAGE_HEAD_SIZE) {
            refresh_head(p);
        }
    }
}

static uint32_t signature_offset(const struct sf_image_parser *p)
{
    return (p->length + SF_SBV2_SECTOR_SIZE - 1) & ~(uint32_t)(SF_SBV2_SECTOR_SIZE - 1);
}

/* What of a signature sector's first block tells that it is one. */
static void take_trailing(struct sf_image_parser *p, const uint8_t *data, uint32_t n)
{
    const uint32_t start = signature_offset(p);
    for (uint32_t i = start > p->pos ? start - p->pos : 0; i < n; i++) {
        const uint32_t at = p->pos + i - start;
        if (at >= SF_SBV2_CRC_OFFSET + 4) {
            break;
        }
        if (at == 0) {
            p->sector_magic = data[i];
        }
        if (at < SF_SBV2_CRC_OFFSET) {
            p->sector_crc = sf_crc32(p->sector_crc, data + i, 1);
        } else {
            p->sector_crc_named |= (uint32_t)data[i] << (8 * (at - SF_SBV2_CRC_OFFSET));
        }
    }
    p->pos += n;
    p->trailing += n;
}

int sf_image_feed(struct sf_image_parser *p, const uint8_t *data, size_t len, struct sf_diag *diag)
{
    assert(data != NULL || len == 0);
    if (p->err == SF_OK && len > UINT32_MAX - p->pos) {
        (void)fail(p, SF_ERR_RANGE, p->pos, "more than 4 GiB were fed");
    }
    size_t done = 0;
    while (p->err == SF_OK && done < len) {
        uint32_t n = (uint32_t)(len - done);
        if (p->phase == DONE) {
            take_trailing(p, data + done, n);
            break;
        }
        const uint32_t left = p->phase_end - p->pos;
        n = n < left ? n : left;
        take(p, data + done, n);
        done += n;
        while (p->err == SF_OK && p->phase != DONE && p->pos == p->phase_end) {
            phase_done(p);
        }
    }
    if (p->err != SF_OK) {
        abandon_hash(p);
        return sf_fail(diag, p->err, p->diag.offset, p->diag.why);
    }
    return SF_OK;
}

int sf_image_end(struct sf_image_parser *p, struct sf_diag *diag)
{
    abandon_hash(p);
    if (p->err == SF_OK && !p->complete) {
        (void)fail(p, SF_ERR_TRUNCATED, p->pos, "the image ends too early");
    }
    if (p->err != SF_OK) {
        return sf_fail(diag, p->err, p->diag.offset, p->diag.why);
    }
    return SF_OK;
}

int sf_image_head_known(const struct sf_image_parser *p)
{
    return p->err == SF_OK && p->phase > HEADER;
}

int sf_image_file_length(const struct sf_image_parser *p, uint32_t *length_out,
                         struct sf_diag *diag)
{
    if (p->err != SF_OK || !p->complete) {
        return sf_fail(diag, SF_ERR_TRUNCATED, p->pos, "the image ends too early");
    }
    if (p->trailing == 0) {
        *length_out = p->length;
        return SF_OK;
    }
    if (p->sector_magic == SF_SBV2_MAGIC && p->pos == signature_offset(p) + SF_SBV2_SECTOR_SIZE) {
        if (p->sector_crc != p->sector_crc_named) {
            return sf_fail(diag, SF_ERR_TRAILING, signature_offset(p) + SF_SBV2_CRC_OFFSET,
                           "the crc of the first signature block does not match");
        }
        *length_out = p->pos;
        return SF_OK;
    }
    return sf_fail(diag, SF_ERR_TRAILING, p->length,
                   "bytes follow the image that are no signature sector");
}
