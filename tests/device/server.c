/* The server's half of the rig. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto_openssl.h"
#include "tests/device/server.h"

void rig_server_open(struct rig_server *s)
{
    assert_int_equal(p256_key_generate(&s->release_key), SF_OK);
    assert_int_equal(p256_key_generate(&s->status_key), SF_OK);
    assert_int_equal(p256_signer_init(&s->release_signer, &s->release_key), SF_OK);
    assert_int_equal(p256_signer_init(&s->status_signer, &s->status_key), SF_OK);
    s->time = 1800000000;
    s->next_checkin_s = 60;
    s->acknowledges = 1;
    s->enrol_status = 204;
    s->counter = 1;
}

void rig_server_close(struct rig_server *s)
{
    p256_signer_release(&s->release_signer);
    p256_signer_release(&s->status_signer);
    p256_key_release(&s->release_key);
    p256_key_release(&s->status_key);
}

void rig_sign(struct rig *r, struct rig_release *release)
{
    const struct sf_signer signer = p256_signer_as_sf(&r->server.release_signer);
    const int32_t len = sf_manifest_sign(&release->manifest, &signer, crypto_openssl(),
                                         release->envelope, sizeof(release->envelope));
    assert_true(len > 0);
    release->envelope_len = (size_t)len;
}

static void note_outcome(struct rig_server *s, const struct sf_outcome *o)
{
    const struct sf_outcome *last =
        s->outcome_count == 0 ? NULL : &s->outcome[s->outcome_count - 1];
    if (o->counter == 0 || (last != NULL && last->counter == o->counter &&
                            last->attempt == o->attempt && last->error == o->error)) {
        return;
    }
    assert_true(s->outcome_count < RIG_OUTCOMES);
    s->outcome[s->outcome_count++] = *o;
}

static void fill_status(struct rig *r, struct sf_status *status)
{
    struct rig_server *s = &r->server;
    *status = (struct sf_status){
        .counter = s->counter,
        .time = s->time,
        .expires = s->time + 600,
        .action = s->target == NULL ? (uint8_t)SF_STATUS_STAY : s->action,
        .root_version = s->root_version,
        .next_checkin_s = s->next_checkin_s,
        .max_secure_version = s->max_secure_version,
    };
    memcpy(status->nonce, s->last.nonce, SF_NONCE_SIZE);
    memcpy(status->class_uuid, s->last.class_uuid, SF_UUID_SIZE);
    assert_int_equal(sf_sha256(crypto_openssl(), r->config.device_id, strlen(r->config.device_id),
                               status->device_digest),
                     SF_OK);
    if (s->acknowledges) {
        status->outcome_ack = s->last.outcome.counter;
    }
    if (s->target != NULL) {
        status->has_target = 1;
        status->target.manifest_size = (uint32_t)s->target->envelope_len;
        status->target.epoch = s->epoch;
        status->target.seq = s->target->manifest.seq;
        memcpy(status->target.image_digest, s->target->digest, SF_SHA256_SIZE);
        memcpy(status->target.manifest_digest, s->target->manifest.digest, SF_SHA256_SIZE);
    }
    if (s->status_script != NULL) {
        s->status_script(r, status);
    }
}

static void answer_checkin(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    struct rig_server *s = &r->server;
    uint8_t signed_status[SF_STATUS_MAX];
    struct sf_status status;
    const struct sf_bytes body = {request->body, request->body_len};

    s->checkins++;
    assert_int_equal(sf_checkin_decode(body, &s->last, NULL), SF_OK);
    note_outcome(s, &s->last.outcome);
    fill_status(r, &status);
    const struct sf_signer signer = p256_signer_as_sf(&s->status_signer);
    const int32_t len =
        sf_status_sign(&status, &signer, crypto_openssl(), signed_status, sizeof(signed_status));
    assert_true(len > 0);
    struct sf_checkin_answer answer = {.status = {signed_status, (size_t)len}};
    if (s->target != NULL &&
        memcmp(s->target->digest, s->last.running_digest, SF_SHA256_SIZE) != 0) {
        answer.manifest = (struct sf_bytes){s->target->envelope, s->target->envelope_len};
    }
    const int32_t all = sf_checkin_answer_encode(&answer, reply->bytes, sizeof(reply->bytes));
    assert_true(all > 0);
    reply->body = reply->bytes;
    reply->body_len = (size_t)all;
    reply->head.content_len = all;
}

static void answer_enrol(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    struct sf_enrol enrol;
    const struct sf_bytes body = {request->body, request->body_len};

    r->server.enrolments++;
    assert_null(request->authorization);
    assert_int_equal(sf_enrol_decode(body, &enrol, NULL), SF_OK);
    assert_string_equal(enrol.id, r->config.device_id);
    memcpy(r->server.secret_digest, enrol.secret_digest, SF_SHA256_SIZE);
    reply->head.status = r->server.enrol_status;
    reply->head.content_len = 0;
}

static void answer_artifact(struct rig *r, const struct sf_request *request,
                            struct rig_reply *reply)
{
    const struct rig_release *all[] = {&r->v1, &r->v2, &r->v3};
    const struct rig_release *found = NULL;

    r->server.downloads++;
    r->server.ranges += request->range_offset > 0;
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(request->path, all[i]->manifest.uri) == 0) {
            found = all[i];
        }
    }
    if (found == NULL) {
        fail_msg("no such artifact: %s", request->path);
        return;
    }
    snprintf(reply->etag, sizeof(reply->etag), "\"%s\"", found->manifest.uri + 11);
    reply->body = found->image;
    reply->body_len = found->image_len;
    if (request->range_offset > 0 &&
        (request->etag == NULL || strcmp(request->etag, reply->etag) == 0)) {
        assert_true(request->range_offset < found->image_len);
        reply->body += request->range_offset;
        reply->body_len -= request->range_offset;
        reply->head.status = 206;
        reply->head.range_start = request->range_offset;
        reply->head.range_total = (int64_t)found->image_len;
    }
    reply->head.content_len = (int64_t)reply->body_len;
}

static void answer_root(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    const unsigned long version = strtoul(request->path + 16, NULL, 10);
    r->server.roots++;
    assert_null(request->authorization);
    assert_null(request->body);
    if (version >= RIG_ROOTS || r->server.root[version].len == 0) {
        reply->head.status = 404;
        return;
    }
    reply->body = r->server.root[version].file;
    reply->body_len = r->server.root[version].len;
    reply->head.content_len = (int64_t)reply->body_len;
}

/* A static host: the target's manifest at the path of this device's class. */
static void answer_manifest(struct rig *r, const struct sf_request *request,
                            struct rig_reply *reply)
{
    const struct rig_release *target = r->server.target;

    r->server.manifests++;
    assert_null(request->authorization);
    assert_int_equal(request->range_offset, 0);
    if (strcmp(request->path, "/manifests/5a110000-0000-0000-0000-000000000000.suit") != 0 ||
        target == NULL) {
        reply->head.status = 404;
        return;
    }
    const uint8_t *digest = target->manifest.digest;
    snprintf(reply->etag, sizeof(reply->etag), "W/\"%02x%02x%02x%02x\"", digest[0], digest[1],
             digest[2], digest[3]);
    reply->head.content_len = (int64_t)target->envelope_len;
    if (request->if_none_match != NULL && strcmp(request->if_none_match, reply->etag) == 0) {
        r->server.not_modified++;
        reply->head.status = 304;
        return;
    }
    reply->body = target->envelope;
    reply->body_len = target->envelope_len;
}

void rig_server_answer(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    memset(reply, 0, sizeof(*reply));
    reply->head = (struct sf_response_head){
        .status = 200, .content_len = -1, .range_start = -1, .range_total = -1};
    reply->chunk_len = 1460;
    r->server.last_authorization[0] = '\0';
    if (request->authorization != NULL) {
        snprintf(r->server.last_authorization, sizeof(r->server.last_authorization), "%s",
                 request->authorization);
    }
    if (r->server.is_down) {
        reply->refused = SF_ERR_CONNECT;
    } else if (strcmp(request->path, "/device/v1/checkin") == 0) {
        answer_checkin(r, request, reply);
    } else if (strcmp(request->path, "/device/v1/enrol") == 0) {
        answer_enrol(r, request, reply);
    } else if (strncmp(request->path, "/device/v1/root/", 16) == 0) {
        answer_root(r, request, reply);
    } else if (strncmp(request->path, "/manifests/", 11) == 0) {
        answer_manifest(r, request, reply);
    } else {
        answer_artifact(r, request, reply);
    }
    if (r->server.script != NULL) {
        r->server.script(r, request, reply);
    }
    reply->head.etag = reply->etag;
}
