/* From ELF segments to an app image.
 *
 *   0        24                                          pos
 *   | header | segment 0 (DROM: app_desc, record) | 1 (RAM, as padding) | 2 (IROM) | ...
 *            +8 bytes each: load address, length
 *
 * 1. A flash-mapped segment's data lies at a file offset equal to its address modulo the MMU page:
 *    the bootloader maps it in place. What must lie between is filled with pieces of RAM segments,
 *    which have to be stored anyway, and only then with zeros.
 * 2. The segment that begins with app_desc comes first, so app_desc is at file offset 0x20.
 * 3. No piece is longer than the longest image, so sums of a few lengths fit in 32 bits.
 * 4. `capacity` is an upper bound made before the first byte is written. */

#include "cli/appimage.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/crc32.h"
#include "formats/image.h"

enum {
    IMAGE_MAX = 16 * 1024 * 1024, /* esp_image_format.c refuses longer ones */
    PADDING_BELOW = 0x10000000,   /* the bootloader takes lower load addresses for padding */
    /* Bootloaders fail to map a last page that holds fewer bytes than this. */
    TAIL_MIN = 0x24,
    CHECKSUM_SEED = 0xef,
    DESC_MAGIC_SIZE = 4,
    DESC_PAGE_LOG2 = 180, /* mmu_page_size in app_desc */
    DESC_ELF_SHA256 = 144,
    RECORD_CRC = 60,
    WP_PIN_OFF = 0xee,
};

static const uint8_t desc_magic[DESC_MAGIC_SIZE] = {0x32, 0x54, 0xcd, 0xab};
static const uint8_t record_magic[4] = {'S', 'F', 'U', 'R'};

/* Neighbouring ELF segments, merged; length a multiple of 4. */
struct piece {
    uint32_t addr;
    uint32_t len;
    uint32_t used; /* RAM: bytes that have been written as padding */
    uint8_t *data;
};

struct list {
    struct piece piece[ELF_FILE_SEGMENT_MAX];
    unsigned count;
};

struct build {
    const struct appimage_options *options;
    struct appimage *out;
    uint32_t page; /* bytes */
    struct list flash;
    struct list ram;
    unsigned ram_next;
    size_t capacity;
};

static int refuse(struct build *b, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct build *b, int err, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(b->out->why, sizeof b->out->why, format, ap);
    va_end(ap);
    return err;
}

static uint32_t align4(uint32_t len)
{
    return (len + 3) & ~UINT32_C(3);
}

static int check_segment(struct build *b, const struct elf_segment *s)
{
    const struct chip *chip = b->options->chip;
    if (s->addr % 4 != 0) {
        return refuse(b, SF_ERR_SEGMENTS, "a segment loads to 0x%08" PRIx32 ", not a multiple of 4",
                      s->addr);
    }
    if (s->addr < PADDING_BELOW) {
        return refuse(b, SF_ERR_RANGE,
                      "a segment loads to 0x%08" PRIx32
                      ", no address of this chip: was it linked with the chip's linker script?",
                      s->addr);
    }
    if (chip_is_flash(chip, s->addr) != chip_is_flash(chip, s->addr + s->len - 1)) {
        return refuse(b, SF_ERR_RANGE,
                      "the segment at 0x%08" PRIx32 " runs over the edge of mapped flash", s->addr);
    }
    return SF_OK;
}

/* Appends to the last piece if the segment continues it: at once, or (flash) in the page where it
 * ends, which can be mapped only once. */
static int continues(const struct build *b, const struct piece *last, const struct elf_segment *s,
                     int is_flash)
{
    uint32_t end = last->addr + last->len;
    return s->addr == end || (is_flash && s->addr / b->page == (end - 1) / b->page);
}

static int add_segment(struct build *b, const struct elf_segment *s)
{
    int is_flash = chip_is_flash(b->options->chip, s->addr);
    struct list *list = is_flash ? &b->flash : &b->ram;
    struct piece *p = list->count ? &list->piece[list->count - 1] : NULL;
    if (!p || !continues(b, p, s, is_flash)) {
        p = &list->piece[list->count++];
        *p = (struct piece){.addr = s->addr};
    }
    uint32_t start = s->addr - p->addr;
    uint32_t len = align4(start + s->len);
    uint8_t *data = realloc(p->data, len);
    if (!data) {
        return refuse(b, SF_ERR_NOMEM, "out of memory");
    }
    memset(data + p->len, 0, len - p->len);
    memcpy(data + start, s->data, s->len);
    p->data = data;
    p->len = len;
    return SF_OK;
}

/* The page size stands in app_desc where a chip has a choice. */
static uint32_t page_size(const struct chip *chip, const struct elf_file *elf)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct elf_segment *s = &elf->segment[i];
        if (!chip_is_flash(chip, s->addr) || s->len < SF_IMAGE_DESC_SIZE ||
            memcmp(s->data, desc_magic, sizeof desc_magic) != 0) {
            continue;
        }
        unsigned log2 = s->data[DESC_PAGE_LOG2];
        if (log2 >= chip->page_log2_min && log2 < 16) {
            return UINT32_C(1) << log2;
        }
    }
    return UINT32_C(1) << 16;
}

static int collect(struct build *b, const struct elf_file *elf)
{
    const struct chip *chip = b->options->chip;
    if (elf->machine != chip->machine) {
        return refuse(b, SF_ERR_CHIP, "the ELF is for another processor than the %s has",
                      sf_chip_name(chip->id));
    }
    uint64_t total = 0;
    for (unsigned i = 0; i < elf->count; i++) {
        total += elf->segment[i].len;
    }
    if (total > IMAGE_MAX) {
        return refuse(b, SF_ERR_RANGE, "its segments have %" PRIu64 " bytes, an image at most %d",
                      total, IMAGE_MAX);
    }
    b->page = page_size(chip, elf);
    for (unsigned i = 0; i < elf->count; i++) {
        int err = check_segment(b, &elf->segment[i]);
        if (err == SF_OK) {
            err = add_segment(b, &elf->segment[i]);
        }
        if (err != SF_OK) {
            return err;
        }
    }
    return SF_OK;
}

static int starts_with_desc(const struct piece *p)
{
    return p->len >= SF_IMAGE_DESC_SIZE && memcmp(p->data, desc_magic, sizeof desc_magic) == 0;
}

static int desc_first(struct build *b)
{
    struct list *flash = &b->flash;
    unsigned i = 0;
    while (i < flash->count && !starts_with_desc(&flash->piece[i])) {
        i++;
    }
    if (i == flash->count) {
        return SF_OK;
    }
    struct piece found = flash->piece[i];
    if (found.addr % b->page != SF_IMAGE_DESC_OFFSET) {
        return refuse(b, SF_ERR_RANGE,
                      "app_desc is at 0x%08" PRIx32
                      ": it must be 0x20 bytes past a multiple of 0x%" PRIx32,
                      found.addr, b->page);
    }
    memmove(&flash->piece[1], &flash->piece[0], i * sizeof found);
    flash->piece[0] = found;
    b->out->has_desc = 1;
    return SF_OK;
}

static uint32_t page_number(const struct build *b, uint32_t addr)
{
    const struct chip *chip = b->options->chip;
    if (!chip->shared_mmu) {
        return addr / b->page;
    }
    int is_data = addr >= chip->drom_start && addr < chip->drom_end;
    return (addr - (is_data ? chip->drom_start : chip->irom_start)) / b->page;
}

static int check_pages(struct build *b)
{
    for (unsigned i = 0; i < b->flash.count; i++) {
        for (unsigned k = i + 1; k < b->flash.count; k++) {
            const struct piece *x = &b->flash.piece[i];
            const struct piece *y = &b->flash.piece[k];
            if (page_number(b, x->addr) <= page_number(b, y->addr + y->len - 1) &&
                page_number(b, y->addr) <= page_number(b, x->addr + x->len - 1)) {
                return refuse(b, SF_ERR_OVERLAP,
                              "the segments at 0x%08" PRIx32 " and 0x%08" PRIx32
                              " need the same MMU page: let the linker script begin one of them in "
                              "the next page of 0x%" PRIx32 " bytes",
                              x->addr, y->addr, b->page);
            }
        }
    }
    return SF_OK;
}

static void put(struct build *b, const void *data, size_t len)
{
    assert(b->out->len + len <= b->capacity);
    memcpy(b->out->data + b->out->len, data, len);
    b->out->len += len;
}

static void put_zeros(struct build *b, size_t len)
{
    assert(b->out->len + len <= b->capacity);
    memset(b->out->data + b->out->len, 0, len);
    b->out->len += len;
}

static void put_u32(struct build *b, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    put(b, bytes, sizeof bytes);
}

/* `data` NULL: zeros. */
static void put_segment(struct build *b, uint32_t addr, const uint8_t *data, uint32_t len)
{
    put_u32(b, addr);
    put_u32(b, len);
    if (data) {
        put(b, data, len);
    } else {
        put_zeros(b, len);
    }
    b->out->segment_count++;
}

static void put_padding(struct build *b, uint32_t len)
{
    if (b->ram_next == b->ram.count || len <= SF_IMAGE_SEGMENT_HEADER_SIZE) {
        put_segment(b, 0, NULL, len);
        return;
    }
    struct piece *p = &b->ram.piece[b->ram_next];
    uint32_t left = p->len - p->used;
    uint32_t take = left < len ? left : len;
    put_segment(b, p->addr + p->used, p->data + p->used, take);
    p->used += take;
    b->ram_next += p->used == p->len;
}

/* Bytes of padding data so that a flash segment after it is in its place; 0 = it is there now. */
static uint32_t padding_needed(const struct build *b, uint32_t addr)
{
    uint32_t here = (uint32_t)b->out->len + SF_IMAGE_SEGMENT_HEADER_SIZE;
    if ((addr - here) % b->page == 0) {
        return 0;
    }
    uint32_t need = (addr - here - SF_IMAGE_SEGMENT_HEADER_SIZE) % b->page;
    return need ? need : b->page;
}

static void put_flash(struct build *b, const struct piece *p)
{
    uint32_t need = padding_needed(b, p->addr);
    while (need != 0) {
        put_padding(b, need);
        need = padding_needed(b, p->addr);
    }
    uint32_t tail = (p->addr + p->len) % b->page;
    uint32_t extra = tail != 0 && tail < TAIL_MIN ? TAIL_MIN - tail : 0;
    put_u32(b, p->addr);
    put_u32(b, p->len + extra);
    put(b, p->data, p->len);
    put_zeros(b, extra);
    b->out->segment_count++;
}

static void put_header(struct build *b, uint32_t entry)
{
    const struct appimage_options *o = b->options;
    uint8_t h[SF_IMAGE_HEADER_SIZE] = {
        [0] = SF_IMAGE_MAGIC,
        [2] = o->spi_mode,
        [3] = (uint8_t)(o->spi_size << 4 | o->spi_freq),
        [8] = WP_PIN_OFF,
        [12] = (uint8_t)o->chip->id,
        [13] = (uint8_t)(o->chip->id >> 8),
        [15] = (uint8_t)o->min_chip_rev_full,
        [16] = (uint8_t)(o->min_chip_rev_full >> 8),
        [17] = (uint8_t)o->max_chip_rev_full,
        [18] = (uint8_t)(o->max_chip_rev_full >> 8),
        [23] = 1, /* a SHA-256 is appended */
    };
    for (unsigned i = 0; i < 4; i++) {
        h[4 + i] = (uint8_t)(entry >> (8 * i));
    }
    put(b, h, sizeof h);
}

static int put_segments(struct build *b, uint32_t entry)
{
    /* Per flash piece: its padding, up to a page, its tail and headers. Per RAM piece: one header
     * more for each time it is split, which is at most once a flash piece. */
    b->capacity = SF_IMAGE_HEADER_SIZE + 16 + SF_SHA256_SIZE;
    for (unsigned i = 0; i < b->flash.count; i++) {
        b->capacity += b->flash.piece[i].len + b->page + TAIL_MIN + 64;
    }
    for (unsigned i = 0; i < b->ram.count; i++) {
        b->capacity += b->ram.piece[i].len + SF_IMAGE_SEGMENT_HEADER_SIZE;
    }
    b->out->data = malloc(b->capacity);
    if (!b->out->data) {
        return refuse(b, SF_ERR_NOMEM, "out of memory");
    }
    put_header(b, entry);
    for (unsigned i = 0; i < b->flash.count; i++) {
        put_flash(b, &b->flash.piece[i]);
    }
    while (b->ram_next < b->ram.count) {
        struct piece *p = &b->ram.piece[b->ram_next++];
        put_segment(b, p->addr + p->used, p->data + p->used, p->len - p->used);
    }
    if (b->out->segment_count > SF_IMAGE_SEGMENT_MAX) {
        return refuse(b, SF_ERR_SEGMENTS,
                      "it needs %u segments, an image has at most %d: merge sections in the linker "
                      "script",
                      b->out->segment_count, SF_IMAGE_SEGMENT_MAX);
    }
    b->out->data[1] = (uint8_t)b->out->segment_count;
    return SF_OK;
}

/* What only the finished layout allows: the ELF's digest, the updater record's crc. */
static void patch(struct build *b)
{
    uint8_t *data = b->out->data;
    if (b->out->has_desc) {
        memcpy(data + SF_IMAGE_DESC_OFFSET + DESC_ELF_SHA256, b->options->elf_sha256,
               SF_SHA256_SIZE);
    }
    const uint32_t first_len = b->flash.count ? b->flash.piece[0].len : 0;
    uint8_t *record = data + SF_IMAGE_RECORD_OFFSET;
    if (!b->out->has_desc ||
        first_len < SF_IMAGE_RECORD_OFFSET - SF_IMAGE_DESC_OFFSET + SF_IMAGE_RECORD_SIZE ||
        memcmp(record, record_magic, sizeof record_magic) != 0) {
        return;
    }
    uint32_t crc = sf_crc32(0, record, RECORD_CRC);
    for (unsigned i = 0; i < 4; i++) {
        record[RECORD_CRC + i] = (uint8_t)(crc >> (8 * i));
    }
    b->out->has_record = 1;
}

static uint32_t read_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int finish(struct build *b, const struct sf_crypto *crypto)
{
    uint8_t checksum = CHECKSUM_SEED;
    size_t pos = SF_IMAGE_HEADER_SIZE;
    for (unsigned i = 0; i < b->out->segment_count; i++) {
        uint32_t len = read_u32(b->out->data + pos + 4);
        pos += SF_IMAGE_SEGMENT_HEADER_SIZE;
        for (uint32_t k = 0; k < len; k++) {
            checksum ^= b->out->data[pos + k];
        }
        pos += len;
    }
    put_zeros(b, 15 - b->out->len % 16);
    put(b, &checksum, 1);
    uint8_t digest[SF_SHA256_SIZE];
    int err = sf_sha256(crypto, b->out->data, b->out->len, digest);
    if (err != SF_OK) {
        return refuse(b, err, "SHA-256 failed");
    }
    put(b, digest, sizeof digest);
    if (b->out->len > IMAGE_MAX) {
        return refuse(b, SF_ERR_RANGE, "the image would have %zu bytes, at most %d are possible",
                      b->out->len, IMAGE_MAX);
    }
    return SF_OK;
}

static void release_list(struct list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        free(list->piece[i].data);
    }
}

int appimage_build(const struct elf_file *elf, const struct appimage_options *options,
                   const struct sf_crypto *crypto, struct appimage *out)
{
    memset(out, 0, sizeof *out);
    struct build b = {.options = options, .out = out};
    int err = collect(&b, elf);
    if (err == SF_OK) {
        err = desc_first(&b);
    }
    if (err == SF_OK) {
        err = check_pages(&b);
    }
    if (err == SF_OK) {
        err = put_segments(&b, elf->entry);
    }
    if (err == SF_OK) {
        patch(&b);
        err = finish(&b, crypto);
    }
    release_list(&b.flash);
    release_list(&b.ram);
    return err;
}

void appimage_release(struct appimage *image)
{
    free(image->data);
    image->data = NULL;
}
