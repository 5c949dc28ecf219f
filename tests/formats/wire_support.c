/* What the tests of messages share. */
#include "tests/formats/wire_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"

_Noreturn static void give_up(const char *what)
{
    (void)fprintf(stderr, "test support: %s\n", what);
    abort();
}

void wire_signing_init(struct wire_signing *s)
{
    s->crypto = crypto_openssl();
    if (p256_key_generate(&s->key) < 0 || p256_signer_init(&s->p256, &s->key) < 0) {
        give_up("no key");
    }
    s->signer = p256_signer_as_sf(&s->p256);
}

void wire_signing_release(struct wire_signing *s)
{
    p256_signer_release(&s->p256);
    p256_key_release(&s->key);
}

/* ---- random ---- */

void wire_random_init(struct wire_random *r)
{
    const char *seed = secure_getenv("SF_TEST_SEED");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    r->state = seed != NULL ? strtoull(seed, NULL, 10)
                            : (uint64_t)now.tv_sec * 1000003U + (uint64_t)now.tv_nsec;
    (void)printf("SF_TEST_SEED=%llu\n", (unsigned long long)r->state);
}

/* splitmix64 */
uint64_t wire_random_u64(struct wire_random *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = r->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t wire_random_below(struct wire_random *r, uint64_t bound)
{
    return wire_random_u64(r) % bound;
}

void wire_random_fill(struct wire_random *r, void *out, size_t len)
{
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++) {
        p[i] = (uint8_t)wire_random_u64(r);
    }
}

/* Numbers of every encoded length, not mostly of the longest. */
static uint64_t random_uint(struct wire_random *r, unsigned bits)
{
    return wire_random_u64(r) >> (64 - bits) >> wire_random_below(r, bits);
}

static uint32_t random_u32(struct wire_random *r)
{
    return (uint32_t)random_uint(r, 32);
}

static int coin(struct wire_random *r)
{
    return (int)wire_random_below(r, 2);
}

static void random_text(struct wire_random *r, char *out, size_t max)
{
    static const char letters[] = "abcXYZ019-_. ~!/";
    const size_t len = wire_random_below(r, max + 1);
    for (size_t i = 0; i < len; i++) {
        out[i] = letters[wire_random_below(r, sizeof(letters) - 1)];
    }
    out[len] = '\0';
}

/* {"a": "x", "bb": 7, "ccc": -3, "d...": true}, keys in deterministic order. */
static struct sf_bytes random_attributes(struct wire_random *r)
{
    static uint8_t memory[SF_ATTRIBUTES_MAX];
    struct sf_cbor_writer w;
    const unsigned count = 1U + (unsigned)wire_random_below(r, 3);
    sf_cbor_write_init(&w, memory, sizeof(memory));
    sf_cbor_write_map(&w, count);
    for (unsigned i = 0; i < count; i++) {
        char text[17];
        const char key[] = {(char)('a' + i), '\0'};
        sf_cbor_write_text(&w, key);
        switch (wire_random_below(r, 3)) {
        case 0:
            random_text(r, text, 16);
            sf_cbor_write_text(&w, text);
            break;
        case 1:
            sf_cbor_write_int(&w, coin(r) ? (int64_t)random_uint(r, 63) : -1 - (int64_t)i);
            break;
        default:
            sf_cbor_write_bool(&w, coin(r));
        }
    }
    return (struct sf_bytes){memory, w.len};
}

static void random_other_slots(struct wire_random *r, struct sf_checkin *c)
{
    c->other_count = (unsigned)wire_random_below(r, 4);
    for (unsigned i = 0; i < c->other_count; i++) {
        struct sf_other_slot *o = &c->other[i];
        o->slot = (uint8_t)(i == 2 ? SF_WIRE_SLOT_FACTORY : i + 1);
        o->content = (uint8_t)wire_random_below(r, 3);
        o->has_digest = (uint8_t)coin(r);
        o->confirmed_here = (uint8_t)coin(r);
        if (o->has_digest) {
            wire_random_fill(r, o->digest, sizeof(o->digest));
        }
    }
}

static void random_outcome(struct wire_random *r, struct sf_outcome *o)
{
    o->counter = 1 + random_uint(r, 63);
    o->attempt = 1 + (uint32_t)wire_random_below(r, 3);
    o->error = -(int32_t)wire_random_below(r, 192);
    o->reset_reason = (uint8_t)wire_random_below(r, 8);
    random_text(r, o->text, SF_OUTCOME_TEXT_MAX);
}

void wire_random_checkin(struct wire_random *r, struct sf_checkin *out)
{
    memset(out, 0, sizeof(*out));
    out->protocol_version = SF_PROTOCOL_VERSION;
    wire_random_fill(r, out->nonce, sizeof(out->nonce));
    out->boot_count = random_u32(r);
    wire_random_fill(r, out->boot_id, sizeof(out->boot_id));
    out->reset_reason = (uint8_t)wire_random_below(r, 8);
    out->uptime_s = random_u32(r);
    wire_random_fill(r, out->running_digest, sizeof(out->running_digest));
    out->running_length = random_u32(r);
    random_text(r, out->running_version, SF_VERSION_TEXT_MAX);
    out->running_slot = (uint8_t)wire_random_below(r, 16);
    out->running_state = coin(r) ? UINT32_MAX : (uint32_t)wire_random_below(r, 5);
    random_other_slots(r, out);
    out->abilities = (uint32_t)wire_random_below(r, 512);
    out->chip_id = (uint16_t)wire_random_below(r, 33);
    out->chip_revision = (uint16_t)wire_random_below(r, 400);
    random_text(r, out->hw_revision, SF_HW_REVISION_MAX);
    wire_random_fill(r, out->class_uuid, sizeof(out->class_uuid));
    out->root_version = random_u32(r);
    out->epoch = random_u32(r);
    out->seq = random_uint(r, 64);
    out->efuse_secure_version = (uint32_t)wire_random_below(r, 33);
    out->last_counter = random_uint(r, 64);
    out->phase = (uint8_t)wire_random_below(r, 6);
    out->phase_counter = random_uint(r, 64);
    out->phase_bytes = random_u32(r);
    if (coin(r)) {
        random_outcome(r, &out->outcome);
    }
    if (coin(r)) {
        out->attributes = random_attributes(r);
    }
    out->longest_sleep_s = coin(r) ? random_u32(r) : 0;
}

static struct sf_bytes random_patches(struct wire_random *r)
{
    static uint8_t memory[128];
    uint8_t digest[SF_SHA256_SIZE];
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, memory, sizeof(memory));
    sf_cbor_write_array(&w, 1);
    sf_cbor_write_array(&w, 4);
    wire_random_fill(r, digest, sizeof(digest));
    sf_cbor_write_bytes(&w, digest, sizeof(digest));
    wire_random_fill(r, digest, sizeof(digest));
    sf_cbor_write_bytes(&w, digest, sizeof(digest));
    sf_cbor_write_uint(&w, random_u32(r));
    sf_cbor_write_uint(&w, 1);
    return (struct sf_bytes){memory, w.len};
}

static void random_mirrors(struct wire_random *r, struct sf_status *s)
{
    static char memory[SF_STATUS_MIRROR_MAX][24];
    s->mirror_count = (unsigned)wire_random_below(r, SF_STATUS_MIRROR_MAX + 1);
    for (unsigned i = 0; i < s->mirror_count; i++) {
        random_text(r, memory[i], sizeof(memory[i]) - 1);
        s->mirror[i] = (struct sf_bytes){(const uint8_t *)memory[i], strlen(memory[i])};
    }
}

void wire_random_status(struct wire_random *r, struct sf_status *out)
{
    memset(out, 0, sizeof(*out));
    out->counter = random_uint(r, 64);
    out->time = (int64_t)random_uint(r, 63);
    out->expires = (int64_t)random_uint(r, 63);
    out->root_version = random_u32(r);
    wire_random_fill(r, out->nonce, sizeof(out->nonce));
    wire_random_fill(r, out->device_digest, sizeof(out->device_digest));
    wire_random_fill(r, out->class_uuid, sizeof(out->class_uuid));
    out->has_target = coin(r);
    if (out->has_target) {
        wire_random_fill(r, out->target.image_digest, SF_SHA256_SIZE);
        wire_random_fill(r, out->target.manifest_digest, SF_SHA256_SIZE);
        out->target.manifest_size = random_u32(r);
        out->target.epoch = random_u32(r);
        out->target.seq = random_uint(r, 64);
        out->action = (uint8_t)wire_random_below(r, 4);
    } else {
        out->action = coin(r) ? SF_STATUS_STAY : SF_STATUS_CANCEL;
    }
    if (coin(r)) {
        out->patches = random_patches(r);
    }
    out->next_checkin_s = random_u32(r);
    random_mirrors(r, out);
    out->outcome_ack = coin(r) ? random_uint(r, 64) : 0;
    out->wanted = (uint32_t)coin(r);
    out->max_secure_version = (uint32_t)wire_random_below(r, 33);
}

void wire_random_manifest(struct wire_random *r, struct sf_manifest *out)
{
    memset(out, 0, sizeof(*out));
    out->seq = random_uint(r, 64);
    wire_random_fill(r, out->vendor_uuid, sizeof(out->vendor_uuid));
    wire_random_fill(r, out->class_uuid, sizeof(out->class_uuid));
    wire_random_fill(r, out->image_digest, sizeof(out->image_digest));
    out->image_size = random_u32(r);
    for (unsigned i = 0; i < 3; i++) {
        out->version[i] = (int32_t)random_uint(r, 31);
    }
    out->version_count = 3;
    if (coin(r)) {
        out->version_count = SF_MANIFEST_VERSION_PARTS;
        out->version[3] = -1 - (int32_t)wire_random_below(r, 3);
        out->version[4] = (int32_t)random_uint(r, 31);
    }
    static const char path[] = "/artifacts/";
    memcpy(out->uri, path, sizeof(path));
    hex_encode(out->image_digest, SF_SHA256_SIZE, out->uri + sizeof(path) - 1);
}

void wire_random_enrol(struct wire_random *r, struct sf_enrol *out)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    memset(out, 0, sizeof(*out));
    const size_t len = 1 + wire_random_below(r, SF_DEVICE_ID_MAX);
    for (size_t i = 0; i < len; i++) {
        out->id[i] = letters[wire_random_below(r, sizeof(letters) - 1)];
    }
    wire_random_fill(r, out->secret_digest, sizeof(out->secret_digest));
    wire_random_fill(r, out->class_uuid, sizeof(out->class_uuid));
    random_text(r, out->token, SF_ENROL_TOKEN_MAX);
}

void wire_random_root_lists(struct wire_random *r, struct sf_root_draft *d)
{
    d->revoked_count = (unsigned)wire_random_below(r, 4);
    d->minimum_count = (unsigned)wire_random_below(r, 4);
    d->anchor_count = (unsigned)wire_random_below(r, 3);
    wire_random_fill(r, d->fleet_id, sizeof(d->fleet_id));
    wire_random_fill(r, d->revoked, d->revoked_count * sizeof(d->revoked[0]));
    wire_random_fill(r, d->anchor, d->anchor_count * sizeof(d->anchor[0]));
    for (unsigned i = 0; i < d->minimum_count; i++) {
        wire_random_fill(r, d->minimum[i].class_uuid, SF_UUID_SIZE);
        d->minimum[i].seq = wire_random_u64(r) >> wire_random_below(r, 64);
    }
}

/* ---- mutations ---- */

static uint8_t *copy(struct sf_bytes data)
{
    uint8_t *p = malloc(data.len > 0 ? data.len : 1);
    if (p == NULL) {
        give_up("out of memory");
    }
    memcpy(p, data.data, data.len);
    return p;
}

void wire_each_truncation(struct sf_bytes data, wire_check_fn *check, void *ctx)
{
    for (size_t len = 0; len < data.len; len++) {
        uint8_t *p = copy((struct sf_bytes){data.data, len});
        check((struct sf_bytes){p, len}, ctx);
        free(p);
    }
}

void wire_each_flip(struct sf_bytes data, wire_check_fn *check, void *ctx)
{
    uint8_t *p = copy(data);
    for (size_t bit = 0; bit < data.len * 8; bit++) {
        const uint8_t mask = (uint8_t)(1U << (bit % 8));
        p[bit / 8] ^= mask;
        check((struct sf_bytes){p, data.len}, ctx);
        p[bit / 8] ^= mask;
    }
    free(p);
}

/* ---- files ---- */

size_t wire_read_file(const char *path, uint8_t *out, size_t size)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        give_up(path);
    }
    const size_t len = fread(out, 1, size, f);
    const int whole = feof(f) || fgetc(f) == EOF;
    (void)fclose(f);
    if (!whole) {
        give_up("file is longer than expected");
    }
    return len;
}

size_t wire_hex(const char *hex, uint8_t *out, size_t size)
{
    const size_t len = strlen(hex) / 2;
    if (len > size || hex_decode(hex, out, len) < 0) {
        give_up(hex);
    }
    return len;
}

void wire_need_file(const char *path)
{
    if (access(path, R_OK) != 0) {
        (void)printf("skipped: the vectors are not here: %s\n", path);
        (void)fflush(stdout);
        _exit(77);
    }
}
