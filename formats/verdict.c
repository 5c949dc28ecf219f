#include "formats/verdict.h"

#include <assert.h>
#include <string.h>

enum { MMU_PAGE = 0x10000 };

/* Where flash is mapped into the address space: a segment loaded there must lie in flash at the
 * same offset within a page. Chips whose page size is a setting are left out. Source: ESP-IDF
 * components/soc/<chip>/include/soc/soc.h. */
static const struct {
    uint16_t chip_id;
    uint32_t low;
    uint32_t high;
} mapped[] = {
    {SF_CHIP_ESP32, 0x400d0000, 0x40400000},
    {SF_CHIP_ESP32, 0x3f400000, 0x3f800000},
    {SF_CHIP_ESP32C3, 0x42000000, 0x42800000},
    {SF_CHIP_ESP32C3, 0x3c000000, 0x3c800000},
};

static int is_mapped(uint16_t chip_id, uint32_t address)
{
    for (size_t i = 0; i < sizeof(mapped) / sizeof(mapped[0]); i++) {
        if (mapped[i].chip_id == chip_id && address >= mapped[i].low && address < mapped[i].high) {
            return 1;
        }
    }
    return 0;
}

static int check_chip(const struct sf_verdict_input *in, const struct sf_image_header *h,
                      struct sf_diag *diag)
{
    if (h->chip_id != in->chip_id) {
        return sf_fail(diag, SF_ERR_CHIP, 12, "the image is for another chip");
    }
    if (in->chip_revision < h->min_chip_rev_full) {
        return sf_fail(diag, SF_ERR_CHIP_REVISION, 15, "the image needs a newer chip revision");
    }
    if (h->max_chip_rev_full != 0 && h->max_chip_rev_full != UINT16_MAX &&
        in->chip_revision > h->max_chip_rev_full) {
        return sf_fail(diag, SF_ERR_CHIP_REVISION, 17,
                       "the chip revision is too new for the image");
    }
    return SF_OK;
}

static int check_mapping(const struct sf_verdict_input *in, const struct sf_image_parser *p,
                         struct sf_diag *diag)
{
    for (unsigned i = 0; i < p->head.header.segment_count; i++) {
        const struct sf_image_segment *s = &p->segment[i];
        if (is_mapped(in->chip_id, s->load_addr) &&
            (in->address + s->data_offset) % MMU_PAGE != s->load_addr % MMU_PAGE) {
            return sf_fail(diag, SF_ERR_SEGMENTS, s->data_offset - SF_IMAGE_SEGMENT_HEADER_SIZE,
                           "a mapped segment does not lie at its address within a flash page");
        }
    }
    return SF_OK;
}

static int feed_slot(const struct sf_verdict_input *in, struct sf_verdict *v)
{
    int checked = 0;
    for (uint32_t pos = 0; pos < in->size && !v->image.complete;) {
        const uint32_t left = in->size - pos;
        const uint32_t n = left < SF_VERDICT_CHUNK ? left : SF_VERDICT_CHUNK;
        int err = in->read(in->ctx, in->address + pos, v->chunk, n);
        if (err != SF_OK) {
            return sf_fail(&v->diag, err, pos, "reading the slot failed");
        }
        err = sf_image_feed(&v->image, v->chunk, n, &v->diag);
        if (err == SF_OK && !checked) {
            err = check_chip(in, &v->image.head.header, &v->diag);
            checked = 1;
        }
        if (err != SF_OK) {
            return err;
        }
        pos += n;
    }
    return SF_OK;
}

static int check_signature(const struct sf_verdict_input *in, struct sf_verdict *v)
{
    const uint32_t padded =
        (v->image.length + SF_SBV2_SECTOR_SIZE - 1) & ~(uint32_t)(SF_SBV2_SECTOR_SIZE - 1);
    const struct sf_sbv2_image image = {
        .ctx = in->ctx, .read = in->read, .address = in->address, .length = padded};
    if (in->secure_boot == NULL || !in->secure_boot->keys->enabled) {
        return SF_OK;
    }
    if (in->size < SF_SBV2_SECTOR_SIZE || padded > in->size - SF_SBV2_SECTOR_SIZE) {
        return sf_fail(&v->diag, SF_ERR_UNSIGNED, padded,
                       "the slot has no room for a signature sector behind the image");
    }
    const int block = sf_sbv2_check(&image, in->secure_boot, v->sector, &v->diag);
    return block < 0 ? block : SF_OK;
}

int sf_verdict_image(const struct sf_verdict_input *in, struct sf_verdict *out)
{
    assert(in->crypto != NULL);
    memset(out, 0, sizeof(*out));
    if (in->size < SF_IMAGE_HEADER_SIZE || in->size > UINT32_MAX - in->address) {
        out->err = sf_fail(&out->diag, SF_ERR_RANGE, 0, "the slot's size is no size of a slot");
        return out->err;
    }
    out->err = sf_image_start(&out->image, in->crypto);
    out->diag = out->image.diag;
    if (in->size < out->image.limit) {
        out->image.limit = in->size;
    }
    if (out->err == SF_OK) {
        out->err = feed_slot(in, out);
    }
    const int err = sf_image_end(&out->image, out->err == SF_OK ? &out->diag : NULL);
    if (out->err == SF_OK) {
        out->err = err;
    }
    if (out->err == SF_OK) {
        out->err = check_mapping(in, &out->image, &out->diag);
    }
    if (out->err == SF_OK) {
        out->err = check_signature(in, out);
    }
    return out->err;
}
