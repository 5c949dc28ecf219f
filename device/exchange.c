/* Enrolment and check-in: requests built in the sector buffer, answers read into it.
 *
 * 1. The secret is stored before the server hears of it, so a lost answer can be repeated.
 * 2. A request's body is not touched before its answer begins. */
#include <string.h>

#include "device/steps.h"
#include "formats/bytes.h"

static const char checkin_path[] = "/device/v1/checkin";
static const char enrol_path[] = "/device/v1/enrol";

void sf_exchange_begin(struct sf_core *c, const char *path, uint32_t timeout_ms)
{
    c->exchange = (struct sf_exchange){
        .path = path,
        .deadline_ms = c->now_ms + timeout_ms,
        .stall_at_ms = c->now_ms + sf_pace_stall_ms(c),
        .left = -1,
    };
}

static void hex(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
}

static void make_authorization(struct sf_core *c, const uint8_t secret[SF_SECRET_SIZE])
{
    static const char scheme[] = "Bearer ";
    char *at = c->authorization;
    const size_t id_len = strlen(c->config->device_id);

    memcpy(at, scheme, sizeof(scheme) - 1);
    at += sizeof(scheme) - 1;
    memcpy(at, c->config->device_id, id_len);
    at += id_len;
    *at++ = '.';
    hex(secret, SF_SECRET_SIZE, at);
    at[SF_SECRET_HEX_SIZE] = '\0';
}

/* Loads the credential, or makes and stores one where an enrolment can make it known. */
int sf_exchange_identity(struct sf_core *c)
{
    const struct sf_config *config = c->config;
    struct sf_record_cred cred;

    if (config->source != NULL) { /* nobody to show a credential to */
        c->enrolled = 1;
        return SF_OK;
    }
    if (!sf_device_id_valid(config->device_id)) {
        return SF_ERR_RANGE;
    }
    int err = sf_record_load(config->store, SF_RECORD_CRED, &cred);
    if (err == SF_ERR_STORE) {
        return err;
    }
    if (err != SF_OK) {
        if (config->enrol_token == NULL) {
            return SF_ERR_UNAUTHORIZED;
        }
        cred.known = 0;
        err = config->crypto->random(config->crypto->ctx, cred.secret, sizeof(cred.secret));
        if (err == SF_OK) {
            err = sf_record_save(config->store, SF_RECORD_CRED, &cred);
        }
        if (err != SF_OK) {
            return err;
        }
    }
    make_authorization(c, cred.secret);
    c->enrolled = cred.known || config->enrol_token == NULL;
    return SF_OK;
}

static size_t text_len(const char *text, size_t max)
{
    size_t len = 0;
    while (text != NULL && len < max && text[len] != '\0') {
        len++;
    }
    return len;
}

static void text_copy(char *out, const char *text, size_t max)
{
    const size_t len = text_len(text, max);
    if (len > 0) { /* the configuration may leave a text out */
        memcpy(out, text, len);
    }
    out[len] = '\0';
}

int sf_exchange_build_enrol(struct sf_core *c)
{
    if (c->authorization[0] == '\0') {
        const int err = sf_exchange_identity(c);
        if (err != SF_OK) {
            sf_exchange_begin(c, enrol_path, 0);
            return err;
        }
    }
    sf_exchange_begin(c, enrol_path, sf_pace_request_ms(c));
    if (c->config->enrol_token == NULL) { /* provisioned in the meantime: nothing to enrol */
        return SF_ERR_UNAUTHORIZED;
    }
    struct sf_enrol enrol;
    memset(&enrol, 0, sizeof(enrol));
    text_copy(enrol.id, c->config->device_id, SF_DEVICE_ID_MAX);
    text_copy(enrol.token, c->config->enrol_token, SF_ENROL_TOKEN_MAX);
    memcpy(enrol.class_uuid, c->config->class_uuid, SF_UUID_SIZE);
    const size_t secret_at = strlen(c->authorization) - SF_SECRET_HEX_SIZE;
    const int err = sf_sha256(c->config->crypto, c->authorization + secret_at, SF_SECRET_HEX_SIZE,
                              enrol.secret_digest);
    if (err != SF_OK) {
        return err;
    }
    union sf_scratch *s = sf_scratch(c);
    const int32_t len = sf_enrol_encode(&enrol, s->ask.body, sizeof(s->ask.body));
    if (len < 0) {
        return (int)len;
    }
    c->exchange.body = s->ask.body;
    c->exchange.body_len = (uint16_t)len;
    return SF_OK;
}

int sf_exchange_enrolled(struct sf_core *c)
{
    struct sf_record_cred cred;
    c->enrolled = 1;
    /* If this fails the device enrols again after its next reset, which changes nothing. */
    if (sf_record_load(c->config->store, SF_RECORD_CRED, &cred) == SF_OK && !cred.known) {
        cred.known = 1;
        (void)sf_core_note(c, sf_record_save(c->config->store, SF_RECORD_CRED, &cred));
    }
    return sf_pace_contact_now(c);
}

/* Whether the bootloader may boot what was confirmed there: with anti-rollback it boots nothing
 * below the eFuse. What cannot be read is no way back either. */
static int is_way_back(const struct sf_core *c, uint32_t address)
{
    const struct sf_flash *f = c->config->flash;
    uint8_t bytes[4];
    struct sf_reader r;
    sf_reader_init(&r, bytes, sizeof(bytes));
    return f->read(f->ctx, address + SF_IMAGE_SECURE_VERSION_OFFSET, bytes, sizeof(bytes)) ==
               SF_OK &&
           sf_read_u32le(&r) >= sf_trust_efuse(c);
}

static void fill_other_slot(const struct sf_core *c, int slot, struct sf_other_slot *out)
{
    const struct sf_good_image *good = sf_install_good(c, slot);
    const struct sf_slot_map *map = sf_install_map(c->config, slot);
    uint8_t magic = 0;

    out->slot = sf_wire_slot(slot);
    out->content = SF_SLOT_EMPTY;
    if (good != NULL) {
        out->content = SF_SLOT_COMPLETE;
        out->confirmed_here = (uint8_t)is_way_back(c, map->offset);
        out->has_digest = 1;
        sf_digest_copy(out->digest, good->digest);
    } else if (c->held.slot == out->slot && c->held.bytes > 0) {
        out->content = c->held.complete ? SF_SLOT_COMPLETE : SF_SLOT_PARTIAL;
        out->has_digest = 1;
        sf_digest_copy(out->digest, c->held.digest);
    } else if (c->config->flash->read(c->config->flash->ctx, map->offset, &magic, 1) == SF_OK &&
               magic == SF_IMAGE_MAGIC) {
        out->content = SF_SLOT_PARTIAL; /* something begins there: what, nobody recorded */
    }
}

static void fill_slots(const struct sf_core *c, struct sf_checkin *checkin)
{
    for (int slot = SF_BOOT_FACTORY; slot < (int)c->config->slot_count; slot++) {
        if (slot != c->config->running_slot && sf_install_map(c->config, slot) != NULL &&
            checkin->other_count < SF_OTHER_SLOT_MAX) {
            fill_other_slot(c, slot, &checkin->other[checkin->other_count++]);
        }
    }
}

static uint32_t abilities(const struct sf_core *c)
{
    uint32_t bits = c->config->abilities;
    if (c->boot.rollback != SF_ROLLBACK_UNKNOWN) {
        bits |= SF_ABILITY_ROLLBACK_KNOWN;
    }
    if (c->boot.rollback == SF_ROLLBACK_YES) {
        bits |= SF_ABILITY_ROLLBACK;
    }
    if (c->runs_boot_slot) {
        bits |= SF_ABILITY_RUNS_BOOT_SLOT;
    }
    return bits | (c->config->factory.size != 0 ? SF_ABILITY_FACTORY : 0);
}

/* By a 32-bit division: the one in 64 bits costs a chip without it 2 KiB. Stops after a year. */
static uint32_t seconds(uint64_t ms)
{
    const uint64_t eighths = ms >> 3;
    return (eighths < UINT32_MAX ? (uint32_t)eighths : UINT32_MAX) / 125;
}

static void fill_checkin(struct sf_core *c, struct sf_checkin *k)
{
    const struct sf_config *config = c->config;

    memset(k, 0, sizeof(*k));
    k->protocol_version = SF_PROTOCOL_VERSION;
    memcpy(k->nonce, c->nonce, SF_NONCE_SIZE);
    k->boot_count = c->boot.count;
    memcpy(k->boot_id, c->boot_id, SF_BOOT_ID_SIZE);
    k->reset_reason = (uint8_t)config->platform->reset_reason(config->platform->ctx);
    k->uptime_s = seconds(c->now_ms - c->start_ms);
    sf_digest_copy(k->running_digest, c->running_digest);
    k->running_length = c->running_length;
    text_copy(k->running_version, config->version, SF_VERSION_TEXT_MAX);
    k->running_slot = sf_wire_slot(config->running_slot);
    k->running_state = c->running_state;
    fill_slots(c, k);
    k->abilities = abilities(c);
    k->chip_id = config->chip_id;
    k->chip_revision = config->chip_revision;
    text_copy(k->hw_revision, config->hw_revision, SF_HW_REVISION_MAX);
    memcpy(k->class_uuid, config->class_uuid, SF_UUID_SIZE);
    k->seq = c->floor.seq;
    k->epoch = c->floor.epoch;
    k->root_version = c->root_version;
    k->efuse_secure_version = sf_trust_efuse(c);
    k->last_counter = c->floor.counter;
    k->longest_sleep_s = config->longest_sleep_s;
}

static void fill_progress(struct sf_core *c, struct sf_checkin *k)
{
    k->phase = (uint8_t)sf_core_phase(c);
    if (c->deploy.active) {
        k->phase_counter = c->deploy.counter;
        k->phase_bytes = c->held.bytes;
    } else if (c->trial.open) {
        k->phase_counter = c->trial.counter;
    } else if (k->phase == SF_PHASE_CONFIRMED) {
        k->phase_counter = c->out.outcome.counter;
    }
    c->outcome_sent = c->out.outcome.counter != 0 && !c->out.acknowledged;
    if (c->outcome_sent) {
        k->outcome = c->out.outcome;
    }
}

static int build_checkin(struct sf_core *c)
{
    union sf_scratch *s = sf_scratch(c);

    sf_exchange_begin(c, checkin_path, sf_pace_request_ms(c));
    const int err = c->config->crypto->random(c->config->crypto->ctx, c->nonce, sizeof(c->nonce));
    if (err != SF_OK) {
        return err;
    }
    fill_checkin(c, &s->ask.checkin);
    fill_progress(c, &s->ask.checkin);
    const int32_t len = sf_checkin_encode(&s->ask.checkin, s->ask.body, sizeof(s->ask.body));
    if (len < 0) {
        return (int)len;
    }
    c->exchange.authorization = c->authorization;
    c->exchange.body = s->ask.body;
    c->exchange.body_len = (uint16_t)len;
    return SF_OK;
}

int sf_exchange_ask(struct sf_core *c)
{
    if (c->config->root != NULL && c->config->root->walk->ask(c)) {
        return SF_OK;
    }
    return c->config->source == NULL ? build_checkin(c) : c->config->source->ask(c);
}

int sf_exchange_http_error(const struct sf_response_head *head)
{
    const int status = head->status;
    if (status == 200 || status == 201 || status == 204 || status == 206) {
        return SF_OK;
    }
    if (status == 304) {
        return SF_ERR_HTTP_STATUS; /* nothing was asked conditionally but with If-Range */
    }
    if (status >= 300 && status < 400) {
        return SF_ERR_REDIRECT;
    }
    switch (status) {
    case 401:
    case 403:
        return SF_ERR_UNAUTHORIZED;
    case 404:
    case 410:
        return SF_ERR_HTTP_NOT_FOUND;
    case 416:
        return SF_ERR_HTTP_RANGE;
    case 429:
    case 503:
        return SF_ERR_THROTTLED;
    default:
        return status >= 500 && status < 600 ? SF_ERR_SERVER : SF_ERR_HTTP_STATUS;
    }
}

int sf_exchange_head(struct sf_core *c, const struct sf_response_head *head)
{
    const int is_enrol = c->state == SF_STATE_ENROL;
    if (c->exchange.root_to != 0) {
        return c->config->root->walk->head(c, head);
    }
    if (c->config->source != NULL) {
        return c->config->source->head(c, head);
    }
    if (is_enrol && head->status == 202) {
        return SF_ERR_QUARANTINED;
    }
    const int err = sf_exchange_http_error(head);
    if (err != SF_OK) {
        return err;
    }
    if (!is_enrol && head->status != 200) {
        return SF_ERR_HTTP_STATUS;
    }
    return head->content_len > SF_CHECKIN_ANSWER_MAX ? SF_ERR_TOO_LARGE : SF_OK;
}

int32_t sf_exchange_body(struct sf_core *c, const uint8_t *data, size_t len)
{
    union sf_scratch *s = sf_scratch(c);
    const size_t max =
        c->config->source == NULL ? sizeof(s->answer.body) : c->config->source->body_max;
    if (len > max - c->exchange.received) {
        return SF_ERR_TOO_LARGE;
    }
    memcpy(s->answer.body + c->exchange.received, data, len);
    c->exchange.received = (uint16_t)(c->exchange.received + len);
    return (int32_t)len;
}

/* What the end of an enrolment or check-in means, besides the event. */
int sf_exchange_end(struct sf_core *c, int err)
{
    if (err != SF_ERR_UNAUTHORIZED || c->state == SF_STATE_ENROL) {
        return err;
    }
    /* The server does not know us (any more): say who we are again, where a token allows it. */
    if (c->config->enrol_token != NULL && c->config->source == NULL && !c->deploy.active &&
        !c->trial.open) {
        c->enrolled = 0;
    }
    return err;
}
