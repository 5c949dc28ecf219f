/* NVS is a log. Pages carry a sequence number, entries are only added; an entry that was replaced
 * or removed has its two bits in the page's bitmap cleared.
 *
 *     page: header 32 | bitmap 32 | 126 entries of 32 bytes
 *
 * 1. A scan goes over pages by sequence number and inside a page by position, and steps over the
 *    payload of an entry that spans several. So the later of two equal keys is the newer.
 * 2. Nothing is remembered between entries: there is no heap here, dumps are small, and the square
 *    of a few thousand entries is little work. */
#include "formats/nvs.h"

#include <assert.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32.h"

enum {
    ENTRY_SIZE = 32,
    ENTRIES_OFFSET = 64,
    BITMAP_OFFSET = 32,
    ENTRY_COUNT = 126,
    WRITTEN = 2, /* both bits of the bitmap */
    VERSION_1 = 0xff,
    VERSION_2 = 0xfe,      /* blobs in chunks */
    CHUNK_VERSIONS = 0x80, /* a replaced blob's chunks are numbered from 0x80, then from 0 again */
};
#define PAGE_UNUSED  UINT32_C(0xffffffff)
#define PAGE_ACTIVE  UINT32_C(0xfffffffe)
#define PAGE_FULL    UINT32_C(0xfffffffc)
#define PAGE_FREEING UINT32_C(0xfffffff8)

_Static_assert(ENTRIES_OFFSET + ENTRY_COUNT * ENTRY_SIZE == SF_NVS_PAGE_SIZE, "page layout");

struct partition {
    const uint8_t *data;
    size_t page_count;
};

/* A scan's present entry. */
struct scan {
    const struct partition *part;
    size_t page; /* page_count before the first */
    uint32_t page_seq;
    unsigned index; /* of the entry in its page */
    unsigned next;  /* index of the one behind its payload */
    unsigned damaged;
};

struct entry {
    uint8_t ns;
    uint8_t type;
    uint8_t span;
    uint8_t chunk;
    const uint8_t *key;  /* SF_NVS_KEY_SIZE bytes with at least one NUL */
    const uint8_t *data; /* 8 bytes */
};

static const uint8_t *page_at(const struct partition *p, size_t page)
{
    return p->data + page * SF_NVS_PAGE_SIZE;
}

static uint32_t u32_at(const uint8_t *bytes)
{
    struct sf_reader r;
    sf_reader_init(&r, bytes, 4);
    return sf_read_u32le(&r);
}

static uint16_t u16_at(const uint8_t *bytes)
{
    struct sf_reader r;
    sf_reader_init(&r, bytes, 2);
    return sf_read_u16le(&r);
}

/* 1 if the page's header is sound and it holds entries. */
static int page_sound(const uint8_t *page)
{
    const uint32_t state = u32_at(page);
    return (state == PAGE_ACTIVE || state == PAGE_FULL || state == PAGE_FREEING) &&
           (page[8] == VERSION_1 || page[8] == VERSION_2) &&
           u32_at(page + 28) == sf_crc32(UINT32_MAX, page + 4, 24);
}

static unsigned damaged_pages(const struct partition *p)
{
    unsigned count = 0;
    for (size_t i = 0; i < p->page_count; i++) {
        const uint8_t *page = page_at(p, i);
        count += !page_sound(page) && u32_at(page) != PAGE_UNUSED;
    }
    return count;
}

static void scan_start(struct scan *s, const struct partition *p)
{
    *s = (struct scan){.part = p, .page = p->page_count, .next = ENTRY_COUNT};
}

/* To the page with the next higher sequence number; of equal ones the lower in flash comes first.
 * 1 if there is one. */
static int next_page(struct scan *s)
{
    const struct partition *p = s->part;
    size_t best = p->page_count;
    uint32_t best_seq = 0;
    for (size_t i = 0; i < p->page_count; i++) {
        const uint8_t *page = page_at(p, i);
        const uint32_t seq = u32_at(page + 4);
        const int after =
            s->page == p->page_count || seq > s->page_seq || (seq == s->page_seq && i > s->page);
        if (after && (best == p->page_count || seq < best_seq) && page_sound(page)) {
            best = i;
            best_seq = seq;
        }
    }
    if (best == p->page_count) {
        return 0;
    }
    s->page = best;
    s->page_seq = best_seq;
    s->next = 0;
    return 1;
}

static const uint8_t *entry_bytes(const struct scan *s, unsigned index)
{
    return page_at(s->part, s->page) + ENTRIES_OFFSET + (size_t)index * ENTRY_SIZE;
}

static unsigned entry_state(const struct scan *s, unsigned index)
{
    const unsigned four = page_at(s->part, s->page)[BITMAP_OFFSET + index / 4];
    return (four >> (2 * (index % 4))) & 3U;
}

/* 1 if the entry at `index` is sound. */
static int decode_entry(const struct scan *s, unsigned index, struct entry *out)
{
    const uint8_t *b = entry_bytes(s, index);
    out->ns = b[0];
    out->type = b[1];
    out->span = b[2];
    out->chunk = b[3];
    out->key = b + 8;
    out->data = b + 24;
    const uint32_t crc = sf_crc32(sf_crc32(UINT32_MAX, b, 4), b + 8, 24);
    return crc == u32_at(b + 4) && out->span > 0 && out->span <= ENTRY_COUNT - index &&
           memchr(out->key, '\0', SF_NVS_KEY_SIZE) != NULL;
}

/* To the next entry that is written and sound. 1 if there is one. */
static int scan_next(struct scan *s, struct entry *out)
{
    for (;;) {
        while (s->next < ENTRY_COUNT) {
            const unsigned index = s->next++;
            if (entry_state(s, index) != WRITTEN) {
                continue;
            }
            if (decode_entry(s, index, out)) {
                s->index = index;
                s->next = index + out->span;
                return 1;
            }
            s->damaged++;
        }
        if (!next_page(s)) {
            return 0;
        }
    }
}

static int same_key(const struct entry *a, const struct entry *b)
{
    return a->ns == b->ns && a->type == b->type && a->chunk == b->chunk &&
           strncmp((const char *)a->key, (const char *)b->key, SF_NVS_KEY_SIZE) == 0;
}

/* 1 if a later entry has the same key: power was lost before the older was marked erased. */
static int superseded(const struct scan *s, const struct entry *e)
{
    struct scan later = *s;
    struct entry other;
    while (scan_next(&later, &other)) {
        if (same_key(e, &other)) {
            return 1;
        }
    }
    return 0;
}

/* A string, old blob or chunk: its payload, or NULL if the size or crc is wrong. */
static const uint8_t *payload(const struct scan *s, const struct entry *e, uint32_t *size_out)
{
    const uint32_t size = u16_at(e->data);
    const uint8_t *bytes = entry_bytes(s, s->index) + ENTRY_SIZE;
    if (size > (e->span - 1U) * ENTRY_SIZE ||
        u32_at(e->data + 4) != sf_crc32(UINT32_MAX, bytes, size)) {
        return NULL;
    }
    *size_out = size;
    return bytes;
}

/* The last sound chunk of a blob with that number; NULL if there is none. */
static const uint8_t *find_chunk(const struct partition *p, const struct entry *index,
                                 unsigned chunk, uint32_t *size_out)
{
    struct entry wanted = *index;
    wanted.type = SF_NVS_BLOB_DATA;
    wanted.chunk = (uint8_t)chunk;
    const uint8_t *found = NULL;
    struct scan s;
    struct entry e;
    scan_start(&s, p);
    while (scan_next(&s, &e)) {
        uint32_t size = 0;
        const uint8_t *bytes = same_key(&wanted, &e) ? payload(&s, &e, &size) : NULL;
        if (bytes != NULL) {
            found = bytes;
            *size_out = size;
        }
    }
    return found;
}

/* Puts a blob's chunks together; `out` NULL only checks. The blob's size, NOSPC or CORRUPT. */
static int32_t gather(const struct partition *p, const struct entry *index, uint8_t *out,
                      size_t size)
{
    const uint32_t total = u32_at(index->data);
    const unsigned count = index->data[4];
    const unsigned first = index->data[5];
    uint32_t done = 0;
    if ((first != 0 && first != CHUNK_VERSIONS) || count > CHUNK_VERSIONS || total > INT32_MAX) {
        return SF_ERR_CORRUPT;
    }
    if (out != NULL && total > size) {
        return SF_ERR_NOSPC;
    }
    for (unsigned i = 0; i < count; i++) {
        uint32_t chunk_size = 0;
        const uint8_t *bytes = find_chunk(p, index, first + i, &chunk_size);
        if (bytes == NULL || chunk_size > total - done) {
            return SF_ERR_CORRUPT;
        }
        if (out != NULL && chunk_size > 0) {
            memcpy(out + done, bytes, chunk_size);
        }
        done += chunk_size;
    }
    return done == total ? (int32_t)total : SF_ERR_CORRUPT;
}

/* Copies a string's or blob's value; `out` NULL only checks. Its size, NOSPC or CORRUPT. */
static int32_t read_value(const struct scan *s, const struct entry *e, uint8_t *out, size_t size)
{
    if (e->type == SF_NVS_BLOB_INDEX) {
        return gather(s->part, e, out, size);
    }
    uint32_t len = 0;
    const uint8_t *bytes = payload(s, e, &len);
    if (bytes == NULL) {
        return SF_ERR_CORRUPT;
    }
    if (out != NULL && len > size) {
        return SF_ERR_NOSPC;
    }
    if (out != NULL && len > 0) {
        memcpy(out, bytes, len);
    }
    return (int32_t)len;
}

static int has_value(uint8_t type)
{
    return type == SF_NVS_STR || type == SF_NVS_BLOB_V1 || type == SF_NVS_BLOB_INDEX;
}

/* Width in bytes of an integer type, 0 for others. */
static unsigned integer_width(uint8_t type)
{
    const unsigned width = type & 0x0fU;
    const unsigned kind = type & 0xf0U;
    const int power_of_two = width != 0 && width <= 8 && (width & (width - 1)) == 0;
    return (kind == 0x00 || kind == 0x10) && power_of_two ? width : 0;
}

static uint64_t integer_value(const struct entry *e)
{
    const unsigned bits = 8 * integer_width(e->type);
    struct sf_reader r;
    sf_reader_init(&r, e->data, 8);
    uint64_t value = sf_read_u64le(&r);
    if (bits < 64) {
        value &= (UINT64_C(1) << bits) - 1;
        if ((e->type & 0x10) != 0 && (value >> (bits - 1)) != 0) {
            value |= ~UINT64_C(0) << bits;
        }
    }
    return value;
}

static void copy_key(char out[SF_NVS_KEY_SIZE], const uint8_t *key)
{
    memset(out, 0, SF_NVS_KEY_SIZE);
    for (unsigned i = 0; i + 1 < SF_NVS_KEY_SIZE && key[i] != 0; i++) {
        out[i] = (char)key[i];
    }
}

/* The name of namespace `ns`: an entry of namespace 0 whose value is `ns`. "" if there is none. */
static void find_namespace(const struct partition *p, uint8_t ns, char out[SF_NVS_KEY_SIZE])
{
    struct scan s;
    struct entry e;
    scan_start(&s, p);
    memset(out, 0, SF_NVS_KEY_SIZE);
    while (scan_next(&s, &e)) {
        if (e.ns == 0 && e.type == SF_NVS_U8 && e.data[0] == ns) {
            copy_key(out, e.key);
        }
    }
}

/* 1 and `item` filled, but for the namespace's name, if the entry is one to tell about. */
static int tell(const struct scan *s, const struct entry *e, struct sf_nvs_item *item,
                unsigned *damaged)
{
    const unsigned width = integer_width(e->type);
    if (e->ns == 0 || e->type == SF_NVS_BLOB_DATA || superseded(s, e)) {
        return 0;
    }
    if (width == 0 && !has_value(e->type)) {
        (*damaged)++;
        return 0;
    }
    item->number = width != 0 ? integer_value(e) : 0;
    item->size_bytes = 0;
    if (width == 0) {
        const int32_t size = read_value(s, e, NULL, 0);
        if (size < 0) {
            (*damaged)++;
            return 0;
        }
        item->size_bytes = (uint32_t)size;
    }
    item->type = e->type;
    item->offset = (uint32_t)(entry_bytes(s, s->index) - s->part->data);
    copy_key(item->key, e->key);
    return 1;
}

static int partition_init(struct partition *p, const uint8_t *data, size_t len)
{
    assert(data != NULL || len == 0);
    if (len % SF_NVS_PAGE_SIZE != 0 || len > INT32_MAX) {
        return SF_ERR_RANGE;
    }
    *p = (struct partition){.data = data, .page_count = len / SF_NVS_PAGE_SIZE};
    return SF_OK;
}

int32_t sf_nvs_walk(const uint8_t *data, size_t len, sf_nvs_visit *visit, void *ctx,
                    unsigned *damaged)
{
    struct partition p;
    const int err = partition_init(&p, data, len);
    if (err != SF_OK) {
        return err;
    }
    unsigned bad = damaged_pages(&p);
    int32_t count = 0;
    int named = -1; /* the namespace whose name item.ns is */
    struct sf_nvs_item item;
    memset(&item, 0, sizeof(item));
    struct scan s;
    struct entry e;
    scan_start(&s, &p);
    while (scan_next(&s, &e)) {
        if (!tell(&s, &e, &item, &bad)) {
            continue;
        }
        if (named != e.ns) {
            find_namespace(&p, e.ns, item.ns);
            named = e.ns;
        }
        count++;
        const int stop = visit(ctx, &item);
        if (stop < 0) {
            return stop;
        }
    }
    if (damaged != NULL) {
        *damaged = bad + s.damaged;
    }
    return count;
}

int32_t sf_nvs_read(const uint8_t *data, size_t len, const struct sf_nvs_item *item, uint8_t *out,
                    size_t size)
{
    struct partition p;
    const int err = partition_init(&p, data, len);
    if (err != SF_OK) {
        return err;
    }
    assert(out != NULL || size == 0);
    const uint32_t in_page = item->offset % SF_NVS_PAGE_SIZE;
    const struct scan s = {.part = &p,
                           .page = item->offset / SF_NVS_PAGE_SIZE,
                           .index = (in_page - ENTRIES_OFFSET) / ENTRY_SIZE};
    struct entry e;
    if (s.page >= p.page_count || in_page < ENTRIES_OFFSET || in_page % ENTRY_SIZE != 0 ||
        !page_sound(page_at(&p, s.page)) || !decode_entry(&s, s.index, &e) || !has_value(e.type)) {
        return SF_ERR_NOTFOUND;
    }
    uint8_t nothing = 0; /* so that `out` NULL with size 0 is too small for a value, not a check */
    return read_value(&s, &e, out != NULL ? out : &nothing, size);
}
