#include "tests/server/fleet_world.h"

#include <stdio.h>
#include <string.h>

#include "formats/otadata.h"

void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->now = 1700000000;
    w->device.row = 1;
    memcpy(w->device.id, "lamp-1", 7);
    w->device.state = DEVICE_ENROLLED;
    w->device.desired_seq = 1;
    memset(w->device.class_uuid, 0xc1, SF_UUID_SIZE);
    memset(w->report.class_uuid, 0xc1, SF_UUID_SIZE);
    w->report.protocol_version = SF_PROTOCOL_VERSION;
    w->report.boot_count = 1;
    w->report.boot_id[0] = 1;
    world_runs(w, 1);
}

void world_target(struct world *w, int64_t release)
{
    memset(&w->target, 0, sizeof w->target);
    w->gen++;
    if (release == 0) {
        return;
    }
    w->target.release_id = release;
    w->target.gen = w->gen;
    w->target.has_manifest = 1;
    w->target.seq = 2 * (uint64_t)release;
    memset(w->target.image_digest, (int)release, DIGEST_SIZE);
    (void)snprintf(w->target.version, sizeof w->target.version, "%d.0.0", (int)release);
}

void world_runs(struct world *w, int64_t release)
{
    memset(w->report.running_digest, (int)release, DIGEST_SIZE);
    (void)snprintf(w->report.running_version, sizeof w->report.running_version, "%d.0.0",
                   (int)release);
    w->report.running_state = SF_OTA_VALID;
    w->report.phase = SF_PHASE_IDLE;
}

const struct deployment *world_current(const struct world *w)
{
    int64_t id = w->device.deployment_id;
    return id != 0 ? &w->deployment[id - 1] : NULL;
}

static const struct deployment *previous(const struct world *w)
{
    for (unsigned i = w->deployment_count; i > 0; i--) {
        if (w->deployment[i - 1].release_id == w->target.release_id) {
            return &w->deployment[i - 1];
        }
    }
    return NULL;
}

void world_decide(const struct world *w, struct checkin_decision *out)
{
    struct checkin_input in = {
        .device = &w->device,
        .seen = &w->seen,
        .current = world_current(w),
        .previous = previous(w),
        .target = w->target.release_id != 0 ? &w->target : NULL,
        .frozen = w->frozen,
        .report = &w->report,
        .policy = {.interval_s = 300, .deployment_timeout_s = DEPLOYMENT_TIMEOUT_S, .random = 7},
    };
    checkin_decide(&in, w->now, out);
}

const struct checkin_decision *world_checkin(struct world *w)
{
    struct checkin_decision *d = &w->last;
    world_decide(w, d);
    if (d->current_changed) {
        w->deployment[d->current.id - 1] = d->current;
    }
    w->device = d->device;
    if (d->created && w->deployment_count < WORLD_DEPLOYMENTS) {
        struct deployment *fresh = &w->deployment[w->deployment_count++];
        *fresh = d->fresh;
        fresh->id = w->deployment_count;
        w->device.deployment_id = w->deployment_count;
    }
    w->seen = d->seen;
    return d;
}

int world_told(const struct world *w, enum event_kind kind)
{
    for (unsigned i = 0; i < w->last.event_count; i++) {
        if (w->last.event[i].kind == (uint32_t)kind) {
            return 1;
        }
    }
    return 0;
}
