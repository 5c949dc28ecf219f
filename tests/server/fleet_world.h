#ifndef FLEET_WORLD_H
#define FLEET_WORLD_H

#include "server/fleet/checkin.h"

/* One device and the rows around it, without a store: what check-in decisions are applied to. */

enum { WORLD_DEPLOYMENTS = 512, WORLD_RELEASES = 8 };

struct world {
    struct device device;
    struct device_seen seen;
    struct deployment deployment[WORLD_DEPLOYMENTS]; /* id = index + 1 */
    unsigned deployment_count;
    struct target target; /* release_id 0 = none */
    int64_t gen;
    int frozen;
    int64_t now;
    struct sf_checkin report;
    struct checkin_decision last;
};

/* An enrolled device that runs release 1; nothing is targeted. */
void world_init(struct world *w);

/* An operator's order: release 1 .. WORLD_RELEASES, or 0 = none. Release n has the image digest
 * n, n, n ... and the manifest number 2 n. */
void world_target(struct world *w, int64_t release);

/* The device runs release n and is at rest. */
void world_runs(struct world *w, int64_t release);

/* Decides on the present report and applies the decision. */
const struct checkin_decision *world_checkin(struct world *w);

/* The decision alone. */
void world_decide(const struct world *w, struct checkin_decision *out);

/* The latest deployment; NULL if there is none. */
const struct deployment *world_current(const struct world *w);

/* 1 if the last decision told this. */
int world_told(const struct world *w, enum event_kind kind);

#endif
