#include "ports/host/crypt.h"

#include <assert.h>
#include <string.h>

/* 1. The chip sees ciphertext only; this sees no cell but through the chip's functions.
 * 2. A read costs the chip one read, and one more for each end that is no multiple of 16. */

enum { UNIT = 128, BLOCK = SF_HOST_CRYPT_BLOCK, DATA_NVS_KEYS = 4, FLAG_ENCRYPTED = 1 };

/* ---- units ---- */

static void reverse(uint8_t unit[UNIT])
{
    for (unsigned i = 0; i < UNIT / 2; i++) {
        const uint8_t first = unit[i];
        unit[i] = unit[UNIT - 1 - i];
        unit[UNIT - 1 - i] = first;
    }
}

static void crypt_unit(mbedtls_aes_xts_context *xts, int mode, uint32_t address, uint8_t unit[UNIT])
{
    uint8_t tweak[BLOCK] = {(uint8_t)address, (uint8_t)(address >> 8), (uint8_t)(address >> 16),
                            (uint8_t)(address >> 24)};
    reverse(unit);
    const int err = mbedtls_aes_crypt_xts(xts, mode, UNIT, tweak, unit, unit);
    assert(err == 0); /* only lengths are refused */
    reverse(unit);
}

/* `len` bytes at `address`, multiples of BLOCK, in place. */
static void crypt_range(mbedtls_aes_xts_context *xts, int mode, uint32_t address, uint8_t *data,
                        size_t len)
{
    while (len > 0) {
        uint8_t unit[UNIT] = {0};
        const uint32_t skip = address % UNIT;
        const size_t piece = len < UNIT - skip ? len : UNIT - skip;
        memcpy(unit + skip, data, piece);
        crypt_unit(xts, mode, address - skip, unit);
        memcpy(data, unit + skip, piece);
        address += (uint32_t)piece;
        data += piece;
        len -= piece;
    }
}

void sf_host_crypt_decrypt(const struct sf_host_crypt *c, uint32_t address, uint8_t *data,
                           size_t len)
{
    struct sf_host_crypt *self = c->ops.ctx; /* Mbed TLS has no const for it */
    crypt_range(&self->decrypt, MBEDTLS_AES_DECRYPT, address, data, len);
}

/* ---- what is encrypted ---- */

static int is_otadata(const struct sf_partition *p)
{
    return p->type == SF_PARTITION_DATA && p->subtype == SF_PARTITION_DATA_OTA;
}

static int is_encrypted(const struct sf_partition *p)
{
    return p->type == SF_PARTITION_APP || is_otadata(p) || (p->flags & FLAG_ENCRYPTED) != 0 ||
           (p->type == SF_PARTITION_DATA && p->subtype == DATA_NVS_KEYS);
}

/* 1, 0, or SF_ERR_RANGE if only a part is. */
static int is_range_encrypted(const struct sf_host_crypt *c, uint32_t address, size_t len)
{
    const uint64_t end = (uint64_t)address + len;
    int touches = 0;
    for (unsigned i = 0; i < c->range_count; i++) {
        const uint64_t r_start = c->range[i].offset;
        const uint64_t r_end = r_start + c->range[i].size;
        if (address >= r_start && end <= r_end) {
            return 1;
        }
        touches |= end > r_start && address < r_end;
    }
    if (touches) {
        return SF_ERR_RANGE;
    }
    return c->range_count == 0;
}

/* ---- the functions of struct sf_flash ---- */

/* A block of which only a part is wanted. */
static int read_block(struct sf_host_crypt *c, uint32_t address, uint8_t block[BLOCK])
{
    const int err = c->chip->read(c->chip->ctx, address, block, BLOCK);
    if (err == SF_OK) {
        sf_host_crypt_decrypt(c, address, block, BLOCK);
    }
    return err;
}

/* From inside a block to its end, or to that of what is wanted. Returns the bytes read. */
static int32_t read_inside(struct sf_host_crypt *c, uint32_t address, uint8_t *out, size_t len)
{
    uint8_t block[BLOCK];
    const uint32_t skip = address % BLOCK;
    const size_t piece = len < BLOCK - skip ? len : BLOCK - skip;
    const int err = read_block(c, address - skip, block);
    if (err != SF_OK) {
        return err;
    }
    memcpy(out, block + skip, piece);
    return (int32_t)piece;
}

static int read_encrypted(struct sf_host_crypt *c, uint32_t address, uint8_t *out, size_t len)
{
    if (address % BLOCK != 0) {
        const int32_t piece = read_inside(c, address, out, len);
        if (piece < 0) {
            return piece;
        }
        address += (uint32_t)piece;
        out += piece;
        len -= (size_t)piece;
    }
    const size_t whole = len - len % BLOCK;
    if (whole > 0) {
        const int err = c->chip->read(c->chip->ctx, address, out, whole);
        if (err != SF_OK) {
            return err;
        }
        sf_host_crypt_decrypt(c, address, out, whole);
    }
    if (len > whole) {
        const int32_t piece = read_inside(c, address + (uint32_t)whole, out + whole, len - whole);
        return piece < 0 ? piece : SF_OK;
    }
    return SF_OK;
}

static int crypt_read(void *ctx, uint32_t address, void *out, size_t len)
{
    struct sf_host_crypt *c = ctx;
    const int how = is_range_encrypted(c, address, len);
    if (how < 0) {
        return how;
    }
    return how ? read_encrypted(c, address, out, len)
               : c->chip->read(c->chip->ctx, address, out, len);
}

static int write_encrypted(struct sf_host_crypt *c, uint32_t address, const uint8_t *data,
                           size_t len)
{
    uint8_t sector[SF_SECTOR_SIZE];
    while (len > 0) {
        const size_t left = SF_SECTOR_SIZE - address % SF_SECTOR_SIZE;
        const size_t piece = len < left ? len : left;
        memcpy(sector, data, piece);
        crypt_range(&c->encrypt, MBEDTLS_AES_ENCRYPT, address, sector, piece);
        const int err = c->chip->write(c->chip->ctx, address, sector, piece);
        if (err != SF_OK) {
            return err;
        }
        address += (uint32_t)piece;
        data += piece;
        len -= piece;
    }
    return SF_OK;
}

static int crypt_write(void *ctx, uint32_t address, const void *data, size_t len)
{
    struct sf_host_crypt *c = ctx;
    if (address % c->ops.write_size != 0 || len % c->ops.write_size != 0) {
        return SF_ERR_RANGE;
    }
    const int how = is_range_encrypted(c, address, len);
    if (how < 0) {
        return how;
    }
    return how ? write_encrypted(c, address, data, len)
               : c->chip->write(c->chip->ctx, address, data, len);
}

static int crypt_erase(void *ctx, uint32_t address, size_t len)
{
    const struct sf_host_crypt *c = ctx;
    return c->chip->erase(c->chip->ctx, address, len);
}

/* ---- outside ---- */

void sf_host_crypt_init(struct sf_host_crypt *c, const struct sf_flash *chip,
                        const uint8_t key[SF_HOST_CRYPT_KEY_SIZE], uint32_t write_size)
{
    assert(write_size == BLOCK || write_size == 2 * BLOCK);
    memset(c, 0, sizeof(*c));
    c->chip = chip;
    mbedtls_aes_xts_init(&c->encrypt);
    mbedtls_aes_xts_init(&c->decrypt);
    int err = mbedtls_aes_xts_setkey_enc(&c->encrypt, key, SF_HOST_CRYPT_KEY_SIZE * 8);
    err |= mbedtls_aes_xts_setkey_dec(&c->decrypt, key, SF_HOST_CRYPT_KEY_SIZE * 8);
    assert(err == 0); /* only lengths are refused */
    c->ops = (struct sf_flash){.ctx = c,
                               .read = crypt_read,
                               .write = crypt_write,
                               .erase = crypt_erase,
                               .write_size = write_size};
}

static int add_range(struct sf_host_crypt *c, uint32_t offset, uint32_t size)
{
    if (c->range_count == SF_HOST_CRYPT_RANGES) {
        c->range_count = 0;
        return SF_ERR_NOSPC;
    }
    c->range[c->range_count++] = (struct sf_crypt_range){offset, size};
    return SF_OK;
}

int sf_host_crypt_use_table(struct sf_host_crypt *c, const struct sf_partition_table *table)
{
    c->range_count = 0;
    if (!table) {
        return SF_OK;
    }
    int err = add_range(c, 0, SF_PARTITION_TABLE_OFFSET + SF_SECTOR_SIZE);
    for (unsigned i = 0; i < table->count && err == SF_OK; i++) {
        const struct sf_partition *p = &table->entry[i];
        if (is_encrypted(p)) {
            err = add_range(c, p->offset, p->size);
        }
    }
    return err;
}

static int is_blank(const uint8_t sector[SF_SECTOR_SIZE])
{
    for (unsigned i = 0; i < SF_SECTOR_SIZE; i++) {
        if (sector[i] != 0xff) {
            return 0;
        }
    }
    return 1;
}

static void encrypt_cells(struct sf_host_crypt *c, uint8_t *cells, uint32_t offset, uint32_t size,
                          int blank_too)
{
    for (uint32_t at = offset; at - offset < size; at += SF_SECTOR_SIZE) {
        if (blank_too || !is_blank(cells + at)) {
            crypt_range(&c->encrypt, MBEDTLS_AES_ENCRYPT, at, cells + at, SF_SECTOR_SIZE);
        }
    }
}

int sf_host_crypt_first_boot(struct sf_host_crypt *c, uint8_t *cells, uint32_t size_bytes)
{
    struct sf_partition_table table;
    if (size_bytes < SF_PARTITION_TABLE_OFFSET + SF_SECTOR_SIZE) {
        return SF_ERR_RANGE;
    }
    int err = sf_partition_table_decode(cells + SF_PARTITION_TABLE_OFFSET, SF_PARTITION_TABLE_SIZE,
                                        size_bytes, &table, NULL);
    if (err == SF_OK) {
        err = sf_partition_table_check(&table, NULL); /* overlapping ones would be done twice */
    }
    if (err < 0) {
        return err;
    }
    for (unsigned i = 0; i < table.count; i++) {
        const struct sf_partition *p = &table.entry[i];
        if (is_encrypted(p)) {
            encrypt_cells(c, cells, p->offset, p->size - p->size % SF_SECTOR_SIZE, is_otadata(p));
        }
    }
    encrypt_cells(c, cells, SF_PARTITION_TABLE_OFFSET, SF_SECTOR_SIZE, 0);
    return SF_OK;
}
