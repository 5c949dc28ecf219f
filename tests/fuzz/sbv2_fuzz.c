/* A signature sector behind no image at all. Every key counts, every digest is zero, and whether a
 * signature holds is a bit of it. What is taken must be a block by every measure. */
#include "formats/sbv2.h"

#include <assert.h>

#include "tests/fuzz/zero_sha256.h"

enum { SECTOR = SF_SBV2_SECTOR_SIZE };

struct input {
    const uint8_t *data;
    size_t len;
};

/* What the input does not have is FF, as erased flash. */
static int read_input(void *ctx, uint32_t address, void *out, size_t len)
{
    const struct input *in = ctx;
    uint8_t *to = out;
    for (size_t i = 0; i < len; i++) {
        to[i] = address + i < in->len ? in->data[address + i] : 0xff;
    }
    return SF_OK;
}

static int verify(void *ctx, const struct sf_sbv2_block *block)
{
    (void)ctx;
    uint8_t sum = 0;
    const size_t numbers = block->scheme == SF_SBV2_RSA_3072 ? 1 : 2;
    for (size_t i = 0; i < numbers * block->number_len; i++) {
        sum ^= (uint8_t)(block->signature[i] ^ block->public_key[i]);
    }
    for (size_t i = 0; i < block->key_len; i++) {
        sum ^= block->key[i];
    }
    return (sum & 1) != 0 ? SF_ERR_SIGNATURE : SF_OK;
}

static int end_384(void *ctx, struct sf_sha256 *hash, uint8_t digest[SF_SBV2_DIGEST_MAX])
{
    memset(digest, 0, SF_SBV2_DIGEST_MAX);
    return zero_sha256.sha256_end(ctx, hash, digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t scratch[SECTOR];
    struct input in = {data, len};
    const struct sf_sbv2_verifier verifier = {.verify = verify,
                                              .sha384_start = zero_sha256.sha256_start,
                                              .sha384_feed = zero_sha256.sha256_feed,
                                              .sha384_end = end_384};
    const struct sf_sbv2_keys keys = {.count = 1, .digest_size = 32, .block_count = 3};
    const struct sf_sbv2_trust trust = {&zero_sha256, &verifier, &keys};
    const struct sf_sbv2_image image = {.ctx = &in, .read = read_input, .length = 0};
    struct sf_diag diag = {0, NULL};

    const int found = sf_sbv2_check(&image, &trust, scratch, &diag);
    assert(found < SF_SBV2_BLOCK_MAX && (found >= 0 || diag.why != NULL));
    assert(read_input(&in, 0, scratch, SECTOR) == SF_OK);
    for (int i = 0; i < SF_SBV2_BLOCK_MAX; i++) {
        struct sf_sbv2_block block;
        const uint8_t *bytes = scratch + i * SF_SBV2_BLOCK_SIZE;
        const int err = sf_sbv2_block_decode(bytes, &block, &diag);
        assert(err == SF_OK || diag.offset < SF_SBV2_BLOCK_SIZE);
        assert(err == SF_OK ? sf_sbv2_is_block(bytes) : i != found);
        if (err == SF_OK) {
            const struct sf_sbv2_span span = sf_sbv2_key_span(bytes);
            assert(bytes + span.offset == block.key && span.len == block.key_len);
            assert(block.signature + block.number_len <= bytes + SF_SBV2_BLOCK_SIZE);
        }
    }
    return 0;
}
