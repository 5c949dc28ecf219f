#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/err.h"

int disk_error(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return SF_ERR_NOSPC;
    case ENOENT:
        return SF_ERR_NOTFOUND;
    case ENOMEM:
        return SF_ERR_NOMEM;
    default:
        return SF_ERR_IO;
    }
}

static int write_all(int fd, const unsigned char *data, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return disk_error(errno);
        }
        data += n;
        len -= (size_t)n;
    }
    return SF_OK;
}

int disk_sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return disk_error(errno);
    }
    const int err = fsync(fd) == 0 ? SF_OK : disk_error(errno);
    (void)close(fd);
    return err;
}

static int sync_parent(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    if (len >= sizeof(folder)) {
        return SF_ERR_RANGE;
    }
    memcpy(folder, path, len);
    folder[len] = '\0';
    if (slash == NULL) {
        return disk_sync_folder(".");
    }
    return disk_sync_folder(len > 0 ? folder : "/");
}

static int write_synced(const char *path, mode_t mode, const void *data, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return disk_error(errno);
    }
    int err = fchmod(fd, mode) == 0 ? SF_OK : disk_error(errno);
    if (err == SF_OK) {
        err = write_all(fd, data, len);
    }
    if (err == SF_OK && fsync(fd) != 0) {
        err = disk_error(errno);
    }
    if (close(fd) != 0 && err == SF_OK) {
        err = disk_error(errno);
    }
    return err;
}

int disk_write_atomic(const char *path, mode_t mode, const void *data, size_t len)
{
    char temporary[PATH_MAX];
    const int n = snprintf(temporary, sizeof(temporary), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return SF_ERR_RANGE;
    }
    int err = write_synced(temporary, mode, data, len);
    if (err == SF_OK && rename(temporary, path) != 0) {
        err = disk_error(errno);
    }
    if (err != SF_OK) {
        const int saved = errno;
        (void)unlink(temporary);
        errno = saved;
        return err;
    }
    return sync_parent(path);
}

static int read_all(int fd, char *data, size_t size, size_t *len)
{
    *len = 0;
    while (*len < size) {
        const ssize_t n = read(fd, data + *len, size - *len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return disk_error(errno);
        }
        if (n == 0) {
            break;
        }
        *len += (size_t)n;
    }
    return SF_OK;
}

int disk_read(struct arena *a, const char *path, size_t max_bytes, char **data, size_t *len)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return disk_error(errno);
    }
    struct stat st;
    int err = fstat(fd, &st) == 0 ? SF_OK : disk_error(errno);
    if (err == SF_OK && !S_ISREG(st.st_mode)) {
        err = SF_ERR_FORMAT;
    } else if (err == SF_OK && (uint64_t)st.st_size > max_bytes) {
        err = SF_ERR_RANGE;
    }
    size_t got = 0;
    if (err == SF_OK) {
        *data = arena_alloc(a, (size_t)st.st_size + 1);
        err = *data != NULL ? read_all(fd, *data, (size_t)st.st_size, &got) : SF_ERR_NOMEM;
    }
    (void)close(fd);
    if (err == SF_OK && len != NULL) {
        *len = got;
    }
    return err;
}
