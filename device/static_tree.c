/* A source without a server: the signed manifest of this device's class, a file on any web host.
 *
 * 1. Nothing is asked for unless the trust settings allow it.
 * 2. An answer counts only if the release key signed it for this class. A 304 counts only in a boot
 *    in which that very manifest has verified, so every boot begins with a signature.
 * 3. What a status would say is derived from the manifest alone: install what is newer, else stay.
 *    No counter and no time of it is ever stored: those belong to the server. */
#include <string.h>

#include "device/steps.h"

static void uuid_text(const uint8_t uuid[SF_UUID_SIZE], char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < SF_UUID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *out++ = '-';
        }
        *out++ = digits[uuid[i] >> 4];
        *out++ = digits[uuid[i] & 15];
    }
}

static void make_path(struct sf_core *c)
{
    static const char folder[] = "/manifests/";
    static const char suffix[] = ".suit";
    enum { UUID_AT = sizeof(folder) - 1, SUFFIX_AT = UUID_AT + 36 };
    _Static_assert(SUFFIX_AT + sizeof(suffix) - 1 == SF_SOURCE_PATH_MAX, "the path just fits");

    memcpy(c->source_path, folder, UUID_AT);
    uuid_text(c->config->class_uuid, c->source_path + UUID_AT);
    memcpy(c->source_path + SUFFIX_AT, suffix, sizeof(suffix));
}

static int ask(struct sf_core *c)
{
    make_path(c);
    sf_exchange_begin(c, c->source_path, sf_pace_request_ms(c));
    if ((c->config->policy & SF_POLICY_ALLOW_OFFLINE) == 0) {
        return SF_ERR_POLICY;
    }
    /* In an update and in a trial the manifest itself is wanted, however little it has changed. */
    if (c->state == SF_STATE_CHECKIN && c->source_quiet && c->source_etag[0] != '\0') {
        c->exchange.if_none_match = c->source_etag;
    }
    return SF_OK;
}

/* Weak or strong, both do: it only says whether the manifest is still the one that verified. */
static void take_etag(struct sf_core *c, const char *etag)
{
    size_t len = 0;
    while (etag != NULL && len <= SF_ETAG_MAX && etag[len] != '\0') {
        len++;
    }
    const int is_one = len > 1 && len <= SF_ETAG_MAX && (etag[0] == '"' || etag[0] == 'W');
    if (is_one) {
        memcpy(c->source_etag, etag, len);
    }
    c->source_etag[is_one ? len : 0] = '\0';
}

static int head(struct sf_core *c, const struct sf_response_head *head)
{
    if (head->status == 304 && c->exchange.if_none_match != NULL) {
        c->exchange.http_status = 304;
        c->exchange.left = 0; /* its Content-Length is that of what it does not send */
        return SF_OK;
    }
    const int err = sf_exchange_http_error(head);
    if (err != SF_OK) {
        return err;
    }
    if (head->status != 200) {
        return SF_ERR_HTTP_STATUS;
    }
    c->source_quiet = 0;
    take_etag(c, head->etag);
    return head->content_len > SF_ENVELOPE_MAX ? SF_ERR_TOO_LARGE : SF_OK;
}

static void name_target(const struct sf_core *c, size_t envelope_len, struct sf_status *out)
{
    const struct sf_manifest *m = &sf_scratch(c)->answer.manifest;
    out->counter = SF_OFFLINE_COUNTER | m->seq;
    out->action = SF_STATUS_INSTALL;
    out->has_target = 1;
    out->target.manifest_size = (uint32_t)envelope_len;
    out->target.epoch = c->floor.epoch;
    out->target.seq = m->seq;
    sf_digest_copy(out->target.image_digest, m->image_digest);
    sf_digest_copy(out->target.manifest_digest, m->digest);
}

static int open_envelope(struct sf_core *c, struct sf_bytes envelope)
{
    const struct sf_manifest *m = &sf_scratch(c)->answer.manifest;
    const int err = sf_trust_envelope(c, envelope);
    if (err == SF_OK && memcmp(m->class_uuid, c->config->class_uuid, SF_UUID_SIZE) != 0) {
        return SF_ERR_CLASS;
    }
    return err;
}

/* An old manifest is no failure of the source: the host shows what it was given last. */
static int judge(struct sf_core *c, struct sf_status *status)
{
    const struct sf_manifest *m = &sf_scratch(c)->answer.manifest;
    const int order = sf_trust_seq(c, m);
    const int runs = sf_digest_equal(m->image_digest, c->running_digest);

    if (!runs && order == SF_OK) {
        c->source_quiet = (uint8_t)sf_outcome_refused(c, status->counter);
        return SF_OK;
    }
    status->action = SF_STATUS_STAY;
    c->source_quiet = 1;
    if (!runs) {
        c->last_error = order;
    } else if (order == SF_OK && m->seq > c->floor.seq && !c->floor_unknown) {
        /* However the image came here: nothing older is installed from now on. */
        return sf_commit_floor(c, &status->target);
    }
    return SF_OK;
}

/* Says what the manifest comes to, as a status: install, or stay. */
static int open_answer(struct sf_core *c)
{
    union sf_scratch *s = sf_scratch(c);
    struct sf_status *status = &s->answer.status;
    const struct sf_bytes envelope = {s->answer.body, c->exchange.received};

    memset(status, 0, sizeof(*status));
    status->expires = INT64_MAX; /* there is no clock to say otherwise */
    if (c->exchange.http_status == 304) {
        return SF_OK;
    }
    const int err = open_envelope(c, envelope);
    if (err != SF_OK) {
        return err; /* nothing of it is used */
    }
    s->answer.parts.manifest = envelope;
    name_target(c, envelope.len, status);
    return judge(c, status);
}

const struct sf_source sf_static_tree = {
    .ask = ask,
    .head = head,
    .open = open_answer,
    .body_max = SF_ENVELOPE_MAX,
};
