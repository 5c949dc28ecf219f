/* Writes what our encoders make of random messages, and what was put in, as JSON, for
 * cbor2_oracle.py: an implementation that shares nothing with ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/hex.h"
#include "tests/formats/wire_support.h"
#include "tests/support/root_kit.h"

enum { MESSAGES_OF_EACH_KIND = 60, ROOTS = 20 };

static void put_hex(json_t *object, const char *key, const void *data, size_t len)
{
    char text[2 * SF_CHECKIN_ANSWER_MAX + 1];
    hex_encode(data, len, text);
    (void)json_object_set_new(object, key, json_string(text));
}

/* As text: JSON numbers of other tools may not hold 64 bits. */
static void put_uint(json_t *object, const char *key, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    (void)json_object_set_new(object, key, json_string(text));
}

static void put_int(json_t *object, const char *key, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    (void)json_object_set_new(object, key, json_string(text));
}

static void put_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, json_string(text));
}

static void put_message(json_t *all, const char *kind, const uint8_t *data, int32_t len,
                        json_t *fields)
{
    if (len < 0) {
        (void)fprintf(stderr, "cannot encode a %s: %s\n", kind, sf_err_name((int)len));
        abort();
    }
    json_t *message = json_object();
    put_text(message, "kind", kind);
    put_hex(message, "hex", data, (size_t)len);
    (void)json_object_set_new(message, "fields", fields);
    (void)json_array_append_new(all, message);
}

static json_t *other_slots(const struct sf_checkin *c)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < c->other_count; i++) {
        json_t *slot = json_object();
        put_uint(slot, "slot", c->other[i].slot);
        put_uint(slot, "content", c->other[i].content);
        if (c->other[i].has_digest) {
            put_hex(slot, "digest", c->other[i].digest, SF_SHA256_SIZE);
        }
        (void)json_object_set_new(slot, "confirmed_here", json_boolean(c->other[i].confirmed_here));
        (void)json_array_append_new(array, slot);
    }
    return array;
}

static void put_outcome(json_t *f, const struct sf_outcome *o)
{
    if (o->counter == 0) {
        return;
    }
    put_uint(f, "outcome_counter", o->counter);
    put_uint(f, "outcome_attempt", o->attempt);
    put_int(f, "outcome_error", o->error);
    put_uint(f, "outcome_reset_reason", o->reset_reason);
    put_text(f, "outcome_text", o->text);
}

static void dump_checkin(struct wire_random *r, json_t *all)
{
    struct sf_checkin c;
    uint8_t out[SF_CHECKIN_REQUEST_MAX];
    json_t *f = json_object();
    wire_random_checkin(r, &c);
    put_hex(f, "nonce", c.nonce, sizeof(c.nonce));
    put_uint(f, "boot_count", c.boot_count);
    put_hex(f, "boot_id", c.boot_id, sizeof(c.boot_id));
    put_uint(f, "reset_reason", c.reset_reason);
    put_uint(f, "uptime_s", c.uptime_s);
    put_hex(f, "running_digest", c.running_digest, sizeof(c.running_digest));
    put_uint(f, "running_length", c.running_length);
    put_text(f, "running_version", c.running_version);
    put_uint(f, "running_slot", c.running_slot);
    put_uint(f, "running_state", c.running_state);
    (void)json_object_set_new(f, "other", other_slots(&c));
    put_uint(f, "abilities", c.abilities);
    put_uint(f, "chip_id", c.chip_id);
    put_uint(f, "chip_revision", c.chip_revision);
    put_text(f, "hw_revision", c.hw_revision);
    put_hex(f, "class_uuid", c.class_uuid, sizeof(c.class_uuid));
    put_uint(f, "root_version", c.root_version);
    put_uint(f, "epoch", c.epoch);
    put_uint(f, "seq", c.seq);
    put_uint(f, "efuse_secure_version", c.efuse_secure_version);
    put_uint(f, "last_counter", c.last_counter);
    put_uint(f, "phase", c.phase);
    put_uint(f, "phase_counter", c.phase_counter);
    put_uint(f, "phase_bytes", c.phase_bytes);
    put_outcome(f, &c.outcome);
    if (c.attributes.len > 0) {
        put_hex(f, "attributes", c.attributes.data, c.attributes.len);
    }
    if (c.longest_sleep_s > 0) {
        put_uint(f, "longest_sleep_s", c.longest_sleep_s);
    }
    put_message(all, "checkin", out, sf_checkin_encode(&c, out, sizeof(out)), f);
}

static void put_target(json_t *f, const struct sf_target *t)
{
    put_hex(f, "image_digest", t->image_digest, SF_SHA256_SIZE);
    put_hex(f, "manifest_digest", t->manifest_digest, SF_SHA256_SIZE);
    put_uint(f, "manifest_size", t->manifest_size);
    put_uint(f, "target_epoch", t->epoch);
    put_uint(f, "target_seq", t->seq);
}

static void put_status_options(json_t *f, const struct sf_status *s)
{
    json_t *mirrors = json_array();
    for (unsigned i = 0; i < s->mirror_count; i++) {
        (void)json_array_append_new(
            mirrors, json_stringn((const char *)s->mirror[i].data, s->mirror[i].len));
    }
    (void)json_object_set_new(f, "mirrors", mirrors);
    if (s->has_target) {
        put_target(f, &s->target);
    }
    if (s->patches.len > 0) {
        put_hex(f, "patches", s->patches.data, s->patches.len);
    }
    if (s->outcome_ack != 0) {
        put_uint(f, "outcome_ack", s->outcome_ack);
    }
    if (s->wanted != 0) {
        put_uint(f, "wanted", s->wanted);
    }
    if (s->max_secure_version != 0) {
        put_uint(f, "max_secure_version", s->max_secure_version);
    }
}

static void dump_status(struct wire_random *r, const struct wire_signing *signing, json_t *all)
{
    struct sf_status s;
    uint8_t out[SF_STATUS_MAX];
    json_t *f = json_object();
    wire_random_status(r, &s);
    put_uint(f, "counter", s.counter);
    put_int(f, "time", s.time);
    put_int(f, "expires", s.expires);
    put_uint(f, "root_version", s.root_version);
    put_hex(f, "nonce", s.nonce, sizeof(s.nonce));
    put_hex(f, "device_digest", s.device_digest, sizeof(s.device_digest));
    put_hex(f, "class_uuid", s.class_uuid, sizeof(s.class_uuid));
    put_uint(f, "action", s.action);
    put_uint(f, "next_checkin_s", s.next_checkin_s);
    put_status_options(f, &s);
    put_message(all, "status", out,
                sf_status_sign(&s, &signing->signer, signing->crypto, out, sizeof(out)), f);
}

static void dump_manifest(struct wire_random *r, const struct wire_signing *signing, json_t *all)
{
    struct sf_manifest m;
    uint8_t out[SF_ENVELOPE_MAX];
    json_t *f = json_object();
    json_t *version = json_array();
    wire_random_manifest(r, &m);
    const int32_t len = sf_manifest_sign(&m, &signing->signer, signing->crypto, out, sizeof(out));
    put_uint(f, "seq", m.seq);
    put_hex(f, "vendor_uuid", m.vendor_uuid, sizeof(m.vendor_uuid));
    put_hex(f, "class_uuid", m.class_uuid, sizeof(m.class_uuid));
    put_hex(f, "image_digest", m.image_digest, sizeof(m.image_digest));
    put_uint(f, "image_size", m.image_size);
    for (unsigned i = 0; i < m.version_count; i++) {
        (void)json_array_append_new(version, json_integer(m.version[i]));
    }
    (void)json_object_set_new(f, "version", version);
    put_text(f, "uri", m.uri);
    put_hex(f, "digest", m.digest, sizeof(m.digest));
    put_message(all, "manifest", out, len, f);
}

static void dump_enrol(struct wire_random *r, json_t *all)
{
    struct sf_enrol e;
    uint8_t out[SF_ENROL_REQUEST_MAX];
    json_t *f = json_object();
    wire_random_enrol(r, &e);
    put_text(f, "id", e.id);
    put_hex(f, "secret_digest", e.secret_digest, sizeof(e.secret_digest));
    put_hex(f, "class_uuid", e.class_uuid, sizeof(e.class_uuid));
    put_text(f, "token", e.token);
    put_message(all, "enrol", out, sf_enrol_encode(&e, out, sizeof(out)), f);
}

static void dump_answer(struct wire_random *r, json_t *all)
{
    uint8_t data[64];
    uint8_t out[SF_CHECKIN_ANSWER_MAX];
    json_t *f = json_object();
    wire_random_fill(r, data, sizeof(data));
    const size_t split = 1 + wire_random_below(r, sizeof(data));
    const struct sf_checkin_answer a = {.status = {data, split},
                                        .manifest = {data + split, sizeof(data) - split}};
    put_hex(f, "status", a.status.data, a.status.len);
    if (a.manifest.len > 0) {
        put_hex(f, "manifest", a.manifest.data, a.manifest.len);
    }
    put_message(all, "answer", out, sf_checkin_answer_encode(&a, out, sizeof(out)), f);
}

static json_t *keys_of_role(const struct sf_root_draft *d, enum sf_role role)
{
    json_t *keys = json_array();
    for (unsigned i = 0; i < d->key_count; i++) {
        if (d->key[i].role == role) {
            char text[2 * SF_P256_KEY_SIZE + 1];
            hex_encode(d->key[i].key.xy, SF_P256_KEY_SIZE, text);
            (void)json_array_append_new(keys, json_string(text));
        }
    }
    return keys;
}

static json_t *roles_of(const struct sf_root_draft *d)
{
    json_t *roles = json_array();
    for (unsigned i = 0; i < SF_ROLE_COUNT; i++) {
        json_t *role = json_object();
        put_uint(role, "threshold", d->threshold[i]);
        put_uint(role, "epoch", d->epoch[i]);
        (void)json_object_set_new(role, "keys", keys_of_role(d, (enum sf_role)i));
        (void)json_array_append_new(roles, role);
    }
    return roles;
}

static json_t *digests(const uint8_t digest[][SF_SHA256_SIZE], unsigned count)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < count; i++) {
        char text[2 * SF_SHA256_SIZE + 1];
        hex_encode(digest[i], SF_SHA256_SIZE, text);
        (void)json_array_append_new(array, json_string(text));
    }
    return array;
}

static void random_root(struct wire_random *r, const struct root_kit *kit, struct sf_root_draft *d)
{
    root_kit_draft(kit, d);
    d->version = 1 + (uint32_t)wire_random_below(r, 70000);
    d->policy = (uint32_t)wire_random_below(r, 2);
    if (wire_random_below(r, 2) != 0) {
        root_kit_add(kit, d, SF_ROLE_RELEASE, ROOT_KIT_RELEASE + 1);
        root_kit_add(kit, d, SF_ROLE_DELTA, ROOT_KIT_DELTA);
    }
    d->epoch[SF_ROLE_RELEASE] = (uint32_t)wire_random_below(r, 300);
    wire_random_root_lists(r, d);
}

static void dump_root(struct wire_random *r, const struct root_kit *kit, json_t *all)
{
    struct sf_root_draft d;
    uint8_t out[SF_ROOT_MAX];
    json_t *f = json_object();
    json_t *minimums = json_object();
    random_root(r, kit, &d);
    put_uint(f, "version", d.version);
    put_int(f, "issued_at", d.issued_at);
    put_int(f, "expires", d.expires);
    put_uint(f, "policy", d.policy);
    put_hex(f, "fleet_id", d.fleet_id, SF_FLEET_ID_SIZE);
    (void)json_object_set_new(f, "roles", roles_of(&d));
    (void)json_object_set_new(f, "revoked", digests(d.revoked, d.revoked_count));
    (void)json_object_set_new(f, "anchors", digests(d.anchor, d.anchor_count));
    for (unsigned i = 0; i < d.minimum_count; i++) {
        char class_uuid[2 * SF_UUID_SIZE + 1];
        hex_encode(d.minimum[i].class_uuid, SF_UUID_SIZE, class_uuid);
        put_uint(minimums, class_uuid, d.minimum[i].seq);
    }
    (void)json_object_set_new(f, "minimums", minimums);
    const struct sf_bytes in = root_kit_sign(kit, &d, 6, out); /* the second and the third */
    put_message(all, "root", in.data, (int32_t)in.len, f);
}

int main(void)
{
    static struct root_kit kit;
    struct wire_signing signing;
    struct wire_random r;
    json_t *root = json_object();
    json_t *messages = json_array();
    wire_signing_init(&signing);
    (void)fputs("# ", stdout); /* the seed's line, which the reader skips */
    wire_random_init(&r);
    for (unsigned i = 0; i < MESSAGES_OF_EACH_KIND; i++) {
        dump_checkin(&r, messages);
        dump_status(&r, &signing, messages);
        dump_manifest(&r, &signing, messages);
        dump_enrol(&r, messages);
        dump_answer(&r, messages);
    }
    root_kit_init(&kit);
    for (unsigned i = 0; i < ROOTS; i++) {
        dump_root(&r, &kit, messages);
    }
    root_kit_release(&kit);
    put_hex(root, "xy", signing.key.public_key.xy, SF_P256_KEY_SIZE);
    (void)json_object_set_new(root, "messages", messages);
    const int err = json_dumpf(root, stdout, JSON_COMPACT);
    json_decref(root);
    wire_signing_release(&signing);
    return err == 0 ? 0 : 1;
}
