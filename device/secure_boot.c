/* Secure Boot V2: has a key signed the image that this device's bootloader will ask for?
 *
 * 1. Which keys count is found out anew for each judgement: the eFuse's that are not revoked where
 *    Secure Boot is on; else that of the running image's first signature block, if it has one
 *    (ESP-IDF's signed apps without Secure Boot). Where there is neither, nothing is asked for.
 * 2. The image's last sector is fetched and judged before the first byte of the others: an image
 *    that nobody signed, or somebody else, costs the slot nothing.
 * 3. What counts in the end is what lies in the slot: sector and hash are judged again from flash,
 *    before otadata is touched. */
#include <string.h>

#include "device/steps.h"
#include "formats/crc32.h"

enum { PIECE = 64, LAST_PIECE_AT = SF_SBV2_BLOCK_SIZE - PIECE };
_Static_assert(SF_SBV2_BLOCK_SIZE % PIECE == 0, "a block in whole pieces");
_Static_assert((int)SF_SBV2_CRC_OFFSET >= (int)LAST_PIECE_AT, "its crc in the last one");

static uint32_t at_most(uint32_t value, uint32_t max)
{
    return value < max ? value : max;
}

static int read_flash(const struct sf_core *c, uint32_t address, void *out, size_t len)
{
    const struct sf_flash *f = c->config->flash;
    return f->read(f->ctx, address, out, len) == SF_OK ? SF_OK : SF_ERR_FLASH_READ;
}

/* What of a piece belongs to the block's key. */
static int feed_key(struct sf_core *c, struct sf_sbv2_span span, const uint8_t *piece, uint32_t at)
{
    const struct sf_crypto *crypto = c->config->crypto;
    const uint32_t from = at > span.offset ? at : span.offset;
    const uint32_t to = at_most(at + PIECE, (uint32_t)span.offset + span.len);
    return from < to ? crypto->sha256_feed(crypto->ctx, &c->hash, piece + (from - at), to - from)
                     : SF_OK;
}

/* Feeds the hash with the key of the block at `address`, piece by piece: the sector buffer holds
 * the sector to be judged. Returns 1 if it is a block, 0, or an error. */
static int hash_key(struct sf_core *c, uint32_t address)
{
    struct sf_sbv2_span span = {0, 0};
    uint8_t piece[PIECE];
    uint32_t crc = 0;
    int is_block = 0;

    for (uint32_t at = 0; at < SF_SBV2_BLOCK_SIZE; at += PIECE) {
        int err = read_flash(c, address + at, piece, PIECE);
        if (err == SF_OK && at == 0) {
            span = sf_sbv2_key_span(piece);
            is_block = piece[0] == SF_SBV2_MAGIC;
        }
        if (err == SF_OK) {
            err = feed_key(c, span, piece, at);
        }
        if (err != SF_OK) {
            return err;
        }
        crc = sf_crc32(crc, piece, at_most(PIECE, SF_SBV2_CRC_OFFSET - at));
    }
    for (unsigned i = 0; i < 4; i++) {
        is_block &= piece[SF_SBV2_CRC_OFFSET - LAST_PIECE_AT + i] == (uint8_t)(crc >> (8 * i));
    }
    return is_block;
}

/* The key of the running image's first block. An image that could not be measured may have one. */
static int running_key(struct sf_core *c, struct sf_sbv2_keys *keys)
{
    const struct sf_crypto *crypto = c->config->crypto;
    const struct sf_slot_map *map = sf_install_map(c->config, c->config->running_slot);

    if (map == NULL || c->running_length == 0) {
        return SF_ERR_FLASH_READ;
    }
    if (c->running_length % SF_SECTOR_SIZE != 0 || c->running_length > map->size) {
        return SF_OK; /* no room for a sector behind it: it is not signed */
    }
    sf_install_hash_abandon(c);
    int err = crypto->sha256_start(crypto->ctx, &c->hash);
    if (err != SF_OK) {
        return err;
    }
    const int is_block = hash_key(c, map->offset + c->running_length - SF_SECTOR_SIZE);
    err = crypto->sha256_end(crypto->ctx, &c->hash, is_block < 0 ? NULL : keys->digest[0]);
    keys->count = is_block > 0;
    return is_block < 0 ? is_block : err;
}

static int required(const struct sf_sbv2_keys *keys)
{
    return keys->enabled || keys->count > 0;
}

/* The keys that count; an image whose length leaves no room for a signature is refused at once. */
static int find_keys(struct sf_core *c, struct sf_sbv2_keys *keys)
{
    const struct sf_secure_boot *port = c->config->secure_boot;
    memset(keys, 0, sizeof(*keys));
    int err = port->keys(port->ctx, keys);
    if (err == SF_OK && !keys->enabled) {
        *keys = (struct sf_sbv2_keys){.digest_size = SF_SHA256_SIZE, .block_count = 1};
        err = running_key(c, keys);
    }
    if (err == SF_OK && required(keys) &&
        (c->deploy.image_size % SF_SECTOR_SIZE != 0 || c->deploy.image_size < 2 * SF_SECTOR_SIZE)) {
        err = SF_ERR_UNSIGNED;
    }
    return err;
}

static struct sf_sbv2_trust trust_in(const struct sf_core *c, const struct sf_sbv2_keys *keys)
{
    return (struct sf_sbv2_trust){c->config->crypto, &c->config->secure_boot->verifier, keys};
}

static int gate(struct sf_core *c)
{
    struct sf_sbv2_keys keys;
    const int err = find_keys(c, &keys);
    if (err == SF_OK && required(&keys)) {
        c->deploy.tail = SF_TAIL_FIRST;
    }
    return err;
}

static int judge_last(struct sf_core *c)
{
    struct sf_sbv2_keys keys;
    struct sf_sbv2_block block;
    const struct sf_sbv2_trust trust = trust_in(c, &keys);
    int err = find_keys(c, &keys);
    if (err == SF_OK && required(&keys)) {
        err = sf_sbv2_find(sf_scratch(c)->sector, 0, &trust, &block);
    }
    c->deploy.tail = SF_TAIL_JUDGED;
    return err < 0 ? err : SF_OK;
}

static uint32_t sector_address(const struct sf_core *c)
{
    const struct sf_slot_map *map = sf_install_map(c->config, c->deploy.slot);
    assert(map != NULL); /* the gate let it pass */
    return map->offset + c->deploy.image_size - SF_SECTOR_SIZE;
}

/* Finds a block that counts, from number step - 1 on, and begins to hash what it signs. Returns 1,
 * 0 if nothing has to be signed here, or an error. */
static int begin_hash(struct sf_core *c)
{
    struct sf_sbv2_keys keys;
    struct sf_sbv2_block block;
    const struct sf_sbv2_trust trust = trust_in(c, &keys);
    int err = find_keys(c, &keys);
    if (err != SF_OK || !required(&keys)) {
        return err;
    }
    err = read_flash(c, sector_address(c), sf_scratch(c)->sector, SF_SECTOR_SIZE);
    if (err != SF_OK) {
        return err;
    }
    err = sf_sbv2_find(sf_scratch(c)->sector, c->step - 1U, &trust, &block);
    if (err < 0) {
        return err;
    }
    c->step = (uint8_t)(err + 1);
    c->hash_offset = 0;
    c->hash_length = c->deploy.image_size - SF_SECTOR_SIZE;
    err = sf_sbv2_hash_start(&trust, block.image_digest_len, &c->hash);
    c->hashing = err == SF_OK;
    return err == SF_OK ? 1 : err;
}

/* Hashes one sector more. Returns 0 until the last one, then 1 if it is what the block signs; else
 * the next block is looked at. */
static int hash_on(struct sf_core *c)
{
    enum { START = 4 };
    uint8_t block[START + SF_SBV2_DIGEST_MAX];
    uint8_t digest[SF_SBV2_DIGEST_MAX];
    uint8_t *buffer = sf_scratch(c)->sector;
    const struct sf_sbv2_trust trust = trust_in(c, NULL);
    const uint32_t at = sector_address(c);
    const uint32_t image = at + SF_SECTOR_SIZE - c->deploy.image_size;

    int err = read_flash(c, at + (c->step - 1U) * SF_SBV2_BLOCK_SIZE, block, sizeof(block));
    const size_t len = sf_sbv2_key_span(block).offset - (size_t)START;
    if (err == SF_OK) {
        err = read_flash(c, image + c->hash_offset, buffer, SF_SECTOR_SIZE);
    }
    if (err == SF_OK) {
        err = sf_sbv2_hash_feed(&trust, len, &c->hash, buffer, SF_SECTOR_SIZE);
    }
    c->hash_offset += SF_SECTOR_SIZE;
    if (err != SF_OK || c->hash_offset < c->hash_length) {
        return err;
    }
    c->hashing = 0;
    err = sf_sbv2_hash_end(&trust, len, &c->hash, digest);
    if (err != SF_OK) {
        return err;
    }
    c->step++;
    return memcmp(block + START, digest, len) == 0;
}

static enum sf_event judge_slot(struct sf_core *c)
{
    const int begins = !c->hashing;
    const int result = begins ? begin_hash(c) : hash_on(c);
    if (result < 0) {
        (void)sf_core_note(c, result);
        return SF_EVENT_FAILED;
    }
    return result != begins ? SF_EVENT_OK : SF_EVENT_NONE;
}

const struct sf_image_check sf_secure_boot_v2 = {
    .gate = gate,
    .judge_last = judge_last,
    .judge_slot = judge_slot,
};
