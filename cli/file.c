/* Reading and writing whole files. */

#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

enum { FIRST_CHUNK = 64 * 1024 };

/* Reads to the end. Returns 0, or -1 with errno, EFBIG for more than `max` bytes. */
static int read_all(int fd, size_t max, struct file_bytes *out)
{
    struct stat st;
    size_t room = 0;
    size_t grow_to = fstat(fd, &st) == 0 && st.st_size > 0 && (size_t)st.st_size <= max
                         ? (size_t)st.st_size + 2 /* the NUL, and room to see that it ends */
                         : FIRST_CHUNK;
    for (;;) {
        if (out->len + 1 >= room) {
            room = grow_to;
            grow_to *= 2;
            uint8_t *more = realloc(out->data, room);
            if (!more) {
                return -1;
            }
            out->data = more;
        }
        ssize_t n = read(fd, out->data + out->len, room - out->len - 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            out->data[out->len] = '\0';
            return (int)n;
        }
        out->len += (size_t)n;
        if (out->len > max) {
            errno = EFBIG;
            return -1;
        }
    }
}

int file_read(const char *path, size_t max, struct file_bytes *out)
{
    *out = (struct file_bytes){0};
    int is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 || read_all(fd, max, out) != 0;
    int why = errno;
    if (fd >= 0 && !is_stdin) {
        close(fd);
    }
    if (!failed) {
        return CLI_OK;
    }
    file_release(out);
    if (why == EFBIG) {
        return cli_fail(CLI_LOCAL, "cannot read '%s': it has more than %zu bytes", path, max);
    }
    return cli_fail(CLI_LOCAL, "cannot read '%s': %s", path, strerrordesc_np(why));
}

void file_release(struct file_bytes *bytes)
{
    if (bytes->data) {
        if (bytes->len <= FILE_TEXT_MAX) {
            explicit_bzero(bytes->data, bytes->len); /* it may have been a key or a token */
        }
        free(bytes->data);
    }
    *bytes = (struct file_bytes){0};
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd);
}

static int put_in_place(const char *temporary, const char *path, enum file_replace replace)
{
    if (replace == FILE_REPLACE) {
        return rename(temporary, path);
    }
    int failed = link(temporary, path);
    int why = errno;
    unlink(temporary);
    errno = why;
    return failed;
}

/* A device or a pipe (/dev/stdout) is written to; renaming over it would replace the device. */
static int write_special(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int failed = fd < 0 || (write_all(fd, data, len) != 0 && errno != EINVAL && errno != EROFS);
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return failed ? cli_fail(CLI_LOCAL, "cannot write '%s': %s", path, strerrordesc_np(why))
                  : CLI_OK;
}

int file_write(const char *path, const void *data, size_t len, unsigned mode,
               enum file_replace replace)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        return write_special(path, data, len);
    }
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof temporary) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': the path is too long", path);
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': %s", path, strerrordesc_np(errno));
    }
    int failed = fchmod(fd, mode) != 0 || write_all(fd, data, len) != 0;
    int why = errno;
    close(fd);
    if (!failed) {
        failed = put_in_place(temporary, path, replace) != 0;
        why = errno;
    }
    if (!failed) {
        return CLI_OK;
    }
    unlink(temporary);
    return cli_fail(CLI_LOCAL, "cannot write '%s': %s", path, strerrordesc_np(why));
}
