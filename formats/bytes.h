#ifndef SF_BYTES_H
#define SF_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* Little-endian cursors over bytes somebody else owns, for on-flash layouts and stored records. The
 * first failure sticks: later calls do nothing (reads give zero), so a codec handles all its fields
 * and checks once at the end. */

struct sf_reader {
    const uint8_t *data;
    size_t len;
    size_t pos;
    int err;
};

void sf_reader_init(struct sf_reader *r, const void *data, size_t len);
uint8_t sf_read_u8(struct sf_reader *r);
uint16_t sf_read_u16le(struct sf_reader *r);
uint32_t sf_read_u32le(struct sf_reader *r);
uint64_t sf_read_u64le(struct sf_reader *r);
void sf_read_bytes(struct sf_reader *r, void *dst, size_t len); /* zeros on failure */
void sf_read_skip(struct sf_reader *r, size_t len);

/* SF_OK if no read failed and all bytes were used, else the first error, or SF_ERR_TRAILING. */
int sf_reader_end(const struct sf_reader *r) __attribute__((warn_unused_result));

struct sf_writer {
    uint8_t *data;
    size_t size;
    size_t pos;
    int err;
};

void sf_writer_init(struct sf_writer *w, void *data, size_t size);
void sf_write_u8(struct sf_writer *w, uint8_t value);
void sf_write_u16le(struct sf_writer *w, uint16_t value);
void sf_write_u32le(struct sf_writer *w, uint32_t value);
void sf_write_u64le(struct sf_writer *w, uint64_t value);
void sf_write_bytes(struct sf_writer *w, const void *src, size_t len);
void sf_write_fill(struct sf_writer *w, uint8_t value, size_t len);

/* Number of bytes written (>= 0) or SF_ERR_NOSPC. */
int32_t sf_writer_end(const struct sf_writer *w) __attribute__((warn_unused_result));

#endif
