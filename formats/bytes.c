#include "formats/bytes.h"

#include <assert.h>
#include <string.h>

#include "formats/err.h"

void sf_reader_init(struct sf_reader *r, const void *data, size_t len)
{
    assert(data != NULL || len == 0);
    *r = (struct sf_reader){.data = data, .len = len, .pos = 0, .err = SF_OK};
}

static const uint8_t *reader_take(struct sf_reader *r, size_t n)
{
    assert(r->pos <= r->len);
    if (r->err == SF_OK && n > r->len - r->pos) {
        r->err = SF_ERR_TRUNCATED;
    }
    if (r->err != SF_OK) {
        return NULL;
    }
    const uint8_t *p = r->data + r->pos;
    r->pos += n;
    return p;
}

static uint64_t reader_take_le(struct sf_reader *r, size_t n)
{
    const uint8_t *p = reader_take(r, n);
    uint64_t value = 0;
    for (size_t i = 0; p != NULL && i < n; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

uint8_t sf_read_u8(struct sf_reader *r)
{
    return (uint8_t)reader_take_le(r, 1);
}

uint16_t sf_read_u16le(struct sf_reader *r)
{
    return (uint16_t)reader_take_le(r, 2);
}

uint32_t sf_read_u32le(struct sf_reader *r)
{
    return (uint32_t)reader_take_le(r, 4);
}

uint64_t sf_read_u64le(struct sf_reader *r)
{
    return reader_take_le(r, 8);
}

void sf_read_bytes(struct sf_reader *r, void *dst, size_t len)
{
    const uint8_t *p = reader_take(r, len);
    if (p != NULL && len > 0) {
        memcpy(dst, p, len);
    } else if (len > 0) {
        memset(dst, 0, len);
    }
}

void sf_read_skip(struct sf_reader *r, size_t len)
{
    (void)reader_take(r, len);
}

int sf_reader_end(const struct sf_reader *r)
{
    if (r->err != SF_OK) {
        return r->err;
    }
    return r->pos == r->len ? SF_OK : SF_ERR_TRAILING;
}

void sf_writer_init(struct sf_writer *w, void *data, size_t size)
{
    assert(data != NULL || size == 0);
    *w = (struct sf_writer){.data = data, .size = size, .pos = 0, .err = SF_OK};
}

static uint8_t *writer_take(struct sf_writer *w, size_t n)
{
    assert(w->pos <= w->size);
    if (w->err == SF_OK && n > w->size - w->pos) {
        w->err = SF_ERR_NOSPC;
    }
    if (w->err != SF_OK) {
        return NULL;
    }
    uint8_t *p = w->data + w->pos;
    w->pos += n;
    return p;
}

static void writer_put_le(struct sf_writer *w, uint64_t value, size_t n)
{
    uint8_t *p = writer_take(w, n);
    for (size_t i = 0; p != NULL && i < n; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
}

void sf_write_u8(struct sf_writer *w, uint8_t value)
{
    writer_put_le(w, value, 1);
}

void sf_write_u16le(struct sf_writer *w, uint16_t value)
{
    writer_put_le(w, value, 2);
}

void sf_write_u32le(struct sf_writer *w, uint32_t value)
{
    writer_put_le(w, value, 4);
}

void sf_write_u64le(struct sf_writer *w, uint64_t value)
{
    writer_put_le(w, value, 8);
}

void sf_write_bytes(struct sf_writer *w, const void *src, size_t len)
{
    uint8_t *p = writer_take(w, len);
    if (p != NULL && len > 0) {
        memcpy(p, src, len);
    }
}

void sf_write_fill(struct sf_writer *w, uint8_t value, size_t len)
{
    uint8_t *p = writer_take(w, len);
    if (p != NULL && len > 0) {
        memset(p, value, len);
    }
}

int32_t sf_writer_end(const struct sf_writer *w)
{
    return w->err != SF_OK ? w->err : (int32_t)w->pos;
}
