/* The native protocol's messages: check-in request and answer, enrolment (docs/protocol.md). */
#include "formats/checkin.h"

#include <string.h>

enum {
    KEY_PROTOCOL = 1,
    KEY_NONCE = 2,
    KEY_BOOT = 3,
    KEY_RUNNING = 4,
    KEY_OTHER_SLOTS = 5,
    KEY_ABILITIES = 6,
    KEY_HARDWARE = 7,
    KEY_TRUST = 8,
    KEY_LAST_COUNTER = 9,
    KEY_PHASE = 10,
    KEY_OUTCOME = 11,
    KEY_ATTRIBUTES = 12,
    KEY_LONGEST_SLEEP = 13,
};

enum { ANSWER_STATUS = 1, ANSWER_MANIFEST = 2 };
enum { ENROL_ID = 1, ENROL_SECRET_DIGEST = 2, ENROL_CLASS = 3, ENROL_TOKEN = 4 };

#define BIT(key)         (UINT32_C(1) << (key))
#define CHECKIN_REQUIRED UINT32_C(0x3fe) /* keys 1 to 9 */
#define ENROL_REQUIRED   UINT32_C(0x1e)  /* keys 1 to 4 */

const char *sf_reset_reason_str(unsigned reason)
{
    static const char *const name[] = {
        "unknown",  "power on", "software",   "panic",
        "watchdog", "brownout", "deep sleep", "external",
    };
    return reason < sizeof(name) / sizeof(name[0]) ? name[reason] : "unknown";
}

const char *sf_phase_str(unsigned phase)
{
    static const char *const name[] = {
        "idle", "downloading", "verifying", "installed", "trial", "confirmed",
    };
    return phase < sizeof(name) / sizeof(name[0]) ? name[phase] : "unknown";
}

int sf_device_id_valid(const char *id)
{
    size_t len = 0;
    for (; id[len] != '\0'; len++) {
        const char c = id[len];
        const int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const int digit = c >= '0' && c <= '9';
        if (len == SF_DEVICE_ID_MAX || (!letter && !digit && c != '-' && c != '_')) {
            return 0;
        }
    }
    return len > 0;
}

static int slot_valid(uint64_t slot)
{
    return slot < SF_OTHER_SLOT_MAX || slot == SF_WIRE_SLOT_FACTORY;
}

/* ---- encode ---- */

/* Text of the device's own (app_desc, self-tests): whatever bytes stand there, a check-in must be
 * possible, so all but printable ASCII becomes '?'. */
static void write_device_text(struct sf_cbor_writer *w, const char *text, size_t max)
{
    char clean[SF_OUTCOME_TEXT_MAX];
    size_t len = 0;
    while (len < max && text[len] != '\0') {
        const char c = text[len];
        clean[len++] = (char)(c >= ' ' && c <= '~' ? c : '?');
    }
    sf_cbor_write_text_n(w, clean, len);
}

static void write_boot(struct sf_cbor_writer *w, const struct sf_checkin *c)
{
    sf_cbor_write_int(w, KEY_BOOT);
    sf_cbor_write_array(w, 4);
    sf_cbor_write_uint(w, c->boot_count);
    sf_cbor_write_bytes(w, c->boot_id, SF_BOOT_ID_SIZE);
    sf_cbor_write_uint(w, c->reset_reason);
    sf_cbor_write_uint(w, c->uptime_s);
}

static void write_running(struct sf_cbor_writer *w, const struct sf_checkin *c)
{
    sf_cbor_write_int(w, KEY_RUNNING);
    sf_cbor_write_array(w, 5);
    sf_cbor_write_bytes(w, c->running_digest, SF_SHA256_SIZE);
    sf_cbor_write_uint(w, c->running_length);
    write_device_text(w, c->running_version, SF_VERSION_TEXT_MAX);
    sf_cbor_write_uint(w, c->running_slot);
    sf_cbor_write_uint(w, c->running_state);
}

static void write_other_slots(struct sf_cbor_writer *w, const struct sf_checkin *c)
{
    sf_cbor_write_int(w, KEY_OTHER_SLOTS);
    sf_cbor_write_array(w, c->other_count);
    for (unsigned i = 0; i < c->other_count; i++) {
        const struct sf_other_slot *o = &c->other[i];
        sf_cbor_write_array(w, 4);
        sf_cbor_write_uint(w, o->slot);
        sf_cbor_write_uint(w, o->content);
        if (o->has_digest) {
            sf_cbor_write_bytes(w, o->digest, SF_SHA256_SIZE);
        } else {
            sf_cbor_write_null(w);
        }
        sf_cbor_write_bool(w, o->confirmed_here);
    }
}

static void write_hardware(struct sf_cbor_writer *w, const struct sf_checkin *c)
{
    sf_cbor_write_int(w, KEY_HARDWARE);
    sf_cbor_write_array(w, 4);
    sf_cbor_write_uint(w, c->chip_id);
    sf_cbor_write_uint(w, c->chip_revision);
    write_device_text(w, c->hw_revision, SF_HW_REVISION_MAX);
    sf_cbor_write_bytes(w, c->class_uuid, SF_UUID_SIZE);
}

static void write_trust(struct sf_cbor_writer *w, const struct sf_checkin *c)
{
    sf_cbor_write_int(w, KEY_TRUST);
    sf_cbor_write_array(w, 4);
    sf_cbor_write_uint(w, c->root_version);
    sf_cbor_write_uint(w, c->epoch);
    sf_cbor_write_uint(w, c->seq);
    sf_cbor_write_uint(w, c->efuse_secure_version);
}

static void write_phase(struct sf_cbor_writer *w, const struct sf_checkin *c)
{
    sf_cbor_write_int(w, KEY_PHASE);
    sf_cbor_write_array(w, 3);
    sf_cbor_write_uint(w, c->phase);
    sf_cbor_write_uint(w, c->phase_counter);
    sf_cbor_write_uint(w, c->phase_bytes);
}

static void write_outcome(struct sf_cbor_writer *w, const struct sf_outcome *o)
{
    sf_cbor_write_int(w, KEY_OUTCOME);
    sf_cbor_write_array(w, 5);
    sf_cbor_write_uint(w, o->counter);
    sf_cbor_write_uint(w, o->attempt);
    sf_cbor_write_int(w, o->error);
    sf_cbor_write_uint(w, o->reset_reason);
    write_device_text(w, o->text, SF_OUTCOME_TEXT_MAX);
}

static void write_optional_keys(struct sf_cbor_writer *w, const struct sf_checkin *c)
{
    if (c->outcome.counter != 0) {
        write_outcome(w, &c->outcome);
    }
    if (c->attributes.len > 0) {
        sf_cbor_write_int(w, KEY_ATTRIBUTES);
        sf_cbor_write_raw(w, c->attributes.data, c->attributes.len);
    }
    if (c->longest_sleep_s != 0) {
        sf_cbor_write_int(w, KEY_LONGEST_SLEEP);
        sf_cbor_write_uint(w, c->longest_sleep_s);
    }
}

int32_t sf_checkin_encode(const struct sf_checkin *c, uint8_t *out, size_t size)
{
    if (c->other_count > SF_OTHER_SLOT_MAX || c->attributes.len > SF_ATTRIBUTES_MAX ||
        !slot_valid(c->running_slot)) {
        return SF_ERR_RANGE;
    }
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, size < SF_CHECKIN_REQUEST_MAX ? size : SF_CHECKIN_REQUEST_MAX);
    sf_cbor_write_map(&w, 10U + (c->outcome.counter != 0) + (c->attributes.len > 0) +
                              (c->longest_sleep_s != 0));
    sf_cbor_write_int(&w, KEY_PROTOCOL);
    sf_cbor_write_uint(&w, c->protocol_version);
    sf_cbor_write_int(&w, KEY_NONCE);
    sf_cbor_write_bytes(&w, c->nonce, SF_NONCE_SIZE);
    write_boot(&w, c);
    write_running(&w, c);
    write_other_slots(&w, c);
    sf_cbor_write_int(&w, KEY_ABILITIES);
    sf_cbor_write_uint(&w, c->abilities);
    write_hardware(&w, c);
    write_trust(&w, c);
    sf_cbor_write_int(&w, KEY_LAST_COUNTER);
    sf_cbor_write_uint(&w, c->last_counter);
    write_phase(&w, c);
    write_optional_keys(&w, c);
    return sf_cbor_write_end(&w);
}

/* ---- decode ---- */

static uint32_t read_u32(struct sf_cbor_reader *r)
{
    return (uint32_t)sf_cbor_read_uint_max(r, UINT32_MAX);
}

static uint16_t read_u16(struct sf_cbor_reader *r)
{
    return (uint16_t)sf_cbor_read_uint_max(r, UINT16_MAX);
}

static uint8_t read_u8(struct sf_cbor_reader *r)
{
    return (uint8_t)sf_cbor_read_uint_max(r, UINT8_MAX);
}

static uint8_t read_slot(struct sf_cbor_reader *r)
{
    const uint8_t slot = read_u8(r);
    if (!slot_valid(slot)) {
        sf_cbor_fail(r, SF_ERR_RANGE, "slot is neither ota_0 to ota_15 nor factory");
    }
    return slot;
}

static void read_boot(struct sf_cbor_reader *r, struct sf_checkin *c)
{
    sf_cbor_read_array_of(r, 4);
    c->boot_count = read_u32(r);
    sf_cbor_read_fixed(r, c->boot_id, SF_BOOT_ID_SIZE);
    c->reset_reason = read_u8(r);
    c->uptime_s = read_u32(r);
}

static void read_running(struct sf_cbor_reader *r, struct sf_checkin *c)
{
    sf_cbor_read_array_of(r, 5);
    sf_cbor_read_fixed(r, c->running_digest, SF_SHA256_SIZE);
    c->running_length = read_u32(r);
    sf_cbor_read_str(r, c->running_version, sizeof(c->running_version));
    c->running_slot = read_slot(r);
    c->running_state = read_u32(r);
}

static void read_other_slot(struct sf_cbor_reader *r, struct sf_other_slot *o)
{
    sf_cbor_read_array_of(r, 4);
    o->slot = read_slot(r);
    o->content = (uint8_t)sf_cbor_read_uint_max(r, SF_SLOT_COMPLETE);
    if (sf_cbor_peek(r) == SF_CBOR_NULL) {
        sf_cbor_read_null(r);
    } else {
        sf_cbor_read_fixed(r, o->digest, SF_SHA256_SIZE);
        o->has_digest = 1;
    }
    o->confirmed_here = (uint8_t)sf_cbor_read_bool(r);
}

static void read_other_slots(struct sf_cbor_reader *r, struct sf_checkin *c)
{
    const uint64_t count = sf_cbor_read_array(r);
    if (count > SF_OTHER_SLOT_MAX) {
        sf_cbor_fail(r, SF_ERR_RANGE, "more than sixteen other slots");
        return;
    }
    c->other_count = (unsigned)count;
    for (unsigned i = 0; i < c->other_count; i++) {
        read_other_slot(r, &c->other[i]);
    }
}

static void read_hardware(struct sf_cbor_reader *r, struct sf_checkin *c)
{
    sf_cbor_read_array_of(r, 4);
    c->chip_id = read_u16(r);
    c->chip_revision = read_u16(r);
    sf_cbor_read_str(r, c->hw_revision, sizeof(c->hw_revision));
    sf_cbor_read_fixed(r, c->class_uuid, SF_UUID_SIZE);
}

static void read_trust(struct sf_cbor_reader *r, struct sf_checkin *c)
{
    sf_cbor_read_array_of(r, 4);
    c->root_version = read_u32(r);
    c->epoch = read_u32(r);
    c->seq = sf_cbor_read_uint(r);
    c->efuse_secure_version = read_u32(r);
}

static void read_phase(struct sf_cbor_reader *r, struct sf_checkin *c)
{
    sf_cbor_read_array_of(r, 3);
    c->phase = read_u8(r);
    c->phase_counter = sf_cbor_read_uint(r);
    c->phase_bytes = read_u32(r);
}

static void read_outcome(struct sf_cbor_reader *r, struct sf_outcome *o)
{
    sf_cbor_read_array_of(r, 5);
    o->counter = sf_cbor_read_uint(r);
    o->attempt = read_u32(r);
    const int64_t error = sf_cbor_read_int(r);
    if (error > 0 || error < INT32_MIN) {
        sf_cbor_fail(r, SF_ERR_RANGE, "error number is not zero or negative");
    }
    o->error = r->err == SF_OK ? (int32_t)error : 0;
    o->reset_reason = read_u8(r);
    sf_cbor_read_str(r, o->text, sizeof(o->text));
}

/* A map of text to text, number or bool; kept raw. */
static void read_attributes(struct sf_cbor_reader *r, struct sf_checkin *c)
{
    const size_t start = r->pos;
    const uint64_t count = sf_cbor_read_map(r);
    for (uint64_t i = 0; i < count && r->err == SF_OK; i++) {
        (void)sf_cbor_read_text(r);
        const enum sf_cbor_type type = sf_cbor_peek(r);
        if (type != SF_CBOR_TEXT && type != SF_CBOR_UINT && type != SF_CBOR_NEGINT &&
            type != SF_CBOR_BOOL) {
            sf_cbor_fail(r, SF_ERR_CBOR, "attribute is neither text, number nor bool");
        }
        (void)sf_cbor_skip(r);
    }
    if (r->pos - start > SF_ATTRIBUTES_MAX) {
        sf_cbor_fail(r, SF_ERR_RANGE, "attributes are over 256 bytes");
    }
    c->attributes = (struct sf_bytes){r->data + start, r->pos - start};
}

static void read_later_key(struct sf_cbor_reader *r, int64_t key, struct sf_checkin *c)
{
    switch (key) {
    case KEY_TRUST:
        read_trust(r, c);
        break;
    case KEY_LAST_COUNTER:
        c->last_counter = sf_cbor_read_uint(r);
        break;
    case KEY_PHASE:
        read_phase(r, c);
        break;
    case KEY_OUTCOME:
        read_outcome(r, &c->outcome);
        break;
    case KEY_ATTRIBUTES:
        read_attributes(r, c);
        break;
    case KEY_LONGEST_SLEEP:
        c->longest_sleep_s = read_u32(r);
        break;
    default:
        (void)sf_cbor_skip(r);
    }
}

static void read_protocol_version(struct sf_cbor_reader *r, struct sf_checkin *c)
{
    c->protocol_version = read_u32(r);
    if (c->protocol_version != SF_PROTOCOL_VERSION) {
        sf_cbor_fail(r, SF_ERR_VERSION, "protocol version is not 1");
    }
}

static void read_key(struct sf_cbor_reader *r, int64_t key, struct sf_checkin *c)
{
    switch (key) {
    case KEY_PROTOCOL:
        read_protocol_version(r, c);
        break;
    case KEY_NONCE:
        sf_cbor_read_fixed(r, c->nonce, SF_NONCE_SIZE);
        break;
    case KEY_BOOT:
        read_boot(r, c);
        break;
    case KEY_RUNNING:
        read_running(r, c);
        break;
    case KEY_OTHER_SLOTS:
        read_other_slots(r, c);
        break;
    case KEY_ABILITIES:
        c->abilities = read_u32(r);
        break;
    case KEY_HARDWARE:
        read_hardware(r, c);
        break;
    default:
        read_later_key(r, key, c);
    }
}

/* The start that every message here has: within its limit, and one item of our CBOR. */
static int begin(struct sf_cbor_reader *r, struct sf_bytes in, size_t max, struct sf_diag *diag)
{
    if (in.len > max) {
        return sf_fail(diag, SF_ERR_TOO_LARGE, max, "message is longer than allowed");
    }
    sf_cbor_read_init(r, in.data, in.len);
    return sf_cbor_check(in, diag);
}

/* Notes that `key` was there. */
static void mark(uint32_t *seen, int64_t key)
{
    if (key >= 0 && key < 32) {
        *seen |= BIT(key);
    }
}

static int end(struct sf_cbor_reader *r, uint32_t seen, uint32_t required, struct sf_diag *diag)
{
    if ((seen & required) != required) {
        sf_cbor_fail(r, SF_ERR_CBOR, "a required key is missing");
    }
    return sf_cbor_read_end(r, diag);
}

int sf_checkin_decode(struct sf_bytes in, struct sf_checkin *out, struct sf_diag *diag)
{
    struct sf_cbor_reader r;
    memset(out, 0, sizeof(*out));
    const int err = begin(&r, in, SF_CHECKIN_REQUEST_MAX, diag);
    if (err < 0) {
        return err;
    }
    uint32_t seen = 0;
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    int64_t key;
    while (sf_cbor_map_next(&m, &key)) {
        mark(&seen, key);
        read_key(&r, key, out);
    }
    return end(&r, seen, CHECKIN_REQUIRED, diag);
}

int32_t sf_checkin_answer_encode(const struct sf_checkin_answer *a, uint8_t *out, size_t size)
{
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, size < SF_CHECKIN_ANSWER_MAX ? size : SF_CHECKIN_ANSWER_MAX);
    sf_cbor_write_map(&w, a->manifest.len > 0 ? 2 : 1);
    sf_cbor_write_int(&w, ANSWER_STATUS);
    sf_cbor_write_bytes(&w, a->status.data, a->status.len);
    if (a->manifest.len > 0) {
        sf_cbor_write_int(&w, ANSWER_MANIFEST);
        sf_cbor_write_bytes(&w, a->manifest.data, a->manifest.len);
    }
    return sf_cbor_write_end(&w);
}

int sf_checkin_answer_decode(struct sf_bytes in, struct sf_checkin_answer *out,
                             struct sf_diag *diag)
{
    struct sf_cbor_reader r;
    *out = (struct sf_checkin_answer){0};
    const int err = begin(&r, in, SF_CHECKIN_ANSWER_MAX, diag);
    if (err < 0) {
        return err;
    }
    uint32_t seen = 0;
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    int64_t key;
    while (sf_cbor_map_next(&m, &key)) {
        mark(&seen, key);
        if (key == ANSWER_STATUS) {
            out->status = sf_cbor_read_bytes(&r);
        } else if (key == ANSWER_MANIFEST) {
            out->manifest = sf_cbor_read_bytes(&r);
        } else {
            (void)sf_cbor_skip(&r);
        }
    }
    return end(&r, seen, BIT(ANSWER_STATUS), diag);
}

int32_t sf_enrol_encode(const struct sf_enrol *e, uint8_t *out, size_t size)
{
    if (!sf_device_id_valid(e->id)) {
        return SF_ERR_RANGE;
    }
    struct sf_cbor_writer w;
    sf_cbor_write_init(&w, out, size < SF_ENROL_REQUEST_MAX ? size : SF_ENROL_REQUEST_MAX);
    sf_cbor_write_map(&w, 4);
    sf_cbor_write_int(&w, ENROL_ID);
    sf_cbor_write_text(&w, e->id);
    sf_cbor_write_int(&w, ENROL_SECRET_DIGEST);
    sf_cbor_write_bytes(&w, e->secret_digest, SF_SHA256_SIZE);
    sf_cbor_write_int(&w, ENROL_CLASS);
    sf_cbor_write_bytes(&w, e->class_uuid, SF_UUID_SIZE);
    sf_cbor_write_int(&w, ENROL_TOKEN);
    sf_cbor_write_text(&w, e->token);
    return sf_cbor_write_end(&w);
}

static void read_enrol_key(struct sf_cbor_reader *r, int64_t key, struct sf_enrol *e)
{
    switch (key) {
    case ENROL_ID:
        sf_cbor_read_str(r, e->id, sizeof(e->id));
        if (!sf_device_id_valid(e->id)) {
            sf_cbor_fail(r, SF_ERR_RANGE, "device id is not 1 to 64 of [A-Za-z0-9_-]");
        }
        break;
    case ENROL_SECRET_DIGEST:
        sf_cbor_read_fixed(r, e->secret_digest, SF_SHA256_SIZE);
        break;
    case ENROL_CLASS:
        sf_cbor_read_fixed(r, e->class_uuid, SF_UUID_SIZE);
        break;
    case ENROL_TOKEN:
        sf_cbor_read_str(r, e->token, sizeof(e->token));
        break;
    default:
        (void)sf_cbor_skip(r);
    }
}

int sf_enrol_decode(struct sf_bytes in, struct sf_enrol *out, struct sf_diag *diag)
{
    struct sf_cbor_reader r;
    memset(out, 0, sizeof(*out));
    const int err = begin(&r, in, SF_ENROL_REQUEST_MAX, diag);
    if (err < 0) {
        return err;
    }
    uint32_t seen = 0;
    struct sf_cbor_map m = sf_cbor_map_begin(&r);
    int64_t key;
    while (sf_cbor_map_next(&m, &key)) {
        mark(&seen, key);
        read_enrol_key(&r, key, out);
    }
    return end(&r, seen, ENROL_REQUIRED, diag);
}
