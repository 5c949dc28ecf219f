#ifndef FLEET_ROOT_H
#define FLEET_ROOT_H

#include "formats/root.h"

/* Which trust roots the server takes and hands out. */

/* Whether `file` may become the newest root. `newest` is the one before it as signed, or empty:
 * then the first counts by the word of whoever uploads it. Errors: sf_root_open_next()'s or
 * _first()'s; STATE: it does not list this server's status key, so no device that has it would
 * believe this server again. On success `out` is the root, views into `file`. */
int root_accept(struct sf_bytes file, struct sf_bytes newest,
                const struct sf_public_key *status_key, const struct sf_crypto *crypto,
                struct sf_root *out) __attribute__((warn_unused_result));

/* A root that the server has taken before. */
int root_load(struct sf_bytes file, const struct sf_crypto *crypto, struct sf_root *out)
    __attribute__((warn_unused_result));

/* 1 if the root lists this key for the role. */
int root_lists(const struct sf_root *root, enum sf_role role, const struct sf_public_key *key);

/* The release role's keys as a verifier of manifests; `key` is its memory. */
struct sf_verifier root_release_verifier(const struct sf_root *root, const struct sf_crypto *crypto,
                                         struct sf_public_key key[SF_ROOT_ROLE_KEY_MAX]);

#endif
