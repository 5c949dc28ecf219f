/* What binds a status and a manifest to this device and to each other (docs/formats.md). The
 * signatures have been verified before anything here looks.
 *
 * 1. Nothing here changes state. */
#include <string.h>

#include "device/steps.h"

/* A stolen key must not use up the numbers. */
enum { SEQ_JUMP_MAX = 1 << 20, COUNTER_JUMP_BITS = 32 };

/* Errors: NONCE, NOT_THIS_DEVICE, CLASS, COUNTER. */
int sf_trust_status(const struct sf_core *c, const struct sf_status *status)
{
    uint8_t device_digest[SF_SHA256_SIZE];

    if (!sf_equal_constant_time(status->nonce, c->nonce, SF_NONCE_SIZE)) {
        return SF_ERR_NONCE;
    }
    const int err = sf_sha256(c->config->crypto, c->config->device_id, strlen(c->config->device_id),
                              device_digest);
    if (err != SF_OK) {
        return err;
    }
    if (!sf_digest_equal(status->device_digest, device_digest)) {
        return SF_ERR_NOT_THIS_DEVICE;
    }
    if (memcmp(status->class_uuid, c->config->class_uuid, SF_UUID_SIZE) != 0) {
        return SF_ERR_CLASS;
    }
    const uint64_t jump = status->counter - c->floor.counter; /* backwards is the farthest */
    return jump >> COUNTER_JUMP_BITS == 0 ? SF_OK : SF_ERR_COUNTER;
}

int sf_trust_envelope(struct sf_core *c, struct sf_bytes envelope)
{
    struct sf_manifest *out = &sf_scratch(c)->answer.manifest;
    struct sf_public_key key;

    if (c->config->root != NULL) {
        return c->config->root->walk->open_manifest(c, envelope);
    }
    const int err = sf_public_key_init(&key, c->config->crypto, c->config->release_key);
    return err == SF_OK ? sf_manifest_open(envelope, &key, c->config->crypto, out, NULL) : err;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* 1 if it has expired, or the trust root, by its own time or by what was signed before: expiry
 * stops a new install and nothing else. */
int sf_trust_expired(const struct sf_core *c, const struct sf_status *status)
{
    const int64_t now = later(later(status->time, c->floor.time), c->root_issued_at);
    return status->expires <= now || (c->config->root != NULL && c->root_expires <= now);
}

/* Never back, never far ahead. Errors: SEQ_OLD, SEQ_JUMP. */
int sf_trust_seq(const struct sf_core *c, const struct sf_manifest *manifest)
{
    const struct sf_record_floor *floor = &c->floor;

    if (manifest->seq < floor->seq) {
        return SF_ERR_SEQ_OLD;
    }
    if (manifest->seq == floor->seq && floor->seq != 0 &&
        !sf_digest_equal(manifest->digest, floor->manifest_digest)) {
        return SF_ERR_SEQ_OLD;
    }
    return manifest->seq - floor->seq > SEQ_JUMP_MAX ? SF_ERR_SEQ_JUMP : SF_OK;
}

/* Errors: NOT_NAMED (status and manifest differ), CLASS, SEQ_OLD, SEQ_JUMP. */
int sf_trust_manifest(const struct sf_core *c, const struct sf_target *target,
                      const struct sf_manifest *manifest)
{
    if (!sf_digest_equal(manifest->digest, target->manifest_digest) ||
        !sf_digest_equal(manifest->image_digest, target->image_digest) ||
        manifest->seq != target->seq) {
        return SF_ERR_NOT_NAMED;
    }
    if (memcmp(manifest->class_uuid, c->config->class_uuid, SF_UUID_SIZE) != 0) {
        return SF_ERR_CLASS;
    }
    return sf_trust_seq(c, manifest);
}

uint32_t sf_trust_efuse(const struct sf_core *c)
{
    const struct sf_platform *p = c->config->platform;
    return p->efuse_secure_version == NULL ? 0 : p->efuse_secure_version(p->ctx);
}

static int secure_version_fits(const struct sf_core *c, uint32_t version)
{
    const uint32_t efuse = sf_trust_efuse(c);
    if (version < efuse) {
        return 0; /* an anti-rollback bootloader would not boot it */
    }
    return version == efuse || version <= c->deploy.max_secure_version;
}

/* The gate on the image's first 384 bytes. Errors: CHIP, CHIP_REVISION, NO_RECORD, CLASS,
 * SECURE_VERSION. A known good image needs no record: it has run here. */
int sf_trust_head(const struct sf_core *c, const struct sf_image_head *head)
{
    const struct sf_image_header *h = &head->header;
    const uint16_t revision = c->config->chip_revision;

    if (h->chip_id != c->config->chip_id) {
        return SF_ERR_CHIP;
    }
    if (revision < h->min_chip_rev_full ||
        (h->max_chip_rev_full != 0 && revision > h->max_chip_rev_full)) {
        return SF_ERR_CHIP_REVISION;
    }
    if (c->deploy.kind == SF_TRIAL_INSTALL) {
        if (!head->has_record) {
            return SF_ERR_NO_RECORD;
        }
        if (memcmp(head->record.class_uuid, c->config->class_uuid, SF_UUID_SIZE) != 0) {
            return SF_ERR_CLASS;
        }
    }
    const uint32_t version = head->has_desc ? head->desc.secure_version : 0;
    return secure_version_fits(c, version) ? SF_OK : SF_ERR_SECURE_VERSION;
}
