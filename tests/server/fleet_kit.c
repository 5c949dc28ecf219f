#include "tests/server/fleet_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "base/hex.h"
#include "base/uuid.h"
#include "server/protocols/text.h"

static void make_product(struct kit *k)
{
    char key[2 * SF_P256_KEY_SIZE + 1];
    hex_encode(k->release_key.public_key.xy, SF_P256_KEY_SIZE, key);
    long status = 0;
    json_t *answer =
        api(&k->daemon, "POST", "/api/v1/products",
            json_pack("{s:s, s:s, s:s, s:i, s:[s], s:s, s:i}", "name", "lamp", "chip", "esp32c3",
                      "vendor_domain", "example.com", "slot_size", KIT_SLOT_SIZE, "hw_revisions",
                      "A", "release_key", key, "checkin_interval_s", 3600),
            &status);
    assert_int_equal(status, 201);
    const char *token = json_string_value(json_object_get(answer, "enrol_token"));
    assert_non_null(token);
    assert_true(strlen(token) <= SF_ENROL_TOKEN_MAX);
    memcpy(k->enrol_token, token, strlen(token) + 1);
    json_decref(answer);
}

void kit_init(struct kit *k)
{
    kit_init_program(k, NULL);
}

void kit_init_program(struct kit *k, const char *program)
{
    memset(k, 0, sizeof(*k));
    daemon_init(&k->daemon);
    k->daemon.program = program;
    daemon_start(&k->daemon);
    assert_int_equal(p256_key_generate(&k->release_key), SF_OK);
    assert_int_equal(p256_signer_init(&k->release_signer, &k->release_key), SF_OK);
    assert_int_equal(uuid_vendor("example.com", k->vendor_uuid), SF_OK);
    assert_int_equal(uuid_class(k->vendor_uuid, "lamp", "A", k->class_uuid), SF_OK);
    char path[DAEMON_PATH + 32];
    (void)snprintf(path, sizeof(path), "%s/status-key.pub.pem", k->daemon.dir);
    struct p256_key key;
    assert_int_equal(p256_key_load_public(&key, path), SF_OK);
    k->status_key = key.public_key;
    p256_key_release(&key);
    make_product(k);
}

void kit_release(struct kit *k)
{
    p256_signer_release(&k->release_signer);
    p256_key_release(&k->release_key);
    if (k->daemon.pid > 0) {
        assert_int_equal(daemon_stop(&k->daemon), 0); /* drains, and leaks nothing */
    }
    daemon_release(&k->daemon);
}

void kit_image_seal(struct kit_image *image)
{
    assert_int_equal(sf_sha256(crypto_openssl(), image->bytes, image->len, image->digest), SF_OK);
    hex_encode(image->digest, SF_SHA256_SIZE, image->hex);
}

void kit_image(const struct kit *k, const char *version, struct kit_image *out)
{
    struct esp_image_spec spec = {.version = version, .class_uuid = k->class_uuid};
    for (const char *c = version; *c != '\0'; c++) {
        spec.seed = spec.seed * 31 + (uint8_t)*c;
    }
    out->len = esp_image_build(&spec, out->bytes, sizeof(out->bytes));
    assert_true(out->len > 0);
    kit_image_seal(out);
}

static void keep_code(const uint8_t *body, size_t len, char *code)
{
    json_t *answer = json_loadb((const char *)body, len, 0, NULL);
    (void)snprintf(code, 64, "%s", error_code(answer));
    json_decref(answer);
}

long kit_upload(const struct kit *k, const struct kit_image *image, char *code)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/api/v1/artifacts/%s", image->hex);
    struct reply r;
    call(&k->daemon,
         &(struct call){.method = "PUT",
                        .path = path,
                        .bearer = k->daemon.admin,
                        .content_type = "application/octet-stream",
                        .body = image->bytes,
                        .body_len = image->len},
         &r);
    long status = r.curl == 0 ? r.status : -r.curl;
    keep_code(r.body, r.len, code);
    reply_release(&r);
    return status;
}

uint64_t kit_try_seq(const struct kit *k)
{
    long status = 0;
    json_t *answer = api(&k->daemon, "POST", "/api/v1/products/lamp/seq",
                         json_pack("{s:s}", "hw_revision", "A"), &status);
    const json_int_t seq = json_integer_value(json_object_get(answer, "seq"));
    json_decref(answer);
    return status == 200 ? (uint64_t)seq : 0;
}

uint64_t kit_seq(const struct kit *k)
{
    const uint64_t seq = kit_try_seq(k);
    assert_int_not_equal(seq, 0);
    return seq;
}

void kit_manifest(const struct kit *k, const struct kit_image *image, const char *version,
                  struct sf_manifest *out)
{
    kit_manifest_of(k, image, version, out);
    out->seq = kit_seq(k);
}

void kit_manifest_of(const struct kit *k, const struct kit_image *image, const char *version,
                     struct sf_manifest *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->vendor_uuid, k->vendor_uuid, SF_UUID_SIZE);
    memcpy(out->class_uuid, k->class_uuid, SF_UUID_SIZE);
    memcpy(out->image_digest, image->digest, SF_SHA256_SIZE);
    out->image_size = (uint32_t)image->len;
    assert_int_equal(sf_manifest_version_parse(version, out), SF_OK);
    (void)snprintf(out->uri, sizeof(out->uri), "/artifacts/%s", image->hex);
}

long kit_publish(const struct kit *k, struct sf_manifest *m, const char *version, char *code)
{
    uint8_t envelope[SF_ENVELOPE_MAX];
    struct p256_signer signer = k->release_signer;
    struct sf_signer sf = p256_signer_as_sf(&signer);
    int32_t len = sf_manifest_sign(m, &sf, crypto_openssl(), envelope, sizeof(envelope));
    assert_true(len > 0);
    return kit_publish_envelope(k, (struct sf_bytes){envelope, (size_t)len}, version, code);
}

long kit_publish_envelope(const struct kit *k, struct sf_bytes envelope, const char *version,
                          char *code)
{
    char text[2 * SF_ENVELOPE_MAX];
    text_base64(envelope.data, envelope.len, text);
    long status = 0;
    json_t *answer = api(&k->daemon, "POST", "/api/v1/products/lamp/releases",
                         json_pack("{s:s, s:[{s:s, s:s}]}", "version", version, "manifests",
                                   "hw_revision", "A", "envelope", text),
                         &status);
    (void)snprintf(code, 64, "%s", error_code(answer));
    json_decref(answer);
    return status;
}

void kit_ship(const struct kit *k, const char *version, struct kit_image *image)
{
    char code[64];
    kit_image(k, version, image);
    assert_int_equal(kit_upload(k, image, code), 201);
    struct sf_manifest m;
    kit_manifest(k, image, version, &m);
    long status = kit_publish(k, &m, version, code);
    if (status != 201) {
        fail_msg("publishing %s: %ld %s", version, status, code);
    }
}

void kit_target(const struct kit *k, const char *version)
{
    long status = 0;
    json_decref(api(&k->daemon, "PUT", "/api/v1/products/lamp/target",
                    json_pack("{s:s?}", "version", version), &status));
    assert_int_equal(status, 200);
}

void kit_device(const struct kit *k, const char *id, const struct kit_image *image,
                const char *version, struct kit_device *out)
{
    memset(out, 0, sizeof(*out));
    (void)snprintf(out->id, sizeof(out->id), "%s", id);
    uint8_t secret[SF_SHA256_SIZE];
    assert_int_equal(sf_sha256(crypto_openssl(), id, strlen(id), secret), SF_OK);
    hex_encode(secret, sizeof(secret), out->secret);
    struct sf_checkin *c = &out->report;
    c->protocol_version = SF_PROTOCOL_VERSION;
    c->boot_count = 1;
    memset(c->boot_id, 0xb1, sizeof(c->boot_id));
    c->reset_reason = SF_RESET_POWER_ON;
    memcpy(c->running_digest, image->digest, SF_SHA256_SIZE);
    c->running_length = (uint32_t)image->len;
    (void)snprintf(c->running_version, sizeof(c->running_version), "%s", version);
    c->running_state = 2; /* VALID */
    c->abilities = SF_ABILITY_ROLLBACK_KNOWN | SF_ABILITY_ROLLBACK | SF_ABILITY_RUNS_BOOT_SLOT;
    c->chip_id = SF_CHIP_ESP32C3;
    c->chip_revision = 3;
    (void)snprintf(c->hw_revision, sizeof(c->hw_revision), "A");
    memcpy(c->class_uuid, k->class_uuid, SF_UUID_SIZE);
}

long kit_enrol(const struct kit *k, const struct kit_device *dev, const char *token)
{
    struct sf_enrol e = {0};
    (void)snprintf(e.id, sizeof(e.id), "%s", dev->id);
    (void)snprintf(e.token, sizeof(e.token), "%s", token);
    assert_int_equal(sf_sha256(crypto_openssl(), dev->secret, strlen(dev->secret), e.secret_digest),
                     SF_OK);
    memcpy(e.class_uuid, dev->report.class_uuid, SF_UUID_SIZE);
    uint8_t body[SF_ENROL_REQUEST_MAX];
    int32_t len = sf_enrol_encode(&e, body, sizeof(body));
    assert_true(len > 0);
    struct reply r;
    call(&k->daemon,
         &(struct call){.path = "/device/v1/enrol",
                        .content_type = "application/cbor",
                        .body = body,
                        .body_len = (size_t)len},
         &r);
    reply_release(&r);
    return r.curl == 0 ? r.status : -r.curl;
}

/* Keeps the answer and checks what binds it to this check-in. */
static void open_answer(const struct kit *k, struct kit_device *dev, const struct reply *r)
{
    assert_true(r->len <= sizeof(dev->answer));
    memcpy(dev->answer, r->body, r->len);
    struct sf_diag diag;
    assert_int_equal(
        sf_checkin_answer_decode((struct sf_bytes){dev->answer, r->len}, &dev->parts, &diag),
        SF_OK);
    assert_int_equal(
        sf_status_open(dev->parts.status, &k->status_key, crypto_openssl(), &dev->status, &diag),
        SF_OK);
    uint8_t id_digest[SF_SHA256_SIZE];
    assert_int_equal(sf_sha256(crypto_openssl(), dev->id, strlen(dev->id), id_digest), SF_OK);
    assert_memory_equal(dev->status.nonce, dev->report.nonce, SF_NONCE_SIZE);
    assert_memory_equal(dev->status.device_digest, id_digest, SF_SHA256_SIZE);
    assert_memory_equal(dev->status.class_uuid, dev->report.class_uuid, SF_UUID_SIZE);
    assert_true(dev->status.root_version == 0 || dev->report.root_version != 0);
    assert_true(dev->status.expires > dev->status.time);
}

long kit_checkin(const struct kit *k, struct kit_device *dev)
{
    const struct sf_crypto *crypto = crypto_openssl();
    assert_int_equal(crypto->random(crypto->ctx, dev->report.nonce, SF_NONCE_SIZE), SF_OK);
    uint8_t body[SF_CHECKIN_REQUEST_MAX];
    int32_t len = sf_checkin_encode(&dev->report, body, sizeof(body));
    assert_true(len > 0);
    char bearer[SF_DEVICE_ID_MAX + SF_SECRET_HEX_SIZE + 2];
    (void)snprintf(bearer, sizeof(bearer), "%s.%s", dev->id, dev->secret);
    struct reply r;
    call(&k->daemon,
         &(struct call){.path = "/device/v1/checkin",
                        .bearer = bearer,
                        .content_type = "application/cbor",
                        .body = body,
                        .body_len = (size_t)len},
         &r);
    long status = r.curl == 0 ? r.status : -r.curl;
    if (status == 200) {
        open_answer(k, dev, &r);
        dev->report.last_counter = dev->status.counter;
    }
    reply_release(&r);
    dev->reply = r;
    return status;
}
