#ifndef ROOT_KIT_H
#define ROOT_KIT_H

#include "base/p256.h"
#include "formats/root_make.h"

/* Keys, and trust roots made with them, for tests. Whatever fails here ends the test program. */

enum {
    ROOT_KIT_KEYS = 12,
    /* the key of each role in root_kit_draft(); 0, 1 and 2 are the root keys */
    ROOT_KIT_RELEASE = 4,
    ROOT_KIT_STATUS = 6,
    ROOT_KIT_DELTA = 8,
};

struct root_kit {
    struct p256_key key[ROOT_KIT_KEYS];
    struct p256_signer p256[ROOT_KIT_KEYS];
    struct sf_signer signer[ROOT_KIT_KEYS];
};

void root_kit_init(struct root_kit *kit);
void root_kit_release(struct root_kit *kit);

/* Version 1: root 2 of 3, one release key, one status key; issued at 1,800,000,000 for a year. */
void root_kit_draft(const struct root_kit *kit, struct sf_root_draft *out);

/* Gives the kit's `index`-th key to a role, or takes it away. */
void root_kit_add(const struct root_kit *kit, struct sf_root_draft *draft, enum sf_role role,
                  unsigned index);
void root_kit_remove(const struct root_kit *kit, struct sf_root_draft *draft, unsigned index);

/* Encodes `draft` and has it signed by the keys whose bits are set in `signers`. The bytes are in
 * `out`. */
struct sf_bytes root_kit_sign(const struct root_kit *kit, const struct sf_root_draft *draft,
                              unsigned signers, uint8_t out[SF_ROOT_MAX]);

/* The same for a payload as it is, which may be nonsense. */
struct sf_bytes root_kit_sign_payload(const struct root_kit *kit, struct sf_bytes payload,
                                      unsigned signers, uint8_t out[SF_ROOT_MAX]);

/* A root that is trusted from now on, in memory of its own. Version 0: none yet. */
struct root_kit_trust {
    struct sf_root root;
    uint8_t file[SF_ROOT_MAX];
};

/* Signs `draft` and opens it as the successor of what `trust` has, or as the first. On success
 * `trust` has it. Returns what opening it gave. */
int root_kit_open(const struct root_kit *kit, struct root_kit_trust *trust,
                  const struct sf_root_draft *draft, unsigned signers)
    __attribute__((warn_unused_result));

/* A draft of the successor, the same but for its version. */
struct sf_root_draft root_kit_next_draft(const struct root_kit_trust *t);

#endif
