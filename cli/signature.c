/* Signature sectors of files. */

#include "cli/signature.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/sbv2_openssl.h"
#include "cli/out.h"

static int hash_of(const uint8_t *data, size_t len, size_t digest_len, uint8_t *digest)
{
    const struct sf_sbv2_trust trust = {.crypto = crypto_openssl(), .verifier = sbv2_openssl()};
    struct sf_sha256 hash;
    int err = sf_sbv2_hash_start(&trust, digest_len, &hash);
    if (err != SF_OK) {
        return err;
    }
    err = sf_sbv2_hash_feed(&trust, digest_len, &hash, data, len);
    int end = sf_sbv2_hash_end(&trust, digest_len, &hash, digest);
    return err != SF_OK ? err : end;
}

/* Whether the block's key has signed data[0, len). */
static int check_block(const struct sf_sbv2_block *b, const uint8_t *data, size_t len,
                       struct sf_diag *diag)
{
    uint8_t digest[SF_SBV2_DIGEST_MAX];
    int err = hash_of(data, len, b->image_digest_len, digest);
    if (err != SF_OK) {
        return sf_fail(diag, err, 0, "hashing the file failed");
    }
    if (memcmp(digest, b->image_digest, b->image_digest_len) != 0) {
        return sf_fail(diag, SF_ERR_DIGEST, (size_t)(b->image_digest - data),
                       "the block signs other bytes than these");
    }
    err = sbv2_openssl()->verify(NULL, b);
    if (err != SF_OK) {
        return sf_fail(diag, err == SF_ERR_SIGNATURE ? SF_ERR_BOOT_SIGNATURE : err,
                       (size_t)(b->signature - data), "not by the key that the block names");
    }
    return SF_OK;
}

static void read_block(const uint8_t *data, size_t image_len, size_t at,
                       struct signature_block *out)
{
    struct sf_sbv2_block b;
    *out = (struct signature_block){0};
    out->err = sf_sbv2_block_decode(data + at, &b, &out->diag);
    if (out->err != SF_OK) {
        out->diag.offset += at;
        return;
    }
    out->scheme = b.scheme;
    out->err = sf_sbv2_key_digest(&b, crypto_openssl(), out->key_digest);
    out->has_key = out->err == SF_OK;
    if (out->err == SF_OK) {
        out->err = check_block(&b, data, image_len, &out->diag);
    }
}

void signature_none(struct signature *out)
{
    *out = (struct signature){0};
    for (unsigned i = 0; i < SF_SBV2_BLOCK_MAX; i++) {
        out->block[i].err = SF_ERR_NOTFOUND;
    }
}

int signature_read(const uint8_t *data, size_t len, struct signature *out, struct sf_diag *diag)
{
    signature_none(out);
    if (len < 2 * (size_t)SF_SBV2_SECTOR_SIZE || len % SF_SBV2_SECTOR_SIZE != 0) {
        return sf_fail(diag, SF_ERR_UNSIGNED, len,
                       "a signed file ends with a signature sector on a 4 KiB boundary");
    }
    out->offset = (uint32_t)(len - SF_SBV2_SECTOR_SIZE);
    for (unsigned i = 0; i < SF_SBV2_BLOCK_MAX; i++) {
        struct signature_block *b = &out->block[i];
        read_block(data, out->offset, out->offset + (size_t)i * SF_SBV2_BLOCK_SIZE, b);
        if (b->err == SF_ERR_CRYPTO) {
            return sf_fail(diag, b->err, b->diag.offset, b->diag.why);
        }
        out->count += b->err != SF_ERR_NOTFOUND;
    }
    return out->count > 0 ? SF_OK
                          : sf_fail(diag, SF_ERR_UNSIGNED, out->offset,
                                    "no signature block is in the last 4 KiB");
}

int signature_is_in_place(const struct sf_image_parser *image, size_t len)
{
    size_t sector = SF_SBV2_SECTOR_SIZE;
    size_t padded = (image->length + sector - 1) / sector * sector;
    return image->err != SF_OK || !image->complete || len == padded + sector;
}

void signature_print(const struct signature *s)
{
    for (unsigned i = 0; i < SF_SBV2_BLOCK_MAX; i++) {
        const struct signature_block *b = &s->block[i];
        char hex[2 * SF_SHA256_SIZE + 1];
        if (b->err == SF_ERR_NOTFOUND) {
            continue;
        }
        printf("signature %u     ", i);
        if (b->has_key) {
            hex_encode(b->key_digest, sizeof b->key_digest, hex);
            printf("%s, key %s, ", sf_sbv2_scheme_str((enum sf_sbv2_scheme)b->scheme), hex);
        }
        printf("%s\n", b->err == SF_OK ? "signs this file" : out_reason(b->err, &b->diag).text);
    }
}

json_t *signature_json(const struct signature *s)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < SF_SBV2_BLOCK_MAX; i++) {
        const struct signature_block *b = &s->block[i];
        if (b->err == SF_ERR_NOTFOUND) {
            continue;
        }
        json_t *scheme = b->has_key
                             ? json_string(sf_sbv2_scheme_str((enum sf_sbv2_scheme)b->scheme))
                             : json_null();
        json_t *key = b->has_key ? out_json_hex(b->key_digest, SF_SHA256_SIZE) : json_null();
        json_t *reason =
            b->err == SF_OK ? json_null() : json_string(out_reason(b->err, &b->diag).text);
        json_array_append_new(list, json_pack("{s:i, s:o, s:o, s:b, s:o}", "block", (int)i,
                                              "scheme", scheme, "key_digest", key, "ok",
                                              b->err == SF_OK, "reason", reason));
    }
    return list;
}

unsigned signature_block_count(uint16_t chip_id)
{
    return chip_id == SF_CHIP_ESP32 || chip_id == SF_CHIP_ESP32C2 ? 1 : SF_SBV2_BLOCK_MAX;
}

int signature_scheme_fits(uint16_t chip_id, enum sf_sbv2_scheme scheme)
{
    switch (chip_id) {
    case SF_CHIP_ESP32:
    case SF_CHIP_ESP32S2:
    case SF_CHIP_ESP32S3:
    case SF_CHIP_ESP32C3:
        return scheme == SF_SBV2_RSA_3072;
    case SF_CHIP_ESP32C2:
    case SF_CHIP_ESP32C61:
        return scheme != SF_SBV2_RSA_3072;
    default:
        return 1;
    }
}
