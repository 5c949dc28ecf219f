#ifndef ARTIFACTS_H
#define ARTIFACTS_H

#include <stdint.h>

/* Bytes by their SHA-256, in a local folder:
 *
 *     DIR/ab/abcd...        one file an artifact, named by its digest in hex, mode 0444
 *     DIR/tmp/              uploads on their way; emptied at open
 *
 * Invariants:
 * 1. A file under its digest is whole and durable: it was fsynced before it got its name.
 * 2. It never changes; put of a digest that is there keeps the old file.
 *
 * From any thread. Errors: SF_ERR_NOTFOUND, SF_ERR_IO, SF_ERR_NOSPC (disk full), SF_ERR_NOMEM,
 * SF_ERR_DIGEST. */

enum { ARTIFACTS_ERROR_MAX = 256, ARTIFACT_DIGEST_SIZE = 32, ARTIFACT_HEX_SIZE = 65 };

struct artifacts;

int artifacts_open(struct artifacts **out, const char *dir, char error[ARTIFACTS_ERROR_MAX])
    __attribute__((warn_unused_result));
void artifacts_close(struct artifacts *a);

/* Bytes of all that is stored. */
uint64_t artifacts_used(const struct artifacts *a);

/* DIR/tmp, where files for put() are to be made; lives as long as `a`. */
const char *artifacts_tmp_dir(const struct artifacts *a);

/* Takes over the file `path` (inside the tmp folder), whose bytes hash to `sha256`: fsync, rename,
 * fsync of the folder. On success `path` is gone; when the artifact was there already, too. The
 * caller has hashed the bytes (struct exchange, body_sha256). */
int artifacts_put(struct artifacts *a, const char *path, const uint8_t sha256[ARTIFACT_DIGEST_SIZE])
    __attribute__((warn_unused_result));

/* Opens for reading: a file descriptor that the caller closes, and the length in bytes. */
int artifacts_read(const struct artifacts *a, const uint8_t sha256[ARTIFACT_DIGEST_SIZE], int *fd,
                   uint64_t *len) __attribute__((warn_unused_result));

/* Hashes the stored bytes again: SF_OK or SF_ERR_DIGEST. */
int artifacts_verify(const struct artifacts *a, const uint8_t sha256[ARTIFACT_DIGEST_SIZE])
    __attribute__((warn_unused_result));

int artifacts_remove(struct artifacts *a, const uint8_t sha256[ARTIFACT_DIGEST_SIZE])
    __attribute__((warn_unused_result));

struct artifact_file {
    uint8_t sha256[ARTIFACT_DIGEST_SIZE];
    uint64_t len;
    int64_t stored_at; /* Unix seconds */
};

/* Calls `each` for every stored artifact, in no order, until it returns non-zero, and returns that,
 * 0 at the end, or an error. The collector removes those that nobody references and that are older
 * than an upload can take. */
int artifacts_list(const struct artifacts *a,
                   int (*each)(const struct artifact_file *file, void *ctx), void *ctx)
    __attribute__((warn_unused_result));

/* 64 hex digits, lower case, to bytes: SF_OK or SF_ERR_FORMAT; and back. */
int artifact_digest_decode(const char *hex, uint8_t sha256[ARTIFACT_DIGEST_SIZE])
    __attribute__((warn_unused_result));
void artifact_digest_encode(const uint8_t sha256[ARTIFACT_DIGEST_SIZE],
                            char hex[ARTIFACT_HEX_SIZE]);

#endif
