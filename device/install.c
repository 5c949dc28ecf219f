/* The slots' bytes: gate, sector writes, read-back hash, and what is known of each slot.
 *
 * 1. The running slot is never written: every write goes through sf_install_sector(), which checks.
 * 2. What was recorded of a slot is forgotten before its first sector is erased; of a download that
 *    goes on, not before it is complete. What an earlier boot wrote counts for nothing until the
 *    whole slot has hashed to what was signed.
 * 3. Each step reads, or erases and programs, one sector at most. */
#include <string.h>

#include "device/steps.h"
#include "formats/crc32.h"
#include "formats/sbv2.h"

enum {
    CHUNK = 128, /* read back in pieces this large */
    IMAGE_PAD = 16,
    MEASUREMENTS_MAX = 5, /* of the running image, until two agree */
};

const struct sf_slot_map *sf_install_map(const struct sf_config *config, int slot)
{
    if (slot == SF_BOOT_FACTORY) {
        return config->factory.size != 0 ? &config->factory : NULL;
    }
    return slot >= 0 && slot < (int)config->slot_count ? &config->slot[slot] : NULL;
}

/* What of a slot can be erased without touching what lies behind it. */
static uint32_t whole_sectors(uint32_t size)
{
    return size - size % SF_SECTOR_SIZE;
}

static int flash_read(const struct sf_core *c, uint32_t address, void *out, size_t len)
{
    const struct sf_flash *f = c->config->flash;
    return f->read(f->ctx, address, out, len) == SF_OK ? SF_OK : SF_ERR_FLASH_READ;
}

/* What an image is recognised by at each boot without hashing all of it: CRC-32 over its first 384
 * bytes (app_desc has the ELF's SHA-256) and its last sector (which has the image's SHA-256). */
int sf_install_fingerprint(const struct sf_core *c, int slot, uint32_t length, uint32_t *out)
{
    const struct sf_slot_map *map = sf_install_map(c->config, slot);
    uint8_t *buffer = sf_scratch(c)->sector;
    const uint32_t tail = length < SF_SECTOR_SIZE ? length : SF_SECTOR_SIZE;

    if (map == NULL || length < SF_IMAGE_HEAD_SIZE || length > map->size) {
        return SF_ERR_RANGE;
    }
    int err = flash_read(c, map->offset, buffer, SF_IMAGE_HEAD_SIZE);
    if (err != SF_OK) {
        return err;
    }
    const uint32_t crc = sf_crc32(0, buffer, SF_IMAGE_HEAD_SIZE);
    err = flash_read(c, map->offset + length - tail, buffer, tail);
    *out = sf_crc32(crc, buffer, tail);
    return err;
}

/* Decodes a slot's first 384 bytes into the scratch. */
int sf_install_read_head(const struct sf_core *c, int slot)
{
    union sf_scratch *s = sf_scratch(c);
    const struct sf_slot_map *map = sf_install_map(c->config, slot);
    if (map == NULL) {
        return SF_ERR_RANGE;
    }
    const int err = flash_read(c, map->offset, s->judge.bytes, sizeof(s->judge.bytes));
    if (err != SF_OK) {
        return err;
    }
    return sf_image_head_decode(s->judge.bytes, sizeof(s->judge.bytes), &s->judge.head, NULL);
}

/* Judges the 384 bytes at the start of the sector buffer; what follows them stays. */
int sf_install_judge_head(const struct sf_core *c)
{
    struct sf_image_head head;
    const int err = sf_image_head_decode(sf_scratch(c)->sector, SF_IMAGE_HEAD_SIZE, &head, NULL);
    return err == SF_OK ? sf_trust_head(c, &head) : err;
}

/* Secure Boot V2: is there a signature sector at `at`, behind the padded image? */
static int has_signature(const struct sf_core *c, uint32_t at)
{
    uint8_t *block = sf_scratch(c)->sector;
    return flash_read(c, at, block, SF_SBV2_BLOCK_SIZE) == SF_OK && sf_sbv2_is_block(block);
}

/* The length of the image in `slot`, by walking its segments: the flash is there to be read in any
 * order, so nothing has to be parsed as a stream. */
int sf_install_length(const struct sf_core *c, int slot, uint32_t *length_out)
{
    const struct sf_slot_map *map = sf_install_map(c->config, slot);
    const union sf_scratch *s = sf_scratch(c);
    int err =
        map == NULL || map->size < SF_SECTOR_SIZE ? SF_ERR_RANGE : sf_install_read_head(c, slot);
    if (err != SF_OK) {
        return err;
    }
    uint32_t at = SF_IMAGE_HEADER_SIZE;
    for (unsigned i = 0; i < s->judge.head.header.segment_count; i++) {
        uint8_t h[SF_IMAGE_SEGMENT_HEADER_SIZE];
        if (map->size - at < sizeof(h)) {
            return SF_ERR_SEGMENTS;
        }
        err = flash_read(c, map->offset + at, h, sizeof(h));
        if (err != SF_OK) {
            return err;
        }
        const uint32_t len =
            (uint32_t)h[4] | (uint32_t)h[5] << 8 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 24;
        at += (uint32_t)sizeof(h);
        if (len > map->size - at) {
            return SF_ERR_SEGMENTS;
        }
        at += len;
    }
    uint32_t tail = IMAGE_PAD - at % IMAGE_PAD; /* zeros and the checksum byte */
    tail += s->judge.head.header.hash_appended ? SF_SHA256_SIZE : 0;
    if (tail > map->size - at) {
        return SF_ERR_SEGMENTS;
    }
    at += tail;
    *length_out = at;
    const uint32_t padded = (at + SF_SECTOR_SIZE - 1) / SF_SECTOR_SIZE * SF_SECTOR_SIZE;
    if (padded <= map->size - SF_SECTOR_SIZE && has_signature(c, map->offset + padded)) {
        *length_out = padded + SF_SECTOR_SIZE;
    }
    return SF_OK;
}

static int hash_start(struct sf_core *c, uint32_t length)
{
    const struct sf_crypto *crypto = c->config->crypto;
    sf_install_hash_abandon(c);
    c->hash_offset = 0;
    c->hash_length = length;
    const int err = crypto->sha256_start(crypto->ctx, &c->hash);
    c->hashing = err == SF_OK;
    return err;
}

void sf_install_hash_abandon(struct sf_core *c)
{
    if (c->hashing) {
        c->hashing = 0;
        (void)c->config->crypto->sha256_end(c->config->crypto->ctx, &c->hash, NULL);
    }
}

enum sf_event sf_install_hash_step(struct sf_core *c, int slot, uint8_t digest[SF_SHA256_SIZE])
{
    const struct sf_crypto *crypto = c->config->crypto;
    const struct sf_slot_map *map = sf_install_map(c->config, slot);
    uint8_t *buffer = sf_scratch(c)->sector;
    const uint32_t left = c->hash_length - c->hash_offset;
    const uint32_t len = left < SF_SECTOR_SIZE ? left : SF_SECTOR_SIZE;

    assert(map != NULL); /* the running slot, or one the gate let pass */
    int err = flash_read(c, map->offset + c->hash_offset, buffer, len);
    if (err == SF_OK) {
        err = crypto->sha256_feed(crypto->ctx, &c->hash, buffer, len);
    }
    c->hash_offset += len;
    if (err == SF_OK && c->hash_offset < c->hash_length) {
        return SF_EVENT_NONE;
    }
    if (err != SF_OK) {
        sf_install_hash_abandon(c);
    } else {
        c->hashing = 0;
        err = crypto->sha256_end(crypto->ctx, &c->hash, digest);
    }
    return sf_core_note(c, err) == SF_OK ? SF_EVENT_OK : SF_EVENT_FAILED;
}

const struct sf_good_image *sf_install_good(const struct sf_core *c, int slot)
{
    for (unsigned i = 0; i < c->good.count; i++) {
        if (c->good.image[i].slot == sf_wire_slot(slot)) {
            return &c->good.image[i];
        }
    }
    return NULL;
}

/* Takes a slot's image out of the list; 1 if it was there. */
static int drop_good(struct sf_record_good *good, uint8_t wire_slot)
{
    for (unsigned i = 0; i < good->count; i++) {
        if (good->image[i].slot == wire_slot) {
            good->count--;
            memmove(&good->image[i], &good->image[i + 1],
                    (good->count - i) * sizeof(good->image[0]));
            return 1;
        }
    }
    return 0;
}

/* Records the running image as known good, newest first. */
int sf_install_remember_good(struct sf_core *c)
{
    const uint8_t slot = sf_wire_slot(c->config->running_slot);
    struct sf_record_good *good = &c->good;
    const struct sf_good_image *known = sf_install_good(c, c->config->running_slot);

    if (known != NULL && known == &good->image[0] && known->length == c->running_length &&
        sf_digest_equal(known->digest, c->running_digest)) {
        return SF_OK;
    }
    (void)drop_good(good, slot);
    if (good->count == SF_GOOD_MAX) {
        good->count--;
    }
    memmove(&good->image[1], &good->image[0], good->count * sizeof(good->image[0]));
    good->count++;
    good->image[0] = (struct sf_good_image){
        .slot = slot, .length = c->running_length, .fingerprint = c->running_fingerprint};
    sf_digest_copy(good->image[0].digest, c->running_digest);
    return sf_memory_save(c, SF_RECORD_GOOD);
}

static int forget_slot(struct sf_core *c)
{
    int err = SF_OK;
    if (drop_good(&c->good, c->deploy.slot)) {
        err = sf_memory_save(c, SF_RECORD_GOOD);
    }
    if (err == SF_OK && c->failed.counter != 0 && c->failed.slot == c->deploy.slot) {
        c->failed.slot = SF_NO_WIRE_SLOT;
        err = sf_memory_save(c, SF_RECORD_FAILED);
    }
    if (err == SF_OK && !c->deploy.resumed) {
        err = sf_record_remove(c->config->store, SF_RECORD_PROG);
    }
    return err;
}

static int program(const struct sf_core *c, uint32_t address, uint32_t len)
{
    const struct sf_flash *f = c->config->flash;
    uint8_t *buffer = sf_scratch(c)->sector;
    const uint32_t padded = (len + f->write_size - 1) / f->write_size * f->write_size;

    memset(buffer + len, 0xff, padded - len);
    if (f->erase(f->ctx, address, SF_SECTOR_SIZE) != SF_OK) {
        return SF_ERR_FLASH_ERASE;
    }
    return f->write(f->ctx, address, buffer, padded) == SF_OK ? SF_OK : SF_ERR_FLASH_WRITE;
}

static int read_back(const struct sf_core *c, uint32_t address, uint32_t len)
{
    const uint8_t *buffer = sf_scratch(c)->sector;
    uint8_t piece[CHUNK];
    for (uint32_t at = 0; at < len; at += CHUNK) {
        const uint32_t n = len - at < CHUNK ? len - at : CHUNK;
        const int err = flash_read(c, address + at, piece, n);
        if (err != SF_OK) {
            return err;
        }
        if (memcmp(piece, buffer + at, n) != 0) {
            return SF_ERR_READ_BACK;
        }
    }
    return SF_OK;
}

/* Writes the sector buffer's first `len` bytes to `offset` of the slot, and reads them back. */
int sf_install_sector(struct sf_core *c, uint32_t offset, uint32_t len)
{
    const struct sf_slot_map *map = sf_install_map(c->config, c->deploy.slot);
    if (map == NULL || c->deploy.slot == sf_wire_slot(c->config->running_slot) ||
        offset % SF_SECTOR_SIZE != 0 || len > SF_SECTOR_SIZE ||
        offset >= whole_sectors(map->size)) {
        return SF_ERR_INTERNAL;
    }
    if (!c->deploy.erased) {
        int err = forget_slot(c);
        if (err == SF_OK) {
            err = sf_commit_hold(c->config, c->deploy.slot);
        }
        if (err != SF_OK) {
            return err;
        }
        c->deploy.erased = 1;
    }
    const int err = program(c, map->offset + offset, len);
    return err == SF_OK ? read_back(c, map->offset + offset, len) : err;
}

/* A download of the very same release into the same slot goes on behind what was recorded of it.
 * The sector it goes on in is erased again, like any. */
static void resume(struct sf_core *c)
{
    struct sf_record_progress p;
    const struct sf_target *t = &c->deploy.target;
    if (c->deploy.kind != SF_TRIAL_INSTALL ||
        sf_record_load(c->config->store, SF_RECORD_PROG, &p) != SF_OK || p.slot != c->deploy.slot ||
        p.length != c->deploy.image_size || p.bytes >= p.length || p.bytes % SF_SECTOR_SIZE != 0 ||
        !sf_digest_equal(p.digest, t->image_digest) ||
        !sf_digest_equal(p.manifest_digest, t->manifest_digest)) {
        return;
    }
    c->deploy.resumed = p.bytes > 0;
    c->held.bytes = p.bytes;
    memcpy(c->held.etag, p.etag, sizeof(p.etag));
}

/* Whether the slot holds the wanted image, or its beginning, already. */
static void look_at_slot(struct sf_core *c)
{
    const struct sf_good_image *good = sf_install_good(c, c->deploy.slot);
    const uint8_t *wanted = c->deploy.target.image_digest;

    if (good != NULL && sf_digest_equal(good->digest, wanted)) {
        c->held = (struct sf_held){
            .slot = c->deploy.slot, .complete = 1, .length = good->length, .bytes = good->length};
        sf_digest_copy(c->held.digest, wanted);
    }
    if (c->held.slot != c->deploy.slot || c->held.length != c->deploy.image_size ||
        !sf_digest_equal(c->held.digest, wanted)) {
        c->held = (struct sf_held){.slot = c->deploy.slot, .length = c->deploy.image_size};
        sf_digest_copy(c->held.digest, wanted);
        resume(c);
    }
}

static int gate_slot(struct sf_core *c)
{
    const struct sf_config *config = c->config;
    if (config->otadata_offset == 0) {
        return SF_ERR_NO_OTADATA;
    }
    if (c->deploy.kind == SF_TRIAL_INSTALL) {
        const int slot = sf_commit_target(config);
        if (slot < 0) {
            return SF_ERR_NO_SLOT;
        }
        c->deploy.slot = (uint8_t)slot;
    }
    const struct sf_slot_map *map = sf_install_map(config, c->deploy.slot);
    if (map == NULL || c->deploy.slot == sf_wire_slot(config->running_slot)) {
        return SF_ERR_NO_SLOT;
    }
    if (c->deploy.image_size < SF_IMAGE_HEAD_SIZE) {
        return SF_ERR_IMAGE_SIZE;
    }
    if (c->deploy.image_size > whole_sectors(map->size)) {
        return SF_ERR_NOSPC;
    }
    if (config->platform->may_update_now != NULL &&
        config->platform->may_update_now(config->platform->ctx) != SF_OK) {
        return SF_ERR_NOT_NOW;
    }
    return SF_OK;
}

/* All that can be judged before a byte of the image is asked for. */
enum sf_event sf_install_gate(struct sf_core *c)
{
    int err = gate_slot(c);
    if (sf_core_note(c, err) != SF_OK) {
        return SF_EVENT_FAILED;
    }
    look_at_slot(c);
    c->deploy.give_up_ms = c->now_ms + sf_pace_download_ms(c);
    if (c->held.bytes >= SF_IMAGE_HEAD_SIZE) {
        err = sf_install_read_head(c, c->deploy.slot);
        if (err == SF_OK) {
            err = sf_trust_head(c, &sf_scratch(c)->judge.head);
        }
        if (err != SF_OK && c->deploy.kind == SF_TRIAL_ROLL_BACK) {
            (void)sf_core_note(c, err);
            return SF_EVENT_FAILED;
        }
        if (err == SF_OK && c->held.bytes == c->held.length) {
            return SF_EVENT_HELD;
        }
        if (err != SF_OK) { /* it is not what was remembered: begin anew */
            c->held.complete = 0;
            c->held.bytes = 0;
            c->deploy.resumed = 0;
        }
    }
    c->offset = c->held.bytes;
    if (c->held.bytes == 0 && c->config->secure_boot != NULL) {
        err = c->config->secure_boot->check->gate(c);
        return sf_core_note(c, err) == SF_OK ? SF_EVENT_OK : SF_EVENT_FAILED;
    }
    return SF_EVENT_OK;
}

int sf_install_hash_begin(struct sf_core *c)
{
    return hash_start(c, c->deploy.image_size);
}

/* Whether the hash of the slot is the wanted one. What was only remembered to be there, and is not,
 * is fetched. */
static enum sf_event compare_digest(struct sf_core *c)
{
    uint8_t digest[SF_SHA256_SIZE];
    const enum sf_event event = sf_install_hash_step(c, c->deploy.slot, digest);
    if (event != SF_EVENT_OK) {
        return event;
    }
    if (!sf_equal_constant_time(digest, c->deploy.target.image_digest, SF_SHA256_SIZE)) {
        const int remembered = !c->deploy.erased || c->deploy.resumed;
        c->deploy.resumed = 0;
        c->held.complete = 0;
        c->held.bytes = 0;
        c->offset = 0;
        /* Else the records would have the gate find it there again, and again. */
        const int err = forget_slot(c);
        (void)sf_core_note(c, err == SF_OK ? SF_ERR_DIGEST : err);
        return err == SF_OK && remembered && c->deploy.kind == SF_TRIAL_INSTALL ? SF_EVENT_LOST
                                                                                : SF_EVENT_FAILED;
    }
    c->held.complete = 1;
    c->held.bytes = c->deploy.image_size;
    c->step = 1;
    return SF_EVENT_OK;
}

/* The read-back of the whole slot, and all else that an image has to be before otadata names it. */
enum sf_event sf_install_hash(struct sf_core *c)
{
    const struct sf_platform *p = c->config->platform;
    enum sf_event event = c->step == 0 ? compare_digest(c) : SF_EVENT_OK;
    if (event == SF_EVENT_OK && c->config->secure_boot != NULL) {
        event = c->config->secure_boot->check->judge_slot(c);
    }
    if (event != SF_EVENT_OK) {
        return event;
    }
    int err = p->slot_bootable == NULL ? SF_OK : p->slot_bootable(p->ctx, c->deploy.slot);
    err = err == SF_OK ? SF_OK : SF_ERR_NOT_BOOTABLE;
    if (err == SF_OK) {
        err =
            sf_install_fingerprint(c, c->deploy.slot, c->deploy.image_size, &c->deploy.fingerprint);
    }
    if (err == SF_OK && c->deploy.erased) {
        err = sf_record_remove(c->config->store, SF_RECORD_PROG);
    }
    return sf_core_note(c, err) == SF_OK ? SF_EVENT_OK : SF_EVENT_FAILED;
}

static int recognise(struct sf_core *c, uint32_t length, uint32_t fingerprint,
                     const uint8_t digest[SF_SHA256_SIZE])
{
    uint32_t found;
    if (length == 0 ||
        sf_install_fingerprint(c, c->config->running_slot, length, &found) != SF_OK ||
        found != fingerprint) {
        return 0;
    }
    c->running_length = length;
    c->running_fingerprint = fingerprint;
    sf_digest_copy(c->running_digest, digest);
    return 1;
}

static int recognise_running(struct sf_core *c)
{
    const struct sf_good_image *good = sf_install_good(c, c->config->running_slot);
    if (good != NULL && recognise(c, good->length, good->fingerprint, good->digest)) {
        c->good_known = 1;
        return 1;
    }
    return c->trial.open && c->trial.slot == sf_wire_slot(c->config->running_slot) &&
           recognise(c, c->trial.length, c->trial.fingerprint, c->trial.digest);
}

static int measure_begin(struct sf_core *c)
{
    uint32_t length = 0;
    const int err = sf_install_length(c, c->config->running_slot, &length);
    return err == SF_OK ? hash_start(c, length) : err;
}

/* Length and digest of the running image: from the records where they still fit, else measured,
 * until two measurements agree: one wrong read would be told to the server, and remembered, for as
 * long as the image runs. An image that cannot be measured is reported as unknown; that stops no
 * check-in. */
enum sf_event sf_install_measure(struct sf_core *c)
{
    const int slot = c->config->running_slot;
    const enum sf_event done = c->trial.open ? SF_EVENT_TRIAL : SF_EVENT_OK;
    uint8_t digest[SF_SHA256_SIZE] = {0};

    if (c->step == 0 && recognise_running(c)) {
        return done;
    }
    if (c->step % 2 == 0) { /* one measurement is two steps: this, and the hash */
        c->step++;
        if (sf_core_note(c, measure_begin(c)) == SF_OK) {
            return SF_EVENT_NONE;
        }
    } else {
        const enum sf_event event = sf_install_hash_step(c, slot, digest);
        if (event == SF_EVENT_NONE) {
            return event;
        }
        if (event == SF_EVENT_OK && c->step > 1 && sf_digest_equal(digest, c->running_digest)) {
            const int err =
                sf_install_fingerprint(c, slot, c->hash_length, &c->running_fingerprint);
            c->running_length = sf_core_note(c, err) == SF_OK ? c->hash_length : 0;
            return done;
        }
    }
    sf_digest_copy(c->running_digest, digest);
    c->step = (uint8_t)((c->step + 1) / 2 * 2);
    if (c->step < 2 * MEASUREMENTS_MAX) {
        return SF_EVENT_NONE;
    }
    memset(c->running_digest, 0, SF_SHA256_SIZE);
    return done;
}
