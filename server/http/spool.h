#ifndef SPOOL_H
#define SPOOL_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A request body on its way to a temporary file, hashed on the way. */

struct spool {
    char *path; /* NULL = not open */
    int fd;
    uint64_t len;
    EVP_MD_CTX *hash;
    /* write(2), or a test's full disk */
    ssize_t (*write)(int fd, const void *data, size_t len);
};

/* Makes a file with a new name in `dir`. Errors: SF_ERR_IO, SF_ERR_NOSPC, SF_ERR_NOMEM. */
int spool_open(struct spool *s, const char *dir) __attribute__((warn_unused_result));
int spool_write(struct spool *s, const void *data, size_t len) __attribute__((warn_unused_result));
/* Closes the file and gives the digest of the whole. */
int spool_end(struct spool *s, uint8_t sha256[32]) __attribute__((warn_unused_result));
/* Removes the file, unless somebody renamed it away, and frees everything. Also when not open. */
void spool_release(struct spool *s);

#endif
