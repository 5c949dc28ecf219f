#ifndef CLI_MANIFEST_MAKE_H
#define CLI_MANIFEST_MAKE_H

#include "cli/inspect.h"
#include "formats/manifest.h"

/* A signed manifest for an image that was inspected. Shared by `manifest sign` and
 * `release publish`. */

struct manifest_wish {
    const char *image_path; /* for sentences */
    const struct inspect *image;
    uint8_t vendor_uuid[SF_UUID_SIZE];
    uint8_t class_uuid[SF_UUID_SIZE];
    uint64_t seq;
    const char *uri; /* NULL: /artifacts/<sha256> */
    enum { MANIFEST_RECORD_REQUIRED, MANIFEST_RECORD_OPTIONAL } record;
};

struct manifest_made {
    struct sf_manifest manifest;
    uint8_t envelope[SF_ENVELOPE_MAX];
    size_t len;
};

/* The reasons against it that are known without a key or a seq: no app_desc, a version that does
 * not fit, no updater record or one of another class. Returns enum cli_exit with a sentence. */
int manifest_check(const struct manifest_wish *wish) __attribute__((warn_unused_result));

/* manifest_check(), then encodes and signs. */
int manifest_make(const struct manifest_wish *wish, const struct sf_signer *signer,
                  struct manifest_made *out) __attribute__((warn_unused_result));

#endif
