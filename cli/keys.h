#ifndef CLI_KEYS_H
#define CLI_KEYS_H

#include "base/p256.h"

/* Key files, with sentences. Each function returns enum cli_exit; release the key in every case. */

/* A private key, or a public one. CLI_LOCAL if the file cannot be read, CLI_REFUSED if it is no
 * P-256 key. */
int keys_load_any(struct p256_key *key, const char *path) __attribute__((warn_unused_result));
int keys_load_private(struct p256_key *key, const char *path) __attribute__((warn_unused_result));

/* x || y as 128 hex digits. CLI_USAGE if it is none. */
int keys_from_hex(struct p256_key *key, const char *hex) __attribute__((warn_unused_result));

/* Never overwrites unless `force`. */
int keys_save_private(const struct p256_key *key, const char *path, int force)
    __attribute__((warn_unused_result));

/* The public key as PEM on stdout. */
int keys_print_public(const struct p256_key *key) __attribute__((warn_unused_result));

#endif
