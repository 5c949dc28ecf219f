/* Firmware with a trust root: whose statuses and manifests count, and the walk to a newer root.
 *
 * 1. A root is stored only once the threshold of the stored one's keys, and its own, have signed
 *    it. Only then anything is judged by it.
 * 2. Each step of a walk is stored before the next begins, so a reset resumes it. The floor follows
 *    the root: what its new epochs reset is reset before anything is judged by them.
 * 3. A root that cannot be read, or is older than the firmware's, is the firmware's again.
 * 4. Nothing of a walk stops check-ins: each question for a root that is not answered well is
 *    followed by a check-in, and whatever ends in no answer is followed by a wait. */
#include <string.h>

#include "device/steps.h"
#include "formats/bytes.h"
#include "formats/crc32.h"

enum {
    RECORD_VERSION = 1,
    RECORD_HEADER = 4,
    STEPS_MAX = 32,         /* roots in a row; a malicious server must not keep a device walking */
    TO_THE_LAST = INT32_MAX /* nobody told how far */
};

_Static_assert((int)SF_ROOT_RECORD_MAX == (int)SF_ROOT_PAYLOAD_MAX + (int)SF_RECORD_OVERHEAD,
               "the payload fits");
_Static_assert((int)SF_ROOT_MAX <= (int)SF_CHECKIN_ANSWER_MAX, "a root is received like an answer");

/* ---- the record: version u16, length u16, payload, crc u32 ---- */

static int load_stored(const struct sf_core *c, struct sf_root *out)
{
    const struct sf_store *store = c->config->store;
    uint8_t *data = sf_scratch(c)->answer.root;
    int32_t len = SF_ERR_IO;
    for (unsigned i = 0; i < 2 && len < 0 && len != SF_ERR_NOTFOUND; i++) {
        len = store->get(store->ctx, SF_RECORD_ROOT, data, SF_ROOT_RECORD_MAX);
    }
    if (len < 0) {
        return (int)len;
    }
    struct sf_reader r;
    sf_reader_init(&r, data, (size_t)len);
    sf_read_skip(&r, 2);
    const uint16_t payload_len = sf_read_u16le(&r);
    sf_read_skip(&r, payload_len);
    const uint32_t crc = sf_read_u32le(&r);
    if (sf_reader_end(&r) != SF_OK ||
        crc != sf_crc32(0, data, RECORD_HEADER + (size_t)payload_len)) {
        return SF_ERR_CORRUPT;
    }
    const struct sf_bytes payload = {data + RECORD_HEADER, payload_len};
    return sf_root_decode(payload, c->config->crypto, out, NULL);
}

/* Overwrites the trusted root in the sector buffer: `payload` lies before it. */
static int store_payload(const struct sf_core *c, struct sf_bytes payload)
{
    const struct sf_store *store = c->config->store;
    uint8_t *data = sf_scratch(c)->answer.root;
    struct sf_writer w;
    sf_writer_init(&w, data, SF_ROOT_RECORD_MAX);
    sf_write_u16le(&w, RECORD_VERSION);
    sf_write_u16le(&w, (uint16_t)payload.len);
    sf_write_bytes(&w, payload.data, payload.len);
    sf_write_u32le(&w, sf_crc32(0, data, w.pos));
    const int32_t len = sf_writer_end(&w);
    if (len < 0) {
        return (int)len;
    }
    int err = SF_ERR_STORE;
    for (unsigned i = 0; i < 2 && err != SF_OK; i++) {
        err = store->set(store->ctx, SF_RECORD_ROOT, data, (size_t)len);
    }
    return err == SF_OK ? SF_OK : SF_ERR_STORE;
}

static int load_firmware(const struct sf_core *c, struct sf_root *out)
{
    const struct sf_trust_root *root = c->config->root;
    struct sf_cose_sign sign;
    const int err = sf_root_peek((struct sf_bytes){root->file, root->len}, &sign, NULL);
    return err == SF_OK ? sf_root_decode(sign.payload, c->config->crypto, out, NULL) : err;
}

static void note_root(struct sf_core *c, const struct sf_root *root)
{
    c->root_version = root->version;
    c->root_issued_at = root->issued_at;
    c->root_expires = root->expires;
}

/* The trusted root: views into the sector buffer's end, or into the firmware. */
static int load_root(struct sf_core *c, struct sf_root *out)
{
    int err = load_firmware(c, out);
    if (err != SF_OK) {
        return err;
    }
    const uint32_t version = out->version;
    uint8_t fleet_id[SF_FLEET_ID_SIZE];
    memcpy(fleet_id, out->fleet_id, sizeof(fleet_id));
    if (load_stored(c, out) != SF_OK || out->version < version ||
        memcmp(out->fleet_id, fleet_id, sizeof(fleet_id)) != 0) {
        err = load_firmware(c, out);
    }
    note_root(c, out);
    return err;
}

/* A new epoch of the release role begins its sequence numbers anew; one of the status role, what
 * statuses have said: whoever had the old key may have used up either. */
static int follow_epochs(struct sf_core *c, const struct sf_root *root)
{
    const struct sf_record_floor before = c->floor;
    struct sf_record_floor *floor = &c->floor;
    if (root->role[SF_ROLE_RELEASE].epoch > floor->epoch) {
        floor->epoch = root->role[SF_ROLE_RELEASE].epoch;
        floor->seq = 0;
        memset(floor->manifest_digest, 0, sizeof(floor->manifest_digest));
    }
    if (root->role[SF_ROLE_STATUS].epoch > floor->status_epoch) {
        floor->status_epoch = root->role[SF_ROLE_STATUS].epoch;
        floor->counter = 0;
        floor->time = c->config->build_time;
    }
    if (floor->epoch == before.epoch && floor->status_epoch == before.status_epoch) {
        return SF_OK;
    }
    const int err = sf_memory_save(c, SF_RECORD_FLOOR);
    if (err != SF_OK) {
        c->floor = before;
    }
    return err;
}

/* ---- statuses and manifests ---- */

static int verify_status(struct sf_core *c, const struct sf_root *root)
{
    union sf_scratch *s = sf_scratch(c);
    struct sf_public_key key;
    int err = SF_ERR_KEY_UNKNOWN;
    for (unsigned i = 0;
         err == SF_ERR_KEY_UNKNOWN && sf_root_key(root, SF_ROLE_STATUS, i, &key) == SF_OK; i++) {
        err = sf_status_open(s->answer.parts.status, &key, c->config->crypto, &s->answer.status,
                             NULL);
    }
    return err;
}

static void walk_to(struct sf_core *c, uint32_t version)
{
    if (c->walk_steps < STEPS_MAX) {
        c->walk_to = version;
    } else {
        c->walk_steps = 0; /* enough for this time: after a wait */
    }
}

static int open_status(struct sf_core *c)
{
    const struct sf_status *status = &sf_scratch(c)->answer.status;
    struct sf_root root;
    int err = load_root(c, &root);
    if (err != SF_OK) {
        return err;
    }
    err = verify_status(c, &root);
    if (err == SF_ERR_KEY_UNKNOWN) { /* of a root that we do not have yet, perhaps */
        walk_to(c, TO_THE_LAST);
    } else if (err == SF_OK && status->root_version > root.version) {
        walk_to(c, status->root_version);
        err = SF_ERR_ROOT_VERSION;
    }
    if (err == SF_OK) {
        err = follow_epochs(c, &root);
    }
    if (err == SF_OK && status->has_target &&
        status->target.epoch != root.role[SF_ROLE_RELEASE].epoch) {
        err = SF_ERR_UNSUPPORTED;
    }
    return err;
}

/* As many release keys as the threshold asks for. A frame of its own, for the keys. */
__attribute__((noinline)) static int verify_envelope(struct sf_core *c, const struct sf_root *root,
                                                     struct sf_bytes envelope)
{
    const struct sf_root_role *role = &root->role[SF_ROLE_RELEASE];
    struct sf_public_key key[SF_ROOT_ROLE_KEY_MAX];
    int err = SF_OK;
    for (unsigned i = 0; i < role->count && err == SF_OK; i++) {
        err = sf_root_key(root, SF_ROLE_RELEASE, i, &key[i]);
    }
    if (err != SF_OK) {
        return err;
    }
    const struct sf_verifier by = {.key = key,
                                   .crypto = c->config->crypto,
                                   .key_count = role->count,
                                   .threshold = role->threshold};
    return sf_manifest_open_by(envelope, &by, &sf_scratch(c)->answer.manifest, NULL);
}

/* Nothing that was revoked, and offline only where the root allows it. */
static int open_manifest(struct sf_core *c, struct sf_bytes envelope)
{
    const struct sf_manifest *m = &sf_scratch(c)->answer.manifest;
    struct sf_root root;
    int err = load_root(c, &root);
    if (err == SF_OK) {
        err = verify_envelope(c, &root, envelope);
    }
    if (err == SF_OK) {
        err = follow_epochs(c, &root);
    }
    if (err == SF_OK && c->config->source != NULL && (root.policy & SF_ROOT_ALLOW_OFFLINE) == 0) {
        err = SF_ERR_POLICY;
    }
    if (err == SF_OK &&
        (sf_root_revokes(&root, m->digest) || m->seq < sf_root_minimum_seq(&root, m->class_uuid))) {
        err = SF_ERR_REVOKED;
    }
    return err;
}

/* ---- the walk ---- */

/* "/device/v1/root/<n>", at the sector buffer's end: nothing is loaded there before the answer is
 * judged. */
static const char *make_path(const struct sf_core *c, uint32_t version)
{
    static const char folder[] = "/device/v1/root/";
    char digits[10];
    unsigned n = 0;
    do {
        digits[n++] = (char)('0' + version % 10);
        version /= 10;
    } while (version > 0);
    char *path = (char *)sf_scratch(c)->answer.root;
    char *at = path + sizeof(folder) - 1;
    memcpy(path, folder, sizeof(folder) - 1);
    while (n > 0) {
        *at++ = digits[--n];
    }
    *at = '\0';
    return path;
}

static int ask(struct sf_core *c)
{
    struct sf_root root;
    if (c->root_version == 0) { /* the first in this boot: a check-in tells which root we have */
        (void)sf_core_note(c, load_root(c, &root));
    }
    if (c->walk_to == 0) {
        return 0;
    }
    const uint32_t to = c->walk_to;
    c->walk_to = 0; /* whatever becomes of this, a check-in is next unless it went well */
    sf_exchange_begin(c, make_path(c, c->root_version + 1), sf_pace_request_ms(c));
    c->exchange.root_to = to;
    return 1;
}

static int head(struct sf_core *c, const struct sf_response_head *head)
{
    if (head->status == 404) { /* ours is the last */
        c->exchange.http_status = 404;
        c->exchange.left = 0;
        return SF_OK;
    }
    const int err = sf_exchange_http_error(head);
    if (err != SF_OK) {
        return err;
    }
    if (head->status != 200) {
        return SF_ERR_HTTP_STATUS;
    }
    return head->content_len > SF_ROOT_MAX ? SF_ERR_TOO_LARGE : SF_OK;
}

static int take_step(struct sf_core *c)
{
    union sf_scratch *s = sf_scratch(c);
    const struct sf_bytes in = {s->walk.body, c->exchange.received};
    int err = load_root(c, &s->walk.trusted);
    if (err == SF_OK) {
        err = sf_root_open_next(in, &s->walk.trusted, c->config->crypto, &s->walk.next, NULL);
    }
    if (err == SF_OK) {
        err = store_payload(c, s->walk.next.payload);
    }
    if (err == SF_OK) {
        note_root(c, &s->walk.next);
    }
    return err;
}

static int open_root(struct sf_core *c)
{
    if (c->exchange.http_status == 404) {
        const int had_more = c->walk_steps > 0;
        c->walk_steps = 0;
        return had_more ? SF_OK : SF_ERR_KEY_UNKNOWN;
    }
    const int err = take_step(c);
    if (err != SF_OK) {
        return err;
    }
    sf_count(&c->walk_steps);
    if (c->exchange.root_to > c->root_version) {
        walk_to(c, c->exchange.root_to);
        return c->walk_to != 0 ? SF_OK : SF_ERR_BUSY;
    }
    return SF_OK;
}

const struct sf_trust sf_walk_roots = {
    .ask = ask,
    .head = head,
    .open_root = open_root,
    .open_status = open_status,
    .open_manifest = open_manifest,
};
