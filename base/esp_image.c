/* App images out of nothing. */
#include "base/esp_image.h"

#include <assert.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "formats/bytes.h"

enum {
    SEGMENTS = 4,
    HASH_SIZE = 32,
    DATA_AT = 0x20,          /* data of the first segment */
    FIRST_DATA_SIZE = 0x200, /* app_desc, updater record, behaviour record, filling */
    SMALL_DATA_SIZE = 0x40,  /* of the two segments in RAM */
};

static uint32_t next_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return x;
}

static void write_random(struct sf_writer *w, uint32_t *state, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sf_write_u8(w, (uint8_t)(next_random(state) >> 11));
    }
}

static void write_text(struct sf_writer *w, const char *text, size_t size)
{
    const size_t len = strlen(text);
    assert(len <= size);
    sf_write_bytes(w, text, len);
    sf_write_fill(w, 0, size - len);
}

static void write_header(struct sf_writer *w)
{
    sf_write_u8(w, SF_IMAGE_MAGIC);
    sf_write_u8(w, SEGMENTS);
    sf_write_u8(w, 2);    /* DIO */
    sf_write_u8(w, 0x2f); /* 4 MB, 80 MHz */
    sf_write_u32le(w, 0x40380000);
    sf_write_u8(w, 0xee); /* wp_pin off */
    sf_write_fill(w, 0, 3);
    sf_write_u16le(w, SF_CHIP_ESP32C3);
    sf_write_u8(w, 0);
    sf_write_u16le(w, 3);  /* min_chip_rev_full */
    sf_write_u16le(w, 99); /* max_chip_rev_full */
    sf_write_fill(w, 0, 4);
    sf_write_u8(w, 1);
}

static void write_desc(struct sf_writer *w, const struct esp_image_spec *spec)
{
    const size_t at = w->pos;
    sf_write_u32le(w, 0xabcd5432);
    sf_write_u32le(w, spec->secure_version);
    sf_write_fill(w, 0, 8);
    write_text(w, spec->version != NULL ? spec->version : "1.0.0", 32);
    write_text(w, spec->project_name != NULL ? spec->project_name : "lamp", 32);
    write_text(w, "12:00:00", 16);
    write_text(w, "Jul  1 2026", 16);
    write_text(w, "v5.1", 32);
    sf_write_fill(w, 0xa5, 32);
    sf_write_u16le(w, 0);
    sf_write_u16le(w, 199);
    sf_write_u8(w, 16);
    sf_write_fill(w, 0, SF_IMAGE_DESC_SIZE - (w->pos - at));
}

static void write_records(struct sf_writer *w, const struct esp_image_spec *spec)
{
    static const uint8_t default_class[SF_UUID_SIZE] = {0x5a, 0x11};
    struct sf_updater_record record = {
        .record_version = 1, .protocol_version = 1, .library_version = 0x000100};
    uint8_t bytes[SF_IMAGE_RECORD_SIZE] = {0};
    memcpy(record.class_uuid, spec->class_uuid != NULL ? spec->class_uuid : default_class,
           SF_UUID_SIZE);
    if (!spec->without_record) {
        sf_updater_record_encode(&record, bytes);
    }
    sf_write_bytes(w, bytes, sizeof(bytes));
    uint8_t behaviour[SF_BEHAVIOUR_SIZE] = {0};
    if (spec->behaviour != NULL) {
        sf_behaviour_encode(spec->behaviour, behaviour);
    }
    sf_write_bytes(w, behaviour, sizeof(behaviour));
}

static void write_segment_header(struct sf_writer *w, uint32_t load_addr, size_t len)
{
    sf_write_u32le(w, load_addr);
    sf_write_u32le(w, (uint32_t)len);
}

size_t esp_image_build(const struct esp_image_spec *spec, uint8_t *out, size_t size)
{
    const size_t len = spec->size != 0 ? spec->size : 8192;
    assert(len >= ESP_IMAGE_SIZE_MIN && len % 16 == 0 && len <= size);
    (void)size;
    uint32_t random = spec->seed * 2654435761U + 1;
    struct sf_writer w;
    sf_writer_init(&w, out, len);
    write_header(&w);
    write_segment_header(&w, 0x3c000000 + DATA_AT, FIRST_DATA_SIZE);
    write_desc(&w, spec);
    write_records(&w, spec);
    write_random(&w, &random, DATA_AT + FIRST_DATA_SIZE - w.pos);
    write_segment_header(&w, 0x3fc90000, SMALL_DATA_SIZE);
    write_random(&w, &random, SMALL_DATA_SIZE);
    write_segment_header(&w, 0x40380000, SMALL_DATA_SIZE);
    write_random(&w, &random, SMALL_DATA_SIZE);
    const size_t data_at = w.pos + SF_IMAGE_SEGMENT_HEADER_SIZE;
    const size_t data_len = len - HASH_SIZE - 4 - data_at; /* 3 bytes of padding, 1 of checksum */
    write_segment_header(&w, (uint32_t)(0x42000000 + data_at % 0x10000), data_len);
    write_random(&w, &random, data_len);
    sf_write_fill(&w, 0, len - w.pos);
    const int32_t written = sf_writer_end(&w);
    assert(written == (int32_t)len);
    (void)written;
    esp_image_reseal(out, len);
    return len;
}

void esp_image_rehash(uint8_t *image, size_t len)
{
    const struct sf_crypto *c = crypto_openssl();
    struct sf_sha256 hash;
    int err = c->sha256_start(c->ctx, &hash);
    err |= c->sha256_feed(c->ctx, &hash, image, len - HASH_SIZE);
    err |= c->sha256_end(c->ctx, &hash, image + len - HASH_SIZE);
    assert(err == SF_OK);
    (void)err;
}

void esp_image_rechecksum(uint8_t *image, size_t len)
{
    uint8_t sum = 0xef;
    size_t at = SF_IMAGE_HEADER_SIZE;
    for (unsigned i = 0; i < SEGMENTS; i++) {
        struct sf_reader r;
        sf_reader_init(&r, image + at + 4, 4);
        const size_t data_len = sf_read_u32le(&r);
        at += SF_IMAGE_SEGMENT_HEADER_SIZE;
        for (size_t k = 0; k < data_len; k++) {
            sum ^= image[at + k];
        }
        at += data_len;
    }
    image[len - HASH_SIZE - 1] = sum;
}

void esp_image_reseal(uint8_t *image, size_t len)
{
    esp_image_rechecksum(image, len);
    esp_image_rehash(image, len);
}
