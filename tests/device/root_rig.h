#ifndef ROOT_RIG_H
#define ROOT_RIG_H

#include "tests/device/rig.h"
#include "tests/support/root_kit.h"

/* The rig with a trust root in its firmware, and a server that holds its successors. */

enum { ROOT_RIG_ROOTS = 1 << 0 | 1 << 1 }; /* two of the three root keys */

struct root_rig {
    struct rig *r;
    struct root_kit kit;
    struct sf_root_draft draft; /* of the newest root */
    struct rig_root firmware;   /* the first */
    struct sf_trust_root trust;
};

/* A device whose firmware has root 1; statuses and releases are signed by its keys. Not booted. */
struct root_rig *root_rig_new(void);
void root_rig_free(struct root_rig *rr);

/* Changes `draft` first if there is more to change than the version. The server gets the next root,
 * signed by these keys. */
void root_rig_publish(struct root_rig *rr, unsigned signers);

/* Statuses, or manifests, are signed by the kit's index-th key from now on. */
void root_rig_status_key(struct root_rig *rr, unsigned index);
void root_rig_release_key(struct root_rig *rr, unsigned index);

/* Boots, and goes on until the device rests. */
void root_rig_rest(struct root_rig *rr);

/* In the draft, the kit's key `to` takes the place of `from` in a role. */
void root_rig_swap_key(struct root_rig *rr, enum sf_role role, unsigned from, unsigned to);

/* What the engine says: its last error, the version that it trusts. */
int root_rig_last_error(const struct root_rig *rr);
uint32_t root_rig_trusted(const struct root_rig *rr);

/* The version that is stored; 0 = none. */
uint32_t root_rig_stored(struct root_rig *rr);

#endif
