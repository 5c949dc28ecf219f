#include "base/siphash.h"

#include <string.h>

#include "formats/bytes.h"

enum { ROUNDS_EACH = 2, ROUNDS_LAST = 4 };

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

/* Half of a round: two words at `a`, two at `b`. */
static void mix(uint64_t *a, uint64_t *b, unsigned left)
{
    *a += *b;
    *b = rotate(*b, left) ^ *a;
}

static void rounds(uint64_t v[4], unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        mix(&v[0], &v[1], 13);
        v[0] = rotate(v[0], 32);
        mix(&v[2], &v[3], 16);
        mix(&v[0], &v[3], 21);
        mix(&v[2], &v[1], 17);
        v[2] = rotate(v[2], 32);
    }
}

static void take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    rounds(v, ROUNDS_EACH);
    v[0] ^= word;
}

uint64_t siphash(const uint8_t key[SIPHASH_KEY_SIZE], const void *data, size_t len)
{
    struct sf_reader r;
    sf_reader_init(&r, key, SIPHASH_KEY_SIZE);
    const uint64_t k0 = sf_read_u64le(&r);
    const uint64_t k1 = sf_read_u64le(&r);
    uint64_t v[4] = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                     k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    uint8_t last[8] = {0};
    last[7] = (uint8_t)len;
    memcpy(last, (const uint8_t *)data + (len & ~(size_t)7), len & 7);
    sf_reader_init(&r, data, len);
    for (size_t i = 0; i < len / 8; i++) {
        take(v, sf_read_u64le(&r));
    }
    sf_reader_init(&r, last, sizeof(last));
    take(v, sf_read_u64le(&r));
    v[2] ^= 0xff;
    rounds(v, ROUNDS_LAST);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
