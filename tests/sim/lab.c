#include "tests/sim/lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "ports/host/crypto_psa.h"
#include "sim/flash_image.h"

/* An update server in the test's process. */

enum {
    UNIX_AT_START = 1800000000,
    PIECE = 1000, /* bytes of a body at a time: no divisor of a sector */
    STEP_MAX = 200000,
};

static const uint8_t class_uuid[SF_UUID_SIZE] = {0x5a, 0x11};

void lab_seal(struct lab_server *server, struct lab_release *out)
{
    struct sf_signer signer = p256_signer_as_sf(&server->release_signer);
    assert_int_equal(sf_sha256(crypto_openssl(), out->image, out->image_len, out->digest), SF_OK);
    struct sf_manifest *m = &out->manifest;
    memcpy(m->image_digest, out->digest, SF_SHA256_SIZE);
    m->image_size = (uint32_t)out->image_len;
    int used = snprintf(m->uri, sizeof(m->uri), "/artifacts/");
    for (unsigned i = 0; i < SF_SHA256_SIZE; i++) {
        used += snprintf(m->uri + used, sizeof(m->uri) - (size_t)used, "%02x", out->digest[i]);
    }
    int32_t len = sf_manifest_sign(m, &signer, crypto_openssl(), out->envelope, SF_ENVELOPE_MAX);
    assert_true(len > 0);
    out->envelope_len = (size_t)len;
}

void lab_release(struct lab_server *server, struct lab_release *out, const char *version,
                 const struct sf_behaviour *behaviour, uint64_t seq)
{
    struct esp_image_spec spec = {.version = version,
                                  .class_uuid = class_uuid,
                                  .size = 20480,
                                  .seed = (uint32_t)seq,
                                  .behaviour = behaviour};
    *out = (struct lab_release){.manifest = {.seq = seq}};
    out->image_len = esp_image_build(&spec, out->image, sizeof(out->image));
    memcpy(out->manifest.class_uuid, class_uuid, SF_UUID_SIZE);
    assert_int_equal(sf_manifest_version_parse(version, &out->manifest), SF_OK);
    lab_seal(server, out);
}

void lab_server_open(struct lab_server *server)
{
    *server = (struct lab_server){.counter = 1};
    assert_int_equal(p256_key_generate(&server->release_key), SF_OK);
    assert_int_equal(p256_key_generate(&server->status_key), SF_OK);
    assert_int_equal(p256_signer_init(&server->release_signer, &server->release_key), SF_OK);
    assert_int_equal(p256_signer_init(&server->status_signer, &server->status_key), SF_OK);
}

void lab_server_close(struct lab_server *server)
{
    p256_signer_release(&server->release_signer);
    p256_signer_release(&server->status_signer);
    p256_key_release(&server->release_key);
    p256_key_release(&server->status_key);
}

void lab_open(struct lab *lab, const struct lab_release *first)
{
    uint8_t *flash = malloc(FLASH_IMAGE_SIZE);
    assert_non_null(flash);
    assert_int_equal(crypto_psa_init(&lab->crypto), SF_OK);
    assert_int_equal(flash_image_build(first->image, first->image_len, flash, NULL), SF_OK);
    assert_int_equal(sf_host_flash_open_memory(&lab->flash, FLASH_IMAGE_SIZE, -1), SF_OK);
    memcpy(lab->flash.cells, flash, FLASH_IMAGE_SIZE);
    free(flash);
    struct vesp32_options options = lab_options(lab);
    vesp32_init(&lab->esp, &lab->flash, &options);
}

void lab_close(struct lab *lab)
{
    sf_host_flash_release(&lab->flash);
    lab_server_close(&lab->server);
}

struct vesp32_options lab_options(struct lab *lab)
{
    struct vesp32_options options = {.firmware = {.device_id = "020000000001",
                                                  .hw_revision = "A",
                                                  .enrol_token = "token",
                                                  .chip_id = SF_CHIP_ESP32C3,
                                                  .chip_revision = 3},
                                     .crypto = &lab->crypto,
                                     .work = &lab->work,
                                     .rollback = 1};
    memcpy(options.firmware.release_key, lab->server.release_key.public_key.xy, SF_P256_KEY_SIZE);
    memcpy(options.firmware.status_key, lab->server.status_key.public_key.xy, SF_P256_KEY_SIZE);
    return options;
}

/* ---- the server ---- */

static void note_outcome(struct lab_server *server, const struct sf_outcome *outcome)
{
    if (outcome->counter == 0) {
        return;
    }
    server->outcomes +=
        outcome->counter != server->outcome.counter || outcome->attempt != server->outcome.attempt;
    server->outcome = *outcome;
}

/* The id in `Bearer <id>.<secret>`. */
static void digest_device(const char *authorization, uint8_t out[SF_SHA256_SIZE])
{
    assert_non_null(authorization);
    assert_memory_equal(authorization, "Bearer ", 7);
    const char *id = authorization + 7;
    assert_int_equal(sf_sha256(crypto_openssl(), id, strcspn(id, "."), out), SF_OK);
}

static void fill_status(const struct lab_server *server, const struct sf_checkin *in, int64_t now,
                        struct sf_status *s)
{
    *s = (struct sf_status){.counter = server->counter,
                            .time = now,
                            .expires = now + 3600,
                            .action = SF_STATUS_STAY,
                            .next_checkin_s = 60,
                            .outcome_ack = in->outcome.counter};
    memcpy(s->nonce, in->nonce, SF_NONCE_SIZE);
    memcpy(s->class_uuid, in->class_uuid, SF_UUID_SIZE);
    const struct lab_release *r = server->target;
    if (!r) {
        return;
    }
    s->has_target = 1;
    memcpy(s->target.image_digest, r->digest, SF_SHA256_SIZE);
    memcpy(s->target.manifest_digest, r->manifest.digest, SF_SHA256_SIZE);
    s->target.manifest_size = (uint32_t)r->envelope_len;
    s->target.seq = r->manifest.seq;
    int runs = memcmp(r->digest, in->running_digest, SF_SHA256_SIZE) == 0;
    s->action = runs ? SF_STATUS_STAY : server->action;
}

static void answer_checkin(struct lab_server *server, const struct sf_request *request,
                           int64_t unix_s, struct lab_answer *out)
{
    struct sf_bytes body = {request->body, request->body_len};
    struct sf_signer signer = p256_signer_as_sf(&server->status_signer);
    struct sf_status status;
    uint8_t signed_status[SF_STATUS_MAX];
    assert_int_equal(sf_checkin_decode(body, &server->last, NULL), SF_OK);
    server->checkins++;
    note_outcome(server, &server->last.outcome);
    fill_status(server, &server->last, unix_s, &status);
    digest_device(request->authorization, status.device_digest);
    int32_t len = sf_status_sign(&status, &signer, crypto_openssl(), signed_status, SF_STATUS_MAX);
    assert_true(len > 0);
    struct sf_checkin_answer parts = {.status = {signed_status, (size_t)len}};
    if (status.action != SF_STATUS_STAY) {
        parts.manifest = (struct sf_bytes){server->target->envelope, server->target->envelope_len};
    }
    len = sf_checkin_answer_encode(&parts, out->bytes, sizeof(out->bytes));
    assert_true(len > 0);
    out->head.status = 200;
    out->body = out->bytes;
    out->body_len = (size_t)len;
}

static void answer_artifact(struct lab_server *server, const struct sf_request *request,
                            struct lab_answer *out)
{
    const struct lab_release *r = server->target;
    if (!r || strcmp(request->path, r->manifest.uri) != 0) {
        out->head.status = 404;
        return;
    }
    server->downloads++;
    server->ranges += request->range_offset > 0;
    assert_true(request->range_offset < r->image_len);
    snprintf(out->etag, sizeof(out->etag), "\"%s\"", r->manifest.uri + strlen("/artifacts/"));
    out->head.etag = out->etag;
    out->head.status = request->range_offset > 0 ? 206 : 200;
    if (request->range_offset > 0) {
        out->head.range_start = request->range_offset;
        out->head.range_total = (int64_t)r->image_len;
    }
    out->body = r->image + request->range_offset;
    out->body_len = r->image_len - request->range_offset;
}

void lab_server_answer(struct lab_server *server, const struct sf_request *request, int64_t unix_s,
                       struct lab_answer *out)
{
    *out = (struct lab_answer){.head = {.range_start = -1, .range_total = -1, .etag = ""}};
    if (strcmp(request->path, "/device/v1/checkin") == 0) {
        answer_checkin(server, request, unix_s, out);
    } else if (strcmp(request->path, "/device/v1/enrol") == 0) {
        server->enrolments++;
        out->head.status = 204;
    } else {
        answer_artifact(server, request, out);
    }
    out->head.content_len = (int64_t)out->body_len;
}

/* Hands one answer over, in pieces, 1 ms each. */
static void deliver(struct lab *lab, const struct lab_answer *a)
{
    int32_t err = vesp32_response_head(&lab->esp, &a->head, lab->now_ms);
    for (size_t at = 0; at < a->body_len && err >= 0;) {
        size_t len = a->body_len - at < PIECE ? a->body_len - at : PIECE;
        lab->now_ms++;
        err = vesp32_response_body(&lab->esp, a->body + at, len, lab->now_ms);
        at += err > 0 ? (size_t)err : 0;
    }
    vesp32_response_end(&lab->esp, err < 0 ? err : SF_OK, lab->now_ms);
}

static void serve(struct lab *lab, const struct sf_request *request)
{
    static struct lab_answer a; /* one test, one thread */
    lab->now_ms += 5;
    if (lab->server.is_down) {
        vesp32_response_end(&lab->esp, SF_ERR_CONNECT, lab->now_ms);
        return;
    }
    int64_t now = UNIX_AT_START + (int64_t)(lab->now_ms / 1000);
    lab_server_answer(&lab->server, request, now, &a);
    deliver(lab, &a);
}

int lab_run(struct lab *lab, uint64_t until_ms, int (*stop)(const struct lab *lab))
{
    for (unsigned step = 0; step < STEP_MAX && lab->now_ms < until_ms; step++) {
        struct vesp32_want want = vesp32_run(&lab->esp, lab->now_ms);
        if (stop && stop(lab)) {
            return 1;
        }
        if (want.kind == VESP32_REQUEST) {
            serve(lab, want.request);
        } else {
            lab->now_ms = want.until_ms < until_ms ? want.until_ms : until_ms;
        }
        if (lab->esp.power == VESP32_OFF) {
            return 0;
        }
    }
    assert_true(lab->now_ms >= until_ms);
    return 0;
}
