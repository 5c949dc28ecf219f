#include "tests/support/esp_image.h"

#include <assert.h>
#include <string.h>

enum {
    HASH_SIZE = 32,
    DATA_AT = 0x20,  /* data of the first segment */
    FLIPPED = 0x190, /* a data byte that nothing reads */
    ZERO_KIND_SIZE = 4096,
    TRAILING_SIZE = 512,
};

enum repair { NOTHING, FIX_HASH, FIX_CHECKSUM, FIX_BOTH, DROP_HASH };

/* A change: image[at] = value, or ^= value. `at` counts from the end if negative. */
struct change {
    const char *kind;
    int at;
    enum { SET, XOR } how;
    uint8_t value;
    enum repair repair;
};

static const struct change changes[] = {
    {"ok", 0, XOR, 0, NOTHING},
    {"badmagic", 0, SET, 0xe8, NOTHING},
    {"badmagic_fixsha", 0, SET, 0xe8, FIX_HASH},
    {"badchip", 12, SET, 9, FIX_HASH},
    {"minrev", 15, SET, 9999 & 0xff, FIX_HASH},
    {"minrev", 16, SET, 9999 >> 8, FIX_HASH},
    {"maxrev0", 17, SET, 1, FIX_HASH},
    {"badsha", -1, XOR, 1, NOTHING},
    {"bitflip", FLIPPED, XOR, 0x10, NOTHING},
    {"bitflip_fixck", FLIPPED, XOR, 0x10, FIX_CHECKSUM},
    {"badck_fixsha", -HASH_SIZE - 1, XOR, 0x55, FIX_HASH},
    {"nohash", 23, SET, 0, DROP_HASH},
    {"nohash_badck", 23, SET, 0, NOTHING},
    {"nohash_badck", -HASH_SIZE - 1, XOR, 0x55, DROP_HASH},
    {"nohash_bitflip2", 23, SET, 0, NOTHING},
    {"nohash_bitflip2", FLIPPED, XOR, 0x10, NOTHING},
    {"nohash_bitflip2", FLIPPED + 1, XOR, 0x10, DROP_HASH},
    {"noappdesc", DATA_AT, SET, 0, NOTHING},
    {"noappdesc", DATA_AT + 1, SET, 0, NOTHING},
    {"noappdesc", DATA_AT + 2, SET, 0, NOTHING},
    {"noappdesc", DATA_AT + 3, SET, 0, FIX_BOTH},
    {"seg17", 1, SET, 17, FIX_HASH},
    {"seg0", 1, SET, 0, FIX_HASH},
    {"hugeseg", 30, SET, 0x20, NOTHING}, /* length of the first segment: 0x200200 */
};

static void repair(uint8_t *image, size_t len, enum repair what)
{
    if (what == FIX_CHECKSUM || what == FIX_BOTH) {
        esp_image_rechecksum(image, len);
    }
    if (what == FIX_HASH || what == FIX_BOTH) {
        esp_image_rehash(image, len);
    }
    if (what == DROP_HASH) {
        memset(image + len - HASH_SIZE, 0xff, HASH_SIZE);
    }
}

static long lay_special(const char *kind, size_t len, uint8_t *slot, size_t size)
{
    if (strcmp(kind, "erased") == 0) {
        memset(slot, 0xff, len);
        return 0;
    }
    if (strcmp(kind, "zero") == 0) {
        memset(slot, 0xff, len);
        memset(slot, 0, ZERO_KIND_SIZE);
        return ZERO_KIND_SIZE;
    }
    if (strcmp(kind, "truncated") == 0) {
        memset(slot + len - 48, 0xff, 48);
        return (long)len - 48;
    }
    if (strcmp(kind, "trailing") == 0) {
        assert(len + TRAILING_SIZE <= size);
        for (size_t i = 0; i < TRAILING_SIZE; i++) {
            slot[len + i] = (uint8_t)(77 + i * 31);
        }
        return (long)len + TRAILING_SIZE;
    }
    return -1;
}

long esp_image_lay(const char *kind, const uint8_t *image, size_t len, uint8_t *slot, size_t size)
{
    assert(len <= size && size >= ZERO_KIND_SIZE);
    memset(slot + len, 0xff, size - len);
    memcpy(slot, image, len);
    int known = 0;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct change *c = &changes[i];
        if (strcmp(c->kind, kind) == 0) {
            uint8_t *byte = slot + (c->at < 0 ? len - (size_t)-c->at : (size_t)c->at);
            *byte = c->how == SET ? c->value : (uint8_t)(*byte ^ c->value);
            repair(slot, len, c->repair);
            known = 1;
        }
    }
    return known ? (long)len : lay_special(kind, len, slot, size);
}
