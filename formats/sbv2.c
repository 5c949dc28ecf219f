/* Signature blocks. What a block is follows from its first bytes by one table:
 *
 *     E7 | version | sha | 0 | image digest | key ................. | signature | .. | crc | 0 x 16
 *                                             RSA: n, e, R^2, -1/n
 *                                             else curve, x, y
 *
 * 1. A block that is no block (magic, crc) is passed over, as the ROM does; so the order of blocks
 *    and a broken one among them decide nothing.
 * 2. A signature is computed only with a key that counts. */
#include "formats/sbv2.h"

#include <string.h>

#include "formats/crc32.h"

enum {
    ERASED = 0xff,
    VERSION_AT = 1,
    SHA_AT = 2,
    DIGEST_AT = 4,
    VERSION_RSA = 2,
    VERSION_ECDSA = 3,
};

static const struct layout {
    uint8_t version;
    uint8_t sha;
    uint8_t curve;
    uint8_t digest_len;
    uint16_t key_len;
    uint16_t number_len;
} layouts[] = {
    [SF_SBV2_RSA_3072] = {VERSION_RSA, 0, 0, 32, 776, 384},
    [SF_SBV2_ECDSA_P192] = {VERSION_ECDSA, 0, 1, 32, 65, 24},
    [SF_SBV2_ECDSA_P256] = {VERSION_ECDSA, 0, 2, 32, 65, 32},
    [SF_SBV2_ECDSA_P384] = {VERSION_ECDSA, 1, 3, 48, 97, 48},
};
enum { SCHEMES = sizeof(layouts) / sizeof(layouts[0]) };

_Static_assert(DIGEST_AT + 32 + 776 + 384 == SF_SBV2_CRC_OFFSET, "an RSA block is full");
_Static_assert(SF_SBV2_CRC_OFFSET + 4 + 16 == SF_SBV2_BLOCK_SIZE, "crc and padding end a block");
_Static_assert(SF_SBV2_BLOCK_MAX *SF_SBV2_BLOCK_SIZE <= SF_SBV2_SECTOR_SIZE, "the blocks fit");

const char *sf_sbv2_scheme_str(enum sf_sbv2_scheme scheme)
{
    static const char *const names[SCHEMES] = {
        [SF_SBV2_RSA_3072] = "RSA-3072",
        [SF_SBV2_ECDSA_P192] = "ECDSA P-192",
        [SF_SBV2_ECDSA_P256] = "ECDSA P-256",
        [SF_SBV2_ECDSA_P384] = "ECDSA P-384",
    };
    return (unsigned)scheme < SCHEMES ? names[scheme] : "unknown";
}

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int sf_sbv2_is_block(const uint8_t bytes[SF_SBV2_BLOCK_SIZE])
{
    return bytes[0] == SF_SBV2_MAGIC &&
           read_u32(bytes + SF_SBV2_CRC_OFFSET) == sf_crc32(0, bytes, SF_SBV2_CRC_OFFSET);
}

static int is_384(const uint8_t start[4])
{
    return start[VERSION_AT] == VERSION_ECDSA && start[SHA_AT] == 1;
}

struct sf_sbv2_span sf_sbv2_key_span(const uint8_t start[4])
{
    const int scheme = start[VERSION_AT] == VERSION_RSA ? SF_SBV2_RSA_3072
                       : is_384(start)                  ? SF_SBV2_ECDSA_P384
                                                        : SF_SBV2_ECDSA_P256;
    return (struct sf_sbv2_span){(uint16_t)(DIGEST_AT + layouts[scheme].digest_len),
                                 layouts[scheme].key_len};
}

static int scheme_of(const uint8_t *bytes, struct sf_diag *diag)
{
    if (bytes[VERSION_AT] == VERSION_RSA) {
        return SF_SBV2_RSA_3072;
    }
    if (bytes[VERSION_AT] != VERSION_ECDSA) {
        return sf_fail(diag, SF_ERR_VERSION, VERSION_AT, "unknown version of a signature block");
    }
    if (bytes[SHA_AT] > 1) {
        return sf_fail(diag, SF_ERR_ALGORITHM, SHA_AT, "unknown hash in a signature block");
    }
    const size_t curve_at = sf_sbv2_key_span(bytes).offset;
    for (int i = SF_SBV2_ECDSA_P192; i < SCHEMES; i++) {
        if (layouts[i].sha == bytes[SHA_AT] && layouts[i].curve == bytes[curve_at]) {
            return i;
        }
    }
    return sf_fail(diag, SF_ERR_ALGORITHM, curve_at,
                   "no curve that a signature block can have with its hash");
}

int sf_sbv2_block_decode(const uint8_t bytes[SF_SBV2_BLOCK_SIZE], struct sf_sbv2_block *out,
                         struct sf_diag *diag)
{
    memset(out, 0, sizeof(*out));
    if (bytes[0] == ERASED) {
        return sf_fail(diag, SF_ERR_NOTFOUND, 0, "no signature block is here");
    }
    if (bytes[0] != SF_SBV2_MAGIC) {
        return sf_fail(diag, SF_ERR_MAGIC, 0, "a signature block begins with e7");
    }
    if (!sf_sbv2_is_block(bytes)) {
        return sf_fail(diag, SF_ERR_CHECKSUM, SF_SBV2_CRC_OFFSET,
                       "the signature block's crc does not match");
    }
    const int scheme = scheme_of(bytes, diag);
    if (scheme < 0) {
        return scheme;
    }
    const struct layout *l = &layouts[scheme];
    out->scheme = (uint8_t)scheme;
    out->image_digest = bytes + DIGEST_AT;
    out->image_digest_len = l->digest_len;
    out->key = out->image_digest + l->digest_len;
    out->key_len = l->key_len;
    out->signature = out->key + l->key_len;
    out->number_len = l->number_len;
    if (scheme == SF_SBV2_RSA_3072) {
        out->public_key = out->key;
        out->exponent = read_u32(out->key + l->number_len);
    } else {
        out->public_key = out->key + 1;
    }
    return SF_OK;
}

int sf_sbv2_key_digest(const struct sf_sbv2_block *block, const struct sf_crypto *crypto,
                       uint8_t digest[SF_SHA256_SIZE])
{
    return sf_sha256(crypto, block->key, block->key_len, digest);
}

static int counts(const struct sf_sbv2_keys *keys, const uint8_t digest[SF_SHA256_SIZE])
{
    const int size_fits =
        keys->digest_size >= SF_SBV2_KEY_DIGEST_MIN && keys->digest_size <= SF_SHA256_SIZE;
    for (unsigned i = 0; size_fits && i < keys->count && i < SF_SBV2_KEY_MAX; i++) {
        if (memcmp(keys->digest[i], digest, keys->digest_size) == 0) {
            return 1;
        }
    }
    return 0;
}

static int judge_block(const uint8_t *bytes, const struct sf_sbv2_trust *trust,
                       struct sf_sbv2_block *out)
{
    uint8_t digest[SF_SHA256_SIZE];
    if (sf_sbv2_block_decode(bytes, out, NULL) != SF_OK) {
        return SF_ERR_UNSIGNED;
    }
    int err = sf_sbv2_key_digest(out, trust->crypto, digest);
    if (err != SF_OK) {
        return err;
    }
    if (!counts(trust->keys, digest)) {
        return SF_ERR_BOOT_KEY;
    }
    err = trust->verifier->verify(trust->verifier->ctx, out);
    return err == SF_ERR_SIGNATURE ? SF_ERR_BOOT_SIGNATURE : err;
}

int sf_sbv2_find(const uint8_t sector[SF_SBV2_SECTOR_SIZE], unsigned first,
                 const struct sf_sbv2_trust *trust, struct sf_sbv2_block *out)
{
    /* The reason that is told is of the block that came furthest. */
    int reason = first == 0 ? SF_ERR_UNSIGNED : SF_ERR_BOOT_SIGNATURE;
    for (unsigned i = first; i < trust->keys->block_count && i < SF_SBV2_BLOCK_MAX; i++) {
        const int err = judge_block(sector + (size_t)i * SF_SBV2_BLOCK_SIZE, trust, out);
        if (err == SF_OK) {
            return (int)i;
        }
        if (reason == SF_ERR_UNSIGNED || (reason == SF_ERR_BOOT_KEY && err != SF_ERR_UNSIGNED)) {
            reason = err < 0 ? err : SF_ERR_CRYPTO; /* whatever a port returns */
        }
    }
    return reason;
}

int sf_sbv2_hash_start(const struct sf_sbv2_trust *trust, size_t digest_len, struct sf_sha256 *hash)
{
    const struct sf_sbv2_verifier *v = trust->verifier;
    if (digest_len == SF_SHA256_SIZE) {
        return trust->crypto->sha256_start(trust->crypto->ctx, hash);
    }
    return v->sha384_start == NULL ? SF_ERR_UNSUPPORTED : v->sha384_start(v->ctx, hash);
}

int sf_sbv2_hash_feed(const struct sf_sbv2_trust *trust, size_t digest_len, struct sf_sha256 *hash,
                      const uint8_t *data, size_t len)
{
    return digest_len == SF_SHA256_SIZE
               ? trust->crypto->sha256_feed(trust->crypto->ctx, hash, data, len)
               : trust->verifier->sha384_feed(trust->verifier->ctx, hash, data, len);
}

int sf_sbv2_hash_end(const struct sf_sbv2_trust *trust, size_t digest_len, struct sf_sha256 *hash,
                     uint8_t digest[SF_SBV2_DIGEST_MAX])
{
    return digest_len == SF_SHA256_SIZE
               ? trust->crypto->sha256_end(trust->crypto->ctx, hash, digest)
               : trust->verifier->sha384_end(trust->verifier->ctx, hash, digest);
}

static int hash_image(const struct sf_sbv2_image *image, const struct sf_sbv2_trust *trust,
                      size_t digest_len, uint8_t *scratch, uint8_t *digest)
{
    struct sf_sha256 hash;
    int err = sf_sbv2_hash_start(trust, digest_len, &hash);
    if (err != SF_OK) {
        return err;
    }
    for (uint32_t at = 0; at < image->length && err == SF_OK; at += SF_SBV2_SECTOR_SIZE) {
        err = image->read(image->ctx, image->address + at, scratch, SF_SBV2_SECTOR_SIZE);
        if (err == SF_OK) {
            err = sf_sbv2_hash_feed(trust, digest_len, &hash, scratch, SF_SBV2_SECTOR_SIZE);
        }
    }
    if (err != SF_OK) {
        (void)trust->crypto->sha256_end(trust->crypto->ctx, &hash, NULL);
        return err;
    }
    return sf_sbv2_hash_end(trust, digest_len, &hash, digest);
}

static int refuse(const struct sf_sbv2_image *image, int err, struct sf_diag *diag)
{
    const char *why = "the signature sector cannot be checked";
    switch (err) {
    case SF_ERR_UNSIGNED:
        why = "no signature block is where the bootloader looks for one";
        break;
    case SF_ERR_BOOT_KEY:
        why = "no signature block is of a key that counts";
        break;
    case SF_ERR_BOOT_SIGNATURE:
        why = "the signature of a key that counts does not hold for this image";
        break;
    case SF_ERR_UNSUPPORTED:
        why = "the scheme of this signature block cannot be checked here";
        break;
    default:
        break;
    }
    return sf_fail(diag, err, image->length, why);
}

int sf_sbv2_check(const struct sf_sbv2_image *image, const struct sf_sbv2_trust *trust,
                  uint8_t scratch[SF_SBV2_SECTOR_SIZE], struct sf_diag *diag)
{
    if (image->length % SF_SBV2_SECTOR_SIZE != 0) {
        return refuse(image, SF_ERR_UNSIGNED, diag);
    }
    for (int block = 0;; block++) { /* ends: the number grows, and there are three */
        struct sf_sbv2_block b;
        uint8_t named[SF_SBV2_DIGEST_MAX];
        uint8_t digest[SF_SBV2_DIGEST_MAX];
        int err =
            image->read(image->ctx, image->address + image->length, scratch, SF_SBV2_SECTOR_SIZE);
        if (err != SF_OK) {
            return refuse(image, err < 0 ? err : SF_ERR_IO, diag);
        }
        block = sf_sbv2_find(scratch, (unsigned)block, trust, &b);
        if (block < 0) {
            return refuse(image, block, diag);
        }
        memcpy(named, b.image_digest, b.image_digest_len);
        err = hash_image(image, trust, b.image_digest_len, scratch, digest);
        if (err != SF_OK) {
            return refuse(image, err < 0 ? err : SF_ERR_CRYPTO, diag);
        }
        if (memcmp(named, digest, b.image_digest_len) == 0) {
            return block;
        }
    }
}
