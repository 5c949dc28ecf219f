#ifndef SF_CBOR_H
#define SF_CBOR_H

#include <stddef.h>
#include <stdint.h>

#include "formats/err.h"

/* The CBOR subset of our messages (RFC 8949 section 4.2, core deterministic encoding): unsigned and
 * negative integers, byte and text strings, arrays, maps, tags, true, false, null; definite lengths
 * only, shortest form only, no floats. Text is valid UTF-8 without NUL. Map keys are integers, byte
 * strings or text in ascending bytewise order of their encoding, so duplicates cannot occur.
 *
 * Errors: TRUNCATED, TRAILING, DEPTH, DUPLICATE (a map key), RANGE (a number or length outside what
 * the caller allows), CBOR for the rest. A decoder first runs sf_cbor_check() over the whole
 * message, then reads its fields.
 *
 * Both cursors are sticky: the first failure stays, later calls do nothing and return zero, and one
 * check at the end tells. */

enum { SF_CBOR_DEPTH_MAX = 8 };

enum sf_cbor_type {
    SF_CBOR_UINT,
    SF_CBOR_NEGINT,
    SF_CBOR_BYTES,
    SF_CBOR_TEXT,
    SF_CBOR_ARRAY,
    SF_CBOR_MAP,
    SF_CBOR_TAG,
    SF_CBOR_BOOL,
    SF_CBOR_NULL,
    SF_CBOR_END, /* nothing left, nothing that may stand here, or the reader has failed */
};

/* A view of bytes that somebody else owns. */
struct sf_bytes {
    const uint8_t *data;
    size_t len;
};

struct sf_cbor_reader {
    const uint8_t *data;
    size_t len;
    size_t pos;
    int err;
    struct sf_diag diag; /* valid if err < 0; offset from the start of this reader's data */
};

void sf_cbor_read_init(struct sf_cbor_reader *r, const void *data, size_t len);
enum sf_cbor_type sf_cbor_peek(const struct sf_cbor_reader *r);
uint64_t sf_cbor_read_uint(struct sf_cbor_reader *r);
int64_t sf_cbor_read_int(struct sf_cbor_reader *r);
int sf_cbor_read_bool(struct sf_cbor_reader *r);
void sf_cbor_read_null(struct sf_cbor_reader *r);
/* An unsigned integer up to `max`, else the reader fails with SF_ERR_RANGE. */
uint64_t sf_cbor_read_uint_max(struct sf_cbor_reader *r, uint64_t max);

/* Views into the reader's data. */
struct sf_bytes sf_cbor_read_bytes(struct sf_cbor_reader *r);
struct sf_bytes sf_cbor_read_text(struct sf_cbor_reader *r); /* valid UTF-8, no NUL */
/* A byte string of exactly `len` bytes, copied; zeros on failure. */
void sf_cbor_read_fixed(struct sf_cbor_reader *r, uint8_t *out, size_t len);
/* Text of at most size - 1 bytes, copied and NUL-terminated. */
void sf_cbor_read_str(struct sf_cbor_reader *r, char *out, size_t size);

/* Enter an array, map or tag: number of elements or pairs, or the tag's number. The caller reads
 * exactly that many items after it. A count is never larger than what the input can still hold. */
uint64_t sf_cbor_read_array(struct sf_cbor_reader *r);
/* Enters an array that must have `count` elements. */
void sf_cbor_read_array_of(struct sf_cbor_reader *r, uint64_t count);
uint64_t sf_cbor_read_map(struct sf_cbor_reader *r);
uint64_t sf_cbor_read_tag(struct sf_cbor_reader *r);

/* Iterates over a map whose keys are integers, enforcing their deterministic order:
 *     struct sf_cbor_map m = sf_cbor_map_begin(&r);
 *     int64_t key;
 *     while (sf_cbor_map_next(&m, &key)) switch (key) { ...read one value or sf_cbor_skip()... } */
struct sf_cbor_map {
    struct sf_cbor_reader *r;
    uint64_t left;
    struct sf_bytes last_key;
};
struct sf_cbor_map sf_cbor_map_begin(struct sf_cbor_reader *r);
int sf_cbor_map_next(struct sf_cbor_map *m, int64_t *key);

/* Skips one whole item of any allowed type, checking it, and returns its bytes. Depth is bounded by
 * SF_CBOR_DEPTH_MAX; no recursion. */
struct sf_bytes sf_cbor_skip(struct sf_cbor_reader *r);

/* Makes the reader fail with `err` at its present position (for checks of the caller's own). */
void sf_cbor_fail(struct sf_cbor_reader *r, int err, const char *why);
#ifdef SF_NO_DIAG
#define sf_cbor_fail(r, err, why) ((void)(why), (sf_cbor_fail)((r), (err), ""))
#endif

/* Checks that `in` is one item of this subset, nested at most SF_CBOR_DEPTH_MAX deep (arrays, maps
 * and tags count), and nothing after it. */
int sf_cbor_check(struct sf_bytes in, struct sf_diag *diag) __attribute__((warn_unused_result));

/* SF_OK if nothing failed and all bytes were used, else the first error or SF_ERR_TRAILING. Copies
 * the reader's diag. */
int sf_cbor_read_end(struct sf_cbor_reader *r, struct sf_diag *diag)
    __attribute__((warn_unused_result));

struct sf_cbor_writer {
    uint8_t *data;
    size_t size;
    size_t len;
    int err;
};

/* `data` NULL with size 0 only counts: len tells the size needed. */
void sf_cbor_write_init(struct sf_cbor_writer *w, void *data, size_t size);
void sf_cbor_write_uint(struct sf_cbor_writer *w, uint64_t value);
void sf_cbor_write_int(struct sf_cbor_writer *w, int64_t value);
void sf_cbor_write_bytes(struct sf_cbor_writer *w, const void *data, size_t len);
void sf_cbor_write_text(struct sf_cbor_writer *w, const char *text);
void sf_cbor_write_text_n(struct sf_cbor_writer *w, const char *text, size_t len);
void sf_cbor_write_array(struct sf_cbor_writer *w, uint64_t count);
void sf_cbor_write_map(struct sf_cbor_writer *w, uint64_t pairs);
void sf_cbor_write_tag(struct sf_cbor_writer *w, uint64_t tag);
void sf_cbor_write_bool(struct sf_cbor_writer *w, int value);
void sf_cbor_write_null(struct sf_cbor_writer *w);
/* Bytes that are CBOR already. */
void sf_cbor_write_raw(struct sf_cbor_writer *w, const void *data, size_t len);
/* A byte-string header for `len` bytes that the caller writes next. */
void sf_cbor_write_bytes_header(struct sf_cbor_writer *w, size_t len);

/* For maps whose keys are byte strings of one length: the index of the item that comes `nth` in
 * their order. `items` has `count` items of `size` bytes that each begin with the `key_len` bytes
 * of their key; equal ones follow each other. `nth` < `count`, and both are small: this looks at
 * all of them. */
unsigned sf_cbor_nth(const void *items, size_t size, size_t key_len, unsigned count, unsigned nth);

/* Returns the number of bytes written (counted, if data is NULL), or an error: NOSPC, or RANGE for
 * text that is not valid UTF-8. */
int32_t sf_cbor_write_end(const struct sf_cbor_writer *w) __attribute__((warn_unused_result));

#endif
