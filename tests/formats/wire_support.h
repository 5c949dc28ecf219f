#ifndef WIRE_SUPPORT_H
#define WIRE_SUPPORT_H

#include "base/p256.h"
#include "formats/checkin.h"
#include "formats/manifest.h"
#include "formats/root_make.h"

/* What the tests of messages share: a key, random messages, mutations. Whatever fails here ends the
 * test program. */

struct wire_signing {
    const struct sf_crypto *crypto;
    struct p256_key key;
    struct p256_signer p256;
    struct sf_signer signer;
};

void wire_signing_init(struct wire_signing *s);
void wire_signing_release(struct wire_signing *s);

/* A small generator whose seed is printed, and can be set with SF_TEST_SEED. */
struct wire_random {
    uint64_t state;
};

void wire_random_init(struct wire_random *r);
uint64_t wire_random_u64(struct wire_random *r);
uint64_t wire_random_below(struct wire_random *r, uint64_t bound);
void wire_random_fill(struct wire_random *r, void *out, size_t len);

/* Messages with every field set at random, optional ones sometimes absent. Views point into memory
 * that the next call overwrites. */
void wire_random_checkin(struct wire_random *r, struct sf_checkin *out);
void wire_random_status(struct wire_random *r, struct sf_status *out);
void wire_random_manifest(struct wire_random *r, struct sf_manifest *out);
void wire_random_enrol(struct wire_random *r, struct sf_enrol *out);
/* Fleet, revocations, minimums and anchors of a trust root; its keys are the caller's. */
void wire_random_root_lists(struct wire_random *r, struct sf_root_draft *d);

/* Calls `check` with every truncation and every single-bit flip of `data`, each in a piece of
 * memory of exactly its length. */
typedef void wire_check_fn(struct sf_bytes mutated, void *ctx);
void wire_each_truncation(struct sf_bytes data, wire_check_fn *check, void *ctx);
void wire_each_flip(struct sf_bytes data, wire_check_fn *check, void *ctx);

/* A file of the vectors into `out`; its length. Ends the program if it is not there or longer. */
size_t wire_read_file(const char *path, uint8_t *out, size_t size);

/* Bytes of lower-case hex text. */
size_t wire_hex(const char *hex, uint8_t *out, size_t size);

/* Ends a test program with 77 (skipped), and says why, where a file of the vectors is absent. */
void wire_need_file(const char *path);

#endif
