/* Identity of a device: enrolment, authentication, quarantine, suspicion of a clone.
 *
 * Invariants
 *  1. A secret that was accepted once goes on working until somebody revokes the device or approves
 *     another secret for it.
 *  2. No secret under a known id is accepted without an operator. */
#include "server/fleet/device.h"

#include <stdio.h>
#include <string.h>

static const uint8_t no_digest[DIGEST_SIZE];

const char *device_state_str(uint32_t state)
{
    switch (state) {
    case DEVICE_ENROLLED:
        return "enrolled";
    case DEVICE_QUARANTINED:
        return "quarantined";
    case DEVICE_REVOKED:
        return "revoked";
    default:
        return "unknown";
    }
}

const char *device_kind_str(uint32_t kind)
{
    return kind == DEVICE_PLAIN ? "plain" : "surefoot";
}

void device_seen_update(struct device_seen *seen, const struct sf_checkin *report,
                        uint32_t next_checkin_s, int64_t now)
{
    if (seen->last_seen == 0) {
        memset(seen->previous_boot_id, 0, sizeof seen->previous_boot_id);
    } else if (memcmp(seen->boot_id, report->boot_id, SF_BOOT_ID_SIZE) != 0) {
        memcpy(seen->previous_boot_id, seen->boot_id, SF_BOOT_ID_SIZE);
    }
    memcpy(seen->boot_id, report->boot_id, SF_BOOT_ID_SIZE);
    seen->last_seen = now > 0 ? now : 1; /* 0 = never */
    seen->boot_count = report->boot_count;
    seen->reset_reason = report->reset_reason;
    seen->uptime_s = report->uptime_s;
    seen->phase_bytes = report->phase_bytes;
    seen->next_checkin_s = next_checkin_s;
    seen->longest_sleep_s = report->longest_sleep_s;
    seen->last_counter = report->last_counter;
}

const char *device_clone_suspicion(const struct device_seen *before,
                                   const struct sf_checkin *report)
{
    static const uint8_t none[SF_BOOT_ID_SIZE];
    if (before->last_seen == 0 || memcmp(before->boot_id, report->boot_id, SF_BOOT_ID_SIZE) == 0) {
        return NULL;
    }
    if (memcmp(before->previous_boot_id, none, SF_BOOT_ID_SIZE) != 0 &&
        memcmp(before->previous_boot_id, report->boot_id, SF_BOOT_ID_SIZE) == 0) {
        return "two boots alternate: two devices may share this credential";
    }
    if (report->boot_count < before->boot_count) {
        return "the boot count went back: a copy of this device, or its flash was written anew";
    }
    return NULL;
}

int device_authenticate(const struct device *device, const uint8_t secret_digest[DIGEST_SIZE])
{
    int first = sf_equal_constant_time(device->secret_digest, secret_digest, DIGEST_SIZE);
    int pending = sf_equal_constant_time(device->pending_digest, secret_digest, DIGEST_SIZE);
    if (sf_equal_constant_time(secret_digest, no_digest, DIGEST_SIZE) ||
        device->kind == DEVICE_PLAIN) {
        return SF_ERR_UNAUTHORIZED;
    }
    if (first && device->state != DEVICE_REVOKED) {
        return SF_OK;
    }
    return pending ? SF_ERR_QUARANTINED : SF_ERR_UNAUTHORIZED;
}

static void tell(struct event *event, enum event_kind kind, const char *text)
{
    memset(event, 0, sizeof *event);
    event->kind = kind;
    (void)snprintf(event->text, sizeof event->text, "%s", text);
}

static void enrol_new(const struct enrol_input *in, int64_t now, struct enrol_decision *out)
{
    struct device *d = &out->device;
    memset(d, 0, sizeof *d);
    (void)snprintf(d->id, sizeof d->id, "%s", in->request->id);
    d->product_id = in->product_id;
    d->class_id = in->class_id;
    memcpy(d->class_uuid, in->request->class_uuid, SF_UUID_SIZE);
    memcpy(d->secret_digest, in->request->secret_digest, DIGEST_SIZE);
    d->state = DEVICE_ENROLLED;
    d->kind = DEVICE_NATIVE;
    d->desired_seq = 1;
    d->enrolled_at = now;
    d->changed_at = now;
    out->verdict = ENROL_NEW;
    out->changed = 1;
    tell(&out->event, EVENT_ENROLLED, "");
}

/* A known id with a secret that is not its own. The newest one waits: a board that was flashed
 * twice before somebody looked must not be left behind with its first secret. */
static void enrol_other_secret(const struct enrol_input *in, int64_t now,
                               struct enrol_decision *out)
{
    struct device *d = &out->device;
    out->verdict = ENROL_QUARANTINED;
    if (sf_equal_constant_time(d->pending_digest, in->request->secret_digest, DIGEST_SIZE)) {
        return;
    }
    memcpy(d->pending_digest, in->request->secret_digest, DIGEST_SIZE);
    if (d->state == DEVICE_ENROLLED) {
        d->state = DEVICE_QUARANTINED;
    }
    d->changed_at = now;
    out->changed = 1;
    tell(&out->event, EVENT_QUARANTINED, "another secret asks for this id");
}

void device_enrol(const struct enrol_input *in, int64_t now, struct enrol_decision *out)
{
    memset(out, 0, sizeof *out);
    out->verdict = ENROL_REFUSED;
    if (!sf_device_id_valid(in->request->id)) {
        out->error = SF_ERR_FORMAT;
    } else if (in->token_product_id == 0 ||
               sf_equal_constant_time(in->request->secret_digest, no_digest, DIGEST_SIZE)) {
        out->error = SF_ERR_UNAUTHORIZED;
    } else if (in->product_id == 0 || in->product_id != in->token_product_id ||
               (in->known != NULL && in->known->product_id != in->product_id)) {
        out->error = SF_ERR_CLASS;
    } else if (in->known == NULL) {
        enrol_new(in, now, out);
    } else if (in->known->kind == DEVICE_PLAIN && in->known->state != DEVICE_REVOKED) {
        out->was_plain = 1; /* it got our library with its last update */
        out->device.row = in->known->row;
        enrol_new(in, now, out);
    } else {
        memcpy(&out->device, in->known, sizeof out->device);
        int same = sf_equal_constant_time(in->known->secret_digest, in->request->secret_digest,
                                          DIGEST_SIZE);
        if (!same) {
            enrol_other_secret(in, now, out);
        } else if (in->known->state == DEVICE_REVOKED) {
            out->error = SF_ERR_UNAUTHORIZED;
        } else {
            out->verdict = ENROL_KNOWN;
        }
    }
}

static int has_pending(const struct device *d)
{
    return memcmp(d->pending_digest, no_digest, DIGEST_SIZE) != 0;
}

int device_approve(struct device *d, int64_t now, struct event *event)
{
    if (!has_pending(d)) {
        return SF_ERR_STATE;
    }
    memcpy(d->secret_digest, d->pending_digest, DIGEST_SIZE);
    memset(d->pending_digest, 0, DIGEST_SIZE);
    d->state = DEVICE_ENROLLED;
    d->revoked_at = 0;
    d->changed_at = now;
    tell(event, EVENT_APPROVED, "the other secret is the device's from now on");
    return SF_OK;
}

int device_reject(struct device *d, int64_t now, struct event *event)
{
    if (!has_pending(d)) {
        return SF_ERR_STATE;
    }
    memset(d->pending_digest, 0, DIGEST_SIZE);
    if (d->state == DEVICE_QUARANTINED) {
        d->state = DEVICE_ENROLLED;
    }
    d->changed_at = now;
    tell(event, EVENT_REJECTED, "");
    return SF_OK;
}

int device_revoke(struct device *d, int64_t now, struct event *event)
{
    if (d->state == DEVICE_REVOKED) {
        return SF_ERR_STATE;
    }
    d->state = DEVICE_REVOKED;
    memset(d->pending_digest, 0, DIGEST_SIZE);
    d->revoked_at = now;
    d->changed_at = now;
    tell(event, EVENT_REVOKED, "");
    return SF_OK;
}

int device_clear_alarms(struct device *d, int64_t now, struct event *event)
{
    if (d->alarms == 0) {
        return SF_ERR_STATE;
    }
    d->alarms = 0;
    d->changed_at = now;
    tell(event, EVENT_ALARMS_CLEARED, "");
    return SF_OK;
}
