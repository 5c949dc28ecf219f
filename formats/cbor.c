/* The CBOR subset of our messages.
 *
 * Invariants
 *  1. pos <= len; nothing is read beyond len.
 *  2. err is set once, together with diag; after that every call returns zero and changes nothing.
 *  3. A count or length is compared with what is left before it is used, so no input makes a loop
 *     longer than the input.
 *  4. No recursion: nesting lives in a stack of SF_CBOR_DEPTH_MAX levels. */
#include "formats/cbor.h"

#include <string.h>

enum major {
    MAJOR_UINT,
    MAJOR_NEGINT,
    MAJOR_BYTES,
    MAJOR_TEXT,
    MAJOR_ARRAY,
    MAJOR_MAP,
    MAJOR_TAG,
    MAJOR_SIMPLE,
};

enum { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };

/* The first 1, 2, 3, 5 or 9 bytes of an item. */
struct head {
    uint64_t value;
    size_t at;
    uint8_t major;
};

static void fail_at(struct sf_cbor_reader *r, int err, size_t at, const char *why)
{
    if (r->err == SF_OK) {
        r->err = sf_fail(&r->diag, err, at, why);
    }
}

void(sf_cbor_fail)(struct sf_cbor_reader *r, int err, const char *why)
{
    fail_at(r, err, r->pos, why);
}

void sf_cbor_read_init(struct sf_cbor_reader *r, const void *data, size_t len)
{
    *r = (struct sf_cbor_reader){.data = data, .len = len};
}

static size_t left(const struct sf_cbor_reader *r)
{
    return r->len - r->pos;
}

static uint64_t read_big_endian(const uint8_t *p, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) {
        value = (value << 8) | p[i];
    }
    return value;
}

/* The argument that follows the first byte; 0 if it is missing or longer than it need be. */
static int take_argument(struct sf_cbor_reader *r, unsigned info, struct head *h)
{
    if (info > 27) {
        fail_at(r, SF_ERR_CBOR, h->at, "indefinite length or reserved encoding");
        return 0;
    }
    const size_t width = (size_t)1 << (info - 24);
    if (left(r) < 1 + width) {
        fail_at(r, SF_ERR_TRUNCATED, r->len, "input ends inside a number or length");
        return 0;
    }
    h->value = read_big_endian(r->data + r->pos + 1, width);
    if (width == 1 ? h->value < 24 : h->value >> (width * 4) == 0) {
        fail_at(r, SF_ERR_CBOR, h->at, "number or length is not in its shortest form");
        return 0;
    }
    r->pos += 1 + width;
    return 1;
}

static int take_head(struct sf_cbor_reader *r, struct head *h)
{
    *h = (struct head){.at = r->pos};
    if (r->err != SF_OK) {
        return 0;
    }
    if (left(r) == 0) {
        fail_at(r, SF_ERR_TRUNCATED, r->pos, "input ends where an item should begin");
        return 0;
    }
    const unsigned info = r->data[r->pos] & 31U;
    h->major = r->data[r->pos] >> 5;
    if (h->major == MAJOR_SIMPLE && (info < SIMPLE_FALSE || info > SIMPLE_NULL)) {
        fail_at(r, SF_ERR_CBOR, h->at, "float, undefined or unknown simple value");
        return 0;
    }
    if (info >= 24) {
        return take_argument(r, info, h);
    }
    h->value = info;
    r->pos++;
    return 1;
}

static uint64_t take(struct sf_cbor_reader *r, enum major major, const char *why)
{
    struct head h;
    if (!take_head(r, &h)) {
        return 0;
    }
    if (h.major != major) {
        fail_at(r, SF_ERR_CBOR, h.at, why);
        return 0;
    }
    return h.value;
}

/* Whether `need` more bytes can be there. */
static int enough(struct sf_cbor_reader *r, uint64_t need)
{
    if (r->err == SF_OK && need > left(r)) {
        fail_at(r, SF_ERR_TRUNCATED, r->len, "input ends before what its lengths promise");
    }
    return r->err == SF_OK;
}

static struct sf_bytes take_view(struct sf_cbor_reader *r, uint64_t len)
{
    if (!enough(r, len)) {
        return (struct sf_bytes){0};
    }
    const struct sf_bytes view = {r->data + r->pos, (size_t)len};
    r->pos += view.len;
    return view;
}

/* Length of the UTF-8 sequence at p (RFC 3629), 0 if it is none or a NUL. */
static size_t utf8_sequence(const uint8_t *p, size_t len)
{
    const uint8_t b = p[0];
    if (b < 0x80) {
        return b != 0;
    }
    const size_t n = b >= 0xc2 && b <= 0xdf ? 2 : (b & 0xf0) == 0xe0 ? 3 : 4;
    if (b < 0xc2 || b > 0xf4 || len < n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const int overlong = (b == 0xe0 && p[1] < 0xa0) || (b == 0xf0 && p[1] < 0x90);
    const int surrogate = b == 0xed && p[1] > 0x9f;
    const int beyond = b == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : n;
}

/* Offset of the first byte that is not valid, or len. */
static size_t utf8_valid_len(const uint8_t *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        const size_t n = utf8_sequence(text + at, len - at);
        if (n == 0) {
            break;
        }
        at += n;
    }
    return at;
}

static struct sf_bytes take_text(struct sf_cbor_reader *r, uint64_t len)
{
    const size_t at = r->pos;
    const struct sf_bytes text = take_view(r, len);
    const size_t good = utf8_valid_len(text.data, text.len);
    if (good != text.len) {
        fail_at(r, SF_ERR_CBOR, at + good, "text is not valid UTF-8");
        return (struct sf_bytes){0};
    }
    return text;
}

enum sf_cbor_type sf_cbor_peek(const struct sf_cbor_reader *r)
{
    static const enum sf_cbor_type type[] = {
        SF_CBOR_UINT,  SF_CBOR_NEGINT, SF_CBOR_BYTES, SF_CBOR_TEXT,
        SF_CBOR_ARRAY, SF_CBOR_MAP,    SF_CBOR_TAG,
    };
    if (r->err != SF_OK || left(r) == 0) {
        return SF_CBOR_END;
    }
    const uint8_t b = r->data[r->pos];
    if (b >> 5 != MAJOR_SIMPLE) {
        return type[b >> 5];
    }
    switch (b & 31) {
    case SIMPLE_FALSE:
    case SIMPLE_TRUE:
        return SF_CBOR_BOOL;
    case SIMPLE_NULL:
        return SF_CBOR_NULL;
    default:
        return SF_CBOR_END;
    }
}

uint64_t sf_cbor_read_uint(struct sf_cbor_reader *r)
{
    return take(r, MAJOR_UINT, "not an unsigned integer");
}

uint64_t sf_cbor_read_uint_max(struct sf_cbor_reader *r, uint64_t max)
{
    const size_t at = r->pos;
    const uint64_t value = sf_cbor_read_uint(r);
    if (value > max) {
        fail_at(r, SF_ERR_RANGE, at, "number is larger than allowed here");
        return 0;
    }
    return value;
}

int64_t sf_cbor_read_int(struct sf_cbor_reader *r)
{
    struct head h;
    if (!take_head(r, &h)) {
        return 0;
    }
    if (h.major != MAJOR_UINT && h.major != MAJOR_NEGINT) {
        fail_at(r, SF_ERR_CBOR, h.at, "not an integer");
        return 0;
    }
    if (h.value > INT64_MAX) {
        fail_at(r, SF_ERR_RANGE, h.at, "integer does not fit in 64 bits");
        return 0;
    }
    return h.major == MAJOR_UINT ? (int64_t)h.value : -1 - (int64_t)h.value;
}

int sf_cbor_read_bool(struct sf_cbor_reader *r)
{
    if (r->err == SF_OK && sf_cbor_peek(r) != SF_CBOR_BOOL) {
        sf_cbor_fail(r, SF_ERR_CBOR, "not true or false");
    }
    struct head h;
    return take_head(r, &h) && h.value == SIMPLE_TRUE;
}

void sf_cbor_read_null(struct sf_cbor_reader *r)
{
    if (r->err == SF_OK && sf_cbor_peek(r) != SF_CBOR_NULL) {
        sf_cbor_fail(r, SF_ERR_CBOR, "not null");
    }
    struct head h;
    (void)take_head(r, &h);
}

struct sf_bytes sf_cbor_read_bytes(struct sf_cbor_reader *r)
{
    return take_view(r, take(r, MAJOR_BYTES, "not a byte string"));
}

struct sf_bytes sf_cbor_read_text(struct sf_cbor_reader *r)
{
    return take_text(r, take(r, MAJOR_TEXT, "not text"));
}

void sf_cbor_read_fixed(struct sf_cbor_reader *r, uint8_t *out, size_t len)
{
    const size_t at = r->pos;
    const struct sf_bytes view = sf_cbor_read_bytes(r);
    memset(out, 0, len);
    if (r->err == SF_OK && view.len != len) {
        fail_at(r, SF_ERR_RANGE, at, "byte string has another length than it must");
    }
    if (r->err == SF_OK) {
        memcpy(out, view.data, len);
    }
}

void sf_cbor_read_str(struct sf_cbor_reader *r, char *out, size_t size)
{
    const size_t at = r->pos;
    const struct sf_bytes view = sf_cbor_read_text(r);
    out[0] = '\0';
    if (view.len >= size) {
        fail_at(r, SF_ERR_RANGE, at, "text is longer than allowed here");
    }
    if (r->err == SF_OK && view.len > 0) {
        memcpy(out, view.data, view.len);
        out[view.len] = '\0';
    }
}

uint64_t sf_cbor_read_array(struct sf_cbor_reader *r)
{
    const uint64_t count = take(r, MAJOR_ARRAY, "not an array");
    return enough(r, count) ? count : 0;
}

void sf_cbor_read_array_of(struct sf_cbor_reader *r, uint64_t count)
{
    const size_t at = r->pos;
    if (sf_cbor_read_array(r) != count) {
        fail_at(r, SF_ERR_CBOR, at, "array has another number of elements than it must");
    }
}

uint64_t sf_cbor_read_map(struct sf_cbor_reader *r)
{
    const uint64_t pairs = take(r, MAJOR_MAP, "not a map");
    return enough(r, pairs) && enough(r, pairs * 2) ? pairs : 0;
}

uint64_t sf_cbor_read_tag(struct sf_cbor_reader *r)
{
    return take(r, MAJOR_TAG, "not a tag");
}

/* Bytewise order of the encoded keys (RFC 8949 4.2.1); both are whole items, so none is a proper
 * prefix of the other. */
static void check_key_order(struct sf_cbor_reader *r, struct sf_bytes before, size_t at)
{
    const struct sf_bytes key = {r->data + at, r->pos - at};
    if (before.len == 0 || r->err != SF_OK) {
        return;
    }
    const int order = memcmp(before.data, key.data, before.len < key.len ? before.len : key.len);
    if (order == 0) {
        fail_at(r, SF_ERR_DUPLICATE, at, "the same key is in the map twice");
    } else if (order > 0) {
        fail_at(r, SF_ERR_CBOR, at, "map keys are not in ascending order");
    }
}

struct sf_cbor_map sf_cbor_map_begin(struct sf_cbor_reader *r)
{
    return (struct sf_cbor_map){.r = r, .left = sf_cbor_read_map(r)};
}

int sf_cbor_map_next(struct sf_cbor_map *m, int64_t *key)
{
    struct sf_cbor_reader *r = m->r;
    const size_t at = r->pos;
    *key = 0;
    if (r->err != SF_OK || m->left == 0) {
        return 0;
    }
    m->left--;
    *key = sf_cbor_read_int(r);
    check_key_order(r, m->last_key, at);
    m->last_key = (struct sf_bytes){r->data + at, r->pos - at};
    return r->err == SF_OK;
}

/* An array, map or tag that the walk is inside of. */
struct level {
    size_t left; /* items, keys and values counted apart */
    struct sf_bytes last_key;
    int is_map;
};

struct walk {
    struct level level[SF_CBOR_DEPTH_MAX];
    unsigned depth;
};

static void walk_enter(struct sf_cbor_reader *r, struct walk *w, const struct head *h)
{
    if (w->depth == SF_CBOR_DEPTH_MAX) {
        fail_at(r, SF_ERR_DEPTH, h->at, "nested more than eight deep");
        return;
    }
    uint64_t items = h->major == MAJOR_TAG ? 1 : h->value;
    if (!enough(r, items)) {
        return;
    }
    if (h->major == MAJOR_MAP) {
        items *= 2;
    }
    if (enough(r, items)) {
        w->level[w->depth++] =
            (struct level){.left = (size_t)items, .is_map = h->major == MAJOR_MAP};
    }
}

static void walk_step(struct sf_cbor_reader *r, struct walk *w)
{
    struct level *in = w->depth > 0 ? &w->level[w->depth - 1] : NULL;
    const int is_key = in != NULL && in->is_map && in->left % 2 == 0;
    struct head h;
    if (!take_head(r, &h)) {
        return;
    }
    if (in != NULL) {
        in->left--;
    }
    if (is_key && h.major > MAJOR_TEXT) {
        fail_at(r, SF_ERR_CBOR, h.at, "map key is neither integer, byte string nor text");
    } else if (h.major == MAJOR_BYTES) {
        (void)take_view(r, h.value);
    } else if (h.major == MAJOR_TEXT) {
        (void)take_text(r, h.value);
    } else if (h.major >= MAJOR_ARRAY && h.major <= MAJOR_TAG) {
        walk_enter(r, w, &h);
    }
    if (is_key) {
        check_key_order(r, in->last_key, h.at);
        in->last_key = (struct sf_bytes){r->data + h.at, r->pos - h.at};
    }
}

struct sf_bytes sf_cbor_skip(struct sf_cbor_reader *r)
{
    const size_t start = r->pos;
    struct walk w;
    w.depth = 0;
    do {
        walk_step(r, &w);
        while (w.depth > 0 && w.level[w.depth - 1].left == 0) {
            w.depth--;
        }
    } while (w.depth > 0 && r->err == SF_OK);
    if (r->err != SF_OK) {
        return (struct sf_bytes){0};
    }
    return (struct sf_bytes){r->data + start, r->pos - start};
}

int sf_cbor_check(struct sf_bytes in, struct sf_diag *diag)
{
    struct sf_cbor_reader r;
    sf_cbor_read_init(&r, in.data, in.len);
    (void)sf_cbor_skip(&r);
    return sf_cbor_read_end(&r, diag);
}

int sf_cbor_read_end(struct sf_cbor_reader *r, struct sf_diag *diag)
{
    if (r->err == SF_OK && left(r) > 0) {
        sf_cbor_fail(r, SF_ERR_TRAILING, "bytes are left over after the end");
    }
    return r->err == SF_OK ? SF_OK : sf_fail(diag, r->err, r->diag.offset, r->diag.why);
}

void sf_cbor_write_init(struct sf_cbor_writer *w, void *data, size_t size)
{
    *w = (struct sf_cbor_writer){.data = data, .size = data != NULL ? size : 0};
}

void sf_cbor_write_raw(struct sf_cbor_writer *w, const void *data, size_t len)
{
    if (w->data != NULL && w->err == SF_OK) {
        if (len > w->size - w->len) {
            w->err = SF_ERR_NOSPC;
        } else if (len > 0) {
            memmove(w->data + w->len, data, len); /* may come from the same buffer */
        }
    }
    w->len += len; /* goes on counting, so that the caller learns the size needed */
}

static void write_head(struct sf_cbor_writer *w, enum major major, uint64_t value)
{
    const unsigned size_class = value < 24            ? 0
                                : value <= UINT8_MAX  ? 1
                                : value <= UINT16_MAX ? 2
                                : value <= UINT32_MAX ? 3
                                                      : 4;
    uint8_t head[9];
    const size_t width = size_class == 0 ? 0 : (size_t)1 << (size_class - 1);
    head[0] = (uint8_t)(((unsigned)major << 5) | (size_class == 0 ? value : 23U + size_class));
    for (size_t i = 0; i < width; i++) {
        head[1 + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
    }
    sf_cbor_write_raw(w, head, 1 + width);
}

void sf_cbor_write_uint(struct sf_cbor_writer *w, uint64_t value)
{
    write_head(w, MAJOR_UINT, value);
}

void sf_cbor_write_int(struct sf_cbor_writer *w, int64_t value)
{
    if (value >= 0) {
        write_head(w, MAJOR_UINT, (uint64_t)value);
    } else {
        write_head(w, MAJOR_NEGINT, (uint64_t)(-1 - value));
    }
}

void sf_cbor_write_bytes_header(struct sf_cbor_writer *w, size_t len)
{
    write_head(w, MAJOR_BYTES, len);
}

void sf_cbor_write_bytes(struct sf_cbor_writer *w, const void *data, size_t len)
{
    write_head(w, MAJOR_BYTES, len);
    sf_cbor_write_raw(w, data, len);
}

void sf_cbor_write_text_n(struct sf_cbor_writer *w, const char *text, size_t len)
{
    if (utf8_valid_len((const uint8_t *)text, len) != len && w->err == SF_OK) {
        w->err = SF_ERR_RANGE;
    }
    write_head(w, MAJOR_TEXT, len);
    sf_cbor_write_raw(w, text, len);
}

void sf_cbor_write_text(struct sf_cbor_writer *w, const char *text)
{
    sf_cbor_write_text_n(w, text, strlen(text));
}

void sf_cbor_write_array(struct sf_cbor_writer *w, uint64_t count)
{
    write_head(w, MAJOR_ARRAY, count);
}

void sf_cbor_write_map(struct sf_cbor_writer *w, uint64_t pairs)
{
    write_head(w, MAJOR_MAP, pairs);
}

void sf_cbor_write_tag(struct sf_cbor_writer *w, uint64_t tag)
{
    write_head(w, MAJOR_TAG, tag);
}

void sf_cbor_write_bool(struct sf_cbor_writer *w, int value)
{
    write_head(w, MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void sf_cbor_write_null(struct sf_cbor_writer *w)
{
    write_head(w, MAJOR_SIMPLE, SIMPLE_NULL);
}

unsigned sf_cbor_nth(const void *items, size_t size, size_t key_len, unsigned count, unsigned nth)
{
    const uint8_t *base = items;
    for (unsigned i = 0; i < count; i++) {
        unsigned before = 0;
        for (unsigned k = 0; k < count; k++) {
            const int order = memcmp(base + k * size, base + i * size, key_len);
            before += order < 0 || (order == 0 && k < i);
        }
        if (before == nth) {
            return i;
        }
    }
    return 0;
}

int32_t sf_cbor_write_end(const struct sf_cbor_writer *w)
{
    if (w->err != SF_OK) {
        return w->err;
    }
    return w->len <= INT32_MAX ? (int32_t)w->len : SF_ERR_RANGE;
}
