#ifndef CLI_TRUST_FILE_H
#define CLI_TRUST_FILE_H

#include <jansson.h>

#include "formats/root_make.h"

/* Trust roots in files, on their way from one signer to the next. Before the first signature a file
 * is the payload alone, then a COSE_Sign as devices take it (docs/formats.md), complete or not:
 * what is carried from machine to machine is what is published in the end. */

struct trust_file {
    const char *path;
    struct sf_root root; /* decoded, views into `payload`; nothing of it verified */
    unsigned count;
    struct sf_cose_signature signature[SF_COSE_SIGNATURE_MAX];
    size_t payload_len;
    uint8_t payload[SF_ROOT_PAYLOAD_MAX];
    size_t len;
    uint8_t bytes[SF_ROOT_MAX]; /* as read */
};

/* Each returns enum cli_exit with a sentence. */
int trust_load(const char *path, struct trust_file *out) __attribute__((warn_unused_result));
int trust_save(const char *path, struct sf_bytes payload, const struct sf_cose_signature *signature,
               unsigned count) __attribute__((warn_unused_result));

/* What the signatures of a file are worth. */
enum trust_signature {
    TRUST_OWN = 1 << 0,    /* by a root key of this root */
    TRUST_BEFORE = 1 << 1, /* by a root key of the one before */
};

struct trust_score {
    unsigned own;    /* valid ones */
    unsigned before; /* valid ones; of TRUST_BEFORE */
    unsigned other;  /* by keys that are neither: no device takes a root with such a one */
    unsigned wrong;  /* that do not verify: the same */
    unsigned missing_own;
    unsigned missing_before; /* 0 for version 1; unknown without the root before */
    int is_complete;         /* a device that trusts the root before would take this one */
};

/* `before` is the root with the version before, or NULL. */
struct trust_score trust_score(const struct trust_file *file, const struct trust_file *before);

/* enum trust_signature bits of one signature of the file, 0 for a key that is neither; negative if
 * it does not verify. */
int trust_signature_by(const struct trust_file *file, const struct trust_file *before,
                       const struct sf_cose_signature *signature);

/* 1 if `key` is a root key of `root`. */
int trust_has_root_key(const struct sf_root *root, const struct sf_public_key *key);

/* Whether `before` is what `file` follows; loads it from `path`, which may be NULL for version 1
 * alone. */
int trust_load_before(const struct trust_file *file, const char *path, struct trust_file *before)
    __attribute__((warn_unused_result));

const char *trust_role_name(enum sf_role role);

#endif
