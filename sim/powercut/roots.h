#ifndef POWERCUT_ROOTS_H
#define POWERCUT_ROOTS_H

#include "base/p256.h"
#include "formats/root_make.h"

/* Four trust roots: the firmware's, and three that a device walks to. In them one of the root keys,
 * the release key with its epoch, and the status key with its epoch are replaced. */

enum {
    ROOTS_FIRST = 1,
    ROOTS_RELEASE = 3, /* has the new release key */
    ROOTS_LAST = 4,    /* has the new status key, too */
};

/* How something is signed: kit.h's keyed MAC, or for real. */
typedef struct sf_signer roots_signer(struct p256_signer *real, int how);

struct roots {
    struct p256_key release; /* the new ones */
    struct p256_key status;
    struct p256_signer status_signer;
    struct {
        uint8_t data[SF_ROOT_MAX];
        size_t len;
    } file[2][ROOTS_LAST + 1]; /* by how it is signed, and version */
};

/* `release` and `status` are the first root's. Errors: CRYPTO. Release it, also after an error. */
int roots_open(struct roots *r, const struct p256_key *release, const struct p256_key *status,
               roots_signer *signer) __attribute__((warn_unused_result));
void roots_release(struct roots *r);

/* The release role's epoch in that root. */
uint32_t roots_epoch(uint32_t version);

#endif
