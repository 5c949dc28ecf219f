#include "server/fleet/plain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const access_names[] = {"none", "token", "open"};

const char *plain_access_str(uint32_t access)
{
    return access <= PLAIN_ACCESS_OPEN ? access_names[access] : "none";
}

int plain_access_from(const char *text)
{
    for (int i = 0; i <= PLAIN_ACCESS_OPEN; i++) {
        if (strcmp(text, access_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int runs_release(const struct plain_report *p, const struct plain_stable *r)
{
    static const uint8_t none[DIGEST_SIZE];
    if (p->has_md5 && memcmp(p->md5, r->md5, SF_MD5_SIZE) == 0) {
        return 1;
    }
    return p->has_app_sha256 && memcmp(r->app_sha256, none, DIGEST_SIZE) != 0 &&
           memcmp(p->app_sha256, r->app_sha256, DIGEST_SIZE) == 0;
}

static int up_to_date(const struct plain_report *p, const struct plain_stable *r)
{
    return runs_release(p, r) || (p->version[0] != '\0' && strcmp(p->version, r->version) == 0);
}

/* HTTPUpdate takes 304 for "nothing new" and everything else but 200 for a failure. */
enum plain_answer plain_decide(const struct plain_report *report,
                               const struct plain_stable *release, int frozen)
{
    int asks = report->client != PLAIN_CLIENT_OTHER;
    if (report->filesystem) {
        return PLAIN_NOTHING;
    }
    if (frozen) {
        return asks ? PLAIN_UP_TO_DATE : PLAIN_FROZEN;
    }
    if (release->release_id == 0) {
        return asks ? PLAIN_UP_TO_DATE : PLAIN_NOTHING;
    }
    return asks && up_to_date(report, release) ? PLAIN_UP_TO_DATE : PLAIN_SEND;
}

int plain_may_update(const struct device *known, int64_t product_id)
{
    return known == NULL || known->kind != DEVICE_PLAIN || known->product_id != product_id ||
           known->state != DEVICE_REVOKED;
}

/* ---- the inventory ---- */

__attribute__((format(printf, 3, 4))) static struct event *
tell(struct plain_decision *out, enum event_kind kind, const char *fmt, ...)
{
    unsigned i = out->event_count < PLAIN_EVENT_MAX ? out->event_count++ : PLAIN_EVENT_MAX - 1;
    struct event *event = &out->event[i];
    va_list args;
    memset(event, 0, sizeof *event);
    event->kind = kind;
    va_start(args, fmt);
    (void)vsnprintf(event->text, sizeof event->text, fmt, args);
    va_end(args);
    out->changed = 1;
    return event;
}

static const char *client_name(enum plain_client client)
{
    switch (client) {
    case PLAIN_CLIENT_ESP32:
        return "HTTPUpdate on ESP32";
    case PLAIN_CLIENT_ESP8266:
        return "HTTPUpdate on ESP8266";
    case PLAIN_CLIENT_OTHER:
        break;
    }
    return "an HTTPS client";
}

/* What it says that it runs, for the inventory: the release's where the checksums say so. */
static const char *version_of(const struct plain_input *in)
{
    if (in->release->release_id != 0 && runs_release(in->report, in->release)) {
        return in->release->version;
    }
    return in->report->version;
}

static void take_new(const struct plain_input *in, int64_t now, struct plain_decision *out)
{
    struct device *d = &out->device;
    d->product_id = in->product_id;
    d->class_id = in->release->class_id;
    d->state = DEVICE_ENROLLED;
    d->kind = DEVICE_PLAIN;
    d->enrolled_at = now;
    d->reported_at = now > 0 ? now : 1;
    d->desired_seq = 1;
    memcpy(d->id, in->report->id, sizeof d->id);
    const char *version = version_of(in);
    tell(out, EVENT_FIRST_REPORT, "%s%s%s", client_name(in->report->client),
         version[0] != '\0' ? ", runs " : "", version);
}

static void take_running(const struct plain_input *in, struct plain_decision *out)
{
    struct device *d = &out->device;
    const struct plain_report *p = in->report;
    const char *version = version_of(in);
    int known = p->has_md5 || p->has_app_sha256 || version[0] != '\0';
    int md5_differs = p->has_md5 && memcmp(d->running_md5, p->md5, SF_MD5_SIZE) != 0;
    int differs =
        known && (md5_differs || (version[0] != '\0' && strcmp(version, d->running_version) != 0));
    if (!differs) {
        return;
    }
    if (d->row != 0) {
        tell(out, EVENT_RUNNING, "%s, before %s", version[0] != '\0' ? version : "another image",
             d->running_version[0] != '\0' ? d->running_version : "an unknown one");
    }
    memset(d->running_version, 0, sizeof d->running_version);
    (void)snprintf(d->running_version, sizeof d->running_version, "%s", version);
    memcpy(d->running_md5, p->md5, SF_MD5_SIZE);
    memset(d->running_digest, 0, DIGEST_SIZE);
    if (in->release->release_id != 0 && runs_release(p, in->release)) {
        memcpy(d->running_digest, in->release->digest, DIGEST_SIZE);
        d->running_length = in->release->size;
    }
}

static void take_answer(const struct plain_input *in, struct plain_decision *out)
{
    struct device *d = &out->device;
    const struct plain_stable *r = in->release;
    if (r->release_id == 0) {
        return;
    }
    if (in->answer == PLAIN_SEND && d->desired_release != r->release_id) {
        d->desired_release = r->release_id;
        int room = in->report->free_space == 0 || in->report->free_space >= r->size;
        struct event *event =
            tell(out, EVENT_OFFERED, "%s%s", r->version,
                 room ? "" : ", but it is larger than the free space that the device tells");
        event->release_id = r->release_id;
        event->error = room ? SF_OK : SF_ERR_NOSPC;
    } else if (in->answer == PLAIN_UP_TO_DATE && d->desired_release == r->release_id &&
               up_to_date(in->report, r)) {
        d->desired_release = 0;
        tell(out, EVENT_CONFIRMED, "says that it runs %s", r->version)->release_id = r->release_id;
    }
}

void plain_observe(const struct plain_input *in, int64_t now, struct plain_decision *out)
{
    memset(out, 0, sizeof *out);
    if (in->report->id[0] == '\0' || in->release->class_id == 0) {
        return;
    }
    if (in->known != NULL) {
        if (in->known->kind != DEVICE_PLAIN || in->known->product_id != in->product_id ||
            in->known->state == DEVICE_REVOKED) {
            return;
        }
        memcpy(&out->device, in->known, sizeof out->device);
    } else {
        take_new(in, now, out);
    }
    out->recorded = 1;
    take_running(in, out);
    take_answer(in, out);
    if (out->changed) {
        out->device.changed_at = now;
    }
}

int plain_id_from_mac(const char *mac, char id[SF_DEVICE_ID_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 0;
    for (size_t i = 0; i < 17; i++) {
        const int upper = mac[i] >= 'A' && mac[i] <= 'F';
        const char c = (char)(upper ? mac[i] | 0x20 : mac[i]);
        if (i % 3 == 2 ? c != ':' : c == '\0' || strchr(digits, c) == NULL) {
            return 0;
        }
        if (i % 3 != 2) {
            id[len++] = c;
        }
    }
    id[len] = '\0';
    return mac[17] == '\0';
}
