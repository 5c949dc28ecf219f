#include "server/http/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "formats/err.h"

int spool_open(struct spool *s, const char *dir)
{
    static const char name[] = "/upload-XXXXXX";
    *s = (struct spool){.fd = -1, .write = write};
    const size_t size = strlen(dir) + sizeof(name);
    s->path = malloc(size);
    if (s->path == NULL) {
        return SF_ERR_NOMEM;
    }
    (void)snprintf(s->path, size, "%s%s", dir, name);
    s->fd = mkostemp(s->path, O_CLOEXEC);
    if (s->fd < 0) {
        const int err = disk_error(errno);
        free(s->path);
        s->path = NULL;
        return err;
    }
    s->hash = EVP_MD_CTX_new();
    if (s->hash == NULL || EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL) != 1) {
        spool_release(s);
        return SF_ERR_NOMEM;
    }
    return SF_OK;
}

int spool_write(struct spool *s, const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t left = len;
    while (left > 0) {
        const ssize_t n = s->write(s->fd, p, left);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return disk_error(errno);
        }
        p += n;
        left -= (size_t)n;
    }
    s->len += len;
    return EVP_DigestUpdate(s->hash, data, len) == 1 ? SF_OK : SF_ERR_CRYPTO;
}

int spool_end(struct spool *s, uint8_t sha256[32])
{
    if (EVP_DigestFinal_ex(s->hash, sha256, NULL) != 1) {
        return SF_ERR_CRYPTO;
    }
    const int fd = s->fd;
    s->fd = -1;
    return close(fd) == 0 ? SF_OK : disk_error(errno);
}

void spool_release(struct spool *s)
{
    if (s->path == NULL) {
        return;
    }
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    (void)unlink(s->path);
    EVP_MD_CTX_free(s->hash);
    free(s->path);
    *s = (struct spool){.fd = -1};
}
