#include "sim/powercut/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto_openssl.h"
#include "base/esp_image.h"
#include "base/hex.h"
#include "formats/partition.h"
#include "ports/host/crypto_psa.h"

enum {
    DATA_UNDEFINED = 0x06,
    SMALL_SLOT = 0x20000,
    FULL_SLOT = 0x1e0000,
    SMALL_OLD = 12 * 1024 + 32,
    SMALL_NEW = 20 * 1024 + 480,
    RESUMED_NEW = 75 * 1024 + 16, /* passes one progress record */
    FULL_OLD = 260 * 1024 + 48,
    FULL_NEW = 330 * 1024 + 16,
};

const struct scenario scenarios[] = {
    {.name = "confirm",
     .what = "from the first power-on to the confirmed new image",
     .new_size = RESUMED_NEW},
    {.name = "self-test",
     .what = "a self-test of the new image fails",
     .behaviour = SF_BEHAVIOUR_SELF_TEST_FAILS,
     .reason = SF_ERR_SELF_TEST,
     .end = END_OLD},
    {.name = "crash",
     .what = "the new image crashes when it starts",
     .behaviour = SF_BEHAVIOUR_CRASH_AT_BOOT,
     .reason = SF_ERR_CRASHED,
     .end = END_OLD},
    {.name = "crash-later",
     .what = "the new image crashes five seconds after it starts, before it is confirmed",
     .behaviour = SF_BEHAVIOUR_CRASH_AFTER,
     .reason = SF_ERR_CRASHED,
     .behaves_later = 5,
     .end = END_OLD},
    {.name = "crash-plain",
     .what = "the same, under a bootloader that was built without rollback",
     .behaviour = SF_BEHAVIOUR_CRASH_AT_BOOT,
     .reason = SF_ERR_CRASHED,
     .no_rollback = 1,
     .end = END_OLD},
    {.name = "crash-early",
     .what = "the new image crashes before anything of ours runs",
     .behaviour = SF_BEHAVIOUR_CRASH_EARLY,
     .reason = SF_ERR_CRASHED,
     .end = END_OLD},
    {.name = "hang",
     .what = "the new image hangs until the watchdog resets it",
     .behaviour = SF_BEHAVIOUR_HANG,
     .reason = SF_ERR_WATCHDOG,
     .end = END_OLD},
    {.name = "no-server",
     .what = "the new image does not reach the server, the old one does",
     .behaviour = SF_BEHAVIOUR_NO_NETWORK,
     .reason = SF_ERR_NO_SERVER,
     .end = END_OLD},
    {.name = "self-test-plain",
     .what = "a self-test fails, under a bootloader that was built without rollback",
     .behaviour = SF_BEHAVIOUR_SELF_TEST_FAILS,
     .reason = SF_ERR_SELF_TEST,
     .no_rollback = 1,
     .end = END_OLD},
    {.name = "brownout",
     .what = "the new image draws so much that the voltage drops, each time it starts",
     .behaviour = SF_BEHAVIOUR_BROWNOUT,
     .reason = SF_ERR_POWER,
     .end = END_OLD},
    {.name = "self-test-hangs",
     .what = "a self-test of the new image never answers",
     .behaviour = SF_BEHAVIOUR_SELF_TEST_HANGS,
     .behaves_later = 60,
     .reason = SF_ERR_SELF_TEST_DEADLINE,
     .end = END_OLD},
    {.name = "deep-sleep",
     .what = "the new image goes to sleep before it is confirmed",
     .behaviour = SF_BEHAVIOUR_DEEP_SLEEP,
     .behaves_later = 1,
     .reason = SF_ERR_POWER,
     .end = END_OLD},
    {.name = "decay",
     .what = "a block of the new image is lost between commit and boot: the bootloader falls back",
     .behaviour = SF_BEHAVIOUR_DECAYS,
     .reason = SF_ERR_FELL_BACK,
     .end = END_OLD},
    {.name = "decay-plain",
     .what = "the same under a bootloader that was built without rollback",
     .behaviour = SF_BEHAVIOUR_DECAYS,
     .reason = SF_ERR_FELL_BACK,
     .no_rollback = 1,
     .end = END_OLD},
    {.name = "not-permitted",
     .what = "a higher secure_version that no status permits",
     .anti_rollback = 1,
     .not_permitted = 1,
     .reason = SF_ERR_SECURE_VERSION,
     .end = END_OLD},
    {.name = "confirm-plain",
     .what = "a good image under a bootloader that was built without rollback",
     .no_rollback = 1},
    {.name = "replace",
     .what = "a further update, over the image that was known good",
     .starts_updated = 1},
    {.name = "replace-crash",
     .what = "the same with an image that crashes",
     .behaviour = SF_BEHAVIOUR_CRASH_AT_BOOT,
     .reason = SF_ERR_CRASHED,
     .starts_updated = 1,
     .end = END_OLD},
    {.name = "return",
     .what = "the server takes the device back to the image before",
     .starts_updated = 1,
     .rolls_back = 1},
    {.name = "factory", .what = "a factory image runs and both ota slots are blank", .factory = 1},
    {.name = "factory-crash",
     .what = "the same with an image that crashes",
     .behaviour = SF_BEHAVIOUR_CRASH_AT_BOOT,
     .reason = SF_ERR_CRASHED,
     .factory = 1,
     .end = END_OLD},
    {.name = "anti-rollback",
     .what = "a higher secure_version, burnt by an anti-rollback bootloader",
     .anti_rollback = 1},
    {.name = "static-tree", .what = "an update from a static tree, without a server", .offline = 1},
    {.name = "encrypted",
     .what = "a good image under flash encryption, which takes 16 bytes at once",
     .encrypted = 16},
    {.name = "encrypted-crash",
     .what = "an image that crashes, under flash encryption that takes 32 bytes at once",
     .behaviour = SF_BEHAVIOUR_CRASH_AT_BOOT,
     .reason = SF_ERR_CRASHED,
     .encrypted = 32,
     .end = END_OLD},
    {.name = "roots",
     .what = "three new trust roots, which replace both signing keys, then a release under them",
     .starts_updated = 1,
     .walks = 1},
    {.name = NULL},
};

const struct scenario *scenario_find(const char *name)
{
    for (const struct scenario *s = scenarios; s->name; s++) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

/* ---- signing ---- */

void kit_mac(const uint8_t xy[SF_P256_KEY_SIZE], const uint8_t digest[SF_SHA256_SIZE],
             uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    uint8_t text[1 + SF_P256_KEY_SIZE + SF_SHA256_SIZE];
    memcpy(text + 1, xy, SF_P256_KEY_SIZE);
    memcpy(text + 1 + SF_P256_KEY_SIZE, digest, SF_SHA256_SIZE);
    for (uint8_t half = 0; half < 2; half++) {
        text[0] = half;
        if (sf_sha256(crypto_openssl(), text, sizeof(text),
                      signature + (size_t)half * SF_SHA256_SIZE) != SF_OK) {
            memset(signature, 0, SF_P256_SIGNATURE_SIZE); /* verifies nowhere */
        }
    }
}

static int sign_mac(void *ctx, const uint8_t digest[SF_SHA256_SIZE],
                    uint8_t signature[SF_P256_SIGNATURE_SIZE])
{
    const struct sf_public_key *key = ctx;
    kit_mac(key->xy, digest, signature);
    return SF_OK;
}

static struct sf_signer signer_of(struct p256_signer *real, int how)
{
    if (how == KIT_ECDSA) {
        return p256_signer_as_sf(real);
    }
    struct sf_signer signer = {.ctx = &real->public_key, .sign = sign_mac};
    memcpy(signer.kid, real->public_key.kid, SF_KID_SIZE);
    return signer;
}

struct sf_signer kit_status_signer(struct kit *k, uint32_t root_version, enum kit_signing how)
{
    return signer_of(root_version == ROOTS_LAST ? &k->roots.status_signer : &k->status_signer,
                     (int)how);
}

enum kit_image kit_first(const struct kit *k)
{
    if (!k->scenario->starts_updated) {
        return KIT_OLD;
    }
    return k->scenario->rolls_back ? KIT_NEW : KIT_NEXT;
}

/* Of three releases: 2, 4, 6 in the order in which they are published. */
static uint64_t seq_of(const struct kit *k, enum kit_image which)
{
    const int is_late = k->scenario->rolls_back && which == KIT_OLD;
    const int is_early = k->scenario->rolls_back && which == KIT_NEW;
    return is_late ? 4 : is_early ? 2 : (uint64_t)which * 2 + 2;
}

/* What came before the walk has the old key; what comes after it, the new one. */
static int sign_release(struct kit *k, struct kit_release *r)
{
    struct p256_signer real;
    const int is_after = k->scenario->walks && r != &k->release[KIT_OLD];
    int err = p256_signer_init(&real, is_after ? &k->roots.release : &k->release_key);
    for (int how = 0; how < KIT_SIGNINGS && err == SF_OK; how++) {
        const struct sf_signer signer = signer_of(&real, how);
        const int32_t len = sf_manifest_sign(&r->manifest, &signer, crypto_openssl(),
                                             r->envelope[how], SF_ENVELOPE_MAX);
        err = len < 0 ? len : SF_OK;
        r->envelope_len = len < 0 ? 0 : (size_t)len; /* the same in both */
    }
    p256_signer_release(&real);
    return err;
}

/* ---- images ---- */

static uint32_t image_size(const struct kit *k, enum kit_image which)
{
    if (k->size == KIT_FULL) {
        return which == KIT_NEW ? FULL_NEW : FULL_OLD;
    }
    if (which != KIT_NEW) {
        return SMALL_OLD;
    }
    return k->scenario->new_size != 0 ? k->scenario->new_size : SMALL_NEW;
}

static void name_artifact(struct kit_release *r)
{
    char hex[SF_SHA256_SIZE * 2 + 1];
    hex_encode(r->digest, SF_SHA256_SIZE, hex);
    snprintf(r->manifest.uri, sizeof(r->manifest.uri), "/artifacts/%s", hex);
    snprintf(r->etag, sizeof(r->etag), "\"%s\"", hex);
}

static int make_release(struct kit *k, enum kit_image which)
{
    static const char *const versions[KIT_IMAGES] = {"1.0.0", "1.1.0", "1.2.0"};
    const struct sf_behaviour behaviour = {.kind = k->scenario->behaviour,
                                           .parameter = k->scenario->behaves_later};
    struct kit_release *r = &k->release[which];
    r->secure_version = k->scenario->not_permitted ? which == KIT_NEW
                                                   : k->scenario->anti_rollback && which != KIT_OLD;
    const struct esp_image_spec spec = {
        .version = versions[which],
        .secure_version = r->secure_version,
        .size = image_size(k, which),
        .seed = (uint32_t)which + 1,
        .behaviour = which == KIT_NEW ? &behaviour : NULL,
    };
    r->image = malloc(spec.size);
    if (!r->image) {
        return SF_ERR_NOMEM;
    }
    r->image_len = (uint32_t)esp_image_build(&spec, r->image, spec.size);
    int err = sf_sha256(crypto_openssl(), r->image, r->image_len, r->digest);
    if (err != SF_OK) {
        return err;
    }
    struct sf_image_head head;
    err = sf_image_head_decode(r->image, r->image_len, &head, NULL);
    r->manifest = (struct sf_manifest){.seq = seq_of(k, which),
                                       .image_size = r->image_len,
                                       .version = {1, (int32_t)which, 0},
                                       .version_count = 3};
    memcpy(r->manifest.class_uuid, head.record.class_uuid, SF_UUID_SIZE);
    memcpy(r->manifest.image_digest, r->digest, SF_SHA256_SIZE);
    name_artifact(r);
    return err == SF_OK ? sign_release(k, r) : err;
}

static int make_forged(struct kit *k)
{
    const struct kit_release *r = &k->release[KIT_NEW];
    const struct esp_image_spec spec = {.version = "6.6.6",
                                        .secure_version = r->secure_version,
                                        .size = image_size(k, KIT_NEW),
                                        .seed = KIT_IMAGES + 1};
    k->forged = malloc(spec.size);
    if (!k->forged) {
        return SF_ERR_NOMEM;
    }
    return esp_image_build(&spec, k->forged, spec.size) == r->image_len ? SF_OK : SF_ERR_INTERNAL;
}

/* ---- the kit ---- */

int kit_open(struct kit *k, const struct scenario *scenario, enum kit_size size)
{
    memset(k, 0, sizeof(*k));
    k->scenario = scenario;
    k->size = size;
    k->slot_size = size == KIT_SMALL ? SMALL_SLOT : FULL_SLOT;
    k->flash_size = KIT_SLOT_0 + 2 * k->slot_size;
    if (scenario->factory) {
        k->factory_offset = k->flash_size;
        k->flash_size += k->slot_size;
    }
    int err = p256_key_generate(&k->release_key);
    if (err == SF_OK) {
        err = p256_key_generate(&k->status_key);
    }
    if (err == SF_OK) {
        err = p256_signer_init(&k->status_signer, &k->status_key);
    }
    if (err == SF_OK) {
        err = crypto_psa_init(&k->psa);
    }
    if (err == SF_OK && scenario->walks) {
        err = roots_open(&k->roots, &k->release_key, &k->status_key, signer_of);
        k->trust = (struct sf_trust_root){.walk = &sf_walk_roots,
                                          .file = k->roots.file[KIT_ECDSA][ROOTS_FIRST].data,
                                          .len = k->roots.file[KIT_ECDSA][ROOTS_FIRST].len};
    }
    for (int i = 0; i < KIT_IMAGES && err == SF_OK; i++) {
        err = make_release(k, (enum kit_image)i);
    }
    return err == SF_OK ? make_forged(k) : err;
}

void kit_release_all(struct kit *k)
{
    for (int i = 0; i < KIT_IMAGES; i++) {
        free(k->release[i].image);
    }
    free(k->forged);
    roots_release(&k->roots);
    p256_signer_release(&k->status_signer);
    p256_key_release(&k->status_key);
    p256_key_release(&k->release_key);
    memset(k, 0, sizeof(*k));
}

static void add(struct sf_partition_table *table, struct sf_partition entry)
{
    table->entry[table->count++] = entry;
}

void kit_flash(const struct kit *k, struct chip *chip)
{
    struct sf_partition_table table = {.has_md5 = 1};
    uint8_t *cells = chip->flash.cells;
    const struct kit_release *first = &k->release[kit_first(k)];

    memset(cells, 0xff, k->flash_size);
    add(&table, (struct sf_partition){.offset = KIT_RECORDS,
                                      .size = KIT_RECORDS_SIZE,
                                      .type = SF_PARTITION_DATA,
                                      .subtype = DATA_UNDEFINED,
                                      .label = "surefoot"});
    add(&table, (struct sf_partition){.offset = KIT_OTADATA,
                                      .size = KIT_OTADATA_SIZE,
                                      .type = SF_PARTITION_DATA,
                                      .subtype = SF_PARTITION_DATA_OTA,
                                      .label = "otadata"});
    for (unsigned i = 0; i < 2; i++) {
        struct sf_partition slot = {.offset = KIT_SLOT_0 + i * k->slot_size,
                                    .size = k->slot_size,
                                    .subtype = (uint8_t)(SF_PARTITION_APP_OTA_0 + i),
                                    .label = "ota_0"};
        slot.label[4] = (char)('0' + i);
        add(&table, slot);
    }
    if (k->factory_offset != 0) {
        add(&table, (struct sf_partition){
                        .offset = k->factory_offset, .size = k->slot_size, .label = "factory"});
    }
    if (sf_partition_table_encode(&table, cells + SF_PARTITION_TABLE_OFFSET) != SF_OK) {
        memset(cells + SF_PARTITION_TABLE_OFFSET, 0, SF_PARTITION_TABLE_SIZE); /* boots nowhere */
    }
    memcpy(cells + (k->factory_offset != 0 ? k->factory_offset : (uint32_t)KIT_SLOT_0),
           first->image, first->image_len);
}
